"""Which prompts of a project are alike: vectors of a model that embeds, near-duplicates, neighbours, topics to suggest.

Beside freezing: two wordings of one question on both sides of a split make held-out numbers too good. The vectors come from a
child process and are kept by model and text under HOME/cache; the rest is arithmetic. What is done about it is in grouping.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.translation import gettext

from annotation.models import Item, Project
from feinschliff.rows import prompt_text
from training import answering, casting
from training.answering import NoAnswer, Servable
from training.catalogue import describing, switching
from training.catalogue.listing import ListingFailed, listing
from training.models import Model

if TYPE_CHECKING:
    import numpy as np

THRESHOLD = 0.9  # cosine from which two prompts are shown as near-duplicates, until somebody moves it
BATCH = 32  # prompts a request to the child
LONGEST = 20_000  # characters of a prompt that are read
BLOCK = 512  # rows of the table of cosines that are in memory at once
NEIGHBOURS = 5  # whose topics are asked
AGREED = 0.6  # of them must name the same one
NEAR = 0.5  # cosine from which a neighbour counts


@dataclass(frozen=True)
class Pair:
    """Two items by their places in the list that was compared."""

    first: int
    second: int
    cosine: float


@dataclass(frozen=True)
class Suggestion:
    """A topic for an item that has none; `agreed` of `asked` neighbours have it."""

    item: Item
    topic: str
    agreed: int
    asked: int
    nearest: Item
    cosine: float


def models_of(project: Project) -> list[tuple[str, str]]:
    """(string, name) of the models that embed: the project's own, then base models with real weights, then fresh ones."""
    own = Model.objects.filter(project=project, run__archived_at=None).order_by("-pk")
    found = [(model.ref, f"{model.ref}: {model.name}") for model in own if "embed" in model.yields]
    try:
        bases = describing.able(listing().model_strings(""), "embed")
    except ListingFailed:  # the plugins page says why; the project's own models are still there
        return found
    return found + [(ref, ref) for ref in sorted(bases, key=_rank)]


def _rank(ref: str) -> int:
    """Encoders of sentences first: a model that writes embeds too, but says less of what is alike. Fresh ones last."""
    return 2 if ref.startswith("tiny:") else int("generate" in describing.about(ref).verbs)


def makers(project: Project) -> list[dict[str, Any]]:
    """The trainers here that make a model that embeds and nothing else, for a page that has none."""
    try:
        offered = casting.makers("embed", switching.offered(project, listing()))
    except ListingFailed:
        return []
    return sorted(offered, key=lambda trainer: len(trainer["yields"]))


def text_of(item: Item) -> str:
    """What is compared: the prompt as people read it, without reference passages."""
    return prompt_text(item.prompt)[:LONGEST]


class Vectors:
    """The vectors of one model for texts, kept in one file under HOME/cache."""

    def __init__(self, project: Project, ref: str) -> None:
        self.servable = _servable(project, ref)
        name = hashlib.sha256(ref.encode()).hexdigest()[:24]
        self.path = Path(settings.HOME) / "cache" / "vectors" / f"{name}.npz"
        self.known = self._read()

    def missing(self, texts: Sequence[str]) -> list[str]:
        """The different texts that have no vector yet, short ones first."""
        return sorted({text for text in texts if _key(text) not in self.known}, key=len)

    def work(self, texts: Sequence[str], seconds: float | None = None) -> Iterator[int]:
        """Asks the model for what is missing; yields how many are left after each batch. Ends after `seconds` at a batch's end.

        What was worked out is kept even when the model fails half-way. Raises NoAnswer.
        """
        waiting, began = self.missing(texts), time.monotonic()
        changed = False
        try:
            while waiting and (seconds is None or time.monotonic() - began < seconds):
                some, waiting = waiting[:BATCH], waiting[BATCH:]
                found = answering.warm_models.ask(self.servable, "embed", {"texts": some})
                self.known |= dict(zip(map(_key, some), found, strict=True))
                changed = True
                yield len(waiting)
        finally:
            if changed:
                self._write()

    def of(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors, (texts, width); all must be known."""
        import numpy as np

        rows = np.asarray([self.known[_key(text)] for text in texts], dtype=np.float32)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

    def _read(self) -> dict[str, Any]:
        import numpy as np

        try:
            with np.load(self.path, allow_pickle=False) as kept:
                return dict(zip(kept["keys"].tolist(), kept["vectors"], strict=True))
        except (OSError, ValueError, KeyError, EOFError):
            return {}  # nothing yet, or broken: it is worked out again

    def _write(self) -> None:
        import numpy as np

        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=self.path.parent, prefix=".vectors-", suffix=".npz", delete=False
        ) as draft:
            np.savez(
                draft, keys=np.array(list(self.known)), vectors=np.asarray(list(self.known.values()), dtype=np.float32)
            )
        os.replace(draft.name, self.path)


def _key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _servable(project: Project, ref: str) -> Servable:
    """Raises NoAnswer."""
    if not ref.startswith("run:"):
        return Servable(ref, ref, "", Path(settings.HOME) / "cache" / "vectors.log", tuple(settings.BUILTIN_PLUGINS))
    number = ref.removeprefix("run:")
    model = Model.objects.filter(
        project=project, run_id=int(number) if number.isdigit() and len(number) < 10 else 0
    ).first()
    if model is None:
        raise NoAnswer(gettext("The model %(ref)s is not there any more.") % {"ref": ref})
    return answering.servable(model)


# --- arithmetic on unit vectors ---


def pairs(vectors: np.ndarray, threshold: float) -> list[Pair]:
    """All pairs of rows with a cosine of at least the threshold, nearest first."""
    import numpy as np

    found = []
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK] @ vectors[start:].T
        for row, column in zip(*np.nonzero(block >= threshold - 1e-6), strict=True):
            if column > row:
                found.append(Pair(start + int(row), start + int(column), min(1.0, float(block[row, column]))))
    return sorted(found, key=lambda pair: (-pair.cosine, pair.first, pair.second))


def clusters(alike: Sequence[Pair]) -> list[list[int]]:
    """What hangs together by pairs, each in order, the largest first."""
    parent: dict[int, int] = {}

    def top(place: int) -> int:
        while parent.setdefault(place, place) != place:
            parent[place] = place = parent[parent[place]]
        return place

    for pair in alike:
        parent[top(pair.second)] = top(pair.first)
    found: dict[int, list[int]] = {}
    for place in sorted(parent):
        found.setdefault(top(place), []).append(place)
    return sorted(found.values(), key=lambda places: (-len(places), places[0]))


def nearest(vectors: np.ndarray) -> list[float]:
    """Each row's cosine with the nearest other row; empty for fewer than two."""
    import numpy as np

    if len(vectors) < 2:
        return []
    found: list[float] = []
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK] @ vectors.T
        block[np.arange(len(block)), start + np.arange(len(block))] = -2.0
        found += block.max(axis=1).tolist()
    return found


def neighbours(vectors: np.ndarray, place: int, count: int) -> list[Pair]:
    """The rows most like one, nearest first."""
    cosines = vectors @ vectors[place]
    order = [int(other) for other in (-cosines).argsort(kind="stable") if int(other) != place][:count]
    return [Pair(place, other, min(1.0, float(cosines[other]))) for other in order]


def suggestions(items: Sequence[Item], vectors: np.ndarray) -> list[Suggestion]:
    """A topic for each item without one of whose nearest items with one most agree; the surest first.

    k nearest neighbours (Cover & Hart 1967) with k = 5, of which only those with a cosine of at least .5 are asked, and at
    least two must be there: far ones know nothing, and one alone agrees with itself.
    """
    with_topic = [place for place, item in enumerate(items) if item.topic]
    without = [place for place, item in enumerate(items) if not item.topic]
    if not with_topic or not without:
        return []
    found = []
    known = vectors[with_topic]
    for place in without:
        cosines = known @ vectors[place]
        near = [int(one) for one in (-cosines).argsort(kind="stable")[:NEIGHBOURS] if cosines[one] >= NEAR]
        votes = Counter(items[with_topic[one]].topic for one in near)
        if len(near) < 2:
            continue
        [(topic, agreed)] = votes.most_common(1)
        if agreed / len(near) >= AGREED:
            best = next(one for one in near if items[with_topic[one]].topic == topic)
            found.append(
                Suggestion(items[place], topic, agreed, len(near), items[with_topic[best]], float(cosines[best]))
            )
    return sorted(found, key=lambda one: (-one.agreed / one.asked, -one.cosine))

"""What a model that embeds says of a project's prompts: vectors, of which nearing tells what is alike.

Two wordings of one question on both sides of a split make held-out numbers too good. The vectors come from a child process and
are kept by project, model and text under HOME/cache. What is done about likeness is in grouping.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import os
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
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


def models_of(project: Project) -> list[tuple[str, str]]:
    """(string, name) of the models that embed, the best judge of likeness first.

    The project's own that were made for that, then base models with real weights; then its others, for what labels or writes
    puts near what it labels alike; fresh ones last.
    """
    own = Model.objects.filter(project=project, run__archived_at=None).order_by("-pk")
    found = {
        model.ref: (0 if model.yields == ["embed"] else 2, f"{model.ref}: {model.name}")
        for model in own
        if "embed" in model.yields
    }
    with suppress(ListingFailed):  # the plugins page says why; the project's own models are still there
        found |= {ref: (_rank(ref), ref) for ref in describing.able(listing().model_strings(""), "embed")}
    return [(ref, name) for ref, (_, name) in sorted(found.items(), key=lambda one: one[1][0])]


def _rank(ref: str) -> int:
    """Encoders of sentences first: a model that writes embeds too, but says less of what is alike. Fresh ones last."""
    return 4 if ref.startswith("tiny:") else 3 if "generate" in describing.about(ref).verbs else 1


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
    """The vectors of one model for the texts of a project, kept in one file under HOME/cache."""

    def __init__(self, project: Project, ref: str) -> None:
        self.servable = _servable(project, ref)
        name = f"{project.pk}-{hashlib.sha256(ref.encode()).hexdigest()[:24]}"
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
                found = self._checked(answering.warm_models.ask(self.servable, "embed", {"texts": some}))
                self.known |= dict(zip(map(_key, some), found, strict=True))
                changed = True
                yield len(waiting)
        finally:
            if changed and self.known:
                self._write()

    def of(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors, (texts, width); all must be known."""
        import numpy as np

        rows = np.asarray([self.known[_key(text)] for text in texts], dtype=np.float32)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

    def _checked(self, found: Sequence[Sequence[float | None]]) -> np.ndarray:
        """What the model gave for a batch, (texts, width). Raises NoAnswer: one vector that is none would spoil every page."""
        import numpy as np

        try:
            with np.errstate(
                over="ignore"
            ):  # what float32 does not hold becomes infinite, and null, as NaN travels, NaN
                rows = np.asarray(found, dtype=np.float32)
        except (TypeError, ValueError):  # of several widths, or no numbers at all
            rows = np.full((1, 1), np.nan)
        if rows.ndim != 2 or not np.isfinite(rows).all():
            raise NoAnswer(gettext("The model gave something that is no vector of numbers. Choose another model."))
        if any(len(known) != rows.shape[1] for known in itertools.islice(self.known.values(), 1)):
            self.known.clear()
            self.path.unlink(missing_ok=True)
            raise NoAnswer(gettext("The model has changed, and what it had read is forgotten. Compare again."))
        return rows

    def _read(self) -> dict[str, Any]:
        import numpy as np

        try:
            with np.load(self.path, allow_pickle=False) as kept:
                return dict(zip(kept["keys"].tolist(), kept["vectors"], strict=True))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return {}  # nothing yet, or broken: it is worked out again

    def _write(self) -> None:
        """Keeps what is known, beside what another process has kept meanwhile."""
        import numpy as np

        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            width = len(next(iter(self.known.values())))
            others = {key: row for key, row in self._read().items() if len(row) == width}
            self.known = others | self.known
            with tempfile.NamedTemporaryFile(
                dir=self.path.parent, prefix=".vectors-", suffix=".npz", delete=False
            ) as draft:
                np.savez(
                    draft,
                    keys=np.array(list(self.known)),
                    vectors=np.stack(list(self.known.values()), dtype=np.float32),
                )
                draft.flush()
                os.fsync(draft.fileno())
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

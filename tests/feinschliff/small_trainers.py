"""Trainers of the other verbs, as small as can be: classify and embed from labels, generate and fill from texts.

Each comes in two kinds, one that learns what the small world holds and one that does not; the checks must tell which.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from feinschliff import Needs, Run, Trainer, hookimpl


def _trainer(name: str, rows: str, yields: tuple[str, ...]) -> Trainer:
    place = f"{__name__}:{name.replace('-', '_')}"
    return Trainer(
        api=1, name=name, title=name, summary="Learns.", family="supervised", needs=Needs(rows=(rows,)),
        train=place, opens=f"{__name__}:{'Words' if rows == 'label' else 'Texts'}", yields=yields,
    )  # fmt: skip


@hookimpl
def feinschliff_trainers() -> Iterator[Trainer]:
    yield _trainer("labels", "label", ("classify", "embed"))
    yield _trainer("majority", "label", ("classify",))
    yield _trainer("texts", "text", ("generate", "fill"))
    yield _trainer("spoilt", "text", ("generate",))
    yield _trainer("silent", "text", ("generate",))
    yield _of_both("either", ("classify", "embed"))
    yield _of_both("boaster", ("classify", "score"))


def _of_both(name: str, verbs: tuple[str, ...]) -> Trainer:
    """Learns from texts and from labels, and makes a model of other verbs of each."""
    return Trainer(
        api=1, name=name, title=name, summary="Learns.", family="supervised", needs=Needs(rows=("text", "label")),
        train=f"{__name__}:either", opens=f"{__name__}:opened", yields=("generate", "fill"), yields_from={"label": verbs},
    )  # fmt: skip


def _save(run: Run, value: object) -> None:
    (run.out / "model").mkdir()
    (run.out / "model" / "learned.json").write_text(json.dumps(value), "utf-8")
    run.progress(1, 1)


def labels(run: Run) -> dict[str, Any]:
    counts: dict[str, Counter[str]] = {}
    for row in run.rows("train"):
        counts.setdefault(row["label"], Counter()).update(row["prompt"].split())
    _save(run, counts)
    return {}


def majority(run: Run) -> dict[str, Any]:
    label = Counter(row["label"] for row in run.rows("train")).most_common(1)[0][0]
    _save(run, {label: {}})
    return {}


def texts(run: Run) -> dict[str, Any]:
    _save(run, {"said": run.rows("train")[0]["text"]})
    return {"loss/untrained": 3.0, "loss/heldout": 1.0, "kl/untrained": 1.0}


def either(run: Run) -> dict[str, Any]:
    return texts(run) if "text" in run.rows("train")[0] else labels(run)


def opened(folder: Path) -> object:
    return (Texts if "said" in json.loads((folder / "learned.json").read_text("utf-8")) else Words)(folder)


def spoilt(run: Run) -> dict[str, Any]:
    return texts(run) | {"loss/heldout": 5.0}


def silent(run: Run) -> dict[str, Any]:
    texts(run)
    return {}


class Words:
    def __init__(self, folder: Path) -> None:
        self.counts = json.loads((folder / "learned.json").read_text("utf-8"))

    def classify(self, texts: list[str]) -> list[dict[str, float]]:
        found = []
        for text in texts:
            votes = {
                label: 1 + sum(counts.get(word, 0) for word in text.split()) for label, counts in self.counts.items()
            }
            found.append({label: vote / sum(votes.values()) for label, vote in votes.items()})
        return found

    def embed(self, texts: list[str]) -> list[list[float]]:
        return [[float(len(text)), float(text.count(" "))] for text in texts]


class Texts:
    def __init__(self, folder: Path) -> None:
        self.said = json.loads((folder / "learned.json").read_text("utf-8"))["said"]

    def generate(self, prompts: list[str], *, n: int = 1, **how: Any) -> list[list[str]]:  # noqa: ANN401
        return [[self.said] * n for _ in prompts]

    def fill(self, texts: list[str], n: int = 1) -> list[list[str]]:
        return [[text.replace("___", self.said)] * n for text in texts]

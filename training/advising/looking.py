"""Looks at what a project has: rows that could be frozen, labels, agreement, models at hand, the machine. Writes nothing.

`Have.facts` names every number that a rule may ask for; FACTS says what each is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from annotation.models import Project
from training.advising.counting import Counted, counted
from training.machine import capacity, disk, limiting
from training.models import Model
from training.reporting import results

FACTS = {
    "judgements": "judgements that stand",
    "annotators": "people who judged",
    "items": "items",
    "<kind>_rows": "rows of a kind that a freeze would give: ranking_rows, label_rows, text_rows ...",
    "compared_rows": "pair_rows or rating_rows, whichever are more",
    "label_tasks": "different tasks that label rows name",
    "rows": "rows of the kind that the method at hand would learn from",
    "answers": "answers in a ranking, on average",
    "aspects": "aspects on which answers are rated",
    "agreement": "percent of comparisons in which two people agree (of labels: equal sets; of ratings: equal scores)",
    "agreement_pairs": "how many comparisons of two people that rests on",
    "tasks": "different tasks that the method's rows name",
    "classes": "different labels of the largest task",
    "smallest_class": "rows of that task's rarest label",
    "text_kilobytes": "size of the raw texts",
    "judges": "models of the project that score",
    "proven_judges": "those whose held-out accuracy lies above every simple baseline, with its 95 % interval",
    "writers": "models of the project that write",
    "gpus": "GPUs of this machine; not known where runs go elsewhere",
}


@dataclass(frozen=True)
class Have:
    """All that the advice rests on. A fact that is None is not known, and no rule asks it."""

    project: Project
    counted: Counted
    facts: Mapping[str, float | None]
    models: list[Model]
    room: int
    free_disk: int

    @property
    def is_empty(self) -> bool:
        return not self.counted.rows


def look(project: Project) -> Have:
    """What is there now."""
    found = counted(project)
    listed = Model.objects.filter(project=project, run__archived_at=None).select_related("run")
    models = list(listed.only("name", "yields", "run__numbers"))
    judges = [model for model in models if "score" in model.yields]
    facts: dict[str, float | None] = {
        "judgements": found.judgements, "annotators": found.annotators, "items": found.items,
        "answers": found.answers or None, "aspects": found.aspects,
        "agreement": found.agreement, "agreement_pairs": found.agreement_pairs, "text_kilobytes": found.text_bytes / 1000,
        "judges": len(judges), "proven_judges": sum(is_proven(model.run.numbers) for model in judges),
        "writers": sum("generate" in model.yields for model in models), "gpus": capacity.gpus(),
        **{f"{kind}_rows": found.rows.get(kind, 0) for kind in KINDS},
        "compared_rows": max(found.rows.get(kind, 0) for kind in ("pair", "rating")),
        "label_tasks": found.tasks.get("label", min(1, found.rows.get("label", 0))), **_of_labels(found),
    }  # fmt: skip
    free, limit = capacity.free_memory(), limiting.memory()
    room = limit if free is None else min(free, limit)
    return Have(project, found, facts, models, room, disk.free())


KINDS = ("text", "prompt", "demonstration", "label", "rating", "unpaired", "pair", "ranking")


def _of_labels(found: Counted) -> dict[str, float | None]:
    """Of the task with the most labels; nothing is known of a project without any."""
    if not found.labels:
        return {"classes": None, "smallest_class": None}
    largest = max(found.labels.values(), key=lambda counts: sum(counts.values()))
    return {"classes": len(largest), "smallest_class": min(largest.values())}


def is_proven(numbers: Mapping[str, Any]) -> bool:
    """Whether a judge's held-out accuracy lies above every simple baseline, interval and all, on enough to say so."""
    low = numbers.get("accuracy/model/low")
    rivals = [numbers.get(f"accuracy/{who}") for who in results.WHO if who != "model"]
    told = [rival for rival in rivals if isinstance(rival, int | float)]
    held_out = results.held_out(dict(numbers))
    if held_out and held_out[0] < results.FEW_PAIRS and held_out[1] < results.FEW_PROMPTS:
        return False
    return isinstance(low, int | float) and bool(told) and low > max(told)

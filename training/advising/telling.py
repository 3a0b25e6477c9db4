"""The advice for programs and for the command line: one shape as JSON, the same as lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from training.advising.advice import Advice
from training.advising.judging import NEARLY, Method
from training.catalogue.listing import title_of


def as_json(advice: Advice) -> dict[str, Any]:
    """What the API answers and `advise --json` prints."""
    have = advice.have
    return {
        "project": have.project.slug,
        "has": {
            "rows": dict(have.counted.rows), "about": have.counted.is_about,
            "facts": {name: value for name, value in have.facts.items() if value is not None},
            "labels": {task: dict(counts) for task, counts in have.counted.labels.items()},
            "models": [model.ref for model in have.models], "memory_bytes": have.room, "disk_bytes": have.free_disk,
        },
        "methods": [_method(advice, method) for method in advice.methods],
        "unsure": advice.unsure,
        "experiment": {
            "trainers": [advice.experiment.first.name, advice.experiment.second.name], "rows": advice.experiment.kind,
        } if advice.experiment else None,
    }  # fmt: skip


def _method(advice: Advice, method: Method) -> dict[str, Any]:
    cost = advice.costs.get(method.key)
    return {
        "trainer": method.name, "title": title_of(method.trainer), "plugin": method.trainer["plugin"],
        "verdict": method.verdict, "can_start": method.can_start, "rows": method.kind, "count": method.rows,
        "gives": list(method.yields), "why": method.why, "missing": list(method.missing),
        "models": dict(method.models), "settings": method.settings,
        "reasons": [
            {
                "rule": reason.rule.name, "effect": reason.effect, "weight": reason.rule.weight, "text": reason.text,
                "evidence": reason.rule.evidence, "sources": [source.model_dump() for source in reason.sources],
            }
            for reason in method.reasons
        ],
        "cost": {"memory_bytes": cost.memory, "seconds": cost.seconds} if cost else None,
    }  # fmt: skip


def as_text(advice: Advice) -> str:
    """The same for a terminal: the first lines are the advice, what does not fit stands last."""
    return "\n".join(_lines(advice))


def _lines(advice: Advice) -> Iterator[str]:
    counts = [f"{count} {kind}" for kind, count in advice.have.counted.rows.items()]
    about = "about " if advice.have.counted.is_about else ""
    yield f"Rows that could be frozen: {about}{', '.join(counts) or 'none yet'}."
    if advice.first is None:
        yield "Nothing to learn from yet: import texts, answers or labels first (`manage.py import_items`)."
    for place, method in enumerate(advice.considered, 1):
        cost = advice.costs[method.key]
        yield ""
        yield f"{place}. {method.name} on {method.kind} rows: {method.verdict}. {method.why}"
        if method.verdict == NEARLY and method.can_start:
            yield "   It can be tried now: its held-out numbers tell."
        if method.missing:
            yield f"   missing: {'; '.join(method.missing)}"
        yield f"   memory: {cost.memory_said}  time: {cost.time_said}"
        for reason in method.reasons:
            said = "; ".join(source.title for source in reason.sources)
            yield f"   {reason.effect}: {reason.text} [{said}; evidence {reason.rule.evidence}]"
    if advice.unsure and advice.experiment:
        first, second = advice.experiment.first.name, advice.experiment.second.name
        yield ""
        yield f"{advice.unsure} What would tell: advise {advice.have.project.slug} --compare {first},{second}"
    if advice.unfit:
        yield ""
        yield "Does not fit:"
    for method in advice.unfit:
        yield f"   {method.name}: {method.why}"

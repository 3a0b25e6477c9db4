"""Arranges what a run came to for people: final numbers beside their baselines, and the judgements behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation.models import Judgement
from training.models import Run, Snapshot
from training.reporting import curving
from webapp.saying import number

FEW_PROMPTS, FEW_PAIRS = 10, 200  # below both, an interval is no evidence
SHOWN_JUDGEMENTS = 200
WHO = {
    "model": _("this model"), "random": _("a coin"), "constant": _("always the same score"), "longer": _("the longer answer"),
    "untrained": _("before training"),
}  # fmt: skip


@dataclass(frozen=True)
class Bar:
    """One value to draw; `low` and `high` are its 95 % interval, where it has one."""

    who: str
    value: float
    low: float | None
    high: float | None
    own: bool


def curves(run: Run) -> dict[str, curving.Curve]:
    """Metric -> [[step, value], ...] of one run."""
    return curving.curves([run])[run.pk]


def comparisons(numbers: dict[str, Any]) -> list[tuple[str, list[Bar]]]:
    """Metrics that were measured for the model and for baselines, as bars; the model first."""
    found = []
    for name in sorted({key.split("/")[0] for key in numbers if key.endswith("/model")}):
        bars = [
            _bar(numbers, name, who, str(title)) for who, title in WHO.items() if _finite(numbers.get(f"{name}/{who}"))
        ]
        if len(bars) > 1:
            found.append((name, bars))
    return found


def _bar(numbers: dict[str, Any], name: str, who: str, title: str) -> Bar:
    key = f"{name}/{who}"
    return Bar(title, numbers[key], numbers.get(f"{key}/low"), numbers.get(f"{key}/high"), who == "model")


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def verdict(numbers: dict[str, Any], name: str = "accuracy") -> str:
    """One honest sentence about the model beside the best of its baselines; too few comparisons get none.

    Against the longer answer the paired interval decides (`gain/over-longer`), which is the sharper one.
    """
    low, high = numbers.get(f"{name}/model/low"), numbers.get(f"{name}/model/high")
    rivals = [
        (numbers[f"{name}/{who}"], who, title)
        for who, title in WHO.items()
        if who != "model" and _finite(numbers.get(f"{name}/{who}"))
    ]
    if not rivals or low is None or high is None:
        return ""
    if (numbers.get("prompts/heldout") or 0) < FEW_PROMPTS and (numbers.get("pairs/heldout") or 0) < FEW_PAIRS:
        return gettext("Too few held-out prompts to say anything: %(n)s or more would begin to tell.") % {
            "n": FEW_PROMPTS
        }
    best, who, title = max(rivals)
    gain_low, gain_high = numbers.get("gain/over-longer/low"), numbers.get("gain/over-longer/high")
    if who != "longer" or gain_low is None or gain_high is None:
        gain_low, gain_high = low - best, high - best
    told = {"rival": title, "best": number(best, 3)}
    if gain_low > 0:
        return (
            gettext(
                "Better than every baseline; the best of them is %(rival)s (%(best)s), and the 95 %% interval lies above."
            )
            % told
        )
    if gain_high < 0:
        return gettext("Worse than %(rival)s (%(best)s); the 95 %% interval lies below.") % told
    return gettext("Not told apart from %(rival)s (%(best)s) at 95 %%. More judgements would tell.") % told


def held_out(numbers: dict[str, Any]) -> tuple[int, int] | None:
    """(comparisons, prompts) that were measured on."""
    pairs, prompts = numbers.get("pairs/heldout"), numbers.get("prompts/heldout")
    return (round(pairs), round(prompts)) if _finite(pairs) and _finite(prompts) and pairs and prompts else None


def judgements_behind(snapshot: Snapshot) -> list[Judgement]:
    """The first judgements that a snapshot was made of, with their items and annotators."""
    ids = snapshot.judgement_ids[:SHOWN_JUDGEMENTS]
    return list(Judgement.objects.filter(pk__in=ids).select_related("item", "member").order_by("item__position", "id"))


def took(run: Run) -> str:
    """How long it ran, in words."""
    if not run.started_at or not run.ended_at:
        return ""
    seconds = round((run.ended_at - run.started_at).total_seconds())
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"

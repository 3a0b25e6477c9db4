"""Arranges what a run came to for people: final numbers beside their baselines, and the judgements behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeGuard

from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation.models import Judgement
from training import configuring
from training.catalogue.listing import ListingFailed, listing
from training.models import Run, Snapshot
from training.reporting import curving
from webapp.saying import number

WINRATE = "winrate/"
SIGNED = ("tau",)  # from -1 to 1, where others are shares
FEW_PROMPTS, FEW_PAIRS = 10, 200  # below both, an interval is no evidence
EVEN = 0.5
NARROW = "\u00a0"  # a space at which no line ends
LONGER = 0.2  # a change of length that is worth a word
SHOWN_JUDGEMENTS = 200
WHO = {
    "model": _("this model"), "random": _("a coin"), "constant": _("always the same score"), "longer": _("the longer answer"),
    "untrained": _("before training"), "base": _("what the base model finds likely"),
    "base-per-token": _("what the base model finds likely, token for token"), "tf-idf": _("word counts (TF-IDF)"),
    "majority": _("always the commonest label"), "words": _("word counts, without a language model"),
}  # fmt: skip
#: who says which of two texts is better
JUDGES = {
    "judge": _("the judge"), "reward": _("the reward model it was trained against"), "own-reward": _("its own measure"),
}  # fmt: skip
#: whose praise is no evidence, with what is said instead of a verdict
PARTIAL = {
    "own-reward": _(
        "By its own measure what it writes now is better than what it wrote before in %(rate)s %% of cases (95 %%: "
        "%(low)s – %(high)s %%). It judges itself there, which says nothing about what people prefer."
    ),
    "reward": _(
        "By the reward model that it was trained against, what it writes now is better than what it wrote before in "
        "%(rate)s %% of cases (95 %%: %(low)s – %(high)s %%). To please that one is what it has learned; whether people agree "
        "only people can say, or a judge of its own."
    ),
}
#: what a run that ended before its last step says of it (`stopped-by`), for those who were not there
ALARMS = {
    "kl-budget": _("the model had moved as far from where it started as it was allowed to"),
    "length": _("its texts grew too long: the reward may be paid for length"),
    "preferences": _("the reward went up while it agreed less with what people prefer"),
}


@dataclass(frozen=True)
class Bar:
    """One value to draw; `low` and `high` are its 95 % interval, where it has one."""

    who: str
    value: float
    low: float | None
    high: float | None
    own: bool


@dataclass(frozen=True)
class Comparison:
    """A metric of the model beside its baselines, on a scale of its own."""

    name: str
    title: str
    bars: list[Bar]
    low: float = 0.0
    high: float = 1.0


def curves(run: Run) -> dict[str, curving.Curve]:
    """Metric -> [[step, value], ...] of one run."""
    return curving.curves([run])[run.pk]


def comparisons(numbers: dict[str, Any], titles: Mapping[str, str] = MappingProxyType({})) -> list[Comparison]:
    """Metrics that were measured for the model and for baselines, as bars, the model first; then who won before and after.

    `titles`: metric -> its trainer's words for it.
    """
    found = []
    for name in sorted({key.split("/")[0] for key in numbers if key.endswith("/model")}):
        bars = [
            _bar(numbers, name, who, str(title)) for who, title in WHO.items() if _finite(numbers.get(f"{name}/{who}"))
        ]
        if len(bars) > 1:
            title = gettext("%(metric)s, on what was held out") % {"metric": titles.get(name) or name.capitalize()}
            found.append(Comparison(name, title, bars, -1.0 if name in SIGNED else 0.0))
    return [*found, *(_won(numbers, judge) for judge in _judges(numbers))]


def _judges(numbers: dict[str, Any]) -> list[str]:
    """Who compared before with after, those first whose word counts."""
    names = [key.removeprefix(WINRATE) for key in numbers if key.startswith(WINRATE) and _finite(numbers[key])]
    return sorted((name for name in names if not name.endswith(("/low", "/high"))), key=lambda name: name in PARTIAL)


def _won(numbers: dict[str, Any], judge: str) -> Comparison:
    """How often the later text is the better one, and how often the earlier; draws are shared."""
    rate, low, high = (numbers.get(f"{WINRATE}{judge}{end}") for end in ("", "/low", "/high"))
    after = Bar(gettext("after training"), float(rate or 0.0), low, high, own=True)
    before = Bar(gettext("before training"), 1.0 - after.value, None, None, own=False)
    return Comparison(
        f"winrate-{judge}", gettext("Preferred by %(judge)s") % {"judge": JUDGES.get(judge, judge)}, [after, before]
    )


def _bar(numbers: dict[str, Any], name: str, who: str, title: str) -> Bar:
    key = f"{name}/{who}"
    return Bar(title, numbers[key], numbers.get(f"{key}/low"), numbers.get(f"{key}/high"), who == "model")


def _finite(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def verdict(numbers: dict[str, Any]) -> str:
    """What the numbers say, in a sentence or a few; nothing where they say nothing."""
    won = [_of_winning(numbers, judge) for judge in _judges(numbers) if judge not in PARTIAL]
    return _said([_of_accuracy(numbers), *won, _of_length(numbers) if any(won) else ""])


def aside(numbers: dict[str, Any]) -> str:
    """What those say whose word is no evidence: the model itself, and the one that it was trained to please."""
    judges = _judges(numbers)
    won = [_of_winning(numbers, judge) for judge in judges if judge in PARTIAL]
    told = any(judge not in PARTIAL for judge in judges)  # then the verdict has said how long its texts are
    return _said([*won, _of_length(numbers) if any(won) and not told else ""])


def warnings(numbers: dict[str, Any]) -> list[str]:
    """What the trainer itself found odd, a paragraph each (`warning`, one a line)."""
    text = numbers.get("warning")
    return [line.strip() for line in text.split("\n") if line.strip()] if isinstance(text, str) else []


def listed(numbers: dict[str, Any]) -> list[tuple[str, Any]]:
    """Name and value of all final numbers; warnings are said elsewhere."""
    return sorted((name, value) for name, value in numbers.items() if name != "warning")


def _said(sentences: list[str]) -> str:
    """Sentences as one text, in which no line ends between a number and its sign."""
    text = " ".join(filter(None, sentences))
    return text.replace(" %", NARROW + "%").replace(" – ", f"{NARROW}–{NARROW}")


def _of_winning(numbers: dict[str, Any], judge: str) -> str:
    """Whether the judge prefers what is written after training; its preference is not people's."""
    rate, low, high = (numbers.get(f"{WINRATE}{judge}{end}") for end in ("", "/low", "/high"))
    if not (_finite(rate) and _finite(low) and _finite(high)):
        return ""
    told = {
        "judge": JUDGES.get(judge, judge),
        "rate": number(100 * rate),
        "low": number(100 * low),
        "high": number(100 * high),
    }
    if judge in PARTIAL:
        said = str(PARTIAL[judge])
    elif low > EVEN:
        said = gettext(
            "%(judge)s prefers what it writes now to what it wrote before: %(rate)s %% (95 %%: %(low)s – %(high)s %%)."
        )
    elif high < EVEN:
        said = gettext(
            "%(judge)s prefers what it wrote before training: what it writes now wins %(rate)s %% (95 %%: "
            "%(low)s – %(high)s %%)."
        )
    else:
        said = gettext(
            "%(judge)s sees no difference at 95 %%: what it writes now wins %(rate)s %% (%(low)s – %(high)s %%)."
        )
    return capfirst(said % told)


def _of_length(numbers: dict[str, Any]) -> str:
    before, after = numbers.get("length/before"), numbers.get("length/after")
    if not (_finite(before) and _finite(after)) or before <= 0 or abs(after / before - 1) < LONGER:
        return ""
    return (
        gettext(
            "Its texts are %(times)s times as long as before: a judge that likes length would prefer them for that."
        )
        % {"times": number(after / before, 1)}
        if after > before
        else gettext("Its texts are %(times)s times as long as before.") % {"times": number(after / before, 1)}
    )


def stopped(numbers: dict[str, Any]) -> str:
    """Why a run ended before its last step by its own decision; empty where it did not."""
    alarm = numbers.get("stopped-by")
    return str(ALARMS.get(alarm, alarm)) if isinstance(alarm, str) else ""


def _of_accuracy(numbers: dict[str, Any], name: str = "accuracy") -> str:
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
    if _too_few(numbers):
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


def _too_few(numbers: dict[str, Any]) -> bool:
    """Whether an interval is no evidence. A trainer that does not tell on how much it measured is not held to have too little."""
    told = [
        (numbers[name], least)
        for name, least in (
            ("prompts/heldout", FEW_PROMPTS),
            ("groups/heldout", FEW_PROMPTS),
            ("pairs/heldout", FEW_PAIRS),
        )
        if _finite(numbers.get(name))
    ]
    return bool(told) and all(count < least for count, least in told)


def held_out(numbers: dict[str, Any]) -> tuple[int, int] | None:
    """(comparisons, prompts) that were measured on."""
    pairs, prompts = numbers.get("pairs/heldout"), numbers.get("prompts/heldout", numbers.get("groups/heldout"))
    return (round(pairs), round(prompts)) if _finite(pairs) and _finite(prompts) and pairs and prompts else None


def judgements_behind(snapshot: Snapshot) -> list[Judgement]:
    """The first judgements that a snapshot was made of, with their items and annotators."""
    ids = snapshot.first_judgement_ids(SHOWN_JUDGEMENTS)
    return list(Judgement.objects.filter(pk__in=ids).select_related("item", "member").order_by("item__position", "id"))


def made_with(run: Run) -> list[configuring.Field]:
    """The run's settings under the names of its form and in its order; of a trainer that is gone, by the alphabet."""
    try:
        schema = listing().trainers[run.trainer]["schema"]
    except (ListingFailed, KeyError):
        schema = {}
    known = [field for field in configuring.fields(schema, run.config, {}) if field.name in run.config]
    others = sorted(run.config.keys() - {field.name for field in known})
    plain = {"properties": {name: {"title": name} for name in others}}
    return known + configuring.fields(plain, run.config, {})


def took(run: Run) -> str:
    """How long it ran, in words."""
    if not run.started_at or not run.ended_at:
        return ""
    return duration((run.ended_at - run.started_at).total_seconds())


def duration(seconds: float) -> str:
    """`2 h 5 min`, `3 min 20 s` or `12 s`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"

"""Ranks every trainer by what the project has: which fit, which nearly, which not, and why.

A verdict comes from what a trainer itself declares to need, so third parties' trainers are judged as ours are. Rules from
studies (rules.toml) then speak for a method, against it, or say what should be there first; a trainer of which no rule speaks
is ranked by its needs alone, and that is said.

A trainer that makes another kind of model from other rows (`yields_from`) is several methods, one for each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext

from annotation.models import Project
from feinschliff.trainer import roles_from, verbs_from
from training import casting
from training.advising import ruling, wording
from training.advising.counting import HELDOUT
from training.advising.looking import Have, is_proven
from training.catalogue import switching
from training.catalogue.listing import Listing, title_of

FITS, NEARLY, NOT = "fits", "nearly", "not"
VERDICTS = (FITS, NEARLY, NOT)
#: what stands between a method and its start: nothing, a switch, a model that can be trained here, rows
READY, SWITCH, MODEL, ROWS, NEVER = range(5)


@dataclass(frozen=True)
class Reason:
    """What a rule says here, and on what grounds."""

    rule: ruling.Rule
    text: str

    @property
    def effect(self) -> str:
        return self.rule.effect

    @property
    def sources(self) -> list[ruling.Source]:
        return [ruling.book().sources[key] for key in self.rule.source]


@dataclass(frozen=True)
class Method:
    """One trainer on one kind of rows, judged. `why` is the reason in one sentence, `missing` what would have to be there."""

    trainer: Mapping[str, Any]
    kind: str
    rows: int
    yields: tuple[str, ...]
    asks: Mapping[str, str]
    verdict: str
    distance: int
    why: str
    missing: tuple[str, ...]
    reasons: tuple[Reason, ...]
    models: Mapping[str, str]
    is_off: bool

    @property
    def name(self) -> str:
        return str(self.trainer["name"])

    @property
    def key(self) -> tuple[str, str]:
        return self.name, self.kind

    @property
    def points(self) -> int:
        return sum(reason.rule.points for reason in self.reasons)

    @property
    def can_start(self) -> bool:
        return self.distance == READY

    @property
    def has_rules(self) -> bool:
        return bool(self.reasons)

    @property
    def settings(self) -> dict[str, Any]:
        """What rules say of its form, as far as it has such settings."""
        known = self.trainer["schema"].get("properties", {})
        told = {name: value for reason in self.reasons for name, value in reason.rule.settings.items()}
        return {name: value for name, value in told.items() if name in known}


def methods(project: Project, have: Have, found: Listing) -> list[Method]:
    """Every method that is installed, the one to take first. Those of plugins that are off here are judged too."""
    on, players = switching.offered(project, found), _Players(project, have, found)
    judged = [
        _Judge(have, trainer, kinds, on, players).method()
        for trainer in found.trainers.values()
        for kinds in _by_result(trainer)
    ]
    judged = [_waiting_for_maker(method, judged) for method in judged]
    return sorted(judged, key=_place)


def _place(method: Method) -> tuple[bool, bool, int, int, int]:
    """What fits not at all stands last, before it what more speaks against than for; then what can start, and has most for it.

    So one that lacks something small comes before one that could start and would not help.
    """
    return (
        method.verdict == NOT, method.points < 0, method.distance, -method.points, VERDICTS.index(method.verdict),
    )  # fmt: skip


def _by_result(trainer: Mapping[str, Any]) -> list[list[str]]:
    """Its kinds of rows, those together from which it makes models with the same verbs."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for kind in trainer["needs"]["rows"]:
        alike.setdefault(tuple(verbs_from(trainer, kind)), []).append(kind)
    return list(alike.values())


class _Judge:
    """Judges one trainer on the best of some kinds of rows."""

    def __init__(
        self, have: Have, trainer: Mapping[str, Any], kinds: Sequence[str], on: Mapping[str, Any], players: _Players
    ) -> None:
        self.have, self.trainer, self.on, self.players = have, trainer, on, players
        self.needs: Mapping[str, Any] = trainer["needs"]
        self.kind = self._best_of(kinds)
        self.kinds = kinds
        self.yields = tuple(verbs_from(trainer, self.kind))
        self.asks = roles_from(self.needs, self.kind, optional=False)
        self.facts = self._facts()
        self.reasons = self._reasons()

    def _best_of(self, kinds: Sequence[str]) -> str:
        """Enough rows first, then kinds that answers give themselves, then the trainer's own order."""
        train, direct = self.have.counted.train, self.have.counted.direct
        return min(kinds, key=lambda kind: (
            train.get(kind, 0) < self.needs["at_least"], not train.get(kind, 0), kind not in direct, kinds.index(kind)
        ))  # fmt: skip

    def _facts(self) -> dict[str, float | None]:
        """The project's, and those of the rows at hand. Rows that name no task are of one."""
        rows = self.have.counted.rows.get(self.kind, 0)
        tasks = max(self.have.counted.tasks.get(kind, min(1, rows)) for kind in self.kinds)
        return {**self.have.facts, "rows": rows, "tasks": tasks}

    def _reasons(self) -> tuple[Reason, ...]:
        """Of a method without any rows no rule speaks."""
        if not self.facts["rows"]:
            return ()
        about = {
            "trainer": self.trainer["name"], "family": self.trainer["family"], "kind": self.kind, "yields": self.yields,
            "asks": self.asks.values(),
        }  # fmt: skip
        speaking = [rule for rule in ruling.book().rule if rule.of.means(**about) and rule.holds(self.facts)]
        speaking.sort(key=lambda rule: (ruling.EFFECTS.index(rule.effect), -rule.weight))
        if speaking and speaking[0].effect == "rules-out":
            speaking = speaking[:1]  # nothing else matters then
        return tuple(Reason(rule, ruling.said(rule.text, self.facts)) for rule in speaking)

    def method(self) -> Method:
        distance, missing = self._distance()
        effects = {reason.effect for reason in self.reasons}
        why = self._why(distance, missing)
        if "rules-out" in effects or not self.facts["rows"]:
            distance, missing = NEVER, []
        elif "stops" in effects and distance < ROWS:
            distance = ROWS
        missing += [text for reason in self.reasons for text in self._short_of(reason)]
        verdict = self._verdict(distance, "waits" in effects)
        return Method(
            trainer=self.trainer, kind=self.kind, rows=self.have.counted.rows.get(self.kind, 0), yields=self.yields,
            asks=self.asks, verdict=verdict, distance=distance, why=why,
            missing=tuple(missing), reasons=self.reasons, models=self._models(), is_off=self.is_off,
        )  # fmt: skip

    @property
    def is_off(self) -> bool:
        return self.trainer["name"] not in self.on

    def _distance(self) -> tuple[int, list[str]]:
        """How far it is from starting, and what is missing for that."""
        if self.needs.get("gpu") and self.have.facts["gpus"] == 0:
            return NEVER, [gettext("a GPU")]
        distance, missing = READY, []
        if self.is_off:
            distance = SWITCH
            missing.append(gettext("its plugin, %(plugin)s, switched on") % {"plugin": self.trainer["plugin"]})
        models = self._models()
        for role, verb in self.asks.items():
            if role not in models:
                distance = MODEL
                missing.append(gettext("a model that can %(verb)s") % {"verb": verb})
        short = self.needs["at_least"] - self.have.counted.train.get(self.kind, 0)
        if short > 0:
            distance = ROWS
            missing.append(wording.about_more(self.kind, math.ceil(short / (1 - HELDOUT))))
        least = self.needs.get("tasks", 1)
        if self.facts["rows"] and (self.facts["tasks"] or 0) < least:
            distance = ROWS
            missing.append(gettext("rows of %(n)s tasks") % {"n": least})
        return distance, missing

    def _verdict(self, distance: int, waits: bool) -> str:
        if distance == NEVER or not self.facts["rows"]:
            return NOT
        return NEARLY if waits or distance != READY else FITS

    def _short_of(self, reason: Reason) -> list[str]:
        """“about 290 more rankings”: what a rule wants more of, in rows of the kind at hand."""
        rows, found = self.facts["rows"], []
        for name, enough in reason.rule.short_of.items():
            there = self.facts.get(name) or 0
            each = there / rows if rows and there else 1
            found.append(wording.about_more(self.kind, math.ceil((enough - there) / each)))
        return found

    def _why(self, distance: int, missing: list[str]) -> str:
        """The reason in a sentence. What stops a method is said before what it lacks, and that before what speaks for it."""
        if not self.facts["rows"]:
            kinds = wording.either([wording.rows(kind) for kind in self.kinds])
            return gettext("It learns from %(kinds)s, and there are none here.") % {"kinds": kinds}
        first = self.reasons[0] if self.reasons else None
        if first and first.effect in ("rules-out", "stops"):
            return first.text
        if distance != READY:
            return gettext("It lacks %(missing)s.") % {"missing": wording.both(missing)}
        if first:
            return first.text
        return gettext(
            "All that it needs is there. No study that is known here speaks of it: it is ranked by its needs alone."
        )

    def _models(self) -> dict[str, str]:
        """Role -> the model that the launch form would offer. A judge that is proven looks on where the trainer can use one."""
        environment = str(self.trainer.get("environment", ""))
        models = {role: self.players.first(verb, environment) for role, verb in self.asks.items()}
        if "score" not in self.asks.values() and self.players.judge:
            models |= {
                role: self.players.judge for role, verb in casting.optional(self.trainer).items() if verb == "score"
            }
        return {role: ref for role, ref in models.items() if ref}


class _Players:
    """Who could play a role, looked up once for all trainers."""

    def __init__(self, project: Project, have: Have, found: Listing) -> None:
        self.project, self.found = project, found
        proven = (one.ref for one in have.models if "score" in one.yields and is_proven(one.run.numbers))
        self.judge = next(proven, "")
        self.known: dict[tuple[str, str], str] = {}

    def first(self, verb: str, environment: str) -> str:
        """The model that the launch form offers for a verb; a proven judge before others. Empty where there is none."""
        if verb == "score" and self.judge:
            return self.judge
        if (verb, environment) not in self.known:
            self.known[verb, environment] = casting.first(casting.choices(environment, self.project, verb, self.found))
        return self.known[verb, environment]


def _waiting_for_maker(method: Method, judged: Sequence[Method]) -> Method:
    """One that lacks a model: with who could make that here; where nobody can, it fits not at all."""
    lacks = [verb for role, verb in method.asks.items() if role not in method.models]
    if method.verdict == NOT or not lacks:
        return method
    makers = [[other for other in judged if other.can_start and verb in other.yields] for verb in lacks]
    if all(makers):
        titles = wording.either(list(dict.fromkeys(title_of(other.trainer) for other in makers[0])))
        first = gettext("%(trainers)s makes one from what is here.") % {"trainers": titles}
        return replace(method, why=f"{method.why} {first}")
    nowhere = next(verb for verb, able in zip(lacks, makers, strict=True) if not able)
    why = gettext("It needs a model that can %(verb)s, and there is nothing here yet to train one on.")
    return replace(method, verdict=NOT, distance=NEVER, missing=(), why=why % {"verb": nowhere})

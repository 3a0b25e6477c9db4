"""The form a run is launched from: first which trainer, then its own settings, models, data, and what was looked at before."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from annotation.models import Project
from annotation.requests import ProjectRequest
from training import casting, configuring, launching, preflighting
from training.catalogue import switching
from training.catalogue.listing import ListingFailed, listing
from training.models import Run, Snapshot
from training.preflighting import FAULT, WARNING, Check
from training.preflighting.chosen import title_of_setting
from webapp.people.permitting import project

FAMILIES = {
    "human-feedback": _("From what people prefer"), "supervised": _("From answers to learn"),
    "self-supervised": _("From texts alone"),
}  # fmt: skip
SHOWN_SETTINGS = 8  # a longer form folds the rest


@project("train")
def new(request: ProjectRequest, slug: str) -> HttpResponse:
    """First which trainer, then its form. `?from=<run>` starts from another run's settings; `only=check` launches nothing."""
    try:
        found = listing()
    except ListingFailed as wrong:
        return render(request, "training/new_run.html", {"project": request.project, "failed": str(wrong)})
    trainers = switching.offered(request.project, found)
    source = _source(request)
    name = request.POST.get("trainer") or request.GET.get("trainer") or (source.trainer if source else "")
    if not name and len(trainers) == 1 == len(found.trainers):
        name = next(iter(trainers))
    offered = trainers.get(name)
    if offered is None:
        return render(request, "training/new_run.html", _picker(request, trainers, found.trainers.get(name)))
    values = _start(source, request, offered)
    faults: dict[str, str] = {}
    checks: list[Check] = []
    if request.method == "POST":
        values, faults = _values(request, offered)
        if request.POST.get("only") == "check":
            checks = _checks(request, offered, values, faults)
        elif not faults:
            try:
                run = launching.launch(
                    project=request.project, trainer=name, actor=request.user, launched_from=source,
                    name=request.POST.get("name", ""),
                    snapshot=get_object_or_404(_named(request.project, request.POST.get("snapshot", ""))),
                    **values,
                )  # fmt: skip
            except launching.CannotLaunch as wrong:
                faults = wrong.faults
            else:
                return redirect("run", slug=slug, run_id=run.pk)
    context = _form(request, offered, values, faults, source) | _told(checks)
    return render(request, "training/new_run.html", context, status=400 if faults else 200)


@project("train")
@require_POST
def check(request: ProjectRequest, slug: str) -> HttpResponse:
    """What was looked at, as a piece of the form's page, for what the form holds now. Launches nothing."""
    try:
        offered = switching.offered(request.project, listing()).get(request.POST.get("trainer", ""))
    except ListingFailed:
        offered = None
    if offered is None:
        return HttpResponse(gettext("There is no such trainer in this project."), status=400, content_type="text/plain")
    values, faults = _values(request, offered)
    return render(request, "training/preflight.html", _told(_checks(request, offered, values, faults)))


def _checks(
    request: ProjectRequest, offered: dict[str, Any], values: dict[str, Any], faults: dict[str, str]
) -> list[Check]:
    whole = launching.defaults(offered["schema"]) | values["config"]
    wrong = launching.config_faults(offered, whole) | faults
    snapshot = _named(request.project, request.POST.get("snapshot", "")).first()
    found = preflighting.check(
        project=request.project, trainer=offered, snapshot=snapshot, config=whole, models=values["models"],
        ranks=values["ranks"],
    )  # fmt: skip
    known = offered["schema"].get("properties", {})
    return [Check(name, FAULT, title_of_setting(known, name), text) for name, text in wrong.items()] + found


def _told(checks: list[Check]) -> dict[str, Any]:
    counts = {level: sum(1 for one in checks if one.level == level) for level in (FAULT, WARNING)}
    return {"checks": checks, "check_faults": counts[FAULT], "check_warnings": counts[WARNING]}


def _named(project: Project, text: str) -> QuerySet[Snapshot]:
    """The snapshot with that hash, if there is one; whatever else stands in an address is none."""
    return project.snapshots.filter(hash=text) if text.isalnum() else project.snapshots.none()


def _picker(request: ProjectRequest, trainers: dict[str, Any], missed: dict[str, Any] | None) -> dict[str, Any]:
    """Trainers by family, each with what it needs and how much of that the project has.

    `?snapshot=<hash>` is what shall be trained on: it alone is counted, and who can learn from it comes first.
    """
    project, have = request.project, dict[str, int]()
    chosen = _named(project, request.GET.get("snapshot", "")).first()
    for snapshot in [chosen] if chosen else project.snapshots.all()[:100]:
        have[snapshot.rows] = max(have.get(snapshot.rows, 0), snapshot.counts["train"])
    families = [
        {"title": title, "trainers": _cards([one for one in trainers.values() if one["family"] == family], have, chosen)}
        for family, title in FAMILIES.items()
    ]  # fmt: skip
    off = switching.off(project, listing())
    return {
        "project": project, "families": [family for family in families if family["trainers"]], "off": off,
        "missed": missed, "on": chosen,
    }  # fmt: skip


def _cards(trainers: list[dict[str, Any]], have: dict[str, int], chosen: Snapshot | None) -> list[dict[str, Any]]:
    cards = [_card(one, have) | {"fits": chosen is None or chosen.rows in one["needs"]["rows"]} for one in trainers]
    return sorted(cards, key=lambda card: not card["fits"])


def _card(trainer: dict[str, Any], have: dict[str, int]) -> dict[str, Any]:
    needs = trainer["needs"]
    there, kind = max((have.get(kind, 0), kind) for kind in needs["rows"])
    return {"trainer": trainer, "there": there, "kind": kind, "enough": there >= needs["at_least"]}


def _source(request: ProjectRequest) -> Run | None:
    number = request.GET.get("from", "")
    named = number.isascii() and number.isdigit() and len(number) < 19
    return request.project.runs.filter(pk=int(number)).first() if named else None


def _start(source: Run | None, request: ProjectRequest, offered: dict[str, Any]) -> dict[str, Any]:
    """What the form holds before anything was sent: of a run, or what the address names (`?config-x=..&model-base=..`)."""
    if source is None:
        named = {key.removeprefix("config-") for key in request.GET if key.startswith("config-")}
        config, _ = configuring.read(offered["schema"], request.GET)
        models = {
            role: request.GET[f"model-{role}"] for role in casting.verbs(offered) if f"model-{role}" in request.GET
        }
        return {
            "config": {name: value for name, value in config.items() if name in named}, "models": models, "seed": 0,
            "ranks": 1,
        }  # fmt: skip
    return {"config": source.config, "models": source.models_used, "seed": source.seed, "ranks": source.ranks}


def _values(request: ProjectRequest, offered: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    config, faults = configuring.read(offered["schema"], request.POST)
    models = {}
    for role in casting.verbs(offered):
        ref = request.POST.get(f"other-{role}", "").strip() or request.POST.get(f"model-{role}", "").strip()
        if role not in casting.optional(offered) or ref not in ("", casting.NONE):
            models[role] = ref
    numbers = {"seed": 0, "ranks": 1}
    for name, least in numbers.items():
        text = request.POST.get(name, "").strip() or str(least)
        if text.isascii() and text.isdigit() and len(text) < 11:
            numbers[name] = int(text)
        else:
            faults[name] = gettext("a whole number was expected, %(least)s or more") % {"least": least}
    return {"config": config, "models": models, **numbers}, faults


def _form(
    request: ProjectRequest, offered: dict[str, Any], values: dict[str, Any], faults: dict[str, str], source: Run | None
) -> dict[str, Any]:
    needs = offered["needs"]
    config = values["config"]
    if request.method == "POST":  # what was typed stays, also where it was wrong
        typed = {name: request.POST.get(f"config-{name}") for name in faults}
        config = config | {name: text for name, text in typed.items() if text is not None}
    chosen = request.POST.get("snapshot") or request.GET.get("snapshot") or (source.snapshot.hash if source else "")
    suited = [s for s in request.project.snapshots.all()[:100] if s.rows in needs["rows"]]
    known = (
        set(offered["schema"].get("properties", {}))
        | set(casting.verbs(offered))
        | {"seed", "ranks", "snapshot", "name"}
    )
    fields, folds = configuring.folded(configuring.fields(offered["schema"], config, faults), SHOWN_SETTINGS)
    return {
        "project": request.project,
        "trainer": offered,
        "run_name": request.POST.get("name", ""),
        "fields": fields,
        "folds": folds,
        "roles": casting.cast(
            offered,
            request.project,
            values["models"] if request.method == "POST" or source or values["models"] else None,
            faults,
            switching.offered(request.project, listing()),
            rows=next(
                (snapshot.rows for snapshot in suited if snapshot.hash == chosen), suited[0].rows if suited else ""
            ),
            others=[snapshot.rows for snapshot in suited],
        ),
        "snapshots": suited,
        "chosen": chosen or (suited[0].hash if suited else ""),
        "seed": request.POST.get("seed", "") if "seed" in faults else values["seed"],
        "ranks": request.POST.get("ranks", "") if "ranks" in faults else values["ranks"],
        "faults": faults,
        "other_faults": [text for name, text in faults.items() if name not in known],
        "unsuited": request.project.snapshots.count() - len(suited),
        "again": f"?from={source.pk}" if source else "",
        "asked": request.GET.get("snapshot", "") if chosen in {snapshot.hash for snapshot in suited} else "",
        "passed_over": bool(chosen and suited) and chosen not in {snapshot.hash for snapshot in suited},
        "is_only_one": len(listing().trainers) == 1,
    }

"""Looks before a run is launched: rows, models, memory, disk, device, queue. Facts block a launch; estimates warn.

The launch page shows this while its form is filled, `manage.py train` prints it, and `launching.launch` refuses by it: one
function for the three. A check is named after the field it is about, so that a form can say it there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext

from annotation.models import Project
from training.catalogue import describing, switching
from training.catalogue.listing import listing
from training.models import Snapshot
from training.preflighting import chosen, roles, room
from training.preflighting import rows as rows_of
from training.preflighting.looked import FAULT, OK, WARNING, Check

__all__ = ["FAULT", "LEARNS", "OK", "WARNING", "Check", "check", "faults"]
LEARNS = "base"  # the role of the model that learns, where a trainer has several


def check(
    *,
    project: Project,
    trainer: Mapping[str, Any],
    snapshot: Snapshot | None,
    config: Mapping[str, Any],
    models: Mapping[str, str],
    ranks: int = 1,
) -> list[Check]:
    """Everything that can be known before the run starts, as it stands now. `trainer` is its listing."""
    is_off = switching.refusal(project, dict(trainer), listing())
    found = [Check("trainer", FAULT, gettext("Plugin"), is_off)] if is_off else []
    found.append(rows_of.look(trainer, snapshot, project))
    rows = snapshot.rows if snapshot else ""
    wrong = list(roles.wrong_strings(trainer, models, project, rows))
    found += wrong
    abouts = {}
    if not wrong:
        abouts = {role: describing.about(ref, trainer.get("environment", "")) for role, ref in models.items()}
        found += [roles.warned(roles.verb(trainer, role, about, rows), models[role]) for role, about in abouts.items()]
    found += chosen.look(trainer, config)
    found += room.processes(trainer, ranks)
    found.append(room.device(trainer))
    learning = {role: about for role, about in abouts.items() if role == LEARNS} or abouts
    parameters = sum(about.parameters for about in learning.values())
    others = sum(about.parameters for role, about in abouts.items() if role not in learning)
    if parameters:
        found.append(room.memory(trainer, parameters, others, ranks))
    found.append(room.disk_space(trainer, parameters))
    found.append(room.queue())
    return found


def faults(checks: list[Check]) -> dict[str, str]:
    """What blocks the launch, by name."""
    return {one.name: one.sentence for one in checks if one.level == FAULT}

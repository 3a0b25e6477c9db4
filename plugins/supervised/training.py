"""The door of `task-specific`: what the rows are decides what is trained, a model that writes or one that sorts."""

from typing import Any

from feinschliff import NeedsNotMet, Run
from feinschliff.rows import kind_of


def train(run: Run) -> dict[str, Any]:
    """Returns the final numbers, or nothing when it was asked to stop on the way."""
    kinds = {kind_of(row) for row in run.rows("train")}
    if len(kinds) > 1:
        raise NeedsNotMet("these rows are demonstrations and labels in one: make a snapshot of each, and a run of each")
    if kinds == {"label"}:
        from plugins.supervised import labelling

        return labelling.train(run)
    from plugins.supervised import demonstrating

    return demonstrating.train(run)

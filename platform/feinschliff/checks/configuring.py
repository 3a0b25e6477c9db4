"""Are a trainer's settings fit for a form: defaults, help, limits, and the way through JSON and back?"""

import json
from collections.abc import Sequence

from pydantic import ValidationError

from feinschliff.checks.bench import Bench, must
from feinschliff.manager import load
from feinschliff.trainer import config_faults


def settings_explain_themselves(bench: Bench, trainer: str) -> None:
    child = bench.python("settings", trainer, *bench.modules)
    must(child.status == 0, f"its settings could not be read: {child.last_words}")
    found = json.loads(child.stdout.strip().splitlines()[-1])
    must(not found, "; ".join(found))


def faults(trainer: str, modules: Sequence[str]) -> list[str]:
    """What is wrong with the settings of a trainer; runs in a child, since it imports the plugin."""
    config = load(modules).trainers[trainer].config
    found = config_faults(config)
    try:
        fresh = config()
        again = config.model_validate_json(fresh.model_dump_json())
        config.model_json_schema()
    except (ValidationError, ValueError, TypeError) as error:
        return [*found, f"its defaults do not survive JSON: {error}".replace("\n", " ")]
    return found if again == fresh else [*found, "its defaults come back changed from JSON"]

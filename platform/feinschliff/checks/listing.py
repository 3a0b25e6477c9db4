"""Is the plugin accepted, and is listing it light? A site lists all plugins whenever one is installed."""

import json

from feinschliff.checks.bench import Bench, must
from feinschliff.manager import HEAVY

ALSO_HEAVY = ("numpy", "scipy", "pandas", "sklearn", "datasets", "trl", "peft", "ray")
SECONDS = 1.0


def listing_is_light_and_quick(bench: Bench) -> None:
    name = bench.found.name
    refused = [f"{one['plugin']}: {one['reason']}" for one in bench.listing["refusals"] if one["plugin"] == name]
    must(not refused, f"it is refused: {'; '.join(refused)}")
    there = ", ".join(one["name"] for one in bench.listing["trainers"])
    must(bool(bench.trainers), f"the plugin {name!r} offers no trainer; listed are: {there or 'none'}")
    looks = [bench.python("look", name, *bench.found.modules) for _ in range(2)]
    found = min((json.loads(look.stdout.splitlines()[-1]) for look in looks), key=lambda one: one["seconds"])
    heavy = [module for module in (*HEAVY, *ALSO_HEAVY) if module in found["modules"]]
    must(not heavy, f"being listed loads {', '.join(heavy)}; import that inside the function that trains")
    must(
        found["seconds"] < SECONDS,
        f"loading it takes {found['seconds']:.1f} s of processor time; a plugin stays below {SECONDS:g} s",
    )

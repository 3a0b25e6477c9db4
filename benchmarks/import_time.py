"""How long importing the contract takes, beside what it cannot do without: pydantic alone, with one model made.

Every plugin listing and every run starts with this import. Fresh processes, the variants taking turns so that they meet
the same machine; medians of processor time and wall time, one JSON object a line, the ratio last.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

PLATFORM = Path(__file__).resolve().parents[1] / "platform"
MODEL = "from pydantic import BaseModel, Field\nclass One(BaseModel):\n    steps: int = Field(default=1, ge=1)\n"
VARIANTS = {
    "python": "",
    "pydantic": MODEL,
    "pydantic + pluggy": MODEL + "import pluggy\n",
    "feinschliff": "import feinschliff\n",
    "python -m feinschliff": "import feinschliff.__main__\n",
}
CLOCK = """import time
wall, processor = time.perf_counter(), time.process_time()
{code}
print(time.perf_counter() - wall, time.process_time() - processor)
"""


def once(code: str) -> tuple[float, float]:
    """(wall, processor) seconds of some imports in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", CLOCK.format(code=code)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PLATFORM)},
        capture_output=True,
        text=True,
        check=True,
    )
    wall, processor = map(float, done.stdout.split())
    return wall, processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=15)
    times = parser.parse_args().times
    for code in VARIANTS.values():
        once(code)  # fills the caches of compiled files and of the disk
    rounds = [{name: once(code) for name, code in VARIANTS.items()} for _ in range(times)]
    medians = {}
    for name in VARIANTS:
        wall, processor = (statistics.median(found[name][place] for found in rounds) for place in (0, 1))
        medians[name] = processor
        found = {"imports": name, "wall_ms": round(wall * 1000, 1), "processor_ms": round(processor * 1000, 1)}
        print(json.dumps(found | {"times": times}))
    ratio = medians["feinschliff"] / medians["pydantic"]
    print(json.dumps({"feinschliff/pydantic": round(ratio, 2), "of": "processor time"}))


if __name__ == "__main__":
    main()

"""Lines of a file that a project's questions can take as they are: what the import page shows."""

from __future__ import annotations

import json
from typing import Any

from annotation import asking
from annotation.models import Project

PROMPTS = ("Explain tides.", "Name a prime.")
ANSWERS = (
    ("The moon pulls ...", "Tides are ...", "Water ...", "Twice a day ..."),
    ("Seven.", "Nine.", "Eight.", "One."),
)
RANKS = (1, 2, 2, 4)


def example_lines(project: Project) -> str:
    """Two JSON objects, one a line; the second with ranks and a demonstration, if questions can have imported ones."""
    fewest, most = asking.limits(project)
    count = 0 if fewest == 0 else min(max(3, fewest), most)
    ranked = asking.ranked_question(project) is not None
    lines = []
    for number, prompt in enumerate(PROMPTS):
        record: dict[str, Any] = {"id": f"a{number + 1}", "prompt": prompt}
        if count:
            record["responses"] = [ANSWERS[number][at % 4] for at in range(count)]
        if ranked and number:
            record["ranks"] = [RANKS[at % 4] for at in range(count)]
        if number and asking.demonstrated_question(project):
            record["demonstration"] = "Seven: only 1 and 7 divide it."
        lines.append(json.dumps(record, ensure_ascii=False))
    return "\n".join(lines)

"""What a project's judgements become for trainers, read from the files of a snapshot."""

from __future__ import annotations

import json
from typing import Any

from annotation.models import Project
from training import freezing


def frozen(project: Project, kind: str) -> list[dict[str, Any]]:
    """All rows of that kind, from both sides of the split, without the bookkeeping that every row carries."""
    folder = freezing.folder(freezing.freeze(project=project, rows=kind))
    lines = [line for split in freezing.SPLITS for line in (folder / f"{split}.jsonl").read_text("utf-8").splitlines()]
    carried = {"weight", "item", "annotators", "group", "judgements"}
    return [{name: value for name, value in json.loads(line).items() if name not in carried} for line in lines]

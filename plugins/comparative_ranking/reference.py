"""What the base thinks of each answer, before it is trained: worked out once, and kept for later runs on the same base.

Half of what comparing with a reference costs is this. The values of a ranking depend on its tokens and the base's weights
alone: each ranking goes through the model by itself, so that they are the same, bit for bit, whatever else was worked out
with it or found in the cache. A file of the cache holds the rankings of one run that were not known before.
"""

import hashlib
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from feinschliff import Run
from plugins.comparative_ranking.reading import Ranked
from plugins.comparative_ranking.rewards import Answers, quiet
from plugins.lib import ranks
from plugins.lib.policies import Policy

AT_ONCE = 32  # rankings between two looks at whether to stop
KEEP_EVERY_S = 120
Values = dict[str, list[float]]


def with_reference(
    run: Run, rows: Sequence[Ranked], policy: Policy, answers: Answers, base: Path
) -> list[Ranked] | None:
    """The rows with their log-probabilities under the policy as it is now, the base; None when asked to stop on the way.

    Raises FloatingPointError where the base's own numbers are none.
    """
    if not sound(policy):
        raise FloatingPointError("the base's weights are not all numbers: it is broken, and nothing was trained")
    cache = Cache(run.cache, fingerprint(policy, base))
    known = ranks.gathered(run, [cache.read()])[0]  # the first rank's: files come and go
    by_key = {digest(row): row for row in rows}
    missing = [(key, row) for key, row in by_key.items() if len(known.get(key, ())) != len(row.sequences)]
    if missing:
        run.state("loading", f"the base reads {len(missing)} rankings; {len(by_key) - len(missing)} are known already")
    found: Values = {}
    saved = time.monotonic()
    for start in range(0, len(missing), AT_ONCE):
        if ranks.agreed(run):
            cache.add(run, found)
            return None
        part = missing[start : start + AT_ONCE]
        mine = [values(answers, row) for _, row in ranks.share(run, part)]
        found |= dict(zip((key for key, _ in part), ranks.gathered(run, mine), strict=True))
        if time.monotonic() - saved > KEEP_EVERY_S:
            cache.add(run, found)
            saved = time.monotonic()
    cache.add(run, found)
    known |= found
    return [replace(row, reference=tuple(known[digest(row)])) for row in rows]


def sound(policy: Policy) -> bool:
    import torch

    return all(bool(torch.isfinite(weight).all()) for weight in policy.model.parameters())


def values(answers: Answers, row: Ranked) -> list[float]:
    """The log-probability of each of a ranking's answers, in nats."""
    with quiet(answers.policy.model):
        found: list[float] = answers.logps(row.sequences).tolist()
    if not all(map(math.isfinite, found)):
        raise FloatingPointError("the base's log-probabilities are not numbers: it is broken, and nothing was trained")
    return found


def digest(row: Ranked) -> str:
    """What tells a ranking's tokens from all others'; where its answers begin is part of it."""
    told = json.dumps([[one.ids, len(one.ids) - sum(one.types)] for one in row.sequences])
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def fingerprint(policy: Policy, base: Path) -> str:
    """What the values depend on beside the tokens: weights, config, vocabulary, precision, device, library."""
    import torch

    told = hashlib.sha256()
    for path in [*sorted(base.glob("*.safetensors")), base / "config.json"]:
        told.update(path.name.encode())
        with path.open("rb") as file:
            told.update(hashlib.file_digest(file, "sha256").digest())
    weight = policy.model.get_input_embeddings().weight
    told.update(f"{len(weight)}/{weight.dtype}/{policy.device.type}/{torch.__version__}".encode())
    return told.hexdigest()[:32]


class Cache:
    """Files in a folder that outlives the run; a broken or missing one costs time and nothing else."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder / f"reference-{name}"
        self._kept: set[str] = set()

    def read(self) -> Values:
        found: Values = {}
        for path in sorted(self.folder.glob("*.json")):
            try:
                kept = json.loads(path.read_text(encoding="utf-8"))
                found |= {str(key): _numbers(one) for key, one in kept.items()}
            except (OSError, ValueError, TypeError, AttributeError):
                continue
        self._kept = set(found)
        return found

    def add(self, run: Run, values: Mapping[str, Sequence[float]]) -> None:
        """Keeps what is not kept yet, in a file that appears whole or not at all. A full disk must not end the run."""
        fresh = {key: list(one) for key, one in values.items() if key not in self._kept}
        if run.rank != 0 or not fresh:
            return
        text = json.dumps(fresh)
        name = hashlib.sha256(text.encode()).hexdigest()[:32]
        draft = self.folder / f".{name}.{os.getpid()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            draft.write_text(text, encoding="utf-8")
            draft.replace(self.folder / f"{name}.json")
        except OSError:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        self._kept |= set(fresh)


def _numbers(values: object) -> list[float]:
    """As they were written; ValueError or TypeError for what is no list of numbers."""
    if not isinstance(values, list) or not all(isinstance(one, float) and math.isfinite(one) for one in values):
        raise ValueError("no list of numbers")
    return values

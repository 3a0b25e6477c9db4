"""Raw texts with a truth planted in them, and runs of the two methods that learn from such texts, within this process.

The colour stands before its noun, so that what decides it stands to the right of it: from the left alone a colour is one of
four, with the right side it is known.
"""

import random
from pathlib import Path
from typing import Any

from feinschliff import Run
from feinschliff.checks.worlds import COLOURS, NOUNS
from feinschliff.run import Stop
from plugins.lib.verbs import CausalModel, EncoderModel
from plugins.self_supervised.contextual_config import ContextualConfig
from plugins.self_supervised.masked_lm_config import MaskedLMConfig
from tests.plugins.small_world import write_rows

Rows = list[dict[str, Any]]
CONFIGS = {"masked-lm": MaskedLMConfig, "contextual": ContextualConfig}


def colour_of(noun: str) -> str:
    return COLOURS[NOUNS.index(noun) % len(COLOURS)]


def right_side(count: int, seed: int, sentences: int = 1) -> Rows:
    """Texts of so many sentences such as "A red river."."""
    rng = random.Random(f"right/{seed}")
    return [
        {
            "text": " ".join(f"A {colour_of(noun)} {noun}." for noun in rng.choices(NOUNS, k=sentences)),
            "group": f"{seed}-{number}",
        }
        for number in range(count)
    ]


class StopAfter(Stop):
    """Asks to end when it was looked at so many times: once before each step, and once at the end."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    @property
    def asked(self) -> bool:  # type: ignore[override]
        self.left -= 1
        return self.left < 0


def a_run(
    folder: Path,
    method: str,
    base: Path,
    train: Rows,
    heldout: Rows,
    *,
    seed: int = 0,
    stop: Stop | None = None,
    **config: float | str,
) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in (("train", train), ("heldout", heldout)):
        write_rows(folder / f"{split}.jsonl", rows)
    opened = CausalModel(base, "cpu") if "causal" in base.name else EncoderModel(base, "cpu")
    return Run(
        folder=folder,
        config=CONFIGS[method].model_validate({"samples": 0, "evaluations": 0, "batch_rows": 16, **config}),
        seed=seed,
        rows={split: folder / f"{split}.jsonl" for split in ("train", "heldout")},
        kinds=("text",),
        opener={"base": opened}.__getitem__,
        device="cpu",
        stop=stop,
    )

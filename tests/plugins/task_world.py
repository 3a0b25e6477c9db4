"""Related tasks on the small world, within this process: what a big task teaches about words, a small one can use.

Every text is of one of six topics and says some of the ten words that tell of it, among words that tell nothing. The big
task asks for the topic. The small one asks which of two halves the topic belongs to, and has too few rows to have seen every
word. Writing: the big task says which topic a word is of, the small one its half.
"""

import random
from pathlib import Path
from typing import Any

from feinschliff import Run
from feinschliff.checks.worlds import NOUNS
from feinschliff.run import Stop
from plugins.lib.verbs import CausalModel, EncoderModel
from plugins.supervised.multi_task_config import MultiTaskConfig
from tests.plugins.small_world import write_rows

Rows = list[dict[str, Any]]
TOPICS = ("farm", "ship", "forge", "court", "stage", "clinic")
HALVES = {topic: "outside" if place < 3 else "inside" for place, topic in enumerate(TOPICS)}
SIGNS = {topic: [f"{topic[0]}{vowel}{end}" for vowel in "aeiou" for end in ("k", "m")] for topic in TOPICS}
SIGNS["forge"] = [word.replace("f", "g") for word in SIGNS["forge"]]
SIGNS["clinic"] = [word.replace("c", "l") for word in SIGNS["clinic"]]


def labels(counts: dict[str, int], seed: int) -> Rows:
    """So many label rows of the tasks `topic` and `half`."""
    rng = random.Random(f"labels/{seed}")
    return [_label(rng, task, f"{seed}-{task}-{n}") for task, count in counts.items() for n in range(count)]


def _label(rng: random.Random, task: str, group: str) -> dict[str, Any]:
    topic = rng.choice(TOPICS)
    words = [rng.choice(NOUNS) for _ in range(3)] + rng.sample(SIGNS[topic], 2)
    rng.shuffle(words)
    label = topic if task == "topic" else HALVES[topic]
    return {"prompt": " ".join(words), "label": label, "task": task, "group": group}


def demonstrations(counts: dict[str, int], seed: int) -> Rows:
    """So many demonstrations of the tasks `topic` and `half`."""
    rng = random.Random(f"demonstrations/{seed}")
    found = []
    for task, count in counts.items():
        for number in range(count):
            topic = rng.choice(TOPICS)
            word = rng.choice(SIGNS[topic])
            said = f"It is of the {topic}." if task == "topic" else f"It is {HALVES[topic]}."
            prompt = f"What is {word}?" if task == "topic" else f"Where is {word}?"
            found.append({"prompt": prompt, "completion": said, "task": task, "group": f"{seed}-{task}-{number}"})
    return found


def a_run(
    folder: Path,
    base: Path,
    train: Rows,
    heldout: Rows,
    *,
    seed: int = 0,
    stop: Stop | None = None,
    fingerprint: str = "",
    **config: float | str | bool,
) -> Run:
    """A run of multi-task on these rows; no texts are written unless `samples` asks for them."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in (("train", train), ("heldout", heldout)):
        write_rows(folder / f"{split}.jsonl", rows)
    opened = CausalModel(base, "cpu") if "causal" in base.name else EncoderModel(base, "cpu")
    models = {"base": opened, "judge": None}
    return Run(
        folder=folder,
        config=MultiTaskConfig.model_validate({"samples": 0, "evaluations": 2, **config}),
        seed=seed,
        rows={split: folder / f"{split}.jsonl" for split in ("train", "heldout")},
        kinds=("label", "demonstration"),
        opener=models.__getitem__,
        device="cpu",
        stop=stop,
        fingerprint=fingerprint,
    )

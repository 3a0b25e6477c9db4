"""PPO on the small world: a tiny policy that has learned to write there, judges, and runs within this process.

Its people dislike "please": `gold` knows that, a `Judge` scores by such a function.
"""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from feinschliff import Run
from feinschliff.checks import worlds
from plugins.base_models.tiny import build_causal
from plugins.lib.policies import Policy, policy_from
from plugins.lib.verbs import CausalModel
from plugins.ppo.config import PPOConfig
from plugins.ppo.reading import Answer, inputs, said
from plugins.reward_model.model import SETTINGS, RewardModel, open_model
from tests.plugins.small_world import write_rows

Prompt = str | list[dict[str, str]]


class Judge:
    """A judge made of a function of the text."""

    def __init__(self, number: Callable[[str], float]) -> None:
        self._number = number

    def score(self, prompt: Prompt, completions: Sequence[str]) -> list[float]:
        return [self._number(text) for text in completions]


def gold(text: str) -> float:
    """What the people of the small world think of an answer: the fewer "please", the better."""
    return -float(text.split().count("please"))


def untrained_judge(folder: Path, base: Path, *, causal: bool = True, heads: int = 1) -> RewardModel:
    """A reward model that has not learned anything yet: a base with random heads, saved and opened."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(3)
    AutoModelForSequenceClassification.from_pretrained(base, num_labels=heads).save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    told = {"causal": causal, "max_length": 256, "prompt_keeps": "start", "outputs": {"heads": heads}}
    (folder / SETTINGS).write_text(json.dumps(told), encoding="utf-8")
    return open_model(folder)


def taught(folder: Path, *, steps: int = 250, seed: int = 0) -> Path:
    """A tiny policy that writes answers of the small world, with zero to three "please" and an end."""
    import torch

    base = folder / "base"
    build_causal(base)
    policy = policy_from(base, seed=seed, device="cpu")
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=3e-3)
    rng = random.Random(seed)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / steps)
        batch = inputs([_shown(policy, rng) for _ in range(16)], pad=policy.pad, device=policy.device)
        logps = said(policy.model, batch, temperature=1.0).logps
        loss = -logps.sum() / batch.mask.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    policy.save(folder / "taught")
    return folder / "taught"


def _shown(policy: Policy, rng: random.Random) -> Answer:
    return Answer(policy.prompt_ids(worlds.prompt(rng)), policy.answer_ids(worlds.answer(rng, rng.randrange(4))))


def a_run(
    folder: Path,
    base: Path,
    reward: object,
    *,
    judge: object = None,
    seed: int = 0,
    kind: str = "ranking",
    rows: int = 64,
    **config: float | str,
) -> Run:
    """A run in this process, with rows of the small world."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, count, world in (("train", rows, 1), ("heldout", 40, 2)):
        write_rows(folder / f"{split}.jsonl", worlds.rows(kind, count, world))
    models: dict[str, object] = {"base": CausalModel(base, "cpu"), "reward": reward, "judge": judge}
    return Run(
        folder=folder,
        config=PPOConfig.model_validate(config),
        seed=seed,
        rows={split: folder / f"{split}.jsonl" for split in ("train", "heldout")},
        kinds=("prompt", "ranking", "pair", "demonstration"),
        opener=models.__getitem__,
        device="cpu",
    )

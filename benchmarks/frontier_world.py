"""The small world in which `benchmarks/frontier.py` trains and measures: what people want there, and the ways to learn it."""

import json
import math
import random
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from feinschliff import Run
from feinschliff.best_of import kl_bound
from feinschliff.checks import worlds
from plugins.lib.policies import Policy, policy_from
from plugins.lib.rollout import Written, sample
from plugins.lib.verbs import CausalModel

ANSWERS, POOL, TOKENS = 16, 256, 32  # to a prompt
BEST_OF = (1, 2, 4, 8, 16)
PROMPTS = [f"Write about the {noun}." for noun in worlds.NOUNS]
COMMON: dict[str, Any] = {"max_new_tokens": TOKENS, "temperature": 1.0}
PPO: dict[str, Any] = COMMON | {
    "batch": 32, "micro_batch": 32, "normalise": False, "missing_eos": "penalty", "kl_budget": 0, "length_factor": 0,
}  # fmt: skip
Line = dict[str, Any]
Told = Callable[[Any, int], None]  # a model and how many answers it has learned from


def gold(text: str) -> float:
    """What people of this world think of an answer: no "please", and four to ten words."""
    words = text.split()
    return -words.count("please") - max(0, 4 - len(words)) - 0.25 * max(0, len(words) - 10)


def turned(rows: Sequence[Line], share: float) -> list[Line]:
    """The same rankings, of which about that share is upside down: that share of their comparisons has the wrong label."""
    rng = random.Random(0)  # noqa: S311 - a made-up world
    return [row | {"ranks": [5 - rank for rank in row["ranks"]]} if rng.random() < share else row for row in rows]


class Apart:
    """Reward models trained apart, as one that says how far they are apart."""

    def __init__(self, models: Sequence[Any]) -> None:
        self.models, self.max_length = models, models[0].max_length

    def score_details_each(self, prompts: Sequence[str], texts: Sequence[str]) -> list[dict[str, float]]:
        by_model = [model.score_each(prompts, texts) for model in self.models]
        return [
            {"score": statistics.fmean(one), "spread": statistics.pstdev(one)} for one in zip(*by_model, strict=True)
        ]

    def score_details(self, prompt: str, texts: Sequence[str]) -> list[dict[str, float]]:
        return self.score_details_each([prompt] * len(texts), texts)

    def score_each(self, prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
        return [found["score"] for found in self.score_details_each(prompts, texts)]

    def score(self, prompt: str, texts: Sequence[str]) -> list[float]:
        return self.score_each([prompt] * len(texts), texts)


class World:
    """The taught policy, a seed's rankings of it, and the ways to train and to measure."""

    def __init__(self, base: Path, folder: Path, seed: int, *, rankings: int, noise: float) -> None:
        self.base, self.folder, self.seed, self.runs = base, folder, seed, 0
        self.rankings, self.noise = rankings, noise
        self.reference: Policy = policy_from(base, seed=seed, device="cpu")

    def run(self, config: Any, kind: str, **models: Any) -> Run:  # noqa: ANN401 - a trainer's
        self.runs += 1
        folder = self.folder / f"run-{self.runs}"
        folder.mkdir()
        for split, count in (("train", 160), ("heldout", 40)):
            rows = worlds.rows(kind, count, 2 * self.seed + (split == "heldout") + 1)
            if kind == "ranking" and split == "train":
                rows = turned(rows[: self.rankings], self.noise)
            (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        known = {"base": CausalModel(self.base, "cpu")} | models
        return Run(
            folder=folder, config=config, seed=self.seed, device="cpu", kinds=(kind,), opener=known.get,
            rows={split: folder / f"{split}.jsonl" for split in ("train", "heldout")},
        )  # fmt: skip

    def judge(self, heads: int = 1, member: int = 0) -> Any:  # noqa: ANN401
        """A reward model that learned from 160 rankings; `member` has a head and an order of rows of its own."""
        from plugins.reward_model.config import RewardModelConfig
        from plugins.reward_model.model import open_model
        from plugins.reward_model.training import train

        config = RewardModelConfig(epochs=2, evaluations=0, heads=heads, normalise="standardise")
        run = self.run(config, "ranking")
        run.seed += 1000 * member
        accuracy = train(run)["accuracy/model"]
        print(f"seed {self.seed}: {heads} heads, held-out accuracy {accuracy:.3f}", file=sys.stderr, flush=True)
        return open_model(run.out / "model")

    # training, with looks on the way

    def ppo(self, judge: Any, told: Told, *, episodes: int, looks: int, **settings: Any) -> None:  # noqa: ANN401
        from plugins.ppo.cast import opened
        from plugins.ppo.config import PPOConfig
        from plugins.ppo.training import Loop

        class Watched(Loop):
            def _look(self) -> None:
                told(self.cast.policy.model, self.iteration * self.config.batch)

        run = self.run(PPOConfig(**PPO, episodes=episodes, evaluations=looks, **settings), "prompt", reward=judge)
        Watched(run, opened(run)).work()

    def rloo(self, judge: Any, told: Told, *, episodes: int, looks: int, **settings: Any) -> None:  # noqa: ANN401
        from transformers import TrainerCallback

        from plugins.preference import online
        from plugins.preference.config import RLOOConfig

        steps = episodes // 32
        config = RLOOConfig(**COMMON, steps=steps, prompts=8, answers=4, samples=1, **settings)

        class Looks(TrainerCallback):  # type: ignore[misc]
            def on_step_end(self, arguments: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:  # noqa: ANN401
                if state.global_step % (steps // looks) == 0:
                    told(model, state.global_step * 32)

        def made(*given: Any, **named: Any) -> Any:  # noqa: ANN401
            trainer = online._rloo(*given, **named)
            trainer.add_callback(Looks())
            return trainer

        online.train(self.run(config, "prompt", reward=judge), made)

    # measuring

    def written(self, model: Any, each: int) -> tuple[list[str], list[Written], list[str]]:  # noqa: ANN401
        """So many answers to each prompt: prompts, tokens, texts."""
        policy, prompts = self.reference, [prompt for prompt in PROMPTS for _ in range(each)]
        asked = [policy.prompt_ids(prompt) for prompt in prompts]
        found = sample(
            model, asked, max_new_tokens=TOKENS, temperature=1.0, eos=policy.eos, pad=policy.pad, seed=77, batch=64
        )
        return prompts, found, [policy.tokenizer.decode(one.ids, skip_special_tokens=True).strip() for one in found]

    def measured(self, model: Any, judge: Any) -> Line:  # noqa: ANN401
        import torch

        from plugins.ppo.reading import Answer, inputs, said

        prompts, found, texts = self.written(model, ANSWERS)
        policy, ratios = self.reference, []
        answers = [Answer(policy.prompt_ids(prompt), one.ids) for prompt, one in zip(prompts, found, strict=True)]
        with torch.no_grad():
            for start in range(0, len(answers), 64):
                batch = inputs(answers[start : start + 64], pad=policy.pad, device=policy.device)
                own, other = (said(which, batch, temperature=1.0).logps for which in (model, policy.model))
                ratios += ((own - other) * batch.mask).sum(1).tolist()
        line = {"kl": statistics.fmean(ratios), "kl_error": statistics.stdev(ratios) / math.sqrt(len(ratios))}
        return line | described(texts, found, judge.score_each(prompts, texts))

    def best_of(self, judge: Any) -> Iterator[tuple[int, Line]]:  # noqa: ANN401
        """The best of the first n of each 16 answers of the reference, as many times as other methods write answers."""
        prompts, found, texts = self.written(self.reference.model, POOL)
        scores = judge.score_each(prompts, texts)
        for n in BEST_OF:
            chosen, ratios = [], []
            for start in range(0, len(scores), POOL):
                pool = sorted(scores[start : start + POOL])
                for first in range(start, start + POOL, POOL // ANSWERS):
                    best = max(range(first, first + n), key=scores.__getitem__)
                    chosen.append(best)
                    less = sum(one < scores[best] for one in pool) / POOL
                    no_more = sum(one <= scores[best] for one in pool) / POOL
                    ratios.append(math.log((no_more**n - less**n) / (no_more - less)))
            line = {"kl": statistics.fmean(ratios), "kl_error": statistics.stdev(ratios) / math.sqrt(len(ratios))}
            line |= {"kl_bound": kl_bound(n)}
            own = [texts[at] for at in chosen], [found[at] for at in chosen], [scores[at] for at in chosen]
            yield n, line | described(*own)


def described(texts: Sequence[str], found: Sequence[Written], scores: Sequence[float]) -> Line:
    return {
        "answers": len(texts),
        "learned": statistics.fmean(scores),
        "gold": statistics.fmean(map(gold, texts)),
        "words": statistics.fmean(len(text.split()) for text in texts),
        "tokens": statistics.fmean(len(one.ids) for one in found),
        "ended": statistics.fmean(one.ended for one in found),
    }

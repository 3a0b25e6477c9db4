"""Reinforcement from a reward model by TRL's RLOOTrainer and GRPOTrainer: several answers to a prompt, compared with each other.

The reward is any model that can score, asked with texts, so that it may speak another tokenizer and stand in another
process' format. One batch of answers makes one step (nothing is learned from twice), which also means that a checkpoint
never falls between writing and learning, and that resuming is exact.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from feinschliff import NeedsNotMet, Run
from feinschliff.rows import prompt_text
from plugins.lib.adapters import lora_config
from plugins.lib.hugging import Work, chosen_rate
from plugins.lib.policies import Policy, policy_from
from plugins.lib.probing import Numbers, Probe
from plugins.lib.prompts import Asked, Order, read

CURVES = {
    "reward": "reward/train",
    "reward_std": "reward/spread",
    "frac_reward_zero_std": "reward/all-equal",
    "kl": "kl",
    "entropy": "entropy",
    "completions/mean_length": "length/tokens",
    "completions/clipped_ratio": "length/unended",
}
SHOWN = 8  # answers shown on the way, evenly over the steps
Reward = Callable[..., list[float]]
Make = Callable[..., Any]  # makes one of TRL's trainers


def train_rloo(run: Run) -> dict[str, Any]:
    """The door of `rloo`: the baseline of an answer is the mean reward of the others to its prompt."""
    return train(run, _rloo)


def train_grpo(run: Run) -> dict[str, Any]:
    """The door of `grpo`: an answer's advantage is its reward less the group's mean, in the group's spread."""
    return train(run, _grpo)


def train(run: Run, make: Make) -> dict[str, Any]:
    """Returns the final numbers, or nothing when it was asked to stop on the way."""
    config, judge = run.config, run.model("reward")
    policy = policy_from(run.model("base").folder, seed=run.seed, device=run.device)
    room = min(config.max_prompt_tokens, policy.longest - config.max_new_tokens)
    if room < 1:
        raise NeedsNotMet(
            f"max_new_tokens {config.max_new_tokens} leaves no room for a prompt in the {policy.longest} tokens that this "
            "base reads: take fewer"
        )
    asked = read(run.rows("train"), policy, room)
    if not asked.prompts:
        raise NeedsNotMet(f"none of the {asked.left_out} prompts fits into {room} tokens: raise max_prompt_tokens")
    work = Work(run, curves=CURVES, evaluations=0)
    probe = Probe(run.rows("heldout"), policy, config, run.seed)
    run.state("evaluating", "before training")
    texts = work.once("texts", lambda: probe.texts(policy))
    reward = reward_function(run, judge, policy, asked.prompts)
    trainer = online_trainer(run, work, policy, asked.prompts, make, reward)
    if not work.train(trainer):
        return {}
    run.state("saving")
    policy.model, trainer.ref_model = trainer.model, None
    policy.save(run.out / "model")
    run.state("evaluating", "held-out prompts, answered after training")
    after = probe.texts(policy)
    numbers = {**work.numbers(), **rewards(judge, probe, texts, after)}
    chosen, name = (judge, "reward") if run.model("judge") is None else (run.model("judge"), "judge")
    numbers |= probe.compared(run, texts, after, chosen, name)
    return numbers | {"prompts/train": len(asked.prompts), "prompts/left-out": asked.left_out}


def online_trainer(run: Run, work: Work, policy: Policy, asked: Sequence[Asked], make: Make, reward: Reward) -> Any:  # noqa: ANN401 - TRL's
    """TRL's trainer over prompts whose tokens and order are ready."""
    config = run.config
    rate = chosen_rate(config.learning_rate, policy, tiny=3e-4, small=2e-5, large=1e-6, lora=bool(config.lora_rank))
    rows = config.prompts * config.answers // config.pieces
    arguments = work.arguments(policy, config, rate=rate, rows=rows, pieces=config.pieces) | {
        "num_generations": config.answers,
        "max_completion_length": config.max_new_tokens,
        "temperature": config.temperature,
        "beta": config.beta,
        "shuffle_dataset": False,  # `dataset` is in order
    }
    trainer = make(
        config,
        arguments,
        asked,
        model=policy.model,
        reward_funcs=reward,
        train_dataset=dataset(len(asked), steps=config.steps, prompts=config.prompts, seed=run.seed),
        processing_class=policy.tokenizer,
        peft_config=lora_config(config, task="CAUSAL_LM"),
    )
    _same_vocabulary(trainer, policy)
    return trainer


def _rloo(config: Any, arguments: dict[str, Any], asked: Sequence[Asked], **given: Any) -> Any:  # noqa: ANN401
    from trl import RLOOConfig, RLOOTrainer

    return _ready(RLOOTrainer, asked)(args=RLOOConfig(**arguments, normalize_advantages=config.normalize), **given)


def _grpo(config: Any, arguments: dict[str, Any], asked: Sequence[Asked], **given: Any) -> Any:  # noqa: ANN401
    from trl import GRPOConfig, GRPOTrainer

    own = {"loss_type": config.loss, "scale_rewards": config.scale_rewards}
    return _ready(GRPOTrainer, asked)(args=GRPOConfig(**arguments, **own), **given)


def _ready(trainer: Any, asked: Sequence[Asked]) -> Any:  # noqa: ANN401 - a class of TRL
    """The trainer, which takes a prompt's tokens as we made them; its own way would add special tokens a second time."""

    class Ready(trainer):
        def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
            return [list(asked[int(prompt)].ids) for prompt in prompts], None, {}

    return Ready


def dataset(count: int, *, steps: int, prompts: int, seed: int) -> Any:  # noqa: ANN401
    """The prompts of all steps in order, as their places; each is repeated by the trainer for its answers."""
    from datasets import Dataset

    places = Order(count, seed).at(0, steps * prompts)
    return Dataset.from_dict({"prompt": [str(place) for place in places]})


def reward_function(run: Run, judge: Any, policy: Policy, asked: Sequence[Asked]) -> Reward:  # noqa: ANN401
    """What TRL calls with the texts of a step: the judge's scores, less a penalty where EOS is missing."""
    config = run.config
    every = max(1, config.steps // SHOWN)

    def reward(
        prompts: Sequence[str],
        completions: Sequence[str],
        completion_ids: Sequence[Sequence[int]],
        trainer_state: Any,  # noqa: ANN401 - transformers' record
        **_: Any,  # noqa: ANN401
    ) -> list[float]:
        answers: dict[str, list[int]] = {}
        for place, prompt in enumerate(prompts):
            answers.setdefault(prompt, []).append(place)
        found = [0.0] * len(prompts)
        for prompt, places in answers.items():
            scores = judge.score(asked[int(prompt)].prompt, [completions[place].strip() for place in places])
            for place, score in zip(places, scores, strict=True):
                found[place] = _finite(score)
        unended = [policy.eos not in ids[-1:] for ids in completion_ids]
        found = [score - config.missing_eos_penalty * open_ for score, open_ in zip(found, unended, strict=True)]
        if trainer_state.global_step % every == 0:
            shown = prompt_text(asked[int(prompts[0])].prompt)
            run.sample(shown[:2000], completions[0][:4000], step=trainer_state.global_step, reward=found[0])
        return found

    return reward


def _finite(score: float) -> float:
    if not math.isfinite(score):
        raise FloatingPointError(f"the reward model scored an answer {score}: it cannot be learned from")
    return float(score)


def _same_vocabulary(trainer: Any, policy: Policy) -> None:  # noqa: ANN401
    """Where the policy was given a pad token of its own, the reference gets it too: both speak of the same tokens.

    TRL opens the reference from the base's folder, which has none.
    """
    reference = getattr(trainer, "ref_model", None)
    if reference is None or reference.get_input_embeddings().num_embeddings == len(
        policy.model.get_input_embeddings().weight
    ):
        return
    reference.resize_token_embeddings(len(policy.model.get_input_embeddings().weight), mean_resizing=False)
    reference.load_state_dict(policy.model.state_dict())


def rewards(judge: Any, probe: Probe, before: Sequence[str], after: Sequence[str]) -> Numbers:  # noqa: ANN401
    """The mean reward of what the model wrote to held-out prompts before and after, without the penalty."""
    if not probe.prompts:
        return {}
    scored = [judge.score(prompt, list(texts)) for prompt, *texts in zip(probe.prompts, before, after, strict=True)]
    return {
        "reward/untrained": sum(old for old, _ in scored) / len(scored),
        "reward/heldout": sum(new for _, new in scored) / len(scored),
    }

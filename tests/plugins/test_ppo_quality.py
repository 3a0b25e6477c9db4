"""What PPO does in the small world, where the truth is known (training.md calls these Q5, Q7, Q9): slow.

A tiny policy has learned to write there, with "please" in most answers; a reward model has learned from rankings that
people dislike it. The gold reward is the planted rule itself. No absolute claim follows from models of this size.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from feinschliff import Run
from feinschliff.checks import worlds
from plugins.lib.verbs import CausalModel
from plugins.ppo.training import train
from plugins.reward_model.config import RewardModelConfig
from plugins.reward_model.model import RewardModel, open_model
from plugins.reward_model.training import train as train_reward
from tests.plugins.ppo_world import Judge, a_run, gold, taught
from tests.plugins.small_world import write_rows

pytestmark = pytest.mark.slow

SEEDS = range(5)
KL_BUDGET = 15.0  # nats an answer
COMMON: dict[str, Any] = {"batch": 32, "micro_batch": 32, "max_new_tokens": 32, "temperature": 1.0, "length_factor": 0}


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return taught(tmp_path_factory.mktemp("taught"))


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory, policy: Path) -> RewardModel:
    """Learned from 160 rankings; begins as the policy, as InstructGPT's does (9)."""
    folder = tmp_path_factory.mktemp("judge")
    for split, count, seed in (("train", 160, 1), ("heldout", 40, 2)):
        write_rows(folder / f"{split}.jsonl", worlds.rows("ranking", count, seed))
    run = Run(
        folder=folder,
        config=RewardModelConfig(epochs=2, evaluations=0),
        seed=0,
        rows={split: folder / f"{split}.jsonl" for split in ("train", "heldout")},
        kinds=("ranking",),
        opener=lambda _: CausalModel(policy, "cpu"),
        device="cpu",
    )
    assert train_reward(run)["accuracy/model"] > 0.8
    return open_model(folder / "model")


Told = tuple[dict[str, Any], list[dict[str, Any]]]


@pytest.fixture
def ran(tmp_path: Path, policy: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """Trains; gives the final numbers and all that was told."""

    def do(reward: object, **config: Any) -> Told:  # noqa: ANN401 - settings
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        numbers = train(a_run(tmp_path / "run", policy, reward, **{**COMMON, **config}))
        told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"type"')]
        return numbers, told

    return do


def curve(told: list[dict[str, Any]], name: str) -> list[float]:
    return [event["values"][name] for event in told if event["type"] == "metric" and name in event["values"]]


def compared(told: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(before, after) of every text that was laid side by side."""
    return [(event["before"], event["text"]) for event in told if event["type"] == "sample" and "before" in event]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_the_learned_reward_rises_by_a_standard_deviation_within_the_budget_and_the_gold_reward_with_it(
    ran: Callable[..., Told], judge: RewardModel
) -> None:
    """Q5, on five of five seeds."""
    for seed in SEEDS:
        numbers, told = ran(judge, seed=seed, episodes=512, kl_budget=KL_BUDGET)
        assert numbers["critic/origin"] == "reward"
        assert "stopped-by" not in numbers
        assert numbers["reward/heldout"] - numbers["reward/untrained"] >= 1, seed
        assert numbers["kl/heldout"] < KL_BUDGET
        before, after = ([gold(pair[side]) for pair in compared(told)] for side in (0, 1))
        assert mean(after) > mean(before) + 0.5, seed
        assert numbers["winrate/reward/low"] > 0.5
        assert mean(curve(told, "answers/ended")[-4:]) >= curve(told, "answers/ended")[0]
        assert max(curve(told, "update/first-drift")) < 1e-4, "every batch begins at ratio 1"
        print(f"seed {seed}: {numbers}")


@pytest.mark.parametrize("target", [2.0, 3.0, 4.0])
def test_the_adaptive_controller_reaches_its_target(
    ran: Callable[..., Told], judge: RewardModel, target: float
) -> None:
    """Q7: the mean KL of the run's second half is within 20 % of the target."""
    _, told = ran(judge, episodes=1920, beta=0.2, kl_target=target, kl_horizon=64, evaluations=0, ppo_epochs=2)
    kl = curve(told, "kl/reference")
    print(f"target {target}: {mean(kl[len(kl) // 2 :])}")
    assert mean(kl[len(kl) // 2 :]) == pytest.approx(target, rel=0.2)
    assert kl[0] < 1e-3


def tired(text: str) -> float:
    """What people really think, who also tire of more than ten words."""
    return gold(text) - 0.25 * max(0, len(text.split()) - 10)


class Proxy(Judge):
    """Stands for what people think until it is pressed: it pays for every word. Remembers what people would have said."""

    def __init__(self) -> None:
        super().__init__(lambda text: gold(text) + 0.15 * len(text.split()))
        self.truth: list[float] = []

    def score(self, prompt: object, completions: Sequence[str]) -> list[float]:
        self.truth += [tired(text) for text in completions]
        return super().score("", completions)


def test_without_a_price_on_kl_the_proxy_is_over_optimised_and_an_alarm_ends_it(ran: Callable[..., Told]) -> None:
    """Q9: the proxy rises on while the gold reward peaks and falls; the alarms as they are by default stop that run."""
    pressed = {
        "episodes": 1280,
        "beta": 0,
        "missing_eos": "ignore",
        "max_new_tokens": 64,
        "evaluations": 0,
        "compared": 0,
    }
    proxy = Proxy()
    _, told = ran(proxy, **pressed, kl_budget=0)
    rewards, batches = curve(told, "reward/mean"), 1280 // 32
    truth = [mean(proxy.truth[128 + 32 * n : 160 + 32 * n]) for n in range(batches)]  # after 128 of the reference
    peak = max(truth)
    print(f"proxy {rewards}\ngold {truth}\nKL {curve(told, 'kl/reference')}")
    assert rewards[-1] > rewards[0] + 2
    assert peak > truth[0] + 1
    assert truth[-1] < peak - 1
    assert rewards[-1] > rewards[truth.index(peak)] + 1, "the proxy rose on"

    numbers, told = ran(Proxy(), **pressed)
    assert numbers["stopped-by"] == "kl-budget"
    assert "the limit was 50 nats an answer (set by kl_budget)" in numbers["warning"]
    assert numbers["batches"] < batches
    assert any("Stopped itself" in event.get("message", "") for event in told if event["type"] == "state")

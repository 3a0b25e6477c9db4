"""The methods that TRL implements: our rows and numbers, and what we rely on of its trainers, pinned."""

import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from feinschliff import NeedsNotMet, Run
from feinschliff.checks import worlds
from feinschliff.run import Stop
from plugins.lib.feeding import BUCKET
from plugins.lib.hugging import order
from plugins.preference.config import DPOConfig, GRPOConfig, KTOConfig, RLOOConfig
from plugins.preference.kto import weights
from plugins.preference.measuring import auc
from plugins.preference.rows import Verdict, border_of
from plugins.supervised.config import TaskSpecificConfig
from tests.plugins.judges import Letters

Rows = list[dict[str, Any]]
QUIET = {"samples": 2, "sample_tokens": 4, "evaluations": 1}
SMALL: dict[str, tuple[str, Any]] = {
    "sft": ("demonstration", TaskSpecificConfig(**QUIET, epochs=1)),
    "dpo": ("pair", DPOConfig(**QUIET)),
    "kto": ("unpaired", KTOConfig(**QUIET)),
    "rloo": ("prompt", RLOOConfig(samples=2, sample_tokens=4, steps=4, prompts=2, max_new_tokens=6)),
    "grpo": (
        "prompt",
        GRPOConfig(samples=2, sample_tokens=4, steps=4, prompts=2, answers=4, max_new_tokens=6, pieces=2),
    ),
}


# --- rows, orders and numbers ---


@given(st.lists(st.integers(1, 400), max_size=120), st.integers(1, 9), st.integers(1, 3), st.integers(0, 5))
def test_every_epoch_has_every_row_once(lengths: list[int], batch: int, epochs: int, seed: int) -> None:
    found = order(lengths, batch=batch, epochs=epochs, seed=seed)
    size = len(lengths)
    assert all(sorted(found[n * size : (n + 1) * size]) == list(range(size)) for n in range(epochs))
    assert found == order(lengths, batch=batch, epochs=epochs, seed=seed)


def test_rows_of_like_length_share_a_batch() -> None:
    lengths = [n * 37 % 500 for n in range(BUCKET * 8)]
    found = order(lengths, batch=8, epochs=1, seed=0)
    spread = [
        max(some) - min(some) for n in range(0, len(found), 8) if (some := [lengths[at] for at in found[n : n + 8]])
    ]
    assert max(spread) < 60 and found != order(lengths, batch=8, epochs=1, seed=1)


@given(st.lists(st.tuples(st.booleans(), st.integers(-4, 4)), min_size=2))
def test_auc_is_the_share_of_pairs_won(rows: list[tuple[bool, int]]) -> None:
    good, scores = [one for one, _ in rows], [float(score) for _, score in rows]
    if len(set(good)) < 2:
        return
    pairs = [(a, b) for is_a, a in zip(good, scores) for is_b, b in zip(good, scores) if is_a and not is_b]  # noqa: B905
    assert auc(good, scores) == pytest.approx(sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs))


@given(st.integers(1, 50), st.integers(1, 50))
def test_good_and_bad_answers_weigh_the_same(many: int, few: int) -> None:
    rows: Any = [Verdict(None, n < many, "", 1, "") for n in range(many + few)]  # type: ignore[arg-type]
    good, bad = weights(rows, 0, 0)
    assert good * many == pytest.approx(bad * few) and min(good, bad) == 1
    assert weights(rows, 2, 3) == (2, 3)


def test_the_border_lies_in_the_middle_unless_it_is_set() -> None:
    rows = [{"scores": {"style": 1.0, "truth": 2.0}}, {"scores": {"style": 5.0}}, {"scores": {}}]
    assert border_of(rows, 0) == 3.25 and border_of(rows, 4) == 4 and border_of([{"label": True}], 0) == 0


def test_a_setting_that_would_do_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="means nothing to the loss 'sigmoid'"):
        DPOConfig(label_smoothing=0.1)
    with pytest.raises(ValidationError, match="exo_pair needs"):
        DPOConfig(loss="exo_pair")
    with pytest.raises(ValidationError, match="must divide"):
        GRPOConfig(prompts=3, answers=3, pieces=2)


# --- TRL's trainers, in this process ---


class StopsAt(Run):
    """A run that somebody asks to end after a number of steps."""

    stops = math.inf

    def progress(self, done: int, total: int) -> None:
        super().progress(done, total)
        self._stop.asked = self._stop.asked or done >= self.stops


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from plugins.base_models.tiny import build_causal

    folder = tmp_path_factory.mktemp("base")
    build_causal(folder)
    return folder


@pytest.fixture
def make(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., StopsAt]]:
    from plugins.lib.verbs import CausalModel

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def made(method: str, name: str = "run", rows: Rows | None = None, heldout: int = 8, **changes: Any) -> StopsAt:  # noqa: ANN401
        kind, config = SMALL[method]
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        splits = {"train": worlds.rows(kind, 32, 1) if rows is None else rows, "heldout": worlds.rows(kind, heldout, 2)}
        for split, found in splits.items():
            (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
        models = {"base": CausalModel(base), "reward": Letters(), "judge": None} | changes.pop("models", {})
        return StopsAt(
            folder=folder,
            config=config.model_copy(update=changes),
            seed=3,
            rows={split: folder / f"{split}.jsonl" for split in ("train", "heldout")},
            kinds=(kind, "demonstration"),
            opener=models.__getitem__,
            device="cpu",
            stop=Stop(),
        )

    yield made


def door(method: str) -> Callable[[Run], dict[str, Any]]:
    from plugins.preference import dpo, kto, online
    from plugins.supervised import training

    doors = {"sft": training.train, "dpo": dpo.train, "kto": kto.train}
    return {**doors, "rloo": online.train_rloo, "grpo": online.train_grpo}[method]


def weights_of(run: Run) -> bytes:
    return (run.out / "model" / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    "method", ["sft", "grpo", *[pytest.param(name, marks=pytest.mark.slow) for name in ("dpo", "kto", "rloo")]]
)
def test_a_stopped_run_goes_on_to_the_same_weights(method: str, make: Callable[..., StopsAt]) -> None:
    whole = make(method, "whole")
    numbers = door(method)(whole)
    stopped = make(method, "stopped")
    stopped.stops = 2
    assert door(method)(stopped) == {} and stopped.last_checkpoint
    assert not (stopped.out / "model").exists()
    resumed = make(method, "stopped")
    again = door(method)(resumed)
    assert weights_of(whole) == weights_of(resumed)
    timeless = {name for name in numbers if not name.startswith("speed")}
    assert {name: again[name] for name in timeless} == {name: numbers[name] for name in timeless}
    left = {path.name for path in whole.out.iterdir()}
    assert left == {"train.jsonl", "heldout.jsonl", "model"}, "TRL writes its README and its checkpoints elsewhere"


def test_what_sft_learns_from_is_the_answer_and_its_end(make: Callable[..., StopsAt], base: Path) -> None:
    """Pins SFTTrainer: ready tokens and labels are taken as they are, and the loss is the mean over answer tokens."""
    from plugins.lib.hugging import Work
    from plugins.lib.policies import policy_from
    from plugins.supervised.demonstrating import per_token, read, sft_trainer

    run = make("sft")
    policy = policy_from(base, seed=0, device="cpu")
    rows = read(run.rows("train"), policy, run.config).rows[:8]
    assert all(row.ids[-1] == policy.eos and row.types[-1] == 1 for row in rows)
    work = Work(run, curves={}, evaluations=0)
    trainer = sft_trainer(run, work, policy, rows, rows)
    assert work.measured(trainer, trainer.eval_dataset)["loss/heldout"] == pytest.approx(
        per_token(policy, rows), rel=1e-5
    )
    arguments = trainer.args
    assert (arguments.use_cpu, arguments.bf16, arguments.gradient_checkpointing, arguments.report_to) == (
        True,
        False,
        False,
        [],
    )


def test_dpo_measures_the_implicit_rewards_that_we_do(make: Callable[..., StopsAt], base: Path) -> None:
    """Pins DPOTrainer: its columns, the reference log-probabilities that are handed over, the sum over an answer and its EOS."""
    from plugins.lib.hugging import Work
    from plugins.lib.policies import policy_from
    from plugins.preference import dpo
    from plugins.preference.rows import pairs_from

    run = make("dpo", beta=0.5)
    policy = policy_from(base, seed=0, device="cpu")
    pairs = pairs_from(run.rows("train"), policy, "start").pairs[:8]
    reference = [(chosen - 2.0, rejected - 1.5) for chosen, rejected in dpo.logps(policy, pairs)]
    rows = dpo.dataset(pairs, reference)
    work = Work(run, curves=dpo.CURVES, evaluations=0)
    found = work.measured(dpo.dpo_trainer(run, work, policy, pairs, rows, rows), rows)
    assert found["margin/heldout"] == pytest.approx(0.5 * 0.5, abs=1e-3)  # beta x (2.0 - 1.5)
    assert found["loss/heldout"] == pytest.approx(math.log1p(math.exp(-0.25)), abs=1e-3)
    assert found["accuracy/heldout"] == 1


def test_held_out_numbers_say_what_they_were_measured_on_and_what_the_base_gets() -> None:
    from plugins.preference.measuring import agreement, behind, separation
    from plugins.preference.rows import Pair, Verdict

    asked = [("a", "1"), ("a", "1"), ("b", "2")]
    pairs: Any = [Pair(None, None, group, 1.0, prompt) for prompt, group in asked]  # type: ignore[arg-type]
    found = agreement(pairs, [(1.0, 0.0), (1.0, 0.0), (0.0, 1.0)], [(0.0, 1.0), (1.0, 0.0), (0.0, 1.0)])
    assert (found["pairs/heldout"], found["prompts/heldout"], found["groups/heldout"]) == (3, 2, 2)
    assert found["accuracy/model"] == pytest.approx(2 / 3)
    assert (found["accuracy/untrained"], found["accuracy/base"]) == (0.5, pytest.approx(1 / 3))
    assert agreement([], [], []) == {"pairs/heldout": 0, "prompts/heldout": 0, "groups/heldout": 0}
    verdicts: Any = [Verdict(None, prompt == "b", group, 1, prompt) for prompt, group in asked]  # type: ignore[arg-type]
    told = separation(verdicts, [0.0, 0.0, 1.0], [1.0, 1.0, 0.0])
    assert (told["auc/model"], told["auc/untrained"], told["auc/base"]) == (1.0, 0.5, 0.0)
    assert told | behind(verdicts) == told


def test_kto_measures_against_the_neighbours_answers(make: Callable[..., StopsAt], base: Path) -> None:
    """Pins KTOTrainer: its columns, and that at the start no answer has drifted, so that every loss is a half of its weight."""
    from plugins.lib.hugging import Work
    from plugins.lib.policies import policy_from
    from plugins.preference import kto
    from plugins.preference.rows import verdicts_from

    run = make("kto", desirable_weight=1.0, undesirable_weight=1.0)
    policy = policy_from(base, seed=0, device="cpu")
    verdicts = verdicts_from(run.rows("train"), policy, "start", 0.0).verdicts[:8]
    rows = kto.dataset(verdicts, range(8), 4)
    assert (
        rows[0]["KL_completion_ids"] == rows[3]["completion_ids"]
        and rows[5]["KL_completion_ids"] == rows[4]["completion_ids"]
    )
    work = Work(run, curves=kto.CURVES, evaluations=0)
    trainer = kto.kto_trainer(run, work, policy, verdicts, verdicts)
    assert work.measured(trainer, rows)["loss/heldout"] == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("method", ["rloo", "grpo"])
def test_what_the_reward_is_asked(method: str, make: Callable[..., StopsAt]) -> None:
    """Pins how TRL calls a reward: every prompt `answers` times in a row, texts without special tokens, ids with EOS."""
    asked: list[tuple[Any, int]] = []

    class Counting(Letters):
        def score(self, prompt: Any, completions: Any) -> list[float]:  # noqa: ANN401
            asked.append((prompt, len(completions)))
            assert not any("</s>" in text or "<pad>" in text for text in completions)
            return super().score(prompt, completions)

    run = make(method, steps=2, samples=0, models={"reward": Counting()})
    numbers = door(method)(run)
    assert numbers["steps"] == 2
    assert [count for _, count in asked] == [run.config.answers] * 4 and len({prompt for prompt, _ in asked}) == 4


def test_an_answer_without_its_end_costs_the_penalty(make: Callable[..., StopsAt], base: Path) -> None:
    from types import SimpleNamespace

    from plugins.lib.policies import policy_from
    from plugins.lib.prompts import Asked
    from plugins.preference.online import reward_function

    policy = policy_from(base, seed=0, device="cpu")
    reward = reward_function(make("rloo", missing_eos_penalty=3.0), Letters(), policy, [Asked("Why?", [5], False, "")])
    found = reward(["0", "0"], ["eee", "eee"], [[7, 8], [7, policy.eos]], SimpleNamespace(global_step=1))
    assert found[1] - found[0] == pytest.approx(3.0)


def test_a_base_that_pads_with_its_end_keeps_its_reference(
    make: Callable[..., StopsAt], base: Path, tmp_path: Path
) -> None:
    """The policy is given a pad token of its own; the reference that TRL opens from the folder must know it too."""
    from transformers import AutoTokenizer

    from plugins.lib.verbs import CausalModel

    folder = tmp_path / "padless"
    folder.mkdir()
    for file in base.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(folder)
    run = make("rloo", steps=1, samples=0, models={"base": CausalModel(folder)})
    assert door("rloo")(run)["steps"] == 1
    saved = AutoTokenizer.from_pretrained(run.out / "model")
    assert saved.pad_token_id not in (None, saved.eos_token_id)


# --- bad input ---


def test_rows_that_teach_nothing_are_refused(make: Callable[..., StopsAt]) -> None:
    same = [{"prompt": "Why?", "chosen": "So.", "rejected": "So."}] * 9
    with pytest.raises(NeedsNotMet, match="same 9"):
        door("dpo")(make("dpo", rows=same))
    good = [{"prompt": "Why?", "completion": "So.", "label": True}] * 9
    with pytest.raises(NeedsNotMet, match="all 9 answers are good"):
        door("kto")(make("kto", rows=good))
    long = [{"prompt": "Why?", "completion": "so " * 2000}] * 9
    with pytest.raises(NeedsNotMet, match="none of the 9 demonstrations fits"):
        door("sft")(make("sft", rows=long))
    with pytest.raises(NeedsNotMet, match="leaves no room"):
        door("grpo")(make("grpo", max_new_tokens=4096))


def test_long_prompts_are_cut_and_empty_answers_are_learned(make: Callable[..., StopsAt]) -> None:
    rows = [{"prompt": "Why? " * 2000, "completion": ""}, *worlds.rows("demonstration", 7, 1)]
    rows.append({"prompt": "Why?", "completion": "so " * 2000})
    numbers = door("sft")(make("sft", rows=rows, samples=0))
    assert (numbers["rows/train"], numbers["rows/left-out"], numbers["rows/cut-prompts"]) == (8, 1, 1)


def test_a_loss_that_is_not_a_number_ends_the_run(make: Callable[..., StopsAt], base: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from plugins.lib.verbs import CausalModel

    folder = tmp_path / "broken"
    folder.mkdir()
    for file in base.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    found = load_file(folder / "model.safetensors")
    next(iter(found.values())).fill_(float("nan"))
    save_file(found, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(FloatingPointError, match="at step 1 of 4: take a lower learning_rate"):
        door("sft")(make("sft", heldout=0, models={"base": CausalModel(folder)}))


def test_adapters_are_melted_into_a_model_that_opens_everywhere(make: Callable[..., StopsAt], base: Path) -> None:
    run = make("dpo", lora_rank=4, lora_dropout=0.1)
    door("dpo")(run)
    assert not list((run.out / "model").glob("adapter*"))
    assert weights_of(run) != (base / "model.safetensors").read_bytes()


def test_nobody_is_told() -> None:
    """TRL tells its makers of every trainer unless it is told not to; the training child does, before anything is imported."""
    from feinschliff.child import prepare

    before = dict(os.environ)
    try:
        prepare()
        assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
    finally:
        os.environ.clear()
        os.environ.update(before)
    from inspect import getsource

    from trl.trainer.base_trainer import _BaseTrainer

    assert "HF_HUB_DISABLE_TELEMETRY" in getsource(_BaseTrainer)

"""The parts of the reward model, each against the plain way of doing it."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feinschliff import ModelNotOpened, Opening
from feinschliff.measuring import interval
from plugins.lib.agreement import kendall_tau, right_pairs
from plugins.lib.batching import batches
from plugins.lib.rankings import as_rankings
from plugins.lib.weights import check_folder
from plugins.reward_model.config import RewardModelConfig
from plugins.reward_model.evaluating import comparisons, warning
from plugins.reward_model.model import RewardModel
from plugins.reward_model.outputs import Outputs
from plugins.reward_model.reading import Judged, read

RANKS = st.lists(st.none() | st.integers(1, 5), min_size=2, max_size=6)


@pytest.fixture(scope="module")
def tiny(weights: Path) -> Callable[..., RewardModel]:
    """A fresh reward model on a tiny base: tiny("causal", heads=2, max_length=64)."""

    def opened(kind: str, outputs: Outputs | None = None, **config: Any) -> RewardModel:  # noqa: ANN401
        from plugins.base_models.opening import open_tiny
        from plugins.reward_model.starting import from_base

        settings = RewardModelConfig(**{"max_length": 128, **config})
        folder = open_tiny(f"tiny:{kind}", Opening(weights=weights)).folder
        made = outputs or Outputs(heads=settings.heads)
        return from_base(folder, settings, causal=kind == "causal", outputs=made, seed=0, device="cpu")

    return opened


ROWS: list[dict[str, Any]] = [
    {"prompt": "One", "completions": ["a b c", "a", "b c d e f g"], "ranks": [2, 1, 3], "weight": 1.0},
    {"prompt": "Two, longer", "completions": ["x", "y z", "w", "v u t"], "ranks": [1, 2, 2, None], "weight": 0.5},
    {"prompt": "Three", "chosen": "good", "rejected": "bad one", "margin": 0.7, "weight": 2.0},
]


@pytest.mark.parametrize("kind", ["encoder", "causal"])
def test_one_forward_an_answer_gives_the_loss_and_gradients_of_exploded_pairs(
    kind: str, tiny: Callable[..., RewardModel]
) -> None:
    import torch
    from torch.nn.functional import logsigmoid

    from plugins.reward_model.learning import Objective

    reward = tiny(kind)
    batch = read(as_rankings(ROWS), reward.encode).rows
    flat = Objective(reward, "pairwise")(batch)
    flat.backward()
    gradients = [weight.grad.clone() for weight in reward.model.parameters() if weight.grad is not None]
    reward.model.zero_grad()

    total, weight_sum = torch.zeros(()), 0.0
    for row in batch:
        known = [(rank, one) for rank, one in zip(row.ranks, row.sequences, strict=True) if rank is not None]
        losses = []
        for number, (rank, one) in enumerate(known):
            for other_rank, other in known[number + 1 :]:
                better, worse = (one, other) if rank <= other_rank else (other, one)
                difference = reward.forward([better])[0, 0] - reward.forward([worse])[0, 0]
                if rank == other_rank:
                    losses.append(-(logsigmoid(difference) + logsigmoid(-difference)) / 2)
                else:
                    losses.append(-logsigmoid(difference - (row.margin or 0.0)))
        total = total + row.weight * torch.stack(losses).mean()
        weight_sum += row.weight
    plain = total / weight_sum
    plain.backward()
    assert flat.item() == pytest.approx(plain.item(), abs=1e-5)
    same = [weight.grad for weight in reward.model.parameters() if weight.grad is not None]
    scale = max(float(gradient.abs().max()) for gradient in same)
    assert max(float((a - b).abs().max()) for a, b in zip(gradients, same, strict=True)) <= 1e-5 * max(scale, 1.0)


@pytest.mark.parametrize("kind", ["encoder", "causal"])
def test_padding_and_batch_mates_do_not_change_a_score(kind: str, tiny: Callable[..., RewardModel]) -> None:
    reward = tiny(kind, prompt_keeps="end")
    prompt, long = "Prompt " * 60, "a much longer answer with many words " * 3
    alone = reward.score(prompt, ["short"])[0]
    together = reward.score(prompt, [long, "short"])[1]
    assert alone == pytest.approx(together, abs=1e-5)
    assert reward.score_each([prompt, "Other", prompt], ["short", "x", long]) == pytest.approx(
        [alone, reward.score("Other", ["x"])[0], reward.score(prompt, [long])[0]], abs=1e-5
    )


def test_a_base_that_pads_with_its_end_of_text_gets_a_pad_token_of_its_own(tmp_path: Path, weights: Path) -> None:
    """Or the end, at which the score is read, would be taken for padding."""
    from transformers import AutoTokenizer

    from plugins.base_models.opening import open_tiny
    from plugins.reward_model.model import open_model
    from plugins.reward_model.starting import from_base

    base = shutil.copytree(open_tiny("tiny:causal", Opening(weights=weights)).folder, tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(base)
    reward = from_base(base, RewardModelConfig(), causal=True, outputs=Outputs(), seed=0, device="cpu")
    assert reward.tokenizer.pad_token_id != reward.tokenizer.eos_token_id
    reward.save(tmp_path / "model")
    opened = open_model(tmp_path / "model")
    assert opened.model.config.pad_token_id == opened.tokenizer.pad_token_id != opened.tokenizer.eos_token_id
    texts = ["", "river", "a longer answer than the others"]
    assert opened.score("p", texts) == pytest.approx([reward.score("p", [text])[0] for text in texts], abs=1e-5)


@given(RANKS, st.randoms(use_true_random=False))
def test_kendall_tau_is_one_for_the_people_themselves_and_agrees_with_counting(
    ranks: list[int | None], rng: random.Random
) -> None:
    own = [-(rank or 0) for rank in ranks]
    tau = kendall_tau(ranks, own)
    assert tau is None or tau == pytest.approx(1.0)
    scores = [rng.random() for _ in ranks]
    right, total = right_pairs(ranks, scores)
    backwards, _ = right_pairs(ranks, [-score for score in scores])
    assert right + backwards == total


def test_a_constant_gets_half_of_the_comparisons() -> None:
    assert right_pairs([1, 2, 2, None], [0.0, 0.0, 0.0, 0.0]) == (1.0, 2)


def test_scores_that_follow_length_are_said_to() -> None:
    def told(score: Callable[[int, int], float], count: int = 20) -> str | None:
        """Two answers, of which every other time people chose the shorter one; `score` is given its length and rank."""
        rows, scores = [], []
        for place in range(count):
            lengths, ranks = (10, 30), ((1, 2), (2, 1))[place % 2]
            rows.append(Judged((), ranks, lengths, 1.0, None, str(place), str(place)))
            scores.append([score(length, rank) for length, rank in zip(lengths, ranks, strict=True)])
        return warning(comparisons(rows, scores))

    assert "shorter is better: right in 100 %" in str(told(lambda length, rank: -length))
    assert "longer is better: right in 0 %" in str(told(lambda length, rank: length))
    assert told(lambda length, rank: -rank) is None
    assert told(lambda length, rank: 0) is None
    assert told(lambda length, rank: -length, count=18) is None, "nine comparisons of each say too little"


def test_intervals_are_wider_when_answers_hang_together_in_groups() -> None:
    rng = random.Random(1)
    groups = [str(number // 20) for number in range(400)]
    lucky = {name: rng.random() for name in set(groups)}
    values = [float(rng.random() < lucky[group]) for group in groups]
    whole = interval(values, [1.0] * 400, groups)
    single = interval(values, [1.0] * 400, [str(number) for number in range(400)])
    assert whole.low < single.low < sum(values) / 400 < single.high < whole.high


@given(st.lists(st.dictionaries(st.integers(0, 9), st.integers(1, 200), min_size=1), max_size=60), st.integers(0, 5))
def test_batches_hold_every_row_once_within_the_budget_and_repeat_with_the_seed(
    lengths: list[dict[int, int]], seed: int
) -> None:
    rows = list(range(len(lengths)))

    def batched() -> list[list[int]]:
        return batches(rows, lengths.__getitem__, lambda row: row % 7, budget=600, seed=seed, epoch=1)

    def padded(batch: list[int]) -> int:
        held = {key: length for row in batch for key, length in lengths[row].items()}
        return len(held) * max(held.values())

    assert sorted(row for batch in batched() for row in batch) == rows
    assert all(len(batch) == 1 or padded(batch) <= 600 for batch in batched())
    assert batched() == batched()


def test_rows_that_share_answers_share_a_batch_and_count_them_once() -> None:
    rows = [(first, second) for first in range(6) for second in range(first)]
    found = batches(rows, lambda row: dict.fromkeys(row, 100), lambda row: "one", budget=600, seed=0, epoch=0)
    assert len(found) == 1


def test_pickled_weights_are_refused_without_being_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["BertModel"]}))
    (tmp_path / "pytorch_model.bin").write_bytes(b"not even a pickle")
    with pytest.raises(ModelNotOpened, match=r"pickled \(pytorch_model.bin\).*safetensors"):
        check_folder(tmp_path)

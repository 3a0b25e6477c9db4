"""Batches of neighbours in length under a budget of tokens, and Hugging Face trainers that are fed with them."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feinschliff import Run
from feinschliff.checks import worlds
from plugins.lib.feeding import BUCKET, bucketed
from plugins.supervised.config import TaskSpecificConfig


def tokens(batch: list[int], lengths: list[int]) -> int:
    return len(batch) * max(lengths[place] for place in batch)


@given(
    st.lists(st.integers(1, 400), max_size=120),
    st.sampled_from([0, 64, 500, 5000]),
    st.integers(1, 9),
    st.integers(1, 3),
    st.integers(0, 5),
)
def test_every_epoch_has_every_row_once_within_the_budget(
    lengths: list[int], budget: int, rows: int, epochs: int, seed: int
) -> None:
    found = bucketed(lengths, tokens=budget, rows=rows, epochs=epochs, seed=seed)
    assert found == bucketed(lengths, tokens=budget, rows=rows, epochs=epochs, seed=seed)
    assert all(1 <= len(batch) <= rows for batch in found)
    assert all(len(batch) == 1 or not budget or tokens(batch, lengths) <= budget for batch in found)
    flat, size = [place for batch in found for place in batch], len(lengths)
    assert all(sorted(flat[n * size : (n + 1) * size]) == list(range(size)) for n in range(epochs))


def test_neighbours_in_length_share_a_batch_and_every_epoch_is_another() -> None:
    lengths = [n * 37 % 500 + 1 for n in range(BUCKET * 8)]
    first, second = (bucketed(lengths, tokens=0, rows=8, epochs=1, seed=seed) for seed in (0, 1))
    padding = sum(tokens(batch, lengths) for batch in first) / sum(lengths)
    assert padding < 1.1 and first != second
    two = bucketed(lengths, tokens=0, rows=8, epochs=2, seed=0)
    assert two[: len(first)] == first and two[len(first) :] != first


def test_a_fed_trainer_learns_from_the_same_tokens_within_the_budget(tmp_path: Path) -> None:
    """What reaches the model is our batches in our order, and at a learning rate of 0 the losses of all rows add up to the same
    as those of single rows."""
    from plugins.base_models.tiny import build_causal
    from plugins.lib.hugging import Work
    from plugins.lib.policies import policy_from
    from plugins.lib.probing import answer_tokens
    from plugins.supervised.demonstrating import per_token, read, sft_trainer

    (tmp_path / "base").mkdir()
    build_causal(tmp_path / "base")
    rows = worlds.rows("demonstration", 40, 1)
    for place, row in enumerate(rows):
        row["completion"] *= 1 + place % 5
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    config = TaskSpecificConfig(epochs=2, batch_tokens=400, batch_rows=16, evaluations=0, learning_rate=1e-3)
    run = Run(
        folder=tmp_path,
        config=config,
        seed=5,
        rows={"train": tmp_path / "train.jsonl"},
        kinds=("demonstration",),
        opener=lambda _role: None,
        device="cpu",
    )
    policy = policy_from(tmp_path / "base", seed=0, device="cpu")
    learned = read(run.rows("train"), policy, config).rows
    untrained = per_token(policy, learned)
    assert untrained is not None
    trainer = sft_trainer(run, Work(run, curves={}, evaluations=0), policy, learned, [])
    trainer.args.learning_rate = 0.0
    shapes: list[tuple[int, int]] = []
    losses: list[float] = []
    compute = trainer.compute_loss

    def watched(model: Any, inputs: Any, *more: Any, num_items_in_batch: Any, **others: Any) -> Any:  # noqa: ANN401
        loss = compute(model, inputs, *more, num_items_in_batch=num_items_in_batch, **others)
        shapes.append(tuple(inputs["input_ids"].shape))
        losses.append(float(loss.detach()) * float(num_items_in_batch))
        return loss

    trainer.compute_loss = watched
    trainer.train()
    lengths = [len(row.ids) for row in learned]
    expected = bucketed(lengths, tokens=400, rows=16, epochs=2, seed=5)
    assert shapes == [(len(batch), max(lengths[place] for place in batch)) for batch in expected]
    assert len({size for size, _ in shapes}) > 1 and max(size * longest for size, longest in shapes) <= 400
    assert sum(losses) == pytest.approx(2 * untrained * sum(map(answer_tokens, learned)), rel=1e-5)

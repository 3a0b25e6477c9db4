"""What a reward model learns from: ratings, several heads, weights, smoothing; and what it makes of hopeless rows."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feinschliff import NeedsNotMet, Opening, Run
from feinschliff.checks import worlds
from plugins.lib.rankings import as_rankings
from plugins.reward_model.config import RewardModelConfig, wanted_aspects
from plugins.reward_model.outputs import Outputs
from plugins.reward_model.reading import Judged
from plugins.reward_model.training import train
from plugins.reward_model.weighing import reliability_of, resampled, weighed
from tests.plugins.small_world import ranking, write_rows

Rows = list[dict[str, Any]]
Train = Callable[..., tuple[dict[str, Any], Path]]


@pytest.fixture
def trained(tmp_path: Path, weights: Path) -> Train:
    """Trains in this process: trained(rows, heldout, base="causal", heads=2) gives the numbers and the model's folder."""

    def work(
        rows: Rows,
        heldout: Rows | None = None,
        base: str = "encoder",
        **config: Any,  # noqa: ANN401
    ) -> tuple[dict[str, Any], Path]:
        from plugins.base_models.opening import open_tiny

        write_rows(tmp_path / "train.jsonl", rows)
        write_rows(tmp_path / "heldout.jsonl", heldout or [])
        run = Run(
            folder=tmp_path,
            config=RewardModelConfig(**{"evaluations": 0, **config}),
            seed=0,
            rows={split: tmp_path / f"{split}.jsonl" for split in ("train", "heldout")},
            kinds=("ranking", "pair", "rating"),
            opener=lambda _: open_tiny(f"tiny:{base}", Opening(weights=weights)),
            device="cpu",
        )
        return train(run), tmp_path / "model"

    return work


def rankings(count: int, seed: int = 7) -> Rows:
    rng = random.Random(seed)
    return [ranking(rng, number) for number in range(count)]


def rated(count: int, seed: int) -> Rows:
    """Each answer rated in style (fewer "please" is better), some in length too, on another scale."""
    rows = worlds.rows("rating", count, seed)
    for number, row in enumerate(rows):
        if number % 2:
            row["scores"]["length"] = 10.0 * len(row["completion"].split())
    return rows


def test_ratings_are_learned_by_aspect_and_told_in_the_units_that_people_used(
    trained: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    from plugins.reward_model.model import open_model

    numbers, folder = trained(rated(120, 1), rated(80, 2), aspects="style=3, length=1", epochs=6, batch_rows=8)
    assert numbers["error/model"] < 0.8 * numbers["error/constant"]
    assert numbers["accuracy/model"] > 0.7
    table = next(
        line for line in map(json.loads, capsys.readouterr().out.splitlines()) if line.get("title") == "Error by aspect"
    )
    assert [row[:2] for row in table["rows"]] == [["style", 80], ["length", 40]]
    good, bad = open_model(folder).score_details("Write.", ["river stone bread", "please please please river please"])
    assert good["aspect/style"] > bad["aspect/style"] + 1
    assert 0 < good["aspect/style"] < 7
    assert 10 < good["aspect/length"] < 150
    assert good["score"] > bad["score"]


def test_ratings_can_be_learned_as_rankings_too(trained: Train) -> None:
    numbers, _ = trained(rated(120, 1), rated(60, 2), loss="plackett-luce", aspects="style", epochs=4)
    assert numbers["accuracy/model"] > 0.7
    assert "error/model" not in numbers


def test_heads_differ_and_say_so_where_they_have_seen_little(trained: Train) -> None:
    from plugins.reward_model.model import open_model

    numbers, folder = trained(rankings(48), rankings(20, 9), heads=3, epochs=4, batch_rows=8, normalise="standardise")
    assert numbers["accuracy/model"] > 0.8
    reward = open_model(folder)
    details = reward.score_details("Write about the river.", ["river stone", "please river please stone"])
    assert all(one["spread"] > 0 for one in details)
    assert reward.score("Write about the river.", ["river stone"])[0] == pytest.approx(details[0]["score"], abs=1e-5)
    texts = [(row["prompt"], text) for row in rankings(48) for text in row["completions"]]
    scores = reward.score_each(*zip(*texts, strict=True))
    assert sum(scores) / len(scores) == pytest.approx(0, abs=1e-3)
    assert sum(score**2 for score in scores) / len(scores) == pytest.approx(1, abs=1e-3)


def test_lora_learns_and_is_saved_as_a_plain_model(trained: Train) -> None:
    from transformers import AutoModelForSequenceClassification

    from plugins.reward_model.model import open_model

    numbers, folder = trained(rankings(40), rankings(20, 9), base="causal", lora_rank=4, epochs=4, batch_rows=8)
    assert numbers["accuracy/model"] > max(numbers["accuracy/untrained"], numbers["accuracy/longer"], 0.6)
    assert not (folder / "adapter_config.json").exists()
    plain = AutoModelForSequenceClassification.from_pretrained(folder)
    assert plain.config.num_labels == 1
    good, bad = open_model(folder).score("Write about the river.", ["river stone", "please please please river"])
    assert good > bad


# --- weights ---


def row(ranks: list[int | None], annotator: str = "", prompt: str = "p", weight: float = 1.0) -> Judged:
    from plugins.lib.encoding import Encoded

    sequences = tuple(Encoded([place], [1], cut=False) for place in range(len(ranks)))
    names = (annotator,) if annotator else ()
    return Judged(sequences, tuple(ranks), (1,) * len(ranks), weight, None, prompt, prompt, names)


def test_several_judgements_of_one_item_are_its_shares_as_soft_labels() -> None:
    """Three of four say "first": the mean of their losses is the loss with the label 3/4, and counts once."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    from plugins.lib import listwise

    rows = weighed(
        [row([1, 2], name) for name in ("ada", "bo", "cy")] + [row([2, 1], "lin"), row([1, 2], "ada", prompt="other")],
        counts="item",
        annotators="equal",
    )
    assert [one.weight for one in rows] == [0.25] * 4 + [1.0]
    scores = torch.tensor([0.7, -0.4])
    lists = listwise.Lists([[0, 1]] * 4, [one.ranks for one in rows[:4]], [one.weight for one in rows[:4]], [None] * 4)
    soft = binary_cross_entropy_with_logits(scores[0] - scores[1], torch.tensor(0.75))
    for name in ("pairwise", "plackett-luce"):
        assert listwise.loss(name, scores, lists).item() == pytest.approx(soft.item(), abs=1e-6)


def test_who_agrees_less_with_the_others_counts_less_and_the_mean_stays() -> None:
    rng = random.Random(3)
    rows = []
    for number in range(200):
        for name, right in (("ada", 0.95), ("bo", 0.8), ("cy", 0.55)):
            rows.append(row([1, 2] if rng.random() < right else [2, 1], name, prompt=str(number)))
    rows.append(row([1, 2], "lin", prompt="alone"))
    known = reliability_of(rows)
    assert known["ada"] == pytest.approx(0.95, abs=0.05)
    assert known["bo"] == pytest.approx(0.8, abs=0.07)
    assert known["cy"] == pytest.approx(0.55, abs=0.07)
    found = weighed(rows, counts="judgement", annotators="agreement")
    weight = {one.annotators[0]: one.weight for one in found}
    assert weight["ada"] > weight["lin"] > weight["cy"] >= 0
    assert sum(one.weight for one in found) == pytest.approx(len(rows))


def test_without_shared_items_or_names_all_count_alike() -> None:
    rows = [row([1, 2], "ada", prompt="1"), row([1, 2], "bo", prompt="2"), row([1, 2], prompt="3")]
    assert [one.weight for one in weighed(rows, counts="judgement", annotators="agreement")] == [1.0] * 3


@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 3))
def test_each_head_has_a_resample_of_whole_groups(groups: int, heads: int, seed: int) -> None:
    rows = [row([1, 2], prompt=str(number % groups)) for number in range(2 * groups)]
    found = resampled(rows, heads, seed)
    assert len(found) == groups
    assert all(sum(counts[head] for counts in found.values()) == groups for head in range(heads))
    assert found == resampled(rows, heads, seed)


@pytest.mark.parametrize("loss", ["plackett-luce", "pairwise"])
def test_smoothing_gives_the_best_difference_an_end_and_keeps_margins(loss: str) -> None:
    """With a share e upside down, the loss of a pair is least where sigmoid(difference - margin) = 1 - e."""
    import torch

    from plugins.reward_model.learning import Objective

    scores = torch.zeros(2, 1, requires_grad=True)

    class Given:  # answers with the scores themselves instead of a model's
        outputs = Outputs()

        def forward(self, _: object) -> torch.Tensor:
            return scores

    objective = Objective(Given(), loss, smoothing=0.2)  # type: ignore[arg-type]
    pair = [Judged(row([1, 2]).sequences, (1, 2), (1, 1), 1.0, 0.5, "g", "p")]
    optimizer = torch.optim.LBFGS([scores], lr=0.5, max_iter=100)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = objective(pair)
        value.backward()
        return value

    optimizer.step(closure)
    assert (scores[0] - scores[1]).item() == pytest.approx(0.5 + 1.3863, abs=1e-3)


def test_heads_and_parts_of_a_batch_add_up_to_the_mean() -> None:
    import torch

    from plugins.reward_model.learning import Objective

    scores = torch.randn(3, 2, generator=torch.Generator().manual_seed(1))

    class Given:
        outputs = Outputs(heads=2)

        def forward(self, sequences: list[Any]) -> torch.Tensor:
            return scores[[one.ids[0] for one in sequences]]

    rows = [row([1, 2, 3], weight=2.0, prompt="a"), row([2, 1, None], prompt="b"), row([None, 1, None], prompt="c")]
    objective = Objective(Given(), "plackett-luce", resamples={"a": (2, 0), "b": (1, 1), "c": (0, 2)})  # type: ignore[arg-type]
    whole = objective.weight(rows)
    assert whole == 3.0
    parts = sum(objective([one], whole) for one in rows)
    assert objective(rows).item() == pytest.approx(float(parts), abs=1e-6)

    def pl(values: torch.Tensor) -> torch.Tensor:
        return values.logsumexp(0) - values[0] + values[1:].logsumexp(0) - values[1]

    def bt(values: torch.Tensor) -> torch.Tensor:
        return values[:2].logsumexp(0) - values[1]

    expected = (2.0 * 2 * pl(scores[:, 0]) + bt(scores[:, 0]) + bt(scores[:, 1])) / (whole * 2)
    assert float(parts) == pytest.approx(expected.item(), abs=1e-5)


# --- rows that cannot be learned from, and rows that can ---


@pytest.mark.parametrize(
    ("rows", "config", "told"),
    [
        ([{"completions": ["a", "b"], "ranks": [1, 1]}] * 8, {}, "all tied"),
        ([{"completions": ["a", "a"], "ranks": [1, 2]}] * 8, {}, "the same text"),
        ([{"completions": ["a"], "ranks": [1]}] * 8, {}, "no row tells two different answers apart"),
        ([{"completions": ["a", "b"], "ranks": [1, 2], "weight": 0}] * 8, {}, "no row tells two different answers"),
        ([{"completions": ["a " * 10_000, "b"], "ranks": [1, 2]}] * 8, {}, "raise `max_length`"),
        ([{"completion": "a", "scores": {"style": 3}}] * 8, {}, "the same rating"),
        ([{"completion": "a", "scores": {"style": n}} for n in range(8)], {"aspects": "wit"}, "no training row rates .*'wit'"),
        ([{"completions": ["a", "b"], "ranks": [1, 2]}] * 8, {"loss": "regression"}, "learns from ratings alone"),
    ],
)  # fmt: skip
def test_hopeless_rows_are_refused_with_the_reason(
    rows: Rows, config: dict[str, Any], told: str, trained: Train
) -> None:
    with pytest.raises(NeedsNotMet, match=told):
        trained([{"prompt": "p", **row} for row in rows], **config)


def test_odd_rows_among_good_ones_are_learned_from_or_left_out(trained: Train) -> None:
    """One answer, thirty answers, empty and endless ones, a single held-out group: numbers come out, and no NaN."""
    rng = random.Random(5)
    thirty = rng.sample(range(1, 31), 30)
    odd = [
        {"prompt": "K of 1", "completions": ["alone"], "ranks": [1]},
        {"prompt": "K of 30", "completions": [f"river {rank}" for rank in thirty], "ranks": thirty},
        {"prompt": "", "completions": ["", "stone"], "ranks": [2, 1]},
        {"prompt": "endless", "completions": ["word " * 10_000, "short"], "ranks": [2, 1]},
        {"prompt": "tied", "completions": ["river", "stone"], "ranks": [1, 1]},
        {"prompt": "same", "completions": ["river", "river"], "ranks": [1, 2]},
    ]
    heldout = [one | {"group": "only"} for one in rankings(6, 9)]
    numbers, _ = trained(rankings(10) + odd, heldout, base="causal", epochs=1, batch_tokens=256)
    assert numbers["rows/left-out"] == 1
    assert numbers["groups/heldout"] == 1
    assert numbers["accuracy/model/low"] <= numbers["accuracy/model"] <= numbers["accuracy/model/high"]
    assert all(math.isfinite(value) for value in numbers.values() if isinstance(value, float))


def test_without_held_out_rows_there_are_no_accuracies(trained: Train) -> None:
    numbers, folder = trained(rankings(8), epochs=1)
    assert numbers["pairs/heldout"] == 0
    assert "accuracy/model" not in numbers
    assert (folder / "model.safetensors").exists()


def test_ratings_of_one_person_make_rankings_and_carry_their_sources() -> None:
    rows = [
        {
            "prompt": "p",
            "completion": text,
            "scores": {"a": score, "b": 1},
            "annotators": [name],
            "sources": [f"by-{text}"],
        }
        for name, text, score in (("ada", "x", 1), ("ada", "y", 2), ("bo", "x", 2), ("bo", "y", 2), ("cy", "x", 1))
    ]
    found = as_rankings(rows)
    assert [(one["completions"], one["ranks"], one["annotators"]) for one in found] == [
        (["x", "y"], [2, 1], ["ada"]),
        (["x", "y"], [1, 1], ["bo"]),
    ]
    assert found[0]["sources"] == ["by-x", "by-y"]


def test_aspects_are_names_with_weights() -> None:
    assert wanted_aspects(" helpful = 2, very polite,wit=.5") == {"helpful": 2.0, "very polite": 1.0, "wit": 0.5}
    assert wanted_aspects("") == {}
    for wrong in ("a=b", "a=1,,", "a, a=2", "a=0"):
        with pytest.raises(ValueError, match="aspect"):
            wanted_aspects(wrong)

"""Learning to fill gaps, within this process: tiny models, planted texts, and what it must refuse."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from feinschliff import NeedsNotMet
from feinschliff.checks.worlds import NOUNS
from feinschliff.model import ModelNotOpened
from plugins.base_models.tiny import build_causal
from plugins.lib.policies import open_policy, policy_from
from plugins.self_supervised.contextual import Held, train, with_adapters
from plugins.self_supervised.contextual_config import ContextualConfig
from plugins.self_supervised.gapped_examples import Examples
from plugins.self_supervised.gapped_measuring import after, answers, judge
from plugins.self_supervised.infilling import SETTINGS, marked, open_infiller
from plugins.self_supervised.rounds import Shown
from tests.plugins.text_world import StopAfter, a_run, colour_of, right_side

FAST: dict[str, Any] = {"epochs": 1, "max_length": 64}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "causal"
    folder.mkdir()
    build_causal(folder)
    return folder


KINDS = [
    pytest.param({"gaps": 1}, id="middle"),
    pytest.param({"gaps": 3, "lora_rank": 4}, id="spans-lora", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=KINDS)
def trained(
    request: pytest.FixtureRequest, base: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    config = {**FAST, "samples": 2, "evaluations": 1, "accumulate": 2, **request.param}
    return folder, train(a_run(folder, "contextual", base, right_side(96, 1, 3), right_side(24, 2, 3), **config))


def test_a_run_tells_what_the_right_side_adds_and_what_became_of_writing(trained: tuple[Path, dict[str, Any]]) -> None:
    _, numbers = trained
    assert numbers["loss/heldout"] < numbers["loss/untrained"]
    assert numbers["loss/writing"] < numbers["loss/writing-untrained"]
    assert numbers["gain/right-side"] == pytest.approx(numbers["loss/left-only"] - numbers["loss/heldout"])
    assert numbers["gain/right-side/low"] <= numbers["gain/right-side"] <= numbers["gain/right-side/high"]
    assert numbers["parts/train"] == 96 and numbers["gaps/heldout"] == numbers["groups/heldout"] == 24
    assert numbers["steps"] == 3, "96 texts, 16 at once, two of those a step"


def test_the_model_fills_gaps_writes_and_embeds(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = trained
    model = open_infiller(folder / "model")
    model.longest_fill = 8
    texts = ["A ___ river.", "A [MASK] river. A [MASK] stone.", "no gap", ""]
    found = model.fill(texts, n=2)
    assert [len(one) for one in found] == [2] * 4
    assert all(text.startswith("A ") and text.endswith(" river.") and "_" not in text for text in found[0])
    assert found[2] == ["no gap"] * 2 and found[3] == [""] * 2
    assert not any("<|" in text for one in found for text in one), "no mark is seen"
    assert model.fill(texts[:2], n=2) == found[:2], "the same each time"
    assert model.fill(texts[:1])[0] == found[0][:1], "the first is the same however many are asked for"
    [long] = model.fill(["word " * 3000 + "___ end"])[0]
    assert long.startswith("word " * 3000) and long.endswith(" end"), "a long text stays whole"
    assert len(model.generate(["A red"], n=2, max_new_tokens=4)[0]) == 2
    assert model.embed(["a", ""]).shape == (2, 128)
    with pytest.raises(ValueError, match="1 or more"):
        model.fill(["___"], n=0)


def test_the_model_is_a_plain_causal_model_too_and_a_base_again(
    trained: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """With adapters melted in and the marks in its vocabulary; a second run takes the marks that are there."""
    folder, _ = trained
    written = open_policy(folder / "model").generate(["A"], temperature=0, max_new_tokens=6)
    assert written == open_infiller(folder / "model").generate(["A"], temperature=0, max_new_tokens=6)
    policy = policy_from(folder / "model", seed=0, device="cpu")
    size, before = len(policy.tokenizer), policy.model.get_input_embeddings().weight.clone()
    marks, names = marked(policy.model, policy.tokenizer, 0)
    assert len(policy.tokenizer) == size
    assert policy.model.get_input_embeddings().weight.equal(before)
    assert names == json.loads((folder / "model" / SETTINGS).read_text())["marks"]
    assert not {policy.pad, policy.eos} & set(marks)


def test_marks_begin_near_the_mean_of_all_tokens_and_are_no_characters(base: Path) -> None:
    policy = policy_from(base, seed=0, device="cpu")
    known = policy.model.get_input_embeddings().weight.detach().clone()
    marks, names = marked(policy.model, policy.tokenizer, 0)
    rows = policy.model.get_input_embeddings().weight.detach()
    assert len(set(marks)) == 5 and min(marks) >= len(known)
    assert rows[: len(known)].equal(known), "no other token changed"
    for mark in marks:
        assert (rows[mark] - known.mean(0)).norm() < known.std(0).norm()
    assert len({tuple(rows[mark].tolist()) for mark in marks}) == 5, "no two begin alike"
    forged = policy.answer_ids("".join(names))
    assert not set(forged) & set(marks), "a text that spells a mark is characters"


def test_with_adapters_the_marks_are_trained_and_the_base_is_not(base: Path) -> None:
    policy = policy_from(base, seed=0, device="cpu")
    marks, _ = marked(policy.model, policy.tokenizer, 0)
    model = with_adapters(policy.model, ContextualConfig(lora_rank=4), list(marks))
    names = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert names and all("lora_" in name or "trainable_tokens" in name for name in names)
    assert any("trainable_tokens" in name for name in names)


def test_some_texts_have_gaps_and_the_others_are_as_they_were(base: Path) -> None:
    from plugins.lib.texts import read_texts

    policy = policy_from(base, seed=0, device="cpu", max_length=64)
    marks, _ = marked(policy.model, policy.tokenizer, 0)
    parts = read_texts(right_side(40, 1, 3), policy.tokenizer, room=48).parts
    examples = Examples(parts, policy, marks, ContextualConfig(gap_rate=0.3), 0)
    made = [examples.at(Shown(place, epoch)) for epoch in range(20) for place in range(40)]
    with_gap = sum(marks.fill in one.ids for one in made) / len(made)
    assert abs(with_gap - 0.3) < 5.3 * math.sqrt(0.21 / len(made))
    plain = [one for one in made if marks.fill not in one.ids]
    assert all(one.ids[-1] == policy.eos and not set(one.ids) & set(marks) for one in plain)
    assert examples.at(Shown(3, 7)) == examples.at(Shown(3, 7))
    gaps = [tuple(one.ids) for one in made[3::40] if marks.fill in one.ids]
    assert len(set(gaps)) == len(gaps) > 1, "new gaps in every epoch"


def test_exact_means_that_greedy_writing_gives_these_very_tokens(base: Path) -> None:
    """By a second way: the model is run token by token."""
    import torch

    policy = policy_from(base, seed=0, device="cpu")
    read, ids = policy.answer_ids("A red")[:-1], []
    for _ in range(4):
        with torch.no_grad():
            ids.append(int(policy.model(torch.tensor([[*read, *ids]])).logits[0, -1].argmax()))
    right, wrong = judge(policy, [after(read, ids), after(read, [*ids[:3], (ids[3] + 1) % 100])])
    assert right.exact and not wrong.exact
    assert right.tokens == 4 and right.loss < wrong.loss


def test_a_gap_is_filled_exactly_only_if_the_model_ends_it_there(base: Path) -> None:
    """Else "reddish" would be "red". From the left alone there is no mark that would end a gap."""
    from plugins.lib.rollout import sample
    from plugins.lib.texts import read_texts

    policy = policy_from(base, seed=0, device="cpu", max_length=64)
    marks, _ = marked(policy.model, policy.tokenizer, 0)
    parts = read_texts(right_side(4, 1, 3), policy.tokenizer, room=48).parts
    held = Held(Examples(parts, policy, marks, ContextualConfig(), 0))
    found = held.measured()
    for one, both, left in zip(held.words, found["word/both"], found["word/left"], strict=True):
        assert (both.tokens, left.tokens) == (len(one.truth) + 1, len(one.truth))
    [written] = sample(
        policy.model, [held.words[0].both], max_new_tokens=3, temperature=0, eos=marks.end, pad=policy.pad, seed=0
    )
    assert len(written.ids) == 3, "the base goes on, since it does not know the mark"
    asked = [held.words[0]._replace(truth=list(written.ids[:2]))]
    [begun], [ended] = (judge(policy, answers(asked, both=True, end=end)) for end in ([], [marks.end]))
    assert begun.exact and not ended.exact


@pytest.mark.slow
def test_stopped_and_gone_on_it_ends_in_the_same_weights_and_numbers(base: Path, tmp_path: Path) -> None:
    rows, heldout = right_side(48, 1, 2), right_side(8, 2, 2)
    settings = {**FAST, "epochs": 2, "lora_rank": 2, "evaluations": 2, "samples": 1}
    whole = train(a_run(tmp_path / "whole", "contextual", base, rows, heldout, **settings))
    assert train(a_run(tmp_path / "cut", "contextual", base, rows, heldout, stop=StopAfter(4), **settings)) == {}
    [place] = (
        json.loads(path.read_text()) for path in sorted((tmp_path / "cut").glob("checkpoints/*/place.json"))[-1:]
    )
    assert place["step"] == 4
    assert train(a_run(tmp_path / "cut", "contextual", base, rows, heldout, **settings)) == whole
    one, other = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "cut"))
    assert one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


def test_what_cannot_be_learned_from_is_refused_before_the_first_step(base: Path, tmp_path: Path) -> None:
    with pytest.raises(NeedsNotMet, match="none of the 8 texts"):
        train(a_run(tmp_path / "empty", "contextual", base, [{"text": " "}] * 8, [], **FAST))
    with pytest.raises(ModelNotOpened, match=SETTINGS):
        open_infiller(base)


@pytest.mark.slow
def test_texts_of_any_script_and_length_are_learned_from(base: Path, tmp_path: Path) -> None:
    rows = [
        {"text": text}
        for text in ("我们今天去河边。" * 40, "Ünlü şair", "🙂", "a", "", "long text " * 300, "مرحبا بالعالم", "x\0y")
    ]
    numbers = train(a_run(tmp_path, "contextual", base, rows, rows, **{**FAST, "gap_rate": 1.0, "samples": 2}))
    assert numbers["rows/empty"] == 2
    assert numbers["parts/train"] > 20, "long texts are read in parts"
    assert math.isfinite(numbers["loss/heldout"])


@pytest.mark.slow
def test_with_what_follows_a_gap_is_filled_better_than_without(base: Path, tmp_path: Path) -> None:
    """Q11 of the plan, where what decides the gap stands to the right of it; and the model still writes."""
    settings = {"epochs": 20, "batch_rows": 8, "gap_rate": 0.8, "suffix_first": 0.8}
    numbers = train(a_run(tmp_path, "contextual", base, right_side(300, 1), right_side(60, 2), **settings))
    assert numbers["gain/right-side/low"] > 0
    assert numbers["exact/heldout"] > numbers["exact/left-only"] + 0.3
    assert numbers["loss/writing"] < 0.2 * numbers["loss/writing-untrained"]
    model = open_infiller(tmp_path / "model")
    assert sum(model.fill([f"A ___ {noun}."])[0][0] == f"A {colour_of(noun)} {noun}." for noun in NOUNS) > 10

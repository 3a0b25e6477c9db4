"""Masked language modelling, within this process: tiny models, planted texts, and what it must refuse."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from feinschliff import NeedsNotMet
from plugins.base_models.tiny import build_causal, build_encoder
from plugins.lib.masking import Masker
from plugins.lib.texts import LONGEST_WORD, halves, read_texts
from plugins.self_supervised.masked_examples import Examples
from plugins.self_supervised.masked_lm import train
from plugins.self_supervised.masked_model import framed, open_masked, readable
from tests.plugins.architectures import ENCODERS, SHARING, configured
from tests.plugins.text_world import StopAfter, a_run, colour_of, right_side

FAST: dict[str, Any] = {"epochs": 2, "learning_rate": 4e-3, "max_length": 64}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "encoder"
    folder.mkdir()
    build_encoder(folder)
    return folder


@pytest.fixture(scope="module")
def trained(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A short run with everything switched on: its folder and its numbers."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    config = {**FAST, "sentence_order": 0.5, "masking": "spans", "samples": 2, "evaluations": 1, "accumulate": 2}
    run = a_run(folder, "masked-lm", encoder, right_side(96, 1, 3), right_side(24, 2, 3), **config)
    return folder, train(run)


@pytest.mark.parametrize("family", [*ENCODERS, "llama", "gemma2", "cohere"])
def test_guessing_at_some_places_is_guessing_everywhere_and_looking_there(family: str) -> None:
    """Of every architecture's own head: scaling, caps and all; and the gradients are the same."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    from plugins.lib.places import logits_at

    torch.manual_seed(0)
    made = AutoModelForCausalLM if family in SHARING else AutoModelForMaskedLM
    model = made.from_config(configured(family)).eval()
    ids = torch.randint(3, 60, (3, 9))
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    places = torch.tensor([[0, 1], [0, 8], [1, 3], [2, 0]])
    whole = model(input_ids=ids, attention_mask=mask).logits[places[:, 0], places[:, 1]]
    weight = next(iter(model.parameters()))
    wanted = torch.autograd.grad(whole.square().sum(), weight)[0]
    some, firsts = logits_at(model, {"input_ids": ids, "attention_mask": mask}, places)
    torch.testing.assert_close(some, whole)
    torch.testing.assert_close(torch.autograd.grad(some.square().sum(), weight)[0], wanted)
    assert firsts.shape == (3, model.config.hidden_size)
    assert model(input_ids=ids, attention_mask=mask).logits.shape[:2] == ids.shape, "the hook is gone"


def test_robertas_positions_are_not_overrun() -> None:
    import torch
    from transformers import AutoModelForMaskedLM

    class Tokenizer:
        model_max_length = 10**9

    for family in ENCODERS:
        model = AutoModelForMaskedLM.from_config(configured(family, max_position_embeddings=20)).eval()
        longest = readable(model, Tokenizer())
        assert longest in (20, 19)
        ids = torch.full((1, longest), 5)
        model(input_ids=ids, attention_mask=torch.ones_like(ids))  # one more would be out of range


def test_a_run_tells_what_it_learned_beside_what_costs_nothing(trained: tuple[Path, dict[str, Any]]) -> None:
    _, numbers = trained
    assert numbers["loss/heldout"] < numbers["loss/untrained"]
    assert numbers["gain/over-untrained/low"] > 0
    assert numbers["perplexity/heldout"] == pytest.approx(math.exp(numbers["loss/heldout"]))
    assert numbers["parts/train"] == 96 and numbers["groups/heldout"] == 24
    assert numbers["weights/new-in-head"] > 0, "a plain encoder brings no head"
    assert {"order/heldout", "order/untrained", "loss/unigram", "accuracy/unigram"} <= set(numbers)
    assert numbers["steps"] == 2 * 3, "96 texts, 16 at once, two of those a step, two epochs"


def test_the_unigram_baseline_is_counted_on_the_training_texts(
    trained: tuple[Path, dict[str, Any]], encoder: Path
) -> None:
    """The same number by a second way: from rows and tokenizer alone."""
    from plugins.lib.encoding import Encoded
    from plugins.self_supervised.masked_examples import Example
    from plugins.self_supervised.masked_measuring import Unigram, summed

    counts = Counter("aaabbc")
    ids = {letter: place for place, letter in enumerate("abcd")}
    unigram = Unigram([ids[letter] for letter in "aaabbc"], vocabulary=4)
    hidden = Example(
        Encoded([], [], False), [0, 1, 2], [ids["a"], ids["c"], ids["d"]], [(0, 0), (0, 1), (0, 2)], None, "g"
    )
    numbers = summed([hidden], unigram.guess([hidden]), "unigram")
    expected = -sum(math.log((counts[letter] + 1) / 10) for letter in "acd") / 3
    assert numbers["loss/unigram"] == pytest.approx(expected)
    assert numbers["accuracy/unigram"] == pytest.approx(1 / 3), "the most common letter is right once"


def test_the_model_fills_gaps_and_embeds(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = trained
    model = open_masked(folder / "model")
    texts = ["A ___ river.", "A [MASK] river. A [MASK] stone.", "no gap", "", "word " * 3000 + "___ end"]
    found = model.fill(texts, n=3)
    assert [len(one) for one in found] == [3] * 5
    assert all(text.startswith("A ") and text.endswith(" river.") and "_" not in text for text in found[0])
    assert len(set(found[0])) == 3
    assert found[2] == ["no gap"] * 3 and found[3] == [""] * 3
    assert all(text.startswith("word word") and text.endswith(" end") for text in found[4]), "a long text stays whole"
    assert model.fill(texts[:2], n=3) == found[:2], "the same each time"
    assert found[0][:1] == model.fill(texts[:1])[0]
    assert model.embed(["a", "", "long " * 2000]).shape == (3, 128)
    with pytest.raises(ValueError, match="too long"):
        model.fill(["___ " + "word " * 3000 + "___"])
    with pytest.raises(ValueError, match="1 or more"):
        model.fill(["___"], n=0)


def test_the_model_is_a_base_again_and_brings_its_head(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, first = trained
    numbers = train(a_run(tmp_path, "masked-lm", folder / "model", right_side(16, 3, 3), right_side(24, 2, 3), **FAST))
    assert numbers["weights/new-in-head"] == 0
    assert numbers["loss/untrained"] < first["loss/untrained"]


def test_stopped_and_gone_on_it_ends_in_the_same_weights_and_numbers(encoder: Path, tmp_path: Path) -> None:
    rows, heldout = right_side(48, 1, 2), right_side(8, 2, 2)
    settings = {**FAST, "sentence_order": 1.0, "evaluations": 2}
    whole = train(a_run(tmp_path / "whole", "masked-lm", encoder, rows, heldout, **settings))
    assert train(a_run(tmp_path / "cut", "masked-lm", encoder, rows, heldout, stop=StopAfter(4), **settings)) == {}
    [place] = (
        json.loads(path.read_text()) for path in sorted((tmp_path / "cut").glob("checkpoints/*/place.json"))[-1:]
    )
    assert place["step"] == 4
    assert train(a_run(tmp_path / "cut", "masked-lm", encoder, rows, heldout, **settings)) == whole
    one, other = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "cut"))
    assert one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


def test_what_cannot_be_learned_from_is_refused_before_the_first_step(encoder: Path, tmp_path: Path) -> None:
    causal = tmp_path / "causal"
    causal.mkdir()
    build_causal(causal)
    refused = [
        (causal, right_side(8, 1), "from left to right"),
        (encoder, [{"text": " "}] * 8, "none of the 8 texts"),
        (encoder, [*right_side(7, 1), {"text": json.loads('"\\ud83d"')}], "row 8"),
    ]
    for number, (base, rows, told) in enumerate(refused):
        with pytest.raises(NeedsNotMet, match=told):
            train(a_run(tmp_path / str(number), "masked-lm", base, rows, [], **FAST))


def test_texts_of_any_script_and_length_are_learned_from(encoder: Path, tmp_path: Path) -> None:
    rows = [
        {"text": text}
        for text in ("我们今天去河边。" * 40, "Ünlü şair", "🙂", "a", "", "long text " * 300, "مرحبا بالعالم", "x\0y")
    ]
    numbers = train(a_run(tmp_path, "masked-lm", encoder, rows, [], **{**FAST, "overlap": 8}))
    assert numbers["rows/empty"] == 1
    assert numbers["parts/train"] > 20, "long texts are read in parts"
    assert math.isfinite(numbers["loss/train"])
    assert "loss/heldout" not in numbers, "nothing was held out"


def test_where_the_order_is_asked_nothing_of_a_text_is_withheld(encoder: Path) -> None:
    """However unequal its halves are: what one leaves of the room is the other's."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(encoder)
    masker = Masker("words", 0.15, tokenizer.mask_token_id, range(10, 100)).covering
    texts = ["We walk. " + "The river is long and cold and deep and wide " * count + "today." for count in (1, 3)]
    texts += ["The river is long and cold and deep and wide today. " * 2 + "We walk on.", "One is here. Two is there."]
    whole = [
        [tokenizer(half, add_special_tokens=False)["input_ids"] for half in halves(text)]  # type: ignore[union-attr]
        for text in texts
    ]
    room = max(len(first) + len(second) for first, second in whole)
    parts = read_texts([{"text": text} for text in texts], tokenizer, room=room).parts
    for one, (first, second) in zip(Examples(parts, masker, tokenizer, 0, room, order=True).held, whole, strict=True):
        ids = list(one.sequence.ids)
        for place, token in zip(one.places, one.truth, strict=True):
            ids[place] = token
        assert ids == framed(tokenizer, *([second, first] if one.swapped else [first, second]))
    less = Examples(parts, masker, tokenizer, 0, room - 6, order=True)
    for one, (first, second) in zip(less._pairs, whole, strict=True):
        assert one is not None
        kept, following = ([*part.ids] for part in one)
        assert room - 6 - LONGEST_WORD < len(kept) + len(following) <= room - 6 or len(first) + len(second) <= room - 6
        assert kept == first[len(first) - len(kept) :] and following == second[: len(following)], "next to the border"


@pytest.mark.slow
def test_hidden_words_are_guessed_better_than_by_counting_and_better_than_from_the_left(
    tmp_path: Path, encoder: Path
) -> None:
    """Q11 of the plan: below the unigram entropy, and where the answer stands to the right below a causal model of equal size."""
    from plugins.self_supervised import contextual
    from plugins.self_supervised.infilling import open_infiller

    causal = tmp_path / "causal"
    causal.mkdir()
    build_causal(causal)
    rows, heldout = right_side(300, 1), right_side(60, 2)
    settings = {"epochs": 20, "batch_rows": 8}
    numbers = train(a_run(tmp_path / "masked", "masked-lm", encoder, rows, heldout, masked_share=0.2, **settings))
    assert numbers["gain/over-unigram/low"] > 0
    left = contextual.train(a_run(tmp_path / "left", "contextual", causal, rows, heldout, gap_rate=0.05, **settings))
    assert numbers["loss/heldout"] < left["loss/left-only"]
    nouns = {row["text"].split()[2].rstrip(".") for row in heldout}
    masked, writer = open_masked(tmp_path / "masked" / "model"), open_infiller(tmp_path / "left" / "model")
    right = sum(masked.fill([f"A ___ {noun}."])[0][0] == f"A {colour_of(noun)} {noun}." for noun in nouns)
    written = writer.generate(["A"] * len(nouns), temperature=0, max_new_tokens=3)
    assert right > 0.9 * len(nouns)
    assert sum(text[0].startswith(colour_of(noun)) for text, noun in zip(written, nouns, strict=True)) < 0.6 * len(
        nouns
    )


@pytest.mark.slow
def test_the_order_of_sentences_is_learned_where_there_is_one_and_only_there(tmp_path: Path, encoder: Path) -> None:
    """Where every text counts upwards the order is told; where sentences stand as chance has it, nothing gives it away."""
    steps = ["First we wake.", "Then we eat.", "Later we walk.", "At last we sleep."]
    ordered = [{"text": f"{steps[n % 3]} {steps[n % 3 + 1]}", "group": str(n)} for n in range(240)]
    settings = {"epochs": 6, "sentence_order": 1.0, "learning_rate": 2e-3}
    told = train(a_run(tmp_path / "ordered", "masked-lm", encoder, ordered[:180], ordered[180:], **settings))
    assert told["order/heldout"] > 0.9
    chance = train(
        a_run(tmp_path / "chance", "masked-lm", encoder, right_side(180, 1, 2), right_side(120, 2, 2), **settings)
    )
    assert abs(chance["order/heldout"] - 0.5) < 0.2

"""What is hidden, where texts are cut, and how gaps are arranged: pure functions, on a real tokenizer where one is needed."""

import json
import random
import sys
from collections.abc import Callable
from itertools import pairwise
from math import sqrt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feinschliff import NeedsNotMet
from plugins.base_models.tiny import build_tokenizer
from plugins.lib.masking import LENGTHS, Kind, Masker, span_length
from plugins.lib.settings import Batches
from plugins.lib.texts import LONGEST_WORD, halves, parts_of, read_texts
from plugins.self_supervised.gapping import Gapped, Marks, arranged, cut, question, without_words
from plugins.self_supervised.rounds import Batch, Shown, remembered, rounds

MASK, ORDINARY = 1, range(10, 1000)
MARKS = Marks(-1, -2, -3, -4, -5)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=200)
words_of_tokens = st.lists(st.integers(1, 4), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def tokenizer() -> Any:  # noqa: ANN401
    return build_tokenizer(chat=False)


def masker(kind: Kind, share: float = 0.15, **more: float) -> Masker:
    return Masker(kind, share, MASK, ORDINARY, **more)


def numbered(lengths: list[int]) -> tuple[list[int], list[int]]:
    """Tokens that are all different, and the word of each."""
    words = [word for word, length in enumerate(lengths) for _ in range(length)]
    return list(range(5000, 5000 + len(words))), words


def within(found: float, share: float, count: int) -> bool:
    """Whether a share of `count` draws is one that chance gives all but once in ten million times."""
    return abs(found - share) < 5.3 * sqrt(share * (1 - share) / count)


@settings(deadline=None)
@given(
    words_of_tokens,
    st.sampled_from(["tokens", "words", "spans"]),
    st.floats(0.01, 0.8),
    st.integers(0, 2**31),
    st.data(),
)
def test_what_is_hidden_can_be_put_back_and_nothing_else_changes(
    lengths: list[int], kind: Kind, share: float, seed: int, data: st.DataObject
) -> None:
    ids, words = numbered(lengths)
    seen = data.draw(st.integers(0, len(ids) - 1))
    found = masker(kind, share).hide(ids, words, seen, random.Random(seed))
    assert found.places == sorted(set(found.places)) and found.places
    assert min(found.places) >= seen
    assert found.truth == [ids[place] for place in found.places]
    assert found.words == [words[place] for place in found.places]
    back = list(found.ids)
    for place, token in zip(found.places, found.truth, strict=True):
        assert back[place] in (MASK, token, *ORDINARY)
        back[place] = token
    assert back == ids
    if kind != "tokens":
        free = range(seen, len(ids))
        assert all(place in found.places for place in free if words[place] in found.words), "a word is hidden whole"


@pytest.mark.parametrize("kind", ["tokens", "words", "spans"])
def test_the_share_and_its_parts_are_those_that_were_asked_for(kind: Kind) -> None:
    ids, words = numbered([1, 2, 3, 1, 1, 4] * 10)
    rng, draws = random.Random(0), 3000
    made = [masker(kind).hide(ids, words, 0, rng) for _ in range(draws)]
    hidden = sum(len(one.places) for one in made)
    assert hidden / draws / len(ids) == pytest.approx(0.15, abs=0.002)
    shown = [(one.ids[place], token) for one in made for place, token in zip(one.places, one.truth, strict=True)]
    behind = sum(now == MASK for now, _ in shown) / hidden
    another = sum(now in ORDINARY for now, _ in shown) / hidden
    independent = hidden / 10 if kind == "spans" else hidden  # a span is shown in one way
    assert within(behind, 0.8, int(independent))
    assert within(another, 0.1, int(independent))
    assert behind + another + sum(now == token for now, token in shown) / hidden == pytest.approx(1)


def test_every_word_is_hidden_about_as_often_as_any_other() -> None:
    ids, words = numbered([1, 3, 1, 2, 1, 1, 1, 2] * 4)
    rng, draws = random.Random(1), 4000
    counts = [0] * len(ids)
    for _ in range(draws):
        for place in masker("words").hide(ids, words, 0, rng).places:
            counts[place] += 1
    assert min(counts) > 0.7 * 0.15 * draws
    assert max(counts) < 1.3 * 0.15 * draws


def test_held_out_texts_hide_everything_behind_the_mask() -> None:
    ids, words = numbered([2] * 30)
    found = masker("spans").covering.hide(ids, words, 0, random.Random(0))
    assert {found.ids[place] for place in found.places} == {MASK}


def test_spans_have_the_lengths_of_spanbert() -> None:
    rng = random.Random(0)
    drawn = [span_length(rng, 3.8) for _ in range(20_000)]
    assert set(drawn) == set(LENGTHS)
    assert sum(drawn) / len(drawn) == pytest.approx(3.8, abs=0.08)
    weights = [0.8 ** (length - 1) for length in LENGTHS]  # p = 0.2, cut off at ten (Joshi et al. 2020)
    for length, weight in zip(LENGTHS, weights, strict=True):
        assert within(drawn.count(length) / len(drawn), weight / sum(weights), len(drawn))


def test_a_text_without_a_token_of_its_own_has_nothing_to_hide() -> None:
    with pytest.raises(ValueError, match="nothing to hide"):
        masker("words").hide([7, 8], [0, 1], 2, random.Random(0))


# --- texts in parts ---


@settings(max_examples=60, deadline=None)
@given(text=texts, room=st.integers(4, 40), overlap=st.integers(0, 40))
def test_nothing_of_a_text_is_lost_or_learned_twice(tokenizer: Any, text: str, room: int, overlap: int) -> None:  # noqa: ANN401
    found = parts_of(text, tokenizer, room=room, overlap=overlap)
    whole = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"] if text.strip() else []
    assert [token for part in found for token in part.ids[part.seen :]] == whole
    assert "".join(part.text for part in found) == (text if text.strip() else "")
    assert all(len(part.ids) <= room and len(part.ids) == len(part.words) for part in found)
    assert all(part.seen < len(part.ids) for part in found)
    assert [part.last for part in found] == [False] * (len(found) - 1) + [True] * bool(found)
    for before, part in pairwise(found):
        assert part.ids[: part.seen] == before.ids[len(before.ids) - part.seen :]


def test_parts_end_between_words_and_repeat_what_they_overlap(tokenizer: Any) -> None:  # noqa: ANN401
    text = " ".join(f"Der Fluss Nummer {number} fließt langsam." for number in range(40))
    found = parts_of(text, tokenizer, room=50, overlap=10)
    assert len(found) > 5
    assert [part.seen for part in found] == [0] + [10] * (len(found) - 1)
    assert all(part.text[0] in " 0123456789." or part.text.startswith("Der") for part in found), (
        "none begins within a word"
    )


def test_words_are_the_tokenizers_own_and_never_endless(tokenizer: Any) -> None:  # noqa: ANN401
    [part] = parts_of("unbelievable rivers, 我们今天去河边看一看石头和花园", tokenizer, room=500)
    longest = max(part.words.count(word) for word in part.words)
    assert part.words[0] == 0 and part.words.count(0) > 1, "a word of several tokens is one word"
    assert longest <= LONGEST_WORD, "a script without blanks is hidden in pieces"
    assert list(part.words) == sorted(part.words)


def test_tokens_are_kept_in_a_few_bytes_each(tokenizer: Any) -> None:  # noqa: ANN401
    [part] = parts_of("one two three. " * 500, tokenizer, room=100_000)
    assert sys.getsizeof(part.ids) + sys.getsizeof(part.words) < 10 * len(part.ids)


def test_special_tokens_in_a_text_are_characters(tokenizer: Any) -> None:  # noqa: ANN401
    [part] = parts_of("a [MASK] and </s>", tokenizer, room=100)
    assert not set(part.ids) & set(tokenizer.all_special_ids)


def test_empty_rows_are_counted_and_broken_ones_refused(tokenizer: Any) -> None:  # noqa: ANN401
    rows = [{"text": "one"}, {"text": " \n"}, {"text": ""}, {"text": "caf\ufffd"}, {"text": "off", "weight": 0}]
    found = read_texts(rows, tokenizer, room=20)
    assert (len(found.parts), found.empty, found.broken) == (2, 3, 1)
    with pytest.raises(NeedsNotMet, match=r"row 2 .*wrong encoding"):
        read_texts([{"text": "one"}, {"text": json.loads('"\\ud83d"')}], tokenizer, room=20)


def test_a_text_is_halved_between_the_sentences_nearest_to_its_middle() -> None:
    assert halves("One is. Two is here. Three is there.") == ("One is. Two is here.", "Three is there.")
    assert halves("我在这里。你在那里。") == ("我在这里。", "你在那里。")
    assert halves("Only one sentence.") is None
    assert halves("") is None


# --- gaps ---


def ids_of(text: str) -> list[int]:
    return [ord(character) for character in text]


def text_of(ids: list[int]) -> str:
    return "".join(map(chr, ids))


def read_back(ids: list[int]) -> str:
    """The text that an arranged one was made of, told by its marks alone."""
    if MARKS.gap in ids:
        at = ids.index(MARKS.fill)
        outside, inside = split(ids[:at], MARKS.gap), split(ids[at + 1 :], MARKS.end)[:-1]
        return Gapped([text_of(piece) for piece in outside], [text_of(piece) for piece in inside]).text
    before, after, fill, end = map(ids.index, MARKS[:4])
    assert (before, end) == (0, len(ids) - 1)
    prefix, suffix, rest = ids[before + 1 : after], ids[after + 1 : fill], ids[fill + 1 : end]
    return text_of([*prefix, *rest, *suffix])  # with the suffix first, the prefix stands at the head of the rest


def split(ids: list[int], mark: int) -> list[list[int]]:
    pieces: list[list[int]] = [[]]
    for token in ids:
        if token == mark:
            pieces.append([])
        else:
            pieces[-1].append(token)
    return pieces


@settings(deadline=None)
@given(texts, st.integers(1, 4), st.floats(0.05, 1), st.booleans(), st.booleans(), st.integers(0, 2**31))
def test_a_text_with_gaps_can_be_put_together_again(
    text: str, gaps: int, longest: float, whole_words: bool, suffix_first: bool, seed: int
) -> None:
    found = cut(text, random.Random(seed), gaps=gaps, longest=longest, whole_words=whole_words)
    if found is None:
        return
    assert found.text == text
    assert all(found.inside) and 1 <= len(found.inside) <= gaps
    outside, inside = [ids_of(piece) for piece in found.outside], [ids_of(piece) for piece in found.inside]
    one = arranged(outside, inside, MARKS, spans=gaps > 1, suffix_first=suffix_first, start=[])
    assert read_back(one.ids) == text
    learned = [token for token, is_learned in zip(one.ids, one.learned, strict=True) if is_learned]
    assert not {MARKS.before, MARKS.after, MARKS.fill, MARKS.gap} & set(learned)
    assert learned.count(MARKS.end) == len(inside)
    if gaps == 1:
        assert one.ids[-len(inside[0]) - 1 : -1] == inside[0], "what was cut out is written last"


@settings(deadline=None)
@given(texts, st.integers(0, 2**31))
def test_a_gap_of_words_leaves_words_on_both_sides(text: str, seed: int) -> None:
    found = without_words(text, random.Random(seed), most=4)
    if found is None:
        assert len(text.split()) < 3
        return
    assert found.text == text
    assert all(piece.strip() for piece in [*found.outside, *found.inside])


def test_gaps_are_no_longer_than_asked() -> None:
    text, rng = "x" * 1000, random.Random(0)
    found = [cut(text, rng, gaps=3, longest=0.3) for _ in range(200)]
    assert max(sum(map(len, one.inside)) for one in found if one) <= 300
    assert {len(one.inside) for one in found if one} == {1, 2, 3}


def test_a_question_is_what_stands_before_the_answer() -> None:
    outside, inside = [[1, 2], [5]], [[3, 4]]
    for first in (False, True):
        asked = question(outside, [], MARKS, spans=False, suffix_first=first, start=[9])
        whole = arranged(outside, inside, MARKS, spans=False, suffix_first=first, start=[9])
        assert whole.ids == [*asked, 3, 4, MARKS.end]
        assert whole.ids[0] == 9


# --- epochs ---


@settings(deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 6), st.integers(1, 3), st.integers(0, 200))
def test_every_text_has_its_turn_in_every_epoch(lengths: list[int], rows: int, accumulate: int, budget: int) -> None:
    sizes = Batches(batch_rows=rows, accumulate=accumulate, batch_tokens=budget)
    made: Callable[[], Any] = lambda: rounds(lengths, sizes, epochs=2, seed=3)  # noqa: E731
    found = made()
    assert found == made()
    for epoch, steps in enumerate(found):
        batches = [batch for step in steps for batch in step]
        assert sorted(batch for one in batches for batch in one) == [(place, epoch) for place in range(len(lengths))]
        assert all(len(step) <= accumulate for step in steps) and all(len(batch) <= rows for batch in batches)
        padded = [len(batch) * max(lengths[row.place] for row in batch) for batch in batches if len(batch) > 1]
        assert not budget or all(tokens <= budget for tokens in padded)


def test_an_example_is_made_once_a_step() -> None:
    """A step asks for the weight of all its batches, then for the loss of one after the other."""
    made: list[Shown] = []
    shown = remembered(lambda row: made.append(row) or row.place, Batches(accumulate=2))  # type: ignore[func-returns-value]
    for epoch in range(2):
        step = [Batch(epoch, (0, 1)), Batch(epoch, (2,))]
        assert shown(step) == [0, 1, 2]
        assert [shown([batch]) for batch in step] == [[0, 1], [2]]
    assert made == [Shown(place, epoch) for epoch in range(2) for place in range(3)]

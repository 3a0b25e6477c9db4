"""Rows say where they are wrong, and projections lose exactly what they say they lose."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feinschliff.rows import (
    ROW_KINDS,
    RowError,
    group_of,
    kind_of,
    pair_to_ranking,
    prompt_messages,
    prompt_text,
    ranking_to_pairs,
    ratings_to_ranking,
    read_rows,
)

EXAMPLES: dict[str, dict[str, Any]] = {
    "text": {"text": "t"},
    "prompt": {"prompt": "p"},
    "demonstration": {"prompt": "p", "completion": "c"},
    "label": {"prompt": "p", "label": "l"},
    "rating": {"prompt": "p", "completion": "c", "scores": {"clear": 4}},
    "unpaired": {"prompt": "p", "completion": "c", "label": True},
    "pair": {"prompt": "p", "chosen": "c", "rejected": "r"},
    "ranking": {"prompt": [{"role": "user", "content": "p"}], "completions": ["a", "b"], "ranks": [1, None]},
}
RANKS = st.lists(st.none() | st.integers(1, 4), min_size=1, max_size=7)


def ranking(ranks: list[int | None]) -> dict[str, Any]:
    return {"prompt": "p", "completions": [f"answer {n}" for n in range(len(ranks))], "ranks": ranks, "group": "g"}


@pytest.mark.parametrize("kind", sorted(ROW_KINDS))
def test_every_kind_is_told_by_its_fields_and_read_back(kind: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(EXAMPLES[kind]) + "\n\n", encoding="utf-8")
    [row] = read_rows(tmp_path / "rows.jsonl", [kind])
    assert kind_of(row) == kind
    assert row["weight"] == 1.0
    assert {key: row[key] for key in EXAMPLES[kind]} == EXAMPLES[kind]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"{", "line 2: not JSON"),
        (b"\xff\xfe", "line 2: not UTF-8"),
        (b"[1]", "line 2: a row is a JSON object"),
        (
            b'{"prompt": "p", "completions": ["a", "b"], "ranks": [1]}',
            "line 2: ranking row: .*2 completions but 1 ranks",
        ),
        (b'{"prompt": "p", "completions": ["a"], "ranks": [0]}', "1 or more"),
        (b'{"prompt": "p", "completions": ["a"]}', "field ranks"),
        (b'{"text": "t"}', "kind text; wanted: ranking"),
        (b'{"prompt": [{"role": "king", "content": "c"}], "completions": ["a"], "ranks": [1]}', "field prompt"),
        (b'{"prompt": "p", "completions": ["a"], "ranks": [1], "weight": -1}', "field weight"),
        (b'{"prompt": "p", "completions": ["a"], "ranks": [1], "weight": NaN}', "field weight"),
    ],
)
def test_a_bad_line_is_named_with_its_number_and_field(line: bytes, told: str, tmp_path: Path) -> None:
    good = json.dumps(ranking([1, 2])).encode()
    (tmp_path / "rows.jsonl").write_bytes(good + b"\n" + line + b"\n")
    with pytest.raises(RowError, match=told):
        list(read_rows(tmp_path / "rows.jsonl", ["ranking"]))


@given(RANKS)
def test_a_ranking_gives_every_strict_comparison_once_and_counts_the_ties(ranks: list[int | None]) -> None:
    row = ranking(ranks)
    projected = ranking_to_pairs(row)
    by_text = dict(zip(row["completions"], ranks, strict=True))
    known = [rank for rank in ranks if rank is not None]
    assert len(projected.rows) + projected.lost == len(known) * (len(known) - 1) // 2
    assert all(by_text[pair["chosen"]] < by_text[pair["rejected"]] for pair in projected.rows)
    assert len({(pair["chosen"], pair["rejected"]) for pair in projected.rows}) == len(projected.rows)
    assert all(pair["group"] == "g" for pair in projected.rows)


def test_a_pair_becomes_a_ranking_of_two_and_back() -> None:
    pair = {**EXAMPLES["pair"], "margin": None, "group": "g", "weight": 2.0}
    assert ranking_to_pairs(pair_to_ranking(pair)).rows == [pair]


def test_rows_without_a_group_are_grouped_by_their_prompt() -> None:
    assert group_of({"prompt": "a"}) == group_of({"prompt": "a", "completions": []}) != group_of({"prompt": "b"})
    assert group_of({"prompt": "a", "group": "debate"}) == "debate"


def test_prompts_are_texts_or_messages_and_turn_into_each_other() -> None:
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]
    assert prompt_text("Hello") == prompt_text(prompt_messages("Hello")) == "Hello"
    assert prompt_text(turns) == "System: Be kind.\n\nUser: Hello"


SCORES = st.dictionaries(st.sampled_from(["clear", "true", "kind"]), st.sampled_from([0.1, 0.2, 0.3, 1.0, 4.0]))


def rated(scores: list[dict[str, float]]) -> list[dict[str, Any]]:
    return [{"prompt": "p", "completion": f"answer {n}", "scores": one, "group": "g"} for n, one in enumerate(scores)]


@given(st.lists(SCORES, max_size=6))
def test_ratings_rank_answers_by_the_scores_that_all_of_them_have(scores: list[dict[str, float]]) -> None:
    made, lost = ratings_to_ranking(rated(scores))
    shared = set.intersection(*(set(one) for one in scores)) if scores else set()
    if len(scores) < 2 or not shared:
        assert (made, lost) == ([], len(scores))
        return
    [row] = made
    assert lost == 0
    assert kind_of(row) == "ranking"
    assert row["group"] == "g"
    assert row["completions"] == [f"answer {n}" for n in range(len(scores))]
    sums = [round(sum(one[name] for name in shared), 6) for one in scores]
    for own, rank in zip(sums, row["ranks"], strict=True):
        assert rank == 1 + sum(other > own for other in sums)


def test_equal_means_are_a_tie_though_floats_add_up_otherwise() -> None:
    made, _ = ratings_to_ranking(rated([{"a": 0.1, "b": 0.2, "c": 0.3}, {"a": 0.3, "b": 0.2, "c": 0.1}]))
    assert made[0]["ranks"] == [1, 1]


def test_only_the_aspects_that_were_asked_for_count() -> None:
    ratings = rated([{"true": 1, "long": 5}, {"true": 2, "long": 1}])
    assert ratings_to_ranking(ratings)[0][0]["ranks"] == [1, 2]
    assert ratings_to_ranking(ratings, aspects=["true"])[0][0]["ranks"] == [2, 1]
    assert ratings_to_ranking(ratings, aspects=["kind"]) == ([], 2)


def test_ratings_of_several_prompts_make_no_ranking() -> None:
    ratings = rated([{"true": 1}, {"true": 2}])
    ratings[1]["prompt"] = "another"
    with pytest.raises(RowError, match="several prompts"):
        ratings_to_ranking(ratings)

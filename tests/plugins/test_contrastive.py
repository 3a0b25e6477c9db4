"""Contrastive learning: what stands in one batch, the loss against its formula, and models that find more than before."""

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feinschliff import NeedsNotMet, Opening, Run
from feinschliff.checks import worlds
from feinschliff.run import Stop
from plugins.base_models.opening import open_tiny
from plugins.lib import retrieval
from plugins.self_supervised.contrastive import alone, gather, halves, plan, train
from plugins.self_supervised.contrastive_config import ContrastiveConfig
from plugins.self_supervised.contrastive_examples import Example, batches, read
from plugins.self_supervised.contrastive_model import Embedder, open_embedder

Rows = list[dict[str, Any]]
WRITTEN = [
    "Hello there",
    "",
    "A much longer text about the river, the stone and the bread.",
    "Über den Fluss",
    "日本語",
]


def config(**values: Any) -> ContrastiveConfig:  # noqa: ANN401 - settings of the run
    return ContrastiveConfig.model_validate({"learning_rate": 1e-3, "batch_rows": 16, "evaluations": 1, **values})


@pytest.fixture(scope="module")
def bases(weights: Path) -> dict[str, Any]:
    return {kind: open_tiny(f"tiny:{kind}", Opening(weights=weights, device="cpu")) for kind in ("encoder", "causal")}


@pytest.fixture
def run_on(tmp_path: Path, bases: dict[str, Any]) -> Callable[..., Run]:
    """A run in this process, over rows for both splits."""

    def made(train_rows: Rows, heldout: Rows, *, base: str = "encoder", name: str = "run", **values: Any) -> Run:  # noqa: ANN401
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for split, rows in (("train", train_rows), ("heldout", heldout)):
            (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return Run(
            folder=folder,
            config=config(**values),
            seed=3,
            rows={split: folder / f"{split}.jsonl" for split in ("train", "heldout")},
            kinds=("text", "prompt", "demonstration", "label", "rating", "pair", "ranking"),
            opener=lambda _role: bases[base],
            device="cpu",
        )

    return made


# --- what belongs together, and what may stand in one batch ---

rankings = st.lists(
    st.tuples(st.integers(0, 5), st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3)), min_size=2, max_size=5)),
    min_size=1,
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(rankings, st.integers(2, 8), st.integers(0, 3), st.sampled_from(["group", "text"]))
def test_nothing_that_belongs_together_is_pushed_apart(made: Any, most: int, hard: int, apart: Any) -> None:  # noqa: ANN401
    rows = [
        {
            "prompt": f"prompt {prompt}",
            "completions": [f"answer {answer}" for answer, _ in answers],
            "ranks": [rank for _, rank in answers],
            "group": f"group {prompt % 3}",
        }
        for prompt, answers in made
    ]
    examples = read(rows, hard=hard, apart=apart).examples
    found = batches(examples, most=most, seed=1, epoch=0)
    check_batches(found, most)
    if apart == "group":
        assert all(len({one.group for one in batch}) == len(batch) for batch in found)
    dropped = len(examples) - sum(map(len, found))
    assert dropped >= 0
    if len({example.apart for example in examples}) == len(examples) and hard == 0:
        assert dropped <= max(1, len(examples) // 2)
    assert found == batches(examples, most=most, seed=1, epoch=0), "the same seed, the same batches"


def check_batches(found: list[list[Example]], most: int) -> None:
    for batch in found:
        assert len(batch) <= most
        assert len({example.apart for example in batch}) == len(batch)
        for example in batch:
            others = [one for one in batch if one is not example]
            own = {example.anchor, example.positive}
            pushed = {text for one in others for text in (one.positive, *one.negatives)}
            assert not own & pushed, "a text is pushed away from itself"
            assert not own & set(example.negatives)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from(["topic", "tone"]), st.sampled_from("abc")),
        min_size=1,
        max_size=40,
    ),
    st.integers(2, 8),
)
def test_no_text_is_pushed_away_from_its_own_class(votes: Any, most: int) -> None:  # noqa: ANN401
    """Which is what most people said of it, in the task that a batch is of."""
    rows = [{"prompt": f"text {text}", "label": label, "task": task} for text, task, label in votes]
    examples = read(rows).examples
    found = batches(examples, most=most, seed=1, epoch=0)
    check_batches(found, most)
    assert len({(one.task, one.anchor) for one in examples}) == len(examples), "an anchor once a task"
    for batch in found:
        [task] = {one.task for one in batch}
        for one in batch:
            told = [
                Counter(label for text, at, label in votes if at == task and f"text {text}" == side) for side in one[:2]
            ]
            (top, count), *rest = told[0].most_common()
            assert all(count > other for _, other in rest), "evenly split texts are of no class"
            assert top == told[1].most_common()[0][0]
        assert len({one.apart for one in batch}) == len(batch)


def test_one_vote_against_many_makes_no_second_class() -> None:
    rows = [{"prompt": "disputed", "label": label} for label in "aaab"]
    rows += [{"prompt": "split", "label": label} for label in "ab"]
    rows += [{"prompt": f"{label} {number}", "label": label} for label in "ab" for number in range(3)]
    found = read(rows)
    assert [one.apart for one in found.examples if one.anchor == "disputed"] == ["/a"]
    assert found.left_out == {"split": 1}


def test_what_finds_no_partner_in_a_batch_is_told() -> None:
    """Of 40 texts of one class and 10 of the other, ten pairs are learned from in an epoch."""
    rows = [
        {"prompt": f"{label} {number}", "label": label}
        for label, many in (("ham", 40), ("spam", 10))
        for number in range(many)
    ]
    examples = read(rows).examples
    learned = sum(map(len, batches(examples, most=16, seed=0, epoch=0)))
    told = alone(len(examples), learned)
    assert told["rows/alone-in-batch"] == 30 and "30 an epoch" in told["warning"]
    assert alone(50, 49.5) == {"rows/alone-in-batch": 0.5}


def test_the_best_answer_is_compared_with_all_lower_ones_whatever_is_trained_on() -> None:
    rows = [
        {"prompt": f"p {n}", "completions": [f"{letter} {n}" for letter in "abcdef"], "ranks": [1, 2, 3, 4, 5, 6]}
        for n in range(9)
    ]
    for hard in (0, 1, 16):
        found = gather(rows, rows, config(hard_negatives=hard), 0)
        assert all(len(one.negatives) == 5 for one in found.ranked)
        assert all(len(one.negatives) == min(hard, 5) for one in found.heldout)


def test_rows_that_give_the_same_examples_each_epoch_are_read_once(run_on: Callable[..., Run]) -> None:
    rows = worlds.rows("ranking", 12, 1)
    run = run_on(rows, [], epochs=2)
    material = gather(rows, [], run.config, 0)
    first, second = ({id(one) for batch in epoch for one in batch} for epoch in plan(run, None, material).epochs)  # type: ignore[arg-type]
    assert first == second == {id(one) for one in material.examples}


def test_the_best_answer_belongs_to_the_prompt_and_the_least_liked_are_hard_negatives() -> None:
    ranking = {"prompt": "p", "completions": ["a", "b", "c", "d", "e"], "ranks": [2, 1, 4, 3, None]}
    assert read([ranking], hard=2).examples == [Example("p", "b", ("c", "d"), *[read([ranking]).examples[0].group] * 2)]
    pair = {"prompt": "p", "chosen": "a", "rejected": "b"}
    assert [(one.positive, one.negatives) for one in read([pair], hard=3).examples] == [("a", ("b",))]
    rated = [{"prompt": "p", "completion": text, "scores": {"help": score}} for text, score in (("x", 1.0), ("y", 3.0))]
    assert [(one.positive, one.negatives) for one in read(rated, hard=3).examples] == [("y", ("x",))]
    tied = {"prompt": "p", "completions": ["a", "b"], "ranks": [1, 1]}
    assert read([tied], hard=3).left_out == {"no-positive": 1}
    assert read([{**ranking, "weight": 0.0}]).left_out == {"weight-0": 1}


def test_texts_of_a_class_are_partners_and_change_them_from_epoch_to_epoch() -> None:
    rows = [{"prompt": f"{label} {number}", "label": label} for label in "ab" for number in range(8)]
    rows += [{"prompt": "alone", "label": "c"}, {"prompt": "  ", "label": "a"}, {"prompt": "a 1", "label": "a"}]
    first, second = (read(rows, seed=5, epoch=epoch) for epoch in (0, 1))
    assert first.left_out == {"alone-in-class": 1, "empty": 1}
    assert {one.anchor for one in first.examples} == {f"{label} {number}" for label in "ab" for number in range(8)}
    assert all(one.anchor[0] == one.positive[0] and one.anchor != one.positive for one in first.examples)
    assert first.examples != second.examples
    assert all(len(batch) == 2 for batch in batches(first.examples, most=16, seed=0, epoch=0)), "one of each class"


def test_many_rows_that_share_a_text_are_sorted_into_batches_in_good_time() -> None:
    rows = [{"prompt": f"question {number}", "completion": "Yes."} for number in range(3000)]
    rows += [{"prompt": f"other {number}", "completion": f"No, {number}."} for number in range(3000)]
    found = batches(read(rows).examples, most=32, seed=0, epoch=0)
    assert sum(len(batch) for batch in found) > 3000
    assert all(sum(one.positive == "Yes." for one in batch) <= 1 for batch in found)


def test_a_text_is_cut_in_halves_at_a_space() -> None:
    assert halves("one two three four") == ("one two", "three four")
    assert halves("日本語の文") == ("日本", "語の文")
    assert halves("x") == ("", "x")


@pytest.mark.parametrize(
    ("rows", "settings_", "word"),
    [
        ([{"text": "  "}] * 9, {}, "not empty"),
        ([{"text": "same", "group": f"g{n}"} for n in range(9)], {}, "same text"),
        ([{"text": f"text {n}", "group": "one"} for n in range(9)], {}, "apart"),
        ([{"prompt": f"text {n}", "label": "only"} for n in range(9)], {}, "class"),
        ([{"prompt": f"text {n}", "label": "only", "task": f"task {n % 2}"} for n in range(9)], {}, "one class"),
        ([{"prompt": f"text {n}", "label": f"l{n}"} for n in range(9)], {}, "two"),
        ([{"text": f"text {n}"} for n in range(9)], {"dropout": 0.0}, "dropout"),
        ([{"prompt": f"p {n}", "completions": ["a", "b"], "ranks": [1, 1]} for n in range(9)], {}, "more than others"),
    ],
)
def test_rows_that_tell_nothing_apart_are_refused_before_anything_is_loaded(
    rows: Rows, settings_: dict[str, Any], word: str
) -> None:
    with pytest.raises(NeedsNotMet, match=word):
        gather(rows, [], config(**settings_), 0)


def test_a_book_is_no_group_where_the_settings_say_so() -> None:
    rows = [{"text": f"text {n}", "group": "one"} for n in range(9)]
    assert len(gather(rows, [], config(apart="text"), 0).examples) == 9


# --- numbers ---


def test_ranks_alignment_and_uniformity_are_those_of_their_formulas() -> None:
    task = retrieval.task_of([("q1", "d1", "a"), ("q2", "d2", "b"), ("q3", "d3", "c")])
    queries = retrieval.unit([[1, 0], [0, 1], [1, 0.1]])
    documents = retrieval.unit([[1, 0], [1, 1], [0, 1]])
    found = retrieval.found(task, queries @ documents.T, documents @ documents.T)
    assert found.ranks == [1, 2, 3]
    distances = [((a - b) ** 2).sum() for a, b in zip(queries, documents, strict=True)]
    assert found.alignment == pytest.approx(np.mean(distances))
    apart = [((documents[i] - documents[j]) ** 2).sum() for i in range(3) for j in range(i)]
    assert found.uniformity == pytest.approx(math.log(np.mean(np.exp(-2 * np.array(apart)))))
    numbers = retrieval.numbers(task, found.ranks, "model")
    assert numbers["mrr/model"] == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    assert numbers["recall-1/model"] == pytest.approx(1 / 3)
    assert numbers["mrr/model/low"] <= numbers["mrr/model"] <= numbers["mrr/model/high"]  # type: ignore[operator]


def test_vectors_that_are_all_the_same_find_nothing() -> None:
    task = retrieval.task_of([(f"q{n}", f"d{n}", str(n)) for n in range(30)])
    found = retrieval.searched(task, lambda texts: np.ones((len(texts), 4)))
    assert set(found.ranks) == {30}
    assert found.uniformity == pytest.approx(0.0)


def test_a_query_does_not_find_itself_and_any_text_of_its_class_counts() -> None:
    pairs = [("a1", "a2", "1"), ("a2", "a1", "2"), ("b1", "b2", "3"), ("b2", "b1", "4")]
    task = retrieval.task_of(pairs, ["a", "a", "b", "b"])
    assert [[task.documents[place] for place in places] for places in task.relevant] == [["a2"], ["a1"], ["b2"], ["b1"]]
    words = retrieval.searched_by_words(
        retrieval.task_of([("red cat", "cat red", "1"), ("dog", "the dog", "2")]), ["cat"]
    )
    assert words.ranks[0] == 1


# --- the loss, the model, the run ---


def example(number: int, negatives: tuple[str, ...] = ()) -> Example:
    return Example(
        f"question number {number}", f"the answer {number} of some words", negatives, str(number), str(number)
    )


def test_the_loss_is_infonce_and_pieces_give_the_same_gradients(bases: dict[str, Any]) -> None:
    """Anchors against all positives and all hard negatives of the batch, however many each row has."""
    import torch

    rows = [example(0, ("bad one", "bad two")), example(1), example(2, ("worse",)), example(3)]
    grads, losses = [], []
    for budget in (16_384, 64):
        embedder = Embedder.begin(bases["encoder"].folder, config(tokens_at_once=budget), seed=0, device="cpu")
        embedder.model.train()
        torch.manual_seed(7)
        loss = embedder.loss(rows)
        loss.backward()
        losses.append(loss.item())
        grads.append({name: w.grad.clone() for name, w in embedder.model.named_parameters() if w.grad is not None})
    embedder = Embedder.begin(bases["encoder"].folder, config(dropout=0.0), seed=0, device="cpu")
    assert embedder.loss(rows).item() != pytest.approx(losses[0], abs=1e-6), "dropout is on while training"
    losses, grads = [], []
    for budget in (16_384, 64):
        embedder = Embedder.begin(
            bases["encoder"].folder, config(dropout=0.0, tokens_at_once=budget), seed=0, device="cpu"
        )
        embedder.model.train()
        loss = embedder.loss(rows)
        loss.backward()
        losses.append(loss.item())
        grads.append({name: w.grad.clone() for name, w in embedder.model.named_parameters() if w.grad is not None})
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for name, grad in grads[0].items():
        torch.testing.assert_close(grad, grads[1][name], rtol=1e-3, atol=1e-5)
    anchors, positives = ([getattr(row, what) for row in rows] for what in ("anchor", "positive"))
    a = retrieval.unit(embedder.embed(anchors))
    d = retrieval.unit(embedder.embed([*positives, "bad one", "bad two", "worse"]))
    logits = a @ d.T / 0.05
    expected = np.mean([np.log(np.exp(row).sum()) - row[place] for place, row in enumerate(logits)])
    assert losses[0] == pytest.approx(expected, rel=1e-4)


def test_two_views_of_one_text_differ_by_dropout_alone(bases: dict[str, Any]) -> None:
    """For causal bases too, whose config has none: the setting reaches their attention."""
    for base in bases.values():
        embedder = Embedder.begin(base.folder, config(), seed=0, device="cpu")
        features = embedder.features(["some words of a text"])
        embedder.model.train()
        first, second = (embedder.model(dict(features))["sentence_embedding"].detach().numpy() for _ in range(2))
        assert not np.allclose(first, second)
        embedder.model.eval()
        first, second = (embedder.model(dict(features))["sentence_embedding"].detach().numpy() for _ in range(2))
        assert np.array_equal(first, second)


@pytest.mark.parametrize(("base", "rank"), [("encoder", 0), ("causal", 4)])
def test_what_is_saved_opens_everywhere_and_says_the_same(
    bases: dict[str, Any], tmp_path: Path, base: str, rank: int
) -> None:
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel

    embedder = Embedder.begin(bases[base].folder, config(lora_rank=rank, max_length=16), seed=0, device="cpu")
    with torch.no_grad():
        for weight in embedder.model.parameters():
            if weight.requires_grad:
                weight += 0.02
    embedder.save(tmp_path)
    ours = open_embedder(tmp_path).embed([*WRITTEN, "word " * 900])
    theirs = SentenceTransformer(str(tmp_path), device="cpu", local_files_only=True).encode([*WRITTEN, "word " * 900])
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert not np.allclose(ours[:5], bases[base].embed(WRITTEN)), "it is not the base"
    AutoModel.from_pretrained(tmp_path, local_files_only=True)


def test_it_learns_what_belongs_together(run_on: Callable[..., Run], capsys: pytest.CaptureFixture[str]) -> None:
    """Labels of the small world: held-out texts of a class find each other, better than before and than by counting words."""
    run = run_on(worlds.rows("label", 96, 1), worlds.rows("label", 60, 2), epochs=3)
    numbers = train(run)
    assert numbers["loss/heldout"] < numbers["loss/untrained"]
    assert numbers["mrr/model"] > numbers["mrr/untrained"]
    assert numbers["gain/over-untrained/low"] > 0
    assert numbers["mrr/model"] > numbers["mrr/tf-idf"]
    both = {who: numbers[f"alignment/{who}"] + numbers[f"uniformity/{who}"] for who in ("heldout", "untrained")}
    assert both["heldout"] < both["untrained"], (
        "an untrained encoder has all texts in one corner: aligned, and not spread"
    )
    assert numbers["speed/tokens-a-second"] > 0
    assert numbers["learning-rate"] == 1e-3, "chosen by the size of the base"
    assert "rows/alone-in-batch" in numbers
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    shown = {event["title"] for event in events if event["type"] == "report"}
    assert shown == {"Finding what belongs together", "How alike held-out texts are"}
    assert [event for event in events if event["type"] == "metric" and "mrr/heldout" in event["values"]]


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_to_the_same_numbers(run_on: Callable[..., Run]) -> None:
    rows, heldout = worlds.rows("ranking", 40, 1), worlds.rows("ranking", 20, 2)
    whole = train(run_on(rows, heldout, name="whole", epochs=1, tokens_at_once=200))
    stopped = run_on(rows, heldout, name="stopped", epochs=1, tokens_at_once=200)
    stop = Stop()
    stopped._stop = stop
    tell = stopped.progress
    stopped.progress = lambda done, total: (setattr(stop, "asked", done >= 2), tell(done, total))[1]  # type: ignore[method-assign]
    assert train(stopped) == {}
    again = train(run_on(rows, heldout, name="stopped", epochs=1, tokens_at_once=200))
    same = {name for name in whole if not name.startswith("speed")}
    assert {name: whole[name] for name in same} == {name: again[name] for name in same}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text", "prompt", "demonstration", "rating", "pair", "ranking"])
@pytest.mark.parametrize("base", ["encoder", "causal"])
def test_every_kind_of_rows_is_learned_from(run_on: Callable[..., Run], kind: str, base: str) -> None:
    """Where answers were ranked, the best is nearer than before; of others the loss falls."""
    ranked = kind in ("rating", "pair", "ranking")  # answers of the small world have nothing to do with their prompt
    told = {"batch_rows": 2, "hard_negatives": 16} if ranked else {}
    rows, heldout = worlds.rows(kind, 160 if ranked else 64, 1), worlds.rows(kind, 60, 2)
    numbers = train(run_on(rows, heldout, base=base, epochs=3 if ranked else 6, **told))
    if ranked:
        assert numbers["accuracy/model"] > max(0.6, numbers["accuracy/untrained"])
        assert numbers["accuracy/model/low"] <= numbers["accuracy/model"] <= numbers["accuracy/model/high"]
    else:
        assert numbers["loss/heldout"] < numbers["loss/untrained"]
    assert math.isfinite(numbers["uniformity/heldout"])

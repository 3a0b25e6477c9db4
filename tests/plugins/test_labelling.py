"""Classifiers from labels: what is refused, what is learned, what is measured, and that a stopped run goes on to the same."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feinschliff import NeedsNotMet, Run
from feinschliff.checks import worlds
from feinschliff.run import Stop
from plugins.lib import classified
from plugins.lib.labels import class_weights, lessons, one_task, read
from plugins.supervised.config import TaskSpecificConfig

Rows = list[dict[str, Any]]
Numbers = dict[str, Any]
NAMES = st.sampled_from(["a", "b", "c", "d"])


def row(text: str, label: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"prompt": text, "label": label, **more}


def ten(**more: Any) -> Rows:  # noqa: ANN401
    return [row(f"text {n}", "odd" if n % 2 else "even", **more) for n in range(10)]


# --- rows ---


def test_people_who_disagree_make_a_soft_target_and_the_majority_is_the_truth() -> None:
    rows = [
        row("one", "a"),
        row("one", "a"),
        row("one", "b"),
        row("two", "a"),
        row("two", "b"),
        row("gone", "a", weight=0),
    ]
    by_item, by_judgement = read(rows), read(rows, "judgement")
    assert [dict(one.shares) for one in by_item] == [{"a": 2 / 3, "b": 1 / 3}, {"a": 0.5, "b": 0.5}]
    assert [one.label for one in by_item] == ["a", None]
    assert [one.weight for one in by_item] == [1, 1] and [one.weight for one in by_judgement] == [3, 2]


def test_a_conversation_and_its_text_are_one_text() -> None:
    rows = [row("hello", "a"), {"prompt": [{"role": "user", "content": "hello"}], "label": "a"}]
    assert len(read(rows)) == 1


@pytest.mark.parametrize(
    ("train", "heldout", "sentence"),
    [
        ([row(f"text {n}", "same") for n in range(9)], [], "all 9 texts have the label 'same'"),
        ([*ten(), row("lonely", "rare")], [], "a single text to learn from: 'rare'"),
        (ten(), [row("x", "unheard")], "none to learn from, being held out alone: 'unheard'"),
        ([*ten(), row("  \n", "odd", item="item-7")], [], r"1 of the 11 texts are empty \(items 'item-7'\)"),
        ([*ten(), row("x", " ")], [], "1 texts have an empty label"),
        ([], [], "no labelled rows"),
    ],
)
def test_rows_that_no_classifier_can_learn_are_refused(train: Rows, heldout: Rows, sentence: str) -> None:
    with pytest.raises(NeedsNotMet, match=sentence):
        lessons(read(train), read(heldout))


def test_rare_classes_are_kept_or_left_out_when_told_to() -> None:
    train, heldout = (
        read([*ten(), row("lonely", "rare")]),
        read([row("x", "rare"), row("y", "unheard"), row("z", "odd")]),
    )
    kept = lessons(train, heldout, rare="keep")
    assert kept.classes == ["even", "odd", "rare"] and len(kept.train) == 11 and kept.truth == ["odd"]
    assert kept.counts["rows/not-measured"] == 2
    without = lessons(train, heldout, rare="leave-out")
    assert without.classes == ["even", "odd"] and len(without.train) == 10 and without.truth == ["odd"]
    assert without.counts["rows/left-out"] == 1


def test_a_text_counts_only_where_the_class_that_most_gave_it_can_be_learned() -> None:
    """Nobody is right who says what the minority said, because the majority's class is unknown."""
    single = [row("lonely", "rare"), row("lonely", "rare"), row("lonely", "odd")]
    asked = [row("x", "odd"), row("x", "unheard"), row("x", "unheard"), row("y", "odd"), row("y", "odd"), row("y", "?")]
    kept = lessons(read([*ten(), *single]), read(asked), rare="keep")
    assert [one.prompt for one in kept.heldout] == ["y"] and kept.heldout[0].shares == {"odd": 1.0}
    assert kept.counts["rows/not-measured"] == 1
    without = lessons(read([*ten(), *single]), read(asked), rare="leave-out")
    assert len(without.train) == 10 and without.counts["rows/left-out"] == 1


def test_people_agree_as_far_as_several_of_them_labelled_a_text() -> None:
    once = [row(f"once {n}", "odd") for n in range(90)]
    thrice = [row(f"thrice {n}", "even" if vote == 2 and n < 4 else "odd") for n in range(8) for vote in range(3)]
    split = [row(f"split {n}", label) for n in range(2) for label in ("odd", "even")]
    found = lessons(read(ten()), read([*once, *thrice, *split]))
    assert found.agreement == pytest.approx((4 * 1 + 4 * 2 / 3 + 2 * 1 / 2) / 10)
    assert lessons(read(ten()), read(once)).agreement is None


def test_several_tasks_need_a_choice() -> None:
    rows = read([*ten(task="parity"), row("text 1", "short", task="length")])
    assert len(rows) == 11, "the same text in two tasks is two texts"
    with pytest.raises(NeedsNotMet, match=r"'length', 'parity'.*multi-task"):
        one_task(rows, "")
    assert len(one_task(rows, "parity")) == 10
    with pytest.raises(NeedsNotMet, match="no row has the task 'colour'"):
        one_task(rows, "colour")


@given(st.lists(NAMES, min_size=2, max_size=40), st.sampled_from(["none", "root", "balanced"]))
def test_class_weights_have_mean_one_over_the_rows(labels: list[str], how: Any) -> None:  # noqa: ANN401
    rows = read([row(str(n), label) for n, label in enumerate(labels)])
    classes = sorted(set(labels))
    weights = dict(zip(classes, class_weights(rows, classes, how), strict=True))
    assert sum(weights[label] for label in labels) == pytest.approx(len(labels))
    shares = {label: weights[label] * labels.count(label) for label in classes}
    if how == "balanced":
        assert max(shares.values()) == pytest.approx(min(shares.values()))
    elif how == "none":
        assert all(weight == pytest.approx(1) for weight in weights.values())


# --- numbers ---


@pytest.mark.filterwarnings("ignore:A single label was found")
@settings(deadline=None)  # the first call loads scikit-learn
@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=60))
def test_scores_agree_with_their_definitions(pairs: list[tuple[str, str]]) -> None:
    truth, said = [true for true, _ in pairs], [guess for _, guess in pairs]
    found = classified.scores(truth, said)
    for one in found.classes:
        right = sum(a == b == one.label for a, b in pairs)
        assert one.f1 == pytest.approx(2 * right / (truth.count(one.label) + said.count(one.label)))
        assert (one.rows, one.said) == (truth.count(one.label), said.count(one.label))
    assert found.macro_f1 == pytest.approx(sum(one.f1 for one in found.classes) / len(set(truth + said)))
    assert sum(map(sum, found.confusion)) == len(pairs)
    assert found.accuracy == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))


def test_the_interval_of_macro_f1_draws_groups() -> None:
    truth, said = ["a", "b"] * 100, ["a", "b"] * 80 + ["b", "a"] * 20
    by_row = classified.f1_interval(truth, said, [str(n) for n in range(200)])
    by_group = classified.f1_interval(truth, said, [str(n // 20) for n in range(200)])
    assert by_row[0] < 0.8 < by_row[1] and by_group[0] < by_row[0] < by_row[1] < by_group[1]
    assert by_row == classified.f1_interval(truth, said, [str(n) for n in range(200)])


def test_a_bootstrap_drawn_in_blocks_draws_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, said, units = ["a", "b"] * 50, ["a", "b"] * 40 + ["b", "a"] * 10, [str(n) for n in range(100)]
    whole = classified.f1_interval(truth, said, units)
    monkeypatch.setattr(classified, "DRAWN_AT_ONCE", 700)
    assert classified.f1_interval(truth, said, units) == whole


def test_calibration_and_loss_by_hand() -> None:
    shares = [[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]
    truth = ["a", "b", "b", "a"]
    assert classified.calibration_error(truth, shares, ["a", "b"]) == pytest.approx((0.8 + 0.2 + 0.5) / 4)
    expected = -sum(map(math.log, [0.9, 0.1, 0.8, 0.5])) / 4
    assert classified.log_loss(truth, shares, ["a", "b"]) == pytest.approx(expected)


def test_words_alone_are_a_baseline_and_no_words_are_none() -> None:
    rows = worlds.rows("label", 60, 1)
    said = classified.by_words([one["prompt"] for one in rows], [one["label"] for one in rows], ["purrs mouse stone"])
    assert said == ["cat"]
    assert classified.by_words(["!", "?"], ["a", "b"], ["."]) is None
    assert classified.by_words(["one", "two"], ["a", "a"], ["three"]) == ["a"], "a majority that is everywhere the same"


def test_the_words_baseline_keeps_within_its_memory_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, labels = ["red red cat", "red dog", "red red cat", "red dog"], ["a", "b", "a", "b"]
    monkeypatch.setattr(classified, "WEIGHTS", 2 * 1)
    assert set(classified.by_words(texts, labels, ["red cat", "red dog"]) or []) in ({"a"}, {"b"}), (
        "only 'red' is known"
    )
    monkeypatch.setattr(classified, "PASSES", 4 * 2 - 1)
    assert classified.by_words(texts, labels, ["cat"]) is None


def test_outputs_of_the_same_name_are_refused() -> None:
    from plugins.lib.classifying import outputs

    with pytest.raises(NeedsNotMet, match="topic/sub/x"):
        outputs({"topic": ["sub/x", "y"], "topic/sub": ["x", "z"]})


class Shown(Run):
    """A run that keeps what it would show."""

    def __init__(self) -> None:
        self.matrices: dict[str, Any] = {}
        self.tables: dict[str, Any] = {}

    def matrix(self, title: str, labels: Any, counts: Any, *, note: str = "") -> None:  # noqa: ANN401
        self.matrices[title] = (labels, counts, note)

    def table(self, title: str, columns: Any, rows: Any, *, note: str = "") -> None:  # noqa: ANN401
        self.tables[title] = rows


def test_of_many_classes_the_most_confused_are_pictured() -> None:
    truth = [f"class {n:02}" for n in range(30) for _ in range(3)]
    said = [name if name < "class 25" else "class 00" for name in truth]
    run = Shown()
    classified.show(run, truth, said, title="animals")
    labels, counts, note = run.matrices["Confusion of animals"]
    assert len(labels) == 20 == len(counts) and {"class 00", *(f"class {n}" for n in range(25, 30))} <= set(labels)
    assert "20 classes most often confused, of 30" in note and len(run.tables["Classes of animals"]) == 30
    assert counts[labels.index("class 25")][labels.index("class 00")] == 3


# --- models ---


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    from plugins.base_models.tiny import build_causal, build_encoder
    from plugins.lib.verbs import CausalModel, EncoderModel

    folder = tmp_path_factory.mktemp("bases")
    for name, build in (("encoder", build_encoder), ("causal", build_causal)):
        (folder / name).mkdir()
        build(folder / name)
    return {"encoder": EncoderModel(folder / "encoder"), "causal": CausalModel(folder / "causal")}


class StopsAt(Run):
    """A run that somebody asks to end after a number of steps."""

    stops = math.inf

    def progress(self, done: int, total: int) -> None:
        super().progress(done, total)
        self._stop.asked = self._stop.asked or done >= self.stops


Make = Callable[..., StopsAt]


@pytest.fixture
def make(bases: Mapping[str, Any], tmp_path: Path) -> Make:
    def made(name: str = "run", base: str = "encoder", rows: Rows | None = None, **config: Any) -> StopsAt:  # noqa: ANN401
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        splits = {
            "train": worlds.rows("label", 96, 1) if rows is None else rows,
            "heldout": worlds.rows("label", 30, 2),
        }
        for split, found in splits.items():
            (folder / f"{split}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in found), encoding="utf-8")
        return StopsAt(
            folder=folder,
            config=TaskSpecificConfig(**{"evaluations": 1, **config}),
            seed=3,
            rows={split: folder / f"{split}.jsonl" for split in splits},
            kinds=("demonstration", "label"),
            opener=lambda role: bases[base] if role == "base" else None,
            device="cpu",
            stop=Stop(),
        )

    return made


def trained(run: Run) -> Numbers:
    from plugins.supervised.training import train

    return train(run)


@pytest.mark.parametrize("base", ["encoder", "causal"])
def test_it_learns_what_was_planted_and_opens_again(base: str, make: Make) -> None:
    from transformers import AutoModelForSequenceClassification

    from plugins.lib.opening import open_trained

    run = make(base=base, epochs=12 if base == "encoder" else 4, batch_rows=16, dropout=0)
    numbers = trained(run)
    assert numbers["accuracy/model"] > 0.9 > numbers["accuracy/majority"] and numbers["accuracy/untrained"] < 0.7
    assert numbers["accuracy/words"] > 0.9 and numbers["loss/heldout"] < 0.4 < numbers["loss/untrained"]
    model = open_trained(run.out / "model")
    asked = ["purrs mouse stone river", "", "привет 猫 " * 900]
    found = model.classify(asked)
    assert max(found[0], key=found[0].__getitem__) == "cat"
    assert all(set(one) == {"cat", "dog", "bird"} and sum(one.values()) == pytest.approx(1) for one in found)
    assert model.embed(asked).shape == (3, 128)
    plain = AutoModelForSequenceClassification.from_pretrained(run.out / "model")
    assert list(plain.config.id2label.values()) == ["bird", "cat", "dog"], "transformers alone knows the classes"


def test_a_stopped_run_goes_on_to_the_same_weights(make: Make) -> None:
    how = {"epochs": 3, "batch_rows": 16, "accumulate": 2, "class_weights": "root", "label_smoothing": 0.1}
    whole = make("whole", **how)
    numbers = trained(whole)
    stopped = make("stopped", **how)
    stopped.stops = 4
    assert trained(stopped) == {} and stopped.last_checkpoint and not (stopped.out / "model").exists()
    resumed = make("stopped", **how)
    assert trained(resumed) == numbers and numbers["steps"] == 9
    saved = [(run.out / "model" / "model.safetensors").read_bytes() for run in (whole, resumed)]
    assert saved[0] == saved[1]


def test_budget_pieces_and_rows_give_the_same_loss(make: Make, bases: Mapping[str, Any]) -> None:
    """A step's loss is the same however it is cut into pieces, and a text that thinks twice is two rows of half the weight."""
    from plugins.lib.classifying import Classifier
    from plugins.supervised.labelling import encoded, loss_of

    model = Classifier.begin(bases["encoder"].folder, {"": ["bird", "cat", "dog"]}, seed=0, device="cpu")
    model.model.eval()
    config = TaskSpecificConfig()
    rows = encoded(model, read(worlds.rows("label", 12, 1)), config)
    whole = loss_of(model, rows, 12.0).item()
    assert sum(loss_of(model, rows[at : at + 5], 12.0).item() for at in (0, 5, 10)) == pytest.approx(whole, abs=1e-5)
    torn = encoded(model, read([row("one text", "cat"), row("one text", "dog")]), config)
    apart = [
        loss_of(model, encoded(model, read([row("one text", label)]), config), 1.0).item() for label in ("cat", "dog")
    ]
    assert loss_of(model, torn, 1.0).item() == pytest.approx(sum(apart) / 2, abs=1e-5)


def test_two_tasks_have_two_heads_on_one_trunk(bases: Mapping[str, Any], tmp_path: Path) -> None:
    """Training one task's head moves none of the other's numbers while the trunk stands still; both come back from the folder."""
    import torch

    from plugins.lib.classifying import Classifier
    from plugins.lib.opening import open_trained

    model = Classifier.begin(
        bases["causal"].folder, {"kind": ["a", "b"], "tone": ["x", "y", "z"]}, seed=0, device="cpu"
    )
    model.model.eval()
    sequences = model.encode(["hello </s> there", "ok"])
    before = model.logits(sequences, "tone")
    assert before.shape == (2, 3) and before.requires_grad
    for weight in model.trunk.parameters():
        weight.requires_grad_(False)
    model.logits(sequences, "kind").sum().backward()
    with torch.no_grad():
        for weight in model.model.parameters():
            if weight.grad is not None:
                weight -= weight.grad
    assert torch.equal(model.logits(sequences, "tone"), before)
    model.save(tmp_path / "model")
    opened = open_trained(tmp_path / "model")
    found = opened.classify(["hello"])[0]
    assert list(found) == ["kind/a", "kind/b", "tone/x", "tone/y", "tone/z"]
    assert found["kind/a"] + found["kind/b"] == pytest.approx(0.5) and sum(found.values()) == pytest.approx(1)
    begun = Classifier.begin(tmp_path / "model", {"": ["p", "q"]}, seed=1, device="cpu")
    assert begun.causal and all(
        torch.equal(old, new) for old, new in zip(opened.trunk.parameters(), begun.trunk.parameters(), strict=True)
    )


def test_which_end_is_read_is_the_classifiers_own_and_a_cut_text_ends_once(bases: Mapping[str, Any]) -> None:
    """`embed` is the base's, whatever was classified before; a tokenizer that sets EOS itself gets no second one."""
    import numpy as np
    from tokenizers.processors import TemplateProcessing

    from plugins.lib.classifying import Classifier

    model = Classifier.begin(bases["causal"].folder, {"": ["a", "b"]}, seed=0, device="cpu", max_length=16, keep="end")
    long = "first " * 3000 + "last"
    before = model.embed([long])
    model.classify(["x"])
    assert np.array_equal(model.embed([long]), before)
    plain, eos = model.encode([long])[0], model.tokenizer.eos_token_id
    mark = (model.tokenizer.eos_token, eos)
    model.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"$A {mark[0]}", special_tokens=[mark])
    found = model.encode([long])[0]
    assert found == plain and found.cut and len(found.ids) == 16 and found.ids[-2:].count(eos) == 1


def test_long_texts_stay_within_robertas_positions_and_its_head_is_drawn_whole(
    bases: Mapping[str, Any], tmp_path: Path
) -> None:
    import torch

    from plugins.lib.classifying import Classifier, open_classifier
    from plugins.reward_model.config import RewardModelConfig
    from plugins.reward_model.outputs import Outputs
    from plugins.reward_model.starting import from_base
    from tests.plugins.architectures import made

    base = made("roberta", vocab_size=len(bases["encoder"].tokenizer), max_position_embeddings=64, pad_token_id=1)
    base.save_pretrained(tmp_path / "base")
    bases["encoder"].tokenizer.save_pretrained(tmp_path / "base")
    model = Classifier.begin(tmp_path / "base", {"": ["a", "b", "c"]}, seed=0, device="cpu")
    assert model.max_length == 62
    config = RewardModelConfig(lora_rank=2, heads=2)
    reward = from_base(tmp_path / "base", config, causal=False, outputs=Outputs(heads=2), seed=0, device="cpu")
    assert reward.max_length == 62, "adapters hide the table of positions, and must not"
    model.save(tmp_path / "model")
    opened = open_classifier(tmp_path / "model")
    assert len(opened.classify(["word " * 500])[0]) == 3
    assert opened.embed(["word " * 500]).shape == (1, 32)
    again = Classifier.begin(tmp_path / "model", {"": ["a", "b", "c"]}, seed=1, device="cpu").model
    for part in ("dense", "out_proj"):
        old, new = (getattr(one.classifier, part).weight for one in (opened.model, again))
        assert not torch.isclose(old, new).any(), f"{part} is another one"


def test_a_length_that_was_saved_too_long_for_roberta_is_mended_when_it_is_opened(
    bases: Mapping[str, Any], tmp_path: Path
) -> None:
    """Models of an earlier version say 64 of 64 positions, of which those up to the pad token's number are never used."""
    from plugins.lib.classifying import SETTINGS, Classifier, open_classifier
    from plugins.reward_model import model as rewards
    from plugins.reward_model.config import RewardModelConfig
    from plugins.reward_model.outputs import Outputs
    from plugins.reward_model.starting import from_base
    from tests.plugins.architectures import made

    words, pad = len(bases["encoder"].tokenizer), bases["encoder"].tokenizer.pad_token_id
    base = made("roberta", vocab_size=words, max_position_embeddings=64, pad_token_id=pad)
    base.save_pretrained(tmp_path / "base")
    bases["encoder"].tokenizer.save_pretrained(tmp_path / "base")
    Classifier.begin(tmp_path / "base", {"": ["a", "b", "c"]}, seed=0, device="cpu").save(tmp_path / "sorts")
    reward = from_base(
        tmp_path / "base", RewardModelConfig(heads=2), causal=False, outputs=Outputs(heads=2), seed=0, device="cpu"
    )
    reward.save(tmp_path / "scores")
    for file in (tmp_path / "sorts" / SETTINGS, tmp_path / "scores" / rewards.SETTINGS):
        saved = json.loads(file.read_text("utf-8"))
        assert saved["max_length"] == 63 - pad
        file.write_text(json.dumps(saved | {"max_length": 64}), "utf-8")
    sorts, scores = open_classifier(tmp_path / "sorts"), rewards.open_model(tmp_path / "scores")
    assert (sorts.max_length, scores.max_length) == (63 - pad, 63 - pad)
    assert len(sorts.classify(["word " * 500])[0]) == 3
    assert len(scores.score("word " * 500, ["yes", "no"])) == 2


@pytest.mark.parametrize("words", [True, False], ids=["one class is everywhere the majority", "as planted"])
def test_the_model_is_there_before_anything_is_measured(words: bool, make: Make) -> None:
    """The baseline of words once ended a run whose every text had the same majority, after the last step."""
    rows = worlds.rows("label", 12, 1)
    if words:
        rows = [row(f"text {n}", label) for n in range(12) for label in ("cat", "cat", "dog" if n < 2 else "cat")]
    run = make(rows=rows, epochs=1, evaluations=0, rare_classes="leave-out")
    saved: list[bool] = []
    state = run.state

    def heard(name: str, message: str = "") -> None:
        if "after training" in message:
            saved.append((run.out / "model" / "model.safetensors").exists())
        state(name, message)

    run.state = heard  # type: ignore[method-assign]
    assert "steps" in trained(run) and saved == [True]


@pytest.mark.slow
def test_adapters_train_the_head_whole_and_melt_away(make: Make) -> None:
    run = make(base="causal", lora_rank=4, epochs=12, dropout=0, learning_rate=0.01)
    numbers = trained(run)
    assert numbers["accuracy/model"] > numbers["accuracy/majority"]
    assert not list((run.out / "model").glob("adapter*"))


def test_demonstrations_and_labels_in_one_are_refused(make: Make) -> None:
    mixed = [*worlds.rows("label", 8, 1), *worlds.rows("demonstration", 8, 1)]
    with pytest.raises(NeedsNotMet, match="a snapshot of each"):
        trained(make(rows=mixed))

"""Transfer, in this process on tiny models: what is carried over, what is learned, and that keeping states changes nothing."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from feinschliff import NeedsNotMet, Run
from feinschliff.checks import worlds
from feinschliff.run import Stop
from plugins.supervised import transfer
from plugins.supervised.transfer_config import TransferConfig, layers_to_freeze

Rows = list[dict[str, Any]]
Make = Callable[..., "StopsAt"]
SMALL: dict[str, dict[str, Any]] = {
    "label": {"epochs": 4, "batch_rows": 16, "evaluations": 1},
    "demonstration": {"epochs": 3, "samples": 2, "sample_tokens": 4, "evaluations": 1},
}


class StopsAt(Run):
    """A run that somebody asks to end after a number of steps."""

    stops = math.inf

    def progress(self, done: int, total: int) -> None:
        super().progress(done, total)
        self._stop.asked = self._stop.asked or done >= self.stops


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    from plugins.base_models.tiny import build_causal, build_encoder
    from plugins.lib.verbs import CausalModel, EncoderModel

    folder = tmp_path_factory.mktemp("bases")
    for name, build in (("causal", build_causal), ("encoder", build_encoder)):
        (folder / name).mkdir()
        build(folder / name)
    return {"label": EncoderModel(folder / "encoder"), "demonstration": CausalModel(folder / "causal")}


@pytest.fixture
def make(bases: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def made(
        kind: str,
        name: str = "run",
        *,
        rows: Rows | None = None,
        heldout: Rows | None = None,
        base: Any = None,  # noqa: ANN401
        **changes: Any,  # noqa: ANN401
    ) -> StopsAt:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        splits = {
            "train": worlds.rows(kind, 48, 1) if rows is None else rows,
            "heldout": worlds.rows(kind, 24, 2) if heldout is None else heldout,
        }
        for split, found in splits.items():
            (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
        models = {"base": base or bases[kind], "judge": None}
        return StopsAt(
            folder=folder,
            config=TransferConfig(**SMALL[kind] | changes),
            seed=3,
            rows={split: folder / f"{split}.jsonl" for split in splits},
            kinds=("label", "demonstration"),
            opener=models.__getitem__,
            device="cpu",
            stop=Stop(),
        )

    return made


def tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def timeless(numbers: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in numbers.items() if not name.startswith("seconds")}


# --- settings ---


@given(st.integers(1, 96), st.integers(0, 100))
def test_a_share_of_the_layers_is_never_more_than_there_are(total: int, share: int) -> None:
    found = layers_to_freeze(f"{share}%", total)
    assert found is not None and 0 <= found <= total and abs(found - share / 100 * total) <= 0.5
    assert layers_to_freeze("all", total) == total and layers_to_freeze("nothing", total) is None
    assert layers_to_freeze(str(total), total) == total


@pytest.mark.parametrize("wrong", ["half", "101%", "-1", "2.5", ""])
def test_what_means_no_number_of_layers_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError, match="freeze"):
        TransferConfig(freeze=wrong)


# --- what stays and what changes ---


@pytest.mark.parametrize(("kind", "freeze"), [("label", "50%"), ("demonstration", "50%"), ("demonstration", "all")])
def test_frozen_tensors_are_the_bases_to_the_last_bit(
    kind: str, freeze: str, make: Make, bases: dict[str, Any]
) -> None:
    """Q12 of the references, through the trainer's door: weight decay and all."""
    import torch

    run = make(kind, freeze=freeze, weight_decay=0.1)
    numbers = transfer.train(run)
    before = {name.removeprefix("model."): one for name, one in tensors(bases[kind].folder).items()}
    after = {name.removeprefix("model.").removeprefix("bert."): one for name, one in tensors(run.out / "model").items()}
    same = {name for name in before if torch.equal(before[name], after[name])}
    layers = {name for name in before if ".0." in name or (freeze == "all" and ".1." in name)}
    embeddings = {name for name in before if "embed" in name}
    assert same == layers | embeddings and len(before) > len(same) > 5
    assert numbers["layers/frozen"] == (2 if freeze == "all" else 1)
    assert numbers["parameters/frozen"] == sum(before[name].numel() for name in same)


def test_only_the_head_is_trained_before_anything_thaws(make: Make, bases: dict[str, Any]) -> None:
    import torch

    run = make("label", freeze="0", thaw_every=2, epochs=4)
    numbers = transfer.train(run)
    assert numbers["layers/frozen"] == 1, "four epochs, a layer after every two: the lowest one is never reached"
    before, after = tensors(bases["label"].folder), tensors(run.out / "model")
    changed = {name for name in before if not torch.equal(before[name], after[f"bert.{name}"])}
    assert {name.split(".")[2] for name in changed if name.startswith("encoder.layer")} == {"1"}
    alone = make("label", "alone", freeze="0", thaw_every=4, epochs=4)
    transfer.train(alone)
    after = tensors(alone.out / "model")
    assert {name for name in before if not torch.equal(before[name], after[f"bert.{name}"])} == {
        "pooler.dense.weight",
        "pooler.dense.bias",
    }


def test_lower_layers_take_smaller_steps(make: Make) -> None:
    run = make("label", freeze="nothing", layer_decay=0.5, learning_rate=1e-3)
    learner = transfer.Sorter(run)
    frozen = transfer.frozen_in(learner, run.config)
    epochs = [transfer.steps_of(run, learner, 0)]
    steps = transfer.Course(run, learner, frozen, transfer.Trunk(run, frozen, learner), epochs).steps
    shares = {id(weight): group["lr"] for group in steps.optimizer.param_groups for weight in group["params"]}
    found = {frozen.depth(name): shares[id(weight)] for name, weight in learner.model.named_parameters()}
    assert found == {0: 1e-3, 1: 5e-4, 2: 2.5e-4, 3: 1.25e-4}


# --- kept states ---


@pytest.mark.parametrize("kind", ["label", "demonstration"])
def test_keeping_states_changes_nothing_but_the_time(kind: str, make: Make) -> None:
    settings = {"dropout": 0.2} if kind == "label" else {}
    kept, anew = (make(kind, cache, cache=cache, **settings) for cache in ("auto", "off"))
    first, second = transfer.train(kept), transfer.train(anew)
    assert first["states/megabytes"] > 0 and second["states/megabytes"] == 0
    assert first["loss/train"] == pytest.approx(second["loss/train"], rel=1e-5)
    assert first["loss/heldout"] == pytest.approx(second["loss/heldout"], rel=1e-4)
    assert not [path for path in kept.out.iterdir() if path.name not in ("train.jsonl", "heldout.jsonl", "model")
                and path.name != "checkpoints"]  # fmt: skip


def test_states_without_room_are_worked_out_anew_and_it_says_so(make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    numbers = transfer.train(make("label", cache_gb=0))
    said = capfd.readouterr().out
    assert numbers["states/megabytes"] == 0 and "their states are not kept: they would take 0." in said
    assert "and may take 0.0" in next(line for line in said.splitlines() if "Frozen and trained" in line)


# --- runs ---


@pytest.mark.parametrize("kind", ["label", "demonstration"])
def test_a_stopped_run_goes_on_to_the_same_weights(kind: str, make: Make) -> None:
    settings: dict[str, Any] = {"thaw_every": 1, "freeze": "0", "layer_decay": 0.7} if kind == "label" else {}
    whole = make(kind, "whole", **settings)
    numbers = transfer.train(whole)
    stopped = make(kind, "stopped", **settings)
    stopped.stops = 5
    assert transfer.train(stopped) == {} and stopped.last_checkpoint and not (stopped.out / "model").exists()
    resumed = make(kind, "stopped", **settings)
    assert timeless(transfer.train(resumed)) == timeless(numbers)
    weights = [(run.out / "model" / "model.safetensors").read_bytes() for run in (whole, resumed)]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_what_one_task_taught_the_trunk_serves_the_next(make: Make) -> None:
    """Train on labels A, all of it; transfer to labels B, of which only the head is trained: the trunk is A's, bit for bit,
    and it tells apart what a fresh trunk cannot."""
    import torch

    from plugins.lib.opening import open_trained

    rows = worlds.rows("label", 160, 1)
    first = make("label", "first", rows=rows, freeze="nothing", epochs=12)
    transfer.train(first)
    names = {"cat": "felis", "dog": "canis", "bird": "aves"}
    other = {split: [row | {"label": names[row["label"]]} for row in worlds.rows("label", n, seed)]
             for split, n, seed in (("rows", 40, 5), ("heldout", 60, 6))}  # fmt: skip
    carried = make("label", "carried", base=open_trained(first.out / "model"), freeze="all", epochs=20, **other)
    numbers = transfer.train(carried)
    fresh = transfer.train(make("label", "fresh", freeze="all", epochs=20, **other))
    assert numbers["accuracy/model"] > fresh["accuracy/model"] + 0.2 and numbers["accuracy/model"] >= 0.85
    assert numbers["accuracy/untrained"] < 0.7, "the head is a new one"
    before, after = tensors(first.out / "model"), tensors(carried.out / "model")
    assert all(torch.equal(before[name], after[name]) for name in before if "layer" in name or "embed" in name)
    assert set(open_trained(carried.out / "model").classify(["purrs whiskers"])[0]) == set(names.values())


def test_what_was_learned_to_write_can_be_a_start_too(make: Make) -> None:
    """A model that writes becomes a base for labels: another head on the trunk that demonstrations taught."""
    from plugins.lib.opening import open_trained

    writes = make("demonstration", "writes", epochs=1)
    transfer.train(writes)
    sorts = make("label", "sorts", base=open_trained(writes.out / "model"))
    assert transfer.train(sorts)["accuracy/model"] > 0.6
    assert sum(open_trained(sorts.out / "model").classify(["purrs"])[0].values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"freeze": "3"}, "3 layers are to be frozen, and this model has 2"),
        ({"rows": [{"prompt": f"text {n}", "label": "one"} for n in range(9)]}, "have the label 'one'"),
        (
            {"rows": [{"prompt": "a", "label": "x"}, {"prompt": "b", "completion": "y"}]},
            "demonstrations and labels in one",
        ),
        ({"task": "tone"}, "no row has the task 'tone'"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_step(changes: dict[str, Any], told: str, make: Make) -> None:
    heldout = {"heldout": []} if "rows" in changes else {}
    run = make("label", **changes, **heldout)
    with pytest.raises(NeedsNotMet, match=told):
        transfer.train(run)
    assert run.last_checkpoint is None


def test_a_stop_while_states_are_worked_out_ends_the_run(make: Make) -> None:
    run = make("label")
    run._stop.asked = True
    assert transfer.train(run) == {}

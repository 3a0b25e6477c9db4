"""Freezing, over architecture families: what is frozen, that it stays so to the last bit, and that the border is exact."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.lib.activations import Activations, room
from plugins.lib.freezing import Frozen, freeze
from plugins.lib.layers import layers_of
from tests.plugins.architectures import ENCODERS, FAMILIES, VOCABULARY, made

WRITES_ONLY = ("granite", "cohere", "mamba", "mamba2", "lfm2", "llama4_text")
QUICK = ("llama", "gemma2", "gpt2", "bloom", "bert", "deberta-v2", "modernbert")
RELATIVE = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False}
Make = Callable[..., Any]


def families() -> list[Any]:
    return [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in FAMILIES]


def made_for(family: str, **more: Any) -> Any:  # noqa: ANN401
    """Every second family writes, the others sort, so that both kinds of head are seen."""
    writes = family in WRITES_ONLY or (family not in ENCODERS and list(FAMILIES).index(family) % 2 == 0)
    return made(family, writes=writes, **(RELATIVE if family == "deberta-v2" else {}), **more)


def batch(seed: int = 0) -> dict[str, Any]:
    """Three sequences of 9, 5 and 2 tokens, right-padded."""
    import torch

    torch.manual_seed(seed)
    ids, mask = torch.randint(3, VOCABULARY, (3, 9)), torch.ones(3, 9, dtype=torch.long)
    for row, length in enumerate((9, 5, 2)):
        ids[row, length:], mask[row, length:] = 0, 0
    return {"input_ids": ids, "attention_mask": mask}


def loss_of(model: Any, inputs: dict[str, Any]) -> Any:  # noqa: ANN401
    """A smooth function of all the logits that padding has no part in."""
    logits = model(**inputs, use_cache=False).logits if hasattr(model.config, "use_cache") else model(**inputs).logits
    return (logits if logits.ndim == 2 else logits[inputs["attention_mask"].bool()]).float().pow(2).mean()


def gradients(model: Any) -> dict[str, Any]:  # noqa: ANN401
    found = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


@pytest.mark.parametrize("family", families())
def test_frozen_tensors_stay_bit_identical_and_the_rest_learns_as_it_would_whole(family: str) -> None:
    """Q12 of the references: two steps with weight decay; and from the border the same loss and gradients as from the start."""
    import torch

    for count in (1, 2):
        model = made_for(family)
        frozen = freeze(model, layers=count)
        before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        inputs = batch()
        assert frozen.obstacle is None
        whole = loss_of(model, inputs)
        whole.backward()
        wanted = gradients(model)
        with frozen.resumed(frozen.trunk(inputs)):
            resumed = loss_of(model, inputs)
        resumed.backward()
        found = gradients(model)
        assert resumed.item() == pytest.approx(whole.item(), rel=1e-5)
        assert wanted.keys() == found.keys() and not wanted.keys() & frozen.names
        largest = max(float(one.abs().max()) for one in wanted.values())
        assert all(float((wanted[name] - found[name]).abs().max()) <= 1e-5 * largest for name in wanted)
        optimizer = torch.optim.AdamW(
            [weight for weight in model.parameters() if weight.requires_grad], weight_decay=0.1, lr=0.1
        )
        for _ in range(2):
            with frozen.resumed(frozen.trunk(inputs)):
                loss_of(model, inputs).backward()
            optimizer.step()
        after = dict(model.named_parameters())
        assert all(torch.equal(before[name], after[name]) for name in frozen.names)
        assert all(not torch.equal(before[name], after[name]) for name in wanted)


@pytest.mark.parametrize("family", families())
def test_what_the_border_depends_on_is_what_is_frozen(family: str) -> None:
    """Shaking all that is trained leaves the trunk's states as they are, bit for bit; shaking the frozen part does not."""
    import torch

    for count in (1, 2):
        model = made_for(family)
        frozen = freeze(model, layers=count)
        inputs = batch()
        before = frozen.trunk(inputs)
        own = {
            name
            for layer in frozen.layers[:count]
            for name, weight in model.named_parameters()
            if any(weight is one for one in layer.parameters())
        }
        embedding = next(
            name for name, weight in model.named_parameters() if weight is model.get_input_embeddings().weight
        )
        assert own | {embedding} <= frozen.names and frozen.names - own == freeze(made_for(family), layers=0).names
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name not in frozen.names:
                    weight.add_(torch.randn_like(weight))
            assert torch.equal(frozen.trunk(inputs), before)
            for name in own:
                dict(model.named_parameters())[name].mul_(1.5)
            assert not torch.allclose(frozen.trunk(inputs), before)


def test_wrong_states_at_the_border_are_seen() -> None:
    """What stands at the border is what the layers above work on: were it not used, the tests above could not fail."""
    import torch

    model, inputs = made("bert"), batch()
    frozen = freeze(model, layers=1)
    states = frozen.trunk(inputs)
    with torch.no_grad(), frozen.resumed(states * 1.1):
        other = loss_of(model, inputs)
    with torch.no_grad():
        assert loss_of(model, inputs).item() != pytest.approx(other.item(), rel=1e-3)
    with pytest.raises(ValueError, match=r"states of shape \(3, 8, 32\) do not fit"), frozen.resumed(states[:, :8]):
        loss_of(model, inputs)
    assert "forward" not in vars(frozen.layers[0]), "the model is whole again, whatever happened"


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_a_backward_keeps_nothing_of_the_trunk(family: str) -> None:
    import torch

    kept: dict[int, int] = {}
    for count in (0, 1, 2):
        model, inputs = made(family, num_hidden_layers=2), batch()
        frozen = freeze(model, layers=count)
        sizes: list[int] = []

        def keep(tensor: Any, sizes: list[int] = sizes) -> Any:  # noqa: ANN401
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            if count:
                states = frozen.trunk(inputs)
                assert not sizes and not states.requires_grad
                with frozen.resumed(states):
                    loss = loss_of(model, inputs)
            else:
                loss = loss_of(model, inputs)
        kept[count] = sum(sizes)
        nodes, leaves = [loss.grad_fn], set()
        while nodes:
            node = nodes.pop()
            leaves |= {id(node.variable)} if hasattr(node, "variable") else set()
            nodes += [before for before, _ in node.next_functions if before is not None]
        named = {id(weight): name for name, weight in model.named_parameters()}
        assert {named[leaf] for leaf in leaves} == set(named.values()) - frozen.names
    assert kept[0] > 1.5 * kept[1] > 3 * kept[2]


def test_the_trunk_knows_no_dropout_and_the_rest_keeps_its_own() -> None:
    import torch

    model = made("bert", hidden_dropout_prob=0.5).train()
    frozen = freeze(model, layers=1)
    inputs = batch()
    states = frozen.trunk(inputs)
    assert torch.equal(states, frozen.trunk(inputs)) and all(module.training for module in model.modules())
    with frozen.resumed(states):
        assert loss_of(model, inputs).item() != loss_of(model, inputs).item()


def test_a_head_that_is_tied_is_frozen_with_the_embeddings_unless_nothing_else_is_trained(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    half = made("llama", writes=True, tie_word_embeddings=True)
    assert (
        freeze(half, layers=1).names >= {"model.embed_tokens.weight"}
        and half.lm_head.weight is half.model.embed_tokens.weight
    )
    assert not half.lm_head.weight.requires_grad
    model = made("llama", writes=True, tie_word_embeddings=True)
    freeze(model, layers=2)
    assert model.lm_head.weight.requires_grad and not model.model.embed_tokens.weight.requires_grad
    with torch.no_grad():
        model.lm_head.weight.mul_(2)
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert torch.equal(again.lm_head.weight, model.lm_head.weight)
    assert torch.equal(again.model.embed_tokens.weight, model.model.embed_tokens.weight)


def test_layers_open_from_the_top() -> None:
    model = made("bert")
    frozen = freeze(model, embeddings=True)
    assert [frozen.depth(f"bert.encoder.layer.{place}.output.dense.bias") for place in (1, 0)] == [1, 2]
    assert frozen.depth("classifier.bias") == frozen.depth("bert.pooler.dense.bias") == 0
    assert frozen.depth("bert.embeddings.word_embeddings.weight") == 3
    for depth, wanted in enumerate([{0}, {0, 1}, {0, 1, 2}, {0, 1, 2}]):
        frozen.open(depth)
        assert {frozen.depth(name) for name, weight in model.named_parameters() if weight.requires_grad} == wanted


def test_relative_positions_that_all_layers_share_are_frozen_with_the_first() -> None:
    names = freeze(made("deberta-v2", **RELATIVE), layers=1).names
    assert "deberta.encoder.rel_embeddings.weight" in names
    assert not any(".layer.1." in name for name in names)


def test_what_cannot_be_frozen_is_refused() -> None:
    from transformers import AlbertConfig, AlbertForSequenceClassification

    with pytest.raises(ValueError, match="3 layers are to be frozen, and this model has 2"):
        freeze(made("bert"), layers=3)
    with pytest.raises(ValueError, match="above embeddings that are trained"):
        freeze(made("bert"), embeddings=False, layers=1)
    with pytest.raises(ValueError, match="no layer is frozen"):
        freeze(made("bert")).trunk(batch())
    shared = AlbertConfig(vocab_size=9, hidden_size=8, embedding_size=8, num_attention_heads=2, intermediate_size=8)
    with pytest.raises(ValueError, match="no stack of 12 layers, each with weights of its own"):
        layers_of(AlbertForSequenceClassification(shared))
    nothing = freeze(made("bert"), embeddings=False)
    assert not nothing.names and nothing.obstacle == "no layer is frozen"


# --- kept states ---


@pytest.fixture(scope="module")
def frozen() -> Frozen:
    return freeze(made("llama"), layers=1)


def padded(keys: Any) -> dict[str, Any]:  # noqa: ANN401
    import torch

    longest = max(map(len, keys))
    rows = [[*key, *[0] * (longest - len(key))] for key in keys]
    mask = [[n < len(key) for n in range(longest)] for key in keys]
    return {"input_ids": torch.tensor(rows), "attention_mask": torch.tensor(mask).long()}


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.lists(st.integers(3, VOCABULARY - 1), min_size=1, max_size=20).map(tuple), min_size=1, max_size=8),
    st.randoms(),
)
def test_kept_states_are_the_trunks_whatever_stands_beside_them(
    frozen: Frozen,
    tmp_path_factory: Any,  # noqa: ANN401
    keys: Any,  # noqa: ANN401
    rng: Any,  # noqa: ANN401
) -> None:
    import torch

    folder = tmp_path_factory.mktemp("kept")
    kept = Activations(frozen, keys, padded, folder)
    assert not list(folder.iterdir()), "the file has no name, so no crash leaves it behind"
    some = rng.sample(keys, rng.randint(1, len(keys)))
    found, wanted = kept(some), frozen.trunk(padded(some))
    for row, key in enumerate(some):
        assert torch.equal(found[row, : len(key)], kept([key])[0]) and not found[row, len(key) :].any()
        torch.testing.assert_close(found[row, : len(key)], wanted[row, : len(key)], rtol=1e-5, atol=1e-5)
    kept.close()


def test_states_are_not_kept_where_they_would_not_fit(frozen: Frozen, tmp_path: Path) -> None:
    keys = [(3, 4, 5), (3, 4, 5), (6,)]
    assert room(frozen, keys, tmp_path, most=1e9) == (4 * 32 * 4, "")
    assert room(frozen, keys, tmp_path, most=500).why_not == "they would take 0.0 MB, and may take 0.0"
    with pytest.raises(KeyError):
        Activations(frozen, keys, padded, tmp_path)([(9, 9)])

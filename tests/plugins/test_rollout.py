"""The writing engine: what it writes is what one text at a time would be, in every family, at every batch size."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.lib.rollout import Written, draw, sample
from tests.plugins.architectures import NOT_SHARING, PAD, SHARING, VOCABULARY, made

Model = Any  # transformers' models, which carry no usable types
EOS = 2
PROMPTS = [
    [5, 9, 11, 60, 7, 8, 3], [4], [30, 31], [5, 9, 11, 60, 7, 8, 3], [12, 13, 14, 15, 16], [4], [4], [50, 40, 30, 20, 10, 9],
    [6, 5], [33, 3, 33, 3, 33, 3, 33, 3, 33],
]  # fmt: skip


def write(model: Model, prompts: Sequence[Sequence[int]], **changed: float) -> list[Written]:
    asked: dict[str, Any] = {"max_new_tokens": 12, "temperature": 0.8, "eos": EOS, "pad": PAD, "seed": 4}
    return sample(model, prompts, **(asked | changed))


def plainly(model: Model, prompt: Sequence[int], answer: Sequence[int], temperature: float) -> list[float]:
    """Log-probabilities of the answer by one forward of the whole text, without padding or a cache."""
    import torch

    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt, *answer]]), use_cache=False).logits[0, len(prompt) - 1 : -1]
    return (logits / temperature).log_softmax(-1).gather(-1, torch.tensor(answer)[:, None])[:, 0].tolist()


@pytest.fixture(scope="module")
def model() -> Model:
    """A Llama that ends often enough for rows to leave the batch at all times."""
    import torch

    model = made("llama", writes=True)
    with torch.no_grad():
        model.lm_head.weight[EOS] *= 2.5
    return model


QUICK = (
    "llama",
    "mistral",
    "gemma2",
    "gpt2",
    "gpt_neox",
    "opt",
    "bloom",
    "falcon",
    "mamba",
    "lfm2",
)  # one of each kind


@pytest.mark.parametrize(
    "family",
    [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in [*SHARING, *NOT_SHARING]],
)
def test_any_family_writes_the_same_in_any_batch_and_as_a_plain_forward_says(family: str) -> None:
    model = made(family, writes=True)
    alone = write(model, PROMPTS, batch=1)
    for prompt, text in zip(PROMPTS, alone, strict=True):
        assert text.logps == pytest.approx(plainly(model, prompt, text.ids, 0.8), abs=1e-4)
    for batch in (3, 8):
        together = write(model, PROMPTS, batch=batch)
        assert [text.ids for text in together] == [text.ids for text in alone]
        for one, other in zip(together, alone, strict=True):
            assert one.logps == pytest.approx(other.logps, abs=1e-4)


def test_rows_end_at_all_times_and_give_their_place_to_the_next(model: Model) -> None:
    """The forwards are counted: no row is run on after its end, and equal prompts are read once."""
    ran: list[tuple[int, int]] = []
    hook = model.register_forward_pre_hook(
        lambda _, __, given: ran.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    many = PROMPTS * 6
    texts = write(model, many, batch=8, max_new_tokens=30)
    hook.remove()
    lengths = [len(text.ids) for text in texts]
    assert len(set(lengths)) > 8
    assert any(text.ended for text in texts)
    assert any(not text.ended for text in texts)
    assert sum(rows for rows, columns in ran if columns == 1) <= sum(lengths)  # one-token prompts are read that way too
    assert max(rows for rows, _ in ran) <= 8
    decoded = sum(lengths) - len(many)  # the first token of each comes from reading
    reads = [rows for rows, columns in ran if columns > 1]
    assert sum(rows for rows, _ in ran) - decoded < len(many)
    assert len(reads) > 2


def test_a_text_ends_with_its_eos_and_holds_no_other(model: Model) -> None:
    for text in write(model, PROMPTS * 3, max_new_tokens=25):
        assert text.ended == (text.ids[-1] == EOS)
        assert EOS not in text.ids[:-1]
        assert len(text.ids) == len(text.logps)
        assert text.ended or len(text.ids) == 25


@settings(max_examples=15, deadline=None)
@given(
    prompts=st.lists(st.lists(st.integers(3, VOCABULARY - 1), min_size=1, max_size=20), min_size=1, max_size=9),
    batch=st.integers(1, 6),
    tokens=st.integers(1, 20),
)
def test_whatever_the_prompts_each_text_is_its_own(
    model: Model, prompts: list[list[int]], batch: int, tokens: int
) -> None:
    texts = write(model, prompts, batch=batch, max_new_tokens=tokens, seed=len(prompts))
    for prompt, text in zip(prompts, texts, strict=True):
        assert text.logps == pytest.approx(plainly(model, prompt, text.ids, 0.8), abs=1e-4)


def test_another_seed_writes_something_else_and_the_same_seed_the_same(model: Model) -> None:
    import torch

    before = torch.get_rng_state()
    assert write(model, PROMPTS, seed=1) == write(model, PROMPTS, seed=1)
    assert write(model, PROMPTS, seed=1) != write(model, PROMPTS, seed=2)
    assert torch.equal(before, torch.get_rng_state())
    equal = write(model, [PROMPTS[1]] * 8)
    assert len({tuple(text.ids) for text in equal}) > 1  # one prompt, texts of its own each time


def test_temperature_zero_takes_the_likeliest(model: Model) -> None:
    import torch

    for prompt, text in zip(PROMPTS, write(model, PROMPTS, temperature=0), strict=True):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*prompt, *text.ids]])).logits[0, len(prompt) - 1 : -1]
        assert text.ids == logits.argmax(-1).tolist()
        assert text.logps == pytest.approx(plainly(model, prompt, text.ids, 1.0), abs=1e-4)


def test_the_mode_of_every_part_and_the_gradients_are_left_as_they_were(model: Model) -> None:
    import torch

    model.train()
    model.model.norm.eval()
    try:
        write(model, PROMPTS)
        assert model.training
        assert not model.model.norm.training
        loss = model(input_ids=torch.tensor([PROMPTS[0]])).logits.sum()
        loss.backward()
        assert model.lm_head.weight.grad is not None
    finally:
        model.zero_grad(set_to_none=True)
        model.eval()


def test_an_adapter_is_written_with_and_its_base_without() -> None:
    import torch

    from plugins.lib.adapters import add_lora, base_alone
    from plugins.lib.settings import Lora

    base = made("llama", writes=True)
    plain = write(base, PROMPTS)
    adapted = add_lora(base, Lora(lora_rank=2), task="CAUSAL_LM")
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    changed = write(adapted, PROMPTS)
    assert [text.ids for text in changed] != [text.ids for text in plain]
    for prompt, text in zip(PROMPTS, changed, strict=True):
        assert text.logps == pytest.approx(plainly(adapted, prompt, text.ids, 0.8), abs=1e-4)
    with base_alone(adapted):
        assert [text.ids for text in write(adapted, PROMPTS)] == [text.ids for text in plain]


def test_tokens_are_drawn_as_often_as_the_softmax_says() -> None:
    import torch

    logits = torch.tensor([0.0, 1.0, -1.0, -math.inf, 2.0])
    count = 20_000
    chances = [(place + 0.5) / count for place in range(count)]  # evenly over [0, 1): no chance in the test itself
    tokens, logps = draw(logits.expand(count, -1), chances, temperature=0.7)
    wanted = (logits / 0.7).softmax(-1)
    found = torch.bincount(tokens, minlength=5) / count
    assert torch.allclose(found, wanted, atol=1e-4)
    assert torch.allclose(logps, wanted.log()[tokens], atol=1e-6)


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    import torch

    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()
    chances = [(place + 0.5) / 1000 for place in range(1000)]
    for top_p, kept in ((0.05, {0}), (0.39, {0}), (0.41, {0, 1}), (0.89, {0, 1, 2}), (1.0, {0, 1, 2, 3})):
        tokens, logps = draw(logits.expand(1000, -1), chances, temperature=1.0, top_p=top_p)
        assert set(tokens.tolist()) == kept
        assert torch.allclose(logps, logits[tokens], atol=1e-6)  # of the whole distribution


def test_the_highest_chance_still_draws_a_token_that_can_be() -> None:
    import torch

    logits = torch.tensor([[0.0, 0.0, -math.inf]])
    tokens, logps = draw(logits, [1 - 2**-53], temperature=1.0)
    assert tokens.tolist() == [1]
    assert logps.isfinite().all()


def test_what_cannot_be_written_is_refused(model: Model) -> None:
    import torch

    for wrong in ({"max_new_tokens": 0}, {"temperature": -1}, {"top_p": 0}, {"batch": 0}):
        with pytest.raises(ValueError, match="max_new_tokens"):
            write(model, PROMPTS, **wrong)
    with pytest.raises(ValueError, match="no token"):
        write(model, [[3], []])
    assert write(model, []) == []
    broken = made("llama", writes=True)
    with torch.no_grad():
        broken.lm_head.weight.fill_(math.nan)
    with pytest.raises(FloatingPointError, match="not numbers"):
        write(broken, PROMPTS)

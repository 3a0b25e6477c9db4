"""The K-way engine against transformers' own classes: the same scores, log-probabilities and gradients, either way."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feinschliff import Opening
from plugins.lib.batching import batches
from plugins.lib.encoding import Encoded, encode_answers
from plugins.lib.kway import KWay
from plugins.lib.sharing import Costs, Length, Shape, shape
from tests.plugins.architectures import ENCODERS, NOT_SHARING, PAD, SHARING, VOCABULARY, configured, made

EXACT = 1e-5  # relative, in float32
NO_CLASSIFIER = {"granite", "cohere", "mamba", "mamba2", "lfm2", "llama4_text"}  # transformers has none
SLOW = {"qwen3_next"}  # its reference code takes a step at a time


def kinds(families: Iterable[str]) -> list[Any]:
    """Every family as a classifier and as a writer, where transformers has it as one."""
    return [
        pytest.param(
            family,
            writes,
            marks=[pytest.mark.slow] * (family in SLOW),
            id=f"{family}-{'logps' if writes else 'scores'}",
        )
        for family in families
        for writes in (False, True)
        if family not in (ENCODERS if writes else NO_CLASSIFIER)
    ]


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """Matrices as small as these lose by being split."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def sequence(head: Sequence[int], tail: Sequence[int]) -> Encoded:
    return Encoded([*head, *tail], [0] * len(head) + [1] * len(tail), cut=False)


def answers(*, seed: int = 0, longest: int = 8) -> list[Encoded]:
    """Prompts with 9, 4, 2 and 1 answers, ragged on both sides, some answers equal, in no order."""
    import random

    rng = random.Random(seed)

    def tokens(count: int) -> list[int]:
        return [rng.randrange(3, VOCABULARY) for _ in range(count)]

    found = []
    for head, count in ((7, 9), (3, 4), (12, 2), (1, 1)):
        prompt = tokens(head)
        mine = [sequence(prompt, tokens(rng.randint(1, longest))) for _ in range(count)]
        found += [*mine[:-1], mine[0]] if count > 2 else mine  # one stands there twice
    rng.shuffle(found)
    return found


def padded(model: Any, sequences: Sequence[Encoded], *, left: bool) -> dict[str, Any]:  # noqa: ANN401
    """What transformers' own documentation would feed: one padded row a sequence, positions counted by the mask."""
    from inspect import signature

    import torch

    longest = max(len(one.ids) for one in sequences)
    ids, mask = [], []
    for one in sequences:
        gap = [PAD] * (longest - len(one.ids))
        ids.append([*gap, *one.ids] if left else [*one.ids, *gap])
        mask.append([0] * len(gap) + [1] * len(one.ids) if left else [1] * len(one.ids) + [0] * len(gap))
    inputs = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
    if left and "position_ids" in signature(model.forward).parameters:
        inputs["position_ids"] = (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    return inputs


def plain_scores(model: Any, sequences: Sequence[Encoded], *, left: bool) -> Any:  # noqa: ANN401
    return model(**padded(model, sequences, left=left)).logits


def plain_logps(model: Any, sequences: Sequence[Encoded], *, left: bool, temperature: float = 1.0) -> Any:  # noqa: ANN401
    """Flat, in the order of the sequences."""
    import torch

    inputs = padded(model, sequences, left=left)
    logits = model(**inputs, use_cache=False).logits.float() / temperature
    found = []
    for row, one in enumerate(sequences):
        start = (inputs["input_ids"].shape[1] - len(one.ids) if left else 0) + one.types.count(0)
        for n, token in enumerate(one.ids[one.types.count(0) :]):
            found.append(logits[row, start + n - 1].log_softmax(-1)[token])
    return torch.stack(found)


def gradients(model: Any, values: Any) -> Any:  # noqa: ANN401
    """All in one row, of a sum with weights that no symmetry can cancel."""
    import torch

    model.zero_grad()
    (values * torch.linspace(-1, 2, values.numel()).reshape(values.shape)).sum().backward()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    return torch.cat(
        [(weight.grad if weight.grad is not None else torch.zeros_like(weight)).flatten() for weight in weights]
    )


def error(found: Any, wanted: Any) -> float:  # noqa: ANN401
    return float((found - wanted).detach().abs().max() / wanted.detach().abs().max())


def check(model: Any, sequences: Sequence[Encoded], *, writes: bool, sharing: Any, lefts: Sequence[bool]) -> None:  # noqa: ANN401
    import torch

    engine = KWay(model, pad=PAD, device="cpu", sharing=sharing)
    if writes:
        table, mask = engine.logps(sequences, 0.7)
        assert mask.sum(-1).tolist() == [one.types.count(1) for one in sequences]
        assert not table[~mask].any()
        found = table[mask]
        states, at = engine.states(sequences)
        assert torch.equal(at, mask)
        told = engine.logits(states).detach() / 0.7
        targets = [one.ids[one.types.index(1) :] if 1 in one.types else [] for one in sequences]
        ids = torch.tensor([[*row, *[0] * (mask.shape[1] - len(row))] for row in targets])
        assert error(told.log_softmax(-1).gather(-1, ids.unsqueeze(-1))[..., 0][mask], found) < EXACT
        bare, _ = KWay(engine.body, pad=PAD, device="cpu", sharing=sharing).states(sequences)
        assert error(bare[mask], states[mask]) < EXACT
    else:
        found = engine.scores(sequences)
    mine = gradients(model, found)
    for left in lefts:
        wanted = (
            plain_logps(model, sequences, left=left, temperature=0.7)
            if writes
            else plain_scores(model, sequences, left=left)
        )
        assert error(found, wanted) < EXACT
        assert error(mine, gradients(model, wanted)) < EXACT


@pytest.mark.parametrize(("family", "writes"), kinds(SHARING))
def test_answers_that_share_their_prompt_give_the_numbers_and_gradients_of_transformers(
    family: str, writes: bool
) -> None:
    model = made(family, writes=writes)
    sequences = answers()
    assert KWay(model, pad=PAD, device="cpu", sharing="always").shares(sequences)
    check(model, sequences, writes=writes, sharing="always", lefts=[False, True])
    check(model, sequences, writes=writes, sharing="never", lefts=[False])


@pytest.mark.parametrize(("family", "writes"), kinds([*NOT_SHARING, *ENCODERS]))
def test_families_that_cannot_share_say_so_and_run_one_forward_an_answer(family: str, writes: bool) -> None:
    model = made(family, writes=writes)
    sequences = answers()
    engine = KWay(model, pad=PAD, device="cpu")
    assert engine.unshareable
    assert not engine.shares(sequences)
    check(model, sequences, writes=writes, sharing="auto", lefts=[False])
    with pytest.raises(ValueError, match="cannot share"):
        KWay(model, pad=PAD, device="cpu", sharing="always").shares(sequences)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("writes", [False, True], ids=["scores", "logps"])
def test_lora_and_its_head_learn_the_same_from_shared_prompts(writes: bool, attention: str) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    task = "CAUSAL_LM" if writes else "SEQ_CLS"
    base = made("llama", writes=writes)
    base.set_attn_implementation(attention)
    model = get_peft_model(base, LoraConfig(task_type=task, r=2, lora_dropout=0.0, target_modules="all-linear"))
    with torch.no_grad():  # B starts at zero, which would leave A without a gradient
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3)
    model.eval()
    check(model, answers(), writes=writes, sharing="always", lefts=[False, True])
    check(model, answers(), writes=writes, sharing="never", lefts=[False])


@settings(max_examples=25, deadline=None)
@given(
    world=st.lists(
        st.tuples(st.integers(1, 12), st.lists(st.integers(1, 9), min_size=1, max_size=5)), min_size=1, max_size=4
    ),
    writes=st.booleans(),
)
def test_any_lengths_give_the_numbers_of_transformers(world: list[tuple[int, list[int]]], writes: bool) -> None:
    model = made("gemma3_text", writes=writes)  # windows of four tokens beside full attention
    sequences = [
        sequence([3 + (5 * n + i) % 60 for i in range(head)], [3 + (7 * m + i * i) % 60 for i in range(tail)])
        for n, (head, tails) in enumerate(world)
        for m, tail in enumerate(tails)
    ]
    check(model, sequences, writes=writes, sharing="always", lefts=[False])


def test_an_answer_without_tokens_is_scored_at_the_end_of_its_prompt_and_has_no_log_probabilities() -> None:
    found = [sequence([5, 6, 7], []), sequence([5, 6, 7], [8, 9]), sequence([5, 6, 7], [])]
    for sharing in ("always", "never"):
        check(made("llama"), found, writes=False, sharing=sharing, lefts=[False])
        check(made("llama", writes=True), found, writes=True, sharing=sharing, lefts=[False])
    table, mask = KWay(made("llama", writes=True), pad=PAD, device="cpu").logps(found[:1])
    assert table.shape == mask.shape == (1, 0)


def test_an_answer_without_a_prompt_has_no_first_log_probability() -> None:
    with pytest.raises(ValueError, match="at least one"):
        KWay(made("llama", writes=True), pad=PAD, device="cpu").logps([sequence([], [5, 6])])


def test_nothing_to_score_is_refused_and_nothing_has_no_log_probabilities() -> None:
    for nothing in ([], [sequence([], [])]):
        with pytest.raises(ValueError, match="nothing to score"):
            KWay(made("llama"), pad=PAD, device="cpu").scores(nothing)
    table, mask = KWay(made("llama", writes=True), pad=PAD, device="cpu").logps([])
    assert table.shape == mask.shape == (0, 0)


def test_a_head_that_reads_otherwise_than_at_the_last_token_is_left_to_its_model() -> None:
    from transformers import LlamaForSequenceClassification

    class Mean(LlamaForSequenceClassification):
        def forward(self, input_ids: Any, attention_mask: Any = None, **rest: Any) -> Any:  # noqa: ANN401
            found = super().forward(input_ids, attention_mask=attention_mask, **rest)
            states = self.model(input_ids, attention_mask=attention_mask).last_hidden_state
            mask = (input_ids != PAD).unsqueeze(-1)
            found.logits = self.score((states * mask).sum(1) / mask.sum(1))
            return found

    model = Mean(configured("llama", num_labels=2)).eval()
    assert "last token" in str(KWay(model, pad=PAD, device="cpu").unshareable)
    check(model, answers(), writes=False, sharing="auto", lefts=[False])


def test_equal_sequences_run_once() -> None:
    model = made("llama")
    engine = KWay(model, pad=PAD, device="cpu", sharing="never")
    engine.scores([sequence([5, 6], [7])])  # what is asked of the model once is asked now
    rows: list[int] = []
    model.model.register_forward_hook(
        lambda _module, _args, kwargs, _out: rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    scores = engine.scores([sequence([5, 6], [7])] * 3 + [sequence([5, 6], [8])])
    assert rows == [2]
    assert scores[0].equal(scores[2]) and not scores[0].equal(scores[3])


def test_a_model_that_forgets_what_was_kept_is_found_out_and_left_as_it_was() -> None:
    import torch
    from transformers import LlamaModel

    class Forgetful(LlamaModel):
        def forward(self, input_ids: Any, past_key_values: Any = None, **rest: Any) -> Any:  # noqa: ANN401
            if past_key_values is not None and past_key_values.get_seq_length():
                rest.pop("attention_mask", None)
                return super().forward(input_ids, **rest)
            return super().forward(input_ids, past_key_values=past_key_values, **rest)

    model = made("llama")
    forgetful = Forgetful(configured("llama"))
    forgetful.load_state_dict(model.model.state_dict())
    model.model = forgetful
    model.train()
    forgetful.layers[0].eval()
    before = torch.get_rng_state()
    assert "other numbers" in str(KWay(model, pad=PAD, device="cpu").unshareable)
    assert torch.get_rng_state().equal(before)
    assert forgetful.training and not forgetful.layers[0].training


def test_low_precision_shares_too() -> None:
    import torch

    for family in ("llama", "gemma2", "granite"):
        engine = KWay(made(family, writes=True).to(torch.bfloat16), pad=PAD, device="cpu")
        found, mask = engine.logps(answers())
        assert engine.unshareable is None
        assert found.dtype == torch.float32 and bool((found[mask] < 0).all())


def test_gradient_checkpointing_runs_one_forward_an_answer() -> None:
    model = made("llama").train()
    model.gradient_checkpointing_enable()
    found = [sequence(range(3, 50), [n]) for n in range(3, 12)]
    check(model, found, writes=False, sharing="auto", lefts=[False])
    with pytest.raises(ValueError, match="gradient checkpointing"):
        KWay(model, pad=PAD, device="cpu", sharing="always").scores(found)


def test_a_model_whose_logits_are_not_understood_is_refused() -> None:
    from transformers import LlamaForCausalLM

    class Odd(LlamaForCausalLM):
        def forward(self, **inputs: Any) -> Any:  # noqa: ANN401
            found = super().forward(**inputs)
            found.logits = found.logits**3
            return found

    with pytest.raises(ValueError, match="not known here"):
        KWay(Odd(configured("llama")), pad=PAD, device="cpu").logps([sequence([5, 6], [7])])


def test_a_soft_cap_is_kept_although_the_first_logits_are_too_small_to_show_it() -> None:
    import torch

    model = made("gemma2", writes=True)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(1e-3)
        engine, sequences = KWay(model, pad=PAD, device="cpu"), answers()
        engine.logps(sequences)
        model.get_output_embeddings().weight.mul_(1e5)
        table, mask = engine.logps(sequences)
        wanted = plain_logps(model, sequences, left=False, temperature=1.0)
    assert error(table[mask], wanted) < EXACT


def test_a_model_with_broken_weights_is_named_as_such() -> None:
    import torch

    model = made("llama", writes=True)
    with torch.no_grad():
        model.lm_head.weight[5, 0] = float("nan")
    with pytest.raises(ValueError, match="weights are broken"):
        KWay(model, pad=PAD, device="cpu").logps([sequence([5, 6], [7])])


def test_sharing_is_chosen_where_it_is_cheaper_and_counts_what_it_holds() -> None:
    engine = KWay(made("llama"), pad=PAD, device="cpu")
    costs = Costs(token=1e6, pair=2e3, key=4e4, call=2e7, width=0.1)

    def found(prompts: int, answers: int, head: int, tail: int) -> Shape:
        return shape([Length(n, head, tail) for n in range(prompts) for _ in range(answers)])

    assert costs.pays(found(1, 4, 256, 64)) and costs.pays(found(3, 2, 256, 64)) and costs.pays(found(1, 4, 64, 256))
    assert not costs.pays(found(3, 1, 256, 64))  # nobody to share with
    assert not costs.pays(found(1, 4, 4, 64))  # hardly anything to share
    assert costs.tokens(found(2, 4, 100, 10)) == 2 * 100 + 8 * 10 + 8 * 110 * 0.1
    alone = [sequence([5] * 30, [n]) for n in range(3, 6)]
    assert engine.tokens([engine.length(one) for one in alone]) == 3 * 31  # too small a model to gain


def test_rows_of_one_prompt_fill_a_batch_by_what_the_engine_holds() -> None:
    engine = KWay(made("llama"), pad=PAD, device="cpu", sharing="always")
    rows = [(prompt, n) for prompt in range(3, 7) for n in range(3, 13)]

    def lengths(row: tuple[int, int]) -> dict[tuple[int, int], Length]:
        return {row: engine.length(sequence([row[0]] * 40, [row[1]] * 2))}

    def batched(**more: Any) -> list[list[tuple[int, int]]]:  # noqa: ANN401
        return batches(rows, lengths, lambda row: row[0], budget=100, seed=1, epoch=0, **more)

    found = batched(cost=engine.tokens)
    assert sorted(row for batch in found for row in batch) == rows
    assert max(map(len, found)) > 100 // 42
    for batch in found:
        assert engine.tokens([length for row in batch for length in lengths(row).values()]) <= 100


@pytest.mark.parametrize("kind", ["encoder", "causal"])
def test_all_answers_have_the_prompt_as_the_longest_that_fits_leaves_it(kind: str, weights: Path) -> None:
    from plugins.base_models.opening import open_tiny

    tokenizer = open_tiny(f"tiny:{kind}", Opening(weights=weights)).tokenizer
    texts = ["a", "b c d e f", "too long " * 40, ""]
    asked = " ".join(f"word{n}" for n in range(60))

    def encoded(longest: int, keep: Any = "start") -> list[Encoded | None]:  # noqa: ANN401
        return encode_answers(tokenizer, asked, texts, causal=kind == "causal", max_length=longest, keep=keep)

    short, long, left_out, empty = encoded(40)
    assert left_out is None
    assert short and long and empty
    assert len(long.ids) == 40 and long.cut and short.cut
    heads = [one.ids[: one.types.count(0)] for one in (short, long, empty)]
    assert heads[0] == heads[1] == heads[2]
    assert all(one and not one.cut for one in encoded(2000))
    other = encoded(40, "end")[0]
    assert other and len(other.ids) == len(short.ids) and other.ids != short.ids
    assert encoded(0) == [None] * 4


def test_the_example_of_the_page_runs_and_the_page_names_every_family(weights: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    from plugins.base_models.opening import open_tiny

    page = (Path(__file__).parents[2] / "docs" / "methods" / "kway.md").read_text("utf-8")
    base = open_tiny("tiny:causal", Opening(weights=weights))
    model = AutoModelForSequenceClassification.from_pretrained(base.folder, num_labels=1)
    names: dict[str, Any] = {"model": model, "tokenizer": base.tokenizer}
    exec(page.split("```python")[1].split("```")[0], names)  # noqa: S102 - our own page
    assert names["scores"].shape == (3,)
    assert model.score.weight.grad.abs().sum() > 0

    def plain(text: str) -> str:
        return "".join(letter for letter in text.lower() if letter.isalnum())

    for family in [*SHARING, *NOT_SHARING, *ENCODERS]:
        assert plain(family.removesuffix("_text")) in plain(page.split("## Families")[1]), family

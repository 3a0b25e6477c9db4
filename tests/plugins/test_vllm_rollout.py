"""vLLM as the writer of answers: it speaks by the weights that it was given last, and PPO learns from it as from our engine.

What needs vLLM is skipped where it is not installed; docs/methods/ppo.md says how it was.
"""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from feinschliff import NeedsNotMet
from plugins.base_models.tiny import build_causal
from plugins.lib.adapters import add_lora, base_alone
from plugins.lib.policies import Policy, open_policy, policy_from
from plugins.lib.rollout import Written, sample
from plugins.lib.settings import Lora
from plugins.lib.vllm_rollout import Engine, installed, weights
from plugins.ppo.cast import Cast, opened
from plugins.ppo.experience import Experience, experience, judged
from plugins.ppo.rewarding import Normaliser
from plugins.ppo.training import Loop, train
from plugins.ppo.updating import Updater
from tests.plugins.architectures import made
from tests.plugins.ppo_world import Judge, a_run

needs_vllm = pytest.mark.skipif(not installed(), reason="vLLM is not installed")
NO_END = 0  # pad, which it never likes best
PROMPTS = ["Why is the sea salty?", "Hello", "Tell me about the moon.", "A b c d"]
SMALL: dict[str, Any] = {
    "episodes": 24, "batch": 8, "micro_batch": 4, "max_new_tokens": 8, "reference_samples": 16, "compared": 4,
    "evaluations": 2, "ppo_epochs": 2, "temperature": 0.9, "missing_eos": "ignore", "learning_rate": 1e-3,
}  # fmt: skip


def letters(text: str) -> float:
    return float(text.count("e") - 0.1 * len(text))


def shake(model: Any, seed: int, by: float = 0.5) -> None:  # noqa: ANN401 - transformers' and peft's models
    """Other weights, far enough away for the model to write something else."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.add_(by * torch.randn(weight.shape, generator=generator) / weight.shape[-1] ** 0.5)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that does not write the same token for ever."""
    folder = tmp_path_factory.mktemp("vllm") / "causal"
    build_causal(folder)
    policy = policy_from(folder, seed=0, device="cpu")
    shake(policy.model, 0, by=1.2)
    policy.save(folder)
    return folder


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_adapters_are_melted_into_the_weights_on_the_way_and_leave_the_model_as_it_is(family: str) -> None:
    plain = made(family, writes=True)
    base = {name: weight.detach().clone() for name, weight in plain.named_parameters()}
    model = add_lora(plain, Lora(lora_rank=3), task="CAUSAL_LM")
    shake(model, 1)
    for name, weight in plain.named_parameters():
        if name.replace(".base_layer", "") in base:
            weight.data.copy_(base[name.replace(".base_layer", "")])
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    with base_alone(model):
        alone = {name: weight.clone() for name, weight in weights(model)}
    told = {name: weight.clone() for name, weight in weights(model)}
    assert set(alone) == set(told) == set(base)
    assert all(torch.equal(alone[name], base[name]) for name in base)
    assert any(not torch.equal(told[name], base[name]) for name in base)
    melted = dict(copy.deepcopy(model).merge_and_unload().named_parameters())
    for name, weight in told.items():
        assert torch.allclose(weight, melted[name], atol=1e-6)
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())


def test_without_a_gpu_our_own_engine_writes_and_vllm_that_is_not_there_is_refused_before_training(
    tmp_path: Path, base: Path
) -> None:
    assert opened(a_run(tmp_path / "auto", base, Judge(letters), **SMALL)).writer == "own"
    if installed():
        pytest.skip("vLLM is installed")
    with pytest.raises(NeedsNotMet, match=r"install it .* or set writer to auto or own"):
        opened(a_run(tmp_path / "vllm", base, Judge(letters), **SMALL, writer="vllm"))


@pytest.fixture(scope="module")
def policy(base: Path) -> Policy:
    return policy_from(base, seed=0, device="cpu", lora=Lora(lora_rank=4))


@pytest.fixture(scope="module")
def engine(policy: Policy) -> Engine:
    return Engine(policy.model, longest=128, rows=4)


def both(engine: Engine, policy: Policy, eos: int = NO_END, tokens: int = 16) -> tuple[list[Written], list[Written]]:
    """What vLLM writes, and what our engine does, always the likeliest token."""
    prompts = [policy.prompt_ids(prompt) for prompt in PROMPTS]
    asked: dict[str, Any] = {"max_new_tokens": tokens, "temperature": 0.0, "eos": eos, "seed": 0}
    return engine.sample(prompts, **asked), sample(policy.model, prompts, pad=policy.pad, **asked)


def assert_same(found: Sequence[Written], own: Sequence[Written]) -> None:
    for one, other in zip(found, own, strict=True):
        assert (one.ids, one.ended) == (other.ids, other.ended)
        assert one.logps == pytest.approx(other.logps, abs=1e-4)


@needs_vllm
@pytest.mark.slow
def test_it_writes_by_the_weights_that_it_was_given_last_with_adapters_and_without(
    engine: Engine, policy: Policy
) -> None:
    engine.take(policy.model)
    found, own = both(engine, policy)
    assert_same(found, own)
    assert len({token for one in found for token in one.ids}) > 8, "a model that says something"
    shake(policy.model, 2)
    stale, own = both(engine, policy)
    assert [one.ids for one in stale] != [one.ids for one in own]
    engine.take(policy.model)
    spoken, own = both(engine, policy)
    assert_same(spoken, own)
    with base_alone(policy.model):
        engine.take(policy.model)
        reference, own = both(engine, policy)
    assert_same(reference, own)
    assert [one.ids for one in reference] != [one.ids for one in spoken]


@needs_vllm
@pytest.mark.slow
def test_an_answer_ends_with_the_eos_that_was_asked_for_or_at_the_limit(engine: Engine, policy: Policy) -> None:
    engine.take(policy.model)
    eos = both(engine, policy)[0][0].ids[5]
    found, own = both(engine, policy, eos=eos)
    assert_same(found, own)
    assert found[0].ended
    assert found[0].ids[-1] == eos
    assert not all(one.ended for one in found)
    assert all(one.ended or len(one.ids) == 16 for one in found)


@needs_vllm
@pytest.mark.slow
def test_the_same_seed_writes_the_same_and_draws_are_as_likely_as_the_model_says(
    engine: Engine, policy: Policy
) -> None:
    engine.take(policy.model)
    prompt = policy.prompt_ids(PROMPTS[0])
    asked: dict[str, Any] = {"max_new_tokens": 1, "temperature": 0.8, "eos": NO_END}
    first, again, other = (engine.sample([prompt] * 300, seed=seed, **asked) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    drawn = [one.ids[0] for one in first]
    likeliest, most = max(((one.ids[0], one.logps[0]) for one in first), key=lambda pair: pair[1])
    probability = torch.tensor(most).exp().item()
    with torch.no_grad():
        logits = policy.model(torch.tensor([prompt])).logits[0, -1] / 0.8
    assert logits.softmax(-1)[likeliest].item() == pytest.approx(probability, rel=1e-4)
    spread = (probability * (1 - probability) / len(drawn)) ** 0.5
    assert abs(drawn.count(likeliest) / len(drawn) - probability) < 4 * spread


def first_batch(tmp_path: Path, base: Path, **config: Any) -> tuple[Cast, Experience, Any]:  # noqa: ANN401 - settings
    run = a_run(tmp_path, base, Judge(letters), **SMALL, writer="vllm", **config)
    cast = opened(run)
    found = judged(cast.policy.model, cast, cast.prompts[:8], Normaliser(), config=run.config, key="0")
    return cast, experience(cast, found, beta=run.config.beta, config=run.config), run.config


@needs_vllm
@pytest.mark.slow
@pytest.mark.parametrize("lora_rank", [0, 4])
def test_ppo_takes_the_policys_own_log_probabilities_so_that_the_first_ratio_is_one(
    tmp_path: Path, base: Path, lora_rank: int
) -> None:
    cast, learned, config = first_batch(tmp_path, base, lora_rank=lora_rank)
    assert cast.writer == "vllm"
    assert abs(learned.kl) < 1e-4
    assert 0 < learned.numbers["answers/drift"] < 1e-4, "near the policy's, and not the policy's"
    done = Updater(cast, config, rate=1e-3, critic_rate=1e-3).round(learned, "0")
    assert done.updates[0].drift < 1e-4
    assert done.updates[0].clipped == 0
    assert done.updates[-1].drift > 1e-3, "the policy has moved since"


@needs_vllm
@pytest.mark.slow
def test_a_whole_run_stays_beside_its_policy_and_its_model_writes(tmp_path: Path, base: Path) -> None:
    run = a_run(tmp_path, base, Judge(letters), **SMALL, writer="vllm")
    drifts: list[float] = []
    run.log = lambda step, **numbers: drifts.append(numbers.get("answers/drift", 0.0))  # type: ignore[method-assign]
    numbers = train(run)
    assert numbers["answers/writer"] == "vllm"
    assert numbers["kl/heldout"] > 1e-2, "the policy has moved"
    assert 0 < max(drifts) < 1e-4, "and vLLM with it"
    assert open_policy(run.out / "model").generate(["Why?"], max_new_tokens=4)


@needs_vllm
@pytest.mark.slow
def test_weights_that_are_not_the_policys_end_the_run(tmp_path: Path, base: Path) -> None:
    run = a_run(tmp_path, base, Judge(letters), **SMALL, writer="vllm")
    cast = opened(run)
    found = judged(cast.policy.model, cast, cast.prompts[:8], Normaliser(), config=run.config, key="0")
    shake(cast.policy.model, 3, by=2.0)
    with pytest.raises(RuntimeError, match="other weights than the policy's"):
        experience(cast, found, beta=0.1, config=run.config)


@needs_vllm
@pytest.mark.slow
def test_a_run_goes_on_exactly_from_its_checkpoint(tmp_path: Path, base: Path) -> None:
    def loop(name: str) -> Loop:
        run = a_run(tmp_path / name, base, Judge(letters), **SMALL, writer="vllm")
        return Loop(run, opened(run))

    def trained(loop: Loop) -> list[torch.Tensor]:
        return [weight.detach() for named in loop.cast.trained() for weight in named.values()]

    whole, first = loop("whole"), loop("stopped")
    assert whole.work()
    first._measure_reference()
    assert first._batch()
    first._save()
    second = loop("stopped")
    assert second.work()
    assert second.alarms.history == whole.alarms.history
    for mine, theirs in zip(trained(second), trained(whole), strict=True):
        assert torch.equal(mine, theirs)

"""PPO on tiny models, in this process: what must hold at the first step and at every step, and how a run goes on."""

import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from feinschliff import NeedsNotMet, Run
from feinschliff.model import ModelNotOpened
from plugins.base_models.tiny import build_causal, build_encoder
from plugins.lib.kway import KWay
from plugins.lib.policies import open_policy
from plugins.ppo import reading, training
from plugins.ppo.cast import Cast, opened
from plugins.ppo.experience import Experience, Judged, calibrate, experience, judged, kl_of
from plugins.ppo.reading import Answer, inputs, said
from plugins.ppo.rewarding import Normaliser, normaliser
from plugins.ppo.training import Loop, train
from plugins.ppo.updating import Round, Updater
from plugins.reward_model.model import RewardModel
from tests.plugins.ppo_world import Judge, a_run, untrained_judge

SMALL: dict[str, Any] = {
    "episodes": 24,
    "batch": 8,
    "micro_batch": 4,
    "max_new_tokens": 8,
    "reference_samples": 16,
    "compared": 4,
}
SMALL |= {"evaluations": 2, "ppo_epochs": 2, "temperature": 0.9, "missing_eos": "ignore"}


def letters(text: str) -> float:
    """A judge that an untrained model can please: it counts a common letter."""
    return float(text.count("e") - 0.1 * len(text))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ppo") / "causal"
    build_causal(folder)
    return folder


@pytest.fixture(scope="module")
def reward_model(tmp_path_factory: pytest.TempPathFactory, base: Path) -> RewardModel:
    """An untrained reward model on the same base, in a folder."""
    return untrained_judge(tmp_path_factory.mktemp("ppo") / "reward", base)


@pytest.fixture(autouse=True)
def quiet(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    capsys.readouterr()


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"type"')]


def first_batch(run: Run) -> tuple[Cast, Judged, Experience]:
    cast, config = opened(run), run.config
    found = judged(cast.policy.model, cast, cast.prompts[:8], Normaliser(), config=config, key="0")
    return cast, found, experience(cast, found, beta=config.beta, config=config)


def one_round(run: Run, cast: Cast, learned: Experience) -> Round:
    return Updater(cast, run.config, rate=1e-3, critic_rate=1e-3).round(learned, "0")


def test_an_answer_pays_for_the_doubt_of_the_heads_and_one_head_is_refused_before_anything_is_written(
    tmp_path: Path, base: Path, reward_model: RewardModel
) -> None:
    heads = untrained_judge(tmp_path / "heads", base, heads=3)
    _, plain, _ = first_batch(a_run(tmp_path / "plain", base, heads, **SMALL))
    _, cautious, learned = first_batch(a_run(tmp_path / "cautious", base, heads, **SMALL, uncertainty_weight=2.0))
    asked = zip(cautious.prompts, cautious.texts, strict=True)
    spreads = [heads.score_details(one.prompt, [text])[0]["spread"] for one, text in asked]
    assert cautious.spreads == pytest.approx(spreads, rel=1e-4)
    assert min(spreads) > 0
    wanted = [score - 2 * spread**2 for score, spread in zip(plain.rewards, spreads, strict=True)]
    assert cautious.rewards == pytest.approx(wanted, rel=1e-4)
    assert learned.numbers["reward/disagreement"] == pytest.approx(sum(spreads) / len(spreads), rel=1e-4)
    with pytest.raises(NeedsNotMet, match="heads=4 of reward-model"):
        opened(a_run(tmp_path / "refused", base, reward_model, **SMALL, uncertainty_weight=1.0))


@pytest.mark.parametrize("critic", ["separate", "shared"])
def test_several_answers_to_a_prompt_are_learned_from_as_if_each_had_its_own(
    tmp_path: Path, base: Path, reward_model: RewardModel, monkeypatch: pytest.MonkeyPatch, critic: str
) -> None:
    gradients: list[list[torch.Tensor]] = []
    for sharing in ("always", "never"):
        engine = functools.partial(KWay, pad=0, device="cpu", sharing=sharing)
        monkeypatch.setattr(reading, "_engine", functools.cache(engine))
        run = a_run(tmp_path / sharing, base, reward_model, **SMALL, answers=4, critic=critic)
        loop = Loop(run, opened(run))
        asked = [one for one in loop.cast.prompts[:2] for _ in range(4)]
        found = judged(loop.cast.policy.model, loop.cast, asked, Normaliser(), config=run.config, key="0")
        assert len({tuple(one.ids) for one in found.written}) > 2, "each answer has a chance of its own"
        learned = experience(loop.cast, found, beta=0.1, config=run.config)
        loop.updater._gradients(learned, range(8))
        named = loop.cast.trained()
        gradients.append([weight.grad for part in named for weight in part.values() if weight.grad is not None])
    for mine, plain in zip(*gradients, strict=True):
        assert (mine - plain).norm() <= 1e-5 * plain.norm() + 1e-9


def test_a_batch_has_so_many_answers_to_each_prompt_and_a_minibatch_whole_prompts(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(tmp_path, base, Judge(letters), **SMALL, answers=2, minibatches=2)
    loop, seen = Loop(run, opened(run)), []
    real = training.experience
    monkeypatch.setattr(training, "experience", lambda *given, **named: seen.append(given[1]) or real(*given, **named))
    loop._measure_reference()
    parts: list[Sequence[int]] = []
    gradients = loop.updater._gradients
    monkeypatch.setattr(
        loop.updater, "_gradients", lambda found, places: parts.append(list(places)) or gradients(found, places)
    )
    assert loop._batch()
    assert loop._batch()
    assert len(parts) == 2 * 2 * 2, "two batches, passes, minibatches"
    assert all({place ^ 1 for place in part} == set(part) for part in parts), "both answers to a prompt, or none"
    asked = [tuple(one.prompt for one in batch.answers) for batch in seen]
    assert all(batch[::2] == batch[1::2] and len(set(map(tuple, batch))) == 4 for batch in asked)
    with pytest.raises(ValueError, match="whole prompts"):
        a_run(tmp_path / "odd", base, Judge(letters), **SMALL, answers=3)


@pytest.mark.parametrize("old_logps", ["sampled", "recomputed"])
@pytest.mark.parametrize("lora_rank", [0, 4])
def test_the_first_minibatch_begins_at_ratio_one_and_at_the_reference(
    tmp_path: Path, base: Path, old_logps: str, lora_rank: int
) -> None:
    run = a_run(tmp_path, base, Judge(letters), **SMALL, old_logps=old_logps, lora_rank=lora_rank, minibatches=2)
    cast, found, learned = first_batch(run)
    assert abs(learned.kl) < 1e-4
    assert max(map(abs, kl_of(cast, found.answers, config=run.config))) < 1e-6
    done = one_round(run, cast, learned)
    first = done.updates[0]
    assert first.drift < 1e-4
    assert first.clipped == 0
    assert first.approximate_kl < 1e-6
    assert done.updates[-1].drift > 1e-3, "the policy has moved since"
    assert max(map(abs, kl_of(cast, found.answers, config=run.config))) > 1e-3


def test_neither_padding_nor_company_changes_what_is_said(base: Path, tmp_path: Path) -> None:
    cast = opened(a_run(tmp_path, base, Judge(letters), **SMALL))
    policy = cast.policy
    torch.nn.init.normal_(cast.critic.head.weight)
    answers = [Answer(policy.prompt_ids(prompt), policy.answer_ids(text)) for prompt, text in PROMPTED]
    together = inputs(answers, pad=policy.pad, device=policy.device, longest=40)
    spoken, values = said(policy.model, together, temperature=0.7), cast.critic.values(together)
    for place, one in enumerate(answers):
        alone = inputs([one], pad=policy.pad, device=policy.device)
        count = len(one.ids)
        own = said(policy.model, alone, temperature=0.7)
        for mine, theirs in zip((*own[:2], cast.critic.values(alone)), (*spoken[:2], values), strict=True):
            assert torch.allclose(mine[0], theirs[place, :count], atol=2e-5)
            assert not theirs[place, count:].any()
        logits = policy.model(torch.tensor([[*one.prompt, *one.ids]])).logits[0, len(one.prompt) - 1 : -1] / 0.7
        plain = logits.log_softmax(-1)
        assert torch.allclose(own.logps[0], plain[range(count), list(one.ids)], atol=2e-5)
        assert torch.allclose(own.entropy[0], -(plain.exp() * plain).sum(-1), atol=2e-4)


PROMPTED = [
    ("Why?", "river stone"),
    ("Write about the long winter train.", "music"),
    ("A", "bread letter garden window"),
]


def test_the_return_at_the_end_of_an_answer_contains_its_score(base: Path, tmp_path: Path) -> None:
    run = a_run(tmp_path, base, Judge(letters), **SMALL, gamma=1.0, lam=1.0)
    _, found, learned = first_batch(run)
    last = learned.mask.sum(1).long() - 1
    at_end = learned.returns.gather(1, last.unsqueeze(1)).squeeze(1)
    assert torch.allclose(at_end, torch.tensor(found.rewards), atol=1e-4)
    assert len(set(found.rewards)) > 1


def test_micro_batches_give_the_gradients_of_the_minibatch_and_steps_are_taken_at_its_end(
    base: Path, tmp_path: Path
) -> None:
    found = {}
    for size in (1, 3, 8):
        run = a_run(
            tmp_path / str(size), base, Judge(letters), **{**SMALL, "micro_batch": size}, minibatches=2, update_kl=0
        )
        cast, _, learned = first_batch(run)
        updater = Updater(cast, run.config, rate=1e-3, critic_rate=1e-3)
        update = updater._gradients(learned, [0, 1, 2, 3, 5])
        found[size] = [weight.grad.clone() for weight in [*updater.policy, *updater.critic] if weight.grad is not None]
        found[size].append(torch.tensor([update.policy, update.value, update.entropy, update.approximate_kl]))
        steps = len(updater.round(learned, "0").updates)
        assert steps == run.config.ppo_epochs * run.config.minibatches
        assert {state["step"].item() for state in updater.optimizers["policy"].state.values()} == {steps}
    for size in (1, 3):
        for mine, whole in zip(found[size], found[8], strict=True):
            assert torch.allclose(mine, whole, atol=1e-5 * max(1.0, float(whole.abs().max())))


def test_a_round_ends_early_and_without_the_step_that_would_go_too_far(base: Path, tmp_path: Path) -> None:
    run = a_run(tmp_path, base, Judge(letters), **{**SMALL, "ppo_epochs": 8}, update_kl=1e-3)
    cast, _, learned = first_batch(run)
    done = Updater(cast, run.config, rate=1e-2, critic_rate=1e-3).round(learned, "0")
    assert done.ended_early
    assert len(done.updates) < 8
    assert [update.taken for update in done.updates] == [True] * (len(done.updates) - 1) + [False]
    assert done.numbers()["update/taken"] == len(done.updates) - 1


@pytest.mark.slow
def test_adam_has_ppos_epsilon_and_the_rate_falls_to_zero(base: Path, tmp_path: Path) -> None:
    run = a_run(tmp_path, base, Judge(letters), **SMALL, learning_rate=1e-3, critic_learning_rate=2e-3)
    loop = Loop(run, opened(run))
    rates: list[list[float]] = []
    groups = {name: optimizer.param_groups for name, optimizer in loop.updater.optimizers.items()}
    assert {(one["eps"], one["weight_decay"]) for both in groups.values() for one in both} == {(1e-5, 0.0)}
    anneal = loop.updater.anneal

    def noted(share: float) -> None:
        anneal(share)
        rates.append([both[0]["lr"] for both in groups.values()])

    loop.updater.anneal = noted  # type: ignore[method-assign]
    assert loop.work()
    assert rates == [pytest.approx([share * 1e-3, share * 2e-3]) for share in (1, 2 / 3, 1 / 3)]


def test_no_part_of_the_cast_has_dropout(base: Path, tmp_path: Path) -> None:
    config = json.loads((base / "config.json").read_text())
    leaky = tmp_path / "leaky"
    leaky.mkdir()
    for file in base.iterdir():
        (leaky / file.name).write_bytes(file.read_bytes())
    (leaky / "config.json").write_text(json.dumps(config | {"attention_dropout": 0.5}))
    cast = opened(a_run(tmp_path / "run", leaky, Judge(letters), **SMALL))
    assert cast.critic.trunk is not None
    for model in (cast.policy.model, cast.critic.trunk):
        assert {getattr(module, "attention_dropout", 0.0) for module in model.modules()} == {0.0}
        assert not any(module.p for module in model.modules() if isinstance(module, torch.nn.Dropout))


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_the_reference_stays_as_it_was_and_needs_no_copy_beside_adapters(
    base: Path, tmp_path: Path, lora_rank: int
) -> None:
    run = a_run(tmp_path, base, Judge(letters), **SMALL, lora_rank=lora_rank)
    cast, found, learned = first_batch(run)
    batch = inputs(found.answers, pad=cast.policy.pad, device=cast.policy.device)

    def reference() -> torch.Tensor:
        with torch.no_grad(), cast.reference.speaking() as model:
            return said(model, batch, temperature=1.0).logps

    before = reference()
    one_round(run, cast, learned)
    assert torch.equal(reference(), before)
    assert (cast.reference._copy is None) == bool(lora_rank)
    assert all("lora" in name for name in cast.trained()[0]) == bool(lora_rank)


def test_a_critic_from_the_reward_model_begins_by_saying_its_normalised_scores(
    base: Path, tmp_path: Path, reward_model: RewardModel
) -> None:
    run = a_run(tmp_path, base, reward_model, **SMALL)
    cast, _, _ = first_batch(run)
    assert cast.critic.origin == "reward"
    # the very texts that the reward model reads: what was sampled may be spelt by other tokens
    texts = ["river stone", "please", "music winter table", "bread"]
    answers = [Answer(cast.prompts[0].ids, cast.policy.answer_ids(text)[:-1]) for text in texts]
    scores = reward_model.score(cast.prompts[0].prompt, texts)
    found = Judged([cast.prompts[0]] * 4, [], texts, scores, scores)
    object.__setattr__(found, "written", [Answer(one.prompt, [*one.ids, cast.policy.eos]) for one in answers])
    calibrate(cast, found, normaliser(scores), config=run.config)
    ends = [Answer(one.prompt, [*one.ids, cast.policy.eos, cast.policy.eos]) for one in answers]
    batch = inputs(ends, pad=cast.policy.pad, device=cast.policy.device)
    last = batch.mask.sum(1, keepdim=True).long() - 1
    values = cast.critic.values(batch).gather(1, last).flatten().tolist()
    assert values == pytest.approx([normaliser(scores)(score) for score in scores], abs=1e-3)


def test_a_judge_without_the_policys_tokens_gets_a_critic_that_begins_at_zero(
    base: Path, tmp_path: Path, reward_model: RewardModel
) -> None:
    build_encoder(tmp_path / "encoder")
    other = untrained_judge(tmp_path / "other", tmp_path / "encoder", causal=False)
    for place, reward in enumerate((Judge(letters), other)):
        cast, _, learned = first_batch(a_run(tmp_path / str(place), base, reward, **SMALL))
        assert cast.critic.origin == "base"
        assert not learned.values.any()


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"kl_target": 2.0, "kl_horizon": 50}, id="full"),
        pytest.param({"lora_rank": 4, "critic": "shared"}, id="shared"),
        pytest.param({"lora_rank": 4, "minibatches": 4}, id="adapters"),
    ],
)
def test_a_run_that_was_stopped_twice_ends_bit_for_bit_like_one_that_was_not(
    base: Path, tmp_path: Path, reward_model: RewardModel, options: dict[str, Any]
) -> None:
    config = SMALL | options | {"learning_rate": 1e-3}
    whole = train(a_run(tmp_path / "whole", base, reward_model, **config))

    class Stopping:
        """The same judge; asks the run to stop at its n-th batch of answers."""

        folder, causal, tokenizer = reward_model.folder, True, reward_model.tokenizer

        def __init__(self, at: int) -> None:
            self.left = at
            self.run: Run | None = None

        def score_each(self, prompts: list[Any], texts: list[str]) -> list[float]:
            self.left -= 1
            if self.left == 0 and self.run:
                self.run._stop.asked = True
            return reward_model.score_each(prompts, texts)

    for at in (4, 2):  # the reference, what is shown, and the first batch come before the fourth
        judge = Stopping(at)
        judge.run = run = a_run(tmp_path / "parts", base, judge, **config)
        assert train(run) == {}
        assert not (tmp_path / "parts" / "model").exists()
    again = train(a_run(tmp_path / "parts", base, Stopping(0), **config))
    assert again == whole
    assert digests(tmp_path / "parts" / "model") == digests(tmp_path / "whole" / "model")


def test_a_run_says_how_it_goes_and_leaves_a_model_that_writes(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = train(a_run(tmp_path, base, Judge(letters), kind="pair", **{**SMALL, "missing_eos": "score"}))
    told = events(capsys)
    curves = {name for event in told if event["type"] == "metric" for name in event["values"]}
    assert curves >= {
        *("reward/mean", "reward/raw", "reward/after-kl", "kl/reference", "kl/beta", "policy/entropy"),
        *("update/clipped", "update/kl", "update/ratio-max", "critic/explained", "answers/ended", "answers/tokens"),
        *("accuracy/preferences", "loss/policy", "loss/value"),
    }
    assert [event["done"] for event in told if event["type"] == "progress"][-1] == 3
    assert {event["title"] for event in told if event["type"] == "report"} == {
        *("Before and after", "Reward and its price", "Alarms")
    }
    assert sum("before" in event for event in told if event["type"] == "sample") == 4
    assert numbers["batches"] == 3
    assert numbers["pairs/heldout"] == 40
    assert numbers["reward/untrained"] is not None
    assert numbers["winrate/reward"] is not None and "winrate/judge" not in numbers
    drifts = [event["values"]["kl/k3"] for event in told if event["type"] == "sample" and "before" in event]
    assert min(drifts) >= 0
    assert "did not end within" in numbers["warning"], "an untrained base knows no end"
    assert any("did not end within" in event.get("message", "") for event in told), "said before the first batch, too"
    texts = open_policy(tmp_path / "model").generate(["Write about the river."], n=2, max_new_tokens=4)
    assert len(texts[0]) == 2


@pytest.mark.slow
def test_a_judge_that_stands_apart_says_what_became_better_and_a_stop_is_told_in_words(
    base: Path, tmp_path: Path
) -> None:
    class Reader(Judge):
        """Reads no prompt about the river."""

        def score(self, prompt: Any, completions: Sequence[str]) -> list[float]:  # noqa: ANN401
            if "river" in str(prompt):
                raise ValueError("too long")
            return super().score(prompt, completions)

    short = Reader(lambda text: -float(len(text)))
    config = {**SMALL, "kl_budget": 1e-6, "episodes": 48, "learning_rate": 1e-3, "compared": 40}
    numbers = train(a_run(tmp_path, base, Judge(letters), judge=short, **config))
    assert "winrate/judge" in numbers and "winrate/reward" not in numbers
    assert numbers["stopped-by"] == "kl-budget"
    assert numbers["warning"].startswith("Stopped itself at batch 4 of 6 (kl-budget)")
    assert numbers["score/after"] < 0, "the judge's own number, not the reward"


def test_what_cannot_work_is_refused_before_anything_is_sampled(
    base: Path, tmp_path: Path, reward_model: RewardModel
) -> None:
    def refused(told: str, reward: Judge | RewardModel, **config: Any) -> None:  # noqa: ANN401 - settings
        with pytest.raises(NeedsNotMet, match=told):
            train(a_run(tmp_path / told[:3], base, reward, **{**SMALL, **config}))

    refused("reads 512 tokens, of which 508", Judge(letters), max_new_tokens=508)
    refused("same score", Judge(lambda text: 1.0))
    refused("reward model reads 256 tokens", reward_model, max_new_tokens=256)
    refused("no prompt fits the 8 tokens", Judge(letters), max_prompt_tokens=8)
    with pytest.raises(ModelNotOpened):
        train(a_run(tmp_path / "none", tmp_path, Judge(letters), **SMALL))
    with pytest.raises(FloatingPointError, match="score is nan"):
        train(a_run(tmp_path / "nan", base, Judge(lambda text: float("nan")), **SMALL))

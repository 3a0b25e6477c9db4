"""The 33 details of PPO from human feedback, each proven to matter: its check passes as it stands and fails switched off.

The numbers are those of docs/methods/ppo.md, whose table names the tests. A check asserts what the detail promises; `off`
takes the detail out of the code or turns its setting off, and the same check must then fail.
"""

import contextlib
import functools
import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from feinschliff import Run
from plugins.base_models.tiny import build_causal
from plugins.lib import adapters, kway, policies, prompts, rollout, stepping
from plugins.lib.encoding import Encoded
from plugins.lib.policies import Policy, policy_from
from plugins.lib.settings import Optimizer
from plugins.ppo import advantages, controlling, losses, reading, training, updating
from plugins.ppo import cast as casting
from plugins.ppo import critic as critics
from plugins.ppo import experience as experiencing
from plugins.ppo.cast import Cast, opened
from plugins.ppo.experience import Experience, Judged, experience, judged
from plugins.ppo.reading import Answer
from plugins.ppo.rewarding import Normaliser
from plugins.ppo.training import Loop
from plugins.ppo.updating import Updater
from plugins.reward_model import model as reward_models
from plugins.reward_model import starting
from plugins.reward_model.config import RewardModelConfig
from plugins.reward_model.outputs import Outputs
from tests.plugins.architectures import made
from tests.plugins.ppo_world import Judge, a_run, untrained_judge

ROOT = Path(__file__).resolve().parents[2]
SMALL: dict[str, Any] = {
    "episodes": 16, "batch": 8, "micro_batch": 4, "max_new_tokens": 8, "reference_samples": 16, "compared": 2,
    "evaluations": 0, "ppo_epochs": 2, "temperature": 0.7, "missing_eos": "ignore",
}  # fmt: skip
Patch = pytest.MonkeyPatch
Loose = Any  # models, and whatever a switch passes on


class World:
    """A tiny policy that sometimes ends its answers, a reward model on the same base, and runs with them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.base = folder, folder / "base"
        build_causal(self.base)
        _ends_now_and_then(self.base)
        self.reward = untrained_judge(folder / "reward", self.base)
        self.changes: dict[str, Any] = {}  # settings that a switch puts over those asked for
        self.whole: Loop | None = None  # a run that nobody stopped, for detail 32
        self._numbers = itertools.count()

    def run(self, reward: Loose = None, **config: Loose) -> Run:
        judge = reward or Judge(lambda text: text.count("e") - 0.1 * len(text))
        told = {**SMALL, **config, **self.changes}
        seed, rows, base = told.pop("seed", 0), told.pop("rows", 24), told.pop("base", self.base)
        return a_run(self.folder / f"run{next(self._numbers)}", base, judge, seed=seed, rows=rows, **told)

    def batch(self, *, away: float = 0.0, **config: Loose) -> tuple[Run, Cast, Judged, Experience]:
        """A first batch of eight answers; `away` moves the policy from its reference before it writes."""
        run = self.run(**config)
        cast = opened(run)
        if away:
            torch.manual_seed(1)
            with torch.no_grad():
                for weight in cast.policy.model.parameters():
                    weight.add_(away * torch.randn_like(weight))
        found = judged(cast.policy.model, cast, cast.prompts[:8], Normaliser(), config=run.config, key="0")
        return run, cast, found, experience(cast, found, beta=run.config.beta, config=run.config)

    def copied(self, **changed: Loose) -> Path:
        """The base with other settings in its config.json."""
        folder = self.folder / f"copy{next(self._numbers)}"
        folder.mkdir()
        for file in self.base.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changed))
        return folder


def _ends_now_and_then(base: Path) -> None:
    """Points the end-of-text token towards where the model's states are, so that some answers end and some do not."""
    policy = policy_from(base, seed=0, device="cpu")
    asked = [Answer(policy.prompt_ids(text), [40, 41, 42, 43]) for text in ("A", "Write about bread.", "Why?")]
    with torch.no_grad():
        batch = reading.inputs(asked, pad=policy.pad, device=policy.device)
        state = reading.said(policy.model, batch, temperature=1.0).hidden.mean((0, 1))
        policy.model.get_output_embeddings().weight[policy.eos] = 4 * state / state.square().sum()
    policy.save(base)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("details"))


@pytest.fixture(autouse=True)
def quiet(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    capsys.readouterr()


Check = Callable[[World], None]
Switch = Callable[[Patch, World], None]


def detail(**switches: Switch) -> Callable[[Check], Callable[..., None]]:
    """Makes a check into tests: it must pass, and with each of the switches thrown it must fail."""

    def tests(check: Check) -> Callable[..., None]:
        @pytest.mark.parametrize("off", ["", *switches], ids=lambda name: f"without-{name}" if name else "as-it-is")
        @functools.wraps(check)
        def test(world: World, monkeypatch: Patch, off: str) -> None:
            if not off:
                check(world)
                return
            switches[off](monkeypatch, world)
            with pytest.raises(AssertionError):
                check(world)

        del test.__wrapped__  # pytest would read the check's own signature
        return test

    return tests


def put(place: Loose, name: str, value: Loose) -> Switch:
    """Off is: this name in this module is something else."""
    return lambda patch, world: patch.setattr(place, name, value)


def setting(**values: Loose) -> Switch:
    """Off is: these settings."""

    def throw(patch: Patch, world: World) -> None:
        for name, value in values.items():
            patch.setitem(world.changes, name, value)

    return throw


def nothing(*_: object, **__: object) -> None:
    """Does nothing."""


def changed(function: Callable[..., Loose], **values: Loose) -> Callable[..., Loose]:
    """The function, with these keyword arguments whatever it is given."""
    return lambda *given, **named: function(*given, **{**named, **values})


# --- data and tokens ---


@detail(own_pad=put(policies, "has_own_pad", lambda tokenizer: True))
def test_01_the_pad_token_is_never_the_end_of_text(world: World) -> None:
    folder = world.copied()
    told = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(told | {"pad_token": told["eos_token"]}))
    policy = policy_from(folder, seed=0, device="cpu")
    assert policy.pad != policy.eos
    assert policy.model.config.pad_token_id == policy.pad
    assert policy.pad < policy.model.get_input_embeddings().num_embeddings


def right_padded(self: Loose, ids: torch.Tensor, mask: Loose, places: torch.Tensor, cache: Loose) -> torch.Tensor:
    """The padding of a prompt behind it, where the answer should follow."""
    if ids.shape[1] > 1:
        for row, gap in enumerate((mask == 0).sum(1).tolist()):
            ids[row], mask[row] = ids[row].roll(-gap), mask[row].roll(-gap)
        places = mask.cumsum(1) - mask
    return REAL_FORWARD(self, ids, mask, places, cache)


REAL_FORWARD = rollout.Writing._forward


@detail(
    left=put(rollout.Writing, "_forward", right_padded),
    boundary=put(prompts, "natural_end", lambda text, fits: fits),
)
def test_02_prompts_are_left_padded_and_cut_where_a_sentence_ends(world: World) -> None:
    _, cast, _, _ = world.batch()
    short, long = (cast.policy.prompt_ids(text) for text in ("A", "Write about the long river."))
    asked: Any = {"max_new_tokens": 4, "temperature": 1.0, "eos": -1, "pad": cast.policy.pad, "seed": 0}
    [alone], [together, _] = (rollout.sample(cast.policy.model, rows, **asked) for rows in ([short], [short, long]))
    assert together.ids == alone.ids
    assert together.logps == pytest.approx(alone.logps, abs=1e-4)
    told = "The river is long. The stone is round. The bread is warm. The letter came late."
    for room in (20, 24, 28):
        cut = prompts.asked(told, cast.policy, room)
        assert cut
        assert cut.cut
        assert str(cut.prompt).endswith(".")
        assert len(cut.ids) <= room


def left_padded(self: Loose, pieces: Sequence[Loose]) -> torch.Tensor:
    ids, mask = self._padded([piece.ids for piece in pieces], left=True)
    found = self.body(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    return torch.stack([row.roll(-gap, 0) for row, gap in zip(found, (mask == 0).sum(1).tolist(), strict=True)])


@detail(places=put(kway.KWay, "_one_forward", left_padded))
def test_03_positions_count_real_tokens(world: World) -> None:
    model = made("gpt2", writes=True)  # learned positions: a shift is seen at once
    answers = [Answer([5], [6, 7]), Answer([9, 10, 11, 12, 13], [14, 15])]
    both = reading.said(model, reading.inputs(answers, pad=0, device=torch.device("cpu")), temperature=1.0)
    alone = reading.said(model, reading.inputs(answers[:1], pad=0, device=torch.device("cpu")), temperature=1.0)
    assert torch.allclose(both.logps[0], alone.logps[0], atol=1e-5)


def blind(model: Loose, batch: reading.Inputs) -> torch.Tensor:
    """The states of the same answers to a prompt that says nothing."""
    answers = [[token for token, kind in zip(*one[:2], strict=True) if kind] for one in batch.sequences]
    empty = [Encoded([5, *ids], [0] + [1] * len(ids), False) for ids in answers]
    return REAL_STATES(model, batch._replace(sequences=empty))


REAL_STATES = reading.states


@detail(
    judge=put(experiencing, "scored", lambda reward, asked, texts: REAL_SCORED(reward, [""] * len(texts), texts)),
    critic=put(critics, "states", blind),
)
def test_04_reward_model_and_critic_read_the_prompt_too(world: World) -> None:
    heard: list[Any] = []

    class Listening(Judge):
        def score(self, prompt: Loose, completions: Sequence[str]) -> list[float]:
            heard.append(prompt)
            return super().score(prompt, completions)

    _, cast, found, _ = world.batch(reward=Listening(len))
    assert heard == [one.prompt for one in found.prompts]
    torch.nn.init.normal_(cast.critic.head.weight)
    twice = [Answer(cast.policy.prompt_ids(text), [40, 41, 42]) for text in ("Write a letter.", "Bread and stone?")]
    with torch.no_grad():
        values = cast.critic.values(reading.inputs(twice, pad=cast.policy.pad, device=cast.policy.device))
    assert not torch.allclose(values[0], values[1], atol=1e-3)


REAL_SCORED = experiencing.scored


@detail(key=lambda patch, world: patch.setattr(casting, "sample", changed(casting.sample, seed=0)))
def test_05_every_seed_and_every_batch_draws_its_own(world: World) -> None:
    def texts(seed: int) -> list[list[str]]:
        heard: list[list[str]] = []

        class Listening(Judge):
            def score_each(self, asked: Sequence[Any], completions: Sequence[str]) -> list[float]:
                heard.append(list(completions))
                return [float(len(text)) for text in completions]

        run = world.run(reward=Listening(len), seed=seed, rows=1, learning_rate=1e-12)
        loop = Loop(run, opened(run))
        assert loop._batch()
        assert loop._batch()
        return heard

    first, again, other = texts(0), texts(0), texts(1)
    assert first == again
    assert first[0] != first[1]
    assert first[0] != other[0]


# --- the reward model (docs/methods/reward-model.md) ---


def without_end(*given: Loose, **named: Loose) -> Loose:
    found = REAL_ENCODE(*given, **named)
    return found._replace(ids=found.ids[:-1], types=found.types[:-1])


REAL_ENCODE = reward_models.encode


@detail(end=put(reward_models, "encode", without_end))
def test_06_the_reward_is_read_at_the_end_of_the_answer(world: World) -> None:
    reward, text = world.reward, "river stone"
    ids = [*policy_prompt(world, "Why?"), *reward.tokenizer(text)["input_ids"], reward.tokenizer.eos_token_id]
    with torch.no_grad():
        hidden = reward.model.base_model(torch.tensor([ids])).last_hidden_state[0, -1]
        expected = float(reward.model.score(hidden)[0])
    assert reward.score("Why?", [text])[0] == pytest.approx(expected, abs=1e-4)


def policy_prompt(world: World, prompt: str) -> list[int]:
    return policy_from(world.base, seed=0, device="cpu").prompt_ids(prompt)


def fresh_reward(base: Path) -> Loose:
    return starting.from_base(base, RewardModelConfig(), causal=True, outputs=Outputs(), seed=0, device="cpu")


@detail(draw=put(starting, "_start_head", lambda model, width, seed: "score"))
def test_07_the_head_begins_as_stiennon_says(world: World) -> None:
    head = fresh_reward(world.base).model.score
    spread = float(head.weight.detach().square().mean()) * (head.in_features + 1)
    assert 0.5 < spread < 1.6
    assert head.bias is None or not head.bias.any()


@detail(annealing=put(stepping, "linear", lambda step, total, warmup: 1.0))
def test_08_the_reward_models_step_size_falls_to_zero_and_each_epoch_has_every_row_once(world: World) -> None:
    layer = torch.nn.Linear(1, 1)
    rates: list[float] = []
    seen: list[int] = []

    def loss(rows: Sequence[int], whole: float) -> torch.Tensor:
        rates.append(steps.optimizer.param_groups[0]["lr"])
        seen.extend(rows)
        return layer(torch.ones(1, 1)).pow(2).sum() / whole

    plan = stepping.Plan(epochs=[[[row] for row in range(20)]], loss=loss)
    steps = stepping.Steps(world.run(), layer, plan, Optimizer(), rate=1.0)
    assert steps.work()
    assert seen == list(range(20))
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] < 0.06
    assert rates[2:] == sorted(rates[2:], reverse=True)


@detail(
    dropout=put(starting, "set_dropout", nothing),
    weights=lambda patch, world: patch.setattr(
        "transformers.AutoModelForSequenceClassification.from_pretrained", new_one
    ),
)
def test_09_the_reward_model_begins_as_its_base_without_dropout(world: World) -> None:
    reward = fresh_reward(world.copied(attention_dropout=0.5))
    base = policy_from(world.base, seed=0, device="cpu").model.base_model.state_dict()
    for name, weight in reward.model.base_model.state_dict().items():
        assert torch.equal(weight, base[name])
    assert {getattr(module, "attention_dropout", 0.0) for module in reward.model.modules()} == {0.0}


def new_one(folder: Path, num_labels: int, **_: object) -> Loose:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_config(AutoConfig.from_pretrained(folder, num_labels=num_labels))


@detail(setting=setting(normalise=False), critic=put(training, "calibrate", nothing))
def test_10_rewards_have_mean_zero_and_variance_one_under_the_reference(world: World) -> None:
    run = world.run(reward=world.reward)
    loop = Loop(run, opened(run))
    loop._measure_reference()
    found = loop._reference_answers("reference")
    rewards = torch.tensor(found.rewards)
    assert float(rewards.mean()) == pytest.approx(0, abs=1e-4)
    assert float(rewards.var(unbiased=False)) == pytest.approx(1, abs=1e-3)
    # the critic that began as the reward model is put on the same scale
    answers = [Answer(one.prompt, [*one.ids, loop.cast.policy.eos]) for one in found.answers]
    batch = reading.inputs(answers, pad=loop.cast.policy.pad, device=loop.cast.policy.device)
    with torch.no_grad():
        values = loop.cast.critic.values(batch).gather(1, batch.mask.sum(1, keepdim=True).long() - 1)
    assert float(values.mean()) == pytest.approx(0, abs=0.05)
    assert 0.3 < float(values.var(unbiased=False)) < 1.01  # what a line through its values can tell of the rewards


# --- rollout ---


@detail(
    update=lambda patch, world: patch.setattr(updating, "said", changed(reading.said, temperature=1.0)),
    reference=lambda patch, world: patch.setattr(experiencing, "said", changed(reading.said, temperature=1.0)),
)
def test_11_every_log_probability_is_taken_under_the_temperature(world: World) -> None:
    run, cast, _, learned = world.batch()
    assert abs(learned.kl) < 1e-4
    done = Updater(cast, run.config, rate=1e-3, critic_rate=1e-3).round(learned, "0")
    assert done.updates[0].drift < 1e-4


REAL_INPUTS = reading.inputs


def unmasked(answers: Sequence[Answer], **given: Loose) -> reading.Inputs:
    found = REAL_INPUTS(answers, **given)
    return found._replace(mask=torch.ones_like(found.mask))


@detail(mask=put(experiencing, "inputs", unmasked))
def test_12_answers_stop_at_their_eos_and_nothing_beyond_it_counts(world: World) -> None:
    _, cast, found, learned = world.batch()
    lengths = [len(one.ids) for one in found.written]
    assert len(set(lengths)) > 1
    assert learned.mask.sum(1).tolist() == lengths
    beyond = learned.mask == 0
    assert not learned.advantages[beyond].any()
    assert not learned.returns[beyond].any()
    for one in found.written:
        assert cast.policy.eos not in one.ids[:-1]
        assert one.ended == (one.ids[-1] == cast.policy.eos)


@detail(
    score=setting(missing_eos="ignore"),
    truncating=put(experiencing, "text_of", lambda cast, written: cast.policy.tokenizer.decode(written.ids) + " more"),
)
def test_13_the_judge_reads_up_to_eos_and_an_answer_without_one_gets_the_fixed_score(world: World) -> None:
    heard: list[str] = []

    class Listening(Judge):
        def score(self, prompt: Loose, completions: Sequence[str]) -> list[float]:
            heard.extend(completions)
            return super().score(prompt, completions)

    _, cast, found, _ = world.batch(reward=Listening(len), missing_eos="score", missing_eos_value=-1.0)
    assert {one.ended for one in found.written} == {True, False}
    for one, text, reward in zip(found.written, heard, found.rewards, strict=True):
        assert text == cast.policy.tokenizer.decode(one.ids, skip_special_tokens=True).strip()
        assert reward == (len(text) if one.ended else -1.0)


@detail(mode=lambda patch, world: patch.setattr(casting, "sample", changed(casting.sample, temperature=1.1)))
def test_14_the_sampling_passes_log_probabilities_are_the_old_ones_and_the_first_ratio_is_one(world: World) -> None:
    run, cast, found, learned = world.batch()
    for place, one in enumerate(found.written):
        assert learned.old[place, : len(one.ids)].tolist() == pytest.approx(one.logps)
    first = Updater(cast, run.config, rate=1e-3, critic_rate=1e-3).round(learned, "0").updates[0]
    assert first.drift < 1e-4
    assert first.ratio_max == pytest.approx(1, abs=1e-4)
    assert first.clipped == 0
    assert first.approximate_kl < 1e-6


# --- rewards ---


def kl_at_the_end(kl: torch.Tensor, scores: torch.Tensor, mask: torch.Tensor, *, beta: float) -> torch.Tensor:
    return REAL_TOKEN_REWARDS(torch.zeros_like(kl), scores - beta * (kl * mask).sum(1), mask, beta=beta)


REAL_TOKEN_REWARDS = advantages.token_rewards


def no_kl(kl: torch.Tensor, scores: torch.Tensor, mask: torch.Tensor, *, beta: float) -> torch.Tensor:
    return REAL_TOKEN_REWARDS(kl, scores, mask, beta=0.0)


def the_fixed_point(learned: Experience) -> torch.Tensor:
    """Each token's reward, from returns under gamma = lambda = 1: what a return has more than the next."""
    after = torch.cat([learned.returns[:, 1:], torch.zeros_like(learned.returns[:, :1])], 1)
    return (learned.returns - after) * learned.mask


@detail(per_token=put(experiencing, "token_rewards", kl_at_the_end), penalty=put(experiencing, "token_rewards", no_kl))
def test_15_every_token_pays_for_its_own_kl_and_the_score_comes_at_the_end(world: World) -> None:
    run, cast, found, learned = world.batch(away=0.02, beta=0.5, gamma=1.0, lam=1.0)
    batch = reading.inputs(found.answers, pad=cast.policy.pad, device=cast.policy.device)
    with torch.no_grad(), cast.reference.speaking() as model:
        reference = reading.said(model, batch, temperature=run.config.temperature).logps
    expected = -0.5 * (learned.old - reference) * learned.mask
    assert float(expected.abs().max()) > 0.01
    last = learned.mask.sum(1).long() - 1
    expected[torch.arange(8), last] += torch.tensor(found.rewards)
    assert torch.allclose(the_fixed_point(learned), expected, atol=1e-4)


@detail(k3=setting(kl_estimator="k1"))
def test_16_k1_is_the_log_ratio_and_k3_is_never_negative_and_both_are_unbiased(world: World) -> None:
    p, q = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.4, 0.4, 0.2])
    true = float((p * (p / q).log()).sum())
    asked = world.run(kl_estimator="k3").config.kl_estimator
    for estimator in ("k1", asked):
        assert float((p * advantages.kl_terms(p.log(), q.log(), estimator)).sum()) == pytest.approx(true, abs=1e-6)
    assert (advantages.kl_terms(p.log(), q.log(), "k1") < 0).any()
    _, _, _, learned = world.batch(away=0.02, kl_estimator="k3", beta=0.5, gamma=1.0, lam=1.0)
    inner = learned.mask.clone()
    inner[torch.arange(8), learned.mask.sum(1).long() - 1] = 0
    assert (the_fixed_point(learned)[inner.bool()] <= 1e-5).all()  # -beta * k3


@detail(
    control=setting(kl_target=0.0),
    clipping=put(controlling, "CLIP", 1e9),
    update=put(controlling.AdaptiveKL, "update", nothing),
)
def test_17_beta_is_steered_towards_the_target_by_a_clipped_error(world: World) -> None:
    run = world.run(kl_target=6.0, kl_horizon=1000)
    control = Loop(run, opened(run)).control
    for kl, error in ((60.0, 0.2), (6.6, 0.1), (6.0, 0.0), (0.0, -0.2)):
        control.beta = 0.1
        control.update(kl, 50)
        assert control.beta == pytest.approx(0.1 * (1 + error * 50 / 1000))


def one_after(kl: torch.Tensor, scores: torch.Tensor, mask: torch.Tensor, *, beta: float) -> torch.Tensor:
    found = REAL_TOKEN_REWARDS(kl, torch.zeros_like(scores), mask, beta=beta)
    return found + torch.nn.functional.pad(REAL_TOKEN_REWARDS(kl * 0, scores, mask, beta=0.0), (1, 0))[:, :-1]


@detail(eos=put(experiencing, "token_rewards", one_after))
def test_18_the_return_at_eos_contains_the_score(world: World) -> None:
    _, _, found, learned = world.batch()
    last = learned.mask.sum(1, keepdim=True).long() - 1
    assert len(set(found.rewards)) > 1
    # no KL at the start, and nothing comes after the last token: its return is its reward
    assert learned.returns.gather(1, last).flatten().tolist() == pytest.approx(found.rewards, abs=1e-4)


def plain_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return values.mean()


@detail(
    experience=put(experiencing, "masked_mean", plain_mean),
    updates=put(updating, "inputs", unmasked),
    variance=put(advantages, "masked_mean", plain_mean),
)
def test_19_every_number_is_a_mean_over_answer_tokens_alone(world: World) -> None:
    run, cast, _, learned = world.batch(reward=world.reward)
    own = [(row[: int(mask.sum())]) for row, mask in zip(learned.values, learned.mask, strict=True)]
    values = torch.cat(own)
    assert learned.numbers["critic/value"] == pytest.approx(float(values.mean()), rel=1e-4)
    assert learned.numbers["critic/spread"] == pytest.approx(float(values.std(unbiased=False)), rel=1e-4)
    batch = reading.inputs(learned.answers, pad=cast.policy.pad, device=cast.policy.device)
    with torch.no_grad():
        entropy = reading.said(cast.policy.model, batch, temperature=run.config.temperature).entropy
    first = Updater(cast, run.config, rate=1e-3, critic_rate=1e-3).round(learned, "0").updates[0]
    assert first.entropy == pytest.approx(float(entropy.sum() / learned.mask.sum()), rel=1e-3)


# --- advantages ---


def one_step(
    rewards: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, *, gamma: float, lam: float
) -> tuple[torch.Tensor, torch.Tensor]:
    return REAL_GAE(rewards, values, mask, gamma=gamma, lam=0.0)


def left_to_right(
    rewards: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, *, gamma: float, lam: float
) -> tuple[torch.Tensor, torch.Tensor]:
    flipped = REAL_GAE(rewards.flip(1), values.flip(1), mask.flip(1), gamma=gamma, lam=lam)
    return flipped[0].flip(1), flipped[1].flip(1)


REAL_GAE = advantages.gae


@detail(
    sum=put(advantages, "gae", one_step),
    direction=put(advantages, "gae", left_to_right),
    setting=setting(lam=0.5),
)
def test_20_advantages_are_generalised_and_go_from_right_to_left(world: World) -> None:
    config = world.run().config
    assert (config.gamma, config.lam) == (1.0, 0.95)
    rewards, values = [0.5, -1.0, 2.0, 3.0], [0.3, 0.1, -0.4, 0.9]
    delta = [reward + (*values, 0.0)[place + 1] - values[place] for place, reward in enumerate(rewards)]
    told = [sum(0.95 ** (later - now) * delta[later] for later in range(now, 4)) for now in range(4)]
    found, _ = advantages.gae(
        torch.tensor([[*rewards, 9.0]]), torch.tensor([[*values, 9.0]]), torch.tensor([[1.0, 1, 1, 1, 0]]),
        gamma=config.gamma, lam=config.lam,
    )  # fmt: skip
    assert found[0].tolist() == pytest.approx([*told, 0.0], abs=1e-5)


def whitened_first(*given: Loose, **named: Loose) -> tuple[torch.Tensor, torch.Tensor]:
    found, _ = REAL_GAE(*given, **named)
    return found, (advantages.whiten(found, given[2]) + given[1]) * given[2]


@detail(order=put(experiencing, "gae", whitened_first))
def test_21_returns_are_made_of_advantages_before_whitening(world: World) -> None:
    _, _, found, learned = world.batch(reward=world.reward, gamma=1.0, lam=1.0)
    # without discount, at the first token: the whole score, no KL having been paid yet
    assert learned.returns[:, 0].tolist() == pytest.approx(found.rewards, abs=1e-4)
    assert learned.values[:, 0].any()


def unbiased(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return values[mask.bool()].var()


@detail(
    whitening=put(experiencing, "whiten", lambda values, mask, shift=True: values),
    population=put(advantages, "masked_variance", unbiased),
    mean=lambda patch, world: patch.setattr(experiencing, "whiten", changed(advantages.whiten, shift=True)),
    rewards=setting(whiten_rewards=False),
)
def test_22_advantages_are_whitened_over_tokens_and_rewards_keep_their_mean(world: World) -> None:
    _, _, found, learned = world.batch(
        reward=Judge(lambda text: 7.0 + text.count("e")), whiten_rewards=True, gamma=1.0, lam=1.0, beta=0.0
    )
    inside = learned.advantages[learned.mask.bool()]
    assert float(inside.mean()) == pytest.approx(0, abs=1e-5)
    assert float(inside.var(unbiased=False)) == pytest.approx(1, abs=1e-4)
    rewards = the_fixed_point(learned)[learned.mask.bool()]
    raw = sum(found.rewards) / len(rewards)  # what each token got on average before
    assert float(rewards.mean()) == pytest.approx(raw, rel=1e-3)
    assert float(rewards.var(unbiased=False)) == pytest.approx(1, abs=1e-3)


# --- update ---


@detail(
    clip=lambda patch, world: patch.setattr(losses, "policy_loss", changed(losses.policy_loss, clip=1e9)),
    mask=lambda patch, world: patch.setattr(losses, "policy_loss", everywhere(losses.policy_loss)),
)
def test_23_the_surrogate_is_clipped_and_a_mean_over_answer_tokens(world: World) -> None:
    ratio, gains = torch.tensor([[1.5, 1.5, 0.5, 1.1, 9.0]]), torch.tensor([[1.0, -1.0, -1.0, 2.0, 9.0]])
    mask = torch.tensor([[1.0, 1, 1, 1, 0]])
    clip = world.run().config.clip
    assert clip == 0.2
    found = losses.policy_loss(ratio.log(), torch.zeros(1, 5), gains, mask, clip=clip, tokens=4)
    assert float(found.loss) == pytest.approx((-1.2 + 1.5 + 0.8 - 2.2) / 4, abs=1e-6)


def everywhere(loss: Callable[..., Any]) -> Callable[..., Any]:
    """The loss over all columns, padding too."""
    return lambda new, old, wanted, mask, **named: loss(new, old, wanted, torch.ones_like(mask), **named)


@detail(
    clip=lambda patch, world: patch.setattr(losses, "value_loss", changed(losses.value_loss, clip=1e9)),
    mask=lambda patch, world: patch.setattr(losses, "value_loss", everywhere(losses.value_loss)),
    weight=setting(vf_coef=1.0),
)
def test_24_the_value_loss_is_half_the_larger_of_clipped_and_unclipped(world: World) -> None:
    old, new = torch.zeros(1, 5), torch.tensor([[0.1, 1.0, 1.0, -1.0, 5.0]])
    returns, mask = torch.tensor([[1.0, 1.0, 0.0, 1.0, 0.0]]), torch.tensor([[1.0, 1, 1, 1, 0]])
    config = world.run().config
    assert (config.value_clip, config.vf_coef) == (0.2, 0.1)
    found = losses.value_loss(new, old, returns, mask, clip=config.value_clip, tokens=4)
    assert float(found.loss) == pytest.approx(0.5 * (0.81 + 0.64 + 1.0 + 4.0) / 4, abs=1e-6)


def by_part(loss: Callable[..., Any]) -> Callable[..., Any]:
    """The loss as a mean over its own part, as where every micro-batch is averaged for itself."""

    def mean(new: torch.Tensor, old: torch.Tensor, wanted: torch.Tensor, mask: torch.Tensor, **named: float) -> Loose:
        return loss(new, old, wanted, mask, **{**named, "tokens": float(mask.sum())})

    return mean


@detail(
    fresh_order=lambda patch, world: patch.setattr(
        updating, "minibatches", lambda count, parts, key, **_: prompts.minibatches(count, parts, "0")
    ),
    whole_minibatch=lambda patch, world: patch.setattr(updating, "policy_loss", by_part(losses.policy_loss)),
    epochs=setting(ppo_epochs=1),
)
def test_25_epochs_minibatches_and_micro_batches_are_nested_rightly(world: World) -> None:
    gradients = []
    for size in (1, 8):
        run, cast, _, learned = world.batch(micro_batch=size, ppo_epochs=4, minibatches=2, update_kl=0)
        updater = Updater(cast, run.config, rate=1e-12, critic_rate=1e-12)
        updater._gradients(learned, [0, 1, 2, 5])
        gradients.append(torch.cat([weight.grad.flatten() for weight in updater.policy if weight.grad is not None]))
    assert torch.allclose(*gradients, atol=1e-5)
    taken: list[list[int]] = []
    inner = updater._gradients
    updater._gradients = lambda found, places: (taken.append(list(places)), inner(found, places))[1]  # type: ignore[method-assign]
    updater.round(learned, "0")
    assert [len(places) for places in taken] == [4] * 8  # 4 epochs of 2 minibatches, a step each
    orders = [tuple(taken[epoch] + taken[epoch + 1]) for epoch in range(0, 8, 2)]
    assert all(sorted(order) == list(range(8)) for order in orders)
    assert len(set(orders)) == 4
    assert {state["step"].item() for state in updater.optimizers["policy"].state.values()} == {8}


@detail(
    reward=put(critics, "speaks_as", lambda policy, reward: False),
    separate=put(casting, "separate", lambda policy, *_: critics.shared(policy)),
)
def test_26_the_critic_is_a_network_of_its_own_that_began_as_the_reward_model(world: World) -> None:
    cast = opened(world.run(reward=world.reward))
    assert cast.critic.trunk is not None
    own = cast.critic.trunk.state_dict()
    for name, weight in world.reward.model.base_model.state_dict().items():
        assert torch.equal(own[name], weight)
    assert torch.equal(cast.critic.head.weight, world.reward.model.score.weight)
    policy = {weight.data_ptr() for weight in cast.policy.model.parameters()}
    assert not policy & {weight.data_ptr() for weight in cast.critic.trunk.parameters()}


@detail(eps=put(updating, "ADAM_EPS", 1e-8), annealing=put(Updater, "anneal", nothing))
def test_27_adam_has_epsilon_1e_5_and_the_step_size_falls_to_zero(world: World) -> None:
    run = world.run(learning_rate=1e-3, critic_learning_rate=2e-3, episodes=32)
    loop = Loop(run, opened(run))
    groups = {name: optimizer.param_groups for name, optimizer in loop.updater.optimizers.items()}
    assert {one["eps"] for both in groups.values() for one in both} == {1e-5}
    rates = []
    for _ in range(4):
        assert loop._batch()
        rates.append([both[0]["lr"] for both in groups.values()])
    assert rates == [pytest.approx([share * 1e-3, share * 2e-3]) for share in (1, 0.75, 0.5, 0.25)]


@detail(
    policy=put(policies, "set_dropout", nothing),
    critic=put(critics, "set_dropout", nothing),
    mode=lambda patch, world: patch.setattr(casting, "policy_from", in_training_mode),
)
def test_28_no_network_of_the_run_has_dropout(world: World) -> None:
    cast = opened(world.run(base=world.copied(attention_dropout=0.5)))
    assert cast.critic.trunk is not None
    with cast.reference.speaking() as reference:
        for model in (cast.policy.model, reference, cast.critic.trunk):
            assert {getattr(module, "attention_dropout", 0.0) for module in model.modules()} == {0.0}
    assert not cast.policy.model.training


def in_training_mode(*given: Loose, **named: Loose) -> Policy:
    policy = policy_from(*given, **named)
    policy.model.eval = lambda: policy.model
    policy.model.training = True
    return policy


@contextlib.contextmanager
def as_it_is(model: Loose) -> Iterator[None]:
    yield


@detail(
    adapters=put(casting, "base_alone", as_it_is),
    copy=put(casting, "copy", SimpleNamespace(deepcopy=lambda model: Unfrozen(model))),
)
def test_29_the_reference_stands_still_and_adapters_need_no_copy(world: World) -> None:
    for rank in (4, 0):
        run, cast, found, learned = world.batch(lora_rank=rank)
        batch = reading.inputs(found.answers, pad=cast.policy.pad, device=cast.policy.device)
        before = reference_says(cast, batch)
        Updater(cast, run.config, rate=1e-2, critic_rate=1e-3).round(learned, "0")
        assert torch.equal(reference_says(cast, batch), before)
        assert (cast.reference._copy is None) == bool(rank)
        assert adapters.has_lora(cast.policy.model) == bool(rank)


def reference_says(cast: Cast, batch: reading.Inputs) -> torch.Tensor:
    with torch.no_grad(), cast.reference.speaking() as model:
        return reading.said(model, batch, temperature=1.0).logps


class Unfrozen:
    """A "copy" that is the model itself."""

    def __init__(self, model: Loose) -> None:
        self._model = model

    def requires_grad_(self, _: bool) -> Loose:
        return self._model


@detail(limit=setting(update_kl=0.0))
def test_30_a_round_ends_before_the_step_that_would_go_too_far(world: World) -> None:
    run, cast, _, learned = world.batch(ppo_epochs=8, update_kl=1e-3)
    done = Updater(cast, run.config, rate=1e-2, critic_rate=1e-3).round(learned, "0")
    assert done.ended_early
    assert [update.taken for update in done.updates] == [True] * (len(done.updates) - 1) + [False]
    assert len(done.updates) < 8


@detail(setting=setting(ptx=0.0))
def test_31_demonstrations_go_on_being_imitated(world: World) -> None:
    run = world.run(kind="demonstration", ptx=2.0, learning_rate=3e-3, rows=8)
    loop = Loop(run, opened(run))
    imitated = [Answer(loop.cast.policy.prompt_ids(row["prompt"]), loop.cast.policy.answer_ids(row["completion"]))
                for row in run.rows("train")]  # fmt: skip
    batch = reading.inputs(imitated, pad=loop.cast.policy.pad, device=loop.cast.policy.device)

    def unlikely() -> float:
        with torch.no_grad():
            spoken = reading.said(loop.cast.policy.model, batch, temperature=1.0)
        return float(-spoken.logps.sum() / batch.mask.sum())

    before = unlikely()
    assert loop._batch()
    assert loop._batch()
    assert unlikely() < before - 0.3
    assert loop.last["loss/imitation"] > 0


# --- running it ---


def lost(*names: str) -> Switch:
    """Off is: a checkpoint without these, which then stand at what a new run has."""

    def throw(patch: Patch, world: World) -> None:
        whole = Loop._place
        fresh = {"beta": 0.05, "iteration": 0, "normaliser": [1.0, 0.0]}
        patch.setattr(Loop, "_place", lambda self: {**whole(self), **{name: fresh[name] for name in names}})

    return throw


def without_moments(patch: Patch, world: World) -> None:
    def saved(folder: Path, weights: Loose, optimizers: dict[str, Loose], place: Loose) -> None:
        new = {name: type(one)(one.param_groups, lr=1.0) for name, one in optimizers.items()}
        for name, one in new.items():
            one.param_groups = [dict(group) for group in optimizers[name].param_groups]
        stepping.save_state(folder, weights, new, place)

    patch.setattr(training, "save_state", saved)


def without_the_critic(patch: Patch, world: World) -> None:
    def loaded(folder: Path, weights: dict[str, Loose], optimizers: Loose) -> dict[str, Loose]:
        kept = {name: weight.detach().clone() for name, weight in weights.items() if name.startswith("critic/")}
        place = stepping.load_state(folder, weights, optimizers)
        with torch.no_grad():
            for name, weight in kept.items():
                weights[name].copy_(weight)
        return place

    patch.setattr(training, "load_state", loaded)


@detail(
    place=lost("iteration"),
    coefficient=lost("beta"),
    normaliser=lost("normaliser"),
    moments=without_moments,
    critic=without_the_critic,
)
def test_32_a_run_goes_on_exactly_from_its_checkpoint(world: World) -> None:
    told = {"kl_target": 2.0, "kl_horizon": 20, "learning_rate": 1e-3, "reward": world.reward, "reference_samples": 8}

    def trained(loop: Loop) -> list[torch.Tensor]:
        return [weight.detach().clone() for named in loop.cast.trained() for weight in named.values()]

    if world.whole is None:
        world.whole = Loop(run := world.run(**told), opened(run))
        assert world.whole.work()
    whole = world.whole
    first = Loop(run := world.run(**told), opened(run))
    first._measure_reference()
    assert first._batch()
    first._save()
    second = Loop(run, opened(run))
    assert second.work()
    assert second.iteration == whole.iteration
    assert second.control.beta == whole.control.beta
    assert second.alarms.history == whole.alarms.history
    for mine, theirs in zip(trained(second), trained(whole), strict=True):
        assert torch.equal(mine, theirs)


@detail(curves=put(Loop, "_log", nothing), samples=put(Loop, "_look", nothing))
def test_33_curves_and_samples_tell_how_it_goes(world: World) -> None:
    heard: dict[str, list[float]] = {}
    shown: list[str] = []
    run = world.run(evaluations=1)
    run.log = lambda step, **numbers: [heard.setdefault(name, []).append(value) for name, value in numbers.items()]  # type: ignore[method-assign]
    run.sample = lambda prompt, text, **rest: shown.append(text)  # type: ignore[method-assign]
    assert Loop(run, opened(run)).work()
    assert set(heard) >= {
        *(
            "reward/mean",
            "reward/raw",
            "reward/after-kl",
            "kl/reference",
            "kl/beta",
            "policy/entropy",
            "update/clipped",
        ),
        *("update/ratio-max", "critic/explained", "answers/ended", "answers/tokens", "loss/policy", "loss/value"),
    }
    assert all(math.isfinite(value) for values in heard.values() for value in values if value is not None)
    assert len(heard["reward/mean"]) == run.config.iterations
    assert len(shown) == 2


# --- the table of the page ---


def test_the_page_names_a_test_that_is_there_for_each_of_the_33_details() -> None:
    page = (ROOT / "docs" / "methods" / "ppo.md").read_text(encoding="utf-8")
    page = page.partition("\n## Details\n")[2].partition("\n## ")[0]
    rows = {int(number): row for number, row in re.findall(r"^\| (\d+) (\|.*)$", page, flags=re.MULTILINE)}
    assert sorted(rows) == list(range(1, 34))
    for number, row in rows.items():
        named = re.findall(r"`(test_\w+)`", row)
        assert f"test_{number:02d}_" in " ".join(named), f"detail {number} names no test of its own"
        assert all(name in globals() for name in named), f"detail {number}: {named}"
        code = re.findall(r"`((?:ppo|lib|reward_model)/\w+\.py)`", row)
        assert code, f"detail {number} says not where it is in the code"
        assert all((ROOT / "plugins" / path).is_file() for path in code), f"detail {number}: {code}"

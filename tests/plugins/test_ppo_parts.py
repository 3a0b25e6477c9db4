"""PPO's pure parts against their definitions: KL terms, token rewards, GAE, whitening, losses, controllers, orders, alarms."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from feinschliff import NeedsNotMet
from plugins.lib.prompts import Order, minibatches, natural_end
from plugins.ppo.advantages import gae, kl_terms, masked_mean, masked_variance, token_rewards, whiten
from plugins.ppo.alarms import FEWEST_PAIRS, WINDOW, Alarms
from plugins.ppo.config import PPOConfig
from plugins.ppo.controlling import AdaptiveKL, FixedKL
from plugins.ppo.losses import explained_variance, policy_loss, value_loss
from plugins.ppo.rewarding import normaliser, scored, scored_with_spread, with_eos_demanded
from plugins.ppo.telling import Batches, unended, warnings

quickly = settings(max_examples=25, deadline=None)
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
finite = st.floats(-5, 5, width=32)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """(one thing a token, another, mask): answers of one to six tokens, garbage beyond their ends."""
    lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    longest = max(lengths)
    numbers = st.lists(finite, min_size=longest, max_size=longest)
    one, other = (torch.tensor([draw(numbers) for _ in lengths], dtype=torch.float64) for _ in range(2))
    mask = torch.tensor(
        [[float(place < length) for place in range(longest)] for length in lengths], dtype=torch.float64
    )
    return one, other, mask


def gae_by_definition(rewards: list[float], values: list[float], gamma: float, lam: float) -> list[float]:
    """The sum over l of (gamma lam)^l delta_(t+l), written out (Schulman et al. 2015, equation 16)."""
    after = [*values[1:], 0.0]
    delta = [reward + gamma * b - a for reward, a, b in zip(rewards, values, after, strict=True)]
    count = len(delta)
    return [sum((gamma * lam) ** (u - t) * delta[u] for u in range(t, count)) for t in range(count)]


@quickly
@given(batches(), st.floats(0, 1), st.floats(0, 1))
def test_gae_is_the_sum_of_its_definition_and_returns_come_before_whitening(
    batch: Batch, gamma: float, lam: float
) -> None:
    rewards, values, mask = batch
    advantages, returns = gae(rewards * mask, values, mask, gamma=gamma, lam=lam)
    for row in range(len(mask)):
        count = int(mask[row].sum())
        told = gae_by_definition(rewards[row, :count].tolist(), values[row, :count].tolist(), gamma, lam)
        assert advantages[row, :count].tolist() == pytest.approx(told, abs=1e-9)
        whole = [a + v for a, v in zip(told, values[row, :count].tolist(), strict=True)]
        assert returns[row, :count].tolist() == pytest.approx(whole, abs=1e-9)
    assert not (advantages * (1 - mask)).any()


def test_the_score_stands_at_the_last_token_and_the_return_there_holds_it() -> None:
    mask = torch.tensor([[1.0, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]])
    kl = torch.full((3, 4), 0.5)
    rewards = token_rewards(kl, torch.tensor([10.0, 20.0, 30.0]), mask, beta=0.1)
    expected = [[-0.05, -0.05, 9.95, 0], [19.95, 0, 0, 0], [-0.05, -0.05, -0.05, 29.95]]
    assert torch.allclose(rewards, torch.tensor(expected))
    _, returns = gae(rewards, torch.zeros(3, 4), mask, gamma=1.0, lam=0.95)
    assert torch.allclose(returns[[0, 1, 2], [2, 0, 3]], torch.tensor([9.95, 19.95, 29.95]))
    assert not token_rewards(kl[:1], torch.tensor([10.0]), torch.zeros(1, 4), beta=0.1).any()


def test_k1_and_k3_are_unbiased_and_k3_is_never_negative() -> None:
    p, q = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.4, 0.4, 0.2])
    true = float((p * (p / q).log()).sum())
    for estimator in ("k1", "k3"):
        terms = kl_terms(p.log(), q.log(), estimator)
        assert float((p * terms).sum()) == pytest.approx(true, abs=1e-6)
        assert (estimator == "k1") == bool((terms < 0).any())


@quickly
@given(batches())
def test_whitening_gives_masked_mean_zero_and_population_variance_one(batch: Batch) -> None:
    values, _, mask = batch
    inside = values[mask.bool()]
    assert float(masked_variance(values, mask)) == pytest.approx(float(inside.var(unbiased=False)), abs=1e-9)
    if float(inside.var(unbiased=False)) < 1e-3:
        return
    whitened, kept = whiten(values, mask), whiten(values, mask, shift=False)
    assert float(masked_mean(whitened, mask)) == pytest.approx(0, abs=1e-6)
    assert float(masked_variance(whitened, mask)) == pytest.approx(1, abs=1e-4)
    assert float(masked_mean(kept, mask)) == pytest.approx(float(inside.mean()), abs=1e-6)
    assert float(masked_variance(kept, mask)) == pytest.approx(1, abs=1e-4)


def test_the_clipped_losses_by_hand() -> None:
    mask = torch.ones(1, 4)
    ratio = torch.tensor([[1.5, 1.5, 0.5, 1.1]])
    advantages = torch.tensor([[1.0, -1.0, -1.0, 2.0]])
    found = policy_loss(ratio.log(), torch.zeros(1, 4), advantages, mask, clip=0.2, tokens=4)
    # a gain is held at 1.2; a loss is never made smaller; a token whose probability fell too far is held at 0.8
    assert float(found.loss) == pytest.approx((-1.2 + 1.5 + 0.8 - 2.2) / 4, abs=1e-6)
    assert found.clipped == 2
    assert found.ratio_max == pytest.approx(1.5)
    assert found.approximate_kl == pytest.approx(float(0.5 * (ratio.log() ** 2).sum()), abs=1e-6)
    old, new, returns = torch.zeros(1, 4), torch.tensor([[0.1, 1.0, 1.0, -1.0]]), torch.tensor([[1.0, 1.0, 0.0, 1.0]])
    error = value_loss(new, old, returns, mask, clip=0.2, tokens=4)
    assert float(error.loss) == pytest.approx(0.5 * (0.81 + 0.64 + 1.0 + 4.0) / 4, abs=1e-6)
    assert error.clipped == 1


@quickly
@given(batches(), st.integers(1, 3))
def test_padding_changes_no_loss_and_no_number(batch: Batch, more: int) -> None:
    new, old, mask = batch
    garbage = torch.full((len(mask), more), 7.0, dtype=mask.dtype)

    def wide(values: torch.Tensor) -> torch.Tensor:
        return torch.cat([values, garbage], 1)

    longer = torch.cat([mask, torch.zeros_like(garbage)], 1)
    tokens = float(mask.sum())
    narrow = policy_loss(new, old, new * old, mask, clip=0.2, tokens=tokens)
    padded = policy_loss(wide(new), wide(old) + 50, wide(new * old), longer, clip=0.2, tokens=tokens)
    again = policy_loss(wide(new), torch.cat([old, garbage], 1), wide(new * old), longer, clip=0.2, tokens=tokens)
    assert float(again.loss) == pytest.approx(float(narrow.loss), rel=1e-9)
    assert again[1:] == pytest.approx(narrow[1:], rel=1e-6)
    assert padded.ratio_max != again.ratio_max or not new.any()  # the old ones do count
    values = value_loss(wide(new), wide(old), wide(new * old), longer, clip=0.2, tokens=tokens)
    assert float(values.loss) == pytest.approx(
        float(value_loss(new, old, new * old, mask, clip=0.2, tokens=tokens).loss), rel=1e-9
    )
    assert float(masked_mean(wide(new), longer)) == pytest.approx(float(masked_mean(new, mask)), rel=1e-9)
    assert explained_variance(wide(new), wide(old), longer) == pytest.approx(explained_variance(new, old, mask))


def test_parts_of_a_minibatch_add_up_to_it() -> None:
    torch.manual_seed(0)
    new, old, advantages = torch.randn(3, 6, 5)
    mask = (torch.arange(5) < torch.tensor([[1], [5], [3], [2], [4], [5]])).float()
    tokens = float(mask.sum())
    whole = policy_loss(new, old, advantages, mask, clip=0.2, tokens=tokens).loss
    parts = [
        policy_loss(
            new[i : i + 2], old[i : i + 2], advantages[i : i + 2], mask[i : i + 2], clip=0.2, tokens=tokens
        ).loss
        for i in (0, 2, 4)
    ]
    assert float(sum(parts)) == pytest.approx(float(whole), rel=1e-5)


def test_the_adaptive_controller_is_proportional_and_clipped_and_the_fixed_one_stands_still() -> None:
    for kl, error in ((6.0, 0.0), (6.6, 0.1), (60.0, 0.2), (0.0, -0.2), (-3.0, -0.2)):
        control = AdaptiveKL(0.1, target=6.0, horizon=1000)
        control.update(kl, 50)
        assert control.beta == pytest.approx(0.1 * (1 + error * 50 / 1000))
    fixed = FixedKL(0.1)
    fixed.update(60.0, 50)
    assert fixed.beta == 0.1


def test_explained_variance_is_one_for_the_returns_zero_for_a_constant_and_unknown_for_equal_returns() -> None:
    returns, mask = torch.tensor([[1.0, 2.0, 5.0]]), torch.ones(1, 3)
    assert explained_variance(returns, returns, mask) == 1
    assert explained_variance(torch.full((1, 3), 9.0), returns, mask) == pytest.approx(0, abs=1e-5)
    assert explained_variance(returns, torch.ones(1, 3), mask) is None


def test_rewards_are_normalised_under_the_reference_and_a_judge_of_one_opinion_is_refused() -> None:
    scores = [3.0, 5.0, 10.0]
    rewards = [normaliser(scores)(score) for score in scores]
    assert sum(rewards) / 3 == pytest.approx(0, abs=1e-9)
    assert sum(reward**2 for reward in rewards) / 3 == pytest.approx(1)
    with pytest.raises(NeedsNotMet, match="the same score"):
        normaliser([0.25] * 8)


def test_an_answer_without_an_end_gets_the_fixed_score_or_the_penalty() -> None:
    assert with_eos_demanded(2.0, True, "score", -1.0) == 2.0
    assert with_eos_demanded(2.0, False, "score", -1.0) == -1.0
    assert with_eos_demanded(2.0, False, "penalty", -1.0) == 1.0
    assert with_eos_demanded(2.0, False, "ignore", -1.0) == 2.0


def test_a_judge_that_cannot_read_an_answer_or_says_no_number_ends_the_run_with_a_reason() -> None:
    class Short:
        def score(self, prompt: str, completions: list[str]) -> list[float]:
            raise ValueError("answer 1 is longer than the 8 tokens that this model reads")

    class Broken:
        def score_each(self, prompts: list[str], completions: list[str]) -> list[float]:
            return [math.nan for _ in completions]

    with pytest.raises(NeedsNotMet, match=r"longer than the 8 tokens.*max_new_tokens"):
        scored(Short(), ["a"], ["b"])
    with pytest.raises(FloatingPointError, match="nan for the answer 'b'"):
        scored(Broken(), ["a"], ["b"])


def test_doubt_is_charged_as_the_variance_of_the_heads_in_the_units_of_the_normalised_reward() -> None:
    heads = [2.0, 4.0, 9.0]  # what three heads make of an answer, by hand: mean 5, population variance 26/3
    scale = normaliser([1.0, 3.0, 5.0, 7.0])  # mean 4, standard deviation sqrt(5)
    spread = math.sqrt(26 / 3)
    assert scale.cautious(sum(heads) / 3, spread, 0.0) == pytest.approx(1 / math.sqrt(5))
    assert scale.cautious(sum(heads) / 3, spread, 0.5) == pytest.approx(1 / math.sqrt(5) - 0.5 * (26 / 3) / 5)


def test_the_spread_is_asked_of_many_prompts_at_once_where_that_can_be_and_refused_of_one_head() -> None:
    class Alone:
        def score_details(self, prompt: str, completions: list[str]) -> list[dict[str, float]]:
            return [{"score": len(prompt + text), "spread": 0.5} for text in completions]

    class Together(Alone):
        def score_details_each(self, prompts: list[str], completions: list[str]) -> list[dict[str, float]]:
            return [{"score": 1.0, "spread": 2.0} for _ in completions]

    class OneHead:
        def score_details(self, prompt: str, completions: list[str]) -> list[dict[str, float]]:
            return [{"score": 1.0} for _ in completions]

    class Unsure:
        def score_details(self, prompt: str, completions: list[str]) -> list[dict[str, float]]:
            return [{"score": 1.0, "spread": math.nan} for _ in completions]

    assert scored_with_spread(Alone(), ["a", "bb"], ["c", "d"]) == ([2.0, 3.0], [0.5, 0.5])
    assert scored_with_spread(Together(), ["a", "bb"], ["c", "d"]) == ([1.0, 1.0], [2.0, 2.0])
    for judge in (OneHead(), object()):
        with pytest.raises(NeedsNotMet, match=r"uncertainty_weight.*heads=4 of reward-model"):
            scored_with_spread(judge, ["a"], ["b"])
    with pytest.raises(FloatingPointError, match="nan for the answer 'b'"):
        scored_with_spread(Unsure(), ["a"], ["b"])


@quickly
@given(st.integers(1, 9), st.integers(0, 40), st.integers(0, 20), st.integers(0, 3))
def test_the_order_of_prompts_goes_on_from_a_position_and_is_a_fresh_permutation_each_round(
    count: int, start: int, many: int, seed: int
) -> None:
    order = Order(count, seed)
    whole = order.at(0, start + many)
    assert order.at(start, many) == whole[start:]
    for begin in range(0, len(whole) - count + 1, count):
        assert sorted(whole[begin : begin + count]) == list(range(count))


def test_minibatches_take_every_answer_once_in_an_order_of_their_own_each_epoch() -> None:
    first, second = (minibatches(12, 3, f"0/updates/0/{epoch}") for epoch in range(2))
    assert [len(part) for part in first] == [4, 4, 4]
    assert sorted(place for part in first for place in part) == list(range(12))
    assert first != second


@pytest.mark.parametrize(
    ("text", "fits", "kept"),
    [
        ("One two.\n\nThree four. Five six", 15, "One two."),
        ("One two. Three four. Five six", 22, "One two. Three four."),
        ("One two three four", 15, "One two three"),
        ("onetwothree", 5, "onetw"),
        ("One two", 0, ""),
    ],
)
def test_a_prompt_is_cut_at_the_best_boundary_that_keeps_half(text: str, fits: int, kept: str) -> None:
    assert text[: natural_end(text, fits)] == kept


def watched(**limits: float) -> Alarms:
    chosen: dict[str, Any] = {"kl_budget": 10.0, "length_factor": 2.0, "preference_drop": 0.1, **limits}
    return Alarms(**chosen, reference_length=20.0, reference_ended=1.0)


def fired(alarms: Alarms, batches: list[dict[str, float]]) -> str | None:
    return next((alarm.name for batch in batches if (alarm := alarms.batch(**batch))), None)


def test_alarms_look_at_means_and_fire_for_what_they_watch() -> None:
    calm = {"reward": 0.0, "kl": 1.0, "length": 20.0}
    rising = [{**calm, "reward": number / 10} for number in range(20)]
    assert fired(watched(), rising) is None
    assert fired(watched(), [*rising, {**calm, "kl": 30.0}]) is None, "one odd batch is none"
    assert fired(watched(), [*rising, *[{**calm, "kl": 30.0}] * WINDOW]) == "kl-budget"
    assert fired(watched(kl_budget=0), [*rising, *[{**calm, "kl": 30.0}] * WINDOW]) is None
    for length in (50.0, 5.0):
        away = [{**batch, "length": length} for batch in rising]
        assert fired(watched(), [*rising, *away]) == "length"
        assert fired(watched(length_factor=0), [*rising, *away]) is None
    falling = [{**calm, "reward": -float(number), "length": 50.0} for number in range(20)]
    assert fired(watched(), falling) is None, "an answer that got longer without reward is no hacking"


def test_the_preference_alarm_fires_when_agreement_falls_twice_while_the_reward_rises() -> None:
    def looks(values: list[float], *, reward: float = 1.0, pairs: int = 100, drop: float = 0.1) -> list[str | None]:
        alarms = watched(preference_drop=drop)
        for number in range(2 * WINDOW):
            alarms.batch(reward=reward * number, kl=1.0, length=20.0)
        return [alarm.name if (alarm := alarms.look(value, pairs)) else None for value in values]

    assert looks([0.5, 0.8, 0.6, 0.6])[-2:] == [None, "preferences"]
    assert looks([0.5, 0.8, 0.6, 0.75])[-1] is None
    assert looks([0.5, 0.8, 0.6, 0.6], reward=-1.0)[-1] is None
    assert looks([0.5, 0.8, 0.6, 0.6], pairs=FEWEST_PAIRS - 1)[-1] is None
    assert looks([0.5, 0.8, 0.6, 0.6], drop=0)[-1] is None


def test_an_alarm_says_by_how_much_and_which_setting_and_only_what_is_watched_has_a_limit() -> None:
    alarms = watched(kl_budget=0.05)
    found = [alarms.batch(reward=0.0, kl=2.37, length=20.0) for _ in range(WINDOW)][-1]
    assert found
    assert found.said(4, 8) == (
        "Stopped itself at batch 4 of 8 (kl-budget): the KL to the reference is 2.37 nats an answer; the limit was 0.05 nats an "
        "answer (set by kl_budget)."
    )

    def limits() -> dict[str, object]:
        return {str(row[0]): row[2] for row in alarms.rows(found, 4)}

    assert limits() == {"kl-budget": 0.05, "length": 2.0, "preferences": None}
    alarms.look(0.5, FEWEST_PAIRS)
    assert limits()["preferences"] == 0.1


def test_a_run_in_which_answers_do_not_end_or_rewards_are_all_the_same_says_so() -> None:
    def told(rewards: list[list[float]], ended: float, **config: Any) -> list[str]:  # noqa: ANN401 - settings
        batches = Batches()
        for batch in rewards:
            batches.add(batch, ended)
        return warnings(batches, PPOConfig.model_validate({"max_new_tokens": 16, **config}))

    differing, same = [0.5, -1.0], [-1.0, -1.0]
    assert told([differing] * 3, ended=0.9) == []
    (short, flat) = told([same, same, differing], ended=0.03)
    assert short.startswith(
        "97 % of the answers of the last batch did not end within 16 tokens and got the fixed reward -1"
    )
    assert flat.startswith("2 of 3 batches gave all their answers the same reward")
    assert told([differing] * 3, ended=0.03, missing_eos="ignore") == []
    assert "-1 added to their reward" in told([differing], ended=0.03, missing_eos="penalty")[0]
    assert told([same, *[differing] * 9], ended=1.0) == [], "one batch of ten"
    assert unended(0.5, PPOConfig(), "answers") is None


@pytest.mark.parametrize(
    ("settings_given", "told"),
    [
        ({"batch": 10, "minibatches": 4}, "divide into minibatches"),
        ({"episodes": 8, "batch": 16}, "at least one batch"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings_given: dict[str, int], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        PPOConfig.model_validate(settings_given)
    assert PPOConfig(episodes=100, batch=32).iterations == 3

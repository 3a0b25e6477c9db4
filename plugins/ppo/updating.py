"""A round of updates on one batch of experience: epochs, minibatches, micro-batches, nested in that order (25)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from plugins.lib.prompts import minibatches
from plugins.ppo.cast import Cast
from plugins.ppo.experience import Experience
from plugins.ppo.imitating import Imitation
from plugins.ppo.losses import policy_loss, value_loss
from plugins.ppo.reading import by_length, inputs, said

if TYPE_CHECKING:
    import torch


@dataclass
class Update:
    """Sums over a minibatch's tokens, and after `mean` what each is a token."""

    tokens: float
    policy: float = 0.0
    value: float = 0.0
    clipped: float = 0.0
    value_clipped: float = 0.0
    approximate_kl: float = 0.0
    entropy: float = 0.0
    ratio_max: float = 0.0
    drift: float = 0.0
    imitation: float | None = None  # mean loss a demonstrated token
    taken: bool = True

    def mean(self) -> "Update":
        """Losses are means already; what was counted and summed becomes one."""
        for name in ("clipped", "value_clipped", "approximate_kl", "entropy"):
            setattr(self, name, getattr(self, name) / max(self.tokens, 1))
        return self


@dataclass
class Round:
    """All updates of one batch, in order."""

    updates: list[Update] = field(default_factory=list)
    ended_early: bool = False

    def numbers(self) -> dict[str, float]:
        """For the curves: means over the round's updates."""

        def mean(name: str) -> float:
            return sum(getattr(update, name) for update in self.updates) / len(self.updates)

        return {
            "loss/policy": mean("policy"),
            "loss/value": mean("value"),
            "update/clipped": mean("clipped"),
            "update/value-clipped": mean("value_clipped"),
            "update/kl": mean("approximate_kl"),
            "update/ratio-max": max(update.ratio_max for update in self.updates),
            "update/first-drift": self.updates[0].drift,
            "policy/entropy": mean("entropy"),
            "update/taken": sum(update.taken for update in self.updates),
            **({} if self.updates[0].imitation is None else {"loss/imitation": mean("imitation")}),
        }


class Updater:
    """The two optimisers (27: Adam, eps 1e-5, no weight decay), and the rounds they take."""

    def __init__(
        self,
        cast: Cast,
        config: Any,  # noqa: ANN401 - PPOConfig
        *,
        rate: float,
        critic_rate: float,
        imitation: Imitation | None = None,
    ) -> None:
        from plugins.lib.stepping import adamw

        self.cast, self.config, self.imitation = cast, config, imitation
        self.policy, self.critic = (list(named.values()) for named in cast.trained())
        self.rates = {"policy": rate, "critic": critic_rate}
        self.optimizers = {
            "policy": adamw(self.policy, rate=rate, decay=0.0, eps=ADAM_EPS),
            "critic": adamw(self.critic, rate=critic_rate, decay=0.0, eps=ADAM_EPS),
        }

    def anneal(self, share: float) -> None:
        """Both step sizes become this share of what they were at the start."""
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = self.rates[name] * share

    def round(self, found: Experience, key: str) -> Round:
        """Learns from a batch. `key` decides the orders. Ends early, without the step that would have gone too far, where
        the policy has moved further than `update_kl` from where the batch was written (30)."""
        done = Round()
        for epoch in range(self.config.ppo_epochs):
            parts = minibatches(
                len(found.answers), self.config.minibatches, f"{key}/{epoch}", together=self.config.answers
            )
            for number, places in enumerate(parts):
                update = self._gradients(found, places)
                done.updates.append(update)
                if self.imitation:
                    update.imitation = self.imitation.add_gradients(len(places), f"{key}/{epoch}/{number}")
                if self.config.update_kl and update.approximate_kl > self.config.update_kl:
                    update.taken, done.ended_early = False, True
                    return done
                self._step()
        return done

    def _gradients(self, found: Experience, places: Sequence[int]) -> Update:
        """Gradients of a minibatch, micro-batch by micro-batch; each adds its share of the sums over all tokens."""
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        update = Update(tokens=float(found.mask[list(places)].sum()))
        for part in by_length(found.answers, places, self.config.micro_batch):
            self._part(found, part, update)
        if not math.isfinite(update.policy + update.value):
            raise FloatingPointError(
                f"the losses became {update.policy} (policy) and {update.value} (critic): take a lower learning_rate "
                f"(it was {self.rates['policy']:g}) or a smaller max_grad_norm"
            )
        return update.mean()

    def _part(self, found: Experience, part: Sequence[int], update: Update) -> None:
        config, cast = self.config, self.cast
        batch = inputs([found.answers[place] for place in part], pad=cast.policy.pad, device=cast.policy.device)
        width = batch.mask.shape[1]

        def own(values: "torch.Tensor") -> "torch.Tensor":
            return values[part, :width]

        spoken = said(cast.policy.model, batch, temperature=config.temperature)
        surrogate = policy_loss(
            spoken.logps, own(found.old), own(found.advantages), batch.mask, clip=config.clip, tokens=update.tokens
        )
        together = cast.critic.trunk is None
        if not together:
            surrogate.loss.backward()  # before the critic runs, so that one network's activations are held at a time
        values = cast.critic.values(batch, spoken.hidden if together else None)
        error = value_loss(
            values, own(found.values), own(found.returns), batch.mask, clip=config.value_clip, tokens=update.tokens
        )
        weighted = config.vf_coef * error.loss
        (surrogate.loss + weighted if together else weighted).backward()
        update.policy += surrogate.loss.item()
        update.value += error.loss.item()
        update.clipped += surrogate.clipped
        update.value_clipped += error.clipped
        update.approximate_kl += surrogate.approximate_kl
        update.entropy += float(spoken.entropy.sum())
        update.ratio_max = max(update.ratio_max, surrogate.ratio_max)
        update.drift = max(update.drift, surrogate.drift)

    def _step(self) -> None:
        import torch

        for weights, optimizer in zip((self.policy, self.critic), self.optimizers.values(), strict=True):
            torch.nn.utils.clip_grad_norm_(weights, self.config.max_grad_norm)
            optimizer.step()


ADAM_EPS = 1e-5


def learning_rate(parameters: int, lora: bool) -> float:
    """A step size that suits policies of this size (3e-6 at a billion: Huang et al. 2024); adapters stand ten times more."""
    full = 3e-4 if parameters < 2_000_000 else 3e-5 if parameters < 50_000_000 else 1e-5 if parameters < 5e8 else 3e-6
    return 10 * full if lora else full

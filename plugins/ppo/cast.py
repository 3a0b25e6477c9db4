"""Who takes part in a run: the policy, its reference, the critic, the reward model, and the prompts. Opened and checked."""

import copy
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from feinschliff import NeedsNotMet, Run
from plugins.lib.adapters import base_alone, has_lora
from plugins.lib.policies import Policy, policy_from
from plugins.lib.prompts import Asked, read
from plugins.lib.rollout import Written, sample
from plugins.lib.settings import Lora
from plugins.lib.vllm_rollout import Engine, engine_for
from plugins.ppo.critic import Critic, separate, shared
from plugins.ppo.reading import Answer, inputs, said
from plugins.ppo.rewarding import scored_with_spread

if TYPE_CHECKING:
    import torch

Loaded = Any  # transformers' and peft's models, which carry no usable types
LEAST_PROMPT = 8  # tokens that must be left for a prompt
AT_ONCE = 64  # answers written side by side


class Reference:
    """The policy as it was before training (29): its base without the adapters, or a frozen copy where all is trained."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._copy: Loaded = None
        if not has_lora(policy.model):
            self._copy = copy.deepcopy(policy.model).requires_grad_(False)

    @contextmanager
    def speaking(self) -> Iterator[Loaded]:
        """The reference's model, for as long as the block lasts."""
        if self._copy is not None:
            yield self._copy
            return
        with base_alone(self._policy.model):
            yield self._policy.model


@dataclass
class Cast:
    """All that a run works with. `prompts` are sampled from, `heldout` are looked at; `engine` is vLLM's, where it writes."""

    policy: Policy
    reference: Reference
    critic: Critic
    reward: Any
    prompts: list[Asked]
    heldout: list[Asked]
    left_out: int
    engine: Engine | None = None

    @property
    def writer(self) -> Literal["own", "vllm"]:
        """What writes the answers."""
        return "own" if self.engine is None else "vllm"

    def trained(self) -> tuple[dict[str, "torch.nn.Parameter"], dict[str, "torch.nn.Parameter"]]:
        """The policy's and the critic's parameters that learn, by name."""
        own = {name: weight for name, weight in self.policy.model.named_parameters() if weight.requires_grad}
        return own, self.critic.trained()


def opened(run: Run) -> Cast:
    """Opens and checks everything before a step is taken. Raises NeedsNotMet, ModelNotOpened."""
    config, base, reward = run.config, run.model("base"), run.model("reward")
    folder = getattr(base, "folder", None)
    if folder is None:
        raise NeedsNotMet("the base has no folder of weights, so it cannot be trained")
    lora = Lora(lora_rank=config.lora_rank, lora_alpha=config.lora_alpha)
    policy = policy_from(folder, seed=run.seed, device=run.device, lora=lora)
    policy.model.eval()  # no dropout anywhere, or the ratio would not begin at 1 (14, 28)
    room = min(config.max_prompt_tokens, policy.longest - config.max_new_tokens)
    if room < LEAST_PROMPT:
        raise NeedsNotMet(
            f"this base reads {policy.longest} tokens, of which {config.max_new_tokens} are for the answer "
            f"(max_new_tokens): {max(room, 0)} are left for the prompt; set it to {policy.longest // 2} or less"
        )
    most = getattr(reward, "max_length", None)
    if most is not None and most <= config.max_new_tokens:
        raise NeedsNotMet(
            f"the reward model reads {most} tokens, prompt and answer together; lower max_new_tokens "
            f"({config.max_new_tokens}), or train a reward model with a larger max_length"
        )
    prompts, heldout = (read(run.rows(split), policy, room) for split in ("train", "heldout"))
    if not prompts.prompts:
        raise NeedsNotMet(f"no prompt fits the {room} tokens that are left for it: raise max_prompt_tokens")
    if config.uncertainty_weight:
        scored_with_spread(reward, [prompts.prompts[0].prompt], ["."])  # refused before anything is written
    critic = shared(policy) if config.critic == "shared" else separate(policy, folder, reward, lora)
    _understood(policy, critic, prompts.prompts[0])
    left_out = prompts.left_out + heldout.left_out
    engine = engine_for(
        policy.model,
        config.writer,
        longest=room + config.max_new_tokens,
        rows=AT_ONCE,
        seed=run.seed,
        tell=lambda why: run.state("loading", why),
    )
    return Cast(policy, Reference(policy), critic, reward, prompts.prompts, heldout.prompts, left_out, engine)


def _understood(policy: Policy, critic: Critic, prompt: Asked) -> None:
    """Reads one answer as every batch will be read. NeedsNotMet where the engine does not know how."""
    import torch

    batch = inputs([Answer(prompt.ids, [policy.eos])], pad=policy.pad, device=policy.device)
    try:
        with torch.no_grad():
            critic.values(batch, said(policy.model, batch, temperature=1.0).hidden)
    except (ValueError, NotImplementedError) as error:
        raise NeedsNotMet(f"this base cannot be trained by PPO: {error}") from error


def write(model: Loaded, cast: Cast, prompts: Sequence[Asked], *, config: Any, key: str) -> list[Written]:  # noqa: ANN401
    """An answer to each prompt. The key alone says which: nothing is drawn from a shared stream (5, 32)."""
    asked: dict[str, Any] = {
        "max_new_tokens": config.max_new_tokens,
        "temperature": config.temperature,
        "eos": cast.policy.eos,
        "seed": int.from_bytes(hashlib.sha256(key.encode()).digest()[:6]),
    }
    ids = [one.ids for one in prompts]
    if cast.engine is not None:
        cast.engine.take(model)
        return cast.engine.sample(ids, **asked)
    return sample(model, ids, pad=cast.policy.pad, batch=min(len(prompts), AT_ONCE) or 1, **asked)


def text_of(cast: Cast, written: Written) -> str:
    """The answer as people and the reward model read it: up to its EOS, without special tokens."""
    return str(cast.policy.tokenizer.decode(written.ids, skip_special_tokens=True)).strip()

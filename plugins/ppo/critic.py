"""The critic: what it expects the score to be, before each token of an answer.

A network of its own where `critic` is `separate` (26): the reward model's trunk and head where that is a causal model with
the policy's tokenizer, so that it begins by knowing rewards; else the policy's base with a head of zeros (Ziegler et al.
2019). `shared` is a value head of zeros on the policy's own trunk: less memory and time, and another method (the value
loss then moves the policy's trunk too).
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plugins.lib.adapters import add_lora
from plugins.lib.policies import Policy, set_dropout
from plugins.lib.settings import Lora
from plugins.lib.weights import check_folder, loading
from plugins.ppo.reading import Inputs, states

if TYPE_CHECKING:
    import torch

Loaded = Any  # transformers' and peft's models, which carry no usable types


class Critic:
    """Values (answers, longest answer): at a token, what is expected before it is written.

    `trunk` is None where the policy's hidden states are read. `origin` says where it began.
    """

    def __init__(self, trunk: Loaded | None, head: "torch.nn.Linear", origin: str) -> None:
        self.trunk, self.head, self.origin = trunk, head, origin

    def values(self, batch: Inputs, hidden: "torch.Tensor | None" = None) -> "torch.Tensor":
        """0 beyond an answer's end. `hidden` is what the policy's trunk said, for a shared one."""
        if self.trunk is not None:
            hidden = states(self.trunk, batch)
        if hidden is None:
            raise ValueError("a critic without a trunk of its own reads the policy's hidden states")
        return self.head(hidden).squeeze(-1).float() * batch.mask

    def trained(self) -> dict[str, "torch.nn.Parameter"]:
        """The parameters that learn, by name."""
        parts = {"head": self.head} | ({} if self.trunk is None else {"trunk": self.trunk})
        return {
            f"{part}.{name}": weight
            for part, module in parts.items()
            for name, weight in module.named_parameters()
            if weight.requires_grad
        }

    def rescale(self, gain: float, bias: float) -> None:
        """From now on its values are gain * value + bias: as the rewards it is to expect are normalised."""
        import torch

        with torch.no_grad():
            self.head.weight.mul_(gain)
            self.head.bias.mul_(gain).add_(bias)


def shared(policy: Policy) -> Critic:
    width = int(policy.model.get_output_embeddings().in_features)
    return Critic(None, _head(width, policy), "policy")


def separate(policy: Policy, base: Path, reward: Any, lora: Lora) -> Critic:  # noqa: ANN401 - any model that scores
    """From the reward model where that is possible, else from the policy's base."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    if speaks_as(policy, reward):
        whole = AutoModelForSequenceClassification.from_pretrained(reward.folder, dtype=torch.float32, **loading())
        trunk: Loaded = whole.base_model
        head = _head(int(whole.score.in_features), policy)
        with torch.no_grad():
            head.weight.copy_(whole.score.weight.mean(0, keepdim=True))
            if whole.score.bias is not None:
                head.bias.copy_(whole.score.bias.mean(0, keepdim=True))
        origin = "reward"
    else:
        trunk = AutoModelForCausalLM.from_pretrained(check_folder(base), dtype=torch.float32, **loading()).base_model
        if trunk.get_input_embeddings().num_embeddings < len(policy.tokenizer):
            trunk.resize_token_embeddings(len(policy.tokenizer))
        head, origin = _head(int(policy.model.get_output_embeddings().in_features), policy), "base"
    set_dropout(trunk, 0.0)
    return Critic(add_lora(trunk, lora, task="FEATURE_EXTRACTION").to(policy.device), head, origin)


def speaks_as(policy: Policy, reward: Any) -> bool:  # noqa: ANN401 - any model that scores
    """Whether the reward model is a causal one in a folder, with a score head and the policy's very tokens."""
    folder, tokenizer = getattr(reward, "folder", None), getattr(reward, "tokenizer", None)
    if folder is None or tokenizer is None or not getattr(reward, "causal", False):
        return False
    same = tokenizer.get_vocab() == policy.tokenizer.get_vocab()
    return same and tokenizer.chat_template == policy.tokenizer.chat_template and _has_score_head(Path(folder))


def _has_score_head(folder: Path) -> bool:
    """Whether its config names a sequence classifier; all causal ones of transformers call their head `score`."""
    names = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architectures") or [""]
    return str(names[0]).endswith("ForSequenceClassification")


def _head(width: int, policy: Policy) -> "torch.nn.Linear":
    import torch

    head = torch.nn.Linear(width, 1, device=policy.device)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    return head

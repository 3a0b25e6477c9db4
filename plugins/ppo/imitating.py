"""PPO-ptx (31): while it learns from the reward, the policy also goes on learning from texts (Ouyang et al. 2022, 3.5).

InstructGPT mixes in its pretraining text, 27.8 times a sequence's log-likelihood; here it is people's demonstrations, the
mean negative log-likelihood a token of answer at temperature 1, times `ptx`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from feinschliff import NeedsNotMet
from plugins.lib.policies import Policy
from plugins.lib.prompts import asked, permutation
from plugins.ppo.reading import Answer, by_length, inputs, said


class Imitation:
    """The demonstrations, and the gradient that a minibatch of them adds."""

    def __init__(self, policy: Policy, answers: Sequence[Answer], *, weight: float, micro_batch: int) -> None:
        self.answers, self.weight = answers, weight
        self._policy, self._micro_batch = policy, micro_batch

    def add_gradients(self, many: int, key: str) -> float:
        """Of so many demonstrations, which the key decides; gives their mean loss a token, without the weight."""
        drawn = [self.answers[place] for place in permutation(len(self.answers), key)[:many]]
        tokens, total = sum(len(one.ids) for one in drawn), 0.0
        for places in by_length(drawn, range(len(drawn)), self._micro_batch):
            batch = inputs([drawn[place] for place in places], pad=self._policy.pad, device=self._policy.device)
            loss = -said(self._policy.model, batch, temperature=1.0).logps.sum() / tokens
            (self.weight * loss).backward()
            total += loss.item()
        return total


def imitation(policy: Policy, rows: Iterable[dict[str, Any]], *, weight: float, micro_batch: int) -> Imitation | None:
    """None where the weight is 0. NeedsNotMet where there is nothing to imitate."""
    if not weight:
        return None
    found = []
    for row in rows:
        if "completion" in row:
            answer = policy.answer_ids(row["completion"])
            one = asked(row["prompt"], policy, policy.longest - len(answer))
            if one is not None:
                found.append(Answer(one.ids, answer))
    if not found:
        raise NeedsNotMet("ptx imitates demonstrations, and these rows hold none that fits; set ptx to 0")
    return Imitation(policy, found, weight=weight, micro_batch=micro_batch)

"""What is asked of a policy before and after it is trained, apart from how: how likely it finds an answer, what it writes.

Both sides are asked the same with the same seed, so that what differs is the training.
"""

from collections.abc import Sequence
from typing import Any

from feinschliff import Run
from feinschliff.rows import group_of
from plugins.lib.batching import packed
from plugins.lib.before_after import compare
from plugins.lib.encoding import Encoded
from plugins.lib.kway import KWay
from plugins.lib.policies import Policy, Prompt
from plugins.lib.rollout import Written, sample
from plugins.lib.settings import Samples

TOKENS = 8192  # that go through the model at once
Numbers = dict[str, float | None]


def likelihoods(policy: Policy, sequences: Sequence[Encoded]) -> list[float]:
    """The log-probability of each sequence's answer given its prompt, in nats, dropout off; in the order given."""
    import torch

    engine = KWay(policy.model, pad=policy.pad, device=policy.device)
    places = sorted(range(len(sequences)), key=lambda place: len(sequences[place].ids))
    found = [0.0] * len(sequences)
    training = policy.model.training
    policy.model.eval()
    with torch.no_grad():
        for batch in packed(places, lambda place: {place: len(sequences[place].ids)}, budget=TOKENS):
            logps, _ = engine.logps([sequences[place] for place in batch])
            for place, value in zip(batch, logps.double().sum(-1).tolist(), strict=True):
                found[place] = value
    policy.model.train(training)
    return found


def read_back(policy: Policy, ids: Sequence[int]) -> str:
    """An answer's tokens as the text that a person sees."""
    return str(policy.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()


def answer_tokens(sequence: Encoded) -> int:
    return sum(sequence.types)


class Probe:
    """A few held-out prompts, one of each group first, answered by the policy as it is at that moment."""

    def __init__(self, rows: Sequence[dict[str, Any]], policy: Policy, settings: Samples, seed: int) -> None:
        self.settings, self.seed = settings, seed
        room = policy.longest - settings.sample_tokens
        asked: dict[str, tuple[Prompt, str, list[int]]] = {}
        for row in rows:
            ids = policy.prompt_ids(row["prompt"])
            if len(ids) <= room:
                asked.setdefault(str(row["prompt"]), (row["prompt"], group_of(row), ids))
        chosen = _one_a_group_first(list(asked.values()))[: settings.samples]
        self.prompts = [prompt for prompt, _, _ in chosen]
        self.groups = [group for _, group, _ in chosen]
        self.ids = [ids for _, _, ids in chosen]

    def texts(self, policy: Policy) -> list[str]:
        """One text a prompt."""
        return [read_back(policy, one.ids) for one in self.written(policy)]

    def written(self, policy: Policy) -> list[Written]:
        """The same as tokens."""
        return sample(
            policy.model,
            self.ids,
            max_new_tokens=self.settings.sample_tokens,
            temperature=self.settings.sample_temperature,
            eos=policy.eos,
            pad=policy.pad,
            seed=self.seed,
        )

    def compared(
        self,
        run: Run,
        before: Sequence[str],
        after: Sequence[str],
        judge: Any,  # noqa: ANN401
        name: str = "judge",
    ) -> Numbers:
        """Shows both on the run's page, and the numbers of it; the judge, a model that can score, may be None."""
        if not self.prompts:
            return {}
        score = judge.score if judge is not None else None
        return compare(run, self.prompts, before, after, score=score, groups=self.groups, judge=name)


def _one_a_group_first(asked: list[tuple[Prompt, str, list[int]]]) -> list[tuple[Prompt, str, list[int]]]:
    seen: dict[str, int] = {}
    rounds = []
    for place, one in enumerate(asked):
        rounds.append((seen.get(one[1], 0), place))
        seen[one[1]] = seen.get(one[1], 0) + 1
    return [asked[place] for _, place in sorted(rounds)]

"""Best-of-n sampling: a model writes n answers to a prompt, another scores them, and the best-scored one is the answer.

An inference mode of `generate` + `score`: nothing is trained. How far it takes the answers from the model's own is known
beforehand: log n - (n - 1)/n nats at most, with equality where no two answers score alike (Beirami et al. 2024, "Theoretical
guarantees on the best-of-n alignment policy"; the formula was used as an equality before, Stiennon et al. 2020, appendix G.3).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from feinschliff.model import Generates, ModelNotOpened, PromptLike, Scores, verbs_of

MOST = 256


def kl_bound(n: int) -> float:
    """The KL divergence, in nats, of the best of `n` answers from the model's own distribution, at most."""
    return math.log(n) - (n - 1) / n


@dataclass(frozen=True)
class Best:
    """The best-scored of some answers to a prompt; `scores` are those of all, in the order in which they were written.

    The score of an answer that the judge refused is NaN.
    """

    text: str
    score: float
    scores: tuple[float, ...]


class NotOneOf(ValueError):
    """There is no best one of so many, or of answers that are all the same."""


def scores_of(judge: Scores, prompt: PromptLike, texts: Sequence[str]) -> tuple[tuple[float, ...], str]:
    """What a judge makes of answers, and why it refused any; a refusal is a ValueError, and one answer may cause it.

    Where it refuses them together, as for one that is longer than it reads, each is scored alone, so that the others are not
    lost; NaN stands for those that it still refuses.
    """
    try:
        return tuple(float(score) for score in judge.score(prompt, texts)), ""
    except ValueError as refusal:
        return tuple(_alone(judge, prompt, text) for text in texts), str(refusal)


def _alone(judge: Scores, prompt: PromptLike, text: str) -> float:
    try:
        return float(judge.score(prompt, [text])[0])
    except ValueError:
        return math.nan


class BestOf:
    """`judge` picks among `n` answers. ModelNotOpened where it cannot score; NotOneOf for an `n` that makes no sense.

    `refused` counts the answers so far that the judge would not score, and `why` says it of the last.
    """

    def __init__(self, judge: Scores, n: int, *, name: str = "") -> None:
        if "score" not in verbs_of(judge):
            can = ", ".join(verbs_of(judge)) or "nothing"
            raise ModelNotOpened(f"{name or 'the judge'} cannot score, and so not choose; it can {can}")
        if not 1 <= n <= MOST:
            raise NotOneOf(f"the best of {n} cannot be taken; n is a whole number from 1 to {MOST}")
        self.judge, self.n, self.name = judge, n, name
        self.refused, self.why = 0, ""

    def write(
        self,
        model: Generates,
        prompts: Sequence[PromptLike],
        *,
        max_new_tokens: int = 128,
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> list[Best]:
        """For each prompt the best of `n` answers; of those that score alike the first."""
        written = model.generate(
            prompts, n=self.n, max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, seed=seed
        )
        return [self.pick(prompt, texts) for prompt, texts in zip(prompts, written, strict=True)]

    def pick(self, prompt: PromptLike, texts: Sequence[str]) -> Best:
        """The best of some answers. An answer whose score is not a number is never the best, unless none has one."""
        scores, why = scores_of(self.judge, prompt, texts)
        if why:
            self.refused, self.why = self.refused + sum(map(math.isnan, scores)), why
        place = max(range(len(texts)), key=lambda at: (-math.inf if math.isnan(scores[at]) else scores[at], -at))
        return Best(texts[place], scores[place], scores)

"""Whether the policy still prefers what people preferred: its implicit reward on held-out comparisons.

The implicit reward of an answer is log policy - log reference (Rafailov et al. 2023, without its factor). At the start it
is 0 for every answer, so agreement begins at one half; a policy that learns what people meant rises above it, and one
that games the reward model falls again. A stated choice: that it tells anything about answers people wrote, which the
policy may never sample, is not promised.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from feinschliff.rows import ranking_to_pairs
from plugins.lib.prompts import asked
from plugins.ppo.cast import Cast
from plugins.ppo.experience import kl_of
from plugins.ppo.reading import Answer

AT_MOST = 200


class Preferences:
    """Held-out comparisons, ready to be asked about again and again."""

    def __init__(self, cast: Cast, rows: Iterable[dict[str, Any]], config: Any) -> None:  # noqa: ANN401 - PPOConfig
        self._cast, self._config = cast, config
        self.pairs = _encoded(cast, rows)

    @cached_property
    def _different(self) -> dict[tuple[tuple[int, ...], tuple[int, ...]], Answer]:
        """Every answer once, also where it stands in several comparisons."""
        return {(tuple(one.prompt), tuple(one.ids)): one for pair in self.pairs for one in pair}

    def agreement(self) -> float | None:
        """Share of the comparisons in which the policy leans towards the better answer; equal leanings count one half."""
        if not self.pairs:
            return None
        leanings = dict(
            zip(self._different, kl_of(self._cast, list(self._different.values()), config=self._config), strict=True)
        )
        both = [
            [leanings[tuple(one.prompt), tuple(one.ids)] for one in (chosen, rejected)]
            for chosen, rejected in self.pairs
        ]
        return sum((good > bad) + 0.5 * (good == bad) for good, bad in both) / len(both)


def _encoded(cast: Cast, rows: Iterable[dict[str, Any]]) -> list[tuple[Answer, Answer]]:
    """At most 200 comparisons, evenly from all rows, of those whose answers fit the model whole."""
    policy = cast.policy
    found = []
    for row in rows:
        pairs = [row] if "chosen" in row else ranking_to_pairs(row).rows if "completions" in row else []
        for pair in pairs:
            answers = [policy.answer_ids(pair[side]) for side in ("chosen", "rejected")]
            one = asked(pair["prompt"], policy, policy.longest - max(map(len, answers)))
            if one is not None:
                found.append((Answer(one.ids, answers[0]), Answer(one.ids, answers[1])))
    step = max(1, -(-len(found) // AT_MOST))
    return found[::step]

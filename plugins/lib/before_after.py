"""What a model wrote before and after it was trained, side by side: for the run's page, and as numbers.

The same prompts and the same seeds on both sides, so that what differs is the training. A judge says which of two texts is
better; intervals are resampled by prompt group, since answers to one prompt are not independent.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from feinschliff import Run
from feinschliff.measuring import interval
from feinschliff.rows import prompt_text

Prompt = str | list[dict[str, str]]
Score = Callable[[Prompt, Sequence[str]], Sequence[float]]
Numbers = dict[str, float | None]
SHOWN = 12
JUDGES = {"reward": "reward model it learned from", "own-reward": "policy's own reward"}
WARY = {
    "reward": "It learned to please this very reward model: take another one as judge, or let people compare.",
    "own-reward": "It judges itself here, which says nothing about people: give it a judge, or let people compare.",
}
PROMPT_CHARACTERS, TEXT_CHARACTERS = 2000, 4000


class Written(NamedTuple):
    """One prompt's two texts, with the judge's scores where there are any."""

    prompt: Prompt
    before: str
    after: str
    scores: tuple[float, float] | None

    @property
    def won(self) -> float | None:
        """1 where the later text is better, 0 where it is worse, a half where the judge sees no difference."""
        if self.scores is None:
            return None
        before, after = self.scores
        return float(after > before) + 0.5 * (after == before)


def compare(
    run: Run,
    prompts: Sequence[Prompt],
    before: Sequence[str],
    after: Sequence[str],
    *,
    score: Score | None = None,
    groups: Sequence[str] | None = None,
    each: Sequence[Mapping[str, float]] | None = None,
    judge: str = "judge",
    shown: int = SHOWN,
    title: str = "Before and after",
    note: str = "",
) -> Numbers:
    """Shows the first `shown` pairs of texts and a table on the run's page, and returns the numbers behind it.

    `score(prompt, texts)` gives one number a text, higher is better; a ValueError of it (a text too long to be judged)
    leaves that prompt out of the win rate. `groups` says which prompts belong together (default: each prompt on its own),
    `each` carries further numbers for every prompt's sample, which `note` may explain below the table. `judge` is `judge` for
    a model that stands apart, `reward` for the one that was trained against, `own-reward` for the policy itself. Numbers:
    `winrate/<judge>` (ties one half) with `/low` and `/high`, `score/before`, `score/after`, `score/gain` with its interval,
    `length/before` and `length/after` (characters, means), `texts/changed` (share) and `prompts/compared`. Raises ValueError
    where the lists differ in length.
    """
    pairs = [_pair(score, *texts) for texts in zip(prompts, before, after, strict=True)]
    units = list(groups) if groups is not None else [str(place) for place in range(len(pairs))]
    extra: Sequence[Mapping[str, float]] = each if each is not None else [{}] * len(pairs)
    for pair, more in list(zip(pairs, extra, strict=True))[:shown]:
        _show(run, pair, more)
    numbers: Numbers = {"prompts/compared": len(pairs)}
    if pairs:
        numbers |= _lengths(pairs) | _scores(pairs, units, judge)
        said = _judged(judge) if score is not None else "No judge was given, so none says which text is better."
        about = f"{len(pairs)} prompts, the same seed on both sides."
        run.table(title, *_table(numbers, judge), note=" ".join(filter(None, [about, said, note])))
    return numbers


def _pair(score: Score | None, prompt: Prompt, before: str, after: str) -> Written:
    if score is None:
        return Written(prompt, before, after, None)
    try:
        first, second = score(prompt, [before, after])
    except ValueError:
        return Written(prompt, before, after, None)
    return Written(prompt, before, after, (float(first), float(second)))


def _show(run: Run, pair: Written, more: Mapping[str, float]) -> None:
    scores = {} if pair.scores is None else {"score/before": pair.scores[0], "score/after": pair.scores[1]}
    run.sample(
        prompt_text(pair.prompt)[:PROMPT_CHARACTERS],
        pair.after[:TEXT_CHARACTERS],
        before=pair.before[:TEXT_CHARACTERS],
        **scores,
        **more,
    )


def _lengths(pairs: Sequence[Written]) -> Numbers:
    return {
        "length/before": sum(len(pair.before) for pair in pairs) / len(pairs),
        "length/after": sum(len(pair.after) for pair in pairs) / len(pairs),
        "texts/changed": sum(pair.before != pair.after for pair in pairs) / len(pairs),
    }


def _scores(pairs: Sequence[Written], units: Sequence[str], judge: str) -> Numbers:
    judged = [(pair, unit) for pair, unit in zip(pairs, units, strict=True) if pair.scores is not None]
    if not judged:
        return {}
    both = [pair.scores for pair, _ in judged if pair.scores is not None]
    wins = [pair.won or 0.0 for pair, _ in judged]
    gains = [after - before for before, after in both]
    ones, known = [1.0] * len(judged), [unit for _, unit in judged]
    won, gained = interval(wins, ones, known), interval(gains, ones, known)
    return {
        f"winrate/{judge}": sum(wins) / len(wins),
        f"winrate/{judge}/low": won.low,
        f"winrate/{judge}/high": won.high,
        "score/before": sum(before for before, _ in both) / len(both),
        "score/after": sum(after for _, after in both) / len(both),
        "score/gain": sum(gains) / len(gains),
        "score/gain/low": gained.low,
        "score/gain/high": gained.high,
    }


def _table(numbers: Numbers, judge: str) -> tuple[list[str], list[list[str | float | None]]]:
    rows: list[list[str | float | None]] = []
    told = JUDGES.get(judge, judge)
    if "score/before" in numbers:
        rows.append([f"Score by the {told}, mean", numbers["score/before"], numbers["score/after"]])
        won = numbers[f"winrate/{judge}"] or 0.0
        rows.append([f"Preferred by the {told}", 1 - won, won])
    rows.append(["Characters, mean", numbers["length/before"], numbers["length/after"]])
    return ["", "before", "after"], rows


def _judged(judge: str) -> str:
    return f"A draw counts one half for each. {WARY.get(judge, '')}".strip()

"""Best of n: the best-scored answer is taken, and no further from the model than the formula says."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feinschliff.best_of import BestOf, NotOneOf, kl_bound
from feinschliff.model import ModelNotOpened
from feinschliff.serving import answer


class Counter:
    """Writes `a`, `aa`, `aaa` ...: as many answers as it is asked for, by seed and place."""

    def generate(
        self, prompts: Sequence[str], *, n: int = 1, max_new_tokens: int, temperature: float, top_p: float, seed: int
    ) -> list[list[str]]:
        return [["a" * ((place + seed) % 5 + 1) for place in range(n)] for _ in prompts]


class Judge:
    """Scores by what it was told; longer is better where it was told nothing."""

    def __init__(self, scores: Sequence[float] = ()) -> None:
        self.scores = scores

    def score(self, prompt: str, completions: Sequence[str]) -> list[float]:
        return list(self.scores or map(len, completions))


@given(st.lists(st.floats(allow_infinity=False, width=32), min_size=1, max_size=9))
def test_the_first_of_the_highest_scores_wins_and_nan_never_does(scores: list[float]) -> None:
    best = BestOf(Judge(scores), len(scores)).pick("p", [str(place) for place in range(len(scores))])
    known = [score for score in scores if not math.isnan(score)]
    assert best.text == str(scores.index(max(known)) if known else 0)
    assert len(best.scores) == len(scores)


class Narrow:
    """Reads three characters and refuses longer answers, whatever stands beside them."""

    def score(self, prompt: str, completions: Sequence[str]) -> list[float]:
        for place, text in enumerate(completions, start=1):
            if len(text) > 3:
                raise ValueError(f"answer {place} is longer than 3")
        return [float(len(text)) for text in completions]


@given(st.lists(st.text("ab", max_size=6), min_size=1, max_size=9))
def test_an_answer_that_the_judge_refuses_costs_the_others_nothing(texts: list[str]) -> None:
    chooser = BestOf(Narrow(), len(texts))
    best = chooser.pick("p", texts)
    assert [math.isnan(score) for score in best.scores] == [len(text) > 3 for text in texts]
    read = [text for text in texts if len(text) <= 3]
    assert best.text == max(read, key=len) if read else best.text == texts[0]
    assert chooser.refused == len(texts) - len(read)
    assert ("longer than 3" in chooser.why) == (len(read) < len(texts))


@given(st.integers(1, 40), st.integers(1, 300))
def test_the_best_of_n_is_no_further_away_than_the_bound(n: int, answers: int) -> None:
    """Exact for `answers` equally likely ones that all score differently: P(best is the i-th) = (i/m)^n - ((i-1)/m)^n."""
    chances = [((place + 1) / answers) ** n - (place / answers) ** n for place in range(answers)]
    exact = sum(chance * math.log(chance * answers) for chance in chances if chance > 0)
    assert exact <= kl_bound(n) + 1e-9


def test_the_bound_is_reached_where_answers_are_many() -> None:
    answers, n = 100_000, 4
    chances = [((place + 1) / answers) ** n - (place / answers) ** n for place in range(answers)]
    assert sum(chance * math.log(chance * answers) for chance in chances) == pytest.approx(kl_bound(n), abs=1e-3)


def test_the_best_answers_are_written_with_their_scores_beside_their_prompts(tmp_path: Path) -> None:
    asked = {"temperatures": [0.7, 1.0], "top_p": 1.0, "max_new_tokens": 4, "seed": 0}
    prompts = [{"id": "a", "prompt": "p"}, {"id": "b", "prompt": "longer"}]
    answer(Counter(), "run:1", prompts, tmp_path / "out", best_of=BestOf(Judge(), 5, name="run:2"), **asked)
    written = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert [line["id"] for line in written] == ["a", "b"]
    for line in written:
        assert (line["responses"], line["scores"], line["best_of"]) == (["aaaaa"] * 2, [5.0, 5.0], 5)
        assert line["sources"][0] == "run:1 T=0.7 best of 5 by run:2"


def test_what_makes_no_best_one_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for n in (0, -1, 10_000):
        with pytest.raises(NotOneOf, match="from 1 to 256"):
            BestOf(Judge(), n)
    with pytest.raises(ModelNotOpened, match="cannot score"):
        BestOf(Counter(), 4, name="run:3")  # type: ignore[arg-type]
    with pytest.raises(NotOneOf, match="temperature 0"):
        answer(
            Counter(), "m", [{"prompt": "p"}], tmp_path / "out", temperatures=[0.0], top_p=1.0, max_new_tokens=4, seed=0,
            best_of=BestOf(Judge(), 2),
        )  # fmt: skip
    assert not list(tmp_path.iterdir())

"""Does the trainer learn what was planted, say how it goes, and do the same with the same seed?"""

from collections.abc import Callable, Iterable
from typing import Any
from unittest import SkipTest

from feinschliff.checks import worlds
from feinschliff.checks.bench import Bench, Ended, must, why
from feinschliff.trainer import verbs_from

BETTER_THAN_CHANCE = 0.65  # of 150 held-out comparisons; a coin gets there once in 5,000 times
PAIRS = 150
COMPARED = ("ranking", "pair", "rating", "unpaired")
About = dict[str, Any]  # a trainer as it is listed
LOWER, HIGHER = ("loss", "perplexity"), ("accuracy", "reward", "score")


def learns(bench: Bench, trainer: str, kind: str) -> None:
    ended = bench.trained(trainer, f"from-{kind}", kind=kind)
    calls = len(ended.child.calls("log")) + len(ended.child.calls("progress"))
    must(calls > 0, "it calls neither run.progress nor run.log: nobody can see how it goes")
    numbers = ended.result["numbers"]
    unusable = [name for name, value in numbers.items() if not isinstance(value, int | float | str | None)]
    must(not unusable, f"its final numbers {unusable} are no numbers")
    about = bench.about(trainer)
    judged = [verb(bench, ended, kind, about) for name, verb in JUDGED.items() if name in verbs_from(about, kind)]
    if not any(judged) and not _reported_better(numbers):
        raise SkipTest(
            "it trains; whether it learned cannot be told from outside: report a pair of numbers such as loss/heldout "
            "and loss/untrained"
        )


def _scores(bench: Bench, ended: Ended, kind: str, about: About) -> bool:
    """Held-out answers of the planted truth, scored two by two; a constant gets a half of them right."""
    if kind not in COMPARED:
        return False
    pairs = worlds.rows("pair", PAIRS, 3)
    asked = [{"verb": "score", "args": _two(row)} for row in pairs]
    answers = list(bench.serve(ended, asked))[1:]
    must(all("result" in one for one in answers), f"it cannot score the small world: {_errors(answers)}")
    scores = [one["result"] for one in answers]
    right = sum((good > bad) + (good == bad) / 2 for good, bad in scores) / PAIRS
    must(
        right >= BETTER_THAN_CHANCE,
        f"its model is right about {right:.0%} of {PAIRS} held-out comparisons; a constant about 50 %, "
        f"and {BETTER_THAN_CHANCE:.0%} would be clearly better",
    )
    return True


def _two(row: dict[str, Any]) -> dict[str, Any]:
    return {"prompt": row["prompt"], "completions": [row["chosen"], row["rejected"]]}


def _classifies(bench: Bench, ended: Ended, kind: str, about: About) -> bool:
    if kind != "label":
        return False
    rows = worlds.rows("label", PAIRS, 3, about["needs"].get("tasks", 1))
    answers = list(bench.serve(ended, [{"verb": "classify", "args": {"texts": [row["prompt"] for row in rows]}}]))[1:]
    must("result" in answers[0], f"it cannot classify the small world: {_errors(answers)}")
    found = [_likeliest(shares, row.get("task")) for shares, row in zip(answers[0]["result"], rows, strict=True)]
    right = sum(label == row["label"] for label, row in zip(found, rows, strict=True)) / PAIRS
    labels = [row["label"] for row in rows]
    majority = max(labels.count(label) for label in set(labels)) / PAIRS
    must(
        right > majority,
        f"its model is right about {right:.0%} of held-out texts, the majority label about {majority:.0%}",
    )
    return True


def _likeliest(shares: dict[str, float], task: str | None) -> str:
    """The label; of a model of several tasks, whose labels are called `task/label`, the one of this task."""
    of_task = {name.removeprefix(f"{task}/"): share for name, share in shares.items() if name.startswith(f"{task}/")}
    shares = of_task or shares
    return max(shares, key=shares.__getitem__)


JUDGED: dict[str, Callable[[Bench, Ended, str, About], bool]] = {"score": _scores, "classify": _classifies}


def _reported_better(numbers: dict[str, Any]) -> bool:
    """Whether it reports a held-out number beside that of the untrained model; Failed where training made it worse."""
    found = False
    for name, before in numbers.items():
        metric, _, which = name.partition("/")
        after = next(
            (numbers[f"{metric}/{side}"] for side in ("heldout", "model") if f"{metric}/{side}" in numbers), None
        )
        if which != "untrained" or before is None or after is None or metric not in LOWER + HIGHER:
            continue
        better = after < before if metric in LOWER else after > before
        must(
            better,
            f"{metric} on held-out rows is {after:.4g} after training and {before:.4g} before: nothing was learned",
        )
        found = True
    return found


def _errors(answers: Iterable[dict[str, Any]]) -> str:
    return next((one["error"] for one in answers if "error" in one), "no error was given")


def same_seed_same_numbers(bench: Bench, trainer: str) -> None:
    kind = bench.about(trainer)["needs"]["rows"][0]
    compare(
        bench.trained(trainer, f"from-{kind}", kind=kind),
        bench.trained(trainer, "again"),
        "a second run of the same job",
    )


def compare(one: Ended, other: Ended, which: str) -> None:
    """Equal numbers, and equal model files bit for bit."""
    differ = sorted(
        name for name in one.numbers.keys() | other.numbers if one.numbers.get(name) != other.numbers.get(name)
    )
    told = ", ".join(f"{name} {one.numbers.get(name)} and {other.numbers.get(name)}" for name in differ[:3])
    must(not differ, f"{which} ends in other numbers: {told}")
    files = sorted(name for name in one.model.keys() | other.model if one.model.get(name) != other.model.get(name))
    must(not files, f"{which} ends in equal numbers but other model files: {', '.join(files[:5])}")


def another_seed_is_accepted(bench: Bench, trainer: str) -> None:
    ended = bench.work(bench.job(trainer, "other-seed", seed=2**31 - 1))
    must(ended.result.get("state") == "succeeded", f"with the seed 2147483647 it failed: {why(ended)}")

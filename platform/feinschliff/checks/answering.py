"""Is a saved model the same each time it is opened, and does every verb cope with the texts that people really send?"""

import math
from collections.abc import Callable
from typing import Any

from feinschliff.checks import worlds
from feinschliff.checks.bench import Bench, must
from feinschliff.trainer import verbs_from

LONG = "a word of many, " * 1280  # 20 kB
FOREIGN = "\u0645\u0631\u062d\u0628\u0627 \u4f60\u597d \u0928\u092e\u0938\u094d\u0924\u0947 \U0001f600 a\u0301"
TEXTS = {"empty": "", "long (20 kB)": LONG, "non-Latin": FOREIGN}
Answer = Any


def _request(verb: str, text: str) -> dict[str, Any]:
    if verb == "score":
        return {"prompt": text, "completions": [text, "a short one"]}
    if verb == "generate":
        return {"prompts": [text], "n": 2, "max_new_tokens": 8, "temperature": 1.0, "seed": 1}
    return {"texts": [text, "a short one"]}


def _number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _all(answer: Answer, count: int, good: Callable[[Any], bool]) -> bool:
    return isinstance(answer, list) and len(answer) == count and all(good(one) for one in answer)


def _vectors(answer: Answer) -> bool:
    return _all(answer, 2, lambda one: bool(one) and _all(one, len(answer[0]), _number))


def _shares(one: Answer) -> bool:
    return isinstance(one, dict) and all(map(_number, one.values())) and abs(sum(one.values()) - 1) < 0.01


#: verb -> (whether an answer will do, what would be right)
SHAPES: dict[str, tuple[Callable[[Answer], bool], str]] = {
    "score": (lambda answer: _all(answer, 2, _number), "one finite number an answer"),
    "embed": (_vectors, "an array of finite numbers, one row of equal width a text"),
    "classify": (lambda answer: _all(answer, 2, _shares), "for each text {label: probability}, adding up to 1"),
    "generate": (
        lambda answer: _all(answer, 1, lambda texts: _all(texts, 2, lambda text: isinstance(text, str))),
        "a list of n texts for each prompt",
    ),
    "fill": (
        lambda answer: _all(answer, 2, lambda texts: _all(texts, 1, lambda text: isinstance(text, str))),
        "a list of n completed texts for each text",
    ),
}


def _kinds(bench: Bench, trainer: str) -> list[str]:
    """A kind of rows for each sort of model it makes: the first, and those that give other verbs."""
    about = bench.about(trainer)
    return list(dict.fromkeys([about["needs"]["rows"][0], *about.get("yields_from", {})]))


def saved_and_opened_twice_says_the_same(bench: Bench, trainer: str) -> None:
    for kind in _kinds(bench, trainer):
        _says_the_same(bench, trainer, kind)


def _says_the_same(bench: Bench, trainer: str, kind: str) -> None:
    ended = bench.trained(trainer, f"from-{kind}", kind=kind)
    text = worlds.rows("text", 1, 4)[0]["text"]
    verbs = verbs_from(bench.about(trainer), kind)
    asked = [{"verb": verb, "args": _request(verb, text)} for verb in verbs]
    first, second = (list(bench.serve(ended, asked))[1:] for _ in range(2))
    for verb, one, other in zip(verbs, first, second, strict=True):
        must(
            one == other,
            f"opened twice, its model answers `{verb}` differently: {str(one)[:150]} and {str(other)[:150]}",
        )


def every_verb_takes_every_text(bench: Bench, trainer: str) -> None:
    """A long text may be refused with a ValueError that says so (half of it must not be judged); nothing else may be."""
    for kind in _kinds(bench, trainer):
        _takes_every_text(bench, trainer, kind)


def _takes_every_text(bench: Bench, trainer: str, kind: str) -> None:
    ended = bench.trained(trainer, f"from-{kind}", kind=kind)
    verbs = verbs_from(bench.about(trainer), kind)
    cases = [(verb, name) for verb in verbs for name in TEXTS]
    ready, *answers = bench.serve(ended, [{"verb": verb, "args": _request(verb, TEXTS[name])} for verb, name in cases])
    lacking = [verb for verb in verbs if verb not in ready["verbs"]]
    must(
        not lacking,
        f"it yields {', '.join(lacking)}, which its model lacks; that can {', '.join(ready['verbs']) or 'nothing'}",
    )
    for (verb, name), answer in zip(cases, answers, strict=True):
        good, right = SHAPES[verb]
        if "error" in answer:
            refused = name.startswith("long") and "long" in answer["error"] and "Error:" not in answer["error"]
            must(refused, f"`{verb}` of {_an(name)} text fails: {answer['error']}")
        else:
            told = str(answer["result"])[:150]
            must(good(answer["result"]), f"`{verb}` of {_an(name)} text gives {told}; right is {right}")


def _an(name: str) -> str:
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"

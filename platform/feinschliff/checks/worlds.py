"""The small world: made-up rows of every kind with a truth planted in them that a trainer can find on a CPU in seconds.

People there like an answer less the more often it says "please" (length is a weaker hint), a text about animals is about
one of three animals, and every thing has one colour. Held-out rows come from another seed and share no prompt's group.
"""

import random
from collections.abc import Callable
from typing import Any

NOUNS = ("river", "stone", "bread", "letter", "garden", "window", "train", "paper", "music", "winter", "table", "water")
COLOURS = ("red", "blue", "green", "white")
SIGNS = {"cat": ("purrs", "whiskers", "mouse"), "dog": ("barks", "leash", "bone"), "bird": ("sings", "feather", "nest")}
SHARES = (5, 3, 2)  # of cats, dogs and birds: the majority label is right in half of the rows
WITH_TASKS = ("demonstration", "label")
Rows = list[dict[str, Any]]


def rows(kind: str, count: int, seed: int, tasks: int = 1) -> Rows:
    """`count` rows of a kind; the same seed gives the same rows everywhere. With several tasks they take turns by name."""
    rng = random.Random(f"{kind}/{seed}")  # noqa: S311 - a made-up world, not a secret
    made = [{**MAKERS[kind](rng), "group": f"{seed}-{number}"} for number in range(count)]
    if tasks > 1 and kind in WITH_TASKS:
        made = [{**row, "task": f"task-{1 + number % tasks}"} for number, row in enumerate(made)]
    return made


def answer(rng: random.Random, pleases: int) -> str:
    words = [rng.choice(NOUNS) for _ in range(rng.randint(4, 9))]
    for _ in range(pleases):
        words.insert(rng.randrange(len(words)), "please")
    return " ".join(words)


def prompt(rng: random.Random) -> str:
    return f"Write about the {rng.choice(NOUNS)}."


def _ranking(rng: random.Random) -> dict[str, Any]:
    ranks = rng.sample(range(1, 5), 4)
    return {"prompt": prompt(rng), "completions": [answer(rng, rank - 1) for rank in ranks], "ranks": ranks}


def _pair(rng: random.Random) -> dict[str, Any]:
    good, bad = sorted(rng.sample(range(4), 2))
    return {"prompt": prompt(rng), "chosen": answer(rng, good), "rejected": answer(rng, bad)}


def _rating(rng: random.Random) -> dict[str, Any]:
    pleases = rng.randrange(5)
    return {"prompt": prompt(rng), "completion": answer(rng, pleases), "scores": {"style": 5.0 - pleases}}


def _unpaired(rng: random.Random) -> dict[str, Any]:
    pleases = rng.choice((0, 1, 3, 4))
    return {"prompt": prompt(rng), "completion": answer(rng, pleases), "label": pleases < 2}


def _sentence(rng: random.Random) -> tuple[str, str]:
    """A noun, and its sentence: the colour is the noun's own, always the same."""
    place = rng.randrange(len(NOUNS))
    return NOUNS[place], f"The {NOUNS[place]} is {COLOURS[place % len(COLOURS)]}."


def _demonstration(rng: random.Random) -> dict[str, Any]:
    noun, sentence = _sentence(rng)
    return {"prompt": f"What colour is the {noun}?", "completion": sentence}


def _text(rng: random.Random) -> dict[str, Any]:
    return {"text": " ".join(_sentence(rng)[1] for _ in range(3))}


def _label(rng: random.Random) -> dict[str, Any]:
    animal = rng.choices(list(SIGNS), SHARES)[0]
    words = [rng.choice(NOUNS) for _ in range(4)] + rng.sample(SIGNS[animal], 2)
    rng.shuffle(words)
    return {"prompt": " ".join(words), "label": animal}


MAKERS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "text": _text,
    "prompt": lambda rng: {"prompt": prompt(rng)},
    "demonstration": _demonstration,
    "label": _label,
    "rating": _rating,
    "unpaired": _unpaired,
    "pair": _pair,
    "ranking": _ranking,
}

"""A plugin with a model that judges by a rule, for trainers that need a reward model: `judge:letters`.

It counts a common letter against the length, which a model that has learned nothing yet can be taught to please.
"""

from collections.abc import Iterator, Sequence

from feinschliff import ModelSource, Opening, hookimpl


class Letters:
    """More of the letter e, and fewer characters, are better."""

    def score(self, prompt: str | list[dict[str, str]], completions: Sequence[str]) -> list[float]:
        return [float(text.count("e") - 0.1 * len(text)) for text in completions]


def open_judge(_reference: str, _opening: Opening) -> Letters:
    return Letters()


@hookimpl
def feinschliff_models() -> Iterator[ModelSource]:
    yield ModelSource(
        api=1, name="judge", title="A judge by rule", schemes=("judge",), opens="tests.plugins.judges:open_judge"
    )

"""A third party's trainer that is content with three comparisons and needs no base model; nobody ever wrote a rule about it."""

from collections.abc import Iterator

from feinschliff import Needs, Trainer, hookimpl


@hookimpl
def feinschliff_trainers() -> Iterator[Trainer]:
    yield Trainer(
        api=1, name="three-votes", title="Three votes", summary="Counts votes.", family="human-feedback",
        needs=Needs(rows=("ranking",), at_least=2), train="tests.training.outsiders:train",
        opens="tests.training.outsiders:train", yields=("classify",),
    )  # fmt: skip

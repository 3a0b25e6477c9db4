"""Items to look at a question with: made-up ones for every number of answers, and the first of a project's own."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _

from annotation import asking
from annotation.asking import Asked
from annotation.kinds import Subject
from annotation.models import Item, Project

OWN = "own"
#: how many answers a made-up item may be asked to have
COUNTS = (0, 1, 2, 4, 7, 10)


def takes(asked: Sequence[Asked]) -> list[str]:
    """Which samples the questions can be asked of, by the names that `offered` gives them."""
    fewest, most = asking.limits_of(asked)
    return [str(count) for count in COUNTS if fewest <= count <= most]


def offered(project: Project) -> list[tuple[str, str]]:
    """Name and title of every sample; the project's own first item comes first if there is one."""
    own = [(OWN, _("First item of this project"))] if project.items.exists() else []
    titles = [_("Prompt alone") if not n else _("Sample, answers: %(count)s") % {"count": n} for n in COUNTS]
    return own + list(zip(map(str, COUNTS), titles, strict=True))


def chosen(project: Project, name: str, asked: Sequence[Asked]) -> tuple[Item, Subject]:
    """The sample called `name`, stored only if it is the project's own.

    Another that fits, where the questions cannot be asked of that one, or none was named.
    """
    fewest, most = asking.limits_of(asked)
    if name in ("", OWN):
        first = project.items.prefetch_related("responses").order_by("position").first()
        if first is not None and fewest <= len(first.responses.all()) <= most:
            return first, asking.subject_of(first, ())
    count = int(name) if name in map(str, COUNTS) else 4 if fewest or _speaks_of_answers(asked) else 0
    return _made_up(min(max(count, fewest), most))


def _speaks_of_answers(asked: Sequence[Asked]) -> bool:
    """Whether a question that could do without answers is put so that it is about them."""
    return any(getattr(one.options, "of", "") == "answer" or getattr(one.options, "way", "") == "edit" for one in asked)


def _made_up(count: int) -> tuple[Item, Subject]:
    prompt = [{"role": "user", "content": _("Why is the sea salty? Answer in a few sentences.")}]
    return Item(prompt=prompt), Subject(order=range(count), texts=_answers()[:count], prompt=prompt)


def _answers() -> list[str]:
    return [
        _(
            "Rain is slightly acid and dissolves **minerals** out of rock. Rivers carry them to the sea. "
            "Water leaves the sea again as vapour, the salt stays behind, and over millions of years it has gathered."
        ),
        _("Because fish sweat."),
        _(
            "Salt comes from two places:\n\n- rivers bring sodium\n- vents on the sea floor bring chloride\n\n"
            "Only water evaporates."
        ),
        _(
            "That is a good question! Many people wonder about the sea. The sea is very big, and it is salty because of "
            "the salt that is in it."
        ),
        _("The sea has about 35 grams of salt in a litre. Most of it is sodium chloride."),
        _("Salt was put there when the oceans were made, and nothing has changed since."),
        _("Rivers wash it out of the rocks. A lake without an outflow becomes salty in the same way."),
        _("I cannot answer that."),
        _("It is salty so that the water does not freeze."),
        _("Volcanoes below the sea give off chlorine, rocks give sodium, and the two make salt."),
    ]

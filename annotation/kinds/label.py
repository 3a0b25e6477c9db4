"""Label: one of several, or as many as apply, of the item as a whole or of every answer (as InstructGPT's flags are).

Answer: {"labels": [["animal/dog"], []]}, one list a response by position, or a single one where the item as a whole is
labelled (always so if it has no responses). Labels stand in the order of the options; a label inside another is a path.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

from django.utils.text import slugify
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from pydantic import Field, field_validator, model_validator

from annotation.kinds.answer import NOTHING, Answer, BadAnswer, Entered, Fields, Kind, Projection, Subject
from annotation.kinds.answer import Options as BaseOptions
from annotation.kinds.shown import Shown, WrongTogether
from feinschliff.rows import prompt_messages

MOST_LABELS, DEEPEST = 200, 5
#: up to this many labels each have a key of their own; the desk's own keys are not among them
KEYS = "1234567890qetyiohjkl"


@dataclass(frozen=True)
class Choice:
    """One label. `name` is the path that is stored, `depth` how many labels it stands in."""

    name: str
    title: str
    help: str
    depth: int
    inner: bool = False  # whether other labels stand in it

    @property
    def parent(self) -> str:
        return self.name.rpartition("/")[0]


def parse(text: str) -> list[Choice]:
    """The labels in `text`, one a line, as `Title`, `name = Title` or `Title | help`; deeper ones are indented further.

    Raises ValueError, which names the line.
    """
    found: list[Choice] = []
    above: list[tuple[int, str]] = []  # the labels that the line stands in: (indentation, path)
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip()
        if not words:
            continue
        indent = len(line.expandtabs(2)) - len(line.expandtabs(2).lstrip())
        while above and above[-1][0] >= indent:
            above.pop()
        named, help_text = (part.strip() for part in [*words.split("|", 1), ""][:2])
        given, title = (part.strip() for part in (named.split("=", 1) if "=" in named else (named, named)))
        name = slugify(given, allow_unicode=True)[:60]
        if not name or not title:
            raise ValueError(gettext("Line %(number)s has no name: write a word or two.") % {"number": number})
        path = f"{above[-1][1]}/{name}" if above else name
        if len(above) >= DEEPEST:
            raise ValueError(
                gettext("Line %(number)s stands in %(deep)s others; %(most)s is the most.")
                % {"number": number, "deep": len(above), "most": DEEPEST - 1}
            )
        if any(one.name == path for one in found):
            raise ValueError(
                gettext("Line %(number)s: there are two labels “%(name)s”. Name one of them otherwise.")
                % {"number": number, "name": path}
            )
        found.append(Choice(path, title[:120], help_text[:300], len(above)))
        above.append((indent, path))
    return [Choice(c.name, c.title, c.help, c.depth, any(o.parent == c.name for o in found)) for c in found]


class Options(BaseOptions):
    labels: Annotated[
        str,
        Shown(
            _("Labels"), _("One a line, as “Title” or “Title | help”. Indent what stands inside another."), long=True
        ),
        Field(
            max_length=30_000, description="One a line: `Title | help`, `name = Title`; indented lines stand inside."
        ),
    ] = "Yes\nNo"
    of: Annotated[
        Literal["item", "answer"],
        Shown(_("What is labelled"), words={"item": _("The item as a whole"), "answer": _("Each answer")}),
        Field(description="What is labelled: the item as a whole, or each answer."),
    ] = "item"
    many: Annotated[bool, Shown(_("Several labels may be chosen")), Field(description="Whether several apply.")] = False
    least: Annotated[
        int, Shown(_("At least"), _("Where several may be chosen; 0: none may apply.")),
        Field(ge=0, le=MOST_LABELS, description="The fewest labels where several may be chosen; 0: none may apply."),
    ] = 0  # fmt: skip
    most: Annotated[
        int, Shown(_("At most"), _("Where several may be chosen.")),
        Field(ge=1, le=MOST_LABELS, description="The most labels where several may be chosen."),
    ] = MOST_LABELS  # fmt: skip
    inner: Annotated[
        bool, Shown(_("Labels that hold others can be chosen too")),
        Field(description="Whether a label that holds others can be chosen itself."),
    ] = False  # fmt: skip
    good: Annotated[
        str, Shown(_("The label that means “good”"), _("Of two labels for each answer: makes rows of good and bad answers.")),
        Field(max_length=200, description="Of two labels for each answer, the one that means good: for `unpaired` rows."),
    ] = ""  # fmt: skip

    @field_validator("labels")
    @classmethod
    def _labels_can_be_read(cls, text: str) -> str:
        count = len(parse(text))
        if not 2 <= count <= MOST_LABELS:
            raise ValueError(
                gettext("A question has 2 to %(most)s labels; these are %(count)s.")
                % {"most": MOST_LABELS, "count": count}
            )
        return text

    @model_validator(mode="after")
    def _fits_together(self) -> "Options":
        names = [choice.name for choice in self.choosable]
        if len(names) < 2:
            raise WrongTogether("labels", gettext("Only one label can be chosen. Add another."))
        if self.many and self.least > len(names):
            said = gettext("%(least)s labels are asked for, but only %(count)s are there to choose from.")
            raise WrongTogether("least", said % {"least": self.least, "count": len(names)})
        if self.many and self.least > self.most:
            said = gettext("“At least” (%(least)s) is more than “At most” (%(most)s).")
            raise WrongTogether("least", said % {"least": self.least, "most": self.most})
        if self.good and (self.good not in names or len(names) != 2 or self.many or self.of != "answer"):
            raise WrongTogether(
                "good",
                gettext("A good label is one of two labels that each answer gets one of; the labels are: %(names)s.")
                % {"names": ", ".join(names)},
            )
        return self

    @cached_property
    def choices(self) -> list[Choice]:
        return parse(self.labels)

    @cached_property
    def choosable(self) -> list[Choice]:
        return [choice for choice in self.choices if self.inner or not choice.inner]

    @property
    def shown(self) -> list[dict[str, object]]:
        """The labels as the screen needs them."""
        choosable = [choice.name for choice in self.choosable]
        keys = dict(zip(choosable, KEYS, strict=False)) if len(choosable) <= len(KEYS) else {}
        return [
            {"choice": choice, "choosable": choice.name in choosable, "key": keys.get(choice.name, "")}
            for choice in self.choices
        ]

    @property
    def long(self) -> bool:
        """Whether there are more labels than keys, so that one filters them."""
        return len(self.choosable) > len(KEYS)

    @property
    def bounds(self) -> tuple[int, int]:
        return (self.least, min(self.most, len(self.choosable))) if self.many else (1, 1)

    def labelled(self, subject: Subject) -> list[int | None]:
        """Positions of what is labelled, as they are shown; None stands for the item as a whole."""
        return list(subject.order) if self.of == "answer" and subject.count else [None]

    def titles(self, names: list[str]) -> str:
        titles = {choice.name: choice.title for choice in self.choices}
        return ", ".join(titles.get(name, name) for name in names) or gettext("none")


class Label(Kind):
    name = "label"
    label = _("Label")
    title = _("Which label fits?")
    help = ""
    place = "page"
    fewest, most = 0, 10
    schema = Options
    rows = ("label", "unpaired")

    def read(self, fields: Fields, subject: Subject, options: Options) -> Answer | None:
        """A page that was there sends `asked`, so that nothing chosen says that nothing applies, where that is an answer."""
        labelled = options.labelled(subject)
        chosen = [[name for name in fields.getlist(f"label-{place}") if name] for place in range(len(labelled))]
        if not any(chosen) and (options.bounds[0] > 0 or not fields.get("asked")):
            return None
        by_position = dict(zip(labelled, chosen, strict=True))
        for position, names in by_position.items():
            self._counted(names, position, subject, options)
        labels = [by_position[position] for position in sorted(labelled, key=lambda p: p or 0)]
        return self.check({"labels": labels}, subject, options)

    def _counted(self, names: list[str], position: int | None, subject: Subject, options: Options) -> None:
        least, most = options.bounds
        if least <= len(names) <= most:
            return
        if len(names) < least:
            wanted = ngettext("Choose a label", "Choose at least %(count)s labels", least) % {"count": least}
        else:
            wanted = ngettext("Choose one label only", "Choose at most %(count)s labels", most) % {"count": most}
        if position is None:
            raise BadAnswer(f"{wanted}.")
        raise BadAnswer(
            gettext("%(wanted)s for answer %(letter)s.") % {"wanted": wanted, "letter": subject.letter(position)}
        )

    def check(self, answer: object, subject: Subject, options: Options) -> Answer:
        labels = answer.get("labels") if isinstance(answer, dict) else None
        labelled = options.labelled(subject)
        if not isinstance(labels, list) or not all(isinstance(names, list) for names in labels):
            raise BadAnswer("labels are lists of names, one list for each answer")
        if len(labels) != len(labelled):
            raise BadAnswer(f"{len(labels)} lists of labels for {len(labelled)}")
        order = {choice.name: place for place, choice in enumerate(options.choosable)}
        for position, names in zip(sorted(labelled, key=lambda p: p or 0), labels, strict=True):
            for name in names:
                if not isinstance(name, str) or name not in order:
                    raise BadAnswer(gettext("There is no label “%(name)s” here.") % {"name": str(name)[:60]})
            self._counted(list(dict.fromkeys(names)), position, subject, options)
        return {"labels": [sorted(set(names), key=order.__getitem__) for names in labels]}

    def fields(self, answer: Answer, subject: Subject, options: Options) -> Entered:
        places = enumerate(options.labelled(subject))
        return {"asked": "1"} | {f"label-{place}": answer["labels"][position or 0] for place, position in places}

    def summary(self, answer: Answer, subject: Subject, options: Options) -> str:
        if options.labelled(subject) == [None]:
            return options.titles(answer["labels"][0])
        labelled = [p for p in subject.order if answer["labels"][p]]
        parts = (f"{subject.letter(p)} {options.titles(answer['labels'][p])}" for p in labelled)
        return "; ".join(parts) or options.titles([])

    def project(self, rows: str, answer: Answer, subject: Subject, options: Options, task: str) -> Projection:
        """One row a label; what nothing was said of makes none. An answer that was labelled is the last turn of the prompt."""
        if rows == "unpaired":
            if not options.good:
                return NOTHING
            said = zip(subject.texts, answer["labels"], strict=True)
            return Projection(
                [
                    {"prompt": subject.prompt, "completion": text, "label": names == [options.good]}
                    for text, names in said
                ],
                {},
            )
        found = [
            {"prompt": prompt, "label": name, "task": task}
            for prompt, names in zip(self._prompts(subject, options), answer["labels"], strict=True)
            for name in names
        ]
        return Projection(found, {})

    def _prompts(self, subject: Subject, options: Options) -> Iterator[object]:
        if options.labelled(subject) == [None]:
            yield subject.prompt
            return
        for text in subject.texts:
            yield [*prompt_messages(subject.prompt), {"role": "assistant", "content": text}]

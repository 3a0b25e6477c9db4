"""Row kinds: the shapes in which human judgement reaches a trainer, and the projections between them.

Stands between freezing and training. Rows are JSON objects, one a line; what each kind holds is a pydantic model here.
A row's kind is told by its fields, so a file need not name it. Projections are pure and say what they lose.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

CARRIED = ("prompt", "weight", "item", "annotators", "group", "judgements")  # what a projection keeps of its row


class RowError(ValueError):
    """A row that cannot be used: the message says which file, line and field, and what would be right."""


class WrongKind(RowError):
    """A sound row of a kind that was not asked for."""


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str


Prompt = str | list[Message]


class Row(BaseModel):
    """What every row carries: where it comes from, and which side of the split it stands on (`group`)."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    item: str = ""
    annotators: list[str] = []
    group: str = ""
    judgements: list[int | str] = []
    weight: float = Field(default=1.0, ge=0)


class Text(Row):
    text: str


class PromptOnly(Row):
    prompt: Prompt


class Demonstration(Row):
    prompt: Prompt
    completion: str
    task: str | None = None


class Label(Row):
    prompt: Prompt
    label: str
    task: str | None = None


class Rating(Row):
    prompt: Prompt
    completion: str
    scores: dict[str, float]


class Unpaired(Row):
    prompt: Prompt
    completion: str
    label: bool


class Pair(Row):
    prompt: Prompt
    chosen: str
    rejected: str
    margin: float | None = None


class Ranking(Row):
    """Ranks: 1 is best, equal ranks are ties, null was not ranked and is compared with nothing."""

    prompt: Prompt
    completions: list[str] = Field(min_length=1)
    ranks: list[int | None]

    @model_validator(mode="after")
    def _one_rank_an_answer(self) -> "Ranking":
        if len(self.ranks) != len(self.completions):
            raise ValueError(f"{len(self.completions)} completions but {len(self.ranks)} ranks")
        if any(rank is not None and rank < 1 for rank in self.ranks):
            raise ValueError("a rank is 1 or more, or null for not ranked")
        return self


ROW_KINDS: dict[str, type[Row]] = {
    "text": Text,
    "prompt": PromptOnly,
    "demonstration": Demonstration,
    "label": Label,
    "rating": Rating,
    "unpaired": Unpaired,
    "pair": Pair,
    "ranking": Ranking,
}


def kind_of(row: dict[str, Any]) -> str | None:
    """Which kind a row is, by the fields it has; None when it is none of them."""
    if "completions" in row:
        return "ranking"
    if "chosen" in row or "rejected" in row:
        return "pair"
    if "completion" in row:
        return "rating" if "scores" in row else "unpaired" if isinstance(row.get("label"), bool) else "demonstration"
    if "prompt" in row:
        return "label" if "label" in row else "prompt"
    return "text" if "text" in row else None


def check_row(row: object, kinds: Iterable[str]) -> dict[str, Any]:
    """The row with its defaults filled in, as plain JSON values; ValueError says what is wrong with it."""
    if not isinstance(row, dict):
        raise ValueError(f"a row is a JSON object, this is {type(row).__name__}")
    kind, wanted = kind_of(row), tuple(kinds)
    if kind not in wanted:
        raise WrongKind(f"this is a row of kind {kind or 'unknown'}; wanted: {', '.join(wanted)}")
    try:
        return ROW_KINDS[kind].model_validate(row).model_dump(mode="json")
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{kind} row{', field ' + field if field else ''}: {first['msg']}") from None


def read_rows(path: Path, kinds: Iterable[str] = tuple(ROW_KINDS)) -> Iterator[dict[str, Any]]:
    """The rows of a JSONL file in order; RowError names file and line of the first that is not one of `kinds`."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    yield check_row(json.loads(line.decode("utf-8")), kinds)
                except UnicodeDecodeError:
                    raise RowError(f"{path.name}, line {number}: not UTF-8 text") from None
                except json.JSONDecodeError as error:
                    raise RowError(f"{path.name}, line {number}: not JSON ({error.msg})") from None
                except WrongKind as error:
                    raise WrongKind(f"{path.name}, line {number}: {error}") from None
                except ValueError as error:
                    raise RowError(f"{path.name}, line {number}: {error}") from None
    except OSError as error:
        raise RowError(f"{path}: cannot be read ({error.strerror})") from None


class Projected(NamedTuple):
    """Rows of another kind, and how many comparisons were lost on the way."""

    rows: list[dict[str, Any]]
    lost: int


def ranking_to_pairs(row: dict[str, Any]) -> Projected:
    """All pairs of ranked answers, better one first. Lost: ties, and answers that nobody ranked."""
    pairs: list[dict[str, Any]] = []
    ties = 0
    kept: dict[str, Any] = {key: row[key] for key in CARRIED if key in row}
    ranked = [(rank, text) for rank, text in zip(row["ranks"], row["completions"], strict=True) if rank is not None]
    for first, (rank, text) in enumerate(ranked):
        for other_rank, other in ranked[first + 1 :]:
            if rank == other_rank:
                ties += 1
                continue
            chosen, rejected = (text, other) if rank < other_rank else (other, text)
            pairs.append({**kept, "chosen": chosen, "rejected": rejected, "margin": None})
    return Projected(pairs, ties)


def pair_to_ranking(row: dict[str, Any]) -> dict[str, Any]:
    """A pair as a ranking of two. The margin stays as a field `margin` of the row, which plain rankings lack."""
    rest = {key: value for key, value in row.items() if key not in ("chosen", "rejected")}
    return {**rest, "completions": [row["chosen"], row["rejected"]], "ranks": [1, 2]}


def ratings_to_ranking(rows: Sequence[dict[str, Any]], *, aspects: Iterable[str] | None = None) -> Projected:
    """The rated answers to one prompt as one ranking, by the mean of each answer's scores; equal means are ties.

    Only aspects in which every answer has a score count (`aspects`: only those of them), so that no answer gains by an aspect
    that another lacks. Lost: how much better an answer is, and in what. There is no ranking of fewer than two answers or
    without a shared aspect; then the rows themselves are what `lost` counts. Raises RowError for rows of several prompts.
    """
    if any(row["prompt"] != rows[0]["prompt"] for row in rows):
        raise RowError("ratings of several prompts do not make one ranking; give those of one prompt")
    shared = set(rows[0]["scores"]).intersection(*(row["scores"] for row in rows)) if rows else set()
    if aspects is not None:
        shared &= set(aspects)
    if len(rows) < 2 or not shared:
        return Projected([], len(rows))
    # Fractions: a sum of floats would tell 0.1 + 0.2 from 0.3 and make a tie a preference
    sums = [sum((Fraction(str(row["scores"][name])) for name in shared), Fraction()) for row in rows]
    kept: dict[str, Any] = {key: rows[0][key] for key in CARRIED if key in rows[0]}
    ranks = [1 + sum(other > own for other in sums) for own in sums]
    return Projected([{**kept, "completions": [row["completion"] for row in rows], "ranks": ranks}], 0)


#: what can be made of rows of another kind: (from, to) -> the function that does it
PROJECTIONS: dict[tuple[str, str], Callable[[dict[str, Any]], object]] = {
    ("ranking", "pair"): ranking_to_pairs,
    ("pair", "ranking"): pair_to_ranking,
}


def prompt_text(prompt: str | list[dict[str, str]]) -> str:
    """A prompt as one text for people and for models without a chat template; one user turn is its content alone."""
    if isinstance(prompt, str):
        return prompt
    if len(prompt) == 1 and prompt[0]["role"] == "user":
        return prompt[0]["content"]
    return "\n\n".join(f"{turn['role'].capitalize()}: {turn['content']}" for turn in prompt)


def prompt_messages(prompt: str | list[dict[str, str]]) -> list[dict[str, str]]:
    """A prompt as messages; a plain text is one user turn."""
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)


def group_of(row: dict[str, Any]) -> str:
    """The row's group, or its prompt's hash where it has none: what a split and a bootstrap must not tear apart."""
    if row.get("group"):
        return str(row["group"])
    canonical = json.dumps(row.get("prompt", row.get("text", "")), ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()

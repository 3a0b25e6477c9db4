"""Rows of people's comparisons as rankings: pairs, and the ratings that one person gave to answers of one prompt."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from feinschliff.rows import group_of, pair_to_ranking, ratings_to_ranking

MOST_RATED = 16  # answers in a ranking made of ratings: more are split into several, or one step might not fit memory
Row = dict[str, Any]


def as_rankings(rows: Iterable[Row], aspects: Iterable[str] | None = None) -> list[Row]:
    """All rows as rankings: pairs as rankings of two, and the ratings by one person of one prompt's answers as one.

    Only `aspects` count, where they are given. What cannot be ranked (a single rated answer) is left out.
    """
    rows = list(rows)
    found = [pair_to_ranking(row) if "chosen" in row else row for row in rows if "scores" not in row]
    for rated in rated_together(rows):
        for ranking in ratings_to_ranking(rated, aspects=aspects).rows:
            sources = [one for row in rated for one in row.get("sources") or [""]]
            found.append(ranking | ({"sources": sources} if any(sources) else {}))
    return found


def rated_together(rows: Iterable[Row]) -> list[Sequence[Row]]:
    """The ratings among the rows, those of one person on one prompt together, at most 16 at a time; whatever their group."""
    together: dict[Hashable, list[Row]] = {}
    for row in rows:
        if "scores" in row:
            together.setdefault((group_of({**row, "group": ""}), tuple(row.get("annotators", ()))), []).append(row)
    return [
        rated[start : start + MOST_RATED] for rated in together.values() for start in range(0, len(rated), MOST_RATED)
    ]

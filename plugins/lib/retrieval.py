"""How good vectors are at finding: the rank of what belongs to a query, and how the vectors lie on the sphere.

Mean reciprocal rank and the share found among the first k, with intervals over groups; alignment and uniformity after Wang &
Isola 2020 ("Understanding Contrastive Representation Learning through Alignment and Uniformity on the Hypersphere").
All from cosines, so that count vectors (TF-IDF) are measured as models are.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from feinschliff.measuring import interval

if TYPE_CHECKING:
    import numpy as np

CUT = 10  # MRR@10, recall@10
Embed = Callable[[Sequence[str]], "np.ndarray"]  # texts -> (texts, width)


@dataclass(frozen=True)
class Task:
    """Queries, the different documents among which each looks, and for each query the places of those that belong to it.

    `groups` has one entry a query. A document that is the query itself is never looked at.
    """

    queries: list[str]
    documents: list[str]
    relevant: list[list[int]]
    groups: list[str]


class Found(NamedTuple):
    """The rank (from 1) of the first document that belongs to each query; alignment and uniformity, lower is better."""

    ranks: list[int]
    alignment: float
    uniformity: float


def task_of(pairs: Iterable[tuple[str, str, str]], classes: Sequence[str] | None = None) -> Task:
    """A task of (query, document, group). With `classes`, one a pair, every document of the query's class belongs to it.

    Equal documents are one; of equal queries each has all documents that belong to any of them.
    """
    known = list(pairs)
    places: dict[str, int] = {}
    for _, document, _ in known:
        places.setdefault(document, len(places))
    names = classes if classes is not None else [query for query, _, _ in known]
    belonging: dict[str, list[int]] = {}
    for name, (_, document, _) in zip(names, known, strict=True):
        if places[document] not in belonging.setdefault(name, []):
            belonging[name].append(places[document])
    queries, relevant, groups, seen = [], [], [], set()
    for name, (query, _, group) in zip(names, known, strict=True):
        own = [place for place in belonging[name] if place != places.get(query)]
        if own and (query, name) not in seen:
            seen.add((query, name))
            queries.append(query)
            relevant.append(own)
            groups.append(group)
    return Task(queries, list(places), relevant, groups)


def searched(task: Task, embed: Embed) -> Found:
    """What a model finds. `embed` gives vectors of any length; a vector of length 0 is like nothing."""
    documents = unit(embed(task.documents))
    return found(task, unit(embed(task.queries)) @ documents.T, documents @ documents.T)


def searched_by_words(task: Task, corpus: Sequence[str]) -> Found:
    """The same by TF-IDF vectors of words and pairs of words, weighed over `corpus` (scikit-learn); no word: like nothing."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = r"(?u)\b\w+\b"
    counts = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=words).fit([*corpus, "a"])
    queries, documents = counts.transform(task.queries), counts.transform(task.documents)
    return found(task, (queries @ documents.T).toarray(), (documents @ documents.T).toarray())


def unit(vectors: Any) -> "np.ndarray":  # noqa: ANN401 - whatever numpy takes
    """Each row divided by its length; rows of zeros stay."""
    import numpy as np

    rows = np.asarray(vectors, dtype=np.float64)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def found(task: Task, cosines: "np.ndarray", among: "np.ndarray") -> Found:
    """`cosines` are (queries, documents), `among` (documents, documents).

    A document that is just as near as the one that belongs stands before it: vectors that are all the same find nothing.
    """
    import numpy as np

    own_place = {text: place for place, text in enumerate(task.documents)}
    ranks, distances = [], []
    for query, row, relevant in zip(task.queries, cosines, task.relevant, strict=True):
        best = row[relevant].max()
        other = np.ones(len(row), dtype=bool)
        other[relevant] = False
        if query in own_place:
            other[own_place[query]] = False
        ranks.append(1 + int((row[other] >= best - 1e-9).sum()))
        distances.append(float((2 - 2 * row[relevant]).mean()))
    return Found(ranks, sum(distances) / max(1, len(distances)), uniformity(among))


def uniformity(cosines: "np.ndarray") -> float:
    """The logarithm of the mean of exp(-2 d²) over all pairs of different documents (t = 2); 0 where all are the same."""
    import numpy as np

    above = cosines[np.triu_indices(len(cosines), 1)]
    return float(np.log(np.exp(-2 * (2 - 2 * above)).mean())) if len(above) else 0.0


def reciprocal(ranks: Sequence[int]) -> list[float]:
    """1/rank, 0 beyond the tenth."""
    return [1 / rank if rank <= CUT else 0.0 for rank in ranks]


def mean(values: Sequence[float]) -> float | None:
    """None where there are none."""
    return sum(values) / len(values) if values else None


def within(ranks: Sequence[int], k: int) -> float | None:
    """The share of queries of which something that belongs is among the first k."""
    return mean([float(rank <= k) for rank in ranks])


def numbers(task: Task, ranks: Sequence[int], who: str) -> dict[str, float | None]:
    """MRR@10 with its 95 % bootstrap interval over groups, and recall@1 and @10, under `who`."""
    values = reciprocal(ranks)
    low, high = interval(values, [1.0] * len(values), task.groups) if values else (None, None)
    return {
        f"mrr/{who}": mean(values),
        f"mrr/{who}/low": low,
        f"mrr/{who}/high": high,
        f"recall-1/{who}": within(ranks, 1),
        f"recall-10/{who}": within(ranks, CUT),
    }


def gain(task: Task, ranks: Sequence[int], others: Sequence[int], name: str) -> dict[str, float | None]:
    """How much higher the MRR@10 is than another's on the same queries, paired, with its interval."""
    values = [a - b for a, b in zip(reciprocal(ranks), reciprocal(others), strict=True)]
    low, high = interval(values, [1.0] * len(values), task.groups) if values else (None, None)
    return {f"gain/over-{name}": mean(values), f"gain/over-{name}/low": low, f"gain/over-{name}/high": high}

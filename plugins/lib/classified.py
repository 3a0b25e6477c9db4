"""How good a classifier is on held-out rows: numbers with intervals, a table by class, the confusion matrix as a picture.

Precision, recall, F1 and the matrix are scikit-learn's. Macro-F1 is the plain mean of the classes' F1 over all classes that are
true or said somewhere; a class that is never said has an F1 of 0. Expected calibration error: Guo et al. 2017, ten equal bins
of the likeliest class's probability. Intervals: percentile bootstrap over whole groups, as in feinschliff.measuring.
"""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from feinschliff import Run
from feinschliff.measuring import DRAWS, interval

if TYPE_CHECKING:
    import numpy as np

BINS = 10
PICTURED = 20  # classes in the picture; of more, those most often confused
LISTED = 200  # classes in the table
FEW_GROUPS = 8  # below, rows are drawn instead of groups: so few give no interval
SHARE = 0.95
DRAWN_AT_ONCE = 2_000_000  # counts of a bootstrap, 8 bytes each
FEATURES, WEIGHTS = 200_000, 10**8  # words and pairs in the baseline; its weights, 8 bytes each
PASSES = 5 * 10**7  # texts times classes that it goes through
LEAST = 1e-12  # probability that a loss is taken of at the least
Numbers = dict[str, float | None]


@dataclass(frozen=True)
class OfClass:
    """One class; `rows` are those of which it is the truth, `said` those of which the model says so."""

    label: str
    precision: float
    recall: float
    f1: float
    rows: int
    said: int


@dataclass(frozen=True)
class Scores:
    """`confusion` has true classes down and the model's across, in the order of `labels`."""

    accuracy: float
    macro_f1: float
    classes: list[OfClass]
    labels: list[str]
    confusion: list[list[int]]


def scores(truth: Sequence[str], predicted: Sequence[str]) -> Scores:
    """What a model gets right. ValueError without rows."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    if not truth:
        raise ValueError("there are no rows to measure on")
    labels = sorted({*truth, *predicted})
    found = precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=0)
    said = Counter(predicted)
    classes = [
        OfClass(label, float(precision), float(recall), float(f1), int(rows), said[label])
        for label, precision, recall, f1, rows in zip(labels, *found, strict=True)
    ]
    return Scores(
        accuracy=sum(a == b for a, b in zip(truth, predicted, strict=True)) / len(truth),
        macro_f1=sum(one.f1 for one in classes) / len(classes),
        classes=classes,
        labels=labels,
        confusion=confusion_matrix(truth, predicted, labels=labels).tolist(),
    )


def likeliest(shares: Sequence[Sequence[float]], labels: Sequence[str]) -> list[str]:
    """The class that each row of probabilities favours; of equals the first."""
    return [labels[max(range(len(labels)), key=row.__getitem__)] for row in shares]


def calibration_error(truth: Sequence[str], shares: Sequence[Sequence[float]], labels: Sequence[str]) -> float:
    """ECE: how far the likeliest class's probability and the share of right ones are apart, averaged over rows."""
    held: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
    for true, row, said in zip(truth, shares, likeliest(shares, labels), strict=True):
        held[min(BINS - 1, int(max(row) * BINS))].append((max(row), said == true))
    apart = sum(abs(sum(sure for sure, _ in some) - sum(right for _, right in some)) for some in held)
    return apart / max(1, len(truth))


def log_loss(truth: Sequence[str], shares: Sequence[Sequence[float]], labels: Sequence[str]) -> float:
    """The mean of minus the logarithm of the true class's probability, in nats; knowing nothing gets the log of their number."""
    places = {label: place for place, label in enumerate(labels)}
    return -sum(math.log(max(row[places[true]], LEAST)) for true, row in zip(truth, shares, strict=True)) / len(truth)


def numbers(
    truth: Sequence[str], shares: Sequence[Sequence[float]], labels: Sequence[str], groups: Sequence[Hashable]
) -> Numbers:
    """Accuracy and macro-F1 with 95 % intervals, and ECE; empty without rows. `shares` are the probabilities of `labels`."""
    if not truth:
        return {}
    predicted = likeliest(shares, labels)
    found = scores(truth, predicted)
    drawn = units(groups)
    right = [float(a == b) for a, b in zip(truth, predicted, strict=True)]
    accuracy, f1 = interval(right, [1.0] * len(right), drawn), f1_interval(truth, predicted, drawn)
    return {
        "accuracy/model": found.accuracy,
        "accuracy/model/low": accuracy.low,
        "accuracy/model/high": accuracy.high,
        "macro-f1/model": found.macro_f1,
        "macro-f1/model/low": f1[0],
        "macro-f1/model/high": f1[1],
        "ece/model": calibration_error(truth, shares, labels),
    }


def baseline(name: str, truth: Sequence[str], predicted: Sequence[str]) -> Numbers:
    """Accuracy and macro-F1 of something to compare with, such as `majority`; empty without rows."""
    if not truth:
        return {}
    found = scores(truth, predicted)
    return {f"accuracy/{name}": found.accuracy, f"macro-f1/{name}": found.macro_f1}


def commonest(labels: Sequence[str]) -> str:
    """The class that most rows have; of equals the first by name. What a model that reads nothing would say."""
    counts = Counter(labels)
    return min(counts, key=lambda label: (-counts[label], label))


def by_words(texts: Sequence[str], labels: Sequence[str], asked: Sequence[str]) -> list[str] | None:
    """What a linear SVM over TF-IDF of words and pairs of words says of the asked texts; None where no text has a word, or
    where it would take hours (`words_take_long`).

    The classical baseline (Wang & Manning 2012 on how strong it is), with scikit-learn's defaults, but for the bound on the
    features: the commonest are kept, for the weights are a number for each of them and each class.
    """
    known = set(labels)
    if len(known) < 2:
        return [labels[0]] * len(asked)
    if words_take_long(len(texts), len(known)):
        return None
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    most = min(FEATURES, WEIGHTS // len(known))
    words = TfidfVectorizer(
        ngram_range=(1, 2),
        sublinear_tf=True,
        token_pattern=r"\w+",  # noqa: S106 - no password
        max_features=most,
    )
    try:
        return [str(label) for label in make_pipeline(words, LinearSVC()).fit(texts, labels).predict(asked)]
    except ValueError as error:
        if "empty vocabulary" in str(error):
            return None
        raise


def words_take_long(texts: int, classes: int) -> bool:
    """The SVM goes through all texts for one class after the other."""
    return texts * classes > PASSES


def units(groups: Sequence[Hashable]) -> list[str]:
    """What a bootstrap draws: groups, or the rows themselves where there are too few groups."""
    few = len(set(groups)) < FEW_GROUPS
    return [f"{group}/{place}" if few else str(group) for place, group in enumerate(groups)]


def f1_interval(
    truth: Sequence[str], predicted: Sequence[str], units: Sequence[str], *, seed: int = 0
) -> tuple[float, float]:
    """The 95 % interval of macro-F1 when units are drawn with replacement, 2,000 times.

    The mean goes over the classes that are true or said in a draw, as it does over all rows.
    """
    import numpy as np

    places = {unit: place for place, unit in enumerate(dict.fromkeys(units))}
    classes = {label: place for place, label in enumerate(sorted({*truth, *predicted}))}
    held = np.zeros((3, len(places), len(classes)))  # right, true, said: counts by unit and class
    for true, said, unit in zip(truth, predicted, units, strict=True):
        place = places[unit]
        held[0, place, classes[true]] += true == said
        held[1, place, classes[true]] += 1
        held[2, place, classes[said]] += 1
    rng, even, found = np.random.default_rng(seed), [1 / len(places)] * len(places), []
    block = max(1, DRAWN_AT_ONCE // len(places))  # a draw is a count for each unit
    for start in range(0, DRAWS, block):
        times = rng.multinomial(len(places), even, size=min(block, DRAWS - start))
        found.append(_macro_f1(*(times @ held)))
    low, high = np.quantile(np.concatenate(found), [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return float(low), float(high)


def _macro_f1(right: "np.ndarray", true: "np.ndarray", said: "np.ndarray") -> "np.ndarray":
    """F1 is twice the right ones over the true and the said ones; arrays of shape (draws, classes) give one number a draw."""
    import numpy as np

    both = true + said
    known = (both > 0).sum(-1)
    return np.where(both > 0, 2 * right / np.maximum(both, 1), 0).sum(-1) / np.maximum(known, 1)


def show(run: Run, truth: Sequence[str], predicted: Sequence[str], *, title: str = "") -> None:
    """The table by class and the confusion matrix, for the run's page; `title` names the task where there are several."""
    if not truth:
        return
    found, of = scores(truth, predicted), f" of {title}" if title else ""
    listed = sorted(found.classes, key=lambda one: (-one.rows, one.label))[:LISTED]
    run.table(
        f"Classes{of}",
        ["class", "rows", "precision", "recall", "F1", "said"],
        [[one.label, one.rows, one.precision, one.recall, one.f1, one.said] for one in listed],
        note="Of the held-out rows that the model puts into a class the share that belongs there (precision), of those that "
        "belong there the share that it finds (recall), and their harmonic mean.",
    )
    places = _pictured(found)
    run.matrix(
        f"Confusion{of}",
        [found.labels[place] for place in places],
        [[found.confusion[row][column] for column in places] for row in places],
        note="Held-out rows: true classes down, the model's across."
        + (
            f" The {len(places)} classes most often confused, of {len(found.labels)}."
            if len(found.labels) > len(places)
            else ""
        ),
    )


def _pictured(found: Scores) -> list[int]:
    """All classes, or the 20 with the most mistakes, theirs and those put to them; in the order of their names."""
    every = range(len(found.labels))
    wrong = [
        sum(found.confusion[place]) + sum(row[place] for row in found.confusion) - 2 * found.confusion[place][place]
        for place in every
    ]
    return sorted(sorted(every, key=lambda place: (-wrong[place], place))[:PICTURED])

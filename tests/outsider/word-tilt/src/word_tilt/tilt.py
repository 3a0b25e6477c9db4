"""An answer scores the sum of its words' weights: full-batch descent on the logistic loss of differences, with L2."""

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

from feinschliff import Run


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.lower()))


def score(weights: dict[str, float], counts: Counter[str]) -> float:
    return sum(weights.get(word, 0.0) * count for word, count in counts.items())


def gap(row: dict[str, Any]) -> Counter[str]:
    """How much more often each word stands in the better answer."""
    better, worse = words(row["chosen"]), words(row["rejected"])
    return Counter({word: better[word] - worse[word] for word in sorted(better | worse)})


def descend(weights: dict[str, float], pairs: list[tuple[Counter[str], float]], rate: float, l2: float) -> float:
    """One step down the slope of the loss, whose mean before the step is returned."""
    loss, slope = 0.0, {word: l2 * weight for word, weight in weights.items()}
    for counts, weight in pairs:
        margin, share = score(weights, counts), weight / len(pairs)
        loss += share * (max(-margin, 0.0) + math.log1p(math.exp(-abs(margin))))  # log(1 + exp(-margin)), safely
        pull = share * (1 - math.tanh(margin / 2)) / 2  # the more, the less likely the weights find what people said
        slope |= {word: slope.get(word, 0.0) - pull * count for word, count in counts.items()}
    weights |= {word: weights.get(word, 0.0) - rate * by for word, by in slope.items()}
    return loss


def train(run: Run) -> dict[str, float]:
    saved, pairs = run.last_checkpoint, [(gap(row), row["weight"]) for row in run.rows("train")]
    first, weights = json.loads((saved / "state.json").read_text()) if saved else (0, {})
    for epoch in range(first + 1, run.config.epochs + 1):
        run.log(epoch, **{"loss/train": descend(weights, pairs, run.config.learning_rate, run.config.l2)})
        run.progress(epoch, run.config.epochs)
        if run.stopping or epoch % 50 == 0:
            with run.checkpoint() as folder:
                (folder / "state.json").write_text(json.dumps([epoch, weights]))
        if run.stopping:
            return {}
    (run.out / "model").mkdir()
    (run.out / "model" / "weights.json").write_text(json.dumps(weights))
    leads = [score(weights, gap(row)) for row in run.rows("heldout")]
    right = {"accuracy/model": sum((by > 0) + (by == 0) / 2 for by in leads) / len(leads)} if leads else {}
    return {"accuracy/random": 0.5, **right}


class Tilt:
    def __init__(self, folder: Path) -> None:
        self.weights: dict[str, float] = json.loads((folder / "weights.json").read_text())

    def score(self, prompt: str | list[dict[str, str]], completions: list[str]) -> list[float]:
        return [score(self.weights, words(text)) for text in completions]

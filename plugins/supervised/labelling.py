"""Classification by a fresh head on a base: labelled texts in, a model out that gives each class of a text a probability.

Read from top to bottom: read the rows, batch, step (`plugins.lib.stepping`), measure, save. Cross entropy on the shares of
people's votes; all weights are trained, or adapters and the head.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from feinschliff import Run
from feinschliff.rows import prompt_text
from plugins.lib import classified
from plugins.lib.batching import NO_BUDGET, batches, packed
from plugins.lib.classifying import Classifier
from plugins.lib.encoding import Encoded
from plugins.lib.hugging import chosen_rate
from plugins.lib.labels import Labelled, Lessons, class_weights, lessons, one_task, read
from plugins.lib.settings import Lora
from plugins.lib.stepping import Plan, Steps
from plugins.supervised.config import TaskSpecificConfig

if TYPE_CHECKING:
    import torch

BATCH_ROWS = 32
SEEN, FEWEST_EPOCHS, MOST_EPOCHS = 20_000, 4, 20  # rows gone through where the epochs are not set, and their limits
FASTEST = 2e-3  # the largest step size that is chosen, as in the reward model: it bounds adapters on a tiny base
GLANCE = 256  # held-out rows behind the curves; all of them are measured at the ends
MISTAKES, MISTAKE_CHARACTERS = 20, 300
Shares = list[list[float]]


class Lesson(NamedTuple):
    """A text as tokens, the classes' shares of its votes in the order of the outputs, and how much it counts."""

    sequence: Encoded
    target: list[float]
    weight: float
    place: int


def train(run: Run) -> dict[str, Any]:
    """The door for label rows: returns the final numbers, or nothing when it was asked to stop on the way."""
    material = material_of(run)
    classifier = begun(run, material, lora=run.config)
    learned = encoded(classifier, material.train, run.config)
    heldout = classifier.encode([row.prompt for row in material.heldout])
    steps = _steps(run, classifier, learned, material, heldout)
    if not steps.work():
        return {}
    run.state("saving")
    classifier.save(run.out / "model")  # before anything is measured, which must not cost the model
    run.state("evaluating", "held-out rows, after training")
    shares = classifier.probabilities(heldout)
    numbers = measured(material, shares) | {f"{name}/untrained": value for name, value in steps.untrained.items()}
    numbers |= report(run, material, shares)
    numbers |= counted(material, [one.sequence for one in learned])
    return numbers | {"steps": steps.total, "learning-rate": steps.rate, "loss/train": steps.recent()}


def material_of(run: Run) -> Lessons:
    """The rows of the one task. NeedsNotMet says what cannot be learned from."""
    config = run.config
    rows = {split: read(run.rows(split), config.counts) for split in ("train", "heldout")}
    tasks = {row.task for row in one_task(rows["train"], config.task)}
    train, heldout = ([row for row in rows[split] if row.task in tasks] for split in ("train", "heldout"))
    return lessons(train, heldout, rare=config.rare_classes)


def begun(run: Run, material: Lessons, *, lora: Lora | None = None) -> Classifier:
    """A fresh head for the classes on the run's base."""
    config, base = run.config, run.model("base")
    return Classifier.begin(
        base.folder,
        {"": material.classes},
        seed=run.seed,
        device=run.device,
        max_length=config.max_length,
        causal=base.causal,
        keep=config.prompt_keeps,
        dropout=config.dropout,
        lora=lora,
    )


def counted(material: Lessons, learned: Sequence[Encoded]) -> dict[str, int]:
    """How many classes and rows there are, and what became of the others."""
    return {
        "classes": len(material.classes),
        "rows/train": len(learned),
        "rows/heldout": len(material.heldout),
        "groups/heldout": len({row.group for row in material.heldout}),
        "rows/cut-prompts": sum(one.cut for one in learned),
        **material.counts,
    }


def encoded(classifier: Classifier, rows: Sequence[Labelled], config: TaskSpecificConfig) -> list[Lesson]:
    """The rows ready to be learned from: tokens, smoothed targets, weights."""
    classes = classifier.labels[""]
    weights, smoothing = class_weights(rows, classes, config.class_weights), config.label_smoothing
    found = []
    for place, (row, sequence) in enumerate(zip(rows, classifier.encode([row.prompt for row in rows]), strict=True)):
        shares = [row.shares.get(name, 0.0) for name in classes]
        weight = row.weight * sum(share * of_class for share, of_class in zip(shares, weights, strict=True))
        target = [(1 - smoothing) * share + smoothing / len(classes) for share in shares]
        found.append(Lesson(sequence, target, weight, place))
    return found


def loss_of(classifier: Classifier, rows: Sequence[Lesson], whole: float) -> "torch.Tensor":
    """Cross entropy with the rows' targets, by weight: a scalar, in nats; `whole` is the weight of the batch that these rows
    are a part of.
    """
    import torch

    logs = classifier.logits([row.sequence for row in rows]).log_softmax(-1)
    targets = torch.tensor([row.target for row in rows], dtype=logs.dtype, device=logs.device)
    weights = torch.tensor([row.weight for row in rows], dtype=logs.dtype, device=logs.device)
    return -((targets * logs).sum(-1) * weights).sum() / max(whole, 1e-12)


def epochs_for(rows: int, wanted: int) -> int:
    """The epochs asked for, or as many as go through 20,000 rows, 4 to 20: small sets need many (Mosbach et al. 2021)."""
    return wanted or max(FEWEST_EPOCHS, min(MOST_EPOCHS, round(SEEN / max(1, rows))))


def _steps(
    run: Run, classifier: Classifier, rows: Sequence[Lesson], material: Lessons, heldout: Sequence[Encoded]
) -> Steps[Lesson]:
    config = run.config
    budget, most = config.batch_tokens or NO_BUDGET, config.batch_rows or BATCH_ROWS
    every = max(1, len(heldout) // GLANCE)
    some, truth = heldout[::every], material.truth[::every]

    def lengths(row: Lesson) -> dict[Any, int]:
        return {row.place: len(row.sequence.ids)}

    def epoch(number: int) -> list[list[Lesson]]:
        found = batches(rows, lengths, lambda row: row.place, budget=budget, most=most, seed=run.seed, epoch=number)
        step = config.accumulate
        return [[row for batch in found[start : start + step] for row in batch] for start in range(0, len(found), step)]

    def look() -> dict[str, float | None]:
        return {f"{name}/heldout": value for name, value in glance(classifier, some, truth).items()}

    plan = Plan(
        epochs=[epoch(number) for number in range(epochs_for(len(rows), config.epochs))],
        loss=lambda piece, whole: loss_of(classifier, piece, whole),
        weight=lambda batch: sum(row.weight for row in batch),
        pieces=lambda batch: packed(batch, lengths, budget=budget, most=most),
        look=look if heldout else None,
        looks=config.evaluations,
        before=lambda: glance(classifier, heldout, material.truth),
    )
    rate = step_size(config.learning_rate, classifier, lora=bool(config.lora_rank))
    return Steps(run, classifier.model, plan, config, rate=rate)


def step_size(wanted: float, classifier: Any, *, lora: bool) -> float:  # noqa: ANN401 - whatever holds its `model`
    """The step size asked for, or one that suits the size of the base."""
    return wanted or min(chosen_rate(0.0, classifier, tiny=1e-3, small=1e-4, large=2e-5, lora=lora), FASTEST)


def glance(classifier: Classifier, sequences: Sequence[Encoded], truth: Sequence[str]) -> dict[str, float | None]:
    """Accuracy, macro-F1 and mean loss (nats) as the classifier is now; nothing where there are no rows."""
    if not truth:
        return {}
    shares, classes = classifier.probabilities(sequences), classifier.labels[""]
    found = classified.scores(truth, classified.likeliest(shares, classes))
    loss = classified.log_loss(truth, shares, classes)
    return {"accuracy": found.accuracy, "macro-f1": found.macro_f1, "loss": loss}


def measured(material: Lessons, shares: Shares) -> dict[str, Any]:
    """The final numbers, beside those of the commonest class and of a linear model over words."""
    truth, classes = material.truth, material.classes
    if not truth:
        return {}
    said = [row.label or max(row.shares, key=row.shares.__getitem__) for row in material.train]
    texts = [prompt_text(row.prompt) for row in material.train]
    words = classified.by_words(texts, said, [prompt_text(row.prompt) for row in material.heldout])
    numbers: dict[str, Any] = classified.numbers(truth, shares, classes, [row.group for row in material.heldout])
    numbers["loss/heldout"] = classified.log_loss(truth, shares, classes)
    numbers |= classified.baseline("majority", truth, [classified.commonest(said)] * len(truth))
    if classified.words_take_long(len(texts), len(set(said))):
        numbers["warning"] = f"No words baseline: {len(set(said))} classes of {len(texts):,} texts would take it hours."
    return numbers | (classified.baseline("words", truth, words) if words else {})


def report(run: Run, material: Lessons, shares: Shares) -> classified.Numbers:
    """Tables and picture for the run's page; returns how far people agree among themselves, where several labelled a text."""
    if not material.truth:
        return {}
    said = classified.likeliest(shares, material.classes)
    classified.show(run, material.truth, said)
    wrong = [
        (max(row), prompt_text(one.prompt), true, guess)
        for row, one, true, guess in zip(shares, material.heldout, material.truth, said, strict=True)
        if guess != true
    ]
    if wrong:
        run.table(
            "Surest mistakes",
            ["text", "people", "model", "probability"],
            [
                [text[:MISTAKE_CHARACTERS], true, guess, sure]
                for sure, text, true, guess in sorted(wrong, key=lambda one: -one[0])[:MISTAKES]
            ],
            note="Held-out texts on which the model is surest and people say something else: often a slip in the labels.",
        )
    return {} if material.agreement is None else {"agreement/people": material.agreement}

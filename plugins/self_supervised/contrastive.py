"""Contrastive learning by sentence-transformers: what belongs together comes to lie together, all else in a batch apart.

Texts alone are their own partners, seen twice through dropout (SimCSE, Gao et al. 2021, section 3); answers that people liked
best belong to their prompt and those they liked least are hard negatives (section 4); texts of one class belong to each other.
Model and loss are sentence-transformers'; the steps are ours (`plugins.lib.stepping`), since a Trainer's data set wants as many
negatives in every row, draws its batches itself, and resumes to other numbers.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from feinschliff import NeedsNotMet, Run
from feinschliff.measuring import interval
from plugins.lib import retrieval
from plugins.lib.hugging import chosen_rate
from plugins.lib.stepping import Plan, Steps
from plugins.self_supervised.contrastive_config import ContrastiveConfig
from plugins.self_supervised.contrastive_examples import EVERY, Example, batches, is_unsupervised, read
from plugins.self_supervised.contrastive_model import Embedder, check_dropout
from plugins.self_supervised.contrastive_report import report

MEASURED, GLANCE = 2000, 256  # held-out examples at the ends, and on the way
MANY_ALONE = 0.1  # of the examples: more of them left out of every batch are worth a warning


class Material(NamedTuple):
    """The rows, what they give in the first epoch, and the task that is measured on held-out rows.

    `ranked` are the held-out examples with every lower-ranked answer, whatever `hard_negatives` is.
    """

    rows: list[dict[str, Any]]
    examples: list[Example]
    heldout: list[Example]
    ranked: list[Example]
    task: retrieval.Task
    left_out: dict[str, int]
    unsupervised: bool


def train(run: Run) -> dict[str, Any]:
    """The trainer's door: returns the final numbers, or nothing when it was asked to stop on the way."""
    config: ContrastiveConfig = run.config
    material = gather(run.rows("train"), run.rows("heldout"), config, run.seed)
    embedder = Embedder.begin(run.model("base").folder, config, seed=run.seed, device=run.device)
    if material.unsupervised:
        check_dropout(embedder, material.examples[0].anchor)
    steps = Steps(
        run,
        embedder.model,
        plan(run, embedder, material),
        config,
        rate=chosen_rate(config.learning_rate, embedder.body, tiny=1e-3, small=5e-5, large=2e-5, lora=bool(config.lora_rank)),
    )  # fmt: skip
    fuse(steps)
    if not steps.work():
        return {}
    run.state("evaluating", "held-out retrieval, after training")
    embedder.model.eval()
    after = measured(embedder, material)
    speed = embedder.tokens / embedder.seconds if embedder.seconds else None
    embedder.save(run.out / "model")
    numbers = report(run, material.task, steps.untrained, after, _words(material), embedder.embed)
    sizes = [len(batch) for batch in steps.plan.batches]
    counts: dict[str, Any] = {
        "steps": steps.total,
        "learning-rate": steps.rate,
        "loss/train": steps.recent(),
        "speed/tokens-a-second": speed,
        "batch/rows-mean": sum(sizes) / max(1, len(sizes)),
        "examples/train": len(material.examples),
        "examples/heldout": len(material.heldout),
        "queries/heldout": len(material.task.queries),
        "groups/heldout": len(set(material.task.groups)),
    }
    numbers |= before_and_after(material, steps.untrained, after)
    numbers |= alone(len(material.examples), sum(sizes) / config.epochs)
    return numbers | counts | {f"rows/{why}": count for why, count in material.left_out.items()}


def fuse(steps: Steps[Example]) -> None:
    """AdamW in one kernel: a fifth of its time on a CPU, where small encoders spend one part in fifteen on it."""
    for group in steps.optimizer.param_groups:
        group["fused"] = True


def alone(examples: int, learned: float) -> dict[str, Any]:
    """How many of an epoch's examples were left alone, of whom `learned` stood in a batch; a warning where they are many."""
    numbers: dict[str, Any] = {"rows/alone-in-batch": examples - learned}
    if examples - learned > MANY_ALONE * examples:
        numbers["warning"] = (
            f"Of {examples} examples {examples - learned:.0f} an epoch were not learned from: one class, group or text has more "
            "rows than all others together, and two of one never stand in a batch. Give more of the others"
        )
    return numbers


def gather(rows: list[dict[str, Any]], heldout: list[dict[str, Any]], config: ContrastiveConfig, seed: int) -> Material:
    """Reads both splits and refuses rows from which nothing can be told apart. Raises NeedsNotMet."""
    found = read(rows, hard=config.hard_negatives, apart=config.apart, seed=seed)
    unsupervised = is_unsupervised(rows)
    why = ", ".join(f"{name} {count}" for name, count in found.left_out.items())
    if not found.examples:
        raise NeedsNotMet(
            f"no row gives a text and another that belongs to it ({why}): give texts that are not empty, labels with two "
            "different texts a class, or answers of which people liked some more than others"
        )
    texts = {text for example in found.examples for text in (example.anchor, example.positive, *example.negatives)}
    if len(texts) == 1 or (unsupervised and len({example.anchor for example in found.examples}) == 1):
        raise NeedsNotMet("all rows hold the same text: there is nothing to tell it apart from. Give different texts")
    kinds = Counter(task for task, _ in {(example.task, example.apart) for example in found.examples})
    if max(kinds.values()) < 2 and not any(one.negatives for one in found.examples):
        what = "class" if any("label" in row for row in rows) else "group"
        more = "" if what == "class" or config.apart == "text" else ", or set `apart` to 'text'"
        raise NeedsNotMet(
            f"all rows are of one {what}, and two texts of one {what} are never pushed apart: give rows of at least two{more}"
        )
    if unsupervised and not config.dropout:
        raise NeedsNotMet(
            "texts without a partner are told by dropout alone what belongs together: set `dropout` above 0"
        )
    other = read(heldout, hard=EVERY, apart=config.apart, seed=seed)
    ranked = other.examples[:: max(1, -(-len(other.examples) // MEASURED))]
    chosen = [one._replace(negatives=one.negatives[: config.hard_negatives]) for one in ranked]
    left_out = {name: found.left_out[name] + other.left_out[name] for name in found.left_out | other.left_out}
    return Material(rows, found.examples, chosen, ranked, _task(heldout, chosen, unsupervised), left_out, unsupervised)


def _task(rows: Sequence[Mapping[str, Any]], examples: Sequence[Example], unsupervised: bool) -> retrieval.Task:
    """Which texts are looked for: a prompt's answer, the others of a class, or of a text alone its second half."""
    if unsupervised:
        cut = [(*halves(one.anchor), one.group) for one in examples]
        return retrieval.task_of([(first, second, group) for first, second, group in cut if first and second])
    pairs = [(one.anchor, one.positive, one.group) for one in examples]
    labelled = any("label" in row and "completion" not in row for row in rows)
    return retrieval.task_of(pairs, [one.apart for one in examples] if labelled else None)


def halves(text: str) -> tuple[str, str]:
    """A text cut at the space nearest its middle, or in the middle where it has none."""
    middle = len(text) // 2
    spaces = [place for place, letter in enumerate(text) if letter.isspace()]
    cut = min(spaces, key=lambda place: abs(place - middle)) if spaces else middle
    return text[:cut].strip(), text[cut:].strip()


def plan(run: Run, embedder: Embedder, material: Material) -> Plan[Example]:
    """Every epoch's batches beforehand, the loss, and the looks at held-out rows."""
    config: ContrastiveConfig = run.config
    epochs, found = [], material.examples
    paired_anew = any("label" in row for row in material.rows)  # of other rows every epoch has the same examples
    for epoch in range(config.epochs):
        if epoch and paired_anew:
            found = read(
                material.rows, hard=config.hard_negatives, apart=config.apart, seed=run.seed, epoch=epoch
            ).examples
        epochs.append(batches(found, most=config.batch_rows, seed=run.seed, epoch=epoch))
    if not any(epochs):
        raise NeedsNotMet(
            "no two rows can stand in one batch: all share a text with each other. Give more different texts"
        )
    glance = material.task
    if len(glance.queries) > GLANCE:
        some = slice(None, None, -(-len(glance.queries) // GLANCE))
        glance = retrieval.Task(glance.queries[some], glance.documents, glance.relevant[some], glance.groups[some])

    def look() -> dict[str, float | None]:
        embedder.model.eval()
        seen = retrieval.searched(glance, embedder.embed)
        return {
            "mrr/heldout": retrieval.mean(retrieval.reciprocal(seen.ranks)),
            "alignment/heldout": seen.alignment,
            "uniformity/heldout": seen.uniformity,
        }

    return Plan(
        epochs=epochs,
        loss=lambda rows, _: embedder.loss(rows),
        look=look if glance.queries else None,
        looks=config.evaluations if glance.queries else 0,
        before=lambda: measured(embedder, material),
    )


def measured(embedder: Embedder, material: Material) -> dict[str, Any]:
    """Retrieval, alignment, uniformity and the loss on held-out rows, dropout off; JSON, for the checkpoint."""
    import torch

    embedder.model.eval()
    config, losses, rows = embedder.config, 0.0, 0
    with torch.no_grad():
        for batch in batches(material.heldout, most=config.batch_rows, seed=0, epoch=0):
            losses += embedder.loss(batch).item() * len(batch)
            rows += len(batch)
    found: dict[str, Any] = {"loss": losses / rows if rows else None, "nearer": nearer(embedder, material.ranked)}
    if material.task.queries:
        found |= retrieval.searched(material.task, embedder.embed)._asdict()
        found["cosines"] = cosines(embedder, material)
    return found


def before_and_after(
    material: Material, before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, float | None]:
    """What was learned, on held-out rows: of answers that people ranked whether the best is nearer, of others the loss.

    Where people ranked answers, the loss also asks which prompt an answer is for, and rises with every prompt learned by heart.
    """
    if not after["nearer"]:
        return {"loss/untrained": before["loss"], "loss/heldout": after["loss"]}
    groups = [one.group for one in material.ranked for _ in one.negatives]
    right = after["nearer"]
    low, high = interval(right, [1.0] * len(right), groups)
    return {
        "accuracy/model": retrieval.mean(right),
        "accuracy/model/low": low,
        "accuracy/model/high": high,
        "accuracy/untrained": retrieval.mean(before["nearer"]),
        "accuracy/random": 0.5,
    }


def nearer(embedder: Embedder, examples: Sequence[Example]) -> list[float]:
    """Of each lower-ranked answer: 1 where the best one lies nearer the prompt, a half where both lie as near."""
    texts = list(dict.fromkeys(text for one in examples if one.negatives for text in (one[0], one[1], *one.negatives)))
    place = dict(zip(texts, retrieval.unit(embedder.embed(texts)), strict=True)) if texts else {}
    margins = [
        float(place[one.anchor] @ (place[one.positive] - place[text])) for one in examples for text in one.negatives
    ]
    return [float(margin > 0) + 0.5 * (margin == 0) for margin in margins]


def cosines(embedder: Embedder, material: Material) -> dict[str, list[float]]:
    """Of held-out queries: the cosine with what belongs to them, and with the next query's, for the picture."""
    task = material.task
    queries = retrieval.unit(embedder.embed(task.queries[:GLANCE]))
    own = retrieval.unit(embedder.embed([task.documents[places[0]] for places in task.relevant[:GLANCE]]))
    count = len(queries)
    other = [
        float(queries[place] @ own[(place + step) % count])
        for place in range(count)
        for step in (count // 2,)
        if task.relevant[place] != task.relevant[(place + step) % count]
    ]
    return {"belongs": [float(value) for value in (queries * own).sum(1)], "other": other}


def _words(material: Material) -> retrieval.Found | None:
    if not material.task.queries:
        return None
    corpus = dict.fromkeys(text for example in material.examples for text in (example.anchor, example.positive))
    return retrieval.searched_by_words(material.task, list(corpus))

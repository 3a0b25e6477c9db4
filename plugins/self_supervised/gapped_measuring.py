"""How well gaps are filled on held-out texts: with what follows them, and from the left alone."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from feinschliff.measuring import interval
from plugins.lib.batching import packed
from plugins.lib.places import logits_at
from plugins.lib.policies import Policy
from plugins.lib.rollout import sample
from plugins.self_supervised.gapped_examples import Asked
from plugins.self_supervised.gapping import Arranged, Ids, Marks
from plugins.self_supervised.infilling import text_of

TOKENS = 8192  # that go through the model at once
SPARE = 8  # tokens that a filled gap may be longer than the true one
Numbers = dict[str, float | None]
Loaded = Any


class Judged(NamedTuple):
    """What the model makes of one sequence: the loss of its judged tokens, added up, in nats; how many tokens these are; whether
    each was the likeliest.
    """

    loss: float
    tokens: int
    exact: bool


def forward(policy: Policy, rows: Sequence[Arranged]) -> tuple[Any, Any]:
    """Logits for all learned tokens of the rows, one after another, of shape (guesses, vocabulary), and those tokens,
    (guesses,); with gradients.
    """
    import torch

    longest = max(len(row.ids) for row in rows)
    ids = torch.tensor([[*row.ids, *[policy.pad] * (longest - len(row.ids))] for row in rows], device=policy.device)
    mask = torch.tensor([[int(place < len(row.ids)) for place in range(longest)] for row in rows], device=policy.device)
    wanted = [
        (number, place) for number, row in enumerate(rows) for place, learned in enumerate(row.learned) if learned
    ]
    places = torch.tensor(wanted, device=policy.device)
    logits, _ = logits_at(policy.model, {"input_ids": ids, "attention_mask": mask}, places - places.new_tensor([0, 1]))
    return logits, ids[places[:, 0], places[:, 1]]


def judge(policy: Policy, rows: Sequence[Arranged]) -> list[Judged]:
    """Each row, dropout off; the model is left in the mode it was in."""
    import torch

    found: dict[int, Judged] = {}
    order = sorted(range(len(rows)), key=lambda place: len(rows[place].ids))
    training = policy.model.training
    policy.model.eval()
    with torch.no_grad():
        for batch in packed(order, lambda place: {place: len(rows[place].ids)}, budget=TOKENS):
            logits, truth = forward(policy, [rows[place] for place in batch])
            losses = torch.nn.functional.cross_entropy(logits.float(), truth, reduction="none").double().tolist()
            right = (logits.argmax(-1) == truth).tolist()
            start = 0
            for place in batch:
                end = start + sum(rows[place].learned)
                found[place] = Judged(sum(losses[start:end]), end - start, all(right[start:end]))
                start = end
    policy.model.train(training)
    return [found[place] for place in range(len(rows))]


def answers(asked: Sequence[Asked], *, both: bool, end: Sequence[int] = ()) -> list[Arranged]:
    """The true words of each gap, after both sides of it or after the left alone; only they, and `end` after them, are judged."""
    return [after(one.both if both else one.left, [*one.truth, *end]) for one in asked]


def after(read: Ids, truth: Ids) -> Arranged:
    """`truth` after what was read; `truth` alone is judged."""
    return Arranged([*read, *truth], [False] * len(read) + [True] * len(truth))


def mean(found: Sequence[Judged]) -> float:
    """Loss of a token, in nats."""
    return sum(one.loss for one in found) / max(1, sum(one.tokens for one in found))


def exact(found: Sequence[Judged]) -> float:
    """Share of gaps that greedy writing would fill with exactly what was judged: every token of it is the likeliest."""
    return sum(one.exact for one in found) / max(1, len(found))


def gain(asked: Sequence[Asked], with_right: Sequence[Judged], without: Sequence[Judged], name: str) -> Numbers:
    """How much smaller a token's loss is with the right side than `without`, and the interval by groups; the same gaps."""
    differences = [other.loss - one.loss for one, other in zip(with_right, without, strict=True)]
    spread = interval(differences, [float(one.tokens) for one in with_right], [one.group for one in asked])
    return {
        f"gain/{name}": sum(differences) / sum(one.tokens for one in with_right),
        f"gain/{name}/low": spread.low,
        f"gain/{name}/high": spread.high,
    }


def filled(policy: Policy, asked: Sequence[Asked], marks: Marks) -> list[str]:
    """Each text with its gap filled greedily."""
    if not asked:
        return []
    written = sample(
        policy.model,
        [one.both for one in asked],
        max_new_tokens=max(len(one.truth) for one in asked) + SPARE,
        temperature=0,
        eos=marks.end,
        pad=policy.pad,
        seed=0,
    )
    return [
        one.gapped._replace(inside=[text_of(policy.tokenizer, text.ids)]).text
        for one, text in zip(asked, written, strict=True)
    ]

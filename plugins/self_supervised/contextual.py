"""Contextual learning: a model that writes learns to fill gaps from both sides, on texts that nobody has judged.

Fill-in-the-middle (Bavarian et al. 2022) and span infilling (Fried et al. 2023). Measured against its own guess from the left
side alone, so that what the right side adds is seen. Departs from the papers in that marks are never predicted, and that a
text is never joined with another.
"""

import json
from collections.abc import Sequence
from typing import Any

from feinschliff import NeedsNotMet, Run
from plugins.lib.adapters import lora_config
from plugins.lib.hugging import chosen_rate
from plugins.lib.policies import Policy, policy_from
from plugins.lib.stepping import Plan, Steps
from plugins.lib.texts import Texts, read_texts
from plugins.self_supervised.contextual_config import ContextualConfig
from plugins.self_supervised.gapped_examples import ROOM, Asked, Examples
from plugins.self_supervised.gapped_measuring import (
    Judged,
    Numbers,
    answers,
    exact,
    filled,
    forward,
    gain,
    judge,
    mean,
)
from plugins.self_supervised.gapping import Arranged
from plugins.self_supervised.infilling import SETTINGS, marked
from plugins.self_supervised.rounds import Batch, remembered, rounds

GLANCE = 64  # held-out texts behind the curves
MEASURED = 512  # held-out texts that are measured at the ends


def train(run: Run) -> dict[str, Any]:
    """The trainer's door: returns the final numbers, or nothing when it was asked to stop on the way."""
    config = run.config
    policy = policy_from(run.model("base").folder, seed=run.seed, device=run.device, max_length=config.max_length)
    marks, names = marked(policy.model, policy.tokenizer, run.seed)
    policy.model = with_adapters(policy.model, config, list(marks))
    room = policy.longest - ROOM
    if room < ROOM:
        raise NeedsNotMet(f"this base reads {policy.longest} tokens, too few to see both sides of a gap")
    learned = read_texts(run.rows("train"), policy.tokenizer, room=room)
    heldout = read_texts(run.rows("heldout"), policy.tokenizer, room=room)
    if not learned.parts:
        raise NeedsNotMet(f"none of the {learned.empty} texts has a word in it: import texts that are not empty")
    examples = Examples(learned.parts, policy, marks, config, run.seed)
    held = Held(Examples(heldout.parts[:: -(-len(heldout.parts) // MEASURED) or 1], policy, marks, config, run.seed))
    steps = _steps(run, policy, examples, held)
    if not steps.work():
        return {}
    run.state("saving")
    policy.save(run.out / "model")
    settings = {"marks": names, "spans": examples.spans, "suffix_first": examples.asks_suffix_first}
    (run.out / "model" / SETTINGS).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    run.state("evaluating", "held-out texts, after training")
    numbers = _measured(run, held, steps.untrained) if held.plain else {}
    told = {"steps": steps.total, "learning-rate": steps.rate, "loss/train": steps.recent()}
    return numbers | _counts(learned, heldout, held) | told


def with_adapters(model: Any, config: ContextualConfig, marks: list[int]) -> Any:  # noqa: ANN401 - transformers' and peft's
    """The model with LoRA beside its linear layers, and the rows of the marks trained whole; itself where the rank is 0."""
    adapters = lora_config(config, task="CAUSAL_LM")
    if adapters is None:
        return model
    from peft import get_peft_model

    tables = [model.get_input_embeddings(), model.get_output_embeddings()]
    named = [name.rpartition(".")[2] for name, module in model.named_modules() if any(module is one for one in tables)]
    tied = tables[0].weight is tables[1].weight
    adapters.trainable_token_indices = marks if tied else dict.fromkeys(named, marks)
    return get_peft_model(model, adapters)


class Held:
    """Held-out texts, and what is asked of them: their gaps, single words, and all of them from left to right.

    `gaps` hold one to eight words and `words` one, of texts with room for them; `plain` are all texts; `shown` are the gaps,
    one a group, that are filled on the run's page.
    """

    def __init__(self, examples: Examples) -> None:
        self.policy, self.marks = examples.policy, examples.marks
        self.gaps: list[Asked] = examples.asked()
        self.words: list[Asked] = examples.asked(words=1)
        self.plain: list[Arranged] = [examples.plain(part) for part in examples.parts]
        self.shown = _one_a_group(self.gaps)[: examples.config.samples]

    def measured(self) -> dict[str, Any]:
        """Everything that is compared before and after; plain lists, since it is kept in checkpoints."""
        return {
            "both": judge(self.policy, answers(self.gaps, both=True)),
            "left": judge(self.policy, answers(self.gaps, both=False)),
            "word/both": judge(self.policy, answers(self.words, both=True, end=[self.marks.end])),
            "word/left": judge(self.policy, answers(self.words, both=False)),
            "writing": judge(self.policy, self.plain),
            "filled": filled(self.policy, self.shown, self.marks),
        }

    def look(self) -> Numbers:
        """The curves: the loss of a token in nats, on a few gaps and on a few whole texts."""
        few = self.gaps[:: max(1, len(self.gaps) // GLANCE)]
        plain = self.plain[:: max(1, len(self.plain) // GLANCE)]
        gaps = {"loss/heldout": mean(judge(self.policy, answers(few, both=True)))} if few else {}
        return {**gaps, "loss/writing": mean(judge(self.policy, plain))}


def _steps(run: Run, policy: Policy, examples: Examples, held: Held) -> Steps[Batch]:
    import torch

    config = run.config

    shown = remembered(examples.at, config)

    def loss(batches: Sequence[Batch], tokens: float) -> torch.Tensor:
        logits, truth = forward(policy, shown(batches))
        return torch.nn.functional.cross_entropy(logits.float(), truth, reduction="sum") / tokens

    plan = Plan(
        epochs=rounds([len(part.ids) + ROOM for part in examples.parts], config, epochs=config.epochs, seed=run.seed),
        loss=loss,
        weight=lambda batches: float(sum(sum(one.learned) for one in shown(batches))),
        pieces=lambda batches: [[batch] for batch in batches],
        look=held.look if held.plain else None,
        looks=config.evaluations,
        before=held.measured,
    )
    rate = chosen_rate(config.learning_rate, policy, tiny=2e-3, small=2e-4, large=2e-5, lora=bool(config.lora_rank))
    return Steps(run, policy.model, plan, config, rate=rate)


def _measured(run: Run, held: Held, untrained: dict[str, Any]) -> Numbers:
    """Numbers on held-out texts, a table of them, and texts with their gaps filled before and after."""
    before, after = _read(untrained), held.measured()
    numbers: Numbers = {"loss/writing": mean(after["writing"]), "loss/writing-untrained": mean(before["writing"])}
    if held.gaps:
        numbers |= {
            "loss/heldout": mean(after["both"]),
            "loss/untrained": mean(before["both"]),
            "loss/left-only": mean(after["left"]),
            "loss/left-only-untrained": mean(before["left"]),
            "exact/heldout": exact(after["word/both"]),
            "exact/untrained": exact(before["word/both"]),
            "exact/left-only": exact(after["word/left"]),
            "exact/left-only-untrained": exact(before["word/left"]),
        }
        numbers |= gain(held.gaps, after["both"], after["left"], "right-side")
        numbers |= gain(held.gaps, after["both"], before["left"], "over-base")
        run.table(
            "Gaps in held-out texts",
            [
                "",
                "loss, both sides",
                "loss, left side alone",
                "words right, both sides",
                "begins with the word, left side alone",
            ],
            [
                ["The base as it was", *_row(numbers, "untrained", "left-only-untrained")],
                ["After training", *_row(numbers, "heldout", "left-only")],
            ],
            note=f"{len(held.gaps)} gaps of one to eight words, and {len(held.words)} of one word. Loss of a token, in nats: "
            "lower is better.",
        )
    for one, old, new in zip(held.shown, before["filled"], after["filled"], strict=True):
        run.sample("___".join(one.gapped.outside), new, before=old)
    return numbers


def _row(numbers: Numbers, both: str, left: str) -> list[float | None]:
    return [numbers[f"{name}/{side}"] for name in ("loss", "exact") for side in (both, left)]


def _read(kept: dict[str, Any]) -> dict[str, Any]:
    """What was measured before the first step, as it came out of a checkpoint."""
    return {name: found if name == "filled" else [Judged(*one) for one in found] for name, found in kept.items()}


def _one_a_group(asked: Sequence[Asked]) -> list[Asked]:
    return list({one.group: one for one in reversed(asked)}.values())[::-1]


def _counts(learned: Texts, heldout: Texts, held: Held) -> Numbers:
    return {
        "parts/train": len(learned.parts),
        "parts/heldout": len(held.plain),
        "gaps/heldout": len(held.gaps),
        "groups/heldout": len({one.group for one in held.gaps}),
        "tokens/train": sum(len(part.ids) for part in learned.parts),
        "rows/empty": learned.empty + heldout.empty,
        "rows/broken-characters": learned.broken + heldout.broken,
    }

"""Masked language modelling: an encoder learns to guess words that are hidden from it, on texts that nobody has judged.

Devlin et al. 2019 with what came after: new masks in every epoch and no pairs of strangers (Liu et al. 2019), whole words or
spans (Joshi et al. 2020), and where it is wanted the order of sentences (Lan et al. 2020). Departs from them in guessing at the
hidden places alone, and in that a text is never joined with another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from feinschliff import NeedsNotMet, Run
from plugins.lib.devices import choose_device
from plugins.lib.hugging import chosen_rate
from plugins.lib.masking import Masker
from plugins.lib.policies import set_dropout
from plugins.lib.stepping import Plan, Steps
from plugins.lib.texts import Texts, read_texts
from plugins.lib.weights import check_folder, loading
from plugins.self_supervised.masked_examples import Example, Examples
from plugins.self_supervised.masked_lm_config import MaskedLMConfig
from plugins.self_supervised.masked_measuring import Guessed, Numbers, Unigram, forward, gains, guess, ordered, summed
from plugins.self_supervised.masked_model import readable
from plugins.self_supervised.rounds import Batch, remembered, rounds

if TYPE_CHECKING:
    import torch

GLANCE = 128  # held-out texts behind the curve
UNKNOWN_AT_MOST = 0.5
Loaded = Any  # transformers' models and tokenizers, which carry no usable types


@dataclass
class Guesser:
    """The encoder with its head while it is trained. `fresh` weights of the head are new: the base brought none."""

    model: Loaded
    tokenizer: Loaded
    device: "torch.device"
    longest: int
    fresh: int

    @property
    def _shape(self) -> dict[str, Any]:
        typed = "token_type_ids" in self.tokenizer.model_input_names
        types = typed and getattr(self.model.config, "type_vocab_size", 0) > 1
        return {"pad_id": self.tokenizer.pad_token_id, "device": self.device, "types": types}

    def guess(self, examples: Sequence[Example]) -> list[Guessed]:
        """What it makes of each example, dropout off."""
        return guess(self.model, examples, **self._shape)

    def loss(self, examples: Sequence[Example], tokens: float, order: float) -> "torch.Tensor":
        """Mean loss of the hidden tokens, of which the whole batch has `tokens`, and `order` times that of the order.

        A scalar, in nats.
        """
        import torch

        logits, truth, firsts = forward(self.model, examples, **self._shape)
        loss = torch.nn.functional.cross_entropy(logits.float(), truth, reduction="sum") / tokens
        asked = [row for row, one in enumerate(examples) if one.swapped is not None]
        if order and asked:
            swapped = torch.tensor([float(bool(examples[row].swapped)) for row in asked], device=self.device)
            told = self.model.order_head(firsts[asked])[:, 0]
            share = len(truth) / tokens  # of the step, where several batches make one
            loss = loss + order * share * torch.nn.functional.binary_cross_entropy_with_logits(told, swapped)
        return loss


def train(run: Run) -> dict[str, Any]:
    """The trainer's door: returns the final numbers, or nothing when it was asked to stop on the way."""
    config = run.config
    guesser = guesser_from(run, config)
    room = guesser.longest - 3
    learned = read_texts(run.rows("train"), guesser.tokenizer, room=room, overlap=config.overlap)
    heldout = read_texts(run.rows("heldout"), guesser.tokenizer, room=room, overlap=config.overlap)
    check(learned, guesser.tokenizer)
    examples, held = examples_of(learned, guesser, config, run.seed), examples_of(heldout, guesser, config, run.seed)
    steps = _steps(run, guesser, examples, held)
    if not steps.work():
        return {}
    run.state("saving")
    head = guesser.model._modules.pop("order_head", None)  # it was there to teach the encoder; no model has it
    guesser.model.save_pretrained(run.out / "model", safe_serialization=True)
    guesser.tokenizer.save_pretrained(run.out / "model")
    if head is not None:
        guesser.model.order_head = head
    run.state("evaluating", "held-out texts, after training")
    untrained = [Guessed(*one) for one in steps.untrained.get("guessed", [])]
    numbers = _measured(run, guesser, examples, held, untrained)
    counts = {
        "parts/train": len(learned.parts),
        "parts/heldout": len(heldout.parts),
        "groups/heldout": len({part.group for part in heldout.parts}),
        "tokens/train": sum(len(part.ids) - part.seen for part in learned.parts),
        "rows/empty": learned.empty + heldout.empty,
        "rows/broken-characters": learned.broken + heldout.broken,
        "weights/new-in-head": guesser.fresh,
    }
    return numbers | counts | {"steps": steps.total, "learning-rate": steps.rate, "loss/train": steps.recent()}


def guesser_from(run: Run, config: MaskedLMConfig) -> Guesser:
    """The base with a head that guesses: its own, or a new one whose last layer is its embeddings. Raises NeedsNotMet."""
    import torch
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    base = run.model("base")
    check_folder(base.folder)
    if getattr(base, "causal", False):
        raise NeedsNotMet(
            "this base reads from left to right alone, so that it can guess no word from what follows: take an encoder "
            "(tiny:encoder, a BERT or its kin), or the method `contextual`, which is made for such a base"
        )
    tokenizer = AutoTokenizer.from_pretrained(base.folder, local_files_only=True, trust_remote_code=False)
    if tokenizer.mask_token_id is None or tokenizer.pad_token_id is None:
        raise NeedsNotMet("this base's tokenizer has no mask token (or no pad token): it was not made to guess words")
    if not tokenizer.is_fast and config.masking != "tokens":
        raise NeedsNotMet("this base's tokenizer cannot tell which tokens make a word: hide tokens (masking)")
    torch.manual_seed(run.seed)  # of the new head
    try:
        model, told = AutoModelForMaskedLM.from_pretrained(
            base.folder, dtype=torch.float32, output_loading_info=True, **loading()
        )
    except ValueError:
        raise NeedsNotMet("there is no way to guess hidden words with a base of this kind: take an encoder") from None
    body = model.base_model_prefix + "."
    known = dict(model.named_parameters())
    fresh = sum(known[name].numel() for name in told["missing_keys"] if name in known and not name.startswith(body))
    if fresh:
        run.state("loading", f"this base brings no head that guesses words: {fresh:,} weights of it begin by chance")
    if config.sentence_order:
        model.order_head = order_head(model.config.hidden_size)
    set_dropout(model, config.dropout)
    device = choose_device(run.device)
    longest = min(readable(model, tokenizer), config.max_length)
    return Guesser(model.to(device), tokenizer, device, longest, fresh)


def order_head(width: int) -> "torch.nn.Module":
    """ALBERT's: a layer over the first hidden state, and one number, above 0 for "swapped"."""
    import torch

    return torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.Tanh(), torch.nn.Linear(width, 1))


def check(learned: Texts, tokenizer: Loaded) -> None:
    """NeedsNotMet where there is nothing to hide, or the base cannot read the script."""
    if not learned.parts:
        raise NeedsNotMet(f"none of the {learned.empty} texts has a word in it: import texts that are not empty")
    tokens = sum(len(part.ids) for part in learned.parts)
    unknown = sum(part.ids.count(tokenizer.unk_token_id) for part in learned.parts) / tokens
    if unknown > UNKNOWN_AT_MOST:
        raise NeedsNotMet(
            f"this base does not know the script of these texts: {unknown:.0%} of their tokens are unknown to it. Take a base "
            "that was made for the language, or one that reads bytes"
        )


def examples_of(texts: Texts, guesser: Guesser, config: MaskedLMConfig, seed: int) -> Examples:
    """The texts as examples, hidden as the settings say; none of the tokenizer's special tokens stands in for another."""
    special = set(guesser.tokenizer.all_special_ids)
    masker = Masker(
        kind=config.masking,
        share=config.masked_share,
        mask=guesser.tokenizer.mask_token_id,
        ordinary=[token for token in range(len(guesser.tokenizer)) if token not in special],
        as_mask=config.shown_as_mask,
        as_another=config.shown_as_another,
        mean_span=config.mean_span,
    )
    return Examples(
        texts.parts, masker, guesser.tokenizer, seed, room=guesser.longest - 3, order=config.sentence_order > 0
    )


def _steps(run: Run, guesser: Guesser, examples: Examples, held: Examples) -> Steps[Batch]:
    config = run.config
    glance = held.held[:: max(1, len(held.held) // GLANCE)]

    def look() -> Numbers:
        found = guesser.guess(glance)
        return {name: value for name, value in summed(glance, found, "heldout").items() if name != "perplexity/heldout"}

    shown = remembered(examples.at, config)
    lengths = [examples.length(place) for place in range(len(examples.parts))]
    plan = Plan(
        epochs=rounds(lengths, config, epochs=config.epochs, seed=run.seed),
        loss=lambda batches, tokens: guesser.loss(shown(batches), tokens, config.sentence_order),
        weight=lambda batches: float(sum(len(one.truth) for one in shown(batches))),
        pieces=lambda batches: [[batch] for batch in batches],
        look=look if glance else None,
        looks=config.evaluations,
        before=lambda: {"guessed": guesser.guess(held.held)},
    )
    rate = chosen_rate(config.learning_rate, guesser, tiny=2e-3, small=2e-4, large=5e-5, lora=False)
    return Steps(run, guesser.model, plan, config, rate=rate)


def _measured(run: Run, guesser: Guesser, examples: Examples, held: Examples, untrained: Sequence[Guessed]) -> Numbers:
    """Numbers on held-out texts beside the untrained base's and the word counts', a table of them, and texts filled in."""
    if not held.held:
        return {}
    rows = held.held
    tokens = (token for part in examples.parts for token in part.ids[part.seen :])
    counted, found = Unigram(tokens, len(guesser.tokenizer)).guess(rows), guesser.guess(rows)
    numbers: Numbers = {}
    for name, one in (("unigram", counted), ("untrained", untrained), ("heldout", found)):
        numbers |= summed(rows, one, name) | ordered(one, name)
    numbers |= gains(rows, found, untrained, "untrained") | gains(rows, found, counted, "unigram")
    told = {"unigram": "Counting words", "untrained": "The base as it was", "heldout": "After training"}
    run.table(
        "Hidden words of held-out texts",
        ["", "loss", "perplexity", "words right"],
        [[told[name], *(numbers[f"{of}/{name}"] for of in ("loss", "perplexity", "accuracy"))] for name in told],
        note=f"{sum(len(one.truth) for one in rows)} hidden tokens, the same for all three. Lower is better but for words.",
    )
    _show(run, guesser.tokenizer, held, untrained, found)
    return numbers


def _show(run: Run, tokenizer: Loaded, held: Examples, before: Sequence[Guessed], after: Sequence[Guessed]) -> None:
    """A few held-out texts, at most one a group, with what was guessed before and after."""
    shown: set[str] = set()
    for example, old, new in zip(held.held, before, after, strict=True):
        if example.group in shown or len(shown) == run.config.samples:
            continue
        shown.add(example.group)
        run.sample(
            tokenizer.decode([token for token in example.sequence.ids if token not in _frame(tokenizer)]),
            _told(tokenizer, example, new.guesses),
            before=_told(tokenizer, example, old.guesses),
        )


def _told(tokenizer: Loaded, example: Example, guesses: Sequence[int]) -> str:
    ids = list(example.sequence.ids)
    for place, token in zip(example.places, guesses, strict=True):
        ids[place] = token
    return str(tokenizer.decode(ids, skip_special_tokens=True))


def _frame(tokenizer: Loaded) -> tuple[int | None, int | None]:
    return tokenizer.cls_token_id, tokenizer.sep_token_id

"""The model that masked language modelling leaves behind: it fills gaps, and it embeds."""

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from plugins.lib.places import logits_at
from plugins.lib.verbs import EncoderModel
from plugins.lib.verbs import readable as positions
from plugins.lib.weights import check_folder, loading
from plugins.self_supervised.gapping import HOLE

LONGEST_GUESS = 3  # tokens in a gap: how many there are is not known
BEAM = 8
Loaded = Any  # transformers' models and tokenizers, which carry no usable types
Ids = tuple[int, ...]


class Gapped(NamedTuple):
    """A text with gaps: the characters around them, and the tokens around them, one list more than there are gaps."""

    around: list[str]
    tokens: list[list[int]]


class MaskedModel(EncoderModel):
    """An encoder with its masked-language-model head."""

    @cached_property
    def guesser(self) -> Loaded:
        import torch
        from transformers import AutoModelForMaskedLM

        model = AutoModelForMaskedLM.from_pretrained(self.folder, dtype=torch.float32, **loading())
        return model.to(self.device).eval()

    @cached_property
    def body(self) -> Loaded:
        return self.guesser.base_model

    @property
    def _longest(self) -> int:
        return readable(self.guesser, self.tokenizer)

    def fill(self, texts: Sequence[str], n: int = 1) -> list[list[str]]:
        """For each text its `n` likeliest completions, best first: `[MASK]`, `___` or the model's own mask token is a gap.

        A gap is filled with one to three tokens, of the number whose mean log-probability is best (Jiang et al. 2020); several
        gaps of a text have as many each. A text without a gap comes back as it is. Deterministic. Raises ValueError where the
        gaps are too far apart to be read together, or `n` is below 1.
        """
        if n < 1:
            raise ValueError("n is how many completions to give: 1 or more")
        return [self._filled(text, n) for text in texts]

    def _filled(self, text: str, n: int) -> list[str]:
        gapped = self._gapped(text)
        gaps = len(gapped.around) - 1
        if not gaps:
            return [text] * n
        found: dict[str, float] = {}
        for size in range(1, LONGEST_GUESS + 1):
            for guess, value in self._beam(gapped, size, max(n + 4, BEAM)):
                words = [self.tokenizer.decode(guess[gap * size : (gap + 1) * size]).strip() for gap in range(gaps)]
                if all(words) and not any("\ufffd" in word for word in words):
                    whole = "".join(map("".join, zip(gapped.around, [*words, ""], strict=True)))
                    found[whole] = max(value, found.get(whole, float("-inf")))
        best = sorted(found, key=lambda whole: (-found[whole], whole))[:n] or [text]
        return best + best[:1] * (n - len(best))

    def _gapped(self, text: str) -> Gapped:
        """The text cut at its gaps, and as tokens: all of it, or as much around the gaps as the model can read."""
        pattern = re.compile(f"{re.escape(self.tokenizer.mask_token)}|{HOLE.pattern}")
        around = pattern.split(text)
        # A blank before a gap belongs to the word in it, as byte-level tokenizers have it.
        tokens = [
            self.tokenizer(
                piece.rstrip() if place < len(around) - 1 else piece,
                add_special_tokens=False,
                split_special_tokens=True,
                verbose=False,
            )["input_ids"]
            for place, piece in enumerate(around)
        ]
        room = self._longest - 2 - LONGEST_GUESS * (len(around) - 1)
        spare = room - sum(map(len, tokens[1:-1]))
        if spare < 0:
            raise ValueError(f"this text is too long: its gaps must stand within {self._longest} tokens")
        before = min(len(tokens[0]), max(spare // 2, spare - len(tokens[-1])))
        return Gapped(around, [tokens[0][len(tokens[0]) - before :], *tokens[1:-1], tokens[-1][: spare - before]])

    def _beam(self, gapped: Gapped, size: int, width: int) -> list[tuple[Ids, float]]:
        """Guesses of `size` tokens a gap, from left to right, the best `width` kept; with mean log-probabilities."""
        import torch

        mask, special = self.tokenizer.mask_token_id, self.tokenizer.all_special_ids
        total = size * (len(gapped.tokens) - 1)
        beams: list[tuple[Ids, float]] = [((), 0.0)]
        for step in range(total):
            rows, at = [], 0
            for known, _ in beams:
                row, at = self._row(gapped, [*known, *[mask] * (total - step)], size, step)
                rows.append(row)
            ids = torch.tensor(rows, device=self.device)
            with torch.no_grad():
                inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
                logits, _ = logits_at(self.guesser, inputs, ids.new_tensor([[row, at] for row in range(len(rows))]))
            logits[:, special] = float("-inf")
            values, tokens = logits.log_softmax(-1).topk(min(width, logits.shape[-1]))
            wider = [
                ((*known, token), value + gain)
                for (known, value), gains, best in zip(beams, values.tolist(), tokens.tolist(), strict=True)
                for gain, token in zip(gains, best, strict=True)
            ]
            beams = sorted(wider, key=lambda one: (-one[1], one[0]))[:width]
        return [(guess, value / total) for guess, value in beams]

    def _row(self, gapped: Gapped, guess: Sequence[int], size: int, wanted: int) -> tuple[list[int], int]:
        """The whole sequence with a guess in its gaps, and where in it the `wanted`-th token of the guess stands."""
        row, at = list(gapped.tokens[0]), 0
        for gap, after in enumerate(gapped.tokens[1:]):
            if gap * size <= wanted < (gap + 1) * size:
                at = len(row) + wanted - gap * size
            row += [*guess[gap * size : (gap + 1) * size], *after]
        return framed(self.tokenizer, row), at + (self.tokenizer.cls_token_id is not None)


def open_masked(folder: Path) -> MaskedModel:
    """The finished model in a folder."""
    check_folder(folder)
    return MaskedModel(folder)


def readable(model: Loaded, tokenizer: Loaded) -> int:
    """How many tokens the model and its tokenizer can read, special ones included."""
    return min(positions(model, otherwise=10**9), int(tokenizer.model_max_length))


def framed(tokenizer: Loaded, *segments: Sequence[int]) -> list[int]:
    """The segments between the tokenizer's own marks: [CLS] first [SEP] second [SEP]."""
    start, end = tokenizer.cls_token_id, tokenizer.sep_token_id
    ids = [] if start is None else [start]
    for segment in segments:
        ids += [*segment, *([] if end is None else [end])]
    return ids

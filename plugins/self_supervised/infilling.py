"""The model that `contextual` leaves behind: it fills gaps from both sides, and writes and embeds as before.

Also how a base gets the marks by which it is told where a gap is: tokens of their own, kept apart from pad and end of text.
"""

import json
import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from feinschliff.model import ModelNotOpened
from plugins.lib.encoding import answer_ids
from plugins.lib.rollout import sample
from plugins.lib.verbs import CausalModel
from plugins.lib.weights import check_folder
from plugins.self_supervised.gapping import END, GAP, HOLE, KNOWN, OURS, Ids, Marks, question

SETTINGS = "infilling.json"
LONGEST_FILL = 64  # tokens
SPREAD = 4  # so many times more texts are drawn than asked for, of which the likeliest are given
BATCH = 32
Loaded = Any


class Line(NamedTuple):
    """One completion on the way: the gaps filled so far, and the log-probability of all that."""

    filled: tuple[str, ...]
    value: float


class Infiller(CausalModel):
    """A causal model that learned to fill gaps."""

    longest_fill = LONGEST_FILL

    @cached_property
    def settings(self) -> dict[str, Any]:
        return json.loads((self.folder / SETTINGS).read_text(encoding="utf-8"))

    @cached_property
    def marks(self) -> Marks:
        return Marks(*self.tokenizer.convert_tokens_to_ids(self.settings["marks"]))

    def fill(self, texts: Sequence[str], n: int = 1) -> list[list[str]]:
        """For each text `n` completions: `[MASK]` or `___` is a gap, of any length up to `longest_fill` tokens.

        The first takes the likeliest token each time; the others are drawn (always the same ones), the likeliest first. A text
        without a gap comes back as it is. Raises ValueError where the gaps are too far apart, or `n` is below 1.
        """
        if n < 1:
            raise ValueError("n is how many completions to give: 1 or more")
        return [self._filled(text, n) for text in texts]

    def _filled(self, text: str, n: int) -> list[str]:
        outside = HOLE.split(text)
        if len(outside) == 1:
            return [text] * n
        lines = [Line((), 0.0)] * (1 if n == 1 else n * SPREAD)
        for gap in range(len(outside) - 1):
            lines = self._gap_filled(outside, gap, lines)
        first, *others = [(self._joined(outside, line.filled), line.value) for line in lines]
        best = {first[0]: math.inf}
        for whole, value in sorted(others, key=lambda one: (-one[1], one[0])):
            best.setdefault(whole, value)
        found = list(best)[:n]
        return found + found[:1] * (n - len(found))

    def _gap_filled(self, outside: Sequence[str], gap: int, lines: Sequence[Line]) -> list[Line]:
        """Every line with its next gap filled; the first line greedily."""
        asked = [self._question(outside, gap, line.filled) for line in lines]
        settings: dict[str, Any] = {"max_new_tokens": self.longest_fill, "eos": self.marks.end, "pad": self._pad}
        written = sample(self.writer, asked[:1], temperature=0, seed=0, **settings)
        if asked[1:]:
            written += sample(self.writer, asked[1:], temperature=1.0, top_p=0.95, seed=gap, batch=BATCH, **settings)
        return [
            Line((*line.filled, text_of(self.tokenizer, one.ids)), line.value + sum(one.logps))
            for line, one in zip(lines, written, strict=True)
        ]

    def _question(self, outside: Sequence[str], gap: int, filled: Sequence[str]) -> Ids:
        """What the model reads: as much on both sides of the gap as it can. Raises ValueError where that is not enough."""
        start, spans = starting(self.tokenizer), bool(self.settings["spans"])
        if spans:  # all gaps at once
            pieces, done = [*(piece.rstrip() for piece in outside[:-1]), outside[-1]], filled
        else:  # one gap at a time: those before it are filled, and the text ends where the next one is
            last = outside[gap + 1] if gap == len(outside) - 2 else outside[gap + 1].rstrip()
            pieces, done = [self._joined(outside[: gap + 1], filled).rstrip(), last], ()
        tokens = [answer_ids(self.tokenizer, piece) for piece in pieces]
        before = [answer_ids(self.tokenizer, one) for one in done]
        fixed = len(start) + len(tokens) + 2 + sum(map(len, tokens[1:-1])) + sum(len(one) + 1 for one in before)
        room = self._longest - self.longest_fill - fixed
        if room < 0:
            raise ValueError(f"this text is too long: its gaps must stand within {self._longest} tokens")
        kept = min(len(tokens[0]), max(room // 2, room - len(tokens[-1])))
        tokens[0], tokens[-1] = tokens[0][len(tokens[0]) - kept :], tokens[-1][: room - kept]
        first = bool(self.settings["suffix_first"])
        return question(tokens, before, self.marks, spans=spans, suffix_first=first, start=start)

    def _joined(self, outside: Sequence[str], filled: Sequence[str]) -> str:
        """The text with its gaps filled; blanks around a gap are those of the text."""
        whole = outside[0]
        for one, after in zip(filled, outside[1:], strict=True):
            whole += (one.strip() if whole[-1:].isspace() or not whole else one.rstrip()) + after
        return whole

    @property
    def _pad(self) -> int:
        pad = self.tokenizer.pad_token_id
        return int(self.tokenizer.eos_token_id if pad is None else pad)


def open_infiller(folder: Path) -> Infiller:
    """The finished model in a folder. Raises ModelNotOpened."""
    check_folder(folder)
    if not (folder / SETTINGS).is_file():
        raise ModelNotOpened(f"{folder}: no {SETTINGS} in it, so nothing tells how this model is asked to fill a gap")
    return Infiller(folder)


def text_of(tokenizer: Loaded, ids: Sequence[int]) -> str:
    """A gap's tokens as text, without marks."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=True))


def starting(tokenizer: Loaded) -> Ids:
    """What the base has before every text, if anything: its beginning-of-text token, where its tokenizer puts one there."""
    plain = tokenizer("a")["input_ids"]
    return [int(plain[0])] if plain and plain[0] == tokenizer.bos_token_id else []


def marked(model: Loaded, tokenizer: Loaded, seed: int) -> tuple[Marks, list[str]]:
    """The marks and their names. Those that the base knows are taken; the others are added to both, as special tokens.

    A new token begins as the mean of all others, moved a little (Hewitt 2021): a row of zeros, or one drawn as at the start of
    pretraining, can be so unlike the others that it takes or loses all probability.
    """
    import torch

    vocabulary = tokenizer.get_vocab()
    sides = next((names for names in KNOWN if all(name in vocabulary for name in names)), OURS)
    names = [*sides, END, GAP]
    new = [name for name in names if name not in vocabulary]
    if new:
        tokenizer.add_tokens(new, special_tokens=True)
        known = len(vocabulary)
        if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
            model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        rows = tokenizer.convert_tokens_to_ids(new)
        tables = {
            id(table.weight): table.weight for table in (model.get_input_embeddings(), model.get_output_embeddings())
        }
        chance = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for table in tables.values():
                mean, spread = table[:known].mean(0), table[:known].std(0)
                noise = torch.randn(len(rows), table.shape[1], generator=chance).to(table)
                table[rows] = mean + 0.1 * spread * noise
    return Marks(*tokenizer.convert_tokens_to_ids(names)), names

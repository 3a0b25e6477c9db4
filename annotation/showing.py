"""What of an item is put on a screen: its texts as HTML and raw, with self-naming masked if the project asks for it.

What is shown may differ from what is stored in two ways, both counted in `replaced`: names that masking.py hides, and
signs that nobody sees, which stand as their names. Judgements and exports speak of the stored text alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.utils.safestring import SafeString

from annotation import masking
from annotation.masking import Replacement
from annotation.models import Item
from annotation.rendering import render
from annotation.rendering.visible import hidden_signs

SHORT, LONG = 160, 3_000  # characters of the longest answer
LAZY = 8_000  # characters above which a browser lays out only what is near the screen


@dataclass(frozen=True)
class Shown:
    """A text as it is put on screen; `masked` counts the names that were hidden in it."""

    raw: str
    replaced: list[Replacement]
    masked: int

    @cached_property
    def html(self) -> SafeString:
        return render(self.raw)

    @property
    def replaced_json(self) -> str:
        """`[[start, end, shown], …]`, start and end in code points of the stored text: so that a page can count back."""
        return json.dumps(self.replaced, ensure_ascii=False) if self.replaced else ""


def shown(text: str, *, mask: bool = False) -> Shown:
    """`text` for a screen."""
    names = masking.find(text) if mask else []
    signs = [Replacement(*sign) for sign in hidden_signs(text)]
    free = [sign for sign in signs if not any(name.start < sign.end and sign.start < name.end for name in names)]
    replaced = sorted([*names, *free])
    return Shown(masking.apply(text, replaced), replaced, len(names))


def screen(
    *, prompt: Sequence[Mapping[str, str]], passages: Sequence[Mapping[str, str]], texts: Sequence[str], mask: bool
) -> dict[str, Any]:
    """`prompt`, `passages` and `responses` as the templates of the desk take them; `texts` in the order shown."""
    return {
        "prompt": [_message(message, mask=mask) for message in prompt],
        "passages": [{"title": p["title"], "html": shown(p["text"]).html} for p in passages],
        "responses": [_response(place, shown(text, mask=mask)) for place, text in enumerate(texts)],
        "lengths": _lengths(texts),
    }


def _lengths(texts: Sequence[str]) -> str:
    """How the answers are laid out where nobody chose: short ones below each other, long ones in two columns at most."""
    longest = max((len(text) for text in texts), default=0)
    return "short" if longest <= SHORT else "long" if longest >= LONG else ""


def inspected(item: Item) -> dict[str, Any]:
    """The same of an item for a lead: with the sources, nothing masked, but counted what annotators do not see."""
    mask = item.project.mask_names
    responses = [
        {
            "letter": chr(65 + response.position), "html": shown(response.text).html, "source": response.source,
            "masked": len(masking.find(response.text)) if mask else 0,
        }
        for response in item.responses.all()
    ]  # fmt: skip
    return screen(prompt=item.prompt, passages=item.context, texts=(), mask=False) | {"responses": responses}


def _message(message: Mapping[str, str], *, mask: bool) -> dict[str, Any]:
    """Only what a model said can name the model."""
    text = shown(message["content"], mask=mask and message["role"] == "assistant")
    return {"role": message["role"], "html": text.html, "raw": text.raw, "masked": text.masked}


def _response(place: int, text: Shown) -> dict[str, Any]:
    return {
        "index": place, "letter": chr(65 + place), "html": text.html, "raw": text.raw, "masked": text.masked,
        "replaced": text.replaced_json, "long": len(text.raw) > LAZY,
    }  # fmt: skip

"""Right-to-left text: each block of a text gets the direction of its own first letter.

`dir=auto` on the whole would give a German answer that begins with an Arabic word one wrong direction throughout, and on
a list it looks past paragraphs with a direction of their own. A text without right-to-left letters is left alone.
"""

from __future__ import annotations

import re
import unicodedata

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore

RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]")
BLOCKS = {
    "paragraph_open", "heading_open", "bullet_list_open", "ordered_list_open", "list_item_open", "blockquote_open",
    "table_open", "th_open", "td_open",
}  # fmt: skip


def direction_of(text: str) -> str | None:
    """`rtl` or `ltr` by the first letter that has a direction; None if none has."""
    for sign in text:
        kind = unicodedata.bidirectional(sign)
        if kind in ("R", "AL"):
            return "rtl"
        if kind == "L":
            return "ltr"
    return None


def add_direction(markdown: MarkdownIt) -> None:
    """Teaches a parser to set `dir` on the blocks of a text that has right-to-left letters."""
    markdown.core.ruler.push("direction", _set)


def _set(state: StateCore) -> None:
    if not RIGHT_TO_LEFT.search(state.src):
        return
    below: str | None = None
    for token in reversed(state.tokens):
        if token.type == "inline":
            below = direction_of(token.content) or below
        elif token.type in BLOCKS and below:
            token.attrSet("dir", below)

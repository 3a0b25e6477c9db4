"""Turns a model's or a file's text into HTML that cannot harm: markdown-it without raw HTML, then nh3.

The stored text is never touched; annotators can always look at it raw, and it is what leaves by every export.
Beside: formulas (maths), right-to-left blocks (direction), signs that nobody sees (visible).
"""

from __future__ import annotations

from functools import lru_cache

import nh3
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from annotation.rendering import maths
from annotation.rendering.direction import add_direction
from annotation.rendering.keeping import Kept

RENDERED_CHARACTERS = 64_000  # above this a page would stall: such a text is shown raw
RENDERED_BRACKETS = 4_000  # each unclosed one is looked for to the end of the text
HIGHLIGHTED_CHARACTERS = 20_000  # of one block of code
KEPT_CHARACTERS = 32_000_000  # a Python string takes one to four bytes a character

TAGS = {
    "p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "em", "strong", "s", "blockquote", "code", "pre", "ul", "ol",
    "li", "table", "thead", "tbody", "tr", "th", "td", "a", "span", "div",
} | maths.ELEMENTS  # fmt: skip
DIRECTED = ("p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "li", "blockquote", "table", "th", "td")
ATTRIBUTES = {
    "a": {"href", "title"}, "ol": {"start", "dir"}, "span": {"class"}, "code": {"class"}, "div": {"class"},
    **{tag: {"dir"} for tag in DIRECTED},
    **maths.ATTRIBUTES,
}  # fmt: skip


def _coloured(code: str, language: str, _attributes: str) -> str:
    """Code as spans with Pygments' classes; '' lets markdown-it escape it plainly."""
    if not language or len(code) > HIGHLIGHTED_CHARACTERS:
        return ""
    try:
        return highlight(code, get_lexer_by_name(language), HtmlFormatter(nowrap=True))
    except ClassNotFound:
        return ""


@lru_cache(maxsize=1)
def _markdown() -> MarkdownIt:
    options = {"html": False, "linkify": False, "maxNesting": 20, "breaks": True, "highlight": _coloured}
    parser = MarkdownIt("commonmark", options).enable(["table", "strikethrough"]).disable("image")
    maths.add_maths(parser)
    add_direction(parser)
    return parser


def _made(text: str) -> str:
    if len(text) > RENDERED_CHARACTERS or text.count("[") > RENDERED_BRACKETS:
        return format_html('<pre class="plain-text" dir="auto">{}</pre>', text)
    return nh3.clean(
        _markdown().render(text),
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener nofollow ugc",
    )


_kept = Kept(_made, characters=KEPT_CHARACTERS)


def render(text: str) -> SafeString:
    """HTML for `text`; at more than 64,000 characters or 4,000 square brackets the text itself, escaped."""
    return mark_safe(_kept(text))  # noqa: S308 - nh3 or format_html made it


def plain(text: str, limit: int = 120) -> str:
    """One line of `text`, for lists."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip(" .,;:") + "…"

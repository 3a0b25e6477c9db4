"""Turns a model's or a file's text into HTML that cannot harm: markdown-it without raw HTML, then nh3.

The stored text is never touched; annotators can always look at it raw, and it is what leaves by every export.
"""

from functools import lru_cache

import nh3
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

RENDERED_CHARACTERS = 64_000  # above this a page would stall: such a text is shown raw
RENDERED_BRACKETS = 4_000  # each unclosed one is looked for to the end of the text
HIGHLIGHTED_CHARACTERS = 20_000

TAGS = {
    "p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "em", "strong", "s", "blockquote", "code", "pre", "ul", "ol",
    "li", "table", "thead", "tbody", "tr", "th", "td", "a", "span", "div",
}  # fmt: skip
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "span": {"class"}, "code": {"class"}, "div": {"class"}}


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
    return MarkdownIt("commonmark", options).enable(["table", "strikethrough"]).disable("image")


@lru_cache(maxsize=4096)
def render(text: str) -> SafeString:
    """HTML for `text`; at more than 64,000 characters or 4,000 square brackets the text itself, escaped."""
    if len(text) > RENDERED_CHARACTERS or text.count("[") > RENDERED_BRACKETS:
        return format_html('<pre class="raw">{}</pre>', text)
    dirty = _markdown().render(text)
    clean = nh3.clean(
        dirty,
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener nofollow ugc",
    )
    return mark_safe(clean)  # noqa: S308 - nh3 has just cleaned it


def plain(text: str, limit: int = 120) -> str:
    """One line of `text`, for lists."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip(" .,;:") + "…"

"""Text that somebody typed into a form, made fit to be kept: one kind of line end, nothing that no database can hold."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation.kinds.answer import BadAnswer

#: characters; more than any editor in a browser stays pleasant with
MOST_CHARACTERS = 100_000


def one_line_end(text: str) -> str:
    """Browsers send CR LF where somebody pressed Enter; stored texts and comparisons know LF alone."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def typed(text: str, *, most: int = MOST_CHARACTERS) -> str:
    """The text with one kind of line end. Raises BadAnswer for one that is too long or cannot be stored."""
    text = one_line_end(text)
    if "\x00" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise BadAnswer(_("The text holds a character that cannot be kept (NUL, or half a surrogate pair). Remove it."))
    if len(text) > most:
        over = len(text) - most
        message = ngettext(
            "The text is %(over)d character too long; at most %(most)d fit. Shorten it.",
            "The text is %(over)d characters too long; at most %(most)d fit. Shorten it.",
            over,
        )
        raise BadAnswer(message % {"over": over, "most": most})
    return text


def excerpt(text: str, most: int = 60) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"

"""What rows are called when people are told how many there are, and how many more it takes."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext, gettext_lazy, ngettext_lazy

from webapp.saying import number

_ROWS = {
    "text": gettext_lazy("passages of raw text"), "prompt": gettext_lazy("prompts"),
    "demonstration": gettext_lazy("written answers"),
    "label": gettext_lazy("labels"), "rating": gettext_lazy("ratings"),
    "unpaired": gettext_lazy("answers called good or bad"), "pair": gettext_lazy("comparisons"),
    "ranking": gettext_lazy("rankings"),
}  # fmt: skip
_MORE = {
    "text": ngettext_lazy("%(n)s more passage of text", "%(n)s more passages of text", "count"),
    "prompt": ngettext_lazy("%(n)s more prompt", "%(n)s more prompts", "count"),
    "demonstration": ngettext_lazy("%(n)s more written answer", "%(n)s more written answers", "count"),
    "label": ngettext_lazy("%(n)s more label", "%(n)s more labels", "count"),
    "rating": ngettext_lazy("%(n)s more rating", "%(n)s more ratings", "count"),
    "unpaired": ngettext_lazy("%(n)s more answer called good or bad", "%(n)s more answers called good or bad", "count"),
    "pair": ngettext_lazy("%(n)s more comparison", "%(n)s more comparisons", "count"),
    "ranking": ngettext_lazy("%(n)s more ranking", "%(n)s more rankings", "count"),
}
_VERBS = {
    "generate": gettext_lazy("a model that writes"), "score": gettext_lazy("a judge that scores answers"),
    "embed": gettext_lazy("a model that finds texts alike"), "classify": gettext_lazy("a model that labels texts"),
    "fill": gettext_lazy("a model that fills gaps"),
}  # fmt: skip


def rows(kind: str) -> str:
    """`comparisons`."""
    return str(_ROWS[kind])


def more(kind: str, count: int) -> str:
    """`12 more rankings`."""
    return str(_MORE[kind] % {"count": count, "n": number(count)})


def about_more(kind: str, count: int) -> str:
    """`about 290 more rankings`, in two digits: it is an estimate."""
    digits = max(0, len(str(count)) - 2)
    return gettext("about %(more)s") % {"more": more(kind, -(-count // 10**digits) * 10**digits)}


def gives(verbs: Sequence[str]) -> str:
    """What a method would leave: named after the first of its model's verbs."""
    return str(_VERBS[verbs[0]])


def either(words: Sequence[str]) -> str:
    """`a, b or c`."""
    if len(words) < 2:
        return "".join(words)
    return gettext("%(most)s or %(last)s") % {"most": ", ".join(words[:-1]), "last": words[-1]}


def both(words: Sequence[str]) -> str:
    """`a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return gettext("%(most)s and %(last)s") % {"most": ", ".join(words[:-1]), "last": words[-1]}

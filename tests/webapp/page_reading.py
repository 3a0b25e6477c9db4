"""Reads a rendered page the way a browser would, and names everything in it that could run or leave the site."""

from __future__ import annotations

import re
from html.parser import HTMLParser

OURS = {
    "html", "head", "meta", "title", "link", "script", "body", "a", "abbr", "header", "nav", "main", "div", "span", "p",
    "h1", "h2", "h3", "h4", "h5", "h6", "em", "strong", "s", "b", "i", "small", "kbd", "code", "pre", "blockquote", "hr",
    "br", "ul", "ol", "li", "dl", "dt", "dd", "table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "form",
    "fieldset", "legend", "label", "input", "select", "option", "optgroup", "textarea", "button", "datalist", "output",
    "progress", "meter", "details", "summary", "dialog", "section", "article", "aside", "footer", "figure", "figcaption",
    "canvas", "noscript", "svg", "path", "circle", "line", "rect", "g", "text", "time", "template",
    "math", "mrow", "mi", "mo", "mn", "mtext", "ms", "mspace", "mfrac", "msqrt", "mroot", "mstyle", "mpadded", "mphantom",
    "menclose", "msub", "msup", "msubsup", "munder", "mover", "munderover", "mmultiscripts", "mprescripts", "mtable", "mtr",
    "mtd",
}  # fmt: skip
ADDRESSES = {"href", "src", "action", "formaction", "xlink:href", "data", "poster", "background", "cite", "srcset"}
SCHEMES = {"http", "https", "mailto"}
FORBIDDEN = {"style", "srcdoc", "formaction", "background", "ping", "http-equiv"}


class Page(HTMLParser):
    """All elements of a page in order, and the text that stands inside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.code: list[str] = []
        self.texts: list[str] = []
        self._inside = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._inside = tag if tag in ("script", "style") else self._inside

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        (self.code if self._inside else self.texts).append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def value(self, name: str) -> str:
        """The value of the first input of that name."""
        return next(attributes.get("value", "") for attributes in self.all("input") if attributes.get("name") == name)


def dangers(html: str) -> list[str]:
    """What a strict page must not hold: code, handlers, styles, foreign elements, addresses that are no addresses."""
    page = Page(html)
    found = [f"code inside the page: {code[:80]}" for code in page.code if code.strip()]
    for tag, attributes in page.elements:
        if tag not in OURS:
            found.append(f"<{tag}>")
        if tag == "script" and not attributes.get("src", "").startswith("/static/"):
            found.append(f"<script> from {attributes.get('src')!r}")
        if tag == "link" and not attributes.get("href", "").startswith("/static/"):
            found.append(f"<link> to {attributes.get('href')!r}")
        for name, value in attributes.items():
            if name.startswith("on") or name in FORBIDDEN:
                found.append(f"<{tag} {name}={value[:60]!r}>")
            if name in ADDRESSES and not harmless(value):
                found.append(f"<{tag} {name}={value[:60]!r}>")
    return found


def harmless(address: str) -> bool:
    """Whether a browser would go to a page for it; browsers drop control characters and blanks before they look."""
    stripped = re.sub(r"[\x00-\x20\x7f-\x9f]", "", address).lower()
    scheme = re.match(r"([a-z][a-z0-9+.\-]*):", stripped)
    return scheme is None or scheme.group(1) in SCHEMES

"""Gathers every sentence that the site says, and keeps the catalogues of its languages in step with them.

`make translations` runs it: it reads code, templates, scripts and the built-in plugins' descriptions, writes what is new into
`locale/<language>/LC_MESSAGES/*.po` with an empty translation, drops what is gone, and makes from the catalogues what the
site reads: `django.mo` for the server and `static/webapp/words/<language>.js` for the browser. Both are kept in the
repository, so that running the site needs neither GNU gettext nor Babel; a test compares them with their catalogues.
"""

from __future__ import annotations

import ast
import io
import json
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from django.template.base import Lexer, Token, TokenType
from django.utils.text import smart_split
from django.utils.translation import trim_whitespace

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

ROOT = Path(__file__).resolve().parents[2]
LOCALE = ROOT / "platform" / "webapp" / "locale"
WORDS = ROOT / "platform" / "webapp" / "static" / "webapp" / "words"
APPS = ("platform/webapp", "annotation", "training")
PLUGINS = "plugins"
LANGUAGES = ("de",)
SERVER, BROWSER = "django", "djangojs"
KEYWORDS = {
    "gettext": None, "gettext_lazy": None, "gettext_noop": None, "_": None, "ngettext": (1, 2), "ngettext_lazy": (1, 2),
}  # fmt: skip
#: headers that would make every renewal a change
CHANGING = re.compile(rb'^"(?:Project-Id|Report-|POT-|PO-Rev|Last-Tr|Language-Team|Generated-By)[^\n]*\n', re.MULTILINE)
DAY = datetime(2026, 1, 1, tzinfo=UTC)
#: what a plugin says of itself and its settings
TOLD_BY_PLUGINS = {"title", "summary", "description"}
#: what a .toml file of an app says to people
TOLD_BY_DATA = {"text", "asks", "yes"}
#: in `Field(json_schema_extra={"group": ...})`: the heading that a form folds a setting under
GROUP = "group"


class Sentence(NamedTuple):
    """`many` is empty where nothing is counted; `place` is a file of the repository."""

    one: str
    many: str
    place: str

    @property
    def id(self) -> str | tuple[str, str]:
        return (self.one, self.many) if self.many else self.one


def sentences(domain: str) -> list[Sentence]:
    """All that code, templates and plugins say (`django`), or all that scripts say (`djangojs`)."""
    return list(_of_server() if domain == SERVER else _of_browser())


def _of_server() -> Iterator[Sentence]:
    for app in APPS:
        for file in sorted((ROOT / app).rglob("*.py")):
            if "migrations" not in file.parts and file != Path(__file__):
                yield from _of_code(file, "python")
        for file in sorted((ROOT / app).rglob("templates/**/*.html")):
            for one, many in of_template(file.read_text("utf-8")):
                yield Sentence(one, many, _place(file))
        for file in sorted((ROOT / app).rglob("*.toml")):
            for text in of_data(tomllib.loads(file.read_text("utf-8"))):
                yield Sentence(text, "", _place(file))
    for file in sorted((ROOT / PLUGINS).rglob("*.py")):
        for text in of_plugin(file.read_text("utf-8")):
            yield Sentence(text, "", _place(file))


def of_data(entry: object) -> Iterator[str]:
    """What rules and questions that are kept as data say: the texts under these names, however deep they stand."""
    if isinstance(entry, dict):
        yield from (str(value) for name, value in entry.items() if name in TOLD_BY_DATA and isinstance(value, str))
    for inner in entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ():
        yield from of_data(inner)


def _of_browser() -> Iterator[Sentence]:
    for app in APPS:
        for file in sorted((ROOT / app).rglob("static/**/*.js")):
            if "vendor" not in file.parts and WORDS not in file.parents:
                yield from _of_code(file, "javascript")


def _of_code(file: Path, language: str) -> Iterator[Sentence]:
    from babel.messages.extract import extract

    for _, found, _, _ in extract(language, io.BytesIO(file.read_bytes()), keywords=KEYWORDS):
        one, many = (found[0], found[1]) if isinstance(found, tuple) else (found, "")
        if one:
            yield Sentence(one, many, _place(file))


def of_template(source: str) -> Iterator[tuple[str, str]]:
    """(one, many) of every `{% translate %}`, `{% blocktranslate %}` and `_("...")` of a template."""
    tokens = iter(Lexer(source).tokenize())
    for token in tokens:
        if token.token_type not in (TokenType.BLOCK, TokenType.VAR):
            continue
        for text in re.findall(r"""_\(("[^"]*"|'[^']*')\)""", token.contents):
            yield text[1:-1], ""
        words = list(smart_split(token.contents))
        if token.token_type == TokenType.BLOCK and words[0] in ("translate", "trans"):
            if words[1][0] in "'\"":
                yield words[1][1:-1].replace("%", "%%"), ""
        elif token.token_type == TokenType.BLOCK and words[0] in ("blocktranslate", "blocktrans"):
            yield _of_block(tokens, "trimmed" in words)


def _of_block(tokens: Iterator[Token], trimmed: bool) -> tuple[str, str]:
    """Reads on to the end of the block."""
    parts = ["", ""]
    at = 0
    for token in tokens:
        if token.token_type == TokenType.TEXT:
            parts[at] += token.contents.replace("%", "%%")
        elif token.token_type == TokenType.VAR:
            parts[at] += f"%({token.contents.split('|')[0]})s"
        elif token.contents.startswith("plural"):
            at = 1
        else:
            break
    one, many = (trim_whitespace(part) if trimmed else part for part in parts)
    return one, many


def of_plugin(source: str) -> Iterator[str]:
    """Titles, summaries and descriptions, groups of settings, and the titles that pydantic makes of the names of settings."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if (
                    isinstance(key, ast.Constant)
                    and key.value == GROUP
                    and isinstance(value, ast.Constant)
                    and value.value
                ):
                    yield str(value.value)
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg in TOLD_BY_PLUGINS and isinstance(keyword.value, ast.Constant):
                    yield str(keyword.value.value)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and _is_untitled(node.value):
            yield node.target.id.replace("_", " ").title()


def _is_untitled(value: ast.expr | None) -> bool:
    """Whether it is a setting without a title of its own."""
    if not isinstance(value, ast.Call) or not ast.unparse(value.func).endswith("Field"):
        return False
    return all(keyword.arg != "title" for keyword in value.keywords)


def _place(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def po(language: str, domain: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / f"{domain}.po"


def catalogue(language: str, domain: str) -> Catalog:
    """As it stands in its file."""
    from babel.messages.pofile import read_po

    with po(language, domain).open("rb") as file:
        return read_po(file, locale=language, domain=domain)


def renewed(language: str, domain: str, found: Iterable[Sentence]) -> Catalog:
    """The catalogue with what is new in it, untranslated, and without what is gone."""
    from babel.messages.catalog import Catalog

    old = catalogue(language, domain)
    new = Catalog(locale=language, domain=domain, header_comment=old.header_comment, fuzzy=False)
    for sentence in found:
        known = old.get(sentence.one)
        text = known.string if known and bool(known.pluralizable) == bool(sentence.many) else None
        message = new.add(sentence.id, text, locations=[(sentence.place, 0)])
        message.flags.discard("fuzzy")
    return new


def written(catalogue: Catalog) -> bytes:
    """The text of a .po file."""
    from babel.messages.pofile import write_po

    file = io.BytesIO()
    write_po(file, catalogue, width=120, sort_by_file=True, include_lineno=False, ignore_obsolete=True)
    return CHANGING.sub(b"", file.getvalue())


def compiled(catalogue: Catalog) -> bytes:
    """The content of a .mo file."""
    from babel.messages.mofile import write_mo

    catalogue.creation_date = catalogue.revision_date = DAY  # the same catalogue gives the same bytes
    file = io.BytesIO()
    write_mo(file, catalogue)
    return file.getvalue()


def as_script(catalogue: Catalog) -> str:
    """A classic script that offers what words.js looks for: gettext and ngettext of one language."""
    texts = {}
    for message in catalogue:
        if message.id and is_translated(message.string):
            key = message.id if isinstance(message.id, str) else message.id[0]
            texts[key] = message.string if isinstance(message.string, str) else list(message.string or ())
    listed = ",\n".join(f"    {json.dumps(key)}: {json.dumps(texts[key], ensure_ascii=False)}" for key in sorted(texts))
    return (
        f"/* Made by `make translations` from locale/{catalogue.locale}/LC_MESSAGES/{BROWSER}.po. */\n"
        "(() => {\n"
        f"  /** @type {{Record<string, string | string[]>}} */\n  const texts = {{\n{listed}\n  }};\n"
        "  /** @param {string} text @returns {string} */\n"
        "  const gettext = (text) => [texts[text] ?? text].flat()[0];\n"
        "  /** @param {string} one @param {string} many @param {number} n @returns {string} */\n"
        "  const ngettext = (one, many, n) => {\n"
        f"    const form = Number({catalogue.plural_expr});\n"
        "    return [texts[one] ?? [one, many]].flat()[form] ?? many;\n"
        "  };\n"
        "  Object.assign(globalThis, { gettext, ngettext });\n"
        "})();\n"
    )


def main() -> None:
    """Renews every catalogue and what is made of it; says what is still to be translated."""
    for language in LANGUAGES:
        for domain in (SERVER, BROWSER):
            made = renewed(language, domain, sentences(domain))
            po(language, domain).write_bytes(written(made))
            missing = [message.id for message in made if message.id and not is_translated(message.string)]
            if domain == SERVER:
                po(language, domain).with_suffix(".mo").write_bytes(compiled(made))
            else:
                WORDS.mkdir(exist_ok=True)
                (WORDS / f"{language}.js").write_text(as_script(made), "utf-8")
            sys.stdout.write(f"{language} {domain}: {len(made)} sentences, {len(missing)} to translate\n")
            sys.stdout.write("".join(f"  {identity!r}\n" for identity in missing))


def is_translated(text: str | Sequence[str] | None) -> bool:
    """Every form of a message has its words."""
    return bool(text) and (isinstance(text, str) or all(text or ()))


if __name__ == "__main__":
    main()

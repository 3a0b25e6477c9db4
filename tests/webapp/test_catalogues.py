"""Both languages are complete: every sentence is wrapped, stands in the German catalogue and is translated there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog

from webapp import translating

ROOT = translating.ROOT
DOMAINS = [(language, domain) for language in translating.LANGUAGES for domain in ("django", "djangojs")]
RENEW = "run `make translations`, translate what it lists, and run it again"
#: English and German say these alike
ALIKE = re.compile(
    r"Plugins?|Labels?|Mails|Dropout|Worker|Trainers?|Token|Name|Feinschliff|in %\(name\)s|Text|Version|Status|Prompts?|Export|"
    r"Ray-?cluster|JSON|PPO|Beta|Gamma|Minibatches|\d|%\(n\)s s|Version %\(\w+\)s|Codes|Id|Import|Normal|Pseudonym|"
    r"\W*|%\(\w+\)s(?:[^a-zA-Z]|%\(\w+\)s)*"
)
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%%")
TEMPLATES = [file for app in translating.APPS for file in sorted((ROOT / app).rglob("templates/**/*.html"))]
SCRIPTS = [
    file for app in translating.APPS for file in sorted((ROOT / app).rglob("static/**/*.js"))
    if "vendor" not in file.parts and "words" not in file.parts
]  # fmt: skip
VIEWS = [
    file for app in translating.APPS for file in sorted((ROOT / app).rglob("*.py")) if "management" not in file.parts
]
#: names, keys of the keyboard and file endings: the same in every language
NAMES = re.compile(
    r"(?:Feinschliff|Esc|Enter|Backspace|Ctrl|Alt|Shift|Tab|jsonl|hub:owner/name, local:/folder|\b\w|[ +])+"
)


@cache
def found(domain: str) -> tuple[translating.Sentence, ...]:
    return tuple(translating.sentences(domain))


def kept(language: str, domain: str) -> Catalog:
    return translating.catalogue(language, domain)


def forms(text: str | tuple[str, ...] | list[str] | None) -> list[str]:
    return [text] if isinstance(text, str) else list(text or ())


@pytest.mark.parametrize(("language", "domain"), DOMAINS)
def test_the_catalogue_holds_every_sentence_and_no_other(language: str, domain: str) -> None:
    there = {message.id for message in kept(language, domain) if message.id}
    said = {message.id for message in translating.renewed(language, domain, found(domain)) if message.id}
    assert said - there == set(), RENEW
    assert there - said == set(), RENEW


@pytest.mark.parametrize(("language", "domain"), DOMAINS)
def test_every_sentence_is_translated_and_none_is_a_guess(language: str, domain: str) -> None:
    catalogue = kept(language, domain)
    assert [m.id for m in catalogue if m.id and not translating.is_translated(m.string)] == []
    assert [m.id for m in catalogue if m.id and m.fuzzy] == []
    assert [m.id for m in catalogue if m.pluralizable and len(forms(m.string)) != catalogue.num_plurals] == []
    assert catalogue.plural_expr == "(n != 1)"


@pytest.mark.parametrize(("language", "domain"), DOMAINS)
def test_a_translation_has_the_places_of_its_sentence(language: str, domain: str) -> None:
    wrong = []
    for message in kept(language, domain):
        if not message.id:
            continue
        wanted = set(PLACEHOLDER.findall(forms(message.id)[-1]))
        for text in forms(message.string):
            # a form for exactly one may leave the number out
            missing = (
                wanted
                - set(PLACEHOLDER.findall(text))
                - ({"%(n)s", "%(n)d", "%(count)s"} if message.pluralizable else set())
            )
            extra = set(PLACEHOLDER.findall(text)) - wanted
            tags = sorted(re.findall(r"<[^>]+>", text)) != sorted(re.findall(r"<[^>]+>", forms(message.id)[-1]))
            if missing or extra or tags:
                wrong.append((message.id, text))
    assert wrong == []


@pytest.mark.parametrize(("language", "domain"), DOMAINS)
def test_what_is_called_a_translation_is_none_of_the_english_words(language: str, domain: str) -> None:
    same = [m.id for m in kept(language, domain) if m.id and forms(m.id)[0] == forms(m.string)[0]]
    assert [text for text in same if not ALIKE.fullmatch(forms(text)[0])] == []


@pytest.mark.parametrize("language", translating.LANGUAGES)
def test_what_the_site_reads_was_made_from_the_catalogues_as_they_stand(language: str) -> None:
    made = translating.compiled(kept(language, "django"))
    assert translating.po(language, "django").with_suffix(".mo").read_bytes() == made, RENEW
    script = (translating.WORDS / f"{language}.js").read_text("utf-8")
    assert script == translating.as_script(kept(language, "djangojs")), RENEW


def bare(source: str) -> Iterator[str]:
    """Words of a template that no tag translates: texts, and attributes that are read out."""
    source = re.sub(r"{%\s*comment.*?endcomment\s*%}|{#.*?#}", "", source, flags=re.DOTALL)
    source = re.sub(r"{%\s*block \w*class %}.*?{% endblock %}", "", source)
    source = re.sub(r"{%\s*blocktrans(?:late)?\b.*?endblocktrans(?:late)?\s*%}", "\0", source, flags=re.DOTALL)
    source = re.sub(r"<(code|pre|svg|script)\b.*?</\1>", "", source, flags=re.DOTALL)
    source = re.sub(r"{[{%].*?[%}]}", "\0", source, flags=re.DOTALL)
    for _, text in re.findall(r'\b(aria-label|title|placeholder|alt)="([^"]*)"', source):
        yield from text.split("\0")
    for text in re.split(r"[\n\0]", re.sub(r"<[^>]*>", "\n", source)):
        yield re.sub(r"&\w+;", "", text)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_holds_words_that_are_not_translated(path: Path) -> None:
    words = [text.strip(" \t·:;,.…()/+-–") for text in bare(path.read_text("utf-8"))]
    found = [text for text in words if re.search(r"[A-Za-z]{2}", text) and not NAMES.fullmatch(text)]
    # a part of an id or a class is cut out of its attribute by the tags in it
    assert [text for text in found if not re.fullmatch(r"earlier|said|who|[\w-]*-", text)] == []


SAID = {"success", "info", "error", "warning"}
TOLD = {"label", "help_text", "empty_label"}


def unwrapped(tree: ast.AST) -> Iterator[str]:
    """Plain texts where a reader's words belong: messages, and the words around a form's fields."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if ast.unparse(node.func).startswith("messages.") and len(node.args) > 1 and is_plain(node.args[1]):
            yield f"line {node.lineno}: {ast.unparse(node.args[1])}"
        if ast.unparse(node.func).startswith("forms.") or ast.unparse(node.func).endswith("ValidationError"):
            for value in [*node.args[:1], *(k.value for k in node.keywords if k.arg in TOLD)]:
                if is_plain(value):
                    yield f"line {node.lineno}: {ast.unparse(value)}"


def is_plain(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(node.value)
    )


@pytest.mark.parametrize("path", VIEWS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_view_says_anything_that_is_not_translated(path: Path) -> None:
    assert list(unwrapped(ast.parse(path.read_text("utf-8")))) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_says_anything_that_is_not_translated(path: Path) -> None:
    sinks = r'(?:textContent|placeholder|ariaLabel|\.title|\bsay\(|\bask\(|"aria-label",)'
    shown = sinks + r"""\s*[=:(]?\s*(["'`](?!Shift)[A-Za-z][a-z]+ [^"'`]*["'`])"""
    assert re.findall(shown, path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "source",
    ["<p>Two words</p>", '<a title="Two words">', "{% if x %}Word{% endif %}", '<p aria-label="{{ name }} said">'],
)
def test_the_search_finds_words_that_are_not_translated(source: str) -> None:
    assert any(re.search(r"[A-Za-z]{2}", text) for text in bare(source))


def test_sentences_are_found_wherever_they_stand() -> None:
    template = (
        '{% translate "One %" %}{% blocktranslate count n=x trimmed %}\n {{ n }} item\n{% plural %}\n {{ n }} items\n'
        '{% endblocktranslate %}{% include "x" with y=_("Two") %}'
    )
    assert list(translating.of_template(template)) == [("One %%", ""), ("%(n)s item", "%(n)s items"), ("Two", "")]
    plugin = 'class C(M):\n    batch_rows: int = Field(3, description="How many.")'
    assert set(translating.of_plugin(plugin)) == {"How many.", "Batch Rows"}

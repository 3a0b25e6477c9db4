"""Hides on screen where an answer says which model wrote it: “I'm Claude, made by Anthropic”, “Als ChatGPT kann ich …”.

Only self-naming: an answer about Claude Monet or about Google stays as it is. The stored text and every export stay too.
FastChat drops whole battles whose text contains such a word anywhere (clean_battle_data.py); masking keeps the judgement.
The words stand in self_naming.toml, so that a new model is a line there.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from django.utils.translation import gettext

WORDS = Path(__file__).with_name("self_naming.toml")
MOST_STEPS = 40  # words and signs between an opener and the name it speaks of
ALL_STEPS = 100_000  # of one text: a hostile one could make a chain begin at every word
SURNAME = re.compile(r" (?!(?:I|Ich)\b)[A-ZÄÖÜ]\w")
REACH = 400  # characters from an opener within which a name has to stand for a chain to be worth following
BREAK = r"(?!\w)"
VERSION = r"(?i:(?:[- ]?v?\d+(?:\.\d+)*[a-z]{{0,2}}(?!\w))?(?:[- ](?:{versions}|\d+(?:\.\d+)?b)(?!\w))*)"


class Replacement(NamedTuple):
    """What stands in the text from `start` to `end` (code points) and what is shown for it."""

    start: int
    end: int
    shown: str


class Found(NamedTuple):
    start: int
    end: int
    kind: str  # "name" or "maker"


class Language(NamedTuple):
    """The words of one language, compiled: openers begin a chain, steps carry it on to a name."""

    openers: re.Pattern[str]
    step: re.Pattern[str]
    article: frozenset[str]
    places: frozenset[str]
    by: frozenset[str]
    noun: re.Pattern[str]
    me: re.Pattern[str]
    patterns: list[re.Pattern[str]]


class Lists(NamedTuple):
    """All of self_naming.toml, compiled."""

    prefixes: frozenset[str]
    some: re.Pattern[str]
    plain: re.Pattern[str]
    ambiguous: re.Pattern[str]
    maker: re.Pattern[str]
    languages: list[Language]


def mask(text: str) -> tuple[str, list[Replacement]]:
    """The text as an annotator may see it, and what was replaced in it, in order."""
    replacements = find(text)
    return apply(text, replacements), replacements


def apply(text: str, replacements: Iterable[tuple[int, int, str]]) -> str:
    """`text` with each piece replaced; they are in order and do not overlap."""
    parts, at = [], 0
    for start, end, shown in replacements:
        parts += [text[at:start], shown]
        at = end
    return "".join([*parts, text[at:]])


def find(text: str) -> list[Replacement]:
    """Where the text names its own model or that model's maker."""
    words = {"name": gettext("⟨the model⟩"), "maker": gettext("⟨its maker⟩")}
    return [Replacement(start, end, words[kind]) for start, end, kind in _found(text)]


@lru_cache(maxsize=512)
def _found(text: str) -> tuple[Found, ...]:
    lists, small = _lists(), _lowered(text)
    if not any(word in small for word in lists.prefixes):
        return ()
    names = [match.start() for match in lists.some.finditer(small)]
    reading = _Reading(text, small, lists, names)
    kept: list[Found] = []
    for piece in sorted({piece for language in lists.languages for piece in reading.self_namings(language)}):
        if not kept or piece.start >= kept[-1].end:
            kept.append(piece)
    return tuple(kept)


def _lowered(text: str) -> str:
    """In small letters, each at its place: of İ Python makes two."""
    small = text.lower()
    return small if len(small) == len(text) else "".join(s if len(s := sign.lower()) == 1 else sign for sign in text)


class _Reading:
    """One text, while it is read for its self-namings."""

    def __init__(self, text: str, small: str, lists: Lists, names: list[int]) -> None:
        self._text, self._small, self._lists, self._names = text, small, lists, names
        self._steps = ALL_STEPS

    def self_namings(self, language: Language) -> Iterator[Found]:
        for pattern in language.patterns:
            for match in pattern.finditer(self._small):
                kind = match.lastgroup or "name"
                yield Found(*match.span(kind), kind)
        for opener in language.openers.finditer(self._small):
            near = bisect_left(self._names, opener.end())
            if near < len(self._names) and self._names[near] - opener.end() < REACH:
                yield from self._chain(opener, language)

    def _chain(self, opener: re.Match[str], language: Language) -> Iterator[Found]:
        """From an opener over words that may stand there to the names that it speaks of."""
        at, word = opener.end(), ""
        only_as, of_model = opener.lastgroup == "as", opener.lastgroup == "owner"
        waiting: list[Found] = []  # German says only at the end that somebody made something
        for _ in range(min(MOST_STEPS, self._steps)):
            self._steps -= 1
            name, maker = self._name(at, word, language), self._lists.maker.match(self._small, at)
            if name and maker and (maker.end() > name.end() or (maker.end() == name.end() and of_model)):
                name = None
            if name and (of_model or not only_as or language.me.match(self._small, name.end())):
                yield Found(*name.span(), "name")
                at, word, of_model = name.end(), "", True
            elif maker and (of_model or word in language.by):
                waiting.append(Found(*maker.span(), "maker"))
                at, word = maker.end(), ""
            elif step := language.step.match(self._small, at):
                of_model = of_model or step.lastgroup in ("noun", "made")
                word = word if step.lastgroup == "sign" else step[0]
                at = step.end()
            else:
                break
            if of_model:
                yield from waiting
                waiting.clear()

    def _name(self, at: int, word: str, language: Language) -> re.Match[str] | None:
        """A model's name that stands `at`, `word` being the one before."""
        if plain := self._lists.plain.match(self._small, at):
            return plain
        name = self._lists.ambiguous.match(self._text, at)
        if name is None or word in language.places:
            return None
        if word in language.article:  # “I am a Gemini”, but “I am a Gemini model”
            return name if language.noun.match(self._small, name.end()) else None
        return None if SURNAME.match(self._text, name.end()) else name


@lru_cache(maxsize=1)
def _lists() -> Lists:
    words = tomllib.loads(WORDS.read_text(encoding="utf-8"))
    names = words["names"]
    version = VERSION.format(versions=_any(names["versions"]))
    plain, maker = f"(?:{_any(names['plain'])}){version}{BREAK}", f"(?:{_any(names['makers'])}){BREAK}"
    capital = f"(?:{_any(_capitals(names['ambiguous']))}){version}{BREAK}"
    return Lists(
        prefixes=frozenset(word.split()[0] for key in ("plain", "ambiguous", "makers") for word in names[key]),
        some=re.compile(f"(?<!\\w)(?:{_any([*names['plain'], *names['ambiguous'], *names['makers']])})"),
        plain=re.compile(plain),
        ambiguous=re.compile(capital),
        maker=re.compile(maker),
        languages=[_language(language, plain, maker) for language in words["languages"]],
    )


def _language(words: dict[str, list[str]], name: str, maker: str) -> Language:
    """The patterns know only names that are nothing else."""
    openers = "|".join(
        f"(?P<{group}>{_any(words[key])})" for group, key in (("opener", "openers"), ("owner", "owners"), ("as", "as"))
    )
    groups = "|".join(
        f"(?P<{group}>{_any(words[key])})(?!\\w)"
        for group, key in (("noun", "nouns"), ("made", "made"), ("link", "links"))
    )
    signs = r"(?P<sign>[ \t]+|[ \t]*\n[ \t]*(?=\S)|[-,:*_\"'“”„‘’`()\[\]–—])"
    me = f'(?:[\'’]?[ ,*_"”“]+\\w+){{0,2}}?[ ,*_"”“]+(?:{_any(words["me"])})(?!\\w)'
    return Language(
        openers=re.compile(rf"(?<!\w)(?:{openers})(?=[\s,:*_\"“„(])"),
        step=re.compile(f"{groups}|{signs}"),
        article=frozenset(words["articles"]),
        places=frozenset(words["places"]),
        by=frozenset(words["by"]),
        noun=re.compile(rf"[- ](?:{_any(words['nouns'])})(?!\w)"),
        me=re.compile(me),
        patterns=[
            re.compile(p.replace("{name}", name).replace("{maker}", maker), re.MULTILINE) for p in words["patterns"]
        ],
    )


def _any(words: Iterable[str]) -> str:
    """One of the words, the longest that fits."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


def _capitals(words: Iterable[str]) -> list[str]:
    """“Claude” and “CLAUDE” for “claude”; “LLaMA” as its makers write it."""
    spelt = {"llama": ["LLaMA"], "palm": ["PaLM"]}
    return [form for word in words for form in (word.title(), word.upper(), *spelt.get(word, []))]

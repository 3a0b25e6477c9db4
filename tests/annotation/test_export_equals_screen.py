"""For every kind of question: what a form says is what is stored, what the page shows again, and what a snapshot holds.

`CASES` names for each kind the options that it is asked with, a strategy for its answers, and in plain words of its own what
must stand in a snapshot. A new kind fails here until it has an entry.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation import asking, belonging
from annotation.kinds import KINDS, Fields
from annotation.kinds.answer import competition_ranks
from annotation.models import Assignment, Judgement, Project
from tests.annotation.test_judging import entered
from tests.builders import as_lines, bring_in, claim, person, signed_in
from training import freezing

#: line ends of all kinds, signs beyond the first plane, combining marks, right to left, markup, and an empty answer
TEXTS = ["The 😀 sea\r\nrises. <b>x</b>", "שלום עולם, e\u0301té\rend", "a\u200db & \"c\" 'd' \\u0041 \\", "plain"]
PROMPT = "Why <i>tides</i>? 🌊"
#: what people may type and a database can hold
written = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=30)


@dataclass(frozen=True)
class Case:
    """`answers` draws an answer to an item with so many responses; `rows` says what a kind of row holds of it."""

    options: dict[str, Any]
    answers: Callable[[int], st.SearchStrategy[dict[str, Any]]]
    rows: Callable[[str, dict[str, Any], list[str]], list[dict[str, Any]] | None]


def one_line_end(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def rankings(count: int) -> st.SearchStrategy[dict[str, Any]]:
    given_ranks = st.lists(st.none() | st.integers(1, count), min_size=count, max_size=count)
    ranks = given_ranks.filter(lambda r: sum(one is not None for one in r) > 1)
    orders = ranks.map(lambda r: {"ranks": competition_ranks(r)})
    return orders | orders.map(lambda r: r | {"none_acceptable": True})


def ranked(kind: str, answer: dict[str, Any], texts: list[str]) -> list[dict[str, Any]] | None:
    if kind == "ranking":
        return [{"completions": texts, "ranks": answer["ranks"]}]
    if kind == "pair":
        return [
            {"chosen": texts[i], "rejected": texts[j]}
            for i, one in enumerate(answer["ranks"])
            for j, two in enumerate(answer["ranks"])
            if one is not None and two is not None and one < two
        ]
    return [{"completion": text, "label": False} for text in texts] if answer.get("none_acceptable") else []


def comparisons(count: int) -> st.SearchStrategy[dict[str, Any]]:
    better = st.builds(
        lambda w, s: {"winner": w, "strength": s, "tie": None}, st.sampled_from([1, 2]), st.integers(1, 3)
    )
    ties = st.sampled_from(["good", "bad"]).map(lambda tie: {"winner": 0, "strength": None, "tie": tie})
    return better | ties


def compared(kind: str, answer: dict[str, Any], texts: list[str]) -> list[dict[str, Any]] | None:
    winner = answer["winner"]
    if kind == "ranking":
        return [{"completions": texts, "ranks": {0: [1, 1], 1: [1, 2], 2: [2, 1]}[winner]}]
    if kind == "pair":
        margin = answer["strength"]
        return [{"chosen": texts[winner - 1], "rejected": texts[2 - winner], "margin": margin}] if winner else []
    good = [answer["tie"] == "good"] * 2 if not winner else [winner == 1, winner == 2]
    return [{"completion": text, "label": label} for text, label in zip(texts, good, strict=True)]


def ratings(count: int) -> st.SearchStrategy[dict[str, Any]]:
    one = st.fixed_dictionaries({"true": st.integers(0, 4), "clear": st.none() | st.integers(0, 4)})
    return st.lists(one, min_size=count, max_size=count).map(lambda scores: {"scores": scores})


def rated(kind: str, answer: dict[str, Any], texts: list[str]) -> list[dict[str, Any]] | None:
    if kind != "rating":
        return None  # rankings out of ratings have tests of their own
    said = [{name: float(n) for name, n in scores.items() if n is not None} for scores in answer["scores"]]
    return [{"completion": text, "scores": scores} for text, scores in zip(texts, said, strict=True)]


def labels(count: int) -> st.SearchStrategy[dict[str, Any]]:
    names = ["sea", "land/hill", "land/dale"]
    some = st.sets(st.sampled_from(names), max_size=3).map(lambda chosen: sorted(chosen, key=names.index))
    return st.lists(some, min_size=count, max_size=count).map(lambda lists: {"labels": lists})


def labelled(kind: str, answer: dict[str, Any], texts: list[str]) -> list[dict[str, Any]] | None:
    said = zip(texts, answer["labels"], strict=True)
    turns = [[{"role": "user", "content": PROMPT}, {"role": "assistant", "content": text}] for text in texts]
    return [
        {"prompt": turns[texts.index(text)], "label": name, "task": "label"} for text, names in said for name in names
    ] if kind == "label" else []  # fmt: skip


def comments(count: int) -> st.SearchStrategy[dict[str, Any]]:
    return written.map(lambda text: {"text": one_line_end(text).strip()}).filter(lambda answer: answer["text"])


def demonstrations(count: int) -> st.SearchStrategy[dict[str, Any]]:
    texts = written.map(one_line_end).filter(
        lambda text: text.strip() and text.strip() not in {one_line_end(t).strip() for t in TEXTS}
    )
    return st.builds(lambda t, p: {"text": t, "edited_from": p}, texts, st.none() | st.integers(0, count - 1))


def demonstrated(kind: str, answer: dict[str, Any], texts: list[str]) -> list[dict[str, Any]] | None:
    if kind == "demonstration":
        return [{"completion": answer["text"], "task": "demonstration"}]
    if answer["edited_from"] is None:
        return []
    original = texts[answer["edited_from"]]
    if kind == "pair":
        return [{"chosen": answer["text"], "rejected": original}]
    return [{"completions": [answer["text"], original], "ranks": [1, 2]}]


@st.composite
def critiques(draw: st.DrawFn, count: int) -> dict[str, Any]:
    spans: list[dict[str, Any]] = []
    for position in range(count):
        text = TEXTS[position]
        cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=4)))
        for start, end in zip(cuts[::2], cuts[1::2], strict=False):
            fix = draw(st.none() | written.map(one_line_end).filter(lambda f, w=text[start:end]: f != one_line_end(w)))
            spans.append(
                {
                    "response": position, "start": start, "end": end, "text": text[start:end],
                    "category": draw(st.sampled_from(["wrong", "style"])), "severity": draw(st.sampled_from(["low", "high"])),
                    "note": one_line_end(draw(st.just("") | written)).strip(), "fix": fix,
                }
            )  # fmt: skip
    return {"spans": spans}


def criticised(kind: str, answer: dict[str, Any], texts: list[str]) -> list[dict[str, Any]] | None:
    found = []
    for position, text in enumerate(texts):
        letters = list(text)
        fixes = [s for s in answer["spans"] if s["response"] == position and s["fix"] is not None]
        for span in reversed(fixes):
            letters[span["start"] : span["end"]] = span["fix"]
        fixed = "".join(letters)
        if fixes and fixed.strip():
            found.append(
                {"chosen": fixed, "rejected": text} if kind == "pair" else {"completion": fixed, "task": "critique"}
            )
    return found


WORDS = [{"name": "wrong", "title": "Wrong"}, {"name": "style", "title": "Style"}]
LEVELS = [{"name": "low", "title": "Low"}, {"name": "high", "title": "High"}]
CASES = {
    "ranking": Case({"none": True}, rankings, ranked),
    "comparison": Case({"levels": 7, "tie_words": "both"}, comparisons, compared),
    "rating": Case({"aspects": [{"name": "true"}, {"name": "clear", "unsure": True}], "lowest": 0, "highest": 4}, ratings, rated),
    "label": Case({"labels": "Sea\nLand\n  Hill\n  Dale", "of": "answer", "many": True}, labels, labelled),
    "comment": Case({}, comments, lambda kind, answer, texts: []),
    "demonstration": Case({"checklist": ["Checked."]}, demonstrations, demonstrated),
    "critique": Case({"categories": WORDS, "severities": LEVELS}, lambda count: critiques(count), criticised),
}  # fmt: skip
PATIENT = [
    HealthCheck.function_scoped_fixture,
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.filter_too_much,
]


def test_every_kind_of_question_has_its_case() -> None:
    assert set(CASES) == set(KINDS)


@dataclass
class Screen:
    """Somebody's page of one item, over HTTP."""

    project: Project
    client: Client
    assignment: Assignment

    @property
    def page(self) -> str:
        return f"/p/{self.project.slug}/judge/{self.assignment.pk}/"

    def asked(self, name: str) -> asking.Asked:
        return next(asked for asked in asking.questions_of(self.project) if asked.name == name)

    def shown_in(self, order: list[int]) -> None:
        Assignment.objects.filter(pk=self.assignment.pk).update(order=order)
        self.assignment.refresh_from_db()


@pytest.fixture
def screen(db: None, kind: str) -> Screen:
    """A project of that kind with one item: two answers for a comparison, four for all others."""
    ada = person("ada")
    questions = [asking.draft(kind, options=CASES[kind].options)]
    project = belonging.create_project(name=kind, questions=questions, creator=None, guidelines="")
    belonging.join(project=project, user=ada)
    bring_in(project, as_lines([{"id": "x", "prompt": PROMPT, "responses": texts_for(kind)}]))
    return Screen(project, signed_in(ada), claim(project, ada))


def texts_for(kind: str) -> list[str]:
    return TEXTS[:2] if kind == "comparison" else TEXTS


def goes_round(screen: Screen, kind: str, data: st.DataObject) -> None:
    """One random answer by way of the form, and everything that is said of it after."""
    texts = texts_for(kind)
    screen.shown_in(list(data.draw(st.permutations(range(len(texts))), label="order")))
    answer = data.draw(CASES[kind].answers(len(texts)), label="answer")
    asked = screen.asked(kind)
    subject = asking.subject_of(screen.assignment.item, screen.assignment.order)
    form = asked.fields(answer, subject)
    # a browser sends every line end as CR LF
    sent = {name: value.replace("\n", "\r\n") if isinstance(value, str) else value for name, value in form.items()}
    response = screen.client.post(f"{screen.page}submit/", {"key": str(uuid.uuid4()), **sent})
    assert response.status_code == 302, response.text
    stored = Judgement.objects.filter(item=screen.assignment.item).latest("id")
    assert stored.answers == {kind: answer}
    shown = entered(screen.client.get(screen.page))
    assert shown == json.loads(json.dumps(form))
    assert asked.kind.read(Fields(shown, kind), subject, asked.options) == answer
    for rows in asked.kind.rows:
        wanted = CASES[kind].rows(rows, answer, texts)
        if wanted is not None:
            assert holds(screen.project, rows) == sorted(wanted, key=canonical), rows


def canonical(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True)


def holds(project: Project, rows: str) -> list[dict[str, Any]]:
    """What a snapshot of the project holds now, without what every row carries."""
    try:
        snapshot = freezing.freeze(project=project, rows=rows)
    except freezing.CannotFreeze:
        return []
    lines = (freezing.folder(snapshot) / "train.jsonl").read_text("utf-8").split("\n")[:-1]
    carried = {"weight", "item", "annotators", "group", "judgements"}
    found = [{name: value for name, value in json.loads(line).items() if name not in carried} for line in lines]
    for row in found:
        if row["prompt"] == PROMPT:
            del row["prompt"]
        if row.get("margin", 0) is None:
            del row["margin"]
    return sorted(found, key=canonical)


@pytest.mark.parametrize("kind", CASES)
@settings(max_examples=4, deadline=None, suppress_health_check=PATIENT)
@given(data=st.data())
def test_what_the_screen_says_is_what_is_stored_shown_again_and_frozen(
    screen: Screen, kind: str, data: st.DataObject
) -> None:
    goes_round(screen, kind, data)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CASES)
@settings(max_examples=200, deadline=None, suppress_health_check=PATIENT)
@given(data=st.data())
def test_it_holds_for_many_more(screen: Screen, kind: str, data: st.DataObject) -> None:
    goes_round(screen, kind, data)

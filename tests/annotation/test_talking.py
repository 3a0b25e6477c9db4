"""Talking with a live model: turns are items of one conversation, judged and frozen like all others, and nothing gets lost."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from annotation import assigning, belonging, talking
from annotation.asking import draft
from annotation.models import Item, Judgement, Project
from annotation.talking import CannotTalk, NoReply
from tests.builders import member_of, person, project_of, signed_in
from tests.desk.browsing import project_asking
from tests.desk.frozen import frozen
from webapp.people.models import User

pytestmark = pytest.mark.django_db
HERE = "tests.annotation.test_talking"


def two_answers(project: Project, ref: str, prompt: list[dict[str, str]]) -> list[tuple[str, str]]:
    """A model that says how much it was told; it will not speak of the weather."""
    last = prompt[-1]["content"]
    if "weather" in last:
        raise NoReply("The model did not answer within 120 s.")
    return [(f"first to {last} after {len(prompt)}", f"{ref} seed=1"), (f"second to {last}", f"{ref} seed=2")]


def two_models(project: Project) -> list[tuple[str, str]]:
    return [("tiny:causal", "tiny:causal")]


@pytest.fixture(autouse=True)
def live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "LIVE_ANSWERS", f"{HERE}.two_answers")
    monkeypatch.setattr(settings, "LIVE_MODELS", f"{HERE}.two_models")


@pytest.fixture
def ada() -> User:
    return person("ada")


@pytest.fixture
def project(ada: User) -> Project:
    made = project_asking([draft("comparison")], ada, records=[], answers=2, items=1)
    Project.objects.filter(pk=made.pk).update(live_model="tiny:causal")
    made.refresh_from_db()
    return made


@pytest.fixture
def client(ada: User) -> Client:
    return signed_in(ada)


def choose(project: Project, user: User, conversation: uuid.UUID, choice: str) -> Judgement:
    found = talking.conversation(member=member_of(project, user), id=conversation)
    assert found.open
    return talking.choose(turn=found.open, form={"comparison.choice": choice}, key=uuid.uuid4())


def test_the_chosen_answer_goes_on_and_every_turn_is_an_item(project: Project, ada: User) -> None:
    member, one = member_of(project, ada), uuid.uuid4()
    talking.say(member=member, id=one, text=" Hello? ")
    judged = choose(project, ada, one, "-2")
    assert judged.answers["comparison"]["winner"] == 2
    found = talking.say(member=member, id=one, text="And then?")
    assert found.said == [
        {"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "second to Hello?"},
        {"role": "user", "content": "And then?"},
    ]  # fmt: skip
    choose(project, ada, one, "2")
    first, second = (turn.item for turn in talking.conversation(member=member, id=one).turns)
    assert {first.group, second.group} == {f"talk:{one}"}
    assert [r.source for r in second.responses.all()] == ["tiny:causal seed=1", "tiny:causal seed=2"]
    assert talking.conversation(member=member, id=one).said[-1]["content"] == "first to And then? after 3"


def test_equals_go_on_with_the_one_shown_first(project: Project, ada: User) -> None:
    one = uuid.uuid4()
    talking.say(member=member_of(project, ada), id=one, text="Hello?")
    choose(project, ada, one, "0")
    assert talking.conversation(member=member_of(project, ada), id=one).said[-1]["content"].startswith("first")


def test_an_open_turn_is_nobody_elses_and_not_on_the_desk(project: Project, ada: User) -> None:
    talking.say(member=member_of(project, ada), id=uuid.uuid4(), text="Hello?")
    item = Item.objects.latest("id")
    shown = assigning.next_for(member=member_of(project, ada))
    assert item.free == 0
    assert shown is not None
    assert shown.item_id != item.pk
    seen = assigning.progress(project=project)
    assert (seen.done, seen.total) == (0, 2)


def test_what_the_overlap_asks_for_besides_is_free_once_the_turn_is_judged(project: Project, ada: User) -> None:
    Project.objects.filter(pk=project.pk).update(overlap=3)
    project.refresh_from_db()
    one = uuid.uuid4()
    talking.say(member=member_of(project, ada), id=one, text="Hello?")
    choose(project, ada, one, "1")
    assert Item.objects.get(key=f"talk:{one}:1").free == 2


def test_a_turn_that_nobody_judged_can_be_written_anew(project: Project, ada: User) -> None:
    member, one = member_of(project, ada), uuid.uuid4()
    talking.say(member=member, id=one, text="Helo?")
    found = talking.say(member=member, id=one, text="Hello?")
    assert [turn.item.prompt[-1]["content"] for turn in found.turns] == ["Hello?"]


def test_a_model_that_does_not_answer_stores_nothing(project: Project, ada: User) -> None:
    member, one = member_of(project, ada), uuid.uuid4()
    before = Item.objects.count()
    for text, told in [("weather", "within 120 s"), ("  ", "Write what you want"), ("x" * 20_001, "at most 20000")]:
        with pytest.raises(CannotTalk, match=told):
            talking.say(member=member, id=one, text=text)
    assert Item.objects.count() == before


def test_without_a_model_or_a_fitting_question_the_page_says_what_is_missing(
    project: Project, ada: User, client: Client
) -> None:
    Project.objects.filter(pk=project.pk).update(live_model="")
    assert "No model is connected" in client.get("/p/answers/talk/").text
    assert "/talk/" not in client.get("/p/answers/").text
    other = project_of(None, ada, name="Comments", question="comment")
    Project.objects.filter(pk=other.pk).update(live_model="tiny:causal")
    assert "no comparison and no ranking" in client.get("/p/comments/talk/").text


def test_over_http_a_turn_is_said_and_chosen_once(project: Project, ada: User, client: Client) -> None:
    page = f"/p/answers/talk/{uuid.uuid4()}/"
    assert client.post(f"{page}say/", {"text": "<b>Hello?</b>"}).url == page
    shown = client.get(page).text
    assert "&lt;b&gt;Hello?" in shown
    assert "<b>Hello" not in shown
    assert "tiny:causal" not in shown
    form = {"item": str(Item.objects.latest("id").pk), "key": str(uuid.uuid4()), "comparison.choice": "1"}
    assert client.post(f"{page}choose/", form).url == page
    assert client.post(f"{page}choose/", form).url == page
    assert Judgement.objects.count() == 1
    assert "Your next turn" in client.get(page).text
    assert "Hello" in client.get("/p/answers/talk/").text


def test_what_was_typed_comes_back_with_the_reason(project: Project, client: Client) -> None:
    page = f"/p/answers/talk/{uuid.uuid4()}/"
    refused = client.post(f"{page}say/", {"text": "the weather <x>"})
    assert refused.status_code == 409
    assert "within 120 s" in refused.text
    assert "the weather &lt;x&gt;" in refused.text
    told = client.post(f"{page}say/", {"text": "weather"}, headers={"Accept": "application/json"})
    assert told.json() == {"error": "The model did not answer within 120 s."}


@pytest.mark.parametrize(
    "form", [{}, {"item": "x"}, {"key": "k"}, {"comparison.choice": "9"}, {"comparison.choice": ""}]
)
def test_a_hostile_choice_is_a_sentence(project: Project, ada: User, client: Client, form: dict[str, str]) -> None:
    one = uuid.uuid4()
    talking.say(member=member_of(project, ada), id=one, text="Hello?")
    whole = {"item": str(Item.objects.latest("id").pk), "key": str(uuid.uuid4()), "comparison.choice": "1"} | form
    answer = client.post(f"/p/answers/talk/{one}/choose/", whole)
    assert answer.status_code in (302, 400)
    assert Judgement.objects.count() == (0 if form else 1)


def test_a_conversation_is_its_authors_alone(project: Project, ada: User) -> None:
    bo = person("bo")
    belonging.join(project=project, user=bo)
    one = uuid.uuid4()
    talking.say(member=member_of(project, ada), id=one, text="a secret")
    assert signed_in(bo).get(f"/p/answers/talk/{one}/").status_code == 404
    assert signed_in(bo).post(f"/p/answers/talk/{one}/say/", {"text": "mine now"}).status_code == 404
    assert "a secret" not in signed_in(bo).get("/p/answers/talk/").text
    assert [
        t.item.prompt[0]["content"] for t in talking.conversation(member=member_of(project, ada), id=one).turns
    ] == ["a secret"]


def test_conversations_are_frozen_on_one_side_with_all_that_was_said(
    project: Project, ada: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(settings, "HOME", tmp_path)
    one = uuid.uuid4()
    for text in ("Hello?", "And then?"):
        talking.say(member=member_of(project, ada), id=one, text=text)
        choose(project, ada, one, "1")
    rows = frozen(project, "pair")
    assert [row["chosen"] for row in rows] == ["first to Hello? after 1", "first to And then? after 3"]
    assert rows[1]["prompt"][1] == {"role": "assistant", "content": "first to Hello? after 1"}

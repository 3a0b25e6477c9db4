"""Feedback on judgements, and judgements that are asked for again."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from annotation import asking, belonging, guiding, judging, reviewing
from annotation.models import Assignment, Feedback, Flag, Judgement, Project
from annotation.reviewing import Wanted
from tests.builders import (
    add_items,
    as_lines,
    bring_in,
    join,
    judge,
    know_the_guidelines,
    member_of,
    person,
    project_of,
    signed_in,
)
from webapp.people.models import Notice, User

pytestmark = pytest.mark.django_db
SHOWN = {f"ranking.rank-{place}": str(place + 1) for place in range(4)}
OTHER_WAY = {f"ranking.rank-{place}": str(4 - place) for place in range(4)}


@pytest.fixture
def lin() -> User:
    return person("lin")


@pytest.fixture
def ada() -> User:
    return person("ada")


@pytest.fixture
def project(lin: User, ada: User) -> Project:
    made = project_of(lin, ada)
    add_items(made, 4)
    return made


@pytest.fixture
def leading(lin: User) -> Client:
    return signed_in(lin)


@pytest.fixture
def client(ada: User) -> Client:
    return signed_in(ada)


def correct(judgement: Judgement, form: dict[str, str]) -> Judgement:
    assignment = Assignment.objects.get(item=judgement.item, member=judgement.member)
    answers = judging.read_answers(assignment=assignment, form=form)
    return judging.submit(assignment=assignment, answers=answers, key=uuid.uuid4())


def keys(project: Project, **wanted: object) -> list[str]:
    return [judgement.item.key for judgement in reviewing.judgements(project, Wanted(**wanted))]  # type: ignore[arg-type]


def test_a_comment_reaches_the_annotator_and_their_answer_the_lead(
    project: Project, lin: User, ada: User, leading: Client, client: Client
) -> None:
    judgement = judge(project, ada)
    sent = leading.post(f"/p/{project.slug}/judgements/{judgement.pk}/feedback/", {"text": "Why is A best?"})
    assert sent["Location"] == f"/p/{project.slug}/items/{judgement.item_id}/#judgement-{judgement.pk}"
    notice = Notice.objects.get(user=ada)
    assert (notice.text, notice.url) == (
        "Answers: feedback on one of your judgements: Why is A best?", f"/p/{project.slug}/mine/#feedback",
    )  # fmt: skip
    page = client.get(f"/p/{project.slug}/mine/").text
    assert "Why is A best?" in page
    assert ">new<" in page
    assert ">new<" not in client.get(f"/p/{project.slug}/mine/").text  # read by now
    feedback = Feedback.objects.get()
    assert feedback.read_at is not None
    client.post(f"/p/{project.slug}/mine/feedback/{feedback.pk}/", {"text": "It is the only true one."})
    assert "It is the only true one." in leading.get(f"/p/{project.slug}/items/{judgement.item_id}/").text
    told = Notice.objects.get(user=lin)
    assert member_of(project, ada).pseudonym in told.text
    assert "ada" not in told.text


def test_the_list_says_what_the_numbers_of_a_rating_stand_for(lin: User, ada: User, leading: Client) -> None:
    aspects = [{"name": name.lower(), "title": name} for name in ("Helpful", "True")]
    questions = [asking.draft("rating", title="Rate it", options={"of": "item", "aspects": aspects})]
    project = belonging.create_project(name="Scores", questions=questions, creator=lin, guidelines="")
    join(project, ada)
    add = {"id": "1", "prompt": "Why?", "responses": ["Because."]}
    bring_in(project, as_lines([add]))
    judge(project, ada, {"rating.score-0-helpful": "4", "rating.score-0-true": "2"})
    page = leading.get(f"/p/{project.slug}/judgements/").text
    assert "Rate it (Helpful, True)</dt>" in page
    assert "4 2</dd>" in page


def test_what_is_asked_for_again_comes_back_and_a_correction_settles_it(
    project: Project, lin: User, ada: User, client: Client
) -> None:
    judgement = judge(project, ada)
    reviewing.comment(judgement=judgement, author=lin, text="Look at B again.", asks_again=True)
    member = member_of(project, ada)
    assignment = Assignment.objects.get(member=member)
    assert list(reviewing.again(member)) == [assignment]
    assert client.get(f"/p/{project.slug}/mine/again/?but={assignment.pk}")["Location"] == f"/p/{project.slug}/mine/"
    again = f"/p/{project.slug}/mine/again/"
    assert client.get(again)["Location"] == f"/p/{project.slug}/judge/{assignment.pk}/?back=again"
    assert f'data-back="{again}?done=1"' in client.get(f"/p/{project.slug}/judge/{assignment.pk}/?back=again").text
    page = client.get(f"/p/{project.slug}/judge/{assignment.pk}/").text
    assert "Look at B again." in page
    new = correct(judgement, OTHER_WAY)
    assert new.supersedes == judgement
    assert not reviewing.again(member).exists()
    assert client.get(again)["Location"] == f"/p/{project.slug}/mine/"
    assert client.get(again + "?done=1")["Location"] == f"/p/{project.slug}/judge/"


def test_saving_it_as_it_is_settles_it_too(project: Project, lin: User, ada: User) -> None:
    judgement = judge(project, ada)
    reviewing.comment(judgement=judgement, author=lin, text="Sure?", asks_again=True)
    correct(judgement, SHOWN)
    assert Judgement.objects.count() == 1
    assert Feedback.objects.get().settled_at is not None


def test_an_answer_in_words_settles_it_too(project: Project, lin: User, ada: User) -> None:
    feedback = reviewing.comment(judgement=judge(project, ada), author=lin, text="Sure?", asks_again=True)
    reviewing.reply(feedback=feedback, author=ada, text="Yes: the second contradicts itself.")
    assert not reviewing.is_asked_again(item_id=feedback.judgement.item_id, member_id=feedback.judgement.member_id)


def test_what_is_asked_for_again_can_be_corrected_however_old_it_is(project: Project, lin: User, ada: User) -> None:
    judgement = judge(project, ada)
    Project.objects.update(correct_hours=0)
    judgement = Judgement.objects.select_related("item__project").get()
    with pytest.raises(judging.Refused):
        correct(judgement, OTHER_WAY)
    reviewing.comment(judgement=judgement, author=lin, text="Please look again.", asks_again=True)
    assert correct(judgement, OTHER_WAY).version == 2
    with pytest.raises(judging.Refused):  # settled: closed again
        correct(judgement, SHOWN)


def test_after_a_change_of_the_guidelines_older_judgements_are_asked_for_at_once(
    project: Project, lin: User, ada: User, leading: Client, client: Client
) -> None:
    old = [judge(project, ada), judge(project, ada)]
    guiding.write(project=project, text="Brevity first.", actor=lin)
    know_the_guidelines(project)
    judge(project, ada)
    assert "2 judgements were made under older guidelines." in leading.get(f"/p/{project.slug}/guidelines/").text
    assert keys(project, before_version=2) == ["i1", "i0"]
    address = f"/p/{project.slug}/judgements/again/?before_version=2"
    leading.post(address, {"which": "all", "because": "guidelines", "text": "Length counts now."})
    asked = Feedback.objects.order_by("judgement")
    assert [(f.judgement, f.asks_again, f.guidelines_version) for f in asked] == [(old[0], True, 2), (old[1], True, 2)]
    assert [notice.text for notice in Notice.objects.all()] == ["Answers: 2 of your judgements to look at again."]
    page = client.get(f"/p/{project.slug}/mine/").text
    assert "2 judgements of yours are to be looked at again." in page
    assert "Asked for because the guidelines changed to version 2." in page
    assert "2 to look at again" in client.get("/").text
    correct(old[0], SHOWN)  # said anew, under the new guidelines
    assert Judgement.objects.get(supersedes=old[0]).guidelines_version == 2
    assert keys(project, before_version=2) == ["i1"]
    leading.post(address, {"which": "all"})
    assert Feedback.objects.count() == 2  # the one that waits is not asked for twice


def test_only_what_is_ticked_is_asked_for(project: Project, ada: User, leading: Client) -> None:
    one, _ = judge(project, ada), judge(project, ada)
    leading.post(f"/p/{project.slug}/judgements/again/", {"which": "ticked", "judgement": str(one.pk)})
    assert [feedback.judgement for feedback in Feedback.objects.all()] == [one]
    for nothing in ({}, {"judgement": "x"}, {"judgement": "9" * 40}):
        answer = leading.post(f"/p/{project.slug}/judgements/again/", nothing, follow=True)
        assert "No judgement is ticked." in answer.text
    assert Feedback.objects.count() == 1


def test_a_wrong_filter_asks_nobody(project: Project, ada: User, leading: Client) -> None:
    judge(project, ada)
    answer = leading.post(f"/p/{project.slug}/judgements/again/?since=soon", {"which": "all"}, follow=True)
    assert "A field of the filter is wrong." in answer.text
    assert not Feedback.objects.exists()


def test_judgements_of_another_project_are_never_asked_for(
    project: Project, ada: User, lin: User, leading: Client
) -> None:
    other = project_of(person("cy"), ada, name="Other")
    add_items(other, 1)
    foreign = judge(other, ada)
    leading.post(f"/p/{project.slug}/judgements/again/", {"which": "ticked", "judgement": str(foreign.pk)})
    assert leading.post(f"/p/{project.slug}/judgements/{foreign.pk}/feedback/", {"text": "x"}).status_code == 404
    assert not Feedback.objects.exists()


def test_the_list_is_narrowed_by_who_what_when_and_words(project: Project, ada: User, lin: User) -> None:
    bo = person("bo")

    join(project, bo)
    first, second = judge(project, ada), judge(project, bo)
    Flag.objects.create(item=second.item, member=second.member, reason="other")
    reviewing.comment(judgement=first, author=lin, text="Hm.", asks_again=True)
    today = timezone.localdate()
    assert keys(project) == ["i1", "i0"]
    assert keys(project, annotator=first.member.pseudonym) == ["i0"]
    assert keys(project, question="ranking") == ["i1", "i0"]
    assert keys(project, question="other") == []
    assert keys(project, words="QUESTION 1.2") == ["i1"]  # in the prompt, and in a response
    assert keys(project, words="answer 0.3") == ["i0"]
    assert keys(project, words="100%") == []
    assert keys(project, words="role") == []  # a name in the data, no word of the prompt
    assert keys(project, since=today, until=today) == ["i1", "i0"]
    assert keys(project, until=today - timedelta(days=1)) == []
    assert keys(project, flagged=True) == ["i1"]
    assert keys(project, discussed=True) == keys(project, waiting=True) == ["i0"]


def test_feedback_follows_a_judgement_through_its_corrections(project: Project, ada: User, lin: User) -> None:
    judgement = judge(project, ada)
    reviewing.comment(judgement=judgement, author=lin, text="Hm.", asks_again=True)
    correct(judgement, OTHER_WAY)
    assert keys(project, discussed=True) == ["i0"]
    assert keys(project, waiting=True) == []


@pytest.mark.parametrize("text", ["", "  \n ", "x" * 4001])
def test_words_that_cannot_be_sent_are_refused_in_words(
    project: Project, ada: User, lin: User, leading: Client, text: str
) -> None:
    judgement = judge(project, ada)
    with pytest.raises(ValidationError):
        reviewing.comment(judgement=judgement, author=lin, text=text)
    assert leading.post(f"/p/{project.slug}/judgements/{judgement.pk}/feedback/", {"text": text}).status_code == 302
    assert not Feedback.objects.exists()


def test_an_annotator_sees_and_answers_only_what_was_written_to_them(project: Project, ada: User, lin: User) -> None:

    bo = person("bo")
    join(project, bo)
    feedback = reviewing.comment(judgement=judge(project, ada), author=lin, text="For ada alone.")
    theirs = signed_in(bo)
    assert "For ada alone." not in theirs.get(f"/p/{project.slug}/mine/").text
    assert theirs.post(f"/p/{project.slug}/mine/feedback/{feedback.pk}/", {"text": "x"}).status_code == 404


def test_nobody_can_be_told_of_an_imported_judgement(project: Project, lin: User) -> None:

    record = {"id": "x", "prompt": "Why?", "responses": ["a", "b"], "ranks": [1, 2]}
    bring_in(project, as_lines([record]))
    imported = Judgement.objects.get(origin="import")
    with pytest.raises(ValidationError, match="came with an import"):
        reviewing.comment(judgement=imported, author=lin, text="Why?")
    assert reviewing.ask_again(judgements=[imported], author=lin) == 0


def test_the_lead_sees_pseudonyms_and_no_names(project: Project, ada: User, leading: Client) -> None:
    judge(project, ada)
    page = leading.get(f"/p/{project.slug}/judgements/").text
    assert member_of(project, ada).pseudonym in page
    assert ">ada<" not in page


def test_hostile_words_are_escaped(project: Project, ada: User, lin: User, leading: Client, client: Client) -> None:
    bad = "<img src=x onerror=alert(1)>"
    judgement = judge(project, ada)
    feedback = reviewing.comment(judgement=judgement, author=lin, text=bad)
    reviewing.reply(feedback=feedback, author=ada, text=bad)
    assert bad not in client.get(f"/p/{project.slug}/mine/").text
    assert bad not in leading.get(f"/p/{project.slug}/items/{judgement.item_id}/").text

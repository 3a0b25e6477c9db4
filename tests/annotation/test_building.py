"""The project builder: a form made from the kinds' schemas, what it says, its versions, and the ten starting points."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from annotation import asking, building, starting_points, versions
from annotation.kinds import KINDS
from annotation.models import Judgement, Project, Question
from tests.builders import add_items, as_lines, bring_in, judge, person, project_of, rows, signed_in
from webapp.people.models import AuditEntry, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def lin() -> User:
    return person("lin", is_staff=True)


def sent(page: str) -> dict[str, Any]:
    """What a browser would send of the builder's form, in its order."""
    form = page.partition("data-form")[2].partition("</form>")[0]
    found: dict[str, Any] = {}
    pattern = r"<input ([^>]*)>|<textarea ([^>]*)>([^<]*)</textarea>"
    for given, area, text in re.findall(pattern, form):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', given or area))
        name = attributes.get("name", "")
        if not name or name == "csrfmiddlewaretoken":
            continue
        if attributes.get("type") in ("checkbox", "radio") and " checked" not in given:
            continue
        value = text.removeprefix("\n") if area else attributes.get("value", "")
        found[name] = html.unescape(value)
    return found


def questions_url(project: Project) -> str:
    return reverse("questions", args=[project.slug])


def asked_now(project: Project) -> list[dict[str, Any]]:
    project.refresh_from_db()
    return building.drafts_of(list(project.questions.filter(version=project.schema_version).order_by("position")))


@pytest.mark.parametrize("point", starting_points.ALL, ids=lambda point: point.slug)
def test_every_starting_point_can_be_asked_looked_at_and_its_form_says_exactly_what_it_is(
    lin: User, point: starting_points.StartingPoint
) -> None:
    if not set(point.kinds) <= KINDS.keys():
        pytest.skip("one of its kinds is not there")
    client = signed_in(lin)
    made = client.post(
        "/projects/new/", {"name": str(point.title), "template": point.slug, "overlap": "1", "guidelines": ""}
    )
    project = Project.objects.get()
    assert made["Location"] == reverse("import", args=[project.slug])
    assert project.guidelines.get().text == str(point.guidelines)
    before = asked_now(project)
    assert [draft["kind"] for draft in before] == point.kinds
    form = sent(client.get(questions_url(project)).text)
    assert client.post(questions_url(project), form | {"do": "save"}).status_code == 302
    assert project.schema_version == 1, "nothing was different"
    assert building.read(form).drafts == before or asking.checked(building.read(form).drafts)
    assert asked_now(project) == before
    shown = client.post(reverse("questions_preview", args=[project.slug]), form).json()
    assert shown["problems"] == {}
    assert "data-judgement" in shown["page"]
    for kind in point.kinds:
        assert f'data-kind="{kind}"' in shown["page"]
    # the import page shows lines that this project can take
    page = client.get(made["Location"]).text
    example = html.unescape(page.partition("<code>{")[2].partition("</code>")[0])
    assert bring_in(project, ("{" + example).encode()).items == 2
    judgements = Judgement.objects.filter(item__project=project).count()
    assert judgements == ({"ranking", "comparison", "demonstration"} & set(point.kinds) != set())


def test_there_are_ten_starting_points_and_each_names_its_source() -> None:
    assert len(starting_points.ALL) == len(starting_points.STARTING_POINTS) == 10
    docs = (Path(__file__).resolve().parents[2] / "docs" / "projects.md").read_text("utf-8")
    for point in starting_points.ALL:
        assert f"`{point.slug}`" in docs
        assert point.url in docs


def test_a_change_makes_a_version_and_judgements_keep_theirs(lin: User) -> None:
    ada = person("ada")
    project = project_of(lin, ada)
    add_items(project, 2)
    judge(project, ada)
    client = signed_in(lin)
    form = sent(client.get(questions_url(project)).text)
    answer = client.post(questions_url(project), form | {"q.0.title": "Which is best?"}, follow=True)
    assert "version 2 is asked from now on. 1 judgement keeps version 1." in answer.text
    assert [draft["title"] for draft in asked_now(project)] == ["Which is best?"]
    assert Judgement.objects.get().schema_version == 1
    assert "is now called “Which is best?”" in html.unescape(answer.text)
    assert AuditEntry.objects.filter(action="change questions", actor=lin, detail={"version": 2}).exists()

    back = client.post(reverse("questions_back", args=[project.slug, 1]), follow=True)
    assert "version 3 is asked from now on" in back.text
    assert asked_now(project)[0]["title"] == str(KINDS["ranking"].title)
    assert [v.number for v in versions.history(project, {})] == [3, 2, 1]
    again = client.post(reverse("questions_back", args=[project.slug, 1]), follow=True)
    assert "asked already" in again.text


def test_a_change_is_told_in_words() -> None:
    def asked(*drafts: dict[str, Any]) -> list[Question]:
        return asking.checked(drafts)

    before = asked(asking.draft("ranking"), asking.draft("rating", title="Rate"), asking.draft("comment"))
    after = asked(
        asking.draft("comment"), asking.draft("rating", title="Rate them", required=False, options={"highest": 7}),
        asking.draft("label"),
    )  # fmt: skip
    assert versions.differences(before, after) == [
        "“Rank the answers from best to worst” is gone.",
        "“Rate” is now called “Rate them”.",
        "“Rate them” may be left out.",
        "“Rate them”, Highest point: 5 → 7",
        f"“{KINDS['label'].title}” is new (Label).",
        f"They are asked in another order: {KINDS['comment'].title} · Rate them · {KINDS['label'].title}.",
    ]
    assert versions.differences(before, before) == []
    # an option that an older version did not know yet meant its default
    old = [Question(name="ranking", kind="ranking", title=before[0].title, help=before[0].help, options={})]
    assert versions.differences(old, before[:1]) == []


def test_buttons_work_without_a_script_and_change_nothing_yet(lin: User) -> None:
    project = project_of(lin)
    client = signed_in(lin)

    def press(form: dict[str, Any], do: str) -> dict[str, Any]:
        page = client.post(questions_url(project), form | {"do": do})
        assert page.status_code == 200
        return sent(page.text)

    form = press(sent(client.get(questions_url(project)).text), "add:rating")
    assert form["q.1.kind"] == "rating"
    form = press(form, "row:q.1.options.aspects")
    assert "q.1.options.aspects.1.name" in form
    form |= {"q.1.options.aspects.0.name": "first", "q.1.options.aspects.1.name": "second"}
    form = press(form, "up:q.1.options.aspects.1")
    assert (form["q.1.options.aspects.0.name"], form["q.1.options.aspects.1.name"]) == ("second", "first")
    form = press(form, "up:q.1")
    assert (form["q.0.kind"], form["q.1.kind"]) == ("rating", "ranking")
    form = press(form, "remove:q.1")
    assert "q.1.kind" not in form
    form = press(form, "remove:q.0.options.aspects.0")
    assert form["q.0.options.aspects.0.name"] == "first"
    assert asked_now(project)[0]["kind"] == "ranking"
    for nonsense in ("up:q.9", "remove:", "row:q.0.title", "add:nothing", "fly:q.0", "down:q.0.options.aspects"):
        assert press(form, nonsense)["q.0.kind"] == "rating"


def test_what_cannot_be_is_said_beside_its_field_and_nothing_typed_is_lost(lin: User) -> None:
    project = project_of(lin)
    client = signed_in(lin)
    form = sent(client.post(questions_url(project), {"do": "add:rating"}).text)
    form |= {
        "q.0.options.highest": "many",
        "q.0.title": "<b>&\"'",
        "q.0.options.aspects.0.title": "x" * 81,
        "version": "1",
    }
    page = client.post(questions_url(project), form | {"do": "save"})
    assert page.status_code == 400
    assert sent(page.text) == form
    problems = dict(re.findall(r'data-problem="([^"]+)"[^>]*>([^<]+)<', page.text))
    assert problems["q.0.options.highest"].endswith("A whole number is needed here.")
    assert problems["q.0.options.aspects.0.title"].endswith("At most 80 characters, please.")
    assert "Not saved. Mend this first:" in page.text
    assert page.text.count("data-mistake=") == 2
    shown = client.post(reverse("questions_preview", args=[project.slug]), form).json()
    assert shown["page"] is None
    assert set(shown["problems"]) == {"q.0.options.highest", "q.0.options.aspects.0.title"}


def test_options_that_do_not_go_together_are_told_at_their_question(lin: User) -> None:
    project = project_of(lin)
    client = signed_in(lin)
    form = sent(client.post(questions_url(project), {"do": "add:comparison", "version": "1"}).text)
    form |= {"q.0.options.levels": "4", "q.0.options.tie_words": "both"}
    said = client.post(reverse("questions_preview", args=[project.slug]), form).json()
    assert list(said["problems"]) == ["q.0.options.tie_words"]
    page = client.post(questions_url(project), form)
    problems = dict(re.findall(r'data-problem="([^"]+)"[^>]*>([^<]+)<', page.text))
    sentence = html.escape(said["problems"]["q.0.options.tie_words"], quote=False)
    assert problems == {"q.0.options.tie_words": sentence}
    assert '<a href="#b-q-0-options-tie_words">Which answer is better? · The middle</a>' in page.text


def test_all_that_is_wrong_is_told_at_once_and_each_at_its_field(lin: User) -> None:
    form = {
        "q.0.kind": "rating", "q.0.title": "Rate", "q.0.options.lowest": "1", "q.0.options.highest": "0",
        "q.0.options.aspects.0.name": "quality", "q.0.options.aspects.1.name": "Not so",
        "q.1.kind": "label", "q.1.options.labels": "a\nb", "q.1.options.many": "yes", "q.1.options.least": "5",
    }  # fmt: skip
    said = building.read(form)
    with pytest.raises(asking.WrongQuestions) as refused:
        asking.checked(said.drafts)
    told = said.named(refused.value.places)
    assert told == {
        "q.0.options.highest": "A scale has 2 to 11 points; from 1 to 0 it has 0.",
        "q.0.options.aspects.1.name": "“Not so” cannot be a name in the data: "
        "use small letters, digits, - and _ (not first), at most 40.",
        "q.1.options.least": "5 labels are asked for, but only 2 are there to choose from.",
    }  # fmt: skip
    assert "“Rate”: “Not so” cannot be" in " ".join(refused.value.messages)
    mistakes = building.mistakes(building.forms(said.drafts, refused.value.places, []))
    assert [mistake.name for mistake in mistakes] == [
        "q.0.options.aspects.1.name", "q.0.options.highest", "q.1.options.least",
    ]  # fmt: skip


def test_what_is_asked_now_is_shown_where_there_is_no_picture_of_the_form_yet(lin: User) -> None:
    project = project_of(lin)
    form = {"q.0.kind": "rating", "q.0.options.highest": "99"}
    preview = reverse("questions_preview", args=[project.slug])
    assert signed_in(lin).post(preview, form).json()["page"] is None
    said = signed_in(lin).post(preview, form | {"blank": "yes"}).json()
    assert "q.0.options.highest" in said["problems"]
    assert 'data-kind="ranking"' in said["page"]


def test_a_new_row_has_a_name_of_its_own(lin: User) -> None:
    said = building.read({"q.0.kind": "rating", "q.0.options.aspects.0.name": "quality"})
    [draft] = building.step(said, "row", "q.0.options.aspects", [])
    assert [aspect["name"] for aspect in draft["options"]["aspects"]] == ["quality", "quality-2"]
    [draft] = building.step(building.read({"q.0.kind": "rating"}), "row", "q.0.options.points", [])
    assert draft["options"]["points"] == [{}]


def test_items_that_would_not_fit_are_counted_and_the_change_refused(lin: User) -> None:
    project = project_of(lin)
    add_items(project, 3)
    bring_in(project, as_lines(rows(1, answers=2, prefix="two")))
    with pytest.raises(asking.WrongQuestions) as refused:
        asking.change(project=project, drafts=[asking.draft("comparison")], actor=lin)
    said = refused.value.messages[0]
    assert "3 of 4 items do not fit" in said
    assert "4 answers" in said
    project.refresh_from_db()
    assert project.schema_version == 1


def test_two_leads_do_not_overwrite_each_other_unseen(lin: User) -> None:
    project = project_of(lin)
    client = signed_in(lin)
    form = sent(client.get(questions_url(project)).text)
    assert client.post(questions_url(project), form | {"q.0.title": "One"}).status_code == 302
    drawn = client.post(questions_url(project), form | {"do": "show"})  # a button in between does not hide it
    late = client.post(questions_url(project), sent(drawn.text) | {"q.0.title": "Two"})
    assert late.status_code == 409
    assert "version 2 is asked now" in late.text
    assert client.post(questions_url(project), sent(late.text)).status_code == 302
    assert [v.number for v in versions.history(project, {})] == [3, 2, 1]


def test_the_preview_shows_the_projects_first_item_and_escapes_it(lin: User) -> None:
    project = project_of(lin)
    bring_in(project, as_lines([{"id": "1", "prompt": "<script>alert(1)</script>", "responses": ["one", "two"]}]))
    client = signed_in(lin)
    form = sent(client.get(questions_url(project)).text)
    page = client.post(reverse("questions_preview", args=[project.slug]), form).json()["page"]
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    seven = client.post(reverse("questions_preview", args=[project.slug]), form | {"sample": "7"}).json()["page"]
    assert 'data-letter="G"' in seven


FORGED: list[dict[str, str]] = [
    {}, {"q": "x"}, {"q.0": "x"}, {"q.0.kind": "ranking", "q.0.options": "x"}, {"q.0.kind": "nothing"},
    {"q.0.kind": "rating", "q.0.options.aspects": "x"}, {"q.0.kind": "rating", "q.0.options.aspects.0": "x"},
    {"q.0.kind": "rating", "q.0.options.aspects.0.points.0.value": "9" * 5000}, {"q." + "0." * 50 + "kind": "x"},
    {"q.0.kind": "ranking", "q.0.title": "t" * 5000}, {"q.0.kind": "label", "q.0.options.labels": "\n\n  "},
    {f"q.{n}.kind": "ranking" for n in range(40)}, {"q.0.kind": "comparison", "q.0.options.levels": "1e9"},
]  # fmt: skip


def test_a_forged_form_is_refused_and_never_a_fault(lin: User) -> None:
    project = project_of(lin)
    client = signed_in(lin)
    for number, odd in enumerate(FORGED):
        do = ["save", "show", "up:q.0", "row:q.0.options.aspects", "add:ranking"][number % 5]
        for done in {"save", do}:
            project.refresh_from_db()
            answer = client.post(questions_url(project), {"version": str(project.schema_version), "do": done, **odd})
            assert answer.status_code in (200, 302, 400), odd
        preview = client.post(reverse("questions_preview", args=[project.slug]), {**odd, "sample": "½"})
        assert preview.status_code == 200
        for draft in asked_now(project):
            KINDS[draft["kind"]].schema.model_validate(draft["options"])


def test_settings_are_saved_audited_and_checked(lin: User) -> None:
    project = project_of(lin)
    add_items(project, 2)
    client = signed_in(lin)
    address = reverse("project_settings", args=[project.slug])
    form = {
        "name": "Tides",
        "overlap": "3",
        "mask_names": "on",
        "correct_hours": "24",
        "break_minutes": "0",
        "live_model": "",
    }
    assert client.post(address, form).status_code == 302
    project.refresh_from_db()
    assert (project.name, project.slug, project.overlap) == ("Tides", "answers", 3)
    assert (project.mask_names, project.show_agreement, project.correct_hours) == (True, False, 24)
    assert set(project.items.values_list("free", flat=True)) == {3}
    assert AuditEntry.objects.filter(action="change settings").count() == 1
    wrong = client.post(address, form | {"overlap": "51", "name": ""})
    assert wrong.status_code == 400
    project.refresh_from_db()
    assert project.overlap == 3


def test_commands_make_projects_of_templates_kinds_and_files(tmp_path: Path) -> None:
    call_command("create_project", "One", "--template", "hh-rlhf")
    assert asked_now(Project.objects.get(slug="one"))[0]["options"]["levels"] == 8
    call_command("create_project", "Two", "--questions", "ranking,comment,comment")
    assert [draft["name"] for draft in asked_now(Project.objects.get(slug="two"))] == [
        "ranking",
        "comment",
        "comment-2",
    ]
    file = tmp_path / "questions.json"
    file.write_text(json.dumps([{"kind": "ranking", "title": "Order them", "options": {"partial": False}}]), "utf-8")
    call_command("create_project", "Three", "--questions-file", str(file))
    assert asked_now(Project.objects.get(slug="three"))[0]["options"]["partial"] is False
    for wrong in ("[1]", "{", '[{"kind": "magic"}]', '[{"kind": "ranking", "options": {"partail": true}}]'):
        file.write_text(wrong, "utf-8")
        with pytest.raises(CommandError):
            call_command("create_project", "Four", "--questions-file", str(file))
    with pytest.raises(CommandError, match="There is no question “magic”"):
        call_command("create_project", "Five", "--questions", "ranking,magic")


def test_the_api_gives_the_questions_in_full(lin: User) -> None:
    project = project_of(lin, question="comparison")
    found = signed_in(lin).get(f"/api/v1/projects/{project.slug}/").json()
    assert found["schema_version"] == 1
    (question,) = found["questions"]
    assert question["name"] == question["kind"] == "comparison"
    assert question["options"]["levels"] == 7
    assert question["required"] is True


def test_an_annotator_cannot_look_at_the_builder(lin: User) -> None:
    ada = person("ada")
    project = project_of(lin, ada)
    client: Client = signed_in(ada)
    assert client.get(questions_url(project)).status_code == 403
    assert client.post(reverse("questions_preview", args=[project.slug])).status_code == 403

"""Text that wants to run: through every field that a file or a person fills, onto every page that shows it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation import belonging, receiving
from annotation.models import Assignment, Item, Project
from annotation.rendering import plain, render
from tests.builders import as_lines, bring_in, judge, person, project_of, signed_in
from tests.webapp.page_reading import Page, dangers
from webapp.people.models import User

CORPUS = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    '" autofocus onfocus="alert(1)',
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><a xlink:href='javascript:alert(1)'><text>x</text></a></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></mglyph></table></mtext></math>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=javascript:alert(1)></object><embed src=//evil.example>",
    "<style>@import '//evil.example/x.css';</style>",
    "<div style=\"background:url('javascript:alert(1)')\">x</div>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<!--[if gte IE 4]><script>alert(1)</script><![endif]-->",
    "<b onclick=alert(1)>bold",
    "<img src=x onerror=alert(1)//",
    "</title></textarea></select><script>alert(1)</script>",
    "<base href='//evil.example/'>",
    "<form action='javascript:alert(1)'><button>x</button></form>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt&#58;alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](java\tscript:alert(1))",
    "[x](<java\nscript:alert(1)>)",
    "[x](vbscript:msgbox(1))",
    "[x](\x01javascript:alert(1))",
    "![x](javascript:alert(1))",
    '![x](x "onerror=alert(1)")',
    '[x](http://a.example "\\" onmouseover=alert(1) x=\\"")',
    "[x]: javascript:alert(1)\n\n[x]",
    "<javascript:alert(1)>",
    '<http://a.example/"onmouseover=alert(1)>',
    '```js" onmouseover="alert(1)\n</code></pre><script>alert(1)</script>\n```',
    "```<img/src=x/onerror=alert(1)>\nx\n```",
    "`</code><script>alert(1)</script>`",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;img src=x onerror=alert(1)&#62;",
    "| a |\n|---|\n| <img src=x onerror=alert(1)> |",
    "# <svg/onload=alert(1)>",
    "{{ 7*7 }}{% debug %}${7*7}<%= 7*7 %>",
    '<a href="javascript&colon;alert(1)">x</a>',
    "\u202e<script>alert(1)</script>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    '=HYPERLINK("http://evil.example")',
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    r"$\text{<script>alert(1)</script>}$ and \(\text{<img src=x onerror=alert(1)>}\)",
    r"$$\href{javascript:alert(1)}{x}$$ \[\class{x' onmouseover='alert(1)}{y}\] $\style{background:url(//evil.example)}{x}$",
    "$\\text{</mtext></math><img src=x onerror=alert(1)>} + 1$",
    "$$\n\\text{</annotation></semantics><script>alert(1)</script>}\n$$",
    r"$\color{red;background:url(//evil.example)}{x}$ $\hspace{1em;x:y}$ $\char60 script$",
]


PIECES = [*"<>\"'`[]()!&;:#*_\n\t\\=/ ", "javascript:", "onerror=", "&#x6a;", "http://", "```", "]("]


@pytest.fixture
def lin(db: None) -> User:
    return person("lin")


@pytest.fixture
def ada(db: None) -> User:
    return person("ada")


def wicked_rows(corpus: list[str], *, answers: int) -> list[dict[str, object]]:
    """Each payload in every field that an import fills."""
    return [
        {
            "id": f"{number} {text}"[:200],
            "prompt": [{"role": "system", "content": text}, {"role": "user", "content": f"Q{number} {text}"}],
            "responses": [f"{text} {answer}" for answer in range(answers)],
            "sources": [text] * answers,
            "context": [[text, text], {"title": text, "text": text}],
            "group": text[:200],
            "ranks": [1, 2, *[None] * (answers - 2)],
            "annotator": f"{number} {text}"[:80],
        }
        for number, text in enumerate(corpus)
    ]


def wicked_project(lin: User, ada: User, question: str, corpus: list[str]) -> Project:
    worst = "".join(CORPUS)
    project = project_of(
        lin, ada, name=CORPUS[4] + question[:1], question=question, overlap=2, guidelines="\n\n".join(CORPUS)
    )
    bring_in(project, as_lines(wicked_rows(corpus, answers=2 if question == "comparison" else 3)))
    belonging.join(project=project, user=person(f"{question[:1]}{worst[:140]}"))
    return project


def pages_of_the_lead(project: Project) -> Iterator[str]:
    top = f"/p/{project.slug}/"
    yield from (
        "/",
        top,
        f"{top}items/",
        f"{top}people/",
        f"{top}settings/",
        f"{top}import/",
        f"{top}snapshots/",
        f"{top}runs/",
    )
    yield from (f"{top}items/{pk}/" for pk in Item.objects.filter(project=project).values_list("pk", flat=True))


@pytest.mark.parametrize(("question", "corpus"), [("ranking", CORPUS), ("comparison", CORPUS[::4])])
def test_nothing_that_came_with_a_file_runs_on_any_page(lin: User, ada: User, question: str, corpus: list[str]) -> None:
    project = wicked_project(lin, ada, question, corpus)
    leader, annotator = signed_in(lin), signed_in(ada)
    found = []
    for address in pages_of_the_lead(project):
        found += [f"{address}: {danger}" for danger in dangers(leader.get(address).text)]
    for _ in corpus:
        page = annotator.get(f"/p/{project.slug}/judge/").text
        found += [f"desk: {danger}" for danger in dangers(page)]
        judge(project, ada)
    for number in Assignment.objects.values_list("pk", flat=True)[::6]:
        found += [
            f"corrected: {danger}" for danger in dangers(annotator.get(f"/p/{project.slug}/judge/{number}/").text)
        ]
    other = signed_in(User.objects.get(username__startswith=f"{question[:1]}<script>"))
    found += [f"top bar: {danger}" for address in ("/", "/account/") for danger in dangers(other.get(address).text)]
    for address in ("judge/", "mine/", "guidelines/", ""):
        found += [f"{address}: {danger}" for danger in dangers(annotator.get(f"/p/{project.slug}/{address}").text)]
    assert found == []
    assert Assignment.objects.filter(state="done").count() == len(corpus)


def test_nothing_runs_on_the_import_screen_and_in_its_refusals(lin: User) -> None:
    project, client = project_of(lin), signed_in(lin)
    for text, row in zip(CORPUS[::2], wicked_rows(CORPUS[::2], answers=3), strict=True):
        file = SimpleUploadedFile(f"{text.replace('/', '')}.jsonl", as_lines([{**row, text: text}]))
        page = client.post(f"/p/{project.slug}/import/", {"file": file})["Location"]
        answers = [client.get(page), client.get(f"/p/{project.slug}/import/")]
        form = {"id": text, "prompt": text, "responses": "responses", "where": text}
        answers += [client.post(page, form), client.post(page, {**form, "preview": "1"})]
        answers += [client.post(page, {"prompt": "prompt", "responses": "responses", "annotator": text, "ranks": text})]
        for answer in answers:
            assert dangers(answer.text) == []
        client.post(f"{page}discard/")


@pytest.mark.parametrize("text", CORPUS)
def test_rendered_text_holds_nothing_that_runs(text: str) -> None:
    assert dangers(render(text)) == []
    assert dangers(render(f"Some words.\n\n{text}\n\n* {text}\n> {text}")) == []


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*CORPUS, *PIECES]) | st.text(max_size=5), max_size=12).map("".join))
def test_no_mixture_of_hostile_pieces_runs(text: str) -> None:
    assert dangers(render(text)) == []


def test_the_reader_of_pages_finds_what_it_looks_for() -> None:
    """The proof of the proof: of these, each must be found when it stands on a page as it is."""
    for bad in (
        CORPUS[0],
        CORPUS[3],
        CORPUS[7],
        CORPUS[11],
        CORPUS[13],
        CORPUS[14],
        "<a href='javascript:x'>",
        "<a href='&#1;java&Tab;script:x'>",
        "<form action='data:text/html,x'>",
        "<div onclick=x>",
        "<script src='//evil.example'></script>",
        "<svg/onload=x>",
        "<base href='/'>",
    ):
        assert dangers(bad), bad


@pytest.mark.parametrize(
    "kept",
    ["**bold**", "`code`", "[a link](https://a.example/?b=c&d)", "* one\n* two", "| a |\n|---|\n| b |", "> said"],
)
def test_harmless_markdown_stays(kept: str) -> None:
    html = render(kept)
    assert re.search("<(strong|code|a|ul|table|blockquote)[ >]", html), html
    if "href" in html:
        assert 'rel="noopener nofollow ugc"' in html


def test_what_looks_like_html_is_shown_as_it_was_written(lin: User, ada: User) -> None:
    project = project_of(lin, ada)
    text = "Use <b>bold</b> & <script>alert(1)</script>"
    bring_in(project, as_lines([{"id": 1, "prompt": text, "responses": [text, "x"]}]))
    page = signed_in(ada).get(f"/p/{project.slug}/judge/")
    assert Page(page.text).text.count(text) == 4  # the prompt and one answer, formatted and raw


@pytest.mark.parametrize(
    "heavy",
    [
        "[" * 64_000,
        "*a " * 21_000,
        "`" * 64_000,
        ">" * 64_000,
        "- " * 32_000,
        "[a](" * 16_000,
        "![" * 32_000,
        "<" * 64_000,
        "&" * 64_000,
        "|" * 64_000,
        "a|" * 100 + "\n" + "-|" * 100 + "\n" + ("|" * 100 + "\n") * 500,
        "_" * 64_000,
        "~" * 64_000,
        "1. " * 21_000,
        "#" * 64_000,
        "x" * 900_000,
        "\n" * 64_000,
        "[x]: a\n" * 9_000,
        "**a" * 21_000,
        "```\n" * 16_000,
        "\\" * 64_000,
        "$" * 64_000,
        "$a " * 21_000,
        "$x$ " * 16_000,
        "$$\n" * 21_000,
        "\\(" * 32_000,
        "\\[\n" * 21_000,
        ("\\[\n" * 600 + "\\] x\n") * 30,
        ("> \\[\n" * 390 + "\\] x\n") * 25,
        "\\begin{align}\n" * 4_500,
        "$" + "{" * 63_998 + "$",
        ("$" + "\\sqrt{" * 300 + "$\n\n") * 30,
        "\u05e9 *a* " * 10_000,
        "- \u05e9\n" * 16_000,
    ],
    ids=lambda text: f"{text[:4]!r} {len(text)}",
)
def test_no_text_holds_a_page_up(heavy: str) -> None:
    began = time.process_time()
    render(heavy)
    plain(heavy)
    assert time.process_time() - began < 3


def test_an_annotator_learns_neither_sources_nor_what_colleagues_said(lin: User, ada: User) -> None:
    bo = person("bo")
    project = project_of(lin, ada, bo, overlap=3)
    records = [
        {
            "id": f"ITEM-{n}", "prompt": f"Q{n}", "responses": ["a", "b", "c"], "sources": ["SOURCE-1", "SOURCE-2", "SOURCE-3"],
            "ranks": [1, 2, 3], "annotator": "PSEUDONYM", "group": "GROUP",
        }
        for n in range(4)
    ]  # fmt: skip
    bring_in(project, as_lines(records))
    for _ in range(4):
        judge(project, bo)
    secrets = [
        "SOURCE-",
        "PSEUDONYM",
        "GROUP",
        "ITEM-",
        "bo</",
        *project.memberships.exclude(user=ada).values_list("pseudonym", flat=True),
    ]
    client, top = signed_in(ada), f"/p/{project.slug}/"
    texts = []
    for _ in range(4):
        texts.append(client.get(f"{top}judge/").text)
        texts.append(client.get(f"{top}judge/{judge(project, ada).item.assignments.get(member__user=ada).pk}/").text)
    texts += [client.get(f"{top}{page}").text for page in ("", "mine/", "guidelines/", "judge/")]
    texts += [
        client.get("/").text,
        client.get("/api/v1/projects/").text,
        client.get(f"/api/v1/projects/{project.slug}/").text,
    ]
    for text in texts:
        for secret in secrets:
            assert secret not in text, secret
    shown = signed_in(lin).get(f"{top}items/{Item.objects.first().pk}/").text  # type: ignore[union-attr]
    assert "SOURCE-1" in shown
    assert "PSEUDONYM" in shown


def test_the_answers_of_an_item_do_not_betray_their_place_in_the_file(lin: User, ada: User) -> None:
    """Nothing on the desk numbers the responses by their position: only by the place where they are shown."""
    project = project_of(lin, ada)
    bring_in(project, as_lines([{"id": 1, "prompt": "Q", "responses": ["same", "same", "same", "same"]}]))
    client = signed_in(ada)
    seen = set()
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        client.get(f"/p/{project.slug}/judge/")
        Assignment.objects.update(order=order)
        page = client.get(f"/p/{project.slug}/judge/").text
        seen.add(re.sub(r'((?:name="(?:key|csrfmiddlewaretoken)" value|data-token)=")[^"]*', r"\1", page))
    assert len(seen) == 1


def test_uploads_are_readable_by_the_site_alone(lin: User) -> None:
    project, client = project_of(lin), signed_in(lin)
    file = SimpleUploadedFile("x.jsonl", as_lines([{"id": 1, "prompt": "p", "responses": ["a", "b"]}]))
    client.post(f"/p/{project.slug}/import/", {"file": file})
    assert receiving.uploads().stat().st_mode & 0o077 == 0
    assert Client().get("/uploads/").status_code == 404

"""Which language somebody reads: what their browser asks for, until they choose; then what they chose, everywhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client
from django.utils import translation

from tests.builders import PASSWORD, person, signed_in
from tests.webapp.page_reading import Page
from webapp import saying
from webapp.people import noticing

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    """A request leaves its language with its thread, here the tests' own."""
    yield
    translation.deactivate()


def language_of(html: str) -> str:
    return Page(html).all("html")[0]["lang"]


@pytest.mark.parametrize(
    ("asked", "read"),
    [("de", "de"), ("de-AT,de;q=0.9,en;q=0.5", "de"), ("fr,en;q=0.5", "en"), ("fr", "en"), ("", "en")],
)
def test_the_browsers_wish_decides_until_somebody_chooses(asked: str, read: str) -> None:
    answer = Client().get("/sign-in/", headers={"accept-language": asked})
    assert language_of(answer.text) == read
    assert ("Anmelden" in answer.text) == (read == "de")


def test_a_choice_outlives_the_page_and_beats_the_browsers_wish() -> None:
    client = Client(headers={"accept-language": "en"})
    answer = client.post("/language/", {"language": "de", "next": "/sign-in/?next=/account/"})
    assert answer.status_code == 302
    assert answer["Location"] == "/sign-in/?next=/account/"
    assert language_of(client.get("/sign-in/").text) == "de"
    client.post("/language/", {"language": "en", "next": "/"})
    assert language_of(client.get("/sign-in/").text) == "en"


@pytest.mark.parametrize("wrong", ["", "xx", "../de", "de\r\n", "9" * 500])
def test_an_unknown_language_changes_nothing(wrong: str) -> None:
    client = Client()
    assert client.post("/language/", {"language": wrong}).status_code == 302
    assert not client.cookies
    assert client.get("/language/").status_code == 405


@pytest.mark.parametrize(
    "away", ["https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)", "\\\\x", ""]
)
def test_a_choice_leads_to_no_other_site(away: str) -> None:
    assert Client().post("/language/", {"language": "de", "next": away})["Location"] == "/"


def test_a_choice_stands_with_the_person_and_is_found_again_in_another_browser() -> None:
    ada = person("ada", password=PASSWORD)
    signed_in(ada).post("/language/", {"language": "de"})
    ada.refresh_from_db()
    assert ada.reads == "de"
    elsewhere = Client(headers={"accept-language": "en"})
    elsewhere.post("/sign-in/", {"username": "ada", "password": PASSWORD})
    assert language_of(elsewhere.get("/account/").text) == "de"


def test_what_was_chosen_before_signing_in_is_not_taken_back() -> None:
    person("ada", password=PASSWORD, language="de")
    here = Client()
    here.post("/language/", {"language": "en"})
    here.post("/sign-in/", {"username": "ada", "password": PASSWORD})
    assert language_of(here.get("/account/").text) == "en"


def test_a_page_in_german_brings_the_words_of_its_scripts_and_one_in_english_none() -> None:
    german = Page(Client().get("/sign-in/", headers={"accept-language": "de"}).text)
    english = Page(Client().get("/sign-in/", headers={"accept-language": "en"}).text)
    assert [s["src"] for s in german.all("script") if "/words/de" in s["src"]]
    assert not [s["src"] for s in english.all("script") if "/words/" in s["src"]]


def test_mistakes_in_a_form_are_told_in_the_readers_language() -> None:
    client = Client(headers={"accept-language": "de"})
    assert "und Passwort eingeben" in client.post("/sign-in/", {"username": "ada", "password": "no"}).text
    assert "Hier ist nichts" in client.get("/nothing/here/").text


def test_a_page_for_a_mistake_on_our_side_is_there_in_both_languages() -> None:
    client = Client(headers={"accept-language": "de"})
    assert "Das wurde nicht verstanden" in client.post("/language/", {"language": "\x00"}).text


def test_numbers_are_written_as_the_reader_writes_them() -> None:
    with translation.override("en"):
        assert saying.number(1234567.891, 2) == "1,234,567.89"
    with translation.override("de"):
        assert saying.number(1234567.891, 2) == "1.234.567,89"
        assert saying.number(0.5) == "0"


def test_a_notice_is_kept_as_it_was_written() -> None:
    ada = person("ada", language="de")
    noticing.notify(user=ada, text="Lauf 3 ist gelungen.")
    assert "Lauf 3 ist gelungen." in signed_in(ada).get("/notices/").text

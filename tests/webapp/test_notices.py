"""Notices: told once, read by going where they lead, mailed where mail is set up, and never a reason to fail."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from email import message_from_bytes, policy
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from tests.builders import person, signed_in
from tests.webapp.page_reading import Page
from webapp.people import noticing
from webapp.people.models import Notice, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def lin() -> User:
    return person("lin")


def bell(client: Client) -> str:
    """What a screen reader says of it."""
    [found] = [a for a in Page(client.get("/").text).all("a") if "data-bell" in a]
    return found["aria-label"]


def test_the_bell_counts_what_is_unread_and_tells_nobody_of_anothers(lin: User) -> None:
    client = signed_in(lin)
    assert bell(client) == "Notices"
    noticing.notify(user=lin, text="one")
    noticing.notify(user=lin, text="two")
    assert bell(client) == "Notices, unread: 2"
    assert bell(signed_in(person("ada"))) == "Notices"


def test_following_a_notice_reads_it_and_leads_where_it_says(lin: User) -> None:
    notice = noticing.notify(user=lin, text="ended", url="/account/")
    answer = signed_in(lin).get(f"/notices/{notice.pk}/")
    assert answer["Location"] == "/account/"
    assert noticing.unread(lin) == 0


def test_a_notice_of_somebody_else_is_neither_shown_nor_read(lin: User) -> None:
    notice = noticing.notify(user=lin, text="for lin alone", url="/account/")
    ada = signed_in(person("ada"))
    assert ada.get(f"/notices/{notice.pk}/")["Location"] == "/notices/"
    assert "for lin alone" not in ada.get("/notices/").text
    ada.post("/notices/")
    assert noticing.unread(lin) == 1


@pytest.mark.parametrize(
    "url", ["", "https://evil.example/", "//evil.example/", "javascript:alert(1)", "\\\\evil.example"]
)
def test_a_notice_leads_to_no_other_site(lin: User, url: str) -> None:
    notice = noticing.notify(user=lin, text="x", url=url)
    assert signed_in(lin).get(f"/notices/{notice.pk}/")["Location"] == "/notices/"


def test_unread_ones_stand_first_and_all_are_read_by_one_button(lin: User) -> None:
    client = signed_in(lin)
    assert "Nothing yet" in client.get("/notices/").text
    old, new = (noticing.notify(user=lin, text=text) for text in ("older", "newer <b>"))
    noticing.read(user=lin, notice_id=new.pk)
    page = client.get("/notices/").text
    assert page.index(f"/notices/{old.pk}/") < page.index(f"/notices/{new.pk}/")
    assert "newer &lt;b&gt;" in page
    client.post("/notices/")
    assert noticing.unread(lin) == 0
    assert "Mark all as read" not in client.get("/notices/").text


class MailServer:
    """As much of an SMTP server as one mail needs; `broken` ones hang up on the sender."""

    def __init__(self, broken: bool = False) -> None:
        self.broken, self.got = broken, list[tuple[str, bytes]]()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.came = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as file:
                if not self.broken:
                    self._talk(file)
                self.came.set()

    def _talk(self, file: Any) -> None:  # noqa: ANN401 - a socket's file
        def say(line: str) -> None:
            file.write(line.encode() + b"\r\n")
            file.flush()

        say("220 here")
        to = ""
        while line := file.readline():
            word = line[:4].upper()
            to = line.decode().strip() if word == b"RCPT" else to
            if word == b"DATA":
                say("354 go on")
                body = b""
                while (part := file.readline()) != b".\r\n":
                    body += part
                self.got.append((to, body))
            say("221 bye" if word == b"QUIT" else "250 ok")
            if word == b"QUIT":
                return


@pytest.fixture
def mail(settings: Any) -> Iterator[MailServer]:  # noqa: ANN401 - pytest-django's fixture
    server = MailServer()
    set_up(settings, server.port)
    yield server
    server.socket.close()


def set_up(settings: Any, port: int) -> None:  # noqa: ANN401
    settings.MAIL_IS_SET_UP, settings.SITE_URL = True, "https://polish.example/"
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port


def tell(lin: User, django_capture_on_commit_callbacks: Any, **more: Any) -> None:  # noqa: ANN401
    with django_capture_on_commit_callbacks(execute=True):
        noticing.notify(user=lin, **{"text": "Lauf 7 ist fertig ✓\nand more", "url": "/p/x/runs/7/", **more})


def test_a_notice_is_mailed_to_the_address_of_the_account(
    lin: User,
    mail: MailServer,
    django_capture_on_commit_callbacks: Any,  # noqa: ANN401
) -> None:
    lin.email = "lin@example.org"
    tell(lin, django_capture_on_commit_callbacks)
    assert mail.came.wait(10)
    [(to, raw)] = mail.got
    message = message_from_bytes(raw, policy=policy.default)
    assert to.endswith(":<lin@example.org>")
    assert message["Subject"] == "[Feinschliff] Lauf 7 ist fertig ✓"
    assert "https://polish.example/p/x/runs/7/" in message.get_content()


def test_no_mail_goes_out_without_an_address_or_for_what_was_rolled_back(
    lin: User,
    mail: MailServer,
    django_capture_on_commit_callbacks: Any,  # noqa: ANN401
) -> None:
    tell(lin, django_capture_on_commit_callbacks, text="no address")
    lin.email = "lin@example.org"
    with django_capture_on_commit_callbacks(execute=True), suppress(ValueError), transaction.atomic():
        noticing.notify(user=lin, text="rolled back")
        raise ValueError
    assert not mail.came.wait(0.5)
    assert [notice.text for notice in Notice.objects.all()] == ["no address"]


@pytest.mark.parametrize("port", ["closed", "hangs up"])
def test_a_mail_server_in_trouble_fails_and_delays_nothing(
    lin: User, settings: Any, port: str, django_capture_on_commit_callbacks: Any,  # noqa: ANN401
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    server = MailServer(broken=True)
    if port == "closed":
        server.socket.close()
    set_up(settings, server.port)
    lin.email = "lin@example.org"
    began = time.monotonic()
    tell(lin, django_capture_on_commit_callbacks)
    assert time.monotonic() - began < 1
    assert noticing.unread(lin) == 1
    until = time.monotonic() + 10
    while "could not be mailed" not in caplog.text and time.monotonic() < until:
        time.sleep(0.05)
    assert "could not be mailed" in caplog.text
    assert "lin@example.org" not in caplog.text
    server.socket.close()


def test_the_address_is_given_and_taken_away_on_the_account_page(lin: User, settings: Any) -> None:  # noqa: ANN401
    client = signed_in(lin)
    assert "Mail address" not in client.get("/account/").text
    settings.MAIL_IS_SET_UP = True
    assert "Mail address" in client.get("/account/").text
    for typed, kept in (("lin@example.org", "lin@example.org"), ("no address", "lin@example.org"), ("", "")):
        page = client.post("/account/", {"action": "change-mail", "email": typed}, follow=True).text
        lin.refresh_from_db()
        assert lin.email == kept
        assert ("Enter a valid email address" in page) == (typed == "no address")

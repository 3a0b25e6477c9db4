"""`manage.py run`: the whole site in the foreground, from an empty folder to a ready address, until Ctrl-C.

It stands around the loop: database, migrations, static files, first start, then web and worker, watched. Nothing is
left running when it ends, and nothing needs repair by hand when it was killed.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connections
from django.db.backends.utils import CursorWrapper
from django.db.migrations.executor import MigrationExecutor
from django.utils.module_loading import import_string

from webapp import postgres
from webapp.home import PROJECT_ROOT, CannotStart, ensure_home, home, secret_key
from webapp.supervising import Kept, end_all

END_LIMIT = 30.0  # seconds for web and worker to end in order
PORT_LIMIT = 5.0  # seconds for the port of a killed predecessor to become free
GIVE_UP_AFTER = 4  # deaths of the web process before it ever answered
Links = list[tuple[str, str, str]]  # user name, role, path


class Command(BaseCommand):
    help = "Runs Feinschliff: database, web and worker, until Ctrl-C."

    def handle(self, *args: object, **options: object) -> None:
        os.umask(0o077)
        host, port = chosen_address()
        ensure_home()
        secret_key()
        refuse_a_taken_port(host, port)
        with self.database():
            self.prepare()
            self.watch(host, port)
        self.say("Stopped.")

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    @contextlib.contextmanager
    def database(self) -> Iterator[None]:
        if os.environ.get("DATABASE_URL"):
            postgres.wait_for_given_server(self.say)
            yield
            return
        with postgres.running(home(), self.say):
            yield

    def prepare(self) -> None:
        """Brings the database, the static files and the first content to what this version needs."""
        connection = connections["default"]
        with connection.cursor() as cursor:
            postgres.refuse_forgetful(lambda name: _setting(cursor, name))
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", interactive=False, verbosity=1)
        call_command("collectstatic", interactive=False, verbosity=0)
        for name in settings.FIRST_START:
            import_string(name)()

    def watch(self, host: str, port: int) -> None:
        self.asked_to_end = 0
        self.waits_for_database = False
        self.listen_for_signals()
        links = _one_time_links()
        _close_connections()
        python = sys.executable
        gunicorn = [python, "-m", "gunicorn", "-c", str(PROJECT_ROOT / "platform/webapp/gunicorn_settings.py")]
        web = Kept("web", [*gunicorn, "webapp.wsgi:application"], self.say)
        worker = Kept("worker", [python, str(PROJECT_ROOT / "manage.py"), "work"], self.say)
        try:
            web.start()
            worker.start()
            self.wait_until_ready(web, worker, host, port, links)
            self.keep(web, worker)
        finally:
            self.say("Stopping ...")
            end_all([web, worker], END_LIMIT, lambda: self.asked_to_end > 1)

    def listen_for_signals(self) -> None:
        def note(number: int, frame: object) -> None:
            self.asked_to_end += 1
            if self.waits_for_database:
                raise KeyboardInterrupt

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN or number == signal.SIGINT:
                signal.signal(number, note)

    def wait_until_ready(self, web: Kept, worker: Kept, host: str, port: int, links: Links) -> None:
        while not self.asked_to_end:
            if healthy(host, port):
                return self.greet(host, port, links)
            web.watch()
            worker.watch()
            if web.deaths >= GIVE_UP_AFTER:
                raise CannotStart("The web process cannot start; the reason stands above.")
            time.sleep(0.1)

    def greet(self, host: str, port: int, links: Links) -> None:
        address = f"http://{_in_address(reachable(host))}:{port}"
        self.say(f"\nFeinschliff is ready at {address}")
        if links:
            self.say("\nEach of these links signs in once, to choose a password:\n")
            for username, role, path in links:
                self.say(f"  {f'{username} ({role})':<28} {address}{path}")
        self.say("\nCtrl-C stops it.")

    def keep(self, web: Kept, worker: Kept) -> None:
        next_look = time.monotonic() + 2
        while not self.asked_to_end:
            time.sleep(0.2)
            web.watch()
            worker.watch()
            if not os.environ.get("DATABASE_URL") and time.monotonic() >= next_look:
                self.look_after_the_database()
                next_look = time.monotonic() + 2

    def look_after_the_database(self) -> None:
        if postgres.answers(home()):
            return
        self.say("The database does not answer; starting it again.")
        self.waits_for_database = True  # crash recovery may take minutes: Ctrl-C must not
        try:
            postgres.ensure_up(home(), self.say)
            self.say("The database answers again.")
        except CannotStart as refusal:
            self.say(f"{refusal}")
        finally:
            self.waits_for_database = False


def chosen_address() -> tuple[str, int]:
    host = os.environ.get("HOST") or "127.0.0.1"
    given = os.environ.get("PORT") or "8000"
    if not given.isascii() or not given.isdigit() or not 1 <= int(given) <= 65535:
        raise CannotStart(f"PORT is {given!r}; it must be a number from 1 to 65535. Nothing was started.")
    return host, int(given)


def refuse_a_taken_port(host: str, port: int) -> None:
    """Waits a moment first: processes of a killed predecessor may be just about to end."""
    until = time.monotonic() + PORT_LIMIT
    while (problem := _bind_problem(host, port)) is not None:
        if problem.errno != errno.EADDRINUSE or time.monotonic() > until:
            raise CannotStart(
                f"Cannot listen on {host} port {port}: {(problem.strerror or str(problem)).lower()}. Is Feinschliff "
                f"running already? Otherwise choose another port: PORT={port + 1 if port < 65535 else 8000} make run. "
                "Nothing was started."
            )
        time.sleep(0.25)


def healthy(host: str, port: int) -> bool:
    """Whether /healthz answers. 400 counts: the site is up and ALLOWED_HOSTS names another address than this one."""
    connection = http.client.HTTPConnection(reachable(host), port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status in (200, 400)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - shown and asked, not listened on


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _bind_problem(host: str, port: int) -> OSError | None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        return error
    return None


def _setting(cursor: CursorWrapper, name: str) -> str:
    cursor.execute("SELECT current_setting(%s)", [name])
    return str(cursor.fetchone()[0])


def _one_time_links() -> Links:
    from webapp.people.inviting import unclaimed_links

    return unclaimed_links()


def _close_connections() -> None:
    """The supervisor holds none: its pool would complain each time the database is restarted."""
    for connection in connections.all(initialized_only=True):
        connection.close()
        if hasattr(connection, "close_pool"):
            connection.close_pool()

#!/usr/bin/env python3
"""Django's own command line, for this project.

Three things happen before Django starts: an interpreter without Django hands over to the one in `.venv`; `platform/` is
appended to the path (appended, so that nothing in it can hide a module of Python's); and a command that needs the
database starts the embedded one for its own duration, or joins the one that runs already.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent
# `run` looks at the port first and starts the database itself.
WITHOUT_DATABASE = {"run", "help", "version", "check", "collectstatic", "findstatic", "makemessages", "compilemessages",
                    "diffsettings", "startapp", "startproject"}  # fmt: skip


def main() -> None:
    use_the_environment()
    sys.path.append(str(ROOT / "platform"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    end_in_order_on_signals()
    from django.core.management import execute_from_command_line
    from django.db import OperationalError, ProgrammingError

    from webapp.home import CannotStart

    try:
        with database(sys.argv) as command:
            if command:
                from webapp.migrating import bring_up_to_date

                bring_up_to_date(command)
            execute_from_command_line(sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)
    except CannotStart as refusal:
        sys.exit(f"{refusal}")
    except ProgrammingError as error:
        if "--traceback" in sys.argv or "does not exist" not in str(error):
            raise
        sys.exit(f"The database lacks tables that this version needs. Run: python3 manage.py migrate\n({error})")
    except OperationalError as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"The database did not do what it was asked: {str(error).strip()}")


def use_the_environment() -> None:
    """Hands over to .venv's interpreter where this one has no Django or is too old for us."""
    if sys.version_info >= (3, 11) and importlib.util.find_spec("django"):
        return
    python = ROOT / ".venv" / "bin" / "python"
    if not python.exists() or Path(sys.prefix).resolve() == (ROOT / ".venv").resolve():
        sys.exit("Feinschliff is not installed here yet. Run: make setup")
    os.execv(str(python), [str(python), *sys.orig_argv[1:]])  # noqa: S606


def end_in_order_on_signals() -> None:
    """SIGTERM and a closed terminal end a command the way Ctrl-C does: with its `finally` blocks."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, lambda received, frame: sys.exit(128 + received))


@contextlib.contextmanager
def database(argv: list[str]) -> Iterator[str | None]:
    """The database for as long as the command lasts; gives the command's name, or None where it needs none."""
    command = argv[1] if len(argv) > 1 else "help"
    asks_only = {"-h", "--help", "--version"} & set(argv)
    named = command == "check" and any(part.startswith("--database") for part in argv)
    if asks_only or (command in WITHOUT_DATABASE and not named):
        yield None
        return
    from webapp import postgres
    from webapp.home import home

    if os.environ.get("DATABASE_URL"):
        postgres.wait_for_given_server(lambda line: print(line, file=sys.stderr, flush=True))
        yield command
    else:
        with postgres.running(home()):
            yield command


if __name__ == "__main__":
    main()

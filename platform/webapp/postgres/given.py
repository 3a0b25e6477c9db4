"""The server that DATABASE_URL names: waited for while it starts, and refused in a sentence where it cannot be used.

Asked once, before a command begins; Django's connection pool would repeat the same complaint for half a minute.
"""

from __future__ import annotations

import time

from webapp.home import CannotStart

from .server import Say

STARTING_LIMIT = 30.0  # seconds


def wait_for_given_server(say: Say) -> None:
    """Connects as Django will. A server that is not there yet may still be starting; one that says no has decided."""
    import psycopg
    from django.db import connection

    parameters = {**connection.get_connection_params(), "connect_timeout": 5}
    until = time.monotonic() + STARTING_LIMIT
    told = False
    while True:
        try:
            psycopg.connect(**parameters).close()
            return
        except psycopg.OperationalError as error:
            reason = str(error).strip().splitlines()[0]
            refused = "FATAL" in str(error) and "starting up" not in str(error)
            if refused or time.monotonic() > until:
                raise CannotStart(f"The database of DATABASE_URL cannot be used: {reason}") from error
        if not told:
            say("The database of DATABASE_URL does not answer yet; waiting for it ...")
            told = True
        time.sleep(0.5)

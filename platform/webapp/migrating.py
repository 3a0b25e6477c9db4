"""Brings the embedded database to what this version needs before a command of ours works on it.

It stands between `manage.py` and the loop: whoever scripts the loop need not have started the site before. A database that
was given by DATABASE_URL is left as it is; its operator migrates it.
"""

from __future__ import annotations

import os
import sys

import django
from django.core.management import call_command, get_commands
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

OURS = ("annotation", "training", "webapp")
LOCK = "SELECT pg_advisory_lock(hashtext('feinschliff migrations'))"
UNLOCK = "SELECT pg_advisory_unlock(hashtext('feinschliff migrations'))"


def bring_up_to_date(command: str) -> None:
    """Migrates where `command` is ours and would find older tables, or none."""
    if os.environ.get("DATABASE_URL"):
        return
    django.setup()
    if not str(get_commands().get(command, "")).startswith(OURS):
        return
    connection = connections["default"]
    executor = MigrationExecutor(connection)
    if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return
    sys.stderr.write("Making the tables ...\n")
    with connection.cursor() as cursor:  # two first commands at once: one waits for the other
        cursor.execute(LOCK)
        try:
            call_command("migrate", interactive=False, verbosity=0)
        finally:
            cursor.execute(UNLOCK)

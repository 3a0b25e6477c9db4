"""create_project and import_items: by call and as real processes, killed ones too."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from annotation.models import Import, Item, Judgement, Project
from tests.annotation.test_importing import kept
from tests.builders import add_items, as_lines, child_environment, person, project_of, rows
from tests.world import ROOT
from webapp.people.permitting import LEAD

PYTHON = shutil.which("python3") or "python3"


def said(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def as_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PYTHON, "manage.py", *arguments],
        cwd=ROOT,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "items.jsonl"
    path.write_bytes(as_lines([row | {"ranks": [1, 2, 3, 4]} for row in rows(3)]))
    return path


@pytest.mark.django_db
def test_create_project_makes_a_project_that_the_admins_lead(tmp_path: Path) -> None:
    root, ada = person("root", is_superuser=True), person("ada")
    guide = tmp_path / "guide.md"
    guide.write_text("Be *fair*.")
    answer = said(
        "create_project", "Reading rooms", "--questions", "comparison", "--overlap", "3", "--guidelines", str(guide),
        "--annotator", "ada", "--json",
    )  # fmt: skip
    assert json.loads(answer.splitlines()[-1]) == {"project": "reading-rooms"}
    made = Project.objects.get()
    assert (made.overlap, made.questions.get().kind, made.guidelines.get().text) == (3, "comparison", "Be *fair*.")
    assert made.memberships.get(user=root).role == LEAD
    assert made.memberships.get(user=ada).role == "annotator"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["Answers"], "there already"), (["new"], "there already"), (["   "], "needs a name"), ([""], "needs a name"),
        (["x" * 200], "at most 120"), (["A", "--overlap", "0"], "overlap"), (["A", "--overlap", "51"], "overlap"),
        (["A", "--overlap", "99999"], "overlap"), (["A", "--annotator", "nobody"], "nobody called nobody"),
        (["A", "--guidelines", "/nowhere"], "no file /nowhere"), (["A", "--guidelines", "LATIN"], "UTF-8"),
    ],
)  # fmt: skip
def test_create_project_refuses_in_a_sentence_and_makes_nothing(
    arguments: list[str], words: str, tmp_path: Path
) -> None:
    project_of(None)
    latin = tmp_path / "latin.md"
    latin.write_bytes(b"caf\xe9")
    with pytest.raises(CommandError, match=re.escape(words)):
        call_command("create_project", *[str(latin) if part == "LATIN" else part for part in arguments])
    assert Project.objects.count() == 1


@pytest.mark.django_db
def test_import_items_says_what_it_did(file: Path) -> None:
    project_of(None)
    answer = said("import_items", "answers", str(file), "--json")
    counts = json.loads(answer.splitlines()[-1])
    assert counts == {
        "lines": 3, "items": 3, "already_there": 0, "left_out": 0, "responses": 12, "judgements": 3, "annotators": 1,
    }  # fmt: skip
    assert "3 items were there already" in said("import_items", "Answers", str(file))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "FILE"], "no project “nowhere”. There are: answers"),
        (["answers", "/nowhere.jsonl"], "no file /nowhere.jsonl"),
        (["answers", "/"], "no file /"),
        (["answers", "FILE", "--map", "prompt"], "word=field"),
        (["answers", "FILE", "--map", "prompts=x"], "no such word in a mapping"),
        (["answers", "FILE", "--map", "prompt=question", "--map", "responses=responses"], "line 1, question: there is no field"),
        (["answers", "FILE", "--join", "a1"], "--join is written"),
        (["answers", "FILE", "--join", "a1=/nowhere:key"], "no file /nowhere"),
        (["answers", "FILE", "--join", "id=FILE:nokey"], "line 1, nokey: the joined file has no such field"),
        (["answers", "FILE", "--join", "prompt=FILE:id"], "line 1, prompt: no record with id"),
        (["answers", "FILE", "--join", "responses=FILE:id"], "line 1, responses: no record with id"),
    ],
)  # fmt: skip
def test_import_items_refuses_in_words_and_imports_nothing(arguments: list[str], words: str, file: Path) -> None:
    project_of(None)
    before = kept()
    with pytest.raises(CommandError, match=re.escape(words)):
        call_command("import_items", *[part.replace("FILE", str(file)) for part in arguments])
    assert kept() == before
    assert not Import.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_both_commands_as_processes_print_one_json_object_last(file: Path) -> None:
    made = as_process("create_project", "Lamps", "--questions", "ranking", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout.splitlines()[-1]) == {"project": "lamps"}
    counted = as_process("import_items", "lamps", str(file), "--json")
    assert counted.returncode == 0, counted.stderr
    assert json.loads(counted.stdout.splitlines()[-1])["items"] == 3
    refused = as_process("import_items", "lamps", "README.md", "--json")
    assert refused.returncode != 0
    assert "Traceback" not in refused.stderr
    assert refused.stderr.strip().endswith("Nothing was imported.")
    assert Item.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_a_line_of_50_mb_is_refused_at_once_and_in_little_memory(tmp_path: Path) -> None:
    project_of(None)
    huge, small = tmp_path / "huge.jsonl", tmp_path / "small.jsonl"
    huge.write_bytes(as_lines(rows(2)) + b'{"id": "x", "prompt": "' + b"x" * 50 * 1024 * 1024 + b'"}\n')
    small.write_bytes(b"{}\n")
    before = kept()
    memory, text = peak_memory("import_items", "answers", str(huge))
    usual, _ = peak_memory("import_items", "answers", str(small))
    assert "line 3: the line is longer than 4 MB" in text
    assert memory - usual < 40 * 1024, f"{memory} KiB, where a small bad file takes {usual}"
    assert kept() == before


def peak_memory(*arguments: str) -> tuple[int, str]:
    """The most memory that a command held, in KiB, and what it said."""
    process = subprocess.Popen(
        [PYTHON, "manage.py", *arguments], cwd=ROOT, env=child_environment(), stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    text = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 1
    return usage.ru_maxrss, text


WRITING = """
SELECT a.pid FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid JOIN pg_class c ON c.oid = l.relation
WHERE a.datname = current_database() AND c.relname = 'annotation_judgement' AND l.mode = 'RowExclusiveLock'
"""


def writers() -> set[int]:
    """The database's sessions that have written judgements and not committed."""
    with connection.cursor() as cursor:
        cursor.execute(WRITING)
        return {row[0] for row in cursor.fetchall()}


def wait_until(true: Callable[[], object], what: str, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, what
        time.sleep(0.01)


@pytest.mark.django_db(transaction=True)
def test_an_import_killed_in_the_middle_leaves_nothing_and_the_next_takes_all(tmp_path: Path) -> None:
    project = project_of(None)
    add_items(project, 1, prefix="before")
    path = tmp_path / "many.jsonl"
    path.write_bytes(as_lines([row | {"ranks": [1, 2]} for row in rows(20_000, answers=2)]))
    before, imports = kept(), Import.objects.count()
    child = subprocess.Popen(
        [PYTHON, "manage.py", "import_items", "answers", str(path)], cwd=ROOT, env=child_environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    wait_until(lambda: writers() or child.poll() is not None, "the import never wrote")
    assert child.poll() is None, child.stderr and child.stderr.read()
    child.kill()
    assert child.wait(10) == -9
    wait_until(lambda: not writers(), "the killed import's session lives on")
    assert kept() == before
    assert Import.objects.count() == imports
    path.write_bytes(as_lines([row | {"ranks": [1, 2]} for row in rows(600, answers=2)]))
    call_command("import_items", "answers", str(path), stdout=StringIO())
    assert Item.objects.count() == 601
    assert Judgement.objects.count() == 600

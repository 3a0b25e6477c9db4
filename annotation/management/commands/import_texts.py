"""manage.py import_texts PROJECT PATH [PATH ...]"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation import documents, mapping, texts
from annotation.formats import encodings
from annotation.formats.jsonl import Problem
from annotation.importing import ImportRefused
from annotation.management.reading import finish, project_named


class Command(BaseCommand):
    help = "Brings raw texts into a project, for a model to learn from as they are: all of them, or nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project")
        parser.add_argument(
            "path", nargs="+", help="a text file, a folder or zip of them, or a JSONL, CSV or TSV with a field `text`"
        )
        parser.add_argument(
            "--encoding", default=encodings.UTF8, help="of files that are not UTF-8, such as windows-1252"
        )
        parser.add_argument(
            "--each-line", action="store_true", help="every line of a plain file is a text of its own, not the file"
        )
        parser.add_argument(
            "--map", action="append", default=[], metavar="WORD=FIELD",
            help=f"which field of a record is what, as in text=body; words: {', '.join(documents.WORDS)}",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", help="print one JSON object with the counts")

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - argparse's values
        project = project_named(options["project"])
        passed_over = documents.PassedOver()
        paths = [path for name in options["path"] for path in _files(name, passed_over)]
        try:
            how = documents.How(
                encodings.known(options["encoding"]), options["each_line"], mapping.from_pairs(options["map"])
            )
            names = [Path(name).name for name in options["path"]]
            counts = texts.take(
                project=project, sources=lambda: _opened(paths), names=names, how=how, actor=None,
                passed_over=passed_over,
            )  # fmt: skip
        except (ImportRefused, Problem) as refusal:
            problems = refusal.problems if isinstance(refusal, ImportRefused) else [refusal]
            raise CommandError("\n".join([*map(str, problems), "Nothing was imported."])) from None
        said = (
            f"Imported {counts.texts} texts of {counts.characters} characters out of {counts.files} files; "
            f"{counts.already_there} were there already."
        )
        if counts.passed_over:
            such_as = ", ".join(counts.passed_over_such_as)
            said += f" {counts.passed_over} files that are no texts were passed over, such as {such_as}."
        finish(self, said, vars(counts), as_json=options["json"])


def _files(name: str, passed_over: documents.PassedOver) -> list[tuple[Path, str]]:
    """The texts below a folder with their paths in it, or the one file. Raises CommandError."""
    top = Path(name)
    if top.is_dir():
        found = [(path, path.relative_to(top).as_posix()) for path in sorted(top.rglob("*")) if path.is_file()]
        for _, inside in found:
            if not documents.is_text(inside):
                passed_over.note(inside)
        return [(path, inside) for path, inside in found if documents.is_text(inside)]
    if not top.is_file():
        raise CommandError(f"There is no file or folder {name}.")
    if not documents.is_text(top.name) and top.suffix.lower() != ".zip":
        raise CommandError(f"{name} is no text file; they end in .txt, .jsonl, .csv, .tsv or .zip.")
    return [(top, top.name)]


def _opened(paths: Sequence[tuple[Path, str]]) -> Iterator[documents.Source]:
    """One after the other: a folder may hold more files than can be open at once."""
    for path, name in paths:
        with path.open("rb") as file:
            yield documents.Source(name, file)

"""Writes a new plugin package that works at once: `python -m feinschliff new NAME`.

What it holds stands in `starter/`: a trainer in pure Python that keeps the contract, its test, the entry point, and rows to try
it on.
"""

import keyword
import re
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from string import Template

STARTER = Path(__file__).with_name("starter")
FILES = {  # file of the starter -> where it goes
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
    "pairs.jsonl.txt": "pairs.jsonl",
    "init.py.txt": "src/{module}/__init__.py",
    "model.py.txt": "src/{module}/model.py",
    "training.py.txt": "src/{module}/training.py",
    "test_conformance.py.txt": "tests/test_conformance.py",
}
NAME = re.compile(r"^[a-z][a-z0-9]*([-_][a-z0-9]+)*$")
RESERVED = ("src", "tests", "test", "plugins", "platform")


class NotStarted(ValueError):
    """A plugin that was not written; the message says why and what would be right."""


def start(name: str, into: Path) -> Path:
    """The folder of a new plugin package in `into`. NotStarted, and nothing written, where that cannot be."""
    from feinschliff import __version__

    slug, module = name.replace("_", "-"), name.replace("-", "_")
    _check_name(name, slug, module)
    if not into.is_dir():
        raise NotStarted(f"{into}: no such folder; nothing was written")
    folder = into / slug
    if folder.exists() or folder.is_symlink():
        raise NotStarted(f"{folder} is there already; nothing was written")
    major, minor, *_ = __version__.split(".")
    words = {
        "slug": slug,
        "module": module,
        "title": slug.replace("-", " ").capitalize(),
        "version": f"{major}.{minor}",
        "next": str(int(major) + 1),
    }
    try:
        draft = Path(tempfile.mkdtemp(prefix=f".{slug}-", dir=into))
    except OSError as error:
        raise NotStarted(f"{into}: cannot be written to ({error.strerror}); nothing was written") from None
    try:
        for source, place in FILES.items():
            target = draft / place.format(module=module)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(Template((STARTER / source).read_text("utf-8")).substitute(words), "utf-8")
        draft.chmod(0o755)
        draft.rename(folder)
    except OSError as error:
        raise NotStarted(f"{folder}: cannot be written ({error.strerror}); nothing was written") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _check_name(name: str, slug: str, module: str) -> None:
    if not NAME.match(name) or len(name) > 40:
        raise NotStarted(
            f"{name!r} is no name for a plugin: a letter, then lower-case letters and digits, words joined by single "
            "hyphens, at most 40 characters (tide-judge, say); nothing was written"
        )
    if keyword.iskeyword(module) or keyword.issoftkeyword(module) or module in RESERVED:
        raise NotStarted(f"{name!r} means something else already; take another name; nothing was written")
    if module in sys.stdlib_module_names or find_spec(module) is not None:
        raise NotStarted(
            f"{name!r} would be imported as {module!r}, which is a module here already; take another name (my-{slug}, say); "
            "nothing was written"
        )

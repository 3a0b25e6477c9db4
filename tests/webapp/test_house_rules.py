"""Rules that hold for all our code and files: no pickle, no shell, known vendored files, a key nobody else can read."""

from __future__ import annotations

import ast
import hashlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from webapp import home

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("platform", "annotation", "training", "plugins", "benchmarks")
VENDOR = ROOT / "platform" / "webapp" / "static" / "vendor"
PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def our_files() -> list[Path]:
    return [ROOT / "manage.py", *(file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py")))]


def imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    return {(node.module or "").split(".")[0]} if isinstance(node, ast.ImportFrom) else set()


def faults(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if bad := imported(node) & PICKLES:
            yield f"line {node.lineno}: imports {', '.join(bad)}"  # type: ignore[attr-defined]
        if isinstance(node, ast.Call):
            yield from faults_of_call(node)


def faults_of_call(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    for keyword in call.keywords:
        if keyword.arg == "shell" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False):
            yield f"line {call.lineno}: a shell"
        if keyword.arg is None and ast.unparse(keyword.value).startswith("request."):
            yield f"line {call.lineno}: **{ast.unparse(keyword.value)}"
        if keyword.arg == "weights_only" and ast.unparse(keyword.value) != "True":
            yield f"line {call.lineno}: weights_only is not True"
        if keyword.arg == "trust_remote_code" and ast.unparse(keyword.value) != "False":
            yield f"line {call.lineno}: trust_remote_code"
    if name in ("os.system", "os.popen", "eval", "exec", "subprocess.getoutput"):
        yield f"line {call.lineno}: {name}"
    if name == "torch.load" and "weights_only" not in {keyword.arg for keyword in call.keywords}:
        yield f"line {call.lineno}: torch.load without weights_only"


@pytest.mark.parametrize("path", our_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_pickle_no_shell_and_no_request_spread_into_arguments(path: Path) -> None:
    assert list(faults(ast.parse(path.read_text("utf-8")))) == []


@pytest.mark.parametrize(
    "bad",
    ["import pickle", "from dill import loads", "run(x, shell=True)", "f(**request.POST)", "torch.load(p)", "eval(x)"],
)
def test_the_rule_finds_what_it_looks_for(bad: str) -> None:
    assert list(faults(ast.parse(bad)))


def test_vendored_files_are_those_of_the_manifest_and_no_others() -> None:
    manifest = json.loads((VENDOR / "MANIFEST.json").read_text("utf-8"))
    there = {file.name for file in VENDOR.iterdir()} - {"MANIFEST.json"}
    assert there == set(manifest)
    for name, entry in manifest.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == entry["sha256"], name
        assert entry["licence"] and entry["version"], name


def test_the_secret_key_is_ours_alone_and_long() -> None:
    path = settings.HOME / "secret_key"
    assert home.secret_key() == path.read_text().strip() == settings.SECRET_KEY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(settings.SECRET_KEY) >= 50


def test_debugging_is_off_unless_asked_for() -> None:
    assert settings.DEBUG is False
    assert settings.SESSION_COOKIE_HTTPONLY
    assert "*" not in settings.ALLOWED_HOSTS


TEMPLATES = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("templates/**/*.html"))]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_carries_code_or_style(path: Path) -> None:
    text = path.read_text("utf-8")
    assert "style=" not in text
    assert "<style" not in text
    assert " onclick" not in text
    assert "|safe" not in text.replace("html|safe", "").replace("help_text|safe", "")
    assert "autoescape off" not in text

"""Plugins that contradict each other, each in an environment of its own: installed, trained side by side, asked, removed."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.builders import child_environment
from tests.feinschliff.test_refusals import lay_out
from tests.training.world_of_runs import frozen, planted, queued
from tests.world import ROOT
from training import answering, launching
from training.catalogue import environments, installing, listing, switching
from training.models import Model, Run
from training.working import Worker
from webapp.people.models import AuditEntry

pytestmark = pytest.mark.django_db

PLUGIN = """
import json
import common_words
from feinschliff import Needs, Trainer, hookimpl
from pydantic import BaseModel


class Nothing(BaseModel):
    pass


@hookimpl
def feinschliff_trainers():
    yield Trainer(
        api=1, name="{trainer}", title="The {trainer} one", summary="Counts.", family="human-feedback",
        needs=Needs(rows=("ranking",)), config=Nothing, train="{module}:train", opens="{module}:Scorer", yields=("score",),
    )


def train(run):
    import common_words, sys
    (run.out / "model").mkdir()
    (run.out / "model" / "words.json").write_text(json.dumps(common_words.VERSION))
    return {{"words": common_words.VERSION, "here": float(sys.prefix.endswith("{trainer}"))}}


class Scorer:
    def __init__(self, folder):
        assert common_words.VERSION == json.loads((folder / "words.json").read_text())

    def score(self, prompt, completions):
        return [float(common_words.VERSION)] * len(completions)
"""


def wheel(shelf: Path, name: str, version: str, code: str, *, requires: str = "", entry: bool = False) -> Path:
    """A wheel with one module, written by hand."""
    module = name.replace("-", "_")
    about = f"{module}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", "Author: Kim Example"]
    files = {
        f"{module}.py": code,
        f"{about}/METADATA": "\n".join([*lines, *([f"Requires-Dist: {requires}"] if requires else []), ""]),
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: by-hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if entry:
        files[f"{about}/entry_points.txt"] = f"[feinschliff]\n{name} = {module}\n"
    path = shelf / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as made:
        record = []
        for inside, text in files.items():
            made.writestr(inside, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record.append(f"{inside},sha256={digest},{len(text.encode())}")
        made.writestr(f"{about}/RECORD", "\n".join([*record, f"{about}/RECORD,,", ""]))
    return path


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheels in a folder: alpha wants the words of 1.0, beta those of 2.0, and no environment can hold both."""
    folder = tmp_path_factory.mktemp("wheels")
    for version in ("1", "2"):
        wheel(folder, "common-words", f"{version}.0", f"VERSION = {version}\n")
    for name, version in (("alpha", "1"), ("beta", "2")):
        code = PLUGIN.format(trainer=name, module=f"{name}_plugin")
        wheel(folder, f"{name}-plugin", "1.0", code, requires=f"common-words=={version}.0", entry=True)
    wheel(folder, "no-plugin", "1.0", "")
    wheel(folder, "broken-plugin", "1.0", "import nowhere_at_all", entry=True)
    wheel(folder, "clashing-plugin", "1.0", PLUGIN.format(trainer="alpha", module="clashing_plugin"), entry=True,
          requires="common-words")  # fmt: skip
    return folder


@pytest.fixture
def offline(shelf: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip sees the wheels and no network."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return home


def said(*words: str) -> str:
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue().strip()


def refusal(*words: str) -> str:
    with pytest.raises(CommandError) as wrong:
        said(*words)
    assert "Nothing was changed." in str(wrong.value)
    return str(wrong.value)


def install(name: str, *more: str) -> str:
    return said("plugin", "install", name, "--share", *more)


@pytest.fixture
def alpha(offline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment of alpha-plugin as an earlier installation left it: made once, then copied."""
    kept = tmp_path_factory.getbasetemp() / "alpha-plugin"
    place = environments.folder("alpha-plugin")
    if kept.exists():
        shutil.copytree(kept, place, symlinks=True)
    else:
        install("alpha-plugin")
        shutil.copytree(place, kept, symlinks=True)
        AuditEntry.objects.all().delete()
    return place


def trained(trainer: str) -> Run:
    project = planted(6, name=f"world of {trainer}")
    found = listing.listing()
    plugin = found.trainers[trainer]["plugin"]
    switching.switch(project=project, plugin=plugin, on=True, listing=found, actor=None)
    return launching.launch(project=project, trainer=trainer, snapshot=frozen(project), config={}, models={})


def test_two_plugins_with_contradicting_dependencies_train_and_score_side_by_side(alpha: Path) -> None:
    told = install("beta-plugin", "--name", "beta")
    assert "Successfully installed beta-plugin-1.0 common-words-2.0" in told
    assert "Installed beta-plugin 1.0 in the environment beta: beta." in told
    runs = {name: trained(name) for name in ("alpha", "beta")}
    assert (runs["alpha"].environment, runs["beta"].environment) == ("alpha-plugin", "beta")
    for run in runs.values():
        assert Worker().work_one(run.pk)
        run.refresh_from_db()
        assert run.state == Run.SUCCEEDED, run.error
    assert (runs["alpha"].numbers["words"], runs["beta"].numbers["words"]) == (1, 2)
    assert runs["beta"].numbers["here"] == 1.0, "it must be worked by the environment's own interpreter"
    for name, words in (("alpha", 1.0), ("beta", 2.0)):
        model = Model.objects.get(run=runs[name])
        assert answering.score(model=model, prompt="p", completions=["a", "b"]) == [words, words]
    assert AuditEntry.objects.get(action="install_plugin").subject == "beta"
    assert "alpha: Counts. (alpha-plugin in its environment alpha-plugin)" in said("plugins")


def test_what_is_installed_is_listed_with_its_size_and_removed_again(alpha: Path) -> None:
    [one] = json.loads(said("plugin", "list", "--json"))["environments"]
    assert (one["environment"], one["plugins"], one["share"]) == ("alpha-plugin", {"alpha-plugin": "1.0"}, True)
    about = environments.environment("alpha-plugin")
    assert about is not None
    assert about.about["packages"] == {"alpha-plugin": "1.0", "common-words": "1.0"}
    assert "alpha" in listing.listing().trainers
    freed = json.loads(said("plugin", "remove", "alpha-plugin", "--json"))
    assert freed["freed_bytes"] > 10_000
    assert not environments.folder("alpha-plugin").exists()
    assert "alpha" not in listing.listing().trainers
    assert said("plugin", "list") == "No plugin has an environment of its own."
    assert AuditEntry.objects.get().action == "remove_plugin"


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ("nowhere-to-be-found", "No matching distribution found for nowhere-to-be-found"),
        ("no-plugin", "no-plugin offers no plugin: it has no entry point of group “feinschliff”"),
        ("broken-plugin", "ModuleNotFoundError: No module named 'nowhere_at_all' (tell Kim Example)"),
    ],
)
def test_a_failed_installation_says_why_and_leaves_nothing(offline: Path, wanted: str, why: str) -> None:
    assert why in refusal("plugin", "install", wanted, "--share")
    assert [path.name for path in environments.top().iterdir() if not path.name.startswith(".")] == []
    assert listing.listing().refusals == []


def test_a_name_that_another_environment_has_taken_is_refused(alpha: Path) -> None:
    told = refusal("plugin", "install", "clashing-plugin", "--share")
    assert "the trainer name 'alpha' is already taken by alpha-plugin" in told
    assert listing.listing().trainers["alpha"]["environment"] == "alpha-plugin"


def test_installing_twice_is_refused_and_changes_nothing(alpha: Path) -> None:
    told = refusal("plugin", "install", "alpha-plugin", "--share")
    assert "There is an environment “alpha-plugin” already (alpha-plugin 1.0)" in told
    assert "alpha" in listing.listing().trainers


def test_a_half_made_environment_is_never_used_and_is_replaced(alpha: Path) -> None:
    (alpha / "environment.json").unlink()  # as a killed installation leaves it
    assert "alpha" not in listing.listing().trainers
    assert (
        said("plugin", "list") == "alpha-plugin: half made; the next installation replaces it, `remove` clears it away"
    )
    with pytest.raises(environments.EnvironmentUnusable, match="not there any more"):
        environments.interpreter("alpha-plugin")
    install("alpha-plugin")
    assert "alpha" in listing.listing().trainers


@pytest.mark.parametrize(
    "name", ["..", "../x", "/etc", "a/b", ".hidden", "A", "a b", "a" * 61, "-x", "a--b", "a\nb", "ä", "a\x00b"]
)
def test_a_hostile_name_is_refused(offline: Path, name: str) -> None:
    with pytest.raises(installing.CannotInstall, match="is no name for an environment"):
        installing.wish("alpha-plugin", name)
    with pytest.raises(installing.CannotInstall, match="is no name for an environment"):
        installing.remove(slug=name)
    with pytest.raises(environments.EnvironmentUnusable):
        environments.interpreter(name)


@pytest.mark.parametrize(
    "wanted",
    ["--index-url=http://x", "-r more.txt", "a b", "x; rm -rf /", "http://x/y.whl", "/no/such", "a\x00b", "", ".."],
)
def test_a_hostile_wish_is_refused_before_pip_hears_of_it(offline: Path, wanted: str) -> None:
    with pytest.raises(installing.CannotInstall):
        installing.wish(wanted)


def test_a_wish_names_its_environment_after_the_plugin(tmp_path: Path, shelf: Path) -> None:
    assert installing.wish("My_Plugin[fast]==1.2").slug == "my-plugin"
    assert installing.wish(str(shelf / "alpha_plugin-1.0-py3-none-any.whl")).slug == "alpha-plugin"
    (tmp_path / "word_order").mkdir()
    (tmp_path / "word_order" / "pyproject.toml").touch()
    assert installing.wish(str(tmp_path / "word_order")).slug == "word-order"


def test_two_installations_of_one_name_do_not_meet(offline: Path) -> None:
    environments.top().mkdir()
    with (environments.top() / ".alpha-plugin.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "Another installation or removal of “alpha-plugin” is going on" in refusal(
            "plugin", "install", "alpha-plugin", "--share"
        )


def test_an_environment_with_live_runs_is_not_removed(alpha: Path) -> None:
    run = queued(frozen(planted(6)))
    Run.objects.filter(pk=run.pk).update(environment="alpha-plugin")
    assert f"“alpha-plugin” is at work or will be: run {run.pk}." in refusal("plugin", "remove", "alpha-plugin")
    assert "alpha" in listing.listing().trainers
    Run.objects.filter(pk=run.pk).update(state=Run.CANCELLED)
    said("plugin", "remove", "alpha-plugin")


def test_a_run_whose_environment_is_gone_fails_with_the_reason(alpha: Path) -> None:
    run = trained("alpha")
    (alpha / "environment.json").unlink()
    assert Worker().work_one(run.pk)
    run.refresh_from_db()
    assert run.state == Run.FAILED
    assert "“alpha-plugin” is not there any more. Install it again" in run.error


def test_an_environment_made_with_another_feinschliff_is_refused_by_name(alpha: Path) -> None:
    marker = alpha / "environment.json"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"feinschliff": "0.0.1"}))
    [refused] = listing.listing().refusals
    assert refused["plugin"] == "alpha-plugin"
    assert "made with Feinschliff 0.0.1" in refused["reason"]
    assert "plugin remove alpha-plugin" in refused["reason"]


def test_plugins_of_the_site_are_not_listed_a_second_time_in_a_shared_environment(
    alpha: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    lay_out(packages, "siteone", "{sound}")
    monkeypatch.setenv("PYTHONPATH", str(packages))
    found = listing.listing()
    assert found.refusals == []
    assert (found.trainers["siteone"]["environment"], found.trainers["alpha"]["environment"]) == ("", "alpha-plugin")


@pytest.fixture
def slow_wheel(shelf: Path, tmp_path: Path) -> Iterator[Path]:
    """A package whose installation takes its time: it is built from source by a backend that sleeps."""
    folder = tmp_path / "slow-plugin"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "slow-plugin"\nversion = "1.0"\n'
    )
    (folder / "backend.py").write_text("import time\nprint('building', flush=True)\ntime.sleep(60)\n")
    yield folder


def test_an_installation_that_is_ended_leaves_nothing(offline: Path, slow_wheel: Path) -> None:
    """Ended by SIGTERM, as a service manager does it, while pip is at work."""
    environment = child_environment() | {"FEINSCHLIFF_HOME": str(offline)}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "plugin", "install", str(slow_wheel), "--share"],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "Processing" in line:
            break
    assert environments.folder("slow-plugin").is_dir()
    process.terminate()
    rest = process.communicate(timeout=30)[0]
    assert process.returncode != 0
    assert "Traceback" not in rest
    assert not environments.folder("slow-plugin").exists()
    assert os.listdir(environments.top()) == [".slow-plugin.lock"]


def test_what_pip_may_know_holds_no_key_of_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET_KEY", "DATABASE_URL", "WANDB_API_KEY", "PYTHONPATH"):
        monkeypatch.setenv(name, "x")
    known: Any = installing._for_pip()
    assert not {"SECRET_KEY", "DATABASE_URL", "WANDB_API_KEY", "PYTHONPATH"} & set(known)

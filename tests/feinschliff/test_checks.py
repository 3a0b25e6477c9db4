"""The conformance checks: a trainer that keeps the contract passes, and each that breaks it is named by the right check."""

import json
import subprocess
import sys
import unittest
from collections.abc import Callable
from pathlib import Path
from unittest import SkipTest

import pytest

from feinschliff.checks import CHECKS, Failed, check_plugin, conformance, plugin_checks, worlds
from feinschliff.checks.bench import Bench
from feinschliff.checks.watching import is_loopback
from feinschliff.model import MODEL_FILE
from feinschliff.rows import ROW_KINDS, check_row
from tests.feinschliff.bad_trainers import FAULTS

ROOT = Path(__file__).resolve().parents[2]
BAD = str(Path(__file__).with_name("bad_trainers.py"))
Checks = dict[str, Callable[[], None]]


@pytest.fixture(scope="module")
def checks() -> Checks:
    """All checks of all trainers in the file; one bench, so that what several look at is made once."""
    return dict(plugin_checks(BAD, kills=1))


def failing(checks: Checks, trainer: str, only: str = "") -> dict[str, str]:
    """Check -> what it says, of those of a trainer that fail."""
    found = {}
    for name, check in checks.items():
        owner, _, asked = name.partition(":")
        if owner != trainer or (only and asked != only):
            continue
        try:
            check()
        except Failed as failed:
            found[asked] = str(failed)
        except SkipTest:
            pass
    return found


@pytest.mark.slow
def test_a_trainer_that_keeps_the_contract_passes_every_check(checks: Checks) -> None:
    checks["lists"]()
    assert failing(checks, "keeps-all") == {}


@pytest.mark.parametrize("check", ["writes", "repeats", "resumes"])
def test_a_trainer_that_keeps_the_contract_passes(checks: Checks, check: str) -> None:
    checks[f"keeps-all:{check}"]()


ALIKE = ("leaves-in-tmp", "starts-over")  # much like others, so only in the slow test
TOLD = {
    "writes-outside": "beside.txt",
    "leaves-in-tmp": "left.txt",
    "connects-out": "it connects to 192.0.2.1",
    "ignores-stopping": "more steps: look at run.stopping",
    "differs": "other model files: model/weights.json",
    "loses-resume": "stopped and resumed ends in equal numbers but other model files",
    "starts-over": "takes all steps again",
    "loses-the-end": "killed right after its last checkpoint and resumed it failed: UnboundLocalError",
    "fails-on-empty": "`score` of an empty text fails: ZeroDivisionError",
    "lacks-a-verb": "it yields embed, which its model lacks; that can score",
    "scores-constant": "right about 50% of 150 held-out comparisons",
    "forgets": "opened twice, its model answers `score` differently",
}


@pytest.mark.parametrize(("trainer", "check"), [item for item in FAULTS.items() if item[0] not in ALIKE])
def test_a_broken_promise_is_named_by_its_check(checks: Checks, trainer: str, check: str) -> None:
    assert TOLD[trainer] in failing(checks, trainer, check)[check]


@pytest.mark.slow
@pytest.mark.parametrize(("trainer", "check"), FAULTS.items())
def test_and_by_no_other_check(checks: Checks, trainer: str, check: str) -> None:
    found = failing(checks, trainer)
    assert list(found) == [check]
    assert TOLD[trainer] in found[check]


OTHERS = {
    "labels": "",
    "majority": "of held-out texts, the majority label about",
    "texts": "",
    "spoilt": "loss on held-out rows is 5 after training and 3 before: nothing was learned",
    "silent": "whether it learned cannot be told from outside",
}


@pytest.mark.parametrize(("trainer", "told"), OTHERS.items())
def test_trainers_of_other_verbs_are_measured_by_what_they_promise(trainer: str, told: str) -> None:
    others = dict(plugin_checks(str(Path(__file__).with_name("small_trainers.py"))))
    learns = next(check for name, check in others.items() if name.startswith(f"{trainer}:learns_from_"))
    if told:
        with pytest.raises((Failed, SkipTest), match=told):
            learns()
    else:
        learns()
        others[f"{trainer}:verbs"]()


def test_a_trainer_that_makes_other_models_of_other_rows_is_asked_for_the_verbs_of_each() -> None:
    small = dict(plugin_checks(str(Path(__file__).with_name("small_trainers.py"))))
    for check in ("learns_from_text", "learns_from_label", "verbs", "reopens"):
        small[f"either:{check}"]()
    with pytest.raises(Failed, match="it yields score, which its model lacks; that can embed, classify"):
        small["boaster:verbs"]()
    bench = Bench(str(Path(__file__).with_name("small_trainers.py")))
    model = bench.trained("either", "labels", kind="label").folder / "model"
    assert json.loads((model / MODEL_FILE).read_text("utf-8"))["yields"] == ["classify", "embed"]
    plugin = f"--plugin={bench.modules[0]}"
    asked = bench.python("classify", str(model), plugin, "--text", "purrs whiskers", "--text", "barks bone")
    assert [max(one, key=one.get) for one in json.loads(asked.stdout)["labels"]] == ["cat", "dog"]
    refused = bench.python("fill", str(model), plugin, "--text", "The sea is ___.")
    assert (refused.status, "cannot fill; it can embed, classify" in refused.stderr) == (1, True)


def test_a_plugin_that_cannot_be_loaded_fails_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "broken_one.py").write_text("import not_there_at_all\n")
    with pytest.raises(Failed, match=r"lists: it is refused: broken-one: .*not_there_at_all"):
        check_plugin(str(tmp_path / "broken_one.py"))


HEAVY = '''
import numpy
from feinschliff import Needs, Trainer, hookimpl

@hookimpl
def feinschliff_trainers():
    yield Trainer(api=1, name="heavy", title="Heavy", summary="Loads too much.", family="supervised", yields=("embed",),
                  needs=Needs(rows=("text",), models={"base": "score"}), train="heavy_one:x", opens="heavy_one:x")
'''  # fmt: skip


def test_a_plugin_that_loads_numpy_when_it_is_listed_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "heavy_one.py").write_text(HEAVY)
    heavy = dict(plugin_checks(str(tmp_path / "heavy_one.py")))
    with pytest.raises(Failed, match="being listed loads numpy"):
        heavy["lists"]()
    with pytest.raises(SkipTest, match="the role 'base' needs a model that can score: pass models="):
        heavy["heavy:repeats"]()


def test_one_line_makes_a_test_of_each_check_that_unittest_and_pytest_show_by_name(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        f"from feinschliff.checks import conformance\n\nTestConformance = conformance({BAD!r})\n"
    )
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:django", "test_it.py"],
        cwd=tmp_path, env={"PYTHONPATH": f"{ROOT / 'platform'}"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "test_it.py::TestConformance::test_keeps_all_learns_from_pair" in collected.stdout, collected.stdout
    assert "test_it.py::TestConformance::test_differs_repeats" in collected.stdout
    cases = unittest.defaultTestLoader.loadTestsFromTestCase(conformance(BAD))
    chosen = unittest.TestSuite(
        case for case in cases if "differs_settings" in str(case) or "differs_resumes" in str(case)
    )
    with Path("/dev/null").open("w") as nowhere:
        result = unittest.TextTestRunner(nowhere).run(chosen)
    assert (result.testsRun, len(result.skipped), result.wasSuccessful()) == (2, 1, True)


def test_every_check_is_described_here_and_in_the_reference(checks: Checks) -> None:
    reference = (ROOT / "docs" / "plugins" / "reference.md").read_text("utf-8")
    for name, words in CHECKS.items():
        assert f"| `{name}` | {words} |" in reference, name
    asked = {name.partition(":")[2] or name for name in checks}
    assert {"learns" if name.startswith("learns_from_") else name for name in asked} == set(CHECKS)


@pytest.mark.parametrize("kind", ROW_KINDS)
def test_the_small_world_has_sound_rows_of_every_kind_and_is_the_same_everywhere(kind: str) -> None:
    rows = worlds.rows(kind, 40, 1)
    assert [check_row(row, [kind])["group"] for row in rows] == [f"1-{number}" for number in range(40)]
    assert rows == worlds.rows(kind, 40, 1) != worlds.rows(kind, 40, 2)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("", True),
        ("192.0.2.1", False),
        ("huggingface.co", False),
    ],
)
def test_only_loopback_counts_as_this_machine(host: str, here: bool) -> None:
    assert is_loopback(host) is here

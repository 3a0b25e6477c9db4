"""Conformance: all that the contract asks of a trainer plugin, tried in real processes on a small world, in one line.

    from feinschliff.checks import conformance

    TestConformance = conformance("my_package")

makes a unittest class with a test for each trainer and check, which pytest and `python -m unittest` both show by name.
`check_plugin("my_package")` runs them all in one function and raises with every failure; `plugin_checks` yields them one
by one. In the manner of scikit-learn's check_estimator. The world is made by `worlds`; what it means to write, to connect
and to be killed at a step is decided by the witness in `watching`.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest import SkipTest, TestCase

from feinschliff.checks.answering import every_verb_takes_every_text, saved_and_opened_twice_says_the_same
from feinschliff.checks.bench import Bench, Failed
from feinschliff.checks.configuring import settings_explain_themselves
from feinschliff.checks.keeping_to_itself import connects_nowhere, writes_only_under_out
from feinschliff.checks.learning import another_seed_is_accepted, learns, same_seed_same_numbers
from feinschliff.checks.listing import listing_is_light_and_quick
from feinschliff.checks.refusing import too_few_rows_are_refused, wrong_rows_are_refused
from feinschliff.checks.stopping import resumes_to_the_same_end, stops_within_a_step

__all__ = ["CHECKS", "Failed", "check_plugin", "conformance", "plugin_checks"]

Check = Callable[[], None]

#: name -> what it asks; `lists` is asked of the plugin, `learns_from_<kind>` of each row kind, the others of each trainer
CHECKS = {
    "lists": "it is accepted, and listing it loads no torch or anything else heavy and takes less than a second",
    "settings": "every config field has a default, help and limits, and the defaults survive JSON",
    "learns": "it trains on the small world, says how it goes, and beats a constant on the planted truth",
    "repeats": "the same seed gives the same numbers and the same model files, bit for bit",
    "other_seed": "another seed is accepted",
    "stops": "asked to stop, it ends within one step, with exit status 3",
    "resumes": "stopped or killed (kill -9), also after its last checkpoint, it resumes to the same numbers; where `resumable`",
    "writes": "it writes only under `run.out`",
    "connects": "it connects nowhere but loopback",
    "refuses_few": "too few rows end it with exit status 2, needs not met",
    "refuses_wrong": "rows of another kind do too",
    "reopens": "the saved model, opened twice, says the same",
    "verbs": "every verb in `yields`, and of each kind in `yields_from`, works on empty, long (20 kB) and non-Latin text",
}
OF_A_TRAINER: dict[str, Callable[[Bench, str], None]] = {
    "settings": settings_explain_themselves,
    "repeats": same_seed_same_numbers,
    "other_seed": another_seed_is_accepted,
    "stops": stops_within_a_step,
    "resumes": resumes_to_the_same_end,
    "writes": writes_only_under_out,
    "connects": connects_nowhere,
    "refuses_few": too_few_rows_are_refused,
    "refuses_wrong": wrong_rows_are_refused,
    "reopens": saved_and_opened_twice_says_the_same,
    "verbs": every_verb_takes_every_text,
}


def plugin_checks(plugin: str, **options: Any) -> Iterator[tuple[str, Check]]:  # noqa: ANN401 - those of Bench
    """(name, function) of every check; the function raises Failed, or unittest.SkipTest with a word on why.

    `plugin` is a module, an installed plugin, a file or a folder. Options: `config={"my-trainer": {"epochs": 1}}` makes it
    quick, `models={"base": "local:..."}` fills roles (`"base:label"`: with rows of that kind), `also=["plugins.base_models"]`
    loads plugins that bring models, `kills=3` says how often a run is killed, `timeout=300` how many seconds a process may take.
    """
    bench = Bench(plugin, **options)
    yield "lists", partial(listing_is_light_and_quick, bench)
    try:
        trainers = bench.trainers
    except Failed:
        return  # `lists` says why
    for trainer in trainers:
        name = trainer["name"]
        for kind in trainer["needs"]["rows"]:
            yield f"{name}:learns_from_{kind}", partial(learns, bench, name, kind)
        for check, function in OF_A_TRAINER.items():
            yield f"{name}:{check}", partial(function, bench, name)


def check_plugin(plugin: str, **options: Any) -> list[str]:  # noqa: ANN401
    """Run every check; Failed names all that did not pass. What was skipped, and why, is returned."""
    failures, skipped = [], []
    for name, check in plugin_checks(plugin, **options):
        try:
            check()
        except Failed as failed:
            failures.append(f"{name}: {failed}")
        except SkipTest as skip:
            skipped.append(f"{name}: {skip}")
    if failures:
        raise Failed(f"{plugin} does not keep the contract:\n" + "\n".join(f"- {failure}" for failure in failures))
    return skipped


def conformance(plugin: str, **options: Any) -> type[TestCase]:  # noqa: ANN401
    """A test class with one test for each check: `TestConformance = conformance("my_package")`."""

    def test(check: Check) -> Callable[[TestCase], None]:
        return lambda self: check()

    named = {
        f"test_{name.replace(':', '_').replace('-', '_')}": test(check)
        for name, check in plugin_checks(plugin, **options)
    }
    return type("TestConformance", (TestCase,), {**named, "__doc__": f"{plugin} keeps the contract."})

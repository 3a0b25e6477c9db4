"""Are rows that will not do refused as needs that are not met (exit status 2), and not as a failure of the trainer?"""

from feinschliff.checks import worlds
from feinschliff.checks.bench import Bench, Ended, must, why, write_rows
from feinschliff.rows import ROW_KINDS

MET = 2


def too_few_rows_are_refused(bench: Bench, trainer: str) -> None:
    least = bench.about(trainer)["needs"]["at_least"]
    _refused(bench.work(bench.job(trainer, "few", rows=least - 1)), f"{least - 1} rows, where it needs {least},")


def wrong_rows_are_refused(bench: Bench, trainer: str) -> None:
    wanted = bench.about(trainer)["needs"]["rows"]
    for kind in [kind for kind in ROW_KINDS if kind not in wanted][:1]:
        folder = bench.job(trainer, "wrong")
        write_rows(folder / "train.jsonl", worlds.rows(kind, 50, 1))
        _refused(bench.work(folder), f"rows of kind {kind}")


def _refused(ended: Ended, what: str) -> None:
    must(
        ended.child.status == MET and ended.result.get("state") == "needs-not-met",
        f"{what} end it with {ended.child.status} and not with 2 (needs not met): raise NeedsNotMet; {why(ended)}",
    )

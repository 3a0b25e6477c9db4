"""Does the trainer write only below its run's folder, and speak to nobody outside this machine?"""

from feinschliff.checks.bench import Bench, Ended, must


def _looked_at(bench: Bench, trainer: str) -> Ended:
    kind = bench.about(trainer)["needs"]["rows"][0]
    return bench.trained(trainer, f"from-{kind}", kind=kind)


def writes_only_under_out(bench: Bench, trainer: str) -> None:
    ended = _looked_at(bench, trainer)
    written = {note["writes"] for note in ended.child.notes if "writes" in note} | set(ended.result["left"])
    must(not written, f"it writes outside of run.out: {', '.join(sorted(written)[:5])}")


def connects_nowhere(bench: Bench, trainer: str) -> None:
    hosts = {note["connects"] for note in _looked_at(bench, trainer).child.notes if "connects" in note}
    must(not hosts, f"it connects to {', '.join(sorted(hosts)[:5])}; only loopback is allowed")

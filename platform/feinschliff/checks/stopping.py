"""Does the trainer end when it is asked to, and does a run that was stopped or killed end like one that was left alone?"""

import random
import signal
from unittest import SkipTest

from feinschliff.checks.bench import Bench, Ended, must, why
from feinschliff.checks.learning import compare
from feinschliff.run import COMPLETE

FEWEST_CALLS = 4


def stops_within_a_step(bench: Bench, trainer: str) -> None:
    calls = _calls(bench, trainer)
    ended = bench.work(bench.job(trainer, "stopped"), signal=signal.SIGTERM, at=max(1, calls // 2))
    after = ended.child.notes[_place(ended, calls // 2) :]
    steps = {note["value"] for note in after if note.get("call") == "log"}
    progress = [note for note in after if note.get("call") == "progress"]
    must(
        len(progress) <= 1 and len(steps) <= 1,
        f"asked to stop, it took {max(len(progress), len(steps))} more steps: look at run.stopping between steps and return",
    )
    must(
        ended.child.status == 3,
        f"asked to stop, it ended with {ended.child.status} and not with 3 (stopped): {why(ended)}",
    )


def resumes_to_the_same_end(bench: Bench, trainer: str) -> None:
    if not bench.about(trainer)["resumable"]:
        raise SkipTest("it does not say that it is resumable")
    calls = _calls(bench, trainer)
    undisturbed = _undisturbed(bench, trainer)
    folder = bench.job(trainer, "resumed")
    bench.work(folder, signal=signal.SIGTERM, at=max(1, calls // 2))
    saved = list(folder.glob(f"checkpoints/*/{COMPLETE}"))
    must(
        bool(saved),
        "stopped in the middle it leaves no checkpoint; save one with run.checkpoint() when run.stopping is true",
    )
    ended = bench.work(folder)
    must(ended.result.get("state") == "succeeded", f"resumed after a stop it failed: {why(ended)}")
    compare(undisturbed, ended, "a run that was stopped and resumed")
    must(
        len(ended.child.calls("log") + ended.child.calls("progress")) < calls,
        "resumed after a stop it takes all steps again: go on from run.last_checkpoint",
    )
    if bench.kills:
        _killed(bench, trainer, calls, undisturbed)
        _killed_at_the_end(bench, trainer, undisturbed)


def _killed_at_the_end(bench: Bench, trainer: str, undisturbed: Ended) -> None:
    """`kill -9` right after the last checkpoint: the run that goes on from it has no step left to take."""
    saved = sum("checkpoint" in note for note in undisturbed.child.notes)
    if not saved:
        return
    folder = bench.job(trainer, "killed-at-the-end")
    bench.work(folder, signal=signal.SIGKILL, at=saved, after="checkpoints")
    ended = bench.work(folder)
    told = "killed right after its last checkpoint and resumed"
    must(ended.result.get("state") == "succeeded", f"{told} it failed: {why(ended)}")
    compare(undisturbed, ended, f"a run that was {told}")


def _killed(bench: Bench, trainer: str, calls: int, undisturbed: Ended) -> None:
    """`kill -9` at random steps: past the middle first, so that there may be checkpoints, then again after each start.

    A run that got to its end between two kills is compared, and killing goes on with a fresh one.
    """
    rng = random.Random(trainer)  # noqa: S311 - where to kill, not a secret
    folder, places = bench.job(trainer, "killed"), list[int]()
    left = bench.kills
    while left or places:
        at = rng.randint(1, max(1, calls // 3)) if places else rng.randint(calls // 2, calls * 2 // 3)
        ended = bench.work(folder, signal=signal.SIGKILL if left else 0, at=at)
        if left and ended.child.status == -signal.SIGKILL:
            left -= 1
            places.append(at)
            continue
        told = f"killed at step calls {places} (kill -9) and resumed"
        must(ended.result.get("state") == "succeeded", f"{told} it failed: {why(ended)}")
        compare(undisturbed, ended, f"a run that was {told}")
        must(bool(places), "it calls run.log and run.progress less often when it is run again: it could not be killed")
        folder, places = bench.job(trainer, "killed"), []


def _undisturbed(bench: Bench, trainer: str) -> Ended:
    kind = bench.about(trainer)["needs"]["rows"][0]
    return bench.trained(trainer, f"from-{kind}", kind=kind)


def _calls(bench: Bench, trainer: str) -> int:
    notes = _undisturbed(bench, trainer).child
    calls = len(notes.calls("log")) + len(notes.calls("progress"))
    must(
        calls >= FEWEST_CALLS,
        f"it calls run.log and run.progress {calls} times in all, too seldom to stop it in the middle: call one every step",
    )
    return calls


def _place(ended: Ended, at: int) -> int:
    """Where in the notes the signal fell."""
    places = [place for place, note in enumerate(ended.child.notes) if "call" in note]
    return places[max(1, at) - 1] + 1 if len(places) >= max(1, at) else len(ended.child.notes)

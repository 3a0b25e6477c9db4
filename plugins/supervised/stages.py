"""Several trainings in one run, one after the other: the run as each of them sees it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feinschliff import Run


class Stage(Run):
    """A run as one of several trainings in it sees it: its progress is a part of the whole.

    One that is set `aside` tells no curves and no states. It is to keep no checkpoints (`Steps(keep=False)`), which are the
    run's: a run that is resumed begins it again.
    """

    def __init__(self, run: Run, *, before: int, of: int, aside: bool = False) -> None:
        vars(self).update(vars(run))
        self._whole, self._before, self._of, self._aside = run, before, of, aside

    def progress(self, done: int, total: int) -> None:
        self._whole.progress(self._before + done, self._of)

    def log(self, step: int, **numbers: float | None) -> None:
        if not self._aside:
            self._whole.log(step, **numbers)

    def state(self, state: str, message: str = "") -> None:
        if not self._aside:
            self._whole.state(state, message)

    @contextmanager
    def checkpoint(self) -> Iterator[Path]:
        with self._whole.checkpoint() as folder:
            yield folder

    @property
    def last_checkpoint(self) -> Path | None:
        return self._whole.last_checkpoint

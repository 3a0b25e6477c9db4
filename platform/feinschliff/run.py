"""A run as its trainer sees it: one object with config, rows, models, a folder to write in, and ways to tell how it
goes.

Lives in the training child. What it tells goes to stdout, one JSON object a line; whoever started the process reads it
there. Checkpoints are folders that are renamed into place only when complete, so a kill never leaves half of one.
"""

import json
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from feinschliff.model import AnyModel
from feinschliff.rows import read_rows

COMPLETE = "complete.json"
TABLE_ROWS, TABLE_COLUMNS = 200, 20
PLOT_SERIES, PLOT_POINTS = 8, 500
MATRIX_LABELS = 100
LONGEST_REPORT = 250_000  # bytes of one line; whoever listens throws longer ones away
PROGRESS_EVERY_S = 0.25


def plain(value: object) -> Any:  # noqa: ANN401 - JSON is any of six types
    """A value as strict JSON holds it: numbers of any library as Python's, NaN and infinities as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    number = float(value)  # type: ignore[arg-type]  # numbers of numpy and torch have __float__
    return number if math.isfinite(number) else None


def emit(event: str, /, **fields: object) -> None:
    """One line of the protocol. Written whole, so that lines of threads do not mix. Of several ranks the first speaks."""
    if this_rank() != 0:
        return
    line = json.dumps({"type": event, **plain(fields)}, allow_nan=False)
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def this_rank() -> int:
    """Which of a run's processes this is, as torchrun tells it; 0 where there is one."""
    return int(os.environ.get("RANK", "0"))


def all_ranks() -> int:
    """How many processes share this run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@dataclass
class Stop:
    """Whether somebody asked this run to end; set by a signal, read by the trainer between steps."""

    asked: bool = False


class Run:
    """What `train(run)` gets."""

    def __init__(
        self,
        *,
        folder: Path,
        config: BaseModel,
        seed: int,
        rows: Mapping[str, Path],
        kinds: tuple[str, ...],
        opener: Callable[[str], Any],
        device: str = "auto",
        fingerprint: str = "",
        stop: Stop | None = None,
        checkpoints: Path | None = None,
        cache: Path | None = None,
    ) -> None:
        self.config: Any = config
        self.seed = seed
        self.out = folder
        self.device = device
        self.rank, self.ranks = this_rank(), all_ranks()
        self._stop = stop or Stop()
        self._rows = dict(rows)
        self._kinds = kinds
        self._opener = opener
        self._opened: dict[str, Any] = {}
        self._fingerprint = fingerprint
        self._checkpoints = checkpoints or folder / "checkpoints"
        self._cache = cache or folder / "cache"
        self._last_progress = 0.0
        self._held_back: tuple[int, int] | None = None

    @property
    def cache(self) -> Path:
        """A folder of this trainer's own that outlives the run, for what is dear to work out and can be worked out again.

        Runs at work at the same time share it: write under a name of your own, rename when it is whole, and name files after
        all that their content depends on. It may be emptied at any time, and what is found in it may be broken.
        """
        self._cache.mkdir(parents=True, exist_ok=True)
        return self._cache

    @property
    def stopping(self) -> bool:
        """Asked to end: finish the step, save a checkpoint if you can, and return."""
        return self._stop.asked

    def rows(self, split: str) -> list[dict[str, Any]]:
        """The rows of `train` or `heldout` as plain dicts, checked; an absent split is empty."""
        path = self._rows.get(split)
        return list(read_rows(path, self._kinds)) if path is not None else []

    def dataset(self, split: str) -> Any:  # noqa: ANN401 - the library is optional
        """The rows of a split as a memory-mapped `datasets.Dataset`: see feinschliff.dataset on kinds and columns.

        For libraries that want one, and for more rows than memory holds. Needs `pip install 'feinschliff[datasets]'`.
        """
        from feinschliff.dataset import as_dataset

        return as_dataset(self._rows.get(split), self._kinds, self.out / "dataset-cache")

    def model(self, role: str) -> AnyModel:
        """The model in a role of `needs.models`, opened once; it has the verb that the trainer asked for.

        For a role of `needs.may_use` it is None where no model was given.
        """
        if role not in self._opened:
            self._opened[role] = self._opener(role)
        return self._opened[role]

    def log(self, step: int, **numbers: float | None) -> None:
        """Numbers at a step, for the curves. Names with a slash go in as `**{"loss/train": 0.6}`."""
        emit("metric", step=int(step), values=numbers)

    def progress(self, done: int, total: int) -> None:
        """How far it is. May be called at every step: all but a few a second are dropped, the last one never."""
        now = time.monotonic()
        self._held_back = int(done), int(total)
        if done >= total or now - self._last_progress >= PROGRESS_EVERY_S:
            self._last_progress = now
            self._tell_progress()

    def _tell_progress(self) -> None:
        """Say what was held back. Called when the trainer has returned: where it stopped is no matter of a moment."""
        if self._held_back:
            emit("progress", done=self._held_back[0], total=self._held_back[1])
        self._held_back = None

    def sample(self, prompt: str, text: str, *, before: str | None = None, **numbers: float) -> None:
        """A text worth showing beside the curves, with numbers about it.

        `before` is what the model wrote to this prompt before it was trained: the two are shown side by side.
        """
        emit("sample", prompt=prompt, text=text, values=numbers, **({} if before is None else {"before": before}))

    def table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str | float | None]], *, note: str = ""
    ) -> None:
        """A table for the run's page; a later one with the same title takes its place. At most 200 rows of 20 columns.

        `note` says in a sentence how it is to be read. ValueError where a row has not one cell a column, or its texts
        come to more than 250 kB.
        """
        if any(len(row) != len(columns) for row in rows):
            raise ValueError(f"table {title!r}: every row needs {len(columns)} cells, one a column")
        if len(rows) > TABLE_ROWS or len(columns) > TABLE_COLUMNS:
            raise ValueError(f"table {title!r}: at most {TABLE_ROWS} rows of {TABLE_COLUMNS} columns are shown")
        _report(kind="table", title=title, note=note, columns=list(columns), rows=[list(row) for row in rows])

    def plot(
        self,
        title: str,
        series: Mapping[str, Sequence[tuple[float, float]]],
        *,
        x: str,
        y: str,
        kind: Literal["line", "points"] = "line",
        note: str = "",
    ) -> None:
        """A picture of (x, y) points for the run's page, one colour a series; `x` and `y` name the axes, with units.

        A later one with the same title takes its place. At most 8 series of 500 points. ValueError beyond that.
        """
        if len(series) > PLOT_SERIES or any(len(points) > PLOT_POINTS for points in series.values()):
            raise ValueError(f"plot {title!r}: at most {PLOT_SERIES} series of {PLOT_POINTS} points are shown")
        found = {name: [[float(a), float(b)] for a, b in points] for name, points in series.items()}
        _report(kind=kind, title=title, note=note, x=x, y=y, series=found)

    def matrix(self, title: str, labels: Sequence[str], counts: Sequence[Sequence[float]], *, note: str = "") -> None:
        """A square of counts for the run's page, true labels down and the model's across, as a confusion matrix is read.

        At most 100 labels; ValueError beyond that, or where it is not square.
        """
        if len(labels) > MATRIX_LABELS or len(counts) != len(labels) or any(len(row) != len(labels) for row in counts):
            raise ValueError(f"matrix {title!r}: one row and one column a label, and at most {MATRIX_LABELS} labels")
        _report(kind="matrix", title=title, note=note, labels=list(labels), counts=[list(row) for row in counts])

    def state(self, state: str, message: str = "") -> None:
        """What it is at: loading, training, evaluating, saving."""
        emit("state", state=state, message=message)

    @contextmanager
    def checkpoint(self) -> Iterator[Path]:
        """A folder to save into; it becomes the last checkpoint when the block ends well. The one before it is kept.

        Of several ranks the first one's counts; what others save is thrown away.
        """
        if self.rank != 0:
            with tempfile.TemporaryDirectory(dir=self.out) as ignored:
                yield Path(ignored)
            return
        parent = self._checkpoints
        parent.mkdir(parents=True, exist_ok=True)
        known = _complete(parent)
        number = 1 + max((int(path.name) for path in known), default=0)
        draft = parent / f".draft-{number:06d}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        yield draft
        (draft / COMPLETE).write_text(json.dumps({"fingerprint": self._fingerprint}), encoding="utf-8")
        for path in draft.rglob("*"):
            if path.is_file():
                _sync(path)
        final = parent / f"{number:06d}"
        shutil.rmtree(final, ignore_errors=True)
        draft.rename(final)
        _sync(parent)
        for old in known[:-1]:
            shutil.rmtree(old, ignore_errors=True)

    @property
    def last_checkpoint(self) -> Path | None:
        """The newest complete checkpoint that this very job (trainer, config, seed, data, models) wrote."""
        for path in reversed(_complete(self._checkpoints)):
            marker = json.loads((path / COMPLETE).read_text(encoding="utf-8"))
            if marker.get("fingerprint") == self._fingerprint:
                return path
        return None


def _report(*, kind: str, title: str, note: str, **content: object) -> None:
    """A table or a picture, as one line of the protocol. ValueError where nobody would hear it."""
    if not title.strip():
        raise ValueError(f"a {kind} needs a title: a later one with the same title takes its place")
    size = len(json.dumps(plain(content)))
    if size > LONGEST_REPORT:
        raise ValueError(f"{title!r} is too large to show: {size} bytes as JSON, at most {LONGEST_REPORT}")
    emit("report", kind=kind, title=title, note=note, **content)


def _complete(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return sorted(path for path in parent.iterdir() if path.name.isdigit() and (path / COMPLETE).is_file())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

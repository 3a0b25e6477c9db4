"""The small world that training is tested in: ada and bo judge, lin leads, and what they said is frozen and learned from.

Also a launcher without processes (a real one: five verbs, a folder, a result) for drills over many runs, and the quick
trainers as an installed package, for worker processes.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from annotation import assigning, belonging, judging
from annotation.models import Assignment, Item, Judgement, Membership, Project, Response
from feinschliff import Job, JobStatus
from training import freezing, launching
from training.models import Run, Snapshot
from webapp.people.models import User
from webapp.people.permitting import LEAD

WORDS = ["river", "stone", "bread", "letter", "garden", "window", "train", "paper", "music", "winter", "table", "water"]


def person(name: str) -> User:
    return User.objects.filter(username=name).first() or User.objects.create(username=name)


def project(name: str = "planted", *, question: str = "ranking", overlap: int = 5) -> Project:
    """Led by lin; ada and bo annotate."""
    made = belonging.create_project(name=name, question=question, creator=person("lin"), overlap=overlap)
    for annotator in ("ada", "bo"):
        belonging.join(project=made, user=person(annotator))
    return made


def member(project: Project, name: str) -> Membership:
    return belonging.join(project=project, user=person(name), role=LEAD if name == "lin" else "annotator")


def add_item(project: Project, key: str, texts: Sequence[str], *, group: str = "", prompt: str = "") -> Item:
    item = Item.objects.create(
        project=project, key=key, position=project.items.count(), free=project.overlap, digest="", group=group or key,
        prompt=[{"role": "user", "content": prompt or f"Write about {key}."}], context=[],
    )  # fmt: skip
    Response.objects.bulk_create(Response(item=item, position=place, text=text) for place, text in enumerate(texts))
    return item


def judge(item: Item, name: str, answer: dict[str, Any]) -> Judgement:
    """`name` judges the item, or corrects what they said of it before."""
    who = member(item.project, name)
    assignment = Assignment.objects.filter(item=item, member=who).first()
    assignment = assignment or assigning._assign(item=item, member=who, until=assigning.lease())
    question = item.project.questions.get()
    return judging.submit(assignment=assignment, answers={question.name: answer}, key=uuid.uuid4())


def rank(item: Item, name: str, ranks: list[int | None]) -> Judgement:
    return judge(item, name, {"ranks": ranks})


def planted(count: int = 12, *, name: str = "planted", seed: int = 7) -> Project:
    """A project that ada judged: the more often an answer says please, the worse it is."""
    made, rng = project(name), random.Random(seed)
    ada = member(made, "ada")
    for number in range(count):
        row = planted_row(number, rng)
        item = add_item(made, row["id"], row["responses"], prompt=row["prompt"])
        Judgement.objects.create(item=item, member=ada, key=uuid.uuid4(), answers={"ranking": {"ranks": row["ranks"]}})
    return made


def planted_row(number: int, rng: random.Random) -> dict[str, Any]:
    """A line of an import file, ranks included."""
    ranks = rng.sample(range(1, 5), 4)
    texts = [" ".join([rng.choice(WORDS) for _ in range(6)] + ["please"] * (rank - 1)) for rank in ranks]
    return {
        "id": f"i{number}",
        "prompt": f"Write about {rng.choice(WORDS)} {number}.",
        "responses": texts,
        "ranks": ranks,
    }


def frozen(project: Project, rows: str = "ranking", heldout: float = 0.25) -> Snapshot:
    return freezing.freeze(project=project, rows=rows, heldout=heldout)


def lines(snapshot: Snapshot, split: str) -> list[dict[str, Any]]:
    text = (freezing.folder(snapshot) / f"{split}.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.split("\n") if line]  # a text may hold U+2028


def launch(snapshot: Snapshot, trainer: str = "quick", *, models: dict[str, str] | None = None, **config: Any) -> Run:  # noqa: ANN401
    return launching.launch(
        project=snapshot.project, trainer=trainer, snapshot=snapshot, config=config, models=models or {}
    )


def queued(snapshot: Snapshot, *, resumable: bool = True, trainer: str = "quick") -> Run:
    """A run as `launch` leaves it, without asking what is installed."""
    return Run.objects.create(
        project=snapshot.project, snapshot=snapshot, trainer=trainer, config={}, models_used={}, resumable=resumable
    )


def wait_for(true: Callable[[], Any], seconds: float = 60, explain: Callable[[], object] = str) -> Any:  # noqa: ANN401
    """The first true value; fails after `seconds`."""
    until = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < until, explain()
        time.sleep(0.05)
    return found


def install_quick_trainers(folder: Path) -> str:
    """A PYTHONPATH on which the quick trainers are an installed distribution with an entry point, as third parties come in."""
    about = folder / "quick_trainers-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: quick-trainers\nVersion: 1.0\n", "utf-8")
    (about / "entry_points.txt").write_text("[feinschliff]\nquick = tests.training.quick_trainers\n", "utf-8")
    return str(folder)


class FolderLauncher:
    """Runs that need no process: they print `METRICS` numbers when submitted and have ended after `LOOKS` looks."""

    METRICS, LOOKS = 5, 2

    def __init__(self) -> None:
        self.looks: dict[str, int] = {}
        self.submitted: list[str] = []
        self.cancelled: list[str] = []

    def submit(self, job: Job) -> str:
        handle = str(job.folder)
        self.submitted.append(handle)
        self.looks[handle] = 0
        about = json.loads((job.folder / "job.json").read_text("utf-8"))
        (job.folder / "model").mkdir(exist_ok=True)
        (job.folder / "model" / "feinschliff-model.json").write_text('{"yields": ["score"]}', "utf-8")
        said = [{"type": "metric", "step": n, "values": {"attempt": about["attempt"]}} for n in range(self.METRICS)]
        with (job.folder / "output.log").open("a", encoding="utf-8") as log:
            log.write("".join(json.dumps(line) + "\n" for line in said))
        numbers = {"attempt": about["attempt"]}
        (job.folder / "result.json").write_text(json.dumps({"state": "succeeded", "numbers": numbers}), "utf-8")
        return handle

    def status(self, handle: str) -> JobStatus:
        self.looks[handle] += 1
        return JobStatus("running") if self.looks[handle] < self.LOOKS else JobStatus("ended", 0)

    def logs(self, handle: str, offset: int) -> tuple[bytes, int]:
        content = (Path(handle) / "output.log").read_bytes()
        return content[offset:], len(content)

    def cancel(self, handle: str) -> None:
        self.cancelled.append(handle)

    def reattach(self, handle: str) -> bool:
        return False

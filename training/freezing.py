"""Freezes judgements into a snapshot: rows that never change, split by group so that no prompt is on both sides.

Prompts alone can be frozen too, judged or not, for trainers that let a model answer them.

A group's side comes from a hash of the group and the split's seed alone, so it stays the same from one snapshot of a project
to the next, however many judgements are added. Only when that would leave a side empty, the groups that hash lowest fill it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation import asking, judging
from annotation.kinds import KINDS, Subject
from annotation.models import Item, Judgement, Project, Text
from training import passages
from training.filing import SPLITS, Files, canonical, writing
from training.joining import Joined
from training.models import FrozenJudgements, Snapshot
from webapp.people import auditing
from webapp.people.models import User

#: row kind -> what it is, in the order in which the form offers them
OFFERED = {
    "ranking": _("Rankings: one row a judgement, ties kept"),
    "pair": _("Pairs: every better and worse answer of a judgement, ties dropped"),
    "rating": _("Ratings: one row an answer, with its scores by aspect"),
    "unpaired": _("Unpaired: single answers that are good or bad"),
    "demonstration": _("Demonstrations: what people wrote or corrected"),
    "label": _("Labels: one row a label that was given"),
    "prompt": _("Prompts: one row a prompt, judged or not, for a model to answer while it learns"),
    "text": _("Texts: passages of the raw texts, to learn from as they are"),
}
PROMPTS, TEXTS = "prompt", "text"
MOST_TASKS = 50  # that a manifest names
TASKED = ("demonstration", "label")  # kinds whose rows say what task they are an example of


class CannotFreeze(Exception):
    """There is nothing to freeze, or not in the way that was asked; the text says why."""


@dataclass
class Frozen:
    """Rows by split, as files, and what they came from."""

    files: Files
    judgement_ids: list[int] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, why: str) -> None:
        self.dropped[why] = self.dropped.get(why, 0) + 1


def freeze(
    *,
    project: Project,
    rows: str,
    question: str = "",
    unjudged: bool = False,
    passage: int = passages.USUAL,
    with_items: bool = False,
    heldout: float = 0.2,
    split_seed: int = 0,
    actor: User | None = None,
) -> Snapshot:
    """The snapshot of what the project holds now; the one that is there already if nothing changed.

    Rows come from the one `question` of that name, or from all that give them: rankings that would only follow from ratings are
    left out where people ranked as well. Rows of kind `prompt` come from the items, and with `unjudged` from those that nobody
    has judged. Rows of kind `text` are passages of at most `passage` characters (0: whole texts) of the raw texts, and with
    `with_items` of the prompts and answers of items too. Raises CannotFreeze.
    """
    if rows not in OFFERED:
        raise CannotFreeze(
            gettext("There are no rows of kind “%(rows)s”. The kinds are: %(offered)s.")
            % {"rows": rows, "offered": ", ".join(OFFERED)}
        )
    if not 0.01 <= heldout <= 0.9:
        raise CannotFreeze(gettext("The share held out is between 0.01 and 0.9."))
    if question and not project.questions.filter(name=question).exists():
        names = ", ".join(project.questions.order_by("name").values_list("name", flat=True).distinct())
        raise CannotFreeze(
            gettext("There is no question “%(question)s” here. The questions are: %(names)s.")
            % {"question": question, "names": names}
        )
    if rows == PROMPTS and question:
        raise CannotFreeze(gettext("Prompts come from the items, whatever is asked about them; name no question."))
    if rows == TEXTS and question:
        raise CannotFreeze(gettext("Texts are taken as they are, whatever is asked about items; name no question."))
    if rows != TEXTS and with_items:
        raise CannotFreeze(gettext("Only texts can be taken from prompts and answers as they are."))
    if rows == TEXTS and passage and not passages.LEAST <= passage <= passages.MOST:
        raise CannotFreeze(
            gettext("A passage has %(least)s to %(most)s characters, or 0 for whole texts.")
            % {"least": passages.LEAST, "most": passages.MOST}
        )
    if rows != PROMPTS and unjudged:
        raise CannotFreeze(gettext("Only prompts can be taken from items that nobody has judged."))
    with transaction.atomic(), writing(_top()) as files:
        _one_moment()
        frozen = Frozen(files)
        if rows == PROMPTS:
            _prompts_of(project, frozen, unjudged, heldout, split_seed)
        elif rows == TEXTS:
            _texts_of(project, frozen, passage, with_items, heldout, split_seed)
        else:
            _rows_of(project, frozen, rows, question, heldout, split_seed)
        options: dict[str, Any] = {"heldout": heldout, "split_seed": split_seed}
        options |= ({"question": question} if question else {}) | ({"unjudged": True} if unjudged else {})
        options |= {"passage": passage} | ({"with_items": True} if with_items else {}) if rows == TEXTS else {}
        manifest = {
            "project": project.slug,
            "rows": rows,
            "options": options,
            "counts": _counts(frozen),
            "sha256": files.digests(),
        }
        name = hashlib.sha256(canonical(manifest).encode()).hexdigest()
        there = Snapshot.objects.filter(hash=name).first()
        files.keep(_top() / name, manifest)
        if there is not None:
            return there
        auditing.record(actor=actor, action="freeze", subject=project.slug, rows=rows, hash=name)
        made = Snapshot.objects.create(
            project=project, hash=name, rows=rows, counts=manifest["counts"], options=options, created_by=actor
        )
        FrozenJudgements.objects.create(snapshot=made, ids=frozen.judgement_ids)
        return made


def folder(snapshot: Snapshot) -> Path:
    """Where its rows lie."""
    return _top() / snapshot.hash


def _top() -> Path:
    return Path(settings.HOME) / "snapshots"


def verify(snapshot: Snapshot) -> None:
    """Raises CannotFreeze if the files are not those that were frozen."""
    manifest = json.loads((folder(snapshot) / "manifest.json").read_text("utf-8"))
    if hashlib.sha256(canonical(manifest).encode()).hexdigest() != snapshot.hash:
        raise CannotFreeze(
            gettext("The manifest of snapshot %(hash)s was changed; its rows cannot be trusted.")
            % {"hash": snapshot.hash[:12]}
        )
    for split, digest in manifest["sha256"].items():
        with (folder(snapshot) / f"{split}.jsonl").open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise CannotFreeze(
                    gettext("The %(split)s rows of snapshot %(hash)s were changed; freeze again.")
                    % {"split": split, "hash": snapshot.hash[:12]}
                )


def sides(groups: Iterable[str], heldout: float, seed: int) -> dict[str, str]:
    """Group -> split. Every group's own hash decides; but with two groups or more no side stays empty, and one alone is
    trained on."""
    order = sorted(set(groups), key=lambda group: _fraction(group, seed))
    held = {group for group in order if _fraction(group, seed) < heldout}
    if len(order) > 1:
        held = held or {order[0]}
    held -= set(order[-1:])
    return {group: "heldout" if group in held else "train" for group in order}


def _fraction(group: str, seed: int) -> float:
    return int.from_bytes(hashlib.sha256(f"{seed}:{group}".encode()).digest()[:8]) / 2**64


def _one_moment() -> None:
    """Everything is read as it stood when the freeze began, however much is judged meanwhile."""
    if not connection.in_atomic_block or connection.savepoint_ids:
        return
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def joined(items: Iterable[Item]) -> Joined:
    """The groups of these items; those in which the same is asked, with the same passages, are one."""
    return Joined((item.group, canonical({"prompt": _prompt(item)})) for item in items)


def _joined(project: Project) -> Joined:
    items = Item.objects.filter(project=project).only("group", "prompt", "context")
    return joined(items.iterator(chunk_size=2000))


def _rows_of(project: Project, frozen: Frozen, kind: str, question: str, heldout: float, seed: int) -> None:
    asked = Versions(project, kind, question)
    judgements = list(judging.current(project_id=project.pk).select_related("member").order_by("item__position", "id"))
    if not judgements:
        raise CannotFreeze(
            gettext("There are no judgements yet. Judge some items, or import ranks with them, then freeze.")
        )
    items = {
        item.pk: item
        for item in Item.objects.filter(project=project, judgements__isnull=False)
        .distinct()
        .prefetch_related("responses")
    }
    groups = _joined(project)
    side = sides((groups.of(item.group) for item in items.values()), heldout, seed)
    for judgement in judgements:
        item = items[judgement.item_id]
        group, made = groups.of(item.group), False
        for row in projected(kind, asked.of(judgement), item, judgement, frozen.dropped):
            frozen.files.add(side[group], row | {"group": group})
            made = True
        if made:
            frozen.judgement_ids.append(judgement.pk)
    if not frozen.judgement_ids:
        raise CannotFreeze(_nothing(project, kind, frozen.dropped))


def _prompts_of(project: Project, frozen: Frozen, unjudged: bool, heldout: float, seed: int) -> None:
    """A row a prompt; items that ask the same give one, under the first one's key."""
    groups = _joined(project)
    items = Item.objects.filter(project=project).order_by("position")
    if unjudged:
        items = items.exclude(pk__in=judging.current(project_id=project.pk).values("item_id"))
    found: dict[str, dict[str, Any]] = {}
    for item in items.iterator(chunk_size=2000):
        row = {
            "prompt": _prompt(item), "weight": 1.0, "item": item.key, "annotators": [], "group": groups.of(item.group),
            "judgements": [],
        }  # fmt: skip
        if found.setdefault(canonical({"prompt": row["prompt"]}), row) is not row:
            frozen.drop("asked-again")
    if not found:
        raise CannotFreeze(
            gettext("Every item has been judged; take all prompts instead.")
            if unjudged and Item.objects.filter(project=project).exists()
            else gettext("There are no items yet. Import some, then freeze.")
        )
    side = sides((row["group"] for row in found.values()), heldout, seed)
    for row in found.values():
        frozen.files.add(side[row["group"]], row)


def _texts_of(project: Project, frozen: Frozen, passage: int, with_items: bool, heldout: float, seed: int) -> None:
    """A row a passage; a document's passages are of one group. The same passage comes once, in the first document that has it.

    Documents that share some passages, such as a licence, stay apart, and what they share is on one side all the same. Only
    hashes are held in memory: the rows wait in a file until the groups of all of them, and so their sides, are known.
    """
    seen, groups, of_row = set[bytes](), dict[str, int](), array("L")
    sources = _raw_texts(project)
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n", dir=frozen.files.folder) as waiting:
        for key, group, text in itertools.chain(sources, _texts_in_items(project)) if with_items else sources:
            for part in passages.cut(text, passage):
                digest = hashlib.sha256(part.encode()).digest()
                if digest in seen:
                    frozen.drop("the-same-again")
                    continue
                seen.add(digest)
                of_row.append(groups.setdefault(group, len(groups)))
                waiting.write(json.dumps([key, part]) + "\n")
        if not of_row:
            raise CannotFreeze(
                gettext(
                    "There are no raw texts yet. Import some, then freeze; prompts and answers can be taken as texts too."
                )
            )
        side, names = sides(groups, heldout, seed), list(groups)
        waiting.seek(0)
        for number, line in zip(of_row, waiting, strict=True):
            key, part = json.loads(line)
            row = {
                "text": part, "weight": 1.0, "item": key, "annotators": [], "group": names[number], "judgements": [],
            }  # fmt: skip
            frozen.files.add(side[names[number]], row)


def _raw_texts(project: Project) -> Iterator[tuple[str, str, str]]:
    """(key, group, text) in the order in which they came in."""
    texts = Text.objects.filter(project=project).order_by("pk")
    yield from texts.values_list("key", "group", "text").iterator(chunk_size=50)


def _texts_in_items(project: Project) -> Iterator[tuple[str, str, str]]:
    groups = _joined(project)
    items = Item.objects.filter(project=project).order_by("position").prefetch_related("responses")
    for item in items.iterator(chunk_size=500):
        for text in (*(message["content"] for message in item.prompt), *(one.text for one in item.responses.all())):
            yield item.key, groups.of(item.group), text


class Versions:
    """The questions of each version of the schema that rows of a kind come from, looked up once.

    `question`: only the one of that name.
    """

    def __init__(self, project: Project, rows: str, question: str) -> None:
        self.project, self.rows, self.question = project, rows, question
        self.known = dict[int, list[asking.Asked]]()

    def of(self, judgement: Judgement) -> list[asking.Asked]:
        version = judgement.schema_version
        if version not in self.known:
            self.known[version] = self._giving(asking.questions_of(self.project, version))
        return self.known[version]

    def _giving(self, questions: list[asking.Asked]) -> list[asking.Asked]:
        giving = [asked for asked in questions if self.rows in asked.kind.rows]
        if self.question:
            return [asked for asked in giving if asked.name == self.question]
        direct = [asked for asked in giving if self.rows not in asked.kind.derived]
        return direct or giving


def offered_by(project: Project) -> dict[str, str]:
    """The kinds of rows that what the project ever asked can become, and prompts and texts where there are any."""
    kinds = {row for kind in project.questions.values_list("kind", flat=True).distinct() for row in KINDS[kind].rows}
    kinds |= {PROMPTS} if project.items.exists() else set()
    kinds |= {TEXTS} if project.texts.exists() or project.items.exists() else set()
    return {kind: str(text) for kind, text in OFFERED.items() if kind in kinds}


def _nothing(project: Project, kind: str, dropped: dict[str, int]) -> str:
    offered = offered_by(project)
    others = [other for other in offered if other != kind]
    if kind not in offered:
        return gettext(
            "No question of this project becomes rows of kind %(kind)s. It can be frozen as: %(offered)s."
        ) % {"kind": kind, "offered": ", ".join(offered)}
    if kind == "pair" and dropped.get("ties"):
        return gettext("Every judgement is a tie: as pairs, nothing is left of them. Freeze rankings instead.")
    said = gettext("No judgement holds anything yet that becomes a row of kind %(kind)s.") % {"kind": kind}
    if others:
        said += " " + gettext("Other kinds to freeze as: %(others)s.") % {"others": ", ".join(others)}
    return said


def _prompt(item: Item) -> Any:  # noqa: ANN401 - a text, or a list of messages
    """What a model reads: the question first, then the passages, so that cutting from the end cuts passages."""
    messages = [dict(message) for message in item.prompt]
    passages = "\n\n".join(f"{p['title']}\n{p['text']}" if p["title"] else p["text"] for p in item.context)
    if passages:
        messages[-1]["content"] += "\n\n" + passages
    if len(messages) == 1 and messages[0]["role"] == "user":
        return messages[0]["content"]
    return messages


def projected(
    kind: str, questions: list[asking.Asked], item: Item, judgement: Judgement, dropped: dict[str, int]
) -> Iterator[dict[str, Any]]:
    """What one judgement becomes, with the bookkeeping that every row carries. What was lost is added to `dropped`.

    `questions` are those that `Versions` gives for the judgement. A demonstration or a label names its task: that of the
    item, if it was given one, and else the question.
    """
    texts = [response.text for response in item.responses.all()]
    subject = Subject(order=range(len(texts)), texts=texts, prompt=_prompt(item))
    carried = {
        "weight": 1.0, "item": item.key, "annotators": [judgement.member.pseudonym], "group": item.group,
        "judgements": [judgement.pk],
    }  # fmt: skip
    for asked in questions:
        if asked.name not in judgement.answers:
            continue
        rows, lost = asked.project(kind, judgement.answers[asked.name], subject)
        for name, count in lost.items():
            dropped[name] = dropped.get(name, 0) + count
        written_by = {response.text: response.source for response in item.responses.all()}
        tasks = _task(kind, asked.name, item, several=len(questions) > 1)
        yield from (carried | row | tasks | _sources(row, written_by) for row in rows)


def _task(kind: str, question: str, item: Item, *, several: bool) -> dict[str, str]:
    """The task that a row is an example of, where rows of its kind have one."""
    if kind not in TASKED:
        return {}
    return {"task": " ".join(filter(None, [item.task, question if several or not item.task else ""]))}


def _sources(row: dict[str, Any], written_by: Mapping[str, str]) -> dict[str, list[str]]:
    """Which model wrote each answer of a row, in the row's order, where anybody knows: for tables, never for people who judge."""
    texts = row.get("completions") or [row[name] for name in ("chosen", "rejected", "completion") if name in row]
    sources = [written_by.get(text, "") for text in texts]
    return {"sources": sources} if any(sources) else {}


def _counts(frozen: Frozen) -> dict[str, Any]:
    groups = {split: len(frozen.files.groups[split]) for split in SPLITS}
    tasks = frozen.files.tasks
    return ({"tasks": sorted(tasks)[:MOST_TASKS]} if len(tasks) > 1 else {}) | {
        **frozen.files.counts,
        "groups": groups,
        "judgements": len(frozen.judgement_ids),
        "dropped": frozen.dropped,
    }

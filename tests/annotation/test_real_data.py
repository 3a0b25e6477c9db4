"""Public data sets come in by mapping or by their names, with all of their judgements. FEINSCHLIFF_DATA names their folder."""

from __future__ import annotations

import collections
import io
import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from annotation import guessing, importing, judging, sources
from annotation.kinds.label import parse
from annotation.models import Import, Item, Judgement, Project, Response
from tests.builders import bring_in, person, project_of
from training import freezing

FOLDER = Path(os.environ.get("FEINSCHLIFF_DATA") or "/nowhere")
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="FEINSCHLIFF_DATA names no folder with the real data sets"),
]


@pytest.fixture
def ranked() -> Project:
    return project_of(person("lin"), name="Ranked")


@pytest.fixture
def compared() -> Project:
    return project_of(person("bo"), name="Compared", question="comparison")


def test_qa_feedback_comes_in_with_its_239_rankings(ranked: Project) -> None:
    path = FOLDER / "qa-feedback-k4" / "prompts.jsonl"
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    mapping = {"prompt": "question", "context": "passages", "responses": "outputs", "ranks": "ranks", "group": "id"}
    counts = bring_in(ranked, path.read_bytes(), mapping)
    assert (counts.items, counts.responses, counts.judgements, counts.annotators) == (250, 1000, 239, 1)
    stored = {
        j.item.key: j.answers["ranking"]["ranks"] for j in judging.current(project_id=ranked.pk).select_related("item")
    }
    assert {key: order(ranks) for key, ranks in stored.items()} == {
        record["id"]: order(record["ranks"]) for record in records if record["ranks"]
    }
    item = Item.objects.get(key=records[0]["id"])
    assert [response.text for response in item.responses.all()] == records[0]["outputs"]
    assert [passage["title"] for passage in item.context] == [passage[0] for passage in records[0]["passages"]]
    assert item.group == item.key


def order(ranks: list[int]) -> list[list[bool]]:
    """Which is better than which: what ranks say, whatever numbers they use."""
    return [[one < other for other in ranks] for one in ranks]


def test_the_guess_for_qa_feedback_is_right(ranked: Project) -> None:
    first = json.loads((FOLDER / "qa-feedback-k4" / "prompts.jsonl").open("rb").readline())
    guessed = guessing.guess(first)
    assert guessed == {
        "id": "id",
        "prompt": "question",
        "responses": "outputs",
        "context": "passages",
        "ranks": "ranks",
    }


def test_pandalm_comes_in_with_three_annotators_by_the_guessed_mapping(compared: Project) -> None:
    path = FOLDER / "pandalm-human" / "pairs.jsonl"
    mapping = guessing.guess(json.loads(path.open("rb").readline()))
    assert mapping["prompt"] == "instruction,input"
    assert mapping["responses"] == "response1,response2"
    counts = bring_in(compared, path.read_bytes(), mapping)
    assert (counts.items, counts.responses, counts.judgements, counts.annotators) == (999, 1998, 2997, 3)
    assert set(compared.memberships.exclude(user__isnull=False).values_list("pseudonym", flat=True)) == {
        "annotator-1", "annotator-2", "annotator-3",
    }  # fmt: skip
    votes = collections.defaultdict(list)
    for judgement in Judgement.objects.filter(item__project=compared):
        votes[judgement.item_id].append(judgement.answers["comparison"]["winner"])
    majority = collections.Counter(collections.Counter(three).most_common(1)[0][0] for three in votes.values())
    assert majority == {0: 105, 1: 422, 2: 472}  # the published counts
    assert Response.objects.filter(item__project=compared).exclude(source="").count() == 1998


def test_the_strict_pairs_of_ukpconvarg_come_in_joined_with_their_arguments(compared: Project) -> None:
    folder = FOLDER / "ukpconvarg1"
    with (folder / "arguments.jsonl").open("rb") as file:
        first = sources.read_lookup(field="a1", key="arg_id", file=file)
    second = sources.Lookup(field="a2", key="arg_id", records=first.records)
    mapping = {
        "id": "pair_id", "prompt": "a1.debate_title,a1.stance", "responses": "a1.text,a2.text", "group": "debate",
        "winner": "gold", "codes": "a1:1,a2:2,equal:0", "where": "strict=true",
    }  # fmt: skip
    batch = Import.objects.create(project=compared, file_name="pairs.jsonl", sha256="0" * 64, size=1)
    with (folder / "pairs.jsonl").open("rb") as file:
        counts = importing.import_file(
            project=compared, file=file, mapping=mapping, actor=None, batch=batch, lookups=[first, second]
        )
    assert (counts.lines, counts.items, counts.left_out, counts.judgements) == (8436, 5716, 2720, 5716)
    assert Item.objects.filter(project=compared).values("group").distinct().count() == 8
    longer = 0
    for judgement in Judgement.objects.filter(item__project=compared).prefetch_related("item__responses"):
        one, two = (len(response.text) for response in judgement.item.responses.all())
        longer += (one > two) == (judgement.answers["comparison"]["winner"] == 1)
    assert round(longer / 5716, 2) == 0.77  # the published baseline of the longer argument


def by_command(*arguments: str) -> dict[str, int]:
    out = io.StringIO()
    call_command(*arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def bare(name: str) -> Project:
    """A project that asks for no label."""
    return project_of(None, name=name, question="comment")


def first_lines(path: Path, count: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in itertools.islice(path.open(encoding="utf-8"), count)]


def test_banking77_comes_in_by_one_command_and_makes_its_question(tmp_path: Path) -> None:
    made = bare("Banking")
    counts = by_command("import_items", "banking", str(FOLDER / "banking77" / "test.jsonl"), "--new-labels")
    assert (counts["items"], counts["judgements"]) == (3080, 3080)
    made.refresh_from_db()
    question = made.questions.get(version=made.schema_version, kind="label")
    assert len(parse(question.options["labels"])) == 77
    assert by_command("import_items", "banking", str(FOLDER / "banking77" / "test.jsonl"))["already_there"] == 3080


def test_germeval_comes_in_as_the_tsv_that_its_authors_publish(tmp_path: Path) -> None:
    records = first_lines(FOLDER / "germeval2018" / "train.jsonl", 600)
    path = tmp_path / "germeval.txt"
    path.write_text("".join(f"{r['text']}\t{r['coarse']}\t{r['fine']}\n" for r in records), "utf-8")
    made = bare("Germeval")
    counts = by_command(
        "import_items", "germeval", str(path), "--columns", "text,coarse,fine", "--new-labels",
        "--map", "id=", "--map", "prompt=text", "--map", "label=coarse,fine",
    )  # fmt: skip
    assert (counts["items"], counts["judgements"]) == (600, 600)
    stored = collections.Counter(j.answers["fine"]["labels"][0][0] for j in judging.current(project_id=made.pk))
    assert stored == collections.Counter(record["fine"].lower() for record in records)
    texts = Item.objects.filter(project=made).order_by("position").values_list("prompt", flat=True)
    assert [prompt[0]["content"] for prompt in texts] == [record["text"] for record in records]


def test_the_transcripts_of_hh_harmless_become_prompts_with_two_answers() -> None:
    made = project_of(None, name="Harmless", question="comparison")
    counts = by_command("import_items", "harmless", str(FOLDER / "hh-harmless" / "pairs.jsonl"))
    assert (counts["items"], counts["responses"], counts["judgements"]) == (2312, 4624, 2312)
    longer = 0
    for item in Item.objects.filter(project=made).prefetch_related("responses"):
        better, worse = (len(response.text) for response in item.responses.all())
        longer += better > worse
        assert item.prompt[-1]["role"] == "user"
    assert longer / 2312 == pytest.approx(0.446, abs=0.01)  # published for the whole transcripts


def test_novels_come_in_as_a_folder_and_freeze_to_passages_that_stay_with_their_book() -> None:
    made = bare("Novels")
    counts = by_command("import_texts", "novels", str(FOLDER / "gutenberg-plain"))
    files = [path for path in (FOLDER / "gutenberg-plain").iterdir() if path.suffix == ".txt"]
    assert (counts["texts"], counts["characters"]) == (len(files), sum(len(path.read_text("utf-8")) for path in files))
    snapshot = freezing.freeze(project=made, rows="text", heldout=0.3)
    assert snapshot.counts["groups"]["train"] + snapshot.counts["groups"]["heldout"] == len(files)
    assert snapshot.counts["train"] + snapshot.counts["heldout"] > 6000

"""Models at work for the site: a warm child scores, a dead one is replaced, and what goes wrong is said."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client

from tests.training.world_of_runs import frozen, launch, person, planted, wait_for
from training import answering, preparing
from training.answering import NoAnswer, WarmModels
from training.models import Model
from training.working import Worker

pytestmark = pytest.mark.django_db


@pytest.fixture
def model(quick: Path) -> Model:
    run = launch(frozen(planted(4)))
    Worker().work_one(run.pk)
    return Model.objects.get(run=run)


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> Iterator[WarmModels]:
    made = WarmModels()
    monkeypatch.setattr(answering, "warm_models", made)
    yield made
    made._end()


def child(warm: WarmModels) -> int:
    assert warm._warm
    return warm._warm.process.pid


def test_a_model_scores_and_its_process_stays_warm(model: Model, warm: WarmModels) -> None:
    assert answering.score(model=model, prompt="?", completions=["a", "abc", ""]) == [2.0, 6.0, 0.0]
    first = child(warm)
    assert answering.score(model=model, prompt="?", completions=["ü🙂\n\x00\u2028"]) == [10.0]
    assert child(warm) == first


def test_a_warm_process_that_was_killed_is_replaced(model: Model, warm: WarmModels) -> None:
    answering.score(model=model, prompt="?", completions=["a"])
    first = child(warm)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: warm._warm and warm._warm.process.poll() is not None)
    assert answering.score(model=model, prompt="?", completions=["a"]) == [2.0]
    assert child(warm) != first


def test_a_model_that_dies_while_it_answers_is_told_in_a_sentence_and_the_next_is_fine(
    model: Model, warm: WarmModels
) -> None:
    with pytest.raises(NoAnswer, match=r"process ended\. Try again"):
        answering.score(model=model, prompt="die", completions=["a"])
    assert answering.score(model=model, prompt="?", completions=["a"]) == [2.0]


def test_a_models_own_error_is_passed_on_and_it_stays_warm(model: Model, warm: WarmModels) -> None:
    with pytest.raises(NoAnswer, match="this prompt made me stumble"):
        answering.score(model=model, prompt="stumble", completions=["a"])
    answering.score(model=model, prompt="?", completions=["a"])


def test_files_that_are_gone_are_said(model: Model, warm: WarmModels) -> None:
    shutil.rmtree(preparing.folder(model.run) / "model")
    with pytest.raises(NoAnswer, match="files are not there any more"):
        answering.score(model=model, prompt="?", completions=["a"])


def test_a_model_that_cannot_be_opened_is_said(model: Model, warm: WarmModels) -> None:
    (preparing.folder(model.run) / "model" / "scale.json").write_text("two", "utf-8")
    with pytest.raises(NoAnswer):
        answering.score(model=model, prompt="?", completions=["a"])
    assert warm._warm is None


def test_an_answer_that_takes_too_long_is_given_up_and_its_process_ended(
    model: Model, warm: WarmModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering.score(model=model, prompt="?", completions=["a"])
    monkeypatch.setattr(answering, "ANSWER_TIMEOUT", 0.5)
    os.kill(child(warm), signal.SIGSTOP)
    with pytest.raises(NoAnswer, match="did not answer within"):
        answering.score(model=model, prompt="?", completions=["a"])
    assert warm._warm is None


def test_a_process_that_nobody_asks_is_let_go(model: Model, warm: WarmModels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "IDLE", 0.3)
    answering.score(model=model, prompt="?", completions=["a"])
    wait_for(lambda: warm._warm is None, 10)


def test_another_model_takes_the_place_of_the_warm_one(model: Model, warm: WarmModels) -> None:
    answering.score(model=model, prompt="?", completions=["a"])
    first = child(warm)
    run = launch(model.run.snapshot, steps=1)
    Worker().work_one(run.pk)
    other = Model.objects.get(run=run)
    assert answering.score(model=other, prompt="?", completions=["ab"]) == [4.0]
    assert child(warm) != first
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


@pytest.fixture
def lin(client: Client) -> Client:
    client.force_login(person("lin"))
    return client


def address(model: Model) -> str:
    return f"/p/{model.project.slug}/models/{model.pk}/"


def test_the_models_page_scores_texts_best_first_and_keeps_them(lin: Client, model: Model, warm: WarmModels) -> None:
    answer = lin.post(address(model), {"prompt": "Which <b>?", "completion": ["short", "a longer one", ""]})
    page = answer.content.decode()
    assert answer.status_code == 200
    assert page.index("24.0000") < page.index("10.0000")
    assert "Which &lt;b&gt;?" in page
    assert [row["text"] for row in answer.context["results"]] == ["a longer one", "short"]


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"prompt": "", "completion": ["a"]}, "Write a prompt"),
        ({"prompt": "p", "completion": ["", " "]}, "Write a prompt"),
        ({"prompt": "p", "completion": ["a" * 20_001]}, "at most 20,000 characters"),
        ({"prompt": "stumble", "completion": ["a"]}, "this prompt made me stumble"),
    ],
)
def test_what_cannot_be_scored_is_said_on_the_page(
    lin: Client, model: Model, warm: WarmModels, sent: dict[str, object], said: str
) -> None:
    answer = lin.post(address(model), sent)
    assert answer.status_code == 400
    assert said in answer.content.decode()


def test_the_models_page_shows_its_lineage_down_to_the_judgements(lin: Client, model: Model) -> None:
    page = lin.get(address(model)).content.decode()
    snapshot = model.run.snapshot
    assert f"/p/{model.project.slug}/runs/{model.run_id}/" in page
    assert f"/p/{model.project.slug}/snapshots/{snapshot.hash}/" in page
    assert all(str(number) in page for number in snapshot.judgement_ids)


def test_a_web_process_that_ends_takes_its_warm_model_with_it(model: Model, warm: WarmModels) -> None:
    """The child lives as long as its pipe: that of a killed web process is closed by the kernel."""
    answering.score(model=model, prompt="?", completions=["a"])
    assert warm._warm
    assert warm._warm.process.stdin
    warm._warm.process.stdin.close()
    begun = time.monotonic()
    assert warm._warm.process.wait(10) == 0
    assert time.monotonic() - begun < 10
    warm._warm = None


@pytest.fixture
def writer(model: Model) -> Model:
    run = launch(model.run.snapshot, "judged")
    Worker().work_one(run.pk)
    return Model.objects.get(run=run)


def test_a_model_writes_on_its_page_and_another_chooses_the_best_of_several(
    model: Model, writer: Model, warm: WarmModels, client: Client
) -> None:
    client.force_login(person("lin"))
    address = f"/p/planted/models/{writer.pk}/"
    page = client.get(address).text
    assert "Let it write" in page
    assert f'<option value="{model.ref}">' in page
    asked = {"do": "write", "prompt": "<b>so</b>", "n": "3"}
    plain = client.post(address, asked).text
    assert '<p class="written" dir="auto">&lt;b&gt;so&lt;/b&gt;</p>' in plain
    chosen = client.post(address, {**asked, "judge": model.ref}).text
    best, *others = chosen.split('<ol class="written-list"')[1].split('<li class="card">')[1:]
    assert "<b>so</b>".replace("<", "&lt;").replace(">", "&gt;") + " " in best
    assert ("best</span>" in best, len(others)) == (True, 2)  # the longest: the quick scorer likes length
    assert "at most 0.43 nats" in chosen


def test_answers_that_the_judge_does_not_read_are_shown_without_a_score(
    model: Model, writer: Model, warm: WarmModels, client: Client
) -> None:
    client.force_login(person("lin"))
    asked = {"do": "write", "prompt": "endless tale", "n": "4", "longest": "20", "judge": model.ref}
    answer = client.post(f"/p/planted/models/{writer.pk}/", asked)
    assert answer.status_code == 200
    assert f"{model.ref} was to choose and gave 2 of the 4 answers no score. It says: answer 3 is longer" in answer.text
    shown = [(row["number"], row["score"], row["best"]) for row in answer.context["written"]]
    assert shown == [(2, 50.0, True), (1, 24.0, False), (3, None, False), (4, None, False)]
    assert "at most 0.19 nats" in answer.text  # of the two that were chosen from
    assert 'value="20"' in answer.text


def test_what_cannot_be_written_is_said_and_nothing_is_loaded(writer: Model, warm: WarmModels, client: Client) -> None:
    client.force_login(person("lin"))
    for odd in ({"prompt": ""}, {"n": "0"}, {"n": "17"}, {"n": "two"}, {"prompt": "x" * 20_001}):
        answer = client.post(f"/p/planted/models/{writer.pk}/", {"do": "write", "prompt": "p", "n": "2", **odd})
        assert answer.status_code == 400
        assert "ask for 1 to 16 answers" in answer.text
    for odd in ("0", "1025", "long"):
        answer = client.post(
            f"/p/planted/models/{writer.pk}/", {"do": "write", "prompt": "p", "n": "2", "longest": odd}
        )
        assert answer.status_code == 400
        assert "from 1 to 1,024 tokens" in answer.text
    assert warm._warm is None

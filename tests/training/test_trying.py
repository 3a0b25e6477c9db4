"""Trying a model that classifies, embeds or fills: on its page, by command, and what is said of odd input."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import signed_in
from tests.training import world_of_runs as world
from tests.webapp.page_reading import dangers
from training import trying, working
from training.models import Model

shares = st.dictionaries(st.text(max_size=5), st.floats(0, 1), min_size=1, max_size=30)


def asked(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_each_verb_of_a_model_can_be_tried_on_its_page_and_by_command(quick: Path) -> None:
    snapshot = world.frozen(world.planted(4))
    world.member(snapshot.project, "lin")
    run = world.launch(snapshot, "reads")
    working.Worker().work_one(run.pk)
    model, lin = Model.objects.get(run=run), signed_in(world.person("lin"))
    place = f"/p/planted/models/{model.pk}/"

    page = lin.get(place).text
    for title in ("Which label fits?", "Fill the gap", "How alike are texts?"):
        assert title in page
    assert "Score this text" not in page

    page = lin.post(place, {"do": "classify", "text": "<b>ab</b>"}).text  # nine letters
    assert page.index("label-9") < page.index("label-0")
    for told in ('value="45.00"', "45.0 %", "2 other labels together: 10.0 %", "&lt;b&gt;ab&lt;/b&gt;"):
        assert told in page
    assert not dangers(page)

    page = lin.post(place, {"do": "embed", "text": ["aab", "aabaab", "c", ""]}).text
    assert "Most alike: 1 and 2." in page
    assert "vectors of 3 numbers" in page

    page = lin.post(place, {"do": "fill", "text": "One and ___ are few.", "n": "2"}).text
    for told in ("One and 1 are few.", "One and 2 are few."):
        assert told in page

    for form, said in (
        ({"do": "classify", "text": " "}, "Write a text."), ({"do": "embed", "text": ["a"]}, "at least two texts"),
        ({"do": "fill", "text": "whole", "n": "2"}, "has no gap"),
        ({"do": "fill", "text": "a ___", "n": "99"}, "Ask for 1 to 10"),
        ({"do": "classify", "text": "x" * 20_001}, "at most 20,000"),
    ):  # fmt: skip
        answer = lin.post(place, form)
        assert (answer.status_code, said in answer.text) == (400, True), said

    assert asked("classify", model.ref, "--text", "ab").splitlines()[0] == "0.450  label-2"
    assert asked("fill", model.ref, "--text", "a ___", "--n", "2") == "a 1\na 2\n"
    found = json.loads(asked("embed", model.ref, "--text", "aab", "--text", "c", "--json"))
    assert (found["vectors"], found["cosines"][0]) == ([[2.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [pytest.approx(1.0), 0.0])
    assert asked("embed", model.ref, "--text", "aab", "--text", "c").splitlines()[1] == "+0.000  +1.000  c"
    Model.objects.filter(pk=model.pk).update(yields=["embed"])
    with pytest.raises(CommandError, match="cannot classify; it can embed"):
        call_command("classify", model.ref, "--text", "x")


@given(st.lists(shares, max_size=3))
def test_what_is_not_shown_of_the_labels_is_told_as_one(given_shares: list[dict[str, float]]) -> None:
    texts = [str(place) for place in range(len(given_shares))]
    for one, of_text in zip(trying.classified(texts, given_shares), given_shares, strict=True):
        assert [bar.share for bar in one.bars] == sorted(of_text.values(), reverse=True)[: trying.MOST_BARS]
        assert len(one.bars) + one.others == len(of_text)
        assert sum(bar.share for bar in one.bars) + one.rest == pytest.approx(sum(of_text.values()))


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), min_size=1, max_size=5))
def test_a_text_is_as_alike_to_another_as_that_to_it(vectors: list[list[float]]) -> None:
    found = trying.alike([""] * len(vectors), vectors)
    for one, row in enumerate(found.cosines):
        for other, cosine in enumerate(row):
            assert cosine == found.cosines[other][one]
            assert cosine is None or -1 <= cosine <= 1
        assert row[one] is None or row[one] == pytest.approx(1)

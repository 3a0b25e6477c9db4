"""A model that people talk with: two different answers that can be made again, or a sentence that says why not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from annotation.models import Project
from annotation.talking import NoReply
from tests.builders import project_of
from training import answering, replying
from training.answering import WarmModels

pytestmark = pytest.mark.django_db
PROMPT = [{"role": "user", "content": "Why do tides come twice a day?"}]


@pytest.fixture
def project() -> Project:
    return project_of(None)


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> Iterator[WarmModels]:
    made = WarmModels()
    monkeypatch.setattr(answering, "warm_models", made)
    yield made
    made._end()


@pytest.mark.slow
def test_a_base_model_gives_two_different_answers_which_its_seed_makes_again(
    project: Project, warm: WarmModels
) -> None:
    (first, source), (second, other) = replying.candidates(project, "tiny:causal", PROMPT)
    assert first != second
    assert source.startswith("tiny:causal T=0.8 top_p=0.95 seed=")
    assert (source[-2:], other[-2:]) == ("#1", "#2")
    seed = int(source.split("seed=")[1].split()[0])
    asked = {"n": 2, "max_new_tokens": replying.LONGEST, "temperature": 0.8, "top_p": 0.95, "seed": seed}
    served = replying._servable(project, "tiny:causal")
    again = warm.ask(served, "generate", {"prompts": [PROMPT], **asked})
    assert [text.strip() for text in again[0]] == [first, second]


@pytest.mark.slow
def test_a_model_that_cannot_write_says_so(project: Project, warm: WarmModels) -> None:
    with pytest.raises(NoReply, match="cannot generate"):
        replying.candidates(project, "tiny:encoder", PROMPT)


@pytest.mark.parametrize("ref", ["run:999999", "run:x", "run:"])
def test_a_model_that_is_not_there_any_more_is_named(project: Project, ref: str) -> None:
    with pytest.raises(NoReply, match=f"The model {ref} is not there any more"):
        replying.candidates(project, ref, PROMPT)


def test_base_models_that_can_write_are_offered(project: Project) -> None:
    offered = replying.models_of(project)
    assert ("tiny:causal", "tiny:causal") in offered
    assert ("tiny:encoder", "tiny:encoder") not in offered, "it would only say so after people had waited for it"

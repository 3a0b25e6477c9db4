"""Self-naming is hidden on screen, in English and German; everything else that bears such a name stays."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.masking import apply, find, mask
from annotation.models import Response
from tests.builders import as_lines, bring_in, person, project_of, signed_in

MODEL, MAKER = "⟨the model⟩", "⟨its maker⟩"
NAMED = {
    "As ChatGPT, I cannot do that.": f"As {MODEL}, I cannot do that.",
    "I'm Claude, made by Anthropic.": f"I'm {MODEL}, made by {MAKER}.",
    "As a large language model trained by Google, I": f"As a large language model trained by {MAKER}, I",
    "I am an AI language model developed by OpenAI.": f"I am an AI language model developed by {MAKER}.",
    "My name is **Claude**, and I was created by *Anthropic*.": f"My name is **{MODEL}**, and I was created by *{MAKER}*.",
    "Hello! I'm Gemini 1.5 Pro, a multimodal AI model.": f"Hello! I'm {MODEL}, a multimodal AI model.",
    "I am powered by GPT-3.5-turbo.": f"I am powered by {MODEL}.",
    "I'm LLaMA, by Meta AI.": f"I'm {MODEL}, by {MAKER}.",
    "I AM CHATGPT": f"I AM {MODEL}",
    "OpenAI created me.": f"{MAKER} created me.",
    "That is against OpenAI's usage policies.": f"That is against {MAKER}'s usage policies.",
    "ChatGPT: Sure!": f"{MODEL}: Sure!",
    "my creators at Anthropic": f"my creators at {MAKER}",
    "Ich bin ChatGPT, ein Sprachmodell von OpenAI.": f"Ich bin {MODEL}, ein Sprachmodell von {MAKER}.",
    "Als ChatGPT kann ich das nicht.": f"Als {MODEL} kann ich das nicht.",
    "Als von OpenAI entwickeltes Sprachmodell kann ich": f"Als von {MAKER} entwickeltes Sprachmodell kann ich",
    "Mein Name ist Claude.": f"Mein Name ist {MODEL}.",
    "Ich wurde von Google trainiert.": f"Ich wurde von {MAKER} trainiert.",
    "Ich bin ein großes Sprachmodell, trainiert von Google.": f"Ich bin ein großes Sprachmodell, trainiert von {MAKER}.",
}
OTHERS = [
    "Claude Monet painted.", "I am a fan of Claude Monet.", "I'm Claude Monet.", "I am a Gemini, born in June.",
    "Gemini is a star sign.", "As Google announced, I think so.", "As ChatGPT became known, people asked.",
    "As ChatGPT's fame grew, I worried.", "OpenAI released GPT-4 in 2023.", "I was at Google in 2010.", "I use ChatGPT daily.",
    "As the bard said, I know.", "I am in Llama country.", "This is Sydney Opera House.", "This is Google Maps.",
    "I was trained as a nurse at Amazon.", "I am a Mistral AI employee.", "my llama", "I am Phillip.", "being pi",
    "Als Google gegründet wurde, war ich klein.", "Ich bin Zwilling, auf Englisch Gemini.", "Ich mag Claude Debussy.",
]  # fmt: skip


@pytest.mark.parametrize(("text", "shown"), NAMED.items())
def test_a_model_that_names_itself_is_masked(text: str, shown: str) -> None:
    assert mask(text)[0] == shown


@pytest.mark.parametrize("text", OTHERS)
def test_what_only_bears_such_a_name_stays(text: str) -> None:
    assert mask(text) == (text, [])


PARTS = st.sampled_from([*NAMED, *OTHERS, "Claude", "I am", "İ", "😀", "\n", " by ", "as "])


@settings(max_examples=200, deadline=None)
@given(st.lists(PARTS | st.text(max_size=6), max_size=8))
def test_replacements_are_in_order_and_inside_the_text(parts: list[str]) -> None:
    text = " ".join(parts)
    found = find(text)
    assert all(0 <= one.start < one.end <= len(text) for one in found)
    assert all(one.end <= other.start for one, other in pairwise(found))
    assert mask(text) == (apply(text, found), found)


HEAVY = [
    "as " * 21_000 + "Claude", "I am " * 12_800 + "Claude", "I am an AI model from Claude. " * 2_100, " " * 64_000 + "Claude",
    "as Claude " * 6_400, "ich bin von " * 5_000 + "GPT",
]  # fmt: skip


@pytest.mark.parametrize("heavy", HEAVY, ids=lambda text: text[:12])
def test_no_text_holds_the_masking_up(heavy: str) -> None:
    began = time.process_time()
    find(heavy)
    assert time.process_time() - began < 2


@pytest.mark.django_db
def test_an_annotator_sees_it_masked_a_lead_sees_how_often_and_the_stored_text_stays() -> None:
    lin, ada = person("lin"), person("ada")
    project = project_of(lin, ada)
    text = "I'm Vicuna. I was trained by LMSYS. The sea is salty."
    conversation = [
        {"role": "user", "content": "Are you Vicuna?"}, {"role": "assistant", "content": "Yes, I am Vicuna."},
        {"role": "user", "content": "Why is the sea salty?"},
    ]  # fmt: skip
    item = {"id": 1, "prompt": conversation, "responses": [text, "Salt."]}
    bring_in(project, as_lines([item]))
    desk, page = f"/p/{project.slug}/judge/", f"/p/{project.slug}/items/{project.items.get().pk}/"
    assert "I&#x27;m Vicuna" in signed_in(ada).get(desk).text
    project.mask_names = True
    project.save()
    seen = signed_in(ada).get(desk).text
    assert "LMSYS" not in seen
    assert seen.count("Vicuna") == 2  # the person's own words, formatted and raw
    inspected = signed_in(lin).get(page).text
    assert "I'm Vicuna" in inspected
    assert "names its model 2 times" in inspected
    assert Response.objects.get(position=0).text == text

"""Trainers that learn from texts as they are: nobody has to judge, label or answer anything."""

from collections.abc import Iterator

from feinschliff import Needs, Trainer, hookimpl
from plugins.self_supervised.contextual_config import ContextualConfig
from plugins.self_supervised.contrastive_config import ContrastiveConfig
from plugins.self_supervised.explaining import CONTEXTUAL, CONTRASTIVE, MASKED
from plugins.self_supervised.masked_lm_config import MaskedLMConfig


@hookimpl
def feinschliff_trainers() -> Iterator[Trainer]:
    yield Trainer(
        api=1,
        name="masked-lm",
        title="Masked language modelling",
        summary="Makes an encoder at home in your texts, before it learns to judge, sort or find: it guesses hidden words.",
        family="self-supervised",
        needs=Needs(rows=("text",), at_least=8, models={"base": "embed"}),
        config=MaskedLMConfig,
        train="plugins.self_supervised.masked_lm:train",
        opens="plugins.self_supervised.masked_model:open_masked",
        yields=("fill", "embed"),
        explains=MASKED,
        resumable=True,
    )
    yield Trainer(
        api=1,
        name="contrastive",
        title="Contrastive learning",
        summary="Makes a model that says how alike two texts are: to find duplicates, similar prompts and what answers what.",
        family="self-supervised",
        needs=Needs(
            rows=("ranking", "rating", "pair", "label", "demonstration", "text", "prompt"),
            at_least=8,
            models={"base": "embed"},
        ),
        config=ContrastiveConfig,
        train="plugins.self_supervised.contrastive:train",
        opens="plugins.self_supervised.contrastive_model:open_embedder",
        yields=("embed",),
        explains=CONTRASTIVE,
        resumable=True,
    )
    yield Trainer(
        api=1,
        name="contextual",
        title="Filling in from both sides",
        summary="Teaches a model that writes to fill gaps from what stands before and after them, and to know your texts.",
        family="self-supervised",
        needs=Needs(rows=("text",), at_least=8, models={"base": "generate"}),
        config=ContextualConfig,
        train="plugins.self_supervised.contextual:train",
        opens="plugins.self_supervised.infilling:open_infiller",
        yields=("fill", "generate", "embed"),
        explains=CONTEXTUAL,
        resumable=True,
    )

"""LoRA through peft: put adapters beside frozen weights, look past them, and melt them in at the end.

With the adapters off the model is exactly its base, so a reference model needs no second copy in memory.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from plugins.lib.settings import Lora

Loaded = Any  # transformers' and peft's models, which carry no usable types
ALL_LINEAR = "all-linear"


def add_lora(model: Loaded, lora: Lora, *, task: str, train_too: Sequence[str] = ()) -> Loaded:
    """The model with adapters on all its linear layers; the model itself where the rank is 0.

    `task` is peft's: CAUSAL_LM leaves the language-model head alone, SEQ_CLS the score head. Modules in `train_too` (a
    fresh head) are trained whole. Adapters start with B = 0, so the first forward is that of the base.
    """
    if not lora.lora_rank:
        return model
    from peft import get_peft_model

    return get_peft_model(model, lora_config(lora, task=task, train_too=train_too))


def lora_config(lora: Lora, *, task: str, train_too: Sequence[str] = ()) -> Loaded:
    """The same as peft's own record, for trainers that put the adapters on themselves; None where the rank is 0."""
    if not lora.lora_rank:
        return None
    from peft import LoraConfig

    return LoraConfig(
        task_type=task,
        r=lora.lora_rank,
        lora_alpha=lora.lora_alpha or 2 * lora.lora_rank,
        lora_dropout=lora.lora_dropout,
        target_modules=ALL_LINEAR,
        modules_to_save=list(train_too) or None,
    )


def has_lora(model: Loaded) -> bool:
    return hasattr(model, "peft_config")


@contextmanager
def base_alone(model: Loaded) -> Iterator[None]:
    """Inside, a model with adapters is its base. Raises ValueError for one without: that would be the model itself."""
    if not has_lora(model):
        raise ValueError("this model has no adapters to look past; keep a copy of it as the reference")
    with model.disable_adapter():
        yield


def melted(model: Loaded) -> Loaded:
    """The plain transformers model with the adapters added to its weights, for saving. Changes the model given."""
    return model.merge_and_unload() if has_lora(model) else model

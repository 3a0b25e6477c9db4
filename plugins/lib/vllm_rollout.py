"""Writes the answers with vLLM, in the policy's process; where they are greedy, the same ones as `plugins.lib.rollout`.

vLLM is no dependency: it is used where an operator has installed it. Its kernels add up in another order than ours, so what it
says of a token's probability is near the policy's and not equal; whoever trains takes the policy's own.

The engine starts from the model's config and random weights, and gets the real ones by `take` before each batch, adapters
melted in on the way (the model itself is not touched). TRL 1.16 pushes weights past vLLM's own reloading, which fails where
vLLM has packed them (on a CPU); here they go through it.
"""

import copy
import hashlib
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from feinschliff import NeedsNotMet
from plugins.lib.rollout import Written

if TYPE_CHECKING:
    import torch

Loaded = Any  # vLLM's, transformers' and peft's objects, which carry no usable types
Writer = Literal["auto", "own", "vllm"]
BYTES = 4  # of a float32: the policy's own precision
BLOCK = 128  # tokens; vLLM hands out its cache in blocks of at most so many
LEAST_CACHE = 64 * 2**20
# Of the GPU; vLLM refuses to start where less is free, and then looks at the cache's size alone, which is told here.
LEAST_FREE = 0.05
MISSING = (
    "writer is vllm, and vLLM is not installed where this run works: install it (docs/methods/ppo.md, Writing the answers), "
    "or set writer to auto or own"
)


def installed() -> bool:
    return find_spec("vllm") is not None


def engine_for(
    model: Loaded,
    writer: Writer,
    *,
    longest: int,
    rows: int,
    seed: int,
    tell: Callable[[str], None],
) -> "Engine | None":
    """The engine that `writer` asks for; None where our own is to write. `auto`: vLLM where it is installed and the model
    is on a GPU; where it does not start there, `tell` hears why. Raises NeedsNotMet where `vllm` cannot be had."""
    gpu = next(model.parameters()).device.type == "cuda"
    if writer == "own" or (writer == "auto" and not (gpu and installed())):
        return None
    if not installed():
        raise NeedsNotMet(MISSING)
    try:
        engine = Engine(model, longest=longest, rows=rows, seed=seed)
        engine.take(model)
        return engine
    except Exception as error:
        why = f"vLLM does not start with this base: {' '.join(str(error).split())[:500]}"
        if writer == "vllm":
            raise NeedsNotMet(f"{why}; set writer to own") from error
        tell(f"{why}; our own engine writes instead.")
        return None


class Engine:
    """vLLM's engine for models of one shape. Call `take` before each batch, then `sample`."""

    def __init__(self, model: Loaded, *, longest: int, rows: int, seed: int = 0) -> None:
        """`longest` is of prompt and answer together, in tokens; `rows` are written side by side. Its float32 weights and
        the cache of those rows are taken from the model's device (a CPU build of vLLM: from memory)."""
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # or the weights would be out of reach in another process
        os.environ["VLLM_NO_USAGE_STATS"] = "1"  # nothing is sent anywhere
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        import torch
        from vllm import LLM

        plain = _plain(model)
        config = copy.deepcopy(plain.config)
        config.architectures = [type(plain).__name__]
        threads = torch.set_num_threads  # vLLM's CPU worker puts one there that does nothing
        try:
            with tempfile.TemporaryDirectory(prefix="vllm-") as folder:
                config.save_pretrained(folder)
                self._engine: Loaded = LLM(
                    model=folder,
                    load_format="dummy",
                    skip_tokenizer_init=True,
                    generation_config="vllm",  # no stop token or temperature but those asked for
                    trust_remote_code=False,
                    dtype="float32",
                    seed=seed,
                    max_model_len=longest,
                    max_num_seqs=rows,
                    kv_cache_memory_bytes=_cache_bytes(config, rows * (math.ceil(longest / BLOCK) + 1) * BLOCK),
                    gpu_memory_utilization=LEAST_FREE,
                    enable_prefix_caching=False,  # what an earlier batch's weights said must not speak again
                    logprobs_mode="processed_logprobs",
                    enforce_eager=next(plain.parameters()).device.type == "cpu",  # compiling takes longer than it saves
                    disable_log_stats=True,
                )
        finally:
            torch.set_num_threads = threads

    def take(self, model: Loaded) -> None:
        """Gives the engine this model's present weights."""
        self._engine.collective_rpc("reload_weights", kwargs={"weights_iterator": weights(model)})
        self._engine.apply_model(_pack_tied)

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        temperature: float,
        eos: int,
        seed: int,
    ) -> list[Written]:
        """As `rollout.sample`, from random numbers of its own: another text for a seed, the same one each time.

        `logps` are what vLLM says, under the temperature. Raises FloatingPointError when they are not numbers.
        """
        from vllm import SamplingParams

        asked = [
            SamplingParams(
                max_tokens=max_new_tokens,
                temperature=temperature,
                seed=_seed(seed, row),
                ignore_eos=True,  # whatever the config calls so; the one asked for ends an answer
                stop_token_ids=[eos],
                detokenize=False,
                logprobs=0,  # of the token that was drawn, and no other
            )
            for row in range(len(prompts))
        ]
        found = self._engine.generate(
            [{"prompt_token_ids": list(prompt)} for prompt in prompts], sampling_params=asked, use_tqdm=False
        )
        return [_written(one.outputs[0], eos) for one in found]


def weights(model: Loaded) -> "Iterator[tuple[str, torch.Tensor]]":
    """Each weight by the name it has without adapters, these added to it unless they are off (`base_alone`).

    The sums are made one at a time and beside the model: peft's `merge_adapter` and back would leave it rounded.
    """
    plain = _plain(model)
    for name, weight in plain.named_parameters():
        if getattr(model, "prefix", "lora_") in name:
            continue
        value = weight.detach()
        layer, inside, kind = name.partition(".base_layer.")
        if inside:
            adapted = plain.get_submodule(layer)
            name = f"{layer}.{kind}"
            if kind == "weight" and not adapted.disable_adapters:
                for adapter in adapted.active_adapters:
                    value = value + adapted.get_delta_weight(adapter).detach()
        yield name, value


def _plain(model: Loaded) -> Loaded:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _pack_tied(model: Loaded) -> None:
    """On a CPU vLLM multiplies by packed copies of the weights, and reloading forgets the copy of a head that is tied to the
    embeddings: only layers that keep the weight itself too can be so (vLLM 0.32, `reload`, limitation 2)."""
    for layer in model.modules():
        if hasattr(layer, "cpu_linear") and layer.weight.numel():
            layer.quant_method.process_weights_after_loading(layer)


def _cache_bytes(config: Loaded, tokens: int) -> int:
    """Keys and values of so many tokens in float32; more than enough where a layer keeps less."""
    text = config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return max(LEAST_CACHE, 2 * text.num_hidden_layers * heads * width * BYTES * tokens)


def _seed(seed: int, row: int) -> int:
    digest = hashlib.sha256(f"{seed}/{row}".encode()).digest()
    return int.from_bytes(digest[:7])


def _written(output: Loaded, eos: int) -> Written:
    ids = list(output.token_ids)
    logps = [said[token].logprob for said, token in zip(output.logprobs, ids, strict=True)]
    if not all(map(math.isfinite, logps)):
        raise FloatingPointError("the model's logits are not numbers: its weights are broken")
    return Written(ids, logps, ended=ids[-1] == eos)

"""Comparative ranking on the small world, within this process: rows, an opened base, perhaps a judge, a trainer's `Run`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from feinschliff import Run
from feinschliff.checks import worlds
from feinschliff.run import Stop
from plugins.comparative_ranking.config import ComparativeRankingConfig
from plugins.lib.verbs import CausalModel
from tests.plugins.small_world import write_rows

Rows = list[dict[str, Any]]


def a_run(
    folder: Path,
    base: Path,
    *,
    judge: object = None,
    seed: int = 0,
    kind: str = "ranking",
    rows: Rows | int = 64,
    heldout: Rows | int = 40,
    cache: Path | None = None,
    stop: Stop | None = None,
    **config: float | str | bool,
) -> Run:
    """Rows of the small world, or those that are given; no texts are written unless `samples` asks for them."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, wanted, world in (("train", rows, 1), ("heldout", heldout, 2)):
        write_rows(folder / f"{split}.jsonl", worlds.rows(kind, wanted, world) if isinstance(wanted, int) else wanted)
    models = {"base": CausalModel(base, "cpu"), "judge": judge}
    return Run(
        folder=folder,
        config=ComparativeRankingConfig.model_validate({"samples": 0, "evaluations": 0, **config}),
        seed=seed,
        rows={split: folder / f"{split}.jsonl" for split in ("train", "heldout")},
        kinds=("ranking", "pair", "rating"),
        opener=models.__getitem__,
        device="cpu",
        cache=cache,
        stop=stop,
    )


def ranking(
    completions: Sequence[str], ranks: Sequence[int | None], prompt: str = "Write.", **more: object
) -> dict[str, Any]:
    return {"prompt": prompt, "completions": list(completions), "ranks": list(ranks), **more}


def pads_with_its_end(base: Path, folder: Path) -> Path:
    """A base as GPT-2 is: its only special token is the end of text, which it pads with; dropout; 64 positions of its own."""
    import torch
    from tokenizers import Tokenizer
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    words = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", pad_token="</s>")
    end = tokenizer.eos_token_id
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=64, bos_token_id=end, eos_token_id=end
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def a_job(folder: Path, weights: Path, *, ranks: int = 1, **config: object) -> Path:
    """A run folder of the same, to be worked by a child process."""
    folder.mkdir()
    for split, count, world in (("train", 32, 1), ("heldout", 16, 2)):
        write_rows(folder / f"{split}.jsonl", worlds.rows("ranking", count, world))
    job = {
        "api": 1,
        "run": folder.name,
        "trainer": "comparative-ranking",
        "config": {"samples": 2, "sample_tokens": 8, "batch_rows": 4, **config},
        "rows": {"train": "train.jsonl", "heldout": "heldout.jsonl"},
        "models": {"base": {"ref": "tiny:causal"}},
        "plugins": ["plugins.base_models", "plugins.comparative_ranking"],
        "weights": str(weights),
        "resources": {"device": "cpu", "ranks": ranks},
    }
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    return folder

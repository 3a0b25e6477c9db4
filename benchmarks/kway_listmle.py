"""The K-way engine against sentence-transformers' ListMLE, which scores each answer of a list once too: no gain but the prompt.

    make bench NAME=kway_listmle

Makes an environment of its own in var/benchmarks (sentence-transformers and what it lacks, about 200 MB; torch and
transformers are ours) and goes on in there; where that cannot be installed, it says so in one line and ends. Both take
the same token ids, compute the same Plackett-Luce loss of one ranking, its gradients and an AdamW step, and take turns.
"""

import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / "var" / "benchmarks" / "sentence-transformers"
WANTED = "sentence-transformers==6.2.0"
LENGTHS = [(4, 256, 64), (4, 64, 64), (4, 64, 256), (9, 256, 64)]
REPEATS = 5
VARIANTS = ("sentence-transformers", "shared-forward", "prefix-shared")


def environment() -> str | None:
    """The interpreter of the peer's environment, which finds our packages behind its own; None if it cannot be made."""
    python = PLACE / "bin" / "python"
    if not (PLACE / "made").exists():
        commands = [[sys.executable, "-m", "venv", str(PLACE)]]
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", WANTED]
        for command in commands:
            if subprocess.run(command, check=False).returncode:
                return None
        library = sysconfig.get_path("purelib", vars={"base": str(PLACE), "platbase": str(PLACE)})
        ours = sysconfig.get_path("purelib")
        (Path(library) / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n", "utf-8")
        if subprocess.run(install, check=False).returncode:
            return None
        (PLACE / "made").touch()
    return str(python)


def peer(rows: list[Any], model: Any, weights: Path, scratch: Path) -> Callable[[], Any]:  # noqa: ANN401
    """sentence-transformers' own model and loss around the same weights; only its tokeniser is passed by."""
    import torch
    from sentence_transformers import CrossEncoder
    from sentence_transformers.cross_encoder.losses import ListMLELoss
    from transformers import AutoTokenizer
    from trl.trainer.utils import pad

    from feinschliff import Opening
    from plugins.base_models.opening import open_tiny

    model.save_pretrained(scratch)
    AutoTokenizer.from_pretrained(open_tiny("tiny:causal", Opening(weights=weights)).folder).save_pretrained(scratch)
    encoder = CrossEncoder(str(scratch), device="cpu", num_labels=1, local_files_only=True)
    encoder.train()
    ids = pad([torch.tensor(one.ids) for one in rows[0]], padding_value=0)
    mask = pad([torch.ones(len(one.ids), dtype=torch.long) for one in rows[0]], padding_value=0)
    encoder.preprocess = lambda pairs, **_: {"input_ids": ids, "attention_mask": mask}
    loss = ListMLELoss(encoder, mini_batch_size=-1)  # all answers at once; its default is one at a time
    count = len(rows[0])
    labels = [torch.arange(count, 0, -1).float()]
    return encoder, lambda: loss([["q"], [[str(n) for n in range(count)]]], labels)


def compare(k: int, prompt: int, answer: int, scratch: Path) -> None:
    import torch
    from kway import Case, highest_memory, model_of, rows_of

    from plugins.lib.kway import KWay
    from plugins.lib.listwise import Lists, loss

    weights = Path(os.environ.get("FEINSCHLIFF_HOME", ROOT / "var")) / "weights"
    case = Case(k, prompt, answer)
    rows, model = rows_of(case, weights), model_of(case, "11m", weights)
    encoder, theirs = peer(rows, model, weights, scratch)
    places = Lists([list(range(k))], [list(range(1, k + 1))], [1.0], [None])

    def ours(sharing: Any) -> Callable[[], Any]:  # noqa: ANN401
        engine = KWay(model, pad=0, device="cpu", sharing=sharing)
        return lambda: loss("plackett-luce", engine.scores(rows[0])[:, 0], places)

    works = dict(zip(VARIANTS, (theirs, ours("never"), ours("always")), strict=True))
    trained = {variant: list((model if variant in VARIANTS[1:] else encoder).parameters()) for variant in VARIANTS}
    optimizers = {variant: torch.optim.AdamW(trained[variant], lr=1e-6, fused=True) for variant in VARIANTS}

    def gradients(variant: str) -> Any:  # noqa: ANN401
        optimizers[variant].zero_grad(set_to_none=True)
        works[variant]().backward()
        return torch.cat([weight.grad.flatten() for weight in trained[variant]])

    wanted = gradients(VARIANTS[0])
    errors = {variant: float((gradients(variant) - wanted).abs().max() / wanted.abs().max()) for variant in VARIANTS}

    def step(variant: str) -> float:
        began = time.process_time()
        optimizers[variant].zero_grad(set_to_none=True)
        works[variant]().backward()
        optimizers[variant].step()
        return time.process_time() - began

    memory = {variant: highest_memory(lambda variant=variant: step(variant)) for variant in VARIANTS}
    times: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for turn in range(REPEATS):
        for variant in VARIANTS if turn % 2 == 0 else reversed(VARIANTS):
            times[variant].append(step(variant))
    for variant in VARIANTS:
        turns = [a / b for a, b in zip(times[VARIANTS[0]], times[variant], strict=True)]
        line = {
            "k": k,
            "variant": variant,
            "baseline": VARIANTS[0],
            "ratio": round(statistics.median(times[VARIANTS[0]]) / statistics.median(times[variant]), 2),
            "ratio_range": [round(min(turns), 2), round(max(turns), 2)],
            "gradient_error": errors[variant],
            "prompt_tokens": prompt,
            "answer_tokens": answer,
            "prompts": 1,
            "model": "llama-11m",
            "cpu_s": round(statistics.median(times[variant]), 3),
            "peak_memory": memory[variant],
            "repeats": REPEATS,
        }
        print(json.dumps(line), flush=True)


def main() -> None:
    if Path(sys.prefix) != PLACE:
        python = environment()
        if python is None:
            print(json.dumps({"skipped": WANTED, "because": "it could not be installed"}))
            return
        os.execv(python, [python, __file__])  # noqa: S606 - this very file, in the other environment
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    for k, prompt, answer in LENGTHS:
        with tempfile.TemporaryDirectory() as scratch:
            compare(k, prompt, answer, Path(scratch))


if __name__ == "__main__":
    main()

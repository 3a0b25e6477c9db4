"""`python -m feinschliff`: the processes that the platform starts, and that a person can start by hand.

list (what plugins offer), train (work a run folder), and a model at work: score, answer, serve.
"""

import argparse
import json
import sys
from pathlib import Path

from feinschliff.child import prepare, train
from feinschliff.manager import listing, load
from feinschliff.model import ModelNotOpened
from feinschliff.rows import RowError
from feinschliff.serving import answer, open_for_work, read_prompts, serve
from feinschliff.trainer import NeedsNotMet


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m feinschliff", description="Runs and models of Feinschliff, without its site."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    plugins = argparse.ArgumentParser(add_help=False)
    plugins.add_argument(
        "--plugin", action="append", default=[], metavar="MODULE", help="load this plugin by module name"
    )
    model = argparse.ArgumentParser(add_help=False, parents=[plugins])
    model.add_argument(
        "model", metavar="MODEL", help="folder of a finished run's model, or a string such as tiny:causal"
    )
    model.add_argument("--weights", type=Path, default=Path("var/weights"), help="cache of converted base weights")
    model.add_argument(
        "--local-models", action="append", type=Path, default=[], help="folder that local: may point into"
    )

    commands.add_parser("list", parents=[plugins], help="print what the plugins offer, as one JSON line")
    commands.add_parser("train", help="work a run folder").add_argument(
        "folder", type=Path, help="the folder with job.json"
    )
    score = commands.add_parser("score", parents=[model], help="score answers to one prompt")
    score.add_argument("--prompt", required=True)
    score.add_argument("--completion", action="append", required=True)
    answers = commands.add_parser("answer", parents=[model], help="answer a file of prompts")
    answers.add_argument("--prompts", type=Path, required=True, help="JSONL with id and prompt")
    answers.add_argument(
        "--out", type=Path, required=True, help="JSONL to write: the same lines with responses and sources"
    )
    answers.add_argument("--temperature", type=float, action="append", help="one answer for each; 0 is greedy")
    answers.add_argument("--top-p", type=float, default=1.0)
    answers.add_argument("--max-new-tokens", type=int, default=160)
    answers.add_argument("--seed", type=int, default=0)
    commands.add_parser("serve", parents=[model], help="keep a model warm: JSON requests on stdin, answers on stdout")
    return top


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        if options.command == "list":
            prepare()
            print(json.dumps(listing(load(options.plugin))), flush=True)
            return 0
        if options.command == "train":
            if not options.folder.is_dir():
                raise RowError(f"{options.folder}: no such folder; nothing was done")
            return train(options.folder.resolve())
        return _work_a_model(options)
    except (ModelNotOpened, RowError, NeedsNotMet) as error:
        print(f"feinschliff: {error}", file=sys.stderr)
        return 2 if isinstance(error, NeedsNotMet) else 1
    except KeyboardInterrupt:
        print("feinschliff: interrupted", file=sys.stderr)
        return 130


def _work_a_model(options: argparse.Namespace) -> int:
    prepare(online=options.model.startswith("hub:"))
    prompts = read_prompts(options.prompts) if options.command == "answer" else []
    opened = open_for_work(
        options.model, plugins=options.plugin, weights=options.weights.resolve(), local_models=options.local_models
    )
    if options.command == "score":
        if not hasattr(opened, "score"):
            raise ModelNotOpened(f"{options.model} cannot score")
        print(json.dumps({"scores": opened.score(options.prompt, options.completion)}), flush=True)
    elif options.command == "answer":
        answer(
            opened,
            options.model,
            prompts,
            options.out,
            temperatures=options.temperature or [0.7],
            top_p=options.top_p,
            max_new_tokens=options.max_new_tokens,
            seed=options.seed,
        )
    else:
        answers = sys.stdout
        sys.stdout = sys.stderr  # whatever a model prints must not stand between the answers
        serve(opened, sys.stdin, answers)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m feinschliff`: the processes that the platform starts, and what a plugin author does by hand.

list (what plugins offer), train (work a run folder), a model at work: describe, score, classify, embed, fill, answer, serve;
and for authors: new (a plugin package), try (train it on a file).
"""

import argparse
import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path

from feinschliff import __version__
from feinschliff.best_of import BestOf, NotOneOf, kl_bound
from feinschliff.child import FinishedAlready, prepare, train
from feinschliff.choosing import NotTried, Wish
from feinschliff.describing import describe_model
from feinschliff.finding import NotFound
from feinschliff.listing import listed
from feinschliff.manager import load
from feinschliff.model import AnyModel, ModelNotOpened, Opening, verbs_of
from feinschliff.rows import RowError
from feinschliff.run import plain
from feinschliff.serving import REQUESTS, answer, open_for_work, read_prompts, serve
from feinschliff.starting import NotStarted, start
from feinschliff.terminal import offers
from feinschliff.trainer import API_VERSION, NeedsNotMet
from feinschliff.trying import try_out

TOLD = (
    ModelNotOpened,
    NotOneOf,
    RowError,
    NeedsNotMet,
    NotFound,
    NotStarted,
    NotTried,
    FinishedAlready,
)  # said in one sentence, no traceback


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m feinschliff", description="Runs and models of Feinschliff, without its site."
    )
    top.add_argument("--version", action="version", version=f"feinschliff {__version__} (API {API_VERSION})")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")

    plugins = argparse.ArgumentParser(add_help=False)
    plugins.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="MODULE",
        help="load this module too; installed plugins are anyway",
    )
    opening = argparse.ArgumentParser(add_help=False, parents=[plugins])
    opening.add_argument(
        "--weights", type=Path, default=Path("var/weights"), metavar="DIR",
        help="cache of converted base weights; %(default)s by default",
    )  # fmt: skip
    opening.add_argument(
        "--local-models", action="append", type=Path, default=[], metavar="DIR",
        help="folder that local: may point into; may be said again",
    )  # fmt: skip
    model = argparse.ArgumentParser(add_help=False, parents=[opening])
    model.add_argument(
        "model", metavar="MODEL", help="folder of a finished run's model, or a string such as tiny:causal"
    )

    lists = _command(commands, "list", "print what the plugins offer: words in a terminal, else one JSON line", plugins)
    lists.add_argument("--json", action="store_true", help="one JSON line, in a terminal too")
    trains = _command(
        commands, "train", "work a run folder; one that was stopped or killed goes on from its checkpoint"
    )
    trains.add_argument("folder", type=Path, metavar="FOLDER", help="the folder with job.json")
    trains.add_argument(
        "--again", action="store_true", help="also where it has succeeded: its model and result are replaced"
    )
    _command(commands, "describe", "print a model's verbs and size as JSON, without loading it", model)
    score = _command(commands, "score", "score answers to one prompt; higher is better", model)
    score.add_argument("--prompt", required=True, metavar="TEXT", help="what the answers answer")
    score.add_argument(
        "--completion", action="append", required=True, metavar="TEXT", help="an answer; said again for each"
    )
    classify = _command(commands, "classify", "which labels fit texts: label and probability", model)
    embed = _command(commands, "embed", "texts as vectors", model)
    fills = _command(commands, "fill", "fill the gaps of texts; ___ stands for what is missing", model)
    for asked in (classify, embed, fills):
        asked.add_argument("--text", action="append", required=True, metavar="TEXT", help="a text; said again for each")
    fills.add_argument(
        "--n", type=int, default=1, metavar="N", help="so many ways to fill each; %(default)s by default"
    )
    answers = _command(commands, "answer", "answer a file of prompts", model)
    answers.add_argument("--prompts", type=Path, required=True, metavar="FILE", help="JSONL with id and prompt")
    answers.add_argument(
        "--out", type=Path, required=True, metavar="FILE",
        help="JSONL to write: the same lines with responses and sources",
    )  # fmt: skip
    answers.add_argument(
        "--temperature", type=float, action="append", metavar="T",
        help="one answer for each; 0 is greedy; 0.7 by default",
    )  # fmt: skip
    answers.add_argument(
        "--top-p", type=float, default=1.0, metavar="P", help="draw from the likeliest words that make up this share"
    )
    answers.add_argument(
        "--max-new-tokens", type=int, default=160, metavar="N", help="the longest answer; %(default)s by default"
    )
    answers.add_argument("--seed", type=int, default=0, help="of what is drawn; %(default)s by default")
    answers.add_argument(
        "--best-of",
        type=int,
        default=1,
        metavar="N",
        help="write N answers and keep the one that --judge scores highest",
    )
    answers.add_argument("--judge", metavar="MODEL", help="the model that scores: a finished run's model folder")
    serves = _command(commands, "serve", "keep a model warm: JSON requests on stdin, answers on stdout", model)
    serves.formatter_class, serves.epilog = argparse.RawDescriptionHelpFormatter, REQUESTS
    _for_authors(commands, opening)
    return top


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    words: str,
    *parents: argparse.ArgumentParser,
) -> argparse.ArgumentParser:
    return commands.add_parser(name, parents=parents, help=words, description=f"{words[0].upper()}{words[1:]}.")


def _for_authors(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", opening: argparse.ArgumentParser
) -> None:
    new = _command(commands, "new", "write a plugin package that works at once")
    new.add_argument("name", metavar="NAME", help="such as tide-judge")
    new.add_argument("--into", type=Path, default=Path(), metavar="DIR", help="folder to write it in; here by default")
    tried = _command(commands, "try", "train a plugin on a file, without the platform", opening)
    tried.add_argument(
        "what", metavar="PLUGIN",
        help="looked for in this order: an installed trainer or plugin, a module, a folder; with a slash or .py: a path",
    )  # fmt: skip
    tried.add_argument("--rows", type=Path, required=True, metavar="FILE", help="JSONL, one row a line")
    tried.add_argument(
        "--heldout", type=Path, metavar="FILE",
        help="JSONL to measure on; else a fifth of the groups of --rows, the same ones every time",
    )  # fmt: skip
    tried.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="one of its settings; said again for each"
    )
    tried.add_argument(
        "--model", action="append", default=[], metavar="ROLE=MODEL",
        help="the model in a role: a finished run's model folder, or a model string; said again for each",
    )  # fmt: skip
    tried.add_argument(
        "--out", type=Path, metavar="DIR",
        help="the run's folder, runs/TRAINER-N by default; again the same: go on from its last checkpoint",
    )  # fmt: skip
    tried.add_argument("--seed", type=int, default=0, help="of all that is random; %(default)s by default")


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if options.command is None:
        parser().print_help()
        return 0
    try:
        return COMMANDS[options.command](options)
    except TOLD as error:
        print(f"feinschliff: {error}", file=sys.stderr)
        return 2 if isinstance(error, NeedsNotMet) else 1
    except KeyboardInterrupt:
        print("feinschliff: interrupted", file=sys.stderr)
        return 130


def _list(options: argparse.Namespace) -> int:
    prepare()
    found = listed(options.plugin)
    words = sys.stdout.isatty() and not options.json
    print("\n".join(offers(found)) if words else json.dumps(found), flush=True)
    return 0


def _train(options: argparse.Namespace) -> int:
    if not options.folder.is_dir():
        raise RowError(f"{options.folder}: no such folder; nothing was done")
    return train(options.folder.resolve(), again=options.again)


def _describe(options: argparse.Namespace) -> int:
    prepare()
    registry = load(options.plugin, entry_points=False)
    known = Path(options.model).is_dir() or options.model.partition(":")[0] in registry.sources
    if not known:  # only then are third parties worth the time
        registry = load(options.plugin)
    opening = Opening(options.weights.resolve(), tuple(options.local_models))
    print(json.dumps(asdict(describe_model(options.model, opening, registry))), flush=True)
    return 0


def _opened(options: argparse.Namespace) -> AnyModel:
    prepare(online=options.model.startswith("hub:"))
    return open_for_work(
        options.model, plugins=options.plugin, weights=options.weights.resolve(), local_models=options.local_models
    )


def _score(options: argparse.Namespace) -> int:
    opened = _opened(options)
    if not hasattr(opened, "score"):
        raise ModelNotOpened(f"{options.model} cannot score")
    print(json.dumps({"scores": opened.score(options.prompt, options.completion)}), flush=True)
    return 0


def _texts(options: argparse.Namespace) -> int:
    """One of the verbs that ask nothing but texts."""
    verb, opened = options.command, _opened(options)
    if not hasattr(opened, verb):
        raise ModelNotOpened(f"{options.model} cannot {verb}; it can {', '.join(verbs_of(opened)) or 'nothing'}")
    found = getattr(opened, verb)(options.text, **({"n": options.n} if verb == "fill" else {}))
    name = {"classify": "labels", "embed": "vectors", "fill": "texts"}[verb]
    print(json.dumps({name: plain(found.tolist() if hasattr(found, "tolist") else found)}), flush=True)
    return 0


def _answer(options: argparse.Namespace) -> int:
    prompts = read_prompts(options.prompts)
    best_of = _best_of(options)
    answer(
        _opened(options),
        options.model,
        prompts,
        options.out,
        temperatures=options.temperature or [0.7],
        top_p=options.top_p,
        max_new_tokens=options.max_new_tokens,
        seed=options.seed,
        best_of=best_of,
    )
    if best_of:
        told = f"the best of {best_of.n}: at most {kl_bound(best_of.n):.2f} nats from the model's own answers"
        print(f"{told}, without any training", file=sys.stderr)
        if best_of.refused:
            told = f"{options.judge} left {best_of.refused} answers without a score ({best_of.why})"
            print(f"{told}; a smaller --max-new-tokens keeps them shorter", file=sys.stderr)
    return 0


def _best_of(options: argparse.Namespace) -> BestOf | None:
    """Who chooses, and of how many. ModelNotOpened or NotOneOf before anything is written."""
    if options.judge is None:
        if options.best_of == 1:
            return None
        raise ModelNotOpened(f"the best of {options.best_of} needs a model that scores: say --judge MODEL too")
    judge = argparse.Namespace(**{**vars(options), "model": options.judge})
    return BestOf(_opened(judge), options.best_of, name=options.judge)


def _serve(options: argparse.Namespace) -> int:
    opened = _opened(options)
    answers = sys.stdout
    sys.stdout = sys.stderr  # whatever a model prints must not stand between the answers
    serve(opened, sys.stdin, answers)
    return 0


def _new(options: argparse.Namespace) -> int:
    folder = start(options.name, options.into)
    print(f"{folder} is a plugin that works. Go on with:\n")
    print(f"    cd {shlex.quote(str(folder))}")
    print('    pip install -e ".[test]"\n    python -m pytest')
    print(f"    python -m feinschliff try {folder.name} --rows pairs.jsonl")
    return 0


def _try(options: argparse.Namespace) -> int:
    return try_out(
        Wish(
            what=options.what,
            rows=options.rows,
            heldout=options.heldout,
            settings=options.set,
            models=options.model,
            out=options.out,
            seed=options.seed,
            plugins=options.plugin,
            weights=options.weights,
            local_models=options.local_models,
        )
    )


COMMANDS = {
    "list": _list,
    "train": _train,
    "describe": _describe,
    "score": _score,
    "classify": _texts,
    "embed": _texts,
    "fill": _texts,
    "answer": _answer,
    "serve": _serve,
    "new": _new,
    "try": _try,
}


if __name__ == "__main__":
    sys.exit(main())

"""Models at work from the command line: score a few answers, answer a file of prompts, or stay warm behind a pipe.

`serve` answers one JSON request a line, so the site can keep a model loaded in a process of its own and never load
torch.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from feinschliff.best_of import BestOf, NotOneOf
from feinschliff.manager import Registry, load
from feinschliff.model import MODEL_FILE, AnyModel, ModelNotOpened, Opening, describe, open_model, verbs_of
from feinschliff.rows import RowError, check_row
from feinschliff.run import emit, plain

REQUESTS = """\
First it says what it can:   {"ready": true, "verbs": ["score"]}
A request is a JSON line:    {"id": 1, "verb": "score", "args": {"prompt": "...", "completions": ["...", "..."]}}
and is answered by one:      {"id": 1, "result": [0.3, -1.2]}   or   {"id": 1, "error": "what was wrong"}
`id` may be left out. `args` are the arguments of the verb by name; docs/plugins/reference.md has the verbs."""


def open_for_work(model: str, *, plugins: Sequence[str], weights: Path, local_models: Sequence[Path]) -> AnyModel:
    """The model behind a folder or a string, with the plugins named here and in the folder itself loaded."""
    about = describe(Path(model)) if (Path(model) / MODEL_FILE).exists() else {}
    wanted = list(plugins) + [name for name in about.get("plugins", []) if name not in plugins]
    named = about.get("entry_points")
    registry: Registry = load(wanted, entry_points=True if named is None else list(named))
    try:
        return open_model(model, Opening(weights=weights, local_models=tuple(local_models)), registry)
    except ModelNotOpened as error:
        refused = "; ".join(f"{refusal.plugin}: {refusal.reason}" for refusal in registry.refusals)
        raise ModelNotOpened(f"{error}" + (f". Refused plugins: {refused}" if refused else "")) from None


def serve(model: AnyModel, requests: TextIO, answers: TextIO) -> None:
    """Answer requests until the pipe ends. A bad request is answered with a sentence and the model stays up."""
    verbs = verbs_of(model)
    if callable(getattr(model, "score_details", None)):
        verbs.append("score_details")
    _say(answers, {"ready": True, "verbs": verbs})
    for line in requests:
        if line.strip():
            _say(answers, _answer(model, verbs, line))


def _answer(model: AnyModel, verbs: list[str], line: str) -> dict[str, Any]:
    number = None
    try:
        request = json.loads(line)
        if not isinstance(request, dict):
            raise ValueError("a request is a JSON object")
        number = request.get("id")
        verb, arguments = request.get("verb"), request.get("args", {})
        if verb is None:
            raise ValueError(
                f'a request says its verb, as in {{"verb": "{verbs[0] if verbs else "score"}", "args": {{...}}}}; '
                f"this model can {', '.join(verbs)}"
            )
        if verb not in verbs:
            raise ValueError(f"this model cannot {verb}; it can {', '.join(verbs)}")
        if not isinstance(arguments, dict):
            raise ValueError("args is a JSON object of named arguments")
        result = getattr(model, verb)(**arguments)
        return {"id": number, "result": plain(result.tolist() if hasattr(result, "tolist") else result)}
    except Exception as error:  # whatever one request does, the next must find the model warm
        return {
            "id": number,
            "error": f"{error}" if isinstance(error, ValueError) else f"{type(error).__name__}: {error}",
        }


def _say(answers: TextIO, value: dict[str, Any]) -> None:
    answers.write(json.dumps(value, ensure_ascii=True) + "\n")
    answers.flush()


def read_prompts(path: Path) -> list[dict[str, Any]]:
    """Lines with a `prompt`, as they are; RowError names the first that has none."""
    found: list[dict[str, Any]] = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RowError(f"{path}: cannot be read ({error})") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            check_row({"prompt": value["prompt"]}, ["prompt"])
            found.append(value)
        except (ValueError, KeyError, TypeError) as error:
            raise RowError(f"{path.name}, line {number}: no usable prompt ({error}); nothing was written") from None
    return found


def answer(
    model: AnyModel,
    name: str,
    prompts: list[dict[str, Any]],
    out: Path,
    *,
    temperatures: Sequence[float],
    top_p: float,
    max_new_tokens: int,
    seed: int,
    batch: int = 32,
    best_of: BestOf | None = None,
) -> None:
    """One answer a temperature for every prompt, written beside it. Prompts of like length share a batch.

    With `best_of` each is the best of several; `scores` are then the judge's of the answers, `best_of` how many each was
    chosen from.
    """
    if "generate" not in verbs_of(model):
        raise ModelNotOpened(f"{name} cannot generate; it can {', '.join(verbs_of(model)) or 'nothing'}")
    if best_of and best_of.n > 1 and 0 in temperatures:
        raise NotOneOf("at temperature 0 all answers are the same, and there is no best one; nothing was written")
    order = sorted(range(len(prompts)), key=lambda place: len(str(prompts[place]["prompt"])))
    written: list[list[str]] = [[] for _ in prompts]
    scores: list[list[float | None]] = [[] for _ in prompts]
    total, done = len(order) * len(temperatures), 0
    batch = max(1, batch // best_of.n) if best_of else batch
    for turn, temperature in enumerate(temperatures):
        asked: dict[str, Any] = {"max_new_tokens": max_new_tokens, "temperature": temperature, "top_p": top_p}
        for start in range(0, len(order), batch):
            places = order[start : start + batch]
            asked["seed"] = seed + 1_000_003 * turn + start
            together = [prompts[place]["prompt"] for place in places]
            if best_of:
                for place, best in zip(places, best_of.write(model, together, **asked), strict=True):
                    written[place].append(best.text)
                    scores[place].append(plain(best.score))
            else:
                for place, texts in zip(places, model.generate(together, n=1, **asked), strict=True):
                    written[place].append(texts[0])
            done += len(places)
            emit("progress", done=done, total=total)
    chosen = f" best of {best_of.n} by {best_of.name}" if best_of else ""
    told = {"sources": [f"{name} T={temperature:g}{chosen}" for temperature in temperatures]}
    draft = out.with_name(f".{out.name}.draft")
    with draft.open("w", encoding="utf-8") as file:
        for prompt, responses, scored in zip(prompts, written, scores, strict=True):
            line = {**prompt, "responses": responses, **told}
            line |= {"scores": scored, "best_of": best_of.n} if best_of else {}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    draft.replace(out)

"""From a model string to a folder of safetensors, and from the folder to a model with verbs.

`package:` finds weights inside an installed package without importing it; GGUF weights are converted once into the
weights cache, under a lock and renamed into place when complete. `local:` stays under the operator's allow-list.
"""

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from feinschliff.model import ModelNotOpened, Opening
from plugins.lib.verbs import CausalModel, EncoderModel
from plugins.lib.weights import check_folder


def open_tiny(ref: str, opening: Opening) -> "EncoderModel | CausalModel":
    from plugins.base_models.tiny import BUILDERS, VERSION

    kind = ref.partition(":")[2]
    if kind not in BUILDERS:
        raise ModelNotOpened(f"{ref}: there is {' and '.join('tiny:' + name for name in BUILDERS)}")
    return of_folder(_made_once(opening.weights / f"tiny-{kind}-{VERSION}", BUILDERS[kind]), opening)


def open_package(ref: str, opening: Opening) -> "EncoderModel | CausalModel":
    name = ref.partition(":")[2]
    spec = find_spec(name.replace("-", "_")) if name.replace("-", "_").isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ModelNotOpened(f"{ref}: the package {name!r} is not installed; see requirements-weights.txt")
    home = Path(next(iter(spec.submodule_search_locations)))
    folders = sorted({path.parent for path in home.rglob("*.safetensors") if (path.parent / "config.json").is_file()})
    if folders:
        return of_folder(folders[0], opening)
    quantised = sorted(home.rglob("*.gguf"))
    if not quantised:
        raise ModelNotOpened(f"{ref}: the package holds neither safetensors nor GGUF weights")
    return of_folder(_made_once(opening.weights / name, lambda draft: _convert(quantised[0], draft)), opening)


def open_local(ref: str, opening: Opening) -> "EncoderModel | CausalModel":
    return of_folder(local_folder(ref, opening), opening)


def local_folder(ref: str, opening: Opening) -> Path:
    """The folder that `local:` names, below one that the operator allows. Raises ModelNotOpened."""
    folder = Path(ref.partition(":")[2]).expanduser().resolve()
    allowed = [path.resolve() for path in opening.local_models]
    if not any(folder.is_relative_to(path) for path in allowed):
        raise ModelNotOpened(
            f"{ref}: not under a folder that the operator allows; "
            f"allowed (FEINSCHLIFF_LOCAL_MODELS): {', '.join(map(str, allowed)) or 'none'}"
        )
    return folder


def open_hub(ref: str, opening: Opening) -> "EncoderModel | CausalModel":
    from huggingface_hub import snapshot_download

    name = ref.partition(":")[2]
    try:
        folder = snapshot_download(
            name,
            cache_dir=opening.weights / "hub",
            allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"],
        )
    except Exception as error:  # the hub's client raises a dozen kinds; a person needs one sentence
        raise ModelNotOpened(f"{ref}: cannot be fetched from the hub ({type(error).__name__}: {error})") from None
    return of_folder(Path(folder), opening)


def of_folder(folder: Path, opening: Opening) -> "EncoderModel | CausalModel":
    """The model in a folder: one that writes if its config names a causal architecture, else an encoder."""
    check_folder(folder)
    causal = is_causal(read_config(folder))
    return CausalModel(folder, opening.device) if causal else EncoderModel(folder, opening.device)


def read_config(folder: Path) -> dict[str, Any]:
    """What config.json says. Raises ModelNotOpened."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelNotOpened(f"{folder / 'config.json'}: not readable as JSON ({error})") from None
    return config if isinstance(config, dict) else {}


def is_causal(config: dict[str, Any]) -> bool:
    return any("CausalLM" in name or "LMHead" in name for name in config.get("architectures") or [])


def _made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """The folder, made by the first process that needs it while others wait; never seen half-made."""
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(f".{folder.name}.lock")):
        if not folder.is_dir():
            draft = folder.with_name(f".{folder.name}.draft")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            make(draft)
            draft.rename(folder)
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _convert(gguf: Path, draft: Path) -> None:
    """GGUF weights, dequantised to float32 safetensors, with a pad token that is not the end of text."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    )
    if tokenizer.pad_token_id in (None, tokenizer.eos_token_id):
        known = tokenizer.get_vocab()
        tokenizer.pad_token = next(name for name in ("<|endoftext|>", "<pad>", "<unk>") if name in known)
    model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.pad_token_id
    tokenizer.save_pretrained(draft)
    model.save_pretrained(draft, safe_serialization=True)

"""What the base models here can and how large they are, told without loading them: for the check before a launch.

Config and weight headers are read; a GGUF file tells by its tensor list. What is not on this machine yet is unknown.
"""

import struct
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from feinschliff.describing import UNKNOWN, bytes_of, count_parameters
from feinschliff.model import ModelAbout, ModelNotOpened, Opening
from plugins.base_models import tiny
from plugins.base_models.opening import is_causal, local_folder, read_config
from plugins.lib.weights import check_folder

ENCODER, CAUSAL = ("embed",), ("generate", "embed")
FLOAT = 4  # bytes of a weight, as it is saved and trained
#: bytes of GGUF's plain value types by their number; 8 is a text, 9 an array
GGUF_PLAIN = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
GGUF_TEXT, GGUF_ARRAY = 8, 9


def describe_tiny(ref: str, opening: Opening) -> ModelAbout:
    kind = ref.partition(":")[2]
    if kind not in tiny.BUILDERS:
        raise ModelNotOpened(f"{ref}: there is {' and '.join('tiny:' + name for name in tiny.BUILDERS)}")
    made = opening.weights / f"tiny-{kind}-{tiny.VERSION}"
    if made.is_dir():
        return _of_folder(made)
    parameters = tiny.PARAMETERS[kind]
    return ModelAbout(CAUSAL if kind == "causal" else ENCODER, parameters, FLOAT * parameters)


def describe_package(ref: str, opening: Opening) -> ModelAbout:
    name = ref.partition(":")[2]
    spec = find_spec(name.replace("-", "_")) if name.replace("-", "_").isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ModelNotOpened(f"{ref}: the package {name!r} is not installed; see requirements-weights.txt")
    if (opening.weights / name).is_dir():
        return _of_folder(opening.weights / name)
    home = Path(next(iter(spec.submodule_search_locations)))
    for weights in sorted(home.rglob("*.safetensors")):
        if (weights.parent / "config.json").is_file():
            return _of_folder(weights.parent)
    for quantised in sorted(home.rglob("*.gguf")):
        parameters = gguf_parameters(quantised)
        return ModelAbout(CAUSAL, parameters, FLOAT * parameters)  # as large as it is after it was converted
    raise ModelNotOpened(f"{ref}: the package holds neither safetensors nor GGUF weights")


def describe_local(ref: str, opening: Opening) -> ModelAbout:
    return _of_folder(local_folder(ref, opening))


def describe_hub(ref: str, opening: Opening) -> ModelAbout:
    """Known once it was fetched; looking goes nowhere."""
    kept = opening.weights / "hub" / f"models--{ref.partition(':')[2].replace('/', '--')}" / "snapshots"
    fetched = [folder for folder in kept.glob("*") if any(folder.glob("*.safetensors"))]
    return _of_folder(max(fetched, key=lambda folder: folder.stat().st_mtime)) if fetched else UNKNOWN


def _of_folder(folder: Path) -> ModelAbout:
    check_folder(folder)
    verbs = CAUSAL if is_causal(read_config(folder)) else ENCODER
    return ModelAbout(verbs, count_parameters(sorted(folder.glob("*.safetensors"))), bytes_of(folder))


def gguf_parameters(path: Path) -> int:
    """Numbers in a GGUF file (github.com/ggml-org/ggml, docs/gguf.md), by its list of tensors. Raises ModelNotOpened."""
    with path.open("rb") as file:
        try:
            magic, version, tensors, pairs = struct.unpack("<4sIQQ", file.read(24))
            if magic != b"GGUF" or version not in (2, 3):
                raise ModelNotOpened(f"{path}: no GGUF file of version 2 or 3")
            for _ in range(pairs):
                _text(file)
                _skip_value(file, *struct.unpack("<I", file.read(4)))
            total = 0
            for _ in range(tensors):
                _text(file)
                (dimensions,) = struct.unpack("<I", file.read(4))
                size = 1
                for length in struct.unpack(f"<{dimensions}Q", file.read(8 * dimensions)):
                    size *= length
                file.seek(12, 1)  # type and offset
                total += size
            return total
        except (struct.error, KeyError):
            raise ModelNotOpened(f"{path}: its GGUF header cannot be read; install its package again") from None


def _text(file: BinaryIO) -> None:
    (length,) = struct.unpack("<Q", file.read(8))
    file.seek(length, 1)


def _skip_value(file: BinaryIO, kind: int) -> None:
    if kind == GGUF_TEXT:
        return _text(file)
    if kind != GGUF_ARRAY:
        file.seek(GGUF_PLAIN[kind], 1)
        return None
    inner, count = struct.unpack("<IQ", file.read(12))
    if inner in GGUF_PLAIN:
        file.seek(GGUF_PLAIN[inner] * count, 1)
        return None
    for _ in range(count):
        _skip_value(file, inner)
    return None

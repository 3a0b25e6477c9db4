"""What the numbers of a comparative ranking run mean, in the order in which they are best read."""

from feinschliff import Explained
from plugins.lib.explained import LEARNING, WRITING, shared

EXPLAINS = {
    "accuracy": Explained(
        title="Comparisons it agrees with",
        description="Share of held-out comparisons in which training made the answer likelier that people ranked higher, "
        "against the other one. It says what was learned, not how well it writes. A coin gets 0.5.",
        better="higher",
    ),
    **shared("tau", "gain", "winrate"),
    "reward": Explained(
        title="Reward by its own measure", description="How much likelier training made an answer, times beta."
    ),
    **shared("kl", *WRITING, *LEARNING),
    "rankings": Explained(title="Rankings", description="How many there were, by what became of them."),
    "answers": Explained(title="Answers", description="How many there were, by what became of them."),
}

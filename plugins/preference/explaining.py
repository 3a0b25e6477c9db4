"""What the numbers of the preference methods mean, in the order in which they are best read."""

from feinschliff import Explained
from plugins.lib.explained import LEARNING, WRITING, shared

AGREES = Explained(
    title="Comparisons it agrees with",
    description="Share of held-out comparisons in which training made the answer likelier that people preferred, against the "
    "other one. It says what was learned, not how well it writes. A coin gets 0.5.",
    better="higher",
)
IMPLICIT = Explained(
    title="Reward by its own measure",
    description="How much likelier training made an answer, times beta. Watch the preferred ones: where theirs falls too, only "
    "the distance grows.",
)
DPO = {
    "accuracy": AGREES,
    **shared("gain", "margin"),
    "reward": IMPLICIT,
    "logp": Explained(
        title="Log-probability",
        description="Of whole answers, on average, in nats. Where that of preferred answers falls far, it unlearns to write.",
    ),
    **shared(*WRITING, *LEARNING),
}
KTO = {
    **shared("auc", "margin"),
    "reward": IMPLICIT,
    "kl": Explained(
        title="Distance from the base (KL)", description="KTO's estimate from a batch: what an answer is held against."
    ),
    **shared(*WRITING, *LEARNING),
}
ONLINE = {
    "reward": Explained(
        title="Reward",
        description="The reward model's score of its answers. More is what it is trained for, and no proof that people like "
        "it better.",
    ),
    "reward/spread": Explained(
        title="Spread of rewards", description="Among the answers to one prompt; near 0 there is nothing to learn from."
    ),
    "reward/all-equal": Explained(
        title="Prompts that teach nothing", description="Share whose answers all got the same reward.", better="lower"
    ),
    **shared("winrate", "kl"),
    "entropy": Explained(
        title="Entropy", description="How undecided it is at each token, in nats; towards 0 it always writes the same."
    ),
    "length/tokens": Explained(title="Length of answers", description="In tokens, on average."),
    "length/unended": Explained(
        title="Answers cut off", description="Share that did not end within the longest answer.", better="lower"
    ),
    **shared("score", "length", "texts/changed", "tokens", *LEARNING),
}

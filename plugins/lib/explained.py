"""What the numbers of the built-in trainers mean, in a title and a sentence for whoever reads a run's page.

A trainer names in its record what it tells, the most telling first: `explains={"order": Explained(...)} | shared("loss")`.
What stands here means the same at every trainer; what one alone tells, or tells otherwise, it explains itself.
"""

from feinschliff import Explained

SHARED = {
    "accuracy": Explained(
        title="Comparisons it gets right",
        description="Of two held-out answers to a prompt it prefers the one that people preferred. A coin gets 0.5.",
        better="higher",
    ),
    "macro-f1": Explained(
        title="Macro-F1",
        description="How well it finds each label and nothing but it (F1), averaged over the labels: rare ones count as much.",
        better="higher",
    ),
    "tau": Explained(
        title="Agreement of the orders (Kendall's tau)",
        description="1: it puts the answers to a prompt in people's order; 0: no connection; -1: the reverse.",
        better="higher",
    ),
    "gain": Explained(
        title="Gain over a baseline",
        description="By how much it is better than a simple rule on the very same rows; above 0 with its interval is evidence.",
        better="higher",
    ),
    "winrate": Explained(
        title="How often its new texts win",
        description="Share of prompts to which a judge prefers what it writes after training. Draws count one half.",
        better="higher",
    ),
    "loss": Explained(
        title="Loss",
        description="What training makes small. Where it falls on training rows and rises on held-out ones, it learns by heart.",
        better="lower",
    ),
    "perplexity": Explained(
        title="Perplexity",
        description="Among how many words it is undecided at each word, on average: e to the power of the loss.",
        better="lower",
    ),
    "ece": Explained(
        title="Calibration error",
        description="How far its certainty is from how often it is right: of ten cases that it calls 0.8 sure, eight should be.",
        better="lower",
    ),
    "brier": Explained(
        title="Brier score",
        description="Squared distance of its certainty from what was true; always saying one half of two gives 0.25.",
        better="lower",
    ),
    "auc": Explained(
        title="Good ones above bad ones",
        description="How often a good answer gets more than a bad one (area under the ROC curve). A coin gets 0.5.",
        better="higher",
    ),
    "error": Explained(
        title="Error",
        description="Root of the mean squared distance from people's ratings, in their unit.",
        better="lower",
    ),
    "margin": Explained(
        title="Margin",
        description="How far apart it holds better and worse answers. It grows without end while a model learns by heart.",
    ),
    "reward": Explained(
        title="Reward", description="What training makes large: the score that the reward model gives to its answers."
    ),
    "kl": Explained(
        title="Distance from where it started (KL)",
        description="How much more likely, in nats an answer, its texts are to it than to the model it started from.",
    ),
    "score": Explained(title="Score", description="What the judge gives to its texts before and after training."),
    "length": Explained(
        title="Length", description="Of the texts it writes, in characters where nothing else is said."
    ),
    "tokens": Explained(
        title="Tokens", description="Pieces of words that a model reads and writes; a word has one to three."
    ),
    "texts/changed": Explained(
        title="Texts that changed",
        description="Share of prompts to which it writes something else than before training.",
    ),
    "agreement": Explained(
        title="People's agreement", description="How often single annotators say what all of them together say."
    ),
    "speed": Explained(title="Speed", description="Tokens that it learned from in a second."),
    "learning-rate": Explained(
        title="Learning rate", description="How far a step goes at most; a schedule raises it first, then lowers it."
    ),
    "steps": Explained(title="Steps", description="Updates of the weights."),
    "rows": Explained(title="Rows", description="How many rows there were, by what became of them."),
    "pairs": Explained(title="Comparisons", description="How many comparisons of two answers there were."),
    "prompts": Explained(title="Prompts", description="How many different prompts there were."),
    "groups": Explained(
        title="Groups", description="What stays on one side of the split: usually all rows of one prompt."
    ),
}
LEARNING = ("loss", "learning-rate", "speed", "steps", "rows", "pairs", "prompts", "groups")
WRITING = ("winrate", "score", "length", "texts/changed", "tokens")


def shared(*names: str) -> dict[str, Explained]:
    """What these names mean everywhere, in this order."""
    return {name: SHARED[name] for name in names}

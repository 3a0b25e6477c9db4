"""What the numbers of the self-supervised methods mean, in the order in which they are best read."""

from feinschliff import Explained
from plugins.lib.explained import shared

_PARTS = {
    "parts": Explained(title="Parts of texts", description="Long texts are read in parts that the model can hold."),
    **shared("tokens", "learning-rate", "steps", "rows", "groups"),
}
MASKED = {
    "perplexity": Explained(
        title="Perplexity of hidden tokens",
        description="Among how many tokens it is undecided at each hidden one, on held-out text: e to the power of the loss.",
        better="lower",
    ),
    "accuracy": Explained(
        title="Hidden words it guesses",
        description="Share of hidden words that it names first, on held-out text.",
        better="higher",
    ),
    "gain": Explained(
        title="Gain over a baseline",
        description="By how many nats a hidden token it guesses better, on the very same ones; above 0 with its interval is "
        "evidence.",
        better="higher",
    ),
    "order": Explained(
        title="Order of sentences",
        description="How often it knows which of two neighbours comes first. A coin gets 0.5.",
        better="higher",
    ),
    **shared("loss"),
    "weights": Explained(
        title="Fresh weights", description="How many of its head had to begin anew, since the base has none."
    ),
    **_PARTS,
}
CONTEXTUAL = {
    "loss": Explained(
        title="Loss in the gaps",
        description="How unlikely, in nats a token, it finds what stands in a held-out gap; left-only: without what follows.",
        better="lower",
    ),
    "loss/writing": Explained(
        title="Loss of plain writing",
        description="On held-out text read from left to right: it should not rise.",
        better="lower",
    ),
    "exact": Explained(
        title="Words it puts back exactly",
        description="Share of one-word gaps that it fills with the very word and nothing more; left-only: what it writes begins "
        "with it.",
        better="higher",
    ),
    "gain": Explained(
        title="Gain",
        description="By how many nats a token the gap is likelier: with both sides than with the left, and than before training.",
        better="higher",
    ),
    **shared("texts/changed", "length"),
    "gaps": Explained(title="Gaps", description="How many were measured on."),
    **_PARTS,
}
CONTRASTIVE = {
    "mrr": Explained(
        title="Finds what belongs together (MRR)",
        description="One divided by the place at which a text's partner is found among all held-out ones, averaged: 1 is always "
        "first.",
        better="higher",
    ),
    "recall-1": Explained(
        title="Found at once", description="Share of texts whose partner stands first.", better="higher"
    ),
    "recall-10": Explained(
        title="Found among ten", description="Share whose partner is among the first ten.", better="higher"
    ),
    "gain": Explained(
        title="Gain over a baseline",
        description="By how much its MRR is higher on the very same texts; above 0 with its interval is evidence.",
        better="higher",
    ),
    "alignment": Explained(
        title="Alignment",
        description="How far apart what belongs together lies, squared (Wang and Isola 2020).",
        better="lower",
    ),
    "uniformity": Explained(
        title="Uniformity",
        description="How evenly all texts are spread; near 0 they all lie in one place.",
        better="lower",
    ),
    "accuracy": Explained(
        title="Best answer nearer than a lower one",
        description="Of the best and a lower-ranked held-out answer, how often the best lies nearer the prompt. A coin gets 0.5.",
        better="higher",
    ),
    "rows/alone-in-batch": Explained(
        title="Examples left alone",
        description="How many an epoch had nothing to be told apart from, and were not learned from.",
        better="lower",
    ),
    **shared("loss", "speed", "learning-rate", "steps", "rows", "groups"),
    "batch": Explained(
        title="Batches", description="Rows in one, on average: each is told apart from all others in it."
    ),
    "examples": Explained(title="Examples", description="What belongs together, made of the rows."),
    "queries": Explained(title="Texts that looked", description="Held-out texts whose partner was looked for."),
}

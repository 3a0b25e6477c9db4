"""What the numbers of a PPO run mean, in the order in which they are best read."""

from feinschliff import Explained
from plugins.lib.explained import shared

EXPLAINS = {
    "reward": Explained(
        title="Reward",
        description="The reward model's score of its answers, in standard deviations of what the reference gets (mean 0), less "
        "the price of its doubt where that is set. "
        "More is what it is trained for, and no proof that people like it better.",
    ),
    "reward/raw": Explained(title="Reward as scored", description="Before it was shifted and scaled."),
    "reward/disagreement": Explained(
        title="Disagreement of the reward model's heads",
        description="Their standard deviation about an answer, in units of the score, on average. Where it grows, the policy "
        "writes what the reward model never learned to judge.",
        better="lower",
    ),
    "reward/after-kl": Explained(
        title="Reward less the price of KL",
        description="What is really made large: the reward less beta times the distance.",
    ),
    "reward/spread": Explained(
        title="Spread of rewards", description="Standard deviation in a batch; near 0 there is nothing to learn from."
    ),
    "reward/reference": Explained(
        title="Reward of the reference, at the end",
        description="Its answers scored once more: about 0, or the normalisation was off; lower by the price of the reward "
        "model's doubt where that is set.",
    ),
    **shared("winrate"),
    "kl": Explained(
        title="Distance from the reference (KL)",
        description="How much more likely, in nats an answer, its answers are to it than to the reference.",
    ),
    "kl/beta": Explained(
        title="Price of KL (beta)", description="What a nat of distance costs; steered where a KL is aimed at."
    ),
    "answers/ended": Explained(
        title="Answers that ended",
        description="Share that came to an end within the longest answer. Those that did not get a fixed score or a penalty.",
        better="higher",
    ),
    "answers/tokens": Explained(title="Length of answers", description="In tokens, on average."),
    "answers/drift": Explained(
        title="Distance of vLLM from the policy",
        description="How far the log-probabilities that vLLM wrote by lie from the policy's own, in nats a token: about 0, or it "
        "writes by other weights. Only where vLLM writes.",
        better="lower",
    ),
    "answers/writer": Explained(title="What wrote the answers", description="vLLM, or our own engine."),
    "update/first-drift": Explained(
        title="Drift before the first update",
        description="How far the probabilities that learning starts from differ from those of sampling: about 0 if they agree.",
        better="lower",
    ),
    "update/clipped": Explained(
        title="Clipped", description="Share of tokens whose update was held back; a few in a hundred are usual."
    ),
    "update/value-clipped": Explained(
        title="Clipped values", description="Share of the critic's updates that were held back."
    ),
    "update/kl": Explained(
        title="Distance within a batch", description="How far the policy moved over a batch's updates, a token."
    ),
    "update/ratio-max": Explained(
        title="Largest ratio",
        description="How many times more probable the most changed token became over a batch's updates.",
    ),
    "update/taken": Explained(
        title="Updates taken", description="Of those asked for; fewer where a batch moved too far."
    ),
    "policy/entropy": Explained(
        title="Entropy", description="How undecided it is at each token, in nats; towards 0 it always writes the same."
    ),
    "critic/explained": Explained(
        title="Explained by the critic",
        description="Share of the variance of returns that the critic foresees: 1 is perfect, below 0 is worse than a constant.",
        better="higher",
    ),
    "critic/value": Explained(title="The critic's estimate", description="The return that it expects, on average."),
    "critic/spread": Explained(title="Spread of the critic's estimates", description="Their standard deviation."),
    "critic/origin": Explained(
        title="What the critic began as", description="The reward model's network, or the base's."
    ),
    "accuracy/preferences": Explained(
        title="Agreement with people's preferences",
        description="Share of held-out comparisons in which it finds the answer likelier, against the reference, that people "
        "preferred. Falling while the reward rises: it learns to please the reward model alone.",
        better="higher",
    ),
    "loss/policy": Explained(title="Loss of the policy", description="It need not fall: each batch is another."),
    "loss/value": Explained(title="Loss of the critic", description="Squared error of its estimates."),
    "loss/imitation": Explained(
        title="Loss on the demonstrations", description="How unlikely it finds what people wrote."
    ),
    "episodes": Explained(title="Answers in all", description="Sampled and learned from."),
    "batches": Explained(title="Batches", description="Rounds of sampling, each followed by updates."),
    **shared("score", "length", "texts/changed", "tokens", "learning-rate", "pairs", "prompts", "groups"),
}

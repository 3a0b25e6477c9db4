"""Does it write better-ranked answers? What it writes to held-out prompts before and after, judged, and how far it has moved.

The judge is a reward model where one was given. Without one the policy's own reward decides, which says no more than that the
policy has moved to where its own rankings point: its win rate bears the name `own-reward`, and the page says so.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from feinschliff import Run
from plugins.comparative_ranking.rewards import Answers, quiet
from plugins.lib.adapters import base_alone, has_lora
from plugins.lib.before_after import compare
from plugins.lib.encoding import Encoded
from plugins.lib.policies import policy_from
from plugins.lib.probing import Probe, read_back

if TYPE_CHECKING:
    import torch

AT_ONCE = 8
OWN = "own-reward"
K3 = "kl/reference/k3: how far an answer lies from what the base would write, in nats; 0 is not at all."
Numbers = dict[str, float | None]
Texts = Sequence[Sequence[int]]  # one a prompt, as tokens


def compared(run: Run, answers: Answers, probe: Probe, before: Texts, base: Path) -> Numbers:
    """Writes again, shows both on the run's page, and gives the numbers; nothing where no prompt was chosen."""
    if not probe.prompts:
        return {}
    after = [one.ids for one in probe.written(answers.policy)]
    old, new = _behind(probe, before), _behind(probe, after)
    temperature = probe.settings.sample_temperature
    moved = _moved(run, answers, [*old, *new], base)
    drift: list[dict[str, float]] = [{} for _ in new]
    kl: Numbers = {}
    if temperature:  # the likeliest token each time is no sample, and nothing can be estimated from it
        estimates = _divergence(run, answers, new, base, temperature)
        drift = [{"kl/reference/k3": k3} for _, k3 in estimates]  # of one answer, k1 may well be negative
        kl = {
            "kl/reference": sum(k1 for k1, _ in estimates) / len(estimates),
            "kl/reference/k3": sum(k3 for _, k3 in estimates) / len(estimates),
        }
    judge = run.model("judge")
    texts = [[read_back(answers.policy, ids) for ids in side] for side in (before, after)]
    own = iter(list(zip(moved[: len(old)], moved[len(old) :], strict=True)))

    def by_own_reward(_prompt: object, _texts: Sequence[str]) -> tuple[float, float]:
        return next(own)  # asked once a prompt, in order

    numbers = compare(
        run,
        probe.prompts,
        *texts,
        score=judge.score if judge is not None else by_own_reward,
        groups=probe.groups,
        each=drift,
        judge="judge" if judge is not None else OWN,
        note=K3 if kl else "",
    )
    return {**numbers, **kl, "tokens/before": _mean_length(before), "tokens/after": _mean_length(after)}


def _mean_length(texts: Texts) -> float:
    return sum(map(len, texts)) / len(texts)


def _behind(probe: Probe, texts: Texts) -> list[Encoded]:
    return [
        Encoded([*prompt, *ids], [0] * len(prompt) + [1] * len(ids), cut=False)
        for prompt, ids in zip(probe.ids, texts, strict=True)
    ]


def _moved(run: Run, answers: Answers, sequences: Sequence[Encoded], base: Path) -> list[float]:
    """The policy's own reward of each answer."""
    now = [value for part in _parts(answers, sequences, 1.0) for value in part.sum(-1).tolist()]
    with _as_base(run, answers, base) as reference:
        then = [value for part in _parts(reference, sequences, 1.0) for value in part.sum(-1).tolist()]
    counts = [sum(one.types) if answers.config.per_token else 1 for one in sequences]
    return [answers.config.beta * (a - b) / count for a, b, count in zip(now, then, counts, strict=True)]


def _divergence(
    run: Run, answers: Answers, sequences: Sequence[Encoded], base: Path, temperature: float
) -> list[tuple[float, float]]:
    """KL(policy || base) of each answer as a whole, in nats, estimated on the policy's own samples, both under the temperature
    these were drawn with. k1 is the plain log-ratio, unbiased; k3 has less variance and is never negative (Schulman 2020)."""
    import torch

    now = list(_parts(answers, sequences, temperature))
    with _as_base(run, answers, base) as reference:
        then = list(_parts(reference, sequences, temperature))
    found: list[tuple[float, float]] = []
    for own, other in zip(now, then, strict=True):
        ratio = own - other
        found += zip(ratio.sum(-1).tolist(), (torch.expm1(-ratio) + ratio).sum(-1).tolist(), strict=True)
    return found


def _parts(answers: Answers, sequences: Sequence[Encoded], temperature: float) -> "Iterator[torch.Tensor]":
    """Log-probabilities of the answers' tokens, a few answers at a time; zero behind an answer's end."""
    for start in range(0, len(sequences), AT_ONCE):
        with quiet(answers.policy.model):
            found = answers.engine.logps(sequences[start : start + AT_ONCE], temperature)[0].double()
        yield found


@contextmanager
def _as_base(run: Run, answers: Answers, base: Path) -> Iterator[Answers]:
    """The same questions put to the base: the policy without its adapters, or its folder opened once more."""
    if has_lora(answers.policy.model):
        with base_alone(answers.policy.model):
            yield answers
        return
    policy = policy_from(base, seed=run.seed, device=run.device, max_length=answers.policy.longest)
    yield Answers(policy, answers.config)

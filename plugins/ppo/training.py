"""Proximal policy optimisation from a reward model: sample, judge, learn, again (Schulman et al. 2017; Ouyang et al. 2022).

Read from top to bottom: measure the reference, then batches of experience and rounds of updates, with looks in between;
in the end the same prompts are answered again and laid beside the answers from before. Every detail that is known to matter
is numbered in docs/methods/ppo.md, with its source. Departs from TRL and summarize-from-feedback in adding the score at EOS
itself (18), in masking every metric (19), and in resuming exactly (32): what a step draws is told by the seed and the
step's number, never by a stream of random numbers that would have to be wound back.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from feinschliff import Run
from feinschliff.rows import prompt_text
from plugins.lib.before_after import compare
from plugins.lib.prompts import Asked, Order
from plugins.lib.stepping import load_state, save_state
from plugins.ppo.alarms import Alarm, Alarms
from plugins.ppo.cast import Cast, opened
from plugins.ppo.controlling import AdaptiveKL, Controller, FixedKL
from plugins.ppo.experience import Judged, calibrate, experience, judged, kl_of
from plugins.ppo.imitating import imitation
from plugins.ppo.preferences import Preferences
from plugins.ppo.rewarding import Normaliser, Prompt, mean_and_spread, normaliser, scored
from plugins.ppo.telling import Batches, unended, warnings
from plugins.ppo.updating import Round, Updater, learning_rate

CHECKPOINT_EVERY_S = 120
WATCHED = 3  # prompts whose answers are shown again and again
PLOTTED = 500
NOTE = (
    "score: what the judge says; reward: what was learned from, the reward model's score in standard deviations of the "
    "reference's, or what an answer without an end gets; kl/k3: how far an answer lies from what the reference would write, "
    "in nats (0: not at all)."
)


def train(run: Run) -> dict[str, Any]:
    """The trainer's door: returns the final numbers, or nothing when it was asked to stop on the way."""
    loop = Loop(run, opened(run))
    if not loop.work():
        return {}
    return loop.finish()


class Loop:
    """The optimisation. What the next step depends on is in `_place`, the trained weights and the optimisers' moments."""

    def __init__(self, run: Run, cast: Cast) -> None:
        config = run.config
        self.run, self.cast, self.config = run, cast, config
        size = sum(weight.numel() for weight in cast.policy.model.parameters())
        rate = config.learning_rate or learning_rate(size, lora=bool(config.lora_rank))
        imitated = imitation(cast.policy, run.rows("train"), weight=config.ptx, micro_batch=config.micro_batch)
        self.rate = rate
        self.updater = Updater(
            cast, config, rate=rate, critic_rate=config.critic_learning_rate or rate, imitation=imitated
        )
        self.control: Controller = (
            AdaptiveKL(config.beta, config.kl_target, config.kl_horizon) if config.kl_target else FixedKL(config.beta)
        )
        self.order = Order(len(cast.prompts), run.seed)
        self.preferences = Preferences(cast, run.rows("heldout"), config)
        self.iteration = 0
        self.normalise = Normaliser()
        self.alarms = Alarms(config.kl_budget, config.length_factor, config.preference_drop, 0.0, 0.0)
        self.fired: Alarm | None = None
        self.before: dict[str, Any] = {}
        self.last: dict[str, float | None] = {}
        self.batches = Batches()

    @property
    def shown(self) -> list[Asked]:
        """The prompts that are answered before and after: held out, or where there are none those trained on."""
        return (self.cast.heldout or self.cast.prompts)[: self.config.compared]

    # the loop

    def work(self) -> bool:
        """All batches from the last checkpoint on; False when asked to stop before the end."""
        run, total = self.run, self.config.iterations
        if not self._resume():
            run.state("evaluating", "before training")
            self._measure_reference()
        run.state("training", unended(self.alarms.reference_ended, self.config, "the reference's answers") or "")
        looks = {round(total * (look + 1) / self.config.evaluations) for look in range(self.config.evaluations)}
        saved = time.monotonic()
        while self.iteration < total and not self.fired:
            if run.stopping or not self._batch():
                self._save()
                return False
            if self.iteration in looks and not self.fired:
                self._look()
            run.progress(self.iteration, total)
            if time.monotonic() - saved > CHECKPOINT_EVERY_S or self.iteration % max(1, total // 4) == 0:
                self._save()
                saved = time.monotonic()
        if self.fired:
            run.state("training", self.fired.said(self.iteration, total))
        return not run.stopping

    def _batch(self) -> bool:
        """One batch: sample, judge, learn. False, with nothing learned, when asked to stop meanwhile."""
        config, number = self.config, self.iteration
        prompts = config.batch // config.answers
        places = [place for place in self.order.at(number * prompts, prompts) for _ in range(config.answers)]
        found = judged(
            self.cast.policy.model,
            self.cast,
            [self.cast.prompts[place] for place in places],
            self.normalise,
            config=config,
            key=f"{self.run.seed}/answers/{number}",
        )
        if self.run.stopping:
            return False
        learned = experience(self.cast, found, beta=self.control.beta, config=config)
        self.updater.anneal(1 - number / config.iterations)
        done = self.updater.round(learned, f"{self.run.seed}/updates/{number}")
        self.control.update(learned.kl, config.batch)
        self.iteration += 1
        self._log(learned.numbers, done)
        self.batches.add(found.rewards, found.ended)
        reward = float(learned.numbers["reward/mean"] or 0.0)
        self.fired = self.alarms.batch(reward=reward, kl=learned.kl, length=found.length)
        return True

    def _log(self, numbers: Any, done: Round) -> None:  # noqa: ANN401 - a mapping of numbers
        self.last = {**numbers, **done.numbers()}
        self.run.log(self.iteration, **self.last)

    # looks: before, on the way, after

    def _measure_reference(self) -> None:
        """What the reference earns, writes and prefers, before anything has changed; the critic's scale is set by it."""
        found = self._reference_answers("reference")
        if self.config.normalise:
            self.normalise = normaliser(found.scores)
        calibrate(self.cast, found, self.normalise, config=self.config)
        self.alarms.reference_length, self.alarms.reference_ended = found.length, found.ended
        self.before = {"texts": [], "rewards": [], "ended": 0.0, "tokens": 0.0, "rate": found.ended}
        if self.shown:
            shown = self._answers_shown()
            self.before |= {"texts": shown.texts, "rewards": shown.rewards}
            self.before |= {"ended": shown.ended, "tokens": shown.length}
        agreement = self.preferences.agreement()
        self.alarms.look(agreement, len(self.preferences.pairs))

    def _reference_answers(self, key: str) -> Judged:
        prompts = self.cast.prompts
        places = Order(len(prompts), self.run.seed + 1).at(0, self.config.reference_samples)
        with self.cast.reference.speaking() as model:
            key = f"{self.run.seed}/{key}"
            return judged(
                model, self.cast, [prompts[place] for place in places], self.normalise, config=self.config, key=key
            )

    def _answers_shown(self) -> Judged:
        key = f"{self.run.seed}/shown"
        return judged(self.cast.policy.model, self.cast, self.shown, self.normalise, config=self.config, key=key)

    def _look(self) -> None:
        """A few answers to the same prompts as always, and whether the policy still agrees with people."""
        if watched := self.shown[:WATCHED]:
            key = f"{self.run.seed}/shown"
            found = judged(self.cast.policy.model, self.cast, watched, self.normalise, config=self.config, key=key)
            for asked, text, reward in zip(watched, found.texts, found.rewards, strict=True):
                prompt = prompt_text(asked.prompt)[:2000]
                self.run.sample(prompt, text[:4000], step=float(self.iteration), reward=reward)
        agreement = self.preferences.agreement()
        if agreement is not None:
            self.run.log(self.iteration, **{"accuracy/preferences": agreement})
        self.fired = self.alarms.look(agreement, len(self.preferences.pairs))

    def finish(self) -> dict[str, Any]:
        """Measures, shows and saves the policy, and returns the final numbers."""
        self.run.state("evaluating", "held-out prompts, answered after training")
        numbers = self._counts() | {name: self.last.get(name) for name in ("kl/reference", "kl/beta", "policy/entropy")}
        numbers |= {"accuracy/preferences": self.preferences.agreement()}
        numbers |= {"reward/reference": mean_and_spread(self._reference_answers("reference-again").rewards)[0]}
        numbers |= self._compared()
        self._show()
        told = warnings(self.batches, self.config)
        if self.fired:
            numbers["stopped-by"] = self.fired.name
            told.insert(0, self.fired.said(self.iteration, self.config.iterations))
        if told:
            numbers["warning"] = "\n".join(told)
        self.run.state("saving")
        self.cast.policy.save(self.run.out / "model")
        return numbers

    def _counts(self) -> dict[str, Any]:
        cast = self.cast
        return {
            "batches": self.iteration,
            "episodes": self.iteration * self.config.batch,
            "learning-rate": self.rate,
            "prompts/train": len(cast.prompts),
            "prompts/cut": sum(one.cut for one in [*cast.prompts, *cast.heldout]),
            "prompts/left-out": cast.left_out,
            "pairs/heldout": len(self.preferences.pairs),
            "critic/origin": cast.critic.origin,
            "answers/writer": cast.writer,
        }

    def _compared(self) -> dict[str, Any]:
        """The shown prompts answered again, beside the answers from before."""
        if not self.shown:
            return {}
        after = self._answers_shown()
        kl = kl_of(self.cast, after.answers, config=self.config)
        never_negative = kl_of(self.cast, after.answers, config=self.config, estimator="k3")
        both = zip(self.before["rewards"], after.rewards, never_negative, strict=True)
        chosen = self.run.model("judge")
        compared = compare(
            self.run,
            [one.prompt for one in self.shown],
            self.before["texts"],
            after.texts,
            score=chosen.score if chosen is not None else self._score,
            groups=[one.group for one in self.shown],
            each=[{"reward/before": old, "reward/after": new, "kl/k3": one} for old, new, one in both],
            judge="judge" if chosen is not None else "reward",
            note=NOTE,
        )
        return compared | {
            "reward/untrained": mean_and_spread(self.before["rewards"])[0],
            "reward/heldout": mean_and_spread(after.rewards)[0],
            "kl/heldout": mean_and_spread(kl)[0],
            "answers/ended/before": self.before["ended"],
            "answers/ended/after": after.ended,
            "answers/tokens/before": self.before["tokens"],
            "answers/tokens/after": after.length,
        }

    def _score(self, prompt: Prompt, texts: Sequence[str]) -> list[float]:
        return scored(self.cast.reward, [prompt] * len(texts), texts)

    def _show(self) -> None:
        """The reward against the KL it cost, and the alarms."""
        history = self.alarms.history[:: -(-max(1, len(self.alarms.history)) // PLOTTED)]
        points = [(batch["kl"], batch["reward"]) for batch in history]
        self.run.plot(
            "Reward and its price",
            {"batches": points},
            x="KL, nats an answer",
            y="reward",
            kind="points",
            note="One point a batch, on the prompts trained on. The KL is that to the reference; the reward is in standard "
            "deviations of the scores of the reference's own answers, whose mean is 0, less the price of doubt where set.",
        )
        columns = ["alarm", "watched", "limit", "value", "fired at batch"]
        rows = self.alarms.rows(self.fired, self.iteration)
        self.run.table("Alarms", columns, rows, note="The run stops itself when one fires. No limit: not watched.")

    # checkpoints

    def _save(self) -> None:
        policy, critic = self.cast.trained()
        weights = {f"policy/{name}": weight for name, weight in policy.items()}
        weights |= {f"critic/{name}": weight for name, weight in critic.items()}
        with self.run.checkpoint() as folder:
            save_state(folder, weights, self.updater.optimizers, self._place())

    def _place(self) -> dict[str, Any]:
        alarms = self.alarms
        return {
            "iteration": self.iteration,
            "writer": self.cast.writer,
            "beta": self.control.beta,
            "normaliser": [self.normalise.gain, self.normalise.bias],
            "reference": [alarms.reference_length, alarms.reference_ended],
            "history": alarms.history,
            "agreements": alarms.agreements,
            "fired": list(self.fired) if self.fired else None,
            "batches": asdict(self.batches),
            "before": self.before,
            "last": self.last,
        }

    def _resume(self) -> bool:
        folder = self.run.last_checkpoint
        if folder is None:
            return False
        policy, critic = self.cast.trained()
        weights = {f"policy/{name}": weight for name, weight in policy.items()}
        weights |= {f"critic/{name}": weight for name, weight in critic.items()}
        place = load_state(folder, weights, self.updater.optimizers)
        self.iteration, self.control.beta = place["iteration"], place["beta"]
        self.normalise = Normaliser(*place["normaliser"])
        self.alarms.reference_length, self.alarms.reference_ended = place["reference"]
        self.alarms.history, self.alarms.agreements = place["history"], place["agreements"]
        self.fired = Alarm(*place["fired"]) if place["fired"] else None
        self.before, self.last = place["before"], place["last"]
        self.batches = Batches(**place["batches"])
        told = f"resumed from the checkpoint after batch {self.iteration}"
        now = self.cast.writer
        if (before := place.get("writer", "own")) != now:
            told += f"; so far {before} wrote the answers, from now on {now}: it goes on, and not bit for bit as it would have"
        self.run.state("loading", told)
        return True

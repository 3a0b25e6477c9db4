"""A Hugging Face trainer (transformers', TRL's) inside a run: what every adapter over one needs, in one place.

Such a trainer keeps its loop, loss and optimiser; everything it would do to the world is ours. Its logs become curves, its
checkpoints complete folders of the run, a stop is heeded within a step, a loss that is not a number ends the run with a
sentence, and it writes to no service, no hub and no model card. All by its public ways: arguments, callbacks, `evaluate`.

Resuming is exact because nothing is left to the trainer's samplers: the batches of all epochs are made beforehand
(`plugins.lib.feeding`, or `order` where a method needs batches of equal numbers), so a resumed run goes on at a place in a
list, with weights, moments, schedule and random state put back.
"""

import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from feinschliff import Run
from plugins.lib.feeding import bucketed
from plugins.lib.policies import Policy
from plugins.lib.settings import Optimizer

if TYPE_CHECKING:
    from transformers import TrainerCallback

CHECKPOINT_EVERY_S = 120
RECENT, CURVE = 50, 200  # losses behind `recent`; points of a curve
GLANCE = 128  # held-out rows behind the curves; all of them are measured at the ends
PLACE, THEIRS = "place.json", "hugging-face"
Trainer = Any  # transformers' Trainer and its descendants
Numbers = dict[str, float]


class Work:
    """One run's training by a Hugging Face trainer. `curves` maps its names of numbers to ours; others are not told."""

    def __init__(self, run: Run, *, curves: Mapping[str, str], evaluations: int) -> None:
        self.run, self.evaluations = run, evaluations
        self.curves = {"loss": "loss/train", "eval_loss": "loss/heldout", "learning_rate": "learning-rate", **curves}
        self.scratch = run.out / THEIRS  # where the trainer believes it saves; what it saved is moved away at once
        self.resumed = run.last_checkpoint
        self.rate = 0.0  # the highest step size
        self.known: dict[str, Any] = {}  # measured before the first step; kept in the checkpoint
        self.losses: list[float] = []
        self.tokens, self.seconds = 0.0, 0.0
        self.total = 0
        self._measuring = False
        self._saved = time.monotonic()
        if self.resumed:
            place = json.loads((self.resumed / PLACE).read_text(encoding="utf-8"))
            self.known, self.losses = place["known"], place["losses"]
            run.state("loading", f"resumed from the checkpoint at step {place['step']}")

    def arguments(
        self, policy: Policy, settings: Optimizer, *, rate: float, rows: int, pieces: int, fed: bool = False
    ) -> dict[str, Any]:
        """What any TrainingArguments of ours is made of; `rows` go through the model at once, `pieces` times a step.

        `fed`: what the trainer takes for a row is a batch of ours (plugins.lib.feeding); `rows` are then those held out.
        """
        cpu = policy.device.type == "cpu"
        self.rate = rate
        return {
            "output_dir": str(self.scratch),
            "use_cpu": cpu,
            "bf16": not cpu,
            "seed": self.run.seed % 2**32,
            "num_train_epochs": 1,  # what it is given has them all
            "per_device_train_batch_size": 1 if fed else rows,
            "per_device_eval_batch_size": rows,
            "gradient_accumulation_steps": pieces,
            "learning_rate": rate,
            "lr_scheduler_type": "linear",
            "warmup_steps": settings.warmup,  # below 1: a share of all steps
            "weight_decay": settings.weight_decay,
            "max_grad_norm": settings.max_grad_norm,
            "gradient_checkpointing": False,
            "dataloader_pin_memory": not cpu,
            "logging_steps": 1,
            "logging_nan_inf_filter": False,  # it would hide a loss that is not a number
            **({"remove_unused_columns": False} if fed else {}),
            "save_strategy": "no",
            "eval_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
        }

    def once(self, name: str, measure: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever JSON holds
        """What `measure` gives before the first step; a resumed run reads it from its checkpoint instead."""
        if name not in self.known:
            self.known[name] = measure()
        return self.known[name]

    def train(self, trainer: Trainer) -> bool:
        """All steps, from the last checkpoint on; False when asked to stop before the end."""
        from transformers import PrinterCallback, ProgressCallback

        for callback in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(callback)
        trainer.add_callback(_listener(self))
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.run.state("training")
        began = time.monotonic()
        try:
            trainer.train(resume_from_checkpoint=str(self.resumed / THEIRS) if self.resumed else None)
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)
        self.seconds = time.monotonic() - began
        self.total = trainer.state.global_step
        return not self.run.stopping

    def measured(self, trainer: Trainer, rows: Any) -> Numbers:  # noqa: ANN401 - a datasets.Dataset
        """The trainer's own numbers on held-out rows, by our names; empty where there are none."""
        if not len(rows):
            return {}
        self._measuring, glance = True, trainer.eval_dataset
        trainer.eval_dataset = rows  # handed over as an argument, some trainers would prepare it again
        try:
            found = trainer.evaluate()
        finally:
            self._measuring, trainer.eval_dataset = False, glance
        return self._ours(found)

    def numbers(self) -> Numbers:
        """Final numbers about the training itself: `loss/train` is the mean of the last 50 steps."""
        recent = sum(self.losses) / max(1, len(self.losses))
        speed = {"speed/tokens-a-second": self.tokens / self.seconds} if self.tokens and self.seconds else {}
        return {"steps": self.total, "learning-rate": self.rate, "loss/train": recent, **speed}

    # --- what the trainer's events come to ---

    def after_step(self, state: Any, control: Any) -> None:  # noqa: ANN401 - transformers' own records
        step, total = state.global_step, state.max_steps
        self.run.progress(step, total)
        control.should_evaluate = step in {round(total * (n + 1) / self.evaluations) for n in range(self.evaluations)}
        control.should_save = time.monotonic() - self._saved > CHECKPOINT_EVERY_S and step < total
        self.heed(control)

    def after_log(self, state: Any, control: Any, logs: Mapping[str, Any]) -> None:  # noqa: ANN401
        """A step's numbers, or those of a look at held-out rows. Raises FloatingPointError for a loss that is none."""
        if self._measuring:
            return
        step, total = state.global_step, state.max_steps
        if "loss" in logs:
            self._check(logs, step, total)
            self.losses = [*self.losses[-(RECENT - 1) :], logs["loss"]]
            self.tokens = float(logs.get("num_tokens") or 0)
        state.log_history.clear()  # it would grow in every checkpoint
        if "eval_loss" in logs or step % max(1, total // CURVE) == 0 or step == total:
            told = self._ours(logs)
            if "loss" in logs:
                told["loss/train"] = sum(self.losses[-10:]) / len(self.losses[-10:])
            if told:  # the trainer also logs its own seconds, at the very end
                self.run.log(step, **told)
        self.heed(control)

    def after_save(self, state: Any) -> None:  # noqa: ANN401
        """Moves what the trainer saved into a checkpoint of the run, which counts only when complete."""
        with self.run.checkpoint() as folder:
            shutil.move(self.scratch / f"checkpoint-{state.global_step}", folder / THEIRS)
            place = {"step": state.global_step, "known": self.known, "losses": self.losses}
            (folder / PLACE).write_text(json.dumps(place), encoding="utf-8")
        self._saved = time.monotonic()

    def heed(self, control: Any) -> None:  # noqa: ANN401
        """Asked to stop: a checkpoint, and no further step."""
        if self.run.stopping:
            control.should_save = control.should_training_stop = True
            control.should_evaluate = False

    def _check(self, logs: Mapping[str, Any], step: int, total: int) -> None:
        for name in ("loss", "grad_norm"):
            if not math.isfinite(logs.get(name) or 0.0):
                what = "loss" if name == "loss" else "gradient"
                raise FloatingPointError(
                    f"the {what} became {logs[name]} at step {step} of {total}: take a lower learning_rate or a smaller "
                    "max_grad_norm"
                )

    def _ours(self, logs: Mapping[str, Any]) -> Numbers:
        return {ours: float(logs[name]) for name, ours in self.curves.items() if logs.get(name) is not None}


def _listener(work: Work) -> "TrainerCallback":
    """Tells the work of a trainer's events."""
    from transformers import TrainerCallback

    class Listener(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
            work.after_step(state, control)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ANN401
            work.after_log(state, control, logs or {})

        def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
            work.heed(control)

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
            work.after_save(state)

    return Listener()


def order(lengths: Sequence[int], *, batch: int, epochs: int, seed: int) -> list[int]:
    """The places of all rows, epoch after epoch, shuffled, rows of like length side by side in runs of `batch`.

    Every epoch is shuffled, cut into buckets of 16 batches, each sorted by length, and its batches are shuffled again:
    little padding, and batches that are still drawn by chance. Equal seeds give equal orders.
    """
    found = bucketed(lengths, tokens=0, rows=batch, epochs=epochs, seed=seed)
    return [place for one in found for place in one]


def chosen_rate(
    wanted: float,
    policy: Any,  # noqa: ANN401 - whatever holds its `model`: a policy, a classifier
    *,
    tiny: float,
    small: float,
    large: float,
    lora: bool,
) -> float:
    """The step size: the one asked for, or one by the size of the base (below 2 and 50 million parameters, beyond).

    Adapters stand ten times larger steps than whole weights.
    """
    size = sum(weight.numel() for weight in policy.model.parameters())
    return wanted or (tiny if size < 2_000_000 else small if size < 50_000_000 else large) * (10 if lora else 1)

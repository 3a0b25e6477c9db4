"""Trains a reward model from rankings and pairs: the step from what people said to a model that can say it again.

Read from top to bottom: encode, batches, loss, step, checkpoint, measure. All answers of a step go through the model
in one flat batch, one forward an answer; equal answers of the same prompt in one step share theirs. Departs from
InstructGPT in taking more than one epoch by default, since demonstrations of this size are small; the held-out curve
shows overfitting.
"""

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feinschliff import NeedsNotMet, Run
from feinschliff.rows import prompt_text
from plugins.lib import ranks
from plugins.lib.batching import batches
from plugins.reward_model.evaluating import Judged, accuracy, judged, measured
from plugins.reward_model.loss import comparisons, pairwise_loss
from plugins.reward_model.model import RewardModel, from_base

if TYPE_CHECKING:
    import torch

CHECKPOINT_EVERY_S = 120
GLANCE_ROWS = 128


def train(run: Run) -> dict[str, Any]:
    """The trainer's door: returns the final numbers, or nothing when it was asked to stop on the way."""
    ranks.start(run)
    config, base = run.config, run.model("base")
    reward = from_base(
        base.folder,
        causal=base.causal,
        max_length=config.max_length,
        keep=config.prompt_keeps,
        dropout=config.dropout,
        seed=run.seed,
        device=run.device,
    )
    rows, left_out, cut = _encoded(run.rows("train"), reward)
    heldout, heldout_left_out, _ = _encoded(run.rows("heldout"), reward)
    pairs = sum(len(comparisons([row.ranks], [range(len(row.ranks))], [1.0], [None]).first) for row in rows)
    if not pairs:
        raise NeedsNotMet("no row compares two answers that fit the model: nothing can be learned from these rows")
    loop = Loop(run, reward, rows, heldout)
    if not loop.work():
        return {}
    run.state("evaluating")
    numbers = measured(heldout, scored(run, reward, heldout), loop.untrained)
    counts = {"pairs/train": pairs, "rows/train": len(rows), "rows/left-out": left_out + heldout_left_out}
    run.state("saving")
    reward.save(_fresh(run.out / "model"))
    _show(run, reward)
    return numbers | counts | {"rows/cut-prompts": cut, "steps": loop.total, "loss/train": loop.recent()}


class Loop:
    """The optimisation, with all that a checkpoint must hold: place, moments, random state, losses."""

    def __init__(self, run: Run, reward: RewardModel, rows: list[Judged], heldout: list[Judged]) -> None:
        import torch

        self.run, self.reward, self.rows, self.heldout = run, reward, rows, heldout
        self.epochs = [self._batches(epoch) for epoch in range(run.config.epochs)]
        self.total = sum(len(epoch) for epoch in self.epochs)
        self.step = 0
        self.untrained: float | None = None
        self.losses: list[float] = []
        _freeze(reward, run.config.freeze_layers)
        self.weights = [weight for weight in reward.model.parameters() if weight.requires_grad]
        size = sum(weight.numel() for weight in reward.model.parameters())
        self.rate = run.config.learning_rate or _rate(size)
        decayed = [weight for weight in self.weights if weight.ndim > 1]
        plain = [weight for weight in self.weights if weight.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": run.config.weight_decay}, {"params": plain, "weight_decay": 0.0}],
            lr=self.rate,
        )

    def _batches(self, epoch: int) -> list[list[Judged]]:
        config = self.run.config
        return batches(
            self.rows,
            lambda row: row.lengths_by_sequence,
            lambda row: row.prompt,
            budget=config.batch_tokens,
            most=config.batch_rows,
            seed=self.run.seed,
            epoch=epoch,
        )

    def work(self) -> bool:
        """All steps from the last checkpoint on; False when asked to stop before the end."""
        import torch

        glance = self.heldout[:: max(1, len(self.heldout) // GLANCE_ROWS)]
        torch.manual_seed(self.run.seed)
        if not self._resume():
            self.run.state("evaluating", "before training")
            self.untrained = accuracy(self.heldout, scored(self.run, self.reward, self.heldout))
        self.run.state("training")
        self.reward.model.train()
        looks = {
            round(self.total * (look + 1) / self.run.config.evaluations) for look in range(self.run.config.evaluations)
        }
        saved = time.monotonic()
        for batch in [batch for epoch in self.epochs for batch in epoch][self.step :]:
            if ranks.agreed(self.run):
                self._save()
                return False
            self._one_step(batch)
            self.run.progress(self.step, self.total)
            if self.step in looks and glance:
                self.run.log(self.step, **{"accuracy/heldout": accuracy(glance, scored(self.run, self.reward, glance))})
            if self.step in self._epoch_ends() or time.monotonic() - saved > CHECKPOINT_EVERY_S:
                self._save()
                saved = time.monotonic()
        stopped = ranks.agreed(self.run)
        if stopped:
            self._save()
        return not stopped

    def _one_step(self, batch: list[Judged]) -> None:
        import torch

        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * _schedule(self.step, self.total, self.run.config.warmup)
        ranks.seed(self.run, self.step)
        mine = ranks.share(self.run, batch)
        loss = batch_loss(self.reward, mine, whole_weight(batch)) if mine else None
        value = ranks.total(self.run, loss.item() if loss is not None else 0.0)
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the loss became {value} at step {self.step + 1} of {self.total}: take a lower learning_rate "
                f"(it was {self.rate:g}) or a smaller max_grad_norm"
            )
        self.optimizer.zero_grad(set_to_none=True)
        if loss is not None:
            loss.backward()
        ranks.add_gradients(self.run, self.weights)
        torch.nn.utils.clip_grad_norm_(self.weights, self.run.config.max_grad_norm)
        self.optimizer.step()
        self.step += 1
        self.losses = [*self.losses[-49:], value]
        if self.step % max(1, self.total // 200) == 0 or self.step == self.total:
            self.run.log(self.step, **{"loss/train": sum(self.losses[-10:]) / len(self.losses[-10:])})

    def recent(self) -> float:
        """Mean loss of the last 50 steps."""
        return sum(self.losses) / max(1, len(self.losses))

    def _epoch_ends(self) -> set[int]:
        return {sum(len(epoch) for epoch in self.epochs[: number + 1]) for number in range(len(self.epochs) - 1)}

    def _save(self) -> None:
        import torch
        from safetensors.torch import save_model

        if self.run.rank != 0:
            return
        with self.run.checkpoint() as folder:
            save_model(self.reward.model, str(folder / "model.safetensors"))
            state = {"optimizer": self.optimizer.state_dict(), "random": torch.get_rng_state()}
            torch.save(state, folder / "state.pt")
            (folder / "place.json").write_text(
                json.dumps({"step": self.step, "untrained": self.untrained, "losses": self.losses}), encoding="utf-8"
            )

    def _resume(self) -> bool:
        import torch
        from safetensors.torch import load_model

        folder = self.run.last_checkpoint
        if folder is None:
            return False
        load_model(self.reward.model, str(folder / "model.safetensors"), device=str(self.reward.device))
        state = torch.load(folder / "state.pt", weights_only=True, map_location="cpu")
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        place = json.loads((folder / "place.json").read_text(encoding="utf-8"))
        self.step, self.untrained, self.losses = place["step"], place["untrained"], place["losses"]
        self.run.state("loading", f"resumed from the checkpoint at step {self.step}")
        return True


def batch_loss(reward: RewardModel, batch: Sequence[Judged], whole: float | None = None) -> "torch.Tensor":
    """One forward for each different sequence of the batch, and the loss over all comparisons of its rows.

    `whole` is the weight of the batch of which these rows are one rank's share.
    """
    unique: dict[tuple[int, ...], int] = {}
    places = [[unique.setdefault(tuple(one.ids), len(unique)) for one in row.sequences] for row in batch]
    sequences = {tuple(one.ids): one for row in batch for one in row.sequences}
    scores = reward.forward([sequences[ids] for ids in unique])
    rows = [row.ranks for row in batch]
    return pairwise_loss(
        scores, comparisons(rows, places, [row.weight for row in batch], [row.margin for row in batch]), whole
    )


def whole_weight(batch: Sequence[Judged]) -> float:
    """The weight of the rows that compare something, which alone count in the mean."""
    return sum(row.weight for row in batch if sum(rank is not None for rank in row.ranks) > 1)


def scored(run: Run, reward: RewardModel, rows: Sequence[Judged]) -> list[list[float]]:
    """Every row's scores; a sequence that stands in many rows is scored once, by one of the ranks."""
    unique = {tuple(one.ids): one for row in rows for one in row.sequences}
    values = ranks.gathered(run, reward.scores(ranks.share(run, list(unique.values()))))
    found = dict(zip(unique, values, strict=True))
    return [[found[tuple(one.ids)] for one in row.sequences] for row in rows]


def _encoded(rows: list[dict[str, Any]], reward: RewardModel) -> tuple[list[Judged], int, int]:
    """(usable rows, rows left out because an answer does not fit, rows whose prompt was cut)."""
    found, left_out, cut = [], 0, 0
    for row in rows:
        texts = [row["chosen"], row["rejected"]] if "chosen" in row else row["completions"]
        sequences = [one for text in texts if (one := reward.encode(row["prompt"], text)) is not None]
        if len(sequences) < len(texts):
            left_out += 1
            continue
        cut += any(one.cut for one in sequences)
        found.append(judged(row, sequences))
    return found, left_out, cut


def _rate(parameters: int) -> float:
    """A step size that suits bases of this size; larger ones are easily spoilt."""
    return 1e-3 if parameters < 2_000_000 else 1e-4 if parameters < 50_000_000 else 2e-5


def _schedule(step: int, total: int, warmup: float) -> float:
    """Linear up over the warm-up, then linear down to zero."""
    rise = max(1, round(total * warmup))
    return (step + 1) / rise if step < rise else max(0.0, (total - step) / max(1, total - rise))


def _freeze(reward: RewardModel, layers: int) -> None:
    if not layers:
        return
    body = reward.model.base_model
    stack = body.encoder.layer if hasattr(body, "encoder") else body.layers
    embeddings = body.embeddings if hasattr(body, "embeddings") else body.embed_tokens
    for module in [embeddings, *stack[:layers]]:
        module.requires_grad_(False)


def _show(run: Run, reward: RewardModel) -> None:
    """The best answer of a few held-out rows, for the run's page."""
    for row in run.rows("heldout")[:3]:
        texts = [row["chosen"], row["rejected"]] if "chosen" in row else row["completions"]
        scores = [
            reward.score(row["prompt"], [text])[0] if reward.encode(row["prompt"], text) else None for text in texts
        ]
        for text, score in zip(texts, scores, strict=True):
            if score is not None:
                run.sample(prompt_text(row["prompt"])[:2000], text[:4000], score=score)


def _fresh(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder

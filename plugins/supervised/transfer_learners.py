"""What transfer can put on top of a frozen trunk: a head that sorts texts, from labels; a model that writes, from answers.

Both read, lose and are measured as in task-specific tuning, whose functions they use; here they are told apart once, so that
freezing knows nothing of them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from feinschliff import Run
from plugins.lib.activations import Key
from plugins.lib.encoding import Encoded, pad
from plugins.lib.hugging import GLANCE, chosen_rate
from plugins.lib.kway import KWay
from plugins.lib.layers import Inputs
from plugins.lib.probing import Probe, answer_tokens
from plugins.supervised import demonstrating, labelling

if TYPE_CHECKING:
    import torch

Numbers = dict[str, float | None]
RATES = {"tiny": 1e-3, "small": 1e-4, "large": 2e-5}  # step sizes by the size of the base
HEAD_RATE = 3e-3  # of a classifier's head on a frozen trunk of any size; measured in docs/methods/transfer.md, Results


class Lesson(NamedTuple):
    """A row to learn from; `place` tells it from all others."""

    place: int
    sequence: Encoded
    what: Any  # a learner's own


class Learner(Protocol):
    """What is trained above the trunk."""

    model: Any
    epochs: int
    batch_rows: int

    @property
    def lessons(self) -> Sequence[Lesson]: ...

    def keys(self, rows: Sequence[Lesson]) -> list[Key]:
        """The sequences that a forward for these rows runs, in its order."""

    def padded(self, keys: Sequence[Key]) -> Inputs:
        """Those as the model's inputs, right-padded as in that forward."""

    def loss(self, rows: Sequence[Lesson], whole: float) -> "torch.Tensor":
        """Their share of the mean loss of a batch that weighs `whole`."""

    def weight(self, rows: Sequence[Lesson]) -> float: ...

    def rate(self, *, head_alone: bool) -> float:
        """The step size that suits the model, or its head where that alone is trained."""

    def before(self) -> dict[str, Any]:
        """What is measured on held-out rows before the first step."""

    def look(self) -> Numbers:
        """A quick look at held-out rows, on the way; empty where there are none."""

    def measured(self, before: Mapping[str, Any]) -> Numbers:
        """The final numbers, with tables and texts on the run's page."""

    def save(self, folder: Path) -> None: ...


class Sorter:
    """Labels: a fresh head on the trunk."""

    def __init__(self, run: Run) -> None:
        config = run.config
        self.run, self.material = run, labelling.material_of(run)
        self.classifier = labelling.begun(run, self.material)
        self.model = self.classifier.model
        learned = labelling.encoded(self.classifier, self.material.train, config)
        self.lessons = [Lesson(place, one.sequence, one) for place, one in enumerate(learned)]
        self.heldout = self.classifier.encode([row.prompt for row in self.material.heldout])
        self.epochs = labelling.epochs_for(len(learned), config.epochs)
        self.batch_rows = config.batch_rows or labelling.BATCH_ROWS

    def keys(self, rows: Sequence[Lesson]) -> list[Key]:
        return [tuple(row.sequence.ids) for row in rows]

    def padded(self, keys: Sequence[Key]) -> Inputs:
        return self.classifier.inputs([_plain(key) for key in keys])

    def loss(self, rows: Sequence[Lesson], whole: float) -> "torch.Tensor":
        return labelling.loss_of(self.classifier, [row.what for row in rows], whole)

    def weight(self, rows: Sequence[Lesson]) -> float:
        return sum(row.what.weight for row in rows)

    def rate(self, *, head_alone: bool) -> float:
        return HEAD_RATE if head_alone else chosen_rate(0.0, self, **RATES, lora=False)

    def before(self) -> dict[str, Any]:
        return dict(labelling.glance(self.classifier, self.heldout, self.material.truth))

    def look(self) -> Numbers:
        every = max(1, len(self.heldout) // labelling.GLANCE)
        found = labelling.glance(self.classifier, self.heldout[::every], self.material.truth[::every])
        return {f"{name}/heldout": value for name, value in found.items()}

    def measured(self, before: Mapping[str, Any]) -> Numbers:
        shares = self.classifier.probabilities(self.heldout)
        numbers: Numbers = dict(labelling.measured(self.material, shares))
        numbers |= {f"{name}/untrained": value for name, value in before.items()}
        numbers |= labelling.report(self.run, self.material, shares)
        return numbers | labelling.counted(self.material, [row.sequence for row in self.lessons])

    def save(self, folder: Path) -> None:
        self.classifier.save(folder)


class Writer:
    """Demonstrations: the base goes on writing, as people showed it; the loss is the mean over the answers' tokens."""

    def __init__(self, run: Run) -> None:
        config = run.config
        self.run = run
        self.policy, rows, self.learned, self.heldout = demonstrating.material_of(run)
        self.model = self.policy.model
        self.lessons = [Lesson(place, one, None) for place, one in enumerate(self.learned.rows)]
        self.epochs, self.batch_rows = (
            config.epochs or demonstrating.EPOCHS,
            config.batch_rows or demonstrating.BATCH_ROWS,
        )
        self.probe = Probe(rows, self.policy, config, run.seed)
        self.engine = KWay(self.model, pad=self.policy.pad, device=self.policy.device, sharing="never")
        self.engine.logps([self.lessons[0].sequence])  # it looks at the model once, which must not begin at the border

    def keys(self, rows: Sequence[Lesson]) -> list[Key]:
        """The engine runs equal sequences once, and never their last token, which nothing follows."""
        different = dict.fromkeys((tuple(row.sequence.ids), tuple(row.sequence.types)) for row in rows)
        return [ids[:-1] for ids, _ in different]

    def padded(self, keys: Sequence[Key]) -> Inputs:
        sequences = [_plain(key) for key in keys]
        return pad(sequences, pad_id=self.policy.pad, device=self.policy.device, types=False)

    def loss(self, rows: Sequence[Lesson], whole: float) -> "torch.Tensor":
        return -self.engine.logps([row.sequence for row in rows])[0].sum() / whole

    def weight(self, rows: Sequence[Lesson]) -> float:
        return float(sum(answer_tokens(row.sequence) for row in rows))

    def rate(self, *, head_alone: bool) -> float:
        """A head that writes bears ten times larger steps than all weights, as adapters do."""
        return chosen_rate(0.0, self, **RATES, lora=head_alone)

    def before(self) -> dict[str, Any]:
        return {
            "loss": demonstrating.per_token(self.policy, self.heldout.rows),
            "texts": self.probe.texts(self.policy),
        }

    def look(self) -> Numbers:
        glance = self.heldout.rows[:: max(1, len(self.heldout.rows) // GLANCE)]
        return {"loss/heldout": demonstrating.per_token(self.policy, glance)} if glance else {}

    def measured(self, before: Mapping[str, Any]) -> Numbers:
        after = demonstrating.per_token(self.policy, self.heldout.rows)
        numbers: Numbers = dict(demonstrating.measured(before["loss"], after))
        texts = self.probe.texts(self.policy)
        numbers |= self.probe.compared(self.run, before["texts"], texts, self.run.model("judge"))
        return numbers | demonstrating.counted(self.learned, self.heldout)

    def save(self, folder: Path) -> None:
        self.policy.save(folder)


def _plain(key: Key) -> Encoded:
    return Encoded(list(key), [0] * len(key), cut=False)

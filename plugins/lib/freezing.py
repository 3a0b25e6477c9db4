"""Freezes what is general in a model, so that only the rest is trained: its embeddings and its first layers.

Frozen tensors stay bit-identical: nothing asks for their gradient, and no optimiser holds them. The frozen part, the trunk, runs
by itself, without gradients and without dropout; its hidden states at the border are put into the model's own forward
(`Frozen.resumed`), which then passes over the frozen layers. So a backward keeps nothing of the trunk, and the states may
come from a store as well (`plugins.lib.activations`).

What is frozen is found by structure (`plugins.lib.layers`), so it holds for stacks of layers of any family. Departs from setting
`requires_grad` on embeddings and layers in two things. All that the border depends on is frozen, such as relative positions
that the upper layers share with the lower ones. And a head that is tied to the embeddings is one tensor with them, so it is
frozen with them; only where nothing but the head is to be trained, it becomes a tensor of its own.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from plugins.lib.layers import Inputs, below, body_of, layers_of, passed_over, probe, reach
from plugins.lib.sharing import quietly, same

if TYPE_CHECKING:
    import torch

Loaded = Any  # transformers' models and their layers, which carry no usable types


@dataclass(frozen=True)
class Frozen:
    """A model of which the first `count` layers, and with them the embeddings, stay as they are.

    `names` are the frozen parameters, `layers` the whole stack, lowest first, and `before` the parameters that come before it.
    """

    model: Loaded
    layers: Sequence[Loaded]
    count: int
    names: frozenset[str]
    before: frozenset[str]

    def trunk(self, inputs: Inputs) -> "torch.Tensor":
        """Hidden states at the border, shape (sequences, tokens, width), of padded model inputs.

        Without gradients and dropout. Raises ValueError where no layer is frozen.
        """
        with quietly(self.model):
            return reach(self.model, [self._last], inputs)[0].states

    @contextmanager
    def resumed(self, states: "torch.Tensor") -> Iterator[None]:
        """Inside, a forward of the model for these very inputs starts at the border, from `states` as `trunk` gives them.

        Gradients reach what lies above the border, and nothing else. From within the forward ValueError is raised where the
        inputs have another shape than those of the states.
        """

        def at_the_border(here: "torch.Tensor") -> "torch.Tensor":
            if here.shape != states.shape:
                raise ValueError(
                    f"states of shape {tuple(states.shape)} do not fit inputs of shape {tuple(here.shape)}"
                )
            return states.to(here)

        with passed_over(self.layers[: self.count], self._made, at_the_border):
            yield

    @cached_property
    def obstacle(self) -> str | None:
        """Why a forward may not start at the border; None where it gives what the whole forward gives, as one try shows."""
        if not self.count:
            return "no layer is frozen"
        inputs = probe(self.model, ragged=True)
        real = inputs["attention_mask"].bool()
        with quietly(self.model):
            whole = body_of(self.model)(**inputs)[0][real]
            with self.resumed(self.trunk(inputs) * real[..., None]):  # what stands at padding must not matter
                found = body_of(self.model)(**inputs)[0][real]
        return None if same(found, whole) else "its layers take more from each other than hidden states"

    def depth(self, name: str) -> int:
        """How far below the top a parameter lies: 0 is the head and all else that follows the layers, 1 the last layer.

        The embeddings, and all else that comes before the layers, lie one below the first of them.
        """
        return self._depths[name]

    def open(self, depth: int) -> None:
        """Trains the parameters that lie no deeper than this, and are not frozen for good; the others wait."""
        for name, weight in self.model.named_parameters():
            if name not in self.names:
                weight.requires_grad_(self._depths[name] <= depth)

    @cached_property
    def _depths(self) -> dict[str, int]:
        layer = {id(weight): place for place, one in enumerate(self.layers) for weight in one.parameters()}
        total = len(self.layers)
        return {
            name: total - layer[id(weight)] if id(weight) in layer else (total + 1) * (name in self.before)
            for name, weight in self.model.named_parameters()
        }

    @property
    def _last(self) -> Loaded:
        if not self.count:
            raise ValueError("no layer is frozen, so there is no border to stop or to start at")
        return self.layers[self.count - 1]

    @cached_property
    def _made(self) -> list[Any]:
        """What each frozen layer gives: families differ in whether it stands alone or leads a tuple."""
        with quietly(self.model):
            return [one.found for one in reach(self.model, self.layers[: self.count], probe(self.model))]


def freeze(model: Loaded, *, embeddings: bool = True, layers: int = 0) -> Frozen:
    """Freezes the embeddings, with all else that comes before the layers, and the first `layers` layers.

    Frozen are all layers: all but the head, which is what follows them, a last norm or a pooler included. Raises ValueError
    where trained embeddings would change the input of frozen layers, where the model has fewer layers, or is no stack of them.
    """
    stack = layers_of(model)
    if layers and not embeddings:
        raise ValueError("layers cannot be frozen above embeddings that are trained: their input would change")
    if not 0 <= layers <= len(stack):
        raise ValueError(f"{layers} layers are to be frozen, and this model has {len(stack)}")
    if layers == len(stack):
        untie(model)
    before = below(model, stack[0], with_it=False)
    own = {id(weight) for layer in stack[:layers] for weight in layer.parameters()}
    names = {name for name, weight in model.named_parameters() if id(weight) in own}
    names |= before if embeddings else frozenset()
    names |= below(model, stack[layers - 1], with_it=True) if layers else frozenset()
    for name, weight in model.named_parameters():
        weight.requires_grad_(name not in names)
    return Frozen(model, stack, layers, frozenset(names), before)


def untie(model: Loaded) -> None:
    """Gives a head that is one tensor with the embeddings a copy of its own, which is saved and opened as such."""
    import torch

    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    if head is None or head.weight is not embeddings.weight:
        return
    head.weight = torch.nn.Parameter(embeddings.weight.detach().clone())
    model.config.get_text_config().tie_word_embeddings = model.config.tie_word_embeddings = False
    if hasattr(model, "all_tied_weights_keys"):
        model.all_tied_weights_keys = {}

"""Looks into a model that is a stack of layers: which they are, what lies below them, and how to stop or start between two.

Nothing here knows an architecture by name. The stack is the model's greatest list of modules; what lies below a place in it is
every parameter that the hidden states there depend on, as autograd's own graph tells.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from plugins.lib.sharing import quietly

if TYPE_CHECKING:
    import torch

Loaded = Any  # transformers' models and their layers, which carry no usable types
Inputs = Mapping[str, "torch.Tensor"]
PROBED = 8  # tokens that are sent through a model to look at it


class Reached(NamedTuple):
    """What a layer was given, all tensors of it, and what it gave: a tensor, or a tuple that starts with it."""

    given: list["torch.Tensor"]
    found: Any

    @property
    def states(self) -> "torch.Tensor":
        """The hidden states that go on to the next layer."""
        return self.found[0] if isinstance(self.found, tuple) else self.found


def body_of(model: Loaded) -> Loaded:
    """The model without its head."""
    return getattr(model, "base_model", model)


def layers_of(model: Loaded) -> list[Loaded]:
    """The stack of layers, lowest first. Raises ValueError where the model has none, or runs one layer several times."""
    import torch

    found: list[torch.nn.ModuleList] = []

    def look(module: Loaded) -> None:
        for child in module.children():
            if isinstance(child, torch.nn.ModuleList):
                found.append(child)  # lists inside a layer (experts) are its own business
            else:
                look(child)

    look(body_of(model))
    stack = max(found, key=lambda one: sum(weight.numel() for weight in one.parameters()), default=None)
    wanted = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    if stack is None or wanted not in (None, len(stack)):
        raise ValueError(
            f"{type(model).__name__} is no stack of {wanted or 'several'} layers, each with weights of its own, so none of "
            "them can be frozen by its place"
        )
    return list(stack)


class _Enough(Exception):
    """Ends a forward at the last layer that was waited for."""


def reach(model: Loaded, layers: Sequence[Loaded], inputs: Inputs) -> list[Reached]:
    """Runs the model up to and with the last of these layers, which stand in their order, and no further."""
    seen: list[Reached] = []

    def look(_: Loaded, given: tuple[Any, ...], named: dict[str, Any], found: Any) -> None:  # noqa: ANN401
        seen.append(Reached(list(_tensors([*given, *named.values()])), found))
        if len(seen) == len(layers):
            raise _Enough

    hooks = [layer.register_forward_hook(look, with_kwargs=True) for layer in layers]
    try:
        body_of(model)(**inputs, **_uncached(model))
    except _Enough:
        return seen
    finally:
        for hook in hooks:
            hook.remove()
    raise ValueError(f"{type(model).__name__} passed over one of its layers: it does not run them one after the other")


def below(model: Loaded, layer: Loaded, *, with_it: bool) -> frozenset[str]:
    """The names of the parameters on which depends what a layer is given or, `with_it`, the hidden states that it gives."""
    import torch

    asked = [(weight, weight.requires_grad) for weight in model.parameters()]
    try:
        for weight, _ in asked:
            weight.requires_grad_(weight.is_floating_point())
        with quietly(model), torch.enable_grad():
            [reached] = reach(model, [layer], probe(model))
        return _leaves(model, [reached.states] if with_it else reached.given)
    finally:
        for weight, before in asked:
            weight.requires_grad_(before)


def _leaves(model: Loaded, tensors: Sequence["torch.Tensor"]) -> frozenset[str]:
    """The parameters at the ends of the tensors' graph."""
    known = {id(weight): name for name, weight in model.named_parameters()}
    waiting = [tensor.grad_fn for tensor in tensors if tensor.grad_fn is not None]
    found = {known[id(tensor)] for tensor in tensors if id(tensor) in known}
    seen: set[Any] = set()
    while waiting:
        node: Any = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if id(getattr(node, "variable", None)) in known:
            found.add(known[id(node.variable)])
        waiting += [before for before, _ in node.next_functions if before is not None]
    return frozenset(found)


@contextmanager
def passed_over(
    layers: Sequence[Loaded], made: Sequence[Any], border: Callable[["torch.Tensor"], Any]
) -> Iterator[None]:
    """Inside, the layers do nothing: each gives on what it gets, in the manner of what it once `made`.

    The last one gives what `border` makes of the hidden states that it would have worked on.
    """

    def passing(like: Any, last: bool) -> Callable[..., Any]:  # noqa: ANN401
        def forward(*given: Any, **named: Any) -> Any:  # noqa: ANN401
            states = given[0] if given else named["hidden_states"]
            states = border(states) if last else states
            return (states, *[None] * (len(like) - 1)) if isinstance(like, tuple) else states

        return forward

    before = [vars(layer).get("forward") for layer in layers]
    try:
        for place, (layer, like) in enumerate(zip(layers, made, strict=True)):
            layer.forward = passing(like, place == len(layers) - 1)
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            if own is None:
                vars(layer).pop("forward", None)
            else:
                layer.forward = own


def probe(model: Loaded, *, ragged: bool = False) -> dict[str, "torch.Tensor"]:
    """A few tokens to look at a model with; `ragged`: two sequences of different lengths, right-padded."""
    import torch

    config = model.config.get_text_config()
    known = range(1, model.get_input_embeddings().weight.shape[0])
    ids = torch.tensor([[token for token in known if token != config.pad_token_id][-PROBED:]], device=model.device)
    ids = ids.repeat(1 + ragged, 1)
    mask = torch.ones_like(ids)
    if ragged:
        mask[1, ids.shape[1] // 2 :] = 0
    return {"input_ids": ids, "attention_mask": mask}


def _uncached(model: Loaded) -> dict[str, bool]:
    """Keys and values are kept for writing on; nothing is written here."""
    return {"use_cache": False} if getattr(model.config.get_text_config(), "use_cache", None) is not None else {}


def _tensors(values: Sequence[Any]) -> Iterator["torch.Tensor"]:
    import torch

    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)

"""Models that begin with layers of texts: those run on the host, and the rest as one step.

WebAssembly has no strings. A functional model is cut behind the layers that need the host
(`TextVectorization`, `StringLookup`, `Hashing`): what they give are the inputs of what is traced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fanlight.layers import scope
from fanlight.layers.inputs import fitted
from fanlight.layers.symbolic import Node, Symbolic, mapped
from fanlight.tensor import tensor
from fanlight.tensor.tape import flatten


class Tail:
    """The part of a model that is traced; see `tail_of`.

    Args:
        model: a functional one.
        head: its calls of layers that are done on the host, in order.
        tail: the others.
        between: what the tail needs of the head, and of the inputs.
    """

    def __init__(
        self, model: Any, head: Sequence[Node], tail: Sequence[Node], between: Sequence[Symbolic]
    ) -> None:
        self.model, self.head, self.tail, self.between = model, head, tail, between

    @property
    def name(self) -> str:
        """That of the model."""
        return str(self.model.name)

    @property
    def weights(self) -> list[Any]:
        """Those of the model."""
        return list(self.model.weights)

    @property
    def trainable_weights(self) -> list[Any]:
        """Those of the model."""
        return list(self.model.trainable_weights)

    @property
    def state_variables(self) -> list[Any]:
        """Those of the model."""
        return list(self.model.state_variables)

    def arranged(self, flat: Sequence[Any]) -> list[Any]:
        """What is between, as the tail is called with it."""
        return list(flat)

    def prepared(self, x: Sequence[Any]) -> list[Any]:
        """What is between, as arrays, for arrays of the model's inputs."""
        known: dict[int, Any] = {}
        model, given = self.model, [tensor(array) for array in x]
        given = fitted(model.name, model.inputs_form, model.inputs, given)
        for symbol, value in zip(model.inputs, given, strict=True):
            known[id(symbol)] = value
        with scope.entered(scope.Scope()) as step:
            _follow(self.head, known, False)
        for variable, value in step.pairs():
            variable.assign(value)
        return [known[id(s)].numpy() for s in self.between]

    def __call__(self, between: Sequence[Any], training: bool = False) -> Any:
        """The outputs of the model."""
        known = dict(zip(map(id, self.between), between, strict=True))
        _follow(self.tail, known, training)
        return mapped(self.model.outputs_form, lambda s: known[id(s)])


def _follow(nodes: Sequence[Node], known: dict[int, Any], training: bool) -> None:
    """Call the layers of nodes with what is known, which becomes more."""
    for node in nodes:
        args, options = mapped((node.args, node.options), lambda s: known[id(s)])
        options.setdefault("training", training)
        results, _ = flatten(node.layer(*args, **options))
        known.update(zip(map(id, node.outputs), results, strict=True))


def tail_of(model: Any) -> Tail | None:
    """The traced part of a functional model that begins with layers of the host; None of others."""
    if not model.functional:
        return None
    order: list[Node] = [n for n in model._order if n.args]
    maker = {id(s): n for n in order for s in n.outputs}
    before: set[int] = set()
    # Whatever a layer of the host needs is done there, too.
    for node in reversed(order):
        if id(node) in before or getattr(node.layer, "host", False):
            before.add(id(node))
            before.update(id(maker[id(s)]) for s in node.inputs if id(s) in maker)
    if not before:
        return None
    head = [n for n in order if id(n) in before]
    tail = [n for n in order if id(n) not in before]
    made = {id(s) for n in tail for s in n.outputs}
    needed = [s for n in tail for s in n.inputs] + list(model.outputs)
    between = list({id(s): s for s in needed if id(s) not in made}.values())
    return Tail(model, head, tail, between)

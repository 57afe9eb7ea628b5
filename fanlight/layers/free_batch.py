"""Models whose number of examples is fixed, which a page that trains cannot have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fanlight.errors import FanlightError
from fanlight.layers.layer import Layer
from fanlight.layers.model import Model


def refuse_fixed_batch(model: Any) -> None:
    """Refuse what holds for one number of examples: steps of a page take any up to a bound, and
    `predict` takes one.

    Raises:
        FanlightError: E-BUILD-005 a layer keeps states from batch to batch, or an input has a
            batch_size.
    """
    if not isinstance(model, Model):
        return
    kept = [layer.name for layer in _inside(model) if getattr(layer, "stateful", False)]
    if kept:
        raise FanlightError(
            "E-BUILD-005",
            f"{kept[0]} is stateful: it goes on from the states of the batch before, which has to "
            "have as many examples.",
            where=f"train, layer {', '.join(kept[:5])} of {model.name}",
            expected="layers that begin each batch anew, since a page's batches have any size",
            received="stateful=True",
            next="make the model anew with stateful=False and fl.Input(shape), without batch_size; "
            "new.set_weights(model.get_weights()) keeps what it has learnt.",
        )
    fixed = [s for s in (model.inputs if model.functional else ()) if s.shape[0] is not None]
    if fixed:
        raise FanlightError(
            "E-BUILD-005",
            f"the model takes {fixed[0].shape[0]} examples at a time, no more and no less.",
            where=f"train, input {fixed[0].name} of {model.name}",
            expected="a free number of examples, since a page's batches have any size",
            received=f"shape {list(fixed[0].shape)}",
            next="make the model anew with fl.Input(shape), without batch_size; "
            'dims={"batch": 64} bounds the batches of the page.',
        )


def _inside(layer: Layer) -> Iterator[Layer]:
    for part in layer.sublayers():
        yield part
        yield from _inside(part)

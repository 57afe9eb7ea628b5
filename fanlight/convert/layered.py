"""A part of a model of layers: from the results of some layers to those of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fanlight.dtypes import short
from fanlight.errors import FanlightError
from fanlight.layers.core import Masking
from fanlight.layers.inputs import names_in
from fanlight.layers.layer import Layer
from fanlight.layers.model import Input, InputLayer, Model
from fanlight.layers.symbolic import symbols


def type_of(symbol: Any) -> str:
    """The type of a stand-in; its batch is one example, as in graphs."""
    sizes = [1 if d is None and not axis else d for axis, d in enumerate(symbol.shape)]
    shape = ", ".join("?" if d is None else str(d) for d in sizes)
    return f"{short(symbol.dtype)}[{shape}]"


def symbols_of(model: Any) -> dict[str, Any]:
    """The stand-ins of a functional model by the names that they can be cut at: of its inputs, and
    of layers with one place and one result. None of a model of a class of its own, of which its
    code alone knows what lies between.
    """
    if not model.functional:
        return {}
    inputs = dict(zip(model.input_types(), model.inputs, strict=True))
    results = {
        layer.name: layer.nodes[0].outputs[0]
        for layer in model.layers
        if len(layer.nodes) == 1 and len(layer.nodes[0].outputs) == 1
    }
    return {**inputs, **results} | inputs


def between_layers(
    model: Any, inputs: Sequence[str], outputs: Sequence[str], names: Sequence[str] = ()
) -> Any:
    """The functional model from the results of some layers to those of others; None where the
    names are not those of layers or of the model's outputs, or nothing lies between. Its outputs
    are in a dict, which has the order of its keys, where some are not called as their layers.

    Args:
        names: of all outputs in its graph, where those of one layer are counted.
    """
    places = symbols_of(model)
    if not places:
        return None
    names = names if len(names) == len(model.outputs) else model.output_names
    # Outputs first, as `cut` has it: their names may be keys of a dict.
    known = places | dict(zip(reversed(names), reversed(model.outputs), strict=True))
    if any(n not in places for n in inputs) or any(n not in known for n in outputs):
        return None
    keyed = names_in([known[n] for n in outputs]) != list(outputs)
    starts = [places[n] for n in inputs] or list(model.inputs)
    ends = [known[n] for n in outputs] or list(model.outputs)
    if not (inputs or outputs) or any(end is start for end in ends for start in starts):
        return None
    start = starts[0] if len(starts) == 1 else starts if inputs else model.inputs_form
    end: Any = model.outputs_form
    if outputs:
        one = ends[0] if len(ends) == 1 else ends
        end = {n: known[n] for n in outputs} if keyed else one
    try:
        part = Model(start, end, name=model.name)
    except FanlightError:  # other inputs are needed, too: the cut of the graph says which
        return None
    masks = _makers_of_masks([places[n] for n in inputs])
    if masks:
        raise FanlightError(
            "E-CONVERT-003",
            "what is to be cut out depends on a mask that is made in front of it.",
            where=model.name,
            expected="a part that begins in front of the layer that makes the mask",
            received=f"{', '.join(inputs)}, behind {', '.join(masks)}"[:300],
            next="begin at the inputs of the model, or where no mask comes from.",
        )
    return part


def _makers_of_masks(starts: Sequence[Any]) -> list[str]:
    """The layers in front of some stand-ins that tell later ones which steps count."""
    open_, seen, found = [x.node for x in starts], set(), []
    while open_:
        node = open_.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        layer = node.layer
        if isinstance(layer, Masking) or getattr(layer, "mask_zero", False):
            found.append(layer.name)
        own = type(layer).compute_mask is not Layer.compute_mask
        if not (own or layer.supports_masking) or not getattr(layer, "return_sequences", True):
            continue  # it uses its mask up
        open_ += [x.node for x in symbols((node.args, node.options))]
    return found


def with_inputs(part: Any) -> Any:
    """A part that begins inside of a model, with inputs of its own, so that it can be saved."""
    if all(isinstance(x.node.layer, InputLayer) for x in part.inputs):
        return part
    types = part.input_types()
    fresh = [Input(batch_shape=s, dtype=d, name=n) for n, (s, d) in types.items()]
    start = fresh[0] if len(fresh) == 1 else fresh
    return Model(start, part.recalled(fresh), name=part.name)

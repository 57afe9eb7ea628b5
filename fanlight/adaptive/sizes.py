"""The same model for pictures of another size: its graph, told again."""

from __future__ import annotations

from typing import Any

from fanlight.errors import FanlightError
from fanlight.graph import Builder, Graph, Value
from fanlight.graph.core import Node

_POOLS = ("avg_pool", "max_pool")
_WINDOWED = ("conv2d", "depthwise_conv2d", *_POOLS)


def resized(graph: Graph, size: tuple[int, int]) -> Graph:
    """The graph of a model of pictures for another height and width, with the same weights.

    That is possible where all weights slide over the picture (convolutions, pooling) and what comes
    after is made of a mean or maximum over all of it. Padding that kept "same" sizes still does,
    and a pooling window that was the whole picture still is.

    Raises:
        FanlightError: E-BUILD-003 a part of the model is made for one size.
    """
    source = graph.inputs[0] if graph.inputs else None
    if source is None or len(graph.inputs) != 1 or not _is_picture(source):
        raise _misfit(graph, "the model", "no single picture goes in")
    builder = Builder(graph.name)
    shape = (source.shape[0], *size, source.shape[3])
    known: dict[Value, Value] = {source: builder.input(source.name, shape, source.dtype)}
    for value, array in graph.weights.items():
        known[value] = builder.weight(array, value.name, value.shape)
    for node in graph.nodes:
        inputs = [known[v] for v in node.inputs]
        try:
            made = builder.add(node.op, *inputs, name=node.name, **_attrs(node, inputs[:1]))
        except FanlightError as error:
            raise _misfit(graph, f"{node.name} ({node.op})", error.received) from error
        values = made if isinstance(made, tuple) else (made,)
        known.update(zip(node.outputs, values, strict=True))
    for name, value in graph.outputs:
        if known[value].shape != value.shape:
            raise _misfit(graph, f"the output {name}", f"{known[value].type}, not {value.type}")
    return builder.finish({name: known[value] for name, value in graph.outputs})


def _is_picture(value: Value) -> bool:
    shape = value.type.bound
    return value.type.static and len(shape) == 4 and shape[3] in (1, 3)


def _attrs(node: Node, inputs: list[Value]) -> dict[str, Any]:
    """The attributes of a node whose input has another size than before."""
    attrs = dict(node.attrs)
    if node.op not in _WINDOWED:
        return attrs
    before, after = (tuple(v.type.bound[1:3]) for v in (node.inputs[0], inputs[0]))
    whole = node.op in _POOLS and tuple(attrs["size"]) == before and not _any(attrs["padding"])
    if whole and tuple(node.output.type.bound[1:3]) == (1, 1):
        # The mean of the whole picture is that of the whole picture.
        return attrs | {"size": after, "strides": (1, 1)}
    window = node.inputs[1].type.bound[:2] if node.op not in _POOLS else attrs["size"]
    steps, apart = attrs["strides"], attrs.get("dilations", (1, 1))
    padding = list(attrs["padding"])
    for axis in (0, 1):
        reach = (window[axis] - 1) * apart[axis] + 1
        if any(padding[axis]) and padding[axis] == _same(before[axis], reach, steps[axis]):
            padding[axis] = _same(after[axis], reach, steps[axis])
    return attrs | {"padding": tuple(padding)}


def _any(padding: Any) -> bool:
    return any(any(pair) for pair in padding)


def _same(size: int, reach: int, step: int) -> tuple[int, int]:
    """The padding of TensorFlow's "SAME": the result has size / step places, rounded up."""
    total = max((-(-size // step) - 1) * step + reach - size, 0)
    return total // 2, total - total // 2


def _misfit(graph: Graph, part: str, received: object) -> FanlightError:
    return FanlightError(
        "E-BUILD-003",
        f"the model does not allow another input size: {part} is made for one.",
        where=graph.name,
        expected="convolutions and pooling, then a mean over all places",
        received=str(received)[:200],
        next="leave sizes out of tiers: tiers=['f32', 'f16'].",
    )

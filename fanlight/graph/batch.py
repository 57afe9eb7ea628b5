"""The same graph for any batch: a leading dim that is 1 at import becomes a symbol again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import Any

from fanlight.errors import FanlightError
from fanlight.graph.builder import Builder
from fanlight.graph.core import Graph, Node, Value
from fanlight.ops.apart import keeps_apart
from fanlight.ops.row import lookup
from fanlight.ops.types import Dim

BATCH = Dim("batch", 64)
_MOST_TURNS = 4096
_MOST_NODES = 200_000
# Ops along an axis that mix what lies along it: examples of a batch do not mix.
_MIXING = ("softmax", "log_softmax", "cumsum", "cumprod", "cummax", "cummin", "arg_max", "arg_min")
_REDUCING = ("sum", "mean", "prod", "max", "min", "any", "all", "fused_sum")


class Fixed(Exception):
    """Why a graph has to keep its batch of 1."""


def free_batch(graph: Graph, inputs: Iterable[str]) -> Graph:
    """The graph whose inputs of these names have a symbol as their leading dim.

    Raises:
        Fixed: the examples of a batch would not stay apart, or an op takes no symbol there.
    """
    free = set(inputs)
    builder = Builder(graph.name)
    new: dict[Value, Value] = {}
    for v in graph.inputs:
        batched = v.name in free and v.shape[:1] == (1,)
        shape = (BATCH, *v.shape[1:]) if batched else v.shape
        new[v] = builder.input(v.name, shape, v.dtype)
    for v, array in graph.weights.items():
        new[v] = builder.weight(array, v.name, v.shape)
    for node in graph.nodes:
        given = [new[v] for v in node.inputs]
        if node.op == "concat":
            given = _repeated(builder, node, given)
        attrs = dict(node.attrs)
        if any(not v.type.static for v in given):
            attrs = _attrs(node, given, attrs)
        try:
            made = builder.add(
                node.op, *given, name=node.name, outputs=[v.name for v in node.outputs], **attrs
            )
        except FanlightError as error:
            raise Fixed(f"{node.name} ({node.op}): {error.message}") from error
        values = made if isinstance(made, tuple) else (made,)
        types = [v.type for v in given]
        if any(not v.type.static for v in (*given, *values)) and not keeps_apart(
            lookup(node.op), types, builder.last.attrs, [v.type for v in values], BATCH.name
        ):
            raise Fixed(f"{node.name} ({node.op}): it mixes the examples of a batch")
        for old, value in zip(node.outputs, values, strict=True):
            if len(old.shape) != len(value.shape):
                raise Fixed(f"{node.name} ({node.op}): another number of dims")
            for was, now in zip(old.shape, value.shape, strict=True):
                if now != was and not (isinstance(now, Dim) and now.times == was):
                    raise Fixed(f"{node.name} ({node.op}): its shape would be {value.type}")
            new[old] = value
    return builder.finish({name: new[v] for name, v in graph.outputs})


def _repeated(builder: Builder, node: Node, given: list[Value]) -> list[Value]:
    """What is joined with a batch and is the same for all examples, once for each: a class token,
    a first state.
    """
    made, joined = list(given), node.attrs["axis"] % len(given[0].shape)
    for axis in range(len(given[0].shape)):
        dim = next((v.shape[axis] for v in made if isinstance(v.shape[axis], Dim)), None)
        if dim is None or dim.times != 1 or axis == joined:
            continue
        for i, v in enumerate(made):
            if v.shape[axis] == 1:
                shape = (*v.shape[:axis], dim, *v.shape[axis + 1 :])
                made[i] = builder.add("broadcast_to", v, name=f"{node.name}/each", shape=shape)
    return made


def _attrs(node: Node, given: list[Value], attrs: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a node some of whose inputs have symbols."""
    op, x = node.op, given[0]
    old = node.inputs[0].shape

    def at(axis: int, value: Value = x) -> bool:
        return isinstance(value.shape[axis], Dim)

    if op == "reshape":
        return {**attrs, "shape": _reshaped(node, x, node.output.shape)}
    if op == "broadcast_to":
        shape = list(node.output.shape)
        lead = len(shape) - len(x.shape)
        for axis, d in enumerate(x.shape):
            if isinstance(d, Dim):
                if shape[lead + axis] != old[axis]:
                    raise Fixed(f"{node.name} (broadcast_to): repeats the batch")
                shape[lead + axis] = d
        return {**attrs, "shape": tuple(shape)}
    if op == "slice":
        size = list(attrs["size"])
        for axis, d in enumerate(x.shape):
            if isinstance(d, Dim):
                if size[axis] != old[axis]:
                    raise Fixed(f"{node.name} (slice): cuts the batch")
                size[axis] = d
        return {**attrs, "size": tuple(size)}
    if op == "strided_slice":
        end = list(attrs["end"])
        for axis, d in enumerate(x.shape):
            if isinstance(d, Dim):
                if (attrs["begin"][axis], end[axis], attrs["strides"][axis]) != (0, old[axis], 1):
                    raise Fixed(f"{node.name} (strided_slice): cuts the batch")
                end[axis] = d
        return {**attrs, "end": tuple(end)}
    mixed: list[int] = []
    if op in _REDUCING:
        mixed = list(attrs["axes"])
    elif op in _MIXING or op == "gather":
        mixed = [attrs["axis"]]
    elif op == "reverse":
        mixed = list(attrs["axes"])
    elif op in ("top_k", "sort"):
        mixed = [-1]
    elif op in ("pad", "mirror_pad"):
        mixed = [a for a, p in enumerate(attrs["paddings"]) if tuple(p) != (0, 0)]
    elif op == "tile":
        mixed = [a for a, n in enumerate(attrs["multiples"]) if n != 1]
    elif op in ("gather_nd", "search_sorted", "non_max_suppression"):
        raise Fixed(f"{node.name} ({op}): counts the examples of a batch")
    elif op == "concat":
        for value in given:
            if at(attrs["axis"], value):
                raise Fixed(f"{node.name} (concat): joins batches")
    elif op == "scatter_nd":
        raise Fixed(f"{node.name} (scatter_nd): counts the examples of a batch")
    if any(at(axis) for axis in mixed):
        raise Fixed(f"{node.name} ({op}): mixes the examples of a batch")
    return attrs


def _reshaped(node: Node, x: Value, shape: tuple[Any, ...]) -> tuple[Any, ...]:
    """The new shape, with the symbol where the batch of x goes."""
    axes = [a for a, d in enumerate(x.shape) if isinstance(d, Dim)]
    if len(axes) != 1:
        raise Fixed(f"{node.name} (reshape): of several symbols")
    old = node.inputs[0].shape
    dim: Dim = x.shape[axes[0]]
    before, rest = prod(old[: axes[0]]), prod(old[axes[0] + 1 :])
    # The batch comes first of the elements behind `before` others: so does the new dim.
    fits = []
    for axis, size in enumerate(shape):
        if prod(shape[:axis]) != before or size < 1 or (size % dim.times and dim.times % size):
            continue
        if size >= dim.times and size % dim.times == 0:
            fits.append((size != 1, size != dim.times, axis != axes[0], axis))
        elif dim.times % size == 0 and dim.times > 1:
            fits.append((size != 1, True, axis != axes[0], axis))
    if not fits or not rest * before:
        raise Fixed(f"{node.name} (reshape): the batch has no place in {list(shape)}")
    axis = min(fits)[3]
    made = list(shape)
    made[axis] = dim.symbol if shape[axis] == 1 else dim.symbol.merged(shape[axis])
    return tuple(made)


def unroll_scans(graph: Graph) -> Graph:
    """The graph with every scan written out turn by turn, for formats that have no scan.

    Raises:
        Fixed: there would be more than 200,000 nodes.
    """
    if not any(n.op == "scan" for n in graph.nodes):
        return graph
    builder = Builder(graph.name)
    new: dict[Value, Value] = {}
    for v in graph.inputs:
        new[v] = builder.input(v.name, v.shape, v.dtype)
    for v, array in graph.weights.items():
        new[v] = builder.weight(array, v.name, v.shape)
    for node in graph.nodes:
        given = [new[v] for v in node.inputs]
        if node.op == "scan":
            values = _turns(builder, node, given)
        else:
            made = builder.add(
                node.op,
                *given,
                name=node.name,
                outputs=[v.name for v in node.outputs],
                **node.attrs,
            )
            values = made if isinstance(made, tuple) else (made,)
        new.update(zip(node.outputs, values, strict=True))
    return builder.finish({name: new[v] for name, v in graph.outputs})


def _turns(builder: Builder, node: Node, given: list[Value]) -> tuple[Value, ...]:
    attrs: Mapping[str, Any] = node.attrs
    length = attrs["length"]
    body: Graph = unroll_scans(attrs["fn"].graph)
    if not isinstance(length, int) or length > _MOST_TURNS:
        raise Fixed(f"{node.name} (scan): {length} turns")
    if length * len(body.nodes) > _MOST_NODES:
        raise Fixed(f"{node.name} (scan): {length} turns of {len(body.nodes)} nodes")
    low = attrs["carried"]
    high = low + attrs["scanned"]
    carry, xs, rest = given[:low], given[low:high], given[high:]
    shared = {
        v: builder.weight(a, f"{node.name}/{v.name}", v.shape) for v, a in body.weights.items()
    }
    steps: list[list[Value]] = []
    for i in reversed(range(length)) if attrs["reverse"] else range(length):
        known = dict(shared)
        slices = []
        for x in xs:
            begin, size = (i, *[0] * (len(x.shape) - 1)), (1, *x.shape[1:])
            part = builder.add("slice", x, name=f"{node.name}/{i}", begin=begin, size=size)
            slices.append(builder.add("reshape", part, name=f"{node.name}/{i}", shape=x.shape[1:]))
        known.update(zip(body.inputs, [*carry, *slices, *rest], strict=True))
        for inner in body.nodes:
            made = builder.add(
                inner.op,
                *(known[v] for v in inner.inputs),
                name=f"{node.name}/{i}/{inner.name}",
                **inner.attrs,
            )
            known.update(
                zip(inner.outputs, made if isinstance(made, tuple) else (made,), strict=True)
            )
        results = [known[v] for _, v in body.outputs]
        carry = results[:low]
        steps.append(results[low:])
    if attrs["reverse"]:
        steps.reverse()
    stacked = []
    for parts in zip(*steps, strict=True):
        # Turns become the second dim and then the first: a batch stays the leading dim meanwhile.
        row, at = f"{node.name}/row", min(len(parts[0].shape), 1)
        lead, tail = parts[0].shape[:at], parts[0].shape[at:]
        rows = [builder.add("reshape", p, name=row, shape=(*lead, 1, *tail)) for p in parts]
        whole = builder.add("concat", *rows, name=f"{row}s", axis=at) if len(rows) > 1 else rows[0]
        if at:
            perm = (1, 0, *range(2, len(whole.shape)))
            whole = builder.add("transpose", whole, name=f"{row}s", perm=perm)
        stacked.append(whole)
    return (*carry, *stacked)

"""Elementwise, reducing and moving ops as loop nests; `loop_emit` turns those into code.

An op's nests write disjoint parts of its output, so that any split of the work is safe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import inf, prod
from typing import Any

import numpy as np

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register
from fanlight.codegen.wasm.kernels.loop_emit import emit_nests
from fanlight.codegen.wasm.kernels.loop_forms import form, in_order, normalise, signature, units
from fanlight.codegen.wasm.kernels.loop_ir import Access, Nest, Reduce, View, access, move
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.ops import scalar as sc
from fanlight.ops.row import lookup
from fanlight.ops.types import TensorType
from fanlight.targets import Target

Types = Sequence[TensorType]
Attrs = Mapping[str, Any]
Moves = list[tuple[View, View | None]]
"""Pairs (view of the output, view of the input); without an input view the pad value is stored."""


@register("loops")
def lower(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of any op whose row says that loops can compute it."""
    types = [v.type for v in node.inputs]
    made = nests(node.op, types, node.outputs[0].type, node.attrs)
    kernel = nest_kernel(made, len(types), node_bytes(node))
    return replace(kernel, in_place=_replaceable(made, len(types)))


def _replaceable(made: Sequence[Nest], inputs: int) -> frozenset[int]:
    """The inputs that an elementwise nest reads as it writes: element by element, in order."""
    if len(made) != 1 or not made[0].elements:
        return frozenset()
    nest = normalise(made[0])
    if nest.reduce is not None or form(nest) != "map":
        return frozenset()
    store = nest.store
    alike = {
        p: all(
            (a.strides, a.offset, a.width) == (store.strides, store.offset, store.width)
            for a in nest.loads
            if a.pointer == p
        )
        for p in range(inputs)
    }
    read = {a.pointer for a in nest.loads}
    return frozenset(p for p, same in alike.items() if same and p in read)


def nest_kernel(made: Sequence[Nest], inputs: int, traffic: int) -> Kernel:
    """A kernel with some input pointers and one output pointer that runs nests."""
    ready = [normalise(n) for n in made if n.elements]
    # Where the units of one nest end and those of the next begin is in the code.
    bounds = "+".join(str(units(n)) for n in ready[:-1])

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * (inputs + 3))
        *pointers, low, high = f.params
        emit_nests(f, ready, pointers, low, high)

    return Kernel(
        key=f"loops {inputs} {bounds}: " + " | ".join(map(signature, ready)),
        emit=emit,
        work=max(1, sum(map(units, ready))),
        in_order=len(ready) == 1 and in_order(ready[0]),
        flops=sum(n.elements * (sc.cost(n.body) + (n.reduce is not None)) for n in ready),
        bytes=traffic,
    )


def nests(op: str, inputs: Types, output: TensorType, attrs: Attrs) -> list[Nest]:
    """The loop nests of one call. Pointers count the inputs, then the output."""
    if op in _REDUCTIONS:
        return [_reduction(op, _A, inputs, output, attrs)]
    if op == "fused_sum":
        fold = "mean" if attrs["mean"] else "sum"
        return [_reduction(fold, sc.parse(attrs["body"]), inputs, output, attrs)]
    if op == "concat":
        return _concat(inputs, output, attrs)
    if op in _MOVES:
        source = View.dense(inputs[0].bound)
        target = View.dense(output.bound)
        value = attrs.get("value", 0)
        return [
            move(to, from_, (0, 1), output.dtype, value)
            for to, from_ in _MOVES[op](source, target, attrs)
        ]
    return [elementwise(body(op, len(inputs), attrs), inputs, output)]


def body(op: str, count: int, attrs: Attrs) -> sc.Expr:
    """What an elementwise op computes for one element of each of its `count` inputs."""
    if op == "fused":
        return sc.parse(attrs["body"])
    scalar = lookup(op).scalar
    if scalar is None:
        raise KeyError(f"{op} is not an op of loops")
    return scalar(*map(sc.arg, range(count)), **attrs)


def elementwise(expr: sc.Expr, inputs: Types, output: TensorType) -> Nest:
    """An expression over broadcast inputs."""
    used = sorted({n.value for n in sc.topological(expr) if n.op == "arg"})
    expr = sc.substitute(expr, {old: sc.arg(new) for new, old in enumerate(used)})
    shape = output.bound
    loads = tuple(
        access(View.dense(inputs[i].bound).broadcast(shape), i, inputs[i].dtype) for i in used
    )
    return Nest(shape, loads, access(View.dense(shape), len(inputs), output.dtype), expr)


# --- reductions -----------------------------------------------------------------------------------

_A, _B = sc.arg(0), sc.arg(1)
# op -> combine, identity of float32, of int32, of bool
_REDUCTIONS: dict[str, tuple[sc.Expr, Any, Any, Any]] = {
    "sum": (_A + _B, 0.0, 0, None),
    "mean": (_A + _B, 0.0, 0, None),
    "prod": (_A * _B, 1.0, 1, None),
    "max": (sc.maximum(_A, _B), -inf, -(2**31), None),
    "min": (sc.minimum(_A, _B), inf, 2**31 - 1, None),
    "any": (sc.logical_or(_A, _B), None, None, False),
    "all": (sc.logical_and(_A, _B), None, None, True),
}


def _reduction(op: str, expr: sc.Expr, inputs: Types, output: TensorType, attrs: Attrs) -> Nest:
    whole = elementwise(expr, inputs, TensorType(_broadcast(inputs), output.dtype))
    rank = len(whole.sizes)
    axes = {a % rank for a in attrs["axes"]}
    order = [d for d in range(rank) if d not in axes] + sorted(axes)
    shape = tuple(whole.sizes[d] for d in order)
    kept = rank - len(axes)
    strides = View.dense(shape[:kept]).strides + (0,) * len(axes)
    combine, for_float, for_int, for_bool = _REDUCTIONS[op]
    identity = {"float32": for_float, "bool": for_bool}.get(output.dtype, for_int)
    count = prod(shape[kept:])
    after = _A / float(count) if op == "mean" else _A
    if not count:
        # Nothing to add up: the identity, everywhere.
        target = View.dense(output.bound)
        return move(target, None, (0, len(inputs)), output.dtype, identity)
    loads = [replace(a, strides=tuple(a.strides[d] for d in order)) for a in whole.loads]
    store = Access(len(inputs), output.dtype, strides)
    fold = Reduce(len(axes), combine, identity, after)
    return Nest(shape, tuple(loads), store, whole.body, fold)


def _broadcast(inputs: Types) -> tuple[int, ...]:
    return np.broadcast_shapes(*(x.bound for x in inputs))


# --- movement -------------------------------------------------------------------------------------


def _concat(inputs: Types, output: TensorType, attrs: Attrs) -> list[Nest]:
    axis = attrs["axis"] % output.rank
    whole = View.dense(output.bound)
    made, at = [], 0
    for index, x in enumerate(inputs):
        size = x.bound[axis]
        part = whole.cut(axis, at, size)
        made.append(move(part, View.dense(x.bound), (index, len(inputs)), output.dtype))
        at += size
    return made


def _transpose(x: View, y: View, attrs: Attrs) -> Moves:
    return [(y, x.permute(attrs["perm"]))]


def _slice(x: View, y: View, attrs: Attrs) -> Moves:
    for axis, begin in enumerate(attrs["begin"]):
        x = x.cut(axis, begin, y.shape[axis])
    return [(y, x)]


def _strided_slice(x: View, y: View, attrs: Attrs) -> Moves:
    for axis, (begin, step) in enumerate(zip(attrs["begin"], attrs["strides"], strict=True)):
        x = x.cut(axis, begin, y.shape[axis], step)
    return [(y, x)]


def _reverse(x: View, y: View, attrs: Attrs) -> Moves:
    for axis in attrs["axes"]:
        size = x.shape[axis]
        x = x.cut(axis, size - 1, size, -1)
    return [(y, x)]


def _broadcast_to(x: View, y: View, attrs: Attrs) -> Moves:
    return [(y, x.broadcast(y.shape))]


def _tile(x: View, y: View, attrs: Attrs) -> Moves:
    for axis in reversed(range(len(x.shape))):
        times = attrs["multiples"][axis]
        y = y.split(axis, (times, x.shape[axis]))
        x = x.repeat(axis, times)
    return [(y, x)]


def _pad(x: View, y: View, attrs: Attrs) -> Moves:
    return _frame(x, y, [before for before, _ in attrs["paddings"]])


def _frame(x: View, y: View, begins: Sequence[int]) -> Moves:
    """Put `x` into `y` at `begins` and fill what is left of `y`, in blocks as long as possible."""
    moves: Moves = []
    for axis, begin in enumerate(begins):
        size, room = x.shape[axis], y.shape[axis]
        moves.append((y.cut(axis, 0, begin), None))
        moves.append((y.cut(axis, begin + size, room - begin - size), None))
        y = y.cut(axis, begin, size)
    return [*moves, (y, x)]


def _mirror_pad(x: View, y: View, attrs: Attrs) -> Moves:
    # "reflect" leaves out the edge element, "symmetric" repeats it.
    skip = 1 if attrs["mode"] == "reflect" else 0
    pieces = []
    for size, (before, after) in zip(x.shape, attrs["paddings"], strict=True):
        # begin in y, size, begin in x, step in x
        pieces.append(
            [
                (0, before, before - 1 + skip, -1),
                (before, size, 0, 1),
                (before + size, after, size - 1 - skip, -1),
            ]
        )
    moves: Moves = []
    for choice in product(*pieces):
        to, from_ = y, x
        for axis, (begin, size, start, step) in enumerate(choice):
            to, from_ = to.cut(axis, begin, size), from_.cut(axis, start, size, step)
        moves.append((to, from_))
    return moves


def _depth_to_space(x: View, y: View, attrs: Attrs) -> Moves:
    block, depth = attrs["block"], y.shape[3]
    x = x.split(3, (block, block, depth)).permute((0, 1, 3, 2, 4, 5))
    return [(y.split(2, (y.shape[2] // block, block)).split(1, (y.shape[1] // block, block)), x)]


def _space_to_depth(x: View, y: View, attrs: Attrs) -> Moves:
    block, depth = attrs["block"], x.shape[3]
    y = y.split(3, (block, block, depth)).permute((0, 1, 3, 2, 4, 5))
    return [(y, x.split(2, (x.shape[2] // block, block)).split(1, (x.shape[1] // block, block)))]


def _blocks_first(x: View, block: Sequence[int]) -> View:
    """[N, space..., rest...] as [places in a block..., N, blocks..., rest...]."""
    count, rank = len(block), len(x.shape)
    for axis in range(count, 0, -1):
        x = x.split(axis, (x.shape[axis] // block[axis - 1], block[axis - 1]))
    places = range(2, 2 * count + 1, 2)
    blocks = range(1, 2 * count, 2)
    return x.permute((*places, 0, *blocks, *range(2 * count + 1, rank + count)))


def _space_to_batch(x: View, y: View, attrs: Attrs) -> Moves:
    """One part per position inside the blocks; parts follow one another in the batch."""
    block, paddings = attrs["block"], attrs["paddings"]
    batch = x.shape[0]
    if not any(map(any, paddings)):
        return [(y.split(0, (*block, batch)), _blocks_first(x, block))]
    moves: Moves = []
    for index, place in enumerate(product(*map(range, block))):
        to, from_ = y.cut(0, index * batch, batch), x
        begins = [0]
        for axis, (o, b, (before, _)) in enumerate(
            zip(place, block, paddings, strict=True), start=1
        ):
            # y[i] is x[i * b + o - before] where that exists.
            first = max(0, -(-(before - o) // b))
            last = min(y.shape[axis] - 1, (x.shape[axis] - 1 + before - o) // b)
            count = max(0, last - first + 1)
            from_ = from_.cut(axis, first * b + o - before, count, b)
            begins.append(first if count else 0)
        moves += _frame(from_, to, begins)
    return moves


def _batch_to_space(x: View, y: View, attrs: Attrs) -> Moves:
    block, crops = attrs["block"], attrs["crops"]
    batch = y.shape[0]
    if not any(map(any, crops)):
        return [(_blocks_first(y, block), x.split(0, (*block, batch)))]
    moves: Moves = []
    for index, place in enumerate(product(*map(range, block))):
        to, from_ = y, x.cut(0, index * batch, batch)
        for axis, (o, b, (before, _)) in enumerate(zip(place, block, crops, strict=True), start=1):
            # y[i * b + o - before] is x[i] where that exists.
            first = max(0, -(-(before - o) // b))
            last = min(x.shape[axis] - 1, (y.shape[axis] - 1 + before - o) // b)
            count = max(0, last - first + 1)
            to = to.cut(axis, first * b + o - before, count, b)
            from_ = from_.cut(axis, first, count)
        moves.append((to, from_))
    return moves


_MOVES: dict[str, Callable[[View, View, Attrs], Moves]] = {
    "transpose": _transpose,
    "slice": _slice,
    "strided_slice": _strided_slice,
    "pad": _pad,
    "mirror_pad": _mirror_pad,
    "tile": _tile,
    "reverse": _reverse,
    "broadcast_to": _broadcast_to,
    "depth_to_space": _depth_to_space,
    "space_to_depth": _space_to_depth,
    "space_to_batch": _space_to_batch,
    "batch_to_space": _batch_to_space,
}

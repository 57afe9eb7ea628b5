"""How the dims of an op's operands are the dims of its result, for the ops that may be computed
in another order of axes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from fanlight.graph import Node, Value
from fanlight.passes.bodies import elementwise

REDUCTIONS = ("sum", "mean", "prod", "max", "min", "any", "all")
# One dim is worked on, all others stay apart. The others in the list get a dim's worth per dim.
ALONG = ("softmax", "log_softmax", "cumsum", "cumprod", "cummax", "cummin")
PER_DIM = ("pad", "mirror_pad", "slice", "strided_slice", "reverse", "tile")
# Operands of these are images, [N, H, W, C].
WINDOWS = ("conv2d", "depthwise_conv2d", "conv2d_transpose", "max_pool", "avg_pool",
           "resize_bilinear", "resize_nearest", "depth_to_space", "space_to_depth")  # fmt: skip

# A dim of an operand and one of the result: the same axes; others in their place; the operand's is
# reduced; the operand's is 1 and repeated.
SAME, OTHER, GONE, ONE = "same", "other", "gone", "one"
Dims = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Links:
    """What an op does with dims.

    Attributes:
        operands: per operand and dim what becomes of it, and the dim of the result; None for an
            operand that is read as it is stated.
        whole: dims of the first operand whose axes must be neighbours in any order.
    """

    operands: tuple[Dims | None, ...]
    whole: frozenset[int] = frozenset()


def links(node: Node) -> Links | None:
    """None for ops that want their operands as they are; and for reshapes: see `regroup`."""
    if len(node.outputs) != 1 or 0 in node.output.shape:
        return None
    if elementwise(node):
        return _broadcasting(node)
    made = _BY_OP.get(node.op)
    return None if made is None else made(node)


def _spread(value: Value, out: Value) -> Dims | None:
    """Of an operand that broadcasts to the result."""
    lead = len(out.shape) - len(value.shape)
    dims: list[tuple[str, int]] = []
    for d, size in enumerate(value.shape):
        if size == out.shape[lead + d]:
            dims.append((SAME, lead + d))
        elif size == 1:
            dims.append((ONE, lead + d))
        else:
            return None
    return tuple(dims)


def _broadcasting(node: Node) -> Links | None:
    found = [_spread(v, node.output) for v in node.inputs]
    whole = frozenset({len(node.output.shape) - 1}) if node.op == "batch_norm" else frozenset()
    return Links(tuple(found), whole) if None not in found else None


def _broadcast_to(node: Node) -> Links | None:
    dims = _spread(node.inputs[0], node.output)
    return None if dims is None else Links((dims,))


def _reduction(node: Node) -> Links | None:
    rank = len(node.inputs[0].shape)
    axes = {a % rank for a in node.attrs["axes"]} if rank else set()
    return _reduced(node, axes, node.attrs["keepdims"]) if axes else None


def _extreme(node: Node) -> Links | None:
    axis = node.attrs["axis"] % len(node.inputs[0].shape)
    made = _reduced(node, {axis}, False)
    return Links(made.operands, frozenset({axis}))


def _reduced(node: Node, axes: Collection[int], keepdims: bool) -> Links:
    dims: list[tuple[str, int]] = []
    at = 0
    for d in range(len(node.inputs[0].shape)):
        dims.append((GONE, -1) if d in axes else (SAME, at))
        at += keepdims or d not in axes
    return Links((tuple(dims),))


def _transpose(node: Node) -> Links:
    perm = tuple(node.attrs["perm"])
    return Links((tuple((SAME, perm.index(d)) for d in range(len(perm))),))


def _along(node: Node) -> Links:
    rank = len(node.output.shape)
    same = tuple((SAME, d) for d in range(rank))
    return Links((same,), frozenset({node.attrs["axis"] % rank}))


def _per_dim(node: Node) -> Links | None:
    (x,), out = node.inputs, node.output
    changed = changed_dims(node)
    repeated = node.op == "tile"
    return Links(
        (
            tuple(
                (SAME if not c else ONE if repeated and n == 1 else OTHER, d)
                for d, (c, n) in enumerate(zip(changed, x.shape, strict=True))
            ),
        )
    ) if len(x.shape) == len(out.shape) else None  # fmt: skip


def changed_dims(node: Node) -> list[bool]:
    """Which dims one of the ops PER_DIM does anything with."""
    x, attrs = node.inputs[0], node.attrs
    rank = len(x.shape)
    match node.op:
        case "pad" | "mirror_pad":
            return [tuple(p) != (0, 0) for p in attrs["paddings"]]
        case "slice":
            given = zip(attrs["begin"], node.output.shape, x.shape, strict=True)
            return [b != 0 or n != size for b, n, size in given]
        case "strided_slice":
            steps = zip(attrs["begin"], attrs["strides"], node.output.shape, x.shape, strict=True)
            return [b != 0 or s != 1 or n != size for b, s, n, size in steps]
        case "reverse":
            return [d in {a % rank for a in attrs["axes"]} for d in range(rank)]
        case _:
            return [m != 1 for m in attrs["multiples"]]


def _concat(node: Node) -> Links:
    rank = len(node.output.shape)
    axis = node.attrs["axis"] % rank
    dims = tuple((OTHER if d == axis else SAME, d) for d in range(rank))
    return Links((dims,) * len(node.inputs))


def _gather(node: Node) -> Links | None:
    x, indices = node.inputs
    axis = node.attrs["axis"] % len(x.shape)
    if len(indices.shape) != 1:
        return None
    return Links((tuple((OTHER if d == axis else SAME, d) for d in range(len(x.shape))), None))


_BY_OP: dict[str, Callable[[Node], Any]] = {
    **dict.fromkeys(REDUCTIONS, _reduction),
    **dict.fromkeys(ALONG, _along),
    **dict.fromkeys(PER_DIM, _per_dim),
    "arg_max": _extreme,
    "arg_min": _extreme,
    "broadcast_to": _broadcast_to,
    "concat": _concat,
    "gather": _gather,
    "transpose": _transpose,
}


def window_links(node: Node) -> Links:
    """Of the ops WINDOWS: examples stay apart, all else is new; other operands are as stated."""
    changed = tuple((SAME if d == 0 else OTHER, d) for d in range(4))
    return Links((changed, *(None for _ in node.inputs[1:])))

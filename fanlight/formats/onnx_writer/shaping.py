"""Reductions, movement, indexing, sorting and control flow as ops of ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np

from fanlight.formats.onnx_writer import proto
from fanlight.formats.onnx_writer.nodes import TO_NCHW, TO_NHWC, NodeWriter, Out, Unsupported
from fanlight.graph import Subgraph
from fanlight.ops.types import Dim

_REDUCTIONS = {
    "sum": "ReduceSum", "mean": "ReduceMean", "prod": "ReduceProd", "max": "ReduceMax",
    "min": "ReduceMin",
}  # fmt: skip
_INT, _LONG, _BOOL = proto.TYPES["int32"], proto.TYPES["int64"], proto.TYPES["bool"]
_FIRST, _LAST = -(2**62), 2**62


def _reduce(o: Out, name: str, x: str, axes: list[int], part: str = "") -> str:
    """Over some dims: an input from opset 18 on, as of ReduceSum before; else an attribute."""
    keep = int(o.attrs["keepdims"])
    if o.w.opset < 18 and name != "ReduceSum":
        return o.op(name, x, part=part, axes=axes, keepdims=keep)
    return o.op(name, x, o.w.integers(axes), part=part, keepdims=keep)


def reduction(name: str) -> Any:
    def write(o: Out) -> str:
        rank = len(o.type().shape)
        axes = [a % rank for a in o.attrs["axes"]]
        keep = int(o.attrs["keepdims"])
        if not axes:
            return o.op("Identity", o.x())
        if o.w.is_turned(o.node.inputs[0]) and (keep or sorted(axes) == [1, 2]):
            x = o.chw()
            o.is_turned = bool(keep)
            axes = [TO_NCHW.index(a) for a in axes]
        else:
            x = o.x()
        return _reduce(o, name, x, axes)

    return write


def truth(name: str) -> Any:
    def write(o: Out) -> str:
        rank = len(o.type().shape)
        number = o.op("Cast", o.x(), part="number", to=_INT)
        axes = [a % rank for a in o.attrs["axes"]]
        made = _reduce(o, name, number, axes, "reduce") if axes else number
        return o.op("Cast", made, to=_BOOL)

    return write


def arg(name: str) -> Any:
    def write(o: Out) -> str:
        axis = o.attrs["axis"] % len(o.type().shape)
        return o.op("Cast", o.op(name, o.x(), part="long", axis=axis, keepdims=0), to=_INT)

    return write


def reshape(o: Out) -> str:
    shape = o.node.output.shape
    symbols = [d for d in shape if isinstance(d, Dim)]
    if 0 in shape or len(symbols) > 1:
        return o.op("Reshape", o.x(), o.w.shape(shape, o.name), allowzero=1)
    sizes = [-1 if isinstance(d, Dim) else d for d in shape]
    return o.op("Reshape", o.x(), o.w.integers(sizes))


def slices(o: Out, x: str, begin: Any, end: Any, steps: Any) -> str:
    parts = [o.w.integers(v) for v in (begin, end, range(len(begin)), steps)]
    return o.op("Slice", x, *parts)


def slice_(o: Out) -> str:
    begin, size = o.attrs["begin"], o.attrs["size"]
    end = [_LAST if isinstance(n, Dim) else b + n for b, n in zip(begin, size, strict=True)]
    return slices(o, o.x(), begin, end, [1] * len(begin))


def strided_slice(o: Out) -> str:
    end = []
    for e, s in zip(o.attrs["end"], o.attrs["strides"], strict=True):
        end.append(_LAST if isinstance(e, Dim) else _FIRST if s < 0 and e == -1 else e)
    return slices(o, o.x(), o.attrs["begin"], end, o.attrs["strides"])


def reverse(o: Out) -> str:
    axes = o.attrs["axes"]
    if not axes:
        return o.op("Identity", o.x())
    ends = ([-1] * len(axes), [_FIRST] * len(axes), axes, [-1] * len(axes))
    return o.op("Slice", o.x(), *(o.w.integers(v) for v in ends))


def pad(o: Out) -> str:
    pairs, kind = list(o.attrs["paddings"]), o.attrs.get("mode", "constant")
    if kind == "symmetric":
        raise Unsupported("a mirror that repeats the edge")
    if o.w.is_turned(o.node.inputs[0]):
        x, pairs = o.chw(), [pairs[a] for a in TO_NCHW]
    else:
        x = o.x()
    pads = o.w.integers([*(p[0] for p in pairs), *(p[1] for p in pairs)])
    if kind == "reflect":
        return o.op("Pad", x, pads, mode="reflect")
    return o.op("Pad", x, pads, o.w.scalar(o.attrs["value"], o.type().dtype))


def concat(o: Out) -> str:
    axis = o.attrs["axis"] % len(o.type().shape)
    if any(o.w.is_turned(v) for v in o.node.inputs):
        parts = [o.chw(i) for i in range(len(o.node.inputs))]
        return o.op("Concat", *parts, axis=TO_NCHW.index(axis))
    return o.op("Concat", *o.inputs, axis=axis)


def gather(o: Out) -> str:
    axis = o.attrs["axis"] % len(o.type().shape)
    return o.op("Gather", o.x(), _inside(o, axis), axis=axis)


def _inside(o: Out, axis: int) -> str:
    """The indices of a gather, clipped if they may be outside: there ONNX counts negative ones
    from the end, and others are an error.
    """
    size = o.type().shape[axis]
    low, high = o.w.known.bounds(o.node.inputs[1])
    if low >= 0 and high < _least(size):
        return o.x(1)
    array = o.array(1)
    if isinstance(size, Dim):
        whole = o.op("Shape", o.x(), part="sizes")
        count = o.op("Gather", whole, o.w.scalar(axis, "int64"), part="size", axis=0)
        last = o.op("Sub", count, o.w.scalar(1, "int64"), part="last")
        return o.op("Clip", o.x(1), o.w.scalar(0, "int32"), o.op("Cast", last, to=_INT))
    if array is not None:
        return o.w.const(array.clip(0, size - 1), f"{o.name}/indices")
    limits = o.w.scalar(0, "int32"), o.w.scalar(max(size - 1, 0), "int32")
    return o.op("Clip", o.x(1), *limits, part="inside")


def _least(size: int | Dim) -> int:
    return size.min if isinstance(size, Dim) else size


def _long(o: Out, index: int) -> str:
    array = o.array(index)
    if array is not None:
        return o.w.const(array.astype("int64"), f"{o.name}/indices")
    return o.op("Cast", o.x(index), part="long", to=_LONG)


def gather_nd(o: Out) -> str:
    if o.attrs["outside"] != "clip":
        raise Unsupported("indices outside that give zeros")
    places = o.node.inputs[1]
    sizes = o.type().shape[: int(places.shape[-1])]  # how many dims are indexed is known
    known = zip(o.w.known.columns(places), sizes, strict=True)
    if all(low >= 0 and high < _least(size) for (low, high), size in known):
        return o.op("GatherND", o.x(), _long(o, 1))
    last = o.op("Sub", o.w.shape(sizes, o.name), o.w.scalar(1, "int64"), part="last")
    above = o.op("Max", _long(o, 1), o.w.scalar(0, "int64"), part="inside")
    return o.op("GatherND", o.x(), o.op("Min", above, last, part="inside"))


def scatter_nd(o: Out) -> str:
    mode = o.attrs["mode"]
    if len(o.node.inputs) > 2:
        base = o.x(2)
    else:
        base = o.w.const(
            np.full(o.attrs["shape"], o.attrs["value"], o.type(1).dtype), f"{o.name}/x"
        )
    if mode in ("max", "min"):
        o.since(18, f"scatter_nd of the {mode}")
    attrs = {} if mode == "update" else {"reduction": mode}
    return o.op("ScatterND", base, _long(o, 0), o.x(1), **attrs)


def cumsum(o: Out) -> str:
    axis = o.w.scalar(o.attrs["axis"] % len(o.type().shape), "int64")
    flags: dict[str, Any] = {k: int(o.attrs[k]) for k in ("exclusive", "reverse")}
    return o.op("CumSum", o.x(), axis, **flags)


def _ranked(o: Out, k: str, largest: bool) -> list[str]:
    values, places = o.w.add("TopK", [o.x(), k], o.name, 2, axis=-1, largest=int(largest), sorted=1)
    return [values, o.op("Cast", places, part="places", to=_INT)]


def top_k(o: Out) -> list[str]:
    return _ranked(o, o.w.integers([o.attrs["k"]]), True)


def sort(o: Out) -> list[str]:
    size = o.type().shape[-1]
    if isinstance(size, Dim):
        raise Unsupported("sorting along a free dim")
    return _ranked(o, o.w.integers([size]), bool(o.attrs["descending"]))


def blocks(op: str) -> Any:
    return lambda o: o.op(op, o.chw(), blocksize=int(o.attrs["block"]))


def dim_size(o: Out) -> str:
    axis = o.attrs["axis"] % len(o.type().shape)
    whole = o.op("Shape", o.x(), part="sizes")
    size = o.op("Gather", whole, o.w.scalar(axis, "int64"), part="size", axis=0)
    return o.op("Cast", size, to=_INT)


# --- control flow ---------------------------------------------------------------------------------


def _inner(o: Out, body: Subgraph, references: list[str]) -> tuple[NodeWriter, list[str]]:
    """The nodes of a sub-graph that sees the values around it; its results."""
    inner = NodeWriter(o.w.emit, o.w)
    for v, reference in zip(body.graph.inputs, references, strict=True):
        inner.bind(v, reference)
    # An output has to be made inside, and by a node of its own.
    made = [inner.add("Identity", [r], f"{o.name}/result") for r in inner.run(body.graph)]
    return inner, made


def _info(names: list[str], body: Subgraph) -> list[proto.Pieces]:
    pairs = zip(names, body.results, strict=True)
    return [proto.value_info(n, t.dtype, t.shape) for n, t in pairs]


def cond(o: Out) -> list[str]:
    graphs = {}
    for key, fn in (("then_branch", "true_fn"), ("else_branch", "false_fn")):
        body: Subgraph = o.attrs[fn]
        inner, made = _inner(o, body, o.inputs[1:])
        graphs[key] = proto.GraphPieces(fn, inner.nodes, (), _info(made, body))
    names = o.w.add("If", [o.x()], o.name, len(o.node.outputs), **graphs)
    return names if isinstance(names, list) else [names]


def while_loop(o: Out) -> list[str]:
    carried = o.attrs["carried"]
    state, rest = o.inputs[:carried], o.inputs[carried:]
    test: Subgraph = o.attrs["cond_fn"]
    body: Subgraph = o.attrs["body_fn"]
    first = NodeWriter(o.w.emit, o.w)
    first.nodes = o.w.nodes  # the first test is made outside of the loop
    for v, reference in zip(test.graph.inputs, [*state, *rest], strict=True):
        first.bind(v, reference)
    go = first.run(test.graph)[0]
    turn, alive = o.w.fresh(f"{o.name}/turn"), o.w.fresh(f"{o.name}/alive")
    inside = [o.w.fresh(f"{o.name}/state") for _ in state]
    inner, made = _inner(o, body, [*inside, *rest])
    again = NodeWriter(o.w.emit, o.w)
    again.nodes = inner.nodes
    for v, reference in zip(test.graph.inputs, [*made, *rest], strict=True):
        again.bind(v, reference)
    still = inner.add("Identity", again.run(test.graph), f"{o.name}/still")
    graph = proto.GraphPieces(
        "body",
        inner.nodes,
        [
            proto.value_info(turn, "int64", ()),
            proto.value_info(alive, "bool", ()),
            *_info(inside, body),
        ],
        [proto.value_info(still, "bool", ()), *_info(made, body)],
    )
    names = o.w.add("Loop", ["", go, *state], o.name, carried, body=graph)
    return names if isinstance(names, list) else [names]


def transpose(o: Out) -> str:
    perm = tuple(o.attrs["perm"])
    if perm == TO_NHWC:  # its image turned is the input as it is
        o.is_turned = True
        return o.x()
    if perm == TO_NCHW:
        return o.w.turned(o.node.inputs[0])
    return o.op("Transpose", o.x(), perm=perm)


WRITES: dict[str, Any] = {
    **{ours: reduction(name) for ours, name in _REDUCTIONS.items()},
    "any": truth("ReduceMax"),
    "all": truth("ReduceMin"),
    "arg_max": arg("ArgMax"),
    "arg_min": arg("ArgMin"),
    "reshape": reshape,
    "transpose": transpose,
    "broadcast_to": lambda o: o.op("Expand", o.x(), o.w.shape(o.node.output.shape, o.name)),
    "slice": slice_,
    "strided_slice": strided_slice,
    "reverse": reverse,
    "pad": pad,
    "mirror_pad": pad,
    "tile": lambda o: o.op("Tile", o.x(), o.w.integers(o.attrs["multiples"])),
    "concat": concat,
    "gather": gather,
    "gather_nd": gather_nd,
    "scatter_nd": scatter_nd,
    "cumsum": cumsum,
    "top_k": top_k,
    "sort": sort,
    "depth_to_space": blocks("DepthToSpace"),
    "space_to_depth": blocks("SpaceToDepth"),
    "dim_size": dim_size,
    "cond": cond,
    "while_loop": while_loop,
}

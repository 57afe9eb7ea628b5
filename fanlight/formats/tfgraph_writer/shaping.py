"""Reductions, movement, indexing and sorting as ops of TF.js."""

from __future__ import annotations

from typing import Any

from fanlight.formats.tfgraph_writer.elementwise import Write
from fanlight.formats.tfgraph_writer.nodes import Out, Unsupported, dtype, text
from fanlight.ops.types import Dim

_INT = {"type": "DT_INT32"}
_REDUCTIONS = {
    "sum": "Sum", "mean": "Mean", "prod": "Prod", "max": "Max", "min": "Min", "any": "Any",
    "all": "All",
}  # fmt: skip


def reduction(name: str) -> Write:
    def write(o: Out) -> str:
        rank = len(o.type().shape)
        axes = [a % rank for a in o.attrs["axes"]]
        if not axes:
            return o.op("Identity", [o.x()], T=o.T)
        own: dict[str, Any] = {} if name in ("Any", "All") else {"T": o.T}
        return o.op(
            name,
            [o.x(), o.w.integers(axes, f"{o.name}/axes")],
            keep_dims={"b": bool(o.attrs["keepdims"])},
            Tidx=_INT,
            **own,
        )

    return write


def arg(name: str) -> Write:
    def write(o: Out) -> str:
        axis = o.w.scalar(o.attrs["axis"] % len(o.type().shape), "int32")
        return o.op(name, [o.x(), axis], T=o.T, Tidx=_INT, output_type=_INT)

    return write


def reshape_to(o: Out, x: str, shape: Any, part: str = "") -> str:
    symbols = [d for d in shape if isinstance(d, Dim)]
    known = 0 not in shape and len(symbols) <= 1
    if known:
        sizes = [-1 if isinstance(d, Dim) else d for d in shape]
        target = o.w.integers(sizes, f"{o.name}/shape")
    else:
        target = o.w.shape(shape, o.name)
    return o.op("Reshape", [x, target], part, T=o.T, Tshape=_INT)


def reshape(o: Out) -> str:
    return reshape_to(o, o.x(), o.node.output.shape)


def permute(o: Out, x: str, perm: Any, part: str = "") -> str:
    return o.op("Transpose", [x, o.w.integers(perm, f"{o.name}/perm")], part, T=o.T, Tperm=_INT)


def broadcast_to(o: Out) -> str:
    target = o.w.shape(o.node.output.shape, o.name)
    return o.op("BroadcastTo", [o.x(), target], T=o.T, Tidx=_INT)


def slice_(o: Out) -> str:
    begin = o.w.integers(o.attrs["begin"], f"{o.name}/begin")
    size = [-1 if isinstance(d, Dim) else d for d in o.attrs["size"]]
    return o.op("Slice", [o.x(), begin, o.w.integers(size, f"{o.name}/size")], T=o.T, Index=_INT)


def strided_slice(o: Out) -> str:
    begin, end, strides = (list(o.attrs[k]) for k in ("begin", "end", "strides"))
    mask = 0
    for axis, (e, s) in enumerate(zip(end, strides, strict=True)):
        if isinstance(e, Dim) or (s < 0 and e == -1):
            mask |= 1 << axis
            end[axis] = 0
    parts = [o.w.integers(v, f"{o.name}/range") for v in (begin, end, strides)]
    zero = {"i": "0"}
    return o.op(
        "StridedSlice",
        [o.x(), *parts],
        T=o.T,
        Index=_INT,
        begin_mask=zero,
        end_mask={"i": str(mask)},
        ellipsis_mask=zero,
        new_axis_mask=zero,
        shrink_axis_mask=zero,
    )


def reverse(o: Out) -> str:
    return o.op("ReverseV2", [o.x(), o.w.integers(o.attrs["axes"])], T=o.T, Tidx=_INT)


def _pairs(o: Out, pairs: Any, name: str) -> str:
    import numpy as np

    return o.w.const(np.asarray(pairs, "int32").reshape(-1, 2), f"{o.name}/{name}")


def pad(o: Out) -> str:
    value = o.w.scalar(o.attrs["value"], o.type().dtype)
    paddings = _pairs(o, o.attrs["paddings"], "paddings")
    return o.op("PadV2", [o.x(), paddings, value], T=o.T, Tpaddings=_INT)


def mirror_pad(o: Out) -> str:
    paddings = _pairs(o, o.attrs["paddings"], "paddings")
    mode = text(o.attrs["mode"].upper())
    return o.op("MirrorPad", [o.x(), paddings], mode=mode, T=o.T, Tpaddings=_INT)


def tile(o: Out) -> str:
    return o.op("Tile", [o.x(), o.w.integers(o.attrs["multiples"])], T=o.T, Tmultiples=_INT)


def concat(o: Out) -> str:
    axis = o.w.scalar(o.attrs["axis"] % len(o.type().shape), "int32")
    count = {"i": str(len(o.inputs))}
    return o.op("ConcatV2", [*o.inputs, axis], N=count, T=o.T, Tidx=_INT)


def gather(o: Out) -> str:
    axis = o.w.scalar(o.attrs["axis"] % len(o.type().shape), "int32")
    return o.op(
        "GatherV2",
        [o.x(), o.x(1), axis],
        batch_dims={"i": "0"},
        Tparams=o.T,
        Tindices=_INT,
        Taxis=_INT,
    )


def depth_to_space(o: Out) -> str:
    block = {"i": str(o.attrs["block"])}
    return o.op("DepthToSpace", [o.x()], block_size=block, data_format=text("NHWC"), T=o.T)


def space_to_depth(o: Out) -> str:
    n, h, w, c = o.type().shape
    b = o.attrs["block"]
    six = (n, int(h) // b, b, int(w) // b, b, c)  # type: ignore[arg-type]
    apart = permute(o, reshape_to(o, o.x(), six, "cut"), (0, 1, 3, 2, 4, 5), "move")
    return reshape_to(o, apart, o.node.output.shape)


def blocks(name: str, second: str) -> Write:
    def write(o: Out) -> str:
        block = o.w.integers(o.attrs["block"], f"{o.name}/block")
        pairs = _pairs(o, o.attrs[second], second)
        return o.op(name, [o.x(), block, pairs], T=o.T)

    return write


def gather_nd(o: Out) -> str:
    if o.attrs["outside"] != "clip":
        raise Unsupported("indices outside that give zeros")
    return o.op("GatherNd", [o.x(), o.x(1)], Tparams=o.T, Tindices=_INT)


def scatter_nd(o: Out) -> str:
    kind = {"type": dtype(o.type(1).dtype)}
    mode, base = o.attrs["mode"], len(o.node.inputs) > 2
    if mode == "add" and not base and o.attrs["value"] == 0:
        shape = o.w.integers(o.attrs["shape"], f"{o.name}/shape")
        return o.op("ScatterNd", [o.x(), o.x(1), shape], T=kind, Tindices=_INT)
    if mode == "update" and base:
        return o.op("TensorScatterUpdate", [o.x(2), o.x(), o.x(1)], T=kind, Tindices=_INT)
    raise Unsupported(f"mode {mode}")


def search_sorted(o: Out) -> str:
    """Of rows, which is what TensorFlow searches."""
    name = "UpperBound" if o.attrs["right"] else "LowerBound"
    if len(o.type().shape) == 2:
        return o.op(name, [o.x(), o.x(1)], T=o.T, out_type=_INT)
    lengths = [d for d in (o.type(0).shape[-1], o.type(1).shape[-1]) if isinstance(d, int)]
    if len(lengths) < 2:
        raise Unsupported("rows whose length is free")
    rows = [
        o.op("Reshape", [o.x(i), o.w.integers([-1, n])], f"rows{i}", T=o.T, Tshape=_INT)
        for i, n in enumerate(lengths)
    ]
    found = o.op(name, rows, "found", T=o.T, out_type=_INT)
    target = o.w.shape(o.node.output.shape, o.name)
    return o.op("Reshape", [found, target], T=_INT, Tshape=_INT)


def cumulative(name: str) -> Write:
    def write(o: Out) -> str:
        axis = o.w.scalar(o.attrs["axis"] % len(o.type().shape), "int32")
        flags: dict[str, Any] = {k: {"b": bool(o.attrs[k])} for k in ("exclusive", "reverse")}
        return o.op(name, [o.x(), axis], T=o.T, Tidx=_INT, **flags)

    return write


def top_k(o: Out) -> list[str]:
    k = o.w.scalar(o.attrs["k"], "int32")
    made = o.op("TopKV2", [o.x(), k], sorted={"b": True}, T=o.T)
    return [made, f"{made}:1"]


def sort(o: Out) -> list[str]:
    size = o.type().shape[-1]
    if isinstance(size, Dim):
        raise Unsupported("sorting along a free dim")
    down, x = o.attrs["descending"], o.x()
    if not down:
        x = o.op("Neg", [x], "neg", T=o.T)
    made = o.op("TopKV2", [x, o.w.scalar(size, "int32")], sorted={"b": True}, T=o.T)
    values = made if down else o.op("Neg", [made], "values", T=o.T)
    return [values, f"{made}:1"]


def dim_size(o: Out) -> str:
    return o.w.size_of(o.x(), o.attrs["axis"] % len(o.type().shape), o.name)


WRITES: dict[str, Any] = {
    **{ours: reduction(name) for ours, name in _REDUCTIONS.items()},
    "arg_max": arg("ArgMax"),
    "arg_min": arg("ArgMin"),
    "reshape": reshape,
    "transpose": lambda o: permute(o, o.x(), o.attrs["perm"]),
    "broadcast_to": broadcast_to,
    "slice": slice_,
    "strided_slice": strided_slice,
    "reverse": reverse,
    "pad": pad,
    "mirror_pad": mirror_pad,
    "tile": tile,
    "concat": concat,
    "gather": gather,
    "depth_to_space": depth_to_space,
    "space_to_depth": space_to_depth,
    "space_to_batch": blocks("SpaceToBatchND", "paddings"),
    "batch_to_space": blocks("BatchToSpaceND", "crops"),
    "gather_nd": gather_nd,
    "scatter_nd": scatter_nd,
    "search_sorted": search_sorted,
    "cumsum": cumulative("Cumsum"),
    "cumprod": cumulative("Cumprod"),
    "top_k": top_k,
    "sort": sort,
    "dim_size": dim_size,
}
__all__ = ["WRITES", "permute", "reshape_to"]

"""ONNX's ops that move, gather, scatter, reduce, scan and sort, by functions of Fanlight."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

import fanlight as fl
from fanlight.tensor import apply
from tools.onnx_adapters import Adapter, Node, Skipped, Values, at, back, ints, moved, number
from tools.onnx_adapters_elementwise import dtype_of

# --- shapes ---------------------------------------------------------------------------------------


def _shape(node: Node, x: Values) -> Any:
    return fl.tensor(np.array(x[0].shape[node.get("start", 0) : node.get("end")], np.int32))


def _reshape(node: Node, x: Values) -> Any:
    wanted = ints(x[1])
    if not node.get("allowzero"):
        wanted = [x[0].shape[d] if n == 0 else n for d, n in enumerate(wanted)]
    return fl.reshape(x[0], wanted)


def _flatten(node: Node, x: Values) -> Any:
    axis = node.get("axis", 1)
    axis += x[0].rank if axis < 0 else 0
    return fl.reshape(x[0], (prod(x[0].shape[:axis]), prod(x[0].shape[axis:])))


def _axes(node: Node, x: Values, place: int = 1) -> list[int] | None:
    """Axes as an input or, in older opsets, an attribute."""
    return ints(x[place]) if at(x, place) is not None else node.get("axes")


def _squeeze(node: Node, x: Values) -> Any:
    return fl.squeeze(x[0], _axes(node, x))


def _unsqueeze(node: Node, x: Values) -> Any:
    axes = _axes(node, x) or []
    rank = x[0].rank + len(axes)
    shape = list(x[0].shape)
    for axis in sorted(a % rank for a in axes):
        shape.insert(axis, 1)
    return fl.reshape(x[0], shape)


def _expand(node: Node, x: Values) -> Any:
    return fl.broadcast_to(x[0], np.broadcast_shapes(x[0].shape, tuple(ints(x[1]))))


def _split(node: Node, x: Values) -> Any:
    axis = node.get("axis", 0)
    if at(x, 1) is not None:
        return fl.split(x[0], ints(x[1]), axis)
    count = node.get("num_outputs", len(node.outputs))
    n = x[0].shape[axis]
    size = -(-n // count)
    return fl.split(x[0], [*[size] * (count - 1), n - size * (count - 1)], axis)


def _slice(node: Node, x: Values) -> Any:
    starts, ends = ints(x[1]), ints(x[2])
    axes = _axes(node, x, 3)
    axes = list(range(len(starts))) if axes is None else axes
    steps = ints(x[4]) if at(x, 4) is not None else [1] * len(starts)
    index = [slice(None)] * x[0].rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        index[axis] = slice(start, end, step)
    return x[0][tuple(index)]


def _pad(node: Node, x: Values) -> Any:
    y, pads, mode = x[0], ints(x[1]), node.get("mode", "constant")
    axes = [a % y.rank for a in (_axes(node, x, 3) or range(y.rank))]
    paddings = [(0, 0)] * y.rank
    for i, axis in enumerate(axes):
        paddings[axis] = (pads[i], pads[i + len(axes)])
    if any(n < 0 for pair in paddings for n in pair):
        cut = [(max(-a, 0), y.shape[d] - max(-b, 0)) for d, (a, b) in enumerate(paddings)]
        y = y[tuple(slice(*pair) for pair in cut)]
        paddings = [(max(a, 0), max(b, 0)) for a, b in paddings]
    if mode == "constant":
        return fl.pad(y, paddings, 0 if at(x, 2) is None else number(x[2]))
    if mode == "reflect":
        return apply("mirror_pad", y, paddings=paddings, mode="reflect")
    # Edges and the image over again are places to gather.
    for d, (before, after) in enumerate(paddings):
        n = y.shape[d]
        places = np.arange(-before, n + after, dtype=np.int32)
        places = np.clip(places, 0, n - 1) if mode == "edge" else places % n
        y = fl.gather(y, places, d)
    return y


def _center_crop_pad(node: Node, x: Values) -> Any:
    y, sizes = x[0], ints(x[1])
    for axis, size in zip(node.get("axes", range(y.rank)), sizes, strict=True):
        n, d = y.shape[axis], axis % y.rank
        if size < n:
            first = (n - size) // 2
            y = y[
                tuple(slice(first, first + size) if i == d else slice(None) for i in range(y.rank))
            ]
        elif size > n:
            before = (size - n) // 2
            pair = (before, size - n - before)
            y = fl.pad(y, [pair if i == d else (0, 0) for i in range(y.rank)])
    return y


def _depth_to_space(node: Node, x: Values) -> Any:
    b, (n, c, h, w) = node.get("blocksize"), x[0].shape
    if node.get("mode", "DCR") == "DCR":
        y = apply("depth_to_space", fl.transpose(x[0], (0, 2, 3, 1)), block=b)
        return fl.transpose(y, (0, 3, 1, 2))
    y = fl.reshape(x[0], (n, c // b**2, b, b, h, w))
    return fl.reshape(fl.transpose(y, (0, 1, 4, 2, 5, 3)), (n, c // b**2, h * b, w * b))


def _space_to_depth(node: Node, x: Values) -> Any:
    b, (n, c, h, w) = node.get("blocksize"), x[0].shape
    if node.get("mode", "DCR") == "DCR":
        y = apply("space_to_depth", fl.transpose(x[0], (0, 2, 3, 1)), block=b)
        return fl.transpose(y, (0, 3, 1, 2))
    y = fl.reshape(x[0], (n, c, h // b, b, w // b, b))
    return fl.reshape(fl.transpose(y, (0, 1, 3, 5, 2, 4)), (n, c * b**2, h // b, w // b))


def _trilu(node: Node, x: Values) -> Any:
    k = 0 if at(x, 1) is None else number(x[1])
    rows, columns = x[0].shape[-2:]
    ones = np.ones((rows, columns), bool)
    seen = np.triu(ones, k) if node.get("upper", 1) else np.tril(ones, k)
    zero = fl.zeros_like(x[0])
    return zero if not zero.size else fl.where(seen, x[0], zero)


def _eye_like(node: Node, x: Values) -> Any:
    rows, columns = x[0].shape
    dtype = dtype_of(node.get("dtype")) if node.get("dtype") else x[0].dtype
    return fl.tensor(np.eye(rows, columns, node.get("k", 0)), dtype)


def _reverse_sequence(node: Node, x: Values) -> Any:
    time, batch = node.get("time_axis", 0), node.get("batch_axis", 1)
    n = x[0].shape[time]
    step, length = np.arange(n, dtype=np.int32), np.array(ints(x[1]), np.int32)[:, None]
    places = np.where(step < length, length - 1 - step, step)  # [batch, time]
    places = places.T if time < batch else places
    places = places.reshape(*places.shape, *[1] * (x[0].rank - 2))
    return fl.take_along_axis(x[0], places.astype(np.int32), time)


def _constant(node: Node, x: Values) -> Any:
    from tools.onnx_nodes import value_of

    ((name, value),) = node.attrs.items()
    if name == "value":
        return value_of(value)
    dtypes = {"value_float": "float32", "value_floats": "float32", "value_int": "int32"}
    if name in ("value_int", "value_ints"):
        return value_of(np.array(value, np.int64))
    return fl.tensor(np.array(value), dtypes.get(name))


def _constant_of_shape(node: Node, x: Values) -> Any:
    from tools.onnx_nodes import value_of

    value = value_of(node.attrs["value"]) if "value" in node.attrs else fl.tensor([0.0])
    shape = ints(x[0])
    return (
        fl.broadcast_to(fl.reshape(value, ()), shape)
        if prod(shape)
        else fl.zeros(shape, value.dtype)
    )


def _range(node: Node, x: Values) -> Any:
    return fl.range(*(number(v) for v in x), dtype=x[0].dtype)


def _one_hot(node: Node, x: Values) -> Any:
    depth = int(number(x[1]))
    off, on = x[2].tolist()
    indices = fl.cast(x[0], "int32")
    indices = fl.where(fl.less(indices, 0), fl.add(indices, depth), indices)
    return fl.one_hot(indices, depth, on, off, node.get("axis", -1), dtype=x[2].dtype)


# --- gather and scatter ---------------------------------------------------------------------------


def _inside(indices: Any, size: Any) -> Any:
    """Indices of which negative ones count from the end."""
    return fl.where(fl.less(indices, 0), fl.add(indices, size), indices)


def _gather(node: Node, x: Values) -> Any:
    axis = node.get("axis", 0)
    return fl.gather(x[0], _inside(x[1], x[0].shape[axis]), axis)


def _gather_elements(node: Node, x: Values) -> Any:
    axis = node.get("axis", 0) % x[0].rank
    shape = x[1].shape
    index = tuple(slice(None) if d == axis else slice(n) for d, n in enumerate(shape))
    y = x[0] if all(d == axis or n == x[0].shape[d] for d, n in enumerate(shape)) else x[0][index]
    return fl.take_along_axis(y, _inside(x[1], x[0].shape[axis]), axis)


def _tuples(indices: Any, shape: tuple[int, ...]) -> Any:
    return _inside(indices, np.array(shape[: indices.shape[-1]], np.int32))


def _gather_nd(node: Node, x: Values) -> Any:
    batch = node.get("batch_dims", 0)
    indices = _tuples(x[1], x[0].shape[batch:])
    if batch:
        grid = np.indices(indices.shape[:-1], dtype=np.int32)[:batch]
        indices = fl.concat([np.stack(grid, -1), indices], -1)
    return fl.gather_nd(x[0], indices)


_MODES = {"none": "update", "add": "add", "mul": "mul", "max": "max", "min": "min"}


def _scatter(node: Node, y: Any, indices: Any, updates: Any) -> Any:
    mode = _MODES[node.get("reduction", "none")]
    return apply("scatter_nd", indices, updates, y, mode=mode)


def _scatter_nd(node: Node, x: Values) -> Any:
    return _scatter(node, x[0], _tuples(x[1], x[0].shape), x[2])


def _scatter_elements(node: Node, x: Values) -> Any:
    axis = node.get("axis", 0) % x[0].rank
    grid: list[Any] = list(np.indices(x[1].shape, dtype=np.int32))
    grid[axis] = _inside(x[1], x[0].shape[axis])
    return _scatter(node, x[0], fl.stack(grid, -1), x[2])


def _tensor_scatter(node: Node, x: Values) -> Any:
    cache, update = x[0], x[1]
    axis = node.get("axis", -2) % cache.rank
    first = at(x, 2)
    first = np.zeros(cache.shape[0], np.int32) if first is None else np.array(ints(first), np.int32)
    grid = list(np.indices(update.shape, dtype=np.int32))
    grid[axis] = grid[axis] + first[grid[0]]
    if node.get("mode", "linear") == "circular":
        grid[axis] = grid[axis] % cache.shape[axis]
    places = np.stack(grid, -1).astype(np.int32)
    return apply("scatter_nd", places, update, cache, mode="update")


def _compress(node: Node, x: Values) -> Any:
    axis = node.get("axis")
    y = fl.reshape(x[0], (-1,)) if axis is None else x[0]
    axis = (axis or 0) % y.rank
    mask = np.zeros(y.shape[axis], bool)
    mask[: x[1].size] = x[1].numpy()
    return fl.boolean_mask(y, mask, axis)


def _nonzero(node: Node, x: Values) -> Any:
    return fl.transpose(fl.where_indices(x[0]))


# --- reductions -----------------------------------------------------------------------------------


def _reduce(function: Callable[..., Any], empty: float | None = None) -> Adapter:
    """A function of (x, axes, keepdims); `empty` is what it makes of no elements."""

    def adapt(node: Node, x: Values) -> Any:
        axes, keep = _axes(node, x), bool(node.get("keepdims", 1))
        if not axes:
            if node.get("noop_with_empty_axes", 0):
                axes = []
            else:
                axes = list(range(x[0].rank))
        if not x[0].size and empty is not None:
            kept = [
                1 if d in [a % x[0].rank for a in axes] else n for d, n in enumerate(x[0].shape)
            ]
            y = fl.full(kept, empty > 0 if x[0].dtype == "bool" else empty, x[0].dtype)
            return y if keep else fl.squeeze(y, axes)
        return back(function(x[0], tuple(axes), keep), x[0].dtype)

    return adapt


def _sum_square(x: Any, axes: Any, keep: bool) -> Any:
    return fl.sum(fl.square(x), axes, keep)


def _l1(x: Any, axes: Any, keep: bool) -> Any:
    return fl.sum(fl.abs(x), axes, keep)


def _l2(x: Any, axes: Any, keep: bool) -> Any:
    return fl.sqrt(_sum_square(x, axes, keep))


def _log_sum(x: Any, axes: Any, keep: bool) -> Any:
    return fl.log(fl.sum(x, axes, keep))


def _extreme(number: Callable[..., Any], flag: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, axes, keep: (flag if x.dtype == "bool" else number)(x, axes, keep)


def _position(function: Callable[..., Any]) -> Adapter:
    def adapt(node: Node, x: Values) -> Any:
        axis, y = node.get("axis", 0) % x[0].rank, x[0]
        last = node.get("select_last_index", 0)
        found = function(fl.reverse(y, axis) if last else y, axis)
        found = fl.sub(y.shape[axis] - 1, found) if last else found
        return fl.expand_dims(found, axis) if node.get("keepdims", 1) else found

    return adapt


def _scan(function: Callable[..., Any]) -> Adapter:
    def adapt(node: Node, x: Values) -> Any:
        flags = {name: bool(node.get(name, 0)) for name in ("exclusive", "reverse")}
        return function(x[0], number(x[1]), **flags)

    return adapt


# --- sorting --------------------------------------------------------------------------------------


def _top_k(node: Node, x: Values) -> Any:
    axis, k, largest = node.get("axis", -1), number(x[1]), node.get("largest", 1)
    y = moved(x[0], axis, -1)
    dtype = y.dtype
    y = fl.cast(y, "int32") if dtype == "uint8" else y
    if largest:
        values, places = fl.top_k(y, k)
    else:
        # ~i turns the order of whole numbers around, and -x that of floats.
        turn = fl.bitwise_not if y.dtype == "int32" else fl.neg
        values, places = fl.top_k(turn(y), k)
        values = turn(values)
    values = fl.cast(values, dtype)
    return moved(values, -1, axis), moved(places, -1, axis)


def _unique(node: Node, x: Values) -> Any:
    axis, ordered = node.get("axis"), node.get("sorted", 1)
    values, inverse = fl.unique(x[0], axis)
    count = values.shape[axis or 0]
    first = fl.tensor(np.array([np.argmax(inverse.numpy() == i) for i in range(count)], np.int32))
    if ordered:
        if axis is None:
            order = fl.argsort(values)
        else:
            rows = moved(values, axis, 0).numpy().reshape(count, -1)
            order = fl.tensor(np.lexsort(rows.T[::-1]).astype(np.int32))
        values, first = fl.gather(values, order, axis or 0), fl.gather(first, order)
        inverse = fl.gather(fl.argsort(order), inverse)
    counts = fl.bincount(inverse, size=count)
    return values, first, inverse, fl.cast(counts, "int32")


def _non_max_suppression(node: Node, x: Values) -> Any:
    boxes, scores = x[0], x[1]
    most = 0 if at(x, 2) is None else number(x[2])
    overlap = 0.0 if at(x, 3) is None else number(x[3])
    # ONNX drops a box beyond the threshold, Fanlight (as TensorFlow.js) from the threshold on.
    overlap = min(float(np.nextafter(np.float32(overlap), np.float32(2))), 1.0)
    least = -np.inf if at(x, 4) is None else number(x[4])
    if node.get("center_point_box", 0):
        centre, half = boxes[..., :2], fl.div(boxes[..., 2:], 2.0)
        boxes = fl.concat([fl.sub(centre, half), fl.add(centre, half)], -1)
    found = []
    for batch in range(scores.shape[0]):
        for label in range(scores.shape[1]):
            kept = fl.image.non_max_suppression(
                boxes[batch], scores[batch, label], most, overlap, least
            )
            count = kept.shape[0]
            about = np.array([[batch, label]] * count, np.int32).reshape(count, 2)
            found.append(fl.concat([about, fl.reshape(kept, (count, 1))], 1))
    return fl.concat(found, 0)


# --- matrices -------------------------------------------------------------------------------------


def _matmul(node: Node, x: Values) -> Any:
    a, b = x[0], x[1]
    dtype = a.dtype
    a, b = (fl.cast(v, "float32") for v in (a, b))
    row, column = a.rank == 1, b.rank == 1
    a = fl.reshape(a, (1, -1)) if row else a
    b = fl.reshape(b, (-1, 1)) if column else b
    y = fl.matmul(a, b)
    shape = list(y.shape)
    if column:
        shape.pop(-1)
    if row:
        shape.pop(-1 if column else -2)
    return fl.cast(fl.reshape(y, shape), dtype)


def _gemm(node: Node, x: Values) -> Any:
    y = fl.matmul(x[0], x[1], bool(node.get("transA", 0)), bool(node.get("transB", 0)))
    y = fl.mul(y, node.get("alpha", 1.0))
    return y if at(x, 2) is None else fl.add(y, fl.mul(x[2], node.get("beta", 1.0)))


def _einsum(node: Node, x: Values) -> Any:
    return fl.einsum(node.get("equation"), *x)


def _zero(x: Values, place: int, like: Any) -> Any:
    zero = at(x, place)
    return 0.0 if zero is None else fl.cast(zero, "float32")


def _matmul_integer(node: Node, x: Values) -> Any:
    a = fl.sub(fl.cast(x[0], "float32"), _zero(x, 2, x[0]))
    b = fl.sub(fl.cast(x[1], "float32"), _zero(x, 3, x[1]))
    return fl.cast(fl.matmul(a, b), "int32")


def _qlinear_matmul(node: Node, x: Values) -> Any:
    a, a_scale, a_zero, b, b_scale, b_zero, scale, zero = x
    if zero.dtype != "uint8":
        raise Skipped(f"dtype {zero.dtype}")
    parts = [
        fl.mul(fl.sub(fl.cast(v, "float32"), fl.cast(z, "float32")), s)
        for v, s, z in ((a, a_scale, a_zero), (b, b_scale, b_zero))
    ]
    y = fl.add(fl.round(fl.div(fl.matmul(*parts), scale)), fl.cast(zero, "float32"))
    return fl.cast(fl.clip(y, 0.0, 255.0), "uint8")


def _hardmax(node: Node, x: Values) -> Any:
    axis = node.get("axis", -1)
    return fl.one_hot(fl.arg_max(x[0], axis), x[0].shape[axis], axis=axis % x[0].rank)


def _binarizer(node: Node, x: Values) -> Any:
    return fl.cast(fl.greater(x[0], node.get("threshold", 0.0)), x[0].dtype)


ADAPTERS: dict[str, Adapter] = {
    "Identity": lambda node, x: fl.clone(x[0]),
    "Shape": _shape,
    "Size": lambda node, x: fl.tensor(np.array(x[0].size, np.int32)),
    "Reshape": _reshape,
    "Transpose": lambda node, x: fl.transpose(x[0], node.get("perm")),
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Expand": _expand,
    "Concat": lambda node, x: fl.concat(list(x), node.get("axis")),
    "Split": _split,
    "Slice": _slice,
    "Tile": lambda node, x: fl.tile(x[0], ints(x[1])),
    "Pad": _pad,
    "CenterCropPad": _center_crop_pad,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Trilu": _trilu,
    "EyeLike": _eye_like,
    "ReverseSequence": _reverse_sequence,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Range": _range,
    "OneHot": _one_hot,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "ArrayFeatureExtractor": lambda node, x: fl.gather(x[0], fl.reshape(x[1], (-1,)), -1),
    "Scatter": _scatter_elements,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "TensorScatter": _tensor_scatter,
    "Compress": _compress,
    "NonZero": _nonzero,
    "ReduceSum": _reduce(fl.sum, 0.0),
    "ReduceMean": _reduce(fl.mean),
    "ReduceProd": _reduce(fl.prod, 1.0),
    "ReduceMax": _reduce(_extreme(fl.max, fl.any), -np.inf),
    "ReduceMin": _reduce(_extreme(fl.min, fl.all), np.inf),
    "ReduceL1": _reduce(_l1, 0.0),
    "ReduceL2": _reduce(_l2, 0.0),
    "ReduceLogSum": _reduce(_log_sum, -np.inf),
    "ReduceLogSumExp": _reduce(fl.log_sum_exp, -np.inf),
    "ReduceSumSquare": _reduce(_sum_square, 0.0),
    "ArgMax": _position(fl.arg_max),
    "ArgMin": _position(fl.arg_min),
    "CumSum": _scan(fl.cumsum),
    "CumProd": _scan(fl.cumprod),
    "TopK": _top_k,
    "Unique": _unique,
    "NonMaxSuppression": _non_max_suppression,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Einsum": _einsum,
    "Det": lambda node, x: fl.linalg.det(x[0]),
    "MatMulInteger": _matmul_integer,
    "QLinearMatMul": _qlinear_matmul,
    "Hardmax": _hardmax,
    "Binarizer": _binarizer,
}

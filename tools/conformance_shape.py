"""Recorded kernels that move elements, or take and put them by index; see conformance.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fanlight.tensor import indices as indexed
from fanlight.tensor import parts, ragged, segments, selection, sorting
from tools.conformance_call import (
    Adapter,
    Attrs,
    Inputs,
    Skipped,
    arrays_of,
    as_dtype,
    axes_of,
    call,
    function_of,
    plain,
)


def _slice(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    x, size = inputs["x"], attrs.get("size", -1)
    begin = attrs["begin"] if isinstance(attrs["begin"], list) else [attrs["begin"]]
    begin += [0] * (x.ndim - len(begin))
    size = list(size) if isinstance(size, list) else [size]
    size += [-1] * (x.ndim - len(size))
    size = [n - b if s < 0 else s for s, b, n in zip(size, begin, x.shape, strict=True)]
    return call("slice", x, begin=begin, size=size)


def _strided_slice(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    """Masks as tf.strided_slice has them, one bit per entry of begin, end and strides."""
    x = inputs["x"]
    masks = ("begin", "end", "ellipsis", "newAxis", "shrinkAxis")
    bits = {m: attrs[f"{m}Mask"] for m in masks}
    count = len(attrs["begin"])
    added = sum(bits["newAxis"] >> i & 1 for i in range(count))
    begin, end, strides, shape = [], [], [], []

    def whole(n: int) -> None:
        begin.append(0), end.append(n), strides.append(1), shape.append(n)

    for i in range(count):
        if bits["ellipsis"] >> i & 1:
            rest = count - i - 1 - sum(bits["newAxis"] >> j & 1 for j in range(i + 1, count))
            while len(begin) < x.ndim - rest:
                whole(x.shape[len(begin)])
        elif bits["newAxis"] >> i & 1:
            shape.append(1)
        else:
            n, step = x.shape[len(begin)], attrs["strides"][i]
            shrink = bits["shrinkAxis"] >> i & 1
            first = None if bits["begin"] >> i & 1 and not shrink else attrs["begin"][i]
            last = None if bits["end"] >> i & 1 else attrs["end"][i]
            if shrink:
                first, last, step = first % n, first % n + 1, 1
            b, e, s = slice(first, last, step).indices(n)
            begin.append(b), end.append(e), strides.append(s)
            if not shrink:
                shape.append(len(range(b, e, s)))
    while len(begin) < x.ndim:
        whole(x.shape[len(begin)])
    assert added + x.ndim >= len(shape)
    (part,) = call("strided_slice", x, begin=begin, end=end, strides=strides)
    return call("reshape", part, shape=shape)


def _split(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    x = inputs["x"]
    axis, sizes = attrs["axis"] % x.ndim, attrs["numOrSizeSplits"]
    if isinstance(sizes, int):
        sizes = [x.shape[axis] // sizes] * sizes
    results, at = [], 0
    sizes = [x.shape[axis] - sum(sizes) - 1 if s < 0 else s for s in sizes]
    for size in sizes:
        begin, shape = [0] * x.ndim, list(x.shape)
        begin[axis], shape[axis] = at, size
        results += call("slice", x, begin=begin, size=shape)
        at += size
    return results


def _unpack(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    x = inputs["value"]
    axis = attrs["axis"] % x.ndim
    rest = (*x.shape[:axis], *x.shape[axis + 1 :])
    slices = _split({"x": x}, {"axis": axis, "numOrSizeSplits": x.shape[axis]})
    return [call("reshape", part, shape=rest)[0] for part in slices]


def _pack(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    first = next(iter(inputs.values()))
    axis = attrs["axis"] % (first.ndim + 1)
    shape = (*first.shape[:axis], 1, *first.shape[axis:])
    return call("concat", *(call("reshape", x, shape=shape)[0] for x in inputs.values()), axis=axis)


def _concat(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    # TensorFlow lets an empty vector join anything.
    joined = [x for x in inputs.values() if x.shape != (0,)] or list(inputs.values())[:1]
    return call("concat", *joined, axis=attrs["axis"])


def _gather(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    x, indices = inputs["x"], inputs["indices"]
    if attrs["batchDims"]:
        return [indexed.gather(x, indices, attrs["axis"], attrs["batchDims"]).numpy()]
    return call("gather", x, indices, axis=attrs["axis"])


def _expand(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    x = inputs["input"]
    axis = attrs["dim"] % (x.ndim + 1)
    return call("reshape", x, shape=(*x.shape[:axis], 1, *x.shape[axis:]))


def _select(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    c, t, e = inputs["condition"], inputs["t"], inputs["e"]
    if t.dtype != e.dtype:
        raise Skipped("branches of two dtypes")
    if c.ndim == 1 and t.ndim > 1:
        (c,) = call("reshape", c, shape=(*c.shape, *[1] * (t.ndim - 1)))
    return call("select", c, t, e)


def _reverse(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    x = inputs["x"]
    return call("reverse", x, axes=axes_of(attrs.get("dims"), x.ndim))


def _tile(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    return call("tile", inputs["x"], multiples=attrs["reps"])


def _scatter_nd(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    """Indices without a dim of tuples count the first dim."""
    indices, updates, shape = inputs["indices"], inputs["updates"], attrs["shape"]
    if indices.ndim == 1:
        indices = indices[:, None]
    return [indexed.scatter_nd(indices, updates, shape).numpy()]


def _counts(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    weights = inputs["weights"] if inputs["weights"].size else None
    binary = attrs.get("binaryOutput", False)
    found = sorting.dense_bincount(inputs["x"], weights, attrs["size"], binary)
    return [found.numpy()]


def _sparse_segments(function: Callable[..., Any]) -> Adapter:
    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        found = function(inputs["data"], inputs["indices"], inputs["segmentIds"]).numpy()
        return [as_dtype(found, str(inputs["data"].dtype))]

    return adapt


def _ragged_gather(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    splits, values = inputs["paramsNestedSplits"], inputs["paramsDenseValues"]
    return arrays_of(ragged.ragged_gather(splits, values, inputs["indices"]))


def _ragged_to_dense(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    plain = (inputs[name] for name in ("shape", "values", "defaultValue", "rowPartitionTensors"))
    return arrays_of(ragged.ragged_tensor_to_tensor(*plain, attrs["rowPartitionTypes"]))


ADAPTERS: dict[str, Adapter] = {
    "BatchToSpaceND": plain("batch_to_space", block="blockShape", crops="crops"),
    "Bincount": _counts,
    "BroadcastArgs": lambda inputs, attrs: arrays_of(
        parts.broadcast_args(inputs["s0"], inputs["s1"])
    ),
    "Concat": _concat,
    "DenseBincount": _counts,
    "DepthToSpace": plain("depth_to_space", block="blockSize"),
    "ExpandDims": _expand,
    "FlipLeftRight": lambda inputs, attrs: call("reverse", inputs["image"], axes=(2,)),
    "GatherNd": plain("gather_nd"),
    "GatherV2": _gather,
    "Identity": lambda inputs, attrs: call("reshape", inputs["x"], shape=inputs["x"].shape),
    "MirrorPad": plain("mirror_pad", paddings="paddings", mode="mode"),
    "Pack": _pack,
    "PadV2": plain("pad", paddings="paddings", value="constantValue"),
    "RaggedGather": _ragged_gather,
    "RaggedRange": function_of(ragged.ragged_range),
    "RaggedTensorToTensor": _ragged_to_dense,
    "Reshape": plain("reshape", shape="shape"),
    "Reverse": _reverse,
    "ScatterNd": _scatter_nd,
    "SearchSorted": function_of(sorting.search_sorted, side="side"),
    "Select": _select,
    "Slice": _slice,
    "SpaceToBatchND": plain("space_to_batch", block="blockShape", paddings="paddings"),
    "SparseFillEmptyRows": function_of(ragged.sparse_fill_empty_rows),
    "SparseReshape": function_of(ragged.sparse_reshape),
    "SparseSegmentMean": _sparse_segments(segments.sparse_segment_mean),
    "SparseSegmentSum": _sparse_segments(segments.sparse_segment_sum),
    "SparseToDense": lambda inputs, attrs: [
        indexed.sparse_to_dense(
            inputs["sparseIndices"],
            inputs["sparseValues"],
            attrs["outputShape"],
            inputs["defaultValue"],
        ).numpy()
    ],
    "SplitV": _split,
    "StridedSlice": _strided_slice,
    "TensorScatterUpdate": function_of(indexed.tensor_scatter_update),
    "Tile": _tile,
    "Transpose": plain("transpose", perm="perm"),
    "Unique": function_of(selection.unique, axis="axis"),
    "Unpack": _unpack,
    "UnsortedSegmentSum": function_of(segments.unsorted_segment_sum, num_segments="numSegments"),
}

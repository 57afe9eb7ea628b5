"""Importers of ops that make, cut, join and reorder tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fanlight.formats.calls import sizes_of
from fanlight.formats.emitter import Tensor, dtype_of
from fanlight.formats.tfgraph.call import Call, importer
from fanlight.formats.tfgraph.debugging import PASSING


@importer("Identity", "Snapshot", "StopGradient", "PreventGradient", "EnsureShape",
          "PlaceholderWithDefault", *sorted(PASSING))  # fmt: skip
def identity(call: Call) -> Tensor:
    return call.x()


@importer("IdentityN")
def identity_n(call: Call) -> list[Tensor]:
    return list(call.inputs)


@importer("FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxArgs")
def fake_quant(call: Call) -> Tensor:
    call.warnings.append(f"{call.where}: fake quantisation is not simulated, as in TF.js.")
    return call.x()


# --- shapes: all known, since every shape is ------------------------------------------------------


def _i32(values: Sequence[int]) -> np.ndarray:
    return np.asarray(values, np.int32)


@importer("Shape", "ShapeN")
def shape(call: Call) -> list[Tensor]:
    return [_i32(x.shape) for x in call.inputs]


@importer("Size")
def size(call: Call) -> Tensor:
    return np.asarray(math.prod(call.x().shape), np.int32)


@importer("Rank")
def rank(call: Call) -> Tensor:
    return np.asarray(len(call.x().shape), np.int32)


@importer("Reshape")
def reshape(call: Call) -> Tensor:
    return _reshaped(call, call.x(), call.ints(1, "the shape"))


def _reshaped(call: Call, x: Tensor, wanted: Sequence[int]) -> Tensor:
    total = math.prod(x.shape)
    dims = sizes_of(wanted, total)
    if dims is None:
        raise call.refuse(
            "the sizes do not fit",
            expected=f"a shape of {total:,} elements",
            received=f"{list(x.shape)} to {list(wanted)}",
        )
    return call.em.reshape(x, dims, call.node.name)


@importer("ExpandDims")
def expand_dims(call: Call) -> Tensor:
    x = call.x()
    axis = call.axis(1, len(x.shape) + 1)
    return call.em.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]), call.node.name)


@importer("Squeeze")
def squeeze(call: Call) -> Tensor:
    x = call.x()
    rank = len(x.shape)
    axes = {a % rank for a in call.attrs.ints("squeeze_dims") or call.attrs.ints("axis") if rank}
    if any(x.shape[a] != 1 for a in axes):
        raise call.refuse("a squeezed dim is not 1", received=f"{list(x.shape)}, dims {axes}")
    drop = axes or {a for a in range(rank) if x.shape[a] == 1}
    return call.em.reshape(x, [d for a, d in enumerate(x.shape) if a not in drop], call.node.name)


@importer("Fill")
def fill(call: Call) -> Tensor:
    value = call.x(1)
    dims = call.ints(0, "the shape")
    return call.op("broadcast_to", value, shape=dims)


@importer("ZerosLike", "OnesLike")
def zeros_like(call: Call) -> Tensor:
    x = call.x()
    value = 0 if call.node.op == "ZerosLike" else 1
    return call.em.full(x.shape, value, dtype_of(x), call.where)


@importer("Range")
def range_(call: Call) -> Tensor:
    start, stop, step = (call.known(i, "the range").reshape(-1)[:1] for i in range(3))
    if not (start.size and stop.size and step.size) or not step[0]:
        raise call.refuse("the range has no step")
    with np.errstate(all="ignore"):
        count = np.ceil((np.float64(stop[0]) - np.float64(start[0])) / np.float64(step[0]))
    if not count <= 1 << 22:
        raise call.refuse("the range is too long", expected="at most 4,194,304", received=count)
    steps = np.arange(max(int(count), 0)) * step[0] + start[0]
    return steps.astype(start.dtype)


@importer("LinSpace")
def lin_space(call: Call) -> Tensor:
    start, stop = (float(call.known(i, "the ends").reshape(-1)[0]) for i in (0, 1))
    count = call.number(2, "the count")
    if not 1 <= count <= 1 << 22:
        raise call.refuse("there are too many steps", received=count)
    return np.linspace(start, stop, count).astype(np.float32)


@importer("OneHot")
def one_hot(call: Call) -> Tensor:
    """indices [...] -> [..., depth], or depth at `axis`."""
    indices, depth = call.x(0), call.number(1, "the depth")
    if not 0 <= depth <= 1 << 20:
        raise call.refuse("the depth is out of range", received=depth)
    rank = len(indices.shape)
    axis = call.attrs.whole("axis", -1) % (rank + 1)
    classes = np.arange(depth, dtype=np.int32).reshape([-1] + [1] * (rank - axis))
    column = call.em.reshape(
        call.em.cast(indices, "int32", f"{call.node.name}/indices"),
        (*indices.shape[:axis], 1, *indices.shape[axis:]),
        f"{call.node.name}/column",
    )
    hit = call.op("equal", column, classes, part="hit")
    return call.op("select", hit, call.x(2), call.x(3))


@importer("SparseToDense")
def sparse_to_dense(call: Call) -> Tensor:
    """Values at indices of a known shape; exporters from ONNX build paddings with it."""
    indices, values, default = call.x(0), call.x(2), call.x(3)
    dims = call.ints(1, "the shape")
    count = math.prod(indices.shape) // max(1, len(dims))
    if not dims or math.prod(default.shape) != 1 or math.prod(indices.shape) % len(dims):
        raise call.refuse("indices and shape do not fit", received=f"{indices.shape}, {dims}")
    at = call.em.reshape(indices, (count, len(dims)), f"{call.node.name}/indices")
    known = at if isinstance(at, np.ndarray) else np.zeros((0, len(dims)), np.int32)
    outside = (known < 0).any() or (known >= np.array(dims)).any()
    if outside or dtype_of(at) != "int32" or math.prod(values.shape) not in (1, count):
        raise call.refuse("indices, shape and values do not fit", received=known[:4].tolist())
    base = call.em.reshape(default, (1,) * len(dims), f"{call.node.name}/default")
    base = call.op("broadcast_to", base, shape=dims, part="base")
    if not count:
        return base
    single = call.em.reshape(
        values, (count,) if math.prod(values.shape) == count else (1,), f"{call.node.name}/values"
    )
    updates = call.op("broadcast_to", single, shape=(count,), part="updates")
    return call.op("scatter_nd", at, updates, base, mode="update")


# --- joining and cutting --------------------------------------------------------------------------


@importer("ConcatV2", "Concat")
def concat(call: Call) -> Tensor:
    parts, at = list(call.inputs), len(call.inputs) - 1
    if call.node.op == "Concat":
        at = 0
    axis = call.axis(at, len(call.x(1 - min(at, 1)).shape))
    del parts[at]
    return parts[0] if len(parts) == 1 else call.op("concat", *parts, axis=axis)


@importer("Pack")
def pack(call: Call) -> Tensor:
    x = call.x()
    rank = len(x.shape)
    axis = call.attrs.whole("axis", 0) % (rank + 1)
    rows = [
        call.em.reshape(
            part, (*part.shape[:axis], 1, *part.shape[axis:]), f"{call.node.name}/{index}"
        )
        for index, part in enumerate(call.inputs)
    ]
    return rows[0] if len(rows) == 1 else call.op("concat", *rows, axis=axis)


@importer("Unpack")
def unpack(call: Call) -> list[Tensor]:
    x = call.x()
    axis = _dim(call, call.attrs.whole("axis", 0), len(x.shape))
    parts = _cut(call, x, axis, [1] * _count(call, x.shape[axis]))
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return [call.em.reshape(p, shape, f"{call.node.name}/row") for p in parts]


@importer("Split")
def split(call: Call) -> list[Tensor]:
    x = call.x(1)
    axis = call.axis(0, len(x.shape))
    count = _count(call, call.attrs.whole("num_split", 1))
    if count < 1 or x.shape[axis] % count:
        raise call.refuse("the parts are not equal", received=f"{x.shape[axis]} into {count}")
    return _cut(call, x, axis, [x.shape[axis] // count] * count)


@importer("SplitV")
def split_v(call: Call) -> list[Tensor]:
    x = call.x()
    axis = call.axis(2, len(x.shape))
    sizes = list(call.ints(1, "the sizes"))
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = x.shape[axis] - sum(sizes) - 1
    if sum(sizes) != x.shape[axis] or min(sizes, default=0) < 0:
        raise call.refuse("the sizes do not add up", expected=x.shape[axis], received=sizes[:16])
    return _cut(call, x, axis, sizes)


def _count(call: Call, count: int) -> int:
    if count > 4096:
        raise call.refuse("there are too many parts", expected="at most 4096", received=count)
    return count


def _dim(call: Call, axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise call.refuse("the axis does not exist", expected=f"one of {rank} dims", received=axis)
    return axis % rank


def _cut(call: Call, x: Tensor, axis: int, sizes: Sequence[int]) -> list[Tensor]:
    parts, start = [], 0
    for index, count in enumerate(sizes):
        begin = [0] * len(x.shape)
        begin[axis] = start
        extent = [*x.shape]
        extent[axis] = count
        parts.append(call.op("slice", x, part=str(index), begin=tuple(begin), size=tuple(extent)))
        start += count
    return parts


@importer("Slice")
def slice_(call: Call) -> Tensor:
    x = call.x()
    begin, extent = call.ints(1, "the begin"), list(call.ints(2, "the size"))
    if not len(begin) == len(extent) == len(x.shape):
        raise call.refuse("begin and size do not fit", received=f"{begin}, {extent}")
    for axis, count in enumerate(extent):
        if count == -1:
            extent[axis] = x.shape[axis] - begin[axis]
    return call.op("slice", x, begin=begin, size=tuple(extent))


@importer("StridedSlice")
def strided_slice(call: Call) -> Tensor:
    """x[begin:end:strides] with TensorFlow's five masks."""
    x = call.x()
    begin, end, strides = (call.ints(i, "a limit") for i in (1, 2, 3))
    if not len(begin) == len(end) == len(strides) <= 32 or 0 in strides:
        raise call.refuse("the limits do not fit", received=f"{begin}, {end}, {strides}")
    mask = {
        m: call.attrs.whole(f"{m}_mask", 0)
        for m in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    items: list[slice | int | None] = []
    seen_ellipsis = False
    used = sum(1 for i in range(len(begin)) if not (mask["ellipsis"] | mask["new_axis"]) >> i & 1)
    if used > len(x.shape):
        raise call.refuse("there are more limits than dims", received=f"{used} for {list(x.shape)}")
    for i in range(len(begin)):
        if mask["ellipsis"] >> i & 1:
            if seen_ellipsis:
                raise call.refuse("there are two ellipses")
            seen_ellipsis = True
            items += [slice(None)] * (len(x.shape) - used)
        elif mask["new_axis"] >> i & 1:
            items.append(None)
        elif mask["shrink_axis"] >> i & 1:
            items.append(begin[i])
        else:
            items.append(
                slice(
                    None if mask["begin"] >> i & 1 else begin[i],
                    None if mask["end"] >> i & 1 else end[i],
                    strides[i],
                )
            )
    return _sliced(call, x, items)


def _sliced(call: Call, x: Tensor, items: Sequence[slice | int | None]) -> Tensor:
    """`x[items]` by slice or strided_slice, and reshape."""
    full = [*items, *[slice(None)] * (len(x.shape) - sum(i is not None for i in items))]
    picks: list[range] = []
    shape: list[int] = []
    for item in full:
        if item is None:
            shape.append(1)
            continue
        extent = x.shape[len(picks)]
        if isinstance(item, int):
            if not -extent <= item < extent:
                raise call.refuse("the index is outside", expected=extent, received=item)
            picks.append(range(item % extent, item % extent + 1))
        else:
            picks.append(range(*item.indices(extent)))
            shape.append(len(picks[-1]))
    begin = tuple(p.start if p else 0 for p in picks)
    if any(p.step != 1 and len(p) > 1 for p in picks):
        # The last picked position, and one more in the direction of the step, ends the range.
        end = tuple(p[-1] + (1 if p.step > 0 else -1) if p else 0 for p in picks)
        strides = tuple(p.step for p in picks)
        x = call.op("strided_slice", x, begin=begin, end=end, strides=strides)
    elif [len(p) for p in picks] != list(x.shape):
        x = call.op("slice", x, begin=begin, size=tuple(map(len, picks)))
    return call.em.reshape(x, shape, f"{call.node.name}/shape")


@importer("GatherV2", "Gather")
def gather(call: Call) -> Tensor:
    x, indices = call.x(0), call.x(1)
    axis = call.axis(2, len(x.shape)) if call.node.op == "GatherV2" else 0
    if call.attrs.whole("batch_dims", 0):
        raise call.refuse("batch_dims is not supported", expected=0)
    indices = call.em.cast(indices, "int32", f"{call.node.name}/indices")
    return call.op("gather", x, indices, axis=axis)


# --- reordering and padding -----------------------------------------------------------------------


@importer("Transpose")
def transpose(call: Call) -> Tensor:
    x, perm = call.x(), call.ints(1, "the permutation")
    if sorted(perm) != list(range(len(x.shape))):
        raise call.refuse("this is no permutation", expected=len(x.shape), received=perm[:16])
    return call.em.transpose(x, perm, call.node.name)


@importer("Tile")
def tile(call: Call) -> Tensor:
    return call.op("tile", call.x(), multiples=call.ints(1, "the multiples"))


@importer("BroadcastTo")
def broadcast_to(call: Call) -> Tensor:
    return call.op("broadcast_to", call.x(), shape=call.ints(1, "the shape"))


@importer("ReverseV2", "Reverse")
def reverse(call: Call) -> Tensor:
    x, values = call.x(), call.ints(1, "the axes")
    if call.node.op == "Reverse":
        axes = tuple(a for a, flag in enumerate(values) if flag)
    else:
        axes = tuple(sorted({_dim(call, a, len(x.shape)) for a in values}))
    return call.op("reverse", x, axes=axes) if axes else x


def _pairs(call: Call, index: int) -> tuple[tuple[int, int], ...]:
    values = call.ints(index, "the paddings")
    if len(values) % 2 or min(values, default=0) < 0:
        raise call.refuse("the paddings are no pairs >= 0", received=values[:16])
    return tuple(zip(values[::2], values[1::2], strict=True))


@importer("Pad", "PadV2")
def pad(call: Call) -> Tensor:
    x, pairs = call.x(), _pairs(call, 1)
    value = 0
    if call.node.op == "PadV2":
        value = call.known(2, "the padding value").reshape(-1)[:1].tolist()[0]
    return call.op("pad", x, paddings=pairs, value=value) if any(map(any, pairs)) else x


@importer("MirrorPad")
def mirror_pad(call: Call) -> Tensor:
    mode = call.attrs.text("mode", "REFLECT").lower()
    return call.op("mirror_pad", call.x(), paddings=_pairs(call, 1), mode=mode)


@importer("DepthToSpace", "SpaceToDepth")
def depth_to_space(call: Call) -> Tensor:
    if call.attrs.text("data_format", "NHWC").upper() != "NHWC":
        raise call.refuse("only NHWC is supported", expected="NHWC")
    op = "depth_to_space" if call.node.op == "DepthToSpace" else "space_to_depth"
    return call.op(op, call.x(), block=call.attrs.whole("block_size", 2))


@importer("SpaceToBatchND", "BatchToSpaceND")
def space_to_batch(call: Call) -> Tensor:
    blocks = call.ints(1, "the block")
    pairs = _pairs(call, 2)
    if call.node.op == "SpaceToBatchND":
        return call.op("space_to_batch", call.x(), block=blocks, paddings=pairs)
    return call.op("batch_to_space", call.x(), block=blocks, crops=pairs)

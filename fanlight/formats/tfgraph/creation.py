"""Importers of drawn numbers, and of ops that TensorFlow has and TensorFlow.js has not.

A graph is the same at every call, so what a model draws is drawn once, when it is read.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor, check_size, dtype_of
from fanlight.formats.tfgraph.call import Call, importer
from fanlight.ops.types import TensorType
from fanlight.tensor import functions as fn
from fanlight.tensor import indices, segments, windows
from fanlight.tensor.core import cast
from fanlight.tensor.resize import resize

_SIDE = 1 << 14  # pixels: a picture of more is no model's
_MOST_BYTES = 1 << 26
_MOST = 1 << 20


@importer("Ones", "Zeros")
def full(call: Call) -> Tensor:
    """A tensor of ones or zeros; a shape in an attribute, or as an input."""
    shape = call.ints(0, "the shape") if call.inputs else call.attrs.ints("shape")
    value = 1 if call.node.op == "Ones" else 0
    return call.em.full(shape, value, call.attrs.dtype("dtype", "float32"), call.where)


# --- drawn numbers --------------------------------------------------------------------------------


def _drawn(call: Call, shape: tuple[int, ...]) -> np.random.Generator:
    """What draws: from the node's own seeds, or else from its name."""
    check_size(TensorType(shape, "float32"), call.where, _MOST_BYTES)
    seeds = [call.attrs.whole(n, 0) for n in ("seed", "seed2")]
    if not any(seeds):
        seeds = [zlib.crc32(call.node.name.encode())]
    call.warnings.append(f"{call.where}: its numbers are drawn once, when the model is read.")
    return np.random.default_rng([s & 0xFFFFFFFF for s in seeds])


def _dims(call: Call) -> tuple[int, ...]:
    shape = call.ints(0, "the shape")
    if min(shape, default=0) < 0:
        raise call.refuse("the shape is none", received=shape)
    return shape


@importer("RandomStandardNormal", "RandomUniform", "TruncatedNormal")
def drawn(call: Call) -> Tensor:
    """Numbers of a distribution: float32 of a known shape."""
    shape = _dims(call)
    draw = _drawn(call, shape)
    if call.node.op == "RandomUniform":
        found = draw.random(shape, np.float32)
    else:
        found = draw.standard_normal(shape, np.float32)
    if call.node.op == "TruncatedNormal":
        for _ in range(64):  # one in twenty is beyond two deviations, and is drawn again
            beyond = np.abs(found) > 2
            if not beyond.any():
                break
            found[beyond] = draw.standard_normal(int(beyond.sum()), np.float32)
        found = np.clip(found, -2, 2)
    return np.asarray(found, np.float32)


@importer("RandomUniformInt")
def drawn_ints(call: Call) -> Tensor:
    shape, low, high = _dims(call), call.number(1, "the least"), call.number(2, "the limit")
    if not -(2**31) <= low < high <= 2**31:
        raise call.refuse("there is no number to draw", received=(low, high))
    return np.asarray(_drawn(call, shape).integers(low, high, shape), np.int32)


@importer("Multinomial")
def multinomial(call: Call) -> Any:
    """Logits [n, classes] -> classes int32 [n, count]: the greatest of logits and Gumbel noise."""
    logits, count = call.x(0), call.number(1, "the number of draws")
    if len(logits.shape) != 2 or not logits.shape[1] or not 0 <= count <= _MOST:
        raise call.refuse("logits and count do not fit", received=(list(logits.shape), count))
    rows, classes = logits.shape
    noise = _drawn(call, (rows, count, classes)).gumbel(size=(rows, count, classes))
    noise = noise.astype(np.float32)
    return call.function(
        lambda x: cast(fn.arg_max(fn.expand_dims(x, 1) + noise, axis=-1), "int32"), logits
    )


# --- windows --------------------------------------------------------------------------------------


@importer("Conv1D")
def conv1d(call: Call) -> Any:
    """[N, W, C] with [k, C, D]; TensorFlow.js's own op."""
    layout = call.attrs.text("data_format", "NWC").upper()
    stride, gap = call.attrs.whole("stride", 1), call.attrs.whole("dilation", 1)
    padding = call.attrs.text("padding", "VALID").lower()
    if layout != "NWC" or padding not in ("same", "valid"):
        raise call.refuse("unknown layout or padding", expected="NWC", received=(layout, padding))
    return call.function(
        lambda x, w: windows.conv1d(x, w, stride, padding, gap), call.x(0), call.x(1)
    )


@importer("Conv3DBackpropInputV2", "Conv3DBackpropInput")
def conv3d_transpose(call: Call) -> Any:
    """Sizes, a kernel [d, h, w, out, in] and [N, D, H, W, in]."""
    sizes = call.ints(0, "the sizes")
    strides = call.attrs.ints("strides")
    padding = call.attrs.text("padding", "VALID").lower()
    gaps = set(call.attrs.ints("dilations")) | {1}
    if len(sizes) != 5 or len(strides) != 5 or strides[0] != 1 or strides[4] != 1 or gaps != {1}:
        raise call.refuse("sizes and strides do not fit", received=(sizes, strides))
    if padding not in ("same", "valid") or not all(0 < n <= _SIDE for n in sizes[1:4]):
        raise call.refuse("unknown padding or size", received=(padding, sizes))
    return call.function(
        lambda x, w: windows.conv3d_transpose(x, w, sizes[1:4], strides[1:4], padding),
        call.x(2),
        call.x(1),
    )


@importer("ResizeBicubic")
def resize_bicubic(call: Call) -> Any:
    size = call.ints(1, "the size")
    if len(size) != 2 or not all(1 <= n <= _SIDE for n in size):
        raise call.refuse("the size is none", received=size[:8])
    half, corners = call.attrs.flag("half_pixel_centers"), call.attrs.flag("align_corners")
    how = "half_pixel" if half else "align_corners" if corners else "asymmetric"
    # The newer rule has a = -1/2 and leaves out what is outside; the older one has a = -3/4.
    return call.function(
        lambda x: resize(
            x,
            size,
            axes=(1, 2),
            mode="cubic",
            coordinates=how,
            cubic_coefficient=-0.5 if half else -0.75,
            exclude_outside=half,
        ),
        call.x(0),
    )


# --- others ---------------------------------------------------------------------------------------


def _no_nan(function: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """x f(y), and 0 where x is 0 whatever f(y) is."""

    def product(x: Any, y: Any) -> Any:
        zero = fn.equal(x, 0.0)
        return fn.where(zero, 0.0, x * function(fn.where(zero, 1.0, y)))

    return product


@importer("Xlogy", "Xlog1py", "Xdivy")
def times_function(call: Call) -> Any:
    function = {"Xlogy": fn.log, "Xlog1py": fn.log1p, "Xdivy": fn.reciprocal}[call.node.op]
    return call.function(_no_nan(function), call.x(0), call.x(1))


@importer("L2Loss")
def l2_loss(call: Call) -> Any:
    return call.function(lambda x: fn.sum(x * x) * 0.5, call.x(0))


@importer("InvertPermutation")
def invert_permutation(call: Call) -> Any:
    x = call.x()
    if len(x.shape) != 1:
        raise call.refuse("a permutation is a row", expected="[n]", received=list(x.shape))
    size = x.shape[0]
    if isinstance(x, np.ndarray):
        if sorted(x.tolist()) != list(range(size)):
            raise call.refuse("this is no permutation", received=x[:16].tolist())
        return np.argsort(x).astype(np.int32)
    at = call.em.reshape(x, (size, 1), f"{call.node.name}/at")
    return call.op("scatter_nd", at, np.arange(size, dtype=np.int32), shape=(size,), mode="add")


@importer("ReverseSequence")
def reverse_sequence(call: Call) -> Any:
    """The first lengths[b] of each row b backwards, and the rest as it is."""
    x = call.x(0)
    rank = len(x.shape)
    time, batch = call.attrs.whole("seq_dim", 0), call.attrs.whole("batch_dim", 0)
    if rank < 2 or not (0 <= time < rank and 0 <= batch < rank) or time == batch:
        raise call.refuse("dims of time and batch do not fit", received=(time, batch))
    perm = [batch, time, *(a for a in range(rank) if a not in (time, batch))]
    back = [perm.index(a) for a in range(rank)]
    steps = np.arange(x.shape[time], dtype=np.int32)[None]

    def turned(x: Any, lengths: Any) -> Any:
        long = fn.reshape(cast(lengths, "int32"), (-1, 1))
        at = fn.where(fn.less(steps, long), long - 1 - steps, fn.maximum(long * 0, steps))
        picked = indices.gather(fn.transpose(x, perm), at, axis=1, batch_dims=1)
        return fn.transpose(picked, back)

    return call.function(turned, x, call.x(1))


_SEGMENTS = {
    f"Segment{how.title()}": getattr(segments, f"segment_{how}")
    for how in ("sum", "mean", "prod", "max", "min")
}


@importer(*_SEGMENTS)
def segment(call: Call) -> Any:
    """Rows in known segments, in order."""
    ids = call.ints(1, "the segments")
    count = ids[-1] + 1 if ids else 0
    if list(ids) != sorted(ids) or not 0 <= count <= _MOST or (ids and ids[0] < 0):
        raise call.refuse("the segments are not in order", received=ids[:16])
    function, known = _SEGMENTS[call.node.op], np.asarray(ids, np.int32)
    return call.function(lambda x: function(x, known, count), call.x(0))


@importer("Bitcast")
def bitcast(call: Call) -> Tensor:
    """The same bits as another type, of known numbers of 4 bytes."""
    x, wanted = call.x(), call.attrs.dtype("type")
    if dtype_of(x) == wanted:
        return x
    known = call.known(0, "what is cast")
    if {dtype_of(x), wanted} != {"int32", "float32"}:
        raise call.refuse("types of different sizes", expected="int32, float32", received=wanted)
    found: np.ndarray = known.view(np.int32 if wanted == "int32" else np.float32)
    return found

"""Importers of operators that few models have, each as a composite of the op table."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor, check_size, dtype_of
from fanlight.formats.fourier import framed
from fanlight.formats.torch.call import Call, importer
from fanlight.ops.types import TensorType
from fanlight.tensor import bitwise, scans, sorting
from fanlight.tensor import functions as fn
from fanlight.tensor import indices as places
from fanlight.tensor.core import cast

_SIDE = 1 << 14
_PLACES = 1 << 26


@importer("bitwise_left_shift", "bitwise_right_shift", "__lshift__", "__rshift__")
def shift(call: Call) -> Tensor:
    left = "left" in call.node.target or "__lshift__" in call.node.target
    function = bitwise.left_shift if left else bitwise.right_shift
    return call.function(function, call.x(dtype="int32"), call.x("other", "int32"))


@importer("isin")
def isin(call: Call) -> Tensor:
    names = ("elements", "element"), ("test_elements", "test_element")
    a, b = (next((call.x(n) for n in pair if n in call.args), None) for pair in names)
    return contained(call, a, b)


def contained(
    call: Call, a: Tensor | None, b: Tensor | None, inside: Tensor | None = None
) -> Tensor:
    """Whether each number of `a` is one of `b`, of which those that are `inside` count: bool."""
    if a is None or b is None or "bool" in (dtype_of(a), dtype_of(b)):
        raise call.refuse("numbers are wanted", received=", ".join(call.args))
    kind = "float32" if "float32" in (dtype_of(a), dtype_of(b)) else "int32"
    inverted = call.flag("invert")

    def compute(a: Any, b: Any, inside: Any = None) -> Any:
        found = fn.equal(fn.expand_dims(a, -1), fn.reshape(b, (-1,)))
        if inside is not None:
            inside = fn.reshape(fn.broadcast_to(inside, b.shape), (-1,))
            found = fn.logical_and(found, inside)
        found = fn.any(found, -1)
        return fn.logical_not(found) if inverted else found

    given = [call.cast(a, kind, "a"), call.cast(b, kind, "b")]
    return call.function(compute, *given, *([] if inside is None else [inside]))


@importer("masked_scatter")
def masked_scatter(call: Call) -> Tensor:
    """The places of a mask take the numbers of a source, one after the other."""
    x, source = call.x(), call.x("source", dtype_of(call.x()))
    if dtype_of(x) == "bool" or not math.prod(source.shape):
        raise call.refuse("numbers are wanted", received=[dtype_of(x), *source.shape])
    most = math.prod(source.shape) - 1

    def compute(x: Any, mask: Any, source: Any) -> Any:
        mask = fn.broadcast_to(mask, x.shape)
        rank = fn.sub(scans.cumsum(cast(fn.reshape(mask, (-1,)), "int32"), 0), 1)
        taken = places.gather(fn.reshape(source, (-1,)), fn.clip(rank, 0, most))
        return fn.where(mask, fn.reshape(taken, x.shape), x)

    return call.function(compute, x, call.x("mask", "bool"), source)


@importer("unfold", "unfold_copy")
def unfold(call: Call) -> Tensor:
    """Windows along one dim; their places are the last dim of the result."""
    x, size, step = call.x(), call.whole("size"), call.whole("step")
    if not x.shape:
        raise call.refuse("a dim is wanted", received="none")
    axis = call.axis("dimension", len(x.shape))
    if not 1 <= size <= x.shape[axis] or step < 1:
        raise call.refuse("the windows do not fit", received=[size, step, *x.shape])
    if axis == len(x.shape) - 1 and dtype_of(x) == "float32":
        # Frames of a signal: parts of it side by side, without a table of places.
        return call.function(lambda x: framed(x, size, step), x)
    begins = np.arange(0, x.shape[axis] - size + 1, step, dtype=np.int32)
    check_size(TensorType((len(begins), size), "int32"), call.where, _PLACES)
    index = begins[:, None] + np.arange(size, dtype=np.int32)
    y = call.op("gather", x, index, part="windows", axis=axis)
    rank = len(y.shape)
    perm = [*(d for d in range(rank) if d != axis + 1), axis + 1]
    return call.em.transpose(y, perm, call.name())


@importer("col2im")
def col2im(call: Call) -> Tensor:
    """[N, C kh kw, L] -> [N, C, H, W]: windows added up where they lie on one another."""
    x = call.x()
    h, w = call.spread("output_size", 2)
    (kh, kw), (dh, dw) = call.spread("kernel_size", 2), call.spread("dilation", 2, 1)
    (ph, pw), (sh, sw) = call.spread("padding", 2, 0), call.spread("stride", 2, 1)
    alone = len(x.shape) == 2
    if alone:
        x = call.em.reshape(x, (1, *x.shape), call.name("batch"))
    limits = (h, w, kh, kw, dh, dw, sh, sw)
    if not all(1 <= v <= _SIDE for v in limits) or not (0 <= ph < _SIDE and 0 <= pw < _SIDE):
        raise call.refuse("the windows do not fit", received=[*limits, ph, pw])
    rows = np.arange(0, h + 2 * ph - dh * (kh - 1), sh)
    columns = np.arange(0, w + 2 * pw - dw * (kw - 1), sw)
    wide = w + 2 * pw
    if len(x.shape) != 3 or x.shape[1] % (kh * kw) or x.shape[2] != len(rows) * len(columns):
        raise call.refuse("the windows do not fit", received=list(x.shape))
    n, channels, count = x.shape[0], x.shape[1] // (kh * kw), x.shape[2]
    check_size(TensorType((kh * kw * count,), "int32"), call.where, _PLACES)
    down = np.arange(kh)[:, None] * dh + rows  # [kh, oh]
    across = np.arange(kw)[:, None] * dw + columns
    at = down[:, None, :, None] * wide + across[None, :, None, :]
    index = at.reshape(-1, 1).astype(np.int32)

    def compute(x: Any) -> Any:
        lines = fn.transpose(fn.reshape(x, (n * channels, kh * kw * count)), (1, 0))
        blank = fn.zeros(((h + 2 * ph) * wide, n * channels))
        made = fn.transpose(places.tensor_scatter_add(blank, index, lines), (1, 0))
        made = fn.reshape(made, (n, channels, h + 2 * ph, wide))
        return made[:, :, ph : ph + h, pw : pw + w]

    y = call.function(compute, x)
    return call.em.reshape(y, y.shape[1:], call.name("alone")) if alone else y


@importer("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only")
def embedding_bag(call: Call) -> list[Tensor]:
    """Sums, means or maxima of rows of a table, one for each bag of indices."""
    table, index = call.x("weight"), call.x("indices", "int32")
    offsets = call.x("offsets", "int32")
    if not isinstance(offsets, np.ndarray):
        raise call.depends("where bags begin")
    mode = call.whole("mode", 0)
    count = int(index.shape[0]) if len(index.shape) == 1 else -1
    ends = [*offsets.tolist(), *([] if call.flag("include_last_offset") else [count])]
    if mode not in (0, 1, 2) or ends[0] != 0 or ends[-1] != count or ends != sorted(ends):
        raise call.refuse("the bags do not fit", expected=f"{count} indices", received=ends[:8])
    bags = list(itertools.pairwise(ends))
    weights = call.optional("per_sample_weights")
    if len(bags) > 4096 or (weights is not None and mode):
        raise call.refuse("bags of this kind", expected="at most 4096", received=len(bags))
    skipped = call.whole("padding_idx") if call.has("padding_idx") else -1

    def compute(table: Any, index: Any, *weights: Any) -> Any:
        rows = places.gather(table, index)
        kept = fn.expand_dims(fn.not_equal(index, skipped), -1)
        if weights:
            rows = fn.mul(rows, fn.expand_dims(weights[0], -1))
        rows = fn.where(kept, rows, -math.inf if mode == 2 else 0.0)
        ones = cast(kept, "float32")
        made = []
        for a, b in bags:
            if a == b:
                made.append(fn.zeros((1, table.shape[1])))
            elif mode == 2:
                best = fn.max(rows[a:b], 0, True)
                made.append(fn.where(fn.is_inf(best), 0.0, best))
            else:
                total = fn.sum(rows[a:b], 0, True)
                whole = fn.maximum(fn.sum(ones[a:b], 0, True), 1.0)
                made.append(fn.div(total, whole) if mode == 1 else total)
        return fn.concat(made, 0) if len(made) > 1 else made[0]

    return [call.function(compute, table, index, *([] if weights is None else [weights]))]


@importer("pdist", "_pdist_forward")
def pdist(call: Call) -> Tensor:
    """[n, d] -> the distances of all pairs of rows, [n (n - 1) / 2]."""
    x, p = call.x(), call.real("p", 2.0)
    if len(x.shape) != 2 or x.shape[0] < 2 or p <= 0:
        raise call.refuse("two or more rows are wanted, p > 0", received=[*x.shape, p])
    n = x.shape[0]
    check_size(TensorType((n, n), "int32"), call.where, _PLACES)
    first, second = (i.astype(np.int32) for i in np.triu_indices(n, 1))

    def compute(x: Any) -> Any:
        apart = fn.abs(fn.sub(places.gather(x, first), places.gather(x, second)))
        if p == 2:
            return fn.sqrt(fn.sum(fn.square(apart), 1))
        if math.isinf(p):
            return fn.max(apart, 1)
        return fn.pow(fn.sum(fn.pow(apart, p), 1), 1 / p)

    return call.function(compute, x)


@importer("_weight_norm", "_weight_norm_interface")
def weight_norm(call: Call) -> list[Tensor]:
    """v g / |v|, the length over all dims but one (all, for dim -1)."""
    v, g, dim = call.x("v"), call.x("g"), call.whole("dim", 0)
    axes = tuple(d for d in range(len(v.shape)) if d != dim)

    def compute(v: Any, g: Any) -> Any:
        return fn.mul(v, fn.div(g, fn.sqrt(fn.sum(fn.square(v), axes, True))))

    return [call.function(compute, v, g)]


@importer("affine_grid_generator")
def affine_grid(call: Call) -> Tensor:
    """theta [N, 2, 3] -> the places [N, H, W, 2] that the pixels of the result are taken from."""
    theta, size = call.x("theta"), call.ints("size")
    if len(size) != 4 or tuple(theta.shape) != (size[0], 2, 3) or max(size) > _SIDE:
        raise call.refuse("pictures alone", expected="theta [N, 2, 3]", received=list(theta.shape))
    h, w = size[2:]
    check_size(TensorType((h, w, 3), "float32"), call.where, _PLACES)
    lines = []
    for n in (w, h):
        line = np.linspace(-1, 1, n) if n > 1 else np.zeros(n)
        lines.append(line if call.flag("align_corners") else line * (n - 1) / n)
    base = np.ones((h, w, 3), np.float32)
    base[..., 0], base[..., 1] = lines[0], lines[1][:, None]
    flat = base.reshape(h * w, 3)
    return call.function(
        lambda t: fn.reshape(fn.matmul(flat, t, transpose_b=True), (size[0], h, w, 2)), theta
    )


@importer("rrelu")
def rrelu(call: Call) -> Tensor:
    if call.flag("training"):
        raise call.refuse("its slopes are random in training", expected="model.eval()")
    slope = (call.real("lower", 1 / 8) + call.real("upper", 1 / 3)) / 2
    return call.op("leaky_relu", call.x(), alpha=slope)


@importer("median")
def median(call: Call) -> Any:
    """The lower of two middle numbers; with a dim, its place, too."""
    x = call.x()
    whole = not call.has("dim")
    if whole:
        x = call.em.reshape(x, (math.prod(x.shape),), call.name("flat"))
    axis = 0 if whole else call.axis("dim", len(x.shape))
    if not x.shape or not x.shape[axis] or dtype_of(x) == "bool":
        raise call.refuse("numbers are wanted", received=[dtype_of(x), *x.shape])
    middle, keep = (x.shape[axis] - 1) // 2, call.flag("keepdim")

    def compute(x: Any) -> Any:
        cut = (*(slice(None),) * axis, slice(middle, middle + 1))
        found = sorting.sort(x, axis)[cut], sorting.argsort(x, axis)[cut]
        return found if keep else tuple(fn.squeeze(t, axis) for t in found)

    values, at = call.function(compute, x)
    return values if whole else [values, at]

"""Importers of products, normalisation, dropout, losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor, dtype_of
from fanlight.formats.onnx import kinds, whole
from fanlight.formats.onnx.call import Call, importer
from fanlight.formats.onnx.elementwise import wrapped
from fanlight.formats.spatial import from_nhwc, to_nhwc
from fanlight.tensor.einsum import einsum, parse

_MOST_PRODUCTS = 1 << 26


def matmul_of(
    call: Call,
    a: Tensor,
    b: Tensor,
    part: str = "",
    most: tuple[int, int] | None = None,
    **attrs: Any,
) -> Tensor:
    """numpy.matmul, vectors included: of float32, or of whole numbers.

    Args:
        most: how far from 0 the whole numbers of a and b lie at most; the result is int32.
    """
    left, right = len(a.shape) == 1, len(b.shape) == 1
    a = call.reshape(a, (1, *a.shape), "row") if left else a
    b = call.reshape(b, (*b.shape, 1), "column") if right else b
    if most is None:
        part = part if part or not (left or right) else "product"
        y = call.op("matmul", a, b, part=part, **attrs)
    else:
        y = whole.product(call, a, b, *most)
    if left or right:
        shape = list(y.shape)
        if right:
            del shape[-1]
        if left:
            del shape[-1 if right else -2]
        y = call.reshape(y, shape)
    return y


@importer("MatMul")
def matmul(call: Call) -> Tensor:
    a, b = call.x(0), call.x(1)
    if dtype_of(a) == "float32":
        return matmul_of(call, a, call.f32(1))
    kind = call.made_kinds[0] = call.kind(0)
    most = whole.magnitude(call, a, kind), whole.magnitude(call, b, call.kind(1))
    return call.cast(wrapped(call, matmul_of(call, a, b, most=most), kind), dtype_of(a), "back")


@importer("Gemm")
def gemm(call: Call) -> Tensor:
    if dtype_of(call.x()) != "float32" and {call.real(n, 1.0) for n in ("alpha", "beta")} == {1.0}:
        return _whole_gemm(call)
    a, b = call.f32(0), call.f32(1)
    y = call.op("matmul", a, b, part="product", transpose_a=call.flag("transA"),
                transpose_b=call.flag("transB"))  # fmt: skip
    alpha, beta = call.real("alpha", 1.0), call.real("beta", 1.0)
    if alpha != 1.0:
        y = call.op("mul", y, call.const(alpha), part="scaled")
    if call.has(2) and beta != 0.0:
        c = call.f32(2)
        if beta != 1.0:
            c = call.op("mul", c, call.const(beta), part="c")
        y = call.op("add", y, c)
    return call.cast(y, dtype_of(call.x()), "back")


def _whole_gemm(call: Call) -> Tensor:
    a, b = call.x(0), call.x(1)
    kind = call.made_kinds[0] = call.kind(0)
    most = whole.magnitude(call, a, kind), whole.magnitude(call, b, call.kind(1))
    a = call.transpose(a, (1, 0), "a") if call.flag("transA") else a
    b = call.transpose(b, (1, 0), "b") if call.flag("transB") else b
    y = whole.product(call, a, b, *most)
    if call.has(2):
        y = call.op("add", y, call.cast(call.x(2), "int32", "c"), part="added")
    return call.cast(wrapped(call, y, kind), dtype_of(call.x(0)), "back")


@importer("Einsum")
def einsum_(call: Call) -> Tensor:
    """Of whole numbers exact: their products, all of them, are summed as int32."""
    equation, kind = call.text("equation"), call.kind(0)
    dtype, real = dtype_of(call.x()), dtype_of(call.x()) == "float32"
    shapes = [call.x(i).shape for i in range(len(call.inputs))]
    if not real and _all_products(equation, shapes) > _MOST_PRODUCTS:
        call.warnings.append(
            f"{call.where}: its sums of whole numbers are float32, exact up to 2^24."
        )
        real = True
    parts = [call.f32(i) if real else call.cast(call.x(i), "int32", f"whole{i}")
             for i in range(len(call.inputs))]  # fmt: skip
    y = call.function(lambda *xs: einsum(equation, *xs), *parts)[0]
    call.made_kinds[0] = kind
    return call.cast(y if real else wrapped(call, y, kind), dtype, "back")


def _all_products(equation: str, shapes: Sequence[Sequence[int]]) -> int:
    """How many products of elements there are, one for each place of all labels together."""
    labels, _ = parse(equation, [len(s) for s in shapes])
    sizes: dict[str, int] = {}
    for own, shape in zip(labels, shapes, strict=True):
        for label, size in zip(own, shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
    return math.prod(sizes.values())


@importer("Det")
def det(call: Call) -> Tensor:
    return call.op("det", call.f32())


# --- normalisation --------------------------------------------------------------------------------


def _column(call: Call, x: Tensor, rank: int, axis: int = 1) -> Tensor:
    """[C] as [1, C, 1, 1]."""
    return call.reshape(x, [x.shape[0] if a == axis else 1 for a in range(rank)], "column")


@importer("BatchNormalization")
def batch_normalization(call: Call) -> Any:
    x = call.f32()
    scale, offset, mean, variance = (call.f32(i) for i in range(1, 5))
    epsilon = call.real("epsilon", 1e-5)
    rank = len(x.shape)
    if call.flag("training_mode"):
        axes = (0, *range(2, rank))
        own = call.op("mean", x, part="mean", axes=axes)
        apart = call.op("squared_difference", x, _column(call, own, rank), part="apart")
        var = call.op("mean", apart, part="variance", axes=axes)
        momentum = call.real("momentum", 0.9)
        running = [
            call.op("add", call.op("mul", old, call.const(momentum), part="kept"),
                    call.op("mul", new, call.const(1 - momentum), part="new"), part="running")
            for old, new in ((mean, own), (variance, var))
        ]  # fmt: skip
        return (_normal(call, x, scale, offset, own, var, epsilon), *running)
    return _normal(call, x, scale, offset, mean, variance, epsilon)


def _normal(
    call: Call, x: Tensor, scale: Tensor, offset: Tensor, mean: Tensor, variance: Tensor,
    epsilon: float,
) -> Tensor:  # fmt: skip
    known = all(isinstance(t, np.ndarray) for t in (scale, offset, mean, variance))
    if known and len(x.shape) in (2, 4):
        last = to_nhwc(call.em, x, call.name) if len(x.shape) == 4 else x
        y = call.op("batch_norm", last, mean, variance, offset, scale, epsilon=epsilon)
        return from_nhwc(call.em, y, call.name) if len(x.shape) == 4 else y
    stable = call.op("add", variance, call.const(epsilon), part="stable")
    factor = call.op("mul", call.op("rsqrt", stable, part="rsqrt"), scale, part="factor")
    rank = len(x.shape)
    y = call.op("sub", x, _column(call, mean, rank), part="centred")
    y = call.op("mul", y, _column(call, factor, rank), part="scaled")
    return call.op("add", y, _column(call, offset, rank))


@importer("InstanceNormalization")
def instance_normalization(call: Call) -> Tensor:
    x = call.f32()
    axes = tuple(range(2, len(x.shape)))
    y = _standard(call, x, axes, call.real("epsilon", 1e-5))[0]
    y = call.op("mul", y, _column(call, call.f32(1), len(x.shape)), part="scaled")
    return call.op("add", y, _column(call, call.f32(2), len(x.shape)))


def _standard(
    call: Call, x: Tensor, axes: tuple[int, ...], epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(x - mean) / sqrt(variance + epsilon) over some dims; the mean; 1 / the deviation."""
    mean = call.op("mean", x, part="mean", axes=axes, keepdims=True)
    centred = call.op("sub", x, mean, part="centred")
    variance = call.op("mean", call.op("square", centred, part="squares"), part="variance",
                       axes=axes, keepdims=True)  # fmt: skip
    stable = call.op("add", variance, call.const(epsilon), part="stable")
    inverse = call.op("rsqrt", stable, part="inverse")
    return call.op("mul", centred, inverse, part="standard"), mean, inverse


@importer("LayerNormalization")
def layer_normalization(call: Call) -> tuple[Tensor, ...]:
    x = call.f32()
    axis = call.axis(len(x.shape), -1)
    axes = tuple(range(axis, len(x.shape)))
    y, mean, inverse = _standard(call, x, axes, call.real("epsilon", 1e-5))
    if call.has(1):
        y = call.op("mul", y, call.f32(1), part="scaled")
    if call.has(2):
        y = call.op("add", y, call.f32(2))
    return y, mean, inverse


@importer("RMSNormalization")
def rms_normalization(call: Call) -> Tensor:
    x = call.f32()
    axes = tuple(range(call.axis(len(x.shape), -1), len(x.shape)))
    squares = call.op("mean", call.op("square", x, part="squares"), part="mean", axes=axes,
                      keepdims=True)  # fmt: skip
    stable = call.op("add", squares, call.const(call.real("epsilon", 1e-5)), part="stable")
    y = call.op("mul", x, call.op("rsqrt", stable, part="inverse"), part="standard")
    return call.op("mul", y, call.f32(1))


@importer("GroupNormalization")
def group_normalization(call: Call) -> Tensor:
    """Scale and offset for each group in opset 18, for each channel from 21 on."""
    x = call.f32()
    groups = call.whole("num_groups")
    n, c = x.shape[:2] if len(x.shape) > 1 else (0, 0)
    if groups < 1 or not c or c % groups:
        raise call.refuse("the groups do not fit", expected=f"{c} channels", received=groups)
    parts = call.reshape(x, (n, groups, c // groups, *x.shape[2:]), "groups")
    axes = tuple(range(2, len(parts.shape)))
    y = _standard(call, parts, axes, call.real("epsilon", 1e-5))[0]
    scale, offset = call.f32(1), call.f32(2)
    if scale.shape[0] == groups and call.opset < 21:
        y = call.op("mul", y, _column(call, scale, len(parts.shape)), part="scaled")
        y = call.op("add", y, _column(call, offset, len(parts.shape)), part="moved")
        return call.reshape(y, x.shape, "normal")
    y = call.reshape(y, x.shape, "normal")
    y = call.op("mul", y, _column(call, scale, len(x.shape)), part="scaled")
    return call.op("add", y, _column(call, offset, len(x.shape)))


@importer("LpNormalization")
def lp_normalization(call: Call) -> Tensor:
    x, p = call.f32(), call.whole("p", 2)
    axis = call.axis(len(x.shape), -1)
    size = call.op("abs" if p == 1 else "square", x, part="size")
    total = call.op("sum", size, part="total", axes=(axis,), keepdims=True)
    norm = total if p == 1 else call.op("sqrt", total, part="norm")
    return call.op("div_no_nan", x, norm)


@importer("MeanVarianceNormalization")
def mean_variance_normalization(call: Call) -> Tensor:
    x = call.f32()
    axes = tuple(call.dim(a, len(x.shape)) for a in call.items("axes") or [0, 2, 3])
    mean = call.op("mean", x, part="mean", axes=axes, keepdims=True)
    centred = call.op("sub", x, mean, part="centred")
    variance = call.op("mean", call.op("square", centred, part="squares"), part="variance",
                       axes=axes, keepdims=True)  # fmt: skip
    deviation = call.op("add", call.op("sqrt", variance, part="root"), call.const(1e-9),
                        part="deviation")  # fmt: skip
    return call.op("div", centred, deviation)


@importer("LRN")
def lrn(call: Call) -> Tensor:
    x, size = call.f32(), call.whole("size", 1)
    if not 1 <= size <= 4096 or len(x.shape) < 3:
        raise call.refuse("its size does not fit", received=size)
    alpha, beta, bias = call.real("alpha", 1e-4), call.real("beta", 0.75), call.real("bias", 1.0)
    squares = call.op("square", x, part="squares")
    before = (size - 1) // 2
    pads = [(0, 0)] * len(x.shape)
    pads[1] = (before, size - 1 - before)
    wide = call.op("pad", squares, part="wide", paddings=tuple(pads), value=0.0)
    begin = [0] * len(x.shape)
    total: Tensor | None = None
    for i in range(size):
        begin[1] = i
        part = call.op("slice", wide, part="tap", begin=tuple(begin), size=tuple(x.shape))
        total = part if total is None else call.op("add", total, part, part="sum")
    assert total is not None
    scaled = call.op("mul", total, call.const(alpha / size), part="scaled")
    base = call.op("add", scaled, call.const(bias), part="base")
    return call.op("mul", x, call.op("pow", base, call.const(-beta), part="factor"))


@importer("Dropout")
def dropout(call: Call) -> Any:
    """Nothing, as at inference; a training mode that is asked for is refused."""
    x = call.x()
    ratio = call.known_real(1, "the ratio", 0.5) if call.opset >= 12 else 0.0
    training = call.opset >= 12 and call.known_real(2, "training_mode", 0.0) != 0
    if training and ratio:
        raise call.refuse("dropout while training", expected="training_mode false")
    if not call.wants(1):
        return x
    call.made_kinds[1] = kinds.BOOL
    return x, call.em.full(x.shape, True, "bool", call.where)


# --- losses ---------------------------------------------------------------------------------------


@importer("NegativeLogLikelihoodLoss")
def negative_log_likelihood(call: Call) -> Tensor:
    return _nll(call, call.f32(0), call.x(1), call.maybe(2))


@importer("SoftmaxCrossEntropyLoss")
def softmax_cross_entropy(call: Call) -> Any:
    log = call.op("log_softmax", call.f32(0), part="log", axis=1)
    loss = _nll(call, log, call.x(1), call.maybe(2))
    return (loss, log) if call.wants(1) else loss


def _nll(call: Call, log: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    """log [N, C, ...], target [N, ...] -> the loss, as `reduction` says."""
    classes = log.shape[1]
    target = call.cast(target, "int32", "target")
    shape = (target.shape[0], 1, *target.shape[1:])
    column = np.arange(classes, dtype=np.int32).reshape(1, -1, *[1] * (len(shape) - 2))
    hit = call.op("equal", call.reshape(target, shape, "column"), column, part="hit")
    own = call.op("select", hit, log, call.const(0.0), part="own")
    loss = call.op("neg", call.op("sum", own, part="chosen", axes=(1,)), part="loss")
    ignored = call.attributes.get("ignore_index")
    factor: Tensor | None = None
    if weight is not None:
        factor = call.op("gather", weight, target, part="weights", axis=0)
    if isinstance(ignored, int):
        keep = call.op("not_equal", target, call.const(ignored, "int32"), part="keep")
        kept = call.cast(keep, "float32", "kept")
        factor = kept if factor is None else call.op("mul", factor, kept, part="factor")
    if factor is not None:
        loss = call.op("mul", loss, factor, part="weighted")
    axes = tuple(range(len(loss.shape)))
    kind = call.text("reduction", "mean")
    if kind == "none":
        return loss
    total = call.op("sum", loss, part="total", axes=axes)
    if kind == "sum":
        return total
    if factor is None:
        return call.op("mul", total, call.const(1 / max(math.prod(loss.shape), 1)))
    return call.op("div", total, call.op("sum", factor, part="share", axes=axes))

"""Importers of products, normalisation, softmax, attention and embeddings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor, dtype_of
from fanlight.formats.spatial import from_nhwc, to_nhwc
from fanlight.formats.torch.call import Call, importer
from fanlight.tensor import functions as fn
from fanlight.tensor import neural
from fanlight.tensor.einsum import einsum as summed

# --- products -------------------------------------------------------------------------------------


@importer("linear")
def linear(call: Call) -> Tensor:
    x, w, b = call.x("input"), call.x("weight"), call.optional("bias")
    vector = len(x.shape) == 1
    if vector:
        x = call.em.reshape(x, (1, *x.shape), call.name("row"))
    w = call.em.transpose(w, (1, 0), call.name("weight"))
    y = call.op("matmul", x, w, part="" if b is None else "product")
    if b is not None:
        y = call.op("add", y, b)
    return call.em.reshape(y, y.shape[1:], call.name("flat")) if vector else y


@importer("matmul", "mm", "bmm")
def matmul(call: Call) -> Tensor:
    a = call.x()
    b = call.x("other" if "other" in call.args else "mat2")
    left, right = len(a.shape) == 1, len(b.shape) == 1
    if left:
        a = call.em.reshape(a, (1, *a.shape), call.name("row"))
    if right:
        b = call.em.reshape(b, (*b.shape, 1), call.name("column"))
    y = call.op("matmul", a, b)
    shape = list(y.shape)
    if right:
        del shape[-1]
    if left:
        del shape[-1 if right else -2]
    return call.em.reshape(y, shape, call.name("vector"))


@importer("dot", "vdot", "mv")
def dot(call: Call) -> Tensor:
    b = call.x("vec" if "vec" in call.args else "other" if "other" in call.args else "tensor")
    return call.function(lambda a, b: fn.sum(fn.mul(a, b), axis=-1), call.x(), b)


@importer("addmm", "baddbmm", "addbmm")
def addmm(call: Call) -> Tensor:
    first = "batch1" if "batch1" in call.args else "mat1"
    y = call.op("matmul", call.x(first), call.x(first[:-1] + "2"), part="product")
    if "addbmm" in call.node.target and "baddbmm" not in call.node.target:
        y = call.op("sum", y, part="sum", axes=(0,))
    alpha, beta = call.real("alpha", 1), call.real("beta", 1)
    if alpha != 1:
        y = call.op("mul", y, call.em.const(alpha), part="alpha")
    if beta == 0:
        return y
    x = call.x()
    x = x if beta == 1 else call.op("mul", x, call.em.const(beta), part="beta")
    return call.op("add", y, x)


@importer("einsum")
def einsum(call: Call) -> Tensor:
    equation = call.get("equation")
    if not isinstance(equation, str):
        raise call.refuse("the equation is no text", received=repr(equation)[:80])
    return call.function(lambda *xs: summed(equation, *xs), *call.tensors())


@importer("bilinear")
def bilinear(call: Call) -> Tensor:
    b = call.optional("bias")
    y = call.function(
        lambda x, z, w: summed("...i,oij,...j->...o", x, w, z),
        call.x("input1"), call.x("input2"), call.x("weight"),
    )  # fmt: skip
    return y if b is None else call.op("add", y, b, part="bias")


@importer("outer")
def outer(call: Call) -> Tensor:
    kind = call.dtype or dtype_of(call.x())
    a, b = call.x(dtype=kind), call.x("vec2", kind)
    return call.op("mul", call.em.reshape(a, (a.shape[0], 1), call.name("column")), b)


@importer("embedding")
def embedding(call: Call) -> Tensor:
    return call.op("gather", call.x("weight"), call.x("indices", "int32"), axis=0)


# --- normalisation --------------------------------------------------------------------------------


def _normalise(call: Call, x: Tensor, training: bool) -> Tensor:
    rank, channels = len(x.shape), x.shape[1]
    turned = to_nhwc(call.em, x, call.name()) if rank > 2 else x
    scale = call.optional("weight")
    offset = call.optional("bias")
    eps = call.real("eps", 1e-5)
    if training:
        axes = tuple(range(rank - 1))
        mean = call.op("mean", turned, part="mean", axes=axes)
        apart = call.op("squared_difference", turned, mean, part="apart")
        variance = call.op("mean", apart, part="variance", axes=axes)
    else:
        mean, variance = call.x("running_mean"), call.x("running_var")
    if scale is None:
        scale = call.em.full((channels,), 1.0, "float32", call.name("scale"))
    if offset is None:
        offset = call.em.full((channels,), 0.0, "float32", call.name("offset"))
    if all(isinstance(t, np.ndarray) for t in (scale, offset, mean, variance)):
        y = call.op("batch_norm", turned, mean, variance, offset, scale, epsilon=eps)
    else:
        stable = call.op("add", variance, call.em.const(eps), part="stable")
        factor = call.op("mul", call.op("rsqrt", stable, part="rsqrt"), scale, part="factor")
        y = call.op("mul", call.op("sub", turned, mean, part="centred"), factor, part="scaled")
        y = call.op("add", y, offset)
    return from_nhwc(call.em, y, call.name()) if rank > 2 else y


@importer("batch_norm", "_native_batch_norm_legit_no_training", "native_batch_norm",
          "_native_batch_norm_legit", "cudnn_batch_norm", "_batch_norm_no_update",
          "_batch_norm_impl_index")  # fmt: skip
def batch_norm(call: Call) -> list[Any]:
    """Only the first of its results is for inference."""
    training = call.flag("training") or not call.has("running_mean")
    if call.flag("training"):
        call.warnings.append(
            f"{call.node.name}: the program was exported in training mode, so its batch norm uses "
            "the statistics of each batch (call model.eval() before the export)."
        )
    x = call.x("input")
    if len(x.shape) < 2:
        raise call.refuse("the input has no channels", received=list(x.shape))
    return [_normalise(call, x, training)]


@importer("instance_norm")
def instance_norm(call: Call) -> Tensor:
    x = call.x("input")
    if not call.flag("use_input_stats", True):
        return _normalise(call, x, False)
    return _grouped_norm(call, x, x.shape[1])


def _grouped_norm(call: Call, x: Tensor, groups: int) -> Tensor:
    """[N, C, ...] with the mean and variance of each of `groups` groups of channels."""
    if len(x.shape) < 2 or groups < 1 or x.shape[1] % groups:
        raise call.refuse("the groups do not fit the channels", received=[*x.shape, groups])
    eps, shape = call.real("eps", 1e-5), tuple(x.shape)
    inner = (shape[1], *(1 for _ in shape[2:]))
    parts = [t for t in (call.optional("weight"), call.optional("bias")) if t is not None]
    given = (call.has("weight"), call.has("bias"))

    def compute(x: Any, *parts: Any) -> Any:
        flat = fn.reshape(x, (shape[0], groups, math.prod(shape[1:]) // groups))
        mean, variance = neural.moments(flat, -1, True)
        y = fn.mul(fn.sub(flat, mean), fn.rsqrt(fn.add(variance, eps)))
        y = fn.reshape(y, shape)
        rest = [fn.reshape(p, inner) for p in parts]
        if given[0]:
            y = fn.mul(y, rest.pop(0))
        return fn.add(y, rest[0]) if given[1] else y

    return call.function(compute, x, *parts)


@importer("group_norm")
def group_norm(call: Call) -> Tensor:
    return _grouped_norm(call, call.x("input"), call.whole("num_groups"))


@importer("native_group_norm")
def native_group_norm(call: Call) -> list[Any]:
    x, groups = call.x("input"), call.whole("group")
    y = _grouped_norm(call, x, groups)
    flat = (x.shape[0], groups, math.prod(x.shape[1:]) // groups)
    return [y, *_moments(call, call.em.reshape(x, flat, call.name("groups")), (2,), False)]


def _moments(call: Call, x: Tensor, axes: tuple[int, ...], keep: bool) -> list[Tensor]:
    """The mean and 1 / the deviation that a norm uses, if the program uses them, too."""
    if not (call.needs(1) or call.needs(2)):
        return []
    eps = call.real("eps", 1e-5)

    def compute(x: Any) -> Any:
        mean, variance = neural.moments(x, axes, keep)
        return mean, fn.rsqrt(fn.add(variance, eps))

    return list(call.function(compute, x))


@importer("layer_norm", "native_layer_norm")
def layer_norm(call: Call) -> list[Any]:
    x = call.x("input")
    count = len(call.ints("normalized_shape"))
    if not 1 <= count <= len(x.shape):
        raise call.refuse("normalized_shape does not fit", received=list(x.shape))
    axes = tuple(range(len(x.shape) - count, len(x.shape)))
    eps = call.real("eps", 1e-5)
    scale, offset = call.optional("weight"), call.optional("bias")
    given = [t for t in (scale, offset) if t is not None]

    def compute(x: Any, *parts: Any) -> Any:
        rest = list(parts)
        mean, variance = neural.moments(x, axes, True)
        y = fn.mul(fn.sub(x, mean), fn.rsqrt(fn.add(variance, eps)))
        y = y if scale is None else fn.mul(y, rest.pop(0))
        return y if offset is None else fn.add(y, rest.pop(0))

    if count == 1 and scale is not None:
        return [
            call.function(
                lambda x, s, *o: neural.layer_norm(x, s, o[0] if o else None, -1, eps), x, *given
            ),
            *_moments(call, x, axes, True),
        ]
    return [call.function(compute, x, *given), *_moments(call, x, axes, True)]


@importer("rms_norm", "_fused_rms_norm")
def rms_norm(call: Call) -> Any:
    x = call.x("input")
    count = len(call.ints("normalized_shape"))
    axes = tuple(range(len(x.shape) - count, len(x.shape)))
    eps = float(np.finfo(np.float32).eps) if not call.has("eps") else call.real("eps")
    weight = call.optional("weight")

    def compute(x: Any, *w: Any) -> Any:
        power = fn.mean(fn.square(x), axes, True)
        y = fn.mul(x, fn.rsqrt(fn.add(power, eps)))
        return fn.mul(y, w[0]) if w else y

    return [call.function(compute, x, *([] if weight is None else [weight]))]


@importer("local_response_norm")
def local_response_norm(call: Call) -> Tensor:
    raise call.refuse("local response normalisation comes decomposed from the exporter")


# --- softmax and attention ------------------------------------------------------------------------


@importer("softmax", "_softmax", "log_softmax", "_log_softmax", "_safe_softmax", "special_softmax")
def softmax(call: Call) -> Tensor:
    x = call.x(dtype="float32")
    op = "log_softmax" if "log" in call.node.target else "softmax"
    axis = call.axis("dim", len(x.shape))
    last = len(x.shape) - 1
    if axis == last:
        return call.op(op, x, axis=-1)
    perm = [d for d in range(last + 1) if d != axis] + [axis]
    back = [perm.index(d) for d in range(last + 1)]
    y = call.op(op, call.em.transpose(x, perm, call.name("last")), part="softmax", axis=-1)
    return call.em.transpose(y, back, call.name())


@importer("scaled_dot_product_attention", "_scaled_dot_product_flash_attention_for_cpu",
          "_scaled_dot_product_efficient_attention",
          "_scaled_dot_product_attention_math")  # fmt: skip
def attention(call: Call) -> list[Any]:
    q, k, v = call.x("query"), call.x("key"), call.x("value")
    if call.real("dropout_p", 0.0) > 0:
        call.warnings.append(f"{call.node.name}: its dropout is left out.")
    mask = call.optional("attn_mask")
    scale = call.get("scale")
    factor = 1 / math.sqrt(q.shape[-1]) if scale is None else float(scale)
    causal = call.flag("is_causal")
    if len(q.shape) >= 3 and q.shape[-3] != k.shape[-3]:
        q_heads, heads = q.shape[-3], k.shape[-3]
        if not heads or q_heads % heads:
            raise call.refuse("the heads do not fit", received=[q_heads, heads])
        k, v = (_repeated(call, t, q_heads // heads) for t in (k, v))

    def compute(q: Any, k: Any, v: Any, *masks: Any) -> Any:
        rows, columns = q.shape[-2], k.shape[-2]
        scores = fn.matmul(fn.mul(q, factor), k, transpose_b=True)
        if causal:
            seen = np.tril(np.ones((rows, columns), bool))
            scores = fn.where(seen, scores, -1e30)
        for m in masks:
            scores = fn.where(m, scores, -1e30) if m.dtype == "bool" else fn.add(scores, m)
        return fn.matmul(fn.softmax(scores), v)

    return [call.function(compute, q, k, v, *([] if mask is None else [mask]))]


def _repeated(call: Call, x: Tensor, times: int) -> Tensor:
    """Each head `times` times (grouped queries)."""
    shape = tuple(x.shape)

    def compute(x: Any) -> Any:
        apart = fn.expand_dims(x, len(shape) - 2)
        wide = fn.broadcast_to(apart, (*shape[:-2], times, *shape[-2:]))
        return fn.reshape(wide, (*shape[:-3], shape[-3] * times, *shape[-2:]))

    return call.function(compute, x)


# --- distances ------------------------------------------------------------------------------------


@importer("cosine_similarity")
def cosine_similarity(call: Call) -> Tensor:
    a, b = call.x("x1"), call.x("x2")
    rank = max(len(a.shape), len(b.shape))
    axis, eps = call.axis("dim", rank, 1), call.real("eps", 1e-8)

    def compute(a: Any, b: Any) -> Any:
        lengths = [fn.maximum(fn.sqrt(fn.sum(fn.square(t), axis)), eps) for t in (a, b)]
        return fn.div(fn.sum(fn.mul(a, b), axis), fn.mul(lengths[0], lengths[1]))

    return call.function(compute, a, b)


@importer("cdist", "_cdist_forward")
def cdist(call: Call) -> Tensor:
    p = call.real("p", 2.0)
    if p not in (1.0, 2.0):
        raise call.refuse("p is supported as 1 and 2", received=p)

    def compute(a: Any, b: Any) -> Any:
        apart = fn.sub(fn.expand_dims(a, -2), fn.expand_dims(b, a.rank - 2))
        if p == 1:
            return fn.sum(fn.abs(apart), -1)
        return fn.sqrt(fn.sum(fn.square(apart), -1))

    return call.function(compute, call.x("x1"), call.x("x2"))

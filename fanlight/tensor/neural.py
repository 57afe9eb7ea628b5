"""Normalisation, attention and recurrent cells: functions of tensors made of other functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, prod, sqrt
from typing import Any

import numpy as np

from fanlight.tensor import functions as fn
from fanlight.tensor.arguments import (
    flag,
    function_of,
    listed,
    misfit,
    real_number,
    refused,
    whole_number,
)
from fanlight.tensor.core import Tensor, apply, cast, tensor
from fanlight.tensor.functions import Axes

# Added before a softmax where a mask hides something; exp of it is 0.
_HIDDEN = -1e30


def broadcasts(shape: Sequence[int], to: Sequence[int]) -> bool:
    """Whether a shape broadcasts to another one."""
    own = (1,) * (len(to) - len(shape)) + tuple(shape)
    return len(own) == len(to) and all(a in (1, b) for a, b in zip(own, to, strict=True))


# --- normalisation --------------------------------------------------------------------------------


def moments(x: Any, axis: Axes = None, keepdims: bool = False) -> tuple[Tensor, Tensor]:
    """(mean, variance) of x along its axes, all of them by default.

    The variance is that of a whole population: the mean of squared differences to the mean.
    """
    x, keepdims = cast(x, "float32"), flag("moments", "keepdims", keepdims)
    mean = fn.mean(x, axis, True)
    variance = fn.mean(fn.squared_difference(x, mean), axis, keepdims)
    return (mean if keepdims else fn.reshape(mean, variance.shape)), variance


def batch_norm(
    x: Any,
    mean: Any,
    variance: Any,
    offset: Any = None,
    scale: Any = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """(x - mean) * scale / sqrt(variance + epsilon) + offset, for x of any rank.

    Args:
        mean, variance, offset, scale: [C] for x [..., C], or anything that broadcasts to x.

    Source: Ioffe & Szegedy 2015, algorithm 2 (inference).
    """
    x, mean, variance = (cast(v, "float32") for v in (x, mean, variance))
    shift = fn.zeros_like(mean) if offset is None else cast(offset, "float32")
    factor = fn.ones_like(mean) if scale is None else cast(scale, "float32")
    given = (mean, variance, shift, factor)
    # What is not constant folds into no neighbour: one root per channel, not per element.
    spelt = any(v.traced for v in given) and x.rank > 1
    if not spelt and all(v.shape == x.shape[-1:] for v in given):
        y: Tensor = apply("batch_norm", x, mean, variance, shift, factor, epsilon=epsilon)
        return y
    names = ("mean", "variance", "offset", "scale")
    for name, value in zip(names, given, strict=True):
        if not broadcasts(value.shape, x.shape):
            raise misfit("batch_norm", name, f"what broadcasts to x {x.type}", value)
    return (x - mean) * (fn.rsqrt(variance + epsilon) * factor) + shift


def normalize_batch(x: Any, scale: Any = None, offset: Any = None, epsilon: float = 1e-3) -> Tensor:
    """(x - mean) scale / sqrt(variance + epsilon) + offset by the moments of x itself.

    They are taken over all dims of x [..., C] but the last. Its gradient is written out: two sums
    and one pass, where that of the parts would go over x a dozen times.
    Source: Ioffe & Szegedy 2015, section 3.
    """
    from fanlight.tensor.gradients import custom_gradient

    x = cast(x, "float32")
    channels = x.shape[-1:]
    given = [
        fn.ones(channels) if scale is None else cast(scale, "float32"),
        fn.zeros(channels) if offset is None else cast(offset, "float32"),
    ]
    axes = tuple(range(x.rank - 1))

    @custom_gradient
    def normalised(x: Tensor, scale: Tensor, offset: Tensor) -> tuple[Tensor, Any]:
        mean, variance = moments(x, axes)
        rate = fn.rsqrt(variance + epsilon)
        slope = rate * scale

        def back(g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            count = 1.0 / prod(x.shape[:-1])
            of_offset = fn.sum(g, axes)
            far = x - mean
            along = fn.sum(g * far, axes)
            # Of one element per channel each: what is left is one pass over g and x.
            tilt = (rate * rate * count) * along * slope
            shift = slope * of_offset * count
            return slope * g - tilt * far - shift, along * rate, of_offset

        return (x - mean) * slope + offset, back

    return normalised(x, *given)


def _normalised(x: Tensor, axis: Axes, epsilon: float) -> Tensor:
    mean, variance = moments(x, axis, keepdims=True)
    return (x - mean) * fn.rsqrt(variance + epsilon)


def _scaled(op: str, y: Tensor, scale: Any, offset: Any) -> Tensor:
    for name, value in (("scale", scale), ("offset", offset)):
        if value is not None and not broadcasts(tensor(value).shape, y.shape):
            raise misfit(op, name, f"what broadcasts to x {y.type}", tensor(value))
    y = y if scale is None else y * scale
    return y if offset is None else y + offset


def layer_norm(
    x: Any, scale: Any = None, offset: Any = None, axis: Axes = -1, epsilon: float = 1e-5
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, both taken along `axis`.

    Source: Ba, Kiros & Hinton 2016.
    """
    return _scaled("layer_norm", _normalised(cast(x, "float32"), axis, epsilon), scale, offset)


def rms_norm(x: Any, scale: Any = None, axis: Axes = -1, epsilon: float = 1e-6) -> Tensor:
    """x / sqrt(mean(x^2) + epsilon) * scale, the mean along `axis`.

    Source: Zhang & Sennrich 2019.
    """
    x = cast(x, "float32")
    power = fn.mean(fn.square(x), axis, keepdims=True)
    return _scaled("rms_norm", x * fn.rsqrt(power + epsilon), scale, None)


def group_norm(
    x: Any, groups: int, scale: Any = None, offset: Any = None, epsilon: float = 1e-5
) -> Tensor:
    """layer_norm over the spatial dims and the channels of each group, for x [N, ..., C].

    Args:
        groups: a divisor of C; neighbouring channels make a group.
        scale, offset: [C].

    Source: Wu & He 2018.
    """
    x = cast(x, "float32")
    if x.rank < 2:
        raise misfit("group_norm", "x", "[N, ..., C]", x)
    channels = x.shape[-1]
    groups = whole_number("group_norm", "groups", groups, 1)
    if channels % groups:
        raise refused("group_norm", "groups", f"a divisor of the {channels} channels", groups)
    parts = fn.reshape(x, (x.shape[0], prod(x.shape[1:-1]), groups, channels // groups))
    y = fn.reshape(_normalised(parts, (1, 3), epsilon), x.shape)
    return _scaled("group_norm", y, scale, offset)


def instance_norm(x: Any, scale: Any = None, offset: Any = None, epsilon: float = 1e-5) -> Tensor:
    """layer_norm over the spatial dims of each channel, for x [N, ..., C].

    Source: Ulyanov, Vedaldi & Lempitsky 2016.
    """
    return group_norm(x, tensor(x).shape[-1] if tensor(x).rank else 1, scale, offset, epsilon)


def local_response_normalization(
    x: Any, depth_radius: int = 5, bias: float = 1.0, alpha: float = 1.0, beta: float = 0.5
) -> Tensor:
    """x / (bias + alpha * s)^beta, s being the sum of the squares of a channel and its neighbours.

    Neighbours are up to depth_radius channels to each side. Takes [N, H, W, C] or [H, W, C].
    Source: Krizhevsky et al. 2012, section 3.3; tf.nn.lrn.
    """
    x = cast(x, "float32")
    if x.rank not in (3, 4):
        raise misfit("local_response_normalization", "x", "[N, H, W, C] or [H, W, C]", x)
    depth_radius = whole_number("local_response_normalization", "depth_radius", depth_radius)
    beta = real_number("local_response_normalization", "beta", beta)
    channel = np.arange(x.shape[-1])
    near = np.abs(channel[:, None] - channel) <= depth_radius
    total = fn.matmul(fn.square(x), near.astype(np.float32)) * alpha + bias
    return x * (fn.rsqrt(total) if beta == 0.5 else fn.pow(total, -beta))


def log_sum_exp(x: Any, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) along the axes, without overflow."""
    from fanlight.tensor.gradients import stop_gradient

    x, keepdims = cast(x, "float32"), flag("log_sum_exp", "keepdims", keepdims)
    top = stop_gradient(fn.max(x, axis, keepdims=True))
    top = fn.where(fn.is_finite(top), top, 0.0)
    total = fn.sum(fn.exp(x - top), axis, keepdims=True)
    y = fn.log(total) + top
    return y if keepdims else fn.squeeze(y, fn.axes_of(x.type, axis))


def moving_average(
    v: Any, x: Any, decay: Any, step: Any = None, zero_debias: bool = True
) -> Tensor:
    """v + (x - v) * (1 - decay); with zero_debias that change is divided by 1 - decay^step.

    Args:
        step: how many values there have been, this one included; needed for zero_debias.
    """
    v, x, decay = (cast(a, "float32") for a in (v, x, decay))
    if v.shape != x.shape:
        raise misfit("moving_average", "x", f"the shape of v {v.type}", x)
    change = (x - v) * (1.0 - decay)
    if flag("moving_average", "zero_debias", zero_debias):
        if step is None:
            raise refused("moving_average", "step", "a number, for zero_debias", step)
        change = change / (1.0 - fn.pow(decay, cast(step, "float32")))
    return v + change


# --- attention ------------------------------------------------------------------------------------


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    mask: Any = None,
    causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """softmax(query key^T * scale + mask) value.

    query [..., L, E], key [..., S, E], value [..., S, V] -> [..., L, V].

    Args:
        mask: broadcasts to [..., L, S]: bool (may this query see that key?) or float32, which is
            added, -infinity hiding a key. A query that may see nothing gives zeros.
        causal: whether query i sees only keys 0 .. i.
        scale: default 1 / sqrt(E).

    The dims in front broadcast. Where query has n times as many heads [..., heads, L, E] as key and
    value, n neighbouring heads share one of theirs (Ainslie et al. 2023).
    Source: Vaswani et al. 2017, section 3.2.1.
    """
    op = "scaled_dot_product_attention"
    query, key, value = (cast(v, "float32") for v in (query, key, value))
    for name, v in (("query", query), ("key", key), ("value", value)):
        if v.rank < 2:
            raise misfit(op, name, "[..., length, size]", v)
    if key.shape[-1] != query.shape[-1]:
        raise misfit(op, "key", f"[..., S, {query.shape[-1]}] for query {query.type}", key)
    if value.shape[-2] != key.shape[-2]:
        raise misfit(op, "value", f"[..., {key.shape[-2]}, V] for key {key.type}", value)
    groups = _groups(query, key)
    if groups > 1:
        query = _split_heads(query, groups)
        key, value = fn.expand_dims(key, -3), fn.expand_dims(value, -3)
        if mask is not None and tensor(mask).rank > 2:
            mask = tensor(mask)
            alone = mask.shape[-3] == 1
            mask = fn.expand_dims(mask, -3) if alone else _split_heads(mask, groups)
    scale = 1 / sqrt(query.shape[-1]) if scale is None else scale
    scores = fn.matmul(query * scale, key, transpose_b=True)
    y = fn.matmul(_weights(op, scores, mask, causal), value)
    if groups > 1:
        heads = y.shape[-4] * groups
        y = fn.reshape(y, (*y.shape[:-4], heads, *y.shape[-2:]))
    return y


def _groups(query: Tensor, key: Tensor) -> int:
    """How many heads of the query share one of the key."""
    if query.rank < 3 or key.rank < 3:
        return 1
    heads, shared = query.shape[-3], key.shape[-3]
    return heads // shared if shared > 1 and heads > shared and heads % shared == 0 else 1


def _split_heads(x: Tensor, groups: int) -> Tensor:
    return fn.reshape(x, (*x.shape[:-3], x.shape[-3] // groups, groups, *x.shape[-2:]))


def _weights(op: str, scores: Tensor, mask: Any, causal: bool) -> Tensor:
    seen: Any = None
    if flag(op, "causal", causal):
        rows, columns = scores.shape[-2:]
        seen = tensor(np.tril(np.ones((rows, columns), bool)))
    if mask is not None:
        mask = tensor(mask)
        if mask.dtype == "bool":
            shown = mask
        else:
            mask = cast(mask, "float32")
            shown = fn.greater(mask, -inf)
            if broadcasts(mask.shape, scores.shape):
                scores = scores + fn.where(shown, mask, 0.0)
        seen = shown if seen is None else fn.logical_and(seen, shown)
    if seen is None:
        return fn.softmax(scores)
    if not broadcasts(seen.shape, scores.shape):
        raise misfit(op, "mask", f"what broadcasts to {scores.type}", seen)
    return fn.where(seen, fn.softmax(fn.where(seen, scores, _HIDDEN)), 0.0)


# --- recurrent cells ------------------------------------------------------------------------------


def _gates(x: Tensor, count: int) -> list[Tensor]:
    units = x.shape[-1] // count
    return [x[..., i * units : (i + 1) * units] for i in range(count)]


def lstm_cell(
    x: Any, h: Any, c: Any, kernel: Any, recurrent_kernel: Any, bias: Any = None
) -> tuple[Tensor, Tensor]:
    """One step of a long short-term memory: (new h, new c), both [N, U].

    With gates i, f, g, o (in this order along the columns) of x kernel + h recurrent_kernel + bias:
    c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c'), as Keras has it.

    Args:
        x: [N, I]. h, c: [N, U]. kernel: [I, 4 U]. recurrent_kernel: [U, 4 U]. bias: [4 U].

    Source: Hochreiter & Schmidhuber 1997; Gers et al. 2000.
    """
    h, c = cast(h, "float32"), cast(c, "float32")
    _check_cell("lstm_cell", 4, x, h, kernel, recurrent_kernel)
    total = fn.matmul(x, kernel) + fn.matmul(h, recurrent_kernel)
    i, f, g, o = _gates(total if bias is None else total + bias, 4)
    after = fn.sigmoid(f) * c + fn.sigmoid(i) * fn.tanh(g)
    return fn.sigmoid(o) * fn.tanh(after), after


def gru_cell(
    x: Any,
    h: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any = None,
    reset_after: bool = True,
) -> Tensor:
    """One step of a gated recurrent unit: the new h [N, U] = z h + (1 - z) tanh(candidate).

    z, r and the candidate g lie in this order along the columns, as in Keras. z and r are sigmoids
    of x kernel + h recurrent_kernel + bias; the candidate is x kernel_g + bias_g plus
    r (h recurrent_g + recurrent bias_g) if reset_after, else (r h) recurrent_g.

    Args:
        x: [N, I]. h: [N, U]. kernel: [I, 3 U]. recurrent_kernel: [U, 3 U].
        bias: [3 U]; or [2, 3 U], of x and of h, with reset_after.

    Source: Cho et al. 2014 (reset_after=False); cuDNN's form (True).
    """
    h, kernel = cast(h, "float32"), cast(kernel, "float32")
    recurrent = cast(recurrent_kernel, "float32")
    _check_cell("gru_cell", 3, x, h, kernel, recurrent)
    reset_after = flag("gru_cell", "reset_after", reset_after)
    own, theirs = _gru_biases(bias, reset_after)
    given = fn.matmul(x, kernel)
    given = given if own is None else given + own
    z, r, g = _gates(given, 3)
    units = h.shape[-1]
    if reset_after:
        before = fn.matmul(h, recurrent)
        hz, hr, hg = _gates(before if theirs is None else before + theirs, 3)
        update, candidate = fn.sigmoid(z + hz), g + fn.sigmoid(r + hr) * hg
    else:
        hz, hr = _gates(fn.matmul(h, recurrent[:, : 2 * units]), 2)
        update = fn.sigmoid(z + hz)
        candidate = g + fn.matmul(fn.sigmoid(r + hr) * h, recurrent[:, 2 * units :])
    return update * h + (1.0 - update) * fn.tanh(candidate)


def _gru_biases(bias: Any, reset_after: bool) -> tuple[Any, Any]:
    if bias is None:
        return None, None
    bias = cast(bias, "float32")
    if bias.rank == 2 and reset_after and bias.shape[0] == 2:
        return bias[0], bias[1]
    if bias.rank != 1:
        raise misfit("gru_cell", "bias", "[3 U], or [2, 3 U] with reset_after", bias)
    return bias, None


def _check_cell(op: str, gates: int, x: Any, h: Tensor, kernel: Any, recurrent: Any) -> None:
    x, kernel, recurrent = tensor(x), tensor(kernel), tensor(recurrent)
    wide = gates * h.shape[-1] if h.rank else 0
    if x.rank != 2 or h.rank != 2:
        raise misfit(op, "x" if x.rank != 2 else "h", "[N, size]", x if x.rank != 2 else h)
    for name, value, rows in (("kernel", kernel, x), ("recurrent_kernel", recurrent, h)):
        if value.shape != (rows.shape[-1], wide):
            expected = f"[{rows.shape[-1]}, {wide}] for x {x.type} and h {h.type}"
            raise misfit(op, name, expected, value)


def basic_lstm_cell(
    forget_bias: Any, kernel: Any, bias: Any, data: Any, c: Any, h: Any
) -> tuple[Tensor, Tensor]:
    """One step of TensorFlow.js's basicLSTMCell: (new c, new h), both [N, U].

    With gates i, g, f, o (in this order) of [data, h] kernel + bias:
    c' = sigmoid(f + forget_bias) c + sigmoid(i) tanh(g), h' = tanh(c') sigmoid(o).

    Args:
        kernel: [I + U, 4 U]. bias: [4 U]. data: [N, I]. c, h: [N, U].
    """
    joined = fn.concat([cast(data, "float32"), cast(h, "float32")], axis=1)
    i, g, f, o = _gates(fn.matmul(joined, kernel) + bias, 4)
    after = fn.sigmoid(f + forget_bias) * c + fn.sigmoid(i) * fn.tanh(g)
    return after, fn.tanh(after) * fn.sigmoid(o)


def multi_rnn_cell(
    cells: Sequence[Callable[[Any, Any, Any], tuple[Tensor, Tensor]]],
    data: Any,
    c: Sequence[Any],
    h: Sequence[Any],
) -> tuple[list[Tensor], list[Tensor]]:
    """A stack of cells (data, c, h) -> (new c, new h): each gets the new h of the one before.

    Returns the new c and the new h of every cell.
    """
    op = "multi_rnn_cell"
    cells = [function_of(op, "cells", f) for f in listed(op, "cells", cells, "[cell, cell]")]
    c, h = listed(op, "c", c, "[c0, c1]"), listed(op, "h", h, "[h0, h1]")
    if not len(cells) == len(c) == len(h):
        received = f"{len(cells)} cells, {len(c)} c, {len(h)} h"
        raise refused(op, "list", "as many c and h as cells", received)
    states, outputs = [], []
    for cell, memory, output in zip(cells, c, h, strict=True):
        memory, data = cell(data, memory, output)
        states.append(memory)
        outputs.append(data)
    return states, outputs

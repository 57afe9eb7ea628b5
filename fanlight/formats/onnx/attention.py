"""Importers of attention and what models of language have around it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor, dtype_of
from fanlight.formats.onnx.call import Call, importer
from fanlight.formats.onnx.indexing import from_start
from fanlight.formats.onnx.shaping import cut

# What is added to the score of a key that must not be seen. Weights of a build are finite, and
# three of these in one sum still are.
_HIDDEN = -1e30


def heads_first(call: Call, x: Tensor, heads: int, part: str) -> Tensor:
    """[B, S, H D] as [B, H, S, D]."""
    batch, steps, size = x.shape
    if heads < 1 or size % heads:
        raise call.refuse("the heads do not fit", expected=f"{size} numbers", received=heads)
    split = call.reshape(x, (batch, steps, heads, size // heads), f"{part}/heads")
    return call.transpose(split, (0, 2, 1, 3), part)


def heads_last(call: Call, x: Tensor, part: str = "merged") -> Tensor:
    """[B, H, S, D] as [B, S, H D]."""
    batch, heads, steps, size = x.shape
    turned = call.transpose(x, (0, 2, 1, 3), f"{part}/heads")
    return call.reshape(turned, (batch, steps, heads * size), part)


def repeated(call: Call, x: Tensor, times: int, part: str) -> Tensor:
    """Each head of [B, H, S, D] so many times, one after another."""
    if times == 1:
        return x
    places = np.repeat(np.arange(x.shape[1], dtype=np.int32), times)
    return call.op("gather", x, places, part=part, axis=1)


@importer("Attention")
def attention(call: Call) -> tuple[Tensor, ...]:
    """Q, K, V [B, H, S, D] or [B, S, H D], a mask, and a cache of former keys and values."""
    q, k, v = (call.f32(i) for i in range(3))
    flat = len(q.shape) == 3
    if flat:
        query_heads, key_heads = call.whole("q_num_heads"), call.whole("kv_num_heads")
        q = heads_first(call, q, query_heads, "q")
        k, v = heads_first(call, k, key_heads, "k"), heads_first(call, v, key_heads, "v")
    past = 0
    if call.has(4) and call.has(5):
        past = call.x(4).shape[2]
        k = call.op("concat", call.f32(4), k, part="keys", axis=2)
        v = call.op("concat", call.f32(5), v, part="values", axis=2)
    present = (k, v)
    heads, steps, length = q.shape[1], q.shape[2], k.shape[2]
    if heads % k.shape[1]:
        raise call.refuse("the heads do not fit", received=f"{heads} and {k.shape[1]}")
    times = heads // k.shape[1]
    scale = call.real("scale", 1 / math.sqrt(q.shape[3]))
    scaled = call.op("mul", q, call.const(scale), part="scaled")
    product = call.op("matmul", scaled, repeated(call, k, times, "all_keys"), part="product",
                      transpose_b=True)  # fmt: skip
    mode = call.whole("qk_matmul_output_mode")
    cap = call.real("softcap")
    capped = product
    if cap > 0:
        capped = call.op("tanh", call.op("div", product, call.const(cap), part="low"), part="tanh")
        capped = call.op("mul", capped, call.const(cap), part="capped")
    mask = _mask(call, steps, length, past)
    scores = capped if mask is None else call.op("add", capped, mask, part="scores")
    weights = _softmax(call, scores, mask is not None)
    y = call.op("matmul", weights, repeated(call, v, times, "all_values"), part="mixed")
    shown = {2: scores, 3: weights}.get(mode, capped)
    if flat:
        y = heads_last(call, y)
    return y, *present, shown


def _mask(call: Call, steps: int, length: int, past: int) -> Tensor | None:
    """What is added to the scores: 0, or minus infinity where a key must not be seen."""
    total: Tensor | None = None

    def add(part: Tensor, name: str) -> None:
        nonlocal total
        total = part if total is None else call.op("add", total, part, part=name)

    rows, columns = np.arange(steps, dtype=np.int32)[:, None], np.arange(length, dtype=np.int32)
    lengths = call.maybe(6)
    offset: Tensor | int = past
    if lengths is not None and not call.has(4):
        whole = call.cast(lengths, "int32", "lengths")
        column = call.reshape(whole, (whole.shape[0], 1, 1, 1), "lengths4")
        offset = call.op("sub", column, call.const(steps, "int32"), part="offset")
        add(_hidden(call, call.op("less", columns, column, part="there"), "there"), "with_length")
    given = call.maybe(3)
    if given is not None:
        more = length - given.shape[-1]
        if dtype_of(given) == "bool":
            given = _hidden(call, given, "mask")
        if more > 0:
            pads = [(0, 0)] * (len(given.shape) - 1) + [(0, more)]
            given = call.op("pad", given, part="wide", paddings=tuple(pads), value=_HIDDEN)
        add(given, "with_mask")
    left, right = call.whole("left_window_size", -1), call.whole("right_window_size", -1)
    if call.flag("is_causal"):
        right = 0 if right < 0 else min(right, 0)
    for limit, name in ((left, "left"), (right, "right")):
        if limit < 0:
            continue
        # How far a key lies before its query.
        if isinstance(offset, int):
            apart: Tensor = rows - columns + np.int32(offset)
        else:
            apart = call.op("add", rows - columns, offset, part="apart")
        if name == "left":
            seen = call.op("less_equal", apart, call.const(limit, "int32"), part="left")
        else:
            seen = call.op("greater_equal", apart, call.const(-limit, "int32"), part="right")
        add(_hidden(call, seen, name), f"with_{name}")
    return total


def _hidden(call: Call, seen: Tensor, part: str) -> Tensor:
    return call.op("select", seen, call.const(0.0), call.const(_HIDDEN), part=f"{part}/hidden")


def _softmax(call: Call, scores: Tensor, masked: bool) -> Tensor:
    """Softmax of the last dim; a row of which nothing may be seen is 0."""
    if not masked:
        return call.op("softmax", scores, part="weights", axis=-1)
    top = call.op("max", scores, part="top", axes=(-1,), keepdims=True)
    fine = call.op("greater", top, call.const(_HIDDEN / 10), part="fine")
    level = call.op("select", fine, top, call.const(0.0), part="level")
    powers = call.op("exp", call.op("sub", scores, level, part="low"), part="powers")
    total = call.op("sum", powers, part="total", axes=(-1,), keepdims=True)
    return call.op("div_no_nan", powers, total, part="weights")


@importer("RotaryEmbedding")
def rotary_embedding(call: Call) -> Tensor:
    x, cos, sin = (call.f32(i) for i in range(3))
    flat = len(x.shape) == 3
    y = heads_first(call, x, call.whole("num_heads"), "x") if flat else x
    batch, heads, steps, size = y.shape
    turned = call.whole("rotary_embedding_dim") or size
    if call.has(3):
        ids = from_start(call, call.x(3), cos.shape[0])
        cos = call.op("gather", cos, ids, part="cos", axis=0)
        sin = call.op("gather", sin, ids, part="sin", axis=0)
    half = turned // 2
    if tuple(cos.shape[-2:]) != (steps, half) or turned > size:
        raise call.refuse("its tables do not fit", expected=[steps, half], received=cos.shape)
    cos, sin = (
        call.reshape(t, (t.shape[0] if len(t.shape) == 3 else 1, 1, steps, half), n)
        for t, n in ((cos, "cos4"), (sin, "sin4"))
    )
    part, rest = y, None
    if turned < size:
        part, rest = cut(call, y, 3, (turned, size - turned))
    pairs = bool(call.flag("interleaved"))
    if pairs:
        columns = call.reshape(part, (batch, heads, steps, half, 2), "pairs")
        a, b = (call.reshape(p, (batch, heads, steps, half), "own")
                for p in cut(call, columns, 4, (1, 1)))  # fmt: skip
    else:
        a, b = cut(call, part, 3, (half, half))
    real = call.op("sub", call.op("mul", cos, a, part="ca"), call.op("mul", sin, b, part="sb"),
                   part="real")  # fmt: skip
    imag = call.op("add", call.op("mul", sin, a, part="sa"), call.op("mul", cos, b, part="cb"),
                   part="imag")  # fmt: skip
    if pairs:
        both = [call.reshape(t, (*t.shape, 1), "one") for t in (real, imag)]
        made = call.op("concat", *both, part="pairs", axis=4)
        made = call.reshape(made, (batch, heads, steps, turned), "turned")
    else:
        made = call.op("concat", real, imag, part="turned", axis=3)
    if rest is not None:
        made = call.op("concat", made, rest, part="whole", axis=3)
    return heads_last(call, made) if flat else made


@importer("LinearAttention")
def linear_attention(call: Call) -> tuple[Tensor, Tensor]:
    """A state [B, H, K, V] that keys and values are written to, step by step."""
    from fanlight.tensor import functions as fn
    from fanlight.tensor.control import scan

    rule = call.text("update_rule", "gated_delta")
    if rule not in ("linear", "gated", "delta", "gated_delta"):
        raise call.refuse("unknown update_rule", received=rule[:40])
    queries, heads = call.whole("q_num_heads"), call.whole("kv_num_heads")
    q = heads_first(call, call.f32(0), queries, "q")
    k, v = (heads_first(call, call.f32(i), heads, n) for i, n in ((1, "k"), (2, "v")))
    batch, _, _steps, size = k.shape
    width, times = v.shape[3], queries // max(heads, 1)
    if queries % heads:
        raise call.refuse("the heads do not fit", received=[queries, heads])
    scale = call.real("scale") or 1 / math.sqrt(size)
    gated, delta = "gated" in rule, "delta" in rule
    state = call.f32(3) if call.has(3) else np.zeros((batch, heads, size, width), np.float32)
    slices = [call.transpose(t, (2, 0, 1, 3), n) for t, n in ((q, "qs"), (k, "ks"), (v, "vs"))]
    if gated:
        decay = call.f32(4)
        decay = heads_first(call, decay, heads, "decay")
        slices.append(call.transpose(call.op("exp", decay, part="kept"), (2, 0, 1, 3), "decays"))
    if delta:
        beta = call.f32(5)
        slices.append(call.transpose(heads_first(call, beta, beta.shape[2], "beta"), (2, 0, 1, 3),
                                     "betas"))  # fmt: skip

    def run(first: Any, *parts: Any) -> Any:
        def step(state: Any, row: Any) -> Any:
            rest = list(row[3:])
            q_, k_, v_ = row[:3]
            if gated:
                state = state * fn.reshape(rest.pop(0), (*rest_shape(row[3]), 1))
            key = fn.reshape(k_, (batch, heads, 1, size))
            if delta:
                seen = fn.reshape(fn.matmul(key, state), (batch, heads, width))
                v_ = rest.pop(0) * (v_ - seen)
            column = fn.reshape(k_, (batch, heads, size, 1))
            state = state + column * fn.reshape(v_, (batch, heads, 1, width))
            own = fn.reshape(q_ * scale, (batch, heads, times, size))
            return state, fn.reshape(fn.matmul(own, state), (batch, queries, width))

        return scan(step, first, tuple(parts))

    def rest_shape(x: Any) -> tuple[int, ...]:
        return tuple(x.shape)

    last, rows = call.function(run, state, *slices)
    y = call.transpose(rows, (1, 2, 0, 3), "rows")
    return heads_last(call, y), last


@importer("CausalConvWithState")
def causal_conv(call: Call) -> tuple[Tensor, Tensor]:
    """Depthwise over [B, C, L], what came before in front of it."""
    x, w = call.f32(0), call.f32(1)
    if len(x.shape) != 3 or len(w.shape) != 3 or 0 in w.shape:
        raise call.refuse(
            "its sizes do not fit",
            expected="x [batch, channels, length], weights [channels, 1, k]",
            received=f"{list(x.shape)}, {list(w.shape)}",
        )
    batch, channels, _ = x.shape
    k = w.shape[2]
    if call.has(3):
        wide = call.op("concat", call.f32(3), x, part="wide", axis=2)
    else:
        wide = call.op("pad", x, part="wide", paddings=((0, 0), (0, 0), (k - 1, 0)), value=0.0)
    nhwc = call.reshape(call.transpose(wide, (0, 2, 1), "last"), (batch, 1,
                        wide.shape[2], channels), "row")  # fmt: skip
    kernel = call.reshape(call.transpose(w, (2, 0, 1), "kernel"), (1, k, channels, 1), "kernel4")
    y = call.op("depthwise_conv2d", nhwc, kernel, part="conv")
    y = call.transpose(call.reshape(y, (batch, *y.shape[2:]), "line"), (0, 2, 1), "first")
    if call.has(2):
        y = call.op("add", y, call.reshape(call.f32(2), (channels, 1), "bias"), part="biased")
    if call.text("activation", "none") in ("silu", "swish"):
        y = call.op("swish", y, part="swish")
    begin = (0, 0, wide.shape[2] - (k - 1))
    kept = call.op("slice", wide, part="state", begin=begin, size=(batch, channels, k - 1))
    return y, kept

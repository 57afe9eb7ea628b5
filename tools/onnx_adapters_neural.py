"""ONNX's norms, losses, attention, recurrent nets and spectra, by functions of Fanlight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any

import numpy as np

import fanlight as fl
from tools.onnx_adapters import Adapter, Node, Skipped, Values, at, ints, moved, number

# --- softmax and norms ----------------------------------------------------------------------------


def _softmax(function: Callable[..., Any]) -> Adapter:
    def adapt(node: Node, x: Values) -> Any:
        if node.opset < 13:
            raise Skipped("a softmax over several dims (before opset 13)")
        return function(x[0], node.get("axis", -1))

    return adapt


def _last_axes(node: Node, x: Any) -> tuple[int, ...]:
    return tuple(range(node.get("axis", -1) % x.rank, x.rank))


def _layer_norm(node: Node, x: Values) -> Any:
    axes, epsilon = _last_axes(node, x[0]), node.get("epsilon", 1e-5)
    y = fl.layer_norm(x[0], x[1], at(x, 2), axes, epsilon)
    mean, variance = fl.moments(x[0], axes, keepdims=True)
    return y, mean, fl.rsqrt(fl.add(variance, epsilon))


def _rms_norm(node: Node, x: Values) -> Any:
    return fl.rms_norm(x[0], x[1], _last_axes(node, x[0]), node.get("epsilon", 1e-5))


def _channels_last(function: Callable[[Any], Any], x: Any) -> Any:
    return moved(function(moved(x, 1, -1)), -1, 1)


def _group_norm(node: Node, x: Values) -> Any:
    groups, epsilon, scale, bias = node.get("num_groups"), node.get("epsilon", 1e-5), x[1], x[2]
    if scale.size != x[0].shape[1]:  # before opset 21: one per group
        each = np.repeat(np.arange(groups, dtype=np.int32), x[0].shape[1] // groups)
        scale, bias = fl.gather(scale, each), fl.gather(bias, each)
    return _channels_last(lambda v: fl.group_norm(v, groups, scale, bias, epsilon), x[0])


def _instance_norm(node: Node, x: Values) -> Any:
    epsilon = node.get("epsilon", 1e-5)
    return _channels_last(lambda v: fl.instance_norm(v, x[1], x[2], epsilon), x[0])


def _batch_norm(node: Node, x: Values) -> Any:
    images, scale, bias, mean, variance = x
    epsilon, training = node.get("epsilon", 1e-5), node.get("training_mode", 0)
    extra: list[Any] = []
    if training:
        own, spread = fl.moments(images, [d for d in range(images.rank) if d != 1])
        keep = node.get("momentum", 0.9)
        extra = [
            fl.add(fl.mul(old, keep), fl.mul(new, 1 - keep))
            for old, new in ((mean, own), (variance, spread))
        ]
        mean, variance = own, spread
    y = _channels_last(lambda v: fl.batch_norm(v, mean, variance, bias, scale, epsilon), images)
    return [y, *extra]


def _lp_norm(node: Node, x: Values) -> Any:
    length = fl.norm(x[0], node.get("p", 2), node.get("axis", -1), True)
    return fl.div_no_nan(x[0], length)


def _mean_variance(node: Node, x: Values) -> Any:
    mean, variance = fl.moments(x[0], node.get("axes", [0, 2, 3]), keepdims=True)
    return fl.div(fl.sub(x[0], mean), fl.add(fl.sqrt(variance), 1e-9))


def _dropout(node: Node, x: Values) -> Any:
    ratio = node.get("ratio", 0.5) if at(x, 1) is None else number(x[1])
    training = at(x, 2) is not None and number(x[2])
    if training and ratio > 0:
        raise Skipped("random numbers of another generator")
    return fl.clone(x[0]), fl.ones_like(x[0], "bool")


def _random(node: Node, x: Values) -> Any:
    raise Skipped("random numbers of another generator")


# --- losses ---------------------------------------------------------------------------------------


def _reduced(node: Node, loss: Any, weight: Any) -> Any:
    how = node.get("reduction", "mean")
    if how == "none":
        return loss
    total = fl.sum(loss)
    return total if how == "sum" else fl.div(total, fl.sum(weight))


def _likelihood(node: Node, scores: Any, target: Any, weight: Any) -> Any:
    """The loss of log probabilities [N, C, ...] of classes [N, ...]."""
    ignored = node.get("ignore_index")
    kept = fl.ones_like(target, "bool") if ignored is None else fl.not_equal(target, ignored)
    safe = fl.where(kept, target, 0)
    at_target = fl.squeeze(fl.take_along_axis(scores, fl.expand_dims(safe, 1), 1), 1)
    each = fl.cast(kept, "float32")
    if weight is not None:
        each = fl.mul(each, fl.gather(weight, safe))
    return _reduced(node, fl.mul(fl.neg(at_target), each), each)


def _nll(node: Node, x: Values) -> Any:
    return _likelihood(node, x[0], x[1], at(x, 2))


def _cross_entropy(node: Node, x: Values) -> Any:
    scores = fl.log_softmax(x[0], 1)
    return _likelihood(node, scores, x[1], at(x, 2)), scores


# --- attention ------------------------------------------------------------------------------------


def _heads(x: Any, count: int) -> Any:
    """[N, L, heads size] -> [N, heads, L, size]."""
    n, length, wide = x.shape
    return fl.transpose(fl.reshape(x, (n, length, count, wide // count)), (0, 2, 1, 3))


def _joined(x: Any) -> Any:
    n, heads, length, size = x.shape
    return fl.reshape(fl.transpose(x, (0, 2, 1, 3)), (n, length, heads * size))


def _frontier(node: Node, query: int, keys: int, first: Any) -> np.ndarray | None:
    """Which keys a query may see by its place: bool, broadcasting to [N, 1, query, keys]."""
    left, right = node.get("left_window_size", -1), node.get("right_window_size", -1)
    if not node.get("is_causal", 0) and left < 0 and right < 0:
        return None
    here = np.arange(query)[:, None] + np.asarray(first).reshape(-1, 1, 1, 1)
    there = np.arange(keys)
    seen = np.ones(np.broadcast_shapes(here.shape, there.shape), bool)
    if node.get("is_causal", 0):
        seen &= there <= here
    if left >= 0:
        seen &= there >= here - left
    if right >= 0:
        seen &= there <= here + right
    return seen


def _attention(node: Node, x: Values) -> Any:
    query, key, value = x[:3]
    mask, past_key, past_value, lengths = (at(x, i) for i in (3, 4, 5, 6))
    flat = query.rank == 3
    if flat:
        query = _heads(query, node.get("q_num_heads"))
        key, value = (_heads(v, node.get("kv_num_heads")) for v in (key, value))
    first: Any = 0
    if past_key is not None:
        first = past_key.shape[2]
        key, value = fl.concat([past_key, key], 2), fl.concat([past_value, value], 2)
    rows, keys = query.shape[2], key.shape[2]
    counts = None if lengths is None else np.array(ints(lengths))
    if counts is not None and past_key is None:
        first = counts - rows
    seen = _frontier(node, rows, keys, first)
    if counts is not None:
        inside = np.arange(keys) < counts.reshape(-1, 1, 1, 1)
        seen = inside if seen is None else seen & inside
    if mask is not None and mask.shape[-1] < keys:
        short = [(0, 0)] * (mask.rank - 1) + [(0, keys - mask.shape[-1])]
        mask = fl.pad(mask, short, False if mask.dtype == "bool" else -np.inf)
    if mask is not None and seen is not None:
        hidden = False if mask.dtype == "bool" else -np.inf
        mask = fl.where(seen, mask, hidden)
    elif seen is not None:
        mask = fl.tensor(seen)
    y, product = _attended(node, query, key, value, mask)
    return (_joined(y) if flat else y), key, value, product


def _attended(node: Node, query: Any, key: Any, value: Any, mask: Any) -> tuple[Any, Any]:
    """The result, and what is asked for of the products of queries and keys."""
    scale = node.get("scale") or 1 / sqrt(query.shape[-1])
    cap, wanted = node.get("softcap", 0.0), len(node.outputs) > 3 and node.outputs[3]
    if not cap and not wanted:
        return fl.scaled_dot_product_attention(query, key, value, mask, scale=scale), None
    if query.shape[1] != key.shape[1]:
        each = np.repeat(np.arange(key.shape[1], dtype=np.int32), query.shape[1] // key.shape[1])
        key, value = fl.gather(key, each, 1), fl.gather(value, each, 1)
    raw = fl.matmul(fl.mul(query, scale), key, transpose_b=True)
    capped = fl.mul(fl.tanh(fl.div(raw, cap)), cap) if cap else raw
    biased = capped
    if mask is not None:
        biased = fl.where(mask, capped, -np.inf) if mask.dtype == "bool" else fl.add(capped, mask)
    seen = fl.greater(biased, -np.inf)
    weights = fl.where(seen, fl.softmax(fl.where(seen, biased, -1e30)), 0.0)
    mode = node.get("qk_matmul_output_mode", 0)
    return fl.matmul(weights, value), (raw, capped, biased, weights)[mode]


def _flex_attention(node: Node, x: Values) -> Any:
    """Attention whose scores and weights go through graphs of the model."""
    query, key, value = x
    if query.shape[1] != key.shape[1]:
        each = np.repeat(np.arange(key.shape[1], dtype=np.int32), query.shape[1] // key.shape[1])
        key, value = fl.gather(key, each, 1), fl.gather(value, each, 1)
    scale = node.get("scale") or 1 / sqrt(query.shape[-1])
    scores = fl.matmul(fl.mul(query, scale), key, transpose_b=True)
    if node.get("score_mod") is not None:
        (scores,) = node.run_graph(node.get("score_mod"), [scores])
    weights = fl.softmax(scores)
    if node.get("prob_mod") is not None:
        (weights,) = node.run_graph(node.get("prob_mod"), [weights])
    return fl.matmul(weights, value)


def _linear_attention(node: Node, x: Values) -> Any:
    heads, shared = node.get("q_num_heads"), node.get("kv_num_heads")
    rule = node.get("update_rule", "gated_delta")
    query, (key, value) = _heads(x[0], heads), (_heads(v, shared) for v in x[1:3])
    (n, _, steps, wide), deep = query.shape, value.shape[-1]
    state = fl.zeros((n, shared, wide, deep)) if at(x, 3) is None else x[3]
    decay = None if at(x, 4) is None else fl.exp(_heads(x[4], shared))
    beta = None if at(x, 5) is None else _heads(x[5], x[5].shape[-1])
    scale = node.get("scale", 0.0) or 1 / sqrt(wide)
    each = np.repeat(np.arange(shared, dtype=np.int32), heads // shared)
    made = []
    for t in range(steps):
        k, v = key[:, :, t, :, None], value[:, :, t, None, :]
        if decay is not None:
            state = fl.mul(state, decay[:, :, t, :, None])
        if rule in ("delta", "gated_delta"):
            known = fl.matmul(k, state, transpose_a=True)
            v = fl.mul(fl.sub(v, known), beta[:, :, t, None, :])
        state = fl.add(state, fl.mul(k, v))
        read = state if heads == shared else fl.gather(state, each, 1)
        made.append(fl.mul(fl.matmul(query[:, :, t, None, :], read), scale))
    return _joined(fl.concat(made, 2)), state


def _rotary(node: Node, x: Values) -> Any:
    y, cos, sin, places = x[0], x[1], x[2], at(x, 3)
    flat = y.rank == 3
    y = _heads(y, node.get("num_heads")) if flat else y
    wide = node.get("rotary_embedding_dim", 0) or y.shape[-1]
    if places is not None:
        cos, sin = fl.gather(cos, places), fl.gather(sin, places)
    cos, sin = fl.expand_dims(cos, 1), fl.expand_dims(sin, 1)
    turned, rest = y[..., :wide], y[..., wide:]
    if node.get("interleaved", 0):
        a, b = turned[..., 0::2], turned[..., 1::2]
    else:
        a, b = fl.split(turned, 2, -1)
    parts = fl.sub(fl.mul(cos, a), fl.mul(sin, b)), fl.add(fl.mul(sin, a), fl.mul(cos, b))
    if node.get("interleaved", 0):
        made = fl.reshape(fl.stack(parts, -1), turned.shape)
    else:
        made = fl.concat(parts, -1)
    made = fl.concat([made, rest], -1) if rest.shape[-1] else made
    return _joined(made) if flat else made


# --- recurrent nets -------------------------------------------------------------------------------

Step = Callable[[Any, list[Any]], list[Any]]


def _recurrent(node: Node, x: Values, gates: int, states: int, step_of: Callable[..., Step]) -> Any:
    """Runs a cell over [steps, N, size] in one or two directions: Y and the last states."""
    y, w, r = x[:3]
    if node.get("activations") or node.get("clip") or at(x, 4) is not None:
        raise Skipped("a recurrent net with other activations, a clip or lengths")
    batch_first = node.get("layout", 0)
    y = fl.transpose(y, (1, 0, 2)) if batch_first else y
    (steps, n, _), units = y.shape, r.shape[-1]
    direction = node.get("direction", "forward")
    made, last = [], []
    for d in range(w.shape[0]):
        bias = None if at(x, 3) is None else x[3][d]
        step = step_of(w[d], r[d], bias, d)
        state = []
        for i in range(states):
            first = at(x, 5 + i)
            if first is not None:
                first = first[:, d] if batch_first else first[d]
            state.append(fl.zeros((n, units)) if first is None else first)
        order = range(steps)
        back = direction == "reverse" or d == 1
        rows: list[Any] = [None] * steps
        for t in reversed(order) if back else order:
            state = step(y[t], state)
            rows[t] = state[0]
        made.append(fl.stack(rows, 0))
        last.append(state)
    whole = fl.stack(made, 1)  # [steps, directions, N, units]
    ends = [fl.stack([state[i] for state in last], 0) for i in range(states)]
    if batch_first:
        whole = fl.transpose(whole, (2, 0, 1, 3))
        ends = [fl.transpose(e, (1, 0, 2)) for e in ends]
    return whole, *ends


def _columns(w: Any, order: Sequence[int]) -> Any:
    """Weights [gates units, size] of ONNX as [size, gates units], gates in another order."""
    parts = fl.split(w, len(order), 0)
    return fl.transpose(fl.concat([parts[i] for i in order], 0))


def _in_order(b: Any, order: Sequence[int]) -> Any:
    parts = fl.split(b, len(order), 0)
    return fl.concat([parts[i] for i in order], 0)


def _lstm(node: Node, x: Values) -> Any:
    order, peep = (0, 2, 3, 1), at(x, 7)  # ONNX has i, o, f, c; the cell i, f, g, o

    def step_of(w: Any, r: Any, b: Any, d: int) -> Step:
        kernel, recurrent = _columns(w, order), _columns(r, order)
        bias = None
        if b is not None:
            own, theirs = fl.split(b, 2, 0)
            bias = _in_order(fl.add(own, theirs), order)

        def step(v: Any, state: list[Any]) -> list[Any]:
            if peep is None:
                return list(fl.lstm_cell(v, *state, kernel, recurrent, bias))
            h, c = state
            see_i, see_o, see_f = fl.split(peep[d], 3, 0)
            total = fl.add(fl.matmul(v, kernel), fl.matmul(h, recurrent))
            i, f, g, o = fl.split(total if bias is None else fl.add(total, bias), 4, -1)
            i = fl.sigmoid(fl.add(i, fl.mul(see_i, c)))
            f = fl.sigmoid(fl.add(f, fl.mul(see_f, c)))
            c = fl.add(fl.mul(f, c), fl.mul(i, fl.tanh(g)))
            o = fl.sigmoid(fl.add(o, fl.mul(see_o, c)))
            return [fl.mul(o, fl.tanh(c)), c]

        return step

    return _recurrent(node, x, 4, 2, step_of)


def _gru(node: Node, x: Values) -> Any:
    after = bool(node.get("linear_before_reset", 0))

    def step_of(w: Any, r: Any, b: Any, d: int) -> Step:
        kernel, recurrent = fl.transpose(w), fl.transpose(r)
        bias = None
        if b is not None:
            own, theirs = fl.split(b, 2, 0)
            bias = fl.stack([own, theirs], 0) if after else fl.add(own, theirs)
        return lambda v, state: [fl.gru_cell(v, state[0], kernel, recurrent, bias, after)]

    return _recurrent(node, x, 3, 1, step_of)


def _rnn(node: Node, x: Values) -> Any:
    def step_of(w: Any, r: Any, b: Any, d: int) -> Step:
        bias = 0.0 if b is None else fl.add(*fl.split(b, 2, 0))

        def step(v: Any, state: list[Any]) -> list[Any]:
            total = fl.add(
                fl.matmul(v, w, transpose_b=True), fl.matmul(state[0], r, transpose_b=True)
            )
            return [fl.tanh(fl.add(total, bias))]

        return step

    return _recurrent(node, x, 1, 1, step_of)


# --- spectra --------------------------------------------------------------------------------------


def _fitted(x: Any, length: int) -> Any:
    """The last dim cut or filled with zeros to a length."""
    n = x.shape[-1]
    if length < n:
        return x[..., :length]
    return fl.pad(x, [*[(0, 0)] * (x.rank - 1), (0, length - n)]) if length > n else x


def _pairs(y: Any) -> Any:
    return fl.stack([fl.real(y), fl.imag(y)], -1)


def _dft(node: Node, x: Values) -> Any:
    axis = node.get("axis", 1) if node.opset < 20 else -2 if at(x, 2) is None else number(x[2])
    axis %= x[0].rank
    inverse, onesided = node.get("inverse", 0), node.get("onesided", 0)
    parts = [moved(x[0][..., i], axis, -1) for i in range(x[0].shape[-1])]
    n = parts[0].shape[-1]
    length = (2 * (n - 1) if inverse and onesided else n) if at(x, 1) is None else number(x[1])
    if inverse and onesided:
        y = fl.irfft(fl.complex(*parts), length)
        return fl.expand_dims(moved(y, -1, axis), -1)
    parts = [_fitted(p, length) for p in parts]
    if onesided and len(parts) == 1:
        y = fl.rfft(parts[0], length)
    else:
        y = fl.complex(parts[0], parts[1] if len(parts) > 1 else fl.zeros_like(parts[0]))
        y = fl.ifft(y) if inverse else fl.fft(y)
    made = _pairs(y)
    if onesided and len(parts) > 1:
        made = made[..., : length // 2 + 1, :]
    return moved(made, -2, axis)


def _stft(node: Node, x: Values) -> Any:
    signal, step, window = x[0], number(x[1]), at(x, 2)
    if signal.shape[-1] == 2:
        raise Skipped("stft of a complex signal")
    length = number(x[3]) if at(x, 3) is not None else window.shape[0]
    signal = fl.squeeze(signal, -1)
    weights = None if window is None else lambda count: window
    if node.get("onesided", 1):
        return _pairs(fl.signal.stft(signal, length, step, length, weights))
    frames = fl.signal.frame(signal, length, step)
    frames = frames if window is None else fl.mul(frames, window)
    return _pairs(fl.fft(fl.complex(frames, fl.zeros_like(frames))))


def _window(function: Callable[..., Any]) -> Adapter:
    return lambda node, x: function(number(x[0]), bool(node.get("periodic", 1)))


def _cosines(length: int, periodic: bool, *parts: float) -> Any:
    """A window of which Fanlight has no function: a - b cos + c cos 2 ..."""
    n = length if periodic else length - 1
    turn = fl.mul(fl.range(length, dtype="float32"), 2 * np.pi / n)
    terms = [fl.mul(fl.cos(fl.mul(turn, float(k))), a) for k, a in enumerate(parts)]
    return fl.add_n(terms)


def _hamming(length: int, periodic: bool) -> Any:
    return _cosines(length, periodic, 25 / 46, -21 / 46)  # ours has 0.54, as TensorFlow


def _blackman(length: int, periodic: bool) -> Any:
    return _cosines(length, periodic, 0.42, -0.5, 0.08)


ADAPTERS: dict[str, Adapter] = {
    "Softmax": _softmax(fl.softmax),
    "LogSoftmax": _softmax(fl.log_softmax),
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _rms_norm,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "BatchNormalization": _batch_norm,
    "LpNormalization": _lp_norm,
    "MeanVarianceNormalization": _mean_variance,
    "Dropout": _dropout,
    "Bernoulli": _random,
    "RandomUniformLike": _random,
    "NegativeLogLikelihoodLoss": _nll,
    "SoftmaxCrossEntropyLoss": _cross_entropy,
    "Attention": _attention,
    "FlexAttention": _flex_attention,
    "LinearAttention": _linear_attention,
    "RotaryEmbedding": _rotary,
    "LSTM": _lstm,
    "GRU": _gru,
    "RNN": _rnn,
    "DFT": _dft,
    "STFT": _stft,
    "HannWindow": _window(fl.signal.hann_window),
    "HammingWindow": _window(_hamming),
    "BlackmanWindow": _window(_blackman),
}

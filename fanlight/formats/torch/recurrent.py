"""Importers of whole recurrent layers: LSTM, GRU and plain RNN, as scans over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fanlight.formats.emitter import Tensor
from fanlight.formats.torch.call import Call, importer
from fanlight.tensor import functions as fn
from fanlight.tensor.control import scan

# step(x's part of the gates, h, state, recurrent weights, its bias) -> (h, state)
Step = Callable[..., tuple[Any, Any]]


def _parts(x: Any, count: int) -> list[Any]:
    size = x.shape[-1] // count
    return [x[..., i * size : (i + 1) * size] for i in range(count)]


def _lstm(x: Any, h: Any, c: Any, recurrent: Any, bias: Any) -> tuple[Any, Any]:
    gates = fn.add(x, fn.matmul(h, recurrent))
    if bias is not None:
        gates = fn.add(gates, bias)
    i, f, g, o = _parts(gates, 4)
    c = fn.add(fn.mul(fn.sigmoid(f), c), fn.mul(fn.sigmoid(i), fn.tanh(g)))
    return fn.mul(fn.sigmoid(o), fn.tanh(c)), c


def _gru(x: Any, h: Any, c: Any, recurrent: Any, bias: Any) -> tuple[Any, Any]:
    own = fn.matmul(h, recurrent)
    if bias is not None:
        own = fn.add(own, bias)
    (xr, xz, xn), (hr, hz, hn) = _parts(x, 3), _parts(own, 3)
    reset, keep = fn.sigmoid(fn.add(xr, hr)), fn.sigmoid(fn.add(xz, hz))
    new = fn.tanh(fn.add(xn, fn.mul(reset, hn)))
    return fn.add(fn.mul(fn.sub(1.0, keep), new), fn.mul(keep, h)), c


def _rnn(activation: Callable[[Any], Any]) -> Step:
    def step(x: Any, h: Any, c: Any, recurrent: Any, bias: Any) -> tuple[Any, Any]:
        y = fn.add(x, fn.matmul(h, recurrent))
        return activation(y if bias is None else fn.add(y, bias)), c

    return step


def _layer(step: Step, x: Any, h: Any, c: Any, weights: list[Any], backwards: bool) -> Any:
    """x [T, N, I] -> y [T, N, H], the last h, the last state (c: None but for LSTM).

    Args:
        weights: of the input, of h, a bias for each or none, and a projection of h or none.
    """
    projection = fn.matmul(x, fn.transpose(weights[0], (1, 0)))
    recurrent = fn.transpose(weights[1], (1, 0))
    bias = None
    # An LSTM with proj_size: what it hands on is a shorter h.
    shorter = fn.transpose(weights[-1], (1, 0)) if len(weights) % 2 else None
    if len(weights) > 3:
        projection, bias = fn.add(projection, weights[2]), weights[3]
    init = (h,) if c is None else (h, c)

    def once(carry: Any, x: Any) -> Any:
        h, state = step(x, carry[0], carry[-1], recurrent, bias)
        if shorter is not None:
            h = fn.matmul(h, shorter)
        return ((h,) if c is None else (h, state)), h

    last, y = scan(once, init, projection, reverse=backwards)
    return y, last[0], last[-1]


def _recurrent(call: Call, step: Step, states: int) -> list[Tensor]:
    hx = call.get("hx")
    if "data" in call.args:
        raise call.refuse("packed sequences", expected="padded ones, batch by time")
    x = call.x("input")
    params = call.tensors("params")
    layers, both = call.whole("num_layers", 1), call.flag("bidirectional")
    first, biases = call.flag("batch_first"), call.flag("has_biases", True)
    if call.flag("train") and call.real("dropout", 0.0) > 0:
        call.warnings.append(f"{call.node.name}: its dropout is left out.")
    initial = hx if isinstance(hx, list) else [call.x("hx")]
    ways, per = 1 + both, 4 if biases else 2
    if states == 2 and len(params) == layers * ways * (per + 1):
        per += 1
    if len(params) != layers * ways * per or len(initial) != states:
        raise call.refuse(
            "the weights are not those of its layers",
            expected=layers * ways * per,
            received=len(params),
        )
    alone = len(x.shape) == 2
    if len(x.shape) not in (2, 3):
        raise call.refuse("the input is no sequence", received=list(x.shape))

    def compute(x: Any, *rest: Any) -> Any:
        states_, weights = list(rest[:states]), list(rest[states:])
        if alone:
            x = fn.expand_dims(x, 1)
            states_ = [fn.expand_dims(s, 1) for s in states_]
        elif first:
            x = fn.transpose(x, (1, 0, 2))
        lasts: list[list[Any]] = [[] for _ in states_]
        for layer in range(layers):
            made = []
            for way in range(ways):
                k = layer * ways + way
                h = states_[0][k]
                c = states_[1][k] if states == 2 else None
                own = weights[k * per : (k + 1) * per]
                y, *last = _layer(step, x, h, c, own, way == 1)
                made.append(y)
                for held, value in zip(lasts, last, strict=False):
                    held.append(value)
            x = fn.concat(made, -1) if both else made[0]
        ends = [fn.stack(held, 0) for held in lasts]
        if alone:
            return fn.squeeze(x, 1), *(fn.squeeze(e, 1) for e in ends)
        return (fn.transpose(x, (1, 0, 2)) if first else x), *ends

    return call.function(compute, x, *initial, *params)


@importer("lstm")
def lstm(call: Call) -> list[Tensor]:
    return _recurrent(call, _lstm, 2)


@importer("gru")
def gru(call: Call) -> list[Tensor]:
    return _recurrent(call, _gru, 1)


@importer("rnn_tanh")
def rnn_tanh(call: Call) -> list[Tensor]:
    return _recurrent(call, _rnn(fn.tanh), 1)


@importer("rnn_relu")
def rnn_relu(call: Call) -> list[Tensor]:
    return _recurrent(call, _rnn(fn.relu), 1)


def _cell(call: Call, step: Step, pair: bool) -> Any:
    """One step alone: lstm_cell, gru_cell, rnn_tanh_cell."""
    hx = call.tensors("hx") if pair else [call.x("hx")]
    names = [n for n in ("w_ih", "w_hh", "b_ih", "b_hh") if call.has(n)]

    def compute(x: Any, *rest: Any) -> Any:
        held, w = rest[: len(hx)], rest[len(hx) :]
        own = fn.matmul(x, fn.transpose(w[0], (1, 0)))
        own = fn.add(own, w[2]) if len(w) > 2 else own
        bias = w[3] if len(w) > 3 else None
        h, c = step(own, held[0], held[-1], fn.transpose(w[1], (1, 0)), bias)
        return (h, c) if pair else h

    return call.function(compute, call.x("input"), *hx, *(call.x(n) for n in names))


@importer("lstm_cell")
def lstm_cell(call: Call) -> Any:
    return _cell(call, _lstm, True)


@importer("gru_cell")
def gru_cell(call: Call) -> Any:
    return _cell(call, _gru, False)


@importer("rnn_tanh_cell")
def rnn_tanh_cell(call: Call) -> Any:
    return _cell(call, _rnn(fn.tanh), False)


@importer("rnn_relu_cell")
def rnn_relu_cell(call: Call) -> Any:
    return _cell(call, _rnn(fn.relu), False)

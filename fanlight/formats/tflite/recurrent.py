"""Importers of recurrent operators over whole sequences, as loops (the op `scan`).

Their states are variables of the file that begin at zero; here every run begins there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor
from fanlight.formats.tflite.call import Call, importer
from fanlight.formats.tflite.schema import ACTIVATIONS
from fanlight.tensor import control
from fanlight.tensor import functions as fn
from fanlight.tensor.core import tensor

Step = Callable[[Any, Any], tuple[Any, Any]]


def _weights(call: Call, index: int, what: str) -> np.ndarray:
    return np.asarray(call.known(index, what), np.float32)


def _activation(call: Call) -> Callable[[Any], Any]:
    code = call.whole_option("activation")
    kind = ACTIVATIONS[code] if 0 <= code < len(ACTIVATIONS) else "sign_bit"
    functions: dict[str, Callable[[Any], Any]] = {
        "": lambda x: x,
        "tanh": fn.tanh,
        "relu": fn.relu,
        "relu6": fn.relu6,
        "relu_n1_to_1": lambda x: fn.clip(x, -1.0, 1.0),
    }
    if kind not in functions:
        raise call.refuse("unknown activation", expected=sorted(functions), received=code)
    return functions[kind]


def _sequence(call: Call) -> tuple[Tensor, bool]:
    """The input [batch, time, n], or [time, batch, n] of time-major files."""
    x = call.x(0)
    if len(x.shape) != 3 or 0 in x.shape:
        raise call.refuse("the input is no sequence", expected="3 dims", received=list(x.shape))
    return x, bool(call.options.get("time_major"))


def _over_time(x: Any, major: bool, step: Step, init: Any, reverse: bool = False) -> Any:
    """The results of all steps, laid out as x is."""
    xs = x if major else fn.transpose(x, (1, 0, 2))
    _, ys = control.scan(step, init, xs, reverse=reverse)
    return ys if major else fn.transpose(ys, (1, 0, 2))


class _Lstm:
    """The weights of one LSTM, whose inputs start at `first`, gates in the order i, f, c, o."""

    def __init__(self, call: Call, first: int = 1, norms: int = 20) -> None:
        coupled = not call.has(first)
        gates = (1, 2, 3) if coupled else (0, 1, 2, 3)
        w = [_weights(call, first + g, "a weight") for g in gates]
        r = [_weights(call, first + 4 + g, "a recurrent weight") for g in gates]
        cells = w[0].shape[0]
        if any(a.shape != w[0].shape for a in w) or any(a.shape != r[0].shape for a in r):
            raise call.refuse("the gates have different sizes", received=[a.shape for a in w + r])
        if w[0].ndim != 2 or r[0].ndim != 2 or r[0].shape[0] != cells:
            raise call.refuse("the weights are no matrices", received=[a.shape for a in w + r])
        bias = [
            _weights(call, first + 11 + g, "a bias")
            if call.has(first + 11 + g)
            else np.zeros(cells, np.float32)
            for g in gates
        ]
        if any(b.shape != (cells,) for b in bias):
            raise call.refuse("a bias does not fit its gate", received=[b.shape for b in bias])
        self.coupled, self.cells, self.gates = coupled, cells, gates
        self.w = np.ascontiguousarray(np.concatenate(w).T)
        self.r = np.ascontiguousarray(np.concatenate(r).T)
        self.bias = np.concatenate(bias)
        self.peep = {
            g: _weights(call, first + 8 + place, "a peephole")
            for place, g in enumerate((0, 1, 3))
            if call.has(first + 8 + place)
        }
        self.projection = (
            np.ascontiguousarray(_weights(call, first + 15, "the projection").T)
            if call.has(first + 15)
            else None
        )
        self.shift = (
            _weights(call, first + 16, "the projection's bias") if call.has(first + 16) else None
        )
        if any(call.has(norms + g) for g in range(4)):
            raise call.refuse("gates that are normalised", expected="an LSTM without them")
        self.cell_clip = float(call.options.get("cell_clip", 0.0))
        self.projection_clip = float(call.options.get("proj_clip", 0.0))
        self.activation = _activation(call)
        self.outputs = self.r.shape[0]

    def step(self, state: Any, x: Any) -> tuple[Any, Any]:
        """state: (h [batch, outputs], c [batch, cells])."""
        h, c = state
        z = x @ self.w + h @ self.r + self.bias
        part = {g: z[:, i * self.cells : (i + 1) * self.cells] for i, g in enumerate(self.gates)}
        for g in (0, 1):
            if g in self.peep and g in part:
                part[g] = part[g] + c * self.peep[g]
        forget = fn.sigmoid(part[1])
        enter = 1.0 - forget if self.coupled else fn.sigmoid(part[0])
        c = forget * c + enter * self.activation(part[2])
        if self.cell_clip > 0:
            c = fn.clip(c, -self.cell_clip, self.cell_clip)
        out = part[3] + c * self.peep[3] if 3 in self.peep else part[3]
        h = fn.sigmoid(out) * self.activation(c)
        if self.projection is not None:
            h = h @ self.projection
            if self.shift is not None:
                h = h + self.shift
            if self.projection_clip > 0:
                h = fn.clip(h, -self.projection_clip, self.projection_clip)
        return (h, c), h

    def run(self, x: Any, major: bool, reverse: bool = False) -> Any:
        batch = x.shape[1] if major else x.shape[0]
        h = np.zeros((batch, self.outputs), np.float32)
        c = np.zeros((batch, self.cells), np.float32)
        return _over_time(x, major, self.step, (tensor(h), tensor(c)), reverse)


@importer("UNIDIRECTIONAL_SEQUENCE_LSTM")
def sequence_lstm(call: Call) -> Any:
    """Inputs: x, 4 weights, 4 recurrent weights, 3 peepholes, 4 biases, projection and its bias,
    two states, 4 of normalisation."""
    x, major = _sequence(call)
    lstm = _Lstm(call)
    return call.function(lambda x: lstm.run(x, major), x)


def _rnn(call: Call, first: int, major: bool) -> Callable[..., Any]:
    """What runs an RNN, whose weights, recurrent weights and bias start at input `first`."""
    w = np.ascontiguousarray(_weights(call, first, "the weights").T)
    r = np.ascontiguousarray(_weights(call, first + 1, "the recurrent weights").T)
    bias, activation = _weights(call, first + 2, "the bias"), _activation(call)

    def step(h: Any, x: Any) -> tuple[Any, Any]:
        h = activation(x @ w + h @ r + bias)
        return h, h

    def run(x: Any, reverse: bool = False) -> Any:
        start = np.zeros((x.shape[1] if major else x.shape[0], r.shape[0]), np.float32)
        return _over_time(x, major, step, tensor(start), reverse)

    return run


@importer("UNIDIRECTIONAL_SEQUENCE_RNN")
def sequence_rnn(call: Call) -> Any:
    """Inputs: x, weights [n, inputs], recurrent weights [n, n], bias, state."""
    x, major = _sequence(call)
    return call.function(_rnn(call, 1, major), x)


def _both_ways(call: Call, aux: int, fw: Callable[..., Any], bw: Callable[..., Any]) -> Any:
    """The results of a pass forwards and one backwards, which has an input of its own (`aux`) where
    layers of them are not merged in between."""
    x, _ = _sequence(call)
    if any(call.has(i) for i in range(aux + 1, len(call.cells))):
        raise call.refuse("weights of a second input", expected="one without them")

    def run(x: Any, other: Any = None) -> Any:
        ys = fw(x), bw(x if other is None else other)
        return fn.concat(ys, -1) if call.options.get("merge_outputs") else ys

    return call.function(run, x, *([call.x(aux)] if call.has(aux) else []))


@importer("BIDIRECTIONAL_SEQUENCE_LSTM")
def both_lstms(call: Call) -> Any:
    """Inputs: x, 17 of the LSTM that runs forwards, 17 of that backwards, four states, perhaps the
    input of the one backwards, and 8 weights for it."""
    major = bool(call.options.get("time_major"))
    one, two = _Lstm(call, 1, norms=48), _Lstm(call, 18, norms=48)
    return _both_ways(
        call, 39, lambda x: one.run(x, major), lambda x: two.run(x, major, reverse=True)
    )


@importer("BIDIRECTIONAL_SEQUENCE_RNN")
def both_rnns(call: Call) -> Any:
    """Inputs: x; weights, recurrent weights, bias and state forwards; the same backwards; perhaps
    the input of the one backwards, and 2 weights for it."""
    major = bool(call.options.get("time_major"))
    one, two = _rnn(call, 1, major), _rnn(call, 5, major)
    return _both_ways(call, 9, one, lambda x: two(x, True))


@importer("RNN")
def rnn(call: Call) -> Any:
    """One step: x [batch, inputs], from a state of zeros."""
    w, bias = _weights(call, 1, "the weights").T, _weights(call, 3, "the bias")
    activation = _activation(call)
    return call.function(lambda x: activation(x @ np.ascontiguousarray(w) + bias), call.x(0))


@importer("SVDF")
def svdf(call: Call) -> Any:
    """One step: x [batch, inputs], feature weights [n * rank, inputs], time weights
    [n * rank, memory], perhaps a bias; a memory of zeros, so only its newest place counts."""
    rank = call.whole_option("rank", 1)
    features, time = _weights(call, 1, "the weights"), _weights(call, 2, "the time weights")
    if rank < 1 or features.ndim != 2 or time.ndim != 2 or features.shape[0] % rank:
        raise call.refuse("the weights do not fit", received=[features.shape, time.shape, rank])
    newest = features.T * time[:, -1]
    w = newest.reshape(newest.shape[0], -1, rank).sum(axis=2)
    bias = _weights(call, 3, "the bias") if call.has(3) else np.float32(0)
    activation = _activation(call)
    return call.function(lambda x: activation(x @ np.ascontiguousarray(w) + bias), call.x(0))

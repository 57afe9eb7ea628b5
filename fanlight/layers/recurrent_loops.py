"""Loops of the common cells whose gradients are written down, not derived.

The gradient of `fl.scan` computes each step again and adds up the gradients of the kernels step by
step. Here the way there keeps the gates of all steps, the way back carries the gradients of the
states alone and gives those of the gates; the gradients of the kernels are one product each, of all
steps at once. Source: backpropagation through time as in Appleyard, Kocisky & Blunsom 2016.

Only where exactly one tape listens: gradients of gradients go the way of `fl.scan`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fanlight.layers import activations
from fanlight.layers.cells import GRUCell, LSTMCell, RecurrentCell, SimpleRNNCell, blocks
from fanlight.tensor import Tensor
from fanlight.tensor import functions as fn
from fanlight.tensor.calls import Call, state, tell, unheard
from fanlight.tensor.control import scan

# Outputs of all steps, and the states after the last one.
Found = tuple[Tensor, list[Tensor]]
# One step: (gates from the input, states, recurrent weights) -> (next states, what it keeps).
Forward = Callable[[Tensor, list[Tensor], Sequence[Tensor]], tuple[list[Tensor], list[Tensor]]]
# Its gradient: (gradients of the next states, kept, kernels transposed) -> (those of the states
# before, of the gates from the input, of h times the recurrent kernel where they differ).
Backward = Callable[[list[Tensor], list[Tensor], Sequence[Tensor]], tuple[list[Tensor], ...]]


def found(
    cell: RecurrentCell,
    z: Tensor,
    states: list[Tensor],
    fixed: list[Tensor],
    mask: Tensor | None,
    reverse: bool,
) -> Found | None:
    """What the cell gives for gates z [steps, N, ...]; None where `fl.scan` has to do it.

    Of a class of your own it has to: its steps may be others.
    """
    if len(state.listeners) != 1 or cell.activation is not activations.tanh:
        return None
    if type(cell) is SimpleRNNCell:
        way: Any = (_simple, _simple_back, _of_kernel)
    elif getattr(cell, "recurrent_activation", None) is not activations.sigmoid:
        return None
    elif type(cell) is LSTMCell:
        way = (_lstm, _lstm_back, _of_kernel)
    elif type(cell) is GRUCell and cell.reset_after:
        way = (_gru, _gru_back, _of_kernel_and_bias)
    elif type(cell) is GRUCell:
        way = (_before, _before_back, _of_both_kernels)
    else:
        return None
    return _looped(z, states, fixed, mask, reverse, *way)


def _looped(
    z: Tensor,
    states: list[Tensor],
    weights: Sequence[Tensor],
    mask: Tensor | None,
    reverse: bool,
    forward: Forward,
    backward: Backward,
    of_weights: Callable[..., list[Tensor]],
) -> Found:
    count = len(states)

    def there(before: list[Tensor], parts: Any) -> Any:
        new, kept = forward(parts[0], before, weights)
        if mask is not None:
            new = [fn.where(_wide(parts[1]), n, b) for n, b in zip(new, before, strict=True)]
        return new, [new[0], *before, *kept]

    slices = [z] if mask is None else [z, mask]
    with unheard():
        after, (ys, *kept) = scan(there, states, slices, reverse=reverse)
        outputs = [ys, *(s.alias() for s in after)]

    def back(*grads: Tensor | None) -> list[Tensor | None]:
        of_ys, *of_states = grads
        # Turned round once, not at every step.
        turned = [fn.transpose(w, (1, 0)) for w in weights if w.rank == 2]
        start = [
            fn.zeros(s.shape) if g is None else g for s, g in zip(states, of_states, strict=True)
        ]

        def turn(after: list[Tensor], parts: Any) -> Any:
            rest = list(parts)
            own = rest.pop() if mask is not None else None
            if of_ys is not None:
                after = [after[0] + rest.pop(), *after[1:]]
            passed: list[Tensor] = []
            if own is not None:
                shown = _wide(own)
                passed = [fn.where(shown, 0.0, g) for g in after]
                after = [fn.where(shown, g, 0.0) for g in after]
            before, *gates = backward(after, rest, turned)
            if passed:
                before = [a + b for a, b in zip(before, passed, strict=True)]
            return before, [g for part in gates for g in part]

        more = [g for g in (of_ys,) if g is not None]
        rows = [*kept, *more] if mask is None else [*kept, *more, mask]
        first, gates = scan(turn, start, rows, reverse=not reverse)
        return [gates[0], *first, *of_weights(gates, kept, weights)]

    tell(Call("recurrent", (z, *states, *weights), tuple(outputs), backward=back))
    return outputs[0], outputs[1 : count + 1]


def _wide(mask: Tensor) -> Tensor:
    return fn.reshape(mask, (mask.shape[0], 1))


def _of_all(rows: Tensor, gates: Tensor) -> Tensor:
    """The gradient of a kernel: the sum over steps and examples of row times gates."""
    if state.places is not None:  # examples are a free size, and steps times that is none
        return fn.sum(fn.matmul(rows, gates, transpose_a=True), 0)
    a, b = (fn.reshape(x, (x.shape[0] * x.shape[1], x.shape[2])) for x in (rows, gates))
    return fn.matmul(a, b, transpose_a=True)


# --- SimpleRNN: kept are h before, h ------------------------------------------------------------


def _simple(z: Tensor, states: list[Tensor], weights: Sequence[Tensor]) -> Any:
    h = fn.tanh(z + fn.matmul(states[0], weights[0]))
    return [h], [h]


def _simple_back(after: list[Tensor], kept: list[Tensor], turned: Sequence[Tensor]) -> Any:
    h = kept[1]
    dz = after[0] * (1.0 - h * h)
    return [fn.matmul(dz, turned[0])], [dz]


def _of_kernel(gates: list[Tensor], kept: list[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    return [_of_all(kept[0], gates[-1])]


# --- LSTM: kept are h before, c before, i, f, g, o, tanh(c) ---------------------------------------


def _lstm(z: Tensor, states: list[Tensor], weights: Sequence[Tensor]) -> Any:
    h, c = states
    i, f, g, o = blocks(z + fn.matmul(h, weights[0]), 4)
    i, f, g, o = fn.sigmoid(i), fn.sigmoid(f), fn.tanh(g), fn.sigmoid(o)
    after = f * c + i * g
    t = fn.tanh(after)
    return [o * t, after], [i, f, g, o, t]


def _lstm_back(after: list[Tensor], kept: list[Tensor], turned: Sequence[Tensor]) -> Any:
    _, c, i, f, g, o, t = kept
    dh, dc = after
    dc = dc + dh * o * (1.0 - t * t)
    dz = fn.concat(
        [
            dc * g * i * (1.0 - i),
            dc * c * f * (1.0 - f),
            dc * i * (1.0 - g * g),
            dh * t * o * (1.0 - o),
        ],
        axis=-1,
    )
    return [fn.matmul(dz, turned[0]), dc * f], [dz]


# --- GRU, reset after: kept are h before, z, r, g, h recurrent_g + bias ---------------------------


def _gru(z: Tensor, states: list[Tensor], weights: Sequence[Tensor]) -> Any:
    h = states[0]
    inner = fn.matmul(h, weights[0])
    inner = inner + weights[1] if len(weights) > 1 else inner
    (xz, xr, xg), (hz, hr, hg) = blocks(z, 3), blocks(inner, 3)
    u, r = fn.sigmoid(xz + hz), fn.sigmoid(xr + hr)
    g = fn.tanh(xg + r * hg)
    return [u * h + (1.0 - u) * g], [u, r, g, hg]


def _gru_back(after: list[Tensor], kept: list[Tensor], turned: Sequence[Tensor]) -> Any:
    h, u, r, g, hg = kept
    dh = after[0]
    du = dh * (h - g) * u * (1.0 - u)
    dg = dh * (1.0 - u) * (1.0 - g * g)
    dr = dg * hg * r * (1.0 - r)
    inner = fn.concat([du, dr, dg * r], axis=-1)
    before = dh * u + fn.matmul(inner, turned[0])
    return [before], [fn.concat([du, dr, dg], axis=-1)], [inner]


def _of_kernel_and_bias(
    gates: list[Tensor], kept: list[Tensor], weights: Sequence[Tensor]
) -> list[Tensor]:
    made = _of_kernel(gates, kept, weights)
    return [*made, fn.sum(gates[1], (0, 1))] if len(weights) > 1 else made


# --- GRU, reset before: kept are h before, z, r, g; the kernel of z and r, and that of g ----------


def _before(z: Tensor, states: list[Tensor], weights: Sequence[Tensor]) -> Any:
    h = states[0]
    xz, xr, xg = blocks(z, 3)
    hz, hr = blocks(fn.matmul(h, weights[0]), 2)
    u, r = fn.sigmoid(xz + hz), fn.sigmoid(xr + hr)
    g = fn.tanh(xg + fn.matmul(r * h, weights[1]))
    return [u * h + (1.0 - u) * g], [u, r, g]


def _before_back(after: list[Tensor], kept: list[Tensor], turned: Sequence[Tensor]) -> Any:
    h, u, r, g = kept
    dh = after[0]
    du = dh * (h - g) * u * (1.0 - u)
    dg = dh * (1.0 - u) * (1.0 - g * g)
    reset = fn.matmul(dg, turned[1])
    dr = reset * h * r * (1.0 - r)
    before = dh * u + reset * r + fn.matmul(fn.concat([du, dr], axis=-1), turned[0])
    return [before], [fn.concat([du, dr, dg], axis=-1)]


def _of_both_kernels(
    gates: list[Tensor], kept: list[Tensor], weights: Sequence[Tensor]
) -> list[Tensor]:
    h, r, dz = kept[0], kept[2], gates[0]
    two = 2 * h.shape[-1]
    return [_of_all(h, dz[:, :, :two]), _of_all(r * h, dz[:, :, two:])]

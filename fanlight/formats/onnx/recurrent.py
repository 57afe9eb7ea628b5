"""Importers of RNN, GRU and LSTM, as loops over steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor
from fanlight.formats.onnx.call import Call, importer
from fanlight.formats.onnx.shaping import cut
from fanlight.tensor import functions as fn
from fanlight.tensor.control import scan
from fanlight.tensor.core import Tensor as T

Activation = Callable[[Any], Any]


def _activation(call: Call, name: str, alpha: float | None, beta: float | None) -> Activation:
    def of(default: float, value: float | None) -> float:
        return default if value is None else value

    from fanlight.tensor.core import apply

    table: dict[str, Activation] = {
        "sigmoid": lambda x: apply("sigmoid", x),
        "tanh": lambda x: apply("tanh", x),
        "relu": lambda x: apply("relu", x),
        "softsign": lambda x: apply("softsign", x),
        "softplus": lambda x: apply("softplus", x),
        "affine": lambda x: x * of(1.0, alpha) + of(0.0, beta),
        "leakyrelu": lambda x: apply("leaky_relu", x, alpha=of(0.01, alpha)),
        "thresholdedrelu": lambda x: fn.where(x > of(1.0, alpha), x, 0.0),
        "scaledtanh": lambda x: apply("tanh", x * of(1.0, beta)) * of(1.0, alpha),
        "hardsigmoid": lambda x: apply("hard_sigmoid", x, alpha=of(0.2, alpha), beta=of(0.5, beta)),
        "elu": lambda x: apply("elu", x, alpha=of(1.0, alpha)),
    }
    found = table.get(name.lower())
    if found is None:
        raise call.refuse("unknown activation", expected=", ".join(table), received=name[:40])
    return found


def _activations(call: Call, defaults: Sequence[str], directions: int) -> list[list[Activation]]:
    names = call.items("activations") or list(defaults) * directions
    if len(names) != len(defaults) * directions:
        raise call.refuse("its activations do not fit", received=names[:8])
    alphas, betas = (
        list(call.items("activation_alpha") or []),
        list(call.items("activation_beta") or []),
    )
    made = []
    for name in names:
        # Only activations with an alpha or a beta have an entry in these lists.
        takes_alpha = name.lower() in (
            "affine", "leakyrelu", "thresholdedrelu", "scaledtanh", "hardsigmoid", "elu"
        )  # fmt: skip
        takes_beta = name.lower() in ("affine", "scaledtanh", "hardsigmoid")
        alpha = alphas.pop(0) if takes_alpha and alphas else None
        beta = betas.pop(0) if takes_beta and betas else None
        made.append(_activation(call, name, alpha, beta))
    per = len(defaults)
    return [made[i * per : (i + 1) * per] for i in range(directions)]


def _part(call: Call, index: int, direction: int, directions: int, axis: int = 0) -> Tensor | None:
    """What an input has for one direction; `axis` is that of its directions."""
    if not call.has(index):
        return None
    x = call.f32(index)
    if len(x.shape) <= axis or x.shape[axis] != directions:
        raise call.refuse(
            f"input {index} does not fit its directions",
            expected=f"{directions} as dim {axis}",
            received=list(x.shape),
        )
    one = cut(call, x, axis, [1] * directions)[direction]
    rest = [size for a, size in enumerate(x.shape) if a != axis]
    return call.reshape(one, rest, f"input{index}_{direction}")


Step = Callable[[Any, list[Any]], list[Any]]


def _layer(
    call: Call, gates: int, states: int, make: Callable[..., Step], defaults: Sequence[str]
) -> tuple[Tensor, ...]:
    """All directions of one layer.

    Args:
        make: (activations, R, Rb, peepholes) -> the step from gates of x and states to states.
    """
    x = call.f32(0)
    if len(x.shape) != 3:
        raise call.refuse(
            "its input is no series", expected="[steps, batch, numbers]", received=list(x.shape)
        )
    batch_first = call.flag("layout")
    x = call.transpose(x, (1, 0, 2), "steps") if batch_first else x
    steps, batch, _ = x.shape
    way = call.text("direction", "forward")
    if way not in ("forward", "reverse", "bidirectional"):
        raise call.refuse("unknown direction", received=way[:40])
    directions = 2 if way == "bidirectional" else 1
    hidden = call.whole("hidden_size") or call.x(2).shape[-1]
    call.x(1)
    if tuple(call.x(2).shape) != (directions, gates * hidden, hidden):
        raise call.refuse(
            "its weights do not fit",
            expected=[directions, gates * hidden, hidden],
            received=list(call.x(2).shape),
        )
    lengths = call.maybe(4)
    chosen = _activations(call, defaults, directions)
    rows, lasts = [], []
    for d in range(directions):
        reverse = way == "reverse" or d == 1
        made = _direction(
            call, x, (d, directions), reverse, gates, states, hidden, make, chosen[d], lengths
        )
        rows.append(call.reshape(made[0], (steps, 1, batch, hidden), f"rows{d}"))
        lasts.append([call.reshape(s, (1, batch, hidden), f"last{d}") for s in made[1:]])
    if directions == 2:
        y = call.op("concat", *rows, part="Y", axis=1)
        ends = [call.op("concat", *pair, part=f"Y{i}", axis=0)
                for i, pair in enumerate(zip(*lasts, strict=True))]  # fmt: skip
    else:
        y, ends = rows[0], lasts[0]
    if batch_first:
        y = call.transpose(y, (2, 0, 1, 3), "batch_first")
        ends = [call.transpose(s, (1, 0, 2), "batch_first") for s in ends]
    return (y, *ends)


def _direction(
    call: Call, x: Tensor, way: tuple[int, int], reverse: bool, gates: int, states: int,
    hidden: int, make: Callable[..., Step], chosen: list[Activation], lengths: Tensor | None,
) -> list[Tensor]:  # fmt: skip
    steps, batch, _ = x.shape
    d = way[0]
    w, r = _part(call, 1, *way), _part(call, 2, *way)
    assert w is not None and r is not None
    bias = _part(call, 3, *way)
    wb = rb = None
    if bias is not None:
        wb, rb = cut(call, bias, 0, (gates * hidden, gates * hidden))
    begin = []
    for i in range(states):
        first = _part(call, 5 + i, *way, axis=1 if call.flag("layout") else 0)
        begin.append(first if first is not None else np.zeros((batch, hidden), np.float32))
    flat = call.reshape(x, (steps * batch, x.shape[2]), f"flat{d}")
    z = call.op("matmul", flat, w, part=f"gates{d}", transpose_b=True)
    if wb is not None:
        z = call.op("add", z, wb, part=f"gates{d}/biased")
    z = call.reshape(z, (steps, batch, gates * hidden), f"gates{d}/steps")
    peep = _part(call, 7, *way) if states == 2 else None
    extra = [t for t in (rb, peep) if t is not None]
    mask: list[Tensor] = []
    if lengths is not None:
        column = call.reshape(call.cast(lengths, "int32", "lengths"), (1, batch, 1), "lengths3")
        line = np.arange(steps, dtype=np.int32)[:, None, None]
        mask = [call.op("less", line, column, part=f"inside{d}")]

    def run(*given: T) -> Any:
        z_, r_, *rest = given
        first = list(rest[:states])
        rest = rest[states:]
        masks = rest[: len(mask)]
        rest = rest[len(mask) :]
        rb_ = rest[0] if rb is not None else None
        peep_ = rest[-1] if peep is not None else None
        step = make(chosen, r_, rb_, peep_)

        def turn(before: list[Any], row: Any) -> Any:
            new = step(row[0], before)
            shown = new[0]
            if masks:
                new = [fn.where(row[1], n, b) for n, b in zip(new, before, strict=True)]
                shown = fn.where(row[1], shown, 0.0)
            return new, shown

        last, ys = scan(turn, first, (z_, *masks), reverse=reverse)
        return (ys, *last)

    return call.function(run, z, r, *begin, *mask, *extra)


def _limited(call: Call) -> Activation:
    clip = call.real("clip")
    if clip <= 0:
        return lambda x: x
    from fanlight.tensor.core import apply

    return lambda x: apply("clip", x, lo=-clip, hi=clip)


def _blocks(x: Any, count: int) -> list[Any]:
    size = x.shape[-1] // count
    lead = x.shape[:-1]
    from fanlight.tensor.core import apply

    return [
        apply("slice", x, begin=(*[0] * len(lead), i * size), size=(*lead, size))
        for i in range(count)
    ]


def _times(h: Any, r: Any) -> Any:
    from fanlight.tensor.core import apply

    return apply("matmul", h, r, transpose_b=True)


@importer("RNN")
def rnn(call: Call) -> tuple[Tensor, ...]:
    limit = _limited(call)

    def make(chosen: list[Activation], r: Any, rb: Any, peep: Any) -> Step:
        def step(z: Any, before: list[Any]) -> list[Any]:
            total = z + _times(before[0], r)
            return [chosen[0](limit(total if rb is None else total + rb))]

        return step

    return _layer(call, 1, 1, make, ("Tanh",))


@importer("GRU")
def gru(call: Call) -> tuple[Tensor, ...]:
    """Gates in the order z, r, h."""
    limit, after = _limited(call), call.flag("linear_before_reset")

    def make(chosen: list[Activation], r: Any, rb: Any, peep: Any) -> Step:
        size = r.shape[1]
        from fanlight.tensor.core import apply

        first = apply("slice", r, begin=(0, 0), size=(2 * size, size))
        third = apply("slice", r, begin=(2 * size, 0), size=(size, size))
        biases = None if rb is None else _blocks(rb, 3)

        def step(z: Any, before: list[Any]) -> list[Any]:
            h = before[0]
            zx, rx, hx = _blocks(z, 3)
            zr = _times(h, first)
            zh, rh = _blocks(zr, 2)
            if biases is not None:
                zh, rh = zh + biases[0], rh + biases[1]
            update, reset = chosen[0](limit(zx + zh)), chosen[0](limit(rx + rh))
            if after:
                own = _times(h, third)
                own = reset * (own if biases is None else own + biases[2])
            else:
                own = _times(reset * h, third)
                own = own if biases is None else own + biases[2]
            new = chosen[1](limit(hx + own))
            return [(1.0 - update) * new + update * h]

        return step

    return _layer(call, 3, 1, make, ("Sigmoid", "Tanh"))


@importer("LSTM")
def lstm(call: Call) -> tuple[Tensor, ...]:
    """Gates in the order i, o, f, c; peepholes i, o, f."""
    limit, coupled = _limited(call), call.flag("input_forget")

    def make(chosen: list[Activation], r: Any, rb: Any, peep: Any) -> Step:
        holes = None if peep is None else _blocks(peep, 3)

        def step(z: Any, before: list[Any]) -> list[Any]:
            h, c = before
            total = z + _times(h, r)
            i, o, f, g = _blocks(total if rb is None else total + rb, 4)
            if holes is not None:
                i, f = i + holes[0] * c, f + holes[2] * c
            i = chosen[0](limit(i))
            f = 1.0 - i if coupled else chosen[0](limit(f))
            new = f * c + i * chosen[1](limit(g))
            if holes is not None:
                o = o + holes[1] * new
            return [chosen[0](limit(o)) * chosen[2](new), new]

        return step

    return _layer(call, 4, 2, make, ("Sigmoid", "Tanh", "Tanh"))

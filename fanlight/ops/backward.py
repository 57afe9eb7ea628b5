"""How gradients are written: as rules over the ops themselves, so that they differentiate again.

A rule gets a `Step`: one call of an op, and the gradients of its results. It returns the gradients
of the inputs, in their order, with None where there is none. Elementwise rows need no rule: theirs
follows from the scalar body (`pointwise`), or from `partials`, where a row can say it better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanlight.ops import scalar as sc
from fanlight.ops.derivative import derivative, times


@dataclass(frozen=True)
class NotDifferentiable:
    """Why an op has no gradient."""

    why: str


@dataclass(frozen=True)
class Step:
    """One call of an op. Values are whatever `apply` takes: they have a `shape` and a `dtype`.

    Attributes:
        op: name of the row.
        inputs, outputs: values of the call.
        grads: gradients of the outputs; None where an output has none.
        attrs: complete attributes of the call.
        wanted: whether anybody wants the gradient of each input; a rule may leave others out.
        apply: applies an op to values.
        constant: makes a value of an array.
    """

    op: str
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    grads: tuple[Any | None, ...]
    attrs: Mapping[str, Any]
    wanted: tuple[bool, ...]
    apply: Callable[..., Any]
    constant: Callable[[np.ndarray], Any]

    @property
    def g(self) -> Any:
        """The gradient of the only output."""
        return self.grads[0]

    def fused(self, body: Callable[..., sc.Expr], *values: Any) -> Any:
        """A scalar function of some values, in one op."""
        expr = body(*map(sc.arg, range(len(values))))
        return self.apply("fused", *values, body=sc.to_text(expr))

    def add(self, a: Any, b: Any) -> Any:
        """a + b, where None is nothing."""
        return b if a is None else a if b is None else self.apply("add", a, b)

    def reshape(self, x: Any, shape: Sequence[int]) -> Any:
        """x under another shape."""
        same = tuple(x.shape) == tuple(shape)
        return x if same else self.apply("reshape", x, shape=tuple(shape))

    def transpose(self, x: Any, perm: Sequence[int]) -> Any:
        """x with its dims in another order."""
        return self.apply("transpose", x, perm=tuple(perm))

    def sum_to(self, x: Any, shape: Sequence[int]) -> Any:
        """x summed over the dims along which something of `shape` was repeated."""
        lead = len(x.shape) - len(shape)
        axes = [d for d, n in enumerate(x.shape) if d < lead or (shape[d - lead] == 1 and n != 1)]
        if axes:
            x = self.apply("sum", x, axes=tuple(axes), keepdims=False)
        return self.reshape(x, shape)

    def repeat_to(self, x: Any, shape: Sequence[int], axes: Sequence[int]) -> Any:
        """x, which lacks `axes` or has them with size 1, repeated along them."""
        kept = [1 if d in axes else n for d, n in enumerate(shape)]
        return self.apply("broadcast_to", self.reshape(x, kept), shape=tuple(shape))

    def frame(self, x: Any, paddings: Sequence[tuple[int, int]]) -> Any:
        """x in a frame of zeros; negative widths cut off instead."""
        target = tuple(n + a + b for n, (a, b) in zip(x.shape, paddings, strict=True))
        gone = any(
            -low >= n or -high >= n or -low - high >= n
            for n, (low, high) in zip(x.shape, paddings, strict=True)
            if low < 0 or high < 0
        )
        if gone or 0 in target:  # nothing of x is left
            return self.constant(np.zeros(target, np.float32))
        begin = tuple(max(0, -low) for low, _ in paddings)
        size = tuple(
            n - b - max(0, -high) for n, b, (_, high) in zip(x.shape, begin, paddings, strict=True)
        )
        if size != tuple(x.shape):
            x = self.apply("slice", x, begin=begin, size=size)
        widths = tuple((max(0, low), max(0, high)) for low, high in paddings)
        return self.apply("pad", x, paddings=widths) if any(map(any, widths)) else x

    def spread(self, x: Any, axis: int, step: int) -> Any:
        """x with step - 1 zeros between neighbours along a dim."""
        if step == 1 or x.shape[axis] == 0:
            return x
        shape = tuple(x.shape)
        x = self.reshape(x, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
        widths = [(0, 0)] * len(x.shape)
        widths[axis + 1] = (0, step - 1)
        long = (*shape[:axis], shape[axis] * step, *shape[axis + 1 :])
        x = self.reshape(self.frame(x, widths), long)
        cut = [(0, 0)] * len(shape)
        cut[axis] = (0, 1 - step)
        return self.frame(x, cut)


Rule = Callable[[Step], Sequence[Any | None]]
Partials = Callable[..., Sequence[sc.Expr | None]]


def pointwise(scalar: Callable[..., sc.Expr], partials: Partials | None, step: Step) -> list[Any]:
    """The rule of elementwise ops: the gradient times the derivative of the body, per element.

    Args:
        partials: called with the arguments and the result of the op; default: derived from the
            body. A partial may use the result, which is exact where the body approximates.
    """
    inputs = step.inputs
    args = [sc.arg(i) for i in range(len(inputs))]
    y, g = sc.arg(len(inputs)), sc.arg(len(inputs) + 1)
    if partials is not None:
        found = list(partials(*args, y, **step.attrs))
    else:
        body = scalar(*args, **step.attrs)
        found = [
            derivative(body, i) if v.dtype == "float32" and step.wanted[i] else None
            for i, v in enumerate(inputs)
        ]
    grads: list[Any] = []
    for value, partial, wanted in zip(inputs, found, step.wanted, strict=True):
        if not wanted or partial is None or value.dtype != "float32" or partial is sc.const(0.0):
            grads.append(None)
            continue
        grads.append(_scaled(step, times(sc.lift(partial), g), value.shape))
    return grads


def _scaled(step: Step, body: sc.Expr, shape: Sequence[int]) -> Any:
    """A body over inputs, result and gradient, with only those that it reads."""
    values = (*step.inputs, *step.outputs, step.g)
    used = sorted({n.value for n in sc.topological(body) if n.op == "arg"})
    if used == [len(values) - 1] and body.op == "arg":
        return step.sum_to(step.g, shape)
    compact = sc.substitute(body, {old: sc.arg(new) for new, old in enumerate(used)})
    made = step.apply("fused", *(values[i] for i in used), body=sc.to_text(compact))
    return step.sum_to(made, shape)

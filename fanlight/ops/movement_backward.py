"""Gradients of the ops that move elements: every element goes back to where it came from."""

from __future__ import annotations

from typing import Any

from fanlight.ops.backward import Step


def reshape(step: Step) -> list[Any]:
    return [step.reshape(step.g, step.inputs[0].shape)]


def transpose(step: Step) -> list[Any]:
    perm = step.attrs["perm"]
    return [step.transpose(step.g, [perm.index(d) for d in range(len(perm))])]


def broadcast_to(step: Step) -> list[Any]:
    return [step.sum_to(step.g, step.inputs[0].shape)]


def take_slice(step: Step) -> list[Any]:
    parts = zip(step.attrs["begin"], step.attrs["size"], step.inputs[0].shape, strict=True)
    return [step.frame(step.g, [(b, n - b - s) for b, s, n in parts])]


def strided_slice(step: Step) -> list[Any]:
    (x,), g = step.inputs, step.g
    attrs = step.attrs
    backwards = tuple(
        d for d, (s, n) in enumerate(zip(attrs["strides"], g.shape, strict=True)) if s < 0 and n
    )
    if backwards:
        g = step.apply("reverse", g, axes=backwards)
    paddings = []
    for d, (begin, stride) in enumerate(zip(attrs["begin"], attrs["strides"], strict=True)):
        taken, size = g.shape[d], x.shape[d]
        if taken == 0:
            paddings.append((0, size))
            continue
        g = step.spread(g, d, abs(stride))
        first = begin if stride > 0 else begin + stride * (taken - 1)
        paddings.append((first, size - first - g.shape[d]))
    return [step.frame(g, paddings)]


def reverse(step: Step) -> list[Any]:
    return [step.apply("reverse", step.g, axes=step.attrs["axes"])]


def pad(step: Step) -> list[Any]:
    return [step.frame(step.g, [(-low, -high) for low, high in step.attrs["paddings"]])]


def mirror_pad(step: Step) -> list[Any]:
    """The frame is folded back, dim after dim."""
    g, skip = step.g, 1 if step.attrs["mode"] == "reflect" else 0
    for d, (low, high) in enumerate(step.attrs["paddings"]):
        size = g.shape[d] - low - high
        middle = _cut(step, g, d, low, size)
        if low:
            folded = step.apply("reverse", _cut(step, g, d, 0, low), axes=(d,))
            middle = step.add(middle, _put(step, folded, d, skip, size))
        if high:
            folded = step.apply("reverse", _cut(step, g, d, low + size, high), axes=(d,))
            middle = step.add(middle, _put(step, folded, d, size - skip - high, size))
        g = middle
    return [g]


def _cut(step: Step, x: Any, axis: int, begin: int, size: int) -> Any:
    widths = [(0, 0)] * len(x.shape)
    widths[axis] = (-begin, begin + size - x.shape[axis])
    return step.frame(x, widths)


def _put(step: Step, x: Any, axis: int, begin: int, size: int) -> Any:
    widths = [(0, 0)] * len(x.shape)
    widths[axis] = (begin, size - begin - x.shape[axis])
    return step.frame(x, widths)


def tile(step: Step) -> list[Any]:
    (x,), multiples = step.inputs, step.attrs["multiples"]
    split = [n for pair in zip(multiples, x.shape, strict=True) for n in pair]
    axes = tuple(range(0, len(split), 2))
    return [step.apply("sum", step.reshape(step.g, split), axes=axes, keepdims=False)]


def concat(step: Step) -> list[Any]:
    axis = step.attrs["axis"] % len(step.g.shape)
    grads, begin = [], 0
    for x in step.inputs:
        grads.append(_cut(step, step.g, axis, begin, x.shape[axis]))
        begin += x.shape[axis]
    return grads


def depth_to_space(step: Step) -> list[Any]:
    return [step.apply("space_to_depth", step.g, block=step.attrs["block"])]


def space_to_depth(step: Step) -> list[Any]:
    return [step.apply("depth_to_space", step.g, block=step.attrs["block"])]


def space_to_batch(step: Step) -> list[Any]:
    attrs = step.attrs
    return [step.apply("batch_to_space", step.g, block=attrs["block"], crops=attrs["paddings"])]


def batch_to_space(step: Step) -> list[Any]:
    attrs = step.attrs
    return [step.apply("space_to_batch", step.g, block=attrs["block"], paddings=attrs["crops"])]

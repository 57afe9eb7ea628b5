"""Gradients of gathering and scattering: each is the transpose of the other."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from fanlight.ops import scalar as sc
from fanlight.ops.backward import Step


def gather_nd(step: Step) -> list[Any]:
    """What was taken goes back to where it was, and adds up there."""
    x, indices = step.inputs
    if step.attrs["outside"] == "clip":
        indices = _clipped(step, indices, x.shape)
    return [step.apply("scatter_nd", indices, step.g, shape=tuple(x.shape)), None]


def _clipped(step: Step, indices: Any, shape: tuple[int, ...]) -> Any:
    """Tuples of indices, clipped into the dims that they count."""
    sizes = np.array(shape[: indices.shape[-1]], np.int32)
    last = step.constant(np.maximum(sizes - 1, 0).astype(np.int32))
    above = step.apply("maximum", indices, step.constant(np.array(0, np.int32)))
    return step.apply("minimum", above, last)


def gather(step: Step) -> list[Any]:
    """As of `gather_nd`, after the dim that is counted has come to the front.

    No dims are merged on the way, so that each may be a symbol.
    """
    (x, indices), g = step.inputs, step.g
    axis, rank, count = step.attrs["axis"] % len(x.shape), len(x.shape), len(indices.shape)
    before = tuple(range(axis))
    if before:
        taken = range(axis, axis + count)
        g = step.transpose(g, [*taken, *before, *range(axis + count, len(g.shape))])
    places = step.apply("clip", indices, lo=0, hi=max(0, x.shape[axis] - 1))
    if count > 5:  # no room for one more dim
        places, g = (
            step.reshape(places, (prod(indices.shape),)),
            step.reshape(g, (prod(indices.shape),)),
        )
    places = step.reshape(places, (*places.shape, 1))
    shape = (x.shape[axis], *x.shape[:axis], *x.shape[axis + 1 :])
    total = step.apply("scatter_nd", places, g, shape=shape)
    if before:
        total = step.transpose(total, [*range(1, axis + 1), 0, *range(axis + 1, rank)])
    return [total, None]


def along_last(step: Step, x: Any, places: Any, g: Any) -> Any:
    """Gradients of elements that were taken from the last dim of x, at int32 places."""
    size, count = x.shape[-1], places.shape[-1]
    rows = prod(x.shape[:-1])
    flat = step.reshape(places, (rows, count))
    if rows != 1:
        first = step.constant(np.arange(rows, dtype=np.int32)[:, None] * np.int32(size))
        flat = step.apply("add", flat, first)
    flat = step.reshape(flat, (rows * count, 1))
    total = step.apply("scatter_nd", flat, step.reshape(g, (rows * count,)), shape=(rows * size,))
    return step.reshape(total, x.shape)


# --- scatter_nd -----------------------------------------------------------------------------------


def scatter_nd(step: Step) -> list[Any]:
    """After the updates, and after x if there is one."""
    rule = {"add": _added, "update": _updated, "mul": _multiplied}.get(step.attrs["mode"], _extreme)
    after_updates, after_x = rule(step)
    return [None, after_updates, after_x][: len(step.inputs)]


def _at(step: Step, x: Any) -> Any:
    """What lies at the indices; zeros for those outside."""
    return step.apply("gather_nd", x, step.inputs[0], outside="zero")


def _into(step: Step, updates: Any, mode: str, value: float = 0) -> Any:
    """Something of the updates' shape, scattered by itself."""
    shape = tuple(step.outputs[0].shape)
    return step.apply("scatter_nd", step.inputs[0], updates, shape=shape, mode=mode, value=value)


def _added(step: Step) -> tuple[Any, Any]:
    return _at(step, step.g), step.g


def _updated(step: Step) -> tuple[Any, Any]:
    """x counts where nothing went, and of several updates for one place the last."""
    indices = step.inputs[0]
    depth = indices.shape[-1]
    shape = tuple(step.outputs[0].shape)
    count = prod(indices.shape[:-1])
    turns = step.constant(np.arange(1, count + 1, dtype=np.int32).reshape(indices.shape[:-1]))
    last = step.apply("scatter_nd", indices, turns, shape=shape[:depth], mode="max")
    ours = step.apply("equal", step.apply("gather_nd", last, indices, outside="zero"), turns)
    ours = step.reshape(ours, (*indices.shape[:-1], *[1] * (len(shape) - depth)))
    zero = step.constant(np.array(0, np.float32))
    # Chosen and not multiplied: 0 times infinity would be NaN.
    after_updates = step.apply("select", ours, _at(step, step.g), zero)
    if len(step.inputs) < 3:
        return after_updates, None
    free = step.apply("equal", last, step.constant(np.array(0, np.int32)))
    free = step.reshape(free, (*shape[:depth], *[1] * (len(shape) - depth)))
    return after_updates, step.apply("select", free, step.g, zero)


def _extreme(step: Step) -> tuple[Any, Any]:
    """Shared evenly by all that are the extreme one, as `max` over dims has it."""
    updates, (y,), g = step.inputs[1], step.outputs, step.g
    equal = lambda a, b: sc.where(sc.equal(a, b), 1.0, 0.0)  # noqa: E731
    ours = step.fused(equal, updates, _at(step, y))
    many = _into(step, ours, "add")
    if len(step.inputs) > 2:
        theirs = step.fused(equal, step.inputs[2], y)
        many = step.apply("add", many, theirs)
    share = step.fused(lambda g, n: sc.where(n > 0.0, g / n, 0.0), g, many)
    chosen = lambda c, s: sc.where(c > 0.0, s, 0.0)  # noqa: E731
    after_updates = step.fused(chosen, ours, _at(step, share))
    return after_updates, step.fused(chosen, theirs, share) if len(step.inputs) > 2 else None


def _multiplied(step: Step) -> tuple[Any, Any]:
    """Of each factor the product of the others of its place, which no factor of 0 disturbs."""
    indices, updates, *rest = step.inputs
    product = _into(step, updates, "mul", 1)
    # The gradient of the product of the updates alone.
    g = step.apply("mul", step.g, rest[0]) if rest else step.g
    if not rest and step.attrs["value"] != 1:
        g = step.fused(lambda g: g * float(step.attrs["value"]), g)
    after_x = step.apply("mul", step.g, product) if rest else None
    if not step.wanted[1]:
        return None, after_x
    others = _others(step, _places(step, indices), updates)
    return step.apply("mul", others, _at(step, g)), after_x


def _places(step: Step, indices: Any) -> Any:
    """int32 [n]: tuples of indices in one number each; -1 for those outside."""
    depth, count = indices.shape[-1], prod(indices.shape[:-1])
    if not depth:
        return step.constant(np.zeros(count, np.int32))
    shape = tuple(step.outputs[0].shape)[:depth]
    steps = np.array([prod(shape[d + 1 :]) for d in range(depth)], np.int32)
    inside = _clipped(step, indices, shape)
    scaled = step.apply("mul", inside, step.constant(steps))
    flat = step.apply("sum", scaled, axes=(-1,), keepdims=False)
    same = step.apply("all", step.apply("equal", inside, indices), axes=(-1,), keepdims=False)
    return step.reshape(
        step.apply("select", same, flat, step.constant(np.array(-1, np.int32))), (count,)
    )


def _others(step: Step, places: Any, updates: Any) -> Any:
    """Per update the product of the other updates of the same place, by doubling the reach."""
    count, shape = places.shape[0], tuple(updates.shape)
    if not prod(shape):
        return updates
    width = prod(shape) // max(1, count)
    places, order = step.apply("sort", places)
    column = step.reshape(order, (count, 1))
    x = step.apply("gather_nd", step.reshape(updates, (count, width)), column)
    behind = [step.apply("reverse", v, axes=(0,)) for v in (places, x)]
    before, after = _before(step, places, x), _before(step, *behind)
    found = step.apply("mul", before, step.apply("reverse", after, axes=(0,)))
    found = step.apply("scatter_nd", column, found, shape=(count, width))
    return step.reshape(found, shape)


def _before(step: Step, places: Any, x: Any) -> Any:
    """[n, m]: the product of all before each that have its place; the places are sorted."""
    count = x.shape[0]

    def moved(v: Any, by: int, value: float) -> Any:
        size = (count - by, *v.shape[1:])
        kept = step.apply("slice", v, begin=(0,) * len(size), size=size)
        widths = ((by, 0), *[(0, 0)] * (len(size) - 1))
        return step.apply("pad", kept, paddings=widths, value=value)

    one = step.constant(np.array(1, np.float32))

    def same(v: Any, by: int) -> Any:
        near = step.apply("equal", places, moved(places, by, -1))
        return step.apply("select", step.reshape(near, (count, 1)), moved(v, by, 1), one)

    x, by = same(x, 1), 1
    while by < count:
        x, by = step.apply("mul", x, same(x, by)), 2 * by
    return x

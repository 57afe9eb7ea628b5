"""Importers of operators that take elements by where they lie in memory."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from fanlight.formats.emitter import Tensor, check_size
from fanlight.formats.torch import memory
from fanlight.formats.torch.call import Call, importer
from fanlight.formats.torch.shaping import cut
from fanlight.ops.types import TensorType

_PLACES = 1 << 26


def _places(call: Call) -> np.ndarray:
    """Where in the memory of the argument each element of the result is, from its first one on."""
    size, stride = call.ints("size"), call.ints("stride")
    if len(size) != len(stride) or min((*size, *stride), default=0) < 0 or len(size) > 16:
        raise call.refuse("size and stride do not fit", received=[*size[:8], *stride[:8]])
    check_size(TensorType(size, "int32"), call.where, _PLACES)
    own = (call.given.offset if call.given else None) or 0
    begin = (call.whole("storage_offset") if call.has("storage_offset") else own) - own
    whole = math.prod(call.x().shape)
    last = begin + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if math.prod(size) and not 0 <= begin <= last < whole:
        raise call.refuse(
            "it reaches memory beside its argument, which is a part of another tensor",
            expected=f"places from 0 to {whole - 1}",
            received=[begin, last],
        )
    found = np.full(size, begin, np.int32)
    for axis, (n, s) in enumerate(zip(size, stride, strict=True)):
        steps = np.arange(n, dtype=np.int32) * np.int32(s if n > 1 else 0)
        found += steps.reshape([n if a == axis else 1 for a in range(len(size))])
    return found


def _in_order(call: Call) -> Tensor:
    """The elements of the argument as they lie in memory: [n]."""
    x = call.x()
    sizes, told = tuple(x.shape), call.given.strides if call.given else None
    strides = [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]
    if told is not None and len(told) == len(sizes) and all(isinstance(s, int) for s in told):
        strides = [int(s) for s in told]
    perm = sorted(range(len(sizes)), key=lambda a: (-strides[a], sizes[a] == 1))
    step = 1
    for axis in reversed(perm):
        if sizes[axis] != 1 and strides[axis] != step:
            raise call.refuse(
                "its argument does not lie in one block of memory",
                expected="x.contiguous() before it",
                received=f"strides {strides} of {list(sizes)}",
            )
        step *= sizes[axis]
    turned = call.em.transpose(x, perm, call.name("in_memory"))
    return call.em.reshape(turned, (math.prod(sizes),), call.name("memory"))


@importer("as_strided", "as_strided_copy")
def as_strided(call: Call) -> Tensor:
    """Elements by steps in memory: a part of it where they lie side by side, else by place."""
    flat, places = _in_order(call), _places(call)
    size = places.size
    if size and np.array_equal(places.reshape(-1), np.arange(size) + places.flat[0]):
        part = cut(call, flat, 0, int(places.flat[0]), size, "part")
        return call.em.reshape(part, places.shape, call.name())
    return call.op("gather", flat, places, axis=0)


@importer("as_strided_scatter")
def as_strided_scatter(call: Call) -> Tensor:
    """The argument with other numbers at those places."""
    x, src = call.x(), call.x("src")
    node = replace(call.node, target="aten.as_strided.default")
    return memory.indexed(replace(call, node=node), x, src)

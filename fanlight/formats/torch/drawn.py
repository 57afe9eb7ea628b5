"""Importers of operators that draw: a model computes, so its numbers are drawn once, at import."""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor, check_size, dtype_of
from fanlight.formats.torch.call import Call, importer
from fanlight.ops.types import TensorType

_MOST_BYTES = 1 << 26


def _draw(call: Call, shape: tuple[int, ...]) -> np.random.Generator:
    """What draws for a node: it is seeded by its name."""
    if min(shape, default=0) < 0:
        raise call.refuse("the size is none", received=list(shape[:8]))
    check_size(TensorType(shape, "float32"), call.where, _MOST_BYTES)
    call.warnings.append(
        f"{call.node.where}: its numbers are drawn once, when the model is read. Make them an "
        "input of the module where each run is to have others."
    )
    return np.random.default_rng(zlib.crc32(call.node.name.encode()))


def _shape(call: Call) -> tuple[int, ...]:
    return call.ints("size") if call.has("size") else tuple(call.x().shape)


def _known(call: Call, made: np.ndarray, kind: str = "float32") -> Tensor:
    array = made.astype(np.float32 if kind == "float32" else np.int32)
    return call.em.named(array, call.name(), made=True)


@importer("rand", "rand_like")
def rand(call: Call) -> Tensor:
    shape = _shape(call)
    return _known(call, _draw(call, shape).random(shape, np.float32))


@importer("randn", "randn_like")
def randn(call: Call) -> Tensor:
    shape = _shape(call)
    return _known(call, _draw(call, shape).standard_normal(shape, np.float32))


@importer("randint", "randint_like")
def randint(call: Call) -> Tensor:
    shape, low, high = _shape(call), call.whole("low", 0), call.whole("high")
    if not -(2**31) <= low < high <= 2**31:
        raise call.refuse("there is no number to draw", received=[low, high])
    return _known(call, _draw(call, shape).integers(low, high, shape), call.dtype or "int32")


@importer("randperm")
def randperm(call: Call) -> Tensor:
    count = call.whole("n")
    return _known(call, _draw(call, (count,)).permutation(count), call.dtype or "int32")


@importer("bernoulli")
def bernoulli(call: Call) -> Tensor:
    """1 as often as the numbers say, or as p says."""
    x = call.x()
    chance = call.x("p", "float32") if call.has("p") else call.cast(x, "float32", "chance")
    noise = _known(call, _draw(call, tuple(x.shape)).random(tuple(x.shape), np.float32))
    less = call.op("less", noise, chance, part="less")
    return call.cast(less, dtype_of(x), "ones")


@importer("normal", "normal_functional")
def normal(call: Call) -> Tensor:
    """mean + std * noise; either may be a tensor."""
    mean, std = (
        call.x(n, "float32") if call.has(n) else v for n, v in (("mean", 0.0), ("std", 1.0))
    )
    parts: list[Any] = [call.em.const(t) if isinstance(t, float) else t for t in (mean, std)]
    shape = np.broadcast_shapes(*(tuple(p.shape) for p in parts))
    if call.has("size") or "functional" in call.node.target:
        shape = _shape(call)
    noise = _known(call, _draw(call, shape).standard_normal(shape, np.float32))
    return call.op("add", call.op("mul", noise, parts[1], part="wide"), parts[0])


@importer("uniform")
def uniform(call: Call) -> Tensor:
    shape, low, high = _shape(call), call.real("from", 0.0), call.real("to", 1.0)
    if not math.isfinite(high - low):
        raise call.refuse("there is no number to draw", received=[low, high])
    return _known(call, low + (high - low) * _draw(call, shape).random(shape, np.float32))

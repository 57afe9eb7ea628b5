"""Tensors of a model whose whole numbers stand for real ones.

A quantised activation travels as uint8: the q of a uint8 tensor, q + 128 of an int8 one, so that
the rows of fanlight/ops/quantized.py (docs/adr/0005-int8.md) take it as it is, with 255 as the
greatest byte. An op without such a row gets what the bytes stand for and computes in float32; its
result goes back to the grid of the tensor. Either way every tensor holds what the file's integers
would stand for, up to one step where a sum lies on the border of two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.emitter import Emitter, Tensor
from fanlight.formats.tflite.model import Grid, TensorInfo

# What is added to an element to make it a byte
_SHIFT = {"uint8": 0, "int8": 128}
# Types of activations on a grid; int32 ones are sums, which have a scale but no grid.
ON_GRID = ("uint8", "int8", "int16")
_PIECE = 1 << 20  # elements that are worked on at a time


@dataclass(frozen=True)
class Scale:
    """One scale and zero point for a whole tensor of bytes."""

    scale: float
    zero: int

    def attrs(self, suffix: str = "") -> dict[str, float | int]:
        return {f"scale{suffix}": self.scale, f"zero{suffix}": self.zero}


def scale_of(info: TensorInfo) -> Scale | None:
    """How bytes stand for the tensor's real numbers; None if it does not travel as bytes.

    Raises:
        FanlightError: E-FORMAT-012 for a scale per slice or a zero point that is no element.
    """
    if info.grid is None or info.type not in _SHIFT:
        return None
    _check(info, info.grid)
    return Scale(float(info.grid.scale[0]), int(info.grid.zero[0]) + _SHIFT[info.type])


def _check(info: TensorInfo, grid: Grid) -> None:
    low, high = {"uint8": (0, 255), "int8": (-128, 127)}.get(info.type, (-(1 << 15), (1 << 15) - 1))
    scale, zero = float(grid.scale[0]), int(grid.zero[0])
    if grid.scale.size == 1 and 1e-37 <= scale <= 1e37 and low <= zero <= high:
        return
    raise FanlightError(
        "E-FORMAT-012",
        "an activation is quantised in a way that is not supported.",
        where=info.where,
        expected=f"one scale of 1e-37 to 1e37, and a zero point of {low} to {high}",
        received=f"{grid.scale.size} scales, the first {scale}, zero point {zero}",
        next="convert the model again with TensorFlow's converter.",
    )


def real_constant(array: np.ndarray, grid: Grid) -> np.ndarray:
    """What the stored whole numbers stand for, float32."""
    shape = [1] * array.ndim
    if grid.scale.size > 1:
        shape[grid.axis] = grid.scale.size
    zero = grid.zero.reshape(shape if grid.zero.size > 1 else [1] * array.ndim)
    scale = grid.scale.astype(np.float64).reshape(
        shape if grid.scale.size > 1 else [1] * len(shape)
    )
    made = np.empty(array.shape, np.float32)
    if not array.ndim:
        made[()] = (array.astype(np.float64) - zero) * scale
        return made
    # In float64, so that only the result is rounded, once; some rows at a time, for it is large.
    rows = max(1, _PIECE // max(array[:1].size, 1))
    for at in range(0, len(array), rows):
        part = slice(at, at + rows)
        own = [v[part] if len(v) > 1 else v for v in (zero, scale)]
        made[part] = (array[part].astype(np.float64) - own[0]) * own[1]
    return made


def to_byte(em: Emitter, x: Tensor, scale: Scale, name: str) -> Tensor:
    """float32 -> the bytes that stand for it."""
    return em.op("quantize", x, name=f"{name}/bytes", scale=scale.scale, zero=scale.zero, high=255)


def to_real(em: Emitter, x: Tensor, scale: Scale, name: str) -> Tensor:
    """Bytes -> what they stand for, float32."""
    return em.op("dequantize", x, name=f"{name}/real", scale=scale.scale, zero=scale.zero)


def onto_grid(em: Emitter, x: Tensor, info: TensorInfo, name: str) -> Tensor:
    """float32 -> the nearest numbers that an int16 tensor can stand for."""
    assert info.grid is not None
    _check(info, info.grid)
    scale, zero = float(info.grid.scale[0]), int(info.grid.zero[0])
    steps = em.op("div", x, em.const(scale), name=f"{name}/steps")
    near = em.op("round", steps, name=f"{name}/round")
    low, high = float(-(1 << 15) - zero), float((1 << 15) - 1 - zero)
    held = em.op("clip", near, name=f"{name}/clip", lo=low, hi=high)
    return em.op("mul", held, em.const(scale), name=f"{name}/real")


def from_whole(em: Emitter, x: Tensor, info: TensorInfo, name: str) -> Tensor:
    """An input of the model, int32 or uint8 as the file has it -> bytes."""
    if info.type == "uint8":
        return x
    moved = em.op("add", x, em.const(_SHIFT[info.type], "int32"), name=f"{name}/shifted")
    held = em.op("clip", moved, name=f"{name}/held", lo=0, hi=255)
    return em.cast(held, "uint8", f"{name}/bytes")


def to_whole(em: Emitter, byte: Tensor, info: TensorInfo, name: str) -> Tensor:
    """Bytes -> an output of the model: uint8, or int32 for int8."""
    if info.type == "uint8":
        return byte
    wide = em.cast(byte, "int32", f"{name}/wide")
    return em.op("sub", wide, em.const(_SHIFT[info.type], "int32"), name=f"{name}/int8")


def real_of_int16(em: Emitter, x: Tensor, info: TensorInfo, name: str) -> Tensor:
    """An int16 input of the model, int32 -> what it stands for."""
    assert info.grid is not None
    _check(info, info.grid)
    wide = em.cast(x, "float32", f"{name}/float")
    if info.grid.zero[0]:
        wide = em.op("sub", wide, em.const(float(info.grid.zero[0])), name=f"{name}/centred")
    return em.op("mul", wide, em.const(float(info.grid.scale[0])), name=f"{name}/real")


def int16_of_real(em: Emitter, x: Tensor, info: TensorInfo, name: str) -> Tensor:
    """Numbers on the grid of an int16 output -> its elements, int32."""
    assert info.grid is not None
    steps = em.op("div", x, em.const(float(info.grid.scale[0])), name=f"{name}/steps")
    whole = em.cast(em.op("round", steps, name=f"{name}/round"), "int32", f"{name}/int16")
    if info.grid.zero[0]:
        whole = em.op("add", whole, em.const(int(info.grid.zero[0]), "int32"), name=f"{name}/moved")
    return whole

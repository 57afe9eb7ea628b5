"""Functions of one byte as LiteRT computes them in whole numbers: 256 results each.

Each takes the call, the grid of x and that of the result, and gives the 256 bytes of the result
before they are held to 0 .. 255; None where LiteRT computes otherwise. Sources: XNNPACK,
microparams of vcvt and vlrelu; LiteRT, reference/hard_swish.h.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fanlight.formats.tflite.call import Call
from fanlight.formats.tflite.quantization import Scale

Table = Callable[[Call, Scale, Scale], "np.ndarray | None"]
_BYTES = np.arange(256, dtype=np.int64)


def round_away(x: np.ndarray) -> np.ndarray:
    """Nearest whole numbers, halves away from zero, as C++ rounds."""
    return np.asarray(np.trunc(x + np.copysign(0.5, x)))


def _factor(x: Scale, result: Scale) -> float:
    return float(np.float32(x.scale) / np.float32(result.scale))


def _within(factor: float) -> bool:
    return 2.0**-8 <= abs(factor) <= 2.0**7


def _scaled(x: Scale, result: Scale, factors: np.ndarray) -> np.ndarray:
    """Factors of 256ths for each byte; halves up."""
    return (((_BYTES - x.zero) * factors + 128) >> 8) + result.zero


def _quantize(call: Call, x: Scale, result: Scale) -> np.ndarray | None:
    """From one grid to another of the same type."""
    factor = _factor(x, result)
    if call.cell(0).info.type != call.results[0].type or not _within(factor):
        return None
    return _scaled(x, result, np.full(256, round(256 * factor)))


def _leaky_relu(call: Call, x: Scale, result: Scale) -> np.ndarray | None:
    above = _factor(x, result)
    below = float(np.float32(above) * np.float32(call.options.get("alpha", 0.0)))
    if not _within(above) or not _within(below):
        return None
    factors = np.where(_BYTES < x.zero, round(256 * below), round(256 * above))
    return _scaled(x, result, np.asarray(factors))


def _hard_swish(call: Call, x: Scale, result: Scale) -> np.ndarray | None:
    """x times relu6(x + 3) / 6, in int16 numbers of 15 places."""
    fine = np.float32(x.scale) / np.float32(128)
    out, out_shift = _multiplier(float(fine / np.float32(result.scale)))
    gate, gate_shift = _multiplier(float(fine / np.float32(3 / 32768)))
    if out_shift > 0:
        return None
    value = (_BYTES - x.zero) * 128
    scaled = _high_product(value, out)
    part = value
    if gate_shift > 0:
        part = _held(part << (gate_shift - 1))
    part = _high_product(part, gate)
    part = _held(part << 1) if gate_shift > 0 else _shifted(part, -gate_shift)
    part = (part + (1 << 15)) >> 1
    return _shifted((part * scaled) >> 15, -out_shift) + result.zero


def _multiplier(factor: float) -> tuple[int, int]:
    """A whole number of 15 bits and a power of two that make the factor."""
    mantissa, exponent = np.frexp(factor)
    whole = int(round_away(np.asarray(mantissa * 2.0**31)))
    if whole == 1 << 31:
        whole, exponent = whole // 2, exponent + 1
    return min((whole + (1 << 15)) >> 16, (1 << 15) - 1), int(exponent)


def _held(x: np.ndarray) -> np.ndarray:
    return np.clip(x, -(1 << 15), (1 << 15) - 1)


def _high_product(a: np.ndarray, b: int) -> np.ndarray:
    """a * b / 2**15, halves away from 0."""
    product = a * b
    nudge = np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    return np.asarray(np.trunc((product + nudge) / (1 << 15))).astype(np.int64)


def _shifted(x: np.ndarray, places: int) -> np.ndarray:
    """x / 2**places, halves away from 0."""
    return round_away(x / (1 << places)).astype(np.int64)


def _elu(call: Call, x: Scale, result: Scale) -> np.ndarray:
    """In float32, rounded with the zero point that the type has: halves to even."""
    real = (_BYTES - x.zero).astype(np.float32) * np.float32(x.scale)
    made = np.where(real < 0, np.expm1(real), real).astype(np.float32)
    moved = 128 if call.results[0].type == "int8" else 0
    steps = made * (np.float32(1) / np.float32(result.scale)) + np.float32(result.zero - moved)
    return np.asarray(np.rint(steps) + moved)


# --- products of 32 bits --------------------------------------------------------------------------


def prelu_table(slopes: np.ndarray, x: Scale, slope: float, result: Scale) -> np.ndarray | None:
    """The 256 results for each of some slopes, which are whole numbers on their grid: [n, 256];
    None where the grids are too far apart.
    """
    steps, scale = _BYTES - x.zero, np.float32(x.scale)
    with np.errstate(all="ignore"):
        factors = [float(scale / np.float32(result.scale)),
                   float(scale * np.float32(slope) / np.float32(result.scale))]  # fmt: skip
    if not all(2.0**-31 <= f < 2.0**15 for f in factors):
        return None
    above = _multiplied(steps, factors[0])
    below = _multiplied(steps * slopes[:, None].astype(np.int64), factors[1])
    made = np.where(steps >= 0, above, below) + result.zero
    return np.asarray(np.clip(made, 0, 255).astype(np.uint8))


def _multiplied(x: np.ndarray, factor: float) -> np.ndarray:
    """x * factor by a whole number of 31 bits and a power of two, rounded twice as LiteRT does."""
    mantissa, exponent = np.frexp(factor)
    whole = int(round_away(np.asarray(mantissa * 2.0**31)))
    if whole == 1 << 31:
        whole, exponent = whole // 2, exponent + 1
    left, right = max(int(exponent), 0), max(-int(exponent), 0)
    product = (x << left) * whole
    nudge = np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    moved = product + nudge
    high = np.where(moved >= 0, moved >> 31, -(-moved >> 31))  # towards zero
    mask = (1 << right) - 1
    over = (high & mask) > (mask >> 1) + (high < 0)
    return np.asarray((high >> right) + over)


TABLES: dict[str, Table] = {
    "QUANTIZE": _quantize, "LEAKY_RELU": _leaky_relu, "HARD_SWISH": _hard_swish,
    "ELU": _elu,
}  # fmt: skip

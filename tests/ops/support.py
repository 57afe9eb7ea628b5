"""Calling one op of the table on arrays, as a graph does."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from fanlight import dtypes
from fanlight.ops import TensorType
from fanlight.ops import row as rows

# Shapes with empty dims and dims of 1, of up to four dims.
SHAPES = st.lists(st.sampled_from([0, 1, 1, 2, 3, 5]), max_size=4).map(tuple)
# The same without empty dims.
FULL_SHAPES = st.lists(st.sampled_from([1, 1, 2, 3, 5]), max_size=4).map(tuple)
SEEDS = st.integers(0, 2**32 - 1)


def typed(array: np.ndarray) -> TensorType:
    """The type of an array."""
    return TensorType(tuple(array.shape), str(dtypes.from_numpy(array.dtype)))


def call_all(op: str, *arrays: Any, **attrs: Any) -> list[np.ndarray]:
    """All outputs of a call; they must have the types that the rules promise."""
    given = [np.asarray(a) for a in arrays]
    full, types = rows.infer(op, [typed(a) for a in given], attrs)
    results = rows.evaluate(op, given, full)
    assert [typed(r) for r in results] == types, op
    return results


def call(op: str, *arrays: Any, **attrs: Any) -> np.ndarray:
    """The one output of a call."""
    (result,) = call_all(op, *arrays, **attrs)
    return result


def sample(seed: int, shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    """Random elements: floats around 0, integers from -20 to 20 (uint8: 0 to 255), or bools."""
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return (rng.standard_normal(shape) * 3).astype(np.float32)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    low, high = (0, 256) if dtype == "uint8" else (-20, 21)
    return rng.integers(low, high, shape).astype(dtypes.to_numpy(dtype))


def assert_close(received: np.ndarray, expected: Any, tolerance: float, what: object = "") -> None:
    """Equal NaNs and infinities; finite values within tolerance * max(1, |expected|)."""
    wanted = np.asarray(expected, np.float64)
    got = np.asarray(received, np.float64)
    assert got.shape == wanted.shape, (what, got.shape, wanted.shape)
    both_nan = np.isnan(got) & np.isnan(wanted)
    with np.errstate(all="ignore"):
        near = np.abs(got - wanted) <= tolerance * np.maximum(1, np.abs(wanted))
    bad = ~(both_nan | (got == wanted) | (near & np.isfinite(wanted)))
    if bad.any():
        place = tuple(np.argwhere(bad)[0].tolist())
        raise AssertionError(f"{what} at {place}: got {got[place]!r}, expected {wanted[place]!r}")

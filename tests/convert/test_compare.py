"""What is compared: numbers of other dtypes, and those beyond them, without a warning of NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import fanlight as fl
from fanlight import dtypes
from fanlight.convert.compare import compare

pytestmark = pytest.mark.filterwarnings("error")


def worst(expected: np.ndarray, received: np.ndarray) -> float:
    (found,) = compare([expected], [received], ["y"])
    return found.worst


def test_numbers_that_are_none_differ_from_whole_ones() -> None:
    whole = np.array([1, -(2**31), 3, 0], np.int32)
    assert worst(whole, whole.astype(np.float32)) == 0
    assert worst(whole, np.array([1, np.nan, 3, np.inf], np.float32)) == 0.5
    assert worst(whole.astype(np.uint8), np.array([1, 0, 3, np.nan], np.float32)) == 0.25
    assert worst(whole, np.array([np.nan, 1], np.float32)) == float("inf")  # another shape
    assert worst(np.ones(2, np.float32), np.array([1, 1e300])) == float("inf")


def test_numbers_beyond_float32_become_infinite() -> None:
    found = dtypes.narrow(np.array([1e300, -1e39, 3.5, np.nan]))
    np.testing.assert_array_equal(found, np.array([np.inf, -np.inf, 3.5, np.nan], np.float32))
    assert found.dtype == np.float32
    assert np.isposinf(fl.tensor(1e300).numpy())
    assert bool(fl.less(np.array([2.0, 1.0], np.float32), 1e39).numpy().all())

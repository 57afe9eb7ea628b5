"""What the tests of the array API share: tensors to draw, and comparison with NumPy."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fanlight import Tensor

DTYPES = ("bool", "uint8", "int32", "float32", "complex64")
INTEGERS = ("uint8", "int32")
REALS = ("uint8", "int32", "float32")
FLOATS = ("float32", "complex64")
NUMBERS = ("uint8", "int32", "float32", "complex64")
BASE = {"bool": "?", "uint8": "u1", "int32": "i4", "float32": "f4", "complex64": "c8"}
SPECIAL = (0.0, -0.0, 1.0, -1.0, float("nan"), float("inf"), float("-inf"), 0.5, -2.0, 3.0)

# Comparisons made, by the function: printed at the end of a run with -s.
COUNTS: Counter[str] = Counter()

# More of them, for a longer look: FANLIGHT_EXAMPLES=200 pytest tests/array_api
quick = settings(
    max_examples=int(os.environ.get("FANLIGHT_EXAMPLES", "8")),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
filled = hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=4)
rows = hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)


def elements(dtype: str, special: bool = True, low: float = -50, high: float = 50) -> Any:
    """Numbers of a dtype, moderate ones, and with `special` those that need care."""
    if dtype == "bool":
        return st.booleans()
    if dtype == "uint8":
        return st.integers(0 if low < 0 else int(low), min(255, int(high) if low >= 0 else 255))
    if dtype == "int32":
        plain = st.integers(int(low), int(high))
        edges = st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31), 255, 256])
        return st.one_of(plain, edges) if special else plain
    real = st.floats(low, high, width=32, allow_subnormal=False)
    if dtype == "complex64":
        # Zeros have no sign in complex functions (fanlight/tensor/complex_functions.py).
        return st.builds(lambda x, y: complex(x + 0.0, y + 0.0), real, real)
    return st.one_of(real, st.sampled_from(SPECIAL)) if special else real


def arrays(dtype: str, shape: Any = shapes, **options: Any) -> st.SearchStrategy[np.ndarray]:
    """NumPy arrays of a dtype."""
    return hnp.arrays(np.dtype(BASE[dtype]), shape, elements=elements(dtype, **options))


def together(
    dtypes: Sequence[str], count: int = 2, **options: Any
) -> st.SearchStrategy[list[np.ndarray]]:
    """Arrays whose shapes broadcast, each of one of the dtypes."""

    @st.composite
    def made(draw: Any) -> list[np.ndarray]:
        found = draw(
            hnp.mutually_broadcastable_shapes(num_shapes=count, max_dims=3, max_side=3, min_side=0)
        )
        return [
            draw(arrays(draw(st.sampled_from(dtypes)), shape, **options))
            for shape in found.input_shapes
        ]

    return made()


def numbers(x: Any) -> np.ndarray:
    assert isinstance(x, Tensor), type(x)
    return x.numpy()


def same(
    name: str,
    got: Any,
    want: Any,
    dtype: str | None = None,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    zeros: bool = False,
) -> None:
    """A tensor is what NumPy says: shape, dtype (that of NumPy's, if none is given) and numbers.

    Args:
        zeros: whether signs of zeros count.
    """
    COUNTS[name] += 1
    assert isinstance(got, Tensor), (name, type(got))
    want = np.asarray(want)
    assert got.shape == want.shape, (name, got.shape, want.shape)
    expected = dtype or narrow(want.dtype)
    assert got.dtype == expected, (name, got.dtype, expected)
    found = got.numpy()
    if found.dtype.kind in "fc":
        np.testing.assert_allclose(
            found, want.astype(found.dtype), rtol=rtol, atol=atol, err_msg=name
        )
        if zeros and found.dtype.kind == "f":
            zero = found == 0
            assert (np.signbit(found) == np.signbit(want))[zero].all(), (name, found, want)
    else:
        np.testing.assert_array_equal(found, want, err_msg=name)


def narrow(dtype: np.dtype) -> str:
    """The dtype that Fanlight has for one of NumPy."""
    wide = {"int64": "int32", "float64": "float32", "complex128": "complex64", "uint64": "int32"}
    return wide.get(dtype.name, dtype.name)


def promoted(*dtypes: str) -> str:
    """What dtypes promote to: the standard's table, and the wider kind where it is silent."""
    return max(dtypes, key=DTYPES.index)


def reference(call: Callable[[], Any]) -> Any:
    """What NumPy says, without its warnings."""
    with np.errstate(all="ignore"):
        return call()


def axes_of(rank: int) -> Any:
    """An axis argument of a reduction."""
    if not rank:
        return st.sampled_from([None, ()])
    one = st.integers(-rank, rank - 1)
    several = st.lists(st.integers(0, rank - 1), unique=True, max_size=rank).map(tuple)
    return st.one_of(st.none(), one, several)

"""The different elements of a tensor, in ascending order. How many there are depends on the
numbers, so these work outside of traced functions only (E-TENSOR-003; fl.unique takes a size)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fanlight.array_api.dtypes import array, flat
from fanlight.tensor import functions as fn
from fanlight.tensor.core import Tensor, apply, tensor
from fanlight.tensor.known import numbers_of


class UniqueAll(NamedTuple):
    """What `unique_all` gives."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What `unique_counts` gives."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What `unique_inverse` gives."""

    values: Tensor
    inverse_indices: Tensor


def _found(function: str, x: Any) -> UniqueAll:
    x = array(function, x)
    row = flat(x)
    numbers = numbers_of(function, "x", row, "use fl.unique(x, size=10).")
    _, first, inverse, counts = np.unique(
        numbers, return_index=True, return_inverse=True, return_counts=True, equal_nan=False
    )
    indices = tensor(first.astype(np.int32))
    # Taken, not made: gradients pass.
    values: Tensor = apply("gather", row, indices, axis=0)
    turned = fn.reshape(tensor(inverse.reshape(-1).astype(np.int32)), x.shape)
    return UniqueAll(values, indices, turned, tensor(counts.astype(np.int32)))


def unique_all(x: Any, /) -> UniqueAll:
    """The different elements, where each is first in x (which is flat for it), which of them each
    element of x is, and how often each is there. Every NaN differs from every other.
    """
    return _found("unique_all", x)


def unique_counts(x: Any, /) -> UniqueCounts:
    """The different elements, and how often each is there."""
    found = _found("unique_counts", x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: Any, /) -> UniqueInverse:
    """The different elements, and which of them each element of x is."""
    found = _found("unique_inverse", x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: Any, /) -> Tensor:
    """The different elements."""
    return _found("unique_values", x).values

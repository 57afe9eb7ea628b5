"""Numbers that follow a size: from what they are at some sizes to a formula for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Which of 1, n and 1 / n a formula has, the simplest first. Whole numbers have no 1 / n.
_FORMS = ((0,), (1,), (2,), (0, 1), (0, 2), (0, 1, 2))
_TOLERANCE = 1e-6  # float32 has rounded them


@dataclass(frozen=True)
class Formula:
    """constant + slope n + share / n, element by element; or one over that, if `inverse`."""

    constant: np.ndarray
    slope: np.ndarray
    share: np.ndarray
    inverse: bool = False


def find(sizes: Sequence[int], arrays: Sequence[np.ndarray]) -> Formula | None:
    """The formula of arrays of one shape, one for each size; None if there is no easy one."""
    whole = arrays[0].dtype.kind != "f"
    if arrays[0].dtype.kind == "b" or not all(np.isfinite(a).all() for a in arrays):
        return None
    wide = np.stack([np.asarray(a, np.float64) for a in arrays])
    found = _fitted(np.asarray(sizes, np.float64), wide, 2 if whole else 3)
    if found is None and not whole and wide.all():
        found = _fitted(np.asarray(sizes, np.float64), 1 / wide, 2)
        return None if found is None else Formula(*found, inverse=True)
    return None if found is None else Formula(*found)


def _fitted(
    n: np.ndarray, wanted: np.ndarray, terms: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    basis = np.stack([np.ones_like(n), n, 1 / n], 1)
    flat = wanted.reshape(len(n), -1)
    scale = max(float(np.abs(flat).max()), 1e-30)
    for form in _FORMS:
        if max(form) >= terms or len(form) >= len(n):
            continue
        some = basis[:, form]
        parts, *_ = np.linalg.lstsq(some, flat, rcond=None)
        # Most are whole numbers that rounding hides, and many are 0.
        near = np.round(parts)
        reach = np.abs(some).max(0)[:, None]
        parts = np.where(np.abs(parts - near) * reach <= 1e-5 * scale, near, parts)
        if (np.abs(some @ parts - flat) <= _TOLERANCE * scale).all():
            every = np.zeros((3, flat.shape[1]))
            every[list(form)] = parts
            a, b, c = every.reshape(3, *wanted.shape[1:])
            return a, b, c
    return None

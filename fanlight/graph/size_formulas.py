"""Numbers that follow sizes: from what they are at some sizes to a formula for all.

A formula is believed if it gives every number, each to a few roundings of float32 (whole numbers
exactly), at more sizes than it has terms; the simplest one that does is taken. What is easy for a
size n: `b n`, `c / n`, `a + b n`, `a + c / n`, `1 / (a + b n)`, `a + b n + c / n`; n may be the
product of up to three sizes, or the root of that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, product

import numpy as np

# Which of 1, n and 1 / n a formula has, the simplest first; and whether it is one over that.
_FORMS = (
    ((1,), False), ((2,), False), ((0, 1), False), ((0, 2), False), ((0, 1), True),
    ((0, 1, 2), False),
)  # fmt: skip
_CLOSE = 1e-6  # of each number: float32 has rounded them, perhaps several times
MOST_ELEMENTS = 1024  # of an array whose elements each follow a size
FACTORS = 3


@dataclass(frozen=True)
class Formula:
    """constant + slope n + share / n, element by element; or one over that, if `inverse`.

    n is the product of the sizes `names`, or its square root, if `root`.
    """

    names: tuple[str, ...]
    constant: np.ndarray
    slope: np.ndarray
    share: np.ndarray
    inverse: bool = False
    root: bool = False

    def at(self, sizes: Mapping[str, int]) -> np.ndarray:
        """Its numbers for some sizes, float64."""
        n = float(np.prod([sizes[name] for name in self.names])) ** (0.5 if self.root else 1)
        total = self.constant + self.slope * n + self.share / n
        return 1 / total if self.inverse else total


def find(samples: Sequence[Mapping[str, int]], arrays: Sequence[np.ndarray]) -> Formula | None:
    """The formula of arrays of one shape, one for each sample; None if there is no easy one."""
    first = arrays[0]
    if first.dtype.kind == "b" or first.size > MOST_ELEMENTS or not first.size:
        return None
    if not all(np.isfinite(a).all() for a in arrays):
        return None
    whole = first.dtype.kind != "f"
    wide = np.stack([np.asarray(a, np.float64) for a in arrays]).reshape(len(arrays), -1)
    names = sorted(samples[0])
    chosen = [c for k in range(1, FACTORS + 1) for c in combinations_with_replacement(names, k)]
    for (form, inverse), root in product(_FORMS, (False, True)):
        if whole and (2 in form or inverse or root):
            continue
        if root and (len(form) > 1 or inverse):
            continue
        for factors in chosen:
            n = np.array([np.prod([float(s[name]) for name in factors]) for s in samples])
            n = np.sqrt(n) if root else n
            # As many sizes as terms prove nothing.
            if len(set(n.tolist())) < min(len(form) + 1, len(samples)) and not _few(n, form):
                continue
            parts = _fitted(n, wide, form, inverse, whole)
            if parts is not None:
                constant, slope, share = (p.reshape(first.shape) for p in parts)
                return Formula(factors, constant, slope, share, inverse, root)
    return None


def _few(n: np.ndarray, form: Sequence[int]) -> bool:
    """Whether there are no more sizes than those of the samples: two that lie side by side."""
    distinct = sorted(set(n.tolist()))
    return len(distinct) == len(form) == 2 and distinct[1] - distinct[0] == 1


def _fitted(
    n: np.ndarray, wide: np.ndarray, form: Sequence[int], inverse: bool, whole: bool
) -> list[np.ndarray] | None:
    if inverse and not wide.all():
        return None
    wanted = 1 / wide if inverse else wide
    basis = np.stack([np.ones_like(n), n, 1 / n], 1)[:, list(form)]
    found = np.zeros((3, wide.shape[1]))
    for k, column in enumerate(wanted.T):
        # Each sample counts by its own size, as its rounding does.
        weight = 1 / _scale(column)
        parts, *_ = np.linalg.lstsq(basis * weight[:, None], column * weight, rcond=None)
        near = np.round(parts)
        if not _fits(basis @ near, column, whole):
            if whole or not _fits(basis @ parts, column, whole):
                return None
            near = parts
        found[list(form), k] = near
    return list(found)


def _fits(made: np.ndarray, wanted: np.ndarray, whole: bool) -> bool:
    if whole:
        return bool((made == wanted).all())
    return bool((np.abs(made - wanted) <= _CLOSE * _scale(wanted)).all())


def _scale(numbers: np.ndarray) -> np.ndarray:
    """How large each number is; near 0 they are differences, as exact as the largest is."""
    sizes = np.abs(numbers)
    return np.maximum(sizes, max(1e-3 * float(sizes.max()), 1e-30))

"""Weights of a model that is read from a file: no random numbers are drawn for them.

The file says how large the layers are, and may lie: they are not made larger than its weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod

from fanlight.errors import FanlightError

_LEFT: ContextVar[list[int] | None] = ContextVar("fanlight_blank", default=None)


@contextmanager
def blank(numbers: int) -> Iterator[None]:
    """Weights that are made inside are zeros, and together no more than so many numbers."""
    token = _LEFT.set([numbers])
    try:
        yield
    finally:
        _LEFT.reset(token)


def claimed(shape: Sequence[int], where: str) -> bool:
    """Whether a weight of this shape is to be zeros.

    Raises:
        FanlightError: E-LAYER-006 the file has fewer numbers than its layers need.
    """
    left = _LEFT.get()
    if left is None:
        return False
    left[0] -= prod(shape)
    if left[0] < 0:
        raise FanlightError(
            "E-LAYER-006",
            "the layers of the file need more numbers than its weights have.",
            where=where,
            expected=f"a weight of shape {list(shape)} among the stored ones",
            received="fewer bytes than that",
            next="the topology and the weights belong to different models, or the file is damaged.",
        )
    return True

"""Arguments that many layers share: sizes per dim, padding, where the channels are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight.layers.layer import Layer, argument_error, input_error
from fanlight.tensor import Tensor, cast
from fanlight.tensor import functions as fn


def whole(layer: Layer, argument: str, value: Any, least: int = 1) -> int:
    """A whole number from `least` on; E-LAYER-004."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise argument_error(layer, argument, f"a whole number from {least} on", value)
    return value


def listed(value: Any) -> Any:
    """An array of whole numbers as a list; all else as it is."""
    whole_numbers = isinstance(value, np.ndarray) and value.ndim and value.dtype.kind in "iu"
    return value.tolist() if whole_numbers else value


def per_dim(layer: Layer, argument: str, value: Any, count: int, least: int = 1) -> tuple[int, ...]:
    """A whole number for each of `count` dims, of one number or of a sequence; E-LAYER-004."""
    value = listed(value)
    found = tuple(value) if isinstance(value, list | tuple) else (value,) * count
    right = all(isinstance(n, int) and not isinstance(n, bool) and n >= least for n in found)
    if len(found) != count or not right:
        several = f", or {count} of them" if count > 1 else ""
        expected = f"a whole number from {least} on{several}"
        raise argument_error(layer, argument, expected, value)
    return found


def pairs(layer: Layer, argument: str, value: Any, count: int) -> tuple[tuple[int, int], ...]:
    """(before, after) for each of `count` dims: of one number, one per dim, or pairs."""

    def counts(n: Any) -> bool:
        return isinstance(n, int) and not isinstance(n, bool) and n >= 0

    value = listed(value)
    parts = list(value) if isinstance(value, list | tuple) else [value] * count
    if count == 1 and len(parts) == 2 and all(map(counts, parts)):
        parts = [tuple(parts)]
    found = [tuple(p) if isinstance(p, list | tuple) else (p, p) for p in parts]
    if len(found) != count or any(len(p) != 2 or not all(map(counts, p)) for p in found):
        expected = "a whole number from 0 on, or a pair of them"
        if count > 1:
            expected = f"a whole number from 0 on, {count} of them, or {count} pairs"
        raise argument_error(layer, argument, expected, value)
    return tuple((int(a), int(b)) for a, b in found)


def one_of(layer: Layer, argument: str, value: Any, known: Sequence[str]) -> str:
    """One of several names; E-LAYER-004."""
    if isinstance(value, str) and value.lower() in known:
        return value.lower()
    raise argument_error(layer, argument, ", ".join(known), value)


def data_format(layer: Layer, value: Any) -> str:
    """ "channels_last", the default, or "channels_first"."""
    known = ("channels_last", "channels_first")
    return one_of(layer, "data_format", value or "channels_last", known)


def channel_axis(format: str) -> int:
    """The dim of the channels."""
    return 1 if format == "channels_first" else -1


# --- tensors --------------------------------------------------------------------------------------


def ranked(layer: Layer, inputs: Any, rank: int, moved: bool = False) -> Tensor:
    """An input as float32 with this many dims, the batch among them; E-LAYER-001.

    Args:
        moved: the layer moves numbers only: int32 stays.
    """
    x = inputs if moved and inputs.dtype == "int32" else cast(inputs, "float32")
    if x.rank != rank:
        raise input_error(
            layer,
            f"{rank} dims, the first of which counts examples",
            x.type,
            "the first dim counts examples: x[None] is a batch of one." if x.rank < rank else None,
        )
    return x


def to_last(x: Tensor, format: str) -> Tensor:
    """[N, ..., C] of an input in this format."""
    if format == "channels_last":
        return x
    return fn.transpose(x, (0, *range(2, x.rank), 1))


def from_last(x: Tensor, format: str) -> Tensor:
    """A result [N, ..., C] in this format."""
    if format == "channels_last":
        return x
    return fn.transpose(x, (0, x.rank - 1, *range(1, x.rank - 1)))


__all__ = [
    "channel_axis",
    "data_format",
    "from_last",
    "listed",
    "one_of",
    "pairs",
    "per_dim",
    "ranked",
    "to_last",
    "whole",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

"""What the adapters of ONNX's ops share, and the table of all of them (tools/onnx_nodes.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import fanlight as fl

# The values between nodes: tensors, lists of them (sequences), or None for one that is left out.
Values = Sequence[Any]


class Skipped(Exception):
    """A case that Fanlight is not meant to express, and why."""


@dataclass(frozen=True)
class Node:
    """One node of a model: its op, its attributes and how many outputs are wanted."""

    op: str
    attrs: Mapping[str, Any]
    outputs: Sequence[str]
    opset: int
    # Runs a graph that is an attribute: (graph, inputs) -> its outputs.
    run_graph: Callable[[Any, Values], list[Any]] = field(repr=False, default=lambda g, v: [])

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or its default."""
        return self.attrs.get(name, default)


Adapter = Callable[[Node, Values], Any]


def at(x: Values, place: int) -> Any:
    """An input, or None where it is left out."""
    return x[place] if len(x) > place else None


def ints(x: Any) -> list[int]:
    """The whole numbers of a tensor that says a shape, axes or the like."""
    return [int(v) for v in np.ravel(x.numpy())]


def number(x: Any) -> Any:
    """The one number of a tensor."""
    return np.ravel(x.numpy())[0].item()


def back(y: Any, dtype: str) -> Any:
    """A result brought back to a narrower dtype of whole numbers, wrapping around."""
    if y.dtype == dtype:
        return y
    if dtype == "uint8" and y.dtype == "int32":
        return fl.cast(fl.bitwise_and(y, 255), "uint8")
    return fl.cast(y, dtype)


def moved(x: Any, source: int, to: int) -> Any:
    """x with one of its dims in another place (numpy.moveaxis)."""
    order = [d for d in range(x.rank) if d != source % x.rank]
    order.insert(to % x.rank, source % x.rank)
    return fl.transpose(x, order)


def channels_last(x: Any) -> Any:
    """[N, C, ...] -> [N, ..., C]."""
    return moved(x, 1, -1)


def channels_first(x: Any) -> Any:
    """[N, ..., C] -> [N, C, ...]."""
    return moved(x, -1, 1)


def table() -> dict[str, Adapter]:
    """All adapters, by the name of the op."""
    from tools import (
        onnx_adapters_elementwise,
        onnx_adapters_neural,
        onnx_adapters_shape,
        onnx_adapters_windows,
    )

    return {
        **onnx_adapters_elementwise.ADAPTERS,
        **onnx_adapters_neural.ADAPTERS,
        **onnx_adapters_shape.ADAPTERS,
        **onnx_adapters_windows.ADAPTERS,
    }

"""Layers that make one tensor of several: `fl.layers.Add()([a, b])`."""

from __future__ import annotations

from typing import Any

from fanlight.layers.layer import Layer
from fanlight.tensor import Tensor


class Add(Layer):
    """The sum."""

    def call(self, inputs: Any) -> Tensor:
        total: Tensor = inputs[0]
        for x in inputs[1:]:
            total = total + x
        return total

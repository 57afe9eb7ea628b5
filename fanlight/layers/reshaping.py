"""Layers that scale, pad, crop and enlarge."""

from __future__ import annotations

from typing import Any

from fanlight.layers.layer import Layer
from fanlight.tensor import Tensor, cast


class Rescaling(Layer):
    """x scale + offset."""

    fields = ("scale", "offset")
    supports_masking = True

    def __init__(self, scale: Any, offset: Any = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.scale, self.offset = scale, offset

    def call(self, inputs: Any) -> Tensor:
        return cast(inputs, "float32") * self.scale + self.offset

"""Nearest neighbours as a layer: examples that are remembered instead of learnt from."""

from __future__ import annotations

from typing import Any

import numpy as np

from fanlight.layers.layer import Layer, argument_error
from fanlight.tensor import Tensor, stop_gradient
from fanlight.tensor import functions as fn

# The cosine of places that hold nothing is below every other.
_EMPTY = -4.0


class Neighbours(Layer):
    """How much each of the remembered examples has to say of x: [n, c] -> [n, capacity].

    Those of the `k` nearest by cosine share a vote of 1, nearer ones having more of it: by
    exp(cosine / temperature). A Dense layer behind it, whose kernel [capacity, classes] has a 1
    where an example is of a class, makes a classifier by nearest neighbours of it (Cover and Hart,
    1967; votes by distance: Dudani, 1976).

    Weights: `examples` [capacity, c], rows of length 1; `used` [capacity], 1 where a row holds an
    example; `k` [1]. Training leaves them as they are; whoever remembers sets them.

    Args:
        capacity: as many examples as there may be.
        most: the greatest k that can be set.
        k: how many neighbours vote, to begin with.
        temperature: of the votes; the greater, the more equal they are.
    """

    def __init__(
        self,
        capacity: int,
        most: int = 25,
        k: int = 5,
        temperature: float = 0.05,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        whole = {"capacity": capacity, "most": most, "k": k}
        for name, value in whole.items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise argument_error(self, name, "a whole number from 1 on", value)
        if not k <= most <= capacity:
            raise argument_error(self, "most", f"from k, {k}, to capacity, {capacity}", most)
        if not isinstance(temperature, int | float) or not temperature > 0:
            raise argument_error(self, "temperature", "a number above 0", temperature)
        self.capacity, self.most, self.first = capacity, most, k
        self.temperature = float(temperature)

    def build(self, input_shape: Any) -> None:
        # They last as what is learnt does; without a gradient, no optimizer moves them.
        self.examples = self.add_weight((self.capacity, input_shape[-1]), "zeros", "examples")
        self.used = self.add_weight((self.capacity,), "zeros", "used")
        self.k = self.add_weight((1,), lambda shape, dtype: np.full(shape, self.first, dtype), "k")

    def call(self, x: Any) -> Tensor:
        length = fn.sqrt(fn.sum(x * x, axis=-1, keepdims=True))
        known = fn.transpose(stop_gradient(self.examples))
        cosine = fn.matmul(x / fn.maximum(length, 1e-12), known)
        cosine = cosine + (stop_gradient(self.used) - 1.0) * -_EMPTY
        best, _ = fn.top_k(cosine, self.most)
        rank = fn.equal(np.arange(1, self.most + 1, dtype=np.float32), stop_gradient(self.k))
        kth = fn.sum(fn.where(rank, best, 0.0), axis=-1, keepdims=True)
        near = fn.logical_and(fn.greater_equal(cosine, kth), fn.greater(cosine, _EMPTY / 2))
        nearest = fn.max(best, axis=-1, keepdims=True)
        votes = fn.where(near, fn.exp((cosine - nearest) / self.temperature), 0.0)
        return votes / fn.maximum(fn.sum(votes, axis=-1, keepdims=True), 1e-12)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.capacity)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "capacity": self.capacity,
            "most": self.most,
            "k": self.first,
            "temperature": self.temperature,
        }

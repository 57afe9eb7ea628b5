"""The base of metrics: numbers that are gathered over the batches of an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight.layers import config, initializers, scope
from fanlight.layers.losses import reduced_weights
from fanlight.layers.weight import Weight
from fanlight.tensor import Tensor, cast, tensor
from fanlight.tensor import functions as fn


class Metric:
    """A number of all examples so far.

    A metric of your own makes variables by `add_variable`, says in `update_state` what they become
    (`self.update(v, value)`; what they are is `self.value(v)`), and computes `result` of them.
    """

    fields: tuple[str, ...] = ()
    keras_module = "keras.metrics"

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        self.name = name or config.snake(type(self).__name__)
        self.variables: list[Weight] = []
        self._first: list[np.ndarray] = []

    def add_variable(
        self, shape: Sequence[int] = (), initializer: Any = "zeros", name: str | None = None
    ) -> Weight:
        """A number, or an array of them, that lasts from batch to batch."""
        array = np.asarray(initializers.get(initializer)(tuple(shape), "float32"))
        weight = Weight(tensor(array), False, name or "value", f"{self.name}/{name}")
        self.variables.append(weight)
        self._first.append(array)
        return weight

    add_weight = add_variable

    def value(self, variable: Weight) -> Tensor:
        """What a variable is, the batch of now included."""
        return scope.newest(variable)

    def update(self, variable: Weight, value: Any) -> None:
        """What a variable becomes."""
        scope.update(variable, cast(value, variable.dtype))

    def add(self, variable: Weight, value: Any) -> None:
        """What is added to a variable."""
        self.update(variable, self.value(variable) + value)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch into account."""
        raise config.unwritten(self, "update_state")

    def result(self) -> Tensor:
        """The number of all batches so far."""
        raise config.unwritten(self, "result")

    def reset_state(self) -> None:
        """Begin again."""
        for variable, array in zip(self.variables, self._first, strict=True):
            variable.assign(array)

    reset_states = reset_state

    def __call__(self, *args: Any, **options: Any) -> Tensor:
        self.update_state(*args, **options)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {"name": self.name} | {f: config.plain(getattr(self, f)) for f in self.fields}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """The metric of such arguments."""
        return cls(**{k: v for k, v in config.items() if k != "dtype"})

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class Mean(Metric):
    """The mean of values, by their weights."""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.total = self.add_variable(name="total")
        self.count = self.add_variable(name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        values = cast(tensor(values), "float32")
        if sample_weight is None:
            self.add(self.total, fn.sum(values))
            self.add(self.count, float(values.size))
            return
        values, weights = reduced_weights(values, sample_weight)
        self.add(self.total, fn.sum(values * weights))
        self.add(self.count, fn.sum(fn.broadcast_to(weights, values.shape)))

    def result(self) -> Tensor:
        return fn.div_no_nan(self.value(self.total), self.value(self.count))


class Sum(Metric):
    """The sum of values, times their weights."""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.total = self.add_variable(name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        values = cast(tensor(values), "float32")
        if sample_weight is not None:
            values, weights = reduced_weights(values, sample_weight)
            values = values * weights
        self.add(self.total, fn.sum(values))

    def result(self) -> Tensor:
        return self.value(self.total)


class MeanMetricWrapper(Mean):
    """The mean of what a function of labels and predictions gives for each example."""

    def __init__(self, fn: Any, name: str | None = None, dtype: Any = None, **options: Any) -> None:
        super().__init__(name or getattr(fn, "__name__", None), dtype)
        self.fn, self.options = fn, options

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        values = tensor(self.fn(y_true, y_pred, **self.options))
        mask = scope.mask_of(y_pred)
        if mask is not None:
            values, own = reduced_weights(values, mask)
            sample_weight = (
                own if sample_weight is None else reduced_weights(values, sample_weight)[1] * own
            )
        super().update_state(values, sample_weight)

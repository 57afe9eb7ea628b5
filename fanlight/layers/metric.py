"""The base of metrics: numbers that are gathered over the batches of an epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.layers import config, initializers, policy, scope
from fanlight.layers.checked import Checked
from fanlight.layers.loss_functions import FUNCTIONS as LOSSES
from fanlight.layers.loss_functions import alike
from fanlight.layers.losses import reduced_weights
from fanlight.layers.weight import Weight
from fanlight.tensor import Tensor, cast, tensor
from fanlight.tensor import functions as fn
from fanlight.tensor.caller import caller
from fanlight.tensor.core import type_of


class Metric(Checked):
    """A number of all examples so far.

    A metric of your own makes variables by `add_weight`, assigns them in `update_state`
    (`self.total.assign_add(x)`; `self.update(v, value)` is the same with a cast), and computes
    `result` of them. All of this is traced into the step, so it is made of tensor functions. Where
    variables depend on the size of the predictions, it makes them in `build(shape)`, and calls
    `self.ready(y_pred)` first in `update_state`.

    Attributes:
        direction: "up" where more is better, "down" where less is, None where that is open.
    """

    fields: tuple[str, ...] = ()
    keras_module = "keras.metrics"
    direction: str | None = None
    dtype = "float32"  # in which it counts, whatever it was asked for

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        # Keras counts names that nobody chose: auc, auc_1, ...
        from fanlight.layers.layer import unique_name

        self.name = name or unique_name(config.snake(type(self).__name__))
        policy.get(dtype, f"dtype of {self.name}")  # checked: metrics count in float32
        self.variables: list[Weight] = []
        self._first: list[np.ndarray] = []
        self.built = type(self).build is Metric.build

    def build(self, shape: Sequence[int | None]) -> None:
        """Make variables that depend on the shape of the predictions."""

    def ready(self, shape: Sequence[int | None]) -> None:
        """Build, unless that has been done."""
        if not self.built:
            self.build(tuple(shape))
            self.built = True

    def add_variable(
        self,
        shape: Sequence[int] = (),
        initializer: Any = "zeros",
        name: str | None = None,
        dtype: str = "float32",
    ) -> Weight:
        """A number, or an array of them, that lasts from batch to batch."""
        type_of(tuple(shape), dtype)  # E-TENSOR-014 where it is too large
        array = np.asarray(initializers.get(initializer)(tuple(shape), dtype))
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
        variable.assign(cast(value, variable.dtype))

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


def wrong_argument(metric: Metric, argument: str, expected: str, received: Any) -> FanlightError:
    """E-LAYER-004 of an argument of a metric."""
    return FanlightError(
        "E-LAYER-004",
        f"{type(metric).__name__} does not take this {argument}.",
        where=f"{argument}, {caller()}",
        expected=expected,
        received=repr(received)[:200],
    )


def wrong_input(metric: Metric, expected: str, received: Any) -> FanlightError:
    """E-LAYER-001: predictions or labels that a metric is not of."""
    return FanlightError(
        "E-LAYER-001",
        f"the metric {metric.name} ({type(metric).__name__}) does not take these predictions.",
        where=f"metric {metric.name}, {caller()}",
        expected=expected,
        received=str(received),
    )


def _by_example(values: Any, weights: Any) -> tuple[Tensor, Tensor | None, int]:
    """Values times their weights; the weights in that shape; how many values an example has."""
    counts = scope.mask_of(values)
    values = cast(tensor(values), "float32")
    if weights is None:
        return values, None, math.prod(values.shape[1:])
    values, weights = reduced_weights(values, weights)
    if counts is not None:  # as Keras has it, only where there are weights
        weights = weights * cast(counts, "float32")
    weights = fn.broadcast_to(weights, values.shape)
    return values * weights, weights, math.prod(values.shape[1:])


class Mean(Metric):
    """The mean of values, by their weights: [n, ...] counts as n values, each the mean of a row."""

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.total = self.add_variable(name="total")
        self.count = self.add_variable(name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        values, weights, each = _by_example(values, sample_weight)
        count: Any = values.shape[0] if values.rank else 1
        if weights is not None:
            count = fn.sum(weights) / float(max(1, each))
        self.add(self.total, fn.sum(values) / float(max(1, each)))
        self.add(self.count, count if weights is not None else float(count))

    def result(self) -> Tensor:
        return fn.div_no_nan(self.value(self.total), self.value(self.count))


class Sum(Metric):
    """The sum of values, times their weights."""

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.total = self.add_variable(name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        self.add(self.total, fn.sum(_by_example(values, sample_weight)[0]))

    def result(self) -> Tensor:
        return self.value(self.total)


class MeanMetricWrapper(Mean):
    """The mean of what a function of labels and predictions gives for each example."""

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None), dtype)
        self.fn, self.options = fn, options
        if self.direction is None:
            named = str(getattr(fn, "__name__", ""))
            down = LOSSES.get(named) is fn and named != "cosine_similarity"
            self.direction = "down" if down else "up" if "acc" in named else None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        mask = scope.mask_of(y_pred)
        y_true, y_pred = tensor(y_true), tensor(y_pred)
        values = self.fn(y_true, y_pred, **self.options)
        if values is None:
            raise config.nothing(f"the metric {self.name}", "the function")
        values = tensor(values)
        if mask is not None:
            mask = cast(mask, "float32")
            if sample_weight is not None:
                mask, own = alike(mask, cast(tensor(sample_weight), "float32"))
                mask = mask * reduced_weights(mask, own)[1]
            sample_weight = mask
        super().update_state(values, sample_weight)

    def get_config(self) -> dict[str, Any]:
        own = {"fn": config.function_described(self.fn)}
        return super().get_config() | own | config.plain(self.options)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        from fanlight.layers.metrics import function_of

        own = {k: v for k, v in config.items() if k != "dtype"}
        return cls(**(own | {"fn": function_of(config["fn"])}))


class Function(MeanMetricWrapper):
    """A metric class by one function: its `fields` are arguments of the function."""

    function: Callable[..., Tensor]

    def __init__(self, name: str | None, dtype: Any = None, **options: Any) -> None:
        super().__init__(type(self).function, name, dtype, **options)
        for field, value in options.items():
            setattr(self, field, value)

    def get_config(self) -> dict[str, Any]:
        return Metric.get_config(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        return cls(**{k: v for k, v in config.items() if k != "dtype"})


__all__ = ["Mean", "MeanMetricWrapper", "Metric", "Sum"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

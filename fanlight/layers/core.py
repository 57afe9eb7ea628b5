"""Dense layers and what reshapes, embeds or passes on."""

from __future__ import annotations

from math import prod
from typing import Any

from fanlight.layers import activations, constraints, initializers, regularizers
from fanlight.layers.layer import Layer, argument_error, channels_of, input_error
from fanlight.tensor import Tensor, cast
from fanlight.tensor import functions as fn


class Dense(Layer):
    """activation(x kernel + bias), along the last dim.

    Args:
        units: size of the last dim of the result.
    """

    fields = (
        "units",
        "activation",
        "use_bias",
        "kernel_initializer",
        "bias_initializer",
        "kernel_regularizer",
        "bias_regularizer",
        "kernel_constraint",
        "bias_constraint",
    )
    supports_masking = True

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **options)
        if not isinstance(units, int) or isinstance(units, bool) or units < 1:
            raise argument_error(self, "units", "a whole number from 1 on", units)
        self.units, self.use_bias = units, use_bias
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def build(self, input_shape: Any) -> None:
        size = channels_of(self, input_shape)
        self.kernel = self.add_weight(
            (size, self.units),
            self.kernel_initializer,
            "kernel",
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,),
                self.bias_initializer,
                "bias",
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def call(self, inputs: Any) -> Tensor:
        x = cast(inputs, "float32")
        if x.rank < 2 or x.shape[-1] != self.kernel.shape[0]:
            raise input_error(self, f"[examples, ..., {self.kernel.shape[0]}]", x.type)
        y = fn.matmul(x, self.kernel)
        return self.activation(y + self.bias if self.use_bias else y)


class Activation(Layer):
    """An activation, by its name or as a function."""

    fields = ("activation",)
    supports_masking = True

    def __init__(self, activation: Any, **options: Any) -> None:
        super().__init__(**options)
        self.activation = activations.get(activation)

    def call(self, inputs: Any) -> Tensor:
        result: Tensor = self.activation(inputs)
        return result


class Flatten(Layer):
    """All dims but the first one as one."""

    fields = ("data_format",)

    def __init__(self, data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.data_format = data_format or "channels_last"

    def call(self, inputs: Any) -> Tensor:
        x = inputs
        if self.data_format == "channels_first" and x.rank > 2:
            x = fn.transpose(x, (0, *range(2, x.rank), 1))
        return fn.reshape(x, (x.shape[0], prod(x.shape[1:])))

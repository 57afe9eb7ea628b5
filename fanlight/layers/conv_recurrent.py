"""Long short-term memories whose products are convolutions: ConvLSTM1D, 2D, 3D, and a cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fanlight.layers import activations
from fanlight.layers.arguments import per_dim
from fanlight.layers.cells import Drawn, RecurrentCell, forget_bias, memory
from fanlight.layers.layer import argument_error, channels_of, input_error
from fanlight.layers.recurrent import _LAYER, _Recurrent
from fanlight.tensor import Tensor, cast
from fanlight.tensor import functions as fn
from fanlight.tensor.windows import conv1d, conv2d, conv3d, padding_pairs, places

__all__ = ["ConvLSTM1D", "ConvLSTM2D", "ConvLSTM2DCell", "ConvLSTM3D", "ConvLSTMCell"]

_CONVOLUTIONS = {1: conv1d, 2: conv2d, 3: conv3d}


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)


class ConvLSTMCell(RecurrentCell):
    """One step of `LSTMCell`, with convolutions for products: states have dims in space.

    Args:
        rank: how many dims of space there are, 1 to 3.
        filters: channels of the output.
        kernel_size, strides, dilation_rate: a number, or one for each dim of space.
        padding: valid or same, of the inputs; states keep their size.

    Source: Shi et al. 2015.
    """

    gates = 4
    fields = (
        "filters",
        "kernel_size",
        "strides",
        "padding",
        "data_format",
        "dilation_rate",
        *(f for f in RecurrentCell.fields if f != "units"),
        "recurrent_activation",
        "unit_forget_bias",
    )

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            filters,
            activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            seed,
            **options,
        )
        self.rank, self.filters = rank, filters
        self.kernel_size = self._sizes("kernel_size", kernel_size)
        self.strides = self._sizes("strides", strides)
        self.dilation_rate = self._sizes("dilation_rate", dilation_rate)
        self.padding = str(padding).lower()
        if self.padding not in ("valid", "same"):
            raise argument_error(self, "padding", "valid or same", padding)
        self.data_format = data_format or "channels_last"
        if self.data_format not in ("channels_last", "channels_first"):
            wanted = "channels_last or channels_first"
            raise argument_error(self, "data_format", wanted, data_format)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise argument_error(
                self, "dilation_rate", "1 where strides are not 1", self.dilation_rate
            )
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = bool(unit_forget_bias)
        self.state_size = [filters, filters]
        self.space: tuple[int, ...] = ()

    def _sizes(self, argument: str, value: Any) -> tuple[int, ...]:
        found = tuple(value) if isinstance(value, list | tuple) else (value,) * self.rank
        return per_dim(self, argument, found, self.rank)

    @property
    def first(self) -> bool:
        """Whether channels come before space."""
        return self.data_format == "channels_first"

    @property
    def shared_masks(self) -> bool:
        return True

    def build(self, input_shape: Any) -> None:
        axis = 1 if self.first else -1
        size = channels_of(self, input_shape, self.rank + 2, axis)
        inside = input_shape[2:] if self.first else input_shape[1:-1]
        if any(n is None for n in inside):
            raise input_error(self, "a size for every dim of space", f"shape {input_shape}")
        pairs = padding_pairs(
            "ConvLSTM", self.padding, inside, self.kernel_size, self.strides, self.dilation_rate
        )
        self.space = places(
            "ConvLSTM", inside, self.kernel_size, self.strides, self.dilation_rate, pairs
        )
        wide = 4 * self.filters
        self.make_weights(
            (*self.kernel_size, size, wide), (*self.kernel_size, self.filters, wide), (wide,)
        )

    def first_bias(self, shape: Sequence[int], dtype: str = "float32") -> Any:
        return forget_bias(self.bias_initializer, shape, dtype, self.unit_forget_bias)

    def get_initial_state(self, batch_size: int) -> list[Tensor]:
        size = (self.filters, *self.space) if self.first else (*self.space, self.filters)
        return [fn.zeros((batch_size, *size)) for _ in range(2)]

    def project(self, x: Tensor, drawn: Drawn) -> Tensor:
        """[(steps,) examples, *space, 4 filters]: channels last, whatever the input has."""
        x = x * drawn[0][0] if drawn[0] else x
        several = x.rank > self.rank + 2
        if several:  # examples come first in what is one batch: their number may be free
            x = fn.transpose(x, (1, 0, *range(2, x.rank)))
        examples = x.shape[:2]
        one = fn.reshape(x, (-1, *x.shape[2:])) if several else x
        y = _CONVOLUTIONS[self.rank](
            self._last(one), self.kernel, self.strides, self.padding, self.dilation_rate
        )
        if several:
            y = fn.reshape(y, (*examples, *y.shape[1:]))
            y = fn.transpose(y, (1, 0, *range(2, y.rank)))
        return y + self.bias if self.use_bias else y

    def advance(
        self, z: Tensor, states: Sequence[Tensor], fixed: Sequence[Tensor], drawn: Drawn
    ) -> tuple[Tensor, list[Tensor]]:
        h, c = states
        h = h * drawn[1][0] if drawn[1] else h
        inner = _CONVOLUTIONS[self.rank](self._last(h), fixed[0], 1, "same")
        _, after = memory(z + inner, self._last(c), self.activation, self.recurrent_activation)
        made = [self._out(s) for s in after]
        return made[0], made

    def call(  # type: ignore[override]  # a cell takes its states, too
        self, inputs: Any, states: Any, training: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        x = cast(inputs, "float32")
        if x.rank != self.rank + 2:
            raise input_error(self, f"{self.rank + 2} dims", x.type)
        before = list(states) if isinstance(states, list | tuple) else [states]
        wanted = self.get_initial_state(x.shape[0])
        if [tuple(s.shape) for s in before] != [s.shape for s in wanted]:
            expected = ", ".join(str(list(s.shape)) for s in wanted)
            received = ", ".join(str(list(s.shape)) for s in before)
            raise input_error(self, f"states {expected}", received or "no states")
        drawn = self.drawn(x.shape, wanted[0].shape, training)
        return self.advance(self.project(x, drawn), before, self.fixed(), drawn)

    def _last(self, x: Tensor) -> Tensor:
        return fn.transpose(x, (0, *range(2, x.rank), 1)) if self.first else x

    def _out(self, x: Tensor) -> Tensor:
        return fn.transpose(x, (0, x.rank - 1, *range(1, x.rank - 1))) if self.first else x


class ConvLSTM2DCell(ConvLSTMCell):
    """One step of `ConvLSTM2D`: of [examples, H, W, channels] and the states h and c.

    In `RNN` it is `ConvLSTM2D`. Keras has no such class; TF.js has.

    Args:
        filters: channels of the output.
        kernel_size, strides, dilation_rate: a number, or one for each dim of space.
        padding: valid or same, of the inputs; states keep their size.
        data_format: channels_last, or channels_first: channels right after the examples.

    Source: Shi et al. 2015.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            2,
            filters,
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            recurrent_activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            unit_forget_bias,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            seed,
            **options,
        )


_FIELDS = (*ConvLSTMCell.fields, *_LAYER)


class ConvLSTM1D(_Recurrent):
    """`ConvLSTMCell` along the steps of [examples, steps, size, channels]; see `RNN`.

    Args:
        filters: channels of the output.
        kernel_size, strides, dilation_rate: a number, or one for each dim of space.
        padding: valid or same, of the inputs; states keep their size.
        data_format: channels_last, or channels_first: channels right after the steps.

    Source: Shi et al. 2015.
    """

    fields = _FIELDS

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(
            ConvLSTMCell(
                1,
                filters,
                kernel_size,
                strides,
                padding,
                data_format,
                dilation_rate,
                activation,
                recurrent_activation,
                use_bias,
                kernel_initializer,
                recurrent_initializer,
                bias_initializer,
                unit_forget_bias,
                kernel_regularizer,
                recurrent_regularizer,
                bias_regularizer,
                kernel_constraint,
                recurrent_constraint,
                bias_constraint,
                dropout,
                recurrent_dropout,
                seed,
                name="conv_lstm_cell",
                dtype=options.get("dtype"),
            ),
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            activity_regularizer=activity_regularizer,
            **options,
        )


class ConvLSTM2D(_Recurrent):
    """`ConvLSTMCell` along the steps of [examples, steps, H, W, channels]; see `RNN`.

    Args:
        filters: channels of the output.
        kernel_size, strides, dilation_rate: a number, or one for each dim of space.
        padding: valid or same, of the inputs; states keep their size.
        data_format: channels_last, or channels_first: channels right after the steps.

    Source: Shi et al. 2015.
    """

    fields = _FIELDS

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(
            ConvLSTMCell(
                2,
                filters,
                kernel_size,
                strides,
                padding,
                data_format,
                dilation_rate,
                activation,
                recurrent_activation,
                use_bias,
                kernel_initializer,
                recurrent_initializer,
                bias_initializer,
                unit_forget_bias,
                kernel_regularizer,
                recurrent_regularizer,
                bias_regularizer,
                kernel_constraint,
                recurrent_constraint,
                bias_constraint,
                dropout,
                recurrent_dropout,
                seed,
                name="conv_lstm_cell",
                dtype=options.get("dtype"),
            ),
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            activity_regularizer=activity_regularizer,
            **options,
        )


class ConvLSTM3D(_Recurrent):
    """`ConvLSTMCell` along the steps of [examples, steps, D, H, W, channels]; see `RNN`.

    Args:
        filters: channels of the output.
        kernel_size, strides, dilation_rate: a number, or one for each dim of space.
        padding: valid or same, of the inputs; states keep their size.
        data_format: channels_last, or channels_first: channels right after the steps.

    Source: Shi et al. 2015.
    """

    fields = _FIELDS

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(
            ConvLSTMCell(
                3,
                filters,
                kernel_size,
                strides,
                padding,
                data_format,
                dilation_rate,
                activation,
                recurrent_activation,
                use_bias,
                kernel_initializer,
                recurrent_initializer,
                bias_initializer,
                unit_forget_bias,
                kernel_regularizer,
                recurrent_regularizer,
                bias_regularizer,
                kernel_constraint,
                recurrent_constraint,
                bias_constraint,
                dropout,
                recurrent_dropout,
                seed,
                name="conv_lstm_cell",
                dtype=options.get("dtype"),
            ),
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            activity_regularizer=activity_regularizer,
            **options,
        )

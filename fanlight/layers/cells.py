"""Recurrent cells: what one step of a recurrent layer computes.

A cell has two halves, so that a layer can do the first one for all steps in a single product:
`project` takes the input, `advance` takes what that gave and the states. `call` is one whole step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fanlight.layers import activations, constraints, initializers, regularizers, scope
from fanlight.layers.layer import Layer, argument_error, channels_of, input_error
from fanlight.layers.weight import Weight
from fanlight.tensor import Tensor, cast, random
from fanlight.tensor import functions as fn

__all__ = ["GRUCell", "LSTMCell", "RecurrentCell", "SimpleRNNCell", "Drawn"]

# Factors of dropout for inputs and for states: none, one for all gates, or one for each gate.
Drawn = tuple[list[Tensor], list[Tensor]]
NOTHING: Drawn = ([], [])


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)


class RecurrentCell(Layer):
    """The base of the cells that have kernels for inputs and states.

    Attributes:
        gates: how many blocks of units lie in the columns of a kernel.
        state_size: the size of each state; the first one is the output.
        advance: (z, states, fixed, drawn) -> (output, next states): what each kind of cell does
            with what `project` and `fixed` gave.
    """

    gates = 1
    fields: tuple[str, ...] = (
        "units",
        "activation",
        "use_bias",
        "kernel_initializer",
        "recurrent_initializer",
        "bias_initializer",
        "kernel_regularizer",
        "recurrent_regularizer",
        "bias_regularizer",
        "kernel_constraint",
        "recurrent_constraint",
        "bias_constraint",
        "dropout",
        "recurrent_dropout",
        "seed",
    )
    state_size: Any
    advance: Callable[..., tuple[Tensor, list[Tensor]]]
    kernel: Weight
    recurrent_kernel: Weight
    bias: Weight

    def __init__(
        self,
        units: int,
        activation: Any,
        use_bias: bool,
        kernel_initializer: Any,
        recurrent_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        recurrent_regularizer: Any,
        bias_regularizer: Any,
        kernel_constraint: Any,
        recurrent_constraint: Any,
        bias_constraint: Any,
        dropout: float,
        recurrent_dropout: float,
        seed: int | None,
        **options: Any,
    ) -> None:
        options.pop("implementation", None)  # of Keras: how, not what
        super().__init__(**options)
        if not isinstance(units, int) or isinstance(units, bool) or units < 1:
            raise argument_error(self, "units", "a whole number from 1 on", units)
        self.units, self.use_bias, self.seed = units, bool(use_bias), seed
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(
            "zeros" if bias_initializer is None else bias_initializer
        )
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.recurrent_constraint = constraints.get(recurrent_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        for name, rate in (("dropout", dropout), ("recurrent_dropout", recurrent_dropout)):
            if not isinstance(rate, int | float):
                raise argument_error(self, name, "a number from 0 to 1", rate)
        self.dropout = min(1.0, max(0.0, float(dropout)))
        self.recurrent_dropout = min(1.0, max(0.0, float(recurrent_dropout)))

    @property
    def output_size(self) -> int:
        """The size of the last dim of the output."""
        return self.units

    @property
    def shared_masks(self) -> bool:
        """Whether all gates drop the same: as in Keras, unless states are dropped."""
        return self.gates == 1 or not self.recurrent_dropout

    # --- weights ----------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        size = channels_of(self, input_shape, 2)
        wide = self.gates * self.units
        self.make_weights((size, wide), (self.units, wide), self.bias_shape())

    def bias_shape(self) -> tuple[int, ...]:
        """The shape of the bias."""
        return (self.gates * self.units,)

    def make_weights(
        self, kernel: tuple[int, ...], recurrent: tuple[int, ...], bias: tuple[int, ...]
    ) -> None:
        """kernel, recurrent_kernel and bias, of these shapes."""
        self.kernel = self.add_weight(
            kernel,
            self.kernel_initializer,
            "kernel",
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.recurrent_kernel = self.add_weight(
            recurrent,
            self.recurrent_initializer,
            "recurrent_kernel",
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                bias,
                self.first_bias,
                "bias",
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def first_bias(self, shape: Sequence[int], dtype: str = "float32") -> Any:
        """The numbers that the bias begins with."""
        return self.bias_initializer(tuple(shape), dtype)

    # --- one step ---------------------------------------------------------------------------------

    def get_initial_state(self, batch_size: int) -> list[Tensor]:
        """Zeros for each state."""
        sizes = self.state_size if isinstance(self.state_size, list) else [self.state_size]
        return [fn.zeros((batch_size, n)) for n in sizes]

    def drawn(self, x: Sequence[int], state: Sequence[int], training: bool) -> Drawn:
        """Factors of dropout for inputs and states of these shapes, the same for all steps."""
        if not training:
            return NOTHING
        return self._factors(x, self.dropout), self._factors(state, self.recurrent_dropout)

    def _factors(self, shape: Sequence[int], rate: float) -> list[Tensor]:
        if not 0.0 < rate < 1.0:
            return []
        ones = fn.ones(tuple(shape))
        count = 1 if self.shared_masks else self.gates
        return [random.dropout(ones, rate, key=scope.next_key(self.seed)) for _ in range(count)]

    def project(self, x: Tensor, drawn: Drawn) -> Tensor:
        """What the inputs of a step, or of all steps [steps, N, I], add to the gates."""
        y = product(x, self.kernel, drawn[0])
        return y + self.input_bias() if self.use_bias else y

    def input_bias(self) -> Tensor:
        """The part of the bias that is added to the inputs' part of the gates."""
        return self.bias

    def fixed(self) -> list[Tensor]:
        """What `advance` takes of the weights: made once, before all steps."""
        return [self.recurrent_kernel]

    def call(  # type: ignore[override]  # a cell takes its states, too
        self, inputs: Any, states: Any, training: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        x = cast(inputs, "float32")
        before = list(states) if isinstance(states, list | tuple) else [states]
        if x.rank != 2 or x.shape[-1] != self.kernel.shape[0]:
            raise input_error(self, f"[examples, {self.kernel.shape[0]}]", x.type)
        drawn = self.drawn(x.shape, before[0].shape, training)
        return self.advance(self.project(x, drawn), before, self.fixed(), drawn)


class SimpleRNNCell(RecurrentCell):
    """One step h' = activation(x kernel + h recurrent_kernel + bias).

    Source: Elman 1990.
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
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
            units,
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
        self.state_size = units

    def advance(
        self, z: Tensor, states: Sequence[Tensor], fixed: Sequence[Tensor], drawn: Drawn
    ) -> tuple[Tensor, list[Tensor]]:
        h = self.activation(z + product(states[0], fixed[0], drawn[1]))
        return h, [h]


class LSTMCell(RecurrentCell):
    """One step of a long short-term memory, its states being h and c.

    With gates i, f, g, o of x kernel + h recurrent_kernel + bias, in this order along the columns:
    c' = r(f) c + r(i) a(g), h' = r(o) a(c'), a being the activation and r the recurrent one.

    Args:
        unit_forget_bias: begin with a bias of 1 in f (Jozefowicz et al. 2015).

    Source: Hochreiter & Schmidhuber 1997; Gers et al. 2000.
    """

    gates = 4
    fields = (*RecurrentCell.fields, "recurrent_activation", "unit_forget_bias")

    def __init__(
        self,
        units: int,
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
            units,
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
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = bool(unit_forget_bias)
        self.state_size = [units, units]

    def first_bias(self, shape: Sequence[int], dtype: str = "float32") -> Any:
        return forget_bias(self.bias_initializer, shape, dtype, self.unit_forget_bias)

    def advance(
        self, z: Tensor, states: Sequence[Tensor], fixed: Sequence[Tensor], drawn: Drawn
    ) -> tuple[Tensor, list[Tensor]]:
        h, c = states
        total = z + product(h, fixed[0], drawn[1])
        return memory(total, c, self.activation, self.recurrent_activation)


class GRUCell(RecurrentCell):
    """One step of a gated recurrent unit: h' = z h + (1 - z) activation(candidate).

    The gates z, r and the candidate lie in this order along the columns. z and r are
    recurrent_activation(x kernel + h recurrent_kernel + bias).

    Args:
        reset_after: the candidate is x kernel + r (h recurrent_kernel + its bias), the bias being
            [2, 3 units], of inputs and of states; else it is x kernel + (r h) recurrent_kernel.

    Source: Cho et al. 2014 (reset_after=False); cuDNN's form (True).
    """

    gates = 3
    fields = (*RecurrentCell.fields, "recurrent_activation", "reset_after")

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            units,
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
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = bool(reset_after)
        self.state_size = units

    def bias_shape(self) -> tuple[int, ...]:
        wide = 3 * self.units
        return (2, wide) if self.reset_after else (wide,)

    def input_bias(self) -> Tensor:
        return self.bias[0] if self.reset_after else self.bias

    def fixed(self) -> list[Tensor]:
        kernel, two = self.recurrent_kernel, 2 * self.units
        if not self.reset_after:
            return [kernel[:, :two], kernel[:, two:]]
        return [kernel, self.bias[1]] if self.use_bias else [kernel]

    def advance(
        self, z: Tensor, states: Sequence[Tensor], fixed: Sequence[Tensor], drawn: Drawn
    ) -> tuple[Tensor, list[Tensor]]:
        h, factors = states[0], drawn[1]
        xz, xr, xg = blocks(z, 3)
        if self.reset_after:
            inner = product(h, fixed[0], factors)
            hz, hr, hg = blocks(inner + fixed[1] if self.use_bias else inner, 3)
            reset = self.recurrent_activation(xr + hr)
            candidate = xg + reset * hg
        else:
            hz, hr = blocks(product(h, fixed[0], factors[:2]), 2)
            reset = self.recurrent_activation(xr + hr)
            kept = h * factors[-1] if factors else h
            candidate = xg + fn.matmul(reset * kept, fixed[1])
        update = self.recurrent_activation(xz + hz)
        after = update * h + (1.0 - update) * self.activation(candidate)
        return after, [after]


# --- parts ----------------------------------------------------------------------------------------


def blocks(x: Tensor, count: int) -> list[Tensor]:
    """Equal parts along the last dim."""
    units = x.shape[-1] // count
    return [x[..., i * units : (i + 1) * units] for i in range(count)]


def product(x: Tensor, kernel: Tensor, factors: Sequence[Tensor]) -> Tensor:
    """x kernel, x times its factors of dropout: none, one, or one for each block of columns."""
    if not factors:
        return fn.matmul(x, kernel)
    if len(factors) == 1:
        return fn.matmul(x * factors[0], kernel)
    parts = zip(factors, blocks(kernel, len(factors)), strict=True)
    return fn.concat([fn.matmul(x * m, k) for m, k in parts], axis=-1)


def memory(total: Tensor, c: Tensor, activation: Any, gate: Any) -> tuple[Tensor, list[Tensor]]:
    """h and c after a step, from the gates i, f, g, o along the last dim, and the c before."""
    i, f, g, o = blocks(total, 4)
    after = gate(f) * c + gate(i) * activation(g)
    h = gate(o) * activation(after)
    return h, [h, after]


def forget_bias(initializer: Any, shape: Sequence[int], dtype: str, ones: bool) -> Any:
    """The first bias of gates i, f, g, o; that of f is 1 if asked."""
    if not ones:
        return initializer(tuple(shape), dtype)
    units = shape[0] // 4
    parts = [
        initializer((units,), dtype),
        np.ones(units, np.float32),
        initializer((2 * units,), dtype),
    ]
    return np.concatenate([np.asarray(p) for p in parts])

"""Recurrent layers: a cell, turned along the second dim of [examples, steps, ...]."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fanlight.errors import FanlightError
from fanlight.layers import recurrent_loops, scope
from fanlight.layers.cells import GRUCell, LSTMCell, RecurrentCell, SimpleRNNCell
from fanlight.layers.layer import Layer, argument_error, input_error
from fanlight.layers.weight import Weight
from fanlight.layers.wrapping import layer_of
from fanlight.tensor import Tensor, cast, tensor
from fanlight.tensor import functions as fn
from fanlight.tensor.control import scan

__all__ = ["GRU", "LSTM", "RNN", "SimpleRNN", "StackedRNNCells"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)


class StackedRNNCells(Layer):
    """Cells as one: each takes the output of the one before.

    Its states are a list with the states of each cell. In an `RNN` every cell has a loop of its
    own, which gives the same: what a cell takes from the one before is computed beforehand.
    """

    fields = ("cells",)

    def __init__(self, cells: Sequence[Any], **options: Any) -> None:
        super().__init__(**options)
        if not isinstance(cells, list | tuple) or not cells:
            raise argument_error(self, "cells", "a list of cells", cells)
        self.cells = [cell_of(self, c) for c in cells]

    @property
    def state_size(self) -> list[Any]:
        """The sizes of the states of each cell."""
        return [c.state_size for c in self.cells]

    @property
    def output_size(self) -> Any:
        """The size of the last dim of the output."""
        return output_size(self.cells[-1])

    def build(self, input_shape: Any) -> None:
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell._build(input_shape)
            input_shape = (input_shape[0], output_size(cell))

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """The first states of each cell."""
        return [first_states(c, batch_size) for c in self.cells]

    def call(  # type: ignore[override]  # a cell takes its states, too
        self, inputs: Any, states: Any, training: bool = False
    ) -> tuple[Tensor, list[list[Tensor]]]:
        x, after = inputs, []
        for cell, before in zip(self.cells, states, strict=True):
            own = list(before) if isinstance(before, list | tuple) else [before]
            x, new = one_step(cell, x, own, training)
            after.append(new)
        return x, after


class RNN(Layer):
    """A cell along the steps of [examples, steps, ...]; gives its last output.

    Args:
        cell: what computes a step: one of the cells here, or an object of yours with `state_size`
            (a number or a list of them) and `call(inputs, states)`, which gives the output and the
            next states. A list of cells becomes `StackedRNNCells`.
        return_sequences: give the outputs of all steps.
        return_state: give (output, *states).
        go_backwards: begin with the last step; the outputs come in the order of computing.
        stateful: begin each batch with the states after the one before.
        unroll: lay out all steps one after the other, instead of a loop: longer code, so only
            where there are at most 1024.
        zero_output_for_mask: a step that is masked gives zeros, not the output before.

    Called with `initial_state=[...]` it begins with these states. Steps that the mask of the input
    leaves out change nothing.
    """

    fields: tuple[str, ...] = (
        "return_sequences",
        "return_state",
        "go_backwards",
        "stateful",
        "unroll",
        "zero_output_for_mask",
        "cell",
    )
    supports_masking = True

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **options: Any,
    ) -> None:
        for how in ("use_cudnn", "implementation"):  # of Keras: how, not what
            options.pop(how, None)
        if options.pop("time_major", False):  # of Keras 2, which writes it into files
            raise argument_error(self, "time_major", "False: examples first, then steps", True)
        super().__init__(**options)
        self.cell: Any = (
            StackedRNNCells(cell) if isinstance(cell, list | tuple) else cell_of(self, cell)
        )
        self.return_sequences, self.return_state = bool(return_sequences), bool(return_state)
        self.go_backwards, self.stateful = bool(go_backwards), bool(stateful)
        self.unroll, self.zero_output_for_mask = bool(unroll), bool(zero_output_for_mask)
        self.states: list[Weight] | None = None
        self._batch: int | None = None

    @property
    def state_size(self) -> Any:
        """The sizes of the states of the cell."""
        return self.cell.state_size

    def build(self, input_shape: Any) -> None:
        least = getattr(self.cell, "rank", 0) + 3
        if not isinstance(input_shape, tuple) or len(input_shape) < least:
            dims = "[examples, steps, size]" if least == 3 else f"{least} dims, steps second"
            raise input_error(self, dims, f"shape {input_shape}")
        step = (input_shape[0], *input_shape[2:])
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell._build(step)
        self._batch = input_shape[0]
        if self.stateful and self._batch is not None:
            self._remember(self._batch)

    # --- states -----------------------------------------------------------------------------------

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """The states that it begins with."""
        return first_states(self.cell, batch_size)

    def _remember(self, batch: int) -> None:
        self.states = [
            Weight(tensor(s.numpy()), False, "rnn_state", f"{self.name}/rnn_state_{i}")
            for i, s in enumerate(leaves(self.get_initial_state(batch)))
        ]

    @property
    def state_variables(self) -> list[Weight]:
        return [*(self.states or ()), *super().state_variables]

    def reset_state(self) -> None:
        """Forget what was remembered of former batches: begin with zeros again."""
        for v in self.states or ():
            v.assign(fn.zeros(v.shape))

    reset_states = reset_state

    def _before(self, x: Tensor, given: Any) -> list[Tensor]:
        """The states before the first step, in a row."""
        if self.stateful and self.states is None and not x.traced:
            self._remember(x.shape[0])
        if self.stateful and self.states is None:
            raise input_error(
                self,
                "a fixed number of examples, as it keeps states from batch to batch",
                f"shape [None, {', '.join(map(str, x.shape[1:]))}]",
                "fl.Input(shape, batch_size=32), and batches of that size.",
            )
        if self.states is not None and self.states[0].shape[0] != x.shape[0]:
            raise input_error(
                self,
                f"{self.states[0].shape[0]} examples, as many as in the batch before (stateful)",
                x.type,
                "give batches of one size; layer.reset_state() forgets only what was in them.",
            )
        if given is not None:
            found = [cast(s, "float32") for s in leaves(given)]
            wanted = leaves(self.get_initial_state(x.shape[0]))
            if [s.shape for s in found] != [s.shape for s in wanted]:
                raise input_error(
                    self,
                    "initial_state: " + ", ".join(str(s.type) for s in wanted),
                    ", ".join(str(s.type) for s in found) or "nothing",
                )
            return found
        if self.states is not None:
            return [scope.newest(v) for v in self.states]
        return leaves(self.get_initial_state(x.shape[0]))

    # --- computing --------------------------------------------------------------------------------

    def call(
        self,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool = False,
    ) -> Any:
        x = cast(sequences, "float32")
        if self.built_with is not None and not fits(x.shape, self.built_with):
            raise input_error(self, f"shape {list(self.built_with)}", x.type)
        run = Run(self, _time_first(x), _steps_mask(mask), bool(training))
        ys, last, after = run.cell(
            self.cell, run.x, iter(self._before(x, initial_state)), self.return_sequences
        )
        if self.states is not None:
            for v, new in zip(self.states, leaves(after), strict=True):
                scope.update(v, new)
        if self.return_sequences:
            assert ys is not None
            output = _time_first(fn.reverse(ys, 0) if self.go_backwards else ys)
        else:
            output = last
        return (output, *after) if self.return_state else output

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        return mask_of_outputs(mask, self.return_sequences)


# Each is code of its own, and the loop gives the same numbers.
MOST_UNROLLED = 1024


class Run:
    """One call of a recurrent layer: how its cells are turned."""

    def __init__(self, layer: RNN, x: Tensor, mask: Tensor | None, training: bool) -> None:
        self.x, self.mask, self.training = x, mask, training
        self.reverse = layer.go_backwards
        self.unroll = layer.unroll and x.shape[0] <= MOST_UNROLLED
        self.zeros = layer.zero_output_for_mask

    def cell(
        self, cell: Any, x: Tensor, states: Iterator[Tensor], sequences: bool
    ) -> tuple[Tensor | None, Tensor, list[Any]]:
        """(outputs of all steps or None, the last one, the states after it)."""
        if isinstance(cell, StackedRNNCells):
            after: list[Any] = []
            ys: Tensor | None = x
            for i, inner in enumerate(cell.cells):
                assert ys is not None
                more = sequences or i < len(cell.cells) - 1
                ys, last, new = self.cell(inner, ys, states, more)
                after.append(new)
            return ys, last, after[0] if len(after) == 1 else after
        own = [next(states) for _ in leaves(first_states(cell, 1))]
        if isinstance(cell, RecurrentCell):
            return self._known(cell, x, own, sequences)
        return self._custom(cell, x, own, sequences)

    def _known(
        self, cell: RecurrentCell, x: Tensor, states: list[Tensor], sequences: bool
    ) -> tuple[Tensor | None, Tensor, list[Tensor]]:
        drawn = cell.drawn(x.shape[1:], states[0].shape, self.training)
        z, fixed = cell.project(x, drawn), cell.fixed()

        def step(z: Tensor, before: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
            return cell.advance(z, before, fixed, drawn)

        found = None
        if not self.unroll and not drawn[1]:
            found = recurrent_loops.found(cell, z, states, fixed, self.mask, self.reverse)
        ys, states = found or self._turned(step, z, states, sequences)
        last = states[0]
        if self.zeros and self.mask is not None:
            if ys is not None:
                ys = fn.where(_like(self.mask, ys), ys, 0.0)
            final = self.mask[0 if self.reverse else -1]
            last = fn.where(_like(final, last), last, 0.0)
        return ys, last, states

    def _turned(
        self, step: Any, z: Tensor, states: list[Tensor], sequences: bool
    ) -> tuple[Tensor | None, list[Tensor]]:
        """Turns of a cell whose output is its first state."""

        def turn(before: list[Tensor], parts: Any) -> tuple[list[Tensor], Any]:
            _, new = step(parts[0], before)
            if len(parts) > 1:
                new = [fn.where(_like(parts[1], b), n, b) for n, b in zip(new, before, strict=True)]
            return new, (new[0] if sequences else None)

        slices = [z] if self.mask is None else [z, self.mask]
        after, ys = self._loop(turn, states, slices)
        return ys, after

    def _custom(
        self, cell: Any, x: Tensor, states: list[Tensor], sequences: bool
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Turns of any cell: what it gives need not be one of its states."""

        def turn(before: list[Tensor], parts: Any) -> tuple[list[Tensor], Tensor]:
            y, new = one_step(cell, parts[0], before, self.training)
            if len(parts) > 1:
                instead = fn.zeros_like(y) if self.zeros else before[0]
                y = fn.where(_like(parts[1], y), y, instead)
                new = [fn.where(_like(parts[1], b), n, b) for n, b in zip(new, before, strict=True)]
            return new, y

        slices = [x] if self.mask is None else [x, self.mask]
        after, ys = self._loop(turn, states, slices)
        return ys, ys[0 if self.reverse else -1], after

    def _loop(
        self, turn: Callable[..., Any], states: list[Tensor], slices: list[Tensor]
    ) -> tuple[list[Tensor], Any]:
        if not self.unroll:
            after, ys = scan(turn, states, slices, reverse=self.reverse)
            return list(after), ys
        outputs: list[Any] = []
        steps = range(slices[0].shape[0])
        for i in reversed(steps) if self.reverse else steps:
            states, y = turn(states, [s[i] for s in slices])
            outputs.append(y)
        if self.reverse:
            outputs.reverse()
        return states, None if outputs[0] is None else fn.stack(outputs)


class _Recurrent(RNN):
    """The base of layers that are made of one cell each, whose arguments they take."""

    def __init__(self, cell: RecurrentCell, **options: Any) -> None:
        super().__init__(cell, **options)
        for field in cell.fields:
            setattr(self, field, getattr(cell, field))


_LAYER = ("activity_regularizer", *RNN.fields[:-1])


class SimpleRNN(_Recurrent):
    """h' = activation(x kernel + h recurrent_kernel + bias), along the steps; see `RNN`.

    Args:
        units: size of the output.
        dropout: share of the inputs that are 0 in training; the same ones at all steps.
        recurrent_dropout: share of the states that a step takes as 0 in training.

    Other arguments: see `RNN`. Source: Elman 1990.
    """

    fields = (*SimpleRNNCell.fields, *_LAYER)

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
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            SimpleRNNCell(
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
                name="simple_rnn_cell",
                dtype=options.get("dtype"),
            ),
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **options,
        )


class LSTM(_Recurrent):
    """Long short-term memory along the steps; see `LSTMCell` for what a step is, and `RNN`.

    Args:
        units: size of the output.
        unit_forget_bias: begin with a bias of 1 in the gate that keeps.
        dropout: share of the inputs that are 0 in training; the same ones at all steps.
        recurrent_dropout: share of the states that a step takes as 0 in training.
        use_cudnn: of Keras; changes nothing.

    Its states are h and c. Source: Hochreiter & Schmidhuber 1997; Gers et al. 2000.
    """

    fields = (*LSTMCell.fields, *_LAYER)

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
        unroll: bool = False,
        use_cudnn: Any = "auto",
        **options: Any,
    ) -> None:
        super().__init__(
            LSTMCell(
                units,
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
                name="lstm_cell",
                dtype=options.get("dtype"),
            ),
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **options,
        )


class GRU(_Recurrent):
    """Gated recurrent unit along the steps; see `GRUCell` for what a step is, and `RNN`.

    Args:
        units: size of the output.
        reset_after: whether the reset gate comes after the product with the recurrent kernel.
        dropout: share of the inputs that are 0 in training; the same ones at all steps.
        recurrent_dropout: share of the states that a step takes as 0 in training.
        use_cudnn: of Keras; changes nothing.

    Source: Cho et al. 2014.
    """

    fields = (*GRUCell.fields, *_LAYER)

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
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: Any = "auto",
        **options: Any,
    ) -> None:
        super().__init__(
            GRUCell(
                units,
                activation,
                recurrent_activation,
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
                reset_after,
                seed,
                name="gru_cell",
                dtype=options.get("dtype"),
            ),
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **options,
        )


# --- parts ----------------------------------------------------------------------------------------


def cell_of(layer: Layer, cell: Any) -> Any:
    """A cell that is given as one, or as its description in a file; E-LAYER-004."""
    if isinstance(cell, Mapping):
        cell = layer_of(layer, "cell", cell)
    if not callable(getattr(cell, "call", None)) or not hasattr(cell, "state_size"):
        raise argument_error(
            layer, "cell", "an object with `call(inputs, states)` and `state_size`", cell
        )
    return cell


def output_size(cell: Any) -> Any:
    """The size of the last dim of what a cell gives."""
    size = getattr(cell, "output_size", None)
    if size is None:
        size = cell.state_size
    return size[0] if isinstance(size, list | tuple) else size


def first_states(cell: Any, batch: int) -> list[Any]:
    """The states that a cell begins with."""
    if hasattr(cell, "get_initial_state"):
        made = cell.get_initial_state(batch_size=batch)
        return list(made) if isinstance(made, list | tuple) else [made]
    sizes = cell.state_size
    sizes = sizes if isinstance(sizes, list | tuple) else [sizes]
    return [fn.zeros((batch, n)) for n in sizes]


def leaves(states: Any) -> list[Tensor]:
    """The tensors of nested lists, in order."""
    if isinstance(states, list | tuple):
        return [t for s in states for t in leaves(s)]
    return [tensor(states)]


def one_step(
    cell: Any, x: Tensor, states: list[Tensor], training: bool
) -> tuple[Tensor, list[Tensor]]:
    """(output, next states) of any cell."""
    takes = inspect.signature(cell.call).parameters
    options = {"training": training} if "training" in takes else {}
    made = cell.call(x, states, **options)
    if not isinstance(made, tuple | list) or len(made) != 2:
        raise FanlightError(
            "E-LAYER-004",
            "a cell gives two things: its output and its next states.",
            where=type(cell).__name__,
            expected="return output, [state]",
            received=repr(made)[:200],
        )
    y, after = made
    return y, list(after) if isinstance(after, list | tuple) else [after]


def fits(shape: Sequence[int], wanted: Any) -> bool:
    """Whether a shape is one that a layer was built for; the first two sizes are free."""
    return len(shape) == len(wanted) and all(
        n is None or n == m for n, m in zip(wanted[2:], shape[2:], strict=True)
    )


def mask_of_outputs(mask: Any, sequences: bool) -> list[Any] | None:
    """The masks of (output, *states): that of the input, if all steps are given."""
    first = mask[0] if isinstance(mask, list | tuple) else mask
    return [first] if sequences and first is not None else None


def _time_first(x: Tensor) -> Tensor:
    return fn.transpose(x, (1, 0, *range(2, x.rank)))


def _steps_mask(mask: Any) -> Tensor | None:
    """bool [steps, examples]: which steps count."""
    if isinstance(mask, list | tuple):
        mask = mask[0]
    if mask is None:
        return None
    mask = cast(mask, "bool")
    if mask.rank > 2:
        mask = fn.any(mask, tuple(range(2, mask.rank)))
    return fn.transpose(mask, (1, 0))


def _like(mask: Tensor, x: Tensor) -> Tensor:
    """A mask with as many dims as x, for `where`."""
    return fn.reshape(mask, (*mask.shape, *[1] * (x.rank - mask.rank)))

"""Layers that apply another layer: in both directions, or to every step."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from fanlight.layers.layer import Layer, argument_error, input_error
from fanlight.layers.recurrent import mask_of_outputs
from fanlight.layers.wrapping import copy_of, layer_of
from fanlight.tensor import Tensor, tensor
from fanlight.tensor import functions as fn

__all__ = ["Bidirectional", "Pipeline", "TimeDistributed", "Wrapper"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)


class Bidirectional(Layer):
    """A recurrent layer and one that goes backwards, their outputs joined.

    Args:
        layer: a recurrent layer; copies of it are used.
        merge_mode: concat (along the last dim), sum, mul, ave; None: (forward, backward).
        weights: arrays for both, those of the forward layer first.
        backward_layer: goes backwards instead of a copy of `layer`; its `go_backwards` differs.

    With `return_state` of the layer it gives (output, *states forward, *states backward);
    `initial_state` takes these. With a mask and `return_sequences` masked steps give zeros.
    Source: Schuster & Paliwal 1997.
    """

    fields = ("merge_mode",)
    supports_masking = True

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Sequence[Any] | None = None,
        backward_layer: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if merge_mode not in ("concat", "sum", "mul", "ave", None):
            raise argument_error(self, "merge_mode", "concat, sum, mul, ave or None", merge_mode)
        self.merge_mode = merge_mode
        given: Any = _recurrent(self, "layer", layer)
        name = given.name.removeprefix("forward_")
        self.forward_layer: Any = copy_of(given, name=f"forward_{name}")
        if backward_layer is None:
            name = given.name.removeprefix("backward_")
            self.backward_layer: Any = copy_of(
                given, name=f"backward_{name}", go_backwards=not given.go_backwards
            )
        else:
            self.backward_layer = _recurrent(self, "backward_layer", backward_layer)
        first: Any = self.forward_layer
        other: Any = self.backward_layer
        if first.go_backwards == other.go_backwards:
            raise argument_error(
                self,
                "backward_layer",
                f"one with go_backwards={not first.go_backwards}",
                f"go_backwards={other.go_backwards}",
            )
        for field in ("stateful", "return_sequences", "return_state"):
            if getattr(first, field) != getattr(other, field):
                raise argument_error(
                    self,
                    "backward_layer",
                    f"one with {field}={getattr(first, field)}",
                    f"{field}={getattr(other, field)}",
                )
        for one in (first, other):
            one.zero_output_for_mask = one.return_sequences
        self.stateful: bool = first.stateful
        self.return_sequences: bool = first.return_sequences
        self.return_state: bool = first.return_state
        self._first_weights = None if weights is None else list(weights)

    def build(self, input_shape: Any) -> None:
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer._build(input_shape)
        if self._first_weights is not None:
            self.set_weights(self._first_weights)
            self._first_weights = None

    @property
    def states(self) -> list[Any] | None:
        """What both layers remember of the batch before, if they are stateful."""
        first, other = self.forward_layer.states, self.backward_layer.states
        return [*first, *other] if first and other else None

    def reset_state(self) -> None:
        """Forget what was remembered of former batches."""
        self.reset_states()

    def call(
        self,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool = False,
    ) -> Any:
        half = len(initial_state) // 2 if initial_state is not None else 0
        given = (initial_state[:half], initial_state[half:]) if half else (None, None)
        y, *states = _parts(
            self.forward_layer(sequences, initial_state=given[0], mask=mask, training=training)
        )
        back, *others = _parts(
            self.backward_layer(sequences, initial_state=given[1], mask=mask, training=training)
        )
        if self.return_sequences:
            back = fn.reverse(back, 1)
        merged = self._merged(y, back)
        if not self.return_state:
            return merged
        outputs = merged if isinstance(merged, tuple) else (merged,)
        return (*outputs, *states, *others)

    def _merged(self, y: Tensor, back: Tensor) -> Any:
        if self.merge_mode is None:
            return y, back
        if self.merge_mode == "concat":
            return fn.concat([y, back], axis=-1)
        if self.merge_mode == "mul":
            return y * back
        return (y + back) * (0.5 if self.merge_mode == "ave" else 1.0)

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        found = mask_of_outputs(mask, self.return_sequences)
        return found * 2 if found is not None and self.merge_mode is None else found

    def get_config(self) -> dict[str, Any]:
        from fanlight.layers.config import described

        return super().get_config() | {
            "layer": described(self.forward_layer),
            "backward_layer": described(self.backward_layer),
        }


class TimeDistributed(Layer):
    """A layer, applied to every step of [examples, steps, ...].

    Args:
        layer: all steps are one batch of examples for it.
    """

    fields = ("layer",)
    supports_masking = True

    def __init__(self, layer: Any, **options: Any) -> None:
        super().__init__(**options)
        self.layer = layer_of(self, "layer", layer)

    def build(self, input_shape: Any) -> None:
        if not isinstance(input_shape, tuple) or len(input_shape) < 3:
            raise input_error(self, "[examples, steps, ...]", f"shape {input_shape}")
        if not self.layer.built:
            self.layer._build((input_shape[0], *input_shape[2:]))

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        x = inputs
        if x.rank < 3:
            raise input_error(self, "[examples, steps, ...]", x.type)
        options: dict[str, Any] = {"training": training}
        if mask is not None:
            mask = tensor(mask)
            if mask.rank < 2 or mask.shape[:2] != x.shape[:2]:
                raise input_error(self, f"a mask {list(x.shape[:2])}", f"mask {mask.type}")
            if mask.rank > 2:
                options["mask"] = _joined(mask)
        return _mapped(self.layer(_joined(x), **options), x.shape[:2])


def _joined(x: Tensor) -> Tensor:
    """Examples and steps as one dim."""
    return fn.reshape(x, (prod(x.shape[:2]), *x.shape[2:]))


def _mapped(y: Any, front: tuple[int, ...]) -> Any:
    if isinstance(y, list | tuple):
        return tuple(_mapped(part, front) for part in y)
    return fn.reshape(y, (*front, *y.shape[1:]))


def _parts(y: Any) -> list[Any]:
    return list(y) if isinstance(y, list | tuple) else [y]


def _recurrent(outer: Layer, argument: str, given: Any) -> Any:
    layer = layer_of(outer, argument, given)
    needed = ("go_backwards", "stateful", "return_sequences", "return_state")
    if any(not hasattr(layer, field) for field in needed):
        raise argument_error(outer, argument, "a recurrent layer", layer)
    return layer


class Wrapper(Layer):
    """The base of layers of your own that apply another one, which they have as `layer`.

    Args:
        layer: a layer, or its description in a file.
    """

    fields = ("layer",)

    def __init__(self, layer: Any, **options: Any) -> None:
        super().__init__(**options)
        self.layer = layer_of(self, "layer", layer)

    def build(self, input_shape: Any) -> None:
        if not self.layer.built:
            self.layer._build(input_shape)


class Pipeline(Layer):
    """Layers one after the other: of augmentation, in `dataset.map`, or in a model.

    Args:
        layers: in order.
    """

    fields = ("layers",)

    def __init__(self, layers: Sequence[Any], **options: Any) -> None:
        super().__init__(**options)
        if not isinstance(layers, list | tuple):
            raise argument_error(self, "layers", "a list of layers", layers)
        self._row = [layer_of(self, "layers", layer) for layer in layers]

    @property
    def layers(self) -> list[Layer]:
        """The layers, in order."""
        return list(self._row)

    def call(self, inputs: Any, training: bool = False) -> Any:
        for layer in self._row:
            inputs = layer(inputs, training=training)
        return inputs

    def get_config(self) -> dict[str, Any]:
        base = super().get_config()
        return {"name": base["name"], "layers": base["layers"]}

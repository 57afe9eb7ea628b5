"""Models made anew: the same layers with weights of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fanlight.errors import FanlightError
from fanlight.layers.layer import Layer
from fanlight.layers.model import InputLayer, Model, Sequential
from fanlight.layers.symbolic import Symbolic, mapped, symbols
from fanlight.tensor.caller import caller

Cloner = Callable[[Layer], Layer]


def clone_model(
    model: Model,
    input_tensors: Any = None,
    clone_function: Cloner | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
) -> Any:
    """A model with the same layers and new weights.

    Args:
        model: a `Sequential` or `fl.Model(inputs, outputs)`; of a class of your own, one that its
            `get_config` makes again.
        input_tensors: stand-ins that the new model begins with; default: new inputs.
        clone_function: what gives the new layer of a layer; default: another one of its config. It
            may give the layer itself, which both models have then.
        call_function: called with (layer, *args, **options) instead of the layer, whose result it
            gives. For `fl.Model(inputs, outputs)`.
        recursive: whether models inside are gone through, too, and not given to clone_function.

    Raises:
        FanlightError: E-LAYER-004 arguments that do not go with this model; E-LAYER-009 a class
            that its config does not make again.

    A model that was compiled is compiled as it was, with a new optimizer.
    """
    if not isinstance(model, Model):
        raise _wrong("model", "a model", model)
    custom = clone_function is not None or input_tensors is not None or call_function is not None
    rows = isinstance(model, Sequential)
    if custom and not (model.functional or rows):
        raise _wrong(
            "clone_function, input_tensors and call_function",
            "a Sequential, or fl.Model(inputs, outputs)",
            type(model).__name__,
        )
    if rows and call_function is not None:
        raise _wrong("call_function", "fl.Model(inputs, outputs): a row calls its layers", model)
    given = symbols(input_tensors) if input_tensors is not None else None
    if given is not None and len(given) != len(model.inputs or [None]):
        raise _wrong("input_tensors", f"{len(model.inputs)} stand-ins", input_tensors)
    cloner = _Cloner(clone_function or _again, call_function, recursive)
    made = cloner.model(model, input_tensors)
    if model._compiled is not None:
        _compile_as(made, model)
    return made


class _Cloner:
    """One call of `clone_model`; a layer that is used several times has one clone."""

    def __init__(self, clone: Cloner, call: Callable[..., Any] | None, recursive: bool) -> None:
        self.clone, self.call, self.recursive = clone, call, recursive
        self.known: dict[int, Layer] = {}

    def layer(self, layer: Layer) -> Layer:
        """The clone of a layer."""
        if id(layer) not in self.known:
            inside = isinstance(layer, Model) and (
                layer.functional or isinstance(layer, Sequential)
            )
            nested = self.recursive and inside
            made: Any = self.model(layer, None) if nested else self.clone(layer)  # type: ignore[arg-type]
            if not isinstance(made, Layer):
                raise _wrong("clone_function", "one that gives a layer", made)
            self.known[id(layer)] = made
        return self.known[id(layer)]

    def model(self, model: Model, begins: Any) -> Any:
        """The clone of a model, on these stand-ins or on new ones."""
        if isinstance(model, Sequential):
            return self._row(model, begins)
        if not model.functional:
            return _again(model)
        if begins is None:
            begins = mapped(model.inputs_form, _input_like)
        known = dict(zip(map(id, model.inputs), symbols(begins), strict=True))
        for node in model._order:
            if not node.args:
                continue
            args, options = mapped(node.as_called, lambda s: known[id(s)])
            layer = self.layer(node.layer)
            result = self.call(layer, *args, **options) if self.call else layer(*args, **options)
            known.update(zip(map(id, node.outputs), symbols(result), strict=True))
        outputs = mapped(model.outputs_form, lambda s: known[id(s)])
        kind = type(model) if "__init__" not in vars(type(model)) else Model
        clone = kind(begins, outputs, name=model.name)
        clone._trainable = model._trainable
        return clone

    def _row(self, model: Sequential, begins: Any) -> Sequential:
        made = Sequential(name=model.name, dtype=model.dtype_policy)
        if begins is not None:
            made.add(_input_like(symbols(begins)[0]))
        elif model._begin is not None:
            made.add(_input_like(model._begin.output))
        for layer in model._row:
            made.add(self.layer(layer))
        made._trainable = model._trainable
        return made


def _input_like(symbol: Symbolic) -> Any:
    layer = InputLayer(batch_shape=symbol.shape, dtype=symbol.dtype, name=symbol.name)
    return layer.output


def _again(layer: Layer) -> Layer:
    """A layer, or a model of somebody's own class, of the same config."""
    if isinstance(layer, Model) and not layer.functional and not isinstance(layer, Sequential):
        from fanlight.layers.describe import described_model

        described_model(layer)  # E-LAYER-009 tells what is missing
    kind = type(layer)
    own = layer.get_config()
    made: Any = kind.from_config(own)
    return made


def _compile_as(made: Model, model: Model) -> None:
    """Compile a model as another one is, with losses, metrics and an optimizer of its own."""
    from fanlight.layers import optimizers

    told = dict(model._compiled or {})
    optimizer = model.optimizer
    again = None if optimizer is None else type(optimizer).from_config(optimizer.get_config())
    made.compile(
        again if again is not None else optimizers.SGD(),
        _copied(told["loss"]),
        told["loss_weights"],
        _copied(told["metric"]),
        _copied(told["weighted"]),
        model._eager,
    )
    made._threads, made._memory = model._threads, model._memory


def _copied(value: Any) -> Any:
    """Losses and metrics are made again; names and functions are what they were."""
    if isinstance(value, list | tuple):
        return [_copied(v) for v in value]
    if isinstance(value, dict):
        return {k: _copied(v) for k, v in value.items()}
    if hasattr(value, "get_config") and hasattr(type(value), "from_config"):
        return type(value).from_config(value.get_config())
    return value


def _wrong(argument: str, expected: str, received: Any) -> FanlightError:
    return FanlightError(
        "E-LAYER-004",
        f"clone_model does not take this {argument}.",
        where=f"{argument}, {caller()}",
        expected=expected,
        received=received if isinstance(received, str) else repr(received)[:200],
    )


__all__ = ["clone_model"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

"""Layer: a function of tensors with weights, that names its arguments in a file."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fanlight.errors import FanlightError, MissingError
from fanlight.layers import (
    blank,
    config,
    constraints,
    initializers,
    policy,
    regularizers,
    scope,
    symbolic,
)
from fanlight.layers.checked import Checked
from fanlight.layers.symbolic import Node, Symbolic, symbols
from fanlight.layers.weight import Weight
from fanlight.ops.types import TensorType
from fanlight.tensor import Tensor, cast, random, tensor
from fanlight.tensor import functions as fn
from fanlight.tensor.caller import caller
from fanlight.tensor.calls import unheard
from fanlight.tensor.core import type_of
from fanlight.tensor.tape import flatten, unflatten
from fanlight.tensor.trace import capture

# What layers of Keras 2 and 3 say of themselves and ours do not have: None where it is off.
_OFF = (
    "gptq_unpacked_column_size",
    "lora_alpha",
    "lora_rank",
    "noise_shape",
    "quantization_config",
)
_COUNTS: dict[str, int] = {}


def unique_name(base: str) -> str:
    """dense, dense_1, dense_2, ... as Keras counts them."""
    count = _COUNTS.get(base, 0)
    _COUNTS[base] = count + 1
    return base if not count else f"{base}_{count}"


def clear_session() -> None:
    """Let names count from the beginning again."""
    _COUNTS.clear()


class Layer(Checked):
    """The base of all layers.

    A layer of your own has `build(input_shape)`, which makes weights by `add_weight`, and
    `call(x)`, or `call(x, training=False, mask=None)` where it asks for those.

    Args:
        name: default: that of the class, counted.
        trainable: whether training changes its weights.
        dtype: the name of a dtype policy, or one; default: that of `fl.set_dtype_policy`. Numbers
            are float32 whatever it says: see `DTypePolicy`.
        activity_regularizer: a penalty on what it gives, see `fl.regularizers`.
        input_shape: of the first layer of a `Sequential`: the shape of one example.

    Attributes:
        fields: names of the attributes that `get_config` writes and `__init__` takes.
        supports_masking: whether a mask of its input is one of its output.
        trains_alone: whether it behaves as in training where it is called by itself.
    """

    fields: tuple[str, ...] = ()
    supports_masking = False
    trains_alone = False
    keras_module = "keras.layers"

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
        activity_regularizer: Any = None,
        input_shape: Sequence[int | None] | None = None,
        batch_input_shape: Sequence[int | None] | None = None,
        input_dim: int | None = None,
    ) -> None:
        if name is not None and not isinstance(name, str):
            raise _argument(self, "name", "a text", name)
        self.name = name or unique_name(config.snake(type(self).__name__))
        self._trainable = bool(trainable)
        self.dtype_policy = policy.get(dtype, f"dtype of {self.name} ({type(self).__name__})")
        self.activity_regularizer = regularizers.get(activity_regularizer)
        given = input_shape if input_dim is None else (input_dim,)
        self.first_shape: tuple[int | None, ...] | None = None
        if batch_input_shape is not None:
            self.first_shape = tuple(batch_input_shape)
        elif given is not None:
            self.first_shape = (None, *given)
        self.built = False
        self.built_with: Any = None
        self._weights: list[Weight] = []
        self.nodes: list[Node] = []

    @property
    def dtype(self) -> str:
        """In which dtype Keras keeps its weights, as `dtype_policy` says."""
        return self.dtype_policy.variable_dtype

    variable_dtype = dtype

    @property
    def compute_dtype(self) -> str:
        """In which dtype Keras computes it, as `dtype_policy` says."""
        return self.dtype_policy.compute_dtype

    if not TYPE_CHECKING:  # attributes that are not there are errors to mypy

        def __getattr__(self, name: str) -> Any:
            """What is not there: said kindly where `__init__` of the base was never called."""
            if "_weights" not in vars(self) and not name.startswith("__"):
                kind = type(self).__name__
                raise MissingError(
                    "E-LAYER-004",
                    f"{kind} was made without the __init__ of its base.",
                    where=f"{kind}.__init__, {caller()}",
                    expected="super().__init__() as the first line of its __init__",
                    received=f"{kind} without {name}",
                )
            return object.__getattribute__(self, name)  # Python's own error, of a property its own

    # --- what a layer is made of ------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of this shape: a tuple with None for free sizes."""

    def call(self, inputs: Any) -> Any:
        """What the layer computes."""
        raise config.unwritten(self, "call")

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        """The mask of what it gives: bool tensors, or None."""
        return mask if self.supports_masking else None

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of what it gives for inputs of this shape; None where a size is free."""
        found = self.symbolic_outputs((_stand_ins(input_shape),), {})
        return found[0].shape if len(found) == 1 else [s.shape for s in found]

    def add_weight(
        self,
        shape: Sequence[int] = (),
        initializer: Any = None,
        name: str | None = None,
        *,
        dtype: str | None = None,
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
    ) -> Weight:
        """A new weight of the layer. Its initializer is glorot_uniform where none is given.

        Its dtype is float32 for every dtype of floating point, and where none is given.
        """
        dtype = policy.get(dtype or "float32", f"dtype of {name}, a weight of {self.name}").computed
        made = initializers.get(
            initializer or ("glorot_uniform" if dtype == "float32" else "zeros")
        )
        shape = tuple(int(n) if isinstance(n, np.integer) else n for n in shape)
        if any(not isinstance(n, int) or n < 0 for n in shape):
            raise FanlightError(
                "E-LAYER-001",
                f"layer {self.name} cannot be made for inputs of a free size.",
                where=f"{self.name}, {caller()}",
                expected=f"a size for every dim of its weight {name}",
                received=f"{tuple(shape)}",
                next="give fl.Input a shape with that size.",
            )
        empty = blank.claimed(shape, f"layer {self.name}")
        try:
            type_of(tuple(shape), dtype)
        except FanlightError as error:
            error.where = f"{name}, a weight of {self.name}, {error.where}"
            raise
        # Zeros that nobody has read or written are no memory yet.
        array = np.zeros(shape, dtype) if empty else np.asarray(made(tuple(shape), dtype))
        weight = Weight(
            tensor(array, dtype),
            trainable,
            name or f"weight_{len(self._weights)}",
            f"{self.name}/{name or f'weight_{len(self._weights)}'}",
            regularizers.get(regularizer),
            constraints.get(constraint),
            given=empty,
        )
        self._weights.append(weight)
        return weight

    def add_loss(self, loss: Any) -> None:
        """Say, within `call`, what training makes small beside the loss of the model.

        Args:
            loss: a number, numbers whose sum counts, or a list of such.
        """
        for value in loss if isinstance(loss, list | tuple) else [loss]:
            scope.add_loss(fn.sum(cast(tensor(value), "float32")))

    # --- being called -----------------------------------------------------------------------------

    def __call__(self, *args: Any, **options: Any) -> Any:
        if symbols((args, options)):
            return self._symbolic(args, options)
        try:
            args, options = tensors_of(args), tensors_of(options)
            return self._computed(args, options)
        except FanlightError as error:
            if f"layer {self.name}" not in str(error.where):
                error.where = f"layer {self.name} ({type(self).__name__}), {error.where}"
            raise
        except Exception as error:
            # Most layers rely on being called with one tensor of examples. Those of others may not.
            own = type(self).__module__.startswith("fanlight.") and not hasattr(self, "function")
            right = not args or (isinstance(args[0], Tensor) and args[0].rank > 0)
            if right or not own:
                raise
            expected = "an array, the first dim of which counts examples"
            raise input_error(self, expected, repr(args[0])[:200]) from error

    def _computed(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if not self.built:
            self._build(shapes_of(args[0]) if args else None)
        takes = _signature(type(self))
        if "training" in takes and options.get("training") is None:
            step = scope.current()
            options["training"] = step.training if step is not None else self.trains_alone
        if options.get("mask") is None:
            options.pop("mask", None)
        mask = options.get("mask", _masks(args[0]) if args else None)
        if "mask" in takes and mask is not None:
            options["mask"] = mask
        elif "mask" not in takes:
            options.pop("mask", None)
        if "training" not in takes:
            options.pop("training", None)
        step = scope.current()
        told = len(step.losses) if step is not None else 0
        result = self.call(*args, **options)
        if result is None and (step is None or len(step.losses) == told):
            kind = type(self).__name__
            raise config.nothing(f"layer {self.name} ({kind})", f"{kind}.call")
        if self.activity_regularizer is not None:
            for y in flatten(result)[0]:
                scope.add_loss(self.activity_regularizer(y) / float(y.shape[0]))
        if args:
            _set_masks(result, self.compute_mask(args[0], mask))
        if step is not None:
            step.called(self, args, result)
        return result

    def _build(self, shapes: Any) -> None:
        with scope.entered(scope.Building()):
            self.build(shapes)
        self.built, self.built_with = True, shapes

    def _symbolic(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if not self.built:
            self._build(shapes_of(args[0]))
        node = Node(self, args, options)
        made = self.symbolic_outputs(args, options)
        node.outputs = [Symbolic(s.shape, s.dtype, node, i) for i, s in enumerate(made)]
        self.nodes.append(node)
        return unflatten(node.outputs, self._form)

    def symbolic_outputs(self, args: tuple[Any, ...], options: dict[str, Any]) -> list[Symbolic]:
        """Shapes and dtypes of the results, found by calling the layer at two sizes."""
        if not self.built:
            self._build(shapes_of(args[0]))
        tried = [self._try(args, options, i) for i in range(len(symbolic.TRIALS))]
        node = Node(self, args, options)
        return [
            Symbolic(symbolic.untried([t[i].bound for t in tried]), tried[0][i].dtype, node, i)
            for i in range(len(tried[0]))
        ]

    def _try(self, args: Any, options: Any, trial: int) -> list[TensorType]:
        given = symbols((args, options))
        types = [TensorType(symbolic.trial_shape(s.shape, trial), s.dtype) for s in given]
        found: list[TensorType] = []

        def traced(parts: Sequence[Tensor]) -> dict[str, Tensor]:
            nonlocal found
            left = dict(zip(map(id, given), parts, strict=False))
            own = symbolic.mapped((args, options), lambda s: left[id(s)])
            with scope.entered(scope.Scope(key=random.key(0))):
                outputs, self._form = flatten(self(*own[0], **own[1]))
            found = [y.type for y in outputs]
            return {f"y{i}": y for i, y in enumerate(outputs)}

        with unheard():
            capture(traced, [f"x{i}" for i in range(len(types))], types, self.name)
        return found

    @property
    def input(self) -> Any:
        """The stand-ins of its only call."""
        return self._only().args[0]

    @property
    def output(self) -> Any:
        """What its only call with stand-ins gave."""
        outputs = self._only().outputs
        return outputs[0] if len(outputs) == 1 else outputs

    def _only(self) -> Node:
        if len(self.nodes) != 1:
            raise FanlightError(
                "E-LAYER-005",
                f"layer {self.name} has {len(self.nodes) or 'no'} places in a model.",
                where=caller(),
                expected="a layer that was called once with what fl.Input gave",
                received=f"{len(self.nodes)} calls",
                next="layer.nodes has each call with its inputs and outputs.",
            )
        return self.nodes[0]

    # --- weights ----------------------------------------------------------------------------------

    def sublayers(self) -> Iterator[Layer]:
        """The layers among its attributes, also in lists and dicts, in order."""
        for key, value in vars(self).items():
            if key not in ("nodes",):
                yield from _layers_in(value)

    @property
    def trainable(self) -> bool:
        """Whether training changes its weights; set, it holds for the layers inside, too."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for layer in self.sublayers():
            layer.trainable = value

    @property
    def weights(self) -> list[Weight]:
        """All weights: its own, those that train first; then those of the layers inside."""
        own = sorted(self._weights, key=lambda w: not w.trainable)
        found = {id(w): w for w in own}
        for layer in self.sublayers():
            found.update((id(w), w) for w in layer.weights)
        return list(found.values())

    @property
    def trainable_weights(self) -> list[Weight]:
        """The weights that training changes now."""
        if not self._trainable:
            return []  # nor those of the layers inside
        found = {id(w): w for w in self._weights if w.trainable}
        for layer in self.sublayers():
            found.update((id(w), w) for w in layer.trainable_weights)
        return list(found.values())

    @property
    def non_trainable_weights(self) -> list[Weight]:
        """The weights that training leaves alone, or that are not for an optimizer."""
        train = {id(w) for w in self.trainable_weights}
        return [w for w in self.weights if id(w) not in train]

    @property
    def state_variables(self) -> list[Weight]:
        """What it keeps from batch to batch, and is no weight: states of recurrent layers."""
        return [v for layer in self.sublayers() for v in layer.state_variables]

    def reset_states(self) -> None:
        """Let the recurrent layers inside forget what they keep from batch to batch."""
        for layer in self.sublayers():
            layer.reset_states()

    variables = weights
    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the weights' numbers, in the order of `weights`."""
        return [w.numpy().copy() for w in self.weights]

    def set_weights(self, arrays: Sequence[Any]) -> None:
        """Give all weights new numbers, in the order of `weights`.

        Raises:
            FanlightError: E-LAYER-006 listing every weight that does not fit; none is changed then.
        """
        assign_all(self.weights, arrays, self.name)

    def count_params(self) -> int:
        """Number of numbers in all weights."""
        return sum(w.size for w in self.weights)

    # --- configuration ----------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the layer again, as plain data."""
        base: dict[str, Any] = {
            "name": self.name,
            "trainable": self._trainable,
            "dtype": config.plain(self.dtype_policy),
        }
        base |= {field: config.plain(getattr(self, field)) for field in self.fields}
        if self.activity_regularizer is not None:
            base["activity_regularizer"] = config.plain(self.activity_regularizer)
        return base

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """The layer of such arguments."""
        own = {k: v for k, v in config.items() if k not in _OFF or v is not None}
        if own.get("autocast") is True:  # Keras writes it for classes without a get_config
            from fanlight.layers.registry import accepted

            if "autocast" not in accepted(cls):
                del own["autocast"]
        return cls(**own)

    def get_build_config(self) -> dict[str, Any] | None:
        """The shapes that it was built with."""
        return None if self.built_with is None else {"input_shape": self.built_with}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


# --- helpers --------------------------------------------------------------------------------------


def _argument(layer: Layer, argument: str, expected: str, received: Any) -> FanlightError:
    return FanlightError(
        "E-LAYER-004",
        f"{type(layer).__name__} does not take this {argument}.",
        where=f"{argument}, {caller()}",
        expected=expected,
        received=repr(received)[:200],
    )


def argument_error(layer: Layer, argument: str, expected: str, received: Any) -> FanlightError:
    """E-LAYER-004 of an argument of a layer."""
    return _argument(layer, argument, expected, received)


def input_error(
    layer: Layer, expected: str, received: Any, next: str | None = None
) -> FanlightError:
    """E-LAYER-001: what a layer was called with does not fit it."""
    return FanlightError(
        "E-LAYER-001",
        f"layer {layer.name} ({type(layer).__name__}) does not take this input.",
        where=f"layer {layer.name}, {caller()}",
        expected=expected,
        received=str(received),
        next=next,
    )


def channels_of(layer: Layer, shape: Any, rank: int | None = None, axis: int = -1) -> int:
    """The size of the last dim of an input shape, which has to be known; E-LAYER-001."""
    wrong = not isinstance(shape, tuple) or (rank is not None and len(shape) != rank)
    if wrong or not shape or shape[axis] is None:
        dims = f"{rank} dims" if rank is not None else "at least two dims"
        few = isinstance(shape, tuple) and (len(shape) < rank if rank else shape == (None,))
        then = (
            "the first dim counts examples: x[None] is a batch of one."
            if rank
            else "x[:, None] has one number in each example; fl.Input((1,)) in front does it."
        )
        expected = f"{dims}, the size of dim {axis} known"
        raise input_error(layer, expected, f"shape {shape}", then if few else None)
    return int(shape[axis])


def _signature(kind: type[Layer]) -> frozenset[str]:
    found = kind.__dict__.get("_takes")
    if found is None:
        parameters = inspect.signature(kind.call).parameters
        names = set(parameters)
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            names |= {"training", "mask"} & names
        found = frozenset(names)
        kind._takes = found  # type: ignore[attr-defined]
    return found


def tensors_of(value: Any) -> Any:
    """Arrays and lists of numbers among arguments as tensors; float64 becomes float32."""
    if isinstance(value, Tensor) or value is None or isinstance(value, bool | str | int | float):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return tensor(value)
    if isinstance(value, Mapping):
        return {k: tensors_of(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        made = [tensors_of(v) for v in value]
        several = any(isinstance(v, Tensor) or (isinstance(v, list | tuple) and v) for v in made)
        if made and isinstance(value, list) and not several:
            return tensor(value)  # nested lists of numbers
        return made if isinstance(value, list) else tuple(made)
    return value


def shapes_of(value: Any) -> Any:
    """The shape of an input, or the structure of those of several; None for how many examples."""
    if isinstance(value, Tensor):
        return (None, *value.shape[1:]) if value.rank else ()
    if isinstance(value, Symbolic):
        return value.shape
    if isinstance(value, Mapping):
        return {k: shapes_of(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [shapes_of(v) for v in value]
    return None


def _stand_ins(shape: Any) -> Any:
    if isinstance(shape, Mapping):
        return {k: _stand_ins(s) for k, s in shape.items()}
    if isinstance(shape, list) or (shape and isinstance(shape[0], tuple | list)):
        return [_stand_ins(s) for s in shape]
    return Symbolic(tuple(shape), "float32", None, 0)  # type: ignore[arg-type]


def _masks(value: Any) -> Any:
    if isinstance(value, list | tuple):
        found = scope.masks_of(value)
        return found if any(m is not None for m in found) else None
    return scope.mask_of(value)


def _set_masks(result: Any, mask: Any) -> None:
    if mask is None:
        return
    if isinstance(result, list | tuple):
        masks = mask if isinstance(mask, list | tuple) else [mask] * len(result)
        for y, m in zip(result, masks, strict=False):
            if isinstance(y, Tensor):
                scope.set_mask(y, m)
    elif isinstance(result, Tensor):
        scope.set_mask(result, mask[0] if isinstance(mask, list | tuple) else mask)


def _layers_in(value: Any) -> Iterator[Layer]:
    if isinstance(value, Layer):
        yield value
    elif value is None or isinstance(value, str | int | float):  # most are, and told fast
        return
    elif isinstance(value, Mapping):
        for v in value.values():
            yield from _layers_in(v)
    elif isinstance(value, list | tuple):
        for v in value:
            yield from _layers_in(v)


def assign_all(weights: Sequence[Weight], arrays: Sequence[Any], name: str) -> None:
    """Assign to weights in order; E-LAYER-006 with everything that does not fit."""
    given = [np.asarray(a) for a in arrays]
    wrong = []
    for i in range(max(len(weights), len(given))):
        own = f"{weights[i].path} {list(weights[i].shape)}" if i < len(weights) else "nothing"
        new = f"{list(given[i].shape)}" if i < len(given) else "nothing"
        if i >= len(weights) or i >= len(given) or weights[i].shape != given[i].shape:
            wrong.append(f"{own} from {new}")
    if wrong:
        raise FanlightError(
            "E-LAYER-006",
            f"{len(wrong)} of the weights do not fit {name}.",
            where=f"{name}, {caller()}",
            expected=f"{len(weights)} arrays with the shapes of {name}.weights",
            received="; ".join(wrong[:20]) + ("; ..." if len(wrong) > 20 else ""),
            next="compare model.summary() with the model that the weights are of.",
        )
    for weight, array in zip(weights, given, strict=True):
        weight.assign(cast(tensor(array), weight.dtype))

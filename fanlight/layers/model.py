"""Models: layers in a graph (`fl.Model(inputs, outputs)`), in a row, or in a class of your own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fanlight.errors import FanlightError
from fanlight.graph import Graph
from fanlight.layers import config, scope
from fanlight.layers.depths import depth_order
from fanlight.layers.foreign import instead, of_keras
from fanlight.layers.inputs import fitted, flat_dict, names_in
from fanlight.layers.layer import Layer, argument_error, tensors_of, unique_name
from fanlight.layers.nearest import meant
from fanlight.layers.symbolic import Node, Symbolic, form_of, mapped, symbols
from fanlight.layers.training import Trainer
from fanlight.tensor import Tensor, spec
from fanlight.tensor.caller import caller
from fanlight.tensor.names import METHODS_OF_MODELS, no_attribute
from fanlight.tensor.tape import flatten, sorted_keys
from fanlight.tensor.trace import trace


class InputLayer(Layer):
    """Where a model begins: `fl.Input` makes one.

    Args:
        shape: of one example; None where a size is free.
        batch_size: of all examples together, if it is fixed.
    """

    def __init__(
        self,
        shape: int | Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = "float32",
        *,
        batch_shape: Sequence[int | None] | None = None,
        **options: Any,
    ) -> None:
        whole = options.pop("batch_input_shape", batch_shape)  # as Keras 2 has it
        for unused in ("sparse", "ragged", "input_tensor", "optional"):
            options.pop(unused, None)
        super().__init__(
            name=options.pop("name", None), dtype="float32" if dtype is None else dtype, **options
        )
        if not isinstance(whole, list | tuple | None):
            raise argument_error(self, "batch_shape", "sizes, None for free ones", whole)
        if whole is None and shape is None:
            raise FanlightError(
                "E-LAYER-004",
                "an input needs a shape.",
                where=f"shape, {caller()}",
                expected="fl.Input((28, 28, 1)): the shape of one example",
                received="no shape",
            )
        sizes = (shape,) if isinstance(shape, int) else shape
        self.batch_shape = tuple(whole) if whole is not None else (batch_size, *(sizes or ()))
        for n in self.batch_shape:
            if n is not None and (not isinstance(n, int) or n < 1):
                raise FanlightError(
                    "E-LAYER-004",
                    "this is not the shape of an input.",
                    where=f"shape, {caller()}",
                    expected="whole numbers from 1 on, and None for sizes that are free",
                    received=repr(self.batch_shape),
                )
        self.built = True
        node = Node(self, (), {})
        node.outputs = [Symbolic(self.batch_shape, self.dtype_policy.computed, node, 0)]
        self.nodes.append(node)

    def call(self, inputs: Any) -> Any:
        return inputs

    def get_config(self) -> dict[str, Any]:
        shape = list(self.batch_shape)
        return {"batch_shape": shape, "dtype": self.dtype_policy.name, "name": self.name}


def Input(  # Keras's name
    shape: int | Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: Any = "float32",
    *,
    name: str | None = None,
    batch_shape: Sequence[int | None] | None = None,
) -> Symbolic:
    """A stand-in for the input of a model: layers are called with it.

    Args:
        shape: of one example, None for a free size: `fl.Input((28, 28, 1))`. The model that begins
            here takes arrays that have a last dim of size 1 more or less, too: [n, 28, 28].
        batch_size: how many examples there always are, if that is fixed.
        batch_shape: the whole shape, instead of both.
    """
    layer = InputLayer(
        shape, batch_size, dtype, batch_shape=batch_shape, name=name or unique_name("input_layer")
    )
    made: Symbolic = layer.output
    return made


class Model(Trainer, Layer):
    """Layers that make one function together.

    `fl.Model(inputs, outputs)` is what lies between stand-ins: each a `Symbolic`, or a list or dict
    of them. A class of your own makes layers in `__init__` and calls them in `call`.

    Attributes:
        labels: names of the classes, if a page that trained the model had some; the task of a
            build takes them where it is given none.

    Raises:
        FanlightError: E-LAYER-005 the outputs need an input that is not among the inputs.
    """

    labels: Sequence[str] | None = None

    def __init__(
        self, inputs: Any = None, outputs: Any = None, *, name: str | None = None, **options: Any
    ) -> None:
        base = "functional" if inputs is not None else config.snake(type(self).__name__)
        super().__init__(name=name or unique_name(base), **options)
        self._set_up()
        self.inputs_form, self.outputs_form = inputs, outputs
        self._built_types: list[str] | None = None  # of the inputs of its first call
        self._order: list[Node] = []
        if (inputs is None) != (outputs is None):
            raise FanlightError(
                "E-LAYER-005",
                "a model needs its inputs and its outputs.",
                where=caller(),
                expected="fl.Model(inputs, outputs), or a class with `call`",
                received="inputs alone" if outputs is None else "outputs alone",
            )
        if inputs is not None:
            self._connect(inputs, outputs)

    def _connect(self, inputs: Any, outputs: Any) -> None:
        self.inputs_form, self.outputs_form = inputs, outputs
        self._order = _ordered(symbols(inputs), symbols(outputs), self.name)
        # As Keras orders them: weights in files, and what get_weights gives, are in this order.
        self._layers: list[Layer] = depth_order(self)
        names = [layer.name for layer in self._layers]
        twice = sorted(n for n, count in Counter(names).items() if count > 1)
        if twice:
            raise FanlightError(
                "E-LAYER-005",
                "layers of a model have the same name.",
                where=f"{self.name}, {caller()}",
                expected="names that differ",
                received=", ".join(twice),
            )
        self.built = True
        self.built_with = mapped(inputs, lambda s: s.shape)

    if not TYPE_CHECKING:  # attributes that are not there are errors to mypy

        def __getattr__(self, name: str) -> Any:
            if name in METHODS_OF_MODELS and "_weights" in vars(self):
                raise no_attribute(f"{type(self).__name__!r} object", name, METHODS_OF_MODELS)
            return super().__getattr__(name)

    # --- structure --------------------------------------------------------------------------------

    @property
    def functional(self) -> bool:
        """Whether it is made of stand-ins, and so can be saved without its class."""
        return bool(self._order)

    @property
    def uncallable(self) -> bool:
        """Whether it is a class that does not say what it computes as a whole."""
        return not self.functional and type(self).call is Model.call

    @property
    def layers(self) -> list[Layer]:
        """The layers, in order."""
        return list(self._layers) if self.functional else list(self.sublayers())

    def sublayers(self) -> Iterator[Layer]:
        if self.functional:
            yield from self._layers
        else:
            seen: set[int] = set()
            for layer in super().sublayers():
                if id(layer) not in seen:
                    seen.add(id(layer))
                    yield layer

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or its place; E-LAYER-007."""
        layers = self.layers
        if index is not None and -len(layers) <= index < len(layers):
            return layers[index]
        for layer in layers:
            if index is None and layer.name == name:
                return layer
        raise FanlightError(
            "E-LAYER-007",
            "the model has no such layer.",
            where=f"{self.name}.get_layer, {caller()}",
            expected=", ".join(x.name for x in layers[:40]),
            received=repr(name) if index is None else f"index {index}",
            next=meant(name, [x.name for x in layers]) if index is None else None,
        )

    @property
    def inputs(self) -> list[Symbolic]:
        """The stand-ins that it begins with; those of a dict in the order of its sorted keys."""
        return symbols(self.inputs_form)

    @property
    def outputs(self) -> list[Symbolic]:
        """The stand-ins that it gives; those of a dict in the order of its sorted keys."""
        return symbols(self.outputs_form)

    @property
    def input(self) -> Any:
        return self.inputs_form if self.functional else super().input

    @property
    def output(self) -> Any:
        return self.outputs_form if self.functional else super().output

    @property
    def input_shape(self) -> Any:
        """Shape or shapes of the inputs, None where a size is free."""
        return mapped(self.inputs_form, lambda s: s.shape)

    @property
    def output_shape(self) -> Any:
        """Shape or shapes of the outputs, None where a size is free."""
        return mapped(self.outputs_form, lambda s: s.shape)

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, in their order: those of a dict, else of the layers that give
        them.
        """
        return names_in(self.outputs_form)

    # --- being called -----------------------------------------------------------------------------

    def __call__(self, *args: Any, **options: Any) -> Any:
        if args and self._built_types is None and not self.functional:
            found = symbols(args[0]) or flatten(tensors_of(args[0]))[0]
            self._built_types = [str(x.dtype) for x in found]
        return super().__call__(*args, **options)

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        """What the layers give, one after the other."""
        if not self.functional:
            raise config.unwritten(self, "call")
        known: dict[int, Any] = {}
        given = fitted(self.name, self.inputs_form, self.inputs, inputs)
        for symbol, x in zip(self.inputs, given, strict=True):
            known[id(symbol)] = x
        for node in self._order:
            if not node.args:
                continue
            args, options = mapped((node.args, node.options), lambda s: known[id(s)])
            if "training" not in options and training is not None:
                options = {**options, "training": training}
            results, _ = flatten(node.layer(*args, **options))
            known.update(zip(map(id, node.outputs), results, strict=True))
        return mapped(self.outputs_form, lambda s: known[id(s)])

    def recalled(self, inputs: Sequence[Symbolic]) -> Any:
        """What the layers give for other stand-ins: each is called once more, with the same
        weights. This model stays as it is.
        """
        known = {id(s): x for s, x in zip(self.inputs, inputs, strict=True)}
        for node in self._order:
            if node.args and not all(id(s) in known for s in node.outputs):
                args, options = mapped((node.args, node.options), lambda s: known[id(s)])
                results = symbols(node.layer(*args, **options))
                known.update(zip(map(id, node.outputs), results, strict=True))
        return mapped(self.outputs_form, lambda s: known[id(s)])

    def symbolic_outputs(self, args: tuple[Any, ...], options: dict[str, Any]) -> list[Symbolic]:
        if not self.functional or all(s.dtype != "string" for s in self.inputs):
            return super().symbolic_outputs(args, options)
        # Texts cannot be traced; the shapes inside are known.
        node = Node(self, args, options)
        self._form = form_of(self.outputs_form)
        return [Symbolic(s.shape, s.dtype, node, i) for i, s in enumerate(self.outputs)]

    @property
    def host(self) -> bool:
        """Whether a model that has this one inside computes it on the host: see hosted.py."""
        inside = any(getattr(n.layer, "host", False) for n in self._order)
        return inside and not self.trainable_weights

    # --- building ---------------------------------------------------------------------------------

    @property
    def graph(self) -> Graph:
        """The graph of one example, as `fl.build` takes it: what `predict` computes."""
        return self.graph_of({n: ((1, *s), d) for n, (s, d) in self._examples().items()})

    def graph_of(self, types: Mapping[str, tuple[Sequence[int], str]]) -> Graph:
        """The graph for inputs of these shapes, batch included, and dtypes, by their names."""
        inputs = {n: spec(tuple(s), d) for n, (s, d) in types.items()}

        def whole(parts: dict[str, Tensor]) -> Any:
            with scope.entered(scope.Scope()):
                result = self(self.arranged(list(parts.values())))
            flat, _ = flatten(result)
            if flat_dict(result):
                return dict(zip(sorted_keys(result), flat, strict=True))
            if len(flat) == 1:
                return {_output_name(self): flat[0]}
            return dict(zip(_unique(self.output_names, len(flat)), flat, strict=True))

        fn = _with_arguments(whole, list(inputs))
        return trace(fn, inputs, self.name)

    def _build_as(self, shapes: Any, types: Sequence[str] | None = None) -> None:
        """Make the weights of a class of one's own, by a call with stand-ins.

        Args:
            shapes: of the inputs, as it is called with them: one, or a list or dict of some.
            types: their dtypes, in order; default: float32.
        """
        left = iter(types or ())

        def stand_in(shape: Any) -> Any:
            if isinstance(shape, Mapping):
                made = {k: stand_in(shape[k]) for k in sorted_keys(shape)}
                return {k: made[k] for k in shape}
            if isinstance(shape, list):
                return [stand_in(s) for s in shape]
            return Symbolic(tuple(shape), next(left, "float32"), None, 0)  # type: ignore[arg-type]

        self.symbolic_outputs((stand_in(shapes),), {})

    def input_types(self) -> dict[str, tuple[tuple[int | None, ...], str]]:
        """Of each input by its name: its whole shape, None for free sizes, and the dtype.

        Raises:
            FanlightError: E-LAYER-002 it is not built.
        """
        if not self.built:
            raise not_built(self)
        flat = _flat_shapes(self.input_shape if self.functional else self.built_with)
        types = [s.dtype for s in self.inputs] if self.functional else self._built_types
        names = self._input_names(len(flat))
        pairs = zip(map(tuple, flat), types or ["float32"] * len(flat), strict=True)
        return dict(zip(names, pairs, strict=True))

    def _examples(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Of each input by its name: the shape of one example, and the dtype.

        Raises:
            FanlightError: E-LAYER-002 it is not built; E-LAYER-001 sizes that are free.
        """
        types = self.input_types()
        for n, (shape, _) in types.items():
            if any(size is None for size in shape[1:]):
                raise FanlightError(
                    "E-LAYER-001",
                    f"an input of {self.name} has sizes that are free.",
                    where=f"{self.name}, {caller()}",
                    expected="a size for every dim but the first",
                    received=f"{n}: {list(shape)}",
                    next="give fl.Input the shape that the page will have.",
                )
        return {n: (tuple(int(d or 0) for d in s[1:]), t) for n, (s, t) in types.items()}

    @property
    def batched(self) -> dict[str, bool]:
        """The inputs whose first dim counts examples: all of them."""
        shapes = self.built_with if not self.functional else self.input_shape
        return dict.fromkeys(self._input_names(len(_flat_shapes(shapes))), True)

    def _input_names(self, count: int) -> list[str]:
        if self.functional:
            if flat_dict(self.inputs_form):
                return sorted_keys(self.inputs_form)
            return _unique(names_in(self.inputs_form), count)
        names = sorted_keys(self.built_with) if isinstance(self.built_with, Mapping) else []
        if len(names) == count and all(str(n).isidentifier() for n in names):
            return names
        return ["x"] if count == 1 else [f"x{i}" for i in range(count)]

    # --- configuration ----------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Layers and how they are connected, as Keras 3 writes it."""
        from fanlight.layers.describe import functional_config

        if not self.functional:
            return super().get_config()
        return functional_config(self)

    def described(self) -> dict[str, Any]:
        """Its class and config, as files have it."""
        from fanlight.layers.describe import described_model

        return described_model(self)

    def to_json(self, **options: Any) -> str:
        """The layers and their connections as JSON text, which `fl.model_from_json` reads.

        Args:
            options: of json.dumps: indent=2.
        """
        from fanlight.layers.describe import to_json

        return to_json(self, **options)

    def save(self, path: Any, overwrite: bool = True, include_optimizer: bool = True) -> None:
        """Write the model with its weights, and what training needs to go on.

        Args:
            path: a name that ends in .keras, .h5, .hdf5 or .safetensors (which Fanlight alone
                reads as a model, and others as weights); a folder, or its model.json, for TF.js.
                An older file is replaced when all of the new one is written.
            overwrite: whether there may be an older one.
            include_optimizer: whether compile's arguments and the optimizer's state go with it.

        Raises:
            FanlightError: E-LAYER-009 what such a file cannot hold; E-LAYER-010 a path that cannot
                be written.
        """
        from fanlight.layers.saving import save_model

        save_model(self, path, overwrite, include_optimizer)

    def save_weights(self, path: Any, overwrite: bool = True) -> None:
        """Write the weights: a name that ends in .weights.h5, .h5 or .safetensors."""
        from fanlight.layers.saving import save_weights

        save_weights(self, path, overwrite)

    def load_weights(self, path: Any, by_name: bool = False, skip_mismatch: bool = False) -> None:
        """Give the weights the numbers of a file that any of `save` and `save_weights` wrote.

        Args:
            by_name: layers go by their names and not by their places; those that the file does not
                have stay as they are.
            skip_mismatch: weights that do not fit stay as they are.

        Raises:
            FanlightError: E-LAYER-006 listing every weight that does not fit; none is changed then.
        """
        from fanlight.layers.saving import load_weights

        load_weights(self, path, by_name, skip_mismatch)

    def load_torch_state(
        self, state: Any, names: Mapping[str, str] | None = None, strict: bool = True
    ) -> Any:
        """Give the weights the numbers of a PyTorch module: all that it has, or an error.

        Kernels, gates, projections of attention and the features behind a Flatten are brought into
        this model's layouts, a Linear into a 1x1 convolution and back; weights that weight_norm
        and spectral_norm keep in parts are put together. Layers and modules meet by `names`, else
        by name if every layer has a module of its name (block/conv and block.conv), else in order
        among those of a kind.

        Args:
            state: `module.state_dict()`, or a dict of arrays in its order, or the path of a
                .safetensors file. PyTorch itself is not needed; its pickles are never opened.
            names: layer -> module, for some or all of them: {"dense_1": "head.fc"}. The second
                layer of a stacked recurrent module "rnn" is "rnn_l1".
            strict: whether everything has to be placed. If not, weights that nothing fits keep
                their numbers, and what is left over is told.

        Returns:
            (missing, unexpected): weights that got nothing, names that nobody took; with strict
            both are empty. Counters of batch normalisation (num_batches_tracked) are left out.

        Raises:
            FanlightError: E-LAYER-006 with all that does not fit, or modules of a file that cannot
                be told apart; E-FORMAT-002 a pickle; E-LAYER-002 the model has no weights yet.
        """
        from fanlight.layers.torch_state import load_torch_state

        return load_torch_state(self, state, names, strict)

    def summary(
        self,
        line_length: int | None = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
    ) -> None:
        """Print the layers with their output shapes and numbers of weights.

        Args:
            line_length: columns; default: those of the terminal.
            print_fn: called with the text, instead of printing it.
            expand_nested: whether the layers of models inside have lines, too.
            show_trainable: whether a column says which layers train.
        """
        from fanlight.layers.summary import summary

        summary(self, line_length, print_fn, expand_nested, show_trainable)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        from fanlight.layers.describe import model_from_config

        if "layers" in config:
            return model_from_config(config, cls)
        return cls(**config)


class Sequential(Model):
    """Layers in a row.

    Args:
        layers: the first one may be what `fl.Input` gives; without one, the model is built when it
            is called first.
    """

    def __init__(
        self, layers: Sequence[Any] | None = None, *, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(name=name or unique_name("sequential"), dtype=dtype)
        self._row: list[Layer] = []
        self._begin: InputLayer | None = None
        self._ends: list[Any] = []  # what each layer of the row gives
        self._extend(layers or ())

    def add(self, layer: Any) -> None:
        """Put a layer at the end."""
        self._extend((layer,))

    def _extend(self, layers: Sequence[Any]) -> None:
        """Put layers at the end, and connect all of them once."""
        for layer in layers:
            self._append(layer)
        if layers:
            self._row_changed()

    def _append(self, layer: Any) -> None:
        if isinstance(layer, Symbolic) and isinstance(layer.node.layer, InputLayer):
            layer = layer.node.layer
        if not isinstance(layer, Layer):
            raise FanlightError(
                "E-LAYER-004",
                "a Sequential is made of layers.",
                where=f"{self.name}, {caller()}",
                expected="a layer, or fl.Input(shape) first",
                received=repr(layer)[:100],
                next=instead(layer)
                if of_keras(layer)
                else "a class is no layer yet: fl.layers.Flatten(), with parentheses."
                if isinstance(layer, type)
                else None,
            )
        if isinstance(layer, InputLayer):
            self._begin, self._ends = layer, []
        else:
            if not self._row and self._begin is None:
                shape = layer.first_shape
                if shape is None and isinstance(layer, Model) and layer.functional:
                    shape = layer.input_shape
                if shape is not None:
                    self._begin = InputLayer(batch_shape=shape, name=unique_name("input_layer"))
            self._row.append(layer)

    def pop(self) -> Layer:
        """Take the last layer away, and give it."""
        last = self._row.pop()
        for end in self._ends[len(self._row) :]:
            last.nodes = [node for node in last.nodes if node is not symbols(end)[0].node]
        del self._ends[len(self._row) :]
        self._row_changed()
        return last

    def _row_changed(self) -> None:
        self._forget()
        self._order = []
        self.built = False
        if self._begin is not None and self._row:
            self._chain()

    def _chain(self) -> None:
        """Call the layers that have not been called yet, each with what the one before gives."""
        assert self._begin is not None
        begin = self._begin.nodes[0].outputs[0]
        for layer in self._row[len(self._ends) :]:
            self._ends.append(layer(self._ends[-1] if self._ends else begin))
        self._connect(begin, self._ends[-1])

    def build(self, input_shape: Any) -> None:
        if not self._row:
            raise not_built(self)
        if not self.functional:
            self._begin = InputLayer(batch_shape=input_shape, name=unique_name("input_layer"))
            self._ends = []
            self._chain()

    @property
    def layers(self) -> list[Layer]:
        return list(self._row)

    def sublayers(self) -> Iterator[Layer]:
        yield from self._row

    def get_config(self) -> dict[str, Any]:
        from fanlight.layers.describe import sequential_config

        return sequential_config(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        from fanlight.layers.describe import sequential_from_config

        return sequential_from_config(config)


def not_built(model: Layer) -> FanlightError:
    """E-LAYER-002: the shape of the input is not known yet."""
    return FanlightError(
        "E-LAYER-002",
        f"{model.name} has no weights yet: the shape of its input is not known.",
        where=f"{model.name}, {caller()}",
        expected="a model that begins with fl.Input(shape), or that was called",
        received="no shape",
        next="call it once, or put fl.Input(shape) in front.",
    )


def _ordered(inputs: Sequence[Symbolic], outputs: Sequence[Symbolic], name: str) -> list[Node]:
    """The calls between inputs and outputs, each after those that it needs."""
    begins = {id(s) for s in inputs}
    if not inputs or not outputs:
        raise FanlightError(
            "E-LAYER-005",
            "a model is made of what fl.Input and layers gave.",
            where=f"{name}, {caller()}",
            expected="fl.Model(inputs, outputs)",
            received="no inputs" if not inputs else "no outputs",
        )
    order: list[Node] = [s.node for s in inputs if not s.node.args]
    done = {id(n) for n in order}
    stack = [(s.node, False) for s in reversed(outputs) if id(s) not in begins]
    while stack:
        node, ready = stack.pop()
        if id(node) in done:
            continue
        if ready:
            order.append(node)
            done.add(id(node))
            continue
        if not node.args:
            raise FanlightError(
                "E-LAYER-005",
                f"the outputs of {name} need an input that is not among its inputs.",
                where=f"{name}, {caller()}",
                expected=", ".join(s.name for s in inputs),
                received=node.layer.name,
                next="give it to fl.Model, too: inputs=[a, b].",
            )
        stack.append((node, True))
        stack += [(s.node, False) for s in reversed(node.inputs) if id(s) not in begins]
    return order


def _flat_shapes(shapes: Any) -> list[tuple[int | None, ...]]:
    if isinstance(shapes, Mapping):
        return [s for key in sorted_keys(shapes) for s in _flat_shapes(shapes[key])]
    if isinstance(shapes, list) or (shapes and isinstance(shapes[0], tuple | list)):
        return [s for v in shapes for s in _flat_shapes(v)]
    return [tuple(shapes)]


def _unique(names: Sequence[str], count: int) -> list[str]:
    if len(names) != count or len(set(names)) < count:
        return [f"output_{i}" for i in range(count)]
    return list(names)


def _output_name(model: Model) -> str:
    if model.functional and not flat_dict(model.outputs_form):
        return model.output_names[0]
    return "output"


def _with_arguments(fn: Any, names: Sequence[str]) -> Any:
    """A function of arguments with these names, for `trace`."""
    import inspect

    kind = inspect.Parameter.KEYWORD_ONLY

    def called(**parts: Tensor) -> Any:
        return fn(parts)

    called.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(n, kind) for n in names]
    )
    return called

"""A ModelConfig and a store of weights -> a graph. All Keras doors end here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from fanlight.errors import FanlightError
from fanlight.formats.emitter import Emitter, Tensor
from fanlight.formats.inventory import Inventory, listed
from fanlight.formats.keras import activations, basic, convolution, pooling  # noqa: F401
from fanlight.formats.keras.call import LAYERS, Dialect, LayerCall, Shared, policy
from fanlight.formats.keras.config import (
    LAMBDA_CODE,
    MODELS,
    CallConfig,
    LayerConfig,
    ModelConfig,
    TensorRef,
    free_shape,
    is_bytecode,
    parse_model,
    snake_keys,
)
from fanlight.formats.keras.numbering import Numbering
from fanlight.formats.keras.operations import FUNCTIONS, OPERATIONS
from fanlight.formats.keras.stores import BlankStore, LayerRef, Store
from fanlight.formats.names import output_names, tally
from fanlight.formats.source import Options, Port, Source, check_options, static_shape
from fanlight.formats.spatial import from_nhwc, to_nhwc
from fanlight.formats.together import told_apart
from fanlight.graph import Builder

_WRAPPERS = ("TimeDistributed",)
_DTYPES = {"float32", "int32", "bool", "uint8"}
_NARROWED = {
    "int64": "int32", "int8": "int32", "int16": "int32", "uint16": "int32", "uint32": "int32",
    "float64": "float32", "float16": "float32", "bfloat16": "float32",
    "mixed_float16": "float32", "mixed_bfloat16": "float32",
}  # fmt: skip


def import_model(
    model: ModelConfig, store: Store, dialect: Dialect, options: Options, kind: str
) -> Source:
    """Import a whole model; with its batch fixed if examples of one meet.

    Raises:
        FanlightError: E-FORMAT-014 with every unsupported layer at once, and the other codes.
    """
    _refuse_unsupported(model)
    source = _imported(model, store, dialect, options, kind)
    if not _may_mix(model):
        return source
    return told_apart(
        source, options, lambda asked: _imported(model, BlankStore(), dialect, asked, kind)
    )


def _may_mix(model: ModelConfig) -> bool:
    """Whether there are functions, or layers along the first dim: others keep examples apart."""
    for layer in model.layers:
        inner = _inner(layer) if layer.kind in _WRAPPERS else layer
        axes = layer.config.get("axes", layer.config.get("axis"))
        first = axes == 0 or (isinstance(axes, list | tuple) and 0 in axes)
        if first or _operation(layer) or (inner.model is not None and _may_mix(inner.model)):
            return True
    return False


def _imported(
    model: ModelConfig, store: Store, dialect: Dialect, options: Options, kind: str
) -> Source:
    builder = Builder(model.name)
    run = _Import(Shared(Emitter(builder, options.sketch), store, dialect), options)
    inputs, ports = run.inputs(model, builder)
    results, wanted = run.apply(model, inputs, (), "layers")
    names = output_names(wanted, [p.name for p in ports])
    outputs = {n: run.shared.em.value(t, n) for n, t in zip(names, results, strict=True)}
    batch = any(p.batched for p in ports)
    left = store.unused()
    if left:
        run.shared.warnings.append(
            f"{len(left)} stored weights belong to no layer: {', '.join(left[:8])}"
        )
    return Source(
        graph=builder.finish(outputs),
        format=kind,
        inputs=ports,
        outputs=tuple(
            Port(n, w, batch and tuple(t.shape[:1]) == (1,))
            for n, w, t in zip(names, wanted, results, strict=True)
        ),
        warnings=tuple(dict.fromkeys(run.shared.warnings)),
        results=run.shared.em.results,
    )


def inventory(model: ModelConfig) -> Inventory:
    """The layers of a model and of those inside it, by class."""
    found: list[tuple[str, str]] = []
    read: set[str] = {"InputLayer", *LAYERS}
    waiting = [model]
    while waiting:
        for item in waiting.pop().layers:
            if item.model is not None:
                waiting.append(item.model)
                continue
            kind = item.kind
            if kind in _WRAPPERS:
                inner = _inner(item)
                if inner.model is not None:
                    waiting.append(inner.model)
                    continue
                kind = inner.kind
            if kind == "Lambda" and is_bytecode(item.config.get("function")):
                kind = LAMBDA_CODE
            if kind == "TFOpLambda":
                function = str(item.config.get("function"))
                kind = f"TFOpLambda {function}"
                read |= {kind} if function in FUNCTIONS else set()
            elif _operation(item):
                read.add(kind)
            elif item.op and kind in LAYERS:
                kind = f"ops.{kind}"  # a function that has the name of a layer
            found.append((kind, item.name))
    return listed(found, read.__contains__, layers=True)


def _refuse_unsupported(model: ModelConfig) -> None:
    unknown = inventory(model).unknown
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        raise FanlightError(
            "E-FORMAT-014",
            f"the model uses {len(unknown)} kind{plural} of layer that are not read as graphs.",
            where=model.where,
            expected=f"some of the {len(LAYERS)} kinds of layer that docs/formats.md lists",
            received=tally(unknown),
            next="fl.load_model(path) makes recurrent, attention and other layers of fl.layers, "
            "and classes that you register; fl.build builds what it gives.",
        )


def _operation(layer: LayerConfig) -> str:
    """The key of OPERATIONS if the layer is arithmetic, else "".

    The .h5 files of Keras 3 leave out the module, so that `x + 3` looks like the layer Add;
    but no layer takes a number.
    """
    own = layer.op or layer.kind not in LAYERS
    numbers = any(not isinstance(v, TensorRef) for call in layer.calls for v in call.operands)
    for kind in (layer.kind, f"ops.{layer.kind}"):
        if kind in OPERATIONS and (kind == layer.kind or numbers or own):
            return kind
    return ""


def _inner(layer: LayerConfig) -> LayerConfig:
    """The layer, or the model, inside a wrapper."""
    entry = snake_keys(layer.config.get("layer"), layer.where)
    raw = entry.get("config")
    config = {"layers": raw} if isinstance(raw, list) else snake_keys(raw, layer.where)
    kind, name = entry.get("class_name"), config.get("name") or layer.name
    if not isinstance(kind, str) or not isinstance(name, str):
        raise FanlightError(
            "E-FORMAT-005",
            "a wrapper holds no layer.",
            where=layer.where,
            expected='"layer" with a class_name and a config',
            received=repr(entry)[:80],
        )
    model = parse_model(entry, layer.where) if kind in MODELS else None
    return LayerConfig(kind, name, config, (), layer.where, model)


class _Import:
    def __init__(self, shared: Shared, options: Options) -> None:
        self.shared = shared
        self.options = options

    # --- inputs

    def inputs(self, model: ModelConfig, builder: Builder) -> tuple[list[Tensor], tuple[Port, ...]]:
        """Declare the graph's inputs."""
        layers = {layer.name: layer for layer in model.layers}
        if model.kind == "Sequential":
            declared = [self._sequential_input(model)]
        else:
            declared = []
            for ref in model.inputs:
                item = layers.get(ref.layer)
                if item is None or item.kind != "InputLayer":
                    raise FanlightError(
                        "E-FORMAT-016",
                        f"the input {ref.layer!r} is no InputLayer of the model.",
                        where=model.where,
                        expected="the name of an InputLayer",
                        received=ref.layer[:120],
                    )
                declared.append((item.name, _declared_shape(item), _input_dtype(item), item.where))
        check_options(self.options, {name: dims for name, dims, _, _ in declared}, model.where)
        values: list[Tensor] = []
        ports = []
        for name, dims, dtype, where in declared:
            given = self.options.input_shapes.get(name)
            if dims is None and given is None:
                raise FanlightError(
                    "E-FORMAT-017",
                    f"the model does not say the shape of its input {name!r}.",
                    where=where,
                    expected="an InputLayer or a layer with a batch_input_shape",
                    received="no shape",
                    next=f"say it: fl.load(path, input_shapes={{{name!r}: (1, 28, 28)}}).",
                )
            free = (None, *given[1:]) if dims is None and given else dims or ()
            shape, batched = static_shape(name, free, self.options, where, examples=True)
            value = builder.input(name, shape, dtype)
            values.append(value)
            ports.append(Port(value.name, name, batched))
        return values, tuple(ports)

    def _sequential_input(
        self, model: ModelConfig
    ) -> tuple[str, tuple[int | None, ...] | None, str, str]:
        """Name, shape and dtype of the input of a Sequential, wherever the file keeps them."""
        first = model.layers[0] if model.layers else None
        if first is None:
            raise FanlightError(
                "E-FORMAT-005",
                "the model has no layers.",
                where=model.where,
                expected="at least one layer",
                received="an empty Sequential",
            )
        name, outer = first.name, first
        while first.model is not None and first.model.layers:
            first = first.model.layers[0]  # Teachable Machine nests Sequentials
        dims = _declared_shape(first) or model.input_shape or _built_shape(outer)
        if first.kind == "InputLayer":
            return (first.name if first is outer else f"{name}_input", dims, _input_dtype(first),
                    model.where)  # fmt: skip
        if dims is None and f"{name}_input" not in self.options.input_shapes:
            dims = self._dense_shape(model)
        dtype = "int32" if first.kind == "Embedding" else "float32"
        return f"{name}_input", dims, dtype, model.where

    def _dense_shape(self, model: ModelConfig) -> tuple[int | None, ...] | None:
        """A dense layer's kernel says how many numbers the flattened input has."""
        paths = _paths(model, "layers")
        for layer in model.layers:
            if layer.kind == "Dense":
                ref = LayerRef((layer.name,), paths[layer.name])
                shape = self.shared.store.shape(ref, ["kernel"], 0)
                if shape and len(shape) == 2:
                    self.shared.warnings.append(
                        f"the file does not say the input's shape; the kernel of {layer.name!r} "
                        f"takes {shape[0]} numbers, so that is what the input is."
                    )
                    return (None, shape[0])
            if layer.kind not in ("Flatten", "Dropout", "Activation"):
                break
        return None

    # --- layers

    def apply(
        self, model: ModelConfig, inputs: Sequence[Tensor], scope: tuple[str, ...], path: str
    ) -> tuple[list[Tensor], list[str]]:
        """The outputs of a model on `inputs`, and their names."""
        if model.kind == "Sequential":
            return self._apply_sequential(model, inputs, scope, path)
        return self._apply_functional(model, inputs, scope, path)

    def _apply_sequential(
        self, model: ModelConfig, inputs: Sequence[Tensor], scope: tuple[str, ...], path: str
    ) -> tuple[list[Tensor], list[str]]:
        paths = _paths(model, path)
        values, name = list(inputs), model.name
        for layer in model.layers:
            if layer.kind != "InputLayer":
                values = self._call(layer, values, scope, paths[layer.name])
                name = layer.name
        names = [name] if len(values) == 1 else [f"{name}_{i}" for i in range(len(values))]
        return values, names

    def _apply_functional(
        self, model: ModelConfig, inputs: Sequence[Tensor], scope: tuple[str, ...], path: str
    ) -> tuple[list[Tensor], list[str]]:
        layers = {layer.name: layer for layer in model.layers}
        paths = _paths(model, path)
        if len(inputs) != len(model.inputs):
            raise FanlightError(
                "E-FORMAT-005",
                f"the model {model.name!r} is called with the wrong number of inputs.",
                where=model.where,
                expected=len(model.inputs),
                received=len(inputs),
            )
        numbering = _numbering(model)
        done: dict[tuple[str, int], list[Tensor]] = {
            (ref.layer, 0): [value] for ref, value in zip(model.inputs, inputs, strict=True)
        }

        def inner(ref: TensorRef) -> TensorRef:
            return replace(ref, call=numbering.inner(ref.layer, ref.call))

        def made(ref: TensorRef) -> Tensor:
            results = done[ref.layer, ref.call]
            if ref.tensor >= len(results):
                raise _missing(ref, f"an output of {ref.layer!r}", model.where)
            return results[ref.tensor]

        def tensor(ref: TensorRef) -> Tensor:
            return made(inner(ref))

        ends = [replace(r, call=numbering.end(r.layer, r.call)) for r in model.outputs]
        for name, index in _order(model, layers, ends, inner, set(done)):
            layer = layers[name]
            call = layer.calls[index]
            values = [tensor(ref) for ref in call.inputs]
            if _operation(layer):
                result = self._operation(layer, call, tensor, values, scope)
                self.shared.em.result("/".join((*scope, name)), result)
                done[(name, index)] = [result]
            else:
                _check_call(layer, call)
                done[(name, index)] = self._call(layer, values, scope, paths[name])
        names = list(model.output_names) or [ref.layer for ref in model.outputs]
        return [made(ref) for ref in ends], names

    def _call(
        self, layer: LayerConfig, inputs: Sequence[Tensor], scope: tuple[str, ...], path: str
    ) -> list[Tensor]:
        """One call of a layer; its last one is what its name stands for."""
        made = self._called(layer, inputs, scope, path)
        self.shared.em.result("/".join((*scope, layer.name)), made[0] if made else None)
        return made

    def _called(
        self,
        layer: LayerConfig,
        inputs: Sequence[Tensor],
        scope: tuple[str, ...],
        path: str,
        wrapper: str | None = None,
    ) -> list[Tensor]:
        inner = (*scope, layer.name)
        if layer.model is not None:
            return self.apply(layer.model, inputs, inner, f"{path}/layers")[0]
        if layer.kind in _WRAPPERS:
            return self._time_distributed(layer, inputs, inner, path)
        if layer.kind not in LAYERS:
            raise FanlightError(
                "E-FORMAT-005",
                f"{layer.kind} cannot be called here.",
                where=layer.where,
                expected="a layer",
                received=layer.kind[:120],
            )
        call = LayerCall(self.shared, layer, LayerRef(inner, path, wrapper), inputs)
        self._check_policy(layer)
        try:
            made = self._in_layout(call)
        except FanlightError as error:
            if error.code.startswith("E-OP-"):
                error.where = f"{layer.where}: {error.where}"
            raise
        call.check_options()
        return list(made) if isinstance(made, list | tuple) else [made]

    def _operation(
        self,
        layer: LayerConfig,
        config: CallConfig,
        tensor: Callable[[TensorRef], Tensor],
        values: Sequence[Tensor],
        scope: tuple[str, ...],
    ) -> Tensor:
        """`x * 2 + y` in a functional model: arithmetic that is a layer of its own."""
        call = LayerCall(self.shared, layer, LayerRef((*scope, layer.name), ""), values)

        def resolve(value: object) -> object:
            return tensor(value) if isinstance(value, TensorRef) else value

        call.operands = [resolve(v) for v in config.operands]
        call.options = {k: resolve(v) for k, v in config.options.items()}
        y = OPERATIONS[_operation(layer)](call)
        call.check_options()
        return y

    def _in_layout(self, call: LayerCall) -> Tensor:
        """Run the importer; channels_first is channels_last between two transposes."""
        layouts = ("channels_last", "channels_first")
        if call.text("data_format", "channels_last", layouts) == "channels_last":
            return LAYERS[call.layer.kind](call)
        rank = len(call.x.shape)
        call.inputs = [to_nhwc(call.em, call.x, call.name)]
        y = LAYERS[call.layer.kind](call)
        # Flatten, and global pooling without keepdims, leave no image behind.
        return from_nhwc(call.em, y, call.name) if len(y.shape) == rank else y

    def _time_distributed(
        self, layer: LayerConfig, inputs: Sequence[Tensor], scope: tuple[str, ...], path: str
    ) -> list[Tensor]:
        """[N, T, ...] as [N * T, ...] through the inner layer, and back."""
        if len(inputs) != 1 or len(inputs[0].shape) < 3:
            raise FanlightError(
                "E-FORMAT-012",
                "TimeDistributed needs one input [batch, time, ...].",
                where=layer.where,
                expected="one tensor of rank 3 or more",
                received=[list(t.shape) for t in inputs],
            )
        x, name = inputs[0], "/".join(scope)
        batch, time = x.shape[:2]
        flat = self.shared.em.reshape(x, (batch * time, *x.shape[2:]), f"{name}/frames")
        made = self._called(_inner(layer), [flat], scope, f"{path}/layer", layer.name)
        return [
            self.shared.em.reshape(y, (batch, time, *y.shape[1:]), f"{name}/time") for y in made
        ]

    def _check_policy(self, layer: LayerConfig) -> None:
        name = policy(layer.config)
        if name is None or name in _DTYPES:
            return
        if name not in _NARROWED:
            raise FanlightError(
                "E-FORMAT-012",
                "this dtype policy is not supported.",
                where=layer.where,
                expected="float32, or a mixed policy",
                received=name[:80],
                next="save the model before it was quantized: fl.quantize makes int8 of it."
                if "Policy" in name
                else None,
            )
        self.shared.warnings.append(f"layers of dtype {name} compute in {_NARROWED[name]}.")


def _declared_shape(layer: LayerConfig) -> tuple[int | None, ...] | None:
    for name in ("batch_input_shape", "batch_shape"):
        shape = free_shape(layer.config.get(name))
        if shape is not None:
            return shape
    shape = free_shape(layer.config.get("input_shape"))
    return None if shape is None else (None, *shape)


def _built_shape(layer: LayerConfig) -> tuple[int | None, ...] | None:
    built = layer.config.get("build_config")
    shape = built.get("input_shape") if isinstance(built, dict) else None
    return free_shape(shape) or (layer.model.input_shape if layer.model else None)


def _input_dtype(layer: LayerConfig) -> str:
    name = policy(layer.config) or "float32"
    dtype = _NARROWED.get(name, name)
    if dtype not in _DTYPES:
        raise FanlightError(
            "E-FORMAT-012",
            "an input of this dtype is not supported.",
            where=layer.where,
            expected=", ".join(sorted(_DTYPES)),
            received=name[:80],
        )
    return dtype


def _paths(model: ModelConfig, prefix: str) -> dict[str, str]:
    """layer name -> where a .keras file keeps its weights: counted per class, in order."""
    counts: dict[str, int] = {}
    paths = {}
    for layer in model.layers:
        base = re.sub(r"\W+", "", layer.kind)
        base = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", base)
        base = re.sub(r"([a-z])([A-Z])", r"\1_\2", base).lower()
        count = counts.get(base, 0)
        counts[base] = count + 1
        paths[layer.name] = f"{prefix}/{base}_{count}" if count else f"{prefix}/{base}"
    return paths


def _numbering(model: ModelConfig) -> Numbering:
    """Which calls the references of a functional model mean."""
    calls = [call for layer in model.layers for call in layer.calls]
    nested = {layer.name: layer for layer in model.layers if layer.model}
    return Numbering(
        {name: len(layer.calls) for name, layer in nested.items()},
        [(r.layer, r.call) for call in calls for r in call.inputs],
        [(r.layer, r.call) for r in model.outputs],
        old=all(call.listed for call in calls),
        nested={name for name, layer in nested.items() if layer.kind != "Sequential"},
    )


def _order(
    model: ModelConfig,
    layers: Mapping[str, LayerConfig],
    ends: Sequence[TensorRef],
    inner: Callable[[TensorRef], TensorRef],
    done: set[tuple[str, int]],
) -> list[tuple[str, int]]:
    """The calls that the outputs need, each after those that feed it.

    Args:
        ends: the outputs, with the calls that they mean.
        inner: a reference of a call, with the call that it means.
    """
    order: list[tuple[str, int]] = []
    finished = set(done)
    for output in ends:
        path: dict[tuple[str, int], None] = {}
        stack = [(output, False)]
        while stack:
            ref, leaving = stack.pop()
            here = (ref.layer, ref.call)
            if leaving:
                del path[here]
                finished.add(here)
                order.append(here)
                continue
            if here in finished:
                continue
            layer = layers.get(ref.layer)
            if layer is None or not 0 <= here[1] < len(layer.calls):
                raise _missing(ref, "a call of a layer of the model", model.where)
            if here in path:
                loop = [*(name for name, _ in list(path)[list(path).index(here) :]), ref.layer]
                raise FanlightError(
                    "E-FORMAT-015",
                    "the layers of the model feed each other in a circle.",
                    where=layer.where,
                    expected="layers that can be computed one after the other",
                    received=" <- ".join(loop[:12]),
                )
            path[here] = None
            stack.append((ref, True))
            stack.extend((inner(r), False) for r in layer.calls[here[1]].inputs)
    return order


def _missing(ref: TensorRef, expected: str, where: str) -> FanlightError:
    return FanlightError(
        "E-FORMAT-016",
        "a layer takes its input from a tensor that the model does not have.",
        where=where,
        expected=expected,
        received=f"{ref.layer[:120]}, call {ref.call}, output {ref.tensor}",
    )


def _check_call(layer: LayerConfig, call: CallConfig) -> None:
    """Refuse arguments but for those that inference may ignore: training=False, mask=None."""
    extra = {k: v for k, v in call.options.items() if k != "training" and v not in (None, False)}
    constants = [v for v in call.operands if not isinstance(v, TensorRef)]
    if constants:
        extra["args"] = constants
    if extra:
        raise FanlightError(
            "E-FORMAT-012",
            f"{layer.kind} is called with arguments that Fanlight does not know.",
            where=layer.where,
            expected="tensors only",
            received=repr(extra)[:200],
        )

"""Models as plain data, as Keras 3 writes them: layers, and which result goes where."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.layers import config
from fanlight.layers.config import made_of
from fanlight.layers.depths import depth_order
from fanlight.layers.layer import Layer
from fanlight.layers.operations import Operation
from fanlight.layers.symbolic import Node, Symbolic, mapped
from fanlight.tensor import Tensor
from fanlight.tensor.caller import caller

if TYPE_CHECKING:
    from fanlight.layers.model import Model, Sequential

KERAS_VERSION = "3.15.1"


def layer_from(description: Any, known: dict[str, Any]) -> Layer:
    """The layer of a description; E-LAYER-003 for one that is not known."""
    made: Layer = config.lookup("layer", description, known)
    return made


def described_model(model: Model) -> dict[str, Any]:
    """A model with its class, as `model.to_json()` has it."""
    from fanlight.layers.model import Model, Sequential

    kind = type(model)
    name = config.registered_name(kind)
    module, class_name = None, kind.__name__
    if name is None and kind is Sequential:
        module = "keras"
    elif name is None and (kind is Model or model.functional):
        module, class_name, name = "keras.src.models.functional", "Functional", "Functional"
    elif name is None:
        raise FanlightError(
            "E-LAYER-009",
            "a model of a class of your own is not in a file by itself: its code is in Python.",
            where=f"{model.name} ({kind.__name__}), {caller()}",
            expected="fl.Model(inputs, outputs), fl.Sequential, or a registered class",
            received=kind.__name__,
            next="save_weights keeps its numbers; @fl.register() above the class, with a "
            "get_config, lets a file name it.",
        )
    own = model.get_config()
    if not model.functional and not isinstance(model, Sequential):
        _check_remade(model, own)
    made: dict[str, Any] = {
        "module": module,
        "class_name": class_name,
        "config": own,
        "registered_name": name,
    }
    if model.built:
        shape = model.built_with
        if model.functional:
            shape = model.input_shape if isinstance(model, Sequential) else None
        made["build_config"] = {"input_shape": plain_shape(shape)}
        if not model.functional and set(model._built_types or ()) - {"float32"}:
            made["build_config"]["input_dtype"] = model._built_types
    return made


def _check_remade(model: Model, own: Mapping[str, Any]) -> None:
    """E-LAYER-009 if `__init__` of a class of somebody's own does not take what its config has."""
    kind = type(model)
    if "from_config" in vars(kind):
        return
    try:
        inspect.signature(kind).bind(**own)
    except TypeError as error:
        raise FanlightError(
            "E-LAYER-009",
            "a class of your own cannot be made again of what its get_config gives.",
            where=f"{model.name} ({kind.__name__}), {caller()}",
            expected=f"__init__ of {kind.__name__} that takes {', '.join(own)}",
            received=str(error),
            next="write a get_config that gives the arguments of __init__; save_weights keeps the "
            "numbers without it.",
        ) from None


def to_json(model: Model, **options: Any) -> str:
    """The description of a model as text."""
    return json.dumps(described_model(model), **options)


# --- writing --------------------------------------------------------------------------------------


def sequential_config(model: Sequential) -> dict[str, Any]:
    """The layers in their row."""
    begin = model._begin
    layers = [*([begin] if begin is not None and model.functional else []), *model._row]
    made: dict[str, Any] = {
        "name": model.name,
        "trainable": model.trainable,
        "dtype": config.plain(model.dtype_policy),
        "layers": [_entry(layer, None) for layer in layers],
    }
    if model.functional:
        made["build_input_shape"] = plain_shape(model.input_shape)
    return made


def functional_config(model: Model) -> dict[str, Any]:
    """Layers, and which result of which goes where."""
    begun = [s.name for s in model.inputs if s.node.args]
    if begun:
        raise FanlightError(
            "E-LAYER-009",
            "a model that begins inside another one cannot be described by itself.",
            where=f"{model.name}, {caller()}",
            expected="inputs that fl.Input gave",
            received=", ".join(begun),
            next="call the layers again, with what fl.Input(shape) gives.",
        )
    places = node_places(model)

    def ref(symbol: Symbolic) -> list[Any]:
        return [symbol.node.layer.name, places[id(symbol.node)], symbol.index]

    firsts = {id(layer): _first(layer) for layer in model._layers}

    def within(symbol: Symbolic) -> list[Any]:
        # Between layers, Keras 3 does not count the call that made a nested model.
        name, place, index = ref(symbol)
        return [name, place - firsts[id(symbol.node.layer)], index]

    layers = []
    for layer in depth_order(model):
        entry = _entry(layer, model)
        entry["name"] = layer.name
        entry["inbound_nodes"] = [_node(n, within) for n in calls_of(model, layer)]
        layers.append(entry)
    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": layers,
        "input_layers": mapped(model.inputs_form, ref),
        "output_layers": mapped(model.outputs_form, ref),
    }


def calls_of(model: Model, layer: Layer) -> list[Node]:
    """The calls of a layer within a model, in order."""
    return [n for n in layer.nodes if n.args and any(n is other for other in model._order)]


def node_places(model: Model) -> dict[int, int]:
    """Which call of its layer a node is, as files count: a nested model's first call is call 1."""
    places: dict[int, int] = {}
    for layer in model._layers:
        first = _first(layer)
        calls = calls_of(model, layer) or layer.nodes[:1]
        places |= {id(node): first + i for i, node in enumerate(calls)}
    return places


def _first(layer: Layer) -> int:
    """How the first call of a layer counts."""
    from fanlight.layers.model import Model, Sequential

    return int(isinstance(layer, Model) and not isinstance(layer, Sequential) and layer.functional)


def _entry(layer: Layer, model: Model | None) -> dict[str, Any]:
    """A layer in the list of a model's layers."""
    made = config.described(layer)
    if model is not None and any(len(n.args) > 1 for n in calls_of(model, layer)):
        return made
    shape = layer.built_with
    simple = isinstance(shape, tuple) and all(n is None or isinstance(n, int) for n in shape)
    if "build_config" not in made and shape and simple:
        made["build_config"] = {"input_shape": plain_shape(shape)}
    return made


def _node(node: Node, ref: Any) -> dict[str, Any]:
    def keras_tensor(symbol: Symbolic) -> dict[str, Any]:
        dtype = _keras_dtype(symbol)
        where = {"shape": list(symbol.shape), "dtype": dtype, "keras_history": ref(symbol)}
        return {"class_name": "__keras_tensor__", "config": where}

    layer = node.layer
    args, options = node.as_called
    args = layer.operands_in_file(args) if isinstance(layer, Operation) else args
    return {
        "args": [_tupled(mapped(a, keras_tensor)) for a in args],
        "kwargs": {k: _tupled(mapped(v, keras_tensor)) for k, v in options.items()},
    }


def _keras_dtype(symbol: Symbolic) -> str:
    """The dtype that a tensor has where Keras computes it, as the policy of its layer says."""
    from fanlight.layers.model import Model

    layer = symbol.node.layer
    if symbol.dtype != "float32":
        return symbol.dtype
    if isinstance(layer, Model):
        inner = layer.outputs[symbol.index : symbol.index + 1] if layer.functional else []
        return _keras_dtype(inner[0]) if inner else symbol.dtype
    policy = layer.dtype_policy
    return policy.compute_dtype if policy.computed == "float32" else symbol.dtype


def _tupled(value: Any) -> Any:
    """Arguments as plain data; a tuple says that it is one."""
    if isinstance(value, tuple):
        return {"class_name": "__tuple__", "items": [_tupled(v) for v in value]}
    if isinstance(value, list):
        return [_tupled(v) for v in value]
    if isinstance(value, Mapping):
        return {k: _tupled(v) for k, v in value.items()}
    if isinstance(value, slice):
        own = {"start": value.start, "stop": value.stop, "step": value.step}
        return {"class_name": "__slice__", "config": own}
    if value is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(value, np.ndarray | Tensor):
        array = np.asarray(value)
        own = {"value": array.tolist(), "dtype": str(array.dtype)}
        return {"class_name": "__numpy__", "config": own}
    return config.plain(value)


def plain_shape(shape: Any) -> Any:
    """A shape, or a structure of shapes, as lists."""
    if isinstance(shape, Mapping):
        return {k: plain_shape(v) for k, v in shape.items()}
    if isinstance(shape, list | tuple):
        return [plain_shape(v) for v in shape]
    return shape


# --- reading --------------------------------------------------------------------------------------


def model_from_config(config: Mapping[str, Any], kind: type) -> Any:
    """The model of a functional description."""
    from fanlight.layers.reading import Reader

    return Reader("a config").functional(config, kind)


def sequential_from_config(config: Any) -> Any:
    """The Sequential of a description."""
    from fanlight.layers.reading import Reader

    return Reader("a config").sequential(config)


def model_from_json(text: str | bytes, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The model that `model.to_json()`, of Fanlight, Keras 2, Keras 3 or TF.js, describes.

    Its weights are new.

    Args:
        custom_objects: layers and functions of your own by the names that the text has for them.

    Raises:
        FanlightError: E-FORMAT-003 to 005 no description; E-LAYER-008 with all layers that are
            not known, and how to register them.
    """
    from fanlight.formats.jsonfile import parse_json
    from fanlight.layers.reading import Reader

    data = text.encode() if isinstance(text, str) else bytes(text)
    description = parse_json(data, "the JSON text")
    version = description.get("keras_version") if isinstance(description, dict) else None
    with config.custom_objects(custom_objects):
        return Reader("the JSON text", *dialect(str(version or "3."))).whole(description)


def serialize(layer: Layer) -> dict[str, Any]:
    """What a file has for a layer or a model: class name and arguments, without weights."""
    return config.described(layer)


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> Layer:
    """The layer or the model that `serialize` described, of Fanlight or of Keras; its weights are
    new.

    Args:
        custom_objects: layers and functions of your own by the names that it has for them.

    Raises:
        FanlightError: E-LAYER-008 a layer that is not known; E-LAYER-004 arguments that do not fit.
    """
    from fanlight.layers.reading import Reader

    made: Layer = made_of(Reader("a description").layer, config, custom_objects)
    return made


def dialect(version: str) -> tuple[bool, bool]:
    """Whether a version means Keras 2 or TF.js, whose words differ; and whether it means TF.js."""
    tfjs = "tfjs" in version.lower() or "tensorflow.js" in version.lower()
    return tfjs or not version.removeprefix("keras v").startswith(("3", "4")), tfjs


__all__ = [
    "described_model",
    "deserialize",
    "functional_config",
    "layer_from",
    "model_from_config",
    "model_from_json",
    "sequential_config",
    "sequential_from_config",
    "serialize",
    "to_json",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

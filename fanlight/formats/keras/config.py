"""Keras model configs of every dialect -> ModelConfig.

Keras 2 and 3 and TF.js write the same thing in different words (camelCase or snake_case keys,
nested lists or `__keras_tensor__` objects for connections, `batch_input_shape` or
`batch_shape`). What is read here is keyed on what is there, never on a version number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fanlight.errors import FanlightError
from fanlight.formats.jsonfile import expect

MODELS = ("Sequential", "Functional", "Model")
_MAX_NESTING = 24


@dataclass(frozen=True)
class TensorRef:
    """Output `tensor` of call number `call` of a layer."""

    layer: str
    call: int = 0
    tensor: int = 0


@dataclass(frozen=True)
class CallConfig:
    """One call of a layer.

    Attributes:
        inputs: the tensors that it gets.
        options: what was passed by keyword, unless it is a tensor.
        operands: what was passed by position, tensors and constants in order.
        listed: whether the file has it as a list, as Keras 2 and TF.js do, and not as arguments.
    """

    inputs: tuple[TensorRef, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    operands: tuple[Any, ...] = ()
    listed: bool = True


@dataclass(frozen=True)
class LayerConfig:
    """One layer; `model` is set if it is a model itself, `op` if it is a function of keras.ops."""

    kind: str
    name: str
    config: Mapping[str, Any]
    calls: tuple[CallConfig, ...]
    where: str
    model: ModelConfig | None = None
    op: bool = False


@dataclass(frozen=True)
class ModelConfig:
    """A model: layers and, unless it is Sequential, its inputs and outputs."""

    kind: str
    name: str
    layers: tuple[LayerConfig, ...]
    inputs: tuple[TensorRef, ...]
    outputs: tuple[TensorRef, ...]
    output_names: tuple[str, ...]
    input_shape: tuple[int | None, ...] | None
    where: str


# A kind of layer that no reader has: its function is compiled Python in the file.
LAMBDA_CODE = "Lambda of Python bytecode"


def is_bytecode(value: Any) -> bool:
    """Whether a function of a Lambda is Python bytecode, by Keras 2 a list and by Keras 3 a dict.

    It could do anything, and means something to one version of Python alone: it is never run.
    """
    if isinstance(value, Mapping):
        inner = value.get("config")
        return value.get("class_name") == "__lambda__" or (
            isinstance(inner, Mapping) and "code" in inner
        )
    return isinstance(value, list | tuple) and len(value) == 3 and isinstance(value[0], str)


def parse_model(value: Any, where: str, depth: int = 0) -> ModelConfig:
    """A model config {class_name, config}.

    Raises:
        FanlightError: E-FORMAT-005 malformed, E-FORMAT-014 if it is no Sequential or Functional.
    """
    entry = snake_keys(value, where)
    kind = _kind(entry, where)
    if kind not in MODELS or depth > _MAX_NESTING:
        raise FanlightError(
            "E-FORMAT-014",
            "the model is neither Sequential nor Functional.",
            where=where,
            expected=", ".join(MODELS),
            received=kind[:80],
            next="rebuild it as a functional model: subclassed models keep their code in Python.",
        )
    config = entry.get("config")
    if isinstance(config, list):  # Keras before 2.3 wrote the layers of a Sequential alone
        config = {"layers": config}
    config = snake_keys(config, where)
    name = config.get("name") or entry.get("name") or kind.lower()
    name = expect(name, str, "the name of the model", where)
    sequential = kind == "Sequential"
    layers = tuple(
        _parse_layer(item, where, sequential, depth)
        for item in expect(config.get("layers"), list, '"layers"', where)
    )
    seen: set[str] = set()
    for layer in layers:
        if layer.name in seen:
            raise FanlightError(
                "E-FORMAT-005",
                "two layers have one name.",
                where=layer.where,
                expected="every layer under a name of its own",
                received=layer.name[:120],
            )
        seen.add(layer.name)
    built = config.get("build_input_shape")
    if built is None and isinstance(entry.get("build_config"), dict):
        built = entry["build_config"].get("input_shape")
    names: list[str] = []
    inputs: tuple[TensorRef, ...] = ()
    outputs: tuple[TensorRef, ...] = ()
    if not sequential:
        inputs = tuple(_refs(config.get("input_layers"), '"input_layers"', where, []))
        outputs = tuple(_refs(config.get("output_layers"), '"output_layers"', where, names))
        names = names or listed_names(config, len(outputs))
        if not outputs:
            raise FanlightError(
                "E-FORMAT-005",
                "the model has no outputs.",
                where=where,
                expected='names of layers in "output_layers"',
                received="none",
            )
    return ModelConfig(kind, name, layers, inputs, outputs, tuple(names), free_shape(built), where)


def is_op(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of a model's layers is a function of keras.ops, and no layer.

    The .h5 files of Keras 3 leave out the module, which tells it; but all layers have their dtype
    in their config there, and whether they train, and functions have neither.
    """
    module, own, nodes = entry.get("module"), entry.get("config"), entry.get("inbound_nodes")
    if module:
        return isinstance(module, str) and module.startswith("keras.src.ops")
    if not isinstance(own, dict) or not isinstance(nodes, list) or entry.get("registered_name"):
        return False
    by_keras_3 = any(isinstance(node, dict) and "args" in node for node in nodes)
    return by_keras_3 and not {"dtype", "trainable", "layers"} & set(own)


def _kind(entry: Mapping[str, Any], where: str) -> str:
    kind = expect(entry.get("class_name"), str, '"class_name"', where)
    if entry.get("module") and is_op(entry):
        return f"ops.{kind}"  # an operation, not the layer of the same name
    return kind


def _parse_layer(value: Any, where: str, sequential: bool, depth: int) -> LayerConfig:
    entry = snake_keys(value, where)
    kind = _kind(entry, where)
    raw = entry.get("config")
    config = {} if isinstance(raw, list) else snake_keys(raw, f"a {kind} in {where}")
    name = expect(entry.get("name") or config.get("name"), str, "the name of a layer", where)
    here = f"layer {name!r} ({kind}) in {where}"
    calls: list[CallConfig] = []
    if not sequential:
        for node in expect(entry.get("inbound_nodes") or [], list, '"inbound_nodes"', here):
            calls.append(_parse_call(node, here))
    model = parse_model(entry, here, depth + 1) if kind in MODELS else None
    if "build_config" in entry and "build_config" not in config:
        config["build_config"] = entry["build_config"]
    return LayerConfig(kind, name, config, tuple(calls), here, model, is_op(entry))


def _parse_call(node: Any, where: str) -> CallConfig:
    if isinstance(node, dict):
        return _parse_call_keras3(snake_keys(node, where), where)
    items = expect(node, list, "a call", where)
    if items and isinstance(items[0], str):  # one tensor, not wrapped in a list
        items = [items]
    refs: list[TensorRef] = []
    operands: list[Any] = []
    options: dict[str, Any] = {}
    for item in items:
        if isinstance(item, list) and item[:1] == ["_CONSTANT_VALUE"] and len(item) >= 3:
            operands.append(item[2])
        else:
            refs.append(_ref(item, "a call", where))
            operands.append(refs[-1])
        if len(item) > 3 and isinstance(item[3], dict):
            options.update({k: v for k, v in item[3].items() if v is not None})
    # An operation's further operands are among its options, tensors as ["layer", 0, 0].
    for key in ("x", "y", "b"):
        value = options.get(key)
        if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
            refs.append(_ref(value, "a call", where))
            options[key] = refs[-1]
    return CallConfig(tuple(refs), options, tuple(operands))


def _parse_call_keras3(node: Mapping[str, Any], where: str) -> CallConfig:
    """{args, kwargs} with tensors as objects, anywhere inside."""
    inputs: list[TensorRef] = []
    operands: list[Any] = []
    for arg in expect(node.get("args") or [], list, '"args"', where):
        before = len(inputs)
        _keras_tensors(arg, inputs)
        found = inputs[before:]
        operands += found or ([] if arg is None else [arg])
    options: dict[str, Any] = {}
    for key, item in expect(node.get("kwargs") or {}, dict, '"kwargs"', where).items():
        before = len(inputs)
        _keras_tensors(item, inputs)
        if len(inputs) > before:
            operands += inputs[before:]
        elif item is not None:
            options[key] = item
    return CallConfig(tuple(inputs), options, tuple(operands), listed=False)


def _keras_tensors(value: Any, found: list[TensorRef]) -> None:
    """Append the tensors in a (bounded) structure of lists and dicts, in order: those of a dict by
    its sorted keys, as Keras counts them.
    """
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict) and item.get("class_name") == "__keras_tensor__":
            config = item.get("config")
            history = config.get("keras_history") if isinstance(config, dict) else None
            found.append(_ref(history, "keras_history", "a call"))
        elif isinstance(item, dict):
            stack.extend(item[key] for key in sorted(item, reverse=True))
        elif isinstance(item, list):
            stack.extend(reversed(item))


def _ref(item: Any, what: str, where: str) -> TensorRef:
    if (
        isinstance(item, list)
        and len(item) >= 3
        and isinstance(item[0], str)
        and all(isinstance(i, int) and 0 <= i < 1 << 20 for i in item[1:3])
    ):
        return TensorRef(item[0], int(item[1]), int(item[2]))
    raise FanlightError(
        "E-FORMAT-005",
        f"{what} does not name a tensor.",
        where=where,
        expected='["layer", 0, 0]',
        received=repr(item)[:80],
    )


def _refs(value: Any, what: str, where: str, names: list[str]) -> list[TensorRef]:
    """The tensors of input_layers / output_layers: lists and dicts of references, in order.

    Keras counts the parts of a dict by its sorted keys; `names` gets them, if nothing is nested.
    """
    refs: list[TensorRef] = []
    stack = [value if isinstance(value, dict) else expect(value, list, what, where)]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(item[key] for key in sorted(item, reverse=True))
        elif isinstance(item, list) and not (item and isinstance(item[0], str)):
            stack.extend(reversed(item))
        else:
            refs.append(_ref(item, what, where))
    if isinstance(value, dict) and len(value) == len(refs):
        names += sorted(value)
    return refs


def listed_names(config: Mapping[str, Any], count: int) -> list[str]:
    """The keys of a dict of outputs, which Fanlight writes beside the list that TF.js takes."""
    names = config.get("output_names")
    if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names):
        return []
    return names if len(set(names)) == len(names) == count else []


def snake(name: str) -> str:
    """camelCase -> snake_case; snake_case stays."""
    return name if name.islower() else re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def snake_keys(value: Any, where: str) -> dict[str, Any]:
    """An object with its own keys in snake_case (values are left alone)."""
    return {snake(k): v for k, v in expect(value, dict, "a config", where).items()}


def free_shape(value: Any) -> tuple[int | None, ...] | None:
    """A shape with None for free dims, or None if `value` is no shape."""
    if isinstance(value, dict):  # {"class_name": "__tuple__", "items": [...]}
        value = value.get("items")
    if not isinstance(value, list) or len(value) > 8:
        return None
    if not all(
        d is None or (isinstance(d, int) and not isinstance(d, bool) and -1 <= d < 1 << 40)
        for d in value
    ):
        return None
    return tuple(None if d is None or d < 1 else d for d in value)

"""Descriptions of models, as Keras 2, Keras 3 and TF.js write them, to models.

What is read is keyed on what is there, not on a version: Keras 2 and TF.js write
`inbound_nodes` as lists of ["layer", call, result, arguments], Keras 3 as arguments with
`__keras_tensor__` objects in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.jsonfile import expect
from fanlight.formats.keras.call import policy
from fanlight.formats.keras.config import (
    LAMBDA_CODE,
    is_bytecode,
    is_op,
    listed_names,
    snake_keys,
)
from fanlight.formats.keras.numbering import Numbering
from fanlight.layers import constraints, initializers, registry, regularizers
from fanlight.layers.config import registered
from fanlight.layers.layer import Layer
from fanlight.layers.legacy import renewed
from fanlight.layers.packed import quantized_policy
from fanlight.layers.policy import get as get_policy
from fanlight.layers.symbolic import symbols

# Layers that hold others, and where.
_INSIDE = ("layer", "cell", "cells", "backward_layer", "forward_layer", "layers")
# Arguments of other versions that change nothing where they have these values.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "autocast": (True,),
    "fused": (True,),
    "groups": (1,),
    "implementation": (0, 1, 2),
    "synchronized": (True,),
    "use_cudnn": ("auto", True),
    "zero_output_for_mask": (True,),
}
# Those of low-rank adapters and of quantised weights are here, for the weights that are read have
# what these add, and are float32.
_ALWAYS = (
    "adjustment", "input_length", "lora_alpha", "lora_rank", "quantization_config",
    "renorm_momentum", "shared_object_id", "virtual_batch_size",
)  # fmt: skip
_MAX_NESTING = 24
_WRONG = (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError,
          RecursionError, ZeroDivisionError, MemoryError, np.exceptions.AxisError)  # fmt: skip


class Reader:
    """Makes models of descriptions.

    Args:
        where: what is read, for errors.
        old: whether Keras 2 or TF.js wrote it, whose arguments have other meanings.
        tfjs: whether it was TF.js.
    """

    def __init__(self, where: object, old: bool = False, tfjs: bool = False) -> None:
        self.where, self.old, self.tfjs = where, old, tfjs
        self.depth = 0

    # --- models

    def whole(self, description: Any) -> Any:
        """The model of {class_name, config}.

        Raises:
            FanlightError: E-LAYER-008 with all layers that are not known.
        """
        entry = snake_keys(description, str(self.where))
        if "model_config" in entry:
            entry = snake_keys(entry["model_config"], str(self.where))
        name = expect(entry.get("class_name"), str, '"class_name"', self.where)
        self.refuse_unknown([entry])
        made = self.layer(entry)
        from fanlight.layers.model import Model

        if not isinstance(made, Model):
            raise FanlightError(
                "E-FORMAT-014",
                "this is not the description of a model.",
                where=self.where,
                expected=", ".join(registry.MODELS),
                received=name[:80],
                next="fl.layers.NAME.from_config(config) makes a layer of its config.",
            )
        return made

    def sequential(self, config: Any) -> Any:
        """A row of layers."""
        from fanlight.layers.model import Sequential

        own = {"layers": config} if isinstance(config, list) else self._config(config)
        entries = expect(own.get("layers"), list, '"layers"', self.where)
        self.refuse_unknown(entries)
        layers = [self.layer(e) for e in entries]
        made = Sequential(name=self._name(own), dtype=self._narrowed(own).get("dtype"))
        self._guarded(f"the layers of {made.name}", lambda: made._extend(layers))
        shape = own.get("build_input_shape") or own.get("batch_input_shape")
        if not shape and entries:  # of an Embedding, whose argument of that name is left out
            first = self._described(entries[0]).get("config")
            shape = first.get("batch_input_shape") if isinstance(first, dict) else None
        if not made.built and layers and shape and made._begin is None:
            sizes = self._shape(shape)
            if sizes is not None:
                self._guarded(made.name, lambda: made._build(sizes))
        if own.get("trainable") is False:
            made.trainable = False
        return made

    def functional(self, config: Any, kind: Any = None) -> Any:
        """Layers with their connections."""
        from fanlight.layers.model import Model

        own = self._config(config)
        entries = expect(own.get("layers"), list, '"layers"', self.where)
        self.refuse_unknown(entries)
        layers: dict[str, Any] = {}
        calls: dict[str, list[Any]] = {}
        for item in entries:
            entry = self._described(item)
            name = entry.get("name") or self._config(entry.get("config") or {}).get("name")
            name = expect(name, str, "the name of a layer", self.where)
            if name in layers:
                raise self._wrong("two layers have one name.", "names that differ", name)
            layers[name] = self._operation(entry) or self.layer(entry)
            found = entry.get("inbound_nodes") or []
            calls[name] = expect(found, list, '"inbound_nodes"', self.where)
        graph = _Graph(self, layers, calls, own)
        inputs, outputs = graph.ends()
        made_kind = Model if kind is None else kind
        made = self._guarded("the model", lambda: made_kind(inputs, outputs, name=self._name(own)))
        if own.get("trainable") is False:
            made.trainable = False
        return made

    # --- layers

    def layer(self, description: Any) -> Any:
        """The layer, or the model, of an entry of a model's layers."""
        self.depth += 1
        if self.depth > _MAX_NESTING:
            raise self._wrong("models are nested too deeply.", f"{_MAX_NESTING} levels", "more")
        entry = self._described(description)
        name = expect(entry.get("class_name"), str, '"class_name"', self.where)
        kind = registry.find(name, entry.get("registered_name"))
        if kind is None:
            self.refuse_unknown([entry])
        raw = entry.get("config")
        if name in registry.MODELS and kind is registry.known()[name]:
            made = self.sequential(raw) if name == "Sequential" else self.functional(raw)
        elif isinstance(raw, dict) and "layers" in raw and "output_layers" in raw:
            made = self.functional(raw, kind)  # a class of one's own that was functional
        else:
            own = self._config(raw or {})
            if entry.get("name") and "name" not in own:
                own["name"] = entry["name"]
            own = self._cleaned(kind, self._nested(own), entry)
            label = f"layer {own.get('name', '')!r} ({name})"
            made = self._guarded(label, lambda: kind.from_config(own))
            self._guarded(label, lambda: self._build(made, entry.get("build_config")))
        self.depth -= 1
        return made

    def _build(self, made: Any, told: Any) -> None:
        """Make the weights of a model of a class of somebody's own, as the file says."""
        from fanlight.layers.model import Model

        if not isinstance(made, Model) or made.built or not isinstance(told, Mapping):
            return
        shapes = self._shapes(told.get("input_shape"))
        types = told.get("input_dtype")
        if shapes is not None:
            made._build_as(shapes, types if isinstance(types, list) else None)

    def _shapes(self, value: Any) -> Any:
        """A shape, or a list or dict of some; None if it is none."""
        if isinstance(value, Mapping):
            parts = {k: self._shape(v) for k, v in value.items()}
            return None if None in parts.values() else parts
        if isinstance(value, list) and value and all(isinstance(v, list) for v in value):
            many = [self._shape(v) for v in value]
            return None if None in many else many
        return self._shape(value)

    def _nested(self, own: dict[str, Any]) -> dict[str, Any]:
        """Arguments with the layers among them made fit for their own from_config."""
        for key in _INSIDE:
            inner = own.get(key)
            if isinstance(inner, dict) and "class_name" in inner:
                own[key] = self._fitted(inner)
            elif isinstance(inner, list):
                own[key] = [
                    self._fitted(x) if isinstance(x, dict) and "class_name" in x else x
                    for x in inner
                ]
        return own

    def _fitted(self, description: dict[str, Any]) -> Any:
        """A layer's description without what its class does not take; of a model, the model."""
        entry = self._described(description)
        kind = registry.find(str(entry.get("class_name")), entry.get("registered_name"))
        if kind is None:
            return entry
        inner = entry.get("config")
        model = isinstance(inner, dict) and "layers" in inner and "output_layers" in inner
        if model or str(entry.get("class_name")) in registry.MODELS:
            return self.layer(entry)  # with its connections
        own = self._nested(self._config(entry.get("config") or {}))
        return {**entry, "config": self._cleaned(kind, own, entry)}

    def _cleaned(self, kind: Any, own: dict[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments in the words of Keras 3, without those that change nothing here."""
        name = str(entry.get("class_name"))
        if kind.__module__.partition(".")[0] != "fanlight":
            return own
        own = self._narrowed(renewed(name, own, self.old, self.tfjs))
        takes = registry.accepted(kind)
        kept: dict[str, Any] = {}
        for key, value in own.items():
            if key in takes:
                kept[key] = _part(untupled(value))
            elif not _neutral(key, value):
                raise FanlightError(
                    "E-LAYER-004",
                    f"a layer of the file has an argument that {name} does not take.",
                    where=f"layer {own.get('name', '')!r} ({name}) in {self.where}",
                    expected=", ".join(sorted(takes)),
                    received=f"{key}={value!r}"[:200],
                )
        return kept

    def _narrowed(self, own: dict[str, Any]) -> dict[str, Any]:
        """Arguments with the dtype that wider numbers become here, and quantised ones had before;
        ways of quantising that are not read are refused.
        """
        before = quantized_policy(own.get("dtype"))
        if before is not None:
            own = {**own, "dtype": before}
        name = policy(own)
        if name == "float64":
            return {**own, "dtype": "float32"}
        if name is not None and "Policy" in name:
            get_policy(own["dtype"], f"layer {own.get('name', '')!r} in {self.where}")
        return own

    def _operation(self, entry: dict[str, Any]) -> Any:
        """Arithmetic in a functional model, which is a layer of its own in a file; or None."""
        from fanlight.layers.operations import operation

        label = f"operation {entry.get('name')!r}"
        return self._guarded(label, lambda: operation(entry, self.where))

    def _guarded(self, what: str, make: Any) -> Any:
        """What `make` gives; whatever a hostile description makes it raise becomes coded."""
        try:
            return make()
        except FanlightError as error:
            if str(self.where) not in str(error.where):
                error.where = f"{what} in {self.where}: {error.where}"
            raise
        except _WRONG as error:
            raise FanlightError(
                "E-LAYER-004",
                "a layer cannot be made of what the file says about it.",
                where=f"{what} in {self.where}",
                expected="arguments as Keras or TF.js write them",
                received=f"{type(error).__name__}: {error}"[:300],
            ) from None

    # --- what is not known

    def refuse_unknown(self, entries: list[Any]) -> None:
        """E-LAYER-008 with all layers, also of nested models, that have no class here."""
        from fanlight.formats.names import tally
        from fanlight.layers.core import replaced_by, replacement
        from fanlight.layers.operations import is_operation
        from fanlight.layers.tf_functions import named

        known, unknown = registry.known(), {}  # type: ignore[var-annotated]
        codes: list[str] = []  # Lambdas whose functions nobody has said
        waiting = [e for e in reversed(entries) if isinstance(e, dict)]
        while waiting:
            entry = snake_keys(waiting.pop(), str(self.where))
            name, inner = entry.get("class_name"), entry.get("config")
            if not isinstance(name, str):
                continue
            own = inner if isinstance(inner, dict) else {"layers": inner}
            known_class = registry.find(name, entry.get("registered_name")) is not None
            op = is_op(entry) and registered(name) is None
            if (op or not known_class) and not is_operation(entry):
                label = str(entry.get("name") or own.get("name") or "?")
                function = named(entry)
                kind = f"ops.{name}" if op else str(entry.get("registered_name") or name)
                kind = kind if function is None else f"{name} {function}"
                unknown.setdefault(kind, []).append(label)
            elif name == "Lambda" and is_bytecode(own.get("function")) and registry.builtin(name):
                label = str(own.get("name") or entry.get("name") or "?")
                codes += [] if replacement(label) else [label]
            for key in _INSIDE:
                value = own.get(key)
                if isinstance(value, dict):
                    waiting.append(value)
                elif isinstance(value, list):
                    waiting += [v for v in reversed(value) if isinstance(v, dict)]
        if codes:
            unknown[LAMBDA_CODE] = codes
        if list(unknown) == [LAMBDA_CODE]:
            raise FanlightError(
                "E-LAYER-008",
                "the file keeps the function of a Lambda as Python bytecode, which is never run.",
                where=self.where,
                expected="a function that is registered under the layer's name",
                received=tally(unknown),
                next=replaced_by(codes),
            )
        if unknown:
            plural = "s" if len(unknown) > 1 else ""
            functions = ""
            if any(" " in kind for kind in unknown):
                functions = (
                    " Of a function of TensorFlow, a function by that name, such as "
                    'custom_objects={"signal.fft": function} or @fl.register(name="signal.fft").'
                )
            ops = [kind for kind in unknown if kind.startswith("ops.")]
            if ops:
                functions += (
                    f" {', '.join(ops)} is of keras.ops, a function and no layer: compute the same "
                    "by others of keras.ops, or in a layer of your own that you register."
                )
            classes = (
                ""
                if len(ops) == len(unknown)
                else "write the class and register it under its name in the file before you "
                "load: @fl.register(package, name) above `class NAME(fl.layers.Layer)`; or give it "
                "to fl.load_model: custom_objects={NAME: class}."
            )
            raise FanlightError(
                "E-LAYER-008",
                f"the file has {len(unknown)} kind{plural} of layer that Fanlight does not know.",
                where=self.where,
                expected=f"some of the {len(known)} layers of fl.layers, or layers that you "
                "registered",
                received=tally(unknown),
                next=(
                    classes + functions + (f" Of a Lambda: {replaced_by(codes)}" if codes else "")
                ).strip(),
            )

    # --- helpers

    def _described(self, value: Any) -> dict[str, Any]:
        return snake_keys(value, str(self.where))

    def _config(self, value: Any) -> dict[str, Any]:
        return snake_keys(value, str(self.where))

    def _name(self, own: Mapping[str, Any]) -> str | None:
        name = own.get("name")
        return expect(name, str, "the name of the model", self.where) if name else None

    def _shape(self, value: Any) -> tuple[int | None, ...] | None:
        value = untupled(value)
        if not isinstance(value, list | tuple):
            return None
        if not all(d is None or (isinstance(d, int) and 0 < d < 1 << 40) for d in value):
            return None
        return tuple(value)

    def _wrong(self, sentence: str, expected: str, received: str) -> FanlightError:
        return FanlightError(
            "E-FORMAT-005",
            sentence,
            where=self.where,
            expected=expected,
            received=str(received)[:200],
        )


class _Graph:
    """The calls of a functional model, made one after the other as their inputs come to be."""

    def __init__(
        self,
        reader: Reader,
        layers: dict[str, Any],
        calls: dict[str, list[Any]],
        own: Mapping[str, Any],
    ) -> None:
        self.reader, self.layers, self.calls, self.own = reader, layers, calls, own
        self.made: dict[tuple[str, int], list[Any]] = {}
        self.numbering = self._numbering()
        for name, layer in layers.items():
            if not calls[name] and isinstance(layer, Layer) and layer.nodes:
                self.made[(name, 0)] = list(layer.nodes[0].outputs)

    def _numbering(self) -> Numbering:
        """Which calls references mean."""
        from fanlight.layers.model import Model, Sequential

        models = {n for n, layer in self.layers.items() if isinstance(layer, Model)}
        return Numbering(
            {name: len(calls) for name, calls in self.calls.items()},
            [ref[:2] for ref in _references(list(self.calls.values()))],
            [ref[:2] for ref in _references(self.own.get("output_layers"))],
            old=self._old(),
            nested={n for n in models if not isinstance(self.layers[n], Sequential)},
        )

    def ends(self) -> tuple[Any, Any]:
        """Inputs and outputs of the model in their structure."""
        waiting = {name: 0 for name, calls in self.calls.items() if calls}
        while waiting:
            moved = False
            for name in list(waiting):
                calls = self.calls[name]
                while waiting.get(name, len(calls)) < len(calls):
                    index = waiting[name]
                    if not all(self._ready(r) for r in _references(calls[index])):
                        break
                    self._call(name, index, calls[index])
                    moved = True
                    waiting[name] += 1
                if waiting.get(name) == len(calls):
                    del waiting[name]
            if not moved:
                self._stuck(waiting)
        ends = self._structure(self.own.get("input_layers"), '"input_layers"')
        listed = self.own.get("output_layers")
        found = self._structure(listed, '"output_layers"')
        names = listed_names(self.own, len(listed)) if isinstance(listed, list) else []
        if names:
            parts = found if isinstance(found, list) else [found]
            return ends, dict(zip(names, parts, strict=True))
        return ends, found

    def _stuck(self, waiting: Mapping[str, int]) -> None:
        absent = [r[0] for n in waiting for r in _references(self.calls[n])
                  if r[0] not in self.layers]  # fmt: skip
        raise FanlightError(
            "E-FORMAT-016" if absent else "E-FORMAT-015",
            "a layer takes its input from a tensor that the model does not have."
            if absent
            else "the layers of the model feed each other in a circle.",
            where=self.reader.where,
            expected="layers that can be computed one after the other",
            received=", ".join((absent or list(waiting))[:12])[:300],
        )

    def _ready(self, ref: tuple[str, int, int]) -> bool:
        return (ref[0], self.numbering.inner(*ref[:2])) in self.made

    def _tensor(self, ref: tuple[str, int, int], end: bool = False) -> Any:
        """The tensor that a call of a layer names, or that input_layers or output_layers do."""
        name, call, index = ref
        meant = self.numbering.end if end else self.numbering.inner
        made = self.made.get((name, meant(name, call)))
        if made is None or index >= len(made):
            raise FanlightError(
                "E-FORMAT-016",
                "the model names a tensor that no layer gives.",
                where=self.reader.where,
                expected="a layer, a call of it and a result of that call",
                received=f"{name[:120]}, call {call}, result {index}",
            )
        return made[index]

    def _structure(self, value: Any, what: str) -> Any:
        """What input_layers or output_layers name: one, a list or a dict."""
        one = _reference(value)
        if one is not None:
            # Keras 2 and TF.js list one output, too, but a list of one is one there.
            return self._tensor(one, end=True)
        if isinstance(value, dict):
            return {k: self._structure(v, what) for k, v in value.items()}
        if not isinstance(value, list) or not value:
            raise self.reader._wrong(f"{what} is missing.", '[["layer", 0, 0]]', repr(value))
        found = [self._structure(v, what) for v in value]
        return found[0] if len(found) == 1 and self._old() else found

    def _old(self) -> bool:
        nodes = [node for calls in self.calls.values() for node in calls]
        return not any(isinstance(n, dict) for n in nodes)

    def _call(self, name: str, index: int, node: Any) -> None:
        layer = self.layers[name]
        args, options = self._arguments(node, layer)
        label = f"layer {name!r} ({type(layer).__name__})"
        result = self.reader._guarded(label, lambda: layer(*args, **options))
        self.made[(name, index)] = symbols(result)
        if not symbols(result):
            raise self.reader._wrong(
                "a layer is called without a tensor.", "tensors among its arguments", name
            )

    def _arguments(self, node: Any, layer: Any) -> tuple[list[Any], dict[str, Any]]:
        if isinstance(node, dict):
            own = snake_keys(node, str(self.reader.where))
            args = expect(own.get("args") or [], list, '"args"', self.reader.where)
            found = expect(own.get("kwargs") or {}, dict, '"kwargs"', self.reader.where)
            options = {k: self._value(v) for k, v in found.items() if v is not None}
            given = [self._value(a) for a in args]
            if options.get("training") is False and _by_default(layer):
                del options["training"]
        else:
            given, options = self._listed(node, layer)
        return given, _asked_for(layer, options)

    def _listed(self, node: Any, layer: Any) -> tuple[list[Any], dict[str, Any]]:
        """Arguments of Keras 2: all tensors are the first one, as a list if there are several."""
        items = expect(node, list, "a call", self.reader.where)
        if items and isinstance(items[0], str):
            items = [items]
        tensors: list[Any] = []
        options: dict[str, Any] = {}
        for item in items:
            constant = isinstance(item, list) and item[:1] == ["_CONSTANT_VALUE"]
            ref = None if constant else _reference(item)
            if constant and len(item) > 2:
                tensors.append(item[2])
            elif ref is None:
                raise self.reader._wrong("a call names no tensor.", '["layer", 0, 0]', repr(item))
            else:
                tensors.append(self._tensor(ref))
            if isinstance(item, list) and len(item) > 3 and isinstance(item[3], dict):
                options |= {k: self._value(v) for k, v in item[3].items() if v is not None}
        if not isinstance(layer, Layer):
            return tensors, options
        if len(tensors) > 1 and hasattr(layer, "cell"):
            return tensors[:1], {**options, "initial_state": tensors[1:]}  # a recurrent layer
        return [tensors[0] if len(tensors) == 1 else tensors], options

    def _value(self, value: Any) -> Any:
        """An argument with tensors for their descriptions."""
        if isinstance(value, dict):
            if value.get("class_name") == "__keras_tensor__":
                inner = value.get("config")
                ref = _reference(inner.get("keras_history") if isinstance(inner, dict) else None)
                if ref is None:
                    raise self.reader._wrong(
                        "a call names no tensor.", "keras_history", repr(value)
                    )
                return self._tensor(ref)
            if value.get("class_name") == "__tuple__":
                return tuple(self._value(v) for v in _items(value))
            made = _constant(value)
            if made is not None:
                return made
            return {k: self._value(v) for k, v in value.items()}
        if isinstance(value, list):
            ref = _reference(value)
            if ref is not None and len(value) == 3 and self._ready(ref):
                return self._tensor(ref)  # Keras 2: a tensor among the options
            return [self._value(v) for v in value]
        return value


def _constant(value: Mapping[str, Any]) -> Any:
    """What Keras 3 writes in words among the arguments of a call: parts of an index, and arrays."""
    kind, own = value.get("class_name"), value.get("config")
    if kind == "__ellipsis__":
        return ...
    if not isinstance(own, Mapping):
        return None
    if kind == "__slice__":
        return slice(own.get("start"), own.get("stop"), own.get("step"))
    if kind in ("__numpy__", "__tensor__"):
        return np.asarray(own.get("value"), str(own.get("dtype", "float32")))
    return None


def _by_default(layer: Any) -> bool:
    """Whether Keras 3 writes training=False for a layer whose call has it as its default.

    In training it passes over that; what somebody said to a nested model or to batch
    normalisation is kept.
    """
    from fanlight.layers.model import Model

    return not isinstance(layer, Model) and "BatchNormalization" not in type(layer).__name__


def _asked_for(layer: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Options without those that say nothing and that the layer does not take."""
    import inspect

    if not isinstance(layer, Layer) or getattr(layer, "named", False):
        return options
    takes = inspect.signature(type(layer).call).parameters
    if any(p.kind is p.VAR_KEYWORD for p in takes.values()):
        return options
    return {k: v for k, v in options.items() if k in takes or k not in ("training", "mask")}


def _reference(item: Any) -> tuple[str, int, int] | None:
    """["layer", call, result] as such, or None."""
    if (
        isinstance(item, list)
        and 3 <= len(item) <= 4
        and isinstance(item[0], str)
        and all(isinstance(i, int) and not isinstance(i, bool) and 0 <= i < 1 << 20
                for i in item[1:3])
        and (len(item) == 3 or isinstance(item[3], dict))
    ):  # fmt: skip
        return item[0], int(item[1]), int(item[2])
    return None


def _references(value: Any) -> list[tuple[str, int, int]]:
    """All tensors that are named in a structure."""
    found: list[tuple[str, int, int]] = []
    stack = [value]
    while stack:
        item = stack.pop()
        ref = _reference(item)
        if ref is not None:
            found.append(ref)
            stack += [v for v in item[3:] if isinstance(v, dict)]
        elif isinstance(item, dict):
            if item.get("class_name") == "__keras_tensor__":
                inner = item.get("config")
                stack.append(inner.get("keras_history") if isinstance(inner, dict) else None)
            else:
                stack += list(item.values())
        elif isinstance(item, list):
            stack += item
    return found


def _items(value: Mapping[str, Any]) -> list[Any]:
    items = value.get("items")
    return items if isinstance(items, list) else []


def untupled(value: Any) -> Any:
    """Plain data with Keras's tuples as such."""
    if isinstance(value, dict):
        if value.get("class_name") == "__tuple__":
            return tuple(untupled(v) for v in _items(value))
        return {k: untupled(v) for k, v in value.items()}
    if isinstance(value, list):
        return [untupled(v) for v in value]
    return value


def _part(value: Any) -> Any:
    """An initializer or the like, without arguments that it has only in another version."""
    inner = value.get("config") if isinstance(value, dict) else None
    if not isinstance(inner, dict) or value.get("registered_name"):
        return value
    name = str(value.get("class_name"))
    for module in (initializers, regularizers, constraints):
        kind = module.KNOWN.get(name)
        if isinstance(kind, type):
            takes = registry.accepted(kind)
            kept = {k: v for k, v in inner.items() if k in takes or not _neutral(k, v)}
            return {**value, "config": kept}
    return value


def _neutral(key: str, value: Any) -> bool:
    if key in _ALWAYS or value is None or value is False or value in ("", [], {}):
        return True
    return value in _NEUTRAL.get(key, ())


__all__ = ["Reader", "untupled"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

"""NodeDefs as JSON: names, attributes, constants, and shapes that are known only at run time."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.formats.writing import within_a_byte
from fanlight.graph import Graph, Node, Value
from fanlight.ops.types import Dim, TensorType

# TF.js has no bytes: they are whole numbers of 0 to 255 there.
TYPES = {"float32": "DT_FLOAT", "int32": "DT_INT32", "bool": "DT_BOOL", "uint8": "DT_INT32",
         "int8": "DT_INT32"}  # fmt: skip


class Unsupported(Exception):
    """What TF.js has no op for; the text says what."""


def shape_of(shape: Sequence[int | Dim]) -> dict[str, Any]:
    """A TensorShapeProto; a symbol is -1."""
    sizes = [{"size": "-1" if isinstance(d, Dim) else str(d)} for d in shape]
    return {"dim": sizes} if sizes else {}


def text(value: str) -> dict[str, Any]:
    return {"s": base64.b64encode(value.encode()).decode()}


def integers(values: Sequence[int]) -> dict[str, Any]:
    return {"list": {"i": [str(int(v)) for v in values]} if len(values) else {}}


def number(value: float) -> dict[str, Any]:
    value = float(value)
    if value != value:
        return {"f": "NaN"}
    if value in (float("inf"), float("-inf")):
        return {"f": "Infinity" if value > 0 else "-Infinity"}
    return {"f": value}


class NodeWriter:
    """Makes the nodes of one graph, or of the body of one function, in their order.

    Attributes:
        nodes: the NodeDefs so far.
        constants: name -> array, in the order of their use.
        functions: the library; one list for all writers of a model.
        dynamic: whether something in it needs executeAsync.
        makers: value -> the node of the graph that makes it.
    """

    def __init__(
        self,
        emit: Callable[[NodeWriter, Graph], None],
        prefix: str = "",
        outer: NodeWriter | None = None,
    ) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.constants: dict[str, np.ndarray] = {} if outer is None else outer.constants
        self.functions: list[dict[str, Any]] = [] if outer is None else outer.functions
        self.dynamic: list[str] = [] if outer is None else outer.dynamic
        self.prefix = prefix
        self._emit = emit
        self._names: set[str] = set() if outer is None else outer._names
        self._refs: dict[Value, str] = {}
        self._types: dict[str, TensorType] = {}
        self._known: dict[Any, str] = {}
        self._weights: dict[Value, np.ndarray] = {}
        self.makers: dict[Value, Node] = {}

    # --- names

    def fresh(self, wanted: str) -> str:
        """A name that TensorFlow takes and no node has."""
        base = re.sub(r"[^A-Za-z0-9_./-]", "_", self.prefix + wanted)
        if not re.match(r"[A-Za-z0-9.]", base):
            base = "n" + base
        name, count = base, 1
        while name in self._names:
            name, count = f"{base}_{count}", count + 1
        self._names.add(name)
        return name

    # --- nodes

    def add(self, op: str, inputs: Sequence[str], name: str, **attrs: Any) -> str:
        """A NodeDef; the reference to its first output."""
        made: dict[str, Any] = {"name": self.fresh(name), "op": op}
        if inputs:
            made["input"] = list(inputs)
        made["attr"] = attrs
        self.nodes.append(made)
        reference: str = made["name"]
        return reference

    def const(self, array: Any, name: str) -> str:
        """A constant; equal small ones are one node."""
        array = np.asarray(array)
        if array.dtype in (np.int64, np.float64):
            array = array.astype("int32" if array.dtype == np.int64 else "float32")
        key = (str(array.dtype), array.shape, array.tobytes()) if array.size <= 64 else None
        if key is not None and key in self._known:
            return self._known[key]
        made = self._const(array, self.fresh(name))
        if key is not None:
            self._known[key] = made
        return made

    def _const(self, array: np.ndarray, name: str) -> str:
        array = array.astype("int32") if array.dtype in (np.uint8, np.int8) else array
        kind = dtype(str(array.dtype))
        tensor = {"dtype": kind, "tensorShape": shape_of(array.shape)}
        attr = {"value": {"tensor": tensor}, "dtype": {"type": kind}}
        self.nodes.append({"name": name, "op": "Const", "attr": attr})
        self.constants[name] = array
        return name

    def clipped(self, v: Value) -> bool:
        """Whether a value is made to be of 0 to 255."""
        return within_a_byte(self.makers.get(v))

    def integers(self, values: Sequence[int], name: str = "sizes") -> str:
        """An int32 vector."""
        return self.const(np.asarray(values, "int32").reshape(len(values)), name)

    def scalar(self, value: float, dtype: str = "float32") -> str:
        """A constant without dims."""
        return self.const(np.asarray(value, "int32" if dtype == "uint8" else dtype), "value")

    def shape(self, shape: Sequence[int | Dim], name: str) -> str:
        """An int32 vector with a shape that may hold symbols, read from the inputs at run time."""
        if all(isinstance(d, int) for d in shape):
            return self.integers([int(d) for d in shape if isinstance(d, int)], f"{name}/shape")
        parts = [self._size(d, name) for d in shape]
        return self.add(
            "Pack",
            parts,
            f"{name}/shape",
            N={"i": str(len(parts))},
            axis={"i": "0"},
            T={"type": "DT_INT32"},
        )

    def _size(self, d: int | Dim, name: str) -> str:
        if isinstance(d, int):
            return self.scalar(d, "int32")
        if d in self._known:
            return self._known[d]
        for value, reference in self._refs.items():
            for axis, other in enumerate(value.shape):
                if isinstance(other, Dim) and other.name == d.name and other.times == 1:
                    size = self.size_of(reference, axis, name)
                    if d.times != 1:
                        times = self.scalar(d.times, "int32")
                        size = self.binary("Mul", size, times, name, "int32")
                    self._known[d] = size
                    return size
        raise Unsupported(f"nothing has the size {d}")

    def size_of(self, reference: str, axis: int, name: str) -> str:
        """int32 []: a size of what is referred to."""
        whole = self.add("Shape", [reference], f"{name}/sizes", out_type={"type": "DT_INT32"})
        ends = [self.integers([i]) for i in (axis, axis + 1, 1)]
        return self.add(
            "StridedSlice",
            [whole, *ends],
            f"{name}/size",
            T={"type": "DT_INT32"},
            Index={"type": "DT_INT32"},
            begin_mask={"i": "0"},
            end_mask={"i": "0"},
            ellipsis_mask={"i": "0"},
            new_axis_mask={"i": "0"},
            shrink_axis_mask={"i": "1"},
        )

    def unary(self, op: str, x: str, name: str, kind: str = "float32", **attrs: Any) -> str:
        return self.add(op, [x], name, T={"type": dtype(kind)}, **attrs)

    def binary(self, op: str, a: str, b: str, name: str, kind: str = "float32") -> str:
        return self.add(op, [a, b], name, T={"type": dtype(kind)})

    # --- values

    def value(self, v: Value) -> str:
        """The reference to a value; a weight becomes a node where it is first used."""
        if v not in self._refs:
            self._refs[v] = self._const(self._weights[v], self.fresh(v.name))
        return self._refs[v]

    def bind(self, v: Value, reference: str) -> None:
        self._refs[v] = reference

    def array(self, v: Value) -> np.ndarray | None:
        """The array of a weight."""
        return self._weights.get(v)

    def run(self, graph: Graph) -> list[str]:
        """Write a graph whose inputs are bound; references to its outputs."""
        self._weights = dict(graph.weights)
        self.makers = graph.producers()
        self._emit(self, graph)
        return [self.value(v) for _, v in graph.outputs]


def dtype(kind: str) -> str:
    if kind not in TYPES:
        raise Unsupported(f"{kind}: TF.js has no such numbers")
    return TYPES[kind]


class Out:
    """One node of ours being written: its inputs as references, its name."""

    def __init__(self, writer: NodeWriter, node: Node) -> None:
        self.w = writer
        self.node = node
        self.name = node.name
        self.attrs: Mapping[str, Any] = node.attrs

    def x(self, index: int = 0) -> str:
        return self.w.value(self.node.inputs[index])

    def type(self, index: int = 0) -> TensorType:
        return self.node.inputs[index].type

    @property
    def inputs(self) -> list[str]:
        return [self.w.value(v) for v in self.node.inputs]

    @property
    def T(self) -> dict[str, Any]:
        return {"type": dtype(self.type().dtype)}

    def op(self, op: str, inputs: Sequence[str], part: str = "", **attrs: Any) -> str:
        """A node of TensorFlow named as ours, or as a part of it."""
        return self.w.add(op, inputs, f"{self.name}/{part}" if part else self.name, **attrs)

    def f(self, op: str, *inputs: str | float, part: str = "") -> str:
        """One on float32, where a number stands for a constant."""
        given = [x if isinstance(x, str) else self.w.scalar(x) for x in inputs]
        return self.op(op, given, part, T={"type": "DT_FLOAT"})

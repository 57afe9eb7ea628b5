"""Builder: the one way to make graphs, used by formats, tasks, tracing and passes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fanlight import dtypes
from fanlight.errors import FanlightError
from fanlight.graph.core import Graph, Node, Value
from fanlight.ops import row as rows
from fanlight.ops.types import Dim, TensorType


class Builder:
    """Collects inputs, weights and nodes; infers every type as it goes."""

    def __init__(self, name: str = "graph") -> None:
        self.name = name
        self._inputs: list[Value] = []
        self._nodes: list[Node] = []
        self._weights: dict[Value, np.ndarray] = {}
        self._names: set[str] = set()
        self._numbers: dict[str, int] = {}  # by base of names: up to where all are taken
        self._known: set[Value] = set()

    def fresh(self, wanted: str) -> str:
        """A name that no value has yet, close to `wanted` (letters, digits, `_`, `.`, `/`)."""
        base = re.sub(r"[^\w./-]", "_", wanted) or "v"
        count = self._numbers.get(base, 1)
        name = base if count == 1 else f"{base}_{count}"
        while name in self._names:
            count += 1
            name = f"{base}_{count}"
        self._names.add(name)
        self._numbers[base] = count
        return name

    def _value(self, name: str, type: TensorType) -> Value:
        value = Value(self.fresh(name), type)
        self._known.add(value)
        return value

    def input(self, name: str, shape: Sequence[int | Dim], dtype: str = "float32") -> Value:
        """Declare an input of the graph."""
        value = self._value(name, TensorType(tuple(shape), dtype))
        self._inputs.append(value)
        return value

    def adopt(self, value: Value) -> Value:
        """Declare an input of another graph as one of this graph, too."""
        self._names.add(value.name)
        self._known.add(value)
        self._inputs.append(value)
        return value

    def weight(
        self,
        array: np.ndarray,
        name: str | None = None,
        shape: Sequence[int | Dim] | None = None,
    ) -> Value:
        """A constant. float64 and int64 arrays are narrowed to 32 bits; int8 stays as it is.

        Args:
            shape: with symbols for sizes that are only now those of the array; default: its own.
        """
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        array = array if array.dtype == np.int8 else dtypes.narrow(array)
        dtype = dtypes.from_numpy(array.dtype)
        if dtype is None:
            raise FanlightError(
                "E-OP-003",
                f"a weight cannot have the dtype {array.dtype}.",
                where=name,
                expected=", ".join(dtypes.DTYPES),
                received=array.dtype,
            )
        declared = tuple(int(d) for d in array.shape) if shape is None else tuple(shape)
        value = self._value(name or "c", TensorType(declared, dtype))
        self._weights[value] = array
        return value

    def owns(self, value: Value) -> bool:
        """Whether a value is one of this graph."""
        return value in self._known

    def array(self, value: Value) -> np.ndarray | None:
        """The array of a weight, None for anything else."""
        return self._weights.get(value)

    @property
    def nodes(self) -> Sequence[Node]:
        """The nodes so far, in order."""
        return self._nodes

    @property
    def last(self) -> Node:
        """The node that was added last."""
        return self._nodes[-1]

    def add(
        self,
        op: str,
        *inputs: Value,
        name: str | None = None,
        outputs: Sequence[str] = (),
        **attrs: Any,
    ) -> Any:
        """Apply an op. Returns its output Value, or a tuple of them if it has several.

        `name` is the node's (layer's) name in the source; `outputs` may name the output values.

        Raises:
            FanlightError: E-OP-00x if the call does not fit the op's row.
        """
        for v in inputs:
            if v not in self._known:
                raise FanlightError(
                    "E-GRAPH-001",
                    f"{op} uses a value that this graph does not have.",
                    where=name or op,
                    received=repr(v),
                )
        try:
            full, types = rows.infer(op, [v.type for v in inputs], attrs)
        except FanlightError as error:
            if name and name != error.where:
                error.where = f"{name} ({error.where or op})"
            raise
        wanted = [*outputs, *[name or op] * len(types)]
        values = tuple(self._value(n, t) for n, t in zip(wanted, types, strict=False))
        self._nodes.append(Node(op, tuple(inputs), values, full, name or values[0].name))
        return values[0] if len(values) == 1 else values

    def inline(self, graph: Graph, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """Copy another graph's nodes in here, fed by `inputs`; returns its outputs by name."""
        mapped: dict[Value, Value] = {}
        for v in graph.inputs:
            mapped[v] = inputs[v.name]
        for v, array in graph.weights.items():
            mapped[v] = self.weight(array, v.name, v.shape)
        for node in graph.nodes:
            made = self.add(
                node.op, *(mapped[v] for v in node.inputs), name=node.name, **node.attrs
            )
            values = made if isinstance(made, tuple) else (made,)
            mapped.update(zip(node.outputs, values, strict=True))
        return {name: mapped[v] for name, v in graph.outputs}

    def finish(self, outputs: Mapping[str, Value]) -> Graph:
        """The graph. Weights that nothing uses are dropped."""
        if not outputs:
            raise FanlightError(
                "E-GRAPH-005", "a graph needs at least one output.", where=self.name
            )
        used = {v for node in self._nodes for v in node.inputs} | set(outputs.values())
        weights = {v: a for v, a in self._weights.items() if v in used}
        return Graph(
            self.name, tuple(self._inputs), tuple(outputs.items()), tuple(self._nodes), weights
        )

"""GraphDefs with loops, conditions and lists, crafted as TensorFlow writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tests.formats.crafted import Json, dims, node, text

FLOAT = {"type": "DT_FLOAT"}
INT = {"type": "DT_INT32"}


class Net:
    """Collects nodes and constants; every method gives the name of what it adds."""

    def __init__(self) -> None:
        self.nodes: list[Json] = []
        self.arrays: dict[str, np.ndarray] = {}
        self.functions: list[Json] = []

    def add(self, op: str, *inputs: str, name: str = "", **attr: Json) -> str:
        name = name or f"{op}_{len(self.nodes)}"
        self.nodes.append(node(op, name, *inputs, **attr))
        return name

    def const(self, value: Any, *controls: str) -> str:
        """A constant; with controls, one inside of what they are in."""
        array = np.asarray(value)
        array = array.astype({"f": "<f4", "i": "<i4", "b": "bool"}[array.dtype.kind])
        name = f"const_{len(self.nodes)}"
        kind = {"f": "DT_FLOAT", "i": "DT_INT32", "b": "DT_BOOL"}[array.dtype.kind]
        tensor = {"dtype": kind, "tensorShape": dims(*array.shape)["shape"]}
        self.arrays[name] = array
        marks = [f"^{c}" for c in controls]
        attr = {"dtype": {"type": kind}, "value": {"tensor": tensor}}
        self.nodes.append(node("Const", name, *marks, **attr))
        return name

    def input(self, name: str, *shape: int, dtype: str = "DT_FLOAT") -> str:
        return self.add("Placeholder", name=name, dtype={"type": dtype}, shape=dims(*shape))

    # --- TensorFlow 1 -----------------------------------------------------------------------------

    def frame(
        self,
        name: str,
        start: Sequence[str],
        cond: Callable[..., str],
        body: Callable[..., Sequence[str]],
        taken: Sequence[str] = (),
    ) -> list[str]:
        """A loop as a frame: cond and body get the state, then what is taken from outside."""
        frame = text(name)
        enters = [self.add("Enter", x, frame_name=frame) for x in start]
        fixed = [self.add("Enter", x, frame_name=frame, is_constant={"b": True}) for x in taken]
        backs = [f"{name}/next_{i}" for i in range(len(start))]
        merges = [self.add("Merge", e, b) for e, b in zip(enters, backs, strict=True)]
        go = self.add("LoopCond", cond(*merges, *fixed))
        switches = [self.add("Switch", m, go) for m in merges]
        inside = [self.add("Identity", f"{s}:1") for s in switches]
        for back, x in zip(backs, body(*inside, *fixed), strict=True):
            self.add("NextIteration", x, name=back)
        return [self.add("Exit", s) for s in switches]

    def branches(
        self,
        pred: str,
        given: Sequence[str],
        then: Callable[..., Sequence[str]],
        other: Callable[..., Sequence[str]],
    ) -> list[str]:
        """A condition as switches and merges; the branches get a pivot after what is given."""
        pivot = self.add("Switch", pred, pred)
        yes, no = self.add("Identity", f"{pivot}:1"), self.add("Identity", pivot)
        switches = [self.add("Switch", x, pred) for x in given]
        results = then(*(f"{s}:1" for s in switches), yes), other(*switches, no)
        return [self.add("Merge", b, a) for a, b in zip(*results, strict=True)]

    # --- TensorFlow 2 -----------------------------------------------------------------------------

    def function(self, name: str, count: int, build: Callable[..., Sequence[str]]) -> Json:
        """A function of the library; `build` gets a Net and the names of its arguments."""
        inner = Net()
        arguments = [f"{name}_a{i}" for i in range(count)]
        returned = build(inner, *arguments)
        # Constants of functions lie among the weights by their own names.
        own = {n["name"] for n in inner.nodes}
        renamed = {n: f"{name}/{n}" for n in inner.arrays if n in own}
        for old, array in inner.arrays.items():
            self.arrays[renamed.get(old, old)] = array
        for entry in inner.nodes:
            entry["name"] = renamed.get(entry["name"], entry["name"])
            entry["input"] = [self._inner(i, renamed, arguments) for i in entry["input"]]
        self.functions += inner.functions
        ret = {f"r{i}": self._inner(x, renamed, arguments) for i, x in enumerate(returned)}
        self.functions.append(
            {
                "signature": {
                    "name": name,
                    "inputArg": [{"name": a, "type": "DT_FLOAT"} for a in arguments],
                    "outputArg": [{"name": r, "type": "DT_FLOAT"} for r in ret],
                },
                "nodeDef": inner.nodes,
                "ret": ret,
            }
        )
        return {"func": {"name": name}}

    @staticmethod
    def _inner(ref: str, renamed: Mapping[str, str], arguments: Sequence[str]) -> str:
        """An input as functions write it: "argument", "node:output:0"."""
        name, _, index = ref.partition(":")
        if name in arguments or ref.startswith("^"):
            return ref
        return f"{renamed.get(name, name)}:output:{index or 0}"

    def loop(
        self,
        name: str,
        start: Sequence[str],
        cond: Callable[..., Sequence[str]],
        body: Callable[..., Sequence[str]],
        op: str = "StatelessWhile",
    ) -> list[str]:
        """A loop as a While; cond and body get a Net of their own, then the state."""
        attr = {
            "cond": self.function(f"{name}_cond", len(start), cond),
            "body": self.function(f"{name}_body", len(start), body),
        }
        self.add(op, *start, name=name, **attr)
        return [f"{name}:{i}" for i in range(len(start))]

    def choice(
        self,
        name: str,
        pred: str,
        given: Sequence[str],
        then: Callable[..., Sequence[str]],
        other: Callable[..., Sequence[str]],
        op: str = "StatelessIf",
    ) -> list[str]:
        """A condition as an If."""
        attr = {
            "then_branch": self.function(f"{name}_then", len(given), then),
            "else_branch": self.function(f"{name}_else", len(given), other),
        }
        self.add(op, pred, *given, name=name, **attr)
        count = len(self.functions[-1]["ret"])
        return [f"{name}:{i}" for i in range(count)]

    # --- lists ------------------------------------------------------------------------------------

    def reserve(self, count: int, *element: int) -> str:
        shape = self.const(np.array(element, np.int32))
        return self.add("TensorListReserve", shape, self.const(count), element_dtype=FLOAT)

    def set(self, handle: str, index: str, item: str) -> str:
        return self.add("TensorListSetItem", handle, index, item, element_dtype=FLOAT)

    def get(self, handle: str, index: str, *element: int) -> str:
        shape = self.const(np.array(element, np.int32))
        return self.add("TensorListGetItem", handle, index, shape, element_dtype=FLOAT)

    def stacked(self, handle: str, *element: int) -> str:
        shape = self.const(np.array(element, np.int32))
        return self.add("TensorListStack", handle, shape, element_dtype=FLOAT)

    def topology(self) -> Json:
        library = {"library": {"function": self.functions}} if self.functions else {}
        return {"node": self.nodes, "versions": {"producer": 175}, **library}

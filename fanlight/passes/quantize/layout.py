"""Which steps compute in bytes, which values share a scale, and which of their channels do.

A value of bytes stands for `(byte - zero) * scale`. The scale is one number per *group* of values
(those between which bytes are moved as they are), times one number per *slot*: a channel, or
channels of several values that have to keep a constant ratio. A slot is pinned to 1 where some op
needs one scale for all channels; elsewhere layers absorb it in their weights, for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from math import lcm

import numpy as np

from fanlight.graph import Graph, Value
from fanlight.passes.quantize.steps import Step


class Union:
    """Disjoint sets of 0 .. n - 1."""

    def __init__(self) -> None:
        self._parent: list[int] = []

    def new(self, count: int = 1) -> range:
        """Further elements, each in a set of its own."""
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        return range(start, start + count)

    def find(self, a: int) -> int:
        """What stands for the set of an element."""
        root = a
        while self._parent[root] != root:
            root = self._parent[root]
        while self._parent[a] != root:
            self._parent[a], a = root, self._parent[a]
        return root

    def join(self, a: int, b: int) -> None:
        """Make two sets one."""
        self._parent[self.find(b)] = self.find(a)


class Layout:
    """The decisions, as far as they follow from the structure of the graph.

    Attributes:
        steps: those that compute in bytes, in order.
        made: value -> the step that makes it.
        bytes: values that exist as bytes: made by steps, or quantised for them.
        wanted: values that some step reads as bytes (a layer's result that is not stays float).
        borders: values of bytes that are made from float32 values.
        high: value -> its greatest byte.
    """

    def __init__(self, graph: Graph, steps: Sequence[Step], floats: Collection[str]) -> None:
        self.graph = graph
        self._choose(steps, floats)
        self._values()
        self._group()
        self._slots()

    # --- who computes in bytes --------------------------------------------------------------------

    def _choose(self, steps: Sequence[Step], floats: Collection[str]) -> None:
        candidates = [s for s in steps if s.name not in floats]
        ahead: set[Value] = set()
        for step in candidates:
            if step.is_layer or any(v in ahead for v in step.inputs):
                ahead.add(step.output)
        wanted: set[Value] = set()
        chosen: list[Step] = []
        for step in reversed(candidates):
            light = step.output in wanted and any(v in ahead for v in step.inputs)
            if step.is_layer or light:
                chosen.append(step)
                wanted.update(step.inputs)
        self.steps = chosen[::-1]
        self.wanted = wanted
        self.made = {s.output: s for s in self.steps}

    def _values(self) -> None:
        made = [s.output for s in self.steps if s.output in self.wanted]
        self.bytes = list(dict.fromkeys([*made, *(v for s in self.steps for v in s.inputs)]))
        self.borders = {v for v in self.bytes if v not in self.made}
        users: dict[Value, list[Step]] = {}
        for step in self.steps:
            for value in step.inputs:
                users.setdefault(value, []).append(step)
        self.users = users

    def first_bytes(self, value: Value) -> bool:
        """Whether a value comes from the graph's inputs by float ops alone, as a picture does."""
        if value not in self.borders:
            return False
        makers = self.graph.producers()
        seen: set[Value] = set()
        stack = [value]
        while stack:
            v = stack.pop()
            if v in self.made:
                return False
            if v not in seen and v in makers:
                seen.add(v)
                stack.extend(makers[v].inputs)
        return True

    # --- groups: one scale and zero point ---------------------------------------------------------

    def _group(self) -> None:
        union = Union()
        index = dict(zip(self.bytes, union.new(len(self.bytes)), strict=True))
        for step in self.steps:
            if step.kind == "same":
                for value in step.inputs:
                    union.join(index[step.output], index[value])
        groups: dict[int, list[Value]] = {}
        for value, i in index.items():
            groups.setdefault(union.find(i), []).append(value)
        self.groups = list(groups.values())
        self.group_of = {v: g for g, values in enumerate(self.groups) for v in values}
        self.high: dict[Value, int] = {}
        for values in self.groups:
            high = max(map(self._high, values)) if len(values) == 1 else 127
            if all(not self._multiplied(v) for v in values):
                high = 255
            self.high.update(dict.fromkeys(values, high))

    def _multiplied(self, value: Value) -> bool:
        """Whether a layer multiplies the bytes of a value with its weights."""
        return any(s.is_layer and s.inputs[0] is value for s in self.users.get(value, ()))

    def _high(self, value: Value) -> int:
        return 255 if self.first_bytes(value) else 127

    # --- slots: channels that keep a ratio --------------------------------------------------------

    def _slots(self) -> None:
        self._union = Union()
        self._pinned: set[int] = set()
        self.slots: dict[Value, np.ndarray] = {}
        for value in self.bytes:
            count = value.type.bound[-1] if value.type.rank else 1
            self.slots[value] = np.array(self._union.new(count))
        read = self._read_as_floats()
        for value in self.bytes:
            if value in self.borders or value in read:
                self._pin(value)
        for step in self.steps:
            self._tie(step)
        find: Callable[[int], int] = self._union.find
        pinned = {find(s) for s in self._pinned}
        for value, slots in self.slots.items():
            self.slots[value] = np.array([find(s) for s in slots])
        used = {int(s) for slots in self.slots.values() for s in slots}
        self.free_slots = used - pinned

    def _read_as_floats(self) -> set[Value]:
        """Values of bytes that must also be had as float32."""
        inside = {n for s in self.steps for n in s.nodes}
        read = {v for n in self.graph.nodes if n not in inside for v in n.inputs}
        return read | {v for _, v in self.graph.outputs}

    def _pin(self, *values: Value) -> None:
        for value in values:
            self._pinned.update(int(s) for s in self.slots[value])

    def _join(self, pairs: Iterable[tuple[int, int]]) -> None:
        for a, b in pairs:
            self._union.join(int(a), int(b))

    def _tie(self, step: Step) -> None:
        ins = [self.slots[v] for v in step.inputs]
        out = self.slots.get(step.output)
        if step.is_layer:
            if len(ins) == 2 and out is not None:
                self._join(zip(out, ins[1], strict=True))
            elif len(ins) == 2:
                self._pin(step.inputs[1])
            return
        assert out is not None
        if step.kind == "same":
            self._tie_same(step, ins, out)
        elif step.kind in ("add", "sub", "prelu", "avg_pool", "mean") and all(
            len(slots) == len(out) for slots in ins
        ):
            keeps = step.kind != "mean" or self._keeps_channels(step)
            if keeps:
                for slots in ins:
                    self._join(zip(out, slots, strict=True))
            else:
                self._pin(*step.inputs, step.output)
        elif step.kind == "mul":
            # The smaller operand is a gate: one scale; the larger one gives its ratios on.
            large, small = sorted(step.inputs, key=lambda v: v.type.size, reverse=True)
            self._pin(small)
            if large is not small and large.shape == step.output.shape:
                self._join(zip(out, self.slots[large], strict=True))
            else:
                self._pin(large, step.output)
        else:
            self._pin(*step.inputs, step.output)

    def _keeps_channels(self, step: Step) -> bool:
        rank = step.inputs[0].type.rank
        return rank - 1 not in {a % rank for a in step.node.attrs["axes"]}

    def _tie_same(self, step: Step, ins: list[np.ndarray], out: np.ndarray) -> None:
        node, x = step.node, step.inputs[0]
        rank = x.type.rank
        if node.op == "concat":
            last = node.attrs["axis"] % rank == rank - 1
            parts = [np.concatenate(ins)] if last else ins
        elif node.op in ("reshape", "depth_to_space", "space_to_depth"):
            # Channel i of the one is channel i of the other, both counted round and round.
            count = lcm(len(ins[0]), len(out))
            around = np.arange(count)
            if count > 1 << 20:
                self._pin(x, step.output)
                return
            self._join(zip(out[around % len(out)], ins[0][around % len(ins[0])], strict=True))
            return
        elif node.op == "slice":
            begin = node.attrs["begin"][-1]
            parts = [ins[0][begin : begin + len(out)]]
        elif node.op == "transpose" and node.attrs["perm"][-1] != rank - 1:
            parts = []
        elif node.op in ("reverse", "strided_slice", "tile", "broadcast_to", "mirror_pad", "pad"):
            parts = ins if self._leaves_channels(step) else []
        else:
            parts = ins
        if not parts or any(len(p) != len(out) for p in parts):
            self._pin(*step.inputs, step.output)
            return
        for part in parts:
            self._join(zip(out, part, strict=True))

    def _leaves_channels(self, step: Step) -> bool:
        node, x = step.node, step.inputs[0]
        if x.type.bound[-1:] != step.output.type.bound[-1:]:
            return False
        if node.op == "reverse":
            return x.type.rank - 1 not in node.attrs["axes"]
        if node.op == "strided_slice":
            return node.attrs["strides"][-1] == 1
        return True

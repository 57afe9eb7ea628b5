"""cond, while_loop and scan: a function that calls the kernels of its sub-graphs, on one thread.

What a sub-graph computes lies in the scratch memory of the node, planned as the arena is: values
that are not needed together share memory. Its constants lie there, too, written at entry. What is
carried lies in the outputs of the node, so that it is where it belongs after the last turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fanlight.codegen.arena import Buffer, align, place
from fanlight.codegen.kernel import Kernel, Weights, lower, node_bytes, register, unsupported
from fanlight.codegen.plan import is_alias
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node, Subgraph, Value
from fanlight.targets import Target


@dataclass(frozen=True)
class Place:
    """An address: a pointer that the function has, and bytes to add."""

    base: Local
    offset: int = 0

    def push(self, f: Function) -> Function:
        return f.get(self.base).plus(self.offset)


class Body:
    """A sub-graph as calls of kernels on memory that begins `start` bytes into the scratch."""

    def __init__(self, sub: Subgraph, node: Node, target: Target, start: int) -> None:
        self.graph = graph = sub.graph
        self.start = start
        self.roots = {v: v for v in graph.values()}
        self.steps: list[tuple[Node, Kernel]] = []
        for inner in graph.nodes:
            if is_alias(inner):
                self.roots[inner.output] = self.roots[inner.inputs[0]]
                continue
            kernel = lower(inner, target, {})
            if kernel.dims:
                raise unsupported(node, f"its {inner.op} has symbolic dims")
            self.steps.append((inner, kernel))
        self._plan()

    def _plan(self) -> None:
        """Offsets of all values that are no inputs, and of the kernels' scratch memory."""
        end = len(self.steps)
        buffers = {v: (v.type.nbytes, 0, end) for v in self.graph.weights}
        for index, (node, _) in enumerate(self.steps):
            buffers.update((v, (v.type.nbytes, index, index)) for v in node.outputs)
            for v in node.inputs:
                self._extend(buffers, v, index)
        for _, v in self.graph.outputs:
            self._extend(buffers, v, end)
        needs = [k.scratch for _, k in self.steps]
        plain = [Buffer(*b) for b in buffers.values()]
        plain += [Buffer(size, i, i) for i, size in enumerate(needs)]
        offsets, size = place(plain) if plain else ([], 0)
        self.offsets = {v: self.start + o for v, o in zip(buffers, offsets, strict=False)}
        self.scratch = [self.start + o for o in offsets[len(buffers) :]]
        self.end = self.start + align(size)

    def _extend(self, buffers: dict[Value, tuple[int, int, int]], v: Value, index: int) -> None:
        root = self.roots[v]
        if root in buffers:  # inputs are somewhere else
            size, first, last = buffers[root]
            buffers[root] = (size, first, max(last, index))

    @property
    def flops(self) -> int:
        return sum(k.flops for _, k in self.steps)

    @property
    def bytes(self) -> int:
        return sum(k.bytes for _, k in self.steps)

    def output(self, index: int, scratch: Local, inputs: Sequence[Place]) -> Place:
        """Where a result lies after `run`."""
        return self._place(self.graph.outputs[index][1], scratch, inputs)

    def is_input(self, index: int) -> bool:
        """Whether a result is what came in."""
        return self.roots[self.graph.outputs[index][1]] in self.graph.inputs

    def _place(self, value: Value, scratch: Local, inputs: Sequence[Place]) -> Place:
        root = self.roots[value]
        if root in self.offsets:
            return Place(scratch, self.offsets[root])
        return inputs[self.graph.inputs.index(root)]

    def write_constants(self, f: Function, scratch: Local) -> None:
        """Put the constants where `run` expects them."""
        for value, array in self.graph.weights.items():
            data = np.ascontiguousarray(array).tobytes()
            data += bytes(-len(data) % 4)  # buffers are longer
            for at, word in enumerate(np.frombuffer(data, "<i4").tolist()):
                f.get(scratch).i32(word).op("i32.store", self.offsets[value] + 4 * at)

    def run(self, f: Function, module: Module, scratch: Local, inputs: Sequence[Place]) -> None:
        """Call the kernels."""
        for (node, kernel), own in zip(self.steps, self.scratch, strict=True):
            read = [v for i, v in enumerate(node.inputs) if i not in kernel.folded]
            for v in (*read, *node.outputs):
                self._place(v, scratch, inputs).push(f)
            if kernel.scratch:
                Place(scratch, own).push(f)
            f.i32(0).i32(kernel.work).call(module.define(kernel.key, kernel.emit))


def _copy(f: Function, target: Place, source: Place, size: int) -> None:
    if size and target != source:
        target.push(f)
        source.push(f).i32(size).op("memory.copy")


# (function, its module, scratch pointer, places of the inputs, of the outputs): emits the code.
Emit = Callable[[Function, Module, Local, Sequence[Place], Sequence[Place]], None]


def _kernel(node: Node, emit_body: Emit, bodies: Sequence[Body], extra: int, times: int) -> Kernel:
    """The kernel of a node.

    Args:
        extra: bytes of scratch memory behind the bodies'.
        times: how often they run, as far as is known.
    """
    count = len(node.inputs) + len(node.outputs)
    total = bodies[-1].end + extra

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * (count + bool(total) + 2))
        places = [Place(p) for p in f.params[:count]]
        scratch = f.params[count]  # never read if there is none
        for body in bodies:
            body.write_constants(f, scratch)
        emit_body(f, module, scratch, places[: len(node.inputs)], places[len(node.inputs) :])

    return Kernel(
        key=f"{node.op} {sorted(node.attrs.items())!r}",
        emit=emit,
        work=1,
        scratch=total,
        flops=times * sum(b.flops for b in bodies),
        bytes=max(node_bytes(node), times * sum(b.bytes for b in bodies)),
    )


@register("cond")
def lower_cond(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a choice."""
    first = Body(node.attrs["true_fn"], node, target, 0)
    other = Body(node.attrs["false_fn"], node, target, first.end)

    def emit(
        f: Function,
        module: Module,
        scratch: Local,
        inputs: Sequence[Place],
        outputs: Sequence[Place],
    ) -> None:
        def branch(body: Body) -> None:
            body.run(f, module, scratch, inputs[1:])
            for i, v in enumerate(node.outputs):
                _copy(f, outputs[i], body.output(i, scratch, inputs[1:]), v.type.nbytes)

        inputs[0].push(f).op("i32.load8_u")
        with f.if_():
            branch(first)
            f.else_()
            branch(other)

    return _kernel(node, emit, [first, other], 0, 1)


class _Carry:
    """What goes from turn to turn: it lies in outputs of the node."""

    def __init__(self, node: Node, body: Body, count: int) -> None:
        self.sizes = [v.type.nbytes for v in node.outputs[:count]]
        # A result that is an input, perhaps another one, waits until all are written.
        self.waiting: dict[int, int] = {}
        self.end = body.end
        for i, size in enumerate(self.sizes):
            if body.is_input(i):
                self.waiting[i] = self.end
                self.end += align(size)

    def begin(self, f: Function, inputs: Sequence[Place], outputs: Sequence[Place]) -> None:
        for i, size in enumerate(self.sizes):
            _copy(f, outputs[i], inputs[i], size)

    def next(
        self, f: Function, body: Body, scratch: Local, given: Sequence[Place], to: Sequence[Place]
    ) -> None:
        found = [body.output(i, scratch, given) for i in range(len(self.sizes))]
        moved = {i: at for i, at in self.waiting.items() if found[i] != to[i]}
        for i, at in moved.items():
            _copy(f, Place(scratch, at), found[i], self.sizes[i])
        for i, size in enumerate(self.sizes):
            _copy(f, to[i], Place(scratch, moved[i]) if i in moved else found[i], size)


@register("while_loop")
def lower_while(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a loop that ends when its condition says so."""
    condition = Body(node.attrs["cond_fn"], node, target, 0)
    body = Body(node.attrs["body_fn"], node, target, condition.end)
    count = node.attrs["carried"]
    carry = _Carry(node, body, count)

    def emit(
        f: Function,
        module: Module,
        scratch: Local,
        inputs: Sequence[Place],
        outputs: Sequence[Place],
    ) -> None:
        carry.begin(f, inputs, outputs)
        given = [*outputs, *inputs[count:]]
        with f.block() as done, f.loop() as again:
            condition.run(f, module, scratch, given)
            condition.output(0, scratch, given).push(f).op("i32.load8_u")
            f.op("i32.eqz").br_if(done)
            body.run(f, module, scratch, given)
            carry.next(f, body, scratch, given, outputs)
            f.br(again)

    return _kernel(node, emit, [condition, body], carry.end - body.end, 1)


@register("scan")
def lower_scan(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a loop over slices."""
    body = Body(node.attrs["fn"], node, target, 0)
    count, length = node.attrs["carried"], node.attrs["length"]
    last = count + node.attrs["scanned"]
    carry = _Carry(node, body, count)
    read = [v.type.nbytes // length for v in node.inputs[count:last]]
    made = [v.type.nbytes // length for v in node.outputs[count:]]

    def emit(
        f: Function,
        module: Module,
        scratch: Local,
        inputs: Sequence[Place],
        outputs: Sequence[Place],
    ) -> None:
        carry.begin(f, inputs, outputs)
        moving = [*zip(inputs[count:last], read, strict=True)]
        moving += [*zip(outputs[count:], made, strict=True)]
        cursors = f.locals(len(moving), "i32")
        for cursor, (at, size) in zip(cursors, moving, strict=True):
            at.push(f).plus((length - 1) * size if node.attrs["reverse"] else 0).set(cursor)
        slices = [Place(c) for c in cursors]
        given = [*outputs[:count], *slices[: len(read)], *inputs[last:]]
        with f.repeat(length):
            body.run(f, module, scratch, given)
            for i, size in enumerate(made):
                source = body.output(count + i, scratch, given)
                _copy(f, slices[len(read) + i], source, size)
            carry.next(f, body, scratch, given, outputs)
            for cursor, (_, size) in zip(cursors, moving, strict=True):
                f.advance(cursor, -size if node.attrs["reverse"] else size)

    return _kernel(node, emit, [body], carry.end - body.end, length)

"""Let convolutions and matrix products finish their own results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import Editor, rebuild
from fanlight.ops import scalar as sc
from fanlight.ops.row import EPILOGUE, TABLE
from fanlight.passes.bodies import Body, elementwise
from fanlight.passes.core import (
    AFFINE_FOLDED,
    CONSTANTS_FOLDED,
    EPILOGUES,
    EXPLICIT_PADDING,
    NO_BATCH_NORM,
    NO_TRANSPOSED_CONV,
    PLAIN_MATMUL,
    Context,
    Pass,
)

# What kernels keep in registers next to a tile of results.
MAX_EXTRAS = 4
MAX_COST = 100
# How many nodes may lie between a result and the point where all its users have met again.
MAX_REGION = 16


@dataclass(frozen=True)
class _Fused:
    """A producer and what it takes over."""

    producer: Node
    extras: tuple[Value, ...]
    body: sc.Expr
    count: int


class FuseEpilogue(Pass):
    """Bias, activation, residual add and the like are applied before a result leaves registers.

    Takes over elementwise nodes that alone read the result, as long as what else they read is one
    number, one per channel, or of the result's shape. The node is computed where the last of them
    was, so everything it reads is there. Of two producers that meet in an add, the later takes it.
    An epilogue that a call came with and that reads anything else becomes a node of its own.

    Before:
        graph g(%x: f32[1, 2, 2, 2], %r: f32[1, 2, 2, 2]) {
          weight %w: f32[1, 1, 2, 2] = [1.0, 2.0, 3.0, 4.0]
          weight %b: f32[2] = [0.5, -0.5]
          %c: f32[1, 2, 2, 2] = conv2d(%x, %w)
          %d: f32[1, 2, 2, 2] = add(%c, %b)
          %e: f32[1, 2, 2, 2] = relu(%d)
          %f: f32[1, 2, 2, 2] = add(%r, %e)
          return y=%f
        }

    After:
        graph g(%x: f32[1, 2, 2, 2], %r: f32[1, 2, 2, 2]) {
          weight %w: f32[1, 1, 2, 2] = [1.0, 2.0, 3.0, 4.0]
          weight %b: f32[2] = [0.5, -0.5]
          %f = conv2d(%x, %w, %b, %r) {epilogue="add(a2, max(add(a0, a1), 0))"} @ "c"
          return y=%f
        }
    """

    requires = (
        CONSTANTS_FOLDED,
        AFFINE_FOLDED,
        NO_BATCH_NORM,
        NO_TRANSPOSED_CONV,
        PLAIN_MATMUL,
        EXPLICIT_PADDING,
    )
    ensures = (EPILOGUES,)

    def run(self, graph: Graph, context: Context) -> Graph:
        graph = rebuild(graph, self._spell_out)
        grower = _Grower(graph)
        placed: dict[Node, _Fused] = {}
        gone: set[Node] = set()
        for node in reversed(graph.nodes):
            if node in gone or not TABLE[node.op].epilogue:
                continue
            found = grower.grow(node, gone)
            if found is not None:
                fused, region = found
                placed[region[-1]] = fused
                gone.update(region, (node,))
        editor = Editor(graph)
        for node in graph.nodes:
            if node in placed:
                _place(editor, node, placed[node])
                self.hit(context, placed[node].producer.op, placed[node].count)
            elif node not in gone:
                editor.keep(node)
        return editor.done()

    def _spell_out(self, editor: Editor, node: Node, inputs: list[Value]) -> Sequence[Value] | None:
        """The epilogue that kernels cannot compute, as the node after; None where they can."""
        if EPILOGUE not in node.attrs:
            return None
        core = TABLE[node.op].arity[1]
        extras = inputs[core:]
        if all(_kind_fits(v, node.output) for v in extras):
            return None
        attrs = {name: value for name, value in node.attrs.items() if name != EPILOGUE}
        plain = editor.add(node.op, *inputs[:core], name=node.name, **attrs)
        return editor.become(node, "fused", plain, *extras, body=node.attrs[EPILOGUE])


def _place(editor: Editor, last: Node, fused: _Fused) -> None:
    producer = fused.producer
    core = producer.inputs[: TABLE[producer.op].arity[1]]
    inputs = [editor.get(v) for v in (*core, *fused.extras)]
    attrs = {**producer.attrs, EPILOGUE: str(fused.body)}
    editor.become(last, producer.op, *inputs, name=producer.name, **attrs)


class _Grower:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.users = graph.users()
        self.outputs = {v for _, v in graph.outputs}
        self.position = {node: index for index, node in enumerate(graph.nodes)}

    def grow(self, node: Node, gone: set[Node]) -> tuple[_Fused, list[Node]] | None:
        """The longest run of nodes that `node` can take over; None if there is none."""
        arity = TABLE[node.op].arity[1]
        core = node.output
        body = Body(self.graph.weights, (core, *node.inputs[arity:]))
        if EPILOGUE in node.attrs:
            body.define(core, sc.parse(node.attrs[EPILOGUE]))
        region: list[Node] = []
        best: tuple[_Fused, list[Node]] | None = None
        value = core
        while value not in self.outputs:
            part = self._until_closed(value, gone)
            if part is None:
                break
            for step in part:
                expr = body.compute(step)
            region += part
            value = part[-1].output
            extras = tuple(body.inputs[1:])
            if (
                len(region) > MAX_REGION
                or len(extras) > MAX_EXTRAS
                or sc.cost(expr) > MAX_COST
                or not all(_kind_fits(v, core) for v in extras)
            ):
                break
            # A comparison in between may be a bool; the end may not.
            if body.dtype(expr) == value.dtype == core.dtype:
                best = _Fused(node, extras, expr, len(region)), list(region)
        return best

    def _until_closed(self, value: Value, gone: set[Node]) -> list[Node] | None:
        """The elementwise nodes from a value to where all that is made of it is one value again."""
        region: list[Node] = []
        inside: set[Node] = set()
        frontier = [value]
        while len(region) < MAX_REGION:
            waiting = [u for v in frontier for u in self.users.get(v, ()) if u not in inside]
            if not waiting:
                return None
            node = min(waiting, key=self.position.__getitem__)
            if node in gone or not elementwise(node) or node.output.shape != value.shape:
                return None
            region.append(node)
            inside.add(node)
            frontier = [v for v in (*frontier, node.output) if self._is_open(v, inside)]
            if len(frontier) == 1 and frontier[0] is node.output:
                return region
        return None

    def _is_open(self, value: Value, inside: Iterable[Node]) -> bool:
        return value in self.outputs or any(u not in inside for u in self.users.get(value, ()))


def _kind_fits(extra: Value, core: Value) -> bool:
    """Whether kernels can read an extra input: one number, one per channel, or one per element."""
    shape, size = extra.type.bound, extra.type.size
    channel = size == core.type.bound[-1] and shape[-1:] == core.type.bound[-1:]
    return extra.dtype == core.dtype and (size == 1 or channel or extra.shape == core.shape)

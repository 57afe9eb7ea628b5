"""Which values are alive at which node of a graph, and how many bytes they take together."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fanlight.graph import Graph, Node, Value
from fanlight.ops.row import TABLE
from fanlight.passes.bodies import elementwise


def is_alias(node: Node) -> bool:
    """Whether the output is the first input's memory under another shape."""
    return TABLE[node.op].wasm == "alias"


class Timeline:
    """The memory of a graph whose nodes are computed in their order, one after the other.

    Values that lie in the same memory (a reshape and what it reads) are one *block*, named by the
    value that is computed into it. A block is alive from the node that computes it to the last one
    that reads it; what is given to the graph, from its begin on; what it gives, to its end. As in
    the plan of a build, the result of an elementwise node takes the place of what dies there.

    Args:
        graph: whose inputs, outputs and weights these are.
        nodes: those of the graph, or others in their stead.
        placed: values with a memory of their own, which count for nothing; weights are such.

    Attributes:
        block: value -> its block.
        maker: value -> the node that makes it.
        reads: block -> which nodes read which values in it, by index, aliases too.
        birth: block -> index of the node that computes it; -1 for inputs.
        uses: block -> indices of the nodes that read it, in order; the number of nodes for an
            output of the graph.
        live: bytes alive at each node.
    """

    def __init__(self, graph: Graph, nodes: Sequence[Node], placed: Collection[Value] = ()) -> None:
        self.nodes = nodes
        self.block: dict[Value, Value] = {v: v for v in (*graph.inputs, *graph.weights)}
        self.maker: dict[Value, Node] = {}
        self.reads: dict[Value, list[tuple[int, Value]]] = {}
        self.birth: dict[Value, int] = dict.fromkeys(graph.inputs, -1)
        self.uses: dict[Value, list[int]] = {v: [] for v in graph.inputs}
        self._placed = {*placed, *graph.weights}
        for index, node in enumerate(nodes):
            self.maker.update(dict.fromkeys(node.outputs, node))
            for v in dict.fromkeys(node.inputs):
                self.reads.setdefault(self.block[v], []).append((index, v))
            if is_alias(node):
                self.block[node.output] = self.block[node.inputs[0]]
                continue
            for v in dict.fromkeys(self.block[v] for v in node.inputs):
                self.uses.setdefault(v, []).append(index)
            for v in node.outputs:
                self.block[v], self.birth[v], self.uses[v] = v, index, []
        for v in dict.fromkeys(self.block[v] for _, v in graph.outputs):
            self.uses.setdefault(v, []).append(len(nodes))
        self.live = self._live()

    def size(self, block: Value) -> int:
        """Bytes of a block that the plan has to find a place for."""
        return 0 if block in self._placed else block.type.nbytes

    def last(self, block: Value) -> int:
        """Where a block dies."""
        uses = self.uses[block]
        return uses[-1] if uses else self.birth[block]

    def peak(self) -> tuple[int, int]:
        """The node at which most is alive, and how many bytes."""
        if not self.live:
            return 0, 0
        most = max(self.live)
        return self.live.index(most), most

    def _live(self) -> list[int]:
        changes = [0] * (len(self.nodes) + 2)
        for block, birth in self.birth.items():
            size = self.size(block)
            if size:
                changes[max(birth, 0) + self._takes_over(block)] += size
                changes[min(self.last(block), len(self.nodes)) + 1] -= size
        live = []
        now = 0
        for change in changes[: len(self.nodes)]:
            now += change
            live.append(now)
        return live

    def _takes_over(self, block: Value) -> bool:
        """Whether a block lies where another one dies at the node that computes it."""
        index = self.birth[block]
        if index < 0 or not self.uses[block]:
            return False
        node = self.nodes[index]
        if not elementwise(node):
            return False
        dying = {self.block[v] for v in node.inputs}
        return any(
            v.type.nbytes == block.type.nbytes and v not in self._placed and self.last(v) == index
            for v in dying
        )

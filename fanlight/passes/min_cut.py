"""The cheapest way to part a network in two: Dinic's maximum flow, on lists."""

from __future__ import annotations

# After so many rounds (each takes time in proportion to the edges) the search is given up.
ROUNDS = 200


class Network:
    """Nodes are numbers; an edge costs its capacity where it leads out of the source's side."""

    SOURCE, SINK = 0, 1

    def __init__(self) -> None:
        self.edges: list[list[int]] = [[], []]  # of a node: numbers of edges that leave it
        self.head: list[int] = []
        self.left: list[float] = []  # what an edge still takes; edge ^ 1 goes back

    def node(self) -> int:
        """A new node."""
        self.edges.append([])
        return len(self.edges) - 1

    def edge(self, tail: int, head: int, capacity: float) -> None:
        """An edge; it costs nothing where `tail` is on the sink's side."""
        for a, b, room in ((tail, head, capacity), (head, tail, 0)):
            self.edges[a].append(len(self.head))
            self.head.append(b)
            self.left.append(room)

    def cut(self) -> tuple[float, list[bool]] | None:
        """The least cost, and for each node whether it is on the source's side.

        Of several cuts that cost as much, the one with most on the source's side. None if the
        search was given up.
        """
        cost = 0.0
        for _ in range(ROUNDS):
            level = self._levels()
            if level[self.SINK] < 0:
                break
            cost += self._blocking(level)
        else:
            return None
        reaches = {self.SINK}
        stack = [self.SINK]
        while stack:
            for edge in self.edges[stack.pop()]:
                other = self.head[edge]
                if other not in reaches and self.left[edge ^ 1] > 0:
                    reaches.add(other)
                    stack.append(other)
        return cost, [n not in reaches for n in range(len(self.edges))]

    def _levels(self) -> list[int]:
        level = [-1] * len(self.edges)
        level[self.SOURCE] = 0
        queue = [self.SOURCE]
        for node in queue:
            for edge in self.edges[node]:
                other = self.head[edge]
                if self.left[edge] > 0 and level[other] < 0:
                    level[other] = level[node] + 1
                    queue.append(other)
        return level

    def _blocking(self, level: list[int]) -> float:
        """Send all that goes along edges which lead one level down."""
        tried = [0] * len(self.edges)
        total, path, node = 0.0, list[int](), self.SOURCE
        while True:
            if node == self.SINK:
                room = min(self.left[e] for e in path)
                for e in path:
                    self.left[e] -= room
                    self.left[e ^ 1] += room
                total += room
                first = next(i for i, e in enumerate(path) if self.left[e] == 0)
                node = self.head[path[first] ^ 1]
                del path[first:]
                continue
            edges = self.edges[node]
            while tried[node] < len(edges):
                edge = edges[tried[node]]
                if self.left[edge] > 0 and level[self.head[edge]] == level[node] + 1:
                    break
                tried[node] += 1
            else:
                if not path:
                    return total
                tried[self.head[path[-1] ^ 1]] += 1
                node = self.head[path.pop() ^ 1]
                continue
            path.append(edge)
            node = self.head[edge]

"""Compute values again where that takes less memory than keeping them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from fanlight.graph import Graph, Node, Value
from fanlight.ops.row import TABLE
from fanlight.passes.core import Context, Pass
from fanlight.passes.liveness import Timeline, is_alias

# Families of ops that take little more time than reading what they read.
CHEAP = frozenset(
    "elementwise bitwise trigonometry activation reduce movement order sizes pool normalization "
    "random".split()
)
# Nodes that are computed again for one value, at most, while it is a matter of cheap ones.
MOST_NODES = 12
# Candidates that are tried at one place before it is given up.
TRIES = 12
# Blocks that are dropped at peaks of one height before that is given up.
PATIENCE = 40
# Into how many segments a graph is cut: the square root of its layers, for some numbers of those.
CUTS = (2, 3, 4, 6, 8, 12, 16)
# A block that is smaller than others by this factor is kept rather than computed.
SMALL = 32


class Recompute(Pass):
    """Compute values again, next to where they are needed, instead of keeping them until then.

    For graphs of training steps: what the forward part computes lies in memory until the backward
    part comes to it. As long as more bytes are alive than the budget allows, the value that frees
    most for the least work is dropped after its use and computed again before the next one:
    elementwise ops, normalisation, pooling, movement. If that does not do, the forward part is cut
    into segments; of each only what the next one needs is kept, and the rest of it is computed
    again when the backward part gets there (Chen et al., Training Deep Nets with Sublinear Memory
    Cost, 2016). The numbers are the same to the bit: the same ops compute them from the same
    numbers, random ones, too.

    It runs last, and only where a budget was given. If the budget cannot be met, memory is as
    small as this makes it; who asked for the budget says so. The example has a budget of 64 bytes.

    Before:
        graph g(%x: f32[4], %w: f32[4]) {
          %a: f32[4] = exp(%x)
          %b: f32[4] = fused(%a) {body="add(a0, 1.0)"}
          %c: f32[4] = cumsum(%b) {axis=0, exclusive=false, reverse=false}
          %d: f32[4] = cumsum(%c) {axis=0, exclusive=false, reverse=true}
          %e: f32[4] = cumsum(%d) {axis=0, exclusive=false, reverse=false}
          %f: f32[4] = mul(%e, %b)
          %g: f32[4] = mul(%f, %a)
          %y: f32[4] = mul(%g, %w)
          return y=%y
        }

    After:
        graph g(%x: f32[4], %w: f32[4]) {
          %a: f32[4] = exp(%x)
          %b: f32[4] = fused(%a) {body="add(a0, 1.0)"}
          %c: f32[4] = cumsum(%b) {axis=0, exclusive=false, reverse=false}
          %d: f32[4] = cumsum(%c) {axis=0, exclusive=false, reverse=true}
          %e: f32[4] = cumsum(%d) {axis=0, exclusive=false, reverse=false}
          %b_again: f32[4] = fused(%a) {body="add(a0, 1.0)"} @ "b"
          %f: f32[4] = mul(%e, %b_again)
          %g: f32[4] = mul(%f, %a)
          %y: f32[4] = mul(%g, %w)
          return y=%y
        }
    """

    def __init__(
        self, budget: int, kept: Collection[str] = (), updates: Collection[str] = ()
    ) -> None:
        """
        Args:
            budget: bytes that may be alive at once.
            kept, updates: names of inputs and outputs that have a place of their own, outside of
                what is counted: what a step keeps, and what replaces it.
        """
        self.budget, self._kept, self._updates = budget, set(kept), set(updates)

    def run(self, graph: Graph, context: Context) -> Graph:
        start = _Draft(graph, graph.nodes, placed(graph, self._kept, self._updates))
        if start.peak <= self.budget:
            return graph
        best = self._cheaply(start)
        if best.peak > self.budget:
            # The more segments, the less memory and the more work.
            cuts = [d for count in CUTS if (d := best.cut(count)) is not None]
            fitting = [d for d in cuts if d.peak <= self.budget][:1]
            for draft in fitting or sorted(cuts, key=lambda d: d.peak)[:3]:
                found = self._cheaply(draft)
                if found.peak < best.peak:
                    best = found
                if best.peak <= self.budget:
                    break
        if best.peak >= start.peak:
            return graph
        self.hit(context, count=len(best.nodes) - len(start.nodes))
        return replace(graph, nodes=tuple(best.nodes))

    def _cheaply(self, draft: _Draft) -> _Draft:
        """Drop what is cheap to compute again, one block after the other."""
        barred: set[tuple[Value, int]] = set()
        best, since = draft, 0
        while best.peak > self.budget and since < PATIENCE:
            found = draft.drop_one(barred)
            if found is None:
                break
            draft, since = found, since + 1
            if draft.peak < best.peak:
                best, since = draft, 0
        return best


def placed(graph: Graph, kept: Collection[str], updates: Collection[str]) -> set[Value]:
    """Inputs and outputs of these names."""
    ends = {v for v in graph.inputs if v.name in kept}
    return ends | {v for name, v in graph.outputs if name in updates}


@dataclass(frozen=True)
class _Offer:
    """A block that can be dropped: what is computed again, before which node, and for what."""

    block: Value
    at: int
    again: tuple[Node, ...]
    gain: int
    cost: int


class _Draft:
    """Nodes in order, and their memory."""

    def __init__(self, graph: Graph, nodes: Sequence[Node], placed: Collection[Value]) -> None:
        self.graph, self.nodes, self.placed = graph, nodes, placed
        self.timeline = Timeline(graph, nodes, placed)
        self.at, self.peak = self.timeline.peak()

    # --- single blocks ----------------------------------------------------------------------------

    def drop_one(self, barred: set[tuple[Value, int]]) -> _Draft | None:
        """With one block less at the peak; None if none can go without making another peak."""
        offers = [o for v in self._idle() if (v, self.at) not in barred and (o := self._offer(v))]
        offers.sort(key=lambda o: (-o.gain / o.cost, -o.gain, o.at))
        for offer in offers[:TRIES]:
            found = self._with(offer.at, offer.again, {offer.block})
            if found.peak <= self.peak and found.timeline.live[self.at] < self.peak:
                return found
            barred.add((offer.block, self.at))
        return None

    def _idle(self) -> list[Value]:
        """Blocks that are alive at the peak, and that nothing there reads or makes."""
        t, line = self.at, self.timeline
        least = max(1, self.peak // 1000)
        return [
            v
            for v, birth in line.birth.items()
            if 0 <= birth < t < line.last(v) < len(self.nodes)
            and line.size(v) >= least
            and t not in line.uses[v]
        ]

    def _offer(self, block: Value) -> _Offer | None:
        line = self.timeline
        at = next(i for i in line.uses[block] if i > self.at)
        recipe = _Recipe(self, block, at)
        for v in self._read_from(at, block):
            if not recipe.make(v):
                return None
        gain = line.size(block) - recipe.longer
        if gain <= 0 or not recipe.nodes:
            return None
        return _Offer(block, at, tuple(recipe.nodes), gain, max(1, recipe.cost))

    def _read_from(self, at: int, block: Value) -> list[Value]:
        """Values in a block, made before a node, that it or a later one reads."""
        line = self.timeline
        made = {v for node in self.nodes[at:] if is_alias(node) for v in node.outputs}
        return [
            v for v in dict.fromkeys(v for i, v in line.reads[block] if i >= at) if v not in made
        ]

    def _with(self, at: int, again: Sequence[Node], dropped: Collection[Value]) -> _Draft:
        """With nodes computed again before node `at`; it and later ones read the new results."""
        line = self.timeline
        renewed: dict[Value, Value] = {}
        names = {v.name for v in (*self.graph.inputs, *self.graph.weights, *line.maker)}
        clones = []
        for node in again:
            inputs = tuple(renewed.get(v, v) for v in node.inputs)
            outputs = tuple(Value(_fresh(v.name, names), v.type) for v in node.outputs)
            renewed.update(zip(node.outputs, outputs, strict=True))
            clones.append(replace(node, inputs=inputs, outputs=outputs))
        swapped = {v: new for v, new in renewed.items() if line.block[v] in dropped}
        later = [_reading(node, swapped) for node in self.nodes[at:]]
        return _Draft(self.graph, (*self.nodes[:at], *clones, *later), self.placed)

    # --- segments ---------------------------------------------------------------------------------

    def cut(self, count: int) -> _Draft | None:
        """With the nodes before the peak in about so many segments, which are computed again."""
        t, line = self.at, self.timeline
        held = {
            v for v, birth in line.birth.items() if 0 <= birth < t < line.last(v) < len(self.nodes)
        }
        large = max((line.size(v) for v in held), default=0) // SMALL
        held = {v for v in held if line.size(v) > large}
        if not held:
            return None
        bounds = self._bounds(held, sum(map(line.size, held)) / count)
        draft = self
        # The last segment is needed first: it stays. Others are put in from the end of the graph
        # on, so that the places of those before are what they were.
        plans = [self._segment(first, end, held) for first, end in bounds]
        for at, again, dropped in sorted((p for p in plans if p), key=lambda p: -p[0]):
            draft = draft._with(at, again, dropped)
        return None if draft is self else draft

    def _bounds(self, held: Collection[Value], limit: float) -> list[tuple[int, int]]:
        """First node and end of each segment but the last: about `limit` bytes of each are held.

        They end where the fewest bytes go on to the next one.
        """
        line = self.timeline
        t = self.at
        crossing = [0] * (t + 2)
        for v, birth in line.birth.items():
            within = [i for i in line.uses[v] if i < t]
            if birth >= 0 and within:
                crossing[birth + 1] += line.size(v)
                crossing[within[-1] + 1] -= line.size(v)
        for i in range(1, t + 1):
            crossing[i] += crossing[i - 1]
        born = [0] * (t + 1)
        for v in held:
            born[line.birth[v]] += line.size(v)
        bounds = []
        first, half, bytes_held = 0, 0, 0
        for i in range(t):
            bytes_held += born[i]
            if bytes_held < limit / 2:
                half = i + 1
            if bytes_held >= limit:
                end = min(range(max(half, first + 1), i + 2), key=lambda p: (crossing[p], -p))
                bounds.append((first, end))
                first, half = end, end
                bytes_held = sum(born[end : i + 1])
        return bounds

    def _segment(
        self, first: int, end: int, held: Collection[Value]
    ) -> tuple[int, list[Node], set[Value]] | None:
        """Of nodes first .. end - 1: before which node which of them are computed again, and what
        need not be kept until then.
        """
        t, line = self.at, self.timeline
        dropped = {
            v
            for v in held
            if first <= line.birth[v] < end and not any(end <= i < t for i in line.uses[v])
        }
        if not dropped:
            return None
        at = min(i for v in dropped for i in line.uses[v] if i >= t)
        needed = {v for block in dropped for v in self._read_from(at, block)}
        again: list[Node] = []
        for node in reversed(self.nodes[first:end]):
            if any(v in needed for v in node.outputs):
                again.append(node)
                needed.update(v for v in node.inputs if not self._stays(v, first, end, dropped))
        again.reverse()
        return at, again, dropped

    def _stays(self, v: Value, first: int, end: int, dropped: Collection[Value]) -> bool:
        """Whether a value that a segment reads is there when it is computed again."""
        line = self.timeline
        block = line.block[v]
        if line.birth.get(block, -1) < first:
            return True
        if block in dropped:
            return False
        # Alive anyway, or what the next segment reads.
        return line.last(block) > self.at or any(end <= i for i in line.uses[block])


class _Recipe:
    """How a block is computed again before a node.

    Attributes:
        nodes: what is computed, in order.
        cost: bytes that this reads and writes.
        longer: bytes that have to stay alive at the peak for it, and did not.
    """

    def __init__(self, draft: _Draft, block: Value, at: int) -> None:
        self.draft, self.block, self.at = draft, block, at
        self.nodes: list[Node] = []
        self.cost = self.longer = 0
        self._known: set[Value] = set()

    def make(self, v: Value) -> bool:
        """Take in what computes a value; False: it cannot be done cheaply."""
        if v in self._known:
            return True
        node = self.draft.timeline.maker.get(v)
        if node is None or len(self.nodes) >= MOST_NODES or not _cheap(node):
            return False
        before = len(self.nodes), self.cost, self.longer, set(self._known)
        inputs = node.inputs[:1] if is_alias(node) else node.inputs
        if not all(self._there(u) or self.make(u) or self._keep(u) for u in inputs):
            count, self.cost, self.longer, self._known = before
            del self.nodes[count:]
            return False
        self._known.update(node.outputs)
        self.nodes.append(node)
        if not is_alias(node):
            self.cost += sum(u.type.nbytes for u in (*node.inputs, *node.outputs))
        return True

    def _there(self, v: Value) -> bool:
        """Whether a value is alive at the node anyway, or small enough to be."""
        line = self.draft.timeline
        block = line.block[v]
        if block is self.block:
            return False
        alive = line.size(block) == 0 or line.last(block) >= self.at
        return alive or (line.size(block) * SMALL <= line.size(self.block) and self._keep(v))

    def _keep(self, v: Value) -> bool:
        """Let a value live longer, if it is less than what that saves."""
        line = self.draft.timeline
        block = line.block[v]
        if block is self.block or 2 * line.size(block) > line.size(self.block):
            return False
        if line.last(block) < self.draft.at and v not in self._known:
            self.longer += line.size(block)
        self._known.add(v)
        return True


def _cheap(node: Node) -> bool:
    return node.op == "fused" or TABLE[node.op].family in CHEAP


def _fresh(name: str, names: set[str]) -> str:
    found = f"{name.partition('_again')[0]}_again"
    count = 2
    while found in names:
        found = f"{name.partition('_again')[0]}_again_{count}"
        count += 1
    names.add(found)
    return found


def _reading(node: Node, swapped: Mapping[Value, Value]) -> Node:
    if not any(v in swapped for v in node.inputs):
        return node
    return replace(node, inputs=tuple(swapped.get(v, v) for v in node.inputs))

"""What is told of the shapes of tensors that are not imported yet.

A graph is imported in order, but the constants that came without their numbers are told by what is
behind them, too: a sum with a known tensor, a Pack beside known columns, an output that the
signature declares. Here shapes are known in part (a rank, some dims, a number of elements), and
every op tells its inputs of its output and the other way round, until nothing new is told. What
contradicts something told before is left out: the earlier is nearer to what is known.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from fanlight.formats.tfgraph.arity import enough_inputs
from fanlight.formats.tfgraph.nodes import GraphNode, Ref

Dims = tuple[int | None, ...]
Teller = Callable[["Shapes", GraphNode], None]
TELLERS: dict[str, Teller] = {}
_MOST_RANK = 8
_WIDE = 64  # inputs that are as much work as a turn of another node
_NEAR = 160  # nodes around one whose shapes are supposed
_TURNS = 200_000  # of tellers in all: beyond, nothing more is told
_SUPPOSED = 1_000  # of these for what is supposed around one node
_SUPPOSITIONS = 200  # beyond, nothing more is supposed


def tells(*ops: str) -> Callable[[Teller], Teller]:
    """Register what some ops tell of shapes."""

    def register(function: Teller) -> Teller:
        TELLERS.update(dict.fromkeys(ops, function))
        return function

    return register


class Shapes:
    """Partial shapes of the tensors of a graph; tensors of one shape are one class.

    Args:
        nodes: the graph.
        known: the numbers of a tensor, if these are known already.
        partly: what is known of a vector of so many numbers.
    """

    def __init__(
        self,
        nodes: Mapping[str, GraphNode],
        known: Callable[[Ref], list[int] | None],
        partly: Callable[[Ref, int], list[int | None]],
    ) -> None:
        self.nodes, self.known, self.partly = nodes, known, partly
        self._class: dict[Ref, Ref] = {}
        self._dims: dict[Ref, Dims] = {}
        self._total: dict[Ref, int] = {}
        # The nodes that make or read a tensor of a class; `_shared` have to be copied to change.
        self._near: dict[Ref, dict[str, None]] = {}
        self._shared: set[Ref] = set()
        self.users: dict[str, list[tuple[GraphNode, int]]] = {}
        for node in nodes.values():
            for index, ref in enumerate(node.inputs):
                self.users.setdefault(ref.node, []).append((node, index))
        self._readers: dict[str, list[str]] = {}  # of each node, those that tell something
        self._elements: dict[str, list[Ref]] = {}
        self._stacks: dict[str, list[str]] = {}  # of what makes an element, what stacks the list
        self._waiting: dict[str, None] = {}
        self._turns = 0
        self._supposed = 0
        self.supposing = False
        self._asking = ""
        # A damaged node that lacks inputs tells nothing; its importer says so.
        self._telling = {
            n: node for n, node in nodes.items() if node.op in TELLERS and enough_inputs(node)
        }
        for node in self._telling.values():
            for ref in dict.fromkeys(node.inputs):
                if ref not in self._near:
                    self._near[ref] = {ref.node: None} if ref.node in self._telling else {}
                self._near[ref][node.name] = None
                self._readers.setdefault(ref.node, []).append(node.name)
        self._waiting.update(dict.fromkeys(self._telling))

    # --- what is known

    def root(self, ref: Ref) -> Ref:
        """The tensor that stands for all of one shape with this one."""
        found = ref
        while found in self._class:
            found = self._class[found]
        while ref != found:  # shorter the next time
            self._class[ref], ref = found, self._class[ref]
        return found

    def dims(self, ref: Ref) -> Dims | None:
        return self._dims.get(self.root(ref))

    def rank(self, ref: Ref) -> int | None:
        dims = self.dims(ref)
        return None if dims is None else len(dims)

    def total(self, ref: Ref) -> int | None:
        return self._total.get(self.root(ref))

    # --- what is told

    def tell(self, ref: Ref, dims: Sequence[int | None] | None) -> None:
        """A shape, of which dims may be open."""
        root = self.root(ref)
        if self._tell(root, dims):
            self._wake(root)

    def _tell(self, root: Ref, dims: Sequence[int | None] | None) -> bool:
        """The same of a whole class; whether that was news."""
        if dims is None or len(dims) > _MOST_RANK:
            return False
        old = self._dims.get(root)
        new = tuple([d if d is not None and d >= 0 else None for d in dims])
        if new == old:
            return False
        if old is not None:
            if len(old) != len(new):
                return False
            for o, n in zip(old, new, strict=True):
                if o is not None and n is not None and o != n:
                    return False
            new = tuple([n if o is None else o for o, n in zip(old, new, strict=True)])
        if new == old or not self._fits(root, new):
            return False
        self._dims[root] = new
        self._complete(root)
        return True

    def tell_total(self, ref: Ref, total: int | None) -> None:
        """A number of elements."""
        root = self.root(ref)
        if self._tell_total(root, total):
            self._wake(root)

    def _tell_total(self, root: Ref, total: int | None) -> bool:
        if total is None or root in self._total:
            return False
        self._total[root] = total
        self._complete(root)
        return True

    def same(self, refs: Iterable[Ref]) -> None:
        """These tensors have one shape."""
        first, *rest = dict.fromkeys(map(self.root, refs))
        for other in rest:
            first = self._joined(first, other)

    def _joined(self, first: Ref, other: Ref) -> Ref:
        """The root of two classes that become one; what is told of the first one counts more."""
        before = [(self._dims.get(r), self._total.get(r)) for r in (first, other)]
        near = [self._nodes_near(r) for r in (first, other)]
        # The nodes of the smaller class move: many classes that become one are moved seldom.
        large, small = (0, 1) if len(near[0]) >= len(near[1]) else (1, 0)
        root, gone = (first, other) if large == 0 else (other, first)
        both = [name for name in near[small] if name in near[large]]
        if root in self._shared or root not in self._near:
            self._shared.discard(root)
            near[large] = self._near[root] = dict(near[large])
        self._class[gone] = root
        for ref in (first, other):
            self._dims.pop(ref, None)
            self._total.pop(ref, None)
        for dims, total in before:
            self._tell(root, dims)
            self._tell_total(root, total)
        now = (self._dims.get(root), self._total.get(root))
        for which in (0, 1):
            if now != before[which]:
                self._waiting.update(near[which])
        # A node with tensors of both may be told more by their being alike.
        self._waiting.update(dict.fromkeys(both))
        near[large].update(near[small])
        self._near.pop(gone, None)
        return root

    def stacks(self, whole: GraphNode, element: Ref) -> None:
        """A tensor is put into the list that a node stacks, behind a loop."""
        self._elements.setdefault(whole.name, []).append(element)
        self._stacks.setdefault(element.node, []).append(whole.name)
        for ref in (element, Ref(whole.name)):
            self._near.setdefault(ref, {ref.node: None} if ref.node in self._telling else {})
            self._near[ref][whole.name] = None
        self._waiting[whole.name] = None

    def elements(self, whole: GraphNode) -> list[Ref]:
        """The tensors that are put into the list that a node stacks."""
        return self._elements.get(whole.name, [])

    def _fits(self, root: Ref, dims: Dims) -> bool:
        """Whether these dims can be of as many elements as there are."""
        total, rest = self._total.get(root), math.prod(d for d in dims if d is not None)
        if total is None or not rest:
            return total is None or total == 0
        return total % rest == 0 if None in dims else total == rest

    def _complete(self, root: Ref) -> None:
        """A dim that is left by the number of elements, or that number by the dims."""
        dims, total = self._dims.get(root), self._total.get(root)
        if dims is None:
            return
        known = [d for d in dims if d is not None]
        rest = math.prod(known)
        if len(known) == len(dims):
            self._total.setdefault(root, rest)
        elif total is not None and rest and total % rest == 0:
            if len(known) == len(dims) - 1 or total == rest:
                self._dims[root] = tuple(total // rest if d is None else d for d in dims)

    def _wake(self, root: Ref) -> None:
        self._waiting.update(self._nodes_near(root))

    def _nodes_near(self, root: Ref) -> dict[str, None]:
        """What makes or reads the tensors of a class; what makes one that nothing reads."""
        near = self._near.get(root)
        if near is None:
            near = {root.node: None} if root.node in self._telling else {}
        return near

    def wake(self, ref: Ref) -> None:
        """The numbers of a tensor have become known, which tells its users more."""
        self._waiting.update(dict.fromkeys(self._readers.get(ref.node, ())))

    def settle(self) -> None:
        """Tell all that follows."""
        while self._waiting and self._turns < _TURNS:
            name = next(iter(self._waiting))
            del self._waiting[name]
            node = self._telling[name]
            self._turns += 1 + len(node.inputs) // _WIDE
            TELLERS[node.op](self, node)

    # --- what may be supposed

    def supposed(self, node: GraphNode) -> Shapes:
        """The same with what is likely around a node: sums over last dims, and no broadcasting."""
        self._supposed += 1
        if self._supposed > _SUPPOSITIONS:
            return self
        made = copy.copy(self)
        made._class, made._dims = dict(self._class), dict(self._dims)
        made._total, made._near = dict(self._total), dict(self._near)
        made._shared = set(self._near)
        around = [n for n in self._around(node) if n in self._telling]
        made._waiting = dict.fromkeys(around)
        made._turns, made.supposing, made._asking = _TURNS - _SUPPOSED, True, node.name
        made.settle()
        return made

    def supposes(self, node: GraphNode) -> bool:
        """Whether likely axes of a node count: not of the one whose axes are looked for."""
        return self.supposing and node.name != self._asking

    def _around(self, node: GraphNode) -> list[str]:
        """The nodes next to one, those next to them, and so on, but no constants."""
        found = [node.name]
        seen = {node.name}
        for name in found:  # which grows
            before = [r.node for r in self.nodes[name].inputs]
            behind = self._stacks.get(name, ())  # a loop
            for other in [*self._readers.get(name, ()), *behind, *before]:
                if other in seen or other not in self.nodes or self.nodes[other].op == "Const":
                    continue
                if len(found) >= _NEAR:
                    return found
                seen.add(other)
                found.append(other)
        return found

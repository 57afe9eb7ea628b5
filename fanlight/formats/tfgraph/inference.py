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
from contextlib import suppress

from fanlight.formats.tfgraph.nodes import GraphNode, Ref

Dims = tuple[int | None, ...]
Teller = Callable[["Shapes", GraphNode], None]
TELLERS: dict[str, Teller] = {}
_MOST_RANK = 8
_NEAR = 160  # nodes around one whose shapes are supposed
_TURNS = 200_000  # of tellers in all: beyond, nothing more is told
_SUPPOSED = 1_000  # of these for what is supposed


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
        self._near: dict[Ref, tuple[str, ...]] = {}
        self._users: dict[str, list[str]] = {}
        self._waiting: dict[str, None] = {}
        self._turns = 0
        self.supposing = False
        self._asking = ""
        told = {n: node for n, node in nodes.items() if node.op in TELLERS and node.inputs}
        for node in told.values():
            for ref in dict.fromkeys(node.inputs):
                self._near[ref] = (*self._near.get(ref, ()), node.name)
                self._users.setdefault(ref.node, []).append(node.name)
        for ref, users in self._near.items():
            if ref.node in told:
                self._near[ref] = (ref.node, *users)
        self._waiting.update(dict.fromkeys(told))

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
        if dims is None or len(dims) > _MOST_RANK:
            return
        root = self.root(ref)
        old = self._dims.get(root)
        new = tuple(d if d is not None and d >= 0 else None for d in dims)
        if old is not None:
            if len(old) != len(new):
                return
            if any(
                o is not None and n is not None and o != n for o, n in zip(old, new, strict=True)
            ):
                return
            new = tuple(n if o is None else o for o, n in zip(old, new, strict=True))
        if new != old and self._fits(root, new):
            self._dims[root] = new
            self._complete(root)
            self._wake(root)

    def tell_total(self, ref: Ref, total: int | None) -> None:
        """A number of elements."""
        root = self.root(ref)
        if total is None or root in self._total:
            return
        self._total[root] = total
        self._complete(root)
        self._wake(root)

    def same(self, refs: Iterable[Ref]) -> None:
        """These tensors have one shape."""
        first, *rest = dict.fromkeys(map(self.root, refs))
        for other in rest:
            dims, total = self._dims.pop(other, None), self._total.pop(other, None)
            self._class[other] = first
            near = (*self._near.get(first, ()), *self._near.pop(other, ()))
            self._near[first] = tuple(dict.fromkeys(near))
            self.tell(first, dims)
            self.tell_total(first, total)
            self._wake(first)

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
        self._waiting.update(dict.fromkeys(self._near.get(root, self._maker(root))))

    def _maker(self, ref: Ref) -> tuple[str, ...]:
        """What makes a tensor that nothing reads, if it tells of shapes."""
        node = self.nodes.get(ref.node)
        return (node.name,) if node is not None and node.inputs and node.op in TELLERS else ()

    def wake(self, ref: Ref) -> None:
        """The numbers of a tensor have become known."""
        self._wake(self.root(ref))

    def settle(self) -> None:
        """Tell all that follows."""
        while self._waiting and self._turns < _TURNS:
            name = next(iter(self._waiting))
            del self._waiting[name]
            node = self.nodes[name]
            self._turns += 1
            with suppress(IndexError):  # a damaged node lacks inputs; its importer says so
                TELLERS[node.op](self, node)

    # --- what may be supposed

    def supposed(self, node: GraphNode) -> Shapes:
        """The same with what is likely around a node: sums over last dims, and no broadcasting."""
        made = copy.copy(self)
        made._class, made._dims = dict(self._class), dict(self._dims)
        made._total, made._near = dict(self._total), dict(self._near)
        around = [n for n in self._around(node) if self.nodes[n].op in TELLERS]
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
            for other in [*self._users.get(name, ()), *before]:
                if other in seen or other not in self.nodes or self.nodes[other].op == "Const":
                    continue
                if len(found) >= _NEAR:
                    return found
                seen.add(other)
                found.append(other)
        return found

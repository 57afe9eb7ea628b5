"""A region of a graph whose values could be stored in one order of axes, and what of it should."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fanlight.graph import Graph, Node, Value
from fanlight.passes.axes import (
    Axis,
    Part,
    View,
    in_order,
    join,
    parts,
    regroup,
    resolved,
    signature,
)
from fanlight.passes.axis_links import (
    ALONG,
    GONE,
    ONE,
    OTHER,
    PER_DIM,
    SAME,
    WINDOWS,
    Links,
    changed_dims,
    links,
    window_links,
)
from fanlight.passes.bodies import elementwise
from fanlight.passes.min_cut import Network

NCHW = (0, 3, 1, 2)
# What a transpose costs besides the elements it moves, in elements.
STEP = 64.0
# No cut goes through an edge that costs this.
NEVER = 1e30
# Dims that a movement of the other run times takes.
MOST_DIMS = 4


@dataclass(frozen=True)
class Recipe:
    """How a node is computed in the order of the region.

    Attributes:
        operands: per operand the view that it is read by and the shape it needs; None: as stated.
        attrs: of the op; None where nothing is left to do, as for a transpose.
        image: whether it is an op of WINDOWS (or the bias behind one): see `Region`.
    """

    operands: tuple[tuple[View, tuple[Any, ...]] | None, ...]
    attrs: dict[str, Any] | None
    image: bool = False


@dataclass
class Plan:
    """Nodes to compute in the order of a region: how, and the views of their results."""

    recipes: dict[Node, Recipe] = field(default_factory=dict)
    views: dict[Value, View] = field(default_factory=dict)


def moves(node: Node) -> bool:
    """Whether a node is a transpose that moves elements, not only dims of 1."""
    if node.op != "transpose":
        return False
    moved = [p for p in node.attrs["perm"] if node.inputs[0].shape[p] != 1]
    return moved != sorted(moved)


def cost(value: Value) -> float:
    """Of a transpose of a value."""
    return float(value.type.size) + STEP


class Region:
    """Grows from a value whose dims are given an order, through all ops that know their axes.

    Args:
        graph: with its users and producers at hand.
        taken: nodes that are in another plan.
        images: nodes whose operand and result are images that lie as [N, C, H, W] whatever their
            shape says; elsewhere ops on images want them as stated.
        budget: how many nodes may be looked at.
    """

    def __init__(
        self,
        graph: Graph,
        users: Mapping[Value, Sequence[Node]],
        producers: Mapping[Value, Node],
        taken: Collection[Node],
        images: Collection[Node] = (),
        budget: int = 1 << 30,
    ) -> None:
        self.graph = graph
        self.users = users
        self.producers = producers
        self.taken = taken
        self.images = images
        self.budget = budget
        self.looked = 0
        self.views: dict[Value, View] = {}
        self.nodes: dict[Node, Links | None] = {}
        self._queue: list[Node] = []

    # --- growing

    def grow(self, value: Value, order: Sequence[int]) -> None:
        """Start from a value; the order of the region is that of its dims `order`."""
        self._see(
            value,
            tuple((Axis(n, (order.index(d),)),) for d, n in enumerate(value.shape)),
            start=True,
        )
        while self._queue and self.looked < self.budget:
            self.looked += 1
            self._relate(self._queue.pop())
        found = {v: resolved(view) for v, view in self.views.items()}
        # Axes that were joined too eagerly, as h and w of a square, name nothing.
        self.views = {v: view for v, view in found.items() if _apart(view)}

    def _see(self, value: Value, view: View, start: bool = False) -> None:
        if value in self.graph.weights or value in self.views or 0 in value.shape:
            return
        self.views[value] = view
        # What is stored in order as it is parts the region: beyond it another one may start. But
        # statistics belong to what they are of.
        if start or self.images or not (all(view) and in_order(resolved(view))):
            around = list(self.users.get(value, ()))
            if value in self.producers:
                around.append(self.producers[value])
            self._queue += [n for n in around if n not in self.taken]

    def _links(self, node: Node) -> Links | None:
        if node not in self.nodes:
            image = node in self.images and node.op in WINDOWS
            self.nodes[node] = window_links(node) if image else links(node)
        return self.nodes[node]

    def _relate(self, node: Node) -> None:
        if node.op == "reshape":
            self.nodes[node] = None
            (x,), out = node.inputs, node.output
            if x in self.views and out in self.views:
                made = regroup(self.views[x], out.shape)
                for a, b in zip(made or (), resolved(self.views[out]), strict=False):
                    join(tuple(f for axis in a for f in resolved(((axis,),))[0]), b)
                return
            for known, other in ((x, out), (out, x)):
                if known in self.views:
                    made = regroup(self.views[known], other.shape)
                    if made is not None:
                        self._see(other, made)
            return
        found = self._links(node)
        if found is None:
            return
        out = node.output
        if out not in self.views:
            view = self._result(node, found)
            if view is None:
                return
            self._see(out, view)
        for value, dims in zip(node.inputs, found.operands, strict=True):
            if dims is not None and value not in self.views:
                view = self._operand(value, dims, out)
                if view is not None:
                    self._see(value, view)
            elif dims is not None:
                for i, (kind, d) in enumerate(dims):
                    if kind == SAME:
                        ends = self.views[value][i : i + 1], self.views[out][d : d + 1]
                        join(resolved(ends[0])[0], resolved(ends[1])[0])

    def _result(self, node: Node, found: Links) -> View | None:
        """The view of a result, if those of operands that are known say it."""
        dims: list[tuple[Axis, ...] | None] = [() if n == 1 else None for n in node.output.shape]
        for value, linked in zip(node.inputs, found.operands, strict=True):
            if linked is None or value not in self.views:
                continue
            view = resolved(self.views[value])
            for own, (kind, d) in zip(view, linked, strict=True):
                if kind == SAME and not dims[d]:
                    dims[d] = own
                elif kind == OTHER and not dims[d] and own:
                    dims[d] = (Axis(node.output.shape[d], own[0].key),)
        if any(d is None for d in dims):
            return None
        return tuple(d for d in dims if d is not None)

    def _operand(self, value: Value, linked: Any, out: Value) -> View | None:
        """The view by which an operand is read, of the result's and, where needed, its own."""
        of_out = resolved(self.views[out])
        own = self.views.get(value)
        own = None if own is None else resolved(own)
        dims: list[tuple[Axis, ...]] = []
        for i, (kind, d) in enumerate(linked):
            size = value.shape[i]
            if kind == SAME:
                dims.append(of_out[d])
            elif kind == ONE or (size == 1 and own is None and kind == GONE):
                dims.append(())
            elif own is not None:
                dims.append(own[i])
            elif kind == OTHER and of_out[d]:
                dims.append((Axis(size, of_out[d][0].key),))
            else:
                return None
        return tuple(dims)

    # --- how nodes are computed

    def recipe(self, node: Node) -> Recipe | None:
        """How a node is computed in the order of the region; None if it cannot be."""
        out = node.output
        view = self.views.get(out)
        if view is None:
            return None
        if node.op == "reshape" or node.op == "transpose":
            return self._renamed(node, view)
        found = self.nodes.get(node)
        if found is None:
            return None
        made = parts(view)
        read: list[tuple[View, list[Part]] | None] = []
        for value, linked in zip(node.inputs, found.operands, strict=True):
            if linked is None:
                read.append(None)
                continue
            own = self._operand(value, linked, out)
            if own is None:
                return None
            read.append((own, parts(own)))
        if node in self.images:
            return self._image(node, made, read)
        assert read[0] is not None and found.operands[0] is not None
        whole = found.whole
        if elementwise(node) or node.op == "broadcast_to":
            return self._spread(node, found, made, read)
        first, linked = read[0][1], found.operands[0]
        if any(sum(p.dim == d for p in first) > 1 for d in whole):
            return None
        if node.op in ALONG:
            return _along(node, view, read[0][0], first, anywhere=bool(self.images))
        if any(kind == GONE for kind, _ in linked):
            if signature(view) != signature(
                tuple(
                    axes for axes, (kind, _) in zip(read[0][0], linked, strict=True) if kind == SAME
                )
            ):
                return None
            return _reduced(
                node, read[0][0], first, {d for d, k in enumerate(linked) if k[0] == GONE}
            )
        return self._per_dim(node, found, made, read)

    def _renamed(self, node: Node, view: View) -> Recipe | None:
        """Of a transpose or reshape nothing is left."""
        x = node.inputs[0]
        own = self.views.get(x)
        if own is None:
            return None
        if node.op == "transpose":
            after: View | None = tuple(own[p] for p in node.attrs["perm"])
        else:
            after = regroup(own, node.output.shape, splits=False)
        if after is None or signature(after) != signature(view):
            return None
        return Recipe(((own, ()),), None)

    def _image(self, node: Node, made: list[Part], read: Any) -> Recipe | None:
        """As [N, C, H, W] of four dims, each in one part or of size 1."""
        for value, found in [(node.output, made)] + [
            (v, r[1])
            for v, r in zip(node.inputs, read, strict=True)
            if r is not None and v not in self.graph.weights
        ]:
            wanted = [d for d in NCHW if value.shape[d] != 1]
            if [p.dim for p in found if p.size != 1] != wanted:
                return None
        return Recipe(
            tuple(
                None
                if r is None or v in self.graph.weights
                else (r[0], tuple(v.shape[d] for d in NCHW))
                for v, r in zip(node.inputs, read, strict=True)
            ),
            dict(node.attrs),
            image=True,
        )

    def _spread(self, node: Node, found: Links, made: list[Part], read: Any) -> Recipe | None:
        operands = []
        for (own, _), linked in zip(read, found.operands, strict=True):
            assert linked is not None
            same = {d: i for i, (kind, d) in enumerate(linked) if kind == SAME}
            # Of a dim that the operand has it has all parts.
            sizes = tuple(p.size if p.dim in same and own[same[p.dim]] else 1 for p in made)
            operands.append((own, sizes))
        attrs = dict(node.attrs)
        if node.op == "broadcast_to":
            attrs = {"shape": tuple(p.size for p in made)}
        if node.op == "batch_norm":
            last = len(node.output.shape) - 1
            if not made or made[-1].dim != last or sum(p.dim == last for p in made) != 1:
                return None
            for i in range(1, 5):
                operands[i] = (operands[i][0], node.inputs[i].shape)
        return Recipe(tuple(operands), attrs)

    def _per_dim(self, node: Node, found: Links, made: list[Part], read: Any) -> Recipe | None:
        """Of ops that have a number per dim, concat and gather: what changes is one part."""
        operands: list[Any] = []
        changed = {d for linked in found.operands if linked for kind, d in linked
                   if kind in (OTHER, ONE)}  # fmt: skip
        numbers = [p.dim for p in made]
        if len(made) > max(MOST_DIMS, len(node.output.shape)):
            return None
        if any(numbers.count(d) != 1 for d in changed):
            return None
        for entry in read:
            if entry is None:
                operands.append(None)
                continue
            own, pieces = entry
            sizes = {p.dim: p.size for p in pieces if p.dim in changed}
            # In front of the change there is the same order of parts, but for dims of 1.
            if any(sum(p.dim == d for p in pieces) > 1 for d in changed):
                return None
            here = [p.axes if p.dim not in changed else p.dim for p in pieces]
            there = [p.axes if p.dim not in changed else p.dim for p in made
                     if p.dim not in changed or p.dim in sizes]  # fmt: skip
            if here != there:
                return None
            operands.append((own, tuple(
                sizes.get(p.dim, 1) if p.dim in changed else p.size for p in made
            )))  # fmt: skip
        attrs = _attrs(node, made)
        return None if attrs is None else Recipe(tuple(operands), attrs)

    # --- choosing

    def plan(self) -> Plan | None:
        """What to compute in the order of the region so that least is transposed; None if that is
        what is stated.
        """
        recipes: dict[Node, Recipe] = {}
        for node in self.nodes:
            made = self.recipe(node)
            if made is not None:
                recipes[node] = made
        if not recipes:
            return None
        network = Network()
        place = {n: network.node() for n in recipes}
        before = 0.0
        outputs = {v for _, v in self.graph.outputs}
        values = dict.fromkeys(v for n in recipes for v in (n.output, *n.inputs))
        for node, number in place.items():
            if recipes[node].image:
                network.edge(network.SOURCE, number, NEVER)
            elif moves(node):
                before += cost(node.output)
                network.edge(network.SOURCE, number, cost(node.output))
            for value, operand in zip(node.inputs, recipes[node].operands, strict=True):
                if operand is None or value in self.graph.weights or self._matches(value, operand):
                    continue
                if not in_order(operand[0]):
                    network.edge(number, network.SINK, cost(value))
        for value in values:
            if value in self.views and not in_order(self.views[value]):
                self._connect(network, place, recipes, value, value in outputs)
        found = network.cut()
        if found is None or (found[0] >= before and not self.images):
            return None
        turned = {n: recipes[n] for n, number in place.items() if found[1][number]}
        return Plan(turned, self.views) if turned else None

    def _matches(self, value: Value, operand: tuple[View, Any] | None) -> bool:
        own = self.views.get(value)
        if operand is None or own is None:
            return False
        return own is operand[0] or signature(own) == signature(operand[0])

    def _connect(
        self, network: Network, place: dict[Node, int], recipes: dict[Node, Recipe],
        value: Value, stated: bool,
    ) -> None:  # fmt: skip
        """What a value costs that is made in one order and wanted in another."""
        size = cost(value)
        maker = self.producers.get(value)
        made = place[maker] if maker in place else network.SINK
        wants: list[int] = []
        for user in self.users.get(value, ()):
            if user not in place:
                stated = True
                continue
            for v, operand in zip(user.inputs, recipes[user].operands, strict=True):
                if v is value and self._matches(v, operand):
                    wants.append(place[user])
                elif v is value:
                    stated = True
        wants = list(dict.fromkeys(wants))
        if made != network.SINK and stated:
            network.edge(made, network.SINK, size)
        elif made != network.SINK and wants:
            _fan(network, made, wants, size, forwards=True)
        if wants:
            _fan(network, made, wants, size, forwards=False)


def _apart(view: View) -> bool:
    axes = [a for dim in view for a in dim]
    return len(axes) == len({*axes})


def _fan(network: Network, made: int, wants: list[int], size: float, forwards: bool) -> None:
    """Pay once if any of several nodes is on the other side."""
    middle = made
    if len(wants) > 1:
        middle = network.node()
        network.edge(*((made, middle) if forwards else (middle, made)), size)
    for other in wants:
        capacity = size if middle == made else NEVER
        network.edge(*((middle, other) if forwards else (other, middle)), capacity)


def _along(node: Node, view: View, own: View, found: list[Part], anywhere: bool) -> Recipe | None:
    rank = len(node.output.shape)
    axis = node.attrs["axis"] % rank
    places = [i for i, p in enumerate(found) if p.dim == axis]
    if len(places) != 1 or signature(view) != signature(own):
        return None
    # TF.js has a softmax of the last dim only.
    if not anywhere and axis == rank - 1 and places[0] != len(found) - 1:
        return None
    return Recipe(((own, tuple(p.size for p in found)),), {**node.attrs, "axis": places[0]})


def _reduced(node: Node, own: View, found: list[Part], gone: set[int]) -> Recipe | None:
    axes = tuple(i for i, p in enumerate(found) if p.dim in gone)
    if not axes:
        return None
    attrs = dict(node.attrs)
    if "axis" in attrs:
        attrs["axis"] = axes[0]
    else:
        attrs["axes"] = axes
    return Recipe(((own, tuple(p.size for p in found)),), attrs)


def _attrs(node: Node, made: list[Part]) -> dict[str, Any] | None:
    """The attributes of an op of PER_DIM, concat or gather, per part of the result."""
    attrs = dict(node.attrs)
    if node.op in ("concat", "gather"):
        axis = attrs["axis"] % len(node.output.shape)
        attrs["axis"] = next((i for i, p in enumerate(made) if p.dim == axis), None)
        return None if attrs["axis"] is None else attrs
    assert node.op in PER_DIM
    changed = changed_dims(node)
    which = [p.dim if changed[p.dim] else None for p in made]
    if sum(changed) != sum(d is not None for d in which):
        return None  # a dim of 1 that stays one, but of other elements

    def per_part(key: str, unchanged: Any) -> tuple[Any, ...]:
        return tuple(unchanged if d is None else attrs[key][d] for d in which)

    sizes = [p.size for p in made]
    match node.op:
        case "pad" | "mirror_pad":
            attrs["paddings"] = per_part("paddings", (0, 0))
        case "tile":
            attrs["multiples"] = per_part("multiples", 1)
        case "reverse":
            attrs["axes"] = tuple(i for i, d in enumerate(which) if d is not None)
        case "slice":
            attrs = {"begin": per_part("begin", 0), "size": tuple(sizes)}
        case _:
            ends = tuple(
                n if d is None else attrs["end"][d] for n, d in zip(sizes, which, strict=True)
            )
            attrs = {**attrs, "begin": per_part("begin", 0), "end": ends,
                     "strides": per_part("strides", 1)}  # fmt: skip
    return attrs

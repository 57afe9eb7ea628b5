"""Importers of If and While, by the ops cond, while_loop and scan (docs/adr/0008).

A choice that is known at import is made there. A loop whose turns are known is written out if it
is short, and a scan if it is long; what it counts by comes in as one number per turn. Any other
loop is a while_loop. What does not change from turn to turn is not carried, so that it stays known
where it is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.counts import (
    Bounded,
    Sizes,
    as_counts,
    as_long_as,
    as_tensor,
    count_of,
    ranged,
    sizes,
)
from fanlight.formats.emitter import Emitter, Tensor, check_size, dtype_of
from fanlight.formats.tfgraph.call import Call, Pair, importer
from fanlight.formats.tfgraph.library import Function, called, identity_of, unfit
from fanlight.formats.tfgraph.lists import Handle, TensorList, make_dense, refined, shown
from fanlight.formats.tfgraph.nodes import Ref
from fanlight.graph import Builder, Subgraph, Value
from fanlight.ops.types import TensorType

_WRITTEN_OUT = 512  # nodes: loops of up to so many in all turns are written out
_NESTED = 16  # times as much counts a loop in a loop
_AT_MOST = 1 << 14  # nodes: and of what no loop can carry up to so many
_MOST_TURNS = 1 << 12  # turns that are counted at import
_COUNTING = 64  # nodes that may compute what counts the turns


class Scope(Protocol):
    """What runs functions: the reader."""

    functions: Mapping[str, Function]

    def run_function(self, function: Function, inputs: Sequence[Any], em: Emitter) -> list[Any]:
        """What a function gives for these inputs; its ops go to `em`."""


class Inner(Emitter):
    """Emits a branch or a body; what it uses of outside becomes one more input of it."""

    def __init__(self, outer: Emitter, name: str) -> None:
        super().__init__(Builder(name), outer.sketch, outer.budget)
        self.outer = outer
        self.taken: dict[int, tuple[Tensor, Value]] = {}

    def value(self, tensor: Tensor, name: str | None = None) -> Value:
        """The tensor as a value of this sub-graph."""
        if isinstance(tensor, Value) and self.builder.owns(tensor):
            return tensor
        known = self.taken.get(id(tensor))
        if known is None:
            own = self.builder.input(name or "c", tuple(tensor.shape), dtype_of(tensor))
            known = self.taken[id(tensor)] = (tensor, own)
        return known[1]

    def finish(
        self, parameters: Sequence[Value], outputs: Sequence[Value], taken: Sequence[Tensor]
    ) -> Subgraph:
        """The sub-graph; it takes these tensors of outside after its parameters."""
        rest = [self.value(t) for t in taken]
        graph = self.builder.finish({f"r{i}": v for i, v in enumerate(outputs)})
        return Subgraph(replace(graph, inputs=(*parameters, *rest)))


def _taken(*inners: Inner) -> list[Tensor]:
    found = {key: tensor for inner in inners for key, (tensor, _) in inner.taken.items()}
    return list(found.values())


def _emit(em: Emitter, op: str, inputs: Sequence[Tensor], name: str, **attrs: Any) -> list[Value]:
    """Add a node. Not folded: a loop of constants might not end."""
    made = em.builder.add(op, *(em.value(t) for t in inputs), name=name, **attrs)
    values = list(made) if isinstance(made, tuple) else [made]
    for value in values:
        check_size(value.type, name)
    return values


# --- values of any kind ---------------------------------------------------------------------------


def _parts(call: Call, x: Any) -> list[Tensor]:
    """The tensors that a value of the import consists of."""
    if isinstance(x, Pair):
        return [x.real, x.imag]
    if isinstance(x, TensorList):
        return [make_dense(call, x)]
    if isinstance(x, Bounded):
        return [x.tensor, x.count.value(call)]
    return [] if isinstance(x, Handle) else [as_tensor(call, x)]


def _like(x: Any, parts: Iterator[Tensor]) -> Any:
    """A value of the same kind as x, of other tensors."""
    if isinstance(x, Pair):
        return Pair(next(parts), next(parts))
    if isinstance(x, TensorList):
        dense = next(parts)
        return TensorList(x.dtype, tuple(dense.shape[1:]), dense.shape[0], dense=dense)
    if isinstance(x, Bounded):
        tensor = next(parts)
        return Bounded(tensor, x.axis, count_of(next(parts), x.shape[x.axis]))
    return x if isinstance(x, Handle) else next(parts)


def _type(x: Tensor) -> TensorType:
    return TensorType(tuple(x.shape), dtype_of(x))


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return a is b


def _within(call: Call, em: Emitter) -> Call:
    return replace(call, em=em)


# --- If -------------------------------------------------------------------------------------------


@importer("If", "StatelessIf")
def if_(call: Call) -> list[Any]:
    scope: Scope = call.scope
    branches = [called(call.node, a, scope.functions) for a in ("then_branch", "else_branch")]
    given = call.inputs[1:]
    for branch in branches:
        if len(branch.arguments) != len(given):
            raise unfit(call.node, branch)
    truth = _truth(call, call.x(0), call.em)
    if isinstance(truth, np.ndarray):
        return scope.run_function(branches[0 if truth.any() else 1], given, call.em)
    inners = [Inner(call.em, b.name) for b in branches]
    results = [scope.run_function(b, given, i) for b, i in zip(branches, inners, strict=True)]
    yes, no = results
    if len(yes) != len(no):
        raise call.refuse(
            "the branches give different numbers of results", received=f"{len(yes)}, {len(no)}"
        )
    kept = [
        i
        for i, (a, b) in enumerate(zip(yes, no, strict=True))
        if not _same(a, b) or any(isinstance(a, Value) and n.builder.owns(a) for n in inners)
    ]
    calls = [_within(call, inner) for inner in inners]
    outputs: list[list[Value]] = [[], []]
    pairs: dict[int, tuple[Any, Any]] = {}
    for i in kept:
        pair = _agreed(calls, yes[i], no[i])
        if _shaped(pair[0]) != _shaped(pair[1]):
            raise call.refuse("the branches give different things", received=shown(pair))
        pairs[i] = pair
        for side in (0, 1):
            parts = _parts(calls[side], pair[side])
            outputs[side] += [inners[side].value(p) for p in parts]
    types = [[v.type for v in side] for side in outputs]
    if types[0] != types[1]:
        raise call.refuse(
            "the branches give different shapes or dtypes",
            expected=", ".join(map(str, types[0]))[:200],
            received=", ".join(map(str, types[1]))[:200],
        )
    made: list[Value] = []
    if outputs[0]:
        taken = _taken(*inners)
        true_fn, false_fn = (
            inner.finish([], own, taken) for inner, own in zip(inners, outputs, strict=True)
        )
        name = call.node.name
        attrs = {"true_fn": true_fn, "false_fn": false_fn}
        made = _emit(call.em, "cond", [truth, *taken], name, **attrs)
    rest = iter(made)
    for i in kept:
        yes[i] = _either(call, pairs[i], rest)
    return yes


def _shaped(x: Any) -> Any:
    """What two values must have alike to be one: what they are, and which dim is counted."""
    if isinstance(x, Value | np.ndarray):
        return Value
    return (Bounded, x.axis) if isinstance(x, Bounded) else type(x)


def _either(call: Call, pair: tuple[Any, Any], made: Iterator[Tensor]) -> Any:
    """What an If gives of two values."""
    if not isinstance(pair[0], Sizes):
        return _like(pair[0], made)
    row = next(made)
    found = []
    for i, (a, b) in enumerate(zip(*(x.counts.reshape(-1) for x in pair), strict=True)):
        number = row
        if pair[0].shape:
            flat = call.em.reshape(row, (pair[0].counts.size,), f"{call.node.name}/row")
            number = call.op("slice", flat, begin=(i,), size=(1,), part="count")
            number = call.em.reshape(number, (), f"{call.node.name}/count")
        found.append(ranged(call, number, min(a.least, b.least), max(a.most, b.most)))
    return sizes(found, pair[0].shape)


def _agreed(calls: Sequence[Call], a: Any, b: Any) -> tuple[Any, Any]:
    """Two values, made alike: lists know what the other one says about their elements, and what
    is counted has room for as many elements as the other one.
    """
    if isinstance(a, Bounded) or isinstance(b, Bounded):
        b = as_long_as(calls[1], b, a) if isinstance(a, Bounded) else b
        a = as_long_as(calls[0], a, b) if isinstance(b, Bounded) else a
        return a, b
    if isinstance(a, Sizes) or isinstance(b, Sizes):
        x, y = (as_counts(v) for v in (a, b))
        if x is None or y is None or x.shape != y.shape:
            return as_tensor(calls[0], a), as_tensor(calls[1], b)
        return Sizes(x), Sizes(y)
    if isinstance(a, TensorList) and isinstance(b, TensorList):
        shape = refined(a.shape, b.shape)
        return replace(a, shape=shape), replace(b, shape=shape)
    return a, b


def _truth(call: Call, x: Tensor, em: Emitter) -> Tensor:
    """What decides, as one bool: TensorFlow takes numbers, too."""
    x = as_tensor(call, x)
    if isinstance(x, Bounded):
        raise call.refuse("what decides is as long as numbers want", expected="one bool")
    name = f"{call.node.name}/pred"
    if dtype_of(x) != "bool":
        x = em.op("not_equal", x, em.const(0, dtype_of(x)), name=name)
    if int(np.prod(x.shape)) != 1:
        raise call.refuse("one value decides", expected="one bool", received=list(x.shape))
    return em.reshape(x, (), name)


# --- While ----------------------------------------------------------------------------------------


@importer("While", "StatelessWhile")
def while_(call: Call) -> list[Any]:
    scope: Scope = call.scope
    cond, body = (called(call.node, a, scope.functions) for a in ("cond", "body"))
    for function in (cond, body):
        if len(function.arguments) != len(call.inputs):
            raise unfit(call.node, function)
    if len(body.returns) != len(call.inputs) or len(cond.returns) != 1:
        raise call.refuse(
            "the body gives other values than it takes",
            expected=f"{len(call.inputs)} values; one bool of the condition",
            received=f"{len(body.returns)}, {len(cond.returns)}",
        )
    return _Loop(call, scope, cond, body).lowered()


class _Loop:
    """One loop on its way into ops."""

    def __init__(self, call: Call, scope: Scope, cond: Function, body: Function) -> None:
        self.call = call
        self.scope = scope
        self.cond = cond
        self.body = body
        self.state: list[Any] = list(call.inputs)
        self.weight = _weight(body, scope.functions)
        arguments = {name: i for i, name in enumerate(body.arguments)}
        # What comes out as it went in is not carried.
        self.fixed = {
            i
            for i, ref in enumerate(body.returns)
            if arguments.get(identity_of(ref, body.nodes).node) == i
        }

    def lowered(self) -> list[Any]:
        """The last state."""
        turns = self._turns()
        if turns is not None and (
            len(turns) <= 2 or (len(turns) - 1) * self.weight <= _WRITTEN_OUT
        ):
            return self._written_out(len(turns) - 1)
        try:
            self._settle()
            return self._while() if turns is None else self._scan(turns)
        except FanlightError as error:
            # What changes its shape from turn to turn cannot be carried.
            count = None if turns is None else (len(turns) - 1) * self.weight
            if count is None or count > _AT_MOST or not error.code.startswith("E-FORMAT-01"):
                raise
            self.state = list(self.call.inputs)
            return self._written_out(len(turns or ()) - 1)

    def _written_out(self, count: int) -> list[Any]:
        state = self.state
        for _ in range(count):
            state = self.scope.run_function(self.body, state, self.call.em)
        return state

    # --- how often it turns -----------------------------------------------------------------------

    def _turns(self) -> list[dict[int, np.ndarray]] | None:
        """What counts the turns, before each and after the last; None if that is not known.

        Only the nodes that the condition depends on are run, on arrays.
        """
        wanted: set[int] = set()
        cond, more = _slice(self.cond, self.cond.returns)
        body = replace(self.body, nodes={}, returns=())
        while not more <= wanted:
            wanted |= more
            returns = [self.body.returns[i] for i in sorted(wanted)]
            body, more = _slice(self.body, returns)
        if len(cond.nodes) + len(body.nodes) > _COUNTING:
            return None
        if not all(isinstance(self.state[i], np.ndarray) for i in wanted):
            return None
        em = Emitter(Builder("turns"), self.call.em.sketch, self.call.em.budget)
        now = {i: self.state[i] for i in sorted(wanted)}
        found = [now]
        while len(found) <= _MOST_TURNS:
            given = [now.get(i) for i in range(len(self.state))]
            (go,) = self.scope.run_function(cond, given, em)
            if not isinstance(go, np.ndarray):
                return None
            truth = _truth(self.call, go, em)
            if isinstance(truth, np.ndarray) and not truth.any():
                return found
            results = self.scope.run_function(body, given, em)
            if not all(isinstance(r, np.ndarray) for r in results):
                return None
            before, now = now, dict(zip(now, results, strict=True))
            if all(_same(before[i], now[i]) for i in now):
                return None  # it goes on for ever
            found.append(now)
        return None

    # --- carried ----------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Find the shapes of what lists hold, where only the body says it."""
        call = self.call
        open_ = [
            i for i, x in enumerate(self.state) if isinstance(x, TensorList) and x.sizes is None
        ]
        if any(i not in self.fixed for i in open_):
            inner = Inner(call.em, f"{self.body.name}/shapes")
            plain = [i for i, x in enumerate(self.state) if not isinstance(x, TensorList)]
            given, _ = self._given(inner, [i for i in plain if i not in self.fixed], {})
            results = self.scope.run_function(self.body, given, inner)
            for i in open_:
                result = results[i]
                if isinstance(result, TensorList):
                    shape = refined(self.state[i].shape, result.shape)
                    self.state[i] = replace(self.state[i], shape=shape)
        for i, x in enumerate(self.state):
            if isinstance(x, Sizes) and i not in self.fixed:
                self.state[i] = as_tensor(call, x)  # no bound is known of what it becomes
            # Made into one tensor outside, not in every turn.
            if isinstance(x, TensorList) and (i not in self.fixed or x.sizes is not None):
                dense = make_dense(call, x)
                self.state[i] = replace(x, items=None, dense=dense, shape=tuple(dense.shape[1:]))

    def _carried(self, skip: set[int]) -> list[int]:
        return [i for i in range(len(self.state)) if i not in self.fixed and i not in skip]

    def _start(self, carried: Sequence[int]) -> list[Tensor]:
        return [p for i in carried for p in _parts(self.call, self.state[i])]

    def _given(
        self, inner: Inner, carried: Sequence[int], known: Mapping[int, Tensor]
    ) -> tuple[list[Any], list[Value]]:
        """The arguments of a function of the loop, and the parameters that are in them."""
        parameters: list[Value] = []
        given: list[Any] = []
        for i, x in enumerate(self.state):
            if i in carried:
                own = [inner.builder.input("x", p.shape, dtype_of(p)) for p in _parts(self.call, x)]
                parameters += own
                given.append(_like(x, iter(own)))
            else:
                given.append(known.get(i, x))
        return given, parameters

    def _next(self, inner: Inner, given: list[Any], carried: Sequence[int]) -> list[Value]:
        """What the body gives for the next turn, of the same types as before."""
        results = self.scope.run_function(self.body, given, inner)
        found: list[Value] = []
        call = _within(self.call, inner)
        for i in carried:
            result = results[i]
            if isinstance(self.state[i], Bounded):
                result = as_long_as(call, result, self.state[i])
            parts = _parts(call, result)
            before = [_type(p) for p in _parts(self.call, self.state[i])]
            counted = {getattr(x, "axis", None) for x in (self.state[i], result)}
            if [_type(p) for p in parts] != before or len(counted) > 1:
                raise self.call.refuse(
                    "what a loop carries changes its shape from turn to turn",
                    expected=f"{', '.join(map(str, before))} for value {i}",
                    received=", ".join(str(_type(p)) for p in parts) or shown([result]),
                )
            found += [inner.value(p) for p in parts]
        return found

    def _finished(self, carried: Sequence[int], made: Sequence[Tensor]) -> list[Any]:
        rest = iter(made)
        return [_like(x, rest) if i in carried else x for i, x in enumerate(self.state)]

    def _scan(self, turns: list[dict[int, np.ndarray]]) -> list[Any]:
        length = len(turns) - 1
        counts = [i for i in turns[0] if i not in self.fixed]
        if any(len({(t[i].shape, t[i].dtype) for t in turns}) > 1 for i in counts):
            raise self.call.refuse("what counts the turns changes its shape")
        carried = self._carried(set(counts))
        start = self._start(carried)
        slices = [np.stack([t[i] for t in turns[:-1]]) for i in counts]
        inner = Inner(self.call.em, self.body.name)
        own = {
            i: inner.builder.input("turn", turns[0][i].shape, dtype_of(turns[0][i])) for i in counts
        }
        given, parameters = self._given(inner, carried, own)
        results = self._next(inner, given, carried)
        made: list[Value] = []
        if results:
            taken = _taken(inner)
            fn = inner.finish([*parameters, *own.values()], results, taken)
            made = _emit(
                self.call.em, "scan", [*start, *slices, *taken], self.call.node.name,
                fn=fn, carried=len(start), scanned=len(slices), length=length, reverse=False,
            )  # fmt: skip
        last = self._finished(carried, made)
        for i in counts:
            last[i] = turns[-1][i]
        return last

    def _while(self) -> list[Any]:
        carried = self._carried(set())
        start = self._start(carried)
        if not start:
            raise self.call.refuse("a loop carries nothing and does not end")
        inners = [Inner(self.call.em, self.cond.name), Inner(self.call.em, self.body.name)]
        given, parameters = self._given(inners[0], carried, {})
        go = self.scope.run_function(self.cond, given, inners[0])[0]
        decided = inners[0].value(_truth(self.call, go, inners[0]))
        given, own = self._given(inners[1], carried, {})
        results = self._next(inners[1], given, carried)
        taken = _taken(*inners)
        made = _emit(
            self.call.em, "while_loop", [*start, *taken], self.call.node.name,
            cond_fn=inners[0].finish(parameters, [decided], taken),
            body_fn=inners[1].finish(own, results, taken),
            carried=len(start),
        )  # fmt: skip
        return self._finished(carried, made)


def _weight(function: Function, functions: Mapping[str, Function]) -> int:
    """How many nodes a turn may become, roughly."""
    found: dict[tuple[str, int], int] = {}

    def weight(function: Function, depth: int) -> int:
        key = (function.name, depth)  # many loops may have one body
        if key not in found:
            found[key] = len(function.nodes)
            for node in function.nodes.values() if depth < 4 else ():
                if node.op in ("While", "StatelessWhile"):
                    found[key] += _NESTED * weight(called(node, "body", functions), depth + 1)
        return found[key]

    return weight(function, 0)


def _slice(function: Function, returns: Sequence[Ref]) -> tuple[Function, set[int]]:
    """The part of a function that some results need, and the arguments that those need."""
    places = {name: i for i, name in enumerate(function.arguments)}
    names: set[str] = set()
    arguments: set[int] = set()
    waiting = [r.node for r in returns]
    while waiting:
        name = waiting.pop()
        if name in places:
            arguments.add(places[name])
        elif name in function.nodes and name not in names:
            names.add(name)
            waiting += [r.node for r in function.nodes[name].inputs]
    nodes = {name: n for name, n in function.nodes.items() if name in names}
    return replace(function, nodes=nodes, returns=tuple(returns)), arguments

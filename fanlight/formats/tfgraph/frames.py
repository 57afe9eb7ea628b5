"""Loops and conditions of TensorFlow 1 as functions: frames become While, merges become If.

TensorFlow 1 writes a loop as a frame: Enter brings a value in, Merge takes it or what NextIteration
gives, LoopCond decides, Switch hands it to the body or to Exit. A condition is a Switch for each
value that a branch takes, and a Merge for each that they give. Both are rewritten, innermost
first, into nodes that call functions (as TensorFlow 2 has them), which control.py lowers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from fanlight.errors import FanlightError
from fanlight.formats.tfgraph.library import CALLS, Function, called, identity_of, inlined
from fanlight.formats.tfgraph.nodes import Attrs, GraphNode, Ref
from fanlight.formats.tfgraph.order import needed, ordered

Path = tuple[str, ...]
_FRAMED = frozenset({"Enter", "RefEnter", "Exit", "NextIteration", "LoopCond"})
_SWITCHES = frozenset({"Switch", "RefSwitch"})
_MERGES = frozenset({"Merge", "RefMerge"})
_LEAST_INPUTS = dict.fromkeys((*_FRAMED, "Identity"), 1) | dict.fromkeys(_SWITCHES, 2)
# What is written out, or becomes a function, before an importer sees it.
LOWERED = _FRAMED | _SWITCHES | _MERGES | CALLS
_MAX_DEPTH = 32  # of frames in frames
_MAX_BRANCHES = 64  # of conditions in conditions
_MAX_NODES = 1 << 17  # of all branches: each Merge has its own


def with_functions(
    nodes: Mapping[str, GraphNode],
    outputs: Sequence[Ref],
    stop: frozenset[str],
    functions: dict[str, Function],
    where: object,
) -> dict[str, GraphNode]:
    """The nodes without frames and merges; the functions that they become join `functions`.

    The names of all outputs stay, also where they are an Exit or a Merge.

    Raises:
        FanlightError: E-FORMAT-015 for a frame that is no loop of TensorFlow's, E-FORMAT-016
            for a value that leaves one otherwise than by an Exit.
    """
    for node in nodes.values():
        if len(node.inputs) < _LEAST_INPUTS.get(node.op, 0) and node.name not in stop:
            raise _no_loop(node.where, f"{node.op} has too few inputs", str(len(node.inputs)))
    graph = _Graph(dict(nodes), stop, functions, where)
    graph.loops()
    names = [r.node for r in outputs]
    # What takes a value out of a frame by no Exit has lost it.
    whole = needed(graph.nodes, names, stop, where, controls=True)
    return needed(_conditions(whole, stop, functions), names, stop, where)


_FUNCTIONS = ("then_branch", "else_branch", "cond", "body")
_CALLERS = frozenset({"If", "StatelessIf", "While", "StatelessWhile"})


def prepared(
    nodes: Mapping[str, GraphNode], functions: Mapping[str, Function], where: object
) -> dict[str, Function]:
    """The functions that these nodes call, directly or not, ready to be run.

    In each, calls are written out, frames and merges are functions, and the nodes are those that
    its results need, in an order in which they can be run.
    """
    every = dict(functions)
    ready: dict[str, Function] = {}
    waiting = list(nodes.values())
    while waiting:
        node = waiting.pop()
        if node.op not in _CALLERS:
            continue
        for attr in _FUNCTIONS[:2] if node.op.endswith("If") else _FUNCTIONS[2:]:
            function = called(node, attr, every)
            if function.name not in ready:
                ready[function.name] = _prepared(function, every, where)
                waiting += ready[function.name].nodes.values()
    return ready


def _prepared(function: Function, functions: dict[str, Function], where: object) -> Function:
    arguments = {a: _argument(a, str(where)) for a in function.arguments}
    stop = frozenset(arguments)
    outputs = [r.node for r in function.returns]
    nodes = needed({**function.nodes, **arguments}, outputs, stop, where, controls=True)
    if any(n.op in CALLS for n in nodes.values()):
        nodes = needed(inlined(nodes, functions), outputs, stop, where, controls=True)
    nodes = with_functions(nodes, function.returns, stop, functions, where)
    order = ordered(nodes, stop)
    return replace(function, nodes={n.name: n for n in order if n.name not in stop})


def fed_in_order(
    function: Function, feeding: Callable[[GraphNode], Sequence[Ref]], where: object
) -> Function:
    """The function with its nodes in another order, in which inputs come as `feeding` says."""
    arguments = {a: _argument(a, str(where)) for a in function.arguments}
    # Results first: what is only an input comes when it is wanted.
    nodes = {n.name: n for n in [*function.nodes.values()][::-1]}
    order = ordered({**nodes, **arguments}, frozenset(arguments), feeding)
    return replace(function, nodes={n.name: n for n in order if n.name not in arguments})


def _argument(name: str, where: str) -> GraphNode:
    """What stands for an argument while a function's nodes are looked at."""
    return GraphNode(name, "Placeholder", (), Attrs({}, where), where)


def _argument_of(ref: Ref) -> str:
    """The argument by which a value of outside comes into a function."""
    return f"{ref.node}:{ref.index}"


@dataclass
class _Slice:
    """The nodes that some values need, up to where they come from outside."""

    nodes: dict[str, GraphNode]
    taken: dict[Ref, str]  # what comes from outside, and the argument that it comes by


class _Graph:
    """The nodes of a graph while its frames become functions."""

    def __init__(
        self,
        nodes: dict[str, GraphNode],
        stop: frozenset[str],
        functions: dict[str, Function],
        where: object,
    ) -> None:
        self.nodes = nodes
        self.stop = stop
        self.functions = functions
        self.where = where
        self.paths: dict[str, Path] = {}
        self.members: dict[Path, list[str]] = {}  # the nodes of each frame, not of those in it
        self.exits: dict[str, list[str]] = {}  # by the nodes that they take a value from

    def loops(self) -> None:
        """Replace every frame by a While."""
        if not any(n.op in _FRAMED for n in self.nodes.values()):
            return
        self._find_paths()
        for node in self.nodes.values():
            self.members.setdefault(self.paths[node.name], []).append(node.name)
            if node.op == "Exit":
                self.exits.setdefault(node.inputs[0].node, []).append(node.name)
        frames = [p for p in self.members if p]
        for path in sorted(frames, key=lambda p: (-len(p), p)):
            self._loop(path)

    def _find_paths(self) -> None:
        """The frames that every node is in, outermost first."""
        forward = {
            n.name: replace(n, inputs=tuple(r for r in n.inputs if not self._back(r)))
            for n in self.nodes.values()
        }
        order = ordered(forward, self.stop)
        # Enters of constants do not tell where a frame lies: some other Enter of it does.
        parents: dict[str, Path] = {}
        for _ in range(_MAX_DEPTH):
            before = dict(parents)
            for node in order:
                of = [self.paths.get(r.node, ()) for r in node.inputs if not self._back(r)]
                if not node.inputs:
                    # A constant says by its controls where it is, which conditions ask for.
                    of = [self.paths.get(c, ()) for c in node.controls]
                path = () if node.name in self.stop else max(of, key=len, default=())
                if node.op in ("Enter", "RefEnter"):
                    frame = node.attrs.text("frame_name")
                    known = parents.get(frame, ())
                    if frame not in path:
                        parents[frame] = path if len(path) > len(known) else known
                    path = (*parents.get(frame, ()), frame)
                elif node.op == "Exit":
                    path = path[:-1]
                self.paths[node.name] = path
            if parents == before:
                return
        raise _no_loop(self.where, "frames lie in each other too deeply", f"{_MAX_DEPTH} levels")

    def _back(self, ref: Ref) -> bool:
        node = self.nodes.get(ref.node)
        return node is not None and node.op == "NextIteration"

    def _loop(self, path: Path) -> None:
        inside = [self.nodes[name] for name in self.members[path]]
        conditions = [n for n in inside if n.op == "LoopCond"]
        state = [n for n in inside if n.op in _MERGES and any(self._back(r) for r in n.inputs)]
        if len(conditions) != 1 or not state:
            raise _no_loop(
                f"frame {path[-1][:120]!r} of {self.where}",
                "a frame is no loop",
                f"{len(conditions)} LoopCond, {len(state)} Merge with NextIteration",
            )
        condition = conditions[0]
        # Where a value of the state is taken: from its Merge, or from the Switch behind it.
        places = {m.name: i for i, m in enumerate(state)}
        for n in inside:
            if n.op in _SWITCHES and n.inputs[0].node in places:
                if self._is(n.inputs[1], condition.name):
                    places[n.name] = places[n.inputs[0].node]
        starts: list[Ref] = []
        ends: list[Ref] = []
        for m in state:
            (enter,) = [r for r in m.inputs if not self._back(r)][:1] or [m.inputs[0]]
            (back,) = [r for r in m.inputs if self._back(r)][:1]
            if len(m.inputs) != 2 or self.nodes[enter.node].op not in ("Enter", "RefEnter"):
                raise _no_loop(m.where, "a Merge of a loop takes no Enter", str(m.inputs)[:120])
            starts.append(self.nodes[enter.node].inputs[0])
            ends.append(self.nodes[back.node].inputs[0])
        arguments = [f"{m.name}:state" for m in state]
        found = _Slice({}, {})
        self._cut([*ends, condition.inputs[0]], path, places, arguments, condition.name, found)
        names = (*arguments, *found.taken.values())

        def function(name: str, returns: Sequence[Ref]) -> str:
            name = _fresh(f"{'/'.join(path)}/{name}", self.functions)
            moved = tuple(_moved(r, places, arguments, found, path, self) for r in returns)
            function = Function(name, names, found.nodes, moved)
            self.functions[name] = replace(
                function, nodes=_pruned(function, self.functions, condition.where)
            )
            return name

        kept = [Ref(name) for name in found.taken.values()]
        cond = function("cond", [condition.inputs[0]])
        body = function("body", ends)
        self.functions[body] = replace(
            self.functions[body], returns=(*self.functions[body].returns, *kept)
        )
        attrs = {"cond": {"func": {"name": cond}}, "body": {"func": {"name": body}}}
        name = _fresh(f"{path[-1]}/While", self.nodes)
        self.nodes[name] = GraphNode(
            name, "While", (*starts, *found.taken), Attrs(attrs, condition.where), condition.where
        )
        self.paths[name] = path[:-1]
        self.members.setdefault(path[:-1], []).append(name)
        for inner in self.members[path]:
            del self.nodes[inner]
        for source, index in places.items():
            for end in self.exits.get(source, []):
                given = self.nodes.get(end)
                if given is not None:
                    self.nodes[end] = replace(
                        given, op="Identity", inputs=(Ref(name, index),), controls=()
                    )

    def _is(self, ref: Ref, name: str) -> bool:
        """Whether a value is that of the node, maybe through identities."""
        for _ in range(8):
            node = self.nodes[ref.node]
            if node.name == name:
                return True
            if node.op != "Identity":
                return False
            ref = node.inputs[0]
        return False

    def _cut(
        self,
        refs: Sequence[Ref],
        path: Path,
        places: Mapping[str, int],
        arguments: Sequence[str],
        condition: str,
        found: _Slice,
    ) -> None:
        """Put into `found` what the values need of the frame, rewritten to a function's names."""
        waiting = [r.node for r in refs]
        for r in refs:
            _moved(r, places, arguments, found, path, self)
        while waiting:
            name = waiting.pop()
            if name in found.nodes or name in places:
                continue
            node = self.nodes.get(name)
            if node is None:
                raise _no_loop(
                    f"frame {path[-1][:120]!r} of {self.where}",
                    "a value leaves a frame otherwise than by an Exit",
                    name[:120],
                )
            if self.paths.get(name) != path or name in self.stop:
                continue
            if node.op in ("Enter", "RefEnter", "LoopCond"):
                node = replace(node, op="Identity")
            elif node.op in _SWITCHES and self._is(node.inputs[1], condition):
                # Of what does not change from turn to turn: only the body takes it.
                given = node.inputs[0]
                node = replace(node, op="IdentityN", inputs=(given, given))
            inputs = tuple(_moved(r, places, arguments, found, path, self) for r in node.inputs)
            waiting.extend(r.node for r in node.inputs)
            waiting.extend(c for c in node.controls if c in self.nodes)
            found.nodes[name] = replace(node, inputs=inputs)


def _moved(
    ref: Ref,
    places: Mapping[str, int],
    arguments: Sequence[str],
    found: _Slice,
    path: Path,
    graph: _Graph,
) -> Ref:
    """What a value is called inside the function; one of outside becomes an argument."""
    if ref.node in places:
        return Ref(arguments[places[ref.node]])
    if graph.paths.get(ref.node) == path and ref.node not in graph.stop:
        return ref
    return Ref(found.taken.setdefault(ref, _argument_of(ref)))


def _fresh(name: str, taken: Mapping[str, object]) -> str:
    while name in taken:
        name += "_"
    return name


def _pruned(
    function: Function, functions: dict[str, Function], where: object
) -> dict[str, GraphNode]:
    """The nodes that the function's results need, without merges of conditions."""
    arguments = {a: _argument(a, str(where)) for a in function.arguments}
    stop = frozenset(arguments)
    every = {**function.nodes, **arguments}
    outputs = [r.node for r in function.returns]
    found = needed(every, outputs, stop, where, controls=True)
    made = _conditions(found, stop, functions)
    made = needed(made, outputs, stop, where)
    return {k: v for k, v in made.items() if k not in stop}


def _no_loop(where: object, what: str, received: str) -> FanlightError:
    return FanlightError(
        "E-FORMAT-015",
        f"{what}.",
        where=where,
        expected="loops as tf.while_loop writes them",
        received=received,
        next="export the model again with TensorFlow 2, or without loops (unroll=True).",
    )


# --- conditions -----------------------------------------------------------------------------------

# The branches that a node is in, outermost first: what decides, and how it must decide.
Branches = tuple[tuple[Ref, bool], ...]


def _conditions(
    nodes: Mapping[str, GraphNode],
    stop: frozenset[str],
    functions: dict[str, Function],
) -> dict[str, GraphNode]:
    """The nodes with every Merge replaced by an If."""
    made = dict(nodes)
    if any(n.op in _MERGES for n in made.values()):
        _Conditions(made, stop, functions).run()
    return made


class _Conditions:
    """The nodes of a graph while its merges become functions."""

    def __init__(
        self, nodes: dict[str, GraphNode], stop: frozenset[str], functions: dict[str, Function]
    ) -> None:
        self.nodes = nodes
        self.stop = stop
        self.functions = functions
        self.branches: dict[str, Branches] = {}
        self.written = 0  # nodes of branches so far

    def run(self) -> None:
        """Replace every Merge, those that others depend on first."""
        # What must run before a node, a Switch maybe, is looked at before it, too.
        linked = {
            n.name: replace(n, inputs=(*n.inputs, *(Ref(c) for c in n.controls if c in self.nodes)))
            for n in self.nodes.values()
        }
        for name in [n.name for n in ordered(linked, self.stop)]:
            node = self.nodes[name]
            if node.name in self.stop:
                self.branches[node.name] = ()
            elif node.op in _MERGES:
                self._merge(node)
            else:
                ways = [self._of(r) for r in node.inputs]
                ways += [self.branches.get(c, ()) for c in node.controls]
                self.branches[node.name] = max(ways, key=len, default=())

    def _of(self, ref: Ref) -> Branches:
        node = self.nodes[ref.node]
        if node.op in _SWITCHES and ref.node not in self.stop:
            pred = identity_of(node.inputs[1], self.nodes)
            outer = self.branches[ref.node]
            if len(outer) >= _MAX_BRANCHES:
                raise _no_condition(
                    node, f"conditions in each other, deeper than {_MAX_BRANCHES} levels"
                )
            return (*outer, (pred, bool(ref.index)))
        return self.branches.get(ref.node, ())

    def _merge(self, node: GraphNode) -> None:
        """Put an If in the place of one Merge; those before it are replaced already."""
        ways = [self._of(r) for r in node.inputs]
        longest = max(ways, key=len, default=())
        if len(ways) != 2 or not longest:
            raise _no_condition(node, f"{len(ways)} inputs, behind {len(longest)} Switch")
        prefix, (pred, side) = longest[:-1], longest[-1]
        first = ways.index(longest)
        other = ways[1 - first]
        # A constant of a branch may not say which it is in; then it is in the other one.
        if other != (*prefix, (pred, not side)) and len(other) > len(prefix):
            raise _no_condition(node, "inputs behind different conditions")
        true, false = (first, 1 - first) if side else (1 - first, first)
        taken: dict[Ref, str] = {}
        names = []
        for which, index in (("then", true), ("else", false)):
            inner: dict[str, GraphNode] = {}
            returned = self._branch(node.inputs[index], len(prefix), inner, taken)
            name = _fresh(f"{node.name}/{which}_branch", self.functions)
            self.functions[name] = Function(name, (), inner, (returned,))
            names.append(name)
        for name in names:
            self.functions[name] = replace(self.functions[name], arguments=tuple(taken.values()))
        attrs = {
            "then_branch": {"func": {"name": names[0]}},
            "else_branch": {"func": {"name": names[1]}},
        }
        given = (pred, *taken)
        self.nodes[node.name] = replace(
            node, op="If", inputs=given, attrs=Attrs(attrs, node.where), controls=()
        )
        self.branches[node.name] = prefix

    def _branch(
        self, ref: Ref, depth: int, inner: dict[str, GraphNode], taken: dict[Ref, str]
    ) -> Ref:
        """What one branch gives; its nodes go into `inner`, what it takes into `taken`."""

        def moved(r: Ref) -> Ref:
            if len(self._of(r)) > depth and r.node not in self.stop:
                return r
            return Ref(taken.setdefault(r, _argument_of(r)))

        result = moved(ref)
        waiting = [result.node] if result == ref else []
        while waiting:
            name = waiting.pop()
            if name in inner:
                continue
            node = self.nodes[name]
            self.written += 1
            if self.written > _MAX_NODES:
                raise FanlightError(
                    "E-FORMAT-023",
                    "the branches of the graph's conditions make too many nodes.",
                    where=node.where,
                    expected=f"at most {_MAX_NODES:,}",
                    received="more",
                    next="export the model again with TensorFlow 2: there all results of a "
                    "condition share its branches.",
                )
            if node.op in _SWITCHES and len(self.branches[name]) <= depth:
                given = moved(node.inputs[0])
                inner[name] = replace(node, op="IdentityN", inputs=(given, given), controls=())
                continue
            inputs = tuple(moved(r) for r in node.inputs)
            inner[name] = replace(node, inputs=inputs, controls=())
            waiting.extend(r.node for r, m in zip(node.inputs, inputs, strict=True) if r == m)
        return result


def _no_condition(node: GraphNode, received: str) -> FanlightError:
    return FanlightError(
        "E-FORMAT-015",
        "a Merge does not join the two branches of a condition.",
        where=node.where,
        expected="conditions as tf.cond writes them",
        received=received,
        next="export the model again with TensorFlow 2, or export the part before this node.",
    )

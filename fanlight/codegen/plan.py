"""From a legal graph to steps with addresses: kernels, weight image, arena by liveness.

Memory, low to high: the control block (see walk.py), the dims block, values that are kept between
runs (state.py), weights (those that travel as they are, then those that travel as float16), arena,
slack.
Every address is known here; the module that `walk.emit` writes holds them as constants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from fanlight.codegen.arena import ALIGNMENT, Buffer, align, live_bytes, place
from fanlight.codegen.kernel import Kernel, Packing, lower
from fanlight.codegen.leading import leading_symbols
from fanlight.codegen.state import NOTHING, State, in_order, settle, with_copies
from fanlight.errors import FanlightError
from fanlight.graph import Builder, Graph, Node, Value
from fanlight.ops.row import lookup
from fanlight.ops.types import Dim, TensorType
from fanlight.targets import Target

PAGE = 65536
DIMS_OFFSET = 1024
WEIGHTS_OFFSET = 2048
# Kernels may read a little past the end of any buffer.
SLACK = 256
MAX_PAGES = 65536


@dataclass(frozen=True)
class Placed:
    """A weight in memory, in the layout that its kernel wants."""

    value: Value
    packing: Packing | None
    offset: int
    bytes: int


# A weight and the name of its packing -> the packing.
_Used = dict[tuple[Value, str], Packing | None]


@dataclass(frozen=True)
class Step:
    """One kernel call: its node and where everything lies that it is called with.

    Attributes:
        kernels: one per target.
        tensors: addresses of the inputs that are not folded, then of the outputs.
        scratch, dims: addresses of the scratch memory and the dims block, for kernels that ask.
        leading: where the actual size of the outputs' first dim stands, and its bound; None where
            that is no symbol, or a kernel's units are not in order.
    """

    node: Node
    kernels: tuple[Kernel, ...]
    tensors: tuple[int, ...]
    scratch: int
    dims: int
    leading: tuple[int, int] | None = None

    def pointers(self, kernel: Kernel) -> tuple[int, ...]:
        """What one of the step's kernels, or a twin of it, is called with."""
        scratch = (self.scratch,) if kernel.scratch else ()
        return (*self.tensors, *scratch, *((self.dims,) if kernel.dims else ()))


@dataclass(frozen=True)
class Part:
    """One graph of a plan, which steps first .. last - 1 compute."""

    name: str
    graph: Graph
    first: int
    last: int


@dataclass(frozen=True)
class Plan:
    """Everything about memory and order. Offsets and sizes in bytes.

    Attributes:
        graph: that of the first part, or of all there is.
    """

    graph: Graph
    parts: tuple[Part, ...]
    targets: tuple[Target, ...]
    steps: tuple[Step, ...]
    weights: tuple[Placed, ...]
    offsets: dict[Value, int]  # of graph inputs and outputs
    dims: dict[str, tuple[Dim, int]]
    weights_at: int  # where they begin; before them lies what is kept
    weight_bytes: int  # from WEIGHTS_OFFSET on
    halves_offset: int  # weights from here on have float16 values; the end if there are none
    arena_offset: int
    arena_bytes: int
    live_bytes: int
    pages: int

    def weight_image(self) -> np.ndarray:
        """The bytes of the weight region, uint8; zeros where values are kept."""
        image = np.empty(self.weight_bytes, np.uint8)
        start = 0
        for piece in self.weight_pieces():
            image[start : start + piece.size] = piece
            start += piece.size
        return image

    def weight_pieces(self) -> Iterator[np.ndarray]:
        """`weight_image` in pieces one after the other, which are made as they are asked for, so
        that the weights of a large model are not in memory twice.
        """
        arrays = {v: a for part in self.parts for v, a in part.graph.weights.items()}
        end = WEIGHTS_OFFSET
        for placed in sorted(self.weights, key=lambda p: p.offset):
            if placed.offset < end:
                continue  # another graph's weight of the same bytes
            yield np.zeros(placed.offset - end, np.uint8)
            for piece in _packed(arrays[placed.value], placed.packing):
                yield np.ascontiguousarray(piece).reshape(-1).view(np.uint8)
            end = placed.offset + placed.bytes
        yield np.zeros(WEIGHTS_OFFSET + self.weight_bytes - end, np.uint8)


def _packed(array: np.ndarray, packing: Packing | None) -> Iterator[np.ndarray]:
    """A weight as it lies in memory, in pieces."""
    return iter([array]) if packing is None else packing.pieces(array)


def is_alias(node: Node) -> bool:
    """Whether the node's output is its input's memory under another shape."""
    return lookup(node.op).wasm == "alias"


def make_plan(
    graph: Graph, targets: Sequence[Target], *, halves: bool = False, state: State = NOTHING
) -> Plan:
    """Lower every node for every target and lay out memory once for all of them.

    Args:
        halves: weights whose every value is one that float16 has may travel as float16.
        state: values that are kept between runs.

    Raises:
        FanlightError: E-BUILD-001 listing every op without a kernel; E-BUILD-007 too much memory;
            E-BUILD-010 no input, or an input or output without elements.
    """
    return make_plans({graph.name: graph}, targets, halves=halves, state=state)


def make_plans(
    graphs: Mapping[str, Graph],
    targets: Sequence[Target],
    *,
    halves: bool = False,
    state: State = NOTHING,
) -> Plan:
    """One plan for several graphs, one after the other, that share what is kept: see make_plan.

    Each has weights of its own; they take turns in the arena.
    """
    drafts = [_draft(graph, targets, state) for graph in graphs.values()]
    weights_at = end = halves_offset = max(WEIGHTS_OFFSET, state.end)
    placed: list[Placed] = []
    found: list[dict[tuple[Value, str], int]] = [{} for _ in drafts]
    known: dict[tuple[bytes, str, TensorType], int] = {}
    used = [_used_weights(d.graph, d.lowered, d.roots, halves) for d in drafts]
    for travels_as_half in (False, True):
        halves_offset = end
        for d, wanted, weight_of in zip(drafts, used, found, strict=True):
            own, end = _place_weights(
                d.graph, wanted[travels_as_half], end, known if len(drafts) > 1 else None
            )
            placed += own
            for p in own:
                weight_of[p.value, p.packing.name if p.packing else ""] = p.offset
    dims = _dims([v for d in drafts for v in d.graph.inputs], drafts[0].graph.name)
    arena_offset = align(end + ALIGNMENT)
    steps: list[Step] = []
    parts: list[Part] = []
    ends: dict[Value, int] = {}
    arena_bytes = live = 0
    for name, d, weight_of in zip(graphs, drafts, found, strict=True):
        offsets, scratch, size, alive = _place_arena(
            d.graph, d.lowered, d.roots, d.fixed, arena_offset
        )
        arena_bytes, live = max(arena_bytes, size), max(live, alive)
        first = len(steps)
        steps += _steps(d, offsets, scratch, weight_of, dims)
        parts.append(Part(name, d.graph, first, len(steps)))
        out = (v for _, v in d.graph.outputs)
        ends.update({v: offsets[d.roots[v]] for v in (*d.graph.inputs, *out)})
    pages = -(-(arena_offset + arena_bytes + SLACK) // PAGE)
    if pages > MAX_PAGES:
        raise FanlightError(
            "E-BUILD-007",
            "the model needs more memory than WebAssembly can address.",
            where=drafts[0].graph.name,
            expected="at most 4 GiB",
            received=f"{pages * PAGE / 2**30:.1f} GiB",
            next="use a smaller input size.",
        )
    return Plan(
        parts[0].graph,
        tuple(parts),
        tuple(targets),
        tuple(steps),
        tuple(placed),
        ends,
        dims,
        weights_at,
        end - WEIGHTS_OFFSET,
        halves_offset,
        arena_offset,
        arena_bytes,
        live,
        pages,
    )


@dataclass(frozen=True)
class _Draft:
    """A graph with its kernels, before anything has an address but what is kept."""

    graph: Graph
    lowered: list[tuple[Node, tuple[Kernel, ...]]]
    roots: dict[Value, Value]
    fixed: dict[Value, int]
    leading: dict[Value, Dim]


def _draft(graph: Graph, targets: Sequence[Target], state: State) -> _Draft:
    _check_ends(graph)
    graph = in_order(_copy_passed_through(graph), state)
    leading = leading_symbols(graph)
    lowered = _lower_all(graph, targets, leading)
    roots = _in_place(graph, lowered, _roots(graph), state)
    fixed, copies = settle(graph, [node for node, _ in lowered], roots, state)
    while copies:
        graph, nodes = with_copies(graph, copies)
        lowered += [(node, tuple(lower(node, t, graph.weights) for t in targets)) for node in nodes]
        roots = _in_place(graph, lowered, _roots(graph), state)
        fixed, copies = settle(graph, [node for node, _ in lowered], roots, state)
    return _Draft(graph, lowered, roots, fixed, leading)


def _dims(inputs: Sequence[Value], where: str) -> dict[str, tuple[Dim, int]]:
    """An address for the actual size of each symbol."""
    dims: dict[str, tuple[Dim, int]] = {}
    for value in inputs:
        for d in value.shape:
            if isinstance(d, Dim) and d.name not in dims:
                dims[d.name] = (d.symbol, DIMS_OFFSET + 4 * len(dims))
    if DIMS_OFFSET + 4 * len(dims) > WEIGHTS_OFFSET:
        raise FanlightError(
            "E-BUILD-007",
            "too many symbolic dims.",
            where=where,
            expected="at most 256",
            received=len(dims),
        )
    return dims


def _steps(
    draft: _Draft,
    offsets: Mapping[Value, int],
    scratch: Mapping[int, int],
    weight_of: Mapping[tuple[Value, str], int],
    dims: dict[str, tuple[Dim, int]],
) -> list[Step]:
    roots, weights = draft.roots, draft.graph.weights
    steps = []
    for index, (node, kernels) in enumerate(draft.lowered):
        pointers = []
        for position, value in enumerate(node.inputs):
            if position in kernels[0].folded:
                continue
            root = roots[value]
            if root in weights:
                packing = kernels[0].packing.get(position)
                pointers.append(weight_of[root, packing.name if packing else ""])
            else:
                pointers.append(offsets[root])
        pointers += [offsets[roots[v]] for v in node.outputs]
        own = _dims_address(node, dims) if kernels[0].dims else 0
        counted = _leading(node, kernels, draft.leading, dims)
        steps.append(Step(node, kernels, tuple(pointers), scratch.get(index, 0), own, counted))
    return steps


def _check_ends(graph: Graph) -> None:
    """Hosts hand something over and get something back."""
    outputs = [(f"output {name}", v) for name, v in graph.outputs]
    empty = [
        f"{where}: {v.type}"
        for where, v in [*((f"input {v.name}", v) for v in graph.inputs), *outputs]
        if not v.type.size
    ]
    if empty or not graph.inputs:
        raise FanlightError(
            "E-BUILD-010",
            "the model has inputs or outputs without elements."
            if empty
            else "the model has no input.",
            where=graph.name,
            expected="at least one input, and no dim of size 0",
            received="; ".join(empty) or "no inputs",
            next="leave the empty ones out; a model that computes a constant needs no building.",
        )
    for where, v in [*((f"input {v.name}", v) for v in graph.inputs), *outputs]:
        merged = [d for d in v.shape if isinstance(d, Dim) and d.times != 1]
        if merged:
            name, times = merged[0].name, merged[0].times
            raise FanlightError(
                "E-OP-007",
                f"a page gets and gives dims of free size as they are, not {times} {name}.",
                where=where,
                expected="numbers, and symbols",
                received=v.type,
                next=f"reshape it, so that {name} is a dim of its own: [{name}, {times}, ...].",
            )


def _copy_passed_through(graph: Graph) -> Graph:
    """Outputs get memory of their own: one that is an input or a weight is copied into it."""
    roots = _roots(graph)
    fixed = {*graph.inputs, *graph.weights}
    passed = [v for _, v in graph.outputs if roots[v] in fixed]
    if not passed:
        return graph
    builder = Builder(graph.name)
    mapped = {v: builder.input(v.name, v.shape, v.dtype) for v in graph.inputs}
    mapped.update({v: builder.weight(a, v.name) for v, a in graph.weights.items()})
    for node in graph.nodes:
        names = [v.name for v in node.outputs]
        inputs = [mapped[v] for v in node.inputs]
        if node.op == "from_bound" and node.output in passed:  # kernels take no symbols
            inputs[0] = _copy(builder, inputs[0])
        made = builder.add(node.op, *inputs, name=node.name, outputs=names, **node.attrs)
        mapped.update(zip(node.outputs, made if isinstance(made, tuple) else (made,), strict=True))
    outputs = {
        name: _copy(builder, mapped[v]) if v in passed and v.type.static else mapped[v]
        for name, v in graph.outputs
    }
    return builder.finish(outputs)


def _copy(builder: Builder, value: Value) -> Value:
    # Bodies read uint8 as int32; the copy must be what the value is.
    body = "uint8(a0)" if value.dtype == "uint8" else "a0"
    return builder.add("fused", value, body=body, name="copy")


def _dims_address(node: Node, dims: dict[str, tuple[Dim, int]]) -> int:
    """Where the actual sizes of a node's own symbols stand, one after the other."""
    shape = [d for v in node.inputs for d in v.shape]
    if node.op == "dim_size":
        shape = shape[node.attrs["axis"] :][:1]
    own = [dims[d.name][1] for d in shape if isinstance(d, Dim)]
    if own != [own[0] + 4 * i for i in range(len(own))]:
        raise FanlightError(
            "E-BUILD-001",
            "its symbolic dims do not lie together.",
            where=f"{node.name} ({node.op})",
            expected="symbols of one input",
            received=f"symbols {', '.join(dims)}",
            next="give every image dims of its own.",
        )
    return own[0]


def _form(kernel: Kernel) -> tuple:
    """What the kernels of one node must have in common: on all targets, and as twins."""
    packing = {position: p.name for position, p in kernel.packing.items()}
    return packing, kernel.folded, kernel.dims


def _leading(
    node: Node,
    kernels: Sequence[Kernel],
    leading: Mapping[Value, Dim],
    dims: Mapping[str, tuple[Dim, int]],
) -> tuple[int, int] | None:
    """Address and bound of the size that all outputs of a node have first; None if none."""
    found = {leading.get(v) for v in node.outputs}
    (d,) = found if len(found) == 1 else (None,)
    every = [t for k in kernels for t in (k, *k.twins.values())]
    if d is None or not all(k.in_order for k in every):
        return None
    return dims[d.name][1], d.symbol.max


def _in_order(kernel: Kernel) -> Kernel:
    """The kernel, or its like, whose units come in the order of the outputs."""
    twins = {name: t.by_rows or t for name, t in kernel.twins.items()}
    return replace(kernel.by_rows or kernel, twins=twins)


def _lower_all(
    graph: Graph, targets: Sequence[Target], leading: Mapping[Value, Dim]
) -> list[tuple[Node, tuple[Kernel, ...]]]:
    lowered: list[tuple[Node, tuple[Kernel, ...]]] = []
    missing: list[str] = []
    for node in graph.nodes:
        if is_alias(node):
            continue
        try:
            kernels = tuple(lower(node, target, graph.weights) for target in targets)
            if any(v in leading for v in node.outputs):
                kernels = tuple(map(_in_order, kernels))
        except FanlightError as error:
            if error.code != "E-BUILD-001":
                raise
            missing.append(f"{node.op} at {node.name}: {error.message}")
            continue
        # One weight image and one arena serve all targets and all twins.
        forms = [_form(t) for k in kernels for t in (k, *k.twins.values())]
        if any(form != forms[0] for form in forms):
            raise FanlightError(
                "E-BUILD-008",
                "a node is lowered to kernels of different form.",
                where=f"{node.name} ({node.op})",
                expected=forms[0],
                received=", ".join(str(form) for form in forms[1:]),
                next="report it: this is a bug in Fanlight.",
            )
        lowered.append((node, kernels))
    if missing:
        raise FanlightError(
            "E-BUILD-001",
            f"{len(missing)} nodes have no WebAssembly kernel.",
            where=graph.name,
            expected="ops of docs/ops.md, with options that their kernels take",
            received="; ".join(missing),
            next="change these nodes in the source model, or report what you need.",
        )
    return lowered


def _roots(graph: Graph) -> dict[Value, Value]:
    """value -> the value whose memory it is."""
    roots = {v: v for v in graph.values()}
    for node in graph.nodes:
        if is_alias(node):
            roots[node.output] = roots[node.inputs[0]]
    return roots


def _in_place(
    graph: Graph,
    lowered: Sequence[tuple[Node, tuple[Kernel, ...]]],
    roots: dict[Value, Value],
    state: State,
) -> dict[Value, Value]:
    """`roots`, with outputs in the memory of an input that nobody needs any more.

    Inputs of the graph are donated: hosts write them before every run. What is kept gives its
    place to what replaces it only, and that takes no other.
    """
    kept = state.values(graph)
    heirs: dict[Value, Value] = {}
    for v, olds in state.replaced(graph).items():
        heirs.update(dict.fromkeys(olds, roots[v]))
    claimed = set(heirs.values())
    last = {roots[v]: len(lowered) for _, v in graph.outputs}
    for index, (node, _) in reversed(list(enumerate(lowered))):
        for v in node.inputs:
            last.setdefault(roots[v], index)
    into: dict[Value, Value] = {}  # root -> the root whose memory it takes over
    for index, (node, kernels) in enumerate(lowered):
        allowed = frozenset.intersection(
            *(t.in_place for k in kernels for t in (k, *k.twins.values()))
        )
        for position in sorted(allowed):
            old, new = roots[node.inputs[position]], node.output
            others = {roots[v] for i, v in enumerate(node.inputs) if i not in allowed}
            if (
                last[old] == index
                and old not in graph.weights
                and old not in others
                and (heirs.get(old) is new if old in kept or new in claimed else True)
                and old.type.nbytes == new.type.nbytes
            ):
                into[new] = old
                break

    def owner(v: Value) -> Value:
        while v in into:
            v = into[v]
        return v

    return {v: owner(root) for v, root in roots.items()}


def _used_weights(
    graph: Graph,
    lowered: Sequence[tuple[Node, tuple[Kernel, ...]]],
    roots: dict[Value, Value],
    halves: bool,
) -> tuple[_Used, _Used]:
    """The weights and packings that kernels want, in order of first use; those that may travel as
    float16 apart.
    """
    used: dict[tuple[Value, str], Packing | None] = {}
    for node, kernels in lowered:
        for position, value in enumerate(node.inputs):
            root = roots[value]
            if root in graph.weights and position not in kernels[0].folded:
                packing = kernels[0].packing.get(position)
                used.setdefault((root, packing.name if packing else ""), packing)
    half = {
        k for k, p in used.items() if halves and all(map(_is_half, _packed(graph.weights[k[0]], p)))
    }
    return (
        {k: p for k, p in used.items() if k not in half},
        {k: p for k, p in used.items() if k in half},
    )


def _place_weights(
    graph: Graph,
    used: _Used,
    start: int,
    known: dict[tuple[bytes, str, TensorType], int] | None,
) -> tuple[list[Placed], int]:
    """In order of first use, so that streaming weights arrive as the net needs them; and the end.

    Args:
        known: of several graphs, where weights of these bytes lie already.
    """
    placed: list[Placed] = []
    offset = start
    for (root, name), packing in used.items():
        size = packing.nbytes(root.type) if packing else root.type.nbytes
        at = offset
        if known is not None:
            digest = sha256(np.ascontiguousarray(graph.weights[root]).tobytes()).digest()
            at = known.setdefault((digest, name, root.type), offset)
        placed.append(Placed(root, packing, at, size))
        offset += align(size) if at == offset else 0
    return placed, offset


def _is_half(array: np.ndarray) -> bool:
    """Whether these are float32 of which float16 has every value, to the bit."""
    if array.dtype != np.float32 or not (np.abs(array) <= np.finfo(np.float16).max).all():
        return False
    bits = np.ascontiguousarray(array).view(np.uint32)
    return np.array_equal(array.astype(np.float16).astype(np.float32).view(np.uint32), bits)


def _place_arena(
    graph: Graph,
    lowered: Sequence[tuple[Node, tuple[Kernel, ...]]],
    roots: dict[Value, Value],
    fixed: Mapping[Value, int],
    base: int,
) -> tuple[dict[Value, int], dict[int, int], int, int]:
    """Addresses of values and of scratch memory from `base` on, and how much there is."""
    first: dict[Value, int] = dict.fromkeys(graph.inputs, -1)
    last: dict[Value, int] = dict.fromkeys(graph.inputs, 0)
    for index, (node, _) in enumerate(lowered):
        for v in node.outputs:
            if roots[v] is v:
                first[v] = index
            last[roots[v]] = index
        for v in node.inputs:
            last[roots[v]] = index
    for _, v in graph.outputs:
        last[roots[v]] = len(lowered)
    values = [v for v in first if v not in fixed]
    buffers = [Buffer(v.type.nbytes, first[v], last[v]) for v in values]
    needs = {
        index: max(k.most_scratch for k in kernels)
        for index, (_, kernels) in enumerate(lowered)
        if any(k.most_scratch for k in kernels)
    }
    buffers += [Buffer(size, index, index) for index, size in needs.items()]
    placed, total = place(buffers)
    offsets = {**fixed, **{v: base + o for v, o in zip(values, placed, strict=False)}}
    scratch = {i: base + o for i, o in zip(needs, placed[len(values) :], strict=True)}
    return offsets, scratch, total, live_bytes(buffers)

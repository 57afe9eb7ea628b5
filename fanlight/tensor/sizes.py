"""Functions whose sizes are free: traced at several, put into one graph, and tried at others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from math import prod
from random import Random

import numpy as np

from fanlight.errors import FanlightError
from fanlight.graph import Graph, evaluate, subgraphs
from fanlight.graph.core import Node
from fanlight.graph.generalize import Unlike, generalize, sample_sizes
from fanlight.ops.types import Dim, TensorType
from fanlight.tensor.calls import state
from fanlight.tensor.core import Tensor
from fanlight.tensor.trace import capture

Call = Callable[[Sequence[Tensor]], Mapping[str, Tensor]]
Sizes = Mapping[str, int]
MOST_TRIED = 16  # sizes of a range that are all tried
TRIED = 2_000_000  # most elements of inputs that a graph is tried on
CLOSE = 1e-3  # of the largest number: what is wrong is far off


def trace_sizes(
    call: Call, names: Sequence[str], types: Sequence[TensorType], called: str
) -> Graph:
    """The graph of a function of tensors by position, some of whose sizes are symbols.

    Raises:
        FanlightError: E-TENSOR-017 it does other things for other sizes; E-OP-007 an op does not
            take a symbolic dim; what the function raises at one of the sizes.
    """
    symbols = list(dict.fromkeys(d for t in types for d in t.shape if isinstance(d, Dim)))
    samples = sample_sizes(symbols)
    places: dict[Node, str] = {}
    graphs = [_at(call, names, types, called, sizes, places) for sizes in samples]
    graph = generalize(graphs, types, samples, places)
    more = [sizes for sizes in other_sizes(symbols) if sizes not in samples]
    others = [_least(call, names, types, called, sizes) for sizes in more]
    try:
        # Where the same ops are applied, every number has to be what it is in the graph.
        return generalize([*graphs, *others], types, [*samples, *more], places)
    except Unlike:
        pass
    unlike: list[tuple[dict[str, int], Graph, Unlike]] = []
    for sizes, other in zip(more, others, strict=True):
        try:
            graph = generalize([*graphs, other], types, [*samples, sizes], places)
        except Unlike as error:
            unlike.append((sizes, other, error))
        else:
            graphs.append(other)
            samples.append(sizes)
    for sizes, other, reason in unlike:
        _compare(graph, other, types, called, sizes, reason)
    return graph


def _at(
    call: Call,
    names: Sequence[str],
    types: Sequence[TensorType],
    called: str,
    sizes: Sizes,
    places: dict[Node, str],
) -> Graph:
    """The function at some sizes; `places` gets the line of the user's code of each node."""
    before, state.places = state.places, places
    try:
        return capture(call, names, [t.at(sizes) for t in types], called)
    except FanlightError as error:
        error.where = f"{error.where or called} (traced with {_told(sizes)})"
        raise
    except Exception as error:
        error.add_note(f"{called} was traced with {_told(sizes)}")
        raise
    finally:
        state.places = before


def _told(sizes: Sizes) -> str:
    return ", ".join(f"{n} = {s}" for n, s in sizes.items())


def _loops(node: Node) -> bool:
    """Whether it may turn for ever on numbers that mean nothing."""
    inner = (n for sub in subgraphs(node).values() for n in sub.graph.nodes)
    return node.op == "while_loop" or any(map(_loops, inner))


def other_sizes(symbols: Sequence[Dim]) -> list[dict[str, int]]:
    """Where else a function is tried: all sizes of a small range, else the least ones, powers of 2
    (numbers that are computed of those are exact), and each symbol at its ends beside the others'.
    """

    def near(d: Dim, size: int) -> int:
        return max(d.min, min(d.max, size))

    ranges = [range(d.min, d.max + 1) for d in symbols]
    if prod(map(len, ranges)) <= MOST_TRIED:
        return [dict(zip((d.name for d in symbols), s, strict=True)) for s in product(*ranges)]
    tried = [{d.name: near(d, size) for d in symbols} for size in (1, 2, 4, 16)]
    for turn in (0, 1):
        sizes = [2 ** (3 + 3 * ((k + turn) % 2)) for k in range(len(symbols))]
        tried.append({d.name: near(d, n) for d, n in zip(symbols, sizes, strict=True)})
    for one in symbols if len(symbols) > 1 else ():
        for end, rest in (("min", "max"), ("max", "min")):
            tried.append({d.name: getattr(d, end if d is one else rest) for d in symbols})
    order = Random(2)
    tried += [
        {d.name: order.randint(d.min, min(d.max, 64 + d.min)) for d in symbols} for _ in "123"
    ]
    return [sizes for k, sizes in enumerate(tried) if sizes not in tried[:k]]


def _least(
    call: Call, names: Sequence[str], types: Sequence[TensorType], called: str, sizes: Sizes
) -> Graph:
    """The function at sizes that it may not be meant for."""
    try:
        return _at(call, names, types, called, sizes, {})
    except FanlightError as error:
        raise _differs(called, sizes, f"{error.code}: {error.message}") from error


def _compare(
    graph: Graph,
    other: Graph,
    types: Sequence[TensorType],
    called: str,
    sizes: Sizes,
    unlike: Unlike,
) -> None:
    """The graph gives on random numbers what the function does that applies other ops at some
    sizes; E-TENSOR-017.
    """
    at = [t.at(sizes) for t in types]
    if any(map(_loops, graph.nodes)) or sum(t.size for t in at) > TRIED:
        raise _differs(called, sizes, f"{unlike.message}") from unlike
    rng = np.random.default_rng(0)
    given = {v.name: _numbers(rng, t) for v, t in zip(graph.inputs, at, strict=True)}
    with np.errstate(all="ignore"):
        results, expected = evaluate(graph, given), evaluate(other, given)
    for name, wanted in expected.items():
        made = results.get(name)
        if made is None or made.shape != wanted.shape:
            raise _differs(called, sizes, f"{name} has another shape")
        if not _alike(made, wanted):
            raise _differs(called, sizes, f"{name} has other numbers")


def _numbers(rng: np.random.Generator, type: TensorType) -> np.ndarray:
    if type.dtype == "float32":
        return rng.standard_normal(type.bound).astype(np.float32)
    if type.dtype == "bool":
        return rng.random(type.bound) < 0.5
    if type.dtype == "uint8":
        return rng.integers(0, 256, type.bound).astype(np.uint8)
    return rng.integers(0, 3, type.bound).astype(np.int32)


def _alike(made: np.ndarray, wanted: np.ndarray) -> bool:
    if wanted.dtype.kind != "f":
        return bool((made == wanted).all())
    finite = np.isfinite(wanted)
    if not np.array_equal(made[~finite], wanted[~finite], equal_nan=True):
        return False
    if not finite.any():
        return True
    scale = max(float(np.abs(wanted[finite]).max()), 1e-30)
    return bool(np.abs(made[finite] - wanted[finite]).max() <= CLOSE * scale)


def _differs(called: str, sizes: Sizes, received: str) -> FanlightError:
    return FanlightError(
        "E-TENSOR-017",
        f"the function does other things for {_told(sizes)}.",
        where=called,
        expected="what it does for other sizes",
        received=received[:300],
        next="write what depends on a size with ops (fl.where, masks), or leave these sizes out: "
        'dims={"name": (least, most)}.',
    )

"""Functions whose sizes are free: traced at several, put into one graph, and tried at others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fanlight.errors import FanlightError
from fanlight.graph import Graph, evaluate, subgraphs
from fanlight.graph.core import Node
from fanlight.graph.generalize import generalize, sample_sizes
from fanlight.ops.types import Dim, TensorType
from fanlight.tensor.calls import state
from fanlight.tensor.core import Tensor
from fanlight.tensor.trace import capture

Call = Callable[[Sequence[Tensor]], Mapping[str, Tensor]]
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
    if not any(map(_loops, graph.nodes)):
        for sizes in _others(symbols):
            _confirm(graph, call, names, types, called, sizes)
    return graph


def _at(
    call: Call,
    names: Sequence[str],
    types: Sequence[TensorType],
    called: str,
    sizes: Mapping[str, int],
    places: dict[Node, str],
) -> Graph:
    """The function at some sizes; `places` gets the line of the user's code of each node."""
    before, state.places = state.places, places
    try:
        return capture(call, names, [t.at(sizes) for t in types], called)
    except FanlightError as error:
        error.where = f"{error.where or called} (traced with {_told(sizes)})"
        raise
    finally:
        state.places = before


def _told(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{n} = {s}" for n, s in sizes.items())


def _loops(node: Node) -> bool:
    """Whether it may turn for ever on numbers that mean nothing."""
    inner = (n for sub in subgraphs(node).values() for n in sub.graph.nodes)
    return node.op == "while_loop" or any(map(_loops, inner))


def _others(symbols: Sequence[Dim]) -> list[dict[str, int]]:
    """The least sizes, and powers of 2: numbers that are computed of those are exact."""

    def near(d: Dim, size: int) -> int:
        return max(d.min, min(d.max, size))

    tried = [{d.name: near(d, size) for d in symbols} for size in (1, 2)]
    for turn in (0, 1):
        tried.append(
            {d.name: near(d, 2 ** (3 + 3 * ((k + turn) % 2))) for k, d in enumerate(symbols)}
        )
    return [sizes for k, sizes in enumerate(tried) if sizes not in tried[:k]]


def _confirm(
    graph: Graph,
    call: Call,
    names: Sequence[str],
    types: Sequence[TensorType],
    called: str,
    sizes: Mapping[str, int],
) -> None:
    """The graph gives at other sizes what the function gives there; E-TENSOR-017."""
    known = [t.at(sizes) for t in types]
    if sum(t.size for t in known) > TRIED:
        return
    try:
        alone = _at(call, names, types, called, sizes, {})
    except FanlightError as error:
        raise _differs(called, sizes, f"{error.code}: {error.message}") from error
    rng = np.random.default_rng(0)
    given = {n: _numbers(rng, t) for n, t in zip(names, known, strict=True)}
    with np.errstate(all="ignore"):
        results, expected = evaluate(graph, given), evaluate(alone, given)
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
        return bool(np.mean(made != wanted) <= 0.01) if wanted.size else True
    finite = np.isfinite(wanted)
    if not np.array_equal(made[~finite], wanted[~finite], equal_nan=True):
        return False
    if not finite.any():
        return True
    scale = max(float(np.abs(wanted[finite]).max()), 1e-30)
    return bool(np.abs(made[finite] - wanted[finite]).max() <= CLOSE * scale)


def _differs(called: str, sizes: Mapping[str, int], received: str) -> FanlightError:
    return FanlightError(
        "E-TENSOR-017",
        f"the function does other things for {_told(sizes)}.",
        where=called,
        expected="what it does for other sizes",
        received=received[:300],
        next="write what depends on a size with ops (fl.where, masks), or leave these sizes out: "
        'dims={"name": (least, most)}.',
    )

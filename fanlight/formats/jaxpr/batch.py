"""A free batch: which leading dims are one, and whether the function does the same for any size.

The graph is of a trace with one example. That it stands for others is seen by tracing with two and
three, and by the graph; where the graph does not tell, by numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.graph import Graph, evaluate
from fanlight.graph.batch import Fixed, free_batch, unroll_scans
from fanlight.graph.examples import Unlike, mixed

_WHERE = "fl.from_jax, batch"
_COUNT = 7  # examples: no size of a function is that times another by chance
_CLOSE = 1e-3  # of two examples at once and one by one


def refused(
    message: str, expected: str, received: object, next: str | None = None
) -> FanlightError:
    return FanlightError(
        "E-FORMAT-018",
        message,
        where=_WHERE,
        expected=expected,
        received=str(received)[:200],
        next=next or "leave batch out: sizes then stay as traced.",
    )


def batched_leaves(
    batch: Any, labels: Sequence[str], specs: Sequence[Any], weights: Sequence[bool]
) -> list[bool]:
    """Of each argument's array, whether its leading dim is a free batch.

    Args:
        batch: what the caller says; None: symbols do.
        labels, specs, weights: of each array its name, shape and dtype, and whether it is a weight.
    """
    if isinstance(batch, str):
        batch = (batch,)
    names = batch if isinstance(batch, list | tuple) else ()
    if not (batch is None or isinstance(batch, bool | list | tuple)) or not all(
        isinstance(n, str) for n in names
    ):
        raise refused("batch is none.", "True, or names of arguments", repr(batch))
    inputs = [label for label, weight in zip(labels, weights, strict=True) if not weight]
    unknown = [n for n in names if not any(_named(label, n) for label in inputs)]
    if unknown:
        raise refused("there is no such argument.", ", ".join(inputs), ", ".join(unknown))
    found = []
    for label, spec, weight in zip(labels, specs, weights, strict=True):
        symbols = [not isinstance(d, int) for d in spec.shape]
        if any(symbols[1:]) or (weight and any(symbols)):
            raise refused(
                "only the leading dim of an argument can be free.",
                "numbers for the other dims",
                f"{label}: {spec.shape}",
                "trace once for each size that is wanted.",
            )
        asked = batch is True or any(_named(label, n) for n in names)
        if any(_named(label, n) for n in names) and not spec.shape:
            raise refused("a number has no batch.", "an array", label)
        found.append(not weight and bool(spec.shape) and (asked or any(symbols)))
    if batch is True and not any(found):
        raise refused("no argument has a leading dim.", "an array", ", ".join(inputs))
    sizes = {specs[i].shape[0] for i, free in enumerate(found) if free}
    if len({s for s in sizes if isinstance(s, int)}) > 1:
        raise refused("the arguments have different batches.", "one size for all", sorted(sizes))
    return found


def _named(label: str, name: str) -> bool:
    return label == name or label.startswith(f"{name}/")


def resized(jax: Any, specs: Sequence[Any], free: Sequence[bool], size: int) -> list[Any]:
    """The specs with so many examples."""
    return [
        jax.ShapeDtypeStruct((size, *s.shape[1:]), s.dtype) if f else s
        for s, f in zip(specs, free, strict=True)
    ]


def check_sizes(jax: Any, shapes: Callable[[int], Any]) -> None:
    """E-FORMAT-018 unless every result has as many examples as the arguments, whatever number.

    Args:
        shapes: of so many examples, what the function gives; raises what the function raises.
    """
    made = []
    for size in (1, 2, 3):
        try:
            made.append(jax.tree_util.tree_flatten_with_path(shapes(size))[0])
        except (TypeError, ValueError, AssertionError) as error:
            raise refused(
                f"the function does not take {size} examples.",
                "any number of them",
                f"{type(error).__name__}: {error}",
                "write sizes as -1, or as x.shape[0]; or leave batch out.",
            ) from None
    if len({len(m) for m in made}) > 1:
        raise refused(
            "the number of results depends on the batch.", "the same", list(map(len, made))
        )
    for results in zip(*made, strict=True):
        found = [tuple(r.shape) for _, r in results]
        if [s[:1] for s in found] != [(1,), (2,), (3,)] or len({s[1:] for s in found}) > 1:
            place = jax.tree_util.keystr(results[0][0]) or "the result"
            raise refused(
                f"{place} does not count the examples in its leading dim.",
                "shapes [1, ...], [2, ...] and [3, ...] for 1, 2 and 3 examples",
                found,
            )


def check_apart(
    graph: Graph,
    free: Mapping[str, bool],
    graph_of: Callable[[int], Graph],
    run: Callable[[dict[str, np.ndarray]], list[Any]],
) -> str | None:
    """E-FORMAT-018 if the examples of a batch are not taken each by itself; what there is to tell.

    Args:
        free: input -> whether it has a batch.
        graph_of: the graph for so many examples.
        run: the function of JAX on arrays by the names of the inputs.
    """
    told = None
    try:
        free_batch(unroll_scans(graph), [n for n, f in free.items() if f])
        reason = _meeting(graph, graph_of)
        if not reason:
            return None
    except Fixed as error:
        reason = str(error)
        told = f"A batch is computed one by one: {reason}."
    random = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for v in graph.inputs:
        shape = (2, *v.shape[1:]) if free[v.name] else v.shape
        if v.dtype == "float32":
            arrays[v.name] = random.standard_normal(shape).astype(np.float32)
        else:
            kind = {"bool": np.bool_, "uint8": np.uint8}.get(v.dtype, np.int32)
            arrays[v.name] = random.integers(0, 2, shape).astype(kind)
    together = [np.asarray(y, np.float64) for y in run(arrays)]
    for i in (0, 1):
        one = {n: a[i : i + 1] if free[n] else a for n, a in arrays.items()}
        for (name, _), mine, theirs in zip(
            graph.outputs, evaluate(graph, one).values(), together, strict=True
        ):
            limit = _CLOSE * (1 + np.abs(theirs[i : i + 1]).max(initial=0))
            if np.abs(mine.astype(np.float64) - theirs[i : i + 1]).max(initial=0) > limit:
                raise refused(
                    "the function mixes the examples of a batch.",
                    "the same for an example alone and among others",
                    f"{name}: {reason}",
                )
    return told


def _meeting(graph: Graph, graph_of: Callable[[int], Graph]) -> str:
    """Why examples may meet, as the graphs of one and of several tell it; empty: they do not.

    What one example alone does not show: a slice of the first is all of it.
    """
    try:
        return "; ".join(mixed(graph, graph_of(_COUNT), _COUNT))
    except (FanlightError, Unlike):
        return "the graphs of one example and of several are not alike"

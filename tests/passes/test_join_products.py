"""Sums of products over a batch become one product."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fanlight.graph import Builder, Graph, verify
from fanlight.passes import optimize
from fanlight.passes.core import Context
from fanlight.passes.join_products import JoinProducts
from tests.passes.support import assert_same_meaning

MASK = np.array([1, 1, 0, 1], bool)


def _graph(
    lead: tuple[int, ...] = (4,), *, masked: bool = False, fill: float = 0.0, **how: Any
) -> Graph:
    axes = how.pop("axes", tuple(range(len(lead))))
    builder = Builder()
    a, b = builder.input("a", (*lead, 3, 2)), builder.input("b", (*lead, 3, 5))
    y = builder.add("matmul", a, b, transpose_a=True)
    outputs = {}
    if how.pop("read", False):
        outputs["product"] = y
    if masked:
        shape = how.pop("inside", (4, 1, 1))
        inside = builder.weight(np.broadcast_to(MASK.reshape(4, 1, 1), shape).copy())
        y = builder.add("select", inside, y, builder.weight(np.float32(fill)))
    outputs["y"] = builder.add("sum", y, axes=axes, **how)
    return builder.finish(outputs)


JOINED: list[dict[str, Any]] = [
    {},
    {"lead": (2, 3)},
    {"keepdims": True},
    {"axes": (-3,)},
    {"masked": True},
    {"masked": True, "lead": (2, 4)},
    {"masked": True, "keepdims": True},
]


@pytest.mark.parametrize("case", JOINED)
def test_joined(case: dict[str, Any]) -> None:
    graph = _graph(**case)
    after = verify(JoinProducts().run(graph, Context()))
    assert "sum" not in [n.op for n in after.nodes]
    (product,) = (n for n in after.nodes if n.op == "matmul")
    assert product.output.shape == (2, 5)
    assert_same_meaning(graph, after)
    assert_same_meaning(graph, optimize(graph, verify=True))


@pytest.mark.parametrize(
    "case",
    [
        {"read": True},
        {"lead": (2, 3), "axes": (0,)},
        {"axes": (0, 1)},
        {"masked": True, "fill": 1.0},
        {"masked": True, "inside": (4, 2, 1)},
    ],
)
def test_left(case: dict[str, Any]) -> None:
    graph = _graph(**case)
    assert JoinProducts().run(graph, Context()) is graph
    assert_same_meaning(graph, optimize(graph, verify=True))


def test_what_is_left_out_may_be_anything() -> None:
    """Padding of a batch holds what was there before, which need not be a number."""
    from fanlight.graph import evaluate

    graph = _graph(masked=True)
    after = JoinProducts().run(graph, Context())
    rng = np.random.default_rng(2)
    arrays = {n: np.float32(rng.normal(size=(4, 3, k))) for n, k in (("a", 2), ("b", 5))}
    expected = evaluate(after, arrays)["y"]
    for array, bad in zip(arrays.values(), (np.inf, np.nan), strict=True):
        array[2] = bad
    np.testing.assert_array_equal(evaluate(after, arrays)["y"], expected)

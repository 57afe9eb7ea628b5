"""Rounding to float16: which weights, to what, and what is left alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fanlight.errors import FanlightError
from fanlight.graph import Builder, Graph, parse, to_text
from fanlight.passes import PIPELINE_F16, Context, check_order, optimize
from fanlight.passes.examples import example
from fanlight.passes.round_weights import LARGEST, SMALLEST, RoundWeights


def test_the_example_is_what_happens() -> None:
    found = example(RoundWeights())
    context = Context()
    after = RoundWeights().run(parse(found.before), context)
    assert to_text(after) == to_text(parse(found.after))
    assert context.hits == {"round_weights: weight": 1}
    assert RoundWeights().run(after, Context()) is after


def test_the_pipeline_is_in_order() -> None:
    check_order(PIPELINE_F16)
    with pytest.raises(FanlightError, match="E-GRAPH-008"):
        check_order(PIPELINE_F16[::-1])


def product(w: np.ndarray) -> Graph:
    builder = Builder("g")
    x = builder.input("x", (1, w.shape[0]))
    return builder.finish({"y": builder.add("matmul", x, builder.weight(w, "w"))})


def rounded(w: np.ndarray) -> np.ndarray:
    (after,) = RoundWeights().run(product(w), Context()).weights.values()
    return after


def test_to_the_nearest_and_ties_to_even() -> None:
    ties = np.float32([[1 + 2**-11, 1 + 3 * 2**-11], [1 + 2**-11 + 2**-20, -(2.0**-24) * 1.5]])
    wanted = np.float32([[1, 1 + 2**-9], [1 + 2**-10, -(2.0**-24) * 2]])
    np.testing.assert_array_equal(rounded(ties), wanted)


@pytest.mark.parametrize(
    ("largest", "kept"),
    [
        (LARGEST, False),
        (np.nextafter(np.float32(LARGEST), np.float32(np.inf)), True),
        (65520.0, True),
        (3e38, True),
        (SMALLEST, False),
        (np.nextafter(np.float32(SMALLEST), np.float32(0)), True),
        (1e-20, True),
        (0.0, True),
    ],
)
def test_a_tensor_that_would_be_spoilt_stays(largest: float, kept: bool) -> None:
    w = (np.float32([[1 / 3, -0.7], [0.1, 0.2]]) * np.float32(largest)).astype(np.float32)
    w[1, 1] = -largest
    after = rounded(w)
    assert np.isfinite(after).all()
    assert np.array_equal(after, w) == kept
    assert np.abs(after - w).max() <= largest * 2**-11


def test_only_what_is_multiplied_or_looked_up_is_rounded() -> None:
    third = np.float32(1 / 3)
    b = Builder("g")
    x, k = b.input("x", (1, 4, 4, 2)), b.input("k", (3,), "int32")
    names = ("conv", "depthwise", "bias", "anchors", "table")
    shapes = ((3, 3, 2, 2), (3, 3, 2, 1), (2,), (1, 4, 4, 2), (5, 2))
    w = {n: b.weight(np.full(s, third), n) for n, s in zip(names, shapes, strict=True)}
    pad = {"padding": ((1, 1), (1, 1))}
    h = b.add("add", b.add("conv2d", x, w["conv"], **pad), w["bias"])
    h = b.add("depthwise_conv2d", h, w["depthwise"], **pad)
    h = b.add("mul", h, w["anchors"])
    graph = b.finish({"y": h, "z": b.add("gather", w["table"], k, axis=0)})
    after = optimize(graph, precision="f16", verify=True)
    changed = {v.name: bool((a != third).all()) for v, a in after.weights.items()}
    assert changed == {
        "conv": True, "depthwise": True, "table": True, "bias": False, "anchors": False,
    }  # fmt: skip


def test_the_smallest_stay_as_far_as_they_weigh_little() -> None:
    b = Builder("g")
    x = b.input("x", (1, 100))
    for name, shape in (("a", (100, 60)), ("small", (60, 2)), ("next", (2, 50)), ("c", (50, 99))):
        x = b.add("matmul", x, b.weight(np.full(shape, 0.1, np.float32), name))
    graph = b.finish({"y": x})
    context = Context()
    after = RoundWeights().run(graph, context)
    kept = [v.name for v, a in after.weights.items() if (a == np.float32(0.1)).all()]
    assert kept == ["small", "next"]  # 220 of 11,170 elements: the budget is 223
    assert RoundWeights().run(after, Context()) is after
    tighter = RoundWeights().run(
        dataclasses.replace(graph, weights=dict(list(graph.weights.items())[1:])), Context()
    )
    kept = [v.name for v, a in tighter.weights.items() if (a == np.float32(0.1)).all()]
    assert kept == ["next"]  # of 5,170 now


def test_integers_stay() -> None:
    b = Builder("g")
    k = b.input("k", (3,), "int32")
    graph = b.finish({"y": b.add("gather", b.weight(np.arange(3000, 3009)), k, axis=0)})
    assert RoundWeights().run(graph, Context()) is graph

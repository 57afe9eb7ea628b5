"""No pass changes what a graph computes: random graphs before and after."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanlight.graph import parse, to_text, verify
from fanlight.passes import optimize
from fanlight.passes.bodies import elementwise
from fanlight.passes.core import Context, Pass
from fanlight.passes.examples import passes
from tests.passes.support import RandomGraph, assert_same_meaning

SEEDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("step", passes(), ids=lambda step: step.name)
@given(seed=SEEDS)
@settings(max_examples=40)
def test_a_pass_keeps_the_meaning(step: Pass, seed: int) -> None:
    before = RandomGraph(seed).graph
    after = verify(step.run(before, Context()))
    assert_same_meaning(before, after)


@given(seed=SEEDS, steps=st.integers(3, 25))
@settings(max_examples=150)
def test_the_pipeline_keeps_the_meaning(seed: int, steps: int) -> None:
    before = RandomGraph(seed, steps).graph
    after = optimize(before, verify=True)
    assert_same_meaning(before, after, tolerance=1e-4)
    computing = [n for n in after.nodes if elementwise(n)]
    assert len(computing) <= sum(map(elementwise, before.nodes))


@given(seed=SEEDS)
@settings(max_examples=30)
def test_an_optimized_graph_prints_and_parses(seed: int) -> None:
    graph = optimize(RandomGraph(seed).graph)
    text = to_text(graph)
    again = parse(text, {v.name: array for v, array in graph.weights.items()})
    assert to_text(again) == text

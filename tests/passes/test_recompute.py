"""Values that are computed again: the same meaning, and less alive at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.codegen.plan import make_plan
from fanlight.graph import Graph, evaluate, verify
from fanlight.passes import Context, alive, optimize, within
from fanlight.passes.liveness import Timeline
from fanlight.passes.recompute import Recompute
from fanlight.targets import TARGETS
from fanlight.tensor.trace import trace
from tests.passes.support import random_inputs

LAYERS = 12


def gradient(block: Any, layers: int = LAYERS) -> Graph:
    """The gradient of so many blocks, one after the other, as code is generated from it."""

    def loss(x: Any, w: Any) -> Any:
        for _ in range(layers):
            x = block(x, w)
        return fl.mean(fl.square(x))

    inputs = {"x": fl.spec((64, 16)), "w": fl.spec((16, 16))}
    return optimize(trace(fl.grad(loss, (0, 1)), inputs, "loss"))


def plain(x: Any, w: Any) -> Any:
    return fl.tanh(fl.matmul(x, w)) + x


def shaped(x: Any, w: Any) -> Any:
    """With other shapes of the same memory, sums, and results that are used twice."""
    y = fl.reshape(fl.matmul(x, w), (64, 4, 4))
    y = fl.reshape(fl.softmax(y), (64, 16)) * fl.reshape(y, (64, 16))
    return fl.sigmoid(y - fl.mean(y, axis=1, keepdims=True)) * x


def heavy(x: Any, w: Any) -> Any:
    """Nothing that is cheap."""
    y = fl.cumsum(fl.matmul(x, w / 16), axis=1)
    return fl.cumsum(fl.reverse(y, 0), axis=0) / 64


@pytest.mark.parametrize("block", [plain, shaped, heavy])
@pytest.mark.parametrize("share", [0.8, 0.65, 0.01])
def test_the_same_numbers_in_less_memory(block: Any, share: float) -> None:
    graph = gradient(block)
    whole = alive(graph)
    context = Context()
    found = verify(Recompute(int(share * whole)).run(graph, context))
    reached = alive(found)
    assert reached <= share * whole or share < 0.1
    assert reached < 0.81 * whole
    assert context.hits["recompute"] == len(found.nodes) - len(graph.nodes) > 0
    assert found.inputs == graph.inputs and found.outputs == graph.outputs
    inputs = random_inputs(graph)
    expected, received = evaluate(graph, inputs), evaluate(found, inputs)
    for name, array in expected.items():
        assert np.array_equal(received[name], array), name
    assert within(found, reached) is found


@pytest.mark.parametrize("block", [plain, shaped, heavy])
def test_bytes_are_counted_as_the_planner_counts_them(block: Any) -> None:
    graph = gradient(block)
    small = within(graph, alive(graph) // 2)
    for one in (graph, small):
        plan = make_plan(one, TARGETS[:1])
        assert alive(one) <= plan.live_bytes <= alive(one) * 1.1 + 2048
    assert make_plan(small, TARGETS[:1]).arena_bytes < make_plan(graph, TARGETS[:1]).arena_bytes


def test_only_as_much_as_has_to_be() -> None:
    """A budget that is nearly kept costs little; cheap ops come before products."""
    graph = gradient(plain)
    found = within(graph, int(alive(graph) * 0.9))
    again = found.nodes[:]
    assert 0 < len(again) - len(graph.nodes) <= 6
    assert count(found, "matmul") == count(graph, "matmul")
    tight = within(graph, int(alive(graph) * 0.6))
    assert count(tight, "matmul") > count(graph, "matmul")


def count(graph: Graph, op: str) -> int:
    return sum(node.op == op for node in graph.nodes)


def test_what_has_a_place_of_its_own_does_not_count() -> None:
    graph = gradient(plain)
    line = Timeline(graph, graph.nodes)
    names = [v.name for v in graph.inputs]
    assert alive(graph, names) <= alive(graph) - 64 * 16 * 4
    assert line.peak()[1] == max(line.live) == alive(graph)

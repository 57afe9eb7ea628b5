"""Values that are kept between runs: updated in place, or by copies where that is not possible."""

from __future__ import annotations

import numpy as np
import pytest

import fanlight as fl
from fanlight.codegen.plan import WEIGHTS_OFFSET, Plan, make_plan
from fanlight.codegen.state import State, lay_out
from fanlight.codegen.walk import emit
from fanlight.hosts.wasmtime import Alone
from fanlight.passes import optimize
from fanlight.targets import TARGETS
from fanlight.tensor.trace import trace

ROWS = fl.spec((8, 4))


def plan_of(fn, inputs: dict, updates: dict[str, str]) -> Plan:  # type: ignore[no-untyped-def]
    """The plan of a function; what `updates` replaces is kept."""
    graph = trace(fn, inputs)
    places, end = lay_out({n: inputs[n] for n in updates.values()}, WEIGHTS_OFFSET)
    target = TARGETS[1]
    return make_plan(optimize(graph, target), (target,), state=State(places, updates, end))


class Runs:
    """A plan in a memory of its own."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.alone = Alone(emit(plan, plan.targets[0], once=True).data, plan.pages)
        image = plan.weight_image()
        self.alone.bytes()[WEIGHTS_OFFSET : WEIGHTS_OFFSET + image.size] = image

    def at(self, name: str) -> np.ndarray:
        graph = self.plan.graph
        ends = {**{v.name: v for v in graph.inputs}, **dict(graph.outputs)}
        v = ends[name]
        start = self.plan.offsets[v]
        flat = self.alone.bytes()[start : start + v.type.nbytes].view(np.float32)
        return flat.reshape(v.shape)

    def __call__(self, **given: np.ndarray) -> None:
        for name, array in given.items():
            self.at(name)[...] = array
        self.alone.once()


def test_an_update_lies_where_the_old_value_lay() -> None:
    def step(w, m, g):  # type: ignore[no-untyped-def]
        m = 0.9 * m + g
        return {"w_new": w - 0.1 * m, "m_new": m, "norm": fl.sum(w * w)}

    plan = plan_of(step, {"w": ROWS, "m": ROWS, "g": ROWS}, {"w_new": "w", "m_new": "m"})
    assert "copy" not in [n.name for n in plan.graph.nodes]
    run = Runs(plan)
    w, m = np.float32(np.arange(32).reshape(8, 4)), np.zeros((8, 4), np.float32)
    run(w=w, m=m)
    for i in range(3):  # the first run of all had no gradient
        g = np.full((8, 4), i + 1, np.float32)
        before = run.at("w").copy()
        run(g=g)
        assert np.isclose(run.at("norm"), (before * before).sum())
    want_w, want_m = w, np.zeros_like(w)
    for g in (0, 1, 2, 3):
        want_m = np.float32(0.9) * want_m + g
        want_w = want_w - np.float32(0.1) * want_m
    np.testing.assert_allclose(run.at("m"), want_m, rtol=1e-6)
    np.testing.assert_allclose(run.at("w"), want_w, rtol=1e-6)
    assert run.plan.offsets[dict(plan.graph.outputs)["w_new"]] == WEIGHTS_OFFSET


@pytest.mark.parametrize(
    ("fn", "want"),
    [
        # Swapped; a matrix product, which cannot be in place; one value for two; read later on.
        (lambda a, b: {"a1": b, "b1": a}, lambda a, b: (b, a)),
        (lambda a, b: {"a1": a @ b, "b1": b + 1}, lambda a, b: (a @ b, b + 1)),
        (lambda a, b: {"a1": a + b, "b1": a + b}, lambda a, b: (a + b, a + b)),
        (lambda a, b: {"a1": a * 2, "b1": (a * 2) @ b + a}, lambda a, b: (a * 2, a * 2 @ b + a)),
        (lambda a, b: {"a1": fl.transpose(a), "b1": b}, lambda a, b: (a.T, b)),
        (
            lambda a, b: {"a1": a[::-1] + b, "b1": fl.reshape(a, (4, 4))},
            lambda a, b: (a[::-1] + b, a),
        ),
    ],
)
def test_what_cannot_be_in_place_is_copied(fn, want) -> None:  # type: ignore[no-untyped-def]
    square = fl.spec((4, 4))
    run = Runs(plan_of(fn, {"a": square, "b": square}, {"a1": "a", "b1": "b"}))
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((4, 4)).astype(np.float32) / 2 for _ in range(2))
    run.at("a")[...], run.at("b")[...] = a, b
    for _ in range(3):
        run.alone.once()
        a, b = want(a, b)
        np.testing.assert_allclose(run.at("a"), a, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(run.at("b"), b, rtol=1e-5, atol=1e-6)


def test_weights_are_updated_as_soon_as_nothing_needs_the_old_ones() -> None:
    """What their gradients are made of need not lie there until the end of the step."""
    square = fl.spec((16, 16))
    names = [f"w{i}" for i in range(8)]

    def step(x, *weights):  # type: ignore[no-untyped-def]
        def loss(*weights):  # type: ignore[no-untyped-def]
            y = x
            for w in weights:
                y = fl.tanh(fl.matmul(y, w))
            return fl.sum(y * y)

        grads = fl.grad(loss, tuple(range(8)))(*weights)
        return {f"{n}_new": w - 0.1 * g for n, w, g in zip(names, weights, grads, strict=True)}

    inputs = {"x": fl.spec((64, 16)), **dict.fromkeys(names, square)}
    scope: dict = {"step": step}
    exec(f"def named(x, {', '.join(names)}): return step(x, {', '.join(names)})", scope)
    plan = plan_of(scope["named"], inputs, {f"{n}_new": n for n in names})
    nodes = plan.graph.nodes
    at = [i for i, n in enumerate(nodes) if n.attrs.get("epilogue", "").startswith("sub(")]
    assert len(at) == 8 and at[0] < 0.7 * at[-1]
    # The last layer's weights are the first ones that are done with.
    olds = [v.name for i in at for v in nodes[i].inputs if v.name in names]
    assert olds == names[::-1]

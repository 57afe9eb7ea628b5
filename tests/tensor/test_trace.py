"""Traced functions: the graph gives what the function gives, and builds for the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.graph import evaluate
from fanlight.tensor import trace
from tests.web.server import serve

RNG = np.random.default_rng(4)
W = fl.tensor(RNG.normal(0, 0.5, (6, 4)))


def network(x: fl.Tensor, t: fl.Tensor) -> dict[str, fl.Tensor]:
    """A loss and its gradients after the input and the weights, by way of many ops."""

    def loss(x: fl.Tensor, w: fl.Tensor) -> fl.Tensor:
        y = fl.log_softmax(fl.tanh(x @ w) * 2 + x[:, ::2][:, :1])
        return -fl.mean(fl.sum(y * t, -1))

    value, (dx, dw) = fl.value_and_grad(loss, (0, 1))(x, W)
    return {"loss": value, "dx": dx, "dw": dw}


def given() -> dict[str, np.ndarray]:
    x = RNG.normal(0, 1, (3, 6)).astype(np.float32)
    return {"x": x, "t": np.eye(4, dtype=np.float32)[[0, 2, 1]]}


SPECS = {"x": fl.spec((3, 6)), "t": fl.spec((3, 4))}


def test_a_graph_gives_what_the_function_gives() -> None:
    graph, inputs = trace(network, SPECS), given()
    assert graph.name == "network" and [v.name for v in graph.inputs] == ["x", "t"]
    expected = network(**{k: fl.tensor(v) for k, v in inputs.items()})
    for name, array in evaluate(graph, inputs).items():
        np.testing.assert_allclose(array, expected[name].numpy(), rtol=1e-6, atol=1e-7)


def test_a_function_builds_and_computes_the_same(tmp_path: Path) -> None:
    inputs = given()
    expected = network(**{k: fl.tensor(v) for k, v in inputs.items()})
    with fl.build(network, tmp_path / "out", inputs=SPECS) as bundle:
        received = bundle.run(inputs)
    for name, x in expected.items():
        assert received[name].shape == x.shape
        np.testing.assert_allclose(received[name], x.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.chromium
def test_a_function_runs_in_a_page(page: Any, tmp_path: Path) -> None:
    """A Newton step for a root, its slope by fl.grad: the page finds the square root of 2."""

    def step(x: fl.Tensor) -> fl.Tensor:
        f = lambda x: fl.sum(x * x - 2)  # noqa: E731
        value, slope = fl.value_and_grad(f)(x)
        return x - value / slope

    fl.build(step, tmp_path / "site", inputs={"x": fl.spec(())})
    with serve(tmp_path) as site:
        site.pages["site/bare.html"] = "<!doctype html><title>bare</title>"
        page.goto(site.url + "site/bare.html")
        found = page.evaluate("""async () => {
          const { load } = await import('./fanlight.js');
          const f = await load('./');
          let x = Float32Array.of(1);
          for (let i = 0; i < 6; i++) x = (await f.run({ x })).output.data;
          return x[0];
        }""")
    assert abs(found - 2**0.5) < 1e-6


def test_outputs_have_names() -> None:
    one = {"x": fl.spec((2,))}
    assert [n for n, _ in trace(lambda x: x + 1, one).outputs] == ["output"]
    assert [n for n, _ in trace(lambda x: (x, x * 2), one).outputs] == ["output_0", "output_1"]
    # An input, a constant and the same value twice are outputs, too.
    graph = trace(lambda x: {"a": x, "b": fl.ones(3), "c": x, "d": 2.0}, one)
    found = evaluate(graph, {"x": np.float32([4, 5])})
    assert {k: v.tolist() for k, v in found.items()} == {
        "a": [4, 5], "b": [1, 1, 1], "c": [4, 5], "d": 2.0,
    }  # fmt: skip


def test_loops_are_unrolled_and_constants_are_weights() -> None:
    def power(x: fl.Tensor) -> fl.Tensor:
        for _ in range(3):
            x = x * W[0, 0]
        return x

    graph = trace(power, {"x": fl.spec((2,))})
    assert [n.op for n in graph.nodes] == ["mul"] * 3 and len(graph.weights) == 3


def test_numbers_are_not_there_while_tracing() -> None:
    def choice(x: fl.Tensor) -> fl.Tensor:
        return x if x[0] > 0 else -x

    for f in (choice, lambda x: x.numpy(), lambda x: x[x > 0]):
        with pytest.raises(FanlightError, match="E-TENSOR-003") as caught:
            trace(f, {"x": fl.spec((2,))})
        assert "test_trace.py" in str(caught.value.where)


def test_a_traced_tensor_stays_in_its_function() -> None:
    kept: list[fl.Tensor] = []

    def leak(x: fl.Tensor) -> fl.Tensor:
        kept.append(x * 2)
        return x

    trace(leak, {"x": fl.spec((2,))})
    for use in (lambda: kept[0] + 1, lambda: trace(lambda x: x + kept[0], {"x": fl.spec((2,))})):
        with pytest.raises(FanlightError, match="E-TENSOR-004"):
            use()
    assert "traced" in repr(kept[0])


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (lambda x: None, {"x": fl.spec(())}),
        (lambda x: x, {"y": fl.spec(())}),
        (lambda x, y: x, {"x": fl.spec(())}),
    ],
)
def test_functions_that_cannot_be_traced(function: Any, inputs: Any) -> None:
    with pytest.raises(FanlightError, match="E-TENSOR-006"):
        trace(function, inputs)


@pytest.mark.parametrize(("shape", "dtype"), [((-1,), "float32"), ((1.5,), "int32"), ((), "f8")])
def test_specs_that_are_refused(shape: Any, dtype: str) -> None:
    with pytest.raises(FanlightError, match=r"E-TENSOR-00[16]"):
        fl.spec(shape, dtype)


def test_a_function_needs_inputs_and_only_a_function_has_them(tmp_path: Path) -> None:
    for model, inputs in ((lambda x: x, None), (trace(lambda x: x, {"x": fl.spec(())}), {})):
        with pytest.raises(FanlightError, match="E-BUILD-005"):
            fl.build(model, tmp_path / "out", inputs=inputs)
    assert not (tmp_path / "out").exists()

"""What people tried first: numbers that do not fit, far ends of functions, wrong turns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

BYTES = fl.tensor(np.uint8([200, 3]))


@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        (lambda u: u * 256, [51200, 768]),
        (lambda u: u + 256, [456, 259]),
        (lambda u: u + (-1), [199, 2]),
        (lambda u: u < 256, [True, True]),
        (lambda u: u == -56, [False, False]),
        (lambda u: fl.maximum(u, -1), [200, 3]),
        (lambda u: fl.where([True, False], u, 300), [200, 300]),
        (lambda u: u + u, [400, 6]),
        (lambda u: fl.clip(u, 2.5, 6), [6, 3]),
    ],
)
def test_numbers_beside_bytes_do_not_wrap(compute: Any, expected: list, tmp_path: Path) -> None:
    assert compute(BYTES).tolist() == expected
    inputs = {"u": fl.spec(2, "uint8")}
    with fl.build(lambda u: compute(u), tmp_path / "out", inputs=inputs) as bundle:
        assert bundle.run({"u": BYTES.numpy()})["output"].tolist() == expected


@pytest.mark.parametrize("value", [2**31, [2**40], np.array([-(2**31) - 1]), np.uint32(4e9)])
def test_whole_numbers_beyond_int32_are_refused(value: Any) -> None:
    for use in (lambda: fl.tensor(value), lambda: fl.ones(1, "int32") + value):
        with pytest.raises(FanlightError, match=r"E-TENSOR-001 .*int32"):
            use()
    assert fl.tensor(value, "float32").dtype == "float32"
    assert abs(fl.tensor(value, "int32").numpy().astype(np.int64)).max() >= 2**31 - 1  # saturates


@pytest.mark.parametrize("name", ["swish", "softplus", "log_sigmoid", "sigmoid", "tanh", "mish"])
def test_far_ends_have_all_their_derivatives(name: str) -> None:
    f: Callable = getattr(fl, name)
    for order in range(4):
        for x in (-1e30, -200.0, -90.0, 90.0, 200.0, 1e30):
            g = f
            for _ in range(order):
                g = fl.grad(g)
            value = g(fl.tensor(x)).item()
            assert np.isfinite(value), (order, x)
            if order == 1:
                up = name in ("swish", "softplus", "mish")
                slope = (x > 0) if up else (x < 0) if name == "log_sigmoid" else 0
                assert abs(value - slope) < 1e-6, (order, x)


def test_what_makes_gradients_builds(tmp_path: Path) -> None:
    x = np.float32([1, 2, 3])
    functions = {
        "grad": fl.grad(lambda x: fl.sum(x**3)),
        "both": fl.value_and_grad(lambda x: fl.sum(x**3)),
        "own": fl.custom_gradient(lambda x: (x * x, lambda g: g)),
    }
    for name, f in functions.items():
        with fl.build(f, tmp_path / name, inputs={"x": (3,)}) as bundle:
            found = bundle.run({"x": x})
        last = {"grad": 3 * x**2, "both": 3 * x**2, "own": x * x}[name]
        np.testing.assert_allclose(list(found.values())[-1], last, rtol=1e-6)
    np.testing.assert_allclose(fl.jit(functions["grad"])(x).numpy(), 3 * x**2, rtol=1e-6)


def test_nested_results_have_names(tmp_path: Path) -> None:
    nested = lambda x: {"a": (x, [x + 1]), "b": x * 2}  # noqa: E731
    with fl.build(nested, tmp_path / "out", inputs={"x": np.zeros(2, np.float32)}) as bundle:
        assert list(bundle.run({"x": np.float32([1, 2])})) == ["a_0", "a_1_0", "b"]


def test_numpys_ways_are_taken_or_answered() -> None:
    assert fl.zeros(2, np.float32).dtype == fl.ones((2,), float).dtype == "float32"
    assert fl.spec(3, int).dtype == fl.cast([1.5], np.int32).dtype == "int32"
    assert f"{fl.tensor(1.234):.2f}" == "1.23" and f"{fl.tensor([1])}".startswith("tensor")
    with pytest.raises(FanlightError, match="E-TENSOR-009") as caught:
        np.exp(fl.ones(2))
    assert "fl.exp" in str(caught.value)
    value, moved = fl.jvp(lambda x: x * x, fl.tensor([1.0, 2.0]), fl.tensor([1.0, 0.0]))
    assert value.tolist() == [1, 4] and moved.tolist() == [2, 0]


WRONG: list[tuple[str, Callable[[], Any]]] = [
    ("E-TENSOR-001", lambda: fl.ones(2, 3)),  # type: ignore[arg-type]
    ("E-TENSOR-006", lambda: fl.zeros((-1, 3))),
    ("E-TENSOR-006", lambda: fl.zeros((2.5, 3))),  # type: ignore[arg-type]
    ("E-TENSOR-006", lambda: fl.range(0, 1, 0)),
    ("E-TENSOR-006", lambda: fl.linspace(0, 1, -2)),
    ("E-TENSOR-006", lambda: fl.spec((None, 8))),  # type: ignore[arg-type]
    ("E-TENSOR-006", lambda: fl.grad(fl.sum)(x=fl.ones(2))),
    ("E-TENSOR-006", lambda: fl.custom_gradient(lambda x: x * x)(fl.ones(2))),  # type: ignore
    ("E-TENSOR-007", lambda: fl.ones(3)[::0]),
    ("E-OP-004", lambda: fl.grad(fl.custom_gradient(lambda x: (x, lambda g: fl.ones(2))))(1.0)),
    ("E-OP-005", lambda: fl.sum(fl.ones(3), axis="x")),  # type: ignore[arg-type]
    ("E-OP-005", lambda: fl.max(fl.ones(3), fl.ones(3))),  # type: ignore[arg-type]
    ("E-OP-005", lambda: fl.concat(fl.ones(3), fl.ones(3))),  # type: ignore[arg-type]
    ("E-OP-005", lambda: fl.pad(fl.ones(3), 1)),  # type: ignore[arg-type]
    ("E-OP-005", lambda: fl.tile(fl.ones(3), 3)),  # type: ignore[arg-type]
    ("E-BUILD-005", lambda: fl.build("model.json", "out")),
    ("E-CALIB-005", lambda: fl.quantize("model.json", "photos")),
    ("E-TENSOR-006", lambda: fl.build(lambda x: x, "out", inputs=[(3,)])),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("code", "wrong"), WRONG)
def test_wrong_turns_are_met_with_a_code(code: str, wrong: Callable[[], Any]) -> None:
    with pytest.raises(FanlightError, match=code):
        wrong()
    assert fl.reshape(fl.ones((2, 2)), -1).shape == (4,)


def test_inputs_without_names_are_told(tmp_path: Path) -> None:
    with fl.build(lambda x: x + 1, tmp_path / "out", inputs={"x": (2,)}) as bundle:
        for host in ("wasm", "numpy"):
            with pytest.raises(FanlightError, match="E-INPUT-001"):
                bundle.run(np.ones(2), host=host)

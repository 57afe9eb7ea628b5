"""fl.time, fl.profile, fl.debug, fl.env and fl.set_backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.support import run_python


def layer(x: Any) -> Any:
    return fl.tanh(fl.matmul(x, fl.ones((64, 64))))


def test_a_profile_counts_what_was_called() -> None:
    x = fl.ones((32, 64))

    def work() -> Any:
        y = layer(layer(x))
        return fl.sum(y * 2.0)

    found = fl.profile(work)
    assert found.result.item() == pytest.approx(2 * 32 * 64, rel=1e-3)
    calls = {row.op: row.calls for row in found.ops}
    assert calls == {"matmul": 2, "tanh": 2, "mul": 1, "sum": 1}
    assert {row.op: row.bytes for row in found.ops}["matmul"] == 2 * 32 * 64 * 4
    assert 0 < sum(row.ms for row in found.ops) <= found.wall_ms
    assert [row.ms for row in found.ops] == sorted((row.ms for row in found.ops), reverse=True)
    # Only the number is left; at the most, two of the matrices were there at once.
    assert (found.new_tensors, found.new_bytes) == (1, 4)
    assert 2 * 32 * 64 * 4 <= found.peak_bytes <= 4 * 32 * 64 * 4
    assert ("work", "layer", "tanh") in found.paths and ("work", "sum") in found.paths
    table = str(found)
    for word in ("matmul", "(Python)", "share", "are left"):
        assert word in table


def test_nobody_is_watched_afterwards() -> None:
    def wrong() -> Any:
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        fl.profile(wrong)
    with fl.debug():
        pass
    from fanlight.tensor.calls import state

    assert not state.watchers


def test_a_gradient_and_a_compiled_function_are_seen() -> None:
    found = fl.profile(lambda: fl.grad(lambda x: fl.sum(fl.exp(x)))(fl.ones(3)))
    assert "exp" in {row.op for row in found.ops}
    double = fl.jit(lambda x: x * 2.0)
    double(fl.ones(3))
    assert [row.op for row in fl.profile(lambda: double(fl.ones(3))).ops][-1].startswith("jit")


def test_time_says_how_much_was_in_ops() -> None:
    x = fl.ones((256, 256))
    found = fl.time(lambda: fl.matmul(x, x))
    assert 0 < found.kernel_ms <= found.wall_ms


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_flame_chart(tmp_path: Path, suffix: str) -> None:
    x = fl.ones((64, 64))
    fl.profile(lambda: layer(layer(x))).save(tmp_path / f"flame{suffix}")
    data = (tmp_path / f"flame{suffix}").read_bytes()
    assert data.startswith(b"\x89PNG") or (b"<svg" in data and b"</svg>" in data)


def test_debug_stops_at_the_op_that_made_a_nan() -> None:
    x = fl.tensor([1.0, -1.0, 4.0])
    with fl.debug(nan=True), pytest.raises(FanlightError) as caught:
        fl.sum(fl.sqrt(x) + 1.0)
    error = caught.value
    assert error.code == "E-TENSOR-010"
    assert "sqrt" in str(error.where) and "test_watch.py" in str(error.where)
    assert "[1]" in str(error.received) and "-1.0" in str(error.received)
    assert np.isnan(fl.sqrt(x).numpy()[1])  # nobody looks any more


def test_debug_lets_nan_of_the_inputs_pass_and_infinity_unless_asked() -> None:
    with fl.debug():
        assert np.isnan((fl.tensor([np.nan]) + 1.0).numpy()).all()
        assert np.isinf(fl.log(fl.tensor([0.0])).numpy()).all()
    with fl.debug(nan=False, inf=True), pytest.raises(FanlightError, match="E-TENSOR-010"):
        fl.log(fl.tensor([0.0]))


def test_debug_looks_into_compiled_functions_and_gradients() -> None:
    root = fl.jit(lambda x: fl.sqrt(x))
    root(fl.tensor([-1.0]))
    with fl.debug(), pytest.raises(FanlightError, match="sqrt"):
        root(fl.tensor([-1.0]))
    with fl.debug(), pytest.raises(FanlightError, match="E-TENSOR-010"):
        fl.grad(lambda x: fl.sum(fl.where(x > 0.0, fl.sqrt(x), 0.0)))(fl.tensor([0.0, 1.0]))


def test_debug_without_with_lasts_until_it_is_turned_off() -> None:
    fl.debug(nan=True)
    try:
        with pytest.raises(FanlightError, match="E-TENSOR-010"):
            fl.sqrt(fl.tensor(-1.0))
    finally:
        fl.debug(nan=False)
    fl.sqrt(fl.tensor(-1.0))


def test_env_says_what_there_is() -> None:
    found = fl.env()
    assert found["backend"] == "numpy" and found["backends"] == ["numpy", "wasm"]
    assert found["numpy"] == np.__version__ and found["wasmtime"]
    assert "float32" in found["dtypes"] and found["cores"] >= 1


def test_the_wasm_back_end_gives_what_numpy_gives() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(5, 7)).astype(np.float32), rng.normal(size=(7, 3)).astype(np.float32)

    def work() -> Any:
        y = fl.softmax(fl.matmul(x, w) + 1.0)
        return fl.sum(y, axis=0), fl.top_k(y, 2)[1], fl.grad(lambda v: fl.sum(fl.tanh(v)))(x)

    expected = work()
    fl.set_backend("wasm")
    try:
        assert fl.get_backend() == "wasm"
        found = work()
    finally:
        fl.set_backend("numpy")
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-5)


def test_another_back_end_is_refused() -> None:
    with pytest.raises(FanlightError, match="E-TENSOR-012"):
        fl.set_backend("cuda")
    assert fl.get_backend() == "numpy"


def test_a_chart_without_matplotlib_says_what_to_install(tmp_path: Path) -> None:
    done = run_python(
        "-c",
        "import sys; sys.modules['matplotlib'] = None\n"
        "import fanlight as fl\n"
        "found = fl.profile(lambda: fl.ones(3) + 1)\n"
        "try:\n"
        "    found.save('x.png')\n"
        "except fl.FanlightError as error:\n"
        "    print(error.code, error.next)\n",
        cwd=tmp_path,
    )
    assert "E-TENSOR-011" in done.stdout and "plots" in done.stdout, done.stderr


def test_nan_is_found_among_examples_and_complex_numbers() -> None:
    with fl.debug(nan=True):
        with pytest.raises(FanlightError, match="E-TENSOR-010"):
            fl.vmap(fl.log)(fl.tensor([-1.0, 1.0]))
        with pytest.raises(FanlightError, match="E-TENSOR-010"):
            fl.jit(fl.vmap(fl.log))(fl.tensor([-1.0, 1.0]))
        with pytest.raises(FanlightError, match="E-TENSOR-010"):
            fl.complex(0.0, 1.0) / fl.complex(0.0, 0.0)
    with pytest.raises(FanlightError, match="E-OP-005"):
        fl.debug(nan=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["/no/folder/a.png", "a.xyz", None])
def test_a_chart_goes_to_a_file_that_can_be_written(path: Any) -> None:
    with pytest.raises(FanlightError, match="E-OP-005"):
        fl.profile(lambda: fl.ones(3) + 1).save(path)

"""A free batch of JAX's functions: by names, by symbols; what cannot have one is told why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.formats import write_graph_model, write_onnx

jax = pytest.importorskip("jax", reason="jax, the oracle of this reader, is not installed")
jnp, lax = jax.numpy, jax.lax
RNG = np.random.default_rng(2)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def same(model: fl.Model, function: Any, *arguments: np.ndarray) -> None:
    wanted = [np.asarray(y) for y in jax.tree_util.tree_leaves(function(*arguments))]
    made = model(dict(zip((n for n, _ in model.inputs), arguments, strict=True)))
    for mine, theirs in zip(made.values(), wanted, strict=True):
        np.testing.assert_allclose(mine, theirs, 1e-5, 1e-5)


def dense(x: Any) -> Any:
    return jnp.tanh(x @ np.arange(12, dtype=np.float32).reshape(4, 3) * 0.1)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_batch_of_any_size(size: int) -> None:
    model = fl.from_jax(dense, floats(size, 4), batch=True)
    assert model.batched == {"x": True} and not model.source.warnings
    assert [t.shape for _, t in model.inputs] == [(1, 4)]
    assert all(port.batched for port in model.source.outputs)
    for count in (1, 3):
        same(model, dense, floats(count, 4))


def test_a_symbol_of_jax_export() -> None:
    export = pytest.importorskip("jax.export", reason="this jax has no jax.export")
    shape = export.symbolic_shape("b, 4")
    model = fl.from_jax(dense, jax.ShapeDtypeStruct(shape, jnp.float32))
    assert model.batched == {"x": True}
    same(model, dense, floats(3, 4))
    with pytest.raises(FanlightError, match="E-FORMAT-018") as caught:
        fl.from_jax(
            lambda x: x * 2, jax.ShapeDtypeStruct(export.symbolic_shape("b, n"), jnp.float32)
        )
    assert "leading dim" in str(caught.value)


def test_some_arguments_have_it_and_others_not() -> None:
    def scaled(x: Any, factor: Any, more: Any) -> Any:
        return {"a": x * factor, "b": more["y"].sum(1)}

    arguments = (floats(2, 4), floats(4), {"y": floats(2, 3)})
    model = fl.from_jax(scaled, *arguments, batch=["x", "more"])
    assert model.batched == {"x": True, "factor": False, "more/y": True}
    x, factor, y = floats(5, 4), floats(4), floats(5, 3)
    made = model({"x": x, "factor": factor, "more/y": y})
    np.testing.assert_allclose(made["a"], x * factor, 1e-6)
    np.testing.assert_allclose(made["b"], y.sum(1), 1e-5)
    assert fl.from_jax(scaled, *arguments).batched["x"] is False


def test_without_it_sizes_stay() -> None:
    model = fl.from_jax(dense, floats(3, 4))
    assert model.batched == {"x": False} and [t.shape for _, t in model.inputs] == [(3, 4)]


def with_token(x: Any) -> Any:
    """Something joined to each example, and a state that begins with nothing."""
    first = jnp.broadcast_to(jnp.arange(4.0), (x.shape[0], 1, 4))
    y = jnp.concatenate([first, x], axis=1)

    def turn(c: Any, row: Any) -> Any:
        c = jnp.tanh(c * 0.5 + row)
        return c, c.sum(-1)

    last, sums = lax.scan(turn, jnp.zeros((x.shape[0], 4)), y.swapaxes(0, 1))
    return last, sums.swapaxes(0, 1)


def test_a_token_and_a_state_keep_the_batch_free_in_files(tmp_path: Path) -> None:
    model = fl.from_jax(with_token, floats(2, 5, 4), batch=True)
    assert not model.source.warnings
    assert write_graph_model(model, tmp_path / "m") == ()
    assert write_onnx(model, tmp_path / "m.onnx") == ()
    x = floats(4, 5, 4)
    same(model, with_token, x)
    for path in (tmp_path / "m", tmp_path / "m.onnx"):
        again = fl.load(path)
        assert list(again.batched.values()) == [True]
        same(again, with_token, x)


def test_what_the_graph_does_not_tell_is_told_by_numbers() -> None:
    """Rows picked by numbers: no rule says that they stay with their example, and they do."""

    def picked(x: Any) -> Any:
        at = jnp.argmax(x, 1)
        return x[jnp.arange(x.shape[0]), at]

    model = fl.from_jax(picked, floats(2, 4), batch=True)
    same(model, picked, floats(3, 4))


@pytest.mark.parametrize(
    ("function", "batch", "said"),
    [
        (lambda x: x - x.mean(0), True, "mixes"),
        (lambda x: x + x[::-1], True, "mixes"),
        (lambda x: jnp.cumsum(x, 0), True, "mixes"),
        (lambda x: x.mean(), True, "does not count"),
        (lambda x: x.T, True, "does not count"),
        (lambda x: x.reshape(2, 2, 2), True, "does not take 1"),
        (lambda x: x, ["y"], "no such argument"),
        (lambda x: x, 3, "batch is none"),
        (lambda x: [x] * x.shape[0], True, "number of results"),
    ],
)
def test_what_has_no_free_batch(function: Any, batch: Any, said: str) -> None:
    with pytest.raises(FanlightError, match="E-FORMAT-018") as caught:
        fl.from_jax(function, floats(2, 4), batch=batch)
    assert said in str(caught.value) and "Next" in str(caught.value)


def test_numbers_have_none() -> None:
    with pytest.raises(FanlightError, match="E-FORMAT-018"):
        fl.from_jax(lambda x, n: x * n, floats(2, 4), 3.0, batch=["n"])
    with pytest.raises(FanlightError, match="E-FORMAT-018"):
        fl.from_jax(lambda n: n, 3.0, batch=True)
    with pytest.raises(FanlightError, match="E-FORMAT-018"):
        fl.from_jax(lambda x, y: (x, y), floats(2, 4), floats(3, 4), batch=True)

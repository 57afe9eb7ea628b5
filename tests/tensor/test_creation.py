"""Creation, parts of tensors, buffers and variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight import FanlightError


def test_tensors_of_one_value_and_ranges() -> None:
    x = fl.tensor([[1, 2, 3]])
    assert fl.fill((2, 2), 7).tolist() == [[7, 7], [7, 7]]
    assert (fl.full_like(x, 2.9).dtype, fl.full_like(x, 2.9).tolist()) == ("int32", [[2, 2, 2]])
    assert fl.full_like(x, 0.5, "float32").tolist() == [[0.5] * 3]
    assert (fl.zeros_like(x).dtype, fl.zeros_like(x, "bool").dtype) == ("int32", "bool")
    assert fl.ones_like(x, "float32").dtype == "float32"
    assert fl.arange(3).tolist() == [0, 1, 2] and fl.arange(3).dtype == "int32"
    assert fl.arange(1, 2, 0.25).tolist() == [1, 1.25, 1.5, 1.75]
    assert fl.range(0, 3, dtype="float32").dtype == "float32"
    assert np.array_equal(fl.identity(3).numpy(), np.eye(3))
    same = fl.clone(x)
    assert same is not x and same.tolist() == x.tolist()
    assert fl.grad(lambda x: fl.sum(fl.clone(x) * 2))(fl.ones(3)).tolist() == [2, 2, 2]


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_one_hot(axis: int) -> None:
    indices = np.array([[0, 2], [1, 5]])
    wanted = np.moveaxis((indices[..., None] == np.arange(3)).astype(np.float32), -1, axis)
    assert np.array_equal(fl.one_hot(indices, 3, axis=axis).numpy(), wanted)
    told = fl.one_hot(indices, 3, 5, -1, axis, "int32")
    assert told.dtype == "int32" and np.array_equal(told.numpy(), wanted * 6 - 1)
    assert fl.one_hot([1], 2, True, False, dtype="bool").tolist() == [[False, True]]
    whole = fl.jit(lambda i: fl.one_hot(i, 3, 5, -1, axis, "int32"))(fl.tensor(indices))
    assert whole.dtype == "int32" and np.array_equal(whole.numpy(), told.numpy())
    compiled = fl.jit(lambda i: fl.one_hot(i, 3, axis=axis))(fl.tensor(indices))
    assert np.array_equal(compiled.numpy(), wanted)


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("sizes", [(3,), (3, 2), (3, 2, 4)])
def test_meshgrid(sizes: tuple[int, ...], indexing: Any) -> None:
    axes = [np.arange(n, dtype=np.float32) + 10 * i for i, n in enumerate(sizes)]
    made = fl.meshgrid(*axes, indexing=indexing)
    for a, b in zip(made, np.meshgrid(*axes, indexing=indexing), strict=True):
        assert np.array_equal(a.numpy(), b)
    assert fl.meshgrid() == ()


def test_split_and_unstack() -> None:
    x = np.arange(24).reshape(2, 6, 2)
    for parts, axis in ((3, 1), ([1, 2, 3], 1), ([1, -1], 1), (2, -1), ([2, 0], 0), (1, 2)):
        found = fl.split(x, parts, axis)
        size = x.shape[axis]
        sizes = [size // parts] * parts if isinstance(parts, int) else parts
        sizes = [size - sum(sizes) - 1 if n == -1 else n for n in sizes]
        wanted = np.split(x, np.cumsum(sizes)[:-1], axis)
        assert len(found) == len(wanted)
        for a, b in zip(found, wanted, strict=True):
            assert np.array_equal(a.numpy(), b)
    for axis in (0, 1, -1):
        parts = fl.unstack(x, axis)
        assert len(parts) == x.shape[axis]
        assert np.array_equal(fl.stack(parts, axis).numpy(), x)
    assert fl.unstack(fl.zeros((0, 3))) == ()
    halves = fl.jit(lambda x: fl.split(x, 2, 1))(fl.tensor(x))
    assert np.array_equal(halves[1].numpy(), x[:, 3:])
    slope = fl.grad(lambda x: fl.sum(fl.split(x, 2)[1] * 3))(fl.ones(4))
    assert slope.tolist() == [0, 0, 3, 3]


def test_what_is_said_of_shapes() -> None:
    x = fl.ones((2, 3))
    assert fl.ensure_shape(x, (2, None)) is x
    assert fl.broadcast_args([2, 1], [3]).tolist() == [2, 3]
    assert fl.broadcast_args([], [1, 1]).tolist() == [1, 1]


def test_buffer(capsys: pytest.CaptureFixture[str]) -> None:
    b = fl.buffer((2, 2), "int32")
    b.set(5, 1, 0)
    made = b.to_tensor()
    b.set(6, 0, 0)
    assert made.tolist() == [[0, 0], [5, 0]] and b.get(0, 0) == 6
    assert (b.shape, b.size, b.dtype) == ((2, 2), 4, "int32")
    b.set(1e20, 0, 0)
    assert b.get(0, 0) == 2**31 - 1
    texts = fl.buffer(2, "string")
    texts.set("a", 1)
    assert texts.to_tensor().tolist() == ["", "a"] and texts.get(1) == "a"
    assert fl.buffer(3, "float32", [1, 2, 3]).to_tensor().tolist() == [1, 2, 3]
    fl.print(made, verbose=True)
    assert "dtype: int32" in capsys.readouterr().out


def test_variables_are_tensors_that_change() -> None:
    v = fl.variable([1.0, 2.0], name="weights")
    before = v + 0
    assert v.assign_add([1, 1]) is v
    assert v.tolist() == [2, 3] and before.tolist() == [1, 2]
    assert v.assign_sub(0.5).tolist() == [1.5, 2.5]
    assert v.assign(fl.tensor([4.0, 5.0])).tolist() == [4, 5]
    assert (fl.exp(v).shape, (1 - v).tolist(), "weights" in repr(v)) == ((2,), [-3, -4], True)
    assert isinstance(v, fl.Tensor) and isinstance(v, fl.Variable)
    fl.tidy(lambda: v.assign(v * 2))
    assert v.tolist() == [8, 10]
    assert fl.variable(1).name != fl.variable(1).name


def test_gradients_after_variables() -> None:
    w, b = fl.variable([1.0, 2.0], name="w"), fl.variable(3.0, name="b")
    still = fl.variable(2.0, trainable=False, name="still")
    fl.variable(1.0, name="unread")
    loss = lambda: fl.sum(w * w) * still + b  # noqa: E731
    value, grads = fl.variable_grads(loss)
    assert value.item() == 13
    assert {n: g.tolist() for n, g in grads.items()} == {"w": [4, 8], "b": 1}
    value, grads = fl.variable_grads(loss, [still])
    assert grads["still"].item() == 5
    for _ in range(50):
        _, grads = fl.variable_grads(lambda: fl.sum((w - 3) ** 2))
        w.assign_sub(0.2 * grads["w"])
    assert np.allclose(w.numpy(), 3, atol=1e-4)
    assert fl.grad(lambda x: fl.sum(x * x))(w).shape == (2,)


def test_variables_of_compiled_and_built_functions(tmp_path: Path) -> None:
    v = fl.variable([1.0, 2.0])
    double = fl.jit(lambda x, v: x * v)
    assert double(fl.scalar(2.0), v).tolist() == [2, 4]
    v.assign([5, 6])
    assert double(fl.scalar(2.0), v).tolist() == [10, 12]
    outside = fl.jit(lambda x: x * v + (v + 1.0))
    assert outside(fl.scalar(2.0)).tolist() == [16, 19]
    v.assign([5, 7])
    assert outside(fl.scalar(2.0)).tolist() == [16, 22]
    slope = fl.jit(lambda x: fl.grad(lambda a: fl.sum(a * a * x))(v))
    assert slope(3.0).tolist() == [30, 42]
    held = fl.jit(lambda x: fl.stop_gradient(v) + x)
    assert held(1.0).tolist() == [6, 8]
    v.assign([5, 6])
    assert held(1.0).tolist() == [6, 7] and slope(3.0).tolist() == [30, 36]
    with pytest.raises(FanlightError, match="E-TENSOR-021") as caught:
        fl.jit(lambda x: v.assign(x))(fl.ones(2))
    assert "outside" in str(caught.value)
    with pytest.raises(FanlightError, match="E-TENSOR-021"):
        fl.grad(lambda x: fl.sum(v.assign(x)))(fl.ones(2))
    # What is built is finished: it holds the numbers of the day.
    bundle = fl.build(lambda x: x * v, tmp_path / "v", inputs={"x": fl.spec(2)})
    v.assign([0, 0])
    assert bundle.run({"x": np.float32([1, 1])})["output"].tolist() == [5, 6]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: fl.split(fl.ones(5), 2), "E-OP-005"),
        (lambda: fl.split(fl.ones(5), 0), "E-OP-005"),
        (lambda: fl.split(fl.ones(5), [2, 2]), "E-OP-005"),
        (lambda: fl.split(fl.ones(5), [-1, -1]), "E-OP-005"),
        (lambda: fl.split(fl.ones(5), 1, 1), "E-OP-005"),
        (lambda: fl.unstack(fl.scalar(1.0)), "E-OP-005"),
        (lambda: fl.meshgrid(fl.ones((2, 2))), "E-OP-004"),
        (lambda: fl.meshgrid([1], indexing="yx"), "E-OP-005"),
        (lambda: fl.ensure_shape(fl.ones((2, 3)), (2, 2)), "E-OP-004"),
        (lambda: fl.ensure_shape(fl.ones((2, 3)), (2,)), "E-OP-004"),
        (lambda: fl.broadcast_args([2], [3]), "E-OP-004"),
        (lambda: fl.buffer((2,), "float32", [1.0]), "E-OP-004"),
        (lambda: fl.buffer((2,), "complex"), "E-TENSOR-001"),
        (lambda: fl.buffer((2,)).set(1, 2), "E-TENSOR-007"),
        (lambda: fl.buffer((2,)).set("a", 0), "E-TENSOR-001"),
        (lambda: fl.ensure_shape([1], 2), "E-OP-004"),
        (lambda: fl.buffer((2,)).get(0, 0), "E-TENSOR-007"),
        (lambda: fl.buffer((2,)).get(0.5), "E-TENSOR-007"),
        (lambda: fl.variable(1.0).assign([1.0]), "E-OP-004"),
        (lambda: fl.variable(1.0).assign(fl.scalar(1)), "E-OP-003"),
        (lambda: fl.variable_grads(lambda: fl.ones(2)), "E-TENSOR-005"),
        (lambda: fl.variable_grads(lambda: fl.scalar(1.0)), "E-TENSOR-006"),
        (lambda: fl.one_hot([1], 3, axis=2), "E-OP-005"),
        (lambda: fl.one_hot([1], -1), "E-TENSOR-006"),
    ],
)
def test_what_they_refuse(call: Any, code: str) -> None:
    with pytest.raises(FanlightError) as caught:
        call()
    assert caught.value.code == code, caught.value
    assert "test_creation.py" in str(caught.value)

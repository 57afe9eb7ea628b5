"""Several threads, variables that change, memory: what reviews found."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError


def test_what_one_thread_does_is_not_heard_by_another() -> None:
    begun, done = threading.Event(), threading.Event()

    def slow(x: Any) -> Any:
        begun.set()
        done.wait(5)
        return x * 2

    other = threading.Thread(
        target=lambda: fl.grad(lambda x: fl.sum(fl.checkpoint(slow)(x)))(fl.ones(2))
    )

    def f(z: Any) -> Any:
        other.start()
        begun.wait(5)
        y = z * z
        done.set()
        other.join()
        return fl.sum(y * 3.0)

    np.testing.assert_array_equal(fl.grad(f)(fl.tensor([1.0, 2.0])).numpy(), [6, 12])


def test_a_compiled_function_is_called_by_several_threads() -> None:
    double = fl.jit(lambda z: z * 2)
    wrong: list[int] = []

    def work(k: int) -> None:
        z = fl.tensor(np.full(50_000, k, np.float32))
        for _ in range(50):
            if not (double(z).numpy() == 2 * k).all():
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_variable_that_was_assigned_in_between_has_no_gradient() -> None:
    v = fl.variable([2.0])
    _, pull = fl.vjp(lambda a: fl.sum(a * v), fl.tensor([3.0]))
    assert pull(1.0)[0].tolist() == [2]
    v.assign([100.0])
    with pytest.raises(FanlightError, match="E-TENSOR-021"):
        pull(1.0)


def test_a_variable_has_memory_of_its_own() -> None:
    array = np.array([1.0, 2.0], np.float32)
    v = fl.variable(array)
    array[0] = 9
    assert v.tolist() == [1, 2]
    v.assign(array)
    array[0] = 5
    assert v.tolist() == [9, 2]


def test_tidy_inside_vmap() -> None:
    found = fl.vmap(lambda r: fl.tidy(lambda: r * 2 + 1))(fl.ones((3, 2)))
    assert found.tolist() == [[3, 3]] * 3


def test_nested_calls_are_counted_once() -> None:
    f = fl.vmap(lambda m: fl.sum(m @ m))
    found = fl.profile(lambda: f(fl.ones((4, 3, 3))))
    assert {row.op: row.calls for row in found.ops}["matmul"] == 1
    assert sum(row.ms for row in found.ops) <= found.wall_ms


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_compiled_functions_take_what_is_empty(shape: tuple[int, int]) -> None:
    double = fl.jit(lambda x: x * 2)
    assert double(fl.zeros(shape)).shape == shape
    assert fl.jit(lambda x: x[:0])(fl.ones((2, 3))).shape == (0, 3)
    assert double(fl.ones((1, 1))).tolist() == [[2]]


def test_operators_of_whole_numbers_and_masks() -> None:
    i, mask = fl.tensor([6, 3]), fl.tensor([True, False])
    assert (i & 2).tolist() == [2, 2] and (1 | i).tolist() == [7, 3] and (i ^ 1).tolist() == [7, 2]
    assert (
        (~i).tolist() == [-7, -4] and (i << 1).tolist() == [12, 6] and (i >> 1).tolist() == [3, 1]
    )
    assert (~mask).tolist() == [False, True] and (True & mask).tolist() == [True, False]
    assert (mask ^ mask).tolist() == [False, False]
    with pytest.raises(FanlightError, match="E-OP-003"):
        fl.ones(2) & 1


def test_corners_that_reviews_found() -> None:
    assert fl.grad(lambda x: fl.norm(x, 3, 0))(fl.zeros(2)).tolist() == [0, 0]
    assert np.isnan(fl.acosh(fl.tensor([-2.0, -1e4, -1e6, -1e10, 0.5])).numpy()).all()
    assert fl.sum(fl.ones((2, 3)), axis=np.int64(1)).tolist() == [3, 3]
    with pytest.raises(FanlightError, match="E-TENSOR-007"):
        fl.image.crop_and_resize(fl.ones((1, 2, 2, 1)), [[0.0, 0, 1, 1]], [7], (2, 2))
    with pytest.raises(FanlightError, match="E-OP-005"):
        fl.gather(fl.ones((2, 3)), [0, 1], batch_dims=2)


def test_the_gradient_of_a_long_unrolled_function_compiles_soon() -> None:
    """Laying out many buffers took minutes. (A bound that a slow machine keeps, too.)"""
    x = fl.ones((4, 20, 3))

    def loss(w: Any, r: Any) -> Any:
        h, c = fl.zeros((4, 16)), fl.zeros((4, 16))
        for t in range(20):
            h, c = fl.lstm_cell(x[:, t], h, c, w, r)
        return fl.sum(h * h)

    gradient = fl.grad(loss, argnums=(0, 1))
    w, r = fl.full((3, 64), 0.1), fl.full((16, 64), 0.1)
    for a, b in zip(fl.jit(gradient)(w, r), gradient(w, r), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("int32", [1.7, 2]),
        ("int32", np.array([1.0, 2.0])),
        ("int32", [fl.tensor(1.5), 2]),
        ("int32", [1j, 2]),
        ("float32", [1j, 2.0]),
        ("float32", np.array([1j, 2])),
        ("bool", [2, 0]),
        ("bool", [0.5, 0]),
        ("uint8", [300, 1]),
        ("int8", [200, 1]),
    ],
)
def test_an_assignment_does_not_change_numbers(dtype: str, value: Any) -> None:
    v = fl.variable([0, 1], dtype=dtype)
    with pytest.raises(FanlightError) as caught:
        v.assign(value)
    assert caught.value.code == "E-OP-003" and caught.value.expected and caught.value.next
    assert v.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("int32", [3, 4]),
        ("int32", [True, False]),
        ("float32", [3, 2.5]),
        ("float32", [2**40, 1]),
        ("float32", np.array([1.5, 2.5])),
        ("float32", [fl.tensor(1.5), 2.0]),
        ("float16", [0.5, 1]),
        ("uint8", [200, 1]),
        ("int8", [-100, 1]),
        ("bool", [1, 0]),
    ],
)
def test_an_assignment_of_what_fits(dtype: str, value: Any) -> None:
    v = fl.variable([0, 1], dtype=dtype)
    v.assign(value)
    assert v.dtype == dtype and v.tolist() == [float(x) for x in value]
    fl.variable(["a"]).assign(["b"])


@pytest.mark.parametrize("name", ["assign", "assign_add", "assign_sub"])
def test_a_variable_is_not_assigned_in_a_compiled_function(name: str) -> None:
    f = fl.jit(lambda x, v: getattr(v, name)(x))
    with pytest.raises(FanlightError) as caught:
        f(fl.tensor(1.0), fl.variable(0.0))
    assert caught.value.code == "E-TENSOR-021" and "v.assign" in str(caught.value.next)
    assert caught.value.expected and caught.value.received and name in str(caught.value.where)
    with pytest.raises(FanlightError, match="E-TENSOR-021"):
        getattr(fl.tensor(1.0), name)(2.0)
    assert not hasattr(fl.tensor(1.0), name) and hasattr(fl.variable(1.0), name)
    with pytest.raises(AttributeError, match="'Tensor' object has no attribute 'zyzzyva'"):
        fl.tensor(1.0).zyzzyva  # type: ignore[attr-defined]  # noqa: B018

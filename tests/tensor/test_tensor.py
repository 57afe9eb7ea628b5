"""Tensors: what they hold, how they mix, index, print and free themselves; and what is refused."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fanlight as fl
from fanlight.errors import FanlightError
from tests.support import run_python


def same(x: fl.Tensor, expected: Any, dtype: str | None = None) -> None:
    array = np.asarray(expected)
    assert x.shape == array.shape and (dtype is None or x.dtype == dtype)
    np.testing.assert_allclose(x.numpy(), array, rtol=1e-6)


def test_a_first_program() -> None:
    same(fl.mul(fl.tensor([1, 2, 3]), fl.scalar(2)), [2, 4, 6], "int32")


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1, "int32"), (1.5, "float32"), (True, "bool"), ([1, 2.5], "float32"), ([], "float32"),
        (np.arange(3), "int32"), (np.zeros((2, 0)), "float32"), (np.float16(2), "float32"),
        (np.uint8([1, 2]), "uint8"), (np.int8([-1]), "int32"), ([[True], [False]], "bool"),
    ],
)  # fmt: skip
def test_what_values_become(value: Any, dtype: str) -> None:
    same(fl.tensor(value), np.asarray(value), dtype)


def test_numbers_that_do_not_fit_saturate() -> None:
    same(fl.tensor([300.7, -5.0, np.nan], "uint8"), [255, 0, 0], "uint8")
    same(fl.tensor([3e9, -3e9, np.nan], "int32"), [2**31 - 1, -(2**31), 0], "int32")
    same(fl.cast([0.0, 0.5], "bool"), [False, True], "bool")


def test_numpy_in_and_out_without_a_copy() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    x = fl.tensor(array)
    assert np.shares_memory(x.numpy(), array) and np.shares_memory(np.asarray(x), array)
    assert array.flags.writeable and not x.numpy().flags.writeable
    same(fl.tensor(array[:, ::2]), array[:, ::2])
    np.testing.assert_array_equal(np.from_dlpack(x), array)
    same(np.float32(2) * x, 2 * array)
    same(array + x, 2 * array)


@pytest.mark.parametrize(
    ("a", "b", "dtype"),
    [
        ("int32", "float32", "float32"), ("bool", "int32", "int32"), ("uint8", "int32", "int32"),
        ("bool", "float32", "float32"), ("uint8", "float32", "float32"),
    ],
)  # fmt: skip
def test_the_wider_dtype_wins(a: str, b: str, dtype: str) -> None:
    for left, right in ((a, b), (b, a)):
        assert (fl.ones(2, left) + fl.ones((2, 1), right)).dtype == dtype


def test_python_numbers_take_the_dtype_beside_them() -> None:
    assert (fl.ones(2) * 2).dtype == "float32"
    assert (fl.ones(2, "int32") * 2).dtype == "int32"
    assert (fl.ones(2, "int32") * 2.5).dtype == "float32"
    assert (2 - fl.ones(2, "int32")).dtype == "int32"
    assert (fl.ones(2, "int32") / 2).dtype == "float32"
    assert (fl.ones(2, "bool") + 1).dtype == "int32"


def test_operators_are_numpys() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0.5, 3, (2, 3)).astype(np.float32), rng.uniform(1, 2, 3).astype(np.float32)
    x, y = fl.tensor(a), fl.tensor(b)
    same(x + y, a + b)
    same(1 - x, 1 - a)
    same(x / y, a / b)
    same(x // y, a // b)
    same(x % y, a % b)
    same(x**2, a**2)
    same(2**x, 2**a)
    same(-x, -a)
    same(abs(-x), a)
    same(x @ fl.transpose(x), a @ a.T)
    same(x @ y, a @ b)
    same(b @ fl.transpose(x), b @ a.T)
    same((x < y) & ~(x >= 2) | (x == y), (a < b) & ~(a >= 2) | (a == b), "bool")
    same(x != y, a != b, "bool")


INDICES: list[Any] = [
    0, -1, slice(None), slice(1, 3), slice(None, None, -1), slice(3, 0, -2), slice(5, 9), None, ...,
    (0, 1), (slice(1, None), slice(None, 2)), (..., 0), (None, 1, ..., None), (-1, slice(2), -1),
    [0, 2], [-1, 0], ([2, 0], slice(1)), (slice(None), [[0, 1], [1, 2]]), (0, [1, 1, 0]),
    np.array([True, False, True, True]), np.zeros(4, bool),
    (slice(None), np.array([True, False, True])),
    # Several arrays, together and apart; masks beside others.
    [], ([0, 2], [1, 0]), ([[0], [3]], [1, 0]), ([0, 2], slice(None), [1, 0]),
    (slice(None), [2, 0], [1]),
    ([3, 0], 1), (1, [2, 0]), (1, slice(1, None), [1, 0]), ([1, 0], None, [2, 1]),
    ([1, 0], ..., [1, 0]),
    ([1], ..., [0, 1], [0]), (..., [0, 2], [1]), (None, [0, 2], None, 1),
    ([3, -1], slice(None, None, -1), 0),
    (np.eye(4, 3) > 0, [1]), (np.eye(4, 3) > 0), (np.array([True, True, False, False]), [0, 2]),
    (np.array([True, True, False, False]), 1), (np.ones((4, 3, 2)) > 0),
    (np.array(2), slice(None), np.array(1)),
    (np.int64(1), [0, 1]), (slice(None), np.zeros((3, 2), bool)), (slice(0, 0), [0, 1]),
]  # fmt: skip


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_indices_are_numpys(index: Any) -> None:
    array = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    same(fl.tensor(array)[index], array[index])


def test_a_mask_and_a_tensor_as_an_index() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    x = fl.tensor(array)
    same(x[x > 5], array[array > 5])
    same(x[fl.tensor([2, 0])], array[[2, 0]])
    same(x[fl.tensor(1)], array[1])


@pytest.mark.parametrize(
    "index",
    [
        4, -5, (0, 3), (0, 0, 0), [4], 1.5, "a", (..., ...), ([0, 1], [0, 1, 2]), ([0], [3]),
        ([0, 1], [0.5, 1]), np.ones((4, 2), bool), np.ones((4, 3, 1), bool), np.ones(3, bool),
    ],
    ids=repr,
)  # fmt: skip
def test_indices_that_are_refused(index: Any) -> None:
    with pytest.raises(FanlightError, match="E-TENSOR-007") as caught:
        fl.tensor(np.zeros((4, 3)))[index]
    assert "test_tensor.py" in str(caught.value.where)


def test_reductions_are_numpys() -> None:
    array = np.random.default_rng(1).normal(0, 1, (2, 3, 4)).astype(np.float32)
    for name in ("sum", "mean", "prod", "max", "min"):
        ours, theirs = getattr(fl, name), getattr(np, name)
        for axis in (None, 0, -1, (0, 2)):
            same(ours(array, axis), theirs(array, axis))
            same(ours(array, axis, keepdims=True), theirs(array, axis, keepdims=True))
    same(fl.sum([True, True]), 2, "int32")
    same(fl.any([[False], [True]], 0), [True], "bool")


def test_joining_and_shapes() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    same(fl.stack([array, array], -1), np.stack([array, array], -1))
    same(fl.concat([array, np.ones((2, 1), np.int32)], 1), np.c_[array, [1, 1]], "float32")
    same(fl.expand_dims(array, -1), array[..., None])
    same(fl.squeeze(array[None, :, None]), array)
    same(fl.squeeze(array[None], 0), array)
    same(fl.one_hot([1, 0], 3), [[0, 1, 0], [1, 0, 0]], "float32")
    same(fl.range(5), np.arange(5), "int32")
    same(fl.range(1, 2, 0.25), np.arange(1, 2, 0.25), "float32")
    same(fl.linspace(0, 1, 5), np.linspace(0, 1, 5), "float32")
    same(fl.eye(2, 3), np.eye(2, 3), "float32")
    same(fl.full((2,), 7), [7, 7], "int32")
    with pytest.raises(FanlightError, match="E-OP-005"):
        fl.squeeze(array, 0)
    with pytest.raises(FanlightError, match="E-OP-005"):
        fl.sum(array, (0, -2))


@given(
    st.lists(st.integers(0, 3), max_size=4).map(tuple),
    st.lists(st.sampled_from([0, 1]), max_size=4),
    st.sampled_from(["add", "mul", "maximum", "less"]),
)
def test_broadcasting_is_numpys(shape: tuple[int, ...], ones: list[int], op: str) -> None:
    other = tuple(1 if one else n for one, n in zip(ones, shape[::-1], strict=False))[::-1]
    a = np.random.default_rng(2).normal(0, 1, shape).astype(np.float32)
    b = np.random.default_rng(3).normal(0, 1, other).astype(np.float32)
    theirs = {"add": np.add, "mul": np.multiply, "maximum": np.maximum, "less": np.less}
    same(getattr(fl, op)(a, b), theirs[op](a, b))


def test_printing_helps() -> None:
    assert repr(fl.tensor([1, 2])) == "tensor([1, 2], int32[2])"
    assert repr(fl.tensor(1.5)) == "tensor(1.5, float32[])"
    assert len(repr(fl.zeros((100, 100)))) < 600


def test_a_tensor_is_no_condition_unless_it_is_one_number() -> None:
    assert bool(fl.tensor(1)) and int(fl.tensor(3)) == 3 and float(fl.tensor([2.0])) == 2
    assert [10, 20][fl.tensor(1)] == 20
    with pytest.raises(FanlightError, match="E-TENSOR-008"):
        bool(fl.tensor([1, 2]))
    with pytest.raises(TypeError):
        [10, 20][fl.tensor(1.0)]
    with pytest.raises(TypeError):
        len(fl.tensor(1))


@pytest.mark.parametrize("value", [["a", 1], [[1], [1, 2]], {1: 2}, None, object()])
def test_what_is_no_tensor(value: Any) -> None:
    with pytest.raises(FanlightError, match="E-TENSOR-001"):
        fl.tensor(value)


def test_dtypes_that_there_are_not() -> None:
    for dtype in ("float64", "int16", "complex256", "nothing"):
        with pytest.raises(FanlightError, match="E-TENSOR-001"):
            fl.zeros(2, dtype)


def test_errors_name_the_op_the_shapes_and_the_line() -> None:
    with pytest.raises(FanlightError, match="E-OP-004") as caught:
        fl.ones((2, 3)) + fl.ones(4)
    assert "add" in str(caught.value.where) and "test_tensor.py:" in str(caught.value.where)
    assert "f32[2, 3], f32[4]" in str(caught.value)
    with pytest.raises(FanlightError, match="E-OP-003"):
        fl.logical_not([1.0])


# --- memory ---------------------------------------------------------------------------------------


def test_memory_frees_itself() -> None:
    gc.collect()
    before = fl.memory()
    x = fl.zeros((1000,))
    y = fl.reshape(x, (10, 100))  # the same memory
    after = fl.memory()
    assert after["tensors"] - before["tensors"] == 2
    assert after["bytes"] - before["bytes"] == 4000
    del x, y
    assert fl.memory() == before


def test_tidy_disposes_what_is_left() -> None:
    held = []

    def work() -> Any:
        x, y = fl.ones(3), fl.keep(fl.ones(4))
        held.extend([x, y])
        return {"sum": x + 1}

    found = fl.tidy(work)["sum"]
    assert held[0].disposed and not held[1].disposed and not found.disposed
    with pytest.raises(FanlightError, match="E-TENSOR-002"):
        held[0] + 1
    fl.dispose({"a": [held[1], found]})
    assert held[1].disposed and found.disposed


def test_tidy_ends_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        fl.tidy(lambda: 1 / 0)
    x = fl.ones(2)
    assert fl.tidy(lambda: None) is None and not x.disposed


def test_inner_results_of_nested_tidies_end_with_the_outer_one() -> None:
    held = []

    def inner() -> fl.Tensor:
        return fl.ones(2)

    def outer() -> fl.Tensor:
        held.append(fl.tidy(inner))
        return held[0] + 1

    assert not fl.tidy(outer).disposed and held[0].disposed


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the peak there")
def test_numpy_arrays_are_freed_with_their_tensors() -> None:
    code = """
import fanlight as fl
for _ in range(400):
    x = fl.zeros((1 << 20,))
    y = x * 2 + 1
from pathlib import Path
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) // 1024)
"""
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 400  # MB; all of them together are 5 GB


def test_memory_counts_what_lies_in_memory_of_others() -> None:
    """As weights do that lie where their file is mapped."""
    before = fl.memory()
    x = fl.tensor(np.frombuffer(memoryview(bytearray(400)), np.float32))
    y = x.reshape((4, 25))
    after = fl.memory()
    assert after["tensors"] - before["tensors"] == 2 and y.shape == (4, 25)
    assert after["bytes"] - before["bytes"] == 400

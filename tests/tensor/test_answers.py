"""Mistakes that people make, and what they are told; and what looks like one and is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

X = fl.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def told(call: Callable[[], Any]) -> FanlightError:
    with pytest.raises(FanlightError) as caught:
        call()
    assert "test_answers.py" in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("code", "word", "call"),
    [
        ("E-OP-005", "tensordot axes", lambda: fl.tensordot(X, X, axes=3)),
        ("E-OP-005", "tensordot axes", lambda: fl.tensordot(X, X, axes=None)),
        ("E-OP-005", "tensordot axes", lambda: fl.tensordot(X, X, axes=[[0], [1], [2]])),
        ("E-OP-005", "partial", lambda: fl.vmap(lambda x, k=1: x * k)(X, k=2)),
        ("E-OP-005", "partial", lambda: fl.checkpoint(lambda x: x)(x=X)),
        ("E-OP-005", "not its result", lambda: fl.profile(3)),  # type: ignore[arg-type]
        ("E-OP-005", "not its result", lambda: fl.jit(fl.ones(2))),  # type: ignore[arg-type]
        ("E-OP-005", "not its result", lambda: fl.vmap(X.sum())),  # type: ignore[arg-type]
        ("E-OP-005", "argnums", lambda: fl.grad(fl.sum, argnums="x")),  # type: ignore[arg-type]
        ("E-OP-005", "argnums", lambda: fl.grad(fl.sum, argnums=None)),  # type: ignore[arg-type]
        ("E-OP-004", "fl.random.key(42)", lambda: fl.random.normal((2,), key=42)),
        ("E-OP-004", "fl.random.key(42)", lambda: fl.random.split(42)),
        ("E-TENSOR-005", "no return", lambda: fl.grad(lambda x: None)(X)),
        ("E-TENSOR-006", "return what it computes", lambda: fl.jit(lambda x: None)(X)),
        ("E-TENSOR-001", "None", lambda: fl.tensor(None)),
        ("E-TENSOR-015", "item()", lambda: len(fl.scalar(1.0))),
        ("E-TENSOR-015", "item()", lambda: list(fl.scalar(1.0))),
        ("E-TENSOR-015", "cast", lambda: [1, 2][fl.scalar(1.0)]),
        ("E-OP-005", "fl.concat([a, b], axis)", lambda: fl.concat(X, 0)),
        ("E-OP-005", "fl.stack([a, b], axis)", lambda: fl.stack(X)),
        ("E-OP-005", "sum axis", lambda: fl.sum(X, 2)),
    ],
)
def test_mistakes_are_answered(code: str, word: str, call: Callable[[], Any]) -> None:
    error = told(call)
    assert error.code == code and word in str(error)


def test_tensors_do_not_change() -> None:
    def assign() -> None:
        X[0] = 1  # type: ignore[index]

    error = told(assign)
    assert error.code == "E-TENSOR-016" and isinstance(error, TypeError)
    for way in ("fl.where", "tensor_scatter_update", "fl.variable"):
        assert way in str(error)
    v = fl.variable([1.0, 2.0])
    with pytest.raises(FanlightError, match="E-TENSOR-016"):
        v[0] = 3.0  # type: ignore[index]


@pytest.mark.parametrize(
    "draw",
    [
        lambda k: fl.random.normal((2,), k),
        lambda k: fl.random.normal((3, 2), 0.0, k),
        lambda k: fl.random.uniform((2,), k),
        lambda k: fl.random.truncated_normal((2,), k),
        lambda k: fl.random.bernoulli((2,), k),
        lambda k: fl.random.gamma((2,), k),
    ],
)
def test_a_key_by_position_is_no_mean(draw: Any) -> None:
    error = told(lambda: draw(fl.random.key(1)))
    assert error.code == "E-OP-005" and "key=k" in str(error)


def test_whole_numbers_are_means_where_the_key_is_given() -> None:
    means = fl.tensor([0, 1000])
    drawn = fl.random.normal((4, 2), means, key=fl.random.key(1)).numpy()
    assert (abs(drawn - [0, 1000]) < 6).all()


# --- clip -----------------------------------------------------------------------------------------


def test_clip_has_one_side_or_two_or_none() -> None:
    x = fl.tensor([-2.0, 0.5, 2.0])
    assert fl.clip(x, None, 1).tolist() == x.clip(None, 1).tolist() == [-2, 0.5, 1]
    assert fl.clip(x, 0).tolist() == x.clip(low=0).tolist() == [0, 0.5, 2]
    assert fl.clip(x).tolist() == fl.clip_by_value(x).tolist() == x.tolist()
    whole = fl.tensor([-2, 2])
    assert fl.clip(whole, None, 1).dtype == "int32" and fl.clip(whole, 0.5).dtype == "float32"
    assert fl.clip(whole, np.int64(0), np.int64(1)).tolist() == [0, 1]
    assert fl.jit(lambda x: fl.clip(x, None, 1))(x).tolist() == [-2, 0.5, 1]
    for f in (fl.clip, fl.jit(fl.clip)):
        assert f(whole).tolist() == [-2, 2] and f(x).tolist() == x.tolist()


def test_clip_takes_tensors_as_bounds() -> None:
    x, low = fl.tensor([[-2.0, 0.5], [3.0, 4.0]]), fl.tensor([0.0, 1.0])
    assert fl.clip(x, low, 3.5).tolist() == [[0, 1], [3, 3.5]]
    assert fl.clip(x, low).tolist() == np.clip(x.numpy(), low.numpy(), None).tolist()
    slope = fl.grad(lambda low: fl.sum(fl.clip(x, low, [3.0, 3.0])))(low)
    assert slope.tolist() == [1, 1]
    assert fl.jit(fl.clip)(x, low, fl.scalar(3.0)).tolist() == [[0, 1], [3, 3]]


# --- None in structures ---------------------------------------------------------------------------


def test_none_is_a_structure_without_tensors() -> None:
    def f(x: Any, bias: Any = None) -> Any:
        return {"y": x * 2 if bias is None else x * 2 + bias, "none": None}

    assert fl.jit(f)(X, None)["y"].tolist() == (X * 2).tolist()
    assert fl.jit(f)(X, bias=None)["none"] is None
    assert fl.vmap(f)(X, None)["y"].tolist() == (X * 2).tolist()
    assert fl.vmap(f, in_axes=(0, None))(X, None)["none"] is None
    pair = fl.grad(lambda p: fl.sum(p["w"] ** 2))({"w": X, "bias": None})
    assert pair["bias"] is None and pair["w"].tolist() == (2 * X).tolist()
    assert fl.checkpoint(f)(X, None)["none"] is None
    value, pull = fl.vjp(lambda x: (x * 2, None), X)
    assert value[1] is None and pull((X, None))[0].tolist() == (2 * X).tolist()
    carry, ys = fl.scan(lambda c, x: ((c[0] + x, None), None), (fl.scalar(0.0), None), X[0])
    assert carry[0].item() == 6 and carry[1] is None and ys is None
    assert fl.cond(fl.scalar(True), lambda x: (x, None), lambda x: (x, None), X)[1] is None


# --- whole numbers of any kind --------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.int32, np.array, fl.tensor])
def test_whole_numbers_may_be_numpys_or_tensors(kind: Any) -> None:
    one, two, three = kind(1), kind(2), kind(3)
    assert fl.zeros(three).shape == (3,) and fl.zeros((two, three)).shape == (2, 3)
    assert [p.shape for p in fl.split(X, three, one)] == [(2, 1)] * 3
    assert [p.shape for p in fl.split(X, [one, two], 1)] == [(2, 1), (2, 2)]
    assert fl.sum(X, one).shape == fl.max(X, (one,)).shape == (2,)
    assert fl.reshape(X, (three, two)).shape == X.reshape(three, two).shape == (3, 2)
    assert fl.transpose(X, (one, 0)).shape == (3, 2)
    assert fl.arg_max(X, one).tolist() == [2, 2] and fl.cumsum(X, one).shape == (2, 3)
    assert fl.signal.stft(fl.ones(8), kind(4), two).shape == (3, 3)
    assert fl.rfft(fl.ones(8), kind(4)).shape == (3,)
    assert fl.vmap(lambda x: x.sum(), in_axes=one)(X).shape == (3,)
    assert fl.vmap(lambda x: x * 1, in_axes=(one,), out_axes=one)(X).shape == (2, 3)
    assert fl.tensordot(X, X.T, one).shape == (2, 2)
    assert fl.max_pool(fl.ones((1, 4, 4, 1)), two, two).shape == (1, 2, 2, 1)
    assert fl.max_pool(fl.ones((1, 4, 4, 1)), (two, two)).shape == (1, 2, 2, 1)
    assert fl.image.resize_bilinear(fl.ones((4, 4, 1)), (two, three)).shape == (2, 3, 1)
    assert fl.one_hot([0, 1], three).shape == (2, 3) and fl.eye(two).shape == (2, 2)
    assert fl.roll(X, one, one).tolist()[0] == [3, 1, 2]
    assert fl.range(one, three).tolist() == [1, 2] and fl.linspace(0, 1, three).shape == (3,)
    assert fl.top_k(X, two)[0].shape == (2, 2) and fl.concat([X, X], one).shape == (2, 6)
    assert fl.grad(lambda a, b: fl.sum(a * b), argnums=one)(X, 2 * X).tolist() == X.tolist()
    assert fl.group_norm(fl.ones((1, 2, 4)), two).shape == (1, 2, 4)
    assert fl.string.substr(["abc"], one, two).tolist() == ["bc"]
    assert fl.random.key(two).tolist() == [0, 2] and fl.random.uniform_int(3, one, two).shape == (
        3,
    )
    assert fl.scan(lambda c, _: (c + 1, c), 0, length=three)[0].item() == 3
    assert X[one].tolist() == [4, 5, 6] and X[:, one:three].shape == (2, 2)


def test_shapes_may_be_arrays_and_tensors() -> None:
    for shape in (np.array([3, 2]), fl.tensor([3, 2])):
        assert fl.zeros(shape).shape == fl.reshape(X, shape).shape == X.reshape(shape).shape
        assert fl.random.rand(shape).shape == fl.broadcast_to(1.0, shape).shape == (3, 2)


def test_truth_values_are_no_numbers_of_things() -> None:
    for call in (lambda: fl.zeros(True), lambda: fl.split(X, True), lambda: fl.sum(X, True)):
        with pytest.raises(FanlightError):
            call()


# --- NumPy's functions under a gradient -----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("dot", lambda x: fl.sum(fl.tensor(np.dot(x, x)))),
        ("concatenate", lambda x: fl.sum(fl.tensor(np.concatenate([x, x])))),
        ("cumsum", lambda x: fl.sum(fl.tensor(np.cumsum(x)))),
        ("sin", lambda x: fl.sum(fl.tensor(np.sin(x)))),
        ("sum", lambda x: fl.tensor(np.sum(x))),
        ("a function", lambda x: fl.sum(fl.tensor(np.asarray(x)) ** 2)),
    ],
)
def test_numpys_functions_give_no_silent_zeros(name: str, function: Any) -> None:
    x = fl.tensor([1.0, 2.0])
    error = told(lambda: fl.grad(function)(x))
    assert error.code == "E-TENSOR-009" and f"NumPy's {name}" in str(error)
    if name.isalpha():
        assert f"fl.{name}" in str(error)


def test_numpys_functions_may_have_what_no_gradient_depends_on() -> None:
    x, c = fl.tensor([1.0, 2.0]), fl.tensor([3.0, 4.0])
    assert np.dot(x, c) == 11 and np.concatenate([x, c]).tolist() == [1, 2, 3, 4]
    assert np.asarray(x).tolist() == [1, 2] and np.allclose(x, [1.0, 2.0])
    assert fl.grad(lambda x: fl.sum(x * np.flip(c)))(x).tolist() == [4, 3]
    assert fl.grad(lambda x: fl.sum(x * x.numpy()))(x).tolist() == [1, 2]  # asked for a constant
    with pytest.raises(FanlightError, match="E-TENSOR-003"):
        fl.jit(lambda x: x * np.dot(x, x))(x)
    z = fl.tensor([1 + 2j])
    with pytest.raises(FanlightError, match="E-TENSOR-009"):
        fl.grad(lambda z: fl.tensor(np.dot(z, z).real))(z)
    assert np.dot(z, z) == (1 + 2j) ** 2


def test_numbers_that_a_gradient_depends_on_are_not_read_in_silence() -> None:
    for call in (
        lambda x: fl.sum(fl.linspace(0.0, x, 3)),
        lambda x: fl.sum(fl.range(0.0, x)),
        lambda x: fl.losses.huber_loss([1.0], [3.0], delta=x),
    ):
        error = told(lambda call=call: fl.grad(call)(fl.scalar(2.0)))
        assert error.code == "E-TENSOR-009"
        assert call(fl.scalar(2.0)).item() > 0


def test_full_of_a_tensor_has_a_gradient() -> None:
    assert fl.grad(lambda x: fl.sum(fl.full((3,), x)))(fl.scalar(2.0)).item() == 3
    assert fl.jit(lambda x: fl.full((2,), x))(fl.scalar(2.0)).tolist() == [2, 2]
    assert fl.full((2, 2), [1, 2]).tolist() == [[1, 2], [1, 2]]


def test_strings_differ_by_rows() -> None:
    words = fl.tensor([["a", "b"], ["a", "c"], ["a", "b"]])
    values, which = fl.unique(words, axis=0)
    assert values.tolist() == [["a", "b"], ["a", "c"]] and which.tolist() == [0, 1, 0]
    assert fl.unique(words, axis=1)[0].tolist() == words.tolist()
    assert fl.unique(words)[0].tolist() == ["a", "b", "c"]


# --- which function it was ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("fl.layer_norm", lambda: fl.layer_norm(fl.ones((2, 0)))),
        ("fl.random.gamma", lambda: fl.random.gamma((2,), fl.ones(3))),
        ("fl.log_sum_exp", lambda: fl.log_sum_exp(fl.ones((0,)))),
        ("fl.losses.hinge_loss", lambda: fl.losses.hinge_loss(fl.ones(0), fl.ones(0))),
        ("fl.linalg.lstsq", lambda: fl.linalg.lstsq(fl.ones((2, 2)), fl.ones(3))),
    ],
)
def test_errors_within_a_function_name_it(name: str, call: Callable[[], Any]) -> None:
    error = told(call)
    assert f", in {name}, test_answers.py" in str(error.where)


def test_the_name_is_said_once() -> None:
    error = told(lambda: fl.matmul(fl.ones((2, 3)), fl.ones((2, 3))))
    assert str(error.where).startswith("matmul b, test_answers.py")
    error = told(lambda: fl.ones(2) + fl.ones(3))
    assert str(error.where).startswith("add, test_answers.py")


def test_an_axis_is_no_second_tensor() -> None:
    assert "fl.maximum" in str(told(lambda: fl.max(X, X)))
    assert "fl.minimum" in str(told(lambda: fl.min(X, X)))
    assert "fl.maximum" in str(told(lambda: fl.max(X, np.array([0, 1]))))
    assert fl.transpose(X, np.array([1, 0])).shape == fl.transpose(X, fl.tensor([1, 0])).shape
    for call in (lambda: fl.mean(X, X), lambda: fl.sum(X, "x"), lambda: fl.reverse(X, 0.5)):
        assert "maximum" not in str(told(call))

"""What a review found: corners of gradients, of memory and of indices."""

from __future__ import annotations

import gc
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.tensor import trace

X = fl.tensor([0.5, -1.0, 2.0])


def close(x: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(x), expected, rtol=1e-5, atol=1e-6)


def test_a_gradient_of_ones_own_may_use_what_the_forward_pass_made() -> None:
    @fl.custom_gradient
    def exp(x: fl.Tensor) -> tuple[fl.Tensor, Any]:
        y = fl.exp(x)
        return y, lambda g: g * y

    second = fl.grad(lambda x: fl.sum(fl.grad(lambda x: fl.sum(exp(x)))(x)))(X)
    close(second, np.exp(np.asarray(X)))

    @fl.custom_gradient
    def other(x: fl.Tensor) -> tuple[fl.Tensor, Any]:
        return fl.exp(x), lambda g: g * 7.0

    close(fl.grad(lambda x: fl.sum(other(x)))(X), [7, 7, 7])

    @fl.custom_gradient
    def picked(x: fl.Tensor, i: fl.Tensor) -> tuple[fl.Tensor, Any]:
        return fl.gather(x, i), lambda g: (fl.ones_like(x) * g, None)

    close(fl.grad(lambda x: picked(x, 1))(X), [1, 1, 1])


def test_tensors_in_lists_have_gradients_and_are_traced() -> None:
    f = lambda x: fl.sum(fl.tensor([x[0] * 2, x[1] * 3]))  # noqa: E731
    close(fl.grad(f)(X), [2, 3, 0])
    close(fl.grad(lambda x: fl.sum([[x[0], 1.0], [2.0, x[2]]]))(X), [1, 0, 1])
    close(fl.jit(lambda x: fl.tensor([x[0], 5.0]))(X), [0.5, 5])
    with pytest.raises(FanlightError, match="E-TENSOR-001"):
        fl.tensor([X, X[:2]])
    with pytest.raises(FanlightError, match="E-TENSOR-005"):
        fl.grad(lambda x: [fl.sum(x)])(X)


def test_nested_tidies_of_the_same_number_of_tensors() -> None:
    def outer() -> fl.Tensor:
        a = fl.ones(3)
        return a + fl.tidy(lambda: fl.ones(3))

    close(fl.tidy(outer), [2, 2, 2])
    gc.collect()  # cycles of other tests are not counted as released by this one
    before = fl.memory()["tensors"]
    fl.ones(5)
    assert fl.memory()["tensors"] == before  # no scope is left that holds it


def test_tidy_inside_a_gradient_and_with_other_things_in_its_result() -> None:
    close(
        fl.grad(lambda x: fl.tidy(lambda: fl.sum(fl.exp(x * 2))))(X), 2 * np.exp(2 * np.asarray(X))
    )
    held = []
    result = fl.tidy(lambda: (held.append(fl.ones(2)) or fl.ones(3), "name"))  # type: ignore
    assert held[0].disposed and not result[0].disposed and result[1] == "name"


def test_tidy_holds_nothing_that_nobody_holds() -> None:
    def loop() -> int:
        x = fl.ones(3)
        for _ in range(50):
            x = x * 2
        return fl.memory()["tensors"]

    gc.collect()  # what tests before left in cycles would go in between
    assert fl.tidy(loop) <= fl.memory()["tensors"] + 4


def test_views_of_one_dim_go_into_compiled_functions() -> None:
    f = fl.jit(lambda x: x + x)
    for x in (X, fl.tensor([True, False, True, True]), fl.tensor([1, 2, 3], "uint8")):
        for part in (x[::2], x[::-1], x[1:]):
            if x.dtype != "bool":
                assert f(part).tolist() == (part + part).tolist()
            assert fl.jit(lambda x: ~x if x.dtype == "bool" else x)(part).shape == part.shape


@pytest.mark.parametrize("x", [[0.0, 3, 2], [0, 0, 2], [0, 0, 0], [1, 3, 2], [5], [1, 2, 0, 4, 5]])
def test_products_have_all_their_derivatives_where_factors_are_0(x: list[float]) -> None:
    n = len(x)
    others = lambda *gone: np.prod([v for i, v in enumerate(x) if i not in gone])  # noqa: E731
    close(fl.grad(fl.prod)(fl.tensor(np.float32(x))), [others(i) for i in range(n)])
    for i in range(n):
        row = fl.hvp(fl.prod, np.float32(x), np.eye(n, dtype=np.float32)[i])
        close(row, [0 if i == j else others(i, j) for j in range(n)])


def test_infinities_do_not_spread() -> None:
    image = np.full((1, 2, 2, 1), -np.inf, np.float32)
    from fanlight.tensor import apply

    pool = lambda x: fl.sum(apply("max_pool", x, size=(2, 2)))  # noqa: E731
    assert np.asarray(fl.grad(pool)(image)).reshape(-1).tolist() == [1, 0, 0, 0]
    top = fl.grad(lambda x: fl.sum(fl.sqrt(fl.top_k(x, 2)[0])))(fl.tensor([0.0, 1.0, -3.0]))
    assert top.tolist() == [np.inf, 0.5, 0]
    assert fl.grad(lambda x: fl.gelu(x, True))(fl.tensor(1e20)).item() == 1


def test_gradients_to_and_from_whole_numbers() -> None:
    _, pull = fl.vjp(lambda x: fl.top_k(x, 2)[1], X)
    assert pull(np.ones(2, np.int32))[0].tolist() == [0, 0, 0]
    assert fl.hvp(lambda x: fl.sum(x * x), X, np.array([1, 0, 0])).tolist() == [2, 0, 0]
    _, pull = fl.vjp(lambda x: fl.reshape(x, (3, 1)), X)
    assert pull(np.ones((3, 1), np.int64))[0].dtype == "float32"


def test_a_mask_of_minus_infinity_builds(tmp_path: Path) -> None:
    f = lambda x: fl.softmax(fl.where([True, False, True], x, -np.inf))  # noqa: E731
    with fl.build(f, tmp_path / "out", inputs={"x": (3,)}) as bundle:
        close(bundle.run({"x": np.float32([1, 2, 1])})["output"], [0.5, 0, 0.5])
    with pytest.raises(FanlightError, match="E-BUILD-006"):
        fl.build(lambda x: x * np.nan, tmp_path / "nan", inputs={"x": (3,)})


def test_an_array_apart_from_a_number_comes_first() -> None:
    x = fl.tensor(np.arange(24).reshape(4, 3, 2))
    array = np.arange(24).reshape(4, 3, 2)
    assert x[0, :, [0, 1]].tolist() == array[0, :, [0, 1]].tolist()
    assert x[0][:, [0, 1]].tolist() == array[0][:, [0, 1]].tolist()
    assert x[:, 0, [0, 1]].tolist() == array[:, 0, [0, 1]].tolist()


def test_making_tensors_at_the_edges() -> None:
    assert fl.tensor(np.uint64([1])).dtype == "int32"
    assert fl.tensor(np.longdouble(1)).dtype == "float32"
    assert fl.tensor(16777217.0, "int32").item() == 16777217
    assert fl.reverse(fl.scalar(1.0)).item() == 1
    assert fl.tensor(2.0)[()].item() == fl.tensor(2.0)[...].item() == 2


def test_structures_come_back_as_they_were() -> None:
    Pair = namedtuple("Pair", "w b")
    slopes = fl.grad(lambda p: fl.sum(p.w * p.b))(Pair(X, X + 1))
    close(slopes.w, np.asarray(X) + 1)
    assert fl.jit(lambda p: Pair(p.b, p.w))(Pair(X, X + 1)).b.tolist() == X.tolist()
    with pytest.raises(FanlightError, match="E-TENSOR-006"):
        trace(lambda x: {"a": (x, x + 1), "a_1": x * 2}, {"x": fl.spec(2)})


def test_convolutions_whose_windows_miss_the_image_and_of_no_pictures() -> None:
    from fanlight.tensor import apply

    x, w = np.ones((1, 3, 3, 1), np.float32), np.ones((1, 1, 1, 1), np.float32)
    far = {"padding": ((5, 5), (5, 5)), "strides": (10, 10)}
    f = lambda x, w: fl.sum(apply("conv2d", x, w, **far))  # noqa: E731
    assert np.asarray(fl.grads(f)(x, w)[0]).sum() == 0
    none = np.ones((0, 3, 3, 2), np.float32)
    w = np.ones((2, 2, 2, 4), np.float32)
    of_x, of_w = fl.grads(lambda x, w: fl.sum(apply("conv2d", x, w)))(none, w)
    assert of_x.shape == none.shape and not np.asarray(of_w).any()


def test_compiled_functions_inside_traced_ones_may_have_no_arguments() -> None:
    close(fl.jit(lambda x: fl.jit(lambda: x * 2)())(X), 2 * np.asarray(X))


def test_a_tensor_of_a_trace_that_failed_stays_there() -> None:
    kept: list[fl.Tensor] = []

    def fails(x: fl.Tensor) -> fl.Tensor:
        kept.append(x)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trace(fails, {"x": fl.spec(2)})
    with pytest.raises(FanlightError, match="E-TENSOR-004"):
        kept[0] + 1
    assert fl.jit(lambda x: x + 1)(X).shape == (3,)  # nothing counts as being traced any more


@pytest.mark.parametrize(
    "make",
    [
        lambda: fl.zeros((1,) * 7),
        lambda: fl.reshape(fl.ones(1), (1,) * 7),
        lambda: fl.expand_dims(fl.ones((1,) * 6)),
        lambda: fl.zeros((1 << 20, 1 << 20)),
        lambda: fl.broadcast_to(fl.ones(1), (1 << 20, 1 << 20)),
        lambda: fl.ones((1 << 16, 1)) + fl.ones((1, 1 << 18)),
        lambda: fl.tile(fl.ones(8), (1 << 40,)),
        lambda: fl.eye(1 << 20),
        lambda: fl.linspace(0, 1, 1 << 40),
        lambda: fl.range(1 << 40),
        lambda: fl.range(0, -(1 << 50), -1),
        lambda: fl.one_hot([1, 2], 1 << 40),
        lambda: fl.ones((0, 1 << 70)),
        lambda: fl.tile(fl.ones((0, 3)), (1, 1 << 70)),
        lambda: fl.broadcast_to(fl.ones((0, 1)), (0, 1 << 70)),
        lambda: fl.array_api.fft.fftfreq(1 << 40),
        lambda: fl.jit(lambda x: fl.broadcast_to(x, (1 << 20, 1 << 20)))(fl.ones(1)),
        lambda: fl.jit(lambda x: fl.expand_dims(x))(fl.ones((1,) * 6)),
    ],
)
def test_more_than_a_tensor_holds(make: Any) -> None:
    with pytest.raises(FanlightError, match="E-TENSOR-014") as caught:
        make()
    assert "test_corners.py" in str(caught.value)


def test_what_is_too_large_is_refused_before_a_part_of_it_is_made() -> None:
    with pytest.raises(FanlightError, match="E-TENSOR-014"):
        fl.one_hot([[1, 2, 3, 4]], 10**9)  # counting to there takes 4 GiB

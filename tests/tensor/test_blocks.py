"""Boxes, mirrors and blocks: against NumPy, with gradients, compiled, and of complex numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

X = np.arange(96, dtype=np.float32).reshape(2, 4, 6, 2)
CALLS: dict[str, tuple[Callable[[Any], Any], Callable[[np.ndarray], np.ndarray]]] = {
    "slice": (lambda x: fl.slice(x, [0, 1, 2, 0], [2, -1, 3, 1]), lambda x: x[:, 1:, 2:5, :1]),
    "slice of the first dims": (lambda x: fl.slice(x, 1), lambda x: x[1:]),
    "strided_slice": (
        lambda x: fl.strided_slice(x, [0, 3, 5], [2, -9, 0], [1, -2, -2]),
        lambda x: x[0:2, 3:-9:-2, 5:0:-2],
    ),
    "strided_slice with masks": (
        lambda x: fl.strided_slice(
            x, [7, 0, 9, -1], [-1, 0, 0, 0], None, 1, 0, 2, 4, 8
        ),
        lambda x: x[:-1, ..., None, -1],
    ),
    "strided_slice to the end": (
        lambda x: fl.strided_slice(x, [0, 1], [1, 2], end_mask=3),
        lambda x: x[:, 1:],
    ),
    "mirror_pad": (
        lambda x: fl.mirror_pad(x, [(0, 0), (1, 2), (3, 0), (0, 1)]),
        lambda x: np.pad(x, [(0, 0), (1, 2), (3, 0), (0, 1)], mode="reflect"),
    ),
    "mirror_pad symmetric": (
        lambda x: fl.mirror_pad(x, [(1, 0), (0, 2), (0, 0), (2, 2)], "symmetric"),
        lambda x: np.pad(x, [(1, 0), (0, 2), (0, 0), (2, 2)], mode="symmetric"),
    ),
    "space_to_depth": (
        lambda x: fl.space_to_depth(x, 2),
        lambda x: x.reshape(2, 2, 2, 3, 2, 2).transpose(0, 1, 3, 2, 4, 5).reshape(2, 2, 3, 8),
    ),
    "depth_to_space": (
        lambda x: fl.depth_to_space(fl.reshape(x, (2, 4, 3, 4)), 2),
        lambda x: x.reshape(2, 4, 3, 2, 2, 1).transpose(0, 1, 3, 2, 4, 5).reshape(2, 8, 6, 1),
    ),
    "space_to_batch_nd": (
        lambda x: fl.space_to_batch_nd(x, (2, 3), ((0, 0), (0, 0))),
        lambda x: x.reshape(2, 2, 2, 2, 3, 2).transpose(2, 4, 0, 1, 3, 5).reshape(12, 2, 2, 2),
    ),
    "batch_to_space_nd": (
        lambda x: fl.batch_to_space_nd(x, (2, 1), ((1, 0), (0, 0))),
        lambda x: x.reshape(2, 1, 4, 6, 2).transpose(1, 2, 0, 3, 4).reshape(1, 8, 6, 2)[:, 1:],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_numbers_are_numpys(name: str) -> None:
    ours, theirs = CALLS[name]
    wanted = theirs(X)
    for function in (ours, fl.jit(ours)):
        found = function(fl.tensor(X)).numpy()
        assert found.shape == wanted.shape and np.array_equal(found, wanted)
    z = X + 1j * X[::-1]
    assert np.array_equal(ours(fl.tensor(z)).numpy(), theirs(z.astype(np.complex64)))
    assert np.array_equal(ours(fl.tensor(X.astype(np.int32))).numpy(), theirs(X.astype(np.int32)))


@pytest.mark.parametrize("name", CALLS)
def test_each_element_gets_the_gradient_of_its_copies(name: str) -> None:
    """Nothing is computed, so the gradient counts with the weights where an element went."""
    ours, theirs = CALLS[name]
    weights = np.random.default_rng(0).normal(size=theirs(X).shape).astype(np.float32)
    found = fl.grad(lambda x: fl.sum(ours(x) * weights))(fl.tensor(X)).numpy()
    places = theirs(np.arange(X.size).reshape(X.shape))
    wanted = np.bincount(places.reshape(-1), weights.reshape(-1), X.size).reshape(X.shape)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_inverses() -> None:
    x = fl.tensor(X)
    assert fl.depth_to_space(fl.space_to_depth(x, 2), 2).tolist() == x.tolist()
    blocks = fl.space_to_batch_nd(x, (3, 2), ((1, 1), (0, 0)))
    assert fl.batch_to_space_nd(blocks, (3, 2), ((1, 1), (0, 0))).tolist() == x.tolist()


@pytest.mark.parametrize(
    ("code", "call"),
    [
        ("E-OP-005", lambda x: fl.slice(x, [0, 0, 0, 2], [1, 1, 1, 1])),
        ("E-OP-005", lambda x: fl.slice(x, [0, 0, 0, 0, 0])),
        ("E-OP-005", lambda x: fl.slice(x, "first")),
        ("E-OP-005", lambda x: fl.strided_slice(x, [0, 1], [2])),
        ("E-OP-005", lambda x: fl.strided_slice(x, [0], [2], [0])),
        ("E-OP-005", lambda x: fl.strided_slice(x, [0.5], [2])),
        ("E-TENSOR-007", lambda x: fl.strided_slice(x, [2], [3], shrink_axis_mask=1)),
        ("E-TENSOR-007", lambda x: fl.strided_slice(x, [0] * 5, [1] * 5)),
        ("E-OP-005", lambda x: fl.mirror_pad(x, [(0, 0), (4, 0), (0, 0), (0, 0)])),
        ("E-OP-005", lambda x: fl.mirror_pad(x, [(0, 0)] * 4, "wrap")),
        ("E-OP-004", lambda x: fl.depth_to_space(x, 2)),
        ("E-OP-004", lambda x: fl.space_to_depth(x, 4)),
        ("E-OP-004", lambda x: fl.space_to_batch_nd(x, (3,), ((0, 0),))),
        ("E-OP-004", lambda x: fl.batch_to_space_nd(x, (4,), ((0, 0),))),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(code: str, call: Callable[[Any], Any]) -> None:
    with pytest.raises(FanlightError) as caught:
        call(fl.tensor(X))
    assert caught.value.code == code
    assert caught.value.expected is not None and caught.value.received is not None


def test_hard_sigmoid() -> None:
    x = np.float32([-4, -3, -1.5, 0, 1.5, 3, 4])
    np.testing.assert_allclose(fl.hard_sigmoid(x).numpy(), np.clip(x / 6 + 0.5, 0, 1), atol=1e-6)
    keras_2 = fl.hard_sigmoid(x, alpha=0.2).numpy()
    np.testing.assert_allclose(keras_2, np.clip(x * 0.2 + 0.5, 0, 1), atol=1e-6)
    slope = fl.grad(lambda x: fl.sum(fl.hard_sigmoid(x)))(fl.tensor(x)).numpy()
    np.testing.assert_allclose(slope[[0, 3, 6]], [0, 1 / 6, 0], atol=1e-6)

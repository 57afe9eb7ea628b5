"""Layers of several inputs against Keras 3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.layers import scope
from tests.layers.keras_oracle import check_layer, close, keras, numbers

NAMES = ["Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"]


def pair(name: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    return getattr(fl.layers, name)(*args, **options), getattr(keras.layers, name)(*args, **options)


@pytest.mark.parametrize("name", NAMES)
def test_merge(name: str) -> None:
    check_layer(*pair(name), *[(2, 3, 4)] * (2 if name == "Subtract" else 3))


@pytest.mark.parametrize("name", NAMES)
def test_broadcast(name: str) -> None:
    check_layer(*pair(name), (2, 3, 4), (2, 1, 4))
    check_layer(*pair(name), (2, 3, 4), (2, 4), shape=False)


@pytest.mark.parametrize("axis", [-1, 1, 2])
def test_concatenate(axis: int) -> None:
    second = (2, 5, 4) if axis == 1 else (2, 3, 2)
    check_layer(*pair("Concatenate", axis=axis), (2, 3, 4), second)


@pytest.mark.parametrize(
    ("axes", "normalize", "first", "second"),
    [
        (1, False, (2, 4), (2, 4)),
        (1, True, (2, 4), (2, 4)),
        (-1, False, (2, 3, 4), (2, 5, 4)),
        ((2, 1), True, (2, 3, 4), (2, 4, 5)),
        ((1, 1), False, (2, 4), (2, 4, 3)),
        ((2, 1), False, (2, 3, 4), (2, 4)),
        ((3, 2), False, (2, 3, 2, 4), (2, 3, 4)),
    ],
)
def test_dot(axes: Any, normalize: bool, first: Any, second: Any) -> None:
    check_layer(*pair("Dot", axes, normalize), first, second)


@pytest.mark.parametrize("name", [*NAMES, "Concatenate"])
@pytest.mark.parametrize("both", [True, False])
def test_masks(name: str, both: bool) -> None:
    ours, theirs = pair(name) if name != "Concatenate" else pair(name, axis=1)
    x, y = numbers(2, 3, 4), numbers(2, 3, 4, seed=1)
    masks = [np.array([[True, True, False], [True, False, False]]), None]
    if both:
        masks[1] = np.array([[True, False, False], [True, True, False]])

    tensors, arrays = [fl.tensor(x), fl.tensor(y)], [keras.ops.array(x), keras.ops.array(y)]
    for t, a, m in zip(tensors, arrays, masks, strict=True):
        if m is not None:
            scope.set_mask(t, fl.tensor(m))
            a._keras_mask = keras.ops.array(m)
    made, expected = ours(tensors), theirs(arrays)
    close(made.numpy(), expected, "output")
    mask, wanted = scope.mask_of(made), getattr(expected, "_keras_mask", None)
    assert (mask is None) == (wanted is None)
    if mask is not None:
        np.testing.assert_array_equal(mask.numpy(), wanted)


def test_functions() -> None:
    x, y = numbers(2, 3), numbers(2, 3, seed=1)
    layers: Any = fl.layers
    for name in ("add", "average", "maximum", "minimum", "multiply", "subtract", "concatenate"):
        close(getattr(layers, name)([x, y]).numpy(), getattr(keras.layers, name)([x, y]), name)
    close(layers.dot([x, y], 1).numpy(), keras.layers.dot([x, y], 1), "dot")
    a, b = fl.Input((3,)), fl.Input((3,))
    model = fl.Model([a, b], layers.add([a, layers.multiply([a, b])]))
    close(model([x, y]).numpy(), x + x * y, "model")


def test_sums_of_stand_ins() -> None:
    a, b = fl.Input((3,)), fl.Input((3,))
    model = fl.Model([a, b], 2.0 * a - b + 1.0)
    x, y = numbers(2, 3), numbers(2, 3, seed=1)
    close(model([x, y]).numpy(), 2 * x - y + 1, "model")


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (lambda: fl.layers.Add(name="sum"), [(2, 3)]),
        (lambda: fl.layers.Subtract(name="sum"), [(2, 3)] * 3),
        (lambda: fl.layers.Concatenate(name="sum"), [(2, 3), (3, 3)]),
        (lambda: fl.layers.Concatenate(axis=2, name="sum"), [(2, 3), (2, 3)]),
        (lambda: fl.layers.Dot(1, name="sum"), [(2, 3), (2, 4)]),
        (lambda: fl.layers.Dot(0, name="sum"), [(2, 3), (2, 3)]),
    ],
)
def test_wrong_inputs(layer: Any, shapes: Any) -> None:
    given = [numbers(*s) for s in shapes]
    with pytest.raises(FanlightError) as caught:
        layer()(given if len(given) > 1 else given[0])
    assert caught.value.code == "E-LAYER-001"
    assert "sum" in str(caught.value)


def test_sizes_that_do_not_fit() -> None:
    with pytest.raises(FanlightError) as caught:
        fl.layers.Add(name="sum")([numbers(2, 3), numbers(2, 4)])
    assert "sum" in str(caught.value)


def test_wrong_axes() -> None:
    with pytest.raises(FanlightError) as caught:
        fl.layers.Dot((1, 2, 3))
    assert caught.value.code == "E-LAYER-004"

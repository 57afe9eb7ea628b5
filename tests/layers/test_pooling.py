"""Pooling against Keras 3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.layers.keras_oracle import check_layer, keras, numbers

SIZES = {1: (9,), 2: (7, 8), 3: (5, 6, 5)}


def pair(name: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    return getattr(fl.layers, name)(*args, **options), getattr(keras.layers, name)(*args, **options)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("kind", ["Max", "Average"])
@pytest.mark.parametrize(
    "options", [{}, {"strides": 1, "padding": "same"}, {"pool_size": 3, "strides": 2}], ids=str
)
def test_pooling(dims: int, kind: str, options: dict[str, Any]) -> None:
    options = {"pool_size": 2, **options}
    check_layer(*pair(f"{kind}Pooling{dims}D", **options), (2, *SIZES[dims], 3))


@pytest.mark.parametrize("kind", ["Max", "Average"])
def test_channels_first(kind: str) -> None:
    options = {"padding": "same", "data_format": "channels_first"}
    check_layer(*pair(f"{kind}Pooling2D", (3, 2), **options), (2, 3, 7, 8))


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("kind", ["Max", "Average"])
@pytest.mark.parametrize("options", [{}, {"keepdims": True, "data_format": "channels_first"}])
def test_global(dims: int, kind: str, options: dict[str, Any]) -> None:
    check_layer(*pair(f"Global{kind}Pooling{dims}D", **options), (2, *SIZES[dims], 3))


@pytest.mark.parametrize("options", [{}, {"keepdims": True}, {"data_format": "channels_first"}])
def test_global_average_mask(options: dict[str, Any]) -> None:
    mask = np.array([[True, True, False, True], [False, False, True, False]])
    shape = (2, 3, 4) if "data_format" in options else (2, 4, 3)
    check_layer(*pair("GlobalAveragePooling1D", **options), shape, mask=mask)


def test_global_average_of_nothing() -> None:
    layer = fl.layers.GlobalAveragePooling1D()
    y = layer(numbers(1, 4, 3), mask=fl.tensor(np.zeros((1, 4), bool)))
    np.testing.assert_array_equal(y.numpy(), np.zeros((1, 3)))


def test_mask_of_embedding_reaches_pooling() -> None:
    model = fl.Sequential(
        [
            fl.Input((4,), dtype="int32"),
            fl.layers.Embedding(5, 3, mask_zero=True),
            fl.layers.GlobalAveragePooling1D(),
        ]
    )
    table = model.layers[0].get_weights()[0]
    y = model(np.array([[1, 2, 0, 0]], np.int32)).numpy()
    np.testing.assert_allclose(y[0], table[1:3].mean(0), atol=1e-6)


@pytest.mark.parametrize("kind", ["Max", "Average"])
@pytest.mark.parametrize(("dims", "size"), [(1, 4), (2, (3, 2)), (2, 5), (3, 2)])
def test_adaptive(kind: str, dims: int, size: Any) -> None:
    check_layer(*pair(f"Adaptive{kind}Pooling{dims}D", size), (2, *SIZES[dims], 3))


@pytest.mark.parametrize("kind", ["Max", "Average"])
def test_adaptive_channels_first(kind: str) -> None:
    options = {"data_format": "channels_first"}
    check_layer(*pair(f"Adaptive{kind}Pooling2D", 3, **options), (2, 3, 7, 8))


def test_aliases() -> None:
    for ours, theirs in (("MaxPool2D", "MaxPooling2D"), ("AvgPool1D", "AveragePooling1D")):
        assert getattr(fl.layers, ours) is getattr(fl.layers, theirs)
    assert fl.layers.GlobalAvgPool3D is fl.layers.GlobalAveragePooling3D
    assert fl.layers.GlobalMaxPool2D is fl.layers.GlobalMaxPooling2D


@pytest.mark.parametrize(
    "make",
    [
        lambda: fl.layers.MaxPooling2D(0),
        lambda: fl.layers.AveragePooling1D((2, 2)),
        lambda: fl.layers.MaxPooling3D(2, padding="full"),
        lambda: fl.layers.GlobalMaxPooling2D("NCHW"),
        lambda: fl.layers.AdaptiveMaxPooling2D((1, 2, 3)),
    ],
)
def test_wrong_arguments(make: Any) -> None:
    with pytest.raises(FanlightError) as caught:
        make()
    assert caught.value.code == "E-LAYER-004"


def test_wrong_inputs() -> None:
    for layer in (fl.layers.MaxPooling2D(name="p"), fl.layers.GlobalMaxPooling2D(name="p")):
        with pytest.raises(FanlightError) as caught:
            layer(numbers(8, 8, 3))
        assert caught.value.code == "E-LAYER-001"
        assert "p" in str(caught.value)

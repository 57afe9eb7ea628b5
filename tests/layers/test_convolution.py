"""Convolutions against Keras 3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.layers.keras_oracle import check_layer, keras

SIZES = {1: (9,), 2: (7, 8), 3: (5, 6, 5)}


def pair(name: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    return getattr(fl.layers, name)(*args, **options), getattr(keras.layers, name)(*args, **options)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"strides": 2, "padding": "same", "activation": "relu"},
        {"dilation_rate": 2, "use_bias": False},
        {"groups": 2, "padding": "same"},
        {"groups": 4, "activation": "tanh"},
    ],
    ids=str,
)
def test_conv(dims: int, options: dict[str, Any]) -> None:
    check_layer(*pair(f"Conv{dims}D", 8, 3, **options), (2, *SIZES[dims], 4), steps=not options)


def test_causal() -> None:
    check_layer(*pair("Conv1D", 4, 3, padding="causal", dilation_rate=2), (2, 9, 4))


def test_conv_sizes_per_dim() -> None:
    options = {"strides": (2, 1), "padding": "same", "kernel_regularizer": "l2"}
    check_layer(*pair("Conv2D", 5, (3, 2), **options), (2, 7, 8, 3))


@pytest.mark.parametrize(
    "name", ["Conv2DTranspose", "Conv1DTranspose", "SeparableConv2D", "DepthwiseConv2D"]
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_channels_first(name: str) -> None:
    args = (3,) if "Depth" in name else (4, 3)
    options = {"data_format": "channels_first", "padding": "same", "activation": "softmax"}
    dims = 1 if "1D" in name else 2
    shape = SIZES[dims]
    last = {**options, "data_format": "channels_last", "activation": None}
    # Keras on CPUs has few of these: moving the channels is the oracle.
    ours, theirs = (
        getattr(fl.layers, name)(*args, **last),
        getattr(keras.layers, name)(*args, **last),
    )
    expected = check_layer(ours, theirs, (2, *shape, 4)).numpy()
    first = getattr(fl.layers, name)(*args, **{**options, "activation": None})
    from tests.layers.keras_oracle import numbers

    x = np.moveaxis(numbers(2, *shape, 4), -1, 1)
    first(x)
    first.set_weights(ours.get_weights())
    np.testing.assert_allclose(np.moveaxis(first(x).numpy(), 1, -1), expected, atol=1e-6)
    with_softmax = getattr(fl.layers, name)(*args, **options)
    with_softmax(x)
    np.testing.assert_allclose(with_softmax(x).numpy().sum(-1), 1, atol=1e-5)


def test_conv_channels_first() -> None:
    options = {"data_format": "channels_first", "padding": "same", "groups": 2}
    check_layer(*pair("Conv2D", 6, 3, **options), (2, 4, 7, 8))


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"strides": 2},
        {"strides": 2, "padding": "same"},
        {"strides": 3, "padding": "same", "output_padding": 1},
        {"strides": 2, "output_padding": 1, "use_bias": False},
        {"dilation_rate": 2, "activation": "relu"},
    ],
    ids=str,
)
def test_conv_transpose(dims: int, options: dict[str, Any]) -> None:
    shape = {1: (5,), 2: (4, 3), 3: (3, 2, 3)}[dims]
    layers = pair(f"Conv{dims}DTranspose", 3, 3, **options)
    check_layer(*layers, (2, *shape, 4), steps=not options)


@pytest.mark.parametrize("kernel", [1, 2, 4, 5])
@pytest.mark.parametrize("strides", [1, 3])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_conv_transpose_kernels(kernel: int, strides: int, padding: str) -> None:
    check_layer(
        *pair("Conv1DTranspose", 2, kernel, strides=strides, padding=padding),
        (1, 4, 3),
        config=False,
    )


@pytest.mark.parametrize("name", ["DepthwiseConv1D", "DepthwiseConv2D"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"depth_multiplier": 2, "padding": "same", "activation": "relu"},
        {"strides": 2, "padding": "same"},
        {"dilation_rate": 2, "use_bias": False},
    ],
    ids=str,
)
def test_depthwise(name: str, options: dict[str, Any]) -> None:
    shape = (2, *SIZES[1 if "1D" in name else 2], 4)
    check_layer(*pair(name, 3, **options), shape, steps=not options)


@pytest.mark.parametrize("name", ["SeparableConv1D", "SeparableConv2D"])
@pytest.mark.parametrize(
    "options", [{}, {"depth_multiplier": 2, "padding": "same", "strides": 2}], ids=str
)
def test_separable(name: str, options: dict[str, Any]) -> None:
    shape = (2, *SIZES[1 if "1D" in name else 2], 4)
    check_layer(*pair(name, 5, 3, **options), shape, steps=not options)


def test_aliases() -> None:
    assert fl.layers.Convolution2D is fl.layers.Conv2D
    assert fl.layers.Convolution1DTranspose is fl.layers.Conv1DTranspose
    assert fl.layers.SeparableConvolution2D is fl.layers.SeparableConv2D


@pytest.mark.parametrize(
    "make",
    [
        lambda: fl.layers.Conv2D(0, 3),
        lambda: fl.layers.Conv2D(4, (3, 3, 3)),
        lambda: fl.layers.Conv2D(4, 3, strides=0),
        lambda: fl.layers.Conv2D(4, 3, padding="causal"),
        lambda: fl.layers.Conv2D(4, 3, data_format="NHWC"),
        lambda: fl.layers.Conv2D(4, 3, groups=3),
        lambda: fl.layers.Conv1DTranspose(4, 3, strides=2, output_padding=2),
        lambda: fl.layers.DepthwiseConv2D(3, depth_multiplier=0),
    ],
)
def test_wrong_arguments(make: Any) -> None:
    with pytest.raises(FanlightError) as caught:
        make()
    assert caught.value.code == "E-LAYER-004"


def test_wrong_inputs() -> None:
    layer = fl.layers.Conv2D(4, 3, name="first")
    with pytest.raises(FanlightError) as caught:
        layer(np.ones((8, 8, 3), np.float32))
    assert caught.value.code == "E-LAYER-001"
    layer(np.ones((1, 8, 8, 3), np.float32))
    with pytest.raises(FanlightError) as caught:
        layer(np.ones((1, 8, 8, 4), np.float32))
    assert caught.value.code == "E-LAYER-001"
    assert "first" in str(caught.value)
    with pytest.raises(FanlightError) as caught:
        layer(np.ones((1, 2, 2, 3), np.float32))
    assert "first" in str(caught.value)

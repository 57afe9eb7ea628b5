"""Layers that pad, crop, enlarge and resize against Keras 3."""

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


@pytest.mark.parametrize(
    ("dims", "amount"),
    [
        (1, 2),
        (1, (1, 3)),
        (2, 1),
        (2, (1, 2)),
        (2, ((0, 1), (2, 1))),
        (3, 1),
        (3, ((1, 0), (2, 1), (0, 0))),
    ],
)
@pytest.mark.parametrize("name", ["ZeroPadding", "Cropping"])
def test_borders(name: str, dims: int, amount: Any) -> None:
    check_layer(*pair(f"{name}{dims}D", amount), (2, *SIZES[dims], 3))


@pytest.mark.parametrize("name", ["ZeroPadding2D", "Cropping2D"])
def test_borders_channels_first(name: str) -> None:
    options = {"data_format": "channels_first"}
    check_layer(*pair(name, ((1, 2), (0, 1)), **options), (2, 3, 7, 8))


def test_borders_by_default() -> None:
    for dims in (1, 2, 3):
        for name in ("ZeroPadding", "Cropping"):
            check_layer(*pair(f"{name}{dims}D"), (2, *SIZES[dims], 3))


@pytest.mark.parametrize(("dims", "size"), [(1, 3), (2, 2), (2, (3, 1)), (3, 2), (3, (1, 2, 3))])
def test_upsampling(dims: int, size: Any) -> None:
    check_layer(*pair(f"UpSampling{dims}D", size), (2, *SIZES[dims], 3))


@pytest.mark.parametrize("how", ["bilinear", "bicubic", "lanczos3", "lanczos5"])
def test_upsampling_by(how: str) -> None:
    check_layer(*pair("UpSampling2D", (2, 3), interpolation=how), (2, 5, 4, 3))


def test_upsampling_channels_first() -> None:
    options = {"data_format": "channels_first"}
    check_layer(*pair("UpSampling2D", 2, **options), (2, 3, 5, 4))
    check_layer(*pair("UpSampling3D", 2, **options), (2, 3, 2, 3, 4))


def test_rescaling() -> None:
    check_layer(*pair("Rescaling", 1 / 255, offset=-1.0), (2, 4, 4, 3))
    check_layer(*pair("Rescaling", [1.0, 2.0, 0.5], offset=[0.0, 1.0, 2.0]), (2, 4, 4, 3))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"interpolation": "nearest"},
        {"interpolation": "bicubic"},
        {"antialias": True},
        {"interpolation": "lanczos3", "antialias": True},
        {"crop_to_aspect_ratio": True},
        {"pad_to_aspect_ratio": True, "fill_value": 0.5},
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [(4, 3), (9, 12)])
def test_resizing(options: dict[str, Any], size: Any) -> None:
    check_layer(*pair("Resizing", *size, **options), (2, 7, 8, 3))


def test_resizing_one_image() -> None:
    x = numbers(7, 8, 3)
    y = fl.layers.Resizing(4, 3)(x)
    np.testing.assert_allclose(y.numpy(), fl.layers.Resizing(4, 3)(x[None]).numpy()[0])


@pytest.mark.parametrize("size", [(4, 5), (9, 5), (7, 8), (12, 14)])
def test_center_crop(size: Any) -> None:
    check_layer(*pair("CenterCrop", *size), (2, 7, 8, 3))


@pytest.mark.parametrize(
    "make",
    [
        lambda: fl.layers.ZeroPadding2D(-1),
        lambda: fl.layers.ZeroPadding2D(((1, 2, 3), (1, 2))),
        lambda: fl.layers.Cropping1D("all"),
        lambda: fl.layers.UpSampling2D(0),
        lambda: fl.layers.UpSampling2D(2, interpolation="area"),
        lambda: fl.layers.Resizing(0, 3),
        lambda: fl.layers.Resizing(3, 3, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
        lambda: fl.layers.Rescaling("half"),
    ],
)
def test_wrong_arguments(make: Any) -> None:
    with pytest.raises(FanlightError) as caught:
        make()
    assert caught.value.code == "E-LAYER-004"


def test_nothing_left() -> None:
    with pytest.raises(FanlightError) as caught:
        fl.layers.Cropping1D(2, name="cut")(numbers(1, 4, 2))
    assert caught.value.code == "E-LAYER-001"
    assert "cut" in str(caught.value)

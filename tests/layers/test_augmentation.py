"""Augmentation: each change against NumPy and SciPy, its numbers, and the layers."""

from __future__ import annotations

import colorsys
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.data import augment, transforms
from fanlight.errors import FanlightError
from tests.conformance import compared
from tests.layers.keras_oracle import keras

ndimage = pytest.importorskip("scipy.ndimage")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

RNG = np.random.default_rng(0)
PHOTOS = (RNG.uniform(0, 255, (4, 10, 14, 3))).astype(np.float32)
KEY = fl.random.key(7)


def mapped(x: np.ndarray, matrix: Any, mode: str, order: int = 1, fill: float = 0.0) -> np.ndarray:
    """Pixel (x, y) of the result is that at matrix (x, y, 1), by SciPy."""
    rows, columns = np.mgrid[: x.shape[0], : x.shape[1]]
    at = np.stack([columns, rows, np.ones_like(rows)]).reshape(3, -1)
    across, down = np.asarray(matrix, np.float64) @ at
    modes = {"constant": "grid-constant", "reflect": "reflect", "nearest": "nearest"}
    made = [
        ndimage.map_coordinates(
            x[..., c].astype(np.float64), [down, across], order=order, mode=modes[mode], cval=fill
        )
        for c in range(x.shape[2])
    ]
    return np.stack(made, -1).reshape(x.shape)


# --- places ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["reflect", "nearest", "constant"])
def test_rotation(mode: str) -> None:
    angles = np.array([0.3, -1.2, 2.8, 0.0])
    found = transforms.rotate(PHOTOS, angles, mode, "bilinear", 9.0).numpy()
    cx, cy = 6.5, 4.5
    for photo, angle, y in zip(PHOTOS, angles, found, strict=True):
        c, s = np.cos(angle), np.sin(angle)
        matrix = [[c, -s, cx - c * cx + s * cy], [s, c, cy - s * cx - c * cy]]
        np.testing.assert_allclose(y, mapped(photo, matrix, mode, fill=9.0), atol=5e-3)
    np.testing.assert_array_equal(found[3], PHOTOS[3])
    square = PHOTOS[:, :, :10]
    quarter = transforms.rotate(square, np.pi / 2).numpy()
    np.testing.assert_allclose(quarter, np.rot90(square, 1, (1, 2)), atol=1e-3)


@pytest.mark.parametrize("mode", ["reflect", "nearest", "constant"])
def test_zoom_shear_and_translation(mode: str) -> None:
    sy, sx = np.array([0.5, 1.0, 1.7, 0.9]), np.array([0.5, 1.3, 1.0, 0.6])
    zoomed = transforms.zoom(PHOTOS, sy, sx, mode).numpy()
    sheared = transforms.shear(PHOTOS, sx - 0.8, sy - 1, mode).numpy()
    moved = transforms.translate(PHOTOS, 4 * sy - 2, 5 * sx - 3, mode).numpy()
    for i, photo in enumerate(PHOTOS):
        matrix = [[sx[i], 0, 6.5 * (1 - sx[i])], [0, sy[i], 4.5 * (1 - sy[i])]]
        np.testing.assert_allclose(zoomed[i], mapped(photo, matrix, mode), atol=5e-3)
        matrix = [[1, sx[i] - 0.8, 0], [sy[i] - 1, 1, 0]]
        np.testing.assert_allclose(sheared[i], mapped(photo, matrix, mode), atol=5e-3)
        matrix = [[1, 0, 3 - 5 * sx[i]], [0, 1, 2 - 4 * sy[i]]]
        np.testing.assert_allclose(moved[i], mapped(photo, matrix, mode), atol=5e-3)


def test_whole_pixels_wrap_and_nearest_pixels() -> None:
    moved = transforms.translate(PHOTOS, 3, -2, "wrap").numpy()
    np.testing.assert_allclose(moved, np.roll(PHOTOS, (3, -2), (1, 2)), atol=1e-3)
    moved = transforms.translate(PHOTOS, 3, -2, "constant", "nearest", 5.0).numpy()
    want = np.full_like(PHOTOS, 5)
    want[:, 3:, :-2] = PHOTOS[:, :-3, 2:]
    np.testing.assert_array_equal(moved, want)
    turned = transforms.rotate(PHOTOS, 0.4, "nearest", "nearest").numpy()
    assert np.isin(turned, PHOTOS).all()


def test_flips_and_crops() -> None:
    across, up = np.array([1, 0, 1, 0], bool), np.array([1, 1, 0, 0], bool)
    found = transforms.flip(PHOTOS, across, up).numpy()
    for i, photo in enumerate(PHOTOS):
        want = photo[:, ::-1] if across[i] else photo
        np.testing.assert_array_equal(found[i], want[::-1] if up[i] else want)
    top, left = np.array([0, 3, 5, 1]), np.array([7, 0, 2, 4])
    found = transforms.crop(PHOTOS, top, left, 5, 7).numpy()
    for i, photo in enumerate(PHOTOS):
        want = photo[top[i] : top[i] + 5, left[i] : left[i] + 7]
        np.testing.assert_array_equal(found[i], want)
    np.testing.assert_array_equal(transforms.flip(PHOTOS[0]).numpy(), PHOTOS[0, :, ::-1])


# --- colours --------------------------------------------------------------------------------------


def coloured(x: np.ndarray, change: Any) -> np.ndarray:
    """A change of hue and saturation of each pixel, by Python's colorsys."""
    made = np.empty_like(x, np.float64)
    for at in np.ndindex(x.shape[:2]):
        h, s, v = colorsys.rgb_to_hsv(*(x[at] / 255.0))
        h, s = change(h, s)
        made[at] = np.array(colorsys.hsv_to_rgb(h % 1.0, min(s, 1.0), v)) * 255
    return made


def test_colours() -> None:
    x = PHOTOS.copy()
    x[0, 0, :3] = [[0, 0, 0], [255, 255, 255], [7, 7, 7]]
    x[0, 1, :3] = [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    amount = np.array([0.3, -0.2, 0.0, 1.0])
    want = np.clip(x + amount[:, None, None, None] * 255, 0, 255)
    np.testing.assert_allclose(transforms.brightness(x, amount).numpy(), want, atol=1e-3)
    factor = np.array([0.0, 0.5, 1.0, 2.0])
    mean = x.mean((1, 2), keepdims=True, dtype=np.float64)
    want = np.clip((x - mean) * factor[:, None, None, None] + mean, 0, 255)
    np.testing.assert_allclose(transforms.contrast(x, factor).numpy(), want, atol=2e-3)
    found = transforms.saturation(x, factor).numpy()
    turned = transforms.hue(x, amount).numpy()
    for i in range(4):
        want = coloured(x[i], lambda h, s, i=i: (h, s * factor[i]))
        np.testing.assert_allclose(found[i], want, atol=2e-3)
        want = coloured(x[i], lambda h, s, i=i: (h + amount[i], s))
        np.testing.assert_allclose(turned[i], want, atol=3e-3)
    small = transforms.hue(x / 255, amount, (0, 1)).numpy()
    np.testing.assert_allclose(small * 255, turned, atol=3e-3)
    grey = transforms.grayscale(x, [True, False, True, False]).numpy()
    luma = x @ np.array([0.2989, 0.587, 0.114], np.float32)
    np.testing.assert_allclose(grey[0], np.repeat(luma[0][..., None], 3, -1), atol=1e-3)
    np.testing.assert_array_equal(grey[1], x[1])


def test_boxes_and_mixes() -> None:
    boxes = np.array([[0, 0, 3, 4], [2, 5, 9.5, 20], [5, 5, 5, 5], [-1, 2.5, 4, 6]], np.float32)
    order, weight = np.array([1, 0, 3, 2]), np.array([1.0, 0.25, 0.5, 0.0], np.float32)
    erased = transforms.erase(PHOTOS, boxes, [1.0, 2.0, 3.0]).numpy()
    pasted = transforms.paste(PHOTOS, order, boxes).numpy()
    row, column = np.mgrid[:10, :14]
    for i, (y0, x0, y1, x1) in enumerate(boxes):
        box = (row >= y0) & (row < y1) & (column >= x0) & (column < x1)
        np.testing.assert_array_equal(erased[i], np.where(box[..., None], [1, 2, 3], PHOTOS[i]))
        want = np.where(box[..., None], PHOTOS[order[i]], PHOTOS[i])
        np.testing.assert_array_equal(pasted[i], want)
    mixed = transforms.mix(PHOTOS, order, weight).numpy()
    w = weight[:, None, None, None]
    np.testing.assert_allclose(mixed, w * PHOTOS + (1 - w) * PHOTOS[order], rtol=1e-6)


def test_amounts_that_do_not_fit_are_refused() -> None:
    for call in (
        lambda: transforms.rotate(PHOTOS, [1.0, 2.0]),
        lambda: transforms.rotate(PHOTOS[0, 0], 1.0),
        lambda: transforms.hue(PHOTOS[..., :2], 0.1),
        lambda: transforms.crop(PHOTOS, 0, 0, 11, 3),
        lambda: transforms.erase(PHOTOS, [[0, 0, 1, 1]]),
        lambda: augment.random_flip(PHOTOS, "sideways", key=KEY),
        lambda: augment.random_rotation(PHOTOS, (1, 2, 3), key=KEY),
        lambda: augment.random_crop(PHOTOS, 20, 3, key=KEY),
        lambda: augment.random_resized_crop(PHOTOS, 4, 4, (0.0, 1.0), key=KEY),
        lambda: augment.random_resized_crop(PHOTOS, 4, 4, ratio=(2.0, 1.0), key=KEY),
        lambda: augment.random_resized_crop(PHOTOS, 0, 4, key=KEY),
        lambda: augment.mix_up(PHOTOS, np.zeros((3, 2)), key=KEY),
        lambda: augment.random_erasing(PHOTOS, fill_value=[1.0, 2.0], key=KEY),
    ):
        with pytest.raises(FanlightError) as caught:
            call()
        assert caught.value.code in ("E-OP-004", "E-OP-005"), caught.value


# --- at random ------------------------------------------------------------------------------------


def test_what_is_random_follows_its_key_and_differs_from_picture_to_picture() -> None:
    same = np.broadcast_to(PHOTOS[:1], (6, 10, 14, 3))
    drawn = [getattr(augment, n) for n in augment.__all__ if n.startswith("random_")]
    assert len(drawn) == 21
    for function in drawn:
        options: dict[str, Any] = {}
        if function in (augment.random_crop, augment.random_resized_crop):
            options = {"height": 4, "width": 5}
        if function is augment.random_shear:
            options = {"x_factor": 0.5}
        if function is augment.random_solarization:
            options = {"threshold": (0.2, 0.9)}
        first = function(same, key=KEY, **options).numpy()
        assert np.array_equal(first, function(same, key=KEY, **options).numpy())
        assert not np.array_equal(first, function(same, key=fl.random.key(8), **options).numpy())
        assert len(np.unique(first.reshape(6, -1), axis=0)) > 1, function.__name__
        one = function(same[0], key=KEY, **options)
        assert one.rank == 3


def test_numbers_of_what_is_random() -> None:
    """Frequencies and ranges over 4,000 pictures of a few pixels."""
    many, key = 4000, fl.random.key(3)
    x = np.zeros((many, 2, 2, 3), np.float32)
    x[:, 0, 0] = [200, 100, 50]
    y = augment.random_flip(x, "horizontal_and_vertical", key=key).numpy()[..., 0] > 0
    for i, j in np.ndindex(2, 2):
        assert abs(y[:, i, j].mean() - 0.25) < 0.035
    grey = augment.random_grayscale(x, 0.3, key=key).numpy()
    assert abs((grey[:, 0, 0, 0] != 200).mean() - 0.3) < 0.035
    level = np.full((many, 1, 1, 3), 100, np.float32)
    bright = augment.random_brightness(level, (-0.1, 0.3), key=key).numpy()[:, 0, 0, 0] - 100
    assert -25.5 <= bright.min() < -24 and 75 < bright.max() <= 76.5 + 1e-3
    assert abs(bright.mean() - 25.5) < 2
    top = augment.random_crop(np.tile(np.arange(4.0)[None, :, None, None], (many, 1, 2, 1)), 2, 1,
                              key=key).numpy()[:, 0, 0, 0]  # fmt: skip
    assert np.abs(np.bincount(top.astype(int)) / many - 1 / 3).max() < 0.035
    moved = augment.random_translation(
        np.tile(np.arange(20.0)[None, :, None, None], (many, 1, 3, 1)), (0.0, 0.25), 0.0, key=key
    ).numpy()
    shift = 10 - moved[:, 10, 1, 0]
    assert shift.min() >= -1e-4 and 4.9 < shift.max() <= 5.001 and abs(shift.mean() - 2.5) < 0.1
    white = np.ones((many, 8, 8, 1), np.float32)
    holes = (augment.random_erasing(white, 0.4, (0.25, 0.25), 0.0, key=key).numpy() == 0).sum(
        (1, 2, 3)
    )
    assert set(holes) == {0, 16} and abs((holes > 0).mean() - 0.4) < 0.035
    labels = np.eye(2, dtype=np.float32)[np.arange(many) % 2]
    _, mixed = augment.mix_up(white, labels, 0.5, key=key)
    weight = mixed.numpy()
    np.testing.assert_allclose(weight.sum(1), 1, atol=1e-5)
    # Half are mixed with their own class; the variance of beta(a, a) is 1 / (4 (2 a + 1)).
    assert abs(weight[:, 0].mean() - 0.5) < 0.03


def test_resized_crops_have_the_areas_proportions_and_places_that_were_asked_for() -> None:
    many, rows, columns = 1000, 30, 60
    down, across = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    places = np.broadcast_to(np.stack([down, across], -1), (many, rows, columns, 2))
    found = augment.random_resized_crop(places, 8, 16, (0.2, 0.6), (0.8, 2.5), key=KEY).numpy()
    assert found.shape == (many, 8, 16, 2)
    # Away from the border the numbers are places, and pixels are evenly spaced.
    tall = 8 * (found[:, 5, 8, 0] - found[:, 3, 8, 0]) / 2
    wide = 16 * (found[:, 4, 9, 1] - found[:, 4, 7, 1]) / 2
    whole = tall >= rows - 1e-3  # as tall as the picture: less than the drawn area
    area, ratio = tall * wide / (rows * columns), wide / tall
    assert 0.2 - 1e-4 < area.min() < 0.21 and 0.59 < area[~whole].max() < 0.6 + 1e-4
    assert abs(area[~whole].mean() - 0.4) < 0.02 and 0 < whole.mean() < 0.15
    assert 0.8 - 1e-4 < ratio[~whole].min() < 0.82 and 2.4 < ratio.max() < 2.5 + 1e-4
    assert abs(np.log(ratio).mean() - np.log(0.8 * 2.5) / 2) < 0.05
    # The middle of a part lies anywhere where the part is inside.
    middle = (found[:, 4, 7, 1] + found[:, 4, 8, 1]) / 2 + 0.5
    free = (middle - wide / 2) / (columns - wide)
    assert -1e-3 < free.min() < 0.02 and 0.98 < free.max() < 1 + 1e-3
    assert abs(free.mean() - 0.5) < 0.03
    same = augment.random_resized_crop(PHOTOS, 10, 14, (1.0, 1.0), (1.4, 1.4), key=KEY)
    np.testing.assert_allclose(same.numpy(), PHOTOS, atol=1e-3)


def test_cut_mix_mixes_labels_by_the_area() -> None:
    x = np.arange(8, dtype=np.float32)[:, None, None, None] * np.ones((8, 40, 40, 1), np.float32)
    mixed, labels = augment.cut_mix(x, np.eye(8), key=KEY)
    shares = np.stack([(mixed.numpy() == c).mean((1, 2, 3)) for c in range(8)], 1)
    assert np.abs(shares - labels.numpy()).max() < 0.06
    # Small parameters of the beta distribution are all or nothing, and no NaN.
    _, labels = augment.cut_mix(x, np.eye(8), 1e-4, key=KEY)
    assert np.isfinite(labels.numpy()).all()
    drawn = augment._beta(2.0, 20_000, KEY).numpy()
    assert abs(drawn.mean() - 0.5) < 0.01 and abs(drawn.var() - 1 / 20) < 0.003


def test_gradients_pass() -> None:
    x = fl.tensor(PHOTOS[:2] / 255)
    weight = RNG.normal(size=(2, 10, 14, 3)).astype(np.float32)

    def total(images: Any) -> Any:
        y = transforms.contrast(transforms.rotate(images, 0.3), 0.8, (-9, 9))
        return fl.sum(transforms.brightness(y, 0.1, (-9, 9)) * weight)

    grad = fl.grad(total)(x).numpy()
    step = RNG.normal(size=x.shape).astype(np.float32)
    ahead, behind = (total(x.numpy() + e * step).item() for e in (1e-2, -1e-2))
    assert abs((ahead - behind) / 2e-2 - (grad * step).sum()) < 0.05


def test_augmentation_is_traced_and_built(tmp_path: Path) -> None:
    def changed(image: Any, key: Any) -> Any:
        a, b, c, d = (fl.random.split(key, 4)[i] for i in range(4))
        y = augment.random_flip(image, key=a)
        y = augment.random_rotation(y, 0.2, key=b)
        y = augment.random_hue(y, (0.0, 0.5), key=c)
        return augment.random_erasing(y, fill_value=0.0, key=d)

    inputs = {"image": fl.spec((2, 10, 14, 3)), "key": fl.spec((2,), "int32")}
    want = changed(PHOTOS[:2], KEY).numpy()
    bundle = fl.build(changed, tmp_path / "out", inputs=inputs)
    (found,) = bundle.run({"image": PHOTOS[:2], "key": KEY.numpy()}).values()
    np.testing.assert_allclose(found, want, atol=0.05)


# --- layers ---------------------------------------------------------------------------------------

LAYERS: dict[str, dict[str, Any]] = {
    "RandomFlip": {"mode": "horizontal"},
    "RandomRotation": {"factor": (-0.1, 0.2), "fill_mode": "wrap", "fill_value": 1.0},
    "RandomTranslation": {"height_factor": 0.2, "width_factor": (-0.1, 0.3)},
    "RandomZoom": {"height_factor": (-0.3, 0.2), "width_factor": None, "fill_mode": "nearest"},
    "RandomShear": {"x_factor": 0.3, "y_factor": (0.1, 0.2), "interpolation": "nearest"},
    "RandomCrop": {"height": 6, "width": 7},
    "RandomBrightness": {"factor": 0.3, "value_range": (0, 1)},
    "RandomContrast": {"factor": (0.5, 0.4), "value_range": (0, 1)},
    "RandomSaturation": {"factor": (0.2, 0.9)},
    "RandomHue": {"factor": 0.4, "value_range": (0, 1)},
    "RandomGrayscale": {"factor": 0.7},
    "RandomErasing": {"factor": (0.2, 0.8), "scale": (0.1, 0.2), "fill_value": 3.0},
    "MixUp": {"alpha": 0.4},
    "CutMix": {"factor": (0.1, 0.9)},
    "RandomWidth": {"factor": 0.3},
    "RandomHeight": {"factor": (-0.2, 0.5)},
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_change_pictures_in_training_only(name: str) -> None:
    layer = getattr(fl.layers, name)(**LAYERS[name])
    x = PHOTOS / 255 if LAYERS[name].get("value_range") == (0, 1) else PHOTOS
    still = layer(x, training=False).numpy()
    if name == "RandomCrop":
        assert still.shape == (4, 6, 7, 3)
    else:
        np.testing.assert_array_equal(still, x)
        assert layer.compute_output_shape((None, 10, 14, 3)) == (None, 10, 14, 3)
    fl.set_random_seed(3)
    first, second = layer(x, training=True).numpy(), layer(x, training=True).numpy()
    fl.set_random_seed(3)
    assert np.array_equal(layer(x, training=True).numpy(), first)
    fl.set_random_seed(None)
    assert not np.array_equal(first, second) and np.isfinite(first).all()
    made = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
    assert made.get_config() == layer.get_config() and set(LAYERS[name]) <= set(layer.get_config())
    if name in ("MixUp", "CutMix"):
        return
    assert layer(x[0], training=True).shape == first.shape[1:]
    held = layer({"images": x, "labels": [1, 2, 3, 4]}, training=True)
    assert held["images"].shape == first.shape and "labels" in held


@pytest.mark.parametrize("name", [n for n in LAYERS if n not in ("RandomBrightness",)])
def test_channels_first(name: str) -> None:
    if name in ("RandomWidth", "RandomHeight"):
        return
    options = {**LAYERS[name], "seed": 5}
    last, first = (
        getattr(fl.layers, name)(**options, data_format=f"channels_{side}")
        for side in ("last", "first")
    )
    x = PHOTOS / 255
    results = []
    for layer, given in ((last, x), (first, x.transpose(0, 3, 1, 2))):
        fl.set_random_seed(0)
        results.append(layer(given, training=True).numpy())
    fl.set_random_seed(None)
    np.testing.assert_array_equal(results[0], results[1].transpose(0, 2, 3, 1))


def test_crops_of_testing_and_of_small_pictures() -> None:
    crop = fl.layers.RandomCrop(4, 4)
    same = fl.layers.RandomCrop(10, 14)
    np.testing.assert_array_equal(same(PHOTOS, training=True).numpy(), PHOTOS)
    np.testing.assert_array_equal(same(PHOTOS, training=False).numpy(), PHOTOS)
    middle = fl.image.resize_bilinear(PHOTOS[:, :, 2:12], (4, 4), half_pixel_centers=True)
    np.testing.assert_array_equal(crop(PHOTOS, training=False).numpy(), middle.numpy())
    large = fl.layers.RandomCrop(20, 28)
    assert large(PHOTOS, training=True).shape == (4, 20, 28, 3)
    found = crop(PHOTOS, training=True).numpy()
    windows = np.lib.stride_tricks.sliding_window_view(PHOTOS, (4, 4), (1, 2))
    for i in range(4):
        inside = (windows[i].transpose(0, 1, 3, 4, 2) == found[i]).all((2, 3, 4))
        assert inside.sum() == 1


@pytest.mark.parametrize(("name", "axis"), [("RandomHeight", 1), ("RandomWidth", 2)])
def test_pictures_are_stretched_about_their_middle(name: str, axis: int) -> None:
    """Of pictures of places the slope tells how much of them is seen: 1 / (1 + factor)."""
    many, size = 1500, 21
    places = np.arange(size, dtype=np.float32).reshape((-1, 1, 1) if axis == 1 else (1, -1, 1))
    layer = getattr(fl.layers, name)(factor=(-0.2, 0.5), seed=4)
    x = np.broadcast_to(places, (many, size, size, 1)).astype(np.float32)
    y = layer(x, training=True).numpy().swapaxes(1, axis)[:, :, 10, 0]
    np.testing.assert_allclose(y[:, 10], 10, atol=1e-4)
    factor = 1 / (y[:, 12] - y[:, 11]) - 1
    assert -0.2 - 1e-3 < factor.min() < -0.19 and 0.49 < factor.max() < 0.5 + 1e-3
    assert abs(factor.mean() - 0.15) < 0.02
    far = np.clip(10 + 9 / (1 + factor), 0, size - 1)
    np.testing.assert_allclose(y[:, 19], far, atol=1e-3)  # and its border goes on
    slope = fl.grad(lambda t: fl.sum(layer(t, training=True)))(fl.tensor(x[:2])).numpy()
    assert abs(slope.sum() - x[:2].size) < 1e-2  # each pixel is a mean of others
    compared("layers", name, "defined", "gradients")


def test_labels_are_mixed_with_their_pictures() -> None:
    x = np.eye(4, dtype=np.float32)[:, None, None] * np.ones((4, 30, 30, 4), np.float32)
    for layer in (fl.layers.MixUp(0.8, seed=3), fl.layers.CutMix((0.9, 1.0), seed=3)):
        held = layer({"images": x, "labels": np.eye(4)}, training=True)
        shares = held["images"].numpy().mean((1, 2))
        assert np.abs(shares - held["labels"].numpy()).max() < 0.07
        plain = layer({"images": x, "labels": np.eye(4)}, training=False)
        np.testing.assert_array_equal(np.asarray(plain["labels"]), np.eye(4))
        assert not np.array_equal(layer(x, training=True).numpy(), x)


def test_arguments_are_checked() -> None:
    layers = fl.layers
    for make in (
        lambda: layers.RandomFlip("diagonal"),
        lambda: layers.RandomRotation("much"),
        lambda: layers.RandomRotation(1.5),
        lambda: layers.RandomRotation((0.1, 0.2, 0.3)),
        lambda: layers.RandomRotation(0.1, fill_mode="mirror"),
        lambda: layers.RandomRotation(0.1, interpolation="cubic"),
        lambda: layers.RandomRotation(0.1, seed=1.5),
        lambda: layers.RandomRotation(0.1, data_format="NHWC"),
        lambda: layers.RandomRotation(0.1, fill_value="black"),
        lambda: layers.RandomZoom(-1.0),
        lambda: layers.RandomWidth(-1.0),
        lambda: layers.RandomCrop(0, 3),
        lambda: layers.RandomContrast(-0.5 - 1),
        lambda: layers.RandomBrightness(0.1, value_range=(1, 0)),
        lambda: layers.RandomGrayscale(2),
        lambda: layers.RandomErasing(fill_value="noise"),
        lambda: layers.MixUp(0),
        lambda: layers.CutMix(-2),
    ):
        with pytest.raises(FanlightError) as caught:
            make()
        assert caught.value.code == "E-LAYER-004"
    with pytest.raises(FanlightError, match="E-LAYER-001"):
        layers.RandomFlip()(np.zeros((3, 3)))
    with pytest.raises(FanlightError, match="E-LAYER-001"):
        layers.RandomFlip()({"pictures": np.zeros((3, 3))})


def test_a_model_with_augmentation_trains_and_is_built(tmp_path: Path) -> None:
    fl.set_random_seed(0)
    model = fl.Sequential(
        [
            fl.Input((10, 14, 3)),
            fl.layers.RandomFlip("horizontal"),
            fl.layers.RandomRotation(0.05),
            fl.layers.RandomZoom(0.1),
            fl.layers.RandomCrop(8, 8),
            fl.layers.RandomContrast(0.2, value_range=(0, 1)),
            fl.layers.Flatten(),
            fl.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    x, y = PHOTOS / 255, np.array([0.0, 1.0, 0.0, 1.0], np.float32)
    losses = model.fit(x, y, epochs=8, verbose=0).history["loss"]
    assert model._steps is not None and model._steps.compiled, model._steps.why
    assert losses[-1] < losses[0]
    assert len({round(v, 7) for v in losses}) == 8
    bundle = fl.build(model, tmp_path / "out")
    (found,) = bundle.run({next(iter(model.batched)): x[:1]}).values()
    np.testing.assert_allclose(found, model.predict(x[:1]), atol=1e-4)
    fl.set_random_seed(None)


def test_the_same_seed_is_the_same_run_compiled_or_not() -> None:
    def losses(eagerly: bool) -> list[float]:
        fl.set_random_seed(2)
        model = fl.Sequential(
            [
                fl.Input((10, 14, 3)),
                fl.layers.RandomFlip(seed=11),
                fl.layers.RandomRotation(0.2, seed=11),
                fl.layers.RandomShear(0.3),
                fl.layers.RandomSaturation((0.2, 0.8), value_range=(0, 1), seed=11),
                fl.layers.RandomErasing(value_range=(0, 1), seed=11),
                fl.layers.MixUp(0.5),
                fl.layers.CutMix(0.5),
                fl.layers.Flatten(),
                fl.layers.Dense(1),
            ]
        )
        model.compile("sgd", "mse", run_eagerly=eagerly)
        y = np.array([0.0, 1.0, 0.0, 1.0], np.float32)
        history = model.fit(PHOTOS / 255, y, batch_size=2, epochs=3, verbose=0)
        fl.set_random_seed(None)
        return [float(v) for v in history.history["loss"]]

    compiled = losses(False)
    assert losses(False) == compiled
    np.testing.assert_allclose(losses(True), compiled, rtol=1e-4)


def test_called_by_itself_it_changes_pictures_as_in_keras() -> None:
    x = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3)).astype(np.float32)
    ours = fl.layers.RandomFlip("horizontal_and_vertical", seed=1)
    theirs = keras.layers.RandomFlip("horizontal_and_vertical", seed=1)
    for layer in (ours, theirs):
        assert not np.array_equal(np.asarray(layer(x)), x)
        assert np.array_equal(np.asarray(layer(x, training=False)), x)
    model = fl.Sequential([fl.Input((8, 8, 3)), ours])
    assert np.array_equal(model.predict(x, verbose=0), x)
    assert np.array_equal(model(x).numpy(), x)  # a model says that it does not train
    mapped = fl.data.from_arrays(x).batch(4).map(ours)
    assert not np.array_equal(np.asarray(mapped.first()), x)

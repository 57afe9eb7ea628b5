"""Colours, histograms, sharpness, warps and policies of augmentation against Keras."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest

import fanlight as fl
from fanlight.data import augment, tones, transforms, warps
from fanlight.errors import FanlightError
from fanlight.layers.warping import random
from tests.conformance import compared
from tests.layers.keras_oracle import jax, keras

RNG = np.random.default_rng(5)
PHOTOS = RNG.uniform(0, 255, (4, 16, 20, 3)).astype(np.float32)
WHOLE = RNG.integers(0, 256, (3, 16, 20, 3)).astype(np.float32)
LAYERS: dict[str, dict[str, Any]] = {
    "AugMix": {"value_range": (0, 1), "num_chains": 2, "chain_depth": 2, "alpha": 0.7},
    "AutoContrast": {"value_range": (0, 1)},
    "ContrastLimitedAdaptiveHistogramEqualization": {"clip_limit": 2.0, "tile_grid_size": (2, 4)},
    "Equalization": {"value_range": (0, 1), "bins": 64},
    "RandAugment": {"num_ops": 3, "factor": 0.7, "interpolation": "nearest"},
    "RandomColorDegeneration": {"factor": (0.2, 0.9)},
    "RandomColorJitter": {
        "value_range": (0, 1),
        "brightness_factor": 0.3,
        "contrast_factor": (0.5, 0.4),
        "saturation_factor": (0.2, 0.9),
        "hue_factor": 0.4,
    },
    "RandomElasticTransform": {"factor": 0.9, "scale": (0.4, 0.8), "fill_mode": "mirror"},
    "RandomGaussianBlur": {"factor": (0.5, 1.0), "kernel_size": (3, 5), "sigma": (0.4, 0.9)},
    "RandomInvert": {"factor": 0.7, "value_range": (0, 1)},
    "RandomPerspective": {"factor": (0.7, 1.0), "scale": 0.4, "fill_value": 3.0},
    "RandomPosterization": {"factor": (2, 6)},
    "RandomSharpness": {"factor": (0.1, 0.9), "value_range": (0, 1)},
    "Solarization": {"addition_factor": (0.1, 0.3), "threshold_factor": 0.6},
}
TWO_CHAINS = {"num_chains": 2, "chain_depth": 2}
ALWAYS = ("AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization")


def keras_of(layer: Any, change: Any, x: np.ndarray = PHOTOS) -> np.ndarray:
    """What Keras's layer makes of pictures by given amounts."""
    return np.asarray(layer.transform_images(keras.ops.convert_to_tensor(x), change, True))


def close(found: Any, want: Any, tolerance: float = 1e-5) -> None:
    """As near as a share of 255, or of 1."""
    want = np.asarray(want)
    scale = max(1.0, float(np.abs(want).max()))
    np.testing.assert_allclose(found.numpy(), want, rtol=0, atol=tolerance * scale)


def same(
    name: str, ours: Any, theirs: Any, x: np.ndarray = PHOTOS, tolerance: float = 1e-5
) -> None:
    """Both make the same of pictures, with the same gradient."""
    wanted, pull = jax.vjp(theirs, keras.ops.convert_to_tensor(x))
    close(ours(fl.tensor(x)), wanted, tolerance)
    probe = np.random.default_rng(1).normal(size=wanted.shape).astype(np.float32)
    slope = fl.grad(lambda v: fl.sum(ours(v) * probe))(fl.tensor(x))
    close(slope, pull(keras.ops.convert_to_tensor(probe))[0], tolerance)
    compared("layers", name, "outputs", "gradients")


# --- given amounts --------------------------------------------------------------------------------


@pytest.mark.parametrize("value_range", [(0, 255), (0, 1), (-1, 1)])
def test_values_are_keras_s(value_range: tuple[float, float]) -> None:
    low, high = value_range
    x = PHOTOS / 255 * (high - low) + low
    layers, share = keras.layers, np.array([0.3, 0.0, 1.0, 0.7], np.float32)
    column = share[:, None, None, None]

    def beside(name: str, ours: Any, change: Any, *options: Any, tolerance: float = 1e-5) -> None:
        layer = getattr(layers, name)(*options, value_range)
        same(name, ours, lambda v: layer.transform_images(v, change, True), x, tolerance)

    beside(
        "RandomColorDegeneration",
        lambda v: tones.degenerate_colors(v, share, value_range),
        {"factor": column},
        1.0,
    )
    beside(
        "RandomSharpness",
        lambda v: tones.sharpen(v, 2 * share, value_range),
        {"factor": share},
        1.0,
    )
    beside(
        "Solarization",
        lambda v: tones.solarize(v, share * 255, 40.0, value_range),
        {"thresholds": column * 255, "additions": np.float32(40)},
        *(1.0, 1.0),
        tolerance=2e-5,
    )
    beside("AutoContrast", lambda v: tones.auto_contrast(v, value_range), None)
    which = np.array([True, False, True, False])
    ours = tones.invert(x, which, value_range).numpy()
    np.testing.assert_allclose(ours[which], low + high - x[which], atol=1e-5)
    np.testing.assert_array_equal(ours[~which], x[~which])
    if low == 0:  # Keras takes high - x, which is the same then
        change = {"apply_inversion": which}
        beside("RandomInvert", lambda v: tones.invert(v, which, value_range), change, 1.0)


def test_posterization_is_keras_s() -> None:
    bits = np.array([1, 3, 8], np.uint8)
    layer = keras.layers.RandomPosterization(8)
    want = keras_of(layer, {"shift_factor": 8 - bits}, WHOLE)
    np.testing.assert_array_equal(tones.posterize(WHOLE, bits).numpy(), want)
    compared("layers", "RandomPosterization", "outputs")
    small = tones.posterize(WHOLE / 255, bits, (0, 1)).numpy()
    # A value that a range brings just below a whole number loses it, in Keras as well.
    near = np.abs(small * 255 - want) < 1e-3
    assert near.mean() > 0.9 and np.abs(small * 255 - want).max() <= 128 + 1e-3


@pytest.mark.parametrize("kernel_size", [3, (5, 3), 7])
def test_blur_is_keras_s(kernel_size: Any) -> None:
    sigma = np.array([0.7, 1.3], np.float32)
    size = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    last = {"data_format": "channels_last"}
    want = keras.ops.image.gaussian_blur(PHOTOS, size, sigma, **last)
    close(tones.gaussian_blur(PHOTOS, kernel_size, sigma), want)
    close(tones.gaussian_blur(PHOTOS[0], kernel_size, sigma), np.asarray(want)[0])
    layer = keras.layers.RandomGaussianBlur(1.0, size, 1.0)
    change = {"blur_factor": sigma, "should_apply_blur": np.ones(4, bool)}
    same(
        "RandomGaussianBlur",
        lambda v: tones.gaussian_blur(v, kernel_size, sigma),
        lambda v: layer.transform_images(v, change, True),
    )
    near = tones.gaussian_blur(PHOTOS, 9, 1.3, reach=1)
    close(near, keras.ops.image.gaussian_blur(PHOTOS, (3, 3), (1.3, 1.3), **last))


def test_equalization_is_keras_s_and_spreads_values() -> None:
    for bins in (256, 16):
        layer = keras.layers.Equalization((0, 255), bins)
        found = tones.equalize(WHOLE, bins).numpy()
        np.testing.assert_allclose(found, keras_of(layer, None, WHOLE), atol=1e-3)
        compared("layers", "Equalization", "outputs")
    dark = WHOLE[:1] / 8 + 60
    spread = tones.equalize(dark).numpy()
    assert spread.min() == 0 and spread.max() == 255 and spread.std() > 5 * dark.std()
    flat = np.full((1, 4, 4, 3), 7, np.float32)
    np.testing.assert_array_equal(tones.equalize(flat).numpy(), flat)
    one = tones.equalize(WHOLE[0] / 255, value_range=(0, 1)).numpy()
    assert one.shape == WHOLE.shape[1:] and 0 <= one.min() and one.max() <= 1


@pytest.mark.parametrize(
    ("tiles", "clip_limit"), [((2, 2), 0.0), ((2, 2), 2.0), ((3, 7), 2.0), ((33, 50), 2.0)]
)
def test_limited_equalization_is_keras_s(tiles: tuple[int, int], clip_limit: float) -> None:
    kind = keras.layers.ContrastLimitedAdaptiveHistogramEqualization
    layer = kind((0, 255), clip_limit, tiles)
    close(tones.limited_equalize(WHOLE, clip_limit, tiles), keras_of(layer, None, WHOLE))
    compared("layers", kind.__name__, "outputs")


def test_perspective_is_keras_s() -> None:
    last = np.array([[0, 0], [19, 0], [0, 15], [19, 15]], np.float32)
    corners = last + RNG.uniform(-4, 4, (4, 4, 2)).astype(np.float32)
    starts = np.repeat(last[None], 4, 0)
    for interpolation in ("bilinear", "nearest"):
        want = keras.ops.image.perspective_transform(
            PHOTOS, starts, corners, interpolation=interpolation, fill_value=9.0
        )
        found = warps.perspective(PHOTOS, corners, interpolation, 9.0).numpy()
        differs = np.abs(found - np.asarray(want)) > 0.05
        assert differs.mean() < (0.002 if interpolation == "nearest" else 1e-9)
    still = warps.perspective(PHOTOS, last).numpy()
    np.testing.assert_allclose(still, PHOTOS, atol=1e-3)
    layer = keras.layers.RandomPerspective(1.0, fill_value=9.0)
    change = {
        "start_points": starts,
        "end_points": corners,
        "apply_perspective": np.ones(4, bool),
        "input_shape": PHOTOS.shape,
    }
    same(
        "RandomPerspective",
        lambda v: warps.perspective(v, corners, "bilinear", 9.0),
        lambda v: layer.transform_images(v, change, True),
        tolerance=1e-4,  # where a pixel comes from is a ratio of sums of squares
    )


@pytest.mark.parametrize("fill_mode", ["reflect", "mirror", "wrap", "nearest", "constant"])
def test_displacement_is_that_of_keras_s_coordinates(fill_mode: str) -> None:
    down, right = (RNG.uniform(-20, 20, (4, 16, 20)).astype(np.float32) for _ in range(2))
    rows, columns = np.mgrid[:16, :20].astype(np.float32)
    found = warps.displace(PHOTOS, down, right, fill_mode, fill_value=5.0).numpy()
    for i in range(4):
        at = np.stack([rows + down[i], columns + right[i]])
        for c in range(3):
            want = keras.ops.image.map_coordinates(
                PHOTOS[i, ..., c], at, 1, fill_mode=fill_mode, fill_value=5.0
            )
            np.testing.assert_allclose(found[i, ..., c], np.asarray(want), atol=0.02)


def test_rubber_is_keras_s() -> None:
    """Given the noise: Keras takes the same for both directions."""
    noise = RNG.normal(size=(4, 16, 20)).astype(np.float32)
    layer = keras.layers.RandomElasticTransform(1.0, 0.8)
    change = {
        "apply_transform": np.ones(4, bool),
        "distortion_factor": np.float32(0.8),
        "seed": 1,
    }
    given = fl.tensor(noise[..., None])
    with (
        mock.patch.object(augment.random, "standard_normal", lambda *a, **k: given),
        mock.patch.object(jax.random, "normal", lambda *a, **k: jax.numpy.asarray(noise)),
    ):
        same(
            "RandomElasticTransform",
            lambda v: augment.random_elastic_transform(
                v, (1.0, 1.0), (0.8, 0.8), key=fl.random.key(1)
            ),
            lambda v: layer.transform_images(v, change, True),
            tolerance=1e-4,  # 0.02 of a value that is 255: see the displacement
        )


def test_jitter_is_keras_s() -> None:
    """Given the amounts: one after the other, in Keras's order."""
    options = dict.fromkeys(("brightness_factor", "contrast_factor", "hue_factor"), 0.5)
    ours, theirs = (m.layers.RandomColorJitter((0, 255), saturation_factor=0.5, **options)
                    for m in (fl, keras))  # fmt: skip
    share = np.array([0.2, 0.45, 0.6, 0.1], np.float32)
    column = share[:, None, None, None]
    drawn = {
        "random_brightness": {"rgb_delta": 51 * column},
        "random_contrast": {"contrast_factor": 0.5 + column},
        "random_saturation": {"factor": share},
        "random_hue": {"factor": share},
    }
    for name, amounts in drawn.items():
        getattr(theirs, name).get_random_transformation = lambda *a, amounts=amounts, **k: amounts
    changes = (
        lambda v, key: transforms.brightness(v, share / 5),
        lambda v, key: transforms.contrast(v, 0.5 + share),
        lambda v, key: transforms.saturation(v, share),
        lambda v, key: transforms.hue(v, share),
    )
    for layer, change in zip(ours.changes, changes, strict=True):
        layer.augmented = change
    same(
        "RandomColorJitter",
        lambda v: ours.augmented(v, fl.random.key(1)),
        lambda v: theirs.transform_images(v, None, True),
    )


@pytest.mark.parametrize("name", ["RandAugment", "AugMix"])
def test_changes_that_are_drawn_are_composed_as_keras_composes_them(name: str) -> None:
    """Given which of three changes come, their amounts, and the shares of a mixture."""
    share = np.array([0.2, 0.45, 0.6, 0.1], np.float32)
    column = share[:, None, None, None]
    given = {
        "random_brightness": {"rgb_delta": 51 * column},
        "random_color_degeneration": {"factor": column},
        "auto_contrast": None,
    }
    changes = (
        lambda v, key: transforms.brightness(v, share / 5),
        lambda v, key: tones.degenerate_colors(v, share),
        lambda v, key: tones.auto_contrast(v),
    )
    ours = getattr(fl.layers, name)(**({"num_ops": 3} if name == "RandAugment" else TWO_CHAINS))
    ours.changes = [SimpleNamespace(augmented=c) for c in changes]
    names, amounts = list(given), list(given.values())
    if name == "RandAugment":
        which, change = [2, 0, 1], {"layer_idxes": np.array([2, 0, 1]), "transforms": given}
        theirs = keras.layers.RandAugment(num_ops=3)
    else:
        which = [2, 0, 1, 3]  # the last is none
        steps = [{"layer_name": names[i], "transformation": amounts[i]} for i in which[:3]]
        change = {
            "chain_mixing_weights": np.array([0.25, 0.75], np.float32),
            "weight_sample": np.float32(0.4),
            "chain_transforms": [steps[:2], steps[2:]],
        }
        theirs = keras.layers.AugMix(**TWO_CHAINS)

    def of_ours(v: Any) -> Any:
        drawn = iter(([0.5, 1.5], 0.8, 1.2))  # of gamma distributions: their shares of the sum
        with (
            mock.patch.object(random, "uniform_int", lambda *a, **k: fl.tensor(np.int32(which))),
            mock.patch.object(random, "gamma", lambda *a, **k: fl.tensor(np.float32(next(drawn)))),
        ):
            return ours.augmented(v, fl.random.key(1))

    same(name, of_ours, lambda v: theirs.transform_images(v, change, True))


def test_amounts_that_do_not_fit_are_refused() -> None:
    for call in (
        lambda: tones.degenerate_colors(PHOTOS[..., :2], 0.5),
        lambda: tones.gaussian_blur(PHOTOS, 4),
        lambda: tones.gaussian_blur(PHOTOS, (3, 3, 3)),
        lambda: tones.equalize(PHOTOS, 1),
        lambda: tones.posterize(PHOTOS, [1, 2]),
        lambda: warps.perspective(PHOTOS, np.zeros((3, 4, 2))),
        lambda: warps.displace(PHOTOS, np.zeros((3, 3)), np.zeros((3, 3))),
        lambda: warps.displace(PHOTOS, np.zeros((16, 20)), np.zeros((16, 20)), "black"),
        lambda: augment.random_posterization(PHOTOS, (0, 9), key=fl.random.key(1)),
    ):
        with pytest.raises(FanlightError) as caught:
            call()
        assert caught.value.code in ("E-OP-004", "E-OP-005"), caught.value


# --- layers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYERS)
def test_layers_change_pictures_in_training_and_follow_seeds(name: str) -> None:
    layer = getattr(fl.layers, name)(**LAYERS[name])
    x = PHOTOS / 255 if LAYERS[name].get("value_range") == (0, 1) else PHOTOS
    still = layer(x, training=False).numpy()
    assert layer.compute_output_shape((None, 16, 20, 3)) == (None, 16, 20, 3)
    made = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
    assert made.get_config() == layer.get_config() and set(LAYERS[name]) <= set(layer.get_config())
    fl.set_random_seed(3)
    drawn = [layer(x, training=True).numpy() for _ in range(6)]
    fl.set_random_seed(3)
    again = layer(x, training=True).numpy()
    fl.set_random_seed(None)
    np.testing.assert_array_equal(again, drawn[0])
    assert all(np.isfinite(d).all() for d in drawn)
    top = 1 if LAYERS[name].get("value_range") == (0, 1) else 255
    assert min(d.min() for d in drawn) > -1e-3 and max(d.max() for d in drawn) < top + 1e-3
    held = layer({"images": x, "labels": [1, 2, 3, 4]}, training=True)
    assert held["images"].shape == x.shape and held["labels"].numpy().tolist() == [1, 2, 3, 4]
    assert layer(x[0], training=True).shape == x.shape[1:]
    if name in ALWAYS:
        np.testing.assert_array_equal(still, drawn[0])
        assert not np.allclose(still, x)
        return
    np.testing.assert_array_equal(still, x)
    assert any(not np.array_equal(d, x) for d in drawn)
    if name != "Equalization":
        assert any(not np.array_equal(drawn[0], d) for d in drawn[1:])


@pytest.mark.parametrize("name", LAYERS)
def test_channels_first(name: str) -> None:
    results = []
    for side in ("last", "first"):
        layer = getattr(fl.layers, name)(**LAYERS[name], data_format=f"channels_{side}")
        given = PHOTOS / 255 if side == "last" else (PHOTOS / 255).transpose(0, 3, 1, 2)
        fl.set_random_seed(0)
        results.append(layer(given, training=True).numpy())
    fl.set_random_seed(None)
    np.testing.assert_array_equal(results[0], results[1].transpose(0, 2, 3, 1))


def test_keras_takes_our_configs_and_we_take_its() -> None:
    for name, options in LAYERS.items():
        seeded = {} if name in (*ALWAYS, "Equalization") else {"seed": 3}
        ours = getattr(fl.layers, name)(**options, **seeded)
        theirs = getattr(keras.layers, name).from_config(ours.get_config())
        want = getattr(keras.layers, name)(**options, **seeded).get_config()
        found = theirs.get_config()
        for key in want.keys() - {"name"}:
            a, b = (list(v) if isinstance(v, tuple | list) else v for v in (want[key], found[key]))
            assert a == b, (name, key)
        again = getattr(fl.layers, name).from_config(theirs.get_config())
        assert set(again.get_config()) == set(ours.get_config()), name
        compared("layers", name, "configs")


def test_defaults_are_keras_s() -> None:
    import inspect

    for name in LAYERS:
        ours, theirs = (
            inspect.signature(getattr(room.layers, name).__init__).parameters
            for room in (fl, keras)
        )
        for key, p in theirs.items():
            if p.kind is p.VAR_KEYWORD or key == "self":
                continue
            assert ours[key].default == p.default, (name, key)


def test_arguments_are_checked() -> None:
    layers = fl.layers
    for make in (
        lambda: layers.AutoContrast((1, 0)),
        lambda: layers.Equalization(bins=1),
        lambda: layers.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(0, 2)),
        lambda: layers.RandomColorJitter(brightness_factor=3),
        lambda: layers.RandomGaussianBlur(kernel_size=4),
        lambda: layers.RandomGaussianBlur(sigma=2.0),
        lambda: layers.RandomInvert(-0.5 - 1),
        lambda: layers.RandomPosterization(0),
        lambda: layers.RandomPosterization((1, 2.5)),
        lambda: layers.RandomSharpness(2),
        lambda: layers.RandomPerspective(scale=2),
        lambda: layers.RandomElasticTransform(fill_mode="black"),
        lambda: layers.RandAugment(num_ops=0),
        lambda: layers.RandAugment(factor=2),
        lambda: layers.AugMix(alpha=0),
        lambda: layers.Solarization("much"),
    ):
        with pytest.raises(FanlightError) as caught:
            make()
        assert caught.value.code == "E-LAYER-004"


def test_boxes_and_masks_are_not_left_behind() -> None:
    held = {"images": PHOTOS, "segmentation_masks": PHOTOS[..., :1]}
    for layer in (
        fl.layers.RandomFlip(),
        fl.layers.RandomPerspective(),
        fl.layers.RandAugment(),
        fl.layers.MixUp(),
    ):
        with pytest.raises(FanlightError, match="E-LAYER-001") as caught:
            layer(held, training=True)
        assert "moves what is in a picture" in str(caught.value)
    found = fl.layers.RandomInvert()(held, training=True)
    np.testing.assert_array_equal(found["segmentation_masks"].numpy(), PHOTOS[..., :1])


def test_numbers_of_what_is_random() -> None:
    many = 3000
    x = np.full((many, 1, 1, 3), 200, np.float32)
    key = fl.random.key(4)
    share = (augment.random_invert(x, (0.2, 0.4), key=key).numpy()[:, 0, 0, 0] == 55).mean()
    assert abs(share - 0.3) < 0.035
    kept = augment.random_posterization(x, (1, 4), key=key).numpy()[:, 0, 0, 0]
    assert {128, 192} == set(kept.tolist())  # 1 bit; 2 or 3 of them
    assert abs((kept == 128).mean() - 1 / 3) < 0.035
    grey = augment.random_color_degeneration(
        np.tile(np.array([200, 0, 0], np.float32), (many, 1, 1, 1)), (0.5, 1.0), key=key
    ).numpy()[:, 0, 0, 1]
    assert 29 < grey.min() < 31 and 59 < grey.max() < 60
    bent = augment.random_perspective(np.ones((600, 9, 9, 1), np.float32), 0.5, 0.5, key=key)
    assert abs((bent.numpy().min((1, 2, 3)) < 1).mean() - 0.5) < 0.2
    # What RandAugment draws: a layer that changes nothing but one of eleven.
    layer = fl.layers.RandAugment(num_ops=1, factor=(0.5, 0.5))
    fl.set_random_seed(1)
    kinds = {layer(PHOTOS, training=True).numpy().tobytes() for _ in range(40)}
    fl.set_random_seed(None)
    assert len(kinds) >= 6


def test_mixtures_are_shares_of_their_chains() -> None:
    layer = fl.layers.AugMix(num_chains=3, chain_depth=2)
    layer.changes = []  # no change: any mixture of a picture with itself is the picture
    np.testing.assert_allclose(layer(PHOTOS, training=True).numpy(), PHOTOS, rtol=1e-5)
    black = fl.layers.AugMix(num_chains=1, chain_depth=1, alpha=5.0)
    dark = fl.layers.RandomBrightness((-1, -1))
    black.changes = [dark] * 7
    fl.set_random_seed(2)
    found = np.array([black(PHOTOS, training=True).numpy().mean() for _ in range(60)])
    fl.set_random_seed(None)
    share = found / PHOTOS.mean()
    # One of eight changes nothing; the others leave the share of the beta distribution.
    assert abs((share > 0.999).mean() - 1 / 8) < 0.12
    assert abs(share[share < 0.999].mean() - 0.5) < 0.08


@pytest.mark.parametrize("eagerly", [False, True])
def test_a_model_with_all_of_them_trains(eagerly: bool) -> None:
    fl.set_random_seed(2)
    model = fl.Sequential([fl.Input((16, 20, 3))])
    for name, options in LAYERS.items():
        ranged = {} if name == "RandomPerspective" else {"value_range": (0, 1)}
        model.add(getattr(fl.layers, name)(**{**options, **ranged}))
    model.add(fl.layers.Flatten())
    model.add(fl.layers.Dense(1))
    model.compile("sgd", "mse", run_eagerly=eagerly)
    y = np.array([0.0, 1.0, 0.0, 1.0], np.float32)
    losses = model.fit(PHOTOS / 255, y, batch_size=2, epochs=2, verbose=0).history["loss"]
    fl.set_random_seed(None)
    assert np.isfinite(losses).all()
    if not eagerly:
        assert model._steps is not None and model._steps.compiled, model._steps.why


def test_the_same_run_compiled_or_not() -> None:
    def predicted(eagerly: bool, name: str) -> np.ndarray:
        fl.set_random_seed(7)
        layer = getattr(fl.layers, name)(**{**LAYERS[name], "value_range": (0, 1)})
        model = fl.Sequential([fl.Input((16, 20, 3)), layer, fl.layers.Flatten()])
        model.add(fl.layers.Dense(1, kernel_initializer="ones"))
        model.compile(fl.optimizers.SGD(0.0), "mse", run_eagerly=eagerly)
        y = np.zeros(4, np.float32)
        losses = model.fit(PHOTOS / 255, y, batch_size=4, epochs=3, verbose=0).history["loss"]
        fl.set_random_seed(None)
        return np.array(losses)

    for name in ("AugMix", "RandAugment", "RandomColorJitter", "RandomGaussianBlur"):
        np.testing.assert_allclose(predicted(True, name), predicted(False, name), rtol=1e-3)


def test_pictures_are_prepared_in_the_page(tmp_path: Path) -> None:
    """What is at work in testing, too, is built."""
    model = fl.Sequential(
        [
            fl.Input((16, 20, 3)),
            fl.layers.AutoContrast(),
            fl.layers.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2)),
            fl.layers.RandAugment(),
            fl.layers.AugMix(),
        ]
    )
    bundle = fl.build(model, tmp_path / "out")
    (found,) = bundle.run({next(iter(model.batched)): WHOLE[:1]}).values()
    np.testing.assert_allclose(found, model.predict(WHOLE[:1]), atol=0.5)
    # A value that is nearly whole may count as the one below: few pixels, by one step.
    assert (np.abs(found - model.predict(WHOLE[:1])) > 0.01).mean() < 0.02

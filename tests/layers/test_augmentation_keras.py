"""Layers that change pictures at random against Keras 3: the same amounts, the same pictures.

Both draw numbers of their own, so amounts are given: to our transforms, and to Keras's layers
behind the place where they draw. How the layers draw is tested in test_augmentation.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.data import transforms
from tests.conformance import compared
from tests.layers.keras_oracle import KERAS_ONLY, close, jax, keras, plain_config
from tests.layers.test_augmentation import LAYERS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

RNG = np.random.default_rng(0)
PHOTOS = RNG.uniform(0, 255, (4, 10, 14, 3)).astype(np.float32)
AMOUNT = np.array([0.2, 0.45, 0.6, 0.1], np.float32)
OTHER = np.array([-0.3, 0.15, 0.7, -0.05], np.float32)
WHICH = np.array([True, False, False, True])
ORDER = np.array([2, 0, 3, 1], np.int32)
BOXES = np.array([[1, 2, 4, 9], [0, 0, 10, 3], [5, 5, 5, 8], [3, 1, 9.5, 13.2]], np.float32)


def column(x: np.ndarray) -> np.ndarray:
    return x[:, None, None, None]


def in_boxes() -> np.ndarray:
    """Keras's masks: whether a pixel lies in the box of its picture."""
    layer = keras.layers.CutMix()
    y0, x0, y1, x1 = BOXES.T
    return np.asarray(layer._generate_batch_mask(PHOTOS.shape, (x0, x1, y0, y1))[0])


def turned() -> Any:
    """Keras's matrices of turns."""
    given = keras.ops.convert_to_tensor(AMOUNT * 360)
    nothing, one = keras.ops.zeros(4), keras.ops.ones(4)
    return keras.layers.RandomRotation(0.5)._compute_affine_matrix(
        0.5, 0.5, given, nothing, nothing, one, nothing, nothing, 10, 14
    )


# name, options of Keras's layer, what it draws, and our change of the same amount
Case = tuple[str, dict[str, Any], Callable[[], Any], Callable[[Any], Any]]
# "wrap" is TensorFlow's here, as `fl.image.transform` says; Keras's is that of its back end.
FILLS = ("reflect", "nearest", "constant")
CASES: list[Case] = [
    (
        "RandomFlip",
        {"mode": "horizontal"},
        lambda: {"flips": column(WHICH)},
        lambda x: transforms.flip(x, WHICH),
    ),
    (
        "RandomFlip",
        {"mode": "vertical"},
        lambda: {"flips": column(WHICH)},
        lambda x: transforms.flip(x, False, WHICH),
    ),
    *(
        (
            "RandomRotation",
            {"factor": 0.5, "fill_mode": fill, "fill_value": 9.0},
            lambda: {"rotation_matrix": turned()},
            lambda x, fill=fill: transforms.rotate(x, AMOUNT * 2 * np.pi, fill, "bilinear", 9.0),
        )
        for fill in FILLS
    ),
    *(
        (
            "RandomTranslation",
            {"height_factor": 0.5, "width_factor": 0.5, "fill_mode": fill, "fill_value": 9.0},
            lambda: {"translations": np.stack([7 * OTHER, 9 * AMOUNT], 1)},
            lambda x, fill=fill: transforms.translate(
                x, 9 * AMOUNT, 7 * OTHER, fill, "bilinear", 9.0
            ),
        )
        for fill in FILLS
    ),
    *(
        (
            "RandomZoom",
            {"height_factor": 0.5, "width_factor": 0.5, "fill_mode": fill, "fill_value": 9.0},
            lambda: {
                "height_zoom": 1 + OTHER[:, None],
                "width_zoom": 1 + AMOUNT[:, None],
                "input_shape": PHOTOS.shape,
            },
            lambda x, fill=fill: transforms.zoom(x, 1 + OTHER, 1 + AMOUNT, fill, "bilinear", 9.0),
        )
        for fill in FILLS
    ),
    *(
        (
            "RandomShear",
            {"x_factor": 0.5, "y_factor": 0.5, "fill_mode": fill, "fill_value": 9.0},
            lambda: {"shear_factor": np.stack([AMOUNT, OTHER], 1), "input_shape": PHOTOS.shape},
            lambda x, fill=fill: transforms.shear(x, AMOUNT, OTHER, fill, "bilinear", 9.0),
        )
        for fill in FILLS
    ),
    (
        "RandomCrop",
        {"height": 6, "width": 7},
        lambda: (3, 5),
        lambda x: transforms.crop(x, 3, 5, 6, 7),
    ),
    (
        "RandomBrightness",
        {"factor": 0.5},
        lambda: {"rgb_delta": column(OTHER) * 255},
        lambda x: transforms.brightness(x, OTHER),
    ),
    (
        "RandomContrast",
        {"factor": 0.5},
        lambda: {"contrast_factor": column(AMOUNT + 0.5)},
        lambda x: transforms.contrast(x, AMOUNT + 0.5),
    ),
    (
        "RandomSaturation",  # not above 1: Keras clips saturation to value_range
        {"factor": 0.5},
        lambda: {"factor": AMOUNT},
        lambda x: transforms.saturation(x, AMOUNT),
    ),
    ("RandomHue", {"factor": 0.5}, lambda: {"factor": AMOUNT}, lambda x: transforms.hue(x, AMOUNT)),
    (
        "RandomGrayscale",
        {"factor": 0.5},
        lambda: column(WHICH),
        lambda x: transforms.grayscale(x, WHICH),
    ),
    (
        "RandomErasing",
        {"factor": 0.5},
        lambda: {"batch_masks": in_boxes(), "apply_erasing": np.ones(4, bool), "fill_value": 7.0},
        lambda x: transforms.erase(x, BOXES, 7.0),
    ),
    (
        "MixUp",
        {},
        lambda: {"mix_weight": AMOUNT, "permutation_order": ORDER},
        lambda x: transforms.mix(x, ORDER, AMOUNT),
    ),
    (
        "CutMix",
        {},
        lambda: {"batch_masks": in_boxes(), "permutation_order": ORDER},
        lambda x: transforms.paste(x, ORDER, BOXES),
    ),
]
IDS = [f"{name}-{options.get('fill_mode', '')}-{i}" for i, (name, options, *_) in enumerate(CASES)]


@pytest.mark.parametrize(("name", "options", "drawn", "change"), CASES, ids=IDS)
def test_the_same_amounts_give_the_same_pictures(
    name: str, options: dict[str, Any], drawn: Any, change: Any
) -> None:
    theirs = getattr(keras.layers, name)(**options)
    amounts = jax.tree.map(
        lambda v: keras.ops.convert_to_tensor(v) if isinstance(v, np.ndarray) else v, drawn()
    )

    def of_keras(x: Any) -> Any:
        return theirs.transform_images(x, amounts, True)

    @jax.jit
    def both(x: Any, probe: Any) -> Any:
        y, pull = jax.vjp(of_keras, x)
        return y, pull(probe)[0]

    ours = change(fl.tensor(PHOTOS)).numpy()
    probe = RNG.normal(size=ours.shape).astype(np.float32)
    wanted, expected = both(PHOTOS, probe)
    close(ours, wanted, name)
    slope = fl.grad(lambda x: fl.sum(change(x) * probe))(fl.tensor(PHOTOS))
    close(slope.numpy(), expected, f"gradient of {name}")
    compared("layers", name, "outputs", "gradients")


@pytest.mark.parametrize("name", [n for n in LAYERS if hasattr(keras.layers, n)])
def test_configurations_go_both_ways(name: str) -> None:
    options = LAYERS[name]
    ours = getattr(fl.layers, name)(**options, seed=3)
    theirs = getattr(keras.layers, name).from_config(ours.get_config())
    want = plain_config(getattr(keras.layers, name)(**options, seed=3).get_config())
    told = plain_config(theirs.get_config())
    assert told == want
    again = getattr(fl.layers, name).from_config(theirs.get_config())
    assert set(again.get_config()) == set(ours.get_config())
    # Keras spells some numbers as the pairs that they stand for.
    found = plain_config(again.get_config())
    shared = {k: v for k, v in told.items() if k in found or k not in KERAS_ONLY}
    assert {k: found.get(k) for k in shared} == shared
    further = {k: v for k, v in plain_config(ours.get_config()).items() if k not in told}
    assert set(further) <= {"seed"} if name == "RandomGrayscale" else not further
    compared("layers", name, "configs")


def test_a_factor_of_shears_that_is_one_number() -> None:
    """It stands for (-f, f) in Keras's configuration, too."""
    shear = keras.layers.RandomShear(0.3, (0.1, 0.2))
    ours = fl.layers.RandomShear.from_config(shear.get_config())
    assert ours.spans == ((-0.3, 0.3), (0.1, 0.2))
    keras.layers.RandomShear.from_config(fl.layers.RandomShear(0.3, (0.1, 0.2)).get_config())

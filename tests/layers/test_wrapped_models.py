"""Models of Keras inside of wrappers, through both doors, and written again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.layers import config
from tests.layers.keras_oracle import close, keras, numbers
from tests.layers.test_random_networks import ENDINGS, same, stirred

pytestmark = pytest.mark.filterwarnings("ignore")  # Keras's own, about .h5 and NumPy


def frames(kind: str) -> Any:
    """A model of Keras that looks at each picture of a row by a model."""
    layers = keras.layers
    if kind == "sequential":
        look: Any = keras.Sequential(
            [keras.Input((6, 6, 3)), layers.Conv2D(2, 3), layers.Flatten()]
        )
    else:
        q = keras.Input((6, 6, 3))
        picked = layers.Flatten()(layers.Conv2D(2, 3)(q))
        look = keras.Model(q, picked + 1.0)
        if kind == "deep":
            rows = keras.Input((6, 6, 3))
            lines = layers.TimeDistributed(keras.Sequential([keras.Input((6, 3)), layers.Dense(3)]))
            look = keras.Model(rows, look(lines(rows)))
    x = keras.Input((4, 6, 6, 3))
    y = layers.TimeDistributed(look)(x)
    # A layer of the name of one inside, so that names alone do not tell weights.
    z = layers.Dense(3, name=look.layers[1].name if kind == "functional" else None)(y)
    return stirred(keras.Model(x, [y, z]))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kind", ["sequential", "functional", "deep"])
def test_a_model_at_every_step(kind: str, ending: str, tmp_path: Path) -> None:
    same(frames(kind), numbers(2, 4, 6, 6, 3), tmp_path, (ending,))


def test_wrapped_models_are_written_again(tmp_path: Path) -> None:
    model, fed = frames("functional"), numbers(2, 4, 6, 6, 3)
    model.save(tmp_path / "theirs.keras")
    fl.load_model(tmp_path / "theirs.keras").save(tmp_path / "ours.keras")
    found = keras.models.load_model(tmp_path / "ours.keras")(fed)
    for ours, theirs in zip(found, model(fed), strict=True):
        close(ours, theirs, "written again")


def test_a_wrapper_is_made_of_its_own_description() -> None:
    layer = fl.layers.TimeDistributed(fl.Sequential([fl.Input((3,)), fl.layers.Dense(2)]))
    again = fl.layers.TimeDistributed.from_config(layer.get_config())
    x = numbers(2, 4, 3)
    layer(x)
    again(x)
    again.set_weights(layer.get_weights())
    assert np.array_equal(np.asarray(again(x)), np.asarray(layer(x)))


def test_a_recurrent_wrapper_of_a_model_says_what_it_takes(tmp_path: Path) -> None:
    inner = fl.Sequential([fl.Input((3,)), fl.layers.Dense(2)])
    with pytest.raises(fl.FanlightError, match="E-LAYER-004") as caught:
        fl.layers.Bidirectional.from_config({"layer": config.described(inner)})
    assert "recurrent layer" in str(caught.value)

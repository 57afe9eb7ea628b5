"""Files of layers that Keras has adapted to data: they keep how many examples that were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fanlight as fl
from tests.layers.keras_oracle import close, keras, numbers

pytestmark = pytest.mark.filterwarnings("ignore")  # of Keras with JAX


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_the_count_of_a_normalization_is_nothing_to_tell(ending: str, tmp_path: Path) -> None:
    x = keras.Input((4,))
    layers = [keras.layers.Normalization(name=name) for name in ("one", "two")]
    for seed, layer in enumerate(layers):
        layer.adapt(numbers(20, 4, seed=seed) * 3 + 1)
    y = keras.layers.Dense(3)(keras.layers.Concatenate()([layer(x) for layer in layers]))
    model = keras.Model(x, y)
    path = tmp_path / f"m.{ending}"
    model.save(path)
    loaded = fl.load(path)
    assert loaded.source.warnings == ()
    close(loaded(numbers(1, 4)), model(numbers(1, 4)), ending)
    assert fl.convert(path, tmp_path / "m.onnx").notes == ()


def test_another_weight_that_no_layer_reads_is_told(tmp_path: Path) -> None:
    import h5py

    norm = keras.layers.Normalization(name="norm")
    norm.adapt(numbers(20, 4))
    keras.Sequential([keras.Input((4,)), norm]).save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "a") as file:
        group = file["model_weights/norm"]
        names = np.array([*group.attrs["weight_names"], "norm/other"], "S")
        group.create_dataset("norm/other", data=numbers(4))
        del group.attrs["weight_names"]
        group.attrs["weight_names"] = names
    told = fl.load(tmp_path / "m.h5").source.warnings
    assert len(told) == 1 and "1 stored weights belong to no layer: norm/other" in told[0]

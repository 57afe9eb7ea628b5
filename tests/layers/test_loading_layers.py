"""fl.load of files with layers that the reader of graphs does not have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import fanlight as fl
from fanlight.cli.app import cli
from fanlight.errors import FanlightError
from tests.layers.nets import L


def network() -> Any:
    return fl.Sequential([L.Input((6, 4)), L.Bidirectional(L.LSTM(3)), L.Dense(2)])


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m"])
def test_recurrent_layers_are_a_graph(name: str, tmp_path: Path) -> None:
    model, path = network(), tmp_path / name
    model.save(path)
    loaded = fl.load(path)
    x = np.linspace(-1, 1, 48, dtype=np.float32).reshape(2, 6, 4)
    assert loaded.source.format in ("keras-v3", "keras-h5", "tfjs-layers")
    assert np.allclose(loaded(x), model.predict(x, verbose=0), atol=1e-6)


def test_attention_and_masks_are_a_graph(tmp_path: Path) -> None:
    ids = L.Input((5,), dtype="int32")
    x = L.Embedding(7, 4, mask_zero=True)(ids)
    model = fl.Model(ids, L.GlobalAveragePooling1D()(L.MultiHeadAttention(2, 3)(x, x)))
    model.save(tmp_path / "m.keras")
    given = np.array([[1, 2, 0, 0, 0], [3, 4, 5, 6, 1]], np.int32)
    loaded = fl.load(tmp_path / "m.keras")
    assert np.allclose(loaded(given), model.predict(given, verbose=0), atol=1e-6)


def test_the_command_line_builds_and_inspects_them(tmp_path: Path) -> None:
    path = str(tmp_path / "m.keras")
    network().save(path)
    built = CliRunner().invoke(cli, ["build", path, "-o", str(tmp_path / "site")])
    assert built.exit_code == 0, built.output
    x = np.ones((1, 6, 4), np.float32)
    with fl.open_bundle(tmp_path / "site") as bundle:
        (answer,) = bundle.run({next(i["name"] for i in bundle.manifest["inputs"]): x}).values()
    assert np.allclose(answer, fl.load(path)(x), atol=1e-5)
    shown = CliRunner().invoke(cli, ["inspect", path])
    assert shown.exit_code == 0 and "keras-v3" in shown.output


def test_classes_that_are_registered_are_known_and_others_are_named(tmp_path: Path) -> None:
    class Doubled(L.Layer):
        def call(self, x: Any) -> Any:
            return 2 * x

    path = tmp_path / "m.keras"
    model = fl.Sequential([L.Input((6, 4)), L.LSTM(3), Doubled(name="two")])
    model.save(path)
    with pytest.raises(FanlightError) as caught:
        fl.load(path)
    assert caught.value.code == "E-FORMAT-014"
    assert "Doubled" in str(caught.value) and "LSTM" not in str(caught.value.received)
    assert "fl.register" in str(caught.value)
    fl.register("test_loading")(Doubled)
    model.save(path)
    x = np.ones((1, 6, 4), np.float32)
    assert np.allclose(fl.load(path)(x), model.predict(x, verbose=0), atol=1e-6)


def test_what_keras_writes_for_a_class_without_get_config(tmp_path: Path) -> None:
    class Twice(L.Layer):
        def call(self, x: Any) -> Any:
            return 2 * x

    described = fl.Sequential([L.Input((3,)), Twice(name="two")]).get_config()
    described["layers"][1]["config"] |= {"autocast": True, "activity_regularizer": None}
    text = json.dumps({"class_name": "Sequential", "config": described})
    again = fl.model_from_json(text, custom_objects={"Twice": Twice})
    x = np.ones((1, 3), np.float32)
    assert np.array_equal(again.predict(x, verbose=0), 2 * x)

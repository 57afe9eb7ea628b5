"""`fanlight inspect --names`: the names that `fanlight convert --outputs` takes, each once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fanlight as fl
from tests.cli.test_commands import fanlight
from tests.convert.test_cut_names import onnx_network, small_network
from tests.support import SHARED

HAS_FIXTURES = (SHARED / "fixtures").is_dir()


def listed(path: Path) -> dict[str, str]:
    lines = fanlight("inspect", path, "--names").stdout.splitlines()
    names = [line.split("\t")[0] for line in lines]
    assert len(names) == len(set(names)), "a name is listed twice"
    return dict(line.split("\t") for line in lines)  # type: ignore[misc]


def accepted(path: Path, folder: Path) -> dict[str, str]:
    """What is listed; each name is a place that convert cuts at."""
    found = listed(path)
    for i, (name, type) in enumerate(found.items()):
        # fl.convert is what the command calls; a process for each name would take minutes.
        made = fl.convert(path, folder / f"{i}.safetensors", outputs=[name], check=False)
        assert Path(made.destination).is_file(), (name, type)
    return found


def test_of_keras_they_are_the_layers(tmp_path: Path) -> None:
    small_network().save(tmp_path / "m.keras")
    assert list(accepted(tmp_path / "m.keras", tmp_path).items()) == [
        ("image", "f32[1, 6, 6, 3]"),
        ("conv", "f32[1, 4, 4, 4]"),
        ("flat", "f32[1, 64]"),
        ("d1", "f32[1, 5]"),
        ("d2", "f32[1, 2]"),
    ]


def test_of_keras_whose_layers_are_made_as_layers_too(tmp_path: Path) -> None:
    x = fl.Input((5,), name="words", dtype="int32")
    y = fl.layers.Embedding(12, 4, name="emb")(x)
    y = fl.layers.MultiHeadAttention(2, 2, name="mha")(y, y)
    model = fl.Model(x, fl.layers.Dense(2, name="out")(fl.layers.GRU(3, name="gru")(y)))
    model.save(tmp_path / "m.keras")
    found = accepted(tmp_path / "m.keras", tmp_path)
    assert list(found) == ["words", "emb", "mha", "gru", "out"]
    assert found["mha"] == "f32[1, 5, 4]" and found["words"] == "i32[1, 5]"
    # The part is of layers, and the layer's own result.
    made = fl.convert(tmp_path / "m.keras", tmp_path / "part.keras", outputs=["mha"])
    assert made.ok and made.kind == "keras"
    words = np.arange(10, dtype=np.int32).reshape(2, 5)
    part = fl.Model(model.inputs, model.get_layer("mha").output)
    again = fl.load_model(tmp_path / "part.keras")
    np.testing.assert_allclose(again.predict(words), part.predict(words), atol=1e-6)


def test_of_onnx_they_are_nodes_and_tensors(tmp_path: Path) -> None:
    found = accepted(onnx_network(tmp_path / "m.onnx"), tmp_path)
    assert list(found) == ["x", "t1", "conv1", "t2", "relu1", "t3", "pool1", "y", "mean"]
    assert found["t1"] == found["conv1"] == "f32[1, 4, 6, 6]"  # in its own layout


@pytest.mark.skipif(not HAS_FIXTURES, reason="the shared fixtures are not here")
@pytest.mark.parametrize(
    ("source", "some"),
    [
        ("x_conv_bn/saved_model", {"output_0"}),
        ("x_conv_bn__keras2/keras_saved_model", {"StatefulPartitionedCall"}),
        ("func_resnet/model.tflite", {"image", "func_resnet_1/add_1/Add", "output_1"}),
        ("x_conv_bn__keras2/tfjs/h5_graph", {"Identity"}),
    ],
)
def test_of_tensorflow_they_are_nodes_also_of_functions(
    source: str, some: set[str], tmp_path: Path
) -> None:
    assert some <= accepted(SHARED / "fixtures" / source, tmp_path).keys()


def test_for_programs(tmp_path: Path) -> None:
    small_network().save(tmp_path / "m.keras")
    said = json.loads(fanlight("inspect", tmp_path / "m.keras", "--names", "--json").stdout)
    assert said["names"][0] == {"name": "image", "type": "f32[1, 6, 6, 3]"}


def test_an_unknown_name_is_told_those_that_are_listed(tmp_path: Path) -> None:
    path = onnx_network(tmp_path / "m.onnx")
    with pytest.raises(fl.FanlightError, match="9 places, such as x, t1") as e:
        fl.convert(path, tmp_path / "part.onnx", outputs=["Relu1"])
    assert e.value.code == "E-CONVERT-003" and "did you mean relu1?" in str(e.value)


def test_sizes_that_are_open_are_given(tmp_path: Path) -> None:
    x = fl.Input((None,), name="t", dtype="int32")
    y = fl.layers.LSTM(3, name="lstm")(fl.layers.Embedding(9, 4, name="emb")(x))
    fl.Model(x, y).save(tmp_path / "m.keras")
    assert "say it: --input-shape t=1,32." in fanlight("inspect", tmp_path / "m.keras").output
    for more in ([], ["--names"]):
        said = fanlight("inspect", tmp_path / "m.keras", "--input-shape", "t=1,7", *more)
        assert said.exit_code == 0 and "lstm" in said.stdout if more else "i32[1, 7]" in said.stdout
    built = fanlight("build", tmp_path / "m.keras", "-o", tmp_path / "b", "--input-shape", "t=1,7")
    assert built.exit_code == 0 and fl.open_bundle(tmp_path / "b").graph.inputs[0].shape == (1, 7)

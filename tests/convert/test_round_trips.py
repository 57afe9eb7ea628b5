"""Models through several formats, one after another: equal predictions, the batch still free."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl

FIXTURES = Path(__file__).resolve().parents[2].parent / "shared" / "fixtures"
# destination, what it is written as
TO_ONNX_AND_BACK = (("one", "tfjs"), ("two.onnx", "onnx"), ("three", "tfjs-graph"),
                    ("four.onnx", "onnx"))  # fmt: skip


def pictures() -> Any:
    x = fl.Input((8, 6, 2), name="image")
    y = fl.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="conv")(x)
    y = fl.layers.BatchNormalization(name="norm")(y)
    z = fl.layers.DepthwiseConv2D(3, padding="same", name="deep")(y)
    y = fl.layers.GlobalAveragePooling2D(name="pool")(fl.layers.Add(name="sum")([y, z]))
    return fl.Model(x, fl.layers.Dense(3, activation="softmax", name="scores")(y), name="net")


def words() -> Any:
    x = fl.Input((7,), name="words", dtype="int32")
    y = fl.layers.Embedding(12, 5, name="embedded")(x)
    y = fl.layers.LSTM(4, name="lstm")(y)
    return fl.Model(x, fl.layers.Dense(2, activation="sigmoid", name="out")(y), name="words")


def two_heads() -> Any:
    a, b = fl.Input((5,), name="a"), fl.Input((3,), name="b")
    y = fl.layers.Concatenate(name="both")([a, b])
    y = fl.layers.LayerNormalization(name="norm")(y)
    one = fl.layers.Dense(2, activation="tanh", name="one")(y)
    return fl.Model([a, b], [one, fl.layers.Dense(1, name="two")(y)], name="heads")


def given(source: Any, examples: int = 3) -> dict[str, np.ndarray]:
    random = np.random.default_rng(4)
    made = {}
    for value in source.graph.inputs:
        shape = (examples, *value.shape[1:])
        whole = value.dtype == "int32"
        made[value.name] = (
            random.integers(0, 12, shape).astype(np.int32)
            if whole
            else random.normal(size=shape).astype(np.float32)
        )
    return made


def predictions(path: Path, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """What a file's model answers, for several examples at once; its batch must be free."""
    model = fl.load(path)
    assert all(model.batched.values()), path
    names = [v.name for v in model.graph.inputs]
    made = model(dict(zip(names, inputs, strict=True)))
    listed = list(made.values()) if isinstance(made, dict) else [made]
    return [np.asarray(y) for y in listed]


def chain(source: Path, folder: Path, steps: Any) -> list[Path]:
    made = []
    for name, to in steps:
        result = fl.convert(source, folder / name, to=to)
        assert result.ok and result.worst is not None and result.worst <= 1e-5, (name, result)
        source = folder / name
        made.append(source)
    return made


@pytest.mark.parametrize("model", [pictures, words, two_heads])
def test_layers_to_tfjs_to_onnx_and_back(model: Any, tmp_path: Path) -> None:
    fl.set_random_seed(8)
    source = tmp_path / "net.keras"
    model().save(source)
    inputs = [*given(fl.load(source)).values()]
    wanted = predictions(source, inputs)
    assert all(len(y) == 3 and np.ptp(y) > 1e-6 for y in wanted)
    for path in chain(source, tmp_path, TO_ONNX_AND_BACK):
        made = predictions(path, inputs)
        assert len(made) == len(wanted)
        for own, other in zip(made, wanted, strict=True):
            np.testing.assert_allclose(own, other, rtol=1e-5, atol=1e-5)


def test_keras_to_onnx_to_a_page(tmp_path: Path) -> None:
    fl.set_random_seed(9)
    source = tmp_path / "net.keras"
    pictures().save(source)
    chain(source, tmp_path, [("net.onnx", "onnx"), ("page", "bundle")])
    inputs = [*given(fl.load(source), 1).values()]
    bundle = fl.open_bundle(tmp_path / "page")
    names = [i["name"] for i in bundle.manifest["inputs"]]
    made = bundle.run(dict(zip(names, inputs, strict=True)))
    (wanted,) = predictions(source, inputs)
    np.testing.assert_allclose(next(iter(made.values())), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    ["seq_cnn", "func_resnet", "mixed", "x_gru", "x_mha", "x_layernorm", "x_nested",
     "x_upbilinear", "x_sepconv_bn__keras2", "x_lstm_float__keras2"],
)  # fmt: skip
def test_keras_models_of_the_fixtures(name: str, tmp_path: Path) -> None:
    """After four steps the model still answers what Keras itself answered."""
    folder = FIXTURES / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing: the fixtures are not in this checkout")
    with np.load(folder / "io.npz") as stored:
        arrays = {key: stored[key] for key in stored.files}
    inputs = [v for k, v in sorted(arrays.items()) if k.startswith("input")]
    outputs = [v for k, v in sorted(arrays.items()) if k.startswith("output")]
    source = folder / ("model.keras" if (folder / "model.keras").is_file() else "model.h5")
    last = chain(source, tmp_path, TO_ONNX_AND_BACK)[-1]
    made = predictions(last, inputs)
    assert len(made) == len(outputs)
    for own, other in zip(made, outputs, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-5, atol=1e-5)
    for own, other in zip(made, predictions(source, inputs), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-5, atol=1e-5)

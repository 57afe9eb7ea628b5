"""Dtype policies: kept with layers and files, Keras's own among them; numbers are float32."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.layers.keras_oracle import keras

# Keras reads its own arrays in a way that NumPy will not take for ever.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
LAYERS = fl.layers
MIXED = ("mixed_float16", "mixed_bfloat16")
NAMES = ("float32", "float16", "bfloat16", *MIXED)


def arrays(layer: Any) -> list[np.ndarray]:
    """The weights of a layer of Keras."""
    return [np.asarray(w.value) for w in layer.weights]


@pytest.fixture(autouse=True)
def _float32_afterwards() -> Iterator[None]:
    yield
    fl.set_dtype_policy("float32")
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("name", [*NAMES, "int32", "bool", "uint8", "string"])
def test_policies_are_those_of_keras(name: str) -> None:
    ours, theirs = fl.DTypePolicy(name), keras.DTypePolicy(name)
    assert ours.get_config() == theirs.get_config() == {"name": name}
    assert (ours.compute_dtype, ours.variable_dtype) == (
        theirs.compute_dtype,
        theirs.variable_dtype,
    )
    assert repr(ours) == repr(theirs)
    assert ours == fl.DTypePolicy.from_config(ours.get_config())
    assert ours != fl.DTypePolicy("int64")
    assert len({ours, fl.DTypePolicy(name)}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_keeps_its_policy_and_computes_in_float32(name: str) -> None:
    for given in (name, fl.DTypePolicy(name)):
        layer = LAYERS.Dense(3, dtype=given, kernel_initializer="ones")
        theirs = keras.layers.Dense(3, dtype=name)
        y = layer(np.ones((2, 4), np.float16))
        assert layer.dtype_policy == fl.DTypePolicy(name)
        for attribute in ("dtype", "variable_dtype", "compute_dtype"):
            assert getattr(layer, attribute) == getattr(theirs, attribute)
        assert {w.dtype for w in layer.weights} | {y.dtype} == {"float32"}
        np.testing.assert_array_equal(y.numpy(), np.full((2, 3), 4, np.float32))
        assert layer.get_config()["dtype"] == theirs.get_config()["dtype"]
        assert LAYERS.Dense.from_config(layer.get_config()).dtype_policy.name == name
        assert LAYERS.Dense.from_config(theirs.get_config()).dtype_policy.name == name
        assert keras.layers.Dense.from_config(layer.get_config()).dtype_policy.name == name


def test_the_default_is_set_as_in_keras() -> None:
    assert fl.dtype_policy().name == "float32"
    fl.set_dtype_policy("mixed_bfloat16")
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert fl.dtype_policy() == fl.DTypePolicy() == fl.DTypePolicy("mixed_bfloat16")
    for name in ("LSTM", "Dense", "Dropout", "Rescaling"):
        ours, theirs = getattr(LAYERS, name)(1), getattr(keras.layers, name)(1)
        assert ours.get_config()["dtype"] == theirs.get_config()["dtype"], name
    assert LAYERS.LSTM(2).cell.dtype_policy.name == "mixed_bfloat16"
    assert LAYERS.LSTM(2, dtype="float32").cell.dtype_policy.name == "float32"
    assert LAYERS.Dense(2, dtype="float32").dtype_policy.name == "float32"
    assert fl.Input((3,)).dtype == "float32"
    fl.set_dtype_policy(fl.DTypePolicy("float32"))
    assert LAYERS.Dense(2).dtype_policy.name == "float32"


def test_policies_of_keras_2_are_read() -> None:
    told = {"class_name": "Policy", "config": {"name": "mixed_float16"}}
    assert LAYERS.Dense(2, dtype=told).dtype_policy.name == "mixed_float16"
    assert LAYERS.Dense(2, dtype=np.float32).dtype_policy.name == "float32"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("float64", "nothing computes in float64"),
        (np.float64, "nothing computes in float64"),
        (np.dtype("float64"), "nothing computes in float64"),
        ("int8_from_float32", "not the numbers that the layer computes with"),
        ({"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8", "source_name": "x"}},
         "not the numbers that the layer computes with"),
        ({"class_name": "DTypePolicyMap", "config": {"policy_map": {}}},
         "not the numbers that the layer computes with"),
        ("half", "no dtype policy"),
        (7, "no dtype policy"),
        ([], "no dtype policy"),
        ({"config": 3}, "no dtype policy"),
        (object(), "no dtype policy"),
    ],
)  # fmt: skip
def test_what_is_no_policy_here(given: Any, told: str) -> None:
    with pytest.raises(FanlightError, match="E-LAYER-004") as caught:
        LAYERS.Dense(2, name="wide", dtype=given)
    assert told in caught.value.message
    assert "wide (Dense)" in str(caught.value.where)
    assert "mixed_float16" in str(caught.value.expected)
    with pytest.raises(FanlightError, match=told):
        fl.set_dtype_policy(given)
    with pytest.raises(FanlightError, match=told):
        fl.metrics.Mean(dtype=given)
    assert fl.dtype_policy().name == "float32"


def test_weights_of_whole_numbers_and_of_none() -> None:
    layer = LAYERS.Layer(dtype="float16")
    assert layer.add_weight((2,), dtype="int32").dtype == "int32"
    assert layer.add_weight((2,)).dtype == "float32"
    assert layer.add_weight((2,), dtype=layer.variable_dtype).dtype == "float32"
    with pytest.raises(FanlightError, match="float64"):
        layer.add_weight((2,), dtype="float64", name="w")


# --- inputs: cast as Keras does -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Dense", {"units": 2}),
        ("Embedding", {"input_dim": 5, "output_dim": 2}),
        ("Flatten", {}),
        ("Reshape", {"target_shape": (3, 1)}),
        ("Rescaling", {"scale": 0.5}),
        ("ZeroPadding1D", {}),
        ("Cropping1D", {}),
        ("UpSampling1D", {}),
        ("Identity", {}),
    ],
)
@pytest.mark.parametrize("dtype", ["int32", "float16", "float32"])
def test_dtypes_of_results(name: str, arguments: dict[str, Any], dtype: str) -> None:
    shape = (1, 3, 2) if name.endswith("1D") else (2, 3)
    x = np.arange(np.prod(shape)).reshape(shape).clip(0, 4).astype(dtype)
    ours = getattr(LAYERS, name)(**arguments)
    theirs = getattr(keras.layers, name)(**arguments)
    expected = theirs(x)
    ours.build(x.shape)
    ours.built = True
    ours.set_weights(arrays(theirs))
    found = ours(x)
    assert found.dtype == str(expected.dtype)
    np.testing.assert_allclose(found.numpy(), np.asarray(expected), rtol=1e-5, atol=1e-5)


# --- files ----------------------------------------------------------------------------------------


def theirs(policy: str) -> Any:
    keras.utils.set_random_seed(0)  # from some weights a scaled loss overflows: no step
    keras.config.set_dtype_policy(policy)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3, activation="relu"),
            keras.layers.Dense(2, dtype="float32"),
        ]
    )
    model.compile("adam", "mean_squared_error")
    model.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)
    return model


def described(path: Path) -> Any:
    """The description in a .keras file, without what only Keras writes and None says."""

    def cleaned(value: Any) -> Any:
        if isinstance(value, dict):
            left = ("jit_compile", "optional", "ragged", "shared_object_id", "sparse")
            kept = {k: v for k, v in value.items() if k not in left}
            return {k: cleaned(v) for k, v in kept.items() if v is not None}
        return [cleaned(v) for v in value] if isinstance(value, list) else value

    with zipfile.ZipFile(path) as archive:
        return cleaned(json.loads(archive.read("config.json")))


@pytest.mark.parametrize("policy", MIXED)
def test_files_of_keras_with_mixed_policies_come_back_unchanged(
    policy: str, tmp_path: Path
) -> None:
    source = theirs(policy)
    source.save(tmp_path / "theirs.keras")
    model = fl.load_model(tmp_path / "theirs.keras")
    assert [layer.dtype_policy.name for layer in model.layers] == [policy, "float32"]
    assert model.dtype_policy.name == policy
    assert model.optimizer.iterations.item() == 1
    x = np.ones((2, 4), np.float32)
    np.testing.assert_allclose(model.predict(x), source.predict(x, verbose=0), atol=2e-2)
    model.save(tmp_path / "ours.keras")
    assert described(tmp_path / "ours.keras") == described(tmp_path / "theirs.keras")
    back = keras.saving.load_model(tmp_path / "ours.keras")
    for ours, own in ((back.variables, source.variables),
                      (back.optimizer.variables, source.optimizer.variables)):  # fmt: skip
        assert len(ours) == len(own)
        for a, b in zip(ours, own, strict=True):
            np.testing.assert_array_equal(np.asarray(a.value), np.asarray(b.value))
    back.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)


def test_h5_files_of_keras_with_a_mixed_policy(tmp_path: Path) -> None:
    source = theirs("mixed_float16")
    source.save(tmp_path / "theirs.h5")  # its optimizer is in a LossScaleOptimizer there
    for name in ("theirs.h5", "ours.h5"):
        model = fl.load_model(tmp_path / name)
        assert type(model.optimizer) is fl.optimizers.Adam
        assert model.optimizer.iterations.item() == 1
        assert [layer.dtype_policy.name for layer in model.layers] == ["mixed_float16", "float32"]
        for a, b in zip(model.get_weights(), arrays(source), strict=True):
            np.testing.assert_array_equal(a, b)
        model.save(tmp_path / "ours.h5")
    model.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)


@pytest.mark.parametrize("policy", ["float16", "bfloat16"])
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_weights_of_half_precision_are_read_into_float32(
    policy: str, suffix: str, tmp_path: Path
) -> None:
    x = keras.Input((4,))
    source = keras.Model(x, keras.layers.Dense(3, dtype=policy)(x))
    source.save(tmp_path / f"theirs.{suffix}")
    model = fl.load_model(tmp_path / f"theirs.{suffix}")
    assert model.layers[1].dtype_policy.name == policy
    for a, b in zip(model.get_weights(), arrays(source), strict=True):
        assert a.dtype == np.float32
        np.testing.assert_array_equal(a, np.asarray(b, np.float32))
    model.save(tmp_path / f"ours.{suffix}")
    back = keras.saving.load_model(tmp_path / f"ours.{suffix}", compile=False)
    assert back.layers[1].dtype_policy.name == policy
    for a, b in zip(arrays(back), arrays(source), strict=True):
        np.testing.assert_array_equal(a.astype(np.float32), b.astype(np.float32))


def test_a_graph_says_in_which_dtype_keras_computes_its_tensors(tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    a = keras.Input((4,), name="a")
    ids = keras.Input((), dtype="int32", name="ids")
    e = keras.layers.Embedding(3, 2, name="e")(ids)
    d = keras.layers.Dense(2, name="d")(a)
    y = keras.layers.Dense(1, dtype="float32", name="y")(keras.layers.Add(name="s")([d, e]))
    keras.Model([a, ids], y, name="m").save(tmp_path / "theirs.keras")
    fl.load_model(tmp_path / "theirs.keras").save(tmp_path / "ours.keras")
    told = described(tmp_path / "ours.keras")
    calls = [
        [layer.get("inbound_nodes") for layer in each["config"]["layers"]]
        for each in (told, described(tmp_path / "theirs.keras"))
    ]
    assert calls[0] == calls[1]
    assert '"dtype": "float16"' in json.dumps(told)


def test_other_files_keep_policies_where_they_can(tmp_path: Path) -> None:
    fl.set_dtype_policy("mixed_float16")
    model = fl.Sequential([fl.Input((4,)), LAYERS.Dense(3)])
    model.save(tmp_path / "tfjs")
    kept = fl.model_from_json(model.to_json()).layers[0].dtype_policy
    assert kept.name == "mixed_float16"
    told = json.loads((tmp_path / "tfjs" / "model.json").read_text())
    assert '"dtype": "float32"' in json.dumps(told)  # TF.js has no policies
    assert "mixed" not in json.dumps(told)

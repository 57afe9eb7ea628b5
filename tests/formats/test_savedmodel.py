"""SavedModels and frozen graphs: published ones, those of Keras, and those written here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.formats import load, load_graph
from fanlight.graph import verify
from tests.formats import savedmodels as sm

TOLERANCE = 1e-4
KINDS = ("saved_model", "saved_model_tf", "keras_saved_model")
FIXTURES = [
    "attention", "func_resnet", "mixed", "mobilenet_v1_025_128", "rnn", "seq_cnn", "x_conv_bn",
    "x_dense_elu_selu_gelu_tanh", "x_dense_relu", "x_dense_tanh", "x_gelu", "x_gru", "x_layernorm",
    "x_lstm", "x_lstm_float",
    "x_lstm_unroll", "x_mha", "x_nested", "x_resize_norm", "x_sepconv_bn", "x_upbilinear",
]  # fmt: skip
TESTDATA = "data/models/serving-saved-models/servables/tensorflow/testdata"
NODE = "data/models/tfjs-node-fixtures/saved_model"
FROZEN = "data/models/tf2onnx-fixtures/tests/models"


def code_of(path: Path, **options: object) -> str:
    with pytest.raises(FanlightError) as caught:
        load_graph(path, **options)  # type: ignore[arg-type]
    return caught.value.code


def check_fixture(folder: Path) -> None:
    """Every form of a fixture gives the numbers of Keras."""
    stored = np.load(folder / "io.npz")
    found = [folder / kind for kind in KINDS if (folder / kind).is_dir()]
    assert found
    for path in found:
        model = load(path)
        verify(model.graph)
        assert model.source.format == "saved-model"
        inputs = [stored[k] for k in stored if k.startswith("in")]
        made = model(dict(zip([n for n, _ in model.inputs], inputs, strict=True)))
        expected = [stored[k] for k in stored if k.startswith("out")]
        assert len(made) == len(expected)
        for result, wanted in zip(made.values(), expected, strict=True):
            np.testing.assert_allclose(result, wanted, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("name", [n + k for n in FIXTURES for k in ("", "__keras2")])
def test_fixtures_give_the_numbers_of_keras(shared: Path, name: str) -> None:
    name = {"mobilenet_v1_025_128__keras2": "mobilenet_v1_025_128_classic__keras2"}.get(name, name)
    check_fixture(shared / "fixtures" / name)


@pytest.mark.parametrize(
    ("name", "shapes", "expected"),
    [
        ("half_plus_two_cpu", None, [[3.0]]),
        ("half_plus_two_2_versions", None, None),
        ("half_plus_two_tf2_cpu", None, [3.0]),
        ("half_plus_two_mlmd", {"x": (1,)}, [3.0]),
        ("half_plus_three", {"x": (1,)}, [4.0]),
    ],
)
def test_published_models(
    shared: Path, name: str, shapes: dict[str, tuple[int, ...]] | None, expected: list | None
) -> None:
    folders = sorted((shared / TESTDATA / f"saved_model_{name}").iterdir())
    assert folders
    for folder in folders:
        model = load(folder, input_shapes=shapes)
        given = np.full(model.inputs[0][1].shape, 2, np.float32)
        wanted = [[3.0]] if expected is None else expected
        np.testing.assert_allclose(model(given), wanted)


def test_a_model_of_several_signatures(shared: Path) -> None:
    folder = shared / TESTDATA / "saved_model_counter/00000123"
    with pytest.raises(FanlightError, match="several signatures") as caught:
        load_graph(folder)
    assert caught.value.code == "E-FORMAT-018"
    assert "'get_counter', 'incr_counter_by'" in str(caught.value.expected)
    assert load(folder, signature="get_counter")({}) == {"output": 0}
    # What assigns to a variable is told by its op.
    assert code_of(folder, signature="incr_counter") == "E-FORMAT-013"


def test_models_of_tensorflow_js(shared: Path) -> None:
    folder = shared / NODE
    assert load(folder / "times_three_float")(np.float32(2)) == 6
    two = load(folder / "module_with_multiple_signatures", signature="timestwo")
    assert two(np.float32(2)) == 4
    several = load(folder / "model_multi_output")
    assert several({"x": np.int32(3), "y": np.int32(4)}) == {"output_0": 6, "output_1": 4}
    assert load(folder / "uint8_multiply")(np.array([7], np.int32)).tolist() == [42]


def test_a_frozen_graph_and_parts_of_it(shared: Path) -> None:
    path = shared / FROZEN / "fc-layers/frozen.pb"
    model = load(path)
    assert model.source.format == "frozen-graph"
    assert [n for n, _ in model.inputs] == ["X"]
    x = np.random.default_rng(0).normal(size=(1, 784)).astype(np.float32)
    whole = model(x)
    assert whole.shape == (1, 10)
    names = [n.name for n in load_graph(path).graph.nodes]
    assert names
    assert code_of(path, outputs=["nobody"]) == "E-FORMAT-018"


# --- written here ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_variables_are_found_by_the_graph_of_objects(tmp_path: Path, shards: int) -> None:
    folder, arrays = sm.small(tmp_path / "m", shards)
    x = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    expected = np.maximum(x @ arrays["w"] + arrays["b"], 0)
    for path in (folder, folder / "saved_model.pb"):
        np.testing.assert_allclose(fl.load(path)(x), expected, rtol=1e-5, atol=1e-6)
    assert load_graph(folder).inputs[0].batched
    assert load_graph(folder).metadata["signature"] == "serving_default"


def test_random_weights_need_no_variables(tmp_path: Path) -> None:
    folder, _ = sm.small(tmp_path / "m")
    for file in (folder / "variables").iterdir():
        file.unlink()
    assert code_of(folder) == "E-FORMAT-011"
    source = load_graph(folder, weights="random")
    assert {v.type.shape for v in source.graph.weights} == {(3, 4), (4,)}


def test_variables_without_an_object_graph_are_bound_by_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    arrays = {f"w{i}": rng.normal(size=(5, 5)).astype(np.float32) for i in range(3)}
    model = fl.load(sm.chain(tmp_path / "model", arrays))
    x = rng.normal(size=(2, 5)).astype(np.float32)
    expected = x @ arrays["w0"] @ arrays["w1"] @ arrays["w2"]
    np.testing.assert_allclose(np.asarray(model(x)), expected, rtol=1e-5, atol=1e-5)

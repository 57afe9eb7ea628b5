"""Published .tflite files, and those of the fixtures, against the LiteRT interpreter.

The interpreter is a development dependency: `pip install ai-edge-litert`. Without it the fixtures'
stored answers of LiteRT still check.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.formats import load_graph
from fanlight.formats.source import Source
from fanlight.graph import evaluate, verify
from tests.formats import litert
from tools import tflite_table

FIXTURES = [
    "attention/model",
    "func_resnet/model",
    "mobilenet_v1_025_128/model",
    "seq_cnn/model",
    "x_layernorm/model",
    "x_mha/model",
]


def answers(source: Source, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """The graph's outputs by their names."""
    verify(source.graph)
    return dict(evaluate(source.graph, inputs))


@pytest.mark.parametrize("name", FIXTURES)
def test_fixture_gives_the_stored_answers(shared: Path, name: str) -> None:
    folder = (shared / "fixtures" / name).parent
    given = np.load(folder / "io.npz")
    wanted = np.load(f"{shared / 'fixtures' / name}_tflite_io.npz")
    source = load_graph(shared / "fixtures" / f"{name}.tflite")
    assert source.format == "tflite"
    arrays = [given[k][:1] for k in sorted(given) if k.startswith("in")]
    inputs = {p.name: a for p, a in zip(source.inputs, arrays, strict=True)}
    found = answers(source, inputs)
    assert len(found) == len(wanted.files)
    for index, port in enumerate(source.outputs):  # the file's order; the names are Keras's
        np.testing.assert_allclose(found[port.name], wanted[f"output_{index}"][:1], atol=1e-4)


FLOAT = [
    "data/models/tflite/mobilenet_v1_0.25_224_1_default_1.tflite",
    "data/models/mediapipe-fixtures/calculators/tensor/testdata/1x256x256x3_softmax.tflite",
    "data/models/mediapipe-fixtures/calculators/tensor/testdata/1x3_square_int32.tflite",
    "data/models/mediapipe-fixtures/calculators/tensor/testdata/feedback_tensor_test_model.tflite",
    "data/models/mediapipe-fixtures/util/tflite/testdata/test_single_signature_key_model.tflite",
    "data/models/mediapipe-fixtures/model_maker/python/vision/gesture_recognizer/testdata/metadata/"
    "custom_gesture_classifier.tflite",
    "data/models/tf2onnx-fixtures/tests/models/regression/tflite/model.tflite",
    "fixtures/mobilenet_v1_025_128/model.tflite",
    "fixtures/x_mha/model.tflite",
]
QUANTISED = [
    "data/models/tflite/mobilenet_v1_0.25_128_quant.tflite",
    "data/models/tflite/mobilenet_v2_1.0_224_quant.tflite",
    "data/models/tflite/movenet_single_pose_lightning_ptq.tflite",
    "data/models/tflite/tf2_mobilenet_v2_1.0_224_ptq.tflite",
    "fixtures/mobilenet_v1_025_128/model_int8.tflite",
]


@pytest.mark.parametrize("name", FLOAT)
def test_float_models_are_as_litert(shared: Path, name: str) -> None:
    data = (shared / name).read_bytes()
    interpreter = litert.interpreter(data)
    source = load_graph(shared / name)
    inputs = {d["name"]: d for d in interpreter.get_input_details()}
    given, rng = {}, np.random.default_rng(1)
    for port in source.inputs:
        array = litert.noise(inputs[port.source], rng)
        interpreter.set_tensor(inputs[port.source]["index"], array)
        given[port.name] = array
    interpreter.invoke()
    found = answers(source, given)
    outputs = {d["name"]: d["index"] for d in interpreter.get_output_details()}
    for port in source.outputs:
        wanted = interpreter.get_tensor(outputs[port.source])
        np.testing.assert_allclose(found[port.name], wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", QUANTISED)
def test_each_operator_of_a_quantised_model_is_within_one_step(shared: Path, name: str) -> None:
    """Also of LiteRT's other kernels, which round otherwise than those that it takes by itself."""
    worst: dict[tuple[str, str], float] = {}
    for operator, apart in litert.operators(shared / name):
        key = (Path(name).name, operator.kind)
        worst[key] = max(worst.get(key, 0), apart)
    for (model, kind), apart in worst.items():
        print(f"{model} | {kind} | {apart:.3g}")
    assert len(worst) > 4
    assert max(worst.values()) <= 1


@pytest.mark.parametrize("name", QUANTISED)
@pytest.mark.parametrize("smooth", [False, True])
def test_whole_quantised_models_are_as_litert(shared: Path, name: str, smooth: bool) -> None:
    """To the bit, with the kernels that LiteRT takes by itself."""
    interpreter = litert.interpreter((shared / name).read_bytes())
    source = load_graph(shared / name)
    (details,) = interpreter.get_input_details()
    array = tflite_table.pictures(details, np.random.default_rng(0), smooth)
    interpreter.set_tensor(details["index"], array)
    interpreter.invoke()
    value = source.graph.inputs[0]
    given = {value.name: array.astype(litert.NUMBERS[value.dtype])}
    (found,) = answers(source, given).values()
    wanted = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    near = 1e-6 if wanted.dtype.kind == "f" else 0
    np.testing.assert_allclose(found.astype(float), wanted.astype(float), rtol=0, atol=near)


def test_labels_and_normalisation_of_the_metadata(shared: Path) -> None:
    source = load_graph(shared / "data/models/tflite/tf2_mobilenet_v2_1.0_224_ptq.tflite")
    assert source.labels is not None
    assert len(source.labels) == 1001
    assert source.labels[:2] == ("background", "tench, Tinca tinca")
    assert source.metadata["name"] == "ImageClassifier"
    assert source.metadata["normalization"] == {"image": {"mean": [127.5], "std": [127.5]}}
    assert source.metadata["outputs"][0]["name"] == "probability"


def test_signatures_name_inputs_and_outputs(shared: Path) -> None:
    folder = shared / "data/models/mediapipe-fixtures/util/tflite/testdata"
    source = load_graph(folder / "test_two_signature_keys_model.tflite")
    assert any("signatures" in warning for warning in source.warnings)
    source = load_graph(shared / "fixtures/func_resnet/model.tflite")
    assert [p.name for p in source.outputs] == ["output_1", "output_0"]


@pytest.mark.parametrize("name", [QUANTISED[0], QUANTISED[2], QUANTISED[4]])
def test_a_built_int8_model_gives_the_same_bytes(shared: Path, tmp_path: Path, name: str) -> None:
    """Also one with weights of nine bits, and one whose operators are of many kinds."""
    source = load_graph(shared / name)
    fl.build(fl.load(shared / name), tmp_path / "built")
    value = source.graph.inputs[0]
    x = np.random.default_rng(2).uniform(-1, 1, value.shape).astype(np.float32)
    given = {value.name: x if value.dtype == "float32" else (x * 127 + 128).astype(value.dtype)}
    built = fl.open_bundle(tmp_path / "built").run(given)
    for name, wanted in answers(source, given).items():
        np.testing.assert_array_equal(built[name], wanted)

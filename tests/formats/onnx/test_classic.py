"""Ops of ai.onnx.ml that scale and pick numbers, against onnx's own evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fanlight.build import build
from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.graph import evaluate

REASON = "the oracle of these tests is the onnx package"
onnx = pytest.importorskip("onnx", reason=REASON)
reference = pytest.importorskip("onnx.reference", reason=REASON)
X = np.array([[1, -2, 3], [0, 0, 0], [-4, 0.5, np.nan]], np.float32)


def model(folder: Path, op: str, x: np.ndarray, places: Any = None, **attrs: Any) -> Path:
    helper = onnx.helper
    given = ["x"] if places is None else ["x", "places"]
    graph = helper.make_graph(
        [helper.make_node(op, given, ["y"], domain="ai.onnx.ml", **attrs)], "g",
        [helper.make_tensor_value_info("x", 1, x.shape)],
        [helper.make_tensor_value_info("y", 1, None)],
        [] if places is None else [onnx.numpy_helper.from_array(np.asarray(places), "places")],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), folder / "m.onnx")
    return folder / "m.onnx"


CASES: dict[str, tuple[str, np.ndarray, Any, dict[str, Any]]] = {
    "binarizer": ("Binarizer", X[:2], None, {"threshold": 0.5}),
    "extractor": ("ArrayFeatureExtractor", X[:2], [2, 0, -1], {}),
    "extractor of a row": ("ArrayFeatureExtractor", X[0], [[1, 1]], {}),
    "scaler": ("Scaler", X[:2], None, {"offset": [1.0, 2.0, -1.0], "scale": [0.5, 2.0, 1.0]}),
    "scaler of one number": ("Scaler", X[:2], None, {"offset": [1.0], "scale": [3.0]}),
    "normalizer MAX": ("Normalizer", X[:2], None, {"norm": "MAX"}),
    "normalizer L1": ("Normalizer", X[:2], None, {"norm": "L1"}),
    "normalizer L2": ("Normalizer", X[:2], None, {"norm": "L2"}),
    "imputer of NaN": ("Imputer", X, None, {"imputed_value_floats": [7.0, 8.0, 9.0],
                                            "replaced_value_float": float("nan")}),
    "imputer of a number": ("Imputer", X, None, {"imputed_value_floats": [7.0],
                                                 "replaced_value_float": -2.0}),
}  # fmt: skip


@pytest.mark.parametrize("name", list(CASES))
def test_the_evaluator_gives_the_same(tmp_path: Path, name: str) -> None:
    op, x, places, attrs = CASES[name]
    path = model(tmp_path, op, x, places, **attrs)
    wanted = reference.ReferenceEvaluator(onnx.load(path)).run(None, {"x": x})[0]
    graph = load_graph(path).graph
    np.testing.assert_allclose(evaluate(graph, {"x": x})["y"], wanted, rtol=1e-6)
    built = build(graph, tmp_path / "bundle").run({"x": x})["y"]
    np.testing.assert_allclose(built, wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("op", "places", "attrs"),
    [
        ("ArrayFeatureExtractor", [3], {}),
        ("Scaler", None, {"offset": [1.0, 2.0]}),
        ("Scaler", None, {"scale": [1, 2, 3]}),
        ("Normalizer", None, {"norm": "L3"}),
        ("Imputer", None, {"imputed_value_int64s": [1]}),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, op: str, places: Any, attrs: dict[str, Any]
) -> None:
    with pytest.raises(FanlightError, match="E-FORMAT-012") as caught:
        load_graph(model(tmp_path, op, X, places, **attrs))
    assert op in str(caught.value) and "m.onnx" in str(caught.value)

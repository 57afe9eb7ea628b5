"""Inputs of graph-models that are fixed when they are loaded, above all those that decide sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.formats import crafted, graph_peer, savedmodels
from tests.formats.crafted import node
from tests.formats.test_dynamic import i32, whole, written

# Two sentences of 3 and of 2 words: where each word goes.
PLACES = i32([0, 0], [0, 1], [0, 2], [1, 0], [1, 1])
WORDS = i32(4, 2, 7, 1, 3)


def sentences(folder: Path) -> Path:
    """Rows of word ids as wide as the longest; each word gets its vector, rows are summed."""
    nodes = [
        node("Max", "last", "places", "zero"),
        node("AddV2", "size", "last", "ones"),
        node("SparseToDense", "rows", "places", "size", "words", "none"),
        node("Greater", "there", "rows", "none"),
        node("Where", "at", "there"),
        node("GatherV2", "vectors", "table", "words", "axis"),
        node("Shape", "dims", "there"),
        node("ConcatV2", "shape", "dims", "width", "axis"),
        node("ScatterNd", "laid", "at", "vectors", "shape"),
        node("GatherNd", "back", "laid", "at"),
        node("BiasAdd", "moved", "back", "bias"),
        node("Sum", "sums", "laid", "one"),
    ]
    table = np.random.default_rng(3).normal(size=(9, 5)).astype(np.float32)
    known = {
        "zero": i32(0), "one": i32(1), "ones": i32(1, 1), "none": whole(0), "axis": whole(0),
        "width": i32(5), "table": table, "bias": table[0],
    }  # fmt: skip
    fed = {"places": PLACES, "words": WORDS}
    return written(folder, nodes, known, fed, ["sums", "rows", "moved"])


def test_places_that_decide_sizes_are_fixed(tmp_path: Path) -> None:
    path = sentences(tmp_path)
    model = fl.load(path, input_values={"places": PLACES})
    assert [n for n, _ in model.inputs] == ["words"]
    assert [t.shape for _, t in model.outputs][:2] == [(2, 5), (2, 3)]
    bundle = fl.build(model, tmp_path / "bundle")
    fed = {"places": PLACES, "words": WORDS}
    expected = graph_peer.run(path.parent, fed, ["sums", "rows", "moved"])
    for found in (model({"words": WORDS}), bundle.run({"words": WORDS})):
        assert found["moved_count"] == len(WORDS)
        ours = [found["sums"], found["rows"], found["moved"][: len(WORDS)]]
        for a, b in zip(ours, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_without_that_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(FanlightError, match=r"(?s)E-FORMAT-019.*input_values"):
        fl.load(sentences(tmp_path))


def switched(folder: Path) -> Path:
    """x * rate, or x + rate where `training` is true."""
    nodes = [
        node("Mul", "times", "x", "rate"),
        node("AddV2", "plus", "x", "rate"),
        node("SelectV2", "y", "training", "plus", "times"),
    ]
    fed = {
        "x": np.ones((2, 3), np.float32),
        "rate": np.float32(0.5).reshape(()),
        "training": np.array(False),
    }
    return written(folder, nodes, {}, fed, ["y"])


def test_a_flag_and_a_rate_are_no_inputs_any_more(tmp_path: Path) -> None:
    model = fl.load(switched(tmp_path), input_values={"training": False, "rate": 0.25})
    assert [n for n, _ in model.inputs] == ["x"]
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_allclose(model({"x": x})["y"], x * 0.25)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"nobody": 1}, "an input that the model does not have"),
        ({"rate": [0.5, 0.5]}, "does not fit"),
        ({"x": np.zeros((2, 4))}, "does not fit"),
        ({"training": 2}, "does not fit"),
        ({"rate": "0.5"}, "not an array of numbers"),
        ({"rate": [[1], [2, 3]]}, "not an array of numbers"),
        ({"rate": 1j}, "not an array of numbers"),
        ([("rate", 1)], "given by name"),
    ],
)
def test_values_that_do_not_fit_are_refused(tmp_path: Path, values: Any, says: str) -> None:
    with pytest.raises(FanlightError, match=says) as caught:
        fl.load(switched(tmp_path), input_values=values)
    assert caught.value.code == "E-FORMAT-018"


def test_whole_numbers_stay_whole(tmp_path: Path) -> None:
    path = sentences(tmp_path)
    for wrong in (PLACES + 0.5, PLACES.astype(np.int64) << 40):
        with pytest.raises(FanlightError, match="E-FORMAT-018"):
            fl.load(path, input_values={"places": wrong})
    assert fl.load(path, input_values={"places": PLACES.astype(np.float64)}).inputs


def test_models_of_layers_have_no_such_option(tmp_path: Path) -> None:
    path = crafted.write_tfjs(tmp_path, crafted.keras2(crafted.small_cnn()[0]), {})
    with pytest.raises(FanlightError, match="input_values means nothing") as caught:
        fl.load(path, input_values={"x": 0.0})
    assert caught.value.code == "E-FORMAT-018"


def test_frozen_graphs_have_it(tmp_path: Path) -> None:
    path = tmp_path / "frozen.pb"
    nodes = [
        savedmodels.placeholder("x", 2, 3),
        savedmodels.placeholder("rate"),
        savedmodels.node("Mul", "y", "x", "rate"),
    ]
    path.write_bytes(savedmodels.graph(nodes))
    model = fl.load(path, input_values={"rate": 3})
    assert [n for n, _ in model.inputs] == ["x"]
    assert (model({"x": np.ones((2, 3), np.float32)})["y"] == 3).all()

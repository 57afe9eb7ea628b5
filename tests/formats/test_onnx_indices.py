"""Indices outside of their dim: ours are clipped into it, and so is what ONNX is given."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.formats import load_graph, write_onnx
from fanlight.formats.bounds import Known
from fanlight.graph import Builder, Graph, evaluate
from fanlight.ops.types import Dim
from tests.formats.test_onnx_writer import computed, same
from tests.support import SHARED

onnx = pytest.importorskip("onnx", reason="onnx, the oracle of these tests, is missing")
SENTIMENT = SHARED / "data" / "models" / "sentiment-graph"
IDS = np.array([[-3, -1, 0], [2, 6, 7], [40, 2**31 - 1, -(2**31)]], "int32")
TABLE = np.arange(14, dtype="float32").reshape(7, 2)


def table(**shape: Any) -> tuple[Builder, Any]:
    b = Builder("m")
    return b, b.input("ids", shape.get("ids", (3, 3)), "int32")


def kinds(path: Path) -> list[str]:
    return [n.op_type for n in onnx.load(str(path)).graph.node if n.op_type != "Identity"]


def test_ids_outside_of_a_table_are_clipped(tmp_path: Path) -> None:
    b, ids = table()
    graph = b.finish({"y": b.add("gather", b.weight(TABLE), ids)})
    write_onnx(graph, tmp_path / "m.onnx")
    same(computed(tmp_path / "m.onnx", {"ids": IDS}), evaluate(graph, {"ids": IDS}))
    assert kinds(tmp_path / "m.onnx") == ["Clip", "Gather"]
    again = load_graph(tmp_path / "m.onnx").graph
    assert [n.op for n in again.nodes] == ["maximum", "minimum", "gather"]
    np.testing.assert_array_equal(evaluate(again, {"ids": IDS})["y"], TABLE[IDS.clip(0, 6)])
    write_onnx(again, tmp_path / "again.onnx")  # clipped once, however often it is written
    assert kinds(tmp_path / "again.onnx") == ["Max", "Min", "Gather"]


def inside(b: Builder, ids: Any) -> list[Any]:
    return [
        b.add("clip", ids, lo=0, hi=6),
        b.add("minimum", b.add("maximum", ids, b.weight(np.int32(0))), b.weight(np.int32(5))),
        b.add("reshape", b.add("clip", ids, lo=1, hi=2), shape=(9,)),
        b.add("arg_max", b.add("broadcast_to", ids, shape=(7, 3, 3)), axis=0),
        b.add("cast", b.add("greater", ids, b.weight(np.int32(0))), dtype="int32"),
        b.weight(np.array([6, 0], "int32")),
        b.add("concat", b.add("clip", ids, lo=0, hi=3), b.weight(IDS[:1] * 0), axis=0),
    ]


@pytest.mark.parametrize("which", range(7))
def test_indices_that_are_known_to_be_inside_stay(which: int, tmp_path: Path) -> None:
    b, ids = table()
    graph = b.finish({"y": b.add("gather", b.weight(TABLE), inside(b, ids)[which])})
    write_onnx(graph, tmp_path / "m.onnx")
    feeds = {"ids": IDS}
    same(computed(tmp_path / "m.onnx", feeds), evaluate(graph, feeds))
    node = next(n for n in onnx.load(str(tmp_path / "m.onnx")).graph.node if n.op_type == "Gather")
    assert not any("inside" in name for name in node.input)


def test_constant_indices_outside_are_clipped_when_written(tmp_path: Path) -> None:
    b = Builder("m")
    x = b.input("x", (7, 2))
    graph = b.finish({"y": b.add("gather", x, b.weight(IDS))})
    write_onnx(graph, tmp_path / "m.onnx")
    same(computed(tmp_path / "m.onnx", {"x": TABLE}), evaluate(graph, {"x": TABLE}))
    assert kinds(tmp_path / "m.onnx") == ["Gather"]


def test_a_free_dim_is_clipped_at_its_size(tmp_path: Path) -> None:
    b, ids = table()
    x = b.input("x", (2, Dim("n", 9)))
    graph = b.finish({"y": b.add("gather", x, ids, axis=1)})
    write_onnx(graph, tmp_path / "m.onnx")
    for size in (1, 4, 9):
        feeds = {"ids": IDS, "x": np.arange(2 * size, dtype="float32").reshape(2, size)}
        same(computed(tmp_path / "m.onnx", feeds), evaluate(graph, feeds))


def test_tuples_of_indices_are_clipped_each_by_its_dim(tmp_path: Path) -> None:
    b, ids = table(ids=(3, 2))
    x = b.weight(np.arange(24, dtype="float32").reshape(2, 6, 2))
    graph = b.finish({"y": b.add("gather_nd", x, ids)})
    write_onnx(graph, tmp_path / "m.onnx")
    feeds = {"ids": np.array([[-1, 5], [1, 6], [9, -9]], "int32")}
    same(computed(tmp_path / "m.onnx", feeds), evaluate(graph, feeds))

    b, ids = table(ids=(3, 1))
    places = b.add(
        "concat", b.add("clip", ids, lo=0, hi=1), b.add("clip", ids, lo=2, hi=5), axis=-1
    )
    graph = b.finish({"y": b.add("gather_nd", b.weight(np.ones((2, 6), "float32")), places)})
    write_onnx(graph, tmp_path / "m.onnx")
    assert "Max" not in kinds(tmp_path / "m.onnx")


def test_what_is_known_of_a_wide_graph_takes_no_time() -> None:
    b, ids = table()
    value = ids
    for _ in range(60):
        value = b.add("reshape", b.add("concat", value, value, axis=0), shape=(2, 3, 3))
        value = b.add("slice", value, begin=(0, 0, 0), size=(1, 3, 3))
        value = b.add("reshape", value, shape=(3, 3))
    graph: Graph = b.finish({"y": value})
    start = time.perf_counter()
    assert Known(graph.producers().get, graph.weights.get).bounds(value)[0] == -(2**31)
    assert time.perf_counter() - start < 1


def test_an_embedding_of_floats_is_the_same(tmp_path: Path) -> None:
    x = fl.Input((10,))
    y = fl.layers.Dense(3)(fl.layers.LSTM(4)(fl.layers.Embedding(50, 8)(x)))
    fl.Model(x, y).save(tmp_path / "m.keras")
    made = fl.convert(tmp_path / "m.keras", tmp_path / "m.onnx")
    assert made.worst is not None and made.worst < 1e-5


@pytest.mark.skipif(not SENTIMENT.exists(), reason=f"{SENTIMENT} is missing")
def test_an_embedding_of_a_graph_model_is_the_same(tmp_path: Path) -> None:
    made = fl.convert(SENTIMENT, tmp_path / "m.onnx")
    assert made.worst is not None and made.worst < 1e-5

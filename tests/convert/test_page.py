"""docs/convert.md: its examples run, on small files of each kind; PyTorch's own lines do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.formats import Port, Source, write_onnx
from fanlight.tensor.trace import trace
from tests.formats import savedmodels as tf
from tests.formats import tflite_writer
from tests.formats.pytorch import test_files as pt2
from tests.test_docs import CONVERT, blocks


def _tables(folder: Path) -> None:
    """A frozen graph, and a SavedModel of the same nodes with two signatures."""
    nodes = [
        tf.placeholder("x", -1, 4),
        tf.const("w", np.eye(4, dtype=np.float32)),
        tf.node("MatMul", "hidden", "x", "w"),
        tf.node("Relu", "scores", "hidden"),
    ]
    (folder / "frozen.pb").write_bytes(tf.graph(nodes))
    ends = {
        "serving_default": tf.signature(
            {"x": tf.info("x:0", -1, 4)}, {"y": tf.info("scores:0", -1, 4)}
        ),
        "other": tf.signature({"x": tf.info("x:0", -1, 4)}, {"y": tf.info("hidden:0", -1, 4)}),
    }
    (folder / "my_saved_model").mkdir()
    made = tf.saved_model(tf.meta_graph(tf.graph(nodes), ends))
    (folder / "my_saved_model" / "saved_model.pb").write_bytes(made)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the page speaks of, in the working directory."""
    x = fl.Input((8, 8, 3), name="image")
    y = fl.layers.Conv2D(4, 3, activation="relu", name="conv")(x)
    y = fl.layers.Dense(3, name="out")(fl.layers.GlobalMaxPooling2D(name="pool")(y))
    model = fl.Model(x, y, name="net")
    model.save(tmp_path / "model.h5")
    model.save(tmp_path / "model.keras")
    graph = trace(lambda ids: fl.cast(ids, "float32") * 2.0, {"ids": fl.spec((1, 128), "int32")})
    write_onnx(Source(graph, "onnx", (Port("ids", "ids", True),)), tmp_path / "bert.onnx")
    tensors = [tflite_writer.Tensor((1, 4), name="x"), tflite_writer.Tensor((1, 4), name="y")]
    lite = tflite_writer.Graph(tensors, [0], [1], [tflite_writer.Op("RELU", [0], [1])])
    (tmp_path / "mobilenet_v2_ptq.tflite").write_bytes(tflite_writer.write(lite))
    pt2.write(tmp_path / "model.pt2", pt2.small())
    _tables(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_runs_from_top_to_bottom(desk: Path) -> None:
    names: dict[str, Any] = {}
    ran = [b for b in blocks("python") if b.page == CONVERT and "import torch" not in b.text]
    assert len(ran) >= 6
    for block in ran:
        exec(compile(block.text, f"{block.page}:{block.line}", "exec"), names)
    for made in ("web/model.json", "web_float16/model.json", "web_graph/model.json", "model.onnx",
                 "site/manifest.json"):  # fmt: skip
        assert (desk / made).is_file(), made
    assert fl.load("web_graph").source.format == "tfjs-graph"

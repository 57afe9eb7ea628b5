"""What the bench stands on: peers get the same network, the peak is a real module, tables judge."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

import fanlight as fl
from bench.__main__ import table
from bench.coldstart import PAGES, write_pages
from bench.export import plain, to_onnx, to_tfjs
from bench.scaling import _rows, chart
from bench.shapes import SHAPES, gru_step, lstm_step
from fanlight.codegen.plan import make_plan
from fanlight.codegen.walk import emit
from fanlight.codegen.wasm.probes import FLOPS_PER_ITERATION, peak_module
from fanlight.graph import evaluate
from fanlight.passes import optimize
from fanlight.targets import WASM_RELAXED
from tests.bench.networks import IMAGE, small_network
from tests.support import relative_error


def test_the_networks_of_the_peers_mean_the_same(tmp_path: Path) -> None:
    graph = small_network()
    (expected,) = evaluate(graph, {"x": IMAGE}).values()
    flat = plain(graph)
    to_tfjs(flat, tmp_path / "tfjs")
    received = fl.load(tmp_path / "tfjs")(IMAGE)
    assert relative_error(received, expected) < 1e-5
    to_onnx(flat, tmp_path / "model.onnx")
    session = ReferenceEvaluator(str(tmp_path / "model.onnx"))
    (onnx_received,) = session.run(None, {"x": IMAGE.transpose(0, 3, 1, 2)})
    assert relative_error(onnx_received, expected) < 1e-5


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_recurrent_steps_mean_what_keras_means(tmp_path: Path) -> None:
    """Keras's equations (keras.layers.LSTM, and GRU with reset_after), by hand, in float64."""
    rng = np.random.default_rng(3)
    for step in (lstm_step(3, 8, 12), gru_step(3, 8, 12)):
        inputs = {v.name: rng.normal(0, 1, v.type.shape).astype(np.float32) for v in step.inputs}
        x, h = inputs["x"], inputs["h"]
        arrays = sorted(step.weights.values(), key=lambda array: -array.ndim)
        w, u, *biases = (array.astype(np.float64) for array in arrays)
        if len(biases) == 1:
            i, f, g, o = np.split(x @ w + h @ u + biases[0], 4, axis=1)
            c = sigmoid(f) * inputs["c"] + sigmoid(i) * np.tanh(g)
            expected = {"h": sigmoid(o) * np.tanh(c), "c": c}
        else:
            z, r, n = np.split(x @ w + biases[0], 3, axis=1)
            hz, hr, hn = np.split(h @ u + biases[1], 3, axis=1)
            z = sigmoid(z + hz)
            candidate = np.tanh(n + sigmoid(r + hr) * hn)
            expected = {"h": z * h + (1 - z) * candidate}
        with fl.build(step, tmp_path / step.name[:4]) as bundle:
            received = bundle.run(inputs)
        for name, array in expected.items():
            assert relative_error(received[name], array) < 1e-5


def test_every_shape_is_a_graph_of_its_own() -> None:
    graphs = [make() for make in SHAPES]
    assert len({graph.name for graph in graphs}) == len(SHAPES)
    for graph in graphs:  # and the code generator takes it
        plan = make_plan(optimize(graph, WASM_RELAXED), (WASM_RELAXED,))
        assert emit(plan, WASM_RELAXED).data


@pytest.mark.parametrize("relaxed", [True, False])
def test_the_peak_module_multiplies_and_adds(relaxed: bool) -> None:
    import wasmtime

    config = wasmtime.Config()
    config.wasm_relaxed_simd = True
    engine = wasmtime.Engine(config)
    store = wasmtime.Store(engine)
    memory = wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(1, 1)))
    module = wasmtime.Module(engine, peak_module(relaxed))
    peak = wasmtime.Instance(store, module, [memory]).exports(store)["peak"]
    assert isinstance(peak, wasmtime.Func)
    chains = FLOPS_PER_ITERATION // (2 * 4 * 8)
    # x = 1, y = 1: each chain k starts at k and gains 1 per step; lane 0 of their sum.
    assert peak(store, 10, 1.0, 1.0) == sum(k + 10 * 8 for k in range(chains))
    store.close()


def test_tables_judge() -> None:
    text = table("T", [{"n": 1.5, "ok": True}, {"n": [1.0, 2.0], "ok": False}, {"n": None}])
    assert text.splitlines()[2:] == [
        "| n | verdict |",
        "|---|---|",
        "| 1.5 | met |",
        "| 1 to 2 | MISSED |",
        "|  |  |",
    ]


def test_cold_pages_are_written_for_every_engine(tmp_path: Path) -> None:
    write_pages(tmp_path, list(PAGES))
    for name in PAGES:
        text = (tmp_path / f"cold-{name.replace(' ', '-')}.html").read_text()
        assert "globalThis.answer" in text and text.count("<script") >= 1


def test_rows_of_scaling_compare_with_the_smaller() -> None:
    rows = _rows("batch", (1, 2, 4), [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [4.8, 9.0, 4.8]])
    assert [r["beside_smaller"] for r in rows] == [1.0, 1.0, 1.2]
    assert [r["ok"] for r in rows] == [True, True, False]
    sides = _rows("side", (10, 20), [[1.0], [3.6]])
    assert sides[1]["beside_smaller"] == 1.0  # itself: a larger picture costs less per pixel
    ET.fromstring(chart([*sides, *rows]))

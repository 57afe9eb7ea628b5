"""What the bench stands on: peers get the same network, the peak is a real module, tables judge."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from onnx.reference import ReferenceEvaluator

import fanlight as fl
from bench.__main__ import table
from bench.coldstart import PAGES, write_pages
from bench.export import plain, to_onnx, to_tfjs
from bench.scaling import _rows, chart
from fanlight.codegen.wasm.probes import FLOPS_PER_ITERATION, peak_module
from fanlight.graph import evaluate
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

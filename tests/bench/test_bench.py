"""What the bench stands on: peers get the same network, the peak is a real module, tables judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

import fanlight as fl
from bench.__main__ import table
from bench.coldstart import PAGES, write_pages
from bench.export import plain, to_onnx, to_tfjs
from bench.lab import Engine, Result, ratio
from fanlight.codegen.wasm.probes import FLOPS_PER_ITERATION, peak_module
from fanlight.graph import Builder, Graph, evaluate
from tests.support import relative_error

IMAGE = np.random.default_rng(0).uniform(-1, 1, (1, 9, 9, 3)).astype(np.float32)


def small_network() -> Graph:
    """Every op of the MobileNets, padding of both kinds, batch norms, a residual."""
    rng = np.random.default_rng(1)
    b = Builder("small")

    def weight(*shape: int) -> object:
        return b.weight(rng.normal(0, 0.5, shape).astype(np.float32))

    def normed(x: object, channels: int) -> object:
        spread = b.weight(rng.uniform(0.5, 2, channels).astype(np.float32))
        values = [weight(channels), spread, weight(channels), weight(channels)]
        return b.add("batch_norm", x, *values, epsilon=1e-3)

    x = b.input("x", IMAGE.shape)
    y = b.add("pad", x, paddings=((0, 0), (0, 1), (0, 1), (0, 0)), value=0.0)
    y = b.add("conv2d", y, weight(3, 3, 3, 8), strides=(2, 2))
    y = b.add("relu6", normed(y, 8))
    z = b.add("depthwise_conv2d", y, weight(3, 3, 8, 1), padding=((1, 1), (1, 1)))
    z = b.add("relu", normed(z, 8))
    z = normed(b.add("conv2d", z, weight(1, 1, 8, 8)), 8)
    y = b.add("add", y, z)
    y = b.add("mean", y, axes=(1, 2), keepdims=False)
    y = b.add("add", b.add("matmul", y, weight(8, 5)), weight(5))
    return b.finish({"y": b.add("softmax", y, axis=-1)})


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


def test_ratios_are_of_rounds_and_tables_judge() -> None:
    engine = Engine("a", "a", {})
    slow = Result(engine, [4.0, 9.0, 2.0, 8.0, 6.0], IMAGE, {})
    fast = Result(engine, [2.0, 3.0, 2.0, 2.0, 2.0], IMAGE, {})
    assert ratio(slow, fast) == (3.0, 2.0, 3.0)
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

"""The roofline: probes that really move what they say, a table that adds up, charts that parse."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wasmtime
from PIL import Image

import fanlight as fl
from fanlight import roofline
from fanlight.check import random_inputs
from fanlight.cli.roofline_chart import png, svg
from fanlight.codegen.wasm.probes import (
    TURN_BYTES,
    byte_peak_module,
    byte_ways,
    traffic_module,
)
from fanlight.errors import FanlightError
from fanlight.graph import Builder
from fanlight.roofline import Rate, Roofline, bandwidth
from tests.build.nets import classifier

RATES = (Rate("L1", 1000, 90, 80), Rate("L2", 100_000, 40, 50), Rate("DRAM", 10_000_000, 10, 10))


def test_traffic_moves_the_bytes() -> None:
    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    memory = wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(1, None)))
    made = wasmtime.Instance(store, wasmtime.Module(engine, traffic_module(1)), [memory])
    exports = made.exports(store)
    size = 4 * TURN_BYTES
    assert exports["read"](store, size, 2) == 0  # nothing but zeros
    data = np.random.default_rng(0).integers(1, 255, size, np.uint8).tobytes()
    memory.write(store, data, 0)
    exports["copy"](store, size, 3)
    assert exports["read"](store, size, 1) == 1
    assert bytes(memory.read(store, 0, size)) == data[: size // 2] * 2
    assert not any(memory.read(store, size, 65536))


@pytest.mark.parametrize(
    ("size", "rate", "level"),
    [(1, 90, "L1"), (1000, 90, "L1"), (10_000, 70, "L2"), (10**6, 30, "DRAM"), (10**9, 10, "DRAM")],
)
def test_rates_between_the_sets(size: int, rate: float, level: str) -> None:
    found = bandwidth(RATES, size)
    assert found == (pytest.approx(rate), level)


def made_up(bytes: bool = False, eight: frozenset[str] = frozenset()) -> Roofline:
    """Kernels of known work: bound by compute, by memory, without arithmetic, and of bytes."""
    kernels = [
        {"name": "a<b", "op": "conv2d", "source": "layer & co", "flops": 10**8, "bytes": 10**6},
        {"name": "c", "op": "add", "source": "", "flops": 10**5, "bytes": 10**6},
        {"name": "d", "op": "concat", "source": "", "flops": 0, "bytes": 10**5},
        *({"name": "e", "op": "conv2d_int8", "source": "", "flops": 10**8, "bytes": 10**5},)
        * bytes,
    ]
    profiles: list[list[dict[str, Any]]] = [
        [{**k, "ms": ms * slower} for k, ms in zip(kernels, (4.0, 0.5, 0.1, 1.0), strict=False)]
        for slower in (1.5, 1.0, 3.0)
    ]
    flops = roofline.PEAK_ITERATIONS * roofline.FLOPS_PER_ITERATION
    rates = []
    for size in roofline.SETS:  # read at 20 GB/s, copied at 10
        moved = size * max(1, roofline.MOVED // size)
        rates += [moved / 20e6, moved / 10e6]
    # Bytes: 70 GOP/s by the way for 8 bits, else 100 and 130.
    ways = byte_ways(True).values()
    operations = [roofline.PEAK_ITERATIONS * count for count in ways]
    peaks = [
        flops / 50e6,
        *(n / rate for n, rate in zip(operations, (70e6, 100e6, 130e6), strict=True)),
    ]
    times = [[t * slower for t in (*peaks, *rates)] for slower in (2.0, 1.0)]
    return roofline.roofline("toy", "relaxed", profiles, times, eight)


def test_the_table_adds_up() -> None:
    found = made_up()
    assert found.peak == pytest.approx(50)
    assert [r.best for r in found.rates] == pytest.approx([20] * len(found.rates))
    conv, add, concat = found.rows
    assert (conv.bound, add.bound, concat.bound) == ("compute", "memory", "memory")
    assert conv.ms == 4.0 and conv.gflops == pytest.approx(25)
    assert conv.of_roofline == pytest.approx(0.5)
    assert add.of_roofline == pytest.approx(0.1) and add.gbytes == pytest.approx(2)
    assert concat.of_roofline == pytest.approx(0.05) and concat.gflops == 0
    assert sum(r.share for r in found.rows) == pytest.approx(1)
    assert found.ms == pytest.approx(4.6)


def test_bytes_have_a_peak_of_their_own() -> None:
    found = made_up(bytes=True)
    assert found.peaks == pytest.approx({"floats": 50, "bytes": 130})
    assert made_up().peaks == pytest.approx({"floats": 50})
    last = found.rows[-1]
    assert (last.unit, last.bound) == ("bytes", "compute")
    assert last.of_roofline == pytest.approx(100 / 130)
    text = svg(found)
    assert "130.0 GFLOP/s of multiply-adds of bytes" in text and "77% of the roofline" in text
    assert Image.open(BytesIO(png(found))).width > 1000


def test_bytes_of_8_bits_have_their_own_too() -> None:
    found = made_up(bytes=True, eight=frozenset({"e", "a<b"}))
    assert [row.unit for row in found.rows] == ["floats", "floats", "floats", "8-bit bytes"]
    assert found.peaks == pytest.approx({"floats": 50, "8-bit bytes": 70})
    assert found.rows[-1].of_roofline == pytest.approx(100 / 70)


@pytest.mark.parametrize("relaxed", (True, False))
def test_the_peaks_of_bytes_run(relaxed: bool) -> None:
    config = wasmtime.Config()
    config.wasm_relaxed_simd = True
    store = wasmtime.Store(wasmtime.Engine(config))
    module = wasmtime.Module(store.engine, byte_peak_module(relaxed))
    memory = wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(1, None)))
    exports = wasmtime.Instance(store, module, [memory]).exports(store)
    assert set(byte_ways(relaxed)) == ({"dot", "pairs", "wide"} if relaxed else {"wide"})
    for name in byte_ways(relaxed):
        # More iterations give other sums: nothing was left out.
        assert len({exports[name](store, n) for n in (1, 2, 3)}) > 1, name


def test_the_svg_is_xml_and_names_the_kernels() -> None:
    root = ET.fromstring(svg(made_up()))
    space = "{http://www.w3.org/2000/svg}"
    text = " ".join("".join(t.itertext()) for t in root.iter(f"{space}text"))
    assert "layer & co" in text and "50.0 GFLOP/s" in text and "50% of the roofline" in text
    dots = [c for c in root.iter(f"{space}circle") if c.get("class") == "d"]
    assert len(dots) == 2


def test_the_png_is_a_picture() -> None:
    picture = Image.open(BytesIO(png(made_up()))).convert("L")
    assert picture.width > 1000
    assert np.asarray(picture).std() > 5


def test_a_png_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(FanlightError) as caught:
        png(made_up())
    assert caught.value.code == "E-CLI-005"
    assert "fanlight[plots]" in str(caught.value)


@pytest.mark.chromium
def test_measured_in_chromium(chromium: Any, tmp_path: Path) -> None:
    b = Builder("net")
    x = b.input("x", (1, 16, 16, 32))
    w = b.weight(np.ones((1, 1, 32, 64), np.float32))
    graph = b.finish({"y": b.add("relu", b.add("conv2d", x, w))})
    with fl.build(graph, tmp_path / "net") as bundle:
        x = np.ones((1, 16, 16, 32), np.float32)
        found = roofline.measure(bundle, {"x": x}, rounds=2)
    assert found.simd == "relaxed"
    assert found.peak > 1 and all(r.best > 0.1 for r in found.rates)
    (row,) = found.rows
    # Multiply-adds, and the relu of each result.
    assert row.op == "conv2d" and row.flops == 2 * 256 * 32 * 64 + 256 * 64
    assert row.bytes == 4 * (256 * 32 + 32 * 64 + 256 * 64)
    assert 0 < row.of_roofline < 2


@pytest.mark.chromium
def test_the_first_layer_of_a_quantised_classifier_has_8_bits(
    chromium: Any, tmp_path: Path
) -> None:
    photos = [np.full((20, 20, 3), byte, np.uint8) for byte in (10, 120, 250)]
    task = fl.tasks.classify(input_range=(0, 1))
    quantized = fl.quantize(classifier(), photos, task=task)
    with fl.build(quantized, tmp_path / "net", task=task) as bundle:
        found = roofline.measure(bundle, random_inputs(bundle.manifest), rounds=1)
    units = {row.op: row.unit for row in found.rows}
    assert units["conv2d_int8"] == "8-bit bytes" and units["matmul_int8"] == "bytes"

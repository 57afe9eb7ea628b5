"""The comparison with peers: formats, turns, a peer that fails, goals, table and chart."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

import fanlight as fl
from bench import lab
from bench.export import Unwritable, plain
from bench.jaxjs import to_jaxjs
from bench.onnx_int8 import to_onnx_int8
from bench.peers import goals, measure, run
from bench.peers.chart import chart
from bench.peers.engines import NAMES, PEERS, Entry, entries, one_picture, pattern
from bench.peers.measure import Lane
from bench.peers.report import markdown, rows_of, table_row, text_of
from bench.tflite import to_tflite
from fanlight.graph import Builder, Graph, evaluate
from tests.bench import tflite_reader
from tests.bench.networks import IMAGE, small_network
from tests.support import apart, relative_error

PAGES = lab.HERE / "pages" / "peers"


def model_of(graph: Graph) -> Any:
    """What `fl.load` gives, as far as the bench looks at it."""

    class Model:
        inputs = tuple((v.name, v.type) for v in graph.inputs)

    Model.graph = graph
    Model.name = graph.name
    return Model()


def lane(engine: str, precision: str, threads: int, rounds: list[float], **how: Any) -> Lane:
    made = Lane(Entry(engine, precision, threads, problem=how.pop("problem", None)))
    made.rounds = rounds
    made.output = np.float32(how.pop("output", [1.0, 2.0]))
    for name, value in how.items():
        setattr(made, name, value)
    return made


def test_a_tflite_file_means_the_same(tmp_path: Path) -> None:
    graph = small_network()
    (expected,) = evaluate(graph, {"x": IMAGE}).values()
    to_tflite(plain(graph), tmp_path / "model.tflite")
    assert relative_error(tflite_reader.run(tmp_path / "model.tflite", IMAGE), expected) < 1e-5


def test_a_tflite_file_pads_with_other_values_and_reshapes(tmp_path: Path) -> None:
    b = Builder("padded")
    x = b.input("x", IMAGE.shape)
    y = b.add("pad", x, paddings=((0, 0), (1, 0), (0, 2), (0, 0)), value=0.5)
    y = b.add("reshape", y, shape=(1, 10 * 11 * 3))
    graph = b.finish({"y": y})
    to_tflite(graph, tmp_path / "model.tflite")
    (expected,) = evaluate(graph, {"x": IMAGE}).values()
    assert np.array_equal(tflite_reader.run(tmp_path / "model.tflite", IMAGE), expected)


@pytest.mark.parametrize("write", [to_tflite, to_jaxjs])
def test_what_cannot_be_written_is_named(write: Any, tmp_path: Path) -> None:
    b = Builder("odd")
    graph = b.finish({"y": b.add("sin", b.input("x", (1, 4, 4, 1)))})
    with pytest.raises(Unwritable, match="sin"):
        write(graph, tmp_path / "out")


def test_a_program_of_jaxjs_holds_every_weight_once(tmp_path: Path) -> None:
    graph = plain(small_network())
    to_jaxjs(graph, tmp_path)
    program = json.loads((tmp_path / "program.json").read_text())
    ops = [step["op"] for step in program["steps"]]
    assert ops == ["conv", "depthwise", "dot", "add", "mean", "dot", "softmax"]
    assert program["output"] == len(ops) and program["shape"] == [1, 9, 9, 3]
    data = np.fromfile(tmp_path / "weights.bin", np.float32)
    last = program["weights"][-1]
    assert last["start"] // 4 + last["length"] == data.size
    used = [s[k] for s in program["steps"] for k in ("weight", "bias") if k in s]
    assert sorted(used) == list(range(len(program["weights"])))
    dense = program["steps"][5]
    where = program["weights"][dense["weight"]]
    stored = data[where["start"] // 4 :][: where["length"]].reshape(where["shape"])
    (matmul,) = (n for n in graph.nodes if n.op == "matmul")
    assert np.array_equal(stored, graph.weights[matmul.inputs[1]].T)


def test_an_int8_onnx_file_means_nearly_the_same(tmp_path: Path) -> None:
    graph = small_network()
    rng = np.random.default_rng(7)
    pictures = [rng.uniform(-1, 1, IMAGE.shape).astype(np.float32) for _ in range(8)]
    to_onnx_int8(plain(graph), [*pictures, IMAGE], tmp_path / "int8.onnx")
    model = onnx.load(tmp_path / "int8.onnx")
    onnx.checker.check_model(model, full_check=True)
    model.opset_import[0].version = 19  # the first that the reference knows; the ops mean the same
    (received,) = ReferenceEvaluator(model).run(None, {"x": IMAGE.transpose(0, 3, 1, 2)})
    (expected,) = evaluate(graph, {"x": IMAGE}).values()
    assert 0 < np.abs(received - expected).max() < 0.03
    kinds = Counter(node.op_type for node in model.graph.node)
    assert kinds["Relu"] == kinds["Clip"] == 0  # the ranges say them
    kept = {c.name: onnx.numpy_helper.to_array(c) for c in model.graph.initializer}
    stored = [a for name, a in kept.items() if name.endswith("_w_q")]
    assert len(stored) == 4 and {a.dtype for a in stored} == {np.dtype(np.int8)}
    assert all(np.abs(a).max() == 127 for a in stored)
    quantised = {n.output[0] for n in model.graph.node if n.op_type == "DequantizeLinear"}
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm", "Add", "GlobalAveragePool"):
            assert set(node.input) <= quantised


def test_the_pattern_is_the_one_of_the_pages() -> None:
    script = (PAGES / "protocol.js").read_text()
    assert "(i * 7919) % 1021" in script and "step / 510 - 1" in script
    values = pattern((1, 2, 3, 1))
    assert values.shape == (1, 2, 3, 1) and values.dtype == np.float32
    assert values.flat[1] == np.float32(7919 % 1021 / 510 - 1)


def test_every_engine_has_a_page_and_a_pinned_version(tmp_path: Path) -> None:
    found = entries(model_of(small_network()), "small", tmp_path, PEERS, (1, 2))
    assert {e.engine for e in found} == set(NAMES)
    assert [e.problem for e in found] == [None] * len(found)
    for entry in found:
        html = (PAGES / f"{entry.engine}.html").read_text()
        assert f'src="{entry.engine}.js"' in html
        assert (
            re.search(r"version=\d+\.\d+", entry.path())
            and f"threads={entry.threads}" in entry.path()
        )
        path = tmp_path / entry.query["model"].removeprefix("/work/")
        assert path.exists()
    pins = json.loads((lab.HERE / "package.json").read_text())["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in pins.values())


def test_packages_that_are_missing_stop_only_their_engines(tmp_path: Path) -> None:
    found = entries(model_of(small_network()), "small", tmp_path, PEERS, (1,), broken="npm: no")
    assert {e.engine for e in found if e.problem} == set(PEERS)
    assert {e.problem for e in found} == {None, "npm: no"}


def test_only_networks_of_one_picture_are_compared() -> None:
    assert one_picture(small_network())
    b = Builder("numbers")
    assert not one_picture(b.finish({"y": b.add("relu", b.input("x", (4,)))}))


STAND_IN = """
import { offer, pattern, query, start, threads } from '/pages/peers/protocol.js';
start(async () => {
  if (query.model === 'refuses') throw new Error('no such operator');
  const data = pattern(6);
  let runs = 0;
  await offer(async () => {
    if (query.model === 'tires' && ++runs > 4) throw new Error('worn out');
    return data;
  }, { threads, isolated: crossOriginIsolated });
});
"""


def stand_in_path(entry: Entry) -> str:
    return f"/stand/{entry.precision}.html?threads={entry.threads}&model={entry.query['model']}"


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server's folder with pages of stand-ins, which speak the protocol of the real ones."""
    folder = tmp_path / "stand-ins"
    folder.mkdir()
    (folder / "stand-in.js").write_text(STAND_IN)
    (folder / "stand-in.html").write_text(
        '<!doctype html><meta charset="utf-8"><title>stand-in</title>'
        '<link rel="icon" href="data:,"><script type="module" src="stand-in.js"></script>'
    )
    (folder / "broken.html").write_text(
        '<!doctype html><meta charset="utf-8"><title>broken</title>'
        '<link rel="icon" href="data:,"><script type="module" src="missing.js"></script>'
    )
    monkeypatch.setattr(Entry, "path", stand_in_path)
    return folder


@pytest.mark.chromium
def test_turns_visits_memory_and_those_that_fail(
    stand_ins: Path, tmp_path: Path, chromium_path: str
) -> None:
    def entry(model: str, threads: int = 1, page: str = "stand-in", **how: Any) -> Entry:
        return Entry("fanlight", page, threads, {"model": model}, **how)

    found = [
        entry("works"), entry("works", 2), entry("refuses"), entry("tires"),
        entry("x", 1, "broken"), entry("works", problem="cannot be written"),
    ]  # fmt: skip
    heard: list[str] = []
    with measure.lab(tmp_path, {"stand": stand_ins}) as place:
        lanes = apart(measure.measure, found, place, rounds=3, cold=2, say=heard.append)
    one, two, refuses, tires, broken, unwritten = lanes
    for good in (one, two):
        assert good.problem is None and len(good.rounds) == 3 and len(good.cold) == 2
        assert good.output is not None and np.array_equal(good.output, pattern((6,)))
        assert good.download is not None and 500 < good.download < 10_000
        assert good.memory is None or good.memory >= 0
    assert one.info == {"threads": 1, "isolated": False}
    assert two.info == {"threads": 2, "isolated": True}
    assert refuses.problem == "no such operator" and refuses.rounds == []
    assert "worn out" in str(tires.problem)
    assert "missing.js" in str(broken.problem)
    assert unwritten.problem == "cannot be written"
    assert any("round" in text for text in heard)


def test_rows_compare_with_ours_of_the_same_kind() -> None:
    lanes = [
        lane("fanlight", "f32", 1, [2.0, 2.0, 4.0], cold=[10.0, 10.0], download=2_000_000),
        lane("fanlight", "f32", 2, [1.0, 1.0, 1.0]),
        lane("tfjs", "f32", 1, [4.0, 6.0, 8.0], cold=[30.0, 50.0], memory=float(3 << 20)),
        lane("litert", "int8", 2, [3.0, 3.0, 3.0], output=[1.0, 2.5]),
        lane("jaxjs", "f32", 1, [], problem="no"),
    ]
    mine, _, tfjs, litert, jaxjs = rows_of("net", lanes)
    assert mine["ratio"] == 1 and mine["difference"] == 0 and mine["download_bytes"] == 2_000_000
    assert tfjs["ratio"] == 2 and tfjs["ratio_spread"] == [2, 3] and tfjs["beside"] == "f32, 1"
    assert tfjs["cold_ms"] == 40 and tfjs["cold_ratio"] == 4
    assert litert["ratio"] == 3 and litert["beside"] == "f32, 2" and litert["difference"] == 0.25
    assert jaxjs["failure"] == "no" and "median_ms" not in jaxjs
    shown = table_row(litert)
    assert shown["note"] == "beside ours f32, 2" and shown["times ours"] == 3
    assert table_row(tfjs)["memory MiB"] == 3.0 and table_row(mine)["download MB"] == 2.0
    text = markdown([mine, tfjs, litert, jaxjs])
    assert text.count("\n") == 6 and all(line.count("|") == 14 for line in text.splitlines())


def test_goals_judge_and_name_what_is_missing() -> None:
    rounds = [10.0, 10.0, 10.0]
    lanes = [
        lane("fanlight", "f32", 1, rounds),
        lane("fanlight", "int8", 1, [2.0, 2.0, 2.0]),
        lane("fanlight", "f32", 2, [], problem="one thread"),
        lane("tfjs", "f32", 1, [11.0, 11.0, 11.0]),
    ]
    rows = {row["figure"]: row for row in goals.judge(goals.V1, lanes)}
    assert rows["Fanlight int8 over TF.js f32"]["ratio"] == 5.5
    assert rows["Fanlight int8 over TF.js f32"]["ok"] is True
    assert rows["Fanlight f32 over TF.js f32"]["ok"] is False
    waiting = rows["Fanlight f32, 2 threads over Fanlight f32"]
    assert waiting["ok"] is False and waiting["note"] == "one thread" and waiting["ratio"] is None
    assert len(rows) == 4 and goals.judge("another", lanes) == []


def test_a_chart_is_an_svg_that_says_everything() -> None:
    rows = rows_of(
        "<net>",
        [
            lane("fanlight", "f32", 1, [2.0, 2.0, 3.0]),
            lane("tfjs", "f32", 1, [4.0, 6.0, 8.0]),
            lane("jaxjs", "f32", 1, [400.0, 600.0, 800.0]),
            lane("ort", "f32", 1, [], problem="it & <that>"),
        ],
    )
    text = chart(rows, "a machine")
    root = ET.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    width, height = (float(n) for n in root.attrib["viewBox"].split()[2:])
    bars = [r for r in root.iter(f"{space}rect") if r.attrib["class"] in ("ours", "peer")]
    assert [r.attrib["class"] for r in bars] == ["ours", "peer", "peer"]
    for bar in bars:
        assert float(bar.attrib["x"]) + float(bar.attrib["width"]) < width - 60
    words = [t.text or "" for t in root.iter(f"{space}text")]
    assert all(t.attrib["y"] and float(t.attrib["y"]) < height for t in root.iter(f"{space}text"))
    assert "did not run: it & <that>" in words and "2 ms" in words and "a machine" in words
    assert "prefers-color-scheme: dark" in text and "TF.js f32 on 1" in text


def test_reports_are_written_as_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From a model to a report, with the browser's part replaced."""
    monkeypatch.setattr(run, "install_peers", lambda: None)

    @contextmanager
    def nowhere(out: Path) -> Iterator[None]:
        yield None

    monkeypatch.setattr(run, "lab", nowhere)

    def pretend(found: list[Entry], place: None, **how: Any) -> list[Lane]:
        assert how["rounds"] == 4
        return [lane(e.engine, e.precision, e.threads, [1.0] * 4) for e in found]

    monkeypatch.setattr(run, "measure", pretend)
    how: dict[str, Any] = {"peers": ("tfjs",), "threads": (1,), "rounds": 4}
    report = run.measure_model(model_of(small_network()), "small", tmp_path, **how)
    kinds = {(r["engine"], r["threads"]) for r in report["rows"]}
    assert {("fanlight", 1), ("tfjs", 1)} == kinds
    assert json.loads(text_of(report, ".json"))["rounds"] == 4
    assert "TF.js 4.22.0" in text_of(report, ".md") and "4 rounds" in text_of(report, ".md")
    assert text_of(report, ".svg").startswith("<svg")


def test_version_of_ours() -> None:
    assert Entry("fanlight", "f32", 1).path().endswith(f"version={fl.__version__}")

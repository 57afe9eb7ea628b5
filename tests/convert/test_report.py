"""`fanlight convert --report`: what is in a source, in its own words, also if it cannot be read."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.convert.report import report_of
from fanlight.formats.onnx_writer import proto
from tests.formats import savedmodels as sm
from tests.formats.tflite_writer import Graph, Op, Tensor, write
from tests.support import SHARED


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = fl.Sequential(
        [
            fl.Input((6, 5, 2)),
            fl.layers.Conv2D(4, 3, activation="relu"),
            fl.layers.Conv2D(4, 3),
            fl.layers.GlobalAveragePooling2D(),
            fl.layers.Dense(3, name="last"),
        ]
    )
    path = tmp_path_factory.mktemp("source") / "net.keras"
    model.save(path)
    return path


def _counts(report: Any) -> dict[str, int]:
    return {kind: len(names) for kind, names in report.found.found.items()}


def _onnx(path: Path, *ops: str) -> Path:
    nodes = [proto.node(op, [f"t{i}"], [f"t{i + 1}"], f"{op}_{i}", {}) for i, op in enumerate(ops)]
    ends = [proto.value_info(f"t{i}", "float32", (1, 3)) for i in (0, len(ops))]
    graph = proto.GraphPieces("g", nodes, ends[:1], ends[1:])
    path.write_bytes(b"".join(proto.model(graph, 18, ("test", "1"), {})))
    return path


def _frozen(path: Path, *ops: str) -> Path:
    nodes = [sm.placeholder("t0", 1, 3)]
    nodes += [sm.node(op, f"t{i + 1}", f"t{i}", T=("type", 1)) for i, op in enumerate(ops)]
    path.write_bytes(sm.graph(nodes))
    return path


def _saved(path: Path, *ops: str) -> Path:
    nodes = [sm.placeholder("t0", 1, 3)]
    nodes += [sm.node(op, f"t{i + 1}", f"t{i}", T=("type", 1)) for i, op in enumerate(ops)]
    nodes.append(sm.node("SaveV2", "save"))  # of no signature
    ends = {"x": sm.info("t0:0", 1, 3)}, {"y": sm.info(f"t{len(ops)}:0", 1, 3)}
    signatures = {"serving_default": sm.signature(*ends)}
    path.mkdir()
    (path / "saved_model.pb").write_bytes(
        sm.saved_model(sm.meta_graph(sm.graph(nodes), signatures))
    )
    return path


def _graph_model(path: Path, *ops: str) -> Path:
    shape = {"shape": {"dim": [{"size": "1"}, {"size": "3"}]}}
    nodes: list[Any] = [{"name": "t0", "op": "Placeholder",
                         "attr": {"dtype": {"type": "DT_FLOAT"}, "shape": shape}}]  # fmt: skip
    nodes += [{"name": f"t{i + 1}", "op": op, "input": [f"t{i}"]} for i, op in enumerate(ops)]
    path.write_text(json.dumps({"format": "graph-model", "modelTopology": {"node": nodes}}))
    return path


GRAPHS = [
    (_onnx, "a.onnx", "onnx", "Relu"),
    (_frozen, "a.pb", "frozen-graph", "Relu"),
    (_saved, "saved", "saved-model", "Relu"),
    (_graph_model, "model.json", "tfjs-graph", "Relu"),
]


@pytest.mark.parametrize(("make", "name", "format", "op"), GRAPHS, ids=[g[2] for g in GRAPHS])
def test_ops_of_graphs_by_their_own_names(
    make: Any, name: str, format: str, op: str, tmp_path: Path
) -> None:
    report = report_of(str(make(tmp_path / name, op, op, "Tanh")))
    assert report.ok and report.format == format and report.found is not None
    assert (_counts(report)[op], _counts(report)["Tanh"], report.found.coverage) == (2, 1, 1.0)
    assert "SaveV2" not in _counts(report)
    assert "all of them read: 100 % of the nodes" in str(report)
    assert report.to_json()["contents"][op] == {"count": 2, "read": True}


@pytest.mark.parametrize(("make", "name", "format", "op"), GRAPHS, ids=[g[2] for g in GRAPHS])
def test_what_is_not_read_is_told_with_its_nodes(
    make: Any, name: str, format: str, op: str, tmp_path: Path
) -> None:
    path = make(tmp_path / name, op, op, "Mystery", op, "Mystery")
    report = report_of(str(path))
    total = sum(_counts(report).values())
    assert not report.ok and report.problem is not None and report.found is not None
    assert report.problem.code == "E-FORMAT-013" and report.found.unread == {"Mystery"}
    assert report.found.coverage == pytest.approx(1 - 2 / total)
    said = str(report)
    assert "2  Mystery   NOT READ: " in said and f"3  {op}" in said and str(path) in said
    assert "Next:" in said and "Traceback" not in said
    assert report.to_json()["contents"]["Mystery"] == {"count": 2, "read": False}
    assert report.to_json()["coverage"] == pytest.approx(1 - 2 / total)


def test_one_use_of_a_known_op_that_is_not_read(tmp_path: Path) -> None:
    nodes = [proto.node("Conv", ["t0", "t0"], ["t1"], "odd", {"auto_pad": "SOMEHOW"})]
    ends = [proto.value_info(n, "float32", (1, 3, 4, 4)) for n in ("t0", "t1")]
    path = tmp_path / "a.onnx"
    graph = proto.GraphPieces("g", nodes, ends[:1], ends[1:])
    path.write_bytes(b"".join(proto.model(graph, 18, ("test", "1"), {})))
    report = report_of(str(path))
    assert not report.ok and report.found is not None and report.found.coverage == 1
    assert "one use of them" in str(report) and "odd" in str(report)


def test_layers_of_keras_and_of_layers_models(archive: Path, tmp_path: Path) -> None:
    fl.convert(archive, tmp_path / "net.h5")
    fl.convert(archive, tmp_path / "web")
    for path in (archive, tmp_path / "net.h5", tmp_path / "web"):
        report = report_of(str(path))
        assert report.ok and report.found is not None and report.found.layers
        counts = {k: n for k, n in _counts(report).items() if k != "InputLayer"}
        assert counts == {"Conv2D": 2, "GlobalAveragePooling2D": 1, "Dense": 1}
        assert "of the layers" in str(report) and "conv2d" in str(report)


def test_a_layer_that_nobody_knows(archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.keras"
    with zipfile.ZipFile(archive) as given, zipfile.ZipFile(path, "w") as made:
        for name in given.namelist():
            data = given.read(name)
            made.writestr(name, data.replace(b'"Dense"', b'"Mine"') if "json" in name else data)
    report = report_of(str(path))
    assert not report.ok and report.found is not None and report.found.unread == {"Mine"}
    assert "1  Mine   NOT READ: last" in str(report) and "2  Conv2D" in str(report)


def test_operators_of_tflite(tmp_path: Path) -> None:
    tensors = [Tensor((1, 3), name=name) for name in "xyz"]
    ops = [Op("TANH", [0], [1]), Op("LOGISTIC", [1], [2])]
    path = tmp_path / "a.tflite"
    path.write_bytes(write(Graph(tensors, [0], [2], ops)))
    report = report_of(str(path))
    assert report.ok and _counts(report) == {"TANH": 1, "LOGISTIC": 1}


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the models of ../shared")
def test_operators_of_a_torch_program() -> None:
    report = report_of(str(SHARED / "fixtures" / "torch" / "net.pt2"))
    assert report.ok and report.found is not None and report.found.coverage == 1
    assert any("conv2d" in kind for kind in _counts(report))


def test_what_is_no_model_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"\x00\x01 no model")
    report = report_of(str(path))
    assert not report.ok and report.found is None and "Next:" in str(report)
    assert report.to_json()["contents"] is None
    path = tmp_path / "weights.pth"
    path.write_bytes(np.zeros(3).tobytes())
    assert "pickles" in str(report_of(str(path)))


def test_layers_that_tfjs_has_not_are_no_layers_model(tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    fl.Sequential([fl.Input((4, 4)), fl.layers.GroupNormalization(2)]).save(path)
    report = report_of(str(path))
    assert "tfjs-layers" not in report.targets and {"keras", "h5"} < set(report.targets)
    assert any("Not as tfjs-layers" in n and "GroupNormalization" in n for n in report.notes)
    with pytest.raises(fl.FanlightError, match="E-LAYER-009"):
        fl.convert(path, tmp_path / "web", to="tfjs-layers")
    for to in report.targets:
        ending = {"keras": ".keras", "h5": ".h5", "onnx": ".onnx", "safetensors": ".safetensors"}
        assert fl.convert(path, tmp_path / f"out-{to}{ending.get(to, '')}", to=to).ok

"""fl.convert: what goes into what, checked; cut, free, quantised; what cannot be."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.convert.compare import identical, outline, random_inputs
from fanlight.convert.cut import cut
from fanlight.convert.kinds import target_kind
from fanlight.convert.report import report_of
from fanlight.errors import FanlightError
from fanlight.formats import Port, Source, write_onnx
from fanlight.tensor.trace import trace
from tests.support import SHARED


@pytest.fixture(scope="module")
def model() -> Any:
    fl.set_random_seed(3)
    x = fl.Input((6, 5, 2), name="image")
    y = fl.layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(x)
    y = fl.layers.BatchNormalization(name="norm")(y)
    y = fl.layers.GlobalAveragePooling2D(name="pool")(y)
    return fl.Model(x, fl.layers.Dense(3, activation="softmax", name="scores")(y), name="net")


@pytest.fixture(scope="module")
def archive(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "net.keras"
    model.save(path)
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("web", "tfjs-layers"),
        ("net.h5", "h5"),
        ("net.keras", "keras"),
        ("net.safetensors", "safetensors"),
        ("page.html", "bundle"),
    ],
)
def test_what_has_layers_becomes_each_and_stays_the_same(
    archive: Path, model: Any, tmp_path: Path, name: str, kind: str
) -> None:
    made = fl.convert(archive, tmp_path / name)
    assert made.kind == kind and made.format == "keras-v3" and made.ok
    assert made.worst is not None and made.worst <= 1e-6 and len(made.differences) == 1
    assert made.files and all(size > 0 for size in made.files.values())
    if kind in ("tfjs-layers", "h5", "keras", "safetensors"):
        x = np.random.default_rng(1).standard_normal((4, 6, 5, 2)).astype(np.float32)
        again = fl.load_model(tmp_path / name)
        np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), 1e-6)


def test_models_that_are_there_are_sources_too(model: Any, archive: Path, tmp_path: Path) -> None:
    assert fl.convert(model, tmp_path / "a.keras").ok
    made = fl.convert(fl.load(archive), tmp_path / "b", to="bundle")
    assert made.ok and fl.open_bundle(tmp_path / "b").manifest["name"] == "net"


def test_a_result_that_computes_something_else_is_told(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fanlight.layers import saving

    save = saving.save_model

    def spoilt(model: Any, path: Any) -> None:
        weight = model.trainable_weights[0]
        weight.assign(weight.numpy() * 1.5)
        save(model, path)

    monkeypatch.setattr(saving, "save_model", spoilt)
    made = fl.convert(archive, tmp_path / "a.h5")
    assert not made.ok and made.worst is not None and made.worst > 1e-3
    assert fl.convert(archive, tmp_path / "b.h5", check=False).worst is None


def test_identical_graphs(model: Any, archive: Path) -> None:
    one, two = fl.load(archive).graph, fl.load(archive).graph
    mine = outline(one)
    assert identical(mine, outline(two)) and not mine.graph.weights
    weight = next(iter(two.weights))
    two.weights[weight].reshape(-1)[0] += 1e-3  # type: ignore[index]
    assert not identical(mine, outline(two))
    assert not identical(mine, outline(cut(one, [], ["pool"])))
    assert not identical(mine, outline(cut(one, ["pool"], [])))


def test_rounding_that_spoils_a_model_is_told(tmp_path: Path) -> None:
    layer = fl.layers.Dense(2, name="d")
    model = fl.Sequential([fl.Input((3,)), layer])
    layer.set_weights([np.full((3, 2), 1e6, np.float32), np.zeros(2, np.float32)])
    made = fl.convert(model, tmp_path / "web", quantize="float16")
    assert not made.ok and made.rounded  # float16 ends at 65504
    made = fl.convert(model, tmp_path / "web", quantize="uint8=nothing*")
    assert made.ok and any("nothing*" in note and "d/kernel" in note for note in made.notes)


def test_a_cut_at_the_first_of_several_results() -> None:
    graph = trace(lambda x: fl.relu(fl.top_k(x, 2)[0]), {"x": fl.spec((1, 5))})
    (node,) = [n for n in graph.nodes if n.op == "top_k"]
    rest = cut(graph, [node.name], [])
    assert [n.op for n in rest.nodes] == ["relu"] and rest.inputs == (node.output,)


def test_examples_that_mix_keep_the_batch_fixed(tmp_path: Path) -> None:
    graph = trace(lambda x: fl.matmul(x, x, transpose_a=True), {"x": fl.spec((1, 3))})
    source = Source(graph, "onnx", (Port("x", "x", True),))
    (said,) = write_onnx(source, tmp_path / "a.onnx")
    assert "mixes the examples" in said
    assert list(fl.load(tmp_path / "a.onnx").batched.values()) == [False]


def test_an_opset_that_is_asked_for(archive: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx reads the version")
    assert fl.convert(archive, tmp_path / "a.onnx", opset=17).ok
    assert [o.version for o in onnx.load(str(tmp_path / "a.onnx")).opset_import] == [17]


def test_a_page_is_checked_by_its_webassembly(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, hosts = fl.Bundle.run, []

    def spoilt(self: Any, inputs: Any, host: str = "wasm", **options: Any) -> Any:
        hosts.append(host)
        return {n: y + 1 for n, y in run(self, inputs, host=host, **options).items()}

    monkeypatch.setattr(fl.Bundle, "run", spoilt)
    assert not fl.convert(archive, tmp_path / "b", to="bundle").ok
    assert hosts == ["wasm"]


def test_a_part_is_cut_out(archive: Path, tmp_path: Path) -> None:
    graph = fl.load(archive).graph
    x = random_inputs(graph)
    part = cut(graph, [], ["pool"])
    assert [n for n, _ in part.outputs] == ["pool"] and len(part.nodes) < len(graph.nodes)
    rest = cut(graph, ["pool"], [])
    assert [v.name for v in rest.inputs] == [part.outputs[0][1].name]
    assert len(part.nodes) + len(rest.nodes) == len(graph.nodes)
    assert len(rest.weights) + len(part.weights) == len(graph.weights)
    from fanlight.graph import evaluate

    middle = evaluate(part, x)["pool"]
    whole = evaluate(graph, x)
    (found,) = evaluate(rest, {rest.inputs[0].name: middle}).values()
    np.testing.assert_array_equal(found, next(iter(whole.values())))
    made = fl.convert(archive, tmp_path / "part", to="bundle", outputs=["pool"])
    assert made.ok and [d.output for d in made.differences] == ["pool"]


@pytest.mark.parametrize(
    ("inputs", "outputs", "said"),
    [
        ((), ("pol",), "did you mean pool"),
        (("image", "scores"), ("pool",), "nothing to do"),
        (("scores",), ("pool",), "image"),
    ],
)
def test_parts_that_there_are_not(
    archive: Path, inputs: tuple[str, ...], outputs: tuple[str, ...], said: str
) -> None:
    with pytest.raises(FanlightError, match="E-CONVERT-003") as caught:
        cut(fl.load(archive).graph, inputs, outputs)
    assert said in str(caught.value)


@pytest.mark.parametrize(("name", "to"), [("web", "tfjs-graph"), ("net.onnx", None)])
def test_graphs_keep_the_batch_free(
    archive: Path, model: Any, tmp_path: Path, name: str, to: str | None
) -> None:
    made = fl.convert(archive, tmp_path / name, to=to, dynamic=["batch"])
    assert made.ok and made.worst is not None and made.worst < 1e-6 and not made.notes
    again = fl.load(tmp_path / name)
    assert list(again.batched.values()) == [True]
    x = np.random.default_rng(0).standard_normal((5, 6, 5, 2)).astype(np.float32)
    np.testing.assert_allclose(again(x), model.predict(x, verbose=0), 1e-5, 1e-7)
    fixed = fl.convert(archive, tmp_path / "fixed", to="tfjs-graph", dynamic=[])
    assert fixed.ok and list(fl.load(tmp_path / "fixed").batched.values()) == [False]


def test_quantised_weights_are_told_how_far_off(archive: Path, tmp_path: Path) -> None:
    made = fl.convert(archive, tmp_path / "web", quantize=["uint8=*kernel*", "float16"])
    assert made.ok and made.worst is not None and 1e-6 < made.worst < 0.1
    manifest = json.loads((tmp_path / "web" / "model.json").read_text())["weightsManifest"]
    kinds = {w["name"]: w["quantization"]["dtype"] for g in manifest for w in g["weights"]}
    assert kinds["conv/kernel"] == "uint8" and kinds["conv/bias"] == "float16"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"to": "kers"}, "E-CONVERT-001"),
        ({"from_": "onnx"}, "E-CONVERT-001"),
        ({"from_": "nothing"}, "E-CONVERT-001"),
        ({"quantize": "int4"}, "E-FORMAT-041"),
        ({"quantize": "uint8", "name": "a.keras"}, "E-CONVERT-002"),
        ({"metadata": {"a": 1}, "name": "a.h5"}, "E-CONVERT-002"),
        ({"dynamic": [], "to": "bundle"}, "E-CONVERT-002"),
        ({"structured_outputs": True, "name": "a.onnx"}, "E-CONVERT-002"),
        ({"opset": 17}, "E-CONVERT-002"),
        ({"opset": "17", "name": "a.onnx"}, "E-CONVERT-002"),
        ({"opset": 16, "name": "a.onnx"}, "E-FORMAT-040"),
        ({"to": "h5", "name": "a.keras"}, "E-CONVERT-001"),
        ({"to": "keras"}, "E-CONVERT-001"),
        ({"to": "tfjs", "name": "a.onnx"}, "E-CONVERT-001"),
        ({"dynamic": ["height"]}, "E-CONVERT-002"),
        ({"name": "a.keras", "outputs": ["conv/kernel"]}, "E-CONVERT-002"),
    ],
)
def test_what_cannot_be_leaves_nothing(
    archive: Path, tmp_path: Path, options: dict[str, Any], code: str
) -> None:
    with pytest.raises(FanlightError, match=code):
        fl.convert(archive, tmp_path / options.pop("name", "out"), **options)
    assert not list(tmp_path.iterdir())


def test_endings_and_old_names() -> None:
    assert target_kind(None, Path("a.onnx")) == "onnx"
    assert target_kind(None, Path("my.site")) == "tfjs"
    assert target_kind("tfjs_layers_model", Path("a")) == "tfjs-layers"
    for path in ("a.tflite", "a.pb", "a.pt2"):
        with pytest.raises(FanlightError, match="E-CONVERT-001"):
            target_kind(None, Path(path))
    with pytest.raises(FanlightError, match="E-CONVERT-002"):
        fl.convert(3, "a")


def test_the_report(archive: Path, tmp_path: Path) -> None:
    report = report_of(str(archive))
    assert report.ok and report.format == "keras-v3" and report.ops["conv2d"] == 1
    assert report.parameters == 4 * 18 + 4 + 16 + 15 and "tfjs-layers" in report.targets
    assert "conv2d" in str(report) and json.dumps(report.to_json())
    graph = {"node": [{"name": "x", "op": "Placeholder", "attr": {"dtype": {"type": "DT_FLOAT"},
             "shape": {"shape": {"dim": [{"size": "2"}]}}}},
            {"name": "y", "op": "Mystery", "input": ["x"]}]}  # fmt: skip
    file = tmp_path / "model.json"
    file.write_text(json.dumps({"format": "graph-model", "modelTopology": graph}))
    report = report_of(str(file))
    assert not report.ok and report.problem is not None and report.problem.code == "E-FORMAT-013"
    said = str(report)
    assert "Mystery" in said and "y" in said and str(file) in said and "Next:" in said


INNER = "StatefulPartitionedCall_1/StatefulPartitionedCall/seq_cnn_1/lrelu_1/LeakyRelu"


@pytest.mark.skipif(not (SHARED / "fixtures").is_dir(), reason="the shared fixtures are not here")
def test_a_saved_model_is_cut_inside_of_its_functions(tmp_path: Path) -> None:
    source = SHARED / "fixtures" / "seq_cnn" / "saved_model"
    for number, name in enumerate((INNER, "lrelu_1/LeakyRelu", "LeakyRelu")):
        made = fl.convert(source, tmp_path / str(number), outputs=[name])
        assert made.ok and [d.output for d in made.differences] == [name]
    again = [fl.load(tmp_path / str(number)).graph for number in (0, 2)]
    assert len(again[0].nodes) == len(again[1].nodes)
    x = random_inputs(again[0])
    from fanlight.graph import evaluate

    first, last = (next(iter(evaluate(g, x).values())) for g in again)
    np.testing.assert_array_equal(first, last)
    rest = fl.convert(source, tmp_path / "rest", inputs=["lrelu_1/LeakyRelu"])
    assert rest.ok
    with pytest.raises(FanlightError, match="E-CONVERT-003") as caught:
        fl.convert(source, tmp_path / "x", outputs=["lrelu_1/LeakyRellu"])
    assert f"did you mean {INNER}" in str(caught.value)
    assert "ReadVariableOp" not in str(caught.value) and "--names" in str(caught.value)
    with pytest.raises(FanlightError, match="E-FORMAT-018") as caught:
        fl.load(source, outputs=["StatefulPartitionedCal"])
    assert "did you mean StatefulPartitionedCall" in str(caught.value)
    assert "ReadVariableOp" not in str(caught.value)


def test_the_last_parts_of_a_name_do_if_no_other_node_has_them() -> None:
    def block(x: Any) -> Any:
        return fl.relu(x * 2)

    graph = trace(block, {"x": fl.spec((1, 5))})
    names = {"relu": "a/one/act", "mul": "a/two/act"}
    nodes = tuple(dataclasses.replace(n, name=names.get(n.op, n.name)) for n in graph.nodes)
    graph = dataclasses.replace(graph, nodes=nodes)
    assert [n for n, _ in cut(graph, [], ["two/act"]).outputs] == ["two/act"]
    with pytest.raises(FanlightError, match="several nodes") as caught:
        cut(graph, [], ["act"])
    assert "a/one/act" in str(caught.value) and "a/two/act" in str(caught.value)


def test_a_part_that_begins_inside_says_why_it_takes_one_example(
    archive: Path, tmp_path: Path
) -> None:
    made = fl.convert(fl.load(archive), tmp_path / "part.onnx", inputs=["pool"])
    (note,) = made.notes
    assert "one example at a time" in note and "pool" in note and "own inputs" in note

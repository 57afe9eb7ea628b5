"""ONNX models that are written: the checker of onnx takes them, its evaluator computes the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.formats import Port, Source, load_graph, write_onnx
from fanlight.graph import Graph, evaluate
from fanlight.tensor.control import cond, scan, while_loop
from fanlight.tensor.trace import trace
from tests.formats import crafted
from tests.formats.crafted import node, placeholder
from tests.support import SHARED

onnx = pytest.importorskip("onnx", reason="onnx, the oracle of these tests, is missing")
FIXTURES = SHARED / "fixtures"
NAMES = sorted(p.parent.name for p in FIXTURES.glob("*/model.keras"))
TOLERANCE = 3e-5


def computed(path: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the reference evaluator of onnx makes of a model that its checker takes."""
    from onnx.reference import ReferenceEvaluator

    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(str(path))
    made = ReferenceEvaluator(model).run(None, inputs)
    return dict(zip((o.name for o in model.graph.output), made, strict=True))


def same(made: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert list(made) == list(wanted)
    for name, array in wanted.items():
        assert made[name].shape == array.shape, name
        assert made[name].dtype == array.dtype, name
        np.testing.assert_allclose(made[name], array, rtol=0, atol=TOLERANCE, err_msg=name)


@pytest.mark.skipif(not NAMES, reason=f"{FIXTURES} is missing")
@pytest.mark.parametrize("name", NAMES or ["none"])
def test_fixtures_compute_the_same_with_a_free_batch(name: str, tmp_path: Path) -> None:
    model = fl.load(FIXTURES / name / "model.keras")
    assert write_onnx(model, tmp_path / "m.onnx") == ()
    stored = np.load(FIXTURES / name / "io.npz")
    arrays = [stored[k] for k in sorted(k for k in stored.files if k.startswith("input"))]
    inputs = {n: x for (n, _), x in zip(model.inputs, arrays, strict=True)}
    same(computed(tmp_path / "m.onnx", inputs), model(dict(inputs)))


def of(function: Any, **inputs: Any) -> Graph:
    return trace(function, {n: fl.spec(s) for n, s in inputs.items()})


def _image(x: Any) -> Any:
    y = fl.relu(fl.conv2d(x, np.ones((2, 3, 3, 4), "float32") * 0.1, 2, ((1, 0), (2, 1))))
    y = y * np.arange(4, dtype="float32") + fl.mean(y, (1, 2), keepdims=True)
    up = fl.image.resize_nearest_neighbor(y, (7, 9))
    return [
        fl.concat([up, up * 2.0], 3),
        fl.max_pool(up, 3, 2, "same"),
        fl.avg_pool(up, 2, 1, "same"),
    ]


CASES: dict[str, tuple[Any, dict[str, tuple[int, ...]]]] = {
    "image": (_image, {"x": (1, 9, 11, 3)}),
    "branches": (
        lambda x: cond(fl.sum(x) > 0, lambda a: a * 2.0, lambda a: a - 1.0, x),
        {"x": (3, 2)},
    ),
    "loop": (
        lambda x: while_loop(lambda s: s[0] < 5, lambda s: (s[0] + 1, s[1] * 0.5 + x), (0, x))[1],
        {"x": (3,)},
    ),
    "scan": (
        lambda x: scan(lambda c, row: (c + row, c * row), x[0], x, reverse=True)[1],
        {"x": (4, 2)},
    ),
    "activations": (
        lambda x: [
            getattr(fl, n)(x)
            for n in "gelu swish mish hard_swish softsign log_sigmoid softplus elu selu".split()
        ],
        {"x": (3, 5)},
    ),
    "order": (lambda x: [*fl.sort(x), *fl.top_k(x, 3), fl.arg_max(x, 0)], {"x": (2, 6)}),
    "slices": (lambda x: [x[::-1, 1:5:2], x[2:0:-1], fl.reverse(x, 1)], {"x": (4, 6)}),
    "sums": (lambda x: [fl.cumsum(x, 1), fl.softmax(x, 0), fl.any(x > 0, 1)], {"x": (4, 6)}),
    "transposed": (
        lambda x, w: fl.conv2d_transpose(x, w, (1, 8, 10, 5), 2, "same"),
        {"x": (1, 4, 5, 2), "w": (3, 3, 5, 2)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_functions_compute_the_same(name: str, tmp_path: Path) -> None:
    function, inputs = CASES[name]
    graph = of(function, **inputs)
    rng = np.random.default_rng(3)
    arrays = {n: rng.normal(size=s).astype("float32") for n, s in inputs.items()}
    write_onnx(graph, tmp_path / "m.onnx", opset=21 if name == "sums" else 18)
    same(computed(tmp_path / "m.onnx", arrays), evaluate(graph, arrays))


@pytest.mark.parametrize("name", CASES)
def test_opset_17_computes_the_same(name: str, tmp_path: Path) -> None:
    function, inputs = CASES[name]
    graph = of(function, **inputs)
    rng = np.random.default_rng(3)
    arrays = {n: rng.normal(size=s).astype("float32") for n, s in inputs.items()}
    write_onnx(graph, tmp_path / "m.onnx", opset=17)
    made = onnx.load(str(tmp_path / "m.onnx"))
    assert [o.version for o in made.opset_import] == [17]
    onnx.checker.check_model(made, full_check=True)
    same(computed(tmp_path / "m.onnx", arrays), evaluate(graph, arrays))


def test_what_opset_17_has_not_is_named(tmp_path: Path) -> None:
    graph = of(lambda x: fl.cast(fl.cast(x, "int32") & 3, "float32"), x=(4,))
    with pytest.raises(FanlightError, match="E-FORMAT-040") as caught:
        write_onnx(graph, tmp_path / "m.onnx", opset=17)
    assert "BitwiseAnd needs opset 18" in str(caught.value)
    write_onnx(graph, tmp_path / "m.onnx", opset=18)


def test_a_free_batch_in_opset_17(tmp_path: Path) -> None:
    """Sizes of all dims are read from the input where one is free."""
    graph = of(lambda x: fl.image.resize_bilinear(x, (5, 6)), x=(1, 3, 4, 2))
    source = Source(graph, "onnx", (Port("x", "x", True),))
    assert write_onnx(source, tmp_path / "m.onnx", opset=17) == ()
    x = np.random.default_rng(5).normal(size=(3, 3, 4, 2)).astype("float32")
    made = computed(tmp_path / "m.onnx", {"x": x})
    for i in range(3):
        one = evaluate(graph, {"x": x[i : i + 1]})
        same({k: v[i : i + 1] for k, v in made.items()}, one)


def test_results_with_counts(tmp_path: Path) -> None:
    """Boxes that are kept, places and different numbers: what they are made of is in ONNX, too."""
    nodes = [
        placeholder("boxes", 9, 4),
        placeholder("scores", 9),
        node("NonMaxSuppressionV3", "n", "boxes", "scores", "most", "iou", "least"),
        node("GatherV2", "kept", "boxes", "n", "zero"),
        node("Greater", "mask", "scores", "iou"),
        node("Where", "places", "mask"),
        node("Cast", "whole", "boxes", DstT={"type": "DT_INT32"}),
        node("Reshape", "row", "whole", "minus"),
        node("Unique", "different", "row"),
    ]
    known = {"most": np.int32(5), "iou": np.float32(0.4), "least": np.float32(0.2),
             "zero": np.int32(0), "minus": np.int32([-1])}  # fmt: skip
    topology, stored = crafted.graph_of(nodes, {k: np.asarray(v) for k, v in known.items()})
    outputs = {n: {"name": f"{n}:0"} for n in ("kept", "places", "different")}
    inputs = {n: {"name": f"{n}:0"} for n in ("boxes", "scores")}
    path = crafted.write_tfjs(
        tmp_path, topology, stored,
        signature={"inputs": inputs, "outputs": outputs}, format="graph-model",
    )  # fmt: skip
    source = load_graph(path)
    write_onnx(source, tmp_path / "m.onnx")
    again = load_graph(tmp_path / "m.onnx")
    rng = np.random.default_rng(4)
    low = rng.uniform(0, 3, (9, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 4, low.shape)], 1).astype(np.float32)
    for most in (1.0, 0.1):
        given = {"boxes": boxes, "scores": rng.uniform(0, most, 9).astype(np.float32)}
        wanted = evaluate(source.graph, given)
        assert (wanted["kept_count"] > 0) == (most > 0.5)
        same(computed(tmp_path / "m.onnx", given), wanted)
        same(evaluate(again.graph, given), wanted)


def test_a_detector_goes_to_onnx_and_back(tmp_path: Path) -> None:
    path = SHARED / "data" / "models" / "handtrack-ssd320fpnlite-uint8"
    if not path.is_dir():
        pytest.skip(f"{path} is missing")
    model = fl.load(path, size=65)
    write_onnx(model, tmp_path / "m.onnx")
    again = fl.load(tmp_path / "m.onnx")
    assert [t for _, t in again.outputs] == [t for _, t in model.outputs]
    assert sum(n.op == "non_max_suppression" for n in again.graph.nodes) > 0
    assert not again.source.warnings


def test_images_are_turned_once_each_way(tmp_path: Path) -> None:
    kernel = np.ones((3, 3, 3, 3), "float32") * 0.1

    def deep(x: Any) -> Any:
        for _ in range(4):
            x = fl.relu(fl.conv2d(x, kernel, 1, "same") + np.ones(3, "float32"))
        return x

    write_onnx(of(deep, x=(1, 8, 8, 3)), tmp_path / "m.onnx")
    nodes = onnx.load(str(tmp_path / "m.onnx")).graph.node
    assert [n.op_type for n in nodes].count("Transpose") == 2


def test_large_weights_lie_in_a_file_beside(tmp_path: Path) -> None:
    kernel = np.random.default_rng(1).normal(size=(40, 30)).astype("float32")
    graph = of(lambda x: x @ kernel + np.ones(30, "float32"), x=(2, 40))
    write_onnx(graph, tmp_path / "m.onnx", external=True, metadata={"licence": "none"})
    assert (tmp_path / "m.onnx.data").read_bytes() == kernel.tobytes()
    x = {"x": np.ones((2, 40), "float32")}
    same(computed(tmp_path / "m.onnx", x), evaluate(graph, x))
    (told,) = onnx.load(str(tmp_path / "m.onnx")).metadata_props
    assert (told.key, told.value) == ("licence", "none")


def of_kernel(number: float) -> Any:
    kernel = np.full((40, 30), number, "float32")
    return of(lambda x: x @ kernel, x=(2, 40))


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_model_and_its_weights_are_replaced_together(tmp_path: Path) -> None:
    x, path = {"x": np.ones((2, 40), "float32")}, tmp_path / "m.onnx"
    for number, beside in ((1.0, "m.onnx.data"), (2.0, "m.onnx.2.data"), (3.0, "m.onnx.data")):
        write_onnx(of_kernel(number), path, external=True)
        assert names(tmp_path) == sorted(["m.onnx", beside])
        same(computed(path, x), evaluate(of_kernel(number), x))
    write_onnx(of_kernel(4.0), path, external=False)
    assert names(tmp_path) == ["m.onnx"]
    same(computed(path, x), evaluate(of_kernel(4.0), x))


@pytest.mark.parametrize("stop", [0, 1, 2])
def test_a_write_that_stops_leaves_the_old_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """As by a full disk, before the weights, between them and the model, or at its last step."""
    x, path = {"x": np.ones((2, 40), "float32")}, tmp_path / "m.onnx"
    write_onnx(of_kernel(1.0), path, external=True)
    steps = 0

    def failing(real: Any) -> Any:
        def act(*args: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps > stop:
                raise OSError(28, "No space left on device")
            return real(*args)

        return act

    monkeypatch.setattr("fanlight.formats.atomic.os.fsync", failing(lambda handle: None))
    monkeypatch.setattr("fanlight.formats.atomic.os.replace", failing(os.replace))
    with pytest.raises(FanlightError, match="E-LAYER-010"):
        write_onnx(of_kernel(2.0), path, external=True)
    monkeypatch.undo()
    assert names(tmp_path) == ["m.onnx", "m.onnx.data"]
    same(computed(path, x), evaluate(of_kernel(1.0), x))


def test_a_process_that_ends_between_leaves_the_old_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing cleans up then: the new weights stay, and the next model takes another name."""
    x, path = {"x": np.ones((2, 40), "float32")}, tmp_path / "m.onnx"
    write_onnx(of_kernel(1.0), path, external=True)
    (tmp_path / "m.onnx.2.data").write_bytes(b"half of it")
    same(computed(path, x), evaluate(of_kernel(1.0), x))
    write_onnx(of_kernel(2.0), path, external=True)
    assert names(tmp_path) == ["m.onnx", "m.onnx.2.data", "m.onnx.3.data"]
    same(computed(path, x), evaluate(of_kernel(2.0), x))


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path, other = tmp_path / "m.onnx", tmp_path / "m.onnx.data"
    other.write_bytes(b"of somebody else")
    write_onnx(of_kernel(1.0), path, external=True)
    assert names(tmp_path) == ["m.onnx", "m.onnx.2.data", "m.onnx.data"]
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(FanlightError, match="E-LAYER-010"):
        write_onnx(of_kernel(2.0), path, external=True, overwrite=False)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    write_onnx(of_kernel(3.0), path, external=True)
    assert other.read_bytes() == b"of somebody else"


def test_what_cannot_be_written_is_listed_and_leaves_no_file(tmp_path: Path) -> None:
    graph = of(lambda x: [fl.linalg.cholesky(x), *fl.linalg.qr(x)], x=(3, 3))
    with pytest.raises(FanlightError, match="E-FORMAT-040") as caught:
        write_onnx(graph, tmp_path / "m.onnx")
    assert "cholesky" in str(caught.value.received)
    assert "qr" in str(caught.value.received)
    with pytest.raises(FanlightError, match="E-FORMAT-040"):
        write_onnx(graph, tmp_path / "m.onnx", opset=7)
    assert not list(tmp_path.iterdir())
    with pytest.raises(FanlightError, match="E-LAYER-010"):
        write_onnx(of(lambda x: x + 1.0, x=(2,)), tmp_path)

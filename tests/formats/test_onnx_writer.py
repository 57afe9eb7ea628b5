"""ONNX models that are written: the checker of onnx takes them, its evaluator computes the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.formats import write_onnx
from fanlight.graph import Graph, evaluate
from fanlight.tensor.control import cond, scan, while_loop
from fanlight.tensor.trace import trace
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


def test_what_cannot_be_written_is_listed_and_leaves_no_file(tmp_path: Path) -> None:
    graph = of(lambda x: [fl.linalg.det(x), fl.cummax(x)], x=(3, 3))
    with pytest.raises(FanlightError, match="E-FORMAT-040") as caught:
        write_onnx(graph, tmp_path / "m.onnx")
    assert "det" in str(caught.value.received)
    assert "cummax" in str(caught.value.received)
    with pytest.raises(FanlightError, match="E-FORMAT-040"):
        write_onnx(graph, tmp_path / "m.onnx", opset=7)
    assert not list(tmp_path.iterdir())
    with pytest.raises(FanlightError, match="E-LAYER-010"):
        write_onnx(of(lambda x: x + 1.0, x=(2,)), tmp_path)

"""GridSample, DeformConv and BitCast beyond the node tests: groups, batches, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fanlight.build import build
from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.graph import evaluate

REASON = "the oracle of these tests is the onnx package"
onnx = pytest.importorskip("onnx", reason=REASON)
reference = pytest.importorskip("onnx.reference", reason=REASON)
FLOAT = 1
INT8, INT32 = 3, 6


def model(op: str, inputs: dict[str, list[int]], opset: int = 22, **attrs: Any) -> Any:
    given = [onnx.helper.make_tensor_value_info(k, FLOAT, s) for k, s in inputs.items()]
    made = [onnx.helper.make_tensor_value_info("y", FLOAT, None)]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(op, [*inputs], ["y"], **attrs)], "g", given, made
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])


def saved(made: Any, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def numbers(shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {k: random.normal(size=s).astype(np.float32) for k, s in shapes.items()}


DEFORMED = {"x": [2, 4, 6, 5], "w": [6, 2, 3, 2], "offset": [2, 24, 3, 5], "b": [6],
            "mask": [2, 12, 3, 5]}  # fmt: skip


def test_deform_conv_with_groups_strides_and_batches(tmp_path: Path) -> None:
    attrs = {"group": 2, "offset_group": 2, "strides": [2, 1], "pads": [1, 0, 0, 1]}
    made, given = model("DeformConv", DEFORMED, **attrs), numbers(DEFORMED)
    wanted = reference.ReferenceEvaluator(made).run(None, given)[0]
    graph = load_graph(saved(made, tmp_path)).graph
    np.testing.assert_allclose(evaluate(graph, given)["y"], wanted, rtol=1e-4, atol=1e-5)
    built = build(graph, tmp_path / "bundle").run(given)
    np.testing.assert_allclose(built["y"], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("align", [0, 1])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_volumes_are_sampled_as_onnx_says(tmp_path: Path, padding: str, align: int) -> None:
    shapes = {"x": [2, 3, 4, 3, 5], "grid": [2, 2, 3, 4, 3]}
    made = model("GridSample", shapes, padding_mode=padding, align_corners=align)
    given = numbers(shapes)
    wanted = reference.ReferenceEvaluator(made).run(None, given)[0]
    graph = load_graph(saved(made, tmp_path)).graph
    np.testing.assert_allclose(evaluate(graph, given)["y"], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("op", "shapes", "attrs"),
    [
        ("GridSample", {"x": [1, 1, 4, 4], "g": [1, 2, 2, 3]}, {}),
        ("GridSample", {"x": [1, 1, 4, 4], "g": [2, 2, 2, 2]}, {}),
        ("GridSample", {"x": [1, 1, 4, 4], "g": [1, 2, 2, 2]}, {"mode": "lanczos"}),
        ("GridSample", {"x": [1, 1, 4, 4], "g": [1, 2, 2, 2]}, {"padding_mode": "wrap"}),
        ("GridSample", {"x": [1, 1, 2, 4, 4], "g": [1, 2, 2, 2, 3]}, {"mode": "cubic"}),
        ("GridSample", {"x": [4, 4], "g": [4, 2]}, {}),
        ("DeformConv", {**DEFORMED, "offset": [2, 24, 3, 4]}, {"group": 2, "offset_group": 2}),
        ("DeformConv", DEFORMED, {"group": 3, "offset_group": 2}),
        ("DeformConv", DEFORMED, {"group": 2, "offset_group": 0}),
        ("DeformConv", DEFORMED, {"group": 2, "offset_group": 1 << 40}),
        ("DeformConv", DEFORMED, {"group": 2, "offset_group": 2, "strides": [0, 1]}),
        ("DeformConv", DEFORMED, {"group": 2, "offset_group": 2, "pads": [1]}),
        ("DeformConv", {"x": [1, 1, 9], "w": [1, 1, 3], "offset": [1, 3, 7]}, {}),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, op: str, shapes: dict[str, list[int]], attrs: dict[str, Any]
) -> None:
    with pytest.raises(FanlightError, match="E-FORMAT-012") as caught:
        load_graph(saved(model(op, shapes, **attrs), tmp_path))
    assert op in str(caught.value) and "model.onnx" in str(caught.value)


def test_bits_of_floats_that_depend_on_inputs_are_refused(tmp_path: Path) -> None:
    made = model("BitCast", {"x": [3]}, opset=26, to=INT32)
    made.graph.output[0].type.tensor_type.elem_type = INT32
    with pytest.raises(FanlightError, match="E-FORMAT-019"):
        load_graph(saved(made, tmp_path))


def test_bitcast_keeps_the_width(tmp_path: Path) -> None:
    with pytest.raises(FanlightError, match="as wide"):
        load_graph(saved(model("BitCast", {"x": [3]}, opset=26, to=INT8), tmp_path))

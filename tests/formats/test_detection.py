"""Detectors of objects as graph-models: sizes that their roles tell, and TF.js's answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from tests.formats.test_guess import node, placeholder, written
from tests.support import relative_error
from tools import models_table

FLOAT = {"type": "DT_FLOAT"}


def enter(name: str, x: str) -> dict[str, Any]:
    return node(name, "Enter", x, frame_name={"s": "bG9vcA=="})


def resized_in_a_loop(*element: int) -> list[dict[str, Any]]:
    """Every picture of a batch made of one size, as the preprocessing of detectors does it."""
    dims = {"shape": {"dim": [{"size": str(d)} for d in element]}}
    return [
        placeholder(2, 5, 7, 3),
        node("given", "TensorArrayV3", "two", dtype=FLOAT),
        node("places", "Range", "zero", "two", "one"),
        node("pictures", "TensorArrayScatterV3", "given", "places", "x", "given:1"),
        node("made", "TensorArrayV3", "two", dtype=FLOAT),
        enter("i0", "zero"), enter("flow0", "made:1"), enter("limit", "two"),
        enter("from", "given"), enter("all", "pictures"), enter("to", "made"),
        node("i", "Merge", "i0", "i3"), node("flow", "Merge", "flow0", "flow3"),
        node("less", "Less", "i", "limit"), node("go", "LoopCond", "less"),
        node("i1", "Switch", "i", "go"), node("flow1", "Switch", "flow", "go"),
        node("now", "Identity", "i1:1"),
        node("item", "TensorArrayReadV3", "from", "now", "all", dtype=FLOAT),
        node("batch", "ExpandDims", "item", "axis"),
        node("resized", "ResizeBilinear", "batch", "size"),
        node("alone", "Squeeze", "resized", squeeze_dims={"list": {"i": ["0"]}}),
        node("flow2", "TensorArrayWriteV3", "to", "now", "alone", "flow1:1"),
        node("i2", "Add", "now", "step"),
        node("i3", "NextIteration", "i2"), node("flow3", "NextIteration", "flow2"),
        node("end", "Exit", "flow1"),
        node("count", "TensorArraySizeV3", "made", "end"),
        node("order", "Range", "zero", "count", "one"),
        node("y", "TensorArrayGatherV3", "made", "order", "end", element_shape=dims, dtype=FLOAT),
    ]  # fmt: skip


def batch_of_two() -> list[dict[str, Any]]:
    """`two`, as the first size of x."""
    return [
        node("s", "Shape", "x"),
        node("two", "StridedSlice", "s", "at", "next", "next", shrink_axis_mask={"i": "1"}),
    ]


INTS: dict[str, Any] = {
    **dict.fromkeys(("zero", "one", "axis", "step"), ((), "int32")),
    **dict.fromkeys(("at", "next"), ((1,), "int32")),
    "size": ((2,), "int32"),
}


def moved_into_the_loop(path: Path, *names: str) -> Path:
    """Constants as nodes of the loop's body, which say so by what must run before them."""
    model = json.loads(path.read_text())
    for entry in model["modelTopology"]["node"]:
        if entry["name"] in names:
            entry["input"] = ["^now"]
    path.write_text(json.dumps(model))
    return path


@pytest.mark.parametrize("inside", [(), ("axis", "size", "step")], ids=["outside", "inside"])
def test_pictures_of_a_loop_have_the_size_that_their_list_is_read_with(
    tmp_path: Path, inside: tuple[str, ...]
) -> None:
    path = written(tmp_path, [*resized_in_a_loop(6, 9, 3), *batch_of_two()], INTS)
    model = fl.load(moved_into_the_loop(path, *inside), weights="random")
    told = {n: model.source.constants[n].tolist() for n in INTS}
    assert told["size"] == [6, 9] and told["step"] == 1 and told["axis"] == 0
    assert [t.shape for _, t in model.outputs] == [(2, 6, 9, 3)]
    bundle = fl.build(model, tmp_path / "bundle")
    x = {"x": np.random.default_rng(1).uniform(0, 1, (2, 5, 7, 3)).astype(np.float32)}
    np.testing.assert_allclose(bundle.run(x)["y"], model(x)["y"], rtol=1e-5, atol=1e-6)


def test_pictures_of_a_loop_have_the_size_that_is_asked_behind_it(tmp_path: Path) -> None:
    """Where the list does not say it, what follows may: here a sum with a known tensor."""
    nodes = [*resized_in_a_loop(), *batch_of_two()]
    nodes[-3] = node("read", "TensorArrayGatherV3", "made", "order", "end", dtype=FLOAT)
    nodes.append(node("y", "AddV2", "read", "more"))
    weights = {**INTS, "more": ((4, 8, 3), "float32")}
    model = fl.load(written(tmp_path, nodes, weights), weights="random")
    assert model.source.constants["size"].tolist() == [4, 8]
    assert [t.shape for _, t in model.outputs] == [(2, 4, 8, 3)]


def level(name: str, filters: int) -> list[dict[str, Any]]:
    """Boxes and scores of one picture: `filters` rows at each place, of 4 and of 5 numbers."""
    conv = {"strides": {"list": {"i": ["1", filters, filters, "1"]}}, "padding": {"s": "U0FNRQ=="}}
    return [
        node(f"{name}/boxes", "Conv2D", "x", f"{name}/b", **conv),
        node(f"{name}/scores", "Conv2D", "x", f"{name}/s", **conv),
        node(f"{name}/shape4", "Pack", "batch", f"{name}/rows", "one", "sides"),
        node(f"{name}/shape3", "Pack", "batch", f"{name}/rows", "classes"),
        node(f"{name}/box_rows", "Reshape", f"{name}/boxes", f"{name}/shape4"),
        node(f"{name}/score_rows", "Reshape", f"{name}/scores", f"{name}/shape3"),
    ]


def detector() -> tuple[list[dict[str, Any]], dict[str, Any]]:
    nodes = [
        # The scores come first: what their rows are is known from the boxes only.
        node("scores", "ConcatV2", "l/score_rows", "m/score_rows", "one"),
        node("chances", "Sigmoid", "scores"),
        node("classes_only", "Slice", "chances", "begin", "extent"),
        placeholder(1, 6, 8, 3),
        node("s", "Shape", "x"),
        node("batch", "StridedSlice", "s", "at", "next", "next", shrink_axis_mask={"i": "1"}),
        *level("l", 1),
        *level("m", 2),
        node("boxes", "ConcatV2", "l/box_rows", "m/box_rows", "one"),
        node("narrow", "Squeeze", "boxes", squeeze_dims={"list": {"i": ["2"]}}),
        node("lines", "Reshape", "narrow", "line"),
        node("turned", "Transpose", "lines", "perm"),
        node("side", "Unpack", "turned", num={"i": "4"}, axis={"i": "0"}),
        node("top", "Exp", "side"),
        node("again", "Pack", "top", "side:1", "side:2", "side:3", axis={"i": "0"}),
        node("back", "Transpose", "again", "perm2"),
        node("counted", "Shape", "narrow"),
        node("batch2", "StridedSlice", "counted", "at", "next", "next",
             shrink_axis_mask={"i": "1"}),
        node("shape", "Pack", "batch2", "all", "sides"),
        node("found", "Reshape", "back", "shape"),
        node("y", "ExpandDims", "found", "dim"),
    ]  # fmt: skip
    weights: dict[str, Any] = {
        **dict.fromkeys(("at", "next"), ((1,), "int32")),
        **dict.fromkeys(
            ("one", "sides", "classes", "l/rows", "m/rows", "all", "dim"), ((), "int32")
        ),
        **dict.fromkeys(("begin", "extent"), ((3,), "int32")),
        **dict.fromkeys(("line", "perm", "perm2"), ((2,), "int32")),
        "l/b": ((1, 1, 3, 12), "float32"), "l/s": ((1, 1, 3, 15), "float32"),
        "m/b": ((1, 1, 3, 24), "float32"), "m/s": ((1, 1, 3, 30), "float32"),
    }  # fmt: skip
    return nodes, weights


def test_boxes_and_scores_become_rows(tmp_path: Path) -> None:
    nodes, weights = detector()
    model = fl.load(written(tmp_path, nodes, weights), weights="random")
    told = {n: model.source.constants[n].tolist() for n in weights}
    # 3 boxes at each of 6 x 8 places, and 6 at each of 3 x 4.
    assert (told["l/rows"], told["m/rows"], told["all"]) == (144, 72, 216)
    assert (told["one"], told["sides"], told["classes"], told["dim"]) == (1, 4, 5, 2)
    assert told["line"] == [216, 4] and told["perm"] == told["perm2"] == [1, 0]
    assert told["begin"] == [0, 0, 1] and told["extent"] == [-1, -1, -1]
    assert {n: t.shape for n, t in model.outputs} == {
        "classes_only": (1, 216, 4),
        "y": (1, 216, 1, 4),
    }
    bundle = fl.build(model, tmp_path / "bundle")
    x = {"x": np.random.default_rng(1).uniform(0, 1, (1, 6, 8, 3)).astype(np.float32)}
    ours, run = model(x), bundle.run(x)
    assert all(relative_error(run[n], ours[n]) < 1e-5 for n in ours)


@pytest.mark.parametrize(("places", "copies"), [(49, [7, 7, 1]), (48, [48, 1, 1]), (1, [1, 1, 1])])
def test_boxes_of_some_sizes_are_laid_at_all_places(
    tmp_path: Path, places: int, copies: list[int]
) -> None:
    nodes = [
        placeholder(1, 3),
        node("sizes", "Mul", "widths", "part"),
        node("grid_w", "Reshape", "sizes", "shape"),
        node("grid_h", "Reshape", "heights", "shape"),
        node("w", "Tile", "grid_w", "copies"),
        node("h", "Tile", "grid_h", "copies"),
        node("both", "Pack", "w", "h", axis={"i": "3"}),
        node("rows", "Reshape", "both", "pairs"),
        node("half", "Mul", "half_of", "rows"),
        node("corners", "Sub", "centers", "half"),
        node("mean", "Mean", "x", "axes"),
        node("y", "AddV2", "corners", "mean"),
    ]
    weights: dict[str, Any] = {
        "widths": ((3,), "float32"), "heights": ((3,), "float32"),
        "part": ((), "float32"), "half_of": ((), "float32"),
        "centers": ((places * 3, 2), "float32"),
        **dict.fromkeys(("shape", "copies"), ((3,), "int32")),
        "pairs": ((2,), "int32"), "axes": ((2,), "int32"),
    }  # fmt: skip
    model = fl.load(written(tmp_path, nodes, weights), weights="random")
    told = {n: model.source.constants[n].tolist() for n in weights}
    assert told["copies"] == copies and told["pairs"][-1] in (2, -1)
    assert [t.shape for _, t in model.outputs] == [(places * 3, 2)]


# --- real ones ------------------------------------------------------------------------------------

MODELS = Path("data", "models")
# What the models give, as their makers say: scores of 90 classes, boxes for each of these.
COCO = {"Postprocessor/Slice": (1, 1917, 90), "Postprocessor/ExpandDims_1": (1, 1917, 1, 4)}
REAL: dict[str, dict[str, tuple[int, ...]]] = {
    "topologies-only/coco-ssd-lite-uint16.json": COCO,
    "topologies-only/coco-ssd-mobilenet_v1.json": COCO,
    "topologies-only/coco-ssd-ssdlite_mobilenet_v2.json": COCO,
    "handtrack-ssd320fpnlite-uint8/model.json": {
        "Identity": (1, 100), "Identity_1": (1, 100, 4), "Identity_2": (1, 100),
        "Identity_3": (1, 100, 8), "Identity_4": (1, 100), "Identity_5": (1,),
        "Identity_6": (1, 12804, 4), "Identity_7": (1, 12804, 8),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n in REAL if "lite" not in n or "hand" in n])
def test_detectors_answer_as_tfjs_does(shared: Path, name: str) -> None:
    if models_table.packages() is None:
        pytest.skip("TF.js is not in node_modules: make setup")
    row = models_table.measure(shared / MODELS / name)
    assert row.get("finite") and row.get("difference", 1.0) <= models_table.LIMIT, row


@pytest.mark.parametrize("name", REAL)
def test_detectors_run_as_webassembly(shared: Path, tmp_path: Path, name: str) -> None:
    bare = "topologies-only" in name
    model = fl.load(shared / MODELS / name, weights="random" if bare else "stored", size=120)
    assert {n: t.shape for n, t in model.outputs} == REAL[name]
    ((port, type),) = model.inputs
    pixels = np.random.default_rng(2).integers(0, 256, type.bound).astype(type.dtype)
    bundle = fl.build(model, tmp_path / "bundle")
    ours, run = model({port: pixels}), bundle.run({port: pixels})
    assert all(relative_error(run[n], ours[n]) < 1e-4 for n in ours)

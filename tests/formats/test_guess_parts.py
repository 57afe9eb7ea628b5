"""Topologies without weights: parts that outputs tell, shapes by places, windows, limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.formats.random_weights import random_array
from tests.formats.test_guess import node, placeholder, written

Weights = dict[str, tuple[tuple[int, ...], str]]


def loaded(folder: Path, nodes: list[dict[str, Any]], weights: Weights, **outputs: Any) -> Any:
    """The model of these nodes; `outputs` are the dims of its output nodes."""
    declared = {
        name: {"name": f"{name}:0", "tensorShape": {"dim": [{"size": str(d)} for d in dims]}}
        for name, dims in outputs.items()
    }
    path = written(folder, nodes, weights, {"outputs": declared} if declared else None)
    return fl.load(path, weights="random")


def test_parts_of_channels_are_told_by_the_outputs(tmp_path: Path) -> None:
    """Two heads of a detector whose channels come first, as exporters from ONNX write it."""
    nodes = [
        placeholder(1, 6, 6, 2),
        node("a", "Conv2D", "x", "wa", strides={"list": {"i": ["1", "1", "1", "1"]}},
             padding={"s": "VkFMSUQ="}),
        node("b", "MaxPool", "a", strides={"list": {"i": ["1", "2", "2", "1"]}},
             ksize={"list": {"i": ["1", "2", "2", "1"]}}, padding={"s": "VkFMSUQ="}),
        node("none", "SparseToDense", "places", "size", "values", "zero"),
        node("shape", "AddV2", "dims", "none"),
    ]  # fmt: skip
    weights: Weights = {
        "wa": ((1, 1, 2, 9), "float32"),
        "places": ((0, 1), "int32"), "size": ((1,), "int32"), "values": ((0,), "int32"),
        "zero": ((), "int32"), "dims": ((3,), "int32"), "others": ((3,), "int32"),
    }  # fmt: skip
    for head in ("a", "b"):
        nodes += [
            node(f"{head}1", "Transpose", head, f"{head}_first"),
            node(f"{head}2", "SplitV", f"{head}1", f"{head}_sizes", f"{head}_dim"),
            node(f"{head}3", "Sigmoid", f"{head}2"),
            node(f"{head}4", "Reshape", f"{head}3", "shape"),
            node(f"{head}5", "Reshape", f"{head}2:1", "others"),
            node(f"{head}_scores", "Transpose", f"{head}4", f"{head}_turn"),
            node(f"{head}_boxes", "Transpose", f"{head}5", f"{head}_turn"),
        ]
        weights |= {
            f"{head}_first": ((4,), "int32"), f"{head}_sizes": ((2,), "int32"),
            f"{head}_dim": ((), "int32"), f"{head}_turn": ((3,), "int32"),
        }  # fmt: skip
    shapes = {
        "a_scores": (1, 36, 5), "a_boxes": (1, 36, 4), "b_scores": (1, 9, 5), "b_boxes": (1, 9, 4),
    }  # fmt: skip
    model = loaded(tmp_path, nodes, weights, **shapes)
    assert {n: t.shape for n, t in model.outputs} == shapes
    told = model.source.constants
    assert told["dims"].tolist() == [1, 5, -1] and told["others"].tolist() == [1, 4, -1]
    assert told["a_sizes"].tolist() == [5, 4] and told["a_dim"] == 1 and told["size"] == [3]
    found = model({"x": np.ones((1, 6, 6, 2), np.float32)})
    assert all(np.isfinite(y).all() for y in found.values())


def framed(parts: int, hop: bool) -> tuple[list[dict[str, Any]], Weights]:
    """x cut into overlapping frames, as tf.signal.frame does it when sizes are open."""
    nodes = [
        node("s", "Shape", "x"),
        node("p", "SplitV", "s", "parted", "zero"),
        node("n", "Reshape", "p:1", "none"),
        node("shares", "FloorDiv", "n", "share"),
        node("whole", "Mul", "shares", "share2"),
        node("whole1", "ExpandDims", "whole", "zero"),
        node("ends", "ConcatV2", "p", "whole1", "p:2", "zero"),
        node("cut", "StridedSlice", "x", "begin", "ends", "ones"),
        node("pack", "Pack", "shares", "share3"),
        node("shape", "ConcatV2", "p", "pack", "p:2", "zero"),
        node("sub", "Reshape", "cut", "shape"),
        node("rest", "Sub", "n", "length"),
        node("steps", "FloorDiv", "rest", "step"),
        node("more", "AddV2", "one", "steps"),
        node("count", "Maximum", "least", "more"),
        node("turns", "Range", "first", "count", "one2"),
        node("column", "Pack", "count", "one3"),
        node("starts", "Reshape", "at" if hop else "turns", "column"),
        node("places", "AddV2", "starts", "row"),
        node("gathered", "GatherV2", "sub", "places", "axis"),
        node("pair", "Pack", "count", "length2"),
        node("size", "ConcatV2", "p", "pair", "p:2", "zero"),
        node("frames", "Reshape", "gathered", "size"),
    ]
    single = [
        "share", "share2", "share3", "length", "length2", "step", "one", "one2", "one3", "least",
        "first", "axis", "zero",
    ]  # fmt: skip
    weights: Weights = dict.fromkeys(single, ((), "int32"))
    weights |= {"none": ((0,), "int32"), "row": ((1, parts), "int32"), "parted": ((3,), "int32")}
    if hop:
        nodes.append(node("at", "Mul", "turns", "hop"))
        weights["hop"] = ((), "int32")
    return nodes, weights


def test_windows_tell_how_long_frames_are(tmp_path: Path) -> None:
    nodes, weights = framed(parts=4, hop=True)
    weights |= {"begin": ((1,), "int32"), "ones": ((1,), "int32"), "window": ((8,), "float32")}
    nodes += [placeholder(40), node("y", "Mul", "frames", "window")]
    model = loaded(tmp_path, nodes, weights)
    told = {n: int(v) for n, v in model.source.constants.items() if not np.shape(v)}
    assert (told["length"], told["share"], told["hop"], told["step"]) == (8, 2, 2, 4)
    x = np.arange(40, dtype=np.float32)
    cut = np.lib.stride_tricks.sliding_window_view(x, 8)[::4]
    np.testing.assert_allclose(
        model({"x": x})["y"], cut * model.source.constants["window"], rtol=1e-6
    )


def test_frames_of_rows_take_all_of_them_where_nothing_tells_more(tmp_path: Path) -> None:
    nodes, weights = framed(parts=3, hop=False)
    weights |= {"begin": ((2,), "int32"), "ones": ((2,), "int32")}
    model = loaded(tmp_path, [placeholder(11, 5), *nodes], weights)
    assert [t.shape for _, t in model.outputs] == [(1, 9, 5)]
    x = np.arange(55, dtype=np.float32).reshape(11, 5)
    np.testing.assert_array_equal(model({"x": x})["frames"], x[None, :9])


def test_spectra_are_long_enough_and_logarithms_of_their_sums_are_finite(tmp_path: Path) -> None:
    nodes = [
        placeholder(3, 10), node("longer", "Pad", "x", "more"),
        node("f", "RFFT", "longer", "length"), node("power", "ComplexAbs", "f"),
        node("bands", "MatMul", "power", "w"), node("above", "AddV2", "bands", "tiny"),
        node("y", "Log", "above"),
    ]  # fmt: skip
    weights: Weights = {
        "more": ((2, 2), "int32"), "length": ((1,), "int32"), "w": ((9, 4), "float32"),
        "tiny": ((), "float32"),
    }  # fmt: skip
    model = loaded(tmp_path, nodes, weights)
    told = model.source.constants
    assert told["more"].tolist() == [[0, 0], [0, 6]] and told["length"] == [16]
    y = model({"x": np.random.default_rng(1).normal(size=(3, 10)).astype(np.float32)})["y"]
    assert np.isfinite(y).all() and y.std() > 0


def test_a_longer_tensor_gets_the_dim_that_is_squeezed_again(tmp_path: Path) -> None:
    """A convolution along one dim, as Keras and TensorFlow have it."""
    nodes = [
        placeholder(1, 9, 4), node("wide", "ExpandDims", "x", "dim"),
        node("c", "Conv2D", "wide", "w", strides={"list": {"i": ["1", "1", "1", "1"]}},
             padding={"s": "VkFMSUQ="}),
        node("y", "Squeeze", "c", squeeze_dims={"list": {"i": ["2"]}}),
    ]  # fmt: skip
    weights: Weights = {"dim": ((), "int32"), "w": ((3, 1, 4, 6), "float32")}
    model = loaded(tmp_path, nodes, weights)
    assert [t.shape for _, t in model.outputs] == [(1, 7, 6)]
    assert model.source.constants["dim"] == 2


def test_sequences_of_words_of_which_nothing_is_known_but_their_places(tmp_path: Path) -> None:
    """Limits let all places pass; a mask is as long as its rows; -1 is an axis and a shape."""
    nodes = [
        node("column", "StridedSlice", "places", "begin", "end", "strides",
             shrink_axis_mask={"i": "2"}, begin_mask={"i": "1"}, end_mask={"i": "1"}),
        node("short", "Less", "column", "most"),
        node("kept", "Where", "short"),
        node("flat", "Reshape", "kept", "last"),
        node("at", "GatherV2", "places", "flat", "zero"),
        node("words", "GatherV2", "x", "flat", "zero"),
        node("ends", "Max", "at", "zero"),
        node("ends1", "AddV2", "ends", "ones"),
        node("size", "Maximum", "least", "ends1"),
        node("rows", "SparseToDense", "at", "size", "words", "none"),
        node("real", "Cast", "rows", DstT={"type": "DT_FLOAT"}),
        node("mean", "Mean", "real", "last", keep_dims={"b": True}),
        node("there", "Greater", "rows", "none"),
        node("whole", "Cast", "there", DstT={"type": "DT_INT32"}),
        node("lengths", "Sum", "whole", "sum_dim"),
        node("tall", "ExpandDims", "lengths", "mask_dim"),
        node("s", "Shape", "rows"),
        node("wide", "StridedSlice", "s", "one", "two", "one", shrink_axis_mask={"i": "1"}),
        node("turns", "Range", "start", "wide", "step"),
        node("mask", "Less", "turns", "tall"),
    ]  # fmt: skip
    holders = [
        {"name": n, "op": "Placeholder",
         "attr": {"dtype": {"type": "DT_INT32"}, "shape": {"shape": {
             "dim": [{"size": str(d)} for d in dims]}}}}
        for n, dims in (("x", (5,)), ("places", (5, 2)))
    ]  # fmt: skip
    ints: Weights = dict.fromkeys(
        ("most", "zero", "least", "none", "sum_dim", "mask_dim", "start", "step"), ((), "int32")
    )
    weights = ints | dict.fromkeys(("begin", "end", "strides", "ones"), ((2,), "int32"))
    weights |= dict.fromkeys(("one", "two", "last"), ((1,), "int32"))
    path = written(tmp_path, [*holders, *nodes], weights)
    places = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1]]
    model = fl.load(path, weights="random", input_values={"places": places})
    found = model({"x": np.array([4, 2, 7, 1, 3], np.int32)})
    told = model.source.constants
    there = np.array([[True, True, True], [True, True, False]])
    lengths = there.sum(int(told["sum_dim"]))
    np.testing.assert_array_equal(found["mask"], np.arange(3) < lengths[:, None])
    np.testing.assert_allclose(found["mean"].reshape(-1), [13 / 3, 4 / 3], rtol=1e-6)
    assert told["last"].tolist() == [-1] and told["none"] == 0 and told["most"] > 1000


def test_products_of_tensors_keep_all_dims_but_the_last(tmp_path: Path) -> None:
    """A dense layer on [batch, places, channels], as TensorFlow writes it out."""
    nodes = [
        placeholder(2, 3, 4), node("s", "Shape", "x"),
        node("kept", "GatherV2", "s", "free", "zero"),
        node("rows", "Prod", "kept", "all"),
        node("flat", "Pack", "rows", "wide"),
        node("m", "Reshape", "x", "flat"), node("p", "MatMul", "m", "w"),
        node("shape", "ConcatV2", "kept", "units", "zero"), node("y", "Reshape", "p", "shape"),
        node("s2", "Shape", "y"), node("end", "Slice", "s2", "from", "count"),
        node("shape2", "ConcatV2", "rest", "end", "zero"), node("z", "Reshape", "y", "shape2"),
        node("soft", "Softmax", "z"),
    ]  # fmt: skip
    weights: Weights = dict.fromkeys(("zero", "wide"), ((), "int32"))
    weights |= dict.fromkeys(("all", "units", "from", "count", "rest"), ((1,), "int32"))
    weights |= {"free": ((2,), "int32"), "w": ((4, 5), "float32")}
    model = loaded(tmp_path, nodes, weights)
    assert [t.shape for _, t in model.outputs] == [(6, 5)]
    told = model.source.constants
    assert told["free"].tolist() == [0, 1] and told["units"] == [5] and told["from"] == [2]


def test_damaged_patterns_load_or_one_coded_error_says_why(tmp_path: Path) -> None:
    """Each node of a cutting in turn loses its last input, or becomes another op."""
    nodes, weights = framed(parts=4, hop=True)
    weights |= {"begin": ((1,), "int32"), "ones": ((1,), "int32"), "window": ((8,), "float32")}
    nodes += [placeholder(40), node("y", "Mul", "frames", "window")]
    loaded_, refused = 0, 0
    for at in range(len(nodes)):
        for change in ({"input": nodes[at].get("input", [])[:-1]}, {"op": "Reshape"}):
            damaged = [*nodes[:at], nodes[at] | change, *nodes[at + 1 :]]
            try:
                loaded(tmp_path, damaged, weights)
                loaded_ += 1
            except FanlightError as error:
                assert error.code.startswith(("E-FORMAT-", "E-OP-")), error
                assert "that the reader does not expect" not in error.message, (nodes[at], error)
                refused += 1
    assert loaded_ > 3 and refused > 20


@pytest.mark.parametrize(("features", "heads"), [(128, (4, 32)), (768, (12, 64)), (64, (2, 32))])
def test_heads_of_attention_have_the_usual_size(
    tmp_path: Path, features: int, heads: tuple[int, int]
) -> None:
    nodes = [
        placeholder(1, 5, features),
        node("sizes", "Pack", "one", "tokens", "heads", "size"),
        node("apart", "Reshape", "x", "sizes"),
        node("turned", "Transpose", "apart", "perm"),
    ]
    weights: Weights = {
        "one": ((), "int32"), "tokens": ((), "int32"), "heads": ((), "int32"),
        "size": ((), "int32"), "perm": ((4,), "int32"),
    }  # fmt: skip
    model = loaded(tmp_path, nodes, weights, turned=(1, heads[0], 5, heads[1]))
    assert model.outputs[0][1].shape == (1, heads[0], 5, heads[1])
    rows = np.arange(5 * features, dtype=np.float32).reshape(1, 5, features)
    found = model(rows)
    np.testing.assert_array_equal(found, rows.reshape(1, 5, *heads).transpose(0, 2, 1, 3))


def test_what_only_scales_shrinks_so_that_sums_of_branches_stay_finite() -> None:
    shrinks = random_array("layer_1/output/FakeLayerNorm/gamma", (512,))
    normal = random_array("layer_1/output/LayerNorm/gamma", (512,))
    assert abs(shrinks.mean() - 0.5) < 0.02
    assert abs(normal.mean() - 1) < 0.02

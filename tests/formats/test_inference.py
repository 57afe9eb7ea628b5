"""Shapes that are told from behind, and the constants of topologies that these tell."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.formats.tfgraph import inference, tellers  # noqa: F401  (fills the table)
from fanlight.formats.tfgraph.inference import Shapes
from fanlight.formats.tfgraph.nodes import GraphNode, Ref, parse_nodes
from tests.formats.test_guess import node, placeholder, written

I32 = "int32"


def shapes(nodes: list[dict[str, Any]], told: dict[str, Any], **known: list[int]) -> Shapes:
    """What these nodes tell of each other's shapes."""
    parsed: dict[str, GraphNode] = parse_nodes({"node": nodes}, "here")

    def partly(ref: Ref, count: int) -> list[int | None]:
        found = known.get(ref.node, [])
        return [*found] if len(found) == count else [None] * count

    made = Shapes(parsed, lambda r: known.get(r.node), partly)
    for name, dims in told.items():
        made.tell(Ref(name), dims)
    made.settle()
    return made


@pytest.mark.parametrize(
    ("nodes", "told", "name", "dims"),
    [
        # Columns beside each other are equally long; a sum with a row of 17 is of 17 rows.
        (
            [
                node("sum", "AddV2", "x", "row"),
                node("flat", "Reshape", "sum", "shape"),
                node("y", "Pack", "column", "flat", axis={"i": "1"}),
            ],
            {"row": (1, 17, 1), "x": (1, 17, None), "column": (1700,), "shape": (1,)},
            "x",
            (1, 17, 100),
        ),
        # What is dropped is 1, and so is what was added to it.
        (
            [
                node("sum", "AddV2", "a", "b"),
                node("y", "Squeeze", "sum", squeeze_dims={"list": {"i": ["0"]}}),
            ],
            {"a": (None, None), "b": (None, 6)},
            "a",
            (1, None),
        ),
        # Parts differ from the whole in the dim in which they are joined.
        (
            [node("y", "ConcatV2", "a", "b", "axis")],
            {"a": (1, 6, None), "b": (1, 6, 5), "y": (1, 6, 56)},
            "a",
            (1, 6, 51),
        ),
        # Six elements are too few for a dim of 64.
        (
            [node("y", "GreaterEqual", "a", "b"), node("b", "Reshape", "c", "shape")],
            {"a": (64, 64, 1), "c": (6, 1), "shape": (3,)},
            "b",
            (1, 1, 6),
        ),
        (
            [
                node("y", "Unpack", "x", num={"i": "2"}, axis={"i": "2"}),
                node("z", "Add", "y", "y:1"),
            ],
            {"z": (1, 6)},
            "x",
            (1, 6, 2),
        ),
        (
            [node("y", "Conv2D", "x", "w", strides={"list": {"i": ["1", "2", "2", "1"]}},
                  padding={"s": "U0FNRQ=="})],
            {"x": (1, 9, 8, None), "w": (3, 3, 4, 5)},
            "y",
            (1, 5, 4, 5),
        ),
        (
            [node("y", "StridedSlice", "x", "b", "e", "s", new_axis_mask={"i": "4"},
                  begin_mask={"i": "3"}, end_mask={"i": "3"})],
            {"x": (5, 6, 7), "b": (4,), "e": (4,), "s": (4,)},
            "y",
            (5, 6, 1, None),
        ),
        (
            [node("y", "StridedSlice", "x", "b", "e", "s", ellipsis_mask={"i": "1"})],
            {"x": (5, 6, 7), "b": (2,), "e": (2,), "s": (2,), "y": (None, None, 4)},
            "y",
            (5, 6, 4),
        ),
        (
            [
                node("y", "Split", "axis", "x", num_split={"i": "4"}),
                node("z", "ConcatV2", "y", "y:1", "y:2", "y:3", "axis"),
            ],
            {"x": (1, 6, None), "y": (None, None, None), "z": (None, 6, 8), "axis": ()},
            "x",
            (1, 6, None),
        ),
    ],
)  # fmt: skip
def test_ops_tell_each_other_of_their_shapes(
    nodes: list[dict[str, Any]], told: dict[str, Any], name: str, dims: tuple[int | None, ...]
) -> None:
    assert shapes(nodes, told).dims(Ref(name)) == dims


def test_frames_are_as_long_as_their_transform(tmp_path: Path) -> None:
    """257 frequencies, as a matrix behind them takes, are those of 512 numbers."""
    nodes = [
        node("wave", "RFFT", "frames", "length"),
        node("real", "Real", "wave"),
        node("imaginary", "Imag", "wave"),
        node("both", "ConcatV2", "real", "imaginary", "first"),
        node("y", "MatMul", "both", "weights"),
    ]
    told = {"weights": (257, 48), "frames": (None, None), "length": (1,)}
    made = shapes(nodes, told, first=[0])
    assert made.dims(Ref("wave")) == (None, 257)
    assert made.supposed(made.nodes["wave"]).dims(Ref("frames")) == (None, 512)
    assert made.dims(Ref("frames")) == (None, None)


def test_what_contradicts_is_left_out() -> None:
    made = shapes([node("y", "Relu", "x")], {"x": (2, 3)})
    made.tell(Ref("y"), (2, 4))
    made.tell(Ref("y"), (2, 3, 1))
    assert made.dims(Ref("y")) == (2, 3)
    made.tell_total(Ref("z"), 12)
    made.tell(Ref("z"), (5, None))
    assert made.dims(Ref("z")) is None
    made.tell(Ref("z"), (4, None))
    assert made.dims(Ref("z")) == (4, 3)


def test_supposed_shapes_change_nothing_that_is_told() -> None:
    nodes = [node("s", "Sum", "x", "axis"), node("y", "Less", "s", "other")]
    made = shapes(nodes, {"axis": (), "other": (2, 3), "x": (None,) * 3})
    asked = made.nodes["y"]
    assert made.supposed(asked).dims(Ref("s")) == (2, 3)
    assert made.supposed(asked).dims(Ref("x")) == (2, 3, None)
    assert made.dims(Ref("s")) == (None, None)


def test_many_nodes_are_told_of_in_time() -> None:
    nodes = [node(f"n{i + 1}", "Relu", f"n{i}") for i in range(4000)]
    made = shapes(nodes, {"n0": (3, 4)})
    assert made.dims(Ref("n4000")) == (3, 4)


def test_turns_and_moves_grow_with_the_number_of_nodes() -> None:
    """Chains that meet at their ends: classes that become one, over and over."""
    count = 2000
    nodes = [node(f"n{i + 1}", "Relu", f"n{i}") for i in range(count)]
    made = shapes([*nodes[::2], *nodes[1::2]], {f"n{count}": (3, 4)})
    assert made.dims(Ref("n0")) == (3, 4)
    assert made._turns < 4 * count


def test_at_some_point_nothing_more_is_supposed(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [node("s", "Sum", "x", "axis"), node("y", "Less", "s", "other")]
    made = shapes(nodes, {"axis": (), "other": (2, 3), "x": (None,) * 3})
    monkeypatch.setattr(inference, "_SUPPOSITIONS", 1)
    asked = made.nodes["y"]
    assert made.supposed(asked).dims(Ref("s")) == (2, 3)
    assert made.supposed(asked).dims(Ref("s")) == (None, None)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_damaged_nodes_tell_nothing_wrong(count: int) -> None:
    """Too few inputs or too many, numbers of wrong lengths: no teller fails at them."""
    names = ["a", "b", "c", "d", "e"][:count]
    cases = itertools.product(
        sorted(inference.TELLERS),
        [(), (2, 3), (1, 2, 3, 4)],
        [[], [0], [-9, 70], [0] * 7],
    )
    for op, ranks, numbers in cases:
        told = dict.fromkeys(names, ranks) | {"y": ranks}
        attrs: dict[str, Any] = {k: {"i": "3"} for k in ("num", "num_split", "axis")}
        attrs["strides"] = attrs["ksize"] = {"list": {"i": ["0", "1", "2"]}}
        for given in ({}, attrs):
            known = dict.fromkeys(names, numbers)
            made = shapes([node("y", op, *names, **given)], told, **known)
            made.supposed(made.nodes["y"])


# --- constants ------------------------------------------------------------------------------------

PICKED = [
    # The best places of every key point; columns of as many numbers beside them say how many.
    placeholder(1, 3, 40),
    node("best", "TopKV2", "x", "k"),
    node("at", "AddV2", "best:1", "start"),
    node("flat", "Reshape", "at", "row"),
    node("column", "Reshape", "flat", "vector"),
    node("rows", "Pack", "zeros", "zeros", "column", axis={"i": "1"}),
    node("found", "GatherNd", "table", "rows"),
    node("back", "Reshape", "found", "pairs"),
    node("parts", "Unpack", "back", num={"i": "2"}, axis={"i": "2"}),
    node("y", "AddV2", "parts", "parts:1"),
]


@pytest.mark.parametrize(
    ("nodes", "weights", "shape", "constants"),
    [
        (
            PICKED,
            {
                "k": ((), I32), "start": ((1, 3, 1), I32), "row": ((2,), I32),
                "vector": ((1,), I32), "zeros": ((21,), I32), "table": ((1, 1, 120, 2), "float32"),
                "pairs": ((3,), I32),
            },
            (1, 21),
            {"k": 7, "row": [1, 21], "vector": [21], "pairs": [1, 21, 2]},
        ),
        # Repeated along a new dim, to be compared with what is known.
        (
            [
                placeholder(1, 5, 3),
                node("most", "Max", "x", "axis"),
                node("sum", "AddV2", "most", "row"),
                node("new", "ExpandDims", "sum", "dim"),
                node("all", "Tile", "new", "times"),
                node("y", "Select", "mask", "all", "other"),
                node("mask", "Less", "other", "other"),
            ],
            {
                "axis": ((), I32), "dim": ((), I32), "times": ((3,), I32),
                "row": ((1, 3), "float32"), "other": ((1, 4, 3), "float32"),
            },
            (1, 4, 3),
            {"axis": 1, "dim": 0, "times": [1, 4, 1]},
        ),
        # A later Reshape brings back the dims that an earlier one has joined.
        (
            [
                placeholder(1, 3, 7),
                node("flat", "Reshape", "x", "row"),
                node("two", "Pack", "flat", "flat", axis={"i": "2"}),
                node("back", "Reshape", "two", "shape"),
                node("turned", "Transpose", "back", "perm"),
                node("y", "MatMul", "last", "w"),
                node("last", "Reshape", "turned", "rows"),
            ],
            {
                "row": ((2,), I32), "shape": ((4,), I32), "perm": ((4,), I32), "rows": ((2,), I32),
                "w": ((42, 2), "float32"),
            },
            (1, 2),
            {"row": [1, 21], "shape": [1, 3, 7, 2], "perm": [0, 2, 1, 3]},
        ),
        # A new last dim, for numbers beside the others.
        (
            [
                placeholder(1, 6, 4),
                node("score", "Max", "x", "axis"),
                node("column", "ExpandDims", "score", "dim"),
                node("y", "ConcatV2", "x", "column", "last"),
            ],
            {"axis": ((), I32), "dim": ((), I32), "last": ((), I32)},
            (1, 6, 5),
            {"axis": 2, "dim": 2, "last": 2},
        ),
    ],
)  # fmt: skip
def test_constants_are_told_from_behind(
    nodes: list[dict[str, Any]],
    weights: dict[str, Any],
    shape: tuple[int, ...],
    constants: dict[str, Any],
    tmp_path: Path,
) -> None:
    model = fl.load(written(tmp_path, nodes, weights), weights="random")
    told = {n: model.source.constants[n].tolist() for n in constants}
    assert told == constants
    assert [t.shape for _, t in model.outputs] == [shape]
    x = np.random.default_rng(1).uniform(size=model.inputs[0][1].bound).astype(np.float32)
    assert np.isfinite(model({"x": x})["y"]).all()


def test_what_a_root_is_taken_of_is_not_negative(tmp_path: Path) -> None:
    nodes = [
        placeholder(3, 4),
        node("power", "Square", "x"),
        node("mean", "Mul", "power", "shares"),
        node("y", "Sqrt", "mean"),
    ]
    model = fl.load(written(tmp_path, nodes, {"shares": ((4,), "float32")}), weights="random")
    assert model.source.constants["shares"].min() >= 0
    x = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    assert np.isfinite(model({"x": x})["y"]).all()


def signal_frames(parts: int) -> list[dict[str, Any]]:
    """What tf.signal.frame makes of a signal, and a matrix that its spectra go through."""
    return [
        placeholder(64),
        node("shape", "Shape", "x"),
        node("size", "Reshape", "shape", "none"),
        node("share", "FloorDiv", "size", "subframe"),
        node("whole", "Mul", "share", "subframe"),
        node("end", "ExpandDims", "whole", "zero"),
        node("ends", "ConcatV2", "end", "zero"),
        node("cut", "StridedSlice", "x", "from", "ends", "by"),
        node("pieces", "Pack", "share", "subframe"),
        node("rows", "Reshape", "cut", "pieces"),
        node("rest", "Sub", "size", "long"),
        node("turns", "FloorDiv", "rest", "subframe"),
        node("more", "AddV2", "one", "turns"),
        node("count", "Maximum", "zero", "more"),
        node("range", "Range", "zero", "count", "one"),
        node("column", "Pack", "count", "one"),
        node("starts", "Reshape", "range", "column"),
        node("places", "AddV2", "starts", "beside"),
        node("found", "GatherV2", "rows", "places", "zero"),
        node("two", "Pack", "count", "long"),
        node("frames", "Reshape", "found", "two"),
        node("wave", "RFFT", "frames", "transform"),
        node("real", "Real", "wave"),
        node("y", "MatMul", "real", "weights"),
    ]


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_signals_are_cut_into_frames_that_their_transform_takes(parts: int, tmp_path: Path) -> None:
    weights: dict[str, Any] = {
        **dict.fromkeys(("subframe", "zero", "long", "one"), ((), I32)),
        **dict.fromkeys(("from", "by", "transform"), ((1,), I32)),
        "none": ((0,), I32), "beside": ((1, parts), I32), "weights": ((9, 5), "float32"),
    }  # fmt: skip
    model = fl.load(written(tmp_path, signal_frames(parts), weights), weights="random")
    told = {n: model.source.constants[n].tolist() for n in ("subframe", "long", "beside")}
    assert told == {"subframe": 16 // parts, "long": 16, "beside": [list(range(parts))]}
    x = np.random.default_rng(1).normal(size=64).astype(np.float32)
    step = 16 // parts
    frames = np.stack([x[i : i + 16] for i in range(0, 64 - 16 + 1, step)])
    expected = np.fft.rfft(frames).real @ model.source.constants["weights"]
    np.testing.assert_allclose(model({"x": x})["y"], expected, rtol=1e-3, atol=1e-3)


def function(
    name: str, arguments: dict[str, int], nodes: list[dict[str, Any]], ret: list[str]
) -> dict[str, Any]:
    """A function of the library; arguments with the numbers of their dtypes."""
    outputs = [{"name": f"o{i}", "type": 3} for i in range(len(ret))]
    inputs = [{"name": a, "type": t} for a, t in arguments.items()]
    return {
        "signature": {"name": name, "inputArg": inputs, "outputArg": outputs},
        "nodeDef": nodes,
        "ret": {f"o{i}": r for i, r in enumerate(ret)},
    }


def with_functions(path: Path, *functions: dict[str, Any]) -> Path:
    model = json.loads(path.read_text())
    model["modelTopology"]["library"] = {"function": list(functions)}
    path.write_text(json.dumps(model))
    return path


def const(name: str) -> dict[str, Any]:
    return {"name": name, "op": "Const", "attr": {}}


F32 = {"type": "DT_FLOAT"}
LOOP = {"cond": {"func": {"name": "cond"}}, "body": {"func": {"name": "body"}}}


def test_loops_in_functions_are_told_their_limits(tmp_path: Path) -> None:
    """tf.map_fn: the limit and the step are constants of the functions."""
    arguments = {"i": 3, "n": 3, "at": 3, "out": 21, "rows": 21}
    cond = function(
        "cond",
        arguments,
        [const("cond/most"), node("go", "Less", "at", "cond/most:output:0")],
        ["go:z:0"],
    )
    body = function(
        "body",
        arguments,
        [
            const("body/one"), const("body/two"), const("body/shape"), const("body/axis"),
            node("next", "AddV2", "at", "body/one:output:0"),
            node("turn", "AddV2", "i", "body/two:output:0"),
            node("item", "TensorListGetItem", "rows", "at", "body/shape:output:0",
                 element_dtype=F32),
            node("wide", "ConcatV2", "item:item:0", "item:item:0", "body/axis:output:0"),
            node("set", "TensorListSetItem", "out", "at", "wide:output:0"),
        ],
        ["turn:z:0", "n", "next:z:0", "set:output_handle:0", "rows"],
    )  # fmt: skip
    nodes = [
        placeholder(3, 2, 4),
        node("list", "TensorListFromTensor", "x", "row", element_dtype=F32),
        node("empty", "TensorListReserve", "row", "count", element_dtype=F32),
        node("loop", "StatelessWhile", "zero", "limit", "first", "empty", "list", **LOOP),
        node("y", "TensorListStack", "loop:3", "row", element_dtype=F32),
    ]
    ints = dict.fromkeys(
        ("zero", "first", "limit", "count", "cond/most", "body/one", "body/two", "body/axis"),
        ((), I32),
    )
    weights = {**ints, "row": ((2,), I32), "body/shape": ((2,), I32)}
    path = with_functions(written(tmp_path, nodes, weights), cond, body)
    model = fl.load(path, weights="random")
    told = {n: int(model.source.constants[n]) for n in ints}
    assert (told["cond/most"], told["body/one"], told["body/axis"]) == (3, 1, 1)
    x = np.arange(24, dtype=np.float32).reshape(3, 2, 4)
    np.testing.assert_array_equal(model({"x": x})["y"], np.concatenate([x, x], 2))


def test_steps_are_as_wide_as_what_a_recurrent_loop_multiplies_them_by(tmp_path: Path) -> None:
    """Columns of a picture one after another, through a layer of 8 -> 5 numbers."""
    arguments = {"at": 3, "n": 3, "out": 21, "rows": 21, "w": 1}
    cond = function("cond", arguments, [node("go", "Less", "at", "n")], ["go:z:0"])
    body = function(
        "body",
        arguments,
        [
            const("body/one"), const("body/shape"),
            node("next", "AddV2", "at", "body/one:output:0"),
            node("item", "TensorListGetItem", "rows", "at", "body/shape:output:0",
                 element_dtype=F32),
            node("made", "MatMul", "item:item:0", "w"),
            node("set", "TensorListSetItem", "out", "at", "made:product:0"),
        ],
        ["next:z:0", "n", "set:output_handle:0", "rows", "w"],
    )  # fmt: skip
    nodes = [
        placeholder(1, 2, 3, 4),
        node("columns", "Transpose", "x", "order"),
        node("wide", "Reshape", "columns", "shape"),
        node("steps", "Transpose", "wide", "first"),
        node("list", "TensorListFromTensor", "steps", "row", element_dtype=F32),
        node("empty", "TensorListReserve", "row", "count", element_dtype=F32),
        node("loop", "StatelessWhile", "zero", "limit", "empty", "list", "weight", **LOOP),
        node("all", "TensorListStack", "loop:2", "row", element_dtype=F32),
        node("y", "Transpose", "all", "last"),
    ]
    weights = {
        **dict.fromkeys(("zero", "limit", "count", "body/one"), ((), I32)),
        **dict.fromkeys(("shape", "first", "last"), ((3,), I32)),
        "order": ((4,), I32), "row": ((2,), I32), "body/shape": ((2,), I32),
        "weight": ((8, 5), "float32"),
    }  # fmt: skip
    path = with_functions(written(tmp_path, nodes, weights), cond, body)
    model = fl.load(path, weights="random")
    told = {n: model.source.constants[n].tolist() for n in ("order", "shape", "first", "last")}
    assert told == {
        "order": [0, 2, 1, 3], "shape": [1, 3, 8], "first": [1, 0, 2], "last": [1, 0, 2]
    }  # fmt: skip
    x = np.random.default_rng(1).normal(size=(1, 2, 3, 4)).astype(np.float32)
    expected = x.transpose(0, 2, 1, 3).reshape(1, 3, 8) @ model.source.constants["weight"]
    np.testing.assert_allclose(model({"x": x})["y"], expected, rtol=1e-4, atol=1e-5)


def test_products_over_the_last_dim_are_told_by_their_shapes(tmp_path: Path) -> None:
    """tf.tensordot, as a Dense layer on steps makes it."""
    nodes = [
        placeholder(1, 6, 4),
        node("shape", "Shape", "x"),
        node("kept", "GatherV2", "shape", "free", "zero"),
        node("summed", "GatherV2", "shape", "axes", "zero"),
        node("rows", "Prod", "kept", "all"),
        node("columns", "Prod", "summed", "all"),
        node("two", "Pack", "rows", "columns"),
        node("flat", "Reshape", "x", "two"),
        node("product", "MatMul", "flat", "w"),
        node("made", "ConcatV2", "kept", "width", "zero"),
        node("y", "Reshape", "product", "made"),
    ]
    weights = {
        "free": ((2,), I32), "axes": ((1,), I32), "zero": ((), I32), "all": ((1,), I32),
        "width": ((1,), I32), "w": ((4, 5), "float32"),
    }  # fmt: skip
    model = fl.load(written(tmp_path, nodes, weights), weights="random")
    told = {n: model.source.constants[n].tolist() for n in ("free", "axes", "width")}
    assert told == {"free": [0, 1], "axes": [2], "width": [5]}
    assert [t.shape for _, t in model.outputs] == [(1, 6, 5)]


def test_boxes_that_a_loop_keeps_are_filled_up_to_as_many_as_there_can_be(tmp_path: Path) -> None:
    """The suppression of YOLO's export: map_fn over the batch, results padded to a fixed count."""
    arguments = {"at": 3, "n": 3, "out": 21, "boxes": 21, "scores": 21}
    cond = function("cond", arguments, [node("go", "Less", "at", "n")], ["go:z:0"])
    body = function(
        "body",
        arguments,
        [
            *map(const, ("one", "open", "zero_at", "limit", "most", "overlap", "least", "axis")),
            *map(const, ("begin", "end", "step", "rest", "before")),
            node("next", "AddV2", "at", "one:output:0"),
            node("box", "TensorListGetItem", "boxes", "at", "open:output:0", element_dtype=F32),
            node("score", "TensorListGetItem", "scores", "at", "zero_at:output:0",
                 element_dtype=F32),
            node("kept", "NonMaxSuppressionV3", "box:item:0", "score:item:0", "limit:output:0",
                 "overlap:output:0", "least:output:0"),
            node("found", "GatherV2", "box:item:0", "kept:selected_indices:0", "axis:output:0"),
            node("shape", "Shape", "found:output:0"),
            node("count", "StridedSlice", "shape:output:0", "begin:output:0", "end:output:0",
                 "step:output:0", shrink_axis_mask={"i": "1"}),
            node("more", "Sub", "most:output:0", "count:output:0"),
            node("first", "Pack", "before:output:0", "more:z:0"),
            node("pairs", "Pack", "first:output:0", "rest:output:0"),
            node("filled", "Pad", "found:output:0", "pairs:output:0"),
            node("set", "TensorListSetItem", "out", "at", "filled:output:0"),
        ],
        ["next:z:0", "n", "set:output_handle:0", "boxes", "scores"],
    )  # fmt: skip
    nodes = [
        placeholder(1, 6, 9),
        node("part", "StridedSlice", "x", "from", "to", "by", ellipsis_mask={"i": "1"}),
        node("sides", "TensorListFromTensor", "part", "row", element_dtype=F32),
        node("sure", "Max", "x", "last"),
        node("list", "TensorListFromTensor", "sure", "single", element_dtype=F32),
        node("empty", "TensorListReserve", "row", "size", element_dtype=F32),
        node("loop", "StatelessWhile", "start", "turns", "empty", "sides", "list", **LOOP),
        node("y", "TensorListStack", "loop:2", "row", element_dtype=F32),
    ]
    numbers = ("one", "limit", "most", "axis", "before", "start", "turns", "size", "last")
    weights = {
        **dict.fromkeys(numbers, ((), I32)),
        **dict.fromkeys(("zero_at", "begin", "end", "step", "single"), ((1,), I32)),
        **dict.fromkeys(("open", "rest", "row", "from", "to", "by"), ((2,), I32)),
        **dict.fromkeys(("overlap", "least"), ((), "float32")),
    }
    path = with_functions(written(tmp_path, nodes, weights), cond, body)
    model = fl.load(path, weights="random")
    told = {n: model.source.constants[n].tolist() for n in ("limit", "most", "turns", "last")}
    assert told == {"limit": 6, "most": 6, "turns": 1, "last": 2}
    assert [t.shape for _, t in model.outputs] == [(1, 6, 4)]
    x = np.random.default_rng(1).uniform(size=(1, 6, 9)).astype(np.float32)
    found = model({"x": x})["y"]
    kept = found[0][found[0].any(1)]
    assert len(kept) and all((kept == row).all(1).any() for row in kept)
    rows = [np.isin(x[0], row).sum(1).max() for row in kept]
    assert rows == [4] * len(kept)  # each is the sides of one of the boxes


def test_a_signature_tells_a_size_that_its_placeholder_leaves_open(tmp_path: Path) -> None:
    shape = {"dim": [{"size": s} for s in ("1", "-1", "-1", "3")]}
    nodes = [
        {"name": "x", "op": "Placeholder", "attr": {"shape": {"shape": shape}}},
        node("y", "Relu", "x"),
    ]
    path = written(tmp_path, nodes, {})
    model = json.loads(path.read_text())
    size = {"dim": [{"size": s} for s in ("1", "6", "8", "3")]}
    model["signature"] = {
        "inputs": {"x": {"name": "x:0", "dtype": "DT_FLOAT", "tensorShape": size}},
        "outputs": {"y": {"name": "y:0"}},
    }
    path.write_text(json.dumps(model))
    assert fl.load(path, weights="random").inputs[0][1].shape == (1, 6, 8, 3)
    given = fl.load(path, weights="random", size=5)
    assert given.inputs[0][1].shape == (1, 5, 5, 3)

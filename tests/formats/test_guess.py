"""Topologies without weights: the shapes and axes among these are told by their roles."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.formats.tfgraph.roles import Guesser, fitted
from tools import models_table

# Small ones of shared/data/models, and what TF.js must say of them.
SMALL = [
    "topologies-only/handpose-detector.json",
    "topologies-only/mobilefacenet.json",
    "topologies-only/next-word-lstm-layers.json",
    "text-prediction-layers/nwp.json",
]


def written(
    folder: Path,
    nodes: list[dict[str, Any]],
    weights: dict[str, Any],
    signature: dict[str, Any] | None = None,
) -> Path:
    """A graph-model of these nodes that lacks its weight files."""
    consts = [{"name": n, "op": "Const"} for n in weights]
    entries = [
        {"name": n, "shape": list(shape), "dtype": dtype} for n, (shape, dtype) in weights.items()
    ]
    model = {
        "modelTopology": {"node": [*nodes, *consts]},
        "weightsManifest": [{"paths": ["absent.bin"], "weights": entries}],
    }
    if signature is not None:
        model["signature"] = signature
    path = folder / "model.json"
    path.write_text(json.dumps(model))
    return path


def placeholder(*dims: int) -> dict[str, Any]:
    shape = {"dim": [{"size": str(d)} for d in dims]}
    return {"name": "x", "op": "Placeholder", "attr": {"shape": {"shape": shape}}}


def node(name: str, op: str, *inputs: str, **attrs: Any) -> dict[str, Any]:
    return {"name": name, "op": op, "input": list(inputs), "attr": attrs}


FIRST = {"shrink_axis_mask": {"i": "1"}}  # a number of a vector, not a vector of one


def window(size: int) -> dict[str, Any]:
    """The attributes of a pooling without padding, as far apart as it is wide."""
    sides = {"list": {"i": ["1", str(size), str(size), "1"]}}
    return {"ksize": sides, "strides": sides, "padding": {"s": "VkFMSUQ="}}


@pytest.mark.parametrize(
    ("nodes", "weights", "shape", "constants"),
    [
        (
            [placeholder(1, 6, 8, 3), node("y", "Mean", "x", "axes")],
            {"axes": ((2,), "int32")},
            (1, 3),
            {"axes": [1, 2]},
        ),
        (
            [
                placeholder(1, 4, 4, 2),
                node("flat", "Reshape", "x", "shape"),
                node("y", "MatMul", "flat", "w"),
            ],
            {"shape": ((2,), "int32"), "w": ((32, 5), "float32")},
            (1, 5),
            {"shape": [1, 32]},
        ),
        (
            [
                placeholder(1, 4, 4, 2),
                node("s", "Shape", "x"),
                node("n", "StridedSlice", "s", "zero", "one", "one", shrink_axis_mask={"i": "1"}),
                node("shape", "Pack", "n", "rest"),
                node("flat", "Reshape", "x", "shape"),
                node("y", "MatMul", "flat", "w"),
            ],
            {
                "zero": ((1,), "int32"),
                "one": ((1,), "int32"),
                "rest": ((), "int32"),
                "w": ((32, 5), "float32"),
            },
            (1, 5),
            {"zero": [0], "one": [1], "rest": 32},
        ),
        (
            [placeholder(1, 4, 5, 2), node("y", "ConcatV2", "x", "more", "axis")],
            {"more": ((1, 4, 7, 2), "float32"), "axis": ((), "int32")},
            (1, 4, 12, 2),
            {"axis": 2},
        ),
        (
            [placeholder(1, 4, 5, 2), node("y", "ResizeBilinear", "x", "size")],
            {"size": ((2,), "int32")},
            (1, 8, 10, 2),
            {"size": [8, 10]},
        ),
        (  # the resized part comes first, and takes the size of what it is joined with
            [
                placeholder(1, 6, 9, 2),
                node("pooled", "AvgPool", "x", **window(3)),
                node("large", "ResizeBilinear", "pooled", "size"),
                node("other", "Relu", "x"),
                node("y", "ConcatV2", "large", "other", "axis"),
            ],
            {"size": ((2,), "int32"), "axis": ((), "int32")},
            (1, 6, 9, 4),
            {"size": [6, 9], "axis": 3},
        ),
        (  # classes of a picture, of which a part is cut out: so large the picture has to be
            [
                placeholder(1, 12, 12, 2),
                node("small", "AvgPool", "x", **window(4)),
                node("large", "ResizeBilinear", "small", "size"),
                node("class", "ArgMax", "large", "last"),
                node("shape", "Shape", "x"),
                node("side", "StridedSlice", "shape", "one", "two", "one", **FIRST),
                node("part", "Pack", "batch", "side", "side"),
                node("cut", "Slice", "class", "begin", "part"),
                node("y", "Cast", "cut", DstT={"type": "DT_FLOAT"}),
            ],
            {
                "size": ((2,), "int32"),
                "last": ((), "int32"),
                "one": ((1,), "int32"),
                "two": ((1,), "int32"),
                "begin": ((3,), "int32"),
                "batch": ((), "int32"),
            },
            (1, 12, 12),
            {"size": [12, 12], "last": 3, "begin": [0, 0, 0]},
        ),
    ],
)
def test_roles_tell_what_constants_are(
    nodes: list[dict[str, Any]],
    weights: dict[str, Any],
    shape: tuple[int, ...],
    constants: dict[str, Any],
    tmp_path: Path,
) -> None:
    model = fl.load(written(tmp_path, nodes, weights), weights="random")
    assert [t.shape for _, t in model.outputs] == [shape]
    for name, value in constants.items():
        assert model.source.constants[name].tolist() == value, name
    x = np.ones(model.inputs[0][1].bound, np.float32)
    assert np.isfinite(model({"x": x})["y"]).all()


def test_loops_over_lists_are_told_their_counters_and_limits(tmp_path: Path) -> None:
    def enter(name: str, x: str) -> dict[str, Any]:
        return node(name, "Enter", x, frame_name={"s": "bG9vcA=="})

    nodes = [
        placeholder(3, 4),
        enter("i0", "zero"), enter("s0", "sums"), enter("n", "limit"), enter("d", "step"),
        enter("rows", "list"),
        node("list", "TensorListFromTensor", "x", "row", element_dtype={"type": "DT_FLOAT"}),
        node("i", "Merge", "i0", "i3"), node("s", "Merge", "s0", "s3"),
        node("less", "Less", "i", "n"), node("go", "LoopCond", "less"),
        node("i1", "Switch", "i", "go"), node("s1", "Switch", "s", "go"),
        node("i2", "AddV2", "i1:1", "d"), node("i3", "NextIteration", "i2"),
        node("item", "TensorListGetItem", "rows", "i1:1", "row",
             element_dtype={"type": "DT_FLOAT"}),
        node("s2", "AddV2", "s1:1", "item"), node("s3", "NextIteration", "s2"),
        node("y", "Exit", "s1"),
    ]  # fmt: skip
    ints = dict.fromkeys(("zero", "limit", "step"), ((), "int32"))
    weights = {**ints, "row": ((1,), "int32"), "sums": ((4,), "float32")}
    model = fl.load(written(tmp_path, nodes, weights), weights="random")
    told = {n: int(model.source.constants[n]) for n in ints}
    assert told == {"zero": 0, "limit": 3, "step": 1}
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    expected = x.sum(0) + model.source.constants["sums"]
    np.testing.assert_allclose(model({"x": x})["y"], expected, rtol=1e-5)


def test_what_nobody_tells_is_refused_by_name(tmp_path: Path) -> None:
    nodes = [placeholder(1, 4), node("y", "Cumsum", "x", "axis")]
    with pytest.raises(FanlightError, match=r"(?s)E-FORMAT-024.*'axis'.*Cumsum"):
        fl.load(written(tmp_path, nodes, {"axis": ((), "int32")}), weights="random")


def test_constants_that_lie_about_their_size_are_refused(tmp_path: Path) -> None:
    nodes = [placeholder(1, 4), node("y", "Mean", "x", "axes")]
    with pytest.raises(FanlightError, match="E-FORMAT-023"):
        fl.load(written(tmp_path, nodes, {"axes": ((1 << 25,), "int32")}), weights="random")


def test_roles_are_not_looked_for_on_every_way_through_a_graph(tmp_path: Path) -> None:
    """20 sums of 20 sums each, 12 times: there are 20 ** 12 ways."""
    nodes = [placeholder(1, 6), node("first", "Reshape", "x", "shape")]
    above = ["first"]
    for layer in range(12):
        sums = [f"s{layer}_{i}" for i in range(20)]
        nodes += [node(name, "AddN", *above, N={"i": str(len(above))}) for name in sums]
        above = sums
    nodes.append(node("y", "AddN", *above, N={"i": "20"}))
    model = fl.load(written(tmp_path, nodes, {"shape": ((2,), "int32")}), weights="random")
    assert [t.shape for _, t in model.outputs] == [(1, 6)]


@pytest.mark.parametrize(
    ("total", "dims", "shape", "found"),
    [
        (24, [None, 12], (2, 3, 4), [2, 12]),
        (24, [1, None, 4], (1, 2, 3, 4), [1, 6, 4]),
        (24, [2, None, None], (2, 3, 4), [2, 3, 4]),
        (24, [None, 4], (2, 3, 4), [6, 4]),
        (24, [5, None], (2, 3, 4), None),
        (24, [2, 3], (2, 3, 4), None),
    ],
)
def test_shapes_that_fit(total: int, dims: list[Any], shape: Any, found: Any) -> None:
    assert fitted(total, dims, shape) == found


@pytest.mark.parametrize("name", SMALL)
def test_small_models_answer_as_tfjs_does(shared: Path, name: str) -> None:
    if models_table.packages() is None:
        pytest.skip("TF.js is not in node_modules: make setup")
    row = models_table.measure(shared / "data" / "models" / name)
    assert row.get("finite") and row.get("difference", 1.0) <= models_table.LIMIT, row


def test_sums_over_many_unknown_axes_are_guessed_in_bounded_time(tmp_path: Path) -> None:
    """Of 26 dims 13: ten million choices."""
    nodes = [placeholder(*[1] * 26), node("y", "Sum", "x", "axes")]
    path = written(tmp_path, nodes, {"axes": ((13,), "int32")})
    assert len(fl.load(path, weights="random").outputs[0][1].shape) == 13


def test_a_shape_that_thousands_share_is_asked_of_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8,000 Reshapes of one unknown shape: work is counted, not timed."""
    asked = 0
    expected = Guesser.expected

    def counted(self: Guesser, name: str, rank: int) -> list[int | None]:
        nonlocal asked
        asked += 1
        return expected(self, name, rank)

    monkeypatch.setattr(Guesser, "expected", counted)
    names = [f"r{i}" for i in range(8000)]
    nodes = [placeholder(2, 12), *(node(n, "Reshape", "x", "shape") for n in names)]
    nodes.append(node("y", "AddN", *names))
    source = load_graph(written(tmp_path, nodes, {"shape": ((2,), "int32")}), weights="random")
    assert source.constants["shape"].tolist() == [-1, 12]
    assert 0 < asked < 100


def calls(run: Callable[[], object]) -> int:
    """How many functions of Python are called."""
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(before)
    return count


def test_twice_as_many_shapes_are_at_most_twice_the_work(tmp_path: Path) -> None:
    """Reshapes of one result each; all have one unknown shape, whose result is summed."""

    def made(count: int) -> int:
        names = [f"r{i}" for i in range(count)]
        nodes = [placeholder(2, 12), node("y", "AddN", *names)]
        for i, name in enumerate(names):
            nodes += [node(f"a{i}", "Relu", "x"), node(name, "Reshape", f"a{i}", "shape")]
        path = written(tmp_path, nodes, {"shape": ((2,), "int32")})
        return calls(lambda: load_graph(path, weights="random"))

    made(10)  # what is imported on the way counts once
    assert made(1000) < 2.1 * made(500)

"""Results that are as long as numbers want: bounded tensors and counts, against TensorFlow.js."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.formats.counts import Count
from fanlight.formats.source import Source
from fanlight.graph import Builder, evaluate, verify
from tests.formats import crafted, graph_peer
from tests.formats.crafted import ints, node, placeholder, write_tfjs

Arrays = dict[str, np.ndarray]
RNG = np.random.default_rng(5)
TYPES = {"float32": "DT_FLOAT", "int32": "DT_INT32", "bool": "DT_BOOL"}


def i32(*values: Any) -> np.ndarray:
    return np.array(values, np.int32)


def whole(value: int) -> np.ndarray:
    return np.array(value, np.int32)


def written(
    folder: Path,
    nodes: Sequence[Any],
    known: Mapping[str, Any],
    fed: Arrays,
    outputs: Sequence[str],
) -> Path:
    holders = [placeholder(n, *a.shape, dtype=TYPES[str(a.dtype)]) for n, a in fed.items()]
    topology, stored = crafted.graph_of(
        [*nodes, *holders], {n: np.asarray(a) for n, a in known.items()}
    )
    signature = {
        "inputs": {n: {"name": f"{n}:0"} for n in fed},
        "outputs": {o.replace(":", "_"): {"name": o if ":" in o else f"{o}:0"} for o in outputs},
    }
    return write_tfjs(folder, topology, stored, signature=signature, format="graph-model")


def trimmed(source: Source, found: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs, each cut to its count."""
    made = []
    for port in source.outputs:
        if port.name.endswith("_count"):
            said = next(w for w in source.warnings if f"{port.name[:-6]!r}" in w)
            axis = int(said.split("along dim ")[1].split(",")[0])
            made[-1] = np.take(made[-1], range(int(found[port.name])), axis=axis)
        else:
            made.append(found[port.name])
    return made


def check(
    folder: Path,
    nodes: Sequence[Any],
    known: Mapping[str, Any],
    feeds: Sequence[Arrays],
    outputs: Sequence[str],
) -> Source:
    """Ours, by NumPy and as WebAssembly, and TF.js give the same; returns the source."""
    path = written(folder, nodes, known, feeds[0], outputs)
    source = load_graph(path)
    verify(source.graph)
    bundle = fl.build(fl.load(path), folder / "bundle")
    told = graph_peer.run_all([(path.parent, fed, outputs) for fed in feeds])
    for fed, expected in zip(feeds, told, strict=True):
        runs = (evaluate(source.graph, fed), bundle.run(fed))
        for found in runs:
            ours = trimmed(source, found)
            assert len(ours) == len(expected)
            for a, b in zip(ours, expected, strict=True):
                assert a.shape == b.shape, (outputs, a.shape, b.shape)
                np.testing.assert_allclose(
                    a.astype(np.float64), b.astype(np.float64), rtol=1e-5, atol=1e-5
                )
    return source


def boxes(count: int) -> Arrays:
    corner = RNG.uniform(0, 6, (count, 2)).astype(np.float32)
    size = RNG.uniform(1, 4, (count, 2)).astype(np.float32)
    scores = RNG.permutation(np.linspace(-1, 1, count)).astype(np.float32)
    return {"boxes": np.concatenate([corner, corner + size], 1), "scores": scores}


LIMITS = {
    "most": whole(6),
    "iou": np.float32(0.4),
    "least": np.float32(0.1),
    "sigma": np.float32(0),
}
NMS = {
    "NonMaxSuppressionV2": (["most", "iou"], 1),
    "NonMaxSuppressionV3": (["most", "iou", "least"], 1),
    "NonMaxSuppressionV4": (["most", "iou", "least"], 2),
    "NonMaxSuppressionV5": (["most", "iou", "least", "sigma"], 2),
}


@pytest.mark.parametrize("op", NMS)
def test_non_max_suppression(tmp_path: Path, op: str) -> None:
    names, count = NMS[op]
    known = {n: LIMITS[n] for n in names}
    attr = {"pad_to_max_output_size": {"b": False}} if op.endswith("V4") else {}
    nodes = [node(op, "n", "boxes", "scores", *names, **attr)]
    nodes += [node("GatherV2", "chosen", "boxes", "n", "zero")]
    outputs = ["n", "chosen"] if count == 1 or op.endswith("V4") else ["n", "n:1", "chosen"]
    feeds = [boxes(12) for _ in range(3)]
    check(tmp_path, nodes, {**known, "zero": whole(0)}, feeds, outputs)


def test_what_pads_to_a_known_size_is_of_a_known_size(tmp_path: Path) -> None:
    """The way of the object detection API: count, 6 - count zeros, concat, and rows of boxes."""
    nodes = [
        node("NonMaxSuppressionV3", "n", "boxes", "scores", "most", "iou", "least"),
        node("Shape", "shape", "n"),
        node("StridedSlice", "count", "shape", "at0", "at1", "at1", shrink_axis_mask={"i": "1"}),
        node("Sub", "left", "most", "count"),
        node("Reshape", "row", "left", "one_row"),
        node("Fill", "zeros", "row", "zero"),
        node("ConcatV2", "padded", "n", "zeros", "axis"),
        node("GatherV2", "chosen", "boxes", "padded", "axis"),
        node("Less", "real", "range", "count"),
        node("GatherV2", "points", "scores", "padded", "axis"),
        node("Select", "kept", "real", "points", "lows"),
        node("Cast", "valid", "count", DstT={"type": "DT_FLOAT"}),
    ]
    known = {
        **{n: LIMITS[n] for n in ("most", "iou", "least")},
        "at0": i32(0),
        "at1": i32(1),
        "one_row": i32(1),
        "zero": whole(0),
        "axis": whole(0),
        "range": np.arange(6, dtype=np.int32),
        "lows": np.full(6, -1, np.float32),
    }
    feeds = [boxes(12) for _ in range(3)]
    source = check(tmp_path, nodes, known, feeds, ["chosen", "kept", "valid"])
    assert not source.warnings
    assert [o.name for o in source.outputs] == ["chosen", "kept", "valid"]


SHAPES = [
    node("Greater", "mask", "x", "half"),
    node("Where", "at", "mask"),
    node("Reshape", "flat", "at", "minus"),
    node("GatherV2", "picked", "x", "flat", "zero"),
]


def follow(
    tmp_path: Path, more: Sequence[Any], known: Mapping[str, Any], outs: list[str]
) -> Source:
    """A row cut to its numbers above 1/2, and what is done with them."""
    feeds = [{"x": RNG.uniform(0, 1, 9).astype(np.float32)} for _ in range(3)]
    feeds.append({"x": np.full(9, 0.75, np.float32)})
    fixed = {"half": np.float32(0.5), "minus": i32(-1), "zero": whole(0)}
    return check(tmp_path, [*SHAPES, *more], {**fixed, **known}, feeds, outs)


def test_elementwise_and_joining(tmp_path: Path) -> None:
    more = [
        node("Mul", "twice", "picked", "two"),
        node("AddV2", "sum", "twice", "picked"),
        node("ExpandDims", "column", "sum", "one"),
        node("ConcatV2", "both", "picked", "three", "sum", "zero", N={"i": "3"}),
        node("Pack", "pairs", "picked", "sum", axis={"i": "1"}),
        node("MatMul", "product", "pairs", "matrix"),
        node("Softmax", "soft", "product"),
        node("Transpose", "turned", "pairs", "perm"),
        node("Size", "size", "pairs"),
        node("Unpack", "un", "pairs", num={"i": "2"}, axis={"i": "1"}),
        node("Reshape", "line", "pairs", "minus"),
    ]
    known = {
        "two": np.float32(2),
        "one": whole(1),
        "three": np.arange(3, dtype=np.float32),
        "matrix": np.arange(8, dtype=np.float32).reshape(2, 4),
        "perm": i32(1, 0),
    }
    outs = ["column", "both", "soft", "turned", "size", "un:1", "line"]
    source = follow(tmp_path, more, known, outs)
    assert len(source.warnings) == 6


def test_reductions_do_not_see_what_is_behind(tmp_path: Path) -> None:
    kinds = ("Sum", "Prod", "Max", "Min", "Mean")
    more = [node(k, k.lower(), "picked", "axes", keep_dims={"b": False}) for k in kinds]
    more += [node("ArgMax", "best", "picked", "zero")]
    more += [node("Pack", "pairs", "picked", "picked", axis={"i": "1"})]
    more += [node("Sum", "across", "pairs", "ones", keep_dims={"b": True})]
    known = {"axes": i32(0), "ones": i32(1)}
    source = follow(tmp_path, more, known, [*(k.lower() for k in kinds), "best", "across"])
    assert len(source.warnings) == 1


def test_cutting_and_sorting(tmp_path: Path) -> None:
    more = [
        node("Shape", "shape", "picked"),
        node("StridedSlice", "count", "shape", "at0", "at1", "at1", shrink_axis_mask={"i": "1"}),
        node("TopKV2", "top", "picked", "count", sorted={"b": True}),
        node("Range", "range", "zero", "count", "one"),
        node("Minimum", "few", "count", "three"),
        node("TopKV2", "topfew", "picked", "few", sorted={"b": True}),
        node("Slice", "cut", "picked", "at0", "size3"),
        node("StridedSlice", "upto", "x", "at0", "shape", "at1"),
        node("Sub", "left", "nine", "count"),
        node("Pack", "pad", "zero", "left", axis={"i": "0"}),
        node("ExpandDims", "pads", "pad", "zero"),
        node("Pad", "padded", "picked", "pads"),
        node("Greater", "high", "picked", "most"),
        node("Cast", "ones", "high", DstT={"type": "DT_INT32"}),
        node("Sum", "sum", "ones", "at0"),
        node("Greater", "more", "few", "sum"),
        node("Select", "least", "more", "sum", "few"),
        node("Range", "ranks", "zero", "least", "one"),
        node("GatherV2", "first", "picked", "ranks", "zero"),
    ]
    known = {"at0": i32(0), "at1": i32(1), "one": whole(1), "three": whole(3), "size3": i32(-1)}
    outs = ["top", "top:1", "range", "topfew", "cut", "upto", "padded", "first"]
    source = follow(tmp_path, more, {**known, "nine": whole(9), "most": np.float32(0.7)}, outs)
    assert "padded_count" not in [o.name for o in source.outputs]


def test_places_of_several_dims_go_into_gather_nd(tmp_path: Path) -> None:
    nodes = [
        node("Greater", "mask", "x", "half"),
        node("Where", "at", "mask"),
        node("GatherNd", "picked", "x", "at"),
        node("ScatterNd", "spread", "at", "picked", "shape"),
        node("StridedSlice", "rows", "at", "a", "b", "c", begin_mask={"i": "1"},
             end_mask={"i": "1"}, shrink_axis_mask={"i": "2"}),
    ]  # fmt: skip
    known = {
        "half": np.float32(0.5), "shape": i32(3, 4, 2),
        "a": i32(0, 1), "b": i32(0, 2), "c": i32(1, 1),
    }  # fmt: skip
    feeds = [{"x": RNG.uniform(0, 1, (3, 4, 2)).astype(np.float32)} for _ in range(3)]
    feeds.append({"x": np.zeros((3, 4, 2), np.float32) + np.float32(0.6)})
    check(tmp_path, nodes, known, feeds, ["at", "picked", "spread", "rows"])


def test_different_elements(tmp_path: Path) -> None:
    feeds = [{"x": RNG.integers(0, 5, 9).astype(np.int32)} for _ in range(3)]
    nodes = [
        node("Unique", "u", "x"),
        node("UniqueV2", "v", "x", "none"),
        node("ListDiff", "d", "x", "others"),
        node("Size", "size", "u"),
    ]
    known = {"others": i32(1, 3), "none": i32(0)}
    check(tmp_path, nodes, known, feeds, ["u", "u:1", "v", "d", "d:1", "size"])


def test_what_cannot_follow_is_refused_with_help(tmp_path: Path) -> None:
    nodes = [*SHAPES, node("Cumprod", "y", "picked", "zero")]
    known = {"half": np.float32(0.5), "minus": i32(-1), "zero": whole(0)}
    path = written(tmp_path, nodes, known, {"x": np.zeros(9, np.float32)}, ["y"])
    with pytest.raises(FanlightError) as caught:
        load_graph(path)
    assert caught.value.code == "E-FORMAT-019"
    assert "at most 9 along dim 0" in str(caught.value) and "Next" in str(caught.value)


def test_counts_add_up() -> None:
    number = Builder("g").input("n", (), "int32")
    count = Count(0, ((number, 1, 5),))
    assert (count + (Count(7) - count)) == Count(7)
    assert (count * 3 - 2).most == 13 and (Count(4) - count).most == 4


def test_sparse_rows_are_filled(tmp_path: Path) -> None:
    nodes = [
        node("SparseFillEmptyRows", "f", "at", "x", "shape", "default"),
        node("SparseReshape", "r", "at", "shape", "new"),
    ]
    at = i32([0, 1], [0, 3], [2, 0], [2, 2], [4, 1])
    known = {
        "at": at, "shape": i32(6, 4), "default": np.float32(-1), "new": i32(3, -1),
    }  # fmt: skip
    feeds = [{"x": RNG.normal(size=5).astype(np.float32)}]
    check(tmp_path, nodes, known, feeds, ["f", "f:1", "f:2", "f:3", "r"])


def test_ragged_rows(tmp_path: Path) -> None:
    """TF.js does not import these (its mapper lacks the list), so the numbers are ours."""
    kinds = {"list": {"s": [crafted.text("ROW_SPLITS")["s"]]}}
    nodes = [
        node("RaggedTensorToTensor", "dense", "shape", "x", "default", "splits",
             row_partition_types=kinds),
        node("RaggedGather", "g", "splits", "x", "rows", PARAMS_RAGGED_RANK={"i": "1"}),
        node("RaggedRange", "range", "starts", "ends", "steps"),
        node("Cast", "seen", "range:1", DstT={"type": "DT_FLOAT"}),
        node("AddN", "used", "seen", "x"),
        node("Identity", "split", "g:0"),
        node("Identity", "parts", "g:1"),
    ]  # fmt: skip
    known = {
        "shape": i32(-1, 3), "default": np.float32(9), "splits": i32(0, 2, 2, 6),
        "rows": i32(2, 0), "starts": i32(0, 5), "ends": i32(4, 9), "steps": i32(1, 2),
    }  # fmt: skip
    x = np.arange(6, dtype=np.float32)
    path = written(tmp_path, nodes, known, {"x": x}, ["dense", "split", "parts", "used"])
    found = evaluate(load_graph(path).graph, {"x": x})
    assert found["dense"].tolist() == [[0, 1, 9], [9, 9, 9], [2, 3, 4]]
    assert found["split"].tolist() == [0, 4, 6]
    assert found["parts"].tolist() == [2, 3, 4, 5, 0, 1]
    assert (found["used"] - x).tolist() == [0, 1, 2, 3, 5, 7]


AT = i32([0, 1])


def test_bad_ragged_and_sparse_numbers_are_refused(tmp_path: Path) -> None:
    bad: list[tuple[Any, Mapping[str, Any]]] = [
        (node("RaggedGather", "y", "s", "x", "r"), {"s": i32(0, 9), "r": i32(0)}),
        (node("RaggedGather", "y", "s", "x", "r"), {"s": i32(0, 6), "r": i32(7)}),
        (node("SparseReshape", "y", "s", "r", "t"), {"s": AT, "r": i32(2, 2), "t": i32(5)}),
        (node("RaggedRange", "y", "s", "r", "t"), {"s": i32(0), "r": i32(9), "t": i32(0)}),
        (node("RaggedRange", "y", "s", "r", "t"), {"s": i32(0), "r": i32(2**30), "t": i32(1)}),
        (node("RaggedTensorToTensor", "y", "s", "x", "d", "r",
              row_partition_types=ints()), {"s": i32(-1), "d": np.float32(0), "r": i32(0, 6)}),
    ]  # fmt: skip
    for index, (made, known) in enumerate(bad):
        nodes = [made, node("AddN", "z", "x", "x")]
        fed = {"x": np.zeros(6, np.float32)}
        path = written(tmp_path / str(index), nodes, known, fed, ["y", "z"])
        with pytest.raises(FanlightError) as caught:
            load_graph(path)
        assert caught.value.code == "E-FORMAT-012", index

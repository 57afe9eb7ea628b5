"""Results as long as numbers want: as long as they can be, with a count; by onnx's evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fanlight.build import build
from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.graph import evaluate, verify
from tests.formats.onnx.harness import meant

REASON = "the oracle of these tests is the onnx package"
onnx = pytest.importorskip("onnx", reason=REASON)
reference = pytest.importorskip("onnx.reference", reason=REASON)
helper = onnx.helper
node = helper.make_node
KINDS = {"f": 1, "i": 7, "b": 9}


def model(
    nodes: list[Any], inputs: dict[str, np.ndarray], outputs: str, opset: int = 18, **weights: Any
) -> Any:
    """outputs: names with their kinds, as in "y:f n:i"."""

    def kind(x: np.ndarray) -> int:
        return int(helper.np_dtype_to_tensor_dtype(x.dtype))

    made = [part.split(":") for part in outputs.split()]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info(k, kind(v), v.shape) for k, v in inputs.items()],
        [helper.make_tensor_value_info(n, KINDS[k], None) for n, k in made],
        [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def same(own: np.ndarray, wanted: np.ndarray) -> None:
    assert own.shape == wanted.shape
    np.testing.assert_allclose(own.astype(np.float64), wanted.astype(np.float64), 1e-5, 1e-6)


def check(
    folder: Path, made: Any, samples: list[dict[str, np.ndarray]], bundle: bool = False
) -> set[str]:
    """Every output cut to its count is the evaluator's. Returns which outputs are counted."""
    path = folder / "m.onnx"
    onnx.save(made, path)
    source = load_graph(path)
    verify(source.graph)
    runs = [lambda given: evaluate(source.graph, given)]
    if bundle:
        built = build(source.graph, folder / "bundle")
        runs.append(lambda given: built.run(given))
    dtypes = {v.name: v.dtype for v in source.graph.inputs}
    for given in samples:
        wanted = reference.ReferenceEvaluator(made).run(None, given)
        for run in runs:
            found = run({k: v.astype(dtypes[k]) for k, v in given.items()})
            for own, other in zip(meant(source, found), wanted, strict=True):
                same(own, np.asarray(other))
    names = {n for n, _ in source.graph.outputs}
    return {n for n in names if f"{n}_count" in names}


def masks(*shape: int, seed: int = 1, share: float = 0.4) -> list[dict[str, np.ndarray]]:
    """Numbers of which some are 0; all of them; none of them."""
    random = np.random.default_rng(seed)
    x = random.integers(1, 9, shape).astype(np.float32)
    return [{"x": x * (random.random(shape) < share)}, {"x": x}, {"x": 0 * x}]


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 2)])
def test_places_of_what_is_not_zero(tmp_path: Path, shape: tuple[int, ...]) -> None:
    samples = masks(*shape)
    made = model([node("NonZero", ["x"], ["y"])], samples[0], "y:i")
    assert check(tmp_path, made, samples, bundle=len(shape) == 2) == {"y"}


def test_what_is_made_of_the_places(tmp_path: Path) -> None:
    """As exporters write x[x > 2]: places, turned, and what is there."""
    nodes = [
        node("Greater", ["x", "two"], ["m"]),
        node("NonZero", ["m"], ["p"]),
        node("Transpose", ["p"], ["t"]),
        node("GatherND", ["x", "t"], ["v"]),
        node("Mul", ["v", "two"], ["w"]),
        node("Shape", ["w"], ["s"]),
        node("ReduceSum", ["w"], ["sum"], keepdims=0),
        node("ReduceMax", ["z"], ["top"], keepdims=0),
        node("Concat", ["w", "one"], ["z"], axis=0),
    ]
    nodes[-1], nodes[-2] = nodes[-2], nodes[-1]
    samples = [{"x": s["x"]} for s in masks(4, 5)]
    made = model(nodes, samples[0], "w:f s:i sum:f z:f top:f", two=np.float32(2),
                 one=np.float32([1]))  # fmt: skip
    assert check(tmp_path, made, samples, bundle=True) == {"w", "z"}


def test_rows_that_are_picked(tmp_path: Path) -> None:
    """Indices of rows, as detection heads pick boxes; sizes made of how many there are."""
    nodes = [
        node("ReduceMax", ["x", "last"], ["score"], keepdims=0),
        node("Greater", ["score", "four"], ["m"]),
        node("NonZero", ["m"], ["p"]),
        node("Squeeze", ["p", "zero"], ["i"]),
        node("Gather", ["x", "i"], ["rows"], axis=0),
        node("MatMul", ["rows", "w"], ["y"]),
        node("Slice", ["y", "zero", "three", "zero"], ["head"]),
        node("Slice", ["y", "one", "end", "one"], ["right"]),
        node("Shape", ["rows"], ["s"]),
        node("Gather", ["s", "first"], ["n"]),
        node("Unsqueeze", ["n", "zero"], ["n1"]),
        node("Concat", ["n1", "twos"], ["to"], axis=0),
        node("Reshape", ["y", "to"], ["pairs"]),
        node("ConstantOfShape", ["n1"], ["zeros"]),
        node("Range", ["r0", "n", "r1"], ["numbers"]),
        node("Softmax", ["y"], ["soft"], axis=-1),
        node("ReduceMean", ["y", "zero"], ["mean"], keepdims=1),
    ]
    samples = [s for s in masks(6, 5, seed=3, share=0.3) if s["x"].any()]
    weights = {"last": [1], "four": np.float32(4), "zero": [0], "three": [3], "one": [1],
               "end": [2**63 - 1], "first": 0, "twos": [2, 2], "r0": 0, "r1": 1,
               "w": np.arange(20, dtype=np.float32).reshape(5, 4) / 7}  # fmt: skip
    outputs = "y:f head:f right:f pairs:f zeros:f numbers:i soft:f mean:f n:i"
    made = model(nodes, samples[0], outputs, **weights)
    counted = {"y", "head", "right", "pairs", "zeros", "numbers", "soft"}
    assert check(tmp_path, made, samples) == counted


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_compress(tmp_path: Path, axis: int | None) -> None:
    random = np.random.default_rng(2)
    size = 12 if axis is None else (3, 4)[axis]
    made_of = [size, size - 1]
    attrs = {} if axis is None else {"axis": axis}
    for count in made_of:
        samples = [{"x": random.normal(size=(3, 4)).astype(np.float32),
                    "c": random.random(count) < share} for share in (0.5, 2.0, 0.0)]  # fmt: skip
        made = model([node("Compress", ["x", "c"], ["y"], **attrs)], samples[0], "y:f")
        check(tmp_path, made, samples, bundle=count == size)


# Not sorted, the evaluator takes parts of the first dim alone.
@pytest.mark.parametrize(
    ("axis", "rising"), [(None, 0), (None, 1), (0, 0), (0, 1), (1, 1), (-2, 0), (-1, 1)]
)
def test_unique(tmp_path: Path, axis: int | None, rising: int) -> None:
    random = np.random.default_rng(4)
    samples = [{"x": random.integers(0, top, (4, 3)).astype(np.float32)} for top in (3, 1, 90)]
    samples[0]["x"][2] = samples[0]["x"][0]
    if axis is None:  # the evaluator takes elements of a row alone
        samples = [{"x": s["x"].reshape(-1)} for s in samples]
    attrs = {} if axis is None else {"axis": axis}
    unique = node("Unique", ["x"], ["y", "first", "which", "often"], sorted=rising, **attrs)
    made = model([unique], samples[0], "y:f first:i which:i often:i")
    check(tmp_path, made, samples, bundle=axis is None)


def boxes(images: int, classes: int, count: int) -> list[dict[str, np.ndarray]]:
    """Boxes with scores; of those in the last one none is good enough."""
    random = np.random.default_rng(6)
    low = random.uniform(0, 1, (images, count, 2))
    high = low + random.uniform(0.2, 1, low.shape)
    scores = random.uniform(0, 1, (images, classes, count))
    made = {"b": np.concatenate([low, high], -1), "s": scores}
    first = {k: v.astype(np.float32) for k, v in made.items()}
    return [first, {**first, "s": first["s"] * 0.1}]


LIMITS = {"k": [3], "iou": [0.4], "least": [0.3]}


@pytest.mark.parametrize(("images", "classes"), [(1, 1), (2, 3)])
def test_boxes_that_are_kept_are_counted(tmp_path: Path, images: int, classes: int) -> None:
    """What exporters put behind it: columns, the boxes and scores, and rows filled up to k."""
    nodes = [
        node("NonMaxSuppression", ["b", "s", "k", "iou", "least"], ["n"]),
        node("Split", ["n"], ["image", "class", "box"], axis=1, num_outputs=3),
        node("Concat", ["image", "box"], ["at"], axis=1),
        node("GatherND", ["b", "at"], ["kept"]),
        node("GatherND", ["s", "n"], ["scores"]),
        node("Unsqueeze", ["scores", "one"], ["column"]),
        node("Cast", ["class"], ["label"], to=1),
        node("Concat", ["kept", "column", "label"], ["rows"], axis=1),
        node("Shape", ["rows"], ["shape"], start=0, end=1),
        node("Sub", ["whole", "shape"], ["left"]),
        node("Concat", ["zeros", "left", "zero"], ["pads"], axis=0),
        node("Pad", ["rows", "pads", "none"], ["padded"]),
    ]
    limits = {k: np.asarray(v, "int64" if k == "k" else "float32") for k, v in LIMITS.items()}
    made = model(
        nodes, boxes(images, classes, 7)[0], "n:i rows:f padded:f", **limits, one=[1], zero=[0],
        zeros=[0, 0], whole=[3 * images * classes], none=np.float32(-1),
    )  # fmt: skip
    assert check(tmp_path, made, boxes(images, classes, 7), bundle=True) == {"n", "rows"}


@pytest.mark.parametrize(("images", "classes"), [(1, 1), (2, 3)])
def test_how_many_boxes_are_wanted_may_be_an_input(
    tmp_path: Path, images: int, classes: int
) -> None:
    """There is room for all; as many as are wanted count."""
    nodes = [node("NonMaxSuppression", ["b", "s", "k", "iou", "least"], ["n"])]
    samples = [{**sample, "k": np.array([most], np.int64)}
               for sample in boxes(images, classes, 7)[:1] for most in (0, 1, 3, 99)]  # fmt: skip
    limits = {k: np.asarray(v, np.float32) for k, v in LIMITS.items() if k != "k"}
    made = model(nodes, samples[0], "n:i", **limits)
    assert check(tmp_path, made, samples, bundle=True) == {"n"}


def test_boxes_that_are_counted_are_kept_or_not(tmp_path: Path) -> None:
    """A suppression of the boxes that are good enough."""
    nodes = [
        node("Greater", ["s", "least"], ["m"]),
        node("NonZero", ["m"], ["p"]),
        node("Gather", ["p", "two"], ["i"], axis=0),
        node("Gather", ["b", "i"], ["bs"], axis=1),
        node("Gather", ["s", "i"], ["ss"], axis=2),
        node("NonMaxSuppression", ["bs", "ss", "k", "iou"], ["n"]),
    ]
    limits = {k: np.asarray(v, "int64" if k == "k" else "float32") for k, v in LIMITS.items()}
    made = model(nodes, boxes(1, 1, 9)[0], "n:i", **limits, two=2)
    assert check(tmp_path, made, boxes(1, 1, 9)[:1]) == {"n"}


def test_a_branch_that_is_chosen_at_import_may_be_counted(tmp_path: Path) -> None:
    then = helper.make_graph([node("NonZero", ["x"], ["t"])], "a", [],
                             [helper.make_tensor_value_info("t", 7, None)])  # fmt: skip
    other = helper.make_graph([node("NonZero", ["yes"], ["e"])], "b", [],
                              [helper.make_tensor_value_info("e", 7, None)])  # fmt: skip
    samples = masks(5)
    nodes = [node("If", ["yes"], ["p"], then_branch=then, else_branch=other),
             node("Cast", ["p"], ["y"], to=1)]  # fmt: skip
    made = model(nodes, samples[0], "y:f", yes=np.array(True))
    check(tmp_path, made, samples)


@pytest.mark.parametrize(
    ("nodes", "code", "told"),
    [
        ([node("NonZero", ["x"], ["p"]), node("TopK", ["p", "k"], ["y", "i"], axis=0)],
         "E-FORMAT-012", "TopK"),
        ([node("NonZero", ["x"], ["p"]), node("Cast", ["p"], ["f"], to=1),
          node("Trilu", ["f"], ["y"])], "E-FORMAT-019", "reaches Trilu"),
        ([node("NonZero", ["x"], ["p"]), node("Cast", ["p"], ["f"], to=1),
          node("Pad", ["f", "pads"], ["y"], mode="edge")], "E-FORMAT-012", "pads of a counted"),
        ([node("NonZero", ["x"], ["p"]), node("Split", ["p", "k"], ["y"])],
         "E-FORMAT-012", "do not fit"),
        ([node("NonZero", ["x"], ["p"]), node("Cast", ["p"], ["f"], to=1),
          node("MatMul", ["f", "f"], ["y"])], "E-FORMAT-019", "reaches MatMul"),
        ([node("Unique", ["x"], ["u"], axis=0), node("Unique", ["u"], ["y"])],
         "E-FORMAT-012", "Unique"),
        ([node("Unique", ["wide"], ["y"], axis=0)], "E-FORMAT-012", "too large"),
    ],
)  # fmt: skip
def test_what_cannot_be_counted_is_refused(
    tmp_path: Path, nodes: list[Any], code: str, told: str
) -> None:
    inputs = {"x": np.zeros((3, 4), np.float32)}
    if nodes[0].input[0] == "wide":
        inputs = {"wide": np.zeros((3, 65), np.float32)}
    made = model(nodes, inputs, "y:f", k=[1], pads=[0, 0, 0, 1])
    onnx.save(made, tmp_path / "m.onnx")
    with pytest.raises(FanlightError, match=code) as caught:
        load_graph(tmp_path / "m.onnx")
    assert told in str(caught.value)


def test_branches_that_numbers_choose(tmp_path: Path) -> None:
    """Places in one, a known row in the other: the greater size, the count of what is chosen."""

    def info(name: str) -> Any:
        return helper.make_tensor_value_info(name, 7, None)

    then = helper.make_graph([node("NonZero", ["x"], ["t"])], "a", [], [info("t")])
    other = helper.make_graph([node("Identity", ["row"], ["e"])], "b", [], [info("e")])
    nodes = [node("ReduceMax", ["x"], ["m"], keepdims=0), node("Greater", ["m", "three"], ["p"]),
             node("If", ["p"], ["y"], then_branch=then, else_branch=other),
             node("Cast", ["y"], ["f"], to=1), node("Add", ["f", "three"], ["z"])]  # fmt: skip
    samples = [{"x": np.float32(v)} for v in ([1, 0, 2], [4, 0, 2], [0, 9, 0], [0, 0, 0])]
    for row in ([[7, 8]], [[5, 6, 7, 8, 9]]):
        made = model(nodes, samples[0], "y:i z:f", row=np.array(row), three=np.float32(3))
        assert check(tmp_path, made, samples, bundle=True) == {"y", "z"}


def test_results_of_turns_are_counted(tmp_path: Path) -> None:
    """A loop that numbers end, with a result for each turn: as when words are made one by one."""
    body = helper.make_graph(
        [
            node("Mul", ["v", "half"], ["w"]),
            node("ReduceMax", ["w"], ["top"], keepdims=0),
            node("Greater", ["top", "one"], ["go"]),
            node("Cast", ["top"], ["n"], to=7),
            node("Add", ["n", "i"], ["sum"]),
            node("Unsqueeze", ["sum", "first"], ["number"]),  # the evaluator wants it so
            node("Neg", ["w"], ["row"]),
        ],
        "body",
        [helper.make_tensor_value_info(n, t, []) for n, t in (("i", 7), ("c", 9))]
        + [helper.make_tensor_value_info("v", 1, [3])],
        [helper.make_tensor_value_info("go", 9, []), helper.make_tensor_value_info("w", 1, [3]),
         helper.make_tensor_value_info("row", 1, [3]),
         helper.make_tensor_value_info("number", 7, [1])],
    )  # fmt: skip
    nodes = [
        node("ReduceMax", ["x"], ["most"], keepdims=0),
        node("Greater", ["most", "one"], ["begin"]),
        node("Loop", ["limit", "begin", "x"], ["y", "rows", "numbers"], body=body),
        node("ReduceSum", ["rows", "first"], ["sums"], keepdims=0),
    ]
    samples = [{"x": np.float32(v)} for v in ([9, 2, 5], [900, 2, 5], [2, 2, 1])]
    known = {"half": np.float32(0.5), "one": np.float32(1), "first": [0], "limit": 6}
    made = model(nodes, samples[0], "y:f rows:f numbers:i sums:f", **known)
    assert check(tmp_path, made, samples, bundle=True) == {"rows", "numbers"}
    none = evaluate(load_graph(tmp_path / "m.onnx").graph, {"x": np.float32([0, 0, 0.5])})
    assert none["rows_count"] == 0 and none["y"].tolist() == [0, 0, 0.5]
    known["limit"] = 2**62
    onnx.save(model(nodes, samples[0], "y:f rows:f", **known), tmp_path / "m.onnx")
    with pytest.raises(FanlightError, match="how often the loop turns"):
        load_graph(tmp_path / "m.onnx")


def test_bodies_of_loops_do_not_count(tmp_path: Path) -> None:
    body = helper.make_graph(
        [node("NonZero", ["v"], ["p"]), node("Neg", ["v"], ["w"])], "body",
        [helper.make_tensor_value_info(n, t, []) for n, t in (("i", 7), ("c", 9))]
        + [helper.make_tensor_value_info("v", 1, [4])],
        [helper.make_tensor_value_info("c", 9, []), helper.make_tensor_value_info("w", 1, [4]),
         helper.make_tensor_value_info("p", 7, None)],
    )  # fmt: skip
    loop = node("Loop", ["n", "", "x"], ["y", "ps"], body=body)
    onnx.save(model([loop], {"x": np.zeros(4, np.float32)}, "y:f ps:i", n=9), tmp_path / "m.onnx")
    with pytest.raises(FanlightError, match="E-FORMAT-019") as caught:
        load_graph(tmp_path / "m.onnx")
    assert "padded" in str(caught.value)


def test_names_of_counts_are_their_own(tmp_path: Path) -> None:
    nodes = [node("NonZero", ["x"], ["y"]), node("Neg", ["x"], ["y_count"])]
    onnx.save(model(nodes, {"x": np.zeros(4, np.float32)}, "y:i y_count:f"), tmp_path / "m.onnx")
    source = load_graph(tmp_path / "m.onnx")
    names = [n for n, _ in source.graph.outputs]
    assert names == ["y", "y_count_1", "y_count"]
    (told,) = [w for w in source.warnings if "as long as" in w]
    assert "output 'y'" in told and "of which y_count_1 are meant" in told

"""Counts compared with one another: the lesser and the greater one, and slices of either size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fanlight.formats import load_graph
from fanlight.formats.source import Source
from tests.formats.crafted import node
from tests.formats.test_dynamic import check, i32, whole, written

ROW = 9


def found(name: str, row: str) -> list[dict[str, Any]]:
    """`{name}/count`: how many numbers of a row are above 1/2; `{name}` are those numbers."""
    return [
        node("Greater", f"{name}/mask", row, "half"),
        node("Where", f"{name}/where", f"{name}/mask"),
        node("Reshape", f"{name}/at", f"{name}/where", "minus"),
        node("GatherV2", name, row, f"{name}/at", "zero"),
        node("Shape", f"{name}/shape", name),
        node(
            "StridedSlice", f"{name}/count", f"{name}/shape", "first", "second", "second",
            shrink_axis_mask={"i": "1"},
        ),
    ]  # fmt: skip


FIXED = {
    "half": np.float32(0.5),
    "minus": i32(-1),
    "zero": whole(0),
    "one": whole(1),
    "five": whole(5),
    "all": whole(-1),
    "first": i32(0),
    "second": i32(1),
    "none": i32(0),
}


def row(count: int, seed: int) -> np.ndarray:
    """Numbers of which `count` are above 1/2."""
    rng = np.random.default_rng(seed)
    made = np.concatenate([rng.uniform(0.6, 1, count), rng.uniform(0, 0.4, ROW - count)])
    return rng.permutation(made).astype(np.float32)


PAIRS = [(3, 6), (6, 3), (4, 4), (0, 9), (9, 0)]


def two_rows(
    folder: Path, more: Sequence[Any], outputs: Sequence[str], known: Mapping[str, Any] = FIXED
) -> Source:
    feeds = [{"x": row(a, i), "z": row(b, 50 + i)} for i, (a, b) in enumerate(PAIRS)]
    return check(folder, [*found("p", "x"), *found("q", "z"), *more], known, feeds, outputs)


def one_row(
    folder: Path, more: Sequence[Any], outputs: Sequence[str], known: Mapping[str, Any] = FIXED
) -> Source:
    feeds = [{"x": row(a, i)} for i, (a, _) in enumerate(PAIRS)]
    return check(folder, [*found("p", "x"), *more], known, feeds, outputs)


@pytest.mark.parametrize("op", ["Greater", "GreaterEqual", "Less", "LessEqual"])
def test_one_of_two_counts_is_the_lesser_or_the_greater_one(tmp_path: Path, op: str) -> None:
    more = [
        node(op, "which", "p/count", "q/count"),
        node("Select", "a", "which", "p/count", "q/count"),
        node("SelectV2", "b", "which", "q/count", "p/count"),
        node("Range", "long_a", "zero", "a", "one"),
        node("Range", "long_b", "zero", "b", "one"),
        node("Cast", "y", "which", DstT={"type": "DT_INT32"}),
    ]
    source = two_rows(tmp_path, more, ["long_a", "long_b", "y"])
    assert {"minimum", "maximum"} <= {n.op for n in source.graph.nodes}


def test_one_of_two_counts_may_be_neither(tmp_path: Path) -> None:
    """What decides is not which one is less."""
    more = [
        node("AddV2", "more", "q/count", "two"),
        node("Greater", "which", "p/count", "q/count"),
        node("Select", "a", "which", "more", "p/count"),
        node("Range", "long", "zero", "a", "one"),
    ]
    two_rows(tmp_path, more, ["long"], {**FIXED, "two": whole(2)})


def test_what_bounds_decide_is_known(tmp_path: Path) -> None:
    """A count is never less than 0, and never more than there are elements."""
    more = [
        node("Less", "never", "p/count", "zero"),
        node("LessEqual", "always", "p/count", "nine"),
        node("Select", "a", "never", "five", "three"),
        node("Select", "b", "always", "five", "three"),
        node("Range", "long_a", "zero", "a", "one"),
        node("Range", "long_b", "zero", "b", "one"),
    ]
    known = {**FIXED, "three": whole(3), "nine": whole(ROW)}
    source = one_row(tmp_path, [*more, node("Neg", "y", "p")], ["long_a", "long_b", "y"], known)
    assert [v.type.shape for _, v in source.graph.outputs][:2] == [(3,), (5,)]


def test_counts_below_zero_are_counted(tmp_path: Path) -> None:
    more = [
        node("Sub", "over", "p/count", "five"),
        node("Maximum", "more", "over", "all"),
        node("Minimum", "less", "over", "q/count"),
        node("Mul", "product", "over", "q/count"),
        node("Minimum", "few", "over", "one"),
    ]
    two_rows(tmp_path, more, ["more", "less", "product", "few"])


def test_lists_are_cut_or_padded_to_a_size(tmp_path: Path) -> None:
    """As the object detection API does it: a slice of `most` if there are more, else of all."""
    more = [
        node("Sub", "over", "p/count", "five"),
        node("Greater", "too_many", "over", "zero"),
        node("Select", "size", "too_many", "five", "all"),
        node("ExpandDims", "sizes", "size", "zero"),
        node("Slice", "part", "p", "none", "sizes"),
        node("Shape", "part/shape", "part"),
        node(
            "StridedSlice", "part/count", "part/shape", "first", "second", "second",
            shrink_axis_mask={"i": "1"},
        ),
        node("Sub", "left", "five", "part/count"),
        node("ExpandDims", "lefts", "left", "zero"),
        node("Pack", "paddings", "none", "lefts", axis={"i": "1"}),
        node("Pad", "padded", "part", "paddings"),
    ]  # fmt: skip
    source = one_row(tmp_path, more, ["part", "padded"])
    assert [w.split("'")[1] for w in source.warnings] == ["part"]
    assert dict(source.graph.outputs)["padded"].type.shape == (5,)


def test_a_slice_takes_all_or_a_number_of_elements(tmp_path: Path) -> None:
    """Where what decides has nothing to do with how many elements there are."""
    more = [
        node("Greater", "which", "q/count", "three"),
        node("Select", "size", "which", "one", "all"),
        node("ExpandDims", "sizes", "size", "zero"),
        node("Slice", "part", "p", "none", "sizes"),
    ]
    # The slices are of rows that have at least one element.
    feeds = [{"x": row(a, i), "z": row(b, 50 + i)} for i, (a, b) in enumerate(PAIRS) if a]
    nodes = [*found("p", "x"), *found("q", "z"), *more]
    check(tmp_path, nodes, {**FIXED, "three": whole(3)}, feeds, ["part"])


def test_comparisons_go_where_booleans_go(tmp_path: Path) -> None:
    more = [
        node("Greater", "which", "p/count", "q/count"),
        node("LogicalNot", "not", "which"),
        node("Identity", "same", "which"),
        node("LogicalAnd", "and", "same", "not"),
        node("ExpandDims", "column", "which", "zero"),
        node("Pack", "both", "which", "not"),
        node("Select", "branch", "which", "x", "z"),
        node("Select", "some", "which", "p", "p"),
    ]
    two_rows(tmp_path, more, ["which", "and", "column", "both", "branch", "some"])


def test_names_of_counts_are_their_own(tmp_path: Path) -> None:
    nodes = [*found("p", "x"), node("AddV2", "p_count", "x", "half")]
    source = load_graph(written(tmp_path, nodes, FIXED, {"x": row(3, 0)}, ["p", "p_count"]))
    assert [p.name for p in source.outputs] == ["p", "p_count_1", "p_count"]
    (told,) = [w for w in source.warnings if "as long as" in w]
    assert "of which p_count_1 are meant" in told

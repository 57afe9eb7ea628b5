"""Counts, and tensors that are as long as counts say, in branches and loops: against TF.js."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from tests.formats.crafted import node
from tests.formats.test_counts import FIXED, found, one_row, row, two_rows
from tests.formats.test_dynamic import check, i32, whole, written

KNOWN = {
    **FIXED,
    "three": whole(3),
    "hundred": whole(100),
    "axes": i32(0),
    "limit": np.float32(3),
    "factor": np.float32(1.5),
    "nothing": np.float32(0),
}
SWITCHED = [
    node("Greater", "which", "p/count", "three"),
    node("Switch", "a", "p", "which"),
    node("Switch", "n", "p/count", "which"),
]


def loop(start: str, condition: Sequence[Any], body: Sequence[Any]) -> list[dict[str, Any]]:
    """`y`: c = start; while less: c = c2, which the body makes of c1:1."""
    return [
        node("Enter", "c0", start, frame_name={"s": "bG9vcA=="}),
        node("Merge", "c", "c0", "c3"),
        *condition,
        node("LoopCond", "go", "less"),
        node("Switch", "c1", "c", "go"),
        *body,
        node("NextIteration", "c3", "c2"),
        node("Exit", "y", "c1"),
    ]


def test_branches_take_and_give_counts(tmp_path: Path) -> None:
    more = [
        *SWITCHED,
        node("AddV2", "one_more", "n:1", "one"),
        node("Merge", "count", "n", "one_more"),
        node("Range", "y", "zero", "count", "one"),
        node("Pack", "pair", "n:1", "one"),
        node("Pack", "other", "three", "n"),
        node("Merge", "sizes", "other", "pair"),
        node("Prod", "product", "sizes", "axes"),
    ]
    one_row(tmp_path, more, ["y", "product"], KNOWN)


def test_branches_take_and_give_what_is_counted(tmp_path: Path) -> None:
    more = [
        *SWITCHED,
        node("Neg", "minus_a", "a:1"),
        node("Merge", "b", "a", "minus_a"),
        node("Mul", "y", "b", "factor"),
        node("Sum", "sum", "y", "axes"),
    ]
    one_row(tmp_path, more, ["y", "sum"], KNOWN)


def test_branches_find_places_and_cut_to_sizes(tmp_path: Path) -> None:
    """What the branches give may have room for different numbers of elements, or all of them."""
    more = [
        node("Greater", "which", "p/count", "q/count"),
        node("Switch", "x2", "x", "which"),
        node("Switch", "z2", "z", "which"),
        node("Greater", "high", "x2:1", "half"),
        node("Where", "places", "high"),
        node("Reshape", "flat", "places", "minus"),
        node("GatherV2", "picked", "x2:1", "flat", "zero"),
        node("Slice", "some", "picked", "first", "twice"),
        node("Merge", "m", "z2", "some"),
        node("Exp", "y", "m"),
    ]
    two_rows(tmp_path, more, ["y"], {**KNOWN, "twice": i32(-1)})


def test_loops_carry_what_is_counted(tmp_path: Path) -> None:
    condition = [node("Sum", "s", "c", "axes"), node("Less", "less", "s", "limit")]
    more = loop("p", condition, [node("Mul", "c2", "c1:1", "factor")])
    # Of no elements the sum stays less for ever.
    feeds = [{"x": row(n, n)} for n in (1, 4, 9)]
    source = check(tmp_path, [*found("p", "x"), *more], KNOWN, feeds, ["y"])
    assert "while_loop" in {n.op for n in source.graph.nodes}


def test_loops_count_and_see_what_is_counted_outside(tmp_path: Path) -> None:
    condition = [node("Less", "less", "c", "limit")]
    body = [node("Sum", "s", "p", "axes"), node("AddV2", "t", "s", "half")]
    more = loop("nothing", condition, [*body, node("AddV2", "c2", "c1:1", "t")])
    one_row(tmp_path, more, ["y"], KNOWN)


def test_loops_carry_counts_as_numbers(tmp_path: Path) -> None:
    condition = [node("Less", "less", "c", "hundred")]
    body = [node("AddV2", "c4", "c1:1", "one"), node("Mul", "c2", "c4", "three")]
    one_row(tmp_path, loop("p/count", condition, body), ["y"], KNOWN)


def test_what_is_counted_along_another_dim_is_not_carried(tmp_path: Path) -> None:
    square = [
        node("Pack", "tall", *["p"] * 9, axis={"i": "1"}),
        *loop(
            "tall",
            [node("Max", "most", "c", "both"), node("Less", "less", "most", "limit")],
            [node("Transpose", "t", "c1:1", "perm"), node("Mul", "c2", "t", "factor")],
        ),
    ]
    known = {**KNOWN, "both": i32(0, 1), "perm": i32(1, 0)}
    path = written(tmp_path, [*found("p", "x"), *square], known, {"x": row(4, 1)}, ["y"])
    with pytest.raises(FanlightError, match=r"(?s)E-FORMAT-012.*changes its shape"):
        load_graph(path)

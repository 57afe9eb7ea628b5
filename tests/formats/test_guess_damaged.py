"""Damaged topologies without weights: what guesses their numbers finds no node that breaks it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.formats.tfgraph import roles
from tests.formats.test_guess import node, placeholder, written
from tools.fuzz_readers import LAST_RESORT

OFTEN = "Reshape Pack Shape Cast Squeeze Identity Conv2D MaxPool Transpose StridedSlice".split()
INPUTS = {"StridedSlice": 4, "SplitV": 3, "Slice": 3, "Squeeze": 1, "Shape": 1, "Range": 3}
SHAPES = [(), (3,), (0,), (2, 3), (1, 4, 4, 3), (1, 6, 6, 2), (2, 3, 4), (1, 0, 3)]
SIZES = [(), (0,), (1,), (2,), (3,), (4,), (8,), (2, 2), (4, 2)]


def attributes(draw: random.Random) -> dict[str, Any]:
    """Some that ops look at, of sound values and others."""
    made: dict[str, Any] = {"T": {"type": "DT_FLOAT"}, "DstT": {"type": "DT_INT32"}}
    for name in ("axis", "num", "num_split", "shrink_axis_mask", "ellipsis_mask", "end_mask"):
        if draw.random() < 0.25:
            made[name] = {"i": str(draw.choice([0, 1, 2, 3, -1, 9, 7]))}
    for name in ("strides", "dilations", "ksize", "squeeze_dims"):
        if draw.random() < 0.4:
            numbers = draw.choice([["1", "2", "2", "1"], ["0"], ["-1"], ["1", "1", "1"]])
            made[name] = {"list": {"i": numbers}}
    return made


def graph(draw: random.Random) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Some nodes that take each other's results and constants of any size; the last is "y"."""
    nodes = [placeholder(*draw.choice(SHAPES))]
    weights = {
        f"c{i}": (draw.choice(SIZES), draw.choice(["int32", "int32", "float32", "bool"]))
        for i in range(draw.randint(1, 4))
    }
    names = ["x", *weights]
    for i in range(draw.randint(1, 5)):
        op = draw.choice(draw.choice([sorted(roles._RULES), sorted(roles.ELEMENTWISE), OFTEN]))
        count = INPUTS.get(op, 2) if draw.random() < 0.6 else draw.randint(1, 5)
        inputs = [draw.choice(names) for _ in range(count)]
        nodes.append(node(f"n{i}", op, *inputs, **attributes(draw)))
        names.append(draw.choice([f"n{i}", f"n{i}", f"n{i}:1"]))
    nodes[-1]["name"] = "y"
    return nodes, weights


def test_damaged_graphs_load_or_one_coded_error_says_why(tmp_path: Path) -> None:
    draw = random.Random(2)
    refused = 0
    for _ in range(600):
        nodes, weights = graph(draw)
        path = written(tmp_path, nodes, weights)
        try:
            load_graph(path, weights="random")
        except FanlightError as error:
            refused += 1
            assert LAST_RESORT not in error.message, (error, nodes, weights)
    assert 300 < refused < 600


DAMAGED = {
    "too few": (node("y", "SplitV", "x", "sizes"), "SplitV has too few inputs", "at least 3"),
    "too many": (node("y", "Range", *["axis"] * 4), "Range has too many inputs", "at most 3"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_nodes_without_all_of_their_inputs_are_named(name: str, tmp_path: Path) -> None:
    damaged, says, expected = DAMAGED[name]
    weights = {"sizes": ((2,), "int32"), "axis": ((), "int32")}
    with pytest.raises(FanlightError) as raised:
        load_graph(written(tmp_path, [placeholder(2, 6), damaged], weights), weights="random")
    assert raised.value.code == "E-FORMAT-005"
    assert says in raised.value.message and "'y'" in str(raised.value.where)
    assert raised.value.expected == expected

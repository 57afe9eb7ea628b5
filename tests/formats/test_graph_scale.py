"""Large graphs, hostile ones among them, are read in a time that grows as they do, or refused."""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from tests.formats.crafted import write_tfjs
from tests.formats.test_guess import node, placeholder

Nodes = list[dict[str, Any]]
Made = tuple[Nodes, dict[str, np.ndarray]]
SECONDS = 20.0  # of the processor, many times what is needed


def read(folder: Path, made: Made, weights: str) -> int:
    """How many nodes the graph has."""
    nodes, arrays = made
    consts = [{"name": n, "op": "Const", "attr": {"dtype": {"type": "DT_INT32"}}} for n in arrays]
    signature = {"outputs": {"y": {"name": "y:0"}}}
    path = write_tfjs(folder, {"node": [*nodes, *consts]}, arrays, signature=signature)
    start = time.process_time()
    try:
        return len(load_graph(path, weights=weights).graph.nodes)
    finally:
        assert time.process_time() - start < SECONDS


def line(count: int, op: str, *more: str) -> Nodes:
    names = ["x", *(f"n{i}" for i in range(1, count)), "y"]
    return [
        placeholder(2, 3),
        *(node(b, op, a, *more) for a, b in itertools.pairwise(names)),
    ]


def long() -> Made:
    return line(5000, "Relu"), {}


def wide() -> Made:
    """Thousands of Reshapes of one shape, and their sum."""
    nodes = [node(f"n{i}", "Reshape", "x", "shape") for i in range(3000)]
    total = node("y", "AddN", *[n["name"] for n in nodes])
    return [placeholder(2, 3), *nodes, total], {"shape": np.int32([3, 2])}


def sums_of_sizes() -> Made:
    """A shape to which a thousand constants are added, one after another."""
    names = ["size", *(f"n{i}" for i in range(1000))]
    sums = [node(b, "AddV2", a, f"c{i}") for i, (a, b) in enumerate(itertools.pairwise(names))]
    ends = [node("size", "Shape", "x"), *sums, node("y", "Reshape", "x", names[-1])]
    return [placeholder(2, 3), *ends], {f"c{i}": np.int32([0, 0]) for i in range(1000)}


def loops() -> Made:
    """Hundreds of frames, one behind another."""
    nodes = [placeholder(2, 3)]
    value = "x"
    for i in range(600):
        name = {"s": base64.b64encode(f"f{i}".encode()).decode()}
        nodes += [
            node(f"in{i}", "Enter", value, frame_name=name),
            node(f"state{i}", "Merge", f"in{i}", f"next{i}"),
            node(f"sum{i}", "Sum", f"state{i}", "axes"),
            node(f"less{i}", "Less", f"sum{i}", "zero"),
            node(f"go{i}", "LoopCond", f"less{i}"),
            node(f"switch{i}", "Switch", f"state{i}", f"go{i}"),
            node(f"body{i}", "Relu", f"switch{i}:1"),
            node(f"next{i}", "NextIteration", f"body{i}"),
            node(f"out{i}", "Exit", f"switch{i}"),
        ]
        value = f"out{i}"
    return [*nodes, node("y", "Neg", value)], {
        "axes": np.int32([0, 1]),
        "zero": np.array(0, np.float32),
    }


def test_many_frames_become_as_many_loops(tmp_path: Path) -> None:
    assert read(tmp_path, loops(), "stored") == 601


@pytest.mark.parametrize("weights", ["stored", "random"])
@pytest.mark.parametrize(("make", "least"), [(long, 5000), (wide, 2999), (sums_of_sizes, 0)])
def test_large_graphs(make: Callable[[], Made], least: int, weights: str, tmp_path: Path) -> None:
    assert read(tmp_path, make(), weights) >= least


DECIDES = [node("truth", "Greater", "x", "zero"), node("pred", "All", "truth", "axes")]
KNOWN = {"zero": np.float32([0]), "axes": np.int32([0, 1])}


def refused(folder: Path, nodes: Nodes, code: str, says: str) -> None:
    with pytest.raises(FanlightError) as raised:
        read(folder, ([*DECIDES, *nodes], KNOWN), "stored")
    assert raised.value.code == code, raised.value
    assert says in str(raised.value)


def test_conditions_of_many_results_over_one_long_branch(tmp_path: Path) -> None:
    """Each Merge writes its branches out, so that these are few times many nodes."""
    branch = [node("s", "Switch", "x", "pred"), *line(1000, "Relu")[1:]]
    branch[1] = node("n1", "Relu", "s:1")
    branch[-1] = node("end", "Relu", "n999")
    merges = [node(f"m{i}", "Merge", "s", "end") for i in range(200)]
    total = node("y", "AddN", *[m["name"] for m in merges])
    nodes = [placeholder(2, 3), *branch, *merges, total]
    refused(tmp_path, nodes, "E-FORMAT-023", "branches of the graph's conditions")


def test_conditions_in_each_other_without_end(tmp_path: Path) -> None:
    names = ["x", *(f"s{i}:1" for i in range(3000))]
    switches = [node(f"s{i}", "Switch", name, "pred") for i, name in enumerate(names[:-1])]
    nodes = [placeholder(2, 3), *switches, node("y", "Merge", "s2999", "s2999:1")]
    refused(tmp_path, nodes, "E-FORMAT-015", "deeper than 64 levels")

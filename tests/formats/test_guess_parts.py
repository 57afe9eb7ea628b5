"""Topologies without weights: parts that outputs tell, shapes by places, windows, limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import fanlight as fl
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

"""The page of ops names the Keras layers that become each op: a model of one layer shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fanlight.formats import load_graph
from tests.formats import crafted
from tests.formats.crafted import write_tfjs
from tools import gen_ops_docs

PICTURE, ROWS = (8, 8, 3), (8, 3)
KERNELS = {
    "Conv1D": (3, 3, 4),
    "Conv1DTranspose": (3, 4, 3),
    "Conv2D": (3, 3, 3, 4),
    "Conv2DTranspose": (3, 3, 4, 3),
    "Dense": (3, 4),
}
# What each layer needs to be told: options, and weights by name.
OPTIONS: dict[str, dict[str, Any]] = {
    **{kind: {"filters": 4, "kernel_size": 3} for kind in KERNELS if kind != "Dense"},
    "CenterCrop": {"height": 4, "width": 4},
    "Cropping1D": {"cropping": [1, 1]},
    "Cropping2D": {"cropping": [[1, 1], [1, 1]]},
    "Dense": {"units": 4},
    "DepthwiseConv1D": {"kernel_size": 3},
    "DepthwiseConv2D": {"kernel_size": 3},
    "Embedding": {"input_dim": 5, "output_dim": 2},
    "Permute": {"dims": [2, 1, 3]},
    "RepeatVector": {"n": 2},
    "Rescaling": {"scale": 2.0, "offset": 0.0},
    "Reshape": {"target_shape": [64, 3]},
    "Resizing": {"height": 4, "width": 6},
    "SeparableConv2D": {"filters": 4, "kernel_size": 3},
}
WEIGHTS: dict[str, dict[str, tuple[int, ...]]] = {
    **{kind: {"kernel": shape, "bias": (4,)} for kind, shape in KERNELS.items()},
    "BatchNormalization": dict.fromkeys(["gamma", "beta", "moving_mean", "moving_variance"], (3,)),
    "DepthwiseConv1D": {"depthwise_kernel": (3, 3, 1), "bias": (3,)},
    "DepthwiseConv2D": {"depthwise_kernel": (3, 3, 3, 1), "bias": (3,)},
    "Embedding": {"embeddings": (5, 2)},
    "LayerNormalization": {"gamma": (3,), "beta": (3,)},
    "PReLU": {"alpha": PICTURE},
    "SeparableConv2D": {
        "depthwise_kernel": (3, 3, 3, 1),
        "pointwise_kernel": (1, 1, 3, 4),
        "bias": (4,),
    },
}
MERGES = ("Add", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")


def shape_of(kind: str) -> tuple[int, ...]:
    return (4,) if kind in ("Embedding", "RepeatVector") else ROWS if "1D" in kind else PICTURE


def ops_of(folder: Path, kind: str) -> set[str]:
    """The ops of a model of this layer alone."""
    names = ["a", "b"] if kind in MERGES else ["a"]
    shape = [None, *shape_of(kind)]
    layers = [crafted.layer("InputLayer", n, batch_input_shape=shape) for n in names]
    layers.append(crafted.layer(kind, "l", **OPTIONS.get(kind, {})))
    for entry in layers:
        entry["name"] = entry["config"]["name"]
        entry["inbound_nodes"] = []
    layers[-1]["inbound_nodes"] = [[[n, 0, 0, {}] for n in names]]
    ends = {
        "input_layers": [[n, 0, 0] for n in names],
        "output_layers": [["l", 0, 0]],
    }
    model = {"class_name": "Functional", "config": {"name": "m", "layers": layers, **ends}}
    arrays = {f"l/{n}": np.full(s, 0.5, np.float32) for n, s in WEIGHTS.get(kind, {}).items()}
    path = write_tfjs(folder, {"keras_version": "2.15.0", "model_config": model}, arrays)
    return {node.op for node in load_graph(path).graph.nodes}


@pytest.mark.parametrize(
    ("op", "kind"), [(op, kind) for op, kinds in gen_ops_docs.LAYERS.items() for kind in kinds]
)
def test_layers_become_the_op_that_names_them(tmp_path: Path, op: str, kind: str) -> None:
    assert op in ops_of(tmp_path, kind)

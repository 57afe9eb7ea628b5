"""The networks that the bench runs, in every engine's format, with the same weights."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import fanlight as fl
from bench.export import plain, to_onnx, to_tfjs
from fanlight.graph import Graph

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("FANLIGHT_SHARED", ROOT.parent / "shared"))
MODELS = SHARED / "data" / "models"

# name -> (source, options of fl.load)
NETWORKS: dict[str, tuple[str, dict]] = {
    "mobilenet_v1_1.0_224": (
        "topologies-only/mobilenet_v1_1.0_224-layers.json",
        {"weights": "random"},
    ),
    "mobilenet_v2_1.0_224": (
        "topologies-only/mobilenet_v2_1.0_224-layers.json",
        {"weights": "random"},
    ),
    "mobilenet_v1_0.25_224": ("mobilenet-v1-0.25-graph", {}),
}


@dataclass(frozen=True)
class Network:
    """One network on disk: the same weights as a bundle, a TF.js graph-model and an ONNX file."""

    name: str
    graph: Graph
    folder: Path
    input: np.ndarray

    @property
    def nchw(self) -> tuple[int, ...]:
        n, h, w, c = self.input.shape
        return (n, c, h, w)


def load(name: str) -> fl.Model:
    """One of NETWORKS, loaded."""
    source, options = NETWORKS[name]
    if not (MODELS / source).exists():
        raise SystemExit(f"bench: {MODELS / source} is missing; set FANLIGHT_SHARED")
    return fl.load(MODELS / source, **options)


def prepare(name: str, out: Path, *, onnx: bool = True) -> Network:
    """Load a network and write it for every engine under `out`/name."""
    return write(load(name), name, out, onnx=onnx)


def write(model: fl.Model, name: str, out: Path, *, onnx: bool = True) -> Network:
    """Write a loaded model with one image input for every engine under `out`/name."""
    folder = out / name
    fl.build(model, folder / "fanlight", name=name)
    flat = plain(model.graph)
    to_tfjs(flat, folder / "tfjs")
    if onnx:
        to_onnx(flat, folder / "model.onnx")
    shape = model.inputs[0][1].bound
    values = np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)
    return Network(name, model.graph, folder, values)

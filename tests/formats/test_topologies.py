"""Topologies of real models that came without weights: they load and have the right outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fanlight as fl
from tests.formats.custom_layers import custom_objects
from tools import models_table

FOLDER = Path("data", "models", "topologies-only")
# What the models give, as their makers say.
GRAPHS = {
    "deeplab-image-segmenter-graph": [(1, 513, 513)],
    "doctr-crnn_mobilenet_v2": [(1, 32, 127)],
    "movenet-benchmark-f32": [(1, 10, 56)],
    "movenet-multipose-f16": [(1, 6, 56)],
    "spice-pitch": [(31,), (31,)],
    "yolov5n-graph": [(1, 100, 4), (1, 100), (1, 100), (1,)],
    "yolov8n-graph": [(1, 84, 8400)],
    "yamnet-graph": [(1, 521)],
    "nanodet-f16": [
        (1, 169, 80), (1, 169, 44), (1, 676, 80), (1, 2704, 80), (1, 676, 44), (1, 2704, 44),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_load_with_guessed_shapes(shared: Path, name: str) -> None:
    model = models_table.load(shared / FOLDER / f"{name}.json", "random")
    assert [t.shape for _, t in model.outputs] == GRAPHS[name]


@pytest.mark.parametrize(
    ("name", "shapes", "outputs"),
    [
        ("retinanet-layers", {}, [(1, 300, 4), (1, 300), (1, 300)]),
        (
            "fasterrcnn-layers",
            {"input_6": (1, 2, 4)},
            [(1, 2, 2, 9), (1, 2, 2, 36), (1, 2, 2), (1, 2, 4)],
        ),
    ],
)
def test_layers_of_ones_own_are_loaded_and_run(
    shared: Path, name: str, shapes: dict[str, tuple[int, ...]], outputs: list[tuple[int, ...]]
) -> None:
    path = shared / FOLDER / f"{name}.json"
    with fl.utils.custom_object_scope(custom_objects()):
        model = fl.load(path, weights="random", size=32, input_shapes=shapes)
    rng = np.random.default_rng(1)
    inputs = {n: rng.uniform(0, 1, t.bound).astype(np.float32) for n, t in model.inputs}
    found = list(model(inputs).values())
    assert [y.shape for y in found] == outputs
    assert all(np.isfinite(y).all() for y in found)


def test_layers_that_are_not_registered_are_named(shared: Path) -> None:
    path = shared / FOLDER / "retinanet-layers.json"
    with pytest.raises(fl.FanlightError, match=r"(?s)E-FORMAT-014.*Anchors x5.*register"):
        fl.load(path, weights="random", size=32)


def test_sizes_that_numbers_decide_are_told_by_fixing_these(shared: Path) -> None:
    """Two sentences of 3 and 2 tokens for an encoder of sentences."""
    path = shared / FOLDER / "universal-sentence-encoder-lite.json"
    places = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1]]
    model = fl.load(
        path, weights="random", input_shapes={"values": (5,)}, input_values={"indices": places}
    )
    assert [t.shape for _, t in model.outputs] == [(2, 512)]
    (found,) = model({"values": np.array([4, 9, 2, 7, 30], np.int32)}).values()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-4)
    assert np.abs(found[0] - found[1]).max() > 1e-2

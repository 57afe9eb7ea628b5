"""Topologies of real models that came without weights: they load and have the right outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

import fanlight as fl

FOLDER = Path("data", "models", "topologies-only")
# What the models give, as their makers say.
GRAPHS = {
    "yolov8n-graph": [(1, 84, 8400)],
}


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_load_with_guessed_shapes(shared: Path, name: str) -> None:
    model = fl.load(shared / FOLDER / f"{name}.json", weights="random")
    assert [t.shape for _, t in model.outputs] == GRAPHS[name]

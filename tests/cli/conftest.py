"""A tiny TF.js layers-model and a photo, written by hand: the command line's tests need no data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest


def write_model(folder: Path, *, nan: bool = False) -> Path:
    """A model.json and its shard: mean colour of 16 x 16 pixels -> scores of three classes."""
    folder.mkdir(parents=True, exist_ok=True)
    kernel = 4 * np.eye(3, dtype=np.float32)
    if nan:
        kernel[0, 0] = np.nan
    bias = np.zeros(3, np.float32)
    layers = [
        {
            "class_name": "InputLayer",
            "config": {
                "batch_input_shape": [None, 16, 16, 3],
                "dtype": "float32",
                "sparse": False,
                "name": "input",
            },
            "name": "input",
            "inbound_nodes": [],
        },
        {
            "class_name": "GlobalAveragePooling2D",
            "config": {"name": "pool", "data_format": "channels_last"},
            "name": "pool",
            "inbound_nodes": [[["input", 0, 0, {}]]],
        },
        {
            "class_name": "Dense",
            "config": {"name": "dense", "units": 3, "activation": "softmax", "use_bias": True},
            "name": "dense",
            "inbound_nodes": [[["pool", 0, 0, {}]]],
        },
    ]
    config = {
        "name": "colours",
        "layers": layers,
        "input_layers": [["input", 0, 0]],
        "output_layers": [["dense", 0, 0]],
    }
    weights = [
        {"name": "dense/kernel", "shape": [3, 3], "dtype": "float32"},
        {"name": "dense/bias", "shape": [3], "dtype": "float32"},
    ]
    model = {
        "format": "layers-model",
        "generatedBy": "keras v2.2.4",
        "convertedBy": None,
        "modelTopology": {
            "keras_version": "2.2.4",
            "backend": "tensorflow",
            "model_config": {"class_name": "Model", "config": config},
        },
        "weightsManifest": [{"paths": ["group1-shard1of1.bin"], "weights": weights}],
    }
    (folder / "model.json").write_text(json.dumps(model))
    (folder / "group1-shard1of1.bin").write_bytes(kernel.tobytes() + bias.tobytes())
    return folder / "model.json"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "source")


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text("red\ngreen\nblue\n")
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    from PIL import Image

    path = tmp_path / "green.png"
    Image.new("RGB", (30, 20), (10, 220, 30)).save(path)
    return path

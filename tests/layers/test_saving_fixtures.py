"""Models that Keras 2 and Keras 3 have saved, and the answers that they gave then."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import fanlight as fl
from tests.support import SHARED

FIXTURES = SHARED / "fixtures"

ROUTES = ("model.keras", "model.h5", "tfjs/h5_layers", "tfjs/keras_layers")
QUANTIZED = ("tfjs/h5_layers_f16", "tfjs/h5_layers_u8")
# Bilinear enlarging, of which TF.js leaves out half_pixel_centers; Keras's answer is ours.
OTHERWISE_IN_TFJS = ("func_resnet__keras2", "x_upbilinear__keras2")
NAMES = (
    sorted(p.parent.name for p in FIXTURES.glob("*/io.npz") if (p.parent / "model.h5").is_file())
    if FIXTURES.is_dir()
    else []
)

pytestmark = pytest.mark.skipif(not NAMES, reason=f"no models of Keras in {FIXTURES}")


@pytest.mark.parametrize("name", NAMES or ["none"])
def test_answers_as_keras_did(name: str) -> None:
    folder = FIXTURES / name
    with np.load(folder / "io.npz") as io:
        given = [io[k] for k in sorted(io) if k.startswith("in")]
        wanted = [io[k] for k in sorted(io) if k.startswith("out")]
    tried = 0
    for route in ROUTES:
        if not (folder / route).exists():
            continue
        model = fl.load_model(folder / route)
        found = model.predict(given[0] if len(given) == 1 else given)
        if isinstance(found, dict):
            found = list(found.values())
        found = found if isinstance(found, list) else [found]
        assert len(found) == len(wanted)
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5, err_msg=f"{name} {route}")
        tried += 1
    assert tried


@pytest.mark.parametrize("name", NAMES or ["none"])
def test_quantized_weights_are_what_they_stand_for(name: str, tmp_path: Path) -> None:
    """The weights are those that this test unpacks; and the answers are TF.js's, where it has any.

    TF.js can load no layers-model of Keras 3, nor one of Keras 2 that has MultiHeadAttention,
    GroupNormalization, SeparableConv2D or a GRU as Keras makes it, so it has no answer for those.
    """
    folder = FIXTURES / name
    tried = 0
    for route in QUANTIZED:
        if not (folder / route).is_dir():
            continue
        model = fl.load_model(folder / route)
        plain = fl.load_model(_unpacked(folder / route, tmp_path / Path(route).name))
        found, expected = model.get_weights(), plain.get_weights()
        assert len(found) == len(expected) > 0
        for ours, unpacked in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, unpacked, err_msg=f"{name} {route}")
        tried += 1
        if (folder / route / "tfjs_output_0.bin").is_file():
            _answers_as_tfjs_did(model, folder, route)
    assert tried


def _answers_as_tfjs_did(model: fl.Model, folder: Path, route: str) -> None:
    with np.load(folder / "io.npz") as io:
        given = [io[k] for k in sorted(io) if k.startswith("in")]
        wanted = io[min(k for k in io if k.startswith("out"))]
    exact = np.fromfile(folder / "tfjs" / "h5_layers" / "tfjs_output_0.bin", "<f4")
    if not np.allclose(exact, wanted.ravel(), rtol=0, atol=1e-4):
        assert folder.name in OTHERWISE_IN_TFJS
        return
    found = model.predict(given[0] if len(given) == 1 else given)
    found = list(found.values()) if isinstance(found, dict) else found
    first = found[0] if isinstance(found, list) else found
    theirs = np.fromfile(folder / route / "tfjs_output_0.bin", "<f4").reshape(first.shape)
    message = f"{folder.name} {route}"
    np.testing.assert_allclose(first, theirs, rtol=1e-5, atol=2e-5, err_msg=message)


def _unpacked(folder: Path, target: Path) -> Path:
    """The same layers-model with float32 weights: q·scale + min of integers, halves widened."""
    model = json.loads((folder / "model.json").read_text())
    packed, plain = b"", b""
    for group in model["weightsManifest"]:
        packed += b"".join((folder / path).read_bytes() for path in group["paths"])
    weights = [entry for group in model["weightsManifest"] for entry in group["weights"]]
    for entry in weights:
        rule = entry.pop("quantization", {"dtype": entry["dtype"]})
        kept = np.dtype(rule["dtype"]).newbyteorder("<")
        count = math.prod(entry["shape"])
        values = np.frombuffer(packed, kept, count)
        packed = packed[values.nbytes :]
        if "scale" in rule:
            values = values.astype(np.float64) * rule["scale"] + rule["min"]
        plain += values.astype(np.dtype(entry["dtype"]).newbyteorder("<")).tobytes()
    assert not packed
    model["weightsManifest"] = [{"paths": ["weights.bin"], "weights": weights}]
    target.mkdir()
    (target / "model.json").write_text(json.dumps(model))
    (target / "weights.bin").write_bytes(plain)
    return target

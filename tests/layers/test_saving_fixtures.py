"""Models that Keras 2 and Keras 3 have saved, and the answers that they gave then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fanlight as fl
from tests.support import SHARED

FIXTURES = SHARED / "fixtures"

ROUTES = ("model.keras", "model.h5", "tfjs/h5_layers", "tfjs/keras_layers")
QUANTIZED = ("tfjs/h5_layers_f16", "tfjs/h5_layers_u8")
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
def test_quantized_weights_answer_as_tfjs_does(name: str) -> None:
    folder = FIXTURES / name
    tried = 0
    for route in QUANTIZED:
        golden = folder / route / "tfjs_output_0.bin"
        if not golden.is_file():
            continue
        with np.load(folder / "io.npz") as io:
            given = [io[k] for k in sorted(io) if k.startswith("in")]
            wanted = io[min(k for k in io if k.startswith("out"))]
        found = fl.load_model(folder / route).predict(given[0] if len(given) == 1 else given)
        found = list(found.values()) if isinstance(found, dict) else found
        first = found[0] if isinstance(found, list) else found
        theirs = np.fromfile(golden, "<f4").reshape(first.shape)
        exact = folder / "tfjs" / "h5_layers" / "tfjs_output_0.bin"
        if np.isnan(theirs).any() or not _agrees(exact, wanted):
            continue  # TF.js differs from Keras here, e.g. in bilinear enlarging
        np.testing.assert_allclose(first, theirs, rtol=1e-5, atol=2e-5, err_msg=f"{name} {route}")
        tried += 1
    if not tried:
        pytest.skip(f"TF.js gave no answer for {name}")


def _agrees(path: Path, wanted: np.ndarray) -> bool:
    """Whether TF.js answered as Keras did with weights that were not quantized."""
    if not path.is_file():
        return False
    found = np.fromfile(path, "<f4")
    return found.size == wanted.size and np.allclose(found, wanted.ravel(), rtol=0, atol=1e-4)

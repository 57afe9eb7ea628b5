"""What built models say of photos: the figures that tiers and thresholds are chosen by."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fanlight.built import Bundle
from fanlight.calibration import LIMIT, read_items
from fanlight.errors import FanlightError

Advance = Callable[[str, float], None]


def photos_of(calibration: Any, limit: int = LIMIT) -> list[np.ndarray]:
    """The photos among calibration data, uint8 [h, w, 3 or 4]; none where there are arrays."""
    return [] if calibration is None else read_items(calibration, limit=limit).pictures


def scores_of(bundle: Bundle, photos: Sequence[np.ndarray]) -> tuple[np.ndarray, float]:
    """The scores of each photo, and the median of the milliseconds of one answer here.

    Computed by the WebAssembly that visitors get, or by NumPy where wasmtime is not installed.

    Returns:
        float32 [photos, classes], and milliseconds.
    """
    task = bundle.manifest["task"]
    host = bundle_host(bundle)
    found, times = [], []
    for photo in photos:
        start = time.perf_counter()
        out = bundle.run({task["image"]: photo}, host=host)
        times.append(1000 * (time.perf_counter() - start))
        found.append(out[task["scores"]].reshape(-1))
    return np.stack(found), float(np.median(times))


def bundle_host(bundle: Bundle) -> str:
    """The fastest host that is installed."""
    try:
        bundle.host("wasm")
    except FanlightError as error:
        if error.code != "E-HOST-001":
            raise
        return "numpy"
    return "wasm"


def agreement(scores: np.ndarray, reference: np.ndarray) -> float:
    """The share of photos of which two models say the same."""
    return float(np.mean(scores.argmax(axis=1) == reference.argmax(axis=1)))

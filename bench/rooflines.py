"""Every published image model, kernel by kernel, against what the machine can do.

A kernel is *weak* where it takes over 5 % of the model's time and reaches under half of its limit
(see fanlight.roofline). Some models are measured in int8 too; a few made-up inputs calibrate them,
since the values of weights do not matter to the time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fanlight as fl
from bench.networks import MODELS
from bench.parity import IMAGE_MODELS, inputs_for
from bench.shapes import SHAPES
from fanlight import roofline
from fanlight.check import random_inputs

SHARE, HALF = 0.05, 0.5
IN_BYTES = (
    "mobilenet-v1-0.25-graph",
    "nsfwjs-mobilenet-v2-layers-uint8",
    "squeezenet-layers",
    "posenet-mobilenet-quant2-050",
)
ROUNDS = 12


def measure(
    names: Sequence[str] = tuple(IMAGE_MODELS), *, rounds: int = ROUNDS
) -> list[dict[str, Any]]:
    """A row per model and precision."""
    rows = []
    for name in names:
        model = fl.load(MODELS / name, **IMAGE_MODELS[name])
        rows.append(_row(model, name, "f32", rounds))
        if name in IN_BYTES:
            items = [inputs_for(model, seed=i) for i in range(4)]
            rows.append(_row(fl.quantize(model, items), name, "int8", rounds))
    return rows


def measure_shapes(*, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """A row per op or recurrent step of bench.shapes, in float32; none is judged on its own."""
    rows = []
    for make in SHAPES:
        graph = make()
        row = _row(graph, graph.name, "f32", rounds)
        rows.append({"what": row["model"], **{k: row[k] for k in ("ms", "of_roofline", "weak")}})
    return rows


def _row(model: Any, name: str, precision: str, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        with fl.build(model, Path(folder) / "bundle", name=name) as bundle:
            found = roofline.measure(bundle, random_inputs(bundle.manifest), rounds=rounds)
    weak = sorted(
        (r for r in found.rows if r.share > SHARE and r.of_roofline < HALF), key=lambda r: -r.share
    )
    return {
        "model": name,
        "precision": precision,
        "ms": round(found.ms, 2),
        "of_roofline": round(found.of_roofline, 2),
        "weak": "; ".join(
            f"{r.op} {r.source}: {r.share:.0%} of the time at {r.of_roofline:.0%}" for r in weak
        ),
        "ok": not weak,
    }

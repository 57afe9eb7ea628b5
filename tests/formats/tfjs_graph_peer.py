"""TensorFlow.js itself, from npm, runs the models that are written."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.layers.tfjs_peer import ROOT, need_tfjs

SCRIPT = Path(__file__).with_name("tfjs_graph_peer.mjs")


def run(jobs: Sequence[tuple[Path, Mapping[str, np.ndarray]]]) -> list[dict[str, Any]]:
    """Of each (folder, inputs by name): outputs by name as arrays, or an error."""
    need_tfjs()
    listed = [
        {"folder": str(folder), "inputs": {n: _listed(np.asarray(a)) for n, a in inputs.items()}}
        for folder, inputs in jobs
    ]
    done = subprocess.run(
        [str(ROOT / "tools" / "with_node.sh"), "node", "--stack-size=4000", str(SCRIPT)],
        input=json.dumps({"packages": str(ROOT), "jobs": listed}),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    lines = [x for x in done.stdout.splitlines() if x.startswith("ANSWER ")]
    if done.returncode or len(lines) != len(listed):
        raise AssertionError(f"TF.js failed: {done.stderr[-2000:]}{done.stdout[-500:]}")
    answers = []
    for line in lines:
        told = json.loads(line[7:])
        if "outputs" in told:
            told["outputs"] = {n: _array(*v) for n, v in told["outputs"].items()}
        if "list" in told:
            told["list"] = [_array(*v) for v in told["list"]]
        answers.append(told)
    return answers


def _array(shape: Any, numbers: Any) -> np.ndarray:
    return np.array([float(n) for n in numbers], "float64").reshape(shape)


def _listed(array: np.ndarray) -> list[Any]:
    kind = {"i": "int32", "u": "int32", "b": "bool"}.get(array.dtype.kind, "float32")
    return [list(array.shape), array.astype(kind).ravel().tolist(), kind]

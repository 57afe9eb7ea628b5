"""TensorFlow.js itself, from npm (package.json), run by node."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("tfjs_peer.mjs")


def need_tfjs() -> None:
    """Fail where TensorFlow.js is not installed: `make setup` does it."""
    if not (ROOT / "node_modules" / "@tensorflow" / "tfjs").is_dir():
        pytest.fail("TF.js is missing: run `make setup`")


def run(**command: Any) -> dict[str, Any]:
    """What TF.js answers to a command of tfjs_peer.mjs."""
    need_tfjs()
    for key in ("inputs", "labels"):
        if command.get(key) is not None:
            command[key] = [_listed(np.asarray(a)) for a in command[key]]
    command["packages"] = str(ROOT)
    done = subprocess.run(
        [str(ROOT / "tools" / "with_node.sh"), "node", str(SCRIPT)],
        input=json.dumps(command),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("ANSWER ")]
    if done.returncode or not lines:
        raise AssertionError(f"TF.js failed: {done.stderr[-2000:]}{done.stdout[-500:]}")
    found: dict[str, Any] = json.loads(lines[-1][7:])
    return found


def _listed(array: np.ndarray) -> list[Any]:
    kind = "int32" if array.dtype.kind in "iu" else "float32"
    return [list(array.shape), array.astype(kind).ravel().tolist(), kind]

"""TensorFlow.js itself, from npm (package.json), run by node."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
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


def answers(script: Path, command: Mapping[str, Any], *flags: str) -> list[Any]:
    """What a script for node writes behind ANSWER, line by line, given a command as JSON.

    Args:
        command: what the script takes; it is told where the packages are, too.
        flags: of node.
    """
    need_tfjs()
    done = subprocess.run(
        [str(ROOT / "tools" / "with_node.sh"), "node", *flags, str(script)],
        input=json.dumps({"packages": str(ROOT), **command}),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("ANSWER ")]
    if done.returncode or not lines:
        raise AssertionError(f"TF.js failed: {done.stderr[-2000:]}{done.stdout[-500:]}")
    return [json.loads(line[7:]) for line in lines]


def listed(array: np.ndarray) -> list[Any]:
    """Shape, numbers and dtype, as the scripts take a tensor."""
    kind = {"i": "int32", "u": "int32", "b": "bool"}.get(array.dtype.kind, "float32")
    return [list(array.shape), array.astype(kind).ravel().tolist(), kind]


def run(**command: Any) -> dict[str, Any]:
    """What TF.js answers to a command of tfjs_peer.mjs."""
    for key in ("inputs", "labels"):
        if command.get(key) is not None:
            command[key] = [listed(np.asarray(a)) for a in command[key]]
    found: dict[str, Any] = answers(SCRIPT, command)[-1]
    return found

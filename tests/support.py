"""What several test folders need; fixtures are in conftest.py."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from fanlight.errors import FanlightError

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("FANLIGHT_SHARED", ROOT.parent / "shared"))


def run_python(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """This Python, as a process of its own that imports this tree's fanlight."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd or ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def fanlight_cli(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`fanlight ARGUMENTS` as a process of its own."""
    return run_python("-m", "fanlight", *map(str, arguments), cwd=cwd)


def refused(code: str, call: Callable[[], Any], *words: str) -> FanlightError:
    """The error of a call, which has all its parts and says these words."""
    with pytest.raises(FanlightError) as caught:
        call()
    error = caught.value
    assert error.code == code, str(error)
    assert None not in (error.expected, error.received, error.where), str(error)
    for word in words:
        assert word in str(error), str(error)
    return error


def relative_error(received: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest magnitude expected (0 for empty arrays)."""
    if expected.size == 0:
        return 0.0
    scale = max(float(np.abs(expected).max()), 1e-12)
    return float(np.abs(received.astype(np.float64) - expected.astype(np.float64)).max() / scale)


def apart(function: Callable[..., T], *args: Any, **options: Any) -> T:
    """Call it in a thread of its own: a second Playwright starts in no thread that has one, and
    which tests of a session have started the shared one depends on their order.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args, **options).result()

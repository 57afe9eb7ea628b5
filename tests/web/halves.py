"""A real bundle with float16 weights whose answers are exact, and a module that only expands."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import fanlight as fl
from fanlight.codegen.wasm.expand import emit_expand
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Builder

ROWS, COLUMNS = 64, 40
BIAS = 4096.125  # float16 does not have it
X = np.arange(ROWS, dtype=np.float32).reshape(1, ROWS) - 30


def weights() -> np.ndarray:
    """Eighths whose float32 has a little more, which float16 rounds away."""
    eighths = np.random.default_rng(0).integers(-64, 64, (ROWS, COLUMNS)) / 8
    return np.where(eighths, eighths * (1 + 2.0**-20), 0).astype(np.float32)


def answer() -> list[float]:
    """x @ w + b with the rounded w: sums of eighths, exact in any order."""
    return [float(v) for v in (X @ weights().astype(np.float16).astype(np.float32))[0] + BIAS]


def write_half(folder: Path) -> None:
    """`folder`: y = x @ w + b in f16. Also expand.wasm there, of a module that exports `expand`."""
    b = Builder("half")
    x = b.input("x", (1, ROWS))
    y = b.add("matmul", x, b.weight(weights(), "w"))
    y = b.add("add", y, b.weight(np.full(COLUMNS, BIAS, np.float32), "b"))
    fl.build(b.finish({"y": y}), folder, precision="f16").close()
    module = Module(6)
    emit_expand(module)
    (folder / "expand.wasm").write_bytes(module.encode())

"""Keras is the oracle here, and JAX computes it: chosen before the first test imports either."""

from __future__ import annotations

import os
from importlib import metadata

os.environ.setdefault("KERAS_BACKEND", "jax")
# Every shape is computed once: compiling it well takes longer than computing it.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
try:
    jaxlib = metadata.version("jaxlib")
except metadata.PackageNotFoundError:
    jaxlib = ""  # the tests that need it say so
if jaxlib.startswith("0.10."):  # a process ends at a flag that its jaxlib does not know
    # Fused loops without MLIR's emitters: half the time to compile.
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_use_fusion_emitters=false".strip()

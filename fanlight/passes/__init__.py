"""Graph -> Graph rewrites, one pass per file, and the pipelines that order them."""

from __future__ import annotations

from fanlight.passes.core import Context, Pass, Property
from fanlight.passes.pipeline import (
    PIPELINE_F16,
    PIPELINE_F32,
    PIPELINES,
    Repeat,
    alive,
    check_order,
    fold,
    optimize,
    run,
    within,
)

__all__ = [
    "PIPELINES",
    "PIPELINE_F16",
    "PIPELINE_F32",
    "Context",
    "Pass",
    "Property",
    "Repeat",
    "alive",
    "check_order",
    "fold",
    "optimize",
    "run",
    "within",
]

"""Graph -> Graph rewrites, one pass per file, and the pipelines that order them."""

from __future__ import annotations

from fanlight.passes.core import Context, Pass, Property
from fanlight.passes.pipeline import (
    PIPELINE_F16,
    PIPELINE_F32,
    PIPELINES,
    Repeat,
    check_order,
    optimize,
    run,
)

__all__ = [
    "PIPELINES",
    "PIPELINE_F16",
    "PIPELINE_F32",
    "Context",
    "Pass",
    "Property",
    "Repeat",
    "check_order",
    "optimize",
    "run",
]

"""The op table: one row per op, one file per family. Importing this package fills the table."""

from __future__ import annotations

from fanlight.ops.row import TABLE, Attr, Row, Unsupported, lookup
from fanlight.ops.types import Dim, TensorType

__all__ = ["TABLE", "Attr", "Dim", "Row", "TensorType", "Unsupported", "lookup"]

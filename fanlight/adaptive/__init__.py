"""Folders whose page takes what fits the device: tiers, cascades and early exits."""

from __future__ import annotations

from fanlight.adaptive.cascade import Cascade, cascade, early_exits
from fanlight.adaptive.tiers import Tiers, build_tiers

__all__ = ["Cascade", "Tiers", "build_tiers", "cascade", "early_exits"]

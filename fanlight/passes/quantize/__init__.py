"""Quantisation: a float graph becomes one of bytes (docs/adr/0005, docs/quantization.md)."""

from __future__ import annotations

from fanlight.passes.quantize.report import LayerReport, Report
from fanlight.passes.quantize.search import Quantized, quantize_graph

__all__ = ["LayerReport", "Quantized", "Report", "quantize_graph"]

"""Formats: model files -> graphs. No reader needs TensorFlow, and none trusts its file."""

from __future__ import annotations

from fanlight.formats.detect import load_graph
from fanlight.formats.model import Model, load
from fanlight.formats.onnx_writer.writer import write_onnx
from fanlight.formats.source import Port, Source
from fanlight.formats.tfgraph_writer.writer import write_graph_model

__all__ = ["Model", "Port", "Source", "load", "load_graph", "write_graph_model", "write_onnx"]

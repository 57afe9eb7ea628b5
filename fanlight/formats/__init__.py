"""Formats: model files -> graphs. No reader needs TensorFlow, and none trusts its file."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fanlight.formats.detect import load_graph
    from fanlight.formats.model import Model, load
    from fanlight.formats.onnx_writer.writer import write_onnx
    from fanlight.formats.source import Port, Source
    from fanlight.formats.tfgraph_writer.writer import write_graph_model
else:
    # Where each is; a reader need not wait until the writers are imported.
    _PLACES = {
        "Model": "model",
        "Port": "source",
        "Source": "source",
        "load": "model",
        "load_graph": "detect",
        "write_graph_model": "tfgraph_writer.writer",
        "write_onnx": "onnx_writer.writer",
    }

    def __getattr__(name: str) -> object:
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
        return globals()[name]


__all__ = ["Model", "Port", "Source", "load", "load_graph", "write_graph_model", "write_onnx"]

"""The importers of each format: under their names, and each name once."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from fanlight.formats.registry import under

READERS = {
    "tfgraph": "importer", "onnx": "importer", "tflite": "importer", "torch": "importer",
    "jaxpr": "importer", "keras": "layer",
}  # fmt: skip


def test_a_name_has_one_function() -> None:
    handlers: dict[str, Any] = {}
    put = under(("a", "b"), handlers)
    assert put(len) is len and handlers == {"a": len, "b": len}
    with pytest.raises(ValueError, match="two importers for b"):
        under(["c", "b"], handlers)(len)


@pytest.mark.parametrize("reader", list(READERS))
def test_readers_refuse_a_second_importer(reader: str) -> None:
    import_module(f"fanlight.formats.{reader}.{'model' if reader == 'keras' else 'reader'}")
    call = import_module(f"fanlight.formats.{reader}.call")
    table = call.LAYERS if reader == "keras" else call.HANDLERS
    before = dict(table)
    name = next(iter(before)).removeprefix("aten.")
    with pytest.raises(ValueError, match=f"two importers for .*{name}"):
        getattr(call, READERS[reader])(name)(len)
    assert table == before and len(before) > 30

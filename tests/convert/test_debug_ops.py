"""Ops that only print or check: left out, told of, and silent with --strip-debug-ops."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import fanlight as fl
from fanlight.convert.report import report_of
from tests.cli.test_convert import run as command
from tests.formats import savedmodels as tf

T = ("type", tf.FLOAT)
X = tf.placeholder("x", -1, 3)
TEXT = tf.texts("text", "is it so?")
TRUE = tf.const("true", np.array(True))
END = tf.node("Relu", "y", "last", T=T)
# what the graph has besides -> what is left out of it
GRAPHS: dict[str, tuple[Sequence[bytes], dict[str, int]]] = {
    "checks": (
        [tf.node("CheckNumerics", "a", "x", T=T, message="bad"),
         tf.node("CheckNumericsV2", "b", "a", T=T, message="bad"),
         tf.node("Identity", "last", "b", T=T)],
        {"CheckNumerics": 1, "CheckNumericsV2": 1},
    ),
    "asserts": (
        [tf.node("Less", "less", "x", "x", T=T), tf.node("All", "all", "less", "axes"),
         tf.const("axes", np.array([0, 1], "int32")), TEXT,
         tf.node("Assert", "assert1", "all", "text", "x"),
         TRUE, tf.node("Assert", "assert2", "true", "text"),
         tf.node("Identity", "last", "x", "^assert1", "^assert2", T=T)],
        {"Assert": 2},
    ),
    "prints": (
        [TEXT, tf.node("Print", "print", "x", "text", "x", T=T, message="x: "),
         tf.node("StringFormat", "format", "x", template="%s"), tf.node("PrintV2", "v2", "format"),
         tf.node("Identity", "last", "print", "^v2", T=T)],
        {"Print": 1, "PrintV2": 1},
    ),
    "debugger": (
        [tf.node("DebugIdentityV2", "debug", "x", T=T), tf.node("Identity", "last", "debug", T=T)],
        {"DebugIdentityV2": 1},
    ),
    "none": ([tf.node("Identity", "last", "x", T=T)], {}),
}  # fmt: skip


def written(folder: Path, name: str) -> Path:
    path = folder / "graph.pb"
    path.write_bytes(tf.graph([X, *GRAPHS[name][0], END]))
    return path


@pytest.mark.parametrize("name", GRAPHS)
def test_they_are_left_out_and_told_of(name: str, tmp_path: Path) -> None:
    path, left = written(tmp_path, name), GRAPHS[name][1]
    model = fl.load(path)
    assert model.source.debug_ops == left and not model.source.warnings
    assert [n.op for n in model.graph.nodes] == ["relu"]
    x = np.array([[-1.0, 2.0, 3.0]], np.float32)
    np.testing.assert_array_equal(model(x), np.maximum(x, 0))
    told = fl.convert(path, tmp_path / "web")
    kinds = [
        n["op"]
        for n in json.loads((tmp_path / "web/model.json").read_text())["modelTopology"]["node"]
    ]
    assert told.ok and kinds == ["Placeholder", "Relu", "Identity"]
    said = [n for n in told.notes if "print or check" in n]
    assert len(said) == bool(left) and all(f"{n} {op}" in said[0] for op, n in left.items())
    assert list(report_of(str(path)).notes) == said
    assert not fl.convert(path, tmp_path / "web", strip_debug_ops=True).notes


def test_those_of_functions_count_too(tmp_path: Path) -> None:
    """A SavedModel keeps them in the functions that its signature calls."""
    inner = [
        tf.node("CheckNumerics", "check", "a", T=T, message="bad"),
        tf.texts("why", "bad"),
        tf.const("yes", np.array(True)),
        tf.node("Assert", "assert", "yes:output:0", "why:output:0"),
        tf.node("Relu", "r", "check:output:0", "^assert", T=T),
    ]
    unused = [tf.node("CheckNumerics", "check", "a", T=T, message="bad")]
    nodes = [X, tf.node("PartitionedCall", "y", "x", f=("func", "body"))]
    functions = [
        tf.function("body", {"a": tf.FLOAT}, inner, {"out": "r:activations:0"}),
        tf.function("unused", {"a": tf.FLOAT}, unused, {"out": "check:output:0"}),
    ]
    folder = tmp_path / "saved"
    folder.mkdir()
    ends = {"serving_default": tf.signature({"x": tf.info("x:0", -1, 3)},
                                            {"y": tf.info("y:0", -1, 3)})}  # fmt: skip
    made = tf.saved_model(tf.meta_graph(tf.graph(nodes, functions), ends))
    (folder / "saved_model.pb").write_bytes(made)
    assert fl.load(folder).source.debug_ops == {"CheckNumerics": 1, "Assert": 1}


def test_the_command(tmp_path: Path) -> None:
    path = written(tmp_path, "asserts")
    code, said = command(str(path), str(tmp_path / "web"))
    assert code == 0 and "2 Assert" in said
    code, said = command(str(path), str(tmp_path / "web"), "--strip-debug-ops")
    assert code == 0 and "Assert" not in said

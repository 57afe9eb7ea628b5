"""The table of published models: its rows, what float64 says, and that a run goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.formats.source import Port
from tests.formats import crafted
from tests.formats.crafted import node, placeholder
from tools import models_peers, models_table

ROW = {"model": "m", "reader": "tfjs-graph", "ops": 3, "inputs": "[1]", "seconds": 0.1}


def small(folder: Path) -> Path:
    """A graph whose float32 answer is far from the exact one: large numbers that cancel."""
    nodes = [
        placeholder("x", 1, 4),
        node("Mul", "large", "x", "factor"),
        node("AddV2", "sum", "large", "x"),
        node("Sub", "y", "sum", "large"),
    ]
    topology, stored = crafted.graph_of(nodes, {"factor": np.float32([3e6])})
    return crafted.write_tfjs(folder, topology, stored, format="graph-model")


def test_float64_tells_rounding(tmp_path: Path) -> None:
    model = fl.load(small(tmp_path))
    x = np.float32([[0.1, 0.3, 0.7, 0.9]])
    (exact,), kept = models_peers.in_float64(model.graph, {"x": x})
    assert not kept and exact.dtype == np.float64
    np.testing.assert_allclose(exact, x, rtol=1e-6)
    (found,) = model({"x": x}).values()
    assert models_peers.relative(found, exact) > 1e-2


@pytest.mark.parametrize(
    ("more", "fine"),
    [
        ({"peer": "TF.js", "difference": 1e-6, "wasm": {"difference": 0.0}}, True),
        ({"peer": "TF.js", "difference": 2e-3}, False),
        ({"peer": "TF.js", "difference": 2e-3, "exact": {"NumPy": 1e-3, "TF.js": 1e-3}}, True),
        ({"peer": "TF.js", "difference": 2e-3, "exact": {"NumPy": 2e-3, "TF.js": 1e-6}}, False),
        ({"peer": "LiteRT", "steps": 1}, True),
        ({"peer": "LiteRT", "steps": 2}, False),
        ({"why": "no TF.js in node_modules"}, True),
        ({"why": "no TF.js in node_modules", "wasm": "E-BUILD-001 no."}, False),
        ({"error": "E-FORMAT-013 ops that Fanlight does not have."}, False),
    ],
)
def test_rows_are_good_or_stand_out(more: dict[str, Any], fine: bool) -> None:
    row = {**ROW, **more}
    row.setdefault("rounding", [])
    assert models_table.good(row) == fine
    text = models_table.line(row)
    assert text.count("|") == 8
    if "wasm" not in row or not isinstance(row["wasm"], str):
        assert ("**" in text) != fine
    assert text in models_table.page([row], 1)


def test_outputs_that_are_counted_are_cut() -> None:
    class Model:
        class source:
            outputs = (Port("a", "a:0", False), Port("a_count", "a:0", False))
            warnings = (
                "output 'a' is as long as the numbers want: it holds 4 along dim 1, of which "
                "a_count are meant.",
            )

    answers = {"a": np.arange(8).reshape(2, 4), "a_count": np.array(3)}
    (cut,) = models_table.meant(Model(), answers)
    assert cut.tolist() == [[0, 1, 2], [4, 5, 6]]


def test_a_run_goes_on_where_it_ended(tmp_path: Path) -> None:
    folder, rows = tmp_path / "models", tmp_path / "rows.jsonl"
    small(folder / "one")
    small(folder / "two")
    (folder / "two" / "model.json").write_text('{"modelTopology": {"node": [{"op": "No"}]}}')
    known = {**ROW, "model": "one/model.json", "why": "measured before"}
    rows.write_text(json.dumps(known) + "\n")
    command = [
        sys.executable, str(Path(models_table.__file__)), "--models", str(folder),
        "--rows", str(rows), "--seconds", "60",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "one/model.json" not in done.stdout, done.stderr
    kept = [json.loads(text) for text in rows.read_text().splitlines()]
    assert [r["model"] for r in kept] == ["one/model.json", "two/model.json"]
    assert kept[1]["error"].startswith("E-FORMAT-")


def test_what_takes_too_long_is_stopped(tmp_path: Path) -> None:
    small(tmp_path)
    command = [
        sys.executable, str(Path(models_table.__file__)), "--models", str(tmp_path),
        "--limit", "0.05",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert "**more than 0 s**" in done.stdout

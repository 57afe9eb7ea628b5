"""Quantised nets give the same bytes on NumPy and on wasmtime, with relaxed SIMD and without.

The browsers are asked in tests/web/test_bytes_chromium.py and test_firefox.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fanlight as fl
from fanlight.graph import Graph, evaluate, parse, to_text
from tests.web.byte_nets import byte_graphs, cases

NAMES = ("mobile", "residual", "everything", "default")


@pytest.fixture(scope="module")
def graphs() -> dict[str, Graph]:
    return byte_graphs()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_bytes(graphs: dict[str, Graph], name: str, tmp_path: Path) -> None:
    graph = graphs[name]
    with fl.build(graph, tmp_path / "site") as bundle:
        assert bundle.manifest["precision"] == "int8"
        for item in cases(graph):
            wanted = evaluate(graph, item)
            for host in ("wasm", "wasm-plain"):
                got = bundle.run(item, host=host)
                for output, array in wanted.items():
                    assert np.array_equal(got[output], array), (host, output)


@pytest.mark.parametrize("name", NAMES[:3])
def test_every_value_in_between_is_the_same(
    graphs: dict[str, Graph], name: str, tmp_path: Path
) -> None:
    """All results of all nodes as outputs: nothing is fused, so each kernel stands alone."""
    graph = graphs[name]
    made = tuple((f"v{i}", v) for i, n in enumerate(graph.nodes) for v in n.outputs)
    every = Graph(graph.name, graph.inputs, made, graph.nodes, graph.weights)
    with fl.build(every, tmp_path / "site") as bundle:
        (item, *_) = cases(graph)
        wanted = evaluate(every, item)
        for host in ("wasm", "wasm-plain"):
            got = bundle.run(item, host=host)
            for (output, value), node in zip(made, graph.nodes, strict=True):
                assert np.array_equal(got[output], wanted[output]), (host, node.op, value)


def test_a_bundle_from_disk_means_the_same(graphs: dict[str, Graph], tmp_path: Path) -> None:
    graph = graphs["residual"]
    fl.build(graph, tmp_path / "site").close()
    stored = fl.open_bundle(tmp_path / "site").graph
    assert any(a.dtype == np.int8 for a in stored.weights.values())
    (item, *_) = cases(graph)
    wanted, got = evaluate(graph, item), evaluate(stored, item)
    assert all(np.array_equal(wanted[n], got[n]) for n in wanted)


def test_a_quantised_graph_prints_and_parses(graphs: dict[str, Graph]) -> None:
    for graph in graphs.values():
        text = to_text(graph)
        assert to_text(parse(text, {v.name: a for v, a in graph.weights.items()})) == text

"""Quantised bundles whose answers must be the same bytes on every host, and their inputs."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

import fanlight as fl
from fanlight.graph import Graph, evaluate
from fanlight.passes.quantize import quantize_graph
from tests.quantize.nets import NETS, calibration

ITEMS = 2


def float_graphs() -> dict[str, Graph]:
    """Name -> float graph, without the softmax at its end, which is float32 and rounds."""
    graphs = {name: make() for name, make in NETS.items()}
    graphs["default"] = fl.default_model()[0].graph
    return {name: _before_softmax(graph) for name, graph in graphs.items()}


def _before_softmax(graph: Graph) -> Graph:
    makers = graph.producers()
    outputs = tuple(
        (name, makers[v].inputs[0] if makers[v].op == "softmax" else v) for name, v in graph.outputs
    )
    return Graph(graph.name, graph.inputs, outputs, graph.nodes, graph.weights)


@functools.cache
def byte_graphs() -> dict[str, Graph]:
    """The same, quantised: once in a process, as it takes seconds."""
    return {
        name: quantize_graph(graph, calibration(graph, 8)).graph
        for name, graph in float_graphs().items()
    }


def cases(graph: Graph) -> list[dict[str, np.ndarray]]:
    """Inputs to run, whose numbers JSON carries exactly."""
    return calibration(graph, ITEMS, seed=123)


def write_bytes(folder: Path) -> None:
    """A bundle per net in `folder`, and cases.json: net -> items of inputs."""
    inputs: dict[str, Any] = {}
    for name, graph in byte_graphs().items():
        fl.build(graph, folder / name).close()
        inputs[name] = [
            {n: a.reshape(-1).astype(float).tolist() for n, a in item.items()}
            for item in cases(graph)
        ]
    (folder / "cases.json").write_text(json.dumps(inputs), encoding="utf-8")


@functools.cache
def meaning(folder: Path) -> dict[str, list[dict[str, list[float]]]]:
    """What NumPy makes of the bundles, once: net -> per item, output -> numbers."""
    found = {}
    for name in json.loads((folder / "cases.json").read_text(encoding="utf-8")):
        graph = fl.open_bundle(folder / name).graph
        found[name] = [
            {n: [float(v) for v in a.reshape(-1)] for n, a in evaluate(graph, item).items()}
            for item in cases(graph)
        ]
    return found


# What a page asks of `load`.
SETTINGS: dict[str, dict[str, Any]] = {
    "relaxed": {"simd": "relaxed", "variants": [], "threads": 1},
    "plain": {"simd": "plain", "variants": [], "threads": 1},
    "pairs": {"simd": "relaxed", "variants": ["pairs"], "threads": 1},
    "threads": {"simd": "relaxed", "variants": [], "threads": 2},
}
# How often each item is run: browsers compile what runs often once more, by other rules.
CALLS = 120
# Runs every case; an expression of an async function (setting, load) => results, for any browser.
JOURNEY = """async (setting, load) => {
  const options = SETTINGS[setting];
  const cases = await (await fetch('bytes/cases.json')).json();
  const found = {};
  for (const [name, items] of Object.entries(cases)) {
    const model = await load(`bytes/${name}`, { ...options, cache: false });
    const { simd, variants, threads } = model.info;
    for (const [key, value] of Object.entries(options)) {
      const got = { simd, variants, threads }[key];
      if (String(got) !== String(value)) throw new Error(`${name}: ${key} ${got}`);
    }
    found[name] = [];
    for (const item of items) {
      const inputs = Object.fromEntries(
        Object.entries(item).map(([key, data]) => [key, Float32Array.from(data)]));
      let first;
      for (let i = 0; i < CALLS; i++) {
        const outputs = await model.run(inputs);
        const answer = Object.fromEntries(
          Object.entries(outputs).map(([key, { data }]) => [key, [...data]]));
        first ??= answer;
        if (JSON.stringify(answer) !== JSON.stringify(first)) throw new Error(`${name}: call ${i}`);
      }
      found[name].push(first);
    }
    model.dispose();
  }
  return found;
}""".replace("SETTINGS", json.dumps(SETTINGS)).replace("CALLS", str(CALLS))

"""The whole way: random graphs are optimized, built, and run as WebAssembly."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fanlight as fl
from fanlight.codegen.plan import make_plan
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Builder, evaluate, to_text
from fanlight.passes import optimize
from fanlight.targets import WASM_RELAXED
from tests.passes.support import RandomGraph, difference, random_inputs


@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(3, 20))
@settings(max_examples=40)
def test_random_graphs_answer_alike_in_webassembly(seed: int, steps: int) -> None:
    graph = RandomGraph(seed, steps).graph
    inputs = random_inputs(graph)
    with tempfile.TemporaryDirectory() as folder:
        received = fl.build(graph, Path(folder) / "bundle").run(inputs)
    for name, expected in evaluate(graph, inputs).items():
        array = np.asarray(received[name])
        assert array.shape == expected.shape
        assert difference(array, expected) <= 1e-4, to_text(graph)


def test_kernels_of_equal_keys_are_equal_code() -> None:
    codes: dict[str, bytes] = {}
    count = 0
    for seed in range(150):
        graph = optimize(RandomGraph(seed, 3 + seed % 20).graph)
        for step in make_plan(graph, [WASM_RELAXED]).steps:
            (kernel,) = step.kernels
            module = Module(1, relaxed_simd=True)
            module.define(kernel.key, kernel.emit)
            assert codes.setdefault(kernel.key, module.encode()) == module.encode(), kernel.key
            count += 1
    assert len(codes) < count  # some keys did meet again


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8", "bool"])
def test_inputs_that_are_outputs_keep_their_dtype(dtype: str, tmp_path: Path) -> None:
    builder = Builder("through")
    x = builder.input("x", (2, 3), dtype)
    again = builder.add("reshape", x, shape=(6,))
    graph = builder.finish({"x2": x, "again": again, "twice": again})
    array = np.array([[0, 1, 0], [1, 1, 0]]).astype(dtype)
    received = fl.build(graph, tmp_path / "bundle").run({"x": array})
    for name, expected in evaluate(graph, {"x": array}).items():
        assert received[name].dtype == expected.dtype
        np.testing.assert_array_equal(received[name], expected)

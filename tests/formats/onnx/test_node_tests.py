"""The node tests that the onnx package generates: all in scope pass but those that are listed."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from fanlight.build import build
from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.graph import evaluate

pytest.importorskip("onnx", reason="the oracle of these tests is the onnx package")

from tests.formats.onnx import harness

LISTS = json.loads(Path(__file__).with_name("node_tests.json").read_text())
CHUNKS = 8


@cache
def listed(kind: str, name: str) -> bool:
    return any(re.search(pattern, name) for pattern, _ in LISTS[kind])


@cache
def in_scope() -> tuple[str, ...]:
    return tuple(n for n in sorted(harness.cases()) if not listed("out of scope", n))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_cases(tmp_path: Path, chunk: int) -> None:
    wrong, better = [], []
    for name in in_scope()[chunk::CHUNKS]:
        try:
            harness.run(harness.cases()[name], tmp_path)
        except (FanlightError, AssertionError) as error:
            if not listed("failing", name):
                wrong.append(f"{name}: {str(error)[:300]}")
        else:
            better += [name] if listed("failing", name) else []
    assert not wrong, "\n".join(wrong)
    assert not better, f"these pass now, take them off the list: {better}"


def test_share() -> None:
    """At least 95 % of those in scope are not on the list of failing ones."""
    failing = [n for n in in_scope() if listed("failing", n)]
    print(f"\n{len(in_scope())} in scope of {len(harness.cases())}, {len(failing)} fail")
    assert len(in_scope()) >= 1600
    assert len(failing) <= 0.05 * len(in_scope())


@pytest.mark.parametrize("kind", ["out of scope", "failing"])
def test_lists_are_of_cases(kind: str) -> None:
    for pattern, _ in LISTS[kind]:
        assert any(re.search(pattern, name) for name in harness.cases()), pattern


@pytest.mark.parametrize(
    "name",
    ["test_basic_conv_with_padding", "test_averagepool_2d_ceil", "test_gemm_all_attributes",
     "test_lstm_with_peepholes", "test_gru_with_initial_bias", "test_layer_normalization_2d_axis1",
     "test_attention_4d_causal", "test_resize_upsample_scales_cubic", "test_qlinearconv",
     "test_scan9_sum", "test_convtranspose_dilations", "test_einsum_batch_matmul",
     "test_scatter_elements_with_negative_indices", "test_cumsum_2d_axis_1",
     "test_gridsample_bicubic", "test_deform_conv_with_mask_bias"],
)  # fmt: skip
def test_in_webassembly(tmp_path: Path, name: str) -> None:
    """What is built of a case gives what NumPy gives."""
    case = harness.cases()[name]
    given = [np.asarray(x) for x in case.data_sets[0][0]]
    source = None
    for chosen in harness.attempts(given):
        (tmp_path / "model.onnx").write_bytes(
            harness.frozen(case.model, given, chosen).SerializeToString()
        )
        try:
            source = load_graph(tmp_path / "model.onnx")
            break
        except FanlightError as error:
            assert error.code == "E-FORMAT-019"
    assert source is not None
    rest = [x for i, x in enumerate(given) if i not in chosen]
    inputs = {
        v.name: harness.narrowed(x, v.dtype) for v, x in zip(source.graph.inputs, rest, strict=True)
    }
    wanted = evaluate(source.graph, inputs)
    made = build(source.graph, tmp_path / "bundle").run(inputs)
    for key, array in wanted.items():
        np.testing.assert_allclose(made[key], array, rtol=1e-4, atol=1e-5)

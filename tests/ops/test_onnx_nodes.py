"""ONNX's generated node tests, through tools/onnx_nodes.py."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.environment import stayed_with_numpy
from tests.conformance import NODES, counted
from tools import onnx_nodes

pytest.importorskip("onnx", reason="onnx is not installed, so none of its 1,884 node tests run")

# Cases that the functions answer otherwise, by name, and why they should.
EXPLAINED: dict[str, str] = {}

# Why cases are skipped, beside their dtypes.
NO_DTYPE = {
    "dtype " + name
    for name in (
        *("float16", "bfloat16", "int8", "int16", "uint16", "uint32", "uint64"),
        *("float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "float8e8m0"),
        *("float4e2m1", "int2", "int4", "uint2", "uint4"),
    )
}
NO_MEANING = {
    "sequences, optional and sparse values": "Python has lists; a graph holds tensors",
    "more than six dims": "a tensor has at most six, as in TensorFlow.js",
    "loops over graphs": "the tool walks plain nodes",
    "random numbers of another generator": "expected values are those of NumPy's generator",
    "a recurrent net with other activations, a clip or lengths": "the cells have no lengths",
    "grid_sample takes pictures, not volumes": "so it says",
    "string.split has no greatest number of parts": "as tf.strings.split of old",
    "no function for BitCast": "no op looks at the bits of a float",
    "no function for DeformConv": "the reader of ONNX files composes it; no public function does",
    "no function for ImageDecoder": "the browser decodes",
    "no function for LabelEncoder": "a dictionary, of classical machine learning",
    "no function for MelWeightMatrix": "a constant that Python computes",
    "no function for OptionalGetElement": "of optional values",
    "no function for OptionalHasElement": "of optional values",
    "no function for RoiAlign": "tests/tensor/test_resize.py compares roi_align; it is not public",
    "no function for TfIdfVectorizer": "of classical machine learning",
    "no function for TreeEnsemble": "of classical machine learning",
}
NOT_COMPILED = "not to be compiled: shapes depend on values, or nothing is computed"


@pytest.fixture(scope="module")
def cases() -> list[Any]:
    return onnx_nodes.all_cases()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("host", "passed", "left"), [("numpy", 1413, 0), ("wasm", 1413, 0), ("jit", 1324, 97)]
)
def test_onnx_nodes(cases: list[Any], host: str, passed: int, left: int) -> None:
    fl.set_backend("numpy" if host == "jit" else host)
    try:
        outcomes = list(onnx_nodes.run_all(host, cases=cases))
        stayed = stayed_with_numpy()
    finally:
        fl.set_backend("numpy")
    # What has no elements is left to NumPy, and nothing else.
    assert all("E-BUILD-010" in why for _, why in stayed.values()), stayed
    failed = {o.case: f"{o.op}: {o.why}" for o in outcomes if o.status == "failed"}
    assert set(failed) == set(EXPLAINED), failed
    reasons = Counter(o.why for o in outcomes if o.status == "skipped")
    assert reasons[NOT_COMPILED] <= left
    assert set(reasons) <= {*NO_DTYPE, *NO_MEANING, NOT_COMPILED}
    counts = Counter(o.status for o in outcomes)
    assert counts["passed"] >= passed, counts
    counted(NODES.format(host), counts["passed"], of=len(outcomes))


def test_a_wrong_value_is_seen() -> None:
    right = fl.tensor([1.0, np.nan])
    assert onnx_nodes.compare(right, right, 1e-3, 1e-7) == ""
    assert "at (0,)" in onnx_nodes.compare(fl.tensor([1.01, np.nan]), right, 1e-3, 1e-7)
    assert "shape" in onnx_nodes.compare(fl.tensor([1.0]), right, 1e-3, 1e-7)
    assert "dtype" in onnx_nodes.compare(fl.tensor([1, 2]), right, 1e-3, 1e-7)
    assert "expected" in onnx_nodes.compare(fl.tensor(["a"]), fl.tensor(["b"]), 0, 0)
    with pytest.raises(onnx_nodes.Skipped, match="float16"):
        onnx_nodes.narrowed(np.zeros(1, np.float16))

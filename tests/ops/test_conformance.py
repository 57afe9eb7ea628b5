"""The recorded kernels of TensorFlow.js, through tools/conformance.py."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.environment import stayed_with_numpy
from tests.conformance import KERNELS, counted
from tools import conformance
from tools.browser_ops import computing_on

# Recorded calls that the table answers otherwise, by line, and why it should.
EXPLAINED = {
    151: "ArgMax of a NaN: NumPy's rule is that the first NaN wins",
    159: "ArgMin of a NaN: the same",
    425: "TensorFlow.js divides by the whole window at the edge, though its forward pass does not",
    942: "a gradient of no convolution: 4x4 with SAME padding never gives 8x8",
    4041: "MaxPool3D passes over NaN in TensorFlow.js, though MaxPool does not",
    4127: "MaxPoolWithArgmax of a NaN: it wins, as in max_pool and arg_max",
    5307: "bool of i: TensorFlow.js takes the real part, NumPy whether the number is 0",
    4064: "TensorFlow.js returns the input when a window of 1 and its strides keep the shape, "
    "though padding has shifted the windows",
}


@pytest.mark.parametrize("host", ["numpy", "wasm"])
def test_recorded_kernels(shared: Path, host: str) -> None:
    path = shared / "conformance" / "tfjs_core_kernels.jsonl.gz"
    with computing_on(host):
        outcomes = list(conformance.run_file(path))
        stayed = stayed_with_numpy()
    # What has no elements, and two convolutions of more than its kernels take.
    assert sum(count for count, why in stayed.values() if "E-BUILD-010" not in why) <= 2, stayed
    failed = {o.line: f"{o.kernel}: {o.why}" for o in outcomes if o.status == "failed"}
    assert set(failed) == set(EXPLAINED), failed
    counts = Counter(o.status for o in outcomes)
    assert counts["passed"] >= 5317
    assert counts["skipped"] <= 3
    # Skipped calls are of values that the table does not have, and of two kinds more.
    reasons = {o.why for o in outcomes if o.status == "skipped"}
    assert reasons <= {
        *("dtype complex64", "dtype string", "any order will do"),
        "a value that the record lost",
    }
    counted(KERNELS.format(host), counts["passed"], of=len(outcomes))


def spread(path: Path, most: int) -> list[tuple[int, dict[str, Any]]]:
    """Some calls of every kernel, from its first to its last."""
    by_kernel: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            case = json.loads(line)
            by_kernel[case["k"]].append((number, case))
    return [
        cases[i]
        for cases in by_kernel.values()
        for i in sorted({round(x) for x in np.linspace(0, len(cases) - 1, most)})
    ]


@pytest.mark.chromium
@pytest.mark.parametrize("host", ["browser", "browser-plain"])
def test_recorded_kernels_in_a_page(shared: Path, chromium_path: str, host: str) -> None:
    """The whole file: `python tools/conformance.py FILE --host browser`."""
    cases = spread(shared / "conformance" / "tfjs_core_kernels.jsonl.gz", 3)
    with computing_on(host):
        outcomes = [conformance.run(case, number) for number, case in cases]
        stayed = stayed_with_numpy()
    assert all("E-BUILD-010" in why for _, why in stayed.values()), stayed
    assert sum(count for count, _ in stayed.values()) <= 20
    failed = {o.line: f"{o.kernel}: {o.why}" for o in outcomes if o.status == "failed"}
    assert set(failed) <= set(EXPLAINED), failed
    passed = sum(o.status == "passed" for o in outcomes)
    assert passed >= 400
    counted(KERNELS.format(host), passed, of=len(outcomes))


@pytest.mark.chromium
def test_what_an_op_leaves_in_a_page_is_seen_by_no_other(chromium_path: str) -> None:
    """Memory of a page is used again; bytes of all ones lie where nothing was written."""
    with computing_on("browser"):
        x = fl.tensor([[1.0, 2, 3], [4, 5, 6]])
        for _ in range(2):
            assert fl.sum(x).item() == 21
            assert fl.matmul(x, x.T).numpy().tolist() == [[14, 32], [32, 77]]
    assert fl.get_backend() == "numpy"


def test_a_wrong_value_is_seen() -> None:
    tensor = {"s": [2], "d": "float32", "v": [1, "NaN"]}
    case = {"k": "Neg", "i": {"x": tensor}, "a": {}, "o": {**tensor, "v": [-1, "NaN"]}}
    assert conformance.run(case, 1).status == "passed"
    wrong = {**case, "o": {**tensor, "v": [-1.01, "NaN"]}}
    assert "at (0,)" in conformance.run(wrong, 1).why
    assert "shape" in conformance.compare(np.zeros(2), np.zeros((2, 1)))
    assert conformance.run(
        {**case, "i": {"x": {"s": [1], "d": "string", "v": ["a"]}}}, 1
    ).status == ("skipped")

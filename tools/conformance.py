"""Run recorded calls of TensorFlow.js kernels through the op table and compare.

    python tools/conformance.py FILE [--kernels Conv2D,Softmax] [--verbose] [--host HOST]

FILE has one JSON object a line (plain or .gz): `k` kernel, `i` inputs by name, `a` attributes, `o`
output or list of outputs; a tensor is {"s": shape, "d": dtype, "v": flat values}. A kernel passes
if every output has the recorded shape and values (absolute 1e-3 or relative 1e-4, equal where the
recorded dtype is int32, bool or string; for random numbers the shares of each value). Calls that no
importer hands to the table (some of strings and complex numbers) are skipped and counted.
The last line is `N passed, N failed`; the exit status is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fanlight import dtypes
from fanlight.environment import stayed_with_numpy
from fanlight.errors import FanlightError
from fanlight.ops import TABLE
from tools import (
    conformance_complex,
    conformance_elementwise,
    conformance_functions,
    conformance_shape,
    conformance_windows,
)
from tools.browser_ops import HOSTS, computing_on
from tools.conformance_call import Adapter, Skipped

# What an importer does with each kernel; of complex numbers where they have adapters of their own.
ADAPTERS: dict[str, Adapter] = {
    **conformance_complex.FUNCTIONS,
    **conformance_elementwise.ADAPTERS,
    **conformance_shape.ADAPTERS,
    **conformance_windows.ADAPTERS,
    **conformance_functions.ADAPTERS,
}
COMPLEX = conformance_complex.COMPLEX

_SPECIAL = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}


@dataclass(frozen=True)
class Outcome:
    """What became of one recorded call: "passed", "failed" or "skipped", and why."""

    kernel: str
    line: int
    status: str
    why: str = ""


def _array(tensor: Mapping[str, Any]) -> np.ndarray:
    if tensor["d"] == dtypes.STRING:
        return np.array(tensor["v"], object).reshape(tensor["s"])
    if tensor["d"] == dtypes.COMPLEX:
        real, imag = (np.array(tensor[part], np.float32) for part in ("re", "im"))
        return (real + 1j * imag).astype(np.complex64).reshape(tensor["s"])
    if "v" not in tensor or tensor["d"] not in dtypes.DTYPES:
        raise Skipped(f"dtype {tensor['d']}")
    values = [_SPECIAL.get(v, v) if isinstance(v, str) else v for v in tensor["v"]]
    return np.array(values, dtypes.to_numpy(tensor["d"])).reshape(tensor["s"])


def _input(given: Any) -> Any:
    if isinstance(given, list):
        return [_array(t) for t in given]
    return None if given is None else _array(given)


def compare(received: np.ndarray, expected: np.ndarray) -> str:
    """What differs, or "". dtypes may differ: TensorFlow.js records some bools as numbers."""
    if received.shape != expected.shape:
        return f"shape {received.shape}, recorded {expected.shape}"
    if object in (received.dtype, expected.dtype):
        same = received.dtype == expected.dtype and received.tolist() == expected.tolist()
        return "" if same else f"{received.tolist()}, recorded {expected.tolist()}"
    if expected.dtype.kind == "c":
        return compare(received.real, expected.real) or compare(received.imag, expected.imag)
    exact = expected.dtype.kind != "f"
    a, b = received.astype(np.float64), expected.astype(np.float64)
    near = np.isclose(a, b, rtol=0 if exact else 1e-4, atol=0 if exact else 1e-3, equal_nan=True)
    if near.all():
        return ""
    place = tuple(np.argwhere(~near)[0].tolist())
    return f"at {place} {a[place]}, recorded {b[place]}"


def compare_shares(received: np.ndarray, expected: np.ndarray) -> str:
    """What differs in the shares of whole numbers drawn at random, row by row, or ""."""
    if received.shape != expected.shape:
        return f"shape {received.shape}, recorded {expected.shape}"
    for row, (a, b) in enumerate(zip(received, expected, strict=True)):
        count = max(a.max(), b.max()) + 1
        shares = [np.bincount(x, minlength=count) / x.size for x in (a, b)]
        if np.abs(shares[0] - shares[1]).max() > 4 / np.sqrt(a.size):
            return f"row {row} has the shares {shares[0]}, recorded {shares[1]}"
    return ""


# Kernels whose results are random.
COMPARISONS = {"Multinomial": compare_shares}


def run(case: Mapping[str, Any], line: int) -> Outcome:
    """One recorded call."""
    kernel = case["k"]
    try:
        expected = case["o"] if isinstance(case["o"], list) else [case["o"]]
        wanted = [_array(t) for t in expected]
        inputs = {n: _input(t) for n, t in case["i"].items()}
        given = [*wanted, *(x for x in inputs.values() if isinstance(x, np.ndarray))]
        complex_ = any(x.dtype.kind == "c" for x in given)
        if complex_ and kernel not in COMPLEX:
            raise Skipped("dtype complex64")
        results = (COMPLEX if complex_ else ADAPTERS)[kernel](inputs, case["a"])
        if len(results) != len(wanted):
            return Outcome(kernel, line, "failed", f"{len(results)} outputs, not {len(wanted)}")
        check = COMPARISONS.get(kernel, compare)
        differences = [check(r, w) for r, w in zip(results, wanted, strict=True)]
    except Skipped as reason:
        return Outcome(kernel, line, "skipped", str(reason))
    except FanlightError as error:
        texts = any(t is not None and t["d"] == dtypes.STRING for t in case["i"].values())
        if texts and error.code == "E-OP-003":
            return Outcome(kernel, line, "skipped", "dtype string")
        return Outcome(kernel, line, "failed", str(error))
    except Exception as error:
        return Outcome(kernel, line, "failed", f"{type(error).__name__}: {error}")
    why = "; ".join(d for d in differences if d)
    return Outcome(kernel, line, "failed" if why else "passed", why)


def run_file(path: Path, kernels: set[str] | None = None) -> Iterator[Outcome]:
    """All recorded calls of kernels that the table has (or of those named)."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            case = json.loads(line)
            known = case["k"] in ADAPTERS or case["k"] in COMPLEX
            if known and (kernels is None or case["k"] in kernels):
                yield run(case, number)


def main() -> int:
    """Print passed, failed and skipped per kernel."""
    parser = argparse.ArgumentParser(description="Compare the op table with recorded kernels.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--kernels", help="names, separated by commas (default: all there are)")
    parser.add_argument("--verbose", action="store_true", help="say why each call failed")
    parser.add_argument(
        "--host", choices=HOSTS, default="numpy", help="what computes (default: numpy)"
    )
    options = parser.parse_args()
    kernels = set(options.kernels.split(",")) if options.kernels else None
    with computing_on(options.host):
        outcomes = list(run_file(options.file, kernels))
        stayed = stayed_with_numpy()
    counts: Counter[tuple[str, str]] = Counter((o.kernel, o.status) for o in outcomes)
    for kernel in sorted({o.kernel for o in outcomes}):
        passed, failed, skipped = (counts[kernel, s] for s in ("passed", "failed", "skipped"))
        print(f"{kernel:24} {passed:4} passed {failed:4} failed {skipped:4} skipped")
    if options.verbose:
        for o in outcomes:
            if o.status != "passed":
                print(f"line {o.line} {o.kernel} {o.status}: {o.why}")
    total = Counter(o.status for o in outcomes)
    for op, (count, why) in sorted(stayed.items()):
        print(f"{op}: {count} programs stayed with NumPy, {why}")
    print(f"{len(TABLE)} ops, {len(ADAPTERS)} kernels, {total['skipped']} calls skipped")
    print(f"{total['passed']} passed, {total['failed']} failed")
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Run a bundle on every host and compare with the NumPy meaning: the parity report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fanlight.errors import FanlightError

if TYPE_CHECKING:
    from fanlight.built import Bundle

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Row:
    """One output on one host against NumPy.

    `difference` is the largest absolute difference over the largest magnitude of the output;
    for integers it is the fraction of elements that differ.
    """

    host: str
    output: str
    difference: float
    tolerance: float

    @property
    def ok(self) -> bool:
        return self.difference <= self.tolerance


@dataclass(frozen=True)
class Report:
    """The parity of one bundle: rows, and the hosts that could not run with the reason why."""

    name: str
    rows: tuple[Row, ...]
    not_run: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether at least one host ran and every output agreed."""
        return bool(self.rows) and all(r.ok for r in self.rows)

    def __str__(self) -> str:
        lines = [f"{self.name}: {'all outputs agree' if self.ok else 'NOT in agreement'}"]
        for r in self.rows:
            mark = "ok  " if r.ok else "FAIL"
            found = f"{r.difference:.1e} (at most {r.tolerance:.0e})"
            lines.append(f"  {mark} {r.host:<14} {r.output:<24} {found}")
        lines += [f"  not run: {host}: {why}" for host, why in self.not_run.items()]
        return "\n".join(lines)


def check(
    bundle: Bundle,
    *,
    hosts: Sequence[str] = ("wasm", "wasm-plain", "browser"),
    inputs: Mapping[str, np.ndarray] | None = None,
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> Report:
    """Compare hosts with NumPy on the same inputs.

    Args:
        bundle: what `build` or `open_bundle` gave.
        hosts: "wasm" and "wasm-plain" (wasmtime, with and without relaxed SIMD), "browser".
        inputs: arrays by input name; default: seeded random ones (see random_inputs).
        tolerance: largest difference allowed, relative to the largest magnitude of an output.

    Returns:
        The report; `report.ok` is False if any output of any host differs by more.
    """
    if not hasattr(bundle, "manifest") or not hasattr(bundle, "run"):
        raise FanlightError(
            "E-BUILD-005",
            "only a bundle can be checked.",
            where="bundle",
            expected="what fl.build or fl.open_bundle gave",
            received=repr(bundle)[:80],
            next="open it first: fl.check(fl.open_bundle(path)).",
        )
    if inputs is not None and not isinstance(inputs, Mapping):
        raise FanlightError(
            "E-INPUT-001",
            "inputs are given by name.",
            where="inputs",
            expected='{"image": array}',
            received=repr(inputs)[:80],
        )
    given = dict(inputs) if inputs is not None else random_inputs(bundle.manifest, seed)
    expected = bundle.run(given, host="numpy")
    rows: list[Row] = []
    not_run: dict[str, str] = {}
    for host in hosts:
        try:
            received = bundle.run(given, host=host)
        except FanlightError as error:
            if error.code != "E-HOST-001":
                raise
            not_run[host] = error.message
            continue
        task = bundle.manifest["task"]
        for name, reference in expected.items():
            value = received[name]
            if task and name == task["top_indices"]:
                # Near-ties may come in another order: compare the scores that are pointed to.
                scores = expected[task["scores"]]
                reference, value = scores[reference], scores[value]
            rows.append(Row(host, name, difference(reference, value), tolerance))
    return Report(bundle.manifest["name"], tuple(rows), not_run)


def difference(reference: np.ndarray, value: np.ndarray) -> float:
    """Largest difference relative to the largest magnitude; integers: fraction that differs.

    NaN must stand where NaN stands, infinities must be equal; anything else is infinite.
    """
    if reference.shape != value.shape or reference.dtype != value.dtype:
        return float("inf")
    if reference.size == 0:
        return 0.0
    if reference.dtype.kind != "f":
        return float(np.mean(reference != value))
    finite = np.isfinite(reference)
    if not np.array_equal(reference[~finite], value[~finite], equal_nan=True):
        return float("inf")
    if not np.isfinite(value[finite]).all():
        return float("inf")
    if not finite.any():
        return 0.0
    a, b = reference[finite].astype(np.float64), value[finite].astype(np.float64)
    scale = max(float(np.abs(a).max()), 1e-12)
    return float(np.abs(a - b).max()) / scale


def random_inputs(manifest: Mapping[str, Any], seed: int = 0) -> dict[str, np.ndarray]:
    """Seeded inputs that fit a manifest: smooth pictures, normal floats, small integers.

    The picture of an int8 bundle has the model's own size. Resizing is float32, in which hosts may
    differ by a rounding; where that moves a byte of the resized picture, answers move visibly.
    """
    rng = np.random.default_rng(seed)
    made: dict[str, np.ndarray] = {}
    sizes = {
        name: max(dim["min"], min(dim["max"], 200 + 40 * index))
        for index, (name, dim) in enumerate(manifest["dims"].items())
    }
    task = manifest["task"]
    if manifest["precision"] == "int8" and task is not None and "preprocess" in task:
        sizes |= dict(zip(sizes, task["preprocess"]["size"], strict=False))
    for tensor in manifest["inputs"]:
        shape = [d if isinstance(d, int) else sizes[d] for d in tensor["shape"]]
        if tensor["dtype"] == "float32":
            made[tensor["name"]] = rng.standard_normal(shape).astype(np.float32)
        elif tensor["dtype"] == "bool":
            made[tensor["name"]] = rng.random(shape) < 0.5
        elif tensor["dtype"] == "uint8":
            made[tensor["name"]] = rng.integers(0, 256, shape).astype(np.uint8)
        else:
            made[tensor["name"]] = rng.integers(0, 10, shape).astype(np.int32)
    return made

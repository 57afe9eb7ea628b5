"""How far each kernel of a bundle is from what the machine can do: the roofline.

A kernel computes at most at the rate of multiply-adds on registers (of floats, or of bytes in the
way that this processor does fastest; of bytes of 8 bits in the only exact way), and moves its data
at most at the rate of the level of memory that its data fits in. Both are measured in the same page
and the same rounds as the kernels, in WebAssembly SIMD, on one thread.

Bytes are the least traffic: every input, weight and output once. Rates of memory are the better of
reading and copying a set of that size; between two sizes of set the rate is interpolated. A kernel
can beat the line a little, where what it reads is still in a nearer cache from the kernel before.
Of the rounds the best counts, for the kernels and for the limits alike: other work on the machine
only ever makes either slower.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import log
from typing import Any

import numpy as np

from fanlight.built import Bundle, open_bundle
from fanlight.codegen.wasm.probes import (
    FLOPS_PER_ITERATION,
    byte_peak_module,
    byte_ways,
    peak_module,
    traffic_module,
)
from fanlight.hosts.browser import BrowserHost, Probe

ROUNDS = 7
PEAK_ITERATIONS = 1 << 16
# Bytes of the sets whose rates are measured, and the level of a usual cache that each stands for.
SETS = {
    24 << 10: "L1",
    192 << 10: "L2",
    384 << 10: "L2",
    2 << 20: "L3",
    8 << 20: "L3",
    64 << 20: "DRAM",
}
# Ops that multiply and add bytes.
BYTE_OPS = ("conv2d_int8", "depthwise_conv2d_int8", "matmul_int8")
MOVED = 16 << 20  # bytes per measurement of a rate, or the whole set if that is larger


@dataclass(frozen=True)
class Rate:
    """Measured bandwidth, in GB/s, of a set of `bytes` different bytes."""

    level: str
    bytes: int
    read: float
    copy: float

    @property
    def best(self) -> float:
        return max(self.read, self.copy)


@dataclass(frozen=True)
class Row:
    """One kernel against the roofline.

    Attributes:
        ms: of the best round; share: of the sum over all kernels.
        gflops, gbytes: GFLOP/s and GB/s reached.
        intensity: FLOP per byte.
        level: the memory whose rate bounds it.
        bound: "compute" or "memory", whichever leaves it less.
        unit: what it computes with: "floats", "bytes" (of 7 bits), or "8-bit bytes", whose products
            need 16-bit arithmetic to be exact.
        attainable_ms: the time at the roofline; of_roofline: that over the time taken.
    """

    name: str
    op: str
    source: str
    flops: int
    bytes: int
    ms: float
    share: float
    gflops: float
    gbytes: float
    intensity: float
    level: str
    bound: str
    unit: str
    attainable_ms: float
    of_roofline: float


@dataclass(frozen=True)
class Roofline:
    """All kernels of a bundle, in their order, and the machine that they ran on.

    Attributes:
        peak: GFLOP/s of multiply-adds on registers.
        byte_peak: the same of bytes, GOP/s, by the fastest way.
        word_peak: the same of 8-bit bytes.
        simd: which module ran.
    """

    name: str
    simd: str
    peak: float
    byte_peak: float
    word_peak: float
    rates: tuple[Rate, ...]
    rows: tuple[Row, ...]

    @property
    def peaks(self) -> dict[str, float]:
        """Units that the kernels compute with -> how fast they are at most."""
        every = {"floats": self.peak, "bytes": self.byte_peak, "8-bit bytes": self.word_peak}
        used = {row.unit for row in self.rows} or {"floats"}
        return {unit: rate for unit, rate in every.items() if unit in used}

    @property
    def ms(self) -> float:
        """Milliseconds of all kernels."""
        return sum(row.ms for row in self.rows)

    @property
    def of_roofline(self) -> float:
        """The time at the roofline over the time taken, of the whole model."""
        return sum(row.attainable_ms for row in self.rows) / self.ms if self.ms else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "ms": self.ms, "of_roofline": self.of_roofline}


def bandwidth(rates: tuple[Rate, ...], size: float) -> tuple[float, str]:
    """(GB/s, level) for a kernel that touches `size` bytes, interpolated over log(size)."""
    at = bisect_left([r.bytes for r in rates], size)
    if at == 0 or at == len(rates):
        end = rates[min(at, len(rates) - 1)]
        return end.best, end.level
    low, high = rates[at - 1], rates[at]
    part = log(size / low.bytes) / log(high.bytes / low.bytes)
    return low.best + (high.best - low.best) * part, high.level


def measure(bundle: Bundle, inputs: Mapping[str, np.ndarray], *, rounds: int = ROUNDS) -> Roofline:
    """Profile a bundle in Chromium, with the machine's limits measured in turn.

    Args:
        inputs: arrays by input name.
        rounds: profiles to take; the best one counts, kernel by kernel.

    Raises:
        FanlightError: E-HOST-00x as the browser host.
    """
    with BrowserHost(bundle.files.path, {"threads": 1}) as host:
        host.settle(inputs)
        simd = host.info["simd"]
        profiles, times = host.beside(inputs, _probes(simd == "relaxed"), rounds)
    # Whether inputs have 8 bits is a matter of the graph that was compiled; the manifest does not
    # tell. A bundle in memory may know its source instead.
    nodes = open_bundle(bundle.files.path).graph.nodes
    eight = frozenset(n.output.name for n in nodes if n.attrs.get("x_high", 0) > 127)
    return roofline(bundle.name, simd, profiles, times, eight)


def _probes(relaxed: bool) -> list[Probe]:
    pages = max(SETS) >> 16
    calls = [(name, size, max(1, MOVED // size)) for size in SETS for name in ("read", "copy")]
    return [
        Probe(peak_module(relaxed), 1, (("peak", PEAK_ITERATIONS, 1.0, 0.0),)),
        Probe(
            byte_peak_module(relaxed), 1, tuple((w, PEAK_ITERATIONS) for w in byte_ways(relaxed))
        ),
        Probe(traffic_module(pages), pages, tuple(calls)),
    ]


def roofline(
    name: str,
    simd: str,
    profiles: list[list[dict[str, Any]]],
    times: list[list[float]],
    eight: frozenset[str] = frozenset(),
) -> Roofline:
    """The table of what `BrowserHost.beside` measured with the probes of this file.

    Args:
        eight: names of the kernels whose input has 8 bits.
    """
    least = [min(column) for column in zip(*times, strict=True)]
    peak = PEAK_ITERATIONS * FLOPS_PER_ITERATION / least.pop(0) / 1e6
    ways = byte_ways(simd == "relaxed").values()
    found = [PEAK_ITERATIONS * operations / least.pop(0) / 1e6 for operations in ways]
    word_peak, byte_peak = found[0], max(found)
    rates = tuple(
        Rate(level, size, _moved(size) / least[2 * i], _moved(size) / least[2 * i + 1])
        for i, (size, level) in enumerate(SETS.items())
    )
    kernels = profiles[0]
    ms = [min(p[i]["ms"] for p in profiles) for i in range(len(kernels))]
    total = sum(ms) or 1.0
    peaks = {"floats": peak, "bytes": byte_peak, "8-bit bytes": word_peak}
    rows = tuple(
        _row(k, m, m / total, _unit(k, eight), peaks, rates)
        for k, m in zip(kernels, ms, strict=True)
    )
    return Roofline(name, simd, peak, byte_peak, word_peak, rates, rows)


def _unit(kernel: Mapping[str, Any], eight: frozenset[str]) -> str:
    if kernel["op"] not in BYTE_OPS:
        return "floats"
    return "8-bit bytes" if kernel["name"] in eight else "bytes"


def _moved(size: int) -> float:
    """Millions of bytes that one call moves."""
    return size * max(1, MOVED // size) / 1e6


def _row(
    kernel: Mapping[str, Any],
    ms: float,
    share: float,
    unit: str,
    peaks: Mapping[str, float],
    rates: tuple[Rate, ...],
) -> Row:
    flops, size = kernel["flops"], kernel["bytes"]
    rate, level = bandwidth(rates, size)
    compute, memory = flops / peaks[unit] / 1e6, size / rate / 1e6
    attainable = max(compute, memory)
    return Row(
        name=kernel["name"],
        op=kernel["op"],
        source=kernel["source"],
        flops=flops,
        bytes=size,
        ms=ms,
        share=share,
        gflops=flops / ms / 1e6 if ms else 0.0,
        gbytes=size / ms / 1e6 if ms else 0.0,
        intensity=flops / size if size else 0.0,
        level=level,
        bound="compute" if compute >= memory else "memory",
        unit=unit,
        attainable_ms=attainable,
        of_roofline=attainable / ms if ms else 0.0,
    )

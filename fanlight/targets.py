"""Targets: what code is generated for. Limits and features are fields; nothing else asks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One form of WebAssembly.

    Attributes:
        name: as it appears in reports.
        relaxed_simd: whether f32x4.relaxed_madd and its kin may be used.
        threads: whether `run` can be called by several threads that share the memory.
        max_live_v128: vectors that fit the registers of x64 (V8 keeps one for itself).
    """

    name: str
    relaxed_simd: bool = False
    threads: bool = False
    max_live_v128: int = 15


WASM_RELAXED = Target("wasm-relaxed", relaxed_simd=True, threads=True)
WASM_PLAIN = Target("wasm-plain", threads=True)
# Those that a bundle carries a module for, the preferred one first.
TARGETS = (WASM_RELAXED, WASM_PLAIN)

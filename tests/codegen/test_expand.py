"""`expand` under wasmtime: every half to the bit, in place, and nothing beside its place."""

from __future__ import annotations

import numpy as np
import pytest
import wasmtime

from fanlight.codegen.wasm.expand import NAME, emit_expand
from fanlight.codegen.wasm.module import Module
from tests.codegen.kernel_runner import GUARD, PAGE, engine

HALVES = np.arange(65536, dtype=np.uint16)


def float_bits(halves: np.ndarray) -> np.ndarray:
    """What each half is as float32, to the bit; NaN keeps its sign and payload (IEEE 754)."""
    bits = halves.view(np.float16).astype(np.float32).view(np.uint32)
    wide = halves.astype(np.uint32)
    nan = (wide & 0x8000) << 16 | 0x7F800000 | (wide & 0x3FF) << 13
    return np.where((wide & 0x7FFF) > 0x7C00, nan, bits)


def expand(halves: np.ndarray, relaxed: bool, address: int) -> np.ndarray:
    """The floats at `address`; fails if a byte outside their place changed."""
    size = 4 * halves.size
    pages = (address + size + GUARD) // PAGE + 1
    module = Module(pages, relaxed_simd=relaxed)
    emit_expand(module)
    store = wasmtime.Store(engine(relaxed))
    memory = wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(pages, None)))
    compiled = wasmtime.Module(engine(relaxed), module.encode())
    exports = wasmtime.Instance(store, compiled, [memory]).exports(store)
    memory.write(store, b"\xa5" * (pages * PAGE))
    memory.write(store, halves.tobytes(), address + size // 2)
    exports[NAME](store, address, halves.size)
    whole = memory.read(store, 0, pages * PAGE)
    assert set(whole[:address]) | set(whole[address + size :]) == {0xA5}
    return np.frombuffer(whole[address : address + size], np.uint32)


@pytest.mark.parametrize("relaxed", [True, False])
def test_every_half_is_exact(relaxed: bool) -> None:
    np.testing.assert_array_equal(expand(HALVES, relaxed, 2048), float_bits(HALVES))


@pytest.mark.parametrize("count", [8, 16, 24, 4096, 70_000])
@pytest.mark.parametrize("address", [64, 4 * 1023])
def test_any_number_of_groups_in_any_place(count: int, address: int) -> None:
    halves = np.random.default_rng(count).integers(0, 65536, count).astype(np.uint16)
    np.testing.assert_array_equal(expand(halves, True, address), float_bits(halves))

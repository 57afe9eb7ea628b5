"""What the machine could do at most, in WASM SIMD: multiply-adds, and bytes from a level of memory.

These modules are the two lines of a roofline (Williams, Waterman, Patterson, Roofline: an
insightful visual performance model, 2009): no kernel computes faster than the first or moves
its data faster than the second.
"""

from __future__ import annotations

from collections.abc import Sequence

from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.module import Module

# Two multiply-add units of four cycles' latency need eight chains; a few more hide the loop.
CHAINS = 12
UNROLL = 8
FLOPS_PER_ITERATION = 2 * 4 * CHAINS * UNROLL
# Vectors that one turn of `read` and `copy` moves; a set must be a whole number of turns.
STREAMS = 8
TURN_BYTES = 16 * STREAMS


def peak_module(relaxed: bool) -> bytes:
    """A module that exports peak(iterations: i32, x: f32, y: f32) -> f32.

    One call makes iterations * FLOPS_PER_ITERATION floating-point operations, and touches no
    memory (it imports "fanlight"."memory" as every module does). With x = 1 and y = 0 the values
    stay normal numbers.

    Args:
        relaxed: fused multiply-adds; else a multiplication and an addition.
    """
    module = Module(1, relaxed_simd=relaxed)
    f = module.function("peak", ("i32", "f32", "f32"), ("f32",), export=True)
    left, x, y = f.params
    a, b = f.locals(2, "v128")
    chains = f.locals(CHAINS, "v128")
    f.get(x).op("f32x4.splat").set(a)
    f.get(y).op("f32x4.splat").set(b)
    for number, chain in enumerate(chains):
        f.f32x4(float(number)).set(chain)
    with f.loop() as again:
        for _ in range(UNROLL):
            for chain in chains:
                if relaxed:
                    f.get(a).get(b).get(chain).op("f32x4.relaxed_madd").set(chain)
                else:
                    f.get(a).get(b).op("f32x4.mul").get(chain).op("f32x4.add").set(chain)
        f.get(left).i32(1).op("i32.sub").tee(left).br_if(again)
    _sum(f, chains, "f32x4")
    return module.encode()


def _sum(f: Function, chains: Sequence[Local], lanes: str) -> None:
    """Push the first lane of all chains' sum, so that none is left out by the engine."""
    f.get(chains[0])
    for chain in chains[1:]:
        f.get(chain).op(f"{lanes}.add")
    f.op(f"{lanes}.extract_lane", 0)


# Ways to multiply and add bytes (see kernels/gemm_int8.py) -> operations of one step of a chain.
_BYTE_WAYS = {"dot": 32, "pairs": 64, "wide": 16}


def byte_ways(relaxed: bool) -> dict[str, int]:
    """Exports of `byte_peak_module` -> operations per iteration (a multiply-add is two).

    The first is the only way that there is for bytes of 8 bits.
    """
    names = ("wide", "dot", "pairs") if relaxed else ("wide",)
    return {name: _BYTE_WAYS[name] * CHAINS * UNROLL for name in names}


def byte_peak_module(relaxed: bool) -> bytes:
    """A module with a function (iterations: i32) -> i32 per way to multiply and add bytes.

    Which is fastest depends on the processor, and so does what a kernel of bytes can reach.
    """
    module = Module(1, relaxed_simd=relaxed)
    for name in byte_ways(relaxed):
        f = module.function(name, ("i32",), ("i32",), export=True)
        (left,) = f.params
        a, b, ones = f.locals(3, "v128")
        chains = f.locals(CHAINS, "v128")
        f.v128(bytes(range(16))).set(a)
        f.v128(bytes(range(1, 17))).set(b)
        f.v128(bytes([1, 0] * 8)).set(ones)
        for number, chain in enumerate(chains):
            f.i32x4(number).set(chain)
        with f.loop() as again:
            for chain in chains * UNROLL:
                # Each step needs the one before it, or the engine would compute it only once.
                if name == "dot":
                    f.get(a).get(b).get(chain).op("i32x4.relaxed_dot_i8x16_i7x16_add_s")
                elif name == "pairs":
                    f.get(a).get(chain).op("i16x8.relaxed_dot_i8x16_i7x16_s")
                    f.get(b).get(chain).op("i16x8.relaxed_dot_i8x16_i7x16_s").op("i16x8.add")
                    f.get(ones).op("i32x4.dot_i16x8_s").get(chain).op("i32x4.add")
                else:
                    f.get(a).get(chain).op("i32x4.dot_i16x8_s").get(chain).op("i32x4.add")
                f.set(chain)
            f.get(left).i32(1).op("i32.sub").tee(left).br_if(again)
        _sum(f, chains, "i32x4")
    return module.encode()


def traffic_module(pages: int) -> bytes:
    """A module that exports read(bytes: i32, times: i32) and copy(bytes: i32, times: i32).

    `read` loads the first `bytes` bytes of memory, `times` times over; `copy` copies its first
    half to its second. So both touch `bytes` different bytes, and move as many per time (a copy
    loads half of them and stores the other half).

    Args:
        pages: memory in 64 KiB pages. `bytes` must be a multiple of 2 * TURN_BYTES within it.
    """
    module = Module(pages, relaxed_simd=False)
    _reader(module)
    _copier(module)
    return module.encode()


def _reader(module: Module) -> None:
    f = module.function("read", ("i32", "i32"), ("i32",), export=True)
    size, times = f.params
    at = f.local("i32")
    sums = f.locals(STREAMS, "v128")
    with f.loop() as again:
        with f.range(at, 0, size, TURN_BYTES):
            for i, total in enumerate(sums):
                f.get(at).load(16 * i).get(total).op("v128.or").set(total)
        f.get(times).i32(1).op("i32.sub").tee(times).br_if(again)
    f.get(sums[0])
    for total in sums[1:]:
        f.get(total).op("v128.or")
    f.op("v128.any_true")


def _copier(module: Module) -> None:
    f = module.function("copy", ("i32", "i32"), export=True)
    size, times = f.params
    half, at, to = f.locals(3, "i32")
    f.get(size).i32(1).op("i32.shr_u").set(half)
    with f.loop() as again:
        f.get(half).set(to)
        with f.range(at, 0, half, TURN_BYTES):
            for i in range(STREAMS):
                f.get(to).get(at).load(16 * i).store(16 * i)
            f.advance(to, TURN_BYTES)
        f.get(times).i32(1).op("i32.sub").tee(times).br_if(again)

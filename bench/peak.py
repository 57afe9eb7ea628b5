"""What the machine could do at most: multiply-adds on registers alone, in WASM SIMD."""

from __future__ import annotations

from fanlight.codegen.wasm.module import Module

# Two multiply-add units of four cycles' latency need eight chains; a few more hide the loop.
CHAINS = 12
UNROLL = 8
FLOPS_PER_ITERATION = 2 * 4 * CHAINS * UNROLL


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
    f.get(chains[0])
    for chain in chains[1:]:
        f.get(chain).op("f32x4.add")
    f.op("f32x4.extract_lane", 0)
    return module.encode()

"""The WebAssembly instructions that Fanlight emits, under their names in the specification.

One row per instruction: name, opcode bytes, immediates, operand types -> result type. The assembler
reads the types to check the operand stack while it emits; `tests/codegen/test_assembler.py`
compares every row with an independent assembler. Source: WebAssembly core specification 3.0,
chapter 5.4 (binary format of instructions).
"""

from __future__ import annotations

from dataclasses import dataclass

VALUE_TYPES: dict[str, int] = {"i32": 0x7F, "i64": 0x7E, "f32": 0x7D, "f64": 0x7C, "v128": 0x7B}
EMPTY_BLOCK = 0x40


@dataclass(frozen=True)
class Opcode:
    """One instruction: spec name, encoded opcode, kind of immediate, operand and result types."""

    name: str
    code: bytes
    # "" | "mem" (offset) | "lane" | "mem lane" | "atomic" (offset) | "shuffle" | "zero" (times n)
    immediate: str
    operands: tuple[str, ...]
    results: tuple[str, ...]


_MVP = """
i32.load            28 mem  i32 -> i32
f32.load            2a mem  i32 -> f32
f64.load            2b mem  i32 -> f64
i32.load8_s         2c mem  i32 -> i32
i32.load8_u         2d mem  i32 -> i32
i32.load16_s        2e mem  i32 -> i32
i32.load16_u        2f mem  i32 -> i32
i32.store           36 mem  i32 i32 ->
f32.store           38 mem  i32 f32 ->
f64.store           39 mem  i32 f64 ->
i32.store8          3a mem  i32 i32 ->
i32.store16         3b mem  i32 i32 ->
i32.eqz             45 -    i32 -> i32
i32.eq              46 -    i32 i32 -> i32
i32.ne              47 -    i32 i32 -> i32
i32.lt_s            48 -    i32 i32 -> i32
i32.lt_u            49 -    i32 i32 -> i32
i32.gt_s            4a -    i32 i32 -> i32
i32.gt_u            4b -    i32 i32 -> i32
i32.le_s            4c -    i32 i32 -> i32
i32.le_u            4d -    i32 i32 -> i32
i32.ge_s            4e -    i32 i32 -> i32
i32.ge_u            4f -    i32 i32 -> i32
f32.eq              5b -    f32 f32 -> i32
f32.ne              5c -    f32 f32 -> i32
f32.lt              5d -    f32 f32 -> i32
f32.gt              5e -    f32 f32 -> i32
f32.le              5f -    f32 f32 -> i32
f32.ge              60 -    f32 f32 -> i32
f64.eq               61 -    f64 f64 -> i32
f64.ne               62 -    f64 f64 -> i32
f64.lt               63 -    f64 f64 -> i32
f64.gt               64 -    f64 f64 -> i32
f64.le               65 -    f64 f64 -> i32
f64.ge               66 -    f64 f64 -> i32
i32.clz             67 -    i32 -> i32
i32.ctz             68 -    i32 -> i32
i32.popcnt          69 -    i32 -> i32
i32.add             6a -    i32 i32 -> i32
i32.sub             6b -    i32 i32 -> i32
i32.mul             6c -    i32 i32 -> i32
i32.div_s           6d -    i32 i32 -> i32
i32.div_u           6e -    i32 i32 -> i32
i32.rem_s           6f -    i32 i32 -> i32
i32.rem_u           70 -    i32 i32 -> i32
i32.and             71 -    i32 i32 -> i32
i32.or              72 -    i32 i32 -> i32
i32.xor             73 -    i32 i32 -> i32
i32.shl             74 -    i32 i32 -> i32
i32.shr_s           75 -    i32 i32 -> i32
i32.shr_u           76 -    i32 i32 -> i32
i64.add             7c -    i64 i64 -> i64
i64.sub             7d -    i64 i64 -> i64
i64.mul             7e -    i64 i64 -> i64
i64.div_s           7f -    i64 i64 -> i64
i64.div_u           80 -    i64 i64 -> i64
f32.abs             8b -    f32 -> f32
f32.neg             8c -    f32 -> f32
f32.ceil            8d -    f32 -> f32
f32.floor           8e -    f32 -> f32
f32.trunc           8f -    f32 -> f32
f32.nearest         90 -    f32 -> f32
f32.sqrt            91 -    f32 -> f32
f32.add             92 -    f32 f32 -> f32
f32.sub             93 -    f32 f32 -> f32
f32.mul             94 -    f32 f32 -> f32
f32.div             95 -    f32 f32 -> f32
f32.min             96 -    f32 f32 -> f32
f32.max             97 -    f32 f32 -> f32
f32.copysign        98 -    f32 f32 -> f32
f64.abs             99 -    f64 -> f64
f64.neg             9a -    f64 -> f64
f64.ceil            9b -    f64 -> f64
f64.floor           9c -    f64 -> f64
f64.trunc           9d -    f64 -> f64
f64.nearest         9e -    f64 -> f64
f64.sqrt            9f -    f64 -> f64
f64.add             a0 -    f64 f64 -> f64
f64.sub             a1 -    f64 f64 -> f64
f64.mul             a2 -    f64 f64 -> f64
f64.div             a3 -    f64 f64 -> f64
f64.min             a4 -    f64 f64 -> f64
f64.max             a5 -    f64 f64 -> f64
f64.copysign         a6 -    f64 f64 -> f64
i32.wrap_i64        a7 -    i64 -> i32
i64.extend_i32_s    ac -    i32 -> i64
i64.extend_i32_u    ad -    i32 -> i64
f32.convert_i32_s   b2 -    i32 -> f32
f32.convert_i32_u   b3 -    i32 -> f32
f32.demote_f64      b6 -    f64 -> f32
f64.convert_i32_s   b7 -    i32 -> f64
f64.convert_i32_u   b8 -    i32 -> f64
f64.promote_f32     bb -    f32 -> f64
i32.reinterpret_f32 bc -    f32 -> i32
f32.reinterpret_i32 be -    i32 -> f32
i32.extend8_s       c0 -    i32 -> i32
i32.extend16_s      c1 -    i32 -> i32
"""

_PREFIX_FC = """
i32.trunc_sat_f32_s 00 -    f32 -> i32
i32.trunc_sat_f32_u 01 -    f32 -> i32
i32.trunc_sat_f64_s 02 -    f64 -> i32
memory.copy         0a zero_zero i32 i32 i32 ->
memory.fill         0b zero i32 i32 i32 ->
"""

_SIMD = """
v128.load                    00 mem i32 -> v128
v128.load8x8_s               01 mem i32 -> v128
v128.load8x8_u               02 mem i32 -> v128
v128.load16x4_s              03 mem i32 -> v128
v128.load16x4_u              04 mem i32 -> v128
v128.load32x2_s              05 mem i32 -> v128
v128.load32x2_u              06 mem i32 -> v128
v128.load8_splat             07 mem i32 -> v128
v128.load16_splat            08 mem i32 -> v128
v128.load32_splat            09 mem i32 -> v128
v128.load64_splat            0a mem i32 -> v128
v128.store                   0b mem i32 v128 ->
i8x16.shuffle                0d shuffle v128 v128 -> v128
i8x16.swizzle                0e -   v128 v128 -> v128
i8x16.splat                  0f -   i32 -> v128
i16x8.splat                  10 -   i32 -> v128
i32x4.splat                  11 -   i32 -> v128
f32x4.splat                  13 -   f32 -> v128
f64x2.splat                  14 -   f64 -> v128
i8x16.extract_lane_s         15 lane v128 -> i32
i8x16.extract_lane_u         16 lane v128 -> i32
i8x16.replace_lane           17 lane v128 i32 -> v128
i16x8.extract_lane_s         18 lane v128 -> i32
i16x8.extract_lane_u         19 lane v128 -> i32
i16x8.replace_lane           1a lane v128 i32 -> v128
i32x4.extract_lane           1b lane v128 -> i32
i32x4.replace_lane           1c lane v128 i32 -> v128
f32x4.extract_lane           1f lane v128 -> f32
f32x4.replace_lane           20 lane v128 f32 -> v128
f64x2.extract_lane           21 lane v128 -> f64
f64x2.replace_lane           22 lane v128 f64 -> v128
i8x16.eq                     23 -   v128 v128 -> v128
i8x16.ne                     24 -   v128 v128 -> v128
i8x16.lt_s                   25 -   v128 v128 -> v128
i8x16.lt_u                   26 -   v128 v128 -> v128
i8x16.gt_s                   27 -   v128 v128 -> v128
i8x16.gt_u                   28 -   v128 v128 -> v128
i8x16.le_u                   2a -   v128 v128 -> v128
i16x8.eq                     2d -   v128 v128 -> v128
i16x8.ne                     2e -   v128 v128 -> v128
i16x8.lt_s                   2f -   v128 v128 -> v128
i16x8.gt_s                   31 -   v128 v128 -> v128
i32x4.eq                     37 -   v128 v128 -> v128
i32x4.ne                     38 -   v128 v128 -> v128
i32x4.lt_s                   39 -   v128 v128 -> v128
i32x4.lt_u                   3a -   v128 v128 -> v128
i32x4.gt_s                   3b -   v128 v128 -> v128
i32x4.gt_u                   3c -   v128 v128 -> v128
i32x4.le_s                   3d -   v128 v128 -> v128
i32x4.le_u                   3e -   v128 v128 -> v128
i32x4.ge_s                   3f -   v128 v128 -> v128
i32x4.ge_u                   40 -   v128 v128 -> v128
f32x4.eq                     41 -   v128 v128 -> v128
f32x4.ne                     42 -   v128 v128 -> v128
f32x4.lt                     43 -   v128 v128 -> v128
f32x4.gt                     44 -   v128 v128 -> v128
f32x4.le                     45 -   v128 v128 -> v128
f32x4.ge                     46 -   v128 v128 -> v128
v128.not                     4d -   v128 -> v128
v128.and                     4e -   v128 v128 -> v128
v128.andnot                  4f -   v128 v128 -> v128
v128.or                      50 -   v128 v128 -> v128
v128.xor                     51 -   v128 v128 -> v128
v128.bitselect               52 -   v128 v128 v128 -> v128
v128.any_true                53 -   v128 -> i32
v128.load8_lane              54 mem_lane i32 v128 -> v128
v128.load16_lane             55 mem_lane i32 v128 -> v128
v128.load32_lane             56 mem_lane i32 v128 -> v128
v128.load64_lane             57 mem_lane i32 v128 -> v128
v128.store8_lane             58 mem_lane i32 v128 ->
v128.store16_lane            59 mem_lane i32 v128 ->
v128.store32_lane            5a mem_lane i32 v128 ->
v128.store64_lane            5b mem_lane i32 v128 ->
v128.load32_zero             5c mem i32 -> v128
v128.load64_zero             5d mem i32 -> v128
f32x4.demote_f64x2_zero      5e -   v128 -> v128
f64x2.promote_low_f32x4      5f -   v128 -> v128
i8x16.abs                    60 -   v128 -> v128
i8x16.neg                    61 -   v128 -> v128
i8x16.all_true               63 -   v128 -> i32
i8x16.bitmask                64 -   v128 -> i32
i8x16.narrow_i16x8_s         65 -   v128 v128 -> v128
i8x16.narrow_i16x8_u         66 -   v128 v128 -> v128
f32x4.ceil                   67 -   v128 -> v128
f32x4.floor                  68 -   v128 -> v128
f32x4.trunc                  69 -   v128 -> v128
f32x4.nearest                6a -   v128 -> v128
i8x16.shl                    6b -   v128 i32 -> v128
i8x16.shr_s                  6c -   v128 i32 -> v128
i8x16.shr_u                  6d -   v128 i32 -> v128
i8x16.add                    6e -   v128 v128 -> v128
i8x16.add_sat_u              70 -   v128 v128 -> v128
i8x16.sub                    71 -   v128 v128 -> v128
i8x16.min_s                  76 -   v128 v128 -> v128
i8x16.min_u                  77 -   v128 v128 -> v128
i8x16.max_s                  78 -   v128 v128 -> v128
i8x16.max_u                  79 -   v128 v128 -> v128
i16x8.extadd_pairwise_i8x16_s 7c -  v128 -> v128
i16x8.extadd_pairwise_i8x16_u 7d -  v128 -> v128
i32x4.extadd_pairwise_i16x8_s 7e -  v128 -> v128
i32x4.extadd_pairwise_i16x8_u 7f -  v128 -> v128
i16x8.narrow_i32x4_s         85 -   v128 v128 -> v128
i16x8.narrow_i32x4_u         86 -   v128 v128 -> v128
i16x8.extend_low_i8x16_s     87 -   v128 -> v128
i16x8.extend_high_i8x16_s    88 -   v128 -> v128
i16x8.extend_low_i8x16_u     89 -   v128 -> v128
i16x8.extend_high_i8x16_u    8a -   v128 -> v128
i16x8.shl                    8b -   v128 i32 -> v128
i16x8.shr_s                  8c -   v128 i32 -> v128
i16x8.shr_u                  8d -   v128 i32 -> v128
i16x8.add                    8e -   v128 v128 -> v128
i16x8.sub                    91 -   v128 v128 -> v128
i16x8.mul                    95 -   v128 v128 -> v128
i16x8.min_s                  96 -   v128 v128 -> v128
i16x8.max_s                  98 -   v128 v128 -> v128
i32x4.abs                    a0 -   v128 -> v128
i32x4.neg                    a1 -   v128 -> v128
i32x4.all_true               a3 -   v128 -> i32
i32x4.bitmask                a4 -   v128 -> i32
i32x4.extend_low_i16x8_s     a7 -   v128 -> v128
i32x4.extend_high_i16x8_s    a8 -   v128 -> v128
i32x4.extend_low_i16x8_u     a9 -   v128 -> v128
i32x4.extend_high_i16x8_u    aa -   v128 -> v128
i32x4.shl                    ab -   v128 i32 -> v128
i32x4.shr_s                  ac -   v128 i32 -> v128
i32x4.shr_u                  ad -   v128 i32 -> v128
i32x4.add                    ae -   v128 v128 -> v128
i32x4.sub                    b1 -   v128 v128 -> v128
i32x4.mul                    b5 -   v128 v128 -> v128
i32x4.min_s                  b6 -   v128 v128 -> v128
i32x4.min_u                  b7 -   v128 v128 -> v128
i32x4.max_s                  b8 -   v128 v128 -> v128
i32x4.max_u                  b9 -   v128 v128 -> v128
i32x4.dot_i16x8_s            ba -   v128 v128 -> v128
f32x4.abs                    e0 -   v128 -> v128
f32x4.neg                    e1 -   v128 -> v128
f32x4.sqrt                   e3 -   v128 -> v128
f32x4.add                    e4 -   v128 v128 -> v128
f32x4.sub                    e5 -   v128 v128 -> v128
f32x4.mul                    e6 -   v128 v128 -> v128
f32x4.div                    e7 -   v128 v128 -> v128
f32x4.min                    e8 -   v128 v128 -> v128
f32x4.max                    e9 -   v128 v128 -> v128
f32x4.pmin                   ea -   v128 v128 -> v128
f32x4.pmax                   eb -   v128 v128 -> v128
f64x2.nearest                94 -   v128 -> v128
f64x2.sqrt                   ef -   v128 -> v128
f64x2.add                    f0 -   v128 v128 -> v128
f64x2.sub                    f1 -   v128 v128 -> v128
f64x2.mul                    f2 -   v128 v128 -> v128
f64x2.div                    f3 -   v128 v128 -> v128
i32x4.trunc_sat_f32x4_s      f8 -   v128 -> v128
i32x4.trunc_sat_f32x4_u      f9 -   v128 -> v128
f32x4.convert_i32x4_s        fa -   v128 -> v128
f32x4.convert_i32x4_u        fb -   v128 -> v128
f64x2.convert_low_i32x4_s    fe -   v128 -> v128
"""

_RELAXED = """
i8x16.relaxed_swizzle                       100 - v128 v128 -> v128
i32x4.relaxed_trunc_f32x4_s                 101 - v128 -> v128
f32x4.relaxed_madd                          105 - v128 v128 v128 -> v128
f32x4.relaxed_nmadd                         106 - v128 v128 v128 -> v128
i8x16.relaxed_laneselect                    109 - v128 v128 v128 -> v128
i32x4.relaxed_laneselect                    10b - v128 v128 v128 -> v128
f32x4.relaxed_min                           10d - v128 v128 -> v128
f32x4.relaxed_max                           10e - v128 v128 -> v128
i16x8.relaxed_dot_i8x16_i7x16_s             112 - v128 v128 -> v128
i32x4.relaxed_dot_i8x16_i7x16_add_s         113 - v128 v128 v128 -> v128
"""

# Valid on shared and unshared memories; only a wait traps on an unshared one.
_ATOMIC = """
memory.atomic.notify 00 atomic i32 i32 -> i32
memory.atomic.wait32 01 atomic i32 i32 i64 -> i32
i32.atomic.load      10 atomic i32 -> i32
i32.atomic.store     17 atomic i32 i32 ->
i32.atomic.rmw.add   1e atomic i32 i32 -> i32
i32.atomic.rmw.sub   25 atomic i32 i32 -> i32
"""


def unsigned(value: int) -> bytes:
    """Unsigned LEB128 of a number in 0 .. 2**32 - 1."""
    out = bytearray()
    while True:
        low, value = value & 0x7F, value >> 7
        if not value:
            out.append(low)
            return bytes(out)
        out.append(low | 0x80)


def signed(value: int) -> bytes:
    """Signed LEB128."""
    out = bytearray()
    while True:
        low, value = value & 0x7F, value >> 7
        if (value == 0 and not low & 0x40) or (value == -1 and low & 0x40):
            out.append(low)
            return bytes(out)
        out.append(low | 0x80)


def _rows(text: str, prefix: int | None) -> dict[str, Opcode]:
    table = {}
    for line in text.strip().splitlines():
        left, right = line.split("->")
        name, number, immediate, *operands = left.split()
        value = int(number, 16)
        code = bytes([value]) if prefix is None else bytes([prefix]) + unsigned(value)
        kind = "" if immediate == "-" else immediate.replace("_", " ")
        table[name] = Opcode(name, code, kind, tuple(operands), tuple(right.split()))
    return table


RELAXED: frozenset[str] = frozenset(_rows(_RELAXED, 0xFD))
"""Names of the instructions that only a target with relaxed SIMD may use."""

OPCODES: dict[str, Opcode] = {
    **_rows(_MVP, None),
    **_rows(_PREFIX_FC, 0xFC),
    **_rows(_SIMD, 0xFD),
    **_rows(_RELAXED, 0xFD),
    **_rows(_ATOMIC, 0xFE),
}

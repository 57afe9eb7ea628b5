"""Passes leave a graph of bytes as it is, pad it with its zero points, and fuse into it."""

from __future__ import annotations

import numpy as np
import pytest

from fanlight.graph import Builder, Graph, evaluate, parse, to_text
from fanlight.graph.verify import verify
from fanlight.passes import optimize
from tests.passes.support import random_inputs

RNG = np.random.default_rng(8)


def weights(*shape: int) -> np.ndarray:
    return RNG.integers(-127, 128, shape).astype(np.int8)


def byte_net(pad: int = 61) -> Graph:
    """Float picture -> scaled -> bytes -> two convolutions, a depthwise one, a sum, a product."""
    b = Builder("bytes")
    x = b.input("x", (1, 8, 8, 3))
    real = b.add("add", b.add("mul", x, b.weight(np.float32(2))), b.weight(np.float32(1)))
    q = b.add("quantize", real, scale=0.05, zero=pad)

    def sums(depth: int) -> list:
        bias = RNG.integers(-999, 999, depth).astype(np.int32)
        return [b.weight(bias), b.weight(np.float32(RNG.random(depth) * 1e-2 + 1e-3))]

    attrs = {"padding": ((1, 1), (1, 1)), "pad": pad, "zero": 50}
    y = b.add("conv2d_int8", q, b.weight(weights(3, 3, 3, 8)), *sums(8), **attrs)
    z = b.add("conv2d_int8", q, b.weight(weights(3, 3, 3, 8)), *sums(8), y, **attrs)
    attrs = {**attrs, "pad": 50}
    d = b.add("depthwise_conv2d_int8", z, b.weight(weights(3, 3, 8, 1)), *sums(8), **attrs)
    e = b.add("add_int8", d, z, scale_a=0.5, zero_a=50, scale_b=0.6, zero_b=50, zero=40)
    f = b.add("mul_int8", e, z, zero_a=40, zero_b=50, scale=0.01, zero=60)
    flat = b.add("reshape", f, shape=(1, 512))
    scores = b.add("matmul_int8", flat, b.weight(weights(512, 5)), *sums(5), output="float32")
    return b.finish({"scores": b.add("softmax", scores), "bytes": f})


@pytest.mark.parametrize("pad", [0, 61])
def test_a_byte_net_keeps_its_meaning_to_the_bit(pad: int) -> None:
    graph = byte_net(pad)
    legal = optimize(graph, verify=True)
    inputs = random_inputs(graph)
    wanted, got = evaluate(graph, inputs), evaluate(legal, inputs)
    for name, array in wanted.items():
        assert np.array_equal(got[name], array), name
        assert got[name].dtype == array.dtype


def test_padding_is_written_with_the_zero_point() -> None:
    legal = optimize(byte_net(), verify=True)
    pads = [n for n in legal.nodes if n.op == "pad"]
    # The two convolutions share theirs; that of the depthwise one is not of zeros.
    assert sorted(n.attrs["value"] for n in pads) == [50, 61]
    assert all(n.output.dtype == "uint8" for n in pads)
    own = [n for n in legal.nodes if n.op.endswith("conv2d_int8")]
    assert all(n.attrs["padding"] == ((0, 0), (0, 0)) for n in own)


def test_a_depthwise_convolution_pads_zeros_itself() -> None:
    graph = parse(
        """graph g(%x: u8[1, 4, 4, 2]) {
          weight %w: i8[2, 2, 2, 1] = [1, -2, 3, -4, 5, -6, 7, -127]
          weight %b: i32[2] = [5, -6]
          weight %s: f32[2] = [0.5, 0.25]
          %y = depthwise_conv2d_int8(%x, %w, %b, %s) {padding=[[0, 1], [1, 0]], pad=0}
          return y=%y
        }"""
    )
    (node,) = optimize(graph, verify=True).nodes
    assert node.attrs["padding"] == ((0, 1), (1, 0))


def test_what_leads_to_bytes_is_one_node() -> None:
    legal = optimize(byte_net(), verify=True)
    first = legal.nodes[0]
    assert (first.op, first.output.dtype) == ("fused", "uint8")
    assert sum(n.op == "fused" for n in legal.nodes) == 2  # and add_int8 with mul_int8


def test_a_convolution_does_not_end_in_bytes() -> None:
    """A float convolution keeps its float result: only its bias and activation join it."""
    graph = parse(
        """graph g(%x: f32[1, 2, 2, 1]) {
          weight %w: f32[1, 1, 1, 2] = [1.0, 2.0]
          %c = conv2d(%x, %w)
          %r = relu(%c)
          %q = quantize(%r) {scale=0.1}
          %d = dequantize(%q) {scale=0.1}
          return q=%q, d=%d
        }"""
    )
    legal = optimize(graph, verify=True)
    assert [n.op for n in legal.nodes] == ["conv2d", "quantize", "dequantize"]


def test_int8_weights_print_and_parse() -> None:
    graph = byte_net()
    text = to_text(graph)
    assert ": i8[3, 3, 3, 8]" in text
    arrays = {v.name: a for v, a in graph.weights.items()}
    again = verify(parse(text, arrays))
    assert to_text(again) == text
    assert {a.dtype.name for a in again.weights.values()} == {"int8", "int32", "float32"}

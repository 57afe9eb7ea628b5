"""A network of bytes, built: NumPy, both modules and any number of threads give equal bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fanlight as fl
from fanlight.graph import Builder, Graph, Value, evaluate
from fanlight.hosts.wasmtime import WasmtimeHost

RNG = np.random.default_rng(0)


class Bytes:
    """A graph under construction, with random weights."""

    def __init__(self) -> None:
        self.builder = Builder("bytes")

    def sums(self, op: str, x: Value, w: np.ndarray, *more: Value, **attrs: object) -> Value:
        depth = w.shape[2] if op.startswith("depthwise") else w.shape[-1]
        bias = RNG.integers(-3000, 3000, depth).astype(np.int32)
        scale = (RNG.random(depth) * 2e-3 + 1e-3).astype(np.float32)
        constants = [self.builder.weight(a) for a in (w, bias, scale)]
        return self.builder.add(op, x, *constants, *more, **attrs)

    def conv(self, x: Value, depth: int, side: int, *more: Value, **attrs: object) -> Value:
        w = RNG.integers(-127, 128, (side, side, x.shape[3], depth)).astype(np.int8)
        pad = ((side // 2, side // 2),) * 2
        return self.sums("conv2d_int8", x, w, *more, padding=pad, pad=9, **attrs)

    def depthwise(self, x: Value, stride: int) -> Value:
        w = RNG.integers(-127, 128, (3, 3, x.shape[3], 1)).astype(np.int8)
        window = {"padding": ((1, 1), (1, 1)), "strides": (stride, stride)}
        return self.sums("depthwise_conv2d_int8", x, w, pad=9, zero=9, **window)

    def lookup(self, x: Value, table: np.ndarray) -> Value:
        return self.builder.add("lookup", x, self.builder.weight(table.astype(np.uint8)))


def network() -> Graph:
    """Every byte op at least once: a residual block, squeeze and excite, a decoder, a float end."""
    net = Bytes()
    add = net.builder.add
    image = net.builder.input("image", (1, 19, 22, 3), "float32")
    x = add("quantize", image, scale=1 / 64, zero=128, high=255)
    x = net.conv(x, 20, 3, x_high=255, zero=64)
    slopes = net.builder.weight(RNG.uniform(-0.5, 1, 20).astype(np.float32))
    x = add("prelu_int8", x, slopes, zero_x=64, scale=1.2, zero=9)
    y = net.depthwise(net.conv(x, 36, 1), 1)
    y = net.lookup(y, np.minimum(np.arange(256) ** 2 // 128, 127))
    squeezed = add("mean_int8", y, axes=(1, 2), keepdims=True, zero_x=9, scale=1.1, zero=3)
    squeezed = net.lookup(net.conv(squeezed, 36, 1), RNG.permutation(256))
    y = add("mul_int8", y, squeezed, zero_a=9, scale=0.02, zero=9, high=127)
    y = net.conv(y, 20, 1, x, zero=50, residual_scale=0.4, residual_zero=9)
    small = add("max_pool", y, size=(2, 2), strides=(2, 2), padding=((1, 0), (0, 0)))
    mean = add(
        "avg_pool_int8", y, size=(3, 3), strides=(2, 2), padding=((1, 1), (1, 0)),
        zero_x=50, scale=1.0, zero=50,
    )  # fmt: skip
    both = add("concat", small, mean, axis=3)
    up = add("resize_bilinear_int8", both, size=(19, 22))
    near = add("resize_nearest", small, size=(19, 22))
    up = net.conv(up, 20, 3, zero=50)
    total = add("add_int8", up, near, scale_a=0.7, zero_a=50, scale_b=-0.4, zero_b=50, zero=60)
    flat = add("reshape", add("transpose", total, perm=(0, 3, 1, 2)), shape=(1, -1))
    w = RNG.integers(-127, 128, (flat.shape[1], 10)).astype(np.int8)
    scores = net.sums("matmul_int8", flat, w, output="float32")
    back = add("dequantize", total, scale=0.1, zero=60)
    return net.builder.finish({"scores": scores, "bytes": total, "floats": back})


@pytest.mark.parametrize("simd", ["relaxed", "plain"])
def test_every_host_gives_the_bytes_of_numpy(simd: str, tmp_path: Path) -> None:
    graph = network()
    image = RNG.uniform(-2.5, 2.5, (1, 19, 22, 3)).astype(np.float32)
    image[0, 0, :4, 0] = np.nan, np.inf, -np.inf, 3e38
    wanted = evaluate(graph, {"image": image})
    assert len(np.unique(wanted["bytes"])) > 20
    with fl.build(graph, tmp_path / "site") as bundle:
        for threads in (1, 2, 3):
            host = WasmtimeHost(bundle.files, simd=simd, threads=threads)
            for name, array in host.run({"image": image}).items():
                np.testing.assert_array_equal(array, wanted[name], err_msg=name)
            host.close()

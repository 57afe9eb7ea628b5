"""The decomposition of transposed convolutions is exact for every geometry."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from fanlight.graph import Builder, verify
from fanlight.passes import optimize
from fanlight.passes.core import Context
from fanlight.passes.split_transposed_conv import SplitTransposedConv
from tests.passes.support import assert_same_meaning

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
def test_every_geometry(stride: int, kernel: int) -> None:
    count = 0
    for before, after, size in product(range(kernel), range(kernel), (1, 3)):
        for extra in range(stride):
            # All sizes of which a convolution like this gives `size`.
            wanted = (size - 1) * stride + kernel - before - after + extra
            if wanted < 1:
                continue
            builder = Builder()
            x = builder.input("x", (2, size, 2, 2))
            w = builder.weight(np.float32(RNG.normal(size=(kernel, 2, 3, 2))))
            y = builder.add(
                "conv2d_transpose",
                x,
                w,
                strides=(stride, 2),
                padding=((before, after), (0, 1)),
                output_size=(wanted, 3),
            )
            graph = builder.finish({"y": y})
            result = verify(SplitTransposedConv().run(graph, Context()))
            assert "conv2d_transpose" not in [n.op for n in result.nodes]
            assert_same_meaning(graph, result)
            count += 1
    assert count > 0


def test_bias_and_activation_become_its_epilogue() -> None:
    builder = Builder()
    x = builder.input("x", (1, 4, 4, 3))
    w = builder.weight(np.float32(RNG.normal(size=(3, 3, 5, 3))))
    y = builder.add(
        "conv2d_transpose", x, w, strides=(2, 2), padding=((0, 1), (0, 1)), output_size=(8, 8)
    )
    y = builder.add("relu", builder.add("add", y, builder.weight(np.ones(5, np.float32))))
    graph = builder.finish({"y": y})
    after = optimize(graph, verify=True)
    assert [n.op for n in after.nodes] == ["pad", "conv2d", "depth_to_space"]
    assert_same_meaning(graph, after)


@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (2, 3), (3, 1)])
def test_a_computed_kernel_is_rearranged_by_nodes(strides: tuple[int, int]) -> None:
    builder = Builder()
    x, w = builder.input("x", (2, 3, 4, 2)), builder.input("w", (3, 2, 5, 2))
    size = (2 * strides[0] + 3, 3 * strides[1] + 2)
    y = builder.add("conv2d_transpose", x, w, strides=strides, output_size=size)
    graph = builder.finish({"y": y})
    result = verify(SplitTransposedConv().run(graph, Context()))
    assert "conv2d_transpose" not in [n.op for n in result.nodes]
    assert_same_meaning(graph, result)

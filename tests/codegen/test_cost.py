"""What kernels say about their work: the figures that the roofline stands on."""

from __future__ import annotations

import pytest

from fanlight.codegen.kernel import lower
from fanlight.ops.types import TensorType
from fanlight.targets import WASM_RELAXED
from tests.codegen.kernel_runner import node

F = 4  # bytes of a float32


@pytest.mark.parametrize(
    ("op", "shapes", "attrs", "flops", "size"),
    [
        ("conv2d", [(1, 6, 7, 3), (3, 2, 3, 5)], {}, 2 * 24 * 5 * 18, 126 + 90 + 120),
        ("matmul", [(4, 6), (6, 5)], {}, 2 * 4 * 6 * 5, 24 + 30 + 20),
        ("matmul", [(2, 4, 6), (2, 6, 5)], {}, 2 * 2 * 4 * 6 * 5, 48 + 60 + 40),
        ("depthwise_conv2d", [(1, 5, 5, 4), (3, 3, 4, 2)], {}, 2 * 9 * 8 * 9, 100 + 72 + 72),
        ("max_pool", [(1, 4, 4, 8)], {"size": (2, 2), "strides": (2, 2)}, 128, 128 + 32),
        ("slice", [(10, 10)], {"begin": (1, 0), "size": (2, 10)}, 0, 20 + 20),
        ("resize_bilinear", [(1, 9, 9, 2)], {"size": (2, 2)}, 9 * 8, 32 + 8),
        ("resize_bilinear", [(1, 2, 2, 2)], {"size": (9, 9)}, 9 * 162, 8 + 162),
        ("concat", [(2, 3), (2, 4)], {"axis": 1}, 0, 14 + 14),
    ],
)
def test_flops_and_bytes(
    op: str, shapes: list[tuple[int, ...]], attrs: dict[str, object], flops: int, size: int
) -> None:
    made = node(op, [TensorType(s, "float32") for s in shapes], **attrs)
    kernel = lower(made, WASM_RELAXED, set())
    assert (kernel.flops, kernel.bytes) == (flops, F * size)


def test_an_input_used_twice_is_read_once() -> None:
    from fanlight.graph import Builder

    b = Builder("twice")
    x = b.input("x", (3, 5))
    graph = b.finish({"y": b.add("mul", x, x)})
    assert lower(graph.nodes[0], WASM_RELAXED, set()).bytes == F * 30

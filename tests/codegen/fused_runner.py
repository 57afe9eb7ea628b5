"""Run one convolution or product with constant weights and an epilogue under wasmtime."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fanlight.codegen.kernel import Kernel, lower
from fanlight.graph import Node
from fanlight.ops.types import TensorType
from fanlight.targets import Target
from tests.codegen.kernel_runner import node, run

# Float32 sums of K products in another order differ by about sqrt(K) roundings of 6e-8 each; with
# K up to 2,000 here that is 3e-6 of the largest value. 1e-5 leaves room, and no real error fits.
TOLERANCE = 1e-5

# (body of the epilogue, kinds of its extra inputs, what it means)
EPILOGUES = {
    "none": (None, (), lambda r: r),
    "bias relu6": (
        "min(max(add(a0, a1), 0.0), 6.0)",
        ("channel",),
        lambda r, b: np.minimum(np.maximum(r + b, np.float32(0)), np.float32(6)),
    ),
    "residual": ("add(add(a0, a1), a2)", ("channel", "full"), lambda r, b, x: r + b + x),
    "scalar": ("max(mul(a0, a1), a2)", ("scalar", "full"), lambda r, s, x: np.maximum(r * s, x)),
    "sigmoid": (
        "div(1.0, add(1.0, exp(neg(add(a0, a1)))))",
        ("channel",),
        lambda r, b: 1 / (1 + np.exp(-(r + b))),
    ),
    "prelu": (
        "select(lt(add(a0, a1), 0.0), mul(add(a0, a1), a2), add(a0, a1))",
        ("channel", "channel"),
        lambda r, b, a: np.where(r + b < 0, (r + b) * a, r + b),
    ),
}


def lowered(
    op: str,
    arrays: Sequence[np.ndarray],
    target: Target,
    *,
    constant: bool = True,
    **attrs: object,
) -> tuple[Node, Kernel]:
    """The node over inputs of these shapes, and its kernel; inputs after the first are weights."""
    made = node(op, [TensorType(a.shape) for a in arrays], **attrs)
    return made, lower(made, target, {made.inputs[1]} if constant else set())


def check(
    op: str,
    arrays: Sequence[np.ndarray],
    reference: np.ndarray,
    target: Target,
    *,
    epilogue: str = "none",
    constant: bool = True,
    twin: str | None = None,
    **attrs: object,
) -> None:
    """Compare a kernel (or its `twin`) with `reference`, the op's result before the epilogue.

    The kernel runs its work in one part and in three, between guards (see kernel_runner).
    """
    body, kinds, meaning = EPILOGUES[epilogue]
    rng = np.random.default_rng(len(kinds))
    shapes = {"scalar": (1,), "channel": reference.shape[-1:], "full": reference.shape}
    extras = [rng.uniform(-1, 1, shapes[k]).astype(np.float32) for k in kinds]
    if body is not None:
        attrs["epilogue"] = body
    made, kernel = lowered(op, [*arrays, *extras], target, constant=constant, **attrs)
    kernel = kernel if twin is None else kernel.twins[twin]
    placed = [
        kernel.packing[i].pack(a) if i in kernel.packing else a
        for i, a in enumerate([*arrays, *extras])
    ]
    (result,) = run(kernel, target, placed, [made.output.type])
    wanted = meaning(reference, *extras)
    assert result.shape == wanted.shape
    scale = max(float(np.abs(wanted).max(initial=0)), 1e-30)
    worst = float(np.abs(result - wanted).max(initial=0)) / scale
    assert worst <= TOLERANCE, f"{worst:.2g} of the largest value away; {kernel.key}"

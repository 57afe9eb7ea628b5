"""Products of every form become plain ones."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from fanlight.graph import Builder, verify
from fanlight.passes import optimize
from fanlight.passes.core import PLAIN_MATMUL, Context
from fanlight.passes.plain_matmul import PlainMatmul
from tests.passes.support import assert_same_meaning

SHAPES = [((), ()), ((2,), ()), ((), (2,)), ((1, 3), (1,)), ((2, 3), (3,)), ((2, 1), (1, 3))]


@pytest.mark.parametrize(("left", "right"), SHAPES)
@pytest.mark.parametrize("constant", ["a", "b", "none"])
def test_every_form(left: tuple, right: tuple, constant: str) -> None:
    rng = np.random.default_rng(5)
    for turn_a, turn_b in product((False, True), repeat=2):
        builder = Builder()
        shapes = {
            "a": (*left, *((5, 4) if turn_a else (4, 5))),
            "b": (*right, *((6, 5) if turn_b else (5, 6))),
        }
        values = [
            builder.weight(np.float32(rng.normal(size=shape)), name)
            if name == constant
            else builder.input(name, shape)
            for name, shape in shapes.items()
        ]
        y = builder.add("matmul", *values, transpose_a=turn_a, transpose_b=turn_b)
        y = builder.add("relu", builder.add("add", y, builder.weight(np.ones(6, np.float32))))
        graph = builder.finish({"y": y})
        for after in (verify(PlainMatmul().run(graph, Context())), optimize(graph, verify=True)):
            assert PLAIN_MATMUL.fault(after) is None
            assert_same_meaning(graph, after)
        ops = [n.op for n in after.nodes]
        assert ops.count("transpose") == (turn_a and constant != "a") + (turn_b and constant != "b")
        assert "add" not in ops and "fused" not in ops


def test_a_transpose_that_the_product_undoes_goes() -> None:
    builder = Builder()
    x, z = builder.input("x", (2, 4, 3)), builder.input("z", (2, 3, 5))
    turned = builder.add("transpose", x, perm=(0, 2, 1))
    graph = builder.finish({"y": builder.add("matmul", turned, z, transpose_a=True)})
    after = optimize(graph, verify=True)
    assert [n.op for n in after.nodes] == ["matmul"]
    assert_same_meaning(graph, after)


@pytest.mark.parametrize("turn", [False, True])
@pytest.mark.parametrize("lead", [(), (1,), (2,)])
def test_what_was_fused_before_stays(turn: bool, lead: tuple[int, ...]) -> None:
    builder = Builder()
    x = builder.input("x", (*lead, 3, 2))
    w = builder.input("w", (4, 2) if turn else (2, 4))
    y = builder.add("matmul", x, w, transpose_b=turn, epilogue="min(max(a0, 0), 6)")
    graph = builder.finish({"y": y})
    for after in (PlainMatmul().run(graph, Context()), optimize(graph, verify=True)):
        assert_same_meaning(graph, after)


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize(("left", "right"), SHAPES)
def test_a_product_with_an_epilogue_is_turned_too(
    left: tuple, right: tuple, constant: bool
) -> None:
    """As `fl.fused_matmul` makes it."""
    rng = np.random.default_rng(6)
    builder = Builder()
    a = builder.input("a", (*left, 5, 4))
    b = builder.input("b", (*right, 6, 5))
    if constant:
        b = builder.weight(np.float32(rng.normal(size=(*right, 6, 5))), "w")
    flags = {"transpose_a": True, "transpose_b": True}
    extra = builder.input("extra", (6,))
    y = builder.add("matmul", a, b, extra, epilogue="max(add(a0, a1), 0)", **flags)
    graph = builder.finish({"y": y})
    for after in (verify(PlainMatmul().run(graph, Context())), optimize(graph, verify=True)):
        assert PLAIN_MATMUL.fault(after) is None
        assert_same_meaning(graph, after)

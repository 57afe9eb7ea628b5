"""The planner refuses bad orders, and verification catches passes that break their word."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from fanlight.errors import FanlightError
from fanlight.graph import Builder, Graph, Node, parse
from fanlight.ops.types import Dim
from fanlight.passes import PIPELINE_F32, Context, Pass, Repeat, check_order, optimize, run
from fanlight.passes.absorb_pad import AbsorbPad
from fanlight.passes.constant_fold import ConstantFold
from fanlight.passes.core import CONSTANTS_FOLDED, NO_BATCH_NORM, PROPERTIES
from fanlight.passes.explicit_padding import ExplicitPadding
from fanlight.passes.fold_batch_norm import FoldBatchNorm
from fanlight.passes.fuse_elementwise import FuseElementwise
from fanlight.passes.simplify import Simplify
from tests.passes.support import assert_same_meaning

NET = """
graph g(%x: f32[1, 4, 4, 2]) {
  weight %w: f32[1, 1, 2, 2] = [1.0, 2.0, 3.0, 4.0]
  weight %b: f32[2] = [0.5, -0.5]
  %c = conv2d(%x, %w) {padding=[[1, 0], [0, 1]]}
  %d = add(%c, %b)
  %e = relu(%d)
  return y=%e
}
"""

FOLDED = (ConstantFold(), AbsorbPad(), FoldBatchNorm())


def test_the_pipeline_is_in_order() -> None:
    check_order(PIPELINE_F32)
    with pytest.raises(FanlightError, match="E-GRAPH-008"):
        check_order(PIPELINE_F32[::-1])


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((FoldBatchNorm(),), "too early"),
        ((ConstantFold(), FoldBatchNorm()), "too early"),
        ((FuseElementwise(),), "too early"),
        ((Simplify(), Simplify()), "without a reason"),
        ((Simplify(), Repeat(Simplify(), "")), "without a reason"),
        ((Repeat(Simplify(), "it is the first"),), "repeat of nothing"),
        # Explicit padding undoes what absorbing pads did, so affine folding may not follow it.
        (
            (*FOLDED, ExplicitPadding(), Repeat(FoldBatchNorm(), "again")),
            "too early",
        ),
    ],
)
def test_a_bad_order_is_refused(steps: tuple, message: str) -> None:
    with pytest.raises(FanlightError, match=message) as caught:
        run(parse(NET), steps)
    assert caught.value.code == "E-GRAPH-008"


class _Liar(Pass):
    """Promises what it does not do."""

    ensures = (NO_BATCH_NORM,)

    def run(self, graph: Graph, context: Context) -> Graph:
        return graph


class _Vandal(Pass):
    """Leaves a graph whose types are wrong."""

    def run(self, graph: Graph, context: Context) -> Graph:
        nodes = [Node("reshape", n.inputs, n.outputs, {"shape": (7,)}, n.name) for n in graph.nodes]
        return Graph(graph.name, graph.inputs, graph.outputs, tuple(nodes), graph.weights)


def _batch_norm() -> Graph:
    builder = Builder("g")
    x = builder.input("x", (2, 3))
    parameters = [builder.input(name, (3,)) for name in "abcd"]
    return builder.finish({"y": builder.add("batch_norm", x, *parameters, epsilon=0.1)})


def test_verification_catches_a_broken_promise() -> None:
    graph = _batch_norm()
    assert run(graph, (_Liar(),), verify=False) is graph
    with pytest.raises(FanlightError) as caught:
        run(graph, (_Liar(),), verify=True)
    assert caught.value.code == "E-GRAPH-007"
    assert "batch_norm" in str(caught.value)


def test_verification_is_on_when_the_environment_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = parse(NET)
    monkeypatch.setenv("FANLIGHT_VERIFY", "0")
    run(graph, (_Vandal(),))
    monkeypatch.setenv("FANLIGHT_VERIFY", "1")
    with pytest.raises(FanlightError) as caught:
        run(graph, (_Vandal(),))
    assert caught.value.code == "E-OP-001"  # the add has two inputs, a reshape one


def test_hits_are_counted() -> None:
    counts: Counter[str] = Counter()
    after = optimize(parse(NET), verify=True, counts=counts)
    assert [n.op for n in after.nodes] == ["pad", "conv2d"]
    assert counts["fuse_epilogue: conv2d"] == 2
    assert counts["explicit_padding: pad"] == 1


def test_properties_name_where_they_fail() -> None:
    assert {p.name for p in PROPERTIES} >= {CONSTANTS_FOLDED.name, NO_BATCH_NORM.name}
    assert NO_BATCH_NORM.fault(_batch_norm()) is not None
    assert NO_BATCH_NORM.fault(parse(NET)) is None


# --- graphs at the edges --------------------------------------------------------------------------


def test_an_image_of_any_size() -> None:
    builder = Builder()
    image = builder.input("image", (Dim("height", 50), Dim("width", 40), 4), "uint8")
    x = builder.add("resize_image", image, size=(6, 6), crop="center")
    x = builder.add("mul", x, builder.weight(np.float32(1 / 255)))
    x = builder.add("sub", x, builder.weight(np.float32([0.5, 0.4, 0.3])))
    w = builder.weight(np.ones((3, 3, 3, 2), np.float32))
    x = builder.add("relu", builder.add("conv2d", x, w, strides=(2, 2)))
    graph = builder.finish({"y": x})
    after = optimize(graph, verify=True)
    assert [n.op for n in after.nodes] == ["resize_image", "conv2d"]
    assert_same_meaning(graph, after)


def test_outputs_that_no_node_makes() -> None:
    builder = Builder()
    x, c = builder.input("x", (2, 2)), builder.weight(np.float32([1, 2]))
    folded = builder.add("exp", builder.add("neg", c))
    same = builder.add("reshape", builder.add("neg", builder.add("neg", x)), shape=(2, 2))
    twice = builder.add("relu", x)
    outputs = {"x": x, "c": c, "folded": folded, "same": same, "a": twice, "b": twice}
    graph = builder.finish(outputs)
    after = optimize(graph, verify=True)
    assert [n.op for n in after.nodes] == ["relu"]
    assert list(dict(after.outputs)) == list(outputs)
    assert_same_meaning(graph, after)


def test_tensors_without_elements() -> None:
    builder = Builder()
    x = builder.input("x", (0, 3))
    y = builder.add("add", builder.add("matmul", x, builder.weight(np.eye(3, dtype="f4"))), x)
    y = builder.add("concat", builder.add("relu", y), builder.add("exp", x), axis=0)
    graph = builder.finish({"y": y, "s": builder.add("sum", y, axes=(0,))})
    assert_same_meaning(graph, optimize(graph, verify=True))

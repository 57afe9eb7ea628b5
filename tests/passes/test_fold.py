"""Folding of constants and of per-channel arithmetic, and what must stay."""

from __future__ import annotations

import numpy as np
import pytest

from fanlight.graph import Builder, Graph, Value, evaluate, parse
from fanlight.passes import optimize
from fanlight.passes.constant_fold import ConstantFold
from fanlight.passes.core import Context
from fanlight.passes.fold_batch_norm import FoldBatchNorm
from fanlight.passes.merge_common import MergeCommon, equal_weights
from tests.passes.support import assert_same_meaning

RNG = np.random.default_rng(1)


def _weight(builder: Builder, *shape: int) -> Value:
    return builder.weight(np.float32(RNG.normal(size=shape)))


def _fold(graph: Graph) -> Graph:
    after = FoldBatchNorm().run(graph, Context())
    assert_same_meaning(graph, after)
    return after


def _ops(graph: Graph) -> list[str]:
    return [n.op for n in graph.nodes]


# --- constants ------------------------------------------------------------------------------------


def test_a_result_much_larger_than_its_inputs_is_not_stored() -> None:
    builder = Builder()
    x = builder.input("x", (1, 600, 600, 1))
    one = builder.weight(np.float32([[[[2.0]]]]))
    big = builder.add("broadcast_to", one, shape=(1, 600, 600, 1))
    small = builder.add("tile", one, multiples=(1, 2, 2, 1))
    outputs = {"y": builder.add("add", x, big), "z": builder.add("neg", small)}
    after = ConstantFold().run(builder.finish(outputs), Context())
    assert _ops(after) == ["broadcast_to", "add"]
    assert after.weight_bytes() == 4 + 16


def test_constants_of_every_dtype_fold() -> None:
    graph = parse(
        """graph g(%x: f32[2]) {
          weight %i: i32[2] = [3, -7]
          weight %two: i32[] = [2]
          %q = floor_div(%i, %two)
          %f = cast(%q) {dtype="float32"}
          %p = greater(%f, %f)
          %y = add(%x, %f)
          return y=%y, q=%q, p=%p
        }"""
    )
    after = ConstantFold().run(graph, Context())
    assert _ops(after) == ["add"]
    assert_same_meaning(graph, after)


def test_folding_does_not_warn() -> None:
    graph = parse(
        """graph g(%x: f32[1]) {
          weight %z: f32[1] = [-1.0]
          %a = sqrt(%z)
          %y = add(%x, %a)
          return y=%y
        }"""
    )
    after = ConstantFold().run(graph, Context())
    assert np.isnan(evaluate(after, {"x": np.zeros(1, np.float32)})["y"]).all()


def test_equal_weights_are_found_by_bytes() -> None:
    builder = Builder()
    x = builder.input("x", (1000,))
    arrays = [np.zeros(1000, np.float32) for _ in range(4)]
    arrays[1][501] = 1.0
    arrays[2][:] = -0.0
    weights = [builder.weight(a) for a in arrays]
    outputs = {f"y{i}": builder.add("add", x, w) for i, w in enumerate(weights)}
    graph = builder.finish(outputs)
    assert equal_weights(graph.weights) == {weights[3]: weights[0]}
    after = MergeCommon().run(graph, Context())
    assert len(after.nodes) == 3
    assert dict(after.outputs)["y3"] is dict(after.outputs)["y0"]


# --- per-channel arithmetic -----------------------------------------------------------------------

LINEAR = {
    "conv2d": ((3, 2, 4, 5), {"strides": (1, 2)}),
    "depthwise_conv2d": ((3, 2, 4, 2), {"padding": ((1, 0), (0, 1))}),
    "conv2d_transpose": ((3, 2, 5, 4), {"strides": (2, 2), "output_size": (13, 12)}),
    "matmul": ((4, 5), {}),
    "matmul turned": ((5, 4), {"transpose_b": True}),
}


@pytest.mark.parametrize("case", LINEAR)
@pytest.mark.parametrize("shape", ["[]", "[C]", "[1, 1, 1, C]"])
def test_what_follows_a_linear_op_becomes_one_bias(case: str, shape: str) -> None:
    dims, attrs = LINEAR[case]
    builder = Builder()
    value = builder.add(
        case.split()[0], builder.input("x", (1, 6, 6, 4)), _weight(builder, *dims), **attrs
    )
    channels = value.shape[-1]
    sizes = {"[]": (), "[C]": (channels,), "[1, 1, 1, C]": (1, 1, 1, channels)}[shape]
    for op in ("add", "mul", "sub", "div"):
        constant = builder.weight(np.float32(RNG.uniform(0.5, 2, sizes)))
        value = builder.add(op, value, constant)
    value = builder.add("neg", builder.add("sub", _weight(builder, *sizes), value))
    parameters = [builder.weight(np.float32(RNG.uniform(0.5, 2, channels))) for _ in range(4)]
    value = builder.add("batch_norm", value, *parameters)
    assert _ops(_fold(builder.finish({"y": value}))) == [case.split()[0], "add"]


@pytest.mark.parametrize("case", ["conv2d", "matmul", "matmul turned"])
def test_what_precedes_a_linear_op_becomes_its_bias(case: str) -> None:
    dims, attrs = LINEAR[case]
    builder = Builder()
    x = builder.input("x", (1, 6, 6, 4))
    value = builder.add("sub", x, _weight(builder, 4))
    value = builder.add("mul", value, _weight(builder, 4))
    value = builder.add(case.split()[0], value, _weight(builder, *dims), **attrs)
    assert _ops(_fold(builder.finish({"y": value}))) == [case.split()[0], "add"]


@pytest.mark.parametrize("op", ["conv2d", "depthwise_conv2d"])
@pytest.mark.parametrize(
    ("scale", "offset", "expected"),
    [
        ((), None, ["{op}"]),  # a scale alone: zeros stay zeros
        ((3,), None, ["{op}"]),
        ((), (), ["pad", "{op}", "add"]),  # one offset: pad with what it maps to zero
        ((), (3,), ["mul", "add", "{op}"]),  # an offset per channel: no one number maps to zero
    ],
)
def test_in_front_of_padding(
    op: str, scale: tuple, offset: tuple | None, expected: list[str]
) -> None:
    builder = Builder()
    value = builder.add("mul", builder.input("x", (1, 4, 4, 3)), _weight(builder, *scale))
    if offset is not None:
        value = builder.add("add", value, _weight(builder, *offset))
    w = _weight(builder, 3, 3, 3, 2)
    value = builder.add(op, value, w, padding=((1, 1), (0, 1)))
    graph = builder.finish({"y": value})
    assert _ops(_fold(graph)) == [name.format(op=op) for name in expected]


def test_an_image_in_bytes_is_normalised_by_the_first_convolution() -> None:
    # resize -> scale to [-1, 1] -> the model's own offset -> pad -> convolution of stride 2
    builder = Builder()
    value = builder.input("x", (1, 8, 8, 3))
    value = builder.add("mul", value, builder.weight(np.float32(2 / 255)))
    value = builder.add("add", value, builder.weight(np.float32(-1)))
    value = builder.add("pad", value, paddings=((0, 0), (0, 1), (0, 1), (0, 0)))
    w = _weight(builder, 3, 3, 3, 4)
    value = builder.add("conv2d", value, w, strides=(2, 2))
    parameters = [builder.weight(np.float32(RNG.uniform(0.5, 2, 4))) for _ in range(4)]
    value = builder.add("relu6", builder.add("batch_norm", value, *parameters))
    graph = builder.finish({"y": value})
    after = optimize(graph, verify=True)
    assert _ops(after) == ["pad", "conv2d"]
    assert after.nodes[0].attrs["value"] == pytest.approx(127.5)
    assert_same_meaning(graph, after)


def test_what_is_read_elsewhere_is_not_folded() -> None:
    builder = Builder()
    x = builder.input("x", (1, 4, 4, 3))
    scaled = builder.add("mul", x, _weight(builder, 3))
    conv = builder.add("conv2d", scaled, _weight(builder, 1, 1, 3, 3))
    normed = builder.add("mul", conv, _weight(builder, 3))
    graph = builder.finish({"y": normed, "conv": conv, "scaled": scaled})
    assert FoldBatchNorm().run(graph, Context()) is graph


def test_a_shared_weight_is_scaled_for_each_user() -> None:
    builder = Builder()
    x, w = builder.input("x", (1, 4, 4, 3)), _weight(builder, 1, 1, 3, 3)
    ends = {}
    for name in "abc":
        conv = builder.add("conv2d", builder.add("relu", x) if name == "c" else x, w)
        ends[name] = builder.add("mul", conv, _weight(builder, 3)) if name != "b" else conv
    after = _fold(builder.finish(ends))
    assert len(after.weights) == 3


def test_a_scale_that_overflows_is_not_folded() -> None:
    builder = Builder()
    product = builder.add(
        "matmul", builder.input("x", (1, 1)), builder.weight(np.float32([[1e30]]))
    )
    value = builder.add("mul", product, builder.weight(np.float32(1e30)))
    graph = builder.finish({"y": value})
    assert FoldBatchNorm().run(graph, Context()) is graph


def test_a_weight_is_rounded_once() -> None:
    builder = Builder()
    w = np.float32(RNG.normal(size=(1, 1, 50, 40)))
    value = builder.add("conv2d", builder.input("x", (1, 2, 2, 50)), builder.weight(w))
    mean, variance, offset, scale = np.float32(RNG.uniform(0.1, 3, (4, 40)))
    parameters = map(builder.weight, (mean, variance, offset, scale))
    value = builder.add("batch_norm", value, *parameters, epsilon=1e-3)
    after = FoldBatchNorm().run(builder.finish({"y": value}), Context())
    exact = w * (scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + 1e-3))
    (folded,) = (a for a in after.weights.values() if a.ndim == 4)
    np.testing.assert_array_equal(folded, exact.astype(np.float32))


def test_a_batch_norm_of_computed_parameters_is_spelt_out() -> None:
    builder = Builder()
    x = builder.input("x", (2, 3))
    parameters = [builder.add("abs", builder.input(n, (3,))) for n in "abcd"]
    graph = builder.finish({"y": builder.add("batch_norm", x, *parameters)})
    after = optimize(graph, verify=True)
    assert_same_meaning(graph, after)

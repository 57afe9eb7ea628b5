"""quantize_graph: what is computed in bytes, how close it is, and what it says about itself."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest

from fanlight.errors import FanlightError
from fanlight.graph import Builder, Graph, evaluate
from fanlight.graph.verify import verify
from fanlight.passes import optimize
from fanlight.passes.quantize import Quantized, quantize_graph
from tests.quantize.nets import NETS, Net, calibration

Items = list[dict[str, np.ndarray]]


def quantized(graph: Graph, data: Items | None = None, **options: object) -> Quantized:
    done = quantize_graph(graph, data or calibration(graph), **options)  # type: ignore[arg-type]
    verify(done.graph)
    return done


@cache
def net_of_bytes(name: str) -> Quantized:
    """One of NETS, quantised with what calibrates by default; no test changes it."""
    return quantized(NETS[name]())


def decibels(float_graph: Graph, graph: Graph, data: Items) -> float:
    """Signal to noise of all outputs over all items."""
    noise = power = 0.0
    for item in data:
        wanted, got = evaluate(float_graph, item), evaluate(graph, item)
        assert list(wanted) == list(got)
        for name, array in wanted.items():
            assert got[name].shape == array.shape and got[name].dtype == array.dtype
            noise += float(((got[name] - array) ** 2).sum())
            power += float((array**2).sum())
    return 10 * float(np.log10(power / noise))


def ops(graph: Graph) -> Counter[str]:
    return Counter(n.op for n in graph.nodes)


@pytest.mark.parametrize("name", NETS)
def test_results_are_close_on_new_data(name: str) -> None:
    graph = NETS[name]()
    done = net_of_bytes(name)
    fresh = calibration(graph, 8, seed=77)
    assert decibels(graph, done.graph, fresh) > 20
    assert done.report.snr > 15
    assert done.report.float_layers == []
    assert str(done.report).count("\n") > len(done.report.layers)
    # What is optimised for the back end means the same, to the bit.
    legal = optimize(done.graph, verify=True)
    for item in fresh[:2]:
        wanted, got = evaluate(done.graph, item), evaluate(legal, item)
        assert all(np.array_equal(wanted[n], got[n]) for n in wanted)


def test_a_mobile_net_is_bytes_from_end_to_end() -> None:
    found = ops(net_of_bytes("mobile").graph)
    assert found == {
        "add": 1,  # moves the picture's range to start at 0
        "quantize": 1,
        "conv2d_int8": 3,
        "depthwise_conv2d_int8": 2,
        "mean_int8": 1,
        "matmul_int8": 1,
        "softmax": 1,
    }


def test_the_picture_keeps_eight_bits() -> None:
    graph = net_of_bytes("mobile").graph
    (first,) = [n for n in graph.nodes if n.op == "quantize"]
    assert first.attrs["high"] == 255 and first.attrs["zero"] == 0
    layers = [n for n in graph.nodes if "x_high" in n.attrs]
    assert layers[0].attrs["x_high"] == 255
    assert layers[0].attrs["pad"] in (127, 128)
    assert all(n.attrs["high"] <= 127 for n in layers[:-2])


def test_layers_never_multiply_more_than_seven_bits_unless_they_say_so() -> None:
    for name in NETS:
        graph = net_of_bytes(name).graph
        for item in calibration(graph, 3, seed=5):
            values = [n.inputs[0] for n in graph.nodes if "x_high" in n.attrs]
            from fanlight.graph.evaluate import evaluate_values

            arrays = evaluate_values(graph, item, values)
            for node in graph.nodes:
                if "x_high" in node.attrs:
                    assert arrays[node.inputs[0]].max() <= node.attrs["x_high"], node.name


@pytest.mark.parametrize(("low", "high"), [(1, 2), (-3, -1)])
@pytest.mark.parametrize("kind", ["conv", "depthwise"])
def test_borders_are_right_where_inputs_never_are_zero(kind: str, low: float, high: float) -> None:
    n = Net((1, 16, 16, 8))
    h = n.conv(n.x, 8, 3, act="relu") if kind == "conv" else n.depthwise(n.x, act="relu")
    graph = n.b.finish({"y": n.conv(h, 8, 3)})
    rng = np.random.default_rng(4)
    data = [{"x": np.float32(rng.uniform(low, high, (1, 16, 16, 8)))} for _ in range(17)]
    done = quantized(graph, data[:16])
    wanted, got = evaluate(graph, data[16])["y"], evaluate(done.graph, data[16])["y"]
    error = np.abs(got - wanted) / np.abs(wanted).max()
    border = max(float(e.max()) for e in (error[:, 0], error[:, -1], error[:, :, 0]))
    assert border < 0.03 and error.max() < 0.03


def test_a_picture_that_is_not_padded_needs_no_zero() -> None:
    n = Net((1, 16, 16, 8))
    graph = n.b.finish({"y": n.conv(n.conv(n.x, 8, act="relu"), 8, 3)})
    rng = np.random.default_rng(4)
    data = [{"x": np.float32(rng.uniform(250, 251, (1, 16, 16, 8)))} for _ in range(16)]
    graph_of_bytes = quantized(graph, data).graph
    (first,) = [m for m in graph_of_bytes.nodes if m.op == "quantize"]
    assert first.attrs["scale"] == pytest.approx(1 / 255, rel=0.01)


def test_only_weights_that_may_be_paired_are_made_to_fit() -> None:
    """Four equal weights meet in an int16, if the bytes that they multiply have seven bits."""
    n = Net((1, 64))
    w = n.b.weight(np.ones((64, 64), np.float32))
    h = n.b.add("relu", n.b.add("matmul", n.x, w))
    graph = n.b.finish({"y": n.b.add("matmul", h, w)})
    rng = np.random.default_rng(4)
    data = [{"x": np.float32(rng.uniform(-1, 1, (1, 64)))} for _ in range(16)]
    done = quantized(graph, data).graph
    greatest = {
        m.attrs["x_high"]: int(done.weights[m.inputs[1]].max())
        for m in done.nodes
        if m.op == "matmul_int8"
    }
    assert greatest == {255: 127, 127: 64}


def test_residual_sums_are_part_of_the_layer() -> None:
    found = ops(net_of_bytes("residual").graph)
    assert found["add_int8"] == 0 and found["quantize"] == 1 and found["dequantize"] == 0
    graph = net_of_bytes("residual").graph
    assert sum(n.op == "conv2d_int8" and len(n.inputs) == 5 for n in graph.nodes) == 3


def test_everything_that_can_stay_in_bytes_does() -> None:
    found = ops(net_of_bytes("everything").graph)
    wanted = (
        *("conv2d_int8", "depthwise_conv2d_int8", "matmul_int8", "add_int8", "mul_int8"),
        *("prelu_int8", "lookup", "avg_pool_int8", "mean_int8", "resize_bilinear_int8"),
        *("max_pool", "resize_nearest", "concat", "depth_to_space", "pad", "slice", "reshape"),
    )
    assert [op for op in wanted if not found[op]] == []
    # One border in, and two out: the map that is also an output, and the scores.
    assert found["quantize"] == 1
    assert found["dequantize"] == 1
    assert not found["relu"] and not found["sigmoid"] and not found["conv2d"]


def test_weights_are_a_quarter() -> None:
    n = Net()
    h = n.conv(n.conv(n.x, 64, 3, act="relu"), 128, 3, act="relu")
    report = quantized(n.head(h)).report
    assert report.bytes_after < 0.27 * report.bytes_before


def test_chosen_layers_stay_float() -> None:
    graph = NETS["mobile"]()
    names = [layer.name for layer in quantized(graph).report.layers]
    done = quantized(graph, float_layers=names[2:4])
    assert done.report.float_layers == names[2:4]
    assert ops(done.graph)["conv2d"] + ops(done.graph)["depthwise_conv2d"] == 2
    # The layer before gives float32 itself; what comes after is quantised again.
    assert ops(done.graph)["dequantize"] == 0 and ops(done.graph)["quantize"] == 2
    assert decibels(graph, done.graph, calibration(graph, 4, seed=1)) > 20
    assert "float32: as asked" in str(done.report)


def test_a_layer_that_bytes_harm_stays_float_by_itself() -> None:
    """One channel of the input is a thousand times larger than the rest, and means nothing."""
    n = Net((1, 64))
    w = n.rng.normal(size=(64, 8)).astype(np.float32)
    w[0] = 0
    y = n.b.add("matmul", n.x, n.b.weight(w))
    graph = n.b.finish({"y": n.dense(n.b.add("relu", y), 8)})
    rng = np.random.default_rng(0)
    sizes = np.where(np.arange(64) == 0, 2000, 1)
    data = [{"x": np.float32(rng.normal(size=(1, 64)) * sizes)} for _ in range(32)]
    done = quantized(graph, data)
    assert len(done.report.float_layers) == 1
    assert "dB in int8" in str(done.report)
    assert decibels(graph, done.graph, data) > 20


def test_sums_that_int32_might_not_hold_stay_float() -> None:
    n = Net((1, 150_000))
    y = n.b.add("matmul", n.x, n.b.weight(np.full((150_000, 4), 0.01, np.float32)))
    graph = n.b.finish({"y": n.dense(n.b.add("relu", y), 4)})
    data: Items = [{"x": np.full((1, 150_000), v, np.float32)} for v in (0.25, 0.5, 0.75, 1)]
    done = quantized(graph, data)
    assert len(done.report.float_layers) == 1
    assert "float32: its sums could leave int32" in str(done.report)
    assert ops(done.graph)["matmul"] == ops(done.graph)["matmul_int8"] == 1
    assert decibels(graph, done.graph, data) > 20


def test_relu6_cuts_where_it_did() -> None:
    n = Net()
    big = n.b.add("mul", n.conv(n.x, 8, 3), n.b.weight(np.float32(9)))
    graph = n.head(n.conv(n.b.add("relu6", big), 8, act="relu6"))
    done = quantized(graph)
    assert decibels(graph, done.graph, calibration(graph, 6, seed=2)) > 20
    bytes_of = [x for x in done.report.layers if x.scale is not None]
    assert all(x.high <= 6 for x in bytes_of)


def test_dead_and_constant_channels() -> None:
    n = Net()
    w = np.float32(n.rng.normal(size=(3, 3, 3, 8)) * 0.4)
    w[..., 2] = 0  # dead: nothing but its bias
    w[..., 5] = 0
    bias = np.float32([0.1, 0, 0.7, 0, 0, -5, 0, 1e-9])
    attrs = {"padding": ((1, 1), (1, 1))}
    h = n.b.add("conv2d", n.x, n.b.weight(w), **attrs)
    h = n.b.add("relu", n.b.add("add", h, n.b.weight(bias)))
    none = n.b.add("relu", n.b.add("conv2d", h, n.b.weight(np.zeros((1, 1, 8, 8), np.float32))))
    h = n.b.add("add", n.conv(h, 8, act="relu"), n.conv(none, 8))
    graph = n.head(n.conv(h, 8, act="relu"))
    done = quantized(graph)
    for array in done.graph.weights.values():
        assert np.isfinite(array.astype(np.float64)).all()
    assert decibels(graph, done.graph, calibration(graph, 6, seed=2)) > 20
    flat: Items = [{"x": np.full((1, 16, 16, 3), 0.5, np.float32)}] * 4
    done = quantized(graph, flat)
    assert decibels(graph, done.graph, flat) > 20
    zeros: Items = [{"x": np.zeros((1, 16, 16, 3), np.float32)}] * 4
    assert np.isfinite(evaluate(quantized(graph, zeros).graph, zeros[0])["scores"]).all()


def test_one_item_works_and_says_that_it_is_few() -> None:
    graph = NETS["mobile"]()
    done = quantized(graph, calibration(graph, 1))
    assert any("1 item:" in note for note in done.report.notes)
    assert decibels(graph, done.graph, calibration(graph, 4, seed=1)) > 10


def test_settings_that_help_are_kept() -> None:
    report = net_of_bytes("residual").report
    assert report.snr == max(report.tried.values())
    assert report.tried[report.settings] == report.snr
    assert len(report.tried) >= 4


def test_a_model_without_layers_says_so() -> None:
    b = Builder("none")
    x = b.input("x", (1, 4))
    graph = b.finish({"y": b.add("softmax", b.add("relu", x))})
    with pytest.raises(FanlightError, match="E-CALIB-005") as caught:
        quantize_graph(graph, [{"x": np.ones((1, 4), np.float32)}])
    assert "relu, softmax" in str(caught.value)


def test_layers_that_do_not_exist() -> None:
    graph = NETS["mobile"]()
    for wrong in (["nonsense"], "nonsense"):
        with pytest.raises(FanlightError, match="E-CALIB-006"):
            quantize_graph(graph, calibration(graph, 2), float_layers=wrong)


def test_nan_of_the_model_names_the_item() -> None:
    n = Net((1, 8))
    graph = n.b.finish({"y": n.dense(n.b.add("log", n.x), 3)})
    data = [{"x": np.ones((1, 8), np.float32)}, {"x": -np.ones((1, 8), np.float32)}]
    with pytest.raises(FanlightError, match="E-CALIB-004") as caught:
        quantize_graph(graph, data)
    assert "item 1" in str(caught.value)

"""Single operators of TensorFlow Lite against the LiteRT interpreter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fanlight.build import build
from fanlight.formats import load_graph
from fanlight.graph import evaluate, verify
from fanlight.passes import optimize
from tests.formats import litert
from tests.formats.tflite_writer import Graph, Op, Tensor, constant, write

i32 = np.int32
RNG = np.random.default_rng(3)


def single(
    kind: str, inputs: list[Tensor], outputs: list[Tensor], options: int = 0, **given: Any
) -> Graph:
    """A graph of one operator; what has no data is an input of the model."""
    count = len(inputs)
    return Graph(
        [*inputs, *outputs],
        [i for i, t in enumerate(inputs) if t.data is None and not t.variable],
        list(range(count, count + len(outputs))),
        [Op(kind, list(range(count)), list(range(count, count + len(outputs))), options, given)],
    )


def compare(
    folder: Path,
    *graphs: Graph,
    steps: float = 1.0,
    low: float = -1.0,
    kernels: str = "optimised",
) -> None:
    """Our results against LiteRT's: 1e-4 for floats, one step for 8-bit numbers."""
    data = write(*graphs)
    (folder / "m.tflite").write_bytes(data)
    source = load_graph(folder / "m.tflite")
    verify(source.graph)
    interpreter = litert.interpreter(data, kernels)
    given: dict[str, np.ndarray] = {}
    details = {d["name"]: d for d in interpreter.get_input_details()}
    for port in source.inputs:
        array = litert.noise(details[port.source], RNG)
        if array.dtype.kind == "f" and low >= 0:
            array = np.abs(array) + np.float32(low)
        interpreter.set_tensor(details[port.source]["index"], array)
        value = next(v for v in source.graph.inputs if v.name == port.name)
        given[port.name] = array.astype(litert.NUMBERS[value.dtype])
    interpreter.invoke()
    found = evaluate(source.graph, given)
    outputs = interpreter.get_output_details()
    assert len(outputs) == len(source.outputs)
    for port, detail in zip(source.outputs, outputs, strict=True):
        wanted, ours = interpreter.get_tensor(detail["index"]), np.asarray(found[port.name])
        assert ours.shape == wanted.shape
        near = steps if wanted.dtype in (np.int8, np.uint8) else 1e-4
        np.testing.assert_allclose(ours.astype(float), wanted.astype(float), atol=near, rtol=1e-4)


F = Tensor
X4 = (1, 6, 5, 4)
UNARY = ["ABS", "NEG", "EXP", "SQUARE", "FLOOR", "CEIL", "ROUND", "SIN", "COS", "TANH", "LOGISTIC",
         "RELU", "RELU6", "RELU_N1_TO_1", "ELU", "HARD_SWISH", "L2_NORMALIZATION", "SIGN",
         "LOG_SOFTMAX", "ZEROS_LIKE"]  # fmt: skip


@pytest.mark.parametrize("kind", UNARY)
def test_unary(tmp_path: Path, kind: str) -> None:
    options = {"L2_NORMALIZATION": 12}.get(kind, 0)
    given = {"activation": 0} if options else {}
    compare(tmp_path, single(kind, [F((2, 3, 4))], [F((2, 3, 4))], options, **given))


@pytest.mark.parametrize("kind", ["LOG", "SQRT", "RSQRT"])
def test_positive_unary(tmp_path: Path, kind: str) -> None:
    compare(tmp_path, single(kind, [F((2, 3))], [F((2, 3))]), low=0.5)


BINARY = {"ADD": 11, "SUB": 28, "MUL": 21, "DIV": 29}


@pytest.mark.parametrize("kind", BINARY)
@pytest.mark.parametrize("activation", [0, 1, 2, 3])
def test_arithmetic(tmp_path: Path, kind: str, activation: int) -> None:
    graph = single(
        kind, [F((2, 3, 4)), F((4,))], [F((2, 3, 4))], BINARY[kind], activation=activation
    )
    compare(tmp_path, graph, low=0.5 if kind == "DIV" else -1)


@pytest.mark.parametrize("kind", ["MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "FLOOR_MOD"])
def test_binary(tmp_path: Path, kind: str) -> None:
    compare(tmp_path, single(kind, [F((2, 3)), F((2, 3))], [F((2, 3))]))


@pytest.mark.parametrize("kind", ["EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER",
                                  "GREATER_EQUAL"])  # fmt: skip
def test_comparisons(tmp_path: Path, kind: str) -> None:
    ints = Tensor((3, 4), "int32")
    compare(tmp_path, single(kind, [ints, ints], [Tensor((3, 4), "bool")]))


CASES: dict[str, Graph] = {
    "reshape": single("RESHAPE", [F((2, 6)), constant(i32([3, -1]))], [F((3, 4))]),
    "reshape by option": single("RESHAPE", [F((2, 6))], [F((3, 4))], 17, new_shape=[3, 4]),
    "squeeze": single("SQUEEZE", [F((1, 3, 1))], [F((3, 1))], 30, squeeze_dims=[0]),
    "expand dims": single("EXPAND_DIMS", [F((2, 3)), constant(i32(1))], [F((2, 1, 3))]),
    "transpose": single("TRANSPOSE", [F((2, 3, 4)), constant(i32([2, 0, 1]))], [F((4, 2, 3))]),
    "concatenation": single("CONCATENATION", [F((2, 3)), F((2, 2))], [F((2, 5))], 10, axis=-1),
    "split": single("SPLIT", [constant(i32(1)), F((2, 6))], [F((2, 3)), F((2, 3))], 35,
                    num_splits=2),
    "split v": single("SPLIT_V", [F((2, 6)), constant(i32([2, 4])), constant(i32(1))],
                      [F((2, 2)), F((2, 4))], 79, num_splits=2),
    "pack": single("PACK", [F((2, 3)), F((2, 3))], [F((2, 2, 3))], 59, values_count=2, axis=1),
    "unpack": single("UNPACK", [F((2, 3))], [F((3,)), F((3,))], 64, num=2, axis=0),
    "slice": single("SLICE", [F((4, 5)), constant(i32([1, 2])), constant(i32([2, -1]))],
                    [F((2, 3))]),
    "strided slice": single(
        "STRIDED_SLICE",
        [F((4, 5)), constant(i32([0, 4])), constant(i32([4, 0])), constant(i32([2, -2]))],
        [F((2, 2))], 32, begin_mask=0,
    ),
    "shrinking slice": single(
        "STRIDED_SLICE",
        [F((4, 5)), constant(i32([1, 0])), constant(i32([2, 5])), constant(i32([1, 1]))],
        [F((5,))], 32, shrink_axis_mask=1, end_mask=2,
    ),
    "gather": single("GATHER", [F((4, 5)), constant(i32([2, 0]))], [F((4, 2))], 23, axis=1),
    "gather rows": single("GATHER", [F((2, 4, 3)), constant(i32([[2, 0], [1, 3]]))],
                          [F((2, 2, 3))], 23, axis=1, batch_dims=1),
    "gather nd": single("GATHER_ND", [F((4, 5)), constant(i32([[2, 0], [1, 3]]))], [F((2,))]),
    "tile": single("TILE", [F((2, 3)), constant(i32([2, 1]))], [F((4, 3))]),
    "broadcast to": single("BROADCAST_TO", [F((1, 3)), constant(i32([4, 3]))], [F((4, 3))]),
    "reverse": single("REVERSE_V2", [F((2, 3)), constant(i32([1]))], [F((2, 3))]),
    "pad": single("PAD", [F((2, 3)), constant(i32([[1, 0], [0, 2]]))], [F((3, 5))]),
    "pad v2": single("PADV2", [F((2, 3)), constant(i32([[1, 0], [0, 2]])),
                               constant(np.float32(7))], [F((3, 5))]),
    "mirror pad": single("MIRROR_PAD", [F((2, 3)), constant(i32([[1, 0], [0, 2]]))], [F((3, 5))],
                         77, mode=0),
    "space to depth": single("SPACE_TO_DEPTH", [F((1, 4, 4, 2))], [F((1, 2, 2, 8))], 19,
                             block_size=2),
    "depth to space": single("DEPTH_TO_SPACE", [F((1, 2, 2, 8))], [F((1, 4, 4, 2))], 94,
                             block_size=2),
    "space to batch": single(
        "SPACE_TO_BATCH_ND",
        [F((1, 4, 4, 2)), constant(i32([2, 2])), constant(i32([[0, 0], [0, 0]]))],
        [F((4, 2, 2, 2))],
    ),
    "batch to space": single(
        "BATCH_TO_SPACE_ND",
        [F((4, 2, 2, 2)), constant(i32([2, 2])), constant(i32([[0, 0], [0, 0]]))],
        [F((1, 4, 4, 2))],
    ),
    "mean": single("MEAN", [F(X4), constant(i32([1, 2]))], [F((1, 4))], 27, keep_dims=False),
    "sum": single("SUM", [F((2, 3)), constant(i32([1]))], [F((2, 1))], 27, keep_dims=True),
    "reduce prod": single("REDUCE_PROD", [F((2, 3)), constant(i32([1]))], [F((2,))], 27),
    "reduce max": single("REDUCE_MAX", [F((2, 3)), constant(i32([-1]))], [F((2,))], 27),
    "reduce min": single("REDUCE_MIN", [F((2, 3)), constant(i32([0]))], [F((3,))], 27),
    "reduce any": single("REDUCE_ANY", [Tensor((2, 3), "bool"), constant(i32([1]))],
                         [Tensor((2,), "bool")], 27),
    "reduce all": single("REDUCE_ALL", [Tensor((2, 3), "bool"), constant(i32([1]))],
                         [Tensor((2,), "bool")], 27),
    "arg max": single("ARG_MAX", [F((2, 5)), constant(i32(1))], [Tensor((2,), "int32")], 40,
                      output_type=2),
    "arg min": single("ARG_MIN", [F((2, 5)), constant(i32(1))], [Tensor((2,), "int32")], 57,
                      output_type=2),
    "top k": single("TOPK_V2", [F((2, 5)), constant(i32(3))],
                    [F((2, 3)), Tensor((2, 3), "int32")]),
    "cumsum": single("CUMSUM", [F((2, 5)), constant(i32(1))], [F((2, 5))], 102, exclusive=True,
                     reverse=True),
    "one hot": single(
        "ONE_HOT",
        [Tensor((3,), "int32"), constant(i32(4)), constant(np.float32(2)), constant(np.float32(0))],
        [F((3, 4))], 61, axis=-1,
    ),
    "cast": single("CAST", [Tensor((3,), "int32")], [F((3,))], 37, in_data_type=2,
                   out_data_type=0),
    "select": single("SELECT_V2", [Tensor((3, 1), "bool"), F((3, 2)), F((2,))], [F((3, 2))]),
    "select rows": single("SELECT", [Tensor((3,), "bool"), F((3, 2)), F((3, 2))], [F((3, 2))]),
    "add n": single("ADD_N", [F((3,)), F((3,)), F((3,))], [F((3,))]),
    "leaky relu": single("LEAKY_RELU", [F((2, 3))], [F((2, 3))], 75, alpha=0.3),
    "prelu": single("PRELU", [F((1, 2, 3)), constant(np.float32([[[0.1, 0.2, 0.3]]]))],
                    [F((1, 2, 3))]),
    "gelu": single("GELU", [F((2, 3))], [F((2, 3))], 116, approximate=False),
    "gelu tanh": single("GELU", [F((2, 3))], [F((2, 3))], 116, approximate=True),
    "softmax": single("SOFTMAX", [F((2, 3))], [F((2, 3))], 9, beta=2.0),
    "batch matmul": single("BATCH_MATMUL", [F((2, 3, 4)), F((2, 5, 4))], [F((2, 3, 5))], 101,
                           adj_y=True),
    "lrn": single("LOCAL_RESPONSE_NORMALIZATION", [F(X4)], [F(X4)], 13, radius=1, bias=1.0,
                  alpha=0.5, beta=0.5),
    "average pool": single("AVERAGE_POOL_2D", [F(X4)], [F((1, 3, 3, 4))], 5, padding=0,
                           stride_w=2, stride_h=2, filter_width=3, filter_height=2, activation=1),
    "max pool": single("MAX_POOL_2D", [F(X4)], [F((1, 2, 2, 4))], 5, padding=1, stride_w=2,
                       stride_h=2, filter_width=3, filter_height=3),
    "l2 pool": single("L2_POOL_2D", [F(X4)], [F((1, 2, 2, 4))], 5, padding=1, stride_w=2,
                      stride_h=2, filter_width=3, filter_height=3),
    "scatter nd": single("SCATTER_ND", [constant(i32([[1], [3]])), F((2, 2)),
                                        constant(i32([4, 2]))], [F((4, 2))]),
    "fill": single("FILL", [constant(i32([2, 3])), F(())], [F((2, 3))]),
    "logical and": single("LOGICAL_AND", [Tensor((3,), "bool"), Tensor((3,), "bool")],
                          [Tensor((3,), "bool")]),
    "logical not": single("LOGICAL_NOT", [Tensor((3,), "bool")], [Tensor((3,), "bool")]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_operator(tmp_path: Path, name: str) -> None:
    compare(tmp_path, CASES[name])


@pytest.mark.parametrize("flags", [{}, {"align_corners": True}, {"half_pixel_centers": True}])
@pytest.mark.parametrize("kind", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
def test_resize(tmp_path: Path, kind: str, flags: dict[str, bool]) -> None:
    graph = single(kind, [F((1, 3, 4, 2)), constant(i32([7, 5]))], [F((1, 7, 5, 2))],
                   15 if kind == "RESIZE_BILINEAR" else 74, **flags)  # fmt: skip
    compare(tmp_path, graph)


def weights(*shape: int) -> Tensor:
    return constant(RNG.normal(size=shape).astype(np.float32))


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("dilation", [1, 2])
def test_convolution(tmp_path: Path, padding: int, dilation: int) -> None:
    options = {"padding": padding, "stride_w": 1, "stride_h": 1, "activation": 1}
    options |= {"dilation_w": dilation, "dilation_h": dilation}
    size = (7, 8) if padding == 0 else (7 - 2 * dilation, 8 - 2 * dilation)
    inputs = [F((1, 7, 8, 4)), weights(5, 3, 3, 4), weights(5)]
    compare(tmp_path, single("CONV_2D", inputs, [F((1, *size, 5))], 1, **options))
    inputs = [F((1, 7, 8, 4)), weights(1, 3, 3, 8), weights(8)]
    options["depth_multiplier"] = 2
    compare(tmp_path, single("DEPTHWISE_CONV_2D", inputs, [F((1, *size, 8))], 2, **options))


def test_transposed_convolution(tmp_path: Path) -> None:
    inputs = [constant(i32([1, 6, 8, 5])), weights(5, 3, 3, 4), F((1, 3, 4, 4))]
    compare(tmp_path, single("TRANSPOSE_CONV", inputs, [F((1, 6, 8, 5))], 49, padding=0,
                             stride_w=2, stride_h=2))  # fmt: skip


@pytest.mark.parametrize("keep", [False, True])
def test_fully_connected(tmp_path: Path, keep: bool) -> None:
    out = (2, 3, 5) if keep else (6, 5)
    inputs = [F((2, 3, 4)), weights(5, 4), weights(5)]
    compare(tmp_path, single("FULLY_CONNECTED", inputs, [F(out)], 8, activation=3,
                             keep_num_dims=keep))  # fmt: skip


def byte(shape: tuple[int, ...], type: str, scale: float, zero: int) -> Tensor:
    return Tensor(shape, type, None, scale, zero)


def test_quantised_layers(tmp_path: Path) -> None:
    x = byte((1, 6, 6, 4), "int8", 0.02, -7)
    w = constant(RNG.integers(-127, 128, (5, 3, 3, 4)).astype(np.int8),
                 scale=[0.01, 0.02, 0.01, 0.03, 0.02], zero=0, axis=0)  # fmt: skip
    b = constant(RNG.integers(-500, 500, 5).astype(np.int32),
                 scale=[2e-4, 4e-4, 2e-4, 6e-4, 4e-4], zero=0)  # fmt: skip
    options = {"padding": 0, "stride_w": 1, "stride_h": 1, "activation": 3}
    out = byte((1, 6, 6, 5), "int8", 0.03, -100)
    compare(tmp_path, single("CONV_2D", [x, w, b], [out], 1, **options))
    w = constant(RNG.integers(0, 256, (5, 4)).astype(np.uint8), scale=0.01, zero=140)
    b = constant(RNG.integers(-500, 500, 5).astype(np.int32), scale=2e-4, zero=0)
    x, out = byte((3, 4), "uint8", 0.02, 90), byte((3, 5), "uint8", 0.05, 130)
    compare(tmp_path, single("FULLY_CONNECTED", [x, w, b], [out], 8))


@pytest.mark.parametrize("type", ["int8", "uint8"])
@pytest.mark.parametrize(
    "kind", ["ADD", "SUB", "MUL", "LOGISTIC", "TANH", "HARD_SWISH", "SOFTMAX", "AVERAGE_POOL_2D",
             "MEAN", "MAXIMUM", "PAD", "RELU6", "RESIZE_BILINEAR", "LEAKY_RELU", "QUANTIZE"]
)  # fmt: skip
def test_quantised_operators(tmp_path: Path, kind: str, type: str) -> None:
    low = -128 if type == "int8" else 0
    compare(tmp_path, quantised(kind, type, (1, 4, 4, 3), low))


def quantised(kind: str, type: str, shape: tuple[int, int, int, int], low: int) -> Graph:
    """One operator on bytes of several grids, the least element of which is `low`."""
    _, height, width, depth = shape
    a, b = byte(shape, type, 0.05, low + 120), byte(shape, type, 0.03, low + 90)
    out, inputs, options = byte(shape, type, 0.06, low + 100), [a], 0
    given: dict[str, Any] = {}
    if kind in BINARY:
        inputs, options = [a, b], BINARY[kind]
    elif kind in ("LOGISTIC", "SOFTMAX"):
        out = byte(a.shape, type, 1 / 256, low)
        given, options = ({"beta": 1.0}, 9) if kind == "SOFTMAX" else ({}, 0)
    elif kind == "TANH":
        out = byte(a.shape, type, 1 / 128, low + 128)
    elif kind == "AVERAGE_POOL_2D":
        out, options = byte((1, height // 2, width // 2, depth), type, 0.05, low + 120), 5
        given = {"padding": 0, "stride_w": 2, "stride_h": 2, "filter_width": 2, "filter_height": 2}
    elif kind == "MEAN":
        inputs, out = [a, constant(i32([1, 2]))], byte((1, depth), type, 0.02, low + 80)
        options, given = 27, {"keep_dims": False}
    elif kind == "MAXIMUM":
        inputs, out = [a, a], a
    elif kind == "PAD":
        pads = constant(i32([[0, 0], [1, 0], [0, 1], [0, 0]]))
        out = byte((1, height + 1, width + 1, depth), type, 0.05, low + 120)
        inputs = [a, pads]
    elif kind == "RESIZE_BILINEAR":
        inputs, options = [a, constant(i32([7, 6]))], 15
        out, given = byte((1, 7, 6, depth), type, 0.05, low + 120), {"half_pixel_centers": True}
    elif kind == "LEAKY_RELU":
        options, given = 75, {"alpha": 0.1}
    return single(kind, inputs, [out], options, **given)


EXACT = ("ADD SUB MUL LOGISTIC TANH HARD_SWISH SOFTMAX AVERAGE_POOL_2D MEAN MAXIMUM PAD RELU6 "
         "LEAKY_RELU QUANTIZE").split()  # fmt: skip


@pytest.mark.parametrize("type", ["int8", "uint8"])
@pytest.mark.parametrize("kind", EXACT)
def test_operators_are_equal_to_those_that_litert_takes(
    tmp_path: Path, kind: str, type: str
) -> None:
    low = -128 if type == "int8" else 0
    compare(tmp_path, quantised(kind, type, (1, 8, 9, 7), low), steps=0, kernels="xnnpack")


GRIDS = [(0.05, -8, 0.06, -28), (0.03, 5, 0.02, -60), (0.1, 0, 0.05, -100), (0.07, 11, 0.035, -70)]


@pytest.mark.parametrize("grids", GRIDS)
@pytest.mark.parametrize("kind", ["ELU", "PRELU", "one slope"])
def test_bent_lines_are_equal_to_those_of_litert(
    tmp_path: Path, kind: str, grids: tuple[float, int, float, int]
) -> None:
    shape = (1, 40, 40, 4)
    inputs = [byte(shape, "int8", grids[0], grids[1])]
    if kind != "ELU":
        slopes = np.array([[[40, -30, 100, 7]]], np.int8)
        slopes = slopes[..., :1] if kind == "one slope" else slopes
        inputs.append(constant(slopes, scale=0.01, zero=3))
    out = byte(shape, "int8", grids[2], grids[3])
    name = "PRELU" if kind == "one slope" else kind
    compare(tmp_path, single(name, inputs, [out]), steps=0, kernels="xnnpack")
    source = load_graph(tmp_path / "m.tflite")
    given = {source.inputs[0].name: RNG.integers(-128, 128, shape).astype(np.int32)}
    made = build(source.graph, tmp_path / "bundle").run(given)
    for key, wanted in evaluate(source.graph, given).items():
        np.testing.assert_array_equal(made[key], wanted)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_slopes_of_grids_that_are_far_apart(tmp_path: Path, scale: float) -> None:
    """Computed all the same, without whole numbers that overflow."""
    slopes = constant(np.array([[[40, -30]]], np.int8), scale=scale, zero=0)
    ends = [byte((1, 4, 4, 2), "int8", s, 0) for s in (0.05, 0.06)]
    (tmp_path / "m.tflite").write_bytes(write(single("PRELU", [ends[0], slopes], ends[1:])))
    graph = load_graph(tmp_path / "m.tflite").graph
    made = evaluate(graph, {graph.inputs[0].name: np.full((1, 4, 4, 2), 12, np.int32)})
    assert next(iter(made.values())).reshape(-1)[0] == 10


@pytest.mark.parametrize("type", ["int8", "uint8"])
@pytest.mark.parametrize("window", [(2, 2), (3, 2), (7, 5), (1, 4)])
@pytest.mark.parametrize("activation", [0, 1, 3])
def test_means_of_windows_round_halves_as_litert(
    tmp_path: Path, type: str, window: tuple[int, int], activation: int
) -> None:
    x = byte((1, 7, 9, 5), type, 0.03, 20)
    sizes = {"filter_height": window[0], "filter_width": window[1]}
    given = {"padding": 0, "stride_w": 1, "stride_h": 1, "activation": activation}
    graph = single("AVERAGE_POOL_2D", [x], [x], 5, **sizes, **given)
    compare(tmp_path, graph, steps=0, kernels="reference")


@pytest.mark.parametrize("kind", ["ADD", "SUB"])
@pytest.mark.parametrize("scales", [(0.5, 0.25, 0.5), (1.0, 1.0, 2.0), (0.03, 2.0, 0.9),
                                    (0.001, 3.0, 3.0)])  # fmt: skip
@pytest.mark.parametrize("activation", [0, 1, 3])
def test_sums_round_halves_as_litert(
    tmp_path: Path, kind: str, scales: tuple[float, float, float], activation: int
) -> None:
    """The last scales are too far apart for XNNPACK; then a sum may be one step away."""
    a, b, y = (byte((1, 16, 16, 4), "int8", s, z) for s, z in zip(scales, (5, -9, 3), strict=True))
    graph = single(kind, [a, b], [y], BINARY[kind], activation=activation)
    compare(tmp_path, graph, steps=float(scales[0] < 0.01), kernels="xnnpack")


def test_bytes_of_other_grids_are_joined_as_in_litert(tmp_path: Path) -> None:
    a, b = byte((1, 40, 9), "uint8", 0.02, 100), byte((1, 40, 8), "uint8", 0.07, 30)
    graph = single("CONCATENATION", [a, b], [byte((1, 40, 17), "uint8", 0.06, 90)], 10, axis=2)
    compare(tmp_path, graph, steps=0)
    assert "in float32" not in load_graph(tmp_path / "m.tflite").warnings[0]


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("zero", [0, 3, 128, 255])
def test_weights_of_nine_bits(tmp_path: Path, zero: int, depthwise: bool) -> None:
    """uint8 weights less their zero point, exact in pieces, also once passes have seen them."""
    x, y = byte((1, 6, 6, 8), "uint8", 0.02, 9), byte((1, 6, 6, 8), "uint8", 0.9, 128)
    shape = (1, 3, 3, 8) if depthwise else (8, 3, 3, 8)
    stored = RNG.integers(0, 256, shape).astype(np.uint8)
    stored.flat[:2] = 0, 255
    w = constant(stored, scale=0.01, zero=zero)
    bias = constant(RNG.integers(-3000, 3000, 8).astype(np.int32), scale=0.02 * 0.01)
    given = {"padding": 0, "stride_w": 1, "stride_h": 1, "activation": 0}
    if depthwise:
        graph = single("DEPTHWISE_CONV_2D", [x, w, bias], [y], 2, depth_multiplier=1, **given)
    else:
        graph = single("CONV_2D", [x, w, bias], [y], 1, **given)
    compare(tmp_path, graph, steps=0, kernels="xnnpack")
    source = load_graph(tmp_path / "m.tflite")
    picture = {source.inputs[0].name: RNG.integers(0, 256, (1, 6, 6, 8)).astype(np.uint8)}
    (wanted,) = evaluate(source.graph, picture).values()
    (found,) = evaluate(optimize(source.graph), picture).values()
    np.testing.assert_array_equal(found, wanted)


def state(*shape: int) -> Tensor:
    return Tensor(shape, variable=True)


def sequence(
    kind: str, tensors: list[Tensor | None], out: Tensor, options: int, **given: Any
) -> Graph:
    """One operator of which some inputs are left out."""
    there = [t for t in tensors if t is not None]
    numbers = iter(range(len(there)))
    inputs = [-1 if t is None else next(numbers) for t in tensors]
    op = Op(kind, inputs, [len(there)], options, given)
    return Graph([*there, out], [0], [len(there)], [op])


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("projected", [False, True])
def test_lstm(tmp_path: Path, coupled: bool, projected: bool) -> None:
    n, cells = 3, 4
    out = 2 if projected else cells
    w, r = [weights(cells, n) for _ in range(4)], [weights(cells, out) for _ in range(4)]
    b: list[Tensor | None] = [weights(cells) for _ in range(4)]
    gates: list[Tensor | None] = [*w, *r]
    if coupled:
        gates[0] = gates[4] = b[0] = None
    projection = weights(out, cells) if projected else None
    tensors = [F((2, 5, n)), *gates, None, None, None, *b, projection, None, state(2, out)]
    graph = sequence("UNIDIRECTIONAL_SEQUENCE_LSTM", [*tensors, state(2, cells)], F((2, 5, out)),
                     71, activation=4, cell_clip=0.7, time_major=False)  # fmt: skip
    compare(tmp_path, graph)


@pytest.mark.parametrize("major", [False, True])
def test_recurrent_layers(tmp_path: Path, major: bool) -> None:
    tensors = [F((5, 2, 3) if major else (2, 5, 3)), weights(4, 3), weights(4, 4), weights(4)]
    out = F((5, 2, 4) if major else (2, 5, 4))
    graph = sequence("UNIDIRECTIONAL_SEQUENCE_RNN", [*tensors, state(2, 4)], out, 31,
                     activation=4, time_major=major)  # fmt: skip
    compare(tmp_path, graph)


def test_single_steps(tmp_path: Path) -> None:
    tensors = [F((2, 3)), weights(4, 3), weights(4, 4), weights(4), state(2, 4)]
    compare(tmp_path, sequence("RNN", [*tensors], F((2, 4)), 7, activation=1))
    tensors = [F((2, 3)), weights(8, 3), weights(8, 5), weights(4), state(2, 40)]
    compare(tmp_path, sequence("SVDF", [*tensors], F((2, 4)), 6, rank=2, activation=0))


MORE: dict[str, Graph] = {
    "conv 3d": single("CONV_3D", [F((1, 4, 5, 5, 2)), weights(2, 3, 3, 2, 3), weights(3)],
                      [F((1, 4, 5, 5, 3))], 106, padding=0, stride_d=1, stride_w=1, stride_h=1),
    "embedding": single("EMBEDDING_LOOKUP", [Tensor((4,), "int32"), weights(5, 3)], [F((4, 3))]),
    "update": single("DYNAMIC_UPDATE_SLICE", [F((4, 5)), F((2, 2)), constant(i32([3, 1]))],
                     [F((4, 5))]),
    "bucketize": single("BUCKETIZE", [F((3, 4))], [Tensor((3, 4), "int32")], 115,
                        boundaries=[-0.5, 0.0, 0.3]),
}  # fmt: skip


@pytest.mark.parametrize("name", MORE)
def test_rarer_operators(tmp_path: Path, name: str) -> None:
    compare(tmp_path, MORE[name])


X = F((2, 3))
STABLE: dict[str, tuple[list[Tensor], Tensor, int, dict[str, Any]]] = {
    "STABLEHLO_ADD": ([X, X], X, 0, {}),
    "STABLEHLO_MAXIMUM": ([X, X], X, 0, {}),
    "STABLEHLO_RESHAPE": ([X], F((3, 2)), 0, {}),
    "STABLEHLO_CONCATENATE": ([X, X], F((2, 6)), 1, {"dimension": 1}),
    "STABLEHLO_BROADCAST_IN_DIM": ([F((3,))], X, 2, {"broadcast_dimensions": [1]}),
    "STABLEHLO_SLICE": ([X], F((1, 2)), 3,
                        {"start_indices": [0, 1], "limit_indices": [1, 3], "strides": [1, 1]}),
    "STABLEHLO_TRANSPOSE": ([X], F((3, 2)), 17, {"permutation": [1, 0]}),
    "STABLEHLO_COMPARE": ([X, X], Tensor((2, 3), "bool"), 8, {"comparison_direction": 5}),
}  # fmt: skip


@pytest.mark.parametrize("kind", STABLE)
def test_stablehlo_has_numpys_meaning(tmp_path: Path, kind: str) -> None:
    """LiteRT runs few of these itself, so NumPy is what they are compared with."""
    inputs, out, options, given = STABLE[kind]
    graph = single(kind, inputs, [out], options, **given)
    graph.ops[0].second = True
    path = tmp_path / "m.tflite"
    path.write_bytes(write(graph))
    source = load_graph(path)
    arrays = [RNG.normal(size=t.shape).astype(np.float32) for t in inputs]
    ports = [p.name for p in source.inputs]
    (found,) = evaluate(source.graph, dict(zip(ports, arrays, strict=True))).values()
    a, b = arrays[0], arrays[-1]
    wanted = {
        "STABLEHLO_ADD": lambda: a + b,
        "STABLEHLO_MAXIMUM": lambda: np.maximum(a, b),
        "STABLEHLO_RESHAPE": lambda: a.reshape(3, 2),
        "STABLEHLO_CONCATENATE": lambda: np.concatenate([a, b], 1),
        "STABLEHLO_BROADCAST_IN_DIM": lambda: np.broadcast_to(a, (2, 3)),
        "STABLEHLO_SLICE": lambda: a[0:1, 1:3],
        "STABLEHLO_TRANSPOSE": lambda: a.T,
        "STABLEHLO_COMPARE": lambda: a < b,
    }[kind]()
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def scalar_bool() -> Tensor:
    return Tensor((), "bool")


def test_if(tmp_path: Path) -> None:
    main = Graph([F((3,)), F((3,)), constant(np.float32(0)), F(()), scalar_bool(), F((3,)),
                  constant(i32([0]))], [0, 1], [5],
                 [Op("SUM", [0, 6], [3], 27),
                  Op("GREATER", [3, 2], [4]),
                  Op("IF", [4, 0, 1], [5], 92, {"then_subgraph_index": 1,
                                                "else_subgraph_index": 2})])  # fmt: skip
    branches = [
        Graph([F((3,)), F((3,)), F((3,))], [0, 1], [2], [Op(kind, [0, 1], [2], BINARY[kind])])
        for kind in ("ADD", "MUL")
    ]
    for _ in range(4):
        compare(tmp_path, main, *branches)


def test_while(tmp_path: Path) -> None:
    whole = Tensor((), "int32")
    main = Graph([whole, F((3,)), whole, F((3,))], [0, 1], [2, 3],
                 [Op("WHILE", [0, 1], [2, 3], 93, {"cond_subgraph_index": 1,
                                                   "body_subgraph_index": 2})])  # fmt: skip
    condition = Graph([whole, F((3,)), constant(i32(7)), scalar_bool()], [0, 1], [3],
                      [Op("LESS", [0, 2], [3])])  # fmt: skip
    body = Graph([whole, F((3,)), constant(i32(2)), whole, F((3,))], [0, 1], [3, 4],
                 [Op("ADD", [0, 2], [3], 11), Op("MUL", [1, 1], [4], 21)])  # fmt: skip
    compare(tmp_path, main, condition, body)


def test_variables(tmp_path: Path) -> None:
    handle = Tensor((), "resource")
    named = {"shared_name": "v", "container": ""}
    main = Graph([F((3,)), handle, F((3,)), F((3,))], [0], [3],
                 [Op("CALL_ONCE", [], [], 103, {"init_subgraph_index": 1}),
                  Op("VAR_HANDLE", [], [1], 111, named),
                  Op("READ_VARIABLE", [1], [2], 112),
                  Op("ADD", [0, 2], [3], 11)])  # fmt: skip
    start = Graph([handle, constant(np.float32([1, 2, 3]))], [], [],
                  [Op("VAR_HANDLE", [], [0], 111, named),
                   Op("ASSIGN_VARIABLE", [0, 1], [], 113)])  # fmt: skip
    compare(tmp_path, main, start)


def test_half_precision_weights(tmp_path: Path) -> None:
    half = constant(RNG.normal(size=(4, 3)).astype(np.float16))
    ops = [Op("DEQUANTIZE", [1], [2]), Op("FULLY_CONNECTED", [0, 2, -1], [3], 8)]
    compare(tmp_path, Graph([F((2, 3)), half, F((4, 3)), F((2, 4))], [0], [3], ops))
    assert load_graph(tmp_path / "m.tflite").warnings == ()


def test_dynamic_range_weights_are_reported(tmp_path: Path) -> None:
    """LiteRT rounds the input to 8 bits too: close, not equal."""
    w = constant(RNG.integers(-127, 128, (4, 16)).astype(np.int8), scale=0.01, zero=0)
    graph = single("FULLY_CONNECTED", [F((2, 16)), w], [F((2, 4))], 8)
    data = write(graph)
    (tmp_path / "m.tflite").write_bytes(data)
    source = load_graph(tmp_path / "m.tflite")
    assert any("dynamic range" in warning for warning in source.warnings)
    x = RNG.uniform(-1, 1, (2, 16)).astype(np.float32)
    (found,) = evaluate(source.graph, {source.inputs[0].name: x}).values()
    assert w.data is not None
    np.testing.assert_allclose(found, x @ (w.data.T * np.float32(0.01)), atol=1e-5)
    interpreter = litert.interpreter(data, kernels="optimised")
    interpreter.set_tensor(0, x)
    interpreter.invoke()
    np.testing.assert_allclose(found, interpreter.get_tensor(2), atol=0.05)


def test_int16_activations(tmp_path: Path) -> None:
    a, b = Tensor((2, 3), "int16", None, 0.001, 0), Tensor((2, 3), "int16", None, 0.001, 0)
    out = Tensor((2, 3), "int16", None, 0.004, 0)
    ops = [Op("ADD", [0, 1], [2], 11), Op("DEQUANTIZE", [2], [3])]
    path = tmp_path / "m.tflite"
    path.write_bytes(write(Graph([a, b, out, F((2, 3))], [0, 1], [2, 3], ops)))
    source = load_graph(path)
    x = np.int32([[100, -200, 301], [32767, 5, 0]])
    found = evaluate(source.graph, {p.name: x for p in source.inputs})
    whole, real = (found[p.name] for p in source.outputs)
    wanted = np.rint(2 * x * 0.001 / 0.004)
    np.testing.assert_array_equal(whole, wanted)
    np.testing.assert_allclose(real, wanted * 0.004, atol=1e-4)


def test_spectrum(tmp_path: Path) -> None:
    """A row is transformed as tf.signal.rfft is converted."""
    pair = Tensor((3, 1, 5), "complex64")
    tensors = [F((3, 1, 8)), constant(i32([1, 8])), pair, constant(i32([3, 5])),
               Tensor((3, 5), "complex64"), F((3, 5))]  # fmt: skip
    ops = [Op("RFFT2D", [0, 1], [2]), Op("RESHAPE", [2, 3], [4]), Op("COMPLEX_ABS", [4], [5])]
    compare(tmp_path, Graph(tensors, [0], [5], ops))


def test_non_max_suppression(tmp_path: Path) -> None:
    boxes = np.float32([[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, 2, 1, 3], [0, 5, 1, 6]])
    inputs = [constant(boxes), F((4,)), constant(i32(3)), constant(np.float32(0.5)),
              constant(np.float32(-2.0))]  # fmt: skip
    outputs = [Tensor((3,), "int32"), Tensor((), "int32")]
    compare(tmp_path, single("NON_MAX_SUPPRESSION_V4", inputs, outputs))


SIZES = [((5, 7), (9, 11)), ((16, 12), (7, 5)), ((8, 8), (16, 16)), ((9, 17), (33, 65)),
         ((4, 3), (1, 1)), ((1, 1), (3, 2))]  # fmt: skip


@pytest.mark.parametrize("flags", [{}, {"align_corners": True}, {"half_pixel_centers": True}])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("type", ["int8", "uint8"])
def test_bytes_between_pixels_are_equal_to_those_that_litert_takes(
    tmp_path: Path, type: str, sizes: Any, flags: dict[str, bool]
) -> None:
    """By any ratio: weights are those of XNNPACK."""
    low = -128 if type == "int8" else 0
    x, y = (byte((1, *size, 3), type, 0.05, low + 120) for size in sizes)
    graph = single("RESIZE_BILINEAR", [x, constant(i32(sizes[1]))], [y], 15, **flags)
    compare(tmp_path, graph, steps=0, kernels="xnnpack")

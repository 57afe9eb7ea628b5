"""Importers of operators that are TensorFlow's under another name: the same inputs and meaning."""

from __future__ import annotations

from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor
from fanlight.formats.tfgraph import call as tf
from fanlight.formats.tflite.call import HANDLERS, Call, Handler, graph_dtype, importer

# Operator -> TensorFlow op; the same inputs, no options that matter
_SAME = {
    "ABS": "Abs", "NEG": "Neg", "EXP": "Exp", "LOG": "Log", "SQRT": "Sqrt", "RSQRT": "Rsqrt",
    "SQUARE": "Square", "FLOOR": "Floor", "CEIL": "Ceil", "ROUND": "Round", "SIN": "Sin",
    "COS": "Cos", "TANH": "Tanh", "LOGISTIC": "Sigmoid", "RELU": "Relu", "RELU6": "Relu6",
    "ELU": "Elu", "SIGN": "Sign", "LOGICAL_NOT": "LogicalNot", "ZEROS_LIKE": "ZerosLike",
    "MAXIMUM": "Maximum", "MINIMUM": "Minimum", "FLOOR_DIV": "FloorDiv", "FLOOR_MOD": "FloorMod",
    "SQUARED_DIFFERENCE": "SquaredDifference", "EQUAL": "Equal", "NOT_EQUAL": "NotEqual",
    "LESS": "Less", "LESS_EQUAL": "LessEqual", "GREATER": "Greater",
    "GREATER_EQUAL": "GreaterEqual", "LOGICAL_AND": "LogicalAnd", "LOGICAL_OR": "LogicalOr",
    "POW": "Pow", "ATAN2": "Atan2", "ADD_N": "AddN", "SELECT": "Select", "SELECT_V2": "SelectV2",
    "ARG_MAX": "ArgMax", "ARG_MIN": "ArgMin", "TOPK_V2": "TopKV2", "SHAPE": "Shape",
    "RANK": "Rank", "EXPAND_DIMS": "ExpandDims", "FILL": "Fill", "RANGE": "Range",
    "SPARSE_TO_DENSE": "SparseToDense", "SLICE": "Slice", "TRANSPOSE": "Transpose",
    "TILE": "Tile", "BROADCAST_TO": "BroadcastTo", "REVERSE_V2": "ReverseV2",
    "SPLIT_V": "SplitV", "SPACE_TO_BATCH_ND": "SpaceToBatchND",
    "BATCH_TO_SPACE_ND": "BatchToSpaceND", "GATHER_ND": "GatherNd", "SCATTER_ND": "ScatterNd",
    "WHERE": "Where", "UNIQUE": "Unique", "BROADCAST_ARGS": "BroadcastArgs",
    "BITWISE_XOR": "BitwiseXor", "RIGHT_SHIFT": "RightShift",
    "UNSORTED_SEGMENT_SUM": "UnsortedSegmentSum", "UNSORTED_SEGMENT_PROD": "UnsortedSegmentProd",
    "UNSORTED_SEGMENT_MAX": "UnsortedSegmentMax", "UNSORTED_SEGMENT_MIN": "UnsortedSegmentMin",
    "STABLEHLO_LOGISTIC": "Sigmoid", "STABLEHLO_ADD": "Add", "STABLEHLO_DIVIDE": "RealDiv",
    "STABLEHLO_MULTIPLY": "Mul", "STABLEHLO_MAXIMUM": "Maximum", "STABLEHLO_ABS": "Abs",
    "STABLEHLO_AND": "LogicalAnd", "STABLEHLO_COSINE": "Cos", "STABLEHLO_EXPONENTIAL": "Exp",
    "STABLEHLO_FLOOR": "Floor", "STABLEHLO_LOG": "Log", "STABLEHLO_MINIMUM": "Minimum",
    "STABLEHLO_NEGATE": "Neg", "STABLEHLO_OR": "LogicalOr", "STABLEHLO_POWER": "Pow",
    "STABLEHLO_RSQRT": "Rsqrt", "STABLEHLO_SELECT": "SelectV2", "STABLEHLO_SUBTRACT": "Sub",
    "STABLEHLO_TANH": "Tanh", "COMPLEX_ABS": "ComplexAbs", "REAL": "Real", "IMAG": "Imag",
}  # fmt: skip
# Operator -> TensorFlow op, and option -> TensorFlow's attribute
_RENAMED: dict[str, tuple[str, dict[str, str]]] = {
    "MEAN": ("Mean", {"keep_dims": "keep_dims"}),
    "SUM": ("Sum", {"keep_dims": "keep_dims"}),
    "REDUCE_PROD": ("Prod", {"keep_dims": "keep_dims"}),
    "REDUCE_MAX": ("Max", {"keep_dims": "keep_dims"}),
    "REDUCE_MIN": ("Min", {"keep_dims": "keep_dims"}),
    "REDUCE_ANY": ("Any", {"keep_dims": "keep_dims"}),
    "REDUCE_ALL": ("All", {"keep_dims": "keep_dims"}),
    "SPACE_TO_DEPTH": ("SpaceToDepth", {"block_size": "block_size"}),
    "DEPTH_TO_SPACE": ("DepthToSpace", {"block_size": "block_size"}),
    "PACK": ("Pack", {"axis": "axis"}),
    "UNPACK": ("Unpack", {"axis": "axis", "num": "num"}),
    "SPLIT": ("Split", {"num_splits": "num_split"}),
    "ONE_HOT": ("OneHot", {"axis": "axis"}),
    "CUMSUM": ("Cumsum", {"exclusive": "exclusive", "reverse": "reverse"}),
    "BATCH_MATMUL": ("BatchMatMulV2", {"adj_x": "adj_x", "adj_y": "adj_y"}),
    "LEAKY_RELU": ("LeakyRelu", {"alpha": "alpha"}),
    "REVERSE_SEQUENCE": ("ReverseSequence", {"seq_dim": "seq_dim", "batch_dim": "batch_dim"}),
}


def _same(op: str) -> Handler:
    return lambda call: call.tf(op, *call.inputs)


def _renamed(op: str, names: dict[str, str]) -> Handler:
    def run(call: Call) -> Any:
        given = {new: call.options[old] for old, new in names.items() if old in call.options}
        return call.tf(op, *call.inputs, **given)

    return run


for _kind, _op in _SAME.items():
    assert _op in tf.HANDLERS, _op
    HANDLERS[_kind] = _same(_op)
for _kind, (_op, _names) in _RENAMED.items():
    HANDLERS[_kind] = _renamed(_op, _names)


@importer("ADD", "SUB", "MUL", "DIV")
def arithmetic(call: Call) -> Tensor:
    op = {"DIV": "div"}.get(call.operator.kind, call.operator.kind.lower())
    return call.activated(call.op(op, call.x(0), call.x(1)))


@importer("RESHAPE")
def reshape(call: Call) -> Any:
    """The new shape is an input, or in old files an option."""
    shape: Any = np.asarray(call.options.get("new_shape", ()), np.int32)
    shape = call.x(1) if call.has(1) else shape
    x: Any = call.x(0)
    if isinstance(x, tf.Pair):
        return tf.Pair(*(call.tf("Reshape", part, shape) for part in (x.real, x.imag)))
    return call.tf("Reshape", x, shape)


@importer("SQUEEZE")
def squeeze(call: Call) -> Any:
    dims, x = call.options.get("squeeze_dims", ()), call.inputs[0] if call.has(0) else call.x(0)
    if isinstance(x, tf.Pair):
        parts = (call.tf("Squeeze", part, squeeze_dims=dims) for part in (x.real, x.imag))
        return tf.Pair(*parts)
    return call.tf("Squeeze", x, squeeze_dims=dims)


@importer("CONCATENATION")
def concatenation(call: Call) -> Tensor:
    axis = np.int32(call.whole_option("axis"))
    return call.activated(call.tf("ConcatV2", *call.inputs, np.asarray(axis)))


@importer("PAD", "PADV2")
def pad(call: Call) -> Any:
    return call.tf(
        "PadV2" if call.has(2) else "Pad", *(call.x(i) for i in range(3 if call.has(2) else 2))
    )


@importer("MIRROR_PAD")
def mirror_pad(call: Call) -> Any:
    mode = "SYMMETRIC" if call.whole_option("mode") else "REFLECT"
    return call.tf("MirrorPad", call.x(0), call.x(1), mode=mode)


@importer("STRIDED_SLICE")
def strided_slice(call: Call) -> Any:
    if call.options.get("offset"):
        raise call.refuse("ends that are sizes", expected="ends that are places")
    masks = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    given = {name: call.whole_option(name) for name in masks}
    return call.tf("StridedSlice", *call.inputs, **given)


@importer("GATHER")
def gather(call: Call) -> Any:
    axis, batch = call.whole_option("axis"), call.whole_option("batch_dims")
    x, rank = call.x(0), len(call.x(1).shape)
    if not batch:
        return call.tf("GatherV2", x, call.x(1), np.asarray(axis, np.int32))
    batch += rank if batch < 0 else 0
    axis += len(x.shape) if axis < 0 else 0
    shape = tuple(int(d) for d in call.x(1).shape)
    if not 0 < batch <= rank or axis != batch or tuple(x.shape[:batch]) != shape[:batch]:
        raise call.refuse(
            "batch_dims of this form",
            expected="an axis right after dims that both inputs have",
            received=f"axis {axis}, batch_dims {batch}",
        )
    # Each index together with the numbers of the batch that it belongs to
    own = np.indices(shape, np.int32)[:batch]
    grid = np.ascontiguousarray(np.moveaxis(own, 0, -1))
    wanted = call.em.cast(call.x(1), "int32", f"{call.node.name}/indices")
    last = call.em.reshape(wanted, (*shape, 1), f"{call.node.name}/column")
    places = call.op("concat", grid, last, part="places", axis=rank)
    return call.op("gather_nd", x, places)


@importer("CAST", "STABLEHLO_CONVERT")
def cast(call: Call) -> Tensor:
    return call.em.cast(call.x(0), graph_dtype(call.results[0]), call.node.name)


@importer("QUANTIZE", "DEQUANTIZE", "FAKE_QUANT", "DENSIFY")
def identity(call: Call) -> Tensor:
    """What the numbers stand for stays; the grid of the result is put on afterwards."""
    return call.x(0)


@importer("PRELU")
def prelu(call: Call) -> Tensor:
    return call.op("prelu", call.x(0), call.x(1))


@importer("HARD_SWISH")
def hard_swish(call: Call) -> Tensor:
    return call.op("hard_swish", call.x(0))


@importer("GELU")
def gelu(call: Call) -> Tensor:
    approximate = bool(call.options.get("approximate"))
    return call.op("gelu", call.x(0), approximate=approximate)


@importer("RELU_N1_TO_1", "RELU_0_TO_1")
def clipped(call: Call) -> Tensor:
    low = -1.0 if call.operator.kind == "RELU_N1_TO_1" else 0.0
    return call.op("clip", call.x(0), lo=low, hi=1.0)

"""Writes docs/graph_ops.md: TensorFlow.js's 248 graph ops, and how each is read.

Run: python tools/gen_graph_ops.py
"""

from __future__ import annotations

from pathlib import Path

from fanlight.formats.tfgraph import reader
from fanlight.formats.tfgraph.call import HANDLERS

PAGE = Path(__file__).parent.parent / "docs" / "graph_ops.md"

_ARRAYS = " ".join(
    f"TensorArray{verb}V3" for verb in "Write Read Gather Scatter Concat Split Size Close".split()
)
# The ops of TensorFlow.js 4.22's converter by its categories.
OPS: dict[str, list[str]] = {
    kind: names.split()
    for kind, names in {
        "arithmetic": "Add AddV2 AddN BiasAdd Sub RealDiv Div DivNoNan FloorDiv Mul Maximum "
        "Minimum Pow SquaredDifference Mod FloorMod",
        "basic_math": "Abs Acos Asin Atan Atan2 Ceil ClipByValue Complex ComplexAbs Cos Cosh Elu "
        "Exp Floor Log Imag Neg Real Prelu Relu Relu6 Selu Sigmoid Sin Sinh Sqrt Rsqrt Square Tan "
        "Tanh Sign Round Expm1 Log1p Reciprocal Softplus Asinh Acosh Atanh Erf LeakyRelu IsNan "
        "IsFinite IsInf",
        "control": "EmptyTensorList LoopCond Switch Merge Enter Exit NextIteration TensorArrayV3 "
        f"{_ARRAYS} StatelessIf If StatelessWhile While TensorListScatter TensorListScatterV2 "
        "TensorListGather TensorListGetItem TensorListSetItem TensorListReserve "
        "TensorListFromTensor TensorListStack TensorListSplit TensorListConcat TensorListConcatV2 "
        "TensorListPopBack TensorListPushBack TensorListLength TensorListResize",
        "convolution": "AvgPool MaxPool MaxPoolWithArgmax AvgPool3D MaxPool3D Conv1D Conv2D "
        "_FusedConv2D Conv2DBackpropInput DepthwiseConv2d DepthwiseConv2dNative "
        "FusedDepthwiseConv2dNative Conv3D Dilation2D",
        "creation": "Fill LinSpace OneHot Ones OnesLike RandomStandardNormal RandomUniform "
        "RandomUniformInt Range TruncatedNormal Zeros ZerosLike Multinomial",
        "dynamic": "NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4 "
        "NonMaxSuppressionV5 Where ListDiff",
        "evaluation": "LowerBound TopKV2 UpperBound Unique UniqueV2",
        "graph": "PlaceholderWithDefault Placeholder Const Identity IdentityN Snapshot Rank Size "
        "Shape ShapeN Print NoOp StopGradient FakeQuantWithMinMaxVars",
        "hash_table": "HashTable HashTableV2 LookupTableImport LookupTableImportV2 "
        "LookupTableFind LookupTableFindV2 LookupTableSize LookupTableSizeV2 InitializeTable "
        "InitializeTableV2",
        "image": "ResizeBilinear ResizeNearestNeighbor CropAndResize ImageProjectiveTransformV3",
        "logical": "Equal NotEqual Greater GreaterEqual Less LessEqual LogicalAnd LogicalNot "
        "LogicalOr Select SelectV2 BitwiseAnd",
        "matrices": "_FusedMatMul MatMul BatchMatMul BatchMatMulV2 Transpose Einsum MatrixBandPart",
        "normalization": "EuclideanNorm FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 LRN "
        "Softmax LogSoftmax",
        "ragged": "RaggedGather RaggedRange RaggedTensorToTensor",
        "reduction": "Bincount DenseBincount Max Mean Min Sum All Any ArgMax ArgMin Prod Cumprod "
        "Cumsum",
        "slice_join": "ConcatV2 Concat GatherV2 Gather Reverse ReverseV2 Slice StridedSlice Pack "
        "Unpack Tile Split SplitV ScatterNd GatherNd SparseToDense TensorScatterUpdate",
        "sparse": "SparseFillEmptyRows SparseReshape SparseSegmentMean SparseSegmentSum",
        "spectral": "FFT IFFT RFFT IRFFT",
        "string": "StaticRegexReplace StringNGrams StringSplit StringToHashBucketFast",
        "tfdf": "SimpleMLCreateModelResource SimpleMLLoadModelFromPathWithHandle "
        "SimpleMLInferenceOpWithHandle",
        "transformation": "Cast ExpandDims MirrorPad Pad PadV2 Reshape EnsureShape Squeeze "
        "SpaceToBatchND BatchToSpaceND DepthToSpace BroadcastTo BroadcastArgs",
    }.items()
}

_CONTROL = "loops and branches are lowered elsewhere"
_FOREST = "the trees are in a file of another format that TensorFlow.js runs with a library"
# What is not read, and why.
REASONS: dict[str, str] = {
    **dict.fromkeys(OPS["control"], _CONTROL),
    **dict.fromkeys(OPS["tfdf"], _FOREST),
}


def handled(op: str) -> bool:
    """Whether the reader of graph-models takes an op."""
    return op in HANDLERS or op in reader.OWN


def page() -> str:
    """The page as it should be."""
    count = sum(map(len, OPS.values()))
    read = sum(handled(op) for ops in OPS.values() for op in ops)
    lines = [
        "<!-- Written by tools/gen_graph_ops.py. -->",
        "# Ops of graph-models",
        "",
        f"TensorFlow.js's converter knows {count} ops; Fanlight reads {read} of them. What makes a "
        "result as long as its numbers want (boxes that are kept, places of what is true) is a "
        "tensor of the greatest size and a count. Strings, and tables of them, are no part of a "
        "compiled graph: Python works them out, in front of it (texts that become numbers) and "
        "behind it (labels of numbers).",
        "",
        "| category | read | not read |",
        "|---|---|---|",
    ]
    for kind, ops in OPS.items():
        left = [f"`{op}`: {REASONS.get(op, '')}" for op in ops if not handled(op)]
        lines.append(
            f"| {kind} | {' '.join(f'`{op}`' for op in ops if handled(op))} | {'; '.join(left)} |"
        )
    known = {op for ops in OPS.values() for op in ops}
    more = sorted(op for op in HANDLERS if op not in known)
    lines += ["", "Besides: " + ", ".join(f"`{op}`" for op in more) + ".", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())

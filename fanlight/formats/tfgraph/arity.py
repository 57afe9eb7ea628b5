"""How many inputs ops of TensorFlow have, so that what looks at nodes need not ask every time."""

from __future__ import annotations

from fanlight.errors import FanlightError
from fanlight.formats.tfgraph.nodes import GraphNode

# The least; 1 for an op that is not listed. Inputs that converters leave out do not count.
_INPUTS = {
    2: """
        Add AddV2 Sub Mul RealDiv Div DivNoNan Maximum Minimum FloorDiv FloorMod Mod Pow
        SquaredDifference Equal NotEqual Less LessEqual Greater GreaterEqual LogicalAnd LogicalOr
        BroadcastArgs BiasAdd Prelu Reshape ExpandDims Transpose ArgMax ArgMin ConcatV2 Split
        GatherV2 GatherNd TopKV2 Tile Fill BroadcastTo Pad PadV2 MirrorPad Conv2D _FusedConv2D
        DepthwiseConv2dNative FusedDepthwiseConv2dNative MatMul _FusedMatMul ResizeBilinear
        ResizeNearestNeighbor ReverseV2 SparseToDense SpaceToBatchND BatchToSpaceND
        TensorListFromTensor TensorListStack TensorListGetItem TensorListReserve
        """,
    3: "Select SelectV2 SplitV Slice StridedSlice Range Conv2DBackpropInput TensorListSetItem",
}
_LEAST = {op: count for count, ops in _INPUTS.items() for op in ops.split()}
_MOST = {"Range": 3, "LinSpace": 3, "StridedSlice": 4}


def enough_inputs(node: GraphNode) -> bool:
    """Whether a node has the inputs that its op takes at least."""
    return len(node.inputs) >= _LEAST.get(node.op, 1)


def check_inputs(node: GraphNode) -> None:
    """E-FORMAT-005 if a node has fewer inputs than its op takes, or more."""
    least = _LEAST.get(node.op, 0)
    count, most = len(node.inputs), _MOST.get(node.op)
    if count < least or (most is not None and count > most):
        raise FanlightError(
            "E-FORMAT-005",
            f"{node.op} has too {'few' if count < least else 'many'} inputs.",
            where=f"{node.where} ({node.op})",
            expected=f"at least {least}" if count < least else f"at most {most}",
            received=count,
        )

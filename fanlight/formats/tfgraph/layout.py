"""Which way round pictures lie: what the ops next to a Transpose tell of its order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fanlight.formats.tfgraph.nodes import GraphNode, Ref

Users = Mapping[str, Sequence[tuple[GraphNode, int]]]  # of each node, and by which of their inputs

ELEMENTWISE = frozenset(
    "Add AddV2 AddN Sub Mul RealDiv Maximum Minimum SquaredDifference BiasAdd Select".split()
)
# One number in, one out, at the same place.
THROUGH = frozenset("Identity Relu Relu6 Cast Snapshot StopGradient LeakyRelu Sigmoid".split())
_IMAGES = frozenset(
    "Conv2D _FusedConv2D DepthwiseConv2dNative FusedDepthwiseConv2dNative MaxPool AvgPool "
    "ResizeBilinear ResizeNearestNeighbor".split()
)
_FAR = 12


def reads_image(users: Users, node: GraphNode) -> bool:
    """Whether a convolution, pooling or resizing reads a result: its channels are last."""
    return any(i == 0 and user.op in _IMAGES for user, i in users.get(node.name, ()))


def of_image(nodes: Mapping[str, GraphNode], ref: Ref) -> bool:
    """Whether a tensor comes from an op of images, whose channels are last."""
    for _ in range(_FAR):
        node = nodes.get(ref.node)
        if node is None or not node.inputs:
            return False
        if node.op in _IMAGES:
            return True
        if node.op not in ELEMENTWISE and node.op not in THROUGH:
            return False
        ref = node.inputs[0]
    return False


def usual_order(
    nodes: Mapping[str, GraphNode], users: Users, node: GraphNode, rank: int
) -> list[int]:
    """The order of dims that a Transpose most likely has, by the ops around it.

    Pictures go to and from [batch, height, width, channels], which ops of images take; sequences
    to and from [steps, batch, width], which loops take. Else the two middle dims change places, of
    four dims or more, as heads of attention and groups of channels do, or the last two.
    """
    if rank == 4 and reads_image(users, node):
        return [0, 2, 3, 1]
    if rank == 4 and of_image(nodes, node.inputs[0]):
        return [0, 3, 1, 2]
    if rank == 3 and _of_steps(nodes, users, node):
        return [1, 0, 2]
    if rank in (4, 5):
        return [0, 2, 1, *range(3, rank)]
    return [*range(rank - 2), rank - 1, rank - 2] if rank > 1 else [*range(rank)]


def _of_steps(nodes: Mapping[str, GraphNode], users: Users, node: GraphNode) -> bool:
    maker = nodes.get(node.inputs[0].node)
    if maker is not None and maker.op == "TensorListStack":
        return True
    return any(n.op in ("TensorListFromTensor", "ReverseV2") for n, _ in users.get(node.name, ()))

"""Nodes of ONNX being made; of images, the layout that ONNX wants, turned only where it must be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.formats.bounds import Known
from fanlight.formats.onnx_writer import proto
from fanlight.formats.writing import within_a_byte
from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import use_counts
from fanlight.ops.types import Dim, TensorType

TO_NCHW, TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)
CONVOLUTIONS = ("conv2d", "depthwise_conv2d", "conv2d_transpose")


class Unsupported(Exception):
    """What ONNX has no op for; the text says what."""


class NodeWriter:
    """Makes the nodes of a graph in their order.

    A value of four dims may be there as [N, H, W, C], as [N, C, H, W], or both: it is turned when
    somebody asks for the other one, and only once.

    Attributes:
        nodes: NodeProtos so far.
        opset: the version of ONNX that they are of.
        constants: name -> array, of this graph and those inside.
        sums: convolution -> the node that adds its bias, which is written as its third input.
    """

    def __init__(
        self,
        emit: Callable[[NodeWriter, Node], None],
        outer: NodeWriter | None = None,
        opset: int = 18,
    ) -> None:
        self.opset: int = opset if outer is None else outer.opset
        self.nodes: list[proto.Pieces] = []
        self.constants: dict[str, np.ndarray] = {} if outer is None else outer.constants
        self.emit = emit
        self._names: set[str] = set() if outer is None else outer._names
        self._known: dict[Any, str] = {} if outer is None else outer._known
        self._plain: dict[Value, str] = {}
        self._turned: dict[Value, str] = {}
        self._weights: dict[Value, np.ndarray] = {}
        self._sizes: dict[Dim, str] = {}
        self._makers: dict[Value, Node] = {}
        self.known = Known(self._makers.get, self._weights.get)
        self.sums: dict[Node, Node] = {}

    def fresh(self, wanted: str) -> str:
        name, count = wanted, 1
        while name in self._names or not name:
            name, count = f"{wanted}_{count}", count + 1
        self._names.add(name)
        return name

    def add(self, op: str, inputs: Sequence[str], name: str, count: int = 1, **attrs: Any) -> Any:
        """A node; the name of its output, or of its outputs."""
        outputs = [self.fresh(name) for _ in range(count)]
        self.nodes.append(proto.node(op, inputs, outputs, outputs[0], attrs))
        return outputs[0] if count == 1 else outputs

    def const(self, array: Any, name: str) -> str:
        """An initializer; equal small ones are one."""
        array = np.asarray(array)
        key = (str(array.dtype), array.shape, array.tobytes()) if array.size <= 64 else None
        if key is not None and key in self._known:
            return self._known[key]
        made = self.fresh(name)
        self.constants[made] = array
        if key is not None:
            self._known[key] = made
        return made

    def integers(self, values: Sequence[int]) -> str:
        """An int64 vector, as ONNX has shapes and axes."""
        return self.const(np.asarray(values, "int64").reshape(len(values)), "sizes")

    def scalar(self, value: float, dtype: str = "float32") -> str:
        return self.const(np.asarray(value, dtype), "value")

    def shape(self, shape: Sequence[int | Dim], name: str) -> str:
        """An int64 vector with a shape that may hold symbols, read from the inputs at run time."""
        if all(isinstance(d, int) for d in shape):
            return self.integers([int(d) for d in shape if isinstance(d, int)])
        parts = [self.integers([d]) if isinstance(d, int) else self._size(d, name) for d in shape]
        made: str = self.add("Concat", parts, f"{name}/shape", axis=0)
        return made

    def _size(self, d: Dim, name: str) -> str:
        if d not in self._sizes:
            found = [
                (reference, axis)
                for value, reference in self._plain.items()
                for axis, other in enumerate(value.shape)
                if isinstance(other, Dim) and other.name == d.name and other.times == 1
            ]
            if not found:
                raise Unsupported(f"nothing has the size {d}")
            whole = self.add("Shape", [found[0][0]], f"{name}/sizes")
            size = self.add("Gather", [whole, self.integers([found[0][1]])], f"{name}/size", axis=0)
            if d.times != 1:
                size = self.add("Mul", [size, self.integers([d.times])], f"{name}/size")
            self._sizes[d] = size
        return self._sizes[d]

    # --- values

    def plain(self, v: Value) -> str:
        """A value in our own layout."""
        if v not in self._plain:
            if v in self._weights:
                self._plain[v] = self.const(self._weights[v], v.name)
            else:
                turned = self._turned[v]
                self._plain[v] = self.add("Transpose", [turned], v.name, perm=TO_NHWC)
        return self._plain[v]

    def turned(self, v: Value) -> str:
        """A value of four dims as [N, C, H, W]."""
        if v not in self._turned:
            if v in self._weights:
                self._turned[v] = self.const(self._weights[v].transpose(TO_NCHW), v.name)
            else:
                plain = self._plain[v]
                self._turned[v] = self.add("Transpose", [plain], f"{v.name}/nchw", perm=TO_NCHW)
        return self._turned[v]

    def is_turned(self, v: Value) -> bool:
        return v in self._turned and v not in self._plain

    def array(self, v: Value) -> np.ndarray | None:
        return self._weights.get(v)

    def clipped(self, v: Value) -> bool:
        """Whether a value is made to be of 0 to 255."""
        return within_a_byte(self._makers.get(v))

    def bind(self, v: Value, reference: str, turned: bool = False) -> None:
        (self._turned if turned else self._plain)[v] = reference

    def run(self, graph: Graph) -> list[str]:
        """Write a graph whose inputs are bound; references to its outputs."""
        self._weights = {**self._weights, **graph.weights}
        self._makers = graph.producers()
        self.known = Known(self._makers.get, self._weights.get)
        self.sums = sums(graph)
        inside = set(self.sums.values())
        for node in graph.nodes:
            if node not in inside:
                self.emit(self, node)
        return [self.plain(v) for _, v in graph.outputs]


def sums(graph: Graph) -> dict[Node, Node]:
    """Convolutions of which nothing reads the result but the sum with one number per channel."""
    uses, users = use_counts(graph), graph.users()
    found: dict[Node, Node] = {}
    for node in graph.nodes:
        if node.op not in CONVOLUTIONS or uses.get(node.output) != 1:
            continue
        channels = node.output.shape[-1]
        for add in users.get(node.output, []):
            others = [v for v in add.inputs if v is not node.output]
            if add.op != "add" or add.output.type != node.output.type or not others:
                continue
            array = graph.weights.get(others[0])
            if array is not None and array.size == channels == array.shape[-1]:
                found[node] = add
    return found


class Out:
    """One node of ours being written."""

    def __init__(self, writer: NodeWriter, node: Node) -> None:
        self.w = writer
        self.node = node
        self.name = node.name
        self.attrs: Mapping[str, Any] = node.attrs
        self.is_turned = False  # whether what is written has its image turned

    def since(self, opset: int, what: str) -> None:
        """Refuse what older versions of ONNX have not."""
        if self.w.opset < opset:
            raise Unsupported(f"{what} needs opset {opset}")

    def x(self, index: int = 0) -> str:
        return self.w.plain(self.node.inputs[index])

    def chw(self, index: int = 0) -> str:
        """An image as [N, C, H, W]; the result will be one, too."""
        self.is_turned = True
        return self.w.turned(self.node.inputs[index])

    def type(self, index: int = 0) -> TensorType:
        return self.node.inputs[index].type

    def array(self, index: int) -> np.ndarray | None:
        return self.w.array(self.node.inputs[index])

    @property
    def inputs(self) -> list[str]:
        return [self.w.plain(v) for v in self.node.inputs]

    def bias(self) -> list[str]:
        """The bias of a convolution, if the sum with it is written along."""
        add = self.w.sums.get(self.node)
        if add is None:
            return []
        (bias,) = (v for v in add.inputs if v is not self.node.output)
        array = self.w.array(bias)
        assert array is not None  # see `sums`
        return [self.w.const(array.reshape(-1), bias.name)]

    def op(self, op: str, *inputs: str | float, part: str = "", **attrs: Any) -> str:
        """A node of ONNX, where a number stands for a constant of float32."""
        given = [x if isinstance(x, str) else self.w.scalar(x) for x in inputs]
        name = f"{self.name}/{part}" if part else self.name
        made: str = self.w.add(op, given, name, **attrs)
        return made

"""Plausible whole numbers for topologies that came without their weights.

TensorFlow keeps axes, paddings and shapes as constants, and the converter moves them into the
weight files. Without these, the role of a constant tells most of it: what is summed over, how
much a convolution needs padded, which sizes a skip connection asks for. It is a best effort for
benchmarks and load tests, not the numbers that the model was made with.

`Guesser.constant` asks patterns of nodes first (`motif`), then the rules of the ops that use a
constant (`rule`); both ask `Guesser.expected` what is told of shapes (inference.py, tellers.py).
docs/architecture.md follows one constant through all of these.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.emitter import Tensor, check_size
from fanlight.formats.manifest import Spec
from fanlight.formats.random_weights import random_array
from fanlight.formats.tfgraph.arity import check_inputs
from fanlight.formats.tfgraph.inference import Shapes
from fanlight.formats.tfgraph.layout import ELEMENTWISE, THROUGH
from fanlight.formats.tfgraph.library import Function
from fanlight.formats.tfgraph.nodes import GraphNode, Ref
from fanlight.formats.tfgraph.recurrent import loop_shapes, stacked
from fanlight.formats.tfgraph.signature import Signature
from fanlight.formats.tfgraph.tellers import bins_of_sides
from fanlight.ops.types import TensorType

# What an op may be asked to guess: numbers of a vector, of which some may be open.
Wanted = list[int] | None
Rule = Callable[["Guesser", GraphNode, int, int], Wanted]
_RULES: dict[str, Rule] = {}
# Inputs that hold sizes or axes: they are imported after the others, which tell what they are.
_LAST = {"Conv2DBackpropInput": (0,), "Split": (0,), "Fill": (0,)}
ORDERS = ("Less", "LessEqual", "Greater", "GreaterEqual")
_COMPARES = frozenset(("Equal", "NotEqual", *ORDERS))
MANY = 256  # inputs of a node: of one with more not all are looked at
_WITHIN = 64  # rules that ask for each other
_DEPTH = 12  # how far a role is looked for
_LOOKS = 1 << 14  # how many users are looked at for one constant
_NUMBERS = 1 << 16  # of a known tensor: axes, sizes and places are fewer


def rule(*ops: str) -> Callable[[Rule], Rule]:
    """Register what the inputs of some ops want."""

    def register(function: Rule) -> Rule:
        _RULES.update(dict.fromkeys(ops, function))
        return function

    return register


class Guesser:
    """Guesses constants while a graph is imported.

    Args:
        nodes: those that the outputs need.
        specs: the constants, by name.
        results: what is imported already, by node; it grows.
        signature: tells the shapes of outputs.
        functions: those that nodes call.

    Raises:
        FanlightError: E-FORMAT-005 for nodes with fewer inputs than their ops take.
    """

    def __init__(
        self,
        nodes: Mapping[str, GraphNode],
        specs: Mapping[str, Spec],
        results: dict[str, list[Any]],
        signature: Signature,
        where: object,
        functions: Mapping[str, Function] | None = None,
    ) -> None:
        self.functions = functions or {}
        self.nodes, self.specs, self.results = nodes, specs, results
        self.where = where
        self.looks = 0
        self._within = 0
        self.inner: list[Mapping[str, Sequence[Tensor]]] = []  # results of functions being run
        self.notes: dict[object, Any] = {}  # what rules have found, each under a key of its own
        self._feeding: dict[tuple[str, Sequence[str]], bool] = {}
        for function in self.functions.values():
            for node in function.nodes.values():
                check_inputs(node)
        for node in nodes.values():
            check_inputs(node)
        self.declared = {e.ref.node: e.dims for e in signature.outputs if e.dims is not None}
        self.shapes = Shapes(nodes, self.known, self.partly)
        self.users = self.shapes.users
        self._seen = 0  # of results, which tell of the shapes of others
        for name, spec in specs.items():
            self.shapes.tell(Ref(name), spec.shape)
        for entry in signature.outputs:
            self.shapes.tell(entry.ref, entry.dims)
        for ref, dims in loop_shapes(nodes, self.functions, self.shape):
            self.shapes.tell(ref, dims)
        for stack, element in stacked(nodes, self.users, self.functions):
            self.shapes.stacks(stack, element)

    # --- what the import asks

    def order(self, node: GraphNode) -> list[Ref]:
        """The inputs of a node in the order in which they can be told."""
        late = _LAST.get(node.op, ())
        first: list[Ref] = []
        if node.op == "ConcatV2":
            # What is reshaped to be joined is known before any of the shapes is guessed.
            makers = [self.nodes[r.node] for r in node.inputs if r.node in self.nodes]
            first = [n.inputs[0] for n in makers if n.op == "Reshape" and n.inputs]
        data = [r for i, r in enumerate(node.inputs) if i not in late and not self.is_constant(r)]
        if node.op == "ConcatV2" or node.op in ELEMENTWISE:
            # What is resized for it takes the size of the others.
            data.sort(key=self.follows)
        if node.op in ("While", "StatelessWhile"):
            # Lists that are filled are as long as those that are read.
            data.sort(key=lambda r: self._op(r) == "TensorListReserve")
        if node.op == "Slice":
            data.reverse()  # what is cut out tells how large it has to be
        floats = [r for r in node.inputs if self.is_constant(r)]
        sizes = [node.inputs[i] for i in late if i < len(node.inputs)]
        return [*first, *data, *floats, *[r for r in sizes if r not in floats]]

    def constant(self, name: str) -> np.ndarray:
        """The array of the constant `name`.

        Raises:
            FanlightError: E-FORMAT-024 if nothing tells what its whole numbers are.
        """
        spec = self.specs[name]
        self.looks = 0
        if spec.dtype == "float32":
            return self._real(name, spec)
        check_size(TensorType(spec.shape, "int32"), name, 1 << 24)
        self._look()
        if spec.dtype not in ("int32", "bool", "uint8"):
            raise self._unknown(name, spec)
        told = self.told[name]() if name in self.told else None
        if told is not None and len(told) == spec.count:
            return np.asarray(told, spec.dtype).reshape(spec.shape)
        users = sorted(self.users.get(name, []), key=lambda u: _confidence(*u))
        for user, index in users:
            found = self.want(user, index, spec.count)
            if found is not None and len(found) == spec.count:
                return np.asarray(found, spec.dtype).reshape(spec.shape)
        # A number of a class, or what a whole tensor is compared with.
        numbers = _COMPARES if spec.count > 1 else ("Equal", "NotEqual", "Greater")
        compared = all(user.op in numbers for user, _ in users)
        if spec.count == 0 or compared or all(user.op in ELEMENTWISE for user, _ in users):
            return np.zeros(spec.shape, spec.dtype)
        if spec.count == 1 and any(self._beside_sizes(user) for user, _ in users):
            return np.ones(spec.shape, spec.dtype)
        raise self._unknown(name, spec)

    def tired(self) -> bool:
        """Whether enough was looked at: of what is used by many the ways are too many to go."""
        self.looks += 1
        return self.looks > _LOOKS

    def _beside_sizes(self, node: GraphNode) -> bool:
        """Whether a Pack puts sizes beside each other to compute with them, not to make a shape."""
        others = [r for r in node.inputs if not self.is_constant(r)]
        return node.op == "Pack" and any(self.known(r) is not None for r in others)

    def _unknown(self, name: str, spec: Spec) -> FanlightError:
        users = [f"{n.op} input {i} ({n.name})" for n, i in self.users.get(name, [])[:3]]
        return FanlightError(
            "E-FORMAT-024",
            f"nothing tells what the {spec.dtype} constant {name!r} could be.",
            where=self.where,
            expected="an axis, a shape, paddings or limits of a slice",
            received=f"{spec.dtype} {list(spec.shape)} for {', '.join(users)}",
            next="get the weight files: shapes and axes are kept in them.",
        )

    def _real(self, name: str, spec: Spec) -> np.ndarray:
        """A seeded array; single numbers, and weights of sums, keep what follows finite."""
        if spec.count != 1 or len(spec.shape) > 1:
            array = random_array(name, spec.shape)
            users = self.users.get(name, [])
            return np.abs(array) if any(self._positive(u) for u, i in users if i == 1) else array
        value = 0.0
        for user, index in self.users.get(name, []):
            value = self._scalar(user, index, name)
        return np.full(spec.shape, value, np.float32)

    def _positive(self, node: GraphNode) -> bool:
        """Whether a logarithm or root is taken of a product, or of its sum."""
        if node.op not in ("MatMul", "_FusedMatMul", "Mul", "RealDiv"):
            return False
        sums = [n for n, _ in self.users.get(node.name, []) if n.op in ("Add", "AddV2", "Maximum")]
        return any(self._feeds(n, ("Log", "Sqrt", "Rsqrt")) for n in [node, *sums])

    def _scalar(self, user: GraphNode, index: int, name: str) -> float:
        if user.op in ("Add", "AddV2") and self._feeds(user, ("Rsqrt", "Sqrt", "Log", "RealDiv")):
            return 1e-3
        if user.op in ("Minimum",):
            return 6.0
        if user.op in ("Mul", "RealDiv"):
            return 2.0 if self._feeds(user, ("Cast", "Pack", "ResizeBilinear")) else 0.5
        if user.op in ("Pow",):
            return 2.0
        if user.op.startswith("NonMaxSuppression") and index == 4:
            return 0.05  # least score: random weights are sure of nothing
        if user.op in ("Range", "LinSpace"):
            return (0.0, 8.0, 1.0)[index]  # arity.py has looked how many there are
        return float(random_array(name, ())) if user.op in ("Add", "AddV2", "Sub") else 0.5

    def _feeds(self, node: GraphNode, ops: Sequence[str]) -> bool:
        known = self._feeding.get((node.name, ops))
        if known is None:
            known = any(user.op in ops for user, _ in self.users.get(node.name, []))
            self._feeding[node.name, ops] = known
        return known

    @cached_property
    def told(self) -> Told:
        """What patterns of nodes tell of constants, by name."""
        told: Told = {}
        for find in _MOTIFS:
            told |= find(self)
        return told

    def _look(self) -> None:
        """Tell of what was imported since."""
        new = len(self.results) - self._seen
        for name, made in [*itertools.islice(reversed(self.results.items()), new)][::-1]:
            for index, tensor in enumerate(made):
                ref = Ref(name, index)
                self.shapes.tell(ref, getattr(tensor, "shape", None))
                if isinstance(tensor, np.ndarray):
                    self.shapes.wake(ref)
        self._seen = len(self.results)
        self.shapes.settle()

    # --- what rules look at

    def agrees(self, node: GraphNode, made: Sequence[int]) -> bool:
        """Whether a result may have this shape, going by what is told of it."""
        told = self.shapes.dims(Ref(node.name))
        total = self.shapes.total(Ref(node.name))
        if total is not None and total != math.prod(made):
            return False
        if told is None:
            return True
        fits = (t is None or t == d for t, d in zip(told, made, strict=False))
        return len(told) == len(made) and all(fits)

    def _op(self, ref: Ref) -> str:
        return self.nodes[ref.node].op if ref.node in self.nodes else ""

    def is_constant(self, ref: Ref) -> bool:
        return ref.node in self.nodes and self.nodes[ref.node].op == "Const"

    def made(self, ref: Ref) -> Tensor | None:
        found = next((r[ref.node] for r in self.inner[::-1] if ref.node in r), None)
        found = found or self.results.get(ref.node)
        return found[ref.index] if found is not None and ref.index < len(found) else None

    def shape(self, ref: Ref) -> tuple[int, ...] | None:
        """The shape of a tensor, if it is imported or a constant."""
        found = self.made(ref)
        sizes = getattr(found, "shape", None)
        if sizes is not None:  # of a list the shape of its elements, if that is known
            return tuple(sizes) if None not in sizes else None
        return self.specs[ref.node].shape if ref.node in self.specs else None

    def known(self, ref: Ref) -> list[int] | None:
        """The numbers of a tensor that is known already; None also if they are no whole ones."""
        found = self.made(ref)
        if not isinstance(found, np.ndarray) or found.size > _NUMBERS:
            return None
        if found.dtype.kind not in "iub" and not np.isfinite(found).all():
            return None
        return [int(v) for v in found.reshape(-1)]

    def partly(self, ref: Ref, count: int) -> list[int | None]:
        """What is known of a vector of `count` numbers."""
        found = self.known(ref)
        if found is not None and len(found) == count:
            return list(found)
        node = self.nodes.get(ref.node)
        if node is not None and node.op in ("Pack", "ConcatV2"):
            inputs = node.inputs if node.op == "Pack" else node.inputs[:-1]
            parts: list[int | None] = []
            for part in inputs:
                size = self._count(part)
                if size is None or size > count - len(parts):
                    break
                inner = self.known(part)
                parts += [None] * size if inner is None else inner
            if len(parts) == count:
                return parts
        return [None] * count

    def _count(self, ref: Ref) -> int | None:
        shape = self.shape(ref)
        return None if shape is None else math.prod(shape)

    def want(self, user: GraphNode, index: int, count: int, depth: int = 0) -> Wanted:
        """What input `index` of `user`, of `count` numbers, has to be; None if nobody tells."""
        if depth > _DEPTH or self._within > _WITHIN or self.tired():
            return None
        self._within += 1
        try:
            return self._want(user, index, count, depth)
        finally:
            self._within -= 1

    def _want(self, user: GraphNode, index: int, count: int, depth: int) -> Wanted:
        if user.op in ("Identity", "Cast", "Reshape", "Squeeze", "ExpandDims") and index == 0:
            return self.of_users(user, count, depth)
        if user.op in ("Pack", "ConcatV2") and len(user.inputs) > MANY:
            return None  # no shape is that long
        if user.op == "Pack":
            whole = self.of_users(user, count * len(user.inputs), depth)
            return None if whole is None else whole[index * count : (index + 1) * count]
        if user.op == "ConcatV2" and index < len(user.inputs) - 1:
            sizes = [self._count(r) for r in user.inputs[:-1]]
            if None not in sizes:
                whole = self.of_users(user, sum(s for s in sizes if s), depth)
                at = sum(s for s in sizes[:index] if s)
                return None if whole is None else whole[at : at + count]
        found = _RULES.get(user.op)
        return None if found is None else found(self, user, index, count)

    def of_users(self, node: GraphNode, count: int, depth: int) -> Wanted:
        for user, index in self.users.get(node.name, []):
            found = self.want(user, index, count, depth + 1)
            if found is not None and len(found) == count:
                return found
        return None

    def position(self, node: GraphNode, depth: int = 0) -> int | None:
        """At which place of a shape the number that `node` gives is used."""
        if self.tired():
            return None
        for user, index in self.users.get(node.name, []) if depth < _DEPTH else []:
            if user.op == "Pack":
                return index
            if user.op in ("Mul", "Add", "AddV2", "Sub", "Cast", "FloorDiv", "RealDiv", "Identity"):
                found = self.position(user, depth + 1)
                if found is not None:
                    return found
        return None

    def channels(self, ref: Ref, depth: int = 0) -> int | None:
        """How many channels a tensor that need not be imported yet has."""
        shape = self.shape(ref)
        if shape:
            return shape[-1]
        node = self.nodes.get(ref.node)
        if node is None or depth > 64 or not node.inputs:
            return None
        if node.op in ("Conv2D", "_FusedConv2D", "MatMul", "_FusedMatMul"):
            weight = self.shape(node.inputs[1])
            return weight[-1] if weight else None
        if node.op in ELEMENTWISE or node.op in THROUGH or node.op in (
            "MaxPool", "AvgPool", "Prelu", "ResizeBilinear", "FusedBatchNormV3",
            "FusedDepthwiseConv2dNative", "DepthwiseConv2dNative",
        ):  # fmt: skip
            return self.channels(node.inputs[0], depth + 1)
        return None

    def row(self, node: GraphNode) -> int | None:
        """How long the rows of a result [batch, rows, length] are that is joined with others.

        The outputs may tell how many rows there are in all, and the parts what they hold.
        """
        for user, _ in self.users.get(node.name, []):
            if user.op != "ConcatV2" or len(user.inputs) > MANY:
                continue
            rows = self._rows(user.name)
            makers = [self.nodes.get(r.node) for r in user.inputs[:-1]]
            reshaped = [m for m in makers if m is not None and m.op == "Reshape"]
            if rows and len(reshaped) == len(makers):
                shapes = [self.shape(m.inputs[0]) for m in reshaped]
                total = sum(math.prod(s) for s in shapes if s is not None)
                if None not in shapes and total % rows == 0:
                    return total // rows
        return None

    def _rows(self, name: str, depth: int = 0) -> int | None:
        declared = self.declared.get(name)
        if declared is not None and len(declared) == 3:
            return declared[1]
        for user, _ in self.users.get(name, []) if depth < _DEPTH else []:
            if user.op in ("ConcatV2", "Identity", "Sigmoid"):
                return self._rows(user.name, depth + 1)
        return None

    def of_sides(self, name: str, depth: int = 0) -> bool:
        """Whether a result [batch, channels, places] holds such sides among its channels."""
        if self.tired():
            return False
        for user, index in self.users.get(name, []) if depth < _DEPTH else []:
            if user.op in ("ConcatV2", "Identity") and self.of_sides(user.name, depth + 1):
                return True
            readers = self.users.get(user.name, []) if user.op == "StridedSlice" else []
            if index == 0 and any(
                r.op == "Reshape" and bins_of_sides(self.shapes, r) for r, _ in readers
            ):
                return True
        return False

    def follows(self, ref: Ref) -> bool:
        """Whether a result is resized or reshaped to what its neighbours may tell."""
        for _ in range(_DEPTH):
            node = self.nodes.get(ref.node)
            if node is None or not node.inputs:
                return False
            if node.op == "Reshape" or node.op.startswith("Resize"):
                return len(node.inputs) > 1 and self.is_constant(node.inputs[1])
            if node.op not in THROUGH and node.op not in ELEMENTWISE:
                return False
            ref = next((r for r in node.inputs if not self.is_constant(r)), node.inputs[0])
        return False

    def flattens(self, node: GraphNode) -> bool:
        """Whether the batch stays the first dim of what a Reshape gives."""
        shape = self.shape(node.inputs[0])
        declared = self.declared.get(node.name)
        for user, _ in self.users.get(node.name, []):
            declared = declared or self.declared.get(user.name)
        return bool(shape and len(shape) == 4 and declared and len(declared) == 2)

    def place(self, node: GraphNode, index: int) -> Wanted:
        """The width of the picture in whose flat form `node` finds columns of a place."""
        for ref in node.inputs:
            for _ in range(_DEPTH):
                maker = self.nodes.get(ref.node)
                if maker is None or not maker.inputs:
                    break
                shape = self.shape(maker.inputs[0])
                if maker.op == "Reshape" and shape and len(shape) == 4:
                    return [shape[2]]
                ref = next((r for r in maker.inputs if not self.is_constant(r)), maker.inputs[0])
        return None

    @cached_property
    def canvas(self) -> int | None:
        """The side of a picture for which a graph has its one large window over all places."""
        for node in self.nodes.values():
            size = node.attrs.ints("ksize")
            if node.op != "AvgPool" or len(size) != 4 or size[1] < 16:
                continue
            stride, ref = 1, node.inputs[0]
            for _ in range(len(self.nodes)):
                maker = self.nodes.get(ref.node)
                if maker is None or not maker.inputs:
                    break
                steps = maker.attrs.ints("strides")
                stride *= steps[1] if len(steps) == 4 else 1
                ref = next((r for r in maker.inputs if not self.is_constant(r)), maker.inputs[0])
            return (size[1] - 1) * stride + 1
        return None

    def expected(self, name: str, rank: int) -> list[int | None]:
        """The dims of a result of this rank: those that are told, and for others what is likely."""
        ref = Ref(name)
        self.shapes.tell(ref, [None] * rank)
        self.shapes.settle()
        dims = self.shapes.dims(ref)
        if dims is None or len(dims) != rank:
            return [None] * rank
        if None not in dims:
            return list(dims)
        likely = self.shapes.supposed(self.nodes[name]).dims(ref) or dims
        return [d if d is not None else p for d, p in zip(dims, likely, strict=True)]


# What several nodes together tell: constants by name, each with what it has to be.
Told = dict[str, Callable[[], Wanted]]
_MOTIFS: list[Callable[[Guesser], Told]] = []


def motif(function: Callable[[Guesser], Told]) -> Callable[[Guesser], Told]:
    """Register what finds a pattern of nodes, and with it the constants in it."""
    _MOTIFS.append(function)
    return function


def _confidence(user: GraphNode, index: int) -> int:
    """Smaller for roles that leave less open."""
    if user.op == "StridedSlice" and index == 3:
        return 0
    if user.op == "StridedSlice" and index in (1, 2):
        masks = user.attrs.whole("begin_mask" if index == 1 else "end_mask", 0)
        return 4 if masks & 1 else 2
    if user.op in ELEMENTWISE:
        return 3
    return 2 if user.op in ("Pack", "StridedSlice", "Mul") else 1


def fitted(total: int, dims: Sequence[int | None], shape: Sequence[int]) -> list[int] | None:
    """A shape of `total` elements that has the dims that are known; `shape` is the present one."""
    told = [d if d is not None and d > 0 else None for d in dims]
    rest = total // max(1, math.prod(d for d in told if d))
    if math.prod(d for d in told if d) * rest != total:
        return None
    open_at = [a for a, d in enumerate(told) if d is None]
    if not open_at:
        return [d for d in told if d] if rest == 1 else None
    if len(told) == len(shape) and math.prod(shape[a] for a in open_at) == rest:
        return [d or shape[a] for a, d in enumerate(told)]
    # A batch of one stays; then sizes that are there already, from the left.
    if len(open_at) > 1 and told[0] is None and shape and shape[0] and rest % shape[0] == 0:
        told[0] = shape[0]
        rest //= shape[0]
        open_at = open_at[1:]
    if not open_at:
        return [d for d in told if d] if rest == 1 else None
    if open_at[-1] == len(told) - 1 and len(open_at) > 1 and told[-1] is None:
        last = shape[-1] if shape else 1
        if len(told) > len(shape) and len(shape) > 1 and last % 4 == 0:
            last //= 4  # one dim becomes two: heads, or groups
            if len(told) == 4:
                heads = open_at[-2]
                told[heads] = 4
                rest //= 4
                open_at.remove(heads)
        if last and rest % last == 0:
            told[-1] = last
            rest //= last
            open_at = open_at[:-1]
    for axis in open_at[:-1]:
        size = shape[axis] if axis < len(shape) and rest % max(1, shape[axis]) == 0 else 1
        told[axis] = size
        rest //= max(1, size)
    if open_at:
        told[open_at[-1]] = rest
        rest = 1
    return [d or 1 for d in told] if rest == 1 else None

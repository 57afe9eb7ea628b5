"""Kernel: the contract between the planner and the code generators, one per lowered node."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np

from fanlight import dtypes
from fanlight.codegen.wasm.module import Module
from fanlight.errors import FanlightError
from fanlight.graph import Node, Value
from fanlight.ops.row import Unsupported, lookup
from fanlight.ops.types import TensorType
from fanlight.targets import Target

# Bytes of a large weight that are packed at a time.
_PIECE = 1 << 20


@dataclass(frozen=True)
class Packing:
    """How a weight lies in memory.

    Attributes:
        name: text that names it in a bundle, e.g. "panels(8)"; `packing_by_name` finds it again.
        pack: the array -> the array as it lies in memory.
        unpack: (flat array, shape) -> the array.
        nbytes: type of the weight -> bytes in memory.
        split: what `pack` gives in pieces, one after the other; None: it is made at once.
    """

    name: str
    pack: Callable[[np.ndarray], np.ndarray]
    unpack: Callable[[np.ndarray, tuple[int, ...]], np.ndarray]
    nbytes: Callable[[TensorType], int]
    split: Callable[[np.ndarray], Iterator[np.ndarray]] | None = None

    def pieces(self, array: np.ndarray) -> Iterator[np.ndarray]:
        """What `pack` gives, in pieces one after the other: a large weight is not there twice."""
        return iter([self.pack(array)]) if self.split is None else self.split(array)


def _by_columns(
    matrix: np.ndarray, width: int, pack: Callable[[np.ndarray], np.ndarray]
) -> Iterator[np.ndarray]:
    """A matrix [..., N] packed some panels of `width` columns at a time, for layouts in which
    panels lie one after the other.
    """
    panel = max(matrix[..., :1].nbytes * width, 1)
    step = max(_PIECE // panel, 1) * width
    for first in range(0, matrix.shape[-1], step):
        yield pack(matrix[..., first : first + step])


RAW = Packing("raw", lambda a: a, lambda flat, shape: flat.reshape(shape), lambda type: type.nbytes)


def panels(width: int, trailing: int = 1) -> Packing:
    """A matrix in panels of `width` columns: [N / width][K][width], zeros after the last column.

    Args:
        width: columns of a panel.
        trailing: how many of the last dims of the weight are columns (N); the others are rows (K).
    """

    def matrix(shape: tuple[int, ...]) -> tuple[int, int, int]:
        n = prod(shape[-trailing:])
        return prod(shape[:-trailing]), n, -(-n // width)

    def flat(array: np.ndarray) -> np.ndarray:
        return array.reshape(matrix(array.shape)[:2])

    def packed(columns: np.ndarray) -> np.ndarray:
        k, n = columns.shape
        count = -(-n // width)
        padded = np.zeros((k, count * width), columns.dtype)
        padded[:, :n] = columns
        return np.ascontiguousarray(padded.reshape(k, count, width).transpose(1, 0, 2))

    def pack(array: np.ndarray) -> np.ndarray:
        return packed(flat(array))

    def split(array: np.ndarray) -> Iterator[np.ndarray]:
        return _by_columns(flat(array), width, packed)

    def unpack(flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        k, n, count = matrix(shape)
        whole = flat.reshape(count, k, width).transpose(1, 0, 2).reshape(k, count * width)
        return np.ascontiguousarray(whole[:, :n]).reshape(shape)

    def nbytes(type: TensorType) -> int:
        k, _, count = matrix(type.bound)
        return k * count * width * dtypes.size(type.dtype)

    name = f"panels({width})" if trailing == 1 else f"panels({width},{trailing})"
    return Packing(name, pack, unpack, nbytes, split)


def groups(width: int, run: int, size: int) -> Packing:
    """Bytes of a matrix [K, N] as kernels of quantised networks want them: [N / width][K / run]
    [groups of a run][width][size], zeros after the last column and after the last row of a run.

    Args:
        width: columns of a panel.
        run: rows that are contiguous in the left side; all dims of the weight but the last are K.
        size: rows that one 32-bit load of the left side brings: 4 bytes, or 2 int16.
    """
    per_run = -(-run // size)

    def sizes(shape: tuple[int, ...]) -> tuple[int, int, int]:
        return prod(shape[:-1]) // run, shape[-1], -(-shape[-1] // width)

    def pack(array: np.ndarray) -> np.ndarray:
        runs, n, count = sizes(array.shape)
        padded = np.zeros((runs, per_run * size, count * width), array.dtype)
        padded[:, :run, :n] = array.reshape(runs, run, n)
        parts = padded.reshape(runs, per_run, size, count, width)
        return np.ascontiguousarray(parts.transpose(3, 0, 1, 4, 2))

    def split(array: np.ndarray) -> Iterator[np.ndarray]:
        return _by_columns(array, width, pack)

    def unpack(flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        runs, n, count = sizes(shape)
        parts = flat.reshape(count, runs, per_run, width, size).transpose(1, 2, 4, 0, 3)
        whole = parts.reshape(runs, per_run * size, count * width)
        return np.ascontiguousarray(whole[:, :run, :n]).reshape(shape)

    def nbytes(type: TensorType) -> int:
        runs, _, count = sizes(type.bound)
        return count * runs * per_run * size * width * dtypes.size(type.dtype)

    return Packing(f"groups({width},{run},{size})", pack, unpack, nbytes, split)


def row_quads(width: int) -> Packing:
    """The bytes of depthwise kernels [kh, kw, C, 1] as kernels of quantised networks want them:
    [C / width][kh / 4][kw][width][4 kernel rows], zeros after the last channel and row.
    """

    def pack(array: np.ndarray) -> np.ndarray:
        kh, kw, channels = array.shape[:3]
        rows, blocks = -(-kh // 4), -(-channels // width)
        padded = np.zeros((rows * 4, kw, blocks * width), array.dtype)
        padded[:kh, :, :channels] = array.reshape(kh, kw, channels)
        parts = padded.reshape(rows, 4, kw, blocks, width)
        return np.ascontiguousarray(parts.transpose(3, 0, 2, 4, 1))

    def unpack(flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        kh, kw, channels = shape[:3]
        rows, blocks = -(-kh // 4), -(-channels // width)
        parts = flat.reshape(blocks, rows, kw, width, 4).transpose(1, 4, 2, 0, 3)
        whole = parts.reshape(rows * 4, kw, blocks * width)
        return np.ascontiguousarray(whole[:kh, :, :channels]).reshape(shape)

    def nbytes(type: TensorType) -> int:
        kh, kw, channels = type.bound[:3]
        return -(-channels // width) * -(-kh // 4) * kw * width * 4 * dtypes.size(type.dtype)

    return Packing(f"row_quads({width})", pack, unpack, nbytes)


def packing_by_name(name: str) -> Packing:
    """The packing of this name; ValueError if there is none."""
    if name == "raw":
        return RAW
    match = re.fullmatch(r"groups\((\d{1,3}),([1-9]\d{0,9}),([24])\)", name)
    if match is not None:
        return groups(int(match[1]), int(match[2]), int(match[3]))
    match = re.fullmatch(r"row_quads\((\d{1,3})\)", name)
    if match is not None:
        return row_quads(int(match[1]))
    match = re.fullmatch(r"panels\((\d{1,3})(?:,(\d))?\)", name)
    if match is None:
        raise ValueError(f"there is no packing {name!r}")
    return panels(int(match[1]), int(match[2] or 1))


@dataclass(frozen=True)
class Kernel:
    """How one node is computed on one target.

    The function takes i32 parameters: a pointer per node input that is not in `folded`, a pointer
    per node output, the scratch pointer if `scratch` > 0, the dims block if `dims`, and lo, hi.

    Attributes:
        key: everything that the code depends on; equal keys share one function.
        emit: adds the function to a module under a name.
        work: units that [lo, hi) splits; any split gives the same result. 1: cannot be split.
        packing: node-input index of a weight -> its layout ("raw" where absent).
        folded: node inputs whose values are in the code or not needed: they get no pointer.
        scratch: bytes of scratch memory.
        flops, bytes: work and least memory traffic of the whole node.
        dims: whether it reads the actual sizes of symbolic dims.
        in_order: whether units lie as the outputs do: the first k of all n units write at least
            the first k / n of every output.
        in_place: node inputs in whose memory the (only) output may lie: every element of it depends
            on the same element of them alone, which is read before.
        by_rows: the same kernel with units in order, where this one's are not; else None.
        twins: name of a choice, such as "wide" -> another kernel of the same node, for engines on
            which it is faster. Same results up to rounding, same packing, folded and dims; its own
            key, emit, work and scratch. A module holds both, and the host chooses while it runs.
    """

    key: str
    emit: Callable[[Module, str], None]
    work: int
    packing: Mapping[int, Packing] = field(default_factory=dict)
    folded: frozenset[int] = frozenset()
    scratch: int = 0
    flops: int = 0
    bytes: int = 0
    dims: bool = False
    in_order: bool = False
    in_place: frozenset[int] = frozenset()
    by_rows: Kernel | None = None
    twins: Mapping[str, Kernel] = field(default_factory=dict)

    @property
    def most_scratch(self) -> int:
        """Bytes of scratch memory that the kernel or one of its twins needs."""
        return max(self.scratch, *(t.scratch for t in self.twins.values()), 0)


# The constant values of a graph. A kernel may rely on what they are, but never holds them.
Weights = Mapping[Value, np.ndarray]
Lowering = Callable[[Node, Target, Weights], Kernel]

# op -> how WASM computes it; filled by the files of codegen/wasm/kernels. Ops whose row says
# "loops" and that have no entry here go to the generic generator, registered as "loops".
LOWERINGS: dict[str, Lowering] = {}


def register(*ops: str) -> Callable[[Lowering], Lowering]:
    """Decorator: this function lowers these ops."""

    def decorate(lowering: Lowering) -> Lowering:
        for op in ops:
            LOWERINGS[op] = lowering
        return lowering

    return decorate


def lower(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a node. `weights`: the values that are constant, and may be packed.

    Raises:
        FanlightError: E-BUILD-001 if the target cannot compute the node.
    """
    import fanlight.codegen.wasm.kernels  # noqa: F401  (fills LOWERINGS)

    row = lookup(node.op)
    if isinstance(row.wasm, Unsupported):
        raise unsupported(node, row.wasm.why)
    lowering = LOWERINGS.get(node.op) or (LOWERINGS.get("loops") if row.wasm == "loops" else None)
    if lowering is None:
        raise unsupported(node, "no kernel is registered for it")
    if not any(v.type.size for v in node.outputs):
        return _no_work(node)
    return lowering(node, target, weights)


def _no_work(node: Node) -> Kernel:
    """The kernel of a node whose outputs have no elements."""
    count = len(node.inputs) + len(node.outputs) + 2

    def emit(module: Module, name: str) -> None:
        module.function(name, ("i32",) * count)

    return Kernel(key=f"nothing {count}", emit=emit, work=1)


def unsupported(node: Node, why: str) -> FanlightError:
    """The error of a node that a target cannot compute."""
    return FanlightError(
        "E-BUILD-001",
        why,
        where=f"{node.name} ({node.op})",
        expected="an op of docs/ops.md, with options that its kernel takes",
        received=f"{node.op} of {', '.join(str(v.type) for v in node.inputs)}"[:300],
    )


def node_bytes(node: Node) -> int:
    """Bytes read and written at least once, at the bounds of symbolic dims.

    A slice reads no more than it gives; a resize at most four source pixels per pixel it makes.
    """
    made = sum(v.type.nbytes for v in node.outputs)
    read = sum(v.type.nbytes for v in dict.fromkeys(node.inputs))
    if node.op in ("slice", "strided_slice"):
        read = min(read, made)
    elif node.op in ("resize_bilinear", "resize_nearest", "resize_image"):
        _, height, width, _ = node.output.type.bound
        source = node.inputs[0].type
        read = min(read, 4 * height * width * source.bound[-1] * dtypes.size(source.dtype))
    return made + read

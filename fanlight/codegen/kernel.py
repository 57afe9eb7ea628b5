"""Kernel: the contract between the planner and the code generators, one per lowered node."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
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


@dataclass(frozen=True)
class Packing:
    """How a weight lies in memory.

    Attributes:
        name: text that names it in a bundle, e.g. "panels(8)"; `packing_by_name` finds it again.
        pack: the array -> the array as it lies in memory.
        unpack: (flat array, shape) -> the array.
        nbytes: type of the weight -> bytes in memory.
    """

    name: str
    pack: Callable[[np.ndarray], np.ndarray]
    unpack: Callable[[np.ndarray, tuple[int, ...]], np.ndarray]
    nbytes: Callable[[TensorType], int]


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

    def pack(array: np.ndarray) -> np.ndarray:
        k, n, count = matrix(array.shape)
        padded = np.zeros((k, count * width), array.dtype)
        padded[:, :n] = array.reshape(k, n)
        return np.ascontiguousarray(padded.reshape(k, count, width).transpose(1, 0, 2))

    def unpack(flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        k, n, count = matrix(shape)
        whole = flat.reshape(count, k, width).transpose(1, 0, 2).reshape(k, count * width)
        return np.ascontiguousarray(whole[:, :n]).reshape(shape)

    def nbytes(type: TensorType) -> int:
        k, _, count = matrix(type.bound)
        return k * count * width * dtypes.size(type.dtype)

    name = f"panels({width})" if trailing == 1 else f"panels({width},{trailing})"
    return Packing(name, pack, unpack, nbytes)


def packing_by_name(name: str) -> Packing:
    """The packing of this name; ValueError if there is none."""
    if name == "raw":
        return RAW
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


Lowering = Callable[[Node, Target, Set[Value]], Kernel]

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


def lower(node: Node, target: Target, weights: Set[Value]) -> Kernel:
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

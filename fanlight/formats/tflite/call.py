"""What the importer of one TensorFlow Lite operator gets to work with, and their table."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.counts import Bounded, Sizes
from fanlight.formats.emitter import Emitter, Tensor, dtype_of
from fanlight.formats.registry import under
from fanlight.formats.tfgraph import call as tf
from fanlight.formats.tfgraph.nodes import Attrs, GraphNode, raw_attr
from fanlight.formats.tflite.model import Model, Operator, TensorInfo
from fanlight.formats.tflite.quantization import (
    ON_GRID,
    Scale,
    onto_grid,
    real_constant,
    scale_of,
    to_byte,
    to_real,
)
from fanlight.formats.tflite.schema import ACTIVATIONS

# Types of a file -> dtype in the graph; browsers compute in 32 bits.
_DTYPES = {
    "float32": "float32", "float16": "float32", "float64": "float32", "bfloat16": "float32",
    "int32": "int32", "int64": "int32", "int16": "int32", "int8": "int32", "int4": "int32",
    "uint32": "int32", "uint64": "int32", "uint16": "int32", "uint8": "uint8", "bool": "bool",
}  # fmt: skip


def graph_dtype(info: TensorInfo) -> str:
    """The graph's dtype of a tensor of plain numbers; E-FORMAT-012 for texts, complex numbers."""
    dtype = _DTYPES.get(info.type)
    if dtype is None:
        raise FanlightError(
            "E-FORMAT-012",
            "tensors of this type are not supported.",
            where=info.where,
            expected=", ".join(_DTYPES),
            received=info.type,
        )
    return dtype


@dataclass(frozen=True)
class Bytes:
    """A result that is in bytes already (quantization.py says how they stand for numbers)."""

    tensor: Tensor


class Cell:
    """A tensor on its way through an import: its bytes, or what it stands for, or both."""

    def __init__(self, info: TensorInfo, name: str) -> None:
        self.info = info
        self.name = name
        self.scale = scale_of(info) if info.type in ("int8", "uint8") else None
        self.stored: np.ndarray | None = None
        self._real: Tensor | None = None
        self._byte: Tensor | None = None

    @classmethod
    def constant(cls, model: Model, info: TensorInfo, name: str) -> Cell | None:
        """The cell of a tensor that the file stores; None if it is computed."""
        stored = model.constant(info)
        if stored is None:
            return None
        cell = cls.__new__(cls)
        cell.info, cell.name, cell.stored = info, name, stored
        per_tensor = info.grid is not None and info.grid.scale.size == 1
        cell.scale = scale_of(info) if per_tensor else None
        cell._real = cell._byte = None
        return cell

    @classmethod
    def of(cls, em: Emitter, info: TensorInfo, name: str, made: Any) -> Cell:
        """The cell of a result: bytes as they are, real numbers put onto the tensor's grid."""
        cell = cls(info, name)
        if isinstance(made, Bytes):
            cell._byte = made.tensor
        elif cell.scale is not None and dtype_of(made) == "float32":
            cell._byte = to_byte(em, made, cell.scale, name)
        elif info.grid is not None and info.type == "int16" and dtype_of(made) == "float32":
            cell._real = onto_grid(em, made, info, name)
        else:
            cell._real = made
        return cell

    def real(self, em: Emitter) -> Tensor:
        """What the tensor stands for: float32, or plain whole numbers and truth values."""
        if self._real is None and self.stored is not None:
            grid = self.info.grid
            if grid is not None and self.info.type in (*ON_GRID, "int4"):
                self._real = real_constant(self.stored, grid)
            else:
                self._real = np.require(self.stored, requirements=("C", "A"))
            self._real = em.named(self._real, self.name)
            if self._real.dtype != self.stored.dtype:
                em.forget(self.stored)
        if self._real is None:
            assert self._byte is not None and self.scale is not None
            self._real = to_real(em, self._byte, self.scale, self.name)
        return self._real

    def byte(self, em: Emitter) -> Tensor | None:
        """The tensor's bytes; None if it does not travel as bytes."""
        if self._byte is None and self.scale is not None:
            if self.stored is not None:
                shift = 128 if self.info.type == "int8" else 0
                moved = (self.stored.astype(np.int16) + shift).astype(np.uint8)
                self._byte = em.named(moved, self.name)
            elif self._real is not None:
                self._byte = to_byte(em, self._real, self.scale, self.name)
        return self._byte


class _Reals(Sequence[Tensor]):
    """The inputs of an operator as real numbers, each made when it is first asked for."""

    def __init__(self, em: Emitter, cells: Sequence[Cell | None], bytewise: bool) -> None:
        self.em, self.cells, self.bytewise = em, cells, bytewise

    def __len__(self) -> int:
        return len(self.cells)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Tensor]: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        cell = self.cells[index]
        if cell is None:
            raise IndexError(index)
        if self.bytewise and cell.scale is not None:
            return cell.byte(self.em)
        return cell.real(self.em)


class Call(tf.Call):
    """One operator with its inputs already imported; what it shares with TensorFlow's is there.

    Attributes:
        operator: the operator of the file.
        cells: its inputs; None for those that are left out.
        results: what the file says about its outputs.
        bytewise: `x` gives bytes where there are some: set for ops that only move elements.
    """

    def __init__(
        self,
        operator: Operator,
        em: Emitter,
        cells: Sequence[Cell | None],
        results: Sequence[TensorInfo],
        warnings: list[str],
        bytewise: bool = False,
    ) -> None:
        self.operator, self.cells, self.results = operator, cells, results
        name = clean(results[0].name) if results else operator.kind
        node = GraphNode(name, operator.kind, (), Attrs({}, operator.where), operator.where)
        super().__init__(node, em, _Reals(em, cells, bytewise), warnings)
        self.bytewise = bytewise
        self.scope: Any = None  # of the importer (scope.py), for operators that call subgraphs

    @property
    def options(self) -> Any:
        return self.operator.options

    def whole_option(self, name: str, default: int = 0) -> int:
        return int(self.options.get(name, default))

    def has(self, index: int) -> bool:
        """Whether input `index` is there."""
        return index < len(self.cells) and self.cells[index] is not None

    def x(self, index: int = 0) -> Tensor:
        """Input `index`; E-FORMAT-005 if the operator has fewer, or leaves it out."""
        if not self.has(index):
            raise FanlightError(
                "E-FORMAT-005",
                f"{self.node.op} has no input {index}.",
                where=self.where,
                expected="an input that is not left out",
                received=f"{len(self.cells)} inputs",
            )
        return self.inputs[index]

    def cell(self, index: int) -> Cell:
        self.x(index)
        cell = self.cells[index]
        assert cell is not None
        return cell

    def bias(self, index: int) -> Tensor | None:
        """An optional bias: whole sums stand for real numbers by their scale."""
        if not self.has(index):
            return None
        cell = self.cells[index]
        assert cell is not None
        if cell.stored is not None and cell.info.grid is not None:
            return self.em.named(real_constant(cell.stored, cell.info.grid), cell.name)
        return cell.real(self.em)

    def bytes_of(self, index: int) -> tuple[Tensor, Scale] | None:
        """Input `index` as bytes with their scale; None if it is no quantised activation."""
        cell = self.cells[index] if self.has(index) else None
        byte = cell.byte(self.em) if cell is not None else None
        return None if byte is None or cell is None or cell.scale is None else (byte, cell.scale)

    def result_scale(self, index: int = 0) -> Scale | None:
        """The scale of result `index` if it travels as bytes."""
        return scale_of(self.results[index]) if index < len(self.results) else None

    def activation(self) -> str:
        """The name of the fused activation, "" for none."""
        code = self.whole_option("activation")
        if not 0 <= code < len(ACTIVATIONS) or ACTIVATIONS[code] == "sign_bit":
            raise self.refuse("unknown activation", expected=ACTIVATIONS[:5], received=code)
        return ACTIVATIONS[code]

    def activated(self, y: Tensor) -> Tensor:
        """`y` after the operator's fused activation."""
        kind = self.activation()
        if not kind:
            return y
        if kind == "relu_n1_to_1":
            return self.op("clip", y, part=kind, lo=-1.0, hi=1.0)
        return self.op(kind, y, part=kind)

    def tf(self, op: str, *inputs: Tensor, **attrs: Any) -> Any:
        """The result of a TensorFlow op on some inputs; attributes by TensorFlow's names."""
        raw = {name: raw_attr(value) for name, value in attrs.items()}
        node = GraphNode(self.node.name, op, (), Attrs(raw, self.where), self.where)
        made = tf.HANDLERS[op](tf.Call(node, self.em, inputs, self.warnings))
        for part in made if isinstance(made, list | tuple) else (made,):
            if isinstance(part, Bounded | Sizes):
                raise self.refuse(
                    "how many results there are depends on numbers",
                    expected="numbers that are known when the file is read",
                )
        return made


def clean(name: str) -> str:
    """A name of the file, fit for a graph: fused operators are named "a;b;c"."""
    return re.sub(r"[^\w./-]", "_", name.split(";")[-1] or name)[:120].strip("/") or "tensor"


Handler = Callable[[Call], Any]
HANDLERS: dict[str, Handler] = {}


def importer(*kinds: str) -> Callable[[Handler], Handler]:
    """Register the importer of some operators."""
    return under(kinds, HANDLERS)

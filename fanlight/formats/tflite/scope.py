"""One subgraph on its way into a graph: its operators in order, each turned into ops."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fanlight.errors import FanlightError
from fanlight.formats.emitter import Emitter, Tensor
from fanlight.formats.tflite.call import HANDLERS, Bytes, Call, Cell, clean, graph_dtype
from fanlight.formats.tflite.int8 import in_whole_numbers
from fanlight.formats.tflite.model import Model, Operator, Subgraph, TensorInfo
from fanlight.formats.tflite.quantization import ON_GRID
from fanlight.formats.unread import Unread

_MOST_NESTED = 16
_MOST_OPERATORS = 1 << 17
# Operators that change a state which others read.
_CHANGES = ("CALL_ONCE", "ASSIGN_VARIABLE", "CALL", "WHILE", "IF")


@dataclass
class Report:
    """What happened during an import, for the warnings of the source.

    Attributes:
        operators: how many were imported, each call of a subgraph counted.
        whole: how many operators compute in whole numbers.
        floats: kind -> how many of a quantised model compute in float32.
        dynamic: how many have 8-bit weights and float32 activations.
        stateful: whether the model has variables that LiteRT keeps between runs.
        variables: what was last assigned to a resource variable, by its name.
    """

    operators: int = 0
    whole: int = 0
    floats: dict[str, int] = field(default_factory=dict)
    dynamic: int = 0
    stateful: bool = False
    warnings: list[str] = field(default_factory=list)
    variables: dict[str, Tensor] = field(default_factory=dict)


class Scope:
    """A subgraph and the tensors in it so far."""

    def __init__(
        self,
        model: Model,
        graph: Subgraph,
        em: Emitter,
        report: Report,
        depth: int = 0,
        unread: Unread | None = None,
    ) -> None:
        if depth > _MOST_NESTED:
            raise FanlightError(
                "E-FORMAT-015",
                "subgraphs call each other in a circle, or too deeply.",
                where=graph.where,
                expected=f"at most {_MOST_NESTED} inside each other",
                received=depth,
            )
        self.model, self.graph, self.em = model, graph, em
        self.report, self.depth = report, depth
        self.cells: dict[int, Cell] = {}
        self.unread = unread
        self.lost: set[int] = set()
        self.last: dict[int, None] = {}

    def run(self) -> None:
        """Import every operator; or those that can be read, where only they are wanted."""
        for index, operator in enumerate(self.graph.operators):
            if self.unread is None:
                self._operator(operator)
                continue
            if self.lost.isdisjoint(operator.inputs):
                try:
                    self._operator(operator)
                    continue
                except FanlightError as error:
                    self.unread.fail(error)
            self._lose(operator, self.unread)
            if not operator.outputs or operator.kind in _CHANGES:  # what is read later is unknown
                for later in self.graph.operators[index + 1 :]:
                    self._lose(later, self.unread)
                return

    def _lose(self, operator: Operator, unread: Unread) -> None:
        inputs = [n for n in operator.inputs if n >= 0]
        outputs = [n for n in operator.outputs if n >= 0]
        self.last |= {n: None for n in inputs if n not in self.lost}
        self.lost |= set(outputs)
        names = [self.graph.tensors[n].name for n in outputs]
        unread.lose([*names, *map(clean, names)], [])

    def inner(self, number: Any, em: Emitter, where: str) -> Scope:
        """A scope for another subgraph; E-FORMAT-016 if there is none of that number."""
        if not 0 <= number < len(self.model.subgraphs):
            raise FanlightError(
                "E-FORMAT-016",
                "the file has no such subgraph.",
                where=where,
                expected=f"0 to {len(self.model.subgraphs) - 1}",
                received=number,
            )
        graph = self.model.subgraphs[number]
        return Scope(self.model, graph, em, self.report, self.depth + 1)

    def cell(self, number: int, where: str) -> Cell | None:
        """The cell of a tensor: computed before, or stored in the file."""
        if number < 0:
            return None
        if number not in self.cells:
            info = self.graph.tensors[number]
            found = Cell.constant(self.model, info, clean(info.name))
            if found is None and info.variable:
                self.report.stateful = True
                found = self._fresh(info)
            if found is None:
                raise FanlightError(
                    "E-FORMAT-016",
                    "an operator needs a tensor that nothing computes.",
                    where=where,
                    expected="operators in the order in which they can be computed",
                    received=info.where,
                    next="the file is corrupt: download or convert it again.",
                )
            self.cells[number] = found
        return self.cells[number]

    def _fresh(self, info: TensorInfo) -> Cell:
        """A state of the model: every run begins with zeros."""
        name, shape = clean(info.name), tuple(d or 1 for d in info.dims)
        return Cell.of(self.em, info, name, self.em.full(shape, 0, graph_dtype(info), name))

    def _operator(self, operator: Operator) -> None:
        self.report.operators += 1
        if self.report.operators > _MOST_OPERATORS:
            raise FanlightError(
                "E-FORMAT-004",
                "subgraphs call each other more often than any real model's do.",
                where=operator.where,
                expected=f"at most {_MOST_OPERATORS:,} operators in all",
                received="more",
            )
        inputs = [self.cell(n, operator.where) for n in operator.inputs]
        infos = [self.graph.tensors[n] for n in operator.outputs if n >= 0]
        call = Call(operator, self.em, inputs, infos, self.report.warnings)
        call.scope = self
        try:
            made: Any = in_whole_numbers(call)
            self._count(call, made is not None)
            if made is None:
                handler = HANDLERS.get(operator.kind)
                if handler is None:
                    raise FanlightError(
                        "E-FORMAT-013",
                        "the model has an operator that Fanlight does not have.",
                        where=operator.where,
                        expected="the operators that docs/formats.md lists",
                        received=operator.kind[:80],
                        next="export the part of the model before it, or ask for it in an issue.",
                    )
                made = handler(call)
        except FanlightError as error:
            if error.code.startswith(("E-OP-", "E-TENSOR-")):
                error.where = f"{call.where}: {error.where}"
            raise
        results = list(made) if isinstance(made, list | tuple) else [made]
        numbers = [n for n in operator.outputs if n >= 0]
        if len(results) < len(numbers):
            raise call.refuse(
                "the file has more outputs than the operator",
                expected=len(results),
                received=len(numbers),
            )
        for number, info, result in zip(numbers, infos, results, strict=False):
            self.cells[number] = Cell.of(self.em, info, clean(info.name), result)
            for name in (clean(info.name), info.name):  # "a;b;c" is called c
                self.em.result(name, result.tensor if isinstance(result, Bytes) else result)

    def _count(self, call: Call, whole: bool) -> None:
        """Note how a quantised operator was computed, for the report."""
        kind = call.operator.kind
        eight = any(info.grid is not None and info.type in ON_GRID for info in call.results)
        if whole:
            self.report.whole += 1
        elif eight and kind not in ("QUANTIZE", "DEQUANTIZE"):
            self.report.floats[kind] = self.report.floats.get(kind, 0) + 1
        elif kind != "DEQUANTIZE" and any(
            c is not None and c.stored is not None and c.info.grid is not None
            and c.info.type in ("int8", "uint8", "int4")
            for c in call.cells
        ):  # fmt: skip
            self.report.dynamic += 1

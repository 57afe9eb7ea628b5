"""A .tflite file -> a graph."""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import fanlight.formats.tfgraph.reader  # noqa: F401  (fills the table of TensorFlow's ops)
from fanlight.errors import FanlightError
from fanlight.formats.emitter import Emitter
from fanlight.formats.files import regular_size
from fanlight.formats.names import output_names, tally
from fanlight.formats.source import Options, Port, Source, check_options, static_shape
from fanlight.formats.tflite import more, neural, plain, recurrent  # noqa: F401  (fill the table)
from fanlight.formats.tflite.call import HANDLERS, Call, Cell, clean, graph_dtype
from fanlight.formats.tflite.int8 import in_whole_numbers
from fanlight.formats.tflite.metadata import model_of_task, read_about
from fanlight.formats.tflite.model import (
    Model,
    Operator,
    Signature,
    Subgraph,
    TensorInfo,
    parse_model,
)
from fanlight.formats.tflite.quantization import ON_GRID, from_whole, to_whole
from fanlight.graph import Builder


def read_tflite(path: Path, options: Options) -> Source:
    """Import a .tflite file.

    Raises:
        FanlightError: E-FORMAT-013 with every unsupported operator at once, and the other codes.
    """
    if not regular_size(path, "E-FORMAT-001", "the model"):
        raise FanlightError(
            "E-FORMAT-005", "the file is empty.", where=path, expected="a flatbuffer", received=0
        )
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    data = memoryview(mapped)
    # MediaPipe's .task is a zip of models; a small one is a plain .tflite under that name.
    if bytes(data[:4]) == b"PK\x03\x04":
        data = memoryview(model_of_task(data, str(path)))
    return read_model(parse_model(data, str(path)), path, options)


def read_model(model: Model, path: Path, options: Options) -> Source:
    """Import a parsed model; `path` names it in messages."""
    if options.weights == "random":
        raise FanlightError(
            "E-FORMAT-024",
            "a .tflite file has its weights inside.",
            where=path,
            expected="weights='stored'",
            received="weights='random'",
        )
    signature = _signature(model)
    _refuse_unsupported(model, signature.subgraph, path)
    return _Import(model, signature, path, options).run()


def _signature(model: Model) -> Signature:
    """The signature that is asked for when none is named, or one made of the tensors' names."""
    for wanted in ("serving_default", None):
        for signature in model.signatures:
            if signature.outputs and (wanted is None or signature.key == wanted):
                return _in_file_order(model, signature)
    main = model.subgraphs[0]
    names = [clean(main.tensors[i].name) for i in (*main.inputs, *main.outputs)]
    unique = output_names(names, [])
    count = len(main.inputs)
    return Signature(
        "",
        0,
        dict(zip(unique[:count], main.inputs, strict=True)),
        dict(zip(unique[count:], main.outputs, strict=True)),
    )


def _in_file_order(model: Model, signature: Signature) -> Signature:
    """Signatures list names by the alphabet; users know the order of the subgraph."""
    main = model.subgraphs[signature.subgraph]

    def ordered(names: Mapping[str, int], numbers: Sequence[int]) -> dict[str, int]:
        place = {n: i for i, n in enumerate(numbers)}
        return dict(sorted(names.items(), key=lambda item: place.get(item[1], len(place))))

    return Signature(
        signature.key,
        signature.subgraph,
        ordered(signature.inputs, main.inputs),
        ordered(signature.outputs, main.outputs),
    )


def _refuse_unsupported(model: Model, number: int, path: Path) -> None:
    unknown: dict[str, list[str]] = {}
    for operator in model.subgraphs[number].operators:
        if operator.kind not in HANDLERS:
            unknown.setdefault(operator.kind, []).append(operator.where.rsplit(", ", 1)[-1])
    if not unknown:
        return
    raise FanlightError(
        "E-FORMAT-013",
        f"the model uses {len(unknown)} operator{'s' if len(unknown) > 1 else ''} "
        "that Fanlight does not have.",
        where=path,
        expected=f"some of the {len(HANDLERS)} operators that docs/formats.md lists",
        received=tally(unknown),
        next="export the part of the model before these operators (post-processing often is the "
        "rest), or ask for them in an issue.",
    )


class _Import:
    """One import: operators in order, each turned into ops or known arrays."""

    def __init__(self, model: Model, signature: Signature, path: Path, options: Options) -> None:
        self.model = model
        self.signature = signature
        self.path = path
        self.options = options
        self.main: Subgraph = model.subgraphs[signature.subgraph]
        self.builder = Builder(path.stem)
        self.em = Emitter(self.builder)
        self.warnings: list[str] = []
        self.ports: list[Port] = []
        self.stateful = False
        # Operators in whole numbers, on a grid by float32 (kind -> count), of dynamic range
        self.whole, self.floats, self.dynamic = 0, dict[str, int](), 0

    def run(self) -> Source:
        tensors = self.main.tensors
        names = output_names(list(self.signature.inputs), [])
        entries = list(zip(names, self.signature.inputs.values(), strict=True))
        check_options(self.options, {n: tensors[i].dims for n, i in entries}, self.path)
        cells: dict[int, Cell] = {}
        for name, number in entries:
            cells[number] = self._input(name, number)
        for operator in self.main.operators:
            self._operator(operator, cells)
        return self._finish(cells)

    def _input(self, name: str, number: int) -> Cell:
        info = self.main.tensors[number]
        shape, batched = static_shape(name, info.dims, self.options, info.where)
        value = self.builder.input(name, shape, graph_dtype(info))
        self.ports.append(Port(value.name, info.name, batched))
        cell = Cell(info, clean(info.name))
        if cell.scale is not None:
            cell._byte = from_whole(self.em, value, info, name)
        else:
            cell._real = value
        return cell

    def _cell(self, number: int, cells: dict[int, Cell], where: str) -> Cell | None:
        """The cell of a tensor: computed before, or stored in the file."""
        if number < 0:
            return None
        if number not in cells:
            info = self.main.tensors[number]
            found = Cell.constant(self.model, info, clean(info.name))
            if found is None and info.variable:
                self.stateful = True
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
            cells[number] = found
        return cells[number]

    def _fresh(self, info: TensorInfo) -> Cell:
        """A state of the model: every run begins with zeros."""
        name, shape = clean(info.name), tuple(d or 1 for d in info.dims)
        return Cell.of(self.em, info, name, self.em.full(shape, 0, graph_dtype(info), name))

    def _operator(self, operator: Operator, cells: dict[int, Cell]) -> None:
        inputs = [self._cell(n, cells, operator.where) for n in operator.inputs]
        infos = [self.main.tensors[n] for n in operator.outputs if n >= 0]
        call = Call(operator, self.em, inputs, infos, self.warnings)
        try:
            made: Any = in_whole_numbers(call)
            self._count(call, made is not None)
            if made is None:
                made = HANDLERS[operator.kind](call)
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
            cells[number] = Cell.of(self.em, info, clean(info.name), result)

    def _told(self) -> list[str]:
        """What the reader did that a careful user would like to know."""
        told = []
        others = [s.key for s in self.model.signatures if s.key != self.signature.key]
        if others:
            told.append(
                f"of the signatures, {self.signature.key!r} was read; the others are "
                f"{', '.join(repr(k[:40]) for k in others[:8])}."
            )
        if self.whole or self.floats:
            counts = ", ".join(f"{kind} x{n}" for kind, n in sorted(self.floats.items()))
            told.append(
                f"quantised: {self.whole} operators compute in whole numbers"
                + (f"; in float32, and back onto their grid: {counts}." if counts else ".")
            )
        if self.stateful:
            told.append("the model keeps state between runs in LiteRT; here each begins at zero.")
        if self.dynamic:
            told.append(
                f"dynamic range: the 8-bit weights of {self.dynamic} operators were turned into "
                "float32; LiteRT rounds their inputs to 8 bits as well, so its answers differ by "
                "about one part in 100."
            )
        return told

    def _count(self, call: Call, whole: bool) -> None:
        """Note how a quantised operator was computed, for the report."""
        kind = call.operator.kind
        eight = any(info.grid is not None and info.type in ON_GRID for info in call.results)
        if whole:
            self.whole += 1
        elif eight and kind not in ("QUANTIZE", "DEQUANTIZE"):
            self.floats[kind] = self.floats.get(kind, 0) + 1
        elif kind != "DEQUANTIZE" and any(
            c is not None and c.stored is not None and c.info.grid is not None
            and c.info.type in ("int8", "uint8", "int4")
            for c in call.cells
        ):  # fmt: skip
            self.dynamic += 1

    def _finish(self, cells: dict[int, Cell]) -> Source:
        entries = list(self.signature.outputs.items())
        names = output_names([name for name, _ in entries], [p.name for p in self.ports])
        batch = any(p.batched for p in self.ports)
        outputs, ports = {}, []
        for name, (_, number) in zip(names, entries, strict=True):
            cell = self._cell(number, cells, str(self.path))
            assert cell is not None
            byte = cell.byte(self.em)
            tensor = (
                cell.real(self.em) if byte is None else to_whole(self.em, byte, cell.info, name)
            )
            outputs[name] = self.em.value(tensor, name)
            ports.append(Port(name, cell.info.name, batch and tuple(tensor.shape[:1]) == (1,)))
        about = read_about(self.model)
        return Source(
            graph=self.builder.finish(outputs),
            format="tflite",
            inputs=tuple(self.ports),
            outputs=tuple(ports),
            labels=about.labels,
            warnings=tuple(dict.fromkeys((*self._told(), *self.warnings, *about.warnings))),
            metadata=about.metadata,
        )

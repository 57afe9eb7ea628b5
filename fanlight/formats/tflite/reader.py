"""A .tflite file -> a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fanlight.formats.tfgraph.reader  # noqa: F401  (fills the table of TensorFlow's ops)
from fanlight.errors import FanlightError
from fanlight.formats.emitter import Emitter, Tensor, dtype_of
from fanlight.formats.files import Mapped
from fanlight.formats.inventory import Inventory, listed
from fanlight.formats.names import output_names, tally
from fanlight.formats.source import Options, Port, Source, check_options, static_shape
from fanlight.formats.tfgraph.call import Pair
from fanlight.formats.tflite import (  # noqa: F401  (fill the table)
    control,
    detection,
    more,
    neural,
    plain,
    recurrent,
)
from fanlight.formats.tflite.call import HANDLERS, Cell, clean, graph_dtype
from fanlight.formats.tflite.metadata import model_of_task, read_about
from fanlight.formats.tflite.model import (
    Model,
    Signature,
    Subgraph,
    parse_model,
)
from fanlight.formats.tflite.quantization import (
    from_whole,
    int16_of_real,
    real_of_int16,
    to_whole,
)
from fanlight.formats.tflite.scope import Report, Scope
from fanlight.formats.unread import Unread, in_front
from fanlight.graph import Builder


def read_tflite(path: Path, options: Options) -> Source:
    """Import a .tflite file.

    Raises:
        FanlightError: E-FORMAT-013 with every unsupported operator at once, and the other codes.
    """
    return read_model(_parsed(path), path, options)


def ops_of(path: Path, options: Options) -> Inventory:
    """The operators of a .tflite file that its signature needs."""
    model = _parsed(path)
    return _inventory(model, _signature(model, options.signature).subgraph)


def _parsed(path: Path) -> Model:
    file = Mapped(path, "E-FORMAT-001", "the model")
    data = file.view
    if not len(data):
        raise FanlightError(
            "E-FORMAT-005", "the file is empty.", where=path, expected="a flatbuffer", received=0
        )
    # MediaPipe's .task is a zip of models; a small one is a plain .tflite under that name.
    if bytes(data[:4]) == b"PK\x03\x04":
        data = memoryview(model_of_task(data, str(path)))
    return replace(parse_model(data, str(path)), forget=file.forget)


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
    signature = _signature(model, options.signature)
    if not options.readable:
        _refuse_unsupported(model, signature.subgraph, path)
    return _Import(model, signature, path, options).run()


def _signature(model: Model, key: str | None) -> Signature:
    """The signature of a name; of none the one that is usual, or one made of the tensors' names.

    Raises:
        FanlightError: E-FORMAT-018 there is none of this name.
    """
    if key is not None:
        found = next((s for s in model.signatures if s.key == key and s.outputs), None)
        if found is None:
            names = [s.key for s in model.signatures if s.outputs]
            raise FanlightError(
                "E-FORMAT-018",
                "the file has no signature of this name."
                if names
                else "the file has no signatures: its only graph is called by its tensors.",
                where=model.where,
                expected=", ".join(map(repr, names))[:600] or "no signature",
                received=repr(key)[:120],
                next=f"fl.load(path, signature={names[0]!r})." if names else "leave it out.",
            )
        return _in_file_order(model, found)
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


def _inventory(model: Model, number: int) -> Inventory:
    found: list[tuple[str, str]] = []
    waiting, seen = [number], set[int]()
    while waiting:
        number = waiting.pop()
        if number in seen or not 0 <= number < len(model.subgraphs):
            continue
        seen.add(number)
        for operator in model.subgraphs[number].operators:
            waiting += [v for k, v in operator.options.items() if k.endswith("subgraph_index")]
            found.append((operator.kind, operator.where.rsplit(", ", 1)[-1]))
    return listed(found, HANDLERS.__contains__)


def _refuse_unsupported(model: Model, number: int, path: Path) -> None:
    unknown = _inventory(model, number).unknown
    if not unknown:
        return
    main = model.subgraphs[number]

    def names(numbers: Sequence[int]) -> list[str]:
        return [clean(main.tensors[i].name) for i in numbers if i >= 0]

    rows = ((o.kind not in unknown, names(o.inputs), names(o.outputs)) for o in main.operators)
    raise FanlightError(
        "E-FORMAT-013",
        f"the model uses {len(unknown)} operator{'s' if len(unknown) > 1 else ''} "
        "that Fanlight does not have.",
        where=path,
        expected=f"some of the {len(HANDLERS)} operators that docs/formats.md lists",
        received=tally(unknown),
        next=f"{in_front(names(main.inputs), rows)}export the part of the model before these "
        "operators (post-processing often is the rest), or ask for them in an issue.",
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
        self.em = Emitter(self.builder, options.sketch)
        self.em.forget = model.forget
        self.report = Report()
        self.unread = Unread() if options.readable else None
        self.scope = Scope(model, self.main, self.em, self.report, unread=self.unread)
        self.ports: list[Port] = []

    def run(self) -> Source:
        tensors = self.main.tensors
        names = output_names(list(self.signature.inputs), [])
        entries = list(zip(names, self.signature.inputs.values(), strict=True))
        check_options(self.options, {n: tensors[i].dims for n, i in entries}, self.path)
        for name, number in entries:
            self.scope.cells[number] = self._input(name, number)
        self.scope.run()
        return self._finish()

    def _input(self, name: str, number: int) -> Cell:
        info = self.main.tensors[number]
        shape, batched = static_shape(name, info.dims, self.options, info.where)
        value = self.builder.input(name, shape, graph_dtype(info))
        self.ports.append(Port(value.name, info.name, batched))
        cell = Cell(info, clean(info.name))
        if cell.scale is not None:
            cell._byte = from_whole(self.em, value, info, name)
        elif info.type == "int16" and info.grid is not None:
            cell._real = real_of_int16(self.em, value, info, name)
        else:
            cell._real = value
        return cell

    def _whole(self, cell: Cell, name: str) -> Tensor:
        """An output of the model, in the whole numbers of the file where it has some."""
        byte = cell.byte(self.em)
        if byte is not None:
            return to_whole(self.em, byte, cell.info, name)
        real: Any = cell.real(self.em)
        if isinstance(real, Pair):
            raise FanlightError(
                "E-FORMAT-012",
                "an output of the model is complex.",
                where=cell.info.where,
                expected="real numbers: its real and imaginary part, or its magnitude",
                received=cell.info.name[:120],
            )
        if cell.info.type == "int16" and cell.info.grid is not None and dtype_of(real) == "float32":
            return int16_of_real(self.em, real, cell.info, name)
        return real

    def _told(self) -> list[str]:
        """What the reader did that a careful user would like to know."""
        told = []
        others = [s.key for s in self.model.signatures if s.key != self.signature.key]
        if others:
            told.append(
                f"of the signatures, {self.signature.key!r} was read; the others are "
                f"{', '.join(repr(k[:40]) for k in others[:8])}."
            )
        if self.report.whole or self.report.floats:
            counts = ", ".join(f"{kind} x{n}" for kind, n in sorted(self.report.floats.items()))
            told.append(
                f"quantised: {self.report.whole} operators compute in whole numbers, as LiteRT does"
                + (f"; in float32, up to a step away from LiteRT: {counts}." if counts else ".")
            )
        if self.report.stateful:
            told.append("the model keeps state between runs in LiteRT; here each begins at zero.")
        if self.report.dynamic:
            told.append(
                f"dynamic range: the 8-bit weights of {self.report.dynamic} operators were turned "
                "into float32; LiteRT rounds their inputs to 8 bits as well, so its answers differ "
                "by about one part in 100."
            )
        return told

    def _ends(self) -> list[tuple[str, int]]:
        """The outputs; where some are not read, what was read last in front of them, too."""
        own = list(self.signature.outputs.items())
        if self.unread is None:
            return own
        own = [(name, n) for name, n in own if n not in self.scope.lost]
        last = [n for n in self.scope.last if n in self.scope.cells]
        made = {clean(self.main.tensors[n].name): n for n in last}
        # Under names of their own: an output is in the whole numbers of the file.
        return [*own, *((f"{name}/read", n) for name, n in made.items() if name in self.em.results)]

    def _finish(self) -> Source:
        entries = self._ends()
        names = output_names([name for name, _ in entries], [p.name for p in self.ports])
        batch = any(p.batched for p in self.ports)
        outputs, ports = {}, []
        for name, (_, number) in zip(names, entries, strict=True):
            cell = self.scope.cell(number, str(self.path))
            assert cell is not None
            tensor = self._whole(cell, name)
            outputs[name] = self.em.value(tensor, name)
            ports.append(Port(name, cell.info.name, batch and tuple(tensor.shape[:1]) == (1,)))
        about = read_about(self.model)
        return Source(
            graph=self.builder.finish(outputs),
            format="tflite",
            inputs=tuple(self.ports),
            outputs=tuple(ports),
            labels=about.labels,
            warnings=tuple(dict.fromkeys((*self._told(), *self.report.warnings, *about.warnings))),
            metadata=about.metadata,
            results=self.em.results,
            unread=self.unread,
        )

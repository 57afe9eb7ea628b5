"""What is in a source: ops, layers, coverage, sizes; of what is not read, what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fanlight.convert.model import open_part
from fanlight.errors import FanlightError
from fanlight.formats.jsonfile import read_json


@dataclass(frozen=True)
class Report:
    """What can be said of a source.

    Attributes:
        format: as its reader calls it; None if it could not be read.
        ops: op of Fanlight -> how many nodes of the graph.
        inputs, outputs: "name: type".
        parameters, weight_bytes: of all weights.
        file_bytes: of the source.
        targets: what it can become.
        problem: why it cannot be read: op or layer, nodes, file, what to do.
    """

    source: str
    file_bytes: int
    format: str | None = None
    ops: Mapping[str, int] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    parameters: int = 0
    weight_bytes: int = 0
    targets: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problem: FanlightError | None = None

    @property
    def ok(self) -> bool:
        return self.problem is None

    def to_json(self) -> dict[str, Any]:
        made = {k: v for k, v in self.__dict__.items() if k != "problem"}
        made |= {"ok": self.ok, "ops": dict(self.ops)}
        made["problem"] = None if self.problem is None else self.problem.to_json()
        return made

    def __str__(self) -> str:
        lines = [f"{self.source}: {self.format or 'not read'}, {self.file_bytes:,} bytes"]
        if self.problem is not None:
            return "\n".join([*lines, "", str(self.problem)])
        lines += [f"  input   {i}" for i in self.inputs]
        lines += [f"  output  {o}" for o in self.outputs]
        lines.append(f"  weights {self.parameters:,} numbers, {self.weight_bytes:,} bytes")
        total = sum(self.ops.values())
        lines.append(f"  ops     {total} nodes, {len(self.ops)} kinds, all of them read")
        lines += [
            f"    {count:>6}  {op}" for op, count in sorted(self.ops.items(), key=lambda o: -o[1])
        ]
        lines.append(f"  becomes {', '.join(self.targets)}")
        lines += [f"  note    {note}" for note in self.notes]
        return "\n".join(lines)


def report_of(
    source: str,
    loading: Mapping[str, Any],
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
) -> Report:
    """Read a source, or the part of it, as far as that goes; what stops it is told."""
    size = _bytes(Path(source))
    try:
        opened = open_part(source, loading, inputs, outputs)
    except FanlightError as problem:
        return Report(source, size, problem=problem)
    graph = opened.graph
    targets = ["tfjs-graph", "onnx", "safetensors", "bundle"]
    if opened.layers is not None:
        targets = ["tfjs-layers", "keras", "h5", *targets]
    return Report(
        source,
        size,
        opened.format,
        Counter(node.op for node in graph.nodes),
        tuple(f"{v.name}: {v.type}" for v in graph.inputs),
        tuple(f"{n}: {v.type}" for n, v in graph.outputs),
        sum(a.size for a in graph.weights.values()),
        graph.weight_bytes(),
        tuple(targets),
        (*opened.warnings, *filter(None, [opened.left_out])),
    )


def _bytes(path: Path) -> int:
    """Of the file, with the weight files that a model.json names; of a folder, of all in it."""
    if path.is_dir():
        return sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
    size = path.stat().st_size
    if path.suffix.lower() != ".json":
        return size
    try:
        groups = read_json(path)["weightsManifest"]
        names = {str(name) for group in groups for name in group["paths"]}
    except (FanlightError, LookupError, TypeError):  # the reader tells what is wrong with it
        return size
    beside = [path.parent / name for name in names if Path(name).name == name]
    return size + sum(f.stat().st_size for f in beside if f.is_file())

"""What is in a source: ops, layers, coverage, sizes; of what is not read, what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fanlight.convert.model import Opened, Reading, open_for
from fanlight.errors import FanlightError
from fanlight.formats.detect import ops_of
from fanlight.formats.inventory import Inventory
from fanlight.formats.jsonfile import read_json
from fanlight.formats.keras.config import LAMBDA_CODE
from fanlight.formats.source import make_options
from fanlight.layers.core import replacement
from fanlight.layers.registry import find, known
from fanlight.layers.tfjs_form import Form

_USUAL = Reading()


@dataclass(frozen=True)
class Report:
    """What can be said of a source.

    Attributes:
        format: as its reader calls it; None if it could not be read.
        found: the source's own ops or layers, and which of them are read; None if not even these
            can be told.
        ops: op of Fanlight -> how many nodes of the graph.
        inputs, outputs: "name: type".
        parameters, weight_bytes: of all weights.
        file_bytes: of the source.
        targets: what it can become.
        problem: why it cannot be read: op or layer, nodes, file, what to do.
    """

    source: str
    file_bytes: int
    found: Inventory | None = None
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
        made = {k: v for k, v in self.__dict__.items() if k not in ("problem", "found")}
        made |= {"ok": self.ok, "ops": dict(self.ops), "contents": None, "coverage": None}
        if self.found is not None:
            made["coverage"] = round(self.found.coverage, 6)
            made["contents"] = {
                kind: {"count": len(names), "read": kind not in self.found.unread}
                for kind, names in self.found.found.items()
            }
        made["problem"] = None if self.problem is None else self.problem.to_json()
        return made

    def __str__(self) -> str:
        lines = [f"{self.source}: {self.format or 'not read'}, {self.file_bytes:,} bytes"]
        lines += [f"  input   {i}" for i in self.inputs]
        lines += [f"  output  {o}" for o in self.outputs]
        if self.ok:
            lines.append(f"  weights {self.parameters:,} numbers, {self.weight_bytes:,} bytes")
        lines += _contents(self.found, self.ok) if self.found else []
        if self.problem is not None:
            return "\n".join([*lines, "", str(self.problem)])
        lines.append(f"  becomes {sum(self.ops.values())} nodes of Fanlight")
        lines += _counts(self.ops)
        lines.append(f"  and can be written as {', '.join(self.targets)}")
        lines += [f"  note    {note}" for note in self.notes]
        return "\n".join(lines)


def _contents(found: Inventory, ok: bool) -> list[str]:
    """The source's own ops, those that are not read first, with the nodes that have them."""
    counts = {kind: len(names) for kind, names in found.found.items()}
    kinds, missing = len(counts), len(found.unread)
    what, one = ("layers", "layer") if found.layers else ("ops", "node")
    said = "all of them read" if not missing else f"{kinds - missing} of them read"
    lines = [
        f"  {what:<7} {sum(counts.values())} of {kinds} kinds, {said}: {_percent(found.coverage)} "
        f"of the {one}s"
    ]
    for kind, names in sorted(found.unknown.items(), key=lambda item: -len(item[1])):
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        lines.append(f"    {len(names):>6}  {kind}   NOT READ: {', '.join(names[:3])}{more}")
    lines += _counts({k: n for k, n in counts.items() if k not in found.unread})
    if not ok and not missing:
        lines.append("  Every kind is known; what stops the reading is one use of them:")
    return lines


def _percent(part: float) -> str:
    """A fraction for people; never 100 % of less than all."""
    return "100 %" if part == 1 else f"{min(part * 100, 99.9):.1f} %"


def _counts(found: Mapping[str, int]) -> list[str]:
    return [f"    {n:>6}  {kind}" for kind, n in sorted(found.items(), key=lambda o: (-o[1], o[0]))]


def report_of(source: str, reading: Reading = _USUAL) -> Report:
    """Read a source, or the part of it, as far as that goes; what stops it is told."""
    size = _bytes(Path(source))
    found = _found(Path(source), reading)
    try:
        opened = open_for("tfjs", source, reading)  # layers may leave sizes open
    except FanlightError as problem:
        return Report(source, size, found, problem=problem)
    graph = opened.graph
    layered, lacking = _of_layers(opened)
    targets = [*layered, "tfjs-graph", "onnx", "safetensors", "bundle"]
    return Report(
        source,
        size,
        found,
        opened.format,
        Counter(node.op for node in graph.nodes),
        tuple(f"{v.name}: {v.type}" for v in graph.inputs),
        tuple(f"{n}: {v.type}" for n, v in graph.outputs),
        sum(a.size for a in graph.weights.values()),
        graph.weight_bytes(),
        tuple(targets),
        (
            *opened.warnings,
            *filter(None, [opened.left_out, _open_sizes(opened.open_sizes), lacking]),
        ),
    )


def _of_layers(opened: Opened) -> tuple[list[str], str | None]:
    """What can be made of a source's layers; and what to say of layers that TF.js has not."""
    if opened.layers is None:
        return [], None
    try:
        model = opened.layers()
    except FanlightError:  # read as graphs alone
        return [], None
    try:
        Form().topology(model)
    except FanlightError as error:
        return ["keras", "h5"], f"Not as tfjs-layers, for TF.js has not: {error.received}"
    return ["tfjs-layers", "keras", "h5"], None


def _open_sizes(problem: FanlightError | None) -> str | None:
    """What to say of sizes that a source of layers leaves open."""
    if problem is None:
        return None
    return (
        f"{problem.message} Layers keep it open, and the sizes above are examples; a graph needs "
        "it: give size or input_shapes."
    )


def _found(path: Path, reading: Reading) -> Inventory | None:
    """The source's own ops; None where the reading, which follows, says what is wrong."""
    try:
        found = ops_of(path, make_options(**vars(reading)))
    except FanlightError:
        return None
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError,
            MemoryError, OSError):  # fmt: skip
        return None
    # Layers that are not read as graphs are made as fl.load_model makes them.
    unread = {k for k in found.unread if not (found.layers and _is_layer(k, found.found[k]))}
    return replace(found, unread=frozenset(unread))


def _is_layer(kind: str, names: Sequence[str]) -> bool:
    """Whether fl.load_model makes layers of a kind, and of a Lambda all that have these names."""
    if kind == LAMBDA_CODE:
        return all(replacement(name) for name in names)
    return kind in known() or find(kind) is not None


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

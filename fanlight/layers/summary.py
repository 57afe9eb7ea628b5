"""`model.summary()`: the layers of a model as a table."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from fanlight.layers.describe import calls_of, node_places
from fanlight.layers.layer import Layer
from fanlight.layers.model import Model, Sequential


def shape_text(shape: Sequence[int | None]) -> str:
    """(None, 28, 28, 1)."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def shown_shape(shapes: Any) -> str:
    """A shape, or those of several results."""
    if isinstance(shapes, Mapping):
        return ", ".join(f"{k}: {shape_text(v)}" for k, v in shapes.items())
    return ", ".join(shape_text(s) for s in shapes)


def size_text(count: int) -> str:
    """208.00 B, 1.50 KB, ..."""
    size = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            break
        size /= 1024
    return f"{size:.2f} {unit}"


def _bytes(weights: Sequence[Any]) -> int:
    return sum(w.size * (1 if w.dtype in ("bool", "uint8") else 4) for w in weights)


def summary(
    model: Model,
    line_length: int | None,
    print_fn: Any,
    expand_nested: bool,
    show_trainable: bool,
) -> None:
    """See `Model.summary`."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    connected = model.functional and not isinstance(model, Sequential)
    table = Table(show_lines=connected or expand_nested)
    table.add_column("Layer (type)", overflow="fold")
    table.add_column("Output Shape", overflow="fold")
    table.add_column("Param #", justify="right")
    if connected:
        table.add_column("Connected to", overflow="fold")
    if show_trainable:
        table.add_column("Trains", justify="center")
    for depth, layer, sources in _rows(model, expand_nested, 0):
        cells: list[Any] = [
            Text(f"{'  ' * depth}{layer.name} ({_kind(layer)})"),
            Text(_output(layer)),
            Text(f"{layer.count_params():,}" if layer.built else "not built"),
        ]
        if connected:
            cells.append(Text("\n".join(sources)))
        if show_trainable:
            cells.append(Text(_trains(layer)))
        table.add_row(*cells)
    console = Console(width=line_length) if print_fn is None else None
    if console is None:
        target = io.StringIO()
        console = Console(file=target, width=line_length or 88, color_system=None)
    console.print(Text(f'Model: "{model.name}"', style="bold"))
    console.print(table)
    for line in _totals(model):
        console.print(Text(line))
    if print_fn is not None:
        print_fn(target.getvalue())


def _kind(layer: Layer) -> str:
    return "Functional" if type(layer) is Model else type(layer).__name__


def _rows(model: Model, expand: bool, depth: int) -> list[tuple[int, Layer, list[str]]]:
    """Depth, layer, and the names of what it takes."""
    functional = model.functional and not isinstance(model, Sequential)
    places = node_places(model) if functional else {}
    found: list[tuple[int, Layer, list[str]]] = []
    for layer in model.layers:
        sources = []
        if functional:
            for node in calls_of(model, layer):
                sources += [
                    f"{s.node.layer.name}[{places.get(id(s.node), 0)}][{s.index}]"
                    for s in node.inputs
                ]
        found.append((depth, layer, sources or ["-"]))
        if expand and isinstance(layer, Model):
            found += _rows(layer, expand, depth + 1)
    return found


def _output(layer: Layer) -> str:
    """The shapes of what a layer gives, where it was called once or always alike."""
    if isinstance(layer, Model) and layer.functional:
        return shown_shape([s.shape for s in layer.outputs])
    calls = {tuple(s.shape for s in n.outputs): None for n in layer.nodes if n.outputs}
    return " / ".join(shown_shape(shapes) for shapes in calls) if calls else "?"


def _trains(layer: Layer) -> str:
    if not layer.weights:
        return "-"
    return "yes" if layer.trainable_weights else "no"


def _totals(model: Model) -> list[str]:
    """Numbers of weights; those of the optimizer too, where it has a state."""
    train, rest = model.trainable_weights, model.non_trainable_weights
    optimizer = model.optimizer
    state = optimizer.variables if optimizer is not None and optimizer.trained else []
    lines = []
    rows = [("Total", [*train, *rest, *state]), ("Trainable", train), ("Non-trainable", rest)]
    if state:
        rows.append(("Optimizer", state))
    for name, weights in rows:
        count = sum(w.size for w in weights)
        lines.append(f" {name} params: {count:,} ({size_text(_bytes(weights))})")
    return lines


__all__ = ["shape_text", "shown_shape", "size_text", "summary"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

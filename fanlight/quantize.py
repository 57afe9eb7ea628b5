"""fl.quantize: a float model and calibration data in, a model that computes in int8 out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fanlight.calibration import LIMIT, Items, read_items, without_outliers
from fanlight.errors import FanlightError
from fanlight.formats.model import Model
from fanlight.formats.source import Port, Source
from fanlight.graph import Graph
from fanlight.graph.evaluate import check_inputs, evaluate
from fanlight.layers.foreign import refuse_model
from fanlight.models import tasks
from fanlight.passes.quantize import Report, quantize_graph
from fanlight.passes.quantize.search import Advance


class QuantizedModel(Model):
    """A model that computes in int8; used like any other.

    Attributes:
        report: what was done to each layer, and what it cost; prints as a table.
        origin: the float graph that it was made of.
    """

    def __init__(self, source: Source, report: Report, origin: Graph) -> None:
        super().__init__(source)
        self.report = report
        self.origin = origin


def quantize(
    model: Any,
    calibration: Any = None,
    *,
    task: Any = None,
    limit: int = LIMIT,
    float_layers: Collection[str] | str = "auto",
    progress: Advance = lambda title, share: None,
) -> QuantizedModel:
    """Quantise a trained model: int8 weights, bytes in between, integers all the way.

    Convolutions and dense layers with constant weights compute in int8, and so does what lies
    between them; the rest stays float32. See docs/quantization.md for how, and for what it costs.

    Args:
        model: a loaded model (anything with `.graph`), or a Graph.
        calibration: inputs such as the model will see; needed (E-CALIB-001 says what to give).
            Photos: a folder, a .tar, a list of paths, or uint8 arrays [h, w, 3 or 4] in any form.
            Or the model's own inputs: an array [n, ...], a dict of those by input name, or an
            iterable (or a callable that returns one) of single items. 100 to 200 are enough.
        task: how photos are prepared; default: `fl.tasks.classify()`.
        limit: how many items to use at most.
        float_layers: names of layers that stay float32; "auto": those that int8 would harm.
        progress: called with what is going on and the share of the work done, 0 to 1.

    Returns:
        A model with `.graph` and `.report`: run it, or build it: `fl.build(quantized, "site/")`.

    Raises:
        FanlightError: E-CALIB-00x; E-BUILD-003 photos for a model that takes none; E-INPUT-00x
            arrays that do not fit the model.
    """
    refuse_model(model)
    if not isinstance(model, Graph) and not hasattr(model, "graph"):
        raise FanlightError(
            "E-CALIB-005",
            "this is not a model that can be quantised.",
            where="model",
            expected="what fl.load gives, or a graph",
            received=repr(model)[:200],
            next="load it first: fl.quantize(fl.load(path), photos).",
        )
    graph: Graph = model if isinstance(model, Graph) else model.graph
    if is_quantized(graph):
        raise FanlightError(
            "E-CALIB-005",
            "the model is quantised already.",
            where=graph.name,
            expected="a float32 model",
            received="weights of int8",
            next="use it as it is.",
        )
    if not isinstance(limit, int) or limit < 1:
        raise FanlightError(
            "E-CALIB-001",
            "no calibration data may be used.",
            where="limit",
            expected="a number of items, at least 1",
            received=limit,
        )
    items = read_items(calibration, limit=limit)
    notes = []
    if items.skipped:
        notes.append(
            f"{len(items.skipped)} files could not be read and were left out: {items.skipped[0]}"
        )
    ends: list[dict[str, np.ndarray]] = []
    if items.pictures:
        chosen = tasks.classify() if task is None else task
        data, ends = _prepared(graph, items, chosen)
    else:
        data = [_named(graph, arrays) for arrays in items.arrays]
        data, left_out = without_outliers(data)
        if left_out:
            notes.append(f"{left_out} items with numbers 100 times the usual were left out")
    done = quantize_graph(
        graph, data, ends=ends, float_layers=float_layers, notes=notes, advance=progress
    )
    return QuantizedModel(_source(model, done.graph), done.report, graph)


def in_bytes(model: Any, precision: str, calibration: Any, task: Any) -> Any:
    """What a build of a precision with calibration data starts from: the model, quantised.

    Raises:
        FanlightError: E-BUILD-005 calibration data without precision int8; as `quantize`.
    """
    if precision != "int8":
        raise FanlightError(
            "E-BUILD-005",
            f"calibration data have no use in a build of precision {precision}.",
            where="calibration",
            expected='precision="int8"',
            received=precision,
        )
    if is_quantized(model if isinstance(model, Graph) else model.graph):
        return model
    check_task(task, model)
    return quantize(model, calibration, task=task)


def check_task(task: Any, model: Any) -> None:
    """Apply the task to the float model: what does not fit is told before a minute of calibration.

    Raises:
        FanlightError: E-BUILD-00x, as a build does afterwards.
    """
    if hasattr(task, "apply"):
        graph = model if isinstance(model, Graph) else model.graph
        task.apply(graph, getattr(model, "labels", None))


def settled(task: Any, model: Any) -> Any:
    """The task, with what only the float model tells: the range of its input."""
    if isinstance(model, QuantizedModel) and hasattr(task, "settled"):
        return task.settled(model.origin)
    return task


def is_quantized(graph: Graph) -> bool:
    """Whether a graph computes in int8."""
    return any(array.dtype == np.int8 for array in graph.weights.values())


def _source(model: Any, graph: Graph) -> Source:
    source = getattr(model, "source", None)
    if isinstance(source, Source):
        return replace(source, graph=graph)
    inputs = tuple(Port(v.name, v.name, False) for v in graph.inputs)
    outputs = tuple(Port(name, name, False) for name, _ in graph.outputs)
    return Source(graph, "graph", inputs, outputs, getattr(model, "labels", None))


def _prepared(
    graph: Graph, items: Items, task: Any
) -> tuple[list[dict[str, np.ndarray]], list[dict[str, np.ndarray]]]:
    """Photos as the model's input, as the task prepares them; and a black and a white one."""
    if not hasattr(task, "preprocess"):
        raise FanlightError(
            "E-CALIB-002",
            "this task does not say how it prepares a photo.",
            where="task",
            expected="a task such as fl.tasks.classify()",
            received=task,
            next="prepare the photos yourself and give arrays as the model takes them.",
        )
    before = task.preprocess(graph)
    name = graph.inputs[0].name

    def prepare(picture: np.ndarray) -> dict[str, np.ndarray]:
        return {name: evaluate(before, {"image": _rgba(picture)})["input"]}

    data = [prepare(p) for p in items.pictures]
    ends = [prepare(np.full((8, 8, 3), byte, np.uint8)) for byte in (0, 255)]
    return data, ends


def _rgba(picture: np.ndarray) -> np.ndarray:
    if picture.shape[2] == 4:
        return picture
    opaque = np.full((*picture.shape[:2], 1), 255, np.uint8)
    return np.concatenate([picture, opaque], axis=2)


def _named(graph: Graph, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One item as the graph's inputs: by name, with the leading 1 that an item may lack."""
    inputs = {v.name: v for v in graph.inputs}
    if set(arrays) == {""} and len(inputs) == 1:
        arrays = {next(iter(inputs)): arrays[""]}
    found: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        value = inputs.get(name)
        if value is not None:
            if value.dtype == "float32":
                array = array.astype(np.float32)
            if array.shape == tuple(value.shape[1:]) and value.shape[:1] == (1,):
                array = array[None]
        found[name] = array
    return check_inputs(graph, found)


__all__: Sequence[str] = ["QuantizedModel", "is_quantized", "quantize"]

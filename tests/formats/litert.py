"""The LiteRT interpreter as an oracle for .tflite files: networks, and each operator alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight.formats.tflite.reader  # noqa: F401  (fills the table of operators)
from fanlight.formats.emitter import Emitter
from fanlight.formats.tflite.call import HANDLERS, Call, Cell
from fanlight.formats.tflite.int8 import in_whole_numbers
from fanlight.formats.tflite.model import Model, Operator, parse_model
from fanlight.graph import Builder, Value, evaluate

NUMBERS = {"float32": "f4", "int32": "i4", "int64": "i4", "int16": "i4", "int8": "i4",
           "uint8": "u1", "bool": "?"}  # fmt: skip


def interpreter(data: bytes, kernels: str = "xnnpack", keep: bool = False) -> Any:
    """LiteRT's interpreter of a file.

    Args:
        kernels: "xnnpack" for what LiteRT takes by itself, "optimised" or "reference".
        keep: whether all tensors can be had afterwards; XNNPACK does not let them.
    """
    module = pytest.importorskip(
        "ai_edge_litert.interpreter", reason="no ai-edge-litert: LiteRT is not compared"
    )
    kinds = module.OpResolverType
    resolvers = {
        "xnnpack": kinds.AUTO,
        "optimised": kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        "reference": kinds.BUILTIN_REF,
    }
    made = module.Interpreter(
        model_content=data,
        experimental_op_resolver_type=resolvers[kernels],
        experimental_preserve_all_tensors=keep,
    )
    made.allocate_tensors()
    return made


def noise(details: Any, rng: np.random.Generator) -> np.ndarray:
    """An input that uses the whole range of its type."""
    dtype, shape = np.dtype(details["dtype"]), details["shape"]
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        narrow = dtype.itemsize == 1
        low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max + 1) if narrow else (0, 3)
        return rng.integers(low, high, shape).astype(dtype)
    return rng.uniform(-1, 1, shape).astype(dtype)


def operators(path: Path, kernels: str = "optimised") -> Iterator[tuple[Operator, float]]:
    """Each operator of a network and our worst difference from LiteRT's result for LiteRT's own
    inputs: in steps of the grid for 8-bit results, relative to the largest number else."""
    data = path.read_bytes()
    litert = interpreter(data, kernels, keep=True)
    rng = np.random.default_rng(0)
    for details in litert.get_input_details():
        litert.set_tensor(details["index"], noise(details, rng))
    litert.invoke()
    model = parse_model(memoryview(data), path.name)
    tensors = model.subgraphs[0].tensors
    for operator in model.subgraphs[0].operators:
        yield operator, _one(model, operator, tensors, litert)


def _one(model: Model, operator: Operator, tensors: Any, litert: Any) -> float:
    builder = Builder("operator")
    em = Emitter(builder)
    cells: list[Cell | None] = []
    given: dict[str, np.ndarray] = {}
    for number in operator.inputs:
        info = tensors[number]
        cell = Cell.constant(model, info, "c") if number >= 0 else None
        if cell is None and number >= 0:
            array = litert.get_tensor(number)
            cell = Cell(info, "c")
            if cell.scale is not None:
                array = (array.astype(np.int16) + (info.type == "int8") * 128).astype(np.uint8)
            else:
                array = array.astype(NUMBERS[array.dtype.name])
            name = f"x{len(given)}"
            given[name] = array
            # Small whole numbers may be shapes, which an importer must know.
            value = (
                array
                if array.dtype.kind == "i"
                else builder.input(name, array.shape, array.dtype.name)
            )
            if isinstance(value, np.ndarray):
                del given[name]
            if cell.scale is not None:
                cell._byte = value
            else:
                cell._real = value
        cells.append(cell)
    infos = [tensors[n] for n in operator.outputs]
    call = Call(operator, em, cells, infos, [])
    made: Any = in_whole_numbers(call) or HANDLERS[operator.kind](call)
    made = made if isinstance(made, list | tuple) else [made]
    worst = 0.0
    for number, info, result in zip(operator.outputs, infos, made, strict=False):
        cell = Cell.of(em, info, "y", result)
        byte = cell.byte(em)
        tensor = cell.real(em) if byte is None else byte
        if isinstance(tensor, Value):
            tensor = _value(builder, tensor, given)
        wanted = litert.get_tensor(number).astype(np.float64)
        found = np.asarray(tensor, np.float64) - (
            128 if byte is not None and info.type == "int8" else 0
        )
        assert found.shape == wanted.shape, operator
        apart = float(np.abs(found - wanted).max(initial=0))
        if byte is None:
            apart /= max(1.0, float(np.abs(wanted).max(initial=0)))
        worst = max(worst, apart)
    return worst


def _value(builder: Builder, value: Value, given: dict[str, np.ndarray]) -> np.ndarray:
    if value.name in given:
        return given[value.name]
    graph = builder.finish({"out": value})
    return np.asarray(evaluate(graph, {v.name: given[v.name] for v in graph.inputs})["out"])

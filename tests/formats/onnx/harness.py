"""One generated node test of ONNX: load it, evaluate the graph, compare.

Node tests give everything as inputs of the graph, also what models have as constants (axes, sizes,
scales): what decides shapes has to be known at import, so a case that is refused for that reason
(E-FORMAT-019) is loaded again with inputs made constants, first those of whole numbers without
dims or with one, then all but the first, then all.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fanlight import dtypes
from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.formats.source import Source
from fanlight.graph import evaluate


@cache
def cases() -> dict[str, Any]:
    """The node tests by name."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {case.name: case for case in collect_testcases(None)}


def frozen(model: Any, given: list[Any], chosen: list[int]) -> Any:
    """A copy of the model whose inputs of these numbers are constants."""
    import onnx
    from onnx import numpy_helper

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    names = [i.name for i in copy.graph.input]
    for index in chosen:
        array = np.asarray(given[index])
        copy.graph.initializer.append(numpy_helper.from_array(array, names[index]))
    kept = [i for n, i in enumerate(copy.graph.input) if n not in chosen]
    del copy.graph.input[:]
    copy.graph.input.extend(kept)
    return copy


def _array(x: Any) -> Any:
    """Tensors of types that NumPy does not have come as messages."""
    from onnx import TensorProto, numpy_helper

    return numpy_helper.to_array(x) if isinstance(x, TensorProto) else x


def _arrays(given: list[Any]) -> bool:
    return all(isinstance(x, np.ndarray | np.generic | int | float) for x in given)


def attempts(given: list[Any]) -> list[list[int]]:
    """Which inputs are made constants, from none to all."""
    arrays = [np.asarray(x) for x in given]
    small = [i for i, a in enumerate(arrays) if i and a.ndim < 2 and a.dtype.kind in "iub"]
    rest = [i for i in range(len(arrays)) if i]
    made: list[list[int]] = [[], small, rest, list(range(len(arrays)))]
    return [m for i, m in enumerate(made) if m not in made[:i]]


def run(case: Any, folder: Path) -> str:
    """How much was constant: "0", "1", ... Raises what goes wrong."""
    given, wanted = ([_array(x) for x in part] for part in case.data_sets[0])
    given = [np.asarray(x) for x in given] if _arrays(given) else given
    if not _arrays(given):
        raise FanlightError("E-FORMAT-012", "an input of the model is a sequence", where=case.name)
    for level, chosen in enumerate(attempts(given)):
        model = frozen(case.model, given, chosen)
        path = folder / "model.onnx"
        path.write_bytes(model.SerializeToString())
        try:
            source = load_graph(path)
        except FanlightError as error:
            last = [] if level + 1 >= len(attempts(given)) else [1]
            text = str(error)
            if last and (error.code == "E-FORMAT-019" or "depend" in text):
                continue
            raise
        rest = [x for i, x in enumerate(given) if i not in chosen]
        inputs = {
            v.name: narrowed(x, v.dtype) for v, x in zip(source.graph.inputs, rest, strict=True)
        }
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = evaluate(source.graph, inputs)
        compare(meant(source, made), wanted, case.rtol, case.atol)
        return str(level)
    raise AssertionError("no attempt")


def meant(source: Source, made: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of the model; those that are as long as they can be are cut to their counts."""
    found = re.findall(
        r"output '(\S+)' is as long as .*? along dim (\d+)", "\n".join(source.warnings)
    )
    axes = {name: int(axis) for name, axis in found}
    cut = []
    for name, array in made.items():
        if name in axes:
            array = np.take(array, range(int(made[f"{name}_count"])), axes[name])
        if not (name.endswith("_count") and name.removesuffix("_count") in axes):
            cut.append(array)
    return cut


def narrowed(x: np.ndarray, dtype: str) -> np.ndarray:
    """An array of the test as an input of our graph."""
    with np.errstate(all="ignore"), contextlib.suppress(OverflowError):
        return np.ascontiguousarray(x.astype(dtypes.to_numpy(dtype))).reshape(x.shape)
    return x


def compare(made: list[np.ndarray], wanted: list[Any], rtol: float, atol: float) -> None:
    """Equal within the tolerance of the case; of 16-bit floats within their last bit."""
    assert len(made) == len(wanted)
    for own, other in zip(made, wanted, strict=True):
        other = np.asarray(other)
        assert own.shape == other.shape, f"shape {own.shape}, wanted {other.shape}"
        if other.dtype.kind in "iub":
            np.testing.assert_array_equal(own.astype(np.int64), other.astype(np.int64))
        else:
            # We compute in float32; what such a type rounds away is its own.
            fine = {"float16": 2.0**-9, "bfloat16": 2.0**-6}.get(other.dtype.name, 0.0)
            with np.errstate(all="ignore"):
                wide = other.astype(np.float32)
            # Weights of a build are finite: an infinity of a mask is a very large number here.
            own, wide = (np.where(np.abs(t) > 1e29, np.copysign(np.inf, t), t) for t in (own, wide))
            np.testing.assert_allclose(
                own.astype(np.float32), wide, rtol=max(rtol, fine), atol=max(atol, 1e-6, fine / 4)
            )

"""Importers of ai.onnx.ml: what stands before and behind models of classic machine learning."""

from __future__ import annotations

import math

import numpy as np

from fanlight.formats.emitter import Tensor
from fanlight.formats.onnx import kinds
from fanlight.formats.onnx.call import Call, importer


def _reals(call: Call, name: str, default: float, count: int) -> np.ndarray:
    """Numbers of an attribute: one for all features, or one for each."""
    found = call.items(name) or [default]
    if len(found) not in (1, count) or not all(isinstance(v, float) for v in found):
        raise call.refuse(f"{name} does not fit", expected=f"1 or {count}", received=len(found))
    return np.asarray(found, np.float32)


def _features(call: Call) -> tuple[Tensor, int]:
    x = call.f32()
    if not x.shape:
        raise call.refuse("its input has no features", expected="[..., n]", received="[]")
    call.made_kinds[0] = kinds.FLOAT
    return x, x.shape[-1]


@importer("ai.onnx.ml.Binarizer")
def binarizer(call: Call) -> Tensor:
    x = call.f32()
    call.made_kinds[0] = call.kind(0)
    above = call.op("greater", x, call.const(call.real("threshold")), part="above")
    return call.cast(above, "float32", "bit")


@importer("ai.onnx.ml.ArrayFeatureExtractor")
def array_feature_extractor(call: Call) -> Tensor:
    """X [..., n], places -> X at these places of the last dim; of a row, [1, m]."""
    x, places = call.x(0), call.ints(1, "the places")
    if not x.shape or not all(-x.shape[-1] <= p < x.shape[-1] for p in places):
        raise call.refuse("a place does not exist", expected=list(x.shape), received=places[:8])
    at = np.asarray([p % x.shape[-1] for p in places], np.int32)
    call.made_kinds[0] = call.kind(0)
    y = call.op("gather", x, at, axis=len(x.shape) - 1)
    return call.reshape(y, (1, len(at)), "row") if len(x.shape) == 1 else y


@importer("ai.onnx.ml.Scaler")
def scaler(call: Call) -> Tensor:
    """(x - offset) * scale."""
    x, count = _features(call)
    centred = call.op("sub", x, _reals(call, "offset", 0.0, count), part="centred")
    return call.op("mul", centred, _reals(call, "scale", 1.0, count))


@importer("ai.onnx.ml.Normalizer")
def normalizer(call: Call) -> Tensor:
    """Rows divided by their greatest size, the sum of their sizes, or their length."""
    x, _ = _features(call)
    kind = call.text("norm", "MAX")
    if kind not in ("MAX", "L1", "L2"):
        raise call.refuse("unknown norm", expected="MAX, L1 or L2", received=kind[:40])
    size = call.op("square" if kind == "L2" else "abs", x, part="size")
    over = "max" if kind == "MAX" else "sum"
    norm = call.op(over, size, part="norm", axes=(len(x.shape) - 1,), keepdims=True)
    return call.op("div_no_nan", x, call.op("sqrt", norm, part="root") if kind == "L2" else norm)


@importer("ai.onnx.ml.Imputer")
def imputer(call: Call) -> Tensor:
    """Other numbers where a number is missing: NaN, or what `replaced_value_float` says."""
    x, count = _features(call)
    missing = call.real("replaced_value_float", 0.0)
    if "imputed_value_floats" not in call.attributes:
        raise call.refuse("it has no numbers to put there", expected="imputed_value_floats")
    gone = (
        call.op("is_nan", x, part="missing")
        if math.isnan(missing)
        else call.op("equal", x, call.const(missing), part="missing")
    )
    return call.op("select", gone, _reals(call, "imputed_value_floats", 0.0, count), x)

"""Importers of what is a function of tensors here: einsum, images, three dims, matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fanlight.formats.emitter import Tensor
from fanlight.formats.tfgraph.call import HANDLERS, Call, Handler, importer
from fanlight.tensor import functions as fn
from fanlight.tensor import image, linalg, windows
from fanlight.tensor.einsum import einsum as summed

_SIDE = 1 << 14  # pixels: a picture of more is no model's
_TAPS = 1 << 10  # elements of a window that is written out


@importer("Einsum")
def einsum(call: Call) -> Any:
    equation = call.attrs.text("equation")
    return call.function(lambda *xs: summed(equation, *xs), *call.inputs)


# --- pictures -------------------------------------------------------------------------------------


def _size(call: Call, index: int) -> tuple[int, int]:
    size = call.ints(index, "the size")
    if len(size) != 2 or not all(1 <= n <= _SIDE for n in size):
        raise call.refuse("the size is none", expected=f"two of 1 to {_SIDE}", received=size[:8])
    return size[0], size[1]


@importer("CropAndResize")
def crop_and_resize(call: Call) -> Any:
    size = _size(call, 3)
    method = call.attrs.text("method", "bilinear").lower()
    outside = call.attrs.real("extrapolation_value", 0.0)
    return call.function(
        lambda x, boxes, which: image.crop_and_resize(x, boxes, which, size, method, outside),
        *(call.x(i) for i in range(3)),
    )


@importer("ImageProjectiveTransformV2", "ImageProjectiveTransformV3")
def transform(call: Call) -> Any:
    size = _size(call, 2)
    how = call.attrs.text("interpolation", "NEAREST").lower()
    mode = call.attrs.text("fill_mode", "CONSTANT").lower()
    value = call.real(3, "the fill value") if len(call.inputs) > 3 else 0.0
    return call.function(
        lambda x, t: image.transform(x, t, how, mode, value, size), call.x(0), call.x(1)
    )


# --- windows --------------------------------------------------------------------------------------


def _per_dim(call: Call, name: str, count: int) -> tuple[int, ...]:
    """The entries of the space dims of a list over all dims."""
    values = call.attrs.ints(name) or (1,) * (count + 2)
    inner = values[1:-1]
    if len(values) != count + 2 or not all(1 <= n < 1 << 20 for n in values):
        raise call.refuse(f"{name} are not {count + 2} sizes", received=values[:8])
    if values[0] != 1 or values[-1] != 1:
        raise call.refuse(f"{name} over batch or channels", expected="1", received=values)
    return inner


def _window(call: Call, name: str, count: int) -> tuple[int, ...]:
    found, taps = _per_dim(call, name, count), 1
    for n in found:
        taps *= n
    if taps > _TAPS:
        raise call.refuse("the window is too large", expected=f"{_TAPS} places", received=found)
    return found


def _padding(call: Call) -> str:
    kind = call.attrs.text("padding", "VALID").lower()
    if kind not in ("same", "valid"):
        raise call.refuse("unknown padding", expected="SAME or VALID", received=kind[:40])
    return kind


def _last(call: Call, layout: str) -> None:
    given = call.attrs.text("data_format", layout).upper()
    if given != layout:
        raise call.refuse("unknown data_format", expected=layout, received=given[:40])


@importer("Conv3D")
def conv3d(call: Call) -> Any:
    _last(call, "NDHWC")
    strides, padding = _per_dim(call, "strides", 3), _padding(call)
    gaps = _per_dim(call, "dilations", 3)
    if len(call.x(1).shape) != 5 or call.x(1).shape[0] > _TAPS:
        raise call.refuse("the filter has no 5 dims", received=list(call.x(1).shape))
    return call.function(
        lambda x, w: windows.conv3d(x, w, strides, padding, gaps), call.x(0), call.x(1)
    )


@importer("AvgPool3D", "MaxPool3D")
def pool3d(call: Call) -> Any:
    _last(call, "NDHWC")
    pool = windows.avg_pool3d if call.node.op == "AvgPool3D" else windows.max_pool3d
    size, strides = _window(call, "ksize", 3), _per_dim(call, "strides", 3)
    padding = _padding(call)
    return call.function(lambda x: pool(x, size, strides, padding), call.x())


@importer("Dilation2D")
def dilation2d(call: Call) -> Any:
    strides, gaps, padding = (
        _per_dim(call, "strides", 2),
        _per_dim(call, "rates", 2),
        _padding(call),
    )
    shape = call.x(1).shape
    if len(shape) != 3 or shape[0] * shape[1] > _TAPS:
        raise call.refuse("the filter is none", expected="[h, w, channels]", received=list(shape))
    return call.function(
        lambda x, w: windows.dilation2d(x, w, strides, padding, gaps), call.x(0), call.x(1)
    )


@importer("MaxPoolWithArgmax")
def max_pool_with_argmax(call: Call) -> Any:
    size, strides, padding = _window(call, "ksize", 2), _per_dim(call, "strides", 2), _padding(call)
    batch = call.attrs.flag("include_batch_in_index")
    return call.function(
        lambda x: windows.max_pool_with_argmax(x, size, strides, padding, batch), call.x()
    )


# --- matrices -------------------------------------------------------------------------------------


def _turned(call: Call, name: str) -> Callable[[Any], Any]:
    """The transpose of matrices where the node wants it."""
    if not call.attrs.flag(name):
        return lambda a: a
    return lambda a: fn.transpose(a, (*range(a.rank - 2), a.rank - 1, a.rank - 2))


def _of_matrices(function: Callable[..., Any]) -> Handler:
    return lambda call: call.function(function, call.x())


for _name, _function in {
    "Cholesky": linalg.cholesky,
    "MatrixDeterminant": linalg.det,
    "LogMatrixDeterminant": linalg.slogdet,
    "SelfAdjointEigV2": linalg.eigh,
}.items():
    HANDLERS[_name] = _of_matrices(_function)


@importer("MatrixInverse")
def inverse(call: Call) -> Any:
    turned = _turned(call, "adjoint")
    return call.function(lambda a: linalg.inverse(turned(a)), call.x())


@importer("MatrixSolve")
def solve(call: Call) -> Any:
    turned = _turned(call, "adjoint")
    return call.function(lambda a, b: linalg.solve(turned(a), b), call.x(0), call.x(1))


@importer("MatrixTriangularSolve")
def triangular_solve(call: Call) -> Any:
    lower, transpose = call.attrs.flag("lower", True), call.attrs.flag("adjoint")
    return call.function(
        lambda a, b: linalg.triangular_solve(a, b, lower, transpose), call.x(0), call.x(1)
    )


@importer("Qr")
def qr(call: Call) -> Any:
    full = call.attrs.flag("full_matrices")
    return call.function(lambda a: linalg.qr(a, full), call.x())


@importer("Svd")
def svd(call: Call) -> Any:
    """Singular values, u, and v, whose columns are vectors; or the values alone."""
    full = call.attrs.flag("full_matrices")
    if not call.attrs.flag("compute_uv", True):
        return call.function(lambda a: linalg.svd(a, compute_uv=False), call.x())

    def parts(a: Any) -> tuple[Any, Any, Any]:
        u, s, vh = linalg.svd(a, full_matrices=full)
        return s, u, fn.transpose(vh, (*range(vh.rank - 2), vh.rank - 1, vh.rank - 2))

    return call.function(parts, call.x())


@importer("MatrixBandPart")
def band_part(call: Call) -> Tensor:
    lower, upper = call.number(1, "the lower diagonals"), call.number(2, "the upper diagonals")
    return call.function(lambda a: linalg.band_part(a, lower, upper), call.x())[0]

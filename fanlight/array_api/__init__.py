"""The array API standard, version 2024.12, over Fanlight's tensors (data-apis.org/array-api).

    import fanlight.array_api as xp

Programs written for the standard get their functions from here, or from a tensor:
`x.__array_namespace__()`. Names, arguments and results are the standard's; what they compute with
is `fl`, so they have gradients, and compile and build, where shapes do not depend on numbers.
What is left out, and why: docs/core.md, tools/array_api_skips.txt.
"""

from __future__ import annotations

import math as _math
import sys as _sys
from types import ModuleType as _Module
from typing import Any as _Any

from fanlight.array_api import fft, linalg
from fanlight.array_api.creation import (
    arange,
    asarray,
    empty,
    empty_like,
    eye,
    from_dlpack,
    full,
    full_like,
    linspace,
    meshgrid,
    ones,
    ones_like,
    tril,
    triu,
    zeros,
    zeros_like,
)
from fanlight.array_api.dtypes import (
    astype,
    bool,
    can_cast,
    complex64,
    finfo,
    float32,
    iinfo,
    int32,
    isdtype,
    result_type,
    uint8,
)
from fanlight.array_api.elementwise import (
    abs,
    acos,
    acosh,
    add,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    ceil,
    clip,
    conj,
    copysign,
    cos,
    cosh,
    divide,
    equal,
    exp,
    expm1,
    floor,
    floor_divide,
    greater,
    greater_equal,
    hypot,
    imag,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    multiply,
    negative,
    nextafter,
    not_equal,
    positive,
    pow,
    real,
    reciprocal,
    remainder,
    round,
    sign,
    signbit,
    sin,
    sinh,
    sqrt,
    square,
    subtract,
    tan,
    tanh,
    trunc,
)
from fanlight.array_api.info import Info as _Info
from fanlight.array_api.linear import (
    matmul,
    matrix_transpose,
    tensordot,
    vecdot,
)
from fanlight.array_api.manipulation import (
    argsort,
    broadcast_arrays,
    broadcast_to,
    concat,
    expand_dims,
    flip,
    moveaxis,
    nonzero,
    permute_dims,
    repeat,
    reshape,
    roll,
    searchsorted,
    sort,
    squeeze,
    stack,
    take,
    take_along_axis,
    tile,
    unstack,
    where,
)
from fanlight.array_api.sets import (
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
)
from fanlight.array_api.statistical import (
    all,
    any,
    argmax,
    argmin,
    count_nonzero,
    cumulative_prod,
    cumulative_sum,
    diff,
    max,
    mean,
    min,
    prod,
    std,
    sum,
    var,
)
from fanlight.errors import FanlightError as _Error
from fanlight.tensor.core import caller as _caller

__array_api_version__ = "2024.12"
_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")

e = _math.e
inf = _math.inf
nan = _math.nan
newaxis = None
pi = _math.pi


def __array_namespace_info__() -> _Info:
    """What this namespace can do: dtypes, devices, capabilities."""
    return _Info()


def namespace_of(api_version: _Any = None) -> _Module:
    """This module, if it has a version of the standard (None: any); E-OP-005."""
    if api_version is not None and not (isinstance(api_version, str) and api_version in _VERSIONS):
        raise _Error(
            "E-OP-005",
            "the array API of Fanlight has no such version.",
            where=f"api_version, {_caller()}",
            expected=", ".join(_VERSIONS),
            received=repr(api_version),
        )
    return _sys.modules[__name__]


__all__ = [
    "__array_api_version__",
    "__array_namespace_info__",
    "e",
    "fft",
    "inf",
    "linalg",
    "nan",
    "newaxis",
    "pi",
    # creation
    "arange",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "full",
    "full_like",
    "linspace",
    "meshgrid",
    "ones",
    "ones_like",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
    # dtypes
    "astype",
    "bool",
    "can_cast",
    "complex64",
    "finfo",
    "float32",
    "iinfo",
    "int32",
    "isdtype",
    "result_type",
    "uint8",
    # elementwise
    "abs",
    "acos",
    "acosh",
    "add",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "ceil",
    "clip",
    "conj",
    "copysign",
    "cos",
    "cosh",
    "divide",
    "equal",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "greater",
    "greater_equal",
    "hypot",
    "imag",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "nextafter",
    "not_equal",
    "positive",
    "pow",
    "real",
    "reciprocal",
    "remainder",
    "round",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "subtract",
    "tan",
    "tanh",
    "trunc",
    # linear
    "matmul",
    "matrix_transpose",
    "tensordot",
    "vecdot",
    # manipulation
    "argsort",
    "broadcast_arrays",
    "broadcast_to",
    "concat",
    "expand_dims",
    "flip",
    "moveaxis",
    "nonzero",
    "permute_dims",
    "repeat",
    "reshape",
    "roll",
    "searchsorted",
    "sort",
    "squeeze",
    "stack",
    "take",
    "take_along_axis",
    "tile",
    "unstack",
    "where",
    # sets
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
    # statistical
    "all",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "cumulative_prod",
    "cumulative_sum",
    "diff",
    "max",
    "mean",
    "min",
    "prod",
    "std",
    "sum",
    "var",
]


def __dir__() -> list[str]:
    """What completion offers."""
    return sorted(__all__)

"""Dtypes of the standard that Fanlight computes in, and how they are promoted.

A dtype is its name: `x.dtype == xp.float32` holds, and so does `x.dtype == "float32"`. There are
no others: browsers compute in 32 bits, and int8 and float16 only store.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor import core, functions
from fanlight.tensor.core import Tensor, caller, dtype_name, tensor

bool = "bool"
uint8 = "uint8"
int32 = "int32"
float32 = "float32"
complex64 = "complex64"

# In the order in which they are promoted: of two the later one holds both.
DTYPES = (bool, uint8, int32, float32, complex64)
KINDS: dict[str, tuple[str, ...]] = {
    "bool": (bool,),
    "signed integer": (int32,),
    "unsigned integer": (uint8,),
    "integral": (uint8, int32),
    "real floating": (float32,),
    "complex floating": (complex64,),
    "numeric": (uint8, int32, float32, complex64),
}
_NUMBER = builtins.bool | int | float | complex


def dtype_of(dtype: Any) -> str:
    """The name of one of the five dtypes; E-TENSOR-001 for others."""
    name = dtype if isinstance(dtype, str) and dtype in DTYPES else dtype_name(dtype)
    if name not in DTYPES:
        raise FanlightError(
            "E-TENSOR-001",
            "the array API of Fanlight has no such dtype: it only stores.",
            where=caller(),
            expected=", ".join(DTYPES),
            received=repr(dtype),
            next='use fl.cast(x, "float32") or fl.cast(x, "int32") first.',
        )
    return str(name)


def array(function: str, x: Any) -> Tensor:
    """x as a tensor of one of the five dtypes; numbers and lists are none (E-TENSOR-001)."""
    if not isinstance(x, Tensor | np.ndarray | np.generic):
        raise FanlightError(
            "E-TENSOR-001",
            f"{function} takes tensors.",
            where=f"{function}, {caller()}",
            expected="a tensor or a NumPy array",
            received=repr(x)[:100],
            next="make it one with asarray.",
        )
    made = tensor(x)
    dtype_of(made.dtype)
    return made


def flat(x: Tensor) -> Tensor:
    """x in one dim; by -1, which symbolic dims take, too."""
    return functions.reshape(x, (-1,) if x.size else (0,))


def result_type(*arrays_and_dtypes: Any) -> str:
    """The dtype that tensors, dtypes and Python numbers promote to.

    A Python number takes the dtype of what is beside it, if it is of its kind and fits; beside
    whole numbers a float makes float32, and a complex number always complex64. The standard leaves
    mixtures of kinds open; here the wider kind wins: bool, uint8, int32, float32, complex64.

    Raises:
        FanlightError: E-TENSOR-001 there are only Python numbers, or nothing.
    """
    numbers = [v for v in arrays_and_dtypes if isinstance(v, _NUMBER) and type(v) is not np.bool_]
    others = [v for v in arrays_and_dtypes if not any(v is n for n in numbers)]
    if not others:
        raise FanlightError(
            "E-TENSOR-001",
            "only Python numbers have no dtype to promote to.",
            where=f"result_type, {caller()}",
            expected="a tensor or a dtype at least once",
            received=repr(arrays_and_dtypes)[:200],
        )
    known = [_dtype_among(v) for v in others]
    name = max(known, key=DTYPES.index)
    for number in numbers:
        name = max(name, _least(number, name), key=DTYPES.index)
    return name


def _dtype_among(value: Any) -> str:
    """The dtype of what is one, or has one."""
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return dtype_of(tensor(value).dtype)
    return dtype_of(value)


def _least(number: Any, beside: str) -> str:
    if isinstance(number, builtins.bool):
        return bool
    if isinstance(number, int):
        return uint8 if beside == uint8 and 0 <= number <= 255 else int32
    return float32 if isinstance(number, float) else complex64


def together(*values: Any, least: str = "bool") -> tuple[tuple[Tensor, ...], str]:
    """Tensors of the values in the dtype that they promote to, and that dtype."""
    tensors = core.promoted(*values, least=least)
    # Beside complex numbers real ones may stay as they are.
    return tensors, max((dtype_of(x.dtype) for x in tensors), key=DTYPES.index)


def wrapped(x: Tensor, dtype: str) -> Tensor:
    """What was computed as int32 in the dtype that the standard says: uint8 wraps around."""
    if dtype != uint8 or x.dtype != int32:
        return x
    return core.cast(core.apply("bitwise_and", x, 255), uint8)


def astype(x: Any, dtype: Any, /, *, copy: builtins.bool = True, device: Any = None) -> Tensor:
    """x in another dtype. Floats lose their fraction, and saturate where they do not fit.

    Raises:
        FanlightError: E-OP-003 from complex to real numbers: take `real` or `imag`.
    """
    x, name = array("astype", x), dtype_of(dtype)
    on_device(device)
    if x.dtype == complex64 and name not in (complex64, bool):
        raise FanlightError(
            "E-OP-003",
            "complex numbers are not cast to real ones.",
            where=f"astype, {caller()}",
            expected="complex64 or bool",
            received=f"{x.type} to {name}",
            next="take real(x), imag(x) or abs(x).",
        )
    if x.dtype == int32 and name == uint8:
        return wrapped(x, uint8)
    y = core.cast(x, name)
    return y.alias() if y is x and copy and not x.traced else y


def can_cast(from_: Any, to: Any, /) -> builtins.bool:
    """Whether a dtype, or that of a tensor, promotes to another one by the rules of the standard.

    Only within a kind, or from unsigned to signed integers, and from real to complex.
    """
    start = _dtype_among(from_)
    end = dtype_of(to)
    allowed = {
        (uint8, int32),
        (float32, complex64),
    }
    return start == end or (start, end) in allowed


def isdtype(dtype: Any, kind: Any) -> builtins.bool:
    """Whether a dtype is another one, of a kind ("integral"), or one of a tuple of those.

    Raises:
        FanlightError: E-OP-005 there is no such kind; E-TENSOR-001 no such dtype.
    """
    name = dtype_of(dtype)
    if isinstance(kind, tuple):
        return any(isdtype(name, part) for part in kind)
    if isinstance(kind, str) and kind in KINDS:
        return name in KINDS[kind]
    if isinstance(kind, str) and kind in DTYPES:
        return name == kind
    raise FanlightError(
        "E-OP-005",
        "there is no such kind of dtypes.",
        where=f"isdtype kind, {caller()}",
        expected=", ".join((*KINDS, *DTYPES[1:])),
        received=repr(kind),
    )


@dataclass(frozen=True)
class FloatInfo:
    """What numbers a floating dtype has; made by `finfo`.

    Attributes:
        bits: of a number (of each part of a complex one).
        eps: from 1 to the next number.
        max, min: the largest number, and the smallest one.
        smallest_normal: the smallest positive number of full accuracy.
        dtype: of the numbers, or of their parts.
    """

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: str


@dataclass(frozen=True)
class IntegerInfo:
    """What numbers an integer dtype has; made by `iinfo`.

    Attributes:
        bits: of a number.
        max, min: the largest number, and the smallest one.
        dtype: of the numbers.
    """

    bits: int
    max: int
    min: int
    dtype: str


def _described(function: str, type: Any, allowed: Sequence[str]) -> str:
    name = _dtype_among(type)
    if name not in allowed:
        raise FanlightError(
            "E-OP-003",
            f"{function} cannot take this dtype.",
            where=f"{function}, {caller()}",
            expected=" or ".join(allowed),
            received=name,
        )
    return name


def finfo(type: Any, /) -> FloatInfo:
    """The limits of a floating dtype, or of that of a tensor; E-OP-003 for others."""
    _described("finfo", type, (float32, complex64))
    known = np.finfo(np.float32)
    return FloatInfo(
        bits=32,
        eps=float(known.eps),
        max=float(known.max),
        min=float(known.min),
        smallest_normal=float(known.smallest_normal),
        dtype=float32,
    )


def iinfo(type: Any, /) -> IntegerInfo:
    """The limits of an integer dtype, or of that of a tensor; E-OP-003 for others."""
    name = _described("iinfo", type, (uint8, int32))
    known = np.iinfo(name)
    return IntegerInfo(bits=known.bits, max=int(known.max), min=int(known.min), dtype=name)


# --- devices --------------------------------------------------------------------------------------

DEVICE = "cpu"


def on_device(device: Any) -> None:
    """E-OP-005 unless it is the only device there is."""
    if device is not None and not (isinstance(device, str) and device == DEVICE):
        raise FanlightError(
            "E-OP-005",
            "there is no such device.",
            where=f"device, {caller()}",
            expected=repr(DEVICE),
            received=repr(device)[:200],
            next="fl.set_backend says what computes there.",
        )

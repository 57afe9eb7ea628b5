"""TensorProto -> array, and the dtypes of TensorFlow as they are stored."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.emitter import check_size
from fanlight.formats.savedmodel.protos import shape as shape_of
from fanlight.formats.wire import Message
from fanlight.ops.types import TensorType

STRING, BFLOAT16, BOOL = 7, 14, 10
# DataType of TensorFlow -> as stored; quantised ones as the whole numbers that they are.
STORED = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", BOOL: "u1",
    11: "i1", 12: "u1", 13: "<i4", BFLOAT16: "<u2", 15: "<i2", 16: "<u2", 17: "<u2", 19: "<f2",
    22: "<u4", 23: "<u8",
}  # fmt: skip
NAMES = {7: "string", 8: "complex64", 18: "complex128", 20: "resource", 21: "variant"}
# Field of TensorProto with the elements of a dtype.
_FIELDS = {1: 5, 2: 6, 9: 10, BOOL: 11, 22: 16, 23: 17, 19: 13, BFLOAT16: 13}
_MOST_RANK = 8


def sizes(message: Message | None, where: str) -> tuple[int, ...]:
    """The shape of a stored tensor; E-FORMAT-005 if a size is negative or absurd."""
    dims = [d["size"] for d in shape_of(message).get("dim", [])]
    if len(dims) > _MOST_RANK or not all(0 <= d < 1 << 40 for d in dims):
        raise FanlightError(
            "E-FORMAT-005",
            "a stored tensor has no shape.",
            where=where,
            expected=f"at most {_MOST_RANK} sizes, none negative or absurd",
            received=str(dims[:12]),
        )
    return tuple(dims)


def widened(raw: np.ndarray, dtype: int) -> np.ndarray:
    """Stored elements in the dtype of a graph: 32 bits, whole numbers at most int32's."""
    if dtype == BFLOAT16:
        return (raw.astype("<u4") << np.uint32(16)).view("<f4")
    if dtype == BOOL:
        return raw != 0
    if raw.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return raw.astype(np.float32, copy=False)
    if raw.dtype.itemsize > 4 or raw.dtype == np.uint32:
        # The largest whole number stands for "to the end": it must not become -1.
        low, high = (0 if raw.dtype.kind == "u" else -(2**31)), 2**31 - 1
        return np.clip(raw, raw.dtype.type(low), raw.dtype.type(high)).astype(np.int32)
    return raw.astype(np.int32, copy=False)


def tensor(message: Message, where: str) -> np.ndarray:
    """The array of a TensorProto, in a buffer of its own; texts as an array of bytes objects.

    Raises:
        FanlightError: E-FORMAT-007 sizes that do not fit, E-FORMAT-008 dtypes without numbers,
            E-FORMAT-023 too large.
    """
    dtype, shape = message.whole(1), sizes(message.message(2), where)
    count = math.prod(shape)
    check_size(TensorType(shape), where)
    if dtype == STRING:
        return _spread(np.array([*map(bytes, message.datas(8)), b""], object)[:-1], shape, where)
    if dtype not in STORED:
        raise no_numbers(dtype, where)
    kind = np.dtype(STORED[dtype])
    content = message.data(4)
    if len(content):
        if len(content) != count * kind.itemsize:
            raise misfit(where, count * kind.itemsize, len(content))
        raw = np.frombuffer(content, kind)
        made = widened(raw, dtype).reshape(shape)
        return made.copy() if np.may_share_memory(made, raw) else made
    return np.array(_spread(widened(_values(message, dtype), dtype), shape, where), order="C")


def _values(message: Message, dtype: int) -> np.ndarray:
    """The elements of a tensor that is written as numbers."""
    number = _FIELDS.get(dtype, 7)
    if dtype == 1:
        return message.floats(number)
    if dtype == 2:
        return message.floats(number, "<f8")
    whole = message.whole_array(number)
    if dtype in (19, BFLOAT16):
        return whole.astype("<u2").view(STORED[dtype])
    return whole


def _spread(values: np.ndarray, shape: Sequence[int], where: str) -> np.ndarray:
    """All elements, where the last ones are left out if they are as the last one written."""
    count = math.prod(shape)
    if len(values) == count:
        return values.reshape(shape)
    if len(values) > count:
        raise misfit(where, count, len(values))
    check_size(TensorType(tuple(shape)), where, 1 << 28)
    empty = b"" if values.dtype == object else 0
    made = np.full(count, values[-1] if len(values) else empty, values.dtype)
    made[: len(values)] = values
    return made.reshape(shape)


def misfit(where: str, expected: int, received: int) -> FanlightError:
    """E-FORMAT-007: not as many bytes or elements as the shape says."""
    return FanlightError(
        "E-FORMAT-007",
        "a stored tensor does not have the size that its shape declares.",
        where=where,
        expected=f"{expected:,}",
        received=f"{received:,}",
        next="the file is damaged: export or download the model again.",
    )


def no_numbers(dtype: int, where: str) -> FanlightError:
    """E-FORMAT-008: a dtype that no array of numbers has."""
    return FanlightError(
        "E-FORMAT-008",
        "a stored tensor is not made of real numbers.",
        where=where,
        expected="float, double, half, bfloat16, whole numbers or bool",
        received=NAMES.get(dtype, f"DataType {dtype}"),
    )

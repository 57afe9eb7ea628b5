"""What Python does with texts in front of a graph, and behind it. A compiled graph has none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanlight.dtypes import STRING
from fanlight.errors import FanlightError
from fanlight.ops.types import TensorType

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class TextPart:
    """The part of a model that is not in its graph. One call is for one example.

    Attributes:
        inputs, outputs: those of the model, by name; texts are of dtype "string".
        front: the model's inputs -> the graph's inputs.
        behind: the model's inputs and the graph's outputs -> the model's outputs.
    """

    inputs: Mapping[str, TensorType]
    outputs: Mapping[str, TensorType]
    front: Callable[[Arrays], Arrays]
    behind: Callable[[Arrays, Arrays], Arrays]

    def checked(self, given: Mapping[str, np.ndarray], where: str) -> Arrays:
        """The inputs as the parts take them; E-INPUT-00x where they do not fit."""
        if set(given) != set(self.inputs):
            raise FanlightError(
                "E-INPUT-001",
                "the inputs given are not the inputs of the model.",
                where=where,
                expected=", ".join(f"{n}: {t}" for n, t in self.inputs.items()),
                received=", ".join(given) or "nothing",
            )
        made: Arrays = {}
        for name, type in self.inputs.items():
            array = given[name]
            if array.shape != tuple(type.shape):
                raise FanlightError(
                    "E-INPUT-002",
                    f"the input {name!r} has the wrong shape.",
                    where=name,
                    expected=str(type),
                    received=list(array.shape),
                )
            if type.dtype != STRING and array.dtype.kind not in "fiub":
                raise _no_texts(name, type.dtype, array.dtype)
            made[name] = array if type.dtype == STRING else array.astype(type.dtype)
        return made


def as_texts(x: Any, name: str, rank: int) -> np.ndarray:
    """Strings as an array of bytes; E-INPUT-003 what is no text.

    A lone string stands for a row of one, and a row of strings for a column where a matrix is
    wanted (Keras takes [[text], [text]]).
    """
    array = np.array(x.tolist() if isinstance(x, np.ndarray) else x, object)
    made = np.empty(array.size, object)
    for index, item in enumerate(array.reshape(-1).tolist()):
        if not isinstance(item, str | bytes):
            raise _no_texts(name, "texts: str, or bytes of UTF-8", type(item).__name__)
        made[index] = item if isinstance(item, bytes) else as_bytes(item)
    shape = array.shape
    if len(shape) < rank:
        shape = (*shape, *[1] * (rank - len(shape)))
    return made.reshape(shape)


def as_bytes(text: str) -> bytes:
    """UTF-8; halves of surrogate pairs as U+FFFD, as browsers have it."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def lines_of(data: bytes) -> list[bytes]:
    """The lines of a file of words; what ends the last one is not one more."""
    lines = data.replace(b"\r", b"").split(b"\n")
    return lines if lines[-1] else lines[:-1]


def readable(x: np.ndarray) -> np.ndarray:
    """Bytes as Python's strings, for people; numbers as they are."""
    if x.dtype.kind != "O":
        return x
    made = np.empty(x.size, object)
    made[:] = [t.decode("utf-8", "replace") for t in x.reshape(-1).tolist()]
    return made.reshape(x.shape)


def _no_texts(name: str, expected: object, received: object) -> FanlightError:
    return FanlightError(
        "E-INPUT-003",
        f"the input {name!r} has the wrong dtype.",
        where=name,
        expected=expected,
        received=received,
    )

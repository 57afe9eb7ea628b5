"""What a command line gives by name: shapes and values of inputs, words of tables."""

from __future__ import annotations

import io
import json
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import rich_click as click

from fanlight.errors import FanlightError
from fanlight.formats.files import read_bytes
from fanlight.formats.jsonfile import parse_json
from fanlight.formats.textpart import lines_of

_MOST_BYTES = 1 << 26  # of one file
# What NumPy says of headers that are none.
_NO_HEADER = (ValueError, LookupError, TypeError, SyntaxError, TokenError, OverflowError,
              RecursionError, MemoryError)  # fmt: skip


def shapes_by_name(given: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Shapes of inputs: "image=1,224,224,3"."""
    made: dict[str, tuple[int, ...]] = {}
    for one in given:
        name, equals, sizes = one.rpartition("=")
        try:
            shape = tuple(int(part) for part in sizes.split(",") if part)
        except ValueError:
            shape = ()
        if not equals or not name or not shape:
            raise click.UsageError(f"--input-shape is NAME=1,224,224,3, not {one!r}.")
        made[name] = shape
    return made


def values_by_name(given: Sequence[str]) -> dict[str, Any]:
    """Numbers that inputs are fixed to: "training=false", "size=[3, 4]", "places=places.npy".

    Raises:
        FanlightError: E-CLI-004 a file cannot be read, E-CLI-010 it holds no array of numbers,
            E-FORMAT-004 it is too large.
    """
    made: dict[str, Any] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--input-value is NAME=VALUE, not {one!r}.")
        if value.lower().endswith(".npy"):
            made[name] = _array(Path(value))
            continue
        try:
            made[name] = json.loads(value)
        except (ValueError, RecursionError):
            raise click.UsageError(
                f"--input-value {one!r}: a value is JSON, such as false, 0.25 or [[0, 1]], "
                "or a file of one array that ends in .npy."
            ) from None
    return made


def tables_by_name(given: Sequence[str]) -> dict[str, Any]:
    """Tables of files: a word in each line, or of .json a list of words, an object of their
    numbers, or a list of pairs.

    Raises:
        FanlightError: E-CLI-004 a file cannot be read, E-CLI-010 it holds no table, E-FORMAT-003
            it is no JSON, E-FORMAT-004 it is too large.
    """
    made: dict[str, Any] = {}
    for one in given:
        name, equals, path = one.partition("=")
        if not equals or not name or not path:
            raise click.UsageError(f"--table is NAME=FILE, not {one!r}.")
        data = read_bytes(Path(path), "E-CLI-004", "a file of words", _MOST_BYTES)
        json_ = path.lower().endswith(".json")
        made[name] = _pairs(parse_json(data, path), path) if json_ else lines_of(data)
    return made


def _pairs(found: Any, path: str) -> Any:
    """A list of pairs as a dict, which has numbers as keys where an object has none."""
    listed = isinstance(found, list) and found and isinstance(found[0], list)
    if not listed:
        return found
    if any(not isinstance(one, list) or len(one) != 2 for one in found):
        raise _no_table(path, "not pairs alone")
    if any(isinstance(key, list | dict) for key, _ in found):
        raise _no_table(path, "lists or objects as keys")
    made = dict(found)
    if len(made) != len(found):
        raise _no_table(path, f"{len(found):,} pairs of {len(made):,} keys")
    return made


def _no_table(path: str, received: str) -> FanlightError:
    return FanlightError(
        "E-CLI-010",
        "a file of a table holds none.",
        where=path,
        expected='["a", "b"], {"a": 0, "b": 1} or [["a", 0], ["b", 1]], each key once',
        received=received,
    )


def _array(path: Path) -> np.ndarray:
    """The numbers of a .npy file. What its header claims is compared with what there is."""
    data = read_bytes(path, "E-CLI-004", "a file of numbers", _MOST_BYTES)
    file = io.BytesIO(data)
    header = {(1, 0): np.lib.format.read_array_header_1_0,
              (2, 0): np.lib.format.read_array_header_2_0}  # fmt: skip
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers of Python 2
            shape, fortran, dtype = header[np.lib.format.read_magic(file)](file)
    except _NO_HEADER:
        raise _no_array(path, "another file, or a damaged one") from None
    numbers = data[file.tell() :]
    if dtype.kind not in "biuf" or any(d < 0 for d in shape):
        raise _no_array(path, f"{dtype} {list(shape)}"[:120])
    if math.prod(shape) * dtype.itemsize != len(numbers):
        raise _no_array(path, f"{len(numbers):,} bytes for {dtype} {list(shape)}"[:200])
    return np.frombuffer(numbers, dtype).reshape(shape, order="F" if fortran else "C")


def _no_array(path: Path, received: str) -> FanlightError:
    return FanlightError(
        "E-CLI-010",
        "a file of numbers holds no array of them.",
        where=path,
        expected="numpy.save's format: one array of numbers or booleans",
        received=received,
        next="write it with numpy.save(path, array).",
    )

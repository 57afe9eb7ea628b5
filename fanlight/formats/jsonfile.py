"""JSON from strangers: bounded before it is parsed, typed access after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fanlight.errors import FanlightError
from fanlight.formats.files import read_bytes

# The largest topology seen in the wild (MobileBERT) has 1.5 MB, 60,000 values, 12 levels.
MAX_BYTES = 64 << 20
MAX_VALUES = 4_000_000
MAX_DEPTH = 100

_KINDS: dict[Any, str] = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def read_json(path: Path, code: str = "E-FORMAT-001") -> Any:
    """Parse a JSON file of a model.

    Raises:
        FanlightError: `code` if there is no such file, E-FORMAT-003 if it is not JSON,
            E-FORMAT-004 if it is larger or deeper than any real one.
    """
    return parse_json(read_bytes(path, code, "the JSON file", MAX_BYTES), path)


def parse_json(data: bytes, where: object) -> Any:
    """Parse the bytes of a JSON text (UTF-8, a byte order mark is allowed)."""
    # Counting separators bounds the number of Python objects before any is made.
    values = data.count(b",") + data.count(b"[") + data.count(b"{")
    if len(data) > MAX_BYTES or values > MAX_VALUES:
        raise FanlightError(
            "E-FORMAT-004",
            "the JSON text is too large to be the topology of a model.",
            where=where,
            expected=f"at most {MAX_BYTES:,} bytes and {MAX_VALUES:,} values",
            received=f"{len(data):,} bytes, up to {values:,} values",
        )
    try:
        value = json.loads(data.decode("utf-8-sig"))
    except RecursionError:
        raise _too_deep(where) from None
    except UnicodeDecodeError as error:
        raise FanlightError(
            "E-FORMAT-003",
            "the file is not text in UTF-8.",
            where=where,
            expected="a JSON text",
            received=f"byte {data[error.start]:#04x} at position {error.start:,}",
            next="check that this is the model's .json file and that the download is complete.",
        ) from None
    except ValueError as error:
        raise FanlightError(
            "E-FORMAT-003",
            "the file is not JSON.",
            where=where,
            expected="a JSON text",
            received=f"{error} (the text begins {data[:40]!r})",
            next="check the download: error pages and Git LFS pointers are not models.",
        ) from None
    _check_depth(value, where)
    return value


def _too_deep(where: object) -> FanlightError:
    return FanlightError(
        "E-FORMAT-004",
        "the JSON text is nested too deeply to be a model.",
        where=where,
        expected=f"at most {MAX_DEPTH} levels",
        received="more",
    )


def _check_depth(value: Any, where: object) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        deeper: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                deeper.extend(v for v in item.values() if isinstance(v, dict | list))
            elif isinstance(item, list):
                deeper.extend(v for v in item if isinstance(v, dict | list))
        if not deeper:
            return
        level = deeper
    raise _too_deep(where)


def expect(value: Any, kind: Any, what: str, where: object) -> Any:
    """`value` if it is of the kind (dict, list, str, int, float, bool); else E-FORMAT-005.

    A whole float passes for an int; an int passes for a float; a bool is never a number.
    """
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return _finite(value, what, where)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, kind) and (kind is not int or not isinstance(value, bool)):
        return value
    raise FanlightError(
        "E-FORMAT-005",
        f"{what} is missing." if value is None else f"{what} has the wrong type.",
        where=where,
        expected=_KINDS[kind],
        received="nothing" if value is None else repr(value)[:80],
    )


def _finite(value: float, what: str, where: object) -> float:
    try:
        return float(value)
    except OverflowError:
        raise FanlightError(
            "E-FORMAT-005",
            f"{what} is too large.",
            where=where,
            expected="a number that float64 can hold",
            received="a huge whole number",
        ) from None


def field(obj: Any, key: str, kind: Any, where: object) -> Any:
    """`obj[key]`, which must be there and of the kind."""
    return expect(expect(obj, dict, "the object", where).get(key), kind, f'"{key}"', where)


def dims(value: Any, what: str, where: object) -> tuple[int, ...]:
    """A shape: a list of whole numbers >= 0."""
    items = expect(value, list, what, where)
    sizes = tuple(expect(d, int, f"a size in {what}", where) for d in items)
    if any(not 0 <= d < 1 << 40 for d in sizes) or len(sizes) > 8:
        raise FanlightError(
            "E-FORMAT-005",
            f"{what} is not a shape.",
            where=where,
            expected="at most 8 sizes, none negative or absurd",
            received=repr(value)[:80],
        )
    return sizes

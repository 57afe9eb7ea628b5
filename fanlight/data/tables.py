"""Datasets of CSV files."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.data.dataset import Dataset
from fanlight.data.progress import tracked
from fanlight.data.sources import from_arrays
from fanlight.data.structure import narrowed, wrong
from fanlight.errors import FanlightError

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")
TYPES = ("int", "float", "bool", "text")
_TRUE, _FALSE = ("true", "yes", "t", "y", "1"), ("false", "no", "f", "n", "0")


def from_csv(
    path: str | Path,
    label: str | int | None = None,
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    weight: str | None = None,
    delimiter: str | None = None,
    header: bool | Sequence[str] = True,
    missing: Sequence[str] = MISSING,
    fill: Any = None,
    as_dict: bool = False,
    encoding: str = "utf-8-sig",
) -> Dataset:
    """A dataset of the rows of a CSV file: x, (x, y), or (x, y, weight).

    x is a float32 vector of the columns if all are numbers, else a dict of columns by name.

    Args:
        label: the column of labels, by its name or place. Texts become class numbers in the order
            of the alphabet: `dataset.class_names`.
        columns: which columns x has, in this order; default: all but label and weight.
        types: "int", "float", "bool" or "text" by column; the others are found out.
        weight: the column of sample weights.
        delimiter: default: the one of , ; tab | that cuts the first line into most parts.
        header: whether the first line has the names; or the names. Without any they are c0, c1, ...
        missing: what stands for a value that is not there.
        fill: what becomes of it in numbers: None: NaN; a number; "mean" or "median" of its column;
            "drop": its row is left out; or a dict of these by column. Texts become "".
        as_dict: x is a dict by column even if all are numbers.

    Raises:
        FanlightError: E-DATA-004 the file cannot be read, or a row or value of it: with line and
            column.
    """
    file = Path(path)
    names, rows, lines = _rows(file, delimiter, header, encoding)
    target = _column(label, names, "label", file)
    weighting = _column(weight, names, "weight", file)
    wanted = [n for n in names if n not in (target, weighting)]
    if columns is not None:
        unknown = [c for c in columns if c not in names]
        if unknown or not columns:
            raise _unreadable(file, f"no column {unknown}", f"columns among {', '.join(names)}")
        wanted = list(columns)
    given = dict(types or {})
    for name, kind in given.items():
        if name not in names or kind not in TYPES:
            raise wrong("types", f"{', '.join(TYPES)} by the name of a column", {name: kind})
    gaps = frozenset(missing)
    table = _Table(file, names, rows, lines, gaps, given)
    used = [*wanted, *(n for n in (target, weighting) if n is not None)]
    made = {name: table.column(name) for name in dict.fromkeys(used)}
    keep = table.filled(made, fill, target)
    kinds = {name: "text" if a.dtype == object else "number" for name, a in made.items()}
    made = {name: _whole(a[keep]) for name, a in made.items()}
    if not keep.any():
        raise _unreadable(file, "no rows are left", "at least one row without missing values")
    if not wanted:
        raise _unreadable(file, "no columns beside the label", "columns for x")
    x: Any = {name: made[name] for name in wanted}
    if not as_dict and all(kinds[n] == "number" for n in wanted):
        x = np.stack([narrowed(made[n]).astype(np.float32) for n in wanted], axis=1)
    y, class_names = None, None
    if target is not None:
        y = made[target]
        if y.dtype == object:
            class_names = sorted(set(y.tolist()))
            place = {name: i for i, name in enumerate(class_names)}
            y = np.array([place[c] for c in y.tolist()], np.int32)
    w = None if weighting is None else narrowed(made[weighting]).astype(np.float32)
    return from_arrays(x, y, w, class_names=class_names)


def _rows(
    file: Path, delimiter: str | None, header: bool | Sequence[str], encoding: str
) -> tuple[list[str], list[list[str]], list[int]]:
    """Names of columns, rows, and the line that each row ends at."""
    text = _text(file, encoding)
    mark = delimiter if delimiter is not None else _delimiter(text)
    if not isinstance(mark, str) or len(mark) != 1:
        raise wrong("delimiter", "one character", delimiter)
    # newline="" leaves line ends inside of quotes as they are.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    names = None if isinstance(header, bool) else [str(n) for n in header]
    first = header is True
    try:
        for row in tracked(reader, None, "reading rows"):
            if not row or (len(row) == 1 and not row[0].strip()):
                continue  # an empty line
            if first:
                names, first = [n.strip() for n in row], False
                continue
            if names is None:
                names = [f"c{i}" for i in range(len(row))]
            if len(row) != len(names):
                raise _unreadable(
                    file,
                    f"{len(row)} values",
                    f"{len(names)} values: {', '.join(names)[:100]}",
                    line=reader.line_num,
                    next=f"it was cut at {mark!r}: give delimiter=..., or put texts that have it "
                    "into quotes.",
                )
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as problem:
        raise _unreadable(file, str(problem), "CSV, as RFC 4180 has it", reader.line_num) from None
    if names is None or not rows:
        received = "no rows" if names is None else f"no rows below the header {', '.join(names)}"
        raise _unreadable(file, received, "a header and at least one row")
    twice = sorted({n for n in names if names.count(n) > 1 or not n})
    if twice:
        raise _unreadable(
            file,
            f"twice, or without a name: {', '.join(map(repr, twice))[:100]}",
            "columns with names that differ",
            1,
            next="give them names: header=[...] (and the file without its header line).",
        )
    return names, rows, lines


def _text(file: Path, encoding: str) -> str:
    try:
        data = file.read_bytes()
    except OSError as problem:
        raise _unreadable(
            file, problem.strerror or str(problem), "a file that can be read"
        ) from problem
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise _unreadable(
            file,
            f"byte {data[problem.start]:#04x}, which is not {encoding}",
            f"text in {encoding}",
            line,
            next='give the encoding that it has: encoding="latin-1", "cp1252", "utf-16", ...',
        ) from None
    except LookupError:
        raise wrong("encoding", "an encoding that Python knows", encoding) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise _unreadable(file, "a zero byte", "text", line)
    if not text.strip():
        raise _unreadable(file, "an empty file", "a header and at least one row")
    return text


def _delimiter(text: str) -> str:
    lines = [line for line in itertools.islice(io.StringIO(text), 20) if line.strip()]
    counts = {m: lines[0].count(m) for m in (",", ";", "\t", "|")}
    return max(counts, key=lambda m: counts[m])


def _column(given: str | int | None, names: Sequence[str], what: str, file: Path) -> str | None:
    if given is None or given in names:
        return given  # type: ignore[return-value]
    if isinstance(given, int) and not isinstance(given, bool) and -len(names) <= given < len(names):
        return names[given]
    raise _unreadable(
        file, f"{what}={given!r}", f"a column among {', '.join(names)[:200]}", where=what
    )


class _Table:
    """Columns of text that become arrays."""

    def __init__(
        self,
        file: Path,
        names: list[str],
        rows: list[list[str]],
        lines: list[int],
        gaps: frozenset[str],
        types: Mapping[str, str],
    ) -> None:
        self.file, self.names, self.rows, self.lines = file, names, rows, lines
        self.gaps, self.types = gaps, types
        self.absent: dict[str, np.ndarray] = {}

    def column(self, name: str) -> np.ndarray:
        """A column: float64 with NaN for what is missing, or texts as objects."""
        at = self.names.index(name)
        texts = [row[at].strip() for row in self.rows]
        absent = np.array([t in self.gaps for t in texts], bool)
        self.absent[name] = absent
        kind = self.types.get(name)
        if kind is None:
            kind = self._kind([t for t, gap in zip(texts, absent, strict=True) if not gap])
        if kind == "text":
            made = np.empty(len(texts), object)
            made[:] = ["" if gap else t for t, gap in zip(texts, absent, strict=True)]
            return made
        numbers = np.full(len(texts), np.nan)
        for i, (text, gap) in enumerate(zip(texts, absent, strict=True)):
            if not gap:
                number = _number(text, kind)
                if number is None:
                    raise _unreadable(
                        self.file, repr(text)[:100], f"{kind}", self.lines[i], name,
                        next="correct it, add it to missing=[...], or read the column as text: "
                        f'types={{"{name}": "text"}}.',
                    )  # fmt: skip
                numbers[i] = number
        return numbers

    def _kind(self, texts: Sequence[str]) -> str:
        """Numbers if all are; flags if all are true or false; else texts."""
        if all(_number(t, "float") is not None for t in texts):
            return "float"
        flags = ("true", "false")
        return "bool" if texts and all(t.lower() in flags for t in texts) else "text"

    def filled(self, made: dict[str, np.ndarray], fill: Any, target: str | None) -> np.ndarray:
        """Fill what is missing; gives which rows stay."""
        keep = np.ones(len(self.rows), bool)
        for name, array in made.items():
            absent = self.absent[name]
            if not absent.any():
                continue
            how = fill.get(name) if isinstance(fill, Mapping) else fill
            if how == "drop":
                keep &= ~absent
            elif name == target:
                at = int(np.flatnonzero(absent)[0])
                raise _unreadable(
                    self.file, "a label that is missing", "a label in every row", self.lines[at],
                    name, next='leave such rows out: fill="drop".',
                )  # fmt: skip
            elif array.dtype != object and how is not None:
                array[absent] = self._filling(name, array[~absent], how)
        return keep

    def _filling(self, name: str, there: np.ndarray, how: Any) -> float:
        if isinstance(how, int | float) and not isinstance(how, bool):
            return float(how)
        if how not in ("mean", "median"):
            raise wrong("fill", 'None, a number, "mean", "median" or "drop"', how)
        if not there.size:
            raise _unreadable(self.file, "no value at all", f"values to take the {how} of", 0, name)
        return float(there.mean() if how == "mean" else np.median(there))


def _whole(array: np.ndarray) -> np.ndarray:
    """Numbers that are whole as int32."""
    if array.dtype == object or np.isnan(array).any() or not array.size:
        return array
    small = (np.abs(array) < 2**31).all() and (array == np.round(array)).all()
    return array.astype(np.int32) if small else array


def _number(text: str, kind: str) -> float | None:
    """A value as a number; None if it is none."""
    if kind == "bool":
        lower = text.lower()
        return 1.0 if lower in _TRUE else 0.0 if lower in _FALSE else None
    if "_" in text:  # Python allows 1_000
        return None
    try:
        return float(int(text)) if kind == "int" else float(text)
    except (ValueError, OverflowError):
        return None


def _unreadable(
    file: Path,
    received: str,
    expected: str,
    line: int = 0,
    column: str | None = None,
    next: str | None = None,
    where: str | None = None,
) -> FanlightError:
    place = [str(file), f"line {line}" if line else None, f"column {column}" if column else None]
    return FanlightError(
        "E-DATA-004",
        "this CSV file cannot be read, or a row or value of it.",
        where=", ".join(p for p in (*place, where) if p),
        expected=expected,
        received=received[:200],
        next=next,
    )

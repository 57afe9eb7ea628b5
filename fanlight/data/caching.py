"""Elements kept after they were computed once: in memory, or in a file on disk.

The file holds arrays as NumPy writes them, one element after another, and at its end where each
lies, as JSON. It appears under its name when it is whole: a pass that breaks off leaves none.
"""

from __future__ import annotations

import contextlib
import glob
import io
import itertools
import json
import mmap
import os
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.data.structure import as_array, is_structure, locked
from fanlight.data.tasks import Task, Turn
from fanlight.errors import FanlightError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MAGIC = b"fanlight cache 1\n"
Tasks = Callable[[Turn], Iterator[Task]]


class _Kept:
    """One element: computed by the first who asks."""

    __slots__ = ("at", "cache", "label", "task")

    def __init__(self, cache: Memory | Disk, at: int, task: Task | None, label: Any) -> None:
        self.cache, self.at, self.task, self.label = cache, at, task, label

    def __call__(self) -> Any:
        found, value = self.cache.get(self.at)
        if not found:
            assert self.task is not None
            value = locked(self.task())
            self.cache.put(self.at, value)
        return value


class _Cache:
    """What both have: elements by their places, and the labels that were known beforehand."""

    def __init__(self, source: Tasks) -> None:
        self.source = source
        self.count: int | None = None
        self.labels: dict[int, Any] = {}
        self.lock = threading.Lock()

    def size(self) -> int:
        """How many elements there are by now."""
        raise LookupError

    def tasks(self, turn: Turn) -> Iterator[Task]:
        """The tasks of a pass: the same order at every one, that of the first."""
        if self.count is not None and self.size() == self.count:
            for at in range(self.count):
                yield _Kept(self, at, None, self.labels.get(at))  # type: ignore[arg-type]
            return
        at = 0
        for at, task in enumerate(self.source((0,)), 1):
            label = getattr(task, "label", None)
            self.labels[at - 1] = label
            yield _Kept(self, at - 1, task, label)  # type: ignore[arg-type]
        self.count = at
        self.finished()

    def finished(self) -> None:
        """Every task was given away; perhaps not all of them are done."""


class Memory(_Cache):
    """Elements in memory."""

    def __init__(self, source: Tasks) -> None:
        super().__init__(source)
        self.values: dict[int, Any] = {}

    def size(self) -> int:
        return len(self.values)

    def get(self, at: int) -> tuple[bool, Any]:
        """Whether an element is there, and the element."""
        return (True, self.values[at]) if at in self.values else (False, None)

    def put(self, at: int, value: Any) -> None:
        """Keep an element."""
        self.values[at] = value


class Disk(_Cache):
    """Elements in a file.

    Args:
        lineage: what they are made of: a file of others is refused.
        anew: whether a file that is there may be of others all the same: it is replaced.
    """

    def __init__(
        self, source: Tasks, path: str | Path, lineage: Sequence[str] = (), anew: bool = False
    ) -> None:
        super().__init__(source)
        self.path, self.lineage = Path(path), list(lineage)
        self.places: dict[int, tuple[int, int, Any]] = {}
        self.file: Any = None
        self.view: Any = None
        if self.path.exists():
            self._open()
            if anew:
                self.view, self.places, self.count, self.labels = None, {}, None, {}

    def size(self) -> int:
        return len(self.places)

    def get(self, at: int) -> tuple[bool, Any]:
        """Whether an element is there, and the element."""
        if at not in self.places:
            return False, None
        start, size, form = self.places[at]
        with self.lock:
            if self.view is not None:
                data = self.view[start : start + size]
            else:
                self.file.seek(start)
                data = self.file.read(size)
        try:
            parts = io.BytesIO(data)
            made = _shaped(form, lambda: np.load(parts, allow_pickle=False))
        except (ValueError, OSError, EOFError) as problem:
            raise self._damaged(str(problem)) from problem
        return True, made

    def put(self, at: int, value: Any) -> None:
        """Write an element to the file's end."""
        out = io.BytesIO()

        def write(leaf: Any) -> None:
            array = np.asarray(as_array(leaf))
            np.save(out, array.astype(str) if array.dtype == object else array, allow_pickle=False)

        form = _form(value, write)
        with self.lock:
            if at in self.places or self.view is not None:
                return
            if self.file is None:
                self._begin()
            self.file.seek(0, os.SEEK_END)
            start = self.file.tell()
            self.file.write(out.getvalue())
            self.places[at] = (start, out.tell(), form)
            whole = self.count is not None and len(self.places) == self.count
        if whole:
            self.finished()

    def _begin(self) -> None:
        """Begin a file beside the one to come.

        It goes when this object does, or when the program ends by itself. One that is killed
        leaves it: the next pass here removes those that no program has open.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{self.path.name}."
        for left in self.path.parent.glob(f"{glob.escape(prefix)}*.part"):
            _remove_left(left)
        while True:
            number, self.part = tempfile.mkstemp(".part", prefix, self.path.parent)
            self.file = os.fdopen(number, "w+b")
            _claim(self.file)
            if os.path.exists(self.part):  # else another program took it for one that was left
                break
            self.file.close()
        self.drop = weakref.finalize(self, _dropped, self.file, self.part, os.getpid())
        self.file.write(MAGIC)

    def finished(self) -> None:
        with self.lock:
            if self.view is not None or self.file is None or len(self.places) != self.count:
                return
            labels: list[Any] = [self.labels.get(at) for at in range(len(self.places))]
            known = all(isinstance(n, int | str | np.integer) for n in labels)
            index: Any = {
                "places": [self.places[at] for at in range(len(labels))],
                "labels": [n if isinstance(n, str) else int(n) for n in labels] if known else [],
                "lineage": self.lineage,
            }
            text = json.dumps(index).encode()
            self.file.seek(0, os.SEEK_END)
            self.file.write(text + len(text).to_bytes(8, "little"))
            self.file.flush()
            os.fsync(self.file.fileno())
            if fcntl is None:  # Windows renames no file that is open
                self.file.close()
            os.replace(self.part, self.path)
            self.file.close()  # and its lock goes: before, another pass would take the part away
            self.drop.detach()
            self._open()

    def _open(self) -> None:
        with open(self.path, "rb") as file:
            head = file.read(len(MAGIC))
            size = file.seek(0, os.SEEK_END)
            if head != MAGIC or size < len(MAGIC) + 8:
                raise self._damaged(f"it begins with {head!r}")
            view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        length = int.from_bytes(view[-8:], "little")
        try:
            index = json.loads(view[size - 8 - length : size - 8]) if length < size else {}
            places = {i: (int(a), int(n), f) for i, (a, n, f) in enumerate(index["places"])}
            labels = dict(enumerate(index["labels"]))
            lineage = [str(step) for step in index.get("lineage") or ()]
        except (ValueError, TypeError, KeyError, RecursionError) as problem:
            raise self._damaged(f"its index cannot be read: {problem}") from problem
        if lineage and self.lineage and lineage != self.lineage:
            raise self._of_others(lineage)
        self.view, self.places, self.count = view, places, len(places)
        self.labels = labels

    def _of_others(self, found: Sequence[str]) -> FanlightError:
        pairs = itertools.zip_longest(self.lineage, found, fillvalue="nothing more")
        at, (own, other) = next((i, p) for i, p in enumerate(pairs, 1) if p[0] != p[1])
        return FanlightError(
            "E-DATA-009",
            "this file is the cache of other data, or of data that have changed.",
            where=str(self.path),
            expected=f"step {at}: {own}"[:300],
            received=f"step {at}: {other}"[:300],
            next="give another path, or delete the file: it is made again.",
        )

    def _damaged(self, received: str) -> FanlightError:
        return FanlightError(
            "E-DATA-009",
            "this file is no cache of a dataset, or a damaged one.",
            where=str(self.path),
            expected="a file that .cache(path) wrote, whole",
            received=received[:200],
            next="give another path, or delete the file: it is made again.",
        )


def _claim(file: Any) -> None:
    """Let other programs see that a file has an owner, until it is closed."""
    if fcntl is not None:
        with contextlib.suppress(OSError):  # of a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)


def _remove_left(path: Path) -> None:
    """Remove a part that a program left which was killed."""
    with contextlib.suppress(OSError):  # it is gone, or has an owner
        if fcntl is None:
            path.unlink()  # Windows refuses this while the file is open
            return
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _dropped(file: Any, part: str, owner: int) -> None:
    if os.getpid() != owner:  # the child of a fork has the object, and not the file
        return
    file.close()
    with contextlib.suppress(OSError):
        os.unlink(part)


def _form(value: Any, write: Callable[[Any], None]) -> Any:
    """How an element is made of arrays, as JSON; `write` takes the arrays in order."""
    if not is_structure(value):
        write(value)
        return 0
    if isinstance(value, dict):
        return {str(k): _form(v, write) for k, v in value.items()}
    kind = "tuple" if isinstance(value, tuple) else "list"
    return [kind, *(_form(v, write) for v in value)]


def _shaped(form: Any, read: Callable[[], Any]) -> Any:
    """The element of a form, whose arrays `read` gives in order."""
    if isinstance(form, dict):
        return {k: _shaped(v, read) for k, v in form.items()}
    if isinstance(form, list):
        made = [_shaped(v, read) for v in itertools.islice(form, 1, None)]
        return tuple(made) if form[0] == "tuple" else made
    return read()

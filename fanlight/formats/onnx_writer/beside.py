"""The file of large weights beside a model: the old pair stays whole until the new one stands."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from fanlight.errors import FanlightError
from fanlight.formats.atomic import refused, write_file
from fanlight.formats.files import Mapped
from fanlight.formats.wire import Message


def new_name(target: Path) -> Path:
    """Where weights of a model go: PATH.data, or PATH.2.data and on if there is one already.

    What is there may belong to a model that is to be replaced, which needs it until then.
    """
    number, place = 1, Path(f"{target}.data")
    while place.exists() or place.is_symlink():
        number += 1
        place = Path(f"{target}.{number}.data")
    return place


def data_files(target: Path) -> list[Path]:
    """The files of weights that belong to a model, by its own words and by their names."""
    if not target.is_file():
        return []
    pattern = re.compile(re.escape(target.name) + r"(\.[0-9]+)?\.data")
    near = {p.name for p in target.parent.iterdir() if pattern.fullmatch(p.name)}
    if not near:
        return []
    try:
        return [target.with_name(name) for name in sorted(_locations(target) & near)]
    except (FanlightError, OSError):  # it is no model of ONNX: nothing belongs to it
        return []


def _locations(target: Path) -> set[str]:
    file = Mapped(target, "E-FORMAT-001", "the model")
    try:
        graph = Message(file.view, str(target)).message(7)
        if graph is None:
            return set()
        entries = (e for t in graph.messages(5) if t.uint(14) == 1 for e in t.messages(13))
        return {e.text(2) for e in entries if e.text(1) == "location"}
    finally:
        file.close()


def write_pair(
    target: Path,
    model: Iterable[bytes | memoryview],
    data: Iterable[bytes | memoryview],
    beside: Path | None,
    overwrite: bool,
) -> None:
    """Write a model and its weights (at `beside`, if there is a file of them), the model last.

    Each is written under another name and put in its place in one step. Whenever this stops, the
    model at `target` is the old one with its weights, or the new one with its own.

    Raises:
        FanlightError: E-LAYER-010 they cannot be written there.
    """
    if target.is_dir():
        raise refused(target, "the name of a file", "a folder")
    if target.exists() and not overwrite:
        raise refused(target, "a new path, or overwrite=True", "a file that is there already")
    old = data_files(target)
    if beside is not None:
        write_file(beside, data, overwrite=False)
    try:
        write_file(target, model, overwrite)
    except BaseException:
        if beside is not None:
            beside.unlink(missing_ok=True)
        raise
    for file in old:
        if file != beside:
            file.unlink(missing_ok=True)

"""What a .tflite file says about itself beside its operators: labels, normalisation, names.

Sources: metadata_schema.fbs of LiteRT and MediaPipe (a flatbuffer in the buffer that is named
TFLITE_METADATA), and a zip that is appended to the file, with the files which that names.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import Any

from fanlight.errors import FanlightError
from fanlight.formats.tflite.flatbuffer import Table, root
from fanlight.formats.tflite.model import Model

_AXIS_LABELS, _VALUE_LABELS = 2, 3  # kinds of associated files
_NORMALIZATION = 1  # a kind of process unit
_MOST_MEMBERS = 1000
_MOST_LABELS = 4 << 20  # bytes
_MOST_MODEL = 1 << 32
_MAX_RATIO = 1200  # deflate cannot pack better than about 1,030 to 1


@dataclass
class About:
    """What was found; nothing of it is needed to compute."""

    labels: tuple[str, ...] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def read_about(model: Model) -> About:
    """The metadata of a model. What is broken in it is left out with a warning."""
    about = About()
    if model.description:
        about.metadata["description"] = model.description
    raw = model.metadata.get("TFLITE_METADATA")
    if raw is None or not len(raw):
        return about
    try:
        _read(model, root(raw, f"metadata in {model.where}", b"M001"), about)
    except FanlightError as error:
        about.warnings.append(f"the metadata of the file was left out: {error.message}")
    return about


def _read(model: Model, top: Table, about: About) -> None:
    for key, place in (("name", 0), ("description", 1), ("version", 2), ("author", 4),
                       ("license", 5)):  # fmt: skip
        if top.text(place):
            about.metadata[key] = top.text(place)
    files: list[tuple[str, int]] = []
    for graph in top.tables(3, f"{top.where}, subgraph"):
        for kind, place in (("inputs", 2), ("outputs", 3)):
            about.metadata[kind] = [
                _tensor(t, files) for t in graph.tables(place, f"{graph.where}, {kind}")
            ]
        break  # the others are bodies of control flow
    inputs = about.metadata.get("inputs", ())
    normalization = {t["name"]: t["normalization"] for t in inputs if "normalization" in t}
    if normalization:
        about.metadata["normalization"] = normalization
    # Labels of an axis name the classes of scores; those of values name class numbers.
    names = [name for wanted in (_AXIS_LABELS, _VALUE_LABELS) for name, kind in files
             if kind == wanted]  # fmt: skip
    if names:
        text = _member(model.data, names[0])
        if text is None:
            about.warnings.append(f"the file of labels {names[0][:80]!r} is not in the model.")
        else:
            lines = text.decode("utf-8", "replace").splitlines()
            about.labels = tuple(line.strip() for line in lines if line.strip()) or None


def _tensor(table: Table, files: list[tuple[str, int]]) -> dict[str, Any]:
    """Name, description, mean and std of a tensor; its files of labels go to `files`."""
    found: dict[str, Any] = {"name": table.text(0)}
    if table.text(1):
        found["description"] = table.text(1)
    for unit in table.tables(4, f"{table.where}, process unit"):
        options = unit.table(1) if unit.scalar(0, "u8") == _NORMALIZATION else None
        if options is not None:
            found["normalization"] = {
                key: [float(v) for v in options.array(place, "f32")[:64]]
                for key, place in (("mean", 0), ("std", 1))
            }
    for entry in table.tables(6, f"{table.where}, file"):
        files.append((entry.text(0), entry.scalar(2, "i8")))
    return found


def _member(data: memoryview, name: str) -> bytes | None:
    """A small file of the zip that is appended to the model; None if there is none."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = [i for i in archive.infolist()[:_MOST_MEMBERS] if i.filename == name]
            if not infos or infos[0].file_size > _MOST_LABELS or _packed(infos[0]):
                return None
            with archive.open(infos[0]) as file:
                return file.read(_MOST_LABELS)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError,
            ValueError, KeyError):  # fmt: skip
        return None


def _packed(info: zipfile.ZipInfo) -> bool:
    """Whether a member claims to be packed better than is possible."""
    return info.file_size > max(info.compress_size, 1) * _MAX_RATIO


def model_of_task(data: memoryview, where: str) -> bytes:
    """The .tflite file of a MediaPipe .task, a zip.

    Raises:
        FanlightError: E-FORMAT-005 for a broken zip, E-FORMAT-002 if it has none or several.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()[:_MOST_MEMBERS]
            models = [i for i in infos if i.filename.lower().endswith(".tflite")]
            if len(models) == 1:
                if models[0].file_size > _MOST_MODEL or _packed(models[0]):
                    raise zipfile.BadZipFile("a member of impossible size")
                with archive.open(models[0]) as file:
                    return file.read(models[0].file_size)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError,
            ValueError, KeyError) as error:  # fmt: skip
        raise FanlightError(
            "E-FORMAT-005",
            "the .task file is not a sound zip.",
            where=where,
            expected="a zip that holds a .tflite file",
            received=f"{type(error).__name__}: {error}"[:200],
            next="download the file again.",
        ) from None
    raise FanlightError(
        "E-FORMAT-002",
        "the .task file holds several models." if models else "the .task file holds no model.",
        where=where,
        expected="one .tflite file in it",
        received=", ".join(i.filename[:80] for i in (models or infos)[:12]) or "an empty zip",
        next="unzip the file, and load one .tflite after the other." if models else None,
    )

"""Formats by name: what can be written, how a destination is recognised, old names of theirs."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from fanlight.errors import FanlightError
from fanlight.formats.detect import model_file

# What is written -> what it is, for people.
TARGETS = {
    "tfjs-layers": "TF.js layers-model: a folder, trains on in TF.js",
    "tfjs-graph": "TF.js graph-model: a folder",
    "keras": "Keras 3 archive, .keras",
    "h5": "Keras .h5",
    "onnx": "ONNX, .onnx",
    "safetensors": "weights with their layers, .safetensors",
    "bundle": "a page that runs the model: a folder, or one .html file",
}
# Formats that hold layers, and so need a source that does.
OF_LAYERS = frozenset(("tfjs-layers", "keras", "h5"))
_SUFFIXES = {
    ".keras": "keras",
    ".h5": "h5",
    ".hdf5": "h5",
    ".onnx": "onnx",
    ".safetensors": "safetensors",
    ".html": "bundle",
    ".htm": "bundle",
}
# Endings of single files, which a folder for TF.js or a page is not called by mistake.
_FILES = frozenset(
    ".bin .ckpt .gz .js .json .mjs .mlmodel .npz .pb .pt .pt2 .pth .py .tar .task .tflite .txt "
    ".zip".split()
)
# Of these, what is read and not written.
_READ_ONLY = {
    ".pb": "saved-model", ".pt": "torch", ".pt2": "torch", ".pth": "torch", ".task": "tflite",
    ".tflite": "tflite",
}  # fmt: skip
# What `from_` takes -> what readers call their formats (FORMATS of formats/source.py).
SOURCES = {
    "tfjs-layers": ("tfjs-layers",),
    "tfjs-graph": ("tfjs-graph",),
    "tfjs": ("tfjs-layers", "tfjs-graph"),
    "keras": ("keras-v3", "keras-h5"),
    "keras-v3": ("keras-v3",),
    "h5": ("keras-h5",),
    "keras-h5": ("keras-h5",),
    "saved-model": ("saved-model",),
    "frozen": ("frozen-graph",),
    "frozen-graph": ("frozen-graph",),
    "tflite": ("tflite",),
    "onnx": ("onnx",),
    "torch": ("torch",),
    "jax": ("jax",),
    "safetensors": ("safetensors",),
}
# What tensorflowjs_converter called them, and short names.
_OLD = {
    "tfjs_layers_model": "tfjs-layers",
    "tfjs_graph_model": "tfjs-graph",
    "keras_keras": "keras",
    "keras_saved_model": "saved-model",
    "tf_saved_model": "saved-model",
    "tf_frozen_model": "frozen",
    "tf_hub": "saved-model",
    "layers": "tfjs-layers",
    "graph": "tfjs-graph",
    "html": "bundle",
    "fanlight": "bundle",
    "page": "bundle",
    "tensorflowjs": "tfjs",
    "layers-model": "tfjs-layers",
    "graph-model": "tfjs-graph",
    "hdf5": "h5",
    "tensorflow": "saved-model",
    "litert": "tflite",
    "tensorflow-lite": "tflite",
    "pytorch": "torch",
    "pt2": "torch",
    "pt": "torch",
    "pth": "torch",
    "pb": "frozen",
    "task": "tflite",
    "flax": "jax",
}


def _squeezed(name: str) -> str:
    """A name without what people write in different ways: "TF.js" and "tfjs" are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


_BY_NAME = {
    _squeezed(n): k for n, k in (*((n, n) for n in (*TARGETS, *SOURCES)), *_OLD.items())
}  # fmt: skip


def _kind_named(name: str) -> str:
    """A format by its name, by an old one or a short one; the name itself if it is none."""
    return _BY_NAME.get(_squeezed(name), name)


def target_kind(name: str | None, destination: Path) -> str:
    """What is to be written: one of TARGETS, or "tfjs" for a layers-model if that can be.

    Args:
        name: what the caller asks for; None: the destination's ending decides, and a folder is
            for TF.js.

    Raises:
        FanlightError: E-CONVERT-001 there is no such format.
    """
    if name is None:
        suffix = destination.suffix.lower()
        if suffix in _SUFFIXES:
            return _SUFFIXES[suffix]
        if suffix in _READ_ONLY and not destination.is_dir():
            raise _no_format(_READ_ONLY[suffix], "destination")
        _refuse_misspelt(destination)
        name = "tfjs"
    kind = _kind_named(name) if isinstance(name, str) else name
    kind = {"keras-v3": "keras", "keras-h5": "h5"}.get(kind, kind)
    if not isinstance(kind, str) or kind not in (*TARGETS, "tfjs"):
        raise _no_format(str(name), "to")
    # A folder may have a dot in its name; the ending of a file is a mistake.
    if destination.suffix.lower() in _FILES and not destination.is_dir():
        raise FanlightError(
            "E-CONVERT-001",
            "a model of TF.js and a page are folders, and this is the name of a file.",
            where=destination,
            expected=f"a folder, or a name that ends in {', '.join(_SUFFIXES)}",
            received=destination.name,
            next=f"call the folder {destination.with_suffix('').name}.",
        )
    said = _SUFFIXES.get(destination.suffix.lower())
    named = kind in _SUFFIXES.values() and kind != "bundle"
    if (said is not None or named) and said != kind:
        ending = next((e for e, k in _SUFFIXES.items() if k == kind and named), None)
        raise FanlightError(
            "E-CONVERT-001",
            "the ending of the destination says another format.",
            where=destination,
            expected=f"a name ending in {ending}" if ending else "a folder",
            received=destination.name,
            next=f"call it {destination.with_suffix(ending or '').name}, or leave --to out.",
        )
    return kind


def _refuse_misspelt(destination: Path) -> None:
    """E-CONVERT-001 for an ending that is nearly that of a file."""
    suffix = destination.suffix.lower()
    near = difflib.get_close_matches(suffix, _SUFFIXES, n=1, cutoff=0.7)
    if near and suffix[1].isalpha() and not destination.is_dir():  # web-1.5 is a folder
        raise FanlightError(
            "E-CONVERT-001",
            f"no format has the ending {suffix!r}.",
            where=destination,
            expected=f"a folder, or a name that ends in {', '.join(_SUFFIXES)}",
            received=destination.name,
            next=f"did you mean {near[0]}? For a folder of this name say so: --to tfjs.",
        )


def ending_note(name: str | None, destination: Path) -> str | None:
    """What to say where a folder is made though its name has an ending, as that of a file."""
    suffix = destination.suffix.lower()
    file = suffix in (*_SUFFIXES, *_FILES) or not suffix[1:2].isalpha()
    if name is not None or file or destination.is_dir():
        return None
    return f"{destination.name} is a folder, for TF.js: no format has the ending {suffix!r}."


def folder_of(path: Path) -> Path:
    """The folder of a TF.js model that is called by its model.json; any other path as it is."""
    return path.parent if path.name == "model.json" and not path.is_dir() else path


def in_its_folder(error: FanlightError, destination: Path, folder: Path) -> None:
    """Say of an error of writing that a model.json stands for its folder and all in it."""
    if error.code in ("E-LAYER-010", "E-BUILD-004") and destination != folder and folder.is_dir():
        error.where = f"{destination}, which stands for its folder, {folder.resolve()}"
        error.next = "name a folder that is new: web/model.json, or web."


def refuse_same(source: object, target: Path) -> None:
    """E-CONVERT-002 if the result would take the place of the source."""
    if not isinstance(source, str | Path):
        return
    if _real(target) in (_real(source), _real(_file_within(source))):
        raise FanlightError(
            "E-CONVERT-002",
            "the source would be overwritten with what is made of it.",
            where=target,
            expected="a destination that is not the source",
            received=str(source),
            next="write it beside the source, and take its place later if all is well.",
        )


def _real(path: str | Path) -> Path:
    return folder_of(Path(path)).expanduser().resolve()


def _file_within(source: str | Path) -> Path:
    """The file that a folder is read from; any other path as it is."""
    path = Path(source)
    try:
        return model_file(path) if path.is_dir() else path
    except (FanlightError, OSError):  # the reader says what is wrong with it
        return path


def check_source(name: str | None, found: str, where: object) -> None:
    """E-CONVERT-001 unless the source is of the format that the caller says (`from_`)."""
    if name is None:
        return
    kind = _kind_named(name)
    if kind not in SOURCES:
        raise _no_format(name, "from", SOURCES)
    if found not in SOURCES[kind]:
        raise FanlightError(
            "E-CONVERT-001",
            "the source is of another format than it is said to be.",
            where=where,
            expected=kind,
            received=found,
            next="leave --from out: the format is found out from the file.",
        )


def _no_format(name: str, where: str, known: object = None) -> FanlightError:
    names = [*(known or [*TARGETS, "tfjs"])]  # type: ignore[misc]
    spelt = difflib.get_close_matches(_squeezed(name), _BY_NAME, n=5, cutoff=0.7)
    near = [_BY_NAME[n] for n in spelt if _BY_NAME[n] in names]
    only_read = where != "from" and _kind_named(name.strip(".")) in SOURCES
    return FanlightError(
        "E-CONVERT-001",
        f"{'models are not written as' if where != 'from' else 'there is no format'} "
        f"{name.strip('.')[:40]!r}.",
        where=where,
        expected=", ".join(names),
        received=repr(name)[:80],
        next=f"Fanlight reads {_kind_named(name.strip('.'))} and does not write it: for a page it "
        "writes a bundle, or tfjs-graph for TF.js; other programs read onnx."
        if only_read
        else f"did you mean {near[0]!r}?"
        if near
        else "take one of those"
        + ("." if where == "from" else ": tfjs for TF.js, bundle for a page that runs it."),
    )

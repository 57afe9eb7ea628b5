"""load_graph: find out what a path holds, and call its reader."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from fanlight.errors import FanlightError
from fanlight.formats.contents import kind_of_bytes
from fanlight.formats.files import regular_size
from fanlight.formats.given import instead_of_model
from fanlight.formats.inventory import Inventory
from fanlight.formats.jsonfile import expect, read_json
from fanlight.formats.source import Options, Source, make_options, refuse_unused
from fanlight.formats.together import told_apart
from fanlight.formats.zipped import told_of, unzipped

_KNOWN = (
    "model.json of TensorFlow.js (layers-model or graph-model), Keras .h5/.hdf5 or .keras, a "
    "SavedModel or frozen .pb, .tflite, .onnx, .pt2 of PyTorch, the .safetensors of a page, or the "
    "zip of a project of Studio or a TensorFlow.js model"
)
# What to do with the formats that people come with.
_CONVERT = {
    ".pt": "pickles of PyTorch can run any program and are never opened: export the model "
    "(torch.export.save(torch.export.export(model.eval(), inputs), 'model.pt2')), or give it to "
    "fl.from_torch.",
    ".bin": "name the model.json beside the weights.",
}
_CONVERT |= {
    ".pth": _CONVERT[".pt"],
    ".safetensors": "the file has weights, no model: export the PyTorch model to .pt2 "
    "(torch.export.save), or give the weights to layers: model.load_weights(path).",
}
# Readers by suffix: module and function, imported when they are wanted.
_READERS = {
    ".h5": ("fanlight.formats.keras.h5", "read_h5"),
    ".hdf5": ("fanlight.formats.keras.h5", "read_h5"),
    ".keras": ("fanlight.formats.keras.archive", "read_archive"),
    ".tflite": ("fanlight.formats.tflite.reader", "read_tflite"),
    ".task": ("fanlight.formats.tflite.reader", "read_tflite"),
    ".pt2": ("fanlight.formats.torch.reader", "read_pt2"),
    ".onnx": ("fanlight.formats.onnx.reader", "read_onnx"),
    ".pb": ("fanlight.formats.savedmodel.reader", "read_pb"),
}
# Which of signature, tags, inputs and outputs a kind of file takes; the others are refused.
_TAKES: dict[str, tuple[str, ...]] = {
    ".pb": ("signature", "tags", "inputs", "outputs", "input_values", "tables"),
    ".tflite": ("signature",),
    ".task": ("signature",),
}
# Kinds of graphs of free shapes, which are looked through for examples of a batch that meet.
_TOGETHER = (".onnx", ".pt2", ".tflite", ".task")


def load_graph(
    path: str | Path,
    *,
    size: int | Sequence[int] | None = None,
    input_shapes: Mapping[str, Sequence[int | None]] | None = None,
    weights: str = "stored",
    signature: str | None = None,
    tags: str | Sequence[str] = (),
    inputs: str | Sequence[str] = (),
    outputs: str | Sequence[str] = (),
    input_values: Mapping[str, Any] | None = None,
    tables: Mapping[str, Any] | None = None,
    readable: bool = False,
) -> Source:
    """Read a model file, or the folder that holds it.

    Args:
        path: model.json (any name), .h5, .hdf5, .keras, or a folder with one of them.
        size: image height and width where the source leaves them open.
        input_shapes: whole shapes by input name, where the source leaves them open.
        weights: "stored", or "random" for weights seeded by their names.
        signature: of a SavedModel or .tflite with several signatures, which one (its key).
        tags: of a SavedModel with several graphs, the tags of the one wanted.
        inputs, outputs: names of nodes or tensors to cut a graph at, where its own do not do.
        input_values: of a TensorFlow graph, what inputs are fixed to, by name: whether it trains,
            or the numbers that decide sizes.
        tables: words of tables that the files do not fill; see `fl.load`.
        readable: leave out nodes that cannot be read, and those behind them (see Source.unread).

    Raises:
        FanlightError: E-FORMAT-nnn, telling what in which file cannot be read.
    """
    options = make_options(
        size, input_shapes, weights, signature, tags, inputs, outputs, input_values, tables
    )
    options = replace(options, readable=readable)
    if not isinstance(path, str | os.PathLike):
        received, todo = instead_of_model(path)
        raise FanlightError(
            "E-FORMAT-001",
            "this is not the path of a model.",
            where="path",
            expected="a text, or a pathlib.Path",
            received=received,
            next=todo,
        )
    try:
        file = model_file(Path(path))
        with told_of(Path(path), file):
            return _read(file, options)
    except FanlightError:
        raise
    except OSError as error:
        raise FanlightError(
            "E-FORMAT-001",
            "the model cannot be read.",
            where=path,
            expected="files that can be read",
            received=error.strerror,
            next="check the path and its permissions.",
        ) from None
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError,
            MemoryError) as error:  # fmt: skip
        # A fault of the file that no check foresaw, so a fault of the reader, too.
        raise FanlightError(
            "E-FORMAT-005",
            "the model is malformed in a way that the reader does not expect.",
            where=path,
            expected="a model as its converter writes it",
            received=f"{type(error).__name__}: {error}"[:300],
            next="please report it with the file: this message should have named the place.",
        ) from error


def ops_of(path: Path, options: Options) -> Inventory:
    """The ops or layers of a model in its own words, without reading its weights.

    Raises:
        FanlightError: E-FORMAT-nnn if not even these can be told.
    """
    file = model_file(path)
    kind = _kind(file)
    if kind in _READERS:
        found: Inventory = import_module(_READERS[kind][0]).ops_of(file, options)
        return found
    model = expect(read_json(file), dict, "the model", file)
    if _is_graph(model, file):
        from fanlight.formats.tfgraph.reader import ops_of_graph

        return ops_of_graph(model, file)
    from fanlight.formats.keras.tfjs_layers import ops_of_layers

    return ops_of_layers(model, file)


def _is_graph(model: Mapping[str, Any], file: Path) -> bool:
    """Whether a model.json is a graph-model."""
    # Files written before 2019 have no "format"; a GraphDef is known by its nodes.
    topology = expect(model.get("modelTopology"), dict, '"modelTopology"', file)
    return "node" in topology or model.get("format") == "graph-model"


def _read(file: Path, options: Options) -> Source:
    suffix = file.suffix.lower()
    kind = _kind(file)
    if kind == ".json":
        return _read_json_model(file, options)
    if kind in _READERS:
        module, function = _READERS[kind]
        refuse_unused(options, _TAKES.get(kind, ()), file)
        reader = getattr(import_module(module), function)
        source: Source = reader(file, options)
        if kind in _TOGETHER:
            return told_apart(source, options, lambda other: reader(file, other))
        return source
    raise FanlightError(
        "E-FORMAT-002",
        "this is not a model file that Fanlight reads.",
        where=file,
        expected=_KNOWN,
        received=f"a file named *{suffix or file.name}",
        next=_CONVERT.get(suffix),
    )


def model_file(path: Path) -> Path:
    """The model's main file: the path itself, or the one that its folder holds, or of a zip the
    file that it was unpacked to.

    Raises:
        FanlightError: E-FORMAT-001 the file is absent, E-FORMAT-002 the folder holds no model, or
            several.
    """
    if not path.is_dir():
        size = regular_size(path, "E-FORMAT-001", "the model")
        if not size:
            raise FanlightError(
                "E-FORMAT-001",
                "the model file is empty.",
                where=path,
                expected="a file with a model in it",
                received=f"{path.name or path}, 0 bytes",
                next="download or save the model again.",
            )
        return unzipped(path)
    if (path / "model.json").is_file():
        return path / "model.json"
    if (path / "saved_model.pb").is_file():
        return path / "saved_model.pb"
    files = sorted(f for f in path.iterdir() if f.is_file())
    models = [f for f in files if f.suffix.lower() in _READERS]
    models += [f for f in files if f.suffix.lower() == ".json" and _looks_like_model(f)]
    if len(models) == 1:
        return models[0]
    folders = [] if models else [f"{f.name}/" for f in sorted(path.iterdir()) if f.is_dir()]
    inner = [name for name in folders[:_MOST_FOLDERS] if _holds_model(path / name)]
    raise FanlightError(
        "E-FORMAT-002",
        "the folder holds no model." if not models else "the folder holds several models.",
        where=path,
        expected=_KNOWN,
        received=", ".join([f.name for f in (models or files)[:12]] or folders[:12])
        or "an empty folder",
        next="name the file itself."
        if models
        else f"name one of the folders within: {_listed(inner)}."
        if inner
        else "this is a bundle, built already: fl.open_bundle(path).run(inputs) computes with it, "
        "fanlight serve shows it."
        if (path / "manifest.json").is_file()
        else "check the path.",
    )


# Folders in a folder that are looked into for models.
_MOST_FOLDERS = 200


def _holds_model(folder: Path) -> bool:
    """Whether a folder holds files of models, by their names."""
    try:
        return any(
            f.name == "model.json" or f.suffix.lower() in _READERS
            for f in folder.iterdir()
            if f.is_file()
        )
    except OSError:  # not ours to look into
        return False


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(names[:12]) + more


def _looks_like_model(file: Path) -> bool:
    try:
        with file.open("rb") as handle:
            return b'"modelTopology"' in handle.read(1 << 26)
    except OSError:
        return False


def _kind(file: Path) -> str:
    """The key of the reader: by the content, and by the name where the content does not tell.

    Raises:
        FanlightError: E-FORMAT-002 a pickle of PyTorch.
    """
    return kind_of_bytes(file) or file.suffix.lower()


def _read_json_model(file: Path, options: Options) -> Source:
    model = expect(read_json(file), dict, "the model", file)
    topology = model.get("modelTopology")
    if topology is None:
        raise FanlightError(
            "E-FORMAT-002",
            "the JSON file is not a TensorFlow.js model.",
            where=file,
            expected='an object with "modelTopology" and "weightsManifest"',
            received=", ".join(map(repr, list(model)[:8])) or "an empty object",
            next="a model saved as weights only has no topology: save the whole model.",
        )
    is_graph = _is_graph(model, file)
    refuse_unused(options, ("input_values", "tables") if is_graph else (), file)
    if is_graph:
        from fanlight.formats.tfgraph.reader import read_graph_model

        source = read_graph_model(model, file, options)
    else:
        from fanlight.formats.keras.tfjs_layers import read_layers_model

        source = read_layers_model(model, file, options)
    labels, warnings = labels_of(model, file)
    about = {
        key: model[key]
        for key in ("format", "generatedBy", "convertedBy", "userDefinedMetadata")
        if model.get(key) is not None
    }
    return replace(
        source,
        labels=labels,
        warnings=(*source.warnings, *warnings),
        metadata={**source.metadata, **about},
    )


def labels_of(model: Mapping[str, Any], file: Path) -> tuple[tuple[str, ...] | None, list[str]]:
    """Class names that the model carries: Teachable Machine writes metadata.json beside it."""
    beside = file.with_name("metadata.json")
    found: Any = None
    warnings: list[str] = []
    if beside.is_file():
        try:
            found = read_json(beside)
        except FanlightError as error:
            warnings.append(f"metadata.json beside the model was left out: {error.message}")
    for holder in (found, model.get("userDefinedMetadata")):
        names = holder.get("labels") if isinstance(holder, dict) else None
        if isinstance(names, list) and names and all(isinstance(n, str) for n in names):
            return tuple(names), warnings
    return None, warnings

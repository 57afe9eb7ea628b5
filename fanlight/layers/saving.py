"""Models and weights to and from files; what a file is follows from its name and its content.

As `fl.saving` it has the names of `keras.saving`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fanlight import formats
from fanlight.errors import FanlightError
from fanlight.formats.contents import kind_of_bytes
from fanlight.formats.detect import model_file
from fanlight.formats.given import instead_of_model
from fanlight.formats.model import Model as LoadedModel
from fanlight.formats.shards import SHARD_BYTES
from fanlight.formats.source import (
    Options,
    Port,
    Source,
    check_options,
    make_options,
    refuse_unused,
    static_shape,
)
from fanlight.formats.together import told_apart
from fanlight.formats.zipped import project_labels, told_of, unzipped
from fanlight.graph import Graph
from fanlight.graph.rewrite import with_names
from fanlight.layers import config
from fanlight.layers.foreign import refuse_model
from fanlight.layers.inputs import flat_dict
from fanlight.layers.layer import Layer
from fanlight.layers.model import not_built
from fanlight.layers.utils import (
    CustomObjectScope,
    custom_object_scope,
    deserialize_keras_object,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)
from fanlight.tensor.caller import caller, warn

_H5 = (".h5", ".hdf5")


def _path(path: Any) -> Path:
    try:
        found = Path(path)
    except TypeError:
        found = Path()
    if not found.name:
        received, todo = instead_of_model(path)
        raise FanlightError(
            "E-LAYER-010",
            "this is not the path of a file.",
            where=caller(),
            expected='a path: "model.keras"',
            received=received,
            next=todo,
        )
    return found


def _found(path: Path) -> Path:
    """Where a model is read from: of a folder whose file is not called model.json, that file; of a
    zip, the file that it was unpacked to.

    Raises:
        FanlightError: E-FORMAT-002 the folder holds no model, or several; or as `unzipped`.
    """
    if path.is_file():
        return unzipped(path)
    if not path.is_dir() or (path / "model.json").is_file():
        return path
    try:
        return model_file(path)
    except OSError:  # the reader says what is wrong with it
        return path


def kind_of(path: Path, reading: bool = False) -> str:
    """What a path stands for: keras, h5, weights (.weights.h5), safetensors, tfjs."""
    name = path.name.lower()
    if name.endswith(".weights.h5"):
        return "weights"
    if name.endswith(".keras"):
        return "keras"
    if name.endswith(_H5):
        return "h5"
    if name.endswith(".safetensors"):
        return "safetensors"
    folder = path.is_dir() or not (path.suffix or (reading and path.is_file()))
    if path.suffix == ".json" or folder:
        return "tfjs"
    raise FanlightError(
        "E-LAYER-009",
        "there are no files of models with this ending.",
        where=f"{path}, {caller()}",
        expected=".keras, .h5, .weights.h5, .safetensors, or a folder for TF.js",
        received=path.suffix or path.name,
        next="fl.load(path) reads models of other formats, as graphs: fl.build and fl.convert take "
        "those."
        if reading
        else 'model.save("model.keras")',
    )


def _kind_to_read(path: Path) -> str:
    """`kind_of` for a file that is there: its content counts more than its name.

    Raises:
        FanlightError: E-FORMAT-002 a pickle of PyTorch; E-LAYER-009 no file of layers.
    """
    told = {".keras": "keras", ".h5": "h5"}.get(kind_of_bytes(path))
    # Weights of both layouts are in HDF5: there the name tells them apart.
    if told is None or (told == "h5" and path.name.lower().endswith(_H5)):
        return kind_of(path, reading=True)
    return told


def _built(model: Any) -> None:
    if not model.built:
        raise not_built(model)


def save_model(
    model: Any, path: Any, overwrite: bool = True, include_optimizer: bool = True
) -> None:
    """See `Model.save`."""
    from fanlight.layers import file_h5, file_keras, file_safetensors, file_tfjs

    target = _path(path)
    kind = kind_of(target)
    if kind == "weights":
        save_weights(model, target, overwrite)
        return
    _built(model)
    if kind == "keras":
        file_keras.write(model, target, overwrite, include_optimizer)
    elif kind == "h5":
        file_h5.write(model, target, overwrite, include_optimizer)
    elif kind == "safetensors":
        file_safetensors.write_model(model, target, overwrite, include_optimizer)
    else:
        file_tfjs.write(model, target, overwrite, include_optimizer)


def as_source(model: Any, format: str = "layers", options: Options | None = None) -> Source:
    """The graph of a model of layers whose weights are called as in its files, "dense/kernel": a
    traced graph knows them by their numbers only.

    Args:
        options: the sizes of inputs that leave some open; None: the model leaves none open.

    Raises:
        FanlightError: E-FORMAT-017 a size that is open, E-FORMAT-018 one that does not fit;
            E-LAYER-001 one that is open, without `options`.
    """

    def place(array: np.ndarray) -> tuple[int, tuple[int, ...]]:
        return array.ctypes.data, array.shape

    graph = model.graph if options is None else _sized(model, options, model.name)[0]
    paths = {place(w.numpy()): w.path for w in model.weights}
    names = {v: paths[place(a)] for v, a in graph.weights.items() if place(a) in paths and a.size}
    free = model.batched
    return Source(
        with_names(graph, names),
        format,
        tuple(Port(v.name, v.name, bool(free.get(v.name))) for v in graph.inputs),
        tuple(Port(n, n, any(free.values())) for n, _ in graph.outputs),
    )


def write_tfjs(
    model: Any,
    folder: Any,
    *,
    layers: bool | None = None,
    quantize: Any = None,
    shard_bytes: int = SHARD_BYTES,
    metadata: Mapping[str, Any] | None = None,
    overwrite: bool = True,
    options: Options | None = None,
) -> tuple[str, tuple[str, ...]]:
    """Write a model of layers for TF.js: as a layers-model if TF.js has all of its layers, with
    the same meaning, else as a graph-model.

    Args:
        model: of layers, as `load_model` gives it.
        folder: where to.
        layers: True asks for a layers-model alone, False for a graph-model.
        quantize, shard_bytes, metadata, overwrite: as of `fanlight.formats.write_graph_model`.
        options: for a graph-model, the sizes of inputs that leave some open; a layers-model keeps
            them open.

    Returns:
        "layers-model" or "graph-model", and what there is to know: which layers TF.js has not.

    Raises:
        FanlightError: E-LAYER-009 it has to be a layers-model, and TF.js lacks some layers;
            E-FORMAT-040, E-FORMAT-041, E-LAYER-010 as `write_graph_model`.
    """
    from fanlight.layers import file_tfjs
    from fanlight.passes import fold

    target = _path(folder)
    _built(model)
    told: tuple[str, ...] = ()
    if layers is not False:
        try:
            file_tfjs.write(
                model,
                target,
                overwrite,
                False,
                quantize=quantize,
                shard_bytes=shard_bytes,
                metadata=metadata,
            )
            return "layers-model", _lost_keys(model)
        except FanlightError as error:
            if layers or error.code != "E-LAYER-009":
                raise
            told = (f"a graph-model, for TF.js has not: {error.received}",)
    more = formats.write_graph_model(
        as_source(model, options=options),
        target,
        quantize=quantize,
        shard_bytes=shard_bytes,
        metadata=metadata,
        overwrite=overwrite,
        rewrite=fold,
    )
    return "graph-model", (*told, *more)


def _lost_keys(model: Any) -> tuple[str, ...]:
    """What to say of outputs that are called by keys of dicts in each other."""
    form = model.outputs_form if model.functional else None
    parts = form if isinstance(form, list | tuple) else [form]
    if flat_dict(form) or not any(isinstance(x, Mapping) for x in parts):
        return ()
    return (
        "A layers-model gives its outputs in a list: the keys of dicts that lie in each other are "
        f"lost. Their order is {', '.join(model.output_names)}.",
    )


def save_weights(model: Layer, path: Any, overwrite: bool = True) -> None:
    """See `Model.save_weights`."""
    from fanlight.layers import file_h5, file_keras, file_safetensors

    target = _path(path)
    _built(model)
    kind = kind_of(target)
    if kind == "weights":
        file_keras.write_weights(model, target, overwrite)
    elif kind == "h5":
        file_h5.write_weights(model, target, overwrite)
    elif kind == "safetensors":
        file_safetensors.write(model, target, overwrite)
    else:
        raise FanlightError(
            "E-LAYER-009",
            "weights alone are not in such a file.",
            where=f"{target}, {caller()}",
            expected=".weights.h5, .h5 or .safetensors",
            received=target.name,
            next="model.save(path) writes the layers, too.",
        )


def load_model(
    path: Any,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """The model of a file, with its weights, ready to train on if it was compiled.

    Args:
        path: a .keras or .h5 file of Keras (2 and 3) or of `model.save`, or the folder or
            model.json of a TF.js layers-model; or the .safetensors of `model.save` or of a page
            that trained a model.
        custom_objects: layers and functions of your own by the names that the file has for them;
            those that were registered, `@fl.register()` above them, need not be here.
        compile: whether it is compiled as it was, with the state of its optimizer.
        safe_mode: as Keras has it; False changes nothing: no code that is in a file is ever run.

    Raises:
        FanlightError: E-LAYER-008 with every layer that is not known; E-LAYER-006 weights that do
            not fit; E-FORMAT-001 to 023 files that are absent, damaged or hostile.
    """
    model = read_model(path, custom_objects, compile)
    for told in getattr(model, "_notes", ()):
        warn(f"{Path(path).name}: {told}")
    return model


def read_model(
    path: Any, custom_objects: Mapping[str, Any] | None = None, compile: bool = True
) -> Any:
    """As `load_model`; what there is to know of the weights is kept with it: no warning."""
    from fanlight.layers import file_h5, file_keras, file_safetensors, file_tfjs

    refuse_model(path)
    place = _path(path)
    _no_bundle(place)
    source = _found(place)
    readers = {
        "keras": file_keras.read,
        "h5": file_h5.read,
        "tfjs": file_tfjs.read,
        "safetensors": file_safetensors.read_model,
    }
    read = readers.get(_kind_to_read(source))
    if read is not None:
        with config.custom_objects(custom_objects), told_of(place, source):
            model = read(source, compile)
            if source != place:
                model.labels = project_labels(source, model.labels)
            return model
    raise FanlightError(
        "E-LAYER-009",
        "the file has weights only, no layers.",
        where=f"{source}, {caller()}",
        expected="a .keras or .h5 file, or a folder of TF.js",
        received=source.name,
        next="make the model first, then model.load_weights(path).",
    )


def seeded_model(path: str | Path) -> Any:
    """The model of a file with seeded weights in place of its own, not compiled.

    Raises:
        FanlightError: as `load_model`.
    """
    from fanlight.formats.random_weights import random_array
    from fanlight.layers import file_tfjs

    source = _found(_path(path))
    if _kind_to_read(source) == "tfjs":  # its shards may be absent
        return file_tfjs.read(source, False, "random")
    model = read_model(source, compile=False)
    for weight in model.weights:
        if weight.dtype == "float32":
            weight.assign(random_array(weight.path, weight.shape))
    return model


def _no_bundle(path: Path) -> None:
    """E-LAYER-009 for what `fl.build` has written: WebAssembly, of which no layers can be made."""
    folder = path.parent if path.name == "manifest.json" else path
    if not (folder / "manifest.json").is_file() or (folder / "model.json").is_file():
        return
    raise FanlightError(
        "E-LAYER-009",
        "this is a bundle, built already: it computes, and has no layers to train.",
        where=f"{path}, {caller()}",
        expected="a .keras or .h5 file, or a folder of TF.js",
        received="manifest.json and WebAssembly",
        next="fl.open_bundle(path).run(inputs) computes with it; fl.load_model reads the file that "
        "it was built from, or what a page that trains it has saved (.safetensors).",
    )


def load(
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
) -> Any:
    """Read a model: TF.js `model.json` (layers or graph), Keras `.h5` or `.keras`, or a folder.

    Such a model is a graph: it is built, checked and quantised. Layers that are not read as graphs
    (recurrent ones, attention, your own) are made as `fl.load_model` makes them. To train one, or
    to use its layers, `fl.load_model` makes it of layers. What a page that trained a model has
    saved (`.safetensors`) is one of layers with both.

    Args:
        path: the file, or the folder that holds it.
        size: image height and width where the source leaves them open.
        input_shapes: whole shapes by input name, where the source leaves them open.
        weights: "stored", or "random" for seeded weights in place of the files.
        signature: of a SavedModel or .tflite with several signatures, which one (its key).
        tags: of a SavedModel with several graphs, the tags of the one wanted.
        inputs, outputs: names of nodes or tensors to cut a graph at, where its own do not do.
        input_values: of a TensorFlow graph, what inputs are fixed to, by name: whether it trains,
            or the numbers that decide sizes.
        tables: of a graph that looks up words in tables that its files do not fill: by the name of
            the table a list of words, each under its number, or a dict.

    Raises:
        FanlightError: E-FORMAT-nnn, telling what in which file cannot be read.
    """
    refuse_model(path)
    file = unzipped(path) if isinstance(path, str | Path) and Path(path).is_file() else path
    if isinstance(file, str | Path) and str(file).lower().endswith(".safetensors"):
        options = make_options(
            size, input_shapes, weights, signature, tags, inputs, outputs, input_values, tables
        )
        refuse_unused(options, (), path)
        check_options(options, {}, path)
        if weights != "stored":
            raise FanlightError(
                "E-FORMAT-024",
                "a .safetensors file has its weights inside.",
                where=path,
                expected="weights='stored'",
                received=repr(weights),
            )
        return load_model(path)
    try:
        return formats.load(
            path,
            size=size,
            input_shapes=input_shapes,
            weights=weights,
            signature=signature,
            tags=tags,
            inputs=inputs,
            outputs=outputs,
            input_values=input_values,
            tables=tables,
        )
    except FanlightError as error:
        if error.code not in ("E-FORMAT-012", "E-FORMAT-014"):
            raise
        return _by_layers(_found(Path(path)), error, make_options(size, input_shapes, weights))


# What layers say of a file that they know, rather than that they do not know it.
_TELLING = ("E-LAYER-", "E-FORMAT-006", "E-FORMAT-007", "E-FORMAT-017", "E-FORMAT-018")


def _by_layers(path: Path, error: FanlightError, options: Options) -> LoadedModel:
    """The graph of a file whose layers have no reader of their own: that of `load_model`'s model.

    Args:
        error: what the reader of graphs says; raised if there are no such layers either.
    """
    try:
        if options.weights == "stored":
            return graph_of(read_model(path, None, False), path, options)
        if _kind_to_read(path) != "tfjs":
            raise error  # the other files hold their weights
        from fanlight.layers import file_tfjs

        return graph_of(file_tfjs.read(path, False, options.weights), path, options)
    except FanlightError as other:
        if other.code == "E-LAYER-008":  # its list has those alone that nobody knows
            error.message, error.expected = other.message, other.expected
            error.received, error.next = other.received, other.next
        elif error.code == "E-FORMAT-014" and other.code.startswith(_TELLING):
            raise other from None
    raise error


def graph_of(model: Any, path: str | Path, options: Options | None = None) -> LoadedModel:
    """A model of layers as one that is read as a graph, for inference; with its batch fixed if
    examples of one meet.

    Args:
        options: the sizes of inputs that leave some open.

    Raises:
        FanlightError: E-FORMAT-017 a size that is open, E-FORMAT-018 one that does not fit.
    """

    def read(asked: Options) -> Source:
        graph, batched = _sized(model, asked, path)
        return Source(
            graph=graph,
            format=format_of(path),
            inputs=tuple(Port(v.name, v.name, batched[v.name]) for v in graph.inputs),
            outputs=tuple(Port(n, n, tuple(v.type.shape[:1]) == (1,)) for n, v in graph.outputs),
            labels=class_names(model),
            warnings=tuple(getattr(model, "_notes", ())),
        )

    given = options or Options()
    return LoadedModel(told_apart(read(given), given, read))


def class_names(model: Any) -> tuple[str, ...] | None:
    """The names of a model's classes; None for what a class of one's own calls so."""
    names = model.labels
    told = isinstance(names, list | tuple) and all(isinstance(n, str) for n in names)
    return tuple(names) if told and names else None


def format_of(path: str | Path) -> str:
    """What readers call the format of a file of layers."""
    kinds = {"keras": "keras-v3", "h5": "keras-h5", "tfjs": "tfjs-layers"}
    kind = _kind_to_read(_found(Path(path)))
    return kinds.get(kind, kind)


def _sized(model: Any, options: Options, where: object) -> tuple[Graph, dict[str, bool]]:
    """The graph of a model of layers for the sizes of `options`, and of which inputs by name the
    first dim is free.
    """
    types = model.input_types()
    check_options(options, {n: s for n, (s, _) in types.items()}, where)
    shapes = {n: static_shape(n, s, options, where, examples=True) for n, (s, _) in types.items()}
    graph = model.graph_of({n: (shape, types[n][1]) for n, (shape, _) in shapes.items()})
    return graph, {n: batched for n, (_, batched) in shapes.items()}


def load_weights(
    model: Layer, path: Any, by_name: bool = False, skip_mismatch: bool = False
) -> None:
    """See `Model.load_weights`."""
    from fanlight.layers import file_h5, file_keras, file_safetensors, file_tfjs

    source = _path(path)
    _built(model)
    kind = _kind_to_read(source)
    readers = {
        "keras": file_keras.read_weights,
        "weights": file_keras.read_weights,
        "h5": file_h5.read_weights,
        "safetensors": file_safetensors.read,
        "tfjs": file_tfjs.read_weights,
    }
    readers[kind](model, source, by_name, skip_mismatch)


__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "load_weights",
    "register_keras_serializable",
    "save_model",
    "save_weights",
    "serialize_keras_object",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

"""What is converted: a model opened once, as a graph and, where it has them, as layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import fanlight.layers.saving as saving
from fanlight.convert.cut import cut, places
from fanlight.convert.kinds import OF_LAYERS
from fanlight.convert.layered import between_layers, symbols_of, type_of, with_inputs
from fanlight.dtypes import STRING
from fanlight.errors import FanlightError
from fanlight.formats.detect import load_graph
from fanlight.formats.given import instead_of_model
from fanlight.formats.model import Model as LoadedModel
from fanlight.formats.names import ending_in
from fanlight.formats.source import make_options, refuse_unused
from fanlight.formats.unread import Unread, of_nodes
from fanlight.formats.zipped import told_of, unzipped
from fanlight.graph import Graph
from fanlight.layers.model import Model


@dataclass(frozen=True)
class Reading:
    """What is read of a source, and how: what `fl.load` is told of a path.

    Attributes:
        inputs, outputs: nodes that the part wanted begins behind and ends at; none: the whole.
        Others: see `fl.load`.
    """

    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    size: int | Sequence[int] | None = None
    input_shapes: Mapping[str, Sequence[int | None]] | None = None
    weights: str = "stored"
    signature: str | None = None
    tags: str | Sequence[str] = ()
    input_values: Mapping[str, Any] | None = None
    tables: Mapping[str, Any] | None = None

    @property
    def whole(self) -> Reading:
        """The same of all of the source."""
        return replace(self, inputs=(), outputs=())


_USUAL = Reading()
_OF_LAYERS = ("keras-v3", "keras-h5", "tfjs-layers", "safetensors")
# Tried for sizes that are open, where only the check needs some.
_SMALL = (8, 16, 32, 64, 128, 224, 299, 512)


@dataclass(frozen=True)
class Opened:
    """A source.

    Attributes:
        graph: its meaning, for one example.
        format: as its reader calls it; "layers" for a model made in Python.
        where: its path, or its name.
        layers: makes the model of layers; None: the source has none.
        batched: inputs whose leading dim is a batch that is free.
        texts: the inputs and outputs of texts, which Python does in front of the graph and behind;
            where they are within the model alone, all inputs.
        debug_ops: ops of it that only print or check -> how many were left out.
        results: what it calls its nodes, layers and tensors -> the values that are their results.
        open_sizes: what is said of sizes that it leaves open and nobody gave. The graph is of small
            ones then, for the check alone; layers keep theirs open.
        sized: whether the caller gave sizes.
        unread: what is not in the graph, for it cannot be read; see open_readable.
        inside: whether this is a part that is no layers, of a source that has some.
    """

    graph: Graph
    format: str
    where: Any
    layers: Callable[[], Any] | None
    batched: tuple[str, ...]
    labels: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()
    loaded: Any = None
    texts: tuple[str, ...] = ()
    debug_ops: Mapping[str, int] = field(default_factory=dict)
    results: Mapping[str, str] = field(default_factory=dict)
    open_sizes: FanlightError | None = None
    sized: bool = False
    unread: Unread | None = None
    inside: bool = False

    @property
    def left_out(self) -> str | None:
        """What to say of ops that only print or check; None if there are none."""
        if not self.debug_ops:
            return None
        counted = ", ".join(f"{n} {op}" for op, n in sorted(self.debug_ops.items()))
        return f"{counted}: left out, they only print or check."

    def of_layers_alone(self, graph: Graph) -> Opened:
        """The same source with its layers, and without the numbers of its graph.

        Args:
            graph: its graph without weights.
        """
        return replace(self, graph=graph, loaded=None)

    def of_part(self, graph: Graph) -> Opened:
        """The same source cut to a part of its graph: no layers, and a free batch only where all
        inputs are those of the source.
        """
        kept = all(v in self.graph.inputs for v in graph.inputs)
        batched = tuple(n for n in self.batched if n in {v.name for v in graph.inputs})
        inner = ", ".join(v.name for v in graph.inputs if v not in self.graph.inputs)
        told: tuple[str, ...] = ()
        if not kept and self.batched:
            told = (
                f"The part takes one example at a time: it begins inside of the model, at "
                f"{inner[:300]}, and that a leading dim is a free batch is known of the model's "
                "own inputs alone. A part that begins at those keeps its batch free.",
            )
        return replace(
            self,
            graph=graph,
            layers=None,
            inside=self.layers is not None,
            batched=batched if kept else (),
            warnings=(*self.warnings, *told),
            loaded=None,
        )


def open_part(source: Any, reading: Reading) -> Opened:
    """A source, or the part of it from some nodes to others; see `open_source` and `cut`."""
    if _cuts_itself(source):  # so that what is cut off need not be understood
        try:
            return open_source(source, reading)
        except FanlightError as error:
            if error.code != "E-FORMAT-018" or not (reading.inputs or reading.outputs):
                raise
            # Its nodes are those of the file; most of a SavedModel's are inside of functions.
    if isinstance(source, Model):
        layers = between_layers(source, reading.inputs, reading.outputs)
        if layers is not None:
            return open_source(layers, reading.whole)
    if not reading.outputs:
        opened = open_source(source, reading.whole)
    else:
        opened = open_readable(source, reading.whole, reading.outputs)
    if reading.inputs or reading.outputs:
        layered = _part_of_layers(opened, reading)
        if layered is not None:
            return layered
        part = opened.of_part(cut(opened.graph, reading.inputs, reading.outputs, opened.results))
        return replace(part, texts=()) if reading.inputs and reading.outputs else part
    return opened


def open_readable(source: Any, reading: Reading, wanted: Sequence[str] = ()) -> Opened:
    """A source; of a path whose nodes are not all known those that are, and are not behind others.

    Args:
        wanted: names that have to be among them, as far as the source has them.

    Raises:
        FanlightError: as open_source does, also where nothing can be read.
    """
    try:
        return open_source(source, reading)
    except FanlightError as error:
        if not of_nodes(error) or not isinstance(source, str | Path):
            raise
        try:
            model = LoadedModel(load_graph(source, **vars(reading), readable=True))
        except FanlightError:
            raise error from None
        unread = model.source.unread
        if unread is None or any(
            name.removesuffix(":0") in unread.names or ending_in(name, unread.names)
            for name in wanted
            if name not in model.source.results
        ):
            raise
        return replace(_of_graph(model, source, reading), layers=None)


def names_of(opened: Opened) -> dict[str, str]:
    """Where a source can be cut: the names for `inputs` and `outputs`, with the types there."""
    graph = opened.graph
    found = places(graph, opened.results)
    if opened.unread is not None:  # the reader has made outputs of what the source calls otherwise
        own = {v.name for v in graph.inputs} | set(opened.results)
        again = set(opened.results.values())
        found = {n: v for n, v in found.items() if n in own or v.name not in again}
    named = {n: str(v.type) for n, v in found.items()}
    if opened.results or opened.layers is None:
        return named
    # Where the reader of graphs tells no names, layers do: a traced graph has those of ops alone.
    told = {n: type_of(s) for n, s in symbols_of(opened.layers()).items()}
    return told | {n: named[n] for n, _ in graph.outputs} if told else named


def _part_of_layers(opened: Opened, reading: Reading) -> Opened | None:
    """A part of a source that goes from layers to layers, which stay layers; None for others."""
    names = (*reading.inputs, *reading.outputs)
    ends = [n for n, _ in opened.graph.outputs]
    if opened.layers is None or (
        opened.results and any(n not in opened.results and n not in ends for n in names)
    ):
        return None
    try:
        part = between_layers(opened.layers(), reading.inputs, reading.outputs, ends)
        if part is None:
            return None
        part = with_inputs(part)
        known = places(opened.graph, opened.results)
        sizes: dict[str, Any] = {n: known[n].type.shape for n in part.input_types() if n in known}
        made = _of_layers(part, opened.format, opened.where, replace(_USUAL, input_shapes=sizes))
    except FanlightError as error:
        if error.code == "E-CONVERT-003":
            raise
        return None  # a layer that is read as a graph alone, a size that is open within
    return replace(made, warnings=opened.warnings, labels=opened.labels)


def open_for(kind: str, source: Any, reading: Reading) -> Opened:
    """See `open_part`; what becomes layers again may leave sizes of its inputs open.

    Args:
        kind: what is to be written, see `target_kind`.

    Raises:
        FanlightError: E-FORMAT-017 sizes that are open and have to be known.
    """
    sized = reading.size is not None or bool(reading.input_shapes)
    of_layers = kind in (*OF_LAYERS, "tfjs", "safetensors")
    try:
        opened = replace(open_part(source, reading), sized=sized)
        return opened if of_layers else replace(opened, graph=_in_order(opened.graph, reading))
    except FanlightError as error:
        keeps = of_layers and not reading.inputs and not reading.outputs
        if error.code != "E-FORMAT-017" or not keeps:
            raise
        found = _of_small_sizes(source, reading, error)
        if found is None:
            raise
        return replace(found, sized=sized)


def _in_order(graph: Graph, reading: Reading) -> Graph:
    """A part with its outputs as they were asked for: a dict of layers' results has another order,
    which files of layers keep and graphs need not.
    """
    ends = dict(graph.outputs)
    if [*ends] == [*reading.outputs] or ends.keys() != {*reading.outputs}:
        return graph
    return replace(graph, outputs=tuple((n, ends[n]) for n in dict.fromkeys(reading.outputs)))


def _of_small_sizes(source: Any, reading: Reading, error: FanlightError) -> Opened | None:
    """A source of layers, with the smallest sizes that fit for those that are open; or None."""
    if isinstance(source, Model):
        model = source
    elif reading.weights == "stored":
        model = _stored(source)
    else:
        model = _seeded(source)
    if model is None:
        return None
    types = model.input_types()
    format = "layers" if model is source else saving.format_of(source)
    for small in _SMALL:
        shapes = {
            n: tuple(d or (small if axis else 1) for axis, d in enumerate(dims))
            for n, (dims, _) in types.items()
            if reading.size is None or len(dims) != 4
        }
        told = replace(reading, input_shapes={**shapes, **(reading.input_shapes or {})})
        try:
            made = _of_layers(model, format, getattr(source, "name", source), told)
        except FanlightError:
            continue
        if reading.weights == "stored" and model is not source:
            made = replace(made, layers=lambda: saving.read_model(source))
        return replace(made, open_sizes=error)
    return None


def _stored(source: str | Path) -> Any:
    """A file's model of layers; None where it has none."""
    try:
        return saving.read_model(source)
    except FanlightError:
        return None


def refuse_texts(opened: Opened) -> None:
    """E-CONVERT-002 for a model of which Python does a part: no other format has that."""
    if not opened.texts:
        return
    inputs = [v.name for v in opened.graph.inputs]
    outputs = [name for name, _ in opened.graph.outputs]
    raise FanlightError(
        "E-CONVERT-002",
        "what Python does with texts cannot be written, nor built for a page.",
        where=opened.where,
        expected="a model of numbers",
        received=", ".join(opened.texts),
        next="convert the part of numbers: --subgraph "
        f"{','.join(inputs)}:{','.join(outputs)}. fl.load(path).prepared(inputs) makes its numbers "
        "of texts in Python; a page needs a tokenizer of yours.",
    )


def _cuts_itself(source: Any) -> bool:
    """Whether the reader of a path takes inputs and outputs: TensorFlow's protocol buffers."""
    if not isinstance(source, str | Path):
        return False
    path = Path(source)
    return path.suffix.lower() == ".pb" or (path / "saved_model.pb").is_file()


def open_source(source: Any, reading: Reading) -> Opened:
    """A path, or a model that is there already.

    Raises:
        FanlightError: what `fl.load` raises; E-CONVERT-002 it is no model, or one that was read
            already and is to be read in some way.
    """
    if isinstance(source, LoadedModel):
        _refuse_reading(source.name, reading)
        return _of_graph(source, source.name, None)
    if isinstance(source, Model):  # its layers may leave sizes open
        _refuse_reading(source.name, replace(reading, size=None, input_shapes=None))
        return _of_layers(source, "layers", source.name, reading)
    if not isinstance(source, str | Path):
        received, todo = instead_of_model(source)
        raise FanlightError(
            "E-CONVERT-002",
            "this is no model.",
            where="source",
            expected="a path, or what fl.load or fl.load_model gave",
            received=received,
            next=todo
            or "give the path of a model file; of a live PyTorch model what fl.from_torch(model, "
            "(example,)) gives, of a function of JAX what fl.from_jax gives, of a Keras model the "
            "file that model.save wrote.",
        )
    inner = unzipped(source)
    if inner != Path(source):
        with told_of(Path(source), inner):
            return replace(open_source(inner, reading), where=source)
    if reading.weights == "random" and not (reading.inputs or reading.outputs):
        seeded = _seeded(source)
        if seeded is not None:
            refuse_unused(make_options(**vars(reading)), (), source)
            return _of_layers(seeded, saving.format_of(source), source, reading)
    if str(source).lower().endswith(".safetensors") and reading.weights == "stored":
        refuse_unused(make_options(**vars(reading)), (), source)
        return _of_layers(saving.read_model(source), "safetensors", source, reading)
    model = saving.load(source, **vars(reading))  # its fields are what fl.load takes
    return _of_graph(model, source, reading)


def _seeded(source: str | Path) -> Any:
    """A file's model of layers with random weights; None where it has no layers, or only the reader
    of graphs knows them.
    """
    try:
        return saving.seeded_model(source) if saving.format_of(source) in _OF_LAYERS[:3] else None
    except FanlightError:
        return None


def _refuse_reading(name: str, reading: Reading) -> None:
    """E-CONVERT-002 for what says how files are read, of a model that is in memory."""
    nothing: tuple[Any, ...] = (None, "stored", (), [], {})
    told = {
        what: x
        for what, x in vars(reading.whole).items()
        if not any(type(x) is type(n) and x == n for n in nothing)
    }
    if told:
        raise FanlightError(
            "E-CONVERT-002",
            f"{', '.join(told)}: that says how files are read, and this model was read already.",
            where=name,
            expected="a path with it, or a model without",
            received=repr(told)[:120],
            next="give it to fl.load, and convert what that gives.",
        )


def _of_layers(model: Any, format: str, where: Any, reading: Reading) -> Opened:
    sizes = make_options(reading.size, reading.input_shapes, "stored")
    return Opened(
        graph=saving.as_source(model, format, sizes).graph,
        format=format,
        where=where,
        layers=lambda: model,
        batched=tuple(n for n, free in model.batched.items() if free),
        labels=saving.class_names(model),
    )


def _of_graph(model: LoadedModel, where: Any, reading: Reading | None) -> Opened:
    batched = tuple(n for n, free in model.batched.items() if free)
    kind = model.source.format

    text = model.source.text
    told = {} if text is None else {**text.inputs, **text.outputs}
    texts = tuple(n for n, t in told.items() if t.dtype == STRING) or tuple(told)
    note = [f"Python does the part of texts, {', '.join(texts)}: it is not in the graph."]

    def layers() -> Any:
        return saving.read_model(where)

    stored = reading is not None and reading.weights == "stored"
    return Opened(
        graph=model.graph,
        format=kind,
        where=where,
        layers=layers if kind in _OF_LAYERS and stored else None,
        batched=batched,
        labels=model.labels,
        warnings=(*model.source.warnings, *(note if texts else [])),
        loaded=model,
        texts=texts,
        debug_ops=model.source.debug_ops,
        results=model.source.results,
        unread=model.source.unread,
    )

"""What a reader returns: the graph, and what the source said about it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.textpart import TextPart, as_bytes
from fanlight.formats.unread import Unread
from fanlight.graph import Graph

# What readers call their formats -> what they read.
FORMATS = {
    "tfjs-layers": "TF.js layers-model: a model.json with its weights",
    "tfjs-graph": "TF.js graph-model: a model.json with its weights",
    "keras-v3": "Keras 3 archive, .keras",
    "keras-h5": "Keras, .h5 or .hdf5",
    "saved-model": "TensorFlow SavedModel, a folder",
    "frozen-graph": "frozen TensorFlow graph, .pb",
    "tflite": "TensorFlow Lite, .tflite or .task",
    "onnx": "ONNX, .onnx",
    "torch": "PyTorch program of torch.export, .pt2, or a live module",
    "jax": "function of JAX, traced",
}


@dataclass(frozen=True)
class Port:
    """One input or output of a source.

    Attributes:
        name: its name in the graph.
        source: its name in the source (a tensor or a layer).
        batched: whether its leading dim was free in the source; it is 1 in the graph.
        given: what options (input_shapes) call it; empty: `source`.
    """

    name: str
    source: str
    batched: bool
    given: str = ""

    @property
    def asked(self) -> str:
        """Its name in options of fl.load."""
        return self.given or self.source


@dataclass(frozen=True)
class Source:
    """A model as read from its files.

    Attributes:
        graph: the imported graph; every leading dim that was free is 1.
        format: one of FORMATS.
        inputs, outputs: in the order of the graph's.
        labels: class names, if the source carries them.
        warnings: what a careful reader would like to know; empty for most models.
        metadata: what the files say about themselves (producer, converter, user metadata).
        constants: those of a graph-model that were made up, by their names in the source.
        text: what Python does with texts in front of the graph and behind it. With it, `inputs` and
            `outputs` are the model's, and the graph's are what lies between.
        mixes: where the examples of a batch meet, if they do; no input is batched then.
        debug_ops: ops of the source that only print or check -> how many were left out.
        results: what the source calls its nodes, layers or tensors -> the value of the graph that
            is their result; a value of the graph may be gone.
        unread: what was left out, where only what can be read was asked for. The graph has outputs
            where it begins.
    """

    graph: Graph
    format: str
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    labels: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    text: TextPart | None = None
    mixes: tuple[str, ...] = ()
    debug_ops: Mapping[str, int] = field(default_factory=dict)
    results: Mapping[str, str] = field(default_factory=dict)
    unread: Unread | None = None


@dataclass(frozen=True)
class Options:
    """What a caller may say about a source that leaves something open.

    Attributes:
        size: height and width for inputs whose image size is free.
        input_shapes: input name -> its whole shape, batch included or left out.
        weights: "stored", or "random" for seeded weights in place of the files.
        signature: which signature of a model that has several; None: its default.
        tags: the tags of the graph wanted in a SavedModel that has several; empty: "serve".
        inputs, outputs: names of tensors or nodes to cut the model at; empty: its own.
        input_values: input name -> the array that it is fixed to; it is no input then.
        tables: keys and values of tables that the files do not fill, by name.
        sketch: whether the shapes of the graph alone are wanted (see Emitter).
        readable: whether nodes that cannot be read are left out, with what is behind them, by
            readers that know how (see Source.unread).
    """

    size: tuple[int, int] | None = None
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    weights: str = "stored"
    signature: str | None = None
    tags: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    input_values: Mapping[str, np.ndarray] = field(default_factory=dict)
    tables: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    sketch: bool = False
    readable: bool = False


def make_options(
    size: int | Sequence[int] | None,
    input_shapes: Mapping[str, Sequence[int | None]] | None,
    weights: str,
    signature: str | None = None,
    tags: str | Sequence[str] = (),
    inputs: str | Sequence[str] = (),
    outputs: str | Sequence[str] = (),
    input_values: Mapping[str, Any] | None = None,
    tables: Mapping[str, Any] | None = None,
) -> Options:
    """Options from what a caller gave; E-FORMAT-018 or E-FORMAT-024 if that makes no sense."""
    pair: tuple[int, int] | None = None
    if size is not None:
        many = isinstance(size, list | tuple) or np.ndim(size)
        given = _whole(size if many else (size, size))
        if len(given) != 2 or not all(1 <= d <= 16384 for d in given):
            raise FanlightError(
                "E-FORMAT-018",
                "size is not an image size.",
                where="size",
                expected="a number, or (height, width), each 1 to 16384",
                received=repr(size)[:80],
                next="give whole numbers of pixels: 224, or (224, 320).",
            )
        pair = (given[0], given[1])
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in _by_name(input_shapes, "input_shapes", '{"image": (224, 224, 3)}').items():
        many = isinstance(shape, list | tuple) or np.ndim(shape)
        dims = shape if many else (0,)
        given = _whole([1 if d is None else d for d in dims])
        if min(given, default=1) < 1:
            raise FanlightError(
                "E-FORMAT-018",
                f"input_shapes[{name!r}] is not a shape.",
                where="input_shapes",
                expected="sizes of at least 1",
                received=repr(shape)[:80],
                next=f"give its sizes, the batch first: {{{name!r}: (1, 224, 224, 3)}}.",
            )
        shapes[name] = given
    if not isinstance(weights, str) or weights not in ("stored", "random"):
        raise FanlightError(
            "E-FORMAT-024",
            "there is no such choice of weights.",
            where="weights",
            expected="'stored' or 'random'",
            received=repr(weights)[:80],
        )
    if signature is not None and not (isinstance(signature, str) and signature):
        raise FanlightError(
            "E-FORMAT-018",
            "a signature is named by its key.",
            where="signature",
            expected="a text such as 'serving_default'",
            received=repr(signature)[:80],
            next="leave it out for the model's own, or give its name.",
        )
    return Options(
        pair,
        shapes,
        weights,
        signature,
        _names(tags, "tags", "'serve'"),
        _names(inputs, "inputs", "'image'"),
        _names(outputs, "outputs", "'scores'"),
        _values(input_values),
        filled_tables(tables),
    )


def _by_name(given: Any, what: str, example: str) -> Mapping[str, Any]:
    """What a caller gave by name, if anything; E-FORMAT-018 if it has no names."""
    wanted = {} if given is None else given
    if not isinstance(wanted, Mapping):
        raise FanlightError(
            "E-FORMAT-018",
            f"{what} are given by name.",
            where=what,
            expected=example,
            received=repr(given)[:80],
            next=f"write {what}={example}.",
        )
    return wanted


def _values(given: Any) -> dict[str, np.ndarray]:
    """Arrays of numbers by input name; E-FORMAT-018 if a caller gave something else."""
    made: dict[str, np.ndarray] = {}
    for name, value in _by_name(given, "input_values", '{"training": False}').items():
        try:
            array = np.array(value)
        except (TypeError, ValueError):  # rows of different lengths
            array = np.array(None)
        if array.dtype.kind not in "biuf":
            raise FanlightError(
                "E-FORMAT-018",
                f"input_values[{name!r}] is not an array of numbers.",
                where="input_values",
                expected="numbers or booleans",
                received=repr(value)[:80],
                next="give a number, True or False, or an array of them.",
            )
        made[name] = array
    return made


def _names(given: Any, what: str, example: str) -> tuple[str, ...]:
    """Names that a caller gave: one, or a list of them."""
    names = (given,) if isinstance(given, str) else given
    if not isinstance(names, list | tuple) or not all(isinstance(n, str) and n for n in names):
        raise FanlightError(
            "E-FORMAT-018",
            f"{what} are given by name.",
            where=what,
            expected=f"a name such as {example}, or a list of names",
            received=repr(given)[:80],
            next=f"write {what}=[{example}].",
        )
    return tuple(dict.fromkeys(names))


def filled_tables(tables: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Tables that a caller gave, as keys and values; E-FORMAT-018 if they are none."""
    made: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    given = {} if tables is None else tables
    for name, table in given.items() if isinstance(given, Mapping) else [("tables", given)]:
        pairs = dict(enumerate(table)) if isinstance(table, list | tuple) else table
        listed = isinstance(table, list | tuple)
        if not isinstance(pairs, Mapping) or not isinstance(given, Mapping):
            raise _no_table(name, table)
        keys, values = list(pairs), list(pairs.values())
        keys, values = (values, keys) if listed else (keys, values)
        made[name] = (_column(name, keys), _column(name, values))
    return made


def _column(name: str, items: list[Any]) -> np.ndarray:
    """Words as bytes, or numbers."""
    if all(isinstance(i, str | bytes) for i in items):
        column = np.empty(len(items), object)
        column[:] = [i if isinstance(i, bytes) else as_bytes(i) for i in items]
        return column
    whole = all(isinstance(i, int | np.integer) and -(2**31) <= i < 2**31 for i in items)
    if whole or all(isinstance(i, float | int | np.number) for i in items):
        return np.array(items, np.int32 if whole else np.float32)
    raise _no_table(name, items)


def _no_table(name: str, received: object) -> FanlightError:
    return FanlightError(
        "E-FORMAT-018",
        f"the table {name!r} is no table.",
        where="tables",
        expected='a list of words by their numbers, or {"word": number}, under the name of a table',
        received=repr(received)[:80],
        next=f"write tables={{{name!r}: ['first word', 'second word']}}.",
    )


def refuse_unused(options: Options, takes: Sequence[str], where: object) -> None:
    """E-FORMAT-018 if an option that few formats have is given and not in `takes`."""
    given = {
        "signature": options.signature,
        "tags": options.tags,
        "inputs": options.inputs,
        "outputs": options.outputs,
        "input_values": dict(options.input_values),
        "tables": options.tables,
    }
    unused = [name for name, value in given.items() if value and name not in takes]
    if unused:
        raise FanlightError(
            "E-FORMAT-018",
            f"{unused[0]} means nothing for a model of this format.",
            where=where,
            expected=f"no {unused[0]}",
            received=_shown(given[unused[0]]),
            next="leave it out.",
        )


def _shown(value: Any) -> str:
    """An option as people recognise it: of what is given by name the names."""
    return ", ".join(map(str, value))[:80] if isinstance(value, Mapping) else repr(value)[:80]


def _whole(sizes: Any) -> tuple[int, ...]:
    """Whole numbers of any kind; 0 for what is none."""
    return tuple(
        int(d) if isinstance(d, int | np.integer) and not isinstance(d, bool) else 0 for d in sizes
    )


def static_shape(
    name: str,
    dims: Sequence[int | None],
    options: Options,
    where: object,
    *,
    examples: bool = False,
) -> tuple[tuple[int, ...], bool]:
    """The shape in the graph of an input that the source declares as `dims` (None: free).

    Args:
        examples: whether the first dim counts examples, as in all models of layers: [?, ?, 3] are
            rows of steps then, else a picture.

    Returns the shape and whether its leading dim was free (then it is 1).

    Raises:
        FanlightError: E-FORMAT-017 if a size is open and the caller did not say it,
            E-FORMAT-018 if what the caller said does not fit.
    """
    lone = not examples and _is_lone_image(dims)
    image = len(dims) == 4 or lone
    batched = bool(dims) and dims[0] is None and not lone
    given = options.input_shapes.get(name)
    if given is not None:
        if batched and len(given) == len(dims) - 1:
            given = (1, *given)
        if len(given) != len(dims) or any(
            d is not None and d != g for d, g in zip(dims, given, strict=True)
        ):
            raise FanlightError(
                "E-FORMAT-018",
                f"input_shapes does not fit the input {name!r}.",
                where=where,
                expected=_describe(dims),
                received=list(given),
                next="give as many sizes as the input has dims, and those that are fixed as they "
                "are; or leave it out, if none is open.",
            )
        return given, batched and given[0] == 1
    sizes: list[int | None] = list(dims)
    if batched:
        sizes[0] = 1
    if image:
        first = len(dims) - 3
        for axis in (first, first + 1):
            if options.size is None:
                continue
            if sizes[axis] is None:
                sizes[axis] = options.size[axis - first]
    open_axes = [axis for axis, d in enumerate(sizes) if d is None]
    if open_axes:
        spatial = image and set(open_axes) <= {len(dims) - 3, len(dims) - 2}
        row = examples and len(dims) in (2, 3) and open_axes == [1]
        free = 224 if image else 32 if row else 20
        example = [1 if axis == 0 and batched else d or free for axis, d in enumerate(dims)]
        what = "image size" if spatial else "length" if row else "size"
        # In Python words: the command line says it in its own, see cli/wording.py.
        raise FanlightError(
            "E-FORMAT-017",
            f"the model leaves the {what} of its input {name!r} open.",
            where=where,
            expected="a length of its rows" if row else "a size for every free dim",
            received=_describe(dims),
            next="say it: fl.load(path, size=224)."
            if spatial
            else f"say it: fl.load(path, input_shapes={{{name!r}: {tuple(example)}}}).",
        )
    return tuple(d for d in sizes if d is not None), batched


def fixed_value(
    name: str, dims: Sequence[int | None] | None, dtype: str, options: Options, where: object
) -> np.ndarray | None:
    """The array that a caller fixes an input of these dims to, in the input's type; None: none.

    Raises:
        FanlightError: E-FORMAT-018 if it does not fit.
    """
    given = options.input_values.get(name)
    if given is None:
        return None
    fits = dims is None or (
        len(dims) == given.ndim
        and all(d is None or d == g for d, g in zip(dims, given.shape, strict=True))
    )
    with np.errstate(all="ignore"):
        made = given.astype(dtype)
        sides = (made.astype(np.float64), given.astype(np.float64))
        fits = fits and np.allclose(*sides, rtol=1e-6, atol=0, equal_nan=True)
    if not fits:
        raise FanlightError(
            "E-FORMAT-018",
            f"input_values does not fit the input {name!r}.",
            where=where,
            expected=f"{dtype} {_describe(dims) if dims is not None else 'of any shape'}",
            received=f"{given.dtype} {list(given.shape)}",
            next="give a value of that dtype and shape, or leave it out: it then stays an input.",
        )
    return made


def check_options(
    options: Options, inputs: Mapping[str, Sequence[int | None] | None], where: object
) -> None:
    """E-FORMAT-018 if `size` or a name in what is given by name means nothing to these inputs."""
    named = {"input_shapes": options.input_shapes, "input_values": options.input_values}
    for what, given in named.items():
        unknown = [name for name in given if name not in inputs]
        if unknown:
            near = difflib.get_close_matches(unknown[0], list(inputs), n=1)
            raise FanlightError(
                "E-FORMAT-018",
                f"{what} names an input that the model does not have.",
                where=where,
                expected=", ".join(inputs) or "none: it has no inputs",
                received=", ".join(unknown),
                next=(f"did you mean {near[0]!r}?" if near else "take a name of that list."),
            )
    images = [d for d in inputs.values() if d and len(d) in (3, 4)]
    if options.size is None or any(None in d[-3:-1] for d in images):
        return
    if all(tuple(d[-3:-1]) != options.size for d in images):
        raise FanlightError(
            "E-FORMAT-018",
            "a size was given, but no input of the model leaves its size open.",
            where=where,
            expected=", ".join(f"{n} {_describe(d)}" for n, d in inputs.items() if d),
            received=f"size {options.size[0]}x{options.size[1]}",
            next="leave the size out.",
        )


def _is_lone_image(dims: Sequence[int | None]) -> bool:
    """Whether the shape is an image without a batch dim: [free, free, channels]."""
    return len(dims) == 3 and dims[0] is None and dims[1] is None and dims[2] in (1, 3, 4)


def _describe(dims: Sequence[int | None]) -> str:
    return "[" + ", ".join("?" if d is None else str(d) for d in dims) + "]"

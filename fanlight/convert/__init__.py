"""convert(source, destination): a model of one format becomes one of another, and is checked."""

from __future__ import annotations

import gc
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fanlight.convert.arguments import check_arguments
from fanlight.convert.check import Checked, verify
from fanlight.convert.compare import ROUNDED, TOLERANCE, Difference
from fanlight.convert.kinds import (
    check_source,
    ending_note,
    folder_of,
    in_its_folder,
    refuse_same,
    target_kind,
)
from fanlight.convert.model import Opened, Reading, open_for, refuse_texts
from fanlight.convert.write import Options, refuse_needless, unmatched, write, writes_layers
from fanlight.errors import FanlightError
from fanlight.formats.shards import SHARD_BYTES, quantization
from fanlight.graph import Graph


@dataclass(frozen=True)
class Conversion:
    """What was converted, and how well.

    Attributes:
        source, destination: paths.
        format: of the source, as its reader calls it.
        kind: what was written: "tfjs-layers", "tfjs-graph", "keras", "h5", "onnx", "safetensors"
            or "bundle".
        files: what was written, with bytes.
        differences: of each output, the result beside the source on random inputs; empty if it
            was not checked.
        identical: whether what was written is the very graph of the source, with equal weights,
            so that no input can tell them apart.
        rounded: whether weights were quantised, so that differences are expected.
        tolerance: what a difference may be; of rounded weights one that no use would bear.
        notes: what a careful user would like to know.
        seconds: for all of it.
        problem: why the result could not be read or computed again, so that nobody knows whether
            it is right; None: it was checked, or was not to be.
    """

    source: str
    destination: str
    format: str
    kind: str
    files: Mapping[str, int]
    differences: tuple[Difference, ...] = ()
    identical: bool = False
    rounded: bool = False
    tolerance: float = TOLERANCE
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    ops: Mapping[str, int] = field(default_factory=dict)
    problem: FanlightError | None = None

    @property
    def worst(self) -> float | None:
        """The worst difference; None if it was not checked."""
        return max((d.worst for d in self.differences), default=None)

    @property
    def ok(self) -> bool:
        """Whether the check, if there was one, could be made, and no output is farther off than it
        may be.
        """
        right = self.worst is None or self.worst <= self.tolerance
        return self.problem is None and right


def convert(
    source: Any,
    destination: str | Path,
    *,
    to: str | None = None,
    from_: str | None = None,
    quantize: str | Sequence[str] | Mapping[str, Any] | None = None,
    signature: str | None = None,
    tags: str | Sequence[str] = (),
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    dynamic: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    structured_outputs: bool = False,
    strip_debug_ops: bool = False,
    shard_bytes: int = SHARD_BYTES,
    opset: int | None = None,
    size: int | Sequence[int] | None = None,
    input_shapes: Mapping[str, Sequence[int | None]] | None = None,
    weights: str = "stored",
    input_values: Mapping[str, Any] | None = None,
    tables: Mapping[str, Any] | None = None,
    check: bool = True,
) -> Conversion:
    """Read a model, write it in another format, and compare both on random inputs.

    Args:
        source: a path that `fl.load` reads, or a model: what fl.load, fl.load_model, fl.from_torch
            gave.
        destination: a path. Its ending says the format: .keras, .h5, .onnx, .safetensors, .html;
            a folder is for TF.js.
        to: "tfjs" (layers if the source has layers, else a graph), "tfjs-layers", "tfjs-graph",
            "keras", "h5", "onnx", "safetensors", "bundle".
        from_: what the source must be; default: what it is.
        quantize: "float16", "uint8" or "uint16", for TF.js: of all float weights, or of those
            whose names match: "uint8=*kernel*,*bias*"; several in a list.
        signature, tags: of a SavedModel, which; default: "serving_default", "serve".
        inputs, outputs: cut the model to the part from these nodes to those (see `fanlight
            inspect` for names); default: the whole.
        dynamic: dims that stay free: ["batch"] (the default where the source leaves it free), or
            [] for none.
        metadata: of one's own, for the file: {"labels": [...]}.
        structured_outputs: whether `predict` of a graph-model gives outputs by name.
        strip_debug_ops: say nothing of TensorFlow's ops that only print or check (Assert, Print,
            PrintV2, CheckNumerics, DebugIdentity). They are left out in any case, for nothing here
            prints; else a note counts them.
        shard_bytes: the most bytes of one weight file, for TF.js.
        opset: the version of ONNX to write, 17 to 21; default: 18.
        size, input_shapes, weights, input_values, tables: see `fl.load`. Layers that become layers
            need no sizes: what is open stays so, and the check takes small ones.
        check: compare the result with the source.

    Returns:
        The conversion; `ok` is False if the result computes something else, or cannot be computed
        again (`problem` says why).

    Raises:
        FanlightError: E-FORMAT-nnn the source cannot be read; E-CONVERT-001 there is no such
            format; E-CONVERT-002 the source cannot become that; E-CONVERT-003 there is no such
            part; E-FORMAT-040 ops that the other format has not, all listed; E-FORMAT-041 no such
            quantisation; E-LAYER-009, E-LAYER-010, E-BUILD-004 what cannot be written.
    """
    start = time.perf_counter()
    told: dict[str, Any] = {"to": to, "from_": from_, "signature": signature}
    told |= {"inputs": inputs, "outputs": outputs, "tags": tags, "metadata": metadata}
    told |= {"structured_outputs": structured_outputs, "strip_debug_ops": strip_debug_ops}
    told |= {"dynamic": dynamic, "opset": opset}
    check_arguments({**told, "check": check, "shard_bytes": shard_bytes}, destination)
    options = Options(
        quantize=None if quantize is None else quantization(quantize),
        metadata=dict(metadata or {}),
        shard_bytes=shard_bytes,
        structured_outputs=structured_outputs,
        opset=opset,
    )
    target = folder_of(Path(destination))
    refuse_same(source, target)
    reading = Reading(
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        size=size,
        input_shapes=input_shapes,
        weights=weights,
        signature=signature,
        tags=tags,
        input_values=input_values,
        tables=tables,
    )
    try:
        made, checked = _converted(
            source, target, to, from_, reading, dynamic, options, strip_debug_ops
        )
    except FanlightError as error:
        in_its_folder(error, Path(destination), target)
        error.message = _own_words(error.message)
        error.next = None if error.next is None else _own_words(error.next)
        raise
    if check:
        try:
            differences, same = verify(checked, made.kind, target)
            made = replace(made, differences=differences, identical=same)
        except FanlightError as problem:
            made = replace(made, problem=problem)
    return replace(made, seconds=time.perf_counter() - start)


def _own_words(text: str) -> str:
    """What readers say of arguments of fl.load, which are convert's, too."""
    return re.sub(r"fl\.load\(path, (?=\w+=)", "fl.convert(source, destination, ", text)


def _converted(
    source: Any,
    target: Path,
    to: str | None,
    from_: str | None,
    reading: Reading,
    dynamic: Sequence[str] | None,
    options: Options,
    strip_debug_ops: bool,
) -> tuple[Conversion, Checked]:
    """What was written, not checked yet; and what the check needs of the source.

    The model itself is not held any longer when this is left.
    """
    kind = target_kind(to, target)
    ending = ending_note(to, target)
    if kind == "tfjs" and options.structured_outputs:
        kind = "tfjs-graph"  # layers give their outputs in a list
    opened = open_for(kind, source, reading)
    refuse_texts(opened)
    check_source(from_, opened.format, opened.where)
    refuse_needless(options, kind, dynamic)
    notes = [*opened.warnings, *([] if ending is None else [ending])]
    if options.structured_outputs and opened.layers is not None and to in (None, "tfjs"):
        notes.append("A graph-model, for a layers-model gives its outputs in a list.")
    if opened.left_out is not None and not strip_debug_ops:
        notes.append(opened.left_out)
    free = _free(dynamic, opened)

    def again() -> Graph:
        return open_for(kind, source, reading).graph

    # A path is there still: what was written has not taken its place (refuse_same).
    checked = Checked(opened.graph, again if isinstance(source, str | Path) else None)
    if checked.let_go and writes_layers(opened, kind):
        opened = opened.of_layers_alone(checked.outline.graph)
        gc.collect()  # readers leave circles that keep the source's weights
    written = write(opened, kind, target, options, free, notes)
    notes += unmatched(options, target)
    rounded = options.quantize is not None
    made = Conversion(
        source=str(opened.where),
        destination=str(target),
        format=opened.format,
        kind=written.kind,
        files=written.files,
        rounded=rounded,
        tolerance=ROUNDED if rounded else TOLERANCE,
        notes=tuple(dict.fromkeys(notes)),
        ops=Counter(node.op for node in opened.graph.nodes),
    )
    return made, checked


def _free(dynamic: Sequence[str] | None, opened: Opened) -> bool | None:
    """Whether the batch stays free: True it must, None where it can, False not."""
    if dynamic is None:
        return None
    wrong = [d for d in dynamic if d != "batch"]
    if wrong:
        raise FanlightError(
            "E-CONVERT-002",
            f"the dim {wrong[0]!r} cannot stay free.",
            where="dynamic",
            expected="batch; other sizes are fixed with input_shapes",
            received=", ".join(map(str, dynamic)),
            next="leave it out, or write batch; none fixes the batch, too.",
        )
    mixes = getattr(getattr(opened.loaded, "source", None), "mixes", ())
    if dynamic and mixes:
        raise FanlightError(
            "E-CONVERT-002",
            "the batch cannot stay free: the examples of a batch meet in this model.",
            where=opened.where,
            expected="a model that makes each answer of its own example alone",
            received="; ".join(mixes),
            next="leave --dynamic out for one example, or give a size with input_shapes.",
        )
    if dynamic and not opened.batched:
        raise FanlightError(
            "E-CONVERT-002",
            "the source has no free batch.",
            where=opened.where,
            expected="an input whose leading dim is open",
            received=", ".join(f"{v.name}: {v.type}" for v in opened.graph.inputs),
            next="leave dynamic out; or save the model with a batch that is open.",
        )
    return bool(dynamic)


__all__ = ["Conversion", "Difference", "convert"]

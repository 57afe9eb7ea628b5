"""The options that say what a model is: shared by build, run, inspect, check and bench."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click

from fanlight.cli.by_name import shapes_by_name
from fanlight.errors import FanlightError

if TYPE_CHECKING:
    from fanlight.build import Task
    from fanlight.built import Bundle
    from fanlight.formats import Model

F = TypeVar("F", bound=Callable[..., Any])
RESIZE_MODES = ("antialias", "bilinear", "bilinear-align-corners", "bilinear-asymmetric", "nearest")
LABELS_LIMIT = 16 << 20  # bytes


@dataclass(frozen=True)
class ModelOptions:
    """What a command line says about a model, checked but not yet used."""

    task: str
    labels: str | None
    input_range: tuple[float, float] | None
    resize: str | None
    crop: str | None
    background: bool
    size: tuple[int, int] | None
    shapes: tuple[str, ...]
    precision: str
    calibrate: str | None
    random_weights: bool

    @property
    def says_classify(self) -> bool:
        """Whether an option was given that only a classifier has."""
        given = (self.labels, self.input_range, self.resize, self.crop)
        return self.background or any(option is not None for option in given)


class Range(click.ParamType):
    name = "LO,HI"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        try:
            low, high = (float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not two numbers, such as -1,1 or 0,255", param, ctx)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            self.fail(f"{value!r} must be two finite numbers, the smaller first", param, ctx)
        return low, high


class _Size(click.ParamType):
    name = "N or H,W"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        try:
            sides = [int(part) for part in value.replace("x", ",").split(",")]
        except ValueError:
            sides = []
        if len(sides) not in (1, 2) or not all(1 <= side <= 8192 for side in sides):
            self.fail(f"{value!r} is not a size in pixels, such as 224 or 224,320", param, ctx)
        return sides[0], sides[-1]


_OPTIONS = (
    click.option(
        "--task",
        type=click.Choice(["auto", "classify", "none"]),
        default="auto",
        show_default=True,
        help="What the model does: `classify` photos, or `none` to build it as it is. "
        "`auto` looks at its inputs and outputs.",
    ),
    click.option(
        "--labels",
        type=click.Path(),
        metavar="FILE",
        help="Names of the scores: one per line, or JSON.",
    ),
    click.option(
        "--input-range",
        type=Range(),
        help="What black and white become before the model, e.g. -1,1. Default: guessed.",
    ),
    click.option(
        "--resize",
        type=click.Choice(RESIZE_MODES),
        help="How a photo is brought to the model's size.  [default: antialias]",
    ),
    click.option(
        "--crop",
        type=click.Choice(["center", "none"]),
        help="`center` keeps proportions, `none` stretches.  [default: center]",
    ),
    click.option(
        "--background", is_flag=True, help="The first score is a background class: drop it."
    ),
    click.option("--size", type=_Size(), help="Image size, where the source leaves it open."),
    click.option(
        "--input-shape",
        "shapes",
        multiple=True,
        metavar="NAME=1,32",
        help="Shape of an input, where the source leaves sizes open; may be repeated.",
    ),
    click.option(
        "--precision",
        type=click.Choice(["f32", "f16", "int8"]),
        default="f32",
        show_default=True,
        help="`f16` sends the weights as float16, 0.50 to 0.52 of the download, and computes in "
        "float32; 998 of 1,000 photos kept their MobileNet answer. `int8` computes in bytes: a "
        "quarter of the download, and faster; it needs --calibrate.",
    ),
    click.option(
        "--calibrate",
        metavar="DIR_OR_TAR",
        help="For int8: a folder or .tar of photos such as visitors will show; 100 are enough.",
    ),
    click.option(
        "--random-weights",
        is_flag=True,
        help="Use seeded random weights in place of the files (to time a topology).",
    ),
)
_NAMES = tuple(ModelOptions.__dataclass_fields__)


def model_options(command: F) -> F:
    """Add the options; the command gets them as one argument, `options`."""
    import functools

    @functools.wraps(command)
    def gathered(**arguments: Any) -> Any:
        options = ModelOptions(**{name: arguments.pop(name) for name in _NAMES})
        return command(options=options, **arguments)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered  # type: ignore[return-value]


def require_path(path: str) -> None:
    """E-CLI-004 unless something is at `path`."""
    if not Path(path).exists():
        raise FanlightError(
            "E-CLI-004",
            "There is nothing at this path.",
            where=path,
            expected="a model file, a model folder or a bundle",
            received="nothing",
            next="check the spelling.",
        )


def is_bundle(path: str) -> bool:
    """Whether `path` is something that `fanlight build` wrote, rather than a source model."""
    place = Path(path)
    if place.is_dir():
        return (place / "manifest.json").is_file() and not (place / "model.json").is_file()
    return place.suffix.lower() in (".html", ".htm")


def read_labels(path: str) -> list[str]:
    """Labels from a text file (one per line) or JSON (a list, or an object by index).

    JSON may also be an object with a `labels` list (Teachable Machine's metadata.json), or have
    `[id, name]` pairs as values (Keras's ImageNet class index).

    Raises:
        FanlightError: E-CLI-004 the file cannot be read, E-CLI-009 it holds no labels.
    """
    try:
        if Path(path).stat().st_size > LABELS_LIMIT:
            raise _no_labels(path, "a file of over 16 MB")
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise FanlightError(
            "E-CLI-004",
            "The labels file cannot be read.",
            where=path,
            expected="a text file",
            received=problem.strerror,
            next="check the path given to --labels.",
        ) from problem
    except UnicodeDecodeError as problem:
        raise _no_labels(path, "bytes that are not UTF-8 text") from problem
    if text.lstrip().startswith(("[", "{")):
        return _json_labels(path, text)
    labels = [line.strip() for line in text.splitlines()]
    while labels and not labels[-1]:
        labels.pop()
    if not labels:
        raise _no_labels(path, "an empty file")
    return labels


def _json_labels(path: str, text: str) -> list[str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise _no_labels(path, str(problem)[:200]) from problem
    if isinstance(found, dict) and isinstance(found.get("labels"), list):
        found = found["labels"]
    if isinstance(found, dict):
        try:
            found = [found[key] for key in sorted(found, key=int)]
        except ValueError as problem:
            raise _no_labels(path, "an object whose keys are not indices") from problem
    labels = [item[-1] if isinstance(item, list) and item else item for item in found]
    if not labels or not all(isinstance(label, str) for label in labels):
        raise _no_labels(path, "JSON of another form")
    return labels


def _no_labels(path: str, received: str) -> FanlightError:
    return FanlightError(
        "E-CLI-009",
        "The labels file holds no labels.",
        where=path,
        expected='one label per line, or JSON such as ["cat", "dog"]',
        received=received,
        next="write one label per score, in the order of the scores.",
    )


def load_model(source: str, options: ModelOptions) -> Model:
    """Read the source that a command names."""
    import fanlight as fl
    from fanlight.layers.saving import graph_of

    require_path(source)
    weights = "random" if options.random_weights else "stored"
    shapes = shapes_by_name(options.shapes)
    model = fl.load(source, size=options.size, input_shapes=shapes, weights=weights)
    if not isinstance(model, fl.LoadedModel):  # one of layers: what a page has saved
        return graph_of(model, source)
    return model


def choose_task(model: Model, options: ModelOptions, *, default: str = "none") -> Task | None:
    """The task that the options ask for.

    With `auto`, a model is taken for a classifier if it has that form (one image in, one vector
    of scores out) and nothing speaks against it. Labels come from --labels, else from the source.

    Args:
        default: "classify" makes `auto` insist on a classifier, with an error that tells why not.
    """
    import fanlight as fl

    if options.task == "none":
        if options.says_classify:
            raise FanlightError(
                "E-BUILD-005",
                "--task none leaves no use for the options of a classifier.",
                where="--task none",
                expected="no options of a classifier",
                received="--labels, --input-range, --resize, --crop or --background",
                next="leave them out, or use --task classify.",
            )
        return None
    labels = read_labels(options.labels) if options.labels is not None else None
    task = fl.tasks.classify(
        labels=labels,
        input_range=options.input_range,
        resize=options.resize or "antialias",
        crop=options.crop or "center",
        background=options.background,
    )
    certain = options.task == "classify" or options.says_classify or default == "classify"
    return task if certain or looks_like_a_classifier(model) else None


def looks_like_a_classifier(model: Model) -> bool:
    """One image in; one output out, of scores over classes: a vector of 2 to 100,000 numbers."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        return False
    (_, image), (_, scores) = model.inputs[0], model.outputs[0]
    shape = image.bound
    is_image = len(shape) == 4 and shape[3] in (1, 3) and min(shape[1:3]) > 1
    is_vector = max(scores.bound, default=0) == scores.size and 2 <= scores.size <= 100_000
    return is_image and is_vector and image.dtype == scores.dtype == "float32"


def open_or_build(source: str, options: ModelOptions, folder: Path, *, task: str) -> Bundle:
    """The bundle at `source`; a model there is built into `folder` first.

    Args:
        task: see `default` of choose_task.
    """
    import fanlight as fl
    from fanlight.cli.output import progress

    require_path(source)
    if is_bundle(source):
        bundle = fl.open_bundle(source)
        built = bundle.manifest["precision"]
        if options.precision not in ("f32", built):
            raise FanlightError(
                "E-BUILD-005",
                f"this is a bundle, and it was built in {built}.",
                where="--precision",
                expected=f"{built}, or leave it out",
                received=options.precision,
                next="give the model that it was built from, or build it again.",
            )
        return bundle
    with progress(f"Reading {Path(source).name}", total=2) as advance:
        model = load_model(source, options)
        chosen = choose_task(model, options, default=task)
        advance(title=f"Building {model.name}")
        ready = quantized(model, chosen, options)
        return fl.build(ready, folder / "bundle", task=chosen, precision=options.precision)


def quantized(model: Model, task: Task | None, options: ModelOptions) -> Model:
    """The model as the options want it: quantised for int8, else as it is.

    Raises:
        FanlightError: E-CALIB-00x; E-BUILD-005 --calibrate without --precision int8.
    """
    import fanlight as fl
    from fanlight.cli.output import progress
    from fanlight.quantize import check_task

    if options.precision != "int8":
        if options.calibrate is not None:
            raise FanlightError(
                "E-BUILD-005",
                f"--calibrate has no use in a build of precision {options.precision}.",
                where="--calibrate",
                expected="--precision int8",
                received=f"--precision {options.precision}",
            )
        return model
    check_task(task, model)
    with progress("Reading photos", total=1000, lines=True, first=False) as advance:
        done = 0

        def at(title: str, share: float) -> None:
            nonlocal done
            advance(round(1000 * share) - done, title)
            done = round(1000 * share)

        return fl.quantize(model, options.calibrate, task=task, progress=at)

"""Tasks: what stands between a photo and a model, and between a model and an answer, as ops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.graph import Builder, Graph, Value, evaluate
from fanlight.graph.core import Node
from fanlight.models.heat import HEAT, with_heat
from fanlight.ops import scalar as sc
from fanlight.ops.row import lookup
from fanlight.ops.symbols import actual_sizes
from fanlight.ops.types import Dim
from fanlight.pictures import decode_image

__all__ = ["Classify", "classify"]

# Resize modes by name: method and where the sample points lie.
RESIZE_MODES: dict[str, dict[str, str]] = {
    "antialias": {"method": "antialias", "coordinates": "half_pixel"},
    "bilinear": {"method": "bilinear", "coordinates": "half_pixel"},
    "bilinear-align-corners": {"method": "bilinear", "coordinates": "align_corners"},
    "bilinear-asymmetric": {"method": "bilinear", "coordinates": "asymmetric"},
    "nearest": {"method": "nearest", "coordinates": "half_pixel"},
}
CROPS = ("center", "none")
# Weights of R, G, B in the luminance of a grey picture (ITU-R BT.601).
LUMA = (0.299, 0.587, 0.114)
MAX_SIDE = 2048


def __dir__() -> list[str]:
    """What completion offers: what is public."""
    return sorted(__all__)


@dataclass(frozen=True)
class Classify:
    """Image classification: a photo in, one score per label out. Made by `classify`."""

    labels: tuple[str, ...] | None = None
    input_range: tuple[float, float] | None = None
    resize: str = "antialias"
    crop: str = "center"
    background: bool = False
    heat: bool = False

    def apply(self, graph: Graph, labels: Sequence[str] | None = None) -> tuple[Graph, dict]:
        """The graph from RGBA bytes to sorted scores, and the manifest's `task` entry.

        Args:
            graph: one float input [1, h, w, 1 or 3]; first output with n scores. n may be a size
                that weights tell.
            labels: the labels that the model's source carries, used if the task has none.

        Raises:
            FanlightError: E-BUILD-002 label count; E-BUILD-003 the model is no image classifier, or
                has no map to show where it looks; E-BUILD-005 a background class where the number
                of classes is free.
        """
        builder = Builder(graph.name)
        x, size, (low, high) = self._prepare(builder, graph)
        source = graph.inputs[0]
        whole, places = with_heat(graph) if self.heat else (graph, None)
        answer, *others = builder.inline(whole, {source.name: x}).values()
        scores = self._scores(builder, graph, answer)
        (count,) = scores.type.shape
        if isinstance(count, Dim):  # a page chooses it; until then it is that of the weights
            names = self._names(self._told_by_weights(graph, count), labels)
            top, indices = builder.add("sort", scores, descending=True, name="postprocess/top")
        else:
            names = self._names(count, labels)
            top, indices = builder.add("top_k", scores, k=count, name="postprocess/top")
        outputs = {"scores": scores, "top_scores": top, "top_indices": indices}
        if places is not None:
            outputs[HEAT] = self._scores(builder, graph, others[-1], places)
        built = builder.finish(outputs)
        entry = {
            "kind": "classify",
            "image": "image",
            "scores": "scores",
            "top_scores": "top_scores",
            "top_indices": "top_indices",
            "labels": list(names),
            "preprocess": {
                "size": list(size),
                "crop": self.crop,
                "method": self.resize,
                "input_range": [low, high],
            },
        }
        return built, entry | ({"heat": HEAT} if places is not None else {})

    def settled(self, graph: Graph) -> Classify:
        """The task with the input range that this graph tells, where none was given."""
        return replace(self, input_range=self.input_range or guess_input_range(graph))

    def preprocess(self, graph: Graph) -> Graph:
        """What stands in front of a model: from RGBA bytes `image` to its input, as `input`.

        Raises:
            FanlightError: E-BUILD-003 the model does not take one picture.
        """
        builder = Builder(graph.name)
        x, _, _ = self._prepare(builder, graph)
        return builder.finish({"input": x})

    def postprocess(self, graph: Graph) -> Graph:
        """What stands behind a model: from its first output, as `answer`, to `scores` [n].

        Raises:
            FanlightError: E-BUILD-003 the first output is no vector of scores.
        """
        builder = Builder(graph.name)
        value = graph.outputs[0][1]
        answer = builder.input("answer", value.shape, value.dtype)
        return builder.finish({"scores": self._scores(builder, graph, answer)})

    def pictures(self, model: Any, photos: Iterable[Any]) -> np.ndarray:
        """Photos as the model takes them: what a page makes of them before the model sees them.

        A model that is fitted to them learns from what it will be asked about.

        Args:
            model: anything with `.graph`, or a graph.
            photos: paths of pictures, or uint8 arrays [height, width, 3 or 4].

        Returns:
            float32 [photos, height, width, 1 or 3].

        Raises:
            FanlightError: E-BUILD-003 the model does not take one picture; E-INPUT-00x, E-INPUT-01x
                what is no picture.
        """
        graph: Graph = model if isinstance(model, Graph) else model.graph
        before = self.preprocess(graph)
        found = []
        for photo in photos:
            if isinstance(photo, str | Path):
                photo = decode_image(photo, max_height=MAX_SIDE, max_width=MAX_SIDE)
            pixels = np.asarray(photo)
            if pixels.ndim == 3 and pixels.shape[2] == 3:
                pixels = np.pad(pixels, [(0, 0), (0, 0), (0, 1)], constant_values=255)
            found.append(evaluate(before, {"image": pixels})["input"])
        return np.concatenate(found or [np.zeros((0, *before.outputs[0][1].shape[1:]), np.float32)])

    def _prepare(
        self, builder: Builder, graph: Graph
    ) -> tuple[Value, tuple[int, int], tuple[float, float]]:
        """The model's input made of a picture; the model's image size, and its input range."""
        if len(graph.inputs) != 1:
            raise self._misfit(graph, f"{len(graph.inputs)} inputs")
        _, h, w, channels = self._image_shape(graph, graph.inputs[0])
        low, high = self.input_range or guess_input_range(graph)
        side = MAX_SIDE
        image = builder.input("image", (Dim("height", side), Dim("width", side), 4), "uint8")
        mode = RESIZE_MODES[self.resize]
        pixels = builder.add(
            "resize_image", image, size=(h, w), crop=self.crop, name="preprocess/resize", **mode
        )
        if channels == 1:
            weighted = builder.add("mul", pixels, builder.weight(np.array(LUMA, np.float32)))
            pixels = builder.add("sum", weighted, axes=(3,), keepdims=True, name="preprocess/grey")
        scale = builder.weight(np.array((high - low) / 255, np.float32))
        x = builder.add("mul", pixels, scale, name="preprocess/scale")
        x = builder.add(
            "add", x, builder.weight(np.array(low, np.float32)), name="preprocess/offset"
        )
        return x, (h, w), (low, high)

    def _misfit(self, graph: Graph, received: object) -> FanlightError:
        return FanlightError(
            "E-BUILD-003",
            "the model is not an image classifier.",
            where=graph.name,
            expected="one float32 input [1, height, width, 1 or 3] and a first output of n scores",
            received=received,
            next="build it without a task: task=None, or --task none.",
        )

    def _image_shape(self, graph: Graph, value: Value) -> tuple[int, ...]:
        shape = value.type.bound
        fits = len(shape) == 4 and shape[0] == 1 and shape[3] in (1, 3) and value.type.static
        if not fits or value.dtype != "float32":
            raise self._misfit(graph, value)
        return shape

    def _scores(
        self, builder: Builder, graph: Graph, answer: Value, places: tuple[int, ...] = ()
    ) -> Value:
        """A score for each label, [*places, n]; the answer has a row for each place, or is one."""
        first = graph.outputs[0][1]
        shape = first.type.bound
        if first.dtype != "float32" or max(shape, default=0) != first.type.size:
            raise self._misfit(graph, f"a first output {first.type}")
        count = first.type.shape[int(np.argmax(shape))] if shape else 1
        scores = builder.add("reshape", answer, shape=(*places, count))
        if final_op(graph) not in ("softmax", "sigmoid"):
            scores = builder.add("softmax", scores, axis=-1, name="postprocess/softmax")
        if self.background:
            if isinstance(count, Dim):
                raise FanlightError(
                    "E-BUILD-005",
                    "a background class does not go with a number of classes that is free.",
                    where="background",
                    expected="a model with a score for each label",
                    received=f"background=True, and {count} scores",
                    next="leave background out, or leave the number of classes as it is.",
                )
            begin, size = (*(0 for _ in places), 1), (*places, first.type.size - 1)
            scores = builder.add("slice", scores, begin=begin, size=size, name="postprocess/skip")
        return scores

    def _told_by_weights(self, graph: Graph, count: Dim) -> int:
        sizes = actual_sizes([v.type for v in graph.weights], list(graph.weights.values()))
        if count.name not in sizes:
            raise self._misfit(graph, f"{count} scores")
        return count.at(sizes)

    def _names(self, count: int, labels: Sequence[str] | None) -> Sequence[str]:
        names: Sequence[str] = labels or [f"class {i}" for i in range(count)]
        if self.labels is not None:  # given by the caller, so even none at all must fit
            names = self.labels
        if len(names) != count:
            hint = "give one label per score, in the order of the scores."
            if len(names) == count - 1 and not self.background:
                hint = (
                    "if the first score is a background class, say background=True "
                    "(--background); else " + hint
                )
            raise FanlightError(
                "E-BUILD-002",
                "the number of labels does not fit the model.",
                where="labels",
                expected=f"{count} labels",
                received=f"{len(names)} labels",
                next=hint,
            )
        return names


def classify(
    labels: Sequence[str] | None = None,
    input_range: tuple[float, float] | None = None,
    *,
    resize: str = "antialias",
    crop: str = "center",
    background: bool = False,
    heat: bool = False,
) -> Classify:
    """The task of naming what a photo shows.

    Args:
        labels: one name per score; default: those that the model's source carries.
        input_range: what black (0) and white (255) become before the model, e.g. (-1, 1).
            Default: guessed from how the model starts, (-1, 1) where that says nothing.
        resize: "antialias" (triangle filter over the source's pixels, as Pillow's BILINEAR),
            "bilinear", "bilinear-align-corners", "bilinear-asymmetric" (as TensorFlow 1) or
            "nearest".
        crop: "center" takes the largest centred part of the model's aspect, "none" stretches.
        background: the model's first score is a background class without a label: drop it.
        heat: one more output, `heat`, float32 [h, w, labels]: what the model's head says of each
            place of its last map, which shows where in the photo a class was seen (a class
            activation map, Zhou et al. 2016). For models with a global average pooling.

    Raises:
        FanlightError: E-BUILD-005 on an option that does not exist.
    """
    for name, value, allowed in (("resize", resize, RESIZE_MODES), ("crop", crop, CROPS)):
        if not isinstance(value, str) or value not in allowed:
            raise FanlightError(
                "E-BUILD-005",
                f"there is no {name} mode {str(value)[:80]!r}.",
                where=name,
                expected=", ".join(allowed),
                received=repr(value)[:80],
            )
    if input_range is not None:
        try:
            low, high = map(float, input_range)
        except (TypeError, ValueError):
            low = high = np.nan
        if not (np.isfinite([low, high]).all() and low < high):
            raise FanlightError(
                "E-BUILD-005",
                "input_range must be two finite numbers, the smaller first.",
                where="input_range",
                expected="e.g. (-1, 1) or (0, 255)",
                received=repr(input_range)[:80],
            )
        input_range = (low, high)
    if isinstance(labels, str | bytes) or not isinstance(labels, Iterable | None):
        raise FanlightError(
            "E-BUILD-005",
            "labels must be a sequence of names.",
            where="labels",
            expected='e.g. ["cat", "dog"]',
            received=repr(labels)[:80],
            next="read a file of them with Path(...).read_text().splitlines().",
        )
    names = None if labels is None else tuple(map(str, labels))
    return Classify(names, input_range, resize, crop, background, bool(heat))


def final_op(graph: Graph) -> str:
    """The op that makes the first output, looking through reshapes ("" if none does)."""
    producers = graph.producers()
    value = graph.outputs[0][1]
    node = producers.get(value)
    while node is not None and node.op == "reshape":
        node = producers.get(node.inputs[0])
    return "" if node is None else node.op


def guess_input_range(graph: Graph) -> tuple[float, float]:
    """The range a model expects, from the scalar arithmetic with which it starts.

    Sources trained on bytes begin by mapping [0, 255] into about [-1, 1]; TF Hub's modules by
    mapping [0, 1] to [-1, 1]. A model that starts with a convolution says nothing: (-1, 1).
    """
    (low, node), (high, _) = (_leading_affine(graph, np.float64(x)) for x in (0.0, 1.0))
    scale, offset = float(high - low), float(low)
    if node is not None and node.op == "quantize" and node.attrs["high"] == 255 and scale > 0:
        # A quantised model says it: what it maps to its first and its last byte.
        step, zero = node.attrs["scale"], node.attrs["zero"]
        ends = ((byte - zero) * step for byte in (0, 255))
        first, last = (round((end - offset) / scale, 4) for end in ends)
        return (first, last)
    if (scale, offset) == (1.0, 0.0):
        return (-1.0, 1.0)
    return (0.0, 255.0) if abs(scale) * 255 <= 8 else (0.0, 1.0)


def _leading_affine(graph: Graph, x: Any) -> tuple[Any, Node | None]:
    """What the chain of scalar mul/add/sub/div at the input makes of `x`; the node after it."""
    users = graph.users()
    value = graph.inputs[0]
    while len(users.get(value, [])) == 1:
        node = users[value][0]
        constant = _scalar_operand(graph, node)
        if node.op not in ("mul", "add", "sub", "div") or constant is None:
            return x, node
        body = lookup(node.op).scalar
        assert body is not None
        operands = [x, constant] if node.inputs[0] is value else [constant, x]
        x = sc.evaluate(body(sc.arg(0), sc.arg(1)), operands)
        value = node.output
    return x, None


def _scalar_operand(graph: Graph, node: Node) -> np.ndarray | None:
    arrays = [graph.weights[v] for v in node.inputs if v in graph.weights]
    if len(node.inputs) != 2 or len(arrays) != 1 or arrays[0].size != 1:
        return None
    return arrays[0].reshape(()).astype(np.float64)

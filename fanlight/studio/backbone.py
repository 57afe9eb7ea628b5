"""A backbone: what of a classifier sees shapes in pictures, without what names them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fanlight.errors import FanlightError
from fanlight.layers import Layer
from fanlight.layers.cloning import clone_model
from fanlight.layers.file_safetensors import named, packed
from fanlight.layers.model import Model
from fanlight.layers.saving import load_model
from fanlight.layers.symbolic import Symbolic, mapped, symbols
from fanlight.models import tasks
from fanlight.models.default import FOLDER, default_card, default_model
from fanlight.models.tasks import Classify


@dataclass(frozen=True)
class Backbone:
    """A network from a picture to a map of features.

    Attributes:
        name: what it is called.
        model: [n, height, width, 3] -> [n, h, w, c].
        task: how a photo becomes what the model takes.
        card: what there is to know about it (Markdown), or "".
        labels: of the classifier that it was, if it names some.
    """

    name: str
    model: Model
    task: Classify
    card: str = ""
    labels: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures that it sees."""
        _, height, width, _ = sizes_of(self.model.inputs[0])
        return height, width

    def form(self) -> str:
        """A hash of its numbers and of how it takes pictures: features of one are of no other."""
        how = [self.size, self.task.input_range, self.task.resize, self.task.crop]
        digest = hashlib.sha256(json.dumps(how).encode())
        digest.update(packed(list(named(self.model))))
        return digest.hexdigest()[:32]

    def fresh(self, unfreeze: int = 0) -> Model:
        """The network with layers of its own, of which the last `unfreeze` with weights learn.

        Batch norms stay as they are: the statistics of a few photos are worse than theirs.
        """
        model = clone_model(self.model)
        model.set_weights(self.model.get_weights())
        model.trainable = True  # nested models, too: what learns is said of each layer
        layers = learners(model)
        learn = {id(layer) for layer in layers[len(layers) - unfreeze :]}
        for layer in leaves(model):
            layer.trainable = id(layer) in learn
        return model


def leaves(model: Model) -> Iterator[Layer]:
    """All layers, those of nested models in their place."""
    for layer in model.layers:
        if isinstance(layer, Model):
            yield from leaves(layer)
        else:
            yield layer


def learners(model: Model) -> list[Layer]:
    """The layers that may learn on, in their order: those with a kernel."""
    return [
        layer
        for layer in leaves(model)
        if any(w.name.endswith("kernel") and w.trainable for w in layer.weights)
    ]


def backbone_of(
    source: Any = None,
    *,
    input_range: Sequence[float] | None = None,
    resize: str | None = None,
    crop: str | None = None,
) -> Backbone:
    """The backbone of a classifier.

    Args:
        source: a file or folder that `fl.load_model` reads, a model of layers, or None for the
            model that ships.
        input_range, resize, crop: as `fl.tasks.classify` takes them.

    Raises:
        FanlightError: E-STUDIO-002 it has no map of features or takes no picture; what reading
            raises.
    """
    card = ""
    task = tasks.classify()
    labels: Sequence[str] = ()
    if source is None:
        _, task = default_model()
        source, card, labels = FOLDER / "model.json", default_card(), task.labels or ()
        task = replace(task, labels=None)
        name = "the model that ships with Fanlight"
    else:
        name = getattr(source, "name", None) or Path(str(source)).stem
    if input_range is not None:
        task = replace(task, input_range=(float(input_range[0]), float(input_range[1])))
    task = tasks.classify(
        input_range=task.input_range, resize=resize or task.resize, crop=crop or task.crop
    )
    model = source if isinstance(source, Model) else _read(source, name)
    labels = labels or model.labels or ()
    whole = flat(_functional(model, name))
    cut = _last_map(whole, name)
    features = Model(whole.inputs, cut, name="backbone")
    return Backbone(name, features, task.settled(whole.graph), card, tuple(labels))


def _read(source: Any, name: str) -> Any:
    if not isinstance(source, (str, Path)):
        raise _unfit(name, "a model of layers, or the path of one", type(source).__name__)
    try:
        return load_model(source)
    except FanlightError as error:
        # Graphs and weights alone have nothing to learn with.
        if error.code != "E-LAYER-009" and error.received not in ("a graph-model", "weights only"):
            raise
        received = f"{error.message} {error.received or ''}".strip()
        raise _unfit(
            str(source), "a model with its layers (.keras, .h5, TF.js layers, .zip)", received
        ) from None


def flat(model: Model) -> Model:
    """The model with the layers of nested models in their place, the very same layers.

    Transfer learning nests its backbone, and Teachable Machine two deep: the last map, and where
    what is frozen ends, lie inside.
    """
    if not any(isinstance(layer, Model) and layer.functional for layer in model.layers):
        return model
    return Model(model.inputs, _spread(model, model.inputs)[0], name=model.name)


def _spread(model: Model, inputs: Sequence[Symbolic]) -> list[Any]:
    """What a model gives for these stand-ins, by calls of its innermost layers."""
    known: dict[int, Any] = dict(zip(map(id, model.inputs), inputs, strict=True))
    for node in model._order:
        if not node.args:
            continue
        args, options = mapped((node.args, node.options), lambda s: known[id(s)])
        if isinstance(node.layer, Model) and node.layer.functional:
            given = [known[id(s)] for s in node.inputs]
            outputs = _spread(node.layer, given)
        else:
            outputs = symbols(node.layer(*args, **options))
        known.update(zip(map(id, node.outputs), outputs, strict=True))
    return [known[id(s)] for s in model.outputs]


def sizes_of(value: Symbolic) -> tuple[int, ...]:
    """The shape of a stand-in; 0 where a size is free."""
    return tuple(int(n or 0) for n in value.shape)


def _functional(model: Any, name: str) -> Model:
    if not isinstance(model, Model) or not model.functional:
        raise _unfit(name, "layers in a row or a graph", type(model).__name__)
    inputs = model.inputs
    shape = tuple(inputs[0].shape) if len(inputs) == 1 else ()
    if len(shape) != 4 or shape[-1] != 3 or None in shape[1:]:
        told = ", ".join(str(list(s.shape)) for s in inputs)
        raise _unfit(name, "one input [n, height, width, 3], sizes known", told)
    return model


def _last_map(model: Model, name: str) -> Symbolic:
    """The last result with places: rank 4 and more than one of them."""
    found = None
    for node in model._order:
        for output in node.outputs if node.args else ():
            if len(output.shape) == 4 and None not in output.shape[1:]:
                _, height, width, _ = sizes_of(output)
                if height * width > 1:
                    found = output
    if found is None:
        raise _unfit(name, "a map of features [n, h, w, c] before the answer", "none")
    return found


def _unfit(name: str, expected: str, received: str) -> FanlightError:
    return FanlightError(
        "E-STUDIO-002",
        "this model cannot be the backbone of Studio.",
        where=name,
        expected=expected,
        received=received[:200],
        next="take an image classifier of Keras or TF.js, such as a MobileNet; or leave "
        "--backbone out for the one that ships.",
    )

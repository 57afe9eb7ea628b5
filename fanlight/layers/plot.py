"""A model as a picture: `fl.plot_model(model, "model.svg")`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fanlight.errors import FanlightError
from fanlight.formats.atomic import write_file
from fanlight.graph.drawing import Box, Drawing
from fanlight.layers.foreign import refuse_model
from fanlight.layers.model import Model, not_built
from fanlight.layers.summary import shape_text, shown_shape
from fanlight.layers.symbolic import Node
from fanlight.tensor.caller import caller

# Colours by what a layer is for: words in its class name -> a family of fanlight.graph.drawing.
_FAMILIES = (
    ("conv", ("Conv",)),
    ("pool", ("Pooling", "Flatten", "Reshape", "Permute", "RepeatVector")),
    ("normalization", ("Normalization",)),
    ("image", ("Rescaling", "Resizing", "Random", "ZeroPadding", "Cropping", "UpSampling")),
    ("matmul", ("Dense", "Embedding", "LSTM", "GRU", "RNN", "Attention", "Bidirectional",
                "TimeDistributed")),
    ("activation", ("ReLU", "Activation", "Softmax", "ELU", "Dropout", "Noise", "Add", "Multiply",
                    "Concatenate", "Average", "Maximum", "Minimum", "Subtract", "Dot")),
)  # fmt: skip


class Picture(str):
    """SVG text that a notebook draws."""

    __slots__ = ()

    def _repr_svg_(self) -> str:
        return str(self)


def plot_model(
    model: Model,
    to_file: Any = None,
    show_shapes: bool = True,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    show_params: bool = True,
    show_trainable: bool = False,
) -> Picture:
    """Draw the layers of a model and what goes from one to the next.

    A layer that is called several times has a box for each call.

    Args:
        to_file: a name that ends in .svg; None: nothing is written.
        show_shapes: of what each layer gives.
        show_dtype: of that, too.
        show_layer_names: or their classes alone.
        show_params: how many numbers the weights of a layer have.
        show_trainable: whether frozen layers are marked.

    Returns:
        The SVG text; a notebook draws it.

    Raises:
        FanlightError: E-LAYER-002 the model is not built; E-LAYER-010 a file of another kind.
    """
    refuse_model(model)
    path = None if to_file is None else Path(to_file)
    if path is not None and path.suffix.lower() != ".svg":
        raise FanlightError(
            "E-LAYER-010",
            "models are drawn as SVG.",
            where=f"to_file, {caller()}",
            expected="a name that ends in .svg",
            received=str(to_file),
            next="a browser shows and prints it.",
        )
    if not model.built or not model.functional:
        raise not_built(model)
    drawing = Drawing()
    made: dict[int, Box] = {}
    told: set[int] = set()
    for node in model._order:
        calls = [n for n in model._order if n.layer is node.layer]
        box = _box(node, calls, show_shapes, show_dtype, show_layer_names)
        size = node.layer.count_params()
        if show_params and size and id(node.layer) not in told:
            box.title += f" · {size:,} weights"
        if show_trainable and size and not node.layer.trainable_weights:
            box.title += " · frozen"
        told.add(id(node.layer))
        sources = [made[id(s.node)] for s in node.inputs if id(s.node) in made]
        drawing.place(box, list(dict.fromkeys(sources)))
        made[id(node)] = box
    for name, symbol in zip(model.output_names, model.outputs, strict=True):
        detail = shape_text(symbol.shape) if show_shapes else ""
        box = Box(name, f"output · {detail}" if detail else "output", f"output {name}", "port")
        drawing.place(box, [made[id(symbol.node)]] if id(symbol.node) in made else [])
    picture = Picture(drawing.svg(model.name))
    if path is not None:
        write_file(path, picture.encode())
    return picture


def _box(node: Node, calls: list[Node], shapes: bool, dtype: bool, names: bool) -> Box:
    layer = node.layer
    kind = type(layer).__name__
    title = layer.name if names else kind
    if len(calls) > 1:
        title += f" (call {1 + next(i for i, n in enumerate(calls) if n is node)})"
    parts = [kind] if names else []
    if shapes:
        parts.append(shown_shape([s.shape for s in node.outputs]))
    if dtype:
        parts.append(", ".join(dict.fromkeys(s.dtype for s in node.outputs)))
    config = layer.get_config() if not isinstance(layer, Model) else {}
    hint = "\n".join(
        f"{k} = {v}" for k, v in config.items() if v is not None and not isinstance(v, dict)
    )
    family = "port" if not node.args else "" if isinstance(layer, Model) else _family(kind)
    return Box(title, " · ".join(parts), f"{layer.name} ({kind})\n{hint}", family)


def _family(kind: str) -> str:
    for family, words in _FAMILIES:
        if any(word in kind for word in words):
            return family
    return ""


__all__ = ["Picture", "plot_model"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

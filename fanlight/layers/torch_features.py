"""Which weights of a model go by the features of a flattened image.

PyTorch flattens channels first, Fanlight channels last: a Dense behind a Flatten has its rows in
another order than the Linear that it stands for, and one in front of a Reshape to an image its
columns. Found in the graph of the model, so that it does not matter how its layers are connected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fanlight.graph import Graph, Node, Value


@dataclass(frozen=True)
class Features:
    """A weight with a dim whose elements are those of an image.

    Attributes:
        array: the weight's numbers in the graph.
        axis: the dim.
        image: sizes of the image, channels last: (height, width, channels).
    """

    array: np.ndarray
    axis: int
    image: tuple[int, ...]

    def from_torch(self, array: np.ndarray) -> np.ndarray:
        """The same numbers with the dim's elements in the order of channels last."""
        last, axis = self.image[-1], self.axis % array.ndim
        front, rest = array.shape[:axis], array.shape[axis + 1 :]
        apart = array.reshape(*front, last, *self.image[:-1], *rest)
        return np.moveaxis(apart, axis, axis + len(self.image) - 1).reshape(array.shape)


def image_features(graph: Graph) -> list[Features]:
    """All weights of a graph that go by the features of an image."""
    found: list[Features] = []
    makers = graph.producers()
    images: set[Value] = {v for v in graph.inputs if len(v.shape) >= 4}
    flat: dict[Value, tuple[int, ...]] = {}
    for node in graph.nodes:
        given, made = node.inputs[0] if node.inputs else None, node.outputs[0]
        if _is_image(node, images):
            images.update(node.outputs)
        if given is None or node.op != "reshape":
            found += _flat(node, graph, flat)
        elif len(made.shape) == 2 and given in images:
            flat[made] = _sizes(given)
        elif len(given.shape) == 2 and len(made.shape) >= 4:
            found += _before(given, _sizes(made), graph, makers)
    return found


def _sizes(value: Value) -> tuple[int, ...]:
    return tuple(int(d) for d in value.shape[1:])


def _is_image(node: Node, images: set[Value]) -> bool:
    """Whether a node makes what PyTorch has channels first, and we channels last."""
    shape = node.outputs[0].shape
    if "conv" in node.op or "pool" in node.op:
        return True
    if node.op == "transpose":
        return len(shape) >= 4 and node.attrs["perm"][-1] == 1
    if node.op == "reshape":
        given = node.inputs[0]
        new = len(given.shape) == 2 and len(shape) >= 4
        return new or (given in images and len(shape) >= 3 and shape[-1] == given.shape[-1])
    return any(v in images and len(v.shape) == len(shape) for v in node.inputs)


def _flat(node: Node, graph: Graph, flat: dict[Value, tuple[int, ...]]) -> list[Features]:
    """What a node does to flattened images: weights of it; its result may be flattened, too."""
    value = next((v for v in node.inputs if v in flat), None)
    if value is None:
        return []
    image = flat[value]
    if node.op == "matmul":
        kernel = graph.weights.get(node.inputs[1])
        plain = value is node.inputs[0] and not node.attrs["transpose_b"]
        return [Features(kernel, 0, image)] if plain and kernel is not None else []
    if node.outputs[0].shape != value.shape:
        return []
    flat[node.outputs[0]] = image
    return _vectors(node, graph, image)


def _vectors(node: Node, graph: Graph, image: tuple[int, ...]) -> list[Features]:
    arrays = [graph.weights[v] for v in node.inputs if v in graph.weights]
    return [Features(a, -1, image) for a in arrays if a.size == np.prod(image)]


def _before(
    value: Value, image: tuple[int, ...], graph: Graph, makers: dict[Value, Node]
) -> list[Features]:
    """The weights that make what becomes an image."""
    found: list[Features] = []
    waiting, seen = [value], {value}
    while waiting:
        node = makers.get(waiting.pop())
        if node is None:
            continue
        if node.op == "matmul":
            kernel = graph.weights.get(node.inputs[1])
            if kernel is not None and not node.attrs["transpose_b"]:
                found.append(Features(kernel, 1, image))
            continue
        found += _vectors(node, graph, image)
        same = [v for v in node.inputs if v.shape == value.shape and v not in seen]
        waiting += same
        seen.update(same)
    return found

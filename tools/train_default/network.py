"""The MobileNet: as it is trained, with batch norms, and as it is written, with them folded in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

import fanlight as fl

SIZE = 64  # pixels a side: the data set's own size, and the model's input
NAME = "fanlight_mobilenet_64"
EPSILON = 1e-5
# Of the averages of the weights, about the last 500 steps. Those of means and variances have the
# same: of other lengths, what batch norms take away would not be what the averaged weights make.
AVERAGE = 0.998

Weights = Mapping[str, np.ndarray]  # "conv1/kernel" -> its numbers


@dataclass(frozen=True)
class Shape:
    """How wide the network is.

    Attributes:
        stem: channels of the first convolution, which has stride 2.
        blocks: (channels out, stride) of each depthwise-separable block.
    """

    stem: int = 32
    blocks: Sequence[tuple[int, int]] = (
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (256, 1),
        (512, 2),
        (512, 1),
        (512, 1),
    )

    @property
    def convolutions(self) -> list[str]:
        """The names of all convolutions, in order, as Keras's MobileNet has them."""
        pairs = [(f"conv_dw_{i}", f"conv_pw_{i}") for i in range(1, len(self.blocks) + 1)]
        return ["conv1", *(name for pair in pairs for name in pair)]

    @property
    def told(self) -> str:
        """The network in words."""
        body = ", ".join(f"{c}{'/2' if s == 2 else ''}" for c, s in self.blocks)
        return (
            f"MobileNet v1: a 3 x 3 convolution of stride 2 to {self.stem} channels, "
            f"{len(self.blocks)} depthwise-separable blocks to {body} channels (`/2` marks stride "
            "2), ReLU6 after every convolution, global average pooling "
            f"({self.blocks[-1][0]} features) and a softmax layer. TensorFlow's 'same' padding."
        )


def mobilenet(classes: int, shape: Shape, *, norms: bool, side: int | None = None) -> fl.Model:
    """The network.

    Args:
        norms: True: for training, with a batch norm behind every convolution, and logits; False: as
            it is written, with biases instead, and probabilities.
        side: of the pictures; None: any.
    """
    layers = fl.layers

    def unit(x: object, layer: fl.layers.Layer) -> object:
        x = layer(x)
        if norms:
            x = layers.BatchNormalization(
                momentum=AVERAGE, epsilon=EPSILON, name=f"{layer.name}_bn"
            )(x)
        return layers.ReLU(max_value=6.0, name=f"{layer.name}_relu")(x)

    # The first two dims of a kernel times its outputs, without what a batch norm divides out again.
    options = {"padding": "same", "use_bias": not norms}
    dense = {**options, "kernel_initializer": "he_normal"}
    deep = {**options, "depthwise_initializer": "he_normal"}
    begin = x = fl.Input((side, side, 3), name="input_1")
    x = unit(x, layers.Conv2D(shape.stem, 3, 2, name="conv1", **dense))
    for i, (channels, stride) in enumerate(shape.blocks, 1):
        x = unit(x, layers.DepthwiseConv2D(3, stride, name=f"conv_dw_{i}", **deep))
        x = unit(x, layers.Conv2D(channels, 1, name=f"conv_pw_{i}", **dense))
    x = layers.GlobalAveragePooling2D(name="global_average_pooling2d")(x)
    last = None if norms else "softmax"
    x = layers.Dense(classes, activation=last, name="predictions")(x)
    return fl.Model(begin, x, name=NAME)


def weights_of(model: fl.Model, averaged: bool = False) -> dict[str, np.ndarray]:
    """Its weights by path; `averaged`: the averages that the optimizer keeps of those it trains."""
    found = {w.path: w.numpy() for w in model.weights}
    if averaged and model.optimizer is not None:
        optimizer = model.optimizer
        pairs = zip(optimizer.trained, optimizer.averages, strict=False)
        found |= {w.path: average.numpy() for w, average in pairs}
    return found


def assign(model: fl.Model, weights: Weights) -> None:
    """Give a model its weights by path."""
    for weight in model.weights:
        weight.assign(weights[weight.path])


def folded(weights: Weights, shape: Shape) -> dict[str, np.ndarray]:
    """The weights of the network as it is written, of those of training."""
    found = {f"predictions/{part}": weights[f"predictions/{part}"] for part in ("kernel", "bias")}
    for name in shape.convolutions:
        kernel, norm = weights[f"{name}/kernel"], f"{name}_bn"
        scale = weights[f"{norm}/gamma"] / np.sqrt(weights[f"{norm}/moving_variance"] + EPSILON)
        # A depthwise kernel is [h, w, channels, 1].
        found[f"{name}/kernel"] = kernel * (scale[:, None] if kernel.shape[-1] == 1 else scale)
        found[f"{name}/bias"] = weights[f"{norm}/beta"] - weights[f"{norm}/moving_mean"] * scale
    return found


def unfolded(weights: Weights, shape: Shape, pictures: np.ndarray) -> dict[str, np.ndarray]:
    """Weights for training that compute what a written network does: `folded` gives it back.

    Each batch norm gets the mean and the variance that its convolution has on `pictures`, and a
    scale and an offset that undo them: so training begins where the written network stands, if the
    pictures are those of training.
    """
    written = mobilenet(len(weights["predictions/bias"]), shape, norms=False)
    assign(written, weights)
    found = {f"predictions/{part}": weights[f"predictions/{part}"] for part in ("kernel", "bias")}
    outputs = [written.get_layer(name).output for name in shape.convolutions]
    looking = fl.Model(written.inputs, outputs, name="convolutions")
    sums = [np.zeros((2, s.shape[-1])) for s in outputs]
    counts = [0] * len(outputs)
    for at in range(0, len(pictures), 32):
        for i, y in enumerate(looking.predict(pictures[at : at + 32], 32)):
            flat = y.reshape(-1, y.shape[-1]).astype(np.float64)
            sums[i] += flat.sum(0), np.square(flat).sum(0)
            counts[i] += len(flat)
    for name, total, count in zip(shape.convolutions, sums, counts, strict=True):
        mean = total[0] / count
        variance = np.maximum(total[1] / count - mean**2, 0)
        bias = weights[f"{name}/bias"].astype(np.float64)
        found |= {
            f"{name}/kernel": weights[f"{name}/kernel"],
            f"{name}_bn/gamma": np.sqrt(variance + EPSILON).astype(np.float32),
            f"{name}_bn/beta": mean.astype(np.float32),
            f"{name}_bn/moving_mean": (mean - bias).astype(np.float32),
            f"{name}_bn/moving_variance": variance.astype(np.float32),
        }
    return found

"""The models that training is measured with."""

from __future__ import annotations

from typing import Any

import fanlight as fl

SIDE = 128
STEPS, FEATURES, UNITS = 100, 64, 128  # of the LSTM
LENGTH, DEPTH, HEADS = 256, 512, 8  # of attention
# Filters of MobileNet v1 1.0, and strides.
BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1),
    (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip


def head() -> Any:
    """512 features to 2 classes over 100 units."""
    dense = fl.layers.Dense
    return fl.Sequential(
        [fl.Input((512,)), dense(100, activation="relu"), dense(2, activation="softmax")]
    )


def mobilenet(alpha: float = 0.25, classes: int = 2, training: bool | None = None) -> Any:
    """MobileNet v1 with batch norm, at 128 pixels (Howard et al. 2017).

    Args:
        training: True: it always normalises by its batch, as in a step.
    """
    layers = fl.layers

    def norm(x: Any) -> Any:
        return layers.ReLU(max_value=6.0)(layers.BatchNormalization()(x, training=training))

    def conv(x: Any, filters: int, size: int, strides: int) -> Any:
        made = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False)
        return norm(made(x))

    begin = fl.Input((SIDE, SIDE, 3))
    x = conv(begin, int(32 * alpha), 3, 2)
    for filters, strides in BLOCKS:
        depthwise = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)
        x = conv(norm(depthwise(x)), int(filters * alpha), 1, 1)
    x = layers.GlobalAveragePooling2D()(x)
    return fl.Model(begin, layers.Dense(classes, activation="softmax")(x))


def lstm() -> Any:
    """One LSTM, which gives its last state."""
    return fl.Sequential([fl.Input((STEPS, FEATURES)), fl.layers.LSTM(UNITS)])


def attention() -> Any:
    """Self-attention of 8 heads of 64."""
    x = fl.Input((LENGTH, DEPTH))
    return fl.Model(x, fl.layers.MultiHeadAttention(HEADS, DEPTH // HEADS)(x, x))

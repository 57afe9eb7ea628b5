"""Small classifiers that Studio takes as backbones."""

from __future__ import annotations

from typing import Any

import fanlight as fl

SIDE = 16


def plain() -> Any:
    """Convolutions, pooling, two names for what it sees."""
    fl.clear_session()
    fl.set_random_seed(3)
    layers = fl.layers
    net = fl.Sequential(
        [
            fl.Input((SIDE, SIDE, 3)),
            layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="first"),
            layers.DepthwiseConv2D(3, padding="same", name="deep"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.Conv2D(8, 1, activation="relu", name="last"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax", name="names"),
        ]
    )
    for name in ("first", "deep", "last"):  # so that what it sees is more than a whisper
        (kernel, *_) = net.get_layer(name).weights
        kernel.assign(4 * kernel.numpy())
    return net


def nested() -> Any:
    """A backbone inside a model, as transfer learning in Keras has it."""
    whole = plain()
    base = fl.Model(whole.inputs, whole.get_layer("last").output, name="base")
    photo = fl.Input((SIDE, SIDE, 3))
    x = fl.layers.GlobalAveragePooling2D()(base(photo))
    return fl.Model(photo, fl.layers.Dense(2, activation="softmax")(x))

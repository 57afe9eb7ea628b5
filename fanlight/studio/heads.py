"""Heads: what learns to name what a backbone sees. Each makes a whole classifier with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fanlight.errors import FanlightError
from fanlight.layers import Dense, GlobalAveragePooling2D, Neighbours, optimizers
from fanlight.layers.deploy import Training, training
from fanlight.layers.model import Model
from fanlight.studio.backbone import Backbone, learners

# What a page begins with: it chooses its own classes, and its own rate.
CLASSES = 2
MOST_CLASSES = 100
BATCH = 32
RATE = 0.001
HIDDEN = 100
# As many photos as nearest neighbours are looked for among.
CAPACITY = 1000


@dataclass(frozen=True)
class Head:
    """One way to learn.

    Attributes:
        id: names its folder.
        head: "linear", "hidden" or "neighbours".
        unfreeze: so many layers of the backbone learn, too.
        features: heads of the same word take the same features of a photo.
    """

    id: str
    head: str
    unfreeze: int = 0

    @property
    def features(self) -> str:
        return f"tune-{self.unfreeze}" if self.unfreeze else "pooled"

    def model(self, backbone: Backbone) -> Model:
        """A classifier, picture -> probabilities, in which only what learns is trainable."""
        base = backbone.fresh(self.unfreeze)
        # Not `base(photo)`: what is frozen ends inside of it, and is computed once per photo.
        photo = base.inputs[0]
        x: Any = GlobalAveragePooling2D(name="pooled")(base.outputs[0])
        if self.head == "hidden":
            x = Dense(HIDDEN, activation="relu", name="hidden")(x)
        if self.head == "neighbours":
            votes = Neighbours(CAPACITY, name="neighbours")(x)
            labels = Dense(CLASSES, use_bias=False, kernel_initializer="zeros", name="answer")
            return Model(photo, labels(votes), name="classifier")
        return Model(photo, Dense(CLASSES, "softmax", name="answer")(x), name="classifier")

    def training(self) -> Training:
        """How it learns. Neighbours are only remembered: what Adam keeps would be waste."""
        optimizer = optimizers.SGD(RATE) if self.head == "neighbours" else optimizers.Adam(RATE)
        return training(optimizer, "sparse_categorical_crossentropy", ["accuracy"])


def heads_for(backbone: Backbone, unfreeze: Sequence[int] | None = None) -> list[Head]:
    """The heads that a page offers.

    Args:
        unfreeze: how many layers of the backbone may learn with the linear head (0: none of them);
            default: the last 2, 4 and 6 that have weights, as far as there are so many.

    Raises:
        FanlightError: E-STUDIO-003 the backbone has not so many layers.
    """
    most = len(learners(backbone.model))
    deeper = [n for n in unfreeze or () if n > most]
    if deeper:
        raise FanlightError(
            "E-STUDIO-003",
            "the backbone has not so many layers that may learn.",
            where="unfreeze",
            expected=f"depths of {backbone.name}: 1 to {most}" if most else "none: []",
            received=", ".join(map(str, deeper)),
            next="name smaller numbers, or leave unfreeze (--unfreeze) out.",
        )
    counts = [n for n in (2, 4, 6) if n < most] if unfreeze is None else sorted(set(unfreeze))
    tuned = [Head(f"tune-{n}", "linear", n) for n in counts if n > 0]
    return [Head(name, name) for name in ("linear", "hidden", "neighbours")] + tuned

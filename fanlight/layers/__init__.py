"""Layers by Keras's names, arguments and defaults: `fl.layers`."""

from __future__ import annotations

from fanlight.layers.augmentation import (
    CutMix,
    MixUp,
    RandomBrightness,
    RandomContrast,
    RandomCrop,
    RandomErasing,
    RandomFlip,
    RandomGrayscale,
    RandomHeight,
    RandomHue,
    RandomRotation,
    RandomSaturation,
    RandomShear,
    RandomTranslation,
    RandomWidth,
    RandomZoom,
)
from fanlight.layers.core import Activation, Dense, Flatten
from fanlight.layers.layer import Layer
from fanlight.layers.model import Input, InputLayer

__all__ = [
    "Activation",
    "CutMix",
    "Dense",
    "Flatten",
    "Input",
    "InputLayer",
    "Layer",
    "MixUp",
    "RandomBrightness",
    "RandomContrast",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomGrayscale",
    "RandomHeight",
    "RandomHue",
    "RandomRotation",
    "RandomSaturation",
    "RandomShear",
    "RandomTranslation",
    "RandomWidth",
    "RandomZoom",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

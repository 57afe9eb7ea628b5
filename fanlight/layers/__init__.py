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
from fanlight.layers.lookup import Hashing, IntegerLookup, StringLookup
from fanlight.layers.model import Input, InputLayer
from fanlight.layers.preprocessing import CategoryEncoding, Discretization, Normalization
from fanlight.layers.text_preprocessing import TextVectorization

__all__ = [
    "Activation",
    "CategoryEncoding",
    "CutMix",
    "Dense",
    "Discretization",
    "Flatten",
    "Hashing",
    "Input",
    "InputLayer",
    "IntegerLookup",
    "Layer",
    "MixUp",
    "Normalization",
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
    "StringLookup",
    "TextVectorization",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

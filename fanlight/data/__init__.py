"""Datasets and augmentation: `fl.data`.

train, held = fl.data.image_folder("photos/", size=160).split(0.2, stratified=True, seed=1)
train = train.cache().shuffle(seed=1).batch(32).prefetch(threads=2)
model.fit(train, validation_data=held.batch(32))
"""

from __future__ import annotations

from typing import TYPE_CHECKING as _TYPE_CHECKING

from fanlight.data import augment
from fanlight.data.dataset import Dataset
from fanlight.data.photos import image_folder
from fanlight.data.sources import from_arrays, from_generator
from fanlight.data.tables import from_csv
from fanlight.tensor.names import DATASETS as _DATASETS
from fanlight.tensor.names import elsewhere as _elsewhere

__all__ = [
    "Dataset",
    "augment",
    "from_arrays",
    "from_csv",
    "from_generator",
    "image_folder",
]


def __dir__() -> list[str]:
    """What completion offers: what is public."""
    return sorted(__all__)


if not _TYPE_CHECKING:  # a name that is not there is an error to mypy
    __getattr__ = _elsewhere("fl.data", _DATASETS)

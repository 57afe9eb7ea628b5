"""Ready tasks and models: an architecture or source, plus pre- and post-processing as ops.

And what Keras has in `keras.models`, under its names: `fl.models.load_model`, `Sequential`, ...
"""

from __future__ import annotations

from fanlight.layers.cloning import clone_model
from fanlight.layers.describe import model_from_json
from fanlight.layers.model import Model, Sequential
from fanlight.layers.saving import load_model, save_model
from fanlight.models import tasks
from fanlight.models.default import default_card, default_model

__all__ = [
    "Model",
    "Sequential",
    "clone_model",
    "default_card",
    "default_model",
    "load_model",
    "model_from_json",
    "save_model",
    "tasks",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

"""Fanlight: build machine-learning models in Python, run them in the browser.

In three lines, with `import fanlight as fl`:

    model = fl.load("model.json")
    bundle = fl.build(model, "site/", task=fl.tasks.classify(labels=labels))
    bundle.run({"image": rgb_uint8})
"""

from __future__ import annotations

from fanlight.build import build
from fanlight.built import Bundle, open_bundle
from fanlight.check import check
from fanlight.errors import FanlightError
from fanlight.formats.model import Model, load
from fanlight.models import default_model, tasks
from fanlight.quantize import QuantizedModel, quantize
from fanlight.version import __version__ as __version__

__all__ = [
    "Bundle",
    "FanlightError",
    "Model",
    "QuantizedModel",
    "build",
    "check",
    "default_model",
    "load",
    "open_bundle",
    "quantize",
    "tasks",
]

"""Fanlight: build machine-learning models in Python, run them in the browser.

    model = fl.load("model.json")
    bundle = fl.build(model, "site/", task=fl.tasks.classify(labels=labels))
    bundle.run({"image": rgb_uint8})
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fanlight.errors import FanlightError

if TYPE_CHECKING:
    from fanlight.build import build
    from fanlight.built import Bundle, open_bundle
    from fanlight.check import check
    from fanlight.formats.model import Model, load
    from fanlight.models import default_model, tasks

__version__ = "0.1.0"

# Where the public names live. They are imported on first use, so that `import fanlight` is quick.
_HOMES = {
    "Bundle": "fanlight.built",
    "Model": "fanlight.formats.model",
    "build": "fanlight.build",
    "check": "fanlight.check",
    "default_model": "fanlight.models",
    "load": "fanlight.formats.model",
    "open_bundle": "fanlight.built",
    "tasks": "fanlight.models",
}

__all__ = [
    "Bundle",
    "FanlightError",
    "Model",
    "build",
    "check",
    "default_model",
    "load",
    "open_bundle",
    "tasks",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'fanlight' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

"""Fanlight: build machine-learning models in Python, run them in the browser.

In three lines, with `import fanlight as fl`:

    model = fl.load("model.json")
    bundle = fl.build(model, "site/", task=fl.tasks.classify(labels=labels))
    bundle.run({"image": rgb_uint8})

Or write it with tensors: `fl.build(function, "out/", inputs={"x": fl.spec((3,))})` builds any
function of them, gradients included.
"""

# The public names are those of fanlight/public.py, which is imported when the first of them is
# asked for: `import fanlight` alone, and a command that needs one room, do not load all rooms.
from __future__ import annotations

import typing as _typing

from fanlight.version import __version__ as __version__

if _typing.TYPE_CHECKING:
    from fanlight.public import *  # noqa: F403
else:  # for type checkers a name that is not there stays an error
    import gc as _gc
    import importlib as _importlib
    import sys as _sys
    from importlib import util as _util
    from types import ModuleType as _ModuleType

    # Functions, each in a module of its name. Python puts a module that it imports into the
    # package; there the function stays.
    _FUNCTIONS = frozenset({"build", "check", "convert", "jit", "quantize", "studio", "tensor"})

    class _Package(_ModuleType):
        def __setattr__(self, name: str, value: object) -> None:
            if not (name in _FUNCTIONS and isinstance(value, _ModuleType)):
                super().__setattr__(name, value)

    _sys.modules[__name__].__class__ = _Package

    def __getattr__(name: str) -> object:
        if name.startswith("__") and name != "__all__":  # what Python and tools ask any module for
            raise AttributeError(f"module 'fanlight' has no attribute {name!r}")
        if name not in _FUNCTIONS and name.isidentifier() and _util.find_spec(f"fanlight.{name}"):
            return _importlib.import_module(f"fanlight.{name}")
        public = _public()
        if name in globals():
            return globals()[name]
        raise public.missing(name)

    def __dir__() -> list[str]:
        """What is public."""
        return _public().PUBLIC

    def _public() -> _ModuleType:
        """The module of all public names, which are put here, too."""
        collects = _gc.isenabled()
        _gc.disable()  # of what is made while importing nothing is garbage
        try:
            public = _importlib.import_module("fanlight.public")
        finally:
            if collects:
                _gc.enable()
        globals().update({name: getattr(public, name) for name in public.PUBLIC})
        globals()["__all__"] = public.__all__
        return public

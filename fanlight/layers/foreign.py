"""Objects of Keras where those of Fanlight are meant: told by where their classes come from."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import FunctionType
from typing import Any

from fanlight.errors import FanlightError
from fanlight.tensor.caller import caller

_PACKAGES = ("keras", "tf_keras", "tensorflow")
# Parts of fl by the parts of Keras, as module names have them.
_ROOMS = {
    "losses": "fanlight.layers.losses",
    "metrics": "fanlight.layers.metrics",
    "optimizers": "fanlight.layers.optimizers",
    "callbacks": "fanlight.layers.callbacks",
    "layers": "fanlight.layers",
}


def of_keras(value: Any) -> bool:
    """Whether it is an object, a class or a function of Keras; no module is loaded for this."""
    return _origin(value) is not None


def _origin(value: Any) -> Any:
    """The function itself, or the first of the classes of an object, that is of Keras; or None."""
    if isinstance(value, FunctionType):
        made: Any = (value,)
    else:
        made = (value if isinstance(value, type) else type(value)).__mro__
    own = (k for k in made if str(k.__module__).partition(".")[0] in _PACKAGES)
    return next(own, None)


def instead(value: Any) -> str:
    """What to write instead of a part of Keras: fl.metrics.MeanAbsoluteError()."""
    made = _origin(value)
    rooms = [part for part in made.__module__.split(".") if part in _ROOMS]
    if not rooms:
        return "give its name, or the one of fl."
    name, room = made.__name__, rooms[0]
    kind = value if isinstance(value, type | FunctionType) else type(value)
    if made is not kind:
        return f"derive {kind.__name__} from fl.{room}.{name}."
    if not hasattr(import_module(_ROOMS[room]), name):
        return f"fl.{room} has no {name}; docs/own.md shows how to write one."
    arguments = "" if isinstance(value, FunctionType) else "()"
    return f"fl.{room}.{name}{arguments}, which takes the same arguments."


def refuse_parts(what: str, given: Any) -> None:
    """E-LAYER-004 for losses, metrics or optimizers of Keras, also in lists and dicts."""
    if isinstance(given, Mapping | list | tuple):
        for part in given.values() if isinstance(given, Mapping) else given:
            refuse_parts(what, part)
    elif of_keras(given):
        raise FanlightError(
            "E-LAYER-004",
            f"compile does not take {what} of Keras: they compute with another library.",
            where=f"{what}, compile, {caller()}",
            expected="a name, a function, or what fl has under the same name",
            received=repr(given)[:200],
            next=instead(given),
        )


def refuse_model(model: Any) -> None:
    """E-LAYER-004 for a model or layer of Keras: its file is what Fanlight reads."""
    if of_keras(model):
        raise FanlightError(
            "E-LAYER-004",
            "this is a model of Keras, and not one of Fanlight.",
            where=caller(),
            expected="a model of Fanlight, or the path of a file",
            received=repr(model)[:200],
            next='save it, model.save("m.keras"), and fl.load_model("m.keras") is the same model.',
        )

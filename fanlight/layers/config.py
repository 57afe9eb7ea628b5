"""Objects from and to plain data, as Keras writes it: class names with their arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor import Tensor

# What users registered: name in a file -> class or function.
_CUSTOM: dict[str, Any] = {}


def register(package: str = "Custom", name: str | None = None) -> Callable[[Any], Any]:
    """Let files name a class or a function of yours: `@fl.register()` above it.

    In a file it is called `package>name`. Source: keras.saving.register_keras_serializable.
    """

    def keep(made: Any) -> Any:
        _CUSTOM[f"{package}>{name or made.__name__}"] = made
        return made

    return keep


def registered(name: str) -> Any:
    """What was registered under a name of a file, `package>name` or the name alone; or None."""
    found = _CUSTOM.get(name)
    if found is None:
        found = next((v for k, v in _CUSTOM.items() if k.partition(">")[2] == name), None)
    return found


def registered_name(made: Any) -> str | None:
    """Under which name a class or function was registered."""
    return next((k for k, v in _CUSTOM.items() if v is made), None)


def unwritten(made: Any, method: str) -> FanlightError:
    """E-LAYER-004: a class of somebody's own lacks the method that is its meaning."""
    return FanlightError(
        "E-LAYER-004",
        f"{type(made).__name__} does not say what it computes.",
        where=type(made).__name__,
        expected=f"a class with a method {method}",
        received=f"none in {type(made).__name__}",
    )


def snake(name: str) -> str:
    """MeanSquaredError -> mean_squared_error, as Keras names what has no name."""
    out = ""
    for i, c in enumerate(name):
        before = name[i - 1] if i else ""
        after = name[i + 1] if i + 1 < len(name) else ""
        if c.isupper() and i and (before.islower() or (before.isupper() and after.islower())):
            out += "_"
        out += c.lower()
    return out


def plain(value: Any) -> Any:
    """A value as JSON has it: objects by their class names, arrays and tuples as lists."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray | Tensor):
        return np.asarray(value).tolist()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "get_config"):
        return described(value)
    name = registered_name(value)
    return name or getattr(value, "__name__", repr(value))


def described(made: Any) -> dict[str, Any]:
    """Class name and arguments of an object with `get_config`, as Keras 3 writes them."""
    if hasattr(made, "described"):  # a model
        return dict(made.described())
    kind = type(made)
    name = registered_name(kind)
    return {
        "module": None if name else getattr(kind, "keras_module", "keras.layers"),
        "class_name": kind.__name__,
        "config": made.get_config(),
        "registered_name": name,
    }


def lookup(what: str, given: Any, known: Mapping[str, Any], *, call: bool = True) -> Any:
    """The object that a name, a description or an object stands for.

    Args:
        what: what is looked for, for errors: "initializer".
        given: a name in either style, {"class_name": ..., "config": ...}, an object, or a class.
        known: class or function by name; snake case counts, too.
        call: whether a class that is meant by its name alone is made, without arguments.

    Raises:
        FanlightError: E-LAYER-003 there is none of this name.
    """
    config: Mapping[str, Any] = {}
    if isinstance(given, Mapping):
        config = given.get("config") or {}
        name = given.get("registered_name") or given.get("class_name")
        if isinstance(config, str):  # a function, by Keras 3
            name, config = config, {}
    elif isinstance(given, str):
        name = given
    else:
        return given() if isinstance(given, type) and call else given
    found = registered(str(name)) or known.get(str(name))
    if found is None:
        wanted = str(name).lower().replace("_", "")
        names = {k.lower().replace("_", ""): v for k, v in known.items()}
        found = names.get(wanted)
    if found is None:
        raise FanlightError(
            "E-LAYER-003",
            f"there is no {what} of this name.",
            where=what,
            expected=", ".join(sorted(known)),
            received=repr(name),
            next=f"give the {what} itself, or register yours: @fl.register().",
        )
    if not isinstance(found, type):
        return found
    if hasattr(found, "from_config"):
        return found.from_config(dict(config))
    return found(**config)

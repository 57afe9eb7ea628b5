"""Objects from and to plain data, as Keras writes it: class names with their arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.layers.nearest import meant
from fanlight.tensor import Tensor
from fanlight.tensor.caller import caller

# What users registered: name in a file -> class or function.
_CUSTOM: dict[str, Any] = {}
# The same, for as long as a `with` of `custom_objects` lasts.
_SCOPED: ContextVar[Mapping[str, Any] | None] = ContextVar("custom_objects", default=None)


def register(package: str = "Custom", name: str | None = None) -> Callable[[Any], Any]:
    """Let files name a class or a function of yours: `@fl.register()` above it.

    In a file it is called `package>name`. Source: keras.saving.register_keras_serializable.
    """

    def keep(made: Any) -> Any:
        _CUSTOM[f"{package}>{name or made.__name__}"] = made
        return made

    return keep


@contextmanager
def custom_objects(objects: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Let files name these classes and functions, by the keys, inside of a `with`.

    What was registered by `register` counts inside, too; these go first.
    """
    if objects is not None and not isinstance(objects, Mapping):
        raise FanlightError(
            "E-LAYER-004",
            "these are no custom objects.",
            where=f"custom_objects, {caller()}",
            expected='names and what they stand for: {"Swirl": Swirl}',
            received=repr(objects)[:200],
        )
    token = _SCOPED.set({**(_SCOPED.get() or {}), **(objects or {})})
    try:
        yield
    finally:
        _SCOPED.reset(token)


def scoped(name: str) -> Any:
    """What `custom_objects` says of a name of a file, `package>name` or the name alone; or None."""
    objects = _SCOPED.get() or {}
    return objects.get(name, objects.get(name.rpartition(">")[2]))


def with_scoped(value: Any) -> Any:
    """Names and descriptions of what `custom_objects` says, made; all else as it is.

    What is looked up later, when the scope has ended, is found so.
    """
    if isinstance(value, str):
        found = scoped(value)
        return value if found is None else found
    if isinstance(value, list | tuple):
        return [with_scoped(v) for v in value]
    if not isinstance(value, Mapping):
        return value
    if "class_name" not in value:
        return {k: with_scoped(v) for k, v in value.items()}
    names = (value.get("registered_name"), value["class_name"], value.get("config"))
    own = any(isinstance(n, str) and scoped(n) is not None for n in names)
    return lookup("object", value, {}) if own else value


def registered(name: str) -> Any:
    """What was registered under a name of a file, `package>name` or the name alone; or None."""
    found = scoped(name)
    if found is None:
        found = _CUSTOM.get(name)
    if found is None:
        found = next((v for k, v in _CUSTOM.items() if k.partition(">")[2] == name), None)
    return found


def all_registered() -> dict[str, Any]:
    """What was registered, by name: the table itself, to which one may add."""
    return _CUSTOM


def made_of(get: Callable[[Any], Any], given: Any, objects: Mapping[str, Any] | None) -> Any:
    """What `get` makes of a description that may name these objects, too."""
    with custom_objects(objects):
        return get(given)


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


def nothing(what: str, named: str) -> FanlightError:
    """E-LAYER-004: what somebody's own class or function gives is None."""
    return FanlightError(
        "E-LAYER-004",
        f"{what} gives nothing.",
        where=f"{what}, {caller()}",
        expected="a tensor",
        received="None",
        next=f"end {named} with return.",
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


def function_described(made: Any) -> Any:
    """A function as Keras 3 writes one, which takes no mere name for it; else as `plain` has it."""
    name = plain(made)
    if not isinstance(name, str):
        return name
    return {
        "module": "builtins",
        "class_name": "function",
        "config": name,
        "registered_name": registered_name(made) or "function",
    }


def lookup(
    what: str,
    given: Any,
    known: Mapping[str, Any],
    *,
    call: bool = True,
    near: Iterable[str] = (),
) -> Any:
    """The object that a name, a description or an object stands for.

    Args:
        what: what is looked for, for errors: "initializer".
        given: a name in either style, {"class_name": ..., "config": ...}, an object, or a class.
        known: class or function by name; snake case counts, too.
        call: whether a class that is meant by its name alone is made, without arguments.
        near: names that somebody may have meant, where that is more than `known`.

    Raises:
        FanlightError: E-LAYER-003 there is none of this name; E-LAYER-004 it cannot be made of
            its description.
    """
    config: Any = {}
    if isinstance(given, Mapping):
        config = given.get("config") or {}
        name = given.get("registered_name") or given.get("class_name")
        if isinstance(config, str):  # a function, by Keras 3
            name, config = config, {}
    elif isinstance(given, str):
        name = given
    elif callable(given) or hasattr(given, "get_config"):
        return _made(what, given, given) if isinstance(given, type) and call else given
    else:
        name = given
    found = registered(str(name)) or known.get(str(name))
    if found is None:
        wanted = str(name).lower().replace("_", "")
        names = {k.lower().replace("_", ""): v for k, v in known.items()}
        found = names.get(wanted)
    if found is None:
        raise FanlightError(
            "E-LAYER-003",
            f"there is no {what} of this name.",
            where=f"{what}, {caller()}",
            expected=", ".join(sorted(known)) or f"a {what}",
            received=repr(name)[:200],
            next=meant(
                name,
                (*near, *known, *map(snake, known)),
                f"give the {what} itself, or register yours: @fl.register().",
            ),
        )
    if not isinstance(found, type):
        return found
    if not isinstance(config, Mapping):
        raise _unmade(what, found, f"the arguments {config!r}"[:200])
    if hasattr(found, "from_config"):
        return _made(what, found, lambda: found.from_config(dict(config)))
    return _made(what, found, lambda: found(**config))


def function(what: str, given: Any, known: Mapping[str, Any]) -> Any:
    """As `lookup` has it, of what is called in the end; E-LAYER-004 for what cannot be."""
    found = lookup(what, given, known)
    if not callable(found):
        name = type(found).__name__
        raise FanlightError(
            "E-LAYER-004",
            f"this is no {what}.",
            where=f"{what}, {caller()}",
            expected=f"a {what}: a name, a function, or an object of fl.{what}s",
            received=f"{found!r}, of class {name}"[:200],
        )
    return found


def _made(what: str, kind: type, make: Callable[[], Any]) -> Any:
    """What `make` gives; E-LAYER-004 where arguments are missing, or are none of the class."""
    try:
        return make()
    except FanlightError:
        raise
    except TypeError as error:
        raise _unmade(what, kind, str(error)) from error


def _unmade(what: str, kind: type, received: str) -> FanlightError:
    return FanlightError(
        "E-LAYER-004",
        f"the {what} {kind.__name__} cannot be made of these arguments.",
        where=f"{what}, {caller()}",
        expected=f"what {kind.__name__} takes",
        received=received,
        next=f"help({kind.__name__}) tells its arguments.",
    )

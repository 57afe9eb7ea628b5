"""Arguments that are not of the kind that a class says in its signature: one error for all of them.

A class checks what it knows about its arguments: that there is a kernel at least one wide. That a
width is a whole number, its signature says already; so this is checked here, for every class.
"""

from __future__ import annotations

import functools
import inspect
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.errors import FanlightError, ProtocolError
from fanlight.layers.nearest import meant
from fanlight.tensor.caller import caller


class Checked:
    """The base of what models are made of: the arguments of `__init__` are what it says they are.

    That holds for classes of Fanlight. What somebody's own class takes is their matter.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__module__.startswith("fanlight.") and "__init__" in vars(cls):
            cls.__init__ = _checking(vars(cls)["__init__"])  # type: ignore[method-assign]


def _checking(init: Callable[..., None]) -> Callable[..., None]:
    """An `__init__` that refuses what its annotations exclude, unless it does so itself.

    Numbers of NumPy become Python's: classes and files know of no others.
    """
    signature = inspect.signature(init)
    # Only what can be told from an annotation; the class says the rest, and says it better.
    known = {
        name: found
        for name, p in signature.parameters.items()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        and (found := _kinds(str(p.annotation)))
    }

    names = list(signature.parameters)[1:]
    rows = {name for name, kinds in known.items() if any(map(_item, kinds))}

    @functools.wraps(init)
    def checked(self: Any, *args: Any, **options: Any) -> None:
        named = zip(names[: len(args)], args, strict=False)
        rest = args[len(names) :]
        args = (*(_python(v, n in rows) for n, v in named), *map(_python, rest))
        options = {k: _python(v, k in rows) for k, v in options.items()}
        try:
            init(self, *args, **options)
        except FanlightError:
            raise
        except Exception as error:
            wrong = _missing(self, init, error) or _unknown(self, options, error)
            wrong = wrong or _first_wrong(self, signature, known, args, options)
            if wrong is None:
                raise
            raise wrong from None
        wrong = _first_wrong(self, signature, known, args, options)
        if wrong is not None:
            raise wrong

    return checked


def _python(value: Any, row: bool = False) -> Any:
    """A number of NumPy as one of Python, also in lists and tuples; all else as it is.

    Args:
        row: whether an array may stand for a list of numbers.
    """
    if row and isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "iuf":
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (list, tuple) and any(
        isinstance(v, np.generic) or type(v) in (list, tuple) for v in value
    ):
        return type(value)(map(_python, value))
    return value


_LACKS = re.compile(r"missing \d+ required .*arguments?: (.*)")


def _missing(made: Any, init: Callable[..., None], error: Exception) -> FanlightError | None:
    """E-LAYER-004, a TypeError too, for arguments that were not given; or None."""
    if not isinstance(error, TypeError) or not str(error).startswith(f"{init.__qualname__}() "):
        return None
    found = _LACKS.search(str(error))
    if found is None:
        return None
    kind, names = type(made).__name__, found[1].replace("'", "")
    return ProtocolError(
        "E-LAYER-004",
        f"{kind} needs {names}.",
        where=f"{kind}, {caller()}",
        expected=names,
        received="nothing",
        next=f"help({kind}) tells its arguments.",
    )


_UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'")


def _unknown(made: Any, options: Mapping[str, Any], error: Exception) -> FanlightError | None:
    """E-LAYER-004, a TypeError too, for an argument that the class does not have; or None."""
    found = _UNEXPECTED.search(str(error)) if isinstance(error, TypeError) else None
    if found is None or found[1] not in options:
        return None
    from fanlight.layers.registry import accepted

    kind, name = type(made), found[1]
    known = accepted(kind)
    if name in known:  # a class gives it to its base, which does not take it
        return None
    return ProtocolError(
        "E-LAYER-004",
        f"{kind.__name__} has no argument {name}.",
        where=f"{name} of {kind.__name__}, {caller()}",
        expected=", ".join(sorted(known)),
        received=f"{name}={options[name]!r}"[:200],
        next=meant(name, known, f"help({kind.__name__}) tells its arguments."),
    )


def _first_wrong(
    made: Any,
    signature: inspect.Signature,
    known: Mapping[str, list[str]],
    args: tuple[Any, ...],
    options: Mapping[str, Any],
) -> FanlightError | None:
    """E-LAYER-004 for the first argument that is not what its annotation says; or None."""
    try:
        given = signature.bind_partial(made, *args, **options).arguments
    except TypeError:  # Python says which argument is unknown or missing
        return None
    for name, kinds in known.items():
        if name in given and not any(_is(given[name], kind) for kind in kinds):
            told = " or ".join(_TOLD.get(kind) or _told(kind) for kind in kinds)
            return FanlightError(
                "E-LAYER-004",
                f"{type(made).__name__} does not take this {name}.",
                where=f"{name} of {type(made).__name__}, {caller()}",
                expected=told,
                received=repr(given[name])[:200],
            )
    return None


# --- annotations ----------------------------------------------------------------------------------

_TOLD = {
    "Callable": "a function",
    "Mapping": "a dict",
    "None": "None",
    "bool": "True or False",
    "float": "a number",
    "int": "a whole number",
    "os.PathLike[str]": "a path",
    "str": "a text",
}


def _kinds(annotation: str) -> list[str]:
    """The alternatives of an annotation; none where one of them cannot be checked."""
    parts, depth = [""], 0
    for c in annotation:
        depth += (c == "[") - (c == "]")
        if c == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += c
    found = [p.strip() for p in parts]
    plain = [p.partition("[")[0] if p.startswith(("Callable", "Mapping")) else p for p in found]
    return plain if all(p in _TOLD or _item(p) for p in plain) else []


def _item(kind: str) -> list[str]:
    """What a sequence is made of, by its annotation; none if it is no sequence."""
    inner = kind.removeprefix("Sequence[").removesuffix("]")
    if inner == kind:
        return []
    return [inner] if inner == "Any" else _kinds(inner)


def _told(kind: str) -> str:
    items = _item(kind)
    return "a list" if items == ["Any"] else f"a list, each {' or '.join(_TOLD[i] for i in items)}"


def _is(value: Any, kind: str) -> bool:
    if kind == "None":
        return value is None
    if kind == "bool":  # files have null and numbers for it, too
        return value is None or isinstance(value, np.bool_) or _whole(value, bools=True, most=1)
    if kind == "int":
        return _whole(value)
    if kind == "float":
        if isinstance(value, float | np.floating):
            return not math.isnan(value)
        return _whole(value) and abs(int(value)) < 10**300
    if kind == "str":
        return isinstance(value, str)
    if kind == "os.PathLike[str]":
        return isinstance(value, os.PathLike)
    if kind == "Callable":
        return callable(value)
    if kind == "Mapping":
        return isinstance(value, Mapping)
    items = _item(kind)
    rows = isinstance(value, np.ndarray) and value.ndim == 1
    if not rows and (isinstance(value, str | bytes) or not isinstance(value, Sequence)):
        return False
    return items == ["Any"] or all(any(_is(v, k) for k in items) for v in value)


def _whole(value: Any, *, bools: bool = False, most: int | None = None) -> bool:
    if isinstance(value, bool):
        return bools
    return isinstance(value, int | np.integer) and (most is None or bool(0 <= value <= most))

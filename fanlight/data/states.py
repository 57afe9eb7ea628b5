"""What functions and objects are made of, as a digest: the same in every program that makes them.

Told are code, arguments, the values that a function holds or finds in its module, and what pickle
would write of other objects. What Python and installed packages have is told by its name.
"""

from __future__ import annotations

import copyreg
import dis
import hashlib
import pickle
import re
import sys
import types
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor import Tensor

MOST = 1_000_000  # values of one function; arrays are one each
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...), range)
# Of a layer: what it is called and where it was called change nothing of what it computes.
_ASIDE = ("name", "nodes", "built", "built_with")


class Untold(Exception):
    """It cannot be told what an object is made of; the text says which and why."""


def digest(value: Any) -> str:
    """What a value is made of, in short.

    Raises:
        Untold: that cannot be told.
    """
    walk = _Walk()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of objects that pickle is about to leave
            walk.add(value)
    except RecursionError as error:
        raise Untold(f"{_called(value)}, which is nested too deeply") from error
    return str(walk.hash.hexdigest())


def digest_of_array(array: np.ndarray) -> str:
    """The same of an array, whose elements may be texts and other objects."""
    return digest(np.asarray(array))


class _Walk:
    """One way through an object and all that it holds."""

    def __init__(self) -> None:
        self.hash: Any = hashlib.blake2b(digest_size=8)
        self.count = 0
        # By id; the objects are kept, as an id holds for as long as its object.
        self.seen: dict[int, tuple[int, Any]] = {}

    def note(self, *texts: object) -> None:
        """Texts, each with its length: no two rows of them are one."""
        for text in texts:
            data = text if isinstance(text, bytes) else str(text).encode("utf-8", "replace")
            self.hash.update(f"{len(data)}:".encode())
            self.hash.update(data)

    def add(self, value: Any) -> None:
        """Anything."""
        self.count += 1
        if self.count > MOST:
            raise Untold(f"more than {MOST} values")
        kind = type(value)
        if kind in _PLAIN:
            self.note(kind.__name__, repr(value))
        elif kind is tuple:
            self.note("tuple", len(value))
            self.each(value)
        elif isinstance(value, Tensor):
            self.array(value.numpy())
        elif kind in (np.ndarray, np.memmap) or isinstance(value, np.generic):
            self.array(np.asarray(value))
        elif isinstance(value, types.ModuleType):
            self.note("module", value.__name__)
        elif id(value) in self.seen:
            self.note("again", self.seen[id(value)][0])
        else:
            self.seen[id(value)] = len(self.seen), value
            self.object(value)

    def each(self, values: Any) -> None:
        for value in values:
            self.add(value)

    def object(self, value: Any) -> None:
        """What may hold itself."""
        kind = type(value)
        if kind in (list, dict):
            self.note(kind.__name__, len(value))
            self.each(value if kind is list else [p for pair in value.items() for p in pair])
        elif kind in (set, frozenset):  # in an order that each program has for itself
            if not all(type(v) in _PLAIN for v in value):
                raise Untold(f"a {kind.__name__} of objects")
            self.note("set", *sorted(map(repr, value)))
        elif isinstance(value, types.CodeType):
            self.code(value)
        elif isinstance(value, types.FunctionType):
            self.function(value)
        elif isinstance(value, types.MethodType):
            self.each((value.__func__, value.__self__))
        elif isinstance(value, type):
            self.kind(value)
        elif isinstance(value, property):
            self.each(("property", value.fget, value.fset))
        elif isinstance(value, staticmethod | classmethod):
            self.each((kind.__name__, value.__func__))
        elif _is_layer(value):
            self.layer(value)
        else:
            self.pickled(value)

    def array(self, array: np.ndarray) -> None:
        self.note("array", array.dtype, array.shape)
        if array.dtype.hasobject:
            self.add(array.tolist())
        else:
            self.hash.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)

    # --- code -------------------------------------------------------------------------------------

    def code(self, code: types.CodeType) -> None:
        self.note("code", code.co_code, code.co_names)
        self.each(code.co_consts)

    def function(self, fn: types.FunctionType) -> None:
        self.note("function", fn.__module__, fn.__qualname__)
        # Not `fn.__module__`: of a function that is wrapped this is the module of the inner one.
        installed = _installed(fn.__globals__.get("__name__"))
        public = _installed(fn.__module__) and _found(fn, fn.__module__, fn.__qualname__)
        if installed and (public or not fn.__closure__):
            return
        self.add(fn.__code__)
        cells = [c.cell_contents for c in fn.__closure__ or () if _filled(c)]
        self.each((cells, fn.__defaults__, fn.__kwdefaults__, vars(fn)))
        wanted = set() if installed else _globals_of(fn.__code__)
        for name in sorted(wanted & fn.__globals__.keys()):
            value = fn.__globals__[name]
            self.note("global", name)
            self.add(value)
            if isinstance(value, types.ModuleType) and not _installed(value.__name__):
                for attribute in sorted(_names_of(fn.__code__)):
                    if attribute in vars(value):
                        self.note("global", name, attribute)
                        self.add(vars(value)[attribute])

    def kind(self, kind: type) -> None:
        """A class: those of one's own with all that they say."""
        self.note("class", kind.__module__, kind.__qualname__)
        if _installed(kind.__module__):
            return
        self.each(kind.__bases__)
        for name, value in vars(kind).items():
            made = isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType)
            hidden = name.startswith("__") and not isinstance(value, types.FunctionType)
            if not made and not hidden and name != "_abc_impl":
                self.note(name)
                self.add(value)

    # --- objects ----------------------------------------------------------------------------------

    def layer(self, layer: Any) -> None:
        """A layer or model, by its configuration, its weights, and what else is one's own."""
        self.add(type(layer))
        own = not _installed(type(layer).__module__)
        try:
            config = _anonymous(layer.get_config())
        except Exception:  # of a function that is not registered: it is found below
            config, own = None, True
        self.add(config)
        self.each(layer.get_weights())
        for name, value in vars(layer).items():
            function = isinstance(value, types.FunctionType) and not _installed(value.__module__)
            if name not in _ASIDE and (own or function):
                self.note(name)
                self.add(value)
        self.each(getattr(layer, "layers", ()))

    def pickled(self, value: Any) -> None:
        """What pickle would write of an object."""
        if hasattr(value, "__wrapped__"):  # a function with a memory, or compiled
            self.each((type(value), value.__wrapped__))
            return
        array = _array(value)
        if array is not None:
            self.array(array)
            return
        try:
            rule = copyreg.dispatch_table.get(type(value))
            made = value.__reduce_ex__(4) if rule is None else rule(value)
            parts = made if isinstance(made, str) else [*made[:3], *map(_listed, made[3:5])]
        except Exception as error:
            raise Untold(f"{_called(value)} ({error})") from error
        if not isinstance(parts, str):
            self.each(parts)
            return
        module = pickle.whichmodule(value, parts)  # type: ignore[attr-defined]
        if not _installed(module) or not _found(value, module, parts):
            raise Untold(_called(value))
        self.note("named", module, parts)


def _array(value: Any) -> np.ndarray | None:
    """What is an array to NumPy; None of others, and of what stands for numbers to come."""
    if not hasattr(value, "__array__") or isinstance(value, np.ndarray):
        return None
    try:
        return np.asarray(value)
    except FanlightError:
        return None


def _called(value: Any) -> str:
    return f"a {type(value).__module__}.{type(value).__qualname__}".replace("builtins.", "")


def _listed(values: Any) -> Any:
    """The elements that pickle gives as an iterator."""
    return None if values is None else list(values)


def _is_layer(value: Any) -> bool:
    return callable(getattr(value, "get_config", None)) and hasattr(value, "get_weights")


def _installed(module: str | None) -> bool:
    """Whether a module is of Python or of a package: such modules change with their versions."""
    if not module:
        return False
    top = module.partition(".")[0]
    if top == __name__.partition(".")[0] or top in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is not None and not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)


def _found(value: Any, module: str, name: str) -> bool:
    """Whether an object is what a module has under its name."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value


def _inside(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code, and those of the functions in it."""
    yield code
    for value in code.co_consts:
        if isinstance(value, types.CodeType):
            yield from _inside(value)


def _globals_of(code: types.CodeType) -> set[str]:
    steps = (step for part in _inside(code) for step in dis.get_instructions(part))
    return {step.argval for step in steps if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}


def _names_of(code: types.CodeType) -> set[str]:
    return {name for part in _inside(code) for name in part.co_names}


def _filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:  # of a name that is not assigned yet
        return False
    return True


def _anonymous(config: Any) -> Any:
    """A configuration without the counts in names, which go on as long as a program runs."""
    names: list[str] = []

    def walked(value: Any) -> Any:
        if isinstance(value, Mapping):
            if isinstance(value.get("name"), str):
                names.append(value["name"])
            return {
                k: re.sub(r"_\d+$", "", v) if k == "name" and isinstance(v, str) else walked(v)
                for k, v in value.items()
            }
        return [walked(v) for v in value] if isinstance(value, list | tuple) else value

    def numbered(value: Any) -> Any:
        """With the number of a layer where one is referred to: (name, call, output)."""
        if isinstance(value, dict):
            return {k: numbered(v) for k, v in value.items()}
        if not isinstance(value, list):
            return value
        if len(value) == 3 and value[0] in names and all(isinstance(n, int) for n in value[1:]):
            return [names.index(value[0]), *value[1:]]
        return [numbered(v) for v in value]

    return numbered(walked(config))

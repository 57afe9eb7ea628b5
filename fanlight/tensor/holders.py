"""Who holds tensors: names, attributes, elements, cells; found with Python's garbage collector.

It looks at what refers to a tensor, then at what refers to that, LEVELS times; each time for no
more than MOST_THINGS and among no more than MOST that refer to them. Nothing of what it finds is
held afterwards.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from inspect import CO_OPTIMIZED
from itertools import islice
from pathlib import Path
from types import (
    CellType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MemberDescriptorType,
)
from typing import Any, NamedTuple

from fanlight.tensor.calls import Call, state
from fanlight.tensor.core import Tensor
from fanlight.tensor.tape import Tape
from fanlight.tensor.variables import Variable

MOST, MOST_THINGS, MOST_NAMES = 4000, 500, 20
LEVELS = 4
_CONTAINERS = (list, tuple, dict, set, frozenset, deque, CellType)


class _Path(NamedTuple):
    """One who holds something: "xs[3]" and " in train (file.py:12)".

    Attributes:
        names: of a function's closure, what its elements are called.
    """

    path: str
    place: str
    names: Sequence[str] = ()


class _Search:
    """One look at who holds what, from the frame that asked."""

    def __init__(self, frame: FrameType) -> None:
        # Names in frames that run, by identity of what they stand for.
        self.locals: dict[int, list[_Path]] = {}
        modules = [(n, m) for n, m in [*sys.modules.items()] if hasattr(m, "__dict__")]
        # Some make a new dict whenever they are asked: its identity is soon another thing's.
        self.globals = {id(vars(m)): n for n, m in modules if vars(m) is vars(m)}
        self.own: set[int] = set()  # containers of this search
        others = sys._current_frames()
        del others[threading.get_ident()]  # held, the frame that runs would never be freed
        for top in (frame, *others.values()):
            self._frames(top)

    def _frames(self, frame: FrameType | None) -> None:
        """The names of a thread from a frame on."""
        for _ in range(MOST):
            if frame is None:
                return
            self.globals.setdefault(id(frame.f_globals), str(frame.f_globals.get("__name__")))
            for name, thing, place in _locals(frame):
                self.locals.setdefault(thing, []).append(_Path(name, place))
            frame = frame.f_back

    def who(self, things: Sequence[Any], levels: int = LEVELS) -> dict[int, list[_Path]]:
        """Who holds each thing, by its identity."""
        found: dict[int, list[_Path]] = {id(x): [*self.locals.get(id(x), ())] for x in things}
        referrers = gc.get_referrers(*things)
        self.own.update((id(things), id(referrers), id(found), id(self.locals), id(self.globals)))
        referrers = [r for r in referrers if id(r) not in self.own and not _ours(r)][:MOST]
        self.own.add(id(referrers))
        # Now: to ask an object for its __dict__, as below, changes what it refers to.
        inside = [_inside(r, found) for r in referrers]
        above = [r for r in referrers if self._container(r)][:MOST_THINGS] if levels > 1 else []
        owners = self.who(above, levels - 1) if above else {}
        for r, things_of in zip(referrers, inside, strict=True):
            # Of those beyond MOST_THINGS at least the names in frames are known.
            known = owners.get(id(r)) or self.locals.get(id(r), [])
            for thing, path in self._holds(r, things_of, known):
                if len(found[thing]) < MOST_NAMES and path not in found[thing]:
                    found[thing].append(path)
        return found

    def _container(self, r: Any) -> bool:
        """Whether who holds it says more than it does."""
        return isinstance(r, (*_CONTAINERS, Tensor)) and id(r) not in self.globals

    def _holds(self, r: Any, wanted: set[int], owners: list[_Path]) -> Iterator[tuple[int, _Path]]:
        """By which path a referrer holds each thing that it refers to."""
        if id(r) in self.globals:
            for key in _keys(r, wanted):
                yield id(r[key]), _Path(str(key), f" of {self.globals[id(r)]}")
        elif isinstance(r, FrameType | GeneratorType | CoroutineType):
            frame = (
                r
                if isinstance(r, FrameType)
                else getattr(r, "gi_frame", getattr(r, "cr_frame", None))
            )
            for name, thing, place in _locals(frame) if frame else ():
                if thing in wanted:
                    yield thing, _Path(name, place)
        elif isinstance(r, CellType | Tensor):  # what they stand for has their names
            for thing in wanted:
                yield from ((thing, o) for o in owners)
        elif isinstance(r, _CONTAINERS):
            alone = _Path(f"a {type(r).__name__}", "")
            for thing, key in _elements(r, wanted):
                for owner in owners or [alone]:
                    yield thing, _element(owner, key)
        else:
            for thing in wanted:
                yield thing, _attribute(r, thing)


def _ours(r: Any) -> bool:
    """Whether it is what this search is made of."""
    return isinstance(r, _Search | _Path)


def _locals(frame: FrameType) -> list[tuple[str, int, str]]:
    """The names in a frame, what they stand for by identity, and where it is."""
    code = frame.f_code
    if frame.f_locals is frame.f_globals:
        return []
    place = f" in {code.co_name} ({Path(code.co_filename).name}:{frame.f_lineno})"
    names = frame.f_locals
    found = [(name, id(thing), place) for name, thing in islice(names.items(), MOST)]
    # Before 3.13 the frame keeps this dict: it shall hold nothing, unless somebody else reads it.
    # (While a debugger runs it is what the debugger writes back.)
    kept = sys.version_info < (3, 13) and code.co_flags & CO_OPTIMIZED and not sys.gettrace()
    if kept and sys.getrefcount(names) <= 3:
        names.clear()
    return found


def _inside(r: Any, wanted: Iterable[int]) -> set[int]:
    return {id(x) for x in gc.get_referents(r)}.intersection(wanted)


def _keys(r: dict[Any, Any], wanted: Iterable[int]) -> list[Any]:
    return [key for key, value in [*r.items()] if id(value) in wanted]


def _elements(r: Any, wanted: Iterable[int]) -> list[tuple[int, Any]]:
    """Identity and key of the elements that are wanted."""
    if isinstance(r, dict):
        return [(id(r[key]), key) for key in _keys(r, wanted)]
    if isinstance(r, set | frozenset):
        return [(id(x), None) for x in [*r] if id(x) in wanted]
    return [(id(x), i) for i, x in enumerate([*r]) if id(x) in wanted]


def _element(owner: _Path, key: Any) -> _Path:
    """An element of what is held by a path."""
    if owner.names:
        name = owner.names[key] if isinstance(key, int) and key < len(owner.names) else str(key)
        return _Path(name, owner.place)
    if not owner.place:
        return owner  # nobody of a name
    if not owner.path:  # the names of an object or a class
        return _Path(str(key), owner.place)
    text = "" if key is None else f"[{repr(key)[:40]}]"
    return _Path(owner.path + text, owner.place)


def _attribute(r: Any, thing: int) -> _Path:
    """How an object holds something."""
    if isinstance(r, FunctionType):
        if id(r.__closure__) == thing:
            kind = "a constant of the compiled function" if _compiled(r) else "in the closure of"
            return _Path("", f", {kind} {r.__qualname__}", r.__code__.co_freevars)
        return _Path("a default", f" of {r.__qualname__}")
    if isinstance(r, Call | Tape):
        return _Path("a gradient that is being computed", "")
    kind = type(r).__name__ if not isinstance(r, type) else f"class {r.__name__}"
    if id(_dict(r)) == thing or isinstance(r, type):
        return _Path("", f" of {kind}")
    return _Path(_name(r, thing) or "something", f" of {kind}")


def _compiled(fn: FunctionType) -> bool:
    """Whether fl.jit compiles it: what it takes from outside are constants."""
    return any(
        type(r) is dict and r.get("__wrapped__") is fn and "__module__" not in r
        for r in gc.get_referrers(fn)[:100]
    )


def _dict(r: Any) -> dict[str, Any]:
    """The attributes of an object; none of its code is called."""
    try:
        found: dict[str, Any] = object.__getattribute__(r, "__dict__")
    except AttributeError:
        return {}
    return found


def _name(r: Any, thing: int) -> str | None:
    """The attribute that something is."""
    for name, value in [*_dict(r).items()]:
        if id(value) == thing:
            return str(name)
    for cls in type(r).__mro__:
        for name, member in [*vars(cls).items()]:
            if isinstance(member, MemberDescriptorType):
                try:
                    if id(member.__get__(r)) == thing:
                        return name
                except AttributeError:
                    continue
    return None


def told_of(buffers: list[tuple[int, list[Tensor]]], frame: FrameType) -> list[dict[str, Any]]:
    """What each buffer is, of so many bytes and tensors, and who holds it; see fl.memory."""
    buffers = sorted(buffers, key=lambda b: -b[0])
    search = _Search(frame)
    search.own.update(id(sharing) for _, sharing in buffers)
    tensors = [x for _, sharing in buffers for x in sharing][:MOST_THINGS]
    texts = _texts(search, tensors) if tensors else {}
    told = []
    for nbytes, sharing in buffers:
        sharing.sort(key=lambda x: -x.size)
        by = []
        for i, x in enumerate(sharing):
            names = texts.get(id(x), [f"not looked for: only {MOST_THINGS} tensors are"])
            by += [f"another tensor, {n}" for n in names] or ["another tensor"] if i else names
        shape, dtype = sharing[0].shape, sharing[0].dtype
        told.append({"shape": shape, "dtype": dtype, "bytes": nbytes, "by": by})
    return told


def _texts(search: _Search, tensors: list[Tensor]) -> dict[int, list[str]]:
    """Who holds each tensor, by its identity."""
    scoped = {id(x) for scope in state.scopes for r in tuple(scope) if (x := r()) is not None}
    found = search.who(tensors)
    texts = {}
    for x in tensors:
        by = [f"{path}{place}" for path, place, _ in found[id(x)]]
        by += [f"fl.variable {x.name!r}"] if isinstance(x, Variable) else []
        by += ["an fl.tidy that is running"] if id(x) in scoped else []
        texts[id(x)] = [*dict.fromkeys(by)]
    return texts

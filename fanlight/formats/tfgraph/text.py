"""Strings on their way through an import. A compiled graph has none: Python works them out.

What is made of known strings alone is known (`Text`), so the importers of strings (strings.py) and
of tables (tables.py) always compute. What a model is given as strings is known when it is called:
hosted.py cuts these nodes off and runs the same importers then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.tfgraph.call import Call, Handler
from fanlight.graph import Value

MOST_BYTES = 1 << 26  # of all strings of a tensor
_FIRST = 1 << 28  # what strings are numbered from, while they are moved
MOST = 1 << 22  # strings of a tensor, and keys of a table

# Nodes that take known strings, filled by strings.py and tables.py.
TAKE_TEXT: set[str] = set()
# What moves its inputs without a look at them: its importer is run on the numbers of strings, and
# gives numbers again, of strings in these outputs (None: in all).
MOVES: dict[str, frozenset[int] | None] = {
    **dict.fromkeys(
        "Identity IdentityN Snapshot StopGradient PreventGradient Reshape EnsureShape ExpandDims "
        "Squeeze ConcatV2 Concat Pack Unpack Gather GatherV2 GatherNd Slice StridedSlice Tile Fill "
        "Transpose BroadcastTo Reverse ReverseV2 Split SplitV Pad PadV2 Roll Select SelectV2 "
        "RaggedTensorToTensor SparseToDense TensorScatterUpdate".split()
    ),
    **dict.fromkeys("Equal NotEqual Shape ShapeN Size Rank".split(), frozenset()),
    **dict.fromkeys("Unique UniqueV2 ListDiff SetDiff1D".split(), frozenset((0,))),
    **dict.fromkeys("SparseFillEmptyRows RaggedGather".split(), frozenset((1,))),
}

CHOICES = frozenset(("If", "StatelessIf"))  # made where what they ask is known


class OnHost(Exception):
    """A string depends on numbers of the graph: the node is done in Python, see hosted.py."""


@dataclass(frozen=True)
class Text:
    """Known strings: an array of bytes, in UTF-8 as a rule."""

    array: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)


@dataclass(frozen=True)
class Table:
    """Keys [n] and their values [n]: bytes or numbers.

    Attributes:
        missing: nothing fills it. Texts cannot be looked up; what lies behind them can be read.
    """

    keys: np.ndarray
    values: np.ndarray
    name: str
    missing: bool = False

    @cached_property
    def entries(self) -> dict[Any, Any]:
        """The values by their keys."""
        return dict(zip(self.keys.tolist(), self.values.tolist(), strict=True))

    @property
    def of_texts(self) -> bool:
        """Whether keys or values are strings."""
        return "O" in (self.keys.dtype.kind, self.values.dtype.kind)


def concerns(x: Any) -> bool:
    """Whether a result is known strings or a table."""
    return isinstance(x, Text | Table)


def text(items: Iterable[bytes], shape: Sequence[int], where: object) -> Text:
    """Strings in a shape; E-FORMAT-023 if they are absurdly long."""
    listed = list(items)
    if len(listed) > MOST or sum(map(len, listed)) > MOST_BYTES:
        raise too_long(where)
    array = np.empty(len(listed), object)
    array[:] = listed
    return Text(array.reshape(shape))


def too_long(where: object) -> FanlightError:
    """E-FORMAT-023 about strings that would fill the memory."""
    return FanlightError(
        "E-FORMAT-023",
        "the strings of a tensor are more than any model has.",
        where=where,
        expected=f"at most {MOST:,} of them, and {MOST_BYTES:,} bytes in all",
        received="more",
    )


def readable(data: bytes) -> str:
    """Bytes as text that becomes the same bytes again by `unreadable`."""
    return data.decode("utf-8", "surrogateescape")


def unreadable(text: str) -> bytes:
    """What `readable` was made of."""
    return text.encode("utf-8", "surrogateescape")


def array_of(call: Call, index: int, what: str) -> np.ndarray:
    """Input `index` as known strings or numbers."""
    x: Any = call.x(index)
    if isinstance(x, Value):
        raise OnHost
    return x.array if isinstance(x, Text) else call.known(index, what)


def texts_of(call: Call, index: int = 0) -> np.ndarray:
    """Input `index` as known strings."""
    x: Any = call.x(index)
    if isinstance(x, Value):
        raise OnHost
    if not isinstance(x, Text):
        raise call.refuse("numbers came", expected="strings", received=repr(x)[:80])
    return x.array


def one_text(call: Call, index: int) -> bytes:
    """Input `index` as one string."""
    found = texts_of(call, index)
    if found.size != 1:
        raise call.refuse("one string is wanted", expected=1, received=found.size)
    return bytes(found.reshape(-1)[0])


def each(call: Call, rule: Callable[[bytes], bytes], index: int = 0) -> Text:
    """A rule for every string of input `index`."""
    array = texts_of(call, index)
    return text(map(rule, array.reshape(-1).tolist()), array.shape, call.where)


def handle(call: Call, handler: Handler) -> Any:
    """The results of a node that has known strings or tables among its inputs.

    Raises:
        OnHost: others of its inputs are values of the graph.
        FanlightError: E-FORMAT-012 it takes no strings.
    """
    op = call.node.op
    if op in TAKE_TEXT:
        return handler(call)
    if op in CHOICES:
        if any(isinstance(x, Value) for x in call.inputs):
            raise OnHost
        return handler(call)
    if op not in MOVES or any(isinstance(x, Table) for x in call.inputs):
        if op in ("Identity", "IdentityN"):
            return list(call.inputs)
        raise call.refuse(
            "it does not take strings",
            expected="strings in ops of strings: " + ", ".join(sorted({*TAKE_TEXT, *MOVES}))[:400],
            received="strings or a table",
        )
    if any(isinstance(x, Value) for x in call.inputs):
        raise OnHost
    return _moved(call, handler)


def _moved(call: Call, handler: Handler) -> Any:
    """The importer of `call` on numbers that stand for strings; equal ones have equal numbers."""
    # What is filled up with zeros is filled with "". The others are far from numbers that a broken
    # file has among strings.
    numbers: dict[bytes, int] = {b"": 0}

    def numbered(x: Any) -> Any:
        if not isinstance(x, Text):
            return x
        listed = x.array.reshape(-1).tolist()
        found = [numbers.setdefault(t, _FIRST + len(numbers)) for t in listed]
        return np.array(found, np.int32).reshape(x.shape)

    given = [numbered(x) for x in call.inputs]
    made = handler(Call(call.node, call.em, given, call.warnings, call.scope))
    results = list(made) if isinstance(made, list | tuple) else [made]
    which, pool = MOVES[call.node.op], {n: t for t, n in numbers.items()}

    def meant(index: int, x: Any) -> Any:
        if (which is not None and index not in which) or not isinstance(x, np.ndarray):
            return x
        found = [pool.get(n) for n in x.reshape(-1).tolist()]
        if None in found:
            raise call.refuse("numbers are among its strings", received=str(x.dtype))
        return text([t for t in found if t is not None], x.shape, call.where)

    return [meant(i, x) for i, x in enumerate(results)]

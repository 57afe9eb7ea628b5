"""Batches of examples, out of arrays, datasets and generators, for `fit` and its like."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor import Tensor, tensor
from fanlight.tensor.caller import caller, warn

Batch = tuple[list[np.ndarray], list[Any], list[Any]]


@dataclass
class Form:
    """How inputs and labels are given: names of a dict in order, or None for a list."""

    x: list[str] | None
    y: list[str] | None


def arrays_of(value: Any, names: Sequence[str], what: str) -> list[Any]:
    """The arrays of a structure, in the order of `names` where it is a dict."""
    if value is None:
        return []
    if isinstance(value, Mapping):
        missing = [n for n in names if n not in value]
        if missing:
            raise FanlightError(
                "E-TRAIN-002",
                f"{what} lacks an entry.",
                where=f"{what}, {caller()}",
                expected=", ".join(names),
                received=", ".join(map(str, value)),
            )
        return [array_of(value[n], what) for n in names]
    if isinstance(value, list | tuple) and value and not _numbers(value):
        return [array_of(v, what) for v in value]
    return [array_of(value, what)]


def _numbers(value: Sequence[Any]) -> bool:
    """Whether a list is one array, written as numbers or rows of them."""
    first = value[0]
    while isinstance(first, list | tuple) and first:
        first = first[0]
    return isinstance(first, int | float | bool | str | np.number) and not isinstance(
        value[0], np.ndarray
    )


def array_of(value: Any, what: str) -> Any:
    """An array that training takes: float32, int32, bool or uint8; strings stay."""
    if isinstance(value, Tensor):
        found = value.numpy()
        if found.dtype.kind == "c":
            raise _complex(what, found)
        return found
    try:
        array = np.asarray(value)
        if array.dtype.kind == "c":
            raise _complex(what, array)
        if array.dtype == object:
            _refuse_objects(what, array)
        if array.dtype.kind in "US" or array.dtype == object:
            return array
        found = tensor(array).numpy() if array.dtype.name not in _PLAIN else array
    except (ValueError, TypeError) as problem:
        raise FanlightError(
            "E-TRAIN-002",
            f"{what} cannot be made an array.",
            where=f"{what}, {caller()}",
            expected="arrays, tensors or lists of numbers",
            received=f"{type(value).__name__}: {problem}"[:200],
        ) from None
    return found


def _refuse_objects(what: str, array: np.ndarray) -> None:
    """E-TRAIN-002 for numbers as Python's objects, which the values of a data frame are."""
    values = array.reshape(-1).tolist()
    kinds = [isinstance(v, Real | np.bool_) for v in values]
    if not any(kinds):
        return  # texts
    todo = f'{what}.astype("float32") makes numbers of them.'
    if not all(kinds):
        place = np.unravel_index(kinds.index(False), array.shape)
        found = repr(array[place])[:60]
        todo = f"{what}{list(map(int, place))} is {found}: make it a number, or leave it out; then "
        todo += f'{what}.astype("float32").'
        if all(isinstance(v, str) or (isinstance(v, float) and math.isnan(v)) for v in values):
            todo = 'they are texts, and nan where there is none: frame.fillna("") before.'
    raise FanlightError(
        "E-TRAIN-002",
        f"{what} is an array of objects, and not of numbers.",
        where=f"{what}, {caller()}",
        expected="an array of float32, int32, bool or uint8",
        received=f"object{list(array.shape)}",
        next=todo,
    )


def _complex(what: str, array: np.ndarray) -> FanlightError:
    return FanlightError(
        "E-TRAIN-002",
        f"{what} has complex numbers, and models compute with real ones.",
        where=f"{what}, {caller()}",
        expected="arrays of float32, int32, bool or uint8",
        received=f"{array.dtype}{list(array.shape)}",
        next=f"np.abs({what}), or np.stack([{what}.real, {what}.imag], -1), which keeps both.",
    )


_PLAIN = ("float32", "int32", "bool", "uint8")


def counted(x: Sequence[Any], y: Sequence[Any], w: Sequence[Any]) -> int:
    """How many examples there are; E-TRAIN-002 where arrays disagree, E-TRAIN-005 if none."""
    sizes = [len(a) if a.ndim else -1 for a in (*x, *y, *w) if a is not None]
    if -1 in sizes or len(set(sizes)) != 1:
        raise FanlightError(
            "E-TRAIN-002",
            "the arrays have different numbers of examples.",
            where=caller(),
            expected="as many rows in x as in y and in sample_weight",
            received=_told(x, y, w) or "nothing",
        )
    if not sizes[0]:
        raise FanlightError(
            "E-TRAIN-005",
            "there are no examples.",
            where=caller(),
            expected="at least one example",
            received=", ".join(f"x {list(a.shape)}" for a in x),
            next="look at what was loaded: is the folder empty, or the filter too strict?",
        )
    return sizes[0]


def _told(x: Sequence[Any], y: Sequence[Any], w: Sequence[Any]) -> str:
    return ", ".join(
        f"{name} {list(a.shape)}"
        for name, part in (("x", x), ("y", y), ("sample_weight", w))
        for a in part
        if a is not None
    )


class Arrays:
    """Examples in arrays.

    Args:
        rng: shuffles them before every epoch; None leaves their order.
    """

    def __init__(
        self,
        x: list[Any],
        y: list[Any],
        w: list[Any],
        batch_size: int,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.x, self.y, self.w = x, y, w
        self.count = counted(x, y, w)
        self.batch_size, self.rng = batch_size, rng

    @property
    def steps(self) -> int | None:
        """Batches of an epoch."""
        return -(-self.count // self.batch_size)

    def dry(self) -> bool:
        """Whether there is nothing more: arrays can be gone through again."""
        return False

    def state(self) -> Any:
        """What the order of the next pass follows, as JSON takes it."""
        return None if self.rng is None else _told_state(self.rng.bit_generator.state)

    def restore(self, state: Any) -> None:
        """Let the next pass follow what `state` gave."""
        if self.rng is not None and state is not None:
            self.rng.bit_generator.state = state

    def __iter__(self) -> Iterator[Batch]:
        order = None if self.rng is None else self.rng.permutation(self.count)
        for start in range(0, self.count, self.batch_size):
            part: Any = slice(start, start + self.batch_size)
            if order is not None:
                part = order[part]
            yield tuple(  # type: ignore[misc]
                [None if a is None else a[part] for a in group]
                for group in (self.x, self.y, self.w)
            )


def _told_state(value: Any) -> Any:
    """The state of a generator of NumPy with lists for arrays."""
    if isinstance(value, Mapping):
        return {k: _told_state(v) for k, v in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


class Stream:
    """Examples that come in batches: a dataset, a generator, anything that can be gone through.

    What is no iterator by itself begins anew with every epoch.

    Args:
        x, y: names of inputs and outputs, where batches have dicts.
        shapes: of the inputs, where those are known: single examples are told by them.
    """

    def __init__(
        self,
        source: Iterable[Any],
        x: list[str],
        y: list[str],
        shapes: Sequence[Sequence[int | None]] = (),
    ) -> None:
        self.source, self.names, self.shapes = source, (x, y), shapes
        self.endless = bool(getattr(source, "endless", False))
        self.once = iter(source) if hasattr(source, "__next__") else None
        self._ahead: list[Any] = []  # of it: what `dry` has looked at
        length = getattr(source, "__len__", None)
        self.steps: int | None = None
        if length is not None:
            try:
                self.steps = int(length())
            except TypeError:
                self.steps = None

    def state(self) -> Any:
        """How often a dataset was gone through, which its order follows; None of others."""
        return getattr(self.source, "passes", None)

    def restore(self, state: Any) -> None:
        """Let the next pass be the one that `state` told."""
        if state is not None and hasattr(self.source, "passes"):
            self.source.passes = state

    def dry(self) -> bool:
        """Whether a generator has given all that it has."""
        if self.once is None or self._ahead:
            return False
        self._ahead = list(itertools.islice(self.once, 1))
        return not self._ahead

    def _items(self) -> Iterator[Any]:
        if self.once is None:
            yield from self.source
        while self.once is not None:
            try:
                item = self._ahead.pop() if self._ahead else next(self.once)
            except StopIteration:
                return
            yield item

    def __iter__(self) -> Iterator[Batch]:
        for item in self._items():
            parts = item if isinstance(item, tuple) else (item,)
            if not 1 <= len(parts) <= 3:
                raise FanlightError(
                    "E-TRAIN-002",
                    "a batch of a generator has x, y and sample_weight.",
                    where=caller(),
                    expected="x, (x, y) or (x, y, sample_weight)",
                    received=f"a tuple of {len(parts)}",
                )
            x = arrays_of(parts[0], self.names[0], "x")
            y = arrays_of(parts[1], self.names[1], "y") if len(parts) > 1 else []
            w = arrays_of(parts[2], self.names[1], "sample_weight") if len(parts) > 2 else []
            if self._single((x, y, w)):
                raise FanlightError(
                    "E-TRAIN-002",
                    "this gives examples one by one, and not in batches.",
                    where=caller(),
                    expected="arrays whose first dim counts the examples of a batch",
                    received=_told(x, y, w),
                    next="dataset.batch(32) puts 32 of them together."
                    if hasattr(self.source, "batch")
                    else "fl.data.from_generator(make).batch(32) puts 32 of them together.",
                )
            counted(x, y, w)
            yield x, y, w

    def _single(self, groups: Batch) -> bool:
        """Whether arrays are those of one example."""
        given = [a for group in groups for a in group if a is not None]
        if any(not a.ndim for a in given):
            return True
        pairs = list(zip(groups[0], self.shapes, strict=False))
        return bool(pairs) and all(_one(a.shape, shape) for a, shape in pairs)


def _one(given: tuple[int, ...], shape: Sequence[int | None]) -> bool:
    """Whether a shape is that of one example, and of no batch of numbers."""
    own = tuple(shape[1:])
    fits = len(given) == len(own) and all(
        n is None or n == m for n, m in zip(own, given, strict=True)
    )
    return fits and own not in ((1,), (None,))


class Epochs:
    """The batches of training, epoch after epoch.

    Args:
        most: steps_per_epoch: the next epoch goes on where the one before ended. None: an epoch is
            a pass over the data.
        held: the examples of validation, whose place a backup needs, too.
    """

    def __init__(self, data: Arrays | Stream, most: int | None, held: Any = None) -> None:
        self.data, self.most, self.held = data, most, held
        self._left: Iterator[Batch] | None = None  # of the pass
        self._before: Any = None  # the state that the pass began with
        self._taken, self._given = 0, 0  # of the pass, and of all passes
        self.begun = self.state()

    def __iter__(self) -> Iterator[Batch]:
        """The batches of one epoch.

        It ends where the data end, with a warning if that is before `most` steps.
        """
        if self.most is None:
            self._left = None
        self.begun = self.state()
        step = 0
        while self.most is None or step < self.most:
            batch = self._next(begins=not step)
            if batch is None:
                break
            step += 1
            yield batch
        if self.most is not None and 0 < step < self.most:
            self._left = None
            warn(
                f"this epoch ends after {step} of {self.most} steps, as the data do: they need "
                "steps_per_epoch * epochs batches; a dataset can have them by repeat()"
            )

    def _next(self, begins: bool) -> Batch | None:
        """The next batch of the pass; where an epoch begins, of a new one if this has ended."""
        again = begins and self._taken > 0
        if self._left is None:
            self._begin()
            again = False
        assert self._left is not None
        batch = next(self._left, None)
        if batch is None and again:
            self._begin()
            batch = next(self._left, None)
        if batch is not None:
            self._taken, self._given = self._taken + 1, self._given + 1
        return batch

    def _begin(self) -> None:
        self._before, self._taken = self.data.state(), 0
        self._left = iter(self.data)

    def over(self) -> bool:
        """Whether a generator has given all that it has, before an epoch that is to follow."""
        return self._given > 0 and self.data.dry()

    # --- of backups -------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Where the next epoch begins, as JSON takes it; `begun` is where this one did."""
        inside = self.most is not None and self._left is not None
        return {
            "pass": self._before if inside else self.data.state(),
            "taken": self._taken if inside else 0,
            "held": None if self.held is None else self.held.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Begin the next epoch where `state` says. A generator gives what it gives next."""
        self.data.restore(state["pass"])
        if getattr(self.data, "once", None) is None:
            for _ in range(state["taken"]):
                self._next(begins=False)
        if self.held is not None:
            self.held.restore(state["held"])


def taken(data: Arrays | Stream, most: int | None, what: str, argument: str) -> Iterator[Batch]:
    """The batches of data, at most so many: what is beyond them a generator keeps.

    Raises:
        FanlightError: E-TRAIN-005 there are none.
    """
    count = 0
    for batch in itertools.islice(data, most):
        count += 1
        yield batch
    if not count:
        raise FanlightError(
            "E-TRAIN-005",
            "the dataset has given no batch.",
            where=f"{what}, {caller()}",
            expected="at least one batch",
            received="none",
            next="a generator is gone through once: give a dataset, or a new one.",
        )
    if most is not None and count < most:
        warn(f"{argument} is {most}, and the data have ended after {count}")


def ended(data: Any, steps: int | None, what: str, argument: str) -> None:
    """E-DATA-001 for a dataset without an end, if nobody says how many batches are meant."""
    if steps is None and getattr(data, "endless", False):
        raise FanlightError(
            "E-DATA-001",
            f"{what} would never end: this dataset repeats without an end.",
            where=f"{what}, {caller()}",
            expected=f"{argument}, or a dataset with an end",
            received="dataset.repeat()",
            next=f"give {argument}=100, or leave repeat() out: every epoch begins anew by itself.",
        )


def batches_of(
    x: Any,
    y: Any,
    w: Any,
    batch_size: int | None,
    inputs: Sequence[str],
    outputs: Sequence[str],
    rng: np.random.Generator | None = None,
    shapes: Sequence[Sequence[int | None]] = (),
) -> Arrays | Stream:
    """The batches of what `fit`, `evaluate` or `predict` was given."""
    if x is None:
        raise FanlightError(
            "E-TRAIN-002",
            "there is no x.",
            where=f"x, {caller()}",
            expected="arrays, or a dataset or generator of batches",
            received="None",
        )
    _refuse_sources(x)
    stream = hasattr(x, "__next__") or (
        hasattr(x, "__iter__")
        and not isinstance(x, np.ndarray | Tensor | list | tuple | Mapping | str | bytes)
        and not hasattr(x, "__array__")
    )
    if stream:
        if y is not None:
            raise FanlightError(
                "E-TRAIN-002",
                "a dataset gives the labels, too.",
                where=caller(),
                expected="y=None: each batch is (x, y)",
                received="a dataset or generator, and y",
            )
        if w is not None:
            raise FanlightError(
                "E-TRAIN-002",
                "a dataset gives the weights of its examples, too.",
                where=caller(),
                expected="sample_weight=None: each batch is (x, y, sample_weight)",
                received="a dataset or generator, and sample_weight",
            )
        return Stream(x, list(inputs), list(outputs), shapes)
    given = arrays_of(x, inputs, "x"), arrays_of(y, outputs, "y")
    if isinstance(x, list | tuple):
        _refuse_rows(given[0], given[1], len(shapes))
    weights = arrays_of(w, outputs, "sample_weight")
    return Arrays(*given, weights, batch_size or 32, rng)


def _refuse_sources(x: Any) -> None:
    """E-TRAIN-002 for what data could be had from, and are not had from yet."""
    if isinstance(x, str | bytes | Path):
        received = f"a text, {x!r}"[:200] if not isinstance(x, Path) else f"a path, {x}"
        todo = "fl.data.from_csv(path, label).batch(32) reads a table, np.load(path) an array; "
        todo += 'texts themselves are in a list: ["a text"].'
    elif isinstance(x, FunctionType | MethodType | type):
        received = f"a class, {x.__name__}" if isinstance(x, type) else f"a function, {x.__name__}"
        todo = f"call it: {x.__name__}(); of a generator, fl.data.from_generator({x.__name__})"
        todo += ".batch(32) puts examples together and begins anew with every epoch."
    else:
        return
    raise FanlightError(
        "E-TRAIN-002",
        "x is no data.",
        where=f"x, {caller()}",
        expected="arrays, or a dataset or generator of batches",
        received=received,
        next=todo,
    )


def _refuse_rows(x: Sequence[Any], y: Sequence[Any], count: int) -> None:
    """E-TRAIN-002 for a list of examples, where a list is of the arrays of several inputs.

    Args:
        count: how many inputs there are; 0: not known, and told by the labels.
    """
    rows = {len(a) if a.ndim else 0 for a in x}
    rowed = len(x) > 1 and rows != {len(x)} and bool(y) and all(a.shape[:1] == (len(x),) for a in y)
    if not (len(x) != count if count else rowed):
        return
    wanted = "one input" if count == 1 else f"{count} inputs" if count else "as many examples"
    alike = len({a.shape for a in x}) == 1 and count < 2
    raise FanlightError(
        "E-TRAIN-002",
        f"x has {len(x)} arrays, the model {wanted}.",
        where=f"x, {caller()}",
        expected="an array; a list has an array for each input",
        received=", ".join(f"{list(a.shape)}" for a in x[:3]) + (", ..." if len(x) > 3 else ""),
        next="np.stack(x) makes one array of its rows." if alike else None,
    )


def split_off(data: Arrays, share: float) -> tuple[Arrays, Arrays]:
    """Arrays without their last part, and that part, as `validation_split` means it."""
    first = math.floor(data.count * (1 - share))  # as Keras has it
    if not 0 < share < 1 or not 0 < first < data.count:
        raise FanlightError(
            "E-TRAIN-002",
            "validation_split leaves nothing of one part.",
            where=f"validation_split, {caller()}",
            expected="a share between 0 and 1, and enough examples for both parts",
            received=f"{share} of {data.count} examples",
        )

    def part(which: slice) -> list[list[Any]]:
        groups = (data.x, data.y, data.w)
        return [[None if a is None else a[which] for a in group] for group in groups]

    def arrays(which: slice, rng: np.random.Generator | None) -> Arrays:
        x, y, w = part(which)
        return Arrays(x, y, w, data.batch_size, rng)

    return arrays(slice(0, first), data.rng), arrays(slice(first, None), None)

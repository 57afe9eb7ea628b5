"""Dataset: examples, one after another, and what is done with them before training."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanlight.data import caching, sampling
from fanlight.data.lineage import Lineage, of_function, told
from fanlight.data.prefetching import prefetched
from fanlight.data.progress import tracked
from fanlight.data.structure import stacked, unstacked, whole, wrong
from fanlight.data.tasks import Applied, Batch, Joined, Task, Turn, Value, generator
from fanlight.errors import FanlightError, ProtocolError
from fanlight.tensor import seeds
from fanlight.tensor.caller import caller
from fanlight.tensor.names import METHODS_OF_DATASETS, Elsewhere, no_attribute

Tasks = Callable[[Turn], Iterator[Task]]


class Dataset:
    """Examples that can be gone through again and again: `for x, y in dataset`.

    An element is an array, a tuple such as (x, y) or (x, y, sample_weight), or a dict; after
    `batch` it has a first dim for the examples of a batch, and `model.fit(dataset)` takes it. Every
    method gives a new dataset and computes nothing; elements are computed when they are asked for.
    What is random follows its seed and the number of the pass: the same program gives the same
    elements. Without a seed it follows `fl.set_random_seed`.

    Attributes:
        class_names: of the labels 0, 1, 2, ...; or None.
        endless: whether it repeats without an end, as far as that is known.
        skipped: (file, why) for what could not be read and was left out.
        passes: how often it was gone through; what is random follows the number of the pass.
    """

    def __init__(
        self,
        tasks: Tasks,
        count: int | None = None,
        *,
        endless: bool = False,
        class_names: Sequence[str] | None = None,
        skipped: Sequence[tuple[str, str]] = (),
        lineage: Lineage = (),
    ) -> None:
        self._lineage = lineage
        self._tasks, self._count, self._endless = tasks, count, endless
        self.class_names = None if class_names is None else list(class_names)
        self.skipped = list(skipped)
        self.passes = 0

    if not TYPE_CHECKING:  # what tf.data.Dataset has, and is not there: an error to mypy
        from_tensor_slices = Elsewhere("fl.data.from_arrays(x, y)")
        from_generator = Elsewhere("fl.data.from_generator(make)")

        def __getattr__(self, name: str) -> Any:
            raise no_attribute("'Dataset' object", name, METHODS_OF_DATASETS)

    @property
    def endless(self) -> bool:
        return self._endless

    def _derived(
        self,
        tasks: Tasks,
        count: int | None,
        *steps: str | Callable[[], str],
        endless: bool = False,
    ) -> Dataset:
        """Another one, made of this one by steps, as its lineage tells them."""
        return Dataset(
            tasks,
            count,
            endless=endless,
            class_names=self.class_names,
            skipped=self.skipped,
            lineage=(*self._lineage, *steps),
        )

    # --- being gone through -----------------------------------------------------------------------

    def __iter__(self) -> Iterator[Any]:
        turn = (self.passes,)
        self.passes += 1
        return (task() for task in self._tasks(turn))

    def __len__(self) -> int:
        if self._count is None:
            raise ProtocolError(
                "E-DATA-001",
                "this dataset does not know how many elements it has.",
                where=f"len, {caller()}",
                expected="a dataset of a known size",
                received="one that repeats without an end"
                if self._endless
                else "one behind filter, unbatch or a generator",
                next="give fit steps_per_epoch=..., or count its elements by going through it.",
            )
        return self._count

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        many = "endless" if self._endless else "?" if self._count is None else self._count
        return f"<Dataset, elements: {many}>"

    def first(self) -> Any:
        """The first element of a pass, for a look at it."""
        for task in self._tasks((self.passes,)):
            return task()
        raise FanlightError(
            "E-DATA-001",
            "this dataset has no elements.",
            where=caller(),
            expected="at least one",
            received="none",
        )

    def arrays(self, threads: int = 4) -> Any:
        """All elements of a pass in memory: arrays that have a row for each, in their structure."""
        self._finite("arrays")
        turn = (self.passes,)
        self.passes += 1
        tasks = prefetched(self._tasks(turn), 4 * whole("threads", threads), threads)
        made = [task() for task in tracked(tasks, self._count, "reading examples")]
        if not made:
            self.first()
        return stacked(made)

    def _finite(self, what: str) -> None:
        if self._endless:
            raise FanlightError(
                "E-DATA-001",
                f"{what} needs a dataset with an end.",
                where=f"{what}, {caller()}",
                expected="a dataset without repeat(), or with take(n) behind it",
                received="one that repeats without an end",
            )

    # --- elements ---------------------------------------------------------------------------------

    def map(self, fn: Callable[..., Any], *, seed: int | None = None) -> Dataset:
        """A function of each element: fn(x, y) of tuples, fn(x) of others.

        Args:
            fn: may give arrays, tensors, or tuples and dicts of them.
            seed: if given, fn is called with `key=`, too: a key for `fl.random` and
                `fl.data.augment`, another one for each element and pass.
        """
        if not callable(fn):
            raise wrong("fn", "a function", fn)

        def tasks(turn: Turn) -> Iterator[Task]:
            for at, task in enumerate(self._tasks(turn)):
                yield Applied(fn, task, seed, turn, at)

        def step() -> str:
            return f"map {of_function(fn)}" + ("" if seed is None else f", seed {seed}")

        return self._derived(tasks, self._count, step, endless=self._endless)

    def filter(self, wanted: Callable[..., Any]) -> Dataset:
        """Only the elements for which a function says true: wanted(x, y) of tuples."""

        def tasks(turn: Turn) -> Iterator[Task]:
            for task in self._tasks(turn):
                element = task()
                if wanted(*element) if isinstance(element, tuple) else wanted(element):
                    yield Value(element)

        def step() -> str:
            return f"filter {of_function(wanted)}"

        return self._derived(tasks, None, step, endless=self._endless)

    def batch(self, size: int, drop_remainder: bool = False) -> Dataset:
        """Elements by `size` together, stacked; the last batch may be smaller, or is dropped.

        Raises:
            FanlightError: E-DATA-007, while being gone through, for elements of different shapes.
        """
        size = whole("size", size)

        def tasks(turn: Turn) -> Iterator[Task]:
            source = self._tasks(turn)
            while group := list(itertools.islice(source, size)):
                if len(group) < size and drop_remainder:
                    return
                yield Batch(group)

        count = self._count
        if count is not None:
            count = count // size if drop_remainder else -(-count // size)
        step = f"batch {size}" + (", whole ones" if drop_remainder else "")
        return self._derived(tasks, count, step, endless=self._endless)

    def unbatch(self) -> Dataset:
        """The elements of batches, one by one."""

        def tasks(turn: Turn) -> Iterator[Task]:
            for task in self._tasks(turn):
                for element in unstacked(task()):
                    yield Value(element)

        return self._derived(tasks, None, "unbatch", endless=self._endless)

    def enumerate(self, start: int = 0) -> Dataset:
        """(number, element): they are counted from `start` on."""

        def tasks(turn: Turn) -> Iterator[Task]:
            for at, task in enumerate(self._tasks(turn), start):
                yield Joined([Value(at), task])

        return self._derived(tasks, self._count, f"enumerate {start}", endless=self._endless)

    # --- order and number -------------------------------------------------------------------------

    def shuffle(
        self, buffer: int | None = None, seed: int | None = None, *, reshuffle: bool = True
    ) -> Dataset:
        """Elements in a random order, another one at each pass.

        Nothing is decoded for it, where elements can be told apart without: shuffle before `map`,
        `filter` and `batch`.

        Args:
            buffer: each element is drawn from that many at a time, for streams that do not fit
                into memory; None: from all.
            reshuffle: another order at each pass; False: always the same.
        """
        if buffer is None:
            self._finite("shuffle")
        else:
            buffer = whole("buffer", buffer)
        # A fresh seed gives another order in every program, and the same elements.
        step = "shuffle" if seed is None else f"shuffle, seed {seed}"
        seed = seeds.fresh() if seed is None else whole("seed", seed, 0)

        def tasks(turn: Turn) -> Iterator[Task]:
            rng = generator(seed, turn if reshuffle else ())
            source = self._tasks(turn)
            held = list(itertools.islice(source, buffer))
            if buffer is not None:
                for task in source:
                    at = int(rng.integers(len(held)))
                    held[at], task = task, held[at]
                    yield task
            for at in rng.permutation(len(held)):
                yield held[at]

        return self._derived(tasks, self._count, step, endless=self._endless)

    def repeat(self, count: int | None = None) -> Dataset:
        """The elements `count` times, or without an end."""
        if count is not None:
            count = whole("count", count, 0)

        def tasks(turn: Turn) -> Iterator[Task]:
            for i in itertools.count() if count is None else range(count):
                empty = True
                for task in self._tasks((*turn, i)):
                    empty = False
                    yield task
                if empty:
                    return

        whole_count = None if count is None or self._count is None else count * self._count
        endless = count is None or self._endless
        return self._derived(tasks, whole_count, f"repeat {count}", endless=endless)

    def take(self, count: int) -> Dataset:
        """The first `count` elements."""
        count = whole("count", count, 0)
        left = count if self._endless else self._count
        return self._derived(
            lambda turn: itertools.islice(self._tasks(turn), count),
            None if left is None else min(left, count),
            f"take {count}",
        )

    def skip(self, count: int) -> Dataset:
        """All but the first `count` elements."""
        count = whole("count", count, 0)
        return self._derived(
            lambda turn: itertools.islice(self._tasks(turn), count, None),
            None if self._count is None else max(0, self._count - count),
            f"skip {count}",
            endless=self._endless,
        )

    def concatenate(self, other: Dataset) -> Dataset:
        """These elements, then those of another dataset."""
        many = None
        if self._count is not None and other._count is not None:
            many = self._count + other._count
        return self._derived(
            lambda turn: itertools.chain(self._tasks(turn), other._tasks(turn)),
            many,
            "concatenate",
            *other._lineage,
            endless=self._endless or other._endless,
        )

    def zip(self, *others: Dataset) -> Dataset:
        """Tuples of an element of each: of pictures and of labels (x, y). The shortest ends it."""
        parts = (self, *others)
        counts = [p._count for p in parts if not p._endless]
        known = [n for n in counts if n is not None]
        return self._derived(
            lambda turn: map(Joined, zip(*(p._tasks(turn) for p in parts), strict=False)),
            min(known) if known and len(known) == len(counts) else None,
            *(step for other in others for step in ("zip", *other._lineage)),
            endless=not counts,
        )

    # --- samples ----------------------------------------------------------------------------------

    def split(
        self,
        validation: float | int = 0.2,
        *,
        stratified: bool = False,
        seed: int | None = None,
    ) -> tuple[Dataset, Dataset]:
        """(train, validation): every element in one of them, drawn at random, in its order.

        The elements of one pass are told apart once, here; a generator's are kept in memory. Split
        before random things like augmentation, so that only `train` has them.

        Args:
            validation: a share (0.2) or a number of elements (200).
            stratified: each class has this share in both; its label is the second of an element.

        Raises:
            FanlightError: E-DATA-006 a class with one element cannot be in both; E-DATA-008 nothing
                is left of one part.
        """
        self._finite("split")
        tasks = list(self._tasks((0,)))
        seed = seeds.fresh() if seed is None else whole("seed", seed, 0)
        labels = self._labels(tasks) if stratified else None
        parts = sampling.split(len(tasks), validation, labels, generator(seed, ()))
        steps = [f"split {validation}, seed {seed}, {part}" for part in ("train", "validation")]
        train, held = (
            self._derived(lambda turn, own=own: (tasks[i] for i in own), len(own), step)  # type: ignore[misc]
            for own, step in zip(parts, steps, strict=True)
        )
        return train, held

    def balanced(self, seed: int | None = None, *, how: str = "over") -> Dataset:
        """Elements in a random order such that every class comes equally often.

        Args:
            how: "over": all elements, those of smaller classes several times; "under": as many of
                each class as the smallest has, others at each pass.

        Raises:
            FanlightError: E-DATA-008 there are no labels.
        """
        self._finite("balanced")
        if how not in ("over", "under"):
            raise wrong("how", '"over" or "under"', how)
        step = f"balanced {how}" + ("" if seed is None else f", seed {seed}")
        seed = seeds.fresh() if seed is None else whole("seed", seed, 0)
        tasks = list(self._tasks((0,)))
        groups = sampling.by_class(self._labels(tasks))
        many = (max if how == "over" else min)(len(g) for g in groups)

        def drawn(turn: Turn) -> Iterator[Task]:
            for at in sampling.equally(groups, many, generator(seed, turn)):
                yield tasks[at]

        return self._derived(drawn, many * len(groups), step)

    def _labels(self, tasks: Sequence[Task]) -> list[Any]:
        return sampling.labels(tracked(tasks, len(tasks), "looking at labels"))

    def class_counts(self) -> dict[Any, int]:
        """How many elements each class has; by name where names are known."""
        self._finite("class_counts")
        found = self._labels(list(self._tasks((0,))))
        names = self.class_names
        counts: dict[Any, int] = dict.fromkeys(names or (), 0)
        for label in sorted(found):
            name = names[label] if names and isinstance(label, int) else label
            counts[name] = counts.get(name, 0) + 1
        return counts

    # --- speed ------------------------------------------------------------------------------------

    def cache(self, path: str | Path | None = None) -> Dataset:
        """Elements kept when they were computed once: in memory, or in a file.

        Put it behind what is slow (decoding), before what is random (shuffle, augmentation): what
        is kept has one order. The file appears when a first pass has come to its end, all at once;
        later programs read it. It knows what its elements were made of: arrays by their numbers,
        files by their names, sizes and times of change, functions by their code and by what they
        hold (layers, arrays, objects, variables of their module; what Python and packages have, by
        its name). Where a function holds what cannot be told, such as an open file, a warning says
        so, and every program computes the elements anew. What functions and generators read
        elsewhere it cannot know: delete the file when that changes.

        Raises:
            FanlightError: E-DATA-009 the file is something else, damaged, or of other data.
        """
        self._finite("cache")
        if path is None:
            cache: caching.Memory | caching.Disk = caching.Memory(self._tasks)
        else:
            lineage, untold = told(self._lineage)
            if untold:
                warnings.warn(
                    f"the cache {path} is computed anew by every program: {untold}, of which it "
                    "cannot be told whether it has changed",
                    stacklevel=2,
                )
            cache = caching.Disk(self._tasks, path, lineage, anew=bool(untold))
        count = self._count if cache.count is None else cache.count
        return self._derived(cache.tasks, count)

    def prefetch(self, ahead: int = 2, *, threads: int = 1) -> Dataset:
        """Elements computed while the ones before are used: up to `ahead`, by so many threads.

        Their order stays, and an exception comes at the place of its element. Put it last.
        """
        ahead, threads = whole("ahead", ahead), whole("threads", threads)
        return self._derived(
            lambda turn: prefetched(self._tasks(turn), max(ahead, threads), threads),
            self._count,
            endless=self._endless,
        )

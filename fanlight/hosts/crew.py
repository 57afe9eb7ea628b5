"""Helper threads that all programs of this process share, and memories that they compute in.

One program at a time has the helpers: who finds them busy computes alone, which gives the same
numbers (docs/adr/0003). So there are never more threads than one program wants, however many
models, and however many threads of Python, train at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from queue import SimpleQueue
from time import perf_counter

import numpy as np
import wasmtime

from fanlight.hosts.team import SHARED, SharedMemory, Words
from fanlight.hosts.wasmtime import compiled, engine, exported_run, whole

MOST_PAGES = 65536  # of a memory with addresses of 32 bits

# Calls between two trials, those of a trial, and what helpers have to gain.
PERIOD, TRIAL, GAIN = 256, 8, 0.95

Job = Callable[[], None]


class _Helper:
    """A thread that does one job after the other."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[Job] = SimpleQueue()
        self._ends: SimpleQueue[BaseException | None] = SimpleQueue()
        threading.Thread(target=self._work, name="fanlight", daemon=True).start()

    def end(self) -> BaseException | None:
        """Wait for the job: what it raised."""
        interrupt = None
        while True:
            try:
                return self._ends.get() or interrupt
            except KeyboardInterrupt as error:  # the thread is still at its job
                interrupt = error

    def _work(self) -> None:
        while True:
            problem = None
            try:
                self.jobs.get()()
            except BaseException as error:
                problem = error
            self._ends.put(problem)


class Crew:
    """Helpers, as many as were ever wanted at once."""

    def __init__(self) -> None:
        self._busy = threading.Lock()
        self._helpers: list[_Helper] = []

    def run(self, jobs: Sequence[Job], stop: Job) -> bool:
        """Do all jobs at the same time, the first one on this thread.

        Args:
            stop: lets the others return soon where one of them does not come to its end.

        Returns:
            False, and nothing was done, if others have the helpers.
        """
        if not self._busy.acquire(blocking=False):
            return False
        while len(self._helpers) < len(jobs) - 1:
            self._helpers.append(_Helper())
        begun: list[None] = []
        problem: BaseException | None = None
        try:
            # In one go: Ctrl-C comes before all of them have begun, or after.
            begun.extend(map(SimpleQueue.put, [h.jobs for h in self._helpers], jobs[1:]))
            jobs[0]()
        except BaseException as error:
            problem = error
            stop()
        problems = [problem, *(h.end() for h in self._helpers[: len(begun)])]
        self._busy.release()
        for found in filter(None, problems):
            raise found
        return True


CREW = Crew()
# The child of a fork has none of the threads, and whoever holds the lock is not there.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: CREW.__init__())  # type: ignore[misc]


class SharedRoom:
    """A memory that modules use one at a time, each with as many threads as it wants.

    Args:
        pages: size at first.
        threads: the most that a module computes with, at least 2.
    """

    def __init__(self, pages: int, threads: int) -> None:
        limits = wasmtime.MemoryType(wasmtime.Limits(pages, MOST_PAGES), shared=True)
        self._shared = SharedMemory(engine(), limits)
        self._stores = [wasmtime.Store(engine()) for _ in range(threads)]
        self._pages = pages
        self._bytes = self._shared.array(pages)

    def load(
        self,
        code: bytes,
        pages: int,
        *,
        flags: int = 0,
        control: int = 0,
        steps: int = 0,
        threads: int = 1,
    ) -> Job:
        """All steps of a module, as a function; raises as `wasmtime` does.

        Args:
            flags: where in the code it says which memory it imports.
            control, steps, threads: where the control block lies, and how many steps how many
                threads compute; one of them calls `once`.
        """
        if pages > self._pages:
            self._shared.grow(pages - self._pages)
            self._pages, self._bytes = pages, self._shared.array(pages)
        patched = bytearray(code)
        patched[flags] = SHARED
        module = compiled(bytes(patched))
        stores = self._stores[:threads]
        instances = [wasmtime.Instance(store, module, [self._shared]) for store in stores]
        once = whole(instances[0], stores[0])
        if len(stores) == 1:
            return once
        words = Words(self._bytes, control, patience=0)  # no thread of a process is taken away
        runs = [
            partial(exported_run(instance, store), store, 0, steps, i, len(stores))
            for i, (instance, store) in enumerate(zip(instances, stores, strict=True))
        ]
        return Shared(once, runs, words)

    def bytes(self) -> np.ndarray:
        """The memory as a writable uint8 array; whoever keeps it keeps this object, too."""
        return self._bytes

    def close(self) -> None:
        """Free the memory."""
        for store in self._stores:
            store.close()
        self._shared.close()


class Shared:
    """A program that computes with helpers, or alone where that is faster.

    It finds out by its first calls, and again from time to time: cores may be busy with other
    things, and a thread that waits for one that was taken away is no help. The numbers are the
    same in any case.
    """

    def __init__(self, once: Job, runs: Sequence[Job], words: Words) -> None:
        self._once, self._words = once, words
        self._jobs = [partial(_guarded, words, run) for run in runs]
        self._calls = 0
        self._best = [inf, inf]  # seconds: alone, and with helpers

    def __call__(self) -> None:
        turn = self._calls % PERIOD
        self._calls += 1
        if not turn:
            self._best = [inf, inf]
        alone, helped = self._best
        together = bool(turn % 2) if turn < TRIAL else helped < GAIN * alone
        start = perf_counter()
        if together:
            self._words.begin()
            together = CREW.run(self._jobs, self._words.stop)
        if not together:
            self._once()
        if turn < TRIAL:
            self._best[together] = min(self._best[together], perf_counter() - start)


def _guarded(words: Words, run: Job) -> None:
    try:
        run()
    except BaseException:
        words.stop()  # nobody shall wait for this thread
        raise

"""Elements computed ahead, by threads, while the ones before are being used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from fanlight.data.tasks import Task, Value

_END = object()


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Feeder:
    """Goes through the tasks in a thread of its own, and puts what they give into a queue."""

    def __init__(self, tasks: Iterator[Task], ahead: int, threads: int) -> None:
        self.tasks, self.threads = tasks, threads
        self.ready: queue.Queue[Any] = queue.Queue(ahead)
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, name="fanlight prefetch", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        pool = ThreadPoolExecutor(self.threads) if self.threads > 1 else None
        try:
            for task in self.tasks:
                if not self._put(pool.submit(task) if pool is not None else Value(task())):
                    return
            self._put(_END)
        except BaseException as error:
            self._put(_Failure(error))
        finally:
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=self.stopped.is_set())
            close = getattr(self.tasks, "close", None)
            if close is not None:
                close()

    def _put(self, item: Any) -> bool:
        """False when nobody wants more."""
        while not self.stopped.is_set():
            try:
                self.ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def stop(self) -> None:
        """Nobody wants more: let the threads end."""
        self.stopped.set()
        while True:
            try:
                item = self.ready.get_nowait()
            except queue.Empty:
                break
            if isinstance(item, Future):
                item.cancel()
        # Whoever reads from a slow source now is not waited for; it is a daemon.
        if threading.current_thread() is not self.thread:
            self.thread.join(timeout=1.0)


def prefetched(tasks: Iterator[Task], ahead: int, threads: int) -> Iterator[Task]:
    """The same tasks, done up to `ahead` beforehand, in their order.

    An exception comes at the place of the element that it is of. When the iterator is given up,
    the threads end.
    """
    feeder = _Feeder(tasks, ahead, threads)
    try:
        while True:
            item = feeder.ready.get()
            if item is _END:
                return
            if isinstance(item, _Failure):
                raise item.error
            yield Value(item.result()) if isinstance(item, Future) else item
    finally:
        feeder.stop()

"""Several threads of this process that run one module on one shared memory, under wasmtime."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import wasmtime
from wasmtime import _ffi as ffi

from fanlight.hosts.wasmtime import compiled, engine, exported_expand, exported_run

PAGE = 65536
SHARED = 3
# Words of the control block (see fanlight/codegen/walk.py).
TAKEN, BASE, PATIENCE, STOP, PIECE, ARRIVED = 8, 20, 21, 22, 23, 32
PATIENCE_ROUNDS = 100  # of 100 ms


class SharedMemory(wasmtime.SharedMemory):
    """wasmtime's, which can be imported, and read as an array."""

    # wasmtime 50 hands over a pointer too many, so that a shared memory cannot be imported.
    def _as_extern(self) -> Any:
        union = ffi.wasmtime_extern_union(sharedmemory=self.ptr())
        return ffi.wasmtime_extern_t(ffi.WASMTIME_EXTERN_SHAREDMEMORY, union)

    def array(self, pages: int) -> np.ndarray:
        """Its first pages as a writable uint8 array, which stays where it is; not after `close`."""
        start = ctypes.addressof(self.data_ptr().contents)
        return np.ctypeslib.as_array((ctypes.c_uint8 * (pages * PAGE)).from_address(start))


class Words:
    """The control block of a memory, as who calls `run` uses it.

    Args:
        memory, control: the block is at this address.
        patience: waits of 100 ms after which a thread that does not come is given up; 0: never.
    """

    def __init__(self, memory: np.ndarray, control: int, patience: int) -> None:
        self._words = memory[control : control + 256].view(np.int32)
        self._words[PATIENCE] = patience

    def __getitem__(self, word: int) -> int:
        return int(self._words[word])

    def __setitem__(self, word: int, value: int) -> None:
        self._words[word] = value

    def begin(self) -> None:
        """Before every run, when all threads of the one before have returned."""
        words = self._words
        words[STOP] = 0
        words[BASE] = words[ARRIVED]
        words[PIECE] = words[TAKEN]

    def stop(self) -> None:
        """A thread does not come to its end: the others give up."""
        self._words[STOP] = 1


class Team:
    """`count` instances of a module on one memory; the first belongs to the calling thread.

    Args:
        code: the module's bytes, which import an unshared memory.
        flags, control: the module's `threads` entry of the manifest.
        pages: size of the memory.
        count: threads, at least 2.
    """

    def __init__(self, code: bytes, flags: int, control: int, pages: int, count: int) -> None:
        patched = bytearray(code)
        patched[flags] = SHARED
        module = compiled(bytes(patched))
        limits = wasmtime.MemoryType(wasmtime.Limits(pages, pages), shared=True)
        self._memory = SharedMemory(engine(), limits)
        self._stores = [wasmtime.Store(engine()) for _ in range(count)]
        instances = [wasmtime.Instance(store, module, [self._memory]) for store in self._stores]
        pairs = list(zip(instances, self._stores, strict=True))
        self._runs = [exported_run(instance, store) for instance, store in pairs]
        self.expand = exported_expand(*pairs[0])
        self._bytes = self._memory.array(pages)
        self._words = Words(self._bytes, control, PATIENCE_ROUNDS)
        self._pool = ThreadPoolExecutor(count - 1, "fanlight")

    def bytes(self) -> np.ndarray:
        """The memory as a writable uint8 array; not after `close`."""
        return self._bytes

    def run(self, first: int, last: int) -> None:
        """Steps first .. last - 1, by all threads.

        Raises:
            wasmtime.WasmtimeError, wasmtime.Trap: a thread stopped; what it computed is undefined.
        """
        count = len(self._runs)
        self._words.begin()
        others = [self._pool.submit(self._part, i, first, last) for i in range(1, count)]
        problem = None
        try:
            self._part(0, first, last)
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            problem = error
        problems = [problem, *(other.exception() for other in others)]
        for found in filter(None, problems):
            raise found
        if self._words[STOP]:
            raise wasmtime.WasmtimeError("a thread did not come to a barrier")

    def _part(self, thread: int, first: int, last: int) -> None:
        try:
            self._runs[thread](self._stores[thread], first, last, thread, len(self._runs))
        except BaseException:
            self._words.stop()  # nobody shall wait for this thread
            raise

    def close(self) -> None:
        """End the threads and free the memory."""
        self._pool.shutdown()
        for store in self._stores:
            store.close()
        self._memory.close()

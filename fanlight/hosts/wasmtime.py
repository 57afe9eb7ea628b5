"""Run a bundle in CPython: the same WebAssembly bytes that a browser gets, through wasmtime."""

from __future__ import annotations

import atexit
import functools
import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fanlight.bundle.halves import is_half
from fanlight.bundle.read import BundleFiles
from fanlight.errors import FanlightError
from fanlight.hosts.inputs import Items, check_and_split

if TYPE_CHECKING:
    from fanlight.hosts.crew import SharedRoom

MOST_THREADS = 32
# Beyond these the barriers of a step cost more than a further core brings.
MOST_BY_ITSELF = 4


@functools.cache
def engine() -> Any:
    """The engine of this process.

    Raises:
        FanlightError: E-HOST-001 wasmtime is not installed.
    """
    try:
        import wasmtime
    except ImportError as error:
        raise FanlightError(
            "E-HOST-001",
            "the host 'wasm' needs wasmtime.",
            where="wasmtime",
            expected="the package wasmtime",
            received="not installed",
            next="pip install wasmtime, or use host='numpy'.",
        ) from error
    # Freed while wasmtime's own module still stands; at the very end it could not be.
    atexit.register(engine.cache_clear)
    return wasmtime.Engine(_config())


def _config() -> Any:
    import wasmtime

    config = wasmtime.Config()
    config.wasm_simd = True
    config.wasm_relaxed_simd = True
    config.wasm_threads = True
    config.shared_memory = True
    return config


# Whether this process is the child of a fork that came after `import fanlight`.
_forked = threading.Event()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked.set)


def compiled(code: bytes) -> Any:
    """The module of these bytes, for `engine()`; raises as `wasmtime` does."""
    import wasmtime

    own = engine()
    if not _forked.is_set():
        return wasmtime.Module(own, code)
    # wasmtime compiles with threads that the child of a fork does not have, and would wait for them
    config = _config()
    config.parallel_compilation = False
    module = wasmtime.Module(wasmtime.Engine(config), code)
    return wasmtime.Module.deserialize(own, module.serialize())


def _refused(module: Mapping[str, Any], received: str) -> FanlightError:
    return FanlightError(
        "E-HOST-003",
        "wasmtime refused the module.",
        where=module["path"],
        received=received,
        next="build the bundle again.",
    )


def _put(memory: np.ndarray, offset: int, value: int) -> None:
    memory[offset : offset + 4] = np.frombuffer(value.to_bytes(4, "little"), np.uint8)


def _exported(instance: Any, store: Any, name: str, count: int) -> Any:
    """The exported function of this name, if it takes `count` i32; else None."""
    import wasmtime

    found = instance.exports(store).get(name)
    if not isinstance(found, wasmtime.Func):
        return None
    return found if list(map(str, found.type(store).params)) == ["i32"] * count else None


def exported_run(instance: Any, store: Any) -> Any:
    """The function `run` of an instance; TypeError if it has none of its form."""
    run = _exported(instance, store, "run", 4)
    if run is None:
        raise TypeError("a module without run(first, last, thread, threads)")
    return run


def exported_expand(instance: Any, store: Any) -> Callable[[int, int], None] | None:
    """`expand(address, count)` of an instance, bound to its store; None if it has none."""
    expand = _exported(instance, store, "expand", 2)
    return None if expand is None else functools.partial(expand, store)


def exported_once(instance: Any, store: Any) -> Callable[[], None] | None:
    """`once()` of an instance, bound to its store; None if it has none."""
    once = _exported(instance, store, "once", 0)
    return None if once is None else functools.partial(once, store)


def whole(instance: Any, store: Any) -> Callable[[], None]:
    """`once()` of an instance, bound to its store; TypeError if it has none."""
    once = exported_once(instance, store)
    if once is None:
        raise TypeError("a module without once()")
    return once


class _Memory:
    """A memory of its own, and what stands on it; raises as `wasmtime` does."""

    def __init__(self, pages: int, most: int | None) -> None:
        own = engine()
        import wasmtime

        self._store = wasmtime.Store(own)
        limits = wasmtime.Limits(pages, most)
        self._memory = wasmtime.Memory(self._store, wasmtime.MemoryType(limits))

    def _instance(self, code: bytes) -> Any:
        import wasmtime

        return wasmtime.Instance(self._store, compiled(code), [self._memory])

    def bytes(self) -> np.ndarray:
        """The memory as a writable uint8 array, which stays where it is until the memory grows
        or is closed; whoever keeps it keeps this object, too.
        """
        pointer = self._memory.data_ptr(self._store)
        return np.ctypeslib.as_array(pointer, (self._memory.data_len(self._store),))

    def close(self) -> None:
        """Free the memory."""
        self._store.close()


class Alone(_Memory):
    """One instance of a module on a memory that cannot grow.

    Attributes:
        expand: what a module with float16 weights exports, else None.
        once: all steps, where the module exports that, else None.
    """

    def __init__(self, code: bytes, pages: int) -> None:
        super().__init__(pages, pages)
        instance = self._instance(code)
        self._run = exported_run(instance, self._store)
        self.expand = exported_expand(instance, self._store)
        self.once = exported_once(instance, self._store)

    def run(self, first: int, last: int) -> None:
        """Steps first .. last - 1."""
        self._run(self._store, first, last, 0, 1)


class Room(_Memory):
    """A memory that several modules use, one at a time; it grows as they need it."""

    def __init__(self, pages: int) -> None:
        super().__init__(pages, None)

    def load(self, code: bytes, pages: int, **team: int) -> Callable[[], None]:
        """All steps of a module that exports `once`, as a function; the memory may move.

        Args:
            team: what `SharedRoom.load` takes, for several threads: nothing here.
        """
        more = pages - self._memory.size(self._store)
        if more > 0:
            self._memory.grow(self._store, more)
        return whole(self._instance(code), self._store)


def room(pages: int, threads: int) -> Room | SharedRoom:
    """A memory for modules that compute with up to so many threads."""
    if threads == 1:
        return Room(pages)
    engine()  # which says so where wasmtime is not installed
    from fanlight.hosts.crew import SharedRoom

    return SharedRoom(pages, threads)


def sensible_threads() -> int:
    """How many threads a program takes if nobody says: one per core that is ours, up to four."""
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(ours or 1, MOST_BY_ITSELF)


class WasmtimeHost:
    """One instance of a bundle: weights loaded once, `run` as often as wanted.

    Args:
        bundle: the bundle on disk.
        simd: "relaxed" or "plain": which module to run (default: the first of the manifest).
        variants: names of the module's choices to take (see the manifest's `choices`).
        threads: how many threads of this process compute.
    """

    def __init__(
        self,
        bundle: BundleFiles,
        *,
        simd: str | None = None,
        variants: Collection[str] = (),
        threads: int = 1,
    ) -> None:
        engine()  # which says what to do where wasmtime is missing
        import wasmtime

        self.manifest = bundle.manifest
        modules = [m for m in self.manifest["modules"] if threads == 1 or m["threads"]]
        if simd is not None:
            modules = [m for m in modules if m["simd"] == simd]
        if not modules:
            raise FanlightError(
                "E-HOST-003",
                "the bundle has no module that this host can run.",
                where=bundle.folder,
                expected=f"a module for {threads} threads{f' with {simd} SIMD' if simd else ''}",
                received=", ".join(m["path"] for m in self.manifest["modules"]),
            )
        entry = modules[0]
        self.simd = entry["simd"]
        pages = self.manifest["memory"]["pages"]
        code = bundle.read(entry)
        try:
            if threads == 1:
                self._instance: Any = Alone(code, pages)
            else:
                from fanlight.hosts.team import Team

                self._instance = Team(code, **entry["threads"], pages=pages, count=threads)
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            raise _refused(entry, str(error)[:500]) from error
        except TypeError as error:
            raise _refused(entry, str(error)) from None
        # Freed before the interpreter takes wasmtime's own functions away at exit.
        weakref.finalize(self, self._instance.close)
        if self._instance.expand is None and any(map(is_half, self.manifest["weights"])):
            raise _refused(entry, "float16 weights and a module without expand(address, count)")
        for shard in self.manifest["weights"]:
            self._load(shard, bundle.read(shard))
        self._choose(entry.get("choices", ()), variants)

    def _load(self, shard: Mapping[str, Any], data: bytes) -> None:
        """Put a shard in its place. float16 goes to the end of it, and is expanded from there."""
        offset, size = shard["offset"], len(data)
        start = offset + size if is_half(shard) else offset
        self._instance.bytes()[start : start + size] = np.frombuffer(data, np.uint8)
        if is_half(shard):
            self._guarded(shard["path"], self._instance.expand, offset, size // 2)

    def _choose(self, choices: Sequence[Mapping[str, Any]], variants: Collection[str]) -> None:
        """Set the bits of the choices that are asked for, and clear the others."""
        names = [c["name"] for c in choices]
        for name in variants:
            if name not in names:
                raise FanlightError(
                    "E-HOST-003",
                    "the module has no such choice.",
                    where="variants",
                    expected=", ".join(names) or "none: there is nothing to choose",
                    received=name,
                )
        words: dict[int, int] = {}
        for c in choices:
            words[c["offset"]] = words.get(c["offset"], 0) | (c["name"] in variants) << c["bit"]
        for offset, word in words.items():
            _put(self._instance.bytes(), offset, word)

    def _write(self, item: Mapping[str, np.ndarray], dims: Mapping[str, int]) -> None:
        memory = self._instance.bytes()
        for tensor in self.manifest["inputs"]:
            data = item[tensor["name"]].reshape(-1).view(np.uint8)
            memory[tensor["offset"] : tensor["offset"] + data.size] = data
        for name, size in dims.items():
            _put(memory, self.manifest["dims"][name]["offset"], size)

    def _read(self, tensor: Mapping[str, Any], dims: Mapping[str, int]) -> np.ndarray:
        memory = self._instance.bytes()
        dtype = np.dtype("?" if tensor["dtype"] == "bool" else tensor["dtype"])
        shape = [dims[d] if isinstance(d, str) else d for d in tensor["shape"]]
        size = math.prod(shape) * dtype.itemsize
        part = memory[tensor["offset"] : tensor["offset"] + size].copy()
        return part.view(dtype).reshape(shape)

    def _call(self, first: int, last: int) -> None:
        names = ", ".join(k["name"] for k in self.manifest["kernels"][first:last][:3])
        self._guarded(names, self._instance.run, first, last)

    def _guarded(self, where: str, function: Callable[[int, int], None], a: int, b: int) -> None:
        """Call into the module; a trap becomes an error."""
        import wasmtime

        try:
            function(a, b)
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            raise FanlightError(
                "E-HOST-003",
                "the module stopped with a trap.",
                where=where,
                expected="a run to its end",
                received=str(error)[:500],
                next="check the bundle: `fanlight check`; if that agrees, report this.",
            ) from error

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Arrays by input name -> arrays by output name. A leading batch is looped over."""
        items = check_and_split(self.manifest, inputs)
        results: list[dict[str, np.ndarray]] = []
        for item in items:
            self._write(item, items.dims)
            self._call(0, len(self.manifest["kernels"]))
            results.append({t["name"]: self._read(t, items.dims) for t in self.manifest["outputs"]})
        return items.join(self.manifest, results)

    def profile(self, inputs: Mapping[str, np.ndarray], *, rounds: int = 5) -> list[dict[str, Any]]:
        """Milliseconds per kernel (median of `rounds`), in order, with flops and bytes."""
        items: Items = check_and_split(self.manifest, inputs)
        item = next(iter(items))
        kernels = self.manifest["kernels"]
        times = np.zeros((rounds, len(kernels)))
        for r in range(rounds):
            self._write(item, items.dims)
            for k in range(len(kernels)):
                start = time.perf_counter()
                self._call(k, k + 1)
                times[r, k] = (time.perf_counter() - start) * 1e3
        medians = np.median(times, axis=0)
        return [{**kernel, "ms": float(ms)} for kernel, ms in zip(kernels, medians, strict=True)]

    def close(self) -> None:
        """Free the memory."""
        self._instance.close()

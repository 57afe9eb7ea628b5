"""What computes here, and what there is: `fl.env`, `fl.set_backend`."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.graph import Builder, Graph
from fanlight.jit import Program
from fanlight.ops import row as rows
from fanlight.ops.types import TensorType
from fanlight.targets import WASM_PLAIN, WASM_RELAXED
from fanlight.tensor import core
from fanlight.tensor.caller import caller
from fanlight.tensor.calls import shared
from fanlight.tensor.core import DTYPES
from fanlight.version import __version__

BACKENDS = ("numpy", "wasm")
_OPTIONAL = ("wasmtime", "h5py", "pillow", "playwright", "matplotlib", "torch", "jax")
_FLAGS = ("FANLIGHT_VERIFY",)
# An op without a kernel; an input or output without elements.
_UNBUILT = ("E-BUILD-001", "E-BUILD-010")
# Each compiled op holds a memory of its own.
_MOST_PROGRAMS = 200


def env() -> dict[str, Any]:
    """What there is: versions (None: not installed), back ends and which computes eager ops now,
    dtypes, targets that are built for, cores, and the environment variables that Fanlight reads.
    """
    return {
        "fanlight": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        **{name: _version(name) for name in _OPTIONAL},
        "backend": get_backend(),
        "backends": list(BACKENDS),
        "dtypes": list(DTYPES),
        "targets": [target.name for target in (WASM_RELAXED, WASM_PLAIN)],
        "cores": os.cpu_count(),
        "flags": {name: os.environ.get(name, "") for name in _FLAGS},
    }


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # takes a while

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def get_backend() -> str:
    """What computes eager ops: "numpy" or "wasm"."""
    return "numpy" if shared.backend is None else "wasm"


def set_backend(name: str) -> None:
    """Choose what computes eager ops.

    Args:
        name: "numpy", as it is at first; or "wasm": every op is compiled for its shapes, as it runs
            in a page, and run by wasmtime. That is slow for small tensors, and meant for
            comparing. Ops that WebAssembly does not compute stay with NumPy.

    Raises:
        FanlightError: E-TENSOR-012 there is no such back end; when an op is applied, E-HOST-001
            wasmtime is not installed.
    """
    if not isinstance(name, str) or name not in BACKENDS:
        raise FanlightError(
            "E-TENSOR-012",
            "there is no such back end.",
            where=f"fl.set_backend, {caller()}",
            expected=" or ".join(BACKENDS),
            received=repr(name)[:200],
            next="WebGPU comes later; built pages choose by themselves.",
        )
    core.set_backend(Compiled() if name == "wasm" else None)


def stayed_with_numpy() -> dict[str, tuple[int, str]]:
    """Of a back end that compiles: op -> how many programs stayed with NumPy, and why the last."""
    return dict(shared.backend.stayed) if isinstance(shared.backend, Compiled) else {}


class Compiled:
    """Ops as programs, the latest few of them.

    Args:
        program: a graph of one op -> what runs it.

    Attributes:
        stayed: op -> how many programs NumPy ran instead, and why the last one.
    """

    def __init__(self, program: Callable[[Graph], rows.Run] = lambda g: Program(g).run) -> None:
        self._make = program
        self._known: dict[Any, rows.Run] = {}
        self.stayed: dict[str, tuple[int, str]] = {}

    def __call__(self, op: str, types: Sequence[TensorType], attrs: dict[str, Any]) -> rows.Run:
        if any(t.dtype not in DTYPES for t in types):
            return rows.prepared(op, types, attrs)  # strings, which are in Python only
        key = (op, tuple(types), repr(attrs))

        def run(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
            program = self._known.get(key)
            if program is None:
                if len(self._known) >= _MOST_PROGRAMS:
                    self._known.pop(next(iter(self._known)))
                program = self._known[key] = self._program(op, types, attrs)
            return program(arrays)

        return run

    def _program(self, op: str, types: Sequence[TensorType], attrs: dict[str, Any]) -> rows.Run:
        builder = Builder(op)
        inputs = [builder.input(f"x{i}", t.shape, t.dtype) for i, t in enumerate(types)]
        made = builder.add(op, *inputs, **attrs)
        outputs = made if isinstance(made, tuple) else (made,)
        graph = builder.finish({f"y{i}": y for i, y in enumerate(outputs)})
        try:
            return self._make(graph)
        except FanlightError as error:
            if error.code not in _UNBUILT:
                raise
            count = self.stayed.get(op, (0, ""))[0]
            self.stayed[op] = count + 1, str(error).splitlines()[0]
            return rows.prepared(op, types, attrs)

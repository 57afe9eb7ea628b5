"""Run one kernel under wasmtime, every buffer between guard bytes that must survive."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache

import numpy as np
import wasmtime

from fanlight import dtypes
from fanlight.codegen.kernel import Kernel, lower
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Builder, Node
from fanlight.ops.types import Dim, TensorType
from fanlight.targets import WASM_PLAIN, WASM_RELAXED, Target

TARGETS = (WASM_RELAXED, WASM_PLAIN)
GUARD = 128
PAGE = 65536


@cache
def engine(relaxed: bool) -> wasmtime.Engine:
    config = wasmtime.Config()
    config.wasm_relaxed_simd = relaxed
    return wasmtime.Engine(config)


def node(op: str, types: Sequence[TensorType], **attrs: object) -> Node:
    """A node of a graph of its own."""
    builder = Builder("test")
    inputs = [builder.input(f"x{i}", t.shape, t.dtype) for i, t in enumerate(types)]
    made = builder.add(op, *inputs, **attrs)
    made = made if isinstance(made, tuple) else (made,)
    graph = builder.finish({f"y{i}": v for i, v in enumerate(made)})
    return graph.nodes[-1]


def encode(kernel: Kernel, target: Target, pages: int) -> bytes:
    """A module that exports the kernel as "kernel"."""
    module = Module(pages, relaxed_simd=target.relaxed_simd)
    module.export(module.define(kernel.key, kernel.emit), "kernel")
    return module.encode()


class Instance:
    """A kernel with its buffers in one memory."""

    def __init__(
        self,
        kernel: Kernel,
        target: Target,
        inputs: Sequence[np.ndarray],
        outputs: Sequence[TensorType],
        dims: Sequence[int] = (),
    ) -> None:
        self.kernel = kernel
        self.outputs = outputs
        sizes = [a.nbytes for a in inputs] + [t.nbytes for t in outputs]
        sizes += [kernel.scratch] * (kernel.scratch > 0) + [4 * len(dims)] * kernel.dims
        self.addresses = []
        end = 1024
        for size in sizes:
            self.addresses.append(end)
            end += -(-size // 64) * 64 + GUARD
        pages = end // PAGE + 1
        relaxed = target.relaxed_simd
        self.store = wasmtime.Store(engine(relaxed))
        memory = wasmtime.Memory(self.store, wasmtime.MemoryType(wasmtime.Limits(pages, None)))
        module = wasmtime.Module(engine(relaxed), encode(kernel, target, pages))
        self.run = wasmtime.Instance(self.store, module, [memory]).exports(self.store)["kernel"]
        base = ctypes.addressof(memory.data_ptr(self.store).contents)
        self.bytes = np.ctypeslib.as_array((ctypes.c_uint8 * (pages * PAGE)).from_address(base))
        self.memory = memory
        self.bytes[:] = 0xFF  # NaN wherever nothing was written
        for array, at in zip(inputs, self.addresses, strict=False):
            data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            self.bytes[at : at + data.size] = data
        if kernel.dims:
            at = self.addresses[-1]
            self.bytes[at : at + 4 * len(dims)] = np.array(dims, np.int32).view(np.uint8)
        self.first_output = len(inputs)
        self.before = self.bytes.copy()

    def __call__(self, parts: int = 1) -> None:
        work = self.kernel.work
        for part in range(parts):
            low, high = work * part // parts, work * (part + 1) // parts
            if low < high:
                self.run(self.store, *self.addresses, low, high)

    def results(self) -> list[np.ndarray]:
        """The outputs; fails if a byte outside them (and the scratch) changed."""
        made = []
        changed = self.bytes != self.before
        for index, t in enumerate(self.outputs):
            at = self.addresses[self.first_output + index]
            changed[at : at + t.nbytes] = False
            flat = self.bytes[at : at + t.nbytes].copy().view(dtypes.to_numpy(t.dtype))
            made.append(flat.reshape(t.bound))
        if self.kernel.scratch:
            at = self.addresses[self.first_output + len(self.outputs)]
            changed[at : at + self.kernel.scratch] = False
        where = np.flatnonzero(changed)
        assert not where.size, f"wrote outside its output, at byte {where[0]} of {self.addresses}"
        return made


def run(
    kernel: Kernel,
    target: Target,
    inputs: Sequence[np.ndarray],
    outputs: Sequence[TensorType],
    dims: Sequence[int] = (),
) -> list[np.ndarray]:
    """The outputs, the same for the work in one part and in three."""
    whole = Instance(kernel, target, inputs, outputs, dims)
    whole()
    split = Instance(kernel, target, inputs, outputs, dims)
    split(parts=3)
    for a, b in zip(whole.results(), split.results(), strict=True):
        np.testing.assert_array_equal(a, b)
    return whole.results()


def run_op(
    op: str,
    arrays: Sequence[np.ndarray],
    target: Target = WASM_RELAXED,
    types: Sequence[TensorType] | None = None,
    constant: Sequence[int] = (),
    **attrs: object,
) -> list[np.ndarray]:
    """One op on arrays. `types` where dims are symbolic; the actual sizes come from the arrays.

    `constant`: the inputs that are weights.
    """
    types = types or [
        TensorType(a.shape, dtypes.from_numpy(a.dtype) or a.dtype.name) for a in arrays
    ]
    made = node(op, types, **attrs)
    actual = {
        d.name: size
        for t, a in zip(types, arrays, strict=True)
        for d, size in zip(t.shape, a.shape, strict=True)
        if isinstance(d, Dim)
    }
    kernel = lower(made, target, {made.inputs[i]: arrays[i] for i in constant})
    return run(kernel, target, arrays, [v.type for v in made.outputs], [*actual.values()])

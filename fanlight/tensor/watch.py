"""What a function of tensors does: how long its ops take, what they hold, and where NaN begins."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any
from weakref import ref

import numpy as np

from fanlight.dtypes import COMPLEX
from fanlight.errors import FanlightError
from fanlight.tensor.arguments import flag, function_of, refused
from fanlight.tensor.caller import PACKAGE, caller
from fanlight.tensor.calls import Call, state
from fanlight.tensor.core import Tensor


@dataclass(frozen=True)
class Timing:
    """How long a function took.

    Attributes:
        wall_ms: from its call to its end, in ms.
        kernel_ms: of that, inside ops, in ms; a call of a compiled function counts as one op.
    """

    wall_ms: float
    kernel_ms: float


def time(fn: Callable[[], Any]) -> Timing:
    """Call a function once and measure it (TensorFlow.js has this name, too)."""
    profiled = profile(fn)
    return Timing(profiled.wall_ms, sum(row.ms for row in profiled.ops))


@dataclass
class OpTime:
    """What all calls of one op took together: ms, and bytes of their results."""

    op: str
    calls: int = 0
    ms: float = 0.0
    bytes: int = 0


@dataclass
class Profile:
    """What a function did. `print` it for a table; `save` draws the flame chart.

    Attributes:
        result: what the function gave.
        wall_ms: how long it took, in ms.
        ops: per op, the slowest first.
        new_tensors, new_bytes: what it made that is still held, its result included.
        peak_bytes: the most that tensors made in it held at once (views count, too).
        paths: (functions of yours from outside in, then the op) -> ms.
    """

    result: Any
    wall_ms: float
    ops: list[OpTime]
    new_tensors: int
    new_bytes: int
    peak_bytes: int
    paths: dict[tuple[str, ...], float] = field(repr=False)

    def __str__(self) -> str:
        lines = [f"{'op':24}{'calls':>8}{'ms':>12}{'share':>8}{'MB':>12}"]
        inside = sum(row.ms for row in self.ops)
        rest = OpTime("(Python)", ms=max(0.0, self.wall_ms - inside))
        for row in [*self.ops, rest]:
            share = row.ms / self.wall_ms if self.wall_ms else 0.0
            calls = row.calls or ""
            lines.append(
                f"{row.op[:23]:24}{calls:>8}{row.ms:12.3f}{share:8.0%}{row.bytes / 1e6:12.3f}"
            )
        lines.append(
            f"{self.wall_ms:.3f} ms; at most {self.peak_bytes / 1e6:.3f} MB at once; "
            f"{self.new_tensors} tensors with {self.new_bytes / 1e6:.3f} MB are left"
        )
        return "\n".join(lines)

    def save(self, path: str | Path) -> None:
        """Draw the flame chart into a .png or .svg file: width is time, depth is who called whom.

        Raises:
            FanlightError: E-TENSOR-011 matplotlib is not installed; E-OP-005 a path that cannot be
                written, or that ends otherwise.
        """
        from fanlight.tensor.flame import draw

        known = isinstance(path, str | Path) and Path(path).suffix.lower() in (".png", ".svg")
        if not known:
            raise refused("profile", "path", "a file that ends in .png or .svg", path)
        try:
            draw(self.paths, self.wall_ms, Path(path))
        except OSError as error:
            raise refused("profile", "path", "a file that can be written", error) from None


class _Profiler:
    def __init__(self) -> None:
        self.ops: dict[str, OpTime] = {}
        self.paths: dict[tuple[str, ...], float] = {}
        self.made: list[ref[Tensor]] = []
        self.held = self.peak = 0

    def saw(self, call: Call, seconds: float) -> None:
        row = self.ops.setdefault(call.op, OpTime(call.op))
        row.calls += 1
        row.ms += seconds * 1e3
        path = (*_functions(), call.op)
        self.paths[path] = self.paths.get(path, 0.0) + seconds * 1e3
        for y in call.outputs:
            size = y.type.nbytes
            row.bytes += size
            self.held += size
            self.made.append(ref(y, lambda _, size=size: self._gone(size)))  # type: ignore[misc]
        self.peak = max(self.peak, self.held)

    def _gone(self, size: int) -> None:
        self.held -= size


def _functions() -> list[str]:
    """The functions outside Fanlight that are being called, from outside in."""
    names = []
    frame: Any = sys._getframe(1)
    while frame is not None:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names[::-1]


def profile(fn: Callable[[], Any]) -> Profile:
    """Call a function once; what its ops took and held.

    Compiled functions (`fl.jit`) count as one op; profile what they were made of for its parts.
    """
    function_of("profile", "fn", fn)
    outside = len(_functions())
    profiler = _Profiler()
    start = perf_counter()
    with _watching(profiler):
        result = fn()
    wall = (perf_counter() - start) * 1e3
    left = [x for x in (held() for held in profiler.made) if x is not None and not x.disposed]
    return Profile(
        result=result,
        wall_ms=wall,
        ops=sorted(profiler.ops.values(), key=lambda row: -row.ms),
        new_tensors=len(left),
        new_bytes=sum(x.type.nbytes for x in left),
        peak_bytes=profiler.peak,
        paths={path[outside:]: ms for path, ms in profiler.paths.items()},
    )


@contextmanager
def _watching(watcher: Any) -> Any:
    state.watchers.append(watcher)
    try:
        yield
    finally:
        state.watchers.remove(watcher)


# --- where NaN begins -----------------------------------------------------------------------------


class _Guard:
    """Stops at the first op that makes NaN (or infinity) of inputs that have none."""

    eager = True  # compiled functions are computed op by op, so that the op is found

    def __init__(self, nan: bool, inf: bool) -> None:
        self.nan, self.inf = nan, inf

    def saw(self, call: Call, seconds: float) -> None:
        inputs, outputs = [*map(_whole, call.inputs)], [*map(_whole, call.outputs)]
        if any(y.traced for y in outputs) or any(self._bad(x) for x in inputs):
            return
        for y in outputs:
            if not self._bad(y):
                continue
            places = np.argwhere(self._wrong(y.numpy()))
            raise FanlightError(
                "E-TENSOR-010",
                f"{call.op} made numbers that are not finite.",
                where=f"{call.op}, {caller()}",
                expected="finite results of finite inputs",
                received=f"{len(places)} of {y.size} in {y.type}, the first at "
                f"{places[0].tolist()}; inputs {_ranges(inputs)}",
                next="look at that line; fl.debug(nan=False) stops looking.",
            )

    def _wrong(self, array: np.ndarray) -> np.ndarray:
        wrong = np.zeros(array.shape, bool)
        if self.nan:
            wrong |= np.isnan(array)
        if self.inf:
            wrong |= np.isinf(array)
        return wrong

    def _bad(self, x: Tensor) -> bool:
        return (
            x.dtype in ("float32", COMPLEX)
            and not x.disposed
            and bool(self._wrong(x.numpy()).any())
        )


def _whole(x: Tensor) -> Tensor:
    """What a tensor of fl.vmap stands for: all examples."""
    while hasattr(x._trace, "whole"):
        x = x._trace.whole(x)  # type: ignore[union-attr]
    return x


def _ranges(inputs: Sequence[Tensor]) -> str:
    parts = []
    for x in inputs:
        array = x.numpy()
        parts.append(f"{x.type}" + (f" from {array.min()} to {array.max()}" if array.size else ""))
    return ", ".join(parts) or "none"


class Debugging:
    """What `fl.debug` gives: in a `with` statement, what was set before comes back at its end."""

    def __init__(self, before: list[Any]) -> None:
        self._before = before

    def __enter__(self) -> Debugging:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        state.watchers[:] = self._before


def debug(*, nan: bool = True, inf: bool = False) -> Debugging:
    """From now on, or inside a `with` statement, stop at the op that makes a NaN.

    Args:
        nan: stop at NaN that no input of the op had.
        inf: stop at infinity likewise.

    Every result is looked through, and compiled functions are computed op by op: slow. With
    neither, the search ends.

    Raises:
        FanlightError: then, E-TENSOR-010, with the op, the place and the line.
    """
    nan, inf = flag("debug", "nan", nan), flag("debug", "inf", inf)
    before = list(state.watchers)
    state.watchers[:] = [w for w in before if not isinstance(w, _Guard)]
    if nan or inf:
        state.watchers.append(_Guard(nan, inf))
    return Debugging(before)

"""Functions of tensors beside TF.js (wasm) and jax-js, one thread, in one Chromium; and what
Python's own overhead is.

Inputs are in each engine's memory before and results stay there. Every engine has a page; cases are
prepared in all of them, and rounds are taken in turn.
"""

from __future__ import annotations

import statistics
import tempfile
import timeit
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fanlight as fl
from bench.lab import HERE, Engine, chromium, install_peers, open_page, serve
from fanlight.ops.types import TensorType

ROUNDS = 15
_LARGE = (4096, 1024)


@dataclass(frozen=True)
class Case:
    """One function: ours, and its name in pages/core.js.

    Attributes:
        goal: how often TF.js's time (or jax-js's, for `beside`) has to contain ours.
        limit: indices of an int32 input lie below it.
    """

    name: str
    program: str
    function: Callable[..., Any]
    inputs: Sequence[TensorType]
    goal: float
    beside: str = "tfjs"
    limit: int = 1


def _layer_norm(x: Any) -> Any:
    centred = x - fl.mean(x, axis=1, keepdims=True)
    return centred * fl.rsqrt(fl.mean(fl.square(centred), axis=1, keepdims=True) + 1e-5)


def _chain(x: Any, y: Any) -> Any:
    return fl.sqrt(fl.square(fl.relu(x * y + x) - y) + fl.abs(x))


def cases() -> list[Case]:
    """What is measured."""
    large = fl.spec(_LARGE)
    flat = fl.spec((4 << 20,))
    rows = {
        "softmax": lambda x: fl.softmax(x),
        "layer_norm": _layer_norm,
        "sum_rows": lambda x: fl.sum(x, axis=1),
        "sum_columns": lambda x: fl.sum(x, axis=0),
        "max_rows": lambda x: fl.max(x, axis=1),
        "mean_all": lambda x: fl.mean(x),
        "transpose": lambda x: fl.transpose(x),
        "cumsum": lambda x: fl.cumsum(x, axis=1),
        "top_k": lambda x: fl.top_k(x, 8)[0],
    }
    indices = fl.spec((4096,), "int32")
    found = [Case("8 ops on 4 M floats", "chain", _chain, (flat, flat), 4.0)]
    found += [Case(f"{name} 4096 x 1024", name, f, (large,), 2.0) for name, f in rows.items()]
    picked = ("gather 4096 rows", "gather", lambda x, i: fl.gather(x, i), (large, indices))
    found.append(Case(*picked, 2.0, limit=4096))
    for n in (512, 768, 1024):
        square = fl.spec((n, n))
        product = (f"matmul {n}", "matmul", lambda a, b: fl.matmul(a, b), (square, square))
        found += [Case(*product, 1.0), Case(*product, 1.3, "jaxjs")]
    return found


def measure(rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """A row per case: medians in ms, and the other's time over ours."""
    install_peers()
    rows = overhead()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        mounts = {"pages": HERE / "pages", "peers": HERE / "node_modules", "work": folder}
        with serve(mounts) as base, chromium() as browser:
            pages = {
                who: open_page(browser, base, Engine(who, "core", {"who": who}))
                for who in ("fanlight", "tfjs", "jaxjs")
            }
            for index, case in enumerate(cases()):
                names = [f"x{i}" for i in range(len(case.inputs))]
                specs = dict(zip(names, case.inputs, strict=True))
                fl.build(_named(case.function, names), folder / str(index), inputs=specs).close()
                rows.append(_row(case, pages, f"/work/{index}/", rounds))
    return rows


def _named(function: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    """The function with arguments of these names, which builds ask for."""
    if len(names) == 1:
        return lambda x0: function(x0)
    return lambda x0, x1: function(x0, x1)


def _row(case: Case, pages: dict[str, Any], bundle: str, rounds: int) -> dict[str, Any]:
    inputs = [{"shape": list(t.bound), "dtype": t.dtype, "limit": case.limit} for t in case.inputs]
    what = {"bundle": bundle, "program": case.program, "inputs": inputs}
    both = ("fanlight", case.beside)
    samples = [pages[who].evaluate("(what) => prepare(what)", what) for who in both]
    np.testing.assert_allclose(samples[0], samples[1], rtol=1e-3, atol=1e-3)
    times: dict[str, list[float]] = {who: [] for who in both}
    for who in both:
        pages[who].bring_to_front()
        pages[who].evaluate("turn(5)")
    for _ in range(rounds):
        for who in both:
            pages[who].bring_to_front()
            times[who].append(statistics.median(pages[who].evaluate("turn(3)")))
    ours, theirs = (statistics.median(times[who]) for who in both)
    return {
        "what": case.name,
        "ours": round(ours, 3),
        "beside": case.beside,
        "theirs": round(theirs, 3),
        "times": round(theirs / ours, 2),
        "goal": case.goal,
        "ok": theirs / ours >= case.goal,
    }


# --- Python ---------------------------------------------------------------------------------------


def overhead() -> list[dict[str, Any]]:
    """Microseconds of a small eager op beside NumPy's, of a compiled call; ms of compiling."""
    a = fl.ones(8)
    array = a.numpy()
    double = fl.jit(lambda x: x * 2.0)
    double(a)
    eager = _best(lambda: a + a)
    plain = _best(lambda: array + array)
    call = _best(lambda: double(a), 500)
    compiling = min(_compiling() for _ in range(5))
    return [
        _python("a small eager op beyond NumPy's, us", eager - plain, 10),
        _python("a call of a compiled function, us", call, 30),
        _python("fl.jit of 200 ops, ms", compiling, 150),
    ]


def _python(what: str, found: float, goal: float) -> dict[str, Any]:
    return {
        "what": what, "ours": round(found, 2), "beside": "", "theirs": None, "times": None,
        "goal": goal, "ok": found <= goal,
    }  # fmt: skip


def _best(call: Callable[[], Any], count: int = 2000) -> float:
    """Microseconds: the least of ten means, since other work only adds."""
    return min(timeit.repeat(call, number=count, repeat=10)) / count * 1e6


def _compiling() -> float:
    """Milliseconds of the first call of a function of 200 ops, products among them."""

    def net(x: Any, w: Any) -> Any:
        for _ in range(33):
            x = fl.tanh(fl.matmul(x, w)) + x * 0.5
            x = fl.relu(x - fl.mean(x, axis=1, keepdims=True))
        return x + 1.0

    compiled = fl.jit(net)
    x, w = fl.ones((8, 16)), fl.ones((16, 16))
    return timeit.timeit(lambda: compiled(x, w), number=1) * 1e3

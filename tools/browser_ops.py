"""Eager ops in a real headless Chromium, one module per op: a back end to compare hosts with.

    with computing_on("browser"):
        ...  # every op that is applied is compiled, and computed by the page

The modules are those of `fl.set_backend("wasm")`; the page is served under the strict policy that
bundles have. Ops that WebAssembly does not compute stay with NumPy; `stayed_with_numpy()` counts.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from fanlight import dtypes
from fanlight.codegen.plan import WEIGHTS_OFFSET
from fanlight.environment import BACKENDS, Compiled, set_backend
from fanlight.graph import Graph
from fanlight.hosts.browser import shared_browser
from fanlight.hosts.serving import Site, SiteServer
from fanlight.jit import assemble
from fanlight.ops.row import Run
from fanlight.targets import WASM_PLAIN, WASM_RELAXED, Target
from fanlight.tensor import core
from fanlight.tensor.calls import shared

_PAGE = b"<!doctype html><meta charset=utf-8><title>ops</title><script src=/ops.js></script>"
HOSTS = (*BACKENDS, "browser", "browser-plain")
_SCRIPT = "([program, inputs, outputs]) => runOp(program, inputs, outputs)"


@contextmanager
def computing_on(host: str) -> Iterator[None]:
    """One of HOSTS computes every eager op: NumPy, wasmtime, or a page in Chromium."""
    if host in BACKENDS:
        set_backend(host)
        try:
            yield
        finally:
            set_backend("numpy")
    else:
        with BrowserOps(WASM_PLAIN if host == "browser-plain" else WASM_RELAXED):
            yield


class BrowserOps:
    """While it is entered, eager ops run in a page.

    Args:
        target: which SIMD the modules use.

    Attributes:
        calls: how many programs the page has run.
    """

    def __init__(self, target: Target = WASM_RELAXED) -> None:
        self._target = target
        self._compiled = Compiled(self._program)
        self._browser = shared_browser()
        self._context: Any = None
        self._page: Any = None
        self.calls = 0

    def __enter__(self) -> BrowserOps:
        self._before = shared.backend
        self._folder = tempfile.TemporaryDirectory()
        script = Path(__file__).with_name("browser_ops.js").read_bytes()
        extra = {"/ops.html": _PAGE, "/ops.js": script}
        self._server = SiteServer(Site(self._folder.name, extra)).start()
        self._browser.call(self._open)
        core.set_backend(self._compiled)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        core.set_backend(self._before)
        self._browser.call(lambda _: self._context.close())
        self._server.stop()
        self._folder.cleanup()

    def _open(self, browser: Any) -> None:
        self._context = browser.new_context()
        self._page = self._context.new_page()
        self._page.goto(f"{self._server.url}/ops.html")
        self._page.wait_for_function("() => 'runOp' in globalThis")

    def _program(self, graph: Graph) -> Run:
        made = assemble(graph, self._target)
        program = {
            "code": _text(made.code),
            "pages": made.pages,
            "start": WEIGHTS_OFFSET,
            "image": _text(made.image),
        }
        outputs = [[offset, type.nbytes] for offset, type in made.outputs]

        def run(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
            inputs = [
                [offset, _text(np.ascontiguousarray(array, dtypes.to_numpy(type.dtype)).tobytes())]
                for (offset, type), array in zip(made.inputs, arrays, strict=True)
                if offset is not None
            ]
            packed = [program, inputs, outputs]
            found = self._browser.call(lambda _: self._page.evaluate(_SCRIPT, packed))
            self.calls += 1
            return [
                np.frombuffer(bytearray(base64.b64decode(text)), dtypes.to_numpy(type.dtype))
                .reshape(type.bound)
                for text, (_, type) in zip(found, made.outputs, strict=True)
            ]  # fmt: skip

        return run


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()

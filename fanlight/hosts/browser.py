"""Runs a bundle in a real headless Chromium, through Playwright: the visitor's own path.

The bundle's folder is served on the loopback interface under the strict Content-Security-Policy,
a page loads it through the bundle's own `fanlight.js`, and arrays travel as JSON. One browser
serves every host of the process and is closed when the process ends.
"""

from __future__ import annotations

import atexit
import base64
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from fanlight.bundle.read import read_bundle
from fanlight.errors import FanlightError
from fanlight.hosts.inputs import check_and_split
from fanlight.hosts.serving import Site, SiteServer
from fanlight.web.site import runtime_files

T = TypeVar("T")

INSTALL = (
    "pip install 'fanlight[browser]' and install Chromium "
    "(Debian: apt-get install chromium; elsewhere: python -m playwright install chromium)"
)
_PAGE = (
    b"<!doctype html><html lang=en><meta charset=utf-8><title>Fanlight host</title>"
    b"<script type=module src=/__host__/page.js></script></html>"
)
_START_TIMEOUT_MS = 60_000
# The longest that the choice of variants may take; most take a second.
_SETTLE_MS = 6000

_NAMES = {
    "chromium": ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome"),
    "firefox": ("firefox-esr", "firefox"),
}


def find_browser(name: str = "chromium") -> str | None:
    """The path of an installed `chromium` or `firefox`; None where there is none.

    The environment variable FANLIGHT_CHROMIUM or FANLIGHT_FIREFOX comes first, then PATH, then
    what `playwright install` fetched.
    """
    named = os.environ.get(f"FANLIGHT_{name.upper()}")
    if named:
        return named if shutil.which(named) else None
    for command in _NAMES[name]:
        path = shutil.which(command)
        if path and _starts(path):
            return path
    return _playwright_browser(name)


def _starts(path: str) -> bool:
    """False for the stubs that some distributions install in a browser's place."""
    try:
        asked = subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def _playwright_browser(name: str) -> str | None:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None

    def ask() -> str:
        with sync_playwright() as playwright:
            return getattr(playwright, name).executable_path

    path = _in_new_thread(ask)
    return path if os.access(path, os.X_OK) else None


def _in_new_thread(work: Callable[[], T]) -> T:
    """Playwright's blocking API refuses a thread that runs an event loop, such as a notebook's."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as problem:
            future.set_exception(problem)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    return future.result()


class _Browser:
    """One Chromium and the one thread that may talk to it."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[[Any], Any], Future[Any]] | None]
        self._work = queue.SimpleQueue()
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._loop, name="fanlight-browser", daemon=True)
        self._thread.start()
        try:
            self._started.result()
        except BaseException:  # Ctrl+C, too: a thread that outlives the interpreter crashes it
            self.close()
            raise

    def call(self, work: Callable[[Any], T]) -> T:
        """Run `work(browser)` in the browser's thread and return what it returns."""
        future: Future[T] = Future()
        self._work.put((work, future))
        return future.result()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and self.call(lambda browser: browser.is_connected())

    def close(self) -> None:
        self._work.put(None)
        self._thread.join(timeout=20)

    def _loop(self) -> None:
        try:
            playwright, browser = _launch()
        except BaseException as problem:
            self._started.set_exception(problem)
            return
        self._started.set_result(None)
        while (job := self._work.get()) is not None:
            work, future = job
            try:
                future.set_result(work(browser))
            except BaseException as problem:
                future.set_exception(problem)
        browser.close()
        playwright.stop()


def _launch() -> tuple[Any, Any]:
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as problem:
        raise FanlightError(
            "E-HOST-001", "Playwright, which drives the browser, is not installed.", next=INSTALL
        ) from problem
    path = find_browser("chromium")
    if path is None:
        named = os.environ.get("FANLIGHT_CHROMIUM")
        raise FanlightError(
            "E-HOST-001",
            "No Chromium was found.",
            expected="chromium or google-chrome on PATH, or Playwright's own",
            received=f"FANLIGHT_CHROMIUM={named}, which cannot be run" if named else None,
            next=INSTALL,
        )
    playwright = sync_playwright().start()
    try:
        browser = playwright.chromium.launch(
            executable_path=path, headless=True, args=chromium_flags(), timeout=_START_TIMEOUT_MS
        )
    except Error as problem:
        playwright.stop()
        raise FanlightError(
            "E-HOST-004",
            "Chromium did not start.",
            where=path,
            received=str(problem).strip().splitlines()[0],
            next=f"start it by hand to see why: {path} --headless --dump-dom about:blank",
        ) from problem
    return playwright, browser


def chromium_flags() -> list[str]:
    """Flags that a headless Chromium needs on this machine."""
    # Chromium's sandbox refuses to start as root, which is what containers run as.
    return ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []


_shared: _Browser | None = None
_shared_lock = threading.Lock()


def shared_browser() -> _Browser:
    """The browser that all hosts of this process share."""
    global _shared
    with _shared_lock:
        if _shared is None or not _shared.alive:
            _shared = _Browser()
        return _shared


@atexit.register
def close_browser() -> None:
    """Close the browser that all hosts of this process share; the next host starts a new one."""
    global _shared
    with _shared_lock:
        browser, _shared = _shared, None
    if browser is not None:
        browser.close()


@dataclass(frozen=True)
class Probe:
    """A module to time beside a bundle: it imports a memory of its own, filled with ones.

    Attributes:
        calls: (export, argument, ...) each; a page times one call of each.
    """

    wasm: bytes
    pages: int
    calls: tuple[tuple[Any, ...], ...]


class BrowserHost:
    """One bundle, loaded in a page of the shared headless Chromium.

    Args:
        bundle_dir: a bundle folder (manifest.json, fanlight.js, modules, weights), or the path of a
            manifest in it.
        options: the runtime's load options (JavaScript names), such as `{"simd": "plain"}`.

    Raises:
        FanlightError: E-HOST-001 nothing to run it with, E-HOST-004 the browser fails,
            E-HOST-005 the page reports an error (with the runtime's own code in it),
            E-BUNDLE-001 no bundle there.
    """

    name = "browser"

    def __init__(self, bundle_dir: str | Path, options: Mapping[str, object] | None = None) -> None:
        bundle = read_bundle(bundle_dir)
        self.bundle_dir = bundle.folder
        self.manifest = bundle.manifest
        self._name = bundle.name
        page_js = Path(__file__).with_name("browser_page.js").read_bytes()
        extra = {"/__host__/page.html": _PAGE, "/__host__/page.js": page_js}
        if not (self.bundle_dir / "fanlight.js").is_file():  # a tier: the runtime is beside it
            extra |= {f"/{name}": data for name, data in runtime_files().items()}
        self._browser = shared_browser()
        self._server = SiteServer(Site(self.bundle_dir, extra)).start()
        self._context: Any = None
        self._page: Any = None
        self._noise: list[str] = []
        self.info: dict[str, Any] = {}
        try:
            self._browser.call(lambda browser: self._open(browser, dict(options or {})))
        except BaseException:
            self.close()
            raise

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once (or once per item of a batch). Arrays by name in, arrays by name out."""
        packed = self._packed(inputs)
        answer = self._ask("run", packed)
        return {name: _unpack(value) for name, value in answer["outputs"].items()}

    def settle(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Run once, and wait for what the runtime then finds out by itself (`info["tried"]`)."""
        packed = self._packed(inputs)
        if any(module.get("choices") for module in self.manifest["modules"]):
            self._ask("settle", packed, _SETTLE_MS)
        else:
            self._ask("run", packed)

    def profile(self, inputs: Mapping[str, np.ndarray]) -> list[Any]:
        """The runtime's `profile`: milliseconds per kernel of one run."""
        packed = self._packed(inputs)
        return self._ask("profile", packed)["profile"]

    def time(
        self, inputs: Mapping[str, np.ndarray], times: int = 20, warmup: int = 3
    ) -> list[float]:
        """Milliseconds of each of `times` runs as a page measures them, after `warmup` more."""
        packed = self._packed(inputs)
        return self._ask("time", packed, times, warmup)["ms"]

    def beside(
        self, inputs: Mapping[str, np.ndarray], probes: Sequence[Probe], rounds: int = 5
    ) -> tuple[list[list[Any]], list[list[float]]]:
        """Profiles of the bundle and times of other modules, in turn, in the same page.

        Returns:
            Per round, what `profile` gives; three times per round, milliseconds of every call of
            every probe.
        """
        packed = self._packed(inputs)
        wanted = [
            {
                "wasm": base64.b64encode(p.wasm).decode(),
                "pages": p.pages,
                "calls": [{"name": name, "args": list(args)} for name, *args in p.calls],
            }
            for p in probes
        ]
        answer = self._ask("beside", packed, wanted, rounds)
        return answer["profiles"], answer["probes"]

    def close(self) -> None:
        """Close the page and its server; the browser stays for other hosts."""
        context, self._context, self._page = self._context, None, None
        if context is not None:
            try:
                self._browser.call(lambda browser: context.close())
            except Exception as problem:  # the browser is gone, and the page with it
                self._noise.append(str(problem))
        self._server.stop()

    def __enter__(self) -> BrowserHost:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self, browser: Any, options: dict[str, object]) -> None:
        self._context = browser.new_context()
        self._page = self._context.new_page()
        self._page.set_default_timeout(_START_TIMEOUT_MS)
        self._page.on("pageerror", lambda error: self._noise.append(str(error)))
        self._page.on("console", self._hear)
        self._page.goto(f"{self._server.url}/__host__/page.html")
        self._page.wait_for_function("() => 'fanlightHost' in globalThis")
        options = {"cache": False, **options}
        self._checked(self._page.evaluate("(o) => fanlightHost.open(...o)", [self._name, options]))

    def _hear(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self._noise.append(message.text)

    def _packed(self, inputs: Mapping[str, np.ndarray]) -> dict[str, dict[str, object]]:
        return _pack(check_and_split(self.manifest, inputs).arrays)

    def _ask(self, method: str, *arguments: object) -> dict[str, Any]:
        if self._page is None:
            raise FanlightError(
                "E-HOST-004", "This browser host is closed.", next="make a new BrowserHost"
            )
        from playwright.sync_api import Error

        page = self._page
        script = f"(a) => fanlightHost.{method}(...a)"
        try:
            answer = self._browser.call(lambda _: page.evaluate(script, list(arguments)))
        except Error as problem:
            raise FanlightError(
                "E-HOST-004",
                "The browser stopped while the bundle ran in it.",
                where=self.bundle_dir,
                received=str(problem).strip().splitlines()[0],
                next="try again; if it repeats, the model may need more memory than there is",
            ) from problem
        return self._checked(answer)

    def _checked(self, answer: dict[str, Any]) -> dict[str, Any]:
        problem = answer.get("error")
        if problem is None:
            self.info = answer.get("info", self.info)  # it changes when the model finds out more
            return answer
        told = f"{problem['code']}  {problem['message']}" if problem["code"] else problem["message"]
        if self._noise:
            told += f"  (console: {'; '.join(self._noise[-3:])})"
        raise FanlightError(
            "E-HOST-005",
            "The page that runs the bundle reported an error.",
            where=self.bundle_dir,
            received=told,
        )


def _pack(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, object]]:
    return {
        name: {
            "dtype": array.dtype.name,
            "shape": list(array.shape),
            "base64": base64.b64encode(array.tobytes()).decode(),
        }
        for name, array in arrays.items()
    }


def _unpack(value: Mapping[str, Any]) -> np.ndarray:
    data = bytearray(base64.b64decode(value["base64"]))
    return np.frombuffer(data, dtype=np.dtype(value["dtype"])).reshape(value["shape"])

"""A Chromium in which pages load as they do for a visitor, to time visits.

Playwright attaches a debugger to each worker and holds it until it has answered, which costs a page
that computes in a worker a quarter of a second. Here one pipe speaks the DevTools protocol with the
page alone, before and after the visit (https://chromedevtools.github.io/devtools-protocol/).
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fanlight.hosts.browser import chromium_flags, find_browser

LIMIT_S = 60
ASK_S = 10  # after which a question counts as lost with its page
LOOK_S = 0.4  # seconds between looks: each disturbs what is timed
SETTLE_S = 0.4  # in which the browser takes down the page before
_ANSWER = "if (globalThis.failure) throw new Error(globalThis.failure); globalThis.answer"
_QUIET = (
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run", "--no-default-browser-check",
)  # fmt: skip


class NoAnswer(Exception):
    """A page that failed, in its own words, or said nothing in time."""


class _Lost(NoAnswer):
    """The browser refused to answer, or said nothing: the page went away while it was asked."""


class Visitor:
    """One profile: what a visit keeps, the next one finds. (In memory: it is an incognito one.)"""

    def __init__(self, browser: _Pipe) -> None:
        self._browser = browser
        self._context = browser.call("Target.createBrowserContext")["browserContextId"]

    def visit(self, url: str, *, script: str = "", stay_s: float = 0) -> Any:
        """Open a page in a new tab, wait until it has set `globalThis.answer`, and close the tab.

        Args:
            url: where to go.
            script: JavaScript that runs in the page before its own.
            stay_s: seconds to leave the page open after its answer.

        Returns:
            the answer, awaited, as JSON.

        Raises:
            NoAnswer: the answer was rejected, `globalThis.failure` was set, or nothing came.
        """
        tab = self.open()
        try:
            tab.goto(url, script)
            answer = tab.find(_ANSWER, look_s=LOOK_S)
            time.sleep(stay_s)
            return answer
        finally:
            tab.close()

    def open(self) -> Tab:
        """A new tab, empty; several may be open at once."""
        return Tab(self._browser, self._context)

    def memory(self) -> int:
        """Bytes that the pages of this browser, and their workers, have for themselves (Linux)."""
        found = self._browser.call("SystemInfo.getProcessInfo")["processInfo"]
        pages = [one["id"] for one in found if one["type"] == "renderer"]
        texts = [Path(f"/proc/{pid}/status").read_text() for pid in pages]
        return sum(int(re.findall(r"RssAnon:\s+(\d+) kB", text)[0]) * 1024 for text in texts)

    def close(self) -> None:
        """Forget the profile."""
        self._browser.call("Target.disposeBrowserContext", browserContextId=self._context)


class Tab:
    """One page of a visitor. The debugger looks at it only when it is asked to."""

    def __init__(self, browser: _Pipe, context: str) -> None:
        self._browser = browser
        made = browser.call("Target.createTarget", url="about:blank", browserContextId=context)
        self._target = made["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=self._target, flatten=True)
        self._session = attached["sessionId"]

    def goto(self, url: str, script: str = "") -> None:
        """Set out for a page; `script` runs in it, and in later ones, before its own."""
        if script:
            self._call("Page.enable")
            self._call("Page.addScriptToEvaluateOnNewDocument", source=script)
        time.sleep(SETTLE_S)
        self._call("Page.navigate", url=url)

    def reload(self) -> None:
        """Load the same page once more; what is asked from here on is asked of the new one."""
        before = self.find("performance.timeOrigin")
        self._call("Page.reload")
        self.find(f"performance.timeOrigin !== {before}")

    def find(self, expression: str, *, within_s: float | None = None, look_s: float = 0.1) -> Any:
        """What JavaScript gives, awaited, as JSON, once that is neither null nor false.

        Raises:
            NoAnswer: it threw, or nothing came in time.
        """
        limit = within_s or LIMIT_S
        end = time.monotonic() + limit
        lost: _Lost | None = None
        while time.monotonic() < end:
            time.sleep(look_s)
            try:
                found = self._call(
                    "Runtime.evaluate", expression=expression, awaitPromise=True,
                    returnByValue=True, within_s=min(ASK_S, end - time.monotonic()),
                )  # fmt: skip
            except _Lost as problem:
                lost = problem
                continue  # the next page is asked
            if "exceptionDetails" in found:
                thrown = found["exceptionDetails"]
                raise NoAnswer(thrown.get("exception", thrown).get("description", str(thrown)))
            answer = found["result"].get("value")
            if answer is not None and answer is not False:
                return answer
        raise NoAnswer(f"no answer within {limit} s; the last time: {lost}") from lost

    def ask(self, expression: str, *, within_s: float = LIMIT_S) -> Any:
        """What JavaScript gives, awaited, as JSON; it is evaluated once, however long it takes.

        Raises:
            NoAnswer: it threw, or nothing came in time.
        """
        found = self._call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True,
            within_s=within_s,
        )  # fmt: skip
        if "exceptionDetails" in found:
            thrown = found["exceptionDetails"]
            raise NoAnswer(thrown.get("exception", thrown).get("description", str(thrown)))
        return found["result"].get("value")

    def metrics(self) -> dict[str, float]:
        """Chromium's counters of the page; times are seconds that its thread has computed."""
        self._call("Performance.enable", timeDomain="threadTicks")
        found = self._call("Performance.getMetrics")["metrics"]
        return {one["name"]: one["value"] for one in found}

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A method of the DevTools protocol."""
        return self._call(method, **params)

    def close(self) -> None:
        """Close it."""
        self._browser.call("Target.closeTarget", targetId=self._target)

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)


class _Pipe:
    """The DevTools protocol over --remote-debugging-pipe: JSON texts that end with a zero byte."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._last = 0
        self._rest = b""

    def call(
        self, method: str, session: str | None = None, *, within_s: float | None = None,
        **params: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """The result of a method; NoAnswer where it fails, or takes longer."""
        deadline = time.monotonic() + (LIMIT_S if within_s is None else within_s)
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._next(deadline))
            if answer.get("method") in ("Inspector.targetCrashed", "Target.targetCrashed"):
                raise NoAnswer("the page crashed")
            if answer.get("id") != self._last:
                continue  # an event, or an answer that came too late
            if "error" in answer:
                raise _Lost(f"{method}: {answer['error'].get('message', answer['error'])}")
            result: dict[str, Any] = answer["result"]
            return result

    def _next(self, deadline: float) -> bytes:
        while b"\0" not in self._rest:
            # A promise of the page may never settle.
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._back], [], [], left)[0]:
                raise _Lost("no answer in time")
            more = os.read(self._back, 1 << 16)
            if not more:
                raise SystemExit("bench: Chromium ended")
            self._rest += more
        text, _, self._rest = self._rest.partition(b"\0")
        return text


@contextmanager
def visitors(*extra: str) -> Iterator[Any]:
    """A headless Chromium; yields a function that makes a `Visitor` nobody knows yet."""
    executable = find_browser()
    if executable is None:
        raise SystemExit("bench: no Chromium was found; `make setup` installs one")
    # The browser reads from descriptor 3 and writes to 4; copies high up do not get in the way.
    there, to = os.pipe()
    back, here = os.pipe()
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 100) for end in (there, here)]
    for end in (there, here):
        os.close(end)

    def connect() -> None:
        os.dup2(ends[0], 3)
        os.dup2(ends[1], 4)

    folder = tempfile.mkdtemp(prefix="fanlight-visitor-")
    command = [
        str(executable), "--headless", "--remote-debugging-pipe", f"--user-data-dir={folder}",
        *chromium_flags(), *_QUIET, *extra, "about:blank",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, preexec_fn=connect, close_fds=False,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for end in ends:
        os.close(end)
    browser = _Pipe(to, back)
    try:
        yield lambda: Visitor(browser)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(to)
        os.close(back)
        shutil.rmtree(folder, ignore_errors=True)

"""Tools that look at Studio's page from outside: Lighthouse, DevTools' check of an app, kills."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.lab import HERE, install_peers
from bench.visitor import Tab
from fanlight.hosts.browser import chromium_flags, find_browser

CATEGORIES = ("performance", "accessibility", "best-practices")
START_S = 60
LIMIT_S = 240


def installability(tab: Tab) -> list[str]:
    """Why the browser would not offer to install the page; empty where it would."""
    found = tab.call("Page.getInstallabilityErrors")["installabilityErrors"]
    # Tabs of this bench are incognito ones, which install nothing.
    return [one["errorId"] for one in found if one["errorId"] != "in-incognito"]


def lighthouse(url: str) -> dict[str, int]:
    """Marks from 0 to 100 by category, as Lighthouse gives them to a phone on a slow network.

    Raises:
        RuntimeError: Lighthouse says why it cannot.
    """
    install_peers()
    from playwright._impl._driver import compute_driver_executable

    # Lighthouse wants a newer Node.js than the rest; Playwright brings one.
    node = compute_driver_executable()[0]
    with tempfile.TemporaryDirectory(prefix="fanlight-lighthouse-") as name:
        folder = Path(name)
        browser = subprocess.Popen(
            [
                str(find_browser()), "--headless", "--remote-debugging-port=0",
                f"--user-data-dir={folder / 'profile'}", "--no-first-run", *chromium_flags(),
                "about:blank",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            port = _port(folder / "profile" / "DevToolsActivePort")
            report = folder / "report.json"
            done = subprocess.run(
                [
                    node, str(HERE / "node_modules/lighthouse/cli/index.js"), url,
                    f"--port={port}", "--output=json", f"--output-path={report}", "--quiet",
                    f"--only-categories={','.join(CATEGORIES)}",
                ],
                capture_output=True, text=True, check=False, timeout=LIMIT_S,
            )  # fmt: skip
            if not report.is_file():
                raise RuntimeError(f"Lighthouse failed: {(done.stderr or done.stdout)[-2000:]}")
            found = json.loads(report.read_text("utf-8"))
        finally:
            browser.terminate()
            browser.wait(20)
    if found.get("runtimeError"):
        raise RuntimeError(f"Lighthouse failed: {found['runtimeError'].get('message')}")
    _tell(found)
    return {name: round(found["categories"][name]["score"] * 100) for name in CATEGORIES}


def _tell(found: dict) -> None:
    """What costs marks, for who wants to better it."""
    for category in CATEGORIES:
        for part in found["categories"][category]["auditRefs"]:
            audit = found["audits"][part["id"]]
            if part["weight"] and audit["score"] is not None and audit["score"] < 0.9:
                shown = audit.get("displayValue", "")
                print(f"bench: Lighthouse {category}: {audit['title']} {shown}", file=sys.stderr)


def _port(file: Path) -> int:
    """The port that a browser listens at."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if file.is_file() and (text := file.read_text().split()):
            return int(text[0])
        time.sleep(0.1)
    raise RuntimeError(f"Chromium opened no port within {START_S} s")


def kills(rounds: int) -> tuple[int, str]:
    """Faults after so many kills, and the ways of killing, as tools/studio_kills.py tells."""
    command = [sys.executable, str(HERE.parent / "tools/studio_kills.py")]
    command += ["--rounds", str(rounds), "--within", str(rounds // 4)]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=False)
    faults = re.search(r"(\d+) faults", done.stdout)
    if done.returncode and not faults:
        raise RuntimeError(f"the kills failed: {(done.stderr or done.stdout)[-2000:]}")
    return int(faults.group(1)) if faults else 0, done.stdout.splitlines()[0]

"""Fixtures of the whole test suite. Nothing skips in silence: a skip says why and what to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support import SHARED

pytest_plugins = ["tests.conformance"]

settings.register_profile(
    "fanlight",
    deadline=None,  # a shared machine's pauses are not failures
    derandomize=True,  # the same examples on every machine; fuzzing has its own long runs
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fanlight")


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


# Files of few tests that take half a minute or more, none of them in a browser. xdist begins with
# the files of most tests, so one of these would come last, and the other process would wait for it.
LONG = (
    "tests/convert/test_round_trips.py",
    "tests/layers/test_mixed_networks.py",
    "tests/layers/test_saving_keras.py",
    "tests/layers/test_saving_tfjs_routes.py",
    "tests/models/test_halves.py",
    "tests/ops/test_onnx_nodes.py",
    "tests/ops/test_windows.py",
    "tests/quantize/test_hosts.py",
    "tests/quantize/test_quantize.py",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n 2`, a file's tests run in one process, and those in browsers run in the same one.

    What they share (bundles, the browser) is made once, and no two browsers want the cores at once.
    """
    from xdist.scheduler import LoadFileScheduling

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "tests/web" if nodeid.startswith("tests/web/") else nodeid.split("::")[0]

        def schedule(self) -> None:
            begins = self.collection is None
            super().schedule()
            if begins:
                for scope in LONG:
                    if scope in self.workqueue:
                        self.workqueue.move_to_end(scope, last=False)

    return Files(config, log)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared test data (photos, published models): `../shared` or FANLIGHT_SHARED."""
    if not SHARED.is_dir():
        reason = (
            f"the shared test data is not at {SHARED}: put it there, or name its folder in "
            "FANLIGHT_SHARED (see CONTRIBUTING.md)"
        )
        if _in_ci():
            pytest.fail(reason)
        pytest.skip(reason)
    return SHARED


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """An installed Chromium. Missing is a failure, not a skip: `make setup` installs one."""
    return _browser_path("chromium")


@pytest.fixture(scope="session")
def firefox_path() -> str:
    """An installed Firefox. Missing is a failure, not a skip: `make setup` installs one."""
    return _browser_path("firefox")


def _browser_path(name: str) -> str:
    from fanlight.hosts.browser import find_browser

    path = find_browser(name)
    if path is None:
        pytest.fail(
            f"no {name} was found; `make setup` installs one, or set FANLIGHT_{name.upper()}"
        )
    return path


@pytest.fixture(scope="session")
def playwright() -> Iterator[Any]:
    """Playwright, which a process has once: whoever launches a browser of its own takes this."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def chromium(chromium_path: str, playwright: Any) -> Iterator[Any]:
    """One headless Chromium for the session, as a Playwright `Browser`."""
    from fanlight.hosts.browser import chromium_flags

    browser = playwright.chromium.launch(
        executable_path=chromium_path, headless=True, args=chromium_flags()
    )
    yield browser
    browser.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A fresh page in a context of its own (no cookies, no cache)."""
    context = chromium.new_context()
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`built(source, **options)`: the folder of a bundle, built once per session and options."""
    cache: dict[tuple[str, str], Path] = {}

    def build(source: str | Path, **options: Any) -> Path:
        import fanlight as fl

        key = (str(source), repr(sorted(options.items())))
        if key not in cache:
            folder = tmp_path_factory.mktemp("bundle") / "site"
            fl.build(fl.load(source), folder, **options)
            cache[key] = folder
        return cache[key]

    return build

"""A page that has Studio's modules as they are written, without any bundling, to test each.

The policy of the page is Studio's own, but for what drives the test.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fanlight.web.site import CSP
from tests.web.server import Site, serve

ROOT = Path(__file__).parent.parent.parent
STUDIO = ROOT / "fanlight/web/studio"
POLICY = CSP.replace("script-src 'self'", "script-src 'self' 'unsafe-eval'")
PAGE = (
    f'<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
    f'content="{POLICY}"><link rel="icon" href="data:,"><title>lab</title>'
)
# Where the libraries lie that scripts call by their name.
LIBRARIES = {
    "idb": "/node_modules/idb/build/index.js",
    "fflate": "/node_modules/fflate/esm/browser.js",
}
# `caught(promise)`: an error as plain data.
_HELPERS = """async (modules) => {
  for (const name of modules) Object.assign(globalThis, await import(`/web/studio/${name}.js`));
  globalThis.caught = (promise) => promise.then(() => 'no error', (e) => (
    { name: e.name, code: e.code, reason: e.reason, next: e.next, message: e.message,
      received: e.received, where: e.where }));
}"""


@contextmanager
def lab(folder: Path) -> Iterator[Site]:
    """Serve Studio's sources under web/, and `folder` beside them."""
    (folder / "web").symlink_to(ROOT / "fanlight/web")
    (folder / "node_modules").symlink_to((ROOT / "node_modules").resolve())
    with serve(folder) as site:
        site.pages["lab.html"] = PAGE
        for path in STUDIO.glob("*.js"):
            text = path.read_text("utf-8")
            for name, url in LIBRARIES.items():
                text = text.replace(f"from '{name}'", f"from '{url}'")
            site.pages[f"web/studio/{path.name}"] = text
        yield site


def enter(page: Any, site: Site, *modules: str) -> Any:
    """Go to the page, with all that these modules export as globals."""
    page.goto(site.url + "lab.html")
    page.evaluate(_HELPERS, list(modules))
    return page

"""A page that has Studio's modules as they are written, without any bundling, to test each.

An import map stands for npm: `idb` and `fflate` come from node_modules. The policy of the page is
that of Studio's own but for the map, which is let in by its hash, and for what drives the test.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fanlight.web.site import CSP
from tests.web.server import Site, serve

ROOT = Path(__file__).parent.parent.parent
_MAP = json.dumps(
    {
        "imports": {
            "idb": "/node_modules/idb/build/index.js",
            "fflate": "/node_modules/fflate/esm/browser.js",
        }
    }
)
_PIN = base64.b64encode(hashlib.sha256(_MAP.encode()).digest()).decode()
POLICY = CSP.replace("script-src 'self'", f"script-src 'self' 'sha256-{_PIN}' 'unsafe-eval'")
PAGE = (
    f'<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
    f'content="{POLICY}"><script type="importmap">{_MAP}</script>'
    '<link rel="icon" href="data:,"><title>lab</title>'
)
# `caught(promise)`: an error as plain data.
_HELPERS = """async (modules) => {
  for (const name of modules) Object.assign(globalThis, await import(`/web/studio/${name}.js`));
  globalThis.caught = (promise) => promise.then(() => 'no error', (e) => (
    { name: e.name, code: e.code, reason: e.reason, next: e.next, message: e.message,
      received: e.received, where: e.where }));
}"""


@contextmanager
def lab(folder: Path) -> Iterator[Site]:
    """Serve Studio's sources, and `folder` under files/."""
    (folder / "web").symlink_to(ROOT / "fanlight/web")
    (folder / "node_modules").symlink_to((ROOT / "node_modules").resolve())
    with serve(folder) as site:
        site.pages["lab.html"] = PAGE
        yield site


def enter(page: Any, site: Site, *modules: str) -> Any:
    """Go to the page, with all that these modules export as globals."""
    page.goto(site.url + "lab.html")
    page.evaluate(_HELPERS, list(modules))
    return page

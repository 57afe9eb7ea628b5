"""A page with single elements of Studio (studio_parts.js), and what tests ask of any of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fanlight.web.site import CSP
from tests.web.server import Site, serve

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = {"phone": 360, "tablet": 768, "desktop": 1280}
PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width">'
    f'<meta http-equiv="Content-Security-Policy" content="{CSP}">'
    '<link rel="icon" href="data:,"><title>Studio</title><link rel="stylesheet" href="parts.css">'
    '<script type="module" src="parts.js"></script><script src="axe.js"></script>'
    "<main></main></html>"
)
SHEET = (
    "body { max-width: 72rem; margin: 0 auto; padding: clamp(1rem, 4vw, 2rem);"
    " background: var(--paper); } :root { background: var(--paper); }"
)


@pytest.fixture(scope="session")
def parts_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """parts.js (the elements and their libraries) and its worker, a style sheet and axe."""
    if not (ROOT / "node_modules" / "esbuild").is_dir():
        pytest.fail("esbuild is missing: run `make setup`")
    folder = tmp_path_factory.mktemp("parts")
    options = {
        "entryPoints": {
            "parts": str(Path(__file__).with_name("studio_parts.js")),
            "imaging": str(ROOT / "fanlight/web/studio/imaging.js"),  # the worker of photos
        },
        "outdir": str(folder),
        "bundle": True,
        "format": "esm",
        "target": "es2022",
        "loader": {".css": "text"},
        "conditions": ["production"],
    }
    script = f"import {{ build }} from 'esbuild'; await build({json.dumps(options)});"
    command = [str(ROOT / "tools" / "with_node.sh"), "node", "--input-type=module", "-e", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (folder / "parts.css").write_text(SHEET)
    shutil.copy(ROOT / "node_modules" / "axe-core" / "axe.min.js", folder / "axe.js")
    return folder


@pytest.fixture
def parts_site(parts_folder: Path) -> Iterator[Site]:
    with serve(parts_folder) as site:
        site.pages["parts.html"] = PAGE
        yield site


@pytest.fixture
def parts(page: Any, parts_site: Site) -> Any:
    """The page, loaded. What goes wrong in it, or against its policy, fails the test."""
    return open_parts(page, parts_site)


def open_parts(page: Any, site: Site) -> Any:
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda message: page.problems.append(message.text)
            if message.type == "error" else None)  # fmt: skip
    page.goto(site.url + "parts.html")
    page.wait_for_function("() => globalThis.parts")
    return page


def serious(page: Any) -> list[str]:
    """What axe finds that is serious or worse: rule, and where."""
    found = page.evaluate("""async () => (await axe.run(document, {
        runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
        })).violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((n) =>
            `${n.target.flat().join(' ')} ${n.failureSummary.split('\\n')[1]}`).join(' | ')}`)""")
    return list(found)


def overflow(page: Any) -> list[str]:
    """What is wider than the window, where the page is: the innermost elements."""
    found = page.evaluate("""() => {
        const root = document.documentElement;
        if (root.scrollWidth <= innerWidth) return [];
        const all = (node) => [...node.querySelectorAll('*')].flatMap((e) => (
            [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]));
        const wide = all(document).filter((e) => e.getBoundingClientRect().right > innerWidth);
        return [`${root.scrollWidth} px`, ...wide.slice(-4).map((e) => e.outerHTML.slice(0, 90))];
    }""")
    return list(found)


def pictures(page: Any, name: str, test: Any = None) -> None:
    """Axe and the widths on phone, tablet and desktop, light and dark; a file of each in
    FANLIGHT_SCREENSHOTS, where that is set."""
    folder = os.environ.get("FANLIGHT_SCREENSHOTS")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for device, width in WIDTHS.items():
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate(
                "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 120)))"
            )
            wide = overflow(page)
            assert wide == [], f"{name} at {width} px: {wide}"
            broken = serious(page)
            assert broken == [], f"{name} at {width} px, {scheme}: {broken}"
            if folder:
                page.screenshot(path=f"{folder}/{name}-{device}-{scheme}.png", full_page=True)

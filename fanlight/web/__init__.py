"""The browser side as data: what the files of a bundle hold, besides the model.

`runtime()` and `page()` are all that a builder needs; `single_file.py` makes one HTML of a folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from html import escape
from pathlib import Path

from .modules import join, strip_comments

_RUNTIME = Path(__file__).parent / "runtime"
_PAGES = Path(__file__).parent / "pages"
# Dependencies first. Together they are the fanlight.js of a bundle: one request instead of five.
CORE = ("errors.js", "bundle.js", "image.js", "engine.js", "fanlight.js")
# Generated from the JSDoc by `npm run types`; types.d.ts, which they share, is written by hand.
TYPES = ("fanlight.d.ts", "element.d.ts", "engine.d.ts", "errors.d.ts")

# What a page of ours may do. 'wasm-unsafe-eval' allows WebAssembly and no JavaScript eval; blob: is
# for previews and for the worker, which obeys this policy because it starts from a blob: URL.
PAGE_CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; "
    "worker-src 'self' blob:; base-uri 'none'; form-action 'none'"
)


@cache
def runtime() -> Mapping[str, str]:
    """The runtime as a bundle ships it: file name to text (JavaScript, a style sheet, types)."""
    files = {"fanlight.js": join([_RUNTIME / name for name in CORE], exports=True)}
    for name in ("worker.js", "element.js"):
        files[name] = strip_comments((_RUNTIME / name).read_text("utf-8"))
    for name in ("element.css", "types.d.ts"):
        files[name] = (_RUNTIME / name).read_text("utf-8")
    for name in TYPES:
        files[name] = (_RUNTIME.parent / "types" / name).read_text("utf-8")
    return files


def page(
    title: str,
    card: str = "",
    *,
    samples: Iterable[tuple[str, str]] = (),
    csp: str = PAGE_CSP,
) -> dict[str, str]:
    """The page of a bundle that classifies pictures: file name to text (index.html and its parts).

    Args:
        title: the model's name, plain text.
        card: what to know about the model (data, figures, limits), plain text with line breaks.
        samples: photos to offer, as (relative URL, description).
        csp: the Content-Security-Policy of the page.
    """
    photos = "".join(
        f'\n      <img src="{escape(url)}" alt="{escape(text)}">' for url, text in samples
    )
    html = fill(
        (_PAGES / "classify.html").read_text("utf-8"),
        {"title": title, "card": card, "csp": csp},
        raw={"samples": photos},
    )
    return {
        "index.html": html,
        "page.css": (_PAGES / "page.css").read_text("utf-8"),
        "page.js": strip_comments((_PAGES / "page.js").read_text("utf-8")),
    }


def fill(template: str, values: Mapping[str, str], raw: Mapping[str, str] | None = None) -> str:
    """`template` with each `{{name}}` replaced: escaped for HTML, or as it is from `raw`."""
    for name, value in values.items():
        template = template.replace("{{" + name + "}}", escape(value))
    for name, value in (raw or {}).items():
        template = template.replace("{{" + name + "}}", value)
    return template


def package_json(name: str, *, version: str = "1.0.0", description: str = "") -> str:
    """The package.json that makes an npm package of a bundle (`import { load } from 'name'`)."""
    return json.dumps(
        {
            "name": name,
            "version": version,
            "description": description,
            "type": "module",
            "main": "./fanlight.js",
            "types": "./fanlight.d.ts",
            "exports": {
                ".": {"types": "./fanlight.d.ts", "default": "./fanlight.js"},
                "./element": {"types": "./element.d.ts", "default": "./element.js"},
                "./worker": "./worker.js",
                "./*": "./*",
            },
            "sideEffects": ["./element.js", "./worker.js"],
        },
        indent=2,
    ) + "\n"

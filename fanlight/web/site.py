"""The files of a bundle that are not model: runtime, page, package.json, samples."""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from fanlight.errors import FanlightError
from fanlight.pictures import decode_image
from fanlight.web.card import card_html
from fanlight.web.headers import CSP, host_files
from fanlight.web.modules import join, shorten, strip_comments, tighten
from fanlight.web.shell import APP_LINKS, REGISTER_LINK, THEME, app_files, worker_files

HERE = Path(__file__).parent
RUNTIME = HERE / "runtime"
PAGES = HERE / "pages"
# Dependencies first. Together they are the fanlight.js of a bundle: one request instead of five.
CORE = tuple(
    RUNTIME / name for name in ("errors.js", "bundle.js", "image.js", "engine.js", "fanlight.js")
)
# Fetched when they are needed, if ever: more threads, and finding out what computes fastest.
LAZY = ("threads.js", "choice.js", "keep.js")
# Fetched where a page or a folder asks for it: the camera, what fits a device, a report of faults,
# and SHA-256 where the browser has none.
ON_DEMAND = ("video.js", "tiers.js", "cascade.js", "diagnostics.js", "digest.js")
# Of bundles that train: what a page imports, and what works beside the engine.
TRAIN = ("train.js", "steps.js")
# ... and what is fetched by a page that gives away what it has learnt.
TRAIN_LATER = ("export.js",)
# Generated from the JSDoc by `npm run types`; types.d.ts, which they share, is written by hand.
TYPES = tuple(
    f"{name}.d.ts"
    for name in (
        *("fanlight", "element", "engine", "bundle", "errors", "image"),
        *(script.removesuffix(".js") for script in ON_DEMAND),
    )
)

_PRELOAD = '\n    <link rel="preload" as="fetch" href="FILE" crossorigin>'
SAMPLE_SIDE = 512
OWN = "./"  # the URL of a page for itself
MAX_SAMPLES = 12


@cache
def runtime_files() -> dict[str, bytes]:
    """path -> bytes of the runtime: JavaScript made short, the style sheet, the types."""
    files = {"fanlight.js": tighten(join(CORE, exports=True))}
    files |= {name: _short(name) for name in ("worker.js", "element.js", *LAZY, *ON_DEMAND)}
    for path in (RUNTIME / "element.css", RUNTIME / "types.d.ts"):
        files[path.name] = path.read_text("utf-8")
    for name in TYPES:
        files[name] = (HERE / "types" / name).read_text("utf-8")
    return {name: text.encode() for name, text in files.items()}


def train_files() -> dict[str, bytes]:
    """path -> bytes of what a bundle has beside the runtime if it trains."""
    files = {name: _short(name) for name in (*TRAIN, *TRAIN_LATER)}
    files["train.d.ts"] = (HERE / "types" / "train.d.ts").read_text("utf-8")
    return {name: text.encode() for name, text in files.items()}


def _short(name: str) -> str:
    return tighten(shorten((RUNTIME / name).read_text("utf-8")))


def page_files(
    manifest: Mapping[str, Any],
    *,
    title: str | None = None,
    card: str = "",
    samples: Sequence[str | Path] = (),
    isolate: bool = False,
    offline: bool = False,
    headers: Sequence[str] = (),
    bench: bool = False,
    train: bool = False,
    lazy: bool = False,
    group: str = "",
    links: Mapping[str, str] | None = None,
) -> dict[str, bytes]:
    """path -> bytes of everything beside the model: the folder is page, npm package and CDN folder.

    Args:
        manifest: the manifest, for the title and for which page fits the task.
        title: heading of the page; default: the model's name.
        card: what to know about the model (data, figures, limits): headings, lists, tables and
            `code` of Markdown are shown as such, HTML as the text that it is.
        samples: pictures to offer on the page (scaled down to 512 px).
        isolate: with what starts a service worker (`shell.finish_site` writes it) that makes the
            page cross-origin isolated and keeps it for visits without a network.
        offline: the same, and the page can be installed as an app.
        headers: hosts to write a headers file for (`headers.HOSTS`).
        bench: with bench/speed.html, which measures on the visitor's own device.
        train: with what trains the model.
        lazy: the page of a classifier fetches nothing of the model before a visitor wants it.
        group: of a folder of several bundles, the file that lists them.
        links: pages beside this one, shown as tabs: name -> relative URL.

    Raises:
        FanlightError: E-BUILD-005 when a sample is not a picture.
    """
    heading = title or manifest["name"]
    kind = "classify" if manifest["task"] else "model"
    pictures = _samples(samples)
    photos = "".join(
        f'\n        <img src="{html.escape(path)}" alt="{html.escape(_words(path))}">'
        for path in pictures
    )
    page = fill(
        (PAGES / f"{kind}.html").read_text("utf-8"),
        {"title": heading, "csp": CSP},
        raw={
            "tabs": tabs(heading, links),
            "samples": photos,
            "card": card_html(card or "This model has no card."),
            "app": THEME + (APP_LINKS if offline else ""),
            "worker": REGISTER_LINK if isolate or offline else "",
            "src": f"./{group}",
            "loading": ' loading="lazy"' if lazy else "",
            "preload": "" if lazy else _PRELOAD.replace("FILE", group or "manifest.json"),
        },
    )
    script = strip_comments((PAGES / f"{kind}.js").read_text("utf-8"))
    files = {
        "index.html": page.encode(),
        "page.js": script.encode(),
        "page.css": (PAGES / "page.css").read_bytes(),
        "package.json": package_json(manifest),
    }
    if kind == "model":
        progress = strip_comments((PAGES / "progress.js").read_text("utf-8"))
        files["progress.js"] = progress.encode()
    files = runtime_files() | files | pictures
    if train:
        files |= train_files()
    if bench:
        files |= bench_files(heading, isolate=isolate or offline)
    if isolate or offline:
        files |= worker_files()
    if offline:
        files |= app_files(heading, description=_DESCRIPTIONS[kind])
    model = [entry["path"] for part in ("modules", "weights") for entry in manifest.get(part, ())]
    return files | host_files(headers, [*files, *model])


_DESCRIPTIONS = {
    "classify": "Say what is in a photo, on your own device.",
    "model": "A model that runs in your browser.",
}


def refuse_in_one_file(page: Path, bench: bool, worker: bool, headers: bool) -> None:
    """E-BUILD-005 where a page in one file is asked for what needs a folder."""
    named = ((bench, "the bench page"), (worker, "a service worker"), (headers, "headers files"))
    for asked, what in named:
        if asked:
            raise FanlightError(
                "E-BUILD-005",
                f"a page in one file has no room for {what}.",
                where=page.name,
                expected="a folder to write to",
                received="a path of one file",
                next=f"build into a folder, or leave {what} out.",
            )


def bench_files(title: str, *, isolate: bool = False) -> dict[str, bytes]:
    """path -> bytes of the page that measures the model on the visitor's own device.

    Args:
        title: what the page calls the model.
        isolate: start the service worker of the bundle's page.
    """
    register = REGISTER_LINK.replace('src="', 'src="../') if isolate else ""
    files = {}
    for path in sorted((PAGES / "bench").iterdir()):
        text = path.read_text("utf-8")
        if path.suffix == ".html":
            text = fill(text, {"title": title, "csp": CSP}, raw={"worker": register})
        elif path.suffix == ".js":
            text = strip_comments(text)
        files[f"bench/{path.name}"] = text.encode()
    return files


def tabs(here: str, links: Mapping[str, str] | None) -> str:
    """The line of tabs above a page: itself, and those beside it. Nothing where it is alone.

    Args:
        here: what the page is called.
        links: name -> relative URL; "./" is the page itself, which is the first where none is.

    Raises:
        FanlightError: E-BUILD-005 a URL leads to another site.
    """
    if not links:
        return ""
    every = dict(links) if OWN in links.values() else {here: OWN, **links}
    shown = []
    for name, url in every.items():
        if not re.fullmatch(r"(?!/)[\w./%-]+", url):
            raise FanlightError(
                "E-BUILD-005",
                "a tab leads away from this site.",
                where=f"links[{name!r}]",
                expected="a relative URL, such as studio/",
                received=url[:200],
            )
        current = ' aria-current="page"' if url == OWN else ""
        shown.append(f'<a href="{html.escape(url)}"{current}>{html.escape(name)}</a>')
    return f'\n    <nav class="tabs" aria-label="Pages">{"".join(shown)}</nav>'


def fill(template: str, values: Mapping[str, str], raw: Mapping[str, str] | None = None) -> str:
    """`{{name}}` replaced by the escaped value, or by the one in `raw` as it is."""

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        return raw[name] if raw and name in raw else html.escape(values[name], quote=True)

    return re.sub(r"\{\{(\w+)\}\}", replace, template)


def package_json(manifest: Mapping[str, Any]) -> bytes:
    """package.json: the folder as an npm package."""
    name = re.sub(r"[^a-z0-9._-]+", "-", manifest["name"].lower()).strip("-._") or "model"
    package = {
        "name": name[:200],
        "version": "1.0.0",
        "description": f"{manifest['name'][:100]}, built with Fanlight",
        "type": "module",
        "exports": {
            ".": {"types": "./fanlight.d.ts", "default": "./fanlight.js"},
            "./element": {"types": "./element.d.ts", "default": "./element.js"},
            "./manifest.json": "./manifest.json",
            "./*": "./*",
        },
        "types": "./fanlight.d.ts",
        "sideEffects": ["./element.js", "./diagnostics.js", "./worker.js", "./threads.js"],
    }
    return (json.dumps(package, indent=2) + "\n").encode()


def _samples(paths: Sequence[str | Path]) -> dict[str, bytes]:
    """Each picture as a JPEG of at most 512 px, under a name made of its own."""
    if not paths:
        return {}
    from PIL import Image

    made: dict[str, bytes] = {}
    for path in list(paths)[:MAX_SAMPLES]:
        try:
            pixels = decode_image(path, max_height=SAMPLE_SIDE, max_width=SAMPLE_SIDE)
        except FanlightError as error:
            raise FanlightError(
                "E-BUILD-005",
                "a sample is not a picture.",
                where=path,
                expected=error.expected or "a picture that can be decoded",
                received=error.received or error.message,
                next="leave it out, or convert it to JPEG or PNG.",
            ) from error
        buffer = io.BytesIO()
        Image.fromarray(pixels).convert("RGB").save(buffer, "JPEG", quality=85)
        stem = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(path).stem)[:60] or "picture"
        made[f"samples/{len(made) + 1}-{stem}.jpg"] = buffer.getvalue()
    return made


def _words(path: str) -> str:
    """What a screen reader says of `samples/2-red_panda.jpg`: its name, in words."""
    return "Sample: " + re.sub(r"[-_]+", " ", Path(path).stem.split("-", 1)[1]).strip()

"""What makes a folder of files an app: manifest, icons, service worker, compressed copies.

`app_files` belongs to the page; `finish_site` is put around the finished folder, for it needs the
hash of every file. Any page of Fanlight takes both.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fanlight.errors import FanlightError
from fanlight.web.compress import Compressed, compress_folder
from fanlight.web.headers import HOST_FILES, MARK
from fanlight.web.icons import NIGHT, PAPER, icon_files
from fanlight.web.modules import shorten, tighten

PAGES = Path(__file__).parent / "pages"
WORKER = "sw.js"
REGISTER = "register.js"
WEB_MANIFEST = "app.webmanifest"
# The head of a page that can be installed. register.js is what sw.js looks for, see there.
REGISTER_LINK = f'\n    <script type="module" src="{REGISTER}"></script>'
APP_LINKS = (
    f'\n    <link rel="manifest" href="{WEB_MANIFEST}">'
    '\n    <link rel="apple-touch-icon" href="apple-touch-icon.png">'
)
# How it looks before page.css is there, and around the page.
THEME = (
    f'\n    <meta name="theme-color" content="{PAPER}" media="(prefers-color-scheme: light)">'
    f'\n    <meta name="theme-color" content="{NIGHT}" media="(prefers-color-scheme: dark)">'
)
_SHORT = 12  # characters that a launcher shows of a name
_COPIES = (".br", ".gz")
_UNSEEN = (".d.ts", *_COPIES)
_UNUSED = frozenset((WORKER, "package.json", "graph.json", *HOST_FILES))
# What the runtime fetches and makes sure of by itself: ends of names, and names.
_MODEL = frozenset((".wasm", ".bin", ".safetensors", "training.json", "tfjs.json", ".tpl"))
# Of a name such as training-0123456789abcdef.json.
_HASH = re.compile(r"-[0-9a-f]{16}(?=\.[a-z]+$)")
_BLANK = "const FILES=([]);"


@dataclass(frozen=True)
class Finished:
    """What `finish_site` did: what is kept for offline visits, and what compressing saved.

    Attributes:
        page_bytes, model_bytes: of the files that the service worker keeps, without spare
            models; 0 without one.
        compressed: None if it was not asked for.
    """

    page_bytes: int
    model_bytes: int
    compressed: Compressed | None


def app_files(title: str, *, description: str = "") -> dict[str, bytes]:
    """path -> bytes of the web manifest and its icons: with them a page can be installed.

    Args:
        title: what the app is called.
        description: one sentence for app lists.
    """
    short = title if len(title) <= _SHORT else title.split()[0][:_SHORT] if title.split() else title
    manifest = {
        "name": title,
        "short_name": short or title[:_SHORT],
        "description": description or "A model that runs in your browser.",
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": PAPER,
        "theme_color": PAPER,
        "icons": [
            {"src": "icon-192.png", "type": "image/png", "sizes": "192x192"},
            {"src": "icon-512.png", "type": "image/png", "sizes": "512x512"},
            {"src": "icon-maskable-512.png", "type": "image/png", "sizes": "512x512",
             "purpose": "maskable"},
            {"src": "icon.svg", "type": "image/svg+xml", "sizes": "any"},
        ],
    }  # fmt: skip
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    return {WEB_MANIFEST: text.encode(), **icon_files()}


def worker_files() -> dict[str, bytes]:
    """path -> bytes of what starts the service worker, which `finish_site` writes."""
    return {REGISTER: _short(REGISTER).encode()}


def _short(name: str) -> str:
    return tighten(shorten((PAGES / name).read_text("utf-8")))


def finish_site(
    folder: Path,
    worker: bool = False,
    model: bool = False,
    compress: bool = False,
    *,
    seen: Callable[[str], bool] = lambda path: True,
    exported: bool = False,
    manifest: Mapping[str, Any] | None = None,
    spare: Collection[str] = (),
) -> Finished:
    """Put the service worker and the compressed copies around a finished folder.

    Args:
        folder: all files of the site; it becomes the worker's scope.
        worker: write sw.js, which keeps the files of the page.
        model: it keeps the model, too: modules, weights, and what training needs.
        compress: write FILE.br and FILE.gz.
        seen: which paths a visitor's page may ask for. (Types, package.json, graph.json and
            compressed copies are never kept.)
        exported: what a page makes other files of is kept, too: graph.json, package.json, types,
            and the workers of pages in sub-folders.
        manifest: of the bundle in the folder: its modules and weights are not read again.
        spare: sub-folders with a model each, of which the worker keeps the one that is in use.
    """
    named = (*manifest["modules"], *manifest["weights"]) if manifest else ()
    hashes = {entry["path"]: entry["sha256"] for entry in named}
    kept = _kept_files(folder, model, seen, hashes, spare, exported) if worker else []
    if worker:
        (folder / WORKER).write_bytes(worker_script(kept))
    compressed = compress_folder(folder) if compress else None
    page, large = (sum(size for *_, size, of in kept if of == part) for part in (0, 1))
    return Finished(page, large, compressed)


def _kept_files(
    folder: Path,
    model: bool,
    seen: Callable[[str], bool],
    hashes: Mapping[str, str],
    spare: Collection[str],
    exported: bool,
) -> list[tuple[str, str, int, int]]:
    kept = []
    unused = HOST_FILES if exported else _UNUSED
    unseen = _COPIES if exported else _UNSEEN
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or path.name in unused or name == WORKER or name.endswith(unseen):
            continue
        if path.name.startswith(".") or not seen(name):
            continue
        # What is only exported comes with the model, behind the page.
        plain = _HASH.sub("", path.name)
        of_model = path.suffix in _MODEL or plain in _MODEL or _exported(plain)
        if of_model and not model:
            continue
        digest = hashes.get(name) or hashlib.sha256(path.read_bytes()).hexdigest()
        part = 0 if not of_model else 2 if name.split("/")[0] in spare else 1
        kept.append((name, digest, path.stat().st_size, part))
    return kept


def _exported(name: str) -> bool:
    return name in ("graph.json", "package.json", WORKER) or name.endswith(".d.ts")


def worker_script(files: list[tuple[str, str, int, int]]) -> bytes:
    """sw.js of these files: path, SHA-256, bytes, and 0 (page), 1 (model) or 2 (spare model)."""
    text = _short(WORKER)
    if text.count(_BLANK) != 1:
        raise FanlightError("E-BUILD-009", f"{WORKER} has not one {_BLANK}")
    listed = json.dumps(files, ensure_ascii=False, separators=(",", ":"))
    return f"// {MARK}\n{text.replace(_BLANK, f'const FILES={listed};')}".encode()

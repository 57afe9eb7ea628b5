"""Studio as one HTML file, which works from file:// and fetches nothing."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fanlight.errors import FanlightError
from fanlight.studio.shared import FOLDER
from fanlight.web.shell import WEB_MANIFEST
from fanlight.web.single_file import part_of_page, policy, worker_script
from fanlight.web.site import fill

# What `npm run studio` makes for it: the page's script with the runtime inside.
SCRIPT = "one_file.js"
_GZIP = "application/gzip;base64"
_TAG = re.compile(r"</script|<!--", re.I)
_LINKS = re.compile(r' *<link rel="(?:modulepreload|stylesheet)" [^>]*>\n')
_LOADED = '    <script type="module" src="studio.js"></script>'


def pieces_of_studio(folder: Path, page: Path, title: str) -> Iterator[str]:
    """The text of the page that holds the Studio in `folder`, in pieces one after the other.

    The page's policy allows no connection, and pins its script and its style by hash.

    Args:
        folder: that `studio` wrote.
        page: the folder of Studio's own page, with dist/.
        title: heading of the page.

    Raises:
        FanlightError: E-BUILD-009 when a part would end the element that holds it.
    """
    script = _script(page, SCRIPT)
    style = _inert((page / "studio.css").read_text("utf-8"), "studio.css")
    html = fill(
        (page / "index.html").read_text("utf-8"),
        {"title": title, "csp": policy(script, f"\n{style}")},
        raw={"head": "", "tabs": ""},
    )
    # What opens by an address would look for a folder.
    html = _LINKS.sub("", html).replace('<fanlight-studio src="./" ', "<fanlight-studio ", 1)
    before, found, after = html.partition(_LOADED)
    body, ended, tail = after.rpartition("  </body>")
    if not (found and ended):
        raise FanlightError("E-BUILD-009", "Studio's page has no place for its script.")
    yield f"{before}    <style>\n{style}</style>\n"
    yield f'    <script type="module">{script}</script>{body}'

    index = json.loads((folder / "studio.json").read_text("utf-8"))
    files = {path: index["files"][path] for path in _needed(folder, index)}
    told = json.dumps({**index, "files": files}, ensure_ascii=False, separators=(",", ":"))
    yield part_of_page("application/json", "fanlight-studio", told.replace("<", "\\u003c"))
    for name, text in (
        ("fanlight-worker", worker_script(True)),
        ("fanlight-imaging", _script(page, "imaging.js")),
        ("licenses", (page / "dist" / "LICENSES.txt").read_text("utf-8")),
    ):
        yield part_of_page("text/plain", name, _inert(text, name))
    for path, file in files.items():
        data = gzip.compress((folder / path).read_bytes(), 9, mtime=0)
        yield part_of_page(_GZIP, f"file-{file['sha256']}", base64.b64encode(data).decode())
    yield ended + tail


def _needed(folder: Path, index: Mapping[str, Any]) -> list[str]:
    """The heads' files, and those of runtime and page that an exported classifier takes along."""
    heads = [path for path in index["files"] if path.startswith(FOLDER)]
    page: set[str] = set()
    for head in index["heads"]:
        page |= set(json.loads((folder / head["url"]).read_bytes())["files"])
    studios = ("index.html", WEB_MANIFEST)  # each head has its own
    return heads + [path for path in index["files"] if path in page and path not in studios]


def _script(page: Path, name: str) -> str:
    """A script of dist/ as HTML can hold it: `<!--` stands in texts and expressions only."""
    text = (page / "dist" / name).read_text("utf-8")
    return _inert(text.replace("<!--", "\\x3c!--"), name)


def _inert(text: str, name: str) -> str:
    """`text`, which must not end the element that holds it, or begin a comment in it."""
    if _TAG.search(text):
        raise FanlightError("E-BUILD-009", f"{name} holds a tag that would end it in HTML.")
    return text

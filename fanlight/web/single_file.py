"""One HTML file that holds a whole bundle: page, runtime, module and weights. Works from file://."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fanlight.errors import FanlightError
from fanlight.web.modules import enclose, join, strip_comments
from fanlight.web.shell import APP_LINKS, REGISTER_LINK
from fanlight.web.site import CORE, LAZY, PAGES, RUNTIME

_STYLE = re.compile(r' *<link rel="stylesheet" href="page\.css">\n')
_PRELOAD = re.compile(r' *<link rel="(?:module)?preload"[^>]*>\n')
_SCRIPT = re.compile(r' *<script type="module" src="page\.js"></script>\n')
_CSP = re.compile(r'(<meta http-equiv="Content-Security-Policy" content=")[^"]*(">)')
_IMAGE = re.compile(r'(<img src=")([^":]+)(")')
_PART = re.compile(r'<script type="(application/[\w;-]+)" id="([\w./-]+)">([^<]*)</script>')
# Where the parts of a bundle are put into a page that was written without them.
MARK = "<!--fanlight-bundle-->"
_MARKS = (b'id="fanlight-manifest"', b'id="fanlight-studio"')
_CHUNK = 1 << 20  # of a page that is read
_TYPES = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp"}

# Takes the parts out of the page one by one, so that no task is long, and frees their text.
_TAKE = """
const take = (id) => {
  const tag = document.getElementById(id);
  tag.remove();
  return tag.textContent;
};
const inlineManifest = JSON.parse(take('fanlight-manifest'));
const inlineCss = take('fanlight-css');
const inlineWorker = URL.createObjectURL(
  new Blob([take('fanlight-worker')], { type: 'text/javascript' }));
const inlineFiles = {};
for (const { path } of [...inlineManifest.modules, ...inlineManifest.weights]) {
  await new Promise((resolve) => setTimeout(resolve));
  inlineFiles[path] = new Blob([take(path)], { type: 'text/base64' });
}
const inlineBundle = {
  manifest: inlineManifest,
  files: inlineFiles,
  worker: () => new Worker(inlineWorker),
};
"""
_GIVE_ELEMENT = """
FanlightClassifier.css = async () => inlineCss;
FanlightClassifier.bundle = inlineBundle;
"""
# Of a model that trains: no script can import train.js here, so the page has what it exports.
_TRAINING = "training.json"
_STILL = "still.safetensors"
_GIVE_TRAINING = f"""
inlineFiles['{_TRAINING}'] = new Blob([take('{_TRAINING}')]);
if (inlineManifest.files['{_STILL}']) {{
  inlineFiles['{_STILL}'] = new Blob([take('{_STILL}')], {{ type: 'text/base64' }});
}}
inlineFiles['graph.json'] = new Blob([take('graph.json')]);
globalThis.fanlight = {{ bundle: inlineBundle, ...%s }};
"""


def _page_script(classifies: bool, trains: bool) -> str:
    """The script of the page, which finds the bundle in the page instead of beside it."""
    take = _TAKE + (_GIVE_TRAINING % enclose(RUNTIME / "train.js") if trains else "")
    if classifies:
        paths = [*CORE, RUNTIME / "element.js", PAGES / "classify.js"]
        old = "customElements.define("
        new = take + _GIVE_ELEMENT + old
    else:
        paths = [*CORE, PAGES / "progress.js", PAGES / "model.js"]
        old = "try {\nconst model = await load('./',"
        new = take + old.replace("'./'", "inlineBundle")
    script = _replaced(join(paths, exports=False), old, new)
    for name in ("video.js", "diagnostics.js") if classifies else ("diagnostics.js",):
        script = _inside(script, name)
    return _on_its_own(script, trains)


def worker_script(trains: bool) -> str:
    """A classic script, for Chromium starts no module worker from file://."""
    lazy = [RUNTIME / name for name in LAZY if name != "keep.js"]
    script = join([*CORE, *lazy, RUNTIME / "worker.js"], exports=False)
    script = script.replace("import.meta.url", "location.href")
    script = script.replace("import('./choice.js')", "Promise.resolve({ settle })")
    script = script.replace("import('./threads.js')", "Promise.resolve({ hire })")
    return _on_its_own(script, trains)


def _on_its_own(script: str, trains: bool) -> str:
    """A script that imports nothing: what it may need is inside."""
    # Nothing came from the network, so there is nothing to keep.
    script = _replaced(script, "import('./keep.js')", "Promise.reject()")
    script = _replaced(script, "import('./tiers.js')", "Promise.reject()")  # one model, not several
    script = _inside(script, "digest.js")
    return _inside(_inside(script, "steps.js"), "export.js") if trains else script


def _inside(script: str, name: str) -> str:
    """A script that has the module of this name in it, made when it is first needed."""
    stem = name.removesuffix(".js")
    script = script.replace(f"import('./{name}')", f"{stem}Here()")
    made = f"const {stem}Here = async () => ({stem}Made ??= {enclose(RUNTIME / name)});\n"
    return f"let {stem}Made;\n{made}{script}"


def _replaced(script: str, old: str, new: str) -> str:
    if script.count(old) != 1:
        raise FanlightError("E-BUILD-009", f"the page's script has not one {old}")
    return script.replace(old, new)


def single_file(folder: Path) -> str:
    """The bundle in `folder`, which has a page, as one HTML text without any other file: see
    `pieces_of_page`.
    """
    return "".join(pieces_of_page(folder))


def pieces_of_page(folder: Path) -> Iterator[str]:
    """The text of the page that holds the bundle in `folder`, in pieces one after the other, of
    which each is made when it is asked for: the weights may be large.

    The page's policy allows no connection at all (`connect-src 'none'`), pins its script and its
    style by hash, and lets the worker start from a blob: URL only.

    Raises:
        FanlightError: E-BUNDLE-001 when the folder has no manifest or no page, E-BUNDLE-003 when a
            file that they name is missing, E-BUILD-009 when the page is not one that we wrote.
    """
    manifest = json.loads(_read(folder / "manifest.json", "E-BUNDLE-001"))
    trains = (folder / _TRAINING).is_file()
    head, tail = _frame(folder, manifest, trains)
    parts = [("fanlight-manifest", json.dumps(manifest).replace("<", "\\u003c"))]
    if (
        folder / "graph.json"
    ).is_file():  # not for the page: so that Python can open the file again
        graph = _read(folder / "graph.json", "E-BUNDLE-003")
        parts.append(("graph.json", graph.replace("<", "\\u003c")))
    if trains:  # byte by byte what its hash is of: it has no "<"
        parts.append((_TRAINING, _read(folder / _TRAINING, "E-BUNDLE-003")))
    binary = [entry["path"] for entry in (*manifest["modules"], *manifest["weights"])]
    if (folder / _STILL).is_file():  # what `save` puts beside what was learnt
        binary.append(_STILL)

    yield head
    for name, text in parts:
        yield part_of_page("application/json", name, _inert(text, name))
    for path in binary:
        text = base64.b64encode(_bytes(folder, path)).decode()
        yield part_of_page("application/octet-stream;base64", path, text)
    yield tail


def hollow_page(folder: Path) -> str:
    """The page in one file, without the bundle: `MARK` stands where its parts are put, and nothing
    else changes, so that the policy stays right. The page classifies, and does not learn.

    Raises:
        FanlightError: as `pieces_of_page`.
    """
    manifest = json.loads(_read(folder / "manifest.json", "E-BUNDLE-001"))
    head, tail = _frame(folder, manifest, False)
    return head + MARK + tail


def _frame(folder: Path, manifest: Mapping[str, Any], trains: bool) -> tuple[str, str]:
    """What stands in a page in one file in front of the parts of the bundle, and behind them."""
    html = _read(folder / "index.html", "E-BUNDLE-001")
    for links in (APP_LINKS, REGISTER_LINK):  # a page of one file has no worker, and needs none
        html = html.replace(links, "")
    page = _page_script(manifest["task"] is not None, trains)
    style = _read(folder / "page.css", "E-BUNDLE-003")
    sheet_of_element = strip_comments(_read(folder / "element.css", "E-BUNDLE-003"))
    parts = [
        ("text/css", "fanlight-css", sheet_of_element),
        ("text/plain", "fanlight-worker", worker_script(trains)),
    ]
    csp = policy(page, style)
    html = _once(_CSP, lambda m: m[1] + csp + m[2], html, "policy")
    sheet = f"    <style>{_inert(style, 'page.css')}</style>\n"
    html = _once(_STYLE, lambda m: sheet, html, "style")
    html = _once(_SCRIPT, lambda m: "", html, "script")
    html = _IMAGE.sub(lambda m: m[1] + _data_url(folder, m[2]) + m[3], _PRELOAD.sub("", html))
    script = f'    <script type="module">{_inert(page, "page.js")}</script>\n'
    head, body, tail = html.rpartition("  </body>")
    inner = "".join(part_of_page(kind, name, _inert(text, name)) for kind, name, text in parts)
    return head + inner, script + body + tail


def part_of_page(kind: str, name: str, text: str) -> str:
    """An element that holds data: `text` must not end it."""
    return f'    <script type="{kind}" id="{name}">{text}</script>\n'


def read_single_file(path: Path) -> dict[str, bytes]:
    """All that `files_of_page` finds: path -> bytes."""
    return dict(files_of_page(path))


def files_of_page(path: Path) -> Iterator[tuple[str, bytes]]:
    """What is of the bundle in a file that `write_single_file` wrote: all but its scripts.

    Returns:
        paths and bytes, as they lay in the bundle's folder, one after the other: the page is not
        in memory as a whole.

    Raises:
        FanlightError: E-BUNDLE-001 when there is no bundle in the file (at its end), E-BUNDLE-003
            when a part of it is damaged.
    """
    told = False
    for kind, name, text in _parts(path):
        if kind.endswith(";base64"):
            try:
                yield name, base64.b64decode(text, validate=True)
            except ValueError as error:
                raise FanlightError(
                    "E-BUNDLE-003",
                    "a part of the page is not base64.",
                    where=f"{path}: {name}",
                    expected="base64 text",
                    received=str(error),
                    next="build the page again.",
                ) from error
        elif kind == "application/json":
            name = name.replace("fanlight-manifest", "manifest.json")
            told = told or name == "manifest.json"
            yield name, text.encode()
    if not told:
        raise FanlightError(
            "E-BUNDLE-001",
            "there is no bundle in this file.",
            where=str(path),
            expected="a page that `fanlight build SRC -o OUT.html` wrote",
            received="a page without a manifest",
            next="make one with `fanlight build SRC -o OUT.html`",
        )


def _parts(path: Path) -> Iterator[tuple[str, str, str]]:
    """What `_PART` finds in a page, of which no more is in memory than a chunk and a part."""
    try:
        with path.open(encoding="utf-8") as file:
            pending: list[str] = []
            last = ""
            while chunk := file.read(_CHUNK):
                pending.append(chunk)
                near, last = last + chunk, (last + chunk)[-len("</script>") :]
                if "<" not in near:
                    continue  # amid a part
                text = "".join(pending)
                end = 0
                for match in _PART.finditer(text):
                    end = match.end()
                    yield match[1], match[2], match[3]
                # A part that has begun: from its "<" on, which is the last but that of its end.
                begin = text.rfind("<", end)
                if begin > end and "</script>".startswith(text[begin : begin + 9]):
                    begin = max(text.rfind("<", end, begin), end)
                pending = [text[begin:]] if begin >= 0 else []
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, "E-BUNDLE-001", error) from None


def write_single_file(folder: Path, target: Path) -> None:
    """Write the page of `folder` to `target`; nothing half-written is ever there.

    Raises:
        FanlightError: as `single_file`; E-BUILD-004 when the target cannot be written, or is a file
            that we did not write.
    """
    write_page(pieces_of_page(folder), target)


def write_page(pieces: Iterable[str], target: Path) -> None:
    """Write the text of a page, as it comes, to `target`; nothing half-written is ever there.

    Raises:
        FanlightError: E-BUILD-004 when the target cannot be written, or is a file that we did not
            write; what making the pieces raises.
    """
    refuse_foreign(target)
    partial = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8") as file:
            file.writelines(pieces)
        partial.replace(target)
    except FanlightError:
        partial.unlink(missing_ok=True)
        raise
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise FanlightError(
            "E-BUILD-004",
            "the output file cannot be written.",
            where=str(target),
            expected="a path that can be written",
            received=error.strerror or str(error),
            next="choose a path that you may write to.",
        ) from error


def refuse_foreign(target: Path) -> None:
    """Only an empty file or an older page of ours is replaced."""
    if not target.exists():
        return
    if not target.is_file() or (target.stat().st_size and not _is_ours(target)):
        raise FanlightError(
            "E-BUILD-004",
            "the output path exists and is not a page that Fanlight built.",
            where=str(target),
            expected="a new path, or a page to replace",
            received="another file" if target.is_file() else "a folder",
            next="choose another path, or remove it first.",
        )


def _is_ours(page: Path) -> bool:
    """Whether there is a manifest of ours in a file."""
    with page.open("rb") as file:
        near = b""
        while chunk := file.read(_CHUNK):
            near = near[-max(map(len, _MARKS)) :] + chunk
            if any(mark in near for mark in _MARKS):
                return True
    return False


def _once(pattern: re.Pattern[str], put: object, html: str, what: str) -> str:
    text, times = pattern.subn(put, html)  # type: ignore[call-overload]
    if times != 1:
        raise FanlightError(
            "E-BUILD-009",
            f"the page has {times} places for its {what}.",
            expected=1,
            where="index.html",
            next="build the bundle again: its page was changed by hand",
        )
    return str(text)


def policy(script: str, style: str) -> str:
    """What a page in one file may do: run this script and this style, and connect to nothing."""
    return (
        f"default-src 'none'; script-src {_pin(script)} 'wasm-unsafe-eval'; "
        f"style-src {_pin(style)}; img-src blob: data:; media-src blob:; connect-src 'none'; "
        "worker-src blob:; base-uri 'none'; form-action 'none'"
    )


def _pin(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _inert(text: str, name: str) -> str:
    """`text`, which must not end the element that holds it."""
    if re.search(r"</(script|style)|<!--", text, re.I):
        raise FanlightError("E-BUILD-009", f"{name} holds a tag that would end it in HTML.")
    return text


def _read(path: Path, code: str) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, code, error) from None


def _unreadable(path: Path, code: str, error: Exception) -> FanlightError:
    return FanlightError(
        code,
        "a file of the bundle cannot be read.",
        where=str(path),
        expected="a text file in UTF-8",
        received=str(error),
        next="build the bundle again.",
    )


def _bytes(folder: Path, name: str) -> bytes:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise FanlightError(
            "E-BUNDLE-005",
            "a path leaves the bundle's folder.",
            where=str(folder),
            expected="a name inside the bundle",
            received=name,
            next="do not trust this bundle; build it again.",
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise FanlightError(
            "E-BUNDLE-003",
            "a file of the bundle is missing.",
            where=str(path),
            expected="a file that the manifest names",
            received=str(error),
            next="build the bundle again.",
        ) from None


def _data_url(folder: Path, name: str) -> str:
    kind = _TYPES.get(Path(name).suffix.lower(), "octet-stream")
    return f"data:image/{kind};base64,{base64.b64encode(_bytes(folder, name)).decode()}"

"""The files of a bundle that are not model: runtime, page, package.json, samples."""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fanlight.errors import FanlightError

HERE = Path(__file__).parent
RUNTIME = HERE / "runtime"
PAGES = HERE / "pages"

# What a page may load and do: its own files, WebAssembly, pictures and video from this device.
CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; "
    "worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'"
)
SAMPLE_SIDE = 512
MAX_SAMPLES = 12


def page_files(
    manifest: Mapping[str, Any],
    *,
    title: str | None = None,
    samples: Sequence[str | Path] = (),
) -> dict[str, bytes]:
    """path -> bytes of everything beside the model: the folder is page, npm package and CDN folder.

    Args:
        manifest: the manifest, for the title and for which page fits the task.
        title: heading of the page; default: the model's name.
        samples: pictures to offer on the page (scaled down to 512 px).
    """
    heading = title or manifest["name"]
    files: dict[str, bytes] = {}
    for source in sorted(RUNTIME.iterdir()):
        if source.name.endswith((".js", ".d.ts")):
            files[source.name] = source.read_bytes()
    kind = "classify" if manifest["task"] else "model"
    for source in sorted(PAGES.iterdir()):
        if source.suffix in (".css", ".js", ".svg"):
            files[source.name] = source.read_bytes()
    page = (PAGES / f"{kind}.html").read_text(encoding="utf-8")
    files["index.html"] = fill(page, {"title": heading, "csp": CSP}).encode()
    files["package.json"] = package_json(manifest)
    pictures = dict(_samples(samples))
    files["samples.json"] = json.dumps(sorted(pictures)).encode()
    return files | pictures


def fill(template: str, values: Mapping[str, str]) -> str:
    """`{{name}}` replaced by the escaped value; a name without a value is an error."""

    def replace(match: re.Match[str]) -> str:
        return html.escape(values[match.group(1)], quote=True)

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
        "sideEffects": ["./element.js"],
    }
    return (json.dumps(package, indent=2) + "\n").encode()


def _samples(paths: Sequence[str | Path]) -> list[tuple[str, bytes]]:
    """Each picture as a JPEG of at most 512 px, under a name made of its own."""
    if not paths:
        return []
    from PIL import Image, ImageOps

    made: list[tuple[str, bytes]] = []
    for path in list(paths)[:MAX_SAMPLES]:
        try:
            with Image.open(path) as image:
                picture = ImageOps.exif_transpose(image).convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise FanlightError(
                "E-BUILD-005",
                "a sample is not a picture.",
                where=path,
                expected="JPEG, PNG, WebP, GIF or BMP",
                received=str(error)[:200],
            ) from error
        picture.thumbnail((SAMPLE_SIDE, SAMPLE_SIDE))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=85)
        stem = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(path).stem)[:60] or "picture"
        made.append((f"samples/{len(made) + 1}-{stem}.jpg", buffer.getvalue()))
    return made

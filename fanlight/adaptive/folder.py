"""Write a folder of several bundles with one page and one runtime for all of them."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from fanlight.built import Bundle, place_of
from fanlight.bundle import BundleWriter, sha256
from fanlight.bundle.group import LISTS
from fanlight.errors import FanlightError
from fanlight.version import __version__
from fanlight.web.headers import host_files, hosts_named
from fanlight.web.shell import finish_site
from fanlight.web.site import page_files


@dataclass
class Part:
    """One of the bundles.

    Attributes:
        id: its name, and that of its sub-folder.
        bundle: what was built, in a folder that will be gone.
        figures: what the list of parts says of it beside what follows from the bundle.
    """

    id: str
    bundle: Bundle
    figures: dict[str, Any] = field(default_factory=dict)

    def entry(self) -> dict[str, Any]:
        """What the list of parts says of it: name, place and figures."""
        manifest = self.bundle.manifest
        task = manifest["task"] or {}
        weights = sum(shard["bytes"] for shard in manifest["weights"])
        size = task.get("preprocess", {}).get("size")
        return {
            "id": self.id,
            "url": f"{self.id}/",
            "precision": manifest["precision"],
            # f16 is how weights travel: what computes is the same as in f32.
            "arithmetic": "int8" if manifest["precision"] == "int8" else "float32",
            "size": size,
            "bytes": weights + max(m["bytes"] for m in manifest["modules"]),
            "flops": sum(kernel["flops"] for kernel in manifest["kernels"]),
            "memory": manifest["memory"]["pages"] * 65536,
            **self.figures,
        }


@dataclass(frozen=True)
class Page:
    """What the page of the folder says and offers; see `fl.build` for each."""

    title: str | None = None
    card: str = ""
    samples: Sequence[str | Path] = ()
    offline: bool = False
    isolate: bool = False
    headers: tuple[str, ...] = ()
    compress: bool = True
    lazy: bool = False


def page_of(
    title: str | None,
    card: str,
    samples: Sequence[str | Path],
    offline: bool,
    isolate: bool,
    headers: Sequence[str],
    compress: bool,
    lazy: bool,
) -> Page:
    """The page that was asked for, made sure of before anything is built.

    Raises:
        FanlightError: E-BUILD-005 an option is of another kind, or a host is unknown.
    """
    flags = {"offline": offline, "isolate": isolate, "compress": compress, "lazy": lazy}
    paths = isinstance(samples, Sequence) and not isinstance(samples, str | bytes)
    rules = (
        ("title", title, title is None or isinstance(title, str), "a text"),
        ("card", card, isinstance(card, str), "a text, in Markdown"),
        ("samples", samples, paths and all(isinstance(p, str | PathLike) for p in samples),
         "a list of paths of pictures"),
        *((name, flag, isinstance(flag, bool), "True or False") for name, flag in flags.items()),
    )  # fmt: skip
    for where, received, right, expected in rules:
        if not right:
            raise FanlightError(
                "E-BUILD-005",
                "this option of a page is wrong.",
                where=where,
                expected=expected,
                received=repr(received)[:80],
            )
    return Page(title, card, samples, headers=hosts_named(headers), **flags)


@contextmanager
def workshop(out: str | Path, what: str) -> Iterator[tuple[Path, Path]]:
    """The folder to write, and one beside nothing for what is built on the way; that one goes.

    Raises:
        FanlightError: E-BUILD-005 `out` is no path of a folder.
    """
    target = place_of(out)
    if target.suffix.lower() in (".html", ".htm"):
        raise FanlightError(
            "E-BUILD-005",
            f"a page in one file has no room for {what}.",
            where=target.name,
            expected="a folder to write to",
            received="a path of one file",
            next="write a folder, or build one model: fl.build(model, 'page.html').",
        )
    scratch = Path(tempfile.mkdtemp(prefix="fanlight-"))
    try:
        yield target, scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_folder(
    target: Path, kind: str, parts: Sequence[Part], data: Mapping[str, Any], page: Page
) -> None:
    """Put the bundles of `parts` in sub-folders of `target`, with a page, and list them.

    Args:
        kind: see `fanlight.bundle.group.LISTS`.
        data: what else the list says, at its top.

    Raises:
        FanlightError: E-BUILD-004 the folder cannot be written, or holds something else.
    """
    name, key = LISTS[kind]
    first = parts[0].bundle.manifest
    with BundleWriter(target) as writer:
        manifests = []
        for part in parts:
            files = _files(part.bundle)
            manifests.append(sha256(files["manifest.json"]))
            for path, contents in files.items():
                writer.add(f"{part.id}/{path}", contents)
        listed = {
            "fanlight": 1,
            "group": name,  # which file this is: a page may begin with it, or with manifest.json
            "kind": kind,
            "name": first["name"],
            "producer": f"fanlight {__version__}",
            # What a page remembers of this device is of these very bundles.
            "hash": hashlib.sha256("".join(manifests).encode()).hexdigest(),
            **data,
            key: [part.entry() for part in parts],
        }
        writer.add(name, json.dumps(listed, ensure_ascii=False, indent=1).encode())
        # The page knows where the list is: it need not look at the manifest first.
        pages = page_files(
            first,
            title=page.title,
            card=page.card,
            samples=page.samples,
            offline=page.offline,
            isolate=page.isolate,
            lazy=page.lazy,
            group=name,
        )
        pages |= host_files(page.headers, [*writer.files, *pages])
        for path, contents in pages.items():
            writer.add(path, contents)
        top = {"fanlight": 1, "name": first["name"], "producer": listed["producer"]}
        writer.add_manifest({**top, "group": name, "modules": [], "weights": []})
        finish_site(
            writer.folder,
            page.offline or page.isolate,
            page.offline,
            page.compress,
            spare=_spare(parts) if kind == "tiers" else (),
        )
        writer.commit()


def _spare(parts: Sequence[Part]) -> list[str]:
    """The tiers that a page without network may lack: all but the smallest download.

    That one is what tiers.js takes where nothing else is to be had, so it has to be the same.
    """
    least = min(parts, key=lambda part: part.entry()["bytes"])
    return [part.id for part in parts if part is not least]


def _files(bundle: Bundle) -> dict[str, bytes]:
    """path -> bytes of a bundle without a page and runtime of its own."""
    kept = {"graph.json": bundle.files.read_file("graph.json")}
    manifest = dict(bundle.manifest)
    manifest["files"] = {n: e for n, e in manifest["files"].items() if n in kept}
    for entry in (*manifest["modules"], *manifest["weights"]):
        kept[entry["path"]] = bundle.files.read(entry)
    text = json.dumps(manifest, ensure_ascii=False, separators=(",", ":"))
    return {"manifest.json": text.encode(), **kept}

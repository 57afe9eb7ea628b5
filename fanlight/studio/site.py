"""The folder of Studio: its page once, and a classifier that learns for each head."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fanlight.build import build
from fanlight.built import place_of
from fanlight.bundle import BundleWriter
from fanlight.errors import FanlightError
from fanlight.studio.backbone import Backbone, backbone_of
from fanlight.studio.heads import BATCH, MOST_CLASSES, Head, heads_for
from fanlight.studio.one_file import SCRIPT, pieces_of_studio
from fanlight.studio.shared import Made, made_of, write_heads
from fanlight.studio.templates import export_files
from fanlight.version import __version__
from fanlight.web.headers import CSP, host_files, hosts_named
from fanlight.web.modules import strip_comments
from fanlight.web.shell import (
    APP_LINKS,
    REGISTER_LINK,
    WEB_MANIFEST,
    app_files,
    finish_site,
    worker_files,
)
from fanlight.web.single_file import refuse_foreign, write_page
from fanlight.web.site import (
    PAGES,
    TRAIN,
    TRAIN_LATER,
    fill,
    refuse_in_one_file,
    runtime_files,
    tabs,
    train_files,
)

INDEX = "studio.json"
# What there is to know about the backbone: to be read, not by the page.
CARD = "model_card.md"
VERSION = 1
PAGE = PAGES.parent / "studio"
DIST = PAGE / "dist"
# A static import, as the bundler writes it.
_IMPORT = re.compile(r'(?:\bfrom|\bimport)\s*"\./([\w.-]+\.js)"')
LONGEST_TITLE = 200
# Of a head's page what is not Studio's, though it has the same name there.
_OWN = frozenset(("index.html", WEB_MANIFEST))
# What the page that a classifier is exported as never asks for: it learns nothing.
_LEARNS = frozenset(("training.json", "still.safetensors", *TRAIN, *TRAIN_LATER))


@dataclass(frozen=True)
class Studio:
    """A Studio that was written.

    Attributes:
        path: its folder, or its HTML file.
        backbone: what sees.
        heads: what can be learnt with.
        bytes: of a first visit's model, and of all.
    """

    path: Path
    backbone: Backbone
    heads: tuple[Head, ...]
    bytes: dict[str, int]


def studio(
    out: str | Path,
    backbone: Any = None,
    *,
    title: str = "Studio",
    unfreeze: Sequence[int] | None = None,
    heads: Sequence[str] | None = None,
    most_classes: int = MOST_CLASSES,
    input_range: Sequence[float] | None = None,
    resize: str | None = None,
    crop: str | None = None,
    compress: bool = True,
    headers: Sequence[str] = (),
    links: Mapping[str, str] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Studio:
    """Write the page in which visitors teach a classifier with photos of their own.

    Args:
        out: a folder to write; or FILE.html: one page that works from file://, without a network.
        backbone: a classifier that `fl.load_model` reads, or a model of layers: what it sees is
            kept, what it names is learnt anew. None: the model that ships.
        title: heading of the page.
        unfreeze: how many of the backbone's last layers may learn, too: the choices that the page
            offers. Default: 2, 4 and 6, as far as there are so many; in one file only the least.
        heads: those that the page offers: "linear", with which it begins, and "hidden" and
            "neighbours"; default: all.
        most_classes: as many as a page may have.
        input_range, resize, crop: as `fl.tasks.classify` takes them.
        compress: write FILE.br and FILE.gz beside what gets smaller by it, for hosts that send
            them. Not of one file.
        headers: static hosts to write headers files for, e.g. ["netlify"], or ["all"].
        links: this page ("./") and those beside it, shown as tabs: name -> relative URL.
        progress: called before each head is built, with its id, how many are done, and how many
            there are.

    Raises:
        FanlightError: E-STUDIO-001 the page's scripts were not bundled, E-STUDIO-002 the model is
            no backbone, E-STUDIO-003 an argument is wrong, E-BUILD-004 the folder or
            the file cannot be written, E-BUILD-005 a host is not known, or one file has no room.
    """
    target, hosts = place_of(out), hosts_named(headers)
    _check(title, unfreeze, most_classes)
    page = page_files(title, links)
    base = (
        backbone
        if isinstance(backbone, Backbone)
        else backbone_of(backbone, input_range=input_range, resize=resize, crop=crop)
    )
    one_file = target.suffix.lower() in (".html", ".htm")
    if one_file:
        refuse_in_one_file(target, False, False, bool(hosts))
        refuse_foreign(target)  # before anything is built
    offered = _offered(heads_for(base, unfreeze), heads, unfreeze is None and one_file)
    told = progress or (lambda name, done, count: None)
    if one_file:
        with tempfile.TemporaryDirectory(prefix="fanlight-studio-") as scratch:
            folder = Path(scratch) / "studio"
            sizes = _write(folder, base, offered, title, most_classes, page, told)
            write_page(pieces_of_studio(folder, PAGE, title), target)
        sizes["all"] = target.stat().st_size
    else:
        sizes = _write(
            target, base, offered, title, most_classes, page, told,
            shell=True, compress=compress, hosts=hosts,
        )  # fmt: skip
    told("", len(offered), len(offered))
    return Studio(target, base, tuple(offered), sizes)


def _offered(heads: list[Head], names: Sequence[str] | None, fewer: bool) -> list[Head]:
    """Those heads that a page offers; `fewer`: of those with layers of the backbone the first."""
    known = list(dict.fromkeys(head.head for head in heads))
    if names is not None and not ("linear" in names and set(names) <= set(known)):
        raise FanlightError(
            "E-STUDIO-003",
            "these are no heads.",
            where="heads",
            expected=f"linear, and any of {', '.join(known[1:])}",
            received=repr(names)[:80],
        )
    tuned = [head for head in heads if head.unfreeze]
    return [
        head
        for head in heads
        if (names is None or head.head in names) and not (fewer and head in tuned[1:])
    ]


def _write(
    target: Path,
    base: Backbone,
    heads: list[Head],
    title: str,
    most_classes: int,
    page: dict[str, bytes],
    told: Callable[[str, int, int], None],
    *,
    shell: bool = False,
    compress: bool = False,
    hosts: Sequence[str] = (),
) -> dict[str, int]:
    """Write the folder; `shell`: with what keeps it for visits without a network; `hosts`: with
    what tells them the headers to send.
    """
    with BundleWriter(target, INDEX) as writer, tempfile.TemporaryDirectory() as scratch:
        for path, data in page.items():
            writer.add(path, data)
        made = []
        for i, head in enumerate(heads):
            told(head.id, i, len(heads))
            made.append(_built(Path(scratch) / head.id, base, head, most_classes, page))
        written = write_heads(writer, made)
        entries = [
            {
                "id": head.id,
                "head": head.head,
                "unfreeze": head.unfreeze,
                "features": head.features,
                **written[head.id],
            }
            for head in heads
        ]
        form = base.form()
        if base.card:
            writer.add(CARD, base.card.encode())
        for path, data in host_files(hosts, writer.files).items():
            writer.add(path, data)
        writer.add_manifest(
            {
                "fanlight": 1,
                "version": VERSION,
                "producer": f"fanlight {__version__}",
                "title": title,
                "backbone": {
                    "name": base.name,
                    "size": list(base.size),
                    "form": form,
                },
                "mostClasses": most_classes,
                "heads": entries,
            }
        )
        whole = sum(file["bytes"] for file in writer.files.values())
        sizes = {"model": entries[0]["bytes"], "all": whole}
        # Everything is kept for visits without a network, also what is only exported with.
        if shell:
            finish_site(writer.folder, True, True, compress, exported=True)
        writer.commit()
    return sizes


def _check(title: Any, unfreeze: Any, most_classes: Any) -> None:
    """E-STUDIO-003 where one of them is wrong: before anything is read or built."""
    if not (type(most_classes) is int and 2 <= most_classes <= 1000):
        raise _wrong("most_classes", "a whole number from 2 to 1000", most_classes)
    if not (isinstance(title, str) and 0 < len(title.strip()) <= LONGEST_TITLE):
        raise _wrong("title", f"a text of 1 to {LONGEST_TITLE} characters", title)
    right = isinstance(unfreeze, list | tuple | range) and all(
        type(n) is int and n >= 0 for n in unfreeze
    )
    if unfreeze is not None and not right:
        raise _wrong("unfreeze", "a list of whole numbers, such as [2, 4]", unfreeze)


def _wrong(where: str, expected: str, received: Any) -> FanlightError:
    return FanlightError(
        "E-STUDIO-003",
        "this option of Studio is wrong.",
        where=where,
        expected=expected,
        received=repr(received)[:80],
    )


def _built(folder: Path, backbone: Backbone, head: Head, most: int, page: dict[str, bytes]) -> Made:
    """Build a head's bundle into `folder`, with what a page makes other forms of it from."""
    model = head.model(backbone)
    build(
        model,
        folder,
        task=replace(backbone.task, heat=True),
        train=head.training(),
        precision="f16",  # of what is frozen: half the download
        dims={"batch": BATCH, "classes": (2, most)},
        name=head.id,
        title="Classifier",
        offline=True,  # as is what it is exported as; export.js of the runtime lists its files
        compress=False,
    ).close()
    finish_site(folder, True, True, seen=lambda path: path not in _LEARNS)
    shared = page.keys() - _OWN
    return made_of(head.id, folder, export_files(model, folder), shared)


def _preloads(scripts: dict[str, bytes]) -> str:
    """Links to all that studio.js imports: else a browser learns of each only from the last one."""
    found: list[str] = []
    left = ["studio.js"]
    while left:
        text = scripts[left.pop()].decode()
        new = [n for n in _IMPORT.findall(text) if n in scripts and n not in found]
        found += new
        left += new
    return "".join(f'\n    <link rel="modulepreload" href="{name}">' for name in found)


def page_files(title: str, links: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """path -> bytes of the page: Studio's scripts, and the runtime.

    Raises:
        FanlightError: E-STUDIO-001.
    """
    made = sorted(DIST.glob("*")) if DIST.is_dir() else []
    if not any(file.name == "studio.js" for file in made):
        raise FanlightError(
            "E-STUDIO-001",
            "Studio's page was not bundled.",
            where=str(DIST.relative_to(PAGE.parent.parent.parent)),
            expected="studio.js and what it imports",
            received="no such file",
            next="in a checkout: make setup. Else install Fanlight again.",
        )
    index = fill(
        (PAGE / "index.html").read_text("utf-8"),
        {"title": title, "csp": CSP},
        raw={
            "head": _preloads({file.name: file.read_bytes() for file in made})
            + APP_LINKS
            + REGISTER_LINK,
            "tabs": tabs(title, links),
        },
    )
    files = runtime_files() | train_files() | worker_files()
    files |= app_files(title, description="Teach a model with your own photos, on your own device.")
    # Of the page that a classifier is exported as.
    files["page.js"] = strip_comments((PAGES / "classify.js").read_text("utf-8")).encode()
    files["page.css"] = (PAGES / "page.css").read_bytes()
    files |= {file.name: file.read_bytes() for file in made if file.name != SCRIPT}
    files["studio.css"] = (PAGE / "studio.css").read_bytes()
    return files | {"index.html": index.encode()}

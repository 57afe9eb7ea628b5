"""Bundle: a built model in Python, that runs on any host."""

from __future__ import annotations

import itertools
import json
import os
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fanlight import dtypes
from fanlight.bundle import BundleFiles, image_of, place_bytes, read_bundle
from fanlight.bundle.group import read_group
from fanlight.codegen.kernel import packing_by_name
from fanlight.codegen.plan import WEIGHTS_OFFSET
from fanlight.errors import FanlightError
from fanlight.graph import Graph, evaluate, parse
from fanlight.hosts.inputs import check_and_split
from fanlight.ops.types import TensorType

# What reading a graph.json raises that is JSON (or not), but not what `build` wrote.
_MALFORMED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
MAX_VALUE_BYTES = 4 << 30
HOSTS = ("wasm", "wasm-plain", "numpy", "browser")


def place_of(out: str | Path) -> Path:
    """Where a build is to write; E-BUILD-005 if it is no path."""
    if isinstance(out, str | os.PathLike) and "\0" not in str(out):
        return Path(out)
    raise FanlightError(
        "E-BUILD-005",
        "this is not a path to write to.",
        where="out",
        expected="a text, or a pathlib.Path: of a folder, or ending in .html",
        received=repr(out)[:80],
    )


class Bundle:
    """A bundle on disk, and the hosts that run it.

    Attributes:
        path: the folder (or the .html file that it was packed into).
        manifest: the checked manifest.
    """

    def __init__(self, path: Path, files: BundleFiles, source: Graph | None = None) -> None:
        self.path = path
        self.files = files
        self.manifest: dict[str, Any] = files.manifest
        self._source = source
        self._hosts: dict[str, Any] = {}

    def __repr__(self) -> str:
        task = self.manifest["task"]
        kind = "no task" if task is None else task["kind"]
        return f"<Bundle {self.name} ({kind}): {self.path}>"

    @property
    def name(self) -> str:
        return self.manifest["name"]

    @property
    def labels(self) -> list[str] | None:
        """The labels of a classifier, else None."""
        task = self.manifest["task"]
        return None if task is None else task["labels"]

    @property
    def graph(self) -> Graph:
        """The meaning: the graph that was built, or (from disk) the optimised one it holds."""
        if self._source is None:
            self._source = self._read_graph()
        return self._source

    def _read_graph(self) -> Graph:
        try:
            stored = json.loads(self.files.read_file("graph.json"))
            text, places = stored["text"], stored["weights"]
            region = self.manifest["memory"]["weights"]["bytes"]
            image = np.zeros(region, np.uint8)
            for shard in self.manifest["weights"]:
                start = shard["offset"] - WEIGHTS_OFFSET
                image[start : start + place_bytes(shard)] = image_of(shard, self.files.read(shard))
            return _agreeing(parse(text, _unpack(places, image)), self.manifest)
        except _MALFORMED as error:
            raise FanlightError(
                "E-BUNDLE-003",
                "graph.json of the bundle cannot be read.",
                where=self.path,
                expected="the graph that `fanlight build` wrote",
                received=f"{type(error).__name__}: {error}",
                next="build the bundle again.",
            ) from error

    def host(self, name: str = "wasm") -> Any:
        """The running host of this name; started on first use, kept until `close`."""
        if name not in self._hosts:
            self._hosts[name] = self._start(name)
        return self._hosts[name]

    def _start(self, name: str) -> Any:
        if name in ("wasm", "wasm-plain"):
            from fanlight.hosts.wasmtime import WasmtimeHost

            return WasmtimeHost(self.files, simd="plain" if name == "wasm-plain" else None)
        if name == "browser":
            from fanlight.hosts.browser import BrowserHost

            return BrowserHost(self.files.path)
        if name == "numpy":
            return _NumpyHost(self)
        raise FanlightError(
            "E-HOST-002",
            f"there is no host {name!r}.",
            where="host",
            expected=", ".join(HOSTS),
            received=name,
        )

    def run(self, inputs: Mapping[str, Any], *, host: str = "wasm") -> dict[str, np.ndarray]:
        """Run once. Arrays by input name -> arrays by output name.

        An image input takes RGB or RGBA uint8 [height, width, 3 or 4]. Inputs whose first dim was
        free in the source take a batch.
        """
        return self.host(host).run(inputs)

    def profile(self, inputs: Mapping[str, Any], *, host: str = "wasm") -> list[dict[str, Any]]:
        """Milliseconds per kernel on "wasm", "wasm-plain" or "browser"."""
        return self.host(host).profile(inputs)

    def close(self) -> None:
        """Stop the hosts that were started."""
        for host in self._hosts.values():
            host.close()
        self._hosts.clear()

    def __enter__(self) -> Bundle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _NumpyHost:
    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        items = check_and_split(self._bundle.manifest, inputs)
        results = [evaluate(self._bundle.graph, item) for item in items]
        return items.join(self._bundle.manifest, results)

    def close(self) -> None:
        """Nothing to free."""


def _agreeing(graph: Graph, manifest: Mapping[str, Any]) -> Graph:
    """The graph, if its ends are the manifest's and WebAssembly could hold its values."""
    ends = [
        [(v.name, v.dtype, [getattr(d, "name", d) for d in v.shape]) for v in graph.inputs],
        [(n, v.dtype, [getattr(d, "name", d) for d in v.shape]) for n, v in graph.outputs],
    ]
    for key, found in zip(("inputs", "outputs"), ends, strict=True):
        if found != [(t["name"], t["dtype"], t["shape"]) for t in manifest[key]]:
            raise ValueError(f"its {key} are not those of the manifest")
    for v in graph.values():
        if v.type.nbytes > MAX_VALUE_BYTES:
            raise ValueError(f"%{v.name} has {v.type.nbytes} bytes, more than WebAssembly can hold")
    return graph


def _unpack(places: Mapping[str, Any], image: np.ndarray) -> dict[str, np.ndarray]:
    """The graph's weights out of the weight image. Bounds are checked: the file may lie."""
    arrays: dict[str, np.ndarray] = {}
    for name, place in places.items():
        type = TensorType(tuple(map(int, place["shape"])), place["dtype"])
        packing = packing_by_name(place["packing"])
        start, size = place["offset"] - WEIGHTS_OFFSET, packing.nbytes(type)
        if not 0 <= start <= start + size <= image.size:
            raise ValueError(f"the weight {name} lies outside the weights")
        flat = image[start : start + size].view(dtypes.to_numpy(type.dtype))
        arrays[name] = packing.unpack(flat, type.bound)
    return arrays


def open_bundle(
    path: str | Path, *, source: Graph | None = None, tier: str | None = None
) -> Bundle:
    """Open a bundle folder, or a one-file page, that `build` wrote.

    Args:
        path: of it, or of one of several manifests in a folder: studio/models/linear.json.
        tier: of a folder of tiers or of a cascade, which part; default: the best model.

    Raises:
        FanlightError: E-BUNDLE-00x if it is missing or damaged, or has no such part.
    """
    try:
        path = Path(path)
    except TypeError:
        raise FanlightError(
            "E-BUNDLE-001",
            "this is not the path of a bundle.",
            where="path",
            expected="a text, or a pathlib.Path",
            received=repr(path)[:80],
        ) from None
    if path.suffix.lower() not in (".html", ".htm"):
        group = read_group(path)
        if group is not None:
            path = group.part(tier)
        elif tier is not None:
            raise FanlightError(
                "E-BUNDLE-006",
                "this folder holds one bundle, not several.",
                where=path,
                expected="no name of a part",
                received=repr(tier)[:80],
                next="leave tier out.",
            )
        return Bundle(path, read_bundle(path), source)
    # A page that holds everything: its parts go to a folder that lives as long as the bundle.
    scratch = tempfile.TemporaryDirectory(prefix="fanlight-")
    try:
        _unpack_page(path, Path(scratch.name))
        bundle = Bundle(path, read_bundle(scratch.name), source)
    except BaseException:
        scratch.cleanup()
        raise
    weakref.finalize(bundle, scratch.cleanup)
    return bundle


def _unpack_page(page: Path, folder: Path) -> None:
    from fanlight.web.single_file import files_of_page
    from fanlight.web.site import runtime_files

    for name, data in itertools.chain(files_of_page(page), runtime_files().items()):
        target = folder / name
        if not target.resolve().is_relative_to(folder.resolve()):
            raise FanlightError(
                "E-BUNDLE-005",
                "a path leaves the bundle's folder.",
                where=page,
                expected="a name inside the bundle",
                received=name,
                next="do not trust this bundle; build it again.",
            )
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        except OSError as error:
            raise FanlightError(
                "E-BUNDLE-003",
                "a part of the page cannot be unpacked.",
                where=f"{page}: {name[:100]}",
                expected="a name that a file can have, and free disk",
                received=error.strerror,
                next="build the page again.",
            ) from error

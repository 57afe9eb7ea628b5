"""Read a bundle folder: the manifest is checked against the schema, every file against its hash."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from fanlight import dtypes
from fanlight.bundle.halves import GROUP_BYTES, is_half, place_bytes
from fanlight.bundle.schema import fault
from fanlight.bundle.write import MANIFEST, sha256
from fanlight.errors import FanlightError

MANIFEST_LIMIT = 64 << 20
PAGE = 65536
CONTROL_BYTES = 256
LOW_BYTES = 1024  # below lies what hosts and threads say to each other
HEADER_BYTES = 8  # of every WASM module


@functools.cache
def schema() -> dict[str, Any]:
    """The JSON Schema of manifest.json."""
    return json.loads(Path(__file__).with_name("manifest.schema.json").read_text())


@dataclass(frozen=True)
class BundleFiles:
    """A bundle on disk: its folder, its checked manifest and what the file of that is called."""

    folder: Path
    manifest: dict[str, Any]
    name: str = MANIFEST

    @property
    def path(self) -> Path:
        """Where the manifest is."""
        return self.folder / self.name

    def read(self, entry: dict[str, Any], path: str | None = None) -> bytes:
        """The bytes of a file named by a manifest entry; E-BUNDLE-003 if they are not its bytes."""
        name = path or entry["path"]
        target = self.folder / name
        if not target.resolve().is_relative_to(self.folder.resolve()):
            raise FanlightError(
                "E-BUNDLE-005",
                "a path leaves the bundle's folder.",
                where=self.folder,
                expected="a name inside the bundle",
                received=name,
                next="do not trust this bundle; build it again.",
            )
        try:
            size = target.stat().st_size
            data = target.read_bytes() if size == entry["bytes"] else b""
        except OSError as error:
            raise FanlightError(
                "E-BUNDLE-003",
                "a file of the bundle is missing.",
                where=target,
                expected=f"{entry['bytes']} bytes",
                received=error.strerror or "nothing",
                next="build the bundle again.",
            ) from error
        if size != entry["bytes"] or sha256(data) != entry["sha256"]:
            raise FanlightError(
                "E-BUNDLE-003",
                "a file of the bundle is truncated or was changed.",
                where=target,
                expected=f"{entry['bytes']} bytes, sha256 {entry['sha256'][:16]}...",
                received=f"{size} bytes"
                + (f", sha256 {sha256(data)[:16]}..." if size == entry["bytes"] else ""),
                next="build the bundle again.",
            )
        return data

    def read_file(self, path: str) -> bytes:
        """The bytes of a file listed under `files`."""
        entry = self.manifest["files"].get(path)
        if entry is None:
            raise FanlightError(
                "E-BUNDLE-003",
                f"the bundle has no file {path}.",
                where=self.folder,
                expected=f"{path} among the files of its manifest",
                received="nothing of this name",
                next="build the bundle again.",
            )
        return self.read(entry, entry.get("path", path))


def read_bundle(folder: str | Path) -> BundleFiles:
    """Open a bundle folder and check its manifest (not yet the other files).

    Args:
        folder: or the path of a manifest, of which a folder may have several: linear.json.

    Raises:
        FanlightError: E-BUNDLE-001 no manifest, -002 not to the schema, -004 a newer protocol.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if folder.suffix == ".json" and folder.is_file():
        folder, path = folder.parent, folder
    try:
        if path.stat().st_size > MANIFEST_LIMIT:
            raise FanlightError(
                "E-BUNDLE-002",
                "manifest.json is too large.",
                where=path,
                expected=f"at most {MANIFEST_LIMIT >> 20} MiB",
                received=f"{path.stat().st_size >> 20} MiB",
            )
        manifest = json.loads(path.read_bytes())
    except OSError as error:
        raise FanlightError(
            "E-BUNDLE-001",
            "there is no bundle here.",
            where=folder,
            expected=f"a folder with {MANIFEST}",
            received=error.strerror or str(error),
            next="make one with `fanlight build SRC -o OUT_DIR`.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise FanlightError(
            "E-BUNDLE-002",
            "manifest.json is not JSON.",
            where=path,
            expected="the manifest that `fanlight build` wrote",
            received=str(error)[:200],
            next="build the bundle again.",
        ) from error
    check_manifest(manifest, path)
    return BundleFiles(folder, manifest, path.name)


def check_manifest(manifest: Any, where: object) -> None:
    """Check a manifest against the schema, and its addresses against its memory."""
    version = manifest.get("fanlight") if isinstance(manifest, dict) else None
    if isinstance(version, int) and version > 1:
        raise FanlightError(
            "E-BUNDLE-004",
            "this bundle was written by a newer Fanlight.",
            where=where,
            expected="protocol 1",
            received=f"protocol {version}",
            next="upgrade Fanlight.",
        )
    if isinstance(manifest, dict) and isinstance(manifest.get("group"), str):
        raise FanlightError(
            "E-BUNDLE-006",
            "this folder holds several bundles, in sub-folders.",
            where=where,
            expected="the folder of one of them",
            received=f"the folder that {manifest['group'][:80]} is in",
            next="name one: fl.open_bundle(folder, tier=...), or give its sub-folder.",
        )
    first = fault(manifest, schema())
    if first is not None:
        raise FanlightError(
            "E-BUNDLE-002",
            "the manifest does not follow its schema.",
            where=f"{where}: {'/'.join(map(str, first.path)) or 'top level'}",
            expected=str(first.expected)[:200],
            received=str(first.received)[:200],
            next="build the bundle again.",
        )
    _check_names(manifest, where)
    for shard in filter(is_half, manifest["weights"]):
        if shard["bytes"] % GROUP_BYTES:
            raise FanlightError(
                "E-BUNDLE-002",
                "a float16 shard is not of whole groups.",
                where=f"{where}: {shard['path']}",
                expected=f"a multiple of {GROUP_BYTES} bytes",
                received=shard["bytes"],
                next="build the bundle again.",
            )
    for module in manifest["modules"]:
        _check_threads(module, where)
    for tensor in (*manifest["inputs"], *manifest["outputs"]):
        _check_tensor(tensor, manifest["dims"], where)
    _check_dims(manifest, where)
    end = manifest["memory"]["pages"] * PAGE
    spans = [(t["name"], t["offset"], t["bytes"]) for t in manifest["inputs"]]
    spans += [(t["name"], t["offset"], t["bytes"]) for t in manifest["outputs"]]
    spans += [(s["path"], s["offset"], place_bytes(s)) for s in manifest["weights"]]
    spans += [(n, d["offset"], 4) for n, d in manifest["dims"].items()]
    spans += [
        (c["name"], c["offset"], 4) for m in manifest["modules"] for c in m.get("choices", ())
    ]
    spans += [
        (f"the control block of {m['path']}", m["threads"]["control"], CONTROL_BYTES)
        for m in manifest["modules"]
        if m["threads"]
    ]
    spans += [
        (n, manifest["memory"][n]["offset"], manifest["memory"][n]["bytes"])
        for n in ("weights", "arena")
    ]
    for name, offset, size in spans:
        if offset + size > end:
            raise FanlightError(
                "E-BUNDLE-002",
                f"{name} lies outside the memory.",
                where=where,
                expected=f"at most {end}",
                received=offset + size,
            )


def _check_threads(module: dict[str, Any], where: object) -> None:
    """The byte that makes a module's memory a shared one is inside it; its words are aligned."""
    threads = module["threads"]
    if not threads:
        return
    if not HEADER_BYTES < threads["flags"] < module["bytes"] or threads["control"] % 64:
        raise FanlightError(
            "E-BUNDLE-002",
            "the entry for threads does not fit its module.",
            where=f"{where}: {module['path']}",
            expected=f"flags within {module['bytes']} bytes, control a multiple of 64",
            received=f"flags {threads['flags']}, control {threads['control']}",
            next="build the bundle again.",
        )


def _check_names(manifest: dict[str, Any], where: object) -> None:
    """Inputs and outputs have names of their own, and the task speaks of those that there are."""
    inputs, outputs = ([t["name"] for t in manifest[key]] for key in ("inputs", "outputs"))
    faults = [n for names in (inputs, outputs) for n in names if names.count(n) > 1][:1]
    task = manifest["task"] or {}
    faults += [task[role] for role in ("image",) if role in task and task[role] not in inputs]
    scores = ("scores", "top_scores", "top_indices", "heat")
    faults += [task[role] for role in scores if role in task and task[role] not in outputs]
    if not faults and "labels" in task:
        _check_labels(manifest, task, where)
    if faults:
        raise FanlightError(
            "E-BUNDLE-002",
            "a name of the manifest stands for no tensor, or for two.",
            where=where,
            expected=f"inputs {', '.join(inputs)}; outputs {', '.join(outputs)}"[:500],
            received=faults[0],
            next="build the bundle again.",
        )


def _check_labels(manifest: dict[str, Any], task: dict[str, Any], where: object) -> None:
    """A classifier has one label per score, of as many as there are until a page changes that."""
    scores = next(t for t in manifest["outputs"] if t["name"] == task["scores"])
    dims = manifest["dims"]
    count = prod(
        dims.get(d, {}).get("size", 0) if isinstance(d, str) else d for d in scores["shape"]
    )
    if len(task["labels"]) != count:
        raise FanlightError(
            "E-BUNDLE-002",
            "the manifest does not have one label per score.",
            where=where,
            expected=f"{count} labels",
            received=f"{len(task['labels'])} labels",
            next="build the bundle again.",
        )


def _check_dims(manifest: dict[str, Any], where: object) -> None:
    """Every size is known from an input, or told; and stands in a word below the weights."""
    known = {d for t in manifest["inputs"] for d in t["shape"]}
    known |= {name for name, d in manifest["dims"].items() if "size" in d}
    unknown = [d for t in manifest["outputs"] for d in t["shape"] if d not in known]
    free = [d for d in unknown if isinstance(d, str)]
    below = manifest["memory"]["weights"]["offset"] - 4
    stray = [
        f"{name} at {d['offset']}"
        for name, d in manifest["dims"].items()
        if d["offset"] % 4
        or not LOW_BYTES <= d["offset"] <= below
        or not d["min"] <= d.get("size", d["min"]) <= d["max"]
    ]
    offsets = [d["offset"] for d in manifest["dims"].values()]
    stray += [f"two at {offset}" for offset in offsets if offsets.count(offset) > 1][:1]
    if free or stray:
        raise FanlightError(
            "E-BUNDLE-002",
            "a symbolic dim of the manifest is not as a build writes it.",
            where=where,
            expected=f"dims of inputs, sizes in words of {LOW_BYTES} to {below}, min below max",
            received=", ".join([*free, *stray])[:200],
            next="build the bundle again.",
        )


def _check_tensor(tensor: dict[str, Any], dims: dict[str, Any], where: object) -> None:
    """The bytes of a tensor are those of its shape, symbols at their bound."""
    size = dtypes.size(tensor["dtype"])
    for d in tensor["shape"]:
        if isinstance(d, str) and d not in dims:
            raise FanlightError(
                "E-BUNDLE-002",
                f"{tensor['name']} has a dim that the manifest does not declare.",
                where=where,
                expected=", ".join(dims) or "numbers only",
                received=d,
            )
        size *= dims[d]["max"] if isinstance(d, str) else d
    if size != tensor["bytes"]:
        raise FanlightError(
            "E-BUNDLE-002",
            f"{tensor['name']} does not have the bytes of its shape.",
            where=where,
            expected=size,
            received=tensor["bytes"],
        )

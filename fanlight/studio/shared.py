"""What the classifiers of one Studio have in common: it stands in their folder once.

All of them lie in one folder, each with a manifest of its own, and a file is called by what is in
it. The backbone's weights are cut where one head has other ones than the next, so that equal
parts are equal files.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.bundle import BundleWriter, sha256
from fanlight.bundle.halves import GROUP_BYTES, is_half
from fanlight.bundle.write import MANIFEST, filled

FOLDER = "models/"
# Bytes below which a part is not worth a file of its own.
LEAST = 64 << 10
_DIGITS = 16  # of a hash in a name
# What a build puts behind the kind of a file: its number, and its hash.
_OWN_NAME = re.compile(r"(-\d+)?-[0-9a-f]{8}(?=\.)")


@dataclass(frozen=True)
class Made:
    """A classifier that was built.

    Attributes:
        id: of its head.
        manifest: of its bundle.
        folder: of its bundle.
        files: path -> bytes of what stands beside the model, and not at the root of Studio.
    """

    id: str
    manifest: dict[str, Any]
    folder: Path
    files: Mapping[str, bytes]

    def shard(self, entry: Mapping[str, Any]) -> bytes:
        """The bytes of one of its files of weights."""
        return (self.folder / entry["path"]).read_bytes()


def made_of(head: str, folder: Path, beside: Mapping[str, bytes], page: Collection[str]) -> Made:
    """The bundle in `folder`, with what stands `beside` it; the paths of `page` are not its own."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    apart = {MANIFEST} | {e["path"] for e in manifest["weights"]} | set(page)
    own = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    files = {n: p.read_bytes() for n, p in own.items() if p.is_file() and n not in apart}
    return Made(head, manifest, folder, {**files, **beside})


def write_heads(writer: BundleWriter, heads: Sequence[Made]) -> dict[str, dict[str, Any]]:
    """Write the classifiers into `models/`, what several of them have once.

    Returns:
        head -> where its manifest is, where what stands beside it is, and the bytes of its model.
    """
    ends, tensors = _ends(heads), _common_tensors(heads)
    found = {}
    for made in heads:
        # Paths are as they are seen from the manifest.
        places = {name: _add(writer, name, data) for name, data in sorted(made.files.items())}
        shards = []
        for entry, data in _pieces(made, ends, tensors):
            path = _add(writer, "weights.bin", data)
            about = {"path": path, "bytes": len(data), "sha256": sha256(data)}
            shards.append({**entry, **about})
        manifest = {**made.manifest, "weights": shards}
        modules = [{**m, "path": places[m["path"]]} for m in manifest["modules"]]
        manifest |= {
            "modules": modules,
            "files": {
                name: {**entry, "path": places[name]} if name in places else entry
                for name, entry in manifest["files"].items()
            },
        }
        url = f"{FOLDER}{made.id}.json"
        text = json.dumps(manifest, ensure_ascii=False, separators=(",", ":"))
        writer.add(url, text.encode())
        named = {m["path"] for m in made.manifest["modules"]}
        found[made.id] = {
            "url": url,
            "files": {n: FOLDER + path for n, path in places.items() if n not in named},
            "bytes": sum(entry["bytes"] for entry in (*shards, modules[0])),
        }
    return found


def _add(writer: BundleWriter, name: str, data: bytes) -> str:
    """Write a file under a name that its contents have; one that is there is that file."""
    plain = Path(_OWN_NAME.sub("", Path(name).name))
    path = f"{plain.stem}-{sha256(data)[:_DIGITS]}{plain.suffix}"
    if FOLDER + path not in writer.files:
        writer.add(FOLDER + path, data)
    return path


def _ends(heads: Sequence[Made]) -> list[int]:
    """Where what travels as float16 is cut, in bytes: as far as any two of them are alike.

    And where a build has cut it, so that this is at the same places in all.
    """
    found, streams = set(), []
    for made in heads:
        shards = [made.shard(entry) for entry in made.manifest["weights"] if is_half(entry)]
        found |= set(accumulate(len(data) for data in shards[:-1]))
        streams.append(b"".join(shards))
    found |= {_alike(one, other) for one, other in combinations(streams, 2)}
    return sorted(n for n in found if n >= LEAST)


def _alike(one: bytes, other: bytes) -> int:
    """As many bytes as both begin with, in whole groups."""
    size = min(len(one), len(other))
    differ = np.frombuffer(one, np.uint8, size) != np.frombuffer(other, np.uint8, size)
    first = int(differ.argmax()) if differ.any() else size
    return first // GROUP_BYTES * GROUP_BYTES


def _tensors(made: Made, entry: Mapping[str, Any], data: bytes) -> Iterator[tuple[int, int]]:
    """Where in a shard the large ones are of what learns: begin and end."""
    begin = entry["offset"]
    for kept in json.loads(made.files["training.json"])["state"]:
        start = kept["offset"] - begin
        if kept["bytes"] >= LEAST and 0 <= start and start + kept["bytes"] <= len(data):
            yield start, start + kept["bytes"]


def _common_tensors(heads: Sequence[Made]) -> set[str]:
    """Hashes of what several of them learn from the same numbers on."""
    counted: Counter[str] = Counter()
    for made in heads:
        own = set()
        for entry in made.manifest["weights"]:
            data = made.shard(entry)
            if not is_half(entry):
                own |= {sha256(data[a:b]) for a, b in _tensors(made, entry, data)}
        counted.update(own)
    return {digest for digest, count in counted.items() if count > 1}


def _pieces(
    made: Made, ends: Sequence[int], tensors: set[str]
) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The weights anew: entry with its offset, and bytes; without long runs of zeros."""
    begun = 0  # in all that travels as float16
    for entry in made.manifest["weights"]:
        data = made.shard(entry)
        wide = 2 if is_half(entry) else 1  # bytes in memory for each
        if is_half(entry):
            cuts = {end - begun for end in ends if begun < end < begun + len(data)}
            begun += len(data)
        else:
            spans = _tensors(made, entry, data)
            cuts = {at for a, b in spans if sha256(data[a:b]) in tensors for at in (a, b)}
        bounds = sorted({0, len(data), *cuts})
        for low, high in pairwise(bounds):
            for at, part in filled(np.frombuffer(data[low:high], np.uint8)):
                yield {**entry, "offset": entry["offset"] + wide * (low + at)}, part.tobytes()

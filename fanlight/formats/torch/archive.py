"""A .pt2 file of torch.export.save: a zip of JSON and raw weights, read without torch.

    <root>/models/model.json                        the graph (program.py)
    <root>/data/weights/model_weights_config.json   fqn -> file, dtype, sizes, strides
    <root>/data/weights/weight_0, ...               raw storages
    <root>/data/constants/...                       the same for tensors that are no parameters

Pickles are never opened: entries that need one are refused.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats import zips
from fanlight.formats.emitter import MAX_TENSOR_BYTES
from fanlight.formats.files import Mapped
from fanlight.formats.jsonfile import MAX_BYTES, expect, parse_json

_MAX_MEMBERS = 100_000
_WRITER = "PyTorch"
# ScalarType of torch's serializer -> how its bytes lie; bfloat16 is widened here.
_STORED: dict[int, str] = {
    1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 6: "<f2", 7: "<f4", 8: "<f8",
    10: "<c8", 11: "<c16", 12: "?", 13: "<u2", 28: "<u2", 34: "<u4",
}  # fmt: skip
_BFLOAT16 = 13
_SPARE = 1 << 28
_LARGE = 1 << 20
_SAVE = "save the program with a newer PyTorch (2.8 or later): torch.export.save(program, path)"


class Archive:
    """An opened .pt2 file: its model and its tensors, read one by one."""

    def __init__(self, file: zipfile.ZipFile, path: Path) -> None:
        self.file = file
        self.path = path
        self.members = zips.members(file, path, _WRITER, _MAX_MEMBERS)
        self.root = _root(self.members, path)
        self.mapped = Mapped(path, "E-FORMAT-001", "the program")
        self._configs: dict[str, dict[str, Any]] = {}
        # Tensors may share bytes and repeat them (a stride of 0), but not without end.
        self._room = 4 * sum(m.file_size for m in self.members.values()) + _SPARE

    def model(self) -> dict[str, Any]:
        """The parsed JSON of the program."""
        names = [
            n for n in self.members if n.startswith(f"{self.root}models/") and n.endswith(".json")
        ]
        name = f"{self.root}models/model.json"
        if name not in names and len(names) == 1:
            name = names[0]
        if name not in names:
            raise FanlightError(
                "E-FORMAT-020",
                "the archive holds no exported program.",
                where=self.path,
                expected="models/model.json",
                received=", ".join(names[:8] or list(self.members)[:8]),
                next=_SAVE + ".",
            )
        self.name = name[len(f"{self.root}models/") : -len(".json")]
        model: dict[str, Any] = expect(
            parse_json(self.read(name, MAX_BYTES), f"{name} in {self.path}"), dict, name, self.path
        )
        return model

    def tensor(self, fqn: str, kind: str) -> np.ndarray:
        """The weight or constant called `fqn`; kind is "weights" or "constants"."""
        folder = f"{self.root}data/{kind}/"
        entry = self._config(folder, kind).get(fqn)
        where = f"{kind} {fqn!r} of {self.path}"
        if entry is None:
            raise FanlightError(
                "E-FORMAT-011",
                f"the program needs a tensor that is not among its {kind}.",
                where=where,
                expected=f"an entry {fqn!r} in {folder}{self.name}_{kind}_config.json",
                received=f"{len(self._config(folder, kind))} others",
                next="save the program again.",
            )
        entry = expect(entry, dict, "an entry", where)
        if entry.get("use_pickle"):
            raise FanlightError(
                "E-FORMAT-008",
                "a tensor is stored as a Python pickle, which can run any program when opened.",
                where=where,
                expected="raw bytes",
                received="use_pickle: true",
                next="make the tensor an ordinary one (module.to('cpu'), .contiguous()) and save "
                "again; or give the live program to fl.from_torch.",
            )
        file = folder + str(entry.get("path_name"))
        if file not in self.members:
            raise FanlightError(
                "E-FORMAT-006",
                "the bytes of a tensor are missing.",
                where=where,
                expected=file,
                received=f"{len(self.members)} other files in the archive",
                next="save the program again, or download it again.",
            )
        meta = expect(entry.get("tensor_meta"), dict, "tensor_meta", where)
        # What is read counts, too: thousands of tensors may be of the same bytes.
        self._take(self.members[file].file_size, where)
        data = self._bytes(file)
        made = strided(data, meta, where)
        self._take(max(0, made.nbytes - 2 * len(data)), where)
        return made

    def _take(self, size: int, where: str) -> None:
        self._room -= size
        if self._room < 0:
            raise FanlightError(
                "E-FORMAT-023",
                "the tensors of the program are together far larger than their bytes.",
                where=where,
                expected="tensors that share or repeat bytes a few times",
                received="more than four times the archive",
                next="save the program again with ordinary tensors: .contiguous(), .clone().",
            )

    def _config(self, folder: str, kind: str) -> dict[str, Any]:
        if kind not in self._configs:
            name = f"{folder}{self.name}_{kind}_config.json"
            found: dict[str, Any] = {}
            if name in self.members:
                text = parse_json(self.read(name, MAX_BYTES), f"{name} in {self.path}")
                text = expect(text, dict, name, self.path)
                found = expect(text.get("config", {}), dict, '"config"', name)
            self._configs[kind] = found
        return self._configs[kind]

    def _bytes(self, name: str) -> bytes | memoryview:
        """The bytes of a tensor; those of a large one where they lie in the file."""
        info = self.members[name]
        if info.file_size >= _LARGE:
            found = zips.mapped(info, self.path, self.mapped, _WRITER, MAX_TENSOR_BYTES)
            if found is not None:
                return found
        return self.read(name, MAX_TENSOR_BYTES)

    def read(self, name: str, limit: int) -> bytes:
        """The bytes of a member, its size checked before anything is unpacked."""
        return zips.read(self.file, self.members[name], self.path, _WRITER, limit)


def strided(data: bytes | memoryview, meta: Mapping[str, Any], where: str) -> np.ndarray:
    """The tensor that `meta` (dtype, sizes, strides, storage_offset) cuts out of a storage."""
    code = meta.get("dtype")
    stored = _STORED.get(code) if isinstance(code, int) else None
    if stored is None:
        raise FanlightError(
            "E-FORMAT-008",
            "a tensor has a dtype that Fanlight does not read.",
            where=where,
            expected="floats of 16, 32 or 64 bits, bfloat16, whole numbers, bool or complex64",
            received=f"ScalarType {code!r}",
            next="save the model in float32: module.float().",
        )
    sizes = [_size(d, where) for d in expect(meta.get("sizes"), list, "sizes", where)]
    strides = [_size(d, where) for d in expect(meta.get("strides"), list, "strides", where)]
    offset = _size(meta.get("storage_offset", {"as_int": 0}), where)
    kind = np.dtype(stored)
    items = len(data) // kind.itemsize
    count = math.prod(sizes)
    last = offset + sum((d - 1) * s for d, s in zip(sizes, strides, strict=False))
    if len(sizes) != len(strides) or len(sizes) > 32 or (count and last >= items):
        raise FanlightError(
            "E-FORMAT-007",
            "the bytes of a tensor are not those that its sizes and strides need.",
            where=where,
            expected=f"sizes {sizes[:8]} with strides {strides[:8]}",
            received=f"{items:,} elements",
            next="save the program again, or download it again.",
        )
    # A stride of 0 repeats elements: a few bytes may not become gigabytes.
    if count > max(items, 1 << 24):
        raise FanlightError(
            "E-FORMAT-023",
            "a tensor is far larger than its bytes.",
            where=where,
            expected=f"at most {max(items, 1 << 24):,} elements",
            received=f"{count:,}",
        )
    flat = np.frombuffer(data, kind, items)
    if code == _BFLOAT16:
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    if not count:
        return np.zeros(sizes, flat.dtype)
    step = flat.dtype.itemsize
    view = np.lib.stride_tricks.as_strided(
        flat[offset:], sizes, [s * step for s in strides], writeable=False
    )
    return np.require(view, requirements=("C", "A")).reshape(sizes)


def _size(value: Any, where: str) -> int:
    number = value.get("as_int") if isinstance(value, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 40:
        raise FanlightError(
            "E-FORMAT-005",
            "a size or stride of a tensor is none.",
            where=where,
            expected='{"as_int": a whole number from 0 on}',
            received=repr(value)[:80],
        )
    return number


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """The archive; whatever zipfile raises becomes E-FORMAT-020."""
    try:
        with zipfile.ZipFile(path) as file:
            yield Archive(file, path)
    except FanlightError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError,
            UnicodeDecodeError) as error:  # fmt: skip
        if isinstance(error, RecursionError):
            raise
        raise FanlightError(
            "E-FORMAT-020",
            "the .pt2 archive is damaged or is not one.",
            where=path,
            expected="a zip that torch.export.save wrote",
            received=f"{type(error).__name__}: {error}"[:300],
            next="save the program again, or download it again.",
        ) from None


def _root(members: Mapping[str, zipfile.ZipInfo], path: Path) -> str:
    """The folder in which everything lies, with its slash; older layouts are refused."""
    first = next(iter(members), "")
    root = first.split("/")[0] + "/" if "/" in first else ""
    names = {n.rsplit("/", 1)[-1] for n in members}
    if any(n.startswith(f"{root}models/") for n in members):
        return root
    if "serialized_exported_program.json" in names:
        raise FanlightError(
            "E-FORMAT-020",
            "the .pt2 file is of PyTorch before 2.8, whose weights are Python pickles.",
            where=path,
            expected="models/model.json and raw weights",
            received="serialized_exported_program.json and serialized_state_dict.pt",
            next=_SAVE + ", or give the loaded program to fl.from_torch: "
            "fl.from_torch(torch.export.load(path)).",
        )
    pickled = any(n == "data.pkl" or n.endswith(".pkl") for n in names)
    raise FanlightError(
        "E-FORMAT-020",
        "the file is a PyTorch pickle, which can run any program when opened."
        if pickled
        else "the archive is no program of torch.export.",
        where=path,
        expected="models/model.json",
        received=", ".join(list(members)[:8]) or "an empty archive",
        next="export the model: torch.export.save(torch.export.export(model.eval(), inputs), "
        "'model.pt2').",
    )

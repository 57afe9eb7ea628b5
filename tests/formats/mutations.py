"""Changes to the files of models, from flipped bytes to fields that mean something else."""

from __future__ import annotations

import io
import json
import random
import zipfile
from typing import Any

import h5py
import numpy as np

import fanlight.formats.keras.model
import fanlight.formats.onnx.reader
import fanlight.formats.tfgraph.reader
import fanlight.formats.torch.reader  # noqa: F401  (all four fill their tables)
from fanlight.bundle import sha256
from fanlight.formats.keras.call import LAYERS
from fanlight.formats.onnx.call import HANDLERS as ONNX
from fanlight.formats.savedmodel.leveldb import read_table
from fanlight.formats.tfgraph.call import HANDLERS as TENSORFLOW
from fanlight.formats.torch.call import HANDLERS as TORCH
from tests.formats import savedmodels, test_graph_fuzz, tflite_writer
from tests.formats.reader_seeds import Case
from tests.formats.test_fuzz import at, damage, mutate, places
from tests.formats.test_tflite_bad import random_graph

# Names that mean something to a reader, each to be taken for another of its family.
FAMILIES = [
    sorted(LAYERS), sorted(TENSORFLOW), sorted(ONNX), [f"torch.ops.{n}" for n in sorted(TORCH)],
    ["float32", "int32", "uint8", "bool", "string", "complex64", "float16"],
    ["DT_FLOAT", "DT_INT32", "DT_BOOL", "DT_STRING", "DT_INT64", "DT_HALF", "DT_RESOURCE"],
    ["F32", "F16", "BF16", "I32", "I64", "U8", "BOOL", "F64"],
]  # fmt: skip
FAMILY = {word: family for family in reversed(FAMILIES) for word in family}
NUMBERS = [0, 1, 2, 3, 7, 16, 127, 128, 255, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1,
           1 << 40, (1 << 63) - 1, (1 << 64) - 1]  # fmt: skip
PATHS = ["../m", "/etc/passwd", "a/../../m", "..\\m", "", "\0", "m" * 300]


def mutated(case: Case, steps: list[int]) -> Case:
    """The case after one change for each step, which is the seed of that change."""
    made = dict(case)
    for step in steps:
        rng = random.Random(step)
        names = sorted(n for n in made if made[n])
        if not names:
            break
        # The first file by name is no better than others, but what describes a model is.
        name = rng.choice([*names, *(n for n in names if n.endswith((".json", ".pb", ".index")))])
        if rng.random() < 0.02:
            del made[name]
        else:
            made[name] = _file(name, made[name], rng)
            _signed(made, name)
    return made


def _file(name: str, data: bytes, rng: random.Random) -> bytes:
    way = next((w for end, w in WAYS if name.endswith(end)), None)
    if way is None or rng.random() < 0.15:
        return _bytes(data, rng)
    try:
        return way(data, rng)
    except Exception:
        return _bytes(data, rng)  # it is too broken already to be understood


def _bytes(data: bytes, rng: random.Random) -> bytes:
    """Any bytes; now and then a number of 4 or 8 bytes at a place where numbers stand."""
    if rng.random() < 0.6 or len(data) < 16:
        return damage(data, rng)
    raw = bytearray(data)
    size = rng.choice([4, 8])
    for _ in range(rng.randint(1, 3)):
        where = rng.randrange(0, len(raw) - 8) // 4 * 4
        other = rng.randrange(0, len(raw) - 8) // 4 * 4
        value = rng.choice(NUMBERS) & ((1 << 8 * size) - 1)
        moved = [value.to_bytes(size, "little"), bytes(raw[other : other + size])]
        raw[where : where + size] = rng.choice(moved)
    return bytes(raw)


def _json(data: bytes, rng: random.Random) -> bytes:
    model = json.loads(data)
    if "modelTopology" in model and "node" in model["modelTopology"] and rng.random() < 0.4:
        return json.dumps(test_graph_fuzz.mutated(model, rng)).encode()
    words = [p for p in places(model) if isinstance(at(model, p), str) and at(model, p) in FAMILY]
    if words and rng.random() < 0.3:
        *lead, last = rng.choice(words)
        parent = at(model, tuple(lead))
        parent[last] = rng.choice(FAMILY[parent[last]])
    else:
        mutate(model, rng)
    return json.dumps(model).encode()


def _proto(data: bytes, rng: random.Random) -> bytes:
    """A protocol buffer, at some depth: fields repeated, left out, swapped or made extreme."""
    fields = _fields(data)
    if not fields:
        return _leaf(data, rng)
    inner = [i for i, (_, wire, value) in enumerate(fields) if wire == 2 and len(value)]
    if inner and rng.random() < 0.85:
        sizes = [len(fields[i][2]) for i in inner]
        i = rng.choice(inner) if rng.random() < 0.5 else rng.choices(inner, sizes)[0]
        fields[i][2] = _proto(fields[i][2], rng)
        return _packed(fields)
    i, action = rng.randrange(len(fields)), rng.random()
    number, wire, value = fields[i]
    if action < 0.2:
        del fields[i]
    elif action < 0.35:
        fields[i:i] = [fields[i]] * rng.choice([1, 1, 2, 40])
    elif action < 0.45:
        fields[i] = [rng.choice([1, 2, 3, 4, 5, 7, 9, 20, number + 1]), wire, value]
    elif action < 0.55:
        j = rng.randrange(len(fields))
        fields[i], fields[j] = fields[j], fields[i]
    elif wire == 0:
        fields[i][2] = rng.choice(NUMBERS)
    else:
        fields[i][2] = _leaf(value, rng)
    return _packed(fields)


def _leaf(data: bytes, rng: random.Random) -> bytes:
    text = data.decode("utf-8", "replace")
    if text in FAMILY:
        return rng.choice(FAMILY[text]).encode()
    if rng.random() < 0.4:
        words = [b"", b"x", b"x:1", b"^x", b"-1", b"../m", b"\xff", b"\x08\x01", data * 2]
        return rng.choice(words)
    return damage(data, rng)


def _fields(data: bytes) -> list[list[Any]] | None:
    """[number, wire type, value] of each field; None if that is no message."""
    made: list[list[Any]] = []
    i = 0
    try:
        while i < len(data):
            key, i = _varint(data, i)
            wire = key & 7
            if not key >> 3 or wire in (3, 4, 6, 7):
                return None
            if wire == 0:
                value, i = _varint(data, i)
                made.append([key >> 3, wire, value])
                continue
            size, i = _varint(data, i) if wire == 2 else ({1: 8, 5: 4}[wire], i)
            if i + size > len(data):
                return None
            made.append([key >> 3, wire, data[i : i + size]])
            i += size
    except IndexError:
        return None
    return made


def _varint(data: bytes, i: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[i] & 127) << shift
        i, shift = i + 1, shift + 7
        if data[i - 1] < 128:
            return value, i


def _packed(fields: list[list[Any]]) -> bytes:
    made = b""
    for number, wire, value in fields:
        made += savedmodels.varint(number << 3 | wire)
        if wire == 0:
            made += savedmodels.varint(value)
        else:
            made += (savedmodels.varint(len(value)) if wire == 2 else b"") + value
    return made


def _table(data: bytes, rng: random.Random) -> bytes:
    """variables.index with other entries, and checksums that are right again."""
    entries = dict(read_table(data, "seed"))
    key = rng.choice(sorted(entries))
    if rng.random() < 0.1:
        del entries[key]
    elif rng.random() < 0.1:
        entries[damage(key, rng)] = entries[key]
    else:
        entries[key] = _proto(bytes(entries[key]), rng)
    return savedmodels.table({bytes(k): bytes(v) for k, v in entries.items()})


def _zip(data: bytes, rng: random.Random) -> bytes:
    """A zip whose members have changed, are renamed or repeated, or lie about their sizes."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        lead = data[: min(i.header_offset for i in archive.infolist())]
        members = [(i.filename, archive.read(i)) for i in archive.infolist()]
    i, action = rng.randrange(len(members)), rng.random()
    name, content = members[i]
    if action < 0.1:
        members[i] = (rng.choice(PATHS), content)
    elif action < 0.15:
        members.append((name, b"" if rng.random() < 0.5 else content))
    elif action < 0.2:
        del members[i]
    elif action < 0.8:
        members[i] = (name, _file(name, content, rng))
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as out:
        for name, content in members:
            info = zipfile.ZipInfo(name.replace("\0", "") or "x")  # of a fixed date
            info.compress_type = out.compression
            out.writestr(info, content)
    raw = bytearray(held.getvalue())
    if action >= 0.85:  # a number in an entry of the directory: sizes, offsets, methods, flags
        start = raw.find(b"PK\1\2") + rng.randrange(4, 46)
        raw[start : start + 4] = (rng.choice(NUMBERS) & 0xFFFFFFFF).to_bytes(4, "little")
    return lead + bytes(raw)


def _hdf5(data: bytes, rng: random.Random) -> bytes:
    """An HDF5 file with another config, or an array of another shape, type or size."""
    held = io.BytesIO(data)
    with h5py.File(held, "r+") as file:
        found: list[str] = []
        file.visititems(lambda n, o: found.append(n) if isinstance(o, h5py.Dataset) else None)
        config = file.attrs.get("model_config")
        if config is not None and rng.random() < 0.6:
            file.attrs["model_config"] = _json(str(config).encode(), rng).decode()
        elif found:
            name = rng.choice(found)
            whole = file[name][()]
            del file[name]
            kind = rng.randrange(6)
            if kind == 0:
                file.create_dataset(name, (1 << 40,), "f4", chunks=(1 << 20,))  # no bytes of it
            elif kind == 1:
                file.create_dataset(name, data=np.zeros(rng.choice([(0,), (2, 3), ()]), "f4"))
            elif kind == 2:
                file.create_dataset(name, data=[b"text", b"t"])
            elif kind == 3:
                file[name] = h5py.ExternalLink("../other.h5", "/x")
            elif kind == 4:
                file[name] = h5py.SoftLink("/")
            else:
                file.create_dataset(name, data=whole.astype(rng.choice(["f8", "i1", "c8", "f2"])))
    return held.getvalue()


def _safetensors(data: bytes, rng: random.Random) -> bytes:
    """The header changed, and its length right again."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    about = header.get("__metadata__", {})
    if "config" in about and rng.random() < 0.5:
        about["config"] = _json(about["config"].encode(), rng).decode()
    else:
        header = json.loads(_json(json.dumps(header).encode(), rng))
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def _lite(data: bytes, rng: random.Random) -> bytes:
    """A flatbuffer: numbers and offsets in it; or another model of one operator of any kind."""
    if zipfile.is_zipfile(io.BytesIO(data)) and rng.random() < 0.6:
        return _zip(data, rng)
    if rng.random() < 0.4:
        return tflite_writer.write(random_graph(rng))
    return _bytes(data, rng)


def _signed(case: Case, name: str) -> None:
    """Hashes in a bundle's manifest that are right again: who changes files can change those."""
    try:
        manifest = json.loads(case["manifest.json"])
        entries = [*manifest["weights"], {**manifest["files"][name], "path": name}]
        entries = [e for e in entries if e["path"] == name]
        for entry in entries:
            entry.update(bytes=len(case[name]), sha256=sha256(case[name]))
            if name in manifest["files"]:
                manifest["files"][name].update(bytes=entry["bytes"], sha256=entry["sha256"])
        if entries:
            case["manifest.json"] = json.dumps(manifest).encode()
    except (ValueError, LookupError, TypeError, AttributeError):
        return  # not of a bundle, or damaged already


WAYS = [
    (".json", _json), (".pb", _proto), (".onnx", _proto), (".index", _table), (".tflite", _lite),
    (".keras", _zip), (".pt2", _zip), (".h5", _hdf5), (".safetensors", _safetensors),
]  # fmt: skip

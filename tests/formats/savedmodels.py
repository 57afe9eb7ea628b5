"""SavedModels and frozen graphs of our own: a small writer of their protocol buffers and tables."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.formats.savedmodel.leveldb import masked_crc32c

FLOAT, DOUBLE, INT32, STRING, INT64, BOOL, BFLOAT16, HALF, RESOURCE = 1, 2, 3, 7, 9, 10, 14, 19, 20
_DTYPES = {"float32": FLOAT, "float64": DOUBLE, "int32": INT32, "int64": INT64, "bool": BOOL,
           "float16": HALF, "uint16": BFLOAT16}  # fmt: skip


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def pb(*fields: tuple[int, Any]) -> bytes:
    """A message: whole numbers as varints, floats in 32 bits, texts and bytes with their length."""
    out = b""
    for number, value in fields:
        if isinstance(value, float):
            out += varint(number << 3 | 5) + struct.pack("<f", value)
        elif isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def mapped(number: int, items: Mapping[str, bytes]) -> list[tuple[int, bytes]]:
    return [(number, pb((1, k), (2, v))) for k, v in items.items()]


def shape(*dims: int) -> bytes:
    return pb(*((2, pb((1, d))) for d in dims))


def tensor(array: np.ndarray, *values: tuple[int, Any], dtype: int | None = None) -> bytes:
    """A TensorProto: tensor_content, or the given fields in its place."""
    array = np.asarray(array)
    kind = _DTYPES[str(array.dtype)] if dtype is None else dtype
    content = values or ((4, array.tobytes()),)
    return pb((1, kind), (2, shape(*array.shape)), *content)


def attr(value: Any) -> bytes:
    """An AttrValue of a Python value; ("type", n), ("shape", bytes), ... for what looks alike."""
    if isinstance(value, tuple):
        kind, inner = value
        number = {"type": 6, "shape": 7, "tensor": 8, "func": 10, "list": 1}[kind]
        return pb((number, pb((1, inner)) if kind == "func" else inner))
    if isinstance(value, bool):
        return pb((5, int(value)))
    if isinstance(value, int):
        return pb((3, value))
    if isinstance(value, float):
        return pb((4, value))
    if isinstance(value, list):
        return pb((1, pb((3, b"".join(varint(v) for v in value)))))
    return pb((2, value))


def node(op: str, name: str, *inputs: str, **attrs: Any) -> bytes:
    listed = mapped(5, {k: attr(v) for k, v in attrs.items()})
    return pb((1, name), (2, op), *((3, i) for i in inputs), *listed)


def const(name: str, array: Any, *values: tuple[int, Any], dtype: int | None = None) -> bytes:
    array = np.asarray(array)
    kind = _DTYPES[str(array.dtype)] if dtype is None else dtype
    return node(
        "Const", name, dtype=("type", kind), value=("tensor", tensor(array, *values, dtype=kind))
    )


def texts(name: str, *found: str) -> bytes:
    """A Const of texts."""
    value = pb((1, STRING), (2, shape(len(found))), *((8, f) for f in found))
    return node("Const", name, dtype=("type", STRING), value=("tensor", value))


def text(name: str, value: str | bytes) -> bytes:
    """A Const of one text."""
    inner = pb((1, STRING), (2, shape()), (8, value))
    return node("Const", name, dtype=("type", STRING), value=("tensor", inner))


def placeholder(name: str, *dims: int, dtype: int = FLOAT) -> bytes:
    return node("Placeholder", name, dtype=("type", dtype), shape=("shape", shape(*dims)))


def function(
    name: str, args: Mapping[str, int], nodes: Sequence[bytes], ret: Mapping[str, str]
) -> bytes:
    signature = pb(
        (1, name),
        *((2, pb((1, a), (3, t))) for a, t in args.items()),
        *((3, pb((1, r), (3, FLOAT))) for r in ret),
    )
    returned = [(4, pb((1, k), (2, v))) for k, v in ret.items()]
    return pb((1, signature), *((3, n) for n in nodes), *returned)


def graph(nodes: Sequence[bytes], functions: Sequence[bytes] = ()) -> bytes:
    library = [(2, pb(*((1, f) for f in functions)))] if functions else []
    return pb(*((1, n) for n in nodes), *library, (4, pb((1, 1882))))


def info(name: str, *dims: int, dtype: int = FLOAT) -> bytes:
    return pb((1, name), (2, dtype), (3, shape(*dims)))


def signature(inputs: Mapping[str, bytes], outputs: Mapping[str, bytes]) -> bytes:
    return pb(*mapped(1, inputs), *mapped(2, outputs), (3, "tensorflow/serving/predict"))


def meta_graph(
    graph_def: bytes,
    signatures: Mapping[str, bytes],
    tags: Sequence[str] = ("serve",),
    objects: bytes = b"",
    assets: Mapping[str, str] = {},
) -> bytes:
    """`assets`: name of the tensor that holds a path -> name of the file."""
    about = pb(*((4, t) for t in tags))
    more = [(6, pb((1, pb((1, f"{t}:0"))), (2, f))) for t, f in assets.items()]
    more += [(7, objects)] if objects else []
    return pb((1, about), (2, graph_def), *mapped(5, signatures), *more)


def saved_model(*meta_graphs: bytes) -> bytes:
    return pb((1, 1), *((2, m) for m in meta_graphs))


# --- checkpoints ----------------------------------------------------------------------------------


def block(entries: Sequence[tuple[bytes, bytes]], kind: int = 0, pack: Any = None) -> bytes:
    """A block of a table with its trailer; keys share what they can with the one before."""
    out, last = b"", b""
    for key, value in entries:
        shared = next(
            (i for i, (a, b) in enumerate(zip(key, last, strict=False)) if a != b),
            min(len(key), len(last)),
        )
        out += varint(shared) + varint(len(key) - shared) + varint(len(value))
        out += key[shared:] + value
        last = key
    out += struct.pack("<II", 0, 1)
    out = pack(out) if pack else out
    return out + bytes([kind]) + struct.pack("<I", masked_crc32c(out + bytes([kind])))


def table(entries: Mapping[bytes, bytes], kind: int = 0, pack: Any = None) -> bytes:
    """A LevelDB table of one block of data."""
    listed = sorted(entries.items())
    data = block(listed, kind, pack)
    meta = block([])
    handle = varint(0) + varint(len(data) - 5)
    index = block([(listed[-1][0] if listed else b"", handle)])
    footer = varint(len(data)) + varint(len(meta) - 5)
    footer += varint(len(data) + len(meta)) + varint(len(index) - 5)
    magic = bytes.fromhex("57fb808b247547db")
    return data + meta + index + footer.ljust(40, b"\0") + magic


def stored(array: np.ndarray) -> bytes:
    """The bytes of a tensor in a file of variables; before texts their lengths and a checksum."""
    if array.dtype != object:
        return array.tobytes()
    items = array.reshape(-1).tolist()
    return b"".join(varint(len(t)) for t in items) + b"\0\0\0\0" + b"".join(items)


def entry(
    array: np.ndarray, offset: int, shard: int = 0, dtype: int | None = None, **more: Any
) -> bytes:
    """A BundleEntryProto."""
    raw = stored(array)
    own = STRING if array.dtype == object else _DTYPES.get(str(array.dtype), 0)
    kind = own if dtype is None else dtype
    crc = more.get("crc", masked_crc32c(raw) if len(raw) <= 4096 else 0)
    fixed = varint(6 << 3 | 5) + struct.pack("<I", crc)
    return (
        pb((1, kind), (2, shape(*array.shape)), (3, shard), (4, offset), (5, len(raw)))
        + fixed
        + b"".join(pb((7, s)) for s in more.get("slices", ()))
    )


def write_variables(
    folder: Path, arrays: Mapping[str, np.ndarray], objects: bytes = b"", shards: int = 1
) -> Path:
    """variables.index and its data files, in turn; `objects` is a TrackableObjectGraph."""
    folder.mkdir(parents=True, exist_ok=True)
    datas = [bytearray() for _ in range(shards)]
    entries = {b"": pb((1, shards))}
    for number, (name, array) in enumerate(arrays.items()):
        data = datas[number % shards]
        entries[name.encode()] = entry(array, len(data), number % shards)
        data += stored(array)
    if objects:
        text = varint(len(objects)) + b"\0\0\0\0" + objects
        entries[b"_CHECKPOINTABLE_OBJECT_GRAPH"] = pb(
            (1, STRING), (2, shape()), (4, len(datas[0])), (5, len(text))
        )
        datas[0] += text
    for number, data in enumerate(datas):
        (folder / f"variables.data-{number:05d}-of-{shards:05d}").write_bytes(data)
    (folder / "variables.index").write_bytes(table(entries))
    return folder / "variables"


def children(**ids: int) -> list[tuple[int, bytes]]:
    return [(1, pb((1, number), (2, name))) for name, number in ids.items()]


def small(folder: Path, shards: int = 1) -> tuple[Path, dict[str, np.ndarray]]:
    """y = relu(x @ w + b) as TensorFlow 2 saves it: the names of variables and keys mislead."""
    rng = np.random.default_rng(7)
    arrays = {
        "w": rng.normal(size=(3, 4)).astype(np.float32),
        "b": rng.normal(size=(4,)).astype(np.float32),
    }
    body = function(
        "inner",
        {"x": FLOAT, "w": RESOURCE, "b": RESOURCE},
        [
            node("ReadVariableOp", "read", "w", dtype=("type", FLOAT)),
            node("MatMul", "product", "x", "read:value:0"),
            node("ReadVariableOp", "read_1", "b", dtype=("type", FLOAT)),
            node("BiasAdd", "sum", "product:product:0", "read_1:value:0"),
            node("Relu", "relu", "sum:output:0", "^read"),
        ],
        {"y": "relu:activations:0"},
    )
    wrapper = function(
        "wrapper",
        {"x": FLOAT, "a": RESOURCE, "c": RESOURCE},
        [node("StatefulPartitionedCall", "call", "x", "a", "c", f=("func", "inner"))],
        {"y": "call:output:0"},
    )
    nodes = [
        # The names of the handles are those of other variables.
        node("VarHandleOp", "one", dtype=("type", FLOAT), shape=("shape", shape(3, 4)),
             shared_name="b"),
        node("VarHandleOp", "two", dtype=("type", FLOAT), shape=("shape", shape(4)),
             shared_name="w"),
        placeholder("serving_default_x", -1, 3),
        node("StatefulPartitionedCall", "go", "serving_default_x", "one", "two",
             f=("func", "wrapper")),
    ]  # fmt: skip
    objects = pb(
        (1, pb(*children(layer=1))),
        (1, pb(*children(kernel=2, bias=3))),
        (1, pb((7, pb((1, FLOAT), (2, shape(3, 4)), (6, "k"))))),
        (1, pb((7, pb((1, FLOAT), (2, shape(4)), (6, "b"))))),
        *mapped(2, {"wrapper": pb((2, bytes([2, 3])))}),
    )
    key = "layer/{}/.ATTRIBUTES/VARIABLE_VALUE"
    attribute = [
        pb((2, pb((1, "VARIABLE_VALUE"), (2, n), (3, key.format(n))))) for n in ("bias", "kernel")
    ]
    stored = pb(
        (1, pb(*children(layer=3))),
        (1, attribute[0]),
        (1, attribute[1]),
        (1, pb(*children(kernel=2, bias=1))),
    )
    made = signature({"x": info("serving_default_x:0", -1, 3)}, {"y": info("go:0", -1, 4)})
    folder.mkdir(parents=True, exist_ok=True)
    data = saved_model(meta_graph(graph(nodes, [body, wrapper]), {"serving_default": made},
                                  objects=objects))  # fmt: skip
    (folder / "saved_model.pb").write_bytes(data)
    names = {key.format("kernel"): arrays["w"], key.format("bias"): arrays["b"]}
    write_variables(folder / "variables", names, stored, shards)
    return folder, arrays


def chain(folder: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """y = x @ w0 @ w1 ...: square matrices in resource variables, which names alone bind."""
    side, last, nodes = len(next(iter(arrays.values()))), "serving_default_x", []
    nodes.append(placeholder(last, -1, side))
    for name in arrays:
        nodes += [
            node("VarHandleOp", name, dtype=("type", FLOAT), shape=("shape", shape(side, side)),
                 shared_name=name),
            node("ReadVariableOp", f"{name}/Read", name, dtype=("type", FLOAT)),
            node("MatMul", f"{name}/MatMul", last, f"{name}/Read"),
        ]  # fmt: skip
        last = f"{name}/MatMul"
    made = signature(
        {"x": info("serving_default_x:0", -1, side)}, {"y": info(f"{last}:0", -1, side)}
    )
    folder.mkdir(parents=True, exist_ok=True)
    data = saved_model(meta_graph(graph(nodes), {"serving_default": made}))
    (folder / "saved_model.pb").write_bytes(data)
    write_variables(folder / "variables", arrays)
    return folder

"""SavedModels that are cut, damaged, hostile or lie: each is refused with one coded error."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.formats.savedmodel.leveldb import read_table, unpack_snappy
from fanlight.formats.savedmodel.objects import _paired
from fanlight.formats.savedmodel.tensorbundle import Bundle
from fanlight.formats.savedmodel.tensors import tensor
from fanlight.formats.wire import Message, varint_array
from fanlight.graph import verify
from tests.formats import savedmodels as sm


def refused(function: Any, *arguments: Any, code: str) -> FanlightError:
    with pytest.raises(FanlightError) as caught:
        function(*arguments)
    assert caught.value.code == code
    return caught.value


def frozen(path: Path, *nodes: bytes, functions: tuple[bytes, ...] = ()) -> Path:
    path.write_bytes(sm.graph(nodes, functions))
    return path


def test_cut_at_every_32nd_byte(tmp_path: Path) -> None:
    folder, _ = sm.small(tmp_path / "m")
    for file in ("saved_model.pb", "variables/variables.index"):
        whole = (folder / file).read_bytes()
        for end in range(0, len(whole), 32):
            (folder / file).write_bytes(whole[:end])
            with pytest.raises(FanlightError):
                load_graph(folder)
        (folder / file).write_bytes(whole)
    load_graph(folder)


def test_a_cut_file_of_variables_is_told(tmp_path: Path) -> None:
    folder, _ = sm.small(tmp_path / "m")
    data = folder / "variables/variables.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:40])
    refused(load_graph, folder, code="E-FORMAT-007")
    data.unlink()
    refused(load_graph, folder, code="E-FORMAT-006")


def test_a_changed_bit_of_a_small_variable_is_told(tmp_path: Path) -> None:
    folder, _ = sm.small(tmp_path / "m")
    data = folder / "variables/variables.data-00000-of-00001"
    raw = bytearray(data.read_bytes())
    raw[5] ^= 1
    data.write_bytes(raw)
    assert "checksum" in refused(load_graph, folder, code="E-FORMAT-007").message


@pytest.mark.parametrize("at", [-1, -8, 0, 3])
def test_a_damaged_index(tmp_path: Path, at: int) -> None:
    folder, _ = sm.small(tmp_path / "m")
    index = folder / "variables/variables.index"
    raw = bytearray(index.read_bytes())
    raw[at] ^= 0x10
    index.write_bytes(raw)
    refused(load_graph, folder, code="E-FORMAT-005")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"offset": 1 << 40}, "E-FORMAT-007"),
        ({"offset": -8}, "E-FORMAT-007"),
        ({"shard": 7}, "E-FORMAT-007"),
        ({"dtype": sm.RESOURCE}, "E-FORMAT-008"),
        ({"shape": (1 << 20, 1 << 20)}, "E-FORMAT-023"),
        ({"shape": (2, 3)}, "E-FORMAT-007"),
        ({"shape": (1 << 50,)}, "E-FORMAT-005"),
    ],
)
def test_entries_that_lie(tmp_path: Path, change: dict[str, Any], code: str) -> None:
    (tmp_path / "v.data-00000-of-00001").write_bytes(bytes(16))
    made = sm.pb(
        (1, change.get("dtype", sm.FLOAT)), (2, sm.shape(*change.get("shape", (4,)))),
        (3, change.get("shard", 0)), (4, change.get("offset", 0)), (5, 16),
    )  # fmt: skip
    (tmp_path / "v.index").write_bytes(sm.table({b"": sm.pb((1, 1)), b"x": made}))
    bundle = Bundle(tmp_path / "v")
    assert "x" in bundle
    refused(bundle.array, "x", code=code)
    refused(bundle.array, "y", code="E-FORMAT-011")


def test_partitioned_variables_are_put_together(tmp_path: Path) -> None:
    whole = np.arange(200 * 3, dtype=np.float32).reshape(200, 3)
    data, entries, slices = b"", {b"": sm.pb((1, 1))}, []
    # Keys of starts of one and of two bytes (OrderedCode), and of a whole dim.
    starts = {0: b"\x80\xc0\x64", 100: b"\xc0\x64\xc0\x64"}
    for start, code in starts.items():
        part = whole[start : start + 100]
        slices.append(sm.pb((1, sm.pb((1, start), (2, 100))), (1, b"")))
        entries[b"\0w\0\1\1\2" + code + b"\x80\x7f"] = sm.entry(part, len(data))
        data += part.tobytes()
    entries[b"w"] = sm.pb((1, 1), (2, sm.shape(200, 3)), *((7, s) for s in slices))
    (tmp_path / "v.data-00000-of-00001").write_bytes(data)
    (tmp_path / "v.index").write_bytes(sm.table(entries))
    np.testing.assert_array_equal(Bundle(tmp_path / "v").array("w"), whole)


def table_of(entries: bytes) -> bytes:
    """A table of one block, whose entries are written already."""
    raw = entries + struct.pack("<II", 0, 1)
    data = raw + b"\0" + struct.pack("<I", sm.masked_crc32c(raw + b"\0"))
    meta = sm.block([])
    index = sm.block([(b"a", sm.varint(0) + sm.varint(len(raw)))])
    footer = sm.varint(len(data)) + sm.varint(len(meta) - 5)
    footer += sm.varint(len(data) + len(meta)) + sm.varint(len(index) - 5)
    return data + meta + index + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def test_keys_that_share_what_is_not_there_and_grow_without_end() -> None:
    shares = sm.varint(5) + sm.varint(1) + sm.varint(0) + b"a"
    refused(read_table, table_of(shares), "here", code="E-FORMAT-005")
    # Each key repeats the whole of the one before: 90 KB become 6,000 keys of 60 KB.
    first = sm.varint(0) + sm.varint(60_000) + sm.varint(0) + b"k" * 60_000
    again = (sm.varint(60_000) + sm.varint(0) + sm.varint(0)) * 6_000
    refused(read_table, table_of(first + again), "here", code="E-FORMAT-004")


def test_handles_of_the_same_bytes_are_bounded() -> None:
    data = sm.block([(b"k", b"v" * 2000)])
    meta = sm.block([])
    handle = sm.varint(0) + sm.varint(len(data) - 5)
    index = sm.block([(b"%d" % i, handle) for i in range(100)])
    footer = sm.varint(len(data)) + sm.varint(len(meta) - 5)
    footer += sm.varint(len(data) + len(meta)) + sm.varint(len(index) - 5)
    magic = bytes.fromhex("57fb808b247547db")
    whole = data + meta + index + footer.ljust(40, b"\0") + magic
    assert "do not overlap" in str(refused(read_table, whole, "here", code="E-FORMAT-005"))


class _Object:
    """An object of a checkpoint; counts how often its children are read."""

    def __init__(self, *children: int) -> None:
        self.listed = [_Child(n) for n in children]
        self.read = 0

    def messages(self, number: int) -> list[_Child]:
        self.read += 1
        return self.listed


class _Child:
    def __init__(self, number: int) -> None:
        self.number = number

    def text(self, number: int) -> str:
        return f"c{self.number}"

    def whole(self, number: int) -> int:
        return self.number


def test_objects_that_share_a_partner_read_it_once() -> None:
    """N objects beside one of N children: work in proportion to both, not to their product."""
    count = 50
    saved: Any = [_Object(*range(1, count)), *(_Object() for _ in range(1, count))]
    kept: Any = [_Object(*range(1, count))]
    kept[0].listed = [_Child(n) for n in range(1, count)]
    for child in kept[0].listed:
        child.whole = lambda number: 0  # all are the root itself
    assert _paired(saved, kept) == dict.fromkeys(range(count), 0)
    assert kept[0].read == 1


def test_snappy() -> None:
    # A text, a copy that overlaps its own result, and one with an offset of two bytes.
    packed = bytes([11, 2 << 2]) + b"abc" + bytes([1 | 1 << 2, 3]) + bytes([2 | 2 << 2, 3, 0])
    assert unpack_snappy(packed, "here") == b"abcabcabcab"
    value = b"x" * 50

    def pack(data: bytes) -> bytes:
        return sm.varint(len(data)) + bytes([60 << 2, len(data) - 1]) + data

    assert read_table(sm.table({b"a": value}, 1, pack), "here") == {b"a": value}
    for bad, code in [
        (sm.varint(1 << 30) + b"\0a", "E-FORMAT-004"),
        (sm.varint(4) + b"\0a", "E-FORMAT-005"),
        (sm.varint(8) + bytes([1, 9]), "E-FORMAT-005"),
        (sm.varint(8) + bytes([63 << 2, 255, 255, 255, 255]), "E-FORMAT-005"),
    ]:
        refused(unpack_snappy, bad, "here", code=code)


def test_functions_that_call_themselves(tmp_path: Path) -> None:
    loop = sm.function(
        "f", {"x": sm.FLOAT}, [sm.node("PartitionedCall", "c", "x", f=("func", "f"))],
        {"y": "c:output:0"},
    )  # fmt: skip
    go = sm.node("PartitionedCall", "go", "x", f=("func", "f"))
    path = frozen(tmp_path / "a.pb", sm.placeholder("x", 2), go, functions=(loop,))
    refused(load_graph, path, code="E-FORMAT-015")
    path = frozen(tmp_path / "b.pb", sm.placeholder("x", 2), go)
    refused(load_graph, path, code="E-FORMAT-013")


def test_constants_in_every_form() -> None:
    whole = np.array([[1, -2, 300]], np.int32)
    for made, expected in [
        (sm.tensor(whole), whole),
        (sm.tensor(whole, (7, b"".join(map(sm.varint, (1, -2, 300))))), whole),
        (sm.tensor(whole, (7, 1), (7, -2), (7, 300)), whole),
        (sm.tensor(np.zeros((2, 2), np.float32), (5, 0.5)), np.full((2, 2), 0.5, np.float32)),
        (sm.tensor(np.zeros(2, np.float64), (6, struct.pack("<2d", 1, 2))), [1.0, 2.0]),
        (sm.tensor(np.array([1.5], np.float16), (13, sm.varint(0x3E00))), [1.5]),
        (sm.tensor(np.array([0x3FC0], np.uint16)), [1.5]),
        (sm.tensor(np.array([True, False])), [True, False]),
        (sm.tensor(np.array([2**63 - 1, -(2**63)], np.int64)), [2**31 - 1, -(2**31)]),
        (sm.tensor(np.array(7, np.int64)), np.array(7)),
        (sm.tensor(np.zeros(0, np.float32)), np.zeros(0)),
    ]:
        array = tensor(Message(made, "here"), "here")
        assert array.shape == np.shape(expected)
        np.testing.assert_array_equal(array, expected)
        assert array.dtype in (np.float32, np.int32, np.bool_)


def test_constants_that_lie() -> None:
    def read(made: bytes) -> np.ndarray:
        return tensor(Message(made, "here"), "here")

    content = np.zeros(2, np.float32).tobytes()
    refused(read, sm.pb((1, 1), (2, sm.shape(3)), (4, content)), code="E-FORMAT-007")
    refused(read, sm.pb((1, 1), (2, sm.shape(1)), (5, content)), code="E-FORMAT-007")
    # One element stands for all of them: 16 bytes would become 3 GB.
    refused(read, sm.pb((1, 1), (2, sm.shape(750_000_000)), (5, 1.0)), code="E-FORMAT-023")
    refused(read, sm.pb((1, 1), (2, sm.shape(-1)), (4, content)), code="E-FORMAT-005")
    refused(read, sm.pb((1, 8), (2, sm.shape(1)), (4, content)), code="E-FORMAT-008")
    refused(varint_array, memoryview(b"\x80"), "here", code="E-FORMAT-005")
    refused(varint_array, memoryview(b"\xff" * 11 + b"\0"), "here", code="E-FORMAT-005")


def test_tensorflow_1_restores_by_its_saver(tmp_path: Path) -> None:
    """Nodes of a Saver tell the names; parts of variables have places of their own."""
    whole = np.arange(6, dtype=np.float32).reshape(3, 2)
    nodes = [
        sm.placeholder("x", -1, 3),
        sm.node("VariableV2", "part", dtype=("type", sm.FLOAT), shape=("shape", sm.shape(3, 1))),
        sm.node("Identity", "part/read", "part"),
        sm.node("MatMul", "y", "x", "part/read"),
        sm.placeholder("prefix", dtype=sm.STRING),
        sm.texts("names", "other", "weights"),
        sm.texts("slices", "", "3 2 -:1,1"),
        sm.node("RestoreV2", "restore", "prefix", "names", "slices"),
        sm.node("Assign", "assign", "part", "restore:1"),
    ]
    made = sm.signature({"x": sm.info("x:0", -1, 3)}, {"y": sm.info("y:0", -1, 1)})
    data = sm.saved_model(
        sm.meta_graph(sm.graph(nodes), {"serving_default": made}, ("serve", "gpu")),
        sm.meta_graph(sm.graph(nodes[:1]), {"serving_default": made}, ("train",)),
    )
    (tmp_path / "saved_model.pb").write_bytes(data)
    sm.write_variables(tmp_path / "variables", {"weights": whole, "other": whole})
    (weight,) = load_graph(tmp_path).graph.weights.values()
    np.testing.assert_array_equal(weight, whole[:, 1:])
    with pytest.raises(FanlightError, match="tags") as caught:
        load_graph(tmp_path, tags="nobody")
    assert "serve, gpu; train" in str(caught.value.expected)


def test_training_batch_norm_without_statistics_takes_those_of_the_input(tmp_path: Path) -> None:
    """Keras 2 writes layer normalisation so; the old converter gives NaN."""
    from fanlight.formats import load

    empty = np.zeros(0, np.float32)
    ones = np.ones(2, np.float32)
    path = frozen(
        tmp_path / "a.pb", sm.placeholder("x", 1, 2, 4, 2), sm.const("one", ones),
        sm.const("zero", 0 * ones), sm.const("empty", empty),
        # is_training and epsilon are left out: they have the values that TensorFlow supplies.
        sm.node("FusedBatchNormV3", "y", "x", "one", "zero", "empty", "empty"),
    )  # fmt: skip
    x = np.random.default_rng(0).normal(3, 2, (1, 2, 4, 2)).astype(np.float32)
    axes = (0, 1, 2)
    expected = (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-4)
    np.testing.assert_allclose(load(path)(x), expected, atol=1e-5)


def _mutated(data: bytes, seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    made = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(made)))
        kind = rng.integers(4)
        if kind == 0:
            made[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            made[at] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))
        elif kind == 2:
            del made[at : at + int(rng.integers(1, 9))]
        else:
            made[at:at] = made[at : at + int(rng.integers(1, 33))]
    return bytes(made)


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32))
def test_mutations_load_or_are_refused(tmp_path_factory: Any, seed: int) -> None:
    folder, _ = sm.small(tmp_path_factory.mktemp("m"))
    for file in ("saved_model.pb", "variables/variables.index"):
        whole = (folder / file).read_bytes()
        (folder / file).write_bytes(_mutated(whole, seed))
        try:
            verify(load_graph(folder).graph)
        except FanlightError as error:
            assert "reader does not expect" not in error.message, (seed, error)
        (folder / file).write_bytes(whole)

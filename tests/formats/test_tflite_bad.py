"""Damaged and hostile .tflite files: one coded error that names the place, in little time."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fanlight.formats.tflite.reader  # noqa: F401  (fills the table of operators)
from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.formats.source import make_options
from fanlight.formats.tflite import model
from fanlight.formats.tflite.call import HANDLERS
from fanlight.formats.tflite.flatbuffer import root
from fanlight.formats.tflite.reader import read_model
from fanlight.formats.tflite.schema import OPTIONS
from fanlight.graph import verify
from tests.formats.test_bad_input import refused
from tests.formats.test_fuzz import damage, loads_or_refuses
from tests.formats.tflite_writer import Graph, Op, Tensor, constant, write

RNG = np.random.default_rng(5)


def small() -> bytes:
    """A quantised convolution, a reshape and a dense layer in float32."""
    tensors = [
        Tensor((1, 4, 4, 3), "int8", None, 0.02, 3),
        constant(RNG.integers(-9, 9, (2, 3, 3, 3)).astype(np.int8), scale=[0.1, 0.2], zero=0),
        constant(np.int32([5, 6]), scale=[0.002, 0.004], zero=0),
        Tensor((1, 4, 4, 2), "int8", None, 0.05, -3),
        constant(np.int32([1, 32])),
        Tensor((1, 32), "int8", None, 0.05, -3),
        Tensor((1, 32)),
        constant(RNG.normal(size=(4, 32)).astype(np.float32)),
        Tensor((1, 4)),
    ]
    conv = {"padding": 0, "stride_w": 1, "stride_h": 1, "activation": 1}
    ops = [
        Op("CONV_2D", [0, 1, 2], [3], 1, conv),
        Op("RESHAPE", [3, 4], [5], 17, {"new_shape": [1, 32]}),
        Op("DEQUANTIZE", [5], [6]),
        Op("FULLY_CONNECTED", [6, 7, -1], [8], 8, {"activation": 0}),
    ]
    return write(Graph(tensors, [0], [8], ops))


SMALL = small()


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_the_small_file_is_sound(tmp_path: Path) -> None:
    source = load_graph(put(tmp_path / "m.tflite", SMALL))
    verify(source.graph)
    assert "whole numbers" in source.warnings[0]


@pytest.mark.parametrize("size", [1, 7, 8, 40, 200, len(SMALL) // 2, len(SMALL) - 40])
def test_cut_files(tmp_path: Path, size: int) -> None:
    error = None
    try:
        load_graph(put(tmp_path / "m.tflite", SMALL[:size]))
    except FanlightError as caught:
        error = caught
    assert error is not None and error.code == "E-FORMAT-005"
    assert error.__cause__ is None


def test_another_file_of_that_name(tmp_path: Path) -> None:
    refused(put(tmp_path / "m.tflite", b"\x89PNG\r\n\x1a\n" * 9), "E-FORMAT-005", "flatbuffer")


def test_root_beyond_the_file(tmp_path: Path) -> None:
    refused(put(tmp_path / "m.tflite", b"\xff\xff\xff\x7f" + SMALL[4:]), "E-FORMAT-005", "offsets")


def test_vtable_beyond_the_file(tmp_path: Path) -> None:
    (root,) = struct.unpack_from("<I", SMALL)
    for back in (-(1 << 31), (1 << 31) - 1, 0):
        data = bytearray(SMALL)
        struct.pack_into("<i", data, root, back)
        refused(put(tmp_path / "m.tflite", bytes(data)), "E-FORMAT-005")


def test_unknown_operators_are_all_named(tmp_path: Path) -> None:
    tensors = [Tensor((2,)), Tensor((2,)), Tensor((2,))]
    ops = [Op("CUSTOM Nobody", [0], [1]), Op("LSH_PROJECTION", [1], [2])]
    path = put(tmp_path / "m.tflite", write(Graph(tensors, [0], [2], ops)))
    refused(path, "E-FORMAT-013", "CUSTOM Nobody x1", "LSH_PROJECTION", "operator 0")


def test_operators_out_of_order(tmp_path: Path) -> None:
    tensors = [Tensor((2,)), Tensor((2,)), Tensor((2,))]
    ops = [Op("ABS", [1], [2]), Op("ABS", [2], [1])]
    path = put(tmp_path / "m.tflite", write(Graph(tensors, [0], [2], ops)))
    refused(path, "E-FORMAT-016", "nothing computes")


def test_constant_of_another_size(tmp_path: Path) -> None:
    wrong = Tensor((3,), "float32", np.zeros(2, np.float32))
    graph = Graph([Tensor((3,)), wrong, Tensor((3,))], [0], [2], [Op("ADD", [0, 1], [2], 11)])
    refused(put(tmp_path / "m.tflite", write(graph)), "E-FORMAT-007", "12 bytes", "8 bytes")


def test_scales_that_are_none(tmp_path: Path) -> None:
    for scale, zero in ((float("nan"), 0), (-1.0, 0), (0.0, 0), (1.0, 300), (1e-44, 0)):
        bad = Tensor((3,), "int8", None, scale, zero)
        graph = Graph([bad, Tensor((3,))], [0], [1], [Op("DEQUANTIZE", [0], [1])])
        with pytest.raises(FanlightError) as caught:
            load_graph(put(tmp_path / "m.tflite", write(graph)))
        assert caught.value.code in ("E-FORMAT-005", "E-FORMAT-012"), scale


def test_huge_tensors(tmp_path: Path) -> None:
    shape = constant(np.int32([1 << 20, 1 << 20]))
    graph = Graph([Tensor(()), shape, Tensor((2,))], [0], [2], [Op("FILL", [1, 0], [2])])
    refused(put(tmp_path / "m.tflite", write(graph)), "E-FORMAT-023")
    graph = Graph([Tensor((1 << 20, 1 << 20)), Tensor((2,))], [0], [1], [Op("ABS", [0], [1])])
    refused(put(tmp_path / "m.tflite", write(graph)), "E-FORMAT-005", "a browser can hold")


def task(*members: tuple[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return held.getvalue()


def test_task_files(tmp_path: Path) -> None:
    one = put(tmp_path / "m.task", task(("a.tflite", SMALL), ("labels.txt", b"x")))
    assert load_graph(one).format == "tflite"
    two = put(tmp_path / "n.task", task(("a.tflite", SMALL), ("b.tflite", SMALL)))
    refused(two, "E-FORMAT-002", "several models", "a.tflite, b.tflite")
    refused(put(tmp_path / "o.task", task(("x", b""))), "E-FORMAT-002", "no model")
    broken = bytearray(one.read_bytes())
    broken[60:90] = b"\xff" * 30
    refused(put(tmp_path / "p.task", bytes(broken)), "E-FORMAT-005", "zip")


def run(folder: Path, seed: int) -> None:
    loads_or_refuses(put(folder / "m.tflite", damage(SMALL, random.Random(seed))))


def test_damaged_files(tmp_path: Path) -> None:
    for seed in range(400):
        run(tmp_path, seed)


SHAPES: list[tuple[int, ...]] = [(), (1,), (3,), (2, 3), (1, 4, 4, 3), (2, 5, 3), (0, 2)]


def random_graph(rng: random.Random) -> Graph:
    """One operator of any kind, with inputs and options that may not suit it."""
    draws = np.random.default_rng(rng.randrange(1 << 30))
    tensors = []
    for _ in range(rng.randint(1, 8)):
        shape, kind = rng.choice(SHAPES), rng.random()
        if kind < 0.4:
            tensors.append(Tensor(shape))
        elif kind < 0.6:
            tensors.append(Tensor(shape, rng.choice(["int8", "uint8"]), None, 0.1, 3))
        elif kind < 0.8:
            tensors.append(constant(draws.integers(-2, 4, shape).astype(np.int32)))
        else:
            tensors.append(constant(draws.normal(size=shape).astype(np.float32)))
    count = len(tensors)
    tensors += [Tensor((1,)), Tensor((2,), "int32")]
    kind = rng.choice(sorted(HANDLERS))
    number = rng.choice([0, *OPTIONS])
    given = {
        name: rng.choice([0, 1, 2, -1, 7]) if field[0] != "bool" else rng.random() < 0.5
        for name, field in OPTIONS.get(number, {}).items()
        if field[0] in ("i8", "i32", "bool")
    }
    inputs = [rng.choice([-1, *range(count)]) for _ in range(rng.randint(0, 6))]
    outputs = rng.choice([[count], [count, count + 1]])
    op = Op(kind, inputs, outputs, number, given, rng.randbytes(20))
    free = [i for i, t in enumerate(tensors[:count]) if t.data is None]
    return Graph(tensors, free, [count], [op])


@pytest.mark.parametrize("first", range(0, 400, 50))
def test_operators_with_what_does_not_suit_them(tmp_path: Path, first: int) -> None:
    for seed in range(first, first + 50):
        graph = random_graph(random.Random(seed))
        try:
            loads_or_refuses(put(tmp_path / "m.tflite", write(graph)))
        except AssertionError:
            print(graph)
            raise


@settings(max_examples=150)
@given(data=st.binary(max_size=96))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.tflite"
    loads_or_refuses(put(path, b"\x08\0\0\0TFL3" + data))


def test_subgraphs_that_call_each_other(tmp_path: Path) -> None:
    one = Tensor((2,))
    call = {"then_subgraph_index": 0, "else_subgraph_index": 0}
    graph = Graph([Tensor((), "bool"), one, one], [0, 1], [2], [Op("IF", [0, 1], [2], 92, call)])
    refused(put(tmp_path / "m.tflite", write(graph)), "E-FORMAT-012", "number of inputs")
    graph.ops[0].inputs = [0, 0, 1]
    refused(put(tmp_path / "m.tflite", write(graph)), "E-FORMAT-015", "circle")


def test_variables_that_nothing_assigned(tmp_path: Path) -> None:
    tensors = [Tensor((), "resource"), Tensor((2,))]
    ops = [Op("VAR_HANDLE", [], [0], 111, {"shared_name": "v"}), Op("READ_VARIABLE", [0], [1], 112)]
    path = put(tmp_path / "m.tflite", write(Graph(tensors, [], [1], ops)))
    refused(path, "E-FORMAT-016", "nothing has assigned")


def test_vectors_that_many_tables_share_are_not_decoded_without_end() -> None:
    builder = flatbuffers.Builder(1024)
    numbers = builder.CreateNumpyVector(np.zeros(2000, np.int32))
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, numbers, 0)
    table = builder.EndObject()
    builder.StartVector(4, 2000, 4)
    for _ in range(2000):
        builder.PrependUOffsetTRelative(table)
    vector = builder.EndVector()
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, vector, 0)
    builder.Finish(builder.EndObject())
    data = bytes(builder.Output())
    top = root(memoryview(data), "here")
    assert len(data) < 20_000
    decoded = 0
    with pytest.raises(FanlightError, match="vectors of its own") as caught:
        for one in top.tables(0, "operator"):
            decoded += 4 * len(one.ints(0))
    assert caught.value.code == "E-FORMAT-005" and 1 << 20 < decoded < 1 << 21


def test_tensors_that_share_a_buffer_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "a.tflite", SMALL)
    load_graph(path)
    monkeypatch.setattr(model, "_TIMES", 0)
    monkeypatch.setattr(model, "_SPARE", 500)  # bytes; the dense layer alone has 512
    refused(path, "E-FORMAT-005")


def test_signatures_by_name(tmp_path: Path) -> None:
    path = put(tmp_path / "a.tflite", SMALL)
    with pytest.raises(FanlightError, match="no signatures") as caught:
        load_graph(path, signature="other")
    assert caught.value.code == "E-FORMAT-018"
    parsed = model.parse_model(memoryview(SMALL), "here")
    ends = [model.Signature(k, 0, {"x": 0}, {k: n}) for k, n in (("whole", 8), ("half", 5))]
    parsed = replace(parsed, signatures=tuple(ends))
    for key, shape in (("whole", (1, 4)), ("half", (1, 32)), (None, (1, 4))):
        options = make_options(None, None, "stored", key)
        ((name, value),) = read_model(parsed, path, options).graph.outputs
        assert value.shape == shape and name == (key or "whole")
    with pytest.raises(FanlightError, match="'whole', 'half'"):
        read_model(parsed, path, make_options(None, None, "stored", "hall"))

"""Small files that would become large: counted in bytes that Python takes, not in seconds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.formats.emitter import _FOLDED_BYTES, Budget
from fanlight.formats.wire import Message

MANY = 1 << 14


def varint(n: int) -> bytes:
    out = b""
    while n >= 128:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def peak(act: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_empty_fields_take_16_bytes_each() -> None:
    data = b"\x7a\x00" * MANY
    # A growing array holds up to an eighth more, and its old form while it grows.
    assert peak(lambda: Message(data, "here")) < 40 * MANY


def test_fields_are_read_as_they_are() -> None:
    data = field(1, b"ab") + b"\x08\x05" + field(1, b"") + b"\x15\x00\x00\x80\x3f" + field(1, b"c")
    message = Message(data, "here")
    assert [v if isinstance(v, int) else bytes(v) for v in message.fields[1]] == [
        b"ab",
        5,
        b"",
        b"c",
    ]
    assert bytes(message.data(1)) == b"c" and bytes(message.fields[1][-1]) == b"c"
    assert message.real(2) == 1.0 and len(message.fields[1]) == 4 and 3 not in message.fields


def test_too_many_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fanlight.formats.wire._MOST_FIELDS", 100)
    Message(b"\x7a\x00" * 100, "here")
    with pytest.raises(FanlightError, match="E-FORMAT-004"):
        Message(b"\x7a\x00" * 101, "here")


OUT = field(12, field(1, b"y"))
OPSET = b"\x08\x0a" + field(8, b"\x10\x14")


def of_graph(graph: bytes) -> bytes:
    return OPSET + field(7, graph + OUT)


def of_attribute(value: bytes) -> bytes:
    """A Constant with one attribute."""
    attribute = field(5, field(1, b"value") + value)
    return of_graph(field(1, field(2, b"y") + field(4, b"Constant") + attribute))


BOMBS = {
    "fields": OPSET + b"\x7a\x00" * MANY,
    "nodes": of_graph(b"\x0a\x00" * MANY),
    "the smallest nodes": of_graph(field(1, field(2, b"a") + field(4, b"A")) * (MANY // 4)),
    "inputs of a node": of_graph(field(1, b"\x0a\x00" * MANY + field(2, b"y") + field(4, b"Add"))),
    "attributes of a node": of_graph(
        field(1, b"\x2a\x00" * MANY + field(2, b"y") + field(4, b"Add"))
    ),
    "initializers": of_graph(b"\x2a\x00" * MANY),
    "inputs": of_graph(b"\x5a\x00" * MANY),
    "outputs": of_graph(b"\x62\x00" * MANY),
    "dims": of_graph(field(11, field(1, b"x") + field(2, field(1, field(2, b"\x0a\x00" * MANY))))),
    "functions": of_graph(b"") + b"\xca\x01\x00" * MANY,
    "versions": of_graph(b"") + b"\x42\x00" * MANY,
    "properties": of_graph(b"") + b"\x72\x00" * MANY,
    "texts of an attribute": of_attribute(b"\x4a\x00" * MANY),
    "tensors of an attribute": of_attribute(b"\x52\x00" * MANY + b"\xa0\x01\x09"),
    "graphs of an attribute": of_attribute(b"\x5a\x00" * MANY + b"\xa0\x01\x0a"),
}


@pytest.mark.parametrize("name", list(BOMBS))
def test_onnx_files_of_next_to_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(of_graph(b""))
    with pytest.raises(FanlightError):
        load_graph(path)  # what is imported once does not count
    path.write_bytes(BOMBS[name])

    def refused() -> None:
        with pytest.raises(FanlightError, match=r"E-FORMAT-0(02|04|05|12|13|16)"):
            load_graph(path)

    assert peak(refused) < 3_000_000 + 24 * len(BOMBS[name])


# --- constants that are written out ---------------------------------------------------------------


def number(at: int, value: int) -> bytes:
    return varint(at << 3) + varint(value)


SIDE = 128  # 64 KiB of float32
COUNT = 64
SHAPE = field(5, number(1, 2) + number(2, 7) + field(8, b"shape") + field(7, varint(SIDE) * 2))


def node(op: str, inputs: list[str], output: str, attributes: bytes = b"") -> bytes:
    names = b"".join(field(1, i.encode()) for i in inputs)
    return field(1, names + field(2, output.encode()) + field(4, op.encode()) + attributes)


def summed(parts: bytes) -> bytes:
    """A graph that adds c0, c1, ... to its input."""
    size = field(1, number(1, SIDE))
    declared = field(1, b"x") + field(2, field(1, number(1, 1) + field(2, size + size)))
    adds = b"".join(
        node("Add", [f"y{i}" if i else "x", f"c{i}"], f"y{i + 1}") for i in range(COUNT)
    )
    last = node("Identity", [f"y{COUNT}"], "y")
    return OPSET + field(7, parts + adds + last + field(11, declared) + OUT)


def sparse(i: int) -> bytes:
    """An initializer with one element that is not 0."""
    values = number(1, 1) + number(2, 1) + field(8, b"c%d" % i) + field(9, b"\0\0\x80?")
    places = number(1, 1) + number(2, 7) + field(7, varint(5))
    return field(15, field(1, values) + field(2, places) + field(3, varint(SIDE) * 2))


ONE = field(5, number(2, 1) + field(8, b"one") + field(9, b"\0\0\x80?"))
EXPANDED = {
    "ConstantOfShape": SHAPE
    + b"".join(node("ConstantOfShape", ["shape"], f"c{i}") for i in range(COUNT)),
    "Expand": SHAPE
    + ONE
    + b"".join(node("Expand", ["one", "shape"], f"c{i}") for i in range(COUNT)),
    "of one another": SHAPE
    + node("ConstantOfShape", ["shape"], "c0")
    + b"".join(node("Exp", [f"c{i}"], f"c{i + 1}") for i in range(COUNT - 1)),
    "sparse": b"".join(map(sparse, range(COUNT))),
}


def all_of_it(name: str, path: Path) -> int:
    path.write_bytes(summed(EXPANDED[name]))
    return peak(lambda: load_graph(path))


@pytest.mark.parametrize("name", list(EXPANDED))
def test_constants_that_onnx_writes_out(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is small; all of them are not."""
    path, limit = tmp_path / "m.onnx", 16 * SIDE * SIDE * 4
    assert all_of_it(name, path) > 2 * limit
    monkeypatch.setattr("fanlight.formats.emitter._FOLDED_BYTES", limit)

    def refused() -> None:
        with pytest.raises(FanlightError, match="E-FORMAT-023") as caught:
            load_graph(path)
        assert "bytes in all" in str(caught.value)

    assert peak(refused) < 2 * limit


def test_constants_that_tensorflow_writes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Const of one number for all its elements."""

    def attr(key: str, value: bytes) -> bytes:
        return field(5, field(1, key.encode()) + field(2, value))

    def tf(name: str, op: str, inputs: list[str], more: bytes) -> bytes:
        names = b"".join(field(3, i.encode()) for i in inputs)
        return field(1, field(1, name.encode()) + field(2, op.encode()) + names + more)

    kind = attr("dtype", number(6, 1))
    shape = field(2, field(2, number(1, SIDE)) * 2)
    tensor = number(1, 1) + shape + field(5, b"\0\0\x80?")
    nodes = [tf("x", "Placeholder", [], kind + attr("shape", field(7, shape[2:])))]
    for i in range(COUNT):
        nodes.append(tf(f"c{i}", "Const", [], kind + attr("value", field(8, tensor))))
        before = f"y{i - 1}" if i else "x"
        nodes.append(tf(f"y{i}", "AddV2", [before, f"c{i}"], attr("T", number(6, 1))))
    path, limit = tmp_path / "m.pb", 16 * SIDE * SIDE * 4
    path.write_bytes(b"".join(nodes))
    options: dict[str, Any] = {"inputs": "x", "outputs": f"y{COUNT - 1}"}
    assert len(load_graph(path, **options).graph.weights) == COUNT
    monkeypatch.setattr("fanlight.formats.emitter._FOLDED_BYTES", limit)

    def refused() -> None:
        with pytest.raises(FanlightError, match="E-FORMAT-023"):
            load_graph(path, **options)

    assert peak(refused) < 2 * limit


def test_what_is_stored_may_be_folded_more_than_what_is_not() -> None:
    budget = Budget()
    budget.make(_FOLDED_BYTES, "here")
    with pytest.raises(FanlightError, match="E-FORMAT-023"):
        budget.make(1, "here")
    budget.stored = 1
    budget.make(6, "here")


def test_a_loop_of_many_empty_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is carried is a sequence, so it is written out: each turn counts, also without nodes."""
    monkeypatch.setattr("fanlight.formats.onnx.scope.MAX_STEPS", 500)
    turns = field(5, number(2, 7) + field(8, b"m") + field(7, varint(10**9)))
    ports = b"".join(field(11, field(1, n)) for n in (b"i", b"c", b"s"))
    body = ports + field(12, field(1, b"c")) + field(12, field(1, b"s"))
    looped = field(5, field(1, b"body") + field(6, body) + b"\xa0\x01\x05")
    nodes = node("SequenceConstruct", ["m"], "q") + node("Loop", ["m", "", "q"], "r", looped)
    nodes += node("SequenceLength", ["r"], "y")
    path = tmp_path / "m.onnx"
    path.write_bytes(OPSET + field(7, turns + nodes + OUT))
    with pytest.raises(FanlightError, match="E-FORMAT-004") as caught:
        load_graph(path)
    assert "500 nodes and turns" in str(caught.value)

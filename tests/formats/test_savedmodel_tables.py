"""Tables of SavedModels and frozen graphs: of constants, of files of words, of variables."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.formats import savedmodels as sm
from tests.formats.savedmodels import INT64, RESOURCE, STRING, children, mapped, node, pb

INIT = "__saved_model_init_op"


def hash_table(
    name: str = "hash_table", kind: str = "HashTableV2", key: int = STRING, value: int = INT64
) -> bytes:
    return node(kind, name, key_dtype=("type", key), value_dtype=("type", value))


def lookup(types: Mapping[str, int] = {"s": STRING}) -> bytes:
    """A function: words, a table and a default -> numbers."""
    return sm.function(
        "inner",
        {**types, "t": RESOURCE, "d": INT64},
        [
            node("LookupTableFindV2", "find", "t", *types, "d"),
            node("Cast", "cast", "find:values:0", SrcT=("type", INT64), DstT=("type", sm.FLOAT)),
        ],
        {"y": "cast:y:0"},
    )


def initializer(fill: bytes, arguments: Mapping[str, int]) -> bytes:
    return sm.function("initializer", arguments, [fill], {})


def model(
    folder: Path,
    nodes: Sequence[bytes],
    functions: Sequence[bytes],
    assets: Mapping[str, str] = {},
    objects: bytes = b"",
    dtype: int = STRING,
    wrap: str = "inner",
) -> Path:
    """serving_default: s -> y, by the table "hash_table"; NoOp initialises."""
    every = [
        *nodes,
        sm.const("default", np.array(-1, np.int64)),
        sm.placeholder("serving_default_s", -1, dtype=dtype),
        node("StatefulPartitionedCall", "go", "serving_default_s", "hash_table", "default",
             f=("func", wrap)),
        node("NoOp", "NoOp", *(["^init"] if functions[1:] else [])),
    ]  # fmt: skip
    made = sm.signature(
        {"s": sm.info("serving_default_s:0", -1, dtype=dtype)}, {"y": sm.info("go:0", -1)}
    )
    first = sm.signature({}, {INIT: sm.info("NoOp")})
    graph = sm.graph(every, functions)
    folder.mkdir(parents=True, exist_ok=True)
    meta = sm.meta_graph(graph, {"serving_default": made, INIT: first}, objects=objects,
                         assets=assets)  # fmt: skip
    (folder / "saved_model.pb").write_bytes(sm.saved_model(meta))
    return folder


def of_file(folder: Path, lines: bytes, asset: str = "vocab.txt", **attrs: Any) -> Path:
    """A model whose table a file fills, by a function, as TensorFlow 2 writes it."""
    told = {"key_index": -2, "value_index": -1, **attrs}
    key, value = told.pop("key", STRING), told.pop("value", INT64)
    fill = node("InitializeTableFromTextFileV2", "fill", "t", "f", **told)
    path = folder / "assets"
    path.mkdir(parents=True, exist_ok=True)
    (path / "vocab.txt").write_bytes(lines)
    return model(
        folder,
        [
            hash_table(key=key, value=value),
            sm.text("path", "/home/someone/vocab.txt"),
            node(
                "StatefulPartitionedCall", "init", "hash_table", "path", f=("func", "initializer")
            ),
        ],
        [lookup({"s": key}), initializer(fill, {"t": RESOURCE, "f": STRING})],
        {"path": asset},
        dtype=key,
    )


def test_words_of_a_file_by_the_numbers_of_their_lines(tmp_path: Path) -> None:
    source = fl.load(of_file(tmp_path / "a", "the\ncat\né\n".encode()))
    assert source(["é", "the", "dog"]).tolist() == [2, 0, -1]
    assert [str(t) for _, t in source.inputs] == ["str[1]"]
    more = fl.load(of_file(tmp_path / "b", b"the\r\ncat", offset=5, vocab_size=2))
    assert more(["cat", "the"]).tolist() == [6, 5]
    # The name in the graph is a path where the model was trained: its last part is kept.
    assert fl.load(of_file(tmp_path / "c", b"a\nb\n"))(["b"]).tolist() == [1]


def test_columns_of_a_file(tmp_path: Path) -> None:
    lines = b"7,the,0.5\n9,cat,1.5\n"
    made = fl.load(of_file(tmp_path / "a", lines, key_index=1, value_index=0, delimiter=","))
    assert made(["cat", "the"]).tolist() == [9, 7]
    made = fl.load(of_file(tmp_path / "b", lines, key_index=1, value_index=2, delimiter=",",
                           value=sm.FLOAT))  # fmt: skip
    assert made(["cat", "x"]).tolist() == [1.5, -1]
    # Whole numbers as keys: a search in the graph, which needs no Python and can be built.
    numbers = fl.load(of_file(tmp_path / "c", b"30\n-4\n", key=INT64))
    assert numbers.source.text is None
    assert numbers(np.array([-4, 30, 1], np.int32)).tolist() == [1, 0, -1]
    assert fl.build(numbers, tmp_path / "page").run({"s": np.array([30], np.int32)})["y"] == [0]


def constants(folder: Path, keys: Sequence[str] = ("a", "b"), values: Any = (10, 20)) -> Path:
    fill = node("LookupTableImportV2", "fill", "t", "k", "v")
    call = node("StatefulPartitionedCall", "init", "hash_table", "keys", "values",
                f=("func", "initializer"))  # fmt: skip
    return model(
        folder,
        [
            hash_table(),
            sm.texts("keys", *keys),
            sm.const("values", np.array(values, np.int64)),
            call,
        ],
        [lookup(), initializer(fill, {"t": RESOURCE, "k": STRING, "v": INT64})],
    )


def test_words_that_are_constants(tmp_path: Path) -> None:
    made = fl.load(constants(tmp_path))
    assert made(["b", "c", "a"]).tolist() == [20, -1, 10]
    assert made([b"b"]).tolist() == [20]


def test_a_frozen_graph_with_a_table(tmp_path: Path) -> None:
    nodes = [
        hash_table(),
        sm.texts("keys", "a", "b"),
        sm.const("values", np.array([1, 2], np.int64)),
        sm.const("default", np.array(0, np.int64)),
        node("InitializeTableV2", "init", "hash_table", "keys", "values"),
        sm.placeholder("s", 3, dtype=STRING),
        node("LookupTableFindV2", "find", "hash_table", "s", "default"),
        node("Cast", "y", "find", SrcT=("type", INT64), DstT=("type", sm.FLOAT)),
    ]
    path = tmp_path / "g.pb"
    path.write_bytes(sm.graph(nodes))
    made = fl.load(path, outputs=["y"])
    assert made(["b", "a", "x"]).tolist() == [2, 1, 0]
    # Cut behind the table it needs no words.
    part = fl.load(path, inputs=["find"], outputs=["y"], input_shapes={"find": (3,)})
    assert part.source.text is None


def words_of_numbers(*more: bytes) -> list[bytes]:
    """A table "words" of numbers from 0 on, with a default beside it."""
    return [
        hash_table("words", key=INT64, value=STRING),
        sm.const("numbers", np.arange(3, dtype=np.int64)),
        sm.texts("texts", "a", "bé", "c"),
        sm.texts("row", "[UNK]"),
        sm.const("none", np.zeros(0, np.int32)),
        node("Reshape", "unknown", "row", "none"),
        node("InitializeTableV2", "init_words", "words", "numbers", "texts"),
        *more,
    ]


def test_words_of_numbers_and_of_words(tmp_path: Path) -> None:
    """Where there is nothing to compute Python does all, for any number of examples."""
    path = tmp_path / "g.pb"
    path.write_bytes(sm.graph(words_of_numbers(
        sm.placeholder("s", -1, dtype=INT64),
        node("LookupTableFindV2", "y", "words", "s", "unknown"),
    )))  # fmt: skip
    made = fl.load(path, outputs=["y"])
    assert made(np.array([2, 9, 1], np.int32)).tolist() == ["c", "[UNK]", "bé"]
    assert [str(t) for _, t in made.outputs] == ["str[1]"]
    assert "done in Python" in made.source.warnings[-1]
    with pytest.raises(FanlightError, match="E-BUILD-005"):
        fl.build(made, tmp_path / "page")
    with pytest.raises(FanlightError, match="E-CONVERT"):
        fl.convert(path, tmp_path / "m.onnx", outputs=["y"])
    path.write_bytes(sm.graph([
        sm.placeholder("s", -1, dtype=STRING),
        node("StringUpper", "y", "s"),
    ]))  # fmt: skip
    assert fl.load(path, outputs=["y"])(["a", "bc"]).tolist() == ["A", "BC"]


def test_words_behind_a_network_of_words(tmp_path: Path) -> None:
    """Texts, their numbers, what a network makes of them, and the word of the greatest one."""
    weights = np.eye(3, dtype=np.float32)[[1, 2, 0]]
    path = tmp_path / "g.pb"
    path.write_bytes(sm.graph(words_of_numbers(
        hash_table(),
        sm.texts("keys", "x", "y", "z"),
        sm.const("default", np.array(-1, np.int64)),
        node("InitializeTableV2", "init", "hash_table", "keys", "numbers"),
        sm.placeholder("s", -1, dtype=STRING),
        node("LookupTableFindV2", "find", "hash_table", "s", "default"),
        sm.const("depth", np.array(3, np.int32)),
        sm.const("one", np.float32(1)),
        sm.const("zero", np.float32(0)),
        node("OneHot", "hot", "find", "depth", "one", "zero", axis=-1),
        sm.const("w", weights),
        node("MatMul", "product", "hot", "w"),
        sm.const("last", np.array(1, np.int32)),
        node("ArgMax", "most", "product", "last", output_type=("type", INT64)),
        node("LookupTableFindV2", "y", "words", "most", "unknown"),
    )))  # fmt: skip
    made = fl.load(path, outputs=["y"])
    assert made(["x", "z", "y"]).tolist() == ["bé", "a", "c"]


@pytest.mark.parametrize("names", [("table-keys", "table-values"), ("-keys", "-values")])
def test_words_that_are_variables(tmp_path: Path, names: tuple[str, str]) -> None:
    """A table that could be changed is kept in the checkpoint, as Keras's adapted layers are."""
    objects = pb(
        (1, pb(*children(layer=1))),
        (1, pb(*children(lookup_table=2))),
        (1, pb()),
        (1, pb()),
        *mapped(2, {"wrapper": pb((2, bytes([2, 3])))}),
    )
    key = "layer/lookup_table/.ATTRIBUTES/"
    attribute = [pb((2, pb((1, n), (3, key + n)))) for n in names]
    if names[0] == "table-keys":  # the older form: one attribute, its key without the endings
        attribute = [pb((2, pb((1, "table"), (3, key + "table"))))]
    stored = pb(
        (1, pb(*children(layer=1))), (1, pb(*children(lookup_table=2))), (1, b"".join(attribute))
    )
    wrapper = sm.function(
        "wrapper",
        {"s": STRING, "t": RESOURCE, "d": INT64},
        [node("StatefulPartitionedCall", "call", "s", "t", "d", f=("func", "inner"))],
        {"y": "call:output:0"},
    )
    folder = model(
        tmp_path, [hash_table(kind="MutableHashTableV2"), node("NoOp", "init")],
        [lookup(), wrapper], {}, objects, wrap="wrapper",
    )  # fmt: skip
    arrays = {
        key + names[0]: np.array([b"x", "é".encode(), b"a longer one" * 20], object),
        key + names[1]: np.array([3, 4, 5], np.int64),
    }
    sm.write_variables(folder / "variables", arrays, stored)
    made = fl.load(folder)
    assert made(["é", "a longer one" * 20, "x", "y"]).tolist() == [4, 5, 3, -1]


def test_a_choice_that_a_text_decides(tmp_path: Path) -> None:
    """Its constants are read at the start: the file is closed when the model is called."""

    def branch(name: str, words: str) -> bytes:
        join = node("StringJoin", "join", "s", "w:output:0")
        return sm.function(name, {"s": STRING}, [sm.text("w", words), join], {"y": "join:output:0"})

    nodes = [
        sm.placeholder("s", 1, dtype=STRING),
        sm.texts("yes", "yes"),
        node("Equal", "same", "s", "yes", T=("type", STRING)),
        sm.const("scalar", np.array([], np.int32)),
        node("Reshape", "asked", "same", "scalar"),
        node("StatelessIf", "chosen", "asked", "s", then_branch=("func", "a"),
             else_branch=("func", "b")),
        node("StringLength", "count", "chosen"),
        node("Cast", "y", "count", SrcT=("type", sm.INT32), DstT=("type", sm.FLOAT)),
        node("StringUpper", "told", "chosen"),
    ]  # fmt: skip
    path = tmp_path / "g.pb"
    path.write_bytes(sm.graph(nodes, [branch("a", "!"), branch("b", " is not yes")]))
    model = fl.load(path, outputs=["y", "told"])
    made = model(["yes"])
    assert made["y"].tolist() == [4] and made["told"].tolist() == ["YES!"]
    assert model(["no"])["told"].tolist() == ["NO IS NOT YES"]


def test_a_table_that_nothing_fills_is_asked_for(tmp_path: Path) -> None:
    folder = model(tmp_path, [hash_table()], [lookup()])
    bare = fl.load(folder)
    with pytest.raises(FanlightError) as caught:
        bare(["a"])
    assert caught.value.code == "E-FORMAT-012" and "tables={'hash_table'" in str(caught.value)
    assert fl.load(folder, tables={"hash_table": ["a", "b"]})(["b"]).tolist() == [1]


def refused(folder: Path, code: str, *says: str) -> None:
    with pytest.raises(FanlightError) as caught:
        fl.load(folder)
    assert caught.value.code == code, str(caught.value)
    for words in says:
        assert words in str(caught.value), str(caught.value)


@pytest.mark.parametrize("name", ["../vocab.txt", "/etc/passwd", "a/../../b", "file:///etc/passwd"])
def test_no_file_outside_of_the_folder_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "vocab.txt").write_bytes(b"secret\n")
    refused(of_file(tmp_path / "m", b"a\n", name), "E-FORMAT-010")


def test_bad_files_of_words(tmp_path: Path) -> None:
    refused(of_file(tmp_path / "a", b"a\n", "gone.txt"), "E-FORMAT-006")
    refused(of_file(tmp_path / "b", b"a\nb\n", vocab_size=3), "E-FORMAT-011")
    refused(of_file(tmp_path / "c", b"a\na\n"), "E-FORMAT-012", "each once")
    refused(of_file(tmp_path / "d", b"a\n", key_index=2), "E-FORMAT-012", "column")
    refused(of_file(tmp_path / "e", b"a\n", value_index=-2), "E-FORMAT-012", "numbers")
    refused(of_file(tmp_path / "f", b"99999999999999\n", value_index=-2), "E-FORMAT-012")
    folder = of_file(tmp_path / "g", b"")
    with (folder / "assets" / "vocab.txt").open("wb") as file:
        file.truncate(1 << 27)
    refused(folder, "E-FORMAT-004")
    assert fl.load(of_file(tmp_path / "h", b""))(["a"]).tolist() == [-1]


def test_bad_constants(tmp_path: Path) -> None:
    refused(constants(tmp_path / "a", ("a", "a")), "E-FORMAT-012", "each once")
    refused(constants(tmp_path / "b", ("a",), (1, 2)), "E-FORMAT-012", "do not fit")


def test_broken_files_give_coded_errors(tmp_path: Path) -> None:
    """A byte changed, or the end cut off: it loads, or is refused by a code. Nothing else."""
    rng = random.Random(5)
    for folder in (of_file(tmp_path / "f", b"the\ncat\n"), constants(tmp_path / "c")):
        file = folder / "saved_model.pb"
        whole = file.read_bytes()
        for _ in range(150):
            data = bytearray(whole)
            for _ in range(rng.randint(1, 3)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            file.write_bytes(data if rng.random() < 0.8 else data[: rng.randrange(1, len(data))])
            try:
                made = fl.load(folder)
                made({n: np.full(t.bound, b"cat", object) for n, t in made.inputs})
            except FanlightError as error:
                assert error.__cause__ is None, repr(error.__cause__)

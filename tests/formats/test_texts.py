"""Graph-models that are given texts, or give them: Python does that part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.formats import graph_peer
from tests.formats.crafted import Json, ints, node, placeholder, text
from tests.formats.test_graph_text import words, written

S1 = {"s": {"name": "s:0", "dtype": "DT_STRING", "tensorShape": {"dim": [{"size": "-1"}]}}}
STRING = {"type": "DT_STRING"}


def given(dims: Sequence[int] = (-1,), name: str = "s") -> Json:
    return placeholder(name, *dims, dtype="DT_STRING")


def scalar(value: Any) -> np.ndarray:
    kind = {str: object, int: np.int32, float: np.float32}[type(value)]
    return np.array(value, kind)


def tokens(texts: str = "s") -> tuple[list[Json], dict[str, np.ndarray]]:
    """Words of texts, looked up, as Keras's TextVectorization has them: up to the ragged rows."""
    arrays = {
        "space": scalar(""),
        "keys": words("cat", "dog", "bird"),
        "values": np.array([2, 3, 4], np.int32),
        "other": scalar(1),
        "pad": scalar(0),
        "b": np.array([0, 0], np.int32),
        "e": np.array([0, 1], np.int32),
        "o": np.array([1, 1], np.int32),
        "b0": np.array([0], np.int32),
        "e1": np.array([1], np.int32),
    }
    nodes = [
        node("StringLower", "low", texts),
        node("StaticRegexReplace", "clean", "low", pattern=text("[!?.]"), rewrite=text("")),
        node("StringSplitV2", "split", "clean", "space"),
        node("StridedSlice", "rows", "split", "b", "e", "o", begin_mask={"i": "1"},
             end_mask={"i": "1"}, shrink_axis_mask={"i": "2"}),
        node("StridedSlice", "count", "split:2", "b0", "e1", "e1", shrink_axis_mask={"i": "1"}),
        node("LookupTableFindV2", "ids", "table", "split:1", "other"),
    ]  # fmt: skip
    return nodes, arrays


def matrix(size: str) -> Json:
    kinds = {"list": {"s": [text(k)["s"] for k in ("FIRST_DIM_SIZE", "VALUE_ROWIDS")]}}
    return node("RaggedTensorToTensor", "dense", size, "ids", "pad", "count", "rows",
                row_partition_types=kinds)  # fmt: skip


FILLED = {"table": ("keys", "values")}


def embedded(folder: Path, wide: int, more: Mapping[str, Any] = {}) -> Path:
    """The sum of the embeddings of at most `wide` words (-1: of all)."""
    nodes, arrays = tokens()
    arrays |= {
        "size": np.array([-1, wide], np.int32),
        "weights": np.arange(10000, dtype=np.float32).reshape(5000, 2),
        "axis": scalar(0),
        "one": scalar(1),
    }
    nodes += [
        given(),
        matrix("size"),
        node("GatherV2", "rows_of", "weights", "dense", "axis"),
        node("Sum", "y", "rows_of", "one"),
    ]
    return written(folder, nodes, arrays, ["y"], S1, FILLED)


def test_words_become_numbers_in_front_of_the_graph(tmp_path: Path) -> None:
    model = fl.load(embedded(tmp_path, 4))
    assert [str(t) for _, t in model.inputs] == ["str[1]"]
    assert [(v.name, str(v.type)) for v in model.graph.inputs] == [("dense", "i32[1, 4]")]
    texts = ["The CAT! dog?", "", "bird bird bird bird bird"]
    ids = [[1, 2, 3, 0], [0, 0, 0, 0], [4, 4, 4, 4]]
    assert model.prepared(texts)["dense"].tolist() == ids
    wanted = [[2 * sum(row), 2 * sum(row) + 4] for row in ids]
    for given_ in (texts, np.array(texts), [t.encode() for t in texts], {"s": texts}):
        made = model(given_)
        assert (made["y"] if isinstance(made, dict) else made).tolist() == wanted
    assert model("the cat").tolist() == model(["the cat"]).tolist()


def test_a_length_that_texts_decide_is_asked_for(tmp_path: Path) -> None:
    path = embedded(tmp_path, -1)
    with pytest.raises(FanlightError) as caught:
        fl.load(path)
    assert caught.value.code == "E-FORMAT-017"
    assert "input_shapes={'dense': (1, 64)}" in str(caught.value)
    model = fl.load(path, input_shapes={"dense": (1, 2)})
    assert model.prepared(["cat dog bird", "dog"])["dense"].tolist() == [[2, 3], [3, 0]]
    for shape, code in (((2,), "E-FORMAT-018"), ((1, 2, 3), "E-FORMAT-018")):
        with pytest.raises(FanlightError) as caught:
            fl.load(path, input_shapes={"dense": shape})
        assert caught.value.code == code
    with pytest.raises(FanlightError) as caught:
        fl.load(path, input_shapes={"dense": (1, 2), "y": (1, 2)})
    assert caught.value.code == "E-FORMAT-018" and "y" in str(caught.value.received)


def test_the_part_of_numbers_is_built_and_converted(tmp_path: Path) -> None:
    path = embedded(tmp_path / "m", 3)
    model = fl.load(path)
    with pytest.raises(FanlightError) as caught:
        fl.build(model, tmp_path / "page")
    assert caught.value.code == "E-BUILD-005" and "dense i32[1, 3]" in str(caught.value)
    assert not (tmp_path / "page").exists()
    bundle = fl.build(model.graph, tmp_path / "page")
    texts = ["dog cat bird"]
    np.testing.assert_array_equal(bundle.run(model.prepared(texts))["y"], model(texts))
    with pytest.raises(FanlightError) as caught:
        fl.convert(path, tmp_path / "out")
    assert caught.value.code == "E-CONVERT-002" and "--subgraph dense:y" in str(caught.value)
    made = fl.convert(path, tmp_path / "out", inputs=["dense"], outputs=["y"])
    assert made.ok and made.kind == "tfjs-graph"
    for ends in ({"inputs": ["dense"]}, {"outputs": ["y"]}):
        with pytest.raises(FanlightError, match="cannot be written"):
            fl.convert(path, tmp_path / "again", **ends)


def test_texts_of_a_wrong_kind_are_refused(tmp_path: Path) -> None:
    model = fl.load(embedded(tmp_path, 3))
    wrong: list[tuple[Any, str]] = [
        ([1, 2], "E-INPUT-003"),
        ([None], "E-INPUT-003"),
        (np.zeros((2,), np.float32), "E-INPUT-003"),
        ([["a", "b"]], "E-INPUT-002"),
        ([], "E-INPUT-002"),
        ({"t": ["a"]}, "E-INPUT-001"),
        ({}, "E-INPUT-001"),
    ]
    for x, code in wrong:
        with pytest.raises(FanlightError) as caught:
            model(x)
        assert caught.value.code == code, x
    assert model(["\ud800 cat"]).shape == (1, 2)  # half of a pair of JavaScript's


def test_whole_models_give_what_tfjs_gives(tmp_path: Path) -> None:
    """Small letters, as TF.js turns the strings of attributes into those."""
    arrays = {
        "mark": scalar(" "),
        "keys": words("fox", "quick", "the quick"),
        "values": np.array([5, 6, 7], np.int32),
        "none": scalar(-1),
        "splits": np.array([0, 2, 4], np.int32),
        "x4": words("ab", "b", "c", "d"),
        "size": np.array([2, 5], np.int32),
        "zero": scalar(0.0),
        "half": scalar(0.5),
    }
    nodes = [
        given((2,)),
        placeholder("x", 2),
        node("StaticRegexReplace", "clean", "s", pattern=text("[-_]"), rewrite=text(" "),
             replace_global={"b": True}),
        node("StringToHashBucketFast", "hash", "clean", num_buckets={"i": "1000003"}),
        node("LookupTableFindV2", "known", "table", "s", "none"),
        node("Equal", "same", "s", "clean"),
        node("Reshape", "column", "clean", "shape"),
        node("Concat", "pairs", "axis", "column", "column"),
        node("Reshape", "four", "pairs", "flat"),
        node("StringNGrams", "grams", "four", "splits", separator=text("|"),
             ngram_widths=ints(1, 2), left_pad=text("l"), right_pad=text("r"),
             pad_width={"i": "1"}, preserve_short_sequences={"b": False}),
        node("StringToHashBucketFast", "of_grams", "grams:0", num_buckets={"i": "97"}),
        node("Cast", "float", "hash", DstT={"type": "DT_FLOAT"}),
        node("AddV2", "sum", "float", "x"),
    ]  # fmt: skip
    arrays |= {"shape": np.array([2, 1], np.int32), "axis": scalar(1), "flat": ints_of(4)}
    outputs = ["sum", "hash", "known", "same", "of_grams", "grams:1"]
    inputs = {
        "s": {"name": "s:0", "dtype": "DT_STRING", "tensorShape": {"dim": [{"size": "2"}]}},
        "x": {"name": "x:0", "dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": "2"}]}},
    }
    path = written(tmp_path, nodes, arrays, outputs, inputs, {"table": ("keys", "values")})
    model = fl.load(path)
    x = np.array([0.5, -2], np.float32)
    batches = [["the-quick", "fox"], ["é_x", "quick"], ["", "日本語 - \U0001f600"]]
    fed = [{"s": np.array(b, object), "x": x} for b in batches]
    wanted = graph_peer.run_all([(path.parent, f, outputs) for f in fed])
    for feed, expected in zip(fed, wanted, strict=True):
        found = model(feed)
        for name, want in zip(outputs, expected, strict=True):
            np.testing.assert_array_equal(found[name.replace(":", "_")], want, err_msg=name)


def ints_of(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def test_splits_give_what_tfjs_gives(tmp_path: Path) -> None:
    """TF.js has no executor of RaggedTensorToTensor: the words fill a matrix of four columns."""
    arrays = {"mark": scalar(" ,"), "size": ints_of(2, 8), "zero": scalar(0)}
    arrays |= {"b": ints_of(0, 0), "four": ints_of(2, 4)}
    nodes = [
        given((2,)),
        node("StringSplit", "split", "s", "mark", skip_empty={"b": True}),
        node("StringToHashBucketFast", "hash", "split:1", num_buckets={"i": "50"}),
        node("SparseToDense", "dense", "split:0", "size", "hash", "zero"),
        node("Slice", "first", "dense", "b", "four"),
        node("Cast", "y", "first", DstT={"type": "DT_FLOAT"}),
        node("Identity", "shape", "split:2"),
    ]
    outputs = ["y", "shape"]
    inputs = {"s": {"name": "s:0", "dtype": "DT_STRING"}}
    path = written(tmp_path, nodes, arrays, outputs, inputs)
    model = fl.load(path)
    batches = [["a b,c", "d"], ["a", "x  y"], ["1 2 3 4 5 6", "é,日"]]
    fed = [{"s": np.array(b, object)} for b in batches]
    wanted = graph_peer.run_all([(path.parent, f, outputs) for f in fed])
    for feed, expected in zip(fed, wanted, strict=True):
        found = model(feed)
        for name, want in zip(outputs, expected, strict=True):
            np.testing.assert_array_equal(found[name], want, err_msg=f"{name} of {feed}")
    assert model(["", ""])["y"].tolist() == [[0] * 4] * 2


# --- strings behind the graph ---------------------------------------------------------------------


def test_labels_are_put_to_numbers_behind_the_graph(tmp_path: Path) -> None:
    arrays = {
        "weights": np.eye(3, dtype=np.float32) * 2,
        "axis": scalar(1),
        "zero": scalar(0),
        "names": words("cat", "dog", "bird"),
        "list": words("cat", "dog", "bird"),
        "numbers": ints_of(0, 1, 2),
        "none": scalar("?"),
        "mark": words("a "),
    }
    nodes = [
        placeholder("x", -1, 3),
        node("MatMul", "scores", "x", "weights"),
        node("ArgMax", "best", "scores", "axis"),
        node("LookupTableFindV2", "label", "table", "best", "none"),
        node("GatherV2", "again", "list", "best", "zero"),
        node("StringJoin", "told", "mark", "again"),
    ]
    path = written(
        tmp_path, nodes, arrays, ["label", "scores", "told"],
        {"x": {"name": "x:0", "dtype": "DT_FLOAT"}}, {"table": ("numbers", "names")},
    )  # fmt: skip
    model = fl.load(path)
    x = np.array([[0, 1, 0], [5, 1, 0]], np.float32)
    made = model(x)
    assert made["label"].tolist() == ["dog", "cat"] and made["told"].tolist() == ["a dog", "a cat"]
    assert made["scores"].tolist() == (2 * x).tolist()
    assert {n: t.dtype for n, t in model.outputs} == {
        "label": "string", "scores": "float32", "told": "string",
    }  # fmt: skip
    assert "best" in dict(model.graph.outputs) and [v.name for v in model.graph.inputs] == ["x"]
    bundle = fl.build(model.graph, tmp_path / "page")
    assert bundle.run({"x": x[:1]})["best"].tolist() == [1]
    with pytest.raises(FanlightError, match="outputs of texts: label, told"):
        fl.build(model, tmp_path / "no")


def test_texts_in_front_and_behind_and_numbers_beside(tmp_path: Path) -> None:
    """A hash of a number's digits needs the number in front; a weight lies in the graph only."""
    arrays = {"weights": np.arange(5000, dtype=np.float32), "zero": scalar(0), "mark": words("-")}
    nodes = [
        given((1,)),
        placeholder("n", 1, dtype="DT_INT32"),
        node("AsString", "digits", "n"),
        node("StringJoin", "both", "s", "mark", "digits"),
        node("StringToHashBucketFast", "hash", "both", num_buckets={"i": "5000"}),
        node("GatherV2", "y", "weights", "hash", "zero"),
        node("AsString", "told", "y", precision={"i": "1"}),
        node("StringJoin", "end", "both", "told", separator=text(": ")),
    ]
    inputs = {
        "s": {"name": "s:0", "dtype": "DT_STRING"},
        "n": {"name": "n:0", "dtype": "DT_INT32"},
    }
    model = fl.load(written(tmp_path, nodes, arrays, ["y", "end", "both"], inputs))
    assert [v.name for v in model.graph.inputs] == ["hash"]
    made = model({"s": ["id"], "n": np.array([42], np.int32)})
    bucket = fl.string.to_hash_bucket_fast(["id-42"], 5000).tolist()[0]
    assert made["y"].tolist() == [bucket] and made["both"].tolist() == ["id-42"]
    assert made["end"].tolist() == [f"id-42: {bucket}.0"]


def test_a_model_of_texts_alone_is_of_python(tmp_path: Path) -> None:
    nodes = [given(), node("StringUpper", "y", "s")]
    made = fl.load(written(tmp_path, nodes, {}, ["y"], S1))
    assert made(["a b"]).tolist() == ["A B"]
    assert "done in Python" in made.source.warnings[-1]


def test_a_table_without_words_is_asked_for(tmp_path: Path) -> None:
    nodes = [
        given(),
        placeholder("t", dtype="DT_RESOURCE"),
        node("LookupTableFindV2", "ids", "t", "s", "none"),
        node("Cast", "y", "ids", DstT={"type": "DT_FLOAT"}),
    ]
    path = written(tmp_path, nodes, {"none": scalar(-1)}, ["y"], S1)
    bare = fl.load(path)
    assert any("tables={'t'" in w for w in bare.source.warnings)
    assert [str(v.type) for v in bare.graph.inputs] == ["i32[1]"]
    with pytest.raises(FanlightError) as caught:
        bare(["b"])
    assert caught.value.code == "E-FORMAT-012" and "tables={'t'" in str(caught.value)
    for table in (["a", "b"], {"a": 0, "b": 1}, {b"a": 0, "b": np.int64(1)}):
        assert fl.load(path, tables={"t": table})(["b", "c"]).tolist() == [1, -1]
    bad: list[Any] = [{"t": 3}, {"t": [object()]}, 3, ["a"], {"x": ["a"]}, {"t": {"a": "b"}}]
    for tables in bad:
        with pytest.raises(FanlightError) as caught:
            fl.load(path, tables=tables)
        assert caught.value.code in ("E-FORMAT-018", "E-FORMAT-012"), tables


# --- single ops, by TensorFlow's documentation ----------------------------------------------------

B = "é日x".encode()
CASES: dict[str, tuple[Json, dict[str, np.ndarray], list[str], Any]] = {
    "lower": (node("StringLower", "z", "s"), {}, ["ABC É"], ["abc É"]),
    "lower utf-8": (node("StringLower", "z", "s", encoding=text("utf-8")), {}, ["É"], ["é"]),
    "upper": (node("StringUpper", "z", "s"), {}, ["aé"], ["Aé"]),
    "strip": (node("StringStrip", "z", "s"), {}, ["\n a b\t "], ["a b"]),
    "length": (node("StringLength", "z", "s"), {}, ["é日x", ""], [6, 0]),
    "characters": (
        node("StringLength", "z", "s", unit=text("UTF8_CHAR")), {}, ["é日x", "ab"], [3, 2],
    ),
    "substr": (
        node("Substr", "z", "s", "p", "l"), {"p": scalar(1), "l": scalar(3)},
        ["Hello", "TensorFlow"], ["ell", "ens"],
    ),
    "substr from the end": (
        node("Substr", "z", "s", "p", "l", unit=text("UTF8_CHAR")),
        {"p": scalar(-2), "l": scalar(9)}, ["日本語", "ab"], ["本語", "ab"],
    ),
    "join": (
        node("StringJoin", "z", "s", "p", "s", separator=text("-")), {"p": scalar("b")},
        ["a", "c"], ["a-b-a", "c-b-c"],
    ),
    "regex": (
        node("RegexReplace", "z", "s", "p", "r"),
        {"p": scalar(r"(\w+) (\w+)"), "r": scalar(r"\2, \1!")},
        ["ab cd ef gh"], ["cd, ab! gh, ef!"],
    ),
    "first match": (
        node("StaticRegexReplace", "z", "s", pattern=text("a+"), rewrite=text("<\\0>"),
             replace_global={"b": False}), {}, ["baab aa"], ["b<aa>b aa"],
    ),
    "full match": (
        node("StaticRegexFullMatch", "z", "s", pattern=text(".*TF$")), {},
        ["I use TF", "TF2", ""], [True, False, False],
    ),
    "strong": (
        node("StringToHashBucketStrong", "z", "s", num_buckets={"i": "3"}, key=ints(1, 2)), {},
        ["Hello", "TF"], [2, 0],
    ),
    "to number": (node("StringToNumber", "z", "s"), {}, ["1.5", "-2e3"], [1.5, -2000.0]),
    "encode": (node("EncodeBase64", "z", "s"), {}, ["hello?>", "a"], ["aGVsbG8_Pg", "YQ"]),
    "decode": (node("DecodeBase64", "z", "s"), {}, ["aGVsbG8_Pg", "YQ"], ["hello?>", "a"]),
    "tile": (node("Tile", "z", "s", "n"), {"n": ints_of(2)}, ["a", "b"], ["a", "b", "a", "b"]),
    "pad": (node("Pad", "z", "s", "n"), {"n": np.array([[1, 0]], np.int32)}, ["a"], ["", "a"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_op_means_what_tensorflow_says(tmp_path: Path, name: str) -> None:
    op, arrays, texts, wanted = CASES[name]
    nodes = [given((len(texts),)), placeholder("x", 1), node("Identity", "y", "x"), op]
    inputs = {**S1, "x": {"name": "x:0", "dtype": "DT_FLOAT"}}
    model = fl.load(written(tmp_path, nodes, arrays, ["y", "z"], inputs))
    made = model({"s": texts, "x": np.zeros(1, np.float32)})
    assert made["z"].tolist() == wanted


def test_parts_of_texts_are_those_of_tensorflow(tmp_path: Path) -> None:
    cases: list[tuple[str, int, str, list[str]]] = [
        ("", -1, " a  b\tc ", ["a", "b", "c"]),
        ("", 1, "a b c", ["a", "b c"]),
        ("", 1, "a ", ["a", ""]),
        ("", 0, " a b", [" a b"]),
        (",", -1, "1,,2,", ["1", "", "2", ""]),
        ("<>", 1, "1<>2<>3", ["1", "2<>3"]),
        (",", -1, "", [""]),
        ("", -1, "  ", []),
    ]
    for number, (mark, most, data, wanted) in enumerate(cases):
        nodes = [
            given((1,)),
            node("StringSplitV2", "split", "s", "mark", maxsplit={"i": str(most)}),
            node("Identity", "z", "split:1"),
            node("Identity", "shape", "split:2"),
        ]
        path = written(tmp_path / str(number), nodes, {"mark": scalar(mark)}, ["z", "shape"], S1)
        made = fl.load(path)([data])
        assert made["z"].tolist() == wanted and made["shape"].tolist() == [1, len(wanted)]


def test_code_points_of_texts(tmp_path: Path) -> None:
    nodes = [
        given((2,)),
        node("UnicodeDecodeWithOffsets", "u", "s", input_encoding=text("UTF-8")),
        node("Identity", "splits", "u"),
        node("Pad", "points", "u:1", "n"),
        node("Slice", "first", "points", "b", "four"),
        node("Pad", "places", "u:2", "n"),
        node("Slice", "second", "places", "b", "four"),
    ]
    arrays = {"n": np.array([[0, 4]], np.int32), "b": ints_of(0), "four": ints_of(4)}
    path = written(tmp_path, nodes, arrays, ["splits", "first", "second"], S1)
    made = fl.load(path)([b"a\xc3\xa9\xff", b"\xe6\x97\xa5"])
    assert made["splits"].tolist() == [0, 3, 4]
    assert made["first"].tolist() == [97, 233, 0xFFFD, 0x65E5]
    assert made["second"].tolist() == [0, 1, 3, 0]


# --- a published model ----------------------------------------------------------------------------

DENSE = "StatefulPartitionedCall/sequential/text_vectorization/RaggedToTensor/RaggedTensorToTensor"


def test_a_published_model_of_texts(shared: Path, tmp_path: Path) -> None:
    """TextVectorization and two LSTMs. Its converter lost the words, so here are some; TF.js has
    no StringLower, and is given what Python makes of texts.
    """
    folder = shared / "data" / "models" / "rnn-textvectorization-graph"
    known = ["", "[UNK]", "the", "movie", "was", "great", "terrible", "a", "not"]
    vocabulary = known + [f"w{i}" for i in range(1000 - len(known))]
    with pytest.raises(FanlightError, match="E-FORMAT-017"):
        fl.load(folder, tables={"unknown": vocabulary})
    bare = fl.load(folder, input_shapes={DENSE: (1, 12)})
    with pytest.raises(FanlightError, match="table that its files do not fill"):
        bare(["the movie"])
    wide = fl.load(folder, tables={"unknown": vocabulary}, input_shapes={DENSE: (1, 12)})
    texts = ["The movie was GREAT!!!", "a (not) great movie; terrible?", "Nothing known", ""]
    ids = wide.prepared(texts)[DENSE]
    assert ids[:, :6].tolist() == [
        [2, 3, 4, 5, 0, 0], [7, 8, 5, 3, 6, 0], [1, 1, 0, 0, 0, 0], [0] * 6
    ]  # fmt: skip
    made = wide(texts)
    (wanted,) = graph_peer.run(folder, {DENSE: ids}, ["Identity"])
    np.testing.assert_allclose(made, wanted, rtol=1e-4)
    bundle = fl.build(bare.graph, tmp_path)  # needs no words
    np.testing.assert_allclose(bundle.run({DENSE: ids[:1]})["dense_1"], made[:1], rtol=1e-4)
    # What is filled up is masked: of any width it gives the same.
    short = fl.load(folder, tables={"unknown": vocabulary}, input_shapes={DENSE: (1, 6)})
    np.testing.assert_allclose(short(texts), made, rtol=1e-5)

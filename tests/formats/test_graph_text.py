"""Known strings and tables of graph-models, against TensorFlow.js."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.graph import evaluate
from tests.formats import graph_peer
from tests.formats.crafted import Json, ints, node, placeholder, text

KINDS = {"f": ("float32", "DT_FLOAT"), "i": ("int32", "DT_INT32"), "O": ("string", "DT_STRING")}


def words(*values: str) -> np.ndarray:
    return np.array(values, object)


def stored(array: np.ndarray) -> bytes:
    if array.dtype.kind != "O":
        return array.tobytes()
    coded = [t.encode() for t in array.reshape(-1)]
    return b"".join(struct.pack("<I", len(c)) + c for c in coded)


def written(
    folder: Path,
    nodes: Sequence[Json],
    arrays: Mapping[str, np.ndarray],
    outputs: Sequence[str],
    inputs: Mapping[str, Json] = {},
    filled: Mapping[str, tuple[str, str]] = {},
) -> Path:
    """A graph-model with strings; `filled`: table input -> names of its keys and values."""

    def const(name: str) -> Json:
        array = arrays[name]
        kind = {"type": KINDS[array.dtype.kind][1]}
        dims = [{"size": str(d)} for d in array.shape]
        value = {"tensor": {"dtype": kind["type"], "tensorShape": {"dim": dims}}}
        return node("Const", name, dtype=kind, value=value)

    of_tables = {n for pair in filled.values() for n in pair}

    first: list[Json] = [const(n) for n in sorted(of_tables)]
    signature: Json = {
        "inputs": dict(inputs),
        "outputs": {o.replace(":", "_"): {"name": o if ":" in o else f"{o}:0"} for o in outputs},
    }
    made: Json = {}
    for number, (name, (keys, values)) in enumerate(filled.items()):
        types = {
            "Tin": {"type": KINDS[arrays[keys].dtype.kind][1]},
            "Tout": {"type": KINDS[arrays[values].dtype.kind][1]},
        }
        own = {"key_dtype": types["Tin"], "value_dtype": types["Tout"]}
        own |= {"shared_name": {"s": base64.b64encode(name.encode()).decode()}}
        first.append(node("HashTableV2", f"table{number}", **own))
        fill = node("LookupTableImportV2", f"fill{number}", f"table{number}", keys, values, **types)
        first += [fill, node("Identity", f"out{number}", f"table{number}", f"^fill{number}")]
        made[f"out{number}:0"] = {"name": f"out{number}:0", "resourceId": number}
        resource = {"name": f"{name}:0", "dtype": "DT_RESOURCE", "resourceId": number}
        signature["inputs"][name] = resource
        nodes = [*nodes, node("Placeholder", name, dtype={"type": "DT_RESOURCE"})]
    model: Json = {
        "format": "graph-model",
        "signature": signature,
        "modelTopology": {
            "node": [*nodes, *(const(n) for n in arrays if n not in of_tables)],
            "versions": {"producer": 175},
        },
        "weightsManifest": [
            {
                "paths": ["w.bin"],
                "weights": [
                    {"name": n, "shape": list(a.shape), "dtype": KINDS[a.dtype.kind][0]}
                    for n, a in arrays.items()
                ],
            }
        ],
    }
    if filled:
        model["modelInitializer"] = {"node": first, "versions": {}}
        model["initializerSignature"] = {"outputs": made}

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "w.bin").write_bytes(b"".join(stored(a) for a in arrays.values()))
    (folder / "model.json").write_text(json.dumps(model))
    return folder / "model.json"


FLOAT_IN = {"x": {"name": "x:0", "dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": "1"}]}}}


def test_known_strings_are_worked_out_at_import(tmp_path: Path) -> None:
    """Small letters throughout: TF.js turns the strings of attributes into those."""
    arrays = {
        "texts": words("the quick fox", "a fox-trot"),
        "mark": np.array(" ", object),
        "splits": np.array([0, 3, 5], np.int32),
        "fox": np.array("fox", object),
    }
    nodes = [
        node("StaticRegexReplace", "clean", "texts", pattern=text("[-_]"), rewrite=text(" "),
             replace_global={"b": True}),
        node("StringSplit", "split", "texts", "mark", skip_empty={"b": True}),
        node("StringToHashBucketFast", "hash", "clean", num_buckets={"i": "1000"}),
        node("StringNGrams", "grams", "split:1", "splits", separator=text("|"),
             ngram_widths=ints(2), left_pad=text("l"), right_pad=text("r"),
             pad_width={"i": "1"}, preserve_short_sequences={"b": False}),
        node("StringToHashBucketFast", "pairs", "grams:0", num_buckets={"i": "97"}),
        placeholder("x", 1),
        node("Identity", "y", "x"),
        node("Identity", "at", "split:0"),
        node("Identity", "shape", "split:2"),
        node("Identity", "rows", "grams:1"),
    ]  # fmt: skip
    outputs = ["y", "hash", "pairs", "at", "shape", "rows"]
    path = written(tmp_path, nodes, arrays, outputs, FLOAT_IN)
    x = np.ones(1, np.float32)
    found = evaluate(load_graph(path).graph, {"x": x})
    expected = graph_peer.run(path.parent, {"x": x}, outputs)
    for name, want in zip(outputs, expected, strict=True):
        np.testing.assert_array_equal(found[name], want, err_msg=name)


def test_a_table_from_whole_numbers_is_a_search_in_the_graph(tmp_path: Path) -> None:
    arrays = {
        "keys": np.array([30, -5, 7, 100], np.int32),
        "values": np.array([1.5, 2.5, 3.5, 4.5], np.float32),
        "default": np.array(-1, np.float32),
    }
    nodes = [
        placeholder("x", 2, 4, dtype="DT_INT32"),
        node("LookupTableFindV2", "y", "table", "x", "default"),
        node("LookupTableSizeV2", "size", "table"),
    ]
    given = {"x": {"name": "x:0", "dtype": "DT_INT32"}}
    filled = {"table": ("keys", "values")}
    path = written(tmp_path, nodes, arrays, ["y", "size"], given, filled)
    x = np.array([[30, 7, 8, -5], [101, 100, -6, 30]], np.int32)
    source = load_graph(path)
    assert [p.name for p in source.inputs] == ["x"]
    wanted = [[1.5, 3.5, -1, 2.5], [-1, 4.5, -1, 1.5]]
    bundle = fl.build(fl.load(path), tmp_path / "bundle")
    for found in (evaluate(source.graph, {"x": x}), bundle.run({"x": x})):
        assert found["y"].tolist() == wanted and found["size"] == 4


def test_known_words_are_looked_up_at_import(tmp_path: Path) -> None:
    arrays = {
        "keys": words("cat", "dog"),
        "values": np.array([1, 2], np.int32),
        "default": np.array(0, np.int32),
        "texts": words("dog", "cow", "cat"),
    }
    nodes = [
        placeholder("x", 1),
        node("LookupTableFindV2", "ids", "table", "texts", "default"),
        node("Cast", "numbers", "ids", DstT={"type": "DT_FLOAT"}),
        node("AddV2", "y", "x", "numbers"),
    ]
    path = written(tmp_path, nodes, arrays, ["y"], FLOAT_IN, {"table": ("keys", "values")})
    found = evaluate(load_graph(path).graph, {"x": np.zeros(1, np.float32)})
    assert found["y"].tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("pattern", "safe"),
    [
        ("[!\"#$%&()\\*\\+,-\\./:;<=>?@\\[\\\\\\]^_`{|}~\\']", True),
        ("<br />", True),
        (r"\s+x", True),
        ("(a+)+b", True),
        ("a*a*a*b", True),
        ("a|aa|(a?){9}b", True),
        ("[", False),
        ("(a){1000}{1000}", False),
        ("((a{100}){100}){100}", False),
        ("(" * 60 + ")" * 60, False),
        (r"\1", False),
        ("(?=a)", False),
        ("x" * 1001, False),
    ],
)
def test_expressions_are_sought_quickly_or_not_at_all(
    tmp_path: Path, pattern: str, safe: bool
) -> None:
    arrays = {"texts": words("a" * 5000)}
    nodes = [
        node("StaticRegexReplace", "c", "texts", pattern=text(pattern), rewrite=text("")),
        node("StringToHashBucketFast", "y", "c", num_buckets={"i": "9"}),
        placeholder("x", 1),
        node("Identity", "z", "x"),
    ]
    path = written(tmp_path, nodes, arrays, ["y", "z"], FLOAT_IN)
    if safe:
        load_graph(path)
        return
    with pytest.raises(FanlightError) as caught:
        load_graph(path)
    assert caught.value.code == "E-FORMAT-012"


@pytest.mark.parametrize(
    ("arrays", "code"),
    [
        ({"keys": np.array([1, 1], np.int32), "values": np.zeros(2, np.float32)}, "E-FORMAT-012"),
        ({"keys": np.array([1], np.int32), "values": np.zeros(2, np.float32)}, "E-FORMAT-012"),
        ({"keys": np.zeros(2, np.float32), "values": np.zeros(2, np.float32)}, "E-FORMAT-012"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, arrays: Any, code: str) -> None:
    nodes = [placeholder("x", 1), node("LookupTableSizeV2", "y", "table")]
    path = written(tmp_path, nodes, arrays, ["y"], FLOAT_IN, {"table": ("keys", "values")})
    with pytest.raises(FanlightError) as caught:
        load_graph(path)
    assert caught.value.code == code


def test_strings_stop_where_they_must(tmp_path: Path) -> None:
    nodes = [placeholder("x", 1), node("Neg", "y", "texts")]
    with pytest.raises(FanlightError, match="does not take strings"):
        load_graph(written(tmp_path / "a", nodes, {"texts": words("a")}, ["y"], FLOAT_IN))
    nodes = [placeholder("x", 1), node("StringLower", "y", "texts")]
    with pytest.raises(FanlightError, match="of strings, or a table"):
        load_graph(written(tmp_path / "b", nodes, {"texts": words("a")}, ["y"], FLOAT_IN))
    nodes = [placeholder("x", 1), node("HashTableV2", "t"), node("LookupTableSizeV2", "y", "t")]
    with pytest.raises(FanlightError, match="its files do not fill"):
        load_graph(written(tmp_path / "c", nodes, {}, ["y"], FLOAT_IN))

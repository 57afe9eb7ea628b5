"""Graphs with counted results, strings, tables, or no weights, mutated.

They load, or one coded error says why.

tools/fuzz_readers.py does so for as long as one likes.
"""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.formats.tfgraph import reader
from fanlight.formats.tfgraph.bounded import ELEMENTWISE, RULES
from fanlight.formats.tfgraph.call import HANDLERS
from fanlight.formats.tfgraph.text import TAKE_TEXT
from fanlight.graph import verify
from tests.formats import (
    test_counted_control,
    test_counts,
    test_detection,
    test_dynamic,
    test_graph_text,
    test_guess,
)
from tests.formats.crafted import node, placeholder, text

STORED, RANDOM = "stored", "random"
VALUES: list[Any] = [
    None, 0, 1, -1, 2**31, 2**63, 0.5, "x", [], {}, {"i": "-1"}, {"i": "9"}, {"b": True},
    {"s": "Kys="}, {"type": "DT_STRING"}, {"type": "DT_INT32"}, {"list": {"i": ["0", "2"]}},
]  # fmt: skip
ATTRS = (
    "axis keep_dims num N begin_mask end_mask shrink_axis_mask DstT seed num_buckets pattern "
    "squeeze_dims batch_dims row_partition_types type strides"
).split()


def bases(folder: Path) -> list[tuple[Path, str]]:
    """Models that count, models of words, and such as came without weights; and what these are."""
    at = np.array([0], np.int32)
    arrays = {
        "keys": np.array([3, 1], np.int32),
        "values": np.array([5, 6], np.int32),
        "names": test_graph_text.words("a", "b"),
        "texts": test_graph_text.words("a b", "c"),
        "mark": np.array(" ", object),
        "zero": np.array(0, np.int32),
    }
    search = [
        placeholder("x", 3, dtype="DT_INT32"),
        node("LookupTableFindV2", "y", "table", "x", "zero"),
        node("StringSplit", "s", "texts", "mark"),
        node("StaticRegexReplace", "r", "s:1", pattern=text("[ab]"), rewrite=text("")),
        node("LookupTableFindV2", "z", "words", "r", "zero"),
    ]
    given = {"x": {"name": "x:0", "dtype": "DT_INT32"}}
    filled = {"table": ("keys", "values"), "words": ("names", "values")}
    more = [
        *test_dynamic.SHAPES,
        node("Shape", "shape", "picked"),
        node("Sub", "left", "nine", "shape"),
        node("Fill", "fill", "left", "zero"),
        node("Cast", "filled", "fill", DstT={"type": "DT_FLOAT"}),
        node("ConcatV2", "both", "picked", "filled", "zero", N={"i": "2"}),
        node("Pack", "pack", "picked", "picked", axis={"i": "1"}),
        node("Sum", "sum", "pack", "dim0"),
    ]
    known = {
        "half": np.float32(0.5), "minus": np.array([-1], np.int32), "zero": arrays["zero"],
        "nine": np.array([9], np.int32), "dim0": at,
    }  # fmt: skip
    fed = {"x": np.zeros(9, np.float32)}
    compared = [
        *test_counts.found("p", "x"),
        *test_counts.found("q", "z"),
        node("Greater", "which", "p/count", "q/count"),
        node("Select", "a", "which", "p/count", "q/count"),
        node("Range", "long", "zero", "a", "one"),
        node("Sub", "over", "p/count", "five"),
        node("LessEqual", "few", "over", "zero"),
        node("Select", "size", "few", "all", "five"),
        node("ExpandDims", "sizes", "size", "zero"),
        node("Slice", "part", "p", "none", "sizes"),
    ]
    branches = [
        *test_counts.found("p", "x"),
        *test_counted_control.SWITCHED,
        node("AddV2", "one_more", "n:1", "one"),
        node("Merge", "count", "n", "one_more"),
        node("Range", "long", "zero", "count", "one"),
        node("Neg", "minus_a", "a:1"),
        node("Merge", "part", "a", "minus_a"),
    ]
    carried = [
        *test_counts.found("p", "x"),
        *test_counted_control.loop(
            "p",
            [node("Sum", "s", "c", "axes"), node("Less", "less", "s", "limit")],
            [node("Mul", "c2", "c1:1", "factor")],
        ),
    ]
    numbers = test_counted_control.KNOWN
    outs = ["y", "z"]
    two, fixed = {**fed, "z": fed["x"]}, test_counts.FIXED
    for name in ("loop", "boxes"):
        (folder / name).mkdir()
    loop = [*test_detection.resized_in_a_loop(6, 9, 3), *test_detection.batch_of_two()]
    return [
        (test_dynamic.written(folder / "counts", more, known, fed, ["both", "sum"]), STORED),
        (test_graph_text.written(folder / "text", search, arrays, outs, given, filled), STORED),
        (test_dynamic.written(folder / "least", compared, fixed, two, ["long", "part"]), STORED),
        (test_dynamic.written(folder / "if", branches, numbers, fed, ["long", "part"]), STORED),
        (test_dynamic.written(folder / "while", carried, numbers, fed, ["y"]), STORED),
        (test_guess.written(folder / "loop", loop, test_detection.INTS), RANDOM),
        (test_guess.written(folder / "boxes", *test_detection.detector()), RANDOM),
    ]


def mutated(model: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    model = copy.deepcopy(model)
    graphs = [model["modelTopology"], model.get("modelInitializer", {"node": []})]
    nodes = [n for g in graphs for n in g["node"]]
    names = [n["name"] for n in nodes]
    ops = [*RULES, *ELEMENTWISE, *TAKE_TEXT, *HANDLERS]
    for _ in range(draw.randint(1, 4)):
        one = draw.choice(nodes)
        kind = draw.randint(0, 4)
        if kind == 0 and one["op"] not in reader.OWN:
            one["op"] = draw.choice(ops)
        elif kind == 1 and one.get("input"):
            at = draw.randrange(len(one["input"]))
            one["input"][at] = draw.choice(names) + draw.choice(["", ":1", ":2"])
        elif kind == 2:
            one.setdefault("input", []).append(draw.choice(names))
        elif kind == 3:
            one.setdefault("attr", {})[draw.choice([*ATTRS, *one["attr"]])] = draw.choice(VALUES)
        elif one.get("input"):
            one["input"].pop(draw.randrange(len(one["input"])))
    if draw.random() < 0.1:
        key = draw.choice(["initializerSignature", "modelInitializer", "signature"])
        model[key] = draw.choice(VALUES)
    return model


def test_mutated_graphs_load_or_say_why(tmp_path: Path) -> None:
    paths = bases(tmp_path)
    models = [(p, w, json.loads(p.read_text())) for p, w in paths]
    for path, weights, _ in models:
        verify(load_graph(path, weights=weights).graph)
    draw, loaded, refused = random.Random(7), 0, 0
    while loaded + refused < 400:
        path, weights, model = draw.choice(models)
        changed = mutated(model, draw)
        path.write_text(json.dumps(changed))
        try:
            verify(load_graph(path, weights=weights).graph)
            loaded += 1
        except FanlightError as error:
            assert error.code.startswith(("E-FORMAT", "E-OP", "E-TENSOR", "E-GRAPH")), error
            refused += 1
        except Exception as problem:
            raise AssertionError(json.dumps(changed)) from problem
    assert loaded > 5 and refused > 5

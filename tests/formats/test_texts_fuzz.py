"""Graph-models of texts against mutated files and strange texts: numbers, or one coded error."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.formats.tfgraph.regex import RegexError, regex, rewriting
from fanlight.formats.tfgraph.text import MOVES, TAKE_TEXT
from tests.formats.crafted import ints, node, placeholder, text
from tests.formats.test_fuzz import VALUES, places
from tests.formats.test_graph_text import written
from tests.formats.test_texts import embedded, given, ints_of, scalar

SECONDS = float(os.environ.get("FANLIGHT_FUZZ_SECONDS", 0))
OPS = sorted({*TAKE_TEXT, *MOVES, "Range", "Where", "If", "While", "TopKV2", "Cast", "AddV2"})
TEXTS = [b"", b"the cat, a dog!", b"\xff\xfe", b"a" * 300, "日本".encode(), b"12", b"\x00"]


def many_ops(folder: Path) -> Path:
    arrays = {
        "mark": scalar(" "),
        "splits": ints_of(0, 2, 4),
        "shape": ints_of(2, 1),
        "axis": scalar(1),
        "flat": ints_of(4),
        "p": scalar(0),
        "l": scalar(3),
    }
    nodes = [
        given((2,)),
        placeholder("x", 2),
        node("StaticRegexReplace", "clean", "s", pattern=text(r"(a|b)*c?[^x-z]\w"),
             rewrite=text(r"\0-\1")),
        node("StringToHashBucketFast", "hash", "clean", num_buckets={"i": "1000"}),
        node("Reshape", "column", "clean", "shape"),
        node("Concat", "pairs", "axis", "column", "column"),
        node("Reshape", "four", "pairs", "flat"),
        node("StringNGrams", "grams", "four", "splits", separator=text("|"),
             ngram_widths=ints(1, 2), left_pad=text("l"), right_pad=text("r"),
             pad_width={"i": "1"}, preserve_short_sequences={"b": True}),
        node("StringToHashBucketStrong", "of_grams", "grams:0", num_buckets={"i": "97"},
             key=ints(1, 2)),
        node("Substr", "sub", "s", "p", "l", unit=text("UTF8_CHAR")),
        node("StringLength", "length", "sub"),
        node("UnicodeDecodeWithOffsets", "u", "s"),
        node("Size", "size", "u:1"),
        node("AsString", "digits", "x", precision={"i": "3"}),
        node("StringJoin", "told", "digits", "s", separator=text(":")),
        node("Cast", "float", "hash", DstT={"type": "DT_FLOAT"}),
        node("AddV2", "sum", "float", "x"),
    ]  # fmt: skip
    two = {"dim": [{"size": "2"}]}
    inputs = {
        "s": {"name": "s:0", "dtype": "DT_STRING", "tensorShape": two},
        "x": {"name": "x:0", "dtype": "DT_FLOAT", "tensorShape": two},
    }
    outputs = ["sum", "hash", "of_grams", "length", "size", "told", "grams:1"]
    return written(folder, nodes, arrays, outputs, inputs)


def mutated(model: Any, rng: random.Random) -> Any:
    model = copy.deepcopy(model)
    for _ in range(rng.randint(1, 3)):
        # A change before this one may have taken away what is looked for.
        with contextlib.suppress(TypeError, KeyError, IndexError, AttributeError):
            nodes = model["modelTopology"]["node"]
            one, kind = rng.choice(nodes), rng.random()
            if kind < 0.3:
                names = [n["name"] for n in nodes]
                one["input"][0] = rng.choice(names) + rng.choice(["", "", ":1", ":2"])
            elif kind < 0.5:
                one["op"] = rng.choice(OPS)
            elif kind < 0.7:
                one["attr"][rng.choice(list(one["attr"]))] = rng.choice(VALUES)
            else:
                *path, last = rng.choice(list(places(model)))
                inner = model
                for step in path:
                    inner = inner[step]
                inner[last] = rng.choice(VALUES)
    return model


def test_mutated_models_of_texts(tmp_path: Path) -> None:
    paths = [embedded(tmp_path / "a", 4), embedded(tmp_path / "b", -1), many_ops(tmp_path / "c")]
    models = [(json.loads(p.read_text()), (p.parent / "w.bin").read_bytes()) for p in paths]
    fl.load(paths[2])({"s": ["a", "b"], "x": np.zeros(2, np.float32)})
    rng = random.Random(time.time() if SECONDS else 11)
    folder = tmp_path / "z"
    folder.mkdir()
    end, done = time.monotonic() + SECONDS, 0
    while done < 250 or time.monotonic() < end:
        done += 1
        model, data = rng.choice(models)
        (folder / "w.bin").write_bytes(data)
        (folder / "model.json").write_text(json.dumps(mutated(model, rng)))
        options = {"input_shapes": {"dense": (1, 3)}} if rng.random() < 0.3 else {}
        try:
            loaded = fl.load(folder, **options)
            feed = {
                name: np.array(rng.choices(TEXTS, k=int(np.prod(t.bound))), object).reshape(t.bound)
                if t.dtype == "string"
                else np.full(t.bound, rng.choice([0, 1, 5]), t.dtype)
                for name, t in loaded.inputs
            }
            loaded(feed)
        except FanlightError as error:
            assert error.__cause__ is None, (repr(error.__cause__), folder)


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(a*)*b", "(a|a)*b", "(a|aa)+$b", "a*a*a*a*b", "(.*)*x", "(a?){40}a{40}b"]
)
def test_no_expression_takes_for_ever(pattern: str) -> None:
    """Python's own `re` would take years for these."""
    start = time.process_time()
    try:
        assert regex(pattern).replaced("a" * 2000, rewriting("", 0), True) == "a" * 2000
    except RegexError as error:
        assert "too long" in str(error)
    assert time.process_time() - start < 60


def test_expressions_find_what_those_of_python_find() -> None:
    import re

    rng = random.Random(3)

    def made(depth: int) -> str:
        kind = rng.random()
        if not depth or kind < 0.4:
            return rng.choice(["a", "b", "c", "[ab]", "[^a]", ".", r"\d", r"\w", r"[^\sc]"])
        if kind < 0.6:
            return made(depth - 1) + made(depth - 1)
        if kind < 0.75:
            return f"({made(depth - 1)}|{made(depth - 1)})"
        # What is repeated is not empty: there the two differ.
        return made(0) + rng.choice(["*", "+", "?", "*?", "+?", "{1,2}", "??"])

    for _ in range(400):
        pattern = made(3)
        data = "".join(rng.choices("abc1 ", k=rng.randint(0, 8)))
        found, sought = re.search(pattern, data), regex(pattern)
        spans = sought._search(data, 0, [1 << 20])
        assert (found and found.regs) == (
            spans and tuple(zip(spans[::2], spans[1::2], strict=True))
        ), (pattern, data)
        assert sought.matches_whole(data) == bool(re.fullmatch(pattern, data)), (pattern, data)


def test_expressions_of_re2() -> None:
    """What Python has not, or has otherwise."""
    cases = [
        ("b*", "-", "abc", "-a-c-"),
        ("[[:punct:]]+", "", "a, b.!", "a b"),
        (r"\pL", None, "", ""),
        (r"\x{e9}", "e", "né", "ne"),
        (r"\Qa.b\E", "x", "a.b acb", "x acb"),
        ("(?i)É", "x", "éÉ", "xx"),
        ("(?P<n>a)(b)?", r"\1\2.", "ab a", "ab. a."),
        ("^a|b$", "x", "aab\n", "xab\n"),
        ("(?m)^a|b$", "x", "ab\nab", "xx\nxx"),
        ("(?s).", "x", "a\n", "xx"),
        (r"\d", "x", "1٣", "x٣"),
        ("[^a-c]", "", "abcdé", "abc"),
        ("[]a]", "x", "]a", "xx"),
        ("a{2}|x{", "y", "aaa x{", "ya y"),
    ]
    for pattern, rewrite, data, wanted in cases:
        if rewrite is None:
            with pytest.raises(RegexError):
                regex(pattern)
            continue
        sought = regex(pattern)
        assert sought.replaced(data, rewriting(rewrite, sought.groups), True) == wanted, pattern
    for bad in ("(", ")", "[", "a**", "*", "^*", r"\1", "(?=a)", "(?<!a)", "a{1001}", "[b-a]"):
        with pytest.raises(RegexError):
            regex(bad)
    for rewrite in (r"\1", "\\", r"\x"):
        with pytest.raises(RegexError):
            rewriting(rewrite, 0)

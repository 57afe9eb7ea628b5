"""Functions of a GraphDef's library: read, and written out in place."""

from __future__ import annotations

from typing import Any

import pytest

from fanlight.errors import FanlightError
from fanlight.formats.tfgraph.library import function_ref, inlined, read_library
from fanlight.formats.tfgraph.nodes import Ref, parse_nodes
from tests.formats.crafted import node

Json = Any


def function(name: str, args: list[str], nodes: list[Json], ret: dict[str, str]) -> Json:
    """A FunctionDef as JSON."""
    return {
        "signature": {
            "name": name,
            "inputArg": [{"name": a} for a in args],
            "outputArg": [{"name": r} for r in ret],
        },
        "nodeDef": nodes,
        "ret": ret,
    }


def call(name: str, target: str, *inputs: str) -> Json:
    return node("PartitionedCall", name, *inputs, f={"func": {"name": target}})


def test_calls_are_written_out_and_names_of_outputs_count() -> None:
    inner = function("inner", ["a"], [node("Neg", "n", "a")], {"r": "n:y:0"})
    outer = function(
        "outer",
        ["p", "q"],
        [node("TopKV2", "top", "p", "q"), call("again", "inner", "top:indices:0")],
        {"first": "again:output:0", "second": "q"},
    )
    topology = {"node": [call("go", "outer", "x", "k:1")], "library": {"function": [inner, outer]}}
    functions = read_library(topology, "here")
    assert functions["outer"].returns == (Ref("again"), Ref("q"))
    made = inlined(parse_nodes(topology, "here"), functions)
    assert made["go"].inputs == (Ref("go/again"), Ref("go/q"))
    assert made["go/q"].inputs == (Ref("k", 1),)
    assert made["go/again/a"].inputs == (Ref("go/top", 1),)
    assert made["go/again/n"].key == "n"
    assert not any(n.op == "PartitionedCall" for n in made.values())


def test_refs_of_functions() -> None:
    ops = {"s": "Switch", "w": "While"}
    assert function_ref("s:output_true:0", ops) == Ref("s", 1)
    assert function_ref("w:output:3", ops) == Ref("w", 3)
    assert function_ref("argument", ops) == Ref("argument")


def test_a_name_that_is_taken_gets_another() -> None:
    f = function("f", ["a"], [node("Neg", "n", "a")], {"r": "n:y:0"})
    topology = {"node": [call("go", "f", "x"), node("Abs", "go/n", "x")]}
    made = inlined(parse_nodes(topology, "here"), read_library({"library": {"function": [f]}}, ""))
    assert made["go/n"].op == "Abs"
    assert made["go/_/n"].op == "Neg"


@pytest.mark.parametrize(
    ("nodes", "code"),
    [
        ([call("go", "me", "x")], "E-FORMAT-015"),
        ([call("go", "nobody", "x")], "E-FORMAT-016"),
        ([call("go", "me", "x", "y")], "E-FORMAT-005"),
        ([node("PartitionedCall", "go", "x")], "E-FORMAT-005"),
        ([call("go", "wide", "x")], "E-FORMAT-023"),
    ],
)
def test_bad_functions(nodes: list[Json], code: str) -> None:
    me = function("me", ["a"], [call("again", "me", "a")], {"r": "again:output:0"})
    listed = [me]
    # 40 levels of four calls each would be 4 ** 40 nodes.
    for level in range(40):
        target = f"w{level + 1}" if level < 39 else "leaf"
        calls = [call(f"c{i}", target, "a") for i in range(4)]
        name = f"w{level}" if level else "wide"
        listed.append(function(name, ["a"], calls, {"r": "c0:output:0"}))
    listed.append(function("leaf", ["a"], [node("Neg", "n", "a")], {"r": "n:y:0"}))
    functions = read_library({"library": {"function": listed}}, "here")
    with pytest.raises(FanlightError) as raised:
        inlined(parse_nodes({"node": nodes}, "here"), functions)
    assert raised.value.code == code

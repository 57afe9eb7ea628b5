"""Each rule, where it applies and where it must not."""

from __future__ import annotations

import numpy as np
import pytest

from fanlight.graph import Graph, evaluate, parse
from fanlight.passes import optimize
from fanlight.passes.core import Context
from fanlight.passes.simplify import RULES, Simplify
from tests.passes.support import assert_same_meaning

# rule -> input type, lines that end in %y, ops that are left
CASES = [
    ("same shape", "f32[2, 3]", "%y = reshape(%x) {shape=[2, 3]}", []),
    ("same shape", "f32[2, 3]", "%y = tile(%x) {multiples=[1, 1]}", []),
    ("same shape", "f32[2, 3]", "%y = broadcast_to(%x) {shape=[2, 3]}", []),
    ("whole slice", "f32[2, 3]", "%y = slice(%x) {begin=[0, 0], size=[2, 3]}", []),
    ("whole slice", "f32[2]", "%y = strided_slice(%x) {begin=[0], end=[2], strides=[1]}", []),
    ("whole slice", "f32[2]", "%y = pad(%x) {paddings=[[0, 0]], value=7}", []),
    ("whole slice", "f32[2]", "%y = mirror_pad(%x) {paddings=[[0, 0]]}", []),
    ("same dtype", "f32[2]", '%y = cast(%x) {dtype="float32"}', []),
    ("one concat", "f32[2]", "%y = concat(%x) {axis=0}", []),
    ("unit window", "f32[1, 2, 2, 1]", "%y = max_pool(%x) {size=[1, 1], strides=[1, 1]}", []),
    ("unit block", "f32[1, 2, 2, 1]", "%y = space_to_depth(%x) {block=1}", []),
    (
        "same size",
        "f32[1, 2, 2, 1]",
        '%y = resize_bilinear(%x) {size=[2, 2], coordinates="half_pixel"}',
        [],
    ),
    ("reverse of one", "f32[2, 1]", "%y = reverse(%x) {axes=[1]}", []),
    ("neutral operand", "f32[2]", "weight %c: f32[] = [1.0]\n%y = mul(%c, %x)", []),
    ("neutral operand", "f32[2]", "weight %c: f32[2] = [0.0, 0.0]\n%y = sub(%x, %c)", []),
    ("neutral operand", "f32[2]", "weight %c: f32[1] = [1.0]\n%y = pow(%x, %c)", []),
    ("neg of neg", "f32[2]", "%a = neg(%x)\n%y = neg(%a)", []),
    ("applied twice", "f32[2]", "%a = floor(%x)\n%y = floor(%a)", ["floor"]),
    ("relu6 of relu", "f32[2]", "%a = relu(%x)\n%y = relu6(%a)", ["relu6"]),
    ("relu of what is not negative", "f32[2]", "%a = sigmoid(%x)\n%y = relu(%a)", ["sigmoid"]),
    (
        "reshape of reshape",
        "f32[2, 3]",
        "%a = reshape(%x) {shape=[6]}\n%y = reshape(%a) {shape=[2, 3]}",
        [],
    ),
    (
        "transpose of transpose",
        "f32[2, 3, 4]",
        "%a = transpose(%x) {perm=[1, 2, 0]}\n%y = transpose(%a) {perm=[2, 0, 1]}",
        [],
    ),
    (
        "transpose of transpose",
        "f32[2, 3, 4]",
        "%a = transpose(%x) {perm=[1, 2, 0]}\n%y = transpose(%a) {perm=[1, 2, 0]}",
        ["transpose"],
    ),
    (
        "transpose moves only ones",
        "f32[2, 1, 4]",
        "%y = transpose(%x) {perm=[1, 0, 2]}",
        ["reshape"],
    ),
    ("transpose moves only ones", "f32[2, 3]", "%y = transpose(%x) {perm=[0, 1]}", []),
    (
        "slice of slice",
        "f32[5]",
        "%a = slice(%x) {begin=[1], size=[4]}\n%y = slice(%a) {begin=[2], size=[2]}",
        ["slice"],
    ),
    (
        "strides of one",
        "f32[5, 5]",
        "%y = strided_slice(%x) {begin=[1, 3], end=[4, 4], strides=[1, 2]}",
        ["slice"],
    ),
    (
        "pad of pad",
        "f32[2]",
        "%a = pad(%x) {paddings=[[1, 0]]}\n%y = pad(%a) {paddings=[[1, 2]]}",
        ["pad"],
    ),
    (
        "concat of concat",
        "f32[2, 2]",
        "%a = concat(%x, %x) {axis=1}\n%y = concat(%x, %a) {axis=-1}",
        ["concat"],
    ),
    ("reduction of one", "f32[2, 1]", "%y = mean(%x) {axes=[1]}", ["reshape"]),
    ("reduction of one", "f32[2, 1]", "%y = max(%x) {axes=[1], keepdims=true}", []),
    (
        "broadcast",
        "f32[1, 3]",
        "%a = broadcast_to(%x) {shape=[2, 3]}\n%b = tile(%x) {multiples=[2, 1]}\n"
        "weight %c: f32[2, 1] = [1.0, 2.0]\n%d = mul(%a, %c)\n%y = add(%d, %b)",
        ["mul", "add"],
    ),
]
NOT = [
    ("f32[2]", "weight %c: f32[] = [0.0]\n%y = sub(%c, %x)"),
    ("f32[1]", "weight %c: f32[2] = [1.0, 1.0]\n%y = mul(%x, %c)"),
    ("f32[2, 3]", "%y = transpose(%x) {perm=[1, 0]}"),
    ("f32[2]", "%a = pad(%x) {paddings=[[1, 0]], value=1}\n%y = pad(%a) {paddings=[[1, 2]]}"),
    ("f32[4]", "%y = strided_slice(%x) {begin=[0], end=[4], strides=[2]}"),
    ("f32[4]", "%y = strided_slice(%x) {begin=[3], end=[-1], strides=[-1]}"),
    ("f32[1, 2]", "%y = broadcast_to(%x) {shape=[2, 2]}"),
    ("f32[1, 2]", "%a = broadcast_to(%x) {shape=[2, 2]}\n%y = relu(%a)"),
    ("f32[2, 1]", "%y = sum(%x) {axes=[0]}"),
    ("f32[1, 4, 4, 1]", "%y = max_pool(%x) {size=[1, 1], strides=[2, 2]}"),
    ("f32[2, 2]", "%a = concat(%x, %x) {axis=0}\n%y = concat(%a, %a) {axis=1}"),
    (
        "f32[2, 1]",
        "weight %c: f32[2] = [1.0, 2.0]\n%a = tile(%x) {multiples=[1, 2]}\n"
        "%y = batch_norm(%a, %c, %c, %c, %c) {epsilon=0.1}",
    ),
]


def _graph(type: str, lines: str) -> Graph:
    return parse(f"graph g(%x: {type}) {{\n{lines}\nreturn y=%y\n}}")


@pytest.mark.parametrize(("name", "type", "lines", "left"), CASES)
def test_rule_applies(name: str, type: str, lines: str, left: list[str]) -> None:
    before = _graph(type, lines)
    context = Context()
    after = Simplify().run(before, context)
    assert context.hits[f"simplify: {name}"] > 0
    assert [n.op for n in after.nodes] == left
    assert_same_meaning(before, after)


@pytest.mark.parametrize(("type", "lines"), NOT)
def test_no_rule_applies(type: str, lines: str) -> None:
    before = _graph(type, lines)
    assert Simplify().run(before, Context()) is before


def test_every_rule_has_a_case() -> None:
    assert {name for name, _, _ in RULES} | {"broadcast"} == {case[0] for case in CASES}


@pytest.mark.parametrize("op", ["square", "abs"])
def test_whole_numbers_that_wrap_are_still_cut_at_zero(op: str) -> None:
    graph = parse(
        f"graph g(%x: i32[3]) {{\n%a: i32[3] = {op}(%x)\n%y: i32[3] = relu(%a)\nreturn y=%y\n}}"
    )
    x = np.array([46341, -(2**31), 3], np.int32)
    with np.errstate(over="ignore"):
        expected, received = evaluate(graph, {"x": x}), evaluate(optimize(graph), {"x": x})
    np.testing.assert_array_equal(received["y"], expected["y"])
    assert (received["y"] >= 0).all()

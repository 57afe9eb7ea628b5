"""Patterns of paths: what `re` finds, in a bounded time also where one is made to take long."""

from __future__ import annotations

import json
import random
import re
import time
from pathlib import Path
from typing import Any

import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.layers.patterns import Pattern
from tests.layers import nets

ATOMS = ("a", "b", ".", "\\.", "[ab]", "[^a]", "\\w", "[a-c]", "/", "\\d", "[]a]", "_", "\\\\")
TIMES = ("*", "+", "?", "{2}", "{1,2}", "{0,}", "*?", "+?", "??", "{0,3}?", "{0}")
# Each takes `re` for ever, or takes more memory than there is where it is spelt out.
HOSTILE = (
    "(a+)+b", "(a|a)*b", "(a|aa)+$", ".*" * 149 + "x", "(.*.*)*x", "(a?){150}a{150}", ".*a.{900}",
    "((a{1,9}){1,9}){1,9}b", "(((a{1000}){1000}){1000}){1000}", "((((){1000}){1000}){1000}){1000}",
    "(((a{0}){9999}){9999}){9999}", "(" * 150, "(" * 100 + ")" * 100, "a" * 301, "a{99999999999}",
)  # fmt: skip


def pattern(rng: random.Random, depth: int) -> str:
    """A regular expression."""
    kind = rng.random()
    if not depth or kind < 0.3:
        return rng.choice(ATOMS)
    if kind < 0.6:
        return pattern(rng, depth - 1) + pattern(rng, depth - 1)
    inner = pattern(rng, depth - 1)
    if kind < 0.75:
        return f"({rng.choice(('', '?:'))}{inner}|{pattern(rng, depth - 1)})"
    return "()" if kind < 0.78 else f"(?:{inner}){rng.choice(TIMES)}"


def test_they_match_what_regular_expressions_match() -> None:
    rng = random.Random(3)
    matched = 0
    for _ in range(1500):
        text = rng.choice(("", "^")) + pattern(rng, 3) + rng.choice(("", "$"))
        bounded = text[:1] == "^" or text[-1:] == "$"
        whole = Pattern(text, "test")
        part = None if bounded and "|" in text else Pattern(text, "test", anywhere=True)
        for _ in range(8):
            path = "".join(rng.choice("ab./_1\\") for _ in range(rng.randrange(6)))
            wanted = re.fullmatch(text, path) is not None
            matched += wanted
            assert whole.matches(path) == wanted, (text, path)
            if part is not None:
                assert part.matches(path) == (re.search(text, path) is not None), (text, path)
    assert matched > 1000


def test_what_is_written_at_random_is_read_as_re_reads_it_or_refused() -> None:
    rng = random.Random(4)
    read = 0
    for _ in range(20_000):
        text = "".join(rng.choice("ab|()[]{}*+?^$\\.-1,2&~") for _ in range(rng.randrange(9)))
        try:
            made = Pattern(text, "test")
        except FanlightError as error:
            assert error.code == "E-LAYER-004"
            continue
        read += 1
        for _ in range(3):
            path = "".join(rng.choice("ab|(){}*1,-&^$") for _ in range(rng.randrange(4)))
            assert made.matches(path) == (re.fullmatch(text, path) is not None), (text, path)
    assert read > 1000


NONE = (
    "a(?=b)", r"(a)\1", "(?i)a", "(?P<n>a)", r"\ba", "a**", "a*+", "*", "a|^b", "[[a]", "[b-a]",
    "a{2,1}", ")", "a)", "[a", "\\", "{",
)  # fmt: skip


@pytest.mark.parametrize("text", NONE)
def test_what_is_not_matched_says_so(text: str) -> None:
    with pytest.raises(FanlightError, match="E-LAYER-004") as caught:
        fl.optimizers.OptimizerMap(fl.optimizers.SGD(), {text: fl.optimizers.SGD()})
    assert "optimizer_map" in str(caught.value.where) and "function" in str(caught.value.next)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_patterns_end_soon(text: str) -> None:
    rng = random.Random(5)
    paths = ["a" * 5000, "".join(rng.choice("ab") for _ in range(5000))]
    start = time.process_time()
    for anywhere in (False, True):
        try:
            made = Pattern(text, "test", anywhere)
            for path in paths:
                made.matches(path)
        except FanlightError as error:
            assert error.code == "E-LAYER-004"
    assert time.process_time() - start < 3


@pytest.mark.parametrize("name", ["m.safetensors", "tfjs"])
def test_a_file_with_a_hostile_pattern_is_read_or_refused_soon(name: str, tmp_path: Path) -> None:
    """The weights are called aaa...a, on which `re` would still be at work tomorrow."""
    kind = fl.optimizers
    marks = {"X1": kind.SGD(), "X2": kind.Adam()}
    for optimizer in (
        kind.MultiOptimizer(kind.OptimizerMap(kind.SGD(), marks)),
        kind.Muon(exclude_layers=["X1", "X2"]),
    ):
        model = fl.Sequential([fl.Input((2,)), fl.layers.Dense(3, name="a" * 64)])
        model.compile(optimizer, "mse")
        if name == "tfjs":  # Keras's own, in the topology
            model.save(tmp_path / name, include_optimizer=False)
            path = tmp_path / name / "model.json"
            told = json.loads(path.read_bytes())
            options = {"optimizer": kind.serialize(optimizer), "loss": "mse"}
            told["modelTopology"]["training_config"] = options
            path.write_text(json.dumps(told))
        else:
            path = tmp_path / name
            model.save(path)
        data = path.read_bytes()
        assert data.count(b"X1") == 1
        path.write_bytes(resized(data, b"X1", b"(a+)+b"))
        start = time.process_time()
        assert type(fl.load_model(tmp_path / name).optimizer) is type(optimizer)
        path.write_bytes(resized(data, b"X1", b"(?=(a+)+b)"))
        with pytest.raises(FanlightError, match="E-LAYER-004"):
            fl.load_model(tmp_path / name)
        assert time.process_time() - start < 20


def resized(data: bytes, old: bytes, new: bytes) -> bytes:
    """A file with other words in it; a .safetensors says how long its words are."""
    made = data.replace(old, new)
    if data[8:9] != b"{":
        return made
    size = int.from_bytes(data[:8], "little") + len(new) - len(old)
    return size.to_bytes(8, "little") + made[8:]


def test_more_patterns_than_a_map_has(tmp_path: Path) -> None:
    rows: dict[str, Any] = {f"layer_{i}": fl.optimizers.SGD() for i in range(257)}
    with pytest.raises(FanlightError, match="at most 256 patterns"):
        fl.optimizers.OptimizerMap(fl.optimizers.SGD(), rows)


def test_layers_that_muon_leaves_out() -> None:
    model = nets.dense()
    kernels = [w for w in model.trainable_weights if w.rank == 2]
    ends = kernels[0].path.rpartition("/")[0]
    for texts, wanted in (
        ([ends], True), (["^" + ends], True), (["/kernel$"], True), (["kerne$"], False),
        (["nowhere", "[kK]ern.l"], True), ([], False),
    ):  # fmt: skip
        assert fl.optimizers.Muon(exclude_layers=texts)._by_adam(kernels[0]) == wanted
    with pytest.raises(FanlightError, match="exclude_layers"):
        fl.optimizers.Muon(exclude_layers=["("])

"""What `fanlight explain` tells of every code: a cause, a cure, and examples that are so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

import fanlight as fl
from fanlight.cli.app import COMMANDS
from fanlight.cli.explanations import EXPLANATIONS, Explanation
from fanlight.errors import CATALOGUE, FanlightError
from tests.support import ROOT

EXAMPLES = {code: told for code, told in EXPLANATIONS.items() if told.wrong}


def test_every_code_is_explained_and_nothing_else() -> None:
    assert set(EXPLANATIONS) == set(CATALOGUE)


@pytest.mark.parametrize("code", EXPLANATIONS)
def test_an_explanation_has_substance(code: str) -> None:
    told = EXPLANATIONS[code]
    for text in (told.cause, told.cure):
        assert len(text.split()) >= 5, text
        assert text.endswith((".", "]")), text
    assert len((told.cause + told.cure).split()) >= 15
    # More than the sentence of the catalogue, which stands above it.
    words = set(re.findall(r"[a-z]{4,}", (told.cause + told.cure).lower()))
    assert len(words - set(re.findall(r"[a-z]{4,}", CATALOGUE[code].lower()))) >= 8


def test_no_two_say_the_same() -> None:
    assert len({told.cause for told in EXPLANATIONS.values()}) == len(EXPLANATIONS)


def test_who_computes_with_tensors_is_shown_how() -> None:
    """Without an example: what takes a graph written by hand, or a package that is not there."""
    without = {c for c in CATALOGUE if re.match("E-(OP|TENSOR)", c)} - set(EXAMPLES)
    assert without == {"E-OP-002", "E-OP-006", "E-TENSOR-011"}
    assert all(told.right for told in EXAMPLES.values())


def run(code: str, lines: str) -> None:
    exec(compile(lines, f"<{code}>", "exec"), {"fl": fl, "np": np})


@pytest.mark.parametrize(("code", "told"), EXAMPLES.items(), ids=list(EXAMPLES))
def test_examples_end_as_they_say(
    code: str, told: Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # some build something
    with pytest.raises(FanlightError) as caught:
        run(code, told.wrong)
    assert caught.value.code == code
    run(code, told.right)
    assert max(len(line) for line in (told.wrong + "\n" + told.right).splitlines()) <= 100


def test_commands_functions_and_pages_that_are_named_exist() -> None:
    texts = " ".join(told.cause + " " + told.cure for told in EXPLANATIONS.values())
    commands = set(re.findall(r"`fanlight ([a-z]+)", texts))
    assert "build" in commands and commands <= set(COMMANDS)
    for name in set(re.findall(r"\bfl\.(\w+(?:\.\w+)?)", texts)):
        thing = fl
        for part in name.split("."):
            thing = getattr(thing, part)
    for page in set(re.findall(r"\bdocs/[\w.]+\.md\b", texts)):
        assert (ROOT / page).is_file(), page
    for code in set(re.findall(r"\bE-[A-Z]+-\d{3}\b", texts)):
        assert code in CATALOGUE, code
    options = (ROOT / "fanlight" / "cli").rglob("*.py")
    known = {
        node.value
        for path in options
        if "explanations" not in path.parts
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    for option in set(re.findall(r"(?<!\S)--[a-z][a-z-]+", texts)):
        assert option in known, option

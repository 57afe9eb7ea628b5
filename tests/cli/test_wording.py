"""Errors say options on the command line, and arguments in Python."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import fanlight as fl
from fanlight.cli.app import cli
from fanlight.cli.convert import command
from fanlight.cli.wording import in_options
from fanlight.errors import FanlightError
from tests.cli.conftest import write_model


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("input_shapes does not fit the input 'x'.", "--input-shape does not fit the input 'x'."),
        ("input_shapes['a b'] is not a shape.", "--input-shape of 'a b' is not a shape."),
        ("structured_outputs has no meaning.", "--structured-outputs has no meaning."),
        ("tags means nothing for a model of this format.", None),
        ("say which: fl.load(path, tags=[...]).", "say which: --tags NAMES."),
        ("fl.load(path, signature='a').", "--signature a."),
        ("name them: fl.load(path, outputs=[...]).", "name them: --outputs NAMES."),
        ("say it: --size 224, or fl.load(path, size=224).", "say it: --size 224."),
        (
            "say it: fl.load(path, input_shapes={'x': (1, 28, 28)}).",
            "say it: --input-shape x=1,28,28.",
        ),
        ("fl.load(path, outputs=['a', 'b'])", "--outputs a,b"),
        ("fl.load(path, tables={'words': words}).", "--table words=words.txt."),
        ("fl.load(path, input_values={'n': 3}).", "--input-value n=VALUE."),
        ("weights='random'", "--random-weights"),
        ("weights='stored'", "no --random-weights"),
        ("tables names a table that the model", "--table names a table that the model"),
        ("fl.convert(source, destination, size=224).", "--size 224."),
        ("input_values means nothing", "--input-value means nothing"),
        # What the command has no option for is said as it is.
        ("fl.load(path, sheets={name: words}).", "fl.load(path, sheets={name: words})."),
        ("fl.load(path).prepared(inputs)", "fl.load(path).prepared(inputs)"),
        ("the inputs of the model are outputs", "the inputs of the model are outputs"),
        ("no tags", "no --tags"),
        ("fl.convert, shard_bytes", "--shard-bytes"),
        ("('foo', 'b')", "foo, b"),
    ],
)
def test_wording(said: str, told: str | None) -> None:
    problem = FanlightError("E-FORMAT-018", said, next=said)
    made = in_options(problem, command)
    assert made.next == (f"--{said}" if told is None else told)
    assert made.message == made.next and problem.next == said  # the error itself stays
    assert in_options(problem, None) is problem


def test_on_the_command_line(tmp_path: Path) -> None:
    source = str(write_model(tmp_path / "in"))

    def run(*options: str) -> str:
        result = CliRunner().invoke(cli, ["convert", source, *options])
        assert result.exit_code == 1, result.output
        return result.output

    shape = run(str(tmp_path / "a"), "--input-shape", "input=1,9,9,3")
    assert "E-FORMAT-018  --input-shape does not fit" in shape
    many = run(str(tmp_path / "a.onnx"), "--structured-outputs")
    assert "E-CONVERT-002  --structured-outputs has no meaning" in many
    tags = run(str(tmp_path / "a"), "--tags", "foo")
    assert "--tags means nothing" in tags and "Received: foo" in tags and "fl.load" not in tags
    fl.convert(source, tmp_path / "m.onnx")
    result = CliRunner().invoke(
        cli, ["convert", str(tmp_path / "m.onnx"), str(tmp_path / "x"), "--to", "tfjs-layers"]
    )
    assert "The source has no layers, and a TF.js layers-model is made of them." in result.output

"""`fanlight convert` and the old command's flags."""

from __future__ import annotations

import json
from pathlib import Path
from types import FunctionType

import pytest
from click.testing import CliRunner

import fanlight as fl
from fanlight.cli.app import cli
from fanlight.cli.converter import translate
from fanlight.errors import FanlightError
from fanlight.tensor.caller import caller
from tests.cli.conftest import write_model


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["convert", *arguments])
    return result.exit_code, result.output


def test_converts_and_says_what(tmp_path: Path) -> None:
    source = write_model(tmp_path / "in")
    code, text = run(str(source), str(tmp_path / "net.keras"))
    assert code == 0 and "the same graph" in text and (tmp_path / "net.keras").is_file()
    code, text = run(str(tmp_path / "net.keras"), str(tmp_path / "a b"), "--json")
    told = json.loads(text)
    assert code == 0 and told["ok"] and told["kind"] == "tfjs-layers" and told["worst"] < 1e-6
    assert (tmp_path / "a b" / "model.json").is_file() and told["bytes"] > 0


def test_report_and_mistakes(tmp_path: Path) -> None:
    source = str(write_model(tmp_path / "in"))
    code, text = run(source, "--report")
    assert code == 0 and "matmul" in text and "becomes" in text
    code, text = run(source, "--report", "--json")
    assert code == 0 and json.loads(text)["parameters"] == 12
    assert run(source)[0] == 2 and run(source, "x", "--subgraph", "a")[0] == 2
    assert run(source, "x", "--input-shape", "a")[0] == 2
    assert run(source, "x", "--metadata", "labels")[0] == 2
    for arguments, said in (
        ((str(tmp_path / "none"), "x"), "E-CLI-004"),
        ((source, str(tmp_path / "x"), "--to", "kera"), "keras"),
        ((source, str(tmp_path / "x"), "--metadata", f"a:{tmp_path}/none"), "E-CLI-004"),
    ):
        code, text = run(*arguments)
        assert code == 1 and said in text


def test_old_flags_become_new_ones(capsys: pytest.CaptureFixture[str]) -> None:
    new = translate(
        [
            "--input_format=keras",
            "--output_format=tfjs_layers_model",
            "--quantize_float16=*dense*",
            "--quantize_uint8",
            "--strip_debug_ops=True",
            "--control_flow_v2=False",
            "--weight_shard_size_bytes=1000000",
            "--metadata=a:x.json,b:y.json",
            "my model.h5",
            "out dir",
        ]
    )
    assert new[:5] == ["convert", "my model.h5", "out dir", "--to", "tfjs-layers"]
    assert new[5:9] == ["--quantize", "float16=*dense*", "--quantize", "uint8"]
    assert new[9:] == ["--strip-debug-ops", "--shard-bytes", "1000000",
                       "--metadata", "a:x.json", "--metadata", "b:y.json"]  # fmt: skip
    assert capsys.readouterr().err == ""
    assert translate(["--strip_debug_ops=False", "a", "b"]) == ["convert", "a", "b"]
    assert translate(["a", "b", "--quantization_bytes", "1", "--signature_name=s"]) == [
        "convert", "a", "b", "--quantize", "uint8", "--signature", "s"]  # fmt: skip
    translate(["--skip_op_check", "a", "b"])
    assert "--skip_op_check" in capsys.readouterr().err
    for wrong in (["a"], ["--quantize", "a", "b"], ["--strip_debug_ops=maybe", "a", "b"]):
        with pytest.raises(SystemExit):
            translate(wrong)


def test_places_are_the_command_not_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object, **__: object) -> None:
        raise FanlightError("E-FORMAT-001", "stopped.", where=caller())

    # As if it were of the package: what called it is the command.
    load = FunctionType(load.__code__.replace(co_filename=fl.__file__), globals())
    source = str(write_model(tmp_path / "in"))
    monkeypatch.setattr(fl, "load", load)
    for command in (["inspect", source], ["build", source, "-o", str(tmp_path / "x")]):
        text = CliRunner().invoke(cli, command).output
        assert f"Where: fanlight {command[0]}" in text, text
    code, text = run(source, str(tmp_path / "in" / "model.json" / "net.keras"))
    assert code == 1 and "core.py" not in text

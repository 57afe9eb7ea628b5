"""`tensorflowjs_converter`: every old flag, what it becomes, and what is said of mistakes."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from fanlight.cli import converter
from fanlight.cli.app import cli
from fanlight.cli.converter import translate
from fanlight.version import __version__
from tests.cli.conftest import write_model

# The flags of tensorflowjs_converter 4.22.0 -> the arguments of `fanlight convert IN OUT`.
FLAGS = [
    ("", ""),
    ("--input_format=tf_saved_model", "--to tfjs-graph"),
    ("--input_format tf_saved_model", "--to tfjs-graph"),
    ("--input_format=tf_frozen_model", "--to tfjs-graph"),
    ("--input_format=tf_hub", "--to tfjs-graph"),
    ("--input_format=keras", ""),
    ("--input_format=keras_keras", ""),
    ("--input_format=keras_saved_model", ""),
    ("--input_format=tfjs_layers_model", ""),
    ("--input_format=tensorflowjs", ""),
    ("--output_format=tfjs_layers_model", "--to tfjs-layers"),
    ("--output_format=tensorflowjs", "--to tfjs-layers"),
    ("--output_format=tfjs_graph_model", "--to tfjs-graph"),
    ("--input_format=keras --output_format=tfjs_graph_model", "--to tfjs-graph"),
    ("--signature_name=serving_default", "--signature serving_default"),
    ("--saved_model_tags=serve", ""),
    ("--saved_model_tags=serve,gpu", "--tags serve,gpu"),
    ("--output_node_names=a,b/c", "--outputs a,b/c"),
    ("--quantize_float16", "--quantize float16"),
    ("--quantize_float16=", "--quantize float16"),
    ("--quantize_uint8=conv*,dense/kernel", "--quantize 'uint8=conv*,dense/kernel'"),
    ("--quantize_uint8 'conv*'", "--quantize 'uint8=conv*'"),
    ("--quantize_uint16", "--quantize uint16"),
    ("--quantize_uint8='*a*' --quantize_float16", "--quantize float16 --quantize 'uint8=*a*'"),
    ("--quantization_bytes=1", "--quantize uint8"),
    ("--quantization_bytes 2", "--quantize uint16"),
    ("--weight_shard_size_bytes=1048576", "--shard-bytes 1048576"),
    ("--metadata=labels:l.json", "--metadata labels:l.json"),
    ("--metadata=a:x.json,b:y.json", "--metadata a:x.json --metadata b:y.json"),
    ("--strip_debug_ops", "--strip-debug-ops"),
    ("--strip_debug_ops=True", "--strip-debug-ops"),
    ("--strip_debug_ops True", "--strip-debug-ops"),
    ("--strip_debug_ops=False", ""),
    ("--strip_debug_ops false", ""),
    ("--use_structured_outputs_names", "--structured-outputs"),
    ("--use_structured_outputs_names=False", ""),
]
NEEDLESS = ["control_flow_v2", "skip_op_check", "experiments", "split_weights_by_layer"]


@pytest.mark.parametrize(("old", "new"), FLAGS)
@pytest.mark.parametrize("first", [True, False])
def test_flags(old: str, new: str, first: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the paths and behind them."""
    flags, paths = shlex.split(old), ["my models/in", "my out"]
    made = translate([*flags, *paths] if first else [*paths, *flags])
    assert made == ["convert", *paths, *shlex.split(new)]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("flag", NEEDLESS)
def test_needless_flags_are_said_to_be(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    for given in (f"--{flag}", f"--{flag}=true"):
        assert translate([given, "a", "b"]) == ["convert", "a", "b"]
        said = capsys.readouterr().err
        assert f"--{flag}" in said and "not needed" in said
    assert translate([f"--{flag}=false", "a", "b"]) == ["convert", "a", "b"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("output_format", "ending", "kind"),
    [("keras", ".h5", "h5"), ("keras_keras", ".keras", "keras")],
)
def test_endings_say_what_a_file_is(
    output_format: str, ending: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flag = f"--output_format={output_format}"
    assert translate([flag, "web", "out"]) == ["convert", "web", f"out{ending}", "--to", kind]
    assert f"out{ending}" in capsys.readouterr().err
    assert translate([flag, "web", f"o{ending}"])[2] == f"o{ending}"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("old", "said"),
    [
        ("a", "the following arguments are required: output_path"),
        ("", "input_path"),
        ("a b c", "unrecognized arguments: c"),
        ("--quantise_uint8 a b", "--quantize_uint8"),
        ("--strip-debug-ops a b", "--strip_debug_ops"),
        ("--input-format=keras a b", "--input_format"),
        ("--strip_debug_ops=maybe a b", "neither true nor false"),
        ("--input_format=kers a b", "keras"),
        ("--output_format=tflite a b", "tfjs_graph_model"),
        ("--output_format=keras_saved_model a b", "keras_keras"),
        ("--quantization_bytes=4 a b", "1, 2"),
        ("--weight_shard_size_bytes=many a b", "invalid int value"),
        ("--weight_shard_size_bytes=0 a b", "4194304"),
        ("--input_format=tf_hub https://example.org/model/1 b", "download"),
        ("--unheard a b", "--unheard"),
    ],
)
def test_mistakes_are_told_kindly(old: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        translate(shlex.split(old))
    told = capsys.readouterr().err
    assert stopped.value.code == 2 and said in told
    assert "fanlight convert" in told and "Traceback" not in told


@pytest.mark.parametrize("flag", ["--version", "-v"])
def test_version(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        translate([flag])
    assert stopped.value.code == 0 and __version__ in capsys.readouterr().out


def test_it_prints_the_new_command_and_does_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = write_model(tmp_path / "the source"), tmp_path / "the result"
    monkeypatch.setattr(
        sys, "argv",
        ["tensorflowjs_converter", "--output_format=tfjs_graph_model", "--quantize_uint8",
         "--weight_shard_size_bytes=2048", str(source), str(out)],
    )  # fmt: skip
    with pytest.raises(SystemExit) as stopped:
        converter.main()
    said = capsys.readouterr()
    assert stopped.value.code == 0
    (line,) = [x for x in said.err.splitlines() if x.startswith("New: ")]
    new = shlex.split(line.removeprefix("New: "))
    assert new[:4] == ["fanlight", "convert", str(source), str(out)]
    described = json.loads((out / "model.json").read_bytes())
    assert described["format"] == "graph-model"
    assert any("quantization" in w for w in described["weightsManifest"][0]["weights"])
    # What was printed does the same.
    new[3] = str(tmp_path / "again")
    with pytest.raises(SystemExit) as stopped:
        cli(new[1:], prog_name="fanlight")
    assert stopped.value.code == 0
    assert (tmp_path / "again" / "model.json").read_bytes() == (out / "model.json").read_bytes()

"""`tensorflowjs_converter`: the old command's flags, answered by `fanlight convert`.

What it does differently from the old one: paths may have spaces, `--flag=False` is false, formats
are found out from the files, and it says which new command does the same.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence

from fanlight.version import __version__

_PATTERNS = ("--quantize_float16", "--quantize_uint8", "--quantize_uint16")
_FLAGS = (
    "--strip_debug_ops",
    "--control_flow_v2",
    "--use_structured_outputs_names",
    "--skip_op_check",
    "--experiments",
    "--split_weights_by_layer",
)
# Old flags that Fanlight has no use for, with the reason.
_NEEDLESS = {
    "control_flow_v2": "loops of every kind are read",
    "skip_op_check": "ops that cannot be read are told at once; --report lists them",
    "experiments": "there are none",
    "split_weights_by_layer": "weights of all layers are in one group, which every reader takes",
}
_INPUTS = ("keras", "keras_keras", "keras_saved_model", "tf_saved_model", "tf_frozen_model",
           "tf_hub", "tfjs_layers_model")  # fmt: skip
_OUTPUTS = {
    "tfjs_layers_model": "tfjs-layers",
    "tfjs_graph_model": "tfjs-graph",
    "keras": "h5",
    "keras_keras": "keras",
}


def main() -> None:
    """The entry point of the `tensorflowjs_converter` command."""
    from fanlight.cli.app import cli

    arguments = translate(sys.argv[1:])
    print(f"New: fanlight {shlex.join(arguments)}", file=sys.stderr)
    cli(arguments, prog_name="fanlight")


def translate(old: Sequence[str]) -> list[str]:
    """The arguments of `fanlight` that do what the old ones did; notes go to standard error.

    Raises:
        SystemExit: the old command line was wrong, or asked for help or the version.
    """
    given = _parser().parse_args([_with_value(a) for a in old])
    output = given.output_path
    ending = {"keras": ".h5", "keras_keras": ".keras"}.get(given.output_format)
    if ending and not output.lower().endswith((ending, ".hdf5")):
        output += ending
        print(
            f"Note: the file is called {output}, for its ending says what it is.", file=sys.stderr
        )
    new = ["convert", given.input_path, output]
    if given.output_format is not None:
        new += ["--to", _OUTPUTS[given.output_format]]
    elif given.input_format in ("tf_saved_model", "tf_frozen_model", "tf_hub"):
        new += ["--to", "tfjs-graph"]
    for name in _PATTERNS:
        patterns = getattr(given, name.strip("-"))
        if patterns is not None:
            dtype = name.removeprefix("--quantize_")
            new += ["--quantize", f"{dtype}={patterns}" if patterns else dtype]
    if given.quantization_bytes is not None:
        new += ["--quantize", {1: "uint8", 2: "uint16"}[given.quantization_bytes]]
    if given.signature_name:
        new += ["--signature", given.signature_name]
    if given.output_node_names:
        new += ["--outputs", given.output_node_names]
    if given.strip_debug_ops:
        new.append("--strip-debug-ops")
    if given.weight_shard_size_bytes is not None:
        new += ["--shard-bytes", str(given.weight_shard_size_bytes)]
    for one in filter(None, (given.metadata or "").split(",")):
        new += ["--metadata", one]
    if given.saved_model_tags not in (None, "serve"):
        new += ["--tags", given.saved_model_tags]
    if given.use_structured_outputs_names:
        new.append("--structured-outputs")
    for name, why in _NEEDLESS.items():
        if getattr(given, name):
            print(f"Note: --{name} is not needed: {why}.", file=sys.stderr)
    return new


def _with_value(argument: str) -> str:
    """Flags whose value may be left out get one, so that they never swallow a path after them."""
    if argument in _PATTERNS:
        return f"{argument}="
    return f"{argument}=true" if argument in _FLAGS else argument


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "tensorflowjs_converter",
        description="Fanlight's converter under its old name; see `fanlight convert --help`.",
        allow_abbrev=False,
    )
    parser.add_argument("input_path")
    parser.add_argument("output_path")
    parser.add_argument("--version", action="version", version=f"fanlight {__version__}")
    parser.add_argument("--input_format", choices=_INPUTS)
    parser.add_argument("--output_format", choices=[*_OUTPUTS])
    parser.add_argument("--signature_name")
    parser.add_argument("--saved_model_tags")
    for name in _PATTERNS:
        parser.add_argument(name, metavar="GLOBS")
    parser.add_argument("--quantization_bytes", type=int, choices=(1, 2))
    parser.add_argument("--weight_shard_size_bytes", type=int)
    parser.add_argument("--output_node_names")
    parser.add_argument("--metadata", metavar="KEY:FILE,...")
    for name in _FLAGS:
        parser.add_argument(name, type=_boolean, default=False)
    return parser


def _boolean(text: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return known[text.lower()]

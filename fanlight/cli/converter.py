"""`tensorflowjs_converter`: the old command's flags, answered by `fanlight convert`.

What it does differently from the old one: paths may have spaces, `--flag=False` is false, formats
are found out from the files, and it says which new command does the same.
"""

from __future__ import annotations

import argparse
import difflib
import shlex
import sys
from collections.abc import Sequence
from typing import NoReturn

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
           "tf_hub", "tfjs_layers_model", "tfjs_graph_model", "tensorflowjs")  # fmt: skip
_OUTPUTS = {
    "tensorflowjs": "tfjs-layers",  # as releases before 1.0 called it
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
    parser = _parser()
    given = parser.parse_args(_with_values(old))
    if given.input_format == "tf_hub" and "://" in given.input_path:
        parser.error(
            "nothing is loaded from the network: download the model, unpack it, and "
            f"give the folder in place of {given.input_path!r}"
        )
    if given.output_format == "keras_saved_model":
        parser.error(
            "SavedModels are read and not written: --output_format=keras_keras writes the same "
            "layers as a .keras file, which Keras exports"
        )
    if given.weight_shard_size_bytes is not None and given.weight_shard_size_bytes < 1:
        parser.error("--weight_shard_size_bytes is a number of bytes, such as 4194304")
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


def _with_values(old: Sequence[str]) -> list[str]:
    """Flags whose value may be left out get one, so that they never swallow a path after them; a
    value that stands apart is taken if it cannot be a path: globs, true and false.
    """
    made: list[str] = []
    left = list(old)
    while left:
        argument = left.pop(0)
        after = left[0] if left and not left[0].startswith("-") else ""
        if argument in _PATTERNS:
            made.append(f"{argument}={left.pop(0) if set(after) & set('*?,[') else ''}")
        elif argument in _FLAGS:
            made.append(f"{argument}={left.pop(0) if after.lower() in _BOOLEANS else 'true'}")
        else:
            made.append(argument)
    return made


class _Parser(argparse.ArgumentParser):
    """Says what is wrong, what was meant, and where the new command is explained."""

    def error(self, message: str) -> NoReturn:
        flags = [f for f in self._option_string_actions if f.startswith("--")]
        unknown = [a for a in message.partition(":")[2].split() if a.startswith("--")]
        if "unrecognized" in message and unknown:
            wanted = unknown[0].partition("=")[0].replace("-", "_").replace("__", "--", 1)
            near = difflib.get_close_matches(wanted, flags, 1)
            message += f". Did you mean {near[0]}?" if near else ""
        self.exit(
            2,
            f"{self.prog}: {message}\n"
            f"Usage: {self.prog} [flags] INPUT OUTPUT; the new command is `fanlight convert INPUT "
            "OUTPUT`, see `fanlight convert --help`.\n",
        )


def _parser() -> _Parser:
    parser = _Parser(
        "tensorflowjs_converter",
        description="Fanlight's converter under its old name; see `fanlight convert --help`.",
        allow_abbrev=False,
    )
    parser.add_argument("input_path")
    parser.add_argument("output_path")
    parser.add_argument("-v", "--version", action="version", version=f"fanlight {__version__}")
    parser.add_argument("--input_format", choices=_INPUTS)
    parser.add_argument("--output_format", choices=[*_OUTPUTS, "keras_saved_model"])
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


_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def _boolean(text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return _BOOLEANS[text.lower()]

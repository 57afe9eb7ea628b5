"""Errors of the library in the words of the command line: --input-shape for input_shapes."""

from __future__ import annotations

import re
from collections.abc import Collection

import rich_click as click

from fanlight.errors import FanlightError

# Arguments of functions whose options are called otherwise.
_CALLED = {
    "input_shapes": "--input-shape",
    "from_": "--from",
    "input_values": "--input-value",
    "tables": "--table",
}
_CALL = re.compile(
    r"fl\.(?:load\(path|convert\(source, destination), "
    r"(\w+)=(\{[^{}]*\}|\[[^\[\]]*\]|'[^']*'|[^(){},'\[\]]*)\)"
)
# What an option that is given by name gets.
_BY_NAME = {"input_values": "VALUE", "tables": "words.txt"}
_WEIGHTS = re.compile(r"weights='(stored|random)'")
_RANDOM = {"stored": "no --random-weights", "random": "--random-weights"}
_KEY = re.compile(r"\{'?([^':{}]+)'?:")
_SHAPE = re.compile(r"\{'([^']*)': [(\[]([\d, ]*)[)\]]\}")
_NAMES = re.compile(r"\((?:'[^']*'(?:, |,?(?=\))))+\)")
_ABOUT = (
    r"(?= means nothing| has no meaning| does not fit| is not | is no | are given| names an?\b)"
)


def in_options(problem: FanlightError, command: click.Command | None) -> FanlightError:
    """The error with arguments of functions called as the command's options are."""
    if command is None:
        return problem
    options = {o for p in command.params for o in p.opts if o.startswith("--")}

    def told(text: object) -> object:
        return _text(text, options) if isinstance(text, str) else text

    return FanlightError(
        problem.code,
        _text(problem.message, options),
        expected=told(problem.expected),
        received=told(problem.received),
        where=told(problem.where),
        next=None if problem.next is None else _text(problem.next, options),
    )


def _text(text: str, options: Collection[str]) -> str:
    if _CALL.search(text) and " --" in f" {text}":  # it says the option already
        text = re.sub(
            rf",? or {_CALL.pattern}|{_CALL.pattern},? or (?=(?:fanlight \w+ )?--)", "", text
        )
    if "--random-weights" in options:
        text = _WEIGHTS.sub(lambda found: _RANDOM[found[1]], text)
    text = _CALL.sub(lambda call: _option(call, options), text)
    for option in sorted(options):
        text = _named(text, option)
    return _NAMES.sub(lambda m: ", ".join(re.findall(r"'([^']*)'", m[0])), text)


def _named(text: str, option: str) -> str:
    """The text with the argument called as its option, where it is clear that it is meant."""
    name = next((n for n, o in _CALLED.items() if o == option), option[2:].replace("-", "_"))

    def indexed(found: re.Match[str]) -> str:
        return option if found[1] is None else f"{option} of {found[1]}"

    def led(found: re.Match[str]) -> str:
        lead = found[1] or ""
        return option if lead.startswith("fl.") else lead + option

    text = re.sub(rf"^(no |leave |fl\.convert, )?{name}(?=$| out\b)", led, text)
    if "_" in name:  # no word of the language
        text = re.sub(rf"(?<![\w-]){name}(?:\[('[^']*')\])?(?![\w(=])", indexed, text)
    return re.sub(rf"^{name}{_ABOUT}", option, text)


def _option(call: re.Match[str], options: Collection[str]) -> str:
    """What a call of fl.load says, as an option; the call itself where the command has none."""
    name, value = call[1], call[2]
    option = _CALLED.get(name, f"--{name.replace('_', '-')}")
    if option not in options:
        return call[0]
    if name == "input_shapes":
        shape = _SHAPE.fullmatch(value)
        value = (
            f"{shape[1]}={shape[2].replace(' ', '').strip(',')}" if shape else "NAME=1,224,224,3"
        )
    elif name in _BY_NAME:
        key = _KEY.match(value)
        value = f"{key[1] if key else 'NAME'}={_BY_NAME[name]}"
    elif "..." in value or "[" in value:
        value = ",".join(re.findall(r"'([^']*)'", value)) or "NAMES"
    return f"{option} {value.strip(chr(39))}"

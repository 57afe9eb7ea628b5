"""Advice of the library, which is in the words of Python, in those of the command line."""

from __future__ import annotations

import re
import shlex

from fanlight.errors import FanlightError

_SIZE = re.compile(r"fl\.load\(path, size=(\d+)\)")
_SHAPE = re.compile(r"fl\.load\(path, input_shapes=\{(['\"])(.+?)\1: \(([\d, ]+)\)\}\)")


def reword(problem: FanlightError, options: set[str]) -> FanlightError:
    """The error with `--size 224` for `fl.load(path, size=224)`, and the like.

    Args:
        options: what the command takes: "--size", "--input-shape".
    """
    if problem.code != "E-FORMAT-017" or not isinstance(problem.next, str):
        return problem
    if "--size" in options:
        problem.next = _SIZE.sub(r"--size \1", problem.next)
    if "--input-shape" in options:
        problem.next = _SHAPE.sub(_option, problem.next)
    return problem


def _option(found: re.Match[str]) -> str:
    sizes = ",".join(part.strip() for part in found[3].split(",") if part.strip())
    return f"--input-shape {shlex.quote(f'{found[2]}={sizes}')}"

"""Functions of tensors of strings: `fl.string`. They run in Python; WebAssembly has no strings.

A tensor of strings is made of Python's: `fl.tensor(["a", "b"])`. It can be reshaped, transposed,
sliced, gathered, tiled, joined (concat, stack) and compared, like any other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from fanlight.dtypes import STRING
from fanlight.errors import FanlightError
from fanlight.tensor.arguments import as_wholes, choice, flag, listed, whole_number
from fanlight.tensor.core import Tensor, caller, tensor
from fanlight.tensor.fingerprint import fingerprint
from fanlight.tensor.parts import broadcast_args

__all__ = [
    "join",
    "length",
    "lower",
    "n_grams",
    "split",
    "static_regex_replace",
    "string_n_grams",
    "string_split",
    "string_to_hash_bucket_fast",
    "substr",
    "to_hash_bucket_fast",
    "upper",
]


def __dir__() -> list[str]:
    """What completion offers: what is public."""
    return sorted(__all__)


def _texts(x: Any, argument: str = "x") -> Tensor:
    """A tensor of strings; E-OP-003."""
    x = tensor(x, STRING) if isinstance(x, list | tuple) and not x else tensor(x)
    if x.dtype != STRING:
        raise FanlightError(
            "E-OP-003",
            "a function of strings was given something else.",
            where=f"{argument}, {caller()}",
            expected="a tensor of strings",
            received=str(x.type),
        )
    return x


def _each(x: Tensor, rule: Callable[[str], Any], dtype: str = STRING) -> Tensor:
    """A rule for every string."""
    kind = object if dtype == STRING else np.int32
    made = np.empty(x.size, kind)
    for i, text in enumerate(x.numpy().flat):
        made[i] = rule(text)
    return tensor(made.reshape(x.shape), dtype)


def _bytes(text: str) -> bytes:
    """UTF-8; halves of surrogate pairs, which JavaScript's strings may hold, as they are."""
    return text.encode("utf-8", "surrogatepass")


def _one_text(argument: str, *values: Any) -> None:
    """E-OP-005 where an argument that is one string is none."""
    for value in values:
        if not isinstance(value, str):
            raise _wrong(argument, "a string", value)


def lower(x: Any) -> Tensor:
    """Every string in small letters."""
    return _each(_texts(x), str.lower)


def upper(x: Any) -> Tensor:
    """Every string in capitals."""
    return _each(_texts(x), str.upper)


def length(x: Any, unit: str = "char") -> Tensor:
    """int32: the number of characters of every string; unit "byte": of bytes of its UTF-8."""
    choice("string.length", "unit", unit, ("char", "byte"))
    return _each(_texts(x), len if unit == "char" else lambda t: len(_bytes(t)), "int32")


def substr(x: Any, start: int, count: int) -> Tensor:
    """`count` characters of every string from `start` on (negative: from the end), or fewer."""
    start = whole_number("substr", "start", start, None)
    count = whole_number("substr", "count", count)

    def part(text: str) -> str:
        first = start if start >= 0 else max(0, len(text) + start)
        return text[first : first + count]

    return _each(_texts(x), part)


def join(tensors: Sequence[Any], separator: str = "") -> Tensor:
    """Strings put together, element by element; the shapes broadcast (tf.strings.join)."""
    _one_text("separator", separator)
    tensors = listed("string.join", "tensors", tensors, "fl.string.join([a, b])")
    given = [_texts(x, f"tensor {i}") for i, x in enumerate(tensors)]
    if not given:
        raise _wrong("tensors", "at least one tensor", tensors)
    shape: tuple[int, ...] = ()
    for x in given:
        shape = tuple(broadcast_args(list(shape), list(x.shape)).tolist())
    columns = [np.broadcast_to(x.numpy(), shape).reshape(-1) for x in given]
    joined = np.empty(int(np.prod(shape)), object)
    for i, texts in enumerate(zip(*columns, strict=True)):
        joined[i] = separator.join(texts)
    return tensor(joined.reshape(shape), STRING)


def static_regex_replace(x: Any, pattern: str, rewrite: str, replace_global: bool = True) -> Tensor:
    r"""Matches of a regular expression in every string replaced (tf.strings.regex_replace).

    Args:
        pattern: of Python's `re`, which shares the common forms with RE2 and JavaScript.
        rewrite: what stands there instead; \1 to \9 are its groups, \0 the whole match.
        replace_global: all of the matches, or the first one.

    Raises:
        FanlightError: E-OP-005 the pattern or the rewrite is wrong.
    """
    _one_text("pattern", pattern)
    _one_text("rewrite", rewrite)
    replace_global = flag("static_regex_replace", "replace_global", replace_global)
    try:
        found = re.compile(pattern)
        whole = re.sub(r"\\0", r"\\g<0>", rewrite)
        return _each(_texts(x), lambda t: found.sub(whole, t, count=0 if replace_global else 1))
    except re.error as problem:
        raise _wrong("pattern", f"a regular expression ({problem})", pattern) from None


def to_hash_bucket_fast(x: Any, num_buckets: int) -> Tensor:
    """int32: the fingerprint of every string's UTF-8, modulo the number of buckets.

    The buckets are those of TensorFlow: Fingerprint64 of FarmHash (Pike 2014).

    Raises:
        FanlightError: E-OP-005 there is no bucket, or more than int32 counts.
    """
    num_buckets = whole_number("to_hash_bucket_fast", "num_buckets", num_buckets, 1, 2**31 - 1)
    return _each(_texts(x), lambda t: fingerprint(_bytes(t)) % num_buckets, "int32")


def split(x: Any, delimiter: str = "", skip_empty: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """The parts of every string, as a sparse matrix [n, most parts] (tf.strings.split of old).

    Args:
        x: strings [n].
        delimiter: parts lie between its characters, each of which divides; "": every character is
            a part.
        skip_empty: leave out parts without characters.

    Returns:
        indices int32 [count, 2], the parts [count], and the shape of the matrix int32 [2].

    Raises:
        FanlightError: E-OP-003 x is not of strings; E-OP-004 it has not one dim.
    """
    x = _texts(x)
    if x.rank != 1:
        raise FanlightError(
            "E-OP-004",
            "strings are split in a vector.",
            where=f"x, {caller()}",
            expected="str[n]",
            received=str(x.type),
            next="reshape it first.",
        )
    skip_empty = flag("string.split", "skip_empty", skip_empty)
    mark = _texts(delimiter, "delimiter").item()
    indices, parts, most = [], [], 0
    for row, text in enumerate(x.tolist()):
        pieces = list(text) if not mark else re.split(f"[{re.escape(str(mark))}]", text)
        kept = [p for p in pieces if p or not skip_empty]
        indices += [(row, column) for column in range(len(kept))]
        parts += kept
        most = max(most, len(kept))
    places = np.array(indices, np.int32).reshape(-1, 2)
    return tensor(places), tensor(parts, STRING), tensor([x.size, most])


def n_grams(
    data: Any,
    data_splits: Any,
    separator: str,
    widths: Sequence[int],
    left_pad: str = "",
    right_pad: str = "",
    pad_width: int = 0,
    preserve_short_sequences: bool = False,
) -> tuple[Tensor, Tensor]:
    """Runs of neighbours in ragged rows of strings, joined (tf.strings.ngrams).

    Args:
        data: strings [n]: the rows, one after another.
        data_splits: int32 [rows + 1]: where each begins, and the end.
        separator: between the strings of a run.
        widths: of the runs; all of one width come before those of the next.
        left_pad, right_pad: what stands before and behind a row.
        pad_width: how often; never more than the width less one, which -1 means.
        preserve_short_sequences: a row that is too short for all widths gives one run: all of it.

    Returns:
        the runs, and the splits of their rows, int32 [rows + 1].

    Raises:
        FanlightError: E-OP-003, E-OP-005 the data are no strings, or the splits do not cut them.
    """
    _one_text("separator", separator)
    _one_text("padding", left_pad, right_pad)
    words = _texts(data, "data")
    texts = words.numpy().reshape(-1).tolist()
    splits = tensor(data_splits, "int32").numpy().reshape(-1).tolist()
    rising = all(a <= b for a, b in pairwise(splits))
    if splits and not (splits[0] == 0 and splits[-1] == len(texts) and rising):
        raise _wrong("data_splits", f"rising from 0 to {len(texts)}", splits)
    wide = as_wholes(widths)
    if not wide or min(wide) < 1:
        raise _wrong("widths", "whole numbers from 1 on", widths)
    preserve_short_sequences = flag("n_grams", "preserve_short_sequences", preserve_short_sequences)
    pad_width = whole_number("n_grams", "pad_width", pad_width, -1)
    made: list[str] = []
    ends = [0] if splits else []
    for begin, end in pairwise(splits):
        row = texts[begin:end]
        runs: list[list[str]] = []
        for width in wide:
            often = width - 1 if pad_width < 0 else min(pad_width, width - 1)
            framed = [left_pad] * often + row + [right_pad] * often
            runs += [framed[i : i + width] for i in range(len(framed) - width + 1)]
        if not runs and row and preserve_short_sequences:
            often = max(pad_width, 0)
            runs = [[left_pad] * often + row + [right_pad] * often]
        made += [separator.join(run) for run in runs]
        ends.append(len(made))
    return tensor(made, STRING), tensor(np.array(ends, np.int32))


# The names that these have in TensorFlow.js.
string_n_grams, string_split = n_grams, split
string_to_hash_bucket_fast = to_hash_bucket_fast


def _wrong(argument: str, expected: str, received: object) -> FanlightError:
    return FanlightError(
        "E-OP-005",
        f"a function of strings does not allow this {argument}.",
        where=f"{argument}, {caller()}",
        expected=expected,
        received=repr(received)[:200],
    )

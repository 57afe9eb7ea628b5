"""Importers of ops of strings: what they make of known ones, with TensorFlow's meaning.

TensorFlow's strings are bytes. Characters count where an op says so (unit, encoding), and in
regular expressions; capitals and small letters, and white space, are those of ASCII.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from fanlight.formats.tfgraph.call import Call, importer
from fanlight.formats.tfgraph.regex import Regex, RegexError, regex, rewriting
from fanlight.formats.tfgraph.text import (
    MOST,
    MOST_BYTES,
    TAKE_TEXT,
    OnHost,
    array_of,
    each,
    one_text,
    readable,
    text,
    texts_of,
    too_long,
    unreadable,
)
from fanlight.graph import Value
from fanlight.tensor import string
from fanlight.tensor.core import tensor
from fanlight.tensor.fingerprint import fingerprint, siphash

_LONGEST = 1 << 16  # characters that an expression is sought in
_WIDEST = 1 << 10  # words of a run, and what is put around a row
_SPACE = b" \t\n\v\f\r"

TAKE_TEXT.update(
    "AsString DecodeBase64 EncodeBase64 RegexFullMatch RegexReplace StaticRegexFullMatch "
    "StaticRegexReplace StringJoin StringLength StringLower StringNGrams StringSplit StringSplitV2 "
    "StringStrip StringToHashBucketFast StringToHashBucketStrong StringToNumber StringUpper Substr "
    "UnicodeDecode UnicodeDecodeWithOffsets".split()
)


def _wholes(call: Call, index: int, what: str) -> np.ndarray:
    """Input `index` as known whole numbers."""
    found = array_of(call, index, what)
    if found.dtype.kind not in "iu":
        raise call.refuse(f"{what} must be whole numbers", received=found.dtype)
    return found


def _characters(call: Call) -> bool:
    """Whether an op counts characters rather than bytes."""
    unit = call.attrs.text("unit", "BYTE")
    if unit not in ("BYTE", "UTF8_CHAR"):
        raise call.refuse("there is no such unit", expected="BYTE or UTF8_CHAR", received=unit[:40])
    return unit == "UTF8_CHAR"


@importer("StringLower", "StringUpper")
def change_case(call: Call) -> Any:
    lower = call.node.op == "StringLower"
    encoding = call.attrs.text("encoding")
    if encoding not in ("", "utf-8"):
        raise call.refuse("there is no such encoding", expected="utf-8", received=encoding[:40])
    if not encoding:
        return each(call, bytes.lower if lower else bytes.upper)
    change = str.lower if lower else str.upper
    return each(call, lambda t: unreadable(change(readable(t))))


@importer("StringStrip")
def strip(call: Call) -> Any:
    return each(call, lambda t: t.strip(_SPACE))


@importer("StringLength")
def length(call: Call) -> Any:
    characters, texts = _characters(call), texts_of(call)
    # A character is a byte that continues none.
    found = [
        sum(b & 0xC0 != 0x80 for b in t) if characters else len(t)
        for t in texts.reshape(-1).tolist()
    ]
    return np.array(found, np.int32).reshape(texts.shape)


@importer("Substr")
def substr(call: Call) -> Any:
    """Parts of strings from a place on (negative: from the end), of a length or less."""
    characters = _characters(call)
    given = (texts_of(call), _wholes(call, 1, "the place"), _wholes(call, 2, "the length"))
    try:
        texts, places, lengths = np.broadcast_arrays(*given)
    except ValueError:
        raise call.refuse("the shapes do not fit", received=[a.shape for a in given]) from None
    made = []
    flat = zip(texts.flat, places.flat, lengths.flat, strict=True)
    for data, place, count in flat:
        whole: Any = readable(data) if characters else data
        at = int(place) + (len(whole) if place < 0 else 0)
        if not 0 <= at <= len(whole):
            raise call.refuse(
                "a place is outside of a string",
                expected=f"-{len(whole)} to {len(whole)}",
                received=int(place),
            )
        part = whole[at : at + max(int(count), 0)]
        made.append(unreadable(part) if characters else part)
    return text(made, texts.shape, call.where)


@importer("StringJoin")
def join(call: Call) -> Any:
    mark = unreadable(call.attrs.text("separator"))
    given = [texts_of(call, i) for i in range(max(len(call.inputs), 1))]
    try:
        shape = np.broadcast_shapes(*(a.shape for a in given))
    except ValueError:
        raise call.refuse("the shapes do not fit", received=[a.shape for a in given]) from None
    if math.prod(shape) > MOST:
        raise too_long(call.where)
    columns = [np.broadcast_to(a, shape).reshape(-1).tolist() for a in given]
    if sum(len(t) + len(mark) for c in columns for t in c) > MOST_BYTES:
        raise too_long(call.where)
    return text(map(mark.join, zip(*columns, strict=True)), shape, call.where)


# --- expressions ----------------------------------------------------------------------------------


def _regex(call: Call, pattern: str) -> Regex:
    try:
        return regex(pattern)
    except RegexError as problem:
        raise _wrong(call, pattern, problem) from None


def _wrong(call: Call, pattern: str, problem: Exception) -> Exception:
    return call.refuse(
        f"the expression cannot be sought: {problem}",
        expected="a regular expression of RE2's syntax, not too large",
        received=pattern[:80],
    )


def _short(call: Call, texts: np.ndarray) -> list[str]:
    found = [readable(t) for t in texts.reshape(-1).tolist()]
    if sum(map(len, found)) > _LONGEST:
        raise call.refuse(
            "the strings are too long for a search", expected=f"{_LONGEST:,} characters"
        )
    return found


@importer("StaticRegexReplace", "RegexReplace")
def regex_replace(call: Call) -> Any:
    if call.node.op == "RegexReplace":
        pattern, rewrite = (readable(one_text(call, i)) for i in (1, 2))
    else:
        pattern, rewrite = call.attrs.text("pattern"), call.attrs.text("rewrite")
    texts, every = texts_of(call), call.attrs.flag("replace_global", True)
    sought = _regex(call, pattern)
    items = _short(call, texts)
    # Matches do not overlap, and each stands at most as often again as the rewrite has signs.
    if sum(len(item) + 1 for item in items) * (len(rewrite) + 1) > MOST_BYTES:
        raise too_long(call.where)
    try:
        stands = rewriting(rewrite, sought.groups)
        made = [unreadable(sought.replaced(item, stands, every)) for item in items]
    except RegexError as problem:
        raise _wrong(call, pattern, problem) from None
    return text(made, texts.shape, call.where)


@importer("StaticRegexFullMatch", "RegexFullMatch")
def regex_full_match(call: Call) -> Any:
    static = call.node.op == "StaticRegexFullMatch"
    pattern = call.attrs.text("pattern") if static else readable(one_text(call, 1))
    texts, sought = texts_of(call), _regex(call, pattern)
    try:
        found = [sought.matches_whole(item) for item in _short(call, texts)]
    except RegexError as problem:
        raise _wrong(call, pattern, problem) from None
    return np.array(found, bool).reshape(texts.shape)


# --- parts ----------------------------------------------------------------------------------------


def _sparse(call: Call, rows: list[list[bytes]]) -> list[Any]:
    """Rows of strings as a sparse matrix: where they are, the strings, and its shape."""
    places = [(r, c) for r, row in enumerate(rows) for c in range(len(row))]
    shape = np.array([len(rows), max(map(len, rows), default=0)], np.int32)
    words = text([w for row in rows for w in row], (len(places),), call.where)
    return [np.array(places, np.int32).reshape(-1, 2), words, shape]


@importer("StringSplit")
def split(call: Call) -> Any:
    """Parts between single bytes, each of which divides; without one, every byte is a part."""
    marks, skip = one_text(call, 1), call.attrs.flag("skip_empty", True)
    one = marks[:1]
    table = bytes.maketrans(marks, one * len(marks))
    rows = []
    for data in texts_of(call).reshape(-1).tolist():
        if not marks:
            rows.append([data[i : i + 1] for i in range(len(data))])
            continue
        found = data.translate(table).split(one)
        rows.append([part for part in found if part or not skip])
    return _sparse(call, rows)


@importer("StringSplitV2")
def split_v2(call: Call) -> Any:
    """Parts between a mark, or runs of white space, and at most so many."""
    mark, most = one_text(call, 1), call.attrs.whole("maxsplit", -1)
    texts = texts_of(call).reshape(-1).tolist()
    return _sparse(call, [list(_parts(t, mark, most)) for t in texts])


def _parts(data: bytes, mark: bytes, most: int) -> Iterator[bytes]:
    if most == 0:
        yield data
    elif mark:
        yield from data.split(mark, most if most > 0 else -1)
    else:
        found = data.split(None, most if most > 0 else -1)
        yield from found
        # TensorFlow has a rest behind the last division, even an empty one.
        if len(found) == most and data.strip(_SPACE):
            yield b""


@importer("StringNGrams")
def n_grams(call: Call) -> Any:
    attrs = call.attrs
    widths, pad = attrs.ints("ngram_widths"), attrs.whole("pad_width", 0)
    splits, words = _wholes(call, 1, "where rows begin"), texts_of(call).reshape(-1)
    around = [_coded(unreadable(attrs.text(n))) for n in ("separator", "left_pad", "right_pad")]
    if not widths or len(widths) > 64 or not all(1 <= w <= _WIDEST for w in (*widths, pad + 2)):
        raise call.refuse(
            "the widths are out of range", expected=f"1 to {_WIDEST}", received=widths[:8]
        )
    longest = max((len(w) for w in words), default=0) + sum(map(len, around))
    if (words.size + splits.size) * sum(w * longest + longest for w in widths) > 1 << 30:
        raise too_long(call.where)
    data, ends = string.n_grams(
        tensor([_coded(w) for w in words] or np.empty(0, object), "string"),
        splits.astype(np.int32),
        around[0],
        list(widths),
        around[1],
        around[2],
        pad,
        attrs.flag("preserve_short_sequences"),
    )
    made = [item.encode("latin-1") for item in data.numpy().reshape(-1).tolist()]
    return [text(made, (len(made),), call.where), np.asarray(ends.numpy())]


def _coded(data: bytes) -> str:
    """Bytes as a text of as many characters."""
    return data.decode("latin-1")


# --- numbers --------------------------------------------------------------------------------------


@importer("StringToHashBucketFast", "StringToHashBucketStrong")
def hash_bucket(call: Call) -> Any:
    buckets = call.attrs.whole("num_buckets", 1)
    if not 1 <= buckets < 1 << 31:
        raise call.refuse("the number of buckets", expected="1 to 2^31 - 1", received=buckets)
    texts = texts_of(call)
    if call.node.op == "StringToHashBucketFast":
        found = [fingerprint(t) % buckets for t in texts.reshape(-1).tolist()]
    else:
        key = call.attrs.ints("key")
        if len(key) != 2:
            raise call.refuse("the key", expected="two whole numbers", received=key[:4])
        first, second = (k % 2**64 for k in key)
        found = [siphash(t, first, second) % buckets for t in texts.reshape(-1).tolist()]
    return np.array(found, np.int32).reshape(texts.shape)


@importer("StringToNumber")
def to_number(call: Call) -> Any:
    dtype, texts = call.attrs.dtype("out_type", "float32"), texts_of(call)
    made = []
    for data in texts.reshape(-1).tolist():
        try:
            if b"_" in data:
                raise ValueError
            made.append(float(data) if dtype == "float32" else int(data))
        except ValueError:
            raise call.refuse("a string is no number", received=data[:80]) from None
    if dtype != "float32" and not all(-(2**31) <= n < 2**31 for n in made):
        raise call.refuse("a number does not fit into 32 bits", received=max(made, key=abs))
    with np.errstate(over="ignore"):
        return np.array(made, dtype).reshape(texts.shape)


@importer("AsString")
def as_string(call: Call) -> Any:
    x: Any = call.x()
    if isinstance(x, Value):
        raise OnHost
    attrs, array = call.attrs, array_of(call, 0, "the numbers")
    if attrs.whole("width", -1) > -1 or attrs.flag("scientific") or attrs.flag("shortest"):
        raise call.refuse("numbers in a form of their own", expected="width -1, plain numbers")
    digits = attrs.whole("precision", -1)
    if digits > 40:
        raise call.refuse("so many digits", expected="at most 40", received=digits)
    kind = array.dtype.kind
    if kind == "O":
        return x
    if kind == "b":
        made = [b"true" if v else b"false" for v in array.reshape(-1).tolist()]
    elif kind == "f":
        form = f"%.{digits if digits > -1 else 6}f"
        made = [(form % v).encode() for v in array.reshape(-1).tolist()]
    else:
        made = [str(v).encode() for v in array.reshape(-1).tolist()]
    return text(made, array.shape, call.where)


@importer("UnicodeDecode", "UnicodeDecodeWithOffsets")
def unicode_decode(call: Call) -> Any:
    """Code points of all strings, one after the other: where each begins, and the points."""
    attrs = call.attrs
    coding, errors = attrs.text("input_encoding", "UTF-8"), attrs.text("errors", "replace")
    if coding.upper() != "UTF-8" or errors not in ("replace", "ignore"):
        raise call.refuse("another encoding", expected="UTF-8, replace", received=[coding, errors])
    stands = attrs.whole("replacement_char", 0xFFFD)
    ends, points, offsets = [0], [], []
    for data in texts_of(call).reshape(-1).tolist():
        at = 0
        for char in readable(data):
            broken = 0xDC80 <= ord(char) <= 0xDCFF
            if not broken or errors == "replace":
                points.append(stands if broken else ord(char))
                offsets.append(at)
            at += 1 if broken else len(char.encode())
        ends.append(len(points))
    made = [np.array(v, np.int32) for v in (ends, points, offsets)]
    return made if call.node.op == "UnicodeDecodeWithOffsets" else made[:2]


# --- base64 ---------------------------------------------------------------------------------------


@importer("EncodeBase64")
def encode_base64(call: Call) -> Any:
    """Web-safe base64, with = at its end if asked for."""
    pad = call.attrs.flag("pad")
    coded = base64.urlsafe_b64encode
    return each(call, coded if pad else lambda t: coded(t).rstrip(b"="))


@importer("DecodeBase64")
def decode_base64(call: Call) -> Any:
    def rule(data: bytes) -> bytes:
        plain = data.rstrip(b"=")
        try:
            return base64.b64decode(plain + b"=" * (-len(plain) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise call.refuse("a string is no base64", received=data[:80]) from None

    return each(call, rule)

"""Regular expressions of RE2, sought in a time that grows with the text alone, as RE2 does.

Python's `re` tries one way after the other, which for some expressions takes for ever; a file may
hold such ones. Here all ways are followed at once (Pike's machine: Cox 2009, "Regular Expression
Matching: the Virtual Machine Approach"). Expressions that `re` cannot take long for go to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

_MOST_PATTERN = 1000  # characters
_MOST_STEPS = 2000  # instructions of a program
_MOST_OFTEN = 1000  # of {n,m}, as in RE2
_MOST_DEPTH = 50  # of groups
_BUDGET = 1 << 23  # instructions that one search may take, about ten seconds

Ranges = tuple[tuple[int, int], ...]
_LAST = 0x10FFFF
_DIGIT: Ranges = ((48, 57),)
_WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Ranges = ((9, 10), (12, 13), (32, 32))
_POSIX: dict[str, Ranges] = {
    "alnum": ((48, 57), (65, 90), (97, 122)),
    "alpha": ((65, 90), (97, 122)),
    "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 31), (127, 127)),
    "digit": _DIGIT,
    "graph": ((33, 126),),
    "lower": ((97, 122),),
    "print": ((32, 126),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)),
    "upper": ((65, 90),),
    "word": _WORD,
    "xdigit": ((48, 57), (65, 70), (97, 102)),
}
_ESCAPES = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}


class RegexError(ValueError):
    """An expression that is wrong, or of a kind that is not sought here."""


# --- what an expression says ----------------------------------------------------------------------


@dataclass(frozen=True)
class Chars:
    """One character of some ranges of code points."""

    ranges: Ranges


@dataclass(frozen=True)
class Place:
    """A place between characters: "begin", "end", "line", "lines", "edge", "inner"."""

    kind: str


@dataclass(frozen=True)
class Row:
    """Parts one after the other."""

    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Choice:
    """One of several parts, the first rather than the next."""

    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Often:
    """A part from `least` to `most` times (None: any number), rather more often than less."""

    part: Any
    least: int
    most: int | None
    greedy: bool


@dataclass(frozen=True)
class Group:
    """A part whose place is kept under a number."""

    part: Any
    number: int


def _inverse(ranges: Ranges) -> Ranges:
    made, low = [], 0
    for a, b in sorted(ranges):
        if a > low:
            made.append((low, a - 1))
        low = max(low, b + 1)
    return tuple([*made, (low, _LAST)] if low <= _LAST else made)


def _any_case(ranges: Ranges) -> Ranges:
    """With the other case of the letters; of wide ranges those of ASCII only."""
    more = []
    for a, b in ranges:
        for code in range(a, b + 1) if b - a < 1024 else range(a, min(b, 127) + 1):
            text = chr(code)
            more += [(ord(c), ord(c)) for c in (text.lower(), text.upper()) if len(c) == 1]
    return (*ranges, *more)


@dataclass
class _Parser:
    text: str
    at: int = 0
    groups: int = 0
    flags: set[str] = field(default_factory=set)

    def whole(self) -> Any:
        if len(self.text) > _MOST_PATTERN:
            raise RegexError(f"it is longer than {_MOST_PATTERN} characters")
        made = self.choice(0)
        if self.at < len(self.text):
            raise RegexError("there is a ) without a (")
        return made

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self) -> str:
        found = self.peek()
        if not found:
            raise RegexError("it ends too early")
        self.at += 1
        return found

    def choice(self, depth: int) -> Any:
        if depth > _MOST_DEPTH:
            raise RegexError("its groups are nested too deeply")
        parts: list[Any] = []
        row: list[Any] = []
        while self.peek() not in ("", ")"):
            if self.peek() == "|":
                self.at += 1
                parts.append(Row(tuple(row)))
                row = []
                continue
            item = self.item(depth)
            if item is not None:
                row.append(self.repeated(item))
        parts.append(Row(tuple(row)))
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def repeated(self, item: Any) -> Any:
        found = self.often()
        if found is None:
            return item
        if isinstance(item, Place):
            raise RegexError("a place is repeated")
        least, most = found
        greedy = self.peek() != "?"
        self.at += not greedy
        if self.often() is not None:
            raise RegexError("a repetition is repeated")
        return Often(item, least, most, greedy)

    def often(self) -> tuple[int, int | None] | None:
        sign = self.peek()
        if sign and sign in "*+?":
            self.at += 1
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        found = re.compile(r"\{(\d{1,4})(,(\d{0,4}))?\}").match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        least = int(found[1])
        most = least if found[2] is None else int(found[3]) if found[3] else None
        if least > _MOST_OFTEN or (most is not None and not least <= most <= _MOST_OFTEN):
            raise RegexError("a repetition is out of range")
        return least, most

    def item(self, depth: int) -> Any:
        sign = self.take()
        if sign == "(":
            return self.group(depth)
        if sign == "[":
            return self.chars()
        if sign == ".":
            return Chars(((0, _LAST),) if "s" in self.flags else _inverse(((10, 10),)))
        if sign == "^":
            return Place("line" if "m" in self.flags else "begin")
        if sign == "$":
            return Place("lines" if "m" in self.flags else "end")
        if sign in "*+?":
            raise RegexError("there is nothing to repeat")
        if sign == "\\":
            return self.escape()
        return self.one(((ord(sign), ord(sign)),))

    def one(self, ranges: Ranges) -> Chars:
        return Chars(_any_case(ranges) if "i" in self.flags else ranges)

    def group(self, depth: int) -> Any:
        flags = set(self.flags)
        number = None
        if self.peek() != "?":
            self.groups += 1
            number = self.groups
        else:
            named = re.compile(r"\?P?<\w+>").match(self.text, self.at)
            found = re.compile(r"\?([ims]*)(?:-([ims]+))?([:)])").match(self.text, self.at)
            if named is not None:
                self.at = named.end()
                self.groups += 1
                number = self.groups
            elif found is not None:
                self.at = found.end()
                self.flags = (self.flags | set(found[1])) - set(found[2] or "")
                if found[3] == ")":
                    return None
            else:
                raise RegexError("a group of a kind that RE2 has not: " + self.text[self.at :][:8])
        made = self.choice(depth + 1)
        if self.peek() != ")":
            raise RegexError("there is a ( without a )")
        self.at += 1
        self.flags = flags
        return made if number is None else Group(made, number)

    def escape(self) -> Any:
        sign = self.take()
        places = {"A": "begin", "z": "end", "b": "edge", "B": "inner"}
        if sign in places:
            return Place(places[sign])
        if sign == "Q":
            end = self.text.find("\\E", self.at)
            end = len(self.text) if end < 0 else end
            quoted = self.text[self.at : end]
            self.at = min(end + 2, len(self.text))
            return Row(tuple(self.one(((ord(c), ord(c)),)) for c in quoted))
        return self.one(self.of_escape(sign))

    def of_escape(self, sign: str) -> Ranges:
        """The characters behind a \\ inside or outside of a class."""
        classes = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
        if sign.lower() in classes:
            found = classes[sign.lower()]
            return found if sign.islower() else _inverse(found)
        if sign in _ESCAPES:
            return ((_ESCAPES[sign], _ESCAPES[sign]),)
        if sign == "x":
            code = re.compile(r"\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2})").match(self.text, self.at)
            if code is None or int(code[1] or code[2], 16) > _LAST:
                raise RegexError("\\x is followed by no code point")
            self.at = code.end()
            number = int(code[1] or code[2], 16)
            return ((number, number),)
        if sign == "0":
            return ((0, 0),)
        if sign.isalnum() and sign.isascii():
            raise RegexError(f"\\{sign} is not sought here")
        return ((ord(sign), ord(sign)),)

    def chars(self) -> Chars:
        negative = self.peek() == "^"
        self.at += negative
        found: list[tuple[int, int]] = []
        first = True
        while first or self.peek() != "]":
            first = False
            posix = re.compile(r"\[:(\^?)(\w+):\]").match(self.text, self.at)
            if posix is not None:
                if posix[2] not in _POSIX:
                    raise RegexError(f"there is no class [:{posix[2]}:]")
                self.at = posix.end()
                own = _POSIX[posix[2]]
                found += _inverse(own) if posix[1] else own
                continue
            low = self.member()
            if self.peek() != "-" or self.text[self.at + 1 : self.at + 2] in ("]", ""):
                found += low
                continue
            self.at += 1
            high = self.member()
            if len(low) != 1 or len(high) != 1 or low[0][0] != low[0][1] or low > high:
                raise RegexError("a range of characters is none")
            found.append((low[0][0], high[0][1]))
        self.at += 1
        ranges = tuple(found)
        ranges = _any_case(ranges) if "i" in self.flags else ranges
        return Chars(_inverse(ranges) if negative else ranges)

    def member(self) -> Ranges:
        sign = self.take()
        return self.of_escape(self.take()) if sign == "\\" else ((ord(sign), ord(sign)),)


# --- the machine ----------------------------------------------------------------------------------

# ("char", ranges), ("split", here, or there), ("jump", to), ("keep", slot), ("place", kind), match
_Step = tuple[Any, ...]


def _program(part: Any) -> list[_Step]:
    made: list[_Step] = []

    def add(*step: Any) -> int:
        if len(made) >= _MOST_STEPS:
            raise RegexError("it is too large: its repetitions are written out")
        made.append(step)
        return len(made) - 1

    def emit(part: Any) -> None:
        if isinstance(part, Chars):
            add("char", part.ranges)
        elif isinstance(part, Place):
            add("place", part.kind)
        elif isinstance(part, Group):
            add("keep", 2 * part.number)
            emit(part.part)
            add("keep", 2 * part.number + 1)
        elif isinstance(part, Row):
            for inner in part.parts:
                emit(inner)
        elif isinstance(part, Choice):
            ends = []
            for inner in part.parts[:-1]:
                split = add("split", 0, 0)
                emit(inner)
                ends.append(add("jump", 0))
                made[split] = ("split", split + 1, len(made))
            emit(part.parts[-1])
            for end in ends:
                made[end] = ("jump", len(made))
        else:
            repeat(part)

    def repeat(part: Often) -> None:
        for _ in range(part.least):
            emit(part.part)

        def fork(at: int, inner: int, behind: int) -> None:
            made[at] = ("split", inner, behind) if part.greedy else ("split", behind, inner)

        if part.most is None:
            split = add("split", 0, 0)
            emit(part.part)
            add("jump", split)
            fork(split, split + 1, len(made))
            return
        forks = []
        for _ in range(part.most - part.least):
            forks.append(add("split", 0, 0))
            emit(part.part)
        for at in forks:
            fork(at, at + 1, len(made))

    emit(part)
    add("match")
    return made


def _holds(kind: str, text: str, at: int) -> bool:
    before, behind = text[at - 1 : at] if at else "", text[at : at + 1]
    if kind == "begin":
        return at == 0
    if kind == "end":
        return at == len(text)
    if kind == "line":
        return not before or before == "\n"
    if kind == "lines":
        return not behind or behind == "\n"
    edge = _is_word(before) != _is_word(behind)
    return edge if kind == "edge" else not edge


def _is_word(text: str) -> bool:
    return bool(text) and text.isascii() and (text.isalnum() or text == "_")


def _member(ranges: Ranges) -> Callable[[str], bool]:
    known: dict[str, bool] = {}

    def holds(char: str) -> bool:
        found = known.get(char)
        if found is None:
            code = ord(char)
            found = known[char] = any(a <= code <= b for a, b in ranges)
        return found

    return holds


Spans = tuple[int, ...]  # start and end of the match and of its groups; -1 of what did not match


class Regex:
    """A compiled expression.

    Attributes:
        groups: how many it has.
    """

    def __init__(self, pattern: str) -> None:
        parser = _Parser(pattern)
        tree = parser.whole()
        self.groups = parser.groups
        self._steps: list[Any] = [
            ("char", _member(s[1])) if s[0] == "char" else s for s in _program(tree)
        ]
        self._quick = _quick(tree)

    def replaced(self, text: str, rewrite: Callable[[str, Spans], str], every: bool) -> str:
        """The text with its matches rewritten: all of them, or the first one.

        Raises:
            RegexError: the search takes too long.
        """
        made, at, last = [], 0, 0
        for found in self._matches(text, every):
            made += [text[at : found[0]], rewrite(text, found)]
            at = last = found[1]
        return "".join([*made, text[at:]]) if made or last else text

    def _matches(self, text: str, every: bool) -> Iterator[Spans]:
        if self._quick is not None:
            for quick in self._quick.finditer(text):
                yield quick.span()
                if not every:
                    return
            return
        at, last, budget = 0, -1, [_BUDGET]
        while at <= len(text):
            found = self._search(text, at, budget)
            if found is None:
                return
            if found[0] == found[1] == last:
                at = found[1] + 1  # no empty match where the last one ended
                continue
            yield found
            if not every:
                return
            at = last = found[1]

    def matches_whole(self, text: str) -> bool:
        """Whether the whole text is a match."""
        return self._search(text, 0, [_BUDGET], whole=True) is not None

    def _search(
        self, text: str, begin: int, budget: list[int], whole: bool = False
    ) -> Spans | None:
        """The first match from `begin` on, of several the one that the expression prefers."""
        empty = (-1,) * (2 * self.groups + 2)
        found: Spans | None = None
        threads: list[tuple[int, Spans]] = []
        for at in range(begin, len(text) + 1):
            seen: set[int] = set()
            ready: list[tuple[int, Spans]] = []
            for step, spans in threads:
                self._follow(step, spans, text, at, seen, ready)
            if found is None and (at == begin or not whole):
                self._follow(0, (at, *empty[1:]), text, at, seen, ready)
            budget[0] -= len(seen) + 1
            if budget[0] < 0:
                raise RegexError("it takes too long in a text of this length")
            threads = []
            char = text[at] if at < len(text) else ""
            for step, spans in ready:
                instruction = self._steps[step]
                if instruction[0] == "match":
                    if whole and at < len(text):
                        continue
                    found = (spans[0], at, *spans[2:])
                    break  # what comes behind it is less preferred
                if char and instruction[1](char):
                    threads.append((step + 1, spans))
            if not threads and (found is not None or (whole and at > begin)):
                break
        return found

    def _follow(
        self, step: int, spans: Spans, text: str, at: int, seen: set[int], ready: list[Any]
    ) -> None:
        """Add where a thread goes without taking a character, in the order of preference."""
        waiting = [(step, spans)]
        while waiting:
            step, spans = waiting.pop()
            if step in seen:
                continue
            seen.add(step)
            instruction = self._steps[step]
            kind = instruction[0]
            if kind == "jump":
                waiting.append((instruction[1], spans))
            elif kind == "split":
                waiting += [(instruction[2], spans), (instruction[1], spans)]
            elif kind == "keep":
                slot = instruction[1]
                waiting.append((step + 1, (*spans[:slot], at, *spans[slot + 1 :])))
            elif kind == "place":
                if _holds(instruction[1], text, at):
                    waiting.append((step + 1, spans))
            else:
                ready.append((step, spans))


def _quick(tree: Any) -> re.Pattern[str] | None:
    """The same for Python's `re`, where it needs no more than a few steps at each place.

    That is a row of single characters of which the last one may be repeated, or a choice of rows.
    """
    rows = tree.parts if isinstance(tree, Choice) else (tree,)
    written = []
    for row in rows:
        parts = list(row.parts)
        sign = ""
        last = parts[-1] if parts else None
        if isinstance(last, Often) and last.least == 1 and last.most is None and last.greedy:
            parts[-1], sign = last.part, "+"
        if not parts or not all(isinstance(p, Chars) and p.ranges for p in parts):
            return None
        written.append("".join(map(_class, parts)) + sign)
    return re.compile("|".join(written))


def _class(chars: Chars) -> str:
    return "[" + "".join(f"\\U{a:08x}-\\U{b:08x}" for a, b in chars.ranges) + "]"


@lru_cache(maxsize=64)
def regex(pattern: str) -> Regex:
    """A compiled expression of RE2's syntax.

    Raises:
        RegexError: it is wrong, too large, or has what RE2 does not have.
    """
    return Regex(pattern)


def rewriting(rewrite: str, groups: int) -> Callable[[str, Spans], str]:
    r"""What stands for a match: \1 to \9 are its groups, \0 the whole, \\ a backslash.

    Raises:
        RegexError: another character behind a \, or a group that there is not.
    """
    parts: list[str | int] = []
    for found in re.finditer(r"\\(.?)|[^\\]+", rewrite, re.DOTALL):
        sign = found[1]
        if sign is None:
            parts.append(found[0])
        elif sign == "\\":
            parts.append("\\")
        elif sign and sign in "0123456789" and int(sign) <= groups:
            parts.append(int(sign))
        else:
            raise RegexError(f"the rewrite has \\{sign}, and there are {groups} groups")

    def made(text: str, spans: Spans) -> str:
        return "".join(
            p if isinstance(p, str) else text[max(spans[2 * p], 0) : max(spans[2 * p + 1], 0)]
            for p in parts
        )

    return made

"""Regular expressions for the paths of weights, matched in bounded time.

Python's `re` tries one way after the other, and a pattern may be written so that there are too many
to end: `(a+)+b`, or many `.*`. A file that names some could stop its reader so. Here all ways are
followed at once. Source: Thompson, Regular Expression Search Algorithm, CACM 11 (1968).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable

from fanlight.errors import FanlightError
from fanlight.tensor.caller import caller

_LONGEST = 300
_MOST_STATES = 2000
_MOST_WORK = 50_000  # states looked at while ways are followed that are not known yet
_DEEPEST = 16
# One character: an escaped one, a class, or itself.
_ONE = re.compile(
    r"\\[dDwWsS]|\\[^A-Za-z0-9]|\[\^?\]?(?:[^\]\\]|\\[dDwWsS]|\\[^A-Za-z0-9])*\]|[^\\\[()|*+?{}^$]",
    re.DOTALL,
)
_LAST = re.compile(r"(?<!\\)(?:\\\\)*\$\Z")  # the $ is not escaped
_TIMES = re.compile(r"(?:([*+?])|\{(\d{1,4})(?:(,)(\d{1,4})?)?\})\??")

_Test = Callable[[str], object]
# A state waits for a character that passes its test, and goes on to its only successor; one without
# a test goes on to all of its successors at once.
_State = tuple[_Test | None, list[int]]
_NEW: frozenset[int] = frozenset([-1])


def _is_any(c: str) -> bool:
    return True


class Pattern:
    """A regular expression without back references and without looking around.

    Args:
        text: characters, `.`, classes, groups, `|`, and how often: `*`, `+`, `?`, `{2,3}`.
        argument: what has it, for errors.
        anywhere: whether it may match a part of a text, which `^` and `$` bind to its ends.

    Raises:
        FanlightError: E-LAYER-004 what it has besides; more than 300 characters.
    """

    def __init__(self, text: str, argument: str, anywhere: bool = False) -> None:
        self._text, self._at, self._depth, self._argument = text, 0, 0, argument
        if len(text) > _LONGEST:
            raise self._wrong(f"{len(text):,} characters")
        self._states: list[_State] = [(None, [])]
        self._tests: dict[str, _Test] = {}
        self._known: dict[tuple[frozenset[int], str], frozenset[int]] = {}
        self._work = 0
        first, last = text.startswith("^"), _LAST.search(text) is not None
        if anywhere and (first or last) and "|" in text:
            raise self._wrong("^ or $ of one way of several")
        self._text, self._at = text[:-1] if last else text, int(first)
        build = self._choice()
        if self._at < len(self._text):
            raise self._unread()
        # State 0 is the end.
        self._first = build(self._any(0) if anywhere and not last else 0)
        if anywhere and not first:
            self._first = self._any(self._first)

    def matches(self, text: str) -> bool:
        """Whether a text is matched: the whole of it, unless the pattern may be anywhere in it.

        Raises:
            FanlightError: E-LAYER-004 there are too many ways to match it.
        """
        now = self._closed([self._first])
        for c in text:
            before, now = now, self._known.get((now, c), _NEW)
            if now is _NEW:
                now = self._known[before, c] = self._closed(
                    successor
                    for test, after in (self._states[s] for s in before)
                    if test is not None and test(c)
                    for successor in after
                )
                self._work += len(before) + len(now)
                if self._work > _MOST_WORK:
                    raise self._wrong("too many ways to match it")
            if not now:
                return False
        return 0 in now

    def _closed(self, states: Iterable[int]) -> frozenset[int]:
        """States, and those that follow without a character."""
        found: set[int] = set()
        waiting = list(states)
        while waiting:
            state = waiting.pop()
            if state not in found:
                found.add(state)
                test, after = self._states[state]
                if test is None:
                    waiting += after
        return frozenset(found)

    # --- parsing: each part gives a function that puts it before a state and gives its own --------

    def _choice(self) -> Callable[[int], int]:
        ways = [self._row()]
        while self._text[self._at : self._at + 1] == "|":
            self._at += 1
            ways.append(self._row())
        if len(ways) == 1:
            return ways[0]
        return lambda after: self._state(None, [way(after) for way in ways])

    def _row(self) -> Callable[[int], int]:
        parts: list[Callable[[int], int]] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            parts.append(self._repeated(self._part()))

        def build(after: int) -> int:
            after = self._state(None, [after])  # also of nothing, so that its copies are counted
            for part in reversed(parts):
                after = part(after)
            return after

        return build

    def _part(self) -> Callable[[int], int]:
        if self._text[self._at] == "(":
            group = "(?:" if self._text.startswith("(?:", self._at) else "("
            self._at += len(group)
            self._depth += 1
            if self._depth > _DEEPEST or self._text.startswith("?", self._at):
                raise self._unread()
            inner = self._choice()
            if not self._text.startswith(")", self._at):
                raise self._unread()
            self._at += 1
            self._depth -= 1
            return inner
        found = _ONE.match(self._text, self._at)
        if found is None:
            raise self._unread()
        self._at = found.end()
        test = self._test(found[0])
        return lambda after: self._state(test, [after])

    def _repeated(self, part: Callable[[int], int]) -> Callable[[int], int]:
        found = _TIMES.match(self._text, self._at)
        if found is None:
            return part
        self._at = found.end()
        sign, least_text, comma, most_text = found.groups()
        least = int(least_text) if least_text else int(sign == "+")
        most = 1 if sign == "?" else None  # no end
        if least_text and not comma:
            most = least
        elif most_text:
            most = int(most_text)
        if _TIMES.match(self._text, self._at) or (most is not None and most < least):
            raise self._unread()

        def build(after: int) -> int:
            end = after = self._state(None, [after])
            if most is None:
                self._states[after][1].append(part(after))
            else:
                for _ in range(most - least):
                    after = self._state(None, [part(after), end])
            for _ in range(least):
                after = part(after)
            return after

        return build

    def _test(self, one: str) -> _Test:
        """Whether a character is the one, or one of the class: as `re` has it."""
        if one not in self._tests:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")  # a class within a class
                    self._tests[one] = re.compile(one).fullmatch
            except (re.error, Warning):
                raise self._unread() from None
        return self._tests[one]

    def _state(self, test: _Test | None, after: list[int]) -> int:
        if len(self._states) >= _MOST_STATES:
            raise self._wrong("too many repetitions")
        self._states.append((test, after))
        return len(self._states) - 1

    def _any(self, after: int) -> int:
        """Any characters, or none."""
        loop = self._state(None, [after])
        self._states[loop][1].append(self._state(_is_any, [loop]))
        return loop

    def _unread(self) -> FanlightError:
        return self._wrong(f"not read from {self._text[self._at : self._at + 20]!r} on")

    def _wrong(self, why: str) -> FanlightError:
        return FanlightError(
            "E-LAYER-004",
            "this pattern is not matched.",
            where=f"{self._argument}, {caller()}",
            expected="characters, . \\w [a-z] (a|b) * + ? {2,3}, no more than 300 and few ways",
            received=f"{self._text[:80]!r}: {why}",
            next="write it simpler; fl.optimizers.MultiOptimizer takes a function of weights, too.",
        )


__all__ = ["Pattern"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

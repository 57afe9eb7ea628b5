"""The scalar instructions: what one element of an elementwise op computes, written once as data.

An `Expr` is a small expression over arguments `a0, a1, ...` and constants. NumPy (`evaluate`,
below) and the WebAssembly generator are interpreters of it; fusion substitutes expressions into
one another. Equal expressions are one object, so shared parts cost nothing.

Text form: nested calls, with shared parts bound first:
`t0 = exp(neg(abs(a0))); div(t0, add(1, t0))`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from fanlight.errors import FanlightError
from fanlight.ops.quiet import quietly

# name -> (number of arguments, meaning). "number" is float32 or int32.
INSTRUCTIONS: dict[str, tuple[int, str]] = {
    "add": (2, "number + number"),
    "sub": (2, "number - number"),
    "mul": (2, "number * number"),
    "div": (2, "float: IEEE quotient; int32: truncated quotient, 0 where the divisor is 0"),
    "min": (2, "smaller number; NaN if either is NaN; -0 < +0"),
    "max": (2, "larger number; NaN if either is NaN; -0 < +0"),
    "neg": (1, "-number"),
    "abs": (1, "absolute value"),
    "sqrt": (1, "square root (float)"),
    "floor": (1, "round down (int32: the number itself, as for the next three)"),
    "ceil": (1, "round up"),
    "round": (1, "round to nearest, ties to even"),
    "trunc": (1, "round towards zero"),
    "exp": (1, "e to the power (float)"),
    "log": (1, "natural logarithm (float)"),
    "sin": (1, "sine of radians (float)"),
    "cos": (1, "cosine of radians (float)"),
    "lt": (2, "number < number: bool"),
    "le": (2, "number <= number: bool"),
    "eq": (2, "equality of numbers or bools: bool"),
    "and": (2, "bool and bool"),
    "or": (2, "bool or bool"),
    "not": (1, "not bool"),
    "bit_and": (2, "int32 and int32, bit by bit"),
    "bit_or": (2, "int32 or int32, bit by bit"),
    "bit_xor": (2, "int32 exclusive or int32, bit by bit"),
    "bit_not": (1, "every bit of an int32 turned"),
    "shl": (2, "int32 shifted left; of the count (an int32) the low five bits matter, as below"),
    "shr_s": (2, "int32 shifted right, its sign copied in"),
    "shr_u": (2, "int32 shifted right, zeros shifted in"),
    "select": (3, "second where the first (bool) holds, else third"),
    "float32": (1, "cast to float32 (bool: 0 or 1)"),
    "int32": (1, "cast to int32: towards zero, saturating, NaN -> 0"),
    "uint8": (1, "cast to uint8: towards zero, saturating, NaN -> 0"),
    "bool": (1, "cast to bool: number != 0"),
}
CASTS = ("float32", "int32", "uint8", "bool")
# Instructions of float32 and int32 alike. Rounding an int32 changes nothing, so that one body
# serves both where an op rounds (floor_div).
_ROUNDING = ("floor", "ceil", "round", "trunc")
SHIFTS = ("shl", "shr_s", "shr_u")
BITWISE = ("bit_and", "bit_or", "bit_xor", "bit_not", *SHIFTS)
_NUMERIC = ("add", "sub", "mul", "div", "min", "max", "neg", "abs", *_ROUNDING)


@dataclass(frozen=True, eq=False)
class Expr:
    """One node: an instruction, `arg` (value = its index) or `const` (value = the number)."""

    op: str
    args: tuple[Expr, ...] = ()
    value: Any = None

    def __add__(self, other: Any) -> Expr:
        return make("add", self, other)

    def __radd__(self, other: Any) -> Expr:
        return make("add", other, self)

    def __sub__(self, other: Any) -> Expr:
        return make("sub", self, other)

    def __rsub__(self, other: Any) -> Expr:
        return make("sub", other, self)

    def __mul__(self, other: Any) -> Expr:
        return make("mul", self, other)

    def __rmul__(self, other: Any) -> Expr:
        return make("mul", other, self)

    def __truediv__(self, other: Any) -> Expr:
        return make("div", self, other)

    def __rtruediv__(self, other: Any) -> Expr:
        return make("div", other, self)

    def __neg__(self) -> Expr:
        return make("neg", self)

    def __xor__(self, other: Any) -> Expr:
        return make("bit_xor", self, other)

    def __lt__(self, other: Any) -> Expr:
        return make("lt", self, other)

    def __le__(self, other: Any) -> Expr:
        return make("le", self, other)

    def __gt__(self, other: Any) -> Expr:
        return make("lt", other, self)

    def __ge__(self, other: Any) -> Expr:
        return make("le", other, self)

    def __str__(self) -> str:
        return to_text(self)

    def __repr__(self) -> str:
        return f"Expr({to_text(self)})"


_INTERNED: WeakValueDictionary[tuple, Expr] = WeakValueDictionary()


def _intern(op: str, args: tuple[Expr, ...], value: Any) -> Expr:
    # bool, int and float constants of equal value are different; so are 0.0 and -0.0.
    key = (op, tuple(map(id, args)), type(value), repr(value))
    found = _INTERNED.get(key)
    if found is None:
        found = _INTERNED[key] = Expr(op, args, value)
    return found


def arg(index: int) -> Expr:
    """The input number `index`."""
    return _intern("arg", (), int(index))


def const(value: float | int | bool) -> Expr:
    """A constant. An int takes the dtype of what it meets; a float is float32."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.item()
    return _intern("const", (), value)


def lift(value: Any) -> Expr:
    """`value` itself if it is an Expr, else the constant."""
    return value if isinstance(value, Expr) else const(value)


def make(op: str, *args: Any) -> Expr:
    """An instruction applied to expressions or numbers."""
    count = INSTRUCTIONS[op][0]
    if len(args) != count:
        raise ValueError(f"{op} takes {count} arguments, not {len(args)}")
    return _intern(op, tuple(map(lift, args)), None)


def minimum(a: Any, b: Any) -> Expr:
    return make("min", a, b)


def maximum(a: Any, b: Any) -> Expr:
    return make("max", a, b)


def clip(x: Any, low: Any, high: Any) -> Expr:
    return minimum(maximum(x, low), high)


def absolute(x: Any) -> Expr:
    return make("abs", x)


def sqrt(x: Any) -> Expr:
    return make("sqrt", x)


def floor(x: Any) -> Expr:
    return make("floor", x)


def exp(x: Any) -> Expr:
    return make("exp", x)


def log(x: Any) -> Expr:
    return make("log", x)


def equal(a: Any, b: Any) -> Expr:
    return make("eq", a, b)


def logical_and(a: Any, b: Any) -> Expr:
    return make("and", a, b)


def logical_or(a: Any, b: Any) -> Expr:
    return make("or", a, b)


def logical_not(a: Any) -> Expr:
    return make("not", a)


def where(condition: Any, a: Any, b: Any) -> Expr:
    return make("select", condition, a, b)


def cast(x: Any, dtype: str) -> Expr:
    if dtype not in CASTS:
        raise ValueError(f"no scalar cast to {dtype}")
    return make(dtype, x)


# --- walking --------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def topological(expr: Expr) -> tuple[Expr, ...]:
    """Every distinct part of an expression, arguments before users."""
    order: list[Expr] = []
    seen: set[int] = set()
    stack: list[tuple[Expr, bool]] = [(expr, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((a, False) for a in reversed(node.args))
    return tuple(order)


def count_args(expr: Expr) -> int:
    """One more than the highest argument index that the expression uses."""
    return max((n.value + 1 for n in topological(expr) if n.op == "arg"), default=0)


@lru_cache(maxsize=1024)
def cost(expr: Expr) -> int:
    """Number of instructions of one element (shared parts once); exp, log, sin, cos count 12."""
    heavy = {"exp": 12, "log": 12, "sin": 12, "cos": 12}
    return sum(heavy.get(n.op, 1) for n in topological(expr) if n.args)


def substitute(expr: Expr, replacements: Mapping[int, Expr]) -> Expr:
    """`expr` with arguments replaced: {0: e} puts e wherever a0 stood."""
    done: dict[int, Expr] = {}
    for node in topological(expr):
        if node.op == "arg":
            done[id(node)] = replacements.get(node.value, node)
        elif node.args:
            done[id(node)] = _intern(node.op, tuple(done[id(a)] for a in node.args), None)
        else:
            done[id(node)] = node
    return done[id(expr)]


def infer(expr: Expr, dtypes: Sequence[str]) -> str:
    """The dtype of an expression over arguments of these dtypes; E-OP-003 where they clash.

    uint8 arguments are read as int32. Integer constants adapt to what they meet.
    """
    return _inferred(expr, tuple(dtypes))


@lru_cache(maxsize=4096)
def _inferred(expr: Expr, dtypes: tuple[str, ...]) -> str:
    weak = "weak int"
    known: dict[int, str] = {}
    for node in topological(expr):
        parts = [known[id(a)] for a in node.args]
        if node.op == "arg":
            dtype = dtypes[node.value]
            known[id(node)] = "int32" if dtype == "uint8" else dtype
        elif node.op == "const":
            kind = type(node.value)
            known[id(node)] = "bool" if kind is bool else weak if kind is int else "float32"
        elif node.op in CASTS:
            known[id(node)] = node.op
        elif node.op in ("and", "or", "not"):
            known[id(node)] = _unify(node, parts, ("bool",), weak)
        elif node.op in BITWISE:
            known[id(node)] = _unify(node, parts, ("int32",), weak)
        elif node.op in ("lt", "le", "eq"):
            kinds = ("float32", "int32", "bool") if node.op == "eq" else ("float32", "int32")
            _unify(node, parts, kinds, weak)
            known[id(node)] = "bool"
        elif node.op == "select":
            _unify(node, parts[:1], ("bool",), weak)
            known[id(node)] = _unify(node, parts[1:], ("float32", "int32", "bool"), weak)
        elif node.op in _NUMERIC:
            known[id(node)] = _unify(node, parts, ("float32", "int32"), weak)
        else:
            known[id(node)] = _unify(node, parts, ("float32",), weak)
    result = known[id(expr)]
    return "int32" if result == weak else result


def _unify(node: Expr, parts: Sequence[str], allowed: Sequence[str], weak: str) -> str:
    strong = {p for p in parts if p != weak}
    if not strong:
        return weak if "int32" in allowed else "float32"
    if len(strong) > 1 or not strong <= set(allowed):
        raise FanlightError(
            "E-OP-003",
            f"the scalar instruction {node.op} cannot take these dtypes.",
            where=to_text(node),
            expected=" or ".join(f"all {a}" for a in allowed),
            received=", ".join(parts),
        )
    return strong.pop()


# --- NumPy: the meaning ---------------------------------------------------------------------------


def _div(a: Any, b: Any) -> Any:
    if not np.issubdtype(np.result_type(a, b), np.integer):
        return np.divide(a, b)
    wide_a, wide_b = np.asarray(a, np.int64), np.asarray(b, np.int64)
    safe = np.where(wide_b == 0, 1, wide_b)
    quotient = np.where(wide_b == 0, 0, np.abs(wide_a) // np.abs(safe))
    return (quotient * np.sign(wide_a) * np.sign(safe)).astype(np.int32)


def _rounding(rule: Any) -> Any:
    return lambda x: x if np.asarray(x).dtype.kind in "iu" else rule(x)


def _shift(rule: Any, kind: Any = np.int32) -> Any:
    """A shift, of numbers read as `kind`, by the low five bits of a count."""
    return lambda x, count: (
        rule(np.asarray(x, np.int32).view(kind), np.asarray(count, np.int32).view(kind) & kind(31))
        .astype(kind, copy=False)
        .view(np.int32)
    )


def _saturate(x: Any, dtype: type, low: int, high: int) -> Any:
    x = np.asarray(x)
    if x.dtype.kind == "f":
        # float64 holds every int32 exactly, so the clip is exact too.
        x = np.nan_to_num(np.trunc(x.astype(np.float64)), nan=0.0, posinf=high, neginf=low)
    return np.clip(x.astype(np.int64) if x.dtype.kind != "f" else x, low, high).astype(dtype)


_MEANING: dict[str, Any] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": _div,
    "min": np.minimum,
    "max": np.maximum,
    "neg": np.negative,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "floor": _rounding(np.floor),
    "ceil": _rounding(np.ceil),
    "round": _rounding(np.rint),
    "trunc": _rounding(np.trunc),
    "exp": np.exp,
    "log": np.log,
    "sin": np.sin,
    "cos": np.cos,
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "bit_and": np.bitwise_and,
    "bit_or": np.bitwise_or,
    "bit_xor": np.bitwise_xor,
    "bit_not": np.bitwise_not,
    "shl": _shift(np.left_shift),
    "shr_s": _shift(np.right_shift),
    "shr_u": _shift(np.right_shift, np.uint32),
    "select": np.where,
    "float32": lambda x: np.asarray(x).astype(np.float32),
    "int32": lambda x: _saturate(x, np.int32, -(2**31), 2**31 - 1),
    "uint8": lambda x: _saturate(x, np.uint8, 0, 255),
    "bool": lambda x: np.not_equal(x, 0),
}


@lru_cache(maxsize=4096)
def _program(expr: Expr, dtypes: tuple[str, ...]) -> tuple[tuple[Expr, ...], str]:
    """The parts of an expression in order, and its dtype."""
    return topological(expr), infer(expr, dtypes)


def evaluate(expr: Expr, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The value of an expression, element by element, by NumPy's rules of broadcasting.

    Float arguments must be float32 for a float32 result (float64 is computed in float64, which
    tests use). No warnings: overflow gives infinity and 0/0 gives NaN, as in WebAssembly.
    """
    args = [np.asarray(a) for a in arrays]
    args = [a.astype(np.int32) if a.dtype == np.uint8 else a for a in args]
    floats = np.float64 if any(a.dtype == np.float64 for a in args) else np.float32
    order, dtype = _program(
        expr, tuple("float32" if a.dtype.kind == "f" else a.dtype.name for a in args)
    )
    wanted = np.dtype(floats) if dtype == "float32" else np.dtype(dtype)
    with np.errstate(all="ignore"):
        shape = _chunked(order, args)
        if shape is None:
            return _typed(_run(order, args, floats), wanted)
        flat = [a.reshape(-1) if a.size > 1 else a.reshape(()) for a in args]
        out = np.empty(shape, wanted)
        whole = out.reshape(-1)
        for low in range(0, whole.size, CHUNK):
            part = [a[low : low + CHUNK] if a.ndim else a for a in flat]
            whole[low : low + CHUNK] = _typed(_run(order, part, floats), wanted)
        return out


def prepared(expr: Expr, dtypes: Sequence[str]) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    """`evaluate` for inputs of these dtypes (float32, int32, bool or uint8), worked out once.

    For small inputs, where to interpret the body takes longer than its arithmetic.
    """
    read = tuple("int32" if d == "uint8" else d for d in dtypes)
    order, dtype = _program(expr, read)
    wanted = np.dtype(dtype)
    narrow = [i for i, d in enumerate(dtypes) if d == "uint8"]
    place: dict[int, int] = {}
    constants: list[Any] = []
    steps: list[tuple[Any, tuple[int, ...]]] = []
    for node in order:
        if node.op == "const":
            place[id(node)] = len(read) + len(constants)
            constants.append(np.float32(node.value) if type(node.value) is float else node.value)
        elif node.op == "arg":
            place[id(node)] = node.value
    for node in order:
        if node.op in ("const", "arg"):
            continue
        parts = [place[id(a)] for a in node.args]
        place[id(node)] = len(read) + len(constants) + len(steps)
        if all(a.op == "const" and type(a.value) is int for a in node.args):
            values = [np.int32(a.value) for a in node.args]
            steps.append((partial(_MEANING[node.op], *values), ()))
        else:
            steps.append((_MEANING[node.op], tuple(parts)))
    last = place[id(order[-1])]

    def run(arrays: Sequence[np.ndarray]) -> np.ndarray:
        values = [*arrays, *constants]
        for i in narrow:
            values[i] = values[i].astype(np.int32)
        for meaning, parts in steps:
            values.append(meaning(*[values[i] for i in parts]))
        return _typed(np.asarray(values[last]), wanted)

    def whole(arrays: Sequence[np.ndarray]) -> np.ndarray:
        if len(order) >= _LONG_BODY and max(a.size for a in arrays) >= 4 * CHUNK:
            return evaluate(expr, arrays)
        return run(arrays) if not steps else quietly(run, arrays)

    return whole


# Elements of a long body that are computed together: what lies between its instructions then
# stays in the cache.
CHUNK = 1 << 14
_LONG_BODY = 8


def _chunked(order: Sequence[Expr], args: Sequence[np.ndarray]) -> tuple[int, ...] | None:
    """The shape of the result, where it can be computed piece by piece and that is worth it."""
    if len(order) < _LONG_BODY:
        return None
    large = max(args, key=lambda a: a.size)
    if large.size < 4 * CHUNK:
        return None
    alike = all(
        a.shape == large.shape if a.size > 1 else a.size == 1 and a.ndim <= large.ndim for a in args
    )
    return large.shape if alike else None


def _run(order: Sequence[Expr], args: Sequence[np.ndarray], floats: Any) -> np.ndarray:
    """The last of some parts, each computed after the other."""
    known: dict[int, Any] = {}
    for node in order:
        if node.op == "arg":
            known[id(node)] = args[node.value]
        elif node.op == "const":
            # A typed scalar, so that constant-only parts compute in the graph's precision.
            value = node.value
            known[id(node)] = floats(value) if type(value) is float else value
        else:
            parts = [known[id(a)] for a in node.args]
            if all(isinstance(p, int) and not isinstance(p, bool) for p in parts):
                parts = [np.int32(p) for p in parts]
            known[id(node)] = _MEANING[node.op](*parts)
    return np.asarray(known[id(order[-1])])


def _typed(result: np.ndarray, wanted: np.dtype) -> np.ndarray:
    return result if result.dtype == wanted else result.astype(wanted)


# --- text -----------------------------------------------------------------------------------------


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


@lru_cache(maxsize=1024)
def to_text(expr: Expr) -> str:
    """The text form; `parse` gives the same expression back."""
    order = topological(expr)
    uses: dict[int, int] = {}
    for node in order:
        for a in node.args:
            uses[id(a)] = uses.get(id(a), 0) + 1
    names: dict[int, str] = {}
    bindings: list[str] = []
    for node in order:
        if node.op == "arg":
            names[id(node)] = f"a{node.value}"
        elif node.op == "const":
            names[id(node)] = _number(node.value)
        else:
            text = f"{node.op}({', '.join(names[id(a)] for a in node.args)})"
            if uses.get(id(node), 0) > 1:
                bindings.append(f"t{len(bindings)} = {text}")
                text = f"t{len(bindings) - 1}"
            names[id(node)] = text
    return "; ".join([*bindings, names[id(expr)]])


_TOKEN = re.compile(r"\s*([A-Za-z_]\w*|[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|inf|nan)|[(),=;])")
_WORDS = {"true": True, "false": False, "inf": math.inf, "nan": math.nan, "-inf": -math.inf}
_PARSED: dict[str, Expr] = {}


def parse(text: str) -> Expr:
    """Read the text form; E-GRAPH-004 with the place where it stops making sense."""
    found = _PARSED.get(text)
    if found is None:
        found = _Parser(text).program()
        if len(_PARSED) > 4096:
            _PARSED.clear()
        _PARSED[text] = found
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.bound: dict[str, Expr] = {}

    def fail(self, expected: str) -> FanlightError:
        return FanlightError(
            "E-GRAPH-004",
            "a scalar expression does not parse.",
            where=f"character {self.position} of {self.text[:200]!r}",
            expected=expected,
            received=self.text[self.position : self.position + 20] or "the end",
        )

    def peek(self) -> str:
        match = _TOKEN.match(self.text, self.position)
        return match.group(1) if match else ""

    def take(self, wanted: str | None = None) -> str:
        match = _TOKEN.match(self.text, self.position)
        if match is None or (wanted is not None and match.group(1) != wanted):
            raise self.fail(wanted or "a name or a number")
        self.position = match.end()
        return match.group(1)

    def program(self) -> Expr:
        while re.match(r"\s*t\d+\s*=", self.text[self.position :]):
            name = self.take()
            self.take("=")
            self.bound[name] = self.expression(0)
            self.take(";")
        result = self.expression(0)
        if self.text[self.position :].strip():
            raise self.fail("the end")
        return result

    def expression(self, depth: int) -> Expr:
        if depth > 200:
            raise self.fail("at most 200 nested calls")
        token = self.take()
        if token in self.bound:
            return self.bound[token]
        if token in _WORDS:
            return const(_WORDS[token])
        if re.fullmatch(r"a\d{1,4}", token):
            return arg(int(token[1:]))
        if token in INSTRUCTIONS:
            self.take("(")
            args = [self.expression(depth + 1)]
            while self.peek() == ",":
                self.take(",")
                args.append(self.expression(depth + 1))
            self.take(")")
            if len(args) != INSTRUCTIONS[token][0]:
                raise self.fail(f"{INSTRUCTIONS[token][0]} arguments of {token}")
            return make(token, *args)
        if re.fullmatch(r"[-+]?\d+", token):
            return const(int(token))
        try:
            return const(float(token))
        except ValueError:
            raise self.fail("an instruction, an argument or a number") from None

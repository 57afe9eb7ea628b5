"""einsum: sums of products by labels, as products of matrices, sums and moved dims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod
from typing import Any

from fanlight.errors import FanlightError
from fanlight.tensor import functions as F
from fanlight.tensor.core import Tensor, caller, cast, promoted

Labels = tuple[str, ...]


@dataclass(frozen=True)
class Term:
    """A tensor whose dims have labels, all different."""

    x: Tensor
    labels: Labels

    def sizes(self) -> dict[str, int]:
        """Label -> size."""
        return dict(zip(self.labels, self.x.shape, strict=True))


def einsum(equation: str, *operands: Any) -> Tensor:
    """Sums of products of elements, by labels of their dims (Einstein's convention).

    Args:
        equation: one letter per dim, operands separated by commas: "ij,jk->ik" is a product of
            matrices, "ii" a trace, "ii->i" a diagonal, "...ij->...ji" a transposition. Without
            "->" the result has the letters that stand once, in alphabetical order, behind "...".
        operands: float32 (products by `matmul`), or whole numbers (exact, as int32).

    Returns:
        The products of all elements with equal letters, summed over letters that the result lacks.
        Sizes of 1 broadcast. Of more than two operands the pair that makes the smallest result is
        contracted first.

    Raises:
        FanlightError: E-OP-005 the equation cannot be read, or does not fit the number of operands;
            E-OP-004 dims of one letter have different sizes.

    Source: numpy.einsum; A. Einstein, Annalen der Physik 354 (1916), section 5.
    """
    if not operands:
        raise _wrong(equation, "one operand or more")
    inputs = promoted(*operands)
    if inputs[0].dtype in ("bool", "uint8"):
        inputs = tuple(cast(x, "int32") for x in inputs)
    labels, output = parse(equation, [x.rank for x in inputs])
    sizes = _sizes(equation, labels, inputs)
    terms = [
        _prepared(x, own, sizes, _needed(output, labels, at))
        for at, (x, own) in enumerate(zip(inputs, labels, strict=True))
    ]
    while len(terms) > 1:
        first, second = _cheapest(terms, output)
        rest = [t for t in terms if t is not first and t is not second]
        needed = set(output).union(*(t.labels for t in rest))
        terms = [*rest, _contracted(first, second, needed)]
    return _arranged(terms[0], output).x


def parse(equation: str, ranks: Sequence[int]) -> tuple[list[Labels], Labels]:
    """The labels of every operand and of the result; dims of "..." are "0", "1", ... from behind.

    Raises:
        FanlightError: E-OP-005.
    """
    if not isinstance(equation, str):
        raise _wrong(equation, 'a text such as "ij,jk->ik"')
    left, arrow, right = equation.replace(" ", "").partition("->")
    parts = left.split(",")
    if len(parts) != len(ranks):
        raise _wrong(equation, f"{len(ranks)} operands, separated by commas")
    letters = left.replace("...", "").replace(",", "")
    if not all(c.isalpha() for c in letters + right.replace("...", "")):
        raise _wrong(equation, "letters, commas, ... and one ->")
    labels = [_expanded(equation, part, rank) for part, rank in zip(parts, ranks, strict=True)]
    ellipsis = max((tuple(c for c in own if c.isdigit()) for own in labels), key=len)
    if not arrow:
        once = sorted(c for c in set(letters) if letters.count(c) == 1)
        return labels, (*ellipsis, *once)
    before, dots, after = right.partition("...")
    output = (*before, *(ellipsis if dots else ()), *after)
    if len(set(output)) != len(output) or not {*before, *after} <= set(letters):
        raise _wrong(equation, "each letter of the result once, and in an operand")
    return labels, output


def _expanded(equation: str, part: str, rank: int) -> Labels:
    before, dots, after = part.partition("...")
    extra = rank - len(before) - len(after)
    if "." in after or extra < 0 or (extra and not dots):
        raise _wrong(equation, f"as many letters as the operand {part!r} has dims: {rank}")
    if extra > 9:
        raise _wrong(equation, "at most 9 dims for ...")
    return (*before, *(str(i) for i in reversed(range(extra))), *after)


def _sizes(equation: str, labels: Sequence[Labels], inputs: Sequence[Tensor]) -> Mapping[str, int]:
    sizes: dict[str, int] = {}
    for own, x in zip(labels, inputs, strict=True):
        for label, size in zip(own, x.shape, strict=True):
            known = sizes.get(label, 1)
            if size not in (known, 1) and known != 1:
                raise FanlightError(
                    "E-OP-004",
                    "dims of an einsum that have one label differ in size.",
                    where=f"einsum {equation!r}, {caller()}",
                    expected=f"{known} for {'...' if label.isdigit() else label}, or 1",
                    received=", ".join(str(x.type) for x in inputs),
                )
            sizes[label] = size if known == 1 else known
    return sizes


def _needed(output: Labels, labels: Sequence[Labels], at: int) -> set[str]:
    """What the result or an operand other than number `at` has."""
    return set(output).union(*(own for i, own in enumerate(labels) if i != at))


def _prepared(x: Tensor, labels: Labels, sizes: Mapping[str, int], needed: set[str]) -> Term:
    """Without repeated labels, dims that broadcast, and dims that nobody else has."""
    spread = [d for d, c in enumerate(labels) if x.shape[d] == 1 and sizes[c] != 1]
    if spread:
        x = F.squeeze(x, spread)
        labels = tuple(c for d, c in enumerate(labels) if d not in spread)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            x = diagonal_of(x, first, second)
            labels = (*(c for d, c in enumerate(labels) if d not in (first, second)), label)
    return _summed(Term(x, labels), needed)


def _summed(term: Term, needed: set[str]) -> Term:
    gone = [d for d, c in enumerate(term.labels) if c not in needed]
    if not gone:
        return term
    return Term(F.sum(term.x, gone), tuple(c for c in term.labels if c in needed))


def diagonal_of(x: Tensor, first: int, second: int) -> Tensor:
    """The elements whose indices in two dims of one size n are equal; that dim comes last."""
    n = x.shape[first]
    rest = [d for d in range(x.rank) if d not in (first, second)]
    shape = [x.shape[d] for d in rest]
    flat = F.reshape(F.transpose(x, [*rest, first, second]), (*shape, n * n))
    if n <= 1:
        return flat
    return flat[..., :: n + 1]


def _cheapest(terms: Sequence[Term], output: Labels) -> tuple[Term, Term]:
    """The pair whose product is smallest, beside what it replaces (Gray & Kourtis 2021)."""

    def growth(pair: tuple[Term, Term]) -> int:
        a, b = pair
        needed = set(output).union(*(t.labels for t in terms if t is not a and t is not b))
        sizes = {**a.sizes(), **b.sizes()}
        made = prod(n for label, n in sizes.items() if label in needed)
        return made - a.x.size - b.x.size

    return min(combinations(terms, 2), key=growth)


def _contracted(a: Term, b: Term, needed: set[str]) -> Term:
    shared = [c for c in a.labels if c in b.labels]
    inner = [c for c in shared if c not in needed]
    batch = [c for c in shared if c in needed]
    left = [c for c in a.labels if c not in shared]
    right = [c for c in b.labels if c not in shared]
    if inner and (left or right) and a.x.dtype in ("float32", "complex64"):
        return _by_matmul(a, b, batch, left, inner, right)
    labels = (*batch, *left, *right, *inner)
    product = F.mul(_aligned(a, labels), _aligned(b, labels))
    return _summed(Term(product, labels), needed)


def _by_matmul(
    a: Term, b: Term, batch: list[str], left: list[str], inner: list[str], right: list[str]
) -> Term:
    sizes = {**a.sizes(), **b.sizes()}

    def count(labels: Sequence[str]) -> int:
        return prod(sizes[c] for c in labels)

    def matrix(term: Term, rows: list[str], columns: list[str]) -> Tensor:
        shape = (*(sizes[c] for c in batch), count(rows), count(columns))
        return F.reshape(_arranged(term, (*batch, *rows, *columns)).x, shape)

    product = F.matmul(matrix(a, left, inner), matrix(b, inner, right))
    labels = (*batch, *left, *right)
    return Term(F.reshape(product, [sizes[c] for c in labels]), labels)


def _arranged(term: Term, labels: Labels) -> Term:
    if term.labels == labels:
        return term
    return Term(F.transpose(term.x, [term.labels.index(c) for c in labels]), labels)


def _aligned(term: Term, labels: Labels) -> Tensor:
    """The term with a dim for every label, of size 1 where it has none."""
    own = tuple(c for c in labels if c in term.labels)
    sizes = term.sizes()
    return F.reshape(_arranged(term, own).x, [sizes.get(c, 1) for c in labels])


def _wrong(equation: object, expected: str) -> FanlightError:
    return FanlightError(
        "E-OP-005",
        "this is not an equation of einsum.",
        where=f"einsum, {caller()}",
        expected=expected,
        received=repr(equation)[:200],
        next='see docs/core.md: fl.einsum("ij,jk->ik", a, b).',
    )

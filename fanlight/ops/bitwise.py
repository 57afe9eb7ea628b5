"""Whole numbers bit by bit. Inputs broadcast by NumPy's rules; uint8 is read as int32."""

from __future__ import annotations

from typing import Any

from fanlight.ops import check
from fanlight.ops import scalar as sc
from fanlight.ops.backward import NotDifferentiable
from fanlight.ops.pointwise import EXACT, pointwise
from fanlight.ops.row import Attr, Row

STEPS = NotDifferentiable("its inputs and its result are whole numbers, which have no slope")


def bitwise(name: str, count: int, scalar: Any, doc: str, **options: Any) -> Row:
    """A row of int32 inputs and an int32 result."""
    return pointwise(
        name,
        count,
        scalar,
        family="bitwise",
        doc=doc,
        dtypes=("int32",),
        tol=EXACT,
        nan="cannot occur",
        vjp=STEPS,
        **options,
    )


bitwise(
    "bitwise_and",
    2,
    lambda a, b: sc.make("bit_and", a, b),
    "The bits that a and b both have. Source: numpy.bitwise_and.",
)
bitwise(
    "bitwise_or",
    2,
    lambda a, b: sc.make("bit_or", a, b),
    "The bits that a or b has. Source: numpy.bitwise_or.",
)
bitwise(
    "bitwise_xor",
    2,
    lambda a, b: sc.make("bit_xor", a, b),
    "The bits that either a or b has, but not both. Source: numpy.bitwise_xor.",
)
bitwise(
    "bitwise_not",
    1,
    lambda x: sc.make("bit_not", x),
    "Every bit turned: -1 - x. Source: numpy.invert.",
)
bitwise(
    "left_shift",
    2,
    lambda a, b: sc.make("shl", a, b),
    "a * 2^b, its low 32 bits. Of b the low five bits count: b modulo 32, where NumPy gives 0 from "
    "32 on. Source: WebAssembly specification, i32.shl.",
)
bitwise(
    "right_shift",
    2,
    lambda a, b, logical: sc.make("shr_u" if logical else "shr_s", a, b),
    "a / 2^b rounded down; logical: a is read as a number without sign. Of b the low five bits "
    "count: b modulo 32. Source: WebAssembly specification, i32.shr_s and i32.shr_u.",
    attrs={"logical": Attr(False, "whether zeros are shifted in instead of the sign")},
    check_attrs=lambda op, attrs: check.flag(op, attrs, "logical"),
)

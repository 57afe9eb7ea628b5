"""What ops of TensorFlow mean for complex numbers: the same for both parts, or a rule of its own.

TensorFlow gives all numbers of a node one dtype; places, sizes and decisions are not complex.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fanlight.formats.emitter import Tensor
from fanlight.formats.pairs import Pair, computed
from fanlight.formats.tfgraph.call import Call, Handler
from fanlight.tensor import functions as fn
from fanlight.tensor.complex import apply_complex

Rule = Callable[[Call, Handler], Any]

_MOVES = frozenset(
    "Reshape ExpandDims Squeeze ConcatV2 Concat Pack Unpack Split SplitV Slice StridedSlice "
    "GatherV2 Gather GatherNd Transpose Tile BroadcastTo ReverseV2 Reverse Pad PadV2 MirrorPad "
    "Roll StopGradient PreventGradient EnsureShape Add AddV2 AddN Sub Neg Sum Mean Cumsum Select "
    "SelectV2 ZerosLike BiasAdd".split()
)
_PRODUCTS = frozenset("Mul MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3 Einsum".split())
_SIZES = frozenset("Shape ShapeN Size Rank".split())
_FUNCTIONS = {
    "RealDiv": "div", "Div": "div", "Exp": "exp", "Expm1": "expm1", "Log": "log",
    "Log1p": "log1p", "Sqrt": "sqrt", "Square": "square", "Reciprocal": "reciprocal",
    "Inv": "reciprocal", "Sin": "sin", "Cos": "cos", "Tan": "tan", "Sinh": "sinh", "Cosh": "cosh",
    "Tanh": "tanh", "Asin": "asin", "Acos": "acos", "Atan": "atan", "Asinh": "asinh",
    "Acosh": "acosh", "Atanh": "atanh", "Sign": "sign", "Pow": "pow", "Equal": "equal",
    "NotEqual": "not_equal",
}  # fmt: skip
TAKEN = frozenset({*_MOVES, *_PRODUCTS, *_SIZES, *_FUNCTIONS, "Rsqrt", "Cast", "Prod"})


def handle(call: Call, handler: Handler) -> Any:
    """A node of TAKEN some of whose inputs are pairs."""
    op = call.node.op
    if op in _MOVES:
        made = [_listed(_on(call, handler, _parts(call, at))) for at in (0, 1)]
        return [Pair(a, b) for a, b in zip(*made, strict=True)]
    if op in _PRODUCTS:
        return _product(call, handler)
    if op in _FUNCTIONS:
        table = _FUNCTIONS[op]
        return computed(call.function, lambda *z: apply_complex(table, list(z), {}), *call.inputs)
    if op == "Rsqrt":
        return computed(call.function, lambda z: fn.reciprocal(fn.sqrt(z)), call.pair())
    if op == "Prod":
        z, keep = call.pair(), call.attrs.flag("keep_dims")
        axes = tuple(a % max(len(z.shape), 1) for a in call.ints(1, "the axes"))
        return computed(call.function, lambda z: fn.prod(z, axes, keep), z)
    if op == "Cast" and call.attrs.is_complex("DstT"):
        return call.pair()
    return _on(call, handler, _parts(call, 0))  # sizes; of a cast to real numbers the real part


def _parts(call: Call, at: int) -> list[Tensor]:
    return [((x.real, x.imag)[at] if isinstance(x, Pair) else x) for x in call.inputs]


def _on(call: Call, handler: Handler, inputs: list[Tensor]) -> Any:
    return handler(replace(call, inputs=inputs))


def _listed(made: Any) -> list[Tensor]:
    return list(made) if isinstance(made, list | tuple) else [made]


def _product(call: Call, handler: Handler) -> Pair:
    """Four products of parts; an operand that is turned is conjugated where the op says so."""
    if len(call.inputs) != 2:
        raise call.refuse("of complex numbers, a product of two", received=len(call.inputs))
    pairs = [call.pair(0), call.pair(1)]
    if call.node.op.startswith("Batch"):
        for at, name in enumerate(("adj_x", "adj_y")):
            if call.attrs.flag(name):
                imag = call.op("neg", pairs[at].imag, part=name)
                pairs[at] = Pair(pairs[at].real, imag)
    (a, b), (c, d) = (p.parts for p in pairs)

    def part(x: Tensor, y: Tensor) -> Tensor:
        return _listed(_on(call, handler, [x, y]))[0]

    real = call.op("sub", part(a, c), part(b, d), part="real")
    return Pair(real, call.op("add", part(a, d), part(b, c), part="imag"))

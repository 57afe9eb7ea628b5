"""Stand-ins of the functional API: what a layer gives when it is called with `fl.Input`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fanlight.errors import FanlightError, MissingError, ProtocolError
from fanlight.ops.types import TensorType
from fanlight.tensor import Tensor
from fanlight.tensor.caller import caller
from fanlight.tensor.tape import sorted_keys

if TYPE_CHECKING:
    from fanlight.layers.layer import Layer

Shape = tuple[int | None, ...]


@dataclass(eq=False)
class Node:
    """One call of a layer with stand-ins.

    Attributes:
        named: names of the first arguments, if they were given by name.
    """

    layer: Layer
    args: tuple[Any, ...]
    options: dict[str, Any]
    outputs: list[Symbolic] = field(default_factory=list)
    named: tuple[str, ...] = ()

    @property
    def as_called(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments by place and by name as they were given, which is how files count them."""
        own = dict(zip(self.named, self.args, strict=False))
        return self.args[len(self.named) :], {**own, **self.options}

    @property
    def inputs(self) -> list[Symbolic]:
        """The stand-ins among its arguments."""
        return symbols((self.args, self.options))


class Symbolic:
    """A tensor that is not there yet: a shape with None where a size is free, and a dtype.

    Attributes:
        node: the call that gives it; of an input, that of its `InputLayer`.
        index: which of the node's results it is.
    """

    def __init__(self, shape: Sequence[int | None], dtype: str, node: Node, index: int) -> None:
        self.shape: Shape = tuple(shape)
        self.dtype, self.node, self.index = dtype, node, index

    @property
    def name(self) -> str:
        """The name of the layer that gives it."""
        return self.node.layer.name

    @property
    def rank(self) -> int:
        """Number of dims."""
        return len(self.shape)

    ndim = rank

    def __repr__(self) -> str:
        return f"<symbolic {self.name}: {self.dtype}{list(self.shape)}>"

    # Arithmetic makes layers, as in Keras: see operations.py, which also gives it methods.

    __array_ufunc__ = None  # of arrays beside it, its own operators are asked

    if not TYPE_CHECKING:  # the methods of tensors

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            raise MissingError(
                "E-TENSOR-003",
                f"this tensor has no {name}: it stands for what a layer will give.",
                where=caller(),
                expected="a method of tensors that gives others, or a layer",
                received=repr(self),
                next=_NEXT,
            )

    def __add__(self, other: Any) -> Any:
        return _binary("Add", self, other)

    def __radd__(self, other: Any) -> Any:
        return _binary("Add", other, self)

    def __mul__(self, other: Any) -> Any:
        return _binary("Multiply", self, other)

    def __rmul__(self, other: Any) -> Any:
        return _binary("Multiply", other, self)

    def __sub__(self, other: Any) -> Any:
        return _binary("Subtract", self, other)

    def __rsub__(self, other: Any) -> Any:
        return _binary("Subtract", other, self)

    def __neg__(self) -> Any:
        return _operation("neg", self) if self.dtype != "float32" else _binary("Multiply", self, -1)

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, int | float) and other and self.dtype == "float32":
            return _binary("Multiply", self, 1.0 / other)
        return _operation("div", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _operation("div", other, self)

    def __floordiv__(self, other: Any) -> Any:
        return _operation("floor_div", self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return _operation("floor_div", other, self)

    def __mod__(self, other: Any) -> Any:
        return _operation("floor_mod", self, other)

    def __rmod__(self, other: Any) -> Any:
        return _operation("floor_mod", other, self)

    def __pow__(self, other: Any) -> Any:
        return _operation("pow", self, other)

    def __rpow__(self, other: Any) -> Any:
        return _operation("pow", other, self)

    def __matmul__(self, other: Any) -> Any:
        return _operation("matmul", self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return _operation("matmul", other, self)

    def __abs__(self) -> Any:
        return _operation("abs", self)

    # == and != stay Python's: stand-ins are looked for in lists. fl.equal(a, b) compares numbers.

    def __lt__(self, other: Any) -> Any:
        return _operation("less", self, other)

    def __le__(self, other: Any) -> Any:
        return _operation("less_equal", self, other)

    def __gt__(self, other: Any) -> Any:
        return _operation("greater", self, other)

    def __ge__(self, other: Any) -> Any:
        return _operation("greater_equal", self, other)

    def __getitem__(self, key: Any) -> Any:
        return _operation("getitem", self, key)

    @property
    def T(self) -> Any:
        """It with its dims reversed."""
        return _operation("transpose", self)

    # --- what only numbers have

    def __bool__(self) -> bool:
        raise self._no_numbers(FanlightError, "layers on it, and fl.Model(inputs, outputs)")

    def __iter__(self) -> Any:
        raise self._no_numbers(ProtocolError, "its parts by their places: h[:, 0]")

    def __len__(self) -> int:
        raise self._no_numbers(ProtocolError, "h.shape, with None where a size is free")

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise self._no_numbers(FanlightError, "a function of fl that takes it, or a layer")

    def _no_numbers(self, kind: type[FanlightError], expected: str) -> FanlightError:
        return kind(
            "E-TENSOR-003",
            "this tensor has no numbers: it stands for what a layer will give.",
            where=caller(),
            expected=expected,
            received=repr(self),
            next=_NEXT,
        )


_NEXT = (
    "most functions of fl take it, as fl.mean(h, 1) or h[:, 0]; what does not goes into a layer of "
    "your own, or into fl.layers.Lambda(function), with @fl.register() above the function for files"
)


def _operation(name: str, *operands: Any) -> Any:
    """A layer of a function; NotImplemented for what is no operand."""
    from fanlight.layers import operations

    kinds = (Symbolic, Tensor, bool, int, float, np.ndarray, np.generic)
    if name != "getitem" and not all(isinstance(x, kinds) for x in operands):
        return NotImplemented
    return operations.operate(name, *operands)


_FUNCTIONS = {"Add": "add", "Multiply": "mul", "Subtract": "sub"}


def _binary(kind: str, a: Any, b: Any) -> Any:
    from fanlight.layers import merging, reshaping

    if isinstance(a, Symbolic) and isinstance(b, Symbolic):
        if a.rank != b.rank or a.dtype != b.dtype:  # which layers arrange in their own way
            return _operation(_FUNCTIONS[kind], a, b)
        return getattr(merging, kind)()([a, b])
    (x, number), flipped = ((a, b), False) if isinstance(a, Symbolic) else ((b, a), True)
    if not isinstance(number, int | float) or x.dtype != "float32":
        return _operation(_FUNCTIONS[kind], a, b)
    if kind == "Multiply":
        return reshaping.Rescaling(float(number))(x)
    if kind == "Add":
        return reshaping.Rescaling(1.0, float(number))(x)
    return (
        reshaping.Rescaling(-1.0, float(number))(x)
        if flipped
        else reshaping.Rescaling(1.0, -float(number))(x)
    )


def symbols(value: Any) -> list[Symbolic]:
    """The stand-ins of a structure, in order; those of a dict by its sorted keys, as Keras counts
    them in files.
    """
    if isinstance(value, Symbolic):
        return [value]
    if value is None or isinstance(value, str | int | float):  # most are, and told fast
        return []
    if isinstance(value, Mapping):
        return [s for key in sorted_keys(value) for s in symbols(value[key])]
    if isinstance(value, list | tuple):
        return [s for v in value for s in symbols(v)]
    return []


def form_of(value: Any) -> Any:
    """What `unflatten` needs for a structure of stand-ins; see `flatten`."""
    if isinstance(value, Mapping):
        return (dict, list(value), [form_of(v) for v in value.values()])
    if isinstance(value, list | tuple):
        return (type(value), None, [form_of(v) for v in value])
    return None


def mapped(value: Any, change: Any) -> Any:
    """A structure with `change` of each stand-in in its place."""
    if isinstance(value, Symbolic):
        return change(value)
    if isinstance(value, Mapping):
        return {k: mapped(v, change) for k, v in value.items()}
    if isinstance(value, list | tuple):
        made = [mapped(v, change) for v in value]
        return made if isinstance(value, list) else tuple(made)
    return value


# Sizes that stand for None: of a batch, then of other dims. Two, to see what follows them.
TRIALS = ((2, 24), (3, 40))


def trial_shape(shape: Sequence[int | None], trial: int) -> tuple[int, ...]:
    """A shape with sizes for what is free."""
    batch, other = TRIALS[trial]
    return tuple(
        n if n is not None else batch if d == 0 else other + d for d, n in enumerate(shape)
    )


def untried(shapes: Sequence[Sequence[int]]) -> Shape:
    """The shape of a result, None where it differs between trials."""
    first, second = shapes
    return tuple(a if a == b else None for a, b in zip(first, second, strict=True))


def type_like(x: Any) -> TensorType:
    """Shape and dtype of a tensor or array."""
    if isinstance(x, Tensor):
        return x.type
    array = np.asarray(x)
    return TensorType(array.shape, str(array.dtype))

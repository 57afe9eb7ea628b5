"""What the importer of one ATen operator gets to work with, and the table of importers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.calls import refusal, written_out
from fanlight.formats.counts import Count
from fanlight.formats.emitter import Emitter, Tensor, dtype_of
from fanlight.formats.pairs import Pair
from fanlight.formats.registry import under
from fanlight.formats.torch.program import Meta, Node
from fanlight.graph import Value

_MAX_LIST = 1 << 16


@dataclass
class Call:
    """One node; its arguments are tensors, numbers, texts, None and lists of them.

    Attributes:
        metas: what the program says of each result; None where it says nothing.
        used: whether anything uses each result.
        limits: result -> the least and the greatest that a size which depends on numbers may be,
            as the program says; None where it says nothing.
        given: what the program says of the first argument.
    """

    node: Node
    em: Emitter
    args: dict[str, Any]
    metas: Sequence[Meta | None]
    warnings: list[str] = field(default_factory=list)
    used: Sequence[bool] = ()
    limits: Mapping[int, tuple[int | None, int | None]] = field(default_factory=dict)
    given: Meta | None = None

    def needs(self, index: int) -> bool:
        """Whether anything uses a result."""
        return index < len(self.used) and self.used[index]

    @property
    def where(self) -> str:
        return f"{self.node.where} ({self.node.target})"

    @property
    def dtype(self) -> str | None:
        """The dtype of the first result, as the program says."""
        return self.metas[0].dtype if self.metas and self.metas[0] else None

    # --- arguments --------------------------------------------------------------------------------

    def get(self, name: str, default: Any = None) -> Any:
        """An argument as it is; the default if it was left out."""
        return self.args.get(name, default)

    def has(self, name: str) -> bool:
        """Whether an argument was given and is not None."""
        return self.args.get(name) is not None

    def x(self, name: str = "self", dtype: str | None = None) -> Tensor:
        """A tensor argument; a number becomes a tensor without dims."""
        value = self.args.get(name)
        if isinstance(value, Value | np.ndarray):
            return value if dtype is None else self.cast(value, dtype, name)
        if isinstance(value, bool | int | float):
            kind = dtype or (
                "bool"
                if isinstance(value, bool)
                else "int32"
                if isinstance(value, int)
                else "float32"
            )
            return self.em.const(_fit(value, kind), kind)
        if isinstance(value, Pair):
            raise self.no_complex(name, value)
        raise FanlightError(
            "E-FORMAT-005",
            f"{self.node.target} lacks its argument {name}.",
            where=self.where,
            expected=f"a tensor named {name}",
            received=repr(value)[:80] if name in self.args else ", ".join(self.args)[:120],
        )

    def optional(self, name: str, dtype: str | None = None) -> Tensor | None:
        """A tensor argument, or None."""
        return self.x(name, dtype) if self.has(name) else None

    def tensors(self, name: str = "tensors") -> list[Tensor]:
        """A list of tensors."""
        values = self.args.get(name)
        for value in values if isinstance(values, list) else ():
            if isinstance(value, Pair):
                raise self.no_complex(name, value)
        if not isinstance(values, list) or not all(
            isinstance(v, Value | np.ndarray) for v in values
        ):
            raise self.refuse(f"{name} are no tensors", received=repr(values)[:80])
        return values

    def number(self, name: str, default: float | None = None) -> Any:
        """A number known at import: an int, a float or a bool."""
        value = self.args.get(name, default)
        if isinstance(value, np.ndarray) and value.size == 1:
            value = value.reshape(-1)[0].item()
        if isinstance(value, Value | Count):
            raise self.depends(name)
        if not isinstance(value, bool | int | float):
            raise self.refuse(f"{name} must be a number", received=repr(value)[:80])
        return value

    def whole(self, name: str, default: int | None = None) -> int:
        """A whole number known at import."""
        value = self.number(name, default)
        if isinstance(value, float) and not value.is_integer():
            raise self.refuse(f"{name} must be a whole number", received=value)
        return int(value)

    def real(self, name: str, default: float | None = None) -> float:
        return float(self.number(name, default))

    def flag(self, name: str, default: bool = False) -> bool:
        return bool(self.number(name, default) if self.has(name) else default)

    def ints(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        """Whole numbers known at import; one number is a list of one."""
        value = self.args.get(name)
        if value is None:
            value = default
        if isinstance(value, int) and not isinstance(value, bool):
            value = [value]
        values = list(value) if isinstance(value, list | tuple) else None
        if values is not None and any(isinstance(v, Value | Count) for v in values):
            raise self.depends(name)
        if (
            values is None
            or len(values) > _MAX_LIST
            or not all(isinstance(v, int) and not isinstance(v, bool) for v in values)
        ):
            raise self.refuse(f"{name} must be whole numbers", received=repr(value)[:80])
        return tuple(values)

    def spread(self, name: str, count: int, default: int | None = None) -> tuple[int, ...]:
        """`count` whole numbers: one is for all dims, none is the default."""
        values = self.ints(name, () if default is not None else None)
        if not values and default is not None:
            values = (default,)
        values = values * count if len(values) == 1 else values
        if len(values) != count:
            raise self.refuse(f"{name} must be {count} numbers", received=list(values[:8]))
        return values

    def axis(self, name: str, rank: int, default: int | None = None) -> int:
        """A dim number, 0 <= axis < rank (a tensor without dims has one)."""
        value, rank = self.whole(name, default), max(rank, 1)
        if not -rank <= value < rank:
            raise self.refuse(f"{name} does not exist", expected=f"{rank} dims", received=value)
        return value % rank

    def axes(self, name: str, rank: int) -> tuple[int, ...]:
        """Dim numbers, ascending; none given: all."""
        given = self.ints(name, ())
        if not all(-max(rank, 1) <= a < max(rank, 1) for a in given):
            raise self.refuse(f"{name} does not exist", expected=f"{rank} dims", received=given)
        return tuple(sorted({a % rank for a in given})) if given and rank else tuple(range(rank))

    # --- results ----------------------------------------------------------------------------------

    def name(self, part: str = "") -> str:
        return f"{self.node.name}/{part}" if part else self.node.name

    def op(self, op: str, *inputs: Tensor, part: str = "", **attrs: Any) -> Any:
        """Apply an op of the table; `part` names what it is of the node."""
        return self.em.op(op, *inputs, name=self.name(part), **attrs)

    def cast(self, x: Tensor, dtype: str, part: str = "cast") -> Tensor:
        """`x` in another dtype; a number that is not 0 is true."""
        if dtype == "bool" and dtype_of(x) != "bool":
            zero = self.em.const(0, dtype_of(x))
            return self.op("not_equal", x, zero, part=part)
        return self.em.cast(x, dtype, self.name(part))

    def function(self, function: Callable[..., Any], *inputs: Tensor) -> Any:
        """A function of tensors on some inputs, as the ops that it is made of."""
        found = written_out(
            self.em, function, inputs, self.name(), lambda _: self.depends("a size or place")
        )
        return found if len(found) > 1 else found[0]

    # --- refusals ---------------------------------------------------------------------------------

    def refuse(
        self, message: str, *, expected: object = None, received: object = None
    ) -> FanlightError:
        """E-FORMAT-012 about this node."""
        return refusal(self.node.target, self.where, message, expected, received)

    def no_complex(self, name: str, value: Pair | None = None) -> FanlightError:
        """E-FORMAT-012 about complex numbers where none are read."""
        return FanlightError(
            "E-FORMAT-012",
            f"{self.node.target} is not read of complex numbers.",
            where=self.where,
            expected="real numbers; docs/formats.md lists what is read of complex ones",
            received=f"{name}: complex numbers" + (f" {list(value.shape)}" if value else ""),
            next="take z.real, z.imag, z.abs(), z.angle() or torch.view_as_real(z) before it, or "
            "end the exported part before it.",
        )

    def depends(self, what: str) -> FanlightError:
        """E-FORMAT-019 about this node."""
        return FanlightError(
            "E-FORMAT-019",
            f"{what} of {self.node.target} depends on the numbers of the model's input.",
            where=self.where,
            expected="a value known at import: shapes are fixed when the page is built",
            received="a tensor that is computed",
            next="export the model with fixed shapes, or end it before this node.",
        )


def _fit(value: float, kind: str) -> Any:
    """A number in a dtype: int64's end points become those of int32."""
    if kind == "int32":
        return int(min(max(value, -(2**31)), 2**31 - 1))
    return bool(value) if kind == "bool" else value


Handler = Callable[[Call], Any]
HANDLERS: dict[str, Handler] = {}


def importer(*targets: str) -> Callable[[Handler], Handler]:
    """Register the importer of some operators: "conv2d" is aten.conv2d in all its overloads."""
    others = ("prims", "torchvision")
    keys = [t if t.split(".")[0] in others else f"aten.{t}" for t in targets]
    return under(keys, HANDLERS)


# Operators ending in _ that give a tensor other dims rather than other numbers.
_OF_DIMS = frozenset(
    "as_strided_ resize_ resize_as_ set_ squeeze_ swapaxes_ swapdims_ t_ transpose_ unsqueeze_ "
    "rename_ _resize_output_".split()
)
# Overloads that write into tensors given as arguments.
_OUTS = re.compile(r"(.*_)?out(_.*)?|values|values_stable|dim_(max|min|values)|.*_values")


def written_as(target: str) -> str | None:
    """The operator whose result `target` writes into its first argument; None: it writes nothing.

    "aten.add_.Tensor" is "aten.add.Tensor", "aten.__iand__.Tensor" is "aten.__and__.Tensor".
    """
    room, _, rest = target.partition(".")
    name, _, overload = rest.partition(".")
    if room != "aten":
        return None
    if name.endswith("__"):
        plain = f"__{name[3:]}" if name.startswith("__i") else ""
    else:
        plain = name[:-1] if name.endswith("_") else ""
    return f"aten.{plain}.{overload}" if plain else None


def handler_of(target: str) -> Handler | None:
    """The importer of "aten.conv2d.default": of that overload, else of all its overloads.

    "aten.sin_.default" without one of its own has that of "aten.sin.default"; the reader writes
    the result back. Overloads that write into other arguments (out=) have none.
    """
    lead, _, overload = target.rpartition(".")
    if target.startswith("aten.") and (
        lead.removeprefix("aten.") in _OF_DIMS or _OUTS.fullmatch(overload)
    ):
        return None
    found = HANDLERS.get(target) or HANDLERS.get(lead)
    plain = None if found else written_as(target)
    return found if plain is None else HANDLERS.get(plain) or HANDLERS.get(plain.rpartition(".")[0])

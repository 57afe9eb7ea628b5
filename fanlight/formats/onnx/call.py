"""What the importer of one ONNX op gets to work with, and the table of importers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.calls import refusal, written_out
from fanlight.formats.emitter import Emitter, Tensor, dtype_of
from fanlight.formats.onnx import kinds
from fanlight.formats.onnx.protos import Graph, Node
from fanlight.formats.registry import under
from fanlight.formats.wire import Message
from fanlight.graph import Value

if TYPE_CHECKING:
    from fanlight.formats.onnx.scope import Scope

Given = Any  # a Tensor, a list of them (a sequence), or None (left out)


@dataclass
class Call:
    """One node with its inputs already imported.

    Attributes:
        inputs: tensors; lists for sequences; None where an input was left out.
        kinds: the element types of the inputs; 0 where there is none.
        opset: the version of the node's domain.
        wanted: whether each output has a name, so that something may use it.
        made_kinds: what the importer says about element types of outputs, by number.
    """

    node: Node
    em: Emitter
    inputs: Sequence[Given]
    warnings: list[str]
    attributes: Mapping[str, Any]
    kinds: Sequence[int]
    opset: int
    scope: Scope
    made_kinds: dict[int, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def where(self) -> str:
        return f"{self.node.where} ({self.node.op}, opset {self.opset})"

    @property
    def outputs(self) -> int:
        """How many outputs the node has."""
        return len(self.node.outputs)

    def wants(self, index: int) -> bool:
        """Whether output `index` has a name."""
        return index < len(self.node.outputs) and bool(self.node.outputs[index])

    # --- inputs -----------------------------------------------------------------------------------

    def has(self, index: int) -> bool:
        return index < len(self.inputs) and self.inputs[index] is not None

    def x(self, index: int = 0) -> Tensor:
        """Input `index`, a tensor; E-FORMAT-005 if the node has none."""
        x = self.inputs[index] if index < len(self.inputs) else None
        if isinstance(x, Value | np.ndarray):
            return x
        raise FanlightError(
            "E-FORMAT-005",
            f"{self.node.op} has no tensor as input {index}.",
            where=self.where,
            expected="a tensor",
            received="nothing" if x is None else "a sequence",
        )

    def maybe(self, index: int) -> Tensor | None:
        """Input `index`, or None if it was left out."""
        return self.x(index) if self.has(index) else None

    def sequence(self, index: int = 0) -> list[Tensor]:
        """Input `index`, a sequence, whose length is known."""
        x = self.inputs[index] if index < len(self.inputs) else None
        if isinstance(x, list):
            return x
        raise self.refuse("a tensor came", expected="a sequence", received=repr(x)[:80])

    def f32(self, index: int = 0) -> Tensor:
        """Input `index` as float32."""
        return self.em.cast(self.x(index), "float32", f"{self.name}/float{index}")

    def kind(self, index: int = 0) -> int:
        """Its element type."""
        if index < len(self.kinds) and self.kinds[index]:
            return self.kinds[index]
        return kinds.OF_DTYPE[dtype_of(self.x(index))]

    def known(self, index: int, what: str) -> np.ndarray:
        """Input `index`, whose value must not depend on the model's inputs."""
        x = self.x(index)
        if isinstance(x, np.ndarray):
            return x
        raise FanlightError(
            "E-FORMAT-019",
            f"{what} of {self.node.op} depends on the model's input.",
            where=self.where,
            expected="a value known at import: shapes are fixed when the page is built",
            received=f"the tensor {x!r}",
            next="export the model with fixed shapes.",
        )

    def ints(self, index: int, what: str) -> tuple[int, ...]:
        """Input `index` as known whole numbers."""
        array = self.known(index, what)
        if array.dtype.kind not in "iub" or array.size > 65536:
            raise self.refuse(f"{what} must be whole numbers", received=array.dtype)
        return tuple(int(v) for v in array.reshape(-1))

    def ints_or(self, index: int, attribute: str) -> tuple[int, ...] | None:
        """Whole numbers that older opsets have as an attribute, newer ones as an input."""
        if self.has(index):
            return self.ints(index, attribute)
        found = self.items(attribute)
        return None if found is None else tuple(found)

    def number(self, index: int, what: str) -> int:
        """Input `index` as one known whole number."""
        values = self.ints(index, what)
        if len(values) != 1:
            raise self.refuse(f"{what} must be one number", received=values[:8])
        return values[0]

    def known_real(self, index: int, what: str, default: float) -> float:
        """Input `index` as one known number, or the default."""
        if not self.has(index):
            return default
        array = self.known(index, what)
        if array.size != 1 or array.dtype.kind not in "fiub":
            raise self.refuse(f"{what} must be one number", received=f"{array.size} numbers")
        return float(array.reshape(-1)[0])

    # --- attributes -------------------------------------------------------------------------------

    def _attribute(self, name: str, types: tuple[type, ...], default: Any) -> Any:
        value = self.attributes.get(name)
        if value is None:
            return default
        if isinstance(value, types):
            return value
        raise FanlightError(
            "E-FORMAT-005",
            f"the attribute {name!r} of {self.node.op} has another type.",
            where=self.where,
            expected=" or ".join(t.__name__ for t in types),
            received=repr(value)[:80],
        )

    def whole(self, name: str, default: int = 0) -> int:
        return int(self._attribute(name, (int,), default))

    def flag(self, name: str, default: bool = False) -> bool:
        return bool(self._attribute(name, (int,), default))

    def real(self, name: str, default: float = 0.0) -> float:
        return float(self._attribute(name, (float, int), default))

    def text(self, name: str, default: str = "") -> str:
        return str(self._attribute(name, (str,), default))

    def items(self, name: str) -> list[Any] | None:
        found: list[Any] | None = self._attribute(name, (list,), None)
        return found

    def tensor(self, name: str) -> tuple[np.ndarray, int] | None:
        """An attribute that is a tensor: its array and element type."""
        found = self._attribute(name, (Message,), None)
        return None if found is None else self.scope.tensors.array(found, f"{self.name}.{name}")

    def graph(self, name: str) -> Graph:
        found = self._attribute(name, (Graph,), None)
        if found is None:
            raise FanlightError(
                "E-FORMAT-005",
                f"{self.node.op} has no {name}.",
                where=self.where,
                expected="a graph",
                received="nothing",
            )
        graph: Graph = found
        return graph

    def axis(self, rank: int, default: int, name: str = "axis") -> int:
        """An attribute that is a dim, 0 <= axis < rank."""
        return self.dim(self.whole(name, default), rank)

    def dim(self, axis: int, rank: int) -> int:
        if not -rank <= axis < rank:
            raise self.refuse("the axis does not exist", expected=f"of {rank}", received=axis)
        return axis % rank

    # --- making -----------------------------------------------------------------------------------

    def op(self, op: str, *inputs: Tensor, part: str = "", **attrs: Any) -> Any:
        """Apply an op of the table; `part` names what it is of the node."""
        name = f"{self.name}/{part}" if part else self.name
        return self.em.op(op, *inputs, name=name, **attrs)

    def reshape(self, x: Tensor, shape: Sequence[int], part: str = "shaped") -> Tensor:
        return self.em.reshape(x, shape, f"{self.name}/{part}")

    def transpose(self, x: Tensor, perm: Sequence[int], part: str = "turned") -> Tensor:
        return self.em.transpose(x, perm, f"{self.name}/{part}")

    def cast(self, x: Tensor, dtype: str, part: str = "cast") -> Tensor:
        return self.em.cast(x, dtype, f"{self.name}/{part}")

    def const(self, value: float, dtype: str = "float32") -> np.ndarray:
        return self.em.const(value, dtype)

    def function(self, function: Callable[..., Any], *inputs: Tensor) -> list[Tensor]:
        """A function of tensors on some inputs, as the ops that it is made of."""

        def depends(types: str) -> FanlightError:
            return self.refuse(
                "a size or place would depend on numbers",
                expected="numbers that decide shapes as constants of the graph",
                received=types,
            )

        return written_out(self.em, function, inputs, self.name, depends)

    def refuse(
        self, message: str, *, expected: object = None, received: object = None
    ) -> FanlightError:
        """E-FORMAT-012 about this node."""
        return refusal(self.node.op, self.where, message, expected, received)


Handler = Callable[[Call], Any]
HANDLERS: dict[str, Handler] = {}


def importer(*ops: str) -> Callable[[Handler], Handler]:
    """Register the importer of some ONNX ops; those of other domains as "domain.Op"."""
    return under(ops, HANDLERS)

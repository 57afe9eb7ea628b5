"""What the importer of one TensorFlow op gets to work with, and the table of importers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.calls import refusal, written_out
from fanlight.formats.emitter import Emitter, Tensor
from fanlight.formats.pairs import Pair as Pair
from fanlight.formats.registry import under
from fanlight.formats.tfgraph.nodes import Attrs, GraphNode
from fanlight.graph import Value

# Nodes whose importers may be given pairs; complex.py has rules for more.
TAKE_PAIRS = frozenset(
    "Angle ComplexAbs Conj FFT FFT2D FFT3D IFFT IFFT2D IFFT3D IRFFT IRFFT2D IRFFT3D Identity "
    "IdentityN If Imag Real Snapshot StatelessIf StatelessWhile While".split()
)
# Nodes that may be given lists of tensors (lists.py fills it).
TAKE_LISTS: set[str] = set()


@dataclass
class Call:
    """One node with its inputs already imported.

    Attributes:
        scope: what runs the functions of the graph (control.py, Scope).
    """

    node: GraphNode
    em: Emitter
    inputs: Sequence[Tensor]
    warnings: list[str]
    scope: Any = None

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def attrs(self) -> Attrs:
        return self.node.attrs

    @property
    def where(self) -> str:
        return f"{self.node.where} ({self.node.op})"

    def x(self, index: int = 0) -> Tensor:
        """Input `index`; E-FORMAT-005 if the node has fewer."""
        if index >= len(self.inputs):
            raise FanlightError(
                "E-FORMAT-005",
                f"{self.node.op} has too few inputs.",
                where=self.where,
                expected=f"at least {index + 1}",
                received=len(self.inputs),
            )
        return self.inputs[index]

    def pair(self, index: int = 0) -> Pair:
        """Input `index`, which is complex."""
        x: Any = self.x(index)
        if not isinstance(x, Pair):
            raise self.refuse(
                "real numbers came", expected="complex numbers", received=repr(x)[:80]
            )
        return x

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
            next=f"export the model with fixed shapes{self._fixing(x)}.",
        )

    def _fixing(self, x: Any) -> str:
        """How to fix the model's inputs that a tensor is made of, for messages; empty for ONNX,
        whose bounded tensors take some of these importers.
        """
        if self.scope is None:
            return ""
        names = self._deciding(x) if isinstance(x, Value) else []
        if not names:
            return (
                "; or fix the input that decides it: fl.load(path, input_values={name: array}), or "
                "fanlight convert --input-value NAME=VALUE"
            )
        values = ", ".join(f"{n!r}: array" for n in names)
        flags = " ".join(f"--input-value {n}=array.npy" for n in names)
        return (
            f"; or fix what decides it: fl.load(path, input_values={{{values}}}), or "
            f"fanlight convert {flags}"
        )

    def _deciding(self, x: Value) -> list[str]:
        """The model's inputs that a tensor is made of; none if that cannot be told, or if nobody
        would fix them: pictures, for one.
        """
        builder = self.em.builder
        needed = {x}
        for node in reversed(builder.nodes):
            if not needed.isdisjoint(node.outputs):
                needed = needed.difference(node.outputs).union(node.inputs)
        inputs = [v for v in needed if builder.array(v) is None]
        signature = getattr(self.scope, "signature", None)
        known = {e.name for e in signature.inputs} if signature else set()
        small = all(v.dtype in ("int32", "bool") or v.shape == () for v in inputs)
        names = sorted(v.name for v in inputs)
        return names if small and known.issuperset(names) else []

    def ints(self, index: int, what: str) -> tuple[int, ...]:
        """Input `index` as known whole numbers."""
        array = self.known(index, what)
        if array.dtype.kind not in "iub" or array.size > 4096:
            raise self.refuse(f"{what} must be whole numbers", received=array.dtype)
        return tuple(int(v) for v in array.reshape(-1))

    def number(self, index: int, what: str) -> int:
        """Input `index` as one known whole number."""
        values = self.ints(index, what)
        if len(values) != 1:
            raise self.refuse(f"{what} must be one number", received=values[:8])
        return values[0]

    def real(self, index: int, what: str) -> float:
        """Input `index` as one known number."""
        array = self.known(index, what)
        if array.size != 1 or array.dtype.kind not in "fiu":
            raise self.refuse(f"{what} must be one number", received=f"{array.size} numbers")
        return float(array.reshape(-1)[0])

    def axis(self, index: int, rank: int) -> int:
        """Input `index` as one known dim number, 0 <= axis < rank."""
        values = self.ints(index, "the axis")
        if len(values) != 1 or not -rank <= values[0] < rank:
            raise self.refuse(
                "the axis does not exist", expected=f"one dim of {rank}", received=values[:8]
            )
        return values[0] % rank

    def op(self, op: str, *inputs: Tensor, part: str = "", **attrs: Any) -> Any:
        """Apply an op of the table; `part` names what it is of the node."""
        name = f"{self.node.name}/{part}" if part else self.node.name
        return self.em.op(op, *inputs, name=name, **attrs)

    def function(self, function: Callable[..., Any], *inputs: Tensor) -> list[Tensor]:
        """A function of tensors on some inputs, as the ops that it is made of."""

        def depends(types: str) -> FanlightError:
            return self.refuse(
                "a size or place would depend on numbers",
                expected="numbers that decide shapes as constants of the graph",
                received=types,
            )

        return written_out(self.em, function, inputs, self.node.name, depends)

    def refuse(
        self, message: str, *, expected: object = None, received: object = None
    ) -> FanlightError:
        """E-FORMAT-012 about this node."""
        return refusal(self.node.op, self.where, message, expected, received)


Handler = Callable[[Call], Any]
HANDLERS: dict[str, Handler] = {}


def importer(*ops: str) -> Callable[[Handler], Handler]:
    """Register the importer of some TensorFlow ops."""
    return under(ops, HANDLERS)

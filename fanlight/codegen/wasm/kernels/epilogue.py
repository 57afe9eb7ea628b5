"""The epilogue: what happens to a result vector between the last multiply-add and the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fanlight.codegen.kernel import unsupported
from fanlight.codegen.wasm import scalar_code
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.vectors import Registers, shuffle
from fanlight.graph import Node
from fanlight.ops import scalar as sc
from fanlight.ops.row import EPILOGUE
from fanlight.ops.types import TensorType
from fanlight.targets import Target


def extra_kind(extra: TensorType, out: TensorType) -> str | None:
    """How an extra input meets the result: "scalar", "channel", "full", or None if no way here."""
    if extra.size == 1:
        return "scalar"
    if extra.size == extra.shape[-1] == out.shape[-1]:
        return "channel"
    return "full" if extra.shape == out.shape else None


@dataclass(frozen=True)
class Epilogue:
    """A scalar body over the result and extra inputs.

    Attributes:
        body: its text; "a0" does nothing.
        kinds: one per extra input, see `extra_kind`.
        fused: whether its code may use relaxed multiply-adds.
    """

    body: str
    kinds: tuple[str, ...]
    fused: bool = False

    @classmethod
    def of(cls, node: Node, core: int, target: Target | None = None) -> Epilogue:
        """The epilogue of a node with `core` core inputs; E-BUILD-001 if an extra does not fit."""
        kinds = []
        for value in node.inputs[core:]:
            kind = extra_kind(value.type, node.output.type)
            if kind is None or value.dtype != "float32":
                raise unsupported(node, f"its epilogue reads {value.type} for {node.output.type}")
            kinds.append(kind)
        fused = target is not None and target.relaxed_simd
        return cls(node.attrs.get(EPILOGUE, "a0"), tuple(kinds), fused)

    @property
    def key(self) -> str:
        return f"{self.body}|{','.join(self.kinds)}"

    @property
    def cost(self) -> int:
        """Floating-point operations per result."""
        return sc.cost(sc.parse(self.body))

    @property
    def constants(self) -> list[bytes]:
        """The v128 constants in its code, for `Function.holding`."""
        dtypes = ["float32"] * (1 + len(self.kinds))
        return scalar_code.constants(sc.parse(self.body), dtypes, fused=self.fused)

    def started(self) -> tuple[int | None, Epilogue]:
        """(index of an extra that accumulators can start from, what is left to be done then).

        A bias per channel that is added to the result before anything else is such an extra.
        """
        expr = sc.parse(self.body)
        users = [n for n in sc.topological(expr) if sc.arg(0) in n.args]
        if len(users) != 1 or users[0].op != "add":
            return None, self
        (bias,) = [a for a in users[0].args if a is not sc.arg(0)] or [sc.arg(0)]
        if bias.op != "arg" or bias.value == 0 or self.kinds[bias.value - 1] != "channel":
            return None, self
        body = str(_replaced(expr, users[0], sc.arg(0)))
        return bias.value - 1, replace(self, body=body)

    def __call__(
        self,
        f: Function,
        value: Local,
        registers: Registers,
        extras: Sequence[Local],
        out: Local,
        channel: Local | None,
        row_offset: int,
        column_offset: int,
        lanes: Sequence[int] | None = None,
    ) -> None:
        """Replace a vector of results.

        Args:
            value: the v128 local to replace.
            extras: pointers, one per extra input. "full" ones are differences to the output's.
            out: the address of the tile's first result.
            channel: byte offset of the tile's first channel (None: 0).
            row_offset, column_offset: bytes from the tile's first result to this vector.
            lanes: the channel of each lane, below 4, where that is not just the next one.
        """
        if self.body == "a0":
            return
        expr = sc.parse(self.body)
        used = {n.value for n in sc.topological(expr) if n.op == "arg"}
        args = [value]
        for index, (pointer, kind) in enumerate(zip(extras, self.kinds, strict=True), start=1):
            local = registers.take("v128")
            args.append(local)
            if index not in used:
                continue
            f.get(pointer)
            if kind == "scalar":
                f.op("v128.load32_splat")
            elif kind == "channel":
                if channel is not None:
                    f.get(channel).op("i32.add")
                if lanes is None:
                    f.load(column_offset)
                else:
                    shuffle(f.load().tee(local).get(local), *lanes)
            else:
                f.get(out).op("i32.add").load(row_offset + column_offset)
            f.set(local)
        dtypes = ["float32"] * len(args)
        take, give = registers.take, registers.give
        scalar_code.emit(f, expr, args, dtypes, take, give, fused=self.fused).set(value)
        registers.give(*args[1:])


def _replaced(expr: sc.Expr, old: sc.Expr, new: sc.Expr) -> sc.Expr:
    """The expression with one part of it replaced."""
    known = {id(old): new}
    for node in sc.topological(expr):
        if id(node) in known:
            continue
        args = tuple(known[id(a)] for a in node.args)
        known[id(node)] = sc.make(node.op, *args) if args != node.args else node
    return known[id(expr)]


def difference_pointers(
    f: Function, extras: Sequence[Local], kinds: Sequence[str], out: Local
) -> None:
    """Turn pointers of "full" extras into differences to the output pointer, in place."""
    for pointer, kind in zip(extras, kinds, strict=True):
        if kind == "full":
            f.get(pointer).get(out).op("i32.sub").set(pointer)

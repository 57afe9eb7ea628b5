"""The epilogue: what happens to a result vector between the last multiply-add and the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fanlight.codegen.kernel import unsupported
from fanlight.codegen.wasm import scalar_code
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.vectors import Registers
from fanlight.graph import Node
from fanlight.ops import scalar as sc
from fanlight.ops.row import EPILOGUE
from fanlight.ops.types import TensorType


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
    """

    body: str
    kinds: tuple[str, ...]

    @classmethod
    def of(cls, node: Node, core: int) -> Epilogue:
        """The epilogue of a node with `core` core inputs; E-BUILD-001 if an extra does not fit."""
        kinds = []
        for value in node.inputs[core:]:
            kind = extra_kind(value.type, node.output.type)
            if kind is None or value.dtype != "float32":
                raise unsupported(node, f"its epilogue reads {value.type} for {node.output.type}")
            kinds.append(kind)
        return cls(node.attrs.get(EPILOGUE, "a0"), tuple(kinds))

    @property
    def key(self) -> str:
        return f"{self.body}|{','.join(self.kinds)}"

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
    ) -> None:
        """Replace a vector of results.

        Args:
            value: the v128 local to replace.
            extras: pointers, one per extra input. "full" ones are differences to the output's.
            out: the address of the tile's first result.
            channel: byte offset of the tile's first channel (None: 0).
            row_offset, column_offset: bytes from the tile's first result to this vector.
        """
        if self.body == "a0":
            return
        args = [value]
        for pointer, kind in zip(extras, self.kinds, strict=True):
            local = registers.take("v128")
            f.get(pointer)
            if kind == "scalar":
                f.op("v128.load32_splat")
            elif kind == "channel":
                if channel is not None:
                    f.get(channel).op("i32.add")
                f.load(column_offset)
            else:
                f.get(out).op("i32.add").load(row_offset + column_offset)
            f.set(local)
            args.append(local)
        dtypes = ["float32"] * len(args)
        expr = sc.parse(self.body)
        scalar_code.emit(f, expr, args, dtypes, registers.take, registers.give).set(value)
        registers.give(*args[1:])


def difference_pointers(
    f: Function, extras: Sequence[Local], kinds: Sequence[str], out: Local
) -> None:
    """Turn pointers of "full" extras into differences to the output pointer, in place."""
    for pointer, kind in zip(extras, kinds, strict=True):
        if kind == "full":
            f.get(pointer).get(out).op("i32.sub").set(pointer)

"""The scalar body of a node, and the growing of one body out of several nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fanlight.errors import FanlightError
from fanlight.graph import Node, Value
from fanlight.ops import scalar as sc
from fanlight.ops.row import TABLE


def elementwise(node: Node) -> bool:
    """Whether a node computes each element of its output by a scalar body."""
    return node.op == "fused" or TABLE[node.op].scalar is not None


def body_of(node: Node) -> sc.Expr | None:
    """What the node computes from one element of each of its inputs; None if not elementwise."""
    if node.op == "fused":
        return sc.parse(node.attrs["body"])
    scalar = TABLE[node.op].scalar
    if scalar is None:
        return None
    return scalar(*map(sc.arg, range(len(node.inputs))), **node.attrs)


def literal(value: Value, weights: Mapping[Value, np.ndarray]) -> sc.Expr | None:
    """A weight of one element as a constant of the body; None for anything else."""
    array = weights.get(value)
    if array is None or array.size != 1:
        return None
    return sc.const(array.reshape(()).item())


class Body:
    """One expression made of several elementwise nodes, over distinct values."""

    def __init__(self, weights: Mapping[Value, np.ndarray], first: Sequence[Value] = ()) -> None:
        """`first`: values that take the arguments a0, a1, ... whether they are read or not."""
        self.weights = weights
        self.inputs: list[Value] = []
        self._known: dict[Value, sc.Expr] = {}
        for value in first:
            self._known[value] = sc.arg(len(self.inputs))
            self.inputs.append(value)

    def read(self, value: Value) -> sc.Expr:
        """The expression of a value: computed inside, a literal, or an argument."""
        found = self._known.get(value)
        if found is None:
            found = literal(value, self.weights)
            if found is None:
                found = sc.arg(len(self.inputs))
                self.inputs.append(value)
            self._known[value] = found
        return found

    def define(self, value: Value, expr: sc.Expr) -> None:
        """Let a value stand for an expression over the inputs so far."""
        self._known[value] = expr

    def compute(self, node: Node) -> sc.Expr:
        """Take a node in: its output is inside from now on."""
        body = body_of(node)
        assert body is not None
        parts = {index: self._operand(v) for index, v in enumerate(node.inputs)}
        self._known[node.output] = result = _decided(sc.substitute(body, parts))
        return result

    def _operand(self, value: Value) -> sc.Expr:
        part = self.read(value)
        # Bodies read uint8 inputs as int32; what is computed inside must look the same.
        inside = part.op not in ("arg", "const")
        return sc.cast(part, "int32") if inside and value.dtype == "uint8" else part

    def dtype(self, expr: sc.Expr) -> str | None:
        """The dtype of an expression over the inputs; None if it has none."""
        try:
            return sc.infer(expr, [v.dtype for v in self.inputs])
        except FanlightError:
            return None


def _decided(expr: sc.Expr) -> sc.Expr:
    """Inside of what a choice takes where it holds, the same choice is made already."""
    if expr.op != "select" or expr.args[0].op != "arg":
        return expr
    condition, yes, no = expr.args
    done: dict[int, sc.Expr] = {}
    for node in sc.topological(yes):
        args = tuple(done[id(a)] for a in node.args)
        if node.op == "select" and node.args[0] is condition and args[1].op != "const":
            done[id(node)] = args[1]
        else:
            done[id(node)] = sc.make(node.op, *args) if args != node.args else node
    return sc.make("select", condition, done[id(yes)], no)

"""A program of torch.export in its serialized form: checked, with plain Python arguments.

Live programs are serialized first, so that there is one reader of one form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fanlight.dtypes import COMPLEX
from fanlight.errors import FanlightError
from fanlight.formats.jsonfile import expect
from fanlight.formats.torch.results import result_names

MAJOR = 8
_MAX_NODES = 1_000_000
# ScalarType codes -> dtype of a graph: browsers compute in 32 bits; complex ones are pairs.
DTYPES: dict[int, str] = {
    1: "uint8", 2: "int32", 3: "int32", 4: "int32", 5: "int32", 6: "float32", 7: "float32",
    8: "float32", 9: COMPLEX, 10: COMPLEX, 11: COMPLEX, 12: "bool", 13: "float32", 28: "int32",
    34: "int32",
}  # fmt: skip
# Output specs of what a program changes -> the field that names it.
_CHANGES = {
    "buffer_mutation": "buffer_name",
    "parameter_mutation": "parameter_name",
    "user_input_mutation": "user_input_name",
}
_FLOATS = {"Infinity": float("inf"), "-Infinity": float("-inf"), "NaN": float("nan")}


@dataclass(frozen=True)
class Ref:
    """A use of a tensor or a size by its name."""

    name: str


@dataclass(frozen=True)
class Body:
    """A graph inside the graph (a branch, the body of a loop)."""

    graph: Graph


@dataclass(frozen=True)
class Meta:
    """What a program says of a tensor; a str among sizes and strides is a symbol.

    Attributes:
        dtype: in a graph; None for one that graphs lack.
        strides: in elements; None where they are not told.
        code: the dtype in the program: two that differ may be one in a graph.
        offset: where in its memory it begins, in elements; None where that is not a known number.
    """

    dtype: str | None
    sizes: tuple[int | str, ...]
    strides: tuple[int | str, ...] | None = None
    code: int | None = None
    offset: int | None = None

    @property
    def outer_sizes(self) -> tuple[int | str, ...]:
        """The sizes of the tensor where it comes into a model: complex numbers are pairs."""
        return (*self.sizes, 2) if self.dtype == COMPLEX else self.sizes


@dataclass(frozen=True)
class Node:
    """One call of an operator.

    Attributes:
        target: "aten.conv2d.default", without "torch.ops.".
        args: by the names of the operator's schema; Refs stand for results.
        outputs: names of the results; None for one that is not a tensor or a size.
    """

    name: str
    target: str
    args: Mapping[str, Any]
    outputs: tuple[str | None, ...]
    where: str


@dataclass(frozen=True)
class Graph:
    """Nodes in order, with the sizes of their tensors.

    Attributes:
        sizes: result that is a size -> what it is of symbols.
    """

    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    nodes: tuple[Node, ...]
    metas: Mapping[str, Meta]
    sizes: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def used(self) -> frozenset[str]:
        """Names of results that a node or the caller uses."""
        found: set[str] = set()
        todo: list[Any] = [*self.outputs, *(a for n in self.nodes for a in n.args.values())]
        while todo:
            value = todo.pop()
            if isinstance(value, list):
                todo += value
            elif isinstance(value, Ref):
                found.add(value.name)
        return frozenset(found)


@dataclass(frozen=True)
class Program:
    """A whole program.

    Attributes:
        inputs: the user's inputs, in order; names of tensors and sizes.
        held: graph input -> ("weights" or "constants", fqn).
        outputs: what the user gets; Refs, or constants.
        ranges: symbol -> (least, most) as the file says.
        changes: what the program would change as it runs: buffers, its own inputs.
        names: of each output the name that the module gives it, or None; empty if it gives none.
    """

    graph: Graph
    inputs: tuple[str, ...]
    held: Mapping[str, tuple[str, str]]
    constants: Mapping[str, Any]
    outputs: tuple[Any, ...]
    ranges: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)
    torch_version: str = ""
    changes: tuple[str, ...] = ()
    names: tuple[str | None, ...] = ()


def parse_program(model: Mapping[str, Any], where: str) -> Program:
    """The program of a parsed model.json.

    Raises:
        FanlightError: E-FORMAT-005 for a field that is none, E-FORMAT-002 for another version.
    """
    version = expect(model.get("schema_version"), dict, "schema_version", where)
    if version.get("major") != MAJOR:
        raise FanlightError(
            "E-FORMAT-002",
            "the program is of another version of PyTorch's format.",
            where=where,
            expected=f"schema version {MAJOR}",
            received=f"{version.get('major')!r}.{version.get('minor')!r}",
            next="save it again with a PyTorch from 2.8 to 2.13, or with the live program: "
            "fl.from_torch.",
        )
    module = expect(model.get("graph_module"), dict, "graph_module", where)
    graph = _graph(expect(module.get("graph"), dict, "graph", where), where, 0)
    signature = expect(module.get("signature"), dict, "signature", where)
    inputs: list[str] = []
    held: dict[str, tuple[str, str]] = {}
    constants: dict[str, Any] = {}
    for spec in expect(signature.get("input_specs"), list, "input_specs", where):
        kind, body = _union(spec, "an input spec", where)
        body = expect(body, dict, "an input spec", where)
        if kind == "user_input":
            arg = _argument(body.get("arg"), where, 0)
            if isinstance(arg, Ref):
                inputs.append(arg.name)
        elif kind in ("parameter", "buffer", "tensor_constant"):
            name = _name(expect(body.get("arg"), dict, "arg", where), where)
            fqn = str(body.get(f"{kind}_name"))
            stored = kind == "parameter" or (kind == "buffer" and body.get("persistent", True))
            held[name] = ("weights" if stored else "constants", fqn)
        elif kind == "constant_input":
            value = expect(body.get("value"), dict, "value", where)
            constants[str(body.get("name"))] = _argument(value, where, 0)
        else:
            raise _unknown(f"an input of the kind {kind!r}", where)
    outputs = []
    changes: list[str] = []
    for spec in expect(signature.get("output_specs"), list, "output_specs", where):
        kind, body = _union(spec, "an output spec", where)
        body = expect(body, dict, "an output spec", where)
        if kind == "user_output":
            outputs.append(_argument(body.get("arg"), where, 0))
        elif kind in _CHANGES:
            changes.append(str(body.get(_CHANGES[kind]))[:120])
        elif kind != "token":
            raise FanlightError(
                "E-FORMAT-012",
                "the program is one of training: it gives a loss or gradients.",
                where=where,
                expected="a program that computes outputs of its inputs",
                received=f"an output of the kind {kind!r}"[:120],
                next="export the model alone: torch.export.export(model.eval(), inputs).",
            )
    ranges = {}
    for symbol, limits in expect(
        model.get("range_constraints", {}), dict, "range_constraints", where
    ).items():
        limits = expect(limits, dict, "a range", where)
        low, high = limits.get("min_val"), limits.get("max_val")
        ranges[str(symbol)] = (
            low if isinstance(low, int) else 0,
            high if isinstance(high, int) else None,
        )
    return Program(
        graph,
        tuple(inputs),
        held,
        constants,
        tuple(outputs),
        ranges,
        str(model.get("torch_version", ""))[:40],
        tuple(changes),
        tuple(result_names(module, where)),
    )


def _graph(graph: Mapping[str, Any], where: str, depth: int) -> Graph:
    if depth > 16:
        raise _unknown("graphs in graphs in graphs", where)
    listed = expect(graph.get("nodes"), list, "nodes", where)
    if len(listed) > _MAX_NODES:
        raise _unknown(f"{len(listed):,} nodes", where)
    metas = {}
    for name, meta in expect(graph.get("tensor_values"), dict, "tensor_values", where).items():
        metas[str(name)] = _meta(meta, where)
    nodes = tuple(_node(n, i, where, depth) for i, n in enumerate(listed))
    inputs = expect(graph.get("inputs"), list, "inputs", where)
    outputs = expect(graph.get("outputs"), list, "outputs", where)
    return Graph(
        tuple(_argument(a, where, depth) for a in inputs),
        tuple(_argument(a, where, depth) for a in outputs),
        nodes,
        metas,
        _size_symbols(graph),
    )


def _size_symbols(graph: Mapping[str, Any]) -> dict[str, str]:
    """What results that are sizes are called among the ranges; nothing where it is not told."""
    found: dict[str, str] = {}
    values = graph.get("sym_int_values")
    for name, value in (values if isinstance(values, dict) else {}).items():
        expression = value.get("as_expr") if isinstance(value, dict) else None
        text = expression.get("expr_str") if isinstance(expression, dict) else None
        if isinstance(text, str):
            found[str(name)] = _symbol(text)
    return found


def _meta(meta: Any, where: str) -> Meta:
    meta = expect(meta, dict, "a tensor's meta", where)
    code = meta.get("dtype")
    code = code if isinstance(code, int) else None
    sizes = _sizes(meta.get("sizes"), "sizes", where)
    strides = None if meta.get("strides") is None else _sizes(meta["strides"], "strides", where)
    begin = meta.get("storage_offset")
    offset = begin.get("as_int") if isinstance(begin, dict) else None
    known = isinstance(offset, int) and 0 <= offset < 1 << 40
    dtype = DTYPES.get(code) if code is not None else None
    return Meta(dtype, sizes, strides, code, offset if known else None)


def _sizes(values: Any, what: str, where: str) -> tuple[int | str, ...]:
    sizes: list[int | str] = []
    for size in expect(values, list, what, where):
        kind, value = _union(size, "a size", where)
        if kind == "as_int":
            sizes.append(_whole(value, where))
        elif kind == "as_expr":
            sizes.append(_symbol(str(expect(value, dict, "a size", where).get("expr_str"))))
        else:
            raise _unknown(f"a size {kind!r}", where)
    return tuple(sizes)


def _symbol(text: str) -> str:
    """ "s0" of "Symbol('s0', positive=True, integer=True)", as newer versions write it."""
    found = re.fullmatch(r"Symbol\('(\w{1,80})'[\w=, ]*\)", text[:200])
    return found[1] if found else text[:200]


def _node(node: Any, index: int, where: str, depth: int) -> Node:
    node = expect(node, dict, "a node", where)
    target = expect(node.get("target"), str, "target", where)[:200]
    outputs: list[str | None] = []
    for output in expect(node.get("outputs"), list, "outputs", where):
        made = _argument(output, where, depth)
        for part in made if isinstance(made, list) else [made]:
            outputs.append(part.name if isinstance(part, Ref) else None)
    name = node.get("name") or next((o for o in outputs if o), None) or f"node_{index}"
    here = f"node {str(name)[:80]} of {where}"
    args: dict[str, Any] = {}
    for number, entry in enumerate(expect(node.get("inputs"), list, "inputs", here)):
        entry = expect(entry, dict, "an argument", here)
        key = entry.get("name") or str(number)  # higher-order operators name none
        args[str(key)] = _argument(entry.get("arg"), here, depth)
    return Node(str(name), target.removeprefix("torch.ops."), args, tuple(outputs), here)


def _argument(arg: Any, where: str, depth: int) -> Any:
    """A serialized argument as Python: Refs, numbers, texts, None, lists, dtypes as names."""
    kind, value = _union(arg, "an argument", where)
    if kind == "as_none":
        return None
    if kind in ("as_tensor", "as_optional_tensor", "as_sym_int", "as_sym_bool", "as_sym_float"):
        value = expect(value, dict, kind, where)
        return Ref(_name(value, where)) if "name" in value else _argument(value, where, depth)
    if kind == "as_name":
        return Ref(expect(value, str, kind, where))
    if kind == "as_tensors":
        return [Ref(_name(v, where)) for v in expect(value, list, kind, where)]
    if kind in ("as_optional_tensors", "as_sym_ints", "as_sym_bools", "as_sym_floats"):
        return [_argument(v, where, depth) for v in expect(value, list, kind, where)]
    if kind == "as_int":
        return _whole(value, where)
    if kind == "as_float":
        return _real(value, where)
    if kind == "as_complex":
        value = expect(value, dict, kind, where)
        return complex(_real(value.get("real"), where), _real(value.get("imag"), where))
    if kind == "as_bool":
        return expect(value, bool, kind, where)
    if kind in ("as_string", "as_operator"):
        return expect(value, str, kind, where)
    if kind == "as_ints":
        return [_whole(v, where) for v in expect(value, list, kind, where)]
    if kind == "as_floats":
        return [_real(v, where) for v in expect(value, list, kind, where)]
    if kind == "as_bools":
        return [expect(v, bool, kind, where) for v in expect(value, list, kind, where)]
    if kind == "as_strings":
        return [expect(v, str, kind, where) for v in expect(value, list, kind, where)]
    if kind == "as_scalar_type":
        if not isinstance(value, int) or value not in DTYPES:
            raise FanlightError(
                "E-FORMAT-008",
                "the program computes in a dtype that browsers lack.",
                where=where,
                expected="floats, whole numbers, bool",
                received=f"ScalarType {value!r}",
            )
        return DTYPES[value]
    if kind == "as_graph":
        inner = expect(value, dict, kind, where)
        return Body(_graph(expect(inner.get("graph"), dict, "graph", where), where, depth + 1))
    # Memory formats, layouts and devices: nothing here has more than one of them.
    return None


def _union(value: Any, what: str, where: str) -> tuple[str, Any]:
    value = expect(value, dict, what, where)
    if len(value) != 1:
        raise FanlightError(
            "E-FORMAT-005",
            f"{what} is not one of its kinds.",
            where=where,
            expected="an object with one key",
            received=repr(value)[:120],
        )
    kind, inner = next(iter(value.items()))
    return str(kind), inner


def _name(value: Any, where: str) -> str:
    value = expect(value, dict, "a name", where)
    return expect(value.get("name"), str, "a name", where)


def _whole(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 63:
        raise _unknown(f"{value!r}"[:80], where, "a whole number of 64 bits")
    return value


def _real(value: Any, where: str) -> float:
    if isinstance(value, str) and value in _FLOATS:
        return _FLOATS[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _unknown(f"{value!r}"[:80], where, "a number")
    return float(value)


def _unknown(
    received: str, where: str, expected: str = "what torch.export writes"
) -> FanlightError:
    return FanlightError(
        "E-FORMAT-005",
        "the program has something that the reader does not know.",
        where=where,
        expected=expected,
        received=received,
    )

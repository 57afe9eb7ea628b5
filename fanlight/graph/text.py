"""The text form of a graph: it prints, and it parses back.

    graph net(%x: f32[1, 4]) {
      weight %w: f32[4, 2]
      %y: f32[1, 2] = matmul(%x, %w) {transpose_a=false, transpose_b=false}
      return y=%y
    }

A node's sub-graphs follow it, indented, each headed by its attribute (`true_fn: graph ... {`).
Weights of at most 16 elements are written in line (`weight %b: f32[2] = [0.0, 1.0]`); larger
arrays travel beside the text and are handed to `parse` by name. Sub-graphs have all in line.
A symbol is `batch<=64` in a shape (`2<=batch<=64` with a least size, `3*batch<=192` if it is a
multiple), and {"batch": [1, 64]} among attributes ({"batch": [3, 192, 3]}).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fanlight import dtypes
from fanlight.errors import FanlightError
from fanlight.graph.builder import Builder
from fanlight.graph.core import Graph, Value
from fanlight.graph.subgraph import Subgraph, subgraphs
from fanlight.ops.types import Dim, TensorType

INLINE = 16
_NAME = r"[\w./-]+"


def _literal(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Dim):
        times = [value.times] if value.times != 1 else []
        return json.dumps({value.name: [value.min, value.max, *times]})
    if isinstance(value, float) and (value != value or value in (np.inf, -np.inf)):
        return {"inf": "Infinity", "-inf": "-Infinity"}.get(str(value), "NaN")
    return json.dumps(value)


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):  # a symbol
        ((name, (low, high, *times)),) = value.items()
        dim = Dim(name, int(high), int(low), *map(int, times))
        if dim.times < 1 or dim.max % dim.times or dim.min % dim.times:
            raise ValueError(dim)
        return dim
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def to_text(graph: Graph, *, inline: bool = False) -> str:
    """Print a graph.

    Args:
        inline: whether weights of any size are written in line.
    """
    params = ", ".join(f"%{v.name}: {v.type}" for v in graph.inputs)
    lines = [f"graph {json.dumps(graph.name)}({params}) {{"]
    for value, array in graph.weights.items():
        line = f"  weight %{value.name}: {value.type}"
        if (inline or array.size <= INLINE) and value.type.static:
            line += f" = {_literal(array.reshape(-1).tolist())}"
        lines.append(line)
    for node in graph.nodes:
        results = ", ".join(f"%{v.name}: {v.type}" for v in node.outputs)
        inputs = ", ".join(f"%{v.name}" for v in node.inputs)
        inner = subgraphs(node)
        attrs = ", ".join(f"{k}={_literal(v)}" for k, v in node.attrs.items() if k not in inner)
        line = f"  {results} = {node.op}({inputs})" + (f" {{{attrs}}}" if attrs else "")
        if node.name != node.output.name:
            line += f" @ {json.dumps(node.name)}"
        lines.append(line)
        for key, sub in inner.items():
            first, *rest = sub.text.rstrip("\n").split("\n")
            lines += [f"    {key}: {first}", *(f"    {text}" for text in rest)]
    results = ", ".join(f"{json.dumps(n)}=%{v.name}" for n, v in graph.outputs)
    return "\n".join([*lines, f"  return {results}", "}"]) + "\n"


def parse(text: str, weights: Mapping[str, np.ndarray] | None = None) -> Graph:
    """Read the text form. `weights` holds the arrays that are not in line, by value name.

    Types on node lines may be left out; where they stand they must be what the ops give.

    Raises:
        FanlightError: E-GRAPH-004 with the line that does not parse, and the codes of Builder.
    """
    lines = [(n, raw.strip()) for n, raw in enumerate(text.splitlines(), 1)]
    lines = [(n, line) for n, line in lines if line and not line.startswith("#")]
    if not lines:
        raise _fail(1, "", "graph name(inputs) {")
    return _graph(lines, weights or {})


# A numbered line without its indentation.
_Line = tuple[int, str]
_INNER = re.compile(r"(\w+): (graph .*\{)")


def _graph(lines: Sequence[_Line], weights: Mapping[str, np.ndarray]) -> Graph:
    number, head = lines[0]
    match = re.fullmatch(r'graph ("(?:[^"\\]|\\.)*"|[\w.-]+)\((.*)\) \{', head)
    if match is None:
        raise _fail(number, head, "graph name(inputs) {")
    name = match.group(1)
    builder = Builder(json.loads(name) if name.startswith('"') else name)
    known: dict[str, Value] = {}
    symbols: dict[str, Dim] = {}
    for item in _split(match.group(2)):
        value_name, type = _declaration(number, item, symbols)
        known[value_name] = builder.input(value_name, type.shape, type.dtype)
    at = 1
    while at < len(lines):
        number, line = lines[at]
        at += 1
        if line.startswith("weight "):
            _weight(builder, known, number, line, symbols, weights)
        elif line.startswith("return "):
            outputs = {}
            for item in _split(line.removeprefix("return ")):
                part = re.fullmatch(rf'("(?:[^"\\]|\\.)*"|[\w./:-]+)=%({_NAME})', item)
                if part is None or part.group(2) not in known:
                    raise _fail(number, item, "name=%value")
                key = part.group(1)
                outputs[json.loads(key) if key.startswith('"') else key] = known[part.group(2)]
            return builder.finish(outputs)
        elif line != "}":
            inner, at = _inner(lines, at)
            _node(builder, known, number, line, symbols, inner)
    raise _fail(lines[-1][0], lines[-1][1], "return name=%value")


def _inner(lines: Sequence[_Line], at: int) -> tuple[dict[str, Subgraph], int]:
    """The sub-graphs that begin at a line, by attribute, and where the next node begins."""
    found: dict[str, Subgraph] = {}
    while at < len(lines) and (match := _INNER.fullmatch(lines[at][1])):
        start, depth = at, 1
        while depth:
            at += 1
            if at >= len(lines):
                raise _fail(*lines[start], "a sub-graph that ends: }")
            depth += bool(_INNER.fullmatch(lines[at][1])) - (lines[at][1] == "}")
        at += 1
        body = [(lines[start][0], match.group(2)), *lines[start + 1 : at]]
        found[match.group(1)] = Subgraph(_graph(body, {}))
    return found, at


def _fail(number: int, line: str, expected: str) -> FanlightError:
    return FanlightError(
        "E-GRAPH-004",
        "the text of a graph does not parse.",
        where=f"line {number}",
        expected=expected,
        received=line[:200],
    )


def _split(text: str) -> list[str]:
    """Split at commas that are outside brackets and quotes."""
    items, depth, start, quoted = [], 0, 0, False
    for i, c in enumerate(text):
        if c == '"' and (i == 0 or text[i - 1] != "\\"):
            quoted = not quoted
        elif quoted:
            continue
        elif c in "[({":
            depth += 1
        elif c in "])}":
            depth -= 1
        elif c == "," and depth == 0:
            items.append(text[start:i].strip())
            start = i + 1
    items.append(text[start:].strip())
    return [item for item in items if item]


def _type(number: int, text: str, symbols: dict[str, Dim]) -> TensorType:
    match = re.fullmatch(r"(\w+)\[(.*)\]", text.strip())
    dtype = dtypes.long(match.group(1)) if match else None
    if match is None or dtype is None:
        raise _fail(number, text, "a type such as f32[1, 224, 224, 3]")
    shape: list[int | Dim] = []
    for item in _split(match.group(2)):
        part = re.fullmatch(r"(\d+)|(?:(\d+)<=)?(?:(\d+)\*)?([A-Za-z_]\w*)<=(\d+)", item)
        if part is None:
            raise _fail(number, item, "a number or name<=bound")
        known, low, times, name, high = part.groups()
        if known:
            shape.append(int(known))
            continue
        count = int(times or 1)
        dim = Dim(name, int(high), int(low or count), count)
        if not count or dim.max % count or dim.min % count:
            raise _fail(number, item, "bounds that are multiples, as a dim times*name is")
        # What is said first of a name holds for all: types that differ are errors.
        first = symbols.setdefault(name, dim.symbol)
        shape.append(first.merged(count) if count > 1 else first)
    return TensorType(tuple(shape), dtype)


def _declaration(number: int, text: str, symbols: dict[str, Dim]) -> tuple[str, TensorType]:
    match = re.fullmatch(rf"%({_NAME}): (.+)", text)
    if match is None:
        raise _fail(number, text, "%name: type")
    return match.group(1), _type(number, match.group(2), symbols)


def _weight(
    builder: Builder,
    known: dict[str, Value],
    number: int,
    line: str,
    symbols: dict[str, Dim],
    weights: Mapping[str, np.ndarray],
) -> None:
    declared, _, literal = line.removeprefix("weight ").partition(" = ")
    name, type = _declaration(number, declared, symbols)
    if literal and type.static:
        try:
            flat = np.asarray(json.loads(literal), dtypes.to_numpy(type.dtype))
            array = flat.reshape(type.bound)
        except (ValueError, TypeError, OverflowError):
            raise _fail(number, line, f"{type.size} numbers in brackets") from None
    elif name in weights:
        array = np.asarray(weights[name])
        if not type.takes(array.shape) or array.dtype != dtypes.to_numpy(type.dtype):
            raise FanlightError(
                "E-GRAPH-006",
                f"the array given for %{name} does not have its type.",
                where=f"line {number}",
                expected=type,
                received=f"{array.dtype}{list(array.shape)}",
            )
    else:
        raise FanlightError(
            "E-GRAPH-006", f"no array was given for the weight %{name}.", where=f"line {number}"
        )
    known[name] = builder.weight(array, name, type.shape)


def _node(
    builder: Builder,
    known: dict[str, Value],
    number: int,
    line: str,
    symbols: dict[str, Dim],
    inner: Mapping[str, Subgraph],
) -> None:
    match = re.fullmatch(
        r"(%.+?) = (\w+)\(([^)]*)\)(?: \{(.*)\})?(?: @ (\"(?:[^\"\\]|\\.)*\"))?", line
    )
    if match is None:
        raise _fail(number, line, "%name: type = op(%input, ...) {attr=value, ...}")
    results, op, inputs, attr_text, node_name = match.groups()
    attrs: dict[str, Any] = dict(inner)
    for item in _split(attr_text or ""):
        key, equals, value = item.partition("=")
        try:
            attrs[key.strip()] = _frozen(json.loads(value))
        except (ValueError, TypeError, RecursionError):
            raise _fail(number, item, "attr=value, the value as JSON") from None
        if not equals:
            raise _fail(number, item, "attr=value")
    operands = []
    for item in _split(inputs):
        if item[:1] != "%" or item[1:] not in known:
            raise _fail(number, item, "a %value defined above")
        operands.append(known[item[1:]])
    targets = _split(results)
    names = [t.partition(":")[0].strip().removeprefix("%") for t in targets]
    for value_name in names:
        if value_name in known:
            raise FanlightError(
                "E-GRAPH-002", f"the name %{value_name} is taken twice.", where=f"line {number}"
            )
    source = json.loads(node_name) if node_name else names[0]
    made = builder.add(op, *operands, name=source, outputs=names, **attrs)
    values = made if isinstance(made, tuple) else (made,)
    if len(values) != len(targets):
        raise _fail(number, results, f"{len(values)} results")
    for target, value_name, value in zip(targets, names, values, strict=True):
        stated = target.partition(":")[2].strip()
        if stated and _type(number, stated, symbols) != value.type:
            raise FanlightError(
                "E-GRAPH-003",
                f"%{value_name} does not have the type that {op} gives.",
                where=f"line {number}",
                expected=value.type,
                received=stated,
            )
        known[value_name] = value

"""Branches and loops: library functions that StatelessIf and StatelessWhile name."""

from __future__ import annotations

from typing import Any

from fanlight.formats.tfgraph_writer.nodes import NodeWriter, Out, dtype, shape_of
from fanlight.graph import Subgraph


def function(o: Out, body: Subgraph, part: str, more: int = 0) -> str:
    """A FunctionDef of a sub-graph; its name. `more` of its inputs are results, too: a loop's
    body gives back what it only reads.
    """
    name = o.w.fresh(f"{o.name}_{part}".replace("/", "_"))
    inner = NodeWriter(o.w._emit, f"{name}/", o.w)
    arguments = []
    for v in body.graph.inputs:
        argument = inner.fresh(v.name)
        arguments.append({"name": argument, "type": dtype(v.dtype)})
        inner.bind(v, argument)
    results = inner.run(body.graph)
    if more:
        results += [a["name"] for a in arguments[-more:]]
    types = [v.dtype for _, v in body.graph.outputs]
    types += [v.dtype for v in body.graph.inputs[-more:]] if more else []
    outputs = [
        inner.add("Identity", [r], f"result_{i}", T={"type": dtype(t)})
        for i, (r, t) in enumerate(zip(results, types, strict=True))
    ]
    for node in inner.nodes:
        node["input"] = [_inside(i, {a["name"] for a in arguments}) for i in node.get("input", [])]
    o.w.functions.append(
        {
            "signature": {
                "name": name,
                "inputArg": arguments,
                "outputArg": [{"name": f"out_{i}", "type": dtype(t)} for i, t in enumerate(types)],
            },
            "nodeDef": inner.nodes,
            "ret": {f"out_{i}": f"{n}:output:0" for i, n in enumerate(outputs)},
        }
    )
    return name


def _inside(reference: str, arguments: set[str]) -> str:
    """References of nodes inside functions name the output, too."""
    if reference in arguments:
        return reference
    name, _, index = reference.partition(":")
    return f"{name}:output:{index or 0}"


def _types(values: Any) -> dict[str, Any]:
    return {"list": {"type": [dtype(v.dtype) for v in values]}}


def _shapes(values: Any) -> dict[str, Any]:
    return {"list": {"shape": [shape_of(v.shape) for v in values]}}


def _several(made: str, count: int) -> list[str]:
    return [made, *(f"{made}:{i}" for i in range(1, count))]


def cond(o: Out) -> list[str]:
    names: dict[str, Any] = {
        f"{way}_branch": {"func": {"name": function(o, o.attrs[f"{fn}_fn"], fn), "attr": {}}}
        for way, fn in (("then", "true"), ("else", "false"))
    }
    o.w.dynamic.append(o.name)
    made = o.op(
        "StatelessIf",
        o.inputs,
        Tcond={"type": "DT_BOOL"},
        Tin=_types(o.node.inputs[1:]),
        Tout=_types(o.node.outputs),
        output_shapes=_shapes(o.node.outputs),
        **names,
    )
    return _several(made, len(o.node.outputs))


def while_loop(o: Out) -> list[str]:
    rest = len(o.node.inputs) - o.attrs["carried"]
    test = function(o, o.attrs["cond_fn"], "cond")
    body = function(o, o.attrs["body_fn"], "body", rest)
    o.w.dynamic.append(o.name)
    made = o.op(
        "StatelessWhile",
        o.inputs,
        T=_types(o.node.inputs),
        output_shapes=_shapes(o.node.inputs),
        cond={"func": {"name": test, "attr": {}}},
        body={"func": {"name": body, "attr": {}}},
        parallel_iterations={"i": "10"},
    )
    return _several(made, len(o.node.outputs))


WRITES: dict[str, Any] = {"cond": cond, "while_loop": while_loop}

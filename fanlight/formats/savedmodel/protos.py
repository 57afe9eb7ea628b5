"""TensorFlow's messages in the form that its JSON has, so that one reader of graphs takes both.

A GraphDef becomes what protobuf's MessageToDict writes and TF.js's graph-models contain. Tensors
alone stay as they are (`Message`s without a copy), since they may hold most of the file.

Numbers of fields: tensorflow/core/framework/{graph,node_def,attr_value,tensor_shape,function,
op_def}.proto and tensorflow/core/protobuf/{saved_model,meta_graph}.proto.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from fanlight.errors import FanlightError
from fanlight.formats.wire import Message

Json = dict[str, Any]
# Attributes may hold functions whose attributes hold lists of functions: honest ones, not deeply.
_MOST_DEPTH = 16


def graph_def(message: Message, where: str) -> Json:
    """A GraphDef: {"node": [...], "functions": {name: FunctionDef, as it is in the file}}.

    Control inputs are kept as "^n". Functions are for `library`: most of them train, save and
    restore, and would take longer to read than the model.
    """
    library = message.message(2, f"the library of {where}")
    functions = library.messages(1, f"a function of {where}") if library else ()
    named = {(f.message(1) or f).text(1): f for f in functions if 1 in f.fields}
    return {
        "node": [node_def(n) for n in message.messages(1, f"a node of {where}")],
        "functions": named,
    }


def library(graph: Json, nodes: Iterable[Json]) -> Json:
    """The functions that some nodes call, and those that these call: {"function": [...]}."""
    made: dict[str, Json] = {}
    waiting = list(nodes)
    while waiting:
        for name in _called(waiting.pop()):
            if name in graph["functions"] and name not in made:
                made[name] = function_def(graph["functions"][name])
                waiting.extend(made[name]["nodeDef"])
    return {"function": list(made.values())}


def _called(node: Json) -> list[str]:
    """The functions that a node names: in its attributes, or by its op."""
    found = [node["op"]]
    for value in node["attr"].values():
        listed = value.get("list", {}).get("func", [])
        found += [f["name"] for f in [value.get("func"), *listed] if f]
    return found


def by_name(nodes: Iterable[Json], where: str) -> dict[str, Json]:
    """Nodes by name; E-FORMAT-005 if two have one."""
    found: dict[str, Json] = {}
    for node in nodes:
        if node["name"] in found:
            raise FanlightError(
                "E-FORMAT-005",
                "two nodes have one name.",
                where=where,
                expected="every node under a name of its own",
                received=node["name"][:120],
            )
        found[node["name"]] = node
    return found


def node_def(message: Message) -> Json:
    """A NodeDef: name, op, inputs, attributes."""
    return {
        "name": message.text(1),
        "op": message.text(2),
        "input": message.texts(3),
        "attr": _attrs(message, 5, 0),
    }


def function_def(message: Message) -> Json:
    """A FunctionDef: its signature, nodes, and what it returns."""
    signature = message.message(1) or Message(b"", message.where)
    return {
        "signature": {
            "name": signature.text(1),
            "inputArg": [_argument(a) for a in signature.messages(2)],
            "outputArg": [_argument(a) for a in signature.messages(3)],
        },
        "nodeDef": [node_def(n) for n in message.messages(3)],
        "ret": {e.text(1): e.text(2) for e in message.messages(4)},
        "attr": _attrs(message, 5, 0),
    }


def _argument(message: Message) -> Json:
    return {
        "name": message.text(1),
        "type": message.whole(3),
        "typeAttr": message.text(4),
        "numberAttr": message.text(5),
        "typeListAttr": message.text(6),
    }


def _attrs(message: Message, number: int, depth: int) -> Json:
    found = {}
    for entry in message.messages(number):
        value = entry.message(2, f"attr {entry.text(1)[:80]} of {message.where}")
        found[entry.text(1)] = attr_value(value, depth) if value else {}
    return found


def attr_value(message: Message, depth: int = 0) -> Json:
    """An AttrValue: {"i": "3"}, {"s": base64}, {"list": {...}}, ..."""
    if depth > _MOST_DEPTH:
        raise FanlightError(
            "E-FORMAT-004",
            "attributes are nested too deeply to be a model's.",
            where=message.where,
            expected=f"at most {_MOST_DEPTH} levels",
            received="more",
        )
    kind = next(iter(message.fields), 0)
    if kind == 1:
        return {"list": _list_value(message.message(1) or message, depth)}
    if kind == 2:
        return {"s": _base64(message.data(2))}
    if kind == 3:
        return {"i": message.whole(3)}
    if kind == 4:
        return {"f": message.real(4)}
    if kind == 5:
        return {"b": bool(message.uint(5))}
    if kind == 6:
        return {"type": message.whole(6)}
    if kind == 7:
        return {"shape": shape(message.message(7))}
    if kind == 8:
        return {"tensor": message.message(8)}
    if kind == 10:
        function = message.message(10)
        return {"func": _function(function, depth)} if function else {}
    return {}


def _function(message: Message, depth: int) -> Json:
    return {"name": message.text(1), "attr": _attrs(message, 2, depth + 1)}


def _list_value(message: Message, depth: int) -> Json:
    made: Json = {}
    if 2 in message.fields:
        made["s"] = [_base64(s) for s in message.datas(2)]
    if 3 in message.fields:
        made["i"] = message.ints(3)
    if 4 in message.fields:
        made["f"] = [float(f) for f in message.floats(4)]
    if 5 in message.fields:
        made["b"] = [bool(b) for b in message.ints(5)]
    if 6 in message.fields:
        made["type"] = message.ints(6)
    if 7 in message.fields:
        made["shape"] = [shape(s) for s in message.messages(7)]
    if 9 in message.fields:
        made["func"] = [_function(f, depth) for f in message.messages(9)]
    return made


def shape(message: Message | None) -> Json:
    """A TensorShapeProto; a missing one is a scalar's, as proto3 has it."""
    if message is None:
        return {"dim": []}
    if message.uint(3):
        return {"unknownRank": True}
    return {"dim": [{"size": d.whole(1)} for d in message.messages(2)]}


def _base64(data: memoryview) -> str:
    return base64.b64encode(data).decode("ascii")


def signatures(message: Message) -> dict[str, Json]:
    """The signatures of a MetaGraphDef by key: {"inputs": {name: info}, "outputs": ...}."""
    found = {}
    for entry in message.messages(5, f"a signature of {message.where}"):
        value = entry.message(2)
        if value is not None:
            found[entry.text(1)] = {
                "inputs": {e.text(1): _tensor_info(e) for e in value.messages(1)},
                "outputs": {e.text(1): _tensor_info(e) for e in value.messages(2)},
            }
    return found


def _tensor_info(entry: Message) -> Json:
    info = entry.message(2) or Message(b"", entry.where)
    has_shape = 3 in info.fields
    return {
        "name": info.text(1),
        "dtype": info.whole(2),
        "tensorShape": shape(info.message(3)) if has_shape else None,
    }


def collection(message: Message, name: str) -> list[str]:
    """The names of nodes in a collection of a MetaGraphDef."""
    for entry in message.messages(4):
        value = entry.message(2)
        nodes = value.message(1) if entry.text(1) == name and value else None
        if nodes is not None:
            return nodes.texts(1)
    return []


def assets(message: Message) -> dict[str, str]:
    """Name of the tensor that holds the path -> file name, of a MetaGraphDef's assets."""
    found = {}
    for asset in message.messages(6):
        info = asset.message(1)
        if info is not None:
            found[info.text(1).removesuffix(":0")] = asset.text(2)
    return found

"""Which variable of the checkpoint is behind a node of the graph.

A SavedModel of TensorFlow 2 holds a graph of objects, the checkpoint another one; both have the
same names of children. The functions say which objects are behind their last inputs. TensorFlow 1
has the nodes that would restore its variables: these say it.
"""

from __future__ import annotations

import base64
import re
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from fanlight.formats.savedmodel.graph import VARIABLES
from fanlight.formats.savedmodel.protos import Json
from fanlight.formats.savedmodel.tensorbundle import Bundle
from fanlight.formats.savedmodel.tensors import tensor
from fanlight.formats.tfgraph.library import CALLS
from fanlight.formats.wire import Message

_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
_Slice = tuple[tuple[int, int | None], ...]


@dataclass(frozen=True)
class Place:
    """Where the value of a variable is: a key of the checkpoint, and which part of it."""

    key: str
    part: _Slice | None = None


def places(nodes: Mapping[str, Json], objects: Message | None, bundle: Bundle) -> dict[str, Place]:
    """Node of a variable in the main graph -> where its value is."""
    found = _restored(nodes)
    if objects is not None and _OBJECTS in bundle:
        stored = Message(bundle.text(_OBJECTS), f"the objects of {bundle.where}")
        found |= _by_objects(nodes, objects, stored)
    for name, node in nodes.items():
        if node["op"] in VARIABLES and name not in found:
            for key in (_text(node, "shared_name"), name):
                if key and key in bundle:
                    found[name] = Place(key)
    return found


def _by_objects(nodes: Mapping[str, Json], objects: Message, stored: Message) -> dict[str, Place]:
    saved = list(objects.messages(1))
    kept = list(stored.messages(1))
    keys = {
        index: key
        for index, other in _paired(saved, kept).items()
        if (key := _key(kept[other])) is not None
    }
    found: dict[str, Place] = {}
    # By name, where no function tells: the full name that the checkpoint noted for a variable.
    named = {name: key for item in kept for name, key in _names(item) if name}
    for index, item in enumerate(saved):
        variable = item.message(7)
        if variable is not None and variable.text(6) and index in keys:
            named.setdefault(variable.text(6), keys[index])
    for name, node in nodes.items():
        if node["op"] in VARIABLES:
            for key in (_text(node, "shared_name"), name):
                if key in named:
                    found[name] = Place(named[key])
                    break
    for name, index in _bound(nodes, objects).items():
        if index in keys:
            found[name] = Place(keys[index])
    return found


def _bound(nodes: Mapping[str, Json], objects: Message) -> dict[str, int]:
    """Node -> the object of the SavedModel that it stands for, as the functions say it."""
    found: dict[str, int] = {}
    functions = {e.text(1): m.ints(2) for e in objects.messages(2) if (m := e.message(2))}
    for node in nodes.values():
        if node["op"] not in CALLS:
            continue
        bound = functions.get(node["attr"].get("f", {}).get("func", {}).get("name", ""), [])
        inputs = [i for i in node["input"] if not i.startswith("^")]
        if not bound or len(bound) > len(inputs):
            continue
        for ref, index in zip(inputs[-len(bound) :], bound, strict=True):
            found[ref.split(":")[0]] = index
    return found


def table_keys(
    nodes: Mapping[str, Json], objects: Message | None, bundle: Bundle, makes: Collection[str]
) -> dict[str, tuple[str, str]]:
    """Node of a table that the checkpoint keeps -> where its keys and its values are.

    Args:
        makes: the ops that make tables.
    """
    bases: dict[str, list[str]] = {
        name: [key for key in (_text(node, "shared_name"), name) if key]
        for name, node in nodes.items()
        if node["op"] in makes
    }
    if objects is not None and _OBJECTS in bundle:
        stored = Message(bundle.text(_OBJECTS), f"the objects of {bundle.where}")
        kept = list(stored.messages(1))
        pairs = _paired(list(objects.messages(1)), kept)
        for name, index in _bound(nodes, objects).items():
            if name in bases and index in pairs:
                bases[name] += [a.text(3) for a in kept[pairs[index]].messages(2)]
    found: dict[str, tuple[str, str]] = {}
    for name, keys in bases.items():
        for key in keys:
            base = key.removesuffix("-keys").removesuffix("-values")
            if f"{base}-keys" in bundle and f"{base}-values" in bundle:
                found[name] = (f"{base}-keys", f"{base}-values")
    return found


def _paired(saved: list[Message], kept: list[Message]) -> dict[int, int]:
    """Object of the SavedModel -> object of the checkpoint, by the names on the way to them."""
    pairs = {0: 0} if saved and kept else {}
    waiting = deque(pairs)
    children: dict[int, dict[str, int]] = {}  # each is read once, whoever it is paired with
    while waiting:
        index = waiting.popleft()
        place = pairs[index]
        if place not in children:
            children[place] = {c.text(2): c.whole(1) for c in kept[place].messages(1)}
        theirs = children[place]
        for child in saved[index].messages(1):
            number, other = child.whole(1), theirs.get(child.text(2))
            known = other is not None and 0 <= other < len(kept) and 0 <= number < len(saved)
            if known and other is not None and number not in pairs:
                pairs[number] = other
                waiting.append(number)
    return pairs


def _key(item: Message) -> str | None:
    """The key of the value of an object of the checkpoint."""
    found = [(a.text(1), a.text(3)) for a in item.messages(2)]
    return next((key for name, key in found if name == "VARIABLE_VALUE"), None)


def _names(item: Message) -> list[tuple[str, str]]:
    return [(a.text(2), a.text(3)) for a in item.messages(2) if a.text(1) == "VARIABLE_VALUE"]


def _restored(nodes: Mapping[str, Json]) -> dict[str, Place]:
    """What the nodes of a Saver would assign: variable -> its name in the checkpoint."""
    found: dict[str, Place] = {}
    tables: dict[str, tuple[list[str], list[str]]] = {}
    for node in nodes.values():
        if node["op"] not in ("Assign", "AssignVariableOp") or len(node["input"]) < 2:
            continue
        variable, value = node["input"][0], node["input"][1]
        for _ in range(8):
            source = nodes.get(value.split(":")[0])
            if source is None or source["op"] not in ("Identity", "Reshape") or not source["input"]:
                break
            value = source["input"][0]
        if source is None or source["op"] != "RestoreV2" or len(source["input"]) < 3:
            continue
        if source["name"] not in tables:
            tables[source["name"]] = (_texts(nodes, source, 1), _texts(nodes, source, 2))
        names, slices = tables[source["name"]]
        number = value.partition(":")[2] or "0"
        index = int(number) if number.isascii() and number.isdigit() and len(number) < 8 else -1
        if 0 <= index < len(names):
            part = slices[index] if index < len(slices) else ""
            found[variable.split(":")[0]] = Place(names[index], _part(part))
    return found


def _texts(nodes: Mapping[str, Json], node: Json, index: int) -> list[str]:
    """The texts of a constant input."""
    source = nodes.get(node["input"][index].split(":")[0])
    value = source["attr"].get("value", {}).get("tensor") if source else None
    if not isinstance(value, Message):
        return []
    found = tensor(value, f"node {node['name']!r}").reshape(-1)
    if found.dtype != object:
        return []
    return [text.decode("utf-8", "replace") for text in found]


def _part(text: str) -> _Slice | None:
    """ "4 5 0,2:-" is rows 0 and 1 of a [4, 5]; nothing is the whole."""
    last = text.split(" ")[-1]
    if not text or not re.fullmatch(r"(-|\d{1,12},\d{1,12})(:(-|\d{1,12},\d{1,12}))*", last):
        return None
    return tuple(
        (0, None) if p == "-" else (int(p.split(",")[0]), int(p.split(",")[1]))
        for p in last.split(":")
    )


def _text(node: Json, name: str) -> str:
    """A text attribute; they are in base64."""
    return base64.b64decode(node["attr"].get(name, {}).get("s", "")).decode("utf-8", "replace")

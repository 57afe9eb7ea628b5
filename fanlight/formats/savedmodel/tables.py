"""The tables of a SavedModel or frozen graph: what its initializer, its assets, its variables fill.

Files of words are read from the folder `assets` beside the graph only, whatever the graph says.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.files import inside, read_bytes
from fanlight.formats.manifest import Skipped
from fanlight.formats.savedmodel.graph import parts
from fanlight.formats.savedmodel.objects import table_keys
from fanlight.formats.savedmodel.protos import Json
from fanlight.formats.savedmodel.tensorbundle import Bundle
from fanlight.formats.textpart import lines_of
from fanlight.formats.tfgraph.library import identity_of, inlined
from fanlight.formats.tfgraph.nodes import GraphNode, Ref, graph_dtype
from fanlight.formats.tfgraph.tables import FILLS, MAKES, table
from fanlight.formats.tfgraph.text import MOST, MOST_BYTES, Table
from fanlight.formats.wire import Message

_FROM_FILES = frozenset(("InitializeTableFromTextFile", "InitializeTableFromTextFileV2"))
_LINE, _NUMBER = -2, -1  # what stands for a whole line, and for its number


def tables_of(
    parsed: Json,
    used: Mapping[str, GraphNode],
    initializers: Sequence[str],
    constants_of: Any,
    assets: Mapping[str, str],
    bundle: Bundle | None,
    objects: Message | None,
    file: Path,
    given: Container[str] = (),
) -> dict[str, Table]:
    """The tables that nodes of a model take, by the name of the node that makes each.

    Args:
        parsed: as `protos.graph_def` makes it.
        used: the nodes of the model, functions written out.
        initializers: names of nodes that run before the model does.
        constants_of: constants as parsed, by name -> their arrays.
        assets: as `protos.assets` makes it.
        given: names of tables that the caller fills, so that nothing else has to.

    Raises:
        FanlightError: E-FORMAT-006, -010 a file of words; E-FORMAT-012 what does not fit.
    """
    wanted = {n.name: n for n in used.values() if n.op in MAKES}
    if not wanted:
        return {}
    top = {n["name"]: n for n in parsed["node"]}
    fills = [n for n, node in top.items() if node["op"] in FILLS | _FROM_FILES]
    starts = [*(n for n in initializers if n in top), *fills]
    found = parts(parsed, starts, frozenset(), file)
    # What fills a table gives nothing: it stands in a function that is only run.
    nodes = inlined(found.nodes, found.functions)
    arrays = constants_of(found.constants)
    made: dict[str, Table] = {}
    named: dict[str, str] = {}
    for node in nodes.values():
        if node.op not in FILLS | _FROM_FILES or len(node.inputs) < 2:
            continue
        behind = [_behind(ref, nodes, node) for ref in node.inputs[:3]]
        maker = behind[0]
        if maker.name in given:
            continue
        known = [_constant(n, arrays, maker.name) for n in behind[1:]]
        if node.op in _FROM_FILES:
            keys, values = _of_file(node, maker, behind[1].name, known[0], assets, file)
        elif len(known) == 2:
            keys, values = known
        else:
            continue
        made[maker.name] = table(keys, values, maker.name, node.where)
        shared = maker.attrs.text("shared_name")
        if shared:
            named[shared] = maker.name
    for name, node in wanted.items():
        other = named.get(node.attrs.text("shared_name"))
        if name not in made and other is not None:
            made[name] = made[other]
    if bundle is not None:
        for name, (keys_at, values_at) in table_keys(top, objects, bundle, MAKES).items():
            if name in wanted and name not in made:
                stored = bundle.any_array(keys_at), bundle.any_array(values_at)
                made[name] = table(*stored, name, wanted[name].where)
    return {name: made[name] for name in wanted if name in made}


def _behind(ref: Ref, nodes: Mapping[str, GraphNode], user: GraphNode) -> GraphNode:
    """What a node takes, without the identities around it; E-FORMAT-016 if there is none."""
    name = identity_of(ref, nodes).node
    if name not in nodes:
        raise FanlightError(
            "E-FORMAT-016",
            f"the graph has no node {name[:120]!r}.",
            where=user.where,
            expected="the name of a node",
            received=name[:120],
        )
    return nodes[name]


def _constant(
    node: GraphNode, arrays: Mapping[str, np.ndarray | Skipped], filled: str
) -> np.ndarray:
    array = arrays.get(node.key or node.name) if node.op == "Const" else None
    found = array.texts if isinstance(array, Skipped) else array
    if found is None:
        raise FanlightError(
            "E-FORMAT-012",
            "a table is filled with what is computed.",
            where=f"{node.where} ({node.op})",
            expected="keys and values that are constants, or a file of them",
            received=node.op,
            next=f"give its words yourself: fl.load(path, tables={{{filled!r}: words}}), or "
            f"fanlight convert --table {filled}=words.txt.",
        )
    return found


def _of_file(
    node: GraphNode,
    maker: GraphNode,
    asset: str,
    path: np.ndarray,
    assets: Mapping[str, str],
    file: Path,
) -> tuple[np.ndarray, np.ndarray]:
    """Keys and values of a file's lines."""
    if path.size != 1 or path.dtype.kind != "O":
        raise FanlightError(
            "E-FORMAT-005", "a table is filled of no file.", where=node.where,
            expected="one path", received=f"{path.size} {path.dtype}",
        )  # fmt: skip
    said = path.reshape(-1)[0].decode("utf-8", "replace")
    # What the graph holds is a path where it was trained; its last part is what was kept.
    name = assets.get(asset) or PurePosixPath(said.replace("\\", "/")).name
    where = inside(file.parent / "assets", name, node.where)
    if not where.is_file() and asset not in assets:
        where = inside(file.parent, name, node.where)
    lines = lines_of(read_bytes(where, "E-FORMAT-006", "a file of words", MOST_BYTES))
    size = node.attrs.whole("vocab_size", -1)
    if size > len(lines) or len(lines) > MOST:
        raise FanlightError(
            "E-FORMAT-011",
            "a file of words has another number of lines than the graph says.",
            where=where,
            expected=f"{size:,}" if size > len(lines) else f"at most {MOST:,}",
            received=f"{len(lines):,}",
        )
    lines = lines[:size] if size >= 0 else lines
    return (
        _column(node, lines, "key_index", maker.attrs.raw_type("key_dtype"), where),
        _column(node, lines, "value_index", maker.attrs.raw_type("value_dtype"), where),
    )


def _column(
    node: GraphNode, lines: Sequence[bytes], index: str, kind: object, where: Path
) -> np.ndarray:
    """Keys or values: whole lines, their numbers, or one of their columns."""
    at = node.attrs.whole(index, _LINE)
    if at == _NUMBER:
        offset = node.attrs.whole("offset", 0)
        if not 0 <= offset < 1 << 30:
            raise _unread(node, where, "an offset of lines", offset)
        return np.arange(offset, offset + len(lines), dtype=np.int32)
    mark = node.attrs.text("delimiter", "\t").encode()
    cells = list(lines)
    if at != _LINE:
        rows = [line.split(mark) for line in lines] if mark else []
        if len(rows) != len(lines) or any(not 0 <= at < len(row) for row in rows):
            raise _unread(node, where, f"a column {at} in every line", repr(mark))
        cells = [row[at] for row in rows]
    if kind in ("DT_STRING", 7):
        column = np.empty(len(cells), object)
        column[:] = cells
        return column
    dtype = graph_dtype(kind, f"{index} of {node.where}")
    try:
        return np.array([float(c) if dtype == "float32" else int(c) for c in cells], dtype)
    except (ValueError, OverflowError):
        raise _unread(node, where, f"numbers ({dtype})", "words") from None


def _unread(node: GraphNode, where: Path, expected: str, received: object) -> FanlightError:
    return FanlightError(
        "E-FORMAT-012",
        f"{node.op}: a file of words has not what the graph takes of it.",
        where=where,
        expected=expected,
        received=received,
    )

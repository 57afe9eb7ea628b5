"""The names of a program's results, where its forward gives them by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fanlight.errors import FanlightError
from fanlight.formats.jsonfile import parse_json

_MOST = 10_000
_DEEPEST = 64


def result_names(module: Mapping[str, Any], where: str) -> list[str | None]:
    """What each result is called by the keys of dicts that it is in; None for one that is in none.

    Torch writes the form of the results as a text of JSON, [1, {type, context, children_spec}]; the
    context of a dict has its keys. [] where the program does not say it, or says it in another way:
    these are names, and nothing is computed with them.
    """
    calls = module.get("module_call_graph")
    first = calls[0] if isinstance(calls, list) and calls else None
    signature = first.get("signature") if isinstance(first, dict) else None
    text = signature.get("out_spec") if isinstance(signature, dict) else None
    if not isinstance(text, str):
        return []
    try:
        spec = parse_json(text.encode("utf-8", "replace"), where)
        found: list[str | None] = []
        _leaves(spec[1] if isinstance(spec, list) and len(spec) == 2 else None, (), found, where)
    except FanlightError:
        return []
    return found


def _leaves(spec: Any, path: tuple[str, ...], found: list[str | None], where: str) -> None:
    """Append the names of all leaves below `spec`, in order."""
    children = spec.get("children_spec") if isinstance(spec, dict) else None
    if not isinstance(children, list) or len(path) > _DEEPEST or len(found) > _MOST:
        raise FanlightError(
            "E-FORMAT-005",
            "the results of the program have another form.",
            where=where,
            expected='{"type": ..., "context": ..., "children_spec": [...]}',
            received=repr(spec)[:120],
        )
    if spec.get("type") is None:  # an array, or a constant
        named = any(not part.isdigit() for part in path)
        found.append("_".join(path) if named else None)
        return
    keys = _keys(spec.get("context"), len(children), where)
    for index, child in enumerate(children):
        _leaves(child, (*path, keys[index] if keys else str(index)), found, where)


def _keys(context: Any, count: int, where: str) -> list[str]:
    """The keys of a dict, or of a class that is one; [] for lists and tuples."""
    if not isinstance(context, str):
        return []
    keys = parse_json(context.encode("utf-8", "replace"), where)
    right = isinstance(keys, list) and len(keys) == count
    return keys if right and all(isinstance(k, str) and k for k in keys) else []

"""The check of manifests beside jsonschema's, on manifests that are damaged in all ways."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

import fanlight as fl
from fanlight.bundle.read import schema
from fanlight.bundle.schema import fault

WRONG: list[Any] = [None, True, 0, 1, -1, 1.5, 4.0, "", "x", "../x", [], [1], {}, {"a": 1}]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("bundle")
    inputs = {"x": fl.spec(("n", 3))}
    made = fl.build(lambda x: fl.relu(x @ fl.ones((3, 4))), folder / "b", inputs=inputs,
                    dims={"n": 5})  # fmt: skip
    return made.manifest


def _oracle() -> Any:
    import jsonschema  # type: ignore[import-untyped]

    base = jsonschema.Draft202012Validator
    whole = base.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    return jsonschema.validators.extend(base, type_checker=whole)(schema())


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    return [path, *(p for k in keys for p in _places(value[k], (*path, k)))]


def _damaged(manifest: Any, chance: random.Random) -> Any:
    made = copy.deepcopy(manifest)
    for _ in range(chance.choice((1, 1, 2))):
        path = chance.choice([p for p in _places(made) if p])
        inner = made
        for key in path[:-1]:
            inner = inner[key]
        how = chance.random()
        if how < 0.25:
            del inner[path[-1]]
        elif how < 0.4 and isinstance(inner, dict):
            inner["surplus"] = chance.choice(WRONG)
        elif how < 0.5 and isinstance(inner, list):
            inner.append(copy.deepcopy(inner[path[-1]]))
        else:
            inner[path[-1]] = chance.choice(WRONG)
    return made


def test_a_manifest_has_no_fault(manifest: Any) -> None:
    assert fault(manifest, schema()) is None


def test_damaged_manifests_are_told_where_jsonschema_tells_them(manifest: Any) -> None:
    chance, oracle, refused = random.Random(7), _oracle(), 0
    for _ in range(1500):
        made = _damaged(manifest, chance)
        theirs = [tuple(e.absolute_path) for e in oracle.iter_errors(made)]
        ours = fault(made, schema())
        assert (ours is None) == (not theirs), (ours, theirs)
        if ours is not None:
            refused += 1
            assert ours.path in theirs or any(p == ours.path[: len(p)] for p in theirs)
    assert 1000 < refused < 1500


def test_keywords_that_are_not_checked_are_noticed() -> None:
    with pytest.raises(ValueError, match="multipleOf"):
        fault(3, {"multipleOf": 2})
    assert fault({"a": 1}, {"additionalProperties": False}) is not None
    assert fault(1, {"enum": [True]}) is not None and fault(True, {"const": 1}) is not None

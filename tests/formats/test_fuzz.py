"""Readers against mutated files: they load, or they refuse with one coded error. Nothing else.

tools/fuzz_readers.py does so for as long as one likes.
"""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import fanlight.formats.keras.model
import fanlight.formats.tfgraph.reader  # noqa: F401  (fills the table of ops)
from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.formats.jsonfile import parse_json
from fanlight.formats.keras.call import LAYERS
from fanlight.formats.tfgraph.call import HANDLERS
from fanlight.graph import verify
from tests.formats import crafted

# What strangers write where something else belongs.
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 7, 255, 2**31, -(2**31), 2**63, 10**30, 1e308, float("nan"),
    float("inf"), 0.5, "", "x", "a/b", "../x", "linear", "softmax", "same", "causal", "float16",
    "string", "channels_first", "DT_STRING", "DT_INT32", "-1", "99999999999", "^x", "x:1",
    "x:99999", [], [1], [None], [1, 1], [0, 0], [-1], [1, 2, 3, 4], [[1, 1], [1, 1]],
    [[["x", 0, 0]]], {}, {"s": [300]}, {"i": "1"}, {"b": True}, [2**40] * 4, 100_000,
    {"class_name": "__keras_tensor__", "config": {"keras_history": ["a", 0, 0]}},
    {"class_name": "ReLU", "config": {}}, {"class_name": "Sequential", "config": {"layers": []}},
]  # fmt: skip
OPTIONS = (
    "units kernel_size filters axis size n dims target_shape height width pool_size padding "
    "cropping alpha strides mean variance scale offset groups dilation_rate activation"
).split()
CHOICES: list[dict[str, Any]] = [
    {},
    {"size": 8},
    {"input_shapes": {"x": (1, 4)}},
    {"weights": "random"},
]


def bases() -> list[dict[str, Any]]:
    """Whole model.json files of every dialect, and their weights under "bytes"."""
    cnn, arrays = crafted.small_cnn()
    found = [(crafted.keras2(cnn), arrays)]
    for model in (crafted.functional(), crafted.functional_keras3()):
        found.append((crafted.keras2(model), crafted.functional_weights()))
    found += [crafted.small_graph(codes) for codes in (False, True)]
    return [
        {
            "model": {"modelTopology": t, "weightsManifest": crafted.manifest(a)},
            "bytes": b"".join(x.tobytes() for x in a.values()),
        }
        for t, a in found
    ]


BASES = bases()


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The paths of everything inside a JSON value."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))
        else:
            yield (*path, key)


def at(value: Any, path: tuple) -> Any:
    for key in path:
        value = value[key]
    return value


def mutate(model: Any, rng: random.Random) -> None:
    """Delete, replace, swap or repeat something somewhere."""
    paths = list(places(model))
    if not paths:
        return
    *lead, last = rng.choice(paths)
    parent, action = at(model, tuple(lead)), rng.random()
    if action < 0.15:
        del parent[last]
    elif action < 0.65:
        parent[last] = copy.deepcopy(rng.choice(VALUES))
    elif action < 0.85:
        parent[last] = copy.deepcopy(at(model, rng.choice(paths)))
    elif isinstance(parent, dict):
        parent[rng.choice(OPTIONS)] = copy.deepcopy(rng.choice(VALUES))
    else:
        parent.insert(last, copy.deepcopy(parent[last]))


def swap_kind(model: Any, rng: random.Random) -> None:
    """Make one node or layer another one, with options that may not suit it."""
    topology = model["modelTopology"]
    if "node" in topology:
        names = [n["name"] for n in topology["node"]]
        victim = rng.choice([n for n in topology["node"] if n["op"] != "Const"])
        victim["op"] = rng.choice(sorted(HANDLERS))
        if rng.random() < 0.5:
            victim["input"] = [rng.choice(names) for _ in range(rng.randint(0, 4))]
        return
    victim = rng.choice(topology["model_config"]["config"]["layers"][1:])
    victim["class_name"] = rng.choice(sorted(LAYERS))
    if rng.random() < 0.6:
        chosen = {k: copy.deepcopy(rng.choice(VALUES)) for k in rng.sample(OPTIONS, 4)}
        victim["config"] = {"name": victim["config"]["name"], **chosen}


def loads_or_refuses(path: Path, **options: Any) -> None:
    """The property. A refusal without a named place is a hole in a reader."""
    start = time.process_time()  # a busy machine is no failure
    try:
        verify(load_graph(path, **options).graph)
    except FanlightError as error:
        assert error.__cause__ is None, error.__cause__
        assert str(error).startswith(error.code)
    assert time.process_time() - start < 30


def run_json(folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    base = rng.choice(BASES)
    model = copy.deepcopy(base["model"])
    if rng.random() < 0.5:
        swap_kind(model, rng)
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        mutate(model, rng)
    (folder / "weights.bin").write_bytes(base["bytes"])
    (folder / "model.json").write_text(json.dumps(model))
    loads_or_refuses(folder / "model.json", **rng.choice(CHOICES))


def damage(data: bytes, rng: random.Random) -> bytes:
    """Flip, cut, repeat or overwrite bytes."""
    raw = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        if not raw:
            break
        i, action = rng.randrange(len(raw)), rng.random()
        if action < 0.5:
            raw[i] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
        elif action < 0.65:
            del raw[i : i + rng.randrange(1, 64)]
        elif action < 0.75:
            del raw[i:]
        elif action < 0.9:
            raw[i : i + 4] = rng.choice([b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f"])
        else:
            j = rng.randrange(len(raw))
            raw[i : i + 32] = raw[j : j + 32]
    return bytes(raw)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("originals")
    weights = crafted.functional_weights()
    arrays = {
        f"layers/dense{s}/vars/0": weights[n] for s, n in (("", "a/kernel"), ("_1", "s/kernel"))
    }
    keras = crafted.write_keras(folder / "m.keras", crafted.functional_keras3(), arrays)
    h5 = crafted.write_h5(folder / "m.h5", *crafted.small_cnn(), "2.15.0")
    loads_or_refuses(keras)
    return {".keras": keras.read_bytes(), ".h5": h5.read_bytes()}


@pytest.fixture
def quick_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that hangs on a file is not waited for as long as a user's machine may need."""
    from fanlight.formats.keras import guard

    monkeypatch.setattr(guard, "_SECONDS", 5.0)


def run_binary(folder: Path, originals: dict[str, bytes], seed: int) -> None:
    rng = random.Random(seed)
    suffix = rng.choice(sorted(originals))
    path = folder / f"m{suffix}"
    path.write_bytes(damage(originals[suffix], rng))
    loads_or_refuses(path)


def test_mutated_model_json(tmp_path: Path) -> None:
    for seed in range(600):
        run_json(tmp_path, seed)


def test_damaged_keras_files(
    tmp_path: Path, originals: dict[str, bytes], quick_guard: None
) -> None:
    for seed in range(16):
        run_binary(tmp_path, originals, seed)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=60)
@given(topology=JSON, manifest=JSON)
@example(topology={"node": []}, manifest=[])
@example(topology={"node": [{}]}, manifest=[{}])
@example(topology={"class_name": "Sequential", "config": []}, manifest=None)
@example(topology={"class_name": "Model", "config": {"layers": [], "name": ""}}, manifest=[])
def test_any_json(tmp_path_factory: pytest.TempPathFactory, topology: Any, manifest: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps({"modelTopology": topology, "weightsManifest": manifest}))
    loads_or_refuses(path)


@settings(max_examples=200)
@given(data=st.binary(max_size=64) | st.text('[]{}",:0e-.ntf\\ud800', max_size=64).map(str.encode))
@example(data=b"\xef\xbb\xbf{}")
@example(data=b"9" * 5000)
@example(data=b'"\\ud800"')
def test_any_bytes_as_json(data: bytes) -> None:
    try:
        parse_json(data, "test")
    except FanlightError as error:
        assert error.code in ("E-FORMAT-003", "E-FORMAT-004")

"""Files that are absent, damaged, hostile or in the way; weights that do not fit."""

from __future__ import annotations

import io
import json
import os
import zipfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fanlight as fl
from fanlight.errors import FanlightError
from tests.layers import nets
from tests.layers.nets import L

KINDS = ("m.keras", "m.h5", "m.weights.h5", "w.h5", "m.safetensors", "m")
QUICK = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def trained() -> Any:
    model = nets.shaken(nets.dense())
    model.compile(fl.optimizers.Adam(0.01), "mse")
    x, y = nets.inputs_of(model), nets.labels_of(model)
    model.fit(x[0], y[0], epochs=1, verbose=0, batch_size=8)
    return model


def code(call: Any) -> str:
    with pytest.raises(FanlightError) as caught:
        call()
    return caught.value.code


# --- writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_an_older_file_is_replaced_or_kept(name: str, tmp_path: Path) -> None:
    model = nets.shaken(nets.dense())
    path = tmp_path / "deep" / name
    save = model.save_weights if name == "w.h5" else model.save
    save(path)
    first = {p: p.read_bytes() for p in path.parent.rglob("*") if p.is_file()}
    assert code(lambda: save(path, overwrite=False)) == "E-LAYER-010"
    model.weights[0].assign(model.weights[0].numpy() + 1)
    save(path)
    second = {p: p.read_bytes() for p in path.parent.rglob("*") if p.is_file()}
    assert set(first) == set(second) and first != second  # and nothing is left beside it


def test_a_write_that_fails_leaves_the_older_file(tmp_path: Path, monkeypatch: Any) -> None:
    model = nets.shaken(nets.dense())
    model.save(tmp_path / "m.keras")
    model.save(tmp_path / "folder")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert code(lambda: model.save(tmp_path / "m.keras")) == "E-LAYER-010"
    assert code(lambda: model.save(tmp_path / "folder")) == "E-LAYER-010"
    monkeypatch.undo()
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert after == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "m.keras"]


def test_paths_that_are_none(tmp_path: Path) -> None:
    model = nets.dense()
    (tmp_path / "d.keras").mkdir()
    assert code(lambda: model.save(tmp_path / "d.keras")) == "E-LAYER-010"
    assert code(lambda: model.save("")) == "E-LAYER-010"
    assert code(lambda: model.save(None)) == "E-LAYER-010"
    assert code(lambda: model.save(tmp_path / "m.onnx")) == "E-LAYER-009"
    assert code(lambda: model.save_weights(tmp_path / "m.keras")) == "E-LAYER-009"
    (tmp_path / "file").write_text("x")
    assert code(lambda: model.save(tmp_path / "file" / "m.keras")) == "E-LAYER-010"
    assert code(lambda: model.save(tmp_path / "file")) == "E-LAYER-010"
    unbuilt = fl.Sequential([L.Dense(2)])
    assert code(lambda: unbuilt.save(tmp_path / "m.keras")) == "E-LAYER-002"


def test_a_model_of_a_class_of_ones_own_saves_its_weights(tmp_path: Path) -> None:
    class Own(fl.Model):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.rest = L.Dense(3), [L.Dense(2), Inner(), [L.Dense(1)]]

        def call(self, inputs: Any) -> Any:
            first, second, (third,) = self.rest
            return third(second(first(self.a(inputs))))

    class Inner(L.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.rows = [[L.Dense(2)], {"last": L.Dense(3)}]

        def call(self, inputs: Any) -> Any:
            (first,), last = self.rows
            return last["last"](first(inputs))

    x = nets.numbers(2, 4)
    model, other = Own(), Own()
    want = model.predict(x)
    other.predict(x)
    assert code(lambda: model.save(tmp_path / "m.keras")) == "E-LAYER-009"
    for name in ("a.weights.h5", "b.h5", "c.safetensors"):
        model.save_weights(tmp_path / name)
        other.load_weights(tmp_path / name)
        np.testing.assert_array_equal(other.predict(x), want)


@pytest.mark.parametrize("name", ["m.h5", "m.hdf5"])
def test_a_model_of_a_registered_class_is_in_no_h5_file(name: str, tmp_path: Path) -> None:
    @fl.register("saving_files")
    class Registered(fl.Model):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.last = L.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.last(inputs)

    x, model = nets.numbers(2, 4), Registered()
    want = model.predict(x)
    with pytest.raises(FanlightError) as caught:
        model.save(tmp_path / name)
    assert caught.value.code == "E-LAYER-009" and "model.keras" in str(caught.value.next)
    assert not (tmp_path / name).exists()
    model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(fl.load_model(tmp_path / "m.keras").predict(x), want)


def test_a_bundle_is_no_model(tmp_path: Path) -> None:
    fl.build(nets.dense(), tmp_path / "site").close()
    for path in (tmp_path / "site", tmp_path / "site" / "manifest.json"):
        with pytest.raises(FanlightError, match="this is a bundle") as caught:
            fl.load_model(path)
        assert caught.value.code == "E-LAYER-009" and "fl.open_bundle" in str(caught.value.next)
    with pytest.raises(FanlightError) as caught:
        fl.load(tmp_path / "site")
    assert caught.value.code == "E-FORMAT-002" and "fl.open_bundle" in str(caught.value.next)
    assert ".safetensors" in str(caught.value.expected)


# --- weights that do not fit ----------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_all_that_does_not_fit_is_listed(name: str, tmp_path: Path) -> None:
    model = nets.shaken(nets.dense())
    (model.save_weights if name == "w.h5" else model.save)(tmp_path / name)
    other = fl.Sequential(
        [fl.Input((4,)), L.Dense(7, name="one"), L.Dense(2, name="two")], name="row"
    )
    before = other.get_weights()
    with pytest.raises(FanlightError) as caught:
        other.load_weights(tmp_path / name)
    assert caught.value.code == "E-LAYER-006"
    for part in ("one/kernel", "[4, 7]", "[4, 5]", "one/bias", "two/kernel"):
        assert part in str(caught.value)
    assert "two/bias" not in str(caught.value)
    for a, b in zip(before, other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    other.load_weights(tmp_path / name, skip_mismatch=True)
    np.testing.assert_array_equal(other.weights[3].numpy(), model.weights[3].numpy())
    np.testing.assert_array_equal(other.weights[0].numpy(), before[0])


@pytest.mark.parametrize("name", ["w.h5", "m.safetensors", "m"])
def test_by_name(name: str, tmp_path: Path) -> None:
    model = nets.shaken(nets.dense())
    (model.save_weights if name == "w.h5" else model.save)(tmp_path / name)
    other = fl.Sequential([fl.Input((4,)), L.Dense(5, name="one"), L.Dense(9, name="new")])
    last = other.weights[2].numpy().copy()
    other.load_weights(tmp_path / name, by_name=True)
    np.testing.assert_array_equal(other.weights[0].numpy(), model.weights[0].numpy())
    np.testing.assert_array_equal(other.weights[2].numpy(), last)
    model.save_weights(tmp_path / "p.weights.h5")
    assert code(lambda: other.load_weights(tmp_path / "p.weights.h5", by_name=True)) == (
        "E-LAYER-004"
    )


# --- reading --------------------------------------------------------------------------------------


def test_unknown_layers_are_all_listed_and_can_be_registered(tmp_path: Path) -> None:
    @fl.register("mine", "Twice")
    class Twice(L.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs * 2.0

    i = fl.Input((3,))
    inner = fl.Sequential([fl.Input((3,)), Twice(name="deep")], name="inner")
    model = fl.Model(i, Twice(name="t")(inner(i)))
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        again = fl.load_model(tmp_path / name)
        np.testing.assert_array_equal(again.predict(np.ones((1, 3), "f")), [[4.0, 4.0, 4.0]])
    text = model.to_json().replace("mine>Twice", "other>Thrice").replace("Twice", "Thrice")
    text = text.replace('"InputLayer"', '"Foreign"', 1)
    with pytest.raises(FanlightError) as caught:
        fl.model_from_json(text)
    assert caught.value.code == "E-LAYER-008"
    for part in ("Foreign", "other>Thrice x2", "deep", "@fl.register"):
        assert part in str(caught.value)


def test_what_is_absent_or_something_else(tmp_path: Path) -> None:
    for name in KINDS[:2]:
        assert code(lambda name=name: fl.load_model(tmp_path / name)) == "E-FORMAT-001"
    assert code(lambda: fl.load_model(tmp_path / "nothing")) == "E-FORMAT-001"
    assert code(lambda: fl.load_model(tmp_path / "m.safetensors")) == "E-FORMAT-001"
    model = nets.dense()
    model.save_weights(tmp_path / "m.safetensors")
    assert code(lambda: fl.load_model(tmp_path / "m.safetensors")) == "E-LAYER-009"
    model.save_weights(tmp_path / "w.h5")
    assert code(lambda: fl.load_model(tmp_path / "w.h5")) == "E-FORMAT-021"
    for name in KINDS:
        missing = tmp_path / "x" / name
        assert code(lambda path=missing: model.load_weights(path)) == "E-FORMAT-001"


def test_a_topology_that_claims_more_than_its_weights_is_refused_at_once(tmp_path: Path) -> None:
    model = nets.dense()
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        parts = {n: archive.read(n) for n in archive.namelist()}
    parts["config.json"] = parts["config.json"].replace(b'"units": 5', b'"units": 500000000')
    with zipfile.ZipFile(tmp_path / "x.keras", "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    assert code(lambda: fl.load_model(tmp_path / "x.keras")) == "E-LAYER-006"


def test_hostile_archives(tmp_path: Path) -> None:
    nets.dense().save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        parts = {n: archive.read(n) for n in archive.namelist()}
    bombs = {
        "slip.keras": {**parts, "../evil": b"x"},
        "bomb.keras": {**parts, "config.json": b" " * (65 << 20)},
        "none.keras": {"metadata.json": b"{}"},
        "list.keras": {**parts, "config.json": b"[1, 2]"},
        "text.keras": {**parts, "model.weights.h5": b"no HDF5"},
    }
    for name, files in bombs.items():
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, data in files.items():
                archive.writestr(member, data)
        assert code(lambda name=name: fl.load_model(tmp_path / name)).startswith("E-FORMAT-")
    data = io.BytesIO()
    with h5py.File(data, "w") as root:
        root["layers/dense/vars/0"] = h5py.ExternalLink("/etc/passwd", "x")
    (tmp_path / "link.weights.h5").write_bytes(data.getvalue())
    assert code(lambda: nets.dense().load_weights(tmp_path / "link.weights.h5")) == "E-FORMAT-021"


def test_hostile_safetensors(tmp_path: Path) -> None:
    model = nets.dense()
    path = tmp_path / "x.safetensors"

    def written(header: Any, body: bytes = b"", size: int | None = None) -> None:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        path.write_bytes((len(text) if size is None else size).to_bytes(8, "little") + text + body)

    one = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    cases: list[tuple[Any, bytes, int | None, str]] = [
        (b"", b"", 1 << 60, "E-FORMAT-007"),
        (b"{", b"", None, "E-FORMAT-003"),
        ([], b"", None, "E-FORMAT-005"),
        ({"a": one}, b"1234", None, "E-FORMAT-007"),
        ({"a": one}, b"x" * 12, None, "E-FORMAT-007"),
        ({"a": one, "b": one}, b"x" * 8, None, "E-FORMAT-007"),
        ({"a": {**one, "shape": [1 << 39]}}, b"x" * 8, None, "E-FORMAT-007"),
        ({"a": {**one, "shape": [-1]}}, b"x" * 8, None, "E-FORMAT-005"),
        ({"a": {**one, "dtype": "Q4"}}, b"x" * 8, None, "E-FORMAT-008"),
        ({"a": {**one, "data_offsets": [8, 0]}}, b"x" * 8, None, "E-FORMAT-007"),
        ({"a": one}, b"x" * 8, None, "E-LAYER-006"),
    ]
    for header, body, size, wanted in cases:
        written(header, body, size)
        assert code(lambda: model.load_weights(path)) == wanted, header
    path.write_bytes(b"123")
    assert code(lambda: model.load_weights(path)) == "E-FORMAT-007"


def test_safetensors_of_other_dtypes(tmp_path: Path) -> None:
    model = fl.Sequential([fl.Input((2,)), L.Dense(1, use_bias=False, name="d")], name="m")
    path = tmp_path / "h.safetensors"
    halves = np.array([0.5, -2.0], "<f2").tobytes()
    brains = (np.array([0.5, -2.0], "<f4").view("<u4") >> 16).astype("<u2").tobytes()
    for dtype, data in (("F16", halves), ("BF16", brains)):
        header = {"d/kernel": {"dtype": dtype, "shape": [2, 1], "data_offsets": [0, 4]}}
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + data)
        model.load_weights(path)
        np.testing.assert_array_equal(model.weights[0].numpy(), [[0.5], [-2.0]])


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("originals")
    model = trained()
    for name in ("m.keras", "m.h5", "m.safetensors"):
        model.save(folder / name)
    model.save(folder / "tfjs")
    found = {n: (folder / n).read_bytes() for n in ("m.keras", "m.h5", "m.safetensors")}
    return found | {f"tfjs/{p.name}": p.read_bytes() for p in (folder / "tfjs").iterdir()}


def load(path: Path) -> None:
    """A model that is there, or a coded error."""
    try:
        if path.suffix == ".safetensors":
            nets.dense().load_weights(path)
        else:
            fl.load_model(path)
    except FanlightError as error:
        assert error.code.startswith("E-")


@QUICK
@given(data=st.data())
def test_damaged_files_end_in_coded_errors(
    originals: dict[str, bytes], tmp_path: Path, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(originals)))
    content = bytearray(originals[name])
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    for _ in range(data.draw(st.integers(0, 4))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path / "tfjs"
    folder.mkdir(exist_ok=True)
    for other, own in originals.items():
        if other.startswith("tfjs/"):
            (tmp_path / other).write_bytes(own)
    (tmp_path / name).write_bytes(bytes(content))
    load(folder if name.startswith("tfjs/") else tmp_path / name)


HOSTILE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 1 << 40),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.lists(st.integers(-2, 9), max_size=4),
    st.just({}),
    st.just({"class_name": "Dense", "config": {}}),
    st.just(["one", 0, 0]),
)


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, inner in items:
        found.append((*path, key))
        if isinstance(inner, dict | list):
            found += places_in(inner, (*path, key))
    return found


@settings(QUICK, max_examples=120)
@given(data=st.data())
def test_hostile_descriptions_end_in_coded_errors(data: st.DataObject) -> None:
    description = json.loads(data.draw(st.sampled_from(DESCRIPTIONS)))
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(places_in(description)))
        inner = description
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = deepcopy(data.draw(HOSTILE))  # `just` gives one dict every time
    try:
        from fanlight.layers.blank import blank

        with blank(1 << 16):  # as for a file with few weights
            fl.model_from_json(json.dumps(description))
    except FanlightError as error:
        assert error.code.startswith("E-")


DESCRIPTIONS = [nets.shared().to_json(), nets.cnn().to_json(), nets.rnn().to_json()]


def test_the_reader_of_graphs_takes_what_we_save(tmp_path: Path) -> None:
    model = nets.shaken(nets.cnn())
    x = nets.inputs_of(model, 1)
    for name in ("m.keras", "m.h5", "m"):
        model.save(tmp_path / name)
        found = fl.load(tmp_path / name)(x[0])
        found = next(iter(found.values())) if isinstance(found, dict) else found
        want = nets.predicted(model, x)[0]
        np.testing.assert_allclose(np.asarray(found), want, rtol=0, atol=1e-5)


def test_a_row_of_many_layers_is_connected_once(monkeypatch: Any) -> None:
    """Not anew after every layer of a file: that takes a time that grows with its square."""
    calls: list[str] = []
    call = fl.layers.ReLU.call
    monkeypatch.setattr(
        fl.layers.ReLU, "call", lambda self, x: calls.append(self.name) or call(self, x)
    )
    model = fl.Sequential([fl.Input((2,)), *(fl.layers.ReLU() for _ in range(20))])
    assert len(calls) <= 3 * 20
    text = model.to_json()
    calls.clear()
    fl.model_from_json(text)
    assert len(calls) <= 3 * 20

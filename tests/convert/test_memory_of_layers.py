"""Large models of layers become layers of another format without being in memory twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fanlight as fl

pytest.importorskip("h5py")

WIDE, COUNT = 2048, 5
SIZE = 4 * COUNT * WIDE * WIDE  # bytes of the weights: 84 MB, which the check calls large
MOST = 1.35

_MEASURED = """
import json, sys
import h5py
import fanlight as fl
fl.convert, fl.layers  # the imports are no memory of the model

def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024

base = peak()
made = fl.convert(sys.argv[1], sys.argv[2])
print(json.dumps([peak() - base, made.worst, made.kind]))
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    dense = [
        fl.layers.Dense(WIDE, use_bias=False, kernel_initializer="zeros") for _ in range(COUNT)
    ]
    model = fl.Sequential([fl.Input((WIDE,)), *dense])
    for name in ("a.keras", "a.h5"):
        model.save(folder / name)
    return folder


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's VmHWM")
@pytest.mark.parametrize(
    ("source", "result", "kind"),
    [
        ("a.keras", "web", "tfjs-layers"),
        ("a.h5", "b.keras", "keras"),
        ("a.keras", "b.safetensors", "safetensors"),
    ],
)
def test_layers_are_in_memory_once(
    source: str, result: str, kind: str, sources: Path, tmp_path: Path
) -> None:
    run = [sys.executable, "-c", _MEASURED, str(sources / source), str(tmp_path / result)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    grown, worst, made = json.loads(done.stdout)
    print(f"{source} -> {result}: {grown / SIZE:.2f} times its size")
    assert (worst, made) == (0, kind)
    assert grown <= MOST * SIZE


def small() -> fl.Model:
    model = fl.Sequential([fl.Input((3,)), fl.layers.Dense(4, name="d"), fl.layers.Dense(2)])
    model.compile("adam", "mse")
    model.fit(np.ones((4, 3), np.float32), np.ones((4, 2), np.float32), verbose=0)
    return model


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.safetensors", "web"])
def test_weights_that_are_kept_as_read_are_the_models_own(name: str, tmp_path: Path) -> None:
    """No array of the file is shared: two models of one file train apart."""
    model = small()
    model.save(tmp_path / name)
    one, two = (fl.load_model(tmp_path / name) for _ in range(2))
    for w, v in zip(model.weights, one.weights, strict=True):
        np.testing.assert_array_equal(w.numpy(), v.numpy())
        assert not v.numpy().flags.writeable
    before = [w.numpy().copy() for w in two.weights]
    one.fit(np.ones((4, 3), np.float32), np.zeros((4, 2), np.float32), verbose=0)
    assert not np.array_equal(one.weights[0].numpy(), before[0])
    for w, b in zip(two.weights, before, strict=True):
        np.testing.assert_array_equal(w.numpy(), b)


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_what_a_models_own_class_raises_is_no_damage_of_the_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is open while the model is made, and its library's errors are told apart."""
    small().save(tmp_path / name)

    def broken(*args: object, **options: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(f"fanlight.layers.file_{name[2:]}.assign", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        fl.load_model(tmp_path / name)

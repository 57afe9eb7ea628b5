"""Large members of archives go through the disk, and are what they are in memory."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.formats import zips
from fanlight.formats.keras import probe_hdf5


@pytest.mark.parametrize("packed", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_large_keras_file_is_read_from_the_disk(
    packed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("h5py")
    net = fl.Sequential([fl.Input((6,)), fl.layers.Dense(5, activation="relu")])
    net.save(tmp_path / "small.keras")
    path = tmp_path / "large.keras"
    with zipfile.ZipFile(tmp_path / "small.keras") as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name), packed)
    expected = [w.numpy() for w in fl.load_model(path).weights]
    monkeypatch.setattr(zips, "_LARGE", 0)
    monkeypatch.setattr(probe_hdf5, "LARGE", 0)
    probe_hdf5.main(str(path), "model.weights.h5")
    for one, two in zip(fl.load_model(path).weights, expected, strict=True):
        np.testing.assert_array_equal(one.numpy(), two)
    x = np.ones((1, 6), np.float32)
    np.testing.assert_allclose(fl.load_model(path)(x).numpy(), net(x).numpy(), rtol=1e-6)
    assert fl.load(path).graph.weight_bytes() == sum(a.nbytes for a in expected)
    data = bytearray(path.read_bytes())
    at = data.index(b"\x89HDF") if packed == zipfile.ZIP_STORED else len(data) // 2
    data[at + 700 if packed == zipfile.ZIP_STORED else at] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(FanlightError) as error:
        fl.load_model(path)
    assert error.value.code.startswith("E-FORMAT-02")

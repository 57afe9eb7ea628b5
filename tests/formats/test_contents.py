"""What a file is follows from its bytes, whatever it is called."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.formats.contents import kind_of_bytes

h5py = pytest.importorskip("h5py", reason="reads Keras files: pip install 'fanlight[keras]'")


@pytest.fixture
def model() -> fl.Model:
    return fl.Sequential([fl.Input((4,)), fl.layers.Dense(3), fl.layers.Dense(2)])


@pytest.mark.parametrize(
    ("saved", "called"),
    [
        ("net.h5", "net.keras"),
        ("net.keras", "net.h5"),
        ("net.keras", "net.hdf5"),
        ("net.keras", "model.bin"),
        ("net.h5", "model.bin"),
        ("net.keras", "net.onnx"),
        ("net.keras", "net.weights.h5"),
        ("net.h5", "net.json"),
    ],
)
def test_a_model_under_another_name(
    tmp_path: Path, model: fl.Model, saved: str, called: str
) -> None:
    model.save(tmp_path / saved)
    (tmp_path / saved).rename(tmp_path / called)
    x = np.ones((1, 4), np.float32)
    expected = model.predict(x)
    np.testing.assert_allclose(fl.load_model(tmp_path / called).predict(x), expected, 1e-5)
    made = fl.load(tmp_path / called)(x)
    np.testing.assert_allclose(made, expected, 1e-5)
    assert fl.convert(tmp_path / called, tmp_path / "web").kind == "tfjs-layers"
    again = fl.Sequential([fl.Input((4,)), fl.layers.Dense(3), fl.layers.Dense(2)])
    again.load_weights(tmp_path / called)
    np.testing.assert_allclose(again.predict(x), expected, 1e-5)


def test_what_layers_do_not_read_says_what_does(tmp_path: Path, model: fl.Model) -> None:
    fl.convert(model, tmp_path / "net.onnx")
    with pytest.raises(FanlightError, match=r"fl\.load\(path\)") as caught:
        fl.load_model(tmp_path / "net.onnx")
    assert caught.value.code == "E-LAYER-009"


# --- pickles of PyTorch, written here without it --------------------------------------------------


def archive(path: Path, classes: tuple[str, ...], *more: str) -> Path:
    """A zip as torch.save lays it out, whose pickle names some classes."""
    body = b"".join(b"c%b\n%b\n0" % tuple(c.encode().split()) for c in classes)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("net/data.pkl", b"\x80\x02" + body + b"N.")
        for name in ("net/version", *more):
            file.writestr(name, "3")
    return path


STATE = ("collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch FloatStorage")


@pytest.mark.parametrize("name", ["net.pth", "net.pt", "net.pt2", "net.bin", "net.onnx", "a.keras"])
def test_pickles_of_torch(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / name, STATE, "net/data/0")
    for call in (fl.load, fl.load_model):
        with pytest.raises(FanlightError) as caught:
            call(path)
        assert caught.value.code == "E-FORMAT-002"
        for said in ("state dict", "load_torch_state", "torch.export.export"):
            assert said in str(caught.value)
    archive(path, (*STATE, "torch.nn.modules.linear Linear", "__main__ Net"))
    with pytest.raises(FanlightError, match="whole PyTorch module"):
        fl.load(path)
    archive(path, ("__torch__.Net Net",), "net/code/__torch__.py")
    with pytest.raises(FanlightError, match="TorchScript"):
        fl.load(path)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):  # type: ignore[no-untyped-def]
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / "net.pth"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("net/data.pkl", pickle.dumps(OrderedDict(a=Bomb())))
    with pytest.raises(FanlightError, match="E-FORMAT-002"):
        fl.load(path)
    assert not (tmp_path / "ran").exists()
    old = tmp_path / "old.bin"  # as torch.save wrote before PyTorch 1.6
    old.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2))
    with pytest.raises(FanlightError, match=r"file of torch\.save"):
        fl.load(old)


def test_an_archive_of_torch_itself(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    torch.save(net.state_dict(), tmp_path / "sd.pth")
    torch.save({"epoch": 3, "state": net.state_dict()}, tmp_path / "checkpoint.pth")
    torch.save(net.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    torch.save(net, tmp_path / "whole.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(net.eval(), torch.zeros(1, 2)), tmp_path / "script.pt")
    for name, said in (
        ("sd.pth", "state dict"),
        ("checkpoint.pth", "state dict"),
        ("old.pth", "torch.save"),
        ("whole.pt", "whole PyTorch module"),
        ("script.pt", "TorchScript"),
    ):
        with pytest.raises(FanlightError, match=said) as caught:
            fl.load(tmp_path / name)
        assert caught.value.code == "E-FORMAT-002"


@settings(max_examples=60, deadline=None)
@given(cut=st.floats(0, 1), at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_damaged_bytes_give_a_kind_or_a_coded_error(
    tmp_path_factory: pytest.TempPathFactory, cut: float, at: int, byte: int
) -> None:
    path = archive(tmp_path_factory.mktemp("fuzz") / "net.pth", STATE, "net/data/0")
    data = bytearray(path.read_bytes())
    data[at % len(data)] = byte
    path.write_bytes(data[: max(1, int(len(data) * (0.3 + 0.7 * cut)))])
    try:
        assert kind_of_bytes(path) in ("", ".keras", ".pt2", ".task", ".h5", ".tflite")
    except FanlightError as error:
        assert error.code == "E-FORMAT-002"


@pytest.mark.parametrize("name", ["a.onnx", "a.pb", "a.tflite", "a.h5", "a.keras", "a.pt2"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<!DOCTYPE html><title>404</title>", "an error page"),
        ("\ufeff\n <html><body>no</body></html>", "an error page"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", "git lfs pull"),
    ],
)
def test_texts_in_the_place_of_a_model(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(fl.FanlightError, match="E-FORMAT-002") as caught:
        fl.load(tmp_path / name)
    assert said in str(caught.value)

"""Arrays out of tensors by NumPy's array interface, for those who know nothing else."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fanlight as fl
from fanlight.errors import FanlightError


class Reader:
    """Someone who hands the interface on, and no `__array__`."""

    def __init__(self, x: Any) -> None:
        self.__array_interface__ = x.__array_interface__


@pytest.mark.parametrize(
    "value",
    [1.5, [1.0, 2.0], [[1, 2], [3, 4]], [True, False], np.zeros((0, 3), np.float32)],
    ids=["number", "floats", "ints", "bools", "empty"],
)
def test_it_is_the_same_array(value: Any) -> None:
    x = fl.tensor(value)
    for y in (x, fl.tensor(np.asarray(x).T)):
        array = np.asarray(Reader(y))
        np.testing.assert_array_equal(array, y.numpy())
        assert array.dtype == y.numpy().dtype and array.shape == y.shape


def test_it_is_no_copy_and_outlives_the_tensor() -> None:
    x = fl.ones((500, 500))
    array = np.asarray(Reader(x))
    assert np.shares_memory(array, x.numpy())
    fl.dispose(x)
    del x
    gc.collect()
    assert array.sum() == 250_000
    with pytest.raises(FanlightError, match="E-TENSOR"):
        _ = fl.dispose(y := fl.ones(2)) or y.__array_interface__


def test_dlpack_shares_what_it_can_protect() -> None:
    class Old:
        """A reader from before DLPack knew of memory that is not to be written."""

        def __init__(self, x: Any) -> None:
            self.x = x

        def __dlpack__(self, **options: Any) -> Any:
            return self.x.__dlpack__()

        def __dlpack_device__(self) -> Any:
            return self.x.__dlpack_device__()

    x = fl.tensor([[1.0, 2.0], [3.0, 4.0]])
    array = np.from_dlpack(x)
    assert np.shares_memory(array, x.numpy()) and not array.flags.writeable
    old = np.from_dlpack(Old(x))
    assert not np.shares_memory(old, x.numpy())
    np.testing.assert_array_equal(old, array)
    assert not np.shares_memory(np.from_dlpack(x, copy=True), x.numpy())


def test_pictures_are_made_of_tensors() -> None:
    pixels = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    for x in (fl.tensor(pixels), fl.transpose(fl.tensor(pixels), (1, 0, 2))):
        image = Image.fromarray(x)
        np.testing.assert_array_equal(np.asarray(image), x.numpy())


def test_what_a_gradient_depends_on_is_not_read() -> None:
    with pytest.raises(FanlightError, match="E-TENSOR-009"):
        fl.grad(lambda x: Reader(x) and fl.sum(x))(fl.ones(3))
    with pytest.raises(FanlightError, match="E-TENSOR-003"):
        fl.jit(lambda x: Reader(x) and x)(fl.ones(3))


def test_many_elements_are_no_number_as_numpy_and_matplotlib_have_it() -> None:
    x = fl.tensor([[1.0, 2.0], [3.0, 5.0]])
    for kind in (float, int):
        with pytest.raises(TypeError) as caught:
            kind(x)
        assert isinstance(caught.value, FanlightError) and caught.value.code == "E-TENSOR-008"
    figure = pytest.importorskip("matplotlib.figure", reason="matplotlib is optional")
    axes = figure.Figure().subplots()
    columns = axes.plot(x)
    assert [list(line.get_ydata()) for line in columns] == [[1.0, 3.0], [2.0, 5.0]]
    (line,) = axes.plot(x[0], x[1])
    assert list(line.get_ydata()) == [3.0, 5.0]

"""Batches: one run per item, and never an item of another call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fanlight as fl
from fanlight.graph import Builder, Graph


class Sum:
    """x + z, both with a free first dim in the source."""

    batched = {"x": True, "z": True}  # noqa: RUF012
    labels = None

    @property
    def graph(self) -> Graph:
        builder = Builder("sum")
        x, z = builder.input("x", (1, 3)), builder.input("z", (1, 3))
        return builder.finish({"y": builder.add("add", x, z)})


@pytest.mark.parametrize("host", ["wasm", "wasm-plain", "numpy"])
def test_all_batched_inputs_have_as_many_items(tmp_path: Path, host: str) -> None:
    rng = np.random.default_rng(0)
    with fl.build(Sum(), tmp_path / "site") as bundle:
        for items in (1, 2, 5):
            x, z = rng.random((2, items, 3), np.float32)
            received = bundle.run({"x": x, "z": z}, host=host)["y"]
            np.testing.assert_array_equal(received, x + z)
        for first, second in ((1, 5), (5, 1), (2, 3), (0, 0), (0, 1)):
            x, z = np.ones((first, 3), np.float32), np.ones((second, 3), np.float32)
            with pytest.raises(fl.FanlightError) as caught:
                bundle.run({"x": x, "z": z}, host=host)
            assert caught.value.code == "E-INPUT-002"


@pytest.mark.parametrize("host", ["wasm", "wasm-plain", "numpy", "browser"])
def test_numbers_without_dims_and_numbers_that_do_not_fit(tmp_path: Path, host: str) -> None:
    inputs = {"x": fl.spec((3,), "int32"), "n": fl.spec((), "int32")}
    with fl.build(lambda x, n: x * n, tmp_path / "site", inputs=inputs) as bundle:
        for n in (2, np.int32(2), np.array(2)):
            given = {"x": np.arange(3), "n": n}
            assert bundle.run(given, host=host)["output"].tolist() == [0, 2, 4]
        with pytest.raises(fl.FanlightError, match="E-INPUT-003") as caught:
            bundle.run({"x": np.array([2**40, 2, 3]), "n": 1}, host=host)
        assert "1099511627776" in str(caught.value)


@pytest.mark.parametrize("host", ["wasm", "numpy"])
def test_numbers_in_lists_get_the_dtype_of_their_input(tmp_path: Path, host: str) -> None:
    inputs = {"x": fl.spec((2, 2)), "i": fl.spec((2,), "int32"), "b": fl.spec((2,), "uint8")}
    good = {"x": [[1, 2], [3, 4]], "i": (5, True), "b": [0, 255]}
    with fl.build(
        lambda x, i, b: {"x": x / 2, "i": i, "b": b}, tmp_path / "site", inputs=inputs
    ) as bundle:
        made = bundle.run(good, host=host)
        assert made["x"].tolist() == [[0.5, 1], [1.5, 2]] and made["x"].dtype == np.float32
        assert made["i"].tolist() == [5, 1] and made["b"].tolist() == [0, 255]
        for wrong, code in (
            ({"i": [0.5, 1]}, "E-INPUT-003"),
            ({"i": [2**40, 1]}, "E-INPUT-003"),
            ({"b": [256, 0]}, "E-INPUT-003"),
            ({"b": [-1, 0]}, "E-INPUT-003"),
            ({"x": [["1", "2"], ["3", "4"]]}, "E-INPUT-003"),
            ({"x": [[1, 2], [3]]}, "E-INPUT-002"),
            ({"x": np.array([[1, 2], [3, 4]])}, "E-INPUT-003"),  # which says what it is
        ):
            with pytest.raises(fl.FanlightError) as caught:
                bundle.run(good | wrong, host=host)
            assert caught.value.code == code, str(caught.value)

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

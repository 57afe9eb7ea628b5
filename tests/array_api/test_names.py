"""Every name of the standard is there, with its signature, or in the list of what is left out."""

from __future__ import annotations

import inspect
import math
from types import ModuleType
from typing import Any

import pytest

import fanlight as fl
import fanlight.array_api as xp
from fanlight import FanlightError, Tensor
from tests.array_api.standard import (
    ATTRIBUTES,
    CONSTANTS,
    DTYPES,
    EXTENSIONS,
    FUNCTIONS,
    LEFT_OUT,
    METHODS,
)
from tests.conformance import ARRAY_API, counted
from tests.support import ROOT

ALL = [
    *((xp, name, form) for group in FUNCTIONS.values() for name, form in group.items()),
    *(
        (getattr(xp, extension), name, form)
        for extension, group in EXTENSIONS.items()
        for name, form in group.items()
    ),
]


def plain(function: Any) -> str:
    """The signature without annotations."""
    signature = inspect.signature(function)
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return str(inspect.Signature(parameters))


@pytest.mark.parametrize(
    ("module", "name", "form"), ALL, ids=lambda v: v if isinstance(v, str) else ""
)
def test_every_function_is_there_with_its_signature(
    module: ModuleType, name: str, form: str
) -> None:
    if name in LEFT_OUT:
        assert not hasattr(module, name)
        return
    function = getattr(module, name)
    assert function.__name__ == name
    assert plain(function) == form
    assert inspect.getdoc(function)
    assert name in module.__all__
    counted(ARRAY_API, 1, of=1)


def test_dtypes_constants_and_what_is_left_out() -> None:
    there = [name for name in (*DTYPES, *CONSTANTS) if hasattr(xp, name)]
    assert [*there, *(n for n in DTYPES if n in LEFT_OUT)].__len__() == len(DTYPES) + len(CONSTANTS)
    assert not set(there) & set(LEFT_OUT)
    assert (xp.e, xp.pi, xp.inf, xp.newaxis) == (math.e, math.pi, math.inf, None)
    assert math.isnan(xp.nan)
    assert xp.__array_api_version__ == "2024.12"
    names = {n for group in FUNCTIONS.values() for n in group} | set(DTYPES) | set(CONSTANTS)
    assert set(xp.__all__) - names == {"__array_api_version__", "fft", "linalg"}
    for name in LEFT_OUT:
        assert name in (*DTYPES, *METHODS)


@pytest.mark.parametrize("name", [*METHODS, *ATTRIBUTES])
def test_methods_and_attributes_of_tensors(name: str) -> None:
    if name in LEFT_OUT:
        with pytest.raises(TypeError):
            fl.tensor([1.0])[0] = 2.0  # type: ignore[index]
    else:
        assert hasattr(Tensor, name)


def test_the_page_names_what_is_left_out() -> None:
    page = (ROOT / "docs" / "core.md").read_text("utf-8")
    assert [name for name in LEFT_OUT if f"`{name}`" not in page] == []


def test_tensors_know_their_namespace() -> None:
    x = fl.tensor([1.0])
    assert x.__array_namespace__() is xp
    assert x.__array_namespace__(api_version="2023.12") is xp
    assert fl.array_api is xp
    with pytest.raises(FanlightError, match="E-OP-005"):
        x.__array_namespace__(api_version="1999.01")


def test_what_the_namespace_says_of_itself() -> None:
    info = xp.__array_namespace_info__()
    assert info.capabilities() == {
        "boolean indexing": True,
        "data-dependent shapes": True,
        "max dimensions": 6,
    }
    assert info.devices() == [info.default_device()] == ["cpu"]
    assert set(info.dtypes()) == {"bool", "uint8", "int32", "float32", "complex64"}
    assert info.dtypes(kind="integral") == {"uint8": xp.uint8, "int32": xp.int32}
    assert set(info.dtypes(kind=("bool", "real floating"))) == {"bool", "float32"}
    defaults = info.default_dtypes(device="cpu")
    assert defaults["integral"] == xp.asarray(1).dtype == "int32"
    assert defaults["real floating"] == xp.asarray(1.0).dtype == "float32"
    assert defaults["complex floating"] == xp.asarray(1j).dtype == "complex64"
    with pytest.raises(FanlightError, match="E-OP-005"):
        info.dtypes(kind="roman")
    with pytest.raises(FanlightError, match="E-OP-005"):
        info.dtypes(device="gpu")

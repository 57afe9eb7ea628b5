"""Adapters of tools/conformance.py for kernels of complex numbers, and for einsum and diag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fanlight.tensor import cast, functions, tensor
from fanlight.tensor import complex as parts
from fanlight.tensor.einsum import einsum
from fanlight.tensor.matrices import diag
from fanlight.tensor.spectral import fft, ifft
from tools.conformance_call import Adapter, Attrs, Inputs


def _of(function: Callable[..., Any], *names: str) -> Adapter:
    """A function of tensors; its inputs in order, then attributes."""

    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        given = [tensor(x) for x in inputs.values() if x is not None]
        return [function(*given, *(attrs[n] for n in names)).numpy()]

    return adapt


# Kernels that are functions of tensors here.
FUNCTIONS: dict[str, Adapter] = {
    "Complex": _of(parts.complex),
    "ComplexAbs": _of(functions.abs),
    "Diag": _of(diag),
    "Einsum": lambda inputs, attrs: [einsum(attrs["equation"], *inputs.values()).numpy()],
    "FFT": _of(fft),
    "IFFT": _of(ifft),
    "Identity": _of(tensor),
    "Imag": _of(parts.imag),
    "Real": _of(parts.real),
}
# Kernels with adapters for real numbers, where the numbers are complex.
COMPLEX: dict[str, Adapter] = {
    **FUNCTIONS,
    "Add": _of(functions.add),
    "Cast": _of(cast, "dtype"),
    "Concat": lambda inputs, attrs: [functions.concat([*inputs.values()], attrs["axis"]).numpy()],
    "OnesLike": _of(functions.ones_like),
    "Reshape": _of(functions.reshape, "shape"),
    "Sub": _of(functions.sub),
}

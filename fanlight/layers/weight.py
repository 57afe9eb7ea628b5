"""Weights: variables of layers, with what training has to know of them."""

from __future__ import annotations

from typing import Any

from fanlight.tensor import Tensor
from fanlight.tensor.variables import Variable


class Weight(Variable):
    """A variable of a layer.

    Attributes:
        path: "layer/kernel": which layer it is of.
        regularizer, constraint: see `fl.regularizers` and `fl.constraints`; or None.
    """

    __slots__ = ("constraint", "path", "regularizer")

    def __init__(
        self,
        value: Tensor,
        trainable: bool,
        name: str,
        path: str,
        regularizer: Any = None,
        constraint: Any = None,
        given: bool = False,
    ) -> None:
        super().__init__(value, trainable, name, given)
        self.path, self.regularizer, self.constraint = path, regularizer, constraint

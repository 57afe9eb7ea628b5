"""The op table: one row per op, one file per family. Importing this package fills the table."""

from __future__ import annotations

from typing import TYPE_CHECKING as _TYPE_CHECKING

# The families, in the order in which docs/ops.md lists them. Importing one registers its rows.
# ruff: isort: off
from fanlight.ops import elementwise as _elementwise  # noqa: F401
from fanlight.ops import bitwise as _bitwise  # noqa: F401
from fanlight.ops import trigonometry as _trigonometry  # noqa: F401
from fanlight.ops import activation as _activation  # noqa: F401
from fanlight.ops import reduce as _reduce  # noqa: F401
from fanlight.ops import fused_sum as _fused_sum  # noqa: F401
from fanlight.ops import movement as _movement  # noqa: F401
from fanlight.ops import order as _order  # noqa: F401
from fanlight.ops import sizes as _sizes  # noqa: F401
from fanlight.ops import indexing as _indexing  # noqa: F401
from fanlight.ops import scan as _scan  # noqa: F401
from fanlight.ops import matmul as _matmul  # noqa: F401
from fanlight.ops import conv as _conv  # noqa: F401
from fanlight.ops import pool as _pool  # noqa: F401
from fanlight.ops import normalization as _normalization  # noqa: F401
from fanlight.ops import sorting as _sorting  # noqa: F401
from fanlight.ops import random as _random  # noqa: F401
from fanlight.ops import linalg as _linalg  # noqa: F401
from fanlight.ops import fft as _fft  # noqa: F401
from fanlight.ops import image as _image  # noqa: F401
from fanlight.ops import detection as _detection  # noqa: F401
from fanlight.ops import control as _control  # noqa: F401
from fanlight.ops import quantized as _quantized  # noqa: F401
from fanlight.ops.row import TABLE, Attr, Row, Unsupported, lookup
from fanlight.ops.types import Dim, TensorType
# ruff: isort: on

__all__ = ["TABLE", "Attr", "Dim", "Row", "TensorType", "Unsupported", "lookup"]


if not _TYPE_CHECKING:  # a name that is not there is an error to mypy

    def __getattr__(name: str) -> object:
        told = f"module 'fanlight.ops' has no attribute {name!r}"
        if not name.startswith("_"):  # as those that Python itself asks for
            told += ": it is the table of operations; functions of tensors, which Keras has in "
            told += f"keras.ops, are in fanlight itself: fl.{name}"
        raise AttributeError(told, name=name)

"""Linear algebra of matrices and batches of them: `fl.linalg.NAME`."""

from __future__ import annotations

from fanlight.tensor.matrices import band_part, diagonal, norm, trace, tril, triu

__all__ = [
    "band_part",
    "diagonal",
    "norm",
    "trace",
    "tril",
    "triu",
]

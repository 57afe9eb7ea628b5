"""Weights that can be built: finite numbers."""

from __future__ import annotations

import numpy as np

from fanlight.errors import FanlightError
from fanlight.graph import Graph


def check_weights(graph: Graph, *, infinite: bool = False) -> None:
    """Refuse NaN, and infinity unless `infinite` or in a mask, where all else is 0, 1 or -1."""
    for value, array in graph.weights.items():
        # The least and the greatest are NaN where one is: no mask of a large weight is made.
        ends = [array.min(), array.max()] if array.dtype.kind == "f" and array.size else [0.0]
        meant = infinite or (np.isinf(ends).any() and np.isin(abs(array), (0, 1, np.inf)).all())
        refused = np.isnan if meant else lambda a: ~np.isfinite(a)
        if refused(ends).any():
            raise FanlightError(
                "E-BUILD-006",
                "a weight holds NaN or infinity.",
                where=value.name,
                expected="finite numbers",
                received=f"{int(refused(array).sum())} of {array.size} are not",
                next="train again, or export from an earlier checkpoint.",
            )

"""What the namespace can do, for programs that ask: `__array_namespace_info__()`."""

from __future__ import annotations

from typing import Any

from fanlight.array_api import dtypes
from fanlight.errors import FanlightError
from fanlight.tensor.core import MOST_DIMS, caller


class Info:
    """What `__array_namespace_info__()` gives."""

    def capabilities(self) -> dict[str, Any]:
        """Masks as indices, and shapes that depend on numbers, work outside of traced functions."""
        return {
            "boolean indexing": True,
            "data-dependent shapes": True,
            "max dimensions": MOST_DIMS,
        }

    def default_device(self) -> str:
        """Where tensors are made if nothing is said."""
        return dtypes.DEVICE

    def devices(self) -> list[str]:
        """All there are."""
        return [dtypes.DEVICE]

    def default_dtypes(self, *, device: Any = None) -> dict[str, str]:
        """What tensors of Python numbers become."""
        dtypes.on_device(device)
        return {
            "real floating": dtypes.float32,
            "complex floating": dtypes.complex64,
            "integral": dtypes.int32,
            "indexing": dtypes.int32,
        }

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, str]:
        """The dtypes by their names: all, or those of a kind, or of several kinds in a tuple.

        Raises:
            FanlightError: E-OP-005 there is no such kind.
        """
        dtypes.on_device(device)
        kinds = (None,) if kind is None else kind if isinstance(kind, tuple) else (kind,)
        known: dict[Any, tuple[str, ...]] = {None: dtypes.DTYPES, **dtypes.KINDS}
        for part in kinds:
            if part not in known:
                raise FanlightError(
                    "E-OP-005",
                    "there is no such kind of dtypes.",
                    where=f"dtypes kind, {caller()}",
                    expected=", ".join(dtypes.KINDS),
                    received=repr(kind),
                )
        wanted = {name for part in kinds for name in known[part]}
        return {name: name for name in dtypes.DTYPES if name in wanted}

"""Which call of a layer a reference means: files count calls of nested models too far.

The call that made a nested model is counted, too, though it is no call of the model around it:
Keras 2 and TF.js count it in all references, Keras 3 in `output_layers` alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping


class Numbering:
    """The calls that the references of one functional model mean.

    Args:
        counts: layer -> how many calls the file lists for it, of layers that may count too far.
        inner: (layer, call) of the references in calls of layers.
        ends: the same of output_layers.
        old: whether Keras 2 or TF.js wrote the model, with calls as lists.
        nested: the names of the functional models among its layers.
    """

    def __init__(
        self,
        counts: Mapping[str, int],
        inner: Iterable[tuple[str, int]],
        ends: Iterable[tuple[str, int]],
        old: bool,
        nested: Collection[str],
    ) -> None:
        self._old, self._nested = old, nested
        most: dict[str, int] = {}
        for name, call in (*inner, *(ends if old else ())):
            most[name] = max(most.get(name, 0), call)
        self._shift = {
            name: max(most.get(name, 0) - count + 1, 0) for name, count in counts.items() if count
        }

    def inner(self, name: str, call: int) -> int:
        """The call that a reference in a call of another layer means."""
        return call - self._shift.get(name, 0)

    def end(self, name: str, call: int) -> int:
        """The call that a reference of output_layers means."""
        made = 1 if not self._old and call and name in self._nested else 0
        return self.inner(name, call - made)


__all__ = ["Numbering"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

"""Where the weights of layers are found: by layer name, by position in a .keras file, or nowhere.

Files name weights in three ways: `layer/kernel` (h5, TF.js), `outer/layer/kernel` (nested models
of Keras 3), and `layers/conv2d_1/vars/0` (.keras, whose layer names do not matter).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.emitter import check_size
from fanlight.formats.random_weights import random_array
from fanlight.ops.types import TensorType

_VARS = re.compile(r"(?:^|/)vars/\d+$")


@dataclass(frozen=True)
class LayerRef:
    """A layer among nested models.

    Attributes:
        scope: names from the outermost nested model down to the layer.
        path: where a .keras file keeps it, e.g. "layers/functional/layers/conv2d_1".
        wrapper: name of the wrapper (TimeDistributed) around it; old files use that name.
    """

    scope: tuple[str, ...]
    path: str
    wrapper: str | None = None

    @property
    def name(self) -> str:
        return self.scope[-1]


@dataclass
class Entry:
    """One stored weight; `load` reads it, as float32 whatever its stored `dtype` is. `group` is
    the top-level layer it was filed under.
    """

    name: str
    shape: tuple[int, ...]
    load: Callable[[], np.ndarray]
    group: str | None = None
    used: bool = False
    dtype: str = "float32"


class Store:
    """The interface: `get` a weight of a layer; `unused` names those that nobody wanted."""

    def get(
        self, layer: LayerRef, names: Sequence[str], index: int, shape: tuple[int, ...], where: str
    ) -> np.ndarray:
        """The weight called one of `names`, the `index`-th that the layer creates.

        Raises:
            FanlightError: E-FORMAT-011 if it is absent or has another shape.
        """
        entry = self._find(layer, names, index)
        if entry is None:
            raise FanlightError(
                "E-FORMAT-011",
                f"the weight {names[0]!r} of a layer is not in the file.",
                where=where,
                expected=f"{names[0]} {list(shape)}",
                received=self._near(layer),
                next="the topology and the weights belong to different models, or the weights "
                "were never saved: save the whole model.",
            )
        entry.used = True
        if entry.shape != shape:
            raise FanlightError(
                "E-FORMAT-011",
                f"the weight {names[0]!r} of a layer has the wrong shape.",
                where=where,
                expected=list(shape),
                received=f"{entry.name} {list(entry.shape)}",
            )
        return entry.load()

    def shape(self, layer: LayerRef, names: Sequence[str], index: int) -> tuple[int, ...] | None:
        """The shape of a weight as stored, if it is there."""
        entry = self._find(layer, names, index)
        return entry.shape if entry else None

    def pass_over(self, layer: LayerRef, names: Sequence[str], index: int) -> None:
        """A number that a layer keeps for its training alone, and that may be absent."""
        entry = self._find(layer, names, index)
        if entry is not None and entry.shape == ():
            entry.used = True

    def unused(self) -> list[str]:
        return []

    def _find(self, layer: LayerRef, names: Sequence[str], index: int) -> Entry | None:
        return None

    def _near(self, layer: LayerRef) -> str:
        return "nothing"


class NamedStore(Store):
    """Weights filed by layer and weight name."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = list(entries)
        self._index: dict[tuple[str, str], list[Entry]] = {}
        for entry in self._entries:
            tokens = _tokens(entry.name)
            last = tokens[-1] if tokens else ""
            # The layer's name stands before (it may have slashes itself), or is the group.
            owners = {"/".join(tokens[i:-1]) for i in range(max(len(tokens) - 1, 0))}
            for owner in owners | ({entry.group} if entry.group else set()):
                self._index.setdefault((owner, last), []).append(entry)

    def _find(self, layer: LayerRef, names: Sequence[str], index: int) -> Entry | None:
        owners = [layer.name, *([layer.wrapper] if layer.wrapper else ())]
        for owner in owners:
            for name in (*names, *(f"{owner}_{n}" for n in names)):
                found = self._index.get((owner, name), [])
                best = self._choose(layer, found)
                if best is not None:
                    return best
        # Names that no rule knows: the order within the group of a top-level layer decides.
        filed = [e for e in self._entries if e.group == layer.scope[0]]
        return filed[index] if len(layer.scope) == 1 and index < len(filed) else None

    def _choose(self, layer: LayerRef, found: list[Entry]) -> Entry | None:
        filed = [e for e in found if e.group in (None, layer.scope[0])] or found
        if len(filed) < 2:
            return filed[0] if filed else None

        # Inner layers of two nested models may share a name: the longest common path wins.
        def fit(entry: Entry) -> tuple[int, int]:
            tokens = _tokens(entry.name)[:-1]
            common = sum(1 for name in layer.scope if name in tokens)
            return (common, -len(tokens))

        return max(filed, key=fit)

    def _near(self, layer: LayerRef) -> str:
        names = [e.name for e in self._entries if layer.name in (*_tokens(e.name), e.group)]
        return ", ".join(names[:8]) or f"{len(self._entries)} weights of other layers"

    def unused(self) -> list[str]:
        return [e.name for e in self._entries if not e.used and "seed_generator" not in e.name]


class PathStore(Store):
    """Weights filed by position, as .keras files do it."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries: dict[str, Entry] = {}
        for entry in entries:
            # Keras 2.12 wrote another folder name, and backslashes on Windows.
            path = entry.name.replace("\\", "/").replace("_layer_checkpoint_dependencies", "layers")
            self._entries[path] = entry

    @staticmethod
    def fits(names: Iterable[str]) -> bool:
        """Whether weights of these names are filed by position."""
        return any(_VARS.search(name.replace("\\", "/")) for name in names)

    def _find(self, layer: LayerRef, names: Sequence[str], index: int) -> Entry | None:
        return self._entries.get(f"{layer.path}/vars/{index}")

    def _near(self, layer: LayerRef) -> str:
        near = [n for n in self._entries if n.startswith(layer.path + "/")]
        return ", ".join(near[:8]) or f"nothing at {layer.path} among {len(self._entries)} weights"

    def unused(self) -> list[str]:
        return [
            name
            for name, e in self._entries.items()
            if not e.used and "seed_generator" not in name and "optimizer" not in name.split("/")[0]
        ]


class BlankStore(Store):
    """Zeros that take no memory, for what only the shapes of a graph are wanted."""

    def get(
        self, layer: LayerRef, names: Sequence[str], index: int, shape: tuple[int, ...], where: str
    ) -> np.ndarray:
        check_size(TensorType(shape), where)
        return np.broadcast_to(np.zeros((), np.float32), shape)


class RandomStore(Store):
    """Seeded weights for topologies without theirs."""

    def get(
        self, layer: LayerRef, names: Sequence[str], index: int, shape: tuple[int, ...], where: str
    ) -> np.ndarray:
        return random_array(f"{layer.name}/{names[0]}", shape)


def _tokens(name: str) -> list[str]:
    return re.sub(r":\d+$", "", name).split("/")

"""What the importer of one Keras layer gets to work with, and the table of importers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.emitter import Emitter, Tensor, check_size
from fanlight.formats.jsonfile import expect
from fanlight.formats.keras.config import LayerConfig, snake
from fanlight.formats.keras.stores import LayerRef, Store
from fanlight.formats.registry import under
from fanlight.ops.types import TensorType

# Options that say how a layer trains, is named or was built; they do not change its answer.
_TRAINING = frozenset(
    "name trainable dtype batch_input_shape batch_shape input_shape input_dtype input_dim "
    "input_length build_config build_input_shape shared_object_id autocast lora_rank lora_alpha "
    "activity_regularizer sparse ragged optional implementation seed batch_size "
    "synchronized momentum renorm_momentum virtual_batch_size adjustment".split()
)
_SUFFIXES = ("_initializer", "_regularizer", "_constraint")
_NOTHING: tuple[Any, ...] = (None, False, "", [], {})


# Weights that low-rank adapters add to. No place in the order of weights is that of an adapter.
LORA = ("kernel", "embeddings")
_NOWHERE = 1 << 30


def lora_scale(config: Mapping[str, Any]) -> float | None:
    """By what Keras multiplies the product of a layer's low-rank adapter; None: it has none."""
    rank, alpha = config.get("lora_rank"), config.get("lora_alpha")
    if isinstance(rank, bool) or not isinstance(rank, int) or not 0 < rank < 1 << 31:
        return None
    if isinstance(alpha, bool) or not isinstance(alpha, int | float):
        return 1.0
    return alpha / rank


@dataclass(frozen=True)
class Dialect:
    """Which Keras wrote the model: its major version (2 or 3), and whether it was TF.js."""

    major: int = 2
    tfjs: bool = False


@dataclass
class Shared:
    """What all layers of one import have in common."""

    em: Emitter
    store: Store
    dialect: Dialect
    warnings: list[str] = field(default_factory=list)
    weights: dict[tuple, np.ndarray] = field(default_factory=dict)


class LayerCall:
    """One call of one layer. Options that no importer reads are an error, not a silence."""

    def __init__(
        self, shared: Shared, layer: LayerConfig, ref: LayerRef, inputs: Sequence[Tensor]
    ) -> None:
        self.shared = shared
        self.em = shared.em
        self.layer = layer
        self.ref = ref
        self.operands: list[Any] = list(inputs)
        self.options: Mapping[str, Any] = {}
        self.inputs = list(inputs)
        self.name = "/".join(ref.scope)
        self._read: set[str] = set()
        self._created = 0

    # --- inputs and options

    @property
    def x(self) -> Tensor:
        """The only input."""
        if len(self.inputs) != 1:
            raise FanlightError(
                "E-FORMAT-012",
                f"{self.layer.kind} is called with several tensors, or none.",
                where=self.layer.where,
                expected=1,
                received=len(self.inputs),
            )
        return self.inputs[0]

    def image(self, rank: int = 4) -> Tensor:
        """The only input, which must have `rank` dims."""
        if len(self.x.shape) != rank:
            raise FanlightError(
                "E-FORMAT-012",
                f"{self.layer.kind} cannot take an input of this rank.",
                where=self.layer.where,
                expected=f"{rank} dims",
                received=list(self.x.shape),
            )
        return self.x

    def option(self, name: str, default: Any = None) -> Any:
        """An option as written; reading it marks it as known."""
        self._read.add(name)
        value = self.layer.config.get(name)
        return default if value is None else value

    def whole(self, name: str, default: int | None = None, low: int = 0) -> int:
        value = expect(self.option(name, default), int, name, self.layer.where)
        if not low <= value < 1 << 31:
            raise self.refuse(name, f"a number from {low}", value)
        return value

    def real(self, name: str, default: float | None = None) -> float:
        return expect(self.option(name, default), float, name, self.layer.where)

    def flag(self, name: str, default: bool = False) -> bool:
        return expect(self.option(name, default), bool, name, self.layer.where)

    def text(self, name: str, default: str | None = None, allowed: Sequence[str] = ()) -> str:
        """A string option in snake_case; refused if it is not among `allowed`."""
        value = snake(expect(self.option(name, default), str, name, self.layer.where))
        if allowed and value not in allowed:
            raise self.refuse(name, " or ".join(allowed), value)
        return value

    def ints(
        self, name: str, count: int | None, default: Any = None, low: int = 1
    ) -> tuple[int, ...]:
        """`count` numbers (None: however many), or one that stands for all."""
        value = self.option(name, default)
        if isinstance(value, int) and not isinstance(value, bool):
            value = [value] * (count or 1)
        items = [expect(v, int, name, self.layer.where) for v in self._list(name, value)]
        fits = count in (None, len(items)) and len(items) <= 8
        if not fits or not all(low <= v < 1 << 31 for v in items):
            raise self.refuse(name, f"{count or ''} numbers from {low}", value)
        return tuple(items)

    def axes(self, name: str, default: Any, rank: int) -> tuple[int, ...]:
        """One dim or a list of dims, 0 <= axis < rank, sorted."""
        value = self.option(name, default)
        items = value if isinstance(value, list) else [value]
        found = [expect(v, int, name, self.layer.where) for v in items]
        if not all(-rank <= v < rank for v in found):
            raise self.refuse(name, f"dims of {rank}", value)
        return tuple(sorted({v % rank for v in found}))

    def _list(self, name: str, value: Any) -> list[Any]:
        if isinstance(value, dict):  # {"class_name": "__tuple__", "items": [...]}
            value = value.get("items")
        return expect(value, list, name, self.layer.where)

    def only(self, name: str, *values: Any) -> None:
        """Refuse an option unless it has one of these values (or none)."""
        value = self.option(name)
        if value is not None and value not in values:
            raise self.refuse(name, " or ".join(map(repr, values)) or "nothing", value)

    def ignore(self, *names: str) -> None:
        """Options that only matter in training."""
        self._read.update(names)

    def refuse(self, option: str, expected: object, received: object) -> FanlightError:
        """E-FORMAT-012 about an option of this layer."""
        return FanlightError(
            "E-FORMAT-012",
            f"{self.layer.kind}: this value of {option} is not supported.",
            where=self.layer.where,
            expected=expected,
            received=repr(received)[:200],
        )

    def check_options(self) -> None:
        """E-FORMAT-012 for an option that was set and that nobody read."""
        for name, value in self.layer.config.items():
            known = name in self._read or name in _TRAINING or name.endswith(_SUFFIXES)
            if not known and value not in _NOTHING:
                raise FanlightError(
                    "E-FORMAT-012",
                    f"{self.layer.kind} has the option {name!r}, which Fanlight does not know.",
                    where=self.layer.where,
                    expected="an option that can be kept",
                    received=f"{name} = {value!r}"[:200],
                    next="ask for it in an issue; leaving it out could change the answers.",
                )

    # --- what the layer computes

    def weight(self, names: str, shape: Sequence[int]) -> np.ndarray:
        """The layer's next weight (in the order of creation), called one of `names`."""
        aliases = names.split()
        index, self._created = self._created, self._created + 1
        key = (self.ref.scope, index)
        if key not in self.shared.weights:
            type = TensorType(tuple(int(d) for d in shape))
            check_size(type, self.layer.where)
            array = self.shared.store.get(
                self.ref, aliases, index, tuple(type.bound), self.layer.where
            )
            array = self._merged(aliases[0], array.astype(np.float32, copy=False))
            self.shared.weights[key] = self.em.named(array, f"{self.name}/{aliases[0]}")
        return self.shared.weights[key]

    def pass_over(self, names: str) -> None:
        """The layer's next weight, a number that only its training reads, if it is there."""
        self.shared.store.pass_over(self.ref, names.split(), self._created)
        self._created += 1

    def _merged(self, name: str, array: np.ndarray) -> np.ndarray:
        """A weight with what a low-rank adapter (LoRA) adds; .keras files have the sum itself."""
        scale = lora_scale(self.layer.config)
        if scale is None or name not in LORA:
            return array
        parts = []
        rank = int(self.layer.config["lora_rank"])
        shapes = ((*array.shape[:-1], rank), (rank, array.shape[-1]))
        for end, shape in zip("ab", shapes, strict=True):
            names = [f"lora_{name}_{end}"]
            if self.shared.store.shape(self.ref, names, _NOWHERE) is None:
                return array
            check_size(TensorType(shape), self.layer.where)
            parts.append(self.shared.store.get(self.ref, names, _NOWHERE, shape, self.layer.where))
        return array + np.float32(scale) * np.matmul(*(p.astype(np.float32) for p in parts))

    def op(self, op: str, *inputs: Tensor, part: str = "", **attrs: Any) -> Any:
        """Apply an op of the table; `part` names what it is of the layer."""
        return self.em.op(op, *inputs, name=self.part(part), **attrs)

    def part(self, part: str) -> str:
        return f"{self.name}/{part}" if part else self.name

    def reshape(self, x: Tensor, shape: Sequence[int], part: str = "reshape") -> Tensor:
        return self.em.reshape(x, shape, self.part(part))

    def const(self, value: float) -> np.ndarray:
        return self.em.const(float(value))


Handler = Callable[[LayerCall], Any]
LAYERS: dict[str, Handler] = {}


def layer(*kinds: str) -> Callable[[Handler], Handler]:
    """Register the importer of some layer classes."""
    return under(kinds, LAYERS)


def policy(config: Mapping[str, Any]) -> str | None:
    """The name of a layer's dtype policy, however it is written."""
    value = config.get("dtype")
    if isinstance(value, dict):
        inner = value.get("config")
        named = inner.get("name") if isinstance(inner, dict) else None
        value = named or value.get("class_name")
    return value if isinstance(value, str) else None

"""Dtype policies: in which dtype a layer computes, and keeps its weights, where Keras runs it.

Fanlight computes and keeps weights in float32 whatever a policy says: WebAssembly's SIMD has no
arithmetic of half precision. So a policy of less precision changes no number here. It is kept with
the layer and written to its file, and Keras goes on with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor.caller import caller

_MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}
_HALF = ("bfloat16", "float16")
# What layers of whole numbers or texts name; int64 is kept as int32 here.
_OTHERS = {
    "bool": "bool",
    "int32": "int32",
    "int64": "int32",
    "string": "string",
    "uint8": "uint8",
}
_QUANTIZED = ("awq", "float8", "gptq", "int4", "int8")


class DTypePolicy:
    """In which dtype Keras computes a layer and keeps its weights; here both are float32.

    Args:
        name: "float32"; "mixed_float16" or "mixed_bfloat16", which keep weights in float32;
            "float16" or "bfloat16"; or the dtype of a layer of whole numbers or texts. Default:
            the policy that `fl.set_dtype_policy` set.

    Attributes:
        name: as it was given.
        compute_dtype: in which Keras computes.
        variable_dtype: in which Keras keeps weights.

    Raises:
        FanlightError: E-LAYER-004 for "float64", which nothing here computes in, for quantized
            policies, and for other names.
    """

    keras_module = "keras"

    def __init__(self, name: str | None = None) -> None:
        self.name: str = dtype_policy().name if name is None else name
        if not isinstance(self.name, str):
            raise _refused(self.name)
        if self.name in _MIXED:
            self.compute_dtype, self.variable_dtype = _MIXED[self.name], "float32"
        elif self.name == "float32" or self.name in _HALF:
            self.compute_dtype = self.variable_dtype = self.name
        elif self.name in _OTHERS:
            self.compute_dtype = self.variable_dtype = _OTHERS[self.name]
        else:
            raise _refused(self.name)

    @property
    def computed(self) -> str:
        """The dtype that numbers have here: float32 for every dtype of floating point."""
        name = self.compute_dtype
        return "float32" if name in _HALF else name

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicy:
        """The policy of such arguments."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


class _Default:
    """What `set_dtype_policy` sets."""

    policy: DTypePolicy | None = None


_DEFAULT = _Default()


def dtype_policy() -> DTypePolicy:
    """The policy of layers that are made without a dtype. Source: keras.config.dtype_policy."""
    return _DEFAULT.policy or DTypePolicy("float32")


def set_dtype_policy(policy: Any) -> None:
    """Give layers that are made from now on, without a dtype of their own, this policy.

    Args:
        policy: a name such as "mixed_float16", or a `DTypePolicy`.

    Source: keras.config.set_dtype_policy. It changes what files say, no number: see `DTypePolicy`.
    """
    _DEFAULT.policy = get(policy)


def get(given: Any, where: str = "dtype") -> DTypePolicy:
    """The policy of a name, a dtype, or a description as Keras 2 and 3 write it.

    Args:
        given: None stands for the default one.
        where: what it is for, for errors.
    """
    if given is None:
        return dtype_policy()
    if isinstance(given, DTypePolicy):
        return given
    if isinstance(given, Mapping):
        inner = given.get("config")
        name = inner.get("name", "float32") if isinstance(inner, Mapping) else None
        if isinstance(inner, Mapping) and ("mode" in inner or "policy_map" in inner):
            name = str(given.get("class_name"))
    elif isinstance(given, str):
        name = {"float": "float32", "int": "int32"}.get(given, given)
    elif isinstance(given, np.dtype) or (isinstance(given, type) and given in _TYPES):
        name = np.dtype(given).name
    else:
        raise _refused(given, where)
    try:
        return DTypePolicy(name or "")
    except FanlightError as error:
        error.where = f"{where}, {caller()}"
        raise


_TYPES = (bool, int, float, np.float16, np.float32, np.float64, np.int32, np.int64, np.uint8)


def _refused(given: Any, where: str = "dtype") -> FanlightError:
    known = ("float32", *_MIXED, *_HALF, *_OTHERS)
    told, more = "this is no dtype policy.", None
    if isinstance(given, str) and given == "float64":
        told = "nothing computes in float64 here: results would be less exact than they claim."
        more = 'dtype="float32", in which Fanlight computes and browsers do.'
    elif isinstance(given, str) and (given.startswith(_QUANTIZED) or "Policy" in given):
        told = "the weights of this policy are not the numbers that the layer computes with."
        more = "save the model before it was quantized: fl.quantize makes int8 of it for a page."
    return FanlightError(
        "E-LAYER-004",
        told,
        where=f"{where}, {caller()}",
        expected=", ".join(known),
        received=repr(given)[:200],
        next=more,
    )


__all__ = ["DTypePolicy", "dtype_policy", "set_dtype_policy"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

"""What a caller gave in place of a path or a model: what it is, and what to do with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def instead_of_model(value: Any) -> tuple[str, str | None]:
    """What the value is, in a few words; and what to do, where that follows from it."""
    if isinstance(value, type):
        name = value.__name__
        return (
            f"the class {value.__module__}.{name}, not a model made of it"[:200],
            f"make one first: model = {name}(...). {_live(value)}",
        )
    if _of_arrays(value):
        key, array = next(iter(value.items()))
        return (
            f"a dict of {len(value)} arrays, such as {str(key)[:80]!r} {list(array.shape)}: "
            "weights, without the model that computes with them",
            "give the module that they belong to: fl.from_torch(module, (example,)); or write the "
            "model in layers of fl, and model.load_torch_state(state) gives it the weights.",
        )
    if _is_of(type(value), "torch"):
        return f"{type(value).__name__}, an object of PyTorch", _live(type(value))
    if callable(value) and not _is_of(type(value), "keras"):
        return (
            repr(value)[:200],
            "of a function of JAX (of Flax, model.apply) fl.from_jax(function, example, "
            "params=params) makes a model of fl.",
        )
    return repr(value)[:200], None


def _live(kind: type) -> str:
    if _is_of(kind, "torch"):
        return "Of a module of PyTorch fl.from_torch(model, (example,)) makes a model of fl."
    if _is_of(kind, "keras") or _is_of(kind, "tf_keras"):
        return 'Of a model of Keras give the file: model.save("model.keras").'
    return (
        "A model of fl goes to fl.convert and fl.build as it is, one of PyTorch by fl.from_torch."
    )


def _of_arrays(value: Any) -> bool:
    """Whether it is a state dict: arrays or tensors by name."""
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(k, str) and hasattr(a, "shape") for k, a in value.items())
    )


def _is_of(kind: type, package: str) -> bool:
    return any(str(k.__module__).partition(".")[0] == package for k in kind.__mro__)

"""What compile was told, to and from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.layers import config, optimizers
from fanlight.layers.places import Found, Stored, assign, optimizer_order
from fanlight.layers.reading import untupled
from fanlight.tensor.caller import warn

_OPTIONS = ("loss", "loss_weights", "metrics", "weighted_metrics")


def arguments(
    optimizer: Any, loss: Any, loss_weights: Any, metrics: Any, weighted_metrics: Any
) -> dict[str, Any]:
    """The arguments of compile that a page and a file keep, as JSON has them."""
    return {
        "optimizer": config.plain(optimizer),
        "loss": config.plain(loss),
        "loss_weights": config.plain(loss_weights),
        "metrics": config.plain(metrics),
        "weighted_metrics": config.plain(weighted_metrics),
    }


def described(model: Any) -> dict[str, Any] | None:
    """The arguments of compile as Keras 3 files have them; None: it was not compiled."""
    told = model._compiled
    if told is None or model.optimizer is None:
        return None
    return {
        **arguments(
            model.optimizer, told["loss"], told["loss_weights"], told["metric"], told["weighted"]
        ),
        "run_eagerly": model._eager,
        "steps_per_execution": 1,
        "jit_compile": False,
    }


def _plainly_named(optimizer: Mapping[str, Any]) -> dict[str, Any]:
    """Keras 2.11 to 2.15 call their own optimizers "Custom>Adam"; one registered so goes first."""
    name = str(optimizer.get("class_name"))
    plain = name.removeprefix("Custom>")
    known = plain in optimizers.KNOWN and config.registered(name) is None
    return {**optimizer, "class_name": plain} if known else dict(optimizer)


def compile_as(model: Any, told: Any, where: object) -> None:
    """Compile a model as a file says."""
    if not isinstance(told, Mapping) or not told:
        return
    optimizer = unwrapped(told.get("optimizer") or told.get("optimizer_config"))
    if optimizer is None:
        return
    try:
        if isinstance(optimizer, Mapping):
            optimizer = {
                **_plainly_named(optimizer),
                "config": _renewed(dict(optimizer.get("config") or {})),
            }
        model.compile(
            optimizers.get(untupled(optimizer)),
            **{k: config.with_scoped(untupled(told.get(k))) for k in _OPTIONS},
            run_eagerly=bool(told.get("run_eagerly") or False),
        )
    except FanlightError as error:
        error.where = f"compile of {where}: {error.where}"
        error.next = error.next or "fl.load_model(path, compile=False) leaves training out."
        raise
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise FanlightError(
            "E-LAYER-004",
            "the model of the file cannot be compiled as the file says.",
            where=where,
            expected="arguments of compile as Keras writes them",
            received=f"{type(error).__name__}: {error}"[:300],
            next="fl.load_model(path, compile=False) leaves training out.",
        ) from None


def _renewed(own: dict[str, Any]) -> dict[str, Any]:
    """An optimizer's arguments of Keras 2 in the words of Keras 3."""
    if "lr" in own:
        own.setdefault("learning_rate", own.pop("lr"))
    for key in ("decay", "initial_decay"):
        if not own.get(key):
            own.pop(key, None)
    if own.get("ema_overwrite_frequency") is not None and own.get("use_ema") is False:
        own["ema_overwrite_frequency"] = None
    return own


# Where a model's policy is mixed_float16, Keras puts this optimizer around the one of compile: it
# multiplies the loss, lest gradients of half precision vanish. Gradients are float32 here, which
# need no such thing; its state is kept for Keras to go on with.
SCALER = "loss_scale_optimizer"
_SCALE: dict[str, Any] = {
    "iteration": np.int32(0),
    "learning_rate": np.float32(0),
    "step_counter": np.int32(0),
    "dynamic_scale": np.float32(2**15),
}


def loss_scale(model: Any) -> list[tuple[str, np.ndarray]]:
    """The variables that Keras files in front of the optimizer's own; none of most models."""
    if model.dtype_policy.name != "mixed_float16":
        return []
    kept = model.optimizer.loss_scale or _SCALE.values()
    return [(f"{SCALER}/{n}", np.asarray(v)) for n, v in zip(_SCALE, kept, strict=True)]


def keep_loss_scale(model: Any, arrays: Sequence[Stored]) -> None:
    """Keep the variables of Keras's LossScaleOptimizer, to write them again."""
    numbers = len(arrays) == len(_SCALE) and not any(a.shape for a in arrays)
    if model.optimizer is not None and numbers:
        model.optimizer.loss_scale = [a.load() for a in arrays]


def unwrapped(optimizer: Any) -> Any:
    """The description of the optimizer within a LossScaleOptimizer."""
    if not isinstance(optimizer, Mapping):
        return optimizer
    inner = optimizer.get("config")
    if optimizer.get("class_name") != "LossScaleOptimizer" or not isinstance(inner, Mapping):
        return optimizer
    return inner.get("inner_optimizer")


def restore(model: Any, arrays: Sequence[Stored], where: object, new: bool = False) -> None:
    """Give the optimizer its state, in Keras's order; it begins anew where that does not fit.

    Args:
        new: see `assign`.
    """
    if model.optimizer is None or not arrays:
        return
    if len(arrays) > 2:
        model.optimizer.build(model.trainable_weights)
    own = optimizer_order(model.optimizer)
    if len(arrays) <= 2:  # of an optimizer that had made no step
        own = own[: len(arrays)]
    pairs: list[tuple[str, Any, Any]] = [
        (name, weight, arrays[i] if i < len(arrays) else None)
        for i, (name, weight) in enumerate(own)
    ]
    give(Found(pairs, [a.name for a in arrays[len(own) :]]), where, new)


def give(state: Found, where: object, new: bool = False) -> None:
    """Give the variables of an optimizer what a file has for them, or tell that it begins anew."""
    try:
        assign(state, where, new=new)
    except FanlightError as error:
        if error.code != "E-LAYER-006":
            raise
        begins_anew(error.received, where)


def begins_anew(wrong: object, where: object) -> None:
    """Warn that the state of an optimizer was passed over.

    It is of weights that train no more, or lacks some that do now: `trainable` was changed between
    training and saving. Keras warns and loads such a file, too.
    """
    first, _, more = str(wrong).partition("; ")
    warn(
        f"{where}: the state of the optimizer is not that of the weights that train ({first}"
        f"{', and others' if more else ''}): it begins anew. All weights of the model are loaded."
    )

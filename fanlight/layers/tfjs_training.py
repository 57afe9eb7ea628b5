"""compile's arguments and the state of optimizers, as TF.js has them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.layers import losses, optimizers, schedules
from fanlight.layers.config import snake
from fanlight.tensor.caller import caller

# Our class -> that of TF.js, its arguments by ours, and its slots by ours, in its order.
_TABLE: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "SGD": ("SGD", {}, {}),
    "Momentum": ("Momentum", {"momentum": "momentum", "useNesterov": "nesterov"},
                 {"momentum": "momentum"}),
    "RMSprop": ("RMSProp", {"decay": "rho", "momentum": "momentum", "epsilon": "epsilon",
                            "centered": "centered"},
                {"rms": "velocity", "momentum": "momentum", "mg": "average_gradient"}),
    "Adam": ("Adam", {"beta1": "beta_1", "beta2": "beta_2", "epsilon": "epsilon"},
             {"m": "momentum", "v": "velocity"}),
    # TF.js keeps no state of this one: its getWeights and setWeights throw.
    "Adamax": ("Adamax", {"beta1": "beta_1", "beta2": "beta_2", "epsilon": "epsilon"}, {}),
    "Adagrad": ("Adagrad", {"initialAccumulatorValue": "initial_accumulator_value"},
                {"accumulator": "accumulator"}),
    "Adadelta": ("Adadelta", {"rho": "rho", "epsilon": "epsilon"},
                 {"accum_grad": "accumulated_grad", "accum_var": "accumulated_delta_var"}),
}  # fmt: skip
_LOSSES = frozenset(
    "mean_squared_error mean_absolute_error mean_absolute_percentage_error "
    "mean_squared_logarithmic_error squared_hinge hinge categorical_hinge logcosh "
    "categorical_crossentropy sparse_categorical_crossentropy binary_crossentropy "
    "kullback_leibler_divergence poisson cosine_proximity".split()
)
_LOSS_NAMES = {"kl_divergence": "kullback_leibler_divergence", "log_cosh": "logcosh"}
_METRICS = frozenset(
    "binary_accuracy categorical_accuracy precision categorical_crossentropy "
    "sparse_categorical_crossentropy mse mae mape cosine accuracy acc".split()
)
_METRIC_NAMES = {
    "mean_squared_error": "mse", "mean_absolute_error": "mae",
    "mean_absolute_percentage_error": "mape", "cosine_proximity": "cosine",
}  # fmt: skip


def training_config(model: Any) -> dict[str, Any]:
    """trainingConfig.

    Raises:
        FanlightError: E-LAYER-009 with what TF.js does not have of it.
    """
    wrong: list[str] = []
    told = model._compiled
    kind = _kind(model.optimizer)
    if kind is None:
        wrong.append(f"the optimizer {type(model.optimizer).__name__}")
    wrong += _unlike(model.optimizer)
    for key in ("loss_weights", "weighted"):
        if told[key]:
            wrong.append("loss_weights" if key == "loss_weights" else "weighted_metrics")
    loss = _each(told["loss"], lambda x: _loss(x, wrong))
    metrics = told["metric"] or []
    if isinstance(metrics, Mapping):
        metrics = {k: _metric(v, wrong) for k, v in metrics.items()}
    else:
        flat = metrics if isinstance(metrics, list | tuple) else [metrics]
        if any(isinstance(m, list | tuple) for m in flat):
            wrong.append("metrics as a list for each output (a dict by their names works)")
            flat = []
        metrics = [_metric(m, wrong) for m in flat]
    if wrong or kind is None:
        raise FanlightError(
            "E-LAYER-009",
            "TF.js cannot train this model as it was compiled.",
            where=f"{model.name}, {caller()}",
            expected="losses, metrics and optimizers of TF.js 4.22",
            received="; ".join(dict.fromkeys(wrong)),
            next="model.save(folder, include_optimizer=False) leaves training out.",
        )
    name, arguments, _ = _TABLE[kind]
    own = {"learningRate": float(model.optimizer._rate.item())}
    own |= {theirs: _plain(getattr(model.optimizer, ours)) for theirs, ours in arguments.items()}
    return {
        "loss": loss,
        "metrics": metrics,
        "optimizer_config": {"class_name": name, "config": own},
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int) or value is None else float(value)


def _kind(optimizer: Any) -> str | None:
    """The row of the table for an optimizer."""
    name = type(optimizer).__name__
    if name == "SGD" and optimizer.momentum:
        return "Momentum"
    return name if name in _TABLE and type(optimizer).__module__.startswith("fanlight.") else None


def _unlike(optimizer: Any) -> list[str]:
    """What an optimizer does that none of TF.js does."""
    own = optimizer.get_config()
    keys = ("weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "use_ema",
            "loss_scale_factor", "gradient_accumulation_steps", "amsgrad")  # fmt: skip
    wrong = [f"{k} of the optimizer" for k in keys if own.get(k)]
    if optimizer._schedule is not None:
        wrong.append("a schedule of learning rates")
    return wrong


def _each(value: Any, change: Any) -> Any:
    if isinstance(value, list | tuple):
        return [change(v) for v in value]
    if isinstance(value, Mapping) and "class_name" not in value:
        return {k: change(v) for k, v in value.items()}
    return change(value)


def _loss(loss: Any, wrong: list[str]) -> str:
    if isinstance(loss, str):
        name = losses.ALIASES.get(loss, loss) if hasattr(losses, "ALIASES") else loss
    else:
        own = loss.get_config() if hasattr(loss, "get_config") else {}
        changed = [k for k in ("from_logits", "label_smoothing", "ignore_class") if own.get(k)]
        name = getattr(loss, "__name__", None) or type(loss).__name__
        if changed:
            wrong.append(f"{name} with {', '.join(changed)}")
    name = snake(str(name)) if not str(name).islower() else str(name)
    name = _ALIAS.get(name, name)
    name = _LOSS_NAMES.get(name, name)
    if name not in _LOSSES:
        wrong.append(f"the loss {name}")
    return name


_ALIAS = {
    "mse": "mean_squared_error", "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error", "msle": "mean_squared_logarithmic_error",
    "kld": "kullback_leibler_divergence", "bce": "binary_crossentropy",
}  # fmt: skip


def _metric(metric: Any, wrong: list[str]) -> str:
    name = metric if isinstance(metric, str) else getattr(metric, "__name__", None)
    name = snake(type(metric).__name__) if name is None else str(name)
    name = _METRIC_NAMES.get(_ALIAS.get(name, name), name)
    if name not in _METRICS:
        wrong.append(f"the metric {name}")
    return name


# --- state ----------------------------------------------------------------------------------------


def state(optimizer: Any, order: Sequence[tuple[str, Any]]) -> list[tuple[str, np.ndarray]]:
    """The state of an optimizer as TF.js files it: how many steps, then slot by slot.

    Args:
        order: names and weights that train, in the order of TF.js.
    """
    kind = _kind(optimizer)
    assert kind is not None  # training_config has refused it
    if kind == "Adamax":
        if optimizer.iterations.item():
            told = "TF.js keeps no state of Adamax: what loads this folder begins its means anew"
            warnings.warn(told, stacklevel=2)
        return []
    if kind == "Adadelta":
        told = (
            "Adadelta in TF.js divides by the spread before a step, not after it: what loads this "
            "folder goes on from this state, by other steps"
        )
        warnings.warn(told, stacklevel=2)
    found = [("iter", np.asarray(optimizer.iterations.numpy(), np.int32))]
    at = {id(w): i for i, w in enumerate(optimizer.trained)}
    if not all(id(w) in at for _, w in order):
        return found  # no step yet
    for theirs, ours in _slots(optimizer, kind).items():
        values = optimizer._slots.get(ours)
        for name, weight in order:
            if values is None:  # TF.js files momentum also where there is none
                array = np.zeros(weight.shape, np.float32)
            else:
                array = np.asarray(values[at[id(weight)]].numpy(), np.float32)
            found.append((f"{name}/{theirs}", _turned(optimizer, kind, array)))
    return found


def _slots(optimizer: Any, kind: str) -> dict[str, str]:
    slots = _TABLE[kind][2]
    if kind == "RMSprop" and not optimizer.centered:
        return {k: v for k, v in slots.items() if k != "mg"}
    return slots


def _turned(optimizer: Any, kind: str, array: np.ndarray) -> np.ndarray:
    """TF.js gathers gradients where Keras gathers moves: -1/rate times as large."""
    rate = float(optimizer._rate.item()) if kind == "Momentum" else 0.0
    return array / np.float32(-rate) if rate else array


def optimizer_of(told: Mapping[str, Any]) -> Any:
    """The optimizer of a trainingConfig."""
    description = dict(told.get("optimizer_config") or {})
    theirs = str(description.get("class_name") or description.get("className"))
    own = dict(description.get("config") or {})
    ours = next((k for k, row in _TABLE.items() if row[0] == theirs), None)
    if ours is None:
        return optimizers.get(description)
    options: dict[str, Any] = {}
    rate = own.get("learningRate", own.get("learning_rate"))
    if rate is not None:
        options["learning_rate"] = rate
    for key, name in _TABLE[ours][1].items():
        for spelled in (key, snake(key), name):
            if own.get(spelled) is not None:
                options[name] = own[spelled]
    if ours == "Adamax" and own.get("decay"):  # rate / (1 + decay steps), as TF.js has it
        rate = options.get("learning_rate", 0.001)
        options["learning_rate"] = schedules.InverseTimeDecay(rate, 1, own["decay"])
    return optimizers.get({"class_name": "SGD" if ours == "Momentum" else ours, "config": options})


def restore(model: Any, order: Sequence[tuple[str, Any]], arrays: Mapping[str, Any]) -> list[str]:
    """Give an optimizer the state that TF.js has filed; the names that do not fit."""
    optimizer = model.optimizer
    kind = _kind(optimizer)
    if kind is None or not arrays:
        return []
    optimizer.build(model.trainable_weights)
    at = {id(w): i for i, w in enumerate(optimizer.trained)}
    wrong: list[str] = []
    chosen: list[tuple[Any, np.ndarray]] = []
    if "iter" in arrays:
        chosen.append((optimizer.iterations, np.asarray(arrays["iter"]).reshape(())))
    for theirs, ours in _slots(optimizer, kind).items():
        values = optimizer._slots.get(ours)
        if values is None:
            continue
        for name, weight in order:
            array = arrays.get(f"{name}/{theirs}")
            if array is None and len(arrays) < 2 and not np.any(arrays.get("iter", 0)):
                continue  # no step yet
            if array is None or tuple(array.shape) != tuple(weight.shape):
                has = "nothing" if array is None else list(array.shape)
                wrong.append(f"{name}/{theirs} {list(weight.shape)} from {has}")
                continue
            rate = float(optimizer._rate.item()) if kind == "Momentum" else 0.0
            own = np.asarray(array, np.float32) * np.float32(-rate) if rate else array
            chosen.append((values[at[id(weight)]], own))
    if not wrong:
        for variable, array in chosen:
            variable.assign(np.asarray(array).astype(variable.dtype))
    return wrong

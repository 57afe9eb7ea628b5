"""Steps that a class of somebody's own says itself: train_step, test_step, compute_loss.

Names, arguments and meaning are Keras's. Where a class overrides one of them, its steps are
computed by NumPy, op by op, as its Python says: what is written there may do anything, and change
any variable.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.layers import fit_arguments as wanted
from fanlight.layers import scope
from fanlight.layers.metric import Metric
from fanlight.layers.objective import Objective
from fanlight.tensor import Tensor, random, tensor
from fanlight.tensor import functions as fn
from fanlight.tensor.caller import caller
from fanlight.tensor.calls import listened, listening
from fanlight.tensor.tape import Tape, flatten
from fanlight.tensor.variables import Variable

# Of a kind of step: the methods of which each makes it one of somebody's own.
_METHODS = {
    "train": ("train_step", "compute_loss", "compute_metrics"),
    "test": ("test_step", "compute_loss", "compute_metrics"),
    "predict": ("predict_step",),
}
_FUNCTIONS = ("make_train_function", "make_test_function", "make_predict_function")


class AtOnce(scope.Scope):
    """A step whose variables change while it goes on: the second optimizer sees the first's work.

    What is told while a tape listens comes after it, since nothing may change below a gradient.
    """

    def told(self) -> None:
        if not listened():
            self.settle()

    def settle(self) -> None:
        """Give variables the values that they were told."""
        pairs, self.updates, self.assigned = self.pairs(), {}, {}
        for variable, value in pairs:
            variable.put(value)


def _structure(parts: Sequence[Any]) -> Any:
    return None if not parts else parts[0] if len(parts) == 1 else list(parts)


class OwnSteps:
    """The part of a model whose methods a class may override."""

    name: str
    optimizer: Any
    trainable_weights: list[Any]
    _compiled: dict[str, Any] | None
    _objective: Objective | None
    _own_steps = 0

    # --- what may be overridden -------------------------------------------------------------------

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step of training; a class of your own may say it itself.

        Args:
            data: (x, y) or (x, y, sample_weight), of tensors; x itself where there is no y.

        Returns:
            What is reported: name -> number.

        `value_and_grads` gives a loss with its gradients, `self.optimizer.apply` moves weights:

            def train_step(self, data):
                x, y = data
                loss, grads = self.value_and_grads(
                    lambda: fl.mean(fl.abs(self(x, training=True) - y))
                )
                self.optimizer.apply(grads, self.trainable_weights)
                return {"loss": loss}
        """
        x, y, w = wanted.unpacked("data", data)
        predicted: list[Any] = []

        def loss() -> Tensor:
            predicted[:] = [self(x, training=True)]  # type: ignore[operator]
            return self._loss(x, y, predicted[0], w, True)

        value, grads = self.value_and_grads(loss)
        self.optimizer.apply(grads, self.trainable_weights)
        self._track(value, predicted[0])
        return self.compute_metrics(x, y, predicted[0], w)

    def test_step(self, data: Any) -> dict[str, Any]:
        """One step of evaluation and validation; see `train_step`."""
        x, y, w = wanted.unpacked("data", data)
        predicted = self(x, training=False)  # type: ignore[operator]
        self._track(self._loss(x, y, predicted, w, False), predicted)
        return self.compute_metrics(x, y, predicted, w)

    def predict_step(self, data: Any) -> Any:
        """The outputs for a batch; see `train_step`."""
        return self(wanted.unpacked("data", data)[0], training=False)  # type: ignore[operator]

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """The number that training makes small: the loss of compile, and penalties.

        A class of your own may say it itself; `super().compute_loss(...)` is this.

        Raises:
            FanlightError: E-TRAIN-001 compile was given no loss, and there are no penalties.
        """
        total: Any = None
        objective = self._objective
        if objective is not None and any(x is not None for x in objective.losses):
            count = len(objective.losses)
            labels, weights = _each(y, count, objective.names), _each(sample_weight, count)
            total = objective.loss(labels, flatten(y_pred)[0], weights)[0]
        for penalty in self._penalties():
            total = penalty if total is None else total + penalty
        if total is None:
            raise FanlightError(
                "E-TRAIN-001",
                "there is no loss to compute.",
                where=f"{self.name}.compute_loss, {caller()}",
                expected='model.compile("adam", loss="mse")',
                received="no loss",
            )
        return tensor(total)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Take a batch into account in the metrics of compile; what they are now, by name."""
        objective = self._objective
        if objective is not None and y is not None:
            count = len(objective.losses)
            labels, weights = _each(y, count, objective.names), _each(sample_weight, count)
            objective.track_metrics(labels, flatten(y_pred)[0], weights)
        return self.get_metrics_result()

    # --- what helps to write them -----------------------------------------------------------------

    def value_and_grads(
        self, loss: Callable[[], Any], weights: Sequence[Variable] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """A number that a function without arguments computes, and its gradients.

        Args:
            weights: after which it is derived; default: those that train.
        """
        wanted = list(self.trainable_weights if weights is None else weights)
        tape = Tape(wanted)
        with listening(tape):
            value = tensor(loss())
            scale = getattr(self.optimizer, "loss_scale_factor", None)
            scaled = value * float(scale) if scale else value
        if value.dtype != "float32" or value.size != 1:
            raise FanlightError(
                "E-TENSOR-005",
                "only a loss of one number has a gradient.",
                where=f"{self.name}.value_and_grads, {caller()}",
                expected="float32 with one element",
                received=str(value.type),
                next="sum or average it.",
            )
        return value, tape.pull([scaled], [fn.ones_like(scaled)], wanted)

    @property
    def compiled(self) -> bool:
        """Whether `compile` has said how it is trained."""
        return self._compiled is not None

    @property
    def metrics(self) -> list[Metric]:
        """The loss, the metrics of compile, and those among the attributes, in order. Those of
        compile are there once its outputs are known.
        """
        model: Any = self
        objective = self._objective
        if objective is None and self._compiled is not None and model.functional:
            shapes = [s.shape for s in model.outputs]
            objective = Objective(**self._compiled, names=model.output_names, shapes=shapes)
        found = {id(m): m for m in (objective.every() if objective is not None else ())}
        found.update((id(m), m) for m in _metrics_in(self))
        return list(found.values())

    @property
    def metrics_names(self) -> list[str]:
        """The names of `metrics`."""
        return [m.name for m in self.metrics]

    def get_metrics_result(self) -> dict[str, Any]:
        """What the metrics are now, by name."""
        return {m.name: m.result() for m in self.metrics}

    def reset_metrics(self) -> None:
        """Let all metrics begin again."""
        for m in self.metrics:
            m.reset_state()

    @property
    def losses(self) -> list[Tensor]:
        """Penalties: on weights, and on what layers gave since the step began."""
        return list(self._penalties())

    def _penalties(self) -> Iterator[Tensor]:
        step = scope.current()
        yield from step.losses if step is not None else ()
        for weight in self.trainable_weights:
            if weight.regularizer is not None:
                yield weight.regularizer(weight)

    def _loss(self, x: Any, y: Any, y_pred: Any, w: Any, training: bool) -> Tensor:
        options = {"training": training}
        if "training" not in inspect.signature(self.compute_loss).parameters:
            options = {}  # as Keras had it before 3.3
        return tensor(self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=w, **options))

    def _track(self, value: Tensor, predicted: Any) -> None:
        if self._objective is not None:
            made = flatten(predicted)[0]
            self._objective.tracker.update_state(fn.reshape(value, ()), float(made[0].shape[0]))

    # --- how they are run -------------------------------------------------------------------------

    @property
    def says_steps(self) -> list[str]:
        """The methods that training and evaluation consist of, as far as its class says them."""
        return [n for n in (*_METHODS["train"], "test_step") if self._overrides(n)]

    def _overrides(self, name: str) -> bool:
        return name in vars(self) or getattr(type(self), name) is not getattr(OwnSteps, name)

    def _own(self, kind: str) -> bool:
        """Whether a step of a kind is one of somebody's own."""
        return any(map(self._overrides, _METHODS[kind]))

    def _refuse_functions(self) -> None:
        """E-TRAIN-001 for what Keras lets a class override and nothing here calls."""
        for name in _FUNCTIONS:
            if hasattr(type(self), name):
                raise FanlightError(
                    "E-TRAIN-001",
                    f"{name} is not called here.",
                    where=f"{type(self).__name__}.{name}, {caller()}",
                    expected="a class that overrides train_step, test_step or predict_step",
                    received=name,
                    next="put what is to happen in a step into train_step(self, data).",
                )

    def _run_own(self, kind: str, x: Any, y: Sequence[Any], w: Sequence[Any], key: Any) -> Any:
        """A step of somebody's own: what it reports, as numbers; the outputs of predict_step."""
        model: Any = self
        given = [[None if a is None else tensor(a) for a in part] for part in (x, y, w)]
        inputs, labels, weights = model.arranged(given[0]), _structure(given[1]), given[2]
        data: Any = inputs
        if labels is not None:
            heavy = any(a is not None for a in weights)
            data = (inputs, labels, _structure(weights)) if heavy else (inputs, labels)
        elif isinstance(inputs, list):
            data = (inputs,)
        self._own_steps += 1
        training = kind == "train"
        drawn = random.fold_in(key, self._own_steps)
        with scope.entered(AtOnce(training, drawn)) as step:
            result = getattr(self, f"{kind}_step")(data)
            made = result if kind == "predict" else self._reported(kind, result)
            step.settle()  # type: ignore[attr-defined]
        return made

    def _reported(self, kind: str, result: Any) -> dict[str, Any]:
        if not isinstance(result, Mapping):
            raise FanlightError(
                "E-TRAIN-001",
                f"{kind}_step does not say what is reported.",
                where=f"{type(self).__name__}.{kind}_step",
                expected='a dict of numbers by name: {"loss": loss}',
                received=repr(result)[:200],
            )
        return {str(k): _number(v) for k, v in result.items()}


def _number(value: Any) -> Any:
    array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
    return float(array.reshape(())) if array.size == 1 and array.ndim < 2 else np.array(array)


def _each(value: Any, count: int, names: Sequence[str] = ()) -> list[Any]:
    """Labels or weights, one for each output."""
    if isinstance(value, Mapping):
        return [value.get(n) for n in names]
    if isinstance(value, list | tuple):
        return list(value)
    return [value] * count


def _metrics_in(owner: Any) -> Iterator[Metric]:
    """The metrics among the attributes of a model, also in lists and dicts."""
    for name, value in vars(owner).items():
        if name.startswith("_"):
            continue
        parts = value.values() if isinstance(value, Mapping) else value
        for part in parts if isinstance(value, list | tuple | Mapping) else (value,):
            if isinstance(part, Metric):
                yield part


__all__ = ["OwnSteps"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

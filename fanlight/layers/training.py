"""compile, fit, evaluate, predict: what makes a graph of layers a model that learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.hosts.wasmtime import sensible_threads
from fanlight.layers import budget, feeding, losses, optimizers, seeds
from fanlight.layers.callbacks import Callback, CallbackList, History
from fanlight.layers.hosted import tail_of
from fanlight.layers.layer import shapes_of
from fanlight.layers.objective import Objective
from fanlight.layers.optimizer import Optimizer
from fanlight.layers.progress import shown
from fanlight.layers.step import Steps
from fanlight.layers.symbolic import Symbolic
from fanlight.layers.weight import Weight
from fanlight.tensor import random
from fanlight.tensor.caller import caller
from fanlight.tensor.tape import unflatten


class Trainer:
    """The part of `fl.Model` that trains."""

    name: str

    def _set_up(self) -> None:
        self.optimizer: Optimizer | None = None
        self.history: History | None = None
        self.stop_training = False
        self.initial_epoch = 0
        self._compiled: dict[str, Any] | None = None
        self._objective: Objective | None = None
        self._steps: Steps | None = None
        self._eager = False
        self._threads: int | None = None
        self._input_names_given: list[str] | None = None
        self._memory: int | None = None
        self._form: Any = None
        self._key: Weight | None = None

    def _forget(self) -> None:
        """The layers have changed: steps are traced again."""
        self._objective, self._steps = None, None

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        *,
        threads: int | str = "auto",
        memory: int | str | None = None,
        **options: Any,
    ) -> None:
        """Say how the model is trained. Its meaning and defaults are Keras's.

        Args:
            optimizer: a name or one of `fl.optimizers`.
            loss: a name, a function, or one of `fl.losses`; a list or dict of them for several
                outputs.
            metrics, weighted_metrics: names, functions or `fl.metrics`, for all outputs or for
                each; the weighted ones take the sample weights into account.
            run_eagerly: compute by NumPy, op by op: slow, for looking into it.
            threads: how many threads compute a step of fit, evaluate and predict, at most; "auto":
                one per core, up to four. Steps that are too small for it take one, and so do all
                while the other cores are busy. The numbers do not depend on it.
            memory: bytes, or "64 MB", that activations and gradients of a training step may take.
                What does not fit is computed again when it is needed; the numbers stay the same.
            options: steps_per_execution, jit_compile and auto_scale_loss of Keras are taken and
                change nothing: every step is compiled.
        """
        unknown = set(options) - {"steps_per_execution", "jit_compile", "auto_scale_loss"}
        if unknown:
            raise FanlightError(
                "E-TRAIN-001",
                "compile does not take this argument.",
                where=f"compile, {caller()}",
                expected="optimizer, loss, loss_weights, metrics, weighted_metrics, run_eagerly, "
                "threads, memory",
                received=", ".join(sorted(unknown)),
            )
        self.optimizer = optimizers.get(optimizer)
        self._compiled = {
            "loss": loss,
            "metric": metrics,
            "weighted": weighted_metrics,
            "loss_weights": loss_weights,
        }
        self._eager = bool(run_eagerly)
        self._threads, self._memory = budget.counted(threads), budget.bytes_of(memory, "compile")
        self._forget()

    # --- what a step needs to know ----------------------------------------------------------------

    def arranged(self, flat: Sequence[Any]) -> Any:
        """Inputs, flat and in order, as the model is called with them."""
        model: Any = self
        known = None if model.functional else model.built_with
        names = list(known) if isinstance(known, Mapping) else self._input_names_given
        if names is not None:
            return dict(zip(names, flat, strict=True))
        return flat[0] if len(flat) == 1 and not isinstance(known, list) else list(flat)

    def _input_order(self, x: Any) -> list[str]:
        model: Any = self
        if model.functional:
            form = model.inputs_form
            return list(form) if isinstance(form, Mapping) else [s.name for s in model.inputs]
        return self._input_names_given or [] if isinstance(x, Mapping) else []

    def _prepared(self, first: Any) -> Objective | None:
        """The objective, once the model is built with the shapes of a first batch."""
        model: Any = self
        if self._compiled is None:
            return None
        if self._objective is None:
            outputs, names = self._outputs_for(first)
            self._objective = Objective(
                **self._compiled, names=names, shapes=[s.shape for s in outputs]
            )
            if self.optimizer is not None:
                self.optimizer.build(model.trainable_weights)
        return self._objective

    def _outputs_for(self, first: Any) -> tuple[list[Symbolic], list[str]]:
        model: Any = self
        stand_ins = [
            Symbolic((None, *a.shape[1:]), str(a.dtype), None, i)  # type: ignore[arg-type]
            for i, a in enumerate(first)
        ]
        if not model.built:
            model._build(shapes_of(self.arranged(stand_ins)))
        if model.functional:
            return model.outputs, model.output_names
        outputs = model.symbolic_outputs((self.arranged(stand_ins),), {})
        form = self._form
        if form is not None and form[0] is dict and len(form[1]) == len(outputs):
            return outputs, [str(n) for n in form[1]]
        many = len(outputs) > 1
        return outputs, [f"output_{i}" if many else "output" for i in range(len(outputs))]

    def _steps_for(self, first: Sequence[Any]) -> Steps:
        objective = self._prepared(first)
        if self._key is None:
            self._key = Weight(random.key(seeds.fresh()), False, "key", f"{self.name}/key")
        if self._steps is None:
            whole = tail_of(self) or self
            self._steps = Steps(
                whole,
                objective,
                self.optimizer,
                self._key,
                not self._eager,
                self._threads or sensible_threads(),
                self._memory,
            )
        return self._steps

    def set_random_key(self, seed: int) -> None:
        """What random layers draw from in training: the same seed, the same numbers.

        `fl.set_random_seed` sets it, too, before the first step; in the page it is `seed` of `fit`.
        """
        key = random.key(seed)
        if self._key is None:
            self._key = Weight(key, False, "key", f"{self.name}/key")
        else:
            self._key.assign(key)

    def _needs(self, what: str) -> None:
        if self._compiled is None or (self._compiled["loss"] is None and what == "fit"):
            missing = "compile" if self._compiled is None else "a loss"
            raise FanlightError(
                "E-TRAIN-001",
                f"the model cannot {what} yet: it has no {missing}."
                if missing != "compile"
                else f"the model cannot {what} yet: it was not compiled.",
                where=f"{self.name}.{what}, {caller()}",
                expected='model.compile("adam", loss="mse")',
                received=f"no {missing}",
            )

    def _data(
        self,
        x: Any,
        y: Any,
        w: Any,
        batch_size: int | None,
        rng: np.random.Generator | None = None,
    ) -> feeding.Arrays | feeding.Stream:
        model: Any = self
        if isinstance(x, Mapping) and not model.functional:
            known = model.built_with
            self._input_names_given = list(known if isinstance(known, Mapping) else x)
        names = model.output_names if model.functional else self._label_names(x, y)
        return feeding.batches_of(x, y, w, batch_size, self._input_order(x), names, rng)

    def _label_names(self, x: Any, y: Any) -> list[str]:
        """The outputs that a dict of labels is for, in their order."""
        if not isinstance(y, Mapping):
            return []
        first = [a[:1] for a in feeding.arrays_of(x, self._input_order(x), "x")]
        objective = self._prepared(first)
        return list(y) if objective is None else list(objective.names)

    def _labels(self, y: list[Any], w: list[Any], count: int) -> tuple[list[Any], list[Any]]:
        """Labels and weights, one for each output."""
        if len(y) == 1 and count > 1:
            y = y * count
        if y and len(y) != count:
            raise FanlightError(
                "E-TRAIN-002",
                "labels do not fit the outputs of the model.",
                where=f"y, {caller()}",
                expected=f"{count} arrays",
                received=f"{len(y)}",
            )
        w = w * count if len(w) == 1 else w
        return y or [None] * count, w or [None] * count

    # --- training ---------------------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Sequence[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> History:
        """Train for a number of epochs.

        Args:
            x: arrays (a list or dict of them for several inputs), or a dataset or generator of
                (x, y) or (x, y, sample_weight) batches.
            y: labels, as many as examples.
            batch_size: examples per step; default 32.
            verbose: "auto" and 1: a bar; 2: a line per epoch; 0: nothing.
            validation_split: this share of the end of the arrays is for validation.
            validation_data: (x, y) or (x, y, sample_weight), or a dataset.
            class_weight: class number -> how much its examples count.
            steps_per_epoch: of a dataset without an end.

        Returns:
            The history: `history.history["loss"]` has a number per epoch.

        Ctrl-C ends it between two steps: weights and optimizer are those after the last whole one,
        `model.history` has the epochs before, and the next fit goes on from there.

        Raises:
            FanlightError: E-TRAIN-001 it was not compiled; E-TRAIN-002 data that do not fit;
                E-TRAIN-003 the loss is not finite any more (weights and optimizer are then as they
                were before the epoch); E-TRAIN-004 labels out of range;
                E-TRAIN-005 no examples; E-LAYER-001 data that do not fit a layer.
        """
        self._needs("fit")
        rng = seeds.generator() if shuffle else None
        data = self._data(x, y, sample_weight, batch_size, rng)
        held: Any = None
        if validation_split:
            if not isinstance(data, feeding.Arrays):
                raise FanlightError(
                    "E-TRAIN-002",
                    "validation_split needs arrays.",
                    where=f"validation_split, {caller()}",
                    expected="arrays, or validation_data=dataset",
                    received="a dataset or generator",
                )
            data, held = feeding.split_off(data, validation_split)
        elif validation_data is not None:
            parts = validation_data if isinstance(validation_data, tuple) else (validation_data,)
            vx, vy, vw = (*parts, None, None)[:3]
            held = self._data(vx, vy, vw, validation_batch_size or batch_size)
        history = History()
        steps = steps_per_epoch or data.steps
        params = {
            "epochs": epochs,
            "steps": steps,
            "verbose": verbose,
            "validation": held is not None,
        }
        told = CallbackList([*(callbacks or ()), *shown(verbose), history], self, params)
        self.history, self.stop_training = history, False
        self.initial_epoch = initial_epoch  # a callback that knows of a former training may move it
        logs: dict[str, Any] = {}
        source: Any = None
        try:
            told.call("on_train_begin", {})
            for epoch in range(self.initial_epoch, epochs):
                told.call("on_epoch_begin", epoch, {})
                good = self._numbers()
                if source is None or steps_per_epoch is None:
                    source = iter(data)
                logs, source = self._epoch(data, source, steps_per_epoch, class_weight, told, epoch)
                if held is not None and (epoch + 1) % validation_freq == 0:
                    found = self._evaluated(held, validation_steps, told)
                    logs |= {f"val_{name}": value for name, value in found.items()}
                told.call("on_epoch_end", epoch, logs)
                if self.stop_training:
                    break
        except BaseException as error:
            if isinstance(error, FanlightError) and error.code == "E-TRAIN-003":
                self._back_to(good)
            told.call("on_train_break", logs)
            raise
        if self.optimizer is not None:
            self.optimizer.finalize_variable_values()
        told.call("on_train_end", logs)
        return history

    def _epoch(
        self,
        data: Any,
        source: Any,
        most: int | None,
        class_weight: Mapping[int, float] | None,
        told: CallbackList,
        epoch: int,
    ) -> tuple[dict[str, Any], Any]:
        logs: dict[str, Any] = {}
        step, begun = 0, False
        while most is None or step < most:
            batch = next(source, None)
            if batch is None:
                if most is None:
                    break
                source = iter(data)  # a dataset that ends sooner begins again
                batch = next(source, None)
                if batch is None:
                    break
            steps = self._steps_for(batch[0])
            assert steps.objective is not None
            if not begun:
                steps.objective.reset()
                begun = True
            told.call("on_train_batch_begin", step, {})
            where = f"epoch {epoch + 1}, step {step + 1}"
            numbers = self._trained(steps, batch, class_weight, where, told.takes_nan)
            logs = steps.objective.named(numbers)
            told.call("on_train_batch_end", step, logs)
            step += 1
            if self.stop_training:
                break
        if not step:
            raise FanlightError(
                "E-TRAIN-005",
                "the dataset has given no batch.",
                where=f"{self.name}.fit, {caller()}",
                expected="at least one batch in every epoch",
                received="none",
                next="a generator is gone through once: give a dataset, or steps_per_epoch.",
            )
        return logs, source

    def _trained(
        self,
        steps: Steps,
        batch: feeding.Batch,
        class_weight: Mapping[int, float] | None,
        where: str,
        takes_nan: bool = False,
    ) -> np.ndarray:
        assert steps.objective is not None
        x, y, w = batch
        y, w = self._labels(y, w, len(steps.objective.names))
        self._check_labels(steps.objective, y, where)
        if class_weight:
            w = [_weighted(labels, own, class_weight) for labels, own in zip(y, w, strict=True)]
        results, total = steps.run("train", (x, y, w))
        if not takes_nan and not np.isfinite(total[0]):
            raise FanlightError(
                "E-TRAIN-003",
                "the loss is not finite any more.",
                where=f"{self.name}.fit, {where}",
                expected="a number",
                received=f"{total[0]}{self._first_wrong()}",
                next="a lower learning rate, clipnorm=1.0 in the optimizer, or a look at the data. "
                "The weights are those before this epoch.",
            )
        return results

    def _numbers(self) -> list[tuple[Any, np.ndarray]]:
        """What weights and optimizer are now."""
        model: Any = self
        kept = [] if self.optimizer is None else self.optimizer.variables
        return [(v, v.numpy()) for v in (*model.weights, *kept)]

    def _back_to(self, good: list[tuple[Any, np.ndarray]]) -> None:
        """Leave weights and optimizer as they were before an epoch that went wrong."""
        for variable, array in good:
            variable.assign(array)

    def _first_wrong(self) -> str:
        """The first layer whose weights are not finite, for the message."""
        model: Any = self
        for weight in model.weights:
            if weight.dtype == "float32" and not np.isfinite(weight.numpy()).all():
                return f"; {weight.path} is not finite either"
        return ""

    def _check_labels(self, objective: Objective, labels: Sequence[Any], where: str) -> None:
        """E-TRAIN-004 for class numbers that the model has no output for."""
        model: Any = self
        shapes = [s.shape for s in model.outputs] if model.functional else []
        for loss, y, shape in zip(objective.losses, labels, shapes, strict=False):
            if y is None or not losses.takes_class_numbers(loss, y.shape, shape):
                continue
            size = shape[getattr(loss, "axis", -1)] if shape else None
            if size is None or not y.size or y.dtype.kind not in "iuf":
                continue
            if y.dtype.kind == "f" and not (y == np.floor(y)).all():
                raise FanlightError(
                    "E-TRAIN-004",
                    "a label is no class number.",
                    where=f"{self.name}, {where}",
                    expected=f"whole numbers from 0 to {size - 1}",
                    received=repr(float(y[y != np.floor(y)].reshape(-1)[0])),
                    next="a loss of numbers, such as mse, takes any; class numbers are whole.",
                )
            low, high = y.min(), y.max()
            ignored = getattr(loss, "ignore_class", None)
            if (low < 0 and low != ignored) or (high >= size and high != ignored):
                raise FanlightError(
                    "E-TRAIN-004",
                    "a label names a class that the model has no output for.",
                    where=f"{self.name}, {where}",
                    expected=f"class numbers from 0 to {size - 1}",
                    received=f"{low} to {high}",
                    next="count classes from 0, or give the last layer more units.",
                )

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step; the loss and metrics of this batch."""
        self._needs("fit")
        batch = next(iter(self._data(x, y, sample_weight, 2**31 - 1)))
        steps = self._steps_for(batch[0])
        assert steps.objective is not None
        steps.objective.reset()
        logs = steps.objective.named(self._trained(steps, batch, class_weight, "train_on_batch"))
        return logs if return_dict else _listed(logs)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """The loss and metrics of a batch."""
        return self.evaluate(
            x, y, 2**31 - 1, 0, sample_weight=sample_weight, return_dict=return_dict
        )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = 0,
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics of examples: a list, or a dict by name, or the loss if it is alone."""
        self._needs("evaluate")
        data = self._data(x, y, sample_weight, batch_size)
        told = CallbackList(callbacks or (), self, {"steps": steps or data.steps})
        logs = self._evaluated(data, steps, told)
        return logs if return_dict else _listed(logs)

    def _evaluated(self, data: Any, most: int | None, told: CallbackList) -> dict[str, Any]:
        logs: dict[str, Any] = {}
        told.call("on_test_begin", {})
        for i, (x, y, w) in enumerate(data):
            if most is not None and i >= most:
                break
            steps = self._steps_for(x)
            assert steps.objective is not None
            if not i:
                steps.objective.reset()
            y, w = self._labels(y, w, len(steps.objective.names))
            self._check_labels(steps.objective, y, f"batch {i + 1}")
            told.call("on_test_batch_begin", i, {})
            (numbers,) = steps.run("test", (x, y, w))
            logs = steps.objective.named(numbers)
            told.call("on_test_batch_end", i, logs)
        if not logs:
            raise FanlightError(
                "E-TRAIN-005",
                "the dataset has given no batch.",
                where=f"{self.name}.evaluate, {caller()}",
                expected="at least one batch",
                received="none",
            )
        told.call("on_test_end", logs)
        return logs

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = 0,
        steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
    ) -> Any:
        """The outputs for examples, as arrays in the structure of the model's outputs."""
        model: Any = self
        data = self._data(x, None, None, batch_size)
        told = CallbackList(callbacks or (), self, {"steps": steps or data.steps})
        told.call("on_predict_begin", {})
        parts: list[list[np.ndarray]] = []
        for i, (given, _, _) in enumerate(data):
            if steps is not None and i >= steps:
                break
            told.call("on_predict_batch_begin", i, {})
            running = self._steps_for(given)
            parts.append(running.run("predict", (given, [], [])))
            told.call("on_predict_batch_end", i, {})
        told.call("on_predict_end", {})
        joined = [np.concatenate(p) if len(p) > 1 else p[0] for p in zip(*parts, strict=True)]
        if parts and not model.functional:
            return unflatten(joined, running.form)
        form = model.outputs_form
        if isinstance(form, Mapping):
            return dict(zip(form, joined, strict=True))
        if form is not None and not isinstance(form, Symbolic):
            return joined
        return joined[0] if len(joined) == 1 else joined

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch."""
        return self.predict(x, 2**31 - 1)


def _listed(logs: dict[str, Any]) -> Any:
    values = list(logs.values())
    return values[0] if len(values) == 1 else values


def _weighted(labels: Any, own: Any, by_class: Mapping[int, float]) -> Any:
    """Weights of examples by their classes, times those that they have already."""
    if labels is None:
        return own
    y = np.asarray(labels)
    if y.ndim > 1 and y.shape[-1] > 1:
        y = y.argmax(-1)
    y = y.reshape(len(y), -1)[:, 0].astype(int)
    missing = sorted(set(y.tolist()) - set(by_class))
    if missing:
        raise FanlightError(
            "E-TRAIN-004",
            "a class has no weight.",
            where=f"class_weight, {caller()}",
            expected="a weight for every class among the labels",
            received=f"none for {', '.join(map(str, missing[:10]))}",
        )
    weights = np.array([by_class[int(c)] for c in y], np.float32)
    return weights if own is None else weights * np.asarray(own, np.float32).reshape(len(y))

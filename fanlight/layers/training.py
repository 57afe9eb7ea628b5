"""compile, fit, evaluate, predict: what makes a graph of layers a model that learns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.hosts.wasmtime import sensible_threads
from fanlight.layers import budget, feeding, foreign, labels, nonfinite, optimizers, seeds
from fanlight.layers import fit_arguments as wanted
from fanlight.layers.callbacks import Callback, CallbackList, History
from fanlight.layers.hosted import tail_of
from fanlight.layers.inputs import names_in
from fanlight.layers.layer import shapes_of
from fanlight.layers.objective import Objective
from fanlight.layers.optimizer import Optimizer
from fanlight.layers.own_steps import OwnSteps
from fanlight.layers.progress import broken_off, pass_shown, shown
from fanlight.layers.step import Steps, assign_pairs
from fanlight.layers.symbolic import Symbolic, form_of
from fanlight.layers.weight import Weight
from fanlight.tensor import random
from fanlight.tensor.caller import caller, warn
from fanlight.tensor.tape import flatten, sorted_keys, unflatten


class Trainer(OwnSteps):
    """The part of `fl.Model` that trains."""

    name: str

    def _set_up(self) -> None:
        self.optimizer: Optimizer | None = None
        self.history: History | None = None
        self.stop_training = False
        self.initial_epoch = 0
        self._compiled: dict[str, Any] | None = None
        self._objective: Objective | None = None
        self._ready = False  # the optimizer has its slots
        self._steps: Steps | None = None
        self._eager = False
        self._threads: int | None = None
        self._input_names_given: list[str] | None = None
        self._memory: int | None = None
        self._form: Any = None
        self._key: Weight | None = None
        self._feed: feeding.Epochs | None = None  # of the fit that goes on

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles have of it: all but compiled steps and a `fit` that goes on.

        The calls of its layers go first, in their order: from the last one back to the first,
        deep models are too deep for Python.
        """
        calls = {k: v for k, v in vars(self).items() if k == "_order"}
        return {**calls, **vars(self), "_steps": None, "_feed": None}

    def _forget(self) -> None:
        """The layers have changed: steps are traced again."""
        self._objective, self._steps, self._ready = None, None, False

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

        A class that overrides `train_step`, `test_step`, `predict_step`, `compute_loss` or
        `compute_metrics`, with Keras's arguments, is trained by those: op by op, as with
        run_eagerly, and its Ctrl-C may come in the middle of a step.

        Raises:
            FanlightError: E-TRAIN-001 losses, metrics or weights do not fit the outputs, which
                models of stand-ins know by now; E-LAYER-003 a name that is not known; E-LAYER-004
                an object of Keras.
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
        parts = {"optimizer": optimizer, "loss": loss, "metrics": metrics}
        for what, part in {**parts, "weighted_metrics": weighted_metrics}.items():
            foreign.refuse_parts(what, part)
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
        self._refuse_functions()
        model: Any = self
        if model.functional:
            self._objective = self._made(model.outputs, model.output_names)

    # --- what a step needs to know ----------------------------------------------------------------

    def arranged(self, flat: Sequence[Any]) -> Any:
        """Inputs, flat and in order, as the model is called with them."""
        model: Any = self
        known = None if model.functional else model.built_with
        names = sorted_keys(known) if isinstance(known, Mapping) else self._input_names_given
        if names is not None:
            return dict(zip(names, flat, strict=True))
        return flat[0] if len(flat) == 1 and not isinstance(known, list) else list(flat)

    def _input_order(self, x: Any) -> list[str]:
        model: Any = self
        if model.functional:
            return names_in(model.inputs_form)
        return self._input_names_given or [] if isinstance(x, Mapping) else []

    def _prepared(self, first: Any) -> Objective | None:
        """The objective, once the model is built with the shapes of a first batch."""
        model: Any = self
        if self._compiled is None:
            return None
        if self._objective is None:
            self._objective = self._made(*self._outputs_for(first))
        if not self._ready and self.optimizer is not None:
            self.optimizer.build(model.trainable_weights)
            self._ready = True
        return self._objective

    def _made(self, outputs: Sequence[Symbolic], names: Sequence[str]) -> Objective:
        assert self._compiled is not None
        return Objective(**self._compiled, names=names, shapes=[s.shape for s in outputs])

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
            return outputs, [str(n) for n in sorted_keys(dict.fromkeys(form[1]))]
        many = len(outputs) > 1
        return outputs, [f"output_{i}" if many else "output" for i in range(len(outputs))]

    def _steps_for(self, first: Sequence[Any]) -> Steps:
        objective = self._prepared(first)
        key = self._random_key()
        if self._steps is None:
            whole = tail_of(self) or self
            self._steps = Steps(
                whole,
                objective,
                self.optimizer,
                key,
                not self._eager,
                self._threads or sensible_threads(),
                self._memory,
            )
        return self._steps

    def _random_key(self) -> Weight:
        if self._key is None:
            self._key = Weight(random.key(seeds.fresh()), False, "key", f"{self.name}/key")
        return self._key

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
        own = self._own("train")
        lossless = self._compiled is not None and self._compiled["loss"] is None
        if self._compiled is None or (lossless and what == "fit" and not own):
            compiled = self._compiled is not None
            why = "compile was given no loss" if compiled else "it was not compiled"
            raise FanlightError(
                "E-TRAIN-001",
                f"the model cannot {what} yet: {why}.",
                where=f"{self.name}.{what}, {caller()}",
                expected='model.compile("adam", loss="mse")',
                received="no loss" if compiled else "no compile",
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
            self._input_names_given = sorted_keys(known if isinstance(known, Mapping) else x)
        names = model.output_names if model.functional else self._label_names(x, y)
        shapes = [s.shape for s in model.inputs] if model.functional else []
        return feeding.batches_of(x, y, w, batch_size, self._input_order(x), names, rng, shapes)

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
            batch_size: examples per step of arrays; default 32. A dataset has batches of its own,
                and it means nothing then.
            epochs: the number of the last one; 0 trains nothing.
            verbose: "auto" and 1: a bar; 2: a line per epoch; 0: nothing.
            callbacks: of `fl.callbacks`, in a list, or one.
            validation_split: this share of the end of the arrays is for validation; validation_data
                goes before it.
            validation_data: (x, y) or (x, y, sample_weight), or a dataset.
            class_weight: class number -> how much its examples count; others count 1.
            initial_epoch: where training goes on, counted from 0.
            steps_per_epoch: of a dataset without an end. The next epoch goes on where the one
                before ended. An epoch ends where the data end, with a warning if that is sooner,
                and the next one begins them anew; of a generator training ends with them.
            validation_steps: so many batches at most are for validation each time.
            validation_freq: after every how many epochs there is validation, or after which ones.

        Returns:
            The history: `history.history["loss"]` has a number per epoch.

        Ctrl-C ends it between two steps: weights and optimizer are those after the last whole one,
        `model.history` has the epochs before, and the next fit goes on from there.

        Raises:
            FanlightError: E-TRAIN-001 it was not compiled; E-TRAIN-002 data that do not fit;
                E-TRAIN-003 the loss or a weight is not finite any more (weights and optimizer are
                then as they were before the epoch); E-TRAIN-004 labels out of range, or a
                class_weight that means nothing; E-TRAIN-005 no examples; E-TRAIN-007 an argument of
                another kind; E-DATA-001 a dataset without an end; E-LAYER-001 data that do not fit
                a layer.
        """
        self._needs("fit")
        epochs, initial_epoch = wanted.epochs(epochs, initial_epoch)
        batch_size = wanted.maybe("batch_size", batch_size)
        validation_batch_size = wanted.maybe("validation_batch_size", validation_batch_size)
        steps_per_epoch = wanted.maybe("steps_per_epoch", steps_per_epoch)
        validation_steps = wanted.maybe("validation_steps", validation_steps)
        validation_split, verbose = wanted.share(validation_split), wanted.verbosity(verbose)
        validates, parts = wanted.validated(validation_freq), wanted.callbacks(callbacks)
        rng = seeds.generator() if wanted.flag("shuffle", shuffle) else None
        data = self._data(x, y, sample_weight, batch_size, rng)
        feeding.ended(data, steps_per_epoch, "fit", "steps_per_epoch")
        held: Any = None
        if validation_data is not None:  # before a share, as Keras has it
            with _of_validation():
                held = self._data(
                    *wanted.unpacked("validation_data", validation_data),
                    validation_batch_size or batch_size,
                )
            feeding.ended(held, validation_steps, "validation", "validation_steps")
        elif validation_split:
            if not isinstance(data, feeding.Arrays):
                raise FanlightError(
                    "E-TRAIN-002",
                    "validation_split needs arrays.",
                    where=f"validation_split, {caller()}",
                    expected="arrays, or validation_data=dataset",
                    received="a dataset or generator",
                )
            data, held = feeding.split_off(data, validation_split)
        history = History()
        steps = steps_per_epoch or data.steps
        params = {
            "epochs": epochs,
            "steps": steps,
            "verbose": verbose,
            "validation": held is not None,
        }
        told = CallbackList([*parts, *shown(verbose), history], model=self, **params)
        self.history, self.stop_training = history, False
        self.initial_epoch = initial_epoch  # a callback that knows of a former training may move it
        logs: dict[str, Any] = {}
        outer, feed = self._feed, feeding.Epochs(data, steps_per_epoch, held)
        self._feed = feed
        try:
            told.call("on_train_begin", {})
            for epoch in range(self.initial_epoch, epochs):
                if feed.over():
                    warn(
                        f"training ends after epoch {epoch} of {epochs}: the generator has no more "
                        "batches; a dataset can be gone through again"
                    )
                    break
                told.call("on_epoch_begin", epoch, {})
                logs = self._epoch(feed, class_weight, told, epoch)
                validated = held is not None and validates(epoch + 1)
                if validated and any(n.startswith("val_") for n in history.history) and held.dry():
                    warn(
                        f"no validation after epoch {epoch} of {epochs}: the generator of "
                        "validation_data has no more batches; a dataset can be gone through again"
                    )
                    validated, held = False, None
                if validated:
                    with _of_validation():
                        found = self._evaluated(held, validation_steps, told, "validation_steps")
                    logs |= {f"val_{name}": value for name, value in found.items()}
                told.call("on_epoch_end", epoch, logs)
                if self.stop_training:
                    break
        except BaseException:
            told.call("on_train_break", logs)
            raise
        finally:
            self._feed = outer  # of a fit whose callback this one is in
        if self.optimizer is not None:
            self.optimizer.finalize_variable_values()
        told.call("on_train_end", logs)
        return history

    def _epoch(
        self,
        feed: feeding.Epochs,
        class_weight: Mapping[int, float] | None,
        told: CallbackList,
        epoch: int,
    ) -> dict[str, Any]:
        """One epoch: what it reports."""
        logs: dict[str, Any] = {}
        good: nonfinite.Numbers = ()  # weights and optimizer before it: again, if it goes wrong
        step = 0

        def spoiled() -> FanlightError | None:
            """The error, and all as before the epoch, where the last step has spoiled weights."""
            # A loss is that of the weights before its step: what that made, nobody has seen.
            if told.takes_nan or nonfinite.spoiled(good) is None:
                return None
            what, total = "a weight, or the state of the optimizer,", logs.get("loss", 0.0)
            return self._not_finite(what, total, steps, last, where, good)

        try:
            for batch in feed:
                steps = self._begun("train", batch[0], first=not step)
                if not step:  # the first batch may be what builds the model
                    good = self._numbers()
                told.call("on_train_batch_begin", step, {})
                last, where = batch, f"epoch {epoch + 1}, step {step + 1}"
                logs = self._trained(steps, batch, class_weight, where, told.takes_nan, good)
                told.call("on_train_batch_end", step, logs)
                step += 1
                if self.stop_training:
                    break
        except BaseException as error:  # Ctrl-C, or of a callback or dataset: it stays what it is
            found = spoiled()
            if found is not None:
                error.add_note(str(found))
            raise
        if not step:
            raise FanlightError(
                "E-TRAIN-005",
                "the dataset has given no batch.",
                where=f"{self.name}.fit, {caller()}",
                expected="at least one batch in every epoch",
                received="none",
                next="a generator is gone through once: give a dataset, or steps_per_epoch.",
            )
        found = spoiled()
        if found is not None:
            raise found
        return logs

    def _begun(self, kind: str, x: Sequence[Any], first: bool) -> Steps | None:
        """The steps for a batch, metrics beginning anew with the first; None: they are its own."""
        if self._own(kind):
            self._prepare_own(x)
            if first and kind != "predict":
                self.reset_metrics()
            return None
        steps = self._steps_for(x)
        if first and steps.objective is not None:
            steps.objective.reset()
        return steps

    def _prepare_own(self, x: Sequence[Any]) -> None:
        """Build the model and its objective, if it can be called as a whole."""
        model: Any = self
        self._random_key()
        if model.functional or not model.uncallable:
            self._prepared(x)

    def _trained(
        self,
        steps: Steps | None,
        batch: feeding.Batch,
        class_weight: Mapping[int, float] | None,
        where: str,
        takes_nan: bool = False,
        good: nonfinite.Numbers | None = None,
    ) -> dict[str, Any]:
        """One step; `good` is where weights and optimizer go back to if the loss is not finite."""
        x, y, w = batch
        objective = self._objective
        if steps is None:
            w = labels.by_class(objective, y, w, class_weight)
            logs = self._run_own("train", x, y, w, self._random_key())
            total = logs.get("loss", 0.0)
        else:
            assert objective is not None
            y, w = self._labels(y, w, len(objective.names))
            labels.check(objective, y, w, f"{self.name}, {where}")
            w = labels.by_class(objective, y, w, class_weight)
            results, (total,) = steps.run("train", (x, y, w))
            logs = objective.named(results)
        if not takes_nan and not np.isfinite(total).all():
            raise self._not_finite("the loss", total, steps, (x, y, w), where, good)
        return logs

    def _not_finite(
        self,
        what: str,
        total: Any,
        steps: Steps | None,
        batch: feeding.Batch,
        where: str,
        good: nonfinite.Numbers | None,
    ) -> FanlightError:
        """The error of a step that went wrong; weights are `good` again, if there are such."""
        finite = [(v, np.zeros_like(a)) for v, a in self._numbers()]
        spoiled = nonfinite.spoiled(finite if good is None else good)
        found = [str(total), spoiled and f"{spoiled} is not finite"]
        assign_pairs(good or ())
        try:  # found with the weights before: those after show nothing but the damage
            if steps is not None and steps.objective is not None:
                y, w = self._labels(*batch[1:], len(steps.objective.names))
                found.append(nonfinite.origin(steps, (batch[0], y, w)))
        except FanlightError:
            pass  # a model that NumPy cannot follow: this error is not what the user has to read
        again = "" if good is None else " The weights are those before this epoch."
        return FanlightError(
            "E-TRAIN-003",
            f"{what} is not finite any more.",
            where=f"{self.name}.fit, {where}",
            expected="finite numbers",
            received="; ".join(filter(None, found)),
            next="a lower learning rate, clipnorm=1.0 in the optimizer, or a look at the data."
            + again,
        )

    def _numbers(self) -> list[tuple[Any, np.ndarray]]:
        """What weights and optimizer are now."""
        model: Any = self
        kept = [] if self.optimizer is None else self.optimizer.variables
        return [(v, v.numpy()) for v in (*model.weights, *kept)]

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
        steps = self._begun("train", batch[0], first=True)
        logs = self._trained(steps, batch, class_weight, "train_on_batch")
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
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics of examples: a list, or a dict by name, or the loss if it is alone.

        Args:
            verbose: 1: a bar; 2: a line; 0: nothing; "auto": a bar in a terminal, else nothing.
        """
        self._needs("evaluate")
        batch_size, steps = wanted.maybe("batch_size", batch_size), wanted.maybe("steps", steps)
        parts = [*wanted.callbacks(callbacks), *pass_shown(wanted.verbosity(verbose))]
        data = self._data(x, y, sample_weight, batch_size)
        feeding.ended(data, steps, "evaluate", "steps")
        told = CallbackList(parts, model=self, steps=steps or data.steps)
        with broken_off(told):
            logs = self._evaluated(data, steps, told, "steps")
        return logs if return_dict else _listed(logs)

    def _evaluated(
        self, data: Any, most: int | None, told: CallbackList, argument: str
    ) -> dict[str, Any]:
        logs: dict[str, Any] = {}
        told.call("on_test_begin", {})
        batches = feeding.taken(data, most, f"{self.name}.evaluate", argument)
        for i, (x, y, w) in enumerate(batches):
            steps = self._begun("test", x, first=not i)
            told.call("on_test_batch_begin", i, {})
            logs = self._tested(steps, (x, y, w), f"batch {i + 1}")
            told.call("on_test_batch_end", i, logs)
        told.call("on_test_end", logs)
        return logs

    def _tested(self, steps: Steps | None, batch: feeding.Batch, where: str) -> dict[str, Any]:
        x, y, w = batch
        if steps is None:
            found: dict[str, Any] = self._run_own("test", x, y, w, self._random_key())
            return found
        assert steps.objective is not None
        y, w = self._labels(y, w, len(steps.objective.names))
        labels.check(steps.objective, y, w, f"{self.name}, {where}")
        (numbers,) = steps.run("test", (x, y, w))
        return steps.objective.named(numbers)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
    ) -> Any:
        """The outputs for examples, as arrays in the structure of the model's outputs.

        Args:
            verbose: 1: a bar; 2: a line; 0: nothing; "auto": a bar in a terminal, else nothing.
        """
        model: Any = self
        batch_size, steps = wanted.maybe("batch_size", batch_size), wanted.maybe("steps", steps)
        heard = [*wanted.callbacks(callbacks), *pass_shown(wanted.verbosity(verbose))]
        data = self._data(x, None, None, batch_size)
        feeding.ended(data, steps, "predict", "steps")
        told = CallbackList(heard, model=self, steps=steps or data.steps)
        with broken_off(told):
            parts, form = self._predicted(data, steps, told)
        joined = [np.concatenate(p) if len(p) > 1 else p[0] for p in zip(*parts, strict=True)]
        if parts and (self._own("predict") or not model.functional):
            return unflatten(joined, form)
        outputs = model.outputs_form
        if outputs is None or isinstance(outputs, Symbolic):
            return joined[0] if len(joined) == 1 else joined
        flat = isinstance(outputs, list | tuple) and all(isinstance(s, Symbolic) for s in outputs)
        return joined if flat or not parts else unflatten(joined, form_of(outputs))

    def _predicted(
        self, data: Any, most: int | None, told: CallbackList
    ) -> tuple[list[list[np.ndarray]], Any]:
        """The outputs of each batch, flat, and their form."""
        form: Any = None
        told.call("on_predict_begin", {})
        parts: list[list[np.ndarray]] = []
        batches = feeding.taken(data, most, f"{self.name}.predict", "steps")
        for i, (given, _, _) in enumerate(batches):
            told.call("on_predict_batch_begin", i, {})
            running = self._begun("predict", given, first=not i)
            if running is None:
                flat, form = flatten(self._run_own("predict", given, [], [], self._random_key()))
                parts.append([t.numpy() for t in flat])
            else:
                parts.append(running.run("predict", (given, [], [])))
                form = running.form
            told.call("on_predict_batch_end", i, {})
        told.call("on_predict_end", {})
        return parts, form

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch."""
        return self.predict(x, 2**31 - 1, 0)


@contextmanager
def _of_validation() -> Iterator[None]:
    """Errors say that it is the validation data."""
    try:
        yield
    except FanlightError as error:
        error.where = f"the validation data, {error.where}"
        raise


def _listed(logs: dict[str, Any]) -> Any:
    values = list(logs.values())
    return values[0] if len(values) == 1 else values

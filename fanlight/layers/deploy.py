"""Models that train in the page: their steps as graphs that share what they keep."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from fanlight.dtypes import STRING
from fanlight.errors import FanlightError
from fanlight.formats.source import Source
from fanlight.graph import Graph
from fanlight.layers import losses, optimizers, scope, seeds
from fanlight.layers.budget import bytes_of
from fanlight.layers.classes import DIM, Classes, Grown, classes_of, grown, grown_counts, refused
from fanlight.layers.file_safetensors import named
from fanlight.layers.frontier import frontier
from fanlight.layers.hosted import tail_of
from fanlight.layers.model import Model, _unique, _with_arguments
from fanlight.layers.objective import Objective
from fanlight.layers.optimizer import Optimizer
from fanlight.layers.step import Steps
from fanlight.layers.weight import Weight
from fanlight.ops.types import TensorType
from fanlight.tensor import Tensor, random, spec
from fanlight.tensor.caller import caller
from fanlight.tensor.tape import flatten
from fanlight.tensor.trace import trace
from fanlight.tensor.variables import Variable, bound, not_kept


@dataclass(frozen=True)
class Training:
    """How a built model trains in the page; made by `fl.training`."""

    optimizer: Optimizer
    loss: Any
    metrics: Any = None
    loss_weights: Any = None
    weighted_metrics: Any = None
    memory: int | None = None


def training(
    optimizer: Any = "adam",
    loss: Any = None,
    metrics: Any = None,
    *,
    loss_weights: Any = None,
    weighted_metrics: Any = None,
    memory: int | str | None = None,
) -> Training:
    """How a model trains in the page: `fl.build(model, out, train=fl.training("adam", "mse"))`.

    Args:
        optimizer, loss, metrics, loss_weights, weighted_metrics, memory: as `compile` takes them.
            An optimizer that has trained the model goes on in the page from where it is; it stays
            as it is here.

    Raises:
        FanlightError: E-TRAIN-001 there is no loss, or no such amount of memory; E-LAYER-003 a
            name that is not known.
    """
    if loss is None:
        raise FanlightError(
            "E-TRAIN-001",
            "a training needs a loss.",
            where=f"fl.training, {caller()}",
            expected='fl.training("adam", loss="mse")',
            received="no loss",
        )
    how = optimizers.get(optimizer), loss, metrics, loss_weights, weighted_metrics
    return Training(*how, bytes_of(memory, "fl.training"))


@dataclass(frozen=True)
class Kept:
    """A value that lasts from step to step.

    Attributes:
        name: of the graphs' inputs.
        path: what it is: "dense/kernel", "adam/iterations".
        kind: "weight" (of the model), "optimizer", "metric", or "key" (of random numbers).
        first: what it is before the first step; where it grows with the number of classes, for the
            most of them.
        axis: the dim that grows with them, or None.
    """

    name: str
    path: str
    kind: str
    trainable: bool
    first: np.ndarray
    axis: int | None = None

    def parts(self, count: int) -> list[np.ndarray]:
        """What it is of so many classes, and of those that there are not yet."""
        return [self.first] if self.axis is None else np.split(self.first, [count], self.axis)


@dataclass(frozen=True)
class Label:
    """What the labels of an output are.

    Attributes:
        name: of the output.
        classes: how many there are, where labels are class numbers; or the name of that size.
        ignored: a class number that the loss passes over.
        share: whether they are shares, from 0 to 1.
    """

    name: str
    classes: int | str | None
    ignored: int | None
    share: bool


@dataclass(frozen=True)
class Deployed:
    """The steps of a model as graphs.

    Attributes:
        graphs: "predict", "train" and "evaluate". The first takes one example; the others batches
            of a free size. What is kept is an input of each, by its name. If nothing learns up to
            some layer, "features" gives what that layer does for one example, and the batches of
            "train", "evaluate" and "answer" are of such features: they are computed once per
            example. "answer" gives the outputs of a batch; a model of which one has no row for
            each example has none.
        kept: what lasts.
        updates: output of a graph -> the input that it replaces.
        metrics: name of a number that "train" and "evaluate" report -> how many numbers it is.
        labels: what those of each output are: inputs of "train" and "evaluate" behind the
            examples, followed by weights of the examples for each output.
        free: where the number of classes is chosen in the page.
        rounded: weights that no step changes and that have other numbers here than in the model.
        rate: which of `kept` is the learning rate; None where a schedule says it, or there are
            several.
    """

    graphs: Mapping[str, Graph]
    kept: Sequence[Kept]
    updates: Mapping[str, str]
    metrics: Mapping[str, int]
    labels: Sequence[Label]
    free: Classes | None = None
    rate: int | None = None
    rounded: Mapping[str, np.ndarray] = field(default_factory=dict)


# Of the large float32 weights that no step changes, by their names: those to have other numbers.
Rounding = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


def deployed(
    model: Any, how: Training, dims: Mapping[str, Any] | None, rounding: Rounding | None = None
) -> Deployed:
    """The steps of a model that is built to be trained.

    Args:
        dims: {"batch": n}: how many examples a step takes at most; default 32. {"classes": n}: how
            many classes there may be (see layers/classes.py); default: as many as there are.
        rounding: what weights of two dims and more become that no step changes; None: they stay.

    Raises:
        FanlightError: E-BUILD-005 it is no model of layers, or learns nothing; what
            tracing raises.
    """
    if not isinstance(model, Model):
        raise FanlightError(
            "E-BUILD-005",
            "only a model of layers can be trained in the page.",
            where="train",
            expected="fl.Model or fl.Sequential",
            received=repr(model)[:200],
            next="load it by fl.load_model, or leave train out.",
        )
    if model.built and not model.trainable_weights:
        still = [layer.name for layer in model.layers if layer.weights]
        part = f'model.get_layer("{still[-1]}")' if still and model.trainable else "model"
        raise FanlightError(
            "E-BUILD-005",
            "nothing of this model learns.",
            where="train",
            expected="a layer with weights that are trainable",
            received=f"all are frozen: {', '.join(still)}"[:200] if still else "no weights at all",
            next=f"{part}.trainable = True, or leave train out." if still else "leave train out.",
        )
    bounds = dict(dims or {})
    most, classes = bounds.pop("batch", 32), bounds.pop(DIM, None)
    if bounds:
        raise FanlightError(
            "E-BUILD-005",
            "a training has no such free size.",
            where="dims",
            expected='{"batch": 64}, {"classes": 20}, or both',
            received=", ".join(map(str, bounds)),
        )
    steps = _Deploying(model, how, most, classes, rounding)
    with _having(steps.others):
        return steps.made()


@contextmanager
def _having(pairs: Sequence[tuple[Weight, np.ndarray]]) -> Iterator[None]:
    """Inside, these weights have other numbers."""
    before = [(w, w.numpy().copy()) for w, _ in pairs]
    try:
        for weight, array in pairs:
            weight.assign(array)
        yield
    finally:
        for weight, array in before:
            weight.assign(array)


class _Deploying:
    def __init__(
        self, model: Model, how: Training, most: Any, classes: Any, rounding: Rounding | None
    ) -> None:
        self.model, self.most = model, most
        self.inputs = model._examples()
        stand_ins = [np.zeros((1, *s), d) for s, d in self.inputs.values()]
        self.optimizer: Optimizer = how.optimizer.sharing()  # no variable is assigned here
        outputs, output_names = model._outputs_for(stand_ins)
        self.outputs = list(output_names)
        # No name of ours may be one of an input.
        self.mark = ""
        while any(re.fullmatch(rf"{self.mark}(f|state_|w|y)\d+", n) for n in self.inputs):
            self.mark += "_"
        self.objective = Objective(
            how.loss,
            how.metrics,
            how.weighted_metrics,
            how.loss_weights,
            names=self.outputs,
            shapes=[s.shape for s in outputs],
        )
        self.output_shapes = [s.shape for s in outputs]
        self.optimizer.build(model.trainable_weights)
        self.free: Classes | None = None
        grows: Mapping[int, Grown] = {}
        if classes is not None:
            self.free = classes_of(model, classes)
            counts = grown_counts(self.free, self.objective, self.output_shapes[0])
            grows = {**grown(self.free, self.optimizer, model.trainable_weights), **counts}
        self.key = Weight(random.key(seeds.fresh()), False, "key", "key")
        self.cut = frontier(model)
        learner: Any = model
        if self.cut:
            learner = Model(self.cut, model.outputs_form, name=f"{model.name}_learner")
        self.steps = Steps(learner, self.objective, self.optimizer, self.key, True)
        # Nothing moves a key on where a page predicts.
        self.whole = Steps(model, None, None, None, True)
        self.behind = Steps(learner, None, None, None, True)
        trained = {id(w) for w in model.trainable_weights}
        updated = trained | {id(w) for w in self._changing()}
        inside = {id(w): name for name, w in named(model)}
        order = {key: i for i, key in enumerate(inside)}  # that of files
        # What grows has to be a value that changes, whether it learns or not.
        weights = [w for w in model.weights if id(w) in updated or id(w) in grows]
        weights.sort(key=lambda w: order.get(id(w), len(order)))
        self.kinds: list[tuple[Variable, str]] = [
            *((w, "weight") for w in weights),
            *((v, "optimizer") for v in self.optimizer.variables),
            *((v, "metric") for v in self.objective.variables),
            (self.key, "key"),
        ]
        # Metrics may have counted something here.
        zeros = {
            id(v): array
            for m in self.objective.every()
            for v, array in zip(m.variables, m._first, strict=True)
        }
        self.kept = [
            Kept(
                f"{self.mark}state_{i}",
                inside.get(id(v), str(getattr(v, "path", v.name))),
                kind,
                id(v) in trained,
                grows[id(v)].array if id(v) in grows else zeros.get(id(v), v.numpy()).copy(),
                grows[id(v)].axis if id(v) in grows else None,
            )
            for i, (v, kind) in enumerate(self.kinds)
        ]
        known = {id(v) for v, _ in self.kinds}
        large = {
            n: w
            for n, w in named(model)
            if id(w) not in known and str(w.dtype) == "float32" and len(w.shape) > 1
        }
        self.rounded = rounding({n: w.numpy() for n, w in large.items()}) if rounding else {}
        self.others = [(large[n], a) for n, a in self.rounded.items()]
        self.at = {id(v): k.name for (v, _), k in zip(self.kinds, self.kept, strict=True)}
        self.updates: dict[str, str] = {}

    def _changing(self) -> list[Weight]:
        """Weights that no optimizer moves, and that steps change: averages of batch norms."""
        found: list[Weight] = []
        model, of = self.model, {id(w): w for w in self.model.weights}

        def seen(parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
            given = list(parts.values())
            for training in (True, False):
                with scope.entered(scope.Scope(training, random.key(0))) as step:
                    outputs = flatten(model(model.arranged(given), training=training))[0]
                found.extend(of[key] for key in step.updates if key in of)
            return {"y": outputs[0]}

        inputs = {n: spec((2, *s), d) for n, (s, d) in self.inputs.items()}
        trace(_with_arguments(seen, list(inputs)), inputs, model.name)
        return found

    def made(self) -> Deployed:
        rows = {n: spec(("batch", *s), d) for n, (s, d) in self.inputs.items()}
        if self.cut:
            sizes = [[int(n or 0) for n in s.shape[1:]] for s in self.cut]
            rows = {f"{self.mark}f{i}": spec(("batch", *s)) for i, s in enumerate(sizes)}
        places = range(len(self.outputs))
        labels = {f"{self.mark}y{i}": self._label_type(i) for i in places}
        weights = {f"{self.mark}w{i}": spec(("batch",)) for i in places}
        dims = {"batch": self.most}
        one = {n: spec((1, *s), d) for n, (s, d) in self.inputs.items()}
        predict = self._graph("predict", one, {}, {}, None)
        train = self._graph("train", rows, labels, weights, dims)
        evaluate = self._graph("evaluate", rows, labels, weights, dims)
        answer = self._graph("answer", rows, {}, {}, dims)
        shapes = zip(self.objective.every(), self.objective.shapes, strict=True)
        names = {m.name: prod(shape) for m, shape in shapes}
        graphs = {"predict": predict, "train": train, "evaluate": evaluate}
        if self.cut:
            graphs["features"] = self._graph("features", one, {}, {}, None)
        (batch, *_) = answer.inputs[0].shape
        if all(v.shape[:1] == (batch,) for _, v in answer.outputs):
            graphs["answer"] = answer
        known = [self._label(i) for i in places]
        return Deployed(
            graphs, self.kept, self.updates, names, known, self.free, self._rate(), self.rounded
        )

    def _rate(self) -> int | None:
        try:
            self.optimizer.refuse_rate("the rate of a page")
        except FanlightError:
            return None
        return [id(v) for v, _ in self.kinds].index(id(self.optimizer.learning_rate))

    def _features(self, x: Sequence[Tensor]) -> dict[str, Tensor]:
        base = Model(self.model.inputs, self.cut, name=f"{self.model.name}_features")
        with scope.entered(scope.Scope(False)):
            found = flatten(base(base.arranged(x), training=False))[0]
        return {f"{self.mark}f{i}": y for i, y in enumerate(found)}

    def _label(self, i: int) -> Label:
        shape, loss = self.output_shapes[i], self.objective.losses[i]
        name = _unique(self.outputs, len(self.output_shapes))[i]
        if not self._by_number(i):
            return Label(name, None, None, losses.takes_shares(loss, shape))
        count = DIM if self.free else int(shape[self._axis(i)] or 0)
        return Label(name, count, getattr(loss, "ignore_class", None), False)

    def _label_type(self, i: int) -> TensorType:
        """What the labels of an output are: class numbers, or numbers of its shape."""
        shape: list[Any] = ["batch", *self.output_shapes[i][1:]]
        if self.free is not None:
            shape[-1] = DIM
        if not self._by_number(i):
            return spec(shape)
        del shape[self._axis(i)]
        return spec(shape, "int32")

    def _axis(self, i: int) -> int:
        """The dim of an output that has a number for each class."""
        return int(getattr(self.objective.losses[i], "axis", -1))

    def _by_number(self, i: int) -> bool:
        """Whether the labels of an output are class numbers."""
        shape = self.output_shapes[i]
        return losses.takes_class_numbers(self.objective.losses[i], shape[:-1], shape)

    def _graph(
        self,
        kind: str,
        x: Mapping[str, TensorType],
        y: Mapping[str, TensorType],
        w: Mapping[str, TensorType],
        dims: Mapping[str, Any] | None,
    ) -> Graph:
        state = {}
        for k in self.kept:
            shape = [DIM if axis == k.axis else n for axis, n in enumerate(k.first.shape)]
            state[k.name] = spec(shape, str(k.first.dtype))
        if self.free is not None and kind != "features":
            dims = {**(dims or {}), DIM: (self.free.least, self.free.most)}

        def step(parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
            kept = [] if kind == "features" else self.kinds
            pairs = [(v, parts[self.at[id(v)]]) for v, _ in kept]
            groups = [[parts[n] for n in group] for group in (x, y, w)]
            if kind == "features":
                return self._features(groups[0])
            with bound(pairs):
                steps = {"predict": self.whole, "answer": self.behind}.get(kind, self.steps)
                run = getattr(steps, {"evaluate": "test", "answer": "predict"}.get(kind, kind))
                results, updates = run(*groups)
            if kind in ("predict", "answer"):
                names = _unique(self.outputs, len(results))
                return dict(zip(names, results, strict=True))
            made = {"results": results[0]}
            for variable, value in updates:
                name = self.at.get(id(variable))
                if name is None:
                    raise not_kept(variable, "make it by add_weight of a layer of the model.")
                made[f"new_{name}"] = value
                self.updates[f"new_{name}"] = name
            return made

        inputs = {**x, **y, **w, **({} if kind == "features" else state)}
        fn = _with_arguments(step, list(inputs))
        try:
            # A bundle that learns is called what one that does not is called.
            name = self.model.name if kind == "predict" else f"{self.model.name} {kind}"
            return trace(fn, inputs, name, dims=dims)
        except (FanlightError, TypeError, ValueError) as error:
            if self.free is None or getattr(error, "code", "E-TENSOR-017") not in _SIZED:
                raise
            raise refused(
                "a model, a loss, metrics and an optimizer that do the same for any number",
                f"{getattr(error, 'message', error)} ({getattr(error, 'where', kind)})"[:300],
            ) from error


# Errors of what cannot be done for a size that is free.
_SIZED = ("E-OP-007", "E-TENSOR-015", "E-TENSOR-017")


def refuse_texts(model: Any, learns: bool) -> None:
    """E-BUILD-005 for a model that begins with texts: WebAssembly has none.

    Args:
        learns: whether it is to be trained in the page: what begins inside another model is not.
    """
    source = getattr(model, "source", None)
    if isinstance(source, Source) and source.text is not None:
        raise _of_texts(model.name, source)
    if not isinstance(model, Model) or not model.built:
        return
    tail = tail_of(model)
    if model.functional:
        layers = [node.layer for node in tail.head] if tail else []
        types = [s.dtype for s in model.inputs]
    else:
        layers = [layer for layer in model.layers if getattr(layer, "host", False)]
        types = list(model._built_types or ())
    if not layers and "string" not in types:
        return
    names = ", ".join(f"{type(layer).__name__} {layer.name!r}" for layer in layers)
    part = "the layers behind it, as a model of their own,"
    if tail and len(tail.tail):
        behind = [f'model.get_layer("{s.name}").output' for s in tail.between]
        inputs = behind[0] if len(behind) == 1 else f"[{', '.join(behind)}]"
        part = f"fl.Model({inputs}, model.output)"
        if learns:
            given = [f"fl.Input({s.shape[1:]}, dtype={s.dtype!r})" for s in tail.between]
            part = f"a model of the layers behind it, called again with {', '.join(given)},"
    raise FanlightError(
        "E-BUILD-005",
        "what makes numbers of texts cannot be built for a page.",
        where=names or f"the inputs of {model.name}",
        expected="a model that takes numbers",
        received=f"a model that begins with {names}" if names else "inputs of dtype string",
        next=f"build {part} and send it the numbers that are made of texts.",
    )


def _of_texts(name: str, source: Source) -> FanlightError:
    """E-BUILD-005 for a model that was read, of whose graph Python does a part."""
    text = source.text
    given = [n for n, t in (text.inputs if text else {}).items() if t.dtype == STRING]
    made = [n for n, t in (text.outputs if text else {}).items() if t.dtype == STRING]
    return FanlightError(
        "E-BUILD-005",
        "what Python does with texts cannot be built for a page.",
        where=name,
        expected="a model of numbers",
        received="; ".join(
            f"{what} of texts: {', '.join(names)}"
            for what, names in (("inputs", given), ("outputs", made))
            if names
        ),
        next="build the part of numbers, fl.build(model.graph, out). It takes "
        f"{', '.join(f'{v.name} {v.type}' for v in source.graph.inputs)}: model.prepared(inputs) "
        "makes that of texts in Python, and in the page a tokenizer of yours. It gives "
        f"{', '.join(n for n, _ in source.graph.outputs)}.",
    )

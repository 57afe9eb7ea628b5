"""What training makes small and what it reports: losses and metrics of each output of a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from fanlight.errors import FanlightError
from fanlight.layers import losses, metrics
from fanlight.layers.loss_functions import MISFIT
from fanlight.layers.metric import Mean, Metric
from fanlight.layers.weight import Weight
from fanlight.tensor import Tensor
from fanlight.tensor import functions as fn
from fanlight.tensor.caller import caller


def _named(error: FanlightError, where: str, y: Any, p: Any) -> FanlightError:
    """The error of a loss that labels do not fit, with whose they are; others as they are."""
    if error.code != "E-OP-004" or error.message != MISFIT:
        return error
    expected = str(error.expected).replace("predictions", "output")
    return FanlightError(
        "E-TRAIN-002",
        "labels do not fit an output of the model.",
        where=f"{where}, {caller()}",
        expected=expected.replace("y_pred", f"the output, {list(p.shape)}"),
        received=f"y {y.type}, and an output {p.type}",
        next=error.next,
    )


class Objective:
    """Losses and metrics, as `compile` was told, for the outputs that a model turned out to have.

    Args:
        names: of the outputs.
        shapes: of the outputs, the first dim being that of the examples.
    """

    def __init__(
        self,
        loss: Any,
        metric: Any,
        weighted: Any,
        loss_weights: Any,
        names: Sequence[str],
        shapes: Sequence[Sequence[int | None]],
    ) -> None:
        self.names, self.outputs = list(names), [tuple(s) for s in shapes]
        self.several = len(self.names) > 1
        self.losses = [losses.get(x) for x in self._each("loss", loss)]
        weights = self._each("loss_weights", loss_weights)
        if any(w is not None and not isinstance(w, Real) for w in weights):
            raise self._wrong("loss_weights", repr(loss_weights)[:200])
        self.shares = [1.0 if w is None else float(w) for w in weights]
        self.tracker = Mean("loss")
        many = self.several and sum(x is not None for x in self.losses) > 1
        self.trackers = [Mean(f"{n}_loss") if many else None for n in self.names]
        self.metrics = self._metrics("metrics", metric, shapes)
        self.weighted = self._metrics("weighted_metrics", weighted, shapes)
        self._tell_apart()
        if all(x is None for x in self.losses):
            self.losses = [None] * len(self.names)

    def _each(self, what: str, given: Any) -> list[Any]:
        """What is given for each output: by name, in order, or one for all."""
        if isinstance(given, Mapping) and "class_name" not in given:
            unknown = set(given) - set(self.names)
            if unknown:
                raise self._wrong(what, ", ".join(map(str, sorted(unknown))))
            return [given.get(n) for n in self.names]
        if isinstance(given, list | tuple):
            if len(given) != len(self.names):
                raise self._wrong(what, f"{len(given)} for {len(self.names)} outputs")
            return list(given)
        if given is None or not self.several:
            return [given] * len(self.names)
        return [given] * len(self.names)

    def _metrics(
        self, what: str, given: Any, shapes: Sequence[Sequence[int | None]]
    ) -> list[list[Metric]]:
        nested = isinstance(given, list | tuple) and any(isinstance(m, list | tuple) for m in given)
        if given is None:
            each: list[Any] = [None] * len(self.names)
        elif isinstance(given, Mapping):
            each = self._each(what, given)
        elif nested or (isinstance(given, list | tuple) and self.several):
            each = self._each(what, given)
        else:
            each = [given] * len(self.names)
        made: list[list[Metric]] = []
        for i, (part, shape) in enumerate(zip(each, shapes, strict=True)):
            parts = part if isinstance(part, list | tuple) else [] if part is None else [part]
            found = [metrics.get(m, self.losses[i], shape) for m in parts]
            if self.several:
                for m in found:
                    prefix = f"{self.names[i]}_"
                    if not m.name.startswith(prefix):
                        m.name = prefix + m.name
            made.append(found)
        return made

    def _tell_apart(self) -> None:
        """Give metrics of one name names that differ, as Keras does: weighted_mae, mae_1."""
        taken: set[str] = set()
        for weighted, each in ((False, self.metrics), (True, self.weighted)):
            for output, part in zip(self.names, each, strict=True):
                prefix = f"{output}_" if self.several else ""
                for m in part:
                    name = m.name
                    if name in taken and weighted:
                        name = f"{prefix}weighted_{name.removeprefix(prefix)}"
                    base, count = name, 0
                    while name in taken:
                        count += 1
                        name = f"{base}_{count}"
                    m.name = name
                    taken.add(name)

    def _wrong(self, what: str, received: str) -> FanlightError:
        return FanlightError(
            "E-TRAIN-001",
            f"{what} do not fit the outputs of the model.",
            where=f"compile, {caller()}",
            expected=f"one for each of {', '.join(self.names)}",
            received=received,
            next="give a dict by the names of the outputs, or a list in their order.",
        )

    # --- what it reports --------------------------------------------------------------------------

    def every(self) -> list[Metric]:
        """All that is reported, in order."""
        own = [t for t in self.trackers if t is not None]
        return [self.tracker, *own, *[m for part in (*self.metrics, *self.weighted) for m in part]]

    @property
    def variables(self) -> list[Weight]:
        """What they keep from batch to batch."""
        return [v for m in self.every() for v in m.variables]

    def reset(self) -> None:
        """Begin an epoch."""
        for m in self.every():
            m.reset_state()

    def results(self) -> Tensor:
        """All numbers of now, as one tensor."""
        parts = [m.result() for m in self.every()]
        self.shapes = [p.shape for p in parts]
        return fn.concat([fn.reshape(p, (-1,)) for p in parts])

    def named(self, numbers: Any) -> dict[str, Any]:
        """The numbers of `results` by name."""
        found: dict[str, Any] = {}
        at = 0
        for m, shape in zip(self.every(), self.shapes, strict=True):
            size = math.prod(shape)
            part = numbers[at : at + size]
            found[m.name] = part.reshape(shape).copy() if shape else float(part[0])
            at += size
        return found

    # --- what it computes -------------------------------------------------------------------------

    def loss(
        self, labels: Sequence[Any], predictions: Sequence[Tensor], weights: Sequence[Any]
    ) -> tuple[Tensor, list[Tensor | None]]:
        """The number to make small, without penalties; and that of each output."""
        total: Any = None
        each: list[Tensor | None] = []
        for name, loss, share, y, p, w in zip(
            self.names, self.losses, self.shares, labels, predictions, weights, strict=True
        ):
            if loss is None or y is None:
                each.append(None)
                continue
            try:
                value = loss(y, p, w)
            except FanlightError as error:
                raise _named(error, f"y of {name!r}", y, p) from error
            if value.rank:
                value = fn.mean(value)
            each.append(value)
            value = value if share == 1.0 else value * share
            total = value if total is None else total + value
        return (fn.scalar(0.0) if total is None else total), each

    def track(
        self,
        total: Tensor,
        each: Sequence[Tensor | None],
        labels: Sequence[Any],
        predictions: Sequence[Tensor],
        weights: Sequence[Any],
    ) -> None:
        """Take a batch into account."""
        size = float(predictions[0].shape[0])
        self.tracker.update_state(total, size)
        for tracker, value in zip(self.trackers, each, strict=True):
            if tracker is not None and value is not None:
                tracker.update_state(value, size)
        self.track_metrics(labels, predictions, weights)

    def track_metrics(
        self, labels: Sequence[Any], predictions: Sequence[Tensor], weights: Sequence[Any]
    ) -> None:
        """Take a batch into account in the metrics, and not in the losses."""
        for name, part, weighted, y, p, w in zip(
            self.names, self.metrics, self.weighted, labels, predictions, weights, strict=True
        ):
            if y is None:
                continue
            heavy = [(m, (w,)) for m in weighted]
            for m, weight in [*((m, ()) for m in part), *heavy]:
                try:
                    m.update_state(y, p, *weight)
                except FanlightError as error:
                    raise _named(error, f"y of {name!r}, metric {m.name}", y, p) from error

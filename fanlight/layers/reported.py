"""What a model says of its losses and metrics."""

from __future__ import annotations

from typing import Any

from fanlight.layers.metric import Metric
from fanlight.layers.objective import Objective


class Reported:
    """The part of `fl.Model` that tells of losses and metrics, as Keras has it."""

    _compiled: dict[str, Any] | None
    _objective: Objective | None

    @property
    def compiled(self) -> bool:
        """Whether `compile` has said how it is trained."""
        return self._compiled is not None

    @property
    def metrics(self) -> list[Metric]:
        """The mean loss and the metrics, in the order in which they are reported; [] before
        `compile`, and before a model of a class of your own knows its outputs."""
        if self._objective is not None:
            return self._objective.every()
        model: Any = self
        if self._compiled is None or not model.functional:
            return []
        shapes = [s.shape for s in model.outputs]
        return Objective(**self._compiled, names=model.output_names, shapes=shapes).every()

    @property
    def metrics_names(self) -> list[str]:
        """The names of what is reported: "loss" first."""
        return [m.name for m in self.metrics]

    def reset_metrics(self) -> None:
        """Begin anew to take means."""
        if self._objective is not None:
            self._objective.reset()

    def get_metrics_result(self) -> dict[str, Any]:
        """The loss and the metrics of now, by name."""
        found = {m.name: m.result().numpy() for m in self.metrics}
        return {n: v if v.ndim else float(v) for n, v in found.items()}


__all__ = ["Reported"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

"""Several optimizers for the weights of one model."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from fanlight.errors import FanlightError
from fanlight.layers import config, scope
from fanlight.layers.optimizer import Optimizer
from fanlight.layers.patterns import Pattern
from fanlight.layers.weight import Weight
from fanlight.tensor.caller import caller
from fanlight.tensor.variables import Variable

_MOST_PATTERNS = 256


def _wrong(argument: str, expected: str, received: Any) -> FanlightError:
    return FanlightError(
        "E-LAYER-004",
        f"MultiOptimizer does not take this {argument}.",
        where=f"{argument}, {caller()}",
        expected=expected,
        received=received if isinstance(received, str) else repr(received)[:200],
    )


def _single(argument: str, given: Any) -> Optimizer:
    if not isinstance(given, Optimizer) or isinstance(given, MultiOptimizer):
        raise _wrong(argument, "an optimizer that is no MultiOptimizer", given)
    return given


class OptimizerMap(MutableMapping[str, Optimizer]):
    """Which optimizer is for which weight, by patterns of their paths.

    Args:
        default_optimizer: for the weights that no pattern is for.
        optimizer_map: regular expressions, each of a whole path (".*conv1/kernel"), and optimizers.
            Keras puts the name of a Sequential in front of the paths of its weights. Nothing that
            looks around or back: patterns may be of a file, and end in bounded time.

    Raises:
        FanlightError: E-LAYER-004 what is no optimizer, a pattern that is there already or is not
            matched, several for one weight, or more than 256.
    """

    keras_module = "keras.optimizers"

    def __init__(
        self, default_optimizer: Optimizer, optimizer_map: Mapping[str, Optimizer] | None = None
    ) -> None:
        self.default_optimizer = _single("default_optimizer", default_optimizer)
        self._map: dict[str, Optimizer] = {}
        self._patterns: dict[str, Pattern] = {}
        for pattern, optimizer in (optimizer_map or {}).items():
            self[pattern] = optimizer

    def __getitem__(self, key: str) -> Optimizer:
        if key in self._map:
            return self._map[key]
        found = [pattern for pattern in self._map if self._patterns[pattern].matches(key)]
        if len(found) > 1:
            raise _wrong("optimizer_map", f"one pattern for {key}", ", ".join(found))
        return self._map[found[0]] if found else self.default_optimizer

    def __setitem__(self, key: str, optimizer: Optimizer) -> None:
        if not isinstance(key, str) or key in self._map:
            raise _wrong("optimizer_map", "patterns that differ", key)
        if len(self._map) >= _MOST_PATTERNS:
            raise _wrong("optimizer_map", f"at most {_MOST_PATTERNS} patterns", key)
        self._patterns[key] = Pattern(key, "optimizer_map")
        self._map[key] = _single(f"optimizer for {key}", optimizer)

    def __contains__(self, key: object) -> bool:
        return key in self._map

    def __delitem__(self, key: str) -> None:
        del self._map[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._map)

    def __len__(self) -> int:
        return len(self._map)

    def __call__(self, variable: Any) -> Optimizer:
        """The optimizer for a weight."""
        return self[str(getattr(variable, "path", variable.name))]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {
            "default_optimizer": config.plain(self.default_optimizer),
            "optimizer_map": config.plain(self._map),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> OptimizerMap:
        """The map of such arguments."""
        from fanlight.layers import optimizers

        made: list[tuple[Any, Optimizer]] = []

        def of(description: Any) -> Optimizer:
            """One for all patterns that it stands under: names of optimizers are counted."""
            for told, optimizer in made:
                if told == description:
                    return optimizer
            made.append((description, optimizers.get(description)))
            return made[-1][1]

        rows = {k: of(v) for k, v in (config.get("optimizer_map") or {}).items()}
        return cls(of(config["default_optimizer"]), rows)


class MultiOptimizer(Optimizer):
    """Several optimizers, each for some of the weights.

    Args:
        optimizer_map: an `OptimizerMap`, or a function that gives the optimizer for a weight.
        loss_scale_factor: that of all of them.

    Learning rates are those of the optimizers inside: `optimizers` lists them.
    """

    def __init__(
        self,
        optimizer_map: Any,
        loss_scale_factor: float | None = None,
        name: str | None = None,
    ) -> None:
        if isinstance(optimizer_map, dict) and "class_name" in optimizer_map:  # of a file
            optimizer_map = OptimizerMap.from_config(optimizer_map["config"])
        if not callable(optimizer_map):
            raise _wrong("optimizer_map", "an OptimizerMap or a function of weights", optimizer_map)
        self.optimizer_map: Callable[[Any], Optimizer] = optimizer_map
        self.optimizers: list[Optimizer] = []
        super().__init__(0.0, loss_scale_factor=loss_scale_factor, name=name)
        if isinstance(optimizer_map, OptimizerMap):
            for optimizer in (*optimizer_map.values(), optimizer_map.default_optimizer):
                self._take(optimizer)

    def _take(self, optimizer: Any) -> Optimizer:
        """An optimizer of the map, which is one of `optimizers` then."""
        if all(o is not optimizer for o in self.optimizers):
            _single("optimizer", optimizer).loss_scale_factor = self.loss_scale_factor
            self.optimizers.append(optimizer)
        found: Optimizer = optimizer
        return found

    @property
    def learning_rate(self) -> Any:
        """Of no use: each of `optimizers` has its own."""
        raise _wrong("learning_rate", "optimizer.optimizers[i].learning_rate", "the one of all")

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if self._rate is not None:
            raise _wrong("learning_rate", "optimizer.optimizers[i].learning_rate", value)
        self._rate = self._own((), "learning_rate", "float32", 0.0)  # as Keras keeps one

    def refuse_rate(self, who: str) -> None:
        """E-LAYER-004: there is no rate of all that could be set."""
        raise _wrong("learning_rate", "optimizer.optimizers[i].learning_rate", who)

    @property
    def version(self) -> int:
        """Changes when a schedule of one of them does: traced steps hold for one version."""
        return sum(o.version for o in self.optimizers)

    @version.setter
    def version(self, value: int) -> None:
        """It follows from those inside."""

    def parts(self, weights: Sequence[Variable]) -> list[tuple[Optimizer, list[int]]]:
        owners = [self._take(self.optimizer_map(w)) for w in weights]
        return [(o, [i for i, owner in enumerate(owners) if owner is o]) for o in self.optimizers]

    def build(self, weights: Sequence[Variable]) -> None:
        self.trained = list(weights)
        for optimizer, places in self.parts(weights):
            if places:
                optimizer.build([weights[i] for i in places])

    def sharing(self) -> MultiOptimizer:
        pairs: list[tuple[Optimizer, Optimizer]] = []

        def of(optimizer: Optimizer) -> Optimizer:
            found = [copied for own, copied in pairs if own is optimizer]
            if not found:
                found = [_single("optimizer", optimizer).sharing()]
                pairs.append((optimizer, found[0]))
            return found[0]

        made: MultiOptimizer = copy.copy(self)
        made.optimizers = [of(o) for o in self.optimizers]
        given = self.optimizer_map
        if isinstance(given, OptimizerMap):
            table = copy.copy(given)
            table.default_optimizer = of(given.default_optimizer)
            table._map = {pattern: of(o) for pattern, o in given._map.items()}
            made.optimizer_map = table
        else:
            made.optimizer_map = lambda weight: of(given(weight))
        return made

    @property
    def variables(self) -> list[Weight]:
        assert self._rate is not None  # set in __init__
        return [self.iterations, self._rate, *(v for o in self.optimizers for v in o.variables)]

    @property
    def averages(self) -> list[Weight]:
        return [v for o in self.optimizers for v in o.averages]

    def apply(self, grads: Sequence[Any], weights: Sequence[Variable] | None = None) -> None:
        weights = self.trained if weights is None else list(weights)
        self.build(weights)
        if scope.current() is None:
            step = scope.Scope()
            with scope.entered(step):
                self.apply(grads, weights)
            for variable, value in step.pairs():
                variable.assign(value)
            return
        for optimizer, places in self.parts(weights):
            if places:
                optimizer.apply([grads[i] for i in places], [weights[i] for i in places])
        scope.update(self.iterations, self.iterations + 1)

    def finalize_variable_values(self, weights: Sequence[Variable] | None = None) -> None:
        for optimizer in self.optimizers:
            optimizer.finalize_variable_values(weights)

    def get_config(self) -> dict[str, Any]:
        if not isinstance(self.optimizer_map, OptimizerMap):
            raise FanlightError(
                "E-LAYER-009",
                "a MultiOptimizer by a function is not in a file: its code is in Python.",
                where=f"{self.name}, {caller()}",
                expected="an OptimizerMap",
                received=repr(self.optimizer_map)[:200],
            )
        return {
            "name": self.name,
            "loss_scale_factor": self.loss_scale_factor,
            "optimizer_map": config.described(self.optimizer_map),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MultiOptimizer:
        return cls(**config)


__all__ = ["MultiOptimizer", "OptimizerMap"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

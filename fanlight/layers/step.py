"""The steps of a model: training, testing, predicting; traced to WebAssembly, or by NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.layers import ranges, scope
from fanlight.layers.hosted import Tail
from fanlight.layers.objective import Objective
from fanlight.layers.optimizer import Optimizer
from fanlight.layers.weight import Weight
from fanlight.ops.types import TensorType
from fanlight.tensor import Tensor, random, tensor
from fanlight.tensor import functions as fn
from fanlight.tensor.calls import listening, newest
from fanlight.tensor.tape import Tape, flatten
from fanlight.tensor.variables import Variable

if TYPE_CHECKING:
    from fanlight.kept import Kept, Program

# Inputs, labels and weights of examples of a batch; None where there is none.
Parts = tuple[Sequence[Any], Sequence[Any], Sequence[Any]]
Made = tuple[list[Tensor], list[tuple[Variable, Tensor]]]

# Errors of what NumPy can do, or is refused by again: no kernel, no wasmtime, numbers are asked
# for, draws and assignments in what is traced by itself, variables of nobody, dtypes of storage.
_BY_NUMPY = (
    *("E-BUILD-001", "E-HOST-001", "E-TENSOR-003"),
    *("E-TENSOR-020", "E-TENSOR-021", "E-TENSOR-022"),
)


class Steps:
    """The steps of one model.

    Args:
        model: is called with its inputs, flat and in order, as `arrange` puts them.
        compiled: whether they become WebAssembly; else NumPy computes op by op.
        threads: how many compute a step, at most; the numbers are the same.
        memory: a budget in bytes for a step of training: see `fanlight.jit.fitted`.
    """

    def __init__(
        self,
        model: Any,
        objective: Objective | None,
        optimizer: Optimizer | None,
        key: Weight | None,
        compiled: bool,
        threads: int = 1,
        memory: int | None = None,
    ) -> None:
        self.model, self.objective, self.optimizer = model, objective, optimizer
        self.key, self.compiled = key, compiled
        self.threads, self.memory = threads, memory
        self.form: Any = None  # of the outputs, as `unflatten` takes it
        self.home: Kept | None = None
        self.lookups: Sequence[ranges.Lookup] = ()  # of the step that was traced last
        self._programs: dict[Any, tuple[Program, Sequence[ranges.Lookup]]] = {}
        self._kept: list[int] = []

    # --- what they compute ------------------------------------------------------------------------

    def forward(self, x: Sequence[Any], training: bool) -> list[Tensor]:
        """The outputs of the model."""
        made: list[Tensor]
        made, self.form = flatten(self.model(self.model.arranged(x), training=training))
        step = scope.current()
        assert step is not None  # every kind of step enters one
        self.lookups = ranges.lookups(step, x)
        return [newest(y) for y in made]

    def train(self, x: Sequence[Any], y: Sequence[Any], w: Sequence[Any]) -> Made:
        """One step of training: results, and what variables become."""
        assert self.objective is not None and self.optimizer is not None
        assert self.key is not None
        weights: list[Any] = self.model.trainable_weights
        key = random.fold_in(self.key, self.optimizer.iterations)
        with scope.entered(scope.Scope(True, key)) as step:
            tape = Tape(weights)
            with listening(tape):
                outputs = self.forward(x, True)
                loss, each = self._loss(y, outputs, w)
                total = self._penalised(loss, step)
                scale = self.optimizer.loss_scale_factor
                scaled = total * float(scale) if scale else total
            grads = tape.pull([scaled], [fn.ones_like(scaled)], weights)
            self.optimizer.apply(grads, weights)
            self.objective.track(total, each, y, outputs, w)
            return [self.objective.results(), fn.reshape(total, (1,))], step.pairs()

    def test(self, x: Sequence[Any], y: Sequence[Any], w: Sequence[Any]) -> Made:
        """Results of a batch, without training."""
        assert self.objective is not None
        with scope.entered(scope.Scope(False, source=self.key)) as step:
            outputs = self.forward(x, False)
            loss, each = self._loss(y, outputs, w)
            self.objective.track(self._penalised(loss, step), each, y, outputs, w)
            return [self.objective.results()], step.pairs()

    def predict(self, x: Sequence[Any], y: Sequence[Any] = (), w: Sequence[Any] = ()) -> Made:
        """The outputs of a batch."""
        with scope.entered(scope.Scope(False, source=self.key)) as step:
            return self.forward(x, False), step.pairs()

    def _loss(self, y: Any, outputs: Any, w: Any) -> tuple[Tensor, list[Tensor | None]]:
        assert self.objective is not None
        try:
            return self.objective.loss(y, outputs, w)
        except FanlightError as error:
            if error.code == "E-TRAIN-002":  # of a loss, which does not know whose it is
                error.where = f"{self.model.name}, {error.where}"
            raise

    def _penalised(self, loss: Tensor, step: scope.Scope) -> Tensor:
        penalties = list(step.losses)
        for weight in self.model.trainable_weights:
            if weight.regularizer is not None:
                penalties.append(weight.regularizer(weight))
        for value in penalties:
            loss = loss + value
        return loss

    # --- how they are run -------------------------------------------------------------------------

    def run(self, kind: str, parts: Parts) -> list[np.ndarray]:
        """One step of a kind ("train", "test", "predict") with the arrays of a batch."""
        if isinstance(self.model, Tail):
            parts = (self.model.prepared(parts[0]), *parts[1:])
        flat = [a for group in parts for a in group if a is not None]
        if not self.compiled or any(a.dtype.kind not in "fiub" or not a.size for a in flat):
            return self._by_numpy(kind, parts)
        types = tuple(TensorType(a.shape, str(a.dtype)) for a in flat)
        holes = tuple(tuple(a is None for a in group) for group in parts)
        key: tuple[Any, ...] = (kind, types, holes, self._trainable() if kind == "train" else ())
        if self.optimizer is not None:
            key = (*key, self.optimizer.version)
        known = self._programs.get(key)
        if known is None:
            program = self._compile(kind, types, holes)
            if program is None:
                return self._by_numpy(kind, parts)
            known = self._programs[key] = program, self.lookups
        program, lookups = known
        for lookup in lookups:
            lookup.check(flat)
        return program(flat)

    def _trainable(self) -> tuple[int, ...]:
        return tuple(id(w) for w in self.model.trainable_weights)

    def _variables(self) -> list[Variable]:
        found: list[Any] = [*self.model.weights, *self.model.state_variables]
        if self.key is not None:
            found.append(self.key)
        if self.objective is not None:
            found += self.objective.variables
        if self.optimizer is not None:
            self.optimizer.build(self.model.trainable_weights)
            found += self.optimizer.variables
        return found

    def _compile(self, kind: str, types: Sequence[TensorType], holes: Any) -> Program | None:
        from fanlight.kept import Kept  # and the compiler: models that only compute need none

        variables = self._variables()
        ids = [id(v) for v in variables]
        if self.home is None or not set(ids) <= set(self._kept):
            self.home, self._kept = Kept(variables, self.threads), ids
            self._programs.clear()
        step: Callable[..., Made] = getattr(self, kind)

        def traced(parts: Sequence[Tensor]) -> Made:
            left = iter(parts)
            groups = [[None if hole else next(left) for hole in group] for group in holes]
            return step(*groups)

        try:
            memory = self.memory if kind == "train" else None
            return self.home.compile(traced, types, f"{self.model.name} {kind}", memory)
        except FanlightError as error:
            if error.code in _BY_NUMPY:
                self.why = str(error)
                self.compiled = False
                return None
            raise

    why = ""

    def _by_numpy(self, kind: str, parts: Parts) -> list[np.ndarray]:
        groups = [[None if a is None else tensor(a) for a in group] for group in parts]
        if self.optimizer is not None and kind == "train":
            self.optimizer.build(self.model.trainable_weights)
        results, pairs = getattr(self, kind)(*groups)
        assign_pairs(pairs)
        return [y.numpy() for y in results]


def assign_pairs(pairs: Sequence[tuple[Variable, Any]]) -> None:
    """Give variables their values: all of them, also if an interrupt comes in between."""
    try:
        for variable, value in pairs:
            variable.assign(value)
    except BaseException:
        for variable, value in pairs:
            variable.assign(value)
        raise

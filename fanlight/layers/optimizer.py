"""The base of optimizers: how weights follow their gradients."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fanlight.errors import FanlightError, ProtocolError
from fanlight.layers import config, scope
from fanlight.layers.checked import Checked
from fanlight.layers.nearest import meant
from fanlight.layers.weight import Weight
from fanlight.tensor import Tensor, cast, tensor
from fanlight.tensor import functions as fn
from fanlight.tensor.caller import caller
from fanlight.tensor.variables import Variable

_COMMON = (
    "weight_decay",
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
    "loss_scale_factor",
    "gradient_accumulation_steps",
    "name",
)


class Optimizer(Checked):
    """How weights follow their gradients.

    Args:
        learning_rate: a number, or a schedule (`fl.optimizers.schedules`) of the number of steps.
        weight_decay: each step takes this share, times the learning rate, off every weight.
        clipnorm: gradients of a weight are made no longer than this.
        clipvalue: no number of a gradient is larger than this.
        global_clipnorm: all gradients together are made no longer than this.
        use_ema: keep an average of the weights, which `finalize_variable_values` puts in their
            place; every `ema_overwrite_frequency` steps training itself does.
        loss_scale_factor: the loss is multiplied by it, and gradients divided.
        gradient_accumulation_steps: weights move once in so many steps, by the mean gradient.

    An optimizer of your own names its slots, and says in `step` what a weight and its slots become.
    """

    fields: tuple[str, ...] = ()
    keras_module = "keras.optimizers"
    slots: tuple[str, ...] = ()
    loss_scale: list[Any] | None = None  # of Keras: see layers/compiled.py

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **unknown: Any,
    ) -> None:
        # Keras counts names that nobody chose: adam, adam_1, ...
        from fanlight.layers.layer import unique_name

        if unknown:
            known = ("learning_rate", *self.fields, *_COMMON)
            wrong = self._wrong("argument", ", ".join(known), ", ".join(sorted(unknown)))
            wrong.next = (
                "did you mean 'learning_rate'?" if "lr" in unknown else meant(min(unknown), known)
            )
            raise wrong
        self.name = name or unique_name(config.snake(type(self).__name__))
        self.weight_decay, self.clipnorm, self.clipvalue = weight_decay, clipnorm, clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema, self.ema_momentum = use_ema, ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        if sum(v is not None for v in (clipnorm, clipvalue, global_clipnorm)) > 1:
            given = f"{clipnorm=}, {clipvalue=}, {global_clipnorm=}"
            expected = "one of clipnorm, clipvalue and global_clipnorm"
            raise self._wrong("way to clip", expected, given)
        if gradient_accumulation_steps is not None and gradient_accumulation_steps < 2:
            raise self._wrong(
                "gradient_accumulation_steps", "2 or more, or None", gradient_accumulation_steps
            )
        if not 0 <= ema_momentum <= 1:
            raise self._wrong("ema_momentum", "a number from 0 to 1", ema_momentum)
        if ema_overwrite_frequency is not None and ema_overwrite_frequency < 1:
            expected = "1 or more, or None"
            raise self._wrong("ema_overwrite_frequency", expected, ema_overwrite_frequency)
        self.iterations = self._own((), "iteration", "int32")
        self._rate: Weight | None = None
        self._schedule: Any = None
        # Traced steps hold for one version: a schedule is part of what they compute.
        self.version = 0
        self.learning_rate = learning_rate
        self.trained: list[Variable] = []
        self._slots: dict[str, list[Weight | None]] = {}
        self._averages: list[Weight] = []
        self._sums: list[Weight] = []
        self._apart: set[str] = set()

    # --- the learning rate ------------------------------------------------------------------------

    @property
    def learning_rate(self) -> Any:
        """The variable that holds it, or of a schedule the number of now.

        A number or a schedule may be set; over a schedule only another one (E-LAYER-004).
        """
        if self._schedule is not None:
            return self._schedule(self.iterations)
        return self._rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(value, Mapping):
            from fanlight.layers import schedules

            value = schedules.get(value)
        if callable(value) and not isinstance(value, Tensor):
            self._schedule = value
            self.version += 1
            return
        number = _number(value)
        if number is None or not 0 <= number < math.inf:
            raise self._wrong("learning_rate", "a number from 0 on, or a schedule", value)
        self.refuse_rate("the learning rate")
        if self._rate is None:
            self._rate = self._own((), "learning_rate", "float32", number)
        else:
            self._rate.assign(number)

    def refuse_rate(self, who: str) -> None:
        """E-LAYER-004 where a number cannot be set, as a schedule says the rate of each step.

        Args:
            who: what would set it. It is a TypeError, too, as in Keras.
        """
        if self._schedule is not None:
            raise ProtocolError(
                "E-LAYER-004",
                f"{who} cannot be set: a schedule says it for every step.",
                where=f"{type(self).__name__}.learning_rate, {caller()}",
                expected=f"an optimizer with a number: {type(self).__name__}(0.01)",
                received=f"learning_rate={type(self._schedule).__name__}(...)",
                next="leave the schedule or the callback out; another schedule may be set.",
            )

    def _wrong(self, argument: str, expected: str, received: Any) -> FanlightError:
        return FanlightError(
            "E-LAYER-004",
            f"{type(self).__name__} does not take this {argument}.",
            where=f"{argument}, {caller()}",
            expected=expected,
            received=received if isinstance(received, str) else repr(received)[:200],
        )

    def _own(self, shape: Any, name: str, dtype: str = "float32", value: float = 0) -> Weight:
        made = fn.full(shape, value, dtype)
        return Weight(made, False, name, f"{self.name}/{name}")

    def rate(self) -> Tensor:
        """The learning rate of the step."""
        if self._schedule is not None:
            return cast(tensor(self._schedule(self.iterations)), "float32")
        assert self._rate is not None  # set in __init__
        return self._rate

    def parts(self, weights: Sequence[Variable]) -> list[tuple[Optimizer, list[int]]]:
        """Which optimizers move these weights: each with the numbers of its own."""
        return [(self, list(range(len(weights))))]

    def sharing(self) -> Optimizer:
        """A copy with the same variables; what is built of it is its own."""
        return copy.copy(self)

    # --- slots ------------------------------------------------------------------------------------

    def first_slot(self, slot: str, weight: Variable) -> float:
        """What a slot is filled with before the first step."""
        return 0.0

    def build(self, weights: Sequence[Variable]) -> None:
        """Make the slots of these weights; the same weights keep theirs."""
        if [id(w) for w in weights] == [id(w) for w in self.trained]:
            return
        before = {
            (slot, id(w)): v
            for slot, values in self._slots.items()
            for w, v in zip(self.trained, values, strict=True)
        }
        slots: dict[str, list[Weight | None]] = {}
        for slot in (slot for group in self.slot_groups() for slot in group):
            keys = [(slot, id(w)) for w in weights]
            slots[slot] = [
                before[key] if key in before else self._slot(slot, w)
                for key, w in zip(keys, weights, strict=True)
            ]
        self.trained, self._slots = list(weights), slots
        if self.use_ema:
            self._averages = []
            for w in weights:
                average = self._own(w.shape, f"{_flat(w)}_average")
                average.assign(w.numpy())
                self._averages.append(average)
        if self.gradient_accumulation_steps:
            self._sums = [self._own(w.shape, f"{_flat(w)}_gradient_accumulator") for w in weights]

    def _slot(self, slot: str, weight: Variable) -> Weight | None:
        shape = self.slot_shape(slot, weight)
        if shape is None:
            return None
        return self._own(shape, f"{_flat(weight)}_{slot}", value=self.first_slot(slot, weight))

    def slots_used(self) -> Sequence[str]:
        """The names of its slots, some of which may depend on arguments."""
        return self.slots

    def slot_groups(self) -> Sequence[Sequence[str]]:
        """Its slots in the order in which Keras keeps them.

        Those of a group lie together, weight by weight; the next group follows after all weights.
        """
        return (tuple(self.slots_used()),)

    def slot_shape(self, slot: str, weight: Variable) -> tuple[int, ...] | None:
        """The shape of a slot; () for one number, None where this weight does not have it."""
        return weight.shape

    def extra(self) -> Sequence[Weight]:
        """What else lasts from step to step."""
        return ()

    @property
    def variables(self) -> list[Weight]:
        """Everything that lasts from step to step, in the order of Keras."""
        found: list[Weight | None] = [self.iterations]
        if self._schedule is None:
            found.append(self._rate)
        found += [*self._averages, *self._sums]
        for group in self.slot_groups() if self._slots else ():
            for i in range(len(self.trained)):
                found += [self._slots[slot][i] for slot in group]
        return [*(v for v in found if v is not None), *self.extra()]

    @property
    def averages(self) -> list[Weight]:
        """The averages of the weights that were trained, where `use_ema` keeps some."""
        return self._averages

    # --- a step -----------------------------------------------------------------------------------

    def step(
        self, weight: Tensor, grad: Tensor, rate: Tensor, slots: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What a weight and its slots become.

        `self.count` is the number of this step, from 1 on, as a float32 tensor.
        """
        raise config.unwritten(self, "step")

    def exclude_from_weight_decay(
        self, var_list: Sequence[Variable] = (), var_names: Sequence[str] = ()
    ) -> None:
        """Spare these weights, and those whose path has one of these texts in it."""
        self._apart |= {getattr(v, "path", v.name) for v in var_list}
        self._spared = tuple(var_names)

    _spared: tuple[str, ...] = ()

    def decay_of(self, weight: Variable) -> float:
        """The weight decay of a weight; 0 for none."""
        path = getattr(weight, "path", weight.name)
        if path in self._apart or any(text in path for text in self._spared):
            return 0.0
        return float(self.weight_decay or 0.0)

    def apply_gradients(self, pairs: Sequence[tuple[Any, Variable]]) -> None:
        """Move weights by their gradients: pairs (gradient, weight)."""
        given = [(g, w) for g, w in pairs if g is not None]
        self.apply([g for g, _ in given], [w for _, w in given])

    def apply(self, grads: Sequence[Any], weights: Sequence[Variable] | None = None) -> None:
        """Move weights by their gradients, at once or at the end of the step that this is in."""
        weights = self.trained if weights is None else list(weights)
        self.build(weights)
        if scope.current() is None:
            step = scope.Scope()
            with scope.entered(step):
                self.apply(grads, weights)
            for variable, value in step.pairs():
                variable.assign(value)
            return
        gathered = [tensor(g) for g in grads]
        if self.loss_scale_factor:
            gathered = [g / self.loss_scale_factor for g in gathered]
        every = self.gradient_accumulation_steps
        if not every:
            self._move(gathered, weights, None)
            scope.update(self.iterations, self.iterations + 1)
            return
        # Weights move in the last of `every` steps; in the others all stays but the sums.
        moves = fn.equal(fn.floor_mod(self.iterations + 1, every), 0)
        sums = [s + g for s, g in zip(self._sums, gathered, strict=True)]
        self._move([s / float(every) for s in sums], weights, moves)
        for slot, value in zip(self._sums, sums, strict=True):
            scope.update(slot, fn.where(moves, 0.0, value))
        scope.update(self.iterations, self.iterations + 1)

    def _move(self, grads: list[Tensor], weights: Sequence[Variable], moves: Any) -> None:
        grads = self._clipped(grads)
        rate = self.rate()
        every = self.gradient_accumulation_steps
        done = fn.floor_div(self.iterations, every) if every else self.iterations
        self.count = cast(done, "float32") + 1.0

        def told(variable: Variable, value: Tensor) -> None:
            kept = value if moves is None else fn.where(moves, value, variable)
            scope.update(variable, kept)

        self.begin(told)
        for i, (weight, grad) in enumerate(zip(weights, grads, strict=True)):
            current = scope.newest(weight)
            decay = self.decay_of(weight)
            if decay:
                current = current - current * decay * rate
            own = {name: values[i] for name, values in self._slots.items()}
            slots = {name: slot for name, slot in own.items() if slot is not None}
            new, changed = self.step(current, grad, rate, dict(slots))
            for name, value in changed.items():
                told(slots[name], value)
            if moves is not None:
                new = fn.where(moves, new, weight)
            if self.use_ema:
                new = self._averaged(i, new, done)
            constraint = getattr(weight, "constraint", None)
            if constraint is not None:
                new = constraint(new)
            scope.update(weight, new)

    def begin(self, told: Callable[[Variable, Tensor], None]) -> None:
        """What happens once in a step, before weights move.

        told(variable, value) says what a variable of `extra` becomes.
        """

    def _averaged(self, i: int, new: Tensor, done: Tensor) -> Tensor:
        """What a weight becomes; the first value begins its average."""
        m = fn.where(fn.equal(done, 0), 0.0, float(self.ema_momentum))
        average = m * self._averages[i] + (1.0 - m) * new
        scope.update(self._averages[i], average)
        often = self.ema_overwrite_frequency
        if not often:
            return new
        return fn.where(fn.equal(fn.floor_mod(done + 1, often), 0), average, new)

    def finalize_variable_values(self, weights: Sequence[Variable] | None = None) -> None:
        """Put the averages in the place of the weights, where `use_ema` keeps some."""
        if self.use_ema and self._averages and self.iterations.item():
            for weight, average in zip(self.trained, self._averages, strict=True):
                weight.assign(average)

    def _clipped(self, grads: list[Tensor]) -> list[Tensor]:
        if self.clipvalue:
            limit = float(self.clipvalue)
            return [fn.clip(g, -limit, limit) for g in grads]
        if self.clipnorm:
            norms = [fn.sqrt(fn.sum(fn.square(g))) for g in grads]
            return [_shortened(g, n, self.clipnorm) for g, n in zip(grads, norms, strict=True)]
        if self.global_clipnorm:
            total: Any = None
            for g in grads:
                part = fn.sum(fn.square(g))
                total = part if total is None else total + part
            norm = fn.sqrt(total)
            return [_shortened(g, norm, self.global_clipnorm) for g in grads]
        return grads

    # --- configuration ----------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        rate = self._schedule if self._schedule is not None else float(self._rate.item())  # type: ignore[union-attr]
        return {
            "name": self.name,
            "learning_rate": config.plain(rate),
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
        } | {f: config.plain(getattr(self, f)) for f in self.fields}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        """The optimizer of such arguments; those of Keras 2 and TF.js alone are left out."""
        old = ("is_legacy_optimizer", "jit_compile", "decay", "className")
        return cls(**{k: v for k, v in config.items() if k not in old})


def _flat(weight: Variable) -> str:
    return str(getattr(weight, "path", weight.name)).replace("/", "_")


def _number(value: Any) -> float | None:
    try:
        return float(value.item() if isinstance(value, Tensor) else value)
    except (TypeError, ValueError):
        return None


def _shortened(g: Tensor, norm: Tensor, limit: float) -> Tensor:
    return g * (float(limit) / fn.maximum(norm, float(limit)))

"""Scales and zero points of values of bytes, from what was seen of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from fanlight.graph import Value
from fanlight.ops import scalar as sc
from fanlight.passes.quantize.layout import Layout
from fanlight.passes.quantize.observe import Seen
from fanlight.passes.quantize.steps import Step

# A channel's scale may be this much finer than that of the coarsest channel it is tied to: one
# that calibration hardly saw may carry more later.
FINEST = 1 / 64
# How much of the greatest value a range may leave out, and at how many places it is tried.
CUTS = np.linspace(1.0, 0.35, 14)
# Below this a scale would not be a normal float32.
TINY = 1e-20
PERCENTILE = 99.99


@dataclass
class Scale:
    """How bytes stand for numbers: `(byte - zero) * scale`.

    Attributes:
        scale: per channel, float64.
        zero: a whole number, but for a picture read by layers only, where it may be any.
        high: greatest byte.
    """

    scale: np.ndarray
    zero: float
    high: int

    @property
    def uniform(self) -> float:
        """The one scale of all channels."""
        return float(self.scale[0])

    @property
    def byte(self) -> int:
        """The byte nearest to zero."""
        return int(np.clip(np.rint(self.zero), 0, self.high))

    @property
    def low_end(self) -> float:
        """What byte 0 stands for, of a uniform scale."""
        return -self.zero * self.uniform

    def apply(self, x: np.ndarray) -> np.ndarray:
        """The bytes nearest to numbers, uint8."""
        q = np.rint(np.nan_to_num(x / self.scale + self.zero))
        return np.clip(q, 0, self.high).astype(np.uint8)


@dataclass(frozen=True)
class RangeOptions:
    """How ranges are chosen.

    Attributes:
        method: "mse" (least mean square error), "max", or "percentile" (99.99 % of the samples).
        equalize: 0: one scale for all channels; 1: each channel uses all bytes; between: between.
    """

    method: str = "mse"
    equalize: float = 1.0


def choose_scales(
    layout: Layout,
    seen: Mapping[Value, Seen],
    importance: Mapping[Value, np.ndarray],
    options: RangeOptions,
) -> dict[Value, Scale]:
    """A scale for every value of bytes.

    Args:
        importance: value -> weight of an error of each of its channels.
    """
    return _Chooser(layout, seen, importance, options).run()


class _Chooser:
    def __init__(
        self,
        layout: Layout,
        seen: Mapping[Value, Seen],
        importance: Mapping[Value, np.ndarray],
        options: RangeOptions,
    ) -> None:
        self.layout = layout
        self.seen = seen
        self.importance = importance
        self.options = options
        self.ratio: dict[int, float] = {}  # of slots that are not pinned

    def run(self) -> dict[Value, Scale]:
        if self.options.equalize > 0:
            self._ratios()
        scales: dict[Value, Scale] = {}
        order = range(len(self.layout.groups))
        # Where a relu6 cuts must be the greatest byte: such groups have the first say.
        for g in sorted(order, key=lambda g: self._limit(self.layout.groups[g]) == np.inf):
            self._group(self.layout.groups[g], scales)
        return {v: self._with_ratio(v, scales[v]) for v in self.layout.bytes}

    def _with_ratio(self, value: Value, scale: Scale) -> Scale:
        return Scale(scale.scale[0] * self._direction(value), scale.zero, scale.high)

    def _limit(self, values: list[Value]) -> float:
        steps = [self.layout.made.get(v) for v in values]
        return min((s.limit for s in steps if s is not None and s.relu), default=np.inf)

    # --- ratios between channels ------------------------------------------------------------------

    def _ratios(self) -> None:
        logs: dict[int, list[float]] = {}
        for value in self.layout.bytes:
            slots = self.layout.slots[value]
            if not any(int(s) in self.layout.free_slots for s in slots):
                continue
            size = np.maximum(np.abs(self.seen[value].low), np.abs(self.seen[value].high))
            largest = size.max()
            relative = np.maximum(size / largest, FINEST) if largest > 0 else np.ones(len(size))
            for slot, number in zip(slots, relative, strict=True):
                if int(slot) in self.layout.free_slots:
                    logs.setdefault(int(slot), []).append(float(np.log(number)))
        strength = self.options.equalize
        self.ratio = {slot: float(np.exp(strength * np.mean(n))) for slot, n in logs.items()}

    def _direction(self, value: Value) -> np.ndarray:
        return np.array([self.ratio.get(int(s), 1.0) for s in self.layout.slots[value]])

    # --- one number per group ---------------------------------------------------------------------

    def _group(self, values: list[Value], scales: dict[Value, Scale]) -> None:
        high = self.layout.high[values[0]]
        parts = [self._normalised(v) for v in values]
        low = min(float(p.min()) for _, _, p in parts)
        top = max(float(p.max()) for _, _, p in parts)
        if len(values) == 1 and self._is_picture(values[0]):
            if any(_pads(s) for s in self.layout.users[values[0]]):
                low, top = min(low, 0.0), max(top, 0.0)  # zeros that are padded need a byte
            scales[values[0]] = _whole_range(low, top, high)
            return
        samples = np.concatenate([x.reshape(-1) for x, _, _ in parts])
        weights = np.concatenate([w.reshape(-1) for _, w, _ in parts])
        through = _common_function(self.layout, values)
        found = _search(samples, weights, low, top, high, self.options.method, through)
        limit = self._limit(values)
        if limit < np.inf:
            self._cut(values, found, limit)
        for value in values:
            scales[value] = found

    def _is_picture(self, value: Value) -> bool:
        layers = all(
            s.is_layer and s.inputs[0] is value and value not in s.inputs[1:]
            for s in self.layout.users[value]
        )
        return layers and self.layout.first_bytes(value)

    def _normalised(self, value: Value) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(samples, their weights, the ends of the range), all divided by the channels' ratios."""
        seen, ratio = self.seen[value], self._direction(value)
        x = seen.samples / ratio
        weight = np.broadcast_to(self.importance[value] * ratio**2, x.shape)
        return x, weight, np.stack([seen.low / ratio, seen.high / ratio])

    def _cut(self, values: list[Value], found: Scale, limit: float) -> None:
        """Let no channel reach further than the limit of its relu."""
        most = limit / (found.high - found.zero)
        for value in values:
            for slot in self.layout.slots[value]:
                if int(slot) in self.ratio:
                    self.ratio[int(slot)] = min(self.ratio[int(slot)], most / found.uniform)


def _pads(step: Step) -> bool:
    """Whether a layer reads zeros around its input."""
    return any(side for pair in step.node.attrs.get("padding", ()) for side in pair)


def _whole_range(low: float, top: float, high: int) -> Scale:
    """Byte 0 is the low end itself, whatever its zero then is."""
    if low == top:
        low, top = min(low, 0.0), max(top, 0.0)
    step = max((top - low) / high, TINY) if top > low else 1.0
    return Scale(np.array([step]), -low / step, high)


def _search(
    samples: np.ndarray,
    weights: np.ndarray,
    low: float,
    top: float,
    high: int,
    method: str,
    through: Callable[[np.ndarray], np.ndarray] | None,
) -> Scale:
    """The range with the least weighted square error; `through`: of that function of the value."""
    if len(samples) > 1 << 17:
        samples, weights = samples[:: len(samples) >> 17], weights[:: len(weights) >> 17]
    if method == "max":
        return _scale(low, top, high)
    if method == "percentile":
        above = float(np.percentile(samples, PERCENTILE))
        below = float(np.percentile(samples, 100 - PERCENTILE))
        return _scale(min(below, 0.0) if low < 0 else 0.0, above, high)
    target = samples if through is None else through(samples)
    best, least = _scale(low, top, high), np.inf

    def attempt(candidate: Scale) -> bool:
        nonlocal best, least
        q = np.clip(np.rint(samples / candidate.uniform) + candidate.zero, 0, high)
        back = (q - candidate.zero) * candidate.uniform
        error = target - (back if through is None else through(back.astype(np.float32)))
        mean = float(np.sum(weights * error * error, dtype=np.float64))
        if mean < least:
            best, least = candidate, mean
            return True
        return False

    cut_top = top
    for cut in CUTS:
        if attempt(_scale(low * cut, top * cut, high)):
            cut_top = top * cut
    if low < 0:
        for cut in CUTS:
            attempt(_scale(low * cut, cut_top, high))
        if top > 0:
            low_end = best.low_end
            for cut in CUTS:
                attempt(_scale(low_end, top * cut, high))
    return best


def _scale(low: float, top: float, high: int) -> Scale:
    """The scale of a range that includes 0."""
    low, top = min(low, 0.0), max(top, 0.0)
    if low == top:
        return Scale(np.ones(1), 0, high)  # nothing but zeros was seen
    step = max((top - low) / high, TINY)
    zero = int(np.clip(np.rint(-low / step), 0, high))
    # The zero point was rounded: let both ends fit.
    if low < 0:
        step = max(-low / zero if zero else 0.0, top / (high - zero) if zero < high else 0.0, TINY)
    return Scale(np.array([step]), zero, high)


def _common_function(
    layout: Layout, values: list[Value]
) -> Callable[[np.ndarray], np.ndarray] | None:
    """The function of the table that alone reads the values, if that is so."""
    users: list[Step] = [s for v in values for s in layout.users.get(v, ())]
    if not users or any(s.kind != "table" for s in users):
        return None
    body = users[0].body
    if body is None or any(s.body is not body for s in users):
        return None
    return lambda x: np.nan_to_num(sc.evaluate(body, [np.asarray(x, np.float32)]))

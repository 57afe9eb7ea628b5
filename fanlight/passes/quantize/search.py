"""quantize_graph: settings are tried, and kept where they help on calibration data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fanlight.errors import FanlightError
from fanlight.graph import Graph, Value
from fanlight.graph.evaluate import evaluate_values
from fanlight.ops import row as rows
from fanlight.ops.quantized import sum_reach
from fanlight.passes.pipeline import PREPARE, run
from fanlight.passes.quantize.emit import Emitted, emit
from fanlight.passes.quantize.layout import Layout
from fanlight.passes.quantize.observe import Inputs, Seen, observe
from fanlight.passes.quantize.ranges import RangeOptions, Scale, choose_scales
from fanlight.passes.quantize.report import LayerReport, Report
from fanlight.passes.quantize.run import correct_biases, items_that_fit, signal_to_noise
from fanlight.passes.quantize.steps import Step, find_steps
from fanlight.passes.quantize.weights import importance_of

# How many items judge the settings; with few items the same ones also choose the ranges.
JUDGES = 24
# How many items correct biases.
CORRECTING = 48
# How many items tell each layer's signal to noise.
LOOKED_AT = 4
# A layer whose own result has less than this, in dB, stays float32.
TOO_NOISY = 10.0

Advance = Callable[[str, float], None]


@dataclass(frozen=True)
class Settings:
    """One way to quantise a model."""

    ranges: RangeOptions
    correct: bool = True

    def __str__(self) -> str:
        r = self.ranges
        equal = f", channels equalised {r.equalize:g}" if r.equalize else ""
        return f"ranges by {r.method}{equal}" + (", biases corrected" if self.correct else "")


START = Settings(RangeOptions("mse", 0.5))
# One after the other, each with the best of the others so far.
ALTERNATIVES: tuple[Callable[[Settings], Settings], ...] = (
    lambda s: Settings(RangeOptions(s.ranges.method, 1.0), s.correct),
    lambda s: Settings(RangeOptions(s.ranges.method, 0.0), s.correct),
    lambda s: Settings(RangeOptions("max", s.ranges.equalize), s.correct),
    lambda s: Settings(RangeOptions("percentile", s.ranges.equalize), s.correct),
    lambda s: Settings(s.ranges, correct=False),
)


@dataclass(frozen=True)
class Quantized:
    """The graph of bytes, and what was done."""

    graph: Graph
    report: Report


def quantize_graph(
    graph: Graph,
    data: Sequence[Inputs],
    *,
    ends: Sequence[Inputs] = (),
    float_layers: Collection[str] | str = "auto",
    notes: Sequence[str] = (),
    advance: Advance = lambda title, share: None,
) -> Quantized:
    """A float graph as one that computes in bytes where it can.

    Args:
        data: inputs by name, as the graph takes them; at least one.
        ends: inputs that stand for the ends of what inputs can be: a black and a white picture.
        float_layers: names of layers to leave as they are; "auto": those that suffer most.
        notes: what the report should say besides.
        advance: called with what is going on and the share of the work that is done.

    Raises:
        FanlightError: E-CALIB-004 NaN or infinity; E-CALIB-005 no layer to quantise;
            E-CALIB-006 a layer of float_layers that the model does not have.
    """
    return _Search(graph, data, ends, float_layers, notes, advance).run()


class _Search:
    def __init__(
        self,
        graph: Graph,
        data: Sequence[Inputs],
        ends: Sequence[Inputs],
        float_layers: Collection[str] | str,
        notes: Sequence[str],
        advance: Advance,
    ) -> None:
        self.source = graph
        self.graph = run(graph, PREPARE)
        self.data = data
        self.ends = ends
        self.notes = list(notes)
        self.advance = advance
        self.steps = find_steps(self.graph)
        self.layers = [s for s in self.steps if s.is_layer]
        if not self.layers:
            raise _nothing_to_do(graph)
        self.auto = float_layers == "auto"
        self.given = set() if isinstance(float_layers, str) else set(float_layers)
        self.floats: dict[str, str] = dict.fromkeys(self.given, "as asked")
        self.layout = Layout(self.graph, self.steps, self.floats)
        self.snr = 0.0
        unknown = self.given - {s.name for s in self.layers}
        if unknown or (isinstance(float_layers, str) and not self.auto):
            raise _unknown_layers(unknown or {str(float_layers)}, self.layers)

    def run(self) -> Quantized:
        """See, choose, look, report."""
        self._see()
        best = self._choose_settings()
        emitted, scales = best
        looked = self._look(emitted, scales)
        noisy = {
            name: f"{own:.1f} dB in int8" for name, (own, _) in looked.items() if own < TOO_NOISY
        }
        if self.auto and noisy and len(noisy) + len(self.floats) < len(self.layers):
            # Only if the model as a whole gains.
            kept = self.layout, self.snr, emitted, looked, scales
            before = dict(self.floats)
            self.floats |= noisy
            self.layout = Layout(self.graph, self.steps, self.floats)
            again, scales = self._attempt(self.settings)
            snr = self._judge(again)
            if snr > self.snr + 0.1 and not _too_long(again):
                self.snr, emitted = snr, again
                looked = self._look(emitted, scales)
            else:
                self.layout, self.snr, emitted, looked, scales = kept
                self.floats = before
        return Quantized(emitted.graph, self._report(emitted, scales, looked))

    # --- seeing and trying ------------------------------------------------------------------------

    def _see(self) -> None:
        layout = self.layout
        # What layers left in float32 would need is seen too: they may be left later.
        every = Layout(self.graph, self.steps, ())
        raws = [s.raw for s in self.layers]
        inputs = [v for s in self.layers for v in (*s.inputs, s.output)]
        values = list(dict.fromkeys([*layout.bytes, *every.bytes, *raws, *inputs]))
        done = 0

        def seen_one() -> None:
            nonlocal done
            done += 1
            self.advance("Running the model on calibration data", 0.4 * done / len(self.data))

        bounded = [v for v in layout.borders if layout.first_bytes(v)]
        self.seen = observe(
            self.graph, values, self.data, ends=self.ends, bounded=bounded, advance=seen_one
        )
        count = min(JUDGES, len(self.data))
        self.judges = self.data[-count:]
        self.wanted = _answers(self.graph, self.judges)
        self.importance = importance_of(self.graph, layout)

    def _choose_settings(self) -> tuple[Emitted, dict[Value, Scale]]:
        self.tried: dict[str, float] = {}
        self.settings = START
        best = self._attempt(START)
        while long := _too_long(best[0]):
            self.floats |= dict.fromkeys(long, "its sums could leave int32")
            self.layout = Layout(self.graph, self.steps, self.floats)
            best = self._attempt(START)
        self.snr = self.tried[str(START)] = self._judge(best[0])
        for index, change in enumerate(ALTERNATIVES):
            self.advance("Choosing ranges", 0.4 + 0.5 * (index + 1) / (len(ALTERNATIVES) + 1))
            settings = change(self.settings)
            if str(settings) in self.tried:
                continue
            found = self._attempt(settings)
            if _too_long(found[0]):
                continue
            snr = self.tried[str(settings)] = self._judge(found[0])
            if snr > self.snr:
                self.snr, self.settings, best = snr, settings, found
        self.advance("Looking at layers", 0.95)
        return best

    def _attempt(self, settings: Settings) -> tuple[Emitted, dict[Value, Scale]]:
        importance = importance_of(self.graph, self.layout)
        scales = choose_scales(self.layout, self.seen, importance, settings.ranges)
        emitted = emit(self.graph, self.layout, scales, self.seen)
        if settings.correct:
            count = items_that_fit(emitted.graph, min(CORRECTING, len(self.data)))
            emitted = correct_biases(emitted, self.data[:count], self.seen)
        return emitted, scales

    def _judge(self, emitted: Emitted) -> float:
        return _closeness(self.wanted, _answers(emitted.graph, self.judges))

    def _look(
        self, emitted: Emitted, scales: Mapping[Value, Scale]
    ) -> dict[str, tuple[float, float | None]]:
        # A bias that makes up for the layers before it is wrong for the layer alone.
        plain = emit(self.graph, self.layout, scales, self.seen)
        return _look(self.graph, scales, emitted, plain, self.data[:LOOKED_AT])

    # --- the report -------------------------------------------------------------------------------

    def _report(
        self,
        emitted: Emitted,
        scales: Mapping[Value, Scale],
        looked: Mapping[str, tuple[float, float | None]],
    ) -> Report:
        layers = []
        for step in self.layers:
            seen = self.seen[step.output]
            scale = scales.get(step.output) if step.output in self.layout.wanted else None
            own, here = looked.get(step.name, (None, None))
            layers.append(
                LayerReport(
                    step.name,
                    step.kind,
                    float(seen.low.min()),
                    float(seen.high.max()),
                    None if scale is None or step.name in self.floats else float(scale.scale.max()),
                    own,
                    here,
                    self.floats.get(step.name, ""),
                )
            )
        answers = _answers(emitted.graph, self.judges)
        same = [int(a.argmax() == b.argmax()) for a, b in zip(self.wanted, answers, strict=True)]
        notes = list(self.notes)
        if len(self.data) < 16:
            notes.append(
                f"calibrated on {len(self.data)} item{'s' * (len(self.data) > 1)}: "
                "ranges are guesses; 100 or more are enough"
            )
        left = {n.name for n in self.graph.nodes if n.op in LINEAR} - {s.name for s in self.layers}
        if left:
            notes.append(f"{len(left)} layers have no int8 form and stay float32: {_few(left)}")
        return Report(
            layers=tuple(layers),
            items=len(self.data),
            judged=len(self.judges),
            snr=self.snr,
            agreement=float(np.mean(same)) if self._has_scores() else None,
            settings=str(self.settings),
            tried=self.tried,
            bytes_before=self.source.weight_bytes(),
            bytes_after=emitted.graph.weight_bytes(),
            notes=tuple(notes),
        )

    def _has_scores(self) -> bool:
        outputs = [v for _, v in self.graph.outputs]
        size = outputs[0].type.size
        return len(outputs) == 1 and size > 1 and max(outputs[0].type.bound) == size


LINEAR = ("conv2d", "depthwise_conv2d", "matmul", "conv2d_transpose")


def _few(names: Collection[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:3]) + (", ..." if len(ordered) > 3 else "")


def _too_long(emitted: Emitted) -> list[str]:
    """The layers that add up so much that their sums might wrap around."""
    found = []
    for layer in emitted.layers:
        w, bias = (emitted.graph.weights[v] for v in layer.node.inputs[1:3])
        if sum_reach(w, bias, layer.node.attrs["x_high"]).max(initial=0) >= 2**31:
            found.append(layer.step.name)
    return found


def _answers(graph: Graph, data: Sequence[Inputs]) -> list[np.ndarray]:
    """The outputs of every item before a softmax, all in one float64 vector each."""
    values = _before_softmax(graph)
    found = []
    for item in data:
        arrays = evaluate_values(graph, item, values)
        found.append(np.concatenate([arrays[v].reshape(-1).astype(np.float64) for v in values]))
    return found


def _closeness(wanted: Sequence[np.ndarray], received: Sequence[np.ndarray]) -> float:
    """Mean signal to noise of the answers, in dB.

    The level of an answer does not count (a softmax ignores it): how its numbers compare does. Of
    answers of one number, how they compare to one another does.
    """
    level = np.mean(wanted) if wanted[0].size == 1 else None
    found = []
    for a, b in zip(wanted, received, strict=True):
        middle = a.mean() if level is None else level
        centred = a - middle
        # All the same: then the level is all there is.
        plain = float(np.abs(centred).max()) <= 1e-6 * float(np.abs(a).max())
        found.append(signal_to_noise(a, b) if plain else signal_to_noise(centred, b - middle))
    return float(np.mean(found))


def _before_softmax(graph: Graph) -> list[Value]:
    makers = graph.producers()
    values = []
    for _, value in graph.outputs:
        start = value
        while (node := makers.get(value)) is not None and node.op in ("reshape", "softmax"):
            value = node.inputs[0]
            start = value
        values.append(start)
    return values


def _look(
    graph: Graph,
    scales: Mapping[Value, Scale],
    emitted: Emitted,
    plain: Emitted,
    data: Sequence[Inputs],
) -> dict[str, tuple[float, float | None]]:
    """Layer -> signal to noise of it alone, and of its result with all before it in bytes.

    Args:
        plain: the same graph without corrected biases.
    """
    layers = emitted.layers
    own: dict[str, list[float]] = {}
    here: dict[str, list[float]] = {}
    for item in data:
        steps = [layer.step for layer in layers]
        floats = evaluate_values(graph, item, {v for s in steps for v in (*s.inputs, s.output)})
        made = evaluate_values(emitted.graph, item, [layer.node.output for layer in layers])
        for layer, same in zip(layers, plain.layers, strict=True):
            step, node = layer.step, layer.node
            # Results are compared through what they become: after relu, in real units.
            truth = floats[step.output].astype(np.float64)
            inputs = [scales[v].apply(floats[v].astype(np.float64)) for v in step.inputs]
            weights = [plain.graph.weights[v] for v in same.node.inputs[1:4]]
            alone = rows.evaluate(node.op, [inputs[0], *weights, *inputs[1:]], node.attrs)[0]
            own.setdefault(step.name, []).append(
                signal_to_noise(truth, _real(alone, step, layer.output))
            )
            received = _real(made[node.output], step, layer.output)
            here.setdefault(step.name, []).append(signal_to_noise(truth, received))
    return {name: (float(np.mean(own[name])), float(np.mean(here[name]))) for name in own}


def _real(array: np.ndarray, step: Step, scale: Scale | None) -> np.ndarray:
    if scale is None:
        return np.clip(array, 0, step.limit) if step.relu else array.astype(np.float64)
    zero = 0 if step.relu else scale.byte
    return (array.astype(np.float64) - zero) * scale.scale


def _nothing_to_do(graph: Graph) -> FanlightError:
    return FanlightError(
        "E-CALIB-005",
        "the model has no layer that could compute in int8.",
        where=graph.name,
        expected="a convolution or dense layer with constant weights",
        received=", ".join(sorted({n.op for n in graph.nodes})[:12]) or "no ops",
        next="build it in float32, or with --precision f16 for a smaller download.",
    )


def _unknown_layers(unknown: Collection[str], layers: Sequence[Step]) -> FanlightError:
    return FanlightError(
        "E-CALIB-006",
        "float_layers names layers that the model does not have.",
        where="float_layers",
        expected=f'"auto", or names such as {_few([s.name for s in layers])}',
        received=_few(unknown),
        next="print(quantized.report) lists the names.",
    )


__all__ = ["Quantized", "Seen", "quantize_graph"]

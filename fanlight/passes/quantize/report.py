"""What quantisation did: per layer, and for the whole model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class LayerReport:
    """One layer.

    Attributes:
        name, op: of the float graph.
        low, high: least and greatest result that was seen.
        scale: of its bytes, the largest of all channels; None if its result is float32.
        own: signal to noise in dB of the layer alone, its input exact but for bytes; None where it
            stayed float32.
        here: signal to noise in dB of its result, all layers before it being in bytes.
        why: why it stayed float32; "" if it is in bytes.
    """

    name: str
    op: str
    low: float
    high: float
    scale: float | None
    own: float | None
    here: float | None
    why: str = ""


# Least signal to noise in dB. At 20 dB a score is off by a tenth of what scores usually differ by.
_VERDICTS = (
    (30.0, "very close to float32"),
    (20.0, "close to float32"),
    (12.0, "visibly different from float32"),
)
FEW = 4  # items, too few to judge by: they are those that the ranges were made for
_FAR = "far from float32: look at the report"


@dataclass(frozen=True)
class Report:
    """What quantisation did to a model. Prints as a table.

    Attributes:
        layers: in order; those that stayed float32 say why.
        items: how many items of calibration data were used.
        snr: signal to noise of the outputs (before a softmax), in dB, on `judged` items.
        agreement: how often the greatest output is the same, on the same items (None if there is
            no output of scores).
        settings: what was chosen, by the least error of the outputs.
        tried: settings -> signal to noise, all that were tried.
        bytes_before, bytes_after: of the weights.
        notes: what the user should know: left out items, too few of them, ...
    """

    layers: tuple[LayerReport, ...]
    items: int
    judged: int
    snr: float
    agreement: float | None
    settings: str
    tried: dict[str, float]
    bytes_before: int
    bytes_after: int
    notes: tuple[str, ...] = ()

    @property
    def float_layers(self) -> list[str]:
        """Names of layers that stayed float32."""
        return [layer.name for layer in self.layers if layer.why]

    @property
    def verdict(self) -> str:
        """What the signal to noise of the outputs means, in words."""
        if self.judged < FEW:
            return "not to be judged by so few items; in numbers"
        return next((words for least, words in _VERDICTS if self.snr >= least), _FAR)

    def summary(self) -> str:
        """One line: how many layers, and how close the answers are."""
        counted = sum(not r.why for r in self.layers)
        same = "" if self.agreement is None else f", first answer the same {self.agreement:.0%}"
        return (
            f"{counted} of {len(self.layers)} layers; outputs {self.verdict} "
            f"({self.snr:.1f} dB{same}) "
            f"on {self.judged} of {self.items} calibration items"
        )

    def to_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return asdict(self)

    def __str__(self) -> str:
        width = max([len(r.name) for r in self.layers] + [5])
        lines = [
            f"{'layer':{width}}  {'op':16}  {'range':>19}  {'scale':>9}  {'own':>6}  {'here':>6}"
        ]
        lines += [_line(r, width) for r in self.layers]
        saved = self.bytes_after / max(1, self.bytes_before)
        lines += [
            "",
            f"int8: {self.summary()}",
            "own, here: signal to noise of a layer alone, and after all layers before it, in dB",
            f"weights {self.bytes_before / 1e6:.2f} MB -> {self.bytes_after / 1e6:.2f} MB "
            f"({saved:.0%})",
            f"settings {self.settings}",
            *(f"note: {note}" for note in self.notes),
        ]
        return "\n".join(lines)


def _line(row: LayerReport, width: int) -> str:
    span = f"{row.low:.3g} .. {row.high:.3g}"
    scale = "float32" if row.scale is None else f"{row.scale:.2e}"
    head = (
        f"{row.name:{width}}  {row.op:16}  {span:>19}  {scale:>9}  {_db(row.own)}  {_db(row.here)}"
    )
    return head + (f"  float32: {row.why}" if row.why else "")


def _db(value: float | None) -> str:
    return f"{'-':>6}" if value is None else f"{value:6.1f}"

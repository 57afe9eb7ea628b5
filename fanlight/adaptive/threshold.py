"""How sure a cheap model has to be: chosen on photos, so that little is lost by not asking more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanlight.errors import FanlightError

# Points of the curve that a report shows.
POINTS = 21


@dataclass(frozen=True)
class Choice:
    """What was chosen, and what it does to the photos that it was chosen on.

    Attributes:
        thresholds: of each stage but the last: the margin between its two best scores below which
            the next stage is asked.
        asked: of each stage, the share of photos that it is asked about; the first is 1.
        accuracy: the share of photos of which the whole says what it should.
        last: the same of the last stage alone.
        ms: what an answer takes on average, in the milliseconds that were given.
        curve: for a single threshold, asked, accuracy and ms at thresholds over the whole range.
    """

    thresholds: tuple[float, ...]
    asked: tuple[float, ...]
    accuracy: float
    last: float
    ms: float
    curve: tuple[dict[str, float], ...]


def margins(scores: np.ndarray) -> np.ndarray:
    """By how much the best score of each row [rows, classes] leads."""
    if scores.shape[1] < 2:  # one class leads by all that it has
        return scores[:, 0]
    best = np.partition(scores, -2, axis=1)[:, -2:]
    return best.max(axis=1) - best.min(axis=1)


def choose(
    scores: Sequence[np.ndarray],
    ms: Sequence[float],
    truth: np.ndarray | None,
    max_loss: float,
) -> Choice:
    """The lowest thresholds with which at most `max_loss` points of accuracy are lost.

    From the last stage but one to the first: each may lose its part of `max_loss`, whatever the
    ones before it do, so together they lose no more. A threshold counts only if all higher ones
    keep that too: photos are few, and accuracy goes up and down by single ones.

    Args:
        scores: of each stage, [photos, classes].
        ms: of each stage, the milliseconds of one answer.
        truth: class numbers [photos]; None: what the last stage says counts as right.
        max_loss: in points, of 100.
    """
    said = [s.argmax(axis=1) for s in scores]
    truth = said[-1] if truth is None else truth
    right = [s == truth for s in said]
    leads = [margins(s) for s in scores[:-1]]
    rest = right[-1]
    part = max_loss / 100 / max(1, len(leads))
    thresholds: list[float] = []
    for own, lead in zip(reversed(right[:-1]), reversed(leads), strict=True):
        thresholds.insert(0, _lowest(own, rest, lead, float(np.mean(rest)) - part))
        rest = np.where(lead >= thresholds[0], own, rest)
    asked = _asked(leads, thresholds)
    curve = []
    if len(leads) == 1:
        for bound in np.quantile(leads[0], np.linspace(0, 1, POINTS)):
            mixed = np.where(leads[0] >= bound, right[0], right[1])
            share = float(np.mean(leads[0] < bound))
            curve.append(
                {
                    "threshold": float(bound),
                    "asked": share,
                    "accuracy": float(np.mean(mixed)),
                    "ms": ms[0] + share * ms[1],
                }
            )
    return Choice(
        tuple(thresholds),
        asked,
        float(np.mean(rest)),
        float(np.mean(right[-1])),
        float(np.dot(asked, ms)),
        tuple(curve),
    )


def _lowest(own: np.ndarray, rest: np.ndarray, lead: np.ndarray, least: float) -> float:
    """The lowest threshold from which on the accuracy is never below `least`."""
    bounds = np.unique(lead)  # at a bound, the photos of that lead are answered here
    found = float(np.nextafter(np.float32(bounds[-1]), np.float32(np.inf)))
    for bound in bounds[::-1]:
        if np.mean(np.where(lead >= bound, own, rest)) < least - 1e-12:
            break
        found = float(bound)
    return found if found > bounds[0] else 0.0


def _asked(leads: Sequence[np.ndarray], thresholds: Sequence[float]) -> tuple[float, ...]:
    """Of each stage the share of photos that come to it."""
    shares = [1.0]
    going = np.ones(len(leads[0]), bool) if leads else np.ones(1, bool)
    for lead, threshold in zip(leads, thresholds, strict=True):
        going = going & (lead < threshold)
        shares.append(float(np.mean(going)))
    return tuple(shares)


def truths(given: Any, names: Sequence[str] | None, count: int, classes: int) -> np.ndarray | None:
    """True labels as class numbers; None where none are given.

    Args:
        given: a class number or name for each photo.
        names: of the classes; None: they have none, and labels are numbers.
        count: of photos.
        classes: how many there are.

    Raises:
        FanlightError: E-CALIB-002 they are not as many as photos, or no classes of the model.
    """
    if given is None:
        return None
    listed = list(given)
    if len(listed) != count:
        raise _no_labels(f"{count} labels, one for each photo that can be read", len(listed))
    numbers = []
    known = {name: i for i, name in enumerate(names or ())}
    for label in listed:
        number = known.get(label) if isinstance(label, str) else label
        whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
        if not whole or not 0 <= number < classes:  # type: ignore[operator]
            raise _no_labels(f"classes of the model: 0 to {classes - 1}, or their names", label)
        numbers.append(int(number))  # type: ignore[arg-type]
    return np.array(numbers)


def _no_labels(expected: str, received: object) -> FanlightError:
    return FanlightError(
        "E-CALIB-002",
        "the labels do not fit the calibration photos.",
        where="labels",
        expected=expected,
        received=str(received)[:200],
        next="give calibration a list of photos, and labels in the same order; or leave them out: "
        "then the large model's answers count as right.",
    )

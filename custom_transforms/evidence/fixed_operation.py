"""Sensitivity at a wanted specificity, and the reverse."""

from __future__ import annotations

from functools import partial
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from custom_transforms.evidence.intervals import Estimate, patient_interval
from custom_transforms.refusal import RefusedError

OTHER = {"specificity": "sensitivity", "sensitivity": "specificity"}
CHOSEN_HERE = "the threshold was chosen on these very patients, which flatters"
Array = NDArray[np.float64]


class AtFixed(TypedDict):
    """The other measure, `estimate`, at a threshold that keeps the fixed one at least so high; and a warning."""

    fixed: str
    at_least: float
    measure: str
    threshold: float
    estimate: Estimate
    warning: str


def at_fixed(labels: ArrayLike, probs: ArrayLike, *, fixed: str, at_least: float) -> AtFixed:
    """Estimate sensitivity at a specificity of at least so much, or the reverse.

    The threshold is chosen on these very patients, and anew on each resample of the interval: this describes the ROC
    curve, and is not what a threshold chosen elsewhere will do.

    Args:
        labels: 0 or 1, `(P,)`.
        probs: 0..1, `(P,)`; patients at or above a threshold are positive.
        fixed: `specificity` or `sensitivity`.
        at_least: its wanted value, above 0, at most 1.

    Returns:
        the estimate, and a threshold half-way between two neighbouring probabilities; NaN where a class is absent, or
        where only a threshold above 1 would do.

    Raises:
        RefusedError: another measure or value.
    """
    if fixed not in OTHER:
        raise RefusedError.of("bad_fixed", "fixed", expected="sensitivity or specificity", got=str(fixed))
    if not 0 < at_least <= 1:
        raise RefusedError.of("bad_fixed", fixed, expected="a value above 0, at most 1", got=f"{at_least}")
    labels, probs = np.asarray(labels, dtype=np.float64), np.asarray(probs, dtype=np.float64)
    measure = sensitivity_at if fixed == "specificity" else specificity_at
    estimate = patient_interval([labels, probs], partial(measure, at_least=at_least))
    threshold = _threshold(labels, probs, fixed, at_least)
    return AtFixed(
        fixed=fixed,
        at_least=at_least,
        measure=OTHER[fixed],
        threshold=threshold,
        estimate=estimate,
        warning=CHOSEN_HERE,
    )


def sensitivity_at(labels: Array, probs: Array, *, at_least: float, axis: int = -1) -> Array:
    """Highest sensitivity of a threshold with this specificity, `(…)` of `(…, P)`; NaN where a class is absent."""
    labels, probs = np.moveaxis(np.asarray(labels), axis, -1), np.moveaxis(np.asarray(probs), axis, -1)
    level = _limit(labels, probs, at_least)[..., None]
    with np.errstate(invalid="ignore", divide="ignore"):
        share: Array = ((probs > level) * labels).sum(-1) / labels.sum(-1)
    return np.where(labels.all(-1), np.nan, share)


def specificity_at(labels: Array, probs: Array, *, at_least: float, axis: int = -1) -> Array:
    """Highest specificity of a threshold with this sensitivity: the same with both classes and the scale exchanged."""
    return sensitivity_at(1 - np.asarray(labels), -np.asarray(probs), at_least=at_least, axis=axis)


def _limit(labels: Array, probs: Array, at_least: float) -> Array:
    """Probability of the highest negative that must be decided negative, `(…)`; of the others no more are allowed."""
    negatives = (1 - labels).sum(-1)
    wrong = np.floor(np.round((1 - at_least) * negatives, 9)).astype(np.int64)  # 0.1 * 10 is 0.9999999999999998
    falling = -np.sort(np.where(labels == 0, -probs, np.inf), axis=-1)
    limit: Array = np.take_along_axis(falling, np.minimum(wrong, probs.shape[-1] - 1)[..., None], -1)[..., 0]
    return limit


def _threshold(labels: Array, probs: Array, fixed: str, at_least: float) -> float:
    if len(set(labels.tolist())) < 2:
        return float("nan")
    if fixed == "specificity":
        limit = float(_limit(labels, probs, at_least))
        above = float(np.append(probs[probs > limit], 1.0).min())
        return (limit + above) / 2 if limit < above else float("nan")
    lowest_found = -float(_limit(1 - labels, -probs, at_least))
    return (lowest_found + float(np.append(probs[probs < lowest_found], 0.0).max())) / 2

"""Measures of a binary decision about patients, and the threshold that makes it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]


def auc(labels: Array, probs: Array, axis: int = -1) -> Array:
    """Area under the ROC curve, as the Mann-Whitney statistic (Hanley and McNeil, Radiology 1982).

    scikit-learn's `roc_auc_score` gives the same for one sample; this takes thousands of resamples at once.

    Args:
        labels: 0 or 1, `(…, P)`.
        probs: higher is more suspicious, `(…, P)`; ties count half.
        axis: that of patients, the last one.

    Returns:
        0..1, `(…)`; NaN where a class is absent.
    """
    labels, probs = np.moveaxis(np.asarray(labels), axis, -1), np.moveaxis(np.asarray(probs), axis, -1)
    positives = labels.sum(-1)
    negatives = labels.shape[-1] - positives
    ranks = (rankdata(probs, axis=-1) * labels).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        area: Array = (ranks - positives * (positives + 1) / 2) / (positives * negatives)
    return area


def average_precision(labels: Array, probs: Array, axis: int = -1) -> Array:
    """Average precision: mean over positives of the precision at their own probability.

    scikit-learn's `average_precision_score` gives the same for one sample, in milliseconds; this takes thousands of
    resamples at once.

    Args and returns: as `auc`; NaN where there is no positive.
    """
    labels, probs = np.moveaxis(np.asarray(labels), axis, -1), np.moveaxis(np.asarray(probs), axis, -1)
    hits = np.cumsum(np.take_along_axis(labels, np.argsort(-probs, axis=-1), -1), axis=-1)
    at_or_above = rankdata(-probs, method="max", axis=-1).astype(np.int64)  # patients, so that ties are one step
    precision = np.take_along_axis(hits, at_or_above - 1, -1) / at_or_above
    return _ratio((precision * labels).sum(-1), labels.sum(-1))


def sensitivity(labels: Array, decisions: Array, axis: int = -1) -> Array:
    """Share of the positives that are decided positive; NaN without positives."""
    return _ratio((labels * decisions).sum(axis), labels.sum(axis))


def specificity(labels: Array, decisions: Array, axis: int = -1) -> Array:
    """Share of the negatives that are decided negative; NaN without negatives."""
    return _ratio(((1 - labels) * (1 - decisions)).sum(axis), (1 - labels).sum(axis))


def f1(labels: Array, decisions: Array, axis: int = -1) -> Array:
    """Harmonic mean of sensitivity and precision; NaN where nobody is positive in truth or decision."""
    return _ratio(2 * (labels * decisions).sum(axis), (labels + decisions).sum(axis))


def best_f1_threshold(labels: ArrayLike, probs: ArrayLike) -> float:
    """Find the threshold with the highest F1; of several, the lowest, which misses the fewest positives.

    Args:
        labels: 0 or 1 `(P,)`.
        probs: `(P,)`, 0..1.

    Returns:
        a threshold half-way between two neighbouring probabilities, or below the lowest; patients at or above it are
        positive. NaN where a class is absent, because then no threshold means anything.
    """
    labels, probs = np.asarray(labels, dtype=np.float64), np.asarray(probs, dtype=np.float64)
    if len(set(labels.tolist())) < 2 or not np.isfinite(probs).all():
        return float("nan")
    levels = np.concatenate([[0.0], np.unique(probs)])
    candidates = (levels[:-1] + levels[1:]) / 2
    decisions = (probs >= candidates[:, None]).astype(np.float64)
    scores = f1(np.broadcast_to(labels, decisions.shape), decisions)
    return float(candidates[np.flatnonzero(scores >= scores.max() - 1e-12)[0]])


def _ratio(numerator: Any, denominator: Any) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(numerator / denominator, dtype=np.float64)

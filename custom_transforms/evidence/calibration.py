"""Whether probabilities mean what they say: Brier score, and the line through predicted and observed log odds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

CLIP = 1e-7  # a sigmoid in float32 tells no more than that from 1
STEPS = 100  # of Newton's method; a handful are needed, more where the classes hardly overlap
LONGEST = 3.0  # step in standard deviations of the log odds
Array = NDArray[np.float64]


def brier(labels: Array, probs: Array, axis: int = -1) -> Array:
    """Mean squared difference of probability and label, 0 is best (Brier, Monthly Weather Review 1950).

    Args:
        labels: 0 or 1, `(…, P)`.
        probs: 0..1, `(…, P)`.
        axis: that of patients.
    """
    score: Array = np.square(probs - labels).mean(axis)
    return score


def calibration_slope(labels: Array, probs: Array, axis: int = -1) -> Array:
    """Slope of the unpenalised logistic regression of the label on the log odds of the probability.

    1 is right; below, probabilities are too extreme, above, too timid (Cox, Biometrika 1958; Steyerberg, Clinical
    Prediction Models, chapter 15). Probabilities are clipped to `CLIP`..1 - `CLIP` first.

    Args:
        labels: 0 or 1, `(…, P)`.
        probs: 0..1, `(…, P)`.
        axis: that of patients.

    Returns:
        `(…)`; infinite where a threshold separates the classes, touching allowed, since ever steeper lines then fit
        ever better; NaN where a class is absent or all probabilities are equal.
    """
    labels, odds = _prepared(labels, probs, axis)
    highest_negative, lowest_negative = _extremes(odds, labels == 0)
    highest_positive, lowest_positive = _extremes(odds, labels == 1)
    spread = odds.std(-1)
    undefined = ~np.isfinite(highest_negative) | ~np.isfinite(highest_positive) | (spread < 1e-12)
    upward, downward = highest_negative <= lowest_positive, highest_positive <= lowest_negative
    slope = np.where(upward, np.inf, -np.inf)
    inside = ~(undefined | upward | downward)
    slope[inside] = _fit_slope(labels[inside], odds[inside])
    slope[undefined] = np.nan
    return slope


def calibration_intercept(labels: Array, probs: Array, axis: int = -1) -> Array:
    """Calibration in the large: what must be added to the log odds for as many positives as there are.

    The intercept of the logistic regression of the label on the log odds with its slope held at 1. 0 is right; below,
    probabilities are too high on the whole (Steyerberg, chapter 15; Van Calster et al., BMC Medicine 2019).

    Args:
        labels: 0 or 1, `(…, P)`.
        probs: 0..1, `(…, P)`; clipped likewise.
        axis: that of patients.

    Returns:
        `(…)`; NaN where a class is absent.
    """
    labels, odds = _prepared(labels, probs, axis)
    share = labels.mean(-1)
    undefined = (share == 0) | (share == 1)
    wanted = logit(np.where(undefined, 0.5, share))
    low, high = wanted - odds.max(-1), wanted - odds.min(-1)  # at these, every probability is on one side of the share
    for _ in range(60):  # halving: 60 times is below the precision of a float
        middle = (low + high) / 2
        above = expit(odds + middle[..., None]).mean(-1) > np.where(undefined, 0.5, share)
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.where(undefined, np.nan, (low + high) / 2)


def _prepared(labels: Array, probs: Array, axis: int) -> tuple[Array, Array]:
    """Labels and log odds, patients last."""
    labels, probs = np.moveaxis(np.asarray(labels), axis, -1), np.moveaxis(np.asarray(probs), axis, -1)
    return labels, logit(np.clip(probs, CLIP, 1 - CLIP))


def _extremes(odds: Array, chosen: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Highest and lowest log odds of the chosen; infinite where there are none."""
    return np.where(chosen, odds, -np.inf).max(-1), np.where(chosen, odds, np.inf).min(-1)


def _fit_slope(labels: Array, odds: Array) -> Array:
    """Maximise the likelihood of `(R, P)` by Newton's method, for all rows at once; a finite maximum must exist."""
    spread = odds.std(-1, keepdims=True)
    x = (odds - odds.mean(-1, keepdims=True)) / spread  # so that one length of step suits all
    line = np.zeros((2, len(x)))  # intercept and slope
    for _ in range(STEPS):
        fitted = expit(line[0][:, None] + line[1][:, None] * x)
        weight, residual = fitted * (1 - fitted), labels - fitted
        w, wx, wxx = weight.sum(-1), (weight * x).sum(-1), (weight * x * x).sum(-1)
        score, score_x = residual.sum(-1), (residual * x).sum(-1)
        step = np.stack([wxx * score - wx * score_x, w * score_x - wx * score]) / np.maximum(w * wxx - wx**2, 1e-300)
        line += step * np.minimum(1, LONGEST / np.maximum(np.abs(step).max(0), 1e-300))
        if np.abs(step).max(initial=0) < 1e-9:
            break
    slope: Array = line[1] / spread[:, 0]
    return slope

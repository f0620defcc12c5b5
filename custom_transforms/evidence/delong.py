"""Intervals of an AUC, and of the difference of two AUCs on the same patients, without resampling."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata

from custom_transforms.evidence.intervals import Estimate

DELONG = "DeLong"
Z95 = float(norm.ppf(0.975))
Array = NDArray[np.float64]


class Difference(Estimate):
    """An estimated difference with its two-sided p-value against no difference."""

    p_value: float | None


class Placements(NamedTuple):
    """Where each patient stands among those of the other class; the mean of either is the AUC.

    `of_positives` `(m,)`: share of the negatives below each positive; `of_negatives` `(n,)`: share of the positives
    above each negative. Ties count half.
    """

    of_positives: Array
    of_negatives: Array


def auc_interval(labels: ArrayLike, probs: ArrayLike) -> Estimate:
    """Estimate an AUC and its 95 % interval by DeLong's variance.

    The interval is AUC ± 1.96 standard errors, cut at 0 and 1. Where the variance is 0, as at an AUC of 1, or unknown,
    because a class has a single patient, there is no interval: one of width 0 would be wrong.

    Args:
        labels: 0 or 1, `(P,)`.
        probs: higher is more suspicious, finite, `(P,)`.

    Returns:
        the estimate; NaN where a class is absent.

    Reference: DeLong, DeLong, Clarke-Pearson, Biometrics 1988; by midranks: Sun and Xu, IEEE Signal Processing
    Letters 2014.
    """
    found = _placements(labels, probs)
    value, error = _mean(found), _standard_error(found)
    low, high = (None, None) if error is None else (max(0.0, value - Z95 * error), min(1.0, value + Z95 * error))
    return Estimate(value=value, ci_low=low, ci_high=high, n=np.size(labels), method=DELONG)


def auc_difference(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> Difference:
    """Estimate the AUC of one model less that of another on the same patients; see `auc_interval`.

    Two models that rank alike differ by 0 with a variance of 0: no interval and no p-value then.

    Args:
        labels: 0 or 1, `(P,)`.
        first: probabilities by the one model, `(P,)`.
        second: by the other, of the same patients in the same order.
    """
    pair = _placements(labels, first), _placements(labels, second)
    apart = Placements(*(one - other for one, other in zip(*pair, strict=True)))
    value, error = _mean(apart), _standard_error(apart)
    estimate = Difference(value=value, ci_low=None, ci_high=None, n=np.size(labels), method=DELONG, p_value=None)
    if error is not None:
        estimate["ci_low"], estimate["ci_high"] = value - Z95 * error, value + Z95 * error
        estimate["p_value"] = float(2 * norm.sf(abs(value) / error))
    return estimate


def _placements(labels: ArrayLike, probs: ArrayLike) -> Placements:
    labels, probs = np.asarray(labels), np.asarray(probs, dtype=np.float64)
    positives, negatives = probs[labels == 1], probs[labels == 0]
    among_all = rankdata(np.concatenate([positives, negatives]))
    with np.errstate(invalid="ignore", divide="ignore"):  # a class may be absent
        of_positives = (among_all[: len(positives)] - rankdata(positives)) / len(negatives)
        of_negatives = 1 - (among_all[len(positives) :] - rankdata(negatives)) / len(positives)
    return Placements(of_positives, of_negatives)


def _mean(found: Placements) -> float:
    return float(found.of_positives.mean()) if all(len(part) for part in found) else float("nan")


def _standard_error(found: Placements) -> float | None:
    if any(len(part) < 2 for part in found):
        return None
    variance = float(sum(part.var(ddof=1) / len(part) for part in found))
    return variance**0.5 if variance > 1e-20 else None  # rounding leaves a trace of what is 0

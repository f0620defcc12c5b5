"""Intervals of a statistic over patients."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import DegenerateDataWarning, bootstrap

BOOTSTRAP, BASIC = "patient bootstrap", "basic patient bootstrap"
RESAMPLES = 2000
NUMBERS_AT_A_TIME = 1 << 21  # of each sample, drawn together: 16 MB


class Estimate(TypedDict):
    """A value with its 95 % interval; the interval is None where the method has too few patients for one.

    `n` patients stand behind it; `method` is that of the interval.
    """

    value: float
    ci_low: float | None
    ci_high: float | None
    n: int
    method: str


def patient_interval(
    samples: Sequence[ArrayLike], statistic: Callable[..., NDArray[np.float64]], *, basic: bool = False, seed: int = 88
) -> Estimate:
    """Estimate a statistic and its 95 % interval by resampling patients.

    Args:
        samples: arrays of one number a patient, paired by position, each `(P,)`.
        statistic: function of the arrays and `axis`, vectorised, as `scipy.stats.bootstrap` takes it.
        basic: reflect the percentiles at the value and cut at 0, for a statistic 0 or above that chance raises: a
            resample raises it once more (Davison and Hinkley, Bootstrap Methods, section 5.2).
        seed: of the 2,000 resamples.

    Returns:
        value and percentile interval (Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13), over the
        resamples in which the statistic is defined; a bound that is infinite may be NaN.
    """
    arrays = [np.asarray(sample, dtype=np.float64) for sample in samples]
    patients = len(arrays[0])
    value = float(statistic(*arrays, axis=-1)) if patients else float("nan")
    method = BASIC if basic else BOOTSTRAP
    if patients < 3:
        return Estimate(value=value, ci_low=None, ci_high=None, n=patients, method=method)
    with warnings.catch_warnings():  # equal patients give an interval of width 0, which is right
        warnings.simplefilter("ignore", DegenerateDataWarning)
        warnings.simplefilter("ignore", RuntimeWarning)  # undefined in a resample, as of no small tumour, or in all
        options = {"n_resamples": RESAMPLES, "batch": max(1, NUMBERS_AT_A_TIME // patients), "rng": seed}
        result = bootstrap(arrays, statistic, paired=True, vectorized=True, method="percentile", **options)
        low, high = (float(bound) for bound in np.nanpercentile(result.bootstrap_distribution, [2.5, 97.5]))
    if basic:
        low, high = max(0.0, 2 * value - high), max(0.0, 2 * value - low)
    return Estimate(value=value, ci_low=low, ci_high=high, n=patients, method=method)

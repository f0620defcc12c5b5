"""Agreement of two measurements of the same patients, such as predicted and true volume."""

from __future__ import annotations

import math
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as students_t

from custom_transforms.evidence.intervals import Estimate

METHOD = "Bland and Altman 1999, Student's t"
NORMAL_95 = 1.96  # standard deviations that hold 95 % of a normal distribution, as in the papers


class Agreement(TypedDict):
    """Mean difference and the limits between which 95 % of differences lie, in the unit of the measurements."""

    bias: Estimate
    lower_limit: Estimate
    upper_limit: Estimate


def bland_altman(found: ArrayLike, truth: ArrayLike) -> Agreement:
    """Give bias and limits of agreement, with 95 % intervals; they suppose differences that are roughly normal.

    Args:
        found: one number a patient, `(P,)`.
        truth: the same patients, `(P,)`.

    Returns:
        of `found` minus `truth`; limits only of two patients and more, intervals of three.

    Reference:
        Bland and Altman, Measuring agreement in method comparison studies, Stat Methods Med Res 1999: the variance of
        a limit is s² (1/n + 1.96² / (2 (n - 1))).
    """
    difference = np.asarray(found, dtype=np.float64) - np.asarray(truth, dtype=np.float64)
    count = len(difference)
    bias = float(difference.mean()) if count else math.nan
    spread = float(difference.std(ddof=1)) if count > 1 else math.nan
    of_bias = spread / math.sqrt(count) if count > 1 else math.nan
    of_limit = spread * math.sqrt(1 / count + NORMAL_95**2 / (2 * (count - 1))) if count > 1 else math.nan
    return Agreement(
        bias=_estimate(bias, of_bias, count),
        lower_limit=_estimate(bias - NORMAL_95 * spread, of_limit, count),
        upper_limit=_estimate(bias + NORMAL_95 * spread, of_limit, count),
    )


def _estimate(value: float, standard_error: float, count: int) -> Estimate:
    if count < 3:
        return Estimate(value=value, ci_low=None, ci_high=None, n=count, method=METHOD)
    half = float(students_t.ppf(0.975, count - 1)) * standard_error
    return Estimate(value=value, ci_low=value - half, ci_high=value + half, n=count, method=METHOD)

"""Overlap pooled over the voxels of several patients, from their counts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Statistic = Callable[..., Array]


def ratio_of_sums(numerator: Statistic, denominator: Statistic) -> Statistic:
    """Give a statistic of counts, each `(…, P)`, that sums over patients before it divides; NaN where undefined."""

    def pooled(*counts: Array, axis: int) -> Array:
        sums = [count.sum(axis) for count in counts]
        with np.errstate(invalid="ignore", divide="ignore"):
            return numerator(*sums) / denominator(*sums)

    return pooled


COUNTS = ("tp", "fp", "fn", "tn")

# As published for the system that this bundle follows; of tp, fp, fn, tn.
POOLED = {
    "dice": ratio_of_sums(lambda tp, fp, fn, tn: 2 * tp, lambda tp, fp, fn, tn: 2 * tp + fp + fn),
    "iou": ratio_of_sums(lambda tp, fp, fn, tn: tp, lambda tp, fp, fn, tn: tp + fp + fn),
    "precision": ratio_of_sums(lambda tp, fp, fn, tn: tp, lambda tp, fp, fn, tn: tp + fp),
    "recall": ratio_of_sums(lambda tp, fp, fn, tn: tp, lambda tp, fp, fn, tn: tp + fn),
    "accuracy": ratio_of_sums(lambda tp, fp, fn, tn: tp + tn, lambda tp, fp, fn, tn: tp + fp + fn + tn),
}
PER_ONE = ratio_of_sums(lambda amount, total: amount, lambda amount, total: total)

"""Predicted beside observed, in bins that hold equally many patients."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from custom_transforms.evidence.proportions import proportion

MOST_BINS = 10
PATIENTS_IN_BIN = 10  # fewer patients get fewer bins: a share of less than ten is no share
Array = NDArray[np.float64]


class Point(TypedDict):
    """A bin of a reliability diagram: mean probability, share of positives with its exact 95 % interval, patients."""

    mean_prob: float
    observed: float
    ci_low: float | None
    ci_high: float | None
    patients: int


def number_of_bins(patients: int) -> int:
    """Give the number of bins for so many patients: one for each ten, from 1 to 10."""
    return min(MOST_BINS, max(1, patients // PATIENTS_IN_BIN))


def expected_calibration_error(labels: Array, probs: Array, axis: int = -1) -> Array:
    """Mean over patients of the distance between predicted and observed share of their bin, 0..1.

    Chance alone keeps it above 0, the more so with few patients: of 150 samples of 200 patients with right
    probabilities, the basic bootstrap's interval held 0 in about half, and the percentile interval in none. Naeini,
    Cooper, Hauskrecht, AAAI 2015; bins of equal mass: Nguyen and O'Connor, EMNLP 2015.

    Args:
        labels: 0 or 1, `(…, P)`.
        probs: 0..1, `(…, P)`; patients with equal ones are in one bin.
        axis: that of patients.
    """
    labels, probs = np.moveaxis(np.asarray(labels), axis, -1), np.moveaxis(np.asarray(probs), axis, -1)
    bins, excess = _bins(probs), probs - labels
    apart = [np.abs(np.where(bins == index, excess, 0).sum(-1)) for index in range(number_of_bins(probs.shape[-1]))]
    error: Array = np.sum(apart, axis=0) / probs.shape[-1]
    return error


def reliability_points(labels: ArrayLike, probs: ArrayLike) -> list[Point]:
    """Give the points of a reliability diagram, in order of probability; of equal probabilities some bins are empty.

    Args:
        labels: 0 or 1, `(P,)`.
        probs: 0..1, `(P,)`.
    """
    labels, probs = np.asarray(labels, dtype=np.float64), np.asarray(probs, dtype=np.float64)
    bins = _bins(probs)
    points = []
    for index in np.unique(bins):
        inside = bins == index
        share = proportion(int(labels[inside].sum()), int(inside.sum()))
        points.append(
            Point(
                mean_prob=float(probs[inside].mean()),
                observed=share["value"],
                ci_low=share["ci_low"],
                ci_high=share["ci_high"],
                patients=share["n"],
            )
        )
    return points


def _bins(probs: Array) -> NDArray[np.int64]:
    """Bin of each patient, from 0, by the middle rank of his probability `(…, P)`."""
    patients = probs.shape[-1]
    bins: NDArray[np.int64] = ((rankdata(probs, axis=-1) - 0.5) * number_of_bins(patients) // patients).astype(np.int64)
    return bins

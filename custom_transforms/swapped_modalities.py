"""Suspect that files of two modalities were exchanged, by what each looks like.

Rule 1: in a brain, T1 and T1ce show much the same, T2 the opposite (fluid bright, white matter dark), and FLAIR is
nearer to T1, since fluid is dark in both. So of all ways to call four images by these names, the right one has the
largest sum of T1-T1ce correlation plus that of FLAIR with both, halved, less that of T2 with both. Correlations are
those of ranks, which no scanner's scale changes. Another way that is better by `CLEARLY` gives a warning.

Rule 2: T1ce differs from T1 where vessels, plexus and tumours take up contrast agent: few voxels, much brighter. With
both images in units of their interquartile range, the mean of the largest `TAIL` differences T1ce - T1 and that of the
smallest add up to more than 0. Less than `-DARKER` gives a warning.

Both rules look at the brain alone, thinned to 3 mm. Rates of false and missed alarms: docs/checking.md.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from custom_transforms.mri_brain import LEAST_VOXELS, brightness_ranks, thinned
from custom_transforms.mri_study import MODALITIES

CLEARLY = 0.1  # right orders are ahead of the next best by more
DARKER = 0.5  # interquartile ranges
TAIL = 0.005  # part of the brain: contrast agent shows in about a hundredth


def suspect_order(image: NDArray[np.float32], affine: NDArray[np.float64]) -> tuple[str, ...]:
    """Judge the order of the modalities of an image `(4, X, Y, Z)`; warnings, at most one."""
    thin = thinned(image, affine)
    ranks, inner = brightness_ranks(thin)
    if inner.sum() < LEAST_VOXELS:
        return ()
    with np.errstate(invalid="ignore", divide="ignore"):  # a modality without contrast in the brain is like none
        likeness = np.asarray(np.nan_to_num(np.corrcoef(ranks[:, inner])), dtype=np.float64)
    scores = {order: _score(likeness, order) for order in permutations(range(4))}
    declared = (0, 1, 2, 3)
    as_declared = {order: sum(image == name for name, image in enumerate(order)) for order in scores}
    best = max(scores, key=lambda order: (round(scores[order], 9), as_declared[order]))  # T1 and T1ce count alike
    if scores[best] > scores[declared] + CLEARLY:
        looks = [
            f"{MODALITIES[found]} looks like {name}"
            for name, found in zip(MODALITIES, best, strict=True)
            if MODALITIES[found] != name
        ]
        return (f"modalities may be exchanged: {', '.join(looks)}",)
    if contrast_uptake(thin[1][inner], thin[2][inner]) < -DARKER:
        return ("modalities may be exchanged: T1 looks like T1ce, T1ce looks like T1",)
    return ()


def _score(likeness: NDArray[np.float64], order: tuple[int, ...]) -> float:
    """How well images 0 to 3 fit the names FLAIR, T1, T1ce, T2 when taken in this order."""
    flair, t1, t1ce, t2 = order
    halves = likeness[flair, t1] + likeness[flair, t1ce]
    return float(likeness[t1, t1ce] + halves / 2 - likeness[t2, t1] - likeness[t2, t1ce])


def contrast_uptake(t1: NDArray[np.float32], t1ce: NDArray[np.float32]) -> float:
    """Sum of the mean largest and the mean smallest differences T1ce - T1, in interquartile ranges; of `(N,)`."""
    difference = _standard(t1ce) - _standard(t1)
    difference = np.sort(difference - np.median(difference))
    count = max(1, round(TAIL * difference.size))
    return float(difference[-count:].mean() + difference[:count].mean())


def _standard(values: NDArray[np.float32]) -> NDArray[np.float64]:
    low, middle, high = np.percentile(values, (25, 50, 75))
    return np.asarray((values - middle) / max(high - low, 1e-9), dtype=np.float64)

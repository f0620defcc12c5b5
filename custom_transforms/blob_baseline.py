"""The best that brightness alone can do: score a head by its largest bright blob. A floor for a network to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from custom_transforms.classification import auc

LEVELS = (0.55, 0.6, 0.65, 0.7, 0.75, 0.8)  # of the window: 44 to 64 HU in one of 80, from grey matter to blood
MARGINS = (2, 4, 8)  # pixels that are left out along the brain's edge, where bone shines in
SMOOTHING = 1.0  # pixels, standard deviation; below the size of lesions, above that of noise

Variant = tuple[float, int]  # level and margin


class BestBlob(NamedTuple):
    """The variant that separates the patients best, and its scores."""

    level: float
    margin: int
    scores: list[float]


def largest_blobs(bag: NDArray[np.float32]) -> dict[Variant, float]:
    """Measure the largest connected area brighter than each level, at least each margin inside the brain.

    Args:
        bag: slices `(K, 1, H, W)` in 0..1, 0 outside the brain.

    Returns:
        from each level and margin to the area in pixels of the largest blob of any slice.
    """
    largest = dict.fromkeys(product(LEVELS, MARGINS), 0.0)
    for plane in np.asarray(bag, dtype=np.float32)[:, 0]:
        depth = ndimage.distance_transform_edt(ndimage.binary_fill_holes(plane > 0))
        smooth = ndimage.gaussian_filter(plane, SMOOTHING)
        for level, margin in largest:
            labels, count = ndimage.label((smooth > level) & (depth > margin))
            areas = np.bincount(labels.ravel(), minlength=2)[1:]
            largest[level, margin] = (
                max(largest[level, margin], float(areas.max())) if count else largest[level, margin]
            )
    return largest


def best_blob(labels: Sequence[int], blobs: Sequence[Mapping[Variant, float]]) -> BestBlob:
    """Choose level and margin with the highest AUC on the very patients that are compared, which favours the baseline.

    Args:
        labels: 0 or 1 of each patient.
        blobs: what `largest_blobs` found in each.
    """
    truth = np.asarray(labels, dtype=np.float64)

    def area(variant: Variant) -> float:
        return float(auc(truth, np.array([found[variant] for found in blobs])))

    level, margin = max(product(LEVELS, MARGINS), key=area)
    return BestBlob(level, margin, [found[level, margin] for found in blobs])

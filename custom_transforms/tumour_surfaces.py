"""Compare the surfaces of a predicted tumour and of the truth, in mm.

The numbers are those of `compute_hausdorff_distance` and `compute_surface_dice` of MONAI, whose search trees take ten
times as long where much is marked, as by a network that is not trained yet; by area also those of surface-distance.
"""

from __future__ import annotations

import numpy as np
from monai.metrics.utils import get_mask_edges
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt, find_objects

Mask = NDArray[np.bool_]
Array = NDArray[np.float64]
Spacing = tuple[float, ...]
ROUNDING_MM = 1e-5  # a spacing that comes out of an affine may be 1.0000001


def cut_to_both(pred: Mask, truth: Mask, *, margin: int = 0) -> tuple[Mask, Mask]:
    """Cut two masks to the box that holds all of both: what is left out has no surface, so no distance changes.

    Args:
        pred: prediction `(X, Y, S)`.
        truth: the same shape.
        margin: voxels to keep around it, as far as the volume goes.

    Returns:
        views of both, of one shape; of size 0 where both are empty.

    Raises:
        ValueError: the shapes differ.
    """
    if pred.shape != truth.shape:
        raise ValueError(f"metrics: expected a truth of shape {pred.shape}, got {truth.shape}")
    boxes = find_objects((pred | truth).view(np.int8))
    tight = boxes[0] if boxes else (slice(0, 0),) * pred.ndim
    wide = margin if boxes else 0
    box = tuple(slice(max(side.start - wide, 0), side.stop + wide) for side in tight)
    return pred[box], truth[box]


def hausdorff95_mm(pred: Mask, truth: Mask, *, spacing_mm: Spacing) -> float:
    """95th percentile of the symmetric distance between surface voxels, in mm.

    Args:
        pred: prediction `(X, Y, S)`.
        truth: the same shape.
        spacing_mm: voxel size along X, Y, S.

    Returns:
        0 where both are empty; the diagonal of the volume where one is, which is what the BraTS challenge charges.
    """
    near = cut_to_both(pred, truth)
    if not all(part.any() for part in near):
        return float(np.linalg.norm(np.multiply(pred.shape, spacing_mm))) if near[0].size else 0.0
    surfaces = [part & ~binary_erosion(part) for part in near]
    return max(float(np.percentile(part, 95)) for part in _distances(surfaces[0], surfaces[1], spacing_mm))


def surface_dice(pred: Mask, truth: Mask, *, spacing_mm: Spacing, tolerance_mm: float) -> float:
    """Part of both surfaces that lies within a tolerance of the other, by area, 0..1.

    Args:
        pred: prediction `(X, Y, S)`.
        truth: the same shape.
        spacing_mm: voxel size along X, Y, S.
        tolerance_mm: the largest distance that counts as agreement.

    Returns:
        1 where both are empty, 0 where one is.

    Reference:
        Nikolov et al., Clinically applicable segmentation of head and neck anatomy for radiotherapy, JMIR 2021.
    """
    near = cut_to_both(pred, truth)
    if not all(part.any() for part in near):
        return 0.0 if near[0].size else 1.0
    distances, areas = (np.concatenate(parts) for parts in zip(*_elements(*near, spacing_mm), strict=True))
    return float(areas[distances <= tolerance_mm + ROUNDING_MM].sum() / areas.sum())


def hausdorff95_by_area_mm(pred: Mask, truth: Mask, *, spacing_mm: Spacing) -> float:
    """95th percentile of the symmetric surface distance, each element of a surface weighed by its area, in mm.

    The BraTS challenge measures lesions so, with DeepMind's surface-distance; `hausdorff95_mm` counts surface voxels.

    Args:
        pred: prediction `(X, Y, S)`.
        truth: the same shape.
        spacing_mm: voxel size along X, Y, S.

    Returns:
        infinity where one is empty.
    """
    near = cut_to_both(pred, truth)
    if not all(part.any() for part in near):
        return float("inf")
    return max(_percentile95(*elements) for elements in _elements(*near, spacing_mm))


def _elements(pred: Mask, truth: Mask, spacing_mm: Spacing) -> list[tuple[Array, Array]]:
    """Give distance to the other surface and area of each element of the prediction's surface, and of the truth's."""
    *edges, pred_areas, truth_areas = get_mask_edges(pred, truth, spacing=list(spacing_mm))
    areas = [area[edge].astype(np.float64) for area, edge in zip((pred_areas, truth_areas), edges, strict=True)]
    return list(zip(_distances(edges[0], edges[1], spacing_mm), areas, strict=True))


def _distances(one: Mask, other: Mask, spacing_mm: Spacing) -> tuple[Array, Array]:
    """Give the distance of each voxel of one surface from the nearest of the other, and the reverse, in mm."""
    to_other, to_one = (distance_transform_edt(~surface, sampling=spacing_mm) for surface in (other, one))
    return to_other[one], to_one[other]


def _percentile95(distances: Array, areas: Array) -> float:
    """Distance within which 95 % of the area lies, as `compute_robust_hausdorff` of surface-distance takes it."""
    order = np.argsort(distances, kind="stable")
    reached = np.cumsum(areas[order])
    place = int(np.searchsorted(reached / reached[-1], 0.95))
    return float(distances[order][min(place, len(order) - 1)])

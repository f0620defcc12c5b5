"""Compare the surfaces of a predicted tumour and of the truth, in mm."""

from __future__ import annotations

import numpy as np
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from monai.metrics.utils import get_edge_surface_distance
from numpy.typing import NDArray
from scipy.ndimage import find_objects

Mask = NDArray[np.bool_]
Spacing = tuple[float, ...]


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
    surfaces = [torch.from_numpy(part)[None, None].float() for part in near]
    distance = compute_hausdorff_distance(
        surfaces[0], surfaces[1], include_background=True, percentile=95, spacing=list(spacing_mm)
    )
    return float(distance)


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
    surfaces = [torch.from_numpy(part)[None, None].float() for part in near]
    found = compute_surface_dice(
        surfaces[0], surfaces[1], [tolerance_mm], include_background=True, spacing=list(spacing_mm), use_subvoxels=True
    )
    return float(found)


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
    surfaces = [torch.from_numpy(part) for part in near]
    edges, distances, areas = get_edge_surface_distance(
        surfaces[0], surfaces[1], spacing=list(spacing_mm), use_subvoxels=True, symmetric=True
    )
    parts = zip(edges, distances, areas, strict=True)
    return max(_percentile95(distance.numpy(), area[edge].numpy()) for edge, distance, area in parts)


def _percentile95(distances: NDArray[np.float32], areas: NDArray[np.float32]) -> float:
    """Distance within which 95 % of the area lies, as `compute_robust_hausdorff` of surface-distance takes it."""
    order = np.argsort(distances, kind="stable")
    reached = np.cumsum(areas[order], dtype=np.float64)
    place = int(np.searchsorted(reached / reached[-1], 0.95))
    return float(distances[order][min(place, len(order) - 1)])

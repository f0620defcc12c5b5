"""Compare a predicted tumour with the truth, by counting voxels and by distance of surfaces."""

from __future__ import annotations

from typing import NamedTuple

import torch
from monai.metrics import compute_hausdorff_distance


class Counts(NamedTuple):
    """Voxel counts of each region, `(R,)` int64, on the device of the prediction."""

    tp: torch.Tensor
    fp: torch.Tensor
    fn: torch.Tensor
    tn: torch.Tensor


def count_voxels(pred: torch.Tensor, truth: torch.Tensor) -> Counts:
    """Count true and false positives and negatives of each region.

    Args:
        pred: prediction `(R, X, Y, S)`, 0 or 1.
        truth: the same shape, 0 or 1.

    Returns:
        counts `(R,)` of voxels.

    Raises:
        ValueError: the shapes differ.
    """
    if pred.shape != truth.shape:
        raise ValueError(f"metrics: expected a truth of shape {tuple(pred.shape)}, got {tuple(truth.shape)}")
    pred, truth = (part.bool().flatten(1) for part in (pred, truth))
    tp = (pred & truth).sum(1)
    fp, fn = pred.sum(1) - tp, truth.sum(1) - tp
    return Counts(tp, fp, fn, pred.shape[1] - tp - fp - fn)


def count_small_tumours(pred: torch.Tensor, truth: torch.Tensor, *, small_pixels: int = 500) -> Counts:
    """Count only in axial slices whose true tumour has at least one and fewer than `small_pixels` pixels.

    Args:
        pred: prediction `(R, X, Y, S)`, 0 or 1; S counts axial slices.
        truth: the same shape, 0 or 1.
        small_pixels: 500 in the published system, on slices of 1 mm pixels.
    """
    area = truth.bool().sum((1, 2), keepdim=True)
    counted = (area > 0) & (area < small_pixels)
    counts = count_voxels(pred.bool() & counted, truth.bool() & counted)
    pixels = counted.expand_as(truth).flatten(1).sum(1)
    return counts._replace(tn=pixels - counts.tp - counts.fp - counts.fn)


def dice(counts: Counts) -> torch.Tensor:
    """Dice of each region, `(R,)`, 0..1; 1 where truth and prediction are both empty, as BraTS scores it.

    Args:
        counts: of `count_voxels`.
    """
    size = 2 * counts.tp + counts.fp + counts.fn
    return torch.where(size > 0, 2 * counts.tp / size.clamp(min=1), 1.0)


def hausdorff95_mm(pred: torch.Tensor, truth: torch.Tensor, *, spacing_mm: tuple[float, ...]) -> torch.Tensor:
    """95th percentile of the symmetric surface distance of each region, `(R,)`, in mm.

    Args:
        pred: prediction `(R, X, Y, S)`, 0 or 1.
        truth: the same shape, 0 or 1.
        spacing_mm: voxel size along X, Y, S.

    Returns:
        0 where both are empty; the diagonal of the volume where one is, which is what the BraTS challenge charges.
    """
    counts = count_voxels(pred, truth)
    sizes = torch.tensor(pred.shape[1:], dtype=torch.float64) * torch.tensor(spacing_mm, dtype=torch.float64)
    distance = torch.full((pred.shape[0],), float(sizes.norm()), dtype=torch.float64)
    distance[(counts.tp + counts.fp + counts.fn).cpu() == 0] = 0
    both = ((counts.tp + counts.fp > 0) & (counts.tp + counts.fn > 0)).cpu()
    for region in torch.nonzero(both).flatten().tolist():
        surfaces = [part[region][None, None].bool().float() for part in (pred, truth)]
        distance[region] = compute_hausdorff_distance(
            surfaces[0], surfaces[1], include_background=True, percentile=95, spacing=list(spacing_mm)
        ).item()
    return distance

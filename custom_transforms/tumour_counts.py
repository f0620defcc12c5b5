"""Compare a predicted tumour with the truth, by counting voxels."""

from __future__ import annotations

from typing import NamedTuple

import torch


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

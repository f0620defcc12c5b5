"""Bring a volume to the axis directions of another, and compare their grids."""

from __future__ import annotations

from typing import TypeAlias

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from custom_transforms.nifti_affine import grids_agree
from custom_transforms.refusal import RefusedError

Volume: TypeAlias = NDArray[np.float32]
Affine: TypeAlias = NDArray[np.float64]

GRID_TOLERANCE_VOXELS = 0.1  # below what one would see after interpolation; rounded headers stay far under it


def to_orientation(volume: Volume, affine: Affine, *, like: Affine) -> tuple[Volume, Affine]:
    """Flip and swap axes, without interpolation, to the axis directions of `like`."""
    turn = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.io_orientation(like))
    turned = nib.orientations.apply_orientation(volume, turn)
    return turned, affine @ nib.orientations.inv_ornt_aff(turn, volume.shape[:3])


def check_grid(volume: Volume, grid: Affine, shape: tuple[int, ...], affine: Affine, name: str) -> None:
    """Refuse a volume of another shape, spacing or position than the image's.

    Raises:
        RefusedError: `shape_mismatch`, `grid_mismatch`.
    """
    if volume.shape != shape:
        raise RefusedError.of("shape_mismatch", name, expected=f"the image's shape {shape}", got=str(volume.shape))
    tolerance_mm = GRID_TOLERANCE_VOXELS * float(nib.affines.voxel_sizes(affine).min())
    if not grids_agree(grid, affine, shape, tolerance_mm):
        raise RefusedError.of("grid_mismatch", name, expected="the image's position and spacing", got="another grid")

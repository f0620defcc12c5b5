"""Bring a mask in NIfTI onto the slices of a DICOM series, voxel for voxel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from custom_transforms.dicom.geometry import Floats
from custom_transforms.dicom.source_slices import SourceSlices
from custom_transforms.refusal import RefusedError

TOLERANCE = 0.1  # of a voxel: positions in DICOM and NIfTI are rounded, grids that differ do so by more
SAME_PLACE_MM = 0.1
LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


def place_mask(mask: NDArray[np.uint8], affine: Floats, slices: SourceSlices) -> NDArray[np.uint8]:
    """Give each pixel of each slice the mask's voxel that lies there. Nothing is resampled.

    Whatever the mask's axes and their directions are, and those of the slices, position alone decides.

    Args:
        mask: `(X, Y, Z)`.
        affine: from its voxel indices to RAS mm, `(4, 4)`.
        slices: the S slices.

    Returns:
        `(S, R, C)`.

    Raises:
        RefusedError: `grid_mismatch`, a corner of a slice lies more than a tenth of a voxel from the mask's voxel
            there, or the mask has voxels on no slice.
    """
    rows, columns = slices.shape
    if mask.size != len(slices.uids) * rows * columns:
        expected = f"{len(slices.uids)} slices of {rows}x{columns}, as the series"
        raise RefusedError.of("grid_mismatch", "mask", expected=expected, got=f"{mask.shape}")
    to_voxel = np.linalg.inv(affine).astype(np.float64)
    first = _voxels(slices.positions_mm, to_voxel)  # (S, 3), of each slice's first pixel
    along_row, along_column = (
        to_voxel[:3, :3] @ (slices.directions[axis] * slices.spacing_mm[1 - axis] * LPS_TO_RAS) for axis in (0, 1)
    )
    steps = np.rint(np.stack([along_row, along_column]))
    corners = [
        first + column * along_row + row * along_column - (np.rint(first) + [column, row] @ steps)
        for column in (0, columns - 1)
        for row in (0, rows - 1)
    ]
    off = float(np.abs(corners).max())
    places = [
        np.rint(first)[:, None, None, axis]
        + np.arange(rows)[:, None] * steps[1, axis]
        + np.arange(columns) * steps[0, axis]
        for axis in range(3)
    ]
    indices = np.ravel_multi_index([part.astype(np.int64) for part in places], mask.shape, mode="clip")
    inside = all((part >= 0).all() and (part < side).all() for part, side in zip(places, mask.shape, strict=True))
    if off > TOLERANCE or not inside or len(np.unique(indices)) < mask.size:
        got = f"one {off:.1f} voxels from it" if off > TOLERANCE else "another"
        raise RefusedError.of("grid_mismatch", "mask", expected="the position and spacing of the series", got=got)
    return np.asarray(mask.ravel()[indices], dtype=np.uint8)


def check_first_voxel(affine: Floats, slices: SourceSlices) -> None:
    """Check no more of a mask than where it begins, where its file cannot tell tilt and uneven steps.

    Args:
        affine: of a mask whose voxels are columns, rows and slices from the feet to the head, to RAS mm, `(4, 4)`.
        slices: the slices, in this order.

    Raises:
        RefusedError: `grid_mismatch`, the first voxels lie more than 0.1 mm from each other.
    """
    off_mm = float(np.linalg.norm(slices.positions_mm[0] * LPS_TO_RAS - affine[:3, 3]))
    if off_mm > SAME_PLACE_MM:
        got = f"one {off_mm:.1f} mm from it"
        raise RefusedError.of("grid_mismatch", "mask", expected="the series' first voxel", got=got)


def _voxels(positions_mm: Floats, to_voxel: Floats) -> Floats:
    """Bring positions `(S, 3)`, LPS, to voxel indices."""
    return np.asarray(positions_mm * LPS_TO_RAS @ to_voxel[:3, :3].T + to_voxel[:3, 3], dtype=np.float64)

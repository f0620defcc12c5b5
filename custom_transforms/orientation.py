"""Flip and swap the axes of a volume, without interpolation."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from numpy.typing import NDArray


def to_axes(
    volume: NDArray[np.float32], affine: NDArray[np.float64], axes: str = "RAS"
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Bring a volume to the wanted axis directions, as MONAI's `Orientation` does.

    Args:
        volume: `(X, Y, Z)` or `(X, Y, Z, C)`.
        affine: from voxel index to RAS mm, `(4, 4)`.
        axes: where each axis shall go: `RAS` to the right, the front and the head.

    Returns:
        the volume, a view of the same values, and its affine: every voxel stays at its place in mm.

    Example:
        >>> to_axes(np.zeros((2, 3, 4)), np.diag([-1.0, -1, 1, 1]))[1][:3, 3]
        array([-1., -2.,  0.])
    """
    turn = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt(axes))
    turned = nib.orientations.apply_orientation(volume, turn)
    return turned, np.asarray(affine @ nib.orientations.inv_ornt_aff(turn, volume.shape[:3]))


def require_axes(affine: NDArray[np.float64], axes: str, *, why: str) -> None:
    """Refuse an image whose axes go elsewhere.

    Args:
        affine: from voxel index to RAS mm, `(4, 4)`.
        axes: where each axis must go, as `LPS`.
        why: what would be wrong else, for the message.

    Raises:
        ValueError: they go elsewhere.
    """
    found = "".join(nib.aff2axcodes(affine))
    if found != axes:
        raise ValueError(f"image: expected orientation {axes}, {why}, got {found}")

"""Read a NIfTI file to its last byte, or refuse it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from custom_transforms.nifti_affine import checked_affine
from custom_transforms.nifti_header import VoxelLayout
from custom_transforms.nifti_stream import read_stream
from custom_transforms.refusal import RefusedError


def read_nifti(path: str | Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Read voxels and affine of a `.nii` or `.nii.gz` file.

    nibabel accepts a gzip file with a wrong checksum or a lost tail, believes any size that a header states, and
    prefers sform in silence where sform and qform disagree; here each of these is refused.

    Args:
        path: the file.

    Returns:
        voxels, scaled by slope and intercept, `(X, Y, Z)` or `(X, Y, Z, C)`, trailing axes of length 1 dropped;
        and the affine `(4, 4)` from voxel indices to RAS millimetres.

    Raises:
        RefusedError: missing or damaged file, no or contradictory orientation, not 3D or 4D, not scalar; see
            `parse_header`, `read_stream` and `checked_affine`.
    """
    path = Path(path)
    layout, raw = read_stream(path)
    shape = layout.shape
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) not in (3, 4) or min(shape[:3]) < 2:
        raise RefusedError.of("not_a_volume", path.name, expected="3 or 4 axes, x y z at least 2", got=str(shape))
    affine = checked_affine(layout.header, shape, path.name)
    return _scaled(layout, raw).reshape(shape, order="F"), affine


def _scaled(layout: VoxelLayout, raw: bytearray) -> NDArray[np.float32]:
    """Scale the stored values `(N,)` in double precision, a part at a time, which keeps memory small."""
    stored = np.frombuffer(raw, dtype=layout.dtype, offset=layout.offset)
    voxels = np.empty(stored.size, dtype=np.float32)
    step = 2**20
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold becomes infinite; readers refuse that
        for start in range(0, stored.size, step):
            part = stored[start : start + step]
            if (layout.slope, layout.intercept) != (1.0, 0.0):
                part = part.astype(np.float64) * layout.slope + layout.intercept
            voxels[start : start + step] = part
    return voxels

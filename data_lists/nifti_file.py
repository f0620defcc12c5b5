"""Reading of a NIfTI file that refuses a damaged one."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    zlib.error,
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
    nib.spatialimages.HeaderTypeError,
    nib.wrapstruct.WrapStructError,
)


@dataclass(frozen=True)
class NiftiVolume:
    """Voxels of one file.

    Attributes:
        voxels: scaled data as stored, `(W, H, D)` or `(W, H, D, C)`.
        voxel_volume_ml: volume of one voxel in ml.
    """

    voxels: Array
    voxel_volume_ml: float


def read_nifti(root: Path, relative: str) -> NiftiVolume:
    """Read all of a NIfTI file.

    nibabel alone stops at the last voxel and so accepts a wrong gzip checksum and a lost tail; here the stream is
    read to its end, where gzip compares the checksum.

    Args:
        root: data-set folder.
        relative: `.nii` or `.nii.gz` file in it.

    Returns:
        The scaled voxels and the voxel volume.

    Raises:
        ValueError: If the file cannot be read completely or does not hold real numbers; names the relative file.
    """
    path = root / relative
    try:
        if relative.endswith(".gz"):
            with gzip.GzipFile(path) as stream:
                raw = stream.read()
        else:
            raw = path.read_bytes()
        is_nifti2 = raw[:4] in ((540).to_bytes(4, "little"), (540).to_bytes(4, "big"))
        image = (nib.Nifti2Image if is_nifti2 else nib.Nifti1Image).from_bytes(raw)
        voxels = np.asanyarray(image.dataobj)
    except _UNREADABLE as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"expected a complete NIfTI file, got {relative} ({reason})") from error
    if voxels.dtype.kind not in "buif":
        raise ValueError(f"expected real numbers, got {voxels.dtype} in {relative}")
    first, second, third = np.asarray(image.affine, dtype=np.float64)[:3, :3].T
    voxel_volume_ml = abs(float(first @ np.cross(second, third))) / 1000  # mm3 to ml
    return NiftiVolume(voxels, voxel_volume_ml)

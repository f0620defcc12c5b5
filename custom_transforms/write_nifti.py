"""Write an image as NIfTI, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from custom_transforms.atomic_file import whole_file


def write_nifti(path: Path, voxels: NDArray[Any], affine: NDArray[Any], description: str = "") -> None:
    """Write an image in its own type.

    Args:
        path: ends in `.nii.gz`.
        voxels: `(X, Y, Z)`, or `(X, Y, Z, C)`.
        affine: to RAS in mm.
        description: for the header, 79 letters at most.
    """
    image = nib.Nifti1Image(voxels, affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    if not np.allclose(image.get_qform(), affine, atol=1e-3):  # a qform holds no shear
        image.set_qform(None, 0)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = description.encode()[:79]
    with whole_file(path) as file:
        nib.save(image, file)

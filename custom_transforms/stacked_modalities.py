"""Four modalities of a patient as one NIfTI file, which is what stores of one image a patient want."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from custom_transforms.atomic_file import whole_file
from custom_transforms.isolated_readers import read_patient_isolated
from custom_transforms.mri_study import MODALITIES


def stack_modalities(
    image: str | Path | Sequence[str | Path], path: Path, modalities: Sequence[str] = MODALITIES
) -> Path:
    """Write a patient's modalities as channels FLAIR, T1, T1ce, T2 of one file, on the grid of the first.

    Args:
        image: four NIfTI files, one 4D NIfTI file, or a pattern of h5 slices.
        path: `.nii.gz`; float32 `(X, Y, Z, 4)`, or int16 where the files hold nothing else.
        modalities: which modality each file or channel is.

    Raises:
        RefusedError: the files are not fit; see `read_patient_isolated`.
    """
    volume, affine, _ = read_patient_isolated(image, modalities)
    fits = np.abs(volume).max() <= np.iinfo(np.int16).max and np.array_equal(volume, np.rint(volume))
    file = nib.Nifti1Image(np.moveaxis(volume.astype(np.int16) if fits else volume, 0, -1), affine)
    file.header.set_xyzt_units("mm")
    with whole_file(path) as unfinished:
        nib.save(file, unfinished)
    return path
